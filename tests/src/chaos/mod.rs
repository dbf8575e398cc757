//! Everything under fire, in the real runtime: queues that duplicate, reorder and redeliver, a runtime that is killed,
//! handlers that throw when everything is done, calls of the Ledger whose answers are lost, a backend that refuses,
//! hangs and resets, KV puts and queue sends that fail, after they took effect or before.
//!
//! The test plays both queues, which are durable as the real ones are, and most of the producers; workerd, Durable
//! Object, KV and both Workers are the real ones. What was sent is summed up outside ([`oracle`]), and at the end the
//! cumulative metrics must equal it to the last count, the backend must have seen every assignment, and the dead letters
//! must be the poison.
//!
//! | file | what it holds |
//! | --- | --- |
//! | [`oracle`] | what is sent, and what it must come to |
//! | [`custom`] | the same of what Workers count of their own: families, and OpenTelemetry's points |
//! | [`worker`] | the real producer Worker, and what its answers said |
//! | [`queue`] | a queue: what is under way, what comes again |
//! | [`faults`] | what strikes where |
//! | [`front`] | what the Workers talk to: the backend behind faults, the queues |
//! | [`report`] | the reckoning, and its table |
//! | `mod` | the run: deliveries, kills, outages |

pub mod custom;
pub mod faults;
pub mod front;
pub mod oracle;
pub mod queue;
pub mod report;
pub mod worker;

