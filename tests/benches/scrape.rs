//! `make bench`, its second part: scrapes per second of `/metrics` in workerd, beside a Worker that only says hello, in
//! turns of one run. Both share the machine with the client, so the ratio is what counts.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::cast_precision_loss,
    reason = "as in a test: what fails here is the set-up, and a panic is the report"
)]

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use tributary_tests::{http::Client, installation::repository, wait::eventually};

const CONNECTIONS: usize = 4;
const TURN: Duration = Duration::from_secs(2);
const TURNS: usize = 3;
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0";

/// What is asked for, and the requests that were answered in all turns.
struct Case<'a> {
    name: &'a str,
    url: String,
    headers: &'a [(&'a str, &'a str)],
    answers: usize,
}

fn main() {
    let folder = tempfile::tempdir().unwrap();
    let (mut runtimes, consumer, hello) = start(folder.path());
    let token = ("Authorization", "Bearer bench");
    let text = [token, ("Accept", "text/plain; version=0.0.4")];
    let stored = [token, ("Accept", OPENMETRICS)];
    // Before the first publication the Ledger answers; the age says that a copy does.
    let etag = eventually(Duration::from_secs(30), "a published copy", || {
        let reply = Client::default().send("GET", &format!("{consumer}metrics"), &stored, b"")?;
        let etag = reply.header("etag").to_owned();
        if reply.status == 200 && !etag.is_empty() { Ok(etag) } else { Err(format!("{}", reply.status)) }
    });
    let unchanged = [token, ("Accept", OPENMETRICS), ("If-None-Match", &*etag)];
    let metrics = format!("{consumer}metrics");
    let case = |name, url: &str, headers| Case { name, url: url.to_owned(), headers, answers: 0 };
    let mut cases = [
        case("a Worker that says hello", &hello, &[][..]),
        case("/metrics, the stored text", &metrics, &stored[..]),
        case("/metrics, rendered as text 0.0.4", &metrics, &text[..]),
        case("/metrics, not modified (304)", &metrics, &unchanged[..]),
    ];
    for _ in 0..TURNS {
        for case in &mut cases {
            case.answers += answers(&case.url, case.headers);
        }
    }
    println!("\n{CONNECTIONS} connections, {TURNS} turns of {TURN:?} each, one machine for all\n");
    let seconds = TURN.as_secs_f64() * TURNS as f64;
    let base = cases.first().map_or(0, |hello| hello.answers) as f64;
    for case in &cases {
        let rate = case.answers as f64 / seconds;
        println!("{:<36} {rate:>8.0} requests/s {:>6.2} of hello", case.name, case.answers as f64 / base);
    }
    drop(runtimes.stdin.take());
    runtimes.wait().unwrap();
}

/// Both runtimes, and their URLs, which end in a slash.
fn start(folder: &std::path::Path) -> (Child, String, String) {
    let repository = repository().canonicalize().unwrap();
    let bindings = serde_json::json!({"METRICS_TOKEN": "bench", "PUBLISH_INTERVAL_MS": "1000"});
    let mut runtimes = Command::new(repository.join("wrangler/node_modules/.bin/node"))
        .arg(repository.join("tests/miniflare/bench.mjs"))
        .arg(repository.join("consumer/build"))
        .arg(folder)
        .arg(bindings.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("node runs: make setup");
    let mut lines = BufReader::new(runtimes.stdout.take().unwrap()).lines().map_while(Result::ok);
    let mut url = |name: &str| lines.find_map(|line| line.strip_prefix(name).map(str::to_owned)).expect("it starts");
    let (consumer, hello) = (url("CONSUMER="), url("HELLO="));
    thread::spawn(move || lines.for_each(drop));
    (runtimes, consumer, hello)
}

/// How many requests are answered in one turn.
fn answers(url: &str, headers: &[(&str, &str)]) -> usize {
    let until = Instant::now() + TURN;
    let connection = || {
        let client = Client::default();
        let mut answers = 0;
        while Instant::now() < until {
            let reply = client.send("GET", url, headers, b"").unwrap();
            assert!(matches!(reply.status, 200 | 304), "{}: {}", reply.status, reply.body);
            answers += 1;
        }
        answers
    };
    thread::scope(|scope| {
        let connections: Vec<_> = (0..CONNECTIONS).map(|_| scope.spawn(connection)).collect();
        connections.into_iter().map(|connection| connection.join().unwrap()).sum()
    })
}
