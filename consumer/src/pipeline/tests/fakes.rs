//! Services that fail as told, the Ledger's with its real decision, and messages.

use tributary_proto::v1::commit_response::Verdict;

use super::*;

pub(super) const NOW: u64 = 1_800_000_000_000;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum LedgerFault {
    /// Nothing was committed.
    Before,
    /// It was committed, and the answer was lost.
    After,
}

pub(super) struct FakeLedger {
    pub(super) memory: RefCell<Memory>,
    pub(super) faults: RefCell<VecDeque<Option<LedgerFault>>>,
    /// How often it was asked.
    pub(super) commits: std::cell::Cell<usize>,
}

impl FakeLedger {
    pub(super) fn new() -> Self {
        Self { memory: RefCell::new(Memory::new()), faults: RefCell::default(), commits: std::cell::Cell::default() }
    }

    pub(super) fn counter(&self, family: &str, labels: &[(&str, &str)]) -> u64 {
        let labels = LabelSet::from_pairs(labels.iter().copied()).unwrap();
        match self.memory.borrow().state.get(family, &labels).map(|series| series.value().clone()) {
            Some(Value::Counter(total)) => total,
            None => 0,
            Some(other) => panic!("{other:?}"),
        }
    }

    pub(super) fn outcome(&self, outcome: &str) -> u64 {
        self.counter("tributary_messages", &[("outcome", outcome), ("resolver_id", "eu")])
    }

    pub(super) fn resolves(&self) -> u64 {
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

pub(super) struct FakeBackend {
    pub(super) route: Route,
    pub(super) outcomes: RefCell<VecDeque<DeliveryOutcome>>,
    pub(super) taken: RefCell<Vec<(Destination, WriteFlagLogsRequest)>>,
    /// Refuses requests that hold an assignment of one of these resolve ids, with this status.
    pub(super) refused: Vec<(String, u16)>,
    pub(super) requests: RefCell<usize>,
}

impl FakeBackend {
    pub(super) fn new() -> Self {
        Self {
            route: Route::new(&[1, 2], "acc".into()),
            outcomes: RefCell::default(),
            taken: RefCell::default(),
            refused: Vec::new(),
            requests: RefCell::default(),
        }
    }

    pub(super) fn refusing(sequences: impl IntoIterator<Item = u64>, status: u16) -> Self {
        let refused = sequences.into_iter().map(|sequence| (format!("resolve-{sequence}"), status)).collect();
        Self { refused, ..Self::new() }
    }

    /// Resolve ids that were taken, each as often as it was.
    pub(super) fn resolve_ids(&self) -> Vec<String> {
        let taken = self.taken.borrow();
        let ids = taken.iter().flat_map(|(_, logs)| &logs.flag_assigned).map(|assigned| assigned.resolve_id.clone());
        let mut ids: Vec<_> = ids.collect();
        ids.sort();
        ids
    }

    pub(super) fn answering(outcomes: impl IntoIterator<Item = DeliveryOutcome>) -> Self {
        Self { outcomes: RefCell::new(outcomes.into_iter().collect()), ..Self::new() }
    }

    pub(super) fn assignments(&self) -> usize {
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
pub(super) struct FakeDead {
    pub(super) letters: RefCell<Vec<DeadLetter>>,
    pub(super) is_down: std::cell::Cell<bool>,
}

impl FakeDead {
    pub(super) fn down() -> Self {
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
    pub(super) fn reasons(&self) -> Vec<(String, String)> {
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

pub(super) const DOWN: DeliveryOutcome = DeliveryOutcome::Unavailable { retry_after: None };

/// A message of one stream that says `sequence` resolves and one assignment.
pub(super) fn message(sequence: u64) -> QueueMessage {
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

pub(super) fn garbage(attempts: u32) -> QueueMessage {
    QueueMessage { id: "poison".into(), sent_ms: NOW, attempts, body: MessageBody::Text("{\"flagAssigned\":7}".into()) }
}

pub(super) fn report() -> RefCell<SelfReport> {
    RefCell::new(SelfReport::new(StreamId([9; 16])))
}

pub(super) fn run(
    messages: &[QueueMessage],
    ledger: &FakeLedger,
    backend: &FakeBackend,
    report: &RefCell<SelfReport>,
) -> BatchResult {
    run_with(messages, ledger, backend, &FakeDead::default(), report)
}

pub(super) fn run_with(
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

pub(super) fn is_retry(verdict: &MessageVerdict) -> bool {
    matches!(verdict, MessageVerdict::Retry(delay) if *delay > Duration::ZERO)
}

/// A Ledger that takes so many turns to answer, in which other batches of the isolate go on.
pub(super) struct Slow<'a>(pub(super) &'a FakeLedger, pub(super) usize);

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
