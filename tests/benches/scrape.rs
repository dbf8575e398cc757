//! The last part of `make bench` and of `make load`: scrapes per second of `/metrics` in workerd, beside a Worker that only
//! says hello, in turns. Both share the machine with the client, so the ratio of each turn is what counts.
//!
//! With `UPDATE_DOCS=1` the table goes into `docs/performance.md`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::cast_precision_loss,
    reason = "as in a test: what fails here is the set-up, and a panic is the report"
)]

use std::{
    fmt::Write as _,
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use tributary_local::{
    backend::{Backend, Expected},
    demo_state::ACCOUNT_ID,
    secrets::Secret,
};
use tributary_tests::{
    docs::{is_update, renew_tables},
    http::Client,
    installation::repository,
    wait::eventually,
};

const CONNECTIONS: usize = 4;
const TURN: Duration = Duration::from_millis(500);
const ROUNDS: usize = 20;
const CLIENT_SECRET: &str = "client-of-the-bench";
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0";

/// What is asked for, and how many requests were answered in each turn.
struct Case<'a> {
    name: &'a str,
    url: String,
    headers: &'a [(&'a str, &'a str)],
    answers: Vec<f64>,
}

fn main() {
    let folder = tempfile::tempdir().unwrap();
    let expected = Expected { client_secret: Secret::new(CLIENT_SECRET), account_id: ACCOUNT_ID.to_owned() };
    let backend = Backend::start(0, expected, Box::new(|_| {})).unwrap();
    let (mut runtimes, consumer, hello) = start(folder.path(), &backend);
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
    let case = |name, url: &str, headers| Case { name, url: url.to_owned(), headers, answers: Vec::new() };
    let mut cases = [
        case("a Worker that says hello", &hello, &[][..]),
        case("`/metrics`, the stored text", &metrics, &stored[..]),
        case("`/metrics`, rendered as text 0.0.4", &metrics, &text[..]),
        case("`/metrics`, not modified (304)", &metrics, &unchanged[..]),
    ];
    // The first turn of each warms up what it asks.
    for case in &cases {
        let _warmed_up = answers(&case.url, case.headers);
    }
    for _ in 0..ROUNDS {
        for case in &mut cases {
            case.answers.push(answers(&case.url, case.headers) as f64);
        }
    }
    let table = table(&cases);
    println!(
        "\n{ROUNDS} rounds, in each of which each is asked for {} ms on {CONNECTIONS} connections; one machine for all\n\n\
         {table}",
        TURN.as_millis()
    );
    if is_update() {
        renew_tables("docs/performance.md", &[("scrapes", table)]).unwrap();
        println!("renewed: docs/performance.md");
    }
    drop(runtimes.stdin.take());
    runtimes.wait().unwrap();
}

/// Medians; in brackets the least and the most of the rounds. Ratios are of the same round each.
fn table(cases: &[Case<'_>]) -> String {
    let spread = |mut values: Vec<f64>, digits: usize| {
        values.sort_by(f64::total_cmp);
        let at = |place: usize| values.get(place).copied().unwrap_or(f64::NAN);
        let (least, middle, most) = (at(0), at(values.len() / 2), at(values.len().saturating_sub(1)));
        format!("{middle:.digits$} ({least:.digits$} … {most:.digits$})")
    };
    let hello = cases.first().map(|case| case.answers.as_slice()).unwrap_or_default();
    let mut table = "| what is asked for | requests/s | of hello |\n| --- | --- | --- |\n".to_owned();
    for Case { name, answers, .. } in cases {
        let rates = answers.iter().map(|answers| answers / TURN.as_secs_f64()).collect();
        let ratios = answers.iter().zip(hello).map(|(answers, hello)| answers / hello).collect();
        writeln!(table, "| {name} | {} | {} |", spread(rates, 0), spread(ratios, 2)).unwrap();
    }
    table
}

/// Both runtimes, and their URLs, which end in a slash.
fn start(folder: &std::path::Path, backend: &Backend) -> (Child, String, String) {
    let repository = repository().canonicalize().unwrap();
    let bindings = serde_json::json!({
        "METRICS_TOKEN": "bench",
        "PUBLISH_INTERVAL_MS": "1000",
        "CONFIDENCE_CLIENT_SECRET": CLIENT_SECRET,
        "CONFIDENCE_FLAG_LOGS_URL": backend.flag_logs_url(),
        "CONFIDENCE_INGEST_URL": backend.ingest_url(),
    });
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
