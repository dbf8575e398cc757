//! A stored or published state.

use std::{collections::BTreeMap, rc::Rc};

use tributary_consumer::{
    config::Config,
    ledger::{floor::Floors, parts::StoredBook},
    scrape::{
        copy::{Copy, Source},
        respond::{Ask, Wanted, answer},
    },
    self_metrics::{self, LedgerStatus, with_readings},
};
use tributary_proto::v1::MetricSet;
use tributary_telemetry::{Delta, Snapshot, Value};

use super::NOW_MS;
use crate::memory::bounded;

/// The most that decoding may allocate, in multiples of the bytes: some 10 bytes make a histogram of 361 buckets.
const FACTOR: usize = 1_024;

/// Any bytes decode or are refused, in memory linear in them; what decodes is written and read back as the same state,
/// takes deltas and readings, keeps what it had, and answers a scrape.
///
/// # Panics
/// Where a property does not hold.
pub fn run(data: &[u8]) {
    let Ok(state) = bounded(data.len(), FACTOR, || Snapshot::decode(data)) else {
        let (config, _) = Config::read(&BTreeMap::new());
        let wanted = Wanted::read(Ask::default(), &config).expect("no option is bad");
        let copy = Copy { source: Source::Snapshot, publication: None, bytes: Rc::new(data.to_vec()) };
        assert!(answer(&copy, &wanted, Ask::default(), NOW_MS).is_err(), "never an empty page");
        return;
    };
    let bytes = state.encode();
    assert!(bytes.len() <= state.reserved_bytes(), "no state is longer than what its series take");
    let read = Snapshot::decode(&bytes).expect("a written state is read");
    assert_eq!(read, state, "a state reads back as it was");
    assert_eq!(read.encode(), bytes, "and is written as it was");
    let floors = Floors::default();
    let opened = StoredBook::of(&state, &floors).open().expect("a stored state is read");
    assert_eq!((&opened.state, opened.floors), (&state, floors));

    check_apply(&state);
    let mut declared = state.clone();
    if self_metrics::declare(&mut declared, "cf-resolver", NOW_MS).is_ok() {
        check_kept(&state, &declared);
    }
    let status = LedgerStatus { streams: BTreeMap::from([("producer", 3)]), ..LedgerStatus::default() };
    if let Ok(read) = with_readings(&state, &status, NOW_MS) {
        check_kept(&state, &read);
    }
}

/// Applies the state to itself: counters double or nothing changes, and none goes down.
fn check_apply(state: &Snapshot) {
    let mut families = state.to_wire().metrics.unwrap_or_default().families;
    families.iter_mut().flat_map(|family| &mut family.series).for_each(|series| series.start_time_ms = NOW_MS);
    let delta = Delta::from_wire(MetricSet { families }).expect("a state with one start is a delta");
    let mut doubled = state.clone();
    match doubled.apply(&delta, NOW_MS) {
        Ok(applied) => {
            assert_eq!((applied.series_added, applied.series_refused), (0, 0));
            assert_eq!(doubled.version(), state.version().saturating_add(1));
            check_kept(state, &doubled);
            for family in state.families() {
                for (labels, series) in family.series() {
                    let after = doubled.get(family.descriptor().name(), labels).expect("kept").value();
                    match (series.value(), after) {
                        (Value::Counter(one), Value::Counter(two)) => assert_eq!(one.checked_mul(2), Some(*two)),
                        (Value::Histogram(one), Value::Histogram(two)) => {
                            assert_eq!(one.count().checked_mul(2), Some(two.count()));
                        }
                        (Value::Exponential(one), Value::Exponential(two)) => {
                            assert_eq!(one.count().checked_mul(2), Some(two.count()));
                            assert_eq!((one.scale(), one.zero_threshold()), (two.scale(), two.zero_threshold()));
                        }
                        (Value::FloatCounter(one), Value::FloatCounter(two)) => assert_eq!(one * 2.0, *two),
                        (Value::UpDown(one), Value::UpDown(two)) => assert_eq!(one.to_f64() * 2.0, two.to_f64()),
                        (before, after) => assert_eq!(before, after),
                    }
                }
            }
        }
        Err(_) => assert_eq!(&doubled, state, "an error changes nothing"),
    }
}

/// Every series of `before` is in `after`, began when it began, and did not go down.
fn check_kept(before: &Snapshot, after: &Snapshot) {
    for family in before.families() {
        for (labels, series) in family.series() {
            let kept = after.get(family.descriptor().name(), labels).expect("no series disappears");
            assert_eq!(kept.start_time_ms(), series.start_time_ms(), "a start never moves");
            match (series.value(), kept.value()) {
                (Value::Counter(one), Value::Counter(two)) => assert!(one <= two),
                (Value::Histogram(one), Value::Histogram(two)) => {
                    assert_eq!(one.bounds(), two.bounds());
                    assert!(one.bucket_counts().iter().zip(two.bucket_counts()).all(|(one, two)| one <= two));
                }
                (Value::Exponential(one), Value::Exponential(two)) => {
                    assert!(one.count() <= two.count() && one.scale() >= two.scale());
                    assert!(one.zero_threshold() <= two.zero_threshold());
                }
                (Value::FloatCounter(one), Value::FloatCounter(two)) => assert!(one <= two),
                (Value::UpDown(_), Value::UpDown(_)) => {}
                (Value::Gauge(one), Value::Gauge(two)) => assert!(one.time_ms() <= two.time_ms()),
                (one, two) => panic!("{one:?} became {two:?}"),
            }
        }
    }
}
