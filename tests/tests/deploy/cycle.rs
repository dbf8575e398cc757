//! The whole life of an installation, with the real Workers in workerd.

use std::time::Duration;

use serde_json::{Value, json};
use tributary_tests::exposition::Exposition;
use tributary_tests::http::{Client, Reply};
use tributary_tests::wait::eventually;

use crate::support::Site;

const LIMIT: Duration = Duration::from_secs(90);

pub(crate) fn send(
    site: &Site,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &Value,
) -> Result<Reply, String> {
    let host = site.cloud.worker_host("tributary-producer");
    let headers: Vec<(&str, &str)> = headers.iter().copied().chain([("host", host.as_str())]).collect();
    let body = if body.is_null() { String::new() } else { body.to_string() };
    Client::default().send(method, &format!("{}{path}", site.cloud.workers_origin()), &headers, body.as_bytes())
}

/// The variant of `new-search` that a user in Germany gets, empty for none.
fn variant(site: &Site) -> Result<String, String> {
    let body = json!({
        "clientSecret": site.cloud.confidence().client_secret(),
        "evaluationContext": {"targeting_key": "me", "visitor_id": "me", "country": "DE"},
        "flags": ["flags/new-search"],
        "apply": true,
    });
    let reply = send(site, "POST", "/v1/flags:resolve", &[], &body)?;
    if reply.status != 200 {
        return Err(format!("{}: {}", reply.status, reply.body));
    }
    Ok(reply.json()["resolvedFlags"][0]["variant"].as_str().unwrap_or_default().to_owned())
}

fn resolves(site: &Site, token: &str) -> Result<f64, String> {
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", bearer.as_str()), ("accept", "application/openmetrics-text;version=1.0.0")];
    let reply = send(site, "GET", "/metrics", &headers, &Value::Null)?;
    if reply.status != 200 {
        return Err(format!("{}: {}", reply.status, reply.body));
    }
    Ok(Exposition::parse(&reply.body)?.sum("confidence_resolves_total"))
}

fn counted(site: &Site, token: &str, expected: f64) {
    eventually(LIMIT, &format!("{expected} resolves on /metrics"), || match resolves(site, token)? {
        sum if sum == expected => Ok(()),
        sum => Err(format!("{sum}")),
    });
}

#[test]
fn deploy_resolve_scrape_change_a_flag_redeploy_roll_back_destroy() {
    let site = Site::real();
    let first = site.run(&["deploy"]);
    let token = first.token().expect("METRICS_TOKEN is shown");
    let output = first.ok();
    assert!(output.contains("checked     https://tributary-producer."), "{output}");

    assert_eq!(variant(&site).unwrap(), "");
    counted(&site, &token, 1.0);

    // Somebody changes the flag in Confidence.
    site.cloud.confidence().set_flag("new-search", Some("enabled")).unwrap();
    let output = site.run(&["deploy"]).ok();
    assert!(output.contains("written     resolver state") && !output.contains("uploaded"), "{output}");
    let mut sent = 1.0;
    eventually(LIMIT, "the changed flag", || {
        let variant = variant(&site)?;
        sent += 1.0;
        if variant == "flags/new-search/variants/enabled" { Ok(()) } else { Err(variant) }
    });
    counted(&site, &token, sent);

    // An upgrade: other settings of both Workers. Counters go on.
    let output = site.run(&["deploy", "--consumer-var=METRICS_SOURCE=ledger", "--producer-var=ENVIRONMENT=test"]).ok();
    assert_eq!(output.matches("uploaded    Worker").count(), 2, "{output}");
    variant(&site).unwrap();
    sent += 1.0;
    counted(&site, &token, sent);
    let output = site.run(&["status"]).ok();
    for line in ["version 2", "/metrics    answers", "resolver    answers", "about 0 messages", "resolver state \""] {
        assert!(output.contains(line), "{line} in {output}");
    }

    site.run(&["rollback", "--yes"]).ok();
    let script = |name: &str| site.cloud.script(name).unwrap();
    assert_eq!(script("tributary-consumer").active_version().unwrap().binding("METRICS_SOURCE")["text"], "kv");
    variant(&site).unwrap();
    sent += 1.0;
    counted(&site, &token, sent);

    let output = site.run_with(&["destroy"], Some("tributary\n")).ok();
    assert!(output.contains("all counters, histograms and dead letters"), "{output}");
    assert!(site.cloud.scripts().is_empty() && site.cloud.queues().is_empty() && site.cloud.namespaces().is_empty());
    assert_ne!(send(&site, "GET", "/v1/state:etag", &[], &Value::Null).unwrap().status, 200);
    let output = site.run(&["status"]).ok();
    assert!(output.contains("Nothing is installed"), "{output}");
    assert!(site.run(&["destroy"]).ok().contains("Nothing of tributary is left"));
}
