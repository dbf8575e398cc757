//! The bounds of exponential histograms as they are printed, once for all series of a family.

use super::{TextOptions, number::push_float};
use crate::{ExponentialHistogram, MetricFamily, exponential::Grid};

/// The [`Grid`] of a family, and its bounds as text.
pub(super) struct PrintedGrid {
    grid: Grid,
    texts: Vec<Vec<u8>>,
}

impl PrintedGrid {
    /// The grid of a family, of no bounds where it has no exponential histograms.
    pub(super) fn new(family: &MetricFamily, options: TextOptions) -> Self {
        let grid = Grid::new(family, options.buckets_per_decade);
        let printed = grid.values().iter().map(|bound| {
            let mut text = Vec::new();
            push_float(&mut text, *bound);
            text
        });
        Self { texts: printed.collect(), grid }
    }

    /// See [`Grid::has_negatives`].
    pub(super) const fn has_negatives(&self) -> bool {
        self.grid.has_negatives()
    }

    /// The bounds as they are printed, each with how many observations are at most that.
    pub(super) fn cumulative(&self, histogram: &ExponentialHistogram) -> impl Iterator<Item = (&[u8], u64)> {
        self.texts.iter().map(Vec::as_slice).zip(self.grid.cumulative(histogram))
    }
}
