//! What a Worker records with: families as constants of the program, and handles to their series.

use std::{cell::RefCell, marker::PhantomData};

use tributary_telemetry::{FamilyDescriptor, LabelName, MetricKind, custom::is_reserved, limits::MAX_BOUNDS};

use crate::{
    clock,
    registry::{Description, Place, Recorded, Registry},
};

thread_local! {
    /// A Worker has one thread, and what it records belongs to its isolate. No borrow is held across a wait.
    static REGISTRY: RefCell<Registry> = const { RefCell::new(Registry::new()) };
}

/// Takes all that this isolate recorded since the last time.
pub fn drain() -> Recorded {
    REGISTRY.with_borrow_mut(Registry::drain)
}

/// Says whether there is anything to [`drain`].
pub fn has_recorded() -> bool {
    REGISTRY.with_borrow(Registry::has_recorded)
}

/// A family of `K` ([`Counter`], [`Gauge`] or [`Histogram`]) with so many labels; a `static` of the Worker.
///
/// Names are checked when the program is compiled, if the family is a `static` or `const`. A name says what is counted
/// and in which unit (`shop_checkout_seconds`), without the `_total` that counters get on `/metrics`. All Workers that
/// record a family agree on its kind, its labels and its bounds: they are one family, and their series are summed.
///
/// # Examples
/// ```
/// use tributary_emitter::{Counter, Family, Histogram};
///
/// static ORDERS: Family<Counter, 1> = Family::counter("shop_orders", "Orders placed.", ["country"]);
/// static CHECKOUT: Family<Histogram, 0> =
///     Family::histogram("shop_checkout_seconds", "Time to check out.", [], &[0.1, 0.5, 1.0, 5.0]).unit("seconds");
///
/// ORDERS.with(["SE"]).increment();
/// CHECKOUT.with([]).observe(0.3);
/// ```
///
/// A name that is Confidence's, the pipeline's or Prometheus' does not compile:
///
/// ```compile_fail
/// # use tributary_emitter::{Counter, Family};
/// static FORGED: Family<Counter, 0> = Family::counter("confidence_resolves", "", []);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Family<K, const LABELS: usize> {
    name: &'static str,
    help: &'static str,
    unit: &'static str,
    kind: MetricKind,
    labels: [&'static str; LABELS],
    bounds: &'static [f64],
    handle: PhantomData<fn() -> K>,
}

