//! Keeps the resolver state in KV as new as the CDN's, without a deployment: once a minute, by the cron trigger.
//!
//! - `run`: one refresh. The CDN is asked with the version that KV has; only a newer state that reads back is written.
//! - [`metrics`]: how refreshes ended, and when one last succeeded.
//!
//! Whatever happens, the state that was there stays until a better one is: nothing is ever deleted, and nothing is
//! written that both Workers would refuse. A refresh that failed is over; the next one comes with the next minute.

pub mod metrics;
mod run;

pub use run::{Cdn, CdnAnswer, CdnError, Failure, NoSource, Outcome, Source, Store, Stored, refresh};
