//! The targets, one module each. Every one is a function of any bytes that panics where a property does not hold.

pub mod apply;
pub mod envelope;
pub mod import;
pub mod ledger;
pub mod legacy_json;
pub mod otlp;
pub mod resolve;
pub mod scrape;
pub mod snapshot;
pub mod state;
pub mod telemetry;
pub mod text;

use tributary_consumer::{
    backend::flag_logs::MergedFlagLogs,
    custom::gather,
    dimensions::Dimensions,
    message::{Decoded, Telemetry},
    self_metrics::delta_of,
};
use tributary_proto::{Message as _, flag_logs::WriteFlagLogsRequest};
use tributary_telemetry::{Delta, Snapshot, custom};

/// The time of every check that needs one, in milliseconds since the epoch.
const NOW_MS: u64 = 1_800_000_000_000;

/// What a message goes through after it was decoded: into the metrics, and merged with itself for the backend.
fn consume(decoded: Decoded) {
    check_custom(&decoded);
    if let Ok(delta) = delta_of(&[&decoded], Dimensions::parse("colo,sdk,sdk_version").unwrap_or_default(), NOW_MS) {
        let mut state = Snapshot::new(NOW_MS);
        if state.apply(&delta, NOW_MS).is_ok() {
            text::check_text(&state, 3);
        }
    }
    let assigned = decoded.logs.to_request().expect("checked when it was read").flag_assigned.len();
    let mut merged = MergedFlagLogs::default();
    for _ in 0..2 {
        merged.add_logs(&decoded.logs);
        if let Telemetry::Read { identity, report, .. } = &decoded.telemetry
            && merged.add_telemetry(identity, report).is_err()
        {
            return;
        }
    }
    let decode = |request: Vec<u8>| WriteFlagLogsRequest::decode(request.as_slice());
    let requests: Result<Vec<_>, _> = merged.into_requests().into_iter().map(decode).collect();
    let requests = requests.expect("what goes to the backend decodes");
    let sent: usize = requests.iter().map(|request| request.flag_assigned.len()).sum();
    assert_eq!(sent, 2 * assigned, "assignments are concatenated, none is lost or merged");
}

/// Custom metrics are written as they were read, merge with themselves, and never spoil what a scrape sees.
fn check_custom(decoded: &Decoded) {
    let names = decoded.otlp.delta.families().map(|family| family.descriptor().name().to_owned());
    assert!(names.into_iter().all(|name| !custom::is_of_pipeline(&name)));
    let delta = &decoded.metrics.delta;
    assert!(delta.families().all(|family| !custom::is_reserved(family.descriptor().name())));
    let (start_ms, end_ms) = (decoded.window_start_ms, decoded.record.window_end_ms);
    let mut read = Delta::new();
    for set in custom::write(delta, end_ms, 1_000) {
        let part = custom::read(set, start_ms, end_ms).expect("what was written is read");
        read.merge(&part.delta).expect("parts of one delta");
    }
    // Compared as messages: a start without series has no place in one.
    assert_eq!(read.to_wire(), delta.to_wire(), "metrics read back as they were");
    let mut state = Snapshot::new(NOW_MS);
    for delta in gather(&[decoded, decoded]) {
        let applied = state.apply_custom(&delta, NOW_MS);
        let series: usize = delta.families().map(|family| family.series().len()).sum();
        let left_out = applied.series_refused + applied.series_conflicting + applied.series_overflowing;
        assert!(left_out <= u64::try_from(series).unwrap_or(u64::MAX), "each is left out once");
    }
    text::check_text(&state, 3);
}
