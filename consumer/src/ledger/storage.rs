//! What the Ledger stores, and how rows are read and written.
//!
//! | table | row | written |
//! | --- | --- | --- |
//! | `changes` | what each commit changed of all below, see [`super::journal`] | one with each commit |
//! | `streams` | one per stream that is remembered: kind, high-water mark, gaps, when it was last seen, floor, account, how many records are missing | when the journal is folded |
//! | `parts` | the series of the cumulative state, see [`super::parts`] | when the journal is folded, where they changed |
//! | `state` | one: schema, checksum, the numbers of the state and its floors | when the journal is folded |
//!
//! Atomicity: a commit reads, decides and writes without an `await`, inside one `transactionSync`, so that either all
//! of its rows are there or none is. A row that does not read back as it was written is an error that stops the
//! Ledger and shows, never an empty start: the only empty start is a database without any row.

use std::collections::BTreeMap;

use tributary_proto::{Message as _, envelope::StreamId, v1};
use tributary_telemetry::Snapshot;

use super::{
    commit::{StreamKind, StreamRow},
    floor::Floors,
    journal, parts,
    stream::{Gap, StreamProgress},
};

/// Schema of the tables and of the rows in them. [`super::migration`] reads older ones.
pub const SCHEMA: u32 = 4;

/// Schemas whose row of `state` has the series. The first of them has no journal.
pub const WITHOUT_PARTS: [u32; 2] = [2, 3];

/// Statements that make the tables where they are missing.
///
/// `WITHOUT ROWID` because a key that is not an integer otherwise costs a second written row.
pub const CREATE: [&str; 4] = [
    "CREATE TABLE IF NOT EXISTS streams (stream_id TEXT PRIMARY KEY, kind INTEGER NOT NULL, \
     high_water INTEGER NOT NULL, gaps TEXT NOT NULL, last_seen_ms INTEGER NOT NULL, floor_ms INTEGER NOT NULL, \
     account TEXT NOT NULL, missing INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS state (id INTEGER PRIMARY KEY CHECK (id = 0), schema INTEGER NOT NULL, \
     checksum INTEGER NOT NULL, bytes BLOB NOT NULL)",
    journal::CREATE,
    parts::CREATE,
];

/// Rows of the streams named by a JSON array of their ids: any number of them through one bound parameter, of which a
/// statement takes 100.
pub const SELECT_STREAMS: &str = "SELECT stream_id, kind, high_water, gaps, last_seen_ms, floor_ms, account \
     FROM streams WHERE stream_id IN (SELECT value FROM json_each(?))";

/// Writes the rows of a JSON array, as [`encode_rows`] makes it.
pub const UPSERT_STREAMS: &str = "INSERT INTO streams (stream_id, kind, high_water, gaps, last_seen_ms, floor_ms, account, missing) \
     SELECT value->>0, value->>1, value->>2, value->>3, value->>4, value->>5, value->>6, value->>7 FROM json_each(?) \
     WHERE true ON CONFLICT (stream_id) DO UPDATE SET kind = excluded.kind, high_water = excluded.high_water, \
     gaps = excluded.gaps, last_seen_ms = excluded.last_seen_ms, floor_ms = excluded.floor_ms, \
     account = excluded.account, missing = excluded.missing";

/// Streams and missing records by kind and account: as many rows as there are accounts, which are bounded.
pub const COUNT_STREAMS: &str = "SELECT kind, account, COUNT(*) AS streams, SUM(missing) AS missing FROM streams \
     GROUP BY kind, account";

/// Streams last seen before a time, at most so many.
pub const SELECT_SILENT_STREAMS: &str = "SELECT stream_id, kind, high_water, gaps, last_seen_ms, floor_ms, account FROM streams \
     WHERE last_seen_ms < ? LIMIT ?";

/// Streams of a kind that were silent the longest, at most so many.
pub const SELECT_OLDEST_STREAMS: &str = "SELECT stream_id, kind, high_water, gaps, last_seen_ms, floor_ms, account FROM streams \
     WHERE kind = ? ORDER BY last_seen_ms, stream_id LIMIT ?";

