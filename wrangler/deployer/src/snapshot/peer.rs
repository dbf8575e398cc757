//! One stored value of Spotify's Cloudflare resolver: what it counted until then.
//!
//! A value says of itself neither what it is nor of which version. So it has to look like one in all that every version
//! wrote, and its numbers have to agree with each other; fields that are not known are passed over and named.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use tributary_consumer::limits::MAX_IMPORT_TOTAL;
use tributary_telemetry::LATENCY_BOUNDS;

/// The keys that the resolver keeps totals under. `/metrics` of its newer versions shows the sum of all three; older
/// ones have the last alone.
pub const KEYS: [&str; 3] = ["snapshot:flaglogs", "snapshot:events", "snapshot"];

/// The most bytes of a value. One that is full takes some kilobytes; versions that did not bound the numbers of resolve
/// reasons could be made to write a zero for each number in between.
pub const MAX_VALUE_BYTES: usize = 4 << 20;

/// The most label sets of provider initialisations: what one family of the Ledger holds, less some room to grow.
pub const MAX_LABEL_SETS: usize = 900;

/// Why a value is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// Longer than any value that the resolver writes.
    #[error("{0} bytes, at most {MAX_VALUE_BYTES} are read")]
    TooLong(usize),
    /// No JSON, or not that of a snapshot: a number below 0 or above 64 bits is none.
    #[error("no snapshot of the resolver: {0}")]
    Json(String),
    /// Latency buckets of another layout.
    #[error("{0} latency buckets; the resolver has at most {LATENCY_BOUNDS}")]
    Buckets(usize),
    /// The latency buckets do not hold what was counted.
    #[error("latency: the count {count} is not the sum {buckets} of the buckets")]
    Count {
        /// The count.
        count: u64,
        /// The sum of the buckets.
        buckets: u64,
    },
    /// The sum of the latencies is above what so many can come to: each is below 2^32 µs.
    #[error("latency: a sum of {sum} µs of {count} observations")]
    Sum {
        /// The sum.
        sum: u64,
        /// How many there are.
        count: u64,
    },
    /// A total that nothing can have counted, as one is that wrapped below 0.
    #[error("{0} is above 2^60, which nothing can have counted")]
    Total(&'static str),
    /// More label sets than the Ledger has room for.
    #[error("{0} label sets of provider initialisations, at most {MAX_LABEL_SETS} are taken")]
    LabelSets(usize),
}

/// Counts of the deduplication of applies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ApplyDedup {
    /// Applies seen.
    pub applies: u64,
    /// Applies dropped as repeats.
    pub deduped: u64,
    /// Applies that a full map could not remember.
    pub overflow: u64,
    /// Sweeps of the map.
    pub sweeps: u64,
}

/// Counts of events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Events {
    /// Events published.
    pub published: u64,
    /// Batches delivered.
    pub batches_succeeded: u64,
    /// Batches not delivered.
    pub batches_failed: u64,
    /// Events that the events service refused.
    pub rejected: u64,
}

/// What the resolver counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerTotals {
    /// Latencies: the count of each of the 174 buckets, not cumulative. Bucket `k` is that of the bound r^(k+1), as ours
    /// is, but the resolver put a latency that equals a bound into the bucket above it.
    pub latency_buckets: [u64; LATENCY_BOUNDS],
    /// Sum of the latencies, in microseconds.
    pub latency_sum_micros: u64,
    /// Flags resolved, by the number of the reason.
    pub resolves: BTreeMap<u32, u64>,
    /// `None` where deduplication was off, or not there yet.
    pub apply_dedup: Option<ApplyDedup>,
    /// Deliveries that succeeded, and that failed.
    pub flush: (u64, u64),
    /// Events.
    pub events: Events,
    /// Provider initialisations by their labels.
    pub provider_init: BTreeMap<BTreeMap<String, String>, u64>,
    /// What is there and is not imported: fields that are not known, and readings, which are no totals.
    pub left_out: BTreeSet<String>,
}

impl Default for PeerTotals {
    fn default() -> Self {
        Self {
            latency_buckets: [0; LATENCY_BOUNDS],
            latency_sum_micros: 0,
            resolves: BTreeMap::new(),
            apply_dedup: None,
            flush: (0, 0),
            events: Events::default(),
            provider_init: BTreeMap::new(),
            left_out: BTreeSet::new(),
        }
    }
}

