//! What a thousand invocations send and compute: of one isolate, at a rate at which invocations share messages as they do on
//! a real Worker that is busy, and not more.

use std::{
    thread,
    time::{Duration, Instant},
};

use super::worker::{Bench, Language, call};
use crate::{
    alone::messages,
    table::{Spread, head, row},
};

const INVOCATIONS: u32 = 1_000;
const PER_SECOND: u32 = 100;
/// The default.
const FLUSH_INTERVAL_MS: u32 = 1_000;
/// What is left to send is sent then.
const SETTLE: Duration = Duration::from_millis(1_500);
const LEAST_ROUNDS: u32 = 3;

/// The first is what the others are compared with.
const WAYS: [(&str, &str); 4] = [
    ("nothing", "records nothing"),
    ("none", "SDK without a reader"),
    ("queue", "SDK, sent"),
    ("post", "SDK, one OTLP POST an invocation"),
];
const FIRST_THAT_SENDS: usize = 2;

struct Case {
    path: &'static str,
    bench: Bench,
    /// Milliseconds of CPU a thousand invocations, of each round.
    cpu: Vec<f64>,
}

impl Case {
    /// Invokes it at the rate, beginning `offset` from now.
    fn round(&mut self, offset: Duration) {
        let before = self.bench.cpu();
        let mut connection = self.bench.connect();
        let start = Instant::now() + offset;
        for n in 0..INVOCATIONS {
            thread::sleep((start + Duration::from_secs(1) / PER_SECOND * n).saturating_duration_since(Instant::now()));
            call(&mut connection, &format!("/{}?n={n}", self.path));
        }
        thread::sleep(SETTLE);
        self.cpu.push((self.bench.cpu() - before).as_secs_f64() * 1e6 / f64::from(INVOCATIONS));
    }

    /// Subrequests and bytes of their bodies, and messages, so far.
    fn sent(&self) -> (usize, usize, usize) {
        let (sends, posts) = (self.bench.sends(), self.bench.posts());
        let sent: Vec<Vec<u8>> = sends.iter().flat_map(messages).collect();
        let bytes = sent.iter().map(Vec::len).chain(posts.iter().map(|post| post.body.len())).sum();
        (sends.len() + posts.len(), bytes, sent.len())
    }
}

/// Measures until then, and prints the table.
pub(crate) fn measure(languages: &[Language], until: Instant) {
    let mut cases: Vec<Vec<Case>> = languages
        .iter()
        .map(|language| {
            let start = |(path, _)| Case { path, bench: Bench::start(language, FLUSH_INTERVAL_MS), cpu: Vec::new() };
            WAYS.map(start).into()
        })
        .collect();
    let mut rounds = 0;
    // The first is not measured.
    while rounds <= LEAST_ROUNDS || Instant::now() < until {
        // All at the same time, so that what disturbs one disturbs all; a few milliseconds apart.
        thread::scope(|scope| {
            for (place, case) in cases.iter_mut().flatten().enumerate() {
                let offset = Duration::from_millis(10) + Duration::from_micros(1_250) * u32::try_from(place).unwrap();
                scope.spawn(move || case.round(offset));
            }
        });
        rounds += 1;
    }
    println!(
        "\n{} rounds of {INVOCATIONS} invocations each, {PER_SECOND} a second; what is sent coalesces for {FLUSH_INTERVAL_MS} ms.",
        rounds - 1
    );
    let title = format!("{INVOCATIONS} invocations of one isolate, in workerd");
    head(&[&title, "subrequests", "bytes of bodies", "CPU ms", "more than nothing recorded"]);
    for (language, cases) in languages.iter().zip(&cases) {
        for (place, (case, (_, name))) in cases.iter().zip(WAYS).enumerate() {
            let (subrequests, bytes, messages) = case.sent();
            let all = u64::from(INVOCATIONS * rounds);
            if place < FIRST_THAT_SENDS {
                assert_eq!(subrequests, 0, "{name}");
            } else {
                case.bench.expect("shop.orders", all);
            }
            assert!(messages <= subrequests, "one message a send: what is counted is what is billed");
            let each = |count: usize| format!("{:.0}", count as f64 / f64::from(rounds));
            let cpu = &case.cpu[1..];
            let more = cpu.iter().zip(&cases[0].cpu[1..]).map(|(this, nothing)| this - nothing);
            row([
                format!("{}: {name}", language.name),
                each(subrequests),
                each(bytes),
                Spread::of(cpu.iter().copied()).text(0),
                Spread::of(more).text(0),
            ]);
        }
    }
}
