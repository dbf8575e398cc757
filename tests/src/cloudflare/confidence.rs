//! Confidence, as an installation sees it: the CDN with the resolver state, and the backend that takes flag logs.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sha2::Digest as _;
use tributary_local::backend::{Backend, Expected};
use tributary_local::random::hex;
use tributary_local::secrets::Secret;
use tributary_local::{demo_state, state_file};

use super::answer::Response;
use super::call::Call;
use super::server::{Outcome, Servers};
use super::state::Ports;

/// The stub CDN and the stub backend.
pub struct Confidence {
    client_secret: String,
    cdn_url: String,
    state: Arc<Mutex<Vec<u8>>>,
    backend: Backend,
}

impl Confidence {
    /// Starts both, with the demo state for `client_secret`, on the ports of before if these are free.
    pub(crate) fn start(servers: &Servers, client_secret: &str, ports: &mut Ports) -> io::Result<Self> {
        let state = Arc::new(Mutex::new(demo_state::demo_state(client_secret)));
        let path = format!("/{}", hex(&sha2::Sha256::digest(client_secret.as_bytes())));
        let served = Arc::clone(&state);
        let handler = move |call: &Call, _| Outcome::Answer(serve(call, &path, &lock(&served)));
        let address = servers.listen(Ports::again(ports.cdn), Arc::new(handler))?;
        let expected =
            Expected { client_secret: Secret::new(client_secret), account_id: demo_state::ACCOUNT_ID.to_owned() };
        let backend = Backend::start(Ports::again(ports.backend), expected, Box::new(|_| {}));
        let backend = backend.map_err(io::Error::other)?;
        ports.cdn = address.port();
        ports.backend = backend.url().rsplit(':').next().and_then(|port| port.parse().ok()).unwrap_or(0);
        Ok(Self { client_secret: client_secret.to_owned(), cdn_url: format!("http://{address}"), state, backend })
    }

    /// The client secret that CDN and backend know.
    #[must_use]
    pub fn client_secret(&self) -> &str {
        &self.client_secret
    }

    /// Address of the CDN, for `CONFIDENCE_CDN_URL`.
    #[must_use]
    pub fn cdn_url(&self) -> &str {
        &self.cdn_url
    }

    /// The backend: what it took, and its addresses.
    #[must_use]
    pub fn backend(&self) -> &Backend {
        &self.backend
    }

    /// The state that the CDN serves.
    #[must_use]
    pub fn state(&self) -> Vec<u8> {
        lock(&self.state).clone()
    }

    /// Serves another state, which must be one.
    ///
    /// # Errors
    /// Why it is none.
    pub fn set_state(&self, state: Vec<u8>) -> Result<(), String> {
        state_file::parse(&state, demo_state::ACCOUNT_ID).map_err(|error| error.to_string())?;
        *lock(&self.state) = state;
        Ok(())
    }

    /// Gives `variant` of `flag` to everyone; without a variant the flag is archived. Names are short: `new-search`.
    ///
    /// # Errors
    /// Where there is no such flag or variant.
    pub fn set_flag(&self, flag: &str, variant: Option<&str>) -> Result<(), String> {
        let changed = demo_state::with_flag(&self.state(), flag, variant).map_err(|error| error.to_string())?;
        self.set_state(changed)
    }
}

fn lock(state: &Mutex<Vec<u8>>) -> MutexGuard<'_, Vec<u8>> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The object at `path`, with its validator.
fn serve(call: &Call, path: &str, state: &[u8]) -> Response {
    if call.path != path {
        return Response::new(404, "application/xml", "<Error><Code>NoSuchKey</Code></Error>");
    }
    if !matches!(call.method.as_str(), "GET" | "HEAD") {
        return Response::text(405, "GET or HEAD");
    }
    let etag = format!("\"{}\"", hex(sha2::Sha256::digest(state).get(..16).unwrap_or_default()));
    let known = call.header("if-none-match").split(',').map(|tag| tag.trim().trim_start_matches("W/"));
    if known.clone().any(|tag| tag == etag || tag == "*") {
        return Response { status: 304, headers: vec![("etag".into(), etag)], body: Vec::new() };
    }
    Response::new(200, "application/octet-stream", state).with("etag", etag)
}
