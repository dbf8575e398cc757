//! The exporter's variables are read as the `opentelemetry-otlp` crate reads them: its own exporter, started with the same
//! environment, would send to the same URL with the same headers, encoding and temporality.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::{
    collections::BTreeMap,
    process::Command,
    sync::{Arc, Mutex},
};

use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{
    MetricExporter, OTEL_EXPORTER_OTLP_COMPRESSION, OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_HEADERS,
    OTEL_EXPORTER_OTLP_METRICS_COMPRESSION, OTEL_EXPORTER_OTLP_METRICS_ENDPOINT, OTEL_EXPORTER_OTLP_METRICS_HEADERS,
    OTEL_EXPORTER_OTLP_METRICS_PROTOCOL, OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE,
    OTEL_EXPORTER_OTLP_METRICS_TIMEOUT, OTEL_EXPORTER_OTLP_PROTOCOL, OTEL_EXPORTER_OTLP_PROTOCOL_HTTP_JSON,
    OTEL_EXPORTER_OTLP_PROTOCOL_HTTP_PROTOBUF, OTEL_EXPORTER_OTLP_TIMEOUT, OTEL_EXPORTER_OTLP_TIMEOUT_DEFAULT,
    WithHttpConfig as _,
};
use opentelemetry_sdk::metrics::{Temporality as SdkTemporality, data::ResourceMetrics, exporter::PushMetricExporter};
use serde::{Deserialize, Serialize};
use tributary_consumer::{
    config::ConfigProblem,
    otlp::config::{OtlpConfig, Temporality},
};

/// What an exporter would send.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Sent {
    url: String,
    headers: BTreeMap<String, String>,
    is_delta: bool,
}

/// A client that sends nothing and remembers one request.
#[derive(Debug, Default)]
struct Recorder(Mutex<Option<(String, BTreeMap<String, String>)>>);

#[async_trait::async_trait]
impl HttpClient for Recorder {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let headers = request.headers().iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().into()));
        *self.0.lock().unwrap() = Some((request.uri().to_string(), headers.collect()));
        Ok(Response::new(Bytes::new()))
    }
}

const MARK: &str = "REFERENCE=";

/// Not a test by itself: the process that [`reference`] starts with an environment of its own.
#[test]
#[ignore = "started by the other tests of this file"]
fn prints_what_the_reference_sends() {
    let recorder = Arc::new(Recorder::default());
    let exporter =
        MetricExporter::builder().with_http().with_http_client(Shared(Arc::clone(&recorder))).build().unwrap();
    futures::executor::block_on(exporter.export(&ResourceMetrics::default())).unwrap();
    let (url, mut headers) = recorder.0.lock().unwrap().take().unwrap();
    // Its own name is its own.
    headers.remove("user-agent");
    let is_delta = exporter.temporality() != SdkTemporality::Cumulative;
    println!("\n{MARK}{}", serde_json::to_string(&Sent { url, headers, is_delta }).unwrap());
}

#[derive(Debug)]
struct Shared(Arc<Recorder>);

#[async_trait::async_trait]
impl HttpClient for Shared {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        self.0.send_bytes(request).await
    }
}

fn reference(variables: &[(&'static str, &'static str)]) -> Sent {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "prints_what_the_reference_sends", "--ignored", "--nocapture"])
        .env_clear()
        // The specification's default. The crate's own depends on the features that it was built with.
        .env(OTEL_EXPORTER_OTLP_PROTOCOL, OTEL_EXPORTER_OTLP_PROTOCOL_HTTP_PROTOBUF)
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(MARK));
    serde_json::from_str(line.unwrap_or_else(|| panic!("{text}{}", String::from_utf8_lossy(&output.stderr)))).unwrap()
}

