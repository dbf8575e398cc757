//! The events, in the order of their time.

use std::{
    cell::RefCell,
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    rc::Rc,
};

use tributary_consumer::self_report::SelfReport;
use tributary_local::random::DemoRandom;
use tributary_proto::envelope::StreamId;

use self::consume::Run;
use crate::{
    chance::happens,
    outcome::{Outcome, Watch},
    plans::Plan,
    platform::AUTOSCALE,
    producer::Isolate,
    queue::{Item, Queue},
    server::Server,
    traffic::stream_id,
};

mod consume;
mod publish;

/// Microseconds.
const SECOND: u64 = 1_000_000;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Open(usize),
    Seal(usize),
    Send(usize),
    Queue(usize),
    Autoscale,
    /// Run, and the call of it that is answered.
    Resume(u64, u64),
    /// The request of a call of a run reaches its Ledger.
    Arrive(u64, u64),
    Done(usize),
    Alarm(usize),
    /// What a Ledger tells reaches ledger 0.
    Tell(usize),
    /// The answer to it, or that none came.
    Told(usize, bool),
    Published,
    Look,
}

/// A run of the whole.
pub(crate) struct Simulation {
    plan: Plan,
    now: u64,
    random: DemoRandom,
    events: BinaryHeap<Reverse<(u64, u64, Event)>>,
    order: u64,
    isolates: Vec<Isolate>,
    queues: Vec<Queue>,
    servers: Vec<Server>,
    runs: BTreeMap<u64, Run>,
    last_run: u64,
    last_id: u64,
    /// Reports of the consumer's isolates, by queue and slot.
    reports: BTreeMap<(usize, usize), Rc<RefCell<SelfReport>>>,
    free: Vec<Vec<usize>>,
    watch: Watch,
}

impl Simulation {
    /// A run that has not begun.
    pub(crate) fn new(plan: Plan) -> Self {
        let queues = (0..plan.shards).map(|_| Queue::new(plan.consumers)).collect();
        let free = (0..plan.shards).map(|_| (0..crate::platform::CONSUMERS).rev().collect()).collect();
        let mut simulation = Self {
            now: 0,
            random: DemoRandom::seeded(plan.seed),
            events: BinaryHeap::new(),
            order: 0,
            isolates: (0..plan.isolates).map(|_| Isolate::default()).collect(),
            queues,
            servers: (0..plan.shards).map(|_| Server::new()).collect(),
            runs: BTreeMap::new(),
            last_run: 0,
            last_id: 0,
            reports: BTreeMap::new(),
            free,
            watch: Watch::default(),
            plan,
        };
        let within = (simulation.plan.flush_ms + 1) * 1_000;
        for isolate in 0..simulation.plan.isolates {
            let at = simulation.random.below(within);
            simulation.at(at, Event::Open(isolate));
        }
        simulation.at(AUTOSCALE, Event::Autoscale);
        simulation.at(SECOND, Event::Look);
        simulation
    }

    /// Runs until everything that was sent is settled and published.
    pub(crate) fn finish(mut self) -> Outcome {
        while let Some(Reverse((at, _, event))) = self.events.pop() {
            self.now = at;
            assert!(at < 50 * self.plan.seconds * SECOND, "it never settles: {:?}", self.watch);
            self.step(event);
            if self.is_over() {
                break;
            }
        }
        self.watch.settled_us = self.now;
        let (state, status) = self.servers[0].snapshot(self.now);
        Outcome::new(&self.plan, &self.watch, &self.isolates, &self.servers, &state, &status)
    }

    fn is_over(&self) -> bool {
        self.now > self.plan.seconds * SECOND
            && self.runs.is_empty()
            && self.queues.iter().all(|queue| queue.waiting() == 0)
            && self.isolates.iter().all(|isolate| !isolate.holds())
            && self.servers.iter().all(Server::is_idle)
    }

    fn at(&mut self, at: u64, event: Event) {
        self.order += 1;
        self.events.push(Reverse((at, self.order, event)));
    }

    fn step(&mut self, event: Event) {
        match event {
            Event::Open(isolate) => self.open(isolate),
            Event::Seal(isolate) => self.seal(isolate),
            Event::Send(isolate) => {
                self.isolates[isolate].retries = false;
                self.send(isolate);
            }
            Event::Queue(queue) => {
                self.queues[queue].wakes_at = None;
                self.deliver(queue);
            }
            Event::Autoscale => {
                // Consumers that have stopped are not made more.
                for index in 0..self.queues.len() {
                    if !self.plan.stops(index, self.now) {
                        self.queues[index].autoscale();
                    }
                }
                (0..self.queues.len()).for_each(|queue| self.deliver(queue));
                self.at(self.now + AUTOSCALE, Event::Autoscale);
            }
            Event::Resume(run, call) => self.resume(run, call),
            Event::Arrive(run, call) => self.arrive(run, call),
            Event::Done(ledger) => self.done(ledger),
            Event::Alarm(ledger) => self.alarm(ledger),
            Event::Tell(ledger) => self.tell(ledger),
            Event::Told(ledger, is_answered) => self.told(ledger, is_answered),
            Event::Published => self.published(),
            Event::Look => self.look(),
        }
    }

