//! The seeds of the corpora: small real messages, made by the code that makes them in production.
//!
//! `cargo run --bin seeds` writes them to `corpus/`; a test compares, so that they follow the formats.

use std::collections::BTreeMap;

use tributary_consumer::ledger::{
    book::Book,
    commit::{Record, StreamKind},
};
use tributary_proto::{
    Message as _,
    envelope::{Envelope, StreamId},
    events::{
        FlagAssigned,
        flag_assigned::{AppliedFlag, AssignmentInfo, applied_flag::Assignment},
    },
    flag_logs::{
        Sdk, SdkId, TelemetryData, WriteFlagLogsRequest, sdk,
        telemetry_data::{BucketSpan, ResolveLatency},
    },
    resolve_info::{FlagResolveInfo, flag_resolve_info::VariantResolveInfo},
    v1::{CommitRequest, Dropped, ImportRequest, dropped},
};
use tributary_telemetry::{
    Bounds, Delta, ExplicitBounds, ExponentialBuckets, ExponentialHistogram, ExponentialParts, FamilyDescriptor, Gauge,
    Histogram, LabelSet, MetricKind, Number, Snapshot, UpDown, Value,
    confidence::{ApplyDedupCounts, EventCounts, TelemetryDelta},
};

use crate::fixture;

const TIME_MS: u64 = 1_800_000_000_000;

/// Target, file name and content of every seed.
#[must_use]
pub fn all() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let mut seeds = vec![
        ("envelope", "full", envelope(1, &flag_logs())),
        ("envelope", "metrics", envelope_of_metrics()),
        ("envelope", "packed", envelope(4, &assigned_thrice())),
        ("envelope", "empty", envelope(2, &WriteFlagLogsRequest::default())),
        ("envelope", "otlp", envelope_of_otlp()),
        ("envelope", "everything", envelope_of_everything()),
        ("otlp", "points", crate::otlp_seed::points()),
        ("otlp", "careless", crate::otlp_seed::careless()),
        ("legacy_json", "full.json", json(&flag_logs())),
        ("legacy_json", "snake.json", b"{\"telemetry_data\":{\"resolve_rate\":[{\"count\":1,\"reason\":2}]}}".to_vec()),
        ("telemetry", "reports", delimited(&reports())),
        ("telemetry", "foreign_ratio", delimited(&[foreign_ratio()])),
        ("ledger", "commits", with_mode(0, &commits())),
        ("ledger", "steps", with_mode(1, &(0..200).map(|step: u8| step.wrapping_mul(37)).collect::<Vec<_>>())),
        ("import", "totals", import_request()),
        ("snapshot", "small", small_state().encode()),
        ("snapshot", "declared", declared_state().encode()),
        ("snapshot", "sums", sums_state().encode()),
        ("text", "small", with_mode(0, &small_state().encode())),
        ("text", "sums", with_mode(0, &sums_state().encode())),
        ("text", "deltas", with_mode(1, &(0..240).map(|step: u8| step.wrapping_mul(89)).collect::<Vec<_>>())),
    ];
    seeds.extend(requests());
    seeds
}

