//! Several ledgers against one that gets everything: each decides about its own streams, and what ledger 0 says of all is
//! what the one says.

use std::collections::BTreeMap;

use proptest::{collection::vec, prelude::*, sample::Index};
use tributary_proto::envelope::StreamId;
use tributary_telemetry::{Delta, FamilyDescriptor, LabelSet, MetricKind, Number, Value, Zero};

use super::*;
use crate::{
    ledger::{
        commit::{Commit, Decision, Record, tests::Memory},
        floor::StreamBounds,
    },
    limits::MAX_ACCOUNTS,
    self_metrics::with_readings,
};

const NOW: u64 = 1_800_000_000_000;
const FAMILY: FamilyDescriptor = FamilyDescriptor::from_static("tributary_deltas", "Deltas.", "", MetricKind::Counter);
const ORDERS: FamilyDescriptor = FamilyDescriptor::from_static("shop_orders", "Orders.", "", MetricKind::Counter);

fn stream(number: u64) -> StreamId {
    let mut id = [7; 16];
    id[..8].copy_from_slice(&number.to_be_bytes());
    StreamId(id)
}

fn commit_of(stream_number: u64, sequence: u64, resolver_id: &str, amount: u64) -> Commit {
    let of = |family: &FamilyDescriptor| {
        let mut delta = Delta::new();
        delta.set_start(NOW - 1_000);
        let labels = LabelSet::from_pairs([("resolver_id", resolver_id)]).unwrap();
        delta.add_counter(family, labels, amount).unwrap();
        delta
    };
    let record = Record {
        stream_id: stream(stream_number),
        sequence,
        window_end_ms: NOW,
        kind: StreamKind::Producer,
        resolver_id: resolver_id.into(),
    };
    Commit { records: vec![record], delta: of(&FAMILY), custom: vec![of(&ORDERS)] }
}

fn is_applied(decision: &Decision) -> bool {
    matches!(decision, Decision::Apply { .. })
}

/// The copy of a ledger, over the wire.
fn copy(memory: &mut Memory) -> LedgerCopy {
    LedgerCopy::decode(&LedgerCopy::encode(memory.book())).unwrap()
}

/// Counters by series, of what is published; what each ledger counts of itself aside.
fn published(memory: &mut Memory) -> BTreeMap<(String, LabelSet), u64> {
    let book = memory.book();
    let state = with_readings(&book.state, &status_of_all(book), NOW + 5_000).unwrap();
    let mut all = BTreeMap::new();
    for family in state.families() {
        let name = family.descriptor().name();
        for (labels, series) in family.series() {
            let value = match series.value() {
                Value::Counter(count) => *count,
                Value::Gauge(gauge) if name == RECORDS_MISSING.name() || name == self_metrics::STREAMS.name() => {
                    let Number::Unsigned(value) = gauge.value() else { panic!("{gauge:?}") };
                    value
                }
                _ => continue,
            };
            all.insert((name.to_owned(), labels.clone()), value);
        }
    }
    all
}

