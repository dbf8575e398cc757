//! The cumulative state.

use std::{borrow::Cow, collections::BTreeMap};

mod absorb;

pub use absorb::Absorbed;

use crate::{
    Bounds, Delta, FamilyDescriptor, Histogram, LabelSet, MergeError, MetricKind, Value, custom,
    family::clashes,
    limits::{
        MAX_CUSTOM_BYTES, MAX_CUSTOM_SERIES, MAX_FAMILY_BYTES, MAX_SERIES, MAX_SERIES_PER_FAMILY, MAX_SNAPSHOT_BYTES,
    },
    reserve::{SNAPSHOT_BYTES, family_bytes, series_bytes},
};

/// One series of a [`Snapshot`].
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    pub(crate) start_time_ms: u64,
    pub(crate) value: Value,
}

impl Series {
    /// When the series began, in milliseconds since the epoch. Never moves, but for [`Snapshot::seed`].
    #[must_use]
    pub const fn start_time_ms(&self) -> u64 {
        self.start_time_ms
    }

    /// The total.
    #[must_use]
    pub const fn value(&self) -> &Value {
        &self.value
    }
}

/// One family of a [`Snapshot`].
#[derive(Clone, Debug, PartialEq)]
pub struct MetricFamily {
    descriptor: FamilyDescriptor,
    series: BTreeMap<LabelSet, Series>,
    /// What the family and its series take at most when they are written. Follows from the other fields.
    reserved_bytes: usize,
}

impl MetricFamily {
    pub(crate) fn new(descriptor: &FamilyDescriptor) -> Self {
        let reserved_bytes = family_bytes(descriptor);
        Self { descriptor: descriptor.clone(), series: BTreeMap::new(), reserved_bytes }
    }

    /// Puts a series in its place. One that is there keeps its kind and bounds, hence what it takes.
    pub(crate) fn insert(&mut self, labels: LabelSet, series: Series) {
        let bytes = series_bytes(&labels, &series.value);
        if self.series.insert(labels, series).is_none() {
            self.reserved_bytes = self.reserved_bytes.saturating_add(bytes);
        }
    }

    /// Name, help, unit and kind.
    #[must_use]
    pub const fn descriptor(&self) -> &FamilyDescriptor {
        &self.descriptor
    }

    /// The series in canonical order (by label set).
    pub fn series(&self) -> impl ExactSizeIterator<Item = (&LabelSet, &Series)> {
        self.series.iter()
    }
}

/// What [`Snapshot::apply`] did with the series of a delta.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use = "refused series are counted, not passed over"]
pub struct Applied {
    /// Series that were not there before.
    pub series_added: u64,
    /// New series that the bounds kept out: on their number ([`MAX_SERIES`], [`MAX_SERIES_PER_FAMILY`]) or on the bytes
    /// that they can come to ([`MAX_SNAPSHOT_BYTES`], [`MAX_FAMILY_BYTES`]).
    pub series_refused: u64,
    /// Series that contradict what is there: a family with another kind or with a clashing name, a histogram with
    /// other bounds or another kind of sum.
    pub series_conflicting: u64,
    /// Series whose total would pass its range; only custom ones are left out alone ([`Snapshot::apply_custom`]).
    pub series_overflowing: u64,
}

impl Applied {
    /// Adds what another step did.
    pub const fn and(self, other: Self) -> Self {
        Self {
            series_added: self.series_added.saturating_add(other.series_added),
            series_refused: self.series_refused.saturating_add(other.series_refused),
            series_conflicting: self.series_conflicting.saturating_add(other.series_conflicting),
            series_overflowing: self.series_overflowing.saturating_add(other.series_overflowing),
        }
    }
}

/// Why a delta cannot be applied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ApplyError {
    /// A total would pass its range.
    #[error("family {family}: {source}")]
    Overflow {
        /// Name of the family.
        family: String,
        /// Which total.
        source: MergeError,
    },
}

