//! Prometheus' protobuf format from workerd: it says what the texts of the same copy say, to other people's readers too, and a
//! real Prometheus makes native histograms of it that hold what was observed.

#[path = "../../../telemetry/tests/client_model/mod.rs"]
mod client_model;

use std::{collections::BTreeMap, process::Command};

use opentelemetry_proto::tonic::metrics::v1::{
    ExponentialHistogramDataPoint, exponential_histogram_data_point::Buckets,
};
use tempfile::TempDir;
use tributary_proto::Message as _;
use tributary_telemetry::ExponentialHistogram;
use tributary_tests::{
    consumer::{Consumer, Delivery, METRICS_TOKEN},
    exposition::Exposition,
    http::Reply,
    installation::repository,
    points,
    wait::eventually,
};

use crate::{
    consumer::{LIMIT, acked, backend, now_ms, start},
    otlp::{Samples, exposed},
    otlp_in::{delivery, said},
    parsers::feed,
    prometheus::Prometheus,
};

/// What Prometheus 3 sends where it is told `scrape_native_histograms: true`.
const ACCEPT: &str = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,\
    application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,\
    text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1";
const OPENMETRICS: &str = "application/openmetrics-text;version=1.0.0";
const TEXT: &str = "text/plain;version=0.0.4";

fn request(consumer: &Consumer, method: &str, headers: &[(&str, &str)]) -> Reply {
    let token = format!("Bearer {METRICS_TOKEN}");
    let headers: Vec<_> = [("authorization", token.as_str())].into_iter().chain(headers.iter().copied()).collect();
    consumer.send(method, "/metrics", &headers, b"").unwrap()
}

/// Which copy an answer is from.
fn publication(reply: &Reply) -> Vec<&str> {
    reply.header("etag").split('-').take(3).collect()
}

/// The same copy in these formats, once it says `condition`.
fn copies<const N: usize>(consumer: &Consumer, accepts: [&str; N], condition: &str) -> [Reply; N] {
    eventually(LIMIT, "one copy in all formats", || {
        let replies = accepts.map(|accept| request(consumer, "GET", &[("accept", accept)]));
        let is_same = replies.iter().all(|reply| reply.status == 200 && publication(reply) == publication(&replies[0]));
        let says_it = replies.iter().any(|reply| reply.body.contains(condition));
        if is_same && says_it && publication(&replies[0]).len() == 3 { Ok(replies) } else { Err("another".to_owned()) }
    })
}

/// As [`exposed`] has them, without the one that is of the answer.
fn of_text(text: &str) -> Samples {
    let mut samples = exposed(&Exposition::parse(text).unwrap());
    assert!(samples.remove("tributary_metrics_age_seconds{}").is_some());
    samples
}

fn of_messages(families: &[client_model::MetricFamily]) -> Samples {
    let mut samples = Samples::new();
    for (name, labels, value) in families.iter().flat_map(|family| family.samples().unwrap()) {
        let labels: BTreeMap<_, _> = labels.into_iter().collect();
        let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
        assert_eq!(samples.insert(format!("{name}{{{}}}", labels.join(",")), value), None);
    }
    assert!(samples.remove("tributary_metrics_age_seconds{}").is_some());
    samples
}