/// Forgets the streams named by a JSON array of their ids.
pub const DELETE_STREAMS: &str = "DELETE FROM streams WHERE stream_id IN (SELECT value FROM json_each(?))";

/// How many tables beside that of the state have rows.
pub const COUNT_FILLED: &str = "SELECT EXISTS (SELECT 1 FROM streams) + EXISTS (SELECT 1 FROM parts) + \
     EXISTS (SELECT 1 FROM changes) AS tables";

/// The one row of the state.
pub const SELECT_STATE: &str = "SELECT schema, checksum, bytes FROM state WHERE id = 0";

/// Writes it.
pub const UPSERT_STATE: &str = "INSERT INTO state (id, schema, checksum, bytes) VALUES (0, ?, ?, ?) \
     ON CONFLICT (id) DO UPDATE SET schema = excluded.schema, checksum = excluded.checksum, bytes = excluded.bytes";

/// A row of `streams` as SQLite gives it back.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
pub struct StoredStream {
    /// 32 hexadecimal digits.
    pub stream_id: String,
    /// A [`StreamKind`].
    pub kind: i32,
    /// Highest sequence seen.
    pub high_water: u64,
    /// JSON: pairs of first and last.
    pub gaps: String,
    /// Milliseconds since the epoch.
    pub last_seen_ms: u64,
    /// Milliseconds since the epoch.
    pub floor_ms: u64,
    /// Name of the account.
    pub account: String,
}

/// A row of [`COUNT_FILLED`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
pub struct Filled {
    /// How many.
    pub tables: u64,
}

/// A row of [`COUNT_STREAMS`].
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
pub struct StoredTally {
    /// A [`StreamKind`].
    pub kind: i32,
    /// Name of the account.
    pub account: String,
    /// How many streams there are.
    pub streams: u64,
    /// Records missing of them.
    pub missing: u64,
}

/// What is stored cannot be used. The Ledger answers nothing else until somebody looks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StorageError {
    /// A row of a stream breaks an invariant.
    #[error("the stored row of stream {0} is corrupt")]
    Stream(String),
    /// Written by a newer version: rolling back past a schema change needs the migration undone first.
    #[error("the stored state has schema {0}, this version knows {SCHEMA}")]
    Schema(u32),
    /// The entry before this one is missing, and with it what it says was counted.
    #[error("the journal has no entry before commit {0}")]
    Journal(u64),
    /// Not all rows of the state are there.
    #[error("the stored state has {stored} parts, and should have {wanted}")]
    Parts {
        /// As many as there are.
        stored: usize,
        /// As many as there should be.
        wanted: u32,
    },
    /// The bytes are not those that were written.
    #[error("the stored state is corrupt: its checksum does not match")]
    Checksum,
    /// The bytes are those that were written, and do not decode.
    #[error("the stored state does not decode: {0}")]
    State(String),
    /// A row of the imports does not decode.
    #[error("a stored import does not decode: {0}")]
    Import(String),
    /// Rows of other tables without a state: the state was lost.
    #[error("there are streams or series but no state: the state was lost")]
    StateMissing,
}

/// The parameter of [`SELECT_STREAMS`] and [`DELETE_STREAMS`].
pub fn encode_ids<'a>(ids: impl IntoIterator<Item = &'a StreamId>) -> String {
    serde_json::Value::from_iter(ids.into_iter().map(StreamId::to_string)).to_string()
}

