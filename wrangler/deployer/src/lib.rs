//! The deployer: both Workers in a Cloudflare account, with queues, KV namespaces, secrets and resolver state, by one
//! command that can run again at any time.

#![forbid(unsafe_code)]

pub mod error;
pub mod snapshot;
