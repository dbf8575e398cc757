//! A deploy that goes on from what Spotify's resolver counted in the same account.

use serde_json::json;
use tributary_deployer::cloudflare::{client::Client as Api, kv};
use tributary_local::secrets::Secret;
use tributary_tests::cloudflare::{Effect, Fault};
use tributary_tests::exposition::Exposition;
use tributary_tests::http::Client;

use crate::support::Site;

/// 11 latencies, and 23 flags resolved.
const FIRST: &[u8] = include_bytes!("../../../wrangler/deployer/src/snapshot/fixtures/0.17.1-snapshot.json");
const TITLE: &str = "resolver-metrics";

/// What that resolver's deployer and consumers leave in an account.
fn leave(site: &Site, values: &[(&str, &[u8])]) -> kv::Namespace {
    let api = Api::new(&site.cloud.api_url(), Secret::new(site.cloud.token()));
    let account_id = site.cloud.account_id();
    let namespace = kv::create(&api, &account_id, TITLE).unwrap();
    for (key, value) in values {
        kv::put(&api, &account_id, &namespace, key, value, &json!({})).unwrap();
    }
    namespace
}

fn words(output: &str, sample: &str) -> Vec<String> {
    let row = output.lines().find(|line| line.starts_with(sample)).unwrap_or_else(|| panic!("{sample} in {output}"));
    row.split_whitespace().skip(1).map(str::to_owned).collect()
}

#[test]
fn a_deploy_imports_what_the_resolver_of_the_account_counted_once() {
    let mut site = Site::real();
    let values: [(&str, &[u8]); 3] = [("snapshot:flaglogs", FIRST), ("snapshot", FIRST), ("prometheus", b"# text")];
    let namespace = leave(&site, &values);
    site.cloud.forget_requests();
    let arguments = ["deploy", "--import-snapshot", TITLE];
    let output = site.run(&[&arguments[..], &["--dry-run"]].concat()).ok();
    assert_eq!(words(&output, "confidence_resolves_total"), ["4", "46"], "{output}");
    assert!(output.contains("dry run: nothing was imported") && site.writes().is_empty(), "{output}");

    let first = site.run(&arguments);
    let token = first.token().expect("METRICS_TOKEN is shown");
    let output = first.ok();
    assert!(output.contains(&format!("source kv:{}", namespace.id)), "{output}");
    assert!(
        output.contains("  snapshot:flaglogs: ") && output.contains("imported: 5 series of 2 families"),
        "{output}"
    );
    assert_eq!(words(&output, "confidence_resolves_total"), ["4", "46", "0", "46"], "{output}");
    assert_eq!(words(&output, "confidence_resolve_latency_microseconds_count"), ["1", "22", "0", "22"]);
    assert_eq!(output.matches(&token).count(), 1, "the token is shown where it is meant to be, and nowhere else");
    for secret in [site.cloud.token(), site.cloud.confidence().client_secret().to_owned()] {
        assert!(!output.contains(&secret));
    }
    assert!(site.cloud.unknown_requests().is_empty());

    // The same again deploys nothing and imports nothing.
    site.environment.insert("METRICS_TOKEN".to_owned(), token.clone());
    let output = site.run(&arguments).ok();
    assert!(output.contains("already imported, on "), "{output}");
    // Nor does a resolver that counted on.
    leave_more(&site, &namespace);
    let error = site.run(&arguments).failed();
    assert!(error.contains("OTHER_TOTALS") && error.contains(&format!("kv:{}", namespace.id)), "{error}");

    let host = site.cloud.worker_host("tributary-producer");
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", bearer.as_str()), ("host", host.as_str())];
    let reply =
        Client::default().send("GET", &format!("{}/metrics", site.cloud.workers_origin()), &headers, b"").unwrap();
    assert_eq!(Exposition::parse(&reply.body).unwrap().sum("confidence_resolves_total"), 46.0);
}

fn leave_more(site: &Site, namespace: &kv::Namespace) {
    let api = Api::new(&site.cloud.api_url(), Secret::new(site.cloud.token()));
    let more = String::from_utf8(FIRST.to_vec()).unwrap();
    let more = more.replacen("\"resolve_rates\":[0,", "\"resolve_rates\":[9,", 1);
    assert_ne!(more.as_bytes(), FIRST);
    kv::put(&api, &site.cloud.account_id(), namespace, "snapshot:flaglogs", more.as_bytes(), &json!({})).unwrap();
}

#[test]
fn the_command_alone_reads_the_account_and_says_what_is_wrong() {
    let mut site = Site::small();
    let namespace = leave(&site, &[("snapshot", FIRST)]);
    let run = |site: &Site, from: &str| site.run(&["import-snapshot", from, "--dry-run"]);
    for from in [TITLE, &namespace.id] {
        assert_eq!(words(&run(&site, from).ok(), "confidence_resolves_total"), ["4", "23"]);
    }
    // What may pass is tried again.
    site.cloud.fail(Fault::once("GET", "*/values/snapshot", Effect::Status { status: 503, retry_after: None }));
    site.cloud.fail(Fault::once("GET", "*/storage/kv/namespaces", Effect::Reset));
    run(&site, TITLE).ok();

    let error = run(&site, "resolver-metric").failed();
    assert!(error.contains("no file and no KV namespace") && error.contains(TITLE), "{error}");
    let error = site.run(&["import-snapshot", TITLE, "--url", "https://x.example"]).failed();
    assert!(error.contains("METRICS_TOKEN of the installation is not set"), "{error}");
    site.environment.insert("CLOUDFLARE_API_TOKEN".to_owned(), "a-token-that-is-wrong".to_owned());
    let error = run(&site, TITLE).failed();
    assert!(error.contains("token") && !error.contains("a-token-that-is-wrong"), "{error}");
    site.environment.remove("CLOUDFLARE_API_TOKEN");
    assert!(run(&site, TITLE).failed().contains("CLOUDFLARE_API_TOKEN is not set"));
    // Files need no account.
    let file = site.path().join("snapshot.json");
    std::fs::write(&file, FIRST).unwrap();
    assert_eq!(words(&run(&site, file.to_str().unwrap()).ok(), "confidence_resolves_total"), ["4", "23"]);
    assert!(site.cloud.unknown_requests().is_empty());
}
