//! The resolver state on its way from the Confidence CDN into KV, and from KV into the Workers: what both Workers have to
//! know of it, once.
//!
//! - [`address`]: where the CDN has the state of a client.
//! - [`version`]: which state it is, by `ETag`, and the question for a newer one.
//! - [`wrapper`]: what the bytes hold, as far as that can be said without the resolver.
//! - [`sealed`]: the same where they are encrypted, on a cipher that is the platform's in the Workers.
//!
//! What it does not do: resolve, fetch, store. No I/O, no clock, no randomness.

// wasm-bindgen writes some.
#![cfg_attr(not(feature = "platform-cipher"), forbid(unsafe_code))]

pub mod address;
#[cfg(feature = "native-cipher")]
pub mod native;
#[cfg(feature = "platform-cipher")]
pub mod platform;
pub mod sealed;
pub mod version;
pub mod wrapper;

pub use sealed::StateKey;
pub use wrapper::{ServedState, StateError};
