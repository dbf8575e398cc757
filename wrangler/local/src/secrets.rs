//! Secrets of one local installation: drawn once, kept in its run folder, so that restarts agree with each other.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;

use crate::random;

const METRICS_TOKEN: &str = "METRICS_TOKEN";
const RESOLVE_TOKEN_ENCRYPTION_KEY: &str = "RESOLVE_TOKEN_ENCRYPTION_KEY";
const DEMO_CLIENT_SECRET: &str = "DEMO_CLIENT_SECRET";

/// A secret text. `Debug` shows nothing of it; there is no `Display`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The secret itself, for a header, a file of mode 0600, or the line that `make run` prints.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// The local secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secrets {
    /// Bearer token of `/metrics`: 32 hexadecimal digits.
    pub metrics_token: Secret,
    /// AES-128 key of resolve tokens: base64 of 16 bytes.
    pub resolve_token_encryption_key: Secret,
    /// Client secret of the demo state: 32 hexadecimal digits.
    pub demo_client_secret: Secret,
}

/// Why the secrets of a run folder could not be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SecretsError {
    /// The file could not be read or written.
    #[error("cannot use the secrets file {path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// No randomness.
    #[error(transparent)]
    Random(#[from] random::RandomError),
}

impl Secrets {
    /// Reads `file`, draws what it lacks, and writes it back (mode 0600) if something was drawn.
    ///
    /// # Errors
    /// [`SecretsError`].
    pub fn load_or_create(file: &Path) -> Result<Self, SecretsError> {
        let at = |source| SecretsError::File { path: file.to_owned(), source };
        let text = match fs::read_to_string(file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(at(error)),
        };
        let known: BTreeMap<&str, &str> = text.lines().filter_map(|line| line.split_once('=')).collect();
        let mut is_complete = true;
        let mut take = |name: &str, draw: fn() -> Result<String, random::RandomError>| {
            if let Some(value) = known.get(name).filter(|value| !value.is_empty()) {
                return Ok(Secret::new(*value));
            }
            is_complete = false;
            draw().map(Secret::new)
        };
        let hex = || random::bytes::<16>().map(|bytes| random::hex(&bytes));
        let base64 = || random::bytes::<16>().map(|bytes| base64::prelude::BASE64_STANDARD.encode(bytes));
        let secrets = Self {
            metrics_token: take(METRICS_TOKEN, hex)?,
            resolve_token_encryption_key: take(RESOLVE_TOKEN_ENCRYPTION_KEY, base64)?,
            demo_client_secret: take(DEMO_CLIENT_SECRET, hex)?,
        };
        if !is_complete {
            let pairs = [
                (METRICS_TOKEN, &secrets.metrics_token),
                (RESOLVE_TOKEN_ENCRYPTION_KEY, &secrets.resolve_token_encryption_key),
                (DEMO_CLIENT_SECRET, &secrets.demo_client_secret),
            ];
            let text: String = pairs.iter().map(|(name, value)| format!("{name}={}\n", value.reveal())).collect();
            write_private(file, text.as_bytes()).map_err(at)?;
        }
        Ok(secrets)
    }
}

/// Writes a file that only its owner may read.
///
/// # Errors
/// What the system says.
pub fn write_private(file: &Path, content: &[u8]) -> io::Result<()> {
    // Removed first, because the mode applies only to a file that is created.
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut handle = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
    handle.write_all(content)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn secrets_are_kept_across_starts_and_private() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secrets");
        let first = Secrets::load_or_create(&file).unwrap();
        assert_eq!(Secrets::load_or_create(&file).unwrap(), first);
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        let key = base64::prelude::BASE64_STANDARD.decode(first.resolve_token_encryption_key.reveal()).unwrap();
        assert_eq!(key.len(), 16);
    }

    #[test]
    fn a_missing_secret_is_drawn_and_the_others_stay() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secrets");
        fs::write(&file, "METRICS_TOKEN=kept\n").unwrap();
        let secrets = Secrets::load_or_create(&file).unwrap();
        assert_eq!(secrets.metrics_token.reveal(), "kept");
        assert_eq!(Secrets::load_or_create(&file).unwrap(), secrets);
    }

    #[test]
    fn debug_shows_no_secret() {
        assert!(!format!("{:?}", Secret::new("hunter2")).contains("hunter2"));
    }
}
