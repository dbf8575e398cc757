//! The decision against an oracle that remembers every pair it ever saw.

use std::collections::BTreeMap;

use proptest::prelude::*;
use tributary_telemetry::{FamilyDescriptor, LabelSet, MetricKind, Value};

use super::*;
use crate::limits::MAX_GAPS_PER_STREAM;

const FAMILY: FamilyDescriptor = FamilyDescriptor::from_static("deltas", "Deltas.", "", MetricKind::Counter);
const NOW: u64 = 1_800_000_000_000;

/// A Ledger in memory: the rows and the state that the Durable Object would store.
pub(crate) struct Memory {
    pub(crate) rows: BTreeMap<StreamId, StreamRow>,
    pub(crate) state: Snapshot,
}

impl Memory {
    pub(crate) fn new() -> Self {
        Self { rows: BTreeMap::new(), state: Snapshot::new(NOW) }
    }

    pub(crate) fn commit(&mut self, commit: &Commit, now_ms: u64) -> Result<Decision, CommitError> {
        let streams = commit.streams();
        let known = self.rows.iter().filter(|(id, _)| streams.contains(id)).map(|(id, row)| (*id, row.clone()));
        let decision = decide(commit, known.collect(), &mut self.state, now_ms)?;
        if let Decision::Apply { rows, .. } = &decision {
            self.rows.extend(rows.iter().map(|(id, row)| (*id, row.clone())));
        }
        Ok(decision)
    }
}

fn record(stream: u8, sequence: u64) -> Record {
    Record { stream_id: StreamId([stream; 16]), sequence, window_end_ms: NOW, kind: StreamKind::Producer }
}

/// A delta worth `amount`.
fn delta(amount: u64) -> Delta {
    let mut delta = Delta::new();
    delta.add_counter(&FAMILY, LabelSet::empty(), amount).unwrap();
    delta
}

fn commit(records: &[Record], amount: u64) -> Commit {
    Commit { records: records.to_vec(), delta: delta(amount) }
}

fn total(memory: &Memory) -> u64 {
    match memory.state.get("deltas", &LabelSet::empty()).map(|series| series.value().clone()) {
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
    assert_eq!((memory.rows, memory.state), (rows, state));
}

#[test]
fn a_record_older_than_the_horizon_is_refused_as_expired() {
    let horizon_ms = u64::try_from(HORIZON.as_millis()).unwrap();
    let mut memory = Memory::new();
    let old = Record { window_end_ms: NOW - horizon_ms - 1, ..record(1, 1) };
    let decision = memory.commit(&commit(&[old, record(1, 2)], 1), NOW).unwrap();
    assert_eq!(decision, Decision::Conflict { verdicts: vec![Verdict::Expired, Verdict::Fresh] });
    let young = Record { window_end_ms: NOW - horizon_ms, ..record(1, 1) };
    assert!(matches!(memory.commit(&commit(&[young], 1), NOW).unwrap(), Decision::Apply { .. }));
}

#[test]
fn a_window_from_the_future_does_not_keep_its_stream_for_ever() {
    let mut memory = Memory::new();
    let future = Record { window_end_ms: u64::MAX, ..record(1, 1) };
    memory.commit(&commit(&[future], 1), NOW).unwrap();
    assert_eq!(memory.rows[&StreamId([1; 16])].last_seen_ms, NOW);
}

#[test]
fn a_total_that_would_overflow_is_refused_and_changes_nothing() {
    let mut memory = Memory::new();
    memory.commit(&commit(&[record(1, 1)], u64::MAX), NOW).unwrap();
    let (rows, state) = (memory.rows.clone(), memory.state.clone());
    assert!(matches!(memory.commit(&commit(&[record(1, 2)], 1), NOW), Err(CommitError::Apply(_))));
    assert_eq!((memory.rows, memory.state), (rows, state));
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
}

#[test]
fn a_request_that_no_consumer_sends_is_refused_before_anything_is_looked_up() {
    let wire = |records: Vec<v1::commit_request::Record>| CommitRequest { records, delta: None };
    let good = record(1, 1).to_wire();
    let refused = |records| Commit::from_wire(wire(records)).map(|_| ()).unwrap_err();
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
    };
    let read = Commit::from_wire(request).unwrap();
    assert_eq!((read.records, read.delta), (sent.records, sent.delta));
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
