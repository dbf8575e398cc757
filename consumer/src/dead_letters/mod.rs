//! Messages that were given up: where they go, and how they come back.
//!
//! | file | what it holds |
//! | --- | --- |
//! | [`letter`] | reasons; a message as a letter, and a letter as the message that it was |
//! | [`metrics`] | what the pipeline says of them |
//! | [`bury`] | from a batch to the dead-letter queue |
//! | [`keep`] | from the dead-letter queue into the Ledger |
//! | [`redrive`] | from the Ledger back into the queue |
//! | [`request`] | the HTTP calls that show, redrive and discard |
//!
//! A letter is never only on its way: a message is acked after the dead-letter queue has its letter, that queue's
//! message is acked after the Ledger has it, and the Ledger deletes it after the queue has the message again. A crash
//! in between repeats a step and loses nothing; a letter is known by the id of its message, and a message that is sent
//! again counts once by stream and sequence, or, for text, by the id that travels with it.

pub mod bury;
pub mod keep;
pub mod letter;
pub mod metrics;
pub mod redrive;
pub mod request;
