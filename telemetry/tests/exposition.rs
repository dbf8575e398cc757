//! Expositions, byte for byte.
//!
//! The files in `tests/golden` were written by this encoder, read by eye, and parsed by the Python reference parsers
//! (`prometheus_client`). `TRIBUTARY_BLESS=1` writes them again; look at the difference before you keep it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "helpers of a test"
)]

mod samples;

use std::{collections::BTreeMap, fs, path::Path};

use proptest::prelude::*;
use samples::{Labels, parse_sample};
use tributary_telemetry::{
    Bounds, Delta, ExplicitBounds, ExponentialBuckets, ExponentialHistogram, ExponentialParts, FamilyDescriptor, Gauge,
    Histogram, LabelSet, MetricKind, Number, Snapshot, TextFormat, TextOptions, UpDown, Value, Zero,
    arbitrary::{delta, label_name, label_value},
    confidence::{ApplyDedupCounts, EventCounts, TelemetryDelta, declare_resolver},
    write_selected_text, write_text,
};

const START_MS: u64 = 1_700_000_000_250;

fn text(state: &Snapshot, options: TextOptions) -> String {
    let mut out = String::new();
    write_text(state, &options, &mut out);
    out
}

fn options(format: TextFormat) -> TextOptions {
    TextOptions::new(format)
}

