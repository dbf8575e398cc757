//! The services that a consumer calls: the Ledger on rows as SQLite would hold them, a backend, a dead-letter queue.
//! Each call gives way before and after it has its effect, so that others run, or the caller dies, in between.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    future::Future,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use tributary_consumer::{
    backend::delivery::{DeliveryOutcome, Destination, Route},
    dead_letters::bury::{DeadLetterFailure, DeadLetterPort},
    ledger::{
        floor::StreamBounds,
        shards::{self, LedgerCopy},
    },
    pipeline::{BackendPort, LedgerFailure, LedgerPort},
    self_metrics,
};
use tributary_proto::{Message as _, flag_logs::WriteFlagLogsRequest, v1::CommitResponse};
use tributary_telemetry::{LabelSet, Snapshot, Value};

use crate::{
    chance::Chance,
    object::{Object, Prepared},
    traffic::LEGACY_PRODUCER,
};

/// Chance, clock and counts that all share.
pub(crate) struct World {
    pub(crate) chance: RefCell<Chance>,
    pub(crate) now_ms: Cell<u64>,
    /// No faults any more: the run comes to its end.
    pub(crate) calm: Cell<bool>,
    pub(crate) counts: RefCell<BTreeMap<&'static str, u64>>,
}

impl World {
    pub(crate) fn count(&self, what: &'static str) {
        *self.counts.borrow_mut().entry(what).or_default() += 1;
    }

    fn fault(&self, what: &'static str, per_mille: usize) -> bool {
        let happens = !self.calm.get() && self.chance.borrow_mut().per_mille(per_mille);
        if happens {
            self.count(what);
        }
        happens
    }
}

/// Gives way once.
struct GiveWay(bool);

impl Future for GiveWay {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.0, true) { Poll::Ready(()) } else { Poll::Pending }
    }
}

fn give_way() -> GiveWay {
    GiveWay(false)
}

pub(crate) struct Ledger {
    pub(crate) world: Rc<World>,
    objects: Vec<RefCell<Object>>,
    /// Copies on their way, of any age.
    told: RefCell<Vec<(usize, Vec<u8>)>>,
}

impl Ledger {
    pub(crate) fn new(world: Rc<World>, ledgers: usize) -> Self {
        // Small parts, so that a state of some series has several.
        let object = || {
            let mut object = Object::new(LEGACY_PRODUCER);
            object.part_bytes = 4_000;
            object
        };
        let objects = (0..ledgers).map(|_| RefCell::new(object())).collect();
        Self { world, objects, told: RefCell::default() }
    }

    /// Memory is lost; rows stay.
    pub(crate) fn restart(&self, ledger: usize) {
        self.objects[ledger].borrow_mut().restart();
    }

    /// `Err`: the transaction failed, and nothing is stored of it.
    fn commit(&self, ledger: usize, request: &[u8], fails: bool) -> Result<CommitResponse, LedgerFailure> {
        let mut object = self.objects[ledger].borrow_mut();
        let prepared = object.prepare(request, self.world.now_ms.get());
        if fails && matches!(prepared, Prepared::Apply(_)) {
            object.restart();
            return Err(LedgerFailure("the write failed".into()));
        }
        Ok(object.store(prepared))
    }

    /// A ledger tells ledger 0 of itself. The call may be lost, its answer too, and it may come much later.
    pub(crate) fn tell(&self, ledger: usize) {
        let now_ms = self.world.now_ms.get();
        if ledger > 0 {
            let copy = LedgerCopy::encode(self.objects[ledger].borrow_mut().book(now_ms));
            self.told.borrow_mut().push((ledger, copy));
        }
        let waiting = self.told.borrow().len();
        if waiting == 0 || self.world.fault("copies lost", 100) {
            return;
        }
        let at = self.world.chance.borrow_mut().below(waiting);
        if at + 1 < waiting {
            self.world.count("copies that came late");
        }
        let (ledger, copy) = self.told.borrow()[at].clone();
        let fails = self.world.fault("taking in failed", 50);
        self.objects[0].borrow_mut().take_in(ledger, copy, now_ms, fails);
        self.world.count("copies taken in");
        // Most are told once.
        if !self.world.fault("copies told twice", 300) {
            self.told.borrow_mut().swap_remove(at);
        }
    }

    /// The last copy of each.
    pub(crate) fn tell_all(&self) {
        let now_ms = self.world.now_ms.get();
        for ledger in 1..self.objects.len() {
            let copy = LedgerCopy::encode(self.objects[ledger].borrow_mut().book(now_ms));
            self.objects[0].borrow_mut().take_in(ledger, copy, now_ms, false);
        }
    }

    /// One alarm's slice of forgetting.
    pub(crate) fn forget(&self, bounds: &StreamBounds, slice: usize) {
        for object in &self.objects {
            object.borrow_mut().forget(bounds, slice, self.world.now_ms.get());
        }
    }

    pub(crate) fn applied(&self, stream_id: [u8; 16], sequence: u64) -> u64 {
        let of = |object: &RefCell<Object>| object.borrow().applied.get(&(stream_id, sequence)).copied().unwrap_or(0);
        self.objects.iter().map(of).sum()
    }

    /// How many pairs each ledger applied.
    pub(crate) fn shares(&self) -> Vec<usize> {
        self.objects.iter().map(|object| object.borrow().applied.len()).collect()
    }

