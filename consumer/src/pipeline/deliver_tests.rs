//! The search alone: its bounds in requests and time, and what it makes of telemetry.

use futures::executor::block_on;
use tributary_proto::{
    Message as _,
    envelope::StreamId,
    events::FlagAssigned,
    flag_log_bytes::FlagLogs,
    flag_logs::{ResolveReason, TelemetryData, WriteFlagLogsRequest, telemetry_data::ResolveRate},
};
use tributary_telemetry::confidence::TelemetryDelta;

use super::*;
use crate::message::{MessageBody, QueueMessage, decode};

/// A backend that answers as a function of the request, on a clock that moves with each.
struct Scripted<F> {
    answer: F,
    now_ms: RefCell<u64>,
    step_ms: u64,
    taken: RefCell<Vec<WriteFlagLogsRequest>>,
    requests: RefCell<usize>,
}

impl<F: Fn(&WriteFlagLogsRequest) -> DeliveryOutcome> Scripted<F> {
    fn new(step_ms: u64, answer: F) -> Self {
        Self { answer, now_ms: RefCell::new(1_000), step_ms, taken: RefCell::default(), requests: RefCell::default() }
    }
}

impl<F: Fn(&WriteFlagLogsRequest) -> DeliveryOutcome> BackendPort for Scripted<F> {
    async fn route(&self) -> Route {
        Route::default()
    }

    async fn deliver(&self, _: &Route, _: Destination, logs: &[u8]) -> DeliveryOutcome {
        let logs = &WriteFlagLogsRequest::decode(logs).unwrap();
        *self.now_ms.borrow_mut() += self.step_ms;
        *self.requests.borrow_mut() += 1;
        let outcome = (self.answer)(logs);
        if outcome == DeliveryOutcome::Delivered {
            self.taken.borrow_mut().push(logs.clone());
        }
        outcome
    }

    fn now_ms(&self) -> u64 {
        *self.now_ms.borrow()
    }
}

/// A message with one assignment, and telemetry of `resolves` from a resolver of this version.
fn unit(n: usize, resolves: u32, version: &str) -> Decoded {
    let logs = WriteFlagLogsRequest {
        flag_assigned: vec![FlagAssigned { resolve_id: n.to_string(), ..FlagAssigned::default() }],
        telemetry_data: Some(TelemetryData {
            resolve_rate: vec![ResolveRate { count: resolves, reason: ResolveReason::Match.into() }],
            resolver_version: version.into(),
            ..TelemetryData::default()
        }),
        ..WriteFlagLogsRequest::default()
    };
    let envelope = tributary_proto::envelope::Envelope {
        stream_id: StreamId([7; 16]),
        ledgers: 1,
        sequence: n as u64 + 1,
        window_start_ms: 1,
        window_end_ms: 2,
        resolver_id: "eu".into(),
        dimensions: Default::default(),
        flag_logs: logs.encode_to_vec(),
        metrics: Vec::new(),
        resource_metrics: Vec::new(),
        dropped: vec![],
    };
    let body = MessageBody::Bytes(envelope.encode().unwrap());
    decode(&QueueMessage { id: n.to_string(), sent_ms: 2, attempts: 1, body }, "eu").unwrap()
}

fn run(units: &[Decoded], backend: &impl BackendPort) -> (Vec<Fate>, Vec<Event>) {
    let report = RefCell::new(SelfReport::new(StreamId([9; 16])));
    let (units, mut events): (Vec<_>, _) = (units.iter().collect(), Vec::new());
    let fates = block_on(deliver(&units, backend, &report, "eu", &mut events));
    (fates, events)
}

fn has_assignments(logs: &WriteFlagLogsRequest) -> bool {
    !logs.flag_assigned.is_empty()
}

const REFUSED: DeliveryOutcome = DeliveryOutcome::Refused { status: 400 };

#[test]
fn telemetry_that_is_refused_takes_no_assignment_with_it() {
    let units: Vec<_> = (0..8).map(|n| unit(n, 3, "1")).collect();
    let backend = Scripted::new(
        0,
        |logs: &WriteFlagLogsRequest| {
            if logs.telemetry_data.is_some() { REFUSED } else { DeliveryOutcome::Delivered }
        },
    );
    let (fates, _) = run(&units, &backend);
    assert_eq!(fates, vec![Fate::Refused { status: 400, part: Part::Telemetry }; 8]);
    assert_eq!(backend.taken.borrow().iter().map(|logs| logs.flag_assigned.len()).sum::<usize>(), 8);
}

#[test]
fn telemetry_that_is_refused_only_when_it_is_merged_is_taken_apart() {
    let units: Vec<_> = (0..8).map(|n| unit(n, 3, "1")).collect();
    let backend = Scripted::new(0, |logs: &WriteFlagLogsRequest| {
        let count = logs.telemetry_data.as_ref().map_or(0, |data| data.resolve_rate[0].count);
        if count > 6 { REFUSED } else { DeliveryOutcome::Delivered }
    });
    let (fates, _) = run(&units, &backend);
    assert_eq!(fates, vec![Fate::Taken; 8]);
}