fn requests() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let scrape = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;version=0.0.4;q=0.3,\
                  */*;q=0.2\nbuckets_per_decade=6&openmetrics=true\nBearer token\nMETRICS_TOKEN=token\n\
                  CONFIDENCE_CLIENT_SECRET=secret\nMETRICS_BUCKETS_PER_DECADE=9\nPUBLISH_INTERVAL_MS=1000";
    let secret = fixture::SECRET;
    let context = "{\"targeting_key\":\"u1\",\"country\":\"SE\",\"beta\":true,\"user\":{\"age\":42.5},\
                   \"version\":\"1.3.0\",\"joined\":\"2024-01-31T12:00:00Z\",\"tags\":[\"a\",\"ab\"],\"name\":\"éoz\"}";
    let resolve = |flags: &str, apply: bool| {
        format!(
            "{{\"clientSecret\":\"{secret}\",\"flags\":[{flags}],\"evaluationContext\":{context},\"apply\":{apply},\
             \"sdk\":{{\"id\":\"SDK_ID_GO_CONFIDENCE\",\"version\":\"1.0.0\"}}}}"
        )
        .into_bytes()
    };
    let apply = format!(
        "{{\"clientSecret\":\"{secret}\",\"resolveToken\":\"AAECAwQFBgc=\",\"sendTime\":\"2026-11-22T12:00:00Z\",\
         \"flags\":[{{\"flag\":\"flags/all\",\"applyTime\":\"2026-11-22T11:59:59.5Z\"}}]}}"
    );
    vec![
        ("scrape", "prometheus", scrape.as_bytes().to_vec()),
        (
            "scrape",
            "native",
            b"application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,*/*;q=0.1\n\
              buckets_per_decade=3\nBearer token\nMETRICS_TOKEN=token"
                .to_vec(),
        ),
        ("scrape", "browser", b"text/html,*/*;q=0.8\nx=y&openmetrics=0\nClientSecret secret".to_vec()),
        ("resolve", "all.json", resolve("", true)),
        ("resolve", "deferred.json", resolve("\"flags/half\",\"flags/number\"", false)),
        ("apply", "body", with_mode(b' ', apply.as_bytes())),
        ("apply", "token", with_mode(1, &token())),
        ("state", "small", fixture::state_bytes()),
    ]
}

/// Everything that an import may hold: counters and histograms, no readings.
fn import_request() -> Vec<u8> {
    let all = telemetry().to_delta("eu", TIME_MS - 5_000).unwrap();
    let mut totals = Delta::new();
    totals.set_start(TIME_MS - 5_000);
    for family in all.families().filter(|family| family.descriptor().kind() != MetricKind::Gauge) {
        for (labels, value) in family.series() {
            totals.add(family.descriptor(), labels.clone(), value.clone()).unwrap();
        }
    }
    ImportRequest { source: "kv:0a1b".to_owned(), totals: Some(totals.to_wire()), another: false }.encode_to_vec()
}

fn with_mode(mode: u8, bytes: &[u8]) -> Vec<u8> {
    [&[mode], bytes].concat()
}

/// What a resolve token says, with a fixed id, so that the seed is always the same.
fn token() -> Vec<u8> {
    use confidence_resolver::proto::{
        Message as _,
        confidence::flags::resolver::v1::{
            ResolveToken, ResolveTokenV1, resolve_token, resolve_token_v1::AssignedFlag,
        },
    };
    let flag = AssignedFlag {
        flag: "flags/all".to_owned(),
        targeting_key: "u1".to_owned(),
        segment: "segments/all".to_owned(),
        variant: "flags/all/variants/on".to_owned(),
        rule: "flags/all/rules/one".to_owned(),
        assignment_id: "on".to_owned(),
        ..AssignedFlag::default()
    };
    let token = ResolveTokenV1 {
        resolve_id: "id".to_owned(),
        assignments: [("flags/all".to_owned(), flag)].into(),
        ..ResolveTokenV1::default()
    };
    ResolveToken { resolve_token: Some(resolve_token::ResolveToken::TokenV1(token)) }.encode_to_vec()
}

fn telemetry() -> TelemetryDelta {
    let mut telemetry = TelemetryDelta::new();
    for micros in [0, 1, 10, 999, 1_000, 1_001, 100_000, u32::MAX] {
        telemetry.observe_latency(micros);
    }
    for reason in [0, 1, 5, 10, 11, -1] {
        telemetry.add_resolves(reason, 3);
    }
    telemetry.set_memory_bytes(16_777_216, TIME_MS);
    telemetry.set_state_update(TIME_MS - 5_000, TIME_MS);
    telemetry.set_apply_dedup_map(12, 100, TIME_MS);
    telemetry.add_apply_dedup(ApplyDedupCounts { applies: 30, deduped: 4, overflow: 1, sweeps: 2 });
    telemetry.add_flush(7, 1);
    telemetry.add_events(EventCounts { published: 5, batches_succeeded: 2, batches_failed: 1, rejected: 3 });
    telemetry.add_provider_init([("encryption".to_owned(), "true".to_owned())].into(), 2);
    telemetry.add_provider_init([("a-b".to_owned(), "\"\n".to_owned())].into(), 1);
    telemetry
}

