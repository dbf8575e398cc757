//! One state out of several: whatever copies come and in whatever order, the sum is that of one state that was given
//! everything.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of a test")]

use std::collections::BTreeMap;

use proptest::{collection::vec, prelude::*, sample::Index};
use tributary_telemetry::{
    Absorbed, Bounds, Delta, ExplicitBounds, ExponentialHistogram, ExponentialParts, FamilyDescriptor, Gauge,
    Histogram, LabelSet, MetricKind, Number, Snapshot, Value,
    arbitrary::delta,
    limits::{MAX_CUSTOM_BYTES, MAX_OVERFLOW_BYTES, MAX_SERIES, MAX_SERIES_PER_FAMILY, MAX_SNAPSHOT_BYTES},
};

type Series = BTreeMap<(String, LabelSet), (u64, Value)>;

fn series(state: &Snapshot) -> Series {
    let of_family = |family: &tributary_telemetry::MetricFamily| {
        let name = family.descriptor().name().to_owned();
        let row = |(labels, series): (&LabelSet, &tributary_telemetry::Series)| {
            ((name.clone(), labels.clone()), (series.start_time_ms(), series.value().clone()))
        };
        family.series().map(row).collect::<Vec<_>>()
    };
    state.families().flat_map(of_family).collect()
}

/// An exponential histogram that came in parts is as fine as those are. One that was observed as a whole may be coarser: it
/// remembers buckets that its zero bucket swallowed since. Both count the same.
fn comparable(value: Value) -> Value {
    match value {
        Value::Exponential(histogram) if histogram.zero_threshold() > 0.0 => {
            let parts = ExponentialParts {
                zero_count: histogram.count(),
                zero_threshold: 1.0,
                sum: histogram.sum(),
                ..ExponentialParts::default()
            };
            Value::Exponential(ExponentialHistogram::new(parts).unwrap())
        }
        other => other,
    }
}

fn values(state: &Snapshot) -> BTreeMap<(String, LabelSet), Value> {
    series(state).into_iter().map(|(key, (_, value))| (key, comparable(value))).collect()
}

/// What takes in: its state, and the copies that are in it.
struct Main {
    state: Snapshot,
    copies: Vec<Snapshot>,
}

impl Main {
    fn take_in(&mut self, at: usize, copy: &Snapshot, now_ms: u64) -> Absorbed {
        let added = copy.since(&self.copies[at]);
        let absorbed = self.state.absorb(&added, copy, now_ms);
        self.copies[at] = copy.clone();
        absorbed
    }
}

const NOTHING: Absorbed = Absorbed { of_pipeline: LEFT_OUT_NOTHING, custom: LEFT_OUT_NOTHING };
const LEFT_OUT_NOTHING: tributary_telemetry::Applied = tributary_telemetry::Applied {
    series_added: 0,
    series_refused: 0,
    series_overflowed: 0,
    series_coarsened: 0,
    series_conflicting: 0,
    series_overflowing: 0,
};

