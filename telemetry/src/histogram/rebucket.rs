//! Exponential buckets from the wire, of our ratio or another, into the latency layout.

use super::{
    LatencyHistogram,
    bounds::{Digits, FINEST},
    latency::LATENCY_BOUNDS,
};

/// Natural logarithm of the ratio between two bounds of the latency layout: ln(10)/18.
pub const LATENCY_LN_RATIO: f64 = std::f64::consts::LN_10 / 18.0;

/// How far a ratio may be off and still be ours, relative. Over all 174 bounds it moves a bound by less than 3 · 10^-8,
/// below the seven digits that bounds have.
const RATIO_TOLERANCE: f64 = 1e-9;

/// How far a foreign bound may be above one of ours and still be the same, relative: bounds have seven digits, so ours
/// are up to 5 · 10^-7 away from the power that they stand for.
const BOUND_TOLERANCE: f64 = 1e-6;

/// The bounds of the latency layout.
const UPPER_BOUNDS: [f64; LATENCY_BOUNDS] = upper_bounds();

#[expect(clippy::indexing_slicing, clippy::cast_possible_truncation, reason = "evaluated at compile time")]
const fn upper_bounds() -> [f64; LATENCY_BOUNDS] {
    let mut bounds = [0.0; LATENCY_BOUNDS];
    let mut index = 0;
    while index < LATENCY_BOUNDS {
        bounds[index] = Digits::of(FINEST, index as u32).to_f64();
        index += 1;
    }
    bounds
}

/// How much was moved into buckets of another ratio.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use = "re-bucketed observations are counted, not passed over"]
pub struct Rebucketed {
    /// Observations that came in buckets of another ratio. 0: the ratio was ours.
    pub observations: u64,
}

/// Why buckets from the wire are refused.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SpansError {
    /// There are observations, but the ratio is zero, negative, infinite or NaN.
    #[error("ln_ratio {ln_ratio} is not a finite number above 0")]
    LnRatio {
        /// The refused ratio.
        ln_ratio: f64,
    },
    /// The declared count is not the sum of the bucket counts.
    #[error("count {count} is not the sum {buckets} of the buckets")]
    Count {
        /// The declared count.
        count: u64,
        /// The sum of the bucket counts.
        buckets: u64,
    },
    /// The bucket counts together pass 64 bits.
    #[error("bucket counts pass 64 bits together")]
    CountOverflow,
    /// A sum other than zero with no observation.
    #[error("sum {sum} without observations")]
    SumWithoutCount {
        /// The declared sum.
        sum: u64,
    },
}

impl LatencyHistogram {
    /// Reads runs of exponential buckets: the counts of `(offset, counts)` are those of the buckets `offset`,
    /// `offset + 1` …, and bucket `k` covers `(e^(k·ln_ratio), e^((k+1)·ln_ratio)]` microseconds.
    ///
    /// With our ratio (within 10^-9, relative) bucket `k` is our bucket `k`; below 0 it is bucket 0, from 174 on the
    /// one above all bounds. With another ratio a bucket's count goes to our bucket that holds its upper bound, so that
    /// no observation appears faster than it may have been; counts stay exact, and the second result says how many were
    /// moved. Spans may overlap: their counts add. No allocation, whatever the offsets.
    ///
    /// # Errors
    /// Every [`SpansError`]. The ratio of a histogram without observations does not matter.
    pub fn from_spans<'a>(
        ln_ratio: f64,
        count: u64,
        sum_micros: u64,
        spans: impl IntoIterator<Item = (i32, &'a [u32])>,
    ) -> Result<(Self, Rebucketed), SpansError> {
        let ours = is_latency_ratio(ln_ratio);
        let mut histogram = Self::new();
        let mut buckets: u64 = 0;
        for (offset, counts) in spans {
            for (index, added) in counts.iter().enumerate().filter(|(_, added)| **added > 0) {
                if !(ln_ratio.is_finite() && ln_ratio > 0.0) {
                    return Err(SpansError::LnRatio { ln_ratio });
                }
                let bucket = if ours { direct(offset, index) } else { moved(offset, index, ln_ratio) };
                buckets = buckets.checked_add(u64::from(*added)).ok_or(SpansError::CountOverflow)?;
                if let Some(count) = histogram.bucket_counts.get_mut(bucket) {
                    // No overflow: no bucket is above `buckets`.
                    *count = count.saturating_add(u64::from(*added));
                }
            }
        }
        if buckets != count {
            return Err(SpansError::Count { count, buckets });
        }
        if count == 0 && sum_micros != 0 {
            return Err(SpansError::SumWithoutCount { sum: sum_micros });
        }
        histogram.sum_micros = sum_micros;
        histogram.count = count;
        Ok((histogram, Rebucketed { observations: if ours { 0 } else { buckets } }))
    }
}

/// Says whether buckets of this ratio are ours.
pub(crate) fn is_latency_ratio(ln_ratio: f64) -> bool {
    (ln_ratio - LATENCY_LN_RATIO).abs() <= RATIO_TOLERANCE * LATENCY_LN_RATIO
}

/// Our bucket for bucket `offset + index` of our own ratio.
fn direct(offset: i32, index: usize) -> usize {
    let exponent = i64::try_from(index).unwrap_or(i64::MAX).saturating_add(i64::from(offset));
    usize::try_from(exponent.max(0)).map_or(LATENCY_BOUNDS, |bucket| bucket.min(LATENCY_BOUNDS))
}

/// Our bucket that holds the upper bound of bucket `offset + index` of another ratio.
fn moved(offset: i32, index: usize, ln_ratio: f64) -> usize {
    // Exact: both fit 32 bits. A span of more than 2^32 counts is out of reach of any message.
    let exponent = f64::from(offset) + f64::from(u32::try_from(index).unwrap_or(u32::MAX)) + 1.0;
    // Overflow to infinity is right: such a bound is above all of ours.
    let upper = (exponent * ln_ratio).exp();
    UPPER_BOUNDS.partition_point(|bound| bound * (1.0 + BOUND_TOLERANCE) < upper)
}