fn reports() -> Vec<TelemetryData> {
    let mut reports = telemetry().to_wire();
    let mut second = TelemetryDelta::new();
    second.observe_latency(2_000);
    second.add_resolves(1, u64::from(u32::MAX) + 2);
    reports.extend(second.to_wire());
    reports
}

fn foreign_ratio() -> TelemetryData {
    let spans = vec![BucketSpan { offset: -3, counts: vec![1, 2] }, BucketSpan { offset: 40, counts: vec![3] }];
    let latency = ResolveLatency { sum: 900, count: 6, buckets: spans, ln_ratio: 0.1 };
    TelemetryData { resolve_latency: Some(latency), ..TelemetryData::default() }
}

fn delimited(reports: &[TelemetryData]) -> Vec<u8> {
    reports.iter().flat_map(|report| report.encode_length_delimited_to_vec()).collect()
}

fn flag_logs() -> WriteFlagLogsRequest {
    // Without the reasons that have no name: these have no JSON form.
    let mut telemetry_data = telemetry().to_wire().remove(0);
    telemetry_data.resolve_rate.retain(|rate| (0..=10).contains(&rate.reason));
    telemetry_data.sdk =
        Some(Sdk { sdk: Some(sdk::Sdk::Id(SdkId::CloudflareResolver.into())), version: "1.2.3".to_owned() });
    let assignment = AssignmentInfo { segment: "segments/all".to_owned(), variant: "flags/all/variants/on".to_owned() };
    let applied = AppliedFlag {
        flag: "flags/all".to_owned(),
        targeting_key: "u1".to_owned(),
        assignment_id: "on".to_owned(),
        assignment: Some(Assignment::AssignmentInfo(assignment)),
        ..AppliedFlag::default()
    };
    WriteFlagLogsRequest {
        flag_assigned: vec![FlagAssigned { resolve_id: "id".to_owned(), flags: vec![applied], ..Default::default() }],
        telemetry_data: Some(telemetry_data),
        client_resolve_info: Vec::new(),
        flag_resolve_info: vec![FlagResolveInfo {
            flag: "flags/all".to_owned(),
            variant_resolve_info: vec![VariantResolveInfo { variant: "on".to_owned(), count: 9 }],
            rule_resolve_info: Vec::new(),
        }],
    }
}

fn json(logs: &WriteFlagLogsRequest) -> Vec<u8> {
    serde_json::to_vec(logs).expect("the seed has a JSON form")
}

fn envelope(sequence: u64, logs: &WriteFlagLogsRequest) -> Vec<u8> {
    let envelope = Envelope {
        stream_id: StreamId([0xab; 16]),
        ledgers: 1,
        sequence,
        window_start_ms: TIME_MS,
        window_end_ms: TIME_MS + 1_000,
        resolver_id: "cf-resolver".to_owned(),
        dimensions: BTreeMap::from([("colo".to_owned(), "AMS".to_owned())]),
        flag_logs: logs.encode_to_vec(),
        metrics: Vec::new(),
        resource_metrics: Vec::new(),
        dropped: vec![Dropped { reason: dropped::Reason::BufferFull.into(), assignments: 4, recordings: 0 }],
    };
    envelope.encode().expect("the seed is an envelope")
}

/// Assignments that are alike, which an envelope packs.
fn assigned_thrice() -> WriteFlagLogsRequest {
    let logs = flag_logs();
    WriteFlagLogsRequest { flag_assigned: [logs.flag_assigned.as_slice(); 3].concat(), ..logs }
}

