//! How long a Worker takes from the start of a runtime to its first answer, beside a Worker that only says hello.

use std::time::{Duration, Instant};

use tributary_local::demo_state::demo_state;
use tributary_tests::collector::{Answer, Collector};

use crate::{
    cpu::Meter,
    runtime::{Program, Runtime, text},
    table::{Spread, head, row},
    traffic::{CLIENT_SECRET, Connection},
};

struct Case {
    name: &'static str,
    program: Program,
    path: &'static str,
    body: String,
    status: u16,
    wall: Vec<f64>,
    cpu: Vec<f64>,
}

/// Measures, and prints the table.
pub(crate) fn measure(rounds: usize) {
    let kv = Collector::start().unwrap();
    let state = demo_state(CLIENT_SECRET);
    kv.answer(move |_| Answer::Status(200, Vec::new(), state.clone()));
    let address = kv.url().trim_start_matches("http://").to_owned();
    let services = [("kv", address.as_str()), ("queue", address.as_str())];
    let case = |name, program, path, body: String, status| Case {
        name,
        program,
        path,
        body,
        status,
        wall: Vec::new(),
        cpu: Vec::new(),
    };
    let producer = Program::Build {
        folder: "producer/build",
        fields: "bindings = [(name = \"CONFIDENCE_STATE_KV\", kvNamespace = \"kv\"), (name = \"DELTAS\", queue = \"queue\")]"
            .to_owned(),
    };
    let consumer = Program::Build {
        folder: "consumer/build",
        fields: format!(
            "bindings = [(name = \"LEDGER\", durableObjectNamespace = \"Ledger\"), {}, {}], \
             durableObjectNamespaces = [(className = \"Ledger\", uniqueKey = \"ledger\", enableSql = true)], \
             durableObjectStorage = (localDisk = \"objects\")",
            text("METRICS_TOKEN", "a-token"),
            text("METRICS_SOURCE", "ledger"),
        ),
    };
    let resolve = format!(
        r#"{{"clientSecret":"{CLIENT_SECRET}","apply":true,"evaluationContext":{{"targeting_key":"me","visitor_id":"me","country":"SE"}}}}"#
    );
    let source = "export default { fetch: () => new Response('hello') }".to_owned();
    let hello = Program::Script { source, fields: String::new() };
    let mut cases = [
        case("a Worker that says hello", hello, "/", String::new(), 200),
        case("producer: a resolve, the state read from KV", producer, "/v1/flags:resolve", resolve, 200),
        // Only GET is right, so that it is the Worker and nothing behind it that answers.
        case("consumer: a refusal", consumer, "/metrics", String::new(), 405),
    ];
    for _ in 0..rounds {
        for case in &mut cases {
            let start = Instant::now();
            let runtime = Runtime::start(&case.program, &services);
            let (status, answer) = Connection::open(&runtime.address).post(case.path, &case.body);
            let took = start.elapsed();
            assert_eq!(status, case.status, "{answer}");
            case.wall.push(millis(took));
            case.cpu.push(millis(Meter::default().read(&[runtime.id()])));
        }
    }
    head(&["start of workerd to first answer", "ms", "more than hello", "CPU ms", "more than hello"]);
    let [hello, ..] = &cases;
    let (wall, cpu) = (Spread::of(hello.wall.clone()).middle(), Spread::of(hello.cpu.clone()).middle());
    for case in &cases {
        let [own_wall, own_cpu] = [&case.wall, &case.cpu].map(|values| Spread::of(values.clone()));
        row([
            case.name.to_owned(),
            own_wall.text(0),
            format!("{:.0}", own_wall.middle() - wall),
            own_cpu.text(0),
            format!("{:.0}", own_cpu.middle() - cpu),
        ]);
    }
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
