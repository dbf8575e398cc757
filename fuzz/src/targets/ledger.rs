//! Commits from wire bytes against an oracle that forgets nothing.
//!
//! Input, by its first byte: even, `CommitRequest` messages, each with its length before it; odd, steps in the sense of
//! `Step`, which reach deeper because their records are all legal.

use std::collections::{BTreeMap, BTreeSet};

use arbitrary::{Arbitrary, Unstructured};
use tributary_consumer::{
    ledger::{
        book::{Book, ForgetReason},
        commit::{Commit, Decision, Record, StreamKind, StreamRow, decide, encode_request},
        parts::StoredBook,
        storage::{StoredStream, decode_row, encode_rows},
    },
    limits::{HORIZON, MAX_GAPS_PER_STREAM, MAX_SEQUENCE},
};
use tributary_proto::{
    Message as _,
    envelope::StreamId,
    v1::{CommitRequest, commit_response::Verdict},
    wire::Cursor,
};
use tributary_telemetry::{Delta, FamilyDescriptor, LabelSet, MetricKind, Value};

use super::NOW_MS;
use crate::memory::bounded;

/// The most commits of one input, so that one input is fast.
const COMMITS: usize = 200;
/// The most that reading a commit may allocate, in multiples of it: some 10 bytes make a histogram of 361 buckets.
const FACTOR: usize = 1_024;

static FAMILY: FamilyDescriptor = FamilyDescriptor::from_static("tributary_deltas", "Deltas.", "", MetricKind::Counter);

/// No pair of stream and sequence is ever applied twice, none is refused that was neither seen nor given up nor
/// expired, a conflict changes nothing, rows and state read back as they were stored, and the total is that of the
/// distinct records.
///
/// # Panics
/// Where a property does not hold.
pub fn run(data: &[u8]) {
    match data.split_first() {
        Some((mode, rest)) if mode.is_multiple_of(2) => run_wire(rest),
        Some((_, rest)) => run_steps(rest),
        None => {}
    }
}

fn run_wire(data: &[u8]) {
    let mut ledger = Memory::new();
    let mut commits = Cursor::new(data);
    for hour in 0..COMMITS {
        let Ok(bytes) = commits.bytes() else { break };
        let Ok(commit) = bounded(bytes.len(), FACTOR, || Commit::decode(bytes)) else { continue };
        let request = CommitRequest::decode(bytes).expect("what is read in place decodes");
        assert_eq!(request.records.len(), commit.records.len());
        let now_ms = NOW_MS + u64::try_from(hour).unwrap_or(0) * 3_600_000;
        ledger.commit(&commit, now_ms);
        if hour % 16 == 15 {
            ledger.forget(now_ms);
        }
    }
}

/// What happens between two commits, and the records of the second.
#[derive(Arbitrary, Debug)]
struct Step {
    /// Time that passes, in hours.
    hours: u8,
    /// Whether silent streams are forgotten then.
    forget: bool,
    /// Records by stream and number; some far away, so that there are gaps.
    records: Vec<(u8, u8, bool)>,
}

fn run_steps(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let mut ledger = Memory::new();
    let mut now_ms = NOW_MS;
    let mut worth_of_applied = 0_u64;
    for _ in 0..COMMITS {
        if input.is_empty() {
            break;
        }
        let Ok(step) = Step::arbitrary(&mut input) else { break };
        now_ms += u64::from(step.hours % 64) * 3_600_000;
        if step.forget {
            ledger.forget(now_ms);
        }
        let mut pending: Vec<Record> = Vec::new();
        for (stream, sequence, far) in step.records.into_iter().take(100) {
            let record = record(stream % 4, u64::from(sequence), far);
            if pending.iter().all(|other| (other.stream_id, other.sequence) != (record.stream_id, record.sequence)) {
                pending.push(record);
            }
        }
        while !pending.is_empty() {
            match ledger.commit(&commit(&pending), now_ms) {
                None => {
                    worth_of_applied += pending.iter().map(worth).sum::<u64>();
                    break;
                }
                Some(verdicts) => {
                    let before = pending.len();
                    let mut verdicts = verdicts.iter();
                    pending.retain(|_| verdicts.next() == Some(&Verdict::Fresh));
                    assert!(pending.len() < before, "a conflict that names no record would never end");
                }
            }
        }
    }
    let total = match ledger.book.state.get("tributary_deltas", &LabelSet::empty()).map(|series| series.value().clone())
    {
        Some(Value::Counter(total)) => total,
        None => 0,
        Some(other) => panic!("{other:?}"),
    };
    assert_eq!(total, worth_of_applied, "the total is that of the applied records");
}

