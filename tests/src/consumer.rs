//! The consumer Worker alone, in Miniflare: the real runtime and Durable Object, with a queue that the test plays.

use std::path::Path;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::Deserialize;
use tributary_local::demo_state::demo_state;
use tributary_proto::{Message as _, v1::ClientResolverState};

use crate::{exposition::Exposition, http::Reply, miniflare::Miniflare};

/// The token of [`Consumer::metrics`].
pub const METRICS_TOKEN: &str = "a-token-of-a-test";
/// The client secret with which the consumer delivers.
pub const CLIENT_SECRET: &str = "a-secret-of-a-test";

/// A resolver state, as KV holds it, of this account and with these destinations of its flag logs.
///
/// # Errors
/// Never: the demo state decodes.
pub fn state_with_route(account_id: &str, log_destinations: &[i32]) -> Result<Vec<u8>, String> {
    let state = ClientResolverState::decode(demo_state(CLIENT_SECRET).as_slice()).map_err(|error| error.to_string())?;
    let (account_id, log_destinations) = (account_id.to_owned(), log_destinations.to_vec());
    Ok(ClientResolverState { account_id, log_destinations, ..state }.encode_to_vec())
}

/// Content of a message.
#[derive(Clone, Debug)]
pub enum Body {
    /// As our producer sends it.
    Bytes(Vec<u8>),
    /// As today's Confidence Cloudflare resolver sends it.
    Text(String),
    /// As nobody sends it.
    Object(serde_json::Value),
}

/// One delivery of a message.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The queue's id of the message.
    pub id: String,
    /// Which delivery this is, from 1.
    pub attempts: u32,
    /// When it was sent, in milliseconds since the epoch.
    pub timestamp_ms: u64,
    /// Its content.
    pub body: Body,
}

/// What the consumer did with a batch.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct QueueResult {
    /// `ok` unless the handler failed.
    pub outcome: String,
    /// Ids of messages that were acked by name.
    pub explicit_acks: Vec<String>,
    /// Messages that are to be delivered again.
    pub retry_messages: Vec<Retried>,
}

/// A message that is to be delivered again.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Retried {
    /// Its id.
    pub msg_id: String,
    /// How long it waits.
    pub delay_seconds: Option<u32>,
}

/// A running consumer. Stops when it is dropped.
pub struct Consumer(Miniflare);

impl Consumer {
    /// Starts a consumer that persists in `folder`, with these vars beside its secrets.
    ///
    /// # Errors
    /// Why it did not start.
    pub fn start(folder: &Path, vars: &[(&str, &str)]) -> Result<Self, String> {
        let mut bindings = serde_json::json!({
            "METRICS_TOKEN": METRICS_TOKEN, "CONFIDENCE_CLIENT_SECRET": CLIENT_SECRET, "PUBLISH_INTERVAL_MS": "1000",
        });
        for (name, value) in vars {
            bindings.as_object_mut().ok_or("bindings are an object")?.insert((*name).to_owned(), (*value).into());
        }
        Miniflare::start("consumer", folder, &bindings).map(Self)
    }

    /// Hands over one batch.
    ///
    /// # Errors
    /// What went wrong with the connection, or with the runtime.
    pub fn deliver(&self, batch: &[Delivery]) -> Result<QueueResult, String> {
        self.deliver_to("/queue", batch)
    }

    /// Hands over one batch of the dead-letter queue.
    ///
    /// # Errors
    /// As [`Consumer::deliver`].
    pub fn deliver_dead(&self, batch: &[Delivery]) -> Result<QueueResult, String> {
        self.deliver_to("/dead-queue", batch)
    }

    /// What `GET /dead-letters` says now, with these options.
    ///
    /// # Errors
    /// Where it does not answer 200.
    pub fn dead_letters(&self, query: &str) -> Result<serde_json::Value, String> {
        self.call("GET", &format!("/dead-letters{query}"))
    }

    /// Sends a request with the token, and reads its JSON.
    ///
    /// # Errors
    /// Where it does not answer 200.
    pub fn call(&self, method: &str, path: &str) -> Result<serde_json::Value, String> {
        let token = format!("Bearer {METRICS_TOKEN}");
        let reply = self.send(method, path, &[("Authorization", &token)], b"")?;
        if reply.status == 200 { Ok(reply.json()) } else { Err(format!("status {}: {}", reply.status, reply.body)) }
    }

