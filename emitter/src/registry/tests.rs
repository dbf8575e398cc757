use tributary_telemetry::limits::MAX_LABEL_VALUE_BYTES;

use super::*;

const BOUNDS: &[f64] = &[1.0, 2.5, 10.0];

fn describe<'a>(name: &'static str, kind: MetricKind, labels: &'a [&'static str]) -> Description<'a> {
    let bounds = if kind == MetricKind::Histogram { BOUNDS } else { &[] };
    Description { name, help: "Help.", unit: "", kind, labels, bounds }
}

const ORDERS: Description<'static> = Description {
    name: "orders",
    help: "Orders.",
    unit: "",
    kind: MetricKind::Counter,
    labels: &["country", "paid"],
    bounds: &[],
};

fn labels(pairs: &[(&str, &str)]) -> LabelSet {
    LabelSet::from_pairs(pairs.iter().copied()).unwrap()
}

#[test]
fn a_series_is_one_place_and_what_was_drained_is_not_drained_again() {
    let mut registry = Registry::new();
    assert!(!registry.has_recorded());
    let se = registry.place(&ORDERS, &["SE", "yes"]);
    let no = registry.place(&ORDERS, &["NO", ""]);
    assert_eq!(registry.place(&ORDERS, &["SE", "yes"]), se);
    assert_ne!(se, no);
    registry.add(se, 2);
    registry.add(se, 3);
    let drained = registry.drain();
    let count = |recorded: &Recorded, pairs: &[(&str, &str)]| recorded.delta.get("orders", &labels(pairs)).cloned();
    assert_eq!(count(&drained, &[("country", "SE"), ("paid", "yes")]), Some(Value::Counter(5)));
    // New: it begins at 0, and an empty value is no label.
    assert_eq!(count(&drained, &[("country", "NO")]), Some(Value::Counter(0)));
    assert_eq!((drained.invalid, drained.delta.start_time_ms()), (0, None));
    assert_eq!((registry.has_recorded(), registry.drain()), (false, Recorded::default()));
    registry.add(no, 1);
    let drained = registry.drain();
    assert_eq!(count(&drained, &[("country", "NO")]), Some(Value::Counter(1)));
    assert_eq!(count(&drained, &[("country", "SE"), ("paid", "yes")]), None, "nothing was added");
}

#[test]
fn observations_fall_under_their_inclusive_bound() {
    let mut registry = Registry::new();
    let place = registry.place(&describe("h", MetricKind::Histogram, &[]), &[]);
    for value in [0.0, 1.0, 1.1, 2.5, 10.0, 10.1, 1e9] {
        registry.observe(place, value);
    }
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.1] {
        registry.observe(place, value);
    }
    let drained = registry.drain();
    let Some(Value::Histogram(histogram)) = drained.delta.get("h", &LabelSet::empty()) else { panic!("no histogram") };
    assert_eq!(histogram.bucket_counts(), [2, 2, 1, 2]);
    assert_eq!(histogram.sum(), Number::Float(0.0 + 1.0 + 1.1 + 2.5 + 10.0 + 10.1 + 1e9));
    assert_eq!(drained.invalid, 4);
    // A sum that would pass what a double holds, observation by observation.
    registry.observe(place, f64::MAX);
    registry.observe(place, f64::MAX);
    assert_eq!(registry.drain().invalid, 1);
}

#[test]
fn a_histogram_takes_values_below_zero_where_its_bounds_do() {
    let mut registry = Registry::new();
    let below = Description { bounds: &[-1.0, 1.0], ..describe("h", MetricKind::Histogram, &[]) };
    let place = registry.place(&below, &[]);
    registry.observe(place, -5.0);
    let drained = registry.drain();
    let Some(Value::Histogram(histogram)) = drained.delta.get("h", &LabelSet::empty()) else { panic!("no histogram") };
    assert_eq!((histogram.bucket_counts(), drained.invalid), ([1, 0, 0].as_slice(), 0));
}

#[test]
fn of_readings_the_one_that_was_set_last_counts_whatever_the_clock_says() {
    let mut registry = Registry::new();
    let place = registry.place(&describe("g", MetricKind::Gauge, &[]), &[]);
    assert_eq!(registry.drain().delta, Delta::new(), "a gauge that was never set says nothing");
    registry.set(place, 5.0, 2_000);
    registry.set(place, 3.0, 1_000);
    registry.set(place, f64::NAN, 3_000);
    let drained = registry.drain();
    let expected = Gauge::new(Number::Float(3.0), 2_000).unwrap();
    assert_eq!(drained.delta.get("g", &LabelSet::empty()), Some(&Value::Gauge(expected)));
    assert_eq!((drained.invalid, registry.drain().delta), (1, Delta::new()));
}

