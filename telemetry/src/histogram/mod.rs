//! Histograms: counts under inclusive upper bounds, not cumulative, and a sum.
//!
//! [`bounds`](self::Bounds) says where buckets end, [`LatencyHistogram`] is the fixed-size recorder of resolve
//! latencies, and [`LatencyHistogram::from_spans`] takes exponential buckets of any ratio from the wire. Cumulative
//! counts exist only in the text encoder.

mod bounds;
mod latency;
mod rebucket;

pub use bounds::{Bounds, BoundsError, DecimalBounds, ExplicitBounds};
pub(crate) use bounds::{FINEST, MANTISSAS};
pub use latency::{LATENCY_BOUNDS, LatencyHistogram};
#[cfg(feature = "confidence")]
pub(crate) use rebucket::is_latency_ratio;
pub use rebucket::{LATENCY_LN_RATIO, Rebucketed, SpansError};

use crate::{MergeError, Number};

/// Why parts are no histogram.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HistogramError {
    /// There must be one count more than bounds.
    #[error("{buckets} bucket counts for {bounds} bounds")]
    Length {
        /// How many bounds there are.
        bounds: usize,
        /// How many counts there are.
        buckets: usize,
    },
    /// The counts together pass 64 bits.
    #[error("bucket counts pass 64 bits together")]
    CountOverflow,
    /// The sum is NaN.
    #[error("the sum is not a number")]
    SumNotANumber,
    /// A sum other than zero with no observation.
    #[error("a sum without observations")]
    SumWithoutCount,
    /// A sum below zero where no bound is: what is observed under such bounds is not negative, and OpenMetrics takes no
    /// such sum. A layout for observations below zero begins with a bound below zero.
    #[error("a negative sum under bounds that are not negative")]
    NegativeSum,
}

/// A histogram of any bounds.
///
/// Shape: one count more than bounds; bucket `k` covers `(bound k-1, bound k]`, bucket 0 everything up to the first
/// bound, the last bucket everything above the last bound. The counts together fit 64 bits; with no observation the
/// sum is zero, and it is below zero only where the first bound is.
#[derive(Clone, Debug, PartialEq)]
pub struct Histogram {
    bounds: Bounds,
    bucket_counts: Vec<u64>,
    sum: Number,
}

impl Histogram {
    /// A histogram without observations.
    #[must_use]
    pub fn new(bounds: Bounds) -> Self {
        let bucket_counts = vec![0; bounds.len().saturating_add(1)];
        Self { bounds, bucket_counts, sum: Number::Unsigned(0) }
    }

    /// Builds a histogram from its parts.
    ///
    /// # Errors
    /// Every [`HistogramError`].
    pub fn from_parts(bounds: Bounds, bucket_counts: Vec<u64>, sum: Number) -> Result<Self, HistogramError> {
        if bucket_counts.len() != bounds.len().saturating_add(1) {
            return Err(HistogramError::Length { bounds: bounds.len(), buckets: bucket_counts.len() });
        }
        let count = checked_count(&bucket_counts).ok_or(HistogramError::CountOverflow)?;
        if sum.is_nan() {
            return Err(HistogramError::SumNotANumber);
        }
        if count == 0 && !sum.is_zero() {
            return Err(HistogramError::SumWithoutCount);
        }
        if !bounds.take_negatives() && matches!(sum, Number::Float(sum) if sum < 0.0) {
            return Err(HistogramError::NegativeSum);
        }
        Ok(Self { bounds, bucket_counts, sum })
    }

    /// Where buckets end.
    #[must_use]
    pub const fn bounds(&self) -> &Bounds {
        &self.bounds
    }

    /// The count of each bucket, not cumulative; one more than bounds.
    #[must_use]
    pub fn bucket_counts(&self) -> &[u64] {
        &self.bucket_counts
    }

    /// How many observations there are: the sum of [`Histogram::bucket_counts`], which cannot overflow.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.bucket_counts.iter().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// The sum of the observed values.
    #[must_use]
    pub const fn sum(&self) -> Number {
        self.sum
    }

    /// Returns the sum of both. Commutative and associative, float sums up to rounding.
    ///
    /// # Errors
    /// [`MergeError`]; a sum of zero merges with a sum of either kind.
    pub fn merged(&self, other: &Self) -> Result<Self, MergeError> {
        if self.bounds != other.bounds {
            return Err(MergeError::BoundsDiffer);
        }
        let sum = match (self.sum, other.sum) {
            (Number::Unsigned(left), Number::Unsigned(right)) => {
                left.checked_add(right).map(Number::Unsigned).ok_or(MergeError::SumOverflow)?
            }
            (Number::Float(left), Number::Float(right)) => Number::Float(left + right),
            (Number::Unsigned(0), float @ Number::Float(_)) | (float @ Number::Float(_), Number::Unsigned(0)) => float,
            _ => return Err(MergeError::SumDiffers),
        };
        if sum.is_nan() {
            return Err(MergeError::SumNotANumber);
        }
        // Each total fits, so both fit a checked sum; after that no single bucket can overflow.
        self.count().checked_add(other.count()).ok_or(MergeError::CountOverflow)?;
        let pairs = self.bucket_counts.iter().zip(&other.bucket_counts);
        let bucket_counts = pairs.map(|(left, right)| left.saturating_add(*right)).collect();
        Ok(Self { bounds: self.bounds.clone(), bucket_counts, sum })
    }

    /// The same observations under fewer bounds; `None` where one of these is not a bound of this histogram, or where they
    /// could not have the sum.
    #[must_use]
    pub fn coarsened(&self, bounds: &Bounds) -> Option<Self> {
        let mut coarse = Vec::with_capacity(bounds.len().saturating_add(1));
        let mut counts = self.bucket_counts.iter();
        let mut own = self.bounds.upper_bounds();
        for bound in bounds.upper_bounds() {
            let mut sum = 0_u64;
            loop {
                let upper = own.next()?;
                sum = sum.saturating_add(*counts.next()?);
                if upper == bound {
                    break;
                }
                if upper > bound {
                    return None;
                }
            }
            coarse.push(sum);
        }
        coarse.push(counts.fold(0, |sum, count| sum.saturating_add(*count)));
        Self::from_parts(bounds.clone(), coarse, self.sum).ok()
    }

    /// Adds `other` to this histogram.
    ///
    /// # Errors
    /// [`MergeError`]; `self` is unchanged.
    pub fn merge(&mut self, other: &Self) -> Result<(), MergeError> {
        *self = self.merged(other)?;
        Ok(())
    }
}

/// The sum of all counts; `None` where it passes 64 bits.
fn checked_count(bucket_counts: &[u64]) -> Option<u64> {
    bucket_counts.iter().try_fold(0_u64, |sum, count| sum.checked_add(*count))
}
