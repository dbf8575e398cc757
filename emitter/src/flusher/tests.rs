//! What the stream does with metrics, alone and beside flag logs. What it does with flag logs is held by the producer's
//! tests, too.

use std::collections::BTreeSet;

use proptest::prelude::*;
use tributary_telemetry::{
    FamilyDescriptor, LabelSet, MetricKind, Snapshot, Value, custom,
    limits::{MAX_MESSAGE_BUCKETS, MAX_MESSAGE_SERIES},
};

use super::*;
use crate::limits::{IN_FLIGHT_MS, MAX_SERIES};
use crate::registry::{Description, Registry};

const BOUNDS: &[f64] = &[1.0, 2.5, 10.0];

fn flusher() -> Flusher {
    let dimensions = BTreeMap::from([("colo".to_owned(), "AMS".to_owned())]);
    Flusher::new(Identity { stream_id: StreamId([7; 16]), name: "shop".to_owned(), dimensions })
}

fn describe(kind: MetricKind) -> Description<'static> {
    let (name, bounds): (_, &[f64]) = match kind {
        MetricKind::Counter => ("orders", &[]),
        MetricKind::Gauge => ("stock", &[]),
        MetricKind::Histogram => ("basket", BOUNDS),
        MetricKind::UpDown | MetricKind::Exponential => panic!("no family of an emitter"),
    };
    Description { name, help: "Help.", unit: "", kind, labels: &["n"], bounds }
}

fn counted(count: u64) -> Recorded {
    let mut registry = Registry::new();
    let place = registry.place(&describe(MetricKind::Counter), &["1"]);
    registry.add(place, count);
    registry.drain()
}

/// A consumer: takes messages in any order and any number of times, applies each sequence once, and refuses what the
/// real one refuses.
struct Receiver {
    sequences: BTreeSet<u64>,
    state: Snapshot,
    assignments: u64,
    dropped: BTreeMap<i32, (u64, u64)>,
    largest_bytes: usize,
    reports: Vec<Vec<u8>>,
}

impl Receiver {
    fn new() -> Self {
        let (sequences, dropped, reports) = (BTreeSet::new(), BTreeMap::new(), Vec::new());
        Self { sequences, state: Snapshot::new(0), assignments: 0, dropped, largest_bytes: 0, reports }
    }

    fn take(&mut self, bytes: &[u8]) {
        self.largest_bytes = self.largest_bytes.max(bytes.len());
        let envelope = Envelope::decode(bytes).unwrap();
        assert_eq!((envelope.stream_id, envelope.resolver_id.as_str()), (StreamId([7; 16]), "shop"));
        if !self.sequences.insert(envelope.sequence) {
            return;
        }
        let set = envelope.metrics().unwrap();
        let read = custom::read(set, envelope.window_start_ms, envelope.window_end_ms).unwrap();
        let applied = self.state.apply_custom(&read.delta, envelope.window_end_ms);
        assert_eq!((applied.series_conflicting, applied.series_overflowing), (0, 0));
        // In these tests a byte of a fragment is an assignment, and reports are marked with other bytes.
        self.assignments += u64::try_from(envelope.flag_logs.iter().filter(|byte| **byte == b'a').count()).unwrap();
        let report: Vec<u8> = envelope.flag_logs.iter().copied().filter(|byte| *byte != b'a').collect();
        if !report.is_empty() {
            self.reports.push(report);
        }
        for entry in envelope.dropped {
            let total = self.dropped.entry(entry.reason).or_default();
            *total = (total.0 + entry.assignments, total.1 + entry.recordings);
        }
    }

    fn take_all(&mut self, attempt: &Attempt) -> Vec<u64> {
        attempt.messages.iter().for_each(|(_, bytes)| self.take(bytes));
        attempt.messages.iter().map(|(sequence, _)| *sequence).collect()
    }

    fn has_no_holes(&self) -> bool {
        self.sequences.iter().copied().eq(1..=u64::try_from(self.sequences.len()).unwrap())
    }

