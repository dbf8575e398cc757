//! What stops a deploy before it changes anything.

use serde_json::json;
use tributary_tests::cloudflare::{Effect, Fault, Options};
use tributary_tests::http::Client;

use crate::support::Site;

fn refused(site: &Site, arguments: &[&str], parts: &[&str]) {
    let error = site.deploy(arguments).failed();
    for part in parts {
        assert!(error.contains(part), "{part} in {error}");
    }
    assert_eq!(site.writes().len(), 0, "{error}");
}

#[test]
fn a_wrong_token_is_told_from_a_missing_permission() {
    let mut site = Site::small();
    let account = ("CLOUDFLARE_ACCOUNT_ID".to_owned(), site.cloud.account_id());
    let token = site.environment.insert("CLOUDFLARE_API_TOKEN".to_owned(), "not-the-token".to_owned()).unwrap();
    refused(&site, &[], &["list the accounts", "no valid token", "dash.cloudflare.com/profile/api-tokens"]);
    site.environment.extend([account]);
    refused(&site, &[], &["read the workers.dev subdomain", "no valid token"]);
    site.environment.insert("CLOUDFLARE_API_TOKEN".to_owned(), token);
    site.cloud.fail(Fault::always("GET", "*/queues", Effect::Status { status: 403, retry_after: None }));
    refused(&site, &[], &["list the queues", "The token is valid but may not do this", "Account › Queues › Edit"]);
    site.environment.remove("CLOUDFLARE_API_TOKEN");
    refused(&site, &[], &["CLOUDFLARE_API_TOKEN is not set", "docs/deploy.md"]);
}

#[test]
fn the_account_is_found_where_there_is_one_and_asked_for_where_there_are_several() {
    let mut site = Site::with(Options { accounts: 2, runs_workers: false, ..Options::default() });
    let ids = site.cloud.account_ids();
    refused(&site, &[], &["several Cloudflare accounts", &ids[0], &ids[1], "CLOUDFLARE_ACCOUNT_ID=<id>"]);
    site.environment.insert("CLOUDFLARE_ACCOUNT_ID".to_owned(), ids[0].clone());
    assert!(site.deploy(&["--dry-run"]).ok().contains("create     queue tributary-deltas"));
    site.environment.insert("CLOUDFLARE_ACCOUNT_ID".to_owned(), "nobody".to_owned());
    site.deploy(&["--dry-run"]).failed();
    let none = Site::with(Options { accounts: 0, runs_workers: false, ..Options::default() });
    let error = none.deploy(&[]).failed();
    assert!(error.contains("sees no Cloudflare account"), "{error}");
}

fn post(site: &Site, path: &str, body: &serde_json::Value) -> serde_json::Value {
    let url = format!("{}/accounts/{}{path}", site.cloud.api_url(), site.cloud.account_id());
    let headers = [("authorization", &*format!("Bearer {}", site.cloud.token())), ("content-type", "application/json")];
    let reply = Client::default().send("POST", &url, &headers, body.to_string().as_bytes()).unwrap();
    assert_eq!(reply.status, 200, "{}", reply.body);
    reply.json()["result"].clone()
}

/// Deploys a Worker of somebody else's with wrangler.
fn foreign_worker(site: &Site, config: &str) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("wrangler.toml"),
        format!("main = 'index.js'\ncompatibility_date = '2026-10-01'\n{config}"),
    )
    .unwrap();
    std::fs::write(folder.path().join("index.js"), "export default { fetch() {}, queue() {} }").unwrap();
    let bin = site.path().join("wrangler/node_modules");
    let output = std::process::Command::new(bin.join(".bin/node"))
        .arg(bin.join("wrangler/bin/wrangler.js"))
        .arg("deploy")
        .current_dir(folder.path())
        .envs(&site.environment)
        .env("CLOUDFLARE_ACCOUNT_ID", site.cloud.account_id())
        .envs([("CI", "1"), ("WRANGLER_SEND_METRICS", "false"), ("WRANGLER_HIDE_BANNER", "true")])
        .env("WRANGLER_LOG_PATH", folder.path().join("log"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn names_that_are_taken_are_all_named_and_left_alone() {
    let site = Site::small();
    post(&site, "/queues", &json!({"queue_name": "tributary-deltas"}));
    foreign_worker(&site, "name = 'shop'\n[[queues.consumers]]\nqueue = 'tributary-deltas'\n");
    foreign_worker(&site, "name = 'tributary-producer'\n");
    let namespace = post(&site, "/storage/kv/namespaces", &json!({"title": "tributary-confidence-state"}));
    let url = format!(
        "{}/accounts/{}/storage/kv/namespaces/{}/values/cart:1",
        site.cloud.api_url(),
        site.cloud.account_id(),
        namespace["id"].as_str().unwrap()
    );
    let token = format!("Bearer {}", site.cloud.token());
    assert_eq!(Client::default().send("PUT", &url, &[("authorization", &token)], b"x").unwrap().status, 200);
    site.cloud.forget_requests();
    let parts = [
        "a Worker named tributary-producer exists, and no deploy of Tributary made it",
        "the queue tributary-deltas is consumed by the Worker shop",
        "a KV namespace titled tributary-confidence-state exists and holds a key that is not Tributary's (cart:1)",
        "--prefix",
        "--adopt",
    ];
    refused(&site, &[], &parts);
    // Other names, and all is well.
    site.deploy(&["--prefix=eu"]).ok();
    // One's own Worker can be taken over; a queue has one consumer.
    let error = site.deploy(&["--adopt"]).failed();
    assert!(error.contains("consumed by the Worker shop") && !error.contains("a Worker named"), "{error}");
}

#[test]
fn an_account_without_a_subdomain_is_sent_to_choose_one() {
    let site = Site::small();
    site.cloud.set_subdomain(None);
    refused(&site, &[], &["no workers.dev subdomain yet", "https://dash.cloudflare.com/"]);
}

#[test]
fn a_client_that_confidence_does_not_know_is_said_before_anything_is_made() {
    let mut site = Site::small();
    site.environment.insert("CONFIDENCE_CLIENT_SECRET".to_owned(), "unknown-client-secret".to_owned());
    refused(&site, &[], &["no state for this client secret", "CONFIDENCE_CLIENT_SECRET"]);
    site.environment.remove("CONFIDENCE_CLIENT_SECRET");
    refused(&site, &[], &["CONFIDENCE_CLIENT_SECRET is not set"]);
}

#[test]
fn workers_that_were_not_built_are_said_first() {
    let site = Site::small();
    std::fs::remove_dir_all(site.path().join("producer/build")).unwrap();
    refused(&site, &[], &["producer/build/index.js is missing: run `make build`"]);
}
