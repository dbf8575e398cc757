//! When the consumer's report on its own doing is committed, and that it counts once.

use super::*;

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
