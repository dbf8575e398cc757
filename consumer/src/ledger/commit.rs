//! The decision of a commit, pure: rows and state in, rows and state out.
//!
//! A consumer merges a batch before it commits it, on the guess that none of its records was seen before. The guess is
//! nearly always right, and then a commit costs one row per stream and one for the state, whatever the number of
//! series. Where it is wrong nothing changes, the answer says which records were seen, and the consumer merges again
//! without them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use tributary_proto::{
    Message as _,
    envelope::StreamId,
    v1::{self, CommitRequest, commit_response::Verdict},
    wire::{Cursor, Field, Malformed, put_bytes, put_varint},
};
use tributary_telemetry::{Applied, ApplyError, Delta, custom::is_of_pipeline};

use super::{
    account::{self, Entries},
    book::Book,
    floor::Floors,
    sources::{self, FoldError},
    stream::{SequenceError, StreamProgress},
};
use crate::{
    custom::{Folding, Refusal},
    limits::{MAX_CLOCK_LEAD, MAX_RECORDS_PER_COMMIT, MAX_SEQUENCE},
    self_metrics,
};

/// One row of the Ledger's streams.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamRow {
    /// Where the stream comes from. Fixed by its first record.
    pub kind: StreamKind,
    /// What was seen of it.
    pub progress: StreamProgress,
    /// End of the latest window seen, in milliseconds since the epoch: what decides when the stream is forgotten.
    pub last_seen_ms: u64,
    /// The floor when the row was made: a record that is not known as seen and whose window ended before may have been
    /// counted for an earlier row of the stream that was forgotten.
    pub floor_ms: u64,
    /// The account that its records belong to ([`account::open`]); empty for streams of consumers.
    pub account: String,
}

/// Where a stream comes from. The numbers are those of the wire and of the stored rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum StreamKind {
    /// An isolate of a producer.
    #[default]
    Producer,
    /// One message of a sender without streams.
    Legacy,
    /// An isolate of the consumer.
    Consumer,
}

impl StreamKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Producer, Self::Legacy, Self::Consumer];

    /// The value of a `kind` label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Producer => "producer",
            Self::Legacy => "legacy",
            Self::Consumer => "consumer",
        }
    }

    /// The number on the wire and in a row.
    pub fn to_wire(self) -> v1::StreamKind {
        match self {
            Self::Producer => v1::StreamKind::Producer,
            Self::Legacy => v1::StreamKind::Legacy,
            Self::Consumer => v1::StreamKind::Consumer,
        }
    }

    /// Reads the number of the wire or of a row.
    pub fn from_wire(number: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| i32::from(kind.to_wire()) == number)
    }
}

/// One record that a commit covers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its stream.
    pub stream_id: StreamId,
    /// Its number in the stream, 1 to [`MAX_SEQUENCE`].
    pub sequence: u64,
    /// End of its window, in milliseconds since the epoch.
    pub window_end_ms: u64,
    /// Where the stream comes from.
    pub kind: StreamKind,
    /// The `resolver_id` of its producer; empty where nobody said, and for streams of consumers. Shared: the records of a
    /// batch have few.
    pub resolver_id: Arc<str>,
}

impl Record {
    /// Reads an encoded record, the `index`th of its request, behind the record `last`.
    fn decode(bytes: &[u8], index: usize, last: Option<&Self>) -> Result<Self, CommitError> {
        let malformed = |error: Malformed| CommitError::Malformed(error.to_string());
        let invalid = |reason| CommitError::Record { index, reason };
        let (mut stream_id, mut sequence, mut window_end_ms, mut kind) = (&[][..], 0, 0, 0);
        let mut resolver_id = &[][..];
        let mut cursor = Cursor::new(bytes);
        while let Some(field) = cursor.field().map_err(malformed)? {
            match field {
                (1, Field::Bytes(id)) => stream_id = id,
                (2, Field::Varint(number)) => sequence = number,
                (3, Field::Varint(end_ms)) => window_end_ms = end_ms,
                (4, Field::Varint(number)) => kind = number,
                (5, Field::Bytes(name)) => resolver_id = name,
                (1..=5, _) => return Err(malformed(Malformed::Type)),
                _ => {}
            }
        }
        if sequence == 0 || sequence > MAX_SEQUENCE {
            return Err(invalid("sequence"));
        }
        let kind = i32::try_from(kind).ok().and_then(StreamKind::from_wire).ok_or_else(|| invalid("kind"))?;
        let stream_id = StreamId::from_slice(stream_id).map_err(|_| invalid("stream id"))?;
        let resolver_id = match last {
            Some(last) if last.resolver_id.as_bytes() == resolver_id => Arc::clone(&last.resolver_id),
            _ => std::str::from_utf8(resolver_id).map_err(|_| malformed(Malformed::Utf8))?.into(),
        };
        Ok(Self { stream_id, sequence, window_end_ms, kind, resolver_id })
    }

