//! The OTLP push, from workerd to a collector that the test plays: what arrives is what `/metrics` says.

use std::{collections::BTreeMap, fs};

use opentelemetry_proto::tonic::{
    collector::metrics::v1::ExportMetricsServiceRequest,
    common::v1::{KeyValue, any_value},
    metrics::v1::{
        AggregationTemporality, HistogramDataPoint, Metric, NumberDataPoint, exponential_histogram_data_point::Buckets,
        metric::Data, number_data_point,
    },
};
use tempfile::TempDir;
use tributary_local::{backend::Backend, secrets::Secret};
use tributary_tests::{
    collector::{Answer, Collector, Received},
    consumer::Consumer,
    exposition::Exposition,
    installation::Installation,
    wait::eventually,
};

use crate::consumer::{LIMIT, delivery, expect_resolves};

/// Starts a consumer that pushes to `collector` every second unless `vars` say otherwise.
pub(crate) fn start(folder: &TempDir, backend: &Backend, collector: &Collector, vars: &[(&str, &str)]) -> Consumer {
    let edge = format!("{}/v1/clientFlagLogs:write", backend.url());
    let ingest = format!("{}/v1/flagLogs:ingest", backend.url());
    let mut all = vec![
        ("CONFIDENCE_FLAG_LOGS_URL", edge.as_str()),
        ("CONFIDENCE_INGEST_URL", ingest.as_str()),
        ("METRICS_SOURCE", "ledger"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url()),
        ("OTEL_METRIC_EXPORT_INTERVAL", "1000"),
    ];
    all.extend_from_slice(vars);
    Consumer::start(folder.path(), &all).unwrap()
}

/// Waits until the collector has taken `count` requests in all, and gives all that it got.
pub(crate) fn expect_accepted(collector: &Collector, count: usize) -> Vec<Received> {
    eventually(LIMIT * 2, "requests that are accepted", || {
        let received = collector.received();
        match received.iter().filter(|request| request.is_accepted).count() {
            accepted if accepted >= count => Ok(received),
            accepted => Err(format!("{accepted} of {count}, {} in all", received.len())),
        }
    })
}

/// A series as [`Exposition`] writes it, with `le` as a plain number.
pub(crate) type Samples = BTreeMap<String, f64>;

fn key(name: &str, attributes: &[KeyValue], le: Option<f64>) -> String {
    let mut labels: BTreeMap<String, String> = attributes
        .iter()
        .map(|attribute| match attribute.value.as_ref().and_then(|value| value.value.as_ref()) {
            Some(any_value::Value::StringValue(text)) => (attribute.key.clone(), text.clone()),
            other => panic!("{other:?}"),
        })
        .collect();
    if let Some(le) = le {
        labels.insert("le".into(), format!("{le:?}"));
    }
    let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
    format!("{name}{{{}}}", labels.join(","))
}

#[expect(clippy::cast_precision_loss, reason = "counts of a test")]
fn number(point: &NumberDataPoint) -> f64 {
    match point.value {
        Some(number_data_point::Value::AsInt(value)) => value as f64,
        Some(number_data_point::Value::AsDouble(value)) => value,
        None => panic!("{point:?}"),
    }
}

/// All metrics of a request, each with the instance of its resource.
pub(crate) fn metrics(request: &ExportMetricsServiceRequest) -> impl Iterator<Item = &Metric> {
    request.resource_metrics.iter().flat_map(|resource| &resource.scope_metrics).flat_map(|scope| &scope.metrics)
}

/// Start and end of every point of counters and histograms, with its temporality.
pub(crate) fn times(request: &ExportMetricsServiceRequest) -> Vec<(AggregationTemporality, u64, u64)> {
    let mut times = Vec::new();
    for metric in metrics(request) {
        match metric.data.as_ref().unwrap() {
            Data::Sum(sum) => {
                assert!(sum.is_monotonic, "{}", metric.name);
                let of = |point: &NumberDataPoint| {
                    (sum.aggregation_temporality(), point.start_time_unix_nano, point.time_unix_nano)
                };
                times.extend(sum.data_points.iter().map(of));
            }
            Data::Histogram(histogram) => {
                let of = |point: &HistogramDataPoint| {
                    (histogram.aggregation_temporality(), point.start_time_unix_nano, point.time_unix_nano)
                };
                times.extend(histogram.data_points.iter().map(of));
            }
            _ => {}
        }
    }
    times
}

