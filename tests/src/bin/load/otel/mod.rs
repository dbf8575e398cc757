//! `make otel-load`: what it costs a Worker to record with OpenTelemetry's metrics API, in Rust (`tests/otel`) and in TypeScript
//! (`emitter/npm/bench/worker.ts`): a recording, and what an invocation sends and computes beside one that posts an OTLP
//! request of its own.

mod counted;
mod invoking;
mod recording;
mod worker;

use std::time::{Duration, Instant};

use worker::Language;

/// The share of the time that recordings take.
const RECORDING: f64 = 0.4;

/// Measures for about this long, and prints the tables.
pub(crate) fn measure(time: Duration) {
    let languages = [Language::rust(), Language::typescript()];
    let start = Instant::now();
    recording::measure(&languages, start + time.mul_f64(RECORDING));
    invoking::measure(&languages, start + time);
}