/// The parameter of [`UPSERT_STREAMS`].
pub fn encode_rows(rows: &BTreeMap<StreamId, StreamRow>) -> String {
    use std::fmt::Write as _;
    let mut json = String::with_capacity(rows.len().saturating_mul(128));
    json.push('[');
    // Streams of one producer share an account, which is quoted once.
    let mut account: (&str, String) = ("", "\"\"".to_owned());
    for (stream_id, row) in rows {
        if row.account != account.0 {
            account = (&row.account, serde_json::Value::from(row.account.as_str()).to_string());
        }
        let separator = if json.len() > 1 { "," } else { "" };
        let (kind, high_water) = (i32::from(row.kind.to_wire()), row.progress.high_water());
        // Writing to a string never fails.
        let _is_written = write!(json, "{separator}[\"{stream_id}\",{kind},{high_water},[").is_ok();
        for (index, gap) in row.progress.gaps().iter().enumerate() {
            let separator = if index > 0 { "," } else { "" };
            let _is_written = write!(json, "{separator}[{},{}]", gap.first, gap.last).is_ok();
        }
        let (last_seen_ms, floor_ms, missing) = (row.last_seen_ms, row.floor_ms, row.progress.missing());
        let _is_written = write!(json, "],{last_seen_ms},{floor_ms},{},{missing}]", account.1).is_ok();
    }
    json.push(']');
    json
}

/// Reads what [`encode_rows`] wrote.
///
/// # Errors
/// [`StorageError::Stream`]
pub fn decode_rows(text: &str) -> Result<BTreeMap<StreamId, StreamRow>, StorageError> {
    type Row = (String, i32, u64, Vec<(u64, u64)>, u64, u64, String, u64);
    let rows: Vec<Row> = serde_json::from_str(text).map_err(|_| StorageError::Stream("of a commit".to_owned()))?;
    rows.into_iter()
        .map(|(stream_id, kind, high_water, gaps, last_seen_ms, floor_ms, account, _)| {
            // The last column is there to be summed up, and follows from the gaps.
            let stored =
                StoredStream { stream_id, kind, high_water, gaps: String::new(), last_seen_ms, floor_ms, account };
            with_gaps(&stored, gaps)
        })
        .collect()
}

/// Reads a row of `streams`.
///
/// # Errors
/// [`StorageError::Stream`]
pub fn decode_row(stored: &StoredStream) -> Result<(StreamId, StreamRow), StorageError> {
    let gaps = serde_json::from_str(&stored.gaps).map_err(|_| StorageError::Stream(stored.stream_id.clone()))?;
    with_gaps(stored, gaps)
}

fn with_gaps(stored: &StoredStream, gaps: Vec<(u64, u64)>) -> Result<(StreamId, StreamRow), StorageError> {
    let corrupt = || StorageError::Stream(stored.stream_id.clone());
    let stream_id = parse_id(&stored.stream_id).ok_or_else(corrupt)?;
    let kind = StreamKind::from_wire(stored.kind).ok_or_else(corrupt)?;
    let gaps = gaps.into_iter().map(|(first, last)| Gap { first, last }).collect();
    let progress = StreamProgress::restore(stored.high_water, gaps).map_err(|_| corrupt())?;
    let StoredStream { last_seen_ms, floor_ms, ref account, .. } = *stored;
    Ok((stream_id, StreamRow { kind, progress, last_seen_ms, floor_ms, account: account.clone() }))
}

fn parse_id(text: &str) -> Option<StreamId> {
    let number = u128::from_str_radix(text, 16).ok()?;
    let stream_id = StreamId(number.to_be_bytes());
    // Refuses a sign, missing digits and capitals, which the parser takes.
    (stream_id.to_string() == text).then_some(stream_id)
}

/// The row of `state`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredState {
    /// [`SCHEMA`] of the version that wrote it.
    pub schema: u32,
    /// CRC-32 (ISO-HDLC) of the bytes.
    pub checksum: u32,
    /// An encoded [`v1::StoredLedger`].
    pub bytes: Vec<u8>,
}

impl StoredState {
    /// The row that stores what is beside the series of a state.
    pub fn head(state: &Snapshot, floors: &Floors, parts: usize) -> Self {
        let mut bytes = Vec::new();
        state.nothing_of().encode_field(1, &mut bytes);
        let parts = u32::try_from(parts).unwrap_or(u32::MAX);
        let rest = v1::StoredLedger { state: None, floors: floors.to_wire(), parts, removed: Vec::new() };
        bytes.append(&mut rest.encode_to_vec());
        Self { schema: SCHEMA, checksum: crc32fast::hash(&bytes), bytes }
    }

