//! docs/migration.md, played: what Spotify's resolver counted is what `/metrics` goes on from, once, and what it still
//! sends is counted as it would have counted it.
//!
//! Its part is played by its own library: the same functions that its Worker calls make the messages, the stored values
//! and the text of its `/metrics`. Only the few lines between them, which are its Worker's, are here.

use std::{collections::BTreeMap, thread};

use confidence_resolver::{
    flag_logger::aggregate_batch,
    proto::confidence::flags::resolver::v1::WriteFlagLogsRequest as PeerLogs,
    telemetry::{PrometheusConfig, TelemetrySnapshot},
};
use serde_json::{Value as Json, json};
use tempfile::TempDir;
use tributary_deployer::{
    report::Report,
    snapshot::{
        command::{ImportError, run},
        find::Namespaces,
        import::Installation as Target,
        options::Options,
    },
};
use tributary_local::secrets::Secret;
use tributary_producer::isolate::Isolate;
use tributary_proto::{Message as _, v1::ImportRequest};
use tributary_tests::{
    collector::Collector,
    consumer::{Body, CLIENT_SECRET, Consumer, Delivery, METRICS_TOKEN},
    exposition::Exposition,
    installation::Installation,
    ledger_file::execute,
    wait::eventually,
};

use crate::{
    consumer::{LIMIT, backend, delivery, now_ms, start, start_with},
    ledger::kill_folded,
};

#[path = "../../benches/peer/inputs.rs"]
#[allow(dead_code, reason = "the benches use all of it")]
mod inputs;

/// What the first release of the resolver that counts left under the key that newer ones only read.
const OF_FIRST_RELEASE: &[u8] = include_bytes!("../../../wrangler/deployer/src/snapshot/fixtures/0.17.1-snapshot.json");
const NAMESPACE: &str = "resolver-metrics";
const DAY_MS: u64 = 24 * 3_600 * 1_000;

/// Spotify's resolver: its Worker, its queue consumer and its KV namespace.
struct Peer {
    isolate: Isolate,
    resolves: usize,
    legacy: TelemetrySnapshot,
    flag_logs: TelemetrySnapshot,
}

impl Peer {
    fn new() -> Self {
        let legacy = serde_json::from_slice(OF_FIRST_RELEASE).unwrap();
        Self { isolate: inputs::isolate(), resolves: 0, legacy, flag_logs: TelemetrySnapshot::default() }
    }

    /// Resolves all flags for so many users: the messages that it queues. Its clock has whole milliseconds, so many
    /// latencies are on a bound.
    fn resolve(&mut self, count: usize) -> Vec<String> {
        let messages = (0..count).map(|_| {
            self.resolves += 1;
            let reasons = inputs::resolve_one::<inputs::PeerHost>(&self.isolate, self.resolves);
            let micros = [0, 1_000, 2_000, 1_000, 10_000, 7_000, 100_000][self.resolves % 7];
            inputs::peer_message(&inputs::take_peer_log(micros, &reasons))
        });
        messages.collect()
    }

    /// A batch of its queue consumer that the backend took.
    fn consume(&mut self, messages: &[String]) {
        let logs: Vec<PeerLogs> = messages.iter().map(|text| serde_json::from_str(text).unwrap()).collect();
        let merged = aggregate_batch(logs);
        self.flag_logs.accumulate_delta(merged.telemetry_data.as_ref().unwrap());
        self.flag_logs.flush.succeeded += 1;
    }

    /// What it has counted, without what it goes on to count.
    fn copy(&self) -> Self {
        let (legacy, flag_logs) = (self.legacy.clone(), self.flag_logs.clone());
        Self { isolate: inputs::isolate(), resolves: 0, legacy, flag_logs }
    }

    /// Its KV namespace.
    fn values(&self) -> BTreeMap<&'static str, Vec<u8>> {
        let of = |snapshot: &TelemetrySnapshot| serde_json::to_vec(snapshot).unwrap();
        BTreeMap::from([("snapshot:flaglogs", of(&self.flag_logs)), ("snapshot", of(&self.legacy))])
    }

    /// Its `/metrics`: the sum of its keys, as its library prints it.
    fn metrics(&self) -> Exposition {
        let mut sum = self.flag_logs.clone();
        let latency = &self.legacy.latency;
        sum.latency.sum += latency.sum;
        sum.latency.count += latency.count;
        for (into, from) in
            [(&mut sum.latency.buckets, &latency.buckets), (&mut sum.resolve_rates, &self.legacy.resolve_rates)]
        {
            into.resize(into.len().max(from.len()), 0);
            into.iter_mut().zip(from).for_each(|(total, added)| *total += added);
        }
        Exposition::parse(&sum.to_prometheus("cf-resolver", &PrometheusConfig::default())).unwrap()
    }
}