fn envelope_of_metrics() -> Vec<u8> {
    let full = envelope(3, &WriteFlagLogsRequest::default());
    let recordings = Dropped { reason: dropped::Reason::Invalid.into(), assignments: 0, recordings: 2 };
    let envelope = Envelope {
        metrics: small_delta().to_wire().encode_to_vec(),
        dropped: vec![recordings],
        ..Envelope::decode(&full).expect("written above")
    };
    envelope.encode().expect("the seed is an envelope")
}

fn envelope_of_otlp() -> Vec<u8> {
    let full = envelope(5, &WriteFlagLogsRequest::default());
    let envelope =
        Envelope { resource_metrics: crate::otlp_seed::points(), ..Envelope::decode(&full).expect("written above") };
    envelope.encode().expect("the seed is an envelope")
}

/// A Worker that resolves flags, counts families of its own and collects OpenTelemetry's points, on one of three queues.
fn envelope_of_everything() -> Vec<u8> {
    let full = envelope(6, &flag_logs());
    let envelope = Envelope {
        ledgers: 3,
        metrics: small_delta().to_wire().encode_to_vec(),
        resource_metrics: crate::otlp_seed::points(),
        ..Envelope::decode(&full).expect("written above")
    };
    envelope.encode().expect("the seed is an envelope")
}

fn commits() -> Vec<u8> {
    let record = |stream: u8, sequence| Record {
        stream_id: StreamId([stream; 16]),
        sequence,
        window_end_ms: TIME_MS,
        kind: StreamKind::Producer,
        resolver_id: "cf-resolver".into(),
    };
    let delta = telemetry().to_delta("cf-resolver", TIME_MS).expect("a legal resolver id");
    let batches = [vec![record(1, 1), record(2, 1)], vec![record(1, 3)], vec![record(1, 2), record(1, 3)]];
    let mut bytes = Vec::new();
    for (records, delta) in batches.into_iter().zip([delta.clone(), Delta::new(), delta]) {
        let records = records.iter().map(Record::to_wire).collect();
        bytes.extend(
            CommitRequest { records, delta: Some(delta.to_wire()), contradicting: Vec::new() }
                .encode_length_delimited_to_vec(),
        );
    }
    bytes
}

fn declared_state() -> Snapshot {
    Book::new("cf-resolver", TIME_MS).expect("a legal name").state
}

fn small_state() -> Snapshot {
    let mut state = Snapshot::new(TIME_MS - 1);
    let applied = state.apply(&small_delta(), TIME_MS).expect("far below 64 bits");
    assert_eq!(applied.series_added, 4);
    state
}

/// What schema 2 of snapshots brought.
fn sums_state() -> Snapshot {
    let positive = ExponentialBuckets { offset: -3, counts: vec![1, 0, 5] };
    let negative = ExponentialBuckets { offset: 9, counts: vec![2] };
    let (zero_threshold, zero_count, sum) = (0.125, 1, Some(-4.5));
    let parts = ExponentialParts { scale: 3, zero_threshold, zero_count, positive, negative, sum };
    let values = [
        ("a", Value::FloatCounter(0.5)),
        ("b", Value::UpDown(UpDown::Integer(-3))),
        ("c", Value::UpDown(UpDown::Float(2.5))),
        ("d", Value::Exponential(ExponentialHistogram::new(parts).expect("legal parts"))),
    ];
    let mut delta = Delta::new();
    for (name, value) in values {
        let family = FamilyDescriptor::new(name, "Help.", "", value.kind()).expect("legal");
        delta.add(&family, LabelSet::empty(), value).expect("families of different names");
    }
    let mut state = Snapshot::new(TIME_MS - 1);
    let applied = state.apply(&delta, TIME_MS).expect("far below 64 bits");
    assert_eq!(applied.series_added, 4);
    state
}

