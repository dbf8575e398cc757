//! What `emitter/npm` must write, byte for byte: `emitter/npm/test/vectors.json`, which `UPDATE_VECTORS=1` makes anew.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of a test")]

use std::{fs, path::Path};

use opentelemetry_proto::tonic::{
    common::v1::{AnyValue, ArrayValue, InstrumentationScope, KeyValue, any_value::Value},
    metrics::v1::{
        AggregationTemporality, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram,
        HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum,
        exponential_histogram_data_point::Buckets, metric::Data, number_data_point,
    },
    resource::v1::Resource,
};
use serde::Serialize;
use tributary_otel::pack::{Bounds, Head, Kind, Packer, Point};
use tributary_proto::{
    envelope::{Envelope, StreamId},
    v1,
};

const FULL: Bounds = Bounds { bytes: 119_488, points: 500, buckets: 4_096, written: 160_000 };

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Vector {
    name: &'static str,
    stream_id: String,
    ledgers: u32,
    /// Of the first message.
    sequence: u64,
    window_start_ms: u64,
    window_end_ms: u64,
    worker: &'static str,
    /// Reason and recordings; in the first message.
    dropped: Vec<(i32, u64)>,
    /// Bytes, points, buckets and written bytes of a message.
    bounds: [usize; 4],
    /// In the JSON mapping of OTLP, before it is cut.
    resource_metrics: Option<ResourceMetrics>,
    /// The messages, in hexadecimal digits.
    messages: Vec<String>,
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.into(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, Value::StringValue(value.into()))
}

fn number(attributes: Vec<KeyValue>, start: u64, value: number_data_point::Value) -> NumberDataPoint {
    NumberDataPoint {
        attributes,
        start_time_unix_nano: start,
        time_unix_nano: 1_764_000_001_000_000_000,
        value: Some(value),
        ..NumberDataPoint::default()
    }
}

const START: u64 = 1_764_000_000_123_456_789;

fn metric(name: &str, description: &str, unit: &str, data: Data) -> Metric {
    Metric {
        name: name.into(),
        description: description.into(),
        unit: unit.into(),
        data: Some(data),
        ..Metric::default()
    }
}

fn sum(is_monotonic: bool, data_points: Vec<NumberDataPoint>) -> Data {
    Data::Sum(Sum { data_points, aggregation_temporality: AggregationTemporality::Delta.into(), is_monotonic })
}

fn metrics(resource: Vec<KeyValue>, scopes: Vec<(InstrumentationScope, &str, Vec<Metric>)>) -> ResourceMetrics {
    ResourceMetrics {
        resource: Some(Resource { attributes: resource, ..Resource::default() }),
        scope_metrics: scopes
            .into_iter()
            .map(|(scope, schema_url, metrics)| ScopeMetrics {
                scope: Some(scope),
                metrics,
                schema_url: schema_url.into(),
            })
            .collect(),
        schema_url: String::new(),
    }
}

fn scope(name: &str) -> InstrumentationScope {
    InstrumentationScope { name: name.into(), ..InstrumentationScope::default() }
}

