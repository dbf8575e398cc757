//! What a load needs of the platform, and what becomes of it there: a discrete-event simulation over the real pipeline and
//! Ledger, and the sums around it. `docs/scale.md` is what it prints.
//!
//! | file | what it holds |
//! | --- | --- |
//! | `platform` | Cloudflare's limits, and every assumption |
//! | `traffic`, `producer` | messages, and the isolates that send them |
//! | `queue` | a queue with its limits, redelivery and autoscaling |
//! | `ports` | the pipeline's calls, which the simulation answers |
//! | `server` | a Ledger on one thread |
//! | `object` | its rows and memory: the same file as in the consumer's own simulation |
//! | `run` | the events: isolates and queues, the consumer, and Ledgers with what they tell and publish |
//! | `outcome` | what is looked at afterwards, and the oracle |
//! | `plans` | what is simulated |
//! | `needs` | sums: queues, Ledgers and dollars of a load |
//! | `page` | tables and plots of `docs/scale.md` |
//!
//! Everything that decides (decode, merge, commit, journal, seal, what ledgers tell, text) is the real code; how long it
//! takes is a number of `platform`, so that a seed gives one run.
//!
//! `cargo test` runs small forms. `make scale` runs what the page shows and renews it; `RUN=<part of a name>` runs and
//! prints one of them alone.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a simulation, like a test, fails by panicking"
)]

mod chance;
mod needs;
#[path = "../../../consumer/tests/simulation/object.rs"]
#[allow(dead_code, reason = "the consumer's own simulation uses the rest")]
mod object;
mod outcome;
mod page;
mod plans;
mod platform;
mod ports;
mod producer;
mod queue;
mod run;
mod server;
mod traffic;

use std::{fs, thread, time::Instant};

use tributary_tests::{
    cost::{ROWS_PER_COMMIT, ROWS_PER_FOLD, commits_per_batch},
    docs::{hold_file, hold_tables, renew_tables},
    growth::as_f64,
    installation::repository,
};

use crate::{
    plans::{Faults, Plan},
    run::Simulation,
};

/// When a simulation begins, in milliseconds since the epoch.
const START_MS: u64 = 1_800_000_000_000;

/// Whatever is out, what is published never goes down, nothing is lost, nothing counts twice, and what grows is bounded:
/// the rest of it is held by the run itself, in `outcome`.
#[test]
fn small_runs_lose_nothing_and_double_nothing() {
    for plan in plans::small() {
        let outcome = Simulation::new(plan.clone()).finish();
        println!("{}", outcome.line());
        assert_eq!((outcome.lost, outcome.doubled), (0, 0), "{}", plan.name);
        assert!(outcome.resolves > 20_000 && outcome.publications > 5, "{}", plan.name);
        // A run without faults would prove nothing.
        let faults = [outcome.duplicates, outcome.crashes, outcome.retries, outcome.restarts];
        assert!(faults.iter().all(|count| *count > 0), "{}: {faults:?}", plan.name);
        assert!(plan.shards == 1 || outcome.untold > 0, "{}: every copy arrived", plan.name);
    }
}

#[test]
fn a_seed_gives_one_run() {
    let plan = plans::small().swap_remove(1);
    let run = |plan| Simulation::new(plan).finish().line();
    assert_eq!(run(plan.clone()), run(plan));
}

/// The model of costs says how many commits and rows a batch takes: this is what the pipeline makes of it.
#[test]
fn the_model_of_costs_counts_the_commits_and_rows_of_the_pipeline() {
    let faults = Faults { duplicates: 0, crashes: 0, lost_answers: 0, restarts: 0 };
    let outcome = Simulation::new(Plan { faults, ..plans::small().swap_remove(0) }).finish();
    let per_batch = as_f64(outcome.commits) / as_f64(outcome.batches);
    let messages = as_f64(outcome.messages) / as_f64(outcome.batches);
    assert!((per_batch - commits_per_batch(messages)).abs() < 0.05, "{per_batch} of {messages} messages");
    // A new state is folded once.
    let per_commit = (as_f64(outcome.rows_written) - ROWS_PER_FOLD) / as_f64(outcome.commits);
    assert!((per_commit - ROWS_PER_COMMIT).abs() < 0.05, "{per_commit}");
}

/// The page shows the files, and the first of its runs, run again, gives the line that is in them.
#[test]
fn the_page_on_scale_says_what_the_model_and_the_runs_say() {
    let read = |path: &str| fs::read_to_string(repository().join(path)).unwrap();
    let runs = read(page::RUNS);
    hold_tables("docs/scale.md", &page::tables(&runs)).unwrap();
    for (name, svg) in page::plots(&read(page::LOOKS)) {
        hold_file(&format!("docs/scale/{name}.svg"), &svg).unwrap();
    }
    assert_eq!(runs.lines().count() - 1, plans::days().len() + plans::outages().len(), "a line of each run");
    assert!(runs.lines().skip(1).all(|line| line.ends_with(",0,0")), "lost 0, doubled 0");
    let first = page::run_line(&Simulation::new(plans::days().swap_remove(0)).finish());
    assert!(runs.contains(&first), "`make scale` says something else now:\n{first}");
}

#[test]
#[ignore = "make scale: some minutes in an optimised build"]
fn renew_the_page() {
    let wanted = std::env::var("RUN").ok().filter(|wanted| !wanted.is_empty());
    let is_wanted = |plan: &Plan| wanted.as_ref().is_none_or(|wanted| plan.name.contains(wanted));
    let run = |plan: Plan| {
        thread::spawn(move || {
            let started = Instant::now();
            let outcome = Simulation::new(plan).finish();
            println!("{} [{:.1} s]", outcome.line(), started.elapsed().as_secs_f64());
            outcome
        })
    };
    let plans = plans::days().into_iter().chain(plans::outages()).filter(is_wanted);
    let runs: Vec<_> = plans.map(run).collect();
    let outcomes: Vec<_> = runs.into_iter().map(|run| run.join().unwrap()).collect();
    if wanted.is_some() {
        return;
    }
    let (runs, looks) = (page::runs_csv(&outcomes), page::looks_csv(&outcomes));
    fs::write(repository().join(page::RUNS), &runs).unwrap();
    fs::write(repository().join(page::LOOKS), &looks).unwrap();
    for (name, svg) in page::plots(&looks) {
        fs::write(repository().join(format!("docs/scale/{name}.svg")), svg).unwrap();
    }
    renew_tables("docs/scale.md", &page::tables(&runs)).unwrap();
}
