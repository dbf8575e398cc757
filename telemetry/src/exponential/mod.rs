//! Exponential histograms: buckets at powers of `base = 2^(2^-scale)`, as OpenTelemetry defines them (Metrics Data Model ›
//! ExponentialHistogram).
//!
//! What they merge into depends on what was observed alone, not on order and grouping. The rules that make it so:
//!
//! - **Scale.** Of two the coarser. Each step down puts two buckets together, `(base^2i, base^(2i + 2)]`, so it commutes
//!   with everything else. Where the buckets of a sign would be more than
//!   [`limits::MAX_EXPONENTIAL_BUCKETS`](crate::limits::MAX_EXPONENTIAL_BUCKETS), it goes down until they are not. What
//!   counts there is the range from the lowest to the highest bucket that ever held anything: a range that shrank when the
//!   zero bucket swallowed its lower end would make the scale depend on what came first.
//! - **Zero bucket.** Of two the wider one, and it ends at a bound of the scale: a threshold within a bucket moves up to
//!   the bucket's end. OpenTelemetry asks for that where the bucket is populated; always, it is the same whether a bucket
//!   is populated before or after. Buckets that end within it are swallowed. A threshold under which nothing was
//!   counted says nothing, and is dropped.
//! - **No observations**, no scale and no threshold: merging with nothing changes nothing.
//!
//! So counts never get lost, they only become less precise. Smallest and greatest value are not kept: over deltas they
//! are not those of the total.

mod bounds;
mod buckets;
mod form;
mod grid;
mod native;
mod since;

pub use self::buckets::ExponentialBuckets;
use self::{
    bounds::{MAX_SCALE, MIN_SCALE, bound, index, index_range},
    buckets::{Range, boundary_at_scale, boundary_down, check_index, fitting_scale, fold, steps, swallow},
};
pub(crate) use self::{
    grid::{Grid, MAX_BOUNDS as MAX_GRID_BOUNDS},
    native::NativeHistogram,
};
use crate::MergeError;

/// Why parts are no exponential histogram.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ExponentialError {
    /// The counts together pass 64 bits.
    #[error("counts pass 64 bits together")]
    CountOverflow,
    /// A bucket has a count that can hold no float: it begins above the greatest or ends below the least.
    #[error("a count in bucket {index} of scale {scale}, in which no float is")]
    Index {
        /// The scale.
        scale: i32,
        /// The index of the bucket.
        index: i64,
    },
    /// The zero threshold is negative, infinite or NaN.
    #[error("the zero threshold is not a finite number from 0 on")]
    ZeroThreshold,
    /// The sum is NaN.
    #[error("the sum is not a number")]
    SumNotANumber,
    /// A sum other than zero with no observation.
    #[error("a sum without observations")]
    SumWithoutCount,
    /// A sum below zero without an observation that could be negative.
    #[error("a negative sum of what is not negative")]
    NegativeSum,
    /// Not in the one form in which it is written.
    #[error("an exponential histogram that is not in canonical form: {what}")]
    Form {
        /// What is not.
        what: &'static str,
    },
}

/// What an exponential histogram is made from, as the fields of an OTLP data point say it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ExponentialParts {
    /// `base = 2^(2^-scale)`. Any; a finer one than 20 is brought down to that.
    pub scale: i32,
    /// The absolute value up to which `zero_count` counts.
    pub zero_threshold: f64,
    /// Observations in the zero bucket.
    pub zero_count: u64,
    /// Observations above it.
    pub positive: ExponentialBuckets,
    /// Observations below its negative.
    pub negative: ExponentialBuckets,
    /// The sum of all observations; `None` where it is not known.
    pub sum: Option<f64>,
}