    /// Appends the record in field 1 of a `CommitRequest`; `record` is room to write it.
    fn encode_into(&self, record: &mut Vec<u8>, out: &mut Vec<u8>) {
        record.clear();
        let kind = u64::try_from(i32::from(self.kind.to_wire())).unwrap_or_default();
        let numbers = [(2, self.sequence), (3, self.window_end_ms), (4, kind)];
        put_bytes(record, 1 << 3 | 2, &self.stream_id.0);
        for (field, number) in numbers {
            record.push(field << 3);
            put_varint(record, number);
        }
        if !self.resolver_id.is_empty() {
            put_bytes(record, 5 << 3 | 2, self.resolver_id.as_bytes());
        }
        put_bytes(out, 1 << 3 | 2, record);
    }

    /// The record on the wire.
    pub fn to_wire(&self) -> v1::commit_request::Record {
        v1::commit_request::Record {
            stream_id: self.stream_id.0.to_vec(),
            sequence: self.sequence,
            window_end_ms: self.window_end_ms,
            kind: self.kind.to_wire().into(),
            resolver_id: self.resolver_id.to_string(),
        }
    }
}

/// A commit, checked.
#[derive(Clone, Debug)]
pub struct Commit {
    /// The records that the delta was merged from; each pair of stream and sequence once.
    pub records: Vec<Record>,
    /// Their merged delta, without custom metrics.
    pub delta: Delta,
    /// Their custom metrics: merged, and those that contradict what stands before them.
    pub custom: Vec<Delta>,
}

/// Why a commit cannot be considered at all. Nothing changed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CommitError {
    /// It has no records, or more than a batch can have.
    #[error("{0} records, 1 to {MAX_RECORDS_PER_COMMIT} are taken")]
    Records(usize),
    /// It is no `CommitRequest`.
    #[error("not a commit: {0}")]
    Malformed(String),
    /// A record that no producer can have sent.
    #[error("record {index}: {reason}")]
    Record {
        /// Its place in the request.
        index: usize,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The delta does not decode.
    #[error("the delta: {0}")]
    Delta(String),
    /// The delta cannot be applied to the state: a total would overflow.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// The series of sources beyond the bound do not add up.
    #[error(transparent)]
    Fold(#[from] FoldError),
    /// The records cannot be accounted for: a total would overflow.
    #[error(transparent)]
    Account(#[from] self_metrics::NotRecorded),
}

impl Commit {
    /// Reads the bytes of a `CommitRequest`, where they stand: a record is read for every message of the queue.
    ///
    /// # Errors
    /// [`CommitError`], before anything is looked up.
    pub fn decode(bytes: &[u8]) -> Result<Self, CommitError> {
        let malformed = |error: Malformed| CommitError::Malformed(error.to_string());
        let (mut records, mut sets, mut contradicting) = (Vec::new(), Vec::new(), Vec::new());
        let mut cursor = Cursor::new(bytes);
        while let Some(field) = cursor.field().map_err(malformed)? {
            match field {
                (1, Field::Bytes(_)) if records.len() >= MAX_RECORDS_PER_COMMIT => {
                    return Err(CommitError::Records(records.len().saturating_add(1)));
                }
                (1, Field::Bytes(record)) => records.push(Record::decode(record, records.len(), records.last())?),
                (2, Field::Bytes(set)) => sets.push(set),
                (3, Field::Bytes(set)) => contradicting.push(set),
                (1..=3, _) => return Err(malformed(Malformed::Type)),
                _ => {}
            }
        }
        if records.is_empty() {
            return Err(CommitError::Records(0));
        }
        let mut seen: Vec<_> = records.iter().map(|record| (record.stream_id, record.sequence)).collect();
        seen.sort_unstable();
        let same = |pair: &[_]| match pair {
            [left, right] if left == right => Some(*left),
            _ => None,
        };
        if let Some(twice) = seen.windows(2).find_map(same) {
            let named = |record: &Record| (record.stream_id, record.sequence) == twice;
            let index = records.iter().rposition(named).unwrap_or_default();
            return Err(CommitError::Record { index, reason: "named twice" });
        }
        if contradicting.len() > records.len().saturating_mul(2) {
            let count = records.len();
            return Err(CommitError::Delta(format!("{} sets for {count} records", contradicting.len())));
        }
        let read = |set: &[u8]| {
            let set = v1::MetricSet::decode(set).map_err(|error| CommitError::Malformed(error.to_string()))?;
            Delta::from_wire(set).map_err(|error| CommitError::Delta(error.to_string()))
        };
        // A field that stands twice is one message.
        let (delta, merged) = read(&sets.concat())?.partition(is_of_pipeline);
        let mut custom = vec![merged];
        for set in contradicting {
            let (reserved, contradicting) = read(set)?.partition(is_of_pipeline);
            if !reserved.is_empty() {
                return Err(CommitError::Delta("a reserved name among custom metrics".into()));
            }
            custom.push(contradicting);
        }
        custom.retain(|delta| !delta.is_empty());
        Ok(Self { records, delta, custom })
    }

    /// Reads a request.
    ///
    /// # Errors
    /// [`CommitError`], before anything is looked up.
    pub fn from_wire(request: &CommitRequest) -> Result<Self, CommitError> {
        Self::decode(&request.encode_to_vec())
    }

    /// The streams that the commit touches, each once: the rows to load.
    pub fn streams(&self) -> BTreeSet<StreamId> {
        self.records.iter().map(|record| record.stream_id).collect()
    }
}

/// The bytes of a `CommitRequest`.
pub fn encode_request<'a>(
    records: impl IntoIterator<Item = &'a Record>,
    delta: &Delta,
    contradicting: &[Delta],
) -> Vec<u8> {
    let (mut out, mut set) = (Vec::with_capacity(8 << 10), Vec::with_capacity(4 << 10));
    records.into_iter().for_each(|record| record.encode_into(&mut set, &mut out));
    for (key, delta) in [(2 << 3 | 2, delta)].into_iter().chain(contradicting.iter().map(|delta| (3 << 3 | 2, delta))) {
        set.clear();
        delta.encode_into(&mut set);
        put_bytes(&mut out, key, &set);
    }
    out
}

/// What a commit comes to.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// Some record is in the way; nothing changes.
    Conflict {
        /// One for each record of the commit, in its order.
        verdicts: Vec<Verdict>,
    },
    /// The delta was applied to the book; the rows are to be written with it in one transaction.
    Apply {
        /// The rows that changed.
        rows: BTreeMap<StreamId, StreamRow>,
        /// Missing records that the bound on gaps gave up. Counted already.
        given_up: u64,
        /// New series that were refused: past the bound on series, or of another kind than their family. Counted
        /// already, as are those of custom metrics, which are not in it.
        series_refused: u64,
    },
}

