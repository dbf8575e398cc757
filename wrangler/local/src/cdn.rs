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

/// Fetches the state of `client_secret`, by [`address::state_url`].
///
/// # Errors
/// [`CdnError`].
pub fn fetch(base_url: &str, client_secret: &Secret) -> Result<ServedState, CdnError> {
    let url = address::state_url(base_url, client_secret.reveal());
    // The last part opens the state, so nobody is shown it.
    let address = url.rsplit('/').next().unwrap_or(&url);
    let transport = |error: ureq::Error| CdnError::Transport {
        base_url: base_url.to_owned(),
        reason: error.to_string().replace(address, "…"),
    };
    let agent: ureq::Agent =
        ureq::Agent::config_builder().timeout_global(Some(TIMEOUT)).http_status_as_error(false).build().into();
    let mut response = agent.get(&url).call().map_err(transport)?;
    match response.status().as_u16() {
        200 => {}
        // Some CDNs say 403 for an object that is not there.
        403 | 404 => return Err(CdnError::UnknownSecret),
        status => return Err(CdnError::Status(status)),
    }
    let bytes = response.body_mut().with_config().limit(MAX_STATE_BYTES).read_to_vec().map_err(transport)?;
    let mut state = state_file::parse(&bytes, "")?;
    // The state may hold several clients; this installation is for the one that was asked for.
    state.client_secret = client_secret.clone();
    Ok(state)
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
