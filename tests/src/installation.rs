//! An installation of both Workers in workerd for one test, in a folder of its own that goes away with it.

use std::{path::PathBuf, time::Duration};

use tempfile::TempDir;
use tributary_local::{
    installation::{InstallationError, LocalInstallation, Running},
    options::Options,
};

use crate::{
    exposition::Exposition,
    http::{Client, Reply},
};

/// The checkout.
pub fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A running installation without traffic.
pub struct Installation {
    /// What runs. Stops when it is dropped, before its folder goes.
    pub running: Running,
    client: Client,
    _folder: TempDir,
}

impl Installation {
    /// Starts one; `change` may change its options.
    ///
    /// # Errors
    /// Why it did not start.
    pub fn start(change: impl FnOnce(&mut Options)) -> Result<Self, InstallationError> {
        let folder = TempDir::new().map_err(|source| InstallationError::File { path: std::env::temp_dir(), source })?;
        let mut options = Options::new(repository(), folder.path());
        options.deadline = Duration::from_secs(180);
        options.producer_vars.insert("FLUSH_INTERVAL_MS".into(), "200".into());
        change(&mut options);
        Ok(Self { running: LocalInstallation::start(options)?, client: Client::default(), _folder: folder })
    }

    /// Sends a request to the producer's address.
    ///
    /// # Errors
    /// What went wrong with the connection.
    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<Reply, String> {
        self.client.send(method, &format!("{}{path}", self.running.base_url()), headers, body)
    }

    /// Scrapes `/metrics` with these headers beside the token.
    ///
    /// # Errors
    /// What went wrong with the connection.
    pub fn scrape(&self, path: &str, accept: &str) -> Result<Reply, String> {
        let token = format!("Bearer {}", self.running.metrics_token().reveal());
        self.send("GET", path, &[("Authorization", &token), ("Accept", accept)], b"")
    }

    /// What `/metrics` says now.
    ///
    /// # Errors
    /// Where it does not answer 200, or what it says is no exposition.
    pub fn metrics(&self) -> Result<Exposition, String> {
        let reply = self.scrape("/metrics", "application/openmetrics-text;version=1.0.0")?;
        if reply.status != 200 {
            return Err(format!("status {}: {}", reply.status, reply.body));
        }
        Exposition::parse(&reply.body)
    }

    /// What the stub backend has taken.
    ///
    /// # Errors
    /// What went wrong with the connection.
    pub fn backend_stats(&self) -> Result<serde_json::Value, String> {
        let url = format!("{}/stats", self.running.backend_url());
        Ok(self.client.send("GET", &url, &[], b"")?.json())
    }

    /// The body of a resolve of all flags for one user.
    pub fn resolve_body(&self, user: &str, country: &str, apply: bool) -> Vec<u8> {
        serde_json::json!({
            "clientSecret": self.running.client_secret().reveal(),
            "evaluationContext": {"targeting_key": user, "visitor_id": user, "country": country},
            "apply": apply,
        })
        .to_string()
        .into_bytes()
    }
}
