//! The resolver state: what the CDN has, and whether KV has it already.

use serde_json::{Value, json};
use tributary_local::cdn::{self, CdnError, Fetched};
use tributary_local::secrets::Secret;
use tributary_state::sealed::{ADDRESS_SUFFIX, NONCE_BYTES, TAG_BYTES};

use crate::cloudflare::client::Client;
use crate::cloudflare::error::ApiError;
use crate::cloudflare::kv::{self, Namespace};
use crate::limits::MAX_ETAG_BYTES;

/// Its key.
pub const STATE_KEY: &str = tributary_consumer::config::STATE_KEY;

/// A state that is not in KV.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewState {
    /// The CDN's bytes.
    pub bytes: Vec<u8>,
    /// Its ETag.
    pub etag: Option<String>,
}

/// Why there is no state.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// The CDN.
    #[error(transparent)]
    Cdn(#[from] CdnError),
    /// Not what it should be.
    #[error(
        "STATE_ENCRYPTION_KEY is set, but the Confidence CDN serves no encrypted state for this client: check the key, or \
         unset it"
    )]
    NotSealed,
    /// KV.
    #[error(transparent)]
    Api(#[from] ApiError),
}

/// The least bytes of an encrypted state: nonce, one byte, tag.
const MIN_SEALED_BYTES: usize = NONCE_BYTES + 1 + TAG_BYTES;

/// Asks the CDN for a state that `namespace` does not hold yet; `None` where it holds the current one.
/// An encrypted one is stored as it is served; whether it decrypts is seen when the producer is asked.
///
/// # Errors
/// [`StateError`].
pub fn look(
    client: &Client,
    account_id: &str,
    namespace: Option<&Namespace>,
    cdn_url: &str,
    client_secret: &Secret,
    is_sealed: bool,
) -> Result<Option<NewState>, StateError> {
    let stored = match namespace {
        Some(namespace) => kv::metadata(client, account_id, namespace, STATE_KEY)?.as_ref().and_then(etag_of),
        None => None,
    };
    let suffix = if is_sealed { ADDRESS_SUFFIX } else { "" };
    let (bytes, etag) = match cdn::fetch_unless(cdn_url, client_secret, suffix, stored.as_deref())? {
        Fetched::NotModified => return Ok(None),
        Fetched::Found { bytes, etag } => (bytes, etag.filter(|etag| etag.len() <= MAX_ETAG_BYTES)),
    };
    if !is_sealed {
        cdn::parse(&bytes, client_secret)?;
    } else if bytes.len() < MIN_SEALED_BYTES || cdn::parse(&bytes, client_secret).is_ok() {
        return Err(StateError::NotSealed);
    }
    // A CDN that does not answer conditions, or names no ETag at all.
    if etag.is_some() && etag == stored {
        return Ok(None);
    }
    if let (None, Some(namespace)) = (&etag, namespace)
        && kv::value(client, account_id, namespace, STATE_KEY)?.as_ref() == Some(&bytes)
    {
        return Ok(None);
    }
    Ok(Some(NewState { bytes, etag }))
}

/// Writes a state.
///
/// # Errors
/// [`ApiError`].
pub fn put(client: &Client, account_id: &str, namespace: &Namespace, state: &NewState) -> Result<(), ApiError> {
    kv::put(client, account_id, namespace, STATE_KEY, &state.bytes, &metadata(state))
}

/// The ETag in the metadata of the stored state.
#[must_use]
pub fn etag_of(metadata: &Value) -> Option<String> {
    metadata.get("etag").and_then(Value::as_str).map(str::to_owned)
}

fn metadata(state: &NewState) -> Value {
    match &state.etag {
        Some(etag) => json!({"etag": etag}),
        None => json!({}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_etag_travels_in_the_metadata() {
        let state = |etag: Option<&str>| NewState { bytes: Vec::new(), etag: etag.map(str::to_owned) };
        assert_eq!(etag_of(&metadata(&state(Some("W/\"1\"")))), Some("W/\"1\"".to_owned()));
        assert_eq!(etag_of(&metadata(&state(None))), None);
        assert_eq!(etag_of(&json!("other")), None);
    }
}
