//! What is sent, and what it must come to: summed up from what the producers meant, with none of the code under test.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{SystemTime, UNIX_EPOCH},
};

use tributary_local::random::DemoRandom;
use tributary_proto::{
    Message as _, Timestamp,
    envelope::{Envelope, StreamId},
    events::{
        ClientInfo, FlagAssigned,
        flag_assigned::{AppliedFlag, DefaultAssignment, applied_flag::Assignment},
    },
    flag_logs::{
        TelemetryData, WriteFlagLogsRequest,
        telemetry_data::{BucketSpan, ResolveLatency, ResolveRate},
    },
    resolve_info::{FlagResolveInfo, flag_resolve_info::VariantResolveInfo},
};

use super::{
    custom::Custom,
    queue::Sent,
    worker::{RESOLVER_ID, Resolved},
};
use crate::{
    consumer::{Body, Delivery},
    exposition::Exposition,
};

/// Producers at a time; each begins a new stream now and then, as isolates come and go.
const PRODUCERS: usize = 6;
/// How many ledgers half of the producers know; the others know one.
const LEDGERS: u32 = 3;
/// Exponents of the latency buckets that occur.
const BUCKETS: std::ops::Range<u64> = 30..130;

/// One isolate of a producer.
struct Stream {
    id: StreamId,
    sequence: u64,
    resolver_id: &'static str,
}

