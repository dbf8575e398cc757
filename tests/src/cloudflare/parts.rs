//! The parts that the servers and the handle share, and how they come to be.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tributary_local::random;

use super::api;
use super::call::Call;
use super::cloud::Cloud;
use super::confidence::Confidence;
use super::edge::{self, Edge};
use super::ids;
use super::server::{Outcome, Servers};
use super::state::{Account, Ports, State};
use crate::installation::repository;

/// What the servers and the handle share.
pub(super) struct Parts {
    pub(super) cloud: Arc<Cloud>,
    pub(super) confidence: Confidence,
    /// `None` where the Workers do not run.
    pub(super) edge: Option<Arc<Edge>>,
}

impl Parts {
    fn edge(&self) -> Result<&Arc<Edge>, String> {
        self.edge.as_ref().ok_or_else(|| "the Workers do not run".to_owned())
    }

    /// Answers a request to the API; what it deployed runs before the answer goes out.
    pub(super) fn api(&self, call: &Call, has_waited: bool) -> Outcome {
        let before = self.cloud.changes.count();
        let outcome = api::handle(&self.cloud, call, has_waited);
        if let Some(edge) = self.edge.as_ref().filter(|_| self.cloud.changes.count() != before) {
            edge.retire();
        }
        outcome
    }

    pub(super) fn run_cron(&self, script: &str, cron: &str) -> Result<(), String> {
        let edge = self.edge()?;
        let account = {
            let state = self.cloud.state();
            let has_trigger = |account: &&Account| {
                let schedules = account.scripts.get(script).map(|script| script.schedules.as_slice());
                schedules.unwrap_or_default().iter().any(|schedule| schedule.cron == cron)
            };
            let account = state.accounts.iter().find(has_trigger);
            account.ok_or_else(|| format!("Worker {script:?} has no cron trigger {cron:?}"))?.id.clone()
        };
        edge.schedule(&account, script, cron, ids::now_millis())
    }

    pub(super) fn wait_until_idle(&self, limit: Duration) -> Result<(), String> {
        self.edge()?;
        edge::wait_until_idle(&self.cloud, limit)
    }
}

/// The edge, and the server behind the bindings of its Workers.
pub(super) fn start_edge(servers: &Servers, cloud: &Arc<Cloud>, port: u16, linger: Duration) -> io::Result<Arc<Edge>> {
    let (backing, key) = (Arc::clone(cloud), edge::new_key());
    let known = key.clone();
    let handler = move |call: &Call, _| Outcome::Answer(edge::handle(&backing, &known, call));
    let backend = servers.listen(0, Arc::new(handler))?;
    Ok(Arc::new(Edge::start(Arc::clone(cloud), backend, key, port, linger)?))
}

pub(super) fn new_state(accounts: usize) -> io::Result<State> {
    let secret = |length: fn() -> Result<[u8; 20], random::RandomError>| length().map(|bytes| random::hex(&bytes));
    Ok(State {
        ports: Ports::default(),
        token: secret(random::bytes).map_err(io::Error::other)?,
        client_secret: random::hex(&random::bytes::<16>().map_err(io::Error::other)?),
        accounts: (1..=accounts).map(Account::new).collect(),
    })
}

/// The runtime among the npm tools, in the package of this machine's kind.
///
/// # Errors
/// Where it is not installed.
pub fn runtime() -> io::Result<PathBuf> {
    let packages = repository().join("wrangler/node_modules/@cloudflare");
    let entries = std::fs::read_dir(&packages)
        .map_err(|error| io::Error::other(format!("{}: {error}; run `make setup`", packages.display())))?;
    let mut programs = entries.filter_map(Result::ok).map(|entry| entry.path().join("bin/workerd"));
    let program = programs.find(|program| program.is_file());
    program.ok_or_else(|| io::Error::other("workerd is not installed: run `make setup`"))?.canonicalize()
}
