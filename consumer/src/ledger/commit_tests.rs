//! The decision against an oracle that remembers every pair it ever saw.

use std::collections::BTreeMap;

use proptest::prelude::*;
use tributary_telemetry::{FamilyDescriptor, LabelSet, MetricKind, Value};

use super::*;
use crate::{
    ledger::{book::ForgetReason, floor::StreamBounds, parts::StoredBook, storage::StoredTally},
    limits::{MAX_ACCOUNTS, MAX_GAPS_PER_STREAM},
};

const FAMILY: FamilyDescriptor = FamilyDescriptor::from_static("tributary_deltas", "Deltas.", "", MetricKind::Counter);
const NOW: u64 = 1_800_000_000_000;

/// A Ledger in memory: the rows and the book that the Durable Object would store.
pub(crate) struct Memory {
    pub(crate) rows: BTreeMap<StreamId, StreamRow>,
    book: Book,
}

impl std::ops::Deref for Memory {
    type Target = Book;

    fn deref(&self) -> &Book {
        &self.book
    }
}

impl Memory {
    pub(crate) fn new() -> Self {
        Self { rows: BTreeMap::new(), book: Book::new("eu", NOW).unwrap() }
    }

    pub(crate) fn book(&mut self) -> &mut Book {
        &mut self.book
    }

    /// Memory is lost, and read again from what is stored.
    pub(crate) fn restart(&mut self) {
        let stored = StoredBook::seal(&self.book);
        let mut tallies: BTreeMap<_, StoredTally> = BTreeMap::new();
        for row in self.rows.values() {
            let kind = i32::from(row.kind.to_wire());
            let new = || StoredTally { kind, account: row.account.clone(), streams: 0, missing: 0 };
            let tally = tallies.entry((kind, row.account.clone())).or_insert_with(new);
            tally.streams += 1;
            tally.missing += row.progress.missing();
        }
        let tallies: Vec<_> = tallies.into_values().collect();
        self.book = Book::load(Some(&stored), &tallies, "eu", NOW).unwrap();
    }

    /// Forgets the longest silent streams past the bounds.
    pub(crate) fn forget_surplus(&mut self, bounds: &StreamBounds, now_ms: u64) {
        while let Some((kind, surplus)) = self.book.surplus(bounds) {
            let mut oldest: Vec<_> = self.rows.iter().filter(|(_, row)| row.kind == kind).collect();
            oldest.sort_by_key(|(stream_id, row)| (row.last_seen_ms, **stream_id));
            let oldest: BTreeMap<_, _> = oldest
                .into_iter()
                .take(usize::try_from(surplus).unwrap())
                .map(|(stream_id, row)| (*stream_id, row.clone()))
                .collect();
            self.book.forget(&oldest, ForgetReason::Bound, now_ms).unwrap();
            self.rows.retain(|stream_id, _| !oldest.contains_key(stream_id));
        }
    }

    pub(crate) fn counter(&self, family: &FamilyDescriptor, labels: &[(&str, &str)]) -> u64 {
        let labels = LabelSet::from_pairs(labels.iter().copied()).unwrap();
        match self.state.get(family.name(), &labels).map(|series| series.value().clone()) {
            Some(Value::Counter(total)) => total,
            other => panic!("{other:?}"),
        }
    }

    /// Holds the sum of every account, and what is in memory against the rows.
    pub(crate) fn check_accounts(&self) {
        for account in self_metrics::accounts(&self.state) {
            let counter = |family| self.counter(family, &[("resolver_id", account)]);
            let missing = self.status.missing.get(account).copied().unwrap_or(0);
            let of_rows: u64 =
                self.rows.values().filter(|row| row.account == account).map(|row| row.progress.missing()).sum();
            assert_eq!(missing, of_rows, "{account}");
            assert_eq!(
                counter(&self_metrics::RECORDS_SENT),
                counter(&self_metrics::RECORDS_APPLIED) + missing + counter(&self_metrics::LOST_RECORDS),
                "{account}"
            );
        }
        for kind in StreamKind::ALL {
            let rows = self.rows.values().filter(|row| row.kind == kind).count();
            let streams = self.status.streams.get(kind.as_str()).copied().unwrap_or(0);
            assert_eq!(streams, u64::try_from(rows).unwrap());
        }
    }

