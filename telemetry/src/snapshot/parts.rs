//! A state as it is stored: in parts of bounded size, and what changed since.
//!
//! A part holds the series between two places of the canonical order, so what is near in it is stored together. Only the
//! parts of series that changed are written again; between two such writes a list of what changed is enough.

use std::{borrow::Cow, ops::Bound, sync::Arc};

use super::{MetricFamily, Series, Snapshot};
use crate::{
    FamilyDescriptor, LabelSet,
    family::clashes,
    reserve::{SNAPSHOT_BYTES, family_bytes, series_bytes, series_room},
    wire::schema_of,
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

/// Series that changed, each once, in canonical order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Touched(Vec<(Cow<'static, str>, Vec<LabelSet>)>);

impl Touched {
    /// Notes a series. Those of one family come one after the other, nearly always.
    pub(super) fn push(&mut self, family: &Cow<'static, str>, labels: LabelSet) {
        match self.0.last_mut().filter(|(last, _)| last == family) {
            Some((_, known)) => known.push(labels),
            None => self.0.push((family.clone(), vec![labels])),
        }
    }

    fn in_order(mut self) -> Self {
        self.0.sort_by(|left, right| left.0.cmp(&right.0));
        let mut ordered: Vec<(Cow<'static, str>, Vec<LabelSet>)> = Vec::with_capacity(self.0.len());
        for (family, mut labels) in self.0 {
            match ordered.last_mut().filter(|(last, _)| *last == family) {
                Some((_, known)) => known.append(&mut labels),
                None => ordered.push((family, labels)),
            }
        }
        for (_, labels) in &mut ordered {
            labels.sort_unstable();
            labels.dedup();
        }
        Self(ordered)
    }

    /// The places of all of them.
    pub fn places(&self) -> impl Iterator<Item = Place> {
        let of_family = |(family, labels): &(Cow<'static, str>, Vec<LabelSet>)| {
            let place = |labels: &LabelSet| Place { family: family.clone(), labels: labels.clone() };
            labels.iter().map(place).collect::<Vec<_>>()
        };
        self.0.iter().flat_map(of_family)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.iter().map(|(_, labels)| labels.len()).sum()
    }

    /// Says whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Some series of one family.
pub(crate) struct Group<'a> {
    pub(crate) descriptor: &'a FamilyDescriptor,
    pub(crate) series: Vec<(&'a LabelSet, &'a Series)>,
}

/// Some series of a state, to be written as a state of these alone.
struct Run<'a> {
    groups: Vec<Group<'a>>,
    schema: u32,
    /// What they take at most when they are written.
    bytes: usize,
}

impl<'a> Run<'a> {
    fn new() -> Self {
        Self { groups: Vec::new(), schema: crate::wire::FIRST_SCHEMA, bytes: SNAPSHOT_BYTES }
    }

    fn push(&mut self, descriptor: &'a FamilyDescriptor, labels: &'a LabelSet, series: &'a Series) {
        self.schema = self.schema.max(schema_of(&series.value));
        self.bytes = self.bytes.saturating_add(series_bytes(labels, &series.value));
        match self.groups.last_mut().filter(|group| std::ptr::eq(group.descriptor, descriptor)) {
            Some(group) => group.series.push((labels, series)),
            None => {
                self.bytes = self.bytes.saturating_add(family_bytes(descriptor));
                self.groups.push(Group { descriptor, series: vec![(labels, series)] });
            }
        }
    }

    fn first(&self) -> Option<Place> {
        let group = self.groups.first()?;
        group.series.first().map(|(labels, _)| Place::new(group.descriptor, labels))
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
        self.touched = Some(Touched::default());
    }

    /// The series that were added, changed or removed since this was asked last; none where nobody called
    /// [`Snapshot::track`].
    pub fn take_touched(&mut self) -> Touched {
        self.touched.as_mut().map(std::mem::take).unwrap_or_default().in_order()
    }

    /// Appends a state of these series alone, as they are now, as the message in field `field` (1 to 15) of another. Those that
    /// are no longer there are given back.
    pub fn encode_touched(&self, touched: &Touched, field: u8, out: &mut Vec<u8>) -> Vec<Place> {
        let (mut run, mut removed) = (Run::new(), Vec::new());
        for (name, labels) in &touched.0 {
            let family = self.families.get(name.as_ref());
            for labels in labels {
                match family.and_then(|family| family.series.get_key_value(labels)) {
                    Some((key, series)) => {
                        if let Some(family) = family {
                            run.push(&family.descriptor, key, series);
                        }
                    }
                    None => removed.push(Place { family: name.clone(), labels: labels.clone() }),
                }
            }
        }
        self.encode_groups(run.schema, &run.groups, field, out);
        removed
    }

    /// The series from one place on and before another, each as an encoded state of them alone, with the place of its first:
    /// one, or, where they can come to more than `most` bytes, several of half of it or less. A series that is larger is
    /// alone.
    #[must_use]
    pub fn encode_between(&self, from: Option<&Place>, before: Option<&Place>, most: usize) -> Vec<(Place, Vec<u8>)> {
        let mut all = Run::new();
        self.each_between(from, before, |family, labels, series| all.push(family, labels, series));
        let runs = if all.bytes <= most { vec![all] } else { self.cut(from, before, most / 2) };
        let encode = |run: Run<'_>| {
            let first = run.first()?;
            let mut bytes = Vec::with_capacity(run.bytes / 2);
            self.encode_groups_into(run.schema, &run.groups, &mut bytes);
            Some((first, bytes))
        };
        runs.into_iter().filter_map(encode).collect()
    }

    fn cut(&self, from: Option<&Place>, before: Option<&Place>, most: usize) -> Vec<Run<'_>> {
        let mut runs = vec![Run::new()];
        self.each_between(from, before, |family, labels, series| {
            let wanted = series_bytes(labels, &series.value);
            match runs.last_mut().filter(|run| run.groups.is_empty() || run.bytes.saturating_add(wanted) <= most) {
                Some(run) => run.push(family, labels, series),
                None => {
                    let mut run = Run::new();
                    run.push(family, labels, series);
                    runs.push(run);
                }
            }
        });
        runs
    }

    fn each_between<'a>(
        &'a self,
        from: Option<&Place>,
        before: Option<&Place>,
        mut each: impl FnMut(&'a FamilyDescriptor, &'a LabelSet, &'a Series),
    ) {
        let first = from.map_or(Bound::Unbounded, |place| Bound::Included(place.family.as_ref()));
        for (name, family) in self.families.range::<str, _>((first, Bound::Unbounded)) {
            if before.is_some_and(|place| *name > place.family) {
                return;
            }
            let of_family = |place: &&Place| place.family == *name;
            let from = from.filter(of_family).map_or(Bound::Unbounded, |place| Bound::Included(&place.labels));
            let before = before.filter(of_family).map_or(Bound::Unbounded, |place| Bound::Excluded(&place.labels));
            // A range that ends before it begins would panic.
            if let (Bound::Included(from), Bound::Excluded(before)) = (from, before)
                && from >= before
            {
                return;
            }
            for (labels, series) in family.series.range((from, before)) {
                each(&family.descriptor, labels, series);
            }
        }
    }

    /// Takes over the series of `newer` as they are there, in the place of those that are here, and its version and times.
    ///
    /// # Errors
    /// [`PartError`]; what is there then is not to be used.
    pub fn overlay(&mut self, newer: Self) -> Result<(), PartError> {
        let Self { version, start_time_ms, last_applied_ms, families, .. } = newer;
        (self.version, self.start_time_ms, self.last_applied_ms) = (version, start_time_ms, last_applied_ms);
        for (name, family) in families {
            let contradicts = || PartError::Family { family: name.to_string() };
            match self.families.get_mut(&name) {
                Some(known) if known.descriptor.kind() != family.descriptor.kind() => return Err(contradicts()),
                Some(known) => {
                    let known = Arc::make_mut(known);
                    let MetricFamily { descriptor, series, .. } = Arc::unwrap_or_clone(family);
                    known.descriptor.unify(&descriptor);
                    series.into_iter().for_each(|(labels, series)| known.insert(labels, series));
                }
                None => {
                    let kind_of = |name: &str| self.families.get(name).map(|family| family.descriptor.kind());
                    if clashes(&family.descriptor, kind_of) {
                        return Err(contradicts());
                    }
                    self.families.insert(name, family);
                }
            }
        }
        Ok(())
    }

    /// Removes a series, and its family where it was the last of it.
    pub fn remove(&mut self, place: &Place) {
        let Some(family) = self.families.get_mut(&place.family) else { return };
        let family = Arc::make_mut(family);
        family.remove(&place.labels);
        if family.series.is_empty() {
            self.families.remove(&place.family);
        }
    }
}

impl MetricFamily {
    /// Takes a series out of its place.
    pub(super) fn remove(&mut self, labels: &LabelSet) {
        if let Some(series) = self.series.remove(labels) {
            self.room = self.room.without(series_room(self.descriptor.name(), labels, &series.value));
        }
    }
}
