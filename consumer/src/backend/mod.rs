//! The Confidence backend: what is sent to it, where, and what its answer means.

pub mod delivery;
pub mod flag_logs;
pub mod retry_after;