#[test]
fn what_contradicts_a_family_or_cannot_be_a_label_is_counted_and_harms_nobody() {
    let mut registry = Registry::new();
    let place = registry.place(&ORDERS, &["SE", "yes"]);
    registry.add(place, 1);
    let long = "x".repeat(MAX_LABEL_VALUE_BYTES + 1);
    let wrong = [
        registry.place(&describe("orders", MetricKind::Gauge, &["country", "paid"]), &["SE", "yes"]),
        registry.place(&describe("orders", MetricKind::Counter, &["country"]), &["SE"]),
        registry.place(&ORDERS, &["SE"]),
        registry.place(&ORDERS, &[&long, "yes"]),
        registry.place(&describe("not legal", MetricKind::Counter, &[]), &[]),
        registry.place(&describe("c", MetricKind::Counter, &["le"]), &["1"]),
        registry.place(&describe("u", MetricKind::UpDown, &[]), &[]),
        registry.place(&describe("e", MetricKind::Exponential, &[]), &[]),
    ];
    assert_eq!(wrong, [Place::Invalid; 8]);
    wrong.into_iter().for_each(|place| registry.add(place, 1));
    // A handle of another registry, and one of another kind.
    registry.add(Place::At(99), 1);
    registry.observe(place, 1.0);
    let drained = registry.drain();
    assert_eq!((drained.invalid, drained.limited), (10, 0));
    let of_orders = drained.delta.get("orders", &labels(&[("country", "SE"), ("paid", "yes")]));
    assert_eq!((of_orders, drained.delta.families().len()), (Some(&Value::Counter(1)), 1));
    // A total that would pass 64 bits keeps what it has.
    registry.add(place, u64::MAX);
    registry.add(place, 1);
    let drained = registry.drain();
    assert_eq!(drained.invalid, 1);
    assert!(drained.delta.families().any(|family| family.series().any(|(_, v)| *v == Value::Counter(u64::MAX))));
}

#[test]
fn past_the_bounds_on_series_no_count_is_lost() {
    let mut registry = Registry::new();
    let families = ["a", "b", "c", "d", "e", "f"];
    let mut recorded = 0;
    for name in families {
        for value in 0..MAX_FAMILY_SERIES + 10 {
            let place = registry.place(&describe(name, MetricKind::Counter, &["n"]), &[&value.to_string()]);
            registry.add(place, 3);
            recorded += 3;
        }
    }
    let drained = registry.drain();
    let overflow = labels(&[(OVERFLOW_LABEL, "true")]);
    let mut sum = 0;
    let mut series = 0;
    for family in drained.delta.families() {
        for (labels, value) in family.series() {
            let Value::Counter(count) = value else { panic!("{value:?}") };
            sum += count;
            series += usize::from(*labels != overflow);
        }
    }
    assert_eq!((sum, series, drained.invalid + drained.limited), (recorded, MAX_SERIES, 0));
    let of = |name: &str| drained.delta.get(name, &overflow).cloned();
    assert_eq!((of("a"), of("f")), (Some(Value::Counter(30)), Some(Value::Counter(3 * 1_010))));
    // Series that exist keep their places, and a family without labels of its own is found all the same.
    let place = registry.place(&describe("a", MetricKind::Counter, &["n"]), &["5"]);
    registry.add(place, 1);
    assert_eq!(registry.drain().delta.get("a", &labels(&[("n", "5")])), Some(&Value::Counter(1)));
}

#[test]
fn past_the_bound_on_families_recordings_are_counted() {
    let mut registry = Registry::new();
    for index in 0..MAX_FAMILIES + 3 {
        let name: &'static str = Box::leak(format!("family_{index}").into_boxed_str());
        let place = registry.place(&describe(name, MetricKind::Counter, &[]), &[]);
        registry.add(place, 1);
    }
    let drained = registry.drain();
    assert_eq!((drained.limited, drained.invalid, drained.delta.families().len()), (3, 0, MAX_FAMILIES));
}
