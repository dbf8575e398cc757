//! What the OpenTelemetry data model demands, on any state.

use std::collections::BTreeSet;

use opentelemetry_proto::tonic::{
    collector::metrics::v1::ExportMetricsServiceRequest,
    metrics::v1::{
        AggregationTemporality, ExponentialHistogramDataPoint, HistogramDataPoint, Metric, NumberDataPoint,
        exponential_histogram_data_point::Buckets, metric::Data, number_data_point,
    },
};
use proptest::prelude::*;
use tributary_proto::Message as _;

use super::{export::Requests, window::Window, *};
use crate::{
    Bounds, Delta, ExponentialBuckets, ExponentialHistogram, ExponentialParts, FamilyDescriptor, Gauge, Histogram,
    LabelSet, Number, Value,
    arbitrary::{self, COUNTER},
    confidence::TelemetryDelta,
};

fn options() -> OtlpOptions {
    OtlpOptions {
        resource: BTreeMap::from([("service.name".to_owned(), "flags".to_owned())]),
        histograms: HistogramEncoding::Explicit,
        scope_version: "1.2.3".to_owned(),
    }
}

fn state_of(deltas: &[Delta]) -> Snapshot {
    let mut state = Snapshot::new(1_000);
    for delta in deltas {
        // What conflicts or overflows is refused, here as there.
        let _applied = state.apply(delta, 5_000);
    }
    state
}

/// Every metric with its resource's `service.instance.id`.
fn metrics(resources: &[ResourceMetrics]) -> Vec<(String, Metric)> {
    let mut found = Vec::new();
    for resource in resources {
        let attributes = &resource.resource.as_ref().unwrap().attributes;
        let instance = attributes.iter().find(|attribute| attribute.key == "service.instance.id").unwrap();
        let Some(any_value::Value::StringValue(instance)) = instance.value.clone().unwrap().value else { panic!() };
        for scope in &resource.scope_metrics {
            assert_eq!(scope.scope.as_ref().unwrap().name, "tributary");
            found.extend(scope.metrics.iter().map(|metric| (instance.clone(), metric.clone())));
        }
    }
    found
}

fn numbers(metric: &Metric) -> &[NumberDataPoint] {
    match metric.data.as_ref().unwrap() {
        Data::Sum(sum) => &sum.data_points,
        Data::Gauge(gauge) => &gauge.data_points,
        _ => &[],
    }
}

fn histograms(metric: &Metric) -> &[HistogramDataPoint] {
    match metric.data.as_ref().unwrap() {
        Data::Histogram(histogram) => &histogram.data_points,
        _ => &[],
    }
}

fn exponentials(metric: &Metric) -> &[ExponentialHistogramDataPoint] {
    match metric.data.as_ref().unwrap() {
        Data::ExponentialHistogram(histogram) => &histogram.data_points,
        _ => &[],
    }
}

/// Sums of counters and up-down sums, and counts of histograms, over everything.
fn totals(resources: &[ResourceMetrics]) -> (i128, u128) {
    let (mut sums, mut counts) = (0, 0);
    for (_, metric) in metrics(resources) {
        if let Data::Sum(sum) = metric.data.as_ref().unwrap() {
            for point in &sum.data_points {
                sums += match point.value.unwrap() {
                    number_data_point::Value::AsInt(value) => i128::from(value),
                    // Past 63 bits: more than any bound that is asserted here. The sums of floats are whole here.
                    number_data_point::Value::AsDouble(value) if value.abs() > 9e18 => 1 << 64,
                    number_data_point::Value::AsDouble(value) => format!("{value:.0}").parse::<i128>().unwrap(),
                };
            }
        }
        counts += histograms(&metric).iter().map(|point| u128::from(point.count)).sum::<u128>();
        counts += exponentials(&metric).iter().map(|point| u128::from(point.count)).sum::<u128>();
    }
    (sums, counts)
}

