//! What has to reach a collector of deltas, and has not yet.
//!
//! A window of deltas is cut into parts, the encoded requests, which are stored in the same transaction in which the
//! exported state moves on. From then on every part is sent, with the same bytes, until the collector answers for it:
//! so none is sent with another content, none is left out, and a Ledger that starts anew goes on where it was. The next
//! window is made when no part is left.

use tributary_telemetry::{
    ApplyError, Delta, Snapshot,
    otlp::{Export, OtlpOptions, export::Requests, window::Window},
};

/// Tables of the Ledger's database. `otlp_exported` has at most one row: the state that was exported last, and when. Where it is
/// too long for a row, its bytes are in pieces beside it.
pub const CREATE: [&str; 3] = [
    "CREATE TABLE IF NOT EXISTS otlp_exported_pieces (id INTEGER PRIMARY KEY, checksum INTEGER NOT NULL, \
     bytes BLOB NOT NULL)",
    "CREATE TABLE IF NOT EXISTS otlp_exported (id INTEGER PRIMARY KEY CHECK (id = 0), time_ms INTEGER NOT NULL, \
     checksum INTEGER NOT NULL, state BLOB NOT NULL)",
    "CREATE TABLE IF NOT EXISTS otlp_parts (place INTEGER PRIMARY KEY AUTOINCREMENT, refusals INTEGER NOT NULL, \
     body BLOB NOT NULL)",
];
/// Reads what was exported last: `time_ms`, `checksum`, `state`.
pub const SELECT_EXPORTED: &str = "SELECT time_ms, checksum, state FROM otlp_exported WHERE id = 0";
/// Replaces it: `time_ms`, `checksum`, `state`.
pub const UPSERT_EXPORTED: &str = "INSERT INTO otlp_exported (id, time_ms, checksum, state) VALUES (0, ?, ?, ?) \
                                   ON CONFLICT (id) DO UPDATE SET time_ms = excluded.time_ms, \
                                   checksum = excluded.checksum, state = excluded.state";
/// Reads its pieces in order: `checksum`, `bytes`.
pub const SELECT_PIECES: &str = "SELECT checksum, bytes FROM otlp_exported_pieces ORDER BY id";
/// Forgets them.
pub const DELETE_PIECES: &str = "DELETE FROM otlp_exported_pieces";
/// Writes one: `id`, `checksum`, `bytes`.
pub const INSERT_PIECE: &str = "INSERT INTO otlp_exported_pieces (id, checksum, bytes) VALUES (?, ?, ?)";
/// Adds a part: `body`.
pub const INSERT_PART: &str = "INSERT INTO otlp_parts (refusals, body) VALUES (0, ?)";
/// Reads the first part behind a place: `place`, `refusals`, `body`.
pub const SELECT_PART: &str = "SELECT place, refusals, body FROM otlp_parts WHERE place > ? ORDER BY place LIMIT 1";
/// Deletes the part at a place.
pub const DELETE_PART: &str = "DELETE FROM otlp_parts WHERE place = ?";
/// Counts a refusal of the part at a place.
pub const REFUSE_PART: &str = "UPDATE otlp_parts SET refusals = refusals + 1 WHERE place = ?";

/// One part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its place in the order; from 1, never given twice.
    pub place: u64,
    /// How often the collector refused it.
    pub refusals: u32,
    /// The request, as protobuf.
    pub body: Vec<u8>,
}

/// The state that was exported last.
#[derive(Clone, Debug, PartialEq)]
pub struct Exported {
    /// The state.
    pub state: Snapshot,
    /// When, in milliseconds since the epoch.
    pub time_ms: u64,
}

impl Exported {
    /// What a collector has that was sent nothing yet: the first window begins with the state.
    pub fn nothing_of(state: &Snapshot) -> Self {
        Self { state: Snapshot::new(state.start_time_ms()), time_ms: state.start_time_ms() }
    }

    /// What a collector has that will never be sent these totals: they were counted before, by another system, and are
    /// no part of any window. Where nothing was exported yet, `state` is that before the totals came to it.
    ///
    /// # Errors
    /// [`ApplyError`]
    pub fn with_totals(
        exported: Option<Self>,
        state: &Snapshot,
        totals: &Delta,
        now_ms: u64,
    ) -> Result<Self, ApplyError> {
        let mut exported = exported.unwrap_or_else(|| Self::nothing_of(state));
        // A part of a state that had room for them.
        exported.state.set_capacity(state.capacity());
        let _seeded = exported.state.seed(totals, now_ms)?;
        Ok(exported)
    }
}

/// The longest state that is stored in the row itself, and the longest piece. A value of SQLite in a Durable Object has 2 MB at
/// most.
pub const MAX_PIECE_BYTES: usize = 1 << 20;

/// The row of the state that was exported last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// When, in milliseconds since the epoch.
    pub time_ms: u64,
    /// CRC-32 (ISO-HDLC) of the state; or, below 0, in how many pieces that is. A version that knows no pieces finds such a row
    /// corrupt and stops: to begin anew would count everything twice.
    pub checksum: i64,
    /// The encoded state, where it is not in pieces.
    pub state: Vec<u8>,
}

