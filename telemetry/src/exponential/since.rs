//! What was added to an exponential histogram.

use super::{
    ExponentialBuckets, ExponentialHistogram, ExponentialParts,
    buckets::{fold, steps, swallow},
};

impl ExponentialHistogram {
    /// What was added since `old`; `None` where `old` did not become this: a count is higher, a scale coarser, a zero bucket
    /// wider there.
    pub(crate) fn since(&self, old: &Self) -> Option<Self> {
        if old.count() == 0 {
            return Some(self.clone());
        }
        let boundary = self.boundary_at(self.scale);
        if old.scale < self.scale || old.boundary_at(self.scale) > boundary {
            return None;
        }
        let mut old_zero_count = old.zero_count;
        let mut left = |own: &ExponentialBuckets, buckets: &ExponentialBuckets| {
            let range = buckets.range().map(|range| range.down(steps(old.scale, self.scale)));
            let mut before = fold(self.scale, range, &[(old.scale, buckets)]);
            old_zero_count = old_zero_count.saturating_add(swallow(&mut before, boundary));
            subtract(own, &before)
        };
        let positive = left(self.positive(), old.positive())?;
        let negative = left(self.negative(), old.negative())?;
        let zero_count = self.zero_count.checked_sub(old_zero_count)?;
        let parts = |sum| ExponentialParts {
            scale: self.scale,
            zero_threshold: self.zero_threshold(),
            zero_count,
            positive: positive.clone(),
            negative: negative.clone(),
            sum,
        };
        let sum = self.sum.zip(old.sum).map(|(sum, old)| sum - old).filter(|sum| !sum.is_nan());
        // The difference of two rounded sums can be below zero where nothing is, and not zero where nothing was added.
        Self::new(parts(sum)).or_else(|_| Self::new(parts(sum.map(|_| 0.0)))).ok()
    }
}

/// `own` less `before`, bucket by bucket; `None` where some bucket of `before` has more.
fn subtract(own: &ExponentialBuckets, before: &ExponentialBuckets) -> Option<ExponentialBuckets> {
    let mut left = own.clone();
    for (index, count) in before.indexed().filter(|(_, count)| *count > 0) {
        let place = usize::try_from(index.saturating_sub(own.offset.into())).ok()?;
        let of_own = left.counts.get_mut(place)?;
        *of_own = of_own.checked_sub(count)?;
    }
    Some(left)
}
