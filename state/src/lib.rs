//! The resolver state on its way from the Confidence CDN into KV, and from KV into the Workers: what both Workers have to
//! know of it, once.
//!
//! - [`address`]: where the CDN has the state of a client.
//! - [`version`]: which state it is, by `ETag`, and the question for a newer one.
//! - [`wrapper`]: what the bytes hold, as far as that can be said without the resolver.
//!
//! What it does not do: resolve, fetch, store. No I/O, no clock, no randomness.

#![forbid(unsafe_code)]

pub mod address;
pub mod version;
pub mod wrapper;

pub use wrapper::{ServedState, StateError};
