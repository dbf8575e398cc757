//! What custom metrics cost at most: the size of the commit that a batch of the greatest messages makes, and what the
//! Ledger keeps of it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of a test"
)]

use std::{collections::BTreeMap, time::Instant};

use tributary_consumer::{
    custom::gather,
    dimensions::Dimensions,
    ledger::{
        book::Book,
        commit::{Commit, Decision, decide},
        parts::StoredBook,
    },
    limits::MAX_COMMIT_BYTES,
    message::{Decoded, MessageBody, QueueMessage, decode},
    self_metrics,
};
use tributary_proto::{
    Message as _,
    envelope::MAX_MESSAGE_BYTES,
    v1::{self, CommitRequest},
};
use tributary_telemetry::limits::{MAX_CUSTOM_SERIES, MAX_MESSAGE_BUCKETS, MAX_MESSAGE_SERIES, MAX_SNAPSHOT_BYTES};

const NOW: u64 = 1_800_000_000_000;
const BATCH: usize = 100;
/// A layout of 361 buckets.
const BUCKETS: usize = 361;

fn label(name: &str, value: String) -> v1::Label {
    v1::Label { name: name.into(), value }
}

/// Every second bucket has a count, in one run: written canonically, each is a run of its own.
fn histogram() -> v1::series::Value {
    use v1::histogram::{DecimalLayout, Layout, Span, Sum};
    let counts = (0..BUCKETS).map(|bucket| u64::from(bucket % 2 == 0)).collect();
    v1::series::Value::Histogram(v1::Histogram {
        layout: Some(Layout::Decimal(DecimalLayout { per_decade: 18, bounds: 360 })),
        spans: vec![Span { offset: 0, counts }],
        sum: Some(Sum::UnsignedSum(1)),
    })
}

fn family(name: &str, kind: v1::MetricKind, series: Vec<v1::Series>) -> v1::MetricFamily {
    v1::MetricFamily { name: name.into(), kind: kind.into(), series, ..v1::MetricFamily::default() }
}

/// As much of everything as a message may have: series that no other has, buckets that grow when they are written, no
/// start that would be there already, and labels up to its size.
fn greatest(stream: usize) -> Decoded {
    let series = |index: usize, value, padding: usize| v1::Series {
        labels: vec![label("n", format!("{stream:03}{index:03}{}", "x".repeat(padding)))],
        start_time_ms: 0,
        value: Some(value),
    };
    let histograms = MAX_MESSAGE_BUCKETS / BUCKETS;
    let set = |padding| {
        let counters = (0..MAX_MESSAGE_SERIES - histograms)
            .map(|index| series(index, v1::series::Value::Counter(1), padding))
            .collect();
        let histograms = (0..histograms).map(|index| series(index, histogram(), padding)).collect();
        let families = vec![
            family("counters", v1::MetricKind::Counter, counters),
            family("histograms", v1::MetricKind::Histogram, histograms),
        ];
        v1::MetricSet { families }
    };
    let envelope = |padding| {
        v1::Envelope {
            format: 2,
            stream_id: u128::try_from(stream).unwrap().to_be_bytes().to_vec(),
            sequence: 1,
            window_start_ms: NOW - 1_000,
            window_end_ms: NOW,
            producer: Some(v1::Producer { resolver_id: "hostile".into(), ..v1::Producer::default() }),
            metrics: set(padding).encode_to_vec(),
            ..v1::Envelope::default()
        }
        .encode_to_vec()
    };
    let bare = envelope(100).len();
    let padding = 100 + (MAX_MESSAGE_BYTES - bare) / MAX_MESSAGE_SERIES - 3;
    let bytes = envelope(padding);
    assert!((MAX_MESSAGE_BYTES - 2_000..=MAX_MESSAGE_BYTES).contains(&bytes.len()), "{} bytes", bytes.len());
    let message = QueueMessage { id: "id".into(), sent_ms: NOW, attempts: 1, body: MessageBody::Bytes(bytes) };
    decode(&message, "r").unwrap()
}

