//! The journal: what each commit changed, until it is folded into the tables `streams`, `parts` and `state`.
//!
//! An isolate sends a message a second, a batch has messages of up to a hundred isolates, and it changes some of the series
//! of the state, of which there may be a hundred thousand. Written to the tables at once, each stream and each part would
//! cost a written row, which the platform bills. So a commit writes what it changed as one row of `changes`, and memory keeps
//! it; now and then all of it is written to the tables, each row once, however often it changed.
//!
//! | table | row | written |
//! | --- | --- | --- |
//! | `changes` | `slot` from 0: a commit's `sequence`, its rows of streams, as [`storage::encode_rows`] writes them, the series that it changed, as [`super::parts::encode_change`] does, and a checksum over both; slots are written over in turn | with each commit |
//! | | `slot` [`MARK`]: the `sequence` up to which everything is in the tables | when the journal is folded |
//!
//! What is in the journal beyond the mark counts, and not what the tables have of the same. So whoever reads one of them as a
//! whole folds the journal before, in the same step, and so does a Ledger that starts. A fold writes the tables and the mark
//! in one transaction; a slot is written over only behind the mark.

use std::collections::BTreeMap;

use tributary_proto::envelope::StreamId;

use super::{
    commit::StreamRow,
    parts::StoredPart,
    storage::{self, StorageError, StoredState},
};
use crate::limits::{
    MAX_ENTRY_BYTES, MAX_JOURNAL_BYTES, MAX_JOURNAL_COMMITS, MAX_JOURNAL_STREAMS, MAX_ROWS_PER_STATEMENT,
};

/// Makes the table where it is missing.
pub const CREATE: &str = "CREATE TABLE IF NOT EXISTS changes (slot INTEGER PRIMARY KEY, sequence INTEGER NOT NULL, \
     rows TEXT NOT NULL, checksum INTEGER NOT NULL, change BLOB NOT NULL)";

/// The slot of the mark.
pub const MARK: i64 = -1;

/// The mark; no row before the first fold.
pub const SELECT_MARK: &str = "SELECT sequence FROM changes WHERE slot = -1";

/// What is beyond the mark, oldest first: `sequence`, `rows`, `checksum`, `change`.
pub const SELECT: &str = "SELECT sequence, rows, checksum, change FROM changes WHERE slot >= 0 AND sequence > \
     COALESCE((SELECT sequence FROM changes WHERE slot = -1), 0) ORDER BY sequence";

/// Writes a slot: `slot`, `sequence`, `rows`, `checksum`, `change`.
pub const UPSERT: &str = "INSERT INTO changes (slot, sequence, rows, checksum, change) VALUES (?, ?, ?, ?, ?) \
     ON CONFLICT (slot) DO UPDATE SET sequence = excluded.sequence, rows = excluded.rows, \
     checksum = excluded.checksum, change = excluded.change";

/// Writes the mark: `sequence`.
pub const UPSERT_MARK: &str = "INSERT INTO changes (slot, sequence, rows, checksum, change) VALUES (-1, ?, '', 0, x'') \
     ON CONFLICT (slot) DO UPDATE SET sequence = excluded.sequence";

/// A row of [`SELECT_MARK`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
pub struct StoredMark {
    /// The last commit that is in the tables.
    pub sequence: u64,
}

/// A row of [`SELECT`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEntry {
    /// Number of the commit, from 1.
    pub sequence: u64,
    /// Its rows of streams.
    pub rows: String,
    /// CRC-32 (ISO-HDLC) of `rows` and `change`, one after the other.
    pub checksum: u32,
    /// The series that it changed.
    pub change: Vec<u8>,
}

impl StoredEntry {
    /// An entry with its checksum.
    pub fn new(sequence: u64, rows: String, change: Vec<u8>) -> Self {
        Self { sequence, checksum: checksum(&rows, &change), rows, change }
    }
}

fn checksum(rows: &str, change: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(rows.as_bytes());
    hasher.update(change);
    hasher.finalize()
}

