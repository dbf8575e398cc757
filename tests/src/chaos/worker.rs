//! Records of a real producer Worker, beside those that the test makes: what its answers said is what must be counted.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use tributary_local::random::DemoRandom;

use super::{Run, oracle::sum_of};
use crate::producer::Producer;

/// The `resolver_id` of the real producer; the test's own have others.
pub const RESOLVER_ID: &str = "real";
/// The longest time between two resolves.
const MAX_PAUSE_MS: u64 = 200;
/// How often it is asked again at the end, and how long each time is waited for the metrics to show it.
const MAX_ROUNDS: usize = 8;
const ROUND: Duration = Duration::from_secs(4);

/// What the answers said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resolved {
    /// Requests that were answered.
    pub resolves: u64,
    /// Flags by the name of their reason.
    pub by_reason: BTreeMap<String, u64>,
    /// Ids of the resolves that applied a flag: assignments that the backend must see.
    pub applied: BTreeSet<String>,
}

/// A real producer and what it was asked.
pub struct Worker {
    producer: Producer,
    random: DemoRandom,
    resolved: Resolved,
}

impl Worker {
    /// Starts one that persists in `folder` and sends to the queue at `queue_url`.
    ///
    /// # Errors
    /// Why it did not start.
    pub fn start(seed: u64, folder: &Path, queue_url: &str) -> Result<Self, String> {
        let vars = [("RESOLVER_ID", RESOLVER_ID), ("FLUSH_INTERVAL_MS", "200")];
        let producer = Producer::start(folder, queue_url, &vars)?;
        Ok(Self { producer, random: DemoRandom::seeded(seed), resolved: Resolved::default() })
    }

    /// Resolves until the faults are healed, and then until the metrics show all of it: what failed to be sent waits for
    /// the next flush, and a flush takes a resolve.
    ///
    /// # Errors
    /// Where a resolve is not answered: nothing that strikes the queue may show in an answer.
    pub fn drive(mut self, run: &Run) -> Result<Resolved, String> {
        while !run.is_healed() && !run.is_over() {
            self.resolve()?;
            thread::sleep(Duration::from_millis(self.random.below(MAX_PAUSE_MS)));
        }
        for _ in 0..MAX_ROUNDS {
            self.resolve()?;
            let deadline = Instant::now() + ROUND;
            while Instant::now() < deadline && !run.is_over() {
                if self.is_counted(run) {
                    return Ok(self.resolved);
                }
                thread::sleep(Duration::from_millis(100));
            }
        }
        // The reckoning says what is missing.
        Ok(self.resolved)
    }

    fn is_counted(&self, run: &Run) -> bool {
        let Some(Ok(metrics)) = run.consumer().map(|consumer| consumer.metrics()) else { return false };
        let name = "confidence_resolve_latency_microseconds_count";
        sum_of(&metrics, name, &format!("resolver_id={RESOLVER_ID:?}")) == self.resolved.resolves
    }

    fn resolve(&mut self) -> Result<(), String> {
        let user = format!("user-{}", self.random.below(1_000));
        let country = self.random.choose(&["se", "de"]).copied().unwrap_or("se");
        let answer = self.producer.resolve(&user, country).map_err(|error| format!("a resolve: {error}"))?;
        self.resolved.resolves += 1;
        let mut applies = false;
        for flag in answer.get("resolvedFlags").and_then(Value::as_array).into_iter().flatten() {
            let reason = flag.get("reason").and_then(Value::as_str).ok_or("a flag without a reason")?;
            *self.resolved.by_reason.entry(reason.to_owned()).or_default() += 1;
            applies |= flag.get("shouldApply").and_then(Value::as_bool).unwrap_or_default();
        }
        if applies {
            let id = answer.get("resolveId").and_then(Value::as_str).ok_or("an answer without a resolve id")?;
            self.resolved.applied.insert(id.to_owned());
        }
        Ok(())
    }
}
