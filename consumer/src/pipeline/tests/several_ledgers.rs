//! Several ledgers: each gets what is its own, and one that fails is nothing to the others.

use tributary_proto::envelope::StreamId;

use super::*;
use crate::ledger::shards::MAIN;

/// Three ledgers.
struct Three([FakeLedger; 3]);

impl Three {
    fn new() -> Self {
        Self(std::array::from_fn(|_| FakeLedger::new()))
    }

    fn fail(&self, ledger: usize, fault: LedgerFault) {
        self.0[ledger].faults.borrow_mut().push_back(Some(fault));
    }

    fn resolves(&self) -> [u64; 3] {
        std::array::from_fn(|ledger| self.0[ledger].resolves())
    }

    fn everywhere(&self, family: &str, labels: &[(&str, &str)]) -> u64 {
        self.0.iter().map(|ledger| ledger.counter(family, labels)).sum()
    }
}

impl LedgerPort for Three {
    async fn commit(&self, ledger: u32, request: &[u8]) -> Result<CommitResponse, LedgerFailure> {
        self.0[usize::try_from(ledger).unwrap()].commit(ledger, request).await
    }
}

/// The message of a stream whose hash is `stream`, of a producer that knows so many ledgers; it counts `sequence` resolves.
fn message_of(stream: u64, ledgers: u32, sequence: u64) -> QueueMessage {
    let mut message = message(sequence);
    let MessageBody::Bytes(bytes) = &message.body else { panic!("no envelope") };
    let mut id = [7; 16];
    id[..8].copy_from_slice(&stream.to_be_bytes());
    let envelope = Envelope { stream_id: StreamId(id), ledgers, ..Envelope::decode(bytes).unwrap() };
    message.body = MessageBody::Bytes(envelope.encode().unwrap());
    message.id = format!("id-{stream}-{sequence}");
    message
}

fn run_on(messages: &[QueueMessage], ledgers: &Three, report: &RefCell<SelfReport>) -> (BatchResult, FakeBackend) {
    let (backend, dead) = (FakeBackend::new(), FakeDead::default());
    let surroundings = Surroundings { now_ms: NOW, random: 0, resolver_id: "r", dimensions: Dimensions::default() };
    let result = block_on(process(messages, ledgers, &backend, &dead, report, surroundings));
    assert_eq!(result.verdicts.len(), messages.len());
    (result, backend)
}

#[test]
fn each_ledger_gets_its_streams_and_the_first_gets_those_that_know_one() {
    let (ledgers, report) = (Three::new(), report());
    let legacy = QueueMessage {
        id: "legacy".into(),
        sent_ms: NOW,
        attempts: 1,
        body: MessageBody::Text(
            r#"{"telemetryData":{"resolveRate":[{"count":1000,"reason":"RESOLVE_REASON_MATCH"}]}}"#.into(),
        ),
    };
    let batch = [message_of(3, 3, 1), message_of(4, 3, 2), message_of(5, 3, 4), message_of(5, 1, 8), legacy];
    let (result, backend) = run_on(&batch, &ledgers, &report);
    assert_eq!((result.verdicts, result.events), (vec![MessageVerdict::Ack; 5], vec![]));
    assert_eq!(ledgers.resolves(), [1 + 8, 2, 4]);
    let of_legacy = [("reason", "RESOLVE_REASON_MATCH"), ("resolver_id", "r")];
    assert_eq!(ledgers.0[0].counter("confidence_resolves", &of_legacy), 1000);
    assert_eq!(backend.taken.borrow().len(), 1, "one request for the whole batch");
    // Redelivered, by whatever queue: known where they were counted.
    run_on(&batch, &ledgers, &report);
    assert_eq!(ledgers.resolves(), [9, 2, 4]);
    assert_eq!(ledgers.everywhere("tributary_messages", &[("outcome", "duplicate"), ("resolver_id", "eu")]), 4);
}