#[test]
fn a_resolvers_metrics_are_exact_and_bear_its_id() {
    let mut telemetry = TelemetryDelta::new();
    // Bounds are inclusive: 1,000 is in the bucket that ends there.
    for micros in [1_000, 1_001, 7] {
        telemetry.observe_latency(micros);
    }
    telemetry.add_resolves(1, 3);
    telemetry.set_memory_bytes(4_096, 2_500);
    let state = state_of(&[telemetry.to_delta("eu", 2_000).unwrap()]);
    let resources = resource_metrics(Export::Cumulative { state: &state, time_ms: 9_000 }, &options());
    let found = metrics(&resources);
    let metric = |name: &str| found.iter().find(|(_, metric)| metric.name == name).map(|(_, metric)| metric).unwrap();
    assert!(found.iter().all(|(instance, _)| instance == "eu"));

    let latency = metric("confidence_resolve_latency_microseconds");
    assert_eq!(latency.unit, "us");
    let [point] = histograms(latency) else { panic!("{latency:?}") };
    assert_eq!((point.count, point.sum), (3, Some(2_008.0)));
    assert_eq!((point.start_time_unix_nano, point.time_unix_nano), (2_000_000_000, 9_000_000_000));
    let at = point.explicit_bounds.iter().position(|bound| *bound == 1_000.0).unwrap();
    assert_eq!((point.bucket_counts[at], point.bucket_counts[at + 1]), (1, 1));

    let resolves = metric("confidence_resolves");
    assert_eq!(resolves.unit, "{resolves}");
    let Some(Data::Sum(sum)) = &resolves.data else { panic!("{resolves:?}") };
    assert!(sum.is_monotonic && sum.aggregation_temporality == i32::from(AggregationTemporality::Cumulative));
    assert_eq!(sum.data_points[0].value, Some(number_data_point::Value::AsInt(3)));
    let attributes: BTreeSet<_> = sum.data_points[0].attributes.iter().map(|attribute| &*attribute.key).collect();
    assert_eq!(attributes, BTreeSet::from(["reason", "resolver_id"]));

    let memory = metric("confidence_memory_bytes");
    assert_eq!((&*memory.unit, numbers(memory)[0].time_unix_nano), ("By", 2_500_000_000));
    assert_eq!(numbers(memory)[0].start_time_unix_nano, 0, "a reading has no start");
}

#[test]
fn a_configured_instance_id_stands_before_the_resolvers() {
    let mut delta = Delta::new();
    delta.add_counter(&COUNTER, LabelSet::empty(), 1).unwrap();
    let state = state_of(&[delta]);
    let mut options = options();
    options.resource.insert("service.instance.id".to_owned(), "prod".to_owned());
    let resources = resource_metrics(Export::Cumulative { state: &state, time_ms: 9_000 }, &options);
    assert_eq!(metrics(&resources)[0].0, "prod/tributary");
}

#[test]
fn totals_past_63_bits_go_out_as_floats() {
    let mut delta = Delta::new();
    delta.add_counter(&COUNTER, LabelSet::empty(), u64::MAX).unwrap();
    let resources = resource_metrics(Export::Cumulative { state: &state_of(&[delta]), time_ms: 9_000 }, &options());
    let value = numbers(&metrics(&resources)[0].1)[0].value;
    assert_eq!(value, Some(number_data_point::Value::AsDouble(18_446_744_073_709_551_615.0)));
}

#[test]
fn exponential_buckets_stay_within_the_error_that_is_promised() {
    let ratio = 10_f64.powf(1.0 / 36.0);
    for micros in (0..64).flat_map(|shift| [1_u64 << shift, (1 << shift) + (1 << shift) / 3]).filter(|v| *v > 1) {
        let Ok(micros) = u32::try_from(micros) else { continue };
        let mut telemetry = TelemetryDelta::new();
        telemetry.observe_latency(micros);
        let state = state_of(&[telemetry.to_delta("eu", 2_000).unwrap()]);
        let options = OtlpOptions { histograms: HistogramEncoding::Exponential, ..options() };
        let resources = resource_metrics(Export::Cumulative { state: &state, time_ms: 9_000 }, &options);
        let found = metrics(&resources);
        let [point] = exponentials(&found[0].1) else { panic!("{found:?}") };
        let buckets = point.positive.as_ref().unwrap();
        assert_eq!((point.scale, &*buckets.bucket_counts), (exponential::MAX_SCALE, &[1_u64][..]));
        let base = exponential::base(point.scale);
        let lower = base.powi(buckets.offset);
        let (value, error) = (f64::from(micros), ratio * base * 1.000_001);
        assert!(lower * base >= value / error && lower <= value * error, "{micros}: {lower} to {}", lower * base);
    }
}

