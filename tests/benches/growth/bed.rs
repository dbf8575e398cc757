//! The consumer on one core: batches through the real pipeline into the real Ledger. What stands for SQLite is not counted.

use std::{
    cell::{Cell, RefCell},
    future::Future,
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use tributary_consumer::{
    backend::delivery::{DeliveryOutcome, Destination, Route},
    dead_letters::bury::{DeadLetterFailure, DeadLetterPort},
    dimensions::Dimensions,
    ledger::shards::LedgerCopy,
    message::{MessageBody, QueueMessage},
    pipeline::{BackendPort, LedgerFailure, LedgerPort, MessageVerdict, Surroundings, process},
    self_report::SelfReport,
};
use tributary_proto::{envelope::StreamId, v1::CommitResponse};

use crate::{
    meter::{aside, counted, heap, now, take},
    object::{Object, Rows},
    points::Point,
    traffic::RESOLVER_ID,
};

/// Messages per batch: the most that Queues delivers at once.
pub(crate) const BATCH: u64 = 100;

pub(crate) const START_MS: u64 = 1_800_000_000_000;

struct Ledger {
    object: RefCell<Object>,
    now_ms: u64,
    /// What of the time is its own.
    time: Cell<Duration>,
}

impl LedgerPort for Ledger {
    async fn commit(&self, _ledger: u32, request: &[u8]) -> Result<CommitResponse, LedgerFailure> {
        let mut object = self.object.borrow_mut();
        let started = now();
        let prepared = object.prepare(request, self.now_ms);
        self.time.set(self.time.get() + now().saturating_sub(started));
        Ok(aside(|| object.store(prepared)))
    }
}

struct Backend(u64);

impl BackendPort for Backend {
    async fn route(&self) -> Route {
        Route::default()
    }

    async fn deliver(&self, _route: &Route, _destination: Destination, _logs: &[u8]) -> DeliveryOutcome {
        DeliveryOutcome::Delivered
    }

    fn now_ms(&self) -> u64 {
        self.0
    }
}

struct NoDead;

impl DeadLetterPort for NoDead {
    async fn send(&self, _letters: &[Vec<u8>]) -> Result<(), DeadLetterFailure> {
        Err(DeadLetterFailure("nothing bad is sent".to_owned()))
    }

    async fn store(&self, _letter: Vec<u8>) -> Result<(), DeadLetterFailure> {
        Err(DeadLetterFailure("nothing bad is sent".to_owned()))
    }
}

/// A consumer and its Ledger.
pub(crate) struct Bed {
    ledger: Ledger,
    report: RefCell<SelfReport>,
    rows: Rows,
    messages: u64,
    /// Messages since the last point.
    of_point: u64,
}

impl Bed {
    pub(crate) fn new() -> Self {
        Self {
            ledger: Ledger { object: RefCell::new(Object::new(RESOLVER_ID)), now_ms: START_MS, time: Cell::default() },
            report: RefCell::new(SelfReport::new(StreamId([0xee; 16]))),
            rows: Rows::default(),
            messages: 0,
            of_point: 0,
        }
    }

    pub(crate) fn now_ms(&self) -> u64 {
        self.ledger.now_ms
    }

    /// Messages that it had.
    pub(crate) fn messages(&self) -> u64 {
        self.messages
    }

    /// What the Ledger tells another of itself.
    pub(crate) fn copy(&self) -> Vec<u8> {
        LedgerCopy::encode(self.ledger.object.borrow_mut().book(self.ledger.now_ms))
    }

    /// Takes in a copy of another; counted, as a message.
    pub(crate) fn take_in(&mut self, copy: Vec<u8>) {
        self.ledger.now_ms += 20;
        let object = self.ledger.object.get_mut();
        let started = now();
        counted(|| object.take_in(1, copy, self.ledger.now_ms, false));
        self.ledger.time.set(self.ledger.time.get() + now().saturating_sub(started));
        self.of_point += 1;
    }

    /// One batch; `is_counted` or only gone through.
    pub(crate) fn batch(&mut self, bodies: Vec<Vec<u8>>, is_counted: bool) {
        self.ledger.now_ms += 20;
        let bodies = bodies.into_iter().enumerate().map(|(index, bytes)| QueueMessage {
            id: index.to_string(),
            sent_ms: self.ledger.now_ms,
            attempts: 1,
            body: MessageBody::Bytes(bytes),
        });
        let messages: Vec<QueueMessage> = bodies.collect();
        let surroundings = Surroundings {
            now_ms: self.ledger.now_ms,
            random: 0,
            resolver_id: RESOLVER_ID,
            dimensions: Dimensions::default(),
        };
        let backend = Backend(self.ledger.now_ms);
        let work = || finish(process(&messages, &self.ledger, &backend, &NoDead, &self.report, surroundings));
        let result = if is_counted { counted(work) } else { work() };
        assert!(result.verdicts.iter().all(|verdict| *verdict == MessageVerdict::Ack), "{:?}", result.events);
        let count = u64::try_from(messages.len()).unwrap();
        self.messages += count;
        if is_counted {
            self.of_point += count;
        }
    }

    /// What begins now is a point's.
    pub(crate) fn begin(&mut self) {
        take();
        self.of_point = 0;
        self.ledger.time.set(Duration::ZERO);
        self.rows = self.ledger.object.borrow().rows;
    }

    /// What was counted since.
    pub(crate) fn end(&mut self, scenario: &'static str, x: u64, resolves_per_message: u64) -> Point {
        let meter = take();
        let mut object = self.ledger.object.borrow_mut();
        let (streams, (_, unfolded)) = (object.remembered(), object.streams());
        let (journal_rows, journal_bytes) = object.journal();
        let (written, read) = (object.rows.written - self.rows.written, object.rows.read - self.rows.read);
        let book = object.book(self.ledger.now_ms);
        // A clone shares the series.
        let book_bytes = heap(|| (book.clone(), tributary_telemetry::Snapshot::decode(&book.state.encode()).unwrap()));
        let state_bytes = object.state_bytes();
        let count = |count: usize| u64::try_from(count).unwrap();
        Point {
            scenario: scenario.to_owned(),
            x,
            resolves_per_message,
            messages: self.of_point,
            instructions: None,
            nanos: meter.time.as_nanos().try_into().unwrap(),
            ledger_nanos: self.ledger.time.get().as_nanos().try_into().unwrap(),
            allocations: meter.allocations,
            state_bytes: count(state_bytes),
            stream_rows: count(streams),
            unfolded_rows: count(unfolded),
            journal_rows: count(journal_rows),
            journal_bytes: count(journal_bytes),
            rows_written: written,
            rows_read: read,
            book_bytes,
        }
    }
}

/// Runs a future that never waits.
fn finish<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => unreachable!("nothing here waits"),
    }
}
