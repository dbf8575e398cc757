//! The protobuf format: read by other code, it says what the text says; and its native histograms are what was observed, by
//! an oracle in exact integers.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "helpers of a test"
)]

mod client_model;
mod exact;
mod samples;

use std::collections::BTreeMap;

use client_model::{BucketSpan, MetricFamily, MetricType, Timestamp, read};
use exact::expected_index;
use proptest::{collection::vec, prelude::*};
use samples::parse_sample;
use tributary_telemetry::{
    Delta, ExponentialBuckets, ExponentialHistogram, ExponentialParts, FamilyDescriptor, Gauge, LabelSet, MetricKind,
    Snapshot, TextFormat, TextOptions, Value, Zero,
    arbitrary::{EXPONENTIAL, delta, exponential, exponential_parts, label_set, magnitude},
    write_selected_protobuf, write_text,
};

fn apply(state: &mut Snapshot, delta: &Delta) {
    let applied = state.apply(delta, 9_000).unwrap();
    assert_eq!((applied.series_refused, applied.series_conflicting), (0, 0));
}

fn bytes(state: &Snapshot, buckets_per_decade: u8) -> Vec<u8> {
    let mut out = b"before".to_vec();
    write_selected_protobuf(state, buckets_per_decade, |_| true, &mut out);
    out.strip_prefix(b"before").unwrap().to_vec()
}

fn families(state: &Snapshot) -> Vec<MetricFamily> {
    read(&bytes(state, 18)).unwrap()
}

/// A state of one exponential histogram, and what becomes of it.
fn written(histogram: &ExponentialHistogram) -> client_model::Histogram {
    let mut delta = Delta::new();
    delta.add(&EXPONENTIAL, LabelSet::empty(), Value::Exponential(histogram.clone())).unwrap();
    let mut state = Snapshot::new(1_000);
    apply(&mut state, &delta);
    families(&state)[0].metric[0].histogram.clone().unwrap()
}

/// By name and labels, the bound as a number: the bits of the value.
type Samples = BTreeMap<(String, Vec<(String, String)>), u64>;

fn of_text(state: &Snapshot, buckets_per_decade: u8) -> Samples {
    let mut text = String::new();
    write_text(state, &TextOptions { buckets_per_decade, ..TextOptions::new(TextFormat::Prometheus) }, &mut text);
    let lines = text.split('\n').filter(|line| !line.is_empty() && !line.starts_with('#'));
    let float = |text: &str| text.replace("Inf", "inf").parse::<f64>().unwrap();
    let samples = lines.map(|line| {
        let (name, mut labels, value) = parse_sample(line);
        if let Some((_, bound)) = labels.iter_mut().find(|(label, _)| label == "le") {
            *bound = format!("{:?}", float(bound));
        }
        ((name, labels), float(&value).to_bits())
    });
    samples.collect()
}

fn of_messages(families: &[MetricFamily]) -> Samples {
    let mut found = Samples::new();
    for (name, labels, value) in families.iter().flat_map(|family| family.samples().unwrap()) {
        assert_eq!(found.insert((name, labels), value.to_bits()), None);
    }
    found
}