impl PeerTotals {
    /// Reads a stored value.
    ///
    /// # Errors
    /// Every [`ReadError`].
    pub fn read(value: &[u8]) -> Result<Self, ReadError> {
        if value.len() > MAX_VALUE_BYTES {
            return Err(ReadError::TooLong(value.len()));
        }
        let stored: Stored = serde_json::from_slice(value)
            // Without what the parser quotes: it may be another file that was named.
            .map_err(|error| ReadError::Json(tributary_consumer::message::without_content(&error.to_string())))?;
        stored.check()
    }

    /// How many latencies there are.
    #[must_use]
    pub fn latency_count(&self) -> u64 {
        // Each bucket was held against the count, which is 64 bits.
        self.latency_buckets.iter().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// Says whether nothing was counted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self { left_out: self.left_out.clone(), ..Self::default() }
    }

    /// Adds what another key holds: the resolver's own `/metrics` shows the sum.
    ///
    /// # Errors
    /// [`ReadError::Total`] and [`ReadError::LabelSets`].
    pub fn merge(mut self, other: &Self) -> Result<Self, ReadError> {
        let Self { latency_buckets, latency_sum_micros, resolves, apply_dedup, flush, events, provider_init, left_out } =
            other;
        for (total, added) in self.latency_buckets.iter_mut().zip(latency_buckets) {
            *total = sum(*total, *added, "latency.buckets")?;
        }
        within(self.latency_count(), "latency.count")?;
        self.latency_sum_micros = sum(self.latency_sum_micros, *latency_sum_micros, "latency.sum")?;
        for (reason, added) in resolves {
            let total = self.resolves.entry(*reason).or_default();
            *total = sum(*total, *added, "resolve_rates")?;
        }
        if let Some(added) = apply_dedup {
            let total = self.apply_dedup.unwrap_or_default();
            self.apply_dedup = Some(ApplyDedup {
                applies: sum(total.applies, added.applies, "apply_dedup.applies_total")?,
                deduped: sum(total.deduped, added.deduped, "apply_dedup.applies_deduped")?,
                overflow: sum(total.overflow, added.overflow, "apply_dedup.apply_dedup_overflow")?,
                sweeps: sum(total.sweeps, added.sweeps, "apply_dedup.sweeps")?,
            });
        }
        self.flush = (sum(self.flush.0, flush.0, "flush.succeeded")?, sum(self.flush.1, flush.1, "flush.failed")?);
        self.events = Events {
            published: sum(self.events.published, events.published, "events.published")?,
            batches_succeeded: sum(
                self.events.batches_succeeded,
                events.batches_succeeded,
                "events.batches_succeeded",
            )?,
            batches_failed: sum(self.events.batches_failed, events.batches_failed, "events.batches_failed")?,
            rejected: sum(self.events.rejected, events.rejected, "events.events_rejected")?,
        };
        for (labels, added) in provider_init {
            let total = self.provider_init.entry(labels.clone()).or_default();
            *total = sum(*total, *added, "provider_init_rate")?;
        }
        if self.provider_init.len() > MAX_LABEL_SETS {
            return Err(ReadError::LabelSets(self.provider_init.len()));
        }
        self.left_out.extend(left_out.iter().cloned());
        Ok(self)
    }
}

fn sum(total: u64, added: u64, field: &'static str) -> Result<u64, ReadError> {
    within(total.saturating_add(added), field)
}

fn within(total: u64, field: &'static str) -> Result<u64, ReadError> {
    if total > MAX_IMPORT_TOTAL { Err(ReadError::Total(field)) } else { Ok(total) }
}

/// Fields that are not known, by name; their values are not looked at.
type Unknown = BTreeMap<String, serde::de::IgnoredAny>;

/// The JSON. What has no default was written by every version.
#[derive(Debug, Deserialize)]
#[serde(expecting = "an object with latency, resolve_rates and memory_bytes")]
struct Stored {
    latency: StoredLatency,
    resolve_rates: Vec<u64>,
    memory_bytes: u64,
    #[serde(default)]
    apply_dedup: Option<StoredApplyDedup>,
    #[serde(default)]
    flush: StoredFlush,
    #[serde(default)]
    events: StoredEvents,
    #[serde(default)]
    provider_init_rate: Vec<StoredProviderInit>,
    #[serde(flatten)]
    unknown: Unknown,
}

