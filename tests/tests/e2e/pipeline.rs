//! N resolves in, exactly N counted.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::Duration,
};

use tributary_local::options::StateSource;
use tributary_tests::{exposition::Exposition, http::Client, installation::Installation, wait::eventually};

const CONNECTIONS: usize = 16;
const RESOLVES: usize = 1_000;
/// What the issue allows from the last resolve to the exact count on /metrics.
const LIMIT: Duration = Duration::from_secs(10);

const ID: (&str, &str) = ("resolver_id", "cf-resolver");

/// What the answers to resolves said.
#[derive(Clone, Debug, Default, PartialEq)]
struct Seen {
    resolves: u64,
    by_reason: BTreeMap<String, u64>,
    /// Ids of resolves that applied at least one flag.
    applied: BTreeSet<String>,
    /// By flag, then by variant.
    variants: BTreeMap<String, BTreeMap<String, u64>>,
}

impl Seen {
    fn add(&mut self, answer: &serde_json::Value, is_applied: bool) {
        self.resolves += 1;
        let mut applies = false;
        for flag in answer["resolvedFlags"].as_array().unwrap() {
            let reason = flag["reason"].as_str().unwrap().to_owned();
            *self.by_reason.entry(reason).or_default() += 1;
            applies |= flag["shouldApply"].as_bool().unwrap_or_default();
            let variant = flag["variant"].as_str().unwrap_or_default().to_owned();
            let name = flag["flag"].as_str().unwrap().to_owned();
            *self.variants.entry(name).or_default().entry(variant).or_default() += 1;
        }
        if is_applied && applies {
            self.applied.insert(answer["resolveId"].as_str().unwrap().to_owned());
        }
    }

    fn merge(&mut self, other: Self) {
        self.resolves += other.resolves;
        for (reason, count) in other.by_reason {
            *self.by_reason.entry(reason).or_default() += count;
        }
        self.applied.extend(other.applied);
        for (flag, variants) in other.variants {
            for (variant, count) in variants {
                *self.variants.entry(flag.clone()).or_default().entry(variant).or_default() += count;
            }
        }
    }
}

/// Resolves all flags `count` times over 16 connections; every second resolve is applied later, by the apply call.
fn resolve(installation: &Installation, count: usize) -> Seen {
    let next = AtomicUsize::new(0);
    let secret = installation.running.client_secret().reveal();
    let base = installation.running.base_url();
    let worker = || {
        let (client, mut seen) = (Client::default(), Seen::default());
        loop {
            let n = next.fetch_add(1, Ordering::Relaxed);
            if n >= count {
                return seen;
            }
            let is_applied = n.is_multiple_of(2);
            let body = installation.resolve_body(&format!("user-{n}"), ["se", "de"][n % 2], is_applied);
            let reply = client.send("POST", &format!("{base}/v1/flags:resolve"), &[], &body).unwrap();
            assert_eq!(reply.status, 200, "{}", reply.body);
            let answer = reply.json();
            seen.add(&answer, true);
            if !is_applied {
                let applied: Vec<_> = answer["resolvedFlags"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .filter(|flag| flag["shouldApply"].as_bool().unwrap_or_default())
                    .map(|flag| serde_json::json!({"flag": flag["flag"], "applyTime": "2026-11-22T10:00:00Z"}))
                    .collect();
                if applied.is_empty() {
                    continue;
                }
                let apply = serde_json::json!({
                    "clientSecret": secret, "resolveToken": answer["resolveToken"], "flags": applied,
                    "sendTime": "2026-11-22T10:00:01Z",
                });
                let url = format!("{base}/v1/flags:apply");
                let reply = client.send("POST", &url, &[], apply.to_string().as_bytes()).unwrap();
                assert_eq!(reply.status, 200, "{}", reply.body);
            }
        }
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..CONNECTIONS).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().fold(Seen::default(), |mut all, worker| {
            all.merge(worker.join().unwrap());
            all
        })
    })
}