proptest! {
    /// Deltas go to one of four states, the first of which takes in the others at any times. A last copy of each makes its
    /// values those of one state, and its starts the earliest of all.
    #[test]
    fn whatever_copies_come_the_sum_is_that_of_one_state(
        steps in vec((any::<Index>(), delta(), any::<bool>(), any::<Index>()), 0..24),
        last in Just([1_usize, 2, 3]).prop_shuffle(),
    ) {
        let mut one = Snapshot::new(990);
        let mut others: Vec<Snapshot> = [1_010, 990, 1_000].map(Snapshot::new).into();
        let mut main = Main { state: Snapshot::new(990), copies: vec![Snapshot::new(0); 3] };
        // When the series began that it had first.
        let mut starts: BTreeMap<(String, LabelSet), u64> = BTreeMap::new();
        for (now_ms, (to, delta, comes, copy)) in (3_000..).zip(steps) {
            let _applied = one.apply(&delta, now_ms).unwrap();
            match to.index(4) {
                0 => {
                    let before = series(&main.state);
                    let _applied = main.state.apply(&delta, now_ms).unwrap();
                    let new = series(&main.state).into_iter().filter(|(key, _)| !before.contains_key(key));
                    starts.extend(new.map(|(key, (start_ms, _))| (key, start_ms)));
                }
                other => drop(others[other - 1].apply(&delta, now_ms).unwrap()),
            }
            if comes {
                let at = copy.index(3);
                let before = main.state.clone();
                let absorbed = main.take_in(at, &others[at], now_ms);
                prop_assert_eq!(absorbed.of_pipeline.series_refused + absorbed.custom.series_refused, 0);
                prop_assert!(main.state.version() > before.version());
                // The same copy again adds nothing.
                prop_assert!(others[at].since(&main.copies[at]).is_empty());
            }
        }
        for other in last {
            let _absorbed = main.take_in(other - 1, &others[other - 1], 9_000);
        }
        prop_assert_eq!(values(&main.state), values(&one));
        for state in &others {
            for (key, (start_ms, _)) in series(state) {
                starts.entry(key).and_modify(|earliest| *earliest = start_ms.min(*earliest)).or_insert(start_ms);
            }
        }
        let have: BTreeMap<_, _> = series(&main.state).into_iter().map(|(key, (start_ms, _))| (key, start_ms)).collect();
        prop_assert_eq!(have, starts);
    }

    /// What came since, on top of what was before, is what is.
    #[test]
    fn a_difference_and_what_was_before_are_what_is(before in vec(delta(), 0..4), more in vec(delta(), 0..4)) {
        let mut state = Snapshot::new(1_000);
        for delta in &before {
            let _applied = state.apply(delta, 2_000).unwrap();
        }
        let mut rebuilt = state.clone();
        let copy = state.clone();
        for delta in &more {
            let _applied = state.apply(delta, 3_000).unwrap();
        }
        prop_assert_eq!(rebuilt.absorb(&state.since(&copy), &state, 3_000).custom.series_overflowing, 0);
        let starts = |state: &Snapshot| series(state).into_values().map(|(start_ms, _)| start_ms).collect::<Vec<_>>();
        prop_assert_eq!((values(&rebuilt), starts(&rebuilt)), (values(&state), starts(&state)));
        // Of a sum that may fall nobody can say which way it went.
        let falls = [MetricKind::Gauge, MetricKind::UpDown];
        prop_assert!(copy.since(&state).families().all(|family| falls.contains(&family.descriptor().kind())),
            "what went back adds nothing");
    }
}

fn counter(name: &str) -> FamilyDescriptor {
    FamilyDescriptor::new(name.to_owned(), "", "", MetricKind::Counter).unwrap()
}

/// Two states that together do not fit: those that exist go on, what is new and has no room is refused and counted, and
/// nothing is an error.
#[test]
fn at_the_bounds_nothing_is_displaced_and_what_is_left_out_is_counted() {
    let state_of = |from: usize| {
        let mut state = Snapshot::new(1_000);
        for family in 0..12 {
            let descriptor = counter(&format!("tributary_hostile_{family}"));
            let mut delta = Delta::new();
            for series in from..from + 700 {
                let labels = LabelSet::from_pairs([("label", format!("{series:0100}"))]).unwrap();
                delta.add_counter(&descriptor, labels, 1).unwrap();
            }
            let applied = state.apply(&delta, 2_000).unwrap();
            assert_eq!(applied.series_added + applied.series_refused, 700);
        }
        state
    };
    let (mut main, mut other) = (Main { state: state_of(0), copies: vec![Snapshot::new(0)] }, state_of(350));
    let before = values(&main.state);
    let absorbed = main.take_in(0, &other, 3_000);
    assert!(absorbed.of_pipeline.series_refused > 100, "{absorbed:?}");
    let of_other = u64::try_from(other.series_count()).unwrap();
    assert!(absorbed.of_pipeline.series_added + absorbed.of_pipeline.series_refused <= of_other);
    let check = |state: &Snapshot| {
        assert!(state.series_count() <= MAX_SERIES && state.reserved_bytes() <= MAX_SNAPSHOT_BYTES);
        assert!(state.families().all(|family| family.series().len() <= MAX_SERIES_PER_FAMILY));
        let after = values(state);
        for (key, value) in &before {
            let (Value::Counter(before), Some(Value::Counter(after))) = (value, after.get(key)) else { panic!() };
            assert!(after >= before);
        }
    };
    check(&main.state);
    // What is in both grows on.
    let mut more = Delta::new();
    let labels = LabelSet::from_pairs([("label", format!("{:0100}", 360))]).unwrap();
    more.add_counter(&counter("tributary_hostile_0"), labels.clone(), 5).unwrap();
    let _applied = other.apply(&more, 4_000).unwrap();
    assert_eq!(main.take_in(0, &other, 5_000), NOTHING);
    assert_eq!(main.state.get("tributary_hostile_0", &labels).unwrap().value(), &Value::Counter(7));
    check(&main.state);
}

