//! The edge: what is deployed runs, in the real runtime (`workerd`), with the API's own KV and queues behind its bindings.

pub(crate) mod config;
pub(crate) mod probe;

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Counts what was changed since the beginning, for whoever has to take it over.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    count: Mutex<u64>,
    noted: Condvar,
}

impl Changes {
    /// Something that the edge runs has changed.
    pub(crate) fn note(&self) {
        *self.count.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.noted.notify_all();
    }

    /// How many changes there were.
    pub(crate) fn count(&self) -> u64 {
        *self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a change that is not among the first `seen`, but no longer than `limit`. Returns how many there were.
    pub(crate) fn wait(&self, seen: u64, limit: Duration) -> u64 {
        let count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.noted.wait_timeout_while(count, limit, |count| *count == seen);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}
