//! What the resolver counted, in our families and labels.

use tributary_telemetry::{
    Bounds, Delta, DeltaError, FamilyDescriptor, Histogram, HistogramError, LATENCY_BOUNDS, LabelError, LabelSet,
    Number,
    confidence::{
        catalog::{self, REASON, RESOLVER_ID},
        provider_labels, reason_label,
    },
};

use super::peer::{ApplyDedup, Events, PeerTotals};

/// The day of the first release of the resolver that counted anything, 13 May 2026, in milliseconds since the epoch: all
/// of its counters were 0 then. A true start, if an early one, for totals of which nobody knows better.
pub const FIRST_RELEASE_MS: u64 = 1_778_630_400_000;

/// Why totals cannot be said in our labels.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TotalsError {
    /// The `resolver_id` is no label value.
    #[error("resolver id: {0}")]
    Label(#[from] LabelError),
    /// Never: totals of one resolver, each of which is bounded.
    #[error(transparent)]
    Delta(#[from] DeltaError),
    /// Never: buckets that were held against their count.
    #[error(transparent)]
    Histogram(#[from] HistogramError),
}

/// Maps totals to the series of `resolver_id`, counted since `start_ms` (milliseconds since the epoch).
///
/// The count of a bucket goes to the bucket of the same bound, as it is. A latency that equals a bound (1, 10, 100 ms)
/// stands one bucket higher than ours puts it, and which of a bucket's latencies those are is not known any more. The
/// rules of labels and groups are those of our own deltas
/// ([`to_delta`](tributary_telemetry::confidence::TelemetryDelta::to_delta)): series of one group appear together,
/// reasons without a name share one, labels that are none are left out.
///
/// # Errors
/// Every [`TotalsError`].
pub fn to_delta(totals: &PeerTotals, resolver_id: &str, start_ms: u64) -> Result<Delta, TotalsError> {
    let PeerTotals {
        latency_buckets,
        latency_sum_micros,
        resolves,
        apply_dedup,
        flush: (succeeded, failed),
        events,
        provider_init,
        left_out: _,
    } = totals;
    let mut delta = Delta::new();
    delta.set_start(start_ms);
    let own = LabelSet::from_pairs([(RESOLVER_ID, resolver_id)])?;
    if totals.latency_count() > 0 {
        let mut counts = latency_buckets.to_vec();
        // Above the last bound nothing was ever counted: the resolver's latencies have 32 bits.
        counts.resize(LATENCY_BOUNDS.saturating_add(1), 0);
        let histogram = Histogram::from_parts(Bounds::latency(), counts, Number::Unsigned(*latency_sum_micros))?;
        delta.add_histogram(&catalog::RESOLVE_LATENCY, own.clone(), &histogram)?;
    }
    for (reason, count) in resolves {
        let label = reason_label(i32::try_from(*reason).unwrap_or(i32::MAX));
        let labels = LabelSet::from_pairs([(RESOLVER_ID, resolver_id), (REASON, label)])?;
        delta.add_counter(&catalog::RESOLVES, labels, *count)?;
    }
    let ApplyDedup { applies, deduped, overflow, sweeps } = apply_dedup.unwrap_or_default();
    let Events { published, batches_succeeded, batches_failed, rejected } = *events;
    let groups: [&[(&FamilyDescriptor, u64)]; 3] = [
        &[
            (&catalog::APPLY_DEDUP_APPLIES, applies),
            (&catalog::APPLY_DEDUP_DEDUPED, deduped),
            (&catalog::APPLY_DEDUP_OVERFLOW, overflow),
            (&catalog::APPLY_DEDUP_SWEEPS, sweeps),
        ],
        &[(&catalog::FLUSH_SUCCEEDED, *succeeded), (&catalog::FLUSH_FAILED, *failed)],
        &[
            (&catalog::EVENTS_PUBLISHED, published),
            (&catalog::EVENT_BATCHES_SUCCEEDED, batches_succeeded),
            (&catalog::EVENT_BATCHES_FAILED, batches_failed),
            (&catalog::EVENTS_REJECTED, rejected),
        ],
    ];
    for group in groups.into_iter().filter(|group| group.iter().any(|(_, count)| *count > 0)) {
        for (family, count) in group {
            delta.add_counter(family, own.clone(), *count)?;
        }
    }
    for (labels, count) in provider_init {
        delta.add_counter(&catalog::PROVIDER_INIT, provider_labels(resolver_id, labels)?, *count)?;
    }
    Ok(delta)
}

#[cfg(test)]
#[path = "totals_tests.rs"]
mod tests;