fn check_accounts(memory: &mut Memory) {
    let all = published(memory);
    let accounts: Vec<String> = self_metrics::accounts(&memory.book().state).map(str::to_owned).collect();
    for account in accounts {
        let labels = LabelSet::from_pairs([("resolver_id", account.as_str())]).unwrap();
        let of = |family: &FamilyDescriptor| all.get(&(family.name().to_owned(), labels.clone())).copied().unwrap();
        assert_eq!(of(&RECORDS_SENT), of(&RECORDS_APPLIED) + of(&RECORDS_MISSING) + of(&LOST_RECORDS), "{account}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Records with gaps and repetitions of twelve streams, forgetting, restarts of ledger 0, and copies of any age.
    #[test]
    fn what_ledger_0_says_of_all_is_what_one_ledger_says(
        steps in vec((0_u64..12, 1_u64..9, 0_usize..3, 1_u64..100, 0_u8..10, any::<Index>()), 1..80),
    ) {
        let (mut one, mut three) = (Memory::new(), [Memory::new(), Memory::new(), Memory::new()]);
        let mut copies: Vec<(u32, LedgerCopy)> = Vec::new();
        for (number, sequence, resolver, amount, what, index) in steps {
            let commit = commit_of(number, sequence, ["eu", "us", "asia"][resolver], amount);
            let ledger = stream(number).share(3);
            let of_one = one.commit(&commit, NOW).unwrap();
            let of_three = three[ledger as usize].commit(&commit, NOW).unwrap();
            prop_assert_eq!(is_applied(&of_one), is_applied(&of_three), "where it belongs it is known, or not");
            if what < 4 && ledger != MAIN {
                copies.push((ledger, copy(&mut three[ledger as usize])));
            }
            if what < 6 && !copies.is_empty() {
                let (ledger, copy) = index.get(&copies).clone();
                let before = published(&mut three[0]);
                take_in(three[0].book(), ledger, copy, NOW).unwrap();
                let after = published(&mut three[0]);
                for (series, value) in before.iter().filter(|((name, _), _)| !name.contains("missing") && !name.contains("streams")) {
                    prop_assert!(after[series] >= *value, "{:?} fell", series);
                }
            }
            if what == 9 {
                let others = three[0].book().others.clone();
                three[0].restart();
                three[0].book().others = others;
            }
            check_accounts(&mut three[0]);
        }
        for ledger in [2, 1] {
            let copy = copy(&mut three[ledger as usize]);
            take_in(three[0].book(), ledger, copy.clone(), NOW).unwrap();
            prop_assert!(!take_in(three[0].book(), ledger, copy, NOW).unwrap(), "the same again is nothing");
        }
        prop_assert_eq!(published(&mut three[0]), published(&mut one));
    }
}

#[test]
fn the_names_of_the_objects_never_change() {
    assert_eq!([0, 1, 15].map(object_name), ["main", "main-1", "main-15"]);
    assert_eq!([0, 1, 15, 16, u32::MAX].map(is_other), [false, true, true, false, false]);
}

#[test]
fn what_is_no_copy_is_an_error_and_what_is_not_known_of_one_is_left_out() {
    let mut memory = Memory::new();
    memory.commit(&commit_of(1, 3, "eu", 5), NOW).unwrap();
    let bytes = LedgerCopy::encode(memory.book());
    let read = LedgerCopy::decode(&bytes).unwrap();
    assert_eq!(read.state, memory.state);
    assert_eq!((read.streams["producer"], read.missing["eu"]), (1, 2));
    for spoiled in [&b""[..], b"\xff\xff", &bytes[..bytes.len() / 2]] {
        assert!(matches!(LedgerCopy::decode(spoiled), Err(StorageError::State(_))));
    }
    let mut wire = v1::LedgerCopy::decode(bytes.as_slice()).unwrap();
    wire.streams.insert("of tomorrow".to_owned(), 5);
    assert_eq!(LedgerCopy::decode(&wire.encode_to_vec()).unwrap(), read);
}

#[test]
fn a_ledger_that_forgets_shows_it_and_one_that_was_put_back_adds_nothing_twice() {
    let (mut main, mut other) = (Memory::new(), Memory::new());
    for number in [1, 4, 7] {
        other.commit(&commit_of(number, 3, "eu", 10), NOW).unwrap();
    }
    let early = copy(&mut other);
    assert!(take_in(main.book(), 1, early.clone(), NOW).unwrap());
    other.forget_surplus(&StreamBounds { producer: 1, legacy: 1, consumer: 1 }, NOW);
    let late = copy(&mut other);
    assert!(take_in(main.book(), 1, late, NOW).unwrap());
    check_accounts(&mut main);
    assert_eq!(main.counter(&LOST_RECORDS, &[("resolver_id", "eu")]), 4);
    assert_eq!(main.counter(&self_metrics::FORGOTTEN_STREAMS, &[("kind", "producer"), ("reason", "bound")]), 2);
    assert_eq!(main.counter(&FAMILY, &[("resolver_id", "eu")]), 30);
    // An old copy is passed over; one of a ledger that was put back to it and went on adds what passes the old totals.
    assert!(!take_in(main.book(), 1, early, NOW).unwrap());
    assert_eq!(main.counter(&FAMILY, &[("resolver_id", "eu")]), 30);
}

#[test]
fn producers_past_the_bound_of_ledger_0_share_its_account_and_every_sum_holds() {
    let (mut main, mut other) = (Memory::new(), Memory::new());
    for number in 0..u64::try_from(MAX_ACCOUNTS).unwrap() {
        main.commit(&commit_of(3 * number, 2, &format!("main-{number}"), 1), NOW).unwrap();
    }
    for number in 0..20 {
        other.commit(&commit_of(3 * number + 1, 3, &format!("other-{number}"), 1), NOW).unwrap();
    }
    let of_other = |main: &Memory| main.counter(&RECORDS_SENT, &[("resolver_id", account::OTHER)]);
    let before = of_other(&main);
    take_in(main.book(), 1, copy(&mut other), NOW).unwrap();
    check_accounts(&mut main);
    assert_eq!(self_metrics::accounts(&main.state).count(), MAX_ACCOUNTS);
    assert_eq!(of_other(&main) - before, 3 * 20);
}

/// Two states that do not fit together: no error, nothing displaced, and what is left out is counted.
#[test]
fn at_the_bound_on_series_what_another_ledger_has_is_left_out_and_counted() {
    let (mut main, mut other) = (Memory::new(), Memory::new());
    for family in 0..20 {
        let filler = FamilyDescriptor::new(format!("tributary_filler_{family}"), "", "", MetricKind::Counter).unwrap();
        for series in 0..1_000 {
            let labels = LabelSet::from_pairs([("k", series.to_string())]).unwrap();
            let _declared = main.book().state.declare(&filler, labels, Zero::Counter);
        }
    }
    other.commit(&commit_of(1, 1, "stranger", 7), NOW).unwrap();
    let before = published(&mut main);
    take_in(main.book(), 1, copy(&mut other), NOW).unwrap();
    let after = published(&mut main);
    assert!(before.iter().all(|(series, value)| after[series] >= *value));
    assert!(main.counter(&self_metrics::SERIES_REFUSED, &[]) > 0);
    assert_eq!(main.counter(&RECORDS_SENT, &[("resolver_id", account::OTHER)]), 1, "its record is accounted for");
    check_accounts(&mut main);
    // What there is room for goes on.
    other.commit(&commit_of(1, 2, "eu", 7), NOW).unwrap();
    take_in(main.book(), 1, copy(&mut other), NOW).unwrap();
    assert_eq!(main.counter(&RECORDS_APPLIED, &[("resolver_id", account::OTHER)]), 2);
}

#[test]
fn sources_past_the_bound_of_ledger_0_are_counted_under_other_and_none_is_lost() {
    use tributary_telemetry::confidence::{Source, TelemetryDelta};
    let mut ledgers = [Memory::new(), Memory::new(), Memory::new()];
    let mut sequence = 0;
    for (ledger, memory) in (0_u64..).zip(&mut ledgers) {
        for source in 0..60 {
            sequence += 1;
            let resolver_id = format!("ledger-{ledger}-{source}");
            let mut telemetry = TelemetryDelta::new();
            telemetry.add_resolves(1, 1);
            let delta = telemetry.to_delta(Source { resolver_id: &resolver_id, dimensions: &[] }, NOW).unwrap();
            let commit = Commit { delta, custom: Vec::new(), ..commit_of(ledger, sequence, &resolver_id, 0) };
            memory.commit(&commit, NOW).unwrap();
        }
    }
    let [main, others @ ..] = &mut ledgers;
    for (ledger, other) in (1..).zip(others) {
        take_in(main.book(), ledger, copy(other), NOW).unwrap();
    }
    let resolves: u64 = published(main)
        .into_iter()
        .filter(|((name, _), _)| name == "confidence_resolves")
        .map(|(_, count)| count)
        .sum();
    assert_eq!(resolves, 180);
    assert!(main.counter(&self_metrics::SERIES_FOLDED, &[]) > 0);
}

/// Past that its copies would be refused for ever, and its numbers stay where they are.
#[test]
fn whatever_a_ledger_beside_the_first_is_sent_its_copy_is_one_that_the_first_takes() {
    let filled = |ledger| {
        let mut book = Book::new("eu", NOW).unwrap();
        book.state.set_capacity(capacity(ledger, false));
        for family in 0..12 {
            let name = format!("custom_{family}");
            let family = FamilyDescriptor::new(name, "Help.", "", MetricKind::Counter).unwrap();
            let mut delta = Delta::new();
            for series in 0..1_000 {
                let labels = LabelSet::from_pairs([("series", format!("{series:0>150}"))]).unwrap();
                delta.add_counter(&family, labels, u64::MAX >> 1).unwrap();
            }
            let _applied = book.state.apply_custom(&delta, NOW);
        }
        (book.state.series_count(), LedgerCopy::encode(&book).len())
    };
    let (_, copy) = filled(1);
    assert!(copy <= crate::limits::MAX_COPY_BYTES, "{copy} bytes");
    let (series, copy) = filled(MAIN);
    assert!(series > 12_000 && copy > crate::limits::MAX_COPY_BYTES, "{series} series: the test proves nothing");
}