use std::{
    collections::BTreeSet,
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use tributary_local::{
    backend::{Backend, Expected},
    random::DemoRandom,
    secrets::Secret,
};
use tributary_proto::envelope::Envelope;

use crate::consumer::{Body, CLIENT_SECRET, Consumer, Delivery, QueueResult, state_with_route};
use faults::{Fate, Faults, Place};
use front::Front;
use oracle::Oracle;
use queue::{Queue, Sent};
pub use report::Report;
use worker::{Resolved, Worker};

/// Consumers that take from the queue at a time.
const CONSUMERS: usize = 6;
/// Consumers that take from the dead-letter queue.
const DEAD_CONSUMERS: usize = 2;
/// The most messages of one batch.
const MAX_BATCH: u64 = 30;
/// The most letters of one batch.
const MAX_DEAD_BATCH: u64 = 5;
/// New records a second, beside those of the real producer.
const RECORDS_PER_SECOND: u64 = 150;
/// The most messages under way, past which nothing new is produced: what a slow machine cannot do must not pile up.
const MAX_UNDER_WAY: usize = 500;
/// How long the end may go on without any message arriving that is under way, though everything is healed.
const SETTLE_LIMIT: Duration = Duration::from_secs(60);
/// The account of the resolver state, which the backend's ingest is told.
const ACCOUNT_ID: &str = "chaos";

/// What the threads of a run share.
pub struct Run {
    deltas: Mutex<Queue>,
    letters: Mutex<Queue>,
    faults: Mutex<Faults>,
    /// Streams and sequences of the records that the real producer sent, each once.
    sent: Mutex<BTreeSet<([u8; 16], u64)>>,
    /// `None` while the runtime is down.
    consumer: RwLock<Option<Arc<Consumer>>>,
    is_over: AtomicBool,
    messages: AtomicU64,
    deliveries: AtomicU64,
}

/// A poisoned lock only means that another thread panicked, which fails the run by itself.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Run {
    fn new(seed: u64) -> Self {
        let mut random = DemoRandom::seeded(seed);
        Self {
            deltas: Mutex::new(Queue::new(random.next_u64())),
            letters: Mutex::new(Queue::new(random.next_u64())),
            faults: Mutex::new(Faults::new(random.next_u64())),
            sent: Mutex::default(),
            consumer: RwLock::default(),
            is_over: AtomicBool::new(false),
            messages: AtomicU64::new(0),
            deliveries: AtomicU64::new(0),
        }
    }

    fn consumer(&self) -> Option<Arc<Consumer>> {
        self.consumer.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn replace_consumer(&self, consumer: Option<Consumer>) -> Option<Arc<Consumer>> {
        let mut slot = self.consumer.write().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *slot, consumer.map(Arc::new))
    }

    fn draw(&self, place: Place) -> Fate {
        lock(&self.faults).draw(place)
    }

    fn is_healed(&self) -> bool {
        lock(&self.faults).is_healed()
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    /// Takes in what a Worker sends to a queue; from then on it is durable.
    fn take_in(&self, place: Place, bodies: Vec<Vec<u8>>) {
        for body in bodies {
            let id = format!("{place:?}-{}", self.messages.fetch_add(1, Ordering::Relaxed));
            let queue = match place {
                Place::DeadSend => &self.letters,
                _ => {
                    // What is no envelope is no record: that shows as a difference.
                    if let Ok(envelope) = Envelope::decode(&body) {
                        lock(&self.sent).insert((envelope.stream_id.0, envelope.sequence));
                    }
                    &self.deltas
                }
            };
            lock(queue).send(Sent { delivery: oracle::delivery(id, Body::Bytes(body)), is_resendable: false });
        }
    }

    /// Takes batches from a queue and delivers them until the run is over.
    fn deliver(
        &self,
        queue: &Mutex<Queue>,
        most: u64,
        deliver: fn(&Consumer, &[Delivery]) -> Result<QueueResult, String>,
    ) {
        while !self.is_over() {
            let batch = lock(queue).take(most);
            let Some(consumer) = self.consumer().filter(|_| !batch.is_empty()) else {
                lock(queue).put_back(batch);
                thread::sleep(Duration::from_millis(20));
                continue;
            };
            let deliveries: Vec<Delivery> = batch.iter().map(|message| message.delivery.clone()).collect();
            self.deliveries.fetch_add(deliveries.len().try_into().unwrap_or(u64::MAX), Ordering::Relaxed);
            let result = deliver(&consumer, &deliveries);
            lock(queue).settle(batch, result.ok().as_ref());
        }
    }

    fn under_way(&self) -> (usize, usize) {
        (lock(&self.deltas).len(), lock(&self.letters).len())
    }
}

/// Runs for `duration` with the choices of `seed`, below `folder`, and reckons up.
///
/// # Errors
/// Where the run itself could not be done; an inexact result is a [`Report`].
pub fn run(seed: u64, duration: Duration, folder: &Path) -> Result<Report, String> {
    let expected = Expected { client_secret: Secret::new(CLIENT_SECRET), account_id: ACCOUNT_ID.into() };
    let backend = Backend::start(0, expected, Box::new(|_| {})).map_err(|error| error.to_string())?;
    let front = Front::bind(backend.url()).map_err(|error| error.to_string())?;
    let run = Run::new(seed);
    let mut stage = Stage::new(&run, &front, seed, folder)?;
    thread::scope(|scope| {
        front.serve(scope, &run);
        let report = stage.act(scope, seed, duration).and_then(|resolved| {
            // The Ledger still asks what strikes, so the front must still answer.
            let consumer = run.consumer().ok_or("the consumer is down at the end")?;
            let crashes = stage.crashes;
            let ending = report::Ending { seed, crashes, oracle: &stage.oracle, resolved, backend: &backend };
            report::reckon(&run, ending, &consumer, &stage.ledger)
        });
        run.is_over.store(true, Ordering::Relaxed);
        report
    })
}

/// The one thread that produces, breaks and mends.
struct Stage<'a> {
    run: &'a Run,
    oracle: Oracle,
    random: DemoRandom,
    /// Where the consumer and the producer persist.
    ledger: std::path::PathBuf,
    state: std::path::PathBuf,
    backend_url: String,
    control_url: String,
    crashes: u64,
}

impl<'a> Stage<'a> {
    fn new(run: &'a Run, front: &Front, seed: u64, folder: &Path) -> Result<Self, String> {
        let text = |error: std::io::Error| error.to_string();
        let (ledger, state) = (folder.join("consumer"), folder.join("producer"));
        for folder in [&ledger, &state] {
            std::fs::create_dir_all(folder).map_err(text)?;
        }
        Ok(Self {
            run,
            oracle: Oracle::new(seed),
            random: DemoRandom::seeded(seed),
            ledger,
            state,
            backend_url: front.backend_url().map_err(text)?,
            control_url: front.control_url().map_err(text)?,
            crashes: 0,
        })
    }