/// What is in memory of the journal: the rows of streams beyond the mark, each as it was changed last. What changed of the
/// series is in the state and in [`super::parts::Parts`].
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
    /// One entry of the journal.
    Entry {
        /// Its slot.
        slot: u64,
        /// The entry.
        entry: StoredEntry,
    },
    /// Everything that changed since the mark, for the tables.
    Fold {
        /// Parameters of [`storage::UPSERT_STREAMS`], one after the other.
        rows: Vec<String>,
        /// Rows of `parts`.
        parts: Vec<StoredPart>,
        /// The row of `state`.
        head: StoredState,
        /// The new mark.
        mark: u64,
    },
}

impl Journal {
    /// A journal of which nothing is beyond the mark.
    pub fn at(mark: Option<StoredMark>) -> Self {
        let folded = mark.map_or(0, |mark| mark.sequence);
        Self { folded, last: folded, ..Self::default() }
    }

    /// Takes in the entry behind the last one.
    ///
    /// # Errors
    /// [`StorageError::Checksum`], [`StorageError::Stream`], [`StorageError::Journal`]
    pub fn replay(&mut self, entry: &StoredEntry) -> Result<(), StorageError> {
        if checksum(&entry.rows, &entry.change) != entry.checksum {
            return Err(StorageError::Checksum);
        }
        self.bytes = self.bytes.saturating_add(entry.change.len());
        self.replay_rows(entry.sequence, &entry.rows)
    }

    /// Takes in the rows of streams of the entry behind the last one.
    ///
    /// # Errors
    /// [`StorageError::Stream`], [`StorageError::Journal`]
    pub(super) fn replay_rows(&mut self, sequence: u64, rows: &str) -> Result<(), StorageError> {
        // Every commit beyond the mark has its entry, or what it counted could be counted again.
        if sequence != self.last.saturating_add(1) {
            return Err(StorageError::Journal(sequence));
        }
        self.last = sequence;
        self.bytes = self.bytes.saturating_add(rows.len());
        self.rows.extend(storage::decode_rows(rows)?);
        Ok(())
    }

    /// The row of a stream, where it changed since the mark.
    pub fn row(&self, stream_id: &StreamId) -> Option<&StreamRow> {
        self.rows.get(stream_id)
    }

    /// How many streams changed since the mark.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Says whether there is nothing beyond the mark.
    pub fn is_empty(&self) -> bool {
        self.last == self.folded
    }

    /// Takes in the rows of a commit. Returns whether the journal is full, and has to be folded with them.
    pub(super) fn take(&mut self, changed: &BTreeMap<StreamId, StreamRow>) -> bool {
        self.rows.extend(changed.iter().map(|(id, row)| (*id, row.clone())));
        self.last = self.last.saturating_add(1);
        self.last.saturating_sub(self.folded) > MAX_JOURNAL_COMMITS
            || self.rows.len() > MAX_JOURNAL_STREAMS
            || self.bytes > MAX_JOURNAL_BYTES
    }

    /// The entry of the commit whose rows were taken in last; `None` where it is too long for a row, and the journal has to be
    /// folded.
    pub(super) fn entry(&mut self, changed: &BTreeMap<StreamId, StreamRow>, change: Vec<u8>) -> Option<Write> {
        let rows = storage::encode_rows(changed);
        let bytes = rows.len().saturating_add(change.len());
        if bytes > MAX_ENTRY_BYTES {
            return None;
        }
        self.bytes = self.bytes.saturating_add(bytes);
        let slot = self.last % MAX_JOURNAL_COMMITS;
        Some(Write::Entry { slot, entry: StoredEntry::new(self.last, rows, change) })
    }

    /// Empties the journal: the rows of streams, and the new mark.
    pub(super) fn fold(&mut self) -> (Vec<String>, u64) {
        let mut rest = std::mem::take(&mut self.rows).into_iter().peekable();
        let mut rows = Vec::new();
        while rest.peek().is_some() {
            rows.push(storage::encode_rows(&rest.by_ref().take(MAX_ROWS_PER_STATEMENT).collect()));
        }
        self.folded = self.last;
        self.bytes = 0;
        (rows, self.last)
    }
}

#[cfg(test)]
#[path = "journal_tests.rs"]
mod tests;