#[test]
fn a_ledger_that_is_down_retries_its_own_messages_and_no_others() {
    let (ledgers, report) = (Three::new(), report());
    ledgers.fail(1, LedgerFault::Before);
    let batch = [message_of(4, 3, 1), message_of(3, 3, 2), message_of(4, 3, 4), message_of(5, 3, 8)];
    let (result, backend) = run_on(&batch, &ledgers, &report);
    let is_retried: Vec<bool> = result.verdicts.iter().map(is_retry).collect();
    assert_eq!(is_retried, [true, false, true, false]);
    assert!(matches!(&result.events[..], [Event::LedgerFailed(_)]), "{:?}", result.events);
    assert_eq!(ledgers.resolves(), [2, 0, 8]);
    assert_eq!(backend.resolve_ids(), ["resolve-2", "resolve-8"], "nothing is forwarded that is not counted");
    let (result, _) = run_on(&batch, &ledgers, &report);
    assert_eq!(result.verdicts, [MessageVerdict::Ack; 4]);
    assert_eq!(ledgers.resolves(), [2, 5, 8]);
    // The report on both batches is somewhere, once.
    assert_eq!(ledgers.everywhere("tributary_messages", &[("outcome", "retried")]), 2);
}

#[test]
fn the_report_goes_to_a_ledger_that_answers_and_counts_once_whatever_answers_are_lost() {
    let (ledgers, report) = (Three::new(), report());
    // The first commit to ledger 2 carries the report on its batch's size and is applied, but its answer is lost.
    ledgers.fail(2, LedgerFault::After);
    let (result, _) = run_on(&[message_of(5, 3, 1)], &ledgers, &report);
    assert!(is_retry(&result.verdicts[0]));
    // Ledger 0 goes on with what came since; ledger 2 is asked again when it is asked at all.
    for sequence in 2..5 {
        run_on(&[message_of(3, 3, sequence)], &ledgers, &report);
    }
    let (result, _) = run_on(&[message_of(5, 3, 1)], &ledgers, &report);
    assert_eq!(result.verdicts, [MessageVerdict::Ack]);
    let batches = |ledger: &FakeLedger| {
        let family = ledger.memory.borrow();
        let series =
            family.state.get("tributary_batch_messages", &LabelSet::empty()).map(|series| series.value().clone());
        match series {
            Some(Value::Histogram(histogram)) => histogram.count(),
            None => 0,
            Some(other) => panic!("{other:?}"),
        }
    };
    assert_eq!(ledgers.0.iter().map(batches).sum::<u64>(), 5);
    assert_eq!(ledgers.0.iter().map(|ledger| ledger.outcome("applied")).collect::<Vec<_>>(), [3, 0, 1]);
}

#[test]
fn a_batch_of_nothing_that_can_be_read_reports_to_the_first_ledger() {
    let (ledgers, report) = (Three::new(), report());
    let (result, _) = run_on(&[garbage(1)], &ledgers, &report);
    assert_eq!(result.verdicts, [MessageVerdict::Dead]);
    let malformed = |ledger: u32| {
        ledgers.0[usize::try_from(ledger).unwrap()].counter("tributary_messages", &[("outcome", "malformed")])
    };
    assert_eq!((malformed(MAIN), malformed(1), malformed(2)), (1, 0, 0));
}

#[test]
fn more_ledgers_than_there_can_be_is_a_dead_letter() {
    let (ledgers, report) = (Three::new(), report());
    let mut hostile = message_of(3, 3, 1);
    let MessageBody::Bytes(bytes) = &hostile.body else { panic!("no envelope") };
    let mut wire = <tributary_proto::v1::Envelope as tributary_proto::Message>::decode(bytes.as_slice()).unwrap();
    wire.ledgers = u32::MAX;
    hostile.body = MessageBody::Bytes(wire.encode_to_vec());
    let (result, _) = run_on(&[hostile], &ledgers, &report);
    assert_eq!(result.verdicts, [MessageVerdict::Dead]);
    assert!(matches!(&result.events[..], [Event::Dead { reason, .. }] if reason == "invalid"));
}