#[test]
fn a_batch_of_the_greatest_messages_makes_a_commit_that_is_taken_and_a_state_that_is_stored() {
    let messages: Vec<Decoded> = (0..BATCH).map(greatest).collect();
    let fresh: Vec<&Decoded> = messages.iter().collect();
    let started = Instant::now();
    let mut deltas = gather(&fresh).into_iter();
    let mut delta = self_metrics::delta_of(&fresh, Dimensions::default(), NOW).unwrap();
    delta.merge(&deltas.next().unwrap()).unwrap();
    let merged = started.elapsed();
    assert_eq!(deltas.len(), 0);
    let records = messages.iter().map(|decoded| decoded.record.to_wire()).collect();
    let bytes = CommitRequest { records, delta: Some(delta.to_wire()), contradicting: Vec::new() }.encode_to_vec();
    println!("{BATCH} messages: merged in {merged:?}, a commit of {} bytes", bytes.len());
    assert!(bytes.len() > BATCH * (MAX_MESSAGE_BYTES - 2_000), "nothing grew: the test proves nothing");
    assert!(bytes.len() <= MAX_COMMIT_BYTES, "{} bytes", bytes.len());

    let started = Instant::now();
    let commit = Commit::decode(&bytes).unwrap();
    let mut book = Book::new("eu", NOW).unwrap();
    let decision = decide(&commit, &BTreeMap::new(), &mut book, NOW).unwrap();
    let state = StoredBook::seal(&book).size();
    println!("applied and sealed in {:?}: {} series, {state} bytes", started.elapsed(), book.state.series_count());
    assert!(matches!(decision, Decision::Apply { series_refused: 0, .. }), "{decision:?}");
    assert!(book.state.series_count() < MAX_CUSTOM_SERIES + 200 && state < MAX_SNAPSHOT_BYTES);
}

/// As many points of OpenTelemetry as a message holds, each a series that no other message has, under labels of their scope
/// that stand once in the message and in every series.
fn greatest_of_otlp(stream: usize, scope_bytes: usize) -> Decoded {
    use opentelemetry_proto::tonic::{
        common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value},
        metrics::v1::{Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, metric::Data, number_data_point},
    };
    let points = |count: usize| {
        let point = |index: usize| {
            let value = AnyValue { value: Some(any_value::Value::StringValue(format!("{stream:03}{index:05}"))) };
            NumberDataPoint {
                attributes: vec![KeyValue { key: "n".into(), value: Some(value), ..KeyValue::default() }],
                value: Some(number_data_point::Value::AsDouble(0.1)),
                ..NumberDataPoint::default()
            }
        };
        let data_points = (0..count).map(point).collect();
        let sum = Sum { data_points, aggregation_temporality: 1, is_monotonic: true };
        let metric = Metric { name: "points".into(), data: Some(Data::Sum(sum)), ..Metric::default() };
        let scope = InstrumentationScope { name: "s".repeat(scope_bytes), ..InstrumentationScope::default() };
        let scope_metrics = vec![ScopeMetrics { scope: Some(scope), metrics: vec![metric], schema_url: String::new() }];
        ResourceMetrics { resource: None, scope_metrics, schema_url: String::new() }.encode_to_vec()
    };
    let per_point = (points(1_000).len() - points(0).len()) / 1_000 + 1;
    let bytes = v1::Envelope {
        format: 4,
        stream_id: u128::try_from(stream).unwrap().to_be_bytes().to_vec(),
        sequence: 1,
        window_start_ms: NOW - 1_000,
        window_end_ms: NOW,
        producer: Some(v1::Producer { resolver_id: "hostile".into(), ..v1::Producer::default() }),
        resource_metrics: points((MAX_MESSAGE_BYTES - scope_bytes - 200) / per_point),
        ..v1::Envelope::default()
    }
    .encode_to_vec();
    assert!((MAX_MESSAGE_BYTES - 8_000..=MAX_MESSAGE_BYTES).contains(&bytes.len()), "{} bytes", bytes.len());
    let message = QueueMessage { id: "id".into(), sent_ms: NOW, attempts: 1, body: MessageBody::Bytes(bytes) };
    decode(&message, "r").unwrap()
}

#[test]
fn a_batch_of_the_greatest_messages_of_opentelemetry_makes_a_commit_that_is_taken() {
    for scope_bytes in [100, 1_000] {
        let messages: Vec<Decoded> = (0..BATCH).map(|stream| greatest_of_otlp(stream, scope_bytes)).collect();
        let fresh: Vec<&Decoded> = messages.iter().collect();
        let mut delta = self_metrics::delta_of(&fresh, Dimensions::default(), NOW).unwrap();
        for custom in gather(&fresh) {
            delta.merge(&custom).unwrap();
        }
        let records = messages.iter().map(|decoded| decoded.record.to_wire()).collect();
        let bytes = CommitRequest { records, delta: Some(delta.to_wire()), contradicting: Vec::new() }.encode_to_vec();
        assert!(bytes.len() > 1_000_000 && bytes.len() <= MAX_COMMIT_BYTES, "{} bytes", bytes.len());
        let mut book = Book::new("eu", NOW).unwrap();
        let commit = Commit::decode(&bytes).unwrap();
        let decision = decide(&commit, &BTreeMap::new(), &mut book, NOW).unwrap();
        assert!(matches!(decision, Decision::Apply { .. }), "{decision:?}");
        assert!(StoredBook::seal(&book).size() < MAX_SNAPSHOT_BYTES);
        // Every point is counted, in a series of its own or in that of the rest.
        let points = messages.iter().map(|decoded| (decoded.otlp.refused.len(), decoded.otlp.overflowed));
        assert!(points.clone().all(|(refused, overflowed)| refused == 0 && overflowed > 1_000), "{points:?}");
    }
}
