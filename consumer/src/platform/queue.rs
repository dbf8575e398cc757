//! The queue's batch as plain values, and verdicts back to the queue.
//!
//! `worker`'s own message type knows no bytes and no attempts, so this reads the platform's objects (PLATFORM facts,
//! Queues from Rust).

use js_sys::{ArrayBuffer, JsString, Object, Reflect, Uint8Array};
use wasm_bindgen::{JsCast as _, JsValue};
use worker::worker_sys::{Message, MessageBatch};

use crate::{
    message::{MessageBody, QueueMessage},
    pipeline::MessageVerdict,
};

/// The messages of a batch, each with the platform's handle for its verdict.
///
/// # Errors
/// What the platform throws where the batch is none.
pub(crate) fn read(batch: &MessageBatch) -> Result<Vec<(Message, QueueMessage)>, JsValue> {
    batch
        .messages()?
        .iter()
        .map(|object| {
            let attempts = Reflect::get(&object, &"attempts".into())?;
            let handle: Message = object.unchecked_into();
            let message = QueueMessage {
                id: handle.id()?.into(),
                sent_ms: to_u64(handle.timestamp()?.get_time()),
                attempts: u32::try_from(to_u64(attempts.as_f64().unwrap_or(1.0))).unwrap_or(u32::MAX),
                body: read_body(&handle.body()?),
            };
            Ok((handle, message))
        })
        .collect()
}

/// Production delivers bytes as a `Uint8Array`, the local queue as an `ArrayBuffer`.
fn read_body(body: &JsValue) -> MessageBody {
    if body.is_instance_of::<Uint8Array>() || body.is_instance_of::<ArrayBuffer>() {
        MessageBody::Bytes(Uint8Array::new(body).to_vec())
    } else if let Some(text) = body.dyn_ref::<JsString>() {
        MessageBody::Text(text.into())
    } else {
        MessageBody::Other
    }
}

/// Tells the queue what becomes of a message.
///
/// # Errors
/// What the platform throws.
pub(crate) fn settle(handle: &Message, verdict: MessageVerdict) -> Result<(), JsValue> {
    match verdict {
        MessageVerdict::Ack => handle.ack(),
        MessageVerdict::Retry(delay) => {
            let options = Object::new();
            let seconds = u32::try_from(delay.as_secs().max(1)).unwrap_or(u32::MAX);
            Reflect::set(&options, &"delaySeconds".into(), &seconds.into())?;
            handle.retry(options.into())
        }
    }
}

/// A JavaScript number as an integer: 0 for what is negative or none, saturating above.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates, and NaN gives 0")]
fn to_u64(number: f64) -> u64 {
    number as u64
}