#[test]
fn a_wide_histogram_takes_a_coarser_scale_and_keeps_its_count() {
    let mut telemetry = TelemetryDelta::new();
    for shift in 0..32 {
        telemetry.observe_latency(1 << shift);
    }
    let state = state_of(&[telemetry.to_delta("eu", 2_000).unwrap()]);
    let options = OtlpOptions { histograms: HistogramEncoding::Exponential, ..options() };
    let found = metrics(&resource_metrics(Export::Cumulative { state: &state, time_ms: 9_000 }, &options));
    let [point] = exponentials(&found[0].1) else { panic!("{found:?}") };
    let counts = &point.positive.as_ref().unwrap().bucket_counts;
    assert!(counts.len() <= exponential::MAX_BUCKETS && counts.len() > 40, "{}", counts.len());
    assert_eq!(point.zero_count + counts.iter().sum::<u64>(), 32);
    assert_eq!((point.count, point.zero_count), (32, 1));
}

#[test]
fn a_window_without_change_is_empty_and_time_that_stands_still_makes_no_empty_interval() {
    let mut delta = Delta::new();
    delta.add_counter(&COUNTER, LabelSet::empty(), 3).unwrap();
    let memory = FamilyDescriptor::from_static("memory", "Memory.", "", crate::MetricKind::Gauge);
    delta.set_gauge(&memory, LabelSet::empty(), Gauge::unsigned(5, 1)).unwrap();
    let state = state_of(&[delta]);
    let window = Window::between(&state, 9_000, &state, 9_000);
    assert!(window.is_empty() && window.end_ms() > window.start_ms());
    let first = Window::between(&Snapshot::new(1_000), 1_000, &state, 9_000);
    assert!(!first.is_empty());
}

fn exponential(scale: i32, offset: i32, counts: &[u64], zero: (f64, u64)) -> ExponentialHistogram {
    let (zero_threshold, zero_count) = zero;
    let positive = ExponentialBuckets { offset, counts: counts.to_vec() };
    let negative = ExponentialBuckets::default();
    let count = counts.iter().sum::<u64>() + zero_count;
    let sum = Some(f64::from(u32::try_from(count).unwrap()));
    ExponentialHistogram::new(ExponentialParts { scale, zero_threshold, zero_count, positive, negative, sum }).unwrap()
}

fn state_with(value: &Value) -> Snapshot {
    let mut delta = Delta::new();
    let family = FamilyDescriptor::new("x_seconds", "", "seconds", value.kind()).unwrap();
    delta.add(&family, LabelSet::empty(), value.clone()).unwrap();
    state_of(&[delta])
}

/// What a window has of a series that went from one value to another.
fn added(old: &Value, new: &Value) -> Option<Value> {
    let window = Window::between(&state_with(old), 1_000, &state_with(new), 2_000);
    window.added().get("x_seconds", &LabelSet::empty()).map(|series| series.value().clone())
}

#[test]
fn exponential_histograms_go_out_as_they_are() {
    let parts = ExponentialParts {
        negative: ExponentialBuckets { offset: 3, counts: vec![5] },
        sum: None,
        ..ExponentialParts {
            scale: 7,
            zero_threshold: 0.5,
            zero_count: 2,
            positive: ExponentialBuckets { offset: -9, counts: vec![1, 0, 3] },
            ..ExponentialParts::default()
        }
    };
    let state = state_with(&Value::Exponential(ExponentialHistogram::new(parts).unwrap()));
    for histograms in [HistogramEncoding::Explicit, HistogramEncoding::Exponential] {
        let options = OtlpOptions { histograms, ..options() };
        let found = metrics(&resource_metrics(Export::Cumulative { state: &state, time_ms: 9_000 }, &options));
        assert_eq!(found[0].1.unit, "s");
        let [point] = exponentials(&found[0].1) else { panic!("{found:?}") };
        assert_eq!((point.scale, point.count, point.sum, point.zero_count), (7, 11, None, 2));
        assert_eq!((point.zero_threshold, point.min, point.max), (0.5, None, None));
        let buckets = |offset, counts: &[u64]| Some(Buckets { offset, bucket_counts: counts.to_vec() });
        assert_eq!((point.positive.clone(), point.negative.clone()), (buckets(-9, &[1, 0, 3]), buckets(3, &[5])));
    }
}