fn compare(name: &str, actual: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("TRIBUTARY_BLESS").is_some() {
        fs::write(&path, actual).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap();
    for (number, (actual, expected)) in actual.lines().zip(expected.lines()).enumerate() {
        assert_eq!(actual, expected, "{name}, line {}", number + 1);
    }
    assert_eq!(actual, expected, "{name}");
}

fn compare_both(name: &str, state: &Snapshot) {
    let open_metrics = TextOptions { created: true, ..options(TextFormat::OpenMetrics) };
    compare(&format!("{name}.om.txt"), &text(state, open_metrics));
    compare(&format!("{name}.prom.txt"), &text(state, options(TextFormat::Prometheus)));
}

fn declared() -> Snapshot {
    let mut state = Snapshot::new(START_MS);
    assert_eq!(declare_resolver(&mut state, "cf-resolver").unwrap().series_added, 14);
    state
}

fn apply(state: &mut Snapshot, delta: &Delta) {
    let applied = state.apply(delta, START_MS + 9_000).unwrap();
    assert_eq!((applied.series_refused, applied.series_conflicting), (0, 0));
}

fn one_sample() -> Snapshot {
    let mut state = declared();
    let mut telemetry = TelemetryDelta::new();
    telemetry.observe_latency(1_000);
    telemetry.add_resolves(1, 1);
    apply(&mut state, &telemetry.to_delta("cf-resolver", START_MS + 1_000).unwrap());
    state
}

fn full() -> Snapshot {
    let mut state = declared();
    let mut telemetry = TelemetryDelta::new();
    for micros in [0, 1, 2, 9, 10, 11, 999, 1_000, 1_001, 10_000, 100_000, 1_000_000, u32::MAX] {
        telemetry.observe_latency(micros);
    }
    for reason in -1..12 {
        telemetry.add_resolves(reason, 1_u64 << (reason + 1));
    }
    telemetry.set_memory_bytes(16_777_216, START_MS);
    telemetry.set_state_update(1_699_999_999_125, START_MS);
    telemetry.set_apply_dedup_map(12, 100, START_MS);
    telemetry.add_apply_dedup(ApplyDedupCounts { applies: 30, deduped: 4, overflow: 1, sweeps: 2 });
    telemetry.add_flush(7, 1);
    telemetry.add_events(EventCounts { published: 5, batches_succeeded: 2, batches_failed: 1, rejected: 3 });
    let labels = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    telemetry.add_provider_init(labels(&[]), 1);
    telemetry.add_provider_init(labels(&[("encryption", "true"), ("le", "1"), ("__x", "1"), ("a-b", "1")]), 2);
    telemetry.add_provider_init(labels(&[("encryption", "true"), ("resolver_id", "other")]), 3);
    apply(&mut state, &telemetry.to_delta("cf-resolver", START_MS + 1_000).unwrap());
    let mut general = Delta::new();
    let bounds = Bounds::Explicit(ExplicitBounds::new(&[0.0, 0.005, 0.1, 1.0, 2.5, 10.0, 1e6, 1e21]).unwrap());
    let sizes = Histogram::from_parts(bounds, vec![1, 0, 2, 0, 3, 0, 4, 0, 5], Number::Float(12.75)).unwrap();
    let family = FamilyDescriptor::new("queue_wait_seconds", "Waits.", "seconds", MetricKind::Histogram).unwrap();
    general.add_histogram(&family, LabelSet::empty(), &sizes).unwrap();
    let family = FamilyDescriptor::new("drift_seconds", "Drifts.", "seconds", MetricKind::Histogram).unwrap();
    let bounds = Bounds::Explicit(ExplicitBounds::new(&[-1.0, 0.0, 1.0]).unwrap());
    let drifts = Histogram::from_parts(bounds, vec![1, 2, 0, 3], Number::Float(-4.5)).unwrap();
    general.add_histogram(&family, LabelSet::empty(), &drifts).unwrap();
    let temperature = FamilyDescriptor::new("ratio", "Any number.", "other", MetricKind::Gauge).unwrap();
    for (name, value) in [("inf", f64::INFINITY), ("minus", f64::NEG_INFINITY), ("tiny", 5e-324), ("huge", 1.5e300)] {
        let labels = LabelSet::from_pairs([("of", name)]).unwrap();
        general.set_gauge(&temperature, labels, Gauge::new(Number::Float(value), 1).unwrap()).unwrap();
    }
    let most = FamilyDescriptor::new("most", "", "", MetricKind::Counter).unwrap();
    general.add_counter(&most, LabelSet::empty(), u64::MAX).unwrap();
    apply(&mut state, &general);
    state
}

fn hostile() -> Snapshot {
    let mut state = Snapshot::new(START_MS);
    let family =
        FamilyDescriptor::new("hostile", "Back\\slash, \"quote\",\nline, \\n, é.", "", MetricKind::Counter).unwrap();
    let mut delta = Delta::new();
    let values = [
        "\"",
        "\\",
        "\n",
        "\\n",
        "\\\\n",
        "\r",
        "\t",
        "\0",
        "a\"} 1\nforged_total 9",
        "{le=\"1\"}",
        "é🦀",
        "\u{2028}",
        " ",
        "# EOF",
        "\u{feff}",
        "x,y=\"z\"",
    ];
    for (number, value) in (1..).zip(values) {
        delta.add_counter(&family, LabelSet::from_pairs([("value", value), ("b", "2")]).unwrap(), number).unwrap();
    }
    let latency = FamilyDescriptor::new("h", "", "", MetricKind::Histogram).unwrap();
    let bounds = Bounds::Explicit(ExplicitBounds::new(&[]).unwrap());
    let labels = LabelSet::from_pairs([("z", "\"\\\n")]).unwrap();
    delta.add_histogram(&latency, labels, &Histogram::new(bounds)).unwrap();
    apply(&mut state, &delta);
    state
}

#[test]
fn declared_state_is_written_as_recorded() {
    compare_both("declared", &declared());
}

#[test]
fn one_sample_is_written_as_recorded() {
    compare_both("one_sample", &one_sample());
}

#[test]
fn full_state_is_written_as_recorded() {
    compare_both("full", &full());
}

#[test]
fn hostile_labels_are_written_as_recorded() {
    compare_both("hostile", &hostile());
}

fn sums_and_exponentials() -> Snapshot {
    let mut delta = Delta::new();
    let mut add =
        |name: &'static str, help: &'static str, unit: &'static str, labels: &[(&str, &str)], value: Value| {
            let family = FamilyDescriptor::new(name, help, unit, value.kind()).unwrap();
            delta.add(&family, LabelSet::from_pairs(labels.iter().copied()).unwrap(), value).unwrap();
        };
    add("busy_seconds", "Time spent.", "seconds", &[("of", "floats")], Value::FloatCounter(12.25));
    add("busy_seconds", "Time spent.", "seconds", &[("of", "integers")], Value::Counter(3));
    add("connections", "Open connections.", "", &[("of", "a")], Value::UpDown(UpDown::Integer(-3)));
    add("connections", "Open connections.", "", &[("of", "b")], Value::UpDown(UpDown::Float(0.5)));
    let buckets = |offset, counts: &[u64]| ExponentialBuckets { offset, counts: counts.to_vec() };
    let positive = ExponentialParts {
        scale: 3,
        zero_count: 2,
        positive: buckets(-5, &[1, 0, 2, 0, 0, 0, 4, 0, 0, 0, 0, 8]),
        sum: Some(12.5),
        ..ExponentialParts::default()
    };
    let exponential = |parts: &ExponentialParts| Value::Exponential(ExponentialHistogram::new(parts.clone()).unwrap());
    let help = "Waits.";
    add("wait_seconds", help, "seconds", &[("of", "a")], exponential(&positive));
    let coarser = ExponentialParts { scale: 1, positive: buckets(2, &[5]), ..positive.clone() };
    add("wait_seconds", help, "seconds", &[("of", "coarser")], exponential(&coarser));
    let without_sum = ExponentialParts { sum: None, ..positive.clone() };
    add("wait_seconds", help, "seconds", &[("of", "no sum")], exponential(&without_sum));
    add("wait_seconds", help, "seconds", &[("of", "nothing")], Value::Exponential(ExponentialHistogram::default()));
    let both = ExponentialParts {
        scale: 0,
        zero_threshold: 0.25,
        negative: buckets(-1, &[16, 32]),
        positive: buckets(0, &[1, 2]),
        sum: Some(-40.0),
        ..positive
    };
    add("drift_seconds", "Drifts.", "seconds", &[("of", "both")], exponential(&both));
    // Under bounds below 0 because of the other.
    add("drift_seconds", "Drifts.", "seconds", &[("of", "positive")], exponential(&coarser));
    let mut state = Snapshot::new(START_MS);
    apply(&mut state, &delta);
    state
}

