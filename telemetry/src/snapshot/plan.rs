//! What applying a delta would do, worked out beside the state.

use std::collections::BTreeMap;

use super::{Applied, Capacity, Room, Series, Snapshot};
use crate::{
    FamilyDescriptor, LabelSet, MergeError, MetricKind, Value,
    custom::{self, TARGET_INFO, is_overflow, overflow_labels},
    family::clashes,
    limits::MAX_TARGETS,
    reserve::{family_room, series_room},
};

/// A series as it will be.
pub(super) struct Addition<'a> {
    pub(super) descriptor: &'a FamilyDescriptor,
    pub(super) labels: LabelSet,
    pub(super) series: Series,
}

/// What applying would do.
pub(super) struct Plan<'s, 'a> {
    state: &'s Snapshot,
    additions: Vec<Addition<'a>>,
    /// The overflow series that the plan adds to, by family.
    overflow: BTreeMap<&'a str, Addition<'a>>,
    /// The labels of those.
    overflow_labels: LabelSet,
    /// Families that the plan adds.
    new_families: BTreeMap<&'a str, MetricKind>,
    /// What the plan adds to each family.
    new_series: BTreeMap<&'a str, Room>,
    /// All that there is, with what the plan adds.
    total: Room,
    /// All of custom families, likewise, where the plan is one of these.
    custom: Option<Room>,
}

impl<'s, 'a> Plan<'s, 'a> {
    pub(super) fn new(state: &'s Snapshot) -> Self {
        let (additions, overflow) = (Vec::new(), BTreeMap::new());
        let (new_families, new_series) = (BTreeMap::new(), BTreeMap::new());
        let total = state.room();
        let overflow_labels = overflow_labels();
        Self { state, additions, overflow, overflow_labels, new_families, new_series, total, custom: None }
    }

    pub(super) fn of_custom(state: &'s Snapshot) -> Self {
        let of_custom = state.families.values().filter(|family| !custom::is_of_pipeline(family.descriptor.name()));
        let custom = of_custom.fold(Room::default(), |room, family| room.and(family.room()));
        Self { custom: Some(custom), ..Self::new(state) }
    }

