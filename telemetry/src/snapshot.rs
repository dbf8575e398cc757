//! The cumulative state.

mod absorb;
mod capacity;
mod parts;
mod plan;
mod targets;

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use self::plan::{Addition, Plan};
pub use self::{
    absorb::Absorbed,
    capacity::{Bound, Capacity, Room},
    parts::{PartError, Place, Touched},
};
use crate::{
    Bounds, Delta, FamilyDescriptor, Histogram, LabelSet, MergeError, Value,
    custom::TARGET_INFO,
    reserve::{self, family_room, series_room},
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
    room: Room,
}

impl MetricFamily {
    pub(crate) fn new(descriptor: &FamilyDescriptor) -> Self {
        Self { descriptor: descriptor.clone(), series: BTreeMap::new(), room: family_room(descriptor) }
    }

    /// A family of these series, each once and in their order.
    pub(crate) fn of_ordered(descriptor: FamilyDescriptor, series: Vec<(LabelSet, Series)>) -> Self {
        let room = series.iter().fold(family_room(&descriptor), |room, (labels, series)| {
            room.and(series_room(descriptor.name(), labels, &series.value))
        });
        Self { descriptor, series: series.into_iter().collect(), room }
    }

    /// Puts a series in its place. One that is there keeps its kind and bounds, hence what it takes.
    pub(crate) fn insert(&mut self, labels: LabelSet, series: Series) {
        let room = series_room(self.descriptor.name(), &labels, &series.value);
        if self.series.insert(labels, series).is_none() {
            self.room = self.room.and(room);
        }
    }