#[test]
fn custom_families_keep_to_their_own_bounds_and_an_overflow_leaves_out_its_series_alone() {
    let mut other = Snapshot::new(1_000);
    let mut delta = Delta::new();
    delta.add_counter(&counter("shop_orders"), LabelSet::empty(), u64::MAX).unwrap();
    delta.add_counter(&counter("tributary_x"), LabelSet::empty(), u64::MAX).unwrap();
    delta.add_counter(&counter("tributary_y"), LabelSet::empty(), 3).unwrap();
    let _applied = other.apply(&delta, 2_000).unwrap();
    let mut main = Main { state: other.clone(), copies: vec![Snapshot::new(0)] };
    let absorbed = main.take_in(0, &other, 3_000);
    assert_eq!((absorbed.of_pipeline.series_overflowing, absorbed.custom.series_overflowing), (1, 1));
    assert_eq!(main.state.get("tributary_y", &LabelSet::empty()).unwrap().value(), &Value::Counter(6));

    let mut full = Main { state: Snapshot::new(1_000), copies: vec![Snapshot::new(0); 2] };
    for at in 0..2 {
        let mut other = Snapshot::new(1_000);
        for family in 0..4 {
            let descriptor = counter(&format!("shop_{family}"));
            let mut delta = Delta::new();
            for series in 0..900 {
                let labels = LabelSet::from_pairs([("label", format!("{at}-{series:090}"))]).unwrap();
                delta.add_counter(&descriptor, labels, 1).unwrap();
            }
            let _applied = other.apply_custom(&delta, 2_000);
        }
        let absorbed = full.take_in(at, &other, 3_000);
        assert_eq!(absorbed.custom.series_overflowed > 0, at == 1, "{absorbed:?}");
    }
    assert!(full.state.reserved_bytes() <= MAX_CUSTOM_BYTES + MAX_OVERFLOW_BYTES + 200);
    // Nothing of the sum over a family is gone.
    for family in full.state.families() {
        let sum =
            family.series().map(|(_, series)| if let Value::Counter(count) = series.value() { *count } else { 0 });
        assert_eq!(sum.sum::<u64>(), 1_800);
    }
}

/// Two ledgers each have the target of a job as their isolates said it last: together there is one, the later.
#[test]
fn a_job_has_one_target_whatever_ledgers_said_of_it() {
    let family = FamilyDescriptor::new("target_info", "Target metadata", "", MetricKind::Gauge).unwrap();
    let said = |version: &str, time_ms| {
        let labels = LabelSet::from_pairs([("job", "shop"), ("service_version", version)]).unwrap();
        let mut delta = Delta::new();
        delta.add(&family, labels.clone(), Value::Gauge(Gauge::unsigned(1, time_ms))).unwrap();
        let mut state = Snapshot::new(1_000);
        let _applied = state.apply_custom(&delta, 5_000);
        (state, labels)
    };
    for (here_ms, there_ms) in [(2_000, 3_000), (3_000, 2_000)] {
        let ((here, here_labels), (there, there_labels)) = (said("1", here_ms), said("2", there_ms));
        let mut main = Main { state: here, copies: vec![Snapshot::new(0)] };
        let _absorbed = main.take_in(0, &there, 6_000);
        let latest = if here_ms > there_ms { here_labels } else { there_labels };
        let targets: Vec<_> = series(&main.state).into_keys().collect();
        assert_eq!(targets, [("target_info".to_owned(), latest)]);
    }
}

/// Infinite minus infinite is no number, and no reason to count everything twice.
#[test]
fn an_infinite_sum_is_taken_in_once() {
    let bounds = Bounds::Explicit(ExplicitBounds::new(&[1.0]).unwrap());
    let family = FamilyDescriptor::new("shop_sizes", "", "", MetricKind::Histogram).unwrap();
    let observe = |state: &mut Snapshot, value: f64| {
        let mut delta = Delta::new();
        let histogram = Histogram::from_parts(bounds.clone(), vec![0, 1], Number::Float(value)).unwrap();
        delta.add_histogram(&family, LabelSet::empty(), &histogram).unwrap();
        let _applied = state.apply(&delta, 2_000).unwrap();
    };
    let mut other = Snapshot::new(900);
    let mut main = Main { state: Snapshot::new(1_000), copies: vec![Snapshot::new(0)] };
    for value in [f64::MAX, f64::MAX, 1.0, f64::MAX] {
        observe(&mut other, value);
        let _absorbed = main.take_in(0, &other, 3_000);
        assert_eq!(values(&main.state), values(&other));
        assert_eq!(main.state.start_time_ms(), 900, "what is older began it");
    }
}
