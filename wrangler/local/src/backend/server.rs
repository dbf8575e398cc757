//! The stub's HTTP server: routes, the order of the checks, its life on a thread of its own.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use super::check::check;
use super::decode::{self, Destination, Refusal};
use super::faults::{Fault, Faults};
use super::stats::Stats;
use crate::secrets::Secret;

/// Path of the Edge write.
pub(crate) const EDGE_PATH: &str = "/v1/clientFlagLogs:write";
/// Path of the Cloudflare ingest.
pub(crate) const INGEST_PATH: &str = "/v1/flagLogs:ingest";

/// Far more than 100 queue messages of 128 kB, the largest batch there is.
const MAX_BODY_BYTES: usize = 64 * 1024 * 1024;

/// What a request must know to be let in.
#[derive(Debug, Clone)]
pub struct Expected {
    /// The client secret in `Authorization: ClientSecret …`.
    pub client_secret: Secret,
    /// The account in the ingest's wrapper.
    pub account_id: String,
}

/// Takes one line of output, without its newline.
pub type LineSink = Box<dyn Fn(&str) + Send + Sync>;

/// Why the stub could not start or stop.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackendError {
    /// The port is taken.
    #[error("cannot listen on 127.0.0.1:{port} for the stub backend: {source}; choose another with BACKEND_PORT=")]
    Listen {
        /// The port; 0 is "any".
        port: u16,
        /// What the system said.
        source: std::io::Error,
    },
    /// No thread or runtime for it.
    #[error("cannot start the stub backend: {0}")]
    Start(std::io::Error),
    /// Its thread ended in a panic.
    #[error("the stub backend crashed")]
    Crashed,
}

struct Shared {
    expected: Expected,
    stats: Mutex<Stats>,
    faults: Mutex<Faults>,
    print: LineSink,
}

impl Shared {
    /// A poisoned lock only means that a panic came between; the sums stay usable.
    fn stats(&self) -> MutexGuard<'_, Stats> {
        self.stats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn faults(&self) -> MutexGuard<'_, Faults> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running stub. It stops when dropped.
pub struct Backend {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Backend {
    /// Listens on 127.0.0.1:`port` (0: any free port) and prints one line a batch to `print`.
    ///
    /// # Errors
    /// [`BackendError::Listen`], [`BackendError::Start`].
    pub fn start(port: u16, expected: Expected, print: LineSink) -> Result<Self, BackendError> {
        let listen = |source| BackendError::Listen { port, source };
        let socket = std::net::TcpListener::bind(("127.0.0.1", port)).map_err(listen)?;
        socket.set_nonblocking(true).map_err(listen)?;
        let address = socket.local_addr().map_err(listen)?;
        let shared = Arc::new(Shared { expected, stats: Mutex::default(), faults: Mutex::default(), print });
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .map_err(BackendError::Start)?;
        let listener = {
            // Registering the socket needs the runtime's context.
            let _context = runtime.enter();
            TcpListener::from_std(socket).map_err(listen)?
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let router = router(Arc::clone(&shared));
        let thread = std::thread::Builder::new()
            .name("backend".to_owned())
            .spawn(move || {
                runtime.block_on(async {
                    tokio::select! {
                        result = async { axum::serve(listener, router).await } => {
                            if let Err(error) = result {
                                eprintln!("backend: stopped listening: {error}");
                            }
                        }
                        _ = stopped => {}
                    }
                });
                // A request that hangs on order must not keep the process.
                runtime.shutdown_background();
            })
            .map_err(BackendError::Start)?;
        Ok(Self { address, shared, stop: Some(stop), thread: Some(thread) })
    }

    /// `http://127.0.0.1:<port>`, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Full address of the Edge write, for `CONFIDENCE_FLAG_LOGS_URL`.
    #[must_use]
    pub fn flag_logs_url(&self) -> String {
        self.url() + EDGE_PATH
    }

    /// Full address of the Cloudflare ingest, for `CONFIDENCE_INGEST_URL`.
    #[must_use]
    pub fn ingest_url(&self) -> String {
        self.url() + INGEST_PATH
    }

    /// What it has taken until now.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.shared.stats().clone()
    }