    pub(crate) fn commit(&mut self, commit: &Commit, now_ms: u64) -> Result<Decision, CommitError> {
        let streams = commit.streams();
        let known = self.rows.iter().filter(|(id, _)| streams.contains(id)).map(|(id, row)| (*id, row.clone()));
        let decision = decide(commit, &known.collect(), &mut self.book, now_ms)?;
        if let Decision::Apply { rows, .. } = &decision {
            self.rows.extend(rows.iter().map(|(id, row)| (*id, row.clone())));
        }
        Ok(decision)
    }
}

fn record(stream: u8, sequence: u64) -> Record {
    Record {
        stream_id: StreamId([stream; 16]),
        sequence,
        window_end_ms: NOW,
        kind: StreamKind::Producer,
        resolver_id: "eu".into(),
    }
}

/// A delta worth `amount`.
fn delta(amount: u64) -> Delta {
    let mut delta = Delta::new();
    delta.add_counter(&FAMILY, LabelSet::empty(), amount).unwrap();
    delta
}

fn commit(records: &[Record], amount: u64) -> Commit {
    Commit { records: records.to_vec(), delta: delta(amount), custom: Vec::new() }
}

fn total(memory: &Memory) -> u64 {
    match memory.state.get("tributary_deltas", &LabelSet::empty()).map(|series| series.value().clone()) {
        Some(Value::Counter(total)) => total,
        None => 0,
        Some(other) => panic!("{other:?}"),
    }
}

#[test]
fn a_commit_seen_before_changes_nothing_and_says_which_records() {
    let mut memory = Memory::new();
    memory.commit(&commit(&[record(1, 1), record(2, 1)], 10), NOW).unwrap();
    let (rows, state) = (memory.rows.clone(), memory.state.clone());
    let decision = memory.commit(&commit(&[record(1, 2), record(2, 1)], 7), NOW).unwrap();
    assert_eq!(decision, Decision::Conflict { verdicts: vec![Verdict::Fresh, Verdict::Duplicate] });
    assert_eq!((memory.rows.clone(), memory.state.clone()), (rows, state));
}

fn verdict_of(memory: &mut Memory, record: &Record, now_ms: u64) -> Verdict {
    match memory.commit(&commit(std::slice::from_ref(record), 1), now_ms).unwrap() {
        Decision::Apply { .. } => Verdict::Fresh,
        Decision::Conflict { verdicts } => verdicts[0],
    }
}

const ONE: StreamBounds = StreamBounds { producer: 1, legacy: 1, consumer: 1 };

#[test]
fn a_record_of_a_forgotten_stream_is_refused_and_never_counted_twice() {
    let mut memory = Memory::new();
    let at = |stream, sequence, window_end_ms| Record { window_end_ms, ..record(stream, sequence) };
    for (stream, window_end_ms) in [(1, NOW - 300), (2, NOW - 200), (3, NOW - 100)] {
        assert_eq!(verdict_of(&mut memory, &at(stream, 2, window_end_ms), NOW), Verdict::Fresh);
    }
    memory.forget_surplus(&ONE, NOW);
    memory.check_accounts();
    memory.restart();
    assert_eq!(memory.rows.len(), 1, "streams 1 and 2 were silent the longest");
    assert_eq!(memory.floors.of(StreamKind::Producer), NOW - 199);
    for stream in [1, 2] {
        assert_eq!(verdict_of(&mut memory, &at(stream, 2, NOW - 400 + 100 * u64::from(stream)), NOW), Verdict::Expired);
    }
    assert_eq!(verdict_of(&mut memory, &at(3, 2, NOW - 100), NOW), Verdict::Duplicate);
    // A stream that is known takes what is late, however late; one that is forgotten goes on with what is new.
    assert_eq!(verdict_of(&mut memory, &at(3, 1, 5), NOW), Verdict::Fresh);
    assert_eq!(verdict_of(&mut memory, &at(1, 3, NOW), NOW), Verdict::Fresh);
    // Known again, but not what it was seen with before.
    assert_eq!(verdict_of(&mut memory, &at(1, 2, NOW - 300), NOW), Verdict::Expired);
    assert_eq!(memory.counter(&self_metrics::FORGOTTEN_STREAMS, &[("kind", "producer"), ("reason", "bound")]), 2);
    assert_eq!(total(&memory), 5);
    memory.check_accounts();
}

