//! The pipeline with the real decision of the Ledger in memory, and services that fail as told.

use std::collections::VecDeque;

use futures::executor::block_on;
use tributary_proto::{
    Message as _,
    envelope::{Envelope, StreamId},
    events::FlagAssigned,
    flag_logs::{ResolveReason, TelemetryData, WriteFlagLogsRequest, telemetry_data::ResolveRate},
    v1::dead_letter::Body,
};
use tributary_telemetry::{LabelSet, Value};

use super::*;
use crate::{
    ledger::commit::{Commit, Decision, tests::Memory},
    message::MessageBody,
};

#[path = "pipeline/custom_tests.rs"]
mod custom_metrics;
#[path = "pipeline/otlp_tests.rs"]
mod otlp;
#[path = "pipeline/outcome_tests.rs"]
mod outcomes;
#[path = "pipeline/parts_tests.rs"]
mod several_ledgers;

const NOW: u64 = 1_800_000_000_000;

#[derive(Clone, Copy, Debug, PartialEq)]
enum LedgerFault {
    /// Nothing was committed.
    Before,
    /// It was committed, and the answer was lost.
    After,
}

struct FakeLedger {
    memory: RefCell<Memory>,
    faults: RefCell<VecDeque<Option<LedgerFault>>>,
    /// How often it was asked.
    commits: std::cell::Cell<usize>,
}

impl FakeLedger {
    fn new() -> Self {
        Self { memory: RefCell::new(Memory::new()), faults: RefCell::default(), commits: std::cell::Cell::default() }
    }

    fn counter(&self, family: &str, labels: &[(&str, &str)]) -> u64 {
        let labels = LabelSet::from_pairs(labels.iter().copied()).unwrap();
        match self.memory.borrow().state.get(family, &labels).map(|series| series.value().clone()) {
            Some(Value::Counter(total)) => total,
            None => 0,
            Some(other) => panic!("{other:?}"),
        }
    }

    fn outcome(&self, outcome: &str) -> u64 {
        self.counter("tributary_messages", &[("outcome", outcome), ("resolver_id", "eu")])
    }

    fn resolves(&self) -> u64 {
        self.counter("confidence_resolves", &[("reason", "RESOLVE_REASON_MATCH"), ("resolver_id", "eu")])
    }
}

impl LedgerPort for FakeLedger {
    async fn commit(&self, _ledger: u32, request: &[u8]) -> Result<CommitResponse, LedgerFailure> {
        self.commits.set(self.commits.get() + 1);
        let fault = self.faults.borrow_mut().pop_front().flatten();
        if fault == Some(LedgerFault::Before) {
            return Err(LedgerFailure("down".into()));
        }
        // Over the wire and back, as in the Worker.
        let commit = Commit::decode(request).map_err(|error| LedgerFailure(error.to_string()))?;
        let records = commit.records.len();
        let decision = self.memory.borrow_mut().commit(&commit, NOW).unwrap();
        if fault == Some(LedgerFault::After) {
            return Err(LedgerFailure("answer lost".into()));
        }
        let (applied, verdicts) = match decision {
            Decision::Apply { .. } => (true, vec![Verdict::Fresh; records]),
            Decision::Conflict { verdicts } => (false, verdicts),
        };
        Ok(CommitResponse { applied, verdicts: verdicts.into_iter().map(i32::from).collect() })
    }
}

struct FakeBackend {
    route: Route,
    outcomes: RefCell<VecDeque<DeliveryOutcome>>,
    taken: RefCell<Vec<(Destination, WriteFlagLogsRequest)>>,
    /// Refuses requests that hold an assignment of one of these resolve ids, with this status.
    refused: Vec<(String, u16)>,
    requests: RefCell<usize>,
}

impl FakeBackend {
    fn new() -> Self {
        Self {
            route: Route::new(&[1, 2], "acc".into()),
            outcomes: RefCell::default(),
            taken: RefCell::default(),
            refused: Vec::new(),
            requests: RefCell::default(),
        }
    }

    fn refusing(sequences: impl IntoIterator<Item = u64>, status: u16) -> Self {
        let refused = sequences.into_iter().map(|sequence| (format!("resolve-{sequence}"), status)).collect();
        Self { refused, ..Self::new() }
    }

    /// Resolve ids that were taken, each as often as it was.
    fn resolve_ids(&self) -> Vec<String> {
        let taken = self.taken.borrow();
        let ids = taken.iter().flat_map(|(_, logs)| &logs.flag_assigned).map(|assigned| assigned.resolve_id.clone());
        let mut ids: Vec<_> = ids.collect();
        ids.sort();
        ids
    }

    fn answering(outcomes: impl IntoIterator<Item = DeliveryOutcome>) -> Self {
        Self { outcomes: RefCell::new(outcomes.into_iter().collect()), ..Self::new() }
    }

    fn assignments(&self) -> usize {
        self.taken.borrow().iter().map(|(_, logs)| logs.flag_assigned.len()).sum()
    }
}