/// Decides a commit and, where nothing is in its way, applies it to `book`.
///
/// `known` holds the stored row of every stream of [`Commit::streams`] that has one. The caller writes what
/// [`Decision::Apply`] says, together with the book, in one transaction; where that fails it must drop the book and load
/// it again. The work is that of the commit and its delta, whatever the number of streams.
///
/// # Errors
/// [`CommitError::Apply`] and [`CommitError::Account`]; no total changed.
pub fn decide(
    commit: &Commit,
    known: &BTreeMap<StreamId, StreamRow>,
    book: &mut Book,
    now_ms: u64,
) -> Result<Decision, CommitError> {
    let verdict = |record: &Record| verdict(record, known.get(&record.stream_id), &book.floors, now_ms);
    let verdicts: Vec<Verdict> = commit.records.iter().map(verdict).collect();
    if verdicts.iter().any(|verdict| *verdict != Verdict::Fresh) {
        return Ok(Decision::Conflict { verdicts });
    }
    let mut changes: BTreeMap<StreamId, Change<'_>> = BTreeMap::new();
    for record in &commit.records {
        let before = known.get(&record.stream_id);
        let change = changes.entry(record.stream_id).or_insert_with(|| Change::begin(record, before, &book.floors));
        // What stands in the way here is an earlier record of this very commit: it said another kind, or it filled the
        // bound on gaps, which closed the gap that this one is in. The part of this one in the delta cannot be taken
        // out here, so the whole commit is put off without it.
        if change.row.kind != record.kind || change.note(record).is_err() {
            let verdict = |other: &Record| if other == record { Verdict::Duplicate } else { Verdict::Fresh };
            return Ok(Decision::Conflict { verdicts: commit.records.iter().map(verdict).collect() });
        }
    }
    for change in changes.values_mut().filter(|change| change.before.is_none()) {
        change.row.account = account::open(&mut book.state, change.row.kind, change.resolver_id);
    }
    let mut entries = Entries::new();
    let mut given_up = 0u64;
    for change in changes.values() {
        let entry = entries.entry(change.row.account.clone()).or_default();
        let before = change.before.map_or(0, |row| row.progress.high_water());
        entry.sent = entry.sent.saturating_add(change.row.progress.high_water().saturating_sub(before));
        entry.applied = entry.applied.saturating_add(change.applied);
        entry.lost = entry.lost.saturating_add(change.given_up);
        given_up = given_up.saturating_add(change.given_up);
    }
    let folded = sources::fold(&commit.delta, &book.state, book.dimensions_budget)?;
    let series_folded = folded.series;
    let mut delta = folded.delta.into_owned();
    self_metrics::account_entries(&mut delta, &entries)?;
    let applied = book.state.apply(&delta, now_ms)?;
    let custom = commit
        .custom
        .iter()
        .fold(Applied::default(), |applied, delta| applied.and(book.state.apply_custom(delta, now_ms)));
    let series_refused = note_left_out(book, applied, custom, series_folded, now_ms)?;
    let mut rows = BTreeMap::new();
    for (stream_id, change) in changes {
        book.status.row_changed(change.before, Some(&change.row));
        rows.insert(stream_id, change.row);
    }
    Ok(Decision::Apply { rows, given_up, series_refused })
}

