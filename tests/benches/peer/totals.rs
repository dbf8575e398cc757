//! The proof that both sides do the same work: equal totals, before anything is measured.

use std::collections::{BTreeMap, BTreeSet};

use confidence_resolver::{
    proto::{
        Message as _,
        confidence::flags::resolver::v1::{
            ResolveReason, TelemetryData,
            telemetry_data::{ApplyDedupTelemetry, EventsTelemetry, FlushTelemetry, ProviderInitRate, StateAge},
        },
    },
    telemetry::{Telemetry, TelemetrySnapshot},
};
use tributary_consumer::ledger::book::Book;
use tributary_proto::{
    Message as _,
    events::flag_assigned::AppliedFlag,
    flag_logs::{TelemetryData as OurTelemetryData, WriteFlagLogsRequest, telemetry_data::ResolveRate},
};
use tributary_telemetry::{
    LATENCY_BOUNDS, LabelSet, Number, Snapshot, Value,
    confidence::{TelemetryDelta, catalog, declare_resolver},
};

use crate::{
    consuming::{CoreLedger, process_batch, process_batch_of_peer},
    inputs::{BATCH, Inputs, NOW_MS, RESOLVER_ID},
};

/// What a backend learns.
#[derive(Default)]
struct Learned {
    /// By flag, then variant or rule.
    counts: BTreeMap<(String, String), i64>,
    /// By flag, rule and assignment id.
    assignment_counts: BTreeMap<(String, String, String), i64>,
    /// By resolve id.
    assigned: BTreeMap<String, Vec<AppliedFlag>>,
    /// By credential, encoded.
    schemas: BTreeMap<String, BTreeSet<Vec<u8>>>,
}

impl Learned {
    fn add(&mut self, logs: WriteFlagLogsRequest) {
        for info in logs.flag_resolve_info {
            for variant in info.variant_resolve_info {
                *self.counts.entry((info.flag.clone(), variant.variant)).or_default() += variant.count;
            }
            for rule in info.rule_resolve_info {
                *self.counts.entry((info.flag.clone(), rule.rule.clone())).or_default() += rule.count;
                for assignment in rule.assignment_resolve_info {
                    let key = (info.flag.clone(), rule.rule.clone(), assignment.assignment_id);
                    *self.assignment_counts.entry(key).or_default() += assignment.count;
                }
            }
        }
        for assigned in logs.flag_assigned {
            let flags = self.assigned.entry(assigned.resolve_id).or_default();
            flags.extend(assigned.flags);
            // Their order is that of a hash map in the resolver state, another one in every isolate.
            flags.sort_by(|left, right| left.flag.cmp(&right.flag));
        }
        for info in logs.client_resolve_info {
            let schemas = self.schemas.entry(info.client_credential).or_default();
            schemas.extend(info.schema.iter().map(tributary_proto::Message::encode_to_vec));
        }
    }
}

/// Latency count, sum and buckets; resolves by reason.
#[derive(Debug, PartialEq)]
struct Counted {
    count: u64,
    sum: u64,
    buckets: Vec<u64>,
    reasons: Vec<u64>,
}

impl Counted {
    fn of_peer(snapshot: &TelemetrySnapshot) -> Self {
        let mut buckets = snapshot.latency.buckets.clone();
        buckets.resize(LATENCY_BOUNDS + 1, 0);
        let mut reasons = snapshot.resolve_rates.clone();
        reasons.resize(11, 0);
        Self { count: snapshot.latency.count, sum: snapshot.latency.sum, buckets, reasons }
    }

    fn of_ours(state: &Snapshot) -> Self {
        let labels = LabelSet::from_pairs([(catalog::RESOLVER_ID, RESOLVER_ID)]).unwrap();
        let latency = state.get(catalog::RESOLVE_LATENCY.name(), &labels).unwrap().value();
        let Value::Histogram(latency) = latency else { unreachable!("a histogram") };
        let Number::Unsigned(sum) = latency.sum() else { unreachable!("a sum of integers") };
        let reason = |number: i32| {
            let name = ResolveReason::try_from(number).unwrap().as_str_name();
            let labels = [(catalog::RESOLVER_ID, RESOLVER_ID), (catalog::REASON, name)];
            match state.get(catalog::RESOLVES.name(), &LabelSet::from_pairs(labels).unwrap()).unwrap().value() {
                Value::Counter(total) => *total,
                other => unreachable!("{other:?}"),
            }
        };
        Self {
            count: latency.count(),
            sum,
            buckets: latency.bucket_counts().to_vec(),
            reasons: (0..11).map(reason).collect(),
        }
    }
}

