//! The real wrangler, for uploads and what hangs on them. It sees the API token in its environment and other secrets in
//! a file that only we can read and that goes away.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use tributary_local::process::{ProcessGroup, Program};
use tributary_local::secrets::Secret;
use tributary_local::workers::{Tools, last_lines};

use crate::config::secrets;
use crate::limits::WRANGLER_TIMEOUT;
use crate::report::Redactor;

const POLL: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_secs(5);

/// How one installation runs wrangler.
#[derive(Debug)]
pub struct Wrangler {
    /// Where it is.
    pub tools: Tools,
    /// The build folder, for its logs.
    pub folder: PathBuf,
    /// The API token.
    pub token: Secret,
    /// The account.
    pub account_id: String,
    /// Where the API is.
    pub base_url: String,
    /// What its logs must not hold.
    pub redactor: Redactor,
}

/// Why wrangler did not do what it should.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WranglerError {
    /// It cannot be run.
    #[error("cannot run wrangler: {0}")]
    System(#[from] io::Error),
    /// It ended with an error.
    #[error(
        "`wrangler {what}` of the {worker} failed ({status}); the end of {log}:\n{lines}\nWhen the reason is mended, run the same command again: it goes on where it stopped."
    )]
    Failed {
        /// Its subcommand.
        what: &'static str,
        /// The Worker.
        worker: String,
        /// Its exit status.
        status: String,
        /// Its log.
        log: PathBuf,
        /// The end of it.
        lines: String,
    },
    /// It did not end.
    #[error("`wrangler {what}` of the {worker} did not end within {} s; see {log}. Run the same command again: it goes on where it stopped.", WRANGLER_TIMEOUT.as_secs())]
    Timeout {
        /// Its subcommand.
        what: &'static str,
        /// The Worker.
        worker: String,
        /// Its log.
        log: PathBuf,
    },
}

impl Wrangler {
    /// Uploads the Worker of `config` as a new version that gets all requests, with the secrets of the file.
    ///
    /// # Errors
    /// [`WranglerError`].
    pub fn deploy(
        &self,
        worker: &str,
        config: &Path,
        secrets: Option<&Path>,
        message: &str,
    ) -> Result<(), WranglerError> {
        let mut arguments: Vec<OsString> = vec!["--message".into(), message.into()];
        if let Some(file) = secrets {
            arguments.extend(["--secrets-file".into(), file.into()]);
        }
        self.run("deploy", worker, &["deploy"], config, &arguments)
    }

    /// Attaches queues, hosts and schedules of the Worker of `config`.
    ///
    /// # Errors
    /// [`WranglerError`].
    pub fn triggers(&self, worker: &str, config: &Path) -> Result<(), WranglerError> {
        self.run("triggers deploy", worker, &["triggers", "deploy"], config, &[])
    }

    fn run(
        &self,
        what: &'static str,
        worker: &str,
        words: &[&str],
        config: &Path,
        arguments: &[OsString],
    ) -> Result<(), WranglerError> {
        let log = self.folder.join("wrangler.log");
        let debug_log = self.folder.join("wrangler-debug.log");
        let mut command: Vec<OsString> = vec![self.tools.node.clone().into(), self.tools.wrangler.clone().into()];
        command.extend(words.iter().map(OsString::from));
        command.extend(["--config".into(), config.into()]);
        command.extend(arguments.iter().cloned());
        let set = |name: &str, value: &str| (name.to_owned(), OsString::from(value));
        let program = Program {
            command,
            environment: vec![
                set("CI", "1"),
                set("NO_COLOR", "1"),
                set("WRANGLER_SEND_METRICS", "false"),
                set("WRANGLER_HIDE_BANNER", "true"),
                set("CLOUDFLARE_API_TOKEN", self.token.reveal()),
                set("CLOUDFLARE_ACCOUNT_ID", &self.account_id),
                set("CLOUDFLARE_API_BASE_URL", &self.base_url),
                ("WRANGLER_LOG_PATH".to_owned(), debug_log.clone().into()),
            ],
            hidden: secrets::NAMES.into_iter().chain(["CLOUDFLARE_ENV", "WRANGLER_LOG"]).map(str::to_owned).collect(),
        };
        let folder = config.parent().unwrap_or(&self.folder);
        let mut group = ProcessGroup::start(&program, folder, &log)?;
        let deadline = Instant::now() + WRANGLER_TIMEOUT;
        let status = loop {
            match group.ended()? {
                Some(status) => break Some(status),
                None if Instant::now() >= deadline => break None,
                None => thread::sleep(POLL),
            }
        };
        group.stop(PATIENCE)?;
        for file in [&log, &debug_log] {
            self.clean(file)?;
        }
        match status {
            Some(status) if status.success() => Ok(()),
            Some(status) => Err(WranglerError::Failed {
                what,
                worker: worker.to_owned(),
                status: status.to_string(),
                lines: last_lines(&log),
                log,
            }),
            None => Err(WranglerError::Timeout { what, worker: worker.to_owned(), log }),
        }
    }

    /// Takes secrets out of a log. wrangler prints none that we know of; a proxy's error page may.
    fn clean(&self, log: &Path) -> io::Result<()> {
        let text = match fs::read(log) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        let clean = self.redactor.clean(&text);
        if clean != text {
            fs::write(log, clean)?;
        }
        Ok(())
    }
}
