//! The recorder of resolve latencies: fixed size, no allocation, exact on every bound.

use super::{
    Bounds, Histogram, HistogramError,
    bounds::{Digits, FINEST},
};
use crate::{MergeError, Number};

/// How many bounds the latency layout has: 18 per decade up to 4.641589e9, which covers `u32`.
pub const LATENCY_BOUNDS: usize = 174;

/// How many buckets: one above the last bound. Only buckets from the wire can fill that one.
pub(super) const LATENCY_BUCKETS: usize = LATENCY_BOUNDS + 1;

/// The greatest integer of each bucket, 174 of them, cut off at `u32::MAX`; that also fills the rest up to what a `u8` can
/// name, so that looking one up needs no check.
const THRESHOLDS: [u32; 256] = thresholds();

/// The bucket of the smallest value of each cell; see [`LatencyHistogram::bucket_of`].
const CELL_BUCKETS: [u8; 256] = cell_buckets();

/// Cells of `u32`: the values 0 … 15, then eight per power of two.
const CELLS: usize = 28 * 8 + 16;

#[expect(clippy::indexing_slicing, clippy::cast_possible_truncation, reason = "evaluated at compile time, and cut off")]
const fn thresholds() -> [u32; 256] {
    let mut thresholds = [u32::MAX; 256];
    let mut index = 0;
    while index < LATENCY_BOUNDS {
        let floor = Digits::of(FINEST, index as u32).floor();
        thresholds[index] = if floor > u32::MAX as u128 { u32::MAX } else { floor as u32 };
        index += 1;
    }
    thresholds
}

#[expect(clippy::indexing_slicing, clippy::cast_possible_truncation, reason = "evaluated at compile time")]
const fn cell_buckets() -> [u8; 256] {
    let mut buckets = [0; 256];
    let mut cell = 0;
    let mut bucket = 0;
    while cell < CELLS {
        let shift = if cell < 16 { 0 } else { cell / 8 - 1 };
        let smallest = (cell - shift * 8) << shift;
        while (THRESHOLDS[bucket] as usize) < smallest {
            bucket += 1;
        }
        buckets[cell] = bucket as u8;
        cell += 1;
    }
    buckets
}

/// A histogram of latencies in microseconds.
///
/// Shape: 174 bounds r^1 … r^174, r = 10^(1/18), each rounded to seven significant digits, and 175 buckets. Bucket `k`
/// covers `(bound k-1, bound k]`, bucket 0 also 0 and 1, bucket 174 everything above 4.641589e9. Counts are 64 bits
/// wide and not cumulative.
#[derive(Clone, PartialEq, Eq)]
pub struct LatencyHistogram {
    pub(super) bucket_counts: [u64; LATENCY_BUCKETS],
    pub(super) sum_micros: u64,
    /// The sum of all bucket counts.
    pub(super) count: u64,
}

impl Default for LatencyHistogram {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for LatencyHistogram {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let filled = self.bucket_counts.iter().enumerate().filter(|(_, count)| **count > 0);
        f.debug_map().entry(&"sum", &self.sum_micros).entries(filled).finish()
    }
}

impl LatencyHistogram {
    /// A histogram without observations.
    #[must_use]
    pub const fn new() -> Self {
        Self { bucket_counts: [0; LATENCY_BUCKETS], sum_micros: 0, count: 0 }
    }

    /// The bucket of a value.
    ///
    /// The cell is made of the value's power of two and the three bits below it, so a cell spans a ratio of at most
    /// 9/8. Bounds are a ratio of 1.136 apart, hence at most one bound cuts a cell, and one comparison decides. The
    /// road not taken: a logarithm, which is slower and wrong on bounds.
    #[inline]
    #[must_use]
    pub fn bucket_of(micros: u32) -> usize {
        // The power of two, 3 where it is less: one instruction where there is a bit to be found for sure.
        let shift = (micros | 15).ilog2() - 3;
        let cell = (shift << 3) + (micros >> shift);
        // Below 240: nothing is cut off.
        let bucket = CELL_BUCKETS.get((cell & 0xff) as usize).copied().map_or(LATENCY_BOUNDS, usize::from);
        bucket + usize::from(THRESHOLDS.get(bucket).is_some_and(|threshold| micros > *threshold))
    }

