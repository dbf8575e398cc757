//! Several queues and ledgers, in workerd: what is sent through any of them is in one output, exactly once.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;
use tempfile::TempDir;
use tributary_local::backend::Backend;
use tributary_tests::{
    collector::{Collector, Received},
    exposition::Exposition,
    installation::Installation,
    shards::{Plan, Shards},
    wait::eventually,
};

use crate::{
    consumer::{LIMIT, backend},
    otlp::add,
};

const ID: (&str, &str) = ("resolver_id", "cf-resolver");
const COUNT: &str = "confidence_resolve_latency_microseconds_count";
const SHARDS: u32 = 3;

/// An installation that goes on in one folder, and how many resolves its producers answered.
struct Site {
    folder: TempDir,
    backend: Backend,
    collector: Collector,
    resolves: u32,
}

impl Site {
    fn new() -> Self {
        let (folder, backend, collector) = (TempDir::new().unwrap(), backend(), Collector::start().unwrap());
        Self { folder, backend, collector, resolves: 0 }
    }

    fn start(&self, plan: Plan<'_>, vars: &[(&str, &str)]) -> Shards {
        let edge = format!("{}/v1/clientFlagLogs:write", self.backend.url());
        let ingest = format!("{}/v1/flagLogs:ingest", self.backend.url());
        let mut all = vec![
            ("CONFIDENCE_FLAG_LOGS_URL", edge.as_str()),
            ("CONFIDENCE_INGEST_URL", ingest.as_str()),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", self.collector.url()),
            ("OTEL_METRIC_EXPORT_INTERVAL", "1000"),
        ];
        all.extend_from_slice(vars);
        Shards::start(self.folder.path(), Plan { consumer: &all, ..plan }).unwrap()
    }

    /// So many resolves at each of these producers.
    fn resolve(&mut self, site: &Shards, producers: impl IntoIterator<Item = usize>, times: u32) {
        for producer in producers {
            for _ in 0..times {
                site.resolve(producer, &format!("user-{}", self.resolves)).unwrap();
                self.resolves += 1;
            }
        }
    }

    /// Waits until `/metrics` says that, and checks everything else that it says of records.
    fn expect(&self, site: &Shards) -> Exposition {
        let metrics = eventually(LIMIT * 2, "the exact count on /metrics", || {
            let metrics = site.metrics()?;
            let count = metrics.get(COUNT, &[ID]);
            if count == f64::from(self.resolves) { Ok(metrics) } else { Err(format!("{count} of {}", self.resolves)) }
        });
        check_records(&metrics);
        metrics
    }
}

/// The equation of the records holds, and none is missing or lost.
fn check_records(metrics: &Exposition) {
    let of = |name: &str| metrics.get(name, &[ID]);
    assert_eq!(of("tributary_records_sent_total"), of("tributary_records_applied_total"));
    assert_eq!((of("tributary_records_missing"), of("tributary_lost_records_total")), (0.0, 0.0));
    let applied = metrics.get("tributary_messages_total", &[("outcome", "applied"), ID]);
    assert_eq!(applied, of("tributary_records_applied_total"));
}

/// What the queues took of all producers, by binding.
fn sends(site: &Shards, producers: usize) -> BTreeMap<String, u64> {
    let mut all: BTreeMap<String, u64> = BTreeMap::new();
    for producer in 0..producers {
        for (binding, sends) in site.sends(producer).unwrap() {
            *all.entry(binding).or_default() += sends;
        }
    }
    all
}

fn ledgers(metrics: &Exposition) -> usize {
    metrics.series("tributary_ledger_taken_timestamp_seconds").count()
}

/// What only ever grows with the records: of the resolver and of the accounts.
fn totals(metrics: &Exposition) -> BTreeMap<String, f64> {
    let is_total = |series: &str| {
        (series.starts_with("confidence_resolve") && (series.contains("_total{") || series.contains("_bucket{")))
            || series.starts_with("tributary_records_sent_total{")
            || series.starts_with("tributary_records_applied_total{")
    };
    metrics.all().filter(|(series, _)| is_total(series)).map(|(series, value)| (series.to_owned(), value)).collect()
}

fn check_none_fell(before: &Exposition, after: &Exposition) {
    let after = totals(after);
    for (series, value) in totals(before) {
        assert!(after.get(&series).is_some_and(|now| *now >= value), "{series} fell from {value}");
    }
}

/// The sum of all deltas that were accepted. A window whose answer a power cut lost is sent again as it was, which a
/// collector can tell by its times.
fn pushed(received: &[Received]) -> f64 {
    let (mut samples, mut known) = (BTreeMap::new(), BTreeSet::new());
    for received in received.iter().filter(|received| received.is_accepted && known.insert(&received.body)) {
        add(&mut samples, &received.request().unwrap());
    }
    let count = samples.iter().find(|(series, _)| series.starts_with(COUNT));
    count.map(|(_, count)| *count).unwrap_or_default()
}

