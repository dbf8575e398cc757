//! What the records of a batch add to the metrics.

use std::collections::BTreeMap;

use tributary_proto::v1::{self, dropped};
use tributary_telemetry::{
    Delta, Number,
    confidence::{Source, TelemetryDelta},
    otlp::read::PointRefusal,
};

use super::{
    DELTA_AGE, DROPPED, DROPPED_RECORDINGS, LAST_APPLIED, MESSAGES, NotRecorded, REBUCKETED, TELEMETRY_REFUSED, add,
    add_observations, custom_folded, custom_refused, labels, points_refused, set,
};
use crate::{
    custom::{Folding, Refusal},
    dimensions::Dimensions,
    message::{Decoded, Telemetry},
};

const AGE_BOUNDS: &[f64] = &[0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 21600.0, 86400.0];

/// Everything that records add to the metrics, merged: per producer its Confidence telemetry, what is known of its
/// messages, and how old they are.
///
/// # Errors
/// [`NotRecorded`] where a 64-bit total would overflow.
pub fn delta_of(records: &[&Decoded], dimensions: Dimensions, now_ms: u64) -> Result<Delta, NotRecorded> {
    let mut by_source = BTreeMap::<_, Vec<&Decoded>>::new();
    for decoded in records {
        by_source.entry((&decoded.resolver_id, dimensions.labels_of(decoded))).or_default().push(decoded);
    }
    let mut merged = Delta::new();
    for ((resolver_id, dimensions), records) in by_source {
        let source = Source { resolver_id, dimensions: &dimensions };
        merged = merged.merged(&delta_of_source(source, &records, now_ms)?).map_err(NotRecorded::new)?;
    }
    if !records.is_empty() {
        set(&mut merged, &LAST_APPLIED, &[], Number::Float(seconds(now_ms)), now_ms)?;
    }
    Ok(merged)
}

fn delta_of_source(source: Source<'_>, records: &[&Decoded], now_ms: u64) -> Result<Delta, NotRecorded> {
    let mut telemetry = TelemetryDelta::default();
    let (mut rebucketed, mut refused) = (0u64, 0u64);
    let (mut dropped, mut dropped_recordings) = (BTreeMap::<&str, u64>::new(), BTreeMap::<&str, u64>::new());
    let (mut reserved, mut overflowed) = (0u64, 0u64);
    let mut points_of = BTreeMap::<PointRefusal, u64>::new();
    for record in records {
        reserved = reserved.saturating_add(record.metrics.reserved_series).saturating_add(record.otlp.reserved_points);
        overflowed = overflowed.saturating_add(record.otlp.overflowed);
        for (refusal, points) in &record.otlp.refused {
            let total = points_of.entry(*refusal).or_default();
            *total = total.saturating_add(*points);
        }
        match &record.telemetry {
            Telemetry::Read { report, rebucketed: observations, .. } => {
                telemetry.add_report(report).map_err(NotRecorded::new)?;
                rebucketed = rebucketed.saturating_add(*observations);
            }
            Telemetry::Refused(_) => refused = refused.saturating_add(1),
            Telemetry::Absent => {}
        }
        for entry in &record.dropped {
            for (totals, count) in [(&mut dropped, entry.assignments), (&mut dropped_recordings, entry.recordings)] {
                if count > 0 {
                    let total = totals.entry(drop_reason(entry)).or_default();
                    *total = total.saturating_add(count);
                }
            }
        }
    }
    let window_start_ms = records.iter().map(|record| record.window_start_ms).min().unwrap_or(now_ms);
    let mut delta = telemetry.to_delta(source, window_start_ms).map_err(NotRecorded::new)?;
    let resolver_id = source.resolver_id;
    let producer = [("resolver_id", resolver_id)];
    let applied = u64::try_from(records.len()).unwrap_or(u64::MAX);
    add(&mut delta, &MESSAGES, &[("outcome", "applied"), ("resolver_id", resolver_id)], applied)?;
    if rebucketed > 0 {
        add(&mut delta, &REBUCKETED, &producer, rebucketed)?;
    }
    if refused > 0 {
        add(&mut delta, &TELEMETRY_REFUSED, &producer, refused)?;
    }
    for (family, totals) in [(&DROPPED, dropped), (&DROPPED_RECORDINGS, dropped_recordings)] {
        for (reason, count) in totals {
            add(&mut delta, family, &[("reason", reason), ("resolver_id", resolver_id)], count)?;
        }
    }
    custom_refused(&mut delta, Refusal::ReservedName, reserved)?;
    custom_folded(&mut delta, Folding::Overflow, overflowed)?;
    for (refusal, points) in points_of {
        points_refused(&mut delta, refusal, points)?;
    }
    let ages = records.iter().map(|record| seconds(now_ms.saturating_sub(record.record.window_end_ms)));
    add_observations(&mut delta, &DELTA_AGE, labels(&producer)?, AGE_BOUNDS, ages)?;
    Ok(delta)
}

fn drop_reason(entry: &v1::Dropped) -> &'static str {
    match entry.reason() {
        dropped::Reason::Unspecified => "unspecified",
        dropped::Reason::BufferFull => "buffer_full",
        dropped::Reason::Oversize => "oversize",
        dropped::Reason::Invalid => "invalid",
        dropped::Reason::Limit => "limit",
    }
}

/// Milliseconds as seconds. Exact to the millisecond for 285,000 years.
fn seconds(ms: u64) -> f64 {
    std::time::Duration::from_millis(ms).as_secs_f64()
}
