//! The producer alone in its process. KV and queue are this process: so what is measured is what a producer costs, with the
//! calls that it makes to send.

use std::{thread, time::Duration};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use tributary_local::demo_state::demo_state;
use tributary_proto::envelope::Envelope;
use tributary_tests::collector::{Answer, Collector, Received};

use crate::{
    Variant,
    cpu::Meter,
    rounds::Measured,
    runtime::{Program, Runtime, text},
    traffic::{CLIENT_SECRET, resolves},
};

/// What a queue answers to who sends.
pub(crate) const QUEUE_ANSWER: &str =
    r#"{"metadata":{"metrics":{"backlogCount":0,"backlogBytes":0,"oldestMessageTimestamp":0}}}"#;

/// One variant of the producer, running.
pub(crate) struct Alone {
    runtime: Runtime,
    meter: Meter,
    queue: Collector,
    settle: Duration,
    /// What it did, round by round.
    pub(crate) measured: Measured,
}

impl Alone {
    /// Starts it and lets it warm up.
    pub(crate) fn start(variant: &Variant, settle: Duration) -> Self {
        let (kv, queue) = (Collector::start().unwrap(), Collector::start().unwrap());
        let state = demo_state(CLIENT_SECRET);
        kv.answer(move |_| Answer::Status(200, Vec::new(), state.clone()));
        queue.answer(|_| Answer::Status(200, Vec::new(), QUEUE_ANSWER.into()));
        let vars: String = variant.vars.iter().map(|(name, value)| format!(", {}", text(name, value))).collect();
        let fields = format!(
            "bindings = [(name = \"CONFIDENCE_STATE_KV\", kvNamespace = \"kv\"), \
             (name = \"DELTAS\", queue = \"queue\"){vars}]"
        );
        let address = |server: &Collector| server.url().trim_start_matches("http://").to_owned();
        let services = [("kv", address(&kv)), ("queue", address(&queue))];
        let services = services.each_ref().map(|(name, address)| (*name, address.as_str()));
        let runtime = Runtime::start(&Program::Build { folder: variant.build, fields }, &services);
        let mut alone = Self { runtime, meter: Meter::default(), queue, settle, measured: Measured::default() };
        alone.turn();
        alone.measured = Measured::default();
        alone
    }

    /// Resolves, and lets the producer send what it has.
    pub(crate) fn turn(&mut self) {
        let before = self.meter.read(&[self.runtime.id()]);
        let turn = resolves(&self.runtime.address);
        thread::sleep(self.settle);
        let cpu = self.meter.read(&[self.runtime.id()]) - before;
        self.measured.add(turn, cpu);
    }

    /// The messages that it sent since it started.
    pub(crate) fn messages(&self) -> Vec<Vec<u8>> {
        self.queue.received().iter().filter(|call| call.method == "POST").flat_map(messages).collect()
    }
}

/// The messages of one call of the queue, which takes one as it is, and several as JSON (`queue.c++` of workerd).
pub(crate) fn messages(call: &Received) -> Vec<Vec<u8>> {
    if !call.path.starts_with("/batch") {
        return vec![call.body.clone()];
    }
    let body: serde_json::Value = serde_json::from_slice(&call.body).unwrap();
    let entries = body["messages"].as_array().unwrap();
    entries.iter().map(|entry| BASE64_STANDARD.decode(entry["body"].as_str().unwrap()).unwrap()).collect()
}

/// How many resolves these messages report.
pub(crate) fn reported(messages: &[Vec<u8>]) -> u64 {
    let of = |message: &Vec<u8>| -> u64 {
        let logs = Envelope::decode(message).unwrap().flag_logs().unwrap();
        let latency = logs.telemetry_data.and_then(|telemetry| telemetry.resolve_latency);
        latency.map_or(0, |latency| u64::from(latency.count))
    };
    messages.iter().map(of).sum()
}
