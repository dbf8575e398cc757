//! The form in which exponential histograms are written: one for each, so that equal ones are equal bytes.

use super::{
    ExponentialBuckets, ExponentialError, ExponentialHistogram, Signs,
    bounds::{MAX_SCALE, MIN_SCALE, index_range},
    buckets::check_index,
};
use crate::limits::MAX_EXPONENTIAL_BUCKETS;

impl ExponentialHistogram {
    /// Builds a histogram from the form in which it is written.
    ///
    /// # Errors
    /// Every [`ExponentialError`] but that of the threshold.
    pub(crate) fn from_canonical(
        scale: i32,
        (zero_count, zero_boundary): (u64, Option<i32>),
        positive: ExponentialBuckets,
        negative: ExponentialBuckets,
        sum: Option<f64>,
    ) -> Result<Self, ExponentialError> {
        let form = |what| Err(ExponentialError::Form { what });
        if sum.is_some_and(f64::is_nan) {
            return Err(ExponentialError::SumNotANumber);
        }
        let signs = Box::new(Signs { positive, negative });
        let built = Self { scale, zero_count, zero_boundary, signs, sum: sum.map(|sum| sum + 0.0) };
        let counts = built.positive().count().zip(built.negative().count());
        let count = counts.and_then(|(positive, negative)| positive.checked_add(negative)?.checked_add(zero_count));
        if count.ok_or(ExponentialError::CountOverflow)? == 0 {
            return if built == Self::default() { Ok(built) } else { form("more than nothing without a count") };
        }
        if !(MIN_SCALE..=MAX_SCALE).contains(&scale) {
            return form("the scale");
        }
        let (lowest, highest) = index_range(scale);
        let is_outside = |boundary: i64| boundary < lowest || boundary > highest.saturating_add(1);
        if zero_boundary.is_some_and(|boundary| zero_count == 0 || is_outside(boundary.into())) {
            return form("the end of the zero bucket");
        }
        let is_covered = |index: i64| zero_boundary.is_some_and(|boundary| index < boundary.into());
        for buckets in [built.positive(), built.negative()] {
            let Some(range) = buckets.range() else {
                if buckets.offset != 0 {
                    return form("the offset of no buckets");
                }
                continue;
            };
            if buckets.counts.len() > MAX_EXPONENTIAL_BUCKETS {
                return form("too many buckets");
            }
            check_index(scale, range.low)?;
            check_index(scale, range.high)?;
            if buckets.indexed().any(|(index, count)| count > 0 && is_covered(index)) {
                return form("a count within the zero bucket");
            }
            let ends = [(range.low, buckets.counts.first()), (range.high, buckets.counts.last())];
            if ends.iter().any(|(index, count)| *count == Some(&0) && !is_covered(*index)) {
                return form("an empty bucket at an end");
            }
        }
        if scale != MAX_SCALE && built.ranges() == [None, None] {
            return form("a scale without buckets");
        }
        if built.has_impossible_sum() { Err(ExponentialError::NegativeSum) } else { Ok(built) }
    }
}
