//! Prometheus itself reads our protobuf: its parser, its rules for native histograms, and its idea of a counter that was reset
//! (`tests/promread`, built by `make setup` where there is Go). It finds what other code finds in the same bytes, and never a
//! reset, however a state goes on. Skipped loudly without that program.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of a test")]

mod client_model;

use std::{collections::BTreeMap, fs, path::PathBuf, process::Command};

use client_model::{MetricFamily, Timestamp, read};
use proptest::{
    collection::vec,
    prelude::*,
    strategy::ValueTree as _,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use tributary_telemetry::{
    Delta, ExponentialBuckets, ExponentialHistogram, ExponentialParts, LabelSet, Snapshot, Value,
    arbitrary::{EXPONENTIAL, delta, exponential},
    write_selected_protobuf,
};

fn program() -> Option<PathBuf> {
    let program = std::env::var_os("PROMREAD").map(PathBuf::from).filter(|program| program.is_file());
    if program.is_none() {
        println!("SKIPPED: Prometheus' own parser; get Go with: sudo apt-get install -y golang");
    }
    program
}

/// What is found of a series: the bits of its value, when it began, and its native histogram if it is one.
type Found = BTreeMap<String, (String, i64, serde_json::Value)>;

fn bits(value: f64) -> String {
    format!("{:016x}", value.to_bits())
}

/// A series as a key, with the bound of a bucket as bits.
fn key(name: &str, labels: impl IntoIterator<Item = (String, String)>) -> String {
    let labels = labels.into_iter().filter(|(label, value)| label != "__name__" && !value.is_empty());
    let labels: BTreeMap<String, String> = labels
        .map(|(label, value)| {
            let bound = |value: &str| bits(value.replace("Inf", "inf").parse().unwrap());
            if label == "le" { (label, bound(&value)) } else { (label, value) }
        })
        .collect();
    format!("{name} {labels:?}")
}

/// What other code finds in a scrape.
fn expected(families: &[MetricFamily]) -> Found {
    let mut found = Found::new();
    for family in families {
        for metric in &family.metric {
            let created = metric.counter.as_ref().and_then(|counter| counter.created_timestamp);
            let created = created.or_else(|| metric.histogram.as_ref()?.created_timestamp).map_or(0, Timestamp::millis);
            let alone = MetricFamily { metric: vec![metric.clone()], ..family.clone() };
            for (name, labels, value) in alone.samples().unwrap() {
                assert!(found.insert(key(&name, labels), (bits(value), created, serde_json::Value::Null)).is_none());
            }
            let Some(histogram) = metric.histogram.as_ref().filter(|histogram| histogram.is_native()) else { continue };
            let labels = metric.label.iter().map(|label| (label.name().to_owned(), label.value().to_owned()));
            let [negative, positive] = histogram.native_buckets().unwrap().map(|buckets| {
                buckets.into_iter().map(|(n, count)| (n.to_string(), count)).collect::<BTreeMap<_, _>>()
            });
            let native = serde_json::json!({
                "schema": histogram.schema(), "threshold": bits(histogram.zero_threshold()),
                "zero": histogram.zero_count(), "count": histogram.sample_count(),
                "negative": negative, "positive": positive, "reset": false,
            });
            found.insert(key(family.name(), labels), (bits(histogram.sample_sum()), created, native));
        }
    }
    found
}

/// What Prometheus finds in these scrapes, one after the other.
fn prometheus(program: &PathBuf, scrapes: &[Vec<u8>]) -> Vec<Found> {
    let folder = tempfile::TempDir::new().unwrap();
    let files = (0..).zip(scrapes).map(|(n, bytes)| {
        let file = folder.path().join(format!("{n:03}"));
        fs::write(&file, bytes).unwrap();
        file
    });
    let output = Command::new(program).args(files.collect::<Vec<_>>()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut found = vec![Found::new(); scrapes.len()];
    for line in output.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let mut line: serde_json::Value = serde_json::from_slice(line).unwrap();
        if !matches!(line["what"].as_str(), Some("sample" | "native")) {
            continue;
        }
        let labels: BTreeMap<String, String> = serde_json::from_value(line["labels"].take()).unwrap();
        let value =
            (line["bits"].as_str().unwrap().to_owned(), line["start"].as_i64().unwrap_or(0), line["native"].take());
        let scrape = usize::try_from(line["scrape"].as_u64().unwrap()).unwrap();
        assert!(found[scrape].insert(key(&labels["__name__"].clone(), labels), value).is_none());
    }
    found
}

/// Lets a state go on by these deltas and compares all scrapes of it.
fn check(program: &PathBuf, deltas: &[Delta]) -> usize {
    let mut state = Snapshot::new(1_000);
    let mut scrapes = Vec::new();
    for delta in deltas {
        assert_eq!(state.apply(delta, 9_000).unwrap().series_refused, 0);
        let mut bytes = Vec::new();
        write_selected_protobuf(&state, 18, |_| true, &mut bytes);
        scrapes.push(bytes);
    }
    let found = prometheus(program, &scrapes);
    for (bytes, found) in scrapes.iter().zip(&found) {
        assert_eq!(found, &expected(&read(bytes).unwrap()));
    }
    found.iter().flat_map(BTreeMap::values).filter(|(_, _, native)| !native.is_null()).count()
}

/// So many values of a strategy, the same every time.
fn values<T: std::fmt::Debug>(strategy: impl Strategy<Value = T>, count: usize) -> Vec<T> {
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    (0..count).map(|_| strategy.new_tree(&mut runner).unwrap().current()).collect()
}

#[test]
fn prometheus_finds_in_any_state_what_other_code_finds() {
    let Some(program) = program() else { return };
    let natives: usize = values(vec(delta(), 1..4), 60).iter().map(|deltas| check(&program, deltas)).sum();
    assert!(natives > 30, "{natives}");
}

#[test]
fn prometheus_never_takes_an_exponential_histogram_that_goes_on_for_one_that_was_reset() {
    let Some(program) = program() else { return };
    let sequences = values(vec(exponential(), 2..8), 150);
    let natives = sequences.into_iter().map(|sequence| {
        let deltas = sequence.into_iter().map(|histogram| {
            let mut delta = Delta::new();
            delta.add(&EXPONENTIAL, LabelSet::empty(), Value::Exponential(histogram)).unwrap();
            delta
        });
        check(&program, &deltas.collect::<Vec<_>>())
    });
    let natives: usize = natives.sum();
    assert!(natives > 300, "{natives}");
}

#[test]
fn prometheus_never_takes_a_zero_bucket_that_widens_to_a_bound_for_a_reset() {
    let Some(program) = program() else { return };
    // One series for each bound between 1 and 2, as many as a family has room for, with something on both sides of it; then a
    // zero bucket up to there.
    for scale in 0..=8 {
        let bounds: Vec<i32> = (0..1 << scale).collect();
        for bounds in bounds.chunks(128) {
            let of_all = |parts: &dyn Fn(i32) -> ExponentialParts| {
                let mut delta = Delta::new();
                for bound in bounds {
                    let labels = LabelSet::from_pairs([("bound", bound.to_string())]).unwrap();
                    let histogram = ExponentialHistogram::new(parts(*bound)).unwrap();
                    delta.add(&EXPONENTIAL, labels, Value::Exponential(histogram)).unwrap();
                }
                delta
            };
            let around = of_all(&|bound| {
                let positive = ExponentialBuckets { offset: bound - 1, counts: vec![3, 5] };
                ExponentialParts { scale, positive, sum: Some(1.0), ..Default::default() }
            });
            let at_zero = of_all(&|bound| {
                let zero_threshold = ExponentialHistogram::upper_bound(scale, i64::from(bound) - 1);
                ExponentialParts { scale, zero_threshold, zero_count: 1, sum: Some(0.0), ..Default::default() }
            });
            assert_eq!(check(&program, &[around.clone(), at_zero, around]), 3 * bounds.len());
        }
    }
}
