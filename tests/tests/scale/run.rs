//! The events, in the order of their time.

use std::{
    cell::RefCell,
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    future::Future,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use tributary_consumer::{
    backend::delivery::DeliveryOutcome,
    dimensions::Dimensions,
    ledger::publish::Schedule,
    message::{MessageBody, QueueMessage},
    pipeline::{BatchResult, LedgerFailure, MessageVerdict, Surroundings, process},
    self_report::SelfReport,
};
use tributary_local::random::DemoRandom;
use tributary_proto::envelope::StreamId;
use tributary_telemetry::Snapshot;

use crate::{
    START_MS,
    chance::{between, happens, whole},
    merge::add_snapshot,
    outcome::{Outcome, Watch},
    plans::Plan,
    platform::{AUTOSCALE, BACKEND, CONNECTIONS, COSTS, DURABLE, KV_PUT, NETWORK, READ_REQUEST, START, WASM},
    ports::{Call, Ports, Reply, Wire},
    producer::Isolate,
    queue::{Item, Queue},
    server::{Done, Job, Server, publication},
    traffic::{RESOLVER_ID, stream_id},
};
use tributary_tests::growth::as_f64;

/// Microseconds.
const SECOND: u64 = 1_000_000;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Open(usize),
    Seal(usize),
    Send(usize),
    Queue(usize),
    Autoscale,
    Resume(u64),
    /// The request of a run reaches its Ledger.
    Arrive(u64),
    Done(usize),
    Alarm,
    /// The snapshots of all Ledgers are asked for.
    Ask(usize),
    Published,
    Look,
}

/// Messages of one Ledger in an invocation of the consumer.
struct Run {
    queue: usize,
    ledger: usize,
    slot: usize,
    items: Vec<Item>,
    wire: Rc<Wire>,
    future: Pin<Box<dyn Future<Output = BatchResult>>>,
    request: Option<Vec<u8>>,
    invocation: u64,
}

