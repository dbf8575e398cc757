//! The accumulator of what one sender reports.

use std::collections::BTreeMap;

use crate::{
    LatencyHistogram,
    limits::{MAX_PROVIDER_INIT_LABEL_SETS, MAX_UNKNOWN_REASONS, MAX_WIRE_TOTAL},
};

/// How many resolve reasons have a name: the numbers 0 … 10.
pub const KNOWN_REASONS: usize = 11;

/// Why two accumulators cannot be merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TelemetryMergeError {
    /// A total would pass [`MAX_WIRE_TOTAL`].
    #[error("total of {field} passes {MAX_WIRE_TOTAL}")]
    Overflow {
        /// Field of `TelemetryData`.
        field: &'static str,
    },
}

/// A value and when it was read. Ordered by time, then value, so that the greater one is the one that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Reading<T> {
    pub(super) time_ms: u64,
    pub(super) value: T,
}

/// Counts of the deduplication of applies, since the last report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ApplyDedupCounts {
    /// Applies seen.
    pub applies: u64,
    /// Applies dropped as repeats.
    pub deduped: u64,
    /// Applies that a full map could not remember.
    pub overflow: u64,
    /// Sweeps of the map.
    pub sweeps: u64,
}

/// Counts of events, since the last report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EventCounts {
    /// Events published.
    pub published: u64,
    /// Batches delivered.
    pub batches_succeeded: u64,
    /// Batches not delivered.
    pub batches_failed: u64,
    /// Events refused by the events service.
    pub rejected: u64,
}

/// Deliveries of reports, since the last report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct FlushCounts {
    pub(super) succeeded: u64,
    pub(super) failed: u64,
}

/// What one sender has to report: counts since its last report, and readings with the time at which they were made.
///
/// Counts are 64 bits wide; totals from outside are refused above [`MAX_WIRE_TOTAL`], totals of the program itself
/// saturate there (4.4 · 10^12 resolves in one report), so that the number of messages on the wire is bounded. Merging
/// is commutative and associative, and the empty accumulator is its identity. Size is bounded: 16 unknown reasons and
/// 1,000 label sets; see [`TelemetryDelta::add_resolves`] and [`TelemetryDelta::add_provider_init`] for what happens
/// beyond.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TelemetryDelta {
    pub(super) latency: LatencyHistogram,
    pub(super) resolves: ReasonTotals,
    /// By the reason's number as unsigned, so that the numbers just above the known ones come first and negative ones
    /// last: what a newer sender sends is kept before what a broken one sends. No count is 0.
    pub(super) unknown_resolves: BTreeMap<u32, u64>,
    pub(super) memory_bytes: Option<Reading<u64>>,
    pub(super) state_update_ms: Option<Reading<u64>>,
    pub(super) apply_dedup: ApplyDedupCounts,
    /// Size and capacity are separate readings, as their series are; both are there or neither.
    pub(super) map_size: Option<Reading<u32>>,
    pub(super) map_capacity: Option<Reading<u32>>,
    pub(super) flush: FlushCounts,
    pub(super) events: EventCounts,
    /// No count is 0.
    pub(super) provider_init: BTreeMap<BTreeMap<String, String>, u64>,
}

/// Totals of the reasons that have a name, by their number. They are bounded by [`MAX_WIRE_TOTAL`] where they are read, so
/// that counting one more is one instruction: it would take 584 years, one each nanosecond, to count to the end of 64 bits.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ReasonTotals([u64; KNOWN_REASONS]);

impl ReasonTotals {
    /// The totals.
    pub(super) fn bounded(&self) -> [u64; KNOWN_REASONS] {
        self.0.map(|total| total.min(MAX_WIRE_TOTAL))
    }

    /// Counts one more. False, and nothing is counted, where the number has no name.
    #[inline]
    fn increment(&mut self, reason: i32) -> bool {
        let total = usize::try_from(reason.cast_unsigned()).ok().and_then(|index| self.0.get_mut(index));
        total.is_some_and(|total| {
            *total = total.wrapping_add(1);
            true
        })
    }

    /// Adds up to the bound of the wire. False, and nothing is added, where the number has no name.
    fn add(&mut self, reason: i32, count: u64) -> bool {
        let total = usize::try_from(reason).ok().and_then(|index| self.0.get_mut(index));
        total.is_some_and(|total| {
            saturate(total, count);
            true
        })
    }

    /// Says whether these counts can be added within the bound of the wire.
    pub(super) fn have_room(&self, counts: &[u32; KNOWN_REASONS]) -> bool {
        let fits = |(total, count): (u64, &u32)| total.saturating_add(u64::from(*count)) <= MAX_WIRE_TOTAL;
        self.bounded().into_iter().zip(counts).all(fits)
    }

    /// Adds them, up to the bound of the wire.
    pub(super) fn add_counts(&mut self, counts: &[u32; KNOWN_REASONS]) {
        self.0.iter_mut().zip(counts).for_each(|(total, count)| saturate(total, u64::from(*count)));
    }

