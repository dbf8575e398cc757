//! The producer's stream: what its resolves report, on the emitter's stream of numbered messages.
//!
//! [`tributary_emitter::flusher`] coalesces, numbers and keeps; here is what it does not know: the telemetry of resolves,
//! which is never given up, and the readings that go with it.

use std::collections::BTreeMap;

use tributary_emitter::flusher as stream;
use tributary_emitter::outbox::{Attempt, AttemptId};
use tributary_emitter::registry::Recorded;
use tributary_emitter::source::Collected;
use tributary_proto::Message as _;
use tributary_proto::envelope::StreamId;
use tributary_proto::flag_logs::{Sdk, TelemetryData, WriteFlagLogsRequest};
use tributary_telemetry::confidence::TelemetryDelta;

pub use tributary_emitter::flusher::{LeaseId, Role, Sealed};

use crate::fragment::Cut;

/// What the stream says about itself in every envelope.
#[derive(Clone, Debug, PartialEq)]
pub struct Identity {
    /// The stream.
    pub stream_id: StreamId,
    /// How many ledgers there are; see [`stream::Identity`].
    pub ledgers: u32,
    /// The `resolver_id` label; not empty and at most `MAX_RESOLVER_ID_BYTES`, see [`crate::config::Config`].
    pub resolver_id: String,
    /// What else is the same for all of the isolate, by name; values of at most `MAX_DIMENSION_BYTES`.
    pub dimensions: BTreeMap<String, String>,
    /// The SDK of the telemetry.
    pub sdk: Sdk,
    /// Version of the resolver library.
    pub resolver_version: String,
}

/// Gauges, read when a window is sealed. `None` is not reported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Readings {
    /// Linear memory of the Worker, in bytes.
    pub memory_bytes: Option<u64>,
    /// When the resolver state last changed, in milliseconds since the epoch.
    pub state_changed_ms: Option<u64>,
}

/// The deltas of one isolate, from the push to the confirmed message.
#[derive(Debug)]
pub struct Flusher {
    sdk: Sdk,
    resolver_version: String,
    telemetry: TelemetryDelta,
    stream: stream::Flusher,
}

impl Flusher {
    /// A stream that has sent nothing.
    pub fn new(identity: Identity) -> Self {
        let Identity { stream_id, ledgers, resolver_id, dimensions, sdk, resolver_version } = identity;
        let stream = stream::Flusher::new(stream::Identity { stream_id, ledgers, name: resolver_id, dimensions });
        Self { sdk, resolver_version, telemetry: TelemetryDelta::new(), stream }
    }

    /// Counts one resolve: one latency, and one for each flag's reason. Call [`Flusher::push`] after it.
    pub fn observe(&mut self, latency_micros: u32, reasons: &[i32]) {
        self.telemetry.observe_latency(latency_micros);
        self.telemetry.observe_resolves(reasons);
    }

    /// Takes in what was recorded of metrics beside the resolves; see [`tributary_emitter::drain`].
    pub fn add_metrics(&mut self, recorded: Recorded) {
        self.stream.add_metrics(recorded);
    }

    /// Says whether [`tributary_emitter::source::collect`] is to be asked.
    pub fn wants_points(&self) -> bool {
        self.stream.wants_points()
    }

    /// Takes in what it gave.
    pub fn add_points(&mut self, collected: Collected) {
        self.stream.add_points(collected);
    }

    /// Opens the window if it is not open, and says what the caller has to do. `pending_assignments` is how many wait
    /// in the host's logs.
    pub fn push(&mut self, now_ms: u64, pending_assignments: u64, flush_interval_ms: u64) -> Role {
        self.stream.push(now_ms, pending_assignments, flush_interval_ms)
    }

    /// Seals everything pending, and `cut`, into the outbox and gives up `lease` if it is still held. Needs
    /// [`Flusher::take`] after it; both belong to one synchronous step.
    pub fn seal(&mut self, now_ms: u64, cut: Cut, readings: Readings, lease: Option<LeaseId>) -> Sealed {
        let Self { sdk, resolver_version, telemetry, stream } = self;
        stream.add_fragments(cut.fragments, cut.oversize_assignments);
        let reports = || reports(telemetry, readings, now_ms, sdk, resolver_version);
        let sealed = stream.seal(now_ms, !telemetry.is_empty(), reports, lease);
        if !sealed.held_back {
            self.telemetry = TelemetryDelta::new();
        }
        sealed
    }

    /// Takes every sealed message that nobody is sending.
    pub fn take(&mut self, now_ms: u64) -> Attempt {
        self.stream.take(now_ms)
    }

    /// Forgets messages that the queue accepted.
    pub fn confirm(&mut self, sequences: &[u64]) {
        self.stream.confirm(sequences);
    }

    /// Leaves messages that could not be sent to the next flush.
    pub fn release(&mut self, id: AttemptId, sequences: &[u64]) {
        self.stream.release(id, sequences);
    }
}

/// The pending telemetry with `readings`, encoded: one report, more where a total is over 32 bits.
fn reports(
    telemetry: &TelemetryDelta,
    readings: Readings,
    now_ms: u64,
    sdk: &Sdk,
    resolver_version: &str,
) -> Vec<Vec<u8>> {
    let mut telemetry = telemetry.clone();
    if let Some(memory_bytes) = readings.memory_bytes {
        telemetry.set_memory_bytes(memory_bytes, now_ms);
    }
    if let Some(changed_ms) = readings.state_changed_ms {
        telemetry.set_state_update(changed_ms, now_ms);
    }
    let encode = |part: TelemetryData| {
        let telemetry_data =
            TelemetryData { sdk: Some(sdk.clone()), resolver_version: resolver_version.to_owned(), ..part };
        WriteFlagLogsRequest { telemetry_data: Some(telemetry_data), ..Default::default() }.encode_to_vec()
    };
    telemetry.to_wire().into_iter().map(encode).collect()
}

#[cfg(test)]
mod tests;
