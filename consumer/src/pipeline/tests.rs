//! The pipeline with the real decision of the Ledger in memory, and services that fail as told: what is counted,
//! forwarded and acked, whatever comes twice or fails.

use std::collections::VecDeque;

use futures::executor::block_on;
use tributary_proto::{
    Message as _,
    envelope::{Envelope, StreamId},
    events::FlagAssigned,
    flag_logs::{ResolveReason, TelemetryData, WriteFlagLogsRequest, telemetry_data::ResolveRate},
};
use tributary_telemetry::{LabelSet, Value};

use super::*;
use crate::{
    ledger::commit::{Commit, Decision, tests::Memory},
    message::MessageBody,
};

mod custom_metrics;
mod fakes;
mod letters;
mod otlp;
mod outcomes;
mod refusals;
mod reports;
mod several_ledgers;

use self::fakes::{
    DOWN, FakeBackend, FakeDead, FakeLedger, LedgerFault, NOW, Slow, garbage, is_retry, message, report, run, run_with,
};

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
fn the_number_of_retries_is_the_one_that_is_configured() {
    use crate::limits::MAX_DEAD_RETRIES;
    let toml = include_str!("../../../wrangler/consumer.toml");
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
