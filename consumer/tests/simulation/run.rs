//! The scheduler: producers, a queue that repeats and reorders, consumers whose steps interleave and that die.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    future::Future,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use tributary_consumer::{
    dimensions::Dimensions,
    ledger::floor::StreamBounds,
    message::{MessageBody, QueueMessage, decode},
    pipeline::{BatchResult, MessageVerdict, Surroundings, process},
    self_report::SelfReport,
};
use tributary_proto::envelope::StreamId;

use crate::{
    chance::Chance,
    services::{Backend, Dead, Ledger, World},
    traffic::{LEGACY_PRODUCER, Traffic},
};

const START_MS: u64 = 1_800_000_000_000;

/// What is run.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    /// Records to send.
    pub(crate) deltas: usize,
    /// Streams of producers.
    pub(crate) streams: usize,
    /// Messages that may wait in the queue before producers wait.
    pub(crate) waiting: usize,
    /// How often a second copy of a message is delivered, in a thousand.
    pub(crate) duplicates: usize,
    /// Streams are forgotten past these bounds; `None`: never.
    pub(crate) forget: Option<StreamBounds>,
    /// Ledgers that there are.
    pub(crate) ledgers: u32,
}

/// A message in the queue.
struct Item {
    message: QueueMessage,
    /// Index of the record; `None` for a message that says nothing.
    record: Option<usize>,
}

struct Running {
    isolate: usize,
    items: Vec<Item>,
    future: Pin<Box<dyn Future<Output = BatchResult>>>,
}

/// A run, and all that is left of it to look at.
pub(crate) struct Run {
    pub(crate) plan: Plan,
    pub(crate) world: Rc<World>,
    pub(crate) ledger: Rc<Ledger>,
    pub(crate) backend: Rc<Backend>,
    pub(crate) dead: Rc<Dead>,
    pub(crate) traffic: Traffic,
    /// Ids of messages that say nothing.
    pub(crate) poison: BTreeSet<String>,
    ready: Vec<Item>,
    later: BTreeMap<(u64, u64), Item>,
    running: Vec<Running>,
    isolates: Vec<Rc<RefCell<SelfReport>>>,
    last_id: u64,
}

const ISOLATES: usize = 12;
const BATCHES_PER_ISOLATE: usize = 2;

impl Run {
    pub(crate) fn new(plan: Plan) -> Self {
        let mut chance = Chance::new(plan.seed);
        let plan_ledgers = usize::try_from(plan.ledgers).unwrap();
        let traffic = Traffic::new(plan.streams, plan.ledgers, &mut chance);
        let world = Rc::new(World {
            chance: RefCell::new(chance),
            now_ms: Cell::new(START_MS),
            calm: Cell::new(false),
            counts: RefCell::default(),
        });
        let mut run = Self {
            plan,
            ledger: Rc::new(Ledger::new(Rc::clone(&world), plan_ledgers)),
            backend: Rc::new(Backend {
                world: Rc::clone(&world),
                seen: RefCell::default(),
                grudges: RefCell::default(),
            }),
            dead: Rc::new(Dead { world: Rc::clone(&world), letters: RefCell::default() }),
            world,
            traffic,
            poison: BTreeSet::new(),
            ready: Vec::new(),
            later: BTreeMap::new(),
            running: Vec::new(),
            isolates: Vec::new(),
            last_id: 0,
        };
        run.isolates = (0..ISOLATES).map(|_| run.new_report()).collect();
        run
    }

    /// Runs until everything that was sent has been settled.
    pub(crate) fn finish(&mut self) {
        for step in 0u64.. {
            let is_sent = self.traffic.sent.len() >= self.plan.deltas;
            self.world.calm.set(is_sent && self.ready.is_empty() && self.running.is_empty());
            if self.world.calm.get() {
                match self.later.first_key_value() {
                    Some(((due_ms, _), _)) => self.world.now_ms.set(self.world.now_ms.get().max(*due_ms)),
                    None => break,
                }
            }
            self.step();
            if step % 5_000 == 0 {
                self.ledger.check_accounts();
            }
        }
        self.ledger.tell_all();
        self.ledger.check_accounts();
    }

