//! What ends a command: each error says what failed, what was said to it, and what to do next.

use std::io;
use std::path::PathBuf;

use tributary_local::random::RandomError;
use tributary_local::workers::WorkersError;

use crate::cloudflare::accounts::AccountError;
use crate::cloudflare::error::ApiError;
use crate::config::error::ConfigError;
use crate::content::ContentError;
use crate::plan::Conflict;
use crate::rollback::RollbackError;
use crate::smoke::SmokeError;
use crate::snapshot::command::ImportError;
use crate::state::StateError;
use crate::template::TemplateError;
use crate::wrangler::WranglerError;

/// Why a command did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// What it was told.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The account.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// The API.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// The checked-in configuration.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// The build outputs.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// The resolver state.
    #[error(transparent)]
    State(#[from] StateError),
    /// Names that are taken, and what is missing in the account.
    #[error("nothing was changed, because:\n{}", conflicts(.0))]
    Conflicts(Vec<Conflict>),
    /// Uploads.
    #[error(transparent)]
    Wrangler(#[from] WranglerError),
    /// The tools.
    #[error(transparent)]
    Tools(#[from] WorkersError),
    /// The deployed Workers.
    #[error(transparent)]
    Smoke(#[from] SmokeError),
    /// No way back.
    #[error(transparent)]
    Rollback(#[from] RollbackError),
    /// Secrets differ between the versions.
    #[error(
        "{worker}: secrets have changed since the deploy to which this goes back, and it would run with the old ones. \
         With --force it does; `make deploy` sets today's again. Cloudflare says: {said}"
    )]
    SecretsChanged {
        /// The Worker.
        worker: String,
        /// The API's words.
        said: String,
    },
    /// The import of another resolver's totals.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// Nobody said yes.
    #[error("{0}")]
    NotConfirmed(&'static str),
    /// A file of ours.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another command works on the same installation.
    #[error("another command works in {0}: wait for it to end")]
    InUse(PathBuf),
    /// No randomness.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// Nobody reads what is printed, or a question could not be read.
    #[error("the terminal: {0}")]
    Terminal(#[from] io::Error),
}

impl From<Vec<Conflict>> for Error {
    fn from(conflicts: Vec<Conflict>) -> Self {
        Self::Conflicts(conflicts)
    }
}

fn conflicts(conflicts: &[Conflict]) -> String {
    conflicts.iter().map(|conflict| format!("- {conflict}.")).collect::<Vec<_>>().join("\n")
}