/// What was sent so far.
pub struct Oracle {
    random: DemoRandom,
    streams: Vec<Stream>,
    messages: u64,
    records: u64,
    poison: BTreeSet<String>,
    assignments: BTreeSet<String>,
    /// By resolver and reason number.
    resolves: BTreeMap<(&'static str, usize), u64>,
    /// By resolver and bucket.
    latency: BTreeMap<(&'static str, u64), u64>,
    latency_sum: BTreeMap<&'static str, u64>,
    custom: Custom,
}

const RESOLVERS: [&str; 2] = ["cf-resolver", "eu"];
const REASONS: [(i32, &str); 3] =
    [(1, "RESOLVE_REASON_MATCH"), (2, "RESOLVE_REASON_NO_SEGMENT_MATCH"), (6, "RESOLVE_REASON_ERROR")];

impl Oracle {
    /// Nothing was sent.
    pub fn new(seed: u64) -> Self {
        let mut random = DemoRandom::seeded(seed ^ 0x5eed);
        let streams = (0..PRODUCERS).map(|_| stream(&mut random)).collect();
        Self {
            random,
            streams,
            messages: 0,
            records: 0,
            poison: BTreeSet::new(),
            assignments: BTreeSet::new(),
            resolves: BTreeMap::new(),
            latency: BTreeMap::new(),
            latency_sum: BTreeMap::new(),
            custom: Custom::new(seed ^ 0xc057),
        }
    }

    /// Records sent, each once.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// Message ids of what nobody can read.
    pub fn poison(&self) -> &BTreeSet<String> {
        &self.poison
    }

    /// Resolve ids of all assignments sent.
    pub fn assignments(&self) -> impl Iterator<Item = &String> {
        self.assignments.iter()
    }

    /// The next message of some producer.
    pub fn next_message(&mut self) -> Sent {
        self.messages += 1;
        let id = format!("message-{}", self.messages);
        match self.random.below(100) {
            0 => self.poison_message(id),
            1..=5 => self.legacy_message(id),
            _ => self.record_message(id),
        }
    }

    fn record_message(&mut self, id: String) -> Sent {
        let at = usize::try_from(self.random.below(PRODUCERS as u64)).unwrap_or_default();
        if self.random.below(200) == 0 {
            // The isolate is gone; another one begins.
            let fresh = stream(&mut self.random);
            if let Some(stream) = self.streams.get_mut(at) {
                *stream = fresh;
            }
        }
        let Some(stream) = self.streams.get_mut(at) else { return self.poison_message(id) };
        stream.sequence += 1;
        let (stream_id, sequence, resolver_id) = (stream.id, stream.sequence, stream.resolver_id);
        let logs = self.logs(resolver_id);
        let now = now_ms();
        let envelope = Envelope {
            stream_id,
            ledgers: if stream_id.share(2) == 0 { 1 } else { LEDGERS },
            sequence,
            window_start_ms: now.saturating_sub(1_000),
            window_end_ms: now,
            resolver_id: resolver_id.to_owned(),
            dimensions: BTreeMap::new(),
            flag_logs: logs.encode_to_vec(),
            metrics: self.custom.metrics(resolver_id),
            resource_metrics: self.custom.points(resolver_id),
            dropped: vec![],
        };
        let body = Body::Bytes(envelope.encode().unwrap_or_default());
        Sent { delivery: delivery(id, body), is_resendable: true }
    }

    fn legacy_message(&mut self, id: String) -> Sent {
        let logs = self.logs("cf-resolver");
        let body = Body::Text(serde_json::to_string(&logs).unwrap_or_default());
        Sent { delivery: delivery(id, body), is_resendable: false }
    }

    fn poison_message(&mut self, id: String) -> Sent {
        self.poison.insert(id.clone());
        let body = match self.random.below(4) {
            0 => Body::Text("{\"flagAssigned\": 7}".into()),
            1 => Body::Bytes(self.random.next_u64().to_le_bytes().to_vec()),
            2 => Body::Bytes(vec![]),
            _ => Body::Object(serde_json::json!({"not": "a message"})),
        };
        Sent { delivery: delivery(id, body), is_resendable: false }
    }

    /// Logs of one record, noted down as sent.
    fn logs(&mut self, resolver_id: &'static str) -> WriteFlagLogsRequest {
        self.records += 1;
        let resolve_id = format!("resolve-{}", self.records);
        self.assignments.insert(resolve_id.clone());
        let mut resolve_rate = Vec::new();
        for (index, (reason, _)) in REASONS.iter().enumerate() {
            let count = self.random.below(5);
            *self.resolves.entry((resolver_id, index)).or_default() += count;
            if count > 0 {
                resolve_rate.push(ResolveRate { count: u32::try_from(count).unwrap_or_default(), reason: *reason });
            }
        }
        let bucket = BUCKETS.start + self.random.below(BUCKETS.end - BUCKETS.start);
        let (count, sum) = (1 + self.random.below(3), self.random.below(1_000_000));
        *self.latency.entry((resolver_id, bucket)).or_default() += count;
        *self.latency_sum.entry(resolver_id).or_default() += sum;
        let narrow = |value: u64| u32::try_from(value).unwrap_or_default();
        WriteFlagLogsRequest {
            flag_assigned: vec![FlagAssigned {
                resolve_id,
                client_info: Some(ClientInfo {
                    client: "clients/chaos".into(),
                    client_credential: "clients/chaos/clientCredentials/1".into(),
                    sdk: None,
                }),
                flags: vec![AppliedFlag {
                    flag: "flags/chaos".into(),
                    assignment: Some(Assignment::DefaultAssignment(DefaultAssignment { reason: 1 })),
                    apply_time: Some(Timestamp {
                        seconds: i64::try_from(now_ms() / 1_000).unwrap_or_default(),
                        nanos: 0,
                    }),
                    ..AppliedFlag::default()
                }],
            }],
            telemetry_data: Some(TelemetryData {
                resolve_latency: Some(ResolveLatency {
                    sum: narrow(sum),
                    count: narrow(count),
                    buckets: vec![BucketSpan {
                        offset: i32::try_from(bucket).unwrap_or_default(),
                        counts: vec![narrow(count)],
                    }],
                    ln_ratio: std::f64::consts::LN_10 / 18.0,
                }),
                resolve_rate,
                ..TelemetryData::default()
            }),
            client_resolve_info: vec![],
            flag_resolve_info: vec![FlagResolveInfo {
                flag: "flags/chaos".into(),
                variant_resolve_info: vec![VariantResolveInfo { variant: "flags/chaos/variants/on".into(), count: 1 }],
                rule_resolve_info: vec![],
            }],
        }
    }

    /// Every series that is not what was sent.
    pub fn differences(&self, resolved: &Resolved, metrics: &Exposition) -> Vec<String> {
        let mut differences = self.custom.differences(metrics);
        let mut expect = |name: &str, labels: &[(&str, &str)], expected: u64| {
            let actual = metrics.get(name, labels);
            // Far below 2^53: exact.
            if actual != to_f64(expected) {
                differences.push(format!("{name} {labels:?}: {actual} instead of {expected}"));
            }
        };
        for resolver_id in RESOLVERS {
            let id = ("resolver_id", resolver_id);
            for (index, (_, reason)) in REASONS.iter().enumerate() {
                let expected = self.resolves.get(&(resolver_id, index)).copied().unwrap_or_default();
                expect("confidence_resolves_total", &[id, ("reason", reason)], expected);
            }
            let mut cumulative = 0;
            for bucket in 0..174u32 {
                cumulative += self.latency.get(&(resolver_id, bucket.into())).copied().unwrap_or_default();
                let le = format!("{:.6e}", 10f64.powf(f64::from(bucket + 1) / 18.0));
                let labels = [id, ("le", le.as_str())];
                expect("confidence_resolve_latency_microseconds_bucket", &labels, cumulative);
            }
            expect("confidence_resolve_latency_microseconds_count", &[id], cumulative);
            let sum = self.latency_sum.get(resolver_id).copied().unwrap_or_default();
            expect("confidence_resolve_latency_microseconds_sum", &[id], sum);
        }
        let id = ("resolver_id", RESOLVER_ID);
        for (reason, count) in &resolved.by_reason {
            expect("confidence_resolves_total", &[id, ("reason", reason)], *count);
        }
        expect("confidence_resolve_latency_microseconds_count", &[id], resolved.resolves);
        expect("confidence_resolve_latency_microseconds_bucket", &[id, ("le", "+Inf")], resolved.resolves);
        // All that came is there, and nothing is missing: the accounts know of no loss either.
        for name in ["tributary_records_missing", "tributary_lost_records_total"] {
            if metrics.sum(name) != 0.0 {
                differences.push(format!("{name}: {} instead of 0", metrics.sum(name)));
            }
        }
        let resolves = sum_of(metrics, "confidence_resolves_total", &format!("resolver_id={RESOLVER_ID:?}"));
        let answered: u64 = resolved.by_reason.values().sum();
        if resolves != answered {
            differences.push(format!("{resolves} flags of the real producer, {answered} in its answers"));
        }
        differences
    }
}

/// The sum over the series of `name` that have `label`.
pub fn sum_of(metrics: &Exposition, name: &str, label: &str) -> u64 {
    let sum: f64 = metrics.series(name).filter(|(series, _)| series.contains(label)).map(|(_, value)| value).sum();
    format!("{sum}").parse().unwrap_or_default()
}

fn stream(random: &mut DemoRandom) -> Stream {
    let mut id = [0; 16];
    for byte in &mut id {
        *byte = u8::try_from(random.below(256)).unwrap_or_default();
    }
    let resolver_id = random.choose(&RESOLVERS).copied().unwrap_or("cf-resolver");
    Stream { id: StreamId(id), sequence: 0, resolver_id }
}

/// The first delivery of a message that is sent now.
pub fn delivery(id: String, body: Body) -> Delivery {
    Delivery { id, attempts: 1, timestamp_ms: now_ms(), body }
}

/// Now, in milliseconds since the epoch.
pub fn now_ms() -> u64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
}

#[expect(clippy::cast_precision_loss, reason = "counts of a test are far below 2^53")]
fn to_f64(count: u64) -> f64 {
    count as f64
}
