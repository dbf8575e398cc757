use std::collections::{BTreeMap, BTreeSet};

use confidence_resolver::telemetry::PrometheusConfig;
use tributary_telemetry::{
    Snapshot, TextFormat, TextOptions,
    confidence::{KNOWN_REASONS, declare_resolver},
    write_text,
};

use super::{super::peer::tests::full, *};

const NOW: u64 = 1_800_000_000_000;

/// A sample line: name, labels, and the number as text.
fn samples(text: &str) -> BTreeMap<(String, BTreeSet<String>), String> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let samples = lines.map(|line| {
        let (series, value) = line.rsplit_once(' ').unwrap();
        let (name, labels) = series.trim_end_matches('}').split_once('{').unwrap_or((series, ""));
        // No label of these tests holds a comma.
        ((name.to_owned(), labels.split(',').map(str::to_owned).collect()), value.to_owned())
    });
    samples.collect()
}

/// What `/metrics` shows of a Ledger that was seeded with nothing but these totals.
fn seeded(totals: &PeerTotals) -> String {
    let mut state = Snapshot::new(NOW);
    let _declared = declare_resolver(&mut state, "cf-resolver").unwrap();
    let seeded = state.seed(&to_delta(totals, "cf-resolver", FIRST_RELEASE_MS).unwrap(), NOW).unwrap();
    assert_eq!((seeded.series_refused, seeded.series_conflicting), (0, 0));
    let mut text = String::new();
    write_text(&state, &TextOptions { format: TextFormat::Prometheus, ..TextOptions::default() }, &mut text);
    text
}

/// Every line that the resolver printed is there: name, labels, `le` and number.
fn assert_goes_on(theirs: &str, ours: &str, readings: &[&str]) {
    let (theirs, ours) = (samples(theirs), samples(ours));
    assert!(theirs.len() > 5);
    for (series, value) in theirs {
        if readings.contains(&series.0.as_str()) {
            assert_eq!(ours.get(&series), None, "a reading, which the next message brings");
        } else {
            assert_eq!(ours.get(&series), Some(&value), "{series:?}");
        }
    }
}

#[test]
fn metrics_go_on_from_what_todays_crate_prints() {
    let snapshot = full();
    let totals = PeerTotals::read(serde_json::to_string(&snapshot).unwrap().as_bytes()).unwrap();
    let theirs = snapshot.to_prometheus("cf-resolver", &PrometheusConfig::default());
    let readings =
        ["confidence_memory_bytes", "confidence_apply_dedup_map_size", "confidence_apply_dedup_map_capacity"];
    assert!(readings.iter().all(|name| theirs.contains(name)));
    assert_goes_on(&theirs, &seeded(&totals), &readings);
}

#[test]
fn metrics_go_on_from_what_the_first_release_printed() {
    let totals = PeerTotals::read(include_bytes!("fixtures/0.17.1-snapshot.json")).unwrap();
    assert_goes_on(include_str!("fixtures/0.17.1-prometheus.txt"), &seeded(&totals), &[]);
}

/// One latency in each of the resolver's buckets: its `le` of every bucket, and the bucket that it stays in.
#[test]
fn every_bucket_has_the_same_le_and_keeps_its_count() {
    use confidence_resolver::telemetry::{HistogramSnapshot, TelemetrySnapshot};
    let latency = HistogramSnapshot { sum: 174, count: 174, buckets: vec![1; 174] };
    let snapshot = TelemetrySnapshot { latency, ..TelemetrySnapshot::default() };
    let theirs = snapshot.to_prometheus("cf-resolver", &PrometheusConfig::default());
    assert_eq!(theirs.matches("_bucket{").count(), 175);
    let totals = PeerTotals::read(serde_json::to_string(&snapshot).unwrap().as_bytes()).unwrap();
    assert_goes_on(&theirs, &seeded(&totals), &[]);
    let state = to_delta(&totals, "cf-resolver", 0).unwrap();
    let labels = LabelSet::from_pairs([(RESOLVER_ID, "cf-resolver")]).unwrap();
    let Some(tributary_telemetry::Value::Histogram(histogram)) = state.get(catalog::RESOLVE_LATENCY.name(), &labels)
    else {
        panic!("no histogram");
    };
    assert_eq!(histogram.bucket_counts()[..174], [1; 174]);
    assert_eq!(histogram.bucket_counts()[174], 0);
}

#[test]
fn a_latency_on_a_bound_stays_where_the_resolver_put_it_and_ours_is_one_bucket_lower() {
    use confidence_resolver::telemetry::{TelemetrySnapshot, build_request_telemetry};
    let mut snapshot = TelemetrySnapshot::default();
    snapshot.accumulate_delta(&build_request_telemetry(Some(1_000), &[]));
    let totals = PeerTotals::read(serde_json::to_string(&snapshot).unwrap().as_bytes()).unwrap();
    let theirs = totals.latency_buckets.iter().position(|count| *count > 0).unwrap();
    assert_eq!(theirs, tributary_telemetry::LatencyHistogram::bucket_of(1_000) + 1);
}

#[test]
fn every_reason_has_the_label_that_the_resolver_prints_and_those_without_a_name_share_one() {
    use confidence_resolver::telemetry::TelemetrySnapshot;
    let known = (1..=11u64).collect::<Vec<_>>();
    assert_eq!(known.len(), KNOWN_REASONS);
    let snapshot = TelemetrySnapshot { resolve_rates: known, ..TelemetrySnapshot::default() };
    let theirs = snapshot.to_prometheus("cf-resolver", &PrometheusConfig::default());
    let totals = PeerTotals::read(serde_json::to_string(&snapshot).unwrap().as_bytes()).unwrap();
    assert_goes_on(&theirs, &seeded(&totals), &[]);

    let unknown = PeerTotals { resolves: BTreeMap::from([(11, 2), (77, 3), (u32::MAX, 4)]), ..PeerTotals::default() };
    let delta = to_delta(&unknown, "cf-resolver", 0).unwrap();
    let labels = LabelSet::from_pairs([(REASON, "UNKNOWN"), (RESOLVER_ID, "cf-resolver")]).unwrap();
    assert_eq!(delta.get(catalog::RESOLVES.name(), &labels), Some(&tributary_telemetry::Value::Counter(9)));
    assert_eq!(delta.families().flat_map(|family| family.series()).count(), 1);
}

#[test]
fn labels_that_are_none_are_left_out_and_what_then_looks_the_same_adds_up() {
    let set = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    let provider_init = BTreeMap::from([
        (set(&[("encryption", "true"), ("a-b", "x")]), 2),
        (set(&[("encryption", "true"), ("__name__", "x"), ("resolver_id", "other")]), 5),
    ]);
    let delta = to_delta(&PeerTotals { provider_init, ..PeerTotals::default() }, "eu", 0).unwrap();
    let labels = LabelSet::from_pairs([("encryption", "true"), (RESOLVER_ID, "eu")]).unwrap();
    assert_eq!(delta.get(catalog::PROVIDER_INIT.name(), &labels), Some(&tributary_telemetry::Value::Counter(7)));
}

#[test]
fn the_ledger_takes_what_this_makes() {
    use tributary_consumer::ledger::import::Import;
    use tributary_proto::v1::ImportRequest;
    let totals = PeerTotals::read(serde_json::to_string(&full()).unwrap().as_bytes()).unwrap();
    let delta = to_delta(&totals, "cf-resolver", FIRST_RELEASE_MS).unwrap();
    let request = ImportRequest { source: "kv:abc".into(), totals: Some(delta.to_wire()), another: false };
    assert_eq!(Import::from_wire(request).unwrap().totals(), &delta);
}
