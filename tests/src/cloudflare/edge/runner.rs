//! Runs the runtime with what is deployed, and a new one whenever that has changed.

use std::fs;
use std::io::{self, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use tributary_local::process::{ProcessGroup, Program};
use tributary_local::secrets::write_private;

use super::super::cloud::Cloud;
use super::super::ids;
use super::super::state::Message;
use super::{KEY_HEADER, worker};
use crate::http::Client;

/// How long nothing must change before the runtime starts: a deployment is several calls.
const QUIET: Duration = Duration::from_millis(60);
/// How often the runtime is looked at.
const LOOK: Duration = Duration::from_millis(250);
/// How long requests that are under way may take before they are cut off.
const PATIENCE: Duration = Duration::from_secs(5);
/// A runtime that ends by itself starts again after this.
const BACKOFF: Duration = Duration::from_secs(1);

/// The running edge. It stops when dropped.
pub(crate) struct Edge {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    cloud: Arc<Cloud>,
    /// Where KV and queues are.
    backend: SocketAddr,
    key: String,
    socket: TcpListener,
    address: SocketAddr,
    running: Mutex<Running>,
    /// How long a Worker goes on behind its answer before a new runtime takes over.
    linger: Duration,
    is_over: AtomicBool,
}

/// The runtime and the configuration that it has.
#[derive(Default)]
struct Running {
    group: Option<ProcessGroup>,
    config: String,
}

impl Edge {
    /// Listens on 127.0.0.1:`port` (0: any) and runs what is deployed.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn start(
        cloud: Arc<Cloud>,
        backend: SocketAddr,
        key: String,
        port: u16,
        linger: Duration,
    ) -> io::Result<Self> {
        let socket = TcpListener::bind(("127.0.0.1", port))?;
        let address = socket.local_addr()?;
        let is_over = AtomicBool::new(false);
        let running = Mutex::default();
        let shared = Arc::new(Shared { cloud, backend, key, socket, address, running, linger, is_over });
        let runner = Arc::clone(&shared);
        let thread = thread::Builder::new().name("edge".to_owned()).spawn(move || runner.run())?;
        Ok(Self { shared, thread: Mutex::new(Some(thread)) })
    }

    /// `http://127.0.0.1:<port>`.
    pub(crate) fn origin(&self) -> String {
        format!("http://{}", self.shared.address)
    }

    /// Its port.
    pub(crate) fn port(&self) -> u16 {
        self.shared.address.port()
    }

    /// What the runtime and the Workers print goes there.
    pub(crate) fn log(&self) -> PathBuf {
        self.shared.log()
    }

    /// Ends it, and returns when no process is left. Others may still hold it.
    pub(crate) fn stop(&self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
        self.shared.cloud.changes.note();
        if let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take() {
            // A panic there was printed.
            drop(thread.join());
        }
        stop(&mut self.shared.running());
    }

    /// Ends a runtime that no longer has what is deployed. Requests wait for the next one.
    pub(crate) fn retire(&self) {
        // Under the lock, here and where one is started: what is rendered before it may be old when it is taken.
        let mut running = self.shared.running();
        if running.group.is_none() || running.config == self.shared.render() {
            return;
        }
        self.shared.wait_for_quiet();
        stop(&mut running);
    }

    /// Hands a batch to a Worker's queue handler.
    ///
    /// # Errors
    /// Why it was not handed over, or what became of it is not known.
    pub(crate) fn deliver(
        &self,
        account: &str,
        script: &str,
        queue: &str,
        batch: &[Message],
        left: usize,
    ) -> Result<Value, String> {
        let messages: Vec<Value> = batch
            .iter()
            .map(|message| {
                json!({
                    "id": message.id, "timestamp": message.timestamp, "attempts": message.attempts + 1,
                    "contentType": message.content_type, "base64": BASE64_STANDARD.encode(&message.body),
                })
            })
            .collect();
        let oldest = batch.iter().map(|message| message.timestamp).min().unwrap_or_default();
        let metrics = json!({ "backlogCount": left, "backlogBytes": 0, "oldestMessageTimestamp": oldest });
        let body = json!({ "queue": queue, "messages": messages, "metrics": metrics });
        self.shared.command(&format!("/queue/{account}/{script}"), &body)
    }

    /// Calls a Worker's scheduled handler.
    ///
    /// # Errors
    /// Why it was not called, or that it failed.
    pub(crate) fn schedule(&self, account: &str, script: &str, cron: &str, at_millis: u64) -> Result<(), String> {
        let body = json!({ "cron": cron, "scheduledTime": at_millis });
        let result = self.shared.command(&format!("/cron/{account}/{script}"), &body)?;
        if result.get("outcome").and_then(Value::as_str) == Some("ok") {
            Ok(())
        } else {
            Err(format!("the scheduled handler of {script} ended with {result}; see {}", self.log().display()))
        }
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        self.stop();
    }
}

