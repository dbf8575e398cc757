//! Everything of an emitter that lives longer than a request. One per isolate, never truth: it can vanish at any time, and
//! what the queue has is what counts.
//!
//! No I/O object is ever kept here; those belong to the request that made them. No borrow is held across a wait.

use std::cell::RefCell;
use std::collections::BTreeMap;

use tributary_proto::envelope::StreamId;

use crate::config::Config;
use crate::family;
use crate::flusher::{Flusher, Identity, LeaseId, Role, Sealed};
use crate::outbox::Attempt;
use crate::queues::Queues;
use crate::source;

/// The state of one isolate of a Worker that has only metrics to send.
#[derive(Debug)]
pub struct Isolate {
    /// What the environment configures.
    pub config: Config,
    /// The deltas on their way.
    pub flusher: RefCell<Flusher>,
    /// Where they go.
    pub queues: RefCell<Queues>,
}

/// What sealing has to say to whoever reads the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notes {
    /// Recordings that no series can take, or that found too many families.
    pub dropped: u64,
    /// What sealing did.
    pub sealed: Sealed,
}

impl Isolate {
    /// A fresh isolate of the Worker `name`.
    pub fn new(stream_id: StreamId, name: &str, config: Config) -> Self {
        let ledgers = config.queue_shards;
        let identity = Identity { stream_id, ledgers, name: name.to_owned(), dimensions: BTreeMap::new() };
        let queues = RefCell::new(Queues::new(stream_id, config.queue_shards));
        Self { config, flusher: RefCell::new(Flusher::new(identity)), queues }
    }

    /// Says what a request has to do with what it recorded: `None` if nothing, because there is nothing to send or somebody
    /// else will, the lease if it is the flusher, no lease if it sends at once.
    pub fn begin(&self, now_ms: u64) -> Option<Option<LeaseId>> {
        let mut flusher = self.flusher.borrow_mut();
        if !family::has_recorded() && !source::has_source() && flusher.is_empty() && flusher.outbox().is_empty() {
            return None;
        }
        match flusher.push(now_ms, 0, self.config.flush_interval_ms) {
            Role::Follower => None,
            Role::SealNow => Some(None),
            Role::Flusher(lease) => Some(Some(lease)),
        }
    }

    /// Seals everything that was recorded and takes what is to be sent: one synchronous step.
    pub fn seal_and_take(&self, now_ms: u64, lease: Option<LeaseId>) -> (Attempt, Notes) {
        // First: what it runs may record into families, too.
        let wants_points = self.flusher.borrow().wants_points();
        let collected = if wants_points { source::collect() } else { source::Collected::default() };
        let recorded = family::drain();
        let dropped = [recorded.invalid, recorded.limited, collected.invalid, collected.limited];
        let dropped = dropped.into_iter().fold(0, u64::saturating_add);
        let mut flusher = self.flusher.borrow_mut();
        flusher.add_points(collected);
        flusher.add_metrics(recorded);
        let sealed = flusher.seal(now_ms, false, Vec::new, lease);
        (flusher.take(now_ms), Notes { dropped, sealed })
    }
}

#[cfg(test)]
mod tests;
