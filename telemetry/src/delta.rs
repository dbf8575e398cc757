//! What was added in a window.

use std::{
    borrow::Cow,
    collections::{BTreeMap, btree_map::Entry},
};

use crate::{FamilyDescriptor, Gauge, Histogram, LabelSet, MergeError, SumError, Value};

/// Why something cannot be added to a [`Delta`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeltaError {
    /// The value is not of the family's kind, or the family is known with another kind.
    #[error("family {family} has another kind")]
    Kind {
        /// Name of the family.
        family: String,
    },
    /// The values of one series cannot be merged.
    #[error("family {family}: {source}")]
    Merge {
        /// Name of the family.
        family: String,
        /// Why.
        source: MergeError,
    },
    /// The number of a sum is none.
    #[error("family {family}: {source}")]
    Sum {
        /// Name of the family.
        family: String,
        /// Why.
        source: SumError,
    },
}

/// One family of a [`Delta`].
#[derive(Clone, Debug, PartialEq)]
pub struct DeltaFamily {
    descriptor: FamilyDescriptor,
    series: BTreeMap<LabelSet, Value>,
}

impl DeltaFamily {
    /// Name, help, unit and kind.
    #[must_use]
    pub const fn descriptor(&self) -> &FamilyDescriptor {
        &self.descriptor
    }

    /// The series in canonical order (by label set).
    pub fn series(&self) -> impl ExactSizeIterator<Item = (&LabelSet, &Value)> {
        self.series.iter()
    }

    /// Adds the series that fit and gives back the others.
    fn merge_fitting(&mut self, other: &Self) -> Self {
        if other.descriptor.kind() != self.descriptor.kind() {
            return other.clone();
        }
        let mut rest = BTreeMap::new();
        for (labels, value) in &other.series {
            match self.series.entry(labels.clone()) {
                Entry::Vacant(entry) => {
                    entry.insert(value.clone());
                }
                Entry::Occupied(mut entry) => match entry.get().merged(value) {
                    Ok(merged) => {
                        entry.insert(merged);
                    }
                    Err(_) => {
                        rest.insert(labels.clone(), value.clone());
                    }
                },
            }
        }
        self.descriptor.unify(&other.descriptor);
        Self { descriptor: other.descriptor.clone(), series: rest }
    }
}

/// What was added in a window, family by family: counts and histograms to add, readings to take over.
///
/// Merging is commutative and associative (float sums up to rounding), and the empty delta is its identity. Which
/// window it was is one number, the earliest start of all that was merged; gauges carry their own time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Delta {
    start_time_ms: Option<u64>,
    families: BTreeMap<Cow<'static, str>, DeltaFamily>,
}

