//! What producers send, and what the metrics must come to: an oracle that knows nothing of the code under test.

use std::collections::BTreeMap;

use tributary_consumer::message::MessageBody;
use tributary_proto::{
    Message as _,
    envelope::{Envelope, StreamId},
    events::FlagAssigned,
    flag_logs::{
        ResolveReason, TelemetryData, WriteFlagLogsRequest,
        telemetry_data::{BucketSpan, ResolveLatency, ResolveRate},
    },
};

use tributary_telemetry::{Bounds, Delta, ExplicitBounds, FamilyDescriptor, Histogram, LabelSet, MetricKind, Number};

use crate::{
    chance::Chance,
    points::{PointTotals, Points, Sums},
};

/// Natural logarithm of the ratio between two bounds: 18 per decade.
const LN_RATIO: f64 = std::f64::consts::LN_10 / 18.0;
pub(crate) const PRODUCERS: [&str; 4] = ["eu", "us", "asia", "edge-\"quoted\\"];
/// What messages without a stream are labelled with.
pub(crate) const LEGACY_PRODUCER: &str = "cf-resolver";
const REASONS: [ResolveReason; 3] = [ResolveReason::Match, ResolveReason::NoSegmentMatch, ResolveReason::FlagArchived];

/// Custom metrics.
static ORDERS: FamilyDescriptor = FamilyDescriptor::from_static("shop_orders", "Orders.", "", MetricKind::Counter);
static BASKETS: FamilyDescriptor =
    FamilyDescriptor::from_static("shop_basket_items", "Items per order.", "", MetricKind::Histogram);
const BASKET_BOUNDS: [f64; 3] = [1.0, 2.5, 10.0];

/// One record, as its producer knows it.
#[derive(Clone, Copy)]
pub(crate) struct Sent {
    pub(crate) stream_id: [u8; 16],
    pub(crate) sequence: u64,
    /// Index in [`PRODUCERS`], or one past them for a message without a stream.
    pub(crate) producer: usize,
    reason: usize,
    resolves: u32,
    bucket: u8,
    latencies: u32,
    latency_sum: u32,
    points: Points,
}

impl Sent {
    pub(crate) fn resolver_id(&self) -> &'static str {
        PRODUCERS.get(self.producer).copied().unwrap_or(LEGACY_PRODUCER)
    }

    fn draw(stream_id: [u8; 16], sequence: u64, producer: usize, chance: &mut Chance) -> Self {
        let small = |chance: &mut Chance, most| u32::try_from(chance.below(most)).unwrap();
        Self {
            stream_id,
            sequence,
            producer,
            reason: chance.below(REASONS.len()),
            resolves: 1 + small(chance, 50),
            bucket: u8::try_from(chance.below(174)).unwrap(),
            latencies: 1 + small(chance, 9),
            latency_sum: small(chance, 1 << 30),
            points: Points::draw(chance),
        }
    }

    /// What the Worker counts of its own, beside the flags. Its label has a name that others use, too.
    fn custom(&self) -> Delta {
        let labels = LabelSet::from_pairs([("resolver_id", self.resolver_id())]).unwrap();
        let bounds = Bounds::Explicit(ExplicitBounds::new(&BASKET_BOUNDS).unwrap());
        let mut counts = vec![0; BASKET_BOUNDS.len() + 1];
        counts[self.basket()] = u64::from(self.latencies);
        let histogram = Histogram::from_parts(bounds, counts, Number::Float(f64::from(self.latency_sum))).unwrap();
        let mut delta = Delta::new();
        delta.add_counter(&ORDERS, labels.clone(), u64::from(self.resolves)).unwrap();
        delta.add_histogram(&BASKETS, labels, &histogram).unwrap();
        delta
    }

    fn basket(&self) -> usize {
        usize::from(self.bucket) % (BASKET_BOUNDS.len() + 1)
    }

    fn logs(&self, resolve_id: String) -> WriteFlagLogsRequest {
        WriteFlagLogsRequest {
            flag_assigned: vec![FlagAssigned { resolve_id, ..FlagAssigned::default() }],
            telemetry_data: Some(TelemetryData {
                resolve_rate: vec![ResolveRate { count: self.resolves, reason: REASONS[self.reason].into() }],
                resolve_latency: Some(ResolveLatency {
                    sum: self.latency_sum,
                    count: self.latencies,
                    buckets: vec![BucketSpan { offset: i32::from(self.bucket), counts: vec![self.latencies] }],
                    ln_ratio: LN_RATIO,
                }),
                ..TelemetryData::default()
            }),
            ..WriteFlagLogsRequest::default()
        }
    }
}

