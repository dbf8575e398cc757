//! The mapping of Confidence telemetry at its bounds: what no longer fits is sent in parts, folded or refused, and never
//! lost in silence.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "helpers of a test")]

use std::collections::BTreeMap;

use tributary_proto::{Message as _, flag_logs::TelemetryData};
use tributary_telemetry::{
    Gauge, LabelSet, Number, Value,
    confidence::{TelemetryDelta, TelemetryMergeError, WireError, catalog},
    limits::MAX_WIRE_TOTAL,
};

fn read_back(reports: &[TelemetryData], time_ms: u64) -> TelemetryDelta {
    let mut all = TelemetryDelta::new();
    for report in reports {
        // Through bytes, so that what does not survive the wire fails here.
        let report = TelemetryData::decode(report.encode_to_vec().as_slice()).unwrap();
        all.merge(&TelemetryDelta::from_wire(&report, time_ms).unwrap().0).unwrap();
    }
    all
}

#[test]
fn totals_above_32_bits_go_out_in_several_reports() {
    let mut telemetry = TelemetryDelta::new();
    for _ in 0..3 {
        telemetry.observe_latency(u32::MAX);
    }
    telemetry.add_resolves(1, 10_000_000_000);
    telemetry.add_flush(u64::from(u32::MAX), u64::from(u32::MAX) + 1);
    telemetry.set_memory_bytes(u64::MAX, 7);
    let reports = telemetry.to_wire();
    assert_eq!(reports.len(), 3);
    assert_eq!(reports[0].memory_bytes, u64::MAX);
    assert_eq!(read_back(&reports, 7), telemetry);
}

#[test]
fn reasons_that_are_observed_count_as_those_that_are_added_one_by_one() {
    let reasons = [1, 0, 10, 11, -1, 1, i32::MAX, 7, i32::MIN, 1, 1];
    for used in 0..=reasons.len() {
        let (mut observed, mut added) = (TelemetryDelta::new(), TelemetryDelta::new());
        for telemetry in [&mut observed, &mut added] {
            telemetry.add_resolves(1, MAX_WIRE_TOTAL - 2);
        }
        observed.observe_resolves(&reasons[..used]);
        reasons[..used].iter().for_each(|reason| added.add_resolves(*reason, 1));
        assert_eq!(observed, added);
    }
}

#[test]
fn a_total_that_is_counted_past_the_bound_of_the_wire_is_read_and_merged_at_the_bound() {
    let mut telemetry = TelemetryDelta::new();
    telemetry.add_resolves(1, MAX_WIRE_TOTAL);
    telemetry.observe_resolves(&[1, 1, 2]);
    assert_eq!(telemetry.resolves().collect::<Vec<_>>(), [(1, MAX_WIRE_TOTAL), (2, 1)]);
    assert_eq!(telemetry.to_wire().len(), 1_024);
    assert_eq!(read_back(&telemetry.to_wire(), 7), telemetry);
    let (mut merged, mut other) = (telemetry.clone(), TelemetryDelta::new());
    other.add_resolves(2, 1);
    assert_eq!(merged.merge(&other), Ok(()), "what is at its bound is in nobody's way");
    assert_eq!(other.merge(&telemetry), Ok(()));
    assert_eq!(merged.resolves().collect::<Vec<_>>(), [(1, MAX_WIRE_TOTAL), (2, 2)]);
    assert_eq!(other, merged);
    telemetry.add_resolves(1, 5);
    assert_eq!(telemetry.resolves().next(), Some((1, MAX_WIRE_TOTAL)));
}

#[test]
fn totals_saturate_or_are_refused_at_the_bound_of_the_wire() {
    let mut telemetry = TelemetryDelta::new();
    telemetry.add_resolves(1, u64::MAX);
    telemetry.add_resolves(1, u64::MAX);
    assert_eq!(telemetry.resolves().collect::<Vec<_>>(), [(1, MAX_WIRE_TOTAL)]);
    assert_eq!(telemetry.to_wire().len(), 1_024);
    let before = telemetry.clone();
    let mut one = TelemetryDelta::new();
    one.add_resolves(1, 1);
    one.add_flush(1, 1);
    assert_eq!(telemetry.merge(&one), Err(TelemetryMergeError::Overflow { field: "resolve_rate" }));
    assert_eq!(telemetry, before);

    let rate = tributary_proto::flag_logs::telemetry_data::ResolveRate { count: u32::MAX, reason: 1 };
    let mut report = TelemetryData { resolve_rate: vec![rate; 1_024], ..TelemetryData::default() };
    assert!(TelemetryDelta::from_wire(&report, 1).is_ok());
    report.resolve_rate.push(rate);
    assert!(matches!(TelemetryDelta::from_wire(&report, 1), Err(WireError::Overflow(_))));
}

