//! The mapping, against results that are written down.

#![allow(clippy::unwrap_used, reason = "helpers of a test fail by panicking")]

use opentelemetry_proto::tonic::{
    common::v1::{AnyValue, InstrumentationScope, any_value},
    metrics::v1::{
        ExponentialHistogram, ExponentialHistogramDataPoint, Histogram, HistogramDataPoint, NumberDataPoint,
        ScopeMetrics, Sum, Summary, exponential_histogram_data_point::Buckets, number_data_point,
    },
    resource::v1::Resource,
};

use super::*;
use crate::{Snapshot, TextFormat, TextOptions, write_text};

const WINDOW: (u64, u64) = (1_000, 2_000);
const DELTA: i32 = AggregationTemporality::Delta as i32;
const CUMULATIVE: i32 = AggregationTemporality::Cumulative as i32;

fn attribute(key: &str, value: &str) -> KeyValue {
    let value = AnyValue { value: Some(any_value::Value::StringValue(value.to_owned())) };
    KeyValue { key: key.to_owned(), value: Some(value), ..KeyValue::default() }
}

fn attributes(pairs: &[(&str, &str)]) -> Vec<KeyValue> {
    pairs.iter().map(|(key, value)| attribute(key, value)).collect()
}

fn int(value: i64, pairs: &[(&str, &str)]) -> NumberDataPoint {
    let value = Some(number_data_point::Value::AsInt(value));
    NumberDataPoint { attributes: attributes(pairs), value, ..NumberDataPoint::default() }
}

fn metric(name: &str, unit: &str, data: Data) -> Metric {
    let (name, unit, description) = (name.to_owned(), unit.to_owned(), format!("About {name}."));
    Metric { name, unit, description, data: Some(data), ..Metric::default() }
}

fn sum(data_points: Vec<NumberDataPoint>) -> Data {
    Data::Sum(Sum { data_points, aggregation_temporality: DELTA, is_monotonic: true })
}

fn float(value: f64) -> NumberDataPoint {
    NumberDataPoint { value: Some(number_data_point::Value::AsDouble(value)), ..NumberDataPoint::default() }
}

fn up_down(data_points: Vec<NumberDataPoint>) -> Data {
    Data::Sum(Sum { data_points, aggregation_temporality: DELTA, is_monotonic: false })
}

/// Of scale 0: powers of 2.
fn exponential(offset: i32, counts: &[u64], sum: f64) -> ExponentialHistogramDataPoint {
    ExponentialHistogramDataPoint {
        count: counts.iter().sum(),
        sum: Some(sum),
        positive: Some(Buckets { offset, bucket_counts: counts.to_vec() }),
        ..ExponentialHistogramDataPoint::default()
    }
}

fn exponentials(data_points: Vec<ExponentialHistogramDataPoint>) -> Data {
    Data::ExponentialHistogram(ExponentialHistogram { data_points, aggregation_temporality: DELTA })
}

fn gauge(data_points: Vec<NumberDataPoint>) -> Data {
    Data::Gauge(opentelemetry_proto::tonic::metrics::v1::Gauge { data_points })
}

fn histogram(data_points: Vec<HistogramDataPoint>) -> Data {
    Data::Histogram(Histogram { data_points, aggregation_temporality: DELTA })
}

fn observed(bounds: &[f64], counts: &[u64], sum: Option<f64>) -> HistogramDataPoint {
    HistogramDataPoint {
        count: counts.iter().sum(),
        sum,
        bucket_counts: counts.to_vec(),
        explicit_bounds: bounds.to_vec(),
        ..HistogramDataPoint::default()
    }
}

fn message(metrics: Vec<Metric>) -> ResourceMetrics {
    ResourceMetrics {
        resource: Some(Resource {
            attributes: attributes(&[("service.name", "shop"), ("service.instance.id", "isolate-7")]),
            ..Resource::default()
        }),
        scope_metrics: vec![ScopeMetrics {
            scope: Some(InstrumentationScope { name: "cart".into(), version: "1.2".into(), ..Default::default() }),
            metrics,
            schema_url: String::new(),
        }],
        schema_url: String::new(),
    }
}

fn read(message: ResourceMetrics) -> OtlpMetrics {
    use tributary_proto::Message as _;
    let bytes = message.encoded_len();
    super::read(message, bytes, WINDOW.0, WINDOW.1)
}