/// Adds what a request says to `samples`, as `/metrics` would say it.
#[expect(clippy::cast_precision_loss, reason = "counts of a test")]
pub(crate) fn add(samples: &mut Samples, request: &ExportMetricsServiceRequest) {
    for metric in metrics(request) {
        let name = &metric.name;
        match metric.data.as_ref().unwrap() {
            Data::Sum(sum) => {
                let name = if sum.is_monotonic { format!("{name}_total") } else { name.clone() };
                for point in &sum.data_points {
                    *samples.entry(key(&name, &point.attributes, None)).or_default() += number(point);
                }
            }
            Data::Gauge(gauge) => {
                for point in &gauge.data_points {
                    samples.insert(key(name, &point.attributes, None), number(point));
                }
            }
            Data::Histogram(histogram) => {
                for point in &histogram.data_points {
                    assert_eq!(point.bucket_counts.len(), point.explicit_bounds.len() + 1);
                    let mut below = 0;
                    let bounds = point.explicit_bounds.iter().copied().chain([f64::INFINITY]);
                    for (bound, count) in bounds.zip(&point.bucket_counts) {
                        below += count;
                        let bucket = key(&format!("{name}_bucket"), &point.attributes, Some(bound));
                        *samples.entry(bucket).or_default() += below as f64;
                    }
                    assert_eq!(below, point.count);
                    *samples.entry(key(&format!("{name}_count"), &point.attributes, None)).or_default() +=
                        point.count as f64;
                    *samples.entry(key(&format!("{name}_sum"), &point.attributes, None)).or_default() +=
                        point.sum.unwrap();
                }
            }
            // Its buckets are others than those of `/metrics`.
            Data::ExponentialHistogram(histogram) => {
                for point in &histogram.data_points {
                    let counts = |buckets: Option<&Buckets>| buckets.map_or(0, |b| b.bucket_counts.iter().sum::<u64>());
                    let [positive, negative] = [&point.positive, &point.negative].map(|b| counts(b.as_ref()));
                    assert_eq!(point.zero_count + positive + negative, point.count);
                    *samples.entry(key(&format!("{name}_count"), &point.attributes, None)).or_default() +=
                        point.count as f64;
                    *samples.entry(key(&format!("{name}_sum"), &point.attributes, None)).or_default() +=
                        point.sum.unwrap();
                }
            }
            other => panic!("{other:?}"),
        }
    }
}

/// The same of `/metrics`.
pub(crate) fn exposed(exposition: &Exposition) -> Samples {
    exposition
        .all()
        .map(|(series, value)| {
            let bound = [",le=\"", "{le=\""].iter().find_map(|label| Some(series.find(label)? + label.len()));
            let Some((before, rest)) = bound.filter(|_| series.contains("_bucket{")).map(|at| series.split_at(at))
            else {
                return (series.to_owned(), value);
            };
            let (le, after) = rest.split_once('"').unwrap();
            let le: f64 = le.parse().unwrap();
            (format!("{before}{le:?}\"{after}"), value)
        })
        .collect()
}

/// What an export cannot know of itself, what counts the publications that go on beside it, and when which copy was made.
fn is_compared(series: &str) -> bool {
    let differ = [
        "payload_bytes_bucket",
        "tributary_otlp_",
        "tributary_kv_",
        "tributary_published_timestamp_seconds",
        "tributary_metrics_age_seconds",
    ];
    !differ.iter().any(|name| series.starts_with(name))
}

/// What differs, less what cannot agree.
pub(crate) fn difference(left: &Samples, right: &Samples) -> Vec<String> {
    let names = left.keys().chain(right.keys()).filter(|series| is_compared(series));
    let mut differing: Vec<String> = names
        .filter(|series| left.get(*series) != right.get(*series))
        .map(|series| format!("{series}: {:?} and {:?}", left.get(series), right.get(series)))
        .collect();
    differing.dedup();
    differing
}

/// Waits until what was received last is what `/metrics` says now.
pub(crate) fn expect_agreement(consumer: &Consumer, collector: &Collector) -> Samples {
    eventually(LIMIT * 2, "the collector's numbers on /metrics", || {
        let received = collector.received();
        let exposed = exposed(&consumer.metrics()?);
        let mut samples = Samples::new();
        add(&mut samples, &received.last().ok_or("nothing yet")?.request()?);
        let differing = difference(&samples, &exposed);
        if differing.is_empty() { Ok(samples) } else { Err(format!("{differing:#?}")) }
    })
}

