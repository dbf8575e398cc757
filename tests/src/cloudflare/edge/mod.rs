//! The edge: what is deployed runs, in the real runtime (`workerd`), with the API's own KV and queues behind its bindings.
//!
//! | module | what it does |
//! | --- | --- |
//! | [`config`] | writes the runtime's configuration language |
//! | [`worker`] | a Worker in that language: modules, bindings, Durable Objects |
//! | [`runner`] | runs the runtime, and a new one when something was deployed |
//! | [`backend`] | what the runtime asks for KV and queues |
//! | [`broker`] | delivers messages, and buries the dead |
//! | [`clock`] | fires cron triggers |
//! | [`probe`] | what a script exports |
//!
//! The runtime starts anew for each change, in some hundredths of a second. Its socket is ours, so that requests wait
//! meanwhile and none is refused; those that are under way are answered by the old one. What a Worker does behind its
//! answer (`waitUntil`) ends with the old one, which the real edge would let go on for half a minute; `Options::linger` gives
//! it some time.

mod backend;
mod broker;
mod clock;
pub(crate) mod config;
pub(crate) mod probe;
mod runner;
mod worker;

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

pub(crate) use backend::handle;
pub(crate) use broker::{Broker, wait_until_idle};
pub(crate) use clock::Clock;
pub(crate) use runner::{Edge, new_key};

/// The header by which the parts of one Cloudflare know each other.
const KEY_HEADER: &str = "x-fake-edge";

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