#[test]
fn unknown_reasons_are_bounded_share_a_label_and_lose_no_count() {
    let mut telemetry = TelemetryDelta::new();
    for reason in (-50..0).chain(11..50).chain([i32::MIN, i32::MAX]) {
        telemetry.add_resolves(reason, 1);
    }
    let kept: BTreeMap<i32, u64> = telemetry.resolves().collect();
    assert_eq!(kept.len(), 17, "16 unknown ones and RESOLVE_REASON_UNSPECIFIED");
    assert_eq!(kept.values().sum::<u64>(), 91);
    assert_eq!(kept[&0], 75);
    assert!((11..27).all(|reason| kept[&reason] == 1), "the numbers next to the known ones are kept");
    let delta = telemetry.to_delta("r", 1).unwrap();
    let labels = |reason| LabelSet::from_pairs([("reason", reason), ("resolver_id", "r")]).unwrap();
    assert_eq!(delta.get("confidence_resolves", &labels("UNKNOWN")), Some(&Value::Counter(16)));
    assert_eq!(delta.get("confidence_resolves", &labels("RESOLVE_REASON_UNSPECIFIED")), Some(&Value::Counter(75)));
}

#[test]
fn provider_init_label_sets_are_bounded_and_lose_no_count() {
    let set = |number: usize| BTreeMap::from([("n".to_owned(), format!("{number:05}"))]);
    let mut up = TelemetryDelta::new();
    let mut down = TelemetryDelta::new();
    for number in 0..1_200 {
        up.add_provider_init(set(number), 1);
        down.add_provider_init(set(1_199 - number), 1);
    }
    assert_eq!(up, down, "which sets stay does not depend on the order");
    let delta = up.to_delta("r", 1).unwrap();
    let family = delta.families().next().unwrap();
    let total: u64 = family.series().map(|(_, value)| if let Value::Counter(count) = value { *count } else { 0 }).sum();
    assert_eq!((family.series().len(), total), (1_000, 1_200));
}

#[test]
fn provider_init_labels_that_cannot_be_labels_are_left_out_and_collisions_summed() {
    let mut telemetry = TelemetryDelta::new();
    let own = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let hostile = "x".repeat(1_025);
    let bad = [("le", "1"), ("resolver_id", "other"), ("__name__", "n"), ("a-b", "1"), ("", "1"), ("long", &hostile)];
    for (name, value) in bad {
        telemetry.add_provider_init(own(&[(name, value), ("ok", "1")]), 1);
    }
    telemetry.add_provider_init((0..50).map(|n| (format!("l{n:02}"), "v".to_owned())).collect(), 1);
    let delta = telemetry.to_delta("r", 1).unwrap();
    let labels = LabelSet::from_pairs([("ok", "1"), ("resolver_id", "r")]).unwrap();
    assert_eq!(delta.get("confidence_provider_init", &labels), Some(&Value::Counter(6)));
    assert_eq!(delta.families().next().unwrap().series().map(|(labels, _)| labels.len()).max(), Some(32));
}

#[test]
fn every_family_of_the_catalog_is_mapped_and_the_table_is_complete() {
    let mut telemetry = TelemetryDelta::new();
    telemetry.observe_latency(1);
    telemetry.add_resolves(1, 1);
    telemetry.add_flush(1, 0);
    telemetry.add_provider_init(BTreeMap::new(), 1);
    telemetry.set_memory_bytes(1, 1);
    telemetry.set_state_update(1_500, 1);
    telemetry.set_apply_dedup_map(0, 9, 1);
    telemetry.add_apply_dedup(tributary_telemetry::confidence::ApplyDedupCounts { applies: 1, ..Default::default() });
    telemetry.add_events(tributary_telemetry::confidence::EventCounts { rejected: 1, ..Default::default() });
    let delta = telemetry.to_delta("r", 1).unwrap();
    let mapped: Vec<&str> = delta.families().map(|family| family.descriptor().name()).collect();
    let mut expected: Vec<&str> = catalog::ALL.iter().map(|family| family.name()).collect();
    expected.sort_unstable();
    assert_eq!(mapped, expected);
    let labels = LabelSet::from_pairs([("resolver_id", "r")]).unwrap();
    assert_eq!(
        delta.get("confidence_state_last_update_timestamp_seconds", &labels),
        Some(&Value::Gauge(Gauge::new(Number::Float(1.5), 1).unwrap()))
    );
}

#[test]
fn reasons_0_to_10_are_named_and_11_is_not() {
    for reason in 0..11 {
        assert!(tributary_proto::flag_logs::ResolveReason::try_from(reason).is_ok());
    }
    assert!(
        tributary_proto::flag_logs::ResolveReason::try_from(11).is_err(),
        "a new reason wants KNOWN_REASONS raised"
    );
}
