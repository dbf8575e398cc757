//! The Worker of a language, running, between a queue and a collector that are this process.

use std::{
    process::Command,
    thread,
    time::{Duration, Instant},
};

use tributary_tests::{
    collector::{Answer, Collector, Received},
    installation::repository,
};

use super::counted::{posted, sent};
use crate::{
    alone::QUEUE_ANSWER,
    cpu::Meter,
    runtime::{Program, Runtime, text},
    traffic::Connection,
};

/// What was recorded must have arrived by then.
const PATIENCE: Duration = Duration::from_secs(30);

/// A way to write the Worker.
pub(crate) struct Language {
    pub(crate) name: &'static str,
    program: fn(fields: String) -> Program,
    /// The counters of what records without the SDK: without attributes, and with one.
    pub(crate) plain: [&'static str; 2],
}

impl Language {
    pub(crate) fn rust() -> Self {
        Self {
            name: "Rust",
            program: |fields| Program::Build { folder: "tests/otel/build", fields },
            plain: ["plain", "plain_labelled"],
        }
    }

    pub(crate) fn typescript() -> Self {
        Self {
            name: "TypeScript",
            program: |fields| Program::Script { source: bundle(), fields },
            plain: ["plain", "plain.labelled"],
        }
    }
}

/// The Worker in TypeScript as wrangler bundles it: not minified.
fn bundle() -> String {
    let repository = repository().canonicalize().unwrap();
    let output = Command::new(repository.join("wrangler/node_modules/.bin/esbuild"))
        .arg(repository.join("emitter/npm/bench/worker.ts"))
        .args(["--bundle", "--format=esm", "--conditions=workerd,browser", "--log-level=warning"])
        .arg(format!("--tsconfig={}", repository.join("emitter/npm/example/tsconfig.bundle.json").display()))
        .output()
        .expect("esbuild runs: make setup");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A Worker that runs, and what it sent.
pub(crate) struct Bench {
    runtime: Runtime,
    meter: Meter,
    queue: Collector,
    collector: Collector,
}

impl Bench {
    pub(crate) fn start(language: &Language, flush_interval_ms: u32) -> Self {
        let (queue, collector) = (Collector::start().unwrap(), Collector::start().unwrap());
        queue.answer(|_| Answer::Status(200, Vec::new(), QUEUE_ANSWER.into()));
        let fields = format!(
            "bindings = [(name = \"DELTAS\", queue = \"queue\"), {}, {}]",
            text("FLUSH_INTERVAL_MS", &flush_interval_ms.to_string()),
            text("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url()),
        );
        let address = queue.url().trim_start_matches("http://").to_owned();
        let runtime = Runtime::start(&(language.program)(fields), &[("queue", &address)]);
        Self { runtime, meter: Meter::default(), queue, collector }
    }

    pub(crate) fn connect(&self) -> Connection {
        Connection::open(&self.runtime.address)
    }

    /// The CPU time of its process until now.
    pub(crate) fn cpu(&mut self) -> Duration {
        self.meter.read(&[self.runtime.id()])
    }

    /// Calls of the queue that send.
    pub(crate) fn sends(&self) -> Vec<Received> {
        self.queue.received().into_iter().filter(|call| call.method == "POST").collect()
    }

    /// Requests to the collector.
    pub(crate) fn posts(&self) -> Vec<Received> {
        self.collector.received()
    }

    /// What arrived of a counter, by either way.
    pub(crate) fn counted(&self, counter: &str) -> u64 {
        sent(&self.sends(), counter) + posted(&self.posts(), counter)
    }

    /// Waits until so much of a counter arrived. That more does is a failure, too.
    pub(crate) fn expect(&self, counter: &str, count: u64) {
        let start = Instant::now();
        loop {
            let counted = self.counted(counter);
            if counted == count {
                return;
            }
            assert!(counted < count && start.elapsed() < PATIENCE, "{counter}: {counted} of {count} arrived");
            thread::sleep(Duration::from_millis(50));
        }
    }
}

/// Asks for this path, which must succeed.
pub(crate) fn call(connection: &mut Connection, path: &str) {
    let (status, answer) = connection.post(path, "");
    assert!(status == 200 && answer == "ok", "{path}: {status}: {answer}");
}
