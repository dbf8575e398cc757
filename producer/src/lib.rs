//! The producer Worker: resolves Confidence flags at the edge and emits delta records.
//!
//! The flow of a request, module by module: [`http`] finds the route, [`state`] gives the resolver state, [`resolve`] or
//! [`apply`] answers through the resolver crate, whose logs end in [`host`]. After the response, [`recorder`] works out
//! the latency, and [`flusher`] puts what the isolate's requests left (cut to size by [`fragment`]) onto the stream of
//! numbered messages that the crate `tributary-emitter` coalesces, keeps and sends. [`isolate`] holds all that lives longer
//! than a request; [`platform`] is the only module that talks to the runtime, and decides nothing.
//!
//! What it does not do: keep anything beyond the isolate's life but sticky assignments, aggregate across isolates. That
//! is the consumer's.

pub mod apply;
pub mod config;
pub mod entropy;
pub mod error;
pub mod flusher;
pub mod fragment;
pub mod host;
pub mod http;
pub mod isolate;
pub mod limits;
pub mod log;
pub mod materializations;
pub mod metrics;
pub mod platform;
pub mod recorder;
pub mod resolve;
pub mod resolve_log;
pub mod schema;
pub mod state;
pub mod token;

pub use tributary_emitter::clock;

/// False only in the build that `make load` compares with, which resolves and leaves it at that.
pub(crate) const HAS_PIPELINE: bool = cfg!(not(feature = "without-pipeline"));

#[cfg(test)]
mod testing;

use worker::{Context, Env, Request, Response, event};

/// Answers one request.
///
/// # Errors
/// When the runtime cannot build a response. Every failure that has an answer is answered.
#[event(fetch)]
pub async fn fetch(request: Request, env: Env, context: Context) -> worker::Result<Response> {
    platform::answer(request, env, context).await
}