impl Namespaces for Peer {
    fn find(&self, id_or_title: &str) -> Result<String, String> {
        if id_or_title == NAMESPACE { Ok("0a1b2c".into()) } else { Err(format!("no namespace {id_or_title}")) }
    }

    fn value(&self, _: &str, key: &str) -> Result<Option<Vec<u8>>, String> {
        Ok(self.values().get(key).cloned())
    }
}

fn import(peer: &Peer, url: &str, token: &str, more: &[&str]) -> Result<String, ImportError> {
    let arguments: Vec<String> =
        [&[NAMESPACE, "--url", url], more].concat().iter().map(|argument| (*argument).to_owned()).collect();
    let mut printed = Vec::new();
    let options = Options::read(&arguments).unwrap();
    let target = Target::new(url, Secret::new(token));
    run(&options, Some(&target), Some(peer), &mut Report::new(&mut printed))?;
    let printed = String::from_utf8(printed).unwrap();
    assert!(!printed.contains(token), "the token is printed");
    Ok(printed)
}

fn import_into(consumer: &Consumer, peer: &Peer) -> Result<String, ImportError> {
    import(peer, consumer.url(), METRICS_TOKEN, &[])
}

/// What differs from what the resolver prints, if anything: every series of it is there, with its number. `without`
/// names families that are compared another way.
fn difference(theirs: &Exposition, ours: &Exposition, without: &str) -> Option<String> {
    let mut compared = 0;
    let ours: BTreeMap<&str, f64> = ours.all().collect();
    for (series, value) in theirs.all().filter(|(series, _)| !series.starts_with(without)) {
        compared += 1;
        if ours.get(series) != Some(&value) {
            return Some(format!("{series}: {:?} instead of {value}", ours.get(series)));
        }
    }
    assert!(compared > 50, "{compared} series");
    None
}

fn expect_goes_on(consumer: &Consumer, peer: &Peer, without: &str) {
    eventually(LIMIT * 2, "what the resolver would show", || {
        difference(&peer.metrics(), &consumer.metrics()?, without).map_or(Ok(()), Err)
    });
}

fn of(metrics: &Exposition, name: &str) -> f64 {
    metrics.get(name, &[("resolver_id", "cf-resolver")])
}

