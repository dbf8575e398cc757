//! A Cloudflare of one's own on loopback: keeps state, checks every request as the real API does, fails on order, and
//! runs the Workers that were deployed to it.
//!
//! ```text
//! wrangler, deployer ─► api ─► state ◄─ edge: workerd with the Workers ◄─ people, tests
//!                        ▲               │ KV and queue bindings
//!                     faults             └─► kv, broker ─► consumers, dead-letter queues
//! ```
//!
//! | module | what it does |
//! | --- | --- |
//! | [`server`] | HTTP that can answer, wait, or break the connection |
//! | [`api`] | the REST API: authentication, routes, rules |
//! | [`faults`], [`record`] | what fails, and what was asked |
//! | [`state`], [`folder`] | what there is, and what of it is on disk |
//! | [`kv`] | the rules of KV, for the API and for Workers |
//! | [`edge`] | the runtime, and what stands behind its bindings |
//! | [`confidence`] | stands in for Confidence's CDN and backend |
//! | [`control`] | `/__control`, for the program `fake-cloudflare` |
//!
//! What it does not do: plans and prices, routes and domains, gradual deployments (the larger part serves), bindings
//! other than text, JSON, secret, KV, queue, service, Durable Object and version metadata.

mod answer;
mod api;
mod call;
mod cloud;
mod confidence;
mod control;
mod cron;
mod edge;
mod faults;
mod folder;
mod ids;
mod inspect;
mod kv;
mod multipart;
mod parts;
mod record;
mod server;
mod state;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use tempfile::TempDir;

pub use confidence::Confidence;
pub use faults::{Effect, Fault};
pub use inspect::{ConsumerView, NamespaceView, QueueView, ScriptView, VersionView};
pub use record::Recorded;
pub use state::{ConsumerSettings, KvValue};

use answer::Response;
use call::Call;
use cloud::Cloud;
use edge::{Broker, Clock};
use folder::Folder;
pub use parts::runtime;
use parts::{Parts, new_state, start_edge};
use server::{Outcome, Servers};
use state::{Account, Ports};

/// How often the state is written while it changes.
const SAVE_INTERVAL: Duration = Duration::from_millis(500);

/// How to start.
#[derive(Clone, Debug)]
pub struct Options {
    /// Port of API and control on 127.0.0.1; 0: that of the last time in this folder, or any.
    pub port: u16,
    /// Port of the Workers on 127.0.0.1; 0 as above.
    pub workers_port: u16,
    /// Accounts that the token sees.
    pub accounts: usize,
    /// Where everything is kept; a folder that goes with it, if none is named.
    pub folder: Option<PathBuf>,
    /// Whether the Workers run. Without it uploads are still loaded once, to see what they export.
    pub runs_workers: bool,
    /// How long after a Worker's last answer a change takes over: so long it can go on behind the answer (`waitUntil`).
    /// The real one lets it go on for 30 s, beside the new version.
    pub linger: Duration,
    /// Whether KV refuses a second write of a key within a second, as the real one does.
    pub limits_kv_writes: bool,
}

impl Default for Options {
    /// One account whose Workers run, in a folder of its own; what changes takes over at once.
    fn default() -> Self {
        Self {
            port: 0,
            workers_port: 0,
            accounts: 1,
            folder: None,
            runs_workers: true,
            linger: Duration::ZERO,
            limits_kv_writes: false,
        }
    }
}

/// A running Cloudflare. Everything in it stops when it is dropped.
pub struct FakeCloudflare {
    // In the order in which they stop.
    clock: Option<Clock>,
    broker: Option<Broker>,
    servers: Option<Servers>,
    parts: Arc<Parts>,
    origin: String,
    saver: Option<JoinHandle<()>>,
    is_over: Arc<AtomicBool>,
    _folder: Option<TempDir>,
}