    /// The state and the floors that a row of [`WITHOUT_PARTS`] stores.
    ///
    /// # Errors
    /// [`StorageError`]
    pub fn open_whole(&self) -> Result<(Snapshot, Floors), StorageError> {
        if !WITHOUT_PARTS.contains(&self.schema) {
            return Err(StorageError::Schema(self.schema));
        }
        let invalid = |error: &dyn std::fmt::Display| StorageError::State(error.to_string());
        let stored = v1::StoredLedger::decode(self.checked_bytes()?).map_err(|error| invalid(&error))?;
        let state = stored.state.ok_or_else(|| invalid(&"no state"))?;
        let state = Snapshot::from_wire(state).map_err(|error| invalid(&error))?;
        let floors = Floors::from_wire(&stored.floors).map_err(|error| invalid(&error))?;
        Ok((state, floors))
    }

    /// The bytes, where they are those that were written.
    ///
    /// # Errors
    /// [`StorageError::Checksum`]
    pub fn checked_bytes(&self) -> Result<&[u8], StorageError> {
        if crc32fast::hash(&self.bytes) == self.checksum { Ok(&self.bytes) } else { Err(StorageError::Checksum) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::book::Book;

    fn row() -> (StreamId, StreamRow) {
        let mut progress = StreamProgress::default();
        for sequence in [3, 9, 5] {
            progress.note(sequence).unwrap();
        }
        (
            StreamId([0xab; 16]),
            StreamRow { kind: StreamKind::Legacy, progress, last_seen_ms: 77, floor_ms: 5, account: "eu".into() },
        )
    }

    #[test]
    fn a_row_is_written_as_the_statement_expects_it_and_reads_back_the_same() {
        let (stream_id, row) = row();
        let rows = BTreeMap::from([(stream_id, row.clone())]);
        let id = "ab".repeat(16);
        assert_eq!(encode_rows(&rows), format!(r#"[["{id}",2,9,[[1,2],[4,4],[6,8]],77,5,"eu",6]]"#));
        let stored = StoredStream {
            stream_id: id,
            kind: 2,
            high_water: 9,
            gaps: "[[1,2],[4,4],[6,8]]".into(),
            last_seen_ms: 77,
            floor_ms: 5,
            account: "eu".into(),
        };
        assert_eq!(decode_row(&stored), Ok((stream_id, row)));
    }

    #[test]
    fn a_corrupt_row_of_a_stream_is_an_error() {
        let good = StoredStream {
            stream_id: "ab".repeat(16),
            kind: 1,
            high_water: 9,
            gaps: "[]".into(),
            last_seen_ms: 77,
            floor_ms: 0,
            account: "eu".into(),
        };
        assert!(decode_row(&good).is_ok());
        let spoil: [fn(&mut StoredStream); 6] = [
            |row| row.stream_id = "ab".into(),
            |row| row.stream_id = format!("+{}", "ab".repeat(15)),
            |row| row.kind = 9,
            |row| row.gaps = "[[9,9]]".into(),
            |row| row.gaps = "[[1]]".into(),
            |row| row.gaps = String::new(),
        ];
        for spoil in spoil {
            let mut row = good.clone();
            spoil(&mut row);
            assert_eq!(decode_row(&row), Err(StorageError::Stream(row.stream_id.clone())));
        }
    }

    #[test]
    fn a_lost_state_is_an_error_and_only_an_empty_database_starts_empty() {
        let one = StoredTally { kind: 1, account: "r".into(), streams: 1, missing: 0 };
        assert_eq!(Book::load(None, &[one], "r", 1_000), Err(StorageError::StateMissing));
        let fresh = Book::load(None, &[], "r", 1_000).unwrap();
        assert_eq!(fresh.state.start_time_ms(), 1_000);
        assert!(fresh.state.series_count() > 10, "the series of the resolver are there from the start");
    }
}