/// A record of which everything follows from its stream and number, as of a real one: a redelivery is the same record.
/// A window ends up to 255 hours after the first commit, so some are of the future and some before the horizon.
fn record(stream: u8, number: u64, far: bool) -> Record {
    let sequence = if far { 1 + number * 1_000 } else { 1 + number };
    let hours = number * 7 % 256;
    let window_end_ms = NOW_MS - 3_600_000 + hours * 3_600_000;
    let resolver_id = format!("resolver-{}", stream % 2).into();
    Record { stream_id: StreamId([stream; 16]), sequence, window_end_ms, kind: StreamKind::Producer, resolver_id }
}

/// A worth that no other record has, so that two errors do not cancel.
fn worth(record: &Record) -> u64 {
    let [stream, ..] = record.stream_id.0;
    u64::from(stream) * 1_000_000_007 + record.sequence * 7_919 + 1
}

/// The commit of `records`, through the wire.
fn commit(records: &[Record]) -> Commit {
    let mut delta = Delta::new();
    delta.add_counter(&FAMILY, LabelSet::empty(), records.iter().map(worth).sum()).expect("far below 64 bits");
    let wire = records.iter().map(|record| record.to_wire()).collect();
    let bytes =
        CommitRequest { records: wire, delta: Some(delta.to_wire()), contradicting: Vec::new() }.encode_to_vec();
    assert_eq!(encode_request(records, &delta, &[]), bytes, "written without the message between as with it");
    let commit = Commit::decode(&bytes).expect("a legal commit is read");
    assert_eq!((commit.records.as_slice(), &commit.delta), (records, &delta), "a commit reads back as it was");
    commit
}

/// A Ledger in memory, and beside it the oracle.
struct Memory {
    rows: BTreeMap<StreamId, StreamRow>,
    book: Book,
    /// Every pair that was ever applied, with the end of its window.
    ever: BTreeMap<(StreamId, u64), u64>,
    /// The pairs applied since their stream was last forgotten.
    seen: BTreeSet<(StreamId, u64)>,
    /// Records given up by the bound on gaps, or missing when their stream was forgotten.
    given_up: u64,
    /// Sum of the high-water marks of forgotten streams, less what had been seen of them.
    forgotten: u64,
}

impl Memory {
    fn new() -> Self {
        let (rows, ever, seen) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
        let book = Book::new("resolver-0", NOW_MS).expect("a legal name");
        Self { rows, book, ever, seen, given_up: 0, forgotten: 0 }
    }

    /// Commits and checks. `None`: applied; else the verdicts.
    fn commit(&mut self, commit: &Commit, now_ms: u64) -> Option<Vec<Verdict>> {
        let streams = commit.streams();
        let known: BTreeMap<_, _> =
            self.rows.iter().filter(|(id, _)| streams.contains(id)).map(|(id, row)| (*id, row.clone())).collect();
        let before = self.book.state.clone();
        let decision = decide(commit, &known, &mut self.book, now_ms);
        match decision {
            Err(_) => {
                // Whoever asked drops what is in memory and loads it again.
                self.book.state = before;
                // Nothing more can be done with it: as if every record were in the way.
                Some(vec![Verdict::Expired; commit.records.len()])
            }
            Ok(Decision::Conflict { verdicts }) => {
                assert_eq!(self.book.state, before, "a conflict changes nothing");
                assert_eq!(verdicts.len(), commit.records.len());
                assert!(verdicts.iter().any(|verdict| *verdict != Verdict::Fresh), "a conflict names a record");
                for (record, verdict) in commit.records.iter().zip(&verdicts) {
                    self.check_refusal(commit, record, *verdict);
                }
                Some(verdicts)
            }
            Ok(Decision::Apply { rows, given_up, .. }) => {
                self.check_applied(commit);
                self.given_up += given_up;
                self.check_storage(&rows);
                self.rows.extend(rows);
                self.check_accounts();
                None
            }
        }
    }

    fn check_refusal(&self, commit: &Commit, record: &Record, verdict: Verdict) {
        let is_seen = self.seen.contains(&(record.stream_id, record.sequence));
        match verdict {
            Verdict::Expired => {}
            Verdict::Fresh => assert!(!is_seen, "a record that was seen is called fresh"),
            Verdict::Duplicate => {
                assert!(is_seen || self.is_given_up(record) || self.would_be_given_up(commit, record), "{record:?}");
            }
            Verdict::Unspecified => panic!("a verdict that says nothing"),
        }
    }