#[test]
fn kinds_are_forgotten_apart_and_a_stream_never_changes_its_kind() {
    let mut memory = Memory::new();
    let legacy = |stream, window_end_ms| Record { kind: StreamKind::Legacy, window_end_ms, ..record(stream, 1) };
    assert_eq!(verdict_of(&mut memory, &legacy(1, NOW - 2), NOW), Verdict::Fresh);
    assert_eq!(verdict_of(&mut memory, &legacy(2, NOW - 1), NOW), Verdict::Fresh);
    memory.forget_surplus(&ONE, NOW);
    assert_eq!(verdict_of(&mut memory, &legacy(1, NOW - 2), NOW), Verdict::Expired);
    assert_eq!(verdict_of(&mut memory, &Record { window_end_ms: 7, ..record(9, 1) }, NOW), Verdict::Fresh);
    assert_eq!(verdict_of(&mut memory, &Record { kind: StreamKind::Legacy, ..record(9, 2) }, NOW), Verdict::Expired);
    let both = [record(5, 1), Record { kind: StreamKind::Legacy, ..record(5, 2) }];
    let decision = memory.commit(&commit(&both, 1), NOW).unwrap();
    assert_eq!(decision, Decision::Conflict { verdicts: vec![Verdict::Fresh, Verdict::Duplicate] });
    memory.check_accounts();
}

#[test]
fn a_window_that_ends_in_the_far_future_is_refused() {
    let mut memory = Memory::new();
    let hour_ms = 3_600_000;
    for window_end_ms in [NOW + hour_ms + 1, u64::MAX] {
        assert_eq!(verdict_of(&mut memory, &Record { window_end_ms, ..record(1, 1) }, NOW), Verdict::Expired);
    }
    assert_eq!(memory.rows.len(), 0);
    let near = Record { window_end_ms: NOW + hour_ms, ..record(1, 1) };
    assert_eq!(verdict_of(&mut memory, &near, NOW), Verdict::Fresh);
    assert_eq!(verdict_of(&mut memory, &near, NOW), Verdict::Duplicate);
    memory.forget_surplus(&StreamBounds { producer: 0, ..ONE }, NOW);
    assert_eq!(verdict_of(&mut memory, &near, NOW), Verdict::Expired);
}

#[test]
fn producers_past_the_bound_share_an_account_and_every_sum_holds() {
    let mut memory = Memory::new();
    for producer in 0..MAX_ACCOUNTS + 10 {
        let mut stream_id = [0; 16];
        stream_id[..8].copy_from_slice(&u64::try_from(producer).unwrap().to_be_bytes());
        let record = Record {
            stream_id: StreamId(stream_id),
            resolver_id: if producer == 7 { "".into() } else { format!("producer-{producer}").into() },
            ..record(1, 3)
        };
        assert_eq!(verdict_of(&mut memory, &record, NOW), Verdict::Fresh);
    }
    memory.check_accounts();
    assert_eq!(self_metrics::accounts(&memory.state).count(), MAX_ACCOUNTS);
    let sent = |account| memory.counter(&self_metrics::RECORDS_SENT, &[("resolver_id", account)]);
    // Three accounts are there from the start, and producer 7 did not say its name.
    assert_eq!((sent("producer-0"), sent("unknown"), sent("other")), (3, 3, 3 * (10 + 3 - 1)));
}

#[test]
fn at_the_bound_on_series_a_producer_without_an_account_of_its_own_is_still_accounted_for() {
    let mut memory = Memory::new();
    let families: Vec<_> = (0..20)
        .map(|k| {
            FamilyDescriptor::new(format!("filler_{k}"), String::new(), String::new(), MetricKind::Counter).unwrap()
        })
        .collect();
    for family in &families {
        for k in 0..1_000 {
            let labels = LabelSet::from_pairs([("k", k.to_string())]).unwrap();
            let _declared = memory.book.state.declare(family, labels, tributary_telemetry::Zero::Counter);
        }
    }
    let stranger = Record { resolver_id: "stranger".into(), ..record(1, 2) };
    assert_eq!(verdict_of(&mut memory, &stranger, NOW), Verdict::Fresh);
    assert_eq!(memory.counter(&self_metrics::RECORDS_SENT, &[("resolver_id", "other")]), 2);
    memory.check_accounts();
}