    fn value(&self, family: &str, n: &str) -> Option<Value> {
        let labels = LabelSet::from_pairs([("n", n)]).unwrap();
        self.state.get(family, &labels).map(|series| series.value().clone())
    }
}

fn fragment(bytes: usize) -> Fragment {
    Fragment { bytes: vec![b'a'; bytes], assignments: u64::try_from(bytes).unwrap() }
}

#[test]
fn metrics_logs_and_report_of_a_window_are_one_message() {
    let mut flusher = flusher();
    flusher.push(1_000, 0, 1_000);
    flusher.add_metrics(counted(5));
    flusher.add_fragments(vec![fragment(10)], 0);
    let sealed = flusher.seal(2_000, true, || vec![b"report".to_vec()], None);
    assert_eq!(sealed, Sealed { messages: 1, ..Sealed::default() });
    let attempt = flusher.take(2_000);
    let envelope = Envelope::decode(&attempt.messages[0].1).unwrap();
    assert_eq!((envelope.sequence, envelope.window_start_ms, envelope.window_end_ms), (1, 1_000, 2_000));
    assert_eq!(envelope.dimensions["colo"], "AMS");
    let mut receiver = Receiver::new();
    receiver.take_all(&attempt);
    assert_eq!(receiver.value("orders", "1"), Some(Value::Counter(5)));
    assert_eq!((receiver.assignments, receiver.reports), (10, vec![b"report".to_vec()]));
}

#[test]
fn a_report_and_metrics_that_fit_no_message_together_are_two() {
    let mut flusher = flusher();
    flusher.add_metrics(counted(5));
    let sealed = flusher.seal(0, true, || vec![vec![1; MAX_FRAGMENT_BYTES - 5]], None);
    assert_eq!((sealed.messages, sealed.error), (2, None));
    let mut receiver = Receiver::new();
    receiver.take_all(&flusher.take(0));
    assert_eq!(receiver.value("orders", "1"), Some(Value::Counter(5)));
    assert_eq!(receiver.reports.len(), 1);
}

#[test]
fn as_many_series_as_an_isolate_has_go_out_in_messages_that_are_taken() {
    let mut registry = Registry::new();
    let long = "x".repeat(900);
    for index in 0..MAX_SERIES {
        let kind = [MetricKind::Counter, MetricKind::Histogram, MetricKind::Gauge][index % 3];
        let name: &'static str = ["orders", "basket", "stock"][index % 3];
        let description = Description { name, ..describe(kind) };
        let place = registry.place(&description, &[&format!("{index}{long}")]);
        registry.add(place, 1);
        registry.observe(place, 2.0);
        registry.set(place, 1.0, 500);
    }
    let mut flusher = flusher();
    flusher.add_metrics(Recorded { invalid: 0, ..registry.drain() });
    let sealed = flusher.seal(1_000, false, Vec::new, None);
    assert!(sealed.messages > 10 && sealed.error.is_none(), "{sealed:?}");
    let mut receiver = Receiver::new();
    receiver.take_all(&flusher.take(1_000));
    assert!(receiver.has_no_holes());
    assert!(receiver.largest_bytes <= tributary_proto::envelope::MAX_ENVELOPE_BYTES);
    assert!(receiver.largest_bytes > MAX_FRAGMENT_BYTES - 2_000, "messages are filled");
    let most = MAX_MESSAGE_SERIES.max(MAX_MESSAGE_BUCKETS);
    assert!(most < MAX_FRAGMENT_BYTES, "a message holds less");
}

