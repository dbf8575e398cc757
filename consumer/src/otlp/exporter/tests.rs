use std::cell::RefCell;

use futures::executor::block_on;
use opentelemetry_proto::tonic::metrics::v1::{metric::Data, number_data_point};
use proptest::prelude::*;
use tributary_telemetry::{
    Delta, FamilyDescriptor, LabelSet, MetricKind, Snapshot,
    otlp::{Export, OtlpOptions, requests::split, resource_metrics},
};

use super::*;
use crate::otlp::queue::{Exported, next_window};

const NOW: u64 = 1_800_000_000_000;
const FAMILY: FamilyDescriptor = FamilyDescriptor::from_static("things", "Things.", "", MetricKind::Counter);

fn options() -> OtlpOptions {
    OtlpOptions { resource: Default::default(), histograms: Default::default(), scope_version: "1".into() }
}

fn grown(state: &mut Snapshot, series: u64, count: u64) {
    let mut delta = Delta::new();
    for name in 0..series {
        let labels = LabelSet::from_pairs([("name", name.to_string())]).unwrap();
        delta.add_counter(&FAMILY, labels, count).unwrap();
    }
    let _applied = state.apply(&delta, NOW).unwrap();
}

fn sum_of(request: &ExportMetricsServiceRequest) -> u64 {
    let metrics = request.resource_metrics.iter().flat_map(|r| &r.scope_metrics).flat_map(|s| &s.metrics);
    metrics
        .flat_map(|metric| match metric.data.as_ref().unwrap() {
            Data::Sum(sum) => sum.data_points.clone(),
            other => panic!("{other:?}"),
        })
        .map(|point| match point.value.unwrap() {
            number_data_point::Value::AsInt(value) => u64::try_from(value).unwrap(),
            number_data_point::Value::AsDouble(value) => panic!("{value}"),
        })
        .sum()
}

/// Answers by a script, then takes everything; remembers each body and whether it took it.
#[derive(Default)]
struct FakeCollector {
    script: RefCell<Vec<Outcome>>,
    most_points: Option<u64>,
    seen: RefCell<Vec<(Vec<u8>, bool)>>,
    taken: RefCell<u64>,
}

const TAKEN: Outcome = Outcome::Accepted { rejected: 0, message: String::new() };
const DOWN: Outcome = Outcome::Retry { after: None, status: Some(503) };

impl FakeCollector {
    fn answering(script: &[Outcome]) -> Self {
        Self { script: RefCell::new(script.iter().rev().cloned().collect()), ..Self::default() }
    }
}

impl Collector for FakeCollector {
    async fn post(&self, request: &ExportMetricsServiceRequest) -> Outcome {
        let outcome = match self.most_points {
            Some(most) if data_points(request) > most => Outcome::TooLarge,
            _ => self.script.borrow_mut().pop().unwrap_or(TAKEN),
        };
        let is_taken = matches!(outcome, Outcome::Accepted { .. });
        self.seen.borrow_mut().push((request.encode_to_vec(), is_taken));
        if is_taken {
            *self.taken.borrow_mut() += sum_of(request);
        }
        outcome
    }
}

#[derive(Default)]
struct FakeOutbox(RefCell<(u64, Vec<Part>)>);

impl FakeOutbox {
    fn put(&self, bodies: Vec<Vec<u8>>) {
        let mut inner = self.0.borrow_mut();
        for body in bodies {
            inner.0 += 1;
            let place = inner.0;
            inner.1.push(Part { place, refusals: 0, body });
        }
    }

    fn len(&self) -> usize {
        self.0.borrow().1.len()
    }
}

impl Outbox for FakeOutbox {
    fn next(&self, behind: u64) -> Result<Option<Part>, OutboxFailure> {
        Ok(self.0.borrow().1.iter().find(|part| part.place > behind).cloned())
    }

    fn remove(&self, place: u64) -> Result<(), OutboxFailure> {
        self.0.borrow_mut().1.retain(|part| part.place != place);
        Ok(())
    }

    fn refused(&self, place: u64) -> Result<(), OutboxFailure> {
        let mut inner = self.0.borrow_mut();
        inner.1.iter_mut().filter(|part| part.place == place).for_each(|part| part.refusals += 1);
        Ok(())
    }

    fn replace(&self, place: u64, bodies: Vec<Vec<u8>>) -> Result<(), OutboxFailure> {
        self.remove(place)?;
        self.put(bodies);
        Ok(())
    }
}

fn totals(series: u64) -> Vec<ExportMetricsServiceRequest> {
    let mut state = Snapshot::new(NOW - 1_000);
    grown(&mut state, series, 1);
    split(resource_metrics(Export::Cumulative { state: &state, time_ms: NOW }, &options()), 400)
}

#[test]
fn totals_go_out_until_the_collector_is_away_and_no_further() {
    let collector = FakeCollector::answering(&[TAKEN, DOWN]);
    let report = block_on(send_totals(totals(40), &collector));
    assert_eq!(report.requests, ["accepted", "unavailable"]);
    assert_eq!((report.end, report.status), (End::Unavailable { after: None }, Some(503)));
    let refused = FakeCollector::answering(&[Outcome::Refused { status: 401 }]);
    let report = block_on(send_totals(totals(40), &refused));
    assert_eq!((report.requests, report.end, report.dropped), (vec!["unauthorized"], End::Refused, 0));
}

