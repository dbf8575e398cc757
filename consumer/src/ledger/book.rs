//! What the Ledger holds in memory: the state, its floors, and what is derived from the rows of the streams.

use std::collections::BTreeMap;

use tributary_proto::envelope::StreamId;
use tributary_telemetry::{Delta, Snapshot};

use super::{
    account::{self, Entries},
    commit::{StreamKind, StreamRow},
    floor::{Floors, StreamBounds},
    journal::{Journal, StoredEntry, Write},
    parts::{Opened, Parts, StoredBook, decode_change, encode_change},
    shards::Taken,
    storage::{StorageError, StoredState, StoredTally},
};
use crate::{
    limits::DEFAULT_DIMENSIONS_BUDGET,
    self_metrics::{self, LedgerStatus, NotRecorded},
};

/// The Ledger's memory.
///
/// Where anything that changes it fails, or what it changed cannot be written, it must be dropped and loaded again.
#[derive(Clone, Debug, PartialEq)]
pub struct Book {
    /// The cumulative state.
    pub state: Snapshot,
    /// What makes forgetting safe.
    pub floors: Floors,
    /// Counts over the rows of all streams.
    pub status: LedgerStatus,
    /// `METRICS_DIMENSIONS_BUDGET`; not a part of what is stored.
    pub dimensions_budget: usize,
    /// What is not in its table yet.
    pub journal: Journal,
    /// Which part of what is stored each series is in.
    pub parts: Parts,
    /// Other ledgers by number, as of what of them is in the state.
    pub others: BTreeMap<u32, Taken>,
}

/// Why streams are forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForgetReason {
    /// They were silent longer than the horizon.
    Silent,
    /// They were silent the longest, and there were too many.
    Bound,
}

impl ForgetReason {
    /// Every reason.
    pub const ALL: [Self; 2] = [Self::Silent, Self::Bound];

    /// The value of a `reason` label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Silent => "silent",
            Self::Bound => "bound",
        }
    }
}

impl Book {
    /// A new state, where nothing at all is stored.
    ///
    /// # Errors
    /// [`StorageError::State`] where `resolver_id` is no label value.
    pub fn new(resolver_id: &str, now_ms: u64) -> Result<Self, StorageError> {
        let mut state = Snapshot::new(now_ms);
        self_metrics::declare(&mut state, resolver_id, now_ms)
            .map_err(|error| StorageError::State(error.to_string()))?;
        Ok(Self::with(state, Floors::default()))
    }

    /// A state of which nothing is stored.
    pub(super) fn with(state: Snapshot, floors: Floors) -> Self {
        Self::of(Opened { state, floors, parts: Parts::default() })
    }

    fn of(Opened { mut state, floors, parts }: Opened) -> Self {
        state.track();
        Self {
            state,
            floors,
            status: LedgerStatus::default(),
            dimensions_budget: DEFAULT_DIMENSIONS_BUDGET,
            journal: Journal::default(),
            parts,
            others: BTreeMap::new(),
        }
    }

    /// What is stored, or a new state where nothing at all is stored. The tallies are those of a journal that is folded.
    ///
    /// # Errors
    /// [`StorageError`]: what is stored cannot be used.
    pub fn load(
        stored: Option<&StoredBook>,
        tallies: &[StoredTally],
        resolver_id: &str,
        now_ms: u64,
    ) -> Result<Self, StorageError> {
        let mut book = Self::restore(stored, resolver_id, now_ms)?;
        book.tally(stored.is_none(), tallies)?;
        Ok(book)
    }

    /// What the tables hold of the state, or a new one. The journal is to be taken in ([`Self::replay`]) and folded, then the
    /// streams counted ([`Self::tally`]), and other ledgers put in.
    ///
    /// # Errors
    /// [`StorageError`]
    pub fn restore(stored: Option<&StoredBook>, resolver_id: &str, now_ms: u64) -> Result<Self, StorageError> {
        stored.map_or_else(|| Self::new(resolver_id, now_ms), |stored| stored.open().map(Self::of))
    }

    /// Takes in an entry of the journal, in the place of what there is of the same.
    ///
    /// # Errors
    /// [`StorageError`]
    pub fn replay(&mut self, entry: &StoredEntry) -> Result<(), StorageError> {
        self.journal.replay(entry)?;
        let (touched, floors) = decode_change(&entry.change)?;
        self.parts.touch_all(&touched);
        self.state.overlay(&touched.series).map_err(|error| StorageError::State(error.to_string()))?;
        touched.removed.iter().for_each(|place| self.state.remove(place));
        self.floors = floors;
        Ok(())
    }

