//! An OTLP collector, or another server, that answers as a test tells it to, and remembers what it was sent. It listens on
//! loopback only.

use std::{
    collections::BTreeMap,
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    process::{Command, Stdio},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, SystemTime},
};

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use tributary_proto::Message as _;

/// One request.
#[derive(Clone, Debug)]
pub struct Received {
    /// When its body had arrived.
    pub at: SystemTime,
    /// Its method.
    pub method: String,
    /// Its path.
    pub path: String,
    /// Its headers, names in lower case.
    pub headers: BTreeMap<String, String>,
    /// Its body as it came.
    pub body: Vec<u8>,
    /// Whether it was answered with success.
    pub is_accepted: bool,
}

impl Received {
    /// A header's value, empty where there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(String::as_str).unwrap_or_default()
    }

    /// The body without its compression, which Python takes off.
    ///
    /// # Errors
    /// Where the body is not what its header says.
    pub fn plain_body(&self) -> Result<Vec<u8>, String> {
        match self.header("content-encoding") {
            "" => Ok(self.body.clone()),
            "gzip" => gunzip(&self.body),
            other => Err(format!("encoding {other}")),
        }
    }

    /// What it says, by its content type.
    ///
    /// # Errors
    /// Where it says nothing that OTLP knows.
    pub fn request(&self) -> Result<ExportMetricsServiceRequest, String> {
        let body = self.plain_body()?;
        match self.header("content-type") {
            "application/x-protobuf" => {
                ExportMetricsServiceRequest::decode(body.as_slice()).map_err(|error| error.to_string())
            }
            "application/json" => serde_json::from_slice(&body).map_err(|error| error.to_string()),
            other => Err(format!("content type {other}")),
        }
    }
}

fn gunzip(bytes: &[u8]) -> Result<Vec<u8>, String> {
    let script = "import gzip, sys; sys.stdout.buffer.write(gzip.decompress(sys.stdin.buffer.read()))";
    let mut process = Command::new("python3")
        .args(["-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| error.to_string())?;
    let mut input = process.stdin.take().ok_or("no input")?;
    let bytes = bytes.to_vec();
    let writer = thread::spawn(move || input.write_all(&bytes));
    let output = process.wait_with_output().map_err(|error| error.to_string())?;
    let is_written = writer.join().is_ok_and(|written| written.is_ok());
    if output.status.success() && is_written { Ok(output.stdout) } else { Err("no gzip".into()) }
}

/// What becomes of a request.
#[derive(Clone, Debug)]
pub enum Answer {
    /// A whole answer.
    Status(u16, Vec<(String, String)>, Vec<u8>),
    /// The connection ends after the body was read.
    Reset,
    /// Nothing, for as long as the client waits.
    Hang,
    /// Success whose body comes byte by byte and never ends.
    Slow,
    /// Success with so many bytes.
    Huge(usize),
    /// An answer with these headers whose body breaks off before its end.
    Cut(Vec<(String, String)>, Vec<u8>),
}

impl Answer {
    /// An answer without headers and body.
    pub fn status(status: u16) -> Self {
        Self::Status(status, Vec::new(), Vec::new())
    }

    /// A refusal for now.
    pub fn retry_after(status: u16, value: &str) -> Self {
        Self::Status(status, vec![("Retry-After".into(), value.into())], Vec::new())
    }

    fn is_success(&self) -> bool {
        matches!(self, Self::Status(200..=299, ..) | Self::Slow | Self::Huge(_))
    }
}

type Script = Box<dyn FnMut(&Received) -> Answer + Send>;

struct Shared {
    received: Vec<Received>,
    script: Script,
}

/// A running collector. Its threads end with the process.
#[derive(Clone)]
pub struct Collector {
    shared: Arc<Mutex<Shared>>,
    url: String,
}

impl Collector {
    /// Starts one that takes everything.
    ///
    /// # Errors
    /// Where there is no port.
    pub fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let url = format!("http://{}", listener.local_addr()?);
        let script: Script = Box::new(|_| Answer::status(200));
        let shared = Arc::new(Mutex::new(Shared { received: Vec::new(), script }));
        let collector = Self { shared, url };
        let serving = collector.clone();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let serving = serving.clone();
                // A connection that breaks is a part of the play.
                thread::spawn(move || serving.serve(stream).unwrap_or_default());
            }
        });
        Ok(collector)
    }

    /// Its base URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// From now on `script` says what becomes of each request.
    pub fn answer(&self, script: impl FnMut(&Received) -> Answer + Send + 'static) {
        self.lock().script = Box::new(script);
    }

    /// Answers the next requests so, one after the other, and all that follow with 200.
    pub fn answer_in_turn(&self, answers: Vec<Answer>) {
        let mut answers = answers.into_iter();
        self.answer(move |_| answers.next().unwrap_or_else(|| Answer::status(200)));
    }

    /// All requests so far.
    pub fn received(&self) -> Vec<Received> {
        self.lock().received.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self, stream: TcpStream) -> io::Result<()> {
        let mut input = BufReader::new(stream.try_clone()?);
        while let Some(mut received) = read_request(&mut input)? {
            let answer = {
                let mut shared = self.lock();
                let answer = (shared.script)(&received);
                received.is_accepted = answer.is_success();
                shared.received.push(received);
                answer
            };
            if !give(&stream, answer)? {
                break;
            }
        }
        stream.shutdown(std::net::Shutdown::Both)
    }
}