    /// Adds what others counted, and what belongs to no name to the first.
    fn merge(&mut self, other: &Self, unspecified: u64) -> Result<(), TelemetryMergeError> {
        let mut merged = self.bounded();
        for (total, added) in merged.iter_mut().zip(other.bounded()) {
            checked(total, added, "resolve_rate")?;
        }
        let [first, ..] = &mut merged;
        checked(first, unspecified, "resolve_rate")?;
        self.0 = merged;
        Ok(())
    }
}

impl PartialEq for ReasonTotals {
    fn eq(&self, other: &Self) -> bool {
        self.bounded() == other.bounded()
    }
}

/// Adds up to the bound of the wire.
fn saturate(total: &mut u64, added: u64) {
    *total = total.saturating_add(added).min(MAX_WIRE_TOTAL);
}

/// Adds within the bound of the wire.
fn checked(total: &mut u64, added: u64, field: &'static str) -> Result<(), TelemetryMergeError> {
    let sum = total.checked_add(added).filter(|sum| *sum <= MAX_WIRE_TOTAL);
    *total = sum.ok_or(TelemetryMergeError::Overflow { field })?;
    Ok(())
}

impl TelemetryDelta {
    /// An accumulator of nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Says whether there is nothing to report.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Counts one resolve request that took `latency_micros`. No allocation.
    #[inline]
    pub fn observe_latency(&mut self, latency_micros: u32) {
        self.latency.observe(latency_micros);
    }

    /// Counts one flag for each of `reasons`, as [`TelemetryDelta::add_resolves`] does. No allocation where their names are
    /// known.
    #[inline]
    pub fn observe_resolves(&mut self, reasons: &[i32]) {
        // Four at a time were measured, too, and took more.
        for reason in reasons {
            if !self.resolves.increment(*reason) {
                self.add_resolves(*reason, 1);
            }
        }
    }

    /// Counts `count` flags whose resolve ended with the number `reason`.
    ///
    /// Numbers without a known name are kept apart, the 16 lowest of them (taken as unsigned); the counts of others are
    /// added to `RESOLVE_REASON_UNSPECIFIED`.
    pub fn add_resolves(&mut self, reason: i32, count: u64) {
        if count == 0 {
            return;
        }
        if !self.resolves.add(reason, count) {
            saturate(self.unknown_resolves.entry(reason.cast_unsigned()).or_default(), count);
            let folded = fold_excess(&mut self.unknown_resolves, MAX_UNKNOWN_REASONS);
            self.resolves.add(0, folded);
        }
    }

    /// Takes over the memory in use, in bytes, as read at `time_ms`. 0 says nothing, as on the wire.
    pub fn set_memory_bytes(&mut self, bytes: u64, time_ms: u64) {
        if bytes > 0 {
            self.memory_bytes = self.memory_bytes.max(Some(Reading { time_ms, value: bytes }));
        }
    }

    /// Takes over when the resolver state last changed, in milliseconds since the epoch, as read at `time_ms`. 0 says
    /// nothing, as on the wire.
    pub fn set_state_update(&mut self, last_state_update_ms: u64, time_ms: u64) {
        if last_state_update_ms > 0 {
            self.state_update_ms = self.state_update_ms.max(Some(Reading { time_ms, value: last_state_update_ms }));
        }
    }

    /// Adds counts of the deduplication of applies.
    pub fn add_apply_dedup(&mut self, counts: ApplyDedupCounts) {
        let ApplyDedupCounts { applies, deduped, overflow, sweeps } = counts;
        saturate(&mut self.apply_dedup.applies, applies);
        saturate(&mut self.apply_dedup.deduped, deduped);
        saturate(&mut self.apply_dedup.overflow, overflow);
        saturate(&mut self.apply_dedup.sweeps, sweeps);
    }

    /// Takes over the size and capacity of the deduplication map as read at `time_ms`. Two zeros say nothing, as on the
    /// wire.
    pub fn set_apply_dedup_map(&mut self, size: u32, capacity: u32, time_ms: u64) {
        if size > 0 || capacity > 0 {
            self.map_size = self.map_size.max(Some(Reading { time_ms, value: size }));
            self.map_capacity = self.map_capacity.max(Some(Reading { time_ms, value: capacity }));
        }
    }

    /// Adds deliveries of reports to the backend.
    pub fn add_flush(&mut self, succeeded: u64, failed: u64) {
        saturate(&mut self.flush.succeeded, succeeded);
        saturate(&mut self.flush.failed, failed);
    }

    /// Adds counts of events.
    pub fn add_events(&mut self, counts: EventCounts) {
        let EventCounts { published, batches_succeeded, batches_failed, rejected } = counts;
        saturate(&mut self.events.published, published);
        saturate(&mut self.events.batches_succeeded, batches_succeeded);
        saturate(&mut self.events.batches_failed, batches_failed);
        saturate(&mut self.events.rejected, rejected);
    }