#[test]
fn counters_go_on_where_the_resolver_left_them_and_a_second_import_changes_nothing() {
    let (folder, backend) = (TempDir::new().unwrap(), backend());
    // Before: the resolver runs, with a history of two versions.
    let mut peer = Peer::new();
    for _ in 0..3 {
        let batch = peer.resolve(40);
        peer.consume(&batch);
    }
    // 1. Ours is there, and counts nothing yet.
    let consumer = start(&folder, &backend.url());
    // 2. Delivery of its queue is paused: its totals stand, and what is resolved now waits there.
    let frozen = peer.copy();
    let waiting = peer.resolve(30);
    // 3. The import.
    let printed = import_into(&consumer, &peer).unwrap();
    assert!(printed.contains("imported: ") && printed.contains("kv:0a1b2c"), "{printed}");
    assert!(!printed.contains("note:") && !printed.contains("behind"), "{printed}");
    expect_goes_on(&consumer, &peer, "nothing");
    let imported = consumer.metrics().unwrap();
    assert_eq!(of(&imported, "tributary_imports_total"), 1.0);
    assert_eq!(of(&imported, "tributary_records_sent_total"), 0.0, "an import is no record");

    // 4. The queue is ours: what waited there, and what the resolver's Worker goes on to send, in every content type
    //    that a string can have.
    for (index, text) in waiting.iter().enumerate() {
        consumer.send_as_peer(text, [None, Some("json"), Some("text"), Some("v8")][index % 4]).unwrap();
    }
    peer.consume(&waiting);
    expect_goes_on(&consumer, &peer, "confidence_flush");
    let assignments = |logs: &PeerLogs| logs.flag_assigned.len();
    let sent: usize = waiting.iter().map(|text| assignments(&serde_json::from_str(text).unwrap())).sum();
    let stats = assignments_at(&backend.url());
    assert_eq!(stats, u64::try_from(sent).unwrap(), "every assignment of the messages, and none of before");
    let metrics = consumer.metrics().unwrap();
    let flushes = "confidence_flush_succeeded_total";
    assert!(of(&metrics, flushes) > of(&imported, flushes), "its deliveries go on as ours");
    let sent = of(&metrics, "tributary_records_sent_total");
    assert_eq!(sent, of(&metrics, "tributary_records_applied_total"));
    assert_eq!(sent, 30.0);

    // The same again changes nothing; nor does what the resolver counted on, which the queue brought already.
    assert!(import_into(&consumer, &peer).unwrap_err().to_string().contains("OTHER_TOTALS"));
    assert!(import_into(&consumer, &frozen).unwrap().contains("already imported"));
    assert!(
        import(&frozen, consumer.url(), METRICS_TOKEN, &["--source", "copy"])
            .unwrap_err()
            .to_string()
            .contains("SAME_TOTALS")
    );
    let another = import(&peer, consumer.url(), METRICS_TOKEN, &["--source", "copy"]).unwrap_err().to_string();
    assert!(another.contains("OTHER_SOURCE") && another.contains("kv:0a1b2c"), "{another}");
    expect_goes_on(&consumer, &peer, "confidence_flush");

    // Nor does it after a restart, nor when every stream is long forgotten.
    kill_folded(&folder, &backend.url(), consumer);
    let past = "UPDATE streams SET last_seen_ms = last_seen_ms - ?";
    execute(folder.path(), &[(past, json!([6 * DAY_MS]))]).unwrap();
    let consumer = start_with(&folder, &backend.url(), &[("METRICS_SOURCE", "ledger")]);
    consumer.deliver(&[delivery(1, 1, 0)]).unwrap();
    let forgotten = [("kind", "legacy"), ("reason", "silent")];
    eventually(LIMIT, "the streams of the messages to be forgotten", || {
        match consumer.metrics()?.get("tributary_forgotten_streams_total", &forgotten) {
            30.0 => Ok(()),
            count => Err(count.to_string()),
        }
    });
    assert!(import_into(&consumer, &frozen).unwrap().contains("already imported"));
    expect_goes_on(&consumer, &peer, "confidence_flush");
    assert_eq!(of(&consumer.metrics().unwrap(), "tributary_imports_total"), 1.0);
    let rows = execute(folder.path(), &[("SELECT source FROM imports", json!([]))]).unwrap();
    assert_eq!(rows, [[[json!("kv:0a1b2c")]]]);
}

/// Assignments that the backend took.
fn assignments_at(url: &str) -> u64 {
    let reply = tributary_tests::http::Client::default().send("GET", &format!("{url}/stats"), &[], b"").unwrap();
    reply.json()["assignments"].as_u64().unwrap()
}

#[test]
fn what_the_resolver_still_sends_is_counted_once_however_often_it_is_delivered() {
    let (folder, backend) = (TempDir::new().unwrap(), backend());
    let mut peer = Peer::new();
    let batch = peer.resolve(25);
    peer.consume(&batch);
    let consumer = start(&folder, &backend.url());
    import_into(&consumer, &peer).unwrap();
    let messages = peer.resolve(20);
    peer.consume(&messages);
    let deliveries: Vec<_> = messages
        .iter()
        .enumerate()
        .map(|(index, text)| Delivery {
            id: format!("m-{index}"),
            attempts: 1,
            timestamp_ms: now_ms(),
            body: Body::Text(text.clone()),
        })
        .collect();
    for part in [&deliveries[..15], &deliveries[5..], &deliveries[..]] {
        consumer.deliver(part).unwrap();
    }
    expect_goes_on(&consumer, &peer, "confidence_flush");
}