    fn deliver_to(&self, path: &str, batch: &[Delivery]) -> Result<QueueResult, String> {
        let batch: Vec<serde_json::Value> = batch
            .iter()
            .map(|delivery| {
                let (kind, content) = match &delivery.body {
                    Body::Bytes(bytes) => ("base64", BASE64_STANDARD.encode(bytes).into()),
                    Body::Text(text) => ("text", text.clone().into()),
                    Body::Object(object) => ("object", object.clone()),
                };
                serde_json::json!({
                    "id": delivery.id, "attempts": delivery.attempts, "timestampMs": delivery.timestamp_ms,
                    kind: content,
                })
            })
            .collect();
        let body = serde_json::Value::from(batch).to_string();
        let reply = self.send("POST", path, &[], body.as_bytes())?;
        serde_json::from_str(&reply.body).map_err(|error| format!("{error}: {}", reply.body))
    }

    /// Sends a string to the queue of Spotify's resolver, as its Worker does; the consumer gets it from there.
    ///
    /// # Errors
    /// What went wrong.
    pub fn send_as_peer(&self, text: &str, content_type: Option<&str>) -> Result<(), String> {
        let headers: Vec<_> = content_type.map(|content_type| ("x-content-type", content_type)).into_iter().collect();
        let reply = self.send("POST", "/peer-queue", &headers, text.as_bytes())?;
        if reply.status == 200 { Ok(()) } else { Err(format!("status {}: {}", reply.status, reply.body)) }
    }

    /// Puts messages of bytes into the queue, as any Worker with a binding can; the runtime delivers them in batches of its own.
    ///
    /// # Errors
    /// What went wrong.
    pub fn send_messages(&self, messages: &[Vec<u8>]) -> Result<(), String> {
        let messages: Vec<String> = messages.iter().map(|message| BASE64_STANDARD.encode(message)).collect();
        let reply = self.send("POST", "/deltas", &[], serde_json::json!(messages).to_string().as_bytes())?;
        if reply.status == 200 { Ok(()) } else { Err(format!("status {}: {}", reply.status, reply.body)) }
    }

    /// The base URL.
    pub fn url(&self) -> &str {
        self.0.url()
    }

    /// Writes a value into a KV namespace.
    ///
    /// # Errors
    /// What went wrong.
    pub fn put_kv(&self, binding: &str, key: &str, value: &[u8]) -> Result<(), String> {
        self.0.put_kv(binding, key, value)
    }

    /// The same with a word of metadata beside it.
    ///
    /// # Errors
    /// What went wrong.
    pub fn put_kv_with_metadata(&self, binding: &str, key: &str, metadata: &str, value: &[u8]) -> Result<(), String> {
        let reply = self.send("PUT", &format!("/kv/{binding}/{key}"), &[("x-metadata", metadata)], value)?;
        if reply.status == 200 { Ok(()) } else { Err(reply.body) }
    }

    /// Reads a value from a KV namespace, and its metadata.
    ///
    /// # Errors
    /// Where there is none.
    pub fn get_kv(&self, binding: &str, key: &str) -> Result<(Vec<u8>, String), String> {
        self.0.get_kv(binding, key)
    }

    /// Sends a request to the Worker.
    ///
    /// # Errors
    /// What went wrong with the connection.
    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<Reply, String> {
        self.0.send(method, path, headers, body)
    }

    /// Fires the cron trigger, and returns when its handler has ended.
    ///
    /// # Errors
    /// Where the handler failed.
    pub fn scheduled(&self) -> Result<(), String> {
        self.0.scheduled()
    }

    /// What `/metrics` says now.
    ///
    /// # Errors
    /// Where it does not answer 200, or what it says is no exposition.
    pub fn metrics(&self) -> Result<Exposition, String> {
        let token = format!("Bearer {METRICS_TOKEN}");
        let reply = self.send("GET", "/metrics", &[("Authorization", &token)], b"")?;
        if reply.status != 200 {
            return Err(format!("status {}: {}", reply.status, reply.body));
        }
        Exposition::parse(&reply.body)
    }

    /// Ends the runtime and everything in it at once, as a power cut would; what it persisted stays.
    pub fn kill(self) {
        self.crash();
    }

    /// The same while others still use it: what they have under way fails.
    pub fn crash(&self) {
        self.0.crash();
    }
}
