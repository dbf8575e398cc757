//! Messages as a producer's isolate sends them, without flag logs: those pass the Ledger by.

use tributary_local::random::DemoRandom;
use tributary_proto::{
    Message as _,
    envelope::{FORMAT, FORMAT_LEDGERS, FORMAT_METRICS},
    flag_logs::WriteFlagLogsRequest,
    v1,
};
use tributary_telemetry::confidence::TelemetryDelta;

/// `resolver_id` of all that is simulated.
pub(crate) const RESOLVER_ID: &str = "cf-resolver";

/// Reasons of resolves: a match, and no segment that matches.
pub(crate) const REASONS: [(i32, &str); 2] = [(1, "RESOLVE_REASON_MATCH"), (2, "RESOLVE_REASON_NO_SEGMENT_MATCH")];

/// Microseconds that resolves take, from the middle to the tail.
const LATENCIES: [u32; 10] = [181, 243, 317, 428, 561, 1_021, 1_411, 2_633, 5_227, 14_033];

/// What a message says of itself beside its content.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head<'a> {
    /// Its stream.
    pub(crate) stream_id: [u8; 16],
    /// Its number in the stream, from 1.
    pub(crate) sequence: u64,
    /// Milliseconds since the epoch.
    pub(crate) window_start_ms: u64,
    /// Milliseconds since the epoch.
    pub(crate) window_end_ms: u64,
    /// Who sends it.
    pub(crate) resolver_id: &'a str,
    /// `QUEUE_SHARDS` where it is sent.
    pub(crate) ledgers: u32,
}

/// The telemetry of so many resolves: a latency each, and the reasons of all of them.
pub(crate) fn telemetry(reasons: [u64; 2], random: &mut DemoRandom) -> TelemetryDelta {
    let mut telemetry = TelemetryDelta::new();
    for ((reason, _), count) in REASONS.iter().zip(reasons) {
        telemetry.add_resolves(*reason, count);
    }
    for _ in 0..reasons.iter().sum() {
        let base = random.choose(&LATENCIES).copied().unwrap_or_default();
        telemetry.observe_latency(base + u32::try_from(random.below(97)).unwrap_or_default());
    }
    telemetry
}

/// The bytes of a message. `metrics` is an encoded set of the Worker's own, or nothing.
pub(crate) fn message(head: Head<'_>, telemetry: &TelemetryDelta, metrics: Vec<u8>) -> Vec<u8> {
    let logs = WriteFlagLogsRequest { telemetry_data: telemetry.to_wire().pop(), ..WriteFlagLogsRequest::default() };
    let envelope = v1::Envelope {
        format: match head.ledgers {
            1 if metrics.is_empty() => FORMAT,
            1 => FORMAT_METRICS,
            _ => FORMAT_LEDGERS,
        },
        ledgers: if head.ledgers == 1 { 0 } else { head.ledgers },
        stream_id: head.stream_id.to_vec(),
        sequence: head.sequence,
        window_start_ms: head.window_start_ms,
        window_end_ms: head.window_end_ms,
        producer: Some(v1::Producer { resolver_id: head.resolver_id.to_owned(), ..v1::Producer::default() }),
        flag_logs: logs.encode_to_vec(),
        metrics,
        ..v1::Envelope::default()
    };
    envelope.encode_to_vec()
}

/// A stream id: as good as random, and told apart by `index`.
pub(crate) fn stream_id(index: u64) -> [u8; 16] {
    let high = DemoRandom::seeded(index).next_u64();
    (u128::from(high) << 64 | u128::from(index)).to_be_bytes()
}