#[test]
fn protobuf_says_what_the_texts_of_the_same_copy_say() {
    let (folder, backend) = (TempDir::new().unwrap(), backend());
    let consumer = start(&folder, &backend.url());
    assert_eq!(acked(&consumer.deliver(&said(1)).unwrap()).len(), 3);
    let [protobuf, openmetrics, text] = copies(&consumer, [ACCEPT, OPENMETRICS, TEXT], "\npayload_bytes_count{");
    assert_eq!(
        protobuf.header("content-type"),
        "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
    );
    assert_eq!(protobuf.header("vary"), "Accept, Accept-Encoding, Authorization");
    let families = client_model::read(&protobuf.bytes).unwrap();
    assert_eq!(families.last().unwrap().name(), "tributary_metrics_age_seconds");
    let (found, text, openmetrics) = (of_messages(&families), of_text(&text.body), of_text(&openmetrics.body));
    assert!(found.len() > 300);
    assert_eq!(found, text, "samples of protobuf and of text 0.0.4");
    // OpenMetrics leaves some sums and counts out, and says nothing else.
    assert!(openmetrics.len() > 300 && openmetrics.iter().all(|(series, value)| found.get(series) == Some(value)));

    // One of ten observations at zero, the others at indices -3, -1 and 0 of scale 2, which are one less than the numbers.
    let payload = families.iter().find(|family| family.name() == "payload_bytes").unwrap();
    let histogram = payload.metric[0].histogram.as_ref().unwrap();
    assert_eq!((histogram.schema, histogram.zero_count, histogram.zero_threshold), (Some(2), Some(1), Some(0.0)));
    assert_eq!(histogram.native_buckets().unwrap(), [vec![], vec![(-2, 1), (0, 2), (1, 6)]]);
    assert_eq!(payload.unit(), "bytes");
    // Nothing else is one.
    let native = families.iter().flat_map(|family| &family.metric).filter_map(|metric| metric.histogram.as_ref());
    assert_eq!(native.filter(|histogram| histogram.is_native()).count(), 1);
    read_with_python(&protobuf.bytes, &families);

    // As a resource it is like the others.
    let current = eventually(LIMIT, "a copy that is not replaced meanwhile", || {
        let current = request(&consumer, "GET", &[("accept", ACCEPT)]);
        let condition = ("if-none-match", current.header("etag"));
        let again = request(&consumer, "GET", &[("accept", ACCEPT), condition]);
        let other = request(&consumer, "GET", &[("accept", TEXT), condition]);
        match (again.status, again.bytes.len(), other.status) {
            (304, 0, 200) => Ok(current.clone()),
            other => Err(format!("{other:?}")),
        }
    });
    assert!(!current.bytes.is_empty());
    let head = request(&consumer, "HEAD", &[("accept", ACCEPT)]);
    assert_eq!((head.status, head.bytes.len(), head.header("content-type")), (200, 0, protobuf.header("content-type")));
}

fn bits(value: f64) -> String {
    format!("{:016x}", value.to_bits())
}

/// Gives the bytes to Google's library for Python, with a schema of the script's own, and compares all that it says.
fn read_with_python(bytes: &[u8], families: &[client_model::MetricFamily]) {
    let script = repository().join("tests/prometheus/read.py");
    let said = match feed("python3", &[script.to_str().unwrap()], bytes) {
        Some((true, said)) => said,
        Some((false, said)) if said.contains("No module named 'google") => {
            println!("SKIPPED: protobuf is not installed; get it with: pip install protobuf");
            return;
        }
        other => panic!("{other:?}"),
    };
    let mut expected = Vec::new();
    for family in families {
        for metric in &family.metric {
            let mut alone = family.clone();
            alone.metric = vec![metric.clone()];
            for (name, mut labels, value) in alone.samples().unwrap() {
                for (_, bound) in labels.iter_mut().filter(|(label, _)| label == "le") {
                    *bound = bits(bound.parse().unwrap());
                }
                let labels: BTreeMap<_, _> = labels.into_iter().collect();
                expected.push(serde_json::json!([name, labels, bits(value)]));
            }
            let Some(histogram) = metric.histogram.as_ref().filter(|histogram| histogram.is_native()) else { continue };
            let labels: BTreeMap<_, _> = metric.label.iter().map(|label| (label.name(), label.value())).collect();
            let [negative, positive] = histogram.native_buckets().unwrap();
            let buckets = negative.iter().map(|(number, count)| (format!("-{number}"), *count));
            let buckets = buckets.chain(positive.iter().map(|(number, count)| (number.to_string(), *count)));
            let buckets: BTreeMap<_, _> = buckets.collect();
            let zero = (bits(histogram.zero_threshold()), histogram.zero_count());
            expected.push(serde_json::json!([family.name(), labels, histogram.schema(), zero.0, zero.1, buckets]));
        }
    }
    let said: Vec<serde_json::Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(said.len(), expected.len());
    for (said, expected) in said.iter().zip(&expected) {
        assert_eq!(said, expected);
    }
}

