//! What of a batch a person should see.

use super::LedgerFailure;
#[cfg(doc)]
use super::MessageVerdict;
use crate::{
    backend::delivery::{DeliveryOutcome, Destination},
    dead_letters::bury::DeadLetterFailure,
};

/// Something that a person should see, as a structured log line.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A message was given up; its letter is where [`MessageVerdict::Dead`] says.
    Dead {
        /// The queue's id of it.
        message_id: String,
        /// Which delivery this was.
        attempts: u32,
        /// Why, in one word.
        reason: String,
        /// Why, for a person.
        detail: String,
    },
    /// Dead letters did not get through: their messages are retried, and in the end moved by the queue itself.
    BurialFailed {
        /// How many.
        messages: usize,
        /// What the first one met.
        failure: DeadLetterFailure,
    },
    /// Families of a message's custom metrics have names that are reserved; the rest of it went on.
    NamesReserved {
        /// The queue's id of it.
        message_id: String,
        /// Who sent it.
        resolver_id: String,
        /// How many families.
        families: usize,
        /// The first of their names.
        first: String,
    },
    /// The metrics of a message were refused; its flag logs went on.
    TelemetryRefused {
        /// The queue's id of it.
        message_id: String,
        /// Why.
        reason: String,
    },
    /// What of the batch belongs to one ledger was not committed; all of that is retried.
    LedgerFailed(LedgerFailure),
    /// No destination takes logs now; what was not taken is retried.
    BackendFailed {
        /// What they said.
        outcome: DeliveryOutcome,
    },
    /// A destination takes nothing, with a status that speaks of our credentials or of its address: somebody must mend
    /// the configuration.
    BackendMisconfigured {
        /// Which.
        destination: Destination,
        /// What it says.
        status: u16,
    },
    /// Not all of the batch was sent before a bound was reached; the rest is retried.
    DeliveryCutShort {
        /// How many requests were made.
        requests: usize,
    },
    /// The consumer's own report was not committed; it goes with the next batch.
    ReportDeferred(LedgerFailure),
}
