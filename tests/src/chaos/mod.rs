//! The consumer under fire, in the real runtime: a queue that duplicates, reorders and redelivers, a runtime that is
//! killed, handlers that throw after everything is done, a backend that refuses, hangs and is full, KV puts that fail.
//!
//! The test plays the queue and the producers; workerd, Durable Object and KV are the real ones. What was sent is summed
//! up outside ([`oracle`]), and at the end the cumulative metrics must equal it to the last count.
//!
//! | file | what it holds |
//! | --- | --- |
//! | [`oracle`] | what is sent, and what it must come to |
//! | [`queue`] | the queue: what is under way, what comes again |
//! | `mod` | the run: deliveries, faults, and the reckoning |

pub mod oracle;
pub mod queue;

use std::{
    fmt,
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

use crate::{
    consumer::{CLIENT_SECRET, Consumer, Delivery},
    exposition::Exposition,
    http::Client,
};
use oracle::Oracle;
use queue::Queue;

/// Consumers that take from the queue at a time.
const CONSUMERS: usize = 4;
/// The most messages of one batch.
const MAX_BATCH: u64 = 30;
/// New records a second.
const RECORDS_PER_SECOND: u64 = 150;
/// How long the end may take: everything is healed, and what is under way arrives.
const SETTLE_LIMIT: Duration = Duration::from_secs(60);
/// Faults of the platform while the fire lasts.
const FAULTS: [(&str, &str); 2] = [("FAULT_KV", "0.2"), ("FAULT_THROW", "0.1")];

/// What a run came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The seed that replays the choices of the run.
    pub seed: u64,
    /// Records sent, legacy messages included.
    pub sent: u64,
    /// Messages that were sent twice, and deliveries that were repeated although they had been acked.
    pub duplicated: u64,
    /// Deliveries of messages, each time counted.
    pub deliveries: u64,
    /// Times the runtime was killed.
    pub crashes: u64,
    /// Requests that the backend refused or did not answer.
    pub refused: u64,
    /// Messages that nobody can read.
    pub poison: u64,
    /// Dead letters. A letter that was in the queue of dead letters when the runtime was killed is gone: that queue is in
    /// memory here.
    pub dead: u64,
    /// Records in the metrics.
    pub applied: u64,
    /// Records that are not, and assignments that the backend never saw.
    pub lost: u64,
    /// Records that were counted more than once.
    pub doubled: u64,
    /// Every difference to the oracle. Empty: exact.
    pub differences: Vec<String>,
}

impl Report {
    /// Whether everything came out as it was sent.
    pub fn is_exact(&self) -> bool {
        self.lost == 0 && self.doubled == 0 && self.differences.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in [
            ("seed", self.seed),
            ("sent", self.sent),
            ("duplicated", self.duplicated),
            ("deliveries", self.deliveries),
            ("crashes", self.crashes),
            ("refused", self.refused),
            ("poison", self.poison),
            ("dead letters", self.dead),
            ("applied", self.applied),
            ("lost", self.lost),
            ("doubled", self.doubled),
        ] {
            writeln!(f, "{name:>12} {value:>10}")?;
        }
        self.differences.iter().try_for_each(|difference| writeln!(f, "  DIFFERS: {difference}"))
    }
}

/// What the threads of a run share.
struct Run {
    queue: Mutex<Queue>,
    /// `None` while the runtime is down.
    consumer: RwLock<Option<Arc<Consumer>>>,
    is_over: AtomicBool,
    deliveries: AtomicU64,
}

impl Run {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn consumer(&self) -> Option<Arc<Consumer>> {
        self.consumer.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn replace_consumer(&self, consumer: Option<Consumer>) -> Option<Arc<Consumer>> {
        let mut slot = self.consumer.write().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *slot, consumer.map(Arc::new))
    }

    /// Takes batches and delivers them until the run is over.
    fn deliver(&self, seed: u64) {
        let mut random = DemoRandom::seeded(seed);
        while !self.is_over.load(Ordering::Relaxed) {
            let batch = self.queue().take(&mut random, MAX_BATCH);
            let Some(consumer) = self.consumer().filter(|_| !batch.is_empty()) else {
                self.queue().put_back(batch);
                thread::sleep(Duration::from_millis(20));
                continue;
            };
            let deliveries: Vec<Delivery> = batch.iter().map(|message| message.delivery.clone()).collect();
            self.deliveries.fetch_add(deliveries.len().try_into().unwrap_or(u64::MAX), Ordering::Relaxed);
            let result = consumer.deliver(&deliveries);
            self.queue().settle(batch, result.ok().as_ref(), &mut random);
        }
    }
}