impl BackendPort for FakeBackend {
    async fn route(&self) -> Route {
        self.route.clone()
    }

    async fn deliver(&self, _route: &Route, destination: Destination, logs: &[u8]) -> DeliveryOutcome {
        let logs = WriteFlagLogsRequest::decode(logs).unwrap();
        *self.requests.borrow_mut() += 1;
        let is_refused = |id: &String| logs.flag_assigned.iter().any(|assigned| assigned.resolve_id == *id);
        let refused = self.refused.iter().find(|(id, _)| is_refused(id));
        let otherwise =
            refused.map_or(DeliveryOutcome::Delivered, |(_, status)| DeliveryOutcome::Refused { status: *status });
        let outcome = self.outcomes.borrow_mut().pop_front().unwrap_or(otherwise);
        if outcome == DeliveryOutcome::Delivered {
            self.taken.borrow_mut().push((destination, logs.clone()));
        }
        outcome
    }

    fn now_ms(&self) -> u64 {
        NOW
    }
}

/// A dead-letter queue that keeps what it is sent, and fails as told.
#[derive(Default)]
struct FakeDead {
    letters: RefCell<Vec<DeadLetter>>,
    is_down: std::cell::Cell<bool>,
}

impl FakeDead {
    fn down() -> Self {
        Self { is_down: std::cell::Cell::new(true), ..Self::default() }
    }

    fn take(&self, letter: &[u8]) -> Result<(), DeadLetterFailure> {
        if self.is_down.get() {
            return Err(DeadLetterFailure("down".into()));
        }
        self.letters.borrow_mut().push(DeadLetter::decode(letter).unwrap());
        Ok(())
    }

    /// Ids and reasons.
    fn reasons(&self) -> Vec<(String, String)> {
        self.letters.borrow().iter().map(|letter| (letter.message_id.clone(), letter.reason.clone())).collect()
    }
}

impl DeadLetterPort for FakeDead {
    async fn send(&self, letters: &[Vec<u8>]) -> Result<(), DeadLetterFailure> {
        letters.iter().try_for_each(|letter| self.take(letter))
    }

    async fn store(&self, letter: Vec<u8>) -> Result<(), DeadLetterFailure> {
        self.take(&letter)
    }
}

const DOWN: DeliveryOutcome = DeliveryOutcome::Unavailable { retry_after: None };

/// A message of one stream that says `sequence` resolves and one assignment.
fn message(sequence: u64) -> QueueMessage {
    let logs = WriteFlagLogsRequest {
        flag_assigned: vec![FlagAssigned { resolve_id: format!("resolve-{sequence}"), ..FlagAssigned::default() }],
        telemetry_data: Some(TelemetryData {
            resolve_rate: vec![ResolveRate {
                count: u32::try_from(sequence).unwrap(),
                reason: ResolveReason::Match.into(),
            }],
            ..TelemetryData::default()
        }),
        ..WriteFlagLogsRequest::default()
    };
    let envelope = Envelope {
        stream_id: StreamId([7; 16]),
        ledgers: 1,
        sequence,
        window_start_ms: NOW - 2_000,
        window_end_ms: NOW - 1_000,
        resolver_id: "eu".into(),
        dimensions: [("colo", "AMS"), ("environment", "test")].map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
        flag_logs: logs.encode_to_vec(),
        metrics: Vec::new(),
        resource_metrics: Vec::new(),
        dropped: vec![],
    };
    QueueMessage {
        id: format!("id-{sequence}"),
        sent_ms: NOW - 900,
        attempts: 1,
        body: MessageBody::Bytes(envelope.encode().unwrap()),
    }
}

fn garbage(attempts: u32) -> QueueMessage {
    QueueMessage { id: "poison".into(), sent_ms: NOW, attempts, body: MessageBody::Text("{\"flagAssigned\":7}".into()) }
}

fn report() -> RefCell<SelfReport> {
    RefCell::new(SelfReport::new(StreamId([9; 16])))
}

fn run(
    messages: &[QueueMessage],
    ledger: &FakeLedger,
    backend: &FakeBackend,
    report: &RefCell<SelfReport>,
) -> BatchResult {
    run_with(messages, ledger, backend, &FakeDead::default(), report)
}

fn run_with(
    messages: &[QueueMessage],
    ledger: &FakeLedger,
    backend: &FakeBackend,
    dead: &FakeDead,
    report: &RefCell<SelfReport>,
) -> BatchResult {
    let surroundings =
        Surroundings { now_ms: NOW, random: 0, resolver_id: "cf-resolver", dimensions: Dimensions::default() };
    let result = block_on(process(messages, ledger, backend, dead, report, surroundings));
    assert_eq!(result.verdicts.len(), messages.len(), "every message has its verdict");
    result
}

fn is_retry(verdict: &MessageVerdict) -> bool {
    matches!(verdict, MessageVerdict::Retry(delay) if *delay > Duration::ZERO)
}

