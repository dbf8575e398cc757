//! Where buckets end.

use std::sync::Arc;

use crate::limits::{MAX_BOUNDS, MAX_DECADES};

/// 10^(j/18) for j = 0 … 17, times 10^6, rounded to an integer: the seven significant digits of the bounds.
///
/// Every power of the layout is one of these times a power of ten. `tests/bounds_oracle.rs` recomputes them with
/// integers alone.
pub(crate) const MANTISSAS: [u32; 18] = [
    1_000_000, 1_136_464, 1_291_550, 1_467_799, 1_668_101, 1_895_736, 2_154_435, 2_448_437, 2_782_559, 3_162_278,
    3_593_814, 4_084_239, 4_641_589, 5_274_997, 5_994_843, 6_812_921, 7_742_637, 8_799_225,
];

/// The finest decimal layout: bounds per decade.
pub(crate) const FINEST: u32 = 18;

/// Why bounds are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BoundsError {
    /// The bounds per decade do not divide 18.
    #[error("{per_decade} bounds per decade do not divide 18")]
    PerDecade {
        /// The refused number.
        per_decade: u32,
    },
    /// There are no bounds, or they pass 20 decades or [`MAX_BOUNDS`].
    #[error("{bounds} bounds are none, or too many")]
    Length {
        /// How many bounds there are.
        bounds: usize,
    },
    /// An explicit bound is infinite or NaN.
    #[error("a bound is not finite")]
    NotFinite,
    /// Explicit bounds do not increase.
    #[error("bounds do not increase")]
    NotIncreasing,
}

/// Bounds 10^(k/p) for k = 1 … n, where p (bounds per decade) divides 18.
///
/// The bounds *are* these powers rounded to seven significant digits, as `{:.6e}` prints them. A bound is an exact
/// decimal number, so text, recorder and OTLP agree about which side of it a value is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecimalBounds {
    per_decade: u32,
    bounds: u32,
}

/// A bound's seven digits and its power of ten: `mantissa · 10^(exponent - 6)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Digits {
    /// 1,000,000 … 9,999,999.
    pub(crate) mantissa: u32,
    /// 0 … [`MAX_DECADES`].
    pub(crate) exponent: u32,
}

impl Digits {
    /// The digits of bound `index` (from 0) of the layout with `per_decade` bounds per decade, which must divide 18.
    pub(crate) const fn of(per_decade: u32, index: u32) -> Self {
        let k = index + 1;
        let step = k % per_decade * (FINEST / per_decade);
        let mut mantissas: &[u32] = &MANTISSAS;
        let mut skip = step;
        while let [_, tail @ ..] = mantissas
            && skip > 0
        {
            mantissas = tail;
            skip -= 1;
        }
        let mantissa = match mantissas {
            [first, ..] => *first,
            [] => 0,
        };
        Self { mantissa, exponent: k / per_decade }
    }

    /// The bound as the nearest `f64`: one exact integer times or divided by one exact power of ten.
    pub(crate) const fn to_f64(self) -> f64 {
        let mantissa = self.mantissa as f64;
        if self.exponent >= 6 {
            mantissa * power_of_ten(self.exponent - 6)
        } else {
            mantissa / power_of_ten(6 - self.exponent)
        }
    }

    /// The greatest integer that is not above the bound.
    pub(crate) const fn floor(self) -> u128 {
        // Below 10^7 · 10^20 = 10^27.
        self.mantissa as u128 * 10_u128.pow(self.exponent) / 1_000_000
    }
}

/// 10^n; exact up to 22, and the layout needs at most 14.
const fn power_of_ten(n: u32) -> f64 {
    let mut power = 1.0;
    let mut i = 0;
    while i < n {
        power *= 10.0;
        i += 1;
    }
    power
}