#[test]
fn a_window_of_an_exponential_histogram_is_at_the_scale_of_its_end() {
    let value = Value::Exponential;
    // (1, 1.41], …, (2.8, 4] became (1, 2] and (2, 4] and a zero bucket that holds the first.
    let old = exponential(1, 0, &[1, 2, 3, 4], (0.0, 1));
    let since = exponential(0, 1, &[10], (2.0, 5));
    let new = old.merged(&since).unwrap();
    assert_eq!((new.scale(), new.zero_count(), new.zero_threshold()), (0, 1 + 3 + 5, 2.0));
    assert_eq!(added(&value(old.clone()), &value(new.clone())), Some(value(since)));
    assert_eq!(added(&value(new.clone()), &value(new.clone())), None);
    // What did not become it was reset, and is added whole.
    assert_eq!(added(&value(new.clone()), &value(old.clone())), Some(value(old)));
    // An own range that is wider than what was added stays out of the window.
    let far = exponential(0, 9, &[1], (0.0, 0));
    let with_far = new.merged(&far).unwrap();
    assert_eq!(added(&value(new), &value(with_far)), Some(value(far)));
}

#[test]
fn up_down_sums_and_float_counters_go_out_as_they_are_and_their_windows_add_up() {
    use crate::UpDown::{Float, Integer};
    let (whole, real) = (|sum| Value::UpDown(Integer(sum)), |sum| Value::UpDown(Float(sum)));
    let exported = |value: &Value| {
        let state = state_with(value);
        let found = metrics(&resource_metrics(Export::Cumulative { state: &state, time_ms: 9_000 }, &options()));
        let Some(Data::Sum(sum)) = found[0].1.data.clone() else { panic!("{found:?}") };
        assert_eq!(sum.aggregation_temporality, i32::from(AggregationTemporality::Cumulative));
        (sum.is_monotonic, sum.data_points[0].value.unwrap())
    };
    assert_eq!(exported(&whole(i64::MIN)), (false, number_data_point::Value::AsInt(i64::MIN)));
    assert_eq!(exported(&real(-0.5)), (false, number_data_point::Value::AsDouble(-0.5)));
    assert_eq!(exported(&Value::FloatCounter(0.5)), (true, number_data_point::Value::AsDouble(0.5)));

    assert_eq!(added(&whole(5), &whole(3)), Some(whole(-2)));
    assert_eq!(added(&whole(5), &whole(5)), None);
    assert_eq!(added(&whole(5), &real(4.5)), Some(real(-0.5)));
    // Past 63 bits a float says it best.
    assert_eq!(added(&whole(i64::MIN), &whole(i64::MAX)), Some(real(18_446_744_073_709_551_616.0)));
    assert_eq!(added(&Value::FloatCounter(0.5), &Value::FloatCounter(2.0)), Some(Value::FloatCounter(1.5)));
    assert_eq!(added(&Value::Counter(3), &Value::FloatCounter(3.5)), Some(Value::FloatCounter(0.5)));
    assert_eq!(added(&Value::FloatCounter(2.0), &Value::FloatCounter(2.0)), None);
    // Put back from a copy.
    assert_eq!(added(&Value::FloatCounter(2.0), &Value::FloatCounter(0.5)), Some(Value::FloatCounter(0.5)));
}