/// Counts the series that were left out of the state, of ours and of custom ones, and those that became `other`. Returns how
/// many of ours were left out.
///
/// # Errors
/// [`self_metrics::NotRecorded`]
pub(super) fn note_left_out(
    book: &mut Book,
    applied: Applied,
    custom: Applied,
    series_folded: u64,
    now_ms: u64,
) -> Result<u64, self_metrics::NotRecorded> {
    let series_refused = applied.series_refused.saturating_add(applied.series_conflicting);
    let refusals = [
        (Refusal::Conflict, custom.series_conflicting),
        (Refusal::Bound, custom.series_refused),
        (Refusal::Overflow, custom.series_overflowing),
    ];
    book.note(now_ms, |delta| {
        if series_refused > 0 {
            self_metrics::series_refused(delta, series_refused)?;
        }
        self_metrics::custom_folded(delta, Folding::Overflow, custom.series_overflowed)?;
        self_metrics::custom_folded(delta, Folding::Bounds, custom.series_coarsened)?;
        refusals.into_iter().try_for_each(|(refusal, series)| self_metrics::custom_refused(delta, refusal, series))?;
        if series_folded > 0 {
            self_metrics::series_folded(delta, series_folded)?;
        }
        Ok(())
    })?;
    Ok(series_refused)
}

/// What a commit does to one stream.
struct Change<'a> {
    before: Option<&'a StreamRow>,
    row: StreamRow,
    /// Of its first record in the commit.
    resolver_id: &'a str,
    applied: u64,
    given_up: u64,
}

impl<'a> Change<'a> {
    fn begin(record: &'a Record, before: Option<&'a StreamRow>, floors: &Floors) -> Self {
        let new = || StreamRow { kind: record.kind, floor_ms: floors.of(record.kind), ..StreamRow::default() };
        let row = before.cloned().unwrap_or_else(new);
        Self { before, row, resolver_id: &record.resolver_id, applied: 0, given_up: 0 }
    }

    fn note(&mut self, record: &Record) -> Result<(), SequenceError> {
        let given_up = self.row.progress.note(record.sequence)?;
        self.row.last_seen_ms = self.row.last_seen_ms.max(record.window_end_ms);
        self.applied = self.applied.saturating_add(1);
        self.given_up = self.given_up.saturating_add(given_up);
        Ok(())
    }
}

fn verdict(record: &Record, row: Option<&StreamRow>, floors: &Floors, now_ms: u64) -> Verdict {
    let lead_ms = u64::try_from(MAX_CLOCK_LEAD.as_millis()).unwrap_or(u64::MAX);
    if record.window_end_ms > now_ms.saturating_add(lead_ms) {
        // Forgotten again, it would raise the floor above the present, or be taken twice.
        return Verdict::Expired;
    }
    let floor_ms = match row {
        // Forgetting the row would raise the floor of another kind than this record is held against.
        Some(row) if row.kind != record.kind => return Verdict::Expired,
        Some(row) if row.progress.has_seen(record.sequence) => return Verdict::Duplicate,
        Some(row) => row.floor_ms,
        None => floors.of(record.kind),
    };
    if record.window_end_ms < floor_ms { Verdict::Expired } else { Verdict::Fresh }
}

#[cfg(test)]
#[path = "commit_tests.rs"]
pub(crate) mod tests;
