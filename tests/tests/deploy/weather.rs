//! A Cloudflare on a bad day.

use std::time::{Duration, Instant};

use tributary_tests::cloudflare::{Effect, Fault};

use crate::support::Site;

#[test]
fn calls_that_may_pass_are_sent_again_and_nothing_is_made_twice() {
    let site = Site::small();
    let status = |status| Effect::Status { status, retry_after: None };
    for fault in [
        Fault::once("POST", "*/queues", Effect::LoseAnswer),
        Fault::once("POST", "*/queues", status(503)).nth(2),
        Fault::once("POST", "*/storage/kv/namespaces", Effect::LoseAnswer),
        Fault::once("POST", "*/storage/kv/namespaces", Effect::Reset).nth(2),
        Fault::once("PUT", "*/values/resolver_state", Effect::LoseAnswer),
        Fault::once("GET", "*/queues", status(502)),
        Fault::once("GET", "*/workers/subdomain", Effect::Reset),
    ] {
        site.cloud.fail(fault);
    }
    site.deploy(&[]).ok();
    let other = Site::small();
    other.deploy(&[]).ok();
    assert_eq!(site.shape(), other.shape());
}

#[test]
fn retry_after_is_waited_for() {
    let site = Site::small();
    site.cloud.fail(Fault::once("GET", "/accounts", Effect::Status { status: 429, retry_after: Some(2) }));
    let start = Instant::now();
    site.deploy(&["--dry-run"]).ok();
    assert!(start.elapsed() >= Duration::from_secs(2));
    site.cloud.fail(Fault::always("GET", "/accounts", Effect::Status { status: 429, retry_after: Some(3_600) }));
    let start = Instant::now();
    let error = site.deploy(&["--dry-run"]).failed();
    assert!(start.elapsed() < Duration::from_secs(30), "nobody waits an hour");
    assert!(error.contains("Cloudflare answers 429") && error.contains("1,200 calls in five minutes"), "{error}");
}

#[test]
fn an_outage_ends_with_what_to_do() {
    let site = Site::small();
    site.cloud.fail(Fault::always("POST", "*/queues", Effect::Status { status: 503, retry_after: None }));
    let error = site.deploy(&[]).failed();
    assert!(error.contains("cannot create the queue tributary-deltas-dead: status 503"), "{error}");
    assert!(error.contains("cloudflarestatus.com") && error.contains("goes on where it stopped"), "{error}");
}

/// wrangler's last answer gets lost: what is live decides, not what was heard.
#[test]
fn an_upload_whose_answer_was_lost_is_an_upload() {
    let site = Site::small();
    // The last write of the producer.
    site.cloud.fail(Fault::always("POST", "*/scripts/tributary-producer/subdomain", Effect::LoseAnswer));
    let run = site.deploy(&[]);
    site.cloud.heal();
    run.ok();
    site.cloud.forget_requests();
    site.deploy(&[]).ok();
    assert_eq!(site.writes().len(), 0);
}
