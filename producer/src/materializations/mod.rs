//! Sticky assignments: who got which variant stays so, whatever changes in the targeting. Confidence calls what is stored
//! *materializations*. Opt-in: only where the KV namespace is bound.
//!
//! The resolver asks for records before it can answer (the resolve is suspended), gets them and goes on; what it assigned
//! anew is written after the response.
//!
//! - [`key`]: where in KV a record is, and what its value says; the layout of Confidence's own Cloudflare resolver, so that
//!   data carries over.
//! - [`read`]: the records of one suspended resolve, in one round trip. Where they cannot be read the flags that need them
//!   are answered as if there were no store, and **nothing is written**: a guess would be logged as an exposure, and would
//!   replace the variant that somebody has.
//! - [`mod@write`]: what was assigned. Writes are tried again within bounds, and what is lost is counted and logged; what would
//!   change nothing is not written, for a write costs ten reads.
//! - [`recent`]: what this isolate assigned within the last minute. KV may go on saying for as long that there is nothing.
//!
//! All of it on a [`Store`], natively tested; `platform` wires it to KV.

pub mod key;
pub mod read;
pub mod recent;
pub mod write;

use std::collections::BTreeMap;

/// KV, as reads and writes see it, and the time.
#[expect(async_fn_in_trait, reason = "Workers have one thread: no future needs to be Send")]
pub trait Store {
    /// Reads the values of at most [`MAX_BULK_KEYS`](crate::limits::MAX_BULK_KEYS) keys in one call; a key without value is
    /// `None` or left out.
    ///
    /// # Errors
    /// What KV said.
    async fn get(&self, keys: &[String]) -> Result<BTreeMap<String, Option<String>>, String>;
    /// Writes a value that is forgotten after `ttl_secs`, never without one.
    ///
    /// # Errors
    /// What KV said. It may have taken it all the same.
    async fn put(&self, key: &str, value: &str, ttl_secs: Option<u64>) -> Result<(), String>;
    /// Waits.
    async fn wait(&self, milliseconds: u64);
    /// Now, in milliseconds since the epoch.
    fn now_ms(&self) -> u64;
}

/// What the reads of one resolve found, by key; `None` where there is nothing.
pub type Seen = BTreeMap<String, Option<String>>;

/// The future's output, or `None` when it takes longer than `limit_ms`.
async fn within<F: Future>(store: &impl Store, limit_ms: u64, future: F) -> Option<F::Output> {
    use futures::future::{Either, select};
    let (future, timeout) = (std::pin::pin!(future), std::pin::pin!(store.wait(limit_ms)));
    match select(future, timeout).await {
        Either::Left((output, _)) => Some(output),
        Either::Right(_) => None,
    }
}

#[cfg(test)]
mod tests;
