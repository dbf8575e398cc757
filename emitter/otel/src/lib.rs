//! The OpenTelemetry metrics API in a Rust Worker: recorded with the standard instruments, aggregated by the standard SDK,
//! sent as deltas onto Tributary's queue, exact on `/metrics`. How to use it is in `docs/otel.md`.
//!
//! - [`Metrics`] is the face: a `static` of the Worker that gives meters and flushes.
//! - [`reader`] empties the SDK, [`source`] makes messages of what it gave: [`convert`] says it in OTLP, [`baseline`] makes
//!   differences of what observable instruments report, [`pack`] cuts it to the size of messages.
//! - The rest (stream, sequence, coalescing, outbox, resend) is `tributary-emitter`'s, which this is a source of. A Worker
//!   that has families of its own, or resolves flags, sends all of it in the same messages.
//!
//! All but [`Metrics`] is plain Rust with plain inputs. What it does not do: anything with traces and logs.

pub mod baseline;
pub mod convert;
mod metrics;
pub mod pack;
pub mod reader;
pub mod resource;
pub mod source;

pub use metrics::Metrics;
// What is recorded with, and what views are made of, in the versions that this crate is built for.
pub use {opentelemetry, opentelemetry_sdk};