fn text(read: &OtlpMetrics) -> String {
    let mut state = Snapshot::new(WINDOW.0);
    let _applied = state.apply(&read.delta, WINDOW.1).unwrap();
    let mut text = String::new();
    write_text(&state, &TextOptions::new(TextFormat::OpenMetrics), &mut text);
    text
}

fn refusals(metrics: Vec<Metric>) -> Vec<(&'static str, u64)> {
    let refused = read(message(metrics)).refused;
    refused.into_iter().map(|(refusal, points)| (refusal.as_str(), points)).collect()
}

#[test]
fn points_are_series_of_their_job_and_scope() {
    let read = read(message(vec![
        metric("cart.orders", "{order}", sum(vec![int(2, &[("country", "SE")]), int(3, &[("country", "SE")])])),
        metric("cart.load", "1", gauge(vec![int(-2, &[])])),
        metric("cart.wait", "s", histogram(vec![observed(&[0.5, 1.0], &[1, 2, 3], Some(7.5))])),
    ]));
    assert_eq!((read.refused.len(), read.overflowed, read.delta.start_time_ms()), (0, 0, Some(WINDOW.0)));
    let scope = "job=\"shop\",otel_scope_name=\"cart\",otel_scope_version=\"1.2\"";
    let expected = format!(
        "# TYPE cart_load_ratio gauge\n# UNIT cart_load_ratio ratio\n# HELP cart_load_ratio About cart.load.\n\
         cart_load_ratio{{{scope}}} -2.0\n\
         # TYPE cart_orders counter\n# HELP cart_orders About cart.orders.\n\
         cart_orders_total{{country=\"SE\",{scope}}} 5\n\
         # TYPE cart_wait_seconds histogram\n# UNIT cart_wait_seconds seconds\n# HELP cart_wait_seconds About cart.wait.\n\
         cart_wait_seconds_bucket{{{scope},le=\"0.5\"}} 1\n\
         cart_wait_seconds_bucket{{{scope},le=\"1.0\"}} 3\n\
         cart_wait_seconds_bucket{{{scope},le=\"+Inf\"}} 6\n\
         cart_wait_seconds_sum{{{scope}}} 7.5\n\
         cart_wait_seconds_count{{{scope}}} 6\n\
         # TYPE target_info gauge\n# HELP target_info Target metadata\n\
         target_info{{job=\"shop\"}} 1\n# EOF\n"
    );
    assert_eq!(text(&read), expected);
}

/// Of a resource and scope that say nothing, so that the series has no labels.
fn value(data: Data) -> Option<Value> {
    let mut sent = message(vec![metric("m", "", data)]);
    sent.resource = None;
    sent.scope_metrics[0].scope = None;
    read(sent).delta.get("m", &LabelSet::empty()).cloned()
}

#[test]
fn sums_of_integers_and_floats_are_one_series() {
    assert_eq!(value(sum(vec![float(0.5), float(2.25), float(-0.0)])), Some(Value::FloatCounter(2.75)));
    assert_eq!(value(sum(vec![float(0.5), int(2, &[])])), Some(Value::FloatCounter(2.5)));
    assert_eq!(value(up_down(vec![int(3, &[]), int(-5, &[])])), Some(Value::UpDown(crate::UpDown::Integer(-2))));
    assert_eq!(value(up_down(vec![int(3, &[]), float(-0.5)])), Some(Value::UpDown(crate::UpDown::Float(2.5))));
}

#[test]
fn exponential_histograms_are_merged_at_the_coarser_scale() {
    // (1, 2], (2, 4] and (4, 8]; then in halves of a power: (1, 1.41], (1.41, 2], (2, 2.83].
    let fine = ExponentialHistogramDataPoint { scale: 1, ..exponential(0, &[1, 2, 4], 9.0) };
    let merged = value(exponentials(vec![exponential(0, &[1, 1, 1], 10.0), fine]));
    let Some(Value::Exponential(histogram)) = merged else { panic!("no histogram") };
    assert_eq!((histogram.scale(), histogram.count(), histogram.sum()), (0, 10, Some(19.0)));
    assert_eq!(histogram.positive().counts, [4, 5, 1]);
}