/// A message of the first release that counts, as its own code wrote it.
#[test]
fn a_message_of_the_first_release_is_read() {
    let text = r#"{"telemetryData":{"sdk":{"version":"0.9.0","id":"SDK_ID_CLOUDFLARE_RESOLVER"},"resolveLatency":{"sum":4294967295,"count":1,"buckets":[{"offset":173,"counts":[1]}],"lnRatio":0.12792139405522476},"resolveRate":[{"count":1,"reason":"RESOLVE_REASON_MATCH"},{"count":1,"reason":"RESOLVE_REASON_FLAG_ARCHIVED"}],"resolverVersion":"0.17.1"}}"#;
    // Before that, messages had no telemetry but the SDK.
    let older = r#"{"flagAssigned":[],"telemetryData":{"sdk":{"id":"SDK_ID_CLOUDFLARE_RESOLVER","version":"0.5.0"}},"clientResolveInfo":[],"flagResolveInfo":[{"flag":"flags/a","variantResolveInfo":[{"variant":"flags/a/variants/on","count":"3"}]}]}"#;
    let (folder, backend) = (TempDir::new().unwrap(), backend());
    let consumer = start(&folder, &backend.url());
    consumer.send_as_peer(text, None).unwrap();
    consumer.send_as_peer(older, None).unwrap();
    let applied = [("outcome", "applied"), ("resolver_id", "cf-resolver")];
    let metrics = eventually(LIMIT, "both messages", || match consumer.metrics()? {
        metrics if metrics.get("tributary_messages_total", &applied) == 2.0 => Ok(metrics),
        metrics => Err(metrics.get("tributary_messages_total", &applied).to_string()),
    });
    assert_eq!(of(&metrics, "confidence_resolve_latency_microseconds_count"), 1.0);
    assert_eq!(metrics.sum("confidence_resolves_total"), 2.0);
    assert_eq!(metrics.sum("tributary_rebucketed_observations_total"), 0.0);
    assert_eq!(metrics.sum("tributary_malformed_messages_total"), 0.0);
}

/// An encoded request that nothing is wrong with.
fn request(source: &str) -> Vec<u8> {
    use tributary_telemetry::{Delta, LabelSet, confidence::catalog};
    let mut totals = Delta::new();
    let labels = LabelSet::from_pairs([("resolver_id", "cf-resolver")]).unwrap();
    totals.add_counter(&catalog::EVENTS_PUBLISHED, labels, 5).unwrap();
    ImportRequest { source: source.into(), totals: Some(totals.to_wire()), another: false }.encode_to_vec()
}

fn post(consumer: &Consumer, headers: &[(&str, &str)], body: &[u8]) -> (u16, Json) {
    let reply = consumer.send("POST", "/ledger:import", headers, body).unwrap();
    (reply.status, reply.json())
}

