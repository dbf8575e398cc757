//! What every command has: an account, an installation in it, a build folder.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use tributary_local::secrets::Secret;

use crate::cloudflare::accounts;
use crate::cloudflare::client::{BASE_URL, Client};
use crate::config::read::Invocation;
use crate::config::secrets::{API_TOKEN, CLIENT_SECRET, METRICS_TOKEN};
use crate::config::vars::Role;
use crate::config::{Config, Switches};
use crate::error::Error;
use crate::report::Report;
use crate::smoke::{Access, Endpoint};
use crate::template::{self, Template};

/// Variable with the API's address, for tests; wrangler reads it, too.
pub const API_BASE_URL: &str = "CLOUDFLARE_API_BASE_URL";
/// Variable with the address that stands for all Workers' hosts, for tests.
pub const WORKERS_ORIGIN: &str = "WORKERS_ORIGIN";

/// The API's address.
pub fn api_base_url(environment: &BTreeMap<String, String>) -> &str {
    environment.get(API_BASE_URL).map(|url| url.trim()).filter(|url| !url.is_empty()).unwrap_or(BASE_URL)
}

/// One command's surroundings.
#[derive(Debug)]
pub struct Session {
    /// The API.
    pub client: Client,
    /// The account.
    pub account_id: String,
    /// What was asked for.
    pub config: Config,
    /// How.
    pub switches: Switches,
    /// The consumer, then the producer.
    pub templates: Vec<Template>,
    /// The checkout.
    pub repository: PathBuf,
    /// The build folder, private to us.
    pub folder: PathBuf,
    /// What stands for the Workers' hosts, if anything.
    pub origin: Option<String>,
    /// Now, in milliseconds since the epoch.
    pub now_ms: u64,
    /// When the command began.
    pub started: Instant,
    lock: fs::File,
}

impl Drop for Session {
    fn drop(&mut self) {
        // Not by closing it alone: a child that is being started has a copy for a moment.
        if let Err(error) = self.lock.unlock() {
            eprintln!("warning: {}: {error}", self.folder.display());
        }
    }
}

impl Session {
    /// Finds the account and prepares the build folder. `report` learns the secrets that it must not print.
    ///
    /// # Errors
    /// [`Error`].
    pub fn open(
        invocation: Invocation,
        environment: &BTreeMap<String, String>,
        repository: &Path,
        report: &mut Report<'_>,
    ) -> Result<Self, Error> {
        let Invocation { config, switches, .. } = invocation;
        config.secrets.values().for_each(|secret| report.hide(secret));
        let get = |name: &str| environment.get(name).map(|value| value.trim()).filter(|value| !value.is_empty());
        let client = Client::new(api_base_url(environment), config.secrets.need(API_TOKEN)?.clone());
        let read = |role: Role| {
            let path = repository.join(format!("wrangler/{}.toml", role.as_str()));
            fs::read_to_string(&path).map_err(at(&path))
        };
        let templates = template::load(&read(Role::Consumer)?, &read(Role::Producer)?, &config)?;
        let account_id = match &config.account_id {
            Some(id) => id.clone(),
            None => {
                let account = accounts::detect(&client)?;
                report.line(&format!("account     {} ({})", account.name, account.id))?;
                account.id
            }
        };
        let folder = repository.join(".run/deploy").join(&account_id).join(config.names.installation());
        fs::create_dir_all(&folder).map_err(at(&folder))?;
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).map_err(at(&folder))?;
        let lock = lock(&folder)?;
        // Before the epoch nobody deploys.
        let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        Ok(Self {
            client,
            account_id,
            config,
            switches,
            templates,
            repository: repository.to_owned(),
            folder,
            origin: get(WORKERS_ORIGIN).map(str::to_owned),
            now_ms: u64::try_from(now_ms).unwrap_or(u64::MAX),
            started: Instant::now(),
            lock,
        })
    }

    /// The template of one Worker.
    #[must_use]
    pub fn template(&self, role: Role) -> Option<&Template> {
        self.templates.iter().find(|template| template.role() == role)
    }

    /// A Worker's name.
    #[must_use]
    pub fn name(&self, role: Role) -> String {
        self.template(role).map(|template| template.name().to_owned()).unwrap_or_default()
    }

    /// Where the installation answers.
    #[must_use]
    pub fn endpoint(&self, subdomain: &str) -> Endpoint {
        Endpoint::new(&self.name(Role::Producer), subdomain, self.origin.as_deref())
    }

    /// What opens `/metrics`: `made`, the token of this run, else what the environment holds.
    #[must_use]
    pub fn access(&self, made: Option<&Secret>) -> Option<Access> {
        let secrets = &self.config.secrets;
        let token = made.or_else(|| secrets.get(METRICS_TOKEN)).cloned().map(Access::Bearer);
        token.or_else(|| secrets.get(CLIENT_SECRET).cloned().map(Access::ClientSecret))
    }
}

/// Two commands in one folder would take each other's files. The system takes the lock back when we are gone.
fn lock(folder: &Path) -> Result<fs::File, Error> {
    let path = folder.join("lock");
    let file = fs::File::create(&path).map_err(at(&path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(Error::InUse(folder.to_owned())),
        Err(fs::TryLockError::Error(source)) => Err(at(&path)(source)),
    }
}

/// An error about a file.
pub fn at(path: &Path) -> impl FnOnce(io::Error) -> Error + use<> {
    let path = path.to_owned();
    move |source| Error::File { path, source }
}