#[test]
fn the_collector_has_every_series_value_and_bucket_of_metrics_in_both_encodings_and_compressed() {
    for vars in [
        &[][..],
        &[("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json")],
        &[("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")],
        &[("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "http/json"), ("OTEL_EXPORTER_OTLP_METRICS_COMPRESSION", "gzip")],
    ] {
        let (folder, backend, collector) =
            (TempDir::new().unwrap(), crate::consumer::backend(), Collector::start().unwrap());
        let consumer = start(&folder, &backend, &collector, vars);
        consumer.deliver(&[delivery(1, 1, 7), delivery(2, 1, 30)]).unwrap();
        expect_resolves(&consumer, 37.0);
        let samples = expect_agreement(&consumer, &collector);
        let buckets = samples.keys().filter(|series| series.starts_with("confidence_resolve_latency_microseconds_bu"));
        assert_eq!(buckets.count(), 175, "174 bounds and infinity");
        assert!(samples.len() > 250, "{}", samples.len());

        // Nothing comes in any more, and it goes on all the same; the start of no series moves.
        let before = collector.received().len();
        let received = expect_accepted(&collector, before + 3);
        let mut starts: BTreeMap<String, u64> = BTreeMap::new();
        for received in &received {
            assert_eq!(received.path, "/v1/metrics");
            let is_json = vars.iter().any(|(_, value)| *value == "http/json");
            let content_type = if is_json { "application/json" } else { "application/x-protobuf" };
            assert_eq!(received.header("content-type"), content_type);
            let is_gzip = vars.iter().any(|(_, value)| *value == "gzip");
            assert_eq!(received.header("content-encoding"), if is_gzip { "gzip" } else { "" });
            let request = received.request().unwrap();
            for (temporality, start, end) in times(&request) {
                assert_eq!(temporality, AggregationTemporality::Cumulative);
                assert!(0 < start && start <= end);
            }
            for metric in metrics(&request) {
                if let Data::Sum(sum) = metric.data.as_ref().unwrap() {
                    for point in &sum.data_points {
                        let series = key(&metric.name, &point.attributes, None);
                        let start = point.start_time_unix_nano;
                        assert_eq!(*starts.entry(series.clone()).or_insert(start), start, "{series}");
                    }
                }
            }
        }
        let exported = consumer.metrics().unwrap();
        assert!(exported.get("tributary_otlp_requests_total", &[("outcome", "accepted")]) >= 3.0);
        assert!(exported.get("tributary_otlp_points_total", &[("outcome", "accepted")]) > 100.0);
        assert!(exported.sum("tributary_otlp_last_success_timestamp_seconds") > 1e9);
    }
}

#[test]
fn what_was_resolved_is_what_the_collector_has_and_credentials_are_in_no_log() {
    const KEY: &str = "a-key-that-nobody-may-see";
    let collector = Collector::start().unwrap();
    collector.answer_in_turn(vec![Answer::status(401), Answer::status(503)]);
    let url = format!("{}/some/base/", collector.url());
    let mut installation = Installation::start(|options| {
        for (name, value) in [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", url.as_str()),
            ("OTEL_METRIC_EXPORT_INTERVAL", "1000"),
            ("OTEL_SERVICE_NAME", "checkout"),
            ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test,team=a%20b"),
        ] {
            options.consumer_vars.insert(name.into(), value.into());
        }
        let headers = Secret::new(format!("api-key={KEY},x-scope=a%20b"));
        options.consumer_secrets.insert("OTEL_EXPORTER_OTLP_HEADERS".into(), headers);
    })
    .unwrap();
    let mut flags = 0.0;
    let mut resolve = |installation: &Installation, users: std::ops::Range<u32>| {
        for n in users {
            let body = installation.resolve_body(&format!("user-{n}"), "se", true);
            let reply = installation.send("POST", "/v1/flags:resolve", &[], &body).unwrap();
            #[expect(clippy::cast_precision_loss, reason = "a handful of flags")]
            let resolved = reply.json()["resolvedFlags"].as_array().unwrap().len() as f64;
            flags += resolved;
        }
        flags
    };
    let expect = |flags: f64| {
        eventually(LIMIT * 2, "the collector's sum", || {
            let received = collector.received();
            let last = received.iter().rfind(|received| received.is_accepted).ok_or("nothing yet")?;
            let mut samples = Samples::new();
            add(&mut samples, &last.request()?);
            let resolves = samples.iter().filter(|(series, _)| series.starts_with("confidence_resolves_total{"));
            match resolves.map(|(_, value)| value).sum::<f64>() {
                sum if sum == flags => Ok(()),
                sum => Err(format!("{sum} instead of {flags}")),
            }
        });
    };
    expect(resolve(&installation, 0..30));
    // What waits in the local queue dies with it; all of the 30 have arrived.
    installation.running.kill_workers().unwrap();
    installation.running.start_workers().unwrap();
    expect(resolve(&installation, 30..50));

    let received = collector.received();
    for received in &received {
        assert_eq!((received.path.as_str(), received.header("api-key")), ("/some/base/v1/metrics", KEY));
        assert_eq!(received.header("x-scope"), "a b");
        for resource in received.request().unwrap().resource_metrics {
            let attributes = resource.resource.unwrap().attributes;
            let found: Vec<_> =
                attributes.iter().map(|attribute| key("", std::slice::from_ref(attribute), None)).collect();
            for expected in ["service.name=\"checkout\"", "team=\"a b\"", "deployment.environment.name=\"test\""] {
                assert!(found.contains(&format!("{{{expected}}}")), "{found:?}");
            }
        }
    }
    let log = fs::read_to_string(installation.running.log()).unwrap();
    assert!(log.contains("\"status\":401"), "the refusal is logged: {log}");
    assert!(!log.contains(KEY), "{log}");
}
