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

use tributary_proto::{Message as _, v1};
use tributary_telemetry::{LabelSet, Place, Snapshot, Touched};

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
    fn new(id: u64, series: &Snapshot) -> Self {
        let bytes = series.encode();
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
    /// In order. What comes before the first of all belongs to that, too. Empty where nothing is stored yet.
    parts: Vec<Part>,
    /// Numbers of rows without series, to be used again.
    unused: Vec<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Part {
    /// Its first series.
    first: Place,
    id: u64,
    is_changed: bool,
}

impl Default for Parts {
    fn default() -> Self {
        Self::of_at_most(MAX_PART_BYTES)
    }
}

impl Parts {
    /// No part yet; those that come are of at most so many bytes, or of one series.
    pub const fn of_at_most(most_bytes: usize) -> Self {
        Self { most_bytes, parts: Vec::new(), unused: Vec::new() }
    }

    /// Series changed, were added, or removed.
    pub fn touch_all(&mut self, touched: &Touched) {
        match self.parts.as_mut_slice() {
            // Most states are one part, and nothing is looked up for them.
            [part] => part.is_changed = true,
            _ => touched.places().for_each(|place| self.touch(&place)),
        }
    }

    fn touch(&mut self, place: &Place) {
        let behind = self.parts.partition_point(|part| part.first <= *place);
        if let Some(part) = self.parts.get_mut(behind.saturating_sub(1)) {
            part.is_changed = true;
        }
    }

    /// Says whether nothing has to be written.
    pub fn are_stored(&self) -> bool {
        !self.parts.is_empty() && self.parts.iter().all(|part| !part.is_changed)
    }

    /// How many rows there are.
    pub const fn len(&self) -> usize {
        self.parts.len().saturating_add(self.unused.len())
    }

    /// Says whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The rows that have to be written. Where they cannot be, the parts must be dropped and read again.
    pub fn fold(&mut self, state: &Snapshot) -> Vec<StoredPart> {
        let mut rows = Vec::new();
        let mut before = std::mem::take(&mut self.parts);
        let mut new_id = u64::try_from(before.len().saturating_add(self.unused.len())).unwrap_or(u64::MAX);
        if before.is_empty() {
            self.put(state.between(None, None, self.most_bytes), None, &mut new_id, &mut rows);
            return rows;
        }
        while !before.is_empty() {
            let part = before.remove(0);
            if part.is_changed {
                let from = (!self.parts.is_empty()).then_some(&part.first);
                let next = before.first().map(|part| &part.first);
                let pieces = state.between(from, next, self.most_bytes);
                self.put(pieces, Some(part.id), &mut new_id, &mut rows);
            } else {
                self.parts.push(part);
            }
        }
        rows
    }

    /// Puts pieces in the place of the part `id`.
    fn put(&mut self, pieces: Vec<Snapshot>, mut id: Option<u64>, new_id: &mut u64, rows: &mut Vec<StoredPart>) {
        for piece in &pieces {
            let id = id.take().or_else(|| self.unused.pop()).unwrap_or_else(|| {
                let id = *new_id;
                *new_id = id.saturating_add(1);
                id
            });
            self.parts.extend(piece.places().next().map(|first| Part { first, id, is_changed: false }));
            rows.push(StoredPart::new(id, piece));
        }
        if let Some(id) = id {
            // Its series are gone. The row stays, so that it is known how many there are.
            self.unused.push(id);
            rows.push(StoredPart::new(id, &Snapshot::new(0)));
        }
    }

    /// Puts a state together, and says which part each series is in.
    fn open(rows: &[StoredPart], most_bytes: usize) -> Result<(Self, Snapshot), StorageError> {
        let (mut parts, mut state, mut series) = (Self::of_at_most(most_bytes), Snapshot::new(0), 0_usize);
        for row in rows {
            let part = row.open()?;
            match part.places().next() {
                Some(first) => {
                    let at = parts.parts.partition_point(|part| part.first < first);
                    parts.parts.insert(at, Part { first, id: row.id, is_changed: false });
                }
                None => parts.unused.push(row.id),
            }
            series = series.saturating_add(part.series_count());
            state.overlay(&part).map_err(|error| StorageError::State(error.to_string()))?;
        }
        if state.series_count() != series {
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
        state.overlay(&head).map_err(|error| invalid(&error))?;
        let floors = Floors::from_wire(&stored.floors).map_err(|error| invalid(&error))?;
        Ok(Opened { state, floors, parts })
    }

    /// Bytes of all rows.
    pub fn size(&self) -> usize {
        let parts = self.parts.iter().map(|part| part.bytes.len());
        parts.fold(self.head.bytes.len(), usize::saturating_add)
    }
}

/// The bytes of a row of `changes`.
pub fn encode_change(touched: &Touched, floors: &Floors) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(4 << 10);
    touched.series.encode_field(1, &mut bytes);
    let removed = touched.removed.iter().map(|Place { family, labels }| {
        let label = |(name, value): (&str, &str)| v1::Label { name: name.to_owned(), value: value.to_owned() };
        v1::stored_ledger::Place { family: family.to_string(), labels: labels.iter().map(label).collect() }
    });
    let rest = v1::StoredLedger { state: None, floors: floors.to_wire(), parts: 0, removed: removed.collect() };
    bytes.append(&mut rest.encode_to_vec());
    bytes
}

/// Reads them.
///
/// # Errors
/// [`StorageError::State`]
pub(super) fn decode_change(bytes: &[u8]) -> Result<(Touched, Floors), StorageError> {
    let invalid = |error: &dyn std::fmt::Display| StorageError::State(error.to_string());
    let change = v1::StoredLedger::decode(bytes).map_err(|error| invalid(&error))?;
    let series = change.state.ok_or_else(|| invalid(&"no state"))?;
    let series = Snapshot::from_wire(series).map_err(|error| invalid(&error))?;
    let place = |v1::stored_ledger::Place { family, labels }| -> Result<Place, StorageError> {
        let pairs = labels.into_iter().map(|v1::Label { name, value }| (name, value));
        let labels = LabelSet::from_pairs(pairs).map_err(|error| invalid(&error))?;
        Ok(Place { family: family.into(), labels })
    };
    let removed = change.removed.into_iter().map(place).collect::<Result<_, _>>()?;
    let floors = Floors::from_wire(&change.floors).map_err(|error| invalid(&error))?;
    Ok((Touched { series, removed }, floors))
}
