//! One state out of several: each counts a part of the streams, and one of them takes in what the others counted.
//!
//! The one that takes in keeps, of each other, the copy that it took in last. What came to that copy since
//! ([`Snapshot::since`]) is a delta, and adding it ([`Snapshot::absorb`]) moves no series that exists out of its place and no
//! total back. So it does not matter how often a copy comes, whether one is left out, and in which order those of different
//! states come: the sum is the same.

use crate::{
    Delta, Histogram, Number, Value,
    custom::is_of_pipeline,
    snapshot::{Applied, Plan, Snapshot},
    value::not_below,
};

/// What [`Snapshot::absorb`] left out of each kind of families.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use = "refused series are counted, not passed over"]
pub struct Absorbed {
    /// Of ours.
    pub of_pipeline: Applied,
    /// Of custom ones ([`crate::custom`]), which have bounds of their own.
    pub custom: Applied,
}

impl Snapshot {
    /// What came to this state since it was `before`: an earlier copy of it, or a state without series for all that it has.
    ///
    /// Counters and histograms that grew, by how much; readings as they are; series that are new, at 0 too. A total that is
    /// below the one before comes from a state that was put back from a copy: it was added once, and nothing is added
    /// again until it passes that. Float sums are exact up to rounding.
    #[must_use]
    pub fn since(&self, before: &Self) -> Delta {
        let mut added = Delta::new();
        for family in self.families() {
            for (labels, series) in family.series() {
                let value = match before.get(family.descriptor().name(), labels) {
                    Some(old) => value_since(&series.value, &old.value),
                    None => Some(series.value.clone()),
                };
                if let Some(value) = value {
                    added.set_start(series.start_time_ms);
                    // Never fails: a state has each series once, of the kind of its family.
                    let _is_added = added.add(family.descriptor(), labels.clone(), value).is_ok();
                }
            }
        }
        added
    }

    /// Adds what came to another state, at `now_ms`, in milliseconds since the epoch. `other` is that state: it says when
    /// each series began there, and a series that is in both began at the earlier of the two times; what it does not have
    /// began with the delta. Where the other state is the older one, this begins with it.
    ///
    /// Cannot fail: what the bounds keep out, what contradicts and what would pass its range is left out alone.
    pub fn absorb(&mut self, added: &Delta, other: &Self, now_ms: u64) -> Absorbed {
        let latest_ms = now_ms.max(self.start_time_ms);
        let absorbed = Absorbed {
            of_pipeline: self.absorb_part(added, other, latest_ms, true),
            custom: self.absorb_part(added, other, latest_ms, false),
        };
        if !added.is_empty() {
            self.start_time_ms = self.start_time_ms.min(other.start_time_ms);
        }
        self.version = self.version.saturating_add(1);
        self.last_applied_ms = self.last_applied_ms.max(now_ms);
        absorbed
    }

    fn absorb_part(&mut self, added: &Delta, other: &Self, latest_ms: u64, of_pipeline: bool) -> Applied {
        let mut plan = if of_pipeline { Plan::new(self) } else { Plan::of_custom(self) };
        let mut applied = Applied::default();
        let parts = added.families().filter(|family| is_of_pipeline(family.descriptor().name()) == of_pipeline);
        for family in parts {
            let name = family.descriptor().name();
            for (labels, value) in family.series() {
                let begin_ms = other.get(name, labels).map(|series| series.start_time_ms);
                let begin_ms = begin_ms.or(added.start_time_ms()).unwrap_or(latest_ms).min(latest_ms);
                if plan.add(family.descriptor(), labels, value, begin_ms, &mut applied).is_err() {
                    applied.series_overflowing = applied.series_overflowing.saturating_add(1);
                } else {
                    plan.begin_by(name, labels, begin_ms);
                }
            }
        }
        let additions = plan.into_additions();
        self.install(additions);
        self.settle_targets();
        applied
    }
}

/// What has to be merged with `old` to give `new`; `None` where that is nothing.
fn value_since(new: &Value, old: &Value) -> Option<Value> {
    // By kind, and without a rest: a kind that comes to the model has to say here what its difference is.
    match new {
        Value::Counter(new) => {
            let Value::Counter(old) = old else { return None };
            new.checked_sub(*old).filter(|added| *added > 0).map(Value::Counter)
        }
        // What was counted in integers goes on in fractions, once a sender has some.
        Value::FloatCounter(new) => {
            let old = match old {
                Value::Counter(old) => not_below(*old),
                Value::FloatCounter(old) => *old,
                _ => return None,
            };
            Some(new - old).filter(|added| *added > 0.0).map(Value::FloatCounter)
        }
        Value::UpDown(new) => {
            let Value::UpDown(old) = old else { return None };
            new.since(*old).filter(|added| added.to_f64() != 0.0).map(Value::UpDown)
        }
        Value::Exponential(new) => {
            let Value::Exponential(old) = old else { return None };
            new.since(old).filter(|added| added.count() > 0).map(Value::Exponential)
        }
        Value::Gauge(new) => (*old != Value::Gauge(*new)).then_some(Value::Gauge(*new)),
        Value::Histogram(new) => {
            let Value::Histogram(old) = old else { return None };
            histogram_since(new, old).map(Value::Histogram)
        }
    }
}

fn histogram_since(new: &Histogram, old: &Histogram) -> Option<Histogram> {
    if new.bounds() != old.bounds() {
        return None;
    }
    let pairs = new.bucket_counts().iter().zip(old.bucket_counts());
    let bucket_counts: Vec<u64> = pairs.map(|(new, old)| new.checked_sub(*old)).collect::<Option<_>>()?;
    if bucket_counts.iter().all(|count| *count == 0) {
        return None;
    }
    let sum = match (new.sum(), old.sum()) {
        (Number::Unsigned(new), Number::Unsigned(old)) => Number::Unsigned(new.checked_sub(old)?),
        (new, Number::Unsigned(0)) => new,
        (new, old) => {
            let added = new.to_f64() - old.to_f64();
            // An infinite sum stays what it is.
            Number::Float(if added.is_nan() { 0.0 } else { added })
        }
    };
    Histogram::from_parts(new.bounds().clone(), bucket_counts, sum).ok()
}