/// Observations of one histogram, at this scale and with this zero threshold.
struct Window<'a> {
    scale: i32,
    zero_threshold: f64,
    observed: &'a [f64],
}

impl Window<'_> {
    fn message(&self, sequence: u64) -> Delivery {
        let buckets = |is_negative: bool| {
            let of_sign = |value: &&f64| (**value < 0.0) == is_negative && value.abs() > self.zero_threshold;
            let index = |value: &f64| ExponentialHistogram::bucket_index(self.scale, value.abs()).unwrap();
            let indices: Vec<i64> = self.observed.iter().filter(of_sign).map(index).collect();
            let (Some(low), Some(high)) = (indices.iter().min(), indices.iter().max()) else {
                return Buckets::default();
            };
            let count = |index| u64::try_from(indices.iter().filter(|of| **of == index).count()).unwrap();
            Buckets { offset: i32::try_from(*low).unwrap(), bucket_counts: (*low..=*high).map(count).collect() }
        };
        let now = now_ms() * 1_000_000;
        let zeros = self.observed.iter().filter(|value| value.abs() <= self.zero_threshold).count();
        let point = ExponentialHistogramDataPoint {
            start_time_unix_nano: now - 1_000_000_000,
            time_unix_nano: now,
            count: u64::try_from(self.observed.len()).unwrap(),
            sum: Some(self.observed.iter().sum()),
            scale: self.scale,
            zero_count: u64::try_from(zeros).unwrap(),
            zero_threshold: self.zero_threshold,
            positive: Some(buckets(false)),
            negative: Some(buckets(true)),
            ..ExponentialHistogramDataPoint::default()
        };
        let metric = points::exponential("drift", "s", point);
        let resource = points::texts(&[("service.name", "clock")]);
        delivery(1, sequence, 0, points::resource_metrics(resource, "", vec![metric]).encode_to_vec())
    }
}

/// Bucket by bucket, under the bounds that Prometheus itself says: `[which ends are in it, lower, upper, count]`.
fn check_buckets(histogram: &serde_json::Value, observed: &[f64]) -> Result<(), String> {
    let float = |value: &serde_json::Value| value.as_str().unwrap().parse::<f64>().unwrap();
    let buckets = histogram["buckets"].as_array().ok_or_else(|| histogram.to_string())?;
    let mut counted = 0.0;
    for bucket in buckets {
        let [ends, lower, upper, count] = bucket.as_array().unwrap().as_slice() else { panic!("{bucket}") };
        let (lower, upper) = (float(lower), float(upper));
        let holds = |value: f64| match ends.as_u64().unwrap() {
            0 => lower < value && value <= upper,
            1 => lower <= value && value < upper,
            3 => lower <= value && value <= upper,
            other => panic!("{other}"),
        };
        let expected = observed.iter().filter(|value| holds(**value)).count();
        if expected.to_string() != count.as_str().unwrap() {
            return Err(format!("{expected} instead of {bucket}"));
        }
        counted += float(count);
    }
    let all = observed.len().to_string();
    if counted.to_string() == all && histogram["count"] == *all {
        Ok(())
    } else {
        Err(format!("{counted} in buckets, {} in all of {all}", histogram["count"]))
    }
}

/// Of the Prometheus that is installed: major and minor. One that was built without says no number, and is a new one.
fn prometheus_version() -> Option<(u32, u32)> {
    let output = Command::new("prometheus").arg("--version").output().ok()?;
    let said = String::from_utf8(output.stdout).unwrap();
    let mut numbers =
        said.strip_prefix("prometheus, version ").unwrap().split('.').map(|number| number.parse().unwrap_or(u32::MAX));
    numbers.next().zip(numbers.next())
}