/// What a series begins with when it is declared before it has a value.
#[derive(Clone, Debug, PartialEq)]
pub enum Zero {
    /// A counter at 0.
    Counter,
    /// A histogram without observations.
    Histogram(Bounds),
}

impl Zero {
    fn into_value(self) -> Value {
        match self {
            Self::Counter => Value::Counter(0),
            Self::Histogram(bounds) => Value::Histogram(Histogram::new(bounds)),
        }
    }
}

/// The cumulative state: the sum of all deltas that were applied, in any order.
///
/// Counters and histograms never go down. At the bounds on series and bytes those that exist keep growing, new ones are
/// refused and counted.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    pub(crate) version: u64,
    pub(crate) start_time_ms: u64,
    pub(crate) last_applied_ms: u64,
    pub(crate) families: BTreeMap<Cow<'static, str>, MetricFamily>,
}

impl Snapshot {
    /// A state that begins to count at `start_time_ms`, in milliseconds since the epoch.
    #[must_use]
    pub const fn new(start_time_ms: u64) -> Self {
        Self { version: 0, start_time_ms, last_applied_ms: 0, families: BTreeMap::new() }
    }

    /// How many deltas were applied.
    #[must_use]
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// When the state began to count, in milliseconds since the epoch. Never moves, but for [`Snapshot::seed`].
    #[must_use]
    pub const fn start_time_ms(&self) -> u64 {
        self.start_time_ms
    }

    /// When the last delta was applied, in milliseconds since the epoch; 0: never. Never moves back.
    #[must_use]
    pub const fn last_applied_ms(&self) -> u64 {
        self.last_applied_ms
    }

    /// The families in canonical order (by name). None is without series.
    pub fn families(&self) -> impl ExactSizeIterator<Item = &MetricFamily> {
        self.families.values()
    }

    /// One series.
    #[must_use]
    pub fn get(&self, family: &str, labels: &LabelSet) -> Option<&Series> {
        self.families.get(family)?.series.get(labels)
    }

    /// How many series there are.
    #[must_use]
    pub fn series_count(&self) -> usize {
        self.families.values().map(|family| family.series.len()).sum()
    }

    /// The most bytes that [`Snapshot::encode`] can come to with the series that there are, whatever their totals.
    #[must_use]
    pub fn reserved_bytes(&self) -> usize {
        self.families.values().fold(SNAPSHOT_BYTES, |sum, family| sum.saturating_add(family.reserved_bytes))
    }

    /// Makes a series exist before it has a value. One that exists is left alone.
    ///
    /// The series starts with the state itself: it was 0 all that time. The version does not move.
    pub fn declare(&mut self, family: &FamilyDescriptor, labels: LabelSet, zero: Zero) -> Applied {
        let value = zero.into_value();
        let mut plan = Plan::new(self);
        let mut applied = Applied::default();
        // Looked at as a merge: a value of nothing changes no series that exists, and conflicts with what differs.
        // Only an overflow is an error, and nothing overflows by adding zero.
        let planned = plan.add(family, &labels, &value, self.start_time_ms, &mut applied);
        let additions = plan.additions;
        if planned.is_ok() {
            self.install(additions);
        }
        applied
    }

    /// Adds a delta to the state at `now_ms`, in milliseconds since the epoch.
    ///
    /// A new series starts when the delta's window began, but not before the state and not after `now_ms`. Everything
    /// is checked before anything changes.
    ///
    /// # Errors
    /// [`ApplyError::Overflow`]; the state is unchanged.
    pub fn apply(&mut self, delta: &Delta, now_ms: u64) -> Result<Applied, ApplyError> {
        let latest_start_ms = now_ms.max(self.start_time_ms);
        let start_time_ms = delta.start_time_ms().unwrap_or(0).clamp(self.start_time_ms, latest_start_ms);
        let (additions, applied) = self.plan(delta, start_time_ms)?;
        self.finish(additions, now_ms);
        Ok(applied)
    }