#[test]
fn sums_and_exponential_histograms_are_written_as_recorded() {
    compare_both("sums", &sums_and_exponentials());
}

#[test]
fn fewer_buckets_per_decade_are_written_as_recorded() {
    let coarse = TextOptions { buckets_per_decade: 2, ..options(TextFormat::OpenMetrics) };
    compare("coarse.om.txt", &text(&full(), coarse));
}

/// The `le` values of the first histogram series.
fn bounds_of(text: &str) -> Vec<String> {
    let lines = text.lines().filter(|line| line.starts_with("confidence_resolve_latency_microseconds_bucket"));
    lines.map(|line| line.split("le=\"").nth(1).unwrap().split('"').next().unwrap().to_owned()).collect()
}

#[test]
fn list_of_bounds_is_the_same_before_and_after_samples() {
    for format in [TextFormat::OpenMetrics, TextFormat::Prometheus] {
        let before = bounds_of(&text(&declared(), options(format)));
        assert_eq!(before.len(), 175);
        assert_eq!(before.last().map(String::as_str), Some("+Inf"));
        assert_eq!(bounds_of(&text(&full(), options(format))), before);
    }
}

#[test]
fn every_density_is_every_nth_bound_and_infinity() {
    let all = bounds_of(&text(&declared(), options(TextFormat::Prometheus)));
    for per_decade in 0..=255_u8 {
        let few = TextOptions { buckets_per_decade: per_decade, ..options(TextFormat::Prometheus) };
        let stride = usize::from(18_u8.div_ceil(per_decade.clamp(1, 18)));
        let mut expected: Vec<String> = all[..174].iter().skip(stride - 1).step_by(stride).cloned().collect();
        expected.push("+Inf".to_owned());
        assert_eq!(bounds_of(&text(&declared(), few)), expected, "{per_decade}");
    }
}

#[test]
fn state_without_series_is_an_empty_exposition() {
    assert_eq!(text(&Snapshot::new(1), options(TextFormat::OpenMetrics)), "# EOF\n");
    assert_eq!(text(&Snapshot::new(1), options(TextFormat::Prometheus)), "");
}