#[test]
fn what_a_collector_refuses_for_its_content_does_not_hold_up_the_rest() {
    let requests = totals(40);
    let (count, first) = (requests.len(), data_points(&requests[0]));
    let collector = FakeCollector::answering(&[Outcome::Refused { status: 400 }]);
    let report = block_on(send_totals(requests, &collector));
    assert_eq!((report.requests.len(), report.dropped, report.end), (count, first, End::Refused));
    assert_eq!(*collector.taken.borrow(), 40 - first);
}

#[test]
fn what_is_too_large_is_halved_until_it_is_taken() {
    let collector = FakeCollector { most_points: Some(1), ..FakeCollector::default() };
    let report = block_on(send_totals(totals(7), &collector));
    assert_eq!((*collector.taken.borrow(), report.accepted, report.dropped, report.end), (7, 7, 0, End::Done));
    let none = FakeCollector { most_points: Some(0), ..FakeCollector::default() };
    let report = block_on(send_totals(totals(3), &none));
    assert_eq!((report.accepted, report.dropped, report.end), (0, 3, End::Done));
}

#[test]
fn rejected_points_are_counted_and_never_sent_again() {
    let rejected = Outcome::Accepted { rejected: 1_000, message: "too old".into() };
    let (outbox, mut state) = (FakeOutbox::default(), Snapshot::new(NOW - 1_000));
    grown(&mut state, 2, 1);
    let (parts, _) = next_window(&Exported::nothing_of(&state), &state, &options(), 1 << 20, NOW).unwrap();
    outbox.put(parts.map(|part| part.encode_to_vec()).collect());
    let report = block_on(send_parts(&outbox, &FakeCollector::answering(&[rejected]))).unwrap();
    assert_eq!((report.accepted, report.rejected, &*report.message, outbox.len()), (0, 2, "too old", 0));
}

#[test]
fn a_part_that_is_refused_for_its_content_is_given_up_after_some_tries_and_one_refused_for_us_never() {
    for (status, most) in [(400, 5), (401, 50), (404, 50), (500, 50)] {
        let (outbox, mut state) = (FakeOutbox::default(), Snapshot::new(NOW - 1_000));
        grown(&mut state, 1, 1);
        let parts = next_window(&Exported::nothing_of(&state), &state, &options(), 1 << 20, NOW).unwrap().0;
        outbox.put(parts.map(|part| part.encode_to_vec()).collect());
        let mut dropped = 0;
        for _ in 0..most {
            assert_eq!(outbox.len(), 1, "{status}");
            let refusing = FakeCollector::answering(&[Outcome::Refused { status }]);
            let report = block_on(send_parts(&outbox, &refusing)).unwrap();
            assert_eq!(report.end, End::Refused);
            dropped += report.dropped;
        }
        assert_eq!((outbox.len(), dropped), if status == 400 { (0, 1) } else { (1, 0) }, "{status}");
    }
}

#[test]
fn failures_wait_longer_each_time_and_success_comes_back_to_the_interval() {
    let interval = Duration::from_secs(60);
    let mut timetable = Timetable::default();
    assert!(timetable.begin(NOW), "the first at once");
    assert!(!timetable.begin(NOW) && timetable.next(NOW).is_none(), "one at a time");
    let mut now = NOW;
    let mut last = Duration::ZERO;
    for failures in 0..20 {
        timetable.ended(End::Unavailable { after: None }, now, now, interval, u32::MAX);
        let wait = timetable.next(now).unwrap();
        assert!(wait >= last && wait <= MAX_BACKOFF, "{failures}: {wait:?}");
        (last, now) = (wait, now + u64::try_from(wait.as_millis()).unwrap());
        assert!(!timetable.begin(now - 1) && timetable.begin(now));
    }
    assert_eq!(last, MAX_BACKOFF);
    for (after, expected) in [(7, 7), (1_000_000, 3_600)] {
        let end = End::Unavailable { after: Some(Duration::from_secs(after)) };
        let mut timetable = Timetable::default();
        timetable.ended(end, NOW, NOW, interval, 0);
        assert_eq!(timetable.next(NOW), Some(Duration::from_secs(expected)));
    }
    timetable.ended(End::Done, now, now + 5_000, interval, 7);
    assert_eq!(timetable.next(now + 5_000), Some(Duration::from_secs(55)), "from its beginning");
    timetable.begin(now + 60_000);
    timetable.ended(End::Refused, now + 60_000, now + 60_000, interval, 7);
    assert_eq!(timetable.next(now + 60_000), Some(interval));
}