/// Runs both consumers over the same resolves and compares state and deliveries.
///
/// One thing differs, and is checked against the messages themselves: where a rule's next message does not name an
/// assignment id, the peer forgets that id's count.
pub(crate) fn assert_both_sides_count_the_same(inputs: &Inputs) {
    assert_eq!((inputs.single.len(), inputs.coalesced.len()), (BATCH, BATCH));
    for (messages, peer) in [(&inputs.single, &inputs.peer[..BATCH]), (&inputs.coalesced, &inputs.peer[..])] {
        let mut snapshot = TelemetrySnapshot::default();
        let (mut peers, mut sent) = (Learned::default(), Learned::default());
        for batch in peer.chunks(BATCH) {
            let (_, body) = process_batch_of_peer(batch, &mut snapshot);
            peers.add(serde_json::from_str(&body).unwrap());
            batch.iter().for_each(|text| sent.add(serde_json::from_str(text).unwrap()));
        }
        let ledger = CoreLedger::new(Book::new(RESOLVER_ID, NOW_MS).unwrap());
        let mut ours = Learned::default();
        for body in process_batch(messages, &ledger) {
            ours.add(WriteFlagLogsRequest::decode(body.as_slice()).unwrap());
        }
        let resolves = u64::try_from(peer.len()).unwrap();
        assert_eq!(Counted::of_ours(&ledger.book.borrow().state).count, resolves);
        assert_eq!(Counted::of_peer(&snapshot), Counted::of_ours(&ledger.book.borrow().state));
        assert_eq!(ours.assigned.len(), peer.len(), "every resolve assigns something");
        assert_eq!(ours.assignment_counts, sent.assignment_counts);
        for other in [&sent, &peers] {
            assert_eq!(ours.counts, other.counts);
            assert_eq!(ours.schemas, other.schemas);
            // Without a report of ten thousand lines where it fails.
            assert!(ours.assigned == other.assigned, "the assignments differ");
        }
    }
}

/// States in which everything that the peer's text can show has a value: every bucket, every reason, every counter.
pub(crate) fn full_states() -> (TelemetrySnapshot, Snapshot) {
    let recorder = Telemetry::new();
    let mut latency = 1.0_f64;
    while latency < f64::from(u32::MAX) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within u32")]
        recorder.record_latency_us(latency as u32);
        latency *= 1.07;
    }
    for reason in 0..11 {
        (0..=reason).for_each(|_| recorder.mark_resolve(ResolveReason::try_from(reason).unwrap()));
    }
    let labels = [("encryption", "true"), ("sdk", "js")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    let report = TelemetryData {
        memory_bytes: 8 << 20,
        state_age: Some(StateAge { last_state_update: NOW_MS }),
        apply_dedup: Some(ApplyDedupTelemetry {
            applies_total: 900,
            applies_deduped: 300,
            apply_dedup_overflow: 2,
            sweeps: 5,
            map_size: 80,
            map_capacity: 1_000,
        }),
        flush: Some(FlushTelemetry { succeeded: 70, failed: 3 }),
        events: Some(EventsTelemetry { published: 40, batches_succeeded: 9, batches_failed: 1, events_rejected: 2 }),
        provider_init_rate: vec![ProviderInitRate { count: 4, labels: labels.into() }],
        ..recorder.delta_snapshot(&Default::default())
    };
    let mut peer = TelemetrySnapshot::default();
    peer.accumulate_delta(&report);

    let report = OurTelemetryData::decode(report.encode_to_vec().as_slice()).unwrap();
    assert!(report.resolve_rate.contains(&ResolveRate { count: 11, reason: 10 }));
    let (delta, _) = TelemetryDelta::from_wire(&report, NOW_MS).unwrap();
    let mut ours = Snapshot::new(NOW_MS);
    let _declared = declare_resolver(&mut ours, RESOLVER_ID).unwrap();
    let _applied = ours.apply(&delta.to_delta(RESOLVER_ID, NOW_MS).unwrap(), NOW_MS).unwrap();
    (peer, ours)
}

/// Every sample of the peer's text is in ours, with the same value.
pub(crate) fn assert_text_says_the_same(peer: &str, ours: &str) {
    let ours = samples(ours);
    let peer = samples(peer);
    assert!(peer.len() > LATENCY_BOUNDS + 20, "{} samples", peer.len());
    for (series, value) in peer {
        assert_eq!(ours.get(&series), Some(&value), "{series:?}");
    }
}

/// Values by name and sorted labels. No label value here holds a comma or a brace.
fn samples(text: &str) -> BTreeMap<(String, BTreeSet<String>), String> {
    let sample = |line: &str| {
        let (series, value) = line.rsplit_once(' ').unwrap();
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        let labels = labels.trim_end_matches('}').split(',').map(str::to_owned).collect();
        ((name.to_owned(), labels), value.to_owned())
    };
    text.lines().filter(|line| !line.starts_with('#')).map(sample).collect()
}
