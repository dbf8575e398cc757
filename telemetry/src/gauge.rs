//! Readings.

use crate::Number;

/// Why a reading is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GaugeError {
    /// The value is NaN, which has no place in an order.
    #[error("a reading is not a number")]
    NotANumber,
}

/// A value and when it was read, in milliseconds since the epoch. Never NaN.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gauge {
    value: Number,
    time_ms: u64,
}

impl Gauge {
    /// Holds `value` as read at `time_ms`.
    ///
    /// # Errors
    /// [`GaugeError::NotANumber`].
    pub fn new(value: Number, time_ms: u64) -> Result<Self, GaugeError> {
        if value.is_nan() { Err(GaugeError::NotANumber) } else { Ok(Self { value, time_ms }) }
    }

    /// Holds an integer as read at `time_ms`.
    #[must_use]
    pub const fn unsigned(value: u64, time_ms: u64) -> Self {
        Self { value: Number::Unsigned(value), time_ms }
    }

    /// The value.
    #[must_use]
    pub const fn value(self) -> Number {
        self.value
    }

    /// When it was read, in milliseconds since the epoch.
    #[must_use]
    pub const fn time_ms(self) -> u64 {
        self.time_ms
    }

    /// Returns the later reading; of two at the same time the greater value, so that the order of arrival does not
    /// matter.
    #[must_use]
    pub fn merged(self, other: Self) -> Self {
        let later = self.time_ms.cmp(&other.time_ms).then_with(|| self.value.total_cmp(other.value));
        if later.is_lt() { other } else { self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_reading_wins_whatever_arrives_first() {
        let (old, new) = (Gauge::unsigned(9, 1), Gauge::unsigned(3, 2));
        assert_eq!(old.merged(new), new);
        assert_eq!(new.merged(old), new);
        let (small, great) = (Gauge::unsigned(3, 2), Gauge::new(Number::Float(3.5), 2).unwrap());
        assert_eq!(small.merged(great), great);
        assert_eq!(great.merged(small), great);
    }

    #[test]
    fn nan_is_refused() {
        assert_eq!(Gauge::new(Number::Float(f64::NAN), 1), Err(GaugeError::NotANumber));
        assert!(Gauge::new(Number::Float(f64::INFINITY), 1).is_ok());
    }
}
