//! Both Workers in workerd, by one `wrangler dev`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use std::{fs, io, thread};

use sha2::Digest as _;

use crate::process::{ProcessGroup, Program};
use crate::random::hex;
use crate::secrets::write_private;
use crate::settings::CONSUMER_SECRETS;

/// KV binding and key of the resolver state.
const STATE_BINDING: &str = "CONFIDENCE_STATE_KV";
const STATE_KEY: &str = "resolver_state";
/// What of a log is shown when wrangler dies.
const LAST_LINES: usize = 25;
/// A log that passes this starts anew: wrangler writes a line a request, and a demo may run for weeks.
const MAX_LOG_BYTES: u64 = 16 * 1024 * 1024;
const POLL: Duration = Duration::from_millis(50);
/// How long an interrupt may take before the kill.
const PATIENCE: Duration = Duration::from_secs(5);

/// The programs that run Workers.
#[derive(Debug, Clone)]
pub struct Tools {
    /// Node.js, 22 or later.
    pub node: PathBuf,
    /// wrangler's start script.
    pub wrangler: PathBuf,
}

/// Why the Workers do not run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorkersError {
    /// Not set up.
    #[error("{0} is missing: run `make setup`")]
    NoTool(PathBuf),
    /// A file or process could not be handled.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: String,
        /// What the system said.
        source: io::Error,
    },
    /// wrangler ended.
    #[error("wrangler {what} ended ({status}); the last lines of {log}:\n{lines}")]
    Ended {
        /// Its subcommand.
        what: &'static str,
        /// Its exit status.
        status: String,
        /// Its log.
        log: PathBuf,
        /// The end of it.
        lines: String,
    },
    /// It runs, but the Workers do not answer.
    #[error("the Workers did not answer within {seconds} s ({reason}); the last lines of {log}:\n{lines}")]
    Deadline {
        /// The patience.
        seconds: u64,
        /// What the latest try gave.
        reason: String,
        /// wrangler's log.
        log: PathBuf,
        /// The end of it.
        lines: String,
    },
    /// Somebody asked to stop meanwhile.
    #[error("stopped before the Workers were ready")]
    Cancelled,
}

impl Tools {
    /// Finds the tools that `make setup` put into `repository`; a system without a pinned Node.js package uses the
    /// `node` of its `PATH`.
    ///
    /// # Errors
    /// [`WorkersError::NoTool`].
    pub fn find(repository: &Path) -> Result<Self, WorkersError> {
        let modules = repository.join("wrangler/node_modules");
        let wrangler = modules.join("wrangler/bin/wrangler.js");
        if !wrangler.is_file() {
            return Err(WorkersError::NoTool(wrangler));
        }
        let pinned = modules.join(".bin/node");
        let node = if pinned.exists() { pinned } else { PathBuf::from("node") };
        Ok(Self { node, wrangler })
    }
}

/// Where and how one installation runs its Workers.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The tools.
    pub tools: Tools,
    /// The run folder; it holds everything below.
    pub folder: PathBuf,
    /// Rendered configuration of the producer, the Worker with the HTTP port.
    pub producer_config: PathBuf,
    /// Rendered configuration of the consumer.
    pub consumer_config: PathBuf,
    /// The producer's port on 127.0.0.1.
    pub port: u16,
    /// Port of the inspector, which each wrangler wants.
    pub inspector_port: u16,
    /// How long the Workers may take to answer.
    pub deadline: Duration,
    /// Set to true to give up early.
    pub cancelled: Arc<AtomicBool>,
}

impl Plan {
    /// Folder of KV and Durable Objects.
    #[must_use]
    pub fn persist_folder(&self) -> PathBuf {
        self.folder.join("state")
    }

