//! What observable counters reported last, so that what was added since can be said.
//!
//! The baseline of a series stays as long as the isolate lives: a callback that leaves a series out once does not make it
//! count from the beginning. There are at most [`MAX_BASELINES`].

use std::collections::HashMap;

/// The most series of observable counters of an isolate. More have no baseline, and so no points.
pub const MAX_BASELINES: usize = 4_000;

/// A reading of an observable counter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Reading {
    /// Of one that counts up.
    Unsigned(u64),
    /// Of one that goes up and down.
    Signed(i64),
    /// Of one of either kind.
    Float(f64),
}

/// What a reading comes to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Difference {
    /// This was added since the last one; before the first there was nothing.
    Added(Reading),
    /// Nothing, and the series is known already.
    Nothing,
    /// Too many series.
    Limited,
    /// The difference is no number, or too large for one.
    Invalid,
}

/// The last readings, by the encoded identity of their series.
#[derive(Debug, Default)]
pub struct Baselines(HashMap<Vec<u8>, Reading>);

impl Baselines {
    /// Takes the difference to the reading before, and remembers this one. Where a count went down, what is counted began
    /// anew, and all of it was added.
    pub fn difference(&mut self, series: Vec<u8>, reading: Reading, is_monotonic: bool) -> Difference {
        let Some(last) = self.0.get_mut(&series) else {
            if self.0.len() >= MAX_BASELINES {
                return Difference::Limited;
            }
            if matches!(reading, Reading::Float(value) if !value.is_finite()) {
                return Difference::Invalid;
            }
            self.0.insert(series, reading);
            return Difference::Added(reading);
        };
        let added = match (reading, *last) {
            (Reading::Unsigned(now), Reading::Unsigned(before)) => {
                Some(Reading::Unsigned(now.checked_sub(before).unwrap_or(now)))
            }
            (Reading::Signed(now), Reading::Signed(before)) if is_monotonic && now < before => {
                Some(Reading::Signed(now))
            }
            (Reading::Signed(now), Reading::Signed(before)) => now.checked_sub(before).map(Reading::Signed),
            (Reading::Float(now), Reading::Float(before)) if is_monotonic && now < before => Some(Reading::Float(now)),
            (Reading::Float(now), Reading::Float(before)) => {
                Some(now - before).filter(|added| added.is_finite()).map(Reading::Float)
            }
            // Another kind of instrument under the same name: it counts for itself.
            _ => Some(reading),
        };
        match added {
            Some(added) => {
                *last = reading;
                let is_zero = match added {
                    Reading::Unsigned(added) => added == 0,
                    Reading::Signed(added) => added == 0,
                    Reading::Float(added) => added == 0.0,
                };
                if is_zero { Difference::Nothing } else { Difference::Added(added) }
            }
            None => Difference::Invalid,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(name: &str) -> Vec<u8> {
        name.as_bytes().to_vec()
    }

    #[test]
    fn a_series_counts_from_its_last_reading_and_begins_at_nothing() {
        let mut baselines = Baselines::default();
        let mut read = |reading| baselines.difference(series("a"), reading, true);
        assert_eq!(read(Reading::Unsigned(0)), Difference::Added(Reading::Unsigned(0)), "it exists from now on");
        assert_eq!(read(Reading::Unsigned(7)), Difference::Added(Reading::Unsigned(7)));
        assert_eq!(read(Reading::Unsigned(7)), Difference::Nothing);
        assert_eq!(read(Reading::Unsigned(9)), Difference::Added(Reading::Unsigned(2)));
        assert_eq!(read(Reading::Unsigned(4)), Difference::Added(Reading::Unsigned(4)), "began anew");
        let mut read = |reading| baselines.difference(series("b"), reading, false);
        assert_eq!(read(Reading::Signed(5)), Difference::Added(Reading::Signed(5)));
        assert_eq!(read(Reading::Signed(-3)), Difference::Added(Reading::Signed(-8)));
        assert_eq!(read(Reading::Signed(i64::MAX)), Difference::Invalid);
        assert_eq!(
            read(Reading::Signed(-2)),
            Difference::Added(Reading::Signed(1)),
            "the reading that was none left no trace"
        );
        let mut read = |reading| baselines.difference(series("c"), reading, true);
        assert_eq!(read(Reading::Float(f64::NAN)), Difference::Invalid);
        assert_eq!(read(Reading::Float(0.5)), Difference::Added(Reading::Float(0.5)));
        assert_eq!(read(Reading::Float(2.0)), Difference::Added(Reading::Float(1.5)));
        assert_eq!(read(Reading::Float(f64::INFINITY)), Difference::Invalid);
    }

    #[test]
    fn there_are_only_so_many() {
        let mut baselines = Baselines::default();
        for n in 0..MAX_BASELINES {
            let added = baselines.difference(series(&n.to_string()), Reading::Unsigned(1), true);
            assert_eq!(added, Difference::Added(Reading::Unsigned(1)));
        }
        assert_eq!(baselines.difference(series("more"), Reading::Unsigned(1), true), Difference::Limited);
        assert_eq!(
            baselines.difference(series("17"), Reading::Unsigned(3), true),
            Difference::Added(Reading::Unsigned(2))
        );
    }
}