/// A row of a state that was exported last and is too long for one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// CRC-32 (ISO-HDLC) of the bytes.
    pub checksum: i64,
    /// They follow those of the piece before.
    pub bytes: Vec<u8>,
}

impl Exported {
    /// The rows that store it, in pieces of at most `most_bytes` where it is longer.
    pub fn rows(&self, most_bytes: usize) -> (Head, impl Iterator<Item = Piece> + use<>) {
        let (bytes, time_ms) = (self.state.encode(), self.time_ms);
        let most_bytes = most_bytes.max(1);
        let pieces = if bytes.len() <= most_bytes { 0 } else { bytes.len().div_ceil(most_bytes) };
        let head = match i64::try_from(pieces) {
            Ok(0) => Head { time_ms, checksum: crc32fast::hash(&bytes).into(), state: bytes.clone() },
            pieces => Head { time_ms, checksum: -pieces.unwrap_or(i64::MAX), state: Vec::new() },
        };
        let piece = move |index: usize| {
            let begin = index.saturating_mul(most_bytes);
            let end = begin.saturating_add(most_bytes).min(bytes.len());
            let bytes = bytes.get(begin..end).unwrap_or_default().to_vec();
            Piece { checksum: crc32fast::hash(&bytes).into(), bytes }
        };
        (head, (0..pieces).map(piece))
    }

    /// Reads the rows; `None` where they are not what was written.
    pub fn of_rows(head: Head, pieces: impl IntoIterator<Item = Piece>) -> Option<Self> {
        let Head { time_ms, checksum, state } = head;
        let mut bytes = state;
        if checksum < 0 {
            let mut found = 0_i64;
            for piece in pieces {
                if i64::from(crc32fast::hash(&piece.bytes)) != piece.checksum {
                    return None;
                }
                bytes.extend_from_slice(&piece.bytes);
                found = found.saturating_add(1);
            }
            if checksum.checked_neg() != Some(found) {
                return None;
            }
        } else if i64::from(crc32fast::hash(&bytes)) != checksum {
            return None;
        }
        Some(Self { state: Snapshot::decode(&bytes).ok()?, time_ms })
    }
}

/// The next window, cut into requests of at most `limit` bytes, and the state that it leads to; `None` where nothing was
/// added, so that the window goes on.
pub fn next_window(
    exported: &Exported,
    state: &Snapshot,
    options: &OtlpOptions,
    limit: usize,
    now_ms: u64,
) -> Option<(Requests, Exported)> {
    let window = Window::between(&exported.state, exported.time_ms, state, now_ms);
    if window.is_empty() {
        return None;
    }
    let requests = Requests::new(Export::Delta(&window), options, limit);
    Some((requests, Exported { state: state.clone(), time_ms: window.end_ms() }))
}

#[cfg(test)]
mod tests {
    use tributary_telemetry::{FamilyDescriptor, LabelSet, MetricKind};

    use super::*;

    #[test]
    fn a_state_of_any_length_reads_back_from_its_rows_and_none_of_them_may_be_amiss() {
        let family = FamilyDescriptor::new("things", "Things.", "", MetricKind::Counter).unwrap();
        let mut delta = Delta::new();
        for index in 0..500 {
            delta.add_counter(&family, LabelSet::from_pairs([("n", format!("{index:050}"))]).unwrap(), index).unwrap();
        }
        let mut state = Snapshot::new(1);
        let _applied = state.apply(&delta, 2).unwrap();
        let (exported, length) = (Exported { state: state.clone(), time_ms: 7 }, state.encode().len());
        for most in [length, length - 1, length / 3, 1_000] {
            let (head, pieces) = exported.rows(most);
            let pieces: Vec<Piece> = pieces.collect();
            assert_eq!(pieces.len(), if most == length { 0 } else { length.div_ceil(most) });
            assert!(pieces.iter().all(|piece| piece.bytes.len() <= most));
            assert_eq!(Exported::of_rows(head.clone(), pieces.clone()), Some(exported.clone()));
            if pieces.is_empty() {
                // Pieces of a state that was longer are none of this one.
                assert!(head.checksum >= 0 && !head.state.is_empty());
                assert_eq!(Exported::of_rows(Head { checksum: head.checksum ^ 1, ..head }, pieces), None);
                continue;
            }
            assert!(head.checksum < 0 && head.state.is_empty(), "no older version takes it for a state");
            assert_ne!(head.checksum, i64::from(crc32fast::hash(&head.state)));
            assert_eq!(Exported::of_rows(head.clone(), pieces[1..].to_vec()), None);
            // One that is left of another state, and reads as a part of this one.
            let more = Piece { checksum: crc32fast::hash(&[0x10, 0x05]).into(), bytes: vec![0x10, 0x05] };
            assert_eq!(Exported::of_rows(head.clone(), pieces.iter().cloned().chain([more])), None);
            let mut swapped = pieces.clone();
            swapped.swap(0, 1);
            assert_eq!(Exported::of_rows(head.clone(), swapped), None, "the state does not read back");
            let mut spoiled = pieces;
            spoiled[1].bytes[0] ^= 1;
            assert_eq!(Exported::of_rows(head, spoiled), None);
        }
    }
}
