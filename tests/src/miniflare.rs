//! One Worker in Miniflare: the real runtime, reachable over HTTP on loopback.

use std::{
    io::{BufRead as _, BufReader},
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
};

use crate::{
    http::{Client, Reply},
    installation::repository,
};

/// A running Worker. Stops when it is dropped.
pub struct Miniflare {
    process: Child,
    /// Closed by the drop: the process stops when it reads the end.
    stdin: Option<ChildStdin>,
    base_url: String,
    client: Client,
}

impl Miniflare {
    /// Starts `worker` (`consumer`, `producer`, `both` or `shards`), which persists in `folder`, with these bindings.
    ///
    /// # Errors
    /// Why it did not start.
    pub fn start(worker: &str, folder: &Path, bindings: &serde_json::Value) -> Result<Self, String> {
        let repository = repository().canonicalize().map_err(|error| error.to_string())?;
        let mut process = Command::new(repository.join("wrangler/node_modules/.bin/node"))
            .arg(repository.join(format!("tests/miniflare/{worker}.mjs")))
            .arg(if ["both", "shards"].contains(&worker) {
                repository.clone()
            } else {
                repository.join(worker).join("build")
            })
            .arg(folder)
            .arg(bindings.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .map_err(|error| format!("node: {error}"))?;
        let stdin = process.stdin.take();
        let output = BufReader::new(process.stdout.take().ok_or("no output")?);
        let mut lines = output.lines().map_while(Result::ok);
        let port = lines.find_map(|line| line.strip_prefix("LISTENING=").map(str::to_owned));
        let mut started = Self { process, stdin, base_url: String::new(), client: Client::default() };
        let port = port.ok_or_else(|| format!("the {worker} ended before it listened"))?;
        // What the Worker logs later is of no use to anybody, but must not fill the pipe.
        std::thread::spawn(move || lines.for_each(drop));
        started.base_url = format!("http://127.0.0.1:{port}");
        Ok(started)
    }

    /// The base URL.
    pub fn url(&self) -> &str {
        &self.base_url
    }

    /// Sends a request to the Worker.
    ///
    /// # Errors
    /// What went wrong with the connection.
    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<Reply, String> {
        self.client.send(method, &format!("{}{path}", self.base_url), headers, body)
    }

    /// Fires the cron trigger, and returns when its handler has ended.
    ///
    /// # Errors
    /// Where the handler failed.
    pub fn scheduled(&self) -> Result<(), String> {
        let reply = self.send("POST", "/scheduled", &[], b"")?;
        if reply.json().get("outcome").is_some_and(|outcome| outcome == "ok") { Ok(()) } else { Err(reply.body) }
    }

    /// Writes a value into a KV namespace.
    ///
    /// # Errors
    /// What went wrong.
    pub fn put_kv(&self, binding: &str, key: &str, value: &[u8]) -> Result<(), String> {
        let reply = self.send("PUT", &format!("/kv/{binding}/{key}"), &[], value)?;
        if reply.status == 200 { Ok(()) } else { Err(reply.body) }
    }

    /// Reads a value from a KV namespace, and its metadata: a word as it is, anything else as JSON.
    ///
    /// # Errors
    /// Where there is none.
    pub fn get_kv(&self, binding: &str, key: &str) -> Result<(Vec<u8>, String), String> {
        let reply = self.send("GET", &format!("/kv/{binding}/{key}"), &[], b"")?;
        let metadata = reply.header("x-metadata").to_owned();
        if reply.status == 200 { Ok((reply.bytes, metadata)) } else { Err(format!("status {}", reply.status)) }
    }

    /// Ends the runtime and everything in it at once, as a power cut would; what it persisted stays, and what others
    /// have under way with it fails.
    pub fn crash(&self) {
        // The whole group: the runtime is a child of the process that was started.
        let group = format!("-{}", self.process.id());
        if Command::new("kill").args(["-KILL", "--", &group]).status().is_err() {
            // Without `kill` there is still the end of the pipe.
        }
    }
}

impl Drop for Miniflare {
    fn drop(&mut self) {
        self.stdin = None;
        if self.process.wait().is_err() {
            // It was never ours to wait for; nothing is left to stop.
        }
    }
}
