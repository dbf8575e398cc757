//! What rounds measured, and the tables of it.

use std::time::Duration;

use crate::{
    table::{Spread, head, row},
    traffic::Turn,
};

/// What one variant did, round by round.
#[derive(Debug, Default)]
pub(crate) struct Measured {
    turns: Vec<Turn>,
    /// CPU time of each turn, with what it left for later.
    cpu: Vec<Duration>,
}

impl Measured {
    pub(crate) fn add(&mut self, turn: Turn, cpu: Duration) {
        self.turns.push(turn);
        self.cpu.push(cpu);
    }

    pub(crate) fn resolves(&self) -> usize {
        self.turns.iter().map(|turn| turn.latencies.len()).sum()
    }

    /// Resolves per second, of each round.
    fn rates(&self) -> Vec<f64> {
        self.turns.iter().map(|turn| turn.latencies.len() as f64 / turn.took.as_secs_f64()).collect()
    }

    /// Microseconds of CPU per resolve, of each round.
    fn cpu_each(&self) -> Vec<f64> {
        let each = |(turn, cpu): (&Turn, &Duration)| cpu.as_secs_f64() * 1e6 / turn.latencies.len() as f64;
        self.turns.iter().zip(&self.cpu).map(each).collect()
    }

    /// Milliseconds that this share of all resolves stayed below.
    fn latency(&self, share: f64) -> f64 {
        let all = self.turns.iter().flat_map(|turn| &turn.latencies).map(|micros| f64::from(*micros) / 1e3);
        Spread::of(all).at(share)
    }
}

/// The table of some variants, the first of which the others are compared with, round by round.
pub(crate) fn table(title: &str, variants: &[(&str, &Measured)]) {
    let columns = ["resolves", "resolves/s", "of off", "p50 ms", "p99 ms", "CPU µs a resolve", "of off"];
    head(&[&[title], &columns[..]].concat());
    let Some((_, base)) = variants.first() else { return };
    for (name, measured) in variants {
        row([
            (*name).to_owned(),
            measured.resolves().to_string(),
            Spread::of(measured.rates()).text(0),
            ratios(&measured.rates(), &base.rates()).text(3),
            format!("{:.2}", measured.latency(0.5)),
            format!("{:.2}", measured.latency(0.99)),
            Spread::of(measured.cpu_each()).text(0),
            ratios(&measured.cpu_each(), &base.cpu_each()).text(3),
        ]);
    }
}

/// What a variant costs beside the first, in percent: of CPU time a resolve, and of throughput.
pub(crate) fn costs(measured: &Measured, base: &Measured) -> (Spread, Spread) {
    let cpu = ratios(&measured.cpu_each(), &base.cpu_each());
    let rate = ratios(&measured.rates(), &base.rates());
    (cpu.map(|ratio| (ratio - 1.0) * 100.0), rate.map(|ratio| (1.0 - ratio) * 100.0))
}

/// Of the same round each: what disturbs a round disturbs both.
fn ratios(these: &[f64], those: &[f64]) -> Spread {
    Spread::of(these.iter().zip(those).map(|(this, that)| this / that))
}