    /// Counts the streams.
    ///
    /// # Errors
    /// [`StorageError::StateMissing`] where there are any of a state that is new, and [`StorageError::Stream`].
    pub fn tally(&mut self, is_new: bool, tallies: &[StoredTally]) -> Result<(), StorageError> {
        let status = &mut self.status;
        for tally in tallies {
            let kind = StreamKind::from_wire(tally.kind)
                .ok_or_else(|| StorageError::Stream(format!("of kind {}", tally.kind)))?;
            let streams = status.streams.entry(kind.as_str()).or_default();
            *streams = streams.saturating_add(tally.streams);
            if !tally.account.is_empty() {
                let missing = status.missing.entry(tally.account.clone()).or_default();
                *missing = missing.saturating_add(tally.missing);
            }
        }
        status.missing.retain(|_, missing| *missing > 0);
        if is_new && status.streams.values().any(|streams| *streams > 0) {
            return Err(StorageError::StateMissing);
        }
        Ok(())
    }

    /// What has to be written after a change, with the rows of streams that changed. Where it cannot be, the book must be dropped
    /// and loaded again.
    ///
    /// The work is that of what changed, but for the commits that fold the journal.
    pub fn write(&mut self, rows: &BTreeMap<StreamId, StreamRow>) -> Write {
        let touched = self.state.take_touched();
        self.parts.touch_all(&touched);
        if self.journal.take(rows) {
            return self.fold_all();
        }
        let change = encode_change(&touched, &self.floors);
        self.journal.entry(rows, change).unwrap_or_else(|| self.fold_all())
    }

    /// Brings everything into its table; `None` where it is there.
    pub fn fold(&mut self) -> Option<Write> {
        (!self.journal.is_empty() || !self.parts.are_stored()).then(|| self.fold_all())
    }

    fn fold_all(&mut self) -> Write {
        let parts = self.parts.fold(&self.state);
        let head = StoredState::head(&self.state, &self.floors, self.parts.len());
        let (rows, mark) = self.journal.fold();
        Write::Fold { rows, parts, head, mark }
    }

    /// Adds what the Ledger has to say of itself to the state.
    ///
    /// # Errors
    /// [`NotRecorded`]
    pub fn note(
        &mut self,
        now_ms: u64,
        add: impl FnOnce(&mut Delta) -> Result<(), NotRecorded>,
    ) -> Result<(), NotRecorded> {
        let mut delta = Delta::new();
        add(&mut delta)?;
        if !delta.is_empty() {
            let _applied = self.state.apply(&delta, now_ms).map_err(NotRecorded::new)?;
        }
        Ok(())
    }

    /// The kind of stream of which there are too many, and how many of it have to be forgotten.
    pub fn surplus(&self, bounds: &StreamBounds) -> Option<(StreamKind, u64)> {
        let streams = |kind: StreamKind| self.status.streams.get(kind.as_str()).copied().unwrap_or(0);
        StreamKind::ALL
            .into_iter()
            .map(|kind| (kind, bounds.surplus(kind, streams(kind))))
            .find(|(_, surplus)| *surplus > 0)
    }

    /// Forgets streams: raises the floors above them and counts what never came of them as lost.
    ///
    /// The caller deletes their rows and writes the book in one transaction.
    ///
    /// # Errors
    /// [`NotRecorded`]
    pub fn forget(
        &mut self,
        rows: &BTreeMap<StreamId, StreamRow>,
        reason: ForgetReason,
        now_ms: u64,
    ) -> Result<(), NotRecorded> {
        let mut entries = Entries::new();
        let mut forgotten: BTreeMap<StreamKind, u64> = BTreeMap::new();
        for row in rows.values() {
            self.floors.forget(row.kind, row.last_seen_ms);
            let entry: &mut account::Entry = entries.entry(row.account.clone()).or_default();
            entry.lost = entry.lost.saturating_add(row.progress.missing());
            let streams = forgotten.entry(row.kind).or_default();
            *streams = streams.saturating_add(1);
            self.status.row_changed(Some(row), None);
        }
        self.note(now_ms, |delta| {
            self_metrics::account_entries(delta, &entries)?;
            forgotten
                .iter()
                .try_for_each(|(kind, streams)| self_metrics::forgotten(delta, *kind, reason.as_str(), *streams))
        })
    }
}
