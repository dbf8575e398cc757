//! What custom metrics cost, by the number of series that a message touches: recording, sealing into bytes, reading and
//! merging a batch of a hundred such messages, applying it and sealing the state. And what it costs to merge exponential
//! histograms, beside the least that it can: adding up 160 counts. Medians of rounds, on this machine.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a bench fails by panicking")]

use std::{
    collections::BTreeMap,
    hint::black_box,
    time::{Duration, Instant},
};

use tributary_consumer::{
    custom::gather,
    dimensions::Dimensions,
    ledger::{
        book::Book,
        commit::{Commit, Decision, decide, encode_request},
    },
    message::{Decoded, MessageBody, QueueMessage, decode},
    self_metrics,
};
use tributary_emitter::{
    flusher::{Flusher, Identity},
    registry::{Description, Place, Registry},
};
use tributary_proto::envelope::StreamId;
use tributary_telemetry::{ExponentialBuckets, ExponentialHistogram, ExponentialParts, MetricKind};

const NOW: u64 = 1_800_000_000_000;
const MESSAGES: u64 = 100;
const ROUNDS: usize = 21;
const BOUNDS: &[f64] = &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Of ten series one is a histogram of 12 buckets and one a gauge, the others are counters; each with a label.
fn description(index: usize) -> Description<'static> {
    let (name, kind, bounds): (_, _, &'static [f64]) = match index % 10 {
        0 => ("shop_checkout_seconds", MetricKind::Histogram, BOUNDS),
        1 => ("shop_stock", MetricKind::Gauge, &[]),
        _ => ("shop_orders", MetricKind::Counter, &[]),
    };
    Description { name, help: "A help text of some length.", unit: "", kind, labels: &["route"], bounds }
}

struct Sender {
    registry: Registry,
    places: Vec<Place>,
    flusher: Flusher,
}

impl Sender {
    fn new(stream: u64, series: usize) -> Self {
        let mut registry = Registry::new();
        let places =
            (0..series).map(|index| registry.place(&description(index), &[&format!("/some/route/{index}")])).collect();
        let stream_id = StreamId(u128::from(stream).to_be_bytes());
        let identity = Identity { stream_id, ledgers: 1, name: "shop".into(), dimensions: BTreeMap::new() };
        let mut sender = Self { registry, places, flusher: Flusher::new(identity) };
        // The first message says of every series that it exists.
        sender.message(NOW);
        sender
    }

    fn record(&mut self, now_ms: u64) {
        for (index, place) in self.places.iter().enumerate() {
            match index % 10 {
                0 => self.registry.observe(*place, 0.07),
                1 => self.registry.set(*place, 7.0, now_ms),
                _ => self.registry.add(*place, 1),
            }
        }
    }

    fn seal(&mut self, now_ms: u64) -> Vec<u8> {
        self.flusher.add_metrics(self.registry.drain());
        self.flusher.seal(now_ms, false, Vec::new, None);
        let attempt = self.flusher.take(now_ms);
        let [(sequence, bytes)] = attempt.messages.as_slice() else { panic!("{} messages", attempt.messages.len()) };
        self.flusher.confirm(&[*sequence]);
        bytes.to_vec()
    }