/// One of each.
fn every_kind() -> ResourceMetrics {
    use number_data_point::Value::{AsDouble, AsInt};
    let array = ArrayValue {
        values: [Value::StringValue("a".into()), Value::IntValue(-3)]
            .map(|value| AnyValue { value: Some(value) })
            .to_vec(),
    };
    let attributes = vec![
        text("text", "Smörgås \u{1f363}"),
        text("empty", ""),
        attribute("yes", Value::BoolValue(true)),
        attribute("no", Value::BoolValue(false)),
        attribute("small", Value::IntValue(-1)),
        attribute("large", Value::IntValue(9_007_199_254_740_991)),
        attribute("half", Value::DoubleValue(0.5)),
        attribute("array", Value::ArrayValue(array)),
    ];
    let integers = sum(
        true,
        vec![
            number(attributes, START, AsInt(3)),
            number(vec![], START, AsInt(0)),
            number(vec![text("a", "b")], 0, AsInt(i64::MAX)),
        ],
    );
    let up_down =
        sum(false, vec![number(vec![], START, AsInt(-42)), number(vec![text("a", "b")], START, AsDouble(-0.25))]);
    let gauge = Data::Gauge(Gauge {
        data_points: vec![number(vec![], 0, AsDouble(21.5)), number(vec![text("a", "b")], 0, AsDouble(0.0))],
    });
    let delta = i32::from(AggregationTemporality::Delta);
    let explicit = Data::Histogram(Histogram {
        data_points: vec![
            HistogramDataPoint {
                attributes: vec![text("a", "b")],
                start_time_unix_nano: START,
                time_unix_nano: START + 1,
                count: 6,
                sum: Some(12.75),
                bucket_counts: vec![1, 0, 5],
                explicit_bounds: vec![-0.5, 1e9],
                ..HistogramDataPoint::default()
            },
            HistogramDataPoint {
                start_time_unix_nano: START,
                time_unix_nano: START + 1,
                count: 2,
                sum: Some(0.0),
                bucket_counts: vec![2],
                ..HistogramDataPoint::default()
            },
        ],
        aggregation_temporality: delta,
    });
    let exponential = Data::ExponentialHistogram(ExponentialHistogram {
        data_points: vec![
            ExponentialHistogramDataPoint {
                attributes: vec![text("a", "b")],
                start_time_unix_nano: START,
                time_unix_nano: START + 1,
                count: 310,
                sum: Some(-1.5),
                scale: -4,
                zero_count: 2,
                positive: Some(Buckets { offset: -1_030, bucket_counts: vec![1, 0, 300] }),
                negative: Some(Buckets { offset: 7, bucket_counts: vec![7] }),
                zero_threshold: 1e-9,
                ..ExponentialHistogramDataPoint::default()
            },
            ExponentialHistogramDataPoint {
                start_time_unix_nano: START,
                time_unix_nano: START + 1,
                count: 1,
                sum: Some(1.0),
                scale: 20,
                positive: Some(Buckets { offset: -1, bucket_counts: vec![1] }),
                ..ExponentialHistogramDataPoint::default()
            },
        ],
        aggregation_temporality: delta,
    });
    let own = InstrumentationScope {
        name: "shop".into(),
        version: "1.2.3".into(),
        attributes: vec![text("team", "blue")],
        dropped_attributes_count: 0,
    };
    metrics(
        vec![text("service.name", "shop"), text("zone", "north")],
        vec![
            (
                own,
                "https://opentelemetry.io/schemas/1.30.0",
                vec![
                    metric("shop.orders", "Orders placed.", "{order}", integers),
                    metric("shop.open", "", "", up_down),
                ],
            ),
            (
                scope("other"),
                "",
                vec![
                    metric("shop.temperature", "", "Cel", gauge),
                    metric("shop.items", "Items.", "", explicit),
                    metric("shop.value", "Value.", "s", exponential),
                ],
            ),
        ],
    )
}

/// More than a message of either bound takes, and one point that no message takes.
fn many() -> ResourceMetrics {
    let point = |n: i64| {
        number(
            vec![text("n", &"x".repeat(usize::try_from(n % 40).unwrap()))],
            START,
            number_data_point::Value::AsInt(n),
        )
    };
    let mut counters: Vec<_> = (0..120).map(point).collect();
    counters.insert(60, number(vec![text("long", &"y".repeat(2_000))], START, number_data_point::Value::AsInt(7)));
    let histogram = |n: u32| HistogramDataPoint {
        start_time_unix_nano: START,
        time_unix_nano: START + 1,
        count: 1,
        sum: Some(f64::from(n)),
        bucket_counts: vec![1; 10],
        explicit_bounds: (1..10).map(f64::from).collect(),
        ..HistogramDataPoint::default()
    };
    let histograms = Data::Histogram(Histogram {
        data_points: (0..6).map(histogram).collect(),
        aggregation_temporality: AggregationTemporality::Delta.into(),
    });
    metrics(
        vec![text("service.name", "shop")],
        vec![
            (scope("one"), "", vec![metric("a", "First.", "", sum(true, counters)), metric("b", "", "", histograms)]),
            (scope("two"), "", vec![metric("c", "", "", sum(false, (0..5).map(point).collect()))]),
        ],
    )
}