    fn open(&mut self, index: usize) {
        let seals_at = self.isolates[index].open(self.now, self.plan.rate, self.plan.flush_ms * 1_000);
        self.at(seals_at, Event::Seal(index));
    }

    fn seal(&mut self, index: usize) {
        let (resolves, window) = self.isolates[index].seal(index, self.now, &self.plan, &mut self.random);
        self.watch.resolves += resolves;
        let next = self.now + window.next_us;
        if next < self.plan.seconds * SECOND {
            self.at(next, Event::Open(index));
        }
        self.send(index);
    }

    /// Sends what waits, to the stream's own queue first and to the next where one refuses.
    fn send(&mut self, index: usize) {
        let home = self.home(index);
        let shards = self.queues.len();
        while let Some(sealed) = self.isolates[index].outbox.pop_front() {
            self.last_id += 1;
            let (body, bytes) = (Rc::clone(&sealed.body), sealed.bytes);
            let mut item = Item { id: self.last_id, sent_us: self.now, attempts: 1, body, bytes };
            let mut taken = None;
            for step in 0..shards {
                let queue = (home + step) % shards;
                let refuses = self.plan.refuses(queue, self.now);
                match if refuses { Err(crate::queue::Refused) } else { self.queues[queue].send(self.now, item) } {
                    Ok(()) => {
                        taken = Some((queue, step));
                        break;
                    }
                    Err(_) => {
                        self.watch.refused += 1;
                        let body = Rc::clone(&sealed.body);
                        item = Item { id: self.last_id, sent_us: self.now, attempts: 1, body, bytes };
                    }
                }
            }
            let Some((queue, step)) = taken else {
                self.isolates[index].outbox.push_front(sealed);
                self.watch.held = self.watch.held.max(self.isolates[index].outbox.len());
                if !std::mem::replace(&mut self.isolates[index].retries, true) {
                    self.at(self.now + SECOND, Event::Send(index));
                }
                return;
            };
            self.watch.messages += 1;
            self.watch.failovers += u64::from(step > 0);
            if happens(self.plan.faults.duplicates, &mut self.random) {
                let due = self.now + self.random.below(30 * SECOND);
                let body = Rc::clone(&sealed.body);
                let copy = Item { id: self.last_id, sent_us: self.now, attempts: 1, body, bytes };
                self.queues[queue].put_later(due, copy);
                self.watch.duplicates += 1;
            }
            self.deliver(queue);
        }
        // What the outbox had no room for is sealed with the next window, and where none comes any more one is begun.
        let isolate = &self.isolates[index];
        if isolate.holds() && !isolate.is_open && self.now > self.plan.seconds * SECOND {
            self.at(self.now + 1, Event::Open(index));
        }
    }

    /// The queue that an isolate sends to first.
    fn home(&self, index: usize) -> usize {
        let id = StreamId(stream_id(u64::try_from(index).unwrap()));
        usize::try_from(id.share(u32::try_from(self.queues.len()).unwrap())).unwrap()
    }

    /// Delivers batches as long as a queue has any, and wakes when it has the next.
    fn deliver(&mut self, queue: usize) {
        if !self.plan.stops(queue, self.now) {
            while let Some(items) = self.queues[queue].batch(self.now) {
                self.invoke(queue, items);
            }
        }
        let wake = match self.plan.stopped_until(queue, self.now) {
            Some(until) => Some(until),
            None => self.queues[queue].wake(self.now),
        };
        if let Some(at) = wake
            && self.queues[queue].wakes_at.is_none_or(|set| at < set)
        {
            self.queues[queue].wakes_at = Some(at);
            self.at(at, Event::Queue(queue));
        }
    }

    fn look(&mut self) {
        let waiting: usize = self.queues.iter().map(Queue::waiting).sum();
        let bytes = self.queues.iter().map(|queue| queue.bytes).fold(0.0, f64::max);
        let running = self.queues.iter().map(|queue| queue.running).sum();
        self.watch.look(self.now / SECOND, waiting, bytes, running);
        for server in &mut self.servers {
            if happens(self.plan.faults.restarts, &mut self.random) {
                server.object.restart();
                self.watch.restarts += 1;
            }
            let (_, unfolded) = server.object.streams();
            let (_, bytes) = server.object.journal();
            self.watch.most_unfolded = self.watch.most_unfolded.max(unfolded);
            self.watch.most_journal_bytes = self.watch.most_journal_bytes.max(bytes);
            self.watch.most_state_bytes = self.watch.most_state_bytes.max(server.object.state_bytes());
        }
        self.at(self.now + SECOND, Event::Look);
    }
}