#[test]
fn of_many_at_the_same_time_one_import_is_applied() {
    let (folder, backend) = (TempDir::new().unwrap(), backend());
    let consumer = start(&folder, &backend.url());
    let token = format!("Bearer {METRICS_TOKEN}");
    let answers: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> =
            (0..12).map(|_| scope.spawn(|| post(&consumer, &[("Authorization", &token)], &request("s")))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(answers.iter().all(|(status, _)| *status == 200), "{answers:?}");
    let applied = answers.iter().filter(|(_, answer)| answer["outcome"] == "applied").count();
    assert_eq!(applied, 1, "{answers:?}");
    eventually(LIMIT, "the total", || match of(&consumer.metrics()?, "confidence_events_published_total") {
        5.0 => Ok(()),
        count => Err(count.to_string()),
    });
    let list = consumer.call("GET", "/ledger:import").unwrap();
    assert_eq!(
        list["imports"][0]["families"],
        json!([{"name": "confidence_events_published", "series": 1, "total": 5}])
    );
}

#[test]
fn imports_take_the_token_itself_and_nothing_that_is_wrong() {
    let (folder, backend) = (TempDir::new().unwrap(), backend());
    let consumer = start(&folder, &backend.url());
    let token = format!("Bearer {METRICS_TOKEN}");
    let login = [("Content-Type", "application/x-www-form-urlencoded"), ("Sec-Fetch-Site", "same-origin")];
    let session = consumer.send("POST", "/status/login", &login, format!("token={METRICS_TOKEN}").as_bytes()).unwrap();
    let cookie = session.header("set-cookie").split(';').next().unwrap().to_owned();
    assert!(!cookie.is_empty(), "{}", session.body);
    let secret = format!("ClientSecret {CLIENT_SECRET}");
    for headers in [
        &[][..],
        &[("Authorization", "Bearer wrong")],
        &[("Authorization", secret.as_str())],
        &[("Cookie", cookie.as_str())],
    ] {
        assert_eq!(post(&consumer, headers, &request("s")).0, 401, "{headers:?}");
        assert_eq!(consumer.send("GET", "/ledger:import", headers, b"").unwrap().status, 401);
    }
    let with_token = [("Authorization", token.as_str())];
    let long = vec![0x0a; 600_000];
    for (body, status, code) in [
        (&b"garbage"[..], 400, "BAD_IMPORT"),
        (b"", 400, "BAD_IMPORT"),
        (&request("a b")[..], 400, "BAD_IMPORT"),
        (&long[..], 413, "TOO_LARGE"),
    ] {
        let (seen, answer) = post(&consumer, &with_token, body);
        assert_eq!((seen, &answer["error"]["code"]), (status, &json!(code)), "{answer}");
    }
    assert_eq!(consumer.send("DELETE", "/ledger:import", &with_token, b"").unwrap().status, 405);
    assert_eq!(consumer.call("GET", "/ledger:import").unwrap(), json!({"imports": []}));
    assert_eq!(of(&consumer.metrics().unwrap(), "confidence_events_published_total"), 0.0);
    // The isolate and the Ledger live on.
    assert_eq!(post(&consumer, &with_token, &request("s")).0, 200);
}

#[test]
fn a_collector_of_deltas_is_not_sent_what_another_system_counted() {
    let (folder, backend, collector) = (TempDir::new().unwrap(), backend(), Collector::start().unwrap());
    let delta = [("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "delta")];
    let mut peer = Peer::new();
    let batch = peer.resolve(10);
    peer.consume(&batch);
    let consumer = crate::otlp::start(&folder, &backend, &collector, &delta);
    let resolves = || {
        let mut sums = BTreeMap::new();
        for received in collector.received().iter().filter(|received| received.is_accepted) {
            crate::otlp::add(&mut sums, &received.request().unwrap());
        }
        let own = sums.iter().filter(|(series, _)| series.starts_with("confidence_resolves_total{"));
        own.map(|(_, sum)| *sum).sum::<f64>()
    };
    let expect = |expected: f64| {
        eventually(LIMIT * 2, "the deltas", || match resolves() {
            sum if sum == expected => Ok(()),
            sum => Err(format!("{sum} instead of {expected}")),
        });
    };
    consumer.deliver(&[delivery(1, 1, 3)]).unwrap();
    expect(3.0);
    let printed = import_into(&consumer, &peer).unwrap();
    assert!(printed.contains("note: "), "it has counted already: {printed}");
    consumer.deliver(&[delivery(1, 2, 4)]).unwrap();
    expect(7.0);
    expect_goes_on_beside(&consumer, &peer, 7.0);
}

/// `/metrics` shows what the resolver counted, and so many resolves beside it.
fn expect_goes_on_beside(consumer: &Consumer, peer: &Peer, beside: f64) {
    let name = "confidence_resolves_total";
    let expected = peer.metrics().sum(name) + beside;
    eventually(LIMIT, "both", || match consumer.metrics()?.sum(name) {
        sum if sum == expected => Ok(()),
        sum => Err(format!("{sum} instead of {expected}")),
    });
}

/// The whole installation, as `make run` starts it: through the producer's host, and our producer counts on.
#[test]
fn our_producer_counts_on_from_what_was_imported_through_its_host() {
    let installation = Installation::start(|_| {}).unwrap();
    let mut peer = Peer::new();
    let batch = peer.resolve(60);
    peer.consume(&batch);
    let token = installation.running.metrics_token().reveal().to_owned();
    let printed = import(&peer, installation.running.base_url(), &token, &["--since", "2026-06-01"]).unwrap();
    assert!(printed.contains("imported: "), "{printed}");
    let name = "confidence_resolve_latency_microseconds_count";
    let before = peer.metrics().sum(name);
    assert_eq!(installation.metrics().unwrap().sum(name), before);
    for n in 0..5 {
        let body = installation.resolve_body(&format!("user-{n}"), "se", true);
        assert_eq!(installation.send("POST", "/v1/flags:resolve", &[], &body).unwrap().status, 200);
    }
    eventually(LIMIT * 2, "our resolves on top", || match installation.metrics()?.sum(name) {
        sum if sum == before + 5.0 => Ok(()),
        sum => Err(format!("{sum} instead of {}", before + 5.0)),
    });
    assert!(
        import(&peer, installation.running.base_url(), "wrong", &[]).unwrap_err().to_string().contains("METRICS_TOKEN")
    );
}