#[test]
fn a_batch_is_counted_forwarded_as_one_request_and_acked() {
    let (ledger, backend) = (FakeLedger::new(), FakeBackend::new());
    let result = run(&[message(1), message(2), message(3)], &ledger, &backend, &report());
    assert_eq!(result.verdicts, [MessageVerdict::Ack; 3]);
    assert_eq!(result.events, []);
    assert_eq!((ledger.resolves(), ledger.outcome("applied")), (6, 3));
    assert_eq!((backend.taken.borrow().len(), backend.assignments()), (1, 3));
    assert_eq!(ledger.counter("confidence_flush_succeeded", &[("resolver_id", "cf-resolver")]), 1);
}

#[test]
fn redelivered_batch_is_counted_once_and_forwarded_again() {
    let (ledger, backend, report) = (FakeLedger::new(), FakeBackend::new(), report());
    let batch = [message(1), message(2)];
    for _ in 0..3 {
        assert_eq!(run(&batch, &ledger, &backend, &report).verdicts, [MessageVerdict::Ack; 2]);
    }
    assert_eq!((ledger.resolves(), ledger.outcome("applied"), ledger.outcome("duplicate")), (3, 2, 4));
    assert_eq!(backend.assignments(), 6, "at least once");
}

#[test]
fn a_batch_of_old_and_new_records_counts_the_new_ones() {
    let (ledger, backend, report) = (FakeLedger::new(), FakeBackend::new(), report());
    run(&[message(2), message(5)], &ledger, &backend, &report);
    run(&[message(5), message(1), message(2), message(3)], &ledger, &backend, &report);
    assert_eq!((ledger.resolves(), ledger.outcome("applied"), ledger.outcome("duplicate")), (11, 4, 2));
}

#[test]
fn the_same_record_twice_in_one_batch_is_counted_and_forwarded_once() {
    let (ledger, backend) = (FakeLedger::new(), FakeBackend::new());
    let result = run(&[message(1), message(1)], &ledger, &backend, &report());
    assert_eq!(result.verdicts, [MessageVerdict::Ack; 2]);
    assert_eq!((ledger.resolves(), ledger.outcome("duplicate"), backend.assignments()), (1, 1, 1));
}

#[test]
fn without_the_ledger_nothing_is_forwarded_and_nothing_acked() {
    let (ledger, backend, report) = (FakeLedger::new(), FakeBackend::new(), report());
    ledger.faults.borrow_mut().push_back(Some(LedgerFault::Before));
    let result = run(&[message(1)], &ledger, &backend, &report);
    assert!(is_retry(&result.verdicts[0]) && matches!(result.events[0], Event::LedgerFailed(_)));
    assert_eq!(backend.assignments(), 0);
    assert_eq!(run(&[message(1)], &ledger, &backend, &report).verdicts, [MessageVerdict::Ack]);
    assert_eq!((ledger.resolves(), ledger.outcome("duplicate")), (1, 0));
}

#[test]
fn a_commit_whose_answer_is_lost_counts_once_report_included() {
    let (ledger, backend, report) = (FakeLedger::new(), FakeBackend::new(), report());
    ledger.faults.borrow_mut().push_back(Some(LedgerFault::After));
    assert!(is_retry(&run(&[message(1), message(2)], &ledger, &backend, &report).verdicts[0]));
    assert_eq!(run(&[message(1), message(2)], &ledger, &backend, &report).verdicts, [MessageVerdict::Ack; 2]);
    assert_eq!((ledger.resolves(), ledger.outcome("applied"), ledger.outcome("duplicate")), (3, 2, 2));
    let batches = ledger.memory.borrow().state.get("tributary_batch_messages", &LabelSet::empty()).cloned();
    let Some(Value::Histogram(batches)) = batches.map(|series| series.value().clone()) else { panic!("no batches") };
    assert_eq!(batches.count(), 2, "two deliveries, two batches");
}

#[test]
fn a_report_that_fails_goes_with_the_next_batch() {
    let (ledger, backend, report) = (FakeLedger::new(), FakeBackend::new(), report());
    ledger.faults.borrow_mut().extend([None, Some(LedgerFault::After)]);
    let result = run(&[message(1)], &ledger, &backend, &report);
    assert_eq!(result.verdicts, [MessageVerdict::Ack], "a report never holds up a batch");
    assert!(matches!(result.events[..], [Event::ReportDeferred(_)]));
    run(&[message(2)], &ledger, &backend, &report);
    assert_eq!(ledger.counter("confidence_flush_succeeded", &[("resolver_id", "cf-resolver")]), 2);
}

/// Messages of one stream from `first` on that fill a batch.
fn full_batch(first: u64) -> Vec<QueueMessage> {
    (first..).take(FULL_BATCH_MESSAGES).map(message).collect()
}

fn delivered(ledger: &FakeLedger) -> u64 {
    ledger.counter("confidence_flush_succeeded", &[("resolver_id", "cf-resolver")])
}