    /// True where the bound on gaps may have closed the gap of a record: always the lowest one.
    fn is_given_up(&self, record: &Record) -> bool {
        let Some(row) = self.rows.get(&record.stream_id) else { return false };
        let is_lowest = row.progress.gaps().first().is_none_or(|gap| record.sequence < gap.first);
        self.given_up > 0 && record.sequence <= row.progress.high_water() && is_lowest
    }

    /// True where the other records of the commit make more gaps than the bound.
    fn would_be_given_up(&self, commit: &Commit, record: &Record) -> bool {
        let gaps = self.rows.get(&record.stream_id).map_or(0, |row| row.progress.gaps().len());
        let others = commit.records.iter().filter(|other| other.stream_id == record.stream_id).count();
        gaps + others > MAX_GAPS_PER_STREAM
    }

    fn check_applied(&mut self, commit: &Commit) {
        for record in &commit.records {
            let pair = (record.stream_id, record.sequence);
            assert!(record.sequence >= 1 && record.sequence <= MAX_SEQUENCE);
            assert!(self.seen.insert(pair), "{pair:?} was applied twice");
            if let Some(window_end_ms) = self.ever.insert(pair, record.window_end_ms) {
                // Its stream was forgotten since. The same record again lies at or before the floor; only another
                // record under the same number, which no producer sends, may come.
                assert_ne!(record.window_end_ms, window_end_ms, "{pair:?} was applied again after it was forgotten");
            }
        }
    }

    /// Every sequence up to a high-water mark was seen, is missing, or was given up.
    fn check_accounts(&self) {
        let high_water: u64 = self.rows.values().map(|row| row.progress.high_water()).sum();
        let missing: u64 = self.rows.values().map(|row| row.progress.missing()).sum();
        let seen = u64::try_from(self.seen.len()).unwrap_or(u64::MAX);
        // In 128 bits: sequences go to 2^53, and there can be many streams.
        assert_eq!(
            u128::from(high_water) + u128::from(self.forgotten),
            u128::from(missing) + u128::from(seen) + u128::from(self.given_up),
            "a sequence is neither seen nor missing nor given up"
        );
    }

    fn check_storage(&self, rows: &BTreeMap<StreamId, StreamRow>) {
        let written: Vec<serde_json::Value> =
            serde_json::from_str(&encode_rows(rows)).expect("rows are written as JSON");
        assert_eq!(written.len(), rows.len());
        for (values, row) in written.iter().zip(rows) {
            let stored = as_stored(values);
            let (id, read) = decode_row(&stored).expect("a written row is read");
            assert_eq!((&id, &read), row, "a row reads back as it was");
            assert!(read.progress.gaps().len() <= MAX_GAPS_PER_STREAM);
        }
        let state = StoredBook::seal(&self.book).open().expect("a stored state is read").state;
        assert_eq!(state, self.book.state, "a state reads back as it was");
    }

    /// Forgets what the Ledger forgets: streams that are silent longer than the horizon.
    fn forget(&mut self, now_ms: u64) {
        let before = now_ms.saturating_sub(horizon_ms());
        let silent: Vec<StreamId> =
            self.rows.iter().filter(|(_, row)| row.last_seen_ms < before).map(|(id, _)| *id).collect();
        let rows: BTreeMap<_, _> = silent.iter().map(|id| (*id, self.rows[id].clone())).collect();
        self.book.forget(&rows, ForgetReason::Silent, now_ms).expect("far below 64 bits");
        for id in silent {
            let row = self.rows.remove(&id).expect("listed above");
            let seen = self.seen.len();
            self.seen.retain(|(stream_id, _)| *stream_id != id);
            let seen = u64::try_from(seen - self.seen.len()).unwrap_or(u64::MAX);
            self.given_up += row.progress.missing();
            self.forgotten += row.progress.high_water() - seen;
        }
    }
}

/// A written row as SQLite gives it back, column by column.
fn as_stored(values: &serde_json::Value) -> StoredStream {
    let text = |at: usize| values[at].as_str().expect("a text").to_owned();
    let number = |at: usize| values[at].as_u64().expect("a number");
    StoredStream {
        stream_id: text(0),
        kind: i32::try_from(number(1)).expect("a kind"),
        high_water: number(2),
        gaps: values[3].to_string(),
        last_seen_ms: number(4),
        floor_ms: number(5),
        account: text(6),
    }
}

fn horizon_ms() -> u64 {
    u64::try_from(HORIZON.as_millis()).unwrap_or(u64::MAX)
}
