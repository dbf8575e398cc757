//! What is wrong with what a command was told. Values are never repeated: one might be a secret in the wrong place.

use std::path::PathBuf;

/// Why a command does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is no TOML.
    #[error("{path}, line {line}: not TOML: {reason}")]
    Toml {
        /// The file.
        path: PathBuf,
        /// Where, from 1.
        line: usize,
        /// What the parser said; nothing of the file.
        reason: String,
    },
    /// No such key, flag or variable.
    #[error("{place}: there is no {what}{suggestion}")]
    Unknown {
        /// The file, the command line, the environment.
        place: String,
        /// The kind of thing and its name.
        what: String,
        /// `; did you mean …?`, or where to look.
        suggestion: String,
    },
    /// A secret where everybody reads it.
    #[error("{place} holds {name}: secrets do not belong there. Set the environment variable {name} instead")]
    SecretPlace {
        /// The file or the command line.
        place: String,
        /// The secret.
        name: String,
    },
    /// A value that does not parse.
    #[error("{place}: expected {expected}")]
    Value {
        /// File and key, flag, or variable.
        place: String,
        /// What it takes.
        expected: String,
    },
    /// A flag without its value.
    #[error("{0} needs a value")]
    NoValue(String),
    /// A flag of another command.
    #[error("`{command}` has no {flag}; {only}")]
    OtherCommand {
        /// The command.
        command: &'static str,
        /// The flag.
        flag: &'static str,
        /// Which commands have it.
        only: String,
    },
    /// `RESOLVER_ID` twice, and not the same.
    #[error("producer.vars and consumer.vars say different RESOLVER_IDs: both Workers need the same")]
    ResolverIds,
    /// A secret that is needed.
    #[error("{name} is not set: {advice}")]
    NoSecret {
        /// The variable.
        name: &'static str,
        /// Where to get it.
        advice: &'static str,
    },
    /// A secret that cannot be one.
    #[error("{name}: expected {expected}")]
    Secret {
        /// The variable.
        name: &'static str,
        /// What it takes.
        expected: &'static str,
    },
}