    /// What wrangler and the Workers print.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.folder.join("wrangler.log")
    }

    /// What wrangler itself has to say, in detail.
    #[must_use]
    pub fn debug_log(&self) -> PathBuf {
        self.folder.join("wrangler-debug.log")
    }

    fn program(&self, arguments: &[&dyn AsRef<std::ffi::OsStr>]) -> Program {
        let mut command: Vec<OsString> = vec![self.tools.node.clone().into(), self.tools.wrangler.clone().into()];
        command.extend(arguments.iter().map(|argument| argument.as_ref().to_owned()));
        let set = |name: &str, value: &str| (name.to_owned(), OsString::from(value));
        Program {
            command,
            environment: vec![
                set("CI", "1"),
                set("NO_COLOR", "1"),
                set("WRANGLER_SEND_METRICS", "false"),
                set("WRANGLER_HIDE_BANNER", "true"),
                set("CLOUDFLARE_CF_FETCH_ENABLED", "false"),
                ("WRANGLER_REGISTRY_PATH".to_owned(), self.folder.join("registry").into()),
                ("WRANGLER_LOG_PATH".to_owned(), self.debug_log().into()),
            ],
            // Secrets reach the Workers by .dev.vars alone; a Cloudflare account is none of this installation's business.
            hidden: ["CONFIDENCE_CLIENT_SECRET", "CLOUDFLARE_API_TOKEN", "CLOUDFLARE_ACCOUNT_ID", "CLOUDFLARE_ENV"]
                .into_iter()
                .chain(CONSUMER_SECRETS)
                .map(str::to_owned)
                .collect(),
        }
    }

    fn start(&self, arguments: &[&dyn AsRef<std::ffi::OsStr>]) -> Result<ProcessGroup, WorkersError> {
        ProcessGroup::start(&self.program(arguments), &self.folder, &self.log())
            .map_err(|source| WorkersError::System { what: "cannot start wrangler".to_owned(), source })
    }

    /// Writes `state` to the local KV unless it is what was written last.
    ///
    /// Must not run beside [`Self::run`] on the same folder: both open its SQLite files.
    ///
    /// # Errors
    /// [`WorkersError`].
    pub fn put_state(&self, state: &[u8]) -> Result<(), WorkersError> {
        let system = |what: &str| {
            let what = what.to_owned();
            move |source| WorkersError::System { what, source }
        };
        let persist = self.persist_folder();
        fs::create_dir_all(&persist).map_err(system("cannot create the state folder"))?;
        let file = self.folder.join("resolver_state.pb");
        write_private(&file, state).map_err(system("cannot write the resolver state"))?;
        // Beside the data that it speaks of, so that whoever removes that removes both.
        let mark = persist.join("resolver_state.sha256");
        let digest = hex(&sha2::Sha256::digest(state));
        if fs::read_to_string(&mark).is_ok_and(|last| last == digest) {
            return Ok(());
        }
        let mut put = self.start(&[
            &"kv",
            &"key",
            &"put",
            &STATE_KEY,
            &"--path",
            &file,
            &"--binding",
            &STATE_BINDING,
            &"--local",
            &"--persist-to",
            &persist,
            &"--config",
            &self.producer_config,
        ])?;
        let deadline = Instant::now() + self.deadline;
        loop {
            match put.ended().map_err(system("cannot wait for wrangler"))? {
                Some(status) if status.success() => break,
                Some(status) => return Err(self.ended("kv key put", &status.to_string())),
                None => self.pause(deadline, "wrangler kv key put still runs")?,
            }
        }
        fs::write(&mark, digest).map_err(system("cannot write the mark of the resolver state"))
    }

    /// Starts both Workers and waits until both answer: `is_ready` is asked until it says `Ok`.
    ///
    /// # Errors
    /// [`WorkersError`]; nothing is left running then.
    pub fn run(&self, is_ready: impl Fn() -> Result<(), String>) -> Result<Workers, WorkersError> {
        let (port, inspector_port) = (self.port.to_string(), self.inspector_port.to_string());
        let mut group = self.start(&[
            &"dev",
            &"--config",
            &self.producer_config,
            &"--config",
            &self.consumer_config,
            &"--persist-to",
            &self.persist_folder(),
            &"--ip",
            &"127.0.0.1",
            &"--port",
            &port,
            &"--inspector-port",
            &inspector_port,
            &"--show-interactive-dev-session=false",
        ])?;
        let deadline = Instant::now() + self.deadline;
        loop {
            let ended = group.ended();
            if let Some(status) =
                ended.map_err(|source| WorkersError::System { what: "cannot wait for wrangler".to_owned(), source })?
            {
                return Err(self.ended("dev", &status.to_string()));
            }
            match is_ready() {
                Ok(()) => return Ok(Workers { group, plan: self.clone() }),
                Err(reason) => self.pause(deadline, &reason)?,
            }
        }
    }

    fn pause(&self, deadline: Instant, reason: &str) -> Result<(), WorkersError> {
        if self.cancelled.load(Ordering::Relaxed) {
            return Err(WorkersError::Cancelled);
        }
        if Instant::now() >= deadline {
            return Err(WorkersError::Deadline {
                seconds: self.deadline.as_secs(),
                reason: reason.to_owned(),
                log: self.log(),
                lines: last_lines(&self.log()),
            });
        }
        thread::sleep(POLL);
        Ok(())
    }

    fn ended(&self, what: &'static str, status: &str) -> WorkersError {
        WorkersError::Ended { what, status: status.to_owned(), log: self.log(), lines: last_lines(&self.log()) }
    }
}

