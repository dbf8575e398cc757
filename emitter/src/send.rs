//! Sending what a flusher took: a few tries, each of bounded time, then it is left to the next flush. Where there are
//! several queues, what one does not take is offered to the next.

use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use crate::limits::{
    IN_FLIGHT_MS, MAX_BATCH_BYTES, MAX_BATCH_MESSAGES, MAX_MESSAGE_BYTES, MAX_QUEUES_A_ROUND, SEND_BACKOFF_MS,
    SEND_TIMEOUT_MS,
};
use crate::outbox::{Attempt, AttemptId, Outgoing, batches};
use crate::queues::Queues;

/// The queues and the time, as a flusher sees them.
#[expect(async_fn_in_trait, reason = "Workers have one thread: no future needs to be Send")]
pub trait Port {
    /// Sends messages of bytes to the queue with this number in one call, all or none.
    ///
    /// # Errors
    /// What the queue said. It may have taken them all the same.
    async fn send(&self, queue: u32, batch: &[Outgoing]) -> Result<(), String>;
    /// Waits.
    async fn wait(&self, milliseconds: u64);
    /// Now, in milliseconds since the epoch.
    fn now_ms(&self) -> u64;
}

/// Messages that were not sent. They are to be released, and wait for the next flush.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsent {
    /// The attempt that held them.
    pub id: AttemptId,
    /// Which.
    pub sequences: Vec<u64>,
    /// What the last failure said, at most [`MAX_MESSAGE_BYTES`].
    pub failure: String,
}

/// Sends what was taken. `confirm` is told of messages as soon as a queue has them, `avoided` of a queue that failed and is
/// tried last from now on, with what it said.
///
/// # Errors
/// [`Unsent`]: some were not.
pub async fn send(
    port: &impl Port,
    queues: &RefCell<Queues>,
    attempt: Attempt,
    mut confirm: impl FnMut(&[u64]),
    mut avoided: impl FnMut(u32, &str),
) -> Result<(), Unsent> {
    let Attempt { id, messages } = attempt;
    let give_up_ms = port.now_ms().saturating_add(IN_FLIGHT_MS);
    let mut left = messages;
    let mut waits = SEND_BACKOFF_MS.iter();
    let mut failure = String::new();
    while !left.is_empty() {
        let mut failed = Vec::new();
        for batch in batches(std::mem::take(&mut left), MAX_BATCH_MESSAGES, MAX_BATCH_BYTES) {
            let mut is_taken = false;
            let order = queues.borrow().order(port.now_ms());
            for queue in order.into_iter().take(MAX_QUEUES_A_ROUND) {
                // A batch begun now must end before another flusher may take its messages.
                if port.now_ms().saturating_add(SEND_TIMEOUT_MS) >= give_up_ms {
                    if failure.is_empty() {
                        "out of time".clone_into(&mut failure);
                    }
                    break;
                }
                match send_in_time(port, queue, &batch).await {
                    Ok(()) => {
                        queues.borrow_mut().took(queue);
                        is_taken = true;
                        break;
                    }
                    Err(error) => {
                        let is_news = queues.borrow_mut().failed(queue, port.now_ms());
                        if is_news {
                            avoided(queue, &error);
                        }
                        failure = error;
                    }
                }
            }
            if is_taken {
                confirm(&sequences(&batch));
            } else {
                failed.extend(batch);
            }
        }
        left = failed;
        match waits.next() {
            Some(wait_ms) if !left.is_empty() => port.wait(*wait_ms).await,
            _ => break,
        }
    }
    if left.is_empty() { Ok(()) } else { Err(Unsent { id, sequences: sequences(&left), failure: cut(failure) }) }
}

fn sequences(messages: &[Outgoing]) -> Vec<u64> {
    messages.iter().map(|(sequence, _)| *sequence).collect()
}

/// Sends one batch within [`SEND_TIMEOUT_MS`].
async fn send_in_time(port: &impl Port, queue: u32, batch: &[Outgoing]) -> Result<(), String> {
    let mut sending = pin!(port.send(queue, batch));
    let mut timeout = pin!(port.wait(SEND_TIMEOUT_MS));
    poll_fn(|context| {
        if let Poll::Ready(result) = sending.as_mut().poll(context) {
            return Poll::Ready(result);
        }
        timeout.as_mut().poll(context).map(|()| Err(format!("no answer within {SEND_TIMEOUT_MS} ms")))
    })
    .await
}

fn cut(mut text: String) -> String {
    let end = (0..=MAX_MESSAGE_BYTES.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    text.truncate(end);
    text
}

#[cfg(test)]
mod tests;
