//! `make bench`: the work of the pipeline, each beside the same work done with the `confidence_resolver` crate the way
//! its Cloudflare resolver does it, in one run and on the same resolves.
//!
//! | file | what it holds |
//! | --- | --- |
//! | `inputs` | the resolves, as queue messages of both systems |
//! | `producing` | from a resolve to the bytes of a message |
//! | `consuming` | from a batch of messages to state and the backend's body |
//! | `scraping` | from a state to the text of a scrape, also beside the two Prometheus clients |
//! | `totals` | the proof, before anything is measured, that both sides count the same |
//! | `table` | criterion, and the table at the end |
//! | `floor` | the least that any program would have to do for the consumer's messages |
//! | `instructions` | the same work counted by callgrind, with allocations |
//! | `compression` | what general compressors would do to the messages |
//!
//! With `UPDATE_DOCS=1` what was counted goes into `docs/performance/peer.tsv` and the page that shows it.
//!
//! Left out in the peer's favour: its consumer also reads its snapshot back from JSON and renders the text with every
//! batch; its state holds none of the pipeline's own series. Ours reports memory and the age of the resolver state,
//! which its Worker does not.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "as in a test: what fails here is a wrong input, and a panic is the report"
)]

#[path = "peer/compression.rs"]
mod compression;
#[path = "peer/consuming.rs"]
mod consuming;
#[path = "peer/floor.rs"]
mod floor;
#[path = "peer/inputs.rs"]
mod inputs;
#[path = "peer/instructions.rs"]
mod instructions;
#[path = "peer/producing.rs"]
mod producing;
#[path = "peer/scraping.rs"]
mod scraping;
#[path = "peer/table.rs"]
mod table;
#[path = "peer/totals.rs"]
mod totals;

use tributary_tests::{
    docs::{DocsError, is_update, renew_file, renew_tables},
    peer::{self, Cost, Row, Unit},
};

use crate::{inputs::Inputs, table::Table};

/// The argument after which nothing is timed, only counted.
const INSTRUCTIONS_ONLY: &str = "--instructions";

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(place) = arguments.iter().position(|argument| argument == instructions::CHILD) {
        return instructions::count(arguments[place + 1].as_ref());
    }
    let inputs = Inputs::build();
    totals::assert_both_sides_count_the_same(&inputs);
    if arguments.iter().any(|argument| argument == INSTRUCTIONS_ONLY) {
        return count(&inputs);
    }
    let mut table = Table::new(format!(
        "{:.1} flags per resolve, {:.1} of them assigned; batches of {} messages; native, one core",
        inputs.flags_per_resolve(),
        inputs.assignments_per_resolve(),
        inputs::BATCH,
    ));
    producing::run(&mut table, &inputs);
    consuming::run(&mut table, &inputs);
    scraping::run(&mut table);
    table.print();
    // Under `cargo test` nothing is measured.
    if arguments.iter().any(|argument| argument == "--bench") {
        count(&inputs);
    }
}

/// Everything that is counted and not timed.
fn count(inputs: &Inputs) {
    let counted = instructions::counted(inputs, false);
    let is_whole = counted.is_some();
    let mut rows = counted.unwrap_or_default();
    rows.extend(producing::sizes(inputs));
    rows.extend(consuming::sizes(inputs));
    // As they are kept: what is printed is what the page says.
    let rows = peer::from_tsv(&peer::to_tsv(&rows)).unwrap();
    println!("\nInstructions (callgrind), allocations and bytes of one run");
    for (name, table) in peer::tables(&rows) {
        println!("\n{name}\n\n{table}");
    }
    if let Some(counted) = instructions::counted(inputs, true) {
        println!("Compressing the messages, instructions\n\n{}", compression::table(inputs, &counted));
    }
    match (is_update(), is_whole) {
        (true, true) => renew(&rows).unwrap(),
        (true, false) => println!("{} stays as it is: not everything was counted", peer::TSV),
        (false, _) => {}
    }
}

fn renew(rows: &[Row]) -> Result<(), DocsError> {
    renew_file(peer::TSV, &peer::to_tsv(rows))?;
    renew_tables("docs/performance.md", &peer::tables(rows))?;
    println!("renewed: {} and docs/performance.md", peer::TSV);
    Ok(())
}

/// A row of sizes.
fn bytes_row(work: &str, peer: f64, ours: f64, target: Option<f64>) -> Row {
    let cost = |amount| Cost { amount, allocations: 0.0 };
    Row { unit: Unit::Bytes, work: work.to_owned(), peer: Some(cost(peer)), ours: cost(ours), target }
}
