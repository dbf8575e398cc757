//! Every delivery, and everything that a message lost before it came, is in a counter.

use tributary_proto::{
    flag_logs::telemetry_data::{BucketSpan, ResolveLatency},
    v1::{Dropped, dropped},
};

use super::*;
use crate::ledger::floor::StreamBounds;

/// The message of a sequence with this instead of its latencies and its account of what was dropped.
fn message_with(sequence: u64, latency: ResolveLatency, dropped: &[(dropped::Reason, u64)]) -> QueueMessage {
    let mut message = message(sequence);
    let MessageBody::Bytes(bytes) = &message.body else { panic!("no envelope") };
    let mut envelope = Envelope::decode(bytes).unwrap();
    let mut logs = envelope.flag_logs().unwrap();
    logs.telemetry_data.as_mut().unwrap().resolve_latency = Some(latency);
    envelope.flag_logs = logs.encode_to_vec();
    let entry = |(reason, assignments): &(dropped::Reason, u64)| Dropped {
        reason: (*reason).into(),
        assignments: *assignments,
        recordings: 0,
    };
    envelope.dropped = dropped.iter().map(entry).collect();
    message.body = MessageBody::Bytes(envelope.encode().unwrap());
    message
}

fn of_eu(ledger: &FakeLedger, family: &str) -> u64 {
    ledger.counter(family, &[("resolver_id", "eu")])
}

#[test]
fn every_delivery_is_counted_with_what_became_of_it() {
    let (ledger, dead, report) = (FakeLedger::new(), FakeDead::default(), report());
    let plain = |outcome: &str| ledger.counter("tributary_messages", &[("outcome", outcome)]);
    // A batch that waits for the Ledger, one that waits for the backend, and one that gets through.
    ledger.faults.borrow_mut().push_back(Some(LedgerFault::Before));
    run_with(&[message(1), message(2), garbage(1)], &ledger, &FakeBackend::new(), &dead, &report);
    let down = FakeBackend::answering([DOWN, DOWN]);
    run_with(&[message(1), message(2), message(3)], &ledger, &down, &dead, &report);
    run_with(&[message(1), message(2), message(3), message(3)], &ledger, &FakeBackend::new(), &dead, &report);
    assert_eq!((ledger.outcome("applied"), ledger.outcome("duplicate"), ledger.outcome("expired")), (3, 4, 0));
    assert_eq!((plain("retried"), plain("malformed"), plain("dead")), (2 + 3, 1, 1));
    // Three batches. Of seven deliveries that could be read and reached the Ledger, three count; two never reached it.
    let requests = |outcome| {
        let of = |destination| {
            ledger.counter("tributary_backend_requests", &[("destination", destination), ("outcome", outcome)])
        };
        of("edge") + of("cloudflare")
    };
    assert_eq!((requests("delivered"), requests("unavailable")), (1, 2));
    assert_eq!(ledger.counter("confidence_flush_failed", &[("resolver_id", "cf-resolver")]), 2);
}

#[test]
fn a_record_that_is_too_old_to_be_known_is_counted_as_expired_and_its_logs_go_on() {
    let (ledger, backend, report) = (FakeLedger::new(), FakeBackend::new(), report());
    run(&[message(2)], &ledger, &backend, &report);
    let none = StreamBounds { producer: 0, ..StreamBounds::default() };
    ledger.memory.borrow_mut().forget_surplus(&none, NOW);
    assert_eq!(run(&[message(1)], &ledger, &backend, &report).verdicts, [MessageVerdict::Ack]);
    assert_eq!((ledger.outcome("applied"), ledger.outcome("duplicate"), ledger.outcome("expired")), (1, 0, 1));
    assert_eq!((ledger.resolves(), backend.assignments()), (2, 2));
}

#[test]
fn what_a_message_says_was_dropped_rebucketed_or_contradicts_itself_is_counted() {
    let (ledger, backend, report) = (FakeLedger::new(), FakeBackend::new(), report());
    let buckets = vec![BucketSpan { offset: 3, counts: vec![2, 3] }];
    let coarse = ResolveLatency { sum: 50, count: 5, buckets: buckets.clone(), ln_ratio: 0.5 };
    let contradiction = ResolveLatency { sum: 50, count: 6, buckets, ln_ratio: 0.5 };
    let dropped = [(dropped::Reason::BufferFull, 7), (dropped::Reason::Oversize, 1), (dropped::Reason::BufferFull, 4)];
    let result =
        run(&[message_with(1, coarse, &dropped), message_with(2, contradiction, &[])], &ledger, &backend, &report);
    assert_eq!(result.verdicts, [MessageVerdict::Ack; 2]);
    assert_eq!((ledger.outcome("applied"), ledger.resolves(), backend.assignments()), (2, 1, 2));
    assert_eq!(of_eu(&ledger, "tributary_rebucketed_observations"), 5);
    assert_eq!(of_eu(&ledger, "tributary_refused_telemetry"), 1);
    let given_up =
        |reason| ledger.counter("tributary_dropped_assignments", &[("reason", reason), ("resolver_id", "eu")]);
    assert_eq!((given_up("buffer_full"), given_up("oversize")), (11, 1));
}
