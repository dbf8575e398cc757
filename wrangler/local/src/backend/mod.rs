//! A stub of the Confidence backend on loopback, as strict as the real one or stricter.
//!
//! | request | what it does |
//! | --- | --- |
//! | `POST /v1/clientFlagLogs:write` | takes a `WriteFlagLogsRequest` (Edge) |
//! | `POST /v1/flagLogs:ingest` | takes the same inside the Cloudflare ingest's wrapper |
//! | `GET /stats` | what was taken, as JSON ([`stats::Stats`]) |
//! | `POST /faults` | from now on answer badly ([`faults::Fault`]); `DELETE /faults` ends it |
//!
//! Whatever it does not like it answers with a 4xx and the reason, and counts as rejected.

pub mod check;
pub mod decode;
pub mod faults;
mod server;
pub mod stats;

pub use server::{Backend, BackendError, Expected, LineSink};
