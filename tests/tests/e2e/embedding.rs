//! A Worker that is not ours on the same queue: what it counts is on `/metrics`, exactly, and costs nobody else anything.

use std::{collections::BTreeMap, fs, process::Command, thread};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use tempfile::TempDir;
use tributary_local::backend::Backend;
use tributary_proto::{
    Message as _,
    envelope::{Envelope, MAX_ENVELOPE_BYTES, StreamId},
    v1,
};
use tributary_telemetry::{
    Delta, FamilyDescriptor, Gauge, LabelSet, MetricKind, Value, custom,
    limits::{MAX_MESSAGE_SERIES, parts::MAX_SERIES_PER_FAMILY},
};
use tributary_tests::{
    collector::{Answer, Collector},
    embedding::Embedding,
    exposition::Exposition,
    installation::repository,
    wait::eventually,
};

use crate::{
    consumer::{LIMIT, backend, now_ms},
    otlp::{Samples, add, difference, exposed},
    parsers::{check_openmetrics, check_text},
};

const COUNTRIES: [&str; 3] = ["DK", "NO", "SE"];

/// Name, labels and value.
type Sample = (&'static str, Vec<(&'static str, &'static str)>, f64);

/// What the example must have counted: an oracle that knows only of orders.
#[derive(Default)]
pub(crate) struct Orders {
    sent: Vec<(&'static str, u32)>,
}

impl Orders {
    /// Places orders from several clients at a time, so that requests share windows.
    pub(crate) fn place(&mut self, shop: &Embedding, count: u32) {
        let orders: Vec<_> = (0..count).map(|n| (COUNTRIES[n as usize % 3], n * 7 % 13)).collect();
        thread::scope(|scope| {
            for part in orders.chunks(orders.len().div_ceil(4)) {
                scope.spawn(move || part.iter().for_each(|(country, items)| shop.order(country, *items).unwrap()));
            }
        });
        self.sent.extend(orders);
    }

    /// The last order of all, by itself: the reading that counts.
    fn place_last(&mut self, shop: &Embedding, items: u32) {
        shop.order("SE", items).unwrap();
        self.sent.push(("SE", items));
    }

    fn samples(&self) -> Vec<Sample> {
        let count = |is: &dyn Fn(&str, u32) -> bool| -> f64 {
            u32::try_from(self.sent.iter().filter(|(country, items)| is(country, *items)).count()).unwrap().into()
        };
        let mut samples = Vec::new();
        for country in COUNTRIES {
            samples.push(("shop_orders_total", vec![("country", country)], count(&|of, _| of == country)));
        }
        for (le, bound) in [("1.0", 1), ("2.0", 2), ("5.0", 5), ("10.0", 10), ("+Inf", u32::MAX)] {
            samples.push(("shop_order_items_bucket", vec![("le", le)], count(&|_, items| items <= bound)));
        }
        samples.push(("shop_order_items_count", vec![], count(&|_, _| true)));
        let sum: u32 = self.sent.iter().map(|(_, items)| items).sum();
        samples.push(("shop_order_items_sum", vec![], sum.into()));
        samples
    }

    /// What of it `/metrics` does not say.
    fn missing(&self, metrics: &Exposition) -> Result<(), String> {
        let differing: Vec<String> = self
            .samples()
            .into_iter()
            .filter(|(name, labels, value)| metrics.find(name, labels) != Some(*value))
            .map(|(name, labels, value)| {
                format!("{name} {labels:?}: {:?} instead of {value}", metrics.find(name, &labels))
            })
            .collect();
        if differing.is_empty() { Ok(()) } else { Err(differing.join(", ")) }
    }

    pub(crate) fn expect(&self, shop: &Embedding) -> Exposition {
        eventually(LIMIT * 2, "the shop's orders", || {
            let metrics = shop.metrics()?;
            self.missing(&metrics).map(|()| metrics)
        })
    }
}

pub(crate) fn start(folder: &TempDir, backend: &Backend, vars: &[(&str, &str)]) -> Embedding {
    let edge = format!("{}/v1/clientFlagLogs:write", backend.url());
    let ingest = format!("{}/v1/flagLogs:ingest", backend.url());
    let mut all = vec![
        ("CONFIDENCE_FLAG_LOGS_URL", edge.as_str()),
        ("CONFIDENCE_INGEST_URL", ingest.as_str()),
        ("METRICS_SOURCE", "ledger"),
        ("FLUSH_INTERVAL_MS", "100"),
    ];
    all.extend_from_slice(vars);
    Embedding::start(folder.path(), &all).unwrap()
}

#[expect(clippy::cast_precision_loss, reason = "a handful of flags")]
pub(crate) fn resolve(shop: &Embedding, users: std::ops::Range<u32>) -> f64 {
    users.map(|n| shop.resolve(&format!("user-{n}")).unwrap()).sum::<usize>() as f64
}

pub(crate) fn expect_resolves(shop: &Embedding, flags: f64) {
    eventually(LIMIT * 2, "the flags that were resolved", || match shop.metrics()?.sum("confidence_resolves_total") {
        sum if sum == flags => Ok(()),
        sum => Err(format!("{sum} instead of {flags}")),
    });
}

/// Every record is in the account of its sender, and none is missing.
pub(crate) fn expect_account(metrics: &Exposition, name: &str) -> f64 {
    let of = |family: &str| metrics.get(family, &[("resolver_id", name)]);
    let sent = of("tributary_records_sent_total");
    assert_eq!((of("tributary_records_applied_total"), of("tributary_records_missing")), (sent, 0.0), "{name}");
    assert!(sent > 0.0, "{name} sent nothing");
    sent
}

#[test]
fn what_a_worker_counts_is_exact_beside_the_flags_through_a_restart_and_at_the_collector() {
    let (folder, backend, collector) = (TempDir::new().unwrap(), backend(), Collector::start().unwrap());
    let push = [("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url()), ("OTEL_METRIC_EXPORT_INTERVAL", "1000")];
    let mut orders = Orders::default();
    let shop = start(&folder, &backend, &push);
    orders.place(&shop, 120);
    let mut flags = resolve(&shop, 0..20);
    orders.place_last(&shop, 4);
    let metrics = orders.expect(&shop);
    expect_resolves(&shop, flags);
    assert_eq!(metrics.find("shop_last_order_items", &[]), Some(4.0));
    // Requests shared messages: that is what the emitter is for.
    let records = expect_account(&metrics, "shop");
    assert!(records <= 60.0, "{records} messages for 121 orders");
    // No series of flags for a Worker that resolves none.
    assert_eq!(
        metrics.find("confidence_resolves_total", &[("reason", "RESOLVE_REASON_MATCH"), ("resolver_id", "shop")]),
        None
    );

    // What waits in the local queue dies with the runtime; all of it has arrived.
    shop.kill();
    let shop = start(&folder, &backend, &push);
    orders.place(&shop, 60);
    flags += resolve(&shop, 20..30);
    orders.place_last(&shop, 9);
    let metrics = orders.expect(&shop);
    expect_resolves(&shop, flags);
    assert_eq!(metrics.find("shop_last_order_items", &[]), Some(9.0));
    expect_account(&metrics, "shop");
    expect_account(&metrics, "cf-resolver");

    // The collector has it, too, with every other series of the same state.
    eventually(LIMIT * 2, "the collector's numbers on /metrics", || {
        let exposed = exposed(&shop.metrics()?);
        let mut samples = Samples::new();
        add(&mut samples, &collector.received().last().ok_or("nothing yet")?.request()?);
        let differing = difference(&samples, &exposed);
        let ours = samples.keys().filter(|series| series.starts_with("shop_")).count();
        if differing.is_empty() && ours == 11 { Ok(()) } else { Err(format!("{ours} of ours, {differing:#?}")) }
    });
    check_text(&shop.get("/metrics", "text/plain;version=0.0.4").unwrap().body, 200);
    check_openmetrics(&shop.get("/metrics", "application/openmetrics-text;version=1.0.0").unwrap().body, 200);
}

fn family(name: &str, kind: MetricKind) -> FamilyDescriptor {
    FamilyDescriptor::new(name.to_owned(), "Forged.", "", kind).unwrap()
}

fn counter(name: &str, labels: &[(&str, &str)], count: u64) -> Delta {
    let mut delta = Delta::new();
    let labels = LabelSet::from_pairs(labels.iter().copied()).unwrap();
    delta.add_counter(&family(name, MetricKind::Counter), labels, count).unwrap();
    delta
}

/// A message as a Worker might send it that does not use our crate.
fn message(stream: u8, sequence: u64, metrics: v1::MetricSet) -> Vec<u8> {
    let now = now_ms();
    let envelope = Envelope {
        stream_id: StreamId([stream; 16]),
        ledgers: 1,
        sequence,
        window_start_ms: now - 1_000,
        window_end_ms: now,
        resolver_id: "hostile".into(),
        dimensions: Default::default(),
        flag_logs: Vec::new(),
        metrics: metrics.encode_to_vec(),
        resource_metrics: Vec::new(),
        dropped: vec![],
    };
    envelope.encode().unwrap()
}

#[test]
fn a_hostile_worker_spoils_nothing_of_others_and_all_that_is_refused_is_counted() {
    let (folder, backend) = (TempDir::new().unwrap(), backend());
    let shop = start(&folder, &backend, &[]);
    let mut orders = Orders::default();
    orders.place(&shop, 30);
    let mut flags = resolve(&shop, 0..5);
    orders.expect(&shop);
    expect_resolves(&shop, flags);

    let mut messages = Vec::new();
    // Names that are not theirs, beside one that is.
    let forged = [("reason", "RESOLVE_REASON_MATCH"), ("resolver_id", "cf-resolver")];
    let mut reserved = counter("confidence_resolves", &forged, 1_000_000);
    reserved.merge(&counter("tributary_records_sent", &[("resolver_id", "shop")], 1_000_000)).unwrap();
    reserved.merge(&counter("hostile_good", &[("text", "a \"quote\"\\ and\na line")], 7)).unwrap();
    messages.push(message(1, 1, reserved.to_wire()));
    // Other types, other bounds, and a name that another family prints.
    let mut conflicting = Delta::new();
    let gauge = |name: &str, delta: &mut Delta| {
        let reading = Gauge::unsigned(99, 1);
        delta.set_gauge(&family(name, MetricKind::Gauge), LabelSet::empty(), reading).unwrap();
    };
    ["shop_orders", "shop_order_items_count"].into_iter().for_each(|name| gauge(name, &mut conflicting));
    conflicting.merge(&counter("shop_last_order_items", &[], 99)).unwrap();
    messages.push(message(1, 2, conflicting.to_wire()));
    // Totals that pass their range.
    messages.push(message(1, 3, counter("hostile_huge", &[], u64::MAX).to_wire()));
    messages.push(message(1, 4, counter("hostile_huge", &[], u64::MAX).to_wire()));
    shop.send_messages(&std::mem::take(&mut messages)).unwrap();
    eventually(LIMIT * 2, "what is good of the hostile messages", || match shop.metrics()?.sum("hostile_good_total") {
        7.0 => Ok(()),
        count => Err(count.to_string()),
    });
    // More series than a family has room for, under a label that ours have, in as many messages as they take.
    let series = |from: usize, count: usize| {
        let mut delta = Delta::new();
        for n in from..from + count {
            let labels = [("resolver_id", format!("{n:0150}"))];
            let family = family("hostile_many", MetricKind::Counter);
            delta.add_counter(&family, LabelSet::from_pairs(labels).unwrap(), 1).unwrap();
        }
        delta.to_wire()
    };
    let hostile_messages = MAX_SERIES_PER_FAMILY / MAX_MESSAGE_SERIES + 4;
    for n in 0..hostile_messages {
        messages.push(message(1, 5 + u64::try_from(n).unwrap(), series(n * MAX_MESSAGE_SERIES, MAX_MESSAGE_SERIES)));
    }
    // What breaks a rule of the envelope: too many series in one, no canonical set, no set at all, a format too low.
    let out_of_order = {
        let mut set = series(0, 2);
        set.families[0].series.reverse();
        set
    };
    messages.push(message(2, 1, series(0, MAX_MESSAGE_SERIES + 1)));
    messages.push(message(2, 2, out_of_order));
    let mut no_set = v1::Envelope::decode(message(2, 3, series(0, 1)).as_slice()).unwrap();
    no_set.metrics = vec![0xff; 20];
    messages.push(no_set.encode_to_vec());
    let mut low = v1::Envelope::decode(message(2, 4, series(0, 1)).as_slice()).unwrap();
    low.format = 1;
    messages.push(low.encode_to_vec());
    assert!(messages.iter().all(|message| message.len() <= MAX_ENVELOPE_BYTES));
    // In one batch with what is good, before it and after it.
    shop.send_messages(&messages).unwrap();
    orders.place(&shop, 30);
    flags += resolve(&shop, 5..10);
    orders.place_last(&shop, 6);

    orders.expect(&shop);
    expect_resolves(&shop, flags);
    let hostile = u32::try_from(hostile_messages * MAX_MESSAGE_SERIES).unwrap();
    let metrics = eventually(LIMIT * 2, "every hostile series, shown or counted", || {
        let metrics = shop.metrics()?;
        // Each of them counts one, in a series of its own or in the overflow series of its family.
        let shown = metrics.sum("hostile_many_total");
        let refused = |reason| metrics.get("tributary_refused_custom_series_total", &[("reason", reason)]);
        let said = (refused("reserved_name"), refused("conflict"), refused("overflow"));
        match shown + refused("bound") {
            all if all == f64::from(hostile) && said == (2.0, 3.0, 1.0) => Ok(metrics),
            all => Err(format!("{all} of {hostile}, {said:?}")),
        }
    });
    assert_eq!(metrics.find("shop_last_order_items", &[]), Some(6.0));
    assert_eq!(metrics.get("hostile_good_total", &[("text", "a \"quote\"\\ and\na line")]), 7.0);
    expect_account(&metrics, "shop");
    expect_account(&metrics, "hostile");
    let letters = eventually(LIMIT, "the dead letters", || {
        let letters = shop.get("/dead-letters", "*/*")?.json();
        if letters["count"] == 4 { Ok(letters) } else { Err(letters.to_string()) }
    });
    let mut reasons: Vec<_> =
        letters["letters"].as_array().unwrap().iter().map(|letter| letter["reason"].as_str().unwrap()).collect();
    reasons.sort_unstable();
    assert_eq!(reasons, ["format", "metrics", "metrics", "metrics"]);
    check_text(&shop.get("/metrics", "text/plain;version=0.0.4").unwrap().body, 1_000);
    check_openmetrics(&shop.get("/metrics", "application/openmetrics-text;version=1.0.0").unwrap().body, 1_000);
}

/// What a queue got that refuses, resets and hangs, whether it said so or not: each record once.
#[test]
fn a_queue_that_fails_costs_the_worker_no_count_and_no_record_two_numbers() {
    let (folder, backend, queue) = (TempDir::new().unwrap(), backend(), Collector::start().unwrap());
    let shop = start(&folder, &backend, &[("FAULT_URL", queue.url())]);
    queue.answer_in_turn(vec![
        Answer::status(500),
        Answer::Reset,
        Answer::status(500),
        Answer::status(500),
        Answer::Hang,
        Answer::status(500),
    ]);
    let mut placed = 0_u64;
    let mut place = |count: u64| {
        (0..count).for_each(|_| shop.order("NO", 3).unwrap());
        placed += count;
        placed
    };
    place(20);
    // Until the play is over: what failed waits for a request, as it does in production.
    let accepted = || queue.received().iter().filter(|received| received.is_accepted).count();
    eventually(LIMIT * 3, "the end of the failures", || {
        place(1);
        if accepted() > 0 { Ok(()) } else { Err(format!("{} calls", queue.received().len())) }
    });
    let placed = place(5);
    eventually(LIMIT * 2, "every order", || {
        let mut records = BTreeMap::new();
        let received = queue.received();
        // Of a call that was refused or hung the queue may have had the messages all the same.
        for call in &received {
            for body in serde_json::from_slice::<Vec<String>>(&call.body).unwrap() {
                let bytes = BASE64_STANDARD.decode(body).unwrap();
                let envelope = Envelope::decode(&bytes).unwrap();
                let before = records.insert(envelope.sequence, bytes.clone());
                assert!(before.is_none_or(|before| before == bytes), "a number is given twice");
            }
        }
        let counted: u64 = records
            .values()
            .map(|bytes| {
                let envelope = Envelope::decode(bytes).unwrap();
                let metrics = envelope.metrics().unwrap();
                let read = custom::read(metrics, envelope.window_start_ms, envelope.window_end_ms).unwrap();
                match read.delta.get("shop_orders", &LabelSet::from_pairs([("country", "NO")]).unwrap()) {
                    Some(Value::Counter(count)) => *count,
                    _ => 0,
                }
            })
            .sum();
        assert!(records.keys().copied().eq(1..=u64::try_from(records.len()).unwrap()), "{:?}", records.keys());
        if counted == placed { Ok(()) } else { Err(format!("{counted} of {placed}, {} calls", received.len())) }
    });
}

/// The configuration of the example is one that the real wrangler takes.
#[test]
fn the_example_can_be_deployed_as_it_stands() {
    let repository = repository().canonicalize().unwrap();
    let folder = TempDir::new().unwrap();
    let output = Command::new(repository.join("wrangler/node_modules/.bin/node"))
        .arg(repository.join("wrangler/node_modules/wrangler/bin/wrangler.js"))
        .args(["deploy", "--dry-run", "--config"])
        .arg(repository.join("emitter/example/wrangler.toml"))
        .arg("--outdir")
        .arg(folder.path().join("out"))
        .current_dir(folder.path())
        .envs([("CI", "1"), ("NO_COLOR", "1"), ("WRANGLER_SEND_METRICS", "false")])
        .env("WRANGLER_LOG_PATH", folder.path().join("log"))
        .env_remove("CLOUDFLARE_API_TOKEN")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{said}");
    assert!(said.contains("env.DELTAS") && said.contains("tributary-deltas"), "{said}");
    assert!(!said.contains("WARNING"), "{said}");
    println!("{said}");
    assert!(fs::read_dir(folder.path().join("out")).unwrap().count() >= 2);
}
