//! `make load`: what the pipeline costs in workerd. The same producer with the pipeline, without it and with one message for
//! each resolve, in turns of one run, so that whatever else the machine does hits all alike; then how fast messages go from
//! the queue into the Ledger, and how long each Worker takes to its first answer. All traffic goes to 127.0.0.1 and is
//! bounded in number and time.
//!
//! `make otel-load` is the argument `otel`: what it costs a Worker to record with OpenTelemetry's API.
//!
//! `SECONDS` says about how long it takes (default 180).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    clippy::redundant_pub_crate,
    reason = "as in a test: what fails here is the set-up, and a panic is the report"
)]

mod alone;
mod begin;
mod cpu;
mod ledger;
mod otel;
mod rounds;
mod runtime;
mod table;
mod traffic;
mod whole;

use std::{
    env, thread,
    time::{Duration, Instant},
};

use alone::{Alone, reported};
use cpu::Meter;
use ledger::Feed;
use rounds::{Measured, costs, table};
use traffic::{CONNECTIONS, PATIENCE, RESOLVES, resolves};
use whole::Whole;

/// What the issue allows the pipeline, in percent of throughput.
const MOST_PERCENT: f64 = 3.0;
/// How long a variant has after a turn to send what it has: the default flush interval, and some.
const SETTLE: Duration = Duration::from_millis(1_300);
const START_ROUNDS: usize = 8;
const LEDGER_ROUNDS: usize = 3;
/// What the Ledger and the first answers take, about.
const AFTER: Duration = Duration::from_secs(40);
const LEAST_ROUNDS: usize = 3;

/// A way to run the producer.
pub(crate) struct Variant {
    name: &'static str,
    build: &'static str,
    vars: &'static [(&'static str, &'static str)],
}

/// The first is what the others are compared with.
const VARIANTS: [Variant; 3] = [
    Variant { name: "off", build: "producer/build-without-pipeline", vars: &[] },
    Variant { name: "on", build: "producer/build", vars: &[] },
    Variant { name: "one message a resolve", build: "producer/build", vars: &[("FLUSH_INTERVAL_MS", "0")] },
];

fn main() {
    let seconds = env::var("SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(180);
    if env::args().nth(1).as_deref() == Some("otel") {
        return otel::measure(Duration::from_secs(seconds));
    }
    let until = Instant::now() + Duration::from_secs(seconds).saturating_sub(AFTER);

    let mut alone: Vec<Alone> = VARIANTS.iter().map(|variant| Alone::start(variant, SETTLE)).collect();
    let backend = whole::backend();
    let mut wholes: Vec<(Whole, Meter, Measured)> = VARIANTS
        .iter()
        .map(|variant| {
            (Whole::start(Some(variant.build), variant.vars, &backend), Meter::default(), Measured::default())
        })
        .collect();
    for (whole, ..) in &wholes {
        resolves(&whole.address);
        thread::sleep(SETTLE);
    }
    let mut rounds = 0;
    while rounds < LEAST_ROUNDS || Instant::now() < until {
        // Another one begins each time.
        for place in 0..VARIANTS.len() {
            alone[(place + rounds) % VARIANTS.len()].turn();
        }
        for place in 0..VARIANTS.len() {
            let (whole, meter, measured) = &mut wholes[(place + rounds) % VARIANTS.len()];
            let before = meter.read(&whole.processes());
            let turn = resolves(&whole.address);
            thread::sleep(SETTLE);
            measured.add(turn, meter.read(&whole.processes()) - before);
        }
        rounds += 1;
    }
    println!(
        "{rounds} rounds, in each of which each variant resolves {RESOLVES} times, in {PATIENCE:?} at most; {CONNECTIONS} \
         connections, one machine for all. Medians; in brackets the least and the most of the rounds."
    );

    // What was not sent was not paid for: then the ratio would say nothing.
    let sent = each_sent(&alone);
    let alone_rows = named(alone.iter().map(|alone| &alone.measured));
    table("the producer alone", &alone_rows);
    let whole_rows = named(wholes.iter().map(|(.., measured)| measured));
    table("producer, queue, consumer, Ledger in one process", &whole_rows);
    println!("\n{sent}");
    for (what, rows) in [("of the producer alone", &alone_rows), ("of the whole in one process", &whole_rows)] {
        let (cpu, rate) = costs(rows[1].1, rows[0].1);
        println!(
            "The pipeline costs {} % {what}'s CPU time a resolve, {} % of throughput: {} {MOST_PERCENT} %.",
            cpu.text(1),
            rate.text(1),
            if cpu.middle() <= MOST_PERCENT { "within" } else { "more than" },
        );
    }
    drop(wholes);

    let (coalesced, single) = (alone[1].messages(), alone[2].messages());
    let many = reported(&coalesced) / coalesced.len() as u64;
    drop(alone);
    let mut feeds = [
        Feed::new("one resolve a message", &single, 2_000),
        Feed::new(&format!("{many} resolves a message"), &coalesced, 300),
    ];
    ledger::measure(&mut feeds, LEDGER_ROUNDS, &backend);
    begin::measure(START_ROUNDS);
    backend.stop().unwrap();
}

/// The variants with what each measured.
fn named<'a>(measured: impl IntoIterator<Item = &'a Measured>) -> Vec<(&'static str, &'a Measured)> {
    VARIANTS.iter().map(|variant| variant.name).zip(measured).collect()
}

/// Checks that each variant sent what it should, and says how much that was.
fn each_sent(alone: &[Alone]) -> String {
    let off = alone[0].messages().len();
    assert_eq!(off, 0, "messages of the producer without a pipeline");
    let line = |(alone, variant): (&Alone, &Variant)| {
        let (messages, name) = (alone.messages(), variant.name);
        let (resolves, bytes) = (reported(&messages), messages.iter().map(Vec::len).sum::<usize>());
        assert!(resolves >= alone.measured.resolves() as u64, "{name}: {resolves} resolves are reported");
        let (each, bytes) = (resolves as f64 / messages.len() as f64, bytes as f64 / resolves as f64);
        format!("{name}: {each:.0} resolves a message, {bytes:.0} bytes in the queue a resolve.")
    };
    alone.iter().zip(&VARIANTS).skip(1).map(line).collect::<Vec<_>>().join(" ")
}
