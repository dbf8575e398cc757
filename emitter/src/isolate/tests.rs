use tributary_proto::envelope::Envelope;
use tributary_telemetry::{LabelSet, Value, custom};

use super::*;
use crate::limits::IN_FLIGHT_MS;
use crate::{Counter, Family};

static JOBS: Family<Counter, 0> = Family::counter("jobs", "Jobs.", []);
static NAMED: Family<Counter, 1> = Family::counter("named", "Named.", ["name"]);

fn isolate() -> Isolate {
    family::drain();
    Isolate::new(StreamId([3; 16]), "shop", Config { flush_interval_ms: 1_000, ..Config::default() })
}

fn jobs(bytes: &[u8]) -> Option<u64> {
    let envelope = Envelope::decode(bytes).unwrap();
    let metrics = custom::read(envelope.metrics().unwrap(), envelope.window_start_ms, envelope.window_end_ms).unwrap();
    match metrics.delta.get("jobs", &LabelSet::empty()) {
        Some(Value::Counter(count)) => Some(*count),
        _ => None,
    }
}

#[test]
fn requests_share_a_window_and_a_request_that_recorded_nothing_does_nothing() {
    let isolate = isolate();
    assert_eq!(isolate.begin(1_000), None);
    JOBS.with([]).increment();
    let Some(Some(lease)) = isolate.begin(1_000) else { panic!("no flusher") };
    JOBS.with([]).add(2);
    assert_eq!(isolate.begin(1_500), None, "the first one sends it");
    let (attempt, notes) = isolate.seal_and_take(2_000, Some(lease));
    assert_eq!(
        (attempt.messages.len(), notes),
        (1, Notes { dropped: 0, sealed: Sealed { messages: 1, ..Sealed::default() } })
    );
    let envelope = Envelope::decode(&attempt.messages[0].1).unwrap();
    assert_eq!((envelope.resolver_id.as_str(), envelope.sequence), ("shop", 1));
    assert_eq!((envelope.window_start_ms, envelope.window_end_ms), (1_000, 2_000));
    assert_eq!((jobs(&attempt.messages[0].1), envelope.flag_logs.len()), (Some(3), 0));
}

#[test]
fn an_interval_of_zero_sends_at_once() {
    let isolate = Isolate { config: Config { flush_interval_ms: 0, ..Config::default() }, ..isolate() };
    JOBS.with([]).increment();
    assert_eq!(isolate.begin(1_000), Some(None));
}

#[test]
fn what_could_not_be_sent_is_sent_by_the_next_request_even_if_it_recorded_nothing() {
    let isolate = isolate();
    JOBS.with([]).increment();
    let Some(Some(lease)) = isolate.begin(1_000) else { panic!("no flusher") };
    let (attempt, _) = isolate.seal_and_take(2_000, Some(lease));
    isolate.flusher.borrow_mut().release(attempt.id, &[1]);
    let Some(Some(lease)) = isolate.begin(3_000) else { panic!("nobody takes it up") };
    let (again, notes) = isolate.seal_and_take(4_000, Some(lease));
    assert_eq!((again.messages, notes.sealed.messages), (attempt.messages, 0));
    isolate.flusher.borrow_mut().confirm(&[1]);
    assert_eq!(isolate.begin(5_000 + IN_FLIGHT_MS), None);
}

#[test]
fn recordings_that_no_series_takes_are_said_and_sent_even_alone() {
    let isolate = isolate();
    let long = "x".repeat(2_000);
    NAMED.with([&long]).increment();
    assert!(isolate.begin(1_000).is_some());
    let (attempt, notes) = isolate.seal_and_take(2_000, None);
    assert_eq!(notes.dropped, 1);
    let envelope = Envelope::decode(&attempt.messages[0].1).unwrap();
    let dropped: Vec<_> = envelope.dropped.iter().map(|entry| (entry.reason, entry.recordings)).collect();
    assert_eq!(dropped, [(3, 1)]);
}