#[test]
fn a_series_that_was_reset_is_added_whole() {
    let histogram = |counts: [u64; 2], sum| {
        let bounds = Bounds::Explicit(crate::ExplicitBounds::new(&[1.0]).unwrap());
        Histogram::from_parts(bounds, counts.to_vec(), Number::Unsigned(sum)).unwrap()
    };
    let sizes = FamilyDescriptor::from_static("sizes", "Sizes.", "", crate::MetricKind::Histogram);
    let state = |count, counts, sum| {
        let mut delta = Delta::new();
        delta.add_counter(&COUNTER, LabelSet::empty(), count).unwrap();
        delta.add_histogram(&sizes, LabelSet::empty(), &histogram(counts, sum)).unwrap();
        state_of(&[delta])
    };
    // The count of the histogram grows although one of its buckets falls.
    let window = Window::between(&state(9, [5, 0], 5), 1_000, &state(4, [1, 7], 9), 2_000);
    let resources = resource_metrics(Export::Delta(&window), &options());
    assert_eq!(totals(&resources), (4, 8));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn every_data_point_is_legal(deltas in prop::collection::vec(arbitrary::delta(), 0..6), exponential: bool) {
        let state = state_of(&deltas);
        let histograms_as = if exponential { HistogramEncoding::Exponential } else { HistogramEncoding::Explicit };
        let options = OtlpOptions { histograms: histograms_as, ..options() };
        let resources = resource_metrics(Export::Cumulative { state: &state, time_ms: 9_000 }, &options);
        let found = metrics(&resources);
        let mut names = BTreeSet::new();
        let mut points = 0;
        for (instance, metric) in &found {
            prop_assert!(names.insert((instance.clone(), metric.name.clone())), "twice in one resource");
            for point in histograms(metric) {
                prop_assert_eq!(point.bucket_counts.len(), point.explicit_bounds.len() + 1);
                prop_assert_eq!(point.bucket_counts.iter().sum::<u64>(), point.count);
                prop_assert!(point.explicit_bounds.is_sorted_by(|left, right| left < right));
                prop_assert!(0 < point.start_time_unix_nano && point.start_time_unix_nano <= point.time_unix_nano);
            }
            for point in exponentials(metric) {
                let signs = [&point.positive, &point.negative].map(|buckets| buckets.clone().unwrap_or_default());
                let counts = signs.iter().flat_map(|buckets| &buckets.bucket_counts).sum::<u64>();
                prop_assert_eq!(point.zero_count + counts, point.count);
                prop_assert!(signs.iter().all(|buckets| buckets.bucket_counts.len() <= exponential::MAX_BUCKETS));
                prop_assert!(point.zero_threshold >= 0.0 && (-11..=20).contains(&point.scale));
                prop_assert!(0 < point.start_time_unix_nano && point.start_time_unix_nano <= point.time_unix_nano);
            }
            points += histograms(metric).len() + exponentials(metric).len() + numbers(metric).len();
        }
        prop_assert_eq!(points, state.series_count());
    }

    #[test]
    fn text_and_otlp_count_the_same(deltas in prop::collection::vec(arbitrary::delta(), 0..6)) {
        let state = state_of(&deltas);
        let (_, counts) = totals(&resource_metrics(Export::Cumulative { state: &state, time_ms: 9_000 }, &options()));
        let mut text = String::new();
        crate::write_text(&state, &crate::TextOptions::default(), &mut text);
        // A quote in a label is escaped, so that none looks like this.
        let infinite = text.lines().filter_map(|line| line.rsplit_once("le=\"+Inf\"} "));
        prop_assert_eq!(infinite.map(|(_, count)| count.parse::<u128>().unwrap()).sum::<u128>(), counts);
    }

    #[test]
    fn windows_of_an_exponential_histogram_merge_to_what_it_became(
        all in prop::collection::vec(arbitrary::exponential(), 1..6),
    ) {
        let (mut total, mut merged) = (ExponentialHistogram::default(), ExponentialHistogram::default());
        for added in &all {
            let now = total.merged(added).unwrap();
            let window = now.since(&total).unwrap();
            prop_assert_eq!(window.count(), added.count());
            prop_assert!(window.scale() >= now.scale() && window.zero_threshold() <= now.zero_threshold());
            merged = merged.merged(&window).unwrap();
            total = now;
        }
        // Bucket by bucket, at the scale and under the threshold of the total.
        let rest = total.since(&merged).unwrap();
        prop_assert_eq!((rest.count(), merged.count()), (0, total.count()));
        prop_assert_eq!(merged.sum().is_some(), total.sum().is_some());
    }

    #[test]
    fn windows_add_up_to_the_state_whatever_was_exported_when(
        deltas in prop::collection::vec(arbitrary::delta(), 1..8),
        exported in prop::collection::vec(any::<bool>(), 8),
    ) {
        let mut state = Snapshot::new(1_000);
        let (mut before, mut since, mut now) = (Snapshot::new(1_000), 1_000, 1_000);
        let (mut sums, mut counts) = (0, 0);
        for (delta, is_exported) in deltas.iter().zip(exported.iter().chain([&true])) {
            now += 500;
            if state.apply(delta, now).is_err() {
                continue;
            }
            let window = Window::between(&before, since, &state, now);
            prop_assert_eq!(window.start_ms(), since);
            if *is_exported {
                let (of_sums, of_counts) = totals(&resource_metrics(Export::Delta(&window), &options()));
                // A total past 63 bits goes out rounded, and is not what this is about.
                prop_assume!(of_sums < 1 << 62);
                (sums, counts) = (sums + of_sums, counts + of_counts);
                (before, since) = (state.clone(), window.end_ms());
            }
        }
        let rest = Window::between(&before, since, &state, now + 1);
        let (of_sums, of_counts) = totals(&resource_metrics(Export::Delta(&rest), &options()));
        prop_assume!(of_sums < 1 << 62);
        let all = totals(&resource_metrics(Export::Cumulative { state: &state, time_ms: now }, &options()));
        prop_assume!(all.0 < 1 << 62);
        prop_assert_eq!((sums + of_sums, counts + of_counts), all);
    }

    #[test]
    fn requests_hold_the_limit_and_together_every_point(
        deltas in prop::collection::vec(arbitrary::delta(), 0..6), limit in 0_usize..20_000,
    ) {
        let state = state_of(&deltas);
        let whole = resource_metrics(Export::Cumulative { state: &state, time_ms: 9_000 }, &options());
        let expected = totals(&whole);
        let requests = requests::split(whole, limit);
        let points: u64 = requests.iter().map(requests::data_points).sum();
        prop_assert_eq!(points, u64::try_from(state.series_count()).unwrap());
        for request in &requests {
            let points = requests::data_points(request);
            prop_assert!(points == 1 || request.encoded_len() <= limit, "{} of {limit}", request.encoded_len());
            prop_assert!(points > 0);
            let halves = requests::halve(request.clone());
            prop_assert_eq!(halves.is_none(), points == 1);
            let halves = halves.unwrap_or_default();
            prop_assert!(points == 1 || halves.len() > 1);
            prop_assert!(points == 1 || halves.iter().map(requests::data_points).sum::<u64>() == points);
        }
        let all = requests.into_iter().flat_map(|request| request.resource_metrics).collect::<Vec<_>>();
        prop_assert_eq!(totals(&all), expected);
        // Those that are made when it is their turn are the same.
        let export = Export::Cumulative { state: &state, time_ms: 9_000 };
        let lazy: Vec<_> = Requests::new(export, &options(), limit).flat_map(|request| request.resource_metrics).collect();
        prop_assert_eq!(&lazy, &all);
        // And they are what the protocol says, as protobuf and as its JSON.
        let request = ExportMetricsServiceRequest { resource_metrics: all };
        prop_assert_eq!(&ExportMetricsServiceRequest::decode(&*request.encode_to_vec()).unwrap(), &request);
    }
}

