//! What can never be processed becomes a dead letter: when, and only once somebody has it.

use tributary_proto::v1::dead_letter::Body;

use super::*;

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