impl Delta {
    /// A delta of nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self { start_time_ms: None, families: BTreeMap::new() }
    }

    /// Says when the window began, in milliseconds since the epoch. The earliest start that was said stays; 0 says
    /// nothing, as on the wire.
    pub fn set_start(&mut self, window_start_ms: u64) {
        if window_start_ms == 0 {
            return;
        }
        self.start_time_ms = Some(self.start_time_ms.map_or(window_start_ms, |start| start.min(window_start_ms)));
    }

    /// When the window began, in milliseconds since the epoch; `None` where nobody said.
    #[must_use]
    pub const fn start_time_ms(&self) -> Option<u64> {
        self.start_time_ms
    }

    /// Adds to a counter. Adding 0 makes the series exist.
    ///
    /// # Errors
    /// [`DeltaError`]; the delta is unchanged.
    pub fn add_counter(&mut self, family: &FamilyDescriptor, labels: LabelSet, count: u64) -> Result<(), DeltaError> {
        self.add(family, labels, Value::Counter(count))
    }

    /// Takes over a reading, unless there is a later one.
    ///
    /// # Errors
    /// [`DeltaError::Kind`]; the delta is unchanged.
    pub fn set_gauge(&mut self, family: &FamilyDescriptor, labels: LabelSet, gauge: Gauge) -> Result<(), DeltaError> {
        self.add(family, labels, Value::Gauge(gauge))
    }

    /// Adds a histogram.
    ///
    /// # Errors
    /// [`DeltaError`]; the delta is unchanged.
    pub fn add_histogram(
        &mut self,
        family: &FamilyDescriptor,
        labels: LabelSet,
        histogram: &Histogram,
    ) -> Result<(), DeltaError> {
        self.add(family, labels, Value::Histogram(histogram.clone()))
    }

    /// Adds a value of any kind.
    ///
    /// # Errors
    /// [`DeltaError`]; the delta is unchanged.
    pub fn add(&mut self, family: &FamilyDescriptor, labels: LabelSet, value: Value) -> Result<(), DeltaError> {
        let kind = || DeltaError::Kind { family: family.name().to_owned() };
        if value.kind() != family.kind() {
            return Err(kind());
        }
        value.check().map_err(|source| DeltaError::Sum { family: family.name().to_owned(), source })?;
        // Not by an entry, which takes a key: names from outside would be copied for every series.
        match self.families.get_mut(family.name()) {
            None => {
                let series = BTreeMap::from([(labels, value)]);
                self.families.insert(family.key(), DeltaFamily { descriptor: family.clone(), series });
            }
            Some(known) => {
                if known.descriptor.kind() != family.kind() {
                    return Err(kind());
                }
                match known.series.entry(labels) {
                    Entry::Vacant(entry) => {
                        entry.insert(value);
                    }
                    Entry::Occupied(mut entry) => {
                        let merge = |source| DeltaError::Merge { family: family.name().to_owned(), source };
                        let merged = entry.get().merged(&value).map_err(merge)?;
                        entry.insert(merged);
                    }
                }
                known.descriptor.unify(family);
            }
        }
        Ok(())
    }

    /// Adds all of `other`.
    ///
    /// # Errors
    /// [`DeltaError`]; the delta is unchanged.
    pub fn merge(&mut self, other: &Self) -> Result<(), DeltaError> {
        // Built aside and installed in one step. Copying costs what a batch holds: some hundred series.
        *self = self.clone().merged(other)?;
        Ok(())
    }

    /// As [`Delta::merge`], for a delta that is given up where it fails: nothing of it is copied, so that adding up many
    /// costs what they hold and not what is there already.
    ///
    /// # Errors
    /// [`DeltaError`]
    pub fn merged(mut self, other: &Self) -> Result<Self, DeltaError> {
        if let Some(start) = other.start_time_ms {
            self.set_start(start);
        }
        for family in other.families.values() {
            for (labels, value) in &family.series {
                self.add(&family.descriptor, labels.clone(), value.clone())?;
            }
        }
        Ok(self)
    }

    /// Adds what of `other` fits and gives back the rest: series of a family that is known here with another kind, or whose
    /// value does not merge with the one here.
    #[must_use = "what does not fit is given back"]
    pub fn merge_fitting(&mut self, other: &Self) -> Self {
        let mut rest = Self { start_time_ms: other.start_time_ms, families: BTreeMap::new() };
        if let Some(start) = other.start_time_ms {
            self.set_start(start);
        }
        for (name, family) in &other.families {
            match self.families.get_mut(name) {
                None => {
                    self.families.insert(name.clone(), family.clone());
                }
                Some(known) => {
                    let left = known.merge_fitting(family);
                    if !left.series.is_empty() {
                        rest.families.insert(name.clone(), left);
                    }
                }
            }
        }
        rest
    }

    /// Takes the families apart: those whose name `belongs`, and the others.
    #[must_use]
    pub fn partition(self, belongs: impl Fn(&str) -> bool) -> (Self, Self) {
        let (families, others) = self.families.into_iter().partition(|(name, _)| belongs(name));
        let part = |families| Self { start_time_ms: self.start_time_ms, families };
        (part(families), part(others))
    }

    /// The families in canonical order (by name). None is without series.
    pub fn families(&self) -> impl ExactSizeIterator<Item = &DeltaFamily> {
        self.families.values()
    }

    /// The value of one series.
    #[must_use]
    pub fn get(&self, family: &str, labels: &LabelSet) -> Option<&Value> {
        self.families.get(family)?.series.get(labels)
    }

    /// Says whether there are no series.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.families.is_empty()
    }
}