impl<K, const LABELS: usize> Family<K, LABELS> {
    const fn new(
        name: &'static str,
        help: &'static str,
        kind: MetricKind,
        labels: [&'static str; LABELS],
        bounds: &'static [f64],
    ) -> Self {
        assert!(!is_reserved(name), "the name of the family is reserved");
        // Checks the rest of the name. Nothing is in it that would have to be dropped.
        std::mem::forget(FamilyDescriptor::from_static(name, help, "", kind));
        check_labels(&labels);
        check_bounds(bounds);
        Self { name, help, unit: "", kind, labels, bounds, handle: PhantomData }
    }

    /// The family with a unit: in full and plural (`seconds`, `bytes`), and the end of the name.
    ///
    /// # Panics
    /// Where it is no unit. In a `static` that is a compile error.
    #[must_use]
    pub const fn unit(self, unit: &'static str) -> Self {
        std::mem::forget(FamilyDescriptor::from_static(self.name, self.help, unit, self.kind));
        Self { unit, ..self }
    }

    /// The place of the series with these label values, in the order of the labels.
    fn place(&self, values: [&str; LABELS]) -> Place {
        let Self { name, help, unit, kind, labels, bounds, handle: _ } = self;
        let (kind, labels) = (*kind, labels.as_slice());
        let description = Description { name, help, unit, kind, labels, bounds };
        REGISTRY.with_borrow_mut(|registry| registry.place(&description, &values))
    }
}

impl<const LABELS: usize> Family<Counter, LABELS> {
    /// Describes a counter: a count that only grows.
    ///
    /// # Panics
    /// Where a name is not legal, or reserved. In a `static` that is a compile error; so for all kinds.
    #[must_use]
    pub const fn counter(name: &'static str, help: &'static str, labels: [&'static str; LABELS]) -> Self {
        Self::new(name, help, MetricKind::Counter, labels, &[])
    }

    /// The series with these label values, each at most 1,024 bytes; an empty one is an absent label. It exists from now
    /// on, at 0. Allocates only where it is new.
    pub fn with(&self, values: [&str; LABELS]) -> Counter {
        Counter(Handle::new(self.place(values)))
    }
}

impl<const LABELS: usize> Family<Gauge, LABELS> {
    /// Describes a gauge: a reading that replaces the one before. Of the readings of all isolates the latest counts.
    ///
    /// # Panics
    /// As [`Family::counter`].
    #[must_use]
    pub const fn gauge(name: &'static str, help: &'static str, labels: [&'static str; LABELS]) -> Self {
        Self::new(name, help, MetricKind::Gauge, labels, &[])
    }

    /// The series with these label values; as for counters, but that it exists when it is set.
    pub fn with(&self, values: [&str; LABELS]) -> Gauge {
        Gauge(Handle::new(self.place(values)))
    }
}

impl<const LABELS: usize> Family<Histogram, LABELS> {
    /// Describes a histogram with these upper bounds, finite and increasing; a value that equals one is counted under it.
    /// The bucket up to infinity is implied.
    ///
    /// # Panics
    /// As [`Family::counter`], and where the bounds are none.
    #[must_use]
    pub const fn histogram(
        name: &'static str,
        help: &'static str,
        labels: [&'static str; LABELS],
        bounds: &'static [f64],
    ) -> Self {
        Self::new(name, help, MetricKind::Histogram, labels, bounds)
    }

    /// The series with these label values; as for counters.
    pub fn with(&self, values: [&str; LABELS]) -> Histogram {
        Histogram(Handle::new(self.place(values)))
    }
}

const fn check_labels(names: &[&str]) {
    let mut rest = names;
    while let [name, tail @ ..] = rest {
        assert!(LabelName::is_valid(name), "the name of a label is not legal, or reserved");
        let mut others = tail;
        while let [other, further @ ..] = others {
            assert!(!is_same(name.as_bytes(), other.as_bytes()), "two labels have one name");
            others = further;
        }
        rest = tail;
    }
}

const fn is_same(mut left: &[u8], mut right: &[u8]) -> bool {
    while let ([a, rest_of_left @ ..], [b, rest_of_right @ ..]) = (left, right) {
        if *a != *b {
            return false;
        }
        (left, right) = (rest_of_left, rest_of_right);
    }
    left.is_empty() && right.is_empty()
}

const fn check_bounds(bounds: &[f64]) {
    assert!(bounds.len() <= MAX_BOUNDS, "too many bounds");
    let mut rest = bounds;
    while let [bound, tail @ ..] = rest {
        assert!(bound.is_finite(), "a bound is not finite");
        if let [next, ..] = tail {
            assert!(*bound < *next, "bounds do not increase");
        }
        rest = tail;
    }
}

/// A place in the registry of this isolate; of no use on another thread.
#[derive(Clone, Copy, Debug)]
struct Handle {
    place: Place,
    stays: PhantomData<*const ()>,
}

impl Handle {
    const fn new(place: Place) -> Self {
        Self { place, stays: PhantomData }
    }
}

/// One series of a counter.
#[derive(Clone, Copy, Debug)]
pub struct Counter(Handle);

impl Counter {
    /// Adds one. No wait and no allocation, as for every way to record.
    pub fn increment(self) {
        self.add(1);
    }

    /// Adds `count`.
    pub fn add(self, count: u64) {
        REGISTRY.with_borrow_mut(|registry| registry.add(self.0.place, count));
    }
}

/// One series of a gauge.
#[derive(Clone, Copy, Debug)]
pub struct Gauge(Handle);

impl Gauge {
    /// Takes over a reading made now. NaN is none: it is counted as dropped.
    pub fn set(self, value: f64) {
        let time_ms = clock::epoch_ms();
        REGISTRY.with_borrow_mut(|registry| registry.set(self.0.place, value, time_ms));
    }
}

/// One series of a histogram.
#[derive(Clone, Copy, Debug)]
pub struct Histogram(Handle);

impl Histogram {
    /// Observes a value, finite and, unless the first bound is below zero, not negative; any other is counted as dropped.
    pub fn observe(self, value: f64) {
        REGISTRY.with_borrow_mut(|registry| registry.observe(self.0.place, value));
    }
}

#[cfg(test)]
mod tests;
