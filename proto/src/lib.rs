//! Wire types of Tributary: a small, slow crate that every other crate may depend on.
//!
//! - [`flag_logs`], [`events`], [`resolve_info`] (feature `confidence`, on by default): what Confidence resolvers report,
//!   with Confidence's package names and field numbers. Facts and meaning stand in the `.proto` files.
//! - [`v1`]: this project's own messages (envelope, metric model, Ledger).
//! - [`envelope`]: the codec of a queue message, the one gate between bytes from the queue and typed values.
//! - [`flag_log_bytes`]: flag logs told right from wrong and taken apart without being decoded.
//! - [`wire`]: fields read in place and written.
//! - [`dead_letter`]: the codec of a message that was given up, with all that is needed to put it back.
//!
//! What must not move in: merging, metrics, I/O, a clock, randomness.

#![forbid(unsafe_code)]

pub mod dead_letter;
pub mod envelope;
#[cfg(feature = "confidence")]
pub mod flag_log_bytes;
mod generated;
#[cfg(feature = "confidence")]
mod open_enum;
pub mod wire;

#[cfg(feature = "confidence")]
pub use generated::confidence::flags::admin::v1 as resolve_info;
#[cfg(feature = "confidence")]
pub use generated::confidence::flags::resolver::v1 as flag_logs;
#[cfg(feature = "confidence")]
pub use generated::confidence::flags::resolver::v1::events;
pub use generated::tributary::v1;
#[cfg(feature = "confidence")]
pub use pbjson_types::Timestamp;
pub use prost::Message;
