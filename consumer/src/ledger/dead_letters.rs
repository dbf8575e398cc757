//! The table of dead letters: what is stored, in which bounds, and how it is read. Pure but for the statements' text.
//!
//! | table | row | written |
//! | --- | --- | --- |
//! | `dead_letters` | one per message that was given up, by its id: its place in the order of arrival, reason, size, the encoded letter | when a letter comes; deleted when it is redriven or discarded |
//!
//! A letter that comes again replaces its row and gets a new place, which `AUTOINCREMENT` never gives twice: whoever
//! deletes by place deletes what was read, and not a letter that came since.

use tributary_proto::{
    dead_letter::DeadLetter,
    v1::{ReadDeadLettersRequest, StoredDeadLetter},
};

use crate::{
    dead_letters::{
        letter::label_of,
        metrics::{Count, Counts},
    },
    limits::{MAX_DEAD_LETTERS, MAX_DEAD_LETTERS_BYTES, MAX_DEAD_PAGE_BYTES},
};

/// Makes the table where it is missing. The letter comes last, so that counting reads no letters.
pub const CREATE: &str = "CREATE TABLE IF NOT EXISTS dead_letters (place INTEGER PRIMARY KEY AUTOINCREMENT, \
     message_id TEXT NOT NULL UNIQUE, reason TEXT NOT NULL, size INTEGER NOT NULL, dead_ms INTEGER NOT NULL, \
     letter BLOB NOT NULL)";

/// Writes a letter: message id, reason, size, time, letter.
pub const REPLACE: &str =
    "INSERT OR REPLACE INTO dead_letters (message_id, reason, size, dead_ms, letter) VALUES (?, ?, ?, ?, ?)";

/// Size of the letter of a message id.
pub const SELECT_SIZE: &str = "SELECT size FROM dead_letters WHERE message_id = ?";

/// Letters, bytes, the oldest and the last place, by reason.
pub const COUNT: &str = "SELECT reason, COUNT(*) AS letters, SUM(size) AS bytes, MIN(dead_ms) AS oldest_ms, \
     MAX(place) AS last_place FROM dead_letters GROUP BY reason";

/// Letters in the order of arrival: after a place, up to a place, of a reason or of any (empty), so many.
pub const SELECT_PAGE: &str = "SELECT place, letter FROM dead_letters WHERE place > ?1 AND place <= ?2 \
     AND (?3 = '' OR reason = ?3) ORDER BY place LIMIT ?4";

/// Letters, the last first: of a reason or of any, so many.
pub const SELECT_RECENT: &str =
    "SELECT place, letter FROM dead_letters WHERE (?1 = '' OR reason = ?1) ORDER BY place DESC LIMIT ?2";

/// Places of a reason or of any, oldest first, so many.
pub const SELECT_PLACES: &str = "SELECT place FROM dead_letters WHERE (?1 = '' OR reason = ?1) ORDER BY place LIMIT ?2";

/// Which of the places of a JSON array there are.
pub const SELECT_PRESENT: &str = "SELECT place FROM dead_letters WHERE place IN (SELECT value FROM json_each(?))";

/// Deletes the places of a JSON array.
pub const DELETE: &str = "DELETE FROM dead_letters WHERE place IN (SELECT value FROM json_each(?))";

/// A row of [`COUNT`].
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
pub struct ReasonRow {
    /// The reason, as a label.
    pub reason: String,
    /// How many.
    pub letters: u64,
    /// Their size.
    pub bytes: u64,
    /// When the first of them was given up, in milliseconds since the epoch.
    pub oldest_ms: u64,
    /// The highest place.
    pub last_place: u64,
}

/// A row of [`SELECT_SIZE`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
pub struct SizeRow {
    /// Bytes.
    pub size: u64,
}

/// A row of [`SELECT_PLACES`] and [`SELECT_PRESENT`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
pub struct PlaceRow {
    /// A place.
    pub place: u64,
}

/// What is in the table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inventory {
    /// By reason.
    pub counts: Counts,
    /// When the oldest letter was given up, in milliseconds since the epoch.
    pub oldest_ms: Option<u64>,
    /// The highest place; 0 where there is none.
    pub last_place: u64,
}

impl Inventory {
    /// Sums up the rows of [`COUNT`].
    pub fn new(rows: Vec<ReasonRow>) -> Self {
        Self {
            oldest_ms: rows.iter().map(|row| row.oldest_ms).min(),
            last_place: rows.iter().map(|row| row.last_place).max().unwrap_or_default(),
            counts: rows
                .into_iter()
                .map(|row| (row.reason, Count { letters: row.letters, bytes: row.bytes }))
                .collect(),
        }
    }

