//! Telemetry of the wire: read, merged, mapped into the model, written again.
//!
//! Input: `TelemetryData` messages, each with its length before it (protobuf's delimited form).

use tributary_proto::{Message as _, flag_logs::TelemetryData};
use tributary_telemetry::{Delta, LabelSet, Value, confidence::TelemetryDelta, limits::MAX_WIRE_PARTS};

use super::NOW_MS;

/// Resolve reasons without a name that are kept apart; beyond, they are folded, in an order that depends on the path.
const UNKNOWN_REASONS: usize = 16;
/// The most reports of one input, so that one input is fast.
const REPORTS: usize = 24;

/// Any report is read or refused. What was read keeps every count, is written as reports that read back as it was, and
/// merges the same in every order and grouping, before and after the mapping into the model.
///
/// # Panics
/// Where a property does not hold.
pub fn run(data: &[u8]) {
    let reports = reports(data);
    let mut merged = TelemetryDelta::new();
    let mut backwards = TelemetryDelta::new();
    let mut deltas = Vec::new();
    for (index, report) in (0..).zip(&reports) {
        let read_at_ms = NOW_MS - index % 3;
        let Ok((delta, rebucketed)) = TelemetryDelta::from_wire(report, read_at_ms) else { continue };
        check_counts(report, &delta, rebucketed.observations);
        check_round_trip(&delta, read_at_ms);
        deltas.push(delta);
    }
    for delta in &deltas {
        check_pair(&merged, delta);
        merged.merge(delta).expect("24 reports of 32 bits are within the bound");
    }
    for delta in deltas.iter().rev() {
        backwards.merge(delta).expect("24 reports of 32 bits are within the bound");
    }
    assert_eq!(merged, backwards, "merging does not depend on order");
    let (left, right) = deltas.split_at(deltas.len() / 2);
    let sum = |parts: &[TelemetryDelta]| {
        let mut sum = TelemetryDelta::new();
        parts.iter().for_each(|part| sum.merge(part).expect("within the bound"));
        sum
    };
    let mut halves = sum(left);
    halves.merge(&sum(right)).expect("within the bound");
    assert_eq!(merged, halves, "merging does not depend on grouping");
    check_mapping(&merged, &deltas);
}

fn reports(mut data: &[u8]) -> Vec<TelemetryData> {
    let mut reports = Vec::new();
    while !data.is_empty() && reports.len() < REPORTS {
        let Ok(report) = TelemetryData::decode_length_delimited(&mut data) else { break };
        reports.push(report);
    }
    reports
}

fn check_counts(report: &TelemetryData, delta: &TelemetryDelta, rebucketed: u64) {
    let latency = report.resolve_latency.clone().unwrap_or_default();
    assert_eq!(delta.latency().count(), u64::from(latency.count));
    assert_eq!(delta.latency().sum_micros(), u64::from(latency.sum));
    assert_eq!(delta.latency().bucket_counts().iter().sum::<u64>(), u64::from(latency.count));
    assert!(rebucketed == 0 || rebucketed == u64::from(latency.count));
    let sent: u64 = report.resolve_rate.iter().map(|rate| u64::from(rate.count)).sum();
    assert_eq!(resolves(delta), sent, "no resolve is lost, whatever its reason");
}

fn resolves(delta: &TelemetryDelta) -> u64 {
    delta.resolves().map(|(_, count)| count).sum()
}

/// Writes reports and reads them again. All readings of `delta` were made at `read_at_ms`.
fn check_round_trip(delta: &TelemetryDelta, read_at_ms: u64) {
    let written = delta.to_wire();
    assert!(u64::try_from(written.len()).is_ok_and(|parts| parts <= MAX_WIRE_PARTS));
    assert_eq!(written.is_empty(), delta.is_empty());
    let mut read = TelemetryDelta::new();
    for report in &written {
        let bytes = report.encode_to_vec();
        let report = TelemetryData::decode(bytes.as_slice()).expect("a written report decodes");
        let (part, rebucketed) = TelemetryDelta::from_wire(&report, read_at_ms).expect("a written report is read");
        assert_eq!(rebucketed.observations, 0, "we write our own ratio");
        read.merge(&part).expect("the parts of a total are within its bound");
    }
    assert_eq!(&read, delta, "written telemetry reads back as it was");
}

fn check_pair(left: &TelemetryDelta, right: &TelemetryDelta) {
    let (mut one, mut two) = (left.clone(), right.clone());
    let (first, second) = (one.merge(right), two.merge(left));
    assert_eq!(first.is_ok(), second.is_ok());
    assert!(first.is_err() || one == two, "merging commutes");
}

fn check_mapping(merged: &TelemetryDelta, parts: &[TelemetryDelta]) {
    let delta = merged.to_delta("cf-resolver", NOW_MS).expect("a legal resolver id");
    let read = Delta::from_wire(delta.to_wire()).expect("a written delta is read");
    if !delta.is_empty() {
        assert_eq!(read, delta, "a delta reads back as it was");
    }
    let mut total = 0_u64;
    for family in delta.families().filter(|family| family.descriptor().name() == "confidence_resolves") {
        for (_, value) in family.series() {
            let Value::Counter(count) = value else { panic!("resolves are counted") };
            total += count;
        }
    }
    assert_eq!(total, resolves(merged), "no resolve is lost in the mapping");
    let labels = LabelSet::from_pairs([("resolver_id", "cf-resolver")]).expect("a legal label");
    let observed = match delta.get("confidence_resolve_latency_microseconds", &labels) {
        Some(Value::Histogram(histogram)) => histogram.count(),
        _ => 0,
    };
    assert_eq!(observed, merged.latency().count());

    let unknown = parts.iter().flat_map(TelemetryDelta::resolves).filter(|(reason, _)| !(0..=10).contains(reason));
    let distinct: std::collections::BTreeSet<i32> = unknown.map(|(reason, _)| reason).collect();
    if distinct.len() > UNKNOWN_REASONS {
        return;
    }
    let mut sum = Delta::new();
    sum.set_start(NOW_MS);
    for part in parts {
        let mapped = part.to_delta("cf-resolver", NOW_MS).expect("a legal resolver id");
        sum.merge(&mapped).expect("far below 64 bits");
    }
    assert_eq!(sum, delta, "merging before the mapping or after it is the same");
}
