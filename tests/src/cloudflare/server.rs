//! An HTTP server on loopback whose answers can fail to come: the handler says what becomes of the connection.

use std::future::{Future, poll_fn};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::sync::watch;

use super::answer::Response;
use super::call::Call;

/// The largest body that is read: above the largest Worker there is (64 MiB).
const MAX_BODY_BYTES: usize = 80 * 1024 * 1024;

/// What becomes of a request.
pub(crate) enum Outcome {
    /// An answer.
    Answer(Response),
    /// The connection ends without one.
    Reset,
    /// The same after a while.
    ResetAfter(Duration),
    /// The handler is to be asked again after a while, with `true` for "waited".
    Again(Duration),
}

/// Decides what becomes of a request. It may block.
pub(crate) type Handler = Arc<dyn Fn(&Call, bool) -> Outcome + Send + Sync>;

/// The threads of all servers of one Cloudflare. Everything on them ends when this is dropped.
pub(crate) struct Servers {
    runtime: Option<Runtime>,
    stop: watch::Sender<bool>,
}

impl Servers {
    /// Starts the threads.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn start() -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        Ok(Self { runtime: Some(runtime), stop: watch::Sender::new(false) })
    }

    /// Listens on 127.0.0.1:`port` (0: any).
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn listen(&self, port: u16, handler: Handler) -> io::Result<SocketAddr> {
        let listener = TcpListener::bind(("127.0.0.1", port))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let Some(runtime) = &self.runtime else { return Ok(address) };
        let listener = {
            // Registering the socket needs the runtime's context.
            let _context = runtime.enter();
            tokio::net::TcpListener::from_std(listener)?
        };
        let mut stopped = self.stop.subscribe();
        runtime.spawn(async move {
            loop {
                let accepted = tokio::select! {
                    accepted = listener.accept() => accepted,
                    _ = stopped.changed() => return,
                };
                if let Ok((stream, _)) = accepted {
                    tokio::spawn(serve(stream, Arc::clone(&handler), stopped.clone()));
                }
            }
        });
        Ok(address)
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        if let Some(runtime) = self.runtime.take() {
            // A request that hangs on order must not keep the process.
            runtime.shutdown_background();
        }
    }
}

/// Why a connection ends without an answer.
#[derive(Debug, thiserror::Error)]
#[error("reset on order")]
struct OnOrder;

async fn serve(stream: TcpStream, handler: Handler, mut stopped: watch::Receiver<bool>) {
    let is_reset = Arc::<AtomicBool>::default();
    let flag = Arc::clone(&is_reset);
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let (handler, flag) = (Arc::clone(&handler), Arc::clone(&flag));
        let answer: Pin<Box<dyn Future<Output = _> + Send>> = Box::pin(async move {
            let answer = respond(request, handler).await;
            flag.store(answer.is_none(), Ordering::Relaxed);
            answer.ok_or(OnOrder)
        });
        answer
    });
    let mut connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    let ended = tokio::select! {
        ended = poll_fn(|context| connection.poll_without_shutdown(context)) => ended,
        _ = stopped.changed() => return,
    };
    if ended.is_err() && is_reset.load(Ordering::Relaxed) {
        // Without lingering the close is a reset, and not an end that a client could take for a short answer.
        if connection.into_parts().io.into_inner().set_zero_linger().is_err() {
            // An ordinary close is also no answer.
        }
    }
}

async fn respond(request: hyper::Request<Incoming>, handler: Handler) -> Option<hyper::Response<Full<Bytes>>> {
    let (head, body) = request.into_parts();
    let body = match Limited::new(body, MAX_BODY_BYTES).collect().await {
        Ok(body) => body.to_bytes().to_vec(),
        Err(error) => return Some(render(Response::text(413, error.to_string()))),
    };
    let header = |(name, value): (&hyper::header::HeaderName, &hyper::header::HeaderValue)| {
        (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    let call = Arc::new(Call {
        method: head.method.as_str().to_owned(),
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        headers: head.headers.iter().map(header).collect(),
        body,
    });
    let mut has_waited = false;
    loop {
        let (call, handler) = (Arc::clone(&call), Arc::clone(&handler));
        let outcome = tokio::task::spawn_blocking(move || handler(&call, has_waited)).await;
        match outcome {
            Ok(Outcome::Answer(response)) => return Some(render(response)),
            Ok(Outcome::Reset) => return None,
            Ok(Outcome::ResetAfter(time)) => {
                tokio::time::sleep(time).await;
                return None;
            }
            Ok(Outcome::Again(time)) => {
                tokio::time::sleep(time).await;
                has_waited = true;
            }
            // A panic of ours: the test that caused it should see it as what it is.
            Err(error) => return Some(render(Response::text(599, error.to_string()))),
        }
    }
}

fn render(response: Response) -> hyper::Response<Full<Bytes>> {
    let mut rendered = hyper::Response::new(Full::new(Bytes::from(response.body)));
    *rendered.status_mut() = hyper::StatusCode::from_u16(response.status).unwrap_or(hyper::StatusCode::IM_A_TEAPOT);
    for (name, value) in response.headers {
        let name = hyper::header::HeaderName::try_from(name);
        if let (Ok(name), Ok(value)) = (name, hyper::header::HeaderValue::try_from(value)) {
            rendered.headers_mut().append(name, value);
        }
    }
    rendered
}