impl DecimalBounds {
    /// Describes `bounds` bounds with `per_decade` of them per decade.
    ///
    /// # Errors
    /// [`BoundsError::PerDecade`] and [`BoundsError::Length`].
    pub fn new(per_decade: u32, bounds: u32) -> Result<Self, BoundsError> {
        if per_decade == 0 || !FINEST.is_multiple_of(per_decade) {
            return Err(BoundsError::PerDecade { per_decade });
        }
        if bounds == 0 || bounds > per_decade.saturating_mul(MAX_DECADES) {
            return Err(BoundsError::Length { bounds: usize::try_from(bounds).unwrap_or(usize::MAX) });
        }
        Ok(Self { per_decade, bounds })
    }

    /// The layout of resolve latencies: 174 bounds, 18 per decade. The last, 4.641589e9, is above `u32::MAX`.
    #[must_use]
    pub const fn latency() -> Self {
        Self { per_decade: FINEST, bounds: 174 }
    }

    /// Bounds per decade; divides 18.
    #[must_use]
    pub const fn per_decade(self) -> u32 {
        self.per_decade
    }

    /// How many bounds there are.
    #[must_use]
    pub const fn bounds(self) -> u32 {
        self.bounds
    }
}

/// Bounds given one by one: finite, strictly increasing, at most [`MAX_BOUNDS`]. A clone copies a pointer.
#[derive(Clone, Debug, PartialEq)]
pub struct ExplicitBounds(Arc<[f64]>);

impl ExplicitBounds {
    /// Checks `bounds`. None at all is legal: then there is one bucket.
    ///
    /// # Errors
    /// [`BoundsError::Length`], [`BoundsError::NotFinite`] and [`BoundsError::NotIncreasing`].
    pub fn new(bounds: &[f64]) -> Result<Self, BoundsError> {
        if bounds.len() > MAX_BOUNDS {
            return Err(BoundsError::Length { bounds: bounds.len() });
        }
        if bounds.iter().any(|bound| !bound.is_finite()) {
            return Err(BoundsError::NotFinite);
        }
        if !bounds.is_sorted_by(|left, right| left < right) {
            return Err(BoundsError::NotIncreasing);
        }
        // Adding zero turns -0 into 0, so that equal bounds print alike.
        Ok(Self(bounds.iter().map(|bound| bound + 0.0).collect()))
    }

    /// The bounds, increasing.
    #[must_use]
    pub fn as_slice(&self) -> &[f64] {
        &self.0
    }
}

/// Where the buckets of a histogram end. The bucket above the last bound is implied.
#[derive(Clone, Debug, PartialEq)]
pub enum Bounds {
    /// Powers of ten with seven digits.
    Decimal(DecimalBounds),
    /// Any others.
    Explicit(ExplicitBounds),
}

impl Bounds {
    /// The layout of resolve latencies.
    #[must_use]
    pub const fn latency() -> Self {
        Self::Decimal(DecimalBounds::latency())
    }

    /// How many bounds there are; the histogram has one bucket more.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Decimal(decimal) => usize::try_from(decimal.bounds).unwrap_or(usize::MAX),
            Self::Explicit(explicit) => explicit.0.len(),
        }
    }

    /// Says whether there are none, so that all observations are in one bucket.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The upper bound of bucket `index`, inclusive; `None` for the last bucket and beyond.
    #[must_use]
    pub fn upper_bound(&self, index: usize) -> Option<f64> {
        match self {
            Self::Decimal(decimal) => {
                let index = u32::try_from(index).ok().filter(|index| *index < decimal.bounds)?;
                Some(Digits::of(decimal.per_decade, index).to_f64())
            }
            Self::Explicit(explicit) => explicit.0.get(index).copied(),
        }
    }

    /// Says whether the layout is one for observations below zero: its first bound is.
    pub(crate) fn take_negatives(&self) -> bool {
        self.upper_bound(0).is_some_and(|bound| bound < 0.0)
    }

    /// All upper bounds, increasing.
    pub fn upper_bounds(&self) -> impl Iterator<Item = f64> {
        (0..self.len()).filter_map(|index| self.upper_bound(index))
    }
}
