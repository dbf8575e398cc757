//! What has to reach a collector of deltas, and has not yet.
//!
//! A window of deltas is cut into parts, the encoded requests, which are stored in the same transaction in which the
//! exported state moves on. From then on every part is sent, with the same bytes, until the collector answers for it:
//! so none is sent with another content, none is left out, and a Ledger that starts anew goes on where it was. The next
//! window is made when no part is left.

use tributary_telemetry::{
    ApplyError, Delta, Snapshot,
    otlp::{Export, OtlpOptions, requests, resource_metrics, window::Window},
};

/// Tables of the Ledger's database. `otlp_exported` has at most one row: the state that was exported last, and when.
pub const CREATE: [&str; 2] = [
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

/// The next window, cut into requests of at most `limit` bytes, and the state that it leads to; `None` where nothing was
/// added, so that the window goes on.
pub fn next_window(
    exported: &Exported,
    state: &Snapshot,
    options: &OtlpOptions,
    limit: usize,
    now_ms: u64,
) -> Option<(Vec<Vec<u8>>, Exported)> {
    use tributary_proto::Message as _;
    let window = Window::between(&exported.state, exported.time_ms, state, now_ms);
    if window.is_empty() {
        return None;
    }
    let parts = requests::split(resource_metrics(Export::Delta(&window), options), limit);
    let parts = parts.iter().map(|request| request.encode_to_vec()).collect();
    Some((parts, Exported { state: state.clone(), time_ms: window.end_ms() }))
}
