//! The state in rows of bounded size.
//!
//! A state can come to many times what one row holds, and a batch changes a few series of it. So the series are cut, in
//! canonical order, into parts of up to [`MAX_PART_BYTES`]. What a commit changed is a row of the journal
//! ([`super::journal`]); when that is folded, only the parts are written in which something changed. A part that outgrows its
//! bound is cut in two or more; none is ever joined to another.
//!
//! | table | row | written |
//! | --- | --- | --- |
//! | `parts` | checksum, an encoded `LedgerState` of the series between its first and that of the next part | when the journal is folded, where any of these changed |
//!
//! Which series belong to a part is not stored: it follows from what is in the parts.

use std::collections::{BTreeMap, BTreeSet};

use tributary_proto::{Message as _, v1};
use tributary_telemetry::{LabelSet, Place, Snapshot};

use super::{
    book::Book,
    floor::Floors,
    storage::{SCHEMA, StorageError, StoredState, WITHOUT_PARTS},
};
use crate::limits::MAX_PART_BYTES;

/// Makes the table where it is missing.
pub const CREATE: &str =
    "CREATE TABLE IF NOT EXISTS parts (id INTEGER PRIMARY KEY, checksum INTEGER NOT NULL, bytes BLOB NOT NULL)";

/// Reads all of them: `id`, `checksum`, `bytes`.
pub const SELECT: &str = "SELECT id, checksum, bytes FROM parts ORDER BY id";

/// Writes one: `id`, `checksum`, `bytes`.
pub const UPSERT: &str = "INSERT INTO parts (id, checksum, bytes) VALUES (?, ?, ?) \
     ON CONFLICT (id) DO UPDATE SET checksum = excluded.checksum, bytes = excluded.bytes";

/// A row of `parts`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredPart {
    /// Its number, which says nothing of its place.
    pub id: u64,
    /// CRC-32 (ISO-HDLC) of the bytes.
    pub checksum: u32,
    /// An encoded [`v1::LedgerState`] of the series of the part alone.
    pub bytes: Vec<u8>,
}

impl StoredPart {
    fn new(id: u64, bytes: Vec<u8>) -> Self {
        Self { id, checksum: crc32fast::hash(&bytes), bytes }
    }

    /// The series of the part.
    ///
    /// # Errors
    /// [`StorageError`]
    fn open(&self) -> Result<Snapshot, StorageError> {
        if crc32fast::hash(&self.bytes) != self.checksum {
            return Err(StorageError::Checksum);
        }
        Snapshot::decode(&self.bytes).map_err(|error| StorageError::State(error.to_string()))
    }
}

/// Which part each series is in, and which parts have to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parts {
    /// What a part may come to.
    most_bytes: usize,
    /// Parts by their first series. What comes before the first of all belongs to that, too. Empty where no part is stored
    /// yet.
    firsts: BTreeMap<Place, u64>,
    /// Parts in which something changed.
    changed: BTreeSet<u64>,
    /// Parts without series, to be used again.
    unused: BTreeSet<u64>,
}

impl Default for Parts {
    fn default() -> Self {
        Self::of_at_most(MAX_PART_BYTES)
    }
}

impl Parts {
    /// No part yet; those that come are of at most so many bytes, or of one series.
    pub fn of_at_most(most_bytes: usize) -> Self {
        Self { most_bytes, firsts: BTreeMap::new(), changed: BTreeSet::new(), unused: BTreeSet::new() }
    }

    /// A series changed, was added, or removed.
    pub fn touch(&mut self, place: &Place) {
        let part = self.firsts.range(..=place).next_back().or_else(|| self.firsts.first_key_value());
        if let Some((_, id)) = part {
            self.changed.insert(*id);
        }
    }

    /// Says whether nothing has to be written.
    pub fn are_stored(&self) -> bool {
        self.changed.is_empty() && !self.firsts.is_empty()
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.firsts.len().saturating_add(self.unused.len())
    }

    /// Says whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The rows that have to be written. Where they cannot be, the parts must be dropped and read again.
    pub fn fold(&mut self, state: &Snapshot) -> Vec<StoredPart> {
        let changed = std::mem::take(&mut self.changed);
        let mut rows = Vec::new();
        if self.firsts.is_empty() {
            self.put(state.encode_between(None, None, self.most_bytes), None, &mut rows);
            return rows;
        }
        let all: Vec<(Place, u64)> = self.firsts.iter().map(|(first, id)| (first.clone(), *id)).collect();
        for (index, (first, id)) in all.iter().enumerate().filter(|(_, (_, id))| changed.contains(id)) {
            let from = (index > 0).then_some(first);
            let before = all.get(index.saturating_add(1)).map(|(next, _)| next);
            self.firsts.remove(first);
            self.put(state.encode_between(from, before, self.most_bytes), Some(*id), &mut rows);
        }
        rows
    }

    /// Puts pieces in the place of the part `id`.
    fn put(&mut self, pieces: Vec<(Place, Vec<u8>)>, mut id: Option<u64>, rows: &mut Vec<StoredPart>) {
        for (first, bytes) in pieces {
            let id = id.take().unwrap_or_else(|| self.new_id());
            self.firsts.insert(first, id);
            rows.push(StoredPart::new(id, bytes));
        }
        if let Some(id) = id {
            // Its series are gone. The row stays, so that it is known how many there are.
            self.unused.insert(id);
            rows.push(StoredPart::new(id, Snapshot::new(0).encode()));
        }
    }

    fn new_id(&mut self) -> u64 {
        // Ids are given in turn, so those that there are are those below their number.
        self.unused.pop_first().unwrap_or_else(|| u64::try_from(self.firsts.len()).unwrap_or(u64::MAX))
    }

