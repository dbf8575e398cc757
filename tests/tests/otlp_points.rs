//! The points of [`tributary_tests::points`] come out of us as they come out of the OpenTelemetry Collector's Prometheus
//! exporter: the same names, labels and values, but for what stands in `differences.txt` beside the Collector's text.
//!
//! The Collector's text is a golden file, so that the comparison needs no Go; where there is a Collector, it is held against
//! what that serves now. `BLESS=1` writes both files.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    time::{Duration, SystemTime},
};

use opentelemetry_proto::tonic::{collector::metrics::v1::ExportMetricsServiceRequest, metrics::v1::ResourceMetrics};
use tributary_proto::Message as _;
use tributary_telemetry::{Snapshot, TextFormat, TextOptions, otlp::read::read, write_text};
use tributary_tests::{
    exposition::Exposition,
    otelcol::{OpenTelemetryCollector, program},
    points,
    wait::eventually,
};

const LIMIT: Duration = Duration::from_secs(60);

/// Some second, in nanoseconds; the points of the Collector need no more than to follow each other.
const SECOND: u64 = 1_000_000_000;

fn golden(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/otlp_points").join(name)
}

/// Compares with a golden file, or writes it.
fn expect_golden(name: &str, text: &str) {
    let file = golden(name);
    if std::env::var_os("BLESS").is_some() {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, text).unwrap();
    }
    let expected = fs::read_to_string(&file).unwrap();
    assert!(text == expected, "{} differs, BLESS=1 writes it:\n{text}", file.display());
}

/// The points of two windows, one after the other, so that everything is added up.
fn windows(from: u64) -> [Vec<ResourceMetrics>; 2] {
    [points::all((from, from + SECOND)), points::all((from + SECOND, from + 2 * SECOND))]
}

/// The samples of a text by series, bounds as plain numbers.
fn samples(text: &str) -> BTreeMap<String, f64> {
    let exposition = Exposition::parse(text).unwrap();
    let plain = |series: &str| match series.split_once("le=\"").filter(|(before, _)| before.ends_with(['{', ','])) {
        Some((before, rest)) if series.contains("_bucket{") => {
            let (bound, after) = rest.split_once('"').unwrap();
            format!("{before}le={:?}{after}", bound.parse::<f64>().unwrap())
        }
        _ => series.to_owned(),
    };
    exposition.all().map(|(series, value)| (plain(series), value)).collect()
}

/// Help texts and types by family.
fn metadata(text: &str) -> BTreeMap<String, String> {
    let comments = text.lines().filter_map(|line| line.strip_prefix("# "));
    let comments = comments.filter_map(|comment| {
        let mut words = comment.splitn(3, ' ');
        Some((format!("# {} {}", words.next()?, words.next()?), words.next()?.to_owned()))
    });
    comments.collect()
}

fn ours() -> String {
    let mut state = Snapshot::new(0);
    for window in windows(SECOND) {
        for message in window {
            let bytes = message.encoded_len();
            let read = read(message, bytes, 1_000, 4_000);
            let _applied = state.apply_custom(&read.delta, 4_000);
        }
    }
    let mut text = String::new();
    write_text(&state, &TextOptions::new(TextFormat::Prometheus), &mut text);
    text
}

/// What a text has that another has not, one line each.
fn less(left: &BTreeMap<String, String>, right: &BTreeMap<String, String>, sign: char) -> String {
    let only = left.iter().filter(|(key, value)| right.get(*key) != Some(value));
    only.map(|(key, value)| format!("{sign} {key} {value}\n")).collect()
}

/// Everything that a text says.
fn said(text: &str) -> BTreeMap<String, String> {
    let samples = samples(text).into_iter().map(|(series, value)| (series, format!("{value:?}")));
    samples.chain(metadata(text)).collect()
}

#[test]
fn what_we_serve_differs_from_the_collector_where_it_is_written_down_and_nowhere_else() {
    let collector = fs::read_to_string(golden("collector.prom")).unwrap();
    // Isolates are one series: the label that tells them apart is in no line of ours. An empty label is none at all.
    let without = ["instance=\"isolate-1\"", "instance=\"isolate-2\"", "empty=\"\"", "otel_scope_name=\"\""];
    let without_instance = |series: &str| {
        without.iter().fold(series.to_owned(), |series, label| {
            series.replace(&format!("{label},"), "").replace(&format!(",{label}}}"), "}").replace(label, "")
        })
    };
    let theirs: BTreeMap<_, _> =
        said(&collector).into_iter().map(|(series, value)| (without_instance(&series), value)).collect();
    let ours = said(&ours());
    let agreed = ours.iter().filter(|(key, value)| theirs.get(*key) == Some(value)).count();
    assert!(agreed > 140, "{agreed}");
    let differences = less(&theirs, &ours, '-') + &less(&ours, &theirs, '+');
    expect_golden("differences.txt", &differences);
}

#[test]
fn the_golden_file_is_what_the_collector_serves() {
    let Some(program) = program() else { return };
    let collector = OpenTelemetryCollector::start(&program).unwrap();
    eventually(LIMIT, "the Collector's ports", || collector.ready());
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let from = u64::try_from(now.as_nanos()).unwrap() - 10 * SECOND;
    for resource_metrics in windows(from) {
        let request = ExportMetricsServiceRequest { resource_metrics }.encode_to_vec();
        let url = format!("{}/v1/metrics", collector.otlp());
        ureq::post(&url).header("content-type", "application/x-protobuf").send(request).unwrap();
    }
    let text = eventually(LIMIT, "both windows at the Collector", || {
        let text = collector.scrape()?;
        // The last metric of the last resource.
        let is_whole = text.contains("orders_total{country=\"SE\"")
            && samples(&text).iter().any(|(series, value)| {
                series.starts_with("orders_total{") && !series.contains("job=") && *value == 8.0
            });
        if is_whole { Ok(text) } else { Err(format!("{text}\n{}", collector.log())) }
    });
    expect_golden("collector.prom", &text);
}