    fn message(&mut self, now_ms: u64) -> Vec<u8> {
        self.record(now_ms);
        self.seal(now_ms)
    }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

fn row(series: usize) {
    let mut senders: Vec<Sender> = (0..MESSAGES).map(|stream| Sender::new(stream, series)).collect();
    let mut book = Book::new("eu", NOW).unwrap();
    let mut rows = BTreeMap::new();
    let (mut recorded, mut sealed, mut merged, mut applied) = (vec![], vec![], vec![], vec![]);
    let mut bytes = 0;
    for round in 0..ROUNDS {
        let now_ms = NOW + 1_000 * u64::try_from(round).unwrap();
        let mut messages = Vec::new();
        for sender in &mut senders {
            let started = Instant::now();
            sender.record(now_ms);
            recorded.push(started.elapsed());
            let started = Instant::now();
            let body = sender.seal(now_ms);
            sealed.push(started.elapsed());
            bytes = body.len();
            let body = MessageBody::Bytes(body);
            messages.push(QueueMessage { id: "id".into(), sent_ms: now_ms, attempts: 1, body });
        }
        let started = Instant::now();
        let decoded: Vec<Decoded> = messages.iter().map(|message| decode(message, "r").unwrap()).collect();
        let fresh: Vec<&Decoded> = decoded.iter().collect();
        let mut delta = self_metrics::delta_of(&fresh, Dimensions::default(), now_ms).unwrap();
        gather(&fresh).iter().for_each(|custom| delta.merge(custom).unwrap());
        let commit_bytes = encode_request(decoded.iter().map(|decoded| &decoded.record), &delta, &[]);
        merged.push(started.elapsed());
        let started = Instant::now();
        let commit = Commit::decode(&commit_bytes).unwrap();
        let known = commit.streams().into_iter().filter_map(|id| rows.get(&id).cloned().map(|row| (id, row))).collect();
        let Decision::Apply { rows: changed, .. } = decide(&commit, &known, &mut book, now_ms).unwrap() else {
            panic!("in conflict")
        };
        black_box(book.write(&changed));
        rows.extend(changed);
        applied.push(started.elapsed());
    }
    let per_message = |time: Duration| micros(time) / f64::from(u32::try_from(MESSAGES).unwrap());
    println!(
        "{series:>6} | {:>9.3} | {:>8.1} | {bytes:>7} | {:>9.1} | {:>13.0}",
        micros(median(recorded)) / f64::from(u32::try_from(series).unwrap()),
        micros(median(sealed)),
        per_message(median(merged)),
        micros(median(applied)),
    );
}

/// An exponential histogram of 160 buckets, two counts in each.
fn exponential(scale: i32, offset: i32, zero_threshold: f64) -> ExponentialHistogram {
    let positive = ExponentialBuckets { offset, counts: vec![2; 160] };
    let (negative, zero_count, sum) = (ExponentialBuckets::default(), 3, Some(1.5));
    let parts = ExponentialParts { scale, zero_threshold, zero_count, positive, negative, sum };
    ExponentialHistogram::new(parts).unwrap()
}

fn merge_row(what: &str, mut merge: impl FnMut()) {
    const MERGES: u32 = 10_000;
    let times = (0..ROUNDS).map(|_| {
        let started = Instant::now();
        (0..MERGES).for_each(|_| merge());
        started.elapsed()
    });
    let each = median(times.collect()) / MERGES;
    println!("{what:<52} | {:>8.0} | {:>12.0}", each.as_secs_f64() * 1e9, 1.0 / each.as_secs_f64());
}

fn exponential_histograms() {
    println!("\nexponential histograms of 160 buckets                | ns       | a second");
    let (mut sums, counts) = (vec![1_u64; 160], vec![2_u64; 160]);
    merge_row("floor: 160 counts added in place", || {
        black_box(&mut sums)
            .iter_mut()
            .zip(black_box(&counts))
            .for_each(|(sum, count)| *sum = sum.wrapping_add(*count));
    });
    merge_row("floor: the same into a copy", || {
        let added = black_box(&sums).iter().zip(black_box(&counts)).map(|(sum, count)| sum.wrapping_add(*count));
        black_box(added.collect::<Vec<u64>>());
    });
    let state = exponential(3, 0, 0.0);
    let others = [
        ("merged, of one scale and range", exponential(3, 0, 0.0)),
        ("merged, ranges that overlap: one scale down", exponential(3, 80, 0.0)),
        ("merged, of a scale that is two finer", exponential(5, 100, 0.0)),
        ("merged, a zero bucket that swallows forty buckets", exponential(3, 0, 32.0)),
    ];
    for (what, other) in others {
        merge_row(what, || drop(black_box(black_box(&state).merged(black_box(&other)).unwrap())));
    }
    merge_row("built from parts, zero threshold 0.001", || drop(black_box(exponential(3, 0, 0.001))));
}

fn main() {
    println!("custom metrics, µs; a batch is {MESSAGES} messages of as many isolates, which touch the same series");
    println!("series | a record  | a seal   | bytes   | a message | a batch       ");
    println!("       | by handle | and encode | sent  | decoded, merged | applied, sealed");
    for series in [1, 10, 100, 500] {
        row(series);
    }
    exponential_histograms();
}