/// An exponential histogram.
///
/// Shape: see [`ExponentialBuckets`]; of each sign at most
/// [`limits::MAX_EXPONENTIAL_BUCKETS`](crate::limits::MAX_EXPONENTIAL_BUCKETS), the scale from -11 to 20. All counts fit 64
/// bits together. Buckets that the zero bucket covers are empty. Equal observations are equal histograms, however they were
/// merged (but for the rounding of sums).
#[derive(Clone, Debug, PartialEq)]
pub struct ExponentialHistogram {
    scale: i32,
    zero_count: u64,
    /// The zero bucket ends at `base^zero_boundary`; `None`: at 0.
    zero_boundary: Option<i32>,
    /// Boxed, so that values of other kinds are not twice as long for it.
    signs: Box<Signs>,
    sum: Option<f64>,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Signs {
    positive: ExponentialBuckets,
    negative: ExponentialBuckets,
}

impl Default for ExponentialHistogram {
    /// Without observations.
    fn default() -> Self {
        Self { scale: MAX_SCALE, zero_count: 0, zero_boundary: None, signs: Box::default(), sum: Some(0.0) }
    }
}

impl ExponentialHistogram {
    /// Builds a histogram from parts that came from outside.
    ///
    /// Empty buckets at the ends are left out; where there are still too many, the scale goes down. A threshold without
    /// counts is dropped, and so is the scale of a histogram without buckets.
    ///
    /// # Errors
    /// Every [`ExponentialError`] but that of the form.
    pub fn new(parts: ExponentialParts) -> Result<Self, ExponentialError> {
        let ExponentialParts { scale, zero_threshold, zero_count, positive, negative, sum } = parts;
        if !zero_threshold.is_finite() || zero_threshold < 0.0 {
            return Err(ExponentialError::ZeroThreshold);
        }
        if sum.is_some_and(f64::is_nan) {
            return Err(ExponentialError::SumNotANumber);
        }
        let counts = positive.count().zip(negative.count());
        let count = counts.and_then(|(positive, negative)| positive.checked_add(negative)?.checked_add(zero_count));
        let count = count.ok_or(ExponentialError::CountOverflow)?;
        if count == 0 {
            let is_nothing = sum.is_none_or(|sum| sum == 0.0);
            return if is_nothing { Ok(Self::default()) } else { Err(ExponentialError::SumWithoutCount) };
        }
        // Below the coarsest scale the same floats are in the same buckets.
        let finest = scale.clamp(MIN_SCALE, MAX_SCALE);
        let has_threshold = zero_count > 0 && zero_threshold > 0.0;
        let boundary_at = |scale| has_threshold.then(|| index(scale, zero_threshold).saturating_add(1));
        let boundary = boundary_at(finest);
        let mut covers_some = false;
        // What its own zero bucket covers is not of its range.
        let mut range_of = |buckets: &ExponentialBuckets| {
            let mut range: Option<Range> = None;
            for (index, _) in buckets.indexed().filter(|(_, count)| *count > 0) {
                let index = index >> steps(scale, finest).min(63);
                check_index(finest, index)?;
                if boundary.is_some_and(|boundary| index < boundary) {
                    covers_some = true;
                } else {
                    range = Range::union(range, Some(Range { low: index, high: index }));
                }
            }
            Ok(range)
        };
        let ranges = [range_of(&positive)?, range_of(&negative)?];
        let scale_now = if ranges == [None, None] { MAX_SCALE } else { fitting_scale(finest, ranges) };
        let folded = |range: Option<Range>, buckets| {
            let range = range.map(|range| range.down(steps(finest, scale_now)));
            fold(scale_now, range, &[(scale.max(MIN_SCALE), buckets)])
        };
        let [of_positive, of_negative] = ranges;
        let mut built = Self {
            scale: scale_now,
            zero_count: 0,
            zero_boundary: None,
            signs: Box::new(Signs {
                positive: folded(of_positive, &positive),
                negative: folded(of_negative, &negative),
            }),
            sum: sum.map(|sum| sum + 0.0),
        };
        built.widen(match boundary {
            // Of a bucket that it covered nothing finer is known.
            Some(boundary) if covers_some => Some(boundary_at_scale(boundary, finest, scale_now)),
            _ => boundary_at(scale_now),
        });
        // Everything else: whether a bucket that is covered was in the range or not.
        built.zero_count = 0;
        built.zero_count = count.saturating_sub(built.count());
        if built.has_impossible_sum() { Err(ExponentialError::NegativeSum) } else { Ok(built) }
    }

    /// The scale: `base = 2^(2^-scale)`.
    #[must_use]
    pub const fn scale(&self) -> i32 {
        self.scale
    }

    /// The absolute value up to which [`ExponentialHistogram::zero_count`] counts: a bound of the scale, as the greatest
    /// float that is not above it.
    #[must_use]
    pub fn zero_threshold(&self) -> f64 {
        self.zero_boundary.map_or(0.0, |boundary| bound(self.scale, boundary.into()))
    }

    /// The power of the base at which the zero bucket ends; `None` where it ends at 0.
    pub(crate) const fn zero_boundary(&self) -> Option<i32> {
        self.zero_boundary
    }

    /// Observations in the zero bucket.
    #[must_use]
    pub const fn zero_count(&self) -> u64 {
        self.zero_count
    }

    /// Observations above the zero bucket. Buckets that it covers can stand there, empty.
    #[must_use]
    pub const fn positive(&self) -> &ExponentialBuckets {
        &self.signs.positive
    }

    /// Observations below the negative of the zero bucket's threshold. Buckets that it covers can stand there, empty.
    #[must_use]
    pub const fn negative(&self) -> &ExponentialBuckets {
        &self.signs.negative
    }

    /// The sum of all observations; `None` where it is not known.
    #[must_use]
    pub const fn sum(&self) -> Option<f64> {
        self.sum
    }

