//! Which of several queues a stream sends to (`QUEUE_SHARDS`). Plain decisions; the queues themselves are numbers.
//!
//! A stream has a **home** queue, by the same hash of its id that names its ledger: the batches of a queue then hold
//! records of one ledger, which is one commit each. A queue that refuses, or does not answer, is avoided for a while, so
//! that not every flush waits for it first; then the stream comes home. Where a record goes decides nothing but the way:
//! its stream belongs to one ledger whatever queue carried it, so one that two queues took counts once.

use std::collections::BTreeMap;

use tributary_proto::envelope::StreamId;

use crate::limits::AVOID_MS;

/// The queues of one stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queues {
    home: u32,
    count: u32,
    /// Queues that failed, and when that was, in milliseconds since the epoch.
    failed_ms: BTreeMap<u32, u64>,
}

impl Queues {
    /// The queues 0 to `count` - 1 as the stream sees them. No queue at all counts as one.
    pub fn new(stream_id: StreamId, count: u32) -> Self {
        let count = count.max(1);
        Self { home: stream_id.share(count), count, failed_ms: BTreeMap::new() }
    }

    /// The stream's own queue.
    pub fn home(&self) -> u32 {
        self.home
    }

    /// All of them in the order in which they are to be tried: the home queue and those that follow it, but those that
    /// are avoided come last, the one that failed longest ago first.
    pub fn order(&self, now_ms: u64) -> Vec<u32> {
        let all = (0..self.count).map(|step| self.home.wrapping_add(step).checked_rem(self.count).unwrap_or(0));
        let (mut avoided, mut order): (Vec<u32>, Vec<u32>) = all.partition(|queue| self.is_avoided(*queue, now_ms));
        avoided.sort_by_key(|queue| self.failed_ms.get(queue));
        order.append(&mut avoided);
        order
    }

    /// A queue refused a send, or gave no answer. Returns whether that is news: it was not avoided.
    pub fn failed(&mut self, queue: u32, now_ms: u64) -> bool {
        let is_news = !self.is_avoided(queue, now_ms);
        self.failed_ms.insert(queue, now_ms);
        is_news
    }

    /// A queue took a send.
    pub fn took(&mut self, queue: u32) {
        self.failed_ms.remove(&queue);
    }

    /// Also after the clock was set back, nothing is avoided for longer.
    fn is_avoided(&self, queue: u32, now_ms: u64) -> bool {
        self.failed_ms.get(&queue).is_some_and(|failed_ms| {
            let age_ms = now_ms.checked_sub(*failed_ms);
            age_ms.is_some_and(|age_ms| age_ms < AVOID_MS)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queues(home: u8, count: u32) -> Queues {
        let mut id = [7; 16];
        id[..8].copy_from_slice(&u64::from(home).to_be_bytes());
        let queues = Queues::new(StreamId(id), count);
        assert_eq!(queues.home(), u32::from(home));
        queues
    }

    #[test]
    fn a_stream_sends_home_then_to_the_next_and_comes_home_again() {
        let mut queues = queues(2, 4);
        assert_eq!(queues.order(1_000), [2, 3, 0, 1]);
        assert!(queues.failed(2, 1_000));
        assert_eq!(queues.order(1_000), [3, 0, 1, 2]);
        assert!(queues.failed(3, 1_500));
        assert_eq!(queues.order(1_600), [0, 1, 2, 3]);
        assert!(!queues.failed(2, 2_000), "no news: it is avoided already");
        assert_eq!(queues.order(2_000), [0, 1, 3, 2]);
        queues.took(3);
        assert_eq!(queues.order(2_000), [3, 0, 1, 2]);
        assert_eq!(queues.order(2_000 + AVOID_MS), [2, 3, 0, 1], "home again");
        assert_eq!(queues.order(10), [2, 3, 0, 1], "a clock that was set back avoids nothing");
        assert!(queues.failed(2, 2_000 + AVOID_MS), "news again");
    }

    #[test]
    fn every_queue_is_tried_once_whatever_failed() {
        for count in [1, 2, 3, 16] {
            let mut queues = Queues::new(StreamId([0x5a; 16]), count);
            for failed in 0..count {
                let mut order = queues.order(5);
                order.sort_unstable();
                assert_eq!(order, (0..count).collect::<Vec<_>>());
                queues.failed(failed, 5);
            }
        }
        assert_eq!(Queues::new(StreamId([9; 16]), 0).order(5), [0], "no queue at all is one");
    }
}