    /// Adds totals that were counted elsewhere before, at `now_ms`, in milliseconds since the epoch: the state goes on
    /// from where they ended.
    ///
    /// Where they began before the state ([`Delta::start_time_ms`]), their series begin there, those that exist too,
    /// and so does the state: a start is never later than what its total counts. This is the one thing that moves a
    /// start, and it moves it back only.
    ///
    /// # Errors
    /// [`ApplyError::Overflow`]; the state is unchanged.
    pub fn seed(&mut self, totals: &Delta, now_ms: u64) -> Result<Applied, ApplyError> {
        let start_time_ms = totals.start_time_ms().unwrap_or(self.start_time_ms).min(now_ms.max(self.start_time_ms));
        let (mut additions, applied) = self.plan(totals, start_time_ms)?;
        for Addition { series, .. } in &mut additions {
            series.start_time_ms = series.start_time_ms.min(start_time_ms);
        }
        self.start_time_ms = self.start_time_ms.min(start_time_ms);
        self.finish(additions, now_ms);
        Ok(applied)
    }

    /// Works out what adding all of a delta would do.
    fn plan<'a>(&self, delta: &'a Delta, start_time_ms: u64) -> Result<(Vec<Addition<'a>>, Applied), ApplyError> {
        let mut plan = Plan::new(self);
        let mut applied = Applied::default();
        for family in delta.families() {
            for (labels, value) in family.series() {
                plan.add(family.descriptor(), labels, value, start_time_ms, &mut applied)
                    .map_err(|source| ApplyError::Overflow { family: family.descriptor().name().to_owned(), source })?;
            }
        }
        Ok((plan.additions, applied))
    }

    fn finish(&mut self, additions: Vec<Addition<'_>>, now_ms: u64) {
        self.install(additions);
        // One per delta: 2^64 of them are out of reach.
        self.version = self.version.saturating_add(1);
        self.last_applied_ms = self.last_applied_ms.max(now_ms);
    }

    /// Adds a delta of [`custom`] metrics to the state at `now_ms`, as [`Snapshot::apply`] does, with two differences: it
    /// cannot fail, since a series whose total would pass its range is left out and counted; and all custom families
    /// together stay within [`MAX_CUSTOM_SERIES`] and [`MAX_CUSTOM_BYTES`].
    pub fn apply_custom(&mut self, delta: &Delta, now_ms: u64) -> Applied {
        let latest_start_ms = now_ms.max(self.start_time_ms);
        let start_time_ms = delta.start_time_ms().unwrap_or(0).clamp(self.start_time_ms, latest_start_ms);
        let mut plan = Plan::of_custom(self);
        let mut applied = Applied::default();
        for family in delta.families() {
            for (labels, value) in family.series() {
                if plan.add(family.descriptor(), labels, value, start_time_ms, &mut applied).is_err() {
                    applied.series_overflowing = applied.series_overflowing.saturating_add(1);
                }
            }
        }
        let additions = plan.additions;
        self.install(additions);
        self.version = self.version.saturating_add(1);
        self.last_applied_ms = self.last_applied_ms.max(now_ms);
        applied
    }

    /// Installs what a [`Plan`] found good. Cannot fail.
    fn install(&mut self, additions: Vec<Addition<'_>>) {
        for Addition { descriptor, labels, series } in additions {
            let family = self.families.entry(descriptor.key()).or_insert_with(|| MetricFamily::new(descriptor));
            family.descriptor.unify(descriptor);
            family.insert(labels.clone(), series);
        }
    }
}

/// A series as it will be.
struct Addition<'a> {
    descriptor: &'a FamilyDescriptor,
    labels: &'a LabelSet,
    series: Series,
}

