//! Bug classes that other systems had (docs/bug-classes.md) and that no other test names.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of a test"
)]

use tributary_proto::flag_logs::{
    TelemetryData,
    telemetry_data::{BucketSpan, ResolveLatency},
};
use tributary_telemetry::{
    Delta, FamilyDescriptor, LATENCY_LN_RATIO, LabelSet, MetricKind, Snapshot, TextFormat, TextOptions, Value,
    confidence::TelemetryDelta, write_text,
};

const FAMILY: FamilyDescriptor = FamilyDescriptor::from_static("deltas", "Deltas.", "", MetricKind::Counter);

fn text(state: &Snapshot) -> String {
    let mut text = String::new();
    write_text(state, &TextOptions::new(TextFormat::OpenMetrics), &mut text);
    text
}

fn counted(count: u64) -> Delta {
    let mut delta = Delta::new();
    delta.add_counter(&FAMILY, LabelSet::empty(), count).unwrap();
    delta
}

/// Class 16.
#[test]
fn histograms_without_buckets_counts_or_sums_are_taken_and_add_nothing() {
    let span = |offset, counts: &[u32]| BucketSpan { offset, counts: counts.to_vec() };
    for buckets in [vec![], vec![span(0, &[])], vec![span(5, &[0, 0, 0])], vec![span(-3, &[]), span(400, &[0])]] {
        let latency = ResolveLatency { sum: 0, count: 0, buckets, ln_ratio: LATENCY_LN_RATIO };
        let data = TelemetryData { resolve_latency: Some(latency), ..TelemetryData::default() };
        let (read, rebucketed) = TelemetryDelta::from_wire(&data, 1).unwrap();
        assert_eq!((read.latency().count(), rebucketed.observations), (0, 0));
        let mut merged = TelemetryDelta::new();
        merged.observe_latency(7);
        let before = merged.clone();
        merged.merge(&read).unwrap();
        assert_eq!(merged, before);
        let mut state = Snapshot::new(1);
        let _applied = state.apply(&read.to_delta("r", 1).unwrap(), 2).unwrap();
        assert!(text(&state).ends_with("# EOF\n"));
    }
}

/// Class 25.
#[test]
fn what_was_handed_over_does_not_change_when_the_state_goes_on() {
    let mut state = Snapshot::new(1);
    let delta = counted(5);
    let _applied = state.apply(&delta, 2).unwrap();
    let (one_sink, other_sink) = (state.clone(), state.to_wire());
    let printed = text(&one_sink);
    let _applied = state.apply(&counted(7), 3).unwrap();
    assert_eq!(delta, counted(5), "the delta of a batch is read by every sink as it was");
    assert_eq!(text(&one_sink), printed);
    assert_eq!(Snapshot::from_wire(other_sink), Ok(one_sink));
    assert_eq!(state.get("deltas", &LabelSet::empty()).map(|series| series.value()), Some(&Value::Counter(12)));
}

/// Class 40.
#[test]
fn totals_around_2_to_the_32_and_53_are_written_exactly() {
    for total in [(1u64 << 32) - 1, 1 << 32, (1 << 53) - 1, 1 << 53, (1 << 53) + 1, u64::MAX - 1, u64::MAX] {
        let mut state = Snapshot::new(1);
        let _applied = state.apply(&counted(total - 1), 2).unwrap();
        let _applied = state.apply(&counted(1), 3).unwrap();
        let state = Snapshot::decode(&state.encode()).unwrap();
        assert!(text(&state).contains(&format!("\ndeltas_total {total}\n")), "{total}");
    }
}