    /// How many observations there are: all counts together, which cannot overflow.
    #[must_use]
    pub fn count(&self) -> u64 {
        let counts = self.signs.positive.counts.iter().chain(&self.signs.negative.counts);
        counts.fold(self.zero_count, |sum, count| sum.wrapping_add(*count))
    }

    /// Says whether an observation can have been below zero, so that the sum may fall.
    #[must_use]
    pub fn takes_negatives(&self) -> bool {
        !self.signs.negative.counts.is_empty() || self.sum.is_some_and(|sum| sum < 0.0)
    }

    /// Index of the bucket `(base^index, base^(index + 1)]` of a scale that holds a value, which is finite and above 0.
    /// Exact: also of values at a bound and beside it.
    ///
    /// `None` for other values.
    #[must_use]
    pub fn bucket_index(scale: i32, value: f64) -> Option<i64> {
        (value.is_finite() && value > 0.0).then(|| index(scale.clamp(MIN_SCALE, MAX_SCALE), value))
    }

    /// The upper end of a bucket, `base^(index + 1)`, as the greatest float that is not above it.
    #[must_use]
    pub fn upper_bound(scale: i32, index: i64) -> f64 {
        bound(scale.clamp(MIN_SCALE, MAX_SCALE), index.saturating_add(1))
    }

    /// Returns the sum of both. Commutative and associative: counts, scale and zero bucket exactly, the sum up to rounding.
    /// A sum that is not known makes one that is not known.
    ///
    /// # Errors
    /// [`MergeError::CountOverflow`], and [`MergeError::SumNotANumber`] for +Inf and -Inf.
    pub fn merged(&self, other: &Self) -> Result<Self, MergeError> {
        let (count, other_count) = (self.count(), other.count());
        if count == 0 || other_count == 0 {
            return Ok(if count == 0 { other.clone() } else { self.clone() });
        }
        count.checked_add(other_count).ok_or(MergeError::CountOverflow)?;
        let sum = self.sum.zip(other.sum).map(|(sum, other)| sum + other);
        if sum.is_some_and(f64::is_nan) {
            return Err(MergeError::SumNotANumber);
        }
        let common = self.scale.min(other.scale);
        let down = |histogram: &Self| histogram.ranges().map(|range| Some(range?.down(steps(histogram.scale, common))));
        let ([positive, negative], [of_positive, of_negative]) = (down(self), down(other));
        let ranges = [Range::union(positive, of_positive), Range::union(negative, of_negative)];
        let scale = fitting_scale(common, ranges);
        let [positive, negative] = ranges.map(|range| Some(range?.down(steps(common, scale))));
        let boundaries = [self, other].map(|histogram| histogram.boundary_at(scale));
        let mut merged = Self {
            scale,
            // All counts together fit.
            zero_count: self.zero_count.saturating_add(other.zero_count),
            zero_boundary: None,
            signs: Box::new(Signs {
                positive: fold(scale, positive, &[(self.scale, self.positive()), (other.scale, other.positive())]),
                negative: fold(scale, negative, &[(self.scale, self.negative()), (other.scale, other.negative())]),
            }),
            sum,
        };
        merged.widen(boundaries.into_iter().flatten().max());
        Ok(merged)
    }

    /// The counts of both signs at a scale that is not finer: negative, positive.
    pub(crate) fn folded(&self, scale: i32) -> [ExponentialBuckets; 2] {
        let down = steps(self.scale, scale);
        [self.negative(), self.positive()]
            .map(|buckets| fold(scale, buckets.range().map(|range| range.down(down)), &[(self.scale, buckets)]))
    }

    /// The first and last index that ever held anything: positive, negative.
    pub(crate) fn ranges(&self) -> [Option<Range>; 2] {
        [self.signs.positive.range(), self.signs.negative.range()]
    }

    fn boundary_at(&self, scale: i32) -> Option<i64> {
        Some(boundary_down(self.zero_boundary?.into(), steps(self.scale, scale)))
    }

    /// Ends the zero bucket at a bound of the scale.
    fn widen(&mut self, boundary: Option<i64>) {
        let swallowed =
            swallow(&mut self.signs.positive, boundary).saturating_add(swallow(&mut self.signs.negative, boundary));
        self.zero_count = self.zero_count.saturating_add(swallowed);
        // Within ±1075 · 2^20.
        self.zero_boundary = boundary.and_then(|boundary| i32::try_from(boundary).ok());
    }

    /// Nothing but the zero bucket and the negative ones hold what is below zero.
    fn has_impossible_sum(&self) -> bool {
        self.sum.is_some_and(|sum| sum < 0.0) && self.signs.negative.counts.is_empty() && self.zero_boundary.is_none()
    }
}
