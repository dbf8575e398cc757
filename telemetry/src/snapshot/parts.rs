//! A state as it is stored: in parts of bounded size, and what changed since.
//!
//! A part holds the series between two places of the canonical order, so what is near in it is stored together. Only the
//! parts of series that changed are written again; between two such writes a list of what changed is enough. Both are
//! states of some series alone, written and read as any other.

use std::{borrow::Cow, ops::Bound, sync::Arc};

use super::{MetricFamily, Room, Series, Snapshot};
use crate::{
    FamilyDescriptor, LabelSet,
    family::clashes,
    reserve::{family_bytes, series_bytes, series_room},
};

/// The place of a series in canonical order: by family, then by labels.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Name of the family.
    pub family: Cow<'static, str>,
    /// Labels of the series.
    pub labels: LabelSet,
}

impl Place {
    /// The place of a series of a family.
    #[must_use]
    pub fn new(family: &FamilyDescriptor, labels: &LabelSet) -> Self {
        Self { family: family.key(), labels: labels.clone() }
    }
}

/// What changed of a state.
#[derive(Clone, Debug, PartialEq)]
pub struct Touched {
    /// A state of the series alone that were added or changed, as they are now.
    pub series: Snapshot,
    /// Series that are no longer there.
    pub removed: Vec<Place>,
}

impl Default for Touched {
    fn default() -> Self {
        Self { series: Snapshot::new(0), removed: Vec::new() }
    }
}

impl Touched {
    /// The places of all of them.
    pub fn places(&self) -> impl Iterator<Item = Place> {
        self.series.places().chain(self.removed.iter().cloned())
    }

    /// What the series takes of the bounds is not worked out: nobody asks this state.
    pub(super) fn note(&mut self, descriptor: &FamilyDescriptor, labels: &LabelSet, series: &Series) {
        let families = &mut self.series.families;
        if let Some(family) = families.get_mut(descriptor.name()) {
            let family = Arc::make_mut(family);
            family.descriptor.unify(descriptor);
            family.series.insert(labels.clone(), series.clone());
        } else {
            let mut family = MetricFamily::new(descriptor);
            family.series.insert(labels.clone(), series.clone());
            families.insert(descriptor.key(), family.into());
        }
        if !self.removed.is_empty() {
            let place = Place::new(descriptor, labels);
            self.removed.retain(|removed| *removed != place);
        }
    }

    pub(super) fn note_removed(&mut self, place: Place) {
        self.series.remove(&place);
        self.removed.push(place);
    }
}

/// Why a part does not belong to a state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PartError {
    /// A family is there with another kind, or with a name that clashes.
    #[error("family {family} of a part contradicts the others")]
    Family {
        /// Name of the family.
        family: String,
    },
}

impl Snapshot {
    /// From now on [`Snapshot::take_touched`] says what changes.
    pub fn track(&mut self) {
        self.touched = Some(Box::default());
    }

    /// What changed since this was asked last; nothing where nobody called [`Snapshot::track`].
    pub fn take_touched(&mut self) -> Touched {
        let mut touched = self.touched.as_mut().map(|touched| std::mem::take(&mut **touched)).unwrap_or_default();
        touched.series.copy_numbers(self);
        touched
    }

    /// The places of all series.
    pub fn places(&self) -> impl Iterator<Item = Place> {
        let of_family = |family: &Arc<MetricFamily>| {
            let place = |labels| Place::new(&family.descriptor, labels);
            family.series.keys().map(place).collect::<Vec<_>>()
        };
        self.families.values().flat_map(of_family)
    }

    /// The series from one place on and before another, as states of them alone: one, or, where it can come to more than
    /// `most_bytes` when it is written, several of half of that or less. A series that is larger is alone. None is empty.
    #[must_use]
    pub fn between(&self, from: Option<&Place>, before: Option<&Place>, most_bytes: usize) -> Vec<Self> {
        let whole = self.part(from, before);
        if whole.families.is_empty() {
            return Vec::new();
        }
        if whole.reserved_bytes() <= most_bytes { vec![whole] } else { whole.cut(most_bytes / 2) }
    }