#[test]
fn a_real_prometheus_makes_native_histograms_of_what_was_observed() {
    let Some(version) = prometheus_version() else {
        println!("SKIPPED: prometheus is not installed; get it with: sudo apt-get install -y prometheus");
        return;
    };
    let (folder, backend) = (TempDir::new().unwrap(), backend());
    let consumer = start(&folder, &backend.url());
    let target = consumer.url().strip_prefix("http://").unwrap();
    // From 3.8 on it is the configuration that says so, job by job.
    let (native, flags) = match version >= (3, 8) {
        true => ("scrape_native_histograms: true", &[][..]),
        false => ("", &["--enable-feature=native-histograms"][..]),
    };
    let config = format!(
        "scrape_configs:\n\
         - job_name: tributary\n\
         \x20 authorization: {{ credentials: {METRICS_TOKEN} }}\n\
         \x20 static_configs: [{{ targets: ['{target}'] }}]\n\
         \x20 {native}\n"
    );
    let prometheus = Prometheus::start_with(&config, &[], flags);

    // A thousand at the finest scale, all within 1.2 %; then few at a time: from a coarser scale, from far away, below zero,
    // at zero, and with a zero bucket that swallows some of what was there.
    let thousand: Vec<f64> = (0..1_000).map(|n| 1.0 + f64::from(n) * 0.000_012).collect();
    let windows = [
        Window { scale: 20, zero_threshold: 0.0, observed: &thousand },
        Window { scale: 5, zero_threshold: 0.0, observed: &[0.001, 0.3, 1.0, 2.0, 2.0, 4.0, 1e-9] },
        Window { scale: 3, zero_threshold: 0.0, observed: &[1e12, 7e-12, 0.0, 0.0] },
        Window { scale: 3, zero_threshold: 0.0, observed: &[-0.25, -3.0, -3.0, -1e6] },
        Window { scale: 6, zero_threshold: 3e-10, observed: &[2e-10, 5.0, -1e-11] },
        Window { scale: -4, zero_threshold: 0.0, observed: &[1e300, 3.0] },
    ];
    let series = "drift_seconds{otel_scope_name=\"\"}";
    let (mut observed, mut schemas) = (Vec::new(), Vec::new());
    for (sequence, window) in (1_usize..).zip(&windows) {
        let message = window.message(u64::try_from(sequence).unwrap());
        assert_eq!(acked(&consumer.deliver(&[message]).unwrap()).len(), 1);
        observed.extend_from_slice(window.observed);
        eventually(LIMIT, "the native histogram in Prometheus", || {
            let data = prometheus.api("query", &[("query", series)])?;
            let histogram = &data["result"][0]["histogram"][1];
            check_buckets(histogram, &observed)?;
            let sum = histogram["sum"].as_str().ok_or("no sum")?.parse::<f64>().map_err(|error| error.to_string())?;
            let expected: f64 = windows[..sequence].iter().map(|window| window.observed.iter().sum::<f64>()).sum();
            if sum == expected { Ok(()) } else { Err(format!("sum {sum} instead of {expected}")) }
        });
        assert_eq!(prometheus.query("up").unwrap(), 1.0);
        // The median is in the bucket of the true one.
        let median = prometheus.query(&format!("histogram_quantile(0.5, {series})")).unwrap();
        let mut sorted = observed.clone();
        sorted.sort_by(f64::total_cmp);
        let expected = sorted[sorted.len().div_ceil(2) - 1];
        let families = client_model::read(&request(&consumer, "GET", &[("accept", ACCEPT)]).bytes).unwrap();
        let drift = families.iter().find(|family| family.name() == "drift_seconds").unwrap();
        let schema = drift.metric[0].histogram.as_ref().unwrap().schema();
        schemas.push(schema);
        let base = f64::from(-schema).exp2().exp2();
        assert!((expected / base..=expected * base).contains(&median), "a median of {median}, not {expected}");
    }
    // What was too wide for 160 buckets, and what came at the coarsest scale.
    assert_eq!(schemas, [8, 2, 1, 1, 1, -4]);
    // Though scales and zero buckets changed, no step was taken for a reset, which would count the thousand again.
    let increase = prometheus.query(&format!("histogram_count(increase({series}[10m]))")).unwrap();
    assert!((1.0..100.0).contains(&increase), "an increase of {increase}");
    // It asked for native histograms, so that series is one and has no buckets; histograms under bounds have nothing else.
    assert_eq!(prometheus.values("drift_seconds_bucket").unwrap(), [0.0; 0]);
    let bucket = "tributary_batch_messages_bucket{le=\"+Inf\"}";
    assert!(!prometheus.values(bucket).unwrap().is_empty(), "{bucket}");
}
