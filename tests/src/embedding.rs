//! Consumer, producer and Workers that are not ours, all in one workerd and on one queue.

use std::{collections::BTreeMap, path::Path};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use tributary_local::demo_state::demo_state;

use crate::{
    consumer::{CLIENT_SECRET, METRICS_TOKEN},
    exposition::Exposition,
    http::Reply,
    miniflare::Miniflare,
};

/// A running installation with the examples of embedding Workers. Stops when it is dropped.
pub struct Embedding(Miniflare);

impl Embedding {
    /// Starts one that persists in `folder`, with these vars for all Workers.
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
        let embedding = Self(Miniflare::start("embedding", folder, &bindings)?);
        embedding.0.put_kv("CONFIDENCE_STATE_KV", "resolver_state", &demo_state(CLIENT_SECRET))?;
        Ok(embedding)
    }

    /// Orders so many items.
    ///
    /// # Errors
    /// Where the Worker does not answer 200.
    pub fn order(&self, country: &str, items: u32) -> Result<(), String> {
        let reply = self.0.send("POST", &format!("/orders?country={country}&items={items}"), &[], b"")?;
        if reply.status == 200 { Ok(()) } else { Err(format!("status {}: {}", reply.status, reply.body)) }
    }

    /// Sends a request to the example of the emitter (`shop`), or to that with OpenTelemetry's API in Rust (`cafe`) or
    /// TypeScript (`kiosk`), and returns what it says.
    ///
    /// # Errors
    /// Where the Worker does not answer 200.
    pub fn call(&self, method: &str, worker: &str, path: &str) -> Result<String, String> {
        let reply = self.0.send(method, &format!("/{worker}{path}"), &[], b"")?;
        if reply.status == 200 { Ok(reply.body) } else { Err(format!("status {}: {}", reply.status, reply.body)) }
    }

    /// Messages that the queues took of one of these Workers, by binding.
    ///
    /// # Errors
    /// What went wrong.
    pub fn sends(&self, worker: &str) -> Result<BTreeMap<String, u64>, String> {
        serde_json::from_str(&self.call("GET", worker, "/sends")?).map_err(|error| error.to_string())
    }

    /// Resolves all flags for a user and returns how many there were.
    ///
    /// # Errors
    /// Where the producer does not answer 200.
    pub fn resolve(&self, user: &str) -> Result<usize, String> {
        let body = serde_json::json!({
            "clientSecret": CLIENT_SECRET,
            "evaluationContext": {"targeting_key": user, "visitor_id": user, "country": "se"},
            "apply": true,
        });
        let json = [("Content-Type", "application/json")];
        let reply = self.0.send("POST", "/v1/flags:resolve", &json, body.to_string().as_bytes())?;
        let flags = reply.json().get("resolvedFlags").and_then(|flags| flags.as_array().map(Vec::len));
        flags.ok_or_else(|| format!("status {}: {}", reply.status, reply.body))
    }

    /// Puts messages of bytes into the queue, as any Worker with a binding can.
    ///
    /// # Errors
    /// What went wrong.
    pub fn send_messages(&self, messages: &[Vec<u8>]) -> Result<(), String> {
        let messages: Vec<String> = messages.iter().map(|message| BASE64_STANDARD.encode(message)).collect();
        let reply = self.0.send("POST", "/send", &[], serde_json::json!(messages).to_string().as_bytes())?;
        if reply.status == 200 { Ok(()) } else { Err(format!("status {}: {}", reply.status, reply.body)) }
    }

    /// Sends a request to the consumer, with the token.
    ///
    /// # Errors
    /// What went wrong with the connection.
    pub fn get(&self, path: &str, accept: &str) -> Result<Reply, String> {
        let token = format!("Bearer {METRICS_TOKEN}");
        self.0.send("GET", path, &[("Authorization", &token), ("Accept", accept)], b"")
    }

    /// What `/metrics` says now.
    ///
    /// # Errors
    /// Where it does not answer 200, or what it says is no exposition.
    pub fn metrics(&self) -> Result<Exposition, String> {
        let reply = self.get("/metrics", "*/*")?;
        if reply.status != 200 {
            return Err(format!("status {}: {}", reply.status, reply.body));
        }
        Exposition::parse(&reply.body)
    }

    /// Ends the runtime and everything in it at once, as a power cut would; what it persisted stays.
    pub fn kill(self) {
        self.0.crash();
    }
}