/// Whatever scale and offset they name: a bucket in which no float is has no count, and what is left fits.
#[test]
fn extreme_scales_and_offsets_are_counted_or_refused() {
    for scale in [i32::MIN, -12, -11, 0, 20, 21, i32::MAX] {
        for offset in [i32::MIN, -1 << 30, -1, 0, 1 << 30, i32::MAX] {
            let point = |counts: &[u64]| ExponentialHistogramDataPoint { scale, ..exponential(offset, counts, 1.0) };
            let points = vec![point(&[1]), point(&[0, 1]), point(&[1, 1])];
            let read = read(message(vec![metric("e", "", exponentials(points))]));
            let refused = read.refused.get(&PointRefusal::Inconsistent).copied().unwrap_or_default();
            let counted: u64 = read
                .delta
                .families()
                .flat_map(|family| family.series())
                .map(|(_, value)| if let Value::Exponential(histogram) = value { histogram.count() } else { 0 })
                .sum();
            // One, one and two observations.
            let possible = match refused {
                0 => [4, 4],
                1 => [2, 3],
                2 => [1, 2],
                _ => [0, 0],
            };
            assert!(
                possible.contains(&counted),
                "scale {scale}, offset {offset}: {refused} refused, {counted} counted"
            );
        }
    }
}

#[test]
fn attributes_that_meet_in_a_label_are_joined_in_the_order_of_their_keys() {
    let pairs = [("b.c", "3"), ("b/c", "2"), ("b_c", "1"), ("job", "mine"), ("empty", ""), ("le", "5"), ("9", "n")];
    let mut sent = message(vec![metric("m", "", sum(vec![int(1, &pairs)]))]);
    let resource = sent.resource.as_mut().unwrap();
    resource.attributes.extend(attributes(&[
        ("service.namespace", "eu"),
        ("service.version", "7"),
        ("cloud.region", "x"),
        ("cloud_region", "y"),
    ]));
    let scope = &mut sent.scope_metrics[0];
    scope.schema_url = "https://schema".into();
    scope.scope.as_mut().unwrap().attributes =
        attributes(&[("short.key", "v"), ("name", "forged"), ("schema.url", "forged")]);
    let text = text(&read(sent));
    let labels = "b_c=\"3;2;1\",job=\"mine;eu/shop\",key_9=\"n\",key_le=\"5\",otel_scope_name=\"cart\",\
                  otel_scope_schema_url=\"https://schema\",otel_scope_short_key=\"v\",otel_scope_version=\"1.2\"";
    assert!(text.contains(&format!("m_total{{{labels}}} 1\n")), "{text}");
    let target = "target_info{cloud_region=\"x;y\",job=\"eu/shop\",service_version=\"7\"} 1\n";
    assert!(text.contains(target), "{text}");
}

#[test]
fn a_resource_without_a_name_has_no_job_and_no_target() {
    let mut sent = message(vec![metric("m", "", sum(vec![int(1, &[])]))]);
    sent.resource = None;
    sent.scope_metrics[0].scope = None;
    assert!(text(&read(sent)).contains("\nm_total 1\n# EOF\n"));
}

#[test]
fn isolates_with_ids_of_their_own_are_one_series() {
    let of_isolate = |id: u8| {
        let mut sent = message(vec![metric("m", "", sum(vec![int(1, &[])]))]);
        sent.resource.as_mut().unwrap().attributes[1] = attribute("service.instance.id", &id.to_string());
        read(sent).delta
    };
    let mut merged = of_isolate(0);
    (1..100).for_each(|id| merged.merge(&of_isolate(id)).unwrap());
    assert_eq!(merged.families().map(|family| family.series().len()).collect::<Vec<_>>(), [1, 1]);
}

#[test]
fn readings_are_the_latest_and_none_is_from_the_future() {
    let at = |value, time_ms: u64| NumberDataPoint { time_unix_nano: time_ms * 1_000_000, ..int(value, &[]) };
    for (points, expected) in [
        (vec![at(7, 1_900), at(9, 1_800)], (7, 1_900)),
        (vec![at(7, 1_900), at(9, 5_000)], (9, 2_000)),
        (vec![at(7, 0)], (7, 2_000)),
        (vec![at(7, u64::MAX / 1_000_000)], (7, 2_000)),
    ] {
        let mut sent = message(vec![metric("m", "", gauge(points))]);
        sent.resource = None;
        sent.scope_metrics[0].scope = None;
        let expected = Value::Gauge(Gauge::unsigned(expected.0, expected.1));
        assert_eq!(read(sent).delta.get("m", &LabelSet::empty()), Some(&expected));
    }
}