/// Waits until `/metrics` counts all that was seen, and checks that it counts nothing else.
fn expect_metrics(installation: &Installation, seen: &Seen) -> Exposition {
    let metrics = eventually(LIMIT, "the exact count on /metrics", || {
        let metrics = installation.metrics()?;
        let count = metrics.get("confidence_resolve_latency_microseconds_count", &[ID]);
        #[expect(clippy::cast_precision_loss, reason = "small counts")]
        let expected = seen.resolves as f64;
        if count == expected { Ok(metrics) } else { Err(format!("{count} of {expected} resolves")) }
    });
    for (series, value) in metrics.series("confidence_resolves_total") {
        let expected =
            seen.by_reason.iter().find(|(reason, _)| series.contains(&format!("{reason:?}"))).map_or(0, |(_, n)| *n);
        #[expect(clippy::cast_precision_loss, reason = "small counts")]
        let expected = expected as f64;
        assert_eq!(value, expected, "{series}");
    }
    let buckets = metrics.get("confidence_resolve_latency_microseconds_bucket", &[("le", "+Inf"), ID]);
    assert_eq!(buckets, metrics.get("confidence_resolve_latency_microseconds_count", &[ID]));
    assert_eq!(metrics.series("confidence_resolve_latency_microseconds_bucket").count(), 175);
    metrics
}

/// Waits until the backend has every assignment, and checks its sums.
fn expect_backend(installation: &Installation, seen: &Seen) {
    let stats = eventually(LIMIT, "every assignment at the backend", || {
        let stats = installation.backend_stats()?;
        let ids = stats["resolve_ids"].as_u64().unwrap_or_default();
        if ids == seen.applied.len() as u64 && stats["latency_count"].as_u64() == Some(seen.resolves) {
            Ok(stats)
        } else {
            Err(format!("{ids} of {} resolve ids; {stats}", seen.applied.len()))
        }
    });
    assert_eq!(stats["rejected"], 0, "the backend refused something: {stats}");
    assert_eq!(stats["assignments"].as_u64(), Some(seen.applied.len() as u64), "an assignment was repeated or lost");
    for (flag, variants) in &seen.variants {
        for (variant, count) in variants {
            assert_eq!(stats["flags"][flag]["variants"][variant].as_u64(), Some(*count), "{flag} {variant}");
        }
    }
}

#[test]
fn every_resolve_is_counted_exactly_once_and_every_assignment_arrives_also_across_a_restart() {
    let mut installation = Installation::start(|_| {}).unwrap();
    let mut seen = resolve(&installation, RESOLVES);
    assert_eq!(seen.resolves, RESOLVES as u64);
    assert!(seen.by_reason.len() > 1 && seen.applied.len() > RESOLVES / 2, "the demo state resolves: {seen:?}");
    let metrics = expect_metrics(&installation, &seen);
    expect_backend(&installation, &seen);
    // Coalesced: far fewer messages than resolves.
    let messages = metrics.get("tributary_messages_total", &[("outcome", "applied"), ID]);
    assert!(messages > 0.0 && messages < 500.0, "{messages} messages");

    installation.running.stop_workers().unwrap();
    installation.running.start_workers().unwrap();
    let after = installation.metrics().unwrap();
    for name in ["confidence_resolves_total", "confidence_resolve_latency_microseconds_bucket"] {
        assert_eq!(after.series(name).collect::<Vec<_>>(), metrics.series(name).collect::<Vec<_>>());
    }
    seen.merge(resolve(&installation, 50));
    expect_metrics(&installation, &seen);
    expect_backend(&installation, &seen);
}

#[test]
fn the_real_sample_state_counts_exactly_too() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/resolver_state_sample.pb");
    if !path.exists() {
        println!("SKIPPED: the real sample state is not there; the demo state stands in for it in the other tests");
        return;
    }
    let state = StateSource::File { path, account_id: "confidence-test".into() };
    let installation = Installation::start(|options| options.state = state).unwrap();
    let seen = resolve(&installation, 200);
    assert_eq!(seen.variants.len(), 3, "the sample has three flags: {:?}", seen.variants.keys());
    expect_metrics(&installation, &seen);
    expect_backend(&installation, &seen);
}