#[test]
fn unit_is_written_only_where_the_name_ends_in_it() {
    let unit_lines = |name: &'static str, unit: &'static str| {
        let mut state = Snapshot::new(1);
        let family = FamilyDescriptor::new(name, "", unit, MetricKind::Counter).unwrap();
        assert_eq!(state.declare(&family, LabelSet::empty(), Zero::Counter).series_added, 1);
        text(&state, options(TextFormat::OpenMetrics)).lines().filter(|line| line.starts_with("# UNIT")).count()
    };
    assert_eq!(unit_lines("wait_seconds", "seconds"), 1);
    assert_eq!(unit_lines("wait_seconds", "bytes"), 0);
    assert_eq!(unit_lines("waitseconds", "seconds"), 0);
    assert_eq!(unit_lines("seconds", "seconds"), 0);
    assert_eq!(unit_lines("wait_seconds", ""), 0);
}

#[test]
fn selected_families_are_written_as_in_the_whole_and_none_is_legal() {
    let state = full();
    for format in [TextFormat::OpenMetrics, TextFormat::Prometheus] {
        let selected = |names: &[&str]| {
            let mut out = Vec::new();
            let select = |family: &FamilyDescriptor| names.iter().any(|name| family.has_name(name));
            write_selected_text(&state, &options(format), select, &mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(selected(&["nothing", "", "most_count"]), format.end());
        let whole = text(&state, options(format));
        // By its own name, or by that of a sample.
        for names in [&["most"][..], &["most_total"], &["most", "most_total"]] {
            let some = selected(names);
            assert!(whole.contains(some.strip_suffix(format.end()).unwrap()), "{some}");
            assert_eq!(some.matches("# TYPE").count(), 1, "{some}");
        }
        let both = selected(&["drift_seconds_bucket", "most"]);
        assert_eq!(both.matches("# TYPE").count(), 2);
    }
}

proptest! {
    #[test]
    fn any_label_value_reads_back(name in label_name(), value in label_value(), count: u64) {
        let mut state = Snapshot::new(1);
        let family = FamilyDescriptor::new("c", "", "", MetricKind::Counter).unwrap();
        let mut delta = Delta::new();
        delta.add_counter(&family, LabelSet::from_pairs([(&name, value.clone())]).unwrap(), count).unwrap();
        apply(&mut state, &delta);
        for format in [TextFormat::OpenMetrics, TextFormat::Prometheus] {
            let text = text(&state, options(format));
            let samples: Vec<&str> = text.split('\n').filter(|line| line.starts_with("c_total")).collect();
            prop_assert_eq!(samples.len(), 1);
            let expected = if value.is_empty() { Vec::new() } else { vec![(name.clone(), value.clone())] };
            prop_assert_eq!(parse_sample(samples[0]), ("c_total".to_owned(), expected, count.to_string()));
        }
    }

    #[test]
    fn any_state_is_well_formed_and_equal_states_print_alike(one in delta(), two in delta()) {
        let mut state = Snapshot::new(1);
        apply(&mut state, &one);
        apply(&mut state, &two);
        let mut other = Snapshot::new(1);
        let mut both = two.clone();
        both.merge(&one).unwrap();
        apply(&mut other, &both);
        for format in [TextFormat::OpenMetrics, TextFormat::Prometheus] {
            let text = text(&state, options(format));
            prop_assert_eq!(&text, &self::text(&other, options(format)));
            prop_assert!(text.is_empty() || text.ends_with('\n'));
            prop_assert_eq!(text.ends_with("# EOF\n"), format == TextFormat::OpenMetrics);
            let mut seen = std::collections::BTreeSet::new();
            let mut last_bucket: Option<(String, Labels, u64)> = None;
            for line in text.split('\n').filter(|line| !line.is_empty() && !line.starts_with('#')) {
                let (name, mut labels, value) = parse_sample(line);
                prop_assert!(seen.insert((name.clone(), labels.clone())), "twice: {line}");
                let names: Vec<&String> = labels.iter().map(|(name, _)| name).collect();
                let le = names.iter().position(|name| *name == "le");
                prop_assert_eq!(le.is_some(), name.ends_with("_bucket"));
                if name.ends_with("_bucket") {
                    let (_, bound) = labels.pop().unwrap();
                    let count: u64 = value.parse().unwrap();
                    if let Some((last_name, last_labels, last)) = &last_bucket
                        && (last_name, last_labels) == (&name, &labels)
                    {
                        prop_assert!(*last <= count, "cumulative: {line}");
                    }
                    last_bucket = if bound == "+Inf" { None } else { Some((name, labels, count)) };
                }
            }
        }
    }
}