#[test]
fn what_cannot_be_counted_is_refused_with_its_reason_and_the_rest_is_applied() {
    let monotonic = |points| metric("m", "", sum(points));
    let of = |temporality| {
        let data_points = vec![int(1, &[]), int(1, &[])];
        metric("t", "", Data::Sum(Sum { data_points, aggregation_temporality: temporality, is_monotonic: true }))
    };
    let observed = |point| metric("h", "", histogram(vec![point]));
    let one = |counts: &[u64]| super::tests::observed(&[1.0], counts, Some(1.0));
    let without_value = NumberDataPoint { value: None, ..int(1, &[]) };
    let flagged = NumberDataPoint { flags: 1, ..int(1, &[]) };
    let nan = NumberDataPoint { value: Some(number_data_point::Value::AsDouble(f64::NAN)), ..int(1, &[]) };
    let of_exponential = |point| metric("e", "", exponentials(vec![point]));
    let long = "x".repeat(2_000);
    let cases = vec![
        (metric("é", "", sum(vec![int(1, &[])])), "name", 1),
        (of(CUMULATIVE), "cumulative", 2),
        (of(0), "temporality", 2),
        (of(77), "temporality", 2),
        (metric("s", "", Data::Summary(Summary { data_points: vec![Default::default(); 3] })), "summary", 3),
        (Metric { data: None, ..monotonic(vec![]) }, "type", 1),
        (monotonic(vec![without_value, flagged]), "no_value", 2),
        (metric("g", "", gauge(vec![nan])), "not_finite", 1),
        (monotonic(vec![float(f64::NAN), float(f64::INFINITY)]), "not_finite", 2),
        (metric("u", "", up_down(vec![float(f64::NAN), float(f64::NEG_INFINITY)])), "not_finite", 2),
        (monotonic(vec![int(-1, &[]), float(-0.5)]), "negative", 2),
        (of_exponential(ExponentialHistogramDataPoint { count: 9, ..exponential(0, &[1, 1], 2.0) }), "inconsistent", 1),
        (of_exponential(exponential(i32::MAX, &[1, 1], 2.0)), "inconsistent", 1),
        (of_exponential(exponential(i32::MIN, &[1, 1], 2.0)), "inconsistent", 1),
        (
            of_exponential(ExponentialHistogramDataPoint { zero_threshold: -1.0, ..exponential(0, &[1], 2.0) }),
            "inconsistent",
            1,
        ),
        (of_exponential(exponential(0, &[1], f64::NAN)), "not_finite", 1),
        (of_exponential(exponential(0, &[1], -1.0)), "negative", 1),
        (of_exponential(ExponentialHistogramDataPoint { flags: 1, ..exponential(0, &[1], 2.0) }), "no_value", 1),
        (observed(HistogramDataPoint { sum: Some(-1.0), ..one(&[1, 0]) }), "negative", 1),
        (observed(HistogramDataPoint { sum: Some(f64::NAN), ..one(&[1, 0]) }), "not_finite", 1),
        (observed(HistogramDataPoint { sum: Some(f64::INFINITY), ..one(&[1, 0]) }), "not_finite", 1),
        (observed(HistogramDataPoint { count: 3, ..one(&[1, 1]) }), "inconsistent", 1),
        (observed(one(&[1, 1, 1])), "inconsistent", 1),
        (
            observed(HistogramDataPoint { count: 1, bucket_counts: vec![u64::MAX, 2], ..one(&[1, 0]) }),
            "inconsistent",
            1,
        ),
        (observed(HistogramDataPoint { explicit_bounds: vec![f64::NAN], ..one(&[1, 0]) }), "inconsistent", 1),
        (observed(super::tests::observed(&[1.0; 2], &[1, 0, 0], Some(1.0))), "inconsistent", 1),
        (observed(super::tests::observed(&[0.0; 600], &[0; 601], Some(0.0))), "limit", 1),
        (observed(HistogramDataPoint { flags: 1, ..one(&[1, 0]) }), "no_value", 1),
        (monotonic(vec![int(1, &[("k", &long)])]), "labels", 1),
        (monotonic(vec![int(1, &[(&long, "v")])]), "labels", 1),
        (metric("good", "", gauge(vec![int(1, &[])])), "conflict", 1),
        (metric("good", "", sum(vec![int(i64::MAX, &[]); 3])), "range", 1),
    ];
    for (refused, reason, points) in cases {
        let good = metric("good", "", sum(vec![int(1, &[]), int(i64::MAX, &[("n", "most")])]));
        assert_eq!(refusals(vec![good.clone(), refused.clone()]), [(reason, points)], "{refused:?}");
        assert!(text(&read(message(vec![good, refused]))).contains("\ngood_total{job="));
    }
}

