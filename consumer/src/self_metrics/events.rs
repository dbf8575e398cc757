//! What each event adds to a delta.

use tributary_proto::v1::commit_response::Verdict;
use tributary_telemetry::{Delta, FamilyDescriptor, LabelSet, confidence::catalog, otlp::read::PointRefusal};

use super::{
    BACKEND_REQUESTS, BATCH_MESSAGES, CUSTOM_FOLDED, CUSTOM_REFUSED, FORGOTTEN_STREAMS, IMPORTS, KV_WRITES, MALFORMED,
    MESSAGES, NotRecorded, POINTS_REFUSED, SERIES_FOLDED, SERIES_REFUSED, add, add_observations,
};
use crate::{
    backend::delivery::{DeliveryOutcome, Destination},
    custom::{Folding, Refusal},
    ledger::commit::StreamKind,
};

const BATCH_BOUNDS: &[f64] = &[1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0];

/// A batch arrived.
///
/// # Errors
/// [`NotRecorded`], as for every function here that adds to a delta.
pub fn batch(delta: &mut Delta, messages: usize) -> Result<(), NotRecorded> {
    let size = u32::try_from(messages).unwrap_or(u32::MAX);
    add_observations(delta, &BATCH_MESSAGES, LabelSet::empty(), BATCH_BOUNDS, [f64::from(size)])
}

/// A message could not be read.
///
/// # Errors
/// [`NotRecorded`]
pub fn malformed(delta: &mut Delta, reason: &'static str) -> Result<(), NotRecorded> {
    add(delta, &MALFORMED, &[("reason", reason)], 1)?;
    add(delta, &MESSAGES, &[("outcome", "malformed")], 1)
}

/// A record was not applied because it is in the state already, or too old.
///
/// # Errors
/// [`NotRecorded`]
pub fn not_applied(delta: &mut Delta, resolver_id: &str, verdict: Verdict) -> Result<(), NotRecorded> {
    let outcome = if verdict == Verdict::Expired { "expired" } else { "duplicate" };
    add(delta, &MESSAGES, &[("outcome", outcome), ("resolver_id", resolver_id)], 1)
}

/// Messages go back to the queue.
///
/// # Errors
/// [`NotRecorded`]
pub fn retried(delta: &mut Delta, messages: usize) -> Result<(), NotRecorded> {
    add(delta, &MESSAGES, &[("outcome", "retried")], u64::try_from(messages).unwrap_or(u64::MAX))
}

/// The backend answered, or did not. Counts as a flush of this consumer too, under the name that the other providers
/// use for their own deliveries.
///
/// # Errors
/// [`NotRecorded`]
pub fn delivery(
    delta: &mut Delta,
    resolver_id: &str,
    destination: Destination,
    outcome: DeliveryOutcome,
) -> Result<(), NotRecorded> {
    let flush = if outcome == DeliveryOutcome::Delivered { &catalog::FLUSH_SUCCEEDED } else { &catalog::FLUSH_FAILED };
    add(delta, flush, &[("resolver_id", resolver_id)], 1)?;
    add(delta, &BACKEND_REQUESTS, &[("destination", destination.as_str()), ("outcome", outcome.as_str())], 1)
}

/// The families of deliveries that were taken.
pub const OF_DELIVERIES: [&FamilyDescriptor; 2] = [&catalog::FLUSH_SUCCEEDED, &BACKEND_REQUESTS];

/// A published copy was written, or not.
///
/// # Errors
/// [`NotRecorded`]
pub fn kv_write(delta: &mut Delta, key: &str, written: bool) -> Result<(), NotRecorded> {
    add(delta, &KV_WRITES, &[("key", key), ("outcome", if written { "written" } else { "failed" })], 1)
}

/// New series were refused.
///
/// # Errors
/// [`NotRecorded`]
pub fn series_refused(delta: &mut Delta, series: u64) -> Result<(), NotRecorded> {
    add(delta, &SERIES_REFUSED, &[], series)
}

/// Series of custom metrics were left out.
///
/// # Errors
/// [`NotRecorded`]
pub fn custom_refused(delta: &mut Delta, refusal: Refusal, series: u64) -> Result<(), NotRecorded> {
    if series == 0 {
        return Ok(());
    }
    add(delta, &CUSTOM_REFUSED, &[("reason", refusal.as_str())], series)
}

/// Series of custom metrics were counted with less detail.
///
/// # Errors
/// [`NotRecorded`]
pub fn custom_folded(delta: &mut Delta, folding: Folding, series: u64) -> Result<(), NotRecorded> {
    if series == 0 {
        return Ok(());
    }
    add(delta, &CUSTOM_FOLDED, &[("reason", folding.as_str())], series)
}

/// Data points were refused.
///
/// # Errors
/// [`NotRecorded`]
pub fn points_refused(delta: &mut Delta, refusal: PointRefusal, points: u64) -> Result<(), NotRecorded> {
    add(delta, &POINTS_REFUSED, &[("reason", refusal.as_str())], points)
}

/// Series were put under `other`.
///
/// # Errors
/// [`NotRecorded`]
pub fn series_folded(delta: &mut Delta, series: u64) -> Result<(), NotRecorded> {
    add(delta, &SERIES_FOLDED, &[], series)
}

/// Totals were imported.
///
/// # Errors
/// [`NotRecorded`]
pub fn imported(delta: &mut Delta, resolver_id: &str) -> Result<(), NotRecorded> {
    add(delta, &IMPORTS, &[(catalog::RESOLVER_ID, resolver_id)], 1)
}

/// Streams were forgotten.
///
/// # Errors
/// [`NotRecorded`]
pub fn forgotten(delta: &mut Delta, kind: StreamKind, reason: &'static str, streams: u64) -> Result<(), NotRecorded> {
    add(delta, &FORGOTTEN_STREAMS, &[("kind", kind.as_str()), ("reason", reason)], streams)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_on_a_bound_are_counted_under_it() {
        let mut delta = Delta::new();
        batch(&mut delta, 10).unwrap();
        batch(&mut delta, 11).unwrap();
        let Some(tributary_telemetry::Value::Histogram(histogram)) =
            delta.get(BATCH_MESSAGES.name(), &LabelSet::empty())
        else {
            panic!("no histogram");
        };
        assert_eq!(histogram.bucket_counts(), [0, 0, 0, 1, 1, 0, 0, 0]);
    }

    #[test]
    fn every_put_and_every_refused_series_is_counted() {
        let mut delta = Delta::new();
        for is_written in [true, false, true] {
            kv_write(&mut delta, "openmetrics", is_written).unwrap();
        }
        series_refused(&mut delta, 5).unwrap();
        let count = |family: &str, pairs: &[(&'static str, &str)]| {
            delta.get(family, &crate::self_metrics::labels(pairs).unwrap()).cloned()
        };
        let puts = |outcome| count(KV_WRITES.name(), &[("key", "openmetrics"), ("outcome", outcome)]);
        assert_eq!(puts("written"), Some(tributary_telemetry::Value::Counter(2)));
        assert_eq!(puts("failed"), Some(tributary_telemetry::Value::Counter(1)));
        assert_eq!(count(SERIES_REFUSED.name(), &[]), Some(tributary_telemetry::Value::Counter(5)));
    }
}