    /// Stops listening and waits for its thread.
    ///
    /// # Errors
    /// [`BackendError::Crashed`].
    pub fn stop(mut self) -> Result<(), BackendError> {
        self.end()
    }

    fn end(&mut self) -> Result<(), BackendError> {
        // Dropping the sender is the signal.
        drop(self.stop.take());
        match self.thread.take() {
            Some(thread) => thread.join().map_err(|_| BackendError::Crashed),
            None => Ok(()),
        }
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            eprintln!("{error}");
        }
    }
}

fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route(EDGE_PATH, post(|state, headers, body| receive(Destination::Edge, state, headers, body)))
        .route(INGEST_PATH, post(|state, headers, body| receive(Destination::Cloudflare, state, headers, body)))
        .route("/stats", get(show_stats))
        .route("/faults", post(set_fault).delete(end_fault))
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .with_state(shared)
}

async fn receive(
    destination: Destination,
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let fault = shared.faults().take(destination);
    if let Some(fault) = &fault {
        tokio::time::sleep(Duration::from_millis(fault.delay_ms)).await;
        if let Some(status) = fault.status {
            let line = shared.stats().fault(destination, status);
            (shared.print)(&line);
            return faulty(status, fault.retry_after);
        }
    }
    match admit(destination, &shared.expected, &headers, &body) {
        Ok(batch) => {
            let line = shared.stats().take(destination, &batch.logs);
            (shared.print)(&line);
            (StatusCode::OK, [(header::CONTENT_TYPE, "application/json")], "{}").into_response()
        }
        Err(refusal) => {
            let reason = refusal.to_string();
            let line = shared.stats().reject(destination, &reason);
            (shared.print)(&line);
            error(refusal.status(), &reason)
        }
    }
}

/// All that must be right about a request, in the order in which a server looks.
fn admit(
    destination: Destination,
    expected: &Expected,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<decode::Batch, Refusal> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if text(header::AUTHORIZATION).strip_prefix("ClientSecret ") != Some(expected.client_secret.reveal()) {
        return Err(Refusal::Unauthorized);
    }
    let encoding = text(header::CONTENT_ENCODING);
    if !matches!(encoding, "" | "identity") {
        return Err(Refusal::ContentEncoding(encoding.chars().take(80).collect()));
    }
    let batch = decode::decode(destination, text(header::CONTENT_TYPE), body)?;
    if let Some(account_id) = batch.account_id.as_ref().filter(|account_id| **account_id != expected.account_id) {
        let account_id: String = account_id.chars().take(80).collect();
        return Err(Refusal::Malformed(format!("account_id is {account_id:?}, not {:?}", expected.account_id)));
    }
    check(&batch.logs).map_err(Refusal::Malformed)?;
    Ok(batch)
}

fn error(status: u16, reason: &str) -> Response {
    let body = serde_json::json!({ "code": status, "message": reason }).to_string();
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

fn faulty(status: u16, retry_after: Option<u64>) -> Response {
    let mut response = error(status, "on order");
    if let Some(seconds) = retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    response
}

async fn show_stats(State(shared): State<Arc<Shared>>) -> Response {
    match serde_json::to_vec(&*shared.stats()) {
        Ok(body) => ([(header::CONTENT_TYPE, "application/json")], body).into_response(),
        Err(reason) => error(500, &reason.to_string()),
    }
}

async fn set_fault(State(shared): State<Arc<Shared>>, body: Bytes) -> Response {
    let fault = serde_json::from_slice::<Fault>(&body).map_err(|error| error.to_string());
    match fault.and_then(|fault| shared.faults().set(Some(fault))) {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(reason) => error(400, &reason),
    }
}

async fn end_fault(State(shared): State<Arc<Shared>>) -> Response {
    match shared.faults().set(None) {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(reason) => error(500, &reason),
    }
}

#[cfg(test)]
#[path = "server/tests.rs"]
mod tests;