/// One queue becomes three on the same state, one of them fails, everything restarts, and in the end there is one again.
#[test]
fn an_installation_grows_to_three_queues_and_shrinks_again_and_counts_every_resolve_once() {
    let mut site = Site::new();
    let delta = [("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "delta")];
    let one = site.start(Plan::new(2, 1), &delta);
    site.resolve(&one, 0..2, 10);
    let small = site.expect(&one);
    assert_eq!(ledgers(&small), 0, "one ledger needs no other");
    drop(one);

    const PRODUCERS: usize = 8;
    let three = site.start(Plan::new(PRODUCERS, SHARDS), &delta);
    check_none_fell(&small, &three.metrics().unwrap());
    site.resolve(&three, 0..PRODUCERS, 5);
    let mut grown = site.expect(&three);
    // Streams are random: more of them until every queue has one.
    let mut three = three;
    for round in 0.. {
        if sends(&three, PRODUCERS).len() == SHARDS as usize && ledgers(&grown) == SHARDS as usize - 1 {
            break;
        }
        assert!(round < 10, "ten times eight streams, and none of some queue");
        drop(three);
        three = site.start(Plan::new(PRODUCERS, SHARDS), &delta);
        site.resolve(&three, 0..PRODUCERS, 2);
        grown = site.expect(&three);
    }
    check_none_fell(&small, &grown);

    // A queue that refuses: its streams go to the next, and nothing is late, lost or doubled.
    let before = sends(&three, PRODUCERS);
    for producer in 0..PRODUCERS {
        three.refuse(producer, &["DELTAS_1"]).unwrap();
    }
    site.resolve(&three, 0..PRODUCERS, 4);
    let failed_over = site.expect(&three);
    let after = sends(&three, PRODUCERS);
    assert_eq!(after["DELTAS_1"], before["DELTAS_1"], "it took nothing");
    assert!(after["DELTAS"] + after["DELTAS_2"] > before["DELTAS"] + before["DELTAS_2"]);
    // Every ledger goes on, whatever queue its records come by.
    check_none_fell(&grown, &failed_over);

    // A power cut: what was published is there at once, and the copies of the other ledgers with it.
    three.crash();
    let again = site.start(Plan::new(PRODUCERS, SHARDS), &[("METRICS_SOURCE", "ledger"), delta[0]]);
    let restarted = again.metrics().unwrap();
    assert_eq!(totals(&restarted), totals(&failed_over));
    assert_eq!(ledgers(&restarted), SHARDS as usize - 1);
    site.resolve(&again, 0..PRODUCERS, 3);
    let more = site.expect(&again);
    check_none_fell(&restarted, &more);
    drop(again);

    // Back to one queue: what the other ledgers counted stays.
    let one = site.start(Plan::new(2, 1), &delta);
    site.resolve(&one, 0..2, 2);
    check_none_fell(&more, &site.expect(&one));
    // What the collector adds up is what was resolved, through all of it.
    eventually(LIMIT * 2, "the sum of all deltas", || match pushed(&site.collector.received()) {
        sum if sum == f64::from(site.resolves) => Ok(()),
        sum => Err(format!("{sum} of {}", site.resolves)),
    });
}

/// `make run QUEUE_SHARDS=3`: the queues that it makes are those that the Workers use, whichever the isolate's is.
#[test]
fn a_local_installation_with_three_queues_counts_across_a_restart() {
    let shards = |options: &mut tributary_local::options::Options| {
        options.producer_vars.insert("QUEUE_SHARDS".into(), SHARDS.to_string());
    };
    let mut installation = Installation::start(shards).unwrap();
    let mut resolves = 0_u32;
    // Each start is a new isolate, with a stream of its own.
    for _ in 0..2 {
        for _ in 0..10 {
            let body = installation.resolve_body(&format!("user-{resolves}"), "se", true);
            assert_eq!(installation.send("POST", "/v1/flags:resolve", &[], &body).unwrap().status, 200);
            resolves += 1;
        }
        let metrics = eventually(LIMIT * 2, "the exact count", || {
            let metrics = installation.metrics()?;
            let count = metrics.get(COUNT, &[ID]);
            if count == f64::from(resolves) { Ok(metrics) } else { Err(format!("{count} of {resolves}")) }
        });
        check_records(&metrics);
        installation.running.stop_workers().unwrap();
        installation.running.start_workers().unwrap();
    }
}

/// A binding that is missing costs a log line, and a queue that nobody consumes yet delays what is in it and no more.
#[test]
fn a_missing_binding_is_no_loss_and_totals_are_pushed_as_they_are_served() {
    let mut site = Site::new();
    const PRODUCERS: usize = 6;
    let three = site.start(Plan { bound: 2, ..Plan::new(PRODUCERS, SHARDS) }, &[]);
    site.resolve(&three, 0..PRODUCERS, 5);
    let metrics = site.expect(&three);
    let used: BTreeSet<String> = sends(&three, PRODUCERS).into_keys().collect();
    assert!(used.is_subset(&["DELTAS", "DELTAS_1"].map(str::to_owned).into()), "{used:?}");
    // The equation holds over ledgers; the whole page is sound for both formats.
    assert!(metrics.get("tributary_ledger_series", &[]) > 0.0);
    let streams = metrics.get("tributary_ledger_streams", &[("kind", "producer")]);
    assert_eq!(streams, f64::from(u32::try_from(PRODUCERS).unwrap()), "one for each isolate, summed over the ledgers");
    eventually(LIMIT * 2, "the totals at the collector", || {
        let received = site.collector.received();
        let Some(last) = received.iter().rev().find(|request| request.is_accepted) else { return Err("none".into()) };
        let mut samples = BTreeMap::new();
        add(&mut samples, &last.request()?);
        let count = samples.iter().find(|(series, _)| series.starts_with(COUNT)).map(|(_, count)| *count);
        if count == Some(f64::from(site.resolves)) { Ok(()) } else { Err(format!("{count:?}")) }
    });
    eventually(LIMIT, "all of it at the backend", || match site.backend.stats().latency_count {
        count if count >= u64::from(site.resolves) => Ok(()),
        count => Err(format!("{count} of {}", site.resolves)),
    });
    // Dead letters are the first ledger's alone, and work as ever.
    let list = three.ask("GET", "/dead-letters").unwrap();
    assert_eq!((list.status, list.json()["count"].clone()), (200, json!(0)));
}
