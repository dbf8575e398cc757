//! Points of OpenTelemetry of every kind, with plain and with hostile names and values: what a Worker's SDK could send.

use opentelemetry_proto::tonic::{
    common::v1::{AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList, any_value::Value},
    metrics::v1::{
        AggregationTemporality, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram,
        HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum,
        exponential_histogram_data_point::Buckets, metric::Data, number_data_point,
    },
    resource::v1::Resource,
};

const DELTA: i32 = AggregationTemporality::Delta as i32;

/// The time of all points, in nanoseconds since the epoch: from the first to the second.
pub type Window = (u64, u64);

/// An attribute.
#[must_use]
pub fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

/// Attributes that are text.
#[must_use]
pub fn texts(pairs: &[(&str, &str)]) -> Vec<KeyValue> {
    pairs.iter().map(|(key, value)| attribute(key, Value::StringValue((*value).to_owned()))).collect()
}

fn number(window: Window, value: number_data_point::Value, attributes: Vec<KeyValue>) -> NumberDataPoint {
    let (start_time_unix_nano, time_unix_nano) = window;
    NumberDataPoint { attributes, start_time_unix_nano, time_unix_nano, value: Some(value), ..Default::default() }
}

fn metric(name: &str, unit: &str, data: Data) -> Metric {
    let (name, unit, description) = (name.to_owned(), unit.to_owned(), format!("Help of {name}, \\ and \"so\" on."));
    Metric { name, unit, description, data: Some(data), ..Metric::default() }
}

fn sum(is_monotonic: bool, data_points: Vec<NumberDataPoint>) -> Data {
    Data::Sum(Sum { data_points, aggregation_temporality: DELTA, is_monotonic })
}

/// A counter of so much.
#[must_use]
pub fn counter(window: Window, name: &str, value: i64, attributes: Vec<KeyValue>) -> Metric {
    metric(name, "", sum(true, vec![number(window, number_data_point::Value::AsInt(value), attributes)]))
}

/// An exponential histogram.
#[must_use]
pub fn exponential(name: &str, unit: &str, point: ExponentialHistogramDataPoint) -> Metric {
    let histogram = ExponentialHistogram { data_points: vec![point], aggregation_temporality: DELTA };
    metric(name, unit, Data::ExponentialHistogram(histogram))
}

/// A scope of these metrics, of a service with this resource.
#[must_use]
pub fn resource_metrics(resource: Vec<KeyValue>, scope: &str, metrics: Vec<Metric>) -> ResourceMetrics {
    let scope = InstrumentationScope {
        name: scope.to_owned(),
        version: "0.1".to_owned(),
        attributes: texts(&[("short.name", "x"), ("name", "forged")]),
        ..InstrumentationScope::default()
    };
    ResourceMetrics {
        resource: Some(Resource { attributes: resource, ..Resource::default() }),
        scope_metrics: vec![ScopeMetrics {
            scope: Some(scope),
            metrics,
            schema_url: "https://opentelemetry.io/schemas/1.40.0".to_owned(),
        }],
        schema_url: String::new(),
    }
}

/// Everything, of three services.
#[must_use]
pub fn all(window: Window) -> Vec<ResourceMetrics> {
    let shop = [
        ("service.name", "shop"),
        ("service.namespace", "eu"),
        ("service.instance.id", "isolate-1"),
        ("service.version", "1.2.3"),
        ("cloud.region", "ams"),
        ("host name", "a \"b\" \\c"),
    ];
    let plain = texts(&[("service.name", "plain"), ("service.instance.id", "isolate-2")]);
    let metrics = [names(window), values(window), attributes(window), histograms(window)].concat();
    vec![
        resource_metrics(texts(&shop), "cart", metrics),
        resource_metrics(plain, "cart", vec![counter(window, "orders", 3, texts(&[("country", "SE")]))]),
        resource_metrics(Vec::new(), "", vec![counter(window, "orders", 4, texts(&[("country", "SE")]))]),
    ]
}

/// Names and units, of each kind.
fn names(window: Window) -> Vec<Metric> {
    let int = |value| number(window, number_data_point::Value::AsInt(value), Vec::new());
    let counters = [
        ("orders", "{order}"),
        ("request.count", "1"),
        ("requests_total", ""),
        ("total.bytes.sent", "By"),
        ("io", "By/s"),
        ("2xx.responses", ""),
        ("a..b--c__d", ""),
        ("_leading.trailing_", "s"),
        ("größe", "m"),
        ("time.spent.ms", "ms"),
    ];
    let gauges = [
        ("cpu.utilization", "1"),
        ("cpu.ratio", "1"),
        ("temperature", "Cel"),
        ("speed", "m/s"),
        ("rate", "{call}/min"),
        ("memory.usage.bytes", "By"),
        ("share", "%"),
        ("odd", "furlong"),
        ("odd2", "kg.m/s2"),
        ("fan", "{revolution}/{blade}"),
    ];
    let up_downs = [("queue.size", "{item}"), ("connections", "1"), ("disk.usage", "GiBy")];
    let mut metrics: Vec<Metric> =
        counters.iter().map(|(name, unit)| metric(name, unit, sum(true, vec![int(2)]))).collect();
    let gauge = |name: &str, unit: &str| metric(name, unit, Data::Gauge(Gauge { data_points: vec![int(5)] }));
    metrics.extend(gauges.iter().map(|(name, unit)| gauge(name, unit)));
    metrics.extend(up_downs.iter().map(|(name, unit)| metric(name, unit, sum(false, vec![int(-3)]))));
    // Of which nothing is left.
    metrics.push(metric("é", "", sum(true, vec![int(1)])));
    metrics
}

