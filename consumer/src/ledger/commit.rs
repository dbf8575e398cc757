//! The decision of a commit, pure: rows and state in, rows and state out.
//!
//! A consumer merges a batch before it commits it, on the guess that none of its records was seen before. The guess is
//! nearly always right, and then a commit costs one row per stream and one for the state, whatever the number of
//! series. Where it is wrong nothing changes, the answer says which records were seen, and the consumer merges again
//! without them.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use tributary_proto::{
    envelope::StreamId,
    v1::{self, CommitRequest, commit_response::Verdict},
};
use tributary_telemetry::{ApplyError, Delta, Snapshot};

use super::stream::{SequenceError, StreamProgress};
use crate::limits::{HORIZON, MAX_RECORDS_PER_COMMIT, MAX_SEQUENCE};

/// One row of the Ledger's streams.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamRow {
    /// Where the stream comes from.
    pub kind: StreamKind,
    /// What was seen of it.
    pub progress: StreamProgress,
    /// End of the latest window seen, in milliseconds since the epoch, and never later than the commit that saw it:
    /// what decides when the stream is forgotten.
    pub last_seen_ms: u64,
}

/// Where a stream comes from. The numbers are those of the wire and of the stored rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its stream.
    pub stream_id: StreamId,
    /// Its number in the stream, 1 to [`MAX_SEQUENCE`].
    pub sequence: u64,
    /// End of its window, in milliseconds since the epoch.
    pub window_end_ms: u64,
    /// Where the stream comes from.
    pub kind: StreamKind,
}

impl Record {
    /// The record on the wire.
    pub fn to_wire(self) -> v1::commit_request::Record {
        v1::commit_request::Record {
            stream_id: self.stream_id.0.to_vec(),
            sequence: self.sequence,
            window_end_ms: self.window_end_ms,
            kind: self.kind.to_wire().into(),
        }
    }
}

/// A commit, checked.
#[derive(Clone, Debug)]
pub struct Commit {
    /// The records that the delta was merged from; each pair of stream and sequence once.
    pub records: Vec<Record>,
    /// Their merged delta.
    pub delta: Delta,
}

/// Why a commit cannot be considered at all. Nothing changed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CommitError {
    /// It has no records, or more than a batch can have.
    #[error("{0} records, 1 to {MAX_RECORDS_PER_COMMIT} are taken")]
    Records(usize),
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
}

impl Commit {
    /// Reads a request that came over the wire.
    ///
    /// # Errors
    /// [`CommitError`], before anything is looked up.
    pub fn from_wire(request: CommitRequest) -> Result<Self, CommitError> {
        let count = request.records.len();
        if count == 0 || count > MAX_RECORDS_PER_COMMIT {
            return Err(CommitError::Records(count));
        }
        let mut seen = BTreeSet::new();
        let mut records = Vec::with_capacity(count);
        for (index, record) in request.records.iter().enumerate() {
            let invalid = |reason| CommitError::Record { index, reason };
            let stream_id = StreamId::from_slice(&record.stream_id).map_err(|_| invalid("stream id"))?;
            if record.sequence == 0 || record.sequence > MAX_SEQUENCE {
                return Err(invalid("sequence"));
            }
            if !seen.insert((stream_id, record.sequence)) {
                return Err(invalid("named twice"));
            }
            let kind = StreamKind::from_wire(record.kind).ok_or_else(|| invalid("kind"))?;
            let Record { sequence, window_end_ms, .. } =
                Record { stream_id, sequence: record.sequence, window_end_ms: record.window_end_ms, kind };
            records.push(Record { stream_id, sequence, window_end_ms, kind });
        }
        let delta = Delta::from_wire(request.delta.unwrap_or_default())
            .map_err(|error| CommitError::Delta(error.to_string()))?;
        Ok(Self { records, delta })
    }

    /// The streams that the commit touches, each once: the rows to load.
    pub fn streams(&self) -> BTreeSet<StreamId> {
        self.records.iter().map(|record| record.stream_id).collect()
    }
}

/// What a commit comes to.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// Some record is in the way; nothing changes.
    Conflict {
        /// One for each record of the commit, in its order.
        verdicts: Vec<Verdict>,
    },
    /// The delta was applied to the state in memory; the rows are to be written with it in one transaction.
    Apply {
        /// The rows that changed.
        rows: BTreeMap<StreamId, StreamRow>,
        /// Missing records that the bound on gaps gave up.
        given_up: u64,
        /// New series that were refused: past the bound on series, or of another kind than their family.
        series_refused: u64,
    },
}

/// Decides a commit and, where nothing is in its way, applies it to `state`.
///
/// `rows` holds the stored row of every stream of [`Commit::streams`] that has one. The caller writes what
/// [`Decision::Apply`] says, together with `state`, in one transaction; where that fails it must drop `state` and load
/// it again.
///
/// # Errors
/// [`CommitError::Apply`]; `state` is unchanged.
pub fn decide(
    commit: &Commit,
    mut rows: BTreeMap<StreamId, StreamRow>,
    state: &mut Snapshot,
    now_ms: u64,
) -> Result<Decision, CommitError> {
    let verdicts: Vec<Verdict> =
        commit.records.iter().map(|record| verdict(record, rows.get(&record.stream_id), now_ms)).collect();
    if verdicts.iter().any(|verdict| *verdict != Verdict::Fresh) {
        return Ok(Decision::Conflict { verdicts });
    }
    let mut given_up = 0u64;
    for record in &commit.records {
        let row = rows.entry(record.stream_id).or_default();
        row.kind = record.kind;
        row.last_seen_ms = row.last_seen_ms.max(record.window_end_ms.min(now_ms));
        match row.progress.note(record.sequence) {
            Ok(lost) => given_up = given_up.saturating_add(lost),
            // The bound on gaps, filled by an earlier record of this very commit, closed the gap that this one is in.
            // Its part of the delta cannot be taken out here, so the whole commit is put off without it.
            Err(SequenceError::Seen(_) | SequenceError::OutOfRange(_)) => {
                let verdicts = commit
                    .records
                    .iter()
                    .map(|other| if other == record { Verdict::Duplicate } else { Verdict::Fresh })
                    .collect();
                return Ok(Decision::Conflict { verdicts });
            }
        }
    }
    let touched = commit.streams();
    rows.retain(|stream_id, _| touched.contains(stream_id));
    let applied = state.apply(&commit.delta, now_ms)?;
    Ok(Decision::Apply {
        rows,
        given_up,
        series_refused: applied.series_refused.saturating_add(applied.series_conflicting),
    })
}

fn verdict(record: &Record, row: Option<&StreamRow>, now_ms: u64) -> Verdict {
    if is_before_horizon(record.window_end_ms, now_ms) {
        return Verdict::Expired;
    }
    match row {
        Some(row) if row.progress.has_seen(record.sequence) => Verdict::Duplicate,
        _ => Verdict::Fresh,
    }
}

/// True when a window that ended then lies before what the Ledger remembers.
pub fn is_before_horizon(window_end_ms: u64, now_ms: u64) -> bool {
    let horizon_ms = u64::try_from(Duration::as_millis(&HORIZON)).unwrap_or(u64::MAX);
    window_end_ms < now_ms.saturating_sub(horizon_ms)
}

#[cfg(test)]
#[path = "commit_tests.rs"]
pub(crate) mod tests;
