//! The Confidence CDN: where the state of a real client lies.

use std::time::Duration;

use tributary_state::address;

use crate::secrets::Secret;
use crate::state_file::{self, ServedState, StateError};

/// Address of the CDN; `CONFIDENCE_CDN_URL` overrides it.
pub const BASE_URL: &str = address::CDN_URL;

const TIMEOUT: Duration = Duration::from_secs(30);
/// KV takes values up to 25 MiB, so a larger state could not be served.
const MAX_STATE_BYTES: u64 = 25 * 1024 * 1024;

/// Why the state of a client could not be fetched. Never holds the secret or its hash, which is the address.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CdnError {
    /// The CDN knows no such client.
    #[error("the Confidence CDN has no state for this client secret (404): check CONFIDENCE_CLIENT_SECRET")]
    UnknownSecret,
    /// Another status.
    #[error("the Confidence CDN answered with status {0}; try again later")]
    Status(u16),
    /// No answer, or one that broke off.
    #[error("no answer from the Confidence CDN at {base_url}: {reason}")]
    Transport {
        /// The CDN's address without the client's part.
        base_url: String,
        /// What happened.
        reason: String,
    },
    /// An answer that is no state.
    #[error("the Confidence CDN answered with something else: {0}")]
    State(#[from] StateError),
}

/// What the CDN has for a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fetched {
    /// The state that the caller has (304).
    NotModified,
    /// Another one.
    Found {
        /// As the CDN serves it; nothing has looked into it yet.
        bytes: Vec<u8>,
        /// Its `ETag`, if the CDN names one.
        etag: Option<String>,
    },
}

/// Fetches and checks the state of `client_secret`.
///
/// # Errors
/// [`CdnError`].
pub fn fetch(base_url: &str, client_secret: &Secret) -> Result<ServedState, CdnError> {
    match fetch_unless(base_url, client_secret, "", None)? {
        Fetched::Found { bytes, .. } => parse(&bytes, client_secret),
        // Nobody asked for that.
        Fetched::NotModified => Err(CdnError::Status(304)),
    }
}

/// Checks what the CDN serves for `client_secret`.
///
/// # Errors
/// [`CdnError::State`].
pub fn parse(bytes: &[u8], client_secret: &Secret) -> Result<ServedState, CdnError> {
    let mut state = state_file::parse(bytes, "")?;
    // The state may hold several clients; this installation is for the one that was asked for.
    state.client_secret = client_secret.clone();
    Ok(state)
}

/// Fetches the state of `client_secret`, `<base_url>/<hex sha256 of the secret><suffix>`, unless it is the one that had
/// `etag`.
///
/// # Errors
/// [`CdnError`].
pub fn fetch_unless(
    base_url: &str,
    client_secret: &Secret,
    suffix: &str,
    etag: Option<&str>,
) -> Result<Fetched, CdnError> {
    let url = address::state_url(base_url, client_secret.reveal()) + suffix;
    // The last part opens the state, so nobody is shown it.
    let address = url.rsplit('/').next().unwrap_or(&url);
    let transport = |error: ureq::Error| CdnError::Transport {
        base_url: base_url.to_owned(),
        reason: error.to_string().replace(address, "…"),
    };
    let agent: ureq::Agent =
        ureq::Agent::config_builder().timeout_global(Some(TIMEOUT)).http_status_as_error(false).build().into();
    let mut request = agent.get(&url);
    if let Some(etag) = etag {
        request = request.header("If-None-Match", etag);
    }
    let mut response = request.call().map_err(transport)?;
    match response.status().as_u16() {
        200 => {}
        304 if etag.is_some() => return Ok(Fetched::NotModified),
        // Some CDNs say 403 for an object that is not there.
        403 | 404 => return Err(CdnError::UnknownSecret),
        status => return Err(CdnError::Status(status)),
    }
    let etag = response.headers().get("ETag").and_then(|etag| etag.to_str().ok()).map(str::to_owned);
    let bytes = response.body_mut().with_config().limit(MAX_STATE_BYTES).read_to_vec().map_err(transport)?;
    Ok(Fetched::Found { bytes, etag })
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    use super::*;
    use crate::demo_state::demo_state;

    /// Answers one request with `head` and `body`; returns its base address and the request that came.
    fn stub(head: &str, body: Vec<u8>) -> (String, std::thread::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base_url = format!("http://{}", listener.local_addr().unwrap());
        let head = format!("HTTP/1.1 {head}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
        let thread = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 4096];
            let read = stream.read(&mut request).unwrap();
            stream.write_all(head.as_bytes()).unwrap();
            stream.write_all(&body).unwrap();
            String::from_utf8_lossy(&request[..read]).into_owned()
        });
        (base_url, thread)
    }

    #[test]
    fn state_is_fetched_by_the_hash_of_the_secret() {
        let (base_url, request) = stub("200 OK", demo_state("abc"));
        let state = fetch(&base_url, &Secret::new("abc")).unwrap();
        assert_eq!((state.bytes, state.account_id.as_str()), (demo_state("abc"), "demo"));
        // FIPS 180-2, appendix B.1: the digest of "abc".
        let expected = "GET /ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad HTTP/1.1";
        assert!(request.join().unwrap().starts_with(expected));
    }

    #[test]
    fn a_state_that_is_there_already_is_not_fetched_again() {
        let (base_url, request) = stub("304 Not Modified\r\nETag: \"7\"", Vec::new());
        assert_eq!(fetch_unless(&base_url, &Secret::new("abc"), "", Some("\"7\"")).unwrap(), Fetched::NotModified);
        assert!(request.join().unwrap().to_lowercase().contains("if-none-match: \"7\"\r\n"));
        let (base_url, request) = stub("200 OK\r\nETag: \"8\"", b"x".to_vec());
        let found = Fetched::Found { bytes: b"x".to_vec(), etag: Some("\"8\"".to_owned()) };
        assert_eq!(fetch_unless(&base_url, &Secret::new("abc"), "", Some("\"7\"")).unwrap(), found);
        request.join().unwrap();
        let (base_url, request) = stub("304 Not Modified", Vec::new());
        assert!(matches!(fetch(&base_url, &Secret::new("abc")), Err(CdnError::Status(304))));
        request.join().unwrap();
    }

    #[test]
    fn unknown_secret_is_said_without_showing_it() {
        let (base_url, request) = stub("404 Not Found", Vec::new());
        let error = fetch(&base_url, &Secret::new("abc")).unwrap_err();
        assert!(matches!(error, CdnError::UnknownSecret));
        let error = error.to_string();
        assert!(error.contains("CONFIDENCE_CLIENT_SECRET") && !error.contains("abc"), "{error}");
        request.join().unwrap();
    }

    #[test]
    fn other_failures_are_told_apart() {
        let (base_url, request) = stub("500 Internal Server Error", Vec::new());
        assert!(matches!(fetch(&base_url, &Secret::new("abc")), Err(CdnError::Status(500))));
        request.join().unwrap();
        let (base_url, request) = stub("200 OK", b"<html>hello</html>".to_vec());
        assert!(matches!(fetch(&base_url, &Secret::new("abc")), Err(CdnError::State(_))));
        request.join().unwrap();
        let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let error = fetch(&format!("http://{closed}"), &Secret::new("abc")).unwrap_err();
        assert!(matches!(error, CdnError::Transport { .. }));
        assert!(!error.to_string().contains("ba7816bf"));
    }
}