fn stop(running: &mut Running) {
    running.config.clear();
    if let Some(mut group) = running.group.take()
        && let Err(error) = group.drain(PATIENCE)
    {
        eprintln!("fake-cloudflare: cannot stop the runtime: {error}");
    }
}

impl Shared {
    fn running(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn log(&self) -> PathBuf {
        self.cloud.folder.edge().join("workerd.log")
    }

    fn render(&self) -> String {
        worker::render(&self.cloud.state(), self.backend, &self.key)
    }

    /// Gives Workers the time that they have behind an answer.
    fn wait_for_quiet(&self) {
        if self.linger.is_zero() {
            return;
        }
        // A runtime that does not say has nothing under way.
        let quiet = self.command("/quiet", &Value::Null).ok().and_then(|millis| millis.as_u64());
        let quiet = quiet.map_or(self.linger, Duration::from_millis);
        thread::sleep(self.linger.saturating_sub(quiet));
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    fn run(&self) {
        while !self.is_over() {
            let seen = self.settle();
            if self.is_over() {
                return;
            }
            if let Err(reason) = self.take_over() {
                eprintln!("fake-cloudflare: the runtime does not run: {reason}");
                self.refuse(&reason, Instant::now() + BACKOFF);
                continue;
            }
            self.cloud.changes.wait(seen, LOOK);
        }
    }

    /// Waits until nothing has changed for a moment.
    fn settle(&self) -> u64 {
        let mut seen = self.cloud.changes.count();
        loop {
            let now = self.cloud.changes.wait(seen, QUIET);
            if now == seen {
                return seen;
            }
            seen = now;
        }
    }

    /// Sees to it that the runtime has what is deployed.
    fn take_over(&self) -> Result<(), String> {
        let mut running = self.running();
        let config = self.render();
        let ended = running.group.as_mut().map_or(Ok(None), ProcessGroup::ended).map_err(|error| error.to_string())?;
        if let Some(status) = ended {
            stop(&mut running);
            return Err(format!("it ended ({status}): {}", self.last_words()));
        }
        if running.group.is_some() && running.config == config {
            return Ok(());
        }
        stop(&mut running);
        let folder = self.cloud.folder.edge();
        let file = folder.join("config.capnp");
        // For its owner only: the Workers' secrets are in it.
        write_private(&file, config.as_bytes()).map_err(|error| error.to_string())?;
        let runtime = self.cloud.runtime.clone().into_os_string();
        let mut command = vec![runtime];
        command.extend(["serve", "--experimental", "--socket-fd", "http=4"].map(Into::into));
        command.push(file.into_os_string());
        let program = Program { command, environment: Vec::new(), hidden: Vec::new() };
        let group = ProcessGroup::start_with_socket(&program, &folder, &self.log(), &self.socket);
        (running.group, running.config) = (Some(group.map_err(|error| error.to_string())?), config);
        Ok(())
    }

    fn last_words(&self) -> String {
        let log = fs::read(self.log()).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().filter(|line| !line.contains("stack:")).collect();
        lines.get(lines.len().saturating_sub(5)..).unwrap_or_default().join("; ")
    }

    /// Answers in the place of a runtime that does not start: nobody should wait for it in vain.
    fn refuse(&self, reason: &str, until: Instant) {
        if self.socket.set_nonblocking(true).is_err() {
            return;
        }
        while Instant::now() < until && !self.is_over() {
            match self.socket.accept() {
                Ok((mut stream, _)) => {
                    let length = reason.len();
                    let head = "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: ";
                    // Who does not listen misses it.
                    drop(write!(stream, "{head}{length}\r\n\r\n{reason}"));
                }
                Err(_) => thread::sleep(Duration::from_millis(10)),
            }
        }
        if let Err(error) = self.socket.set_nonblocking(false) {
            eprintln!("fake-cloudflare: {error}");
        }
    }

    fn command(&self, path: &str, body: &Value) -> Result<Value, String> {
        let url = format!("http://{}{path}", self.address);
        let headers = [(KEY_HEADER, self.key.as_str()), ("content-type", "application/json")];
        let reply = Client::default().send("POST", &url, &headers, body.to_string().as_bytes())?;
        if reply.status == 200 { Ok(reply.json()) } else { Err(format!("{path}: {} {}", reply.status, reply.body)) }
    }
}

/// A new key.
pub(crate) fn new_key() -> String {
    ids::hex_id()
}
