//! The pipeline with the real decision of the Ledger in memory, and services that fail as told.

use std::collections::VecDeque;

use futures::executor::block_on;
use tributary_proto::{
    Message as _,
    envelope::{Envelope, StreamId},
    events::FlagAssigned,
    flag_logs::{ResolveReason, TelemetryData, telemetry_data::ResolveRate},
};
use tributary_telemetry::{LabelSet, Value};

use super::*;
use crate::ledger::commit::{Commit, Decision, tests::Memory};

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
}

impl FakeLedger {
    fn new() -> Self {
        Self { memory: RefCell::new(Memory::new()), faults: RefCell::default() }
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
    async fn commit(&self, request: &CommitRequest) -> Result<CommitResponse, LedgerFailure> {
        let fault = self.faults.borrow_mut().pop_front().flatten();
        if fault == Some(LedgerFault::Before) {
            return Err(LedgerFailure("down".into()));
        }
        // Over the wire and back, as in the Worker.
        let request = CommitRequest::decode(request.encode_to_vec().as_slice()).unwrap();
        let commit = Commit::from_wire(request).map_err(|error| LedgerFailure(error.to_string()))?;
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
}

impl FakeBackend {
    fn new() -> Self {
        Self { route: Route::new(&[1, 2], "acc".into()), outcomes: RefCell::default(), taken: RefCell::default() }
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

    async fn deliver(&self, _route: &Route, destination: Destination, logs: &WriteFlagLogsRequest) -> DeliveryOutcome {
        let outcome = self.outcomes.borrow_mut().pop_front().unwrap_or(DeliveryOutcome::Delivered);
        if outcome == DeliveryOutcome::Delivered {
            self.taken.borrow_mut().push((destination, logs.clone()));
        }
        outcome
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
        sequence,
        window_start_ms: NOW - 2_000,
        window_end_ms: NOW - 1_000,
        resolver_id: "eu".into(),
        dimensions: Default::default(),
        flag_logs: logs.encode_to_vec(),
        dropped: vec![],
    };
    QueueMessage {
        id: format!("id-{sequence}"),
        sent_ms: NOW - 900,
        attempts: 1,
        body: crate::message::MessageBody::Bytes(envelope.encode().unwrap()),
    }
}

fn garbage(attempts: u32) -> QueueMessage {
    QueueMessage {
        id: "poison".into(),
        sent_ms: NOW,
        attempts,
        body: crate::message::MessageBody::Text("{\"flagAssigned\":7}".into()),
    }
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
    let surroundings = Surroundings { now_ms: NOW, random: 0, resolver_id: "cf-resolver" };
    block_on(process(messages, ledger, backend, report, surroundings))
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
fn one_bad_message_does_not_hurt_its_batch_and_is_counted_once() {
    let (ledger, backend, report) = (FakeLedger::new(), FakeBackend::new(), report());
    let result = run(&[message(1), garbage(1), message(2)], &ledger, &backend, &report);
    assert_eq!(result.verdicts[0], MessageVerdict::Ack);
    assert!(is_retry(&result.verdicts[1]), "the queue moves it to its dead-letter queue");
    assert_eq!(result.verdicts[2], MessageVerdict::Ack);
    assert!(matches!(&result.events[..], [Event::Malformed { message_id, .. }] if message_id == "poison"));
    run(&[garbage(2)], &ledger, &backend, &report);
    run(&[garbage(3)], &ledger, &backend, &report);
    assert_eq!(ledger.counter("tributary_malformed_messages", &[("reason", "flag_logs")]), 1);
    assert_eq!(ledger.resolves(), 3);
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
        async fn commit(&self, _request: &CommitRequest) -> Result<CommitResponse, LedgerFailure> {
            Ok(self.0.clone())
        }
    }
    for verdicts in [vec![], vec![1, 1], vec![0, 0], vec![99; 3]] {
        let ledger = Nonsense(CommitResponse { applied: false, verdicts });
        let surroundings = Surroundings { now_ms: NOW, random: 0, resolver_id: "r" };
        let result = block_on(process(&[message(1)], &ledger, &FakeBackend::new(), &report(), surroundings));
        assert!(matches!(result.events[0], Event::LedgerFailed(_)));
    }
}