    /// All letters.
    pub fn total(&self) -> Count {
        self.counts.values().fold(Count::default(), |sum, count| Count {
            letters: sum.letters.saturating_add(count.letters),
            bytes: sum.bytes.saturating_add(count.bytes),
        })
    }
}

/// A letter that is to be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRow {
    /// The id of its message.
    pub message_id: String,
    /// Its reason, as a label.
    pub reason: String,
    /// When it was given up, in milliseconds since the epoch.
    pub dead_ms: u64,
    /// The encoded letter.
    pub letter: Vec<u8>,
}

impl NewRow {
    /// Reads an encoded letter; `None` where it is none, which nobody of ours sends.
    pub fn new(bytes: Vec<u8>) -> Option<Self> {
        let letter = DeadLetter::decode(&bytes).ok()?;
        Some(Self {
            reason: label_of(&letter.reason).to_owned(),
            message_id: letter.message_id,
            dead_ms: letter.dead_ms,
            letter: bytes,
        })
    }
}

/// The room that is left in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    letters: u64,
    bytes: u64,
}

impl Room {
    /// The room beside what there is.
    pub fn beside(there: Count) -> Self {
        Self {
            letters: MAX_DEAD_LETTERS.saturating_sub(there.letters),
            bytes: MAX_DEAD_LETTERS_BYTES.saturating_sub(there.bytes),
        }
    }

    /// Takes the room of a letter of `size` bytes that replaces one of `replaced` bytes; false where there is not enough.
    pub fn take(&mut self, size: u64, replaced: Option<u64>) -> bool {
        let letters = if replaced.is_some() { 0 } else { 1 };
        let bytes = self.bytes.saturating_add(replaced.unwrap_or_default());
        if self.letters < letters || bytes < size {
            return false;
        }
        self.letters = self.letters.saturating_sub(letters);
        self.bytes = bytes.saturating_sub(size);
        true
    }
}

/// A page: as many of `rows` as its size allows, and at least one.
pub fn page(rows: impl IntoIterator<Item = StoredDeadLetter>) -> Vec<StoredDeadLetter> {
    let mut page = Vec::new();
    let mut bytes = 0usize;
    for row in rows {
        bytes = bytes.saturating_add(row.letter.len());
        if !page.is_empty() && bytes > MAX_DEAD_PAGE_BYTES {
            break;
        }
        page.push(row);
    }
    page
}

/// The last place that a request for a page may see.
pub fn up_to(request: &ReadDeadLettersRequest, inventory: &Inventory) -> u64 {
    if request.up_to == 0 { inventory.last_place } else { request.up_to.min(inventory.last_place) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_bounded_in_letters_and_in_bytes() {
        let mut room = Room::beside(Count { letters: MAX_DEAD_LETTERS - 2, bytes: MAX_DEAD_LETTERS_BYTES - 100 });
        assert!(room.take(60, None));
        assert!(!room.take(41, None), "bytes");
        assert!(room.take(40, None));
        assert!(!room.take(0, None), "letters");
        assert!(room.take(40, Some(40)), "a letter that comes again needs no more room");
        assert!(!room.take(41, Some(40)));
        let mut over = Room::beside(Count { letters: u64::MAX, bytes: u64::MAX });
        assert!(!over.take(0, None));
    }

    #[test]
    fn a_page_has_at_least_one_letter_and_is_bounded() {
        let rows =
            |size: usize, count: u64| (1..=count).map(move |place| StoredDeadLetter { place, letter: vec![0; size] });
        assert_eq!(page(rows(MAX_DEAD_PAGE_BYTES * 2, 5)).len(), 1);
        assert_eq!(page(rows(MAX_DEAD_PAGE_BYTES / 4, 50)).len(), 4);
        assert_eq!(page(rows(10, 50)).len(), 50);
        assert_eq!(page(rows(10, 0)), []);
    }

    #[test]
    fn an_inventory_sums_its_reasons() {
        let row = |reason: &str, letters, oldest_ms, last_place| ReasonRow {
            reason: reason.into(),
            letters,
            bytes: letters * 10,
            oldest_ms,
            last_place,
        };
        let inventory = Inventory::new(vec![row("a", 2, 500, 9), row("b", 3, 400, 4)]);
        assert_eq!(inventory.total(), Count { letters: 5, bytes: 50 });
        assert_eq!((inventory.oldest_ms, inventory.last_place), (Some(400), 9));
        assert_eq!(Inventory::new(vec![]), Inventory::default());
    }

    #[test]
    fn what_is_no_letter_is_not_stored() {
        assert_eq!(NewRow::new(b"garbage".to_vec()), None);
    }
}
