//! Sealed messages that the queue has not confirmed yet.
//!
//! A message keeps its bytes and its sequence until it is confirmed. Whoever takes it for sending holds it until a
//! deadline, not for ever: a flusher that was cut off leaves nothing behind that the next one does not send again.
//! Sending one twice is harmless, the consumer applies a sequence once.

use std::collections::BTreeMap;
use std::rc::Rc;

use tributary_proto::envelope::{Envelope, EnvelopeError};
use tributary_proto::v1;

use crate::limits::IN_FLIGHT_MS;

/// One sealed message.
#[derive(Debug)]
struct Message {
    bytes: Rc<[u8]>,
    /// The envelope without its fragments (assignments and resolve info): what stays of it when the outbox is over its bound.
    /// `None` once that happened, or if there was nothing to give up.
    logs: Option<Logs>,
    /// Taken by this attempt, until then.
    in_flight: Option<(AttemptId, u64)>,
}

/// What a message can give up.
#[derive(Debug)]
struct Logs {
    tombstone: Envelope,
    assignments: u64,
}

/// One flusher's hold on the messages that it took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttemptId(u64);

/// Sequence and bytes of a message on its way.
pub type Outgoing = (u64, Rc<[u8]>);

/// Messages to send, oldest first.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// Whose they are.
    pub id: AttemptId,
    /// The messages.
    pub messages: Vec<Outgoing>,
}

/// The sealed messages of one stream, by sequence.
#[derive(Debug, Default)]
pub struct Outbox {
    messages: BTreeMap<u64, Message>,
    last_attempt: u64,
    /// Bytes of all messages together.
    total_bytes: usize,
}

impl Outbox {
    /// Messages in it.
    pub fn len(&self) -> usize {
        self.messages.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Bytes of all messages together.
    pub fn total_bytes(&self) -> usize {
        self.total_bytes
    }

    /// Adds a sealed message. `tombstone` is the same envelope with only its metrics, `assignments` what the rest
    /// holds; a message that holds no more than its metrics has none.
    ///
    /// # Errors
    /// [`EnvelopeError`] if the envelope has no bytes; the outbox is unchanged.
    pub fn add(
        &mut self,
        envelope: &Envelope,
        tombstone: Option<Envelope>,
        assignments: u64,
    ) -> Result<(), EnvelopeError> {
        let bytes: Rc<[u8]> = envelope.encode()?.into();
        self.total_bytes = self.total_bytes.saturating_add(bytes.len());
        let logs = tombstone.map(|tombstone| Logs { tombstone, assignments });
        self.messages.insert(envelope.sequence, Message { bytes, logs, in_flight: None });
        Ok(())
    }

    /// Takes every message that nobody is sending, oldest first.
    pub fn take(&mut self, now_ms: u64) -> Attempt {
        self.last_attempt = self.last_attempt.wrapping_add(1);
        let id = AttemptId(self.last_attempt);
        let deadline_ms = now_ms.saturating_add(IN_FLIGHT_MS);
        let mut messages = Vec::new();
        for (sequence, message) in &mut self.messages {
            if message.in_flight.is_some_and(|(_, deadline_ms)| now_ms < deadline_ms) {
                continue;
            }
            message.in_flight = Some((id, deadline_ms));
            messages.push((*sequence, Rc::clone(&message.bytes)));
        }
        Attempt { id, messages }
    }

    /// Forgets messages that the queue accepted.
    pub fn confirm(&mut self, sequences: &[u64]) {
        for sequence in sequences {
            if let Some(message) = self.messages.remove(sequence) {
                self.total_bytes = self.total_bytes.saturating_sub(message.bytes.len());
            }
        }
    }

    /// Gives up an attempt's hold on messages that it could not send. Messages that another attempt took meanwhile
    /// stay with that one.
    pub fn release(&mut self, id: AttemptId, sequences: &[u64]) {
        for sequence in sequences {
            if let Some(message) = self.messages.get_mut(sequence)
                && message.in_flight.is_some_and(|(holder, _)| holder == id)
            {
                message.in_flight = None;
            }
        }
    }

    /// Makes the oldest message that still has flag logs give them up. It keeps its sequence and its metrics, and
    /// says itself how many assignments it lost, so that a copy of the full message that did arrive and this one can
    /// never both count. Returns the assignments lost; `None` if no message has any flag logs left.
    pub fn give_up_oldest_logs(&mut self) -> Option<u64> {
        let message = self.messages.values_mut().find(|message| message.logs.is_some())?;
        let Logs { mut tombstone, assignments } = message.logs.take()?;
        add_dropped(&mut tombstone.dropped, v1::dropped::Reason::BufferFull, assignments, 0);
        // It was part of a message that had bytes, plus a few; if it has none all the same, the message stays whole.
        if let Ok(bytes) = tombstone.encode() {
            self.total_bytes = self.total_bytes.saturating_sub(message.bytes.len()).saturating_add(bytes.len());
            message.bytes = bytes.into();
            return Some(assignments);
        }
        Some(0)
    }
}

/// Adds to the counts of a reason.
pub fn add_dropped(dropped: &mut Vec<v1::Dropped>, reason: v1::dropped::Reason, assignments: u64, recordings: u64) {
    if assignments == 0 && recordings == 0 {
        return;
    }
    match dropped.iter_mut().find(|entry| entry.reason == i32::from(reason)) {
        Some(entry) => {
            entry.assignments = entry.assignments.saturating_add(assignments);
            entry.recordings = entry.recordings.saturating_add(recordings);
        }
        None => dropped.push(v1::Dropped { reason: i32::from(reason), assignments, recordings }),
    }
}

/// Groups messages into batches for `sendBatch`, in order, each within `most_messages` and `most_bytes`. A message
/// over `most_bytes` travels alone.
pub fn batches(messages: Vec<Outgoing>, most_messages: usize, most_bytes: usize) -> Vec<Vec<Outgoing>> {
    let mut batches: Vec<Vec<_>> = Vec::new();
    let mut batch = Vec::new();
    let mut bytes = 0_usize;
    for message in messages {
        let added = message.1.len();
        if !batch.is_empty() && (batch.len() >= most_messages || bytes.saturating_add(added) > most_bytes) {
            batches.push(std::mem::take(&mut batch));
            bytes = 0;
        }
        bytes = bytes.saturating_add(added);
        batch.push(message);
    }
    if !batch.is_empty() {
        batches.push(batch);
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(sequence: u64, bytes: usize) -> Outgoing {
        (sequence, vec![0; bytes].into())
    }

    fn sequences(batches: &[Vec<Outgoing>]) -> Vec<Vec<u64>> {
        batches.iter().map(|batch| batch.iter().map(|(sequence, _)| *sequence).collect()).collect()
    }

    #[test]
    fn batches_keep_order_and_both_bounds() {
        let messages = vec![message(1, 60), message(2, 40), message(3, 1), message(4, 500), message(5, 1)];
        assert_eq!(sequences(&batches(messages, 100, 100)), vec![vec![1, 2], vec![3], vec![4], vec![5]]);
        let many: Vec<_> = (1..=250).map(|sequence| message(sequence, 0)).collect();
        assert_eq!(batches(many, 100, 100).iter().map(Vec::len).collect::<Vec<_>>(), vec![100, 100, 50]);
        assert!(batches(Vec::new(), 100, 100).is_empty());
    }
}
