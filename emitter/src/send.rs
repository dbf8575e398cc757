//! Sending what a flusher took: a few tries, each of bounded time, then it is left to the next flush.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use crate::limits::{
    IN_FLIGHT_MS, MAX_BATCH_BYTES, MAX_BATCH_MESSAGES, MAX_MESSAGE_BYTES, SEND_BACKOFF_MS, SEND_TIMEOUT_MS,
};
use crate::outbox::{Attempt, AttemptId, Outgoing, batches};

/// The queue and the time, as a flusher sees them.
#[expect(async_fn_in_trait, reason = "Workers have one thread: no future needs to be Send")]
pub trait Port {
    /// Sends messages of bytes in one call, all or none.
    ///
    /// # Errors
    /// What the queue said. It may have taken them all the same.
    async fn send(&self, batch: &[Outgoing]) -> Result<(), String>;
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

/// Sends what was taken. `confirm` is told of messages as soon as the queue has them.
///
/// # Errors
/// [`Unsent`]: some were not.
pub async fn send(port: &impl Port, attempt: Attempt, mut confirm: impl FnMut(&[u64])) -> Result<(), Unsent> {
    let Attempt { id, messages } = attempt;
    let give_up_ms = port.now_ms().saturating_add(IN_FLIGHT_MS);
    let mut left = messages;
    let mut waits = SEND_BACKOFF_MS.iter();
    let mut failure = String::new();
    while !left.is_empty() {
        let mut failed = Vec::new();
        for batch in batches(std::mem::take(&mut left), MAX_BATCH_MESSAGES, MAX_BATCH_BYTES) {
            // A batch begun now must end before another flusher may take its messages.
            let has_time = port.now_ms().saturating_add(SEND_TIMEOUT_MS) < give_up_ms;
            let result = if has_time { send_in_time(port, &batch).await } else { Err("out of time".to_owned()) };
            match result {
                Ok(()) => confirm(&sequences(&batch)),
                Err(error) => {
                    failure = error;
                    failed.extend(batch);
                }
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
async fn send_in_time(port: &impl Port, batch: &[Outgoing]) -> Result<(), String> {
    let mut sending = pin!(port.send(batch));
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
