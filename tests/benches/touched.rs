//! `cargo bench -p tributary-tests --bench touched`: what a commit costs the Ledger by the series that it touches, in states
//! of up to 100,000; and what the folds of its journal come to, and reading all of it. The Ledger's real code, native, with
//! maps for SQLite; by the clock of the thread, the least of some rounds.
//!
//! Prints a table; with `UPDATE_DOCS=1` writes what `docs/performance.md` shows of it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a bench fails by panicking"
)]

#[path = "growth/meter.rs"]
#[allow(dead_code, reason = "the bench of growth uses the rest")]
mod meter;

use std::collections::BTreeMap;

use tributary_consumer::ledger::{
    book::Book,
    commit::{Commit, Decision, Record, StreamKind, decide, encode_request},
    journal::Write,
    parts::{StoredBook, StoredPart},
    shards::{self, MAIN},
};
use tributary_proto::envelope::StreamId;
use tributary_telemetry::{Delta, FamilyDescriptor, LabelSet, MetricKind};
use tributary_tests::{
    docs::{is_update, renew_file, renew_tables},
    touched::{self, Point},
};

use crate::meter::{counted, now, take};

const NOW: u64 = 1_800_000_000_000;
const FAMILIES: u64 = 10;
/// Commits of a point that are measured, and folded together.
const COMMITS: u64 = 32;

/// A counter with four labels, as one of a shop that counts by route, method, status and tenant.
fn add(delta: &mut Delta, series: u64) {
    let name = format!("shop_requests_{}", series % FAMILIES);
    let help = "Requests that the shop answered.";
    let family = FamilyDescriptor::new(name, help, "", MetricKind::Counter).unwrap();
    let of = series / FAMILIES;
    let labels = [
        ("method", ["GET", "POST", "PUT", "DELETE"][usize::try_from(of % 4).unwrap()].to_owned()),
        ("route", format!("/api/v1/some/route/{}", of / 4 % 50)),
        ("status", format!("{}", 200 + of / 200 % 5)),
        ("tenant", format!("tenant-{:06}", of / 1_000)),
    ];
    delta.add_counter(&family, LabelSet::from_pairs(labels).unwrap(), series + 1).unwrap();
}

/// The rows of the state, as SQLite would hold them.
#[derive(Default)]
struct Tables {
    parts: BTreeMap<u64, StoredPart>,
    stored: Option<StoredBook>,
}

impl Tables {
    /// Rows and bytes that a fold writes of the state.
    fn fold(&mut self, write: Write) -> (u64, u64) {
        let Write::Fold { parts, head, .. } = write else { panic!("an entry") };
        let bytes = parts.iter().map(|part| part.bytes.len()).sum::<usize>() + head.bytes.len();
        let rows = parts.len() + 1;
        self.parts.extend(parts.into_iter().map(|part| (part.id, part)));
        self.stored = Some(StoredBook { head, parts: self.parts.values().cloned().collect() });
        (u64::try_from(rows).unwrap(), u64::try_from(bytes).unwrap())
    }
}

fn filled(held: u64) -> (Book, Tables) {
    let (mut book, mut tables) = (Book::new("shop", NOW).unwrap(), Tables::default());
    book.state.set_capacity(shards::capacity(MAIN, false));
    let all: Vec<u64> = (0..held).collect();
    for some in all.chunks(5_000) {
        let mut delta = Delta::new();
        some.iter().for_each(|series| add(&mut delta, *series));
        let applied = book.state.apply_custom(&delta, NOW);
        assert_eq!((applied.series_refused, applied.series_overflowed), (0, 0));
    }
    // Folds by itself where so many are no entry.
    if let write @ Write::Fold { .. } = book.write(&BTreeMap::new()) {
        tables.fold(write);
    }
    if let Some(fold) = book.fold() {
        tables.fold(fold);
    }
    (book, tables)
}

/// The series of a commit: spread over all, others each time.
fn commit(held: u64, touched: u64, round: u64) -> Vec<u8> {
    let mut delta = Delta::new();
    // A step that has no factor in common with the number of series meets each once.
    (0..touched).for_each(|at| add(&mut delta, (at + round * touched) * 7_919 % held));
    let stream_id = StreamId([7; 16]);
    let record = Record {
        stream_id,
        sequence: round + 1,
        window_end_ms: NOW,
        kind: StreamKind::Producer,
        resolver_id: "shop".into(),
    };
    encode_request(&[record], &delta, &[])
}

fn measure(held: u64, touched: u64, (book, tables): &mut (Book, Tables)) -> Point {
    let (mut nanos, mut entry_bytes, mut rows) = (u64::MAX, 0, BTreeMap::new());
    let begin = book.state.version() * COMMITS;
    take();
    let mut allocations = 0;
    for round in 0..COMMITS {
        let request = commit(held, touched, begin + round);
        let (write, changed) = counted(|| {
            let commit = Commit::decode(&request).unwrap();
            let Decision::Apply { rows: changed, .. } = decide(&commit, &rows, book, NOW).unwrap() else {
                panic!("in conflict")
            };
            (book.write(&changed), changed)
        });
        rows.extend(changed);
        let meter = take();
        nanos = nanos.min(u64::try_from(meter.time.as_nanos()).unwrap());
        allocations = meter.allocations;
        match write {
            Write::Entry { entry, .. } => entry_bytes = u64::try_from(entry.rows.len() + entry.change.len()).unwrap(),
            fold @ Write::Fold { .. } => drop(tables.fold(fold)),
        }
    }
    let started = now();
    let fold = book.fold();
    let fold_nanos = u64::try_from(now().saturating_sub(started).as_nanos()).unwrap();
    let (fold_rows, fold_bytes) = fold.map_or((0, 0), |fold| tables.fold(fold));
    let stored = tables.stored.as_ref().unwrap();
    let started = now();
    let opened = stored.open().unwrap();
    let load_nanos = u64::try_from(now().saturating_sub(started).as_nanos()).unwrap();
    assert!(opened.state == book.state, "what is stored is what is counted");
    Point {
        held,
        touched,
        nanos,
        allocations,
        entry_bytes,
        fold_nanos,
        fold_rows,
        fold_bytes,
        parts: u64::try_from(stored.parts.len()).unwrap(),
        state_bytes: u64::try_from(stored.size()).unwrap(),
        load_nanos,
    }
}

fn main() {
    let is_bench = std::env::args().any(|argument| argument == "--bench");
    // Under `cargo test` nothing is measured.
    let sizes: &[u64] = if is_bench { &[1_000, 10_000, 100_000] } else { &[1_000] };
    let mut points = Vec::new();
    for held in sizes {
        let mut filled = filled(*held);
        for touched in [1, 10, 100, 1_000] {
            points.push(measure(*held, touched, &mut filled));
        }
    }
    if !is_bench {
        return;
    }
    println!("{}", touched::table(&points));
    if is_update() {
        let json = serde_json::to_string_pretty(&points).unwrap();
        renew_file(touched::FILE, &(json + "\n")).unwrap();
        renew_tables("docs/performance.md", &[("touched", touched::table(&points))]).unwrap();
    }
}
