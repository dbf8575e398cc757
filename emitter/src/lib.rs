//! Counters, gauges and histograms of a Worker's own: recorded in the isolate, sent as numbered deltas onto Tributary's
//! queue, exact on `/metrics`. How to use it from another Worker is in `docs/embedding.md`.
//!
//! Two layers:
//!
//! - **For any Worker**: a [`Family`] is a `static`, [`Counter`], [`Gauge`] and [`Histogram`] record into it without a wait
//!   and, where the series exists, without allocation; [`Emitter::flush`] in each handler does the rest.
//! - **For producers with more to send** (the flag resolver): [`flusher`] coalesces what requests push into numbered
//!   envelopes, [`outbox`] keeps each until the queue has it, [`send`] tries a few times, on the [`queues`] that there are. All of these are plain Rust
//!   with plain inputs; [`platform`] is the only module that talks to the runtime. What any code of the isolate recorded
//!   in families is what [`drain`] gives; what another aggregator of the isolate has ([`source`]) is what [`source::collect`]
//!   gives, and travels in the same messages.
//!
//! What it does not do: keep anything beyond the isolate's life, read back, aggregate across isolates. That is the
//! consumer's.

pub mod clock;
pub mod config;
mod emitter;
mod family;
pub mod flusher;
pub mod isolate;
pub mod limits;
pub mod outbox;
pub mod platform;
pub mod queues;
pub mod registry;
pub mod send;
pub mod source;

pub use emitter::Emitter;
pub use family::{Counter, Family, Gauge, Histogram, drain, has_recorded};
pub use source::set_source;