    fn below(&self, n: usize) -> usize {
        self.world.chance.borrow_mut().below(n)
    }

    fn step(&mut self) {
        let passes = u64::try_from(self.below(10)).unwrap();
        self.world.now_ms.set(self.world.now_ms.get() + passes);
        while let Some(entry) = self.later.first_entry().filter(|entry| entry.key().0 <= self.world.now_ms.get()) {
            self.ready.push(entry.remove());
        }
        let has_room = self.running.len() < ISOLATES * BATCHES_PER_ISOLATE;
        match self.below(1_000) {
            0..150 if self.traffic.sent.len() < self.plan.deltas && self.ready.len() < self.plan.waiting => {
                for _ in 0..=self.below(200) {
                    self.produce();
                }
            }
            150..300 if has_room && !self.ready.is_empty() => self.deliver(),
            300..302 if !self.running.is_empty() => self.crash(),
            302..304 => {
                self.world.count("ledger restarts");
                self.ledger.restart(self.below(usize::try_from(self.plan.ledgers).unwrap()));
            }
            320..330 if self.plan.ledgers > 1 => {
                self.ledger.tell(self.below(usize::try_from(self.plan.ledgers).unwrap()));
            }
            304..310 => {
                if let Some(bounds) = self.plan.forget {
                    self.ledger.forget(&bounds, 16);
                }
            }
            _ if !self.running.is_empty() => {
                let at = self.below(self.running.len());
                self.poll(at);
            }
            _ if !self.ready.is_empty() => self.deliver(),
            _ => {}
        }
    }

    fn next_id(&mut self) -> String {
        self.last_id += 1;
        format!("{:032x}", self.last_id)
    }

    fn enqueue(&mut self, id: String, body: MessageBody, record: Option<usize>) {
        self.world.count("messages");
        let message = QueueMessage { id, sent_ms: self.world.now_ms.get(), attempts: 1, body };
        self.ready.push(Item { message: message.clone(), record });
        // The queue delivers some messages twice, at the same time or much later.
        if self.world.chance.borrow_mut().per_mille(self.plan.duplicates) {
            self.world.count("duplicated");
            let due_ms = self.world.now_ms.get() + u64::try_from(self.below(60_000)).unwrap();
            self.put_later(due_ms, Item { message, record });
        }
    }

    fn put_later(&mut self, due_ms: u64, item: Item) {
        self.last_id += 1;
        self.later.insert((due_ms, self.last_id), item);
    }

    fn produce(&mut self) {
        let now_ms = self.world.now_ms.get();
        let index = self.traffic.sent.len();
        let id = self.next_id();
        match self.below(1_000) {
            0..30 => {
                // The stream that the id of the message stands for, asked of the code: which one it is does not matter
                // here, only that it is always the same.
                let probe =
                    QueueMessage { id: id.clone(), sent_ms: 0, attempts: 1, body: MessageBody::Text("{}".into()) };
                let stream_id = decode(&probe, LEGACY_PRODUCER).unwrap().record.stream_id.0;
                let body = self.traffic.next_legacy(stream_id, &mut self.world.chance.borrow_mut());
                self.enqueue(id, body, Some(index));
            }
            30..35 => {
                let bodies = [
                    MessageBody::Bytes(vec![0xff; 40]),
                    MessageBody::Text("{\"telemetryData\":7}".into()),
                    MessageBody::Other,
                ];
                let body = bodies[self.below(3)].clone();
                self.poison.insert(id.clone());
                self.enqueue(id, body, None);
            }
            draw => {
                let body = self.traffic.next(now_ms, &mut self.world.chance.borrow_mut());
                if draw < 65 {
                    // An ambiguous send: the producer sends the same record again, as another message.
                    self.world.count("resent");
                    let again = self.next_id();
                    self.enqueue(again, body.clone(), Some(index));
                } else if draw < 67 {
                    self.backend.grudges.borrow_mut().insert(index);
                }
                self.enqueue(id, body, Some(index));
            }
        }
    }