/// Runs metrics through the packer, as the SDK's come.
fn pack(bounds: Bounds, all: &ResourceMetrics) -> (Vec<Vec<u8>>, u64) {
    let mut packer = Packer::new(bounds, all.resource.clone().unwrap_or_default(), all.schema_url.clone());
    for ScopeMetrics { scope, metrics, schema_url } in &all.scope_metrics {
        packer.scope(scope.clone().unwrap_or_default(), schema_url.clone());
        for Metric { name, description, unit, data, .. } in metrics {
            let (kind, points): (_, Vec<_>) = match data.clone().unwrap() {
                Data::Gauge(gauge) => (Kind::Gauge, gauge.data_points.into_iter().map(Point::Number).collect()),
                Data::Sum(sum) => (
                    Kind::Sum { is_monotonic: sum.is_monotonic },
                    sum.data_points.into_iter().map(Point::Number).collect(),
                ),
                Data::Histogram(histogram) => {
                    (Kind::Histogram, histogram.data_points.into_iter().map(Point::Histogram).collect())
                }
                Data::ExponentialHistogram(histogram) => {
                    (Kind::Exponential, histogram.data_points.into_iter().map(Point::Exponential).collect())
                }
                Data::Summary(_) => panic!("nobody makes summaries"),
            };
            packer.metric(Head { name: name.clone(), description: description.clone(), unit: unit.clone(), kind });
            points.into_iter().for_each(|point| packer.point(point));
        }
    }
    packer.into_messages()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn vector(
    name: &'static str,
    ledgers: u32,
    sequence: u64,
    dropped: Vec<(i32, u64)>,
    bounds: Bounds,
    all: Option<ResourceMetrics>,
    lost: u64,
) -> Vector {
    let stream = [0xf0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 0xff];
    let (window_start_ms, window_end_ms, worker) = (1_764_000_000_000, 1_764_000_001_000, "shop-ü");
    let (messages, too_large) = all.as_ref().map_or_else(|| (vec![Vec::new()], 0), |all| pack(bounds, all));
    assert_eq!(too_large, lost);
    let messages = messages.into_iter().zip(sequence..).map(|(resource_metrics, number)| {
        assert!(resource_metrics.len() <= bounds.bytes, "{name}: {}", resource_metrics.len());
        let dropped = if number == sequence { dropped.as_slice() } else { &[] };
        let envelope = Envelope {
            stream_id: StreamId(stream),
            ledgers,
            sequence: number,
            window_start_ms,
            window_end_ms,
            resolver_id: worker.into(),
            dimensions: Default::default(),
            flag_logs: Vec::new(),
            metrics: Vec::new(),
            resource_metrics,
            dropped: dropped
                .iter()
                .map(|(reason, recordings)| v1::Dropped { reason: *reason, assignments: 0, recordings: *recordings })
                .collect(),
        };
        let bytes = envelope.encode().unwrap();
        assert_eq!(Envelope::decode(&bytes).unwrap(), envelope);
        hex(&bytes)
    });
    Vector {
        name,
        stream_id: hex(&stream),
        ledgers,
        sequence,
        window_start_ms,
        window_end_ms,
        worker,
        dropped: dropped.clone(),
        bounds: [bounds.bytes, bounds.points, bounds.buckets, bounds.written],
        messages: messages.collect(),
        resource_metrics: all,
    }
}

/// Which share of so many a stream has.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Share {
    stream_id: String,
    count: u32,
    share: u32,
}

/// Ids at the edges of what 32, 53 and 64 bits hold, and some of no form; what stands behind the first eight bytes says nothing.
fn shares() -> Vec<Share> {
    let edges = [0, 1, 2, u64::from(u32::MAX), 1 << 32, (1 << 53) + 1, i64::MAX.unsigned_abs(), 1 << 63, u64::MAX];
    let others = (1..=20_u64).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let ids = edges.into_iter().chain(others).enumerate().map(|(at, head)| {
        let mut id = [u8::try_from(at).unwrap(); 16];
        id[..8].copy_from_slice(&head.to_be_bytes());
        StreamId(id)
    });
    ids.flat_map(|id| [1, 2, 3, 7, 16].map(|count| Share { stream_id: hex(&id.0), count, share: id.share(count) }))
        .collect()
}

fn lines(values: &[impl Serialize]) -> String {
    let lines: Vec<_> = values.iter().map(|value| serde_json::to_string(value).unwrap()).collect();
    lines.join(",\n")
}

#[test]
fn the_vectors_are_what_this_crate_writes() {
    let small = |bytes, points, buckets| Bounds { bytes, points, buckets, written: 160_000 };
    let vectors = [
        vector("every kind of point", 1, 1, vec![], FULL, Some(every_kind()), 0),
        vector("the same, one by one", 1, 300, vec![], small(3_000, 1, 100), Some(every_kind()), 0),
        vector("cut by bytes", 1, 1 << 40, vec![(4, 1)], small(1_500, 500, 4_096), Some(many()), 1),
        vector("cut by buckets", 1, 7, vec![], small(1_900, 40, 25), Some(many()), 1),
        vector(
            "cut by what is written",
            1,
            7,
            vec![],
            Bounds { written: 3_500, ..small(3_000, 500, 4_096) },
            Some(many()),
            0,
        ),
        vector(
            "a resource that is left out",
            1,
            2,
            vec![],
            small(400, 500, 100),
            {
                let mut all = many();
                all.resource.get_or_insert_default().attributes.push(text("long", &"z".repeat(300)));
                Some(all)
            },
            1,
        ),
        vector("only what was dropped", 1, 3, vec![(3, 2), (4, 1 << 35)], FULL, None, 0),
        vector("of one of three ledgers", 3, 1, vec![(4, 1)], FULL, Some(every_kind()), 0),
        vector("only what was dropped, of one of sixteen", 16, 4, vec![(3, 2)], FULL, None, 0),
    ];
    let text = format!("{{\"vectors\": [\n{}\n], \"shares\": [\n{}\n]}}\n", lines(&vectors), lines(&shares()));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../npm/test/vectors.json");
    if std::env::var_os("UPDATE_VECTORS").is_some() {
        fs::write(&path, &text).unwrap();
    }
    assert!(fs::read_to_string(&path).unwrap() == text, "differs; UPDATE_VECTORS=1 makes it anew");
}
