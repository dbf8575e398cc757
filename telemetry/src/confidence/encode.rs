//! From an accumulator to reports that fit the 32 bits of the wire.

use tributary_proto::flag_logs::{
    TelemetryData,
    telemetry_data::{
        ApplyDedupTelemetry, BucketSpan, EventsTelemetry, FlushTelemetry, ProviderInitRate, ResolveLatency,
        ResolveRate, StateAge,
    },
};

use super::telemetry::{ApplyDedupCounts, EventCounts, FlushCounts, TelemetryDelta};
use crate::{LATENCY_LN_RATIO, LatencyHistogram};

/// The most that one field of one report holds.
const FIELD_MAX: u64 = 0xFFFF_FFFF;

/// How many reports a total needs.
fn parts(total: u64) -> u64 {
    total.div_ceil(FIELD_MAX)
}

/// What of `total` goes into report `index`: as much as fits, report by report.
fn share(total: u64, index: u64) -> u32 {
    let rest = total.saturating_sub(index.saturating_mul(FIELD_MAX));
    u32::try_from(rest).unwrap_or(u32::MAX)
}

/// What of `total` goes into report `index` of `of`: equal shares, the first ones greater by one where it does not
/// divide.
fn equal_share(total: u64, index: u64, of: u64) -> u64 {
    let (each, rest) = (total.checked_div(of).unwrap_or(0), total.checked_rem(of).unwrap_or(0));
    each.saturating_add(u64::from(index < rest))
}

impl TelemetryDelta {
    /// Writes reports that together say what this accumulator says; none where it is empty.
    ///
    /// One report, unless a total passes 32 bits. Each report is consistent in itself: the count of its latency
    /// histogram is the sum of its buckets. Readings stand in the first. `sdk` and `resolver_version` are left empty for
    /// the caller. At most [`MAX_WIRE_PARTS`](crate::limits::MAX_WIRE_PARTS) reports, unless recorded latencies alone
    /// add up to more, which takes 50 days of resolve time.
    #[must_use]
    pub fn to_wire(&self) -> Vec<TelemetryData> {
        if self.is_empty() {
            return Vec::new();
        }
        let mut latency = LatencyParts::new(&self.latency);
        let reports = self.greatest_total_parts().max(latency.parts).max(1);
        let mut written = Vec::new();
        for index in 0..reports {
            let mut report = self.counts_of(index);
            report.resolve_latency = latency.next();
            written.push(report);
        }
        if let Some(first) = written.first_mut() {
            self.write_readings(first);
        }
        written
    }

    /// How many reports the greatest total needs, latencies aside.
    fn greatest_total_parts(&self) -> u64 {
        let ApplyDedupCounts { applies, deduped, overflow, sweeps } = self.apply_dedup;
        let FlushCounts { succeeded, failed } = self.flush;
        let EventCounts { published, batches_succeeded, batches_failed, rejected } = self.events;
        let scalars = [applies, deduped, overflow, sweeps, succeeded, failed].into_iter().chain([
            published,
            batches_succeeded,
            batches_failed,
            rejected,
        ]);
        let totals = scalars
            .chain(self.resolves.bounded())
            .chain(self.unknown_resolves.values().copied())
            .chain(self.provider_init.values().copied());
        parts(totals.max().unwrap_or(0))
    }

    /// The counts of report `index`, latencies aside.
    fn counts_of(&self, index: u64) -> TelemetryData {
        let resolve_rate = self
            .resolves()
            .map(|(reason, total)| ResolveRate { count: share(total, index), reason })
            .filter(|rate| rate.count > 0)
            .collect();
        let provider_init_rate = self
            .provider_init
            .iter()
            .filter(|(_, total)| share(**total, index) > 0)
            .map(|(labels, total)| ProviderInitRate { count: share(*total, index), labels: labels.clone() })
            .collect();
        let ApplyDedupCounts { applies, deduped, overflow, sweeps } = self.apply_dedup;
        let apply_dedup = ApplyDedupTelemetry {
            applies_total: share(applies, index),
            applies_deduped: share(deduped, index),
            apply_dedup_overflow: share(overflow, index),
            sweeps: share(sweeps, index),
            map_size: 0,
            map_capacity: 0,
        };
        let FlushCounts { succeeded, failed } = self.flush;
        let flush = FlushTelemetry { succeeded: share(succeeded, index), failed: share(failed, index) };
        let EventCounts { published, batches_succeeded, batches_failed, rejected } = self.events;
        let events = EventsTelemetry {
            published: share(published, index),
            batches_succeeded: share(batches_succeeded, index),
            batches_failed: share(batches_failed, index),
            events_rejected: share(rejected, index),
        };
        TelemetryData {
            sdk: None,
            resolve_latency: None,
            resolve_rate,
            state_age: None,
            memory_bytes: 0,
            resolver_version: String::new(),
            provider_init_rate,
            apply_dedup: some_unless_default(apply_dedup),
            flush: some_unless_default(flush),
            events: some_unless_default(events),
        }
    }