    fn deliver(&mut self) {
        let isolate = self.below(ISOLATES);
        let size = (1 + self.below(100)).min(self.ready.len());
        let mut items = Vec::with_capacity(size);
        for _ in 0..size {
            let at = self.below(self.ready.len());
            items.push(self.ready.swap_remove(at));
        }
        self.world.count("batches");
        let messages: Vec<QueueMessage> = items.iter().map(|item| item.message.clone()).collect();
        let (ledger, backend, dead) = (Rc::clone(&self.ledger), Rc::clone(&self.backend), Rc::clone(&self.dead));
        let report = Rc::clone(&self.isolates[isolate]);
        let now_ms = self.world.now_ms.get();
        let random = u32::try_from(self.below(1 << 32)).unwrap();
        let future = Box::pin(async move {
            let surroundings =
                Surroundings { now_ms, random, resolver_id: LEGACY_PRODUCER, dimensions: Dimensions::default() };
            process(&messages, &*ledger, &*backend, &*dead, &report, surroundings).await
        });
        self.running.push(Running { isolate, items, future });
    }

    fn poll(&mut self, at: usize) {
        let mut context = Context::from_waker(Waker::noop());
        let Poll::Ready(result) = self.running[at].future.as_mut().poll(&mut context) else { return };
        let Running { items, .. } = self.running.swap_remove(at);
        assert_eq!(result.verdicts.len(), items.len());
        for (item, verdict) in items.into_iter().zip(result.verdicts) {
            match verdict {
                MessageVerdict::Ack => assert!(item.record.is_some(), "poison is never acked as good"),
                MessageVerdict::Dead => self.bury(item),
                MessageVerdict::Retry(delay) => self.retry(item, u64::try_from(delay.as_millis()).unwrap()),
            }
        }
    }

    /// Somebody looks at the dead letter, mends what was wrong, and puts what is good back.
    fn bury(&mut self, mut item: Item) {
        assert!(self.dead.letters.borrow().contains(&item.message.id), "dead, and nobody has its letter");
        if let Some(record) = item.record {
            self.world.count("redriven");
            self.backend.grudges.borrow_mut().remove(&record);
            item.message.attempts = 1;
            self.ready.push(item);
        }
    }

    fn retry(&mut self, mut item: Item, delay_ms: u64) {
        self.world.count("retried");
        item.message.attempts += 1;
        let due_ms = self.world.now_ms.get() + delay_ms;
        self.put_later(due_ms, item);
    }

    /// An invocation ends in the middle, or its whole isolate does; nobody acked its messages.
    fn crash(&mut self) {
        self.world.count("crashes");
        let at = self.below(self.running.len());
        let isolate = self.running[at].isolate;
        if self.below(2) == 0 {
            let one = self.running.swap_remove(at);
            self.redeliver(one);
            return;
        }
        while let Some(at) = self.running.iter().position(|running| running.isolate == isolate) {
            let one = self.running.swap_remove(at);
            self.redeliver(one);
        }
        // What the isolate had to say of itself dies with it.
        self.isolates[isolate] = self.new_report();
    }

    fn redeliver(&mut self, running: Running) {
        for item in running.items {
            let delay_ms = u64::try_from(self.below(2_000)).unwrap();
            self.retry(item, delay_ms);
        }
    }

    fn new_report(&self) -> Rc<RefCell<SelfReport>> {
        let mut chance = self.world.chance.borrow_mut();
        let id = u128::from(chance.next()) << 64 | u128::from(chance.next());
        Rc::new(RefCell::new(SelfReport::new(StreamId(id.to_be_bytes()))))
    }
}