    /// Counts one observation.
    ///
    /// Saturates at `u64::MAX` observations or microseconds; the latter is 584,000 years.
    #[inline]
    pub fn observe(&mut self, micros: u32) {
        if self.count == u64::MAX {
            return self.observe_past_the_end(micros);
        }
        if let Some(bucket) = self.bucket_counts.get_mut(Self::bucket_of(micros)) {
            // No bucket is above the count of all, which is not at its end.
            *bucket = bucket.wrapping_add(1);
            self.count = self.count.wrapping_add(1);
            self.sum_micros = self.sum_micros.saturating_add(u64::from(micros));
        }
    }

    #[cold]
    fn observe_past_the_end(&mut self, micros: u32) {
        if let Some(bucket) = self.bucket_counts.get_mut(Self::bucket_of(micros)) {
            *bucket = bucket.saturating_add(1);
            self.sum_micros = self.sum_micros.saturating_add(u64::from(micros));
        }
    }

    /// Adds to the sum of what was observed. The caller knows that it fits 64 bits.
    #[cfg(feature = "confidence")]
    pub(crate) const fn add_sum(&mut self, sum_micros: u32) {
        self.sum_micros = self.sum_micros.saturating_add(sum_micros as u64);
    }

    /// Adds counts by bucket. The caller knows that all of it fits 64 bits.
    #[cfg(feature = "confidence")]
    pub(crate) fn add_buckets(&mut self, counts: &[(u8, u32)]) {
        for (bucket, added) in counts {
            if let Some(count) = self.bucket_counts.get_mut(usize::from(*bucket)) {
                *count = count.saturating_add(u64::from(*added));
                self.count = self.count.saturating_add(u64::from(*added));
            }
        }
    }

    /// The count of each of the 175 buckets, not cumulative.
    #[must_use]
    pub const fn bucket_counts(&self) -> &[u64] {
        &self.bucket_counts
    }

    /// How many observations there are: the sum of all bucket counts.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// The sum of all observations, in microseconds.
    #[must_use]
    pub const fn sum_micros(&self) -> u64 {
        self.sum_micros
    }

    /// Says whether there is no observation.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Adds `other`. Commutative and associative.
    ///
    /// # Errors
    /// [`MergeError::CountOverflow`] and [`MergeError::SumOverflow`]; `self` is unchanged.
    pub fn merge(&mut self, other: &Self) -> Result<(), MergeError> {
        let sum_micros = self.sum_micros.checked_add(other.sum_micros).ok_or(MergeError::SumOverflow)?;
        // A count at its end may have been more.
        let is_known = self.count < u64::MAX && other.count < u64::MAX;
        let count = self.count.checked_add(other.count).filter(|_| is_known).ok_or(MergeError::CountOverflow)?;
        for (left, right) in self.bucket_counts.iter_mut().zip(&other.bucket_counts) {
            *left = left.saturating_add(*right);
        }
        self.sum_micros = sum_micros;
        self.count = count;
        Ok(())
    }

    /// The same histogram as a value of the general model.
    ///
    /// # Errors
    /// [`HistogramError::CountOverflow`] where observations saturated.
    pub fn to_histogram(&self) -> Result<Histogram, HistogramError> {
        Histogram::from_parts(Bounds::latency(), self.bucket_counts.to_vec(), Number::Unsigned(self.sum_micros))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_stop_at_their_end_and_are_exact_before_it() {
        let cases = [
            ((3, 9), (4, 14)),
            ((u64::MAX - 1, 9), (u64::MAX, 14)),
            ((3, u64::MAX - 4), (4, u64::MAX)),
            ((u64::MAX, 9), (u64::MAX, 14)),
        ];
        for (before, after) in cases {
            let mut histogram = LatencyHistogram::new();
            histogram.bucket_counts[LatencyHistogram::bucket_of(5)] = before.0;
            (histogram.count, histogram.sum_micros) = before;
            histogram.observe(5);
            assert_eq!((histogram.count, histogram.sum_micros), after);
            assert_eq!(histogram.bucket_counts[LatencyHistogram::bucket_of(5)], after.0);
        }
    }
}
