//! One refresh, on ports.

use std::fmt;

use tributary_state::{
    ServedState, StateError, StateKey, address,
    sealed::{Cipher, open, open_sealed},
    version,
};

use crate::config::{Config, StateEncryption};

/// What KV has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// Their version: `etag` of the metadata.
    pub version: Option<String>,
}

/// What the CDN answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CdnAnswer {
    /// HTTP status.
    pub status: u16,
    /// `ETag`.
    pub etag: Option<String>,
    /// The body of a 200, whole; nothing for any other status.
    pub body: Vec<u8>,
}

/// Why there is no answer of the CDN.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CdnError {
    /// No connection, no answer in time, or a body that broke off.
    #[error("no answer from the CDN: {0}")]
    NoAnswer(String),
    /// A body over [`MAX_STATE_BYTES`](crate::limits::MAX_STATE_BYTES).
    #[error("the CDN serves more bytes than a state may have")]
    TooLarge,
}

/// The CDN.
pub trait Cdn {
    /// Asks for the state at `url`, or for none if the version is still that of `if_none_match`.
    fn get(&self, url: &str, if_none_match: Option<&str>) -> impl Future<Output = Result<CdnAnswer, CdnError>>;
}

/// KV, under the key of the resolver state.
pub trait Store {
    /// What is there.
    fn read(&self) -> impl Future<Output = Result<Option<Stored>, String>>;
    /// Replaces it.
    fn write(&self, bytes: &[u8], version: &str) -> impl Future<Output = Result<(), String>>;
}

/// Where the state comes from, and whether encrypted. The address opens the state, so it shows nowhere.
#[derive(Clone, PartialEq, Eq)]
pub struct Source {
    url: String,
    key: Option<StateKey>,
}

/// Why nobody can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoSource {
    /// There is no client secret; that is a choice.
    NoSecret,
    /// The key is none; that is a mistake. The plain state is not asked for instead.
    UnusableKey,
}

impl Source {
    /// The source that `config` names.
    ///
    /// # Errors
    /// [`NoSource`]
    pub fn of(config: &Config) -> Result<Self, NoSource> {
        let secret = config.client_secret.as_ref().ok_or(NoSource::NoSecret)?;
        if config.state_key == StateEncryption::UnusableKey {
            return Err(NoSource::UnusableKey);
        }
        let key = config.state_key.key().cloned();
        let url = match (&config.state_url, &key) {
            (Some(url), _) => url.expose().to_owned(),
            (None, None) => address::state_url(&config.cdn_url, secret.expose()),
            (None, Some(_)) => address::sealed_state_url(&config.cdn_url, secret.expose()),
        };
        Ok(Self { url, key })
    }

    /// `text` without the address, and without its last part.
    pub fn redact(&self, text: &str) -> String {
        let text = text.replace(&self.url, "…");
        match self.url.rsplit('/').next().and_then(|last| last.split('.').next()) {
            Some(last) if !last.is_empty() => text.replace(last, "…"),
            _ => text,
        }
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Source(…)")
    }
}

/// How a refresh ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// KV has a newer state now.
    Updated,
    /// KV has what the CDN has.
    Unchanged,
    /// KV has what it had.
    Failed(Failure),
}

/// Why a refresh changed nothing though it may have had to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The CDN knows no such client. Some CDNs say 403 of an object that is not there.
    #[error("the CDN has no state for this client secret (status {status}); check CONFIDENCE_CLIENT_SECRET")]
    Refused {
        /// The status.
        status: u16,
    },
    /// Another status.
    #[error("the CDN answered with status {status}")]
    Status {
        /// The status.
        status: u16,
    },
    /// No answer, or too much of one.
    #[error(transparent)]
    Cdn(#[from] CdnError),
    /// An answer that is no state.
    #[error("the CDN answered with something that is no resolver state: {0}")]
    Invalid(#[from] StateError),
    /// The key of the encrypted state is none.
    #[error("STATE_ENCRYPTION_KEY is not the 64 hexadecimal digits of a key; the plain state is not asked for instead")]
    UnusableKey,
    /// KV did not say what it has.
    #[error("the stored state could not be read: {0}")]
    Unreadable(String),
    /// KV did not take the new state.
    #[error("the new state could not be written: {0}")]
    Unwritten(String),
}

impl Outcome {
    /// Every value of an `outcome` label.
    pub const LABELS: [&str; 6] = ["updated", "unchanged", "refused", "unavailable", "invalid", "store_failed"];

    /// Its value of the `outcome` label.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Updated => "updated",
            Self::Unchanged => "unchanged",
            Self::Failed(Failure::Refused { .. } | Failure::UnusableKey) => "refused",
            Self::Failed(Failure::Status { .. } | Failure::Cdn(CdnError::NoAnswer(_))) => "unavailable",
            Self::Failed(Failure::Invalid(_) | Failure::Cdn(CdnError::TooLarge)) => "invalid",
            Self::Failed(Failure::Unreadable(_) | Failure::Unwritten(_)) => "store_failed",
        }
    }
}

/// Brings the state in KV up to the CDN's.
pub async fn refresh(source: &Source, cdn: &impl Cdn, store: &impl Store, cipher: &impl Cipher) -> Outcome {
    match try_refresh(source, cdn, store, cipher).await {
        Ok(outcome) => outcome,
        Err(failure) => Outcome::Failed(failure),
    }
}

async fn try_refresh(
    source: &Source,
    cdn: &impl Cdn,
    store: &impl Store,
    cipher: &impl Cipher,
) -> Result<Outcome, Failure> {
    let stored = store.read().await.map_err(Failure::Unreadable)?;
    let known = known_version(stored, source.key.as_ref(), cipher).await;
    let condition = known.as_deref().and_then(version::if_none_match);
    let CdnAnswer { status, etag, body } = cdn.get(&source.url, condition.as_deref()).await?;
    match status {
        200 => {}
        304 if condition.is_some() => return Ok(Outcome::Unchanged),
        401 | 403 | 404 => return Err(Failure::Refused { status }),
        _ => return Err(Failure::Status { status }),
    }
    let body = bytes::Bytes::from(body);
    let _state = match &source.key {
        None => ServedState::decode(body.clone())?,
        Some(key) => open_sealed(&body, key, cipher).await?,
    };
    let version = version::version(etag.as_deref(), &body);
    // A CDN that does not know conditions serves the same state again and again; a write costs ten reads.
    if known.is_some_and(|known| version::is_same(&known, &version)) {
        return Ok(Outcome::Unchanged);
    }
    // As it was served: encrypted, where it was.
    store.write(&body, &version).await.map_err(Failure::Unwritten)?;
    Ok(Outcome::Updated)
}

/// The version of what is stored, if that is a state, and encrypted where it should be: with the version of another one the
/// CDN could say for ever that there is nothing new.
async fn known_version(stored: Option<Stored>, key: Option<&StateKey>, cipher: &impl Cipher) -> Option<String> {
    let Stored { bytes, version } = stored?;
    match key {
        None => drop(open(bytes, None, cipher).await.ok()?),
        Some(key) => drop(open_sealed(&bytes, key, cipher).await.ok()?),
    }
    version
}

#[cfg(test)]
#[path = "run_tests.rs"]
mod tests;