proptest! {
    /// At every density: the same samples of the same series, counts and sums to the bit; the same help and types.
    #[test]
    fn any_state_says_what_its_text_says(one in delta(), two in delta(), buckets_per_decade in 0_u8..20) {
        let mut state = Snapshot::new(1_000);
        apply(&mut state, &one);
        apply(&mut state, &two);
        let again = Snapshot::decode(&state.encode()).unwrap();
        prop_assert_eq!(bytes(&state, buckets_per_decade), bytes(&again, buckets_per_decade));

        let families = read(&bytes(&state, buckets_per_decade)).unwrap();
        prop_assert_eq!(families.len(), state.families().len());
        let mut found = of_messages(&families);
        for (message, family) in families.iter().zip(state.families()) {
            let descriptor = family.descriptor();
            let suffix = if descriptor.kind() == MetricKind::Counter { "_total" } else { "" };
            prop_assert_eq!(message.name(), format!("{}{suffix}", descriptor.name()));
            prop_assert_eq!(message.help.as_deref(), Some(descriptor.help()));
            prop_assert_eq!(message.metric.len(), family.series().len());
            for (metric, (labels, series)) in message.metric.iter().zip(family.series()) {
                let created = metric.counter.as_ref().and_then(|counter| counter.created_timestamp);
                let created = created.or_else(|| metric.histogram.as_ref()?.created_timestamp);
                prop_assert_eq!(created.is_none(), metric.gauge.is_some());
                let start = i64::try_from(series.start_time_ms()).unwrap();
                prop_assert_eq!(created.map_or(start, Timestamp::millis), start);
                if let Some(histogram) = &metric.histogram {
                    let is_exponential = matches!(series.value(), Value::Exponential(_));
                    prop_assert_eq!(histogram.schema.is_some(), histogram.is_native());
                    prop_assert!(is_exponential || !histogram.is_native());
                    if histogram.is_native() {
                        histogram.native_buckets().unwrap();
                    }
                }
                // The text has no sum where none is known; here it is known to be none.
                if matches!(series.value(), Value::Exponential(histogram) if histogram.sum().is_none()) {
                    let labels = labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
                    let sum = found.remove(&(format!("{}_sum", descriptor.name()), labels)).map(f64::from_bits);
                    prop_assert!(sum.is_some_and(f64::is_nan));
                }
            }
        }
        prop_assert_eq!(found, of_text(&state, buckets_per_decade));
    }

    #[test]
    fn any_text_is_written_as_it_is(help in "\\PC{0,40}", labels in label_set()) {
        let family = FamilyDescriptor::new("c", help.clone(), "", MetricKind::Counter).unwrap();
        let mut state = Snapshot::new(1);
        let _applied = state.declare(&family, labels.clone(), Zero::Counter);
        let families = families(&state);
        prop_assert_eq!(families[0].help(), help);
        let pairs = families[0].metric[0].label.iter();
        prop_assert!(pairs.map(|pair| (pair.name(), pair.value())).eq(labels.iter()));
    }
}