    /// Puts a state together, and says which part each series is in.
    fn open(rows: &[StoredPart], most_bytes: usize) -> Result<(Self, Snapshot), StorageError> {
        let (mut parts, mut state, mut series) = (Self::of_at_most(most_bytes), Snapshot::new(0), 0_usize);
        for row in rows {
            let part = row.open()?;
            let first = part
                .families()
                .next()
                .and_then(|family| family.series().next().map(|(labels, _)| Place::new(family.descriptor(), labels)));
            match first {
                Some(first) => drop(parts.firsts.insert(first, row.id)),
                None => drop(parts.unused.insert(row.id)),
            }
            series = series.saturating_add(part.series_count());
            state.overlay(part).map_err(|error| StorageError::State(error.to_string()))?;
        }
        if state.series_count() != series || parts.len() != rows.len() {
            return Err(StorageError::State("a series is in two parts".to_owned()));
        }
        Ok((parts, state))
    }
}

/// All that is stored of a state, while the journal is empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredBook {
    /// The row of `state`.
    pub head: StoredState,
    /// The rows of `parts`; none before schema 4.
    pub parts: Vec<StoredPart>,
}

/// What was stored.
#[derive(Clone, Debug, PartialEq)]
pub struct Opened {
    /// The state.
    pub state: Snapshot,
    /// Its floors.
    pub floors: Floors,
    /// Which part each series is in.
    pub parts: Parts,
}

impl StoredBook {
    /// The rows that store a state where nothing is stored yet.
    pub fn of(state: &Snapshot, floors: &Floors) -> Self {
        let mut parts = Parts::default();
        let rows = parts.fold(state);
        Self { head: StoredState::head(state, floors, parts.len()), parts: rows }
    }

    /// The rows that store a book where nothing is stored yet.
    pub fn seal(book: &Book) -> Self {
        Self::of(&book.state, &book.floors)
    }

    /// What the rows store.
    ///
    /// # Errors
    /// [`StorageError`]; a row of schema 1 is one of them, [`super::migration`] reads it.
    pub fn open(&self) -> Result<Opened, StorageError> {
        if WITHOUT_PARTS.contains(&self.head.schema) {
            let (state, floors) = self.head.open_whole()?;
            return Ok(Opened { state, floors, parts: Parts::default() });
        }
        if self.head.schema != SCHEMA {
            return Err(StorageError::Schema(self.head.schema));
        }
        let invalid = |error: &dyn std::fmt::Display| StorageError::State(error.to_string());
        let stored = v1::StoredLedger::decode(self.head.checked_bytes()?).map_err(|error| invalid(&error))?;
        if usize::try_from(stored.parts) != Ok(self.parts.len()) {
            return Err(StorageError::Parts { stored: self.parts.len(), wanted: stored.parts });
        }
        let (parts, mut state) = Parts::open(&self.parts, MAX_PART_BYTES)?;
        let head = stored.state.ok_or_else(|| invalid(&"no state"))?;
        let head = Snapshot::from_wire(head).map_err(|error| invalid(&error))?;
        state.overlay(head).map_err(|error| invalid(&error))?;
        let floors = Floors::from_wire(&stored.floors).map_err(|error| invalid(&error))?;
        Ok(Opened { state, floors, parts })
    }

    /// Bytes of all rows.
    pub fn size(&self) -> usize {
        let parts = self.parts.iter().map(|part| part.bytes.len());
        parts.fold(self.head.bytes.len(), usize::saturating_add)
    }
}

/// The bytes of a row of `changes`: these series as they are now, and the numbers of the state.
pub fn encode_change(state: &Snapshot, touched: &tributary_telemetry::Touched, floors: &Floors) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(4 << 10);
    let removed = state.encode_touched(touched, 1, &mut bytes);
    let removed = removed.into_iter().map(|Place { family, labels }| {
        let label = |(name, value): (&str, &str)| v1::Label { name: name.to_owned(), value: value.to_owned() };
        v1::stored_ledger::Place { family: family.into_owned(), labels: labels.iter().map(label).collect() }
    });
    let rest = v1::StoredLedger { state: None, floors: floors.to_wire(), parts: 0, removed: removed.collect() };
    bytes.append(&mut rest.encode_to_vec());
    bytes
}

/// A change that was read.
pub(super) struct Change {
    /// The series that changed, and the numbers of the state.
    pub(super) state: Snapshot,
    /// The series that are no longer there.
    pub(super) removed: Vec<Place>,
    /// The floors.
    pub(super) floors: Floors,
}

impl Change {
    /// Reads what [`encode_change`] wrote.
    ///
    /// # Errors
    /// [`StorageError::State`]
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, StorageError> {
        let invalid = |error: &dyn std::fmt::Display| StorageError::State(error.to_string());
        let change = v1::StoredLedger::decode(bytes).map_err(|error| invalid(&error))?;
        let state = change.state.ok_or_else(|| invalid(&"no state"))?;
        let state = Snapshot::from_wire(state).map_err(|error| invalid(&error))?;
        let place = |v1::stored_ledger::Place { family, labels }| -> Result<Place, StorageError> {
            let pairs = labels.into_iter().map(|v1::Label { name, value }| (name, value));
            let labels = LabelSet::from_pairs(pairs).map_err(|error| invalid(&error))?;
            Ok(Place { family: family.into(), labels })
        };
        let removed = change.removed.into_iter().map(place).collect::<Result<_, _>>()?;
        let floors = Floors::from_wire(&change.floors).map_err(|error| invalid(&error))?;
        Ok(Self { state, removed, floors })
    }
}
