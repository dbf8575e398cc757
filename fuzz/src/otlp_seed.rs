//! Metrics of OpenTelemetry as seeds: every kind of point, and every way to get one wrong.

use opentelemetry_proto::tonic::{
    common::v1::{AnyValue, ArrayValue, InstrumentationScope, KeyValue, any_value::Value},
    metrics::v1::{
        AggregationTemporality, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram,
        HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, Summary, SummaryDataPoint,
        exponential_histogram_data_point::Buckets, metric::Data, number_data_point::Value as Number,
    },
    resource::v1::Resource,
};
use tributary_proto::Message as _;

const DELTA: i32 = AggregationTemporality::Delta as i32;

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, Value::StringValue(value.to_owned()))
}

fn metric(name: &str, unit: &str, data: Data) -> Metric {
    let (name, unit) = (name.to_owned(), unit.to_owned());
    Metric { name, unit, description: "Help \\ \"me\"\n.".to_owned(), data: Some(data), ..Metric::default() }
}

fn number(value: Number, attributes: Vec<KeyValue>) -> NumberDataPoint {
    NumberDataPoint { attributes, value: Some(value), time_unix_nano: 1_000_000, ..NumberDataPoint::default() }
}

fn sum(is_monotonic: bool, data_points: Vec<NumberDataPoint>) -> Data {
    Data::Sum(Sum { data_points, aggregation_temporality: DELTA, is_monotonic })
}

fn message(metrics: Vec<Metric>) -> Vec<u8> {
    let scope =
        InstrumentationScope { name: "cart".to_owned(), version: "1".to_owned(), ..InstrumentationScope::default() };
    let attributes = vec![text("service.name", "shop"), text("service.instance.id", "7"), text("cloud.region", "a")];
    ResourceMetrics {
        resource: Some(Resource { attributes, ..Resource::default() }),
        scope_metrics: vec![ScopeMetrics { scope: Some(scope), metrics, schema_url: String::new() }],
        schema_url: String::new(),
    }
    .encode_to_vec()
}

/// Every kind of point.
pub(crate) fn points() -> Vec<u8> {
    let list = Value::ArrayValue(ArrayValue { values: vec![AnyValue { value: Some(Value::DoubleValue(1e21)) }] });
    let of_every_type =
        vec![text("a.b", "\"\\\n"), text("a/b", "é"), attribute("le", list), attribute("9", Value::BoolValue(true))];
    let histogram = HistogramDataPoint {
        count: 3,
        sum: Some(2.5),
        bucket_counts: vec![1, 0, 2],
        explicit_bounds: vec![0.5, 1.0],
        ..HistogramDataPoint::default()
    };
    let exponential = ExponentialHistogramDataPoint {
        count: 4,
        sum: Some(2.5),
        scale: 2,
        zero_count: 1,
        positive: Some(Buckets { offset: -3, bucket_counts: vec![1, 0, 1] }),
        negative: Some(Buckets { offset: 1, bucket_counts: vec![1] }),
        ..ExponentialHistogramDataPoint::default()
    };
    message(vec![
        metric("cart.adds", "{item}", sum(true, vec![number(Number::AsInt(2), of_every_type)])),
        metric("cart.weight", "g", sum(true, vec![number(Number::AsDouble(0.25), vec![])])),
        metric("cart.size", "1", sum(false, vec![number(Number::AsInt(-2), vec![])])),
        metric("cart.load", "1", Data::Gauge(Gauge { data_points: vec![number(Number::AsDouble(0.5), vec![])] })),
        metric(
            "cart.wait",
            "s",
            Data::Histogram(Histogram { data_points: vec![histogram], aggregation_temporality: DELTA }),
        ),
        metric(
            "cart.price",
            "By/s",
            Data::ExponentialHistogram(ExponentialHistogram {
                data_points: vec![exponential],
                aggregation_temporality: DELTA,
            }),
        ),
    ])
}

/// Points that are refused, and one that is not.
pub(crate) fn careless() -> Vec<u8> {
    let one = || number(Number::AsInt(1), vec![]);
    let cumulative = Sum { data_points: vec![one()], aggregation_temporality: 2, is_monotonic: true };
    message(vec![
        metric("good", "", sum(true, vec![one(), number(Number::AsInt(-1), vec![])])),
        metric("good", "", Data::Gauge(Gauge { data_points: vec![one()] })),
        metric("cumulative", "", Data::Sum(cumulative)),
        metric("summary", "", Data::Summary(Summary { data_points: vec![SummaryDataPoint::default()] })),
        metric("up", "", sum(true, vec![one()])),
        metric("é", "", sum(true, vec![one()])),
        Metric { name: "none".to_owned(), ..Metric::default() },
    ])
}