#[test]
fn each_sender_has_its_own_request_and_one_does_not_fail_with_the_other() {
    let units: Vec<_> = (0..6).map(|n| unit(n, 1, if n % 2 == 0 { "1" } else { "2" })).collect();
    let backend = Scripted::new(0, |logs: &WriteFlagLogsRequest| {
        let version = logs.telemetry_data.as_ref().map_or("", |data| &data.resolver_version);
        if version == "2" { REFUSED } else { DeliveryOutcome::Delivered }
    });
    let (fates, _) = run(&units, &backend);
    for (n, fate) in fates.iter().enumerate() {
        let expected = if n % 2 == 0 { Fate::Taken } else { Fate::Refused { status: 400, part: Part::Telemetry } };
        assert_eq!(*fate, expected, "{n}");
    }
    let all_good = Scripted::new(0, |_: &WriteFlagLogsRequest| DeliveryOutcome::Delivered);
    run(&units, &all_good);
    assert_eq!(*all_good.requests.borrow(), 2);
}

#[test]
fn the_number_of_requests_is_bounded_and_each_batch_settles_something() {
    let units: Vec<_> = (0..100).map(|n| unit(n, 1, "1")).collect();
    let backend = Scripted::new(0, |_: &WriteFlagLogsRequest| REFUSED);
    let mut left: Vec<Decoded> = units;
    let mut batches = 0;
    while !left.is_empty() {
        let (fates, events) = run(&left, &backend);
        let settled = fates.iter().filter(|fate| matches!(fate, Fate::Refused { .. })).count();
        assert!(settled > 0, "no batch is in vain");
        assert!(*backend.requests.borrow() <= (batches + 1) * MAX_DELIVERY_REQUESTS);
        assert!(settled == left.len() || matches!(events[..], [Event::DeliveryCutShort { .. }]));
        let mut fates = fates.into_iter();
        left.retain(|_| !matches!(fates.next(), Some(Fate::Refused { .. })));
        batches += 1;
    }
    assert!(batches <= 20, "{batches}");
}

#[test]
fn a_slow_backend_keeps_a_batch_for_a_bounded_time() {
    let units: Vec<_> = (0..100).map(|n| unit(n, 1, "1")).collect();
    let backend = Scripted::new(14_000, |_: &WriteFlagLogsRequest| REFUSED);
    let (fates, events) = run(&units, &backend);
    let limit = u64::try_from((DELIVERY_TIME + crate::limits::BACKEND_TIMEOUT).as_millis()).unwrap();
    assert!(*backend.now_ms.borrow() - 1_000 <= limit);
    assert!(matches!(events[..], [Event::DeliveryCutShort { .. }]));
    assert!(fates.iter().all(|fate| matches!(fate, Fate::Waiting { .. })));
}

#[test]
fn the_first_that_is_not_taken_for_now_ends_the_delivery() {
    let units: Vec<_> = (0..100).map(|n| unit(n, 1, "1")).collect();
    let retry_after = Some(Duration::from_secs(9));
    let backend = Scripted::new(0, |logs: &WriteFlagLogsRequest| match logs.flag_assigned.len() {
        100 => REFUSED,
        50 if logs.flag_assigned[0].resolve_id == "0" => DeliveryOutcome::Delivered,
        _ => DeliveryOutcome::Unavailable { retry_after },
    });
    let (fates, _) = run(&units, &backend);
    assert!(fates[..50].iter().all(|fate| *fate == Fate::Taken), "what is taken is done with");
    assert!(fates[50..].iter().all(|fate| *fate == Fate::Waiting { retry_after }));
    assert_eq!(*backend.requests.borrow(), 3);
}

#[test]
fn a_message_with_nothing_in_it_needs_no_request() {
    let mut empty = unit(0, 1, "1");
    empty.logs = FlagLogs::default();
    empty.telemetry = Telemetry::Absent;
    let mut silent = unit(1, 1, "1");
    silent.logs = FlagLogs::default();
    if let Telemetry::Read { report, .. } = &mut silent.telemetry {
        *report = TelemetryDelta::default().into();
    }
    let backend = Scripted::new(0, |_: &WriteFlagLogsRequest| REFUSED);
    for units in [vec![], vec![empty.clone()], vec![silent.clone()], vec![empty, silent]] {
        let (fates, events) = run(&units, &backend);
        assert_eq!((fates, events), (vec![Fate::Taken; units.len()], vec![]));
    }
    assert_eq!(*backend.requests.borrow(), 0);
}

#[test]
fn assignments_without_telemetry_are_split_like_all_others() {
    let units: Vec<_> = (0..9).map(|n| Decoded { telemetry: Telemetry::Absent, ..unit(n, 1, "1") }).collect();
    let backend = Scripted::new(0, |logs: &WriteFlagLogsRequest| {
        assert!(has_assignments(logs));
        let is_poison = logs.flag_assigned.iter().any(|assigned| assigned.resolve_id == "4");
        if is_poison { REFUSED } else { DeliveryOutcome::Delivered }
    });
    let (fates, _) = run(&units, &backend);
    for (n, fate) in fates.iter().enumerate() {
        assert_eq!(*fate == Fate::Taken, n != 4, "{n}: {fate:?}");
    }
    assert_eq!(fates[4], Fate::Refused { status: 400, part: Part::Whole });
}
