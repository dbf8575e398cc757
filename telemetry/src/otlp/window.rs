//! Delta temporality: what was added between two states.
//!
//! A receiver of deltas adds up what it gets, so every window must reach it exactly once. Windows are made from the
//! state that was exported last and the state now, so they follow each other without hole and overlap, and what was
//! not accepted is in the next one by itself: the state that was exported last has not moved.

use std::sync::Arc;

use crate::{Histogram, MetricFamily, MetricKind, Number, Series, Snapshot, UpDown, Value, value::not_below};

/// What was added in the time from `start_ms` to `end_ms`.
#[derive(Clone, Debug, PartialEq)]
pub struct Window {
    start_ms: u64,
    end_ms: u64,
    added: Snapshot,
}

impl Window {
    /// When it begins, in milliseconds since the epoch.
    #[must_use]
    pub const fn start_ms(&self) -> u64 {
        self.start_ms
    }

    /// When it ends, in milliseconds since the epoch; after its start.
    #[must_use]
    pub const fn end_ms(&self) -> u64 {
        self.end_ms
    }

    /// What was added: sums and histograms without those that did not change, and gauges as they are.
    #[must_use]
    pub const fn added(&self) -> &Snapshot {
        &self.added
    }

    /// Says whether nothing was added, so that there is nothing to send.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let mut series = self.added.families().flat_map(MetricFamily::series);
        series.all(|(_, series)| matches!(series.value, Value::Gauge(_)))
    }

    /// The window from `before`, exported at `start_ms`, to `now`, exported at `now_ms`. An empty state before is that of
    /// a receiver that has nothing yet: the window then holds everything since the state began.
    ///
    /// A series whose total is below that of `before` was reset: its whole total is what was added. States never do
    /// that; a state that was put back from a copy does.
    #[must_use]
    pub fn between(before: &Snapshot, start_ms: u64, now: &Snapshot, now_ms: u64) -> Self {
        let mut added = Snapshot::new(now.start_time_ms);
        for (name, family) in &now.families {
            let is_untouched = before.families.get(name).is_some_and(|old| Arc::ptr_eq(old, family));
            if is_untouched && family.descriptor().kind() != MetricKind::Gauge {
                continue;
            }
            let mut changed = MetricFamily::new(family.descriptor());
            for (labels, series) in family.series() {
                let old = before.get(name, labels).map(|old| &old.value);
                if let Some(value) = difference(old, &series.value) {
                    changed.insert(labels.clone(), Series { start_time_ms: series.start_time_ms, value });
                }
            }
            if changed.series().len() > 0 {
                added.families.insert(name.clone(), changed.into());
            }
        }
        // A window of no length would be illegal, and clocks step back.
        Self { start_ms, end_ms: now_ms.max(start_ms.saturating_add(1)), added }
    }
}

/// What was added, `None` where nothing was.
fn difference(old: Option<&Value>, new: &Value) -> Option<Value> {
    match (old, new) {
        (_, Value::Gauge(gauge)) => Some(Value::Gauge(*gauge)),
        (Some(Value::Counter(old)), Value::Counter(new)) => {
            Some(new.checked_sub(*old).unwrap_or(*new)).filter(|added| *added > 0).map(Value::Counter)
        }
        (Some(Value::Counter(old)), Value::FloatCounter(new)) => float_added(not_below(*old), *new),
        (Some(Value::FloatCounter(old)), Value::FloatCounter(new)) => float_added(*old, *new),
        (_, Value::FloatCounter(new)) => float_added(0.0, *new),
        (old, Value::UpDown(new)) => {
            let old = if let Some(Value::UpDown(old)) = old { *old } else { UpDown::Integer(0) };
            new.since(old).filter(|added| added.to_f64() != 0.0).map(Value::UpDown)
        }
        (Some(Value::Exponential(old)), Value::Exponential(new)) => {
            let added = new.since(old).unwrap_or_else(|| new.clone());
            (added.count() > 0).then_some(Value::Exponential(added))
        }
        (_, Value::Exponential(new)) => (new.count() > 0).then(|| Value::Exponential(new.clone())),
        (_, Value::Counter(new)) => Some(*new).filter(|added| *added > 0).map(Value::Counter),
        (Some(Value::Histogram(old)), Value::Histogram(new)) => {
            let added = subtract(new, old).unwrap_or_else(|| new.clone());
            (added.count() > 0).then_some(Value::Histogram(added))
        }
        (_, Value::Histogram(new)) => (new.count() > 0).then(|| Value::Histogram(new.clone())),
    }
}

fn float_added(old: f64, new: f64) -> Option<Value> {
    let added = if new < old { new } else { new - old };
    (added > 0.0).then_some(Value::FloatCounter(added))
}

/// `None` where some bucket of `old` has more than that of `new`, or the bounds differ.
fn subtract(new: &Histogram, old: &Histogram) -> Option<Histogram> {
    if new.bounds() != old.bounds() {
        return None;
    }
    let pairs = new.bucket_counts().iter().zip(old.bucket_counts());
    let bucket_counts: Vec<u64> = pairs.map(|(new, old)| new.checked_sub(*old)).collect::<Option<_>>()?;
    let is_empty = bucket_counts.iter().all(|count| *count == 0);
    let sum = match (new.sum(), old.sum()) {
        _ if is_empty => Number::Unsigned(0),
        (Number::Unsigned(new), Number::Unsigned(old)) => Number::Unsigned(new.checked_sub(old)?),
        (new, old) => Number::Float(new.to_f64() - old.to_f64()),
    };
    Histogram::from_parts(new.bounds().clone(), bucket_counts, sum).ok()
}
