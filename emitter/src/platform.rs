//! The runtime: environment, queue, timers, randomness. It carries values between the runtime and the logic and decides
//! nothing.

use std::time::Duration;

use js_sys::{Array, Object, Reflect, Uint8Array};
use wasm_bindgen::{JsCast as _, JsValue, prelude::wasm_bindgen};
use wasm_bindgen_futures::JsFuture;
use worker::{Delay, Env};

use crate::clock;
use crate::config::queue_binding;
use crate::outbox::Outgoing;
use crate::send::Port;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = crypto, js_name = getRandomValues, catch)]
    fn get_random_values(bytes: &mut [u8]) -> Result<JsValue, JsValue>;
}

/// 16 random bytes; `None` where the runtime gives none, as in global scope.
pub fn random_id() -> Option<[u8; 16]> {
    let mut bytes = [0; 16];
    get_random_values(&mut bytes).ok()?;
    Some(bytes)
}

/// A variable or secret as text. JSON variables of `wrangler.toml` (`FORCE_APPLY = true`) arrive as values.
pub fn env_text(env: &Env, name: &str) -> Option<String> {
    let value = Reflect::get(env, &JsValue::from_str(name)).ok()?;
    if let Some(text) = value.as_string() {
        return Some(text);
    }
    if let Some(flag) = value.as_bool() {
        return Some(flag.to_string());
    }
    value.as_f64().map(|number| number.to_string())
}

/// Waits.
pub async fn wait(milliseconds: u64) {
    Delay::from(Duration::from_millis(milliseconds)).await;
}

/// The queue bindings, for the request that they belong to.
#[derive(Clone, Debug)]
pub struct Queue<'a> {
    /// The environment of the request.
    pub env: &'a Env,
    /// Name of the first binding; see [`queue_binding`].
    pub binding: &'a str,
}

impl Port for Queue<'_> {
    async fn send(&self, queue: u32, batch: &[Outgoing]) -> Result<(), String> {
        let binding = queue_binding(self.binding, queue);
        let Ok(queue) = self.env.queue(&binding) else { return Err(format!("no queue is bound as {binding}")) };
        send_raw(JsValue::from(queue).unchecked_into(), batch).await.map_err(|error| js_message(&error))
    }

    async fn wait(&self, milliseconds: u64) {
        wait(milliseconds).await;
    }

    fn now_ms(&self) -> u64 {
        clock::epoch_ms()
    }
}

/// `worker` has no bytes messages, so this talks to the binding itself. `contentType` stands at the top level of a batch
/// entry; the queue detaches the buffer that it is given, so each is a copy.
async fn send_raw(queue: worker::worker_sys::Queue, batch: &[Outgoing]) -> Result<(), JsValue> {
    let content_type = |object: &Object| Reflect::set(object, &"contentType".into(), &"bytes".into());
    let promise = if let [(_, bytes)] = batch {
        let options = Object::new();
        content_type(&options)?;
        queue.send(Uint8Array::from(&**bytes).into(), options.into())?
    } else {
        let entries = Array::new();
        for (_, bytes) in batch {
            let entry = Object::new();
            Reflect::set(&entry, &"body".into(), &Uint8Array::from(&**bytes))?;
            content_type(&entry)?;
            entries.push(&entry);
        }
        queue.send_batch(entries, JsValue::UNDEFINED)?
    };
    JsFuture::from(promise).await.map(drop)
}

/// The message of what JavaScript threw, without its stack.
fn js_message(error: &JsValue) -> String {
    match error.dyn_ref::<js_sys::Error>() {
        Some(error) => String::from(error.message()),
        None => "JavaScript threw something that is not an Error".to_owned(),
    }
}