    /// Adds `count` initialisations of providers with `labels`.
    ///
    /// The 1,000 lowest label sets are kept apart; the counts of others are added to the empty label set.
    pub fn add_provider_init(&mut self, labels: BTreeMap<String, String>, count: u64) {
        if count == 0 {
            return;
        }
        saturate(self.provider_init.entry(labels).or_default(), count);
        let folded = self.fold_provider_init();
        if folded > 0 {
            saturate(self.provider_init.entry(BTreeMap::new()).or_default(), folded);
        }
    }

    /// The recorded latencies.
    #[must_use]
    pub const fn latency(&self) -> &LatencyHistogram {
        &self.latency
    }

    /// Counts by reason number, those above 0, known reasons first.
    pub fn resolves(&self) -> impl Iterator<Item = (i32, u64)> {
        let known = (0_i32..).zip(self.resolves.bounded()).filter(|(_, count)| *count > 0);
        known.chain(self.unknown_resolves.iter().map(|(reason, count)| (reason.cast_signed(), *count)))
    }

    /// Adds all that `other` has to report.
    ///
    /// # Errors
    /// [`TelemetryMergeError::Overflow`]; `self` is unchanged.
    pub fn merge(&mut self, other: &Self) -> Result<(), TelemetryMergeError> {
        let overflow = |field| TelemetryMergeError::Overflow { field };
        let Self {
            latency,
            resolves,
            unknown_resolves,
            memory_bytes,
            state_update_ms,
            apply_dedup,
            map_size,
            map_capacity,
            flush,
            events,
            provider_init,
        } = other;
        let mut merged = self.clone();

        merged.latency.merge(latency).map_err(|_| overflow("resolve_latency"))?;
        let grown = !latency.is_empty() && !self.latency.is_empty();
        if grown && (merged.latency.count() > MAX_WIRE_TOTAL || merged.latency.sum_micros() > MAX_WIRE_TOTAL) {
            return Err(overflow("resolve_latency"));
        }
        for (reason, added) in unknown_resolves {
            checked(merged.unknown_resolves.entry(*reason).or_default(), *added, "resolve_rate")?;
        }
        let folded = fold_excess(&mut merged.unknown_resolves, MAX_UNKNOWN_REASONS);
        merged.resolves.merge(resolves, folded)?;
        merged.memory_bytes = merged.memory_bytes.max(*memory_bytes);
        merged.state_update_ms = merged.state_update_ms.max(*state_update_ms);
        let ApplyDedupCounts { applies, deduped, overflow: overflowed, sweeps } = *apply_dedup;
        checked(&mut merged.apply_dedup.applies, applies, "apply_dedup")?;
        checked(&mut merged.apply_dedup.deduped, deduped, "apply_dedup")?;
        checked(&mut merged.apply_dedup.overflow, overflowed, "apply_dedup")?;
        checked(&mut merged.apply_dedup.sweeps, sweeps, "apply_dedup")?;
        merged.map_size = merged.map_size.max(*map_size);
        merged.map_capacity = merged.map_capacity.max(*map_capacity);
        let FlushCounts { succeeded, failed } = *flush;
        checked(&mut merged.flush.succeeded, succeeded, "flush")?;
        checked(&mut merged.flush.failed, failed, "flush")?;
        let EventCounts { published, batches_succeeded, batches_failed, rejected } = *events;
        checked(&mut merged.events.published, published, "events")?;
        checked(&mut merged.events.batches_succeeded, batches_succeeded, "events")?;
        checked(&mut merged.events.batches_failed, batches_failed, "events")?;
        checked(&mut merged.events.rejected, rejected, "events")?;
        for (labels, added) in provider_init {
            match merged.provider_init.get_mut(labels) {
                Some(total) => checked(total, *added, "provider_init_rate")?,
                None => {
                    merged.provider_init.insert(labels.clone(), *added);
                }
            }
        }
        let folded = merged.fold_provider_init();
        if folded > 0 {
            checked(merged.provider_init.entry(BTreeMap::new()).or_default(), folded, "provider_init_rate")?;
        }
        *self = merged;
        Ok(())
    }

    /// Brings the label sets back within their bound and returns the counts of those taken out.
    fn fold_provider_init(&mut self) -> u64 {
        if self.provider_init.len() <= MAX_PROVIDER_INIT_LABEL_SETS {
            return 0;
        }
        // The empty set takes one of the places whether it was there or not, so that which sets are kept does not
        // depend on the order of merges. The caller adds to it.
        self.provider_init.entry(BTreeMap::new()).or_default();
        fold_excess(&mut self.provider_init, MAX_PROVIDER_INIT_LABEL_SETS)
    }
}

/// Takes the entries above the `most` lowest out and returns the sum of their counts.
///
/// Which entries stay does not depend on the order of merges: what is among the lowest of all is among the lowest of
/// every part, and is never taken out. That keeps merging associative.
fn fold_excess<K: Ord>(counts: &mut BTreeMap<K, u64>, most: usize) -> u64 {
    let mut folded: u64 = 0;
    while counts.len() > most {
        match counts.pop_last() {
            Some((_, count)) => folded = folded.saturating_add(count),
            None => break,
        }
    }
    folded
}