/// The running Workers. They are killed when dropped.
#[derive(Debug)]
pub struct Workers {
    group: ProcessGroup,
    plan: Plan,
}

impl Workers {
    /// Process group of wrangler and workerd.
    #[must_use]
    pub fn process_group(&self) -> i32 {
        self.group.id()
    }

    /// Says so if wrangler has ended by itself; also keeps its log within bounds, so call it now and then.
    ///
    /// # Errors
    /// [`WorkersError::Ended`] with the end of its log, [`WorkersError::System`].
    pub fn check(&mut self) -> Result<(), WorkersError> {
        keep_bounded(&self.plan.log(), MAX_LOG_BYTES)
            .map_err(|source| WorkersError::System { what: "cannot shorten wrangler's log".to_owned(), source })?;
        match self.group.ended() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(self.plan.ended("dev", &status.to_string())),
            Err(source) => Err(WorkersError::System { what: "cannot wait for wrangler".to_owned(), source }),
        }
    }

    /// Stops wrangler and everything that it started, and verifies that nothing is left.
    ///
    /// # Errors
    /// [`WorkersError::System`].
    pub fn stop(mut self) -> Result<(), WorkersError> {
        let what = "cannot stop the Workers".to_owned();
        self.group.stop(PATIENCE).map_err(|source| WorkersError::System { what, source })
    }

    /// Kills everything at once, as a power cut would.
    ///
    /// # Errors
    /// [`WorkersError::System`].
    pub fn kill(mut self) -> Result<(), WorkersError> {
        let what = "cannot kill the Workers".to_owned();
        self.group.kill().map_err(|source| WorkersError::System { what, source })
    }
}

/// Empties a log that has passed `max_bytes`. Its writers append, so they go on at its new end.
fn keep_bounded(log: &Path, max_bytes: u64) -> io::Result<()> {
    if fs::metadata(log)?.len() > max_bytes {
        fs::File::options().write(true).open(log)?.set_len(0)?;
    }
    Ok(())
}

/// The end of a log, or why there is none.
#[must_use]
pub fn last_lines(log: &Path) -> String {
    match fs::read(log) {
        Ok(bytes) => {
            let text = String::from_utf8_lossy(&bytes);
            let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
            lines.get(lines.len().saturating_sub(LAST_LINES)..).unwrap_or_default().join("\n")
        }
        Err(error) => format!("(cannot be read: {error})"),
    }
}

#[cfg(test)]
#[path = "workers/tests.rs"]
mod tests;
