//! The platform's edge: what of the Workers runtime the consumer uses, behind plain Rust. Nothing here decides.

pub(crate) mod backend;
pub(crate) mod body;
pub(crate) mod collector;
pub(crate) mod dead_letters;
pub(crate) mod fetch;
pub(crate) mod import;
pub(crate) mod ledger;
pub(crate) mod log;
pub(crate) mod object;
pub(crate) mod queue;
pub(crate) mod report;
pub(crate) mod runtime;
pub(crate) mod state_refresh;
pub(crate) mod status_page;
