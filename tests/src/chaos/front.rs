//! What the Workers of a run talk to: a front before the stub backend that breaks connections, and the test's queues.
//!
//! | address | request | what it is |
//! | --- | --- | --- |
//! | backend | any | the stub backend, behind what strikes there |
//! | control | `POST /fault/<place>` | what strikes there now: `pass`, `before` or `after` |
//! | control | `POST /queue/<name>` | JSON: bodies in base64, which the queue takes |
//!
//! One request a connection, so that a broken one is nobody else's.

use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    thread::{self, Scope},
    time::Duration,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};

use super::{
    Run,
    faults::{Fate, Place},
};
use crate::http::Client;

/// How long the front waits for a request that has begun.
const READ_TIMEOUT: Duration = Duration::from_secs(20);
/// How often it looks for something new.
const POLL: Duration = Duration::from_millis(5);
/// How long a slow backend takes.
const SLOW: Duration = Duration::from_millis(1_500);
/// Far more than a batch of 100 messages.
const MAX_BODY_BYTES: u64 = 64 << 20;

/// The listening sockets.
pub struct Front {
    backend: TcpListener,
    control: TcpListener,
    upstream: String,
}

struct Request {
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Front {
    /// Listens, before the backend at `upstream`.
    ///
    /// # Errors
    /// What the system says.
    pub fn bind(upstream: String) -> io::Result<Self> {
        let listen = || {
            let listener = TcpListener::bind("127.0.0.1:0")?;
            listener.set_nonblocking(true)?;
            Ok::<_, io::Error>(listener)
        };
        Ok(Self { backend: listen()?, control: listen()?, upstream })
    }

    /// Where the backend is.
    ///
    /// # Errors
    /// What the system says.
    pub fn backend_url(&self) -> io::Result<String> {
        Ok(format!("http://{}", self.backend.local_addr()?))
    }

    /// Where faults are asked for, and messages sent.
    ///
    /// # Errors
    /// What the system says.
    pub fn control_url(&self) -> io::Result<String> {
        Ok(format!("http://{}", self.control.local_addr()?))
    }

    /// Serves both until the run is over.
    pub fn serve<'scope, 'env>(&'env self, scope: &'scope Scope<'scope, 'env>, run: &'env Run) {
        scope.spawn(move || accept(&self.backend, run, scope, move |stream| self.answer_backend(stream, run)));
        scope.spawn(move || accept(&self.control, run, scope, move |stream| answer_control(stream, run)));
    }

    fn answer_backend(&self, mut stream: TcpStream, run: &Run) -> io::Result<()> {
        // Looked at and not read: what is closed with bytes that nobody read is reset.
        stream.peek(&mut [0])?;
        let fate = run.draw(Place::Backend);
        if fate == Fate::Before {
            return Ok(());
        }
        let request = read(&stream)?;
        match fate {
            Fate::Refused(status) => return write(&mut stream, status, "on order"),
            Fate::Hang => return hang(&stream, run),
            Fate::Slow => thread::sleep(SLOW),
            Fate::Pass | Fate::Before | Fate::After => {}
        }
        let headers: Vec<(&str, &str)> =
            request.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let url = format!("{}{}", self.upstream, request.path);
        match Client::default().send(&request.method, &url, &headers, &request.body) {
            // Taken, and nobody is told.
            Ok(_) if fate == Fate::After => Ok(()),
            Ok(reply) => write(&mut stream, reply.status, &reply.body),
            Err(error) => write(&mut stream, 502, &error),
        }
    }
}

fn accept<'scope>(
    listener: &TcpListener,
    run: &Run,
    scope: &'scope Scope<'scope, '_>,
    answer: impl Fn(TcpStream) -> io::Result<()> + Copy + Send + 'scope,
) {
    while !run.is_over() {
        match listener.accept() {
            Ok((stream, _)) => {
                scope.spawn(move || {
                    let prepared = stream
                        .set_nonblocking(false)
                        .and_then(|()| stream.set_read_timeout(Some(READ_TIMEOUT)))
                        .and_then(|()| answer(stream));
                    if prepared.is_err() {
                        // The Worker was killed, or gave up: its next request says what that came to.
                    }
                });
            }
            Err(_) => thread::sleep(POLL),
        }
    }
}

