//! Both Workers in one Miniflare, as in an installation, with a cron trigger that fires when a test says so.

use std::path::Path;

use serde_json::Value;

use crate::{consumer::METRICS_TOKEN, exposition::Exposition, http::Reply, miniflare::Miniflare};

/// Both Workers. They stop when this is dropped.
pub struct Both(Miniflare);

impl Both {
    /// Starts both, which persist in `folder`, with these vars and secrets beside what a short test needs.
    ///
    /// # Errors
    /// Why they did not start.
    pub fn start(folder: &Path, producer: &[(&str, &str)], consumer: &[(&str, &str)]) -> Result<Self, String> {
        Self::start_with(folder, producer, consumer, false)
    }

    /// The same where the producer has a store for sticky assignments. With `FAULT_URL` among its vars that store fails to
    /// order (`tests/miniflare/sticky_faults.js`).
    ///
    /// # Errors
    /// Why they did not start.
    pub fn start_sticky(folder: &Path, producer: &[(&str, &str)]) -> Result<Self, String> {
        Self::start_with(folder, producer, &[], true)
    }

    fn start_with(
        folder: &Path,
        producer: &[(&str, &str)],
        consumer: &[(&str, &str)],
        is_sticky: bool,
    ) -> Result<Self, String> {
        let with = |own: &[(&str, &str)], given: &[(&str, &str)]| -> Value {
            own.iter().chain(given).map(|(name, value)| ((*name).to_owned(), Value::from(*value))).collect()
        };
        let bindings = serde_json::json!({
            "isSticky": is_sticky,
            "producer": with(&[("FLUSH_INTERVAL_MS", "100"), ("STATE_REFRESH_MS", "1000")], producer),
            "consumer": with(
                &[
                    ("METRICS_TOKEN", METRICS_TOKEN),
                    ("PUBLISH_INTERVAL_MS", "1000"),
                    // Nobody listens there: these tests are not about the backend, and nothing of them goes to the real one.
                    ("CONFIDENCE_FLAG_LOGS_URL", "http://127.0.0.1:1/"),
                    ("CONFIDENCE_INGEST_URL", "http://127.0.0.1:1/"),
                ],
                consumer,
            ),
        });
        Miniflare::start("both", folder, &bindings).map(Self)
    }

    /// Fires the cron trigger, and returns when its handler has ended.
    ///
    /// # Errors
    /// Where the handler failed.
    pub fn scheduled(&self) -> Result<(), String> {
        self.0.scheduled()
    }

    /// Resolves all flags of a client, and applies them.
    ///
    /// # Errors
    /// What went wrong with the connection.
    pub fn resolve(&self, client_secret: &str, context: &Value) -> Result<Reply, String> {
        let body = serde_json::json!({"clientSecret": client_secret, "evaluationContext": context, "apply": true});
        self.0.send("POST", "/v1/flags:resolve", &[], body.to_string().as_bytes())
    }

    /// The variant of one flag in the answer to such a resolve, by its last word.
    ///
    /// # Errors
    /// Where there is no such flag in the answer, or no answer.
    pub fn variant(&self, client_secret: &str, context: &Value, flag: &str) -> Result<String, String> {
        let reply = self.resolve(client_secret, context)?;
        let answer = reply.json();
        let flags = answer.get("resolvedFlags").and_then(Value::as_array).into_iter().flatten();
        let variant = flags
            .filter(|resolved| resolved.get("flag").is_some_and(|name| name == flag))
            .find_map(|resolved| resolved.get("variant")?.as_str());
        let last = variant.and_then(|variant| variant.rsplit('/').next());
        last.map(str::to_owned).ok_or_else(|| format!("status {}: {}", reply.status, reply.body))
    }

    /// Reads a value from a KV namespace of the producer, and its metadata.
    ///
    /// # Errors
    /// Where there is none.
    pub fn get_kv(&self, binding: &str, key: &str) -> Result<(Vec<u8>, String), String> {
        self.0.get_kv(binding, key)
    }

    /// The keys of a KV namespace of the producer, with when they expire.
    ///
    /// # Errors
    /// What went wrong.
    pub fn list_kv(&self, binding: &str) -> Result<Value, String> {
        Ok(self.0.send("GET", &format!("/kv/{binding}"), &[], b"")?.json())
    }

    /// Writes a value into a KV namespace of the producer.
    ///
    /// # Errors
    /// What went wrong.
    pub fn put_kv(&self, binding: &str, key: &str, value: &[u8]) -> Result<(), String> {
        self.0.put_kv(binding, key, value)
    }

    /// What `/metrics` says now.
    ///
    /// # Errors
    /// Where it does not answer 200, or what it says is no exposition.
    pub fn metrics(&self) -> Result<Exposition, String> {
        let token = format!("Bearer {METRICS_TOKEN}");
        let reply = self.0.send("GET", "/metrics", &[("Authorization", &token)], b"")?;
        if reply.status == 200 { Exposition::parse(&reply.body) } else { Err(format!("status {}", reply.status)) }
    }
}
