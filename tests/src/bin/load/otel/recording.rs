//! What a recording costs, in CPU time of the runtime: a Worker's own clock stands still while it computes.

use std::time::Instant;

use super::worker::{Bench, Language, call};
use crate::{
    table::{Spread, head, row},
    traffic::Connection,
};

/// Recordings of a request.
const RECORDINGS: u64 = 1_000_000;
const LEAST_ROUNDS: usize = 3;

/// The first is what a loop costs that records nothing.
const WAYS: [&str; 4] = ["nothing", "none", "queue", "plain"];
const WHATS: [(&str, &str); 3] = [
    ("bare", "counter without attributes"),
    ("counter", "counter with one attribute"),
    ("histogram", "histogram with one attribute"),
];

struct Case {
    bench: Bench,
    connection: Connection,
    /// Nanoseconds a recording, by what and way, of each round.
    nanos: [[Vec<f64>; WAYS.len()]; WHATS.len()],
}

impl Case {
    fn start(language: &Language) -> Self {
        let bench = Bench::start(language, 0);
        Self { connection: bench.connect(), bench, nanos: Default::default() }
    }

    fn round(&mut self, is_warm: bool) {
        for ((what, _), nanos) in WHATS.iter().zip(&mut self.nanos) {
            for (way, nanos) in WAYS.iter().zip(nanos) {
                let before = self.bench.cpu();
                call(&mut self.connection, &format!("/record/{way}/{what}?n={RECORDINGS}"));
                let cpu = self.bench.cpu() - before;
                if is_warm {
                    nanos.push(cpu.as_secs_f64() * 1e9 / RECORDINGS as f64);
                }
            }
        }
    }
}

/// Measures in turns until then, and prints the table.
pub(crate) fn measure(languages: &[Language], until: Instant) {
    let mut cases: Vec<Case> = languages.iter().map(Case::start).collect();
    cases.iter_mut().for_each(|case| case.round(false));
    let mut rounds = 0;
    while rounds < LEAST_ROUNDS || Instant::now() < until {
        cases.iter_mut().for_each(|case| case.round(true));
        rounds += 1;
    }
    for (case, language) in cases.iter().zip(languages) {
        // Of the SDK and of what does without it, and with the round that was not measured.
        for counter in [["bare", "labelled"], language.plain].concat() {
            case.bench.expect(counter, RECORDINGS * (rounds as u64 + 1));
        }
    }
    println!(
        "{rounds} rounds of {RECORDINGS} recordings each. Medians; in brackets the least and the most of the rounds."
    );
    head(&[
        "CPU ns a recording, in workerd",
        "an empty loop",
        "SDK without a reader",
        "SDK, sent",
        "without the SDK, sent",
    ]);
    for (case, language) in cases.iter().zip(languages) {
        for ((_, what), nanos) in WHATS.iter().zip(&case.nanos) {
            let cells = nanos.iter().map(|nanos| Spread::of(nanos.iter().copied()).text(0));
            row([format!("{}, {what}", language.name)].into_iter().chain(cells));
        }
    }
}