#[test]
fn the_report_on_a_full_batch_goes_with_the_next_commit_and_counts_once() {
    let (ledger, backend, report) = (FakeLedger::new(), FakeBackend::new(), report());
    run(&full_batch(1), &ledger, &backend, &report);
    assert_eq!((ledger.commits.get(), ledger.outcome("applied"), delivered(&ledger)), (1, 100, 0));
    run(&full_batch(101), &ledger, &backend, &report);
    assert_eq!((ledger.commits.get(), ledger.outcome("applied"), delivered(&ledger)), (2, 200, 1));
    // One that is not full says that nothing waits behind it.
    run(&[message(201)], &ledger, &backend, &report);
    assert_eq!((ledger.commits.get(), delivered(&ledger)), (4, 3));
    // Nor is there always another batch: a cron, or a request, takes what waits along.
    run(&full_batch(202), &ledger, &backend, &report);
    assert_eq!(delivered(&ledger), 3);
    block_on(commit_report(&ledger, &report, NOW)).unwrap();
    block_on(commit_report(&ledger, &report, NOW)).unwrap();
    assert_eq!((ledger.commits.get(), delivered(&ledger)), (6, 4));
}

#[test]
fn a_report_that_waited_counts_once_though_the_answer_to_its_commit_is_lost() {
    let (ledger, backend, report) = (FakeLedger::new(), FakeBackend::new(), report());
    run(&full_batch(1), &ledger, &backend, &report);
    ledger.faults.borrow_mut().push_back(Some(LedgerFault::After));
    let next = full_batch(101);
    assert!(run(&next, &ledger, &backend, &report).verdicts.iter().all(is_retry));
    assert_eq!(run(&next, &ledger, &backend, &report).verdicts, [MessageVerdict::Ack; 100]);
    assert_eq!((delivered(&ledger), ledger.outcome("applied"), ledger.outcome("duplicate")), (2, 200, 100));
}

#[test]
fn a_full_batch_tells_at_once_whatever_is_more_than_deliveries() {
    let last = FULL_BATCH_MESSAGES - 1;
    let spoil: [fn(&mut Vec<QueueMessage>); 2] = [|batch| batch[5] = garbage(1), |batch| batch[7] = batch[6].clone()];
    for spoil in spoil {
        let (ledger, report) = (FakeLedger::new(), self::report());
        let mut batch = full_batch(1);
        spoil(&mut batch);
        run(&batch, &ledger, &FakeBackend::new(), &report);
        let told =
            ledger.outcome("duplicate") + ledger.counter("tributary_malformed_messages", &[("reason", "flag_logs")]);
        assert_eq!((ledger.outcome("applied"), told), (last as u64, 1));
    }
    let (ledger, report, batch) = (FakeLedger::new(), self::report(), full_batch(1));
    run(&batch, &ledger, &FakeBackend::new(), &report);
    run(&batch, &ledger, &FakeBackend::new(), &report);
    assert_eq!((ledger.outcome("duplicate"), delivered(&ledger)), (100, 2));
    for outcomes in [[DOWN, DOWN], [DeliveryOutcome::Refused { status: 401 }, DOWN]] {
        let (ledger, report) = (FakeLedger::new(), self::report());
        run(&full_batch(1), &ledger, &FakeBackend::answering(outcomes), &report);
        assert_eq!(ledger.counter("confidence_flush_failed", &[("resolver_id", "cf-resolver")]), 2);
        assert_eq!(ledger.counter("tributary_messages", &[("outcome", "retried")]), 100);
    }
    // What another batch of the isolate left in the report waits no longer for being there.
    let (ledger, report) = (FakeLedger::new(), self::report());
    metrics::record(&mut report.borrow_mut(), |delta| metrics::retried(delta, 3));
    ledger.faults.borrow_mut().push_back(Some(LedgerFault::Before));
    assert!(block_on(commit_report(&ledger, &report, NOW)).is_err());
    metrics::record(&mut report.borrow_mut(), |delta| metrics::retried(delta, 4));
    run(&full_batch(1), &ledger, &FakeBackend::new(), &report);
    assert_eq!(ledger.counter("tributary_messages", &[("outcome", "retried")]), 7);
}

#[test]
fn a_backend_that_is_down_delays_the_acks_and_not_the_metrics() {
    let ledger = FakeLedger::new();
    let backend = FakeBackend::answering([DOWN, DOWN]);
    let result = run(&[message(1)], &ledger, &backend, &report());
    assert!(is_retry(&result.verdicts[0]));
    assert_eq!(result.events, [Event::BackendFailed { outcome: DOWN }]);
    assert_eq!((ledger.resolves(), backend.assignments()), (1, 0));
    assert_eq!(ledger.counter("confidence_flush_failed", &[("resolver_id", "cf-resolver")]), 2);
}

