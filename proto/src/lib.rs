//! Wire types of Tributary: a small, slow crate that every other crate may depend on.
//!
//! - [`flag_logs`], [`events`], [`resolve_info`]: what Confidence resolvers report, with Confidence's package names and
//!   field numbers. Facts and meaning stand in the `.proto` files.
//! - [`v1`]: this project's own messages (envelope, metric model, Ledger).
//! - [`envelope`]: the codec of a queue message, the one gate between bytes from the queue and typed values.
//! - [`dead_letter`]: the codec of a message that was given up, with all that is needed to put it back.
//!
//! What must not move in: merging, metrics, I/O, a clock, randomness.

#![forbid(unsafe_code)]

pub mod dead_letter;
pub mod envelope;
mod generated;
mod open_enum;

pub use generated::confidence::flags::admin::v1 as resolve_info;
pub use generated::confidence::flags::resolver::v1 as flag_logs;
pub use generated::confidence::flags::resolver::v1::events;
pub use generated::tributary::v1;
pub use pbjson_types::Timestamp;
pub use prost::Message;
