//! Resolves, one after the other on each of a few connections, to 127.0.0.1 only.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

/// Requests under way at a time.
pub(crate) const CONNECTIONS: usize = 4;
/// Resolves of a turn, all connections together: the same number for all, because some costs come once a turn.
pub(crate) const RESOLVES: usize = 1_500;
/// A turn ends then, whatever came of it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(6);
/// The client of the demo state.
pub(crate) const CLIENT_SECRET: &str = "secret-of-the-bench";

/// Every request is another user's.
static USERS: AtomicU64 = AtomicU64::new(0);

/// What came of a turn.
#[derive(Debug, Default)]
pub(crate) struct Turn {
    /// How long each request took, in microseconds.
    pub(crate) latencies: Vec<u32>,
    /// How long the turn took.
    pub(crate) took: Duration,
}

/// Resolves all flags of the demo state for one user after the other.
pub(crate) fn resolves(address: &str) -> Turn {
    let start = Instant::now();
    let connection = || {
        let mut connection = Connection::open(address);
        let mut latencies = Vec::new();
        while latencies.len() < RESOLVES / CONNECTIONS && start.elapsed() < PATIENCE {
            let user = USERS.fetch_add(1, Ordering::Relaxed);
            let country = if user.is_multiple_of(2) { "SE" } else { "DK" };
            let body = format!(
                r#"{{"clientSecret":"{CLIENT_SECRET}","apply":true,"evaluationContext":{{"targeting_key":"user-{user}","visitor_id":"user-{user}","country":"{country}"}}}}"#
            );
            let sent = Instant::now();
            let (status, answer) = connection.post("/v1/flags:resolve", &body);
            latencies.push(u32::try_from(sent.elapsed().as_micros()).unwrap());
            assert!(status == 200 && answer.contains("RESOLVE_REASON_MATCH"), "{status}: {answer}");
        }
        latencies
    };
    let latencies = thread::scope(|scope| {
        let connections: Vec<_> = (0..CONNECTIONS).map(|_| scope.spawn(connection)).collect();
        connections.into_iter().flat_map(|connection| connection.join().unwrap()).collect()
    });
    Turn { latencies, took: start.elapsed() }
}

/// A connection that costs its own process little, for the sake of the one that is measured.
pub(crate) struct Connection {
    stream: BufReader<TcpStream>,
    host: String,
}

impl Connection {
    pub(crate) fn open(address: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        Self { stream: BufReader::new(stream), host: address.to_owned() }
    }

    /// Sends a request, and returns status and body of the answer.
    pub(crate) fn post(&mut self, path: &str, body: &str) -> (u16, String) {
        let (host, length) = (&self.host, body.len());
        let head = format!("POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n");
        let request = format!("{head}Content-Length: {length}\r\n\r\n{body}");
        self.stream.get_mut().write_all(request.as_bytes()).unwrap();
        self.answer()
    }

    fn answer(&mut self) -> (u16, String) {
        let mut line = String::new();
        self.stream.read_line(&mut line).unwrap();
        let status = line.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
        let (mut length, mut is_chunked) = (0, false);
        loop {
            line.clear();
            self.stream.read_line(&mut line).unwrap();
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.trim().parse().unwrap(),
                "transfer-encoding" => is_chunked = true,
                _ => {}
            }
        }
        let mut body = Vec::new();
        while is_chunked {
            line.clear();
            self.stream.read_line(&mut line).unwrap();
            let length = u64::from_str_radix(line.trim(), 16).unwrap();
            self.stream.by_ref().take(length).read_to_end(&mut body).unwrap();
            self.stream.read_line(&mut line).unwrap();
            is_chunked = length > 0;
        }
        self.stream.by_ref().take(length).read_to_end(&mut body).unwrap();
        (status, String::from_utf8_lossy(&body).into_owned())
    }
}
