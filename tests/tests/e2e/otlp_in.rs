//! OpenTelemetry's metrics, put on the queue as a Worker with an SDK does: in workerd they come out on `/metrics` and in the
//! push, each counted once, and nothing that they say spoils what a scraper reads.

use opentelemetry_proto::tonic::metrics::v1::{AggregationTemporality, ResourceMetrics, metric::Data};
use tempfile::TempDir;
use tributary_proto::{
    Message as _,
    envelope::{Envelope, StreamId},
};
use tributary_tests::{
    collector::Collector,
    consumer::{Body, Consumer, Delivery, METRICS_TOKEN},
    exposition::Exposition,
    otelcol::{OpenTelemetryCollector, program},
    points,
    wait::eventually,
};

use crate::{
    consumer::{LIMIT, acked, backend, logs, now_ms},
    otlp::{Samples, difference, expect_agreement, exposed, start},
    parsers::{check_openmetrics, check_text},
};

/// A message with these metrics, and with flag logs of so many resolves.
pub(crate) fn delivery(stream: u8, sequence: u64, resolves: u32, resource_metrics: Vec<u8>) -> Delivery {
    let now = now_ms();
    let envelope = Envelope {
        stream_id: StreamId([stream; 16]),
        ledgers: 1,
        sequence,
        window_start_ms: now - 1_000,
        window_end_ms: now,
        resolver_id: "cf-resolver".into(),
        dimensions: Default::default(),
        flag_logs: logs(resolves).encode_to_vec(),
        metrics: Vec::new(),
        resource_metrics,
        dropped: vec![],
    };
    Delivery {
        id: format!("{stream}-{sequence}"),
        attempts: 1,
        timestamp_ms: now,
        body: Body::Bytes(envelope.encode().unwrap()),
    }
}

/// The points of all services, each in a message of an isolate of its own.
pub(crate) fn said(sequence: u64) -> Vec<Delivery> {
    let window = (0, now_ms() * 1_000_000);
    let messages = points::all(window).into_iter().zip(1..);
    messages.map(|(message, stream)| delivery(stream, sequence, 1, message.encode_to_vec())).collect()
}

/// What the scope of these points comes to as labels, of a job.
fn labels<'a>(job: &'a str, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let schema = "https://opentelemetry.io/schemas/1.40.0";
    let scope = [
        ("job", job),
        ("otel_scope_name", "cart"),
        ("otel_scope_schema_url", schema),
        ("otel_scope_short_name", "x"),
        ("otel_scope_version", "0.1"),
    ];
    scope.iter().chain(more).copied().collect()
}

/// Name, labels and value of a sample.
type Sample<'a> = (&'a str, &'a [(&'a str, &'a str)], f64);

