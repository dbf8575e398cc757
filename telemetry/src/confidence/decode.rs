//! From a report to an accumulator.

use tributary_proto::flag_logs::{
    TelemetryData,
    telemetry_data::{
        ApplyDedupTelemetry, BucketSpan, EventsTelemetry, FlushTelemetry, ProviderInitRate, ResolveLatency,
        ResolveRate, StateAge,
    },
};

use super::{
    TelemetryMergeError,
    telemetry::{ApplyDedupCounts, EventCounts, TelemetryDelta},
};
use crate::{LatencyHistogram, Rebucketed, SpansError, limits::MAX_WIRE_TOTAL};

/// Why a report is refused.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    /// The latency histogram contradicts itself.
    #[error("resolve_latency: {0}")]
    Latency(#[from] SpansError),
    /// A total passes what fits the wire; only a report that repeats entries can do that.
    #[error(transparent)]
    Overflow(#[from] TelemetryMergeError),
}

impl TelemetryDelta {
    /// Reads a report that was made at `read_at_ms`, in milliseconds since the epoch; its readings carry no time of
    /// their own. The second result says how many latencies came in buckets of another ratio.
    ///
    /// `sdk` and `resolver_version` are not kept: they are the sender's identity, and the caller keeps senders apart.
    ///
    /// # Errors
    /// Every [`WireError`].
    pub fn from_wire(report: &TelemetryData, read_at_ms: u64) -> Result<(Self, Rebucketed), WireError> {
        // Every field by name, here and below: a field that is added to the messages fails the build until it is mapped.
        let TelemetryData {
            sdk: _,
            resolve_latency,
            resolve_rate,
            state_age,
            memory_bytes,
            resolver_version: _,
            provider_init_rate,
            apply_dedup,
            flush,
            events,
        } = report;
        let mut delta = Self::new();
        let mut rebucketed = Rebucketed::default();
        if let Some(ResolveLatency { sum, count, buckets, ln_ratio }) = resolve_latency {
            let spans = buckets.iter().map(|BucketSpan { offset, counts }| (*offset, counts.as_slice()));
            (delta.latency, rebucketed) =
                LatencyHistogram::from_spans(*ln_ratio, u64::from(*count), u64::from(*sum), spans)?;
        }
        let mut resolves: u64 = 0;
        for ResolveRate { count, reason } in resolve_rate {
            resolves = within_wire(resolves, *count, "resolve_rate")?;
            delta.add_resolves(*reason, u64::from(*count));
        }
        let mut inits: u64 = 0;
        for ProviderInitRate { count, labels } in provider_init_rate {
            inits = within_wire(inits, *count, "provider_init_rate")?;
            delta.add_provider_init(labels.clone(), u64::from(*count));
        }
        if let Some(StateAge { last_state_update }) = state_age {
            delta.set_state_update(*last_state_update, read_at_ms);
        }
        delta.set_memory_bytes(*memory_bytes, read_at_ms);
        if let Some(dedup) = apply_dedup {
            let ApplyDedupTelemetry {
                applies_total,
                applies_deduped,
                apply_dedup_overflow,
                sweeps,
                map_size,
                map_capacity,
            } = *dedup;
            delta.add_apply_dedup(ApplyDedupCounts {
                applies: applies_total.into(),
                deduped: applies_deduped.into(),
                overflow: apply_dedup_overflow.into(),
                sweeps: sweeps.into(),
            });
            delta.set_apply_dedup_map(map_size, map_capacity, read_at_ms);
        }
        if let Some(FlushTelemetry { succeeded, failed }) = *flush {
            delta.add_flush(succeeded.into(), failed.into());
        }
        if let Some(EventsTelemetry { published, batches_succeeded, batches_failed, events_rejected }) = *events {
            delta.add_events(EventCounts {
                published: published.into(),
                batches_succeeded: batches_succeeded.into(),
                batches_failed: batches_failed.into(),
                rejected: events_rejected.into(),
            });
        }
        Ok((delta, rebucketed))
    }
}

/// Adds to the total of a repeated field. The total of all entries bounds the total of each, so that the saturating
/// adders never saturate on what comes from outside.
fn within_wire(total: u64, added: u32, field: &'static str) -> Result<u64, TelemetryMergeError> {
    let sum = total.saturating_add(u64::from(added));
    if sum > MAX_WIRE_TOTAL { Err(TelemetryMergeError::Overflow { field }) } else { Ok(sum) }
}
