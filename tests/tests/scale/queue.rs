//! A queue: takes so much a second, holds so much, and delivers at least once, a batch at a time.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
    rc::Rc,
};

use crate::platform::{BATCH_MESSAGES, BATCH_TIMEOUT, CONSUMERS, QUEUE_BYTES, QUEUE_MESSAGES_PER_SECOND};

const SECOND: u64 = 1_000_000;

/// A message in the queue.
#[derive(Clone)]
pub(crate) struct Item {
    pub(crate) id: u64,
    pub(crate) sent_us: u64,
    pub(crate) attempts: u32,
    /// What is really sent, and how much it would be with flag logs.
    pub(crate) body: Rc<[u8]>,
    pub(crate) bytes: f64,
}

/// A message that comes back.
struct Later(u64, u64, Item);

impl PartialEq for Later {
    fn eq(&self, other: &Self) -> bool {
        (self.0, self.1) == (other.0, other.1)
    }
}

impl Eq for Later {}

impl PartialOrd for Later {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Later {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.0, self.1).cmp(&(other.0, other.1))
    }
}

/// The queue refuses a message.
pub(crate) struct Refused;

pub(crate) struct Queue {
    /// With the time since when it is ready.
    ready: VecDeque<(u64, Item)>,
    later: BinaryHeap<Reverse<Later>>,
    order: u64,
    taken: (u64, u64),
    pub(crate) bytes: f64,
    pub(crate) running: usize,
    pub(crate) limit: usize,
    /// The time of the wake that is on its way.
    pub(crate) wakes_at: Option<u64>,
}

impl Queue {
    pub(crate) fn new(consumers: usize) -> Self {
        Self {
            ready: VecDeque::new(),
            later: BinaryHeap::new(),
            order: 0,
            taken: (0, 0),
            bytes: 0.0,
            running: 0,
            limit: consumers,
            wakes_at: None,
        }
    }

    /// Takes a message, where it can.
    pub(crate) fn send(&mut self, now: u64, item: Item) -> Result<(), Refused> {
        if self.taken.0 != now / SECOND {
            self.taken = (now / SECOND, 0);
        }
        let is_full = self.taken.1 >= QUEUE_MESSAGES_PER_SECOND || self.bytes + item.bytes > QUEUE_BYTES;
        if is_full {
            return Err(Refused);
        }
        self.taken.1 += 1;
        self.bytes += item.bytes;
        self.ready.push_back((now, item));
        Ok(())
    }

    /// A message comes back, or a second time.
    pub(crate) fn put_later(&mut self, due: u64, item: Item) {
        self.order += 1;
        self.bytes += item.bytes;
        self.later.push(Reverse(Later(due, self.order, item)));
    }

    /// Messages that wait, those that come back later among them.
    pub(crate) fn waiting(&self) -> usize {
        self.ready.len() + self.later.len()
    }

    /// The next batch, where one may be delivered now. It is still in the queue's bytes.
    pub(crate) fn batch(&mut self, now: u64) -> Option<Vec<Item>> {
        while self.later.peek().is_some_and(|Reverse(later)| later.0 <= now) {
            let Some(Reverse(Later(_, _, item))) = self.later.pop() else { break };
            self.ready.push_back((now, item));
        }
        if self.running >= self.limit.min(CONSUMERS) {
            return None;
        }
        let oldest = self.ready.front()?.0;
        if self.ready.len() < BATCH_MESSAGES && now < oldest + BATCH_TIMEOUT {
            return None;
        }
        let size = self.ready.len().min(BATCH_MESSAGES);
        Some(self.ready.drain(..size).map(|(_, item)| item).collect())
    }

    /// When to look for a batch again, if nothing else happens.
    pub(crate) fn wake(&self, now: u64) -> Option<u64> {
        let ready = self
            .ready
            .front()
            .map(|(since, _)| if self.ready.len() >= BATCH_MESSAGES { now } else { (since + BATCH_TIMEOUT).max(now) });
        let later = self.later.peek().map(|Reverse(later)| later.0.max(now));
        let soonest = [ready, later].into_iter().flatten().min()?;
        // While all consumers run, the one that ends looks.
        let is_full = self.running >= self.limit.min(CONSUMERS);
        if is_full { None } else { Some(soonest) }
    }

    /// What the platform does about a backlog: half more consumers while more waits than is under way, one fewer while
    /// nothing does.
    pub(crate) fn autoscale(&mut self) {
        if self.ready.len() > self.limit * BATCH_MESSAGES / 2 {
            self.limit = (self.limit + (self.limit / 2).max(1)).min(CONSUMERS);
        } else if self.ready.len() < BATCH_MESSAGES && self.running * 2 < self.limit {
            self.limit = (self.limit - 1).max(1);
        }
    }
}