#[test]
fn a_run_that_never_begins_or_vanishes_is_asked_for_again() {
    let patience = Duration::from_secs(60);
    let mut timetable = Timetable::default();
    assert_eq!(timetable.next(NOW), Some(Duration::ZERO));
    timetable.asked(NOW, patience);
    assert_eq!(timetable.next(NOW), Some(patience), "asked for once, not with every alarm");
    assert_eq!(timetable.next(NOW + 60_000), Some(Duration::ZERO));
    assert!(timetable.begin(NOW + 10) && timetable.next(NOW + 60_000).is_none());
    let long_after = NOW + 10 + 2 * u64::try_from(MAX_RUN.as_millis()).unwrap();
    assert!(!timetable.begin(long_after - 1) && timetable.begin(long_after));
}

#[test]
fn json_has_enums_as_integers_and_64_bits_as_text() {
    let request = totals(1).remove(0);
    let json: serde_json::Value = serde_json::from_slice(&encode(&request, Protocol::Json).unwrap()).unwrap();
    let metric = &json["resourceMetrics"][0]["scopeMetrics"][0]["metrics"][0];
    assert_eq!(metric["sum"]["aggregationTemporality"], 2);
    assert_eq!(metric["sum"]["isMonotonic"], true);
    assert_eq!(metric["sum"]["dataPoints"][0]["asInt"], "1");
    assert_eq!(metric["sum"]["dataPoints"][0]["timeUnixNano"], "1800000000000000000");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// A collector of deltas that fails in any way, and a Ledger that is killed between any two steps: the sum of what
    /// was taken is the state, and whatever was sent again had the same bytes.
    #[test]
    fn deltas_arrive_exactly_once_whatever_fails(
        steps in prop::collection::vec((1_u64..20, 0_u64..5, prop::collection::vec(0_u8..6, 0..4)), 1..12),
        limit in 100_usize..2_000,
    ) {
        let outbox = FakeOutbox::default();
        let mut state = Snapshot::new(NOW - 1_000);
        let mut exported = Exported::nothing_of(&state);
        let mut taken = 0;
        let mut now = NOW;
        let mut seen: Vec<(Vec<u8>, bool)> = Vec::new();
        let last = (1, 0, vec![]);
        for (series, count, faults) in steps.iter().chain([&last, &last]) {
            now += 1_000;
            grown(&mut state, *series, *count);
            if outbox.len() == 0
                && let Some((parts, next)) = next_window(&exported, &state, &options(), limit, now)
            {
                // One transaction.
                outbox.put(parts.map(|part| part.encode_to_vec()).collect());
                exported = next;
            }
            let script: Vec<Outcome> = faults
                .iter()
                .map(|fault| match fault {
                    0 => DOWN,
                    1 => Outcome::no_answer(),
                    2 => Outcome::Refused { status: 401 },
                    3 => Outcome::TooLarge,
                    _ => TAKEN,
                })
                // A part of one point cannot be halved; it would be dropped, which is another test.
                .filter(|outcome| *outcome != Outcome::TooLarge || limit > 1_000 && *series > 10)
                .collect();
            let collector = FakeCollector::answering(&script);
            let report = block_on(send_parts(&outbox, &collector)).unwrap();
            prop_assume!(report.dropped == 0);
            taken += *collector.taken.borrow();
            seen.extend(collector.seen.take());
        }
        // What was not taken is still there, and nothing else is.
        prop_assert_eq!(outbox.len(), 0);
        let rest = next_window(&exported, &state, &options(), limit, now + 1);
        prop_assert!(rest.is_none());
        let all = split(resource_metrics(Export::Cumulative { state: &state, time_ms: now }, &options()), 1 << 20);
        prop_assert_eq!(taken, all.iter().map(sum_of).sum::<u64>());
        let mut once: Vec<_> = seen.iter().filter(|(_, is_taken)| *is_taken).map(|(body, _)| body).collect();
        let count = once.len();
        once.sort_unstable();
        once.dedup();
        prop_assert_eq!(once.len(), count, "no part twice");
    }
}

#[test]
fn totals_that_another_system_counted_are_in_no_window() {
    for exported_before in [false, true] {
        let mut state = Snapshot::new(NOW);
        grown(&mut state, 2, 5);
        let window = |exported: &Exported, state: &Snapshot| next_window(exported, state, &options(), 1 << 20, NOW + 9);
        let exported = exported_before.then(|| window(&Exported::nothing_of(&state), &state).unwrap().1);
        let mut totals = Delta::new();
        for name in ["0", "new"] {
            totals.add_counter(&FAMILY, LabelSet::from_pairs([("name", name)]).unwrap(), 1_000).unwrap();
        }
        totals.set_start(7);
        let before = state.clone();
        let _seeded = state.seed(&totals, NOW).unwrap();
        let exported = Exported::with_totals(exported, &before, &totals, NOW).unwrap();
        assert!(exported.time_ms >= NOW, "the window begins where it began, and not with the totals");
        grown(&mut state, 1, 3);
        let (parts, next) = window(&exported, &state).unwrap();
        let sent: u64 = parts.map(|part| sum_of(&part)).sum();
        assert_eq!(sent, if exported_before { 3 } else { 5 + 5 + 3 });
        assert!(window(&next, &state).is_none());
    }
}
