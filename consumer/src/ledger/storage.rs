//! What the Ledger stores, and how rows are read and written.
//!
//! | table | row | written |
//! | --- | --- | --- |
//! | `streams` | one per stream alive within the horizon: kind, high-water mark, gaps, when it was last seen | with each commit that covers the stream |
//! | `state` | one: schema, checksum, the encoded cumulative state | with each commit |
//!
//! Atomicity: a commit reads, decides and writes without an `await`, inside one `transactionSync`, so that either all
//! of its rows are there or none is. A row that does not read back as it was written is an error that stops the
//! Ledger and shows, never an empty start: the only empty start is a database without any row.

use std::collections::BTreeMap;

use tributary_proto::envelope::StreamId;
use tributary_telemetry::Snapshot;

use super::{
    commit::{StreamKind, StreamRow},
    stream::{Gap, StreamProgress},
};
use crate::self_metrics;

/// Schema of the tables and of the rows in them.
pub const SCHEMA: u32 = 1;

/// Statements that make the tables where they are missing.
///
/// `WITHOUT ROWID` because a key that is not an integer otherwise costs a second written row.
pub const CREATE: [&str; 2] = [
    "CREATE TABLE IF NOT EXISTS streams (stream_id TEXT PRIMARY KEY, kind INTEGER NOT NULL, \
     high_water INTEGER NOT NULL, gaps TEXT NOT NULL, last_seen_ms INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS state (id INTEGER PRIMARY KEY CHECK (id = 0), schema INTEGER NOT NULL, \
     checksum INTEGER NOT NULL, bytes BLOB NOT NULL)",
];

/// Rows of the streams named by a JSON array of their ids: any number of them through one bound parameter, of which a
/// statement takes 100.
pub const SELECT_STREAMS: &str = "SELECT stream_id, kind, high_water, gaps, last_seen_ms FROM streams \
     WHERE stream_id IN (SELECT value FROM json_each(?))";

/// Writes the rows of a JSON array, as [`encode_rows`] makes it.
pub const UPSERT_STREAMS: &str = "INSERT INTO streams (stream_id, kind, high_water, gaps, last_seen_ms) \
     SELECT value->>0, value->>1, value->>2, value->>3, value->>4 FROM json_each(?) WHERE true \
     ON CONFLICT (stream_id) DO UPDATE SET kind = excluded.kind, high_water = excluded.high_water, \
     gaps = excluded.gaps, last_seen_ms = excluded.last_seen_ms";

/// Streams by kind.
pub const COUNT_STREAMS: &str = "SELECT kind, COUNT(*) AS streams FROM streams GROUP BY kind";

/// Streams last seen before a time, at most so many.
pub const SELECT_SILENT_STREAMS: &str = "SELECT stream_id, kind, high_water, gaps, last_seen_ms FROM streams \
     WHERE last_seen_ms < ? LIMIT ?";

/// Forgets the streams named by a JSON array of their ids.
pub const DELETE_STREAMS: &str = "DELETE FROM streams WHERE stream_id IN (SELECT value FROM json_each(?))";

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
}

/// A row of [`COUNT_STREAMS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
pub struct StoredCount {
    /// A [`StreamKind`].
    pub kind: i32,
    /// How many there are.
    pub streams: u64,
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
    /// The bytes are not those that were written.
    #[error("the stored state is corrupt: its checksum does not match")]
    Checksum,
    /// The bytes are those that were written, and do not decode.
    #[error("the stored state does not decode: {0}")]
    State(String),
    /// Streams without a state: the state was lost.
    #[error("there are streams but no state: the state was lost")]
    StateMissing,
}

/// The parameter of [`SELECT_STREAMS`] and [`DELETE_STREAMS`].
pub fn encode_ids<'a>(ids: impl IntoIterator<Item = &'a StreamId>) -> String {
    serde_json::Value::from_iter(ids.into_iter().map(StreamId::to_string)).to_string()
}

/// The parameter of [`UPSERT_STREAMS`].
pub fn encode_rows(rows: &BTreeMap<StreamId, StreamRow>) -> String {
    let row = |(stream_id, row): (&StreamId, &StreamRow)| {
        let gaps: Vec<(u64, u64)> = row.progress.gaps().iter().map(|gap| (gap.first, gap.last)).collect();
        serde_json::json!([
            stream_id.to_string(),
            i32::from(row.kind.to_wire()),
            row.progress.high_water(),
            gaps,
            row.last_seen_ms
        ])
    };
    serde_json::Value::from_iter(rows.iter().map(row)).to_string()
}

