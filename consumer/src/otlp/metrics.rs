//! What the pipeline says of its push: families, and what a run adds to them. Without an endpoint there are none.

use std::time::Duration;

use tributary_telemetry::{Delta, FamilyDescriptor, LabelSet, MetricKind, Number};

use super::exporter::{End, Report};
use crate::self_metrics::{NotRecorded, add, add_observations, set};

const fn counter(name: &'static str, help: &'static str, unit: &'static str) -> FamilyDescriptor {
    FamilyDescriptor::from_static(name, help, unit, MetricKind::Counter)
}

/// Requests by what became of them.
pub const REQUESTS: FamilyDescriptor =
    counter("tributary_otlp_requests", "OTLP requests to the collector, by outcome.", "");
/// Data points by what became of them.
pub const POINTS: FamilyDescriptor = counter(
    "tributary_otlp_points",
    "Data points that the collector accepted or rejected, and that were dropped because it never takes them.",
    "",
);
/// Size of requests.
pub const SENT_BYTES: FamilyDescriptor =
    counter("tributary_otlp_sent_bytes", "Size of OTLP requests before compression.", "bytes");
/// Time that exports took.
pub const DURATION: FamilyDescriptor = FamilyDescriptor::from_static(
    "tributary_otlp_export_duration_seconds",
    "Time that an export took, all of its requests together.",
    "seconds",
    MetricKind::Histogram,
);
/// When everything was last accepted.
pub const LAST_SUCCESS: FamilyDescriptor = FamilyDescriptor::from_static(
    "tributary_otlp_last_success_timestamp_seconds",
    "When an export was last accepted as a whole; 0 before the first.",
    "seconds",
    MetricKind::Gauge,
);

/// All families of the push.
pub static ALL: [&FamilyDescriptor; 5] = [&REQUESTS, &POINTS, &SENT_BYTES, &DURATION, &LAST_SUCCESS];

const DURATION_BOUNDS: &[f64] = &[0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// A run ended.
///
/// # Errors
/// [`NotRecorded`]
pub fn export(delta: &mut Delta, report: &Report, took: Duration, now_ms: u64) -> Result<(), NotRecorded> {
    for outcome in &report.requests {
        add(delta, &REQUESTS, &[("outcome", outcome)], 1)?;
    }
    for (outcome, points) in [("accepted", report.accepted), ("rejected", report.rejected), ("dropped", report.dropped)]
    {
        add(delta, &POINTS, &[("outcome", outcome)], points)?;
    }
    add(delta, &SENT_BYTES, &[], report.bytes)?;
    add_observations(delta, &DURATION, LabelSet::empty(), DURATION_BOUNDS, [took.as_secs_f64()])?;
    // With its own time, so that a failure neither moves it nor is without it.
    let is_whole = report.end == End::Done && report.rejected == 0 && report.dropped == 0;
    let (value, time_ms) = if is_whole { (Number::Float(seconds(now_ms)), now_ms) } else { (Number::Float(0.0), 0) };
    set(delta, &LAST_SUCCESS, &[], value, time_ms)
}

fn seconds(millis: u64) -> f64 {
    Number::Unsigned(millis).to_f64() / 1_000.0
}
