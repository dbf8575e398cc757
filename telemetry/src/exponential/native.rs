//! Exponential histograms as Prometheus has native histograms of the standard schemas.
//!
//! A schema is a scale, and a native histogram is an exponential one with three differences, which are of the exposition
//! (Prometheus, *Native Histograms* specification › Exponential buckets, Zero bucket):
//!
//! - Schemas are −4 to 8. A finer scale comes down to 8; at a coarser one than −4 there is no native histogram.
//! - Buckets have the number of the bound at their end: bucket `i` is `(base^(i - 1), base^i]`, which has the index `i - 1`
//!   here.
//! - **The zero bucket ends at a whole power of two**, and swallows what ends within it. Prometheus takes a threshold that
//!   moved into the middle of a populated bucket for a reset of the counter, and its own bounds are a float off, one way or
//!   the other, for half of those of schema 8. Powers of two are exact in all schemas.
//!
//! From one scrape to the next the schema only gets coarser, the threshold only wider, and every count at the coarser of
//! both goes up or stays: never a reset.

use super::{ExponentialBuckets, ExponentialHistogram, bounds::bound, buckets::swallow, steps};

/// The finest standard schema.
const FINEST: i32 = 8;

/// The coarsest standard schema.
const COARSEST: i32 = -4;

/// A native histogram, but for what it has in common with the one it is made from: count and sum.
#[derive(Debug, PartialEq)]
pub(crate) struct NativeHistogram {
    /// −4 to 8.
    pub(crate) schema: i32,
    /// The absolute value up to which `zero_count` counts: 0 or a power of two.
    pub(crate) zero_threshold: f64,
    /// Observations in the zero bucket.
    pub(crate) zero_count: u64,
    /// Observations below the zero bucket. With the indices of the model, one less than the native ones.
    pub(crate) negative: ExponentialBuckets,
    /// Observations above it, likewise.
    pub(crate) positive: ExponentialBuckets,
}

impl ExponentialHistogram {
    /// The same observations as a native histogram; `None` where none can hold them: buckets are wider than those of schema
    /// −4, or counts pass 63 bits, by which two buckets may differ at most.
    pub(crate) fn native(&self) -> Option<NativeHistogram> {
        let schema = self.scale.min(FINEST);
        if schema < COARSEST || i64::try_from(self.count()).is_err() {
            return None;
        }
        let [mut negative, mut positive] = self.folded(schema);
        // A bound of the schema that is a power of two, too.
        let whole = schema.min(0);
        let power = self.boundary_at(whole);
        let boundary = power.map(|power| power << steps(schema, whole));
        let swallowed = swallow(&mut negative, boundary).saturating_add(swallow(&mut positive, boundary));
        Some(NativeHistogram {
            schema,
            zero_threshold: power.map_or(0.0, |power| bound(whole, power)),
            zero_count: self.zero_count.saturating_add(swallowed),
            negative,
            positive,
        })
    }
}