    /// All of the run, from the start of the Workers until nothing is under way.
    fn act<'scope>(
        &mut self,
        scope: &'scope thread::Scope<'scope, '_>,
        seed: u64,
        duration: Duration,
    ) -> Result<Resolved, String>
    where
        'a: 'scope,
    {
        let run = self.run;
        let consumer = self.start_consumer()?;
        let state = state_with_route(ACCOUNT_ID, &[1, 2])?;
        consumer.put_kv("CONFIDENCE_STATE_KV", "resolver_state", &state)?;
        run.replace_consumer(Some(consumer));
        let worker = Worker::start(seed, &self.state, &self.control_url)?;
        for _ in 0..CONSUMERS {
            scope.spawn(move || run.deliver(&run.deltas, MAX_BATCH, Consumer::deliver));
        }
        for _ in 0..DEAD_CONSUMERS {
            scope.spawn(move || run.deliver(&run.letters, MAX_DEAD_BATCH, Consumer::deliver_dead));
        }
        let worker = scope.spawn(move || worker.drive(run));
        self.fire(duration)?;
        self.settle(|| worker.is_finished())?;
        worker.join().map_err(|_| "the real producer's thread panicked")?
    }

    fn start_consumer(&self) -> Result<Consumer, String> {
        let edge = format!("{}/v1/clientFlagLogs:write", self.backend_url);
        let ingest = format!("{}/v1/flagLogs:ingest", self.backend_url);
        let vars = [
            ("CONFIDENCE_FLAG_LOGS_URL", edge.as_str()),
            ("CONFIDENCE_INGEST_URL", ingest.as_str()),
            ("FAULT_URL", self.control_url.as_str()),
            // Exact and current, whatever became of the published copies.
            ("METRICS_SOURCE", "ledger"),
        ];
        Consumer::start(&self.ledger, &vars)
    }

    /// Kills the runtime and starts it again. Whatever is under way fails, whether it had been committed or not.
    fn crash(&self) -> Result<(), String> {
        if let Some(consumer) = self.run.replace_consumer(None) {
            consumer.crash();
        }
        self.run.replace_consumer(Some(self.start_consumer()?));
        Ok(())
    }

    /// Produces, breaks and mends for `duration`.
    fn fire(&mut self, duration: Duration) -> Result<(), String> {
        let started = Instant::now();
        let mut produced = 0;
        let (mut next_crash, mut next_hang, mut next_outage) = (self.after(3, 3), self.after(1, 1), self.after(1, 4));
        while started.elapsed() < duration {
            let due = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX) * RECORDS_PER_SECOND / 1_000;
            while produced < due {
                produced += 1;
                if self.run.under_way().0 < MAX_UNDER_WAY {
                    let message = self.oracle.next_message();
                    lock(&self.run.deltas).send(message);
                }
            }
            let now = Instant::now();
            if now >= next_hang {
                lock(&self.run.faults).order([Fate::Hang]);
                next_hang = self.after(6, 10);
            }
            if now >= next_outage {
                let requests = 5 + usize::try_from(self.random.below(20)).unwrap_or_default();
                lock(&self.run.faults).order(std::iter::repeat_n(Fate::Refused(503), requests));
                next_outage = self.after(3, 8);
            }
            if now >= next_crash {
                self.crash()?;
                self.crashes += 1;
                // Sometimes longer than a delivery to a backend that hangs lasts.
                next_crash = self.after(6, 16);
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// A time at least so many seconds from now, and up to so many later.
    fn after(&mut self, seconds: u64, spread: u64) -> Instant {
        Instant::now() + Duration::from_millis(seconds * 1_000 + self.random.below(spread * 1_000))
    }

    /// Mends everything, and waits until nothing is under way.
    fn settle(&self, is_producer_done: impl Fn() -> bool) -> Result<(), String> {
        let run = self.run;
        lock(&run.faults).heal();
        lock(&run.deltas).heal();
        lock(&run.letters).heal();
        self.crash()?;
        let (mut fewest, mut progressed) = ((usize::MAX, usize::MAX), Instant::now());
        // First the producer: what it sends is under way then.
        while !is_producer_done() || run.under_way() != (0, 0) {
            let (deltas, letters) = run.under_way();
            if deltas < fewest.0 || letters < fewest.1 {
                fewest = (deltas.min(fewest.0), letters.min(fewest.1));
                progressed = Instant::now();
            }
            if progressed.elapsed() > SETTLE_LIMIT {
                return Err(format!("{deltas} messages and {letters} letters are still under way, and none arrives"));
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }
}