    /// What the plan found good.
    pub(super) fn into_additions(self) -> Vec<Addition<'a>> {
        let mut additions = self.additions;
        additions.extend(self.overflow.into_values());
        additions
    }

    /// The series that was planned last began at `start_time_ms`, if it is this one and did not begin earlier.
    pub(super) fn begin_by(&mut self, family: &str, labels: &LabelSet, start_time_ms: u64) {
        if let Some(addition) = self.additions.last_mut()
            && addition.labels == *labels
            && addition.descriptor.name() == family
        {
            addition.series.start_time_ms = addition.series.start_time_ms.min(start_time_ms);
        }
    }

    const fn capacity(&self) -> &'s Capacity {
        &self.state.capacity
    }

    /// Takes room for a new series, where there is any.
    fn take_room(&mut self, descriptor: &'a FamilyDescriptor, labels: &LabelSet, value: &Value) -> bool {
        let name = descriptor.name();
        let family = self.state.families.get(name);
        let planned = self.new_series.get(name).copied().unwrap_or_default();
        let mut room = series_room(descriptor.name(), labels, value);
        if family.is_none() && planned.series == 0 {
            room = room.and(family_room(descriptor));
        }
        let planned = planned.and(room);
        let in_family = family.map_or(planned, |family| planned.and(family.room()));
        let total = self.total.and(room);
        let custom = self.custom.map(|custom| custom.and(room));
        let capacity = self.capacity();
        let has_room = match custom {
            // Of a family that is there: no new one takes the room of these.
            Some(custom) if is_overflow(labels) && (family.is_some() || planned.series > 1) => {
                capacity.takes(custom, capacity.custom_with_overflow())
            }
            Some(custom) => capacity.takes(custom, capacity.custom) && self.keeps_overflow(name, in_family, value),
            None => true,
        };
        let has_room = has_room && capacity.takes(in_family, capacity.family) && capacity.takes(total, capacity.all);
        if has_room {
            self.total = total;
            self.custom = custom;
            self.new_series.insert(name, planned);
            if family.is_none() {
                self.new_families.insert(name, descriptor.kind());
            }
        }
        has_room
    }

    /// Says whether a custom family with so much in it could still take its overflow series, were it like `value`.
    fn keeps_overflow(&self, name: &str, in_family: Room, value: &Value) -> bool {
        if name == TARGET_INFO {
            return in_family.series <= MAX_TARGETS;
        }
        let labels = &self.overflow_labels;
        let is_there = self.overflow.contains_key(name) || self.state.get(name, labels).is_some();
        let capacity = self.capacity();
        is_there || capacity.takes(in_family.and(series_room(name, labels, value)), capacity.family)
    }

    /// The kind of a family that exists or is planned.
    fn kind_of(&self, name: &str) -> Option<MetricKind> {
        let known = self.state.families.get(name).map(|family| family.descriptor.kind());
        known.or_else(|| self.new_families.get(name).copied())
    }

    /// Plans one series. `Err` only for a total that passes its range.
    pub(super) fn add(
        &mut self,
        descriptor: &'a FamilyDescriptor,
        labels: &LabelSet,
        value: &Value,
        start_time_ms: u64,
        applied: &mut Applied,
    ) -> Result<(), MergeError> {
        let name = descriptor.name();
        let conflicting = match self.kind_of(name) {
            Some(kind) => kind != descriptor.kind(),
            None => clashes(descriptor, |other| self.kind_of(other)),
        };
        if conflicting || value.kind() != descriptor.kind() {
            applied.series_conflicting = applied.series_conflicting.saturating_add(1);
            return Ok(());
        }
        if self.custom.is_some() && is_overflow(labels) {
            return self.add_overflow(descriptor, value, start_time_ms, applied).map(drop);
        }
        let family = self.state.families.get(name);
        let series = match family.and_then(|family| family.series.get(labels)) {
            Some(series) => match self.merged(series, value, applied)? {
                Some(series) => series,
                None => return Ok(()),
            },
            None if self.take_room(descriptor, labels, value) => {
                applied.series_added = applied.series_added.saturating_add(1);
                Series { start_time_ms, value: value.clone() }
            }
            None if self.custom.is_some() && name != TARGET_INFO => {
                let is_in = self.add_overflow(descriptor, value, start_time_ms, applied)?;
                applied.series_overflowed = applied.series_overflowed.saturating_add(u64::from(is_in));
                return Ok(());
            }
            None => {
                applied.series_refused = applied.series_refused.saturating_add(1);
                return Ok(());
            }
        };
        self.additions.push(Addition { descriptor, labels: labels.clone(), series });
        Ok(())
    }

    /// Plans a value in the overflow series of its family. `false` where it is not taken, which is counted.
    fn add_overflow(
        &mut self,
        descriptor: &'a FamilyDescriptor,
        value: &Value,
        start_time_ms: u64,
        applied: &mut Applied,
    ) -> Result<bool, MergeError> {
        let (name, labels) = (descriptor.name(), self.overflow_labels.clone());
        let planned = self.overflow.get(name).map(|addition| addition.series.clone());
        let series = match planned.or_else(|| self.state.get(name, &labels).cloned()) {
            Some(series) => match self.merged(&series, value, applied)? {
                Some(series) => series,
                None => return Ok(false),
            },
            None if self.take_room(descriptor, &labels, value) => {
                applied.series_added = applied.series_added.saturating_add(1);
                Series { start_time_ms, value: value.clone() }
            }
            None => {
                applied.series_refused = applied.series_refused.saturating_add(1);
                return Ok(false);
            }
        };
        self.overflow.insert(name, Addition { descriptor, labels, series });
        Ok(true)
    }

    /// A series with a value added; `None` where the value contradicts it, which is counted.
    fn merged(&self, series: &Series, value: &Value, applied: &mut Applied) -> Result<Option<Series>, MergeError> {
        let merged = match (series.value.merged(value), &series.value, value) {
            (Err(MergeError::BoundsDiffer), Value::Histogram(known), Value::Histogram(finer))
                if self.custom.is_some() =>
            {
                match finer.coarsened(known.bounds()) {
                    Some(coarse) => {
                        let merged = known.merged(&coarse).map(Value::Histogram);
                        applied.series_coarsened = applied.series_coarsened.saturating_add(u64::from(merged.is_ok()));
                        merged
                    }
                    None => Err(MergeError::BoundsDiffer),
                }
            }
            (merged, ..) => merged,
        };
        match merged {
            Ok(value) => Ok(Some(Series { start_time_ms: series.start_time_ms, value })),
            Err(error) if error.is_conflict() => {
                applied.series_conflicting = applied.series_conflicting.saturating_add(1);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}