/// Gives an answer; false where the connection is of no use after it.
fn give(mut stream: &TcpStream, answer: Answer) -> io::Result<bool> {
    match answer {
        Answer::Status(status, headers, body) => {
            let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
            write!(stream, "HTTP/1.1 {status} Status\r\n{headers}Content-Length: {}\r\n\r\n", body.len())?;
            stream.write_all(&body)?;
            Ok(true)
        }
        Answer::Reset => Ok(false),
        Answer::Hang => {
            // Until the client has had enough.
            io::copy(&mut stream, &mut io::sink())?;
            Ok(false)
        }
        Answer::Slow => {
            write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")?;
            loop {
                stream.write_all(b"\x00")?;
                thread::sleep(Duration::from_millis(20));
            }
        }
        Answer::Cut(headers, body) => {
            let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
            write!(stream, "HTTP/1.1 200 OK\r\n{headers}Content-Length: {}\r\n\r\n", body.len() + 1)?;
            stream.write_all(&body)?;
            Ok(false)
        }
        Answer::Huge(bytes) => {
            write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {bytes}\r\n\r\n")?;
            io::copy(&mut io::repeat(b'x').take(u64::try_from(bytes).unwrap_or(u64::MAX)), &mut stream)?;
            Ok(true)
        }
    }
}

/// Reads a request without a body, or with one of known length, or in chunks; `None` at the end of the connection.
fn read_request(input: &mut BufReader<TcpStream>) -> io::Result<Option<Received>> {
    let mut line = String::new();
    if input.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split(' ').map(str::to_owned);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut headers = BTreeMap::new();
    loop {
        line.clear();
        input.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let mut body = Vec::new();
    let bad = || io::Error::from(io::ErrorKind::InvalidData);
    if headers.get("transfer-encoding").is_some_and(|encoding| encoding == "chunked") {
        loop {
            line.clear();
            input.read_line(&mut line)?;
            let length = u64::from_str_radix(line.trim(), 16).map_err(|_| bad())?;
            input.take(length).read_to_end(&mut body)?;
            line.clear();
            input.read_line(&mut line)?;
            if length == 0 {
                break;
            }
        }
    } else {
        // A request that says nothing of a body has none (RFC 9112, section 6.3).
        let length = headers.get("content-length").map_or(Ok(0), |length| length.parse().map_err(|_| bad()))?;
        input.take(length).read_to_end(&mut body)?;
    }
    Ok(Some(Received { at: SystemTime::now(), method, path, headers, body, is_accepted: false }))
}