/// A publication under way.
#[derive(Default)]
struct Publication {
    /// Snapshots that are not there yet.
    missing: usize,
    states: Vec<Snapshot>,
    /// What the states have in them: isolate and sequence.
    records: Vec<(usize, u64)>,
    version: u64,
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
    /// Runs of each invocation that have not ended.
    invocations: BTreeMap<u64, usize>,
    last_id: u64,
    /// Reports of the consumer's isolates, by slot and Ledger.
    reports: BTreeMap<(usize, usize, usize), Rc<RefCell<SelfReport>>>,
    free: Vec<Vec<usize>>,
    schedule: Schedule,
    publication: Publication,
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
            invocations: BTreeMap::new(),
            last_id: 0,
            reports: BTreeMap::new(),
            free,
            schedule: Schedule::default(),
            publication: Publication::default(),
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
        let states: Vec<(Snapshot, _)> = self.servers.iter_mut().map(|server| server.snapshot(self.now)).collect();
        Outcome::new(&self.plan, &self.watch, &self.isolates, &mut self.servers, states)
    }

    fn is_over(&self) -> bool {
        self.now > self.plan.seconds * SECOND
            && self.runs.is_empty()
            && self.publication.missing == 0
            && self.queues.iter().all(|queue| queue.waiting() == 0)
            && self.isolates.iter().all(|isolate| !isolate.holds())
            && self.servers.iter().all(|server| server.unpublished.is_empty() && server.waiting.is_empty())
            && self.publication.records.is_empty()
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
            Event::Resume(run) => self.resume(run),
            Event::Arrive(run) => self.arrive(run),
            Event::Done(ledger) => self.done(ledger),
            Event::Alarm => self.alarm(),
            Event::Ask(ledger) => {
                let _always_taken = self.servers[ledger].take(Job::Snapshot).is_ok();
                self.work(ledger);
            }
            Event::Published => self.published(),
            Event::Look => self.look(),
        }
    }

    fn open(&mut self, index: usize) {
        let seals_at = self.isolates[index].open(self.now, self.plan.rate, self.plan.flush_ms * 1_000);
        self.at(seals_at, Event::Seal(index));
    }

    fn seal(&mut self, index: usize) {
        let (resolves, window) = self.isolates[index].seal(index, self.now, self.plan.rate, &mut self.random);
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
            let mut item = Item { id: self.last_id, isolate: index, sent_us: self.now, attempts: 1, body, bytes };
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
                        item = Item { id: self.last_id, isolate: index, sent_us: self.now, attempts: 1, body, bytes };
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
                let copy = Item { id: self.last_id, isolate: index, sent_us: self.now, attempts: 1, body, bytes };
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

    /// The shard of a stream, as its queue and as its Ledger: a hash of its id, which is random.
    fn home(&self, index: usize) -> usize {
        let id = stream_id(u64::try_from(index).unwrap());
        let high = u64::try_from(u128::from_be_bytes(id) >> 64).unwrap_or_default();
        usize::try_from(high % u64::try_from(self.queues.len()).unwrap()).unwrap()
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

    fn invoke(&mut self, queue: usize, items: Vec<Item>) {
        let Some(slot) = self.free[queue].pop() else { unreachable!("no more run than there are") };
        self.queues[queue].running += 1;
        self.last_run += 1;
        let invocation = self.last_run;
        let mut by_ledger: BTreeMap<usize, Vec<Item>> = BTreeMap::new();
        for item in items {
            by_ledger.entry(self.home(item.isolate)).or_default().push(item);
        }
        self.invocations.insert(invocation, by_ledger.len());
        self.watch.batches += 1;
        for (ledger, items) in by_ledger {
            let messages = as_f64(u64::try_from(items.len()).unwrap());
            let starts_at = self.now + START + whole(messages * COSTS.message * WASM);
            let report = self.reports.entry((queue, slot, ledger)).or_insert_with(|| {
                let id = u128::from(self.random.next_u64()) << 64 | u128::from(self.random.next_u64());
                Rc::new(RefCell::new(SelfReport::new(StreamId(id.to_be_bytes()))))
            });
            let (report, wire) = (Rc::clone(report), Rc::new(Wire::default()));
            let message = |item: &Item| QueueMessage {
                id: item.id.to_string(),
                sent_ms: START_MS + item.sent_us / 1_000,
                attempts: item.attempts,
                body: MessageBody::Bytes(item.body.to_vec()),
            };
            let messages: Vec<QueueMessage> = items.iter().map(message).collect();
            let random = u32::try_from(self.random.below(1 << 32)).unwrap_or_default();
            let surroundings = Surroundings {
                now_ms: START_MS + starts_at / 1_000,
                random,
                resolver_id: RESOLVER_ID,
                dimensions: Dimensions::default(),
            };
            let ports = Ports(Rc::clone(&wire));
            let future =
                Box::pin(async move { process(&messages, &ports, &ports, &ports, &report, surroundings).await });
            self.last_run += 1;
            self.runs
                .insert(self.last_run, Run { queue, ledger, slot, items, wire, future, request: None, invocation });
            self.at(starts_at, Event::Resume(self.last_run));
        }
    }

    fn resume(&mut self, id: u64) {
        let Some(run) = self.runs.get_mut(&id) else { return };
        if happens(self.plan.faults.crashes, &mut self.random) {
            self.watch.crashes += 1;
            return self.crash(id);
        }
        run.wire.now_ms.set(START_MS + self.now / 1_000);
        let result = match run.future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(result) => result,
            Poll::Pending => {
                let after = match run.wire.call.take() {
                    Some(Call::Commit(request)) => {
                        run.request = Some(request);
                        (between(NETWORK, &mut self.random), Event::Arrive(id))
                    }
                    Some(Call::Deliver) => {
                        run.wire.reply.replace(Some(Reply::Delivered(DeliveryOutcome::Delivered)));
                        (between(BACKEND, &mut self.random), Event::Resume(id))
                    }
                    None => unreachable!("it waits for something"),
                };
                return self.at(self.now + after.0, after.1);
            }
        };
        let Some(run) = self.runs.remove(&id) else { return };
        for (mut item, verdict) in run.items.iter().cloned().zip(result.verdicts) {
            self.queues[run.queue].bytes -= item.bytes;
            match verdict {
                MessageVerdict::Ack => {}
                MessageVerdict::Dead => panic!("a good message died: {:?}", result.events),
                MessageVerdict::Retry(delay) => {
                    item.attempts += 1;
                    self.watch.retries += 1;
                    let due = self.now + u64::try_from(delay.as_micros()).unwrap();
                    self.queues[run.queue].put_later(due, item);
                }
            }
        }
        self.ended(&run);
    }

    /// The isolate of a run is gone: nobody acked its messages.
    fn crash(&mut self, id: u64) {
        let Some(run) = self.runs.remove(&id) else { return };
        for mut item in run.items.iter().cloned() {
            item.attempts += 1;
            self.queues[run.queue].bytes -= item.bytes;
            let due = self.now + between((SECOND, 5 * SECOND), &mut self.random);
            self.queues[run.queue].put_later(due, item);
        }
        self.reports.remove(&(run.queue, run.slot, run.ledger));
        self.ended(&run);
    }

    fn ended(&mut self, run: &Run) {
        let left = self.invocations.get_mut(&run.invocation);
        if let Some(left) = left {
            *left -= 1;
            if *left == 0 {
                self.invocations.remove(&run.invocation);
                self.free[run.queue].push(run.slot);
                self.queues[run.queue].running -= 1;
            }
        }
        self.deliver(run.queue);
    }

    fn arrive(&mut self, id: u64) {
        let Some(run) = self.runs.get_mut(&id) else { return };
        let Some(request) = run.request.take() else { return };
        let ledger = run.ledger;
        self.watch.commits += 1;
        if self.servers[ledger].take(Job::Commit { run: id, request }).is_err() {
            return self.answer(id, Err(LedgerFailure("overloaded".to_owned())), 0);
        }
        self.work(ledger);
    }

    fn answer(&mut self, id: u64, answer: Result<tributary_proto::v1::CommitResponse, LedgerFailure>, after: u64) {
        let Some(run) = self.runs.get(&id) else { return };
        run.wire.reply.replace(Some(Reply::Commit(answer)));
        let at = self.now + after + between(NETWORK, &mut self.random);
        self.at(at, Event::Resume(id));
    }

    /// Makes a Ledger go on.
    fn work(&mut self, ledger: usize) {
        if let Some(took) = self.servers[ledger].begin(self.now) {
            self.at(self.now + took, Event::Done(ledger));
        }
    }

    fn done(&mut self, ledger: usize) {
        match self.servers[ledger].end() {
            None => {}
            Some(Done::Commit { run, response }) => {
                let is_lost = happens(self.plan.faults.lost_answers, &mut self.random);
                self.watch.lost_answers += u64::from(is_lost);
                let answer = if is_lost { Err(LedgerFailure("no answer".to_owned())) } else { Ok(response) };
                self.answer(run, answer, DURABLE);
                self.arm();
            }
            Some(Done::Snapshot) => {
                // The records that are in it are those that were applied by now.
                let (state, _) = self.servers[ledger].snapshot(self.now);
                self.publication.states.push(state);
                let records = std::mem::take(&mut self.servers[ledger].unpublished);
                self.publication.records.extend(records);
                self.publication.missing -= 1;
                if self.publication.missing == 0 {
                    let merged = self.plan.ledgers - 1;
                    let _always_taken = self.servers[0].take(Job::Publish { merged }).is_ok();
                    self.work(0);
                }
            }
            Some(Done::Publish) => {
                let mut states = std::mem::take(&mut self.publication.states).into_iter();
                let mut state = states.next().unwrap();
                states.for_each(|other| add_snapshot(&mut state, &other, START_MS + self.now / 1_000));
                let (_, status) = self.servers[0].snapshot(self.now);
                self.watch.text_bytes = self.watch.text_bytes.max(publication(&state, &status, self.now));
                if self.watch.put(self.now, &state) {
                    let put = between(KV_PUT, &mut self.random) + between(KV_PUT, &mut self.random);
                    self.at(self.now + put, Event::Published);
                } else {
                    // Too soon after the one before: what was to be published goes with the next.
                    self.arm();
                }
            }
        }
        self.work(ledger);
    }

    fn version(&mut self) -> u64 {
        let now = self.now;
        self.servers.iter_mut().map(|server| server.object.book(START_MS + now / 1_000).state.version()).sum()
    }

    /// Sets the alarm of the publication, where it has to be.
    fn arm(&mut self) {
        let version = self.version();
        let (now_ms, interval) = (START_MS + self.now / 1_000, Duration::from_millis(self.plan.publish_ms));
        if let Some(delay) = self.schedule.alarm_after_change(version, now_ms, interval) {
            let at = self.now + u64::try_from(delay.as_micros()).unwrap();
            self.at(at, Event::Alarm);
        }
    }

    fn alarm(&mut self) {
        let now_ms = START_MS + self.now / 1_000;
        self.schedule.alarm_came(now_ms, Duration::from_secs(60));
        let interval = Duration::from_millis(self.plan.publish_ms);
        if self.schedule.is_early(now_ms, interval) || self.publication.missing > 0 {
            return self.arm();
        }
        self.schedule.started(now_ms);
        self.publication.version = self.version();
        self.publication.missing = self.servers.len();
        for ledger in 0..self.servers.len() {
            let network = if ledger == 0 { 0 } else { between(NETWORK, &mut self.random) };
            // Ledgers that are not simulated are asked in turn, so many at a time as there are connections.
            let others = (self.plan.ledgers - self.servers.len()).div_ceil(CONNECTIONS);
            let (least, most) = NETWORK;
            let turn = u64::midpoint(least, most) * 2 + whole(READ_REQUEST + COSTS.render * WASM);
            let waits = if ledger == 0 { u64::try_from(others).unwrap() * turn } else { 0 };
            self.at(self.now + network + waits, Event::Ask(ledger));
        }
    }

    fn published(&mut self) {
        let records = std::mem::take(&mut self.publication.records);
        self.watch.published(self.now, &records, &self.isolates, self.plan.warm_up_s * SECOND);
        self.schedule.published(self.publication.version);
        self.arm();
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
        // A publication whose alarm was put off by the one before.
        self.arm();
    }
}