/// Runs for `duration` with the choices of `seed`, below `folder`, and reckons up.
///
/// # Errors
/// Where the run itself could not be done; an inexact result is a [`Report`].
pub fn run(seed: u64, duration: Duration, folder: &Path) -> Result<Report, String> {
    let expected = Expected { client_secret: Secret::new(CLIENT_SECRET), account_id: "chaos".into() };
    let backend = Backend::start(0, expected, Box::new(|_| {})).map_err(|error| error.to_string())?;
    let start = |faults: &[(&str, &str)]| {
        let (edge, ingest) = (backend.flag_logs_url(), backend.ingest_url());
        let mut vars = vec![("CONFIDENCE_FLAG_LOGS_URL", edge.as_str()), ("CONFIDENCE_INGEST_URL", ingest.as_str())];
        vars.extend(faults);
        // Exact and current, whatever became of the published copies.
        vars.push(("METRICS_SOURCE", "ledger"));
        Consumer::start(folder, &vars)
    };
    let run = Run {
        queue: Mutex::new(Queue::default()),
        consumer: RwLock::new(Some(Arc::new(start(&FAULTS)?))),
        is_over: AtomicBool::new(false),
        deliveries: AtomicU64::new(0),
    };
    let mut random = DemoRandom::seeded(seed);
    let mut oracle = Oracle::new(seed);
    let mut crashes = 0;
    let outcome = thread::scope(|scope| {
        for _ in 0..CONSUMERS {
            let seed = random.next_u64();
            let run = &run;
            scope.spawn(move || run.deliver(seed));
        }
        let outcome = fire(&run, &backend, &start, &mut random, &mut oracle, duration, &mut crashes)
            .and_then(|()| settle(&run, &backend, &start));
        run.is_over.store(true, Ordering::Relaxed);
        outcome
    });
    let consumer = run.replace_consumer(None);
    outcome?;
    let consumer = consumer.ok_or("the consumer is down at the end")?;
    let metrics = consumer.metrics()?;
    let queue = run.queue();
    let mut report = Report {
        seed,
        duplicated: queue.duplicated,
        deliveries: run.deliveries.load(Ordering::Relaxed),
        crashes,
        ..Report::default()
    };
    reckon(&mut report, &oracle, &metrics, &backend);
    bury(&mut report, &oracle, &consumer.dead_letters("?limit=100")?);
    Ok(report)
}

/// Produces, breaks and mends for `duration`.
fn fire(
    run: &Run,
    backend: &Backend,
    start: &impl Fn(&[(&str, &str)]) -> Result<Consumer, String>,
    random: &mut DemoRandom,
    oracle: &mut Oracle,
    duration: Duration,
    crashes: &mut u64,
) -> Result<(), String> {
    let client = Client::default();
    let started = Instant::now();
    let mut produced = 0;
    let mut next_event = Instant::now() + Duration::from_secs(2);
    while started.elapsed() < duration {
        let due = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX) * RECORDS_PER_SECOND / 1_000;
        while produced < due {
            let message = oracle.next_message();
            run.queue().send(message, random);
            produced += 1;
        }
        if Instant::now() >= next_event {
            next_event = Instant::now() + Duration::from_millis(500 + random.below(2_500));
            match random.below(4) {
                0 => {
                    // Whatever is under way fails, whether it had been committed or not.
                    if let Some(consumer) = run.replace_consumer(None) {
                        consumer.crash();
                    }
                    *crashes += 1;
                    run.replace_consumer(Some(start(&FAULTS)?));
                }
                1 => fault(&client, backend, &format!(r#"{{"status":503,"times":{}}}"#, 1 + random.below(8)))?,
                2 => fault(&client, backend, &format!(r#"{{"status":429,"times":{}}}"#, 1 + random.below(8)))?,
                _ => fault(&client, backend, r#"{"delay_ms":3000,"times":2}"#)?,
            }
        }
        thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

fn fault(client: &Client, backend: &Backend, fault: &str) -> Result<(), String> {
    client.send("POST", &format!("{}/faults", backend.url()), &[], fault.as_bytes()).map(drop)
}

/// Mends everything, and waits until nothing is under way.
fn settle(
    run: &Run,
    backend: &Backend,
    start: &impl Fn(&[(&str, &str)]) -> Result<Consumer, String>,
) -> Result<(), String> {
    Client::default().send("DELETE", &format!("{}/faults", backend.url()), &[], b"")?;
    if let Some(consumer) = run.replace_consumer(None) {
        consumer.crash();
    }
    run.queue().heal();
    run.replace_consumer(Some(start(&[])?));
    let deadline = Instant::now() + SETTLE_LIMIT;
    while !run.queue().is_empty() {
        if Instant::now() > deadline {
            let (left, refusal) = (run.queue().len(), backend.stats().last_rejection);
            return Err(format!(
                "{left} messages are still under way after {SETTLE_LIMIT:?}; last refusal: {refusal:?}"
            ));
        }
        thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// Compares what the metrics and the backend say with what was sent.
fn reckon(report: &mut Report, oracle: &Oracle, metrics: &Exposition, backend: &Backend) {
    let stats = backend.stats();
    report.sent = oracle.records();
    report.poison = oracle.poison();
    report.refused = stats.faulted;
    let applied = oracle::sum_of(metrics, "tributary_messages_total", "outcome=\"applied\"");
    report.applied = applied;
    report.lost = report.sent.saturating_sub(applied);
    report.doubled = applied.saturating_sub(report.sent);
    report.differences = oracle.differences(metrics);
    let missing = oracle.assignments().filter(|id| !stats.resolve_ids.contains(*id)).count();
    if missing > 0 {
        report.lost = report.lost.saturating_add(missing.try_into().unwrap_or(u64::MAX));
        report.differences.push(format!("{missing} assignments never reached the backend"));
    }
    if stats.rejected > 0 {
        report.differences.push(format!("the backend refused {} requests: {:?}", stats.rejected, stats.last_rejection));
    }
}

/// Dead letters hold poison and nothing else.
fn bury(report: &mut Report, oracle: &Oracle, list: &serde_json::Value) {
    report.dead = list["count"].as_u64().unwrap_or_default();
    if report.dead > report.poison || (report.crashes == 0 && report.dead < report.poison) {
        report.differences.push(format!("{} dead letters of {} poisonous messages", report.dead, report.poison));
    }
    for letter in list["letters"].as_array().into_iter().flatten() {
        let id = letter["message_id"].as_str().unwrap_or_default();
        if !oracle.poison_ids().contains(id) {
            report.differences.push(format!("a dead letter that is none: {letter}"));
        }
    }
}