#[test]
fn the_fallback_takes_what_the_primary_does_not() {
    let ledger = FakeLedger::new();
    let backend = FakeBackend::answering([DOWN]);
    assert_eq!(run(&[message(1)], &ledger, &backend, &report()).verdicts, [MessageVerdict::Ack]);
    assert_eq!(backend.taken.borrow()[0].0, Destination::Ingest);
    let requests = |destination, outcome| {
        ledger.counter("tributary_backend_requests", &[("destination", destination), ("outcome", outcome)])
    };
    assert_eq!((requests("edge", "unavailable"), requests("cloudflare", "delivered")), (1, 1));
}

#[test]
fn what_the_backend_asks_to_wait_is_waited() {
    let asked = DeliveryOutcome::Unavailable { retry_after: Some(Duration::from_secs(77)) };
    let backend = FakeBackend::answering([asked, asked]);
    let result = run(&[message(1)], &FakeLedger::new(), &backend, &report());
    assert_eq!(result.verdicts, [MessageVerdict::Retry(Duration::from_secs(77))]);
}

#[test]
fn one_bad_message_does_not_hurt_its_batch_and_is_a_dead_letter_at_once() {
    let (ledger, backend, dead, report) = (FakeLedger::new(), FakeBackend::new(), FakeDead::default(), report());
    let result = run_with(&[message(1), garbage(1), message(2)], &ledger, &backend, &dead, &report);
    assert_eq!(result.verdicts, [MessageVerdict::Ack, MessageVerdict::Dead, MessageVerdict::Ack]);
    assert!(matches!(&result.events[..], [Event::Dead { message_id, reason, .. }]
        if message_id == "poison" && reason == "flag_logs"));
    let letters = dead.letters.borrow();
    assert_eq!((letters.len(), letters[0].message_id.as_str(), letters[0].sent_ms), (1, "poison", NOW));
    assert_eq!(letters[0].body, Some(Body::Text("{\"flagAssigned\":7}".into())), "all that is needed to put it back");
    assert_eq!(ledger.counter("tributary_malformed_messages", &[("reason", "flag_logs")]), 1);
    assert_eq!(ledger.counter("tributary_messages", &[("outcome", "dead")]), 1);
    assert_eq!(ledger.resolves(), 3);
}

#[test]
fn a_dead_letter_that_does_not_get_through_is_retried_and_its_message_counted_once() {
    let (ledger, backend, dead, report) = (FakeLedger::new(), FakeBackend::new(), FakeDead::down(), report());
    for attempts in 1..=3 {
        let result = run_with(&[garbage(attempts), message(1)], &ledger, &backend, &dead, &report);
        assert!(is_retry(&result.verdicts[0]), "never acked before somebody has it");
        assert_eq!(result.verdicts[1], MessageVerdict::Ack);
        assert!(result.events.iter().any(|event| matches!(event, Event::BurialFailed { messages: 1, .. })));
    }
    dead.is_down.set(false);
    assert_eq!(run_with(&[garbage(4)], &ledger, &backend, &dead, &report).verdicts, [MessageVerdict::Dead]);
    assert_eq!(ledger.counter("tributary_malformed_messages", &[("reason", "flag_logs")]), 1);
    assert_eq!(ledger.counter("tributary_messages", &[("outcome", "dead")]), 1);
    let sends =
        |outcome| ledger.counter("tributary_dead_letter_sends", &[("outcome", outcome), ("reason", "flag_logs")]);
    assert_eq!((sends("sent"), sends("failed")), (1, 3));
}

#[test]
fn a_bad_message_is_a_dead_letter_also_while_the_ledger_is_down() {
    let (ledger, backend, dead, report) = (FakeLedger::new(), FakeBackend::new(), FakeDead::default(), report());
    ledger.faults.borrow_mut().push_back(Some(LedgerFault::Before));
    let result = run_with(&[message(1), garbage(1)], &ledger, &backend, &dead, &report);
    assert!(is_retry(&result.verdicts[0]));
    assert_eq!(result.verdicts[1], MessageVerdict::Dead);
    run_with(&[message(1)], &ledger, &backend, &dead, &report);
    assert_eq!(ledger.counter("tributary_malformed_messages", &[("reason", "flag_logs")]), 1, "counted later");
}

#[test]
fn what_the_backend_refuses_is_found_and_nothing_else_suffers() {
    for poison in [vec![1], vec![100], vec![37, 38], vec![1, 50, 100]] {
        let (ledger, backend) = (FakeLedger::new(), FakeBackend::refusing(poison.clone(), 400));
        let (dead, report) = (FakeDead::default(), report());
        let batch: Vec<_> = (1..=100).map(message).collect();
        let result = run_with(&batch, &ledger, &backend, &dead, &report);
        for (sequence, verdict) in (1..=100).zip(&result.verdicts) {
            let expected = if poison.contains(&sequence) { MessageVerdict::Dead } else { MessageVerdict::Ack };
            assert_eq!(*verdict, expected, "{sequence} of {poison:?}");
        }
        let expected: Vec<_> =
            poison.iter().map(|sequence| (format!("id-{sequence}"), "backend_400".to_owned())).collect();
        assert_eq!(dead.reasons(), expected);
        let mut ids: Vec<_> =
            (1..=100).filter(|n| !poison.contains(n)).map(|sequence| format!("resolve-{sequence}")).collect();
        ids.sort();
        assert_eq!(backend.resolve_ids(), ids, "each assignment once, although the batch was split");
        assert_eq!((ledger.resolves(), ledger.outcome("applied")), (5050, 100), "metrics know no refusal");
    }
}

