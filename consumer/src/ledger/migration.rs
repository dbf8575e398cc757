//! What becomes of rows that an older version wrote.
//!
//! One object runs one version at a time, so the tables change once, in one transaction with the state. An older version
//! that is deployed again finds a newer schema, which stops it and shows; it never starts from nothing.
//!
//! | schema | what it lacks |
//! | --- | --- |
//! | 1 | floors (it refused whatever was older than the horizon), accounts. `state` held a `LedgerState` alone |
//! | 2 | the journal. All that it stored reads the same; an older version would not see what is in the journal |
//! | 3 | parts: the row of `state` had all series. The journal, a table of its own, had rows of streams alone |

use tributary_telemetry::Snapshot;

use super::{
    account::{Entries, Entry, UNKNOWN},
    book::Book,
    floor::Floors,
    journal::{Journal, StoredMark},
    storage::{StorageError, StoredState},
};
use crate::{limits::HORIZON, self_metrics};

/// How many records are missing from the streams of producers of schema 1.
pub const MISSING_1: &str = "SELECT COALESCE(SUM((gap.value->>1) - (gap.value->>0) + 1), 0) AS missing \
     FROM streams, json_each(streams.gaps) AS gap WHERE kind <> 3";

/// Statements that bring the tables from schema 1 to today's. The last takes the floor.
pub const TABLES_1: [&str; 4] = [
    "ALTER TABLE streams ADD COLUMN floor_ms INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE streams ADD COLUMN account TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE streams ADD COLUMN missing INTEGER NOT NULL DEFAULT 0",
    "UPDATE streams SET floor_ms = ?, account = CASE kind WHEN 3 THEN '' ELSE 'unknown' END, missing = \
     (SELECT COALESCE(SUM((gap.value->>1) - (gap.value->>0) + 1), 0) FROM json_each(gaps) AS gap)",
];

/// The mark of the journal of schema 3.
pub const SELECT_MARK_3: &str = "SELECT sequence FROM journal WHERE slot = -1";

/// What is beyond it, oldest first.
pub const SELECT_JOURNAL_3: &str = "SELECT sequence, rows FROM journal WHERE slot >= 0 AND sequence > \
     COALESCE((SELECT sequence FROM journal WHERE slot = -1), 0) ORDER BY sequence";

/// Goes with the transaction that folds it.
pub const DROP_JOURNAL_3: &str = "DROP TABLE journal";

/// A row of [`SELECT_JOURNAL_3`].
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
pub struct StoredEntry3 {
    /// Number of the commit, from 1.
    pub sequence: u64,
    /// Its rows of streams.
    pub rows: String,
}

/// The journal of schema 3, to be folded into today's tables. Today's begins anew, behind it.
///
/// # Errors
/// [`StorageError`]
pub fn journal_of_3(mark: Option<StoredMark>, entries: &[StoredEntry3]) -> Result<Journal, StorageError> {
    let mut journal = Journal::at(mark);
    for entry in entries {
        journal.replay_rows(entry.sequence, &entry.rows)?;
    }
    Ok(journal)
}

/// A row of [`MISSING_1`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
pub struct StoredMissing {
    /// Records missing.
    pub missing: u64,
}

/// How a Ledger of an older schema goes on.
#[derive(Clone, Debug, PartialEq)]
pub struct Migrated {
    /// What goes on, of which nothing is stored yet.
    pub book: Book,
    /// The parameter of [`TABLES_1`].
    pub floor_ms: u64,
}

/// Brings the state of schema 1 to today's, as of `now_ms`.
///
/// The floor is the horizon: schema 1 forgot nothing that was seen after it. Accounts begin with the records that are
/// missing now, so that their sum holds from the start.
///
/// # Errors
/// [`StorageError`]; nothing may be written then.
pub fn from_1(stored: &StoredState, missing: u64, now_ms: u64) -> Result<Migrated, StorageError> {
    if stored.schema != 1 {
        return Err(StorageError::Schema(stored.schema));
    }
    let invalid = |error: &dyn std::fmt::Display| StorageError::State(error.to_string());
    let state = Snapshot::decode(stored.checked_bytes()?).map_err(|error| invalid(&error))?;
    let horizon_ms = u64::try_from(HORIZON.as_millis()).unwrap_or(u64::MAX);
    let floor_ms = now_ms.saturating_sub(horizon_ms);
    let mut book = Book::with(state, Floors::all_at(floor_ms));
    self_metrics::declare_accounts(&mut book.state);
    let entries = Entries::from([(UNKNOWN.to_owned(), Entry { sent: missing, ..Entry::default() })]);
    book.note(now_ms, |delta| self_metrics::account_entries(delta, &entries)).map_err(|error| invalid(&error))?;
    Ok(Migrated { book, floor_ms })
}

#[cfg(test)]
mod tests {
    use tributary_telemetry::{LabelSet, Value};

    use super::*;
    use crate::ledger::commit::StreamKind;

    fn schema_1(state: &Snapshot) -> StoredState {
        let bytes = state.encode();
        StoredState { schema: 1, checksum: crc32fast::hash(&bytes), bytes }
    }

    #[test]
    fn a_state_of_schema_1_goes_on_with_its_totals_a_floor_at_the_horizon_and_accounts_that_add_up() {
        let mut state = Snapshot::new(1_000);
        let _declared = tributary_telemetry::confidence::declare_resolver(&mut state, "eu").unwrap();
        let now_ms = 1_800_000_000_000;
        let migrated = from_1(&schema_1(&state), 7, now_ms).unwrap();
        let (read, floors) = (&migrated.book.state, migrated.book.floors.clone());
        assert_eq!(read.start_time_ms(), 1_000);
        for family in state.families() {
            for (labels, series) in family.series() {
                assert_eq!(read.get(family.descriptor().name(), labels), Some(series));
            }
        }
        assert_eq!(migrated.floor_ms, now_ms - 5 * 24 * 3600 * 1000);
        assert!(StreamKind::ALL.into_iter().all(|kind| floors.of(kind) == migrated.floor_ms));
        let unknown = LabelSet::from_pairs([("resolver_id", UNKNOWN)]).unwrap();
        let sent = read.get(self_metrics::RECORDS_SENT.name(), &unknown).map(|series| series.value().clone());
        assert_eq!(sent, Some(Value::Counter(7)));
    }

    #[test]
    fn what_is_not_a_sound_state_of_schema_1_is_an_error() {
        let stored = schema_1(&Book::new("eu", 1_000).unwrap().state);
        let newer = StoredState { schema: 3, ..stored.clone() };
        assert_eq!(from_1(&newer, 0, 2_000), Err(StorageError::Schema(3)));
        let mut rotten = stored.clone();
        rotten.bytes[5] ^= 1;
        assert_eq!(from_1(&rotten, 0, 2_000), Err(StorageError::Checksum));
        let mut junk = stored;
        junk.bytes = vec![0xff; 4];
        junk.checksum = crc32fast::hash(&junk.bytes);
        assert!(matches!(from_1(&junk, 0, 2_000), Err(StorageError::State(_))));
    }
}
