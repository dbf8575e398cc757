//! `cargo bench -p tributary-tests --bench growth`: does a resolve cost the same, however many isolates and resolves there
//! were, and what does the worst that senders can do come to? The consumer's real code, native, from the bytes of messages
//! to the Ledger's rows and state.
//!
//! | file | what it holds |
//! | --- | --- |
//! | `points` | what is measured |
//! | `bed` | the pipeline and the Ledger, with maps for SQLite |
//! | `traffic` | messages, as in the simulation of scale |
//! | `meter` | time, allocations and what callgrind counts |
//! | `instructions` | the same points again under callgrind, as far as that takes minutes |
//!
//! Every point is timed twice, all points in turn, by the clock of the thread, and the least counts. Prints a table and writes
//! `.run/growth.csv`; with `UPDATE_DOCS=1` also what `docs/performance.md` shows of it, table and plots.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "as in a test: what fails here is a wrong input, and a panic is the report"
)]

#[path = "growth/bed.rs"]
mod bed;
#[path = "growth/instructions.rs"]
mod instructions;
#[path = "growth/meter.rs"]
mod meter;
#[path = "../../consumer/tests/simulation/object.rs"]
#[allow(dead_code, clippy::panic, reason = "the simulations use the rest")]
mod object;
#[path = "growth/points.rs"]
mod points;
#[path = "../tests/scale/traffic.rs"]
#[allow(dead_code, reason = "the simulation of scale uses the rest")]
mod traffic;

use std::fs;

use tributary_tests::{
    docs::{DocsError, is_update, renew_file, renew_tables},
    growth::{self, Point},
    installation::repository,
};

use crate::points::Extent;

/// How often each point is timed.
const ROUNDS: usize = 2;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.iter().any(|argument| argument == instructions::CHILD) {
        return instructions::count();
    }
    // Under `cargo test` nothing is measured.
    if !arguments.iter().any(|argument| argument == "--bench") {
        return points::run(Extent::Tried, &mut |point| assert!(point.messages > 0, "{point:?}"));
    }
    let mut points: Vec<Point> = Vec::new();
    for round in 0..ROUNDS {
        let mut place = 0;
        points::run(Extent::Full, &mut |point| {
            eprintln!("round {}: {} at {}", round + 1, point.scenario, point.x);
            if round == 0 {
                points.push(point);
            } else {
                points[place].nanos = points[place].nanos.min(point.nanos);
                points[place].ledger_nanos = points[place].ledger_nanos.min(point.ledger_nanos);
            }
            place += 1;
        });
    }
    let is_whole = instructions::add(&mut points);
    println!("{}", growth::table(&points));
    let csv = growth::to_csv(&points);
    let folder = repository().join(".run");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("growth.csv"), &csv).unwrap();
    println!("written: {}", folder.join("growth.csv").display());
    match (is_update(), is_whole) {
        (true, true) => renew(&points, &csv).unwrap(),
        (true, false) => println!("{} stays as it is: not everything was counted", growth::CSV),
        (false, _) => {}
    }
}

fn renew(points: &[Point], csv: &str) -> Result<(), DocsError> {
    renew_file(growth::CSV, csv)?;
    for (name, svg) in growth::plots(points) {
        renew_file(&format!("docs/performance/{name}.svg"), &svg)?;
    }
    renew_tables("docs/performance.md", &[("growth", growth::table(points))])?;
    println!("renewed: {}, the plots beside it and docs/performance.md", growth::CSV);
    Ok(())
}