/// Several jobs with thousands of series each, some of them before and some behind what fits one part.
#[test]
fn requests_of_many_series_are_made_in_parts_and_have_each_point_once() {
    let mut state = Snapshot::new(1_000);
    state.set_capacity(crate::Capacity::in_parts(false));
    let mut delta = Delta::new();
    let target = FamilyDescriptor::new(TARGET_INFO, "Target metadata", "", MetricKind::Gauge).unwrap();
    for job in 0..3 {
        let labels = LabelSet::from_pairs([("job", format!("shop-{job}")), ("region", "eu".to_owned())]).unwrap();
        delta.add(&target, labels, Value::Gauge(Gauge::unsigned(1, 2_000))).unwrap();
    }
    for family in ["a_things", "z_things"] {
        let family = FamilyDescriptor::new(family, "Things.", "", MetricKind::Counter).unwrap();
        for index in 0..12_345_u64 {
            let pairs = [("job", format!("shop-{}", index % 3)), ("n", index.to_string())];
            delta.add(&family, LabelSet::from_pairs(pairs).unwrap(), Value::Counter(index)).unwrap();
        }
    }
    let _applied = state.apply_custom(&delta, 5_000);
    assert_eq!(state.series_count(), 2 * 12_345 + 3);
    let export = Export::Cumulative { state: &state, time_ms: 9_000 };
    let mut requests = Requests::new(export, &options(), requests::MAX_REQUEST_BYTES);
    let first = requests.next().unwrap();
    assert!(requests::data_points(&first) < 5_000, "the others are not made yet");
    let all: Vec<_> = [first].into_iter().chain(requests).collect();
    assert!(all.len() < 12 && all.iter().all(|request| request.encoded_len() <= requests::MAX_REQUEST_BYTES));
    assert_eq!(all.iter().map(requests::data_points).sum::<u64>(), 2 * 12_345);
    let mut seen = BTreeSet::new();
    for resource in all.into_iter().flat_map(|request| request.resource_metrics) {
        let attributes = format!("{:?}", resource.resource);
        assert!(attributes.contains("region"), "what is known of the job is in every part: {attributes}");
        for metric in resource.scope_metrics.iter().flat_map(|scope| &scope.metrics) {
            for point in numbers(metric) {
                assert!(seen.insert((metric.name.clone(), format!("{:?}", point.attributes))), "{point:?}");
            }
        }
    }
    assert_eq!(seen.len(), 2 * 12_345);
}