fn ours(variables: &[(&'static str, &'static str)]) -> (Sent, Vec<ConfigProblem>) {
    let mut problems = Vec::new();
    let variables: BTreeMap<_, _> = variables.iter().copied().collect();
    let config = OtlpConfig::read(&variables, &mut problems).unwrap();
    let mut headers: BTreeMap<String, String> =
        config.headers.iter().map(|(name, value)| (name.clone(), value.expose().to_owned())).collect();
    headers.insert("content-type".into(), config.protocol.content_type().into());
    if config.gzip {
        headers.insert("content-encoding".into(), "gzip".into());
    }
    (Sent { url: config.url, headers, is_delta: config.temporality == Temporality::Delta }, problems)
}

#[test]
fn the_same_environment_sends_the_same_request_to_the_same_place() {
    const BASE: (&str, &str) = (OTEL_EXPORTER_OTLP_ENDPOINT, "http://collector.example:4318");
    for variables in [
        vec![BASE],
        vec![(OTEL_EXPORTER_OTLP_ENDPOINT, "https://collector.example/otlp")],
        vec![(OTEL_EXPORTER_OTLP_ENDPOINT, "https://collector.example/otlp/")],
        vec![BASE, (OTEL_EXPORTER_OTLP_METRICS_ENDPOINT, "https://metrics.example/in")],
        vec![BASE, (OTEL_EXPORTER_OTLP_METRICS_ENDPOINT, "https://metrics.example/in/")],
        vec![BASE, (OTEL_EXPORTER_OTLP_HEADERS, "authorization=Basic%20YTpi%3D, x-scope = a=b ,x-empty-end=1,")],
        vec![BASE, (OTEL_EXPORTER_OTLP_HEADERS, "a=1,b=2"), (OTEL_EXPORTER_OTLP_METRICS_HEADERS, "B=3,c=4")],
        vec![BASE, (OTEL_EXPORTER_OTLP_HEADERS, "X-Api-Key=k%2Cv%25")],
        vec![BASE, (OTEL_EXPORTER_OTLP_PROTOCOL, OTEL_EXPORTER_OTLP_PROTOCOL_HTTP_PROTOBUF)],
        vec![BASE, (OTEL_EXPORTER_OTLP_PROTOCOL, OTEL_EXPORTER_OTLP_PROTOCOL_HTTP_JSON)],
        vec![
            BASE,
            (OTEL_EXPORTER_OTLP_PROTOCOL, OTEL_EXPORTER_OTLP_PROTOCOL_HTTP_JSON),
            (OTEL_EXPORTER_OTLP_METRICS_PROTOCOL, OTEL_EXPORTER_OTLP_PROTOCOL_HTTP_PROTOBUF),
        ],
        vec![BASE, (OTEL_EXPORTER_OTLP_COMPRESSION, "gzip")],
        vec![BASE, (OTEL_EXPORTER_OTLP_METRICS_COMPRESSION, "gzip")],
        vec![BASE, (OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE, "cumulative")],
        vec![BASE, (OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE, "delta")],
        vec![BASE, (OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE, "LowMemory")],
        // An empty value is as good as none.
        vec![
            BASE,
            (OTEL_EXPORTER_OTLP_METRICS_ENDPOINT, ""),
            (OTEL_EXPORTER_OTLP_METRICS_PROTOCOL, ""),
            (OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE, ""),
        ],
    ] {
        let (ours, problems) = ours(&variables);
        assert_eq!(problems, [], "{variables:?}");
        assert_eq!(ours, reference(&variables), "{variables:?}");
    }
}

#[test]
fn timeouts_have_the_same_names_and_default() {
    let timeout = |variables: &[(&'static str, &'static str)]| {
        let variables: BTreeMap<_, _> =
            variables.iter().copied().chain([(OTEL_EXPORTER_OTLP_ENDPOINT, "http://x")]).collect();
        OtlpConfig::read(&variables, &mut Vec::new()).unwrap().timeout
    };
    assert_eq!(timeout(&[]), OTEL_EXPORTER_OTLP_TIMEOUT_DEFAULT);
    let general = (OTEL_EXPORTER_OTLP_TIMEOUT, "1500");
    assert_eq!(timeout(&[general]).as_millis(), 1_500);
    assert_eq!(timeout(&[general, (OTEL_EXPORTER_OTLP_METRICS_TIMEOUT, "2500")]).as_millis(), 2_500);
}
