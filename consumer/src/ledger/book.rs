//! What the Ledger holds in memory: the state, its floors, and what is derived from the rows of the streams.

use std::collections::BTreeMap;

use tributary_proto::envelope::StreamId;
use tributary_telemetry::{Delta, Snapshot};

use super::{
    account::{self, Entries},
    commit::{StreamKind, StreamRow},
    floor::{Floors, StreamBounds},
    journal::Journal,
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
    /// Rows of streams that are not in their table yet.
    pub journal: Journal,
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
        Ok(Self {
            state,
            floors: Floors::default(),
            status: LedgerStatus::default(),
            dimensions_budget: DEFAULT_DIMENSIONS_BUDGET,
            journal: Journal::default(),
            others: BTreeMap::new(),
        })
    }

    /// What is stored, or a new state where nothing at all is stored. The tallies are those of a journal that is folded;
    /// it has to be put in where it is not new, and so have other ledgers.
    ///
    /// # Errors
    /// [`StorageError`]: what is stored cannot be used.
    pub fn load(
        stored: Option<&StoredState>,
        tallies: &[StoredTally],
        resolver_id: &str,
        now_ms: u64,
    ) -> Result<Self, StorageError> {
        let mut status = LedgerStatus::default();
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
        match stored {
            Some(stored) => {
                let (state, floors) = stored.open()?;
                let (dimensions_budget, journal) = (DEFAULT_DIMENSIONS_BUDGET, Journal::default());
                Ok(Self { state, floors, status, dimensions_budget, journal, others: BTreeMap::new() })
            }
            None if status.streams.values().any(|streams| *streams > 0) => Err(StorageError::StateMissing),
            None => Self::new(resolver_id, now_ms),
        }
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
