//! The value of one series, whatever its kind.

use std::cmp::Ordering;

use crate::{ExponentialHistogram, Gauge, Histogram, MetricKind};

/// A number that keeps integers exact.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    /// An integer.
    Unsigned(u64),
    /// Any other number. Never NaN inside a [`Gauge`] or [`Histogram`].
    Float(f64),
}

impl Number {
    /// Says whether this is NaN.
    #[must_use]
    pub fn is_nan(self) -> bool {
        matches!(self, Self::Float(value) if value.is_nan())
    }

    /// Says whether this is zero of either variant.
    #[must_use]
    pub fn is_zero(self) -> bool {
        match self {
            Self::Unsigned(value) => value == 0,
            Self::Float(value) => value == 0.0,
        }
    }

    /// The nearest `f64`; exact for integers up to 2^53.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "rounding above 2^53 is this function's documented behaviour")]
    pub fn to_f64(self) -> f64 {
        match self {
            Self::Unsigned(value) => value as f64,
            Self::Float(value) => value,
        }
    }

    /// Orders all numbers by value, exactly; on equal values `Unsigned` is greater, so that the order is total.
    #[must_use]
    pub fn total_cmp(self, other: Self) -> Ordering {
        match (self, other) {
            (Self::Unsigned(left), Self::Unsigned(right)) => left.cmp(&right),
            (Self::Float(left), Self::Float(right)) => left.total_cmp(&right),
            (Self::Unsigned(left), Self::Float(right)) => compare(left, right),
            (Self::Float(left), Self::Unsigned(right)) => compare(right, left).reverse(),
        }
    }
}

/// Compares without rounding the integer to a float, which would make numbers above 2^53 equal that are not.
fn compare(integer: u64, float: f64) -> Ordering {
    const TWO_POW_64: f64 = 18_446_744_073_709_551_616.0;
    if float < 0.0 {
        return Ordering::Greater;
    }
    // NaN never gets here from a gauge or histogram.
    if float >= TWO_POW_64 || float.is_nan() {
        return Ordering::Less;
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 ≤ trunc(float) < 2^64")]
    let whole = float.trunc() as u64;
    integer.cmp(&whole).then(if float.fract() > 0.0 { Ordering::Less } else { Ordering::Greater })
}

/// Why two values cannot be merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MergeError {
    /// One is a counter and the other a gauge, for instance.
    #[error("values of different kinds")]
    KindDiffers,
    /// Histograms with different bounds.
    #[error("histograms with different bounds")]
    BoundsDiffer,
    /// One histogram has an integer sum, the other a float sum.
    #[error("an integer sum and a float sum")]
    SumDiffers,
    /// A count would pass 64 bits.
    #[error("a count passes 64 bits")]
    CountOverflow,
    /// An integer sum would pass 64 bits, or the float sum of a counter or up-down sum the greatest float.
    #[error("a sum passes its range")]
    SumOverflow,
    /// A float sum would be NaN (+Inf plus -Inf).
    #[error("a sum is not a number")]
    SumNotANumber,
}

impl MergeError {
    /// Says whether the two values describe different things, as opposed to a number that got too big.
    #[must_use]
    pub const fn is_conflict(self) -> bool {
        matches!(self, Self::KindDiffers | Self::BoundsDiffer | Self::SumDiffers)
    }
}

/// Why a number is not that of a sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SumError {
    /// Infinite or NaN: no later addition could undo it.
    #[error("a sum is not finite")]
    NotFinite,
    /// A counter below zero.
    #[error("a counter is negative")]
    Negative,
}

/// A sum that may fall, or what is added to one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum UpDown {
    /// A whole number, exact.
    Integer(i64),
    /// Any other number. Finite.
    Float(f64),
}

impl UpDown {
    /// The nearest `f64`; exact for integers up to 2^53.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "rounding above 2^53 is this function's documented behaviour")]
    pub const fn to_f64(self) -> f64 {
        match self {
            Self::Integer(value) => value as f64,
            Self::Float(value) => value,
        }
    }

    /// Returns the sum of both; of an integer and a float a float.
    ///
    /// # Errors
    /// [`MergeError::SumOverflow`].
    pub fn merged(self, other: Self) -> Result<Self, MergeError> {
        match (self, other) {
            (Self::Integer(left), Self::Integer(right)) => left.checked_add(right).map(Self::Integer),
            (left, right) => finite(left.to_f64() + right.to_f64()).map(Self::Float),
        }
        .ok_or(MergeError::SumOverflow)
    }

