//! From an accumulator to a delta of the model.

use std::collections::BTreeMap;

use tributary_proto::flag_logs::ResolveReason;

use super::{
    KNOWN_REASONS, catalog,
    telemetry::{ApplyDedupCounts, EventCounts, FlushCounts, TelemetryDelta},
};
use crate::{
    Applied, Bounds, Delta, DeltaError, Gauge, LabelError, LabelName, LabelSet, MergeError, Number, Snapshot, Zero,
    limits::{MAX_LABEL_VALUE_BYTES, MAX_LABELS},
};

/// The `reason` of all resolve reasons that have no known name, so that unknown numbers cannot make series.
pub const UNKNOWN_REASON: &str = "UNKNOWN";

/// Why an accumulator cannot be mapped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MappingError {
    /// The `resolver_id` is no label value.
    #[error(transparent)]
    Label(#[from] LabelError),
    /// A total passes 64 bits.
    #[error(transparent)]
    Delta(#[from] DeltaError),
    /// The latency histogram passes 64 bits.
    #[error("resolve latencies: {0}")]
    Latency(MergeError),
}

/// Whose telemetry it is: the labels that all of its series have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source<'a> {
    /// The `resolver_id`.
    pub resolver_id: &'a str,
    /// Further labels, each with a name of its own; an empty value is an absent label. Provider initialisations do not
    /// get them: their labels are the sender's, and two labels of one name would clash.
    pub dimensions: &'a [(&'static str, &'a str)],
}

impl<'a> From<&'a str> for Source<'a> {
    fn from(resolver_id: &'a str) -> Self {
        Self { resolver_id, dimensions: &[] }
    }
}

impl Source<'_> {
    fn labels(&self, reason: Option<&str>) -> Result<LabelSet, LabelError> {
        let own = [(catalog::RESOLVER_ID, self.resolver_id)].into_iter().chain(self.dimensions.iter().copied());
        LabelSet::from_pairs(own.chain(reason.map(|reason| (catalog::REASON, reason))))
    }
}

/// The [`catalog::REASON`] of a reason's number; [`UNKNOWN_REASON`] for one without a known name.
#[must_use]
pub fn reason_label(reason: i32) -> &'static str {
    ResolveReason::try_from(reason).map_or(UNKNOWN_REASON, |reason| reason.as_str_name())
}

