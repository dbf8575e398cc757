//! Delivers the messages of queues to their consumers, as production does: at least once, an ack of one message holds
//! though its batch fails, and what was given up goes to the dead-letter queue or is lost.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::super::api::new_queue;
use super::super::cloud::Cloud;
use super::super::ids;
use super::super::state::{Consumer, Message, Queue, State};
use super::Edge;

const TICK: Duration = Duration::from_millis(10);

/// What a queue handler did with a batch, as the runtime says it.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Outcome {
    outcome: String,
    retry_batch: RetryBatch,
    explicit_acks: Vec<String>,
    retry_messages: Vec<RetryMessage>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RetryBatch {
    retry: bool,
    delay_seconds: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RetryMessage {
    msg_id: String,
    delay_seconds: Option<u64>,
}

impl Outcome {
    /// Whether a message is to come again, and after how many seconds if the handler says so.
    fn retries(&self, id: &str) -> Option<Option<u64>> {
        if let Some(retry) = self.retry_messages.iter().find(|retry| retry.msg_id == id) {
            return Some(retry.delay_seconds.or(self.retry_batch.delay_seconds));
        }
        let is_failed = self.retry_batch.retry || self.outcome != "ok";
        let is_acked = self.explicit_acks.iter().any(|acked| acked == id);
        (is_failed && !is_acked).then_some(self.retry_batch.delay_seconds)
    }
}

/// The running broker. It stops when dropped.
pub(crate) struct Broker {
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    cloud: Arc<Cloud>,
    edge: Arc<Edge>,
    /// Ids of the queues with a batch on its way.
    busy: Mutex<BTreeSet<String>>,
}

/// A batch on its way.
struct Batch {
    account: String,
    queue: String,
    name: String,
    consumer: Consumer,
    messages: Vec<Message>,
    left: usize,
}

impl Broker {
    /// Begins to deliver.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn start(cloud: Arc<Cloud>, edge: Arc<Edge>) -> std::io::Result<Self> {
        let is_over = Arc::<AtomicBool>::default();
        let stop = Arc::clone(&is_over);
        let shared = Arc::new(Shared { cloud, edge, busy: Mutex::default() });
        let thread = thread::Builder::new().name("broker".to_owned()).spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                shared.tick();
                thread::sleep(TICK);
            }
        })?;
        Ok(Self { is_over, thread: Some(thread) })
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic there was printed.
            drop(thread.join());
        }
    }
}

/// Waits until no queue with a consumer holds a message.
///
/// # Errors
/// What is left when `limit` is over.
pub(crate) fn wait_until_idle(cloud: &Cloud, limit: Duration) -> Result<(), String> {
    let deadline = Instant::now() + limit;
    loop {
        let left: BTreeMap<String, usize> = {
            let state = cloud.state();
            let queues = state.accounts.iter().flat_map(|account| &account.queues);
            let waiting = queues.filter(|queue| queue.consumer.is_some() && !queue.messages.is_empty());
            waiting.map(|queue| (queue.name.clone(), queue.messages.len())).collect()
        };
        if left.is_empty() {
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Err(format!("messages are left after {limit:?}: {left:?}"));
        }
        thread::sleep(TICK);
    }
}

impl Shared {
    fn busy(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.busy.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tick(self: &Arc<Self>) {
        let now = ids::now_millis();
        let mut batches = Vec::new();
        {
            let mut state = self.cloud.state();
            for account in &mut state.accounts {
                for queue in &mut account.queues {
                    expire(queue, now);
                    if !self.busy().contains(&queue.id)
                        && let Some(batch) = due(&account.id, queue, now)
                    {
                        batches.push(batch);
                    }
                }
            }
        }
        for batch in batches {
            self.busy().insert(batch.queue.clone());
            let shared = Arc::clone(self);
            thread::spawn(move || {
                shared.deliver(&batch);
                shared.busy().remove(&batch.queue);
            });
        }
    }

    fn deliver(&self, batch: &Batch) {
        let answer =
            self.edge.deliver(&batch.account, &batch.consumer.script, &batch.name, &batch.messages, batch.left);
        // What nobody heard of again has failed, as in production.
        let outcome = answer.and_then(|value| serde_json::from_value(value).map_err(|error| error.to_string()));
        let outcome: Outcome = outcome.unwrap_or_default();
        let mut state = self.cloud.change();
        settle(&mut state, batch, &outcome, ids::now_millis());
    }
}

/// Drops messages that are older than the queue keeps them.
fn expire(queue: &mut Queue, now: u64) {
    let oldest = now.saturating_sub(queue.message_retention_period * 1_000);
    queue.messages.retain(|message| message.timestamp >= oldest);
}

/// The next batch of a queue, once it is full or its first message has waited for long enough.
fn due(account: &str, queue: &Queue, now: u64) -> Option<Batch> {
    let consumer = queue.consumer.as_ref().filter(|_| !queue.delivery_paused)?;
    let size = usize::try_from(consumer.settings.batch_size).unwrap_or(1);
    let waiting: Vec<&Message> = queue.messages.iter().filter(|message| message.due <= now).collect();
    let first = waiting.iter().map(|message| message.due).min()?;
    if waiting.len() < size && now < first + consumer.settings.max_wait_time_ms {
        return None;
    }
    let messages: Vec<Message> = waiting.into_iter().take(size).cloned().collect();
    Some(Batch {
        account: account.to_owned(),
        queue: queue.id.clone(),
        name: queue.name.clone(),
        consumer: consumer.clone(),
        left: queue.messages.len() - messages.len(),
        messages,
    })
}

/// Does with each message of a batch what its handler said.
fn settle(state: &mut State, batch: &Batch, outcome: &Outcome, now: u64) {
    let Some(queue) = state.queue_mut(&batch.queue) else { return };
    let settings = &batch.consumer.settings;
    let mut dead = Vec::new();
    for sent in &batch.messages {
        let Some(place) = queue.messages.iter().position(|message| message.id == sent.id) else { continue };
        let Some(delay) = outcome.retries(&sent.id) else {
            queue.messages.remove(place);
            continue;
        };
        let Some(message) = queue.messages.get_mut(place) else { continue };
        message.attempts += 1;
        message.due = now + delay.unwrap_or(settings.retry_delay) * 1_000;
        if message.attempts > settings.max_retries {
            dead.extend(queue.messages.remove(place));
        }
    }
    let Some(name) = batch.consumer.dead_letter_queue.as_ref().filter(|_| !dead.is_empty()) else { return };
    let Some(account) = state.account_mut(&batch.account) else { return };
    if account.queue_named(name).is_none() {
        account.queues.push(new_queue(name));
    }
    if let Some(queue) = account.queue_named_mut(name) {
        // The same message, as far as its id goes; its deliveries begin anew.
        queue.messages.extend(dead.into_iter().map(|message| Message { attempts: 0, due: now, ..message }));
    }
}

#[cfg(test)]
#[path = "broker/tests.rs"]
mod tests;
