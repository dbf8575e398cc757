//! Any resolver state, made fit for the KV key `resolver_state`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::{fs, io};

use confidence_resolver::proto::Message as _;
use confidence_resolver::proto::confidence::flags::admin::v1::ResolverState;
use confidence_resolver::proto::confidence::iam::v1::client_credential::Credential;
use tributary_proto::v1::ClientResolverState;

use crate::secrets::Secret;

/// A state that the producer can serve, and what the rest of the installation must know of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServedState {
    /// An encoded `ClientResolverState`, as the CDN serves it.
    pub bytes: Vec<u8>,
    /// Account, without the `accounts/` prefix.
    pub account_id: String,
    /// Secret of the first credential that belongs to a client.
    pub client_secret: Secret,
    /// Names of the flags, sorted.
    pub flags: BTreeSet<String>,
}

/// Why bytes are no state that can be served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// The file could not be read.
    #[error("cannot read the resolver state {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Neither of the two accepted shapes.
    #[error(
        "not a resolver state: neither what the Confidence CDN serves ({as_cdn}) nor a bare ResolverState ({as_bare})"
    )]
    Unknown {
        /// What is wrong with it as the CDN's bytes.
        as_cdn: String,
        /// What is wrong with it as a bare state.
        as_bare: String,
    },
}

/// Reads and checks a state file; see [`parse`].
///
/// # Errors
/// [`StateError`].
pub fn read(path: &Path, default_account_id: &str) -> Result<ServedState, StateError> {
    let bytes = fs::read(path).map_err(|source| StateError::Read { path: path.to_owned(), source })?;
    parse(&bytes, default_account_id)
}

/// Accepts the CDN's bytes, or a bare `ResolverState`, which is wrapped with `default_account_id` and no log
/// destinations (which means Edge).
///
/// The two shapes share field numbers, so each is tried in full: it must decode, hold a client with a secret, and be
/// accepted by the resolver itself.
///
/// # Errors
/// [`StateError::Unknown`] with the reason for either shape.
pub fn parse(bytes: &[u8], default_account_id: &str) -> Result<ServedState, StateError> {
    let as_cdn = match parse_cdn(bytes) {
        Ok(state) => return Ok(state),
        Err(reason) => reason,
    };
    let as_bare = match served(bytes, default_account_id) {
        Ok((client_secret, flags)) => {
            let wrapper = ClientResolverState {
                state: bytes.to_vec(),
                account_id: default_account_id.to_owned(),
                log_destinations: Vec::new(),
            };
            return Ok(ServedState {
                bytes: tributary_proto::Message::encode_to_vec(&wrapper),
                account_id: default_account_id.to_owned(),
                client_secret,
                flags,
            });
        }
        Err(reason) => reason,
    };
    Err(StateError::Unknown { as_cdn, as_bare })
}

fn parse_cdn(bytes: &[u8]) -> Result<ServedState, String> {
    let wrapper: ClientResolverState = tributary_proto::Message::decode(bytes).map_err(|error| error.to_string())?;
    if wrapper.account_id.is_empty() {
        return Err("it names no account".to_owned());
    }
    let (client_secret, flags) = served(&wrapper.state, &wrapper.account_id)?;
    Ok(ServedState { bytes: bytes.to_vec(), account_id: wrapper.account_id, client_secret, flags })
}

/// The first client secret and the flags of an encoded `ResolverState` that the resolver accepts.
fn served(state: &[u8], account_id: &str) -> Result<(Secret, BTreeSet<String>), String> {
    let state = ResolverState::decode(state).map_err(|error| error.to_string())?;
    let secret = state
        .client_credentials
        .iter()
        // The resolver ties a credential to a client by this prefix.
        .filter(|credential| state.clients.iter().any(|client| credential.name.starts_with(&client.name)))
        .find_map(|credential| match &credential.credential {
            Some(Credential::ClientSecret(secret)) if !secret.secret.is_empty() => Some(Secret::new(&*secret.secret)),
            _ => None,
        })
        .ok_or_else(|| "it holds no client with a secret".to_owned())?;
    let flags = state.flags.iter().map(|flag| flag.name.clone()).collect();
    confidence_resolver::ResolverState::from_proto(state, account_id, None)
        .map_err(|_| "the resolver does not accept it: a bitset is corrupt".to_owned())?;
    Ok((secret, flags))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo_state::demo_state;

    fn bare() -> Vec<u8> {
        let wrapper: ClientResolverState = tributary_proto::Message::decode(demo_state("s3cret").as_slice()).unwrap();
        wrapper.state.to_vec()
    }

    #[test]
    fn cdn_bytes_are_served_as_they_are() {
        let state = parse(&demo_state("s3cret"), "other").unwrap();
        assert_eq!(state.bytes, demo_state("s3cret"));
        assert_eq!((state.account_id.as_str(), state.client_secret.reveal()), ("demo", "s3cret"));
        assert!(state.flags.contains("flags/dark-mode"));
    }

    #[test]
    fn bare_state_is_wrapped_with_the_default_account() {
        let state = parse(&bare(), "other").unwrap();
        let wrapper: ClientResolverState = tributary_proto::Message::decode(state.bytes.as_slice()).unwrap();
        assert_eq!((wrapper.account_id.as_str(), wrapper.state.to_vec()), ("other", bare()));
        assert_eq!(state.client_secret.reveal(), "s3cret");
    }

    #[test]
    fn real_sample_state_is_accepted_where_it_is_there() {
        let Some(file) = std::env::var_os("TRIBUTARY_SAMPLE_STATE") else { return };
        let state = read(Path::new(&file), "demo").unwrap();
        assert!(state.flags.contains("flags/tutorial-feature"));
    }

    #[test]
    fn anything_else_is_refused_with_a_reason() {
        for bytes in [&b""[..], b"\n", b"<html>404</html>", &[0xff; 64]] {
            let error = parse(bytes, "demo").unwrap_err().to_string();
            assert!(error.starts_with("not a resolver state"), "{error}");
        }
        let missing = read(Path::new("/nonexistent/state.pb"), "demo").unwrap_err();
        assert!(missing.to_string().contains("/nonexistent/state.pb"));
    }

    #[test]
    fn every_truncation_is_refused_or_served_but_never_a_panic() {
        let bytes = demo_state("s3cret");
        for end in 0..bytes.len() {
            if let Ok(state) = parse(&bytes[..end], "demo") {
                assert_eq!(state.client_secret.reveal(), "s3cret");
            }
        }
    }
}
