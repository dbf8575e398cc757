//! An installation with several queues in one Miniflare: the consumer, and producers that are an isolate each.

use std::{collections::BTreeMap, path::Path};

use serde_json::Value;

use crate::{
    consumer::{CLIENT_SECRET, METRICS_TOKEN, state_with_route},
    exposition::Exposition,
    http::Reply,
    miniflare::Miniflare,
};

/// What to start.
#[derive(Clone, Copy, Debug)]
pub struct Plan<'a> {
    /// Producers, each a Worker of its own.
    pub producers: usize,
    /// `QUEUE_SHARDS`; 1 sets no variable.
    pub shards: u32,
    /// Queues that the producers are bound to.
    pub bound: u32,
    /// Queues that the consumer consumes.
    pub consumed: u32,
    /// Vars of the consumer; the addresses of its backend are among them.
    pub consumer: &'a [(&'a str, &'a str)],
}

impl Plan<'_> {
    /// So many producers and queues, and nothing else.
    pub const fn new(producers: usize, shards: u32) -> Self {
        Self { producers, shards, bound: shards, consumed: shards, consumer: &[] }
    }
}

/// A running installation. Stops when it is dropped.
pub struct Shards(Miniflare);

impl Shards {
    /// Starts one that persists in `folder`.
    ///
    /// # Errors
    /// Why it did not start.
    pub fn start(folder: &Path, plan: Plan<'_>) -> Result<Self, String> {
        let shards = plan.shards.to_string();
        let mut producer = BTreeMap::from([("FLUSH_INTERVAL_MS", "50")]);
        if plan.shards > 1 {
            producer.insert("QUEUE_SHARDS", &shards);
        }
        let mut consumer = BTreeMap::from([
            ("METRICS_TOKEN", METRICS_TOKEN),
            ("CONFIDENCE_CLIENT_SECRET", CLIENT_SECRET),
            ("PUBLISH_INTERVAL_MS", "1000"),
        ]);
        consumer.extend(plan.consumer.iter().copied());
        let bindings = serde_json::json!({
            "producers": plan.producers, "queues": plan.bound, "consumed": plan.consumed,
            "producer": producer, "consumer": consumer,
        });
        let started = Self(Miniflare::start("shards", folder, &bindings)?);
        started.0.put_kv("CONFIDENCE_STATE_KV", "resolver_state", &state_with_route("acc", &[1, 2])?)?;
        Ok(started)
    }

    /// Resolves all flags once at one producer; the answer was 200.
    ///
    /// # Errors
    /// Where it was not.
    pub fn resolve(&self, producer: usize, user: &str) -> Result<(), String> {
        let context = serde_json::json!({"targeting_key": user, "visitor_id": user, "country": "se"});
        let body = serde_json::json!({"clientSecret": CLIENT_SECRET, "evaluationContext": context, "apply": true});
        let path = format!("/producers/{producer}/v1/flags:resolve");
        let reply = self.0.send("POST", &path, &[], body.to_string().as_bytes())?;
        if reply.status == 200 { Ok(()) } else { Err(format!("status {}: {}", reply.status, reply.body)) }
    }

    /// Messages that the queues took of one producer, by binding.
    ///
    /// # Errors
    /// What went wrong.
    pub fn sends(&self, producer: usize) -> Result<BTreeMap<String, u64>, String> {
        let reply = self.0.send("GET", &format!("/producers/{producer}/sends"), &[], b"")?;
        serde_json::from_value(reply.json()).map_err(|error| error.to_string())
    }

    /// Makes these bindings of one producer refuse, and the others take.
    ///
    /// # Errors
    /// What went wrong.
    pub fn refuse(&self, producer: usize, bindings: &[&str]) -> Result<(), String> {
        let body = Value::from(bindings.to_vec()).to_string();
        self.0.send("PUT", &format!("/producers/{producer}/refuses"), &[], body.as_bytes()).map(drop)
    }

    /// Sends a request to the consumer, with the token.
    ///
    /// # Errors
    /// What went wrong with the connection.
    pub fn ask(&self, method: &str, path: &str) -> Result<Reply, String> {
        let token = format!("Bearer {METRICS_TOKEN}");
        self.0.send(method, path, &[("Authorization", &token)], b"")
    }

    /// What `/metrics` says now.
    ///
    /// # Errors
    /// Where it does not answer 200, or what it says is no exposition.
    pub fn metrics(&self) -> Result<Exposition, String> {
        let reply = self.ask("GET", "/metrics")?;
        if reply.status == 200 { Exposition::parse(&reply.body) } else { Err(format!("status {}", reply.status)) }
    }

    /// Ends the runtime at once, as a power cut would.
    pub fn crash(self) {
        self.0.crash();
    }
}