#[test]
fn a_refused_message_keeps_its_letter_small_and_whole() {
    let (dead, backend) = (FakeDead::default(), FakeBackend::refusing([7], 422));
    run_with(&[message(7)], &FakeLedger::new(), &backend, &dead, &report());
    let letters = dead.letters.borrow();
    let MessageBody::Bytes(original) = message(7).body else { panic!("bytes") };
    assert_eq!(letters[0].body, Some(Body::Bytes(original)));
    assert_eq!((letters[0].reason.as_str(), letters[0].attempts), ("backend_422", 1));
    // The telemetry of the message was good, and was taken by itself.
    assert_eq!(letters[0].detail, "the backend refuses its logs and took its telemetry: status 422");
    assert_eq!(backend.taken.borrow().len(), 1);
}

#[test]
fn a_configuration_fault_condemns_no_message_and_is_said_loudly() {
    for status in [401, 403, 404] {
        let (ledger, dead, report) = (FakeLedger::new(), FakeDead::default(), report());
        let backend = FakeBackend::refusing(1..=100, status);
        let batch: Vec<_> = (1..=100).map(message).collect();
        let result = run_with(&batch, &ledger, &backend, &dead, &report);
        assert!(result.verdicts.iter().all(is_retry));
        assert_eq!(dead.letters.borrow().len(), 0);
        assert!(result.events.contains(&Event::BackendMisconfigured { destination: Destination::Edge, status }));
        assert!(*backend.requests.borrow() <= 2 * 30, "{} requests", backend.requests.borrow());
        assert!(
            ledger.counter("tributary_backend_requests", &[("destination", "edge"), ("outcome", "misconfigured")]) > 0
        );
        // Alone, too.
        assert!(is_retry(&run_with(&[message(1)], &ledger, &backend, &dead, &report).verdicts[0]));
    }
}

#[test]
fn a_message_that_alone_is_forbidden_is_found_by_what_the_backend_takes_beside_it() {
    for poison in [1, 64, 100] {
        let (ledger, dead, report) = (FakeLedger::new(), FakeDead::default(), report());
        let backend = FakeBackend::refusing([poison], 403);
        let batch: Vec<_> = (1..=100).map(message).collect();
        let result = run_with(&batch, &ledger, &backend, &dead, &report);
        assert_eq!(dead.reasons(), [(format!("id-{poison}"), "backend_403".to_owned())]);
        assert_eq!(result.verdicts.iter().filter(|verdict| **verdict == MessageVerdict::Ack).count(), 99);
        assert!(!result.events.iter().any(|event| matches!(event, Event::BackendMisconfigured { .. })));
    }
}

#[test]
fn a_refusal_while_the_other_destination_is_down_is_not_for_good() {
    for outcomes in [[DOWN, DeliveryOutcome::Refused { status: 400 }], [DeliveryOutcome::Refused { status: 400 }, DOWN]]
    {
        let (dead, backend) = (FakeDead::default(), FakeBackend::answering(outcomes));
        let result = run_with(&[message(1)], &FakeLedger::new(), &backend, &dead, &report());
        assert!(is_retry(&result.verdicts[0]) && dead.letters.borrow().is_empty());
    }
}

#[test]
fn the_last_delivery_becomes_a_dead_letter_and_not_a_loss() {
    let last = |n| QueueMessage { attempts: MAX_RETRIES + 1, ..message(n) };
    let (ledger, dead, report) = (FakeLedger::new(), FakeDead::default(), report());
    let backend = FakeBackend::answering([DOWN, DOWN]);
    let result = run_with(&[last(1), message(2)], &ledger, &backend, &dead, &report);
    assert_eq!(result.verdicts[0], MessageVerdict::Dead);
    assert!(is_retry(&result.verdicts[1]));
    assert_eq!(dead.reasons(), [("id-1".to_owned(), "retries_exhausted".to_owned())]);
    dead.is_down.set(true);
    let backend = FakeBackend::answering([DOWN, DOWN]);
    let result = run_with(&[last(3)], &ledger, &backend, &dead, &report);
    assert!(is_retry(&result.verdicts[0]), "the queue's own dead-letter queue is the net");
}

