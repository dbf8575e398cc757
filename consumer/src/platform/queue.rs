//! The queue's batch as plain values, and verdicts back to the queue.
//!
//! `worker`'s own message type knows no bytes and no attempts, so this reads the platform's objects (PLATFORM facts,
//! Queues from Rust).

use js_sys::{Array, ArrayBuffer, JSON, JsString, Object, Reflect, Uint8Array};
use wasm_bindgen::{JsCast as _, JsValue};
use wasm_bindgen_futures::JsFuture;
use worker::{
    Env,
    worker_sys::{Message, MessageBatch, Queue},
};

use super::runtime::within;
use crate::{
    limits::{MAX_JSON_BODY_BYTES, SEND_TIMEOUT},
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
        match JSON::stringify(body).map(String::from) {
            Ok(text) if text.len() <= MAX_JSON_BODY_BYTES => MessageBody::Json(text),
            _ => MessageBody::Other,
        }
    }
}

/// Tells the queue what becomes of a message.
///
/// # Errors
/// What the platform throws.
pub(crate) fn settle(handle: &Message, verdict: MessageVerdict) -> Result<(), JsValue> {
    match verdict {
        MessageVerdict::Ack | MessageVerdict::Dead => handle.ack(),
        MessageVerdict::Retry(delay) => {
            let options = Object::new();
            let seconds = u32::try_from(delay.as_secs().max(1)).unwrap_or(u32::MAX);
            Reflect::set(&options, &"delaySeconds".into(), &seconds.into())?;
            handle.retry(options.into())
        }
    }
}

/// Sends messages to the queue that is bound as `binding`, as one batch.
///
/// # Errors
/// What the platform says, which names no content; or that it says nothing in time.
pub(crate) async fn send(env: &Env, binding: &str, messages: &[MessageBody]) -> Result<(), String> {
    let sent = async {
        let queue: Queue = JsValue::from(env.queue(binding)?).unchecked_into();
        let entries = Array::new();
        for message in messages {
            let (body, content_type): (JsValue, &str) = match message {
                // A copy: the platform detaches what it sends.
                MessageBody::Bytes(bytes) => (Uint8Array::from(bytes.as_slice()).into(), "bytes"),
                MessageBody::Text(text) => (text.into(), "text"),
                MessageBody::Json(text) => (JSON::parse(text)?, "json"),
                MessageBody::Other => return Err(JsValue::from("a message without content")),
            };
            let entry = Object::new();
            Reflect::set(&entry, &"body".into(), &body)?;
            Reflect::set(&entry, &"contentType".into(), &content_type.into())?;
            entries.push(&entry);
        }
        JsFuture::from(queue.send_batch(entries, JsValue::UNDEFINED)?).await
    };
    match within(SEND_TIMEOUT, sent).await {
        Some(Ok(_)) => Ok(()),
        Some(Err(error)) => Err(format!("{error:?}")),
        None => Err(format!("no answer within {SEND_TIMEOUT:?}")),
    }
}

/// A JavaScript number as an integer: 0 for what is negative or none, saturating above.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates, and NaN gives 0")]
fn to_u64(number: f64) -> u64 {
    number as u64
}