#[test]
fn while_the_queue_is_down_metrics_merge_and_none_is_lost_or_given_up() {
    let mut flusher = flusher();
    let mut receiver = Receiver::new();
    for window in 0..500_u64 {
        flusher.add_metrics(counted(1));
        flusher.add_fragments((0..4).map(|_| fragment(20_000)).collect(), 0);
        flusher.seal(window * 1_000, false, Vec::new, None);
        let attempt = flusher.take(window * 1_000);
        let sequences: Vec<u64> = attempt.messages.iter().map(|(sequence, _)| *sequence).collect();
        flusher.release(attempt.id, &sequences);
        assert!(flusher.outbox().len() <= MAX_OUTBOX_MESSAGES);
        assert!(flusher.buffered_bytes() <= MAX_BUFFER_BYTES);
    }
    for _ in 0..20 {
        flusher.seal(500_000, false, Vec::new, None);
        let sequences = receiver.take_all(&flusher.take(500_000));
        flusher.confirm(&sequences);
    }
    assert!(flusher.outbox().is_empty() && flusher.is_empty());
    assert_eq!(receiver.value("orders", "1"), Some(Value::Counter(500)));
    assert!(receiver.has_no_holes());
    assert!(receiver.sequences.len() < 200, "windows coalesced");
    let (lost, _) = receiver.dropped[&i32::from(Reason::BufferFull)];
    assert!(lost > 0, "nothing was given up: the test proves nothing");
    assert_eq!(receiver.assignments + lost, 500 * 4 * 20_000);
}

#[test]
fn what_was_dropped_goes_out_once_and_even_alone() {
    let mut flusher = flusher();
    flusher.add_metrics(Recorded { invalid: 2, limited: 3, ..Recorded::default() });
    flusher.add_metrics(Recorded { invalid: 5, ..Recorded::default() });
    assert_eq!(flusher.seal(0, false, Vec::new, None).messages, 1);
    assert_eq!(flusher.seal(0, false, Vec::new, None), Sealed::default());
    let mut receiver = Receiver::new();
    receiver.take_all(&flusher.take(0));
    assert_eq!(receiver.dropped, BTreeMap::from([(3, (0, 7)), (4, (0, 3))]));
}

#[test]
fn a_total_that_passes_64_bits_in_one_window_is_counted_as_lost() {
    let mut flusher = flusher();
    flusher.add_metrics(counted(u64::MAX));
    flusher.add_metrics(counted(1));
    flusher.seal(0, false, Vec::new, None);
    let mut receiver = Receiver::new();
    receiver.take_all(&flusher.take(0));
    assert_eq!(receiver.value("orders", "1"), Some(Value::Counter(u64::MAX)));
    assert_eq!(receiver.dropped, BTreeMap::from([(3, (0, 1))]));
}

#[derive(Clone, Debug)]
enum Step {
    Count(u8, u32),
    Observe(u8, u16),
    Read(u8, i16),
    Seal,
    Take,
    Confirm { attempt: usize, is_answered: bool },
    Fail { attempt: usize, has_arrived: bool },
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..4_u8, any::<u32>()).prop_map(|(n, count)| Step::Count(n, count)),
        3 => (0..4_u8, 0..20_u16).prop_map(|(n, value)| Step::Observe(n, value)),
        2 => (0..4_u8, any::<i16>()).prop_map(|(n, value)| Step::Read(n, value)),
        3 => Just(Step::Seal),
        3 => Just(Step::Take),
        2 => (0..4_usize, any::<bool>()).prop_map(|(attempt, is_answered)| Step::Confirm { attempt, is_answered }),
        2 => (0..4_usize, any::<bool>()).prop_map(|(attempt, has_arrived)| Step::Fail { attempt, has_arrived }),
        2 => (1..20_000_u64).prop_map(Step::Pass),
    ]
}