    /// Pairs whose delta was applied more than once, those of consumers included, which are a stream in each ledger.
    pub(crate) fn doubled(&self) -> usize {
        let of = |object: &RefCell<Object>| object.borrow().applied.values().filter(|times| **times > 1).count();
        self.objects.iter().map(of).sum()
    }

    pub(crate) fn streams(&self) -> usize {
        let of = |object: &RefCell<Object>| {
            let mut object = object.borrow_mut();
            object.fold(self.world.now_ms.get());
            object.streams().0
        };
        self.objects.iter().map(of).sum()
    }

    /// The state with its readings, as published.
    pub(crate) fn published(&self) -> Snapshot {
        let now_ms = self.world.now_ms.get();
        let mut object = self.objects[0].borrow_mut();
        let book = object.book(now_ms);
        self_metrics::with_readings(&book.state, &shards::status_of_all(book), now_ms).unwrap()
    }

    /// For every account sent = applied + missing + lost, as published.
    pub(crate) fn check_accounts(&self) {
        let state = self.published();
        for account in self_metrics::accounts(&state) {
            let value = |family: &str| number(&state, family, account);
            let sent = value("tributary_records_sent");
            let rest = ["tributary_records_applied", "tributary_records_missing", "tributary_lost_records"];
            assert_eq!(sent, rest.into_iter().map(value).sum::<u64>(), "{account}");
        }
    }
}

/// A counter or gauge of a resolver; 0 where there is none.
pub(crate) fn number(state: &Snapshot, family: &str, resolver_id: &str) -> u64 {
    let labels = LabelSet::from_pairs([("resolver_id", resolver_id)]).unwrap();
    match state.get(family, &labels).map(|series| series.value().clone()) {
        Some(Value::Counter(count)) => count,
        Some(Value::Gauge(gauge)) => match gauge.value() {
            tributary_telemetry::Number::Unsigned(value) => value,
            other => panic!("{other:?}"),
        },
        None => 0,
        Some(other) => panic!("{other:?}"),
    }
}

impl LedgerPort for Ledger {
    async fn commit(&self, ledger: u32, request: &[u8]) -> Result<CommitResponse, LedgerFailure> {
        give_way().await;
        if self.world.fault("commits refused", 10) {
            return Err(LedgerFailure("overloaded".into()));
        }
        let fails = self.world.fault("writes failed", 5);
        let response = self.commit(usize::try_from(ledger).unwrap(), request, fails)?;
        give_way().await;
        if self.world.fault("answers lost", 20) {
            return Err(LedgerFailure("no answer".into()));
        }
        Ok(CommitResponse::decode(response.encode_to_vec().as_slice()).unwrap())
    }
}

/// A backend that fails, and refuses for good what it bears a grudge against.
pub(crate) struct Backend {
    pub(crate) world: Rc<World>,
    /// By index of the record.
    pub(crate) seen: RefCell<Vec<bool>>,
    pub(crate) grudges: RefCell<BTreeSet<usize>>,
}

impl Backend {
    fn note(&self, indices: &[usize]) {
        let mut seen = self.seen.borrow_mut();
        for index in indices {
            if seen.len() <= *index {
                seen.resize(index + 1, false);
            }
            seen[*index] = true;
        }
    }
}

impl BackendPort for Backend {
    async fn route(&self) -> Route {
        give_way().await;
        Route::new(&[1, 2], "account".into())
    }

    async fn deliver(&self, _route: &Route, _destination: Destination, logs: &[u8]) -> DeliveryOutcome {
        let logs = &WriteFlagLogsRequest::decode(logs).unwrap();
        give_way().await;
        if self.world.fault("backend down", 60) {
            return DeliveryOutcome::Unavailable { retry_after: None };
        }
        let indices: Vec<usize> = logs.flag_assigned.iter().map(|logs| logs.resolve_id.parse().unwrap()).collect();
        if indices.iter().any(|index| self.grudges.borrow().contains(index)) {
            self.world.count("refused");
            return DeliveryOutcome::Refused { status: 422 };
        }
        self.note(&indices);
        give_way().await;
        if self.world.fault("backend answers lost", 20) {
            return DeliveryOutcome::Unavailable { retry_after: None };
        }
        DeliveryOutcome::Delivered
    }

    fn now_ms(&self) -> u64 {
        self.world.now_ms.get()
    }
}

/// The dead-letter queue.
pub(crate) struct Dead {
    pub(crate) world: Rc<World>,
    /// Message ids of its letters.
    pub(crate) letters: RefCell<BTreeSet<String>>,
}

impl DeadLetterPort for Dead {
    async fn send(&self, letters: &[Vec<u8>]) -> Result<(), DeadLetterFailure> {
        give_way().await;
        if self.world.fault("dead letters refused", 50) {
            return Err(DeadLetterFailure("down".into()));
        }
        for letter in letters {
            let letter = tributary_proto::dead_letter::DeadLetter::decode(letter).unwrap();
            self.letters.borrow_mut().insert(letter.message_id);
        }
        give_way().await;
        Ok(())
    }

    async fn store(&self, _letter: Vec<u8>) -> Result<(), DeadLetterFailure> {
        Err(DeadLetterFailure("nothing here is too large for a queue".into()))
    }
}
