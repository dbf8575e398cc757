//! Buckets of one sign, and what becomes of them at another scale.

use super::{
    ExponentialError,
    bounds::{MIN_SCALE, index_range},
};
use crate::limits::MAX_EXPONENTIAL_BUCKETS;

/// Counts of one sign.
///
/// Shape: counts are not cumulative; that at position `p` is of bucket `offset + p`, which holds absolute values in
/// `(base^index, base^(index + 1)]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExponentialBuckets {
    /// Index of the first bucket.
    pub offset: i32,
    /// One count for each bucket from there on.
    pub counts: Vec<u64>,
}

impl ExponentialBuckets {
    /// The first and the last index, of any that there are.
    pub(super) fn range(&self) -> Option<Range> {
        let low = i64::from(self.offset);
        let len = i64::try_from(self.counts.len()).ok().filter(|len| *len > 0)?;
        Some(Range { low, high: low.saturating_add(len - 1) })
    }

    pub(super) fn count(&self) -> Option<u64> {
        self.counts.iter().try_fold(0_u64, |sum, count| sum.checked_add(*count))
    }

    /// The counts with the index of each.
    pub(super) fn indexed(&self) -> impl Iterator<Item = (i64, u64)> {
        (i64::from(self.offset)..).zip(self.counts.iter().copied())
    }
}

/// Indices, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) low: i64,
    pub(crate) high: i64,
}

impl Range {
    /// The same at a scale that is coarser by `steps`.
    pub(crate) fn down(self, steps: u32) -> Self {
        Self { low: self.low >> steps.min(63), high: self.high >> steps.min(63) }
    }

    pub(crate) fn union(one: Option<Self>, other: Option<Self>) -> Option<Self> {
        match (one, other) {
            (Some(one), Some(other)) => Some(Self { low: one.low.min(other.low), high: one.high.max(other.high) }),
            (one, other) => one.or(other),
        }
    }

    /// How many indices.
    pub(crate) fn len(self) -> usize {
        usize::try_from(self.high.saturating_sub(self.low).saturating_add(1)).unwrap_or(usize::MAX)
    }
}

/// How many steps it is from a scale down to another.
pub(crate) fn steps(from: i32, to: i32) -> u32 {
    u32::try_from(i64::from(from) - i64::from(to)).unwrap_or(0)
}

/// The end of a zero bucket at a scale that is coarser by `steps`: the next bound there.
pub(super) fn boundary_down(boundary: i64, steps: u32) -> i64 {
    -((-boundary) >> steps.min(63))
}

/// The same at any scale. At one that is finer it is the same bound, but for the one that is beyond all floats.
pub(super) fn boundary_at_scale(boundary: i64, from: i32, to: i32) -> i64 {
    let (_, highest) = index_range(to);
    boundary_down(boundary << steps(to, from).min(32), steps(from, to)).min(highest.saturating_add(1))
}

/// The finest scale from `scale` down at which both ranges have few enough buckets.
pub(super) fn fitting_scale(scale: i32, ranges: [Option<Range>; 2]) -> i32 {
    let fits = |scale_now: i32| {
        let down = steps(scale, scale_now);
        ranges.iter().flatten().all(|range| range.down(down).len() <= MAX_EXPONENTIAL_BUCKETS)
    };
    (MIN_SCALE..=scale).rev().find(|scale| fits(*scale)).unwrap_or(MIN_SCALE)
}

/// Adds buckets of several scales up at one that is not finer. What is outside of the range that is given there is left out;
/// the counts fit 64 bits together.
pub(super) fn fold(scale: i32, range: Option<Range>, sources: &[(i32, &ExponentialBuckets)]) -> ExponentialBuckets {
    let Some(range) = range else { return ExponentialBuckets::default() };
    let mut counts = vec![0_u64; range.len().min(MAX_EXPONENTIAL_BUCKETS)];
    for (of_scale, buckets) in sources {
        let down = steps(*of_scale, scale).min(63);
        if down == 0 {
            let ahead = i64::from(buckets.offset).saturating_sub(range.low);
            let [skipped_places, skipped_counts] = [ahead.max(0), ahead.saturating_neg().max(0)]
                .map(|skipped| usize::try_from(skipped).unwrap_or(usize::MAX));
            let places = counts.get_mut(skipped_places..).unwrap_or_default();
            let added = buckets.counts.get(skipped_counts..).unwrap_or_default();
            // All counts together fit, and without a look at each sum it is several at once.
            places.iter_mut().zip(added).for_each(|(sum, count)| *sum = sum.wrapping_add(*count));
            continue;
        }
        for (index, count) in buckets.indexed().filter(|(_, count)| *count > 0) {
            let place = usize::try_from((index >> down).saturating_sub(range.low)).unwrap_or(usize::MAX);
            if let Some(sum) = counts.get_mut(place) {
                *sum = sum.saturating_add(count);
            }
        }
    }
    ExponentialBuckets { offset: i32::try_from(range.low).unwrap_or(i32::MIN), counts }
}

/// Empties the buckets that end within the zero bucket; returns what was in them.
pub(super) fn swallow(buckets: &mut ExponentialBuckets, boundary: Option<i64>) -> u64 {
    let Some(boundary) = boundary else { return 0 };
    let within = usize::try_from(boundary.saturating_sub(buckets.offset.into())).unwrap_or(0);
    let within = buckets.counts.iter_mut().take(within);
    within.fold(0, |sum, count| sum.saturating_add(std::mem::take(count)))
}

pub(super) fn check_index(scale: i32, index: i64) -> Result<(), ExponentialError> {
    let (lowest, highest) = index_range(scale);
    if index < lowest || index > highest { Err(ExponentialError::Index { scale, index }) } else { Ok(()) }
}