fn expect(consumer: &Consumer, expected: &[Sample<'_>]) {
    eventually(LIMIT, "the points on /metrics", || {
        let metrics = consumer.metrics()?;
        for (name, labels, value) in expected {
            let found = metrics.find(name, labels);
            if found != Some(*value) {
                return Err(format!("{name}: {found:?} instead of {value}"));
            }
        }
        Ok(())
    });
}

#[test]
fn points_on_the_queue_are_counted_once_on_metrics_and_in_the_push() {
    let (folder, backend, collector) = (TempDir::new().unwrap(), backend(), Collector::start().unwrap());
    let consumer = start(&folder, &backend, &collector, &[]);
    // Twice each, and the first again in a batch with the second and by itself.
    let (first, second) = (said(1), said(2));
    consumer.deliver(&first).unwrap();
    let result = consumer.deliver(&[second, first.clone()].concat()).unwrap();
    assert_eq!(acked(&result).len(), 6, "{result:?}");
    consumer.deliver(&first).unwrap();

    let (shop, plain) = (labels("eu/shop", &[]), labels("plain", &[("country", "SE")]));
    let target =
        [("cloud_region", "ams"), ("host_name", "a \"b\" \\c"), ("job", "eu/shop"), ("service_version", "1.2.3")];
    let latency = labels("eu/shop", &[("route", "/cart")]);
    expect(
        &consumer,
        &[
            ("orders_total", &shop, 4.0),
            ("orders_total", &plain, 6.0),
            ("value_float_counter_total", &shop, 0.5),
            ("value_float_updown", &shop, -3.0),
            ("queue_size", &shop, -6.0),
            ("cpu_utilization_ratio", &shop, 5.0),
            ("value_negative", &shop, -7.0),
            ("latency_seconds_count", &latency, 20.0),
            ("latency_seconds_sum", &latency, 34.5),
            ("payload_bytes_count", &shop, 20.0),
            ("payload_bytes_sum", &shop, 51.0),
            ("target_info", &target, 1.0),
            // The name of which nothing is left, twice.
            ("tributary_refused_points_total", &[("reason", "name")], 2.0),
            ("confidence_resolves_total", &[("reason", "RESOLVE_REASON_MATCH"), ("resolver_id", "cf-resolver")], 6.0),
        ],
    );
    let pushed = expect_agreement(&consumer, &collector);
    assert!(pushed.keys().any(|series| series.starts_with("payload_bytes_count{")), "{pushed:?}");
    // Points that would spoil a scrape if they could.
    let token = format!("Bearer {METRICS_TOKEN}");
    let scrape = |accept| {
        let headers = [("authorization", token.as_str()), ("accept", accept)];
        consumer.send("GET", "/metrics", &headers, b"").unwrap().body
    };
    check_openmetrics(&scrape("application/openmetrics-text;version=1.0.0"), 300);
    check_text(&scrape("text/plain;version=0.0.4"), 300);

    // Everything is still there after a restart.
    drop(consumer);
    let consumer = start(&folder, &backend, &collector, &[]);
    consumer.deliver(&said(3)).unwrap();
    expect(&consumer, &[("orders_total", &shop, 6.0), ("payload_bytes_count", &shop, 30.0)]);
    expect_agreement(&consumer, &collector);
}

/// From an SDK to the queue, through us and on to the Collector: it serves the same series as we do, of their job and scope.
#[test]
fn the_opentelemetry_collector_serves_the_points_that_we_push_as_we_do() {
    let Some(program) = program() else { return };
    let peer = OpenTelemetryCollector::start(&program).unwrap();
    eventually(LIMIT, "the Collector's ports", || peer.ready());
    let (folder, backend, nobody) = (TempDir::new().unwrap(), backend(), Collector::start().unwrap());
    let otlp = peer.otlp();
    let consumer = start(&folder, &backend, &nobody, &[("OTEL_EXPORTER_OTLP_ENDPOINT", otlp.as_str())]);
    consumer.deliver(&said(1)).unwrap();
    let of_points = |exposition: &Exposition| -> Samples {
        let own = |series: &str| series.starts_with("tributary_") || series.starts_with("confidence_");
        let samples = exposed(exposition).into_iter().filter(|(series, _)| !own(series));
        samples.filter(|(series, _)| !series.starts_with("target_info") && !series.contains("_bytes_bucket")).collect()
    };
    eventually(LIMIT * 2, "the Collector's series on /metrics", || {
        // Which pipeline pushed, also in place of a name that nobody said; and labels that are none.
        let others = ["instance", "job"].map(|label| format!("{label}=\"tributary\","));
        let none = ["empty=\"\",", "otel_scope_name=\"\","].map(str::to_owned);
        let theirs = others.iter().chain(&none).fold(peer.scrape()?, |text, label| text.replace(label, ""));
        let (theirs, ours) = (of_points(&Exposition::parse(&theirs)?), of_points(&consumer.metrics()?));
        let differing = difference(&theirs, &ours);
        if ours.len() < 50 || !differing.is_empty() {
            return Err(format!("{} series, {} differ: {differing:#?}\n{}", ours.len(), differing.len(), peer.log()));
        }
        Ok(())
    });
}

#[test]
fn what_an_sdk_says_wrongly_is_refused_with_its_reason_and_the_rest_counts() {
    let (folder, backend, collector) = (TempDir::new().unwrap(), backend(), Collector::start().unwrap());
    let consumer = start(&folder, &backend, &collector, &[]);
    let counter = |name: &str| points::counter((0, 1), name, 1, Vec::new());
    let mut careless = counter("careless");
    if let Some(Data::Sum(sum)) = &mut careless.data {
        sum.aggregation_temporality = AggregationTemporality::Cumulative.into();
    }
    let metrics = vec![careless, counter("tributary.records.sent"), counter("good")];
    let message: ResourceMetrics =
        points::resource_metrics(points::texts(&[("service.name", "shop")]), "cart", metrics);
    let batch = [delivery(1, 1, 1, message.encode_to_vec()), delivery(2, 1, 1, vec![0xff; 9])];
    consumer.deliver(&batch).unwrap();
    let shop = labels("shop", &[]);
    expect(
        &consumer,
        &[
            ("good_total", &shop, 1.0),
            ("tributary_refused_points_total", &[("reason", "cumulative")], 1.0),
            ("tributary_refused_custom_series_total", &[("reason", "reserved_name")], 1.0),
            ("tributary_malformed_messages_total", &[("reason", "resource_metrics")], 1.0),
        ],
    );
    assert_eq!(consumer.metrics().unwrap().sum("careless_total"), 0.0);
}
