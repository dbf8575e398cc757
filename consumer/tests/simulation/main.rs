//! The pipeline under faults, deterministically: the real code from messages to stored rows, driven by a scheduler that
//! one seed determines. At the end the metrics equal what an oracle says of what was sent.
//!
//! `cargo test` runs short forms. The long form:
//! `SEED=7 DELTAS=1000000 cargo test --release -p tributary-consumer --test simulation -- --ignored --nocapture`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "helpers of a test"
)]

mod chance;
#[allow(dead_code, reason = "tributary-tests looks at more of it")]
mod object;
mod points;
mod run;
mod services;
mod traffic;

use std::collections::BTreeMap;

use tributary_consumer::ledger::floor::StreamBounds;
use tributary_telemetry::{LabelSet, Snapshot, Value};

use crate::{
    run::{Plan, Run},
    services::number,
    traffic::{Totals, totals},
};

fn variable(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

/// The seed of a test: `SEED`, else its own.
fn plan(seed: u64, deltas: usize) -> Plan {
    Plan {
        seed: variable("SEED", seed),
        deltas,
        streams: 1_000,
        waiting: 4_000,
        duplicates: 200,
        forget: None,
        ledgers: 1,
    }
}

fn run(plan: Plan) -> Run {
    // Printed first: a run that fails can be run again.
    println!("SEED={} DELTAS={}", plan.seed, plan.deltas);
    let mut run = Run::new(plan);
    run.finish();
    run
}

/// What the metrics say of each producer.
fn shown(state: &Snapshot) -> BTreeMap<&str, Totals> {
    let mut all: BTreeMap<&str, Totals> = BTreeMap::new();
    for family in state.families() {
        for (labels, series) in family.series() {
            let Some(resolver_id) = labels.get("resolver_id") else { continue };
            match (family.descriptor().name(), series.value()) {
                ("confidence_resolves", Value::Counter(count)) if *count > 0 => {
                    let reason = labels.get("reason").unwrap();
                    let reason =
                        ["RESOLVE_REASON_MATCH", "RESOLVE_REASON_NO_SEGMENT_MATCH", "RESOLVE_REASON_FLAG_ARCHIVED"]
                            .into_iter()
                            .find(|known| *known == reason);
                    all.entry(resolver_id)
                        .or_default()
                        .resolves
                        .insert(reason.expect("a reason that was sent"), *count);
                }
                ("confidence_resolve_latency_microseconds", Value::Histogram(histogram)) if histogram.count() > 0 => {
                    let totals = all.entry(resolver_id).or_default();
                    let tributary_telemetry::Number::Unsigned(sum) = histogram.sum() else { panic!("a float sum") };
                    totals.latency_sum = sum;
                    let buckets = histogram.bucket_counts().iter().copied().enumerate();
                    totals.latency_buckets = buckets.filter(|(_, count)| *count > 0).collect();
                }
                ("shop_orders", Value::Counter(count)) => all.entry(resolver_id).or_default().orders = *count,
                ("shop_basket_items", Value::Histogram(histogram)) => {
                    let buckets = histogram.bucket_counts().iter().copied().enumerate();
                    all.entry(resolver_id).or_default().baskets = buckets.filter(|(_, count)| *count > 0).collect();
                }
                ("tributary_records_applied", Value::Counter(count)) if *count > 0 => {
                    all.entry(resolver_id).or_default().records = *count;
                }
                (name, value) if name.starts_with("till_") => {
                    all.entry(resolver_id).or_default().points.show(name, value);
                }
                _ => {}
            }
        }
    }
    all
}

/// Lost and doubled, by the pairs of every commit that was applied.
fn report(run: &Run) -> (usize, usize) {
    let lost = run.traffic.sent.iter().filter(|sent| run.ledger.applied(sent.stream_id, sent.sequence) == 0).count();
    let doubled = run.ledger.doubled();
    let counts = run.world.counts.borrow();
    let count = |what: &str| counts.get(what).copied().unwrap_or(0);
    println!(
        "seed {} | sent {} | messages {} | duplicated {} | resent {} | retried {} | batches {} | crashes {} | Ledger \
         restarts {} | commits refused {} | writes failed {} | answers lost {} | backend down {} | backend answers lost \
         {} | refused {} | redriven {} | poison {} | applied {} | lost {lost} | doubled {doubled}",
        run.plan.seed,
        run.traffic.sent.len(),
        count("messages"),
        count("duplicated"),
        count("resent"),
        count("retried"),
        count("batches"),
        count("crashes"),
        count("ledger restarts"),
        count("commits refused"),
        count("writes failed"),
        count("answers lost"),
        count("backend down"),
        count("backend answers lost"),
        count("refused"),
        count("redriven"),
        run.poison.len(),
        run.traffic.sent.len() - lost,
    );
    // A run without faults would prove nothing.
    for what in ["duplicated", "resent", "crashes", "ledger restarts", "writes failed", "answers lost", "redriven"] {
        assert!(count(what) > 0, "no {what}");
    }
    (lost, doubled)
}

fn check_backend(run: &Run) {
    let seen = run.backend.seen.borrow();
    let missed = (0..run.traffic.sent.len()).filter(|index| !seen.get(*index).copied().unwrap_or(false)).count();
    assert_eq!(missed, 0, "assignments that the backend never saw");
    let dead = run.dead.letters.borrow();
    assert!(run.poison.iter().all(|id| dead.contains(id)), "poison without a dead letter");
}

/// Nothing is lost, nothing counts twice: the metrics are those of all that was sent.
fn check_exact(run: &Run) {
    assert_eq!(report(run), (0, 0), "lost and doubled");
    check_backend(run);
    let state = run.ledger.published();
    assert_eq!(shown(&state), totals(run.traffic.sent.iter().map(|sent| (sent, 1))));
    for (resolver_id, totals) in totals(run.traffic.sent.iter().map(|sent| (sent, 1))) {
        assert_eq!(number(&state, "tributary_records_sent", resolver_id), totals.records);
        assert_eq!(number(&state, "tributary_records_missing", resolver_id), 0);
        assert_eq!(number(&state, "tributary_lost_records", resolver_id), 0);
        let labels = LabelSet::from_pairs([("outcome", "applied"), ("resolver_id", resolver_id)]).unwrap();
        let applied = state.get("tributary_messages", &labels).map(|series| series.value().clone());
        assert_eq!(applied, Some(Value::Counter(totals.records)));
    }
}

#[test]
fn every_delta_counts_once_whatever_crashes_repeats_and_overtakes() {
    for seed in [1, 2] {
        check_exact(&run(plan(seed, 3_000)));
    }
}

/// Three ledgers, each dying and failing by itself, whose copies come late, twice and out of order; half of the streams
/// began when there was one ledger.
#[test]
fn with_three_ledgers_every_delta_counts_once_and_the_output_is_that_of_one() {
    for seed in [5, 6] {
        let run = run(Plan { ledgers: 3, ..plan(seed, 3_000) });
        check_exact(&run);
        let counts = run.world.counts.borrow();
        for what in ["copies taken in", "copies that came late", "copies lost", "taking in failed"] {
            assert!(counts.get(what).copied().unwrap_or(0) > 0, "no {what}");
        }
        assert!(run.ledger.shares().iter().all(|applied| *applied > 200), "{:?}", run.ledger.shares());
    }
}

#[test]
fn with_three_ledgers_past_the_bound_on_streams_no_record_counts_twice() {
    let bounds = StreamBounds { producer: 60, legacy: 20, consumer: 8 };
    let run = run(Plan { streams: 400, forget: Some(bounds), ledgers: 3, ..plan(8, 4_000) });
    let (lost, doubled) = report(&run);
    assert_eq!(doubled, 0);
    assert!(lost > 0, "nothing was forgotten that was still needed: the test proves nothing");
    let applied = run.traffic.sent.iter().map(|sent| (sent, run.ledger.applied(sent.stream_id, sent.sequence)));
    assert_eq!(shown(&run.ledger.published()), totals(applied));
}

#[test]
fn a_seed_replays_its_run_exactly() {
    let one = run(plan(3, 1_000));
    let two = run(plan(3, 1_000));
    assert_eq!(one.ledger.published(), two.ledger.published());
    assert_eq!(*one.world.counts.borrow(), *two.world.counts.borrow());
}

#[test]
fn past_the_bound_on_streams_records_may_be_refused_and_none_counts_twice() {
    let bounds = StreamBounds { producer: 60, legacy: 20, consumer: 8 };
    let run = run(Plan { streams: 200, forget: Some(bounds), ..plan(4, 4_000) });
    let (lost, doubled) = report(&run);
    assert_eq!(doubled, 0);
    assert!(lost > 0, "nothing was forgotten that was still needed: the test proves nothing");
    assert!(run.ledger.streams() < 200, "rows stay near their bounds");
    check_backend(&run);
    let applied = run.traffic.sent.iter().map(|sent| (sent, run.ledger.applied(sent.stream_id, sent.sequence)));
    assert_eq!(shown(&run.ledger.published()), totals(applied));
}

#[test]
#[ignore = "a million deltas: some minutes in release"]
fn a_million_deltas_count_once_each() {
    let deltas = usize::try_from(variable("DELTAS", 1_000_000)).unwrap();
    check_exact(&run(plan(1, deltas)));
}
