//! Cloudflare's API, as far as a deploy needs it.
//!
//! [`client`] sends, and tries again what may pass; [`error`] says what went wrong in words; the rest are the resources.
//! Their documentation: developers.cloudflare.com/api.

pub mod accounts;
pub mod client;
pub mod error;
pub mod kv;
pub mod queues;
pub mod retry;
pub mod workers;
