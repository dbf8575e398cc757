//! What the backend refuses, with a status that speaks of the message or of us.

use tributary_proto::v1::dead_letter::Body;

use super::*;

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