#[test]
fn a_text_message_that_is_redriven_is_counted_once() {
    let text = r#"{"telemetryData":{"resolveRate":[{"count":5,"reason":"RESOLVE_REASON_MATCH"}]}}"#;
    let first =
        QueueMessage { id: "text-1".into(), sent_ms: NOW - 10, attempts: 1, body: MessageBody::Text(text.into()) };
    let (ledger, dead, report) = (FakeLedger::new(), FakeDead::default(), report());
    // Applied, and then refused by the backend.
    let refuse_all = FakeBackend::answering([DeliveryOutcome::Refused { status: 400 }; 2]);
    assert_eq!(run_with(&[first], &ledger, &refuse_all, &dead, &report).verdicts, [MessageVerdict::Dead]);
    let resolves =
        || ledger.counter("confidence_resolves", &[("reason", "RESOLVE_REASON_MATCH"), ("resolver_id", "cf-resolver")]);
    assert_eq!(resolves(), 5);
    let body = crate::dead_letters::letter::back_to_queue(&dead.letters.borrow()[0]).unwrap();
    // Sent twice, as after a crash between the send and the deletion.
    for id in ["new-1", "new-2"] {
        let redriven = QueueMessage { id: id.into(), sent_ms: NOW + 9_999, attempts: 1, body: body.clone() };
        let result = run_with(&[redriven], &ledger, &FakeBackend::new(), &dead, &report);
        assert_eq!(result.verdicts, [MessageVerdict::Ack]);
    }
    assert_eq!(resolves(), 5, "its first id travelled along");
    // Refused again, it is the same letter.
    let redriven = QueueMessage { id: "new-3".into(), sent_ms: NOW + 9_999, attempts: 1, body };
    let refuse_all = FakeBackend::answering([DeliveryOutcome::Refused { status: 400 }; 2]);
    run_with(&[redriven], &ledger, &refuse_all, &dead, &report);
    assert_eq!(dead.reasons()[1], ("text-1".to_owned(), "backend_400".to_owned()));
}

#[test]
fn the_number_of_retries_is_the_one_that_is_configured() {
    use crate::limits::MAX_DEAD_RETRIES;
    let toml = include_str!("../../wrangler/consumer.toml");
    let retries: Vec<u32> = toml
        .lines()
        .filter_map(|line| line.strip_prefix("max_retries = "))
        .map(|number| number.parse().unwrap())
        .collect();
    assert_eq!(retries, [MAX_RETRIES, MAX_DEAD_RETRIES]);
    let size = toml.lines().find_map(|line| line.strip_prefix("max_batch_size = "));
    assert_eq!(size, Some(FULL_BATCH_MESSAGES.to_string().as_str()), "the queue of deltas is the first");
}

proptest::proptest! {
    #[test]
    fn nothing_is_acked_unless_it_was_taken_and_nothing_dead_unless_somebody_has_it(
        kinds in proptest::collection::vec(0u8..6, 0..40),
        faults in proptest::collection::vec(0u8..8, 0..20),
        is_dead_down in proptest::prelude::any::<bool>(),
        ledger_fault in 0u8..4,
    ) {
        // 0 is garbage, 1 is refused by the backend, 2 is on its last delivery; the rest is good.
        let sequence = |index: usize| index as u64 + 1;
        let batch: Vec<_> = kinds
            .iter()
            .enumerate()
            .map(|(index, kind)| match kind {
                0 => QueueMessage { id: format!("id-{}", sequence(index)), ..garbage(1) },
                2 => QueueMessage { attempts: MAX_RETRIES + 1, ..message(sequence(index)) },
                _ => message(sequence(index)),
            })
            .collect();
        let refused = kinds.iter().enumerate().filter(|(_, kind)| **kind == 1).map(|(index, _)| sequence(index));
        let outcomes = faults.iter().map(|fault| match fault {
            0 => DOWN,
            1 => DeliveryOutcome::Refused { status: 401 },
            2 => DeliveryOutcome::Refused { status: 400 },
            _ => DeliveryOutcome::Delivered,
        });
        let backend = FakeBackend { outcomes: RefCell::new(outcomes.collect()), ..FakeBackend::refusing(refused, 400) };
        let ledger = FakeLedger::new();
        ledger.faults.borrow_mut().push_back(match ledger_fault {
            0 => Some(LedgerFault::Before),
            1 => Some(LedgerFault::After),
            _ => None,
        });
        let dead = FakeDead::default();
        dead.is_down.set(is_dead_down);
        let result = run_with(&batch, &ledger, &backend, &dead, &report());
        let (taken, buried) = (backend.resolve_ids(), dead.reasons());
        for (index, (message, verdict)) in batch.iter().zip(&result.verdicts).enumerate() {
            let is_taken = taken.contains(&format!("resolve-{}", sequence(index)));
            let letters = buried.iter().filter(|(id, _)| *id == message.id).count();
            match verdict {
                MessageVerdict::Ack => proptest::prop_assert!(is_taken && letters == 0),
                MessageVerdict::Dead => proptest::prop_assert_eq!(letters, 1),
                MessageVerdict::Retry(delay) => {
                    proptest::prop_assert!(*delay > Duration::ZERO && letters == 0);
                }
            }
        }
        proptest::prop_assert!(!is_dead_down || buried.is_empty());
    }
}

