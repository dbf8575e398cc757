//! The producer Worker alone, in Miniflare, with a queue that the test plays.

use std::path::Path;

use tributary_local::demo_state::demo_state;

use crate::miniflare::Miniflare;

/// The client secret of the demo state that it serves.
const CLIENT_SECRET: &str = "a-client-of-a-test";

/// A running producer. Stops when it is dropped.
pub struct Producer(Miniflare);

impl Producer {
    /// Starts one that serves the demo state, persists in `folder` and sends its records to `queue_url`, with these vars.
    ///
    /// # Errors
    /// Why it did not start.
    pub fn start(folder: &Path, queue_url: &str, vars: &[(&str, &str)]) -> Result<Self, String> {
        let mut bindings = serde_json::json!({ "FAULT_URL": queue_url });
        for (name, value) in vars {
            bindings.as_object_mut().ok_or("bindings are an object")?.insert((*name).to_owned(), (*value).into());
        }
        let worker = Miniflare::start("producer", folder, &bindings)?;
        worker.put_kv("CONFIDENCE_STATE_KV", "resolver_state", &demo_state(CLIENT_SECRET))?;
        Ok(Self(worker))
    }

    /// Resolves all flags for a user, and applies them. Returns the answer.
    ///
    /// # Errors
    /// Where it does not answer 200.
    pub fn resolve(&self, user: &str, country: &str) -> Result<serde_json::Value, String> {
        self.resolve_with(user, country, &[("Content-Type", "application/json")])
    }

    /// The same as another Worker asks for it, in a request of its own making.
    ///
    /// # Errors
    /// As [`Producer::resolve`].
    pub fn resolve_for_worker(&self, user: &str, country: &str) -> Result<serde_json::Value, String> {
        self.resolve_with(user, country, &[("Content-Type", "application/json"), ("x-made-up", "yes")])
    }

    fn resolve_with(&self, user: &str, country: &str, headers: &[(&str, &str)]) -> Result<serde_json::Value, String> {
        let body = serde_json::json!({
            "clientSecret": CLIENT_SECRET,
            "evaluationContext": {"targeting_key": user, "visitor_id": user, "country": country},
            "apply": true,
        });
        let reply = self.0.send("POST", "/v1/flags:resolve", headers, body.to_string().as_bytes())?;
        if reply.status == 200 { Ok(reply.json()) } else { Err(format!("status {}: {}", reply.status, reply.body)) }
    }
}
