//! The whole local installation: state, stub backend, both Workers.

use std::collections::{BTreeMap, BTreeSet};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

use crate::backend::{Backend, BackendError, Expected};
use crate::cdn::{self, CdnError};
use crate::config::{self, Changes, RenderError};
use crate::demo_state;
use crate::options::{Options, StateSource};
use crate::probe::{free_port, is_ready, probe_agent};
use crate::secrets::{self, Secret, Secrets, SecretsError};
use crate::state_file::{self, ServedState, StateError};
use crate::workers::{Plan, Tools, Workers, WorkersError};

/// Names of the vars that point the consumer's two destinations elsewhere.
const FLAG_LOGS_URL: &str = "CONFIDENCE_FLAG_LOGS_URL";
const INGEST_URL: &str = "CONFIDENCE_INGEST_URL";
/// Where flag logs go when they go to Confidence itself; only to be printed, the consumer has its own default.
const REAL_BACKEND: &str = "https://resolver.confidence.dev";
/// How often a start is tried when another program takes a free port between our look and wrangler's.
const MAX_PORT_TRIES: u32 = 3;

/// Why an installation did not start or stop.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InstallationError {
    /// Somebody listens there already.
    #[error("port {0} is taken: stop what listens there, or choose another port with PORT=<number>")]
    PortTaken(u16),
    /// Another installation runs there.
    #[error("another installation runs in {0}: stop it, or choose another folder with RUN_FOLDER=<folder>")]
    FolderInUse(PathBuf),
    /// A Worker was not built.
    #[error("{0} is missing: run `make build`")]
    NotBuilt(PathBuf),
    /// A file or folder.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The local secrets.
    #[error(transparent)]
    Secrets(#[from] SecretsError),
    /// The resolver state.
    #[error(transparent)]
    State(#[from] StateError),
    /// The CDN.
    #[error(transparent)]
    Cdn(#[from] CdnError),
    /// The stub backend.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// A configuration.
    #[error("{path}: {source}")]
    Render {
        /// The checked-in file.
        path: PathBuf,
        /// What is wrong.
        source: RenderError,
    },
    /// The Workers.
    #[error(transparent)]
    Workers(#[from] WorkersError),
}

/// The way in.
#[derive(Debug, Clone, Copy)]
pub struct LocalInstallation;

impl LocalInstallation {
    /// Starts an installation and returns once both Workers answer.
    ///
    /// # Errors
    /// [`InstallationError`]; nothing is left running then.
    pub fn start(options: Options) -> Result<Running, InstallationError> {
        if options.port != 0 && TcpListener::bind(("127.0.0.1", options.port)).is_err() {
            return Err(InstallationError::PortTaken(options.port));
        }
        let run_folder = absolute(&options.run_folder)?;
        let repository = absolute(&options.repository)?;
        create_folder(&run_folder)?;
        // KV's files hold client secrets, and an OTLP header may be one.
        let private = fs::Permissions::from_mode(0o700);
        fs::set_permissions(&run_folder, private).map_err(at(&run_folder))?;
        let lock = lock(&run_folder)?;
        let secrets = Secrets::load_or_create(&run_folder.join("secrets"))?;
        let state = load_state(&options.state, &secrets)?;
        let backend = match options.state {
            StateSource::Cdn { .. } => None,
            _ => {
                let print = Arc::clone(&options.print);
                let expected =
                    Expected { client_secret: state.client_secret.clone(), account_id: state.account_id.clone() };
                Some(Backend::start(options.backend_port, expected, Box::new(move |line| print(line)))?)
            }
        };
        let metrics_token = match options.consumer_secrets.get("METRICS_TOKEN") {
            Some(token) => token.clone(),
            None => secrets.metrics_token.clone(),
        };
        let own_secrets = |pairs: &[(&str, &Secret)], over: &BTreeMap<String, Secret>| {
            let mut all: BTreeMap<String, Secret> =
                pairs.iter().map(|(name, secret)| ((*name).to_owned(), (*secret).clone())).collect();
            all.extend(over.clone());
            all.retain(|_, secret| !secret.reveal().is_empty());
            all
        };
        let producer = Worker {
            name: "producer",
            changes: Changes {
                vars: options.producer_vars.clone(),
                sends_to: options.queue_shards(),
                ..Changes::default()
            },
            secrets: own_secrets(
                &[("RESOLVE_TOKEN_ENCRYPTION_KEY", &secrets.resolve_token_encryption_key)],
                &options.producer_secrets,
            ),
        };
        let consumer = Worker {
            name: "consumer",
            changes: consumer_changes(&options, backend.as_ref()),
            secrets: own_secrets(
                &[("CONFIDENCE_CLIENT_SECRET", &state.client_secret), ("METRICS_TOKEN", &secrets.metrics_token)],
                &options.consumer_secrets,
            ),
        };
        let mut plan = Plan {
            tools: Tools::find(&repository)?,
            producer_config: producer.render(&repository, &run_folder)?,
            consumer_config: consumer.render(&repository, &run_folder)?,
            folder: run_folder,
            port: options.port,
            inspector_port: 0,
            deadline: options.deadline,
            cancelled: Arc::clone(&options.cancelled),
        };
        start_log(&plan.log())?;
        start_log(&plan.debug_log())?;
        plan.put_state(&state.bytes)?;
        let workers = run(&mut plan, options.port)?;
        Ok(Running {
            base_url: base_url(plan.port),
            backend_url: backend.as_ref().map_or_else(|| REAL_BACKEND.to_owned(), Backend::url),
            client_secret: state.client_secret,
            metrics_token,
            flags: state.flags,
            backend,
            workers: Some(workers),
            plan,
            _lock: lock,
        })
    }
}

/// A running installation. Everything in it stops when it is dropped.
pub struct Running {
    base_url: String,
    backend_url: String,
    client_secret: Secret,
    metrics_token: Secret,
    flags: BTreeSet<String>,
    backend: Option<Backend>,
    workers: Option<Workers>,
    plan: Plan,
    /// Dropped last, when nothing uses the folder any more.
    _lock: fs::File,
}

impl Running {
    /// The producer's address, `http://127.0.0.1:<port>`; `/metrics` is there, too.
    #[must_use]
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// The client secret that resolves need.
    #[must_use]
    pub fn client_secret(&self) -> &Secret {
        &self.client_secret
    }

    /// The bearer token of `/metrics`.
    #[must_use]
    pub fn metrics_token(&self) -> &Secret {
        &self.metrics_token
    }

    /// The stub backend's address, or the real one's where that is used.
    #[must_use]
    pub fn backend_url(&self) -> &str {
        &self.backend_url
    }

    /// The stub backend, unless the real one is used. It stays while the Workers restart.
    #[must_use]
    pub fn backend(&self) -> Option<&Backend> {
        self.backend.as_ref()
    }

    /// Names of the flags in the served state.
    #[must_use]
    pub fn flags(&self) -> &BTreeSet<String> {
        &self.flags
    }

    /// What wrangler and the Workers print goes there.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.plan.log()
    }

    /// The process group of the Workers; `None` while they are stopped.
    #[must_use]
    pub fn process_group(&self) -> Option<i32> {
        self.workers.as_ref().map(Workers::process_group)
    }

    /// Says so if the Workers have ended by themselves.
    ///
    /// # Errors
    /// [`InstallationError::Workers`] with the end of wrangler's log.
    pub fn check(&mut self) -> Result<(), InstallationError> {
        self.workers.as_mut().map_or(Ok(()), |workers| Ok(workers.check()?))
    }

    /// Stops the Workers; the stub backend and all stored state stay.
    ///
    /// # Errors
    /// [`InstallationError::Workers`].
    pub fn stop_workers(&mut self) -> Result<(), InstallationError> {
        self.workers.take().map_or(Ok(()), |workers| Ok(workers.stop()?))
    }

    /// Kills the Workers at once, as a power cut would.
    ///
    /// # Errors
    /// [`InstallationError::Workers`].
    pub fn kill_workers(&mut self) -> Result<(), InstallationError> {
        self.workers.take().map_or(Ok(()), |workers| Ok(workers.kill()?))
    }

    /// Starts the Workers again, on the same port and state; does nothing where they run.
    ///
    /// # Errors
    /// [`InstallationError::Workers`].
    pub fn start_workers(&mut self) -> Result<(), InstallationError> {
        if self.workers.is_none() {
            let port = self.plan.port;
            self.workers = Some(run(&mut self.plan, port)?);
        }
        Ok(())
    }

    /// Stops everything and verifies that no process is left.
    ///
    /// # Errors
    /// [`InstallationError::Workers`], [`InstallationError::Backend`].
    pub fn stop(mut self) -> Result<(), InstallationError> {
        self.stop_workers()?;
        self.backend.take().map_or(Ok(()), |backend| Ok(backend.stop()?))
    }
}

/// Runs the Workers of `plan` on `wanted_port` (0: any free one), which is written into it.
fn run(plan: &mut Plan, wanted_port: u16) -> Result<Workers, InstallationError> {
    let no_port = |source| InstallationError::File { path: "127.0.0.1".into(), source };
    let mut tries = 1;
    loop {
        plan.port = if wanted_port == 0 { free_port().map_err(no_port)? } else { wanted_port };
        plan.inspector_port = free_port().map_err(no_port)?;
        let (is_ready_url, agent) = (base_url(plan.port), probe_agent());
        match plan.run(|| is_ready(&agent, &is_ready_url)) {
            Ok(workers) => return Ok(workers),
            Err(WorkersError::Ended { lines, .. })
                if lines.contains("ddress already in use") && tries < MAX_PORT_TRIES =>
            {
                tries += 1;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

fn base_url(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

fn load_state(source: &StateSource, secrets: &Secrets) -> Result<ServedState, InstallationError> {
    match source {
        StateSource::Demo => {
            let bytes = demo_state::demo_state(secrets.demo_client_secret.reveal());
            Ok(state_file::parse(&bytes, demo_state::ACCOUNT_ID)?)
        }
        StateSource::File { path, account_id } => Ok(state_file::read(path, account_id)?),
        StateSource::Cdn { client_secret, base_url } => Ok(cdn::fetch(base_url, client_secret)?),
    }
}

/// Points the consumer at the stub, or, where there is none, leaves the real addresses in effect.
fn consumer_changes(options: &Options, backend: Option<&Backend>) -> Changes {
    let mut changes = Changes {
        without_vars: vec![FLAG_LOGS_URL.to_owned(), INGEST_URL.to_owned()],
        consumes: options.queue_shards(),
        ..Changes::default()
    };
    // Once a second is the fastest that KV allows: what a person does shows soon.
    changes.vars.insert("PUBLISH_INTERVAL_MS".to_owned(), "1000".to_owned());
    if let Some(backend) = backend {
        changes.vars.insert(FLAG_LOGS_URL.to_owned(), backend.flag_logs_url());
        changes.vars.insert(INGEST_URL.to_owned(), backend.ingest_url());
    }
    changes.vars.extend(options.consumer_vars.clone());
    changes
}

struct Worker {
    name: &'static str,
    changes: Changes,
    secrets: BTreeMap<String, Secret>,
}

impl Worker {
    /// Writes `<run folder>/<name>/wrangler.toml` and `.dev.vars`, and returns the former.
    fn render(&self, repository: &Path, run_folder: &Path) -> Result<PathBuf, InstallationError> {
        let main = repository.join(self.name).join("build/index.js");
        if !main.is_file() {
            return Err(InstallationError::NotBuilt(main));
        }
        let source = repository.join("wrangler").join(format!("{}.toml", self.name));
        let cannot = |error| InstallationError::Render { path: source.clone(), source: error };
        let text = fs::read_to_string(&source).map_err(at(&source))?;
        let rendered = config::render(&text, &main, &self.changes).map_err(cannot)?;
        let secrets = config::render_secrets(&self.secrets).map_err(cannot)?;
        let folder = run_folder.join(self.name);
        create_folder(&folder)?;
        let file = folder.join("wrangler.toml");
        fs::write(&file, rendered).map_err(at(&file))?;
        let secrets_file = folder.join(".dev.vars");
        secrets::write_private(&secrets_file, secrets.as_bytes()).map_err(at(&secrets_file))?;
        Ok(file)
    }
}

fn absolute(path: &Path) -> Result<PathBuf, InstallationError> {
    std::path::absolute(path).map_err(at(path))
}

fn create_folder(path: &Path) -> Result<(), InstallationError> {
    fs::create_dir_all(path).map_err(at(path))
}

/// Two installations in one folder would share SQLite files. The system takes the lock back when we are gone.
fn lock(run_folder: &Path) -> Result<fs::File, InstallationError> {
    let path = run_folder.join("lock");
    let file = fs::File::create(&path).map_err(at(&path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(InstallationError::FolderInUse(run_folder.to_owned())),
        Err(fs::TryLockError::Error(source)) => Err(at(&path)(source)),
    }
}

/// Empties the log of the last run.
fn start_log(path: &Path) -> Result<(), InstallationError> {
    fs::write(path, "").map_err(at(path))
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> InstallationError + use<> {
    let path = path.to_owned();
    move |source| InstallationError::File { path, source }
}

#[cfg(test)]
#[path = "installation/tests.rs"]
mod tests;