#[test]
fn a_total_that_would_overflow_is_refused_and_changes_nothing() {
    let mut memory = Memory::new();
    memory.commit(&commit(&[record(1, 1)], u64::MAX), NOW).unwrap();
    let (rows, state) = (memory.rows.clone(), memory.state.clone());
    assert!(matches!(memory.commit(&commit(&[record(1, 2)], 1), NOW), Err(CommitError::Apply(_))));
    assert_eq!((memory.rows.clone(), memory.state.clone()), (rows, state));
}

#[test]
fn records_of_one_commit_that_push_each_other_over_the_bound_on_gaps_are_never_counted_twice() {
    let mut memory = Memory::new();
    // Every second sequence leaves one gap; one commit holds more of them than the bound, then the lowest gap's record.
    let most = u64::try_from(MAX_GAPS_PER_STREAM).unwrap();
    let mut records: Vec<_> = (1..=most + 1).map(|k| record(1, 2 * k)).collect();
    records.push(record(1, 1));
    let decision = memory.commit(&commit(&records, 5), NOW).unwrap();
    let Decision::Conflict { verdicts } = decision else { panic!("{decision:?}") };
    assert_eq!(verdicts.iter().filter(|verdict| **verdict != Verdict::Fresh).count(), 1);
    assert_eq!(verdicts.last(), Some(&Verdict::Duplicate));
    assert_eq!(total(&memory), 0);
    records.pop();
    assert!(matches!(memory.commit(&commit(&records, 5), NOW).unwrap(), Decision::Apply { given_up: 1, .. }));
    assert_eq!(total(&memory), 5);
    assert_eq!(memory.counter(&self_metrics::LOST_RECORDS, &[("resolver_id", "eu")]), 1, "what is given up is lost");
    memory.check_accounts();
}

#[test]
fn a_request_that_no_consumer_sends_is_refused_before_anything_is_looked_up() {
    let wire =
        |records: Vec<v1::commit_request::Record>| CommitRequest { records, delta: None, contradicting: Vec::new() };
    let good = record(1, 1).to_wire();
    let refused = |records| Commit::from_wire(&wire(records)).map(|_| ()).unwrap_err();
    assert_eq!(refused(vec![]), CommitError::Records(0));
    assert_eq!(refused(vec![good.clone(); 129]), CommitError::Records(129));
    let reason = |record: v1::commit_request::Record| match refused(vec![record]) {
        CommitError::Record { reason, .. } => reason,
        other => panic!("{other:?}"),
    };
    assert_eq!(reason(v1::commit_request::Record { sequence: 0, ..good.clone() }), "sequence");
    assert_eq!(reason(v1::commit_request::Record { sequence: MAX_SEQUENCE + 1, ..good.clone() }), "sequence");
    assert_eq!(reason(v1::commit_request::Record { stream_id: vec![1; 15], ..good.clone() }), "stream id");
    assert_eq!(reason(v1::commit_request::Record { kind: 0, ..good.clone() }), "kind");
    assert!(matches!(refused(vec![good.clone(), good]), CommitError::Record { index: 1, .. }));
}

#[test]
fn a_commit_reads_back_from_the_wire_as_it_was() {
    let sent = commit(&[record(1, 1), record(2, 9)], 3);
    let request = CommitRequest {
        records: sent.records.iter().map(|record| record.to_wire()).collect(),
        delta: Some(sent.delta.to_wire()),
        contradicting: Vec::new(),
    };
    let custom = [delta(7)];
    let written = encode_request(&sent.records, &sent.delta, &custom);
    let with_custom = CommitRequest { contradicting: vec![custom[0].to_wire()], ..request.clone() };
    assert_eq!(CommitRequest::decode(written.as_slice()).unwrap(), with_custom);
    let read = Commit::from_wire(&request).unwrap();
    assert_eq!((read.records, read.delta, read.custom), (sent.records, sent.delta, sent.custom));
}