    /// What has to be added to `old` to give this; `None` where that is no number. Of a sum that may fall nobody can say
    /// whether it was reset, and the difference is right either way.
    pub(crate) fn since(self, old: Self) -> Option<Self> {
        let integer = match (self, old) {
            (Self::Integer(new), Self::Integer(old)) => new.checked_sub(old).map(Self::Integer),
            _ => None,
        };
        integer.or_else(|| finite(self.to_f64() - old.to_f64()).map(Self::Float))
    }
}

fn finite(sum: f64) -> Option<f64> {
    sum.is_finite().then_some(sum)
}

/// The least float that is not below a count: a counter that becomes a float must not fall.
pub(crate) fn not_below(count: u64) -> f64 {
    let nearest = Number::Unsigned(count).to_f64();
    // Of equal numbers an integer is the greater one in the order, and one more is never equal.
    let is_below = count.checked_sub(1).is_some_and(|less| compare(less, nearest).is_gt());
    if is_below { nearest.next_up() } else { nearest }
}

/// The value of one series. In a [`Delta`](crate::Delta) what was added in a window, in a
/// [`Snapshot`](crate::Snapshot) the total.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A count.
    Counter(u64),
    /// A counter with a fraction: finite, not negative.
    FloatCounter(f64),
    /// A sum that may fall.
    UpDown(UpDown),
    /// A reading.
    Gauge(Gauge),
    /// Counts under bounds.
    Histogram(Histogram),
    /// Counts in buckets at powers of a base.
    Exponential(ExponentialHistogram),
}

impl Value {
    /// The kind of family that such a value belongs to.
    #[must_use]
    pub const fn kind(&self) -> MetricKind {
        match self {
            Self::Counter(_) | Self::FloatCounter(_) => MetricKind::Counter,
            Self::UpDown(_) => MetricKind::UpDown,
            Self::Gauge(_) => MetricKind::Gauge,
            Self::Histogram(_) => MetricKind::Histogram,
            Self::Exponential(_) => MetricKind::Exponential,
        }
    }

    /// Says whether the number of a sum is one that the model has. The other values are legal by construction.
    ///
    /// # Errors
    /// Every [`SumError`].
    pub fn check(&self) -> Result<(), SumError> {
        match self {
            Self::FloatCounter(value) | Self::UpDown(UpDown::Float(value)) if !value.is_finite() => {
                Err(SumError::NotFinite)
            }
            Self::FloatCounter(value) if *value < 0.0 => Err(SumError::Negative),
            _ => Ok(()),
        }
    }

