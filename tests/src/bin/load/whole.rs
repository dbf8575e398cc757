//! Everything in one workerd, by Miniflare: producer, queue, consumer, Ledger, KV.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    os::unix::process::CommandExt as _,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use serde_json::json;
use tempfile::TempDir;
use tributary_local::{
    backend::{Backend, Expected},
    demo_state::{ACCOUNT_ID, demo_state},
    process::members,
    secrets::Secret,
};
use tributary_tests::{exposition::Exposition, http::Client, installation::repository};

use crate::traffic::CLIENT_SECRET;

const METRICS_TOKEN: &str = "a-token-of-the-bench";

/// A running whole. It stops when this is dropped.
pub(crate) struct Whole {
    process: Child,
    /// `127.0.0.1:<port>`.
    pub(crate) address: String,
    _folder: TempDir,
}

/// The backend that flag logs are delivered to: the strict stub.
pub(crate) fn backend() -> Backend {
    let expected = Expected { client_secret: Secret::new(CLIENT_SECRET), account_id: ACCOUNT_ID.to_owned() };
    Backend::start(0, expected, Box::new(|_| {})).unwrap()
}

impl Whole {
    /// Starts one with this build of the producer, or with the consumer alone, and these vars of the producer.
    pub(crate) fn start(build: Option<&str>, vars: &[(&str, &str)], backend: &Backend) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        fs::write(&state, demo_state(CLIENT_SECRET)).unwrap();
        let producer: serde_json::Value =
            vars.iter().map(|(name, value)| ((*name).to_owned(), serde_json::Value::from(*value))).collect();
        let options = json!({
            "build": build,
            "producer": producer,
            "consumer": {
                "METRICS_TOKEN": METRICS_TOKEN,
                "METRICS_SOURCE": "ledger",
                "CONFIDENCE_CLIENT_SECRET": CLIENT_SECRET,
                "CONFIDENCE_FLAG_LOGS_URL": backend.flag_logs_url(),
                "CONFIDENCE_INGEST_URL": backend.ingest_url(),
            },
        });
        let repository = repository().canonicalize().unwrap();
        let mut process = Command::new(repository.join("wrangler/node_modules/.bin/node"))
            .arg(repository.join("tests/miniflare/load.mjs"))
            .args([&repository, &folder.path().join("persist"), &state])
            .arg(options.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .expect("node runs: make setup");
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines().map_while(Result::ok);
        let url = lines.find_map(|line| line.strip_prefix("URL=http://").map(str::to_owned)).expect("it starts");
        // What the Workers log is of no use to anybody, but must not fill the pipe.
        thread::spawn(move || lines.for_each(drop));
        Self { process, address: url.trim_end_matches('/').to_owned(), _folder: folder }
    }

    /// The processes: node, which idles, and workerd.
    pub(crate) fn processes(&self) -> Vec<i32> {
        members(self.process.id().try_into().unwrap()).unwrap()
    }

    /// The value of a series without other labels than `resolver_id`, from the Ledger itself.
    pub(crate) fn counter(&self, name: &str) -> f64 {
        let url = format!("http://{}/metrics?openmetrics=true&name[]={name}", self.address);
        let token = format!("Bearer {METRICS_TOKEN}");
        let reply = Client::default().send("GET", &url, &[("Authorization", &token)], b"").unwrap();
        assert_eq!(reply.status, 200, "{}", reply.body);
        Exposition::parse(&reply.body).unwrap().sum(name)
    }

    /// Puts these messages onto the queue.
    pub(crate) fn feed(&self, batches: &[Vec<String>]) {
        let url = format!("http://{}/feed", self.address);
        let body = serde_json::to_vec(batches).unwrap();
        let reply = Client::default().send("POST", &url, &[], &body).unwrap();
        assert_eq!(reply.status, 200, "{}", reply.body);
    }

    /// Waits until this many records are applied, for the time that it took.
    pub(crate) fn wait_for(&self, records: f64) -> Duration {
        let start = std::time::Instant::now();
        loop {
            let applied = self.counter("tributary_records_applied_total");
            if applied >= records {
                return start.elapsed();
            }
            assert!(start.elapsed() < Duration::from_secs(120), "{applied} of {records} records after two minutes");
            thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Whole {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        self.process.wait().unwrap();
    }
}