/// Integers and floats.
fn values(window: Window) -> Vec<Metric> {
    let float = |value| number(window, number_data_point::Value::AsDouble(value), Vec::new());
    let int = |value| number(window, number_data_point::Value::AsInt(value), Vec::new());
    vec![
        metric("value.float.counter", "", sum(true, vec![float(0.25)])),
        metric("value.float.updown", "", sum(false, vec![float(-1.5)])),
        metric("value.zero", "", sum(true, vec![int(0)])),
        metric("value.large", "", sum(true, vec![int(1 << 52)])),
        metric("value.negative", "", Data::Gauge(Gauge { data_points: vec![int(-7)] })),
        metric("value.float", "", Data::Gauge(Gauge { data_points: vec![float(1.5e300)] })),
        metric("value.infinite", "", Data::Gauge(Gauge { data_points: vec![float(f64::NEG_INFINITY)] })),
    ]
}

/// Attributes of every type and of hostile keys, each in a metric of its own.
fn attributes(window: Window) -> Vec<Metric> {
    let text = |text: &str| Value::StringValue(text.to_owned());
    let any = |value| AnyValue { value: Some(value) };
    let list = Value::ArrayValue(ArrayValue {
        values: vec![
            any(Value::IntValue(1)),
            any(text("a\"b\\c\n<d>é")),
            any(Value::DoubleValue(0.5)),
            AnyValue::default(),
        ],
    });
    let map = Value::KvlistValue(KeyValueList {
        values: vec![attribute("z", list.clone()), attribute("a", Value::BoolValue(false))],
    });
    let of = |name: &str, attributes: Vec<KeyValue>| counter(window, name, 1, attributes);
    vec![
        of(
            "attribute.types",
            vec![
                attribute("bool", Value::BoolValue(true)),
                attribute("int", Value::IntValue(i64::MIN)),
                attribute("double", Value::DoubleValue(-1.25)),
                attribute("double.large", Value::DoubleValue(1e21)),
                attribute("double.small", Value::DoubleValue(1.5e-7)),
                attribute("double.nan", Value::DoubleValue(f64::NAN)),
                attribute("bytes", Value::BytesValue(vec![0, 255, 16, 1])),
                attribute("list", list),
                attribute("map", map),
            ],
        ),
        of("attribute.text", texts(&[("quotes", "a \"b\""), ("lines", "a\nb"), ("back", "a\\b"), ("unicode", "日本")])),
        of("attribute.empty", texts(&[("empty", ""), ("full", "x")])),
        of(
            "attribute.keys",
            texts(&[("http.request.method", "GET"), ("9lives", "cat"), ("Upper.Case", "u"), ("_under", "v")]),
        ),
        of("attribute.overflow", vec![attribute("otel.metric.overflow", Value::BoolValue(true))]),
        // Where we differ from the Collector on purpose.
        of("differs.runs", texts(&[("a..b", "1")])),
        of("differs.collision", texts(&[("a.b", "2"), ("a/b", "1")])),
        of("differs.job", texts(&[("job", "mine")])),
        of("differs.unnamable", texts(&[("é", "1")])),
        of("differs.le", texts(&[("le", "1")])),
        of("differs.scope", texts(&[("otel.scope.name", "mine")])),
        of("differs:colon", Vec::new()),
    ]
}

fn histograms(window: Window) -> Vec<Metric> {
    let (start_time_unix_nano, time_unix_nano) = window;
    let explicit = |bounds: &[f64], counts: &[u64], sum| HistogramDataPoint {
        attributes: texts(&[("route", "/cart")]),
        start_time_unix_nano,
        time_unix_nano,
        count: counts.iter().sum(),
        sum,
        bucket_counts: counts.to_vec(),
        explicit_bounds: bounds.to_vec(),
        ..HistogramDataPoint::default()
    };
    let histogram = |name, unit, point| {
        metric(name, unit, Data::Histogram(Histogram { data_points: vec![point], aggregation_temporality: DELTA }))
    };
    let point = ExponentialHistogramDataPoint {
        start_time_unix_nano,
        time_unix_nano,
        count: 10,
        sum: Some(25.5),
        scale: 2,
        zero_count: 1,
        positive: Some(Buckets { offset: -3, bucket_counts: vec![1, 0, 2, 6] }),
        ..ExponentialHistogramDataPoint::default()
    };
    vec![
        histogram("latency", "s", explicit(&[0.005, 0.1, 2.5], &[1, 2, 3, 4], Some(17.25))),
        histogram("size", "By", explicit(&[1.0, 1024.0], &[0, 0, 1], Some(5000.0))),
        histogram("empty", "", explicit(&[1.0], &[0, 0], Some(0.0))),
        histogram("unknown", "", explicit(&[], &[3], None)),
        exponential("payload", "By", point),
    ]
}