    fn write_readings(&self, report: &mut TelemetryData) {
        report.memory_bytes = self.memory_bytes.map_or(0, |reading| reading.value);
        report.state_age = self.state_update_ms.map(|reading| StateAge { last_state_update: reading.value });
        if let (Some(size), Some(capacity)) = (self.map_size, self.map_capacity) {
            let dedup = report.apply_dedup.get_or_insert_default();
            dedup.map_size = size.value;
            dedup.map_capacity = capacity.value;
        }
    }
}

fn some_unless_default<T: Default + PartialEq>(message: T) -> Option<T> {
    if message == T::default() { None } else { Some(message) }
}

/// Hands a latency histogram out in parts of which each fits a report.
///
/// Count and sum are divided into equal shares; the observations are taken bucket by bucket from the lowest up. No part
/// has a sum without a count: the sum is at most `u32::MAX` per observation, so there are never more parts than
/// observations.
struct LatencyParts<'a> {
    parts: u64,
    index: u64,
    count: u64,
    sum_micros: u64,
    /// What is left of the bucket at the front, then the buckets after it.
    left: u64,
    bucket: usize,
    histogram: &'a LatencyHistogram,
}

impl<'a> LatencyParts<'a> {
    fn new(histogram: &'a LatencyHistogram) -> Self {
        let (count, sum_micros) = (histogram.count(), histogram.sum_micros());
        let parts = parts(count).max(parts(sum_micros));
        let left = histogram.bucket_counts().first().copied().unwrap_or(0);
        Self { parts, index: 0, count, sum_micros, left, bucket: 0, histogram }
    }

    /// The next part; `None` after the last.
    fn next(&mut self) -> Option<ResolveLatency> {
        if self.index >= self.parts {
            return None;
        }
        let count = equal_share(self.count, self.index, self.parts);
        let sum = equal_share(self.sum_micros, self.index, self.parts);
        self.index = self.index.saturating_add(1);
        let mut spans = Spans::default();
        let mut wanted = count;
        while wanted > 0 {
            let taken = wanted.min(self.left);
            spans.push(self.bucket, taken);
            wanted = wanted.saturating_sub(taken);
            self.left = self.left.saturating_sub(taken);
            if self.left == 0 {
                self.bucket = self.bucket.saturating_add(1);
                match self.histogram.bucket_counts().get(self.bucket) {
                    Some(count) => self.left = *count,
                    None => break,
                }
            }
        }
        Some(ResolveLatency {
            // Both are within 32 bits: `parts` is chosen so.
            sum: u32::try_from(sum).unwrap_or(u32::MAX),
            count: u32::try_from(count).unwrap_or(u32::MAX),
            buckets: spans.0,
            ln_ratio: LATENCY_LN_RATIO,
        })
    }
}

/// Builds runs of buckets that are not empty.
#[derive(Default)]
struct Spans(Vec<BucketSpan>);

impl Spans {
    /// Adds the count of a bucket that is after all added before.
    fn push(&mut self, bucket: usize, count: u64) {
        let (Ok(bucket), Ok(count)) = (i32::try_from(bucket), u32::try_from(count)) else { return };
        if count == 0 {
            return;
        }
        if let Some(last) = self.0.last_mut()
            && i64::from(last.offset) + i64::try_from(last.counts.len()).unwrap_or(i64::MAX) == i64::from(bucket)
        {
            last.counts.push(count);
            return;
        }
        self.0.push(BucketSpan { offset: bucket, counts: vec![count] });
    }
}
