//! Exponential histograms as scrapers have classic histograms: cumulative counts under upper bounds.
//!
//! The bounds are those of a **grid**, the powers of `2^(2^-scale)` over a range, with one grid for all series of a family, so
//! that `sum by (le)` adds like to like. A query over time (`histogram_quantile(rate(…))`) wants every bound to stay and to
//! count up. So the grid follows from what only ever moves one way, the scales and ranges of the series:
//!
//! - It begins at four bounds a power of two, coarser than any series at its start, so that what happens to fine
//!   scales does not show. It grows by whole powers of two, at its ends.
//! - It gets coarser only where a series is coarser than it, or where it would have more than [`MAX_BOUNDS`]. Then every
//!   other bound goes, and those that stay are the same numbers with the same counts.
//! - The zero bucket counts as 0. When it widens, counts move to a lower bound: all bounds above 0 count up or stay.
//!
//! So no bound that is shown ever counts down, but for this: observations below zero, and a wider zero bucket that
//! swallows some of them. A new bound begins with all that is below it, which a rate does not see: until its window has
//! passed, a quantile that falls between the old end and the new one is that of the old end.

use super::{ExponentialBuckets, ExponentialHistogram, Range, index_range, steps};
use crate::{MetricFamily, MetricKind, Value};

/// The most bounds of a grid beside 0 and `+Inf`: twenty powers of two at the finest, a microsecond to a second.
pub(crate) const MAX_BOUNDS: usize = 80;

/// The finest grid: four bounds a power of two, 13 a decade.
const FINEST: i32 = 2;

/// The bounds that all series of a family are shown with.
#[derive(Debug, Default)]
pub(crate) struct Grid {
    scale: i32,
    /// The powers of the base that are bounds: negative, positive.
    bounds: [Option<Range>; 2],
    /// The bounds themselves, increasing: negative ones, 0, positive ones.
    values: Vec<f64>,
}

impl Grid {
    /// The grid of a family, of no bounds where it has no exponential histograms.
    pub(crate) fn new(family: &MetricFamily, buckets_per_decade: u8) -> Self {
        if family.descriptor().kind() != MetricKind::Exponential {
            return Self::default();
        }
        let with_buckets = || {
            family.series().filter_map(|(_, series)| match series.value() {
                Value::Exponential(histogram) if histogram.ranges() != [None, None] => Some(histogram),
                _ => None,
            })
        };
        let finest = finest(buckets_per_decade);
        let mut scale = with_buckets().map(ExponentialHistogram::scale).fold(finest, i32::min);
        loop {
            let bounds = with_buckets().fold([None, None], |[negative, positive], histogram| {
                let bounds = |range: Option<Range>| Some(bounds(range?.down(steps(histogram.scale(), scale)), scale));
                let [of_positive, of_negative] = histogram.ranges().map(bounds);
                [Range::union(negative, of_negative), Range::union(positive, of_positive)]
            });
            // Ends: at scale -11 there are three bounds a sign.
            if bounds.iter().flatten().map(|range| range.len()).sum::<usize>() <= MAX_BOUNDS {
                return Self { scale, bounds, values: values(scale, bounds) };
            }
            scale -= 1;
        }
    }

    /// Says whether there are bounds below 0. OpenMetrics takes no sum and count beside them, whatever the series observed.
    pub(crate) const fn has_negatives(&self) -> bool {
        let [negative, _] = self.bounds;
        negative.is_some()
    }

    /// The bounds, increasing.
    pub(crate) fn values(&self) -> &[f64] {
        &self.values
    }

    /// How many observations are at most each of the bounds.
    pub(crate) fn cumulative(&self, histogram: &ExponentialHistogram) -> impl Iterator<Item = u64> {
        let [negative, positive] = histogram.folded(self.scale);
        let [negative_bounds, positive_bounds] = self.bounds.map(indices);
        // So near below 0 that no float is nearer.
        let at_zero = count_in(&negative, negative_bounds.start - 1);
        // Bucket i ends at bound i + 1; on the other side of 0, where more is less, at bound i.
        let below = negative_bounds.rev().map(move |power| count_in(&negative, power));
        let above = positive_bounds.map(move |power| count_in(&positive, power - 1));
        let counts = below.chain([histogram.zero_count().saturating_add(at_zero)]).chain(above);
        counts.scan(0_u64, |sum, count| {
            // All counts together fit 64 bits.
            *sum = sum.saturating_add(count);
            Some(*sum)
        })
    }
}

/// The powers that are bounds, increasing.
fn indices(bounds: Option<Range>) -> std::ops::Range<i64> {
    bounds.map_or(0..0, |Range { low, high }| low..high.saturating_add(1))
}

fn count_in(buckets: &ExponentialBuckets, index: i64) -> u64 {
    let place = usize::try_from(index.saturating_sub(buckets.offset.into())).ok();
    place.and_then(|place| buckets.counts.get(place)).copied().unwrap_or(0)
}

/// The finest grid that has at most so many bounds a decade, which is 3.32 powers of two.
const fn finest(buckets_per_decade: u8) -> i32 {
    match buckets_per_decade {
        14.. => FINEST,
        7..14 => 1,
        4..7 => 0,
        2..4 => -1,
        0..2 => -2,
    }
}

/// Both ends of each bucket, out to whole powers of two; but for the lowest, below which there is no float but 0.
fn bounds(range: Range, scale: i32) -> Range {
    let fine = scale.max(0);
    let (lowest, _) = index_range(scale);
    let low = (range.low >> fine << fine).max(lowest.saturating_add(1));
    let high = -(-range.high.saturating_add(1) >> fine << fine);
    Range { low, high }
}

fn values(scale: i32, [negative, positive]: [Option<Range>; 2]) -> Vec<f64> {
    let bound = |power: i64| ExponentialHistogram::upper_bound(scale, power - 1);
    let below = indices(negative).rev().map(|power| -bound(power));
    let above = indices(positive).map(bound);
    below.chain([0.0]).chain(above).collect()
}