impl FakeCloudflare {
    /// Starts one.
    ///
    /// # Errors
    /// What the system says; that the runtime is not installed.
    pub fn start(options: Options) -> io::Result<Self> {
        let temporary = if options.folder.is_none() { Some(TempDir::new()?) } else { None };
        let path = options.folder.as_deref().or_else(|| temporary.as_ref().map(TempDir::path));
        let folder = Folder::open(path.ok_or_else(|| io::Error::other("no folder"))?)?;
        let mut state = match folder.load()? {
            Some(state) => state,
            None => new_state(options.accounts)?,
        };
        let servers = Servers::start()?;
        let mut ports = state.ports;
        let confidence = Confidence::start(&servers, &state.client_secret, &mut ports)?;
        state.ports = ports;
        let cloud = Arc::new(Cloud::new(folder, runtime()?, state, options.limits_kv_writes));
        let workers_port = if options.workers_port == 0 { Ports::again(ports.workers) } else { options.workers_port };
        let edge =
            if options.runs_workers { Some(start_edge(&servers, &cloud, workers_port, options.linger)?) } else { None };
        let broker = edge.clone().map(|edge| Broker::start(Arc::clone(&cloud), edge)).transpose()?;
        let clock = edge.clone().map(|edge| Clock::start(Arc::clone(&cloud), edge)).transpose()?;
        let parts = Arc::new(Parts { cloud: Arc::clone(&cloud), confidence, edge });
        let served = Arc::clone(&parts);
        let handler = move |call: &Call, has_waited: bool| {
            if call.path.starts_with(control::PREFIX) {
                Outcome::Answer(control::handle(&served, call))
            } else if call.path.starts_with(api::PREFIX) {
                served.api(call, has_waited)
            } else {
                Outcome::Answer(Response::text(404, "the API is below /client/v4, the control below /__control\n"))
            }
        };
        let port = if options.port == 0 { Ports::again(ports.api) } else { options.port };
        let address = servers.listen(port, Arc::new(handler))?;
        {
            let mut state = cloud.change();
            state.ports.api = address.port();
            state.ports.workers = parts.edge.as_ref().map_or(0, |edge| edge.port());
        }
        let is_over = Arc::<AtomicBool>::default();
        let stop = Arc::clone(&is_over);
        let saver = std::thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                std::thread::park_timeout(SAVE_INTERVAL);
                if let Err(error) = cloud.save() {
                    eprintln!("fake-cloudflare: cannot write its state: {error}");
                }
            }
        });
        Ok(Self {
            clock,
            broker,
            servers: Some(servers),
            parts,
            origin: format!("http://{address}"),
            saver: Some(saver),
            is_over,
            _folder: temporary,
        })
    }

    /// For `CLOUDFLARE_API_BASE_URL`: `http://127.0.0.1:<port>/client/v4`.
    #[must_use]
    pub fn api_url(&self) -> String {
        format!("{}{}", self.origin, api::PREFIX)
    }

    /// Where the control is: `http://127.0.0.1:<port>/__control`.
    #[must_use]
    pub fn control_url(&self) -> String {
        format!("{}{}", self.origin, control::PREFIX)
    }

    /// The one token that is let in.
    #[must_use]
    pub fn token(&self) -> String {
        self.parts.cloud.state().token.clone()
    }

    /// Ids of all accounts.
    #[must_use]
    pub fn account_ids(&self) -> Vec<String> {
        self.parts.cloud.state().accounts.iter().map(|account| account.id.clone()).collect()
    }

    /// Id of the first account, empty where there is none. What follows speaks of this account.
    #[must_use]
    pub fn account_id(&self) -> String {
        self.account_ids().into_iter().next().unwrap_or_default()
    }

    /// Where the Workers listen, `http://127.0.0.1:<port>`: the `Host` says which of them is meant. Empty where they do
    /// not run.
    #[must_use]
    pub fn workers_origin(&self) -> String {
        self.parts.edge.as_ref().map(|edge| edge.origin()).unwrap_or_default()
    }

    /// What the Workers and their runtime print goes there; `None` where they do not run.
    #[must_use]
    pub fn workers_log(&self) -> Option<PathBuf> {
        self.parts.edge.as_ref().map(|edge| edge.log())
    }

    /// The `Host` of a Worker: `<script>.<subdomain>.workers.dev`.
    #[must_use]
    pub fn worker_host(&self, script: &str) -> String {
        let subdomain = self.look(|account| account.subdomain.clone()).flatten().unwrap_or_default();
        format!("{script}.{subdomain}.workers.dev")
    }

    /// Gives the account another workers.dev subdomain, or none, as an account has that never had a Worker.
    pub fn set_subdomain(&self, subdomain: Option<&str>) {
        if let Some(account) = self.parts.cloud.change().accounts.first_mut() {
            account.subdomain = subdomain.map(str::to_owned);
        }
        self.parts.cloud.changes.note();
    }

    /// What was asked of the API, the oldest first.
    #[must_use]
    pub fn requests(&self) -> Vec<Recorded> {
        self.parts.cloud.record().clone()
    }

    /// What was asked that this API does not have: a test that fails for another reason may have its reason here.
    #[must_use]
    pub fn unknown_requests(&self) -> Vec<Recorded> {
        self.requests().into_iter().filter(|request| !request.is_known).collect()
    }

    /// Forgets what was asked.
    pub fn forget_requests(&self) {
        self.parts.cloud.record().clear();
    }

    /// Lets requests fail, from now on.
    pub fn fail(&self, fault: Fault) {
        self.parts.cloud.faults().add(fault);
    }

    /// Ends all faults.
    pub fn heal(&self) {
        self.parts.cloud.faults().clear();
    }

    /// The stand-in for Confidence.
    #[must_use]
    pub fn confidence(&self) -> &Confidence {
        &self.parts.confidence
    }

    /// All queues.
    #[must_use]
    pub fn queues(&self) -> Vec<QueueView> {
        let views = |account: &Account| account.queues.iter().map(|queue| inspect::queue(account, queue)).collect();
        self.look(views).unwrap_or_default()
    }

    /// The queue of this name.
    #[must_use]
    pub fn queue(&self, name: &str) -> Option<QueueView> {
        self.queues().into_iter().find(|queue| queue.name == name)
    }

    /// All KV namespaces.
    #[must_use]
    pub fn namespaces(&self) -> Vec<NamespaceView> {
        let view = |namespace: &state::Namespace| NamespaceView {
            id: namespace.id.clone(),
            title: namespace.title.clone(),
            values: namespace.values.clone(),
        };
        self.look(|account| account.namespaces.iter().map(view).collect()).unwrap_or_default()
    }

    /// The KV namespace of this title.
    #[must_use]
    pub fn namespace(&self, title: &str) -> Option<NamespaceView> {
        self.namespaces().into_iter().find(|namespace| namespace.title == title)
    }

    /// A value in the KV namespace of this title.
    #[must_use]
    pub fn kv_value(&self, title: &str, key: &str) -> Option<KvValue> {
        self.namespace(title)?.values.remove(key).filter(KvValue::is_alive)
    }

    /// All Workers.
    #[must_use]
    pub fn scripts(&self) -> Vec<ScriptView> {
        self.look(|account| account.scripts.values().map(inspect::script).collect()).unwrap_or_default()
    }

    /// The Worker of this name.
    #[must_use]
    pub fn script(&self, name: &str) -> Option<ScriptView> {
        self.scripts().into_iter().find(|script| script.name == name)
    }

    /// Fires a cron trigger of a Worker, and returns when its handler has.
    ///
    /// # Errors
    /// Where there is no such trigger, or the handler fails.
    pub fn run_cron(&self, script: &str, cron: &str) -> Result<(), String> {
        self.parts.run_cron(script, cron)
    }

    /// Waits until no queue with a consumer holds a message, delayed ones included.
    ///
    /// # Errors
    /// Where that takes longer than `limit`, with what is left.
    pub fn wait_until_idle(&self, limit: Duration) -> Result<(), String> {
        self.parts.wait_until_idle(limit)
    }

    fn look<T>(&self, look: impl FnOnce(&Account) -> T) -> Option<T> {
        self.parts.cloud.state().accounts.first().map(look)
    }
}

impl Drop for FakeCloudflare {
    fn drop(&mut self) {
        // Their threads share the rest, which goes when they are gone.
        drop((self.clock.take(), self.broker.take()));
        if let Some(edge) = &self.parts.edge {
            edge.stop();
        }
        drop(self.servers.take());
        self.is_over.store(true, Ordering::Relaxed);
        if let Some(saver) = self.saver.take() {
            saver.thread().unpark();
            // It has said what went wrong, if anything.
            drop(saver.join());
        }
    }
}
