//! What an isolate records, series by series: plain memory, without I/O and without a clock.
//!
//! A series is found by its label values and has a place of its own, in which it is recorded without allocation; a place
//! is never given to another series, so handles stay good as long as the isolate lives. [`Registry::drain`] takes what
//! was added since the last time and leaves the places.
//!
//! Bounds lose no count: past them a family has one more series, labelled [`OVERFLOW_LABEL`] as the OpenTelemetry
//! specification names it (Metrics SDK, "Overflow attribute"), and all that has no place of its own is recorded there. What
//! no series can take (a label that is too long, an observation that is no number) is counted and reported.

use std::collections::BTreeMap;

use tributary_telemetry::{
    Bounds, Delta, ExplicitBounds, FamilyDescriptor, Gauge, Histogram, LabelError, LabelName, LabelSet, MetricKind,
    Number, Value,
};

use crate::limits::{MAX_FAMILIES, MAX_FAMILY_SERIES, MAX_SERIES};

/// Name of the one label, whose value is `true`, of the series for all that is past a bound.
pub const OVERFLOW_LABEL: &str = "otel_metric_overflow";

/// A family, as the program describes it.
#[derive(Clone, Copy, Debug)]
pub struct Description<'a> {
    /// Name without the `_total` of counters.
    pub name: &'static str,
    /// What it counts, one sentence.
    pub help: &'static str,
    /// Unit in full, empty for none.
    pub unit: &'static str,
    /// What the values are.
    pub kind: MetricKind,
    /// Names of the labels, in the order in which values are given.
    pub labels: &'a [&'static str],
    /// Upper bounds of a histogram's buckets.
    pub bounds: &'static [f64],
}

/// Where a series is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// At this index.
    At(usize),
    /// Nowhere: its labels or its family cannot be.
    Invalid,
    /// Nowhere: there are too many families.
    Limited,
}

/// What was recorded since the last time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Recorded {
    /// The values, without a start.
    pub delta: Delta,
    /// Recordings that no series can take.
    pub invalid: u64,
    /// Recordings into families past [`MAX_FAMILIES`].
    pub limited: u64,
}

#[derive(Debug)]
struct Family {
    descriptor: FamilyDescriptor,
    labels: Box<[LabelName]>,
    bounds: ExplicitBounds,
    /// Label values in the order of `labels`, sorted.
    series: Vec<(Box<[Box<str>]>, usize)>,
    overflow: Option<usize>,
}

#[derive(Debug)]
struct Series {
    /// Index of its family.
    family: usize,
    labels: LabelSet,
    pending: Pending,
    /// Nobody was told of it: it begins at 0 even where nothing was added.
    is_new: bool,
}

#[derive(Debug)]
enum Pending {
    Counter(u64),
    Gauge(Option<(f64, u64)>),
    Histogram { counts: Vec<u64>, sum: f64 },
}

/// The series of one isolate.
#[derive(Debug, Default)]
pub struct Registry {
    families: Vec<Family>,
    /// Indices of families.
    by_name: BTreeMap<&'static str, usize>,
    series: Vec<Series>,
    /// Of those, series in overflow, which the bound does not count.
    overflow_series: usize,
    has_recorded: bool,
    invalid: u64,
    limited: u64,
}

impl Registry {
    /// A registry of nothing.
    pub const fn new() -> Self {
        Self {
            families: Vec::new(),
            by_name: BTreeMap::new(),
            series: Vec::new(),
            overflow_series: 0,
            has_recorded: false,
            invalid: 0,
            limited: 0,
        }
    }

    /// Says whether there is anything to [`Registry::drain`].
    pub const fn has_recorded(&self) -> bool {
        self.has_recorded
    }

    /// The place of the series with these label values; made where it does not exist. Allocates only then.
    pub fn place(&mut self, description: &Description<'_>, values: &[&str]) -> Place {
        let index = match self.by_name.get(description.name) {
            Some(index) => *index,
            None if self.families.len() >= MAX_FAMILIES => return Place::Limited,
            None => {
                let Some(family) = Family::new(description) else { return Place::Invalid };
                self.by_name.insert(description.name, self.families.len());
                self.families.push(family);
                self.families.len().saturating_sub(1)
            }
        };
        let series = self.series.len().saturating_sub(self.overflow_series);
        let Some(family) = self.families.get_mut(index) else { return Place::Invalid };
        if !family.is(description) || values.len() != family.labels.len() {
            return Place::Invalid;
        }
        let at = match family.find(values) {
            Ok(place) => return Place::At(place),
            Err(at) => at,
        };
        let next = self.series.len();
        if family.series.len() >= MAX_FAMILY_SERIES || series >= MAX_SERIES {
            if let Some(place) = family.overflow {
                return Place::At(place);
            }
            let Ok(labels) = LabelSet::from_pairs([(OVERFLOW_LABEL, "true")]) else { return Place::Invalid };
            family.overflow = Some(next);
            self.overflow_series = self.overflow_series.saturating_add(1);
            self.series.push(family.begin(index, labels));
        } else {
            let Ok(labels) = family.label_set(values) else { return Place::Invalid };
            family.series.insert(at, (values.iter().map(|value| Box::from(*value)).collect(), next));
            self.series.push(family.begin(index, labels));
        }
        self.has_recorded = true;
        Place::At(next)
    }

    /// Adds to a counter.
    pub fn add(&mut self, place: Place, count: u64) {
        let is_taken = match self.pending(place) {
            Some(Pending::Counter(total)) => total.checked_add(count).map(|sum| *total = sum).is_some(),
            _ => false,
        };
        self.settle(place, is_taken);
    }