fn small_delta() -> Delta {
    let family = |name, unit, kind| FamilyDescriptor::new(name, "Help \\ \"me\"\n.", unit, kind).expect("legal");
    let labels = LabelSet::from_pairs([("a", "\"\\\n"), ("b", "é")]).expect("legal labels");
    let bounds = Bounds::Explicit(ExplicitBounds::new(&[-1.5, 0.25, 1e9]).expect("legal bounds"));
    let sizes = Histogram::from_parts(bounds, vec![1, 0, 2, 3], Number::Float(12.5)).expect("a legal histogram");
    let latency = telemetry().latency().to_histogram().expect("a legal histogram");
    let mut delta = Delta::new();
    delta.set_start(TIME_MS);
    let added = delta
        .add_counter(&family("requests", "", MetricKind::Counter), labels.clone(), 3)
        .and_then(|()| delta.set_gauge(&family("temp", "", MetricKind::Gauge), labels.clone(), Gauge::unsigned(9, 1)))
        .and_then(|()| delta.add_histogram(&family("w_seconds", "seconds", MetricKind::Histogram), labels, &sizes))
        .and_then(|()| delta.add_histogram(&family("l", "", MetricKind::Histogram), LabelSet::empty(), &latency));
    added.expect("families of different names");
    delta
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::TARGETS;

    #[test]
    fn checked_in_seeds_are_what_the_code_writes_and_every_target_has_some() {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
        for (target, name, bytes) in all() {
            let path = corpus.join(target).join(name);
            assert!(TARGETS.iter().any(|known| known.name == target), "{target}");
            // A map inside the resolver state is written in any order; a state is compared by its size.
            let stored = std::fs::read(&path).unwrap_or_default();
            let is_same = if target == "state" { stored.len() == bytes.len() } else { stored == bytes };
            assert!(is_same, "{} is old: cargo run --bin seeds", path.display());
        }
        for target in TARGETS {
            assert!(all().iter().any(|(name, _, _)| *name == target.name), "{} has no seed", target.name);
        }
    }

    #[test]
    fn every_seed_is_without_a_finding() {
        for (name, _, bytes) in all() {
            let target = TARGETS.iter().find(|target| target.name == name).unwrap();
            (target.run)(&bytes);
        }
    }

    #[test]
    fn seeds_reach_what_they_are_for() {
        let of = |target: &str, name: &str| {
            all().into_iter().find(|seed| (seed.0, seed.1) == (target, name)).map(|seed| seed.2).unwrap()
        };
        assert!(Envelope::decode(&of("envelope", "full")).unwrap().flag_logs().is_ok());
        let all_at_once = Envelope::decode(&of("envelope", "everything")).unwrap();
        assert_eq!((all_at_once.ledgers, all_at_once.flag_logs().is_ok()), (3, true));
        assert!(
            [all_at_once.flag_logs, all_at_once.metrics, all_at_once.resource_metrics]
                .iter()
                .all(|part| part.len() > 9)
        );
        let json = String::from_utf8(of("legacy_json", "full.json")).unwrap();
        assert!(tributary_proto::envelope::decode_legacy(&json).is_ok());
        let resolved = fixture::with_state(|state| {
            let config = fixture::config();
            let call = tributary_producer::resolve::parse(&of("resolve", "all.json"), &config)?;
            tributary_producer::resolve::run::<tributary_producer::host::WorkerHost>(call, state, &config, true)?
                .without_records()
        });
        let flags = resolved.unwrap().response.resolved_flags;
        let others: Vec<_> =
            flags.iter().filter(|flag| flag.reason != 1).map(|flag| (&flag.flag, flag.reason)).collect();
        // Half of the targeting keys are outside of the one flag's buckets.
        assert!(flags.len() == 13 && others.iter().all(|(name, _)| *name == "flags/half"), "{others:?}");
        assert!(tributary_producer::apply::parse(&of("apply", "body")).is_ok());
    }
}