    fn part(&self, from: Option<&Place>, before: Option<&Place>) -> Self {
        let mut part = self.nothing_of();
        let first = from.map_or(Bound::Unbounded, |place| Bound::Included(place.family.as_ref()));
        for (name, family) in self.families.range::<str, _>((first, Bound::Unbounded)) {
            if before.is_some_and(|place| *name > place.family) {
                break;
            }
            let of_family = |place: &&Place| place.family == *name;
            let from = from.filter(of_family).map_or(Bound::Unbounded, |place| Bound::Included(&place.labels));
            let before = before.filter(of_family).map_or(Bound::Unbounded, |place| Bound::Excluded(&place.labels));
            // A range that ends before it begins would panic.
            if let (Bound::Included(from), Bound::Excluded(before)) = (from, before)
                && from >= before
            {
                break;
            }
            for (labels, series) in family.series.range((from, before)) {
                part.put(&family.descriptor, labels, series);
            }
        }
        part
    }

    fn cut(&self, most_bytes: usize) -> Vec<Self> {
        let (mut pieces, mut piece) = (Vec::new(), self.nothing_of());
        for family in self.families.values() {
            for (labels, series) in &family.series {
                let is_known = piece.families.contains_key(family.descriptor.name());
                let of_family = if is_known { 0 } else { family_bytes(&family.descriptor) };
                let wanted = series_bytes(labels, &series.value).saturating_add(of_family);
                if !piece.families.is_empty() && piece.reserved_bytes().saturating_add(wanted) > most_bytes {
                    pieces.push(std::mem::replace(&mut piece, self.nothing_of()));
                }
                piece.put(&family.descriptor, labels, series);
            }
        }
        pieces.push(piece);
        pieces
    }

    /// The state without its series.
    #[must_use]
    pub fn nothing_of(&self) -> Self {
        let mut nothing = Self::new(self.start_time_ms);
        nothing.copy_numbers(self);
        nothing
    }

    const fn copy_numbers(&mut self, other: &Self) {
        self.version = other.version;
        self.start_time_ms = other.start_time_ms;
        self.last_applied_ms = other.last_applied_ms;
    }

    fn put(&mut self, descriptor: &FamilyDescriptor, labels: &LabelSet, series: &Series) {
        if let Some(family) = self.families.get_mut(descriptor.name()) {
            let family = Arc::make_mut(family);
            family.descriptor.unify(descriptor);
            family.insert(labels.clone(), series.clone());
        } else {
            let mut family = MetricFamily::new(descriptor);
            family.insert(labels.clone(), series.clone());
            self.families.insert(descriptor.key(), family.into());
        }
    }

    /// Takes over the series of `newer` as they are there, in the place of those that are here, and its version and times.
    ///
    /// # Errors
    /// [`PartError`]; what is there then is not to be used.
    pub fn overlay(&mut self, newer: &Self) -> Result<(), PartError> {
        self.copy_numbers(newer);
        for (name, family) in &newer.families {
            let kind_of = |name: &str| self.families.get(name).map(|family| family.descriptor.kind());
            let contradicts = match kind_of(name) {
                Some(kind) => kind != family.descriptor.kind(),
                None => clashes(&family.descriptor, kind_of),
            };
            if contradicts {
                return Err(PartError::Family { family: name.to_string() });
            }
            for (labels, series) in &family.series {
                self.put(&family.descriptor, labels, series);
            }
        }
        Ok(())
    }

    /// Removes a series. The last one of a family stays: there is none without.
    pub fn remove(&mut self, place: &Place) {
        if let Some(family) = self.families.get_mut(&place.family).filter(|family| family.series.len() > 1) {
            Arc::make_mut(family).retain(|labels| *labels != place.labels);
        }
    }
}

impl MetricFamily {
    /// Keeps some of the series. A look at each, at few: only families of some hundred lose any.
    pub(super) fn retain(&mut self, is_kept: impl Fn(&LabelSet) -> bool) {
        let mut freed = Room::default();
        self.series.retain(|labels, series| {
            let is_kept = is_kept(labels);
            if !is_kept {
                freed = freed.and(series_room(self.descriptor.name(), labels, &series.value));
            }
            is_kept
        });
        self.room = self.room.without(freed);
    }
}