    /// Observes a value. One that is not finite is no observation, and neither is one below zero under bounds that are not.
    pub fn observe(&mut self, place: Place, value: f64) {
        let is_taken = self.observe_at(place, value).is_some();
        self.settle(place, is_taken);
    }

    /// Takes over a reading made at `time_ms`, in milliseconds since the epoch. NaN is none.
    pub fn set(&mut self, place: Place, value: f64, time_ms: u64) {
        let is_taken = match self.pending(place) {
            Some(Pending::Gauge(reading)) if !value.is_nan() => {
                // What is set later counts, whatever the clock says.
                let time_ms = reading.map_or(time_ms, |(_, before_ms)| before_ms.max(time_ms));
                *reading = Some((value, time_ms));
                true
            }
            _ => false,
        };
        self.settle(place, is_taken);
    }

    /// Takes what was recorded since the last time: series that are new, and those to which something was added.
    pub fn drain(&mut self) -> Recorded {
        let mut recorded = Recorded {
            delta: Delta::new(),
            invalid: std::mem::take(&mut self.invalid),
            limited: std::mem::take(&mut self.limited),
        };
        if !std::mem::take(&mut self.has_recorded) {
            return recorded;
        }
        for series in &mut self.series {
            let Some(family) = self.families.get(series.family) else { continue };
            let Some(value) = series.take(&family.bounds) else { continue };
            if recorded.delta.add(&family.descriptor, series.labels.clone(), value).is_err() {
                recorded.invalid = recorded.invalid.saturating_add(1);
            }
        }
        recorded
    }

    fn observe_at(&mut self, place: Place, value: f64) -> Option<()> {
        let Place::At(index) = place else { return None };
        let series = self.series.get_mut(index)?;
        let bounds = self.families.get(series.family)?.bounds.as_slice();
        let Pending::Histogram { counts, sum } = &mut series.pending else { return None };
        let takes_negatives = bounds.first().is_some_and(|bound| *bound < 0.0);
        let after = *sum + value;
        if !after.is_finite() || (value < 0.0 && !takes_negatives) {
            return None;
        }
        // The first bound that is not below the value: upper bounds are inclusive.
        let count = counts.get_mut(bounds.partition_point(|bound| *bound < value))?;
        *count = count.checked_add(1)?;
        *sum = after;
        Some(())
    }

    fn pending(&mut self, place: Place) -> Option<&mut Pending> {
        let Place::At(index) = place else { return None };
        self.series.get_mut(index).map(|series| &mut series.pending)
    }

    fn settle(&mut self, place: Place, is_taken: bool) {
        self.has_recorded = true;
        if !is_taken {
            let lost = if place == Place::Limited { &mut self.limited } else { &mut self.invalid };
            *lost = lost.saturating_add(1);
        }
    }
}

impl Family {
    /// `None` where the description is none that a family can have; a [`crate::Family`] has no such.
    fn new(description: &Description<'_>) -> Option<Self> {
        let Description { name, help, unit, kind, labels, bounds } = *description;
        if matches!(kind, MetricKind::UpDown | MetricKind::Exponential) {
            return None;
        }
        Some(Self {
            descriptor: FamilyDescriptor::new(name, help, unit, kind).ok()?,
            labels: labels.iter().map(|name| LabelName::new(*name)).collect::<Result<_, _>>().ok()?,
            bounds: ExplicitBounds::new(bounds).ok()?,
            series: Vec::new(),
            overflow: None,
        })
    }

    /// Says whether this is the family that is described, and not another of its name.
    fn is(&self, description: &Description<'_>) -> bool {
        let labels = self.labels.iter().map(LabelName::as_str);
        self.descriptor.kind() == description.kind
            && labels.eq(description.labels.iter().copied())
            && self.bounds.as_slice() == description.bounds
    }

    fn find(&self, values: &[&str]) -> Result<usize, usize> {
        let found = self.series.binary_search_by(|(own, _)| own.iter().map(AsRef::as_ref).cmp(values.iter().copied()));
        found.and_then(|at| self.series.get(at).map(|(_, place)| *place).ok_or(at))
    }

    fn label_set(&self, values: &[&str]) -> Result<LabelSet, LabelError> {
        LabelSet::new(self.labels.iter().cloned().zip(values.iter().copied()))
    }

    fn begin(&self, family: usize, labels: LabelSet) -> Series {
        let pending = match self.descriptor.kind() {
            MetricKind::Counter => Pending::Counter(0),
            // There are no families of the last two.
            MetricKind::Gauge | MetricKind::UpDown | MetricKind::Exponential => Pending::Gauge(None),
            MetricKind::Histogram => {
                Pending::Histogram { counts: vec![0; self.bounds.as_slice().len().saturating_add(1)], sum: 0.0 }
            }
        };
        Series { family, labels, pending, is_new: true }
    }
}

impl Series {
    /// What was added since the last time; `None` for nothing.
    fn take(&mut self, bounds: &ExplicitBounds) -> Option<Value> {
        let is_new = std::mem::take(&mut self.is_new);
        match &mut self.pending {
            Pending::Counter(count) => {
                let count = std::mem::take(count);
                (is_new || count > 0).then_some(Value::Counter(count))
            }
            Pending::Gauge(reading) => {
                let (value, time_ms) = reading.take()?;
                Gauge::new(Number::Float(value), time_ms).ok().map(Value::Gauge)
            }
            Pending::Histogram { counts, sum } => {
                if !is_new && counts.iter().all(|count| *count == 0) {
                    return None;
                }
                let bounds = Bounds::Explicit(bounds.clone());
                let taken = Histogram::from_parts(bounds, counts.clone(), Number::Float(std::mem::take(sum)));
                counts.fill(0);
                taken.ok().map(Value::Histogram)
            }
        }
    }
}

#[cfg(test)]
mod tests;