proptest! {
    /// Whatever the order of recordings, seals, sends that succeed, fail, or fail after all arrived, and flushers that are
    /// cut off: what a consumer that applies each sequence once comes to is what was recorded.
    #[test]
    fn everything_recorded_counts_once_in_any_interleaving(steps in proptest::collection::vec(step(), 0..120)) {
        let (mut registry, mut flusher, mut receiver) = (Registry::new(), flusher(), Receiver::new());
        let mut counts: BTreeMap<String, u64> = BTreeMap::new();
        let mut baskets: BTreeMap<String, [u64; 4]> = BTreeMap::new();
        let mut readings: BTreeMap<String, f64> = BTreeMap::new();
        let mut attempts: Vec<Attempt> = Vec::new();
        let mut now_ms = 1_000_000;
        for step in steps {
            match step {
                Step::Count(n, count) => {
                    let n = n.to_string();
                    let place = registry.place(&describe(MetricKind::Counter), &[&n]);
                    registry.add(place, u64::from(count));
                    *counts.entry(n).or_default() += u64::from(count);
                }
                Step::Observe(n, value) => {
                    let n = n.to_string();
                    let value = f64::from(value) / 2.0;
                    let place = registry.place(&describe(MetricKind::Histogram), &[&n]);
                    registry.observe(place, value);
                    let bucket = if value <= 1.0 { 0 } else if value <= 2.5 { 1 } else if value <= 10.0 { 2 } else { 3 };
                    baskets.entry(n).or_default()[bucket] += 1;
                }
                Step::Read(n, value) => {
                    // Time passes between readings: of two at one time in two windows the greater counts.
                    now_ms += 1;
                    let n = n.to_string();
                    let place = registry.place(&describe(MetricKind::Gauge), &[&n]);
                    registry.set(place, f64::from(value), now_ms);
                    readings.insert(n, f64::from(value));
                }
                Step::Seal => {
                    flusher.push(now_ms, 0, 1_000);
                    flusher.add_metrics(registry.drain());
                    prop_assert_eq!(flusher.seal(now_ms, false, Vec::new, None).error, None);
                }
                Step::Take => attempts.push(flusher.take(now_ms)),
                Step::Confirm { attempt, is_answered } if attempt < attempts.len() => {
                    let sequences = receiver.take_all(&attempts.swap_remove(attempt));
                    if is_answered {
                        flusher.confirm(&sequences);
                    }
                }
                Step::Fail { attempt, has_arrived } if attempt < attempts.len() => {
                    let attempt = attempts.swap_remove(attempt);
                    if has_arrived {
                        receiver.take_all(&attempt);
                    }
                    let sequences: Vec<u64> = attempt.messages.iter().map(|(sequence, _)| *sequence).collect();
                    flusher.release(attempt.id, &sequences);
                }
                Step::Pass(millis) => now_ms += millis,
                Step::Confirm { .. } | Step::Fail { .. } => {}
            }
        }
        // Calm: the attempts in the air were cut off, their holds expire, and flushes succeed.
        for _ in 0..2 {
            now_ms += IN_FLIGHT_MS;
            flusher.add_metrics(registry.drain());
            flusher.seal(now_ms, false, Vec::new, None);
            let sequences = receiver.take_all(&flusher.take(now_ms));
            flusher.confirm(&sequences);
        }
        prop_assert!(flusher.outbox().is_empty() && flusher.is_empty());
        prop_assert!(receiver.has_no_holes() && receiver.dropped.is_empty());
        for (n, count) in counts {
            prop_assert_eq!(receiver.value("orders", &n), Some(Value::Counter(count)));
        }
        for (n, buckets) in baskets {
            let Some(Value::Histogram(basket)) = receiver.value("basket", &n) else { panic!("no histogram") };
            prop_assert_eq!(basket.bucket_counts(), buckets);
        }
        for (n, reading) in readings {
            let Some(Value::Gauge(stock)) = receiver.value("stock", &n) else { panic!("no gauge") };
            prop_assert_eq!(stock.value().to_f64(), reading);
        }
    }
}

/// Two recordings of one family that differ in what a series is cannot come out of one registry; out of two they are
/// counted, not merged blindly.
#[test]
fn a_family_that_contradicts_what_waits_is_counted_as_lost() {
    let mut flusher = flusher();
    flusher.add_metrics(counted(1));
    let mut other = Delta::new();
    let gauge = FamilyDescriptor::new("orders", "", "", MetricKind::Gauge).unwrap();
    other.set_gauge(&gauge, LabelSet::empty(), tributary_telemetry::Gauge::unsigned(1, 1)).unwrap();
    flusher.add_metrics(Recorded { delta: other, ..Recorded::default() });
    flusher.seal(10, false, Vec::new, None);
    let mut receiver = Receiver::new();
    receiver.take_all(&flusher.take(10));
    assert_eq!(receiver.value("orders", "1"), Some(Value::Counter(1)));
    assert_eq!(receiver.dropped, BTreeMap::from([(3, (0, 1))]));
}