#[test]
fn two_consumers_with_the_same_messages_count_them_once() {
    let (ledger, backend) = (FakeLedger::new(), FakeBackend::new());
    let (one, other) = (report(), RefCell::new(SelfReport::new(StreamId([8; 16]))));
    run(&[message(1), message(2), message(3)], &ledger, &backend, &one);
    run(&[message(3), message(2), message(4)], &ledger, &backend, &other);
    assert_eq!((ledger.resolves(), ledger.outcome("applied")), (10, 4));
}

#[test]
fn an_empty_batch_is_no_trouble() {
    let result = run(&[], &FakeLedger::new(), &FakeBackend::new(), &report());
    assert_eq!((result.verdicts, result.events), (vec![], vec![]));
}

#[test]
fn a_ledger_that_answers_nonsense_is_a_failure_and_not_a_loop() {
    struct Nonsense(CommitResponse);
    impl LedgerPort for Nonsense {
        async fn commit(&self, _ledger: u32, _request: &[u8]) -> Result<CommitResponse, LedgerFailure> {
            Ok(self.0.clone())
        }
    }
    for verdicts in [vec![], vec![1, 1], vec![0, 0], vec![99; 3]] {
        let ledger = Nonsense(CommitResponse { applied: false, verdicts });
        let surroundings = Surroundings { now_ms: NOW, random: 0, resolver_id: "r", dimensions: Dimensions::default() };
        let result = block_on(process(
            &[message(1)],
            &ledger,
            &FakeBackend::new(),
            &FakeDead::default(),
            &report(),
            surroundings,
        ));
        assert!(matches!(result.events[0], Event::LedgerFailed(_)));
    }
}

#[test]
fn dimensions_are_switched_on_and_off_without_losing_or_doubling_a_count() {
    let (ledger, backend, report) = (FakeLedger::new(), FakeBackend::new(), report());
    let choices = ["", "colo", "colo,environment", ""];
    for (sequence, chosen) in (1..).zip(choices) {
        let dimensions = Dimensions::parse(chosen).unwrap();
        let surroundings = Surroundings { now_ms: NOW, random: 0, resolver_id: "cf-resolver", dimensions };
        // Redelivered under the next choice, a record that counts already counts no more.
        for sequence in [sequence, sequence - 1] {
            if sequence > 0 {
                let batch = [message(sequence)];
                block_on(process(&batch, &ledger, &backend, &FakeDead::default(), &report, surroundings));
            }
        }
    }
    let matched = ("reason", "RESOLVE_REASON_MATCH");
    let count = |own: &[(&str, &str)]| {
        ledger.counter("confidence_resolves", &[&[("resolver_id", "eu"), matched], own].concat())
    };
    assert_eq!(count(&[]), 1 + 4);
    assert_eq!(count(&[("colo", "AMS")]), 2);
    assert_eq!(count(&[("colo", "AMS"), ("environment", "test")]), 3);
    assert_eq!((ledger.outcome("applied"), ledger.outcome("duplicate")), (4, 3));
}

/// A Ledger that takes so many turns to answer, in which other batches of the isolate go on.
struct Slow<'a>(&'a FakeLedger, usize);

impl LedgerPort for Slow<'_> {
    async fn commit(&self, ledger: u32, request: &[u8]) -> Result<CommitResponse, LedgerFailure> {
        let mut turns = self.1;
        std::future::poll_fn(|context| match turns.checked_sub(1) {
            None => std::task::Poll::Ready(()),
            Some(left) => {
                turns = left;
                context.waker().wake_by_ref();
                std::task::Poll::Pending
            }
        })
        .await;
        self.0.commit(ledger, request).await
    }
}

#[test]
fn a_batch_is_committed_however_often_others_of_its_isolate_commit_their_report_first() {
    let (ledger, backend, dead, report) = (FakeLedger::new(), FakeBackend::new(), FakeDead::default(), report());
    let surroundings = Surroundings { now_ms: NOW, random: 0, resolver_id: "r", dimensions: Dimensions::default() };
    let (behind, ahead) = (Slow(&ledger, 10), Slow(&ledger, 1));
    let first = [message(1)];
    let slow = process(&first, &behind, &backend, &dead, &report, surroundings);
    let others = async {
        for sequence in 2..=100 {
            let result = process(&[message(sequence)], &ahead, &backend, &dead, &report, surroundings).await;
            assert_eq!(result.verdicts, [MessageVerdict::Ack]);
        }
    };
    let (result, ()) = block_on(futures::future::join(slow, others));
    assert_eq!(result.verdicts, [MessageVerdict::Ack], "{:?}", result.events);
    assert_eq!(ledger.outcome("applied"), 100);
}