#[test]
fn families_have_the_names_types_and_units_that_a_scraper_expects() {
    let of = |name: &'static str, unit: &'static str, kind| {
        let family = FamilyDescriptor::new(name, "Help.", unit, kind).unwrap();
        let value = match kind {
            MetricKind::Counter => Value::Counter(3),
            MetricKind::Gauge => Value::Gauge(Gauge::unsigned(3, 1)),
            MetricKind::UpDown => Value::UpDown(tributary_telemetry::UpDown::Integer(-3)),
            MetricKind::Histogram => {
                Value::Histogram(tributary_telemetry::Histogram::new(tributary_telemetry::Bounds::latency()))
            }
            MetricKind::Exponential => Value::Exponential(ExponentialHistogram::default()),
        };
        let mut delta = Delta::new();
        delta.add(&family, LabelSet::empty(), value).unwrap();
        let mut state = Snapshot::new(1_700_000_000_250);
        apply(&mut state, &delta);
        let [family] = families(&state).try_into().unwrap();
        (family.name.clone().unwrap(), MetricType::try_from(family.r#type.unwrap()).unwrap(), family.unit)
    };
    let unit = |unit: &str| Some(unit.to_owned());
    assert_eq!(of("x", "", MetricKind::Counter), ("x_total".to_owned(), MetricType::Counter, None));
    assert_eq!(
        of("x_bytes", "bytes", MetricKind::Counter),
        ("x_bytes_total".into(), MetricType::Counter, unit("bytes"))
    );
    assert_eq!(of("x_bytes", "seconds", MetricKind::Gauge), ("x_bytes".into(), MetricType::Gauge, None));
    assert_eq!(of("bytes", "bytes", MetricKind::UpDown), ("bytes".into(), MetricType::Gauge, None));
    assert_eq!(of("x_bytes", "bytes", MetricKind::UpDown), ("x_bytes".into(), MetricType::Gauge, unit("bytes")));
    for kind in [MetricKind::Histogram, MetricKind::Exponential] {
        assert_eq!(of("x_seconds", "seconds", kind), ("x_seconds".into(), MetricType::Histogram, unit("seconds")));
    }
}

#[test]
fn a_start_is_exact_to_the_millisecond() {
    let mut state = Snapshot::new(1_700_000_000_250);
    let family = FamilyDescriptor::new("c", "", "", MetricKind::Counter).unwrap();
    let _applied = state.declare(&family, LabelSet::empty(), Zero::Counter);
    let counter = families(&state)[0].metric[0].counter.clone().unwrap();
    let created = Timestamp { seconds: Some(1_700_000_000), nanos: Some(250_000_000) };
    assert_eq!((counter.value, counter.created_timestamp), (Some(0.0), Some(created)));
}

#[test]
fn selected_families_are_written_as_in_the_whole_and_none_are_no_bytes() {
    let mut state = Snapshot::new(1);
    for name in ["a", "b", "c"] {
        let family = FamilyDescriptor::new(name, "", "", MetricKind::Counter).unwrap();
        let _applied = state.declare(&family, LabelSet::empty(), Zero::Counter);
    }
    let selected = |names: &[&str]| {
        let mut out = Vec::new();
        write_selected_protobuf(&state, 18, |family| names.iter().any(|name| family.has_name(name)), &mut out);
        out
    };
    assert_eq!(selected(&["x"]), b"");
    assert_eq!([selected(&["a"]), selected(&["b_total", "c"])].concat(), bytes(&state, 18));
}

#[test]
fn messages_of_any_length_have_that_length() {
    // Lengths on both sides of each byte more that a length takes, of help, of a label's value and of what is around them.
    for length in (0..300).chain(900..1_024) {
        let family = FamilyDescriptor::new("c", "h".repeat(length), "", MetricKind::Counter).unwrap();
        let mut state = Snapshot::new(1);
        for n in 0..=(length / 8) {
            let labels = LabelSet::from_pairs([("n", n.to_string()), ("v", "v".repeat(length))]).unwrap();
            let _applied = state.declare(&family, labels, Zero::Counter);
        }
        let families = families(&state);
        assert_eq!(families[0].help().len(), length);
        assert_eq!(families[0].metric.len(), length / 8 + 1);
    }
    // Three bytes are up to 2 MiB.
    let family = FamilyDescriptor::new("c", "", "", MetricKind::Counter).unwrap();
    let mut state = Snapshot::new(1);
    let mut delta = Delta::new();
    for n in 0..3_000 {
        let labels = LabelSet::from_pairs([("n", n.to_string()), ("v", "v".repeat(1_000))]).unwrap();
        delta.add_counter(&family, labels, n).unwrap();
    }
    let _applied = state.apply(&delta, 1).unwrap();
    assert_eq!(families(&state)[0].metric.len(), state.series_count());
}

/// Signed observations, each so many times.
type Observed = Vec<(f64, u64)>;

/// What observations are at a scale, counted by the model.
fn observed_at(scale: i32, threshold: f64, observed: &Observed) -> ExponentialHistogram {
    let mut built = ExponentialHistogram::default();
    for (value, count) in observed {
        let mut parts = ExponentialParts { scale, zero_threshold: threshold, sum: Some(0.0), ..Default::default() };
        match ExponentialHistogram::bucket_index(scale, value.abs()).filter(|_| value.abs() > threshold) {
            None => parts.zero_count = *count,
            Some(index) => {
                let buckets = ExponentialBuckets { offset: i32::try_from(index).unwrap(), counts: vec![*count] };
                *(if *value > 0.0 { &mut parts.positive } else { &mut parts.negative }) = buckets;
            }
        }
        built = built.merged(&ExponentialHistogram::new(parts).unwrap()).unwrap();
    }
    built
}

/// The number of the native bucket `(base^(n - 1), base^n]` that holds a value above 0, by exact integers.
fn native_number(value: f64, schema: i32) -> i64 {
    expected_index(value, schema) + 1
}

/// The counts that native buckets must have, by number: negative, positive.
fn expected(observed: &Observed, schema: i32, threshold: f64) -> (u64, [Vec<(i64, u64)>; 2]) {
    let (mut zero, mut buckets) = (0, [BTreeMap::new(), BTreeMap::new()]);
    for (value, count) in observed {
        if value.abs() <= threshold {
            zero += count;
        } else {
            *buckets[usize::from(*value > 0.0)].entry(native_number(value.abs(), schema)).or_insert(0) += count;
        }
    }
    (zero, buckets.map(|buckets| buckets.into_iter().collect()))
}

fn check_native(histogram: &ExponentialHistogram, observed: &Observed, threshold: f64) {
    let written = written(histogram);
    let schema = written.schema.unwrap();
    assert_eq!(schema, histogram.scale().min(8));
    let zero_threshold = written.zero_threshold.unwrap();
    assert_eq!(
        (written.zero_count.unwrap(), written.native_buckets().unwrap()),
        expected(observed, schema, zero_threshold)
    );
    // As wide as it must be and no wider: a power of two that is a bound of the schema, and at least the one that was given.
    let counts_zero = observed.iter().any(|(value, _)| value.abs() <= threshold);
    if threshold == 0.0 || !counts_zero {
        assert_eq!(zero_threshold, 0.0);
    } else {
        let below = native_number(threshold, schema.min(0)) - 1;
        assert_eq!(zero_threshold, ExponentialHistogram::upper_bound(schema.min(0), below));
        assert!(zero_threshold >= threshold);
    }
}

#[test]
fn a_native_bucket_ends_at_the_bound_of_its_number() {
    // From the specification: bucket 0 ends at 1, bucket 1 of schema 0 at 2, and ends are inclusive.
    for (value, number) in [(1.0, 0), (2.0, 1), (3.0, 2), (4.0, 2), (0.5, -1), (0.75, 0)] {
        let [_, positive] = written(&observed_at(0, 0.0, &vec![(value, 7)])).native_buckets().unwrap();
        assert_eq!(positive, [(number, 7)], "{value}");
    }
    // At the exact bounds of the model and one float to both sides, in every schema, from every scale that comes down to it.
    for scale in -4..=20 {
        let schema = scale.min(8);
        for number in [-1_000_i64, -33, -2, -1, 0, 1, 2, 3, 5, 64, 255, 256, 257, 1_000] {
            let bound = ExponentialHistogram::upper_bound(schema, number - 1);
            if bound == 0.0 || bound == f64::MAX {
                continue;
            }
            for (value, number) in [
                (bound.next_down(), native_number(bound.next_down(), schema)),
                (bound, number),
                (bound.next_up(), number + 1),
            ] {
                for (value, place) in [(value, 1), (-value, 0)] {
                    let buckets = written(&observed_at(scale, 0.0, &vec![(value, 1)])).native_buckets().unwrap();
                    assert_eq!(buckets[place], [(number, 1)], "{value:e} at scale {scale}");
                }
            }
        }
    }
}

#[test]
fn extremes_have_buckets() {
    for value in [f64::MAX, f64::MIN_POSITIVE, 5e-324, 1e300, 1e-300] {
        for scale in -4..=20 {
            for value in [value, -value] {
                let observed = vec![(value, 1)];
                check_native(&observed_at(scale, 0.0, &observed), &observed, 0.0);
            }
        }
    }
    let all = vec![(f64::MAX, 1), (5e-324, 2), (0.0, 3), (-5e-324, 4), (-f64::MAX, 5)];
    check_native(&observed_at(20, 0.0, &all), &all, 0.0);
    check_native(&observed_at(20, f64::MAX, &all), &all, f64::MAX);
}

#[test]
fn a_native_histogram_without_observations_says_that_it_is_one() {
    let empty = written(&ExponentialHistogram::default());
    assert!(empty.is_native());
    assert_eq!(empty.positive_span, [BucketSpan { offset: Some(0), length: Some(0) }]);
    assert_eq!((empty.schema, empty.sample_count, empty.sample_sum), (Some(8), Some(0), Some(0.0)));
    assert_eq!(empty.native_buckets().unwrap(), [Vec::new(), Vec::new()]);
    // One that has anything says it with that.
    for observed in [vec![(0.0, 1)], vec![(1.0, 1)], vec![(-1.0, 1)]] {
        let some = written(&observed_at(3, 0.0, &observed));
        assert!(some.is_native() && some.positive_span.iter().all(|span| span.length != Some(0)));
    }
}

#[test]
fn what_no_native_histogram_can_hold_is_a_classic_one() {
    // Buckets wider than those of schema -4.
    let coarse = written(&observed_at(-5, 0.0, &vec![(3.0, 1), (1e40, 1)]));
    assert!(!coarse.is_native() && coarse.schema.is_none() && coarse.bucket.len() > 1);
    assert!(written(&observed_at(-4, 0.0, &vec![(3.0, 1), (1e40, 1)])).is_native());
    // Counts that do not fit the difference of two.
    let most = u64::try_from(i64::MAX).unwrap();
    let [_, positive] = written(&observed_at(0, 0.0, &vec![(1.0, most)])).native_buckets().unwrap();
    assert_eq!(positive, [(0, most)]);
    let more = written(&observed_at(0, 0.0, &vec![(1.0, most), (2.0, 1)]));
    assert!(!more.is_native() && more.sample_count == Some(most + 1));
}

#[test]
fn gaps_of_up_to_two_buckets_are_written_and_longer_ones_skipped() {
    let at = |numbers: &[i32]| {
        let observed = numbers.iter().map(|number| (f64::from(*number).exp2(), 5)).collect();
        let written = written(&observed_at(0, 0.0, &observed));
        let spans = written.positive_span.iter().map(|span| (span.offset.unwrap(), span.length.unwrap()));
        (spans.collect::<Vec<_>>(), written.positive_delta)
    };
    assert_eq!(at(&[3]), (vec![(3, 1)], vec![5]));
    assert_eq!(at(&[-3, -2]), (vec![(-3, 2)], vec![5, 0]));
    assert_eq!(at(&[0, 3]), (vec![(0, 4)], vec![5, -5, 0, 5]));
    assert_eq!(at(&[0, 4]), (vec![(0, 1), (3, 1)], vec![5, 0]));
    assert_eq!(at(&[-9, 4, 5]), (vec![(-9, 1), (12, 2)], vec![5, 0, 0]));
}

fn observed() -> impl Strategy<Value = Observed> {
    let value = (prop_oneof![9 => magnitude(), 1 => Just(0.0)], any::<bool>(), 1_u64..5);
    let value = value.prop_map(|(value, is_negative, count)| (if is_negative { -value } else { value }, count));
    vec(value, 1..12)
}

proptest! {
    #[test]
    fn native_buckets_count_what_was_observed(
        observed in observed(), scale in -4_i32..=20, threshold in prop_oneof![3 => Just(0.0), 1 => magnitude()],
    ) {
        // Below the coarsest schema there is none, see above.
        let histogram = observed_at(scale, threshold, &observed);
        prop_assume!(histogram.scale() >= -4);
        check_native(&histogram, &observed, threshold);
    }

    /// What Prometheus takes for a reset of a native histogram never happens to one that goes on.
    #[test]
    fn from_one_scrape_to_the_next_nothing_counts_down(parts in vec(exponential(), 1..5)) {
        let mut state = ExponentialHistogram::default();
        let mut last = written(&state);
        for part in parts {
            state = state.merged(&part).unwrap();
            let now = written(&state);
            if !now.is_native() {
                prop_assert!(state.scale() < -4);
                break;
            }
            prop_assert!(now.schema <= last.schema);
            prop_assert!(now.sample_count >= last.sample_count);
            let threshold = now.zero_threshold.unwrap();
            prop_assert!(threshold >= last.zero_threshold.unwrap());
            // All that is before, in the buckets of now.
            let (schema, last_schema) = (now.schema.unwrap(), last.schema.unwrap());
            let mut zero = last.zero_count.unwrap();
            let now_buckets = now.native_buckets().unwrap().map(|buckets| buckets.into_iter().collect::<BTreeMap<_, _>>());
            for (buckets, now_buckets) in last.native_buckets().unwrap().iter().zip(now_buckets) {
                let mut before = BTreeMap::new();
                for (number, count) in buckets {
                    let index = number - 1;
                    let upper = ExponentialHistogram::upper_bound(last_schema, index);
                    let lower = ExponentialHistogram::upper_bound(last_schema, index - 1);
                    if upper <= threshold {
                        zero += count;
                    } else {
                        prop_assert!(lower >= threshold, "a threshold within a populated bucket");
                        *before.entry((index >> (last_schema - schema)) + 1).or_insert(0) += count;
                    }
                }
                for (number, count) in before {
                    prop_assert!(now_buckets.get(&number) >= Some(&count), "bucket {number}");
                }
            }
            prop_assert!(now.zero_count.unwrap() >= zero);
            last = now;
        }
    }

    #[test]
    fn whatever_a_histogram_is_made_from_is_written_as_a_legal_one(parts in exponential_parts()) {
        if let Ok(histogram) = ExponentialHistogram::new(parts) {
            let written = written(&histogram);
            prop_assert_eq!(written.is_native(), histogram.scale() >= -4);
            if written.is_native() {
                written.native_buckets().unwrap();
            }
        }
    }
}