proptest! {
    /// Records in any order, in batches of any size, redelivered at will: the total is that of the distinct records,
    /// each worth a power of its own so that no two errors cancel.
    #[test]
    fn every_record_counts_exactly_once(
        deliveries in proptest::collection::vec(proptest::collection::vec((0u8..4, 1u64..24), 1..12), 1..60),
    ) {
        let worth = |record: &Record| u64::from(record.stream_id.0[0]) * 1_000_003 + record.sequence * 7_919;
        let mut memory = Memory::new();
        let mut oracle = BTreeSet::new();
        for batch in deliveries {
            let mut pending: Vec<Record> = Vec::new();
            for (stream, sequence) in batch {
                let record = record(stream, sequence);
                if !pending.contains(&record) {
                    pending.push(record);
                }
            }
            oracle.extend(pending.iter().map(|record| (record.stream_id, record.sequence, worth(record))));
            while !pending.is_empty() {
                let amount = pending.iter().map(worth).sum();
                match memory.commit(&commit(&pending, amount), NOW).unwrap() {
                    Decision::Apply { .. } => break,
                    Decision::Conflict { verdicts } => {
                        let before = pending.len();
                        let mut verdicts = verdicts.iter();
                        pending.retain(|_| verdicts.next() == Some(&Verdict::Fresh));
                        prop_assert!(pending.len() < before, "a conflict that names no record would never end");
                    }
                }
            }
            prop_assert_eq!(total(&memory), oracle.iter().map(|(_, _, worth)| worth).sum::<u64>());
        }
        for (stream_id, row) in &memory.rows {
            let seen = oracle.iter().filter(|(id, _, _)| id == stream_id).count();
            prop_assert_eq!(row.progress.missing(), row.progress.high_water() - u64::try_from(seen).unwrap());
        }
    }
}

/// A step of a run.
#[derive(Clone, Debug)]
enum Step {
    /// A delivery of records: stream, sequence.
    Deliver(Vec<(u8, u64)>),
    Restart,
    Forget(u64),
}

fn step() -> impl Strategy<Value = Step> {
    // Jumps fill the bound on gaps too.
    let sequence = prop_oneof![4 => 1u64..24, 1 => (1u64..200).prop_map(|k| k * 2)];
    prop_oneof![
        8 => proptest::collection::vec((0u8..12, sequence), 1..12).prop_map(Step::Deliver),
        1 => Just(Step::Restart),
        1 => (0u64..8).prop_map(Step::Forget),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// For every account sent = applied + missing + lost after every step; no record is ever applied twice.
    #[test]
    fn sent_is_applied_and_missing_and_lost_through_restarts_and_forgetting(
        steps in proptest::collection::vec(step(), 1..120),
    ) {
        let mut memory = Memory::new();
        let mut applied: BTreeSet<(u8, u64)> = BTreeSet::new();
        for (at, step) in (0u64..).zip(steps) {
            // Time goes on, and a record was made long before it is delivered: its window is its own for good.
            let now_ms = NOW + 1_000 + at;
            match step {
                Step::Restart => memory.restart(),
                Step::Forget(most) => {
                    memory.forget_surplus(&StreamBounds { producer: most, legacy: most, consumer: most }, now_ms);
                }
                Step::Deliver(pairs) => {
                    let kind = |stream: u8| if stream % 4 == 3 { StreamKind::Legacy } else { StreamKind::Producer };
                    let mut pending: Vec<Record> = Vec::new();
                    for (stream, sequence) in pairs {
                        let record = Record {
                            kind: kind(stream),
                            window_end_ms: NOW + sequence,
                            resolver_id: ["eu", "us", ""][usize::from(stream % 3)].into(),
                            ..record(stream, sequence)
                        };
                        if !pending.contains(&record) {
                            pending.push(record);
                        }
                    }
                    while !pending.is_empty() {
                        let amount = u64::try_from(pending.len()).unwrap();
                        match memory.commit(&commit(&pending, amount), now_ms).unwrap() {
                            Decision::Apply { .. } => {
                                for record in &pending {
                                    let pair = (record.stream_id.0[0], record.sequence);
                                    prop_assert!(applied.insert(pair), "{pair:?} was applied twice");
                                }
                                break;
                            }
                            Decision::Conflict { verdicts } => {
                                let mut verdicts = verdicts.iter();
                                pending.retain(|_| verdicts.next() == Some(&Verdict::Fresh));
                            }
                        }
                    }
                }
            }
            memory.check_accounts();
            prop_assert_eq!(total(&memory), u64::try_from(applied.len()).unwrap());
        }
    }
}