/// Keeps a connection without an answer until its other end gives up, or the run ends.
fn hang(stream: &TcpStream, run: &Run) -> io::Result<()> {
    stream.set_read_timeout(Some(POLL))?;
    while !run.is_healed() && !run.is_over() {
        match stream.peek(&mut [0]) {
            Ok(0) => break,
            Ok(_) => thread::sleep(POLL),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn answer_control(mut stream: TcpStream, run: &Run) -> io::Result<()> {
    let request = read(&stream)?;
    let place = match request.path.as_str() {
        "/fault/kv" => Some(Place::Kv),
        "/fault/ledger" => Some(Place::Ledger),
        "/fault/handler" => Some(Place::Handler),
        _ => None,
    };
    if let Some(place) = place {
        let fate = match run.draw(place) {
            Fate::Before => "before",
            Fate::After => "after",
            _ => "pass",
        };
        return write(&mut stream, 200, fate);
    }
    let place = match request.path.as_str() {
        "/queue/dead" => Place::DeadSend,
        "/queue/deltas" => Place::DeltaSend,
        _ => return write(&mut stream, 404, "no such thing"),
    };
    let Some(bodies) = bodies(&request.body) else { return write(&mut stream, 400, "not a list of bodies") };
    let fate = run.draw(place);
    if fate == Fate::Before {
        return write(&mut stream, 503, "on order");
    }
    run.take_in(place, bodies);
    // A message that was taken and not confirmed may come again.
    if fate == Fate::After { Ok(()) } else { write(&mut stream, 200, "") }
}

fn bodies(json: &[u8]) -> Option<Vec<Vec<u8>>> {
    let encoded: Vec<String> = serde_json::from_slice(json).ok()?;
    encoded.iter().map(|body| BASE64_STANDARD.decode(body).ok()).collect()
}

/// Reads one request, whose length must be said.
fn read(stream: &TcpStream) -> io::Result<Request> {
    let invalid = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let mut reader = BufReader::new(stream);
    let mut line = || -> io::Result<String> {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        Ok(line.trim_end().to_owned())
    };
    let first = line()?;
    let mut words = first.split(' ').map(str::to_owned);
    let (Some(method), Some(path)) = (words.next(), words.next()) else { return Err(invalid("no request")) };
    let mut headers = Vec::new();
    let mut length = 0;
    loop {
        let header = line()?;
        let Some((name, value)) = header.split_once(':') else { break };
        let (name, value) = (name.trim().to_ascii_lowercase(), value.trim().to_owned());
        match name.as_str() {
            "content-length" => length = value.parse().map_err(|_| invalid("no length"))?,
            "transfer-encoding" => return Err(invalid("a body in chunks")),
            "authorization" | "content-type" | "content-encoding" => headers.push((name, value)),
            _ => {}
        }
    }
    let mut body = Vec::new();
    reader.take(length).take(MAX_BODY_BYTES).read_to_end(&mut body)?;
    if u64::try_from(body.len()).ok() == Some(length) {
        Ok(Request { method, path, headers, body })
    } else {
        Err(invalid("less of a body than was said"))
    }
}

fn write(stream: &mut TcpStream, status: u16, body: &str) -> io::Result<()> {
    let length = body.len();
    let retry_after = if status == 429 { "Retry-After: 1\r\n" } else { "" };
    let head =
        format!("HTTP/1.1 {status} Answer\r\nContent-Length: {length}\r\n{retry_after}Connection: close\r\n\r\n");
    stream.write_all(head.as_bytes())?;
    stream.write_all(body.as_bytes())?;
    stream.flush()
}