#[derive(Debug, Deserialize)]
struct StoredLatency {
    sum: u64,
    count: u64,
    buckets: Vec<u64>,
    #[serde(flatten)]
    unknown: Unknown,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct StoredApplyDedup {
    applies_total: u64,
    applies_deduped: u64,
    /// Under three names, by version; the same thing.
    #[serde(alias = "overflow", alias = "unique_applies")]
    apply_dedup_overflow: u64,
    sweeps: u64,
    map_size: u64,
    map_capacity: u64,
    #[serde(flatten)]
    unknown: Unknown,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct StoredFlush {
    succeeded: u64,
    failed: u64,
    #[serde(flatten)]
    unknown: Unknown,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct StoredEvents {
    published: u64,
    batches_succeeded: u64,
    batches_failed: u64,
    events_rejected: u64,
    #[serde(flatten)]
    unknown: Unknown,
}

#[derive(Debug, Deserialize)]
struct StoredProviderInit {
    labels: BTreeMap<String, String>,
    count: u64,
    #[serde(flatten)]
    unknown: Unknown,
}

impl Stored {
    fn check(self) -> Result<PeerTotals, ReadError> {
        let Self { latency, resolve_rates, memory_bytes, apply_dedup, flush, events, provider_init_rate, unknown } =
            self;
        let mut left_out = BTreeSet::new();
        let mut pass_over = |of: &str, unknown: &Unknown| {
            left_out.extend(unknown.keys().map(|name| format!("{of}{name}")));
        };
        pass_over("", &unknown);
        pass_over("latency.", &latency.unknown);
        pass_over("flush.", &flush.unknown);
        pass_over("events.", &events.unknown);
        for init in &provider_init_rate {
            pass_over("provider_init_rate.", &init.unknown);
        }
        if let Some(dedup) = &apply_dedup {
            pass_over("apply_dedup.", &dedup.unknown);
            if dedup.map_size > 0 || dedup.map_capacity > 0 {
                left_out.insert("apply_dedup.map_size, map_capacity (readings)".to_owned());
            }
        }
        if memory_bytes > 0 {
            left_out.insert("memory_bytes (a reading)".to_owned());
        }
        let mut totals = PeerTotals { left_out, ..PeerTotals::default() };
        totals.latency_buckets = buckets_of(&latency)?;
        totals.latency_sum_micros = within(latency.sum, "latency.sum")?;
        for (reason, count) in (0_u32..).zip(resolve_rates).filter(|(_, count)| *count > 0) {
            totals.resolves.insert(reason, within(count, "resolve_rates")?);
        }
        totals.apply_dedup = match apply_dedup {
            Some(dedup) => Some(ApplyDedup {
                applies: within(dedup.applies_total, "apply_dedup.applies_total")?,
                deduped: within(dedup.applies_deduped, "apply_dedup.applies_deduped")?,
                overflow: within(dedup.apply_dedup_overflow, "apply_dedup.apply_dedup_overflow")?,
                sweeps: within(dedup.sweeps, "apply_dedup.sweeps")?,
            }),
            None => None,
        };
        totals.flush = (within(flush.succeeded, "flush.succeeded")?, within(flush.failed, "flush.failed")?);
        totals.events = Events {
            published: within(events.published, "events.published")?,
            batches_succeeded: within(events.batches_succeeded, "events.batches_succeeded")?,
            batches_failed: within(events.batches_failed, "events.batches_failed")?,
            rejected: within(events.events_rejected, "events.events_rejected")?,
        };
        // Through the merge, which bounds them, and adds what is there twice.
        let inits = provider_init_rate.into_iter().filter(|init| init.count > 0);
        inits.map(|init| BTreeMap::from([(init.labels, init.count)])).try_fold(totals, |totals, provider_init| {
            totals.merge(&PeerTotals { provider_init, ..PeerTotals::default() })
        })
    }
}

/// The buckets, where they hold what was counted.
fn buckets_of(latency: &StoredLatency) -> Result<[u64; LATENCY_BOUNDS], ReadError> {
    let StoredLatency { sum, count, ref buckets, .. } = *latency;
    let mut layout = [0; LATENCY_BOUNDS];
    // The resolver writes as many as it has filled; all of them belong to the one layout that it ever had here.
    layout.get_mut(..buckets.len()).ok_or(ReadError::Buckets(buckets.len()))?.copy_from_slice(buckets);
    let filled = buckets.iter().try_fold(0u64, |sum, bucket| sum.checked_add(*bucket));
    if filled != Some(count) {
        return Err(ReadError::Count { count, buckets: filled.unwrap_or(u64::MAX) });
    }
    within(count, "latency.count")?;
    if u128::from(sum) > u128::from(count).saturating_mul(u32::MAX.into()) {
        return Err(ReadError::Sum { sum, count });
    }
    Ok(layout)
}

#[cfg(test)]
#[path = "peer_tests.rs"]
pub(crate) mod tests;
