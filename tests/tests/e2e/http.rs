//! Bad requests: the right answer, nothing counted, and the isolate lives on.

use std::time::Duration;

use tributary_tests::{
    collector::Collector, http::Reply, installation::Installation, producer::Producer, wait::eventually,
};

fn error(reply: &Reply) -> String {
    let message = reply.json()["error"]["message"].as_str().unwrap_or_default().to_owned();
    assert!(!message.is_empty(), "no JSON error: {} {}", reply.status, reply.body);
    message
}

#[test]
fn bad_input_gets_the_right_answer_and_counts_nothing() {
    let installation = Installation::start(|_| {}).unwrap();
    let send = |method: &str, path: &str, body: &[u8]| installation.send(method, path, &[], body).unwrap();
    let secret = installation.running.client_secret().reveal();

    // Not JSON, JSON of another shape, a wrong type, nothing, deep nesting.
    let deep = format!("{{\"evaluationContext\":{}1{}}}", "{\"a\":".repeat(50_000), "}".repeat(50_000));
    let typed = format!(r#"{{"clientSecret":"{secret}","apply":"yes","sendTime":"yesterday"}}"#);
    for body in ["{", "[]", "", "null", typed.as_str(), "\u{0}\u{1}"] {
        for path in ["/v1/flags:resolve", "/v1/flags:apply"] {
            let reply = send("POST", path, body.as_bytes());
            assert_eq!(reply.status, 400, "{path} {:.40}: {}", body, reply.body);
            error(&reply);
        }
    }
    assert_eq!(send("POST", "/v1/flags:resolve", deep.as_bytes()).status, 400);
    assert_eq!(send("POST", "/v1/flags:resolve", &[0xff, 0xfe]).status, 400);

    let reply = send("POST", "/v1/flags:resolve", &vec![b' '; 5 << 20]);
    assert_eq!(reply.status, 413, "{}", reply.body);
    error(&reply);

    // An unknown secret, also one that is cut inside a character by whoever masks it: no other secret shows.
    for unknown in ["wrong", "ééééééééé", ""] {
        let body = serde_json::json!({"clientSecret": unknown, "apply": true, "evaluationContext": {}}).to_string();
        let reply = send("POST", "/v1/flags:resolve", body.as_bytes());
        assert_eq!(reply.status, 401, "{}", reply.body);
        assert!(!error(&reply).contains(&secret[..3]), "{}", reply.body);
    }

    // A token that was not made here.
    for token in ["AAAA", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"] {
        let body = serde_json::json!({
            "clientSecret": secret, "resolveToken": token, "sendTime": "2026-11-22T10:00:01Z",
            "flags": [{"flag": "flags/checkout-button", "applyTime": "2026-11-22T10:00:00Z"}],
        });
        let reply = send("POST", "/v1/flags:apply", body.to_string().as_bytes());
        assert_eq!(reply.status, 400, "{}", reply.body);
        error(&reply);
    }
    // No token at all is a success that does nothing.
    let body = serde_json::json!({"clientSecret": secret, "flags": [], "sendTime": "2026-11-22T10:00:01Z"});
    assert_eq!(send("POST", "/v1/flags:apply", body.to_string().as_bytes()).status, 200);

    for (method, path, status) in [
        ("GET", "/", 404),
        ("POST", "/v1/flags:unknown", 404),
        ("GET", "/v1/flags:resolve", 405),
        ("PUT", "/v1/flags:resolve", 405),
        ("POST", "/v1/state:etag", 405),
        ("DELETE", "/metrics", 405),
    ] {
        let reply = send(method, path, b"");
        assert_eq!(reply.status, status, "{method} {path}: {}", reply.body);
        assert_eq!(reply.header("Allow").is_empty(), status != 405, "{method} {path}");
        error(&reply);
    }

    let preflight = send("OPTIONS", "/v1/flags:resolve", b"");
    assert!(preflight.status == 204 || preflight.status == 200);
    assert_eq!(preflight.header("Access-Control-Allow-Origin"), "*");
    let etag = send("GET", "/v1/state:etag", b"");
    assert_eq!(etag.status, 200);
    assert!(!etag.json()["etag"].as_str().unwrap().is_empty(), "{}", etag.body);

    // The isolate lives on, and only this one counts.
    let good = send("POST", "/v1/flags:resolve", &installation.resolve_body("user-1", "se", true));
    assert_eq!(good.status, 200, "{}", good.body);
    assert_eq!(good.header("Access-Control-Allow-Origin"), "*");
    let metrics = eventually(Duration::from_secs(10), "one resolve on /metrics", || {
        let metrics = installation.metrics()?;
        let count = metrics.sum("confidence_resolve_latency_microseconds_count");
        if count > 0.0 { Ok(metrics) } else { Err(format!("{count}")) }
    });
    assert_eq!(metrics.sum("confidence_resolve_latency_microseconds_count"), 1.0);
    #[expect(clippy::cast_precision_loss, reason = "a handful of flags")]
    let flags = good.json()["resolvedFlags"].as_array().unwrap().len() as f64;
    assert_eq!(metrics.sum("confidence_resolves_total"), flags);
}

#[test]
fn metrics_are_closed_without_the_token_and_speak_both_formats_with_it() {
    let installation = Installation::start(|_| {}).unwrap();
    for authorization in ["", "Bearer wrong", "ClientSecret wrong", "Basic x"] {
        let reply = installation.send("GET", "/metrics", &[("Authorization", authorization)], b"").unwrap();
        assert_eq!(reply.status, 401);
        assert!(!reply.body.contains("confidence_"), "{}", reply.body);
    }
    let secret = format!("ClientSecret {}", installation.running.client_secret().reveal());
    assert_eq!(installation.send("GET", "/metrics", &[("Authorization", &secret)], b"").unwrap().status, 200);

    let openmetrics = installation.scrape("/metrics", "application/openmetrics-text;version=1.0.0").unwrap();
    assert_eq!(openmetrics.header("Content-Type"), "application/openmetrics-text; version=1.0.0; charset=utf-8");
    assert!(openmetrics.body.ends_with("# EOF\n"));
    let text = installation.scrape("/metrics", "*/*").unwrap();
    assert_eq!(text.header("Content-Type"), "text/plain; version=0.0.4; charset=utf-8");
    assert!(!text.body.contains("# EOF"));
    assert!(text.body.contains("# TYPE confidence_resolves_total counter"));

    let buckets = |path: &str| {
        let reply = installation.scrape(path, "*/*").unwrap();
        assert_eq!(reply.status, 200, "{path}: {}", reply.body);
        reply.body.matches("confidence_resolve_latency_microseconds_bucket").count()
    };
    assert_eq!(buckets("/metrics"), 175);
    assert_eq!(buckets("/metrics?buckets_per_decade=18"), 175);
    assert_eq!(buckets("/metrics?buckets_per_decade=3"), 174 / 6 + 1);
    assert_eq!(buckets("/metrics?buckets_per_decade=1&openmetrics=true"), 174 / 18 + 1);
    for bad in ["/metrics?buckets_per_decade=0", "/metrics?buckets_per_decade=x", "/metrics?openmetrics=perhaps"] {
        let reply = installation.scrape(bad, "*/*").unwrap();
        assert_eq!(reply.status, 400);
        assert!(error(&reply).contains(bad.split(['?', '=']).nth(1).unwrap()), "{}", reply.body);
    }
    let token = format!("Bearer {}", installation.running.metrics_token().reveal());
    let head = installation.send("HEAD", "/metrics", &[("Authorization", &token)], b"").unwrap();
    assert_eq!((head.status, head.body.as_str()), (200, ""));
}

#[test]
fn a_request_of_another_worker_is_answered() {
    let folder = tempfile::tempdir().unwrap();
    let queue = Collector::start().unwrap();
    let producer = Producer::start(folder.path(), queue.url(), &[]).unwrap();
    // The first of its isolate, which is when it asks where it is.
    let resolved = producer.resolve_for_worker("somebody", "SE").unwrap();
    assert!(!resolved["resolvedFlags"].as_array().unwrap().is_empty(), "{resolved}");
    assert_eq!(resolved["resolvedFlags"], producer.resolve("somebody", "SE").unwrap()["resolvedFlags"]);
}