/// Every producer, and all that was sent.
pub(crate) struct Traffic {
    streams: Vec<([u8; 16], usize, u64)>,
    /// How many ledgers the later half of the streams knows; the others began when there was one.
    ledgers: u32,
    pub(crate) sent: Vec<Sent>,
}

impl Traffic {
    pub(crate) fn new(streams: usize, ledgers: u32, chance: &mut Chance) -> Self {
        let stream = |k: usize, chance: &mut Chance| {
            let mut stream_id = [0; 16];
            stream_id[..8].copy_from_slice(&chance.next().to_be_bytes());
            stream_id[8..].copy_from_slice(&chance.next().to_be_bytes());
            (stream_id, k % PRODUCERS.len(), 0)
        };
        Self { streams: (0..streams).map(|k| stream(k, chance)).collect(), ledgers, sent: Vec::new() }
    }

    /// The next record of some stream as a message body. Assignments are known by the index of their record.
    pub(crate) fn next(&mut self, now_ms: u64, chance: &mut Chance) -> MessageBody {
        let index = self.sent.len();
        let at = chance.below(self.streams.len());
        let ledgers = if at * 2 < self.streams.len() { 1 } else { self.ledgers };
        let (stream_id, producer, sequence) = &mut self.streams[at];
        *sequence += 1;
        let sent = Sent::draw(*stream_id, *sequence, *producer, chance);
        self.sent.push(sent);
        let metrics = sent.custom().to_wire().encode_to_vec();
        let envelope = Envelope {
            stream_id: StreamId(sent.stream_id),
            ledgers,
            sequence: sent.sequence,
            window_start_ms: now_ms - 1_000,
            window_end_ms: now_ms,
            resolver_id: sent.resolver_id().to_owned(),
            dimensions: BTreeMap::new(),
            flag_logs: sent.logs(index.to_string()).encode_to_vec(),
            metrics,
            resource_metrics: sent.points.encode(sent.resolver_id()),
            dropped: vec![],
        };
        MessageBody::Bytes(envelope.encode().unwrap())
    }

    /// A message of today's Confidence resolver: text without a stream, known to the Ledger by the queue's id.
    pub(crate) fn next_legacy(&mut self, stream_id: [u8; 16], chance: &mut Chance) -> MessageBody {
        let index = self.sent.len();
        let sent = Sent::draw(stream_id, 1, PRODUCERS.len(), chance);
        self.sent.push(sent);
        MessageBody::Text(serde_json::to_string(&sent.logs(index.to_string())).unwrap())
    }
}

/// What the metrics must say of the records of one producer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) records: u64,
    pub(crate) resolves: BTreeMap<&'static str, u64>,
    pub(crate) latency_sum: u64,
    pub(crate) latency_buckets: BTreeMap<usize, u64>,
    pub(crate) orders: u64,
    pub(crate) baskets: BTreeMap<usize, u64>,
    pub(crate) points: PointTotals,
}

/// Totals by producer of what `counts` says of each record how often it counts.
pub(crate) fn totals<'a>(sent: impl Iterator<Item = (&'a Sent, u64)>) -> BTreeMap<&'static str, Totals> {
    let mut all: BTreeMap<&'static str, Totals> = BTreeMap::new();
    let mut points: BTreeMap<&'static str, Sums> = BTreeMap::new();
    for (sent, times) in sent.filter(|(_, times)| *times > 0) {
        let totals = all.entry(sent.resolver_id()).or_default();
        totals.records += times;
        *totals.resolves.entry(REASONS[sent.reason].as_str_name()).or_default() += times * u64::from(sent.resolves);
        totals.latency_sum += times * u64::from(sent.latency_sum);
        *totals.latency_buckets.entry(usize::from(sent.bucket)).or_default() += times * u64::from(sent.latencies);
        if sent.producer < PRODUCERS.len() {
            totals.orders += times * u64::from(sent.resolves);
            *totals.baskets.entry(sent.basket()).or_default() += times * u64::from(sent.latencies);
            points.entry(sent.resolver_id()).or_default().add(&sent.points, times);
        }
    }
    for (resolver_id, sums) in points {
        all.entry(resolver_id).or_default().points = sums.totals();
    }
    all
}