    /// Returns the sum of both, or for gauges the one that wins. Commutative and associative (float sums up to
    /// rounding).
    ///
    /// A sum of integers and floats is a float, which is exact up to 2^53: senders that disagree on it count the same
    /// thing, and no count of theirs is lost.
    ///
    /// # Errors
    /// Every [`MergeError`].
    pub fn merged(&self, other: &Self) -> Result<Self, MergeError> {
        match (self, other) {
            (Self::Counter(left), Self::Counter(right)) => {
                left.checked_add(*right).map(Self::Counter).ok_or(MergeError::CountOverflow)
            }
            (Self::FloatCounter(left), Self::FloatCounter(right)) => {
                finite(left + right).map(Self::FloatCounter).ok_or(MergeError::SumOverflow)
            }
            (Self::FloatCounter(float), Self::Counter(count)) | (Self::Counter(count), Self::FloatCounter(float)) => {
                finite(float + not_below(*count)).map(Self::FloatCounter).ok_or(MergeError::SumOverflow)
            }
            (Self::UpDown(left), Self::UpDown(right)) => left.merged(*right).map(Self::UpDown),
            (Self::Exponential(left), Self::Exponential(right)) => left.merged(right).map(Self::Exponential),
            (Self::Gauge(left), Self::Gauge(right)) => Ok(Self::Gauge(left.merged(*right))),
            (Self::Histogram(left), Self::Histogram(right)) => left.merged(right).map(Self::Histogram),
            _ => Err(MergeError::KindDiffers),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_order_by_exact_value() {
        use Number::{Float, Unsigned};
        // 2^53 + 1 is not an f64; rounding it first would make these equal.
        assert_eq!(Unsigned((1 << 53) + 1).total_cmp(Float(9_007_199_254_740_992.0)), Ordering::Greater);
        assert_eq!(Unsigned(u64::MAX).total_cmp(Float(1.8446744073709552e19)), Ordering::Less);
        assert_eq!(Unsigned(u64::MAX).total_cmp(Float(f64::INFINITY)), Ordering::Less);
        assert_eq!(Unsigned(0).total_cmp(Float(f64::NEG_INFINITY)), Ordering::Greater);
        assert_eq!(Unsigned(0).total_cmp(Float(-0.5)), Ordering::Greater);
        assert_eq!(Unsigned(2).total_cmp(Float(2.5)), Ordering::Less);
        assert_eq!(Float(2.5).total_cmp(Unsigned(2)), Ordering::Greater);
        assert_eq!(Unsigned(2).total_cmp(Float(2.0)), Ordering::Greater);
        assert_eq!(Float(2.0).total_cmp(Unsigned(2)), Ordering::Less);
    }

    #[test]
    fn integers_and_floats_of_a_sum_become_a_float_that_is_not_below_them() {
        let float = Value::FloatCounter;
        assert_eq!(Value::Counter(3).merged(&float(0.5)), Ok(float(3.5)));
        assert_eq!(float(0.5).merged(&Value::Counter(3)), Ok(float(3.5)));
        // The nearest float of each is below it, and a counter never falls.
        for count in [(1 << 53) + 1, (1 << 60) + 1, u64::MAX - 2_000, u64::MAX] {
            let float = not_below(count);
            assert!(compare(count, float).is_lt() || u128::from(count) == format!("{float:.0}").parse().unwrap());
            assert!(compare(count, float.next_down()).is_gt());
        }
        assert_eq!((not_below(0), not_below(1 << 53), not_below(7)), (0.0, 9_007_199_254_740_992.0, 7.0));

        let (whole, half) = (UpDown::Integer(-3), UpDown::Float(0.5));
        assert_eq!(whole.merged(half), Ok(UpDown::Float(-2.5)));
        assert_eq!(half.merged(whole), Ok(UpDown::Float(-2.5)));
        assert_eq!(whole.merged(UpDown::Integer(1)), Ok(UpDown::Integer(-2)));
    }

    #[test]
    fn sums_that_pass_their_range_are_errors() {
        let overflow = Err(MergeError::SumOverflow);
        for (sum, more) in [(i64::MAX, 1), (i64::MIN, -1)] {
            assert_eq!(UpDown::Integer(sum).merged(UpDown::Integer(more)), Err(MergeError::SumOverflow));
        }
        assert_eq!(UpDown::Float(f64::MIN).merged(UpDown::Float(f64::MIN)), Err(MergeError::SumOverflow));
        assert_eq!(Value::FloatCounter(f64::MAX).merged(&Value::FloatCounter(f64::MAX)), overflow);
        let kinds = Err(MergeError::KindDiffers);
        assert_eq!(Value::UpDown(UpDown::Integer(1)).merged(&Value::Counter(1)), kinds);
        assert_eq!(Value::UpDown(UpDown::Integer(1)).merged(&Value::Gauge(Gauge::unsigned(1, 1))), kinds);
    }

    #[test]
    fn numbers_of_sums_are_finite_and_those_of_counters_not_negative() {
        for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!(Value::FloatCounter(number).check(), Err(SumError::NotFinite));
            assert_eq!(Value::UpDown(UpDown::Float(number)).check(), Err(SumError::NotFinite));
        }
        assert_eq!(Value::FloatCounter(-0.5).check(), Err(SumError::Negative));
        assert_eq!(Value::FloatCounter(0.0).check(), Ok(()));
        assert_eq!(Value::UpDown(UpDown::Float(-0.5)).check(), Ok(()));
    }

    #[test]
    fn a_value_is_no_longer_than_a_histogram_under_bounds() {
        assert!(size_of::<Value>() <= size_of::<Histogram>() + 8, "{}", size_of::<Value>());
    }

    #[test]
    fn counter_overflow_is_an_error() {
        let most = Value::Counter(u64::MAX);
        assert_eq!(most.merged(&Value::Counter(1)), Err(MergeError::CountOverflow));
        assert_eq!(most.merged(&Value::Counter(0)), Ok(Value::Counter(u64::MAX)));
        assert_eq!(most.merged(&Value::Gauge(Gauge::unsigned(1, 1))), Err(MergeError::KindDiffers));
    }
}