#[test]
fn a_histogram_may_say_no_more_than_how_many() {
    let unknown = HistogramDataPoint { count: 5, sum: None, ..HistogramDataPoint::default() };
    let text = text(&read(message(vec![metric("h", "", histogram(vec![unknown]))])));
    assert!(text.contains("le=\"+Inf\"} 5\n") && text.contains("} 0.0\nh_count{"), "{text}");
}

#[test]
fn reserved_names_are_left_out_and_said() {
    let names = ["confidence.resolves", "tributary.messages", "target.info", "up", "mine"];
    let metrics = names.map(|name| metric(name, "", sum(vec![int(1, &[]), int(1, &[("a", "b")])])));
    let read = read(message(metrics.into()));
    assert_eq!(read.reserved, ["confidence_resolves", "target_info", "tributary_messages", "up"]);
    assert_eq!((read.reserved_points, read.refused.len()), (8, 0));
    assert_eq!(
        read.delta.families().map(|family| family.descriptor().name()).collect::<Vec<_>>(),
        ["mine", "target_info"]
    );
}

fn total(read: &OtlpMetrics, family: &str) -> u64 {
    let family = read.delta.families().find(|known| known.descriptor().name() == family).unwrap();
    let counts = family.series().map(|(_, value)| if let Value::Counter(count) = value { *count } else { 0 });
    counts.sum()
}

#[test]
fn series_past_the_bound_of_a_message_go_into_the_overflow_series_of_their_family() {
    let names: Vec<String> = (0..1_500).map(|index| index.to_string()).collect();
    let points: Vec<_> = names.iter().map(|name| int(1, &[("n", name)])).collect();
    let seen = int(5, &[("n", "0")]);
    let read = read(message(vec![metric("m", "", sum([points, vec![seen]].concat()))]));
    let expected = 1_500 - u64::try_from(MAX_MESSAGE_SERIES).unwrap();
    assert_eq!((read.overflowed, read.refused.len(), total(&read, "m")), (expected, 0, 1_505));
    assert_eq!(read.delta.get("m", &overflow_labels()), Some(&Value::Counter(expected)));
}

#[test]
fn families_past_the_bound_of_a_message_are_refused() {
    let metrics = (0..1_500).map(|index| metric(&format!("m{index}"), "", sum(vec![int(1, &[])]))).collect();
    let read = read(message(metrics));
    assert_eq!(read.refused, BTreeMap::from([(PointRefusal::Limit, 500)]));
    assert_eq!(read.overflowed, 500);
}

/// Twenty kilobytes of labels that a scope says once would be in every series.
#[test]
fn labels_of_a_scope_cannot_make_a_message_many_times_larger() {
    let long = "v".repeat(1_000);
    let keys: Vec<String> = (0..20).map(|index| format!("key.{index}")).collect();
    let pairs: Vec<_> = keys.iter().map(|key| (key.as_str(), long.as_str())).collect();
    let names: Vec<String> = (0..400).map(|index| index.to_string()).collect();
    let mut sent = message(vec![metric("m", "", sum(names.iter().map(|name| int(1, &[("n", name)])).collect()))]);
    sent.scope_metrics[0].scope.as_mut().unwrap().attributes = attributes(&pairs);
    let read = read(sent);
    assert_eq!((total(&read, "m"), read.refused.len()), (400, 0));
    assert!(read.overflowed > 390, "{}", read.overflowed);
    assert!(read.delta.to_wire().families[0].series.len() < 10);
}

#[test]
fn reasons_are_distinct() {
    let names: BTreeSet<_> = PointRefusal::ALL.map(PointRefusal::as_str).into();
    assert_eq!(names.len(), PointRefusal::ALL.len());
}
