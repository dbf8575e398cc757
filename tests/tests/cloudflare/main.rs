//! The fake Cloudflare: that it refuses what the real one refuses, fails on order, and runs what wrangler deploys to it.
//!
//! | file | what it shows |
//! | --- | --- |
//! | `strictness` | tokens, accounts, and endpoints that are not there |
//! | `queues`, `kv`, `workers` | rules, codes and pages of each part of the API |
//! | `faults` | each fault strikes as it was ordered |
//! | `edge` | what was deployed runs, and what changes takes effect |
//! | `wrangler` | the real wrangler, from an empty account to an empty account |
//! | `program` | `fake-cloudflare`: what it prints, what it is told by HTTP, and that nothing of it is left |
//!
//! Needs the npm tools (`make setup`), and neither of the Workers.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod edge;
mod faults;
mod kv;
mod program;
mod queues;
mod strictness;
mod support;
mod workers;
mod wrangler;