    /// What the family takes of the bounds on a state.
    pub(crate) const fn room(&self) -> Room {
        self.room
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
    /// New series that the bounds of [`limits`](crate::limits) kept out: on their number, or on the bytes that they can come
    /// to.
    pub series_refused: u64,
    /// Series that contradict what is there: a family with another kind or with a clashing name, a histogram with
    /// other bounds or another kind of sum.
    pub series_conflicting: u64,
    /// Custom series past the bounds, whose values are in the overflow series of their family.
    pub series_overflowed: u64,
    /// Custom histograms with finer bounds than those that are there, counted under these.
    pub series_coarsened: u64,
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
            series_overflowed: self.series_overflowed.saturating_add(other.series_overflowed),
            series_coarsened: self.series_coarsened.saturating_add(other.series_coarsened),
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
/// Counters and histograms never go down; up-down sums may. At the bounds on series and bytes those that exist keep growing, new ones are
/// refused and counted.
///
/// A clone copies a pointer for each family, and a family that one of the two changes then: so states that were published or
/// exported can be kept beside the one that goes on.
#[derive(Clone, Debug)]
pub struct Snapshot {
    pub(crate) version: u64,
    pub(crate) start_time_ms: u64,
    pub(crate) last_applied_ms: u64,
    /// Shared with the clones of this state for as long as neither changes a family.
    pub(crate) families: BTreeMap<Cow<'static, str>, Arc<MetricFamily>>,
    /// Where it is kept says how much it may hold; not a part of what is written.
    capacity: Capacity,
    /// What changed since somebody asked, where somebody will.
    pub(crate) touched: Option<Box<Touched>>,
}

/// What is counted is equal; how much more could be, and whether anybody asks what changed, does not matter.
impl PartialEq for Snapshot {
    fn eq(&self, other: &Self) -> bool {
        (self.version, self.start_time_ms, self.last_applied_ms)
            == (other.version, other.start_time_ms, other.last_applied_ms)
            && self.families == other.families
    }
}

impl Snapshot {
    /// A state that begins to count at `start_time_ms`, in milliseconds since the epoch.
    #[must_use]
    pub const fn new(start_time_ms: u64) -> Self {
        let capacity = Capacity::IN_ONE_ROW;
        Self { version: 0, start_time_ms, last_applied_ms: 0, families: BTreeMap::new(), capacity, touched: None }
    }

    /// Says how much the state may hold from now on; without it that is [`Capacity::IN_ONE_ROW`]. What is in it stays, and
    /// goes on.
    pub const fn set_capacity(&mut self, capacity: Capacity) {
        self.capacity = capacity;
    }

    /// How much it may hold.
    #[must_use]
    pub const fn capacity(&self) -> Capacity {
        self.capacity
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
        self.families.values().map(AsRef::as_ref)
    }

    /// One series.
    #[must_use]
    pub fn get(&self, family: &str, labels: &LabelSet) -> Option<&Series> {
        self.families.get(family)?.series.get(labels)
    }

    /// The series behind a place, in canonical order.
    #[cfg(feature = "otlp")]
    pub(crate) fn series_after<'a>(
        &'a self,
        after: Option<&Place>,
    ) -> impl Iterator<Item = (&'a FamilyDescriptor, &'a LabelSet, &'a Series)> {
        use std::ops::Bound::{Excluded, Included, Unbounded};
        let first = after.map_or(Unbounded, |place| Included(place.family.as_ref()));
        self.families.range::<str, _>((first, Unbounded)).flat_map(move |(name, family)| {
            let behind = after.filter(|place| place.family == *name).map(|place| &place.labels);
            let series = family.series.range((behind.map_or(Unbounded, Excluded), Unbounded));
            series.map(|(labels, series)| (&family.descriptor, labels, series))
        })
    }

    /// How many series there are.
    #[must_use]
    pub fn series_count(&self) -> usize {
        self.families.values().map(|family| family.series.len()).sum()
    }

    /// The most bytes that [`Snapshot::encode`] can come to with the series that there are, whatever their totals.
    #[must_use]
    pub fn reserved_bytes(&self) -> usize {
        self.room().bytes
    }

    /// What the state takes of its bounds.
    #[must_use]
    pub fn room(&self) -> Room {
        self.families.values().fold(reserve::EMPTY, |sum, family| sum.and(family.room))
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
        let additions = plan.into_additions();
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
        Ok((plan.into_additions(), applied))
    }

    fn finish(&mut self, additions: Vec<Addition<'_>>, now_ms: u64) {
        self.install(additions);
        // One per delta: 2^64 of them are out of reach.
        self.version = self.version.saturating_add(1);
        self.last_applied_ms = self.last_applied_ms.max(now_ms);
    }

    /// Adds a delta of [`custom`](crate::custom) metrics to the state at `now_ms`, as [`Snapshot::apply`] does, but for this:
    ///
    /// - It cannot fail: a series whose total would pass its range is left out and counted.
    /// - All custom families together stay within [`Capacity::custom`].
    /// - What has no room goes into the overflow series of its family ([`custom::overflow_labels`](crate::custom::overflow_labels)),
    ///   for which there is some left, so that the sum over a family stays right.
    /// - A histogram whose bounds are finer than those that are there, so that each of these is one of its own, is counted
    ///   under these: no count moves to another side of a bound.
    /// - Of [`TARGET_INFO`] each `job` has one series, the latest.
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
        let additions = plan.into_additions();
        self.install(additions);
        self.settle_targets();
        self.version = self.version.saturating_add(1);
        self.last_applied_ms = self.last_applied_ms.max(now_ms);
        applied
    }

    /// Installs what a [`Plan`] found good. Cannot fail.
    fn install(&mut self, additions: Vec<Addition<'_>>) {
        for Addition { descriptor, labels, series } in additions {
            let family = self.families.entry(descriptor.key()).or_insert_with(|| MetricFamily::new(descriptor).into());
            let family = Arc::make_mut(family);
            family.descriptor.unify(descriptor);
            if let Some(touched) = &mut self.touched {
                touched.note(&family.descriptor, &labels, &series);
            }
            family.insert(labels, series);
        }
    }
}
