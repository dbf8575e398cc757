//! A queue that the test plays: at least once, in any order, and durable whatever becomes of the runtime.

use std::time::{Duration, Instant};

use tributary_local::random::DemoRandom;

use crate::consumer::{Delivery, QueueResult};

/// Of a hundred messages, so many are sent twice.
const DUPLICATES_PERCENT: u64 = 15;
/// Of a hundred acks, so many are lost on their way: the message comes again.
const LOST_ACKS_PERCENT: u64 = 5;
/// Attempts that a message is delivered with at the most: fewer than the queue's own bound, past which a message dies.
/// The real queue waits minutes between them, this one does not.
const MAX_ATTEMPTS: u32 = 15;
/// The longest that a message waits before it is delivered again. The real queue waits as long as it is told; here only
/// the order matters.
const MAX_WAIT_MS: u64 = 400;

/// A message in the queue.
#[derive(Clone, Debug)]
pub struct Queued {
    /// What is delivered.
    pub delivery: Delivery,
    due: Instant,
}

/// Everything that is under way.
#[derive(Debug)]
pub struct Queue {
    random: DemoRandom,
    waiting: Vec<Queued>,
    taken: usize,
    is_healed: bool,
    /// Messages that were sent twice, and messages that came again although they had been acked.
    pub duplicated: u64,
}

/// What a producer sends.
#[derive(Clone, Debug)]
pub struct Sent {
    /// The message.
    pub delivery: Delivery,
    /// Whether a second send is another message with the same record (a producer that resends), and not the same
    /// message again (a queue that repeats).
    pub is_resendable: bool,
}

impl Queue {
    /// An empty queue, with the choices of `seed`.
    pub fn new(seed: u64) -> Self {
        Self { random: DemoRandom::seeded(seed), waiting: Vec::new(), taken: 0, is_healed: false, duplicated: 0 }
    }

    /// Takes in a message, some of them twice.
    pub fn send(&mut self, sent: Sent) {
        let Sent { delivery, is_resendable } = sent;
        if self.happens(DUPLICATES_PERCENT) {
            let id = if is_resendable { format!("{}-resent", delivery.id) } else { delivery.id.clone() };
            self.duplicated += 1;
            self.push(Delivery { id, ..delivery.clone() });
        }
        self.push(delivery);
    }

    fn happens(&mut self, percent: u64) -> bool {
        !self.is_healed && self.random.below(100) < percent
    }

    fn push(&mut self, delivery: Delivery) {
        let due = Instant::now() + Duration::from_millis(self.random.below(MAX_WAIT_MS));
        self.waiting.push(Queued { delivery, due });
    }

    /// Takes a batch of up to `most` messages that are due, in any order.
    pub fn take(&mut self, most: u64) -> Vec<Queued> {
        let now = Instant::now();
        let wanted = 1 + self.random.below(most);
        let mut batch = Vec::new();
        let mut at = 0;
        while at < self.waiting.len() && u64::try_from(batch.len()).unwrap_or(u64::MAX) < wanted {
            if self.waiting.get(at).is_some_and(|message| message.due <= now) && self.random.below(4) > 0 {
                batch.push(self.waiting.swap_remove(at));
            } else {
                at += 1;
            }
        }
        self.taken += batch.len();
        batch
    }

    /// Puts back what could not be delivered.
    pub fn put_back(&mut self, batch: Vec<Queued>) {
        self.taken -= batch.len();
        self.waiting.extend(batch);
    }

    /// Takes in what became of a batch; `None` where nobody knows.
    pub fn settle(&mut self, batch: Vec<Queued>, result: Option<&QueueResult>) {
        self.taken -= batch.len();
        for mut message in batch {
            // A handler that throws leaves the whole batch to be delivered again.
            let is_acked = result
                .is_some_and(|result| result.outcome == "ok" && result.explicit_acks.contains(&message.delivery.id));
            let is_repeated = is_acked && self.happens(LOST_ACKS_PERCENT);
            if is_acked && !is_repeated {
                continue;
            }
            self.duplicated += u64::from(is_repeated);
            message.delivery.attempts = (message.delivery.attempts + 1).min(MAX_ATTEMPTS);
            self.push(message.delivery);
        }
    }

    /// From now on nothing is sent twice, and no ack is lost.
    pub fn heal(&mut self) {
        self.is_healed = true;
    }

    /// Messages under way.
    pub fn len(&self) -> usize {
        self.waiting.len() + self.taken
    }

    /// Whether nothing is under way.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