impl TelemetryDelta {
    /// Maps what `source` (a `resolver_id` alone, or a [`Source`]) reports for a window that began at `window_start_ms`, in milliseconds since
    /// the epoch.
    ///
    /// A group of counters (deduplication, events, flush) is mapped as a whole as soon as one of it is above 0, so that
    /// its series appear together. Labels of provider initialisations that are invalid, reserved, too long or named
    /// `resolver_id` are left out, and so are those after the 31st; what has the same labels after that is summed.
    ///
    /// # Errors
    /// Every [`MappingError`].
    pub fn to_delta<'a>(&self, source: impl Into<Source<'a>>, window_start_ms: u64) -> Result<Delta, MappingError> {
        let source = source.into();
        let mut delta = Delta::new();
        delta.set_start(window_start_ms);
        let labels = source.labels(None)?;
        if !self.latency.is_empty() {
            let histogram =
                self.latency.to_histogram().map_err(|_| MappingError::Latency(MergeError::CountOverflow))?;
            delta.add_histogram(&catalog::RESOLVE_LATENCY, labels.clone(), &histogram)?;
        }
        for (reason, count) in self.resolves() {
            delta.add_counter(&catalog::RESOLVES, source.labels(Some(reason_label(reason)))?, count)?;
        }
        let ApplyDedupCounts { applies, deduped, overflow, sweeps } = self.apply_dedup;
        let FlushCounts { succeeded, failed } = self.flush;
        let EventCounts { published, batches_succeeded, batches_failed, rejected } = self.events;
        let groups: [&[_]; 3] = [
            &[
                (&catalog::APPLY_DEDUP_APPLIES, applies),
                (&catalog::APPLY_DEDUP_DEDUPED, deduped),
                (&catalog::APPLY_DEDUP_OVERFLOW, overflow),
                (&catalog::APPLY_DEDUP_SWEEPS, sweeps),
            ],
            &[(&catalog::FLUSH_SUCCEEDED, succeeded), (&catalog::FLUSH_FAILED, failed)],
            &[
                (&catalog::EVENTS_PUBLISHED, published),
                (&catalog::EVENT_BATCHES_SUCCEEDED, batches_succeeded),
                (&catalog::EVENT_BATCHES_FAILED, batches_failed),
                (&catalog::EVENTS_REJECTED, rejected),
            ],
        ];
        for group in groups {
            if group.iter().any(|(_, count)| *count > 0) {
                for (family, count) in group {
                    delta.add_counter(family, labels.clone(), *count)?;
                }
            }
        }
        for (init_labels, count) in &self.provider_init {
            delta.add_counter(&catalog::PROVIDER_INIT, provider_labels(source.resolver_id, init_labels)?, *count)?;
        }
        self.map_readings(&labels, &mut delta)?;
        Ok(delta)
    }

    fn map_readings(&self, labels: &LabelSet, delta: &mut Delta) -> Result<(), MappingError> {
        if let Some(memory) = self.memory_bytes {
            let gauge = Gauge::unsigned(memory.value, memory.time_ms);
            delta.set_gauge(&catalog::MEMORY_BYTES, labels.clone(), gauge)?;
        }
        let map =
            [(&catalog::APPLY_DEDUP_MAP_SIZE, self.map_size), (&catalog::APPLY_DEDUP_MAP_CAPACITY, self.map_capacity)];
        for (family, reading) in map {
            if let Some(reading) = reading {
                let gauge = Gauge::unsigned(u64::from(reading.value), reading.time_ms);
                delta.set_gauge(family, labels.clone(), gauge)?;
            }
        }
        if let Some(state) = self.state_update_ms {
            let seconds = Number::Float(Number::Unsigned(state.value).to_f64() / 1_000.0);
            // Never NaN: a number of 64 bits divided by 1,000.
            if let Ok(gauge) = Gauge::new(seconds, state.time_ms) {
                delta.set_gauge(&catalog::STATE_LAST_UPDATE, labels.clone(), gauge)?;
            }
        }
        Ok(())
    }
}

/// The labels of a provider's initialisation: the resolver's, and of its own those that can be labels.
///
/// Names come from SDKs and are validated by nobody before us. A name that is not legal is left out and not rewritten:
/// a rewritten name could be the name of another label.
///
/// # Errors
/// [`LabelError`] if `resolver_id` is no label value.
pub fn provider_labels(resolver_id: &str, labels: &BTreeMap<String, String>) -> Result<LabelSet, LabelError> {
    let own = labels.iter().filter_map(|(name, value)| {
        let usable = name != catalog::RESOLVER_ID && value.len() <= MAX_LABEL_VALUE_BYTES;
        let name = LabelName::new(name.clone()).ok().filter(|_| usable)?;
        Some((name, value.as_str()))
    });
    let resolver = LabelName::new(catalog::RESOLVER_ID)?;
    LabelSet::new(own.take(MAX_LABELS.saturating_sub(1)).chain([(resolver, resolver_id)]))
}

/// Makes the series exist that a resolver has from the beginning: its latency histogram, its known resolve reasons and
/// its deliveries, all at 0. Those that exist are left alone.
///
/// # Errors
/// [`LabelError`] if `resolver_id` is no label value; nothing changed.
pub fn declare_resolver(snapshot: &mut Snapshot, resolver_id: &str) -> Result<Applied, LabelError> {
    let source = Source::from(resolver_id);
    let labels = source.labels(None)?;
    let mut reasons = Vec::with_capacity(KNOWN_REASONS);
    for reason in (0_i32..).take(KNOWN_REASONS) {
        reasons.push(source.labels(Some(reason_label(reason)))?);
    }
    let mut applied = snapshot.declare(&catalog::RESOLVE_LATENCY, labels.clone(), Zero::Histogram(Bounds::latency()));
    for labels in reasons {
        applied = applied.and(snapshot.declare(&catalog::RESOLVES, labels, Zero::Counter));
    }
    for family in [&catalog::FLUSH_SUCCEEDED, &catalog::FLUSH_FAILED] {
        applied = applied.and(snapshot.declare(family, labels.clone(), Zero::Counter));
    }
    Ok(applied)
}
