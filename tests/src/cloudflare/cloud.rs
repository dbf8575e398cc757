//! What all parts of one Cloudflare share.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::edge::Changes;
use super::faults::Faults;
use super::folder::Folder;
use super::record::Recorded;
use super::state::State;

/// State, faults, record; and where the runtime is told that something changed.
pub(crate) struct Cloud {
    pub(crate) folder: Folder,
    /// The runtime, `workerd`.
    pub(crate) runtime: PathBuf,
    /// What the edge has to take over.
    pub(crate) changes: Changes,
    /// Whether a second write of a key within a second is refused.
    pub(crate) limits_kv_writes: bool,
    state: Mutex<State>,
    is_dirty: AtomicBool,
    faults: Mutex<Faults>,
    record: Mutex<Vec<Recorded>>,
}

impl Cloud {
    pub(crate) fn new(folder: Folder, runtime: PathBuf, state: State, limits_kv_writes: bool) -> Self {
        Self {
            folder,
            runtime,
            changes: Changes::default(),
            limits_kv_writes,
            state: Mutex::new(state),
            is_dirty: AtomicBool::new(true),
            faults: Mutex::default(),
            record: Mutex::default(),
        }
    }

    /// The state, to look at. A poisoned lock only means that a panic came between: a test that has failed already.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state, to change: it will be written.
    pub(crate) fn change(&self) -> MutexGuard<'_, State> {
        self.is_dirty.store(true, Ordering::Relaxed);
        self.state()
    }

    pub(crate) fn faults(&self) -> MutexGuard<'_, Faults> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn record(&self) -> MutexGuard<'_, Vec<Recorded>> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes the state where it has changed.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn save(&self) -> std::io::Result<()> {
        if !self.is_dirty.swap(false, Ordering::Relaxed) {
            return Ok(());
        }
        // Not under the lock: a disk is slow.
        let bytes = serde_json::to_vec(&*self.state())?;
        self.folder.save(&bytes)
    }
}