/// Reads a row of `streams`.
///
/// # Errors
/// [`StorageError::Stream`]
pub fn decode_row(stored: &StoredStream) -> Result<(StreamId, StreamRow), StorageError> {
    let corrupt = || StorageError::Stream(stored.stream_id.clone());
    let stream_id = parse_id(&stored.stream_id).ok_or_else(corrupt)?;
    let kind = StreamKind::from_wire(stored.kind).ok_or_else(corrupt)?;
    let gaps: Vec<(u64, u64)> = serde_json::from_str(&stored.gaps).map_err(|_| corrupt())?;
    let gaps = gaps.into_iter().map(|(first, last)| Gap { first, last }).collect();
    let progress = StreamProgress::restore(stored.high_water, gaps).map_err(|_| corrupt())?;
    Ok((stream_id, StreamRow { kind, progress, last_seen_ms: stored.last_seen_ms }))
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
    /// An encoded [`Snapshot`].
    pub bytes: Vec<u8>,
}

impl StoredState {
    /// The row that stores `state`.
    pub fn seal(state: &Snapshot) -> Self {
        let bytes = state.encode();
        Self { schema: SCHEMA, checksum: crc32fast::hash(&bytes), bytes }
    }

    /// The state that the row stores.
    ///
    /// # Errors
    /// [`StorageError`]
    pub fn open(&self) -> Result<Snapshot, StorageError> {
        if self.schema != SCHEMA {
            return Err(StorageError::Schema(self.schema));
        }
        if crc32fast::hash(&self.bytes) != self.checksum {
            return Err(StorageError::Checksum);
        }
        Snapshot::decode(&self.bytes).map_err(|error| StorageError::State(error.to_string()))
    }
}

/// The state to begin with: the stored one, or a new one where nothing at all is stored.
///
/// # Errors
/// [`StorageError`]
pub fn load(
    stored: Option<&StoredState>,
    streams: u64,
    resolver_id: &str,
    now_ms: u64,
) -> Result<Snapshot, StorageError> {
    match stored {
        Some(stored) => stored.open(),
        None if streams > 0 => Err(StorageError::StateMissing),
        None => {
            let mut state = Snapshot::new(now_ms);
            self_metrics::declare(&mut state, resolver_id, now_ms)
                .map_err(|error| StorageError::State(error.to_string()))?;
            Ok(state)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> (StreamId, StreamRow) {
        let mut progress = StreamProgress::default();
        for sequence in [3, 9, 5] {
            progress.note(sequence).unwrap();
        }
        (StreamId([0xab; 16]), StreamRow { kind: StreamKind::Legacy, progress, last_seen_ms: 77 })
    }

    #[test]
    fn a_row_is_written_as_the_statement_expects_it_and_reads_back_the_same() {
        let (stream_id, row) = row();
        let rows = BTreeMap::from([(stream_id, row.clone())]);
        let id = "ab".repeat(16);
        assert_eq!(encode_rows(&rows), format!(r#"[["{id}",2,9,[[1,2],[4,4],[6,8]],77]]"#));
        let stored = StoredStream {
            stream_id: id,
            kind: 2,
            high_water: 9,
            gaps: "[[1,2],[4,4],[6,8]]".into(),
            last_seen_ms: 77,
        };
        assert_eq!(decode_row(&stored), Ok((stream_id, row)));
    }

    #[test]
    fn a_corrupt_row_of_a_stream_is_an_error() {
        let good =
            StoredStream { stream_id: "ab".repeat(16), kind: 1, high_water: 9, gaps: "[]".into(), last_seen_ms: 77 };
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
    fn a_stored_state_reads_back_and_any_flipped_bit_is_an_error() {
        let state = load(None, 0, "cf-resolver", 1_000).unwrap();
        let stored = StoredState::seal(&state);
        assert_eq!(stored.open().as_ref(), Ok(&state));
        for at in 0..stored.bytes.len() {
            let mut spoiled = stored.clone();
            spoiled.bytes[at] ^= 1;
            assert_eq!(spoiled.open(), Err(StorageError::Checksum));
        }
        let cut = StoredState { bytes: stored.bytes[..10].to_vec(), ..stored.clone() };
        assert_eq!(cut.open(), Err(StorageError::Checksum));
        let newer = StoredState { schema: SCHEMA + 1, ..stored };
        assert_eq!(newer.open(), Err(StorageError::Schema(SCHEMA + 1)));
    }

    #[test]
    fn a_lost_state_is_an_error_and_only_an_empty_database_starts_empty() {
        assert_eq!(load(None, 1, "r", 1_000), Err(StorageError::StateMissing));
        let fresh = load(None, 0, "r", 1_000).unwrap();
        assert_eq!(fresh.start_time_ms(), 1_000);
        assert!(fresh.series_count() > 10, "the series of the resolver are there from the start");
    }
}
