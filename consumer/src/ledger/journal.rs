//! The journal of the rows of streams: what commits changed of them, until it is folded into the table `streams`.
//!
//! An isolate sends a message a second, and a batch has messages of up to a hundred isolates. Written to `streams` at once,
//! each message would cost a written row, which the platform bills. So a commit writes the rows that it changed as one row
//! of `journal`, and memory keeps them; now and then all of them are written to `streams`, each once, however often it
//! changed.
//!
//! | table | row | written |
//! | --- | --- | --- |
//! | `journal` | `slot` from 0: a commit's `sequence` and its rows, as [`storage::encode_rows`] writes them; slots are written over in turn | with each commit that covers streams |
//! | | `slot` [`MARK`]: the `sequence` up to which everything is in `streams` | when the journal is folded |
//!
//! What is in the journal beyond the mark counts, and not what `streams` has of the same stream. So whoever reads `streams`
//! as a whole folds the journal before, in the same step, and so does a Ledger that starts. A fold writes rows and mark in
//! one transaction; a slot is written over only behind the mark.

use std::collections::BTreeMap;

use tributary_proto::envelope::StreamId;

use super::{
    commit::StreamRow,
    storage::{self, StorageError},
};
use crate::limits::{MAX_JOURNAL_BYTES, MAX_JOURNAL_COMMITS, MAX_JOURNAL_STREAMS, MAX_ROWS_PER_STATEMENT};

/// Makes the table where it is missing.
pub const CREATE: &str =
    "CREATE TABLE IF NOT EXISTS journal (slot INTEGER PRIMARY KEY, sequence INTEGER NOT NULL, rows TEXT NOT NULL)";

/// The slot of the mark.
pub const MARK: i64 = -1;

/// The mark; no row before the first fold.
pub const SELECT_MARK: &str = "SELECT sequence FROM journal WHERE slot = -1";

/// What is beyond the mark, oldest first: `sequence`, `rows`.
pub const SELECT: &str = "SELECT sequence, rows FROM journal WHERE slot >= 0 AND sequence > \
     COALESCE((SELECT sequence FROM journal WHERE slot = -1), 0) ORDER BY sequence";

/// Writes a slot: `slot`, `sequence`, `rows`.
pub const UPSERT: &str = "INSERT INTO journal (slot, sequence, rows) VALUES (?, ?, ?) \
     ON CONFLICT (slot) DO UPDATE SET sequence = excluded.sequence, rows = excluded.rows";

/// A row of [`SELECT_MARK`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
pub struct StoredMark {
    /// The last commit whose rows are in `streams`.
    pub sequence: u64,
}

/// A row of [`SELECT`].
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
pub struct StoredEntry {
    /// Number of the commit, from 1.
    pub sequence: u64,
    /// Its rows.
    pub rows: String,
}

/// What is in memory of the journal: the rows beyond the mark, each as it was changed last.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Journal {
    rows: BTreeMap<StreamId, StreamRow>,
    /// Number of the last commit.
    last: u64,
    /// The mark.
    folded: u64,
    /// Size of all entries beyond the mark.
    bytes: usize,
}

/// What has to be written in the transaction of a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// One entry: the parameters of [`UPSERT`].
    Entry {
        /// Its slot.
        slot: u64,
        /// Number of the commit.
        sequence: u64,
        /// The rows.
        rows: String,
    },
    /// Everything, for `streams`.
    Fold {
        /// Parameters of [`storage::UPSERT_STREAMS`], one after the other.
        rows: Vec<String>,
        /// The new mark.
        mark: u64,
    },
}

impl Journal {
    /// Reads what is stored.
    ///
    /// # Errors
    /// [`StorageError::Stream`], [`StorageError::Journal`]
    pub fn restore(mark: Option<StoredMark>, entries: &[StoredEntry]) -> Result<Self, StorageError> {
        let folded = mark.map_or(0, |mark| mark.sequence);
        let mut journal = Self { folded, last: folded, ..Self::default() };
        for entry in entries {
            // Every commit beyond the mark has its entry, or what it counted could be counted again.
            if entry.sequence != journal.last.saturating_add(1) {
                return Err(StorageError::Journal(entry.sequence));
            }
            journal.last = entry.sequence;
            journal.bytes = journal.bytes.saturating_add(entry.rows.len());
            journal.rows.extend(storage::decode_rows(&entry.rows)?);
        }
        Ok(journal)
    }

    /// The row of a stream, where it changed since the mark.
    pub fn row(&self, stream_id: &StreamId) -> Option<&StreamRow> {
        self.rows.get(stream_id)
    }

    /// How many streams changed since the mark.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Says whether everything is in `streams`.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Takes in the rows that a commit changed; `None` where there are none. Where what is to be written cannot be, this
    /// journal must be dropped and restored.
    pub fn write(&mut self, changed: &BTreeMap<StreamId, StreamRow>) -> Option<Write> {
        if changed.is_empty() {
            return None;
        }
        self.rows.extend(changed.iter().map(|(id, row)| (*id, row.clone())));
        self.last = self.last.saturating_add(1);
        let is_full = self.last.saturating_sub(self.folded) > MAX_JOURNAL_COMMITS
            || self.rows.len() > MAX_JOURNAL_STREAMS
            || self.bytes > MAX_JOURNAL_BYTES;
        if is_full {
            return self.fold();
        }
        let rows = storage::encode_rows(changed);
        self.bytes = self.bytes.saturating_add(rows.len());
        Some(Write::Entry { slot: self.last % MAX_JOURNAL_COMMITS, sequence: self.last, rows })
    }

    /// Empties the journal; `None` where it is empty.
    pub fn fold(&mut self) -> Option<Write> {
        if self.rows.is_empty() {
            return None;
        }
        let mut rest = std::mem::take(&mut self.rows).into_iter().peekable();
        let mut rows = Vec::new();
        while rest.peek().is_some() {
            rows.push(storage::encode_rows(&rest.by_ref().take(MAX_ROWS_PER_STATEMENT).collect()));
        }
        self.folded = self.last;
        self.bytes = 0;
        Some(Write::Fold { rows, mark: self.last })
    }
}

#[cfg(test)]
#[path = "journal_tests.rs"]
mod tests;