/// What applying would do, worked out beside the state.
struct Plan<'s, 'a> {
    state: &'s Snapshot,
    additions: Vec<Addition<'a>>,
    /// Families that the plan adds.
    new_families: BTreeMap<&'a str, MetricKind>,
    /// What the plan adds to each family.
    new_series: BTreeMap<&'a str, Room>,
    /// All that there is, with what the plan adds.
    total: Room,
    /// All of custom families, likewise, where the plan is one of these.
    custom: Option<Room>,
}

/// What series take of the bounds.
#[derive(Clone, Copy, Debug, Default)]
struct Room {
    series: usize,
    bytes: usize,
}

impl Room {
    const fn and(self, series: usize, bytes: usize) -> Self {
        Self { series: self.series.saturating_add(series), bytes: self.bytes.saturating_add(bytes) }
    }

    const fn is_within(self, most_series: usize, most_bytes: usize) -> bool {
        self.series <= most_series && self.bytes <= most_bytes
    }
}

impl<'s, 'a> Plan<'s, 'a> {
    fn new(state: &'s Snapshot) -> Self {
        let (additions, new_families, new_series) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
        let total = Room { series: state.series_count(), bytes: state.reserved_bytes() };
        Self { state, additions, new_families, new_series, total, custom: None }
    }

    fn of_custom(state: &'s Snapshot) -> Self {
        let of_custom = state.families.values().filter(|family| !custom::is_reserved(family.descriptor.name()));
        let custom =
            of_custom.fold(Room::default(), |room, family| room.and(family.series.len(), family.reserved_bytes));
        Self { custom: Some(custom), ..Self::new(state) }
    }

    /// Takes room for a new series, where there is any.
    fn take_room(&mut self, descriptor: &'a FamilyDescriptor, labels: &LabelSet, value: &Value) -> bool {
        let name = descriptor.name();
        let family = self.state.families.get(name);
        let planned = self.new_series.get(name).copied().unwrap_or_default();
        let mut bytes = series_bytes(labels, value);
        if family.is_none() && planned.series == 0 {
            bytes = bytes.saturating_add(family_bytes(descriptor));
        }
        let planned = planned.and(1, bytes);
        let in_family = family.map_or(planned, |family| planned.and(family.series.len(), family.reserved_bytes));
        let total = self.total.and(1, bytes);
        let custom = self.custom.map(|custom| custom.and(1, bytes));
        let has_room = in_family.is_within(MAX_SERIES_PER_FAMILY, MAX_FAMILY_BYTES)
            && custom.is_none_or(|custom| custom.is_within(MAX_CUSTOM_SERIES, MAX_CUSTOM_BYTES))
            && total.is_within(MAX_SERIES, MAX_SNAPSHOT_BYTES);
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

    /// The kind of a family that exists or is planned.
    fn kind_of(&self, name: &str) -> Option<MetricKind> {
        let known = self.state.families.get(name).map(|family| family.descriptor.kind());
        known.or_else(|| self.new_families.get(name).copied())
    }

    /// Plans one series. `Err` only for a total that passes its range.
    fn add(
        &mut self,
        descriptor: &'a FamilyDescriptor,
        labels: &'a LabelSet,
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
        let family = self.state.families.get(name);
        let series = match family.and_then(|family| family.series.get(labels)) {
            Some(series) => match series.value.merged(value) {
                Ok(value) => Series { start_time_ms: series.start_time_ms, value },
                Err(error) if error.is_conflict() => {
                    applied.series_conflicting = applied.series_conflicting.saturating_add(1);
                    return Ok(());
                }
                Err(error) => return Err(error),
            },
            None => {
                if !self.take_room(descriptor, labels, value) {
                    applied.series_refused = applied.series_refused.saturating_add(1);
                    return Ok(());
                }
                applied.series_added = applied.series_added.saturating_add(1);
                Series { start_time_ms, value: value.clone() }
            }
        };
        self.additions.push(Addition { descriptor, labels, series });
        Ok(())
    }
}
