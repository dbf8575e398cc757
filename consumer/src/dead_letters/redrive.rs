//! From the Ledger back into the queue.
//!
//! Durable first: a letter is deleted after the queue has its message. A crash in between sends it again the next time,
//! which counts once; and what is deleted is the very row that was read, so that a message which died again meanwhile
//! keeps its new letter.

use std::collections::BTreeMap;

use tributary_proto::{
    dead_letter::{DeadLetter, MAX_SENT_BYTES},
    envelope::MAX_MESSAGE_BYTES,
    v1::{
        DeleteDeadLettersRequest, DeleteDeadLettersResponse, ReadDeadLettersRequest, ReadDeadLettersResponse,
        delete_dead_letters_request::Cause,
    },
};

use super::{
    bury::batches,
    letter::{back_to_queue, label_of},
};
use crate::{limits::REDRIVE_TIME, message::MessageBody, pipeline::LedgerFailure};

/// The store and the queue, as redrive sees them.
#[expect(async_fn_in_trait, reason = "Workers have one thread: no future needs to be Send")]
pub trait RedrivePort {
    /// Reads letters.
    ///
    /// # Errors
    /// Where the Ledger did not answer.
    async fn read(&self, request: ReadDeadLettersRequest) -> Result<ReadDeadLettersResponse, LedgerFailure>;
    /// Deletes letters.
    ///
    /// # Errors
    /// Where the Ledger did not answer. Whether they are deleted is then unknown.
    async fn delete(&self, request: DeleteDeadLettersRequest) -> Result<DeleteDeadLettersResponse, LedgerFailure>;
    /// Sends messages to the queue as one batch, which its limits allow: all of them or none.
    ///
    /// # Errors
    /// Where the queue did not say that it has them. It may have them all the same.
    async fn send(&self, messages: &[MessageBody]) -> Result<(), String>;
    /// Now, in milliseconds since the epoch.
    fn now_ms(&self) -> u64;
}

/// What to redrive.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RedriveRequest {
    /// Only letters of this reason.
    pub reason: Option<String>,
    /// At most so many; `None`: all.
    pub limit: Option<u64>,
    /// Only letters up to this place, so that what dies again meanwhile is not redriven for ever. `None`: all that are
    /// there when the call begins.
    pub up_to: Option<u64>,
    /// Only letters behind this place.
    pub after: u64,
}

/// What a call of redrive did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Redriven {
    /// Letters whose messages are back in the queue, by reason.
    pub sent: BTreeMap<String, u64>,
    /// Letters that cannot go back: without content, or as large as a message can be, with a text that must take its id
    /// along. They stay.
    pub kept: u64,
    /// The last place that was looked at.
    pub after: u64,
    /// The last place to look at.
    pub up_to: u64,
    /// More is to be looked at; the next call goes on with `after` and `up_to`.
    pub more: bool,
    /// What ended the call early.
    pub failure: Option<String>,
}

impl Redriven {
    /// How many letters went back.
    pub fn total(&self) -> u64 {
        self.sent.values().fold(0, |sum, letters| sum.saturating_add(*letters))
    }
}

/// Sends letters back to the queue, oldest first, for at most [`REDRIVE_TIME`] and a page.
pub async fn redrive(request: &RedriveRequest, port: &impl RedrivePort) -> Redriven {
    let started_ms = port.now_ms();
    let mut done = Redriven { after: request.after, up_to: request.up_to.unwrap_or_default(), ..Redriven::default() };
    loop {
        let left = request.limit.map(|limit| limit.saturating_sub(done.total()));
        if left == Some(0) {
            return done;
        }
        let elapsed = port.now_ms().saturating_sub(started_ms);
        if u128::from(elapsed) >= REDRIVE_TIME.as_millis() {
            done.more = true;
            return done;
        }
        if let Err(failure) = redrive_page(request, left, &mut done, port).await {
            done.failure = Some(failure);
            done.more = false;
            return done;
        }
        if !done.more {
            return done;
        }
    }
}

/// One page; `done.more` says whether there may be another.
async fn redrive_page(
    request: &RedriveRequest,
    left: Option<u64>,
    done: &mut Redriven,
    port: &impl RedrivePort,
) -> Result<(), String> {
    let page = ReadDeadLettersRequest {
        after: done.after,
        up_to: done.up_to,
        reason: request.reason.clone().unwrap_or_default(),
        limit: left.and_then(|left| u32::try_from(left).ok()).unwrap_or(PAGE).min(PAGE),
    };
    let page = port.read(page).await.map_err(|failure| failure.to_string())?;
    if done.up_to == 0 {
        done.up_to = page.last_place;
    }
    let mut ready: Vec<Ready> = Vec::with_capacity(page.letters.len());
    let read_to = page.letters.last().map(|stored| stored.place);
    for stored in page.letters.into_iter().filter(|stored| stored.place <= done.up_to) {
        let letter = DeadLetter::decode(&stored.letter).ok();
        let message = letter.as_ref().and_then(back_to_queue).filter(|message| size_of(message) <= most(message));
        match (letter, message) {
            (Some(letter), Some(message)) => {
                ready.push(Ready { place: stored.place, reason: label_of(&letter.reason).to_owned(), message });
            }
            _ => done.kept = done.kept.saturating_add(1),
        }
    }
    let sizes: Vec<usize> = ready.iter().map(|ready| size_of(&ready.message)).collect();
    let mut ready = ready.into_iter();
    for count in batches(&sizes) {
        let batch: Vec<Ready> = ready.by_ref().take(count).collect();
        let places: Vec<u64> = batch.iter().map(|ready| ready.place).collect();
        let (reasons, messages): (Vec<_>, Vec<_>) =
            batch.into_iter().map(|ready| (ready.reason, ready.message)).unzip();
        port.send(&messages).await?;
        for reason in reasons {
            let letters = done.sent.entry(reason).or_default();
            *letters = letters.saturating_add(1);
        }
        let deletion = DeleteDeadLettersRequest { places, cause: Cause::Redriven.into(), ..Default::default() };
        port.delete(deletion).await.map_err(|failure| format!("sent, and to be sent again: {failure}"))?;
    }
    match read_to {
        Some(place) => {
            done.after = place;
            done.more = place < done.up_to;
        }
        None => done.more = false,
    }
    Ok(())
}

/// The most letters of one page.
const PAGE: u32 = 100;

struct Ready {
    place: u64,
    reason: String,
    message: MessageBody,
}

fn size_of(message: &MessageBody) -> usize {
    match message {
        MessageBody::Bytes(bytes) => bytes.len(),
        MessageBody::Text(text) | MessageBody::Json(text) => text.len(),
        MessageBody::Other => 0,
    }
}

/// A message that came through the queue as it is goes through again; what we wrapped must keep within its limit.
fn most(message: &MessageBody) -> usize {
    match message {
        MessageBody::Bytes(bytes) if DeadLetter::decode(bytes).is_ok() => MAX_SENT_BYTES,
        _ => MAX_MESSAGE_BYTES,
    }
}

#[cfg(test)]
#[path = "redrive_tests.rs"]
mod tests;
