//! The status page in a real Chromium, and its HTTP by hand.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
    time::Duration,
};

use tributary_local::traffic::Traffic;
use tributary_tests::{
    exposition::Exposition,
    installation::{Installation, repository},
    wait::eventually,
};

const BROWSER: (&str, &str) = ("Accept", "text/html,application/xhtml+xml,*/*;q=0.8");
const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");

/// Where Debian's package has it, or another on the `PATH`.
fn chromium() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|folder| folder.join("chromium")).find(|file| file.is_file())
}

#[test]
fn a_browser_logs_in_and_sees_the_numbers_of_metrics_live() {
    let Some(chromium) = chromium() else {
        println!("SKIPPED: chromium is not installed; get it with: sudo apt-get install -y chromium");
        return;
    };
    let installation = Installation::start(|_| {}).unwrap();
    let running = &installation.running;
    // A history to show; it ends before the numbers are compared.
    let traffic = Traffic::start(running.base_url(), running.client_secret(), 20, 1, |_| {}).unwrap();
    eventually(Duration::from_secs(30), "a hundred resolves on /metrics", || {
        let count = installation.metrics()?.sum("confidence_resolve_latency_microseconds_count");
        if count >= 100.0 { Ok(()) } else { Err(format!("{count}")) }
    });
    let totals = traffic.stop();
    settle(&installation, totals.resolves + totals.applies);

    let screenshots = std::env::var("SCREENSHOTS").unwrap_or_default();
    let output = Command::new(repository().join("wrangler/node_modules/.bin/node"))
        .arg(repository().join("tests/browser/status_page.mjs"))
        .args([running.base_url(), &screenshots])
        .env("CHROMIUM", chromium)
        .env("METRICS_TOKEN", running.metrics_token().reveal())
        .env("RESOLVE_BODY", String::from_utf8(installation.resolve_body("browser", "SE", true)).unwrap())
        // Open for as long as this test runs: its end closes the browser.
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .and_then(keep_stdin_open)
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let seen: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let steps = &seen["steps"];

    // Who may: the form first, again after a wrong token, and what comes after the right one.
    assert_eq!(steps["first"], serde_json::json!({"status": 401, "focused": "token"}));
    assert_eq!(steps["metricsBefore"], 401);
    assert_eq!(steps["wrong"]["status"], 401);
    assert!(steps["wrong"]["alert"].as_str().unwrap().starts_with("That is not the token"));
    let cookie = &steps["cookie"];
    assert_eq!((cookie["name"].as_str(), cookie["path"].as_str()), (Some("tributary"), Some("/")));
    assert_eq!((cookie["httpOnly"].as_bool(), cookie["sameSite"].as_str()), (Some(true), Some("Strict")));
    assert!((1.0..=43_201.0).contains(&cookie["lifetime"].as_f64().unwrap()), "{cookie}");
    assert_eq!(steps["cookieHidden"], true);

    // The page says what /metrics says.
    let metrics = installation.metrics().unwrap();
    let shown = &steps["totals"];
    let by_reason = |reason: &str| sum_of(&metrics, "confidence_resolves_total", &format!("reason={reason:?}"));
    assert_eq!(shown["match"].as_f64().unwrap(), by_reason("RESOLVE_REASON_MATCH"));
    assert_eq!(shown["noSegmentMatch"].as_f64().unwrap(), by_reason("RESOLVE_REASON_NO_SEGMENT_MATCH"));
    assert!(shown["before"].as_f64() < shown["match"].as_f64(), "live: {shown}");
    assert_eq!(shown["applied"].as_f64().unwrap(), sum_of(&metrics, "tributary_messages_total", "outcome=\"applied\""));
    assert_eq!(shown["sent"].as_f64().unwrap(), metrics.sum("tributary_records_sent_total"));
    let text = steps["text"].as_str().unwrap();
    for word in ["NaN", "undefined", "null", "Infinity", "[object"] {
        assert!(!text.contains(word), "{word}: {text}");
    }
    assert!(steps["freshness"].as_str().unwrap().starts_with("Live · read"));
    assert_eq!(steps["banner"], "");
    let versions = steps["versions"].as_str().unwrap();
    assert!(versions.contains("Producer 0.") && versions.contains("Consumer 0."), "{versions}");
    assert_eq!((steps["charts"].as_u64(), steps["described"].as_u64()), (Some(5), Some(5)));
    for (what, overflow) in steps["overflow"].as_object().unwrap() {
        assert_eq!(overflow, 0, "{what}: the page is wider than the window");
    }

    // Nothing is logged, nothing violates the policy, nobody else is asked.
    assert_eq!(steps["consoleOfPage"], serde_json::json!([]));
    let refusals = steps["consoleOfRefusals"].as_array().unwrap();
    assert!(refusals.iter().all(|line| line["text"].as_str().unwrap().contains("status of 401")), "{refusals:?}");
    assert_eq!(seen["origins"], serde_json::json!([running.base_url()]));

    // A failure is said, and its end.
    assert_eq!(steps["failing"]["role"], "status");
    assert!(steps["failing"]["line"].as_str().unwrap().starts_with("Not live"));
    assert_eq!(steps["bannerAfter"], "");

    // The cookie reads and changes nothing.
    assert_eq!(steps["deadLetters"], serde_json::json!([401, 401]));
    assert_eq!(steps["cookiesAfter"], 0);
}

/// The sum over all series with a label.
fn sum_of(metrics: &Exposition, name: &str, label: &str) -> f64 {
    metrics.series(name).filter(|(series, _)| series.contains(label)).map(|(_, value)| value).sum()
}

/// Waits until nothing of the traffic is on its way.
fn settle(installation: &Installation, requests: u64) {
    let mut last = String::new();
    let mut same = 0;
    eventually(Duration::from_secs(60), "counts that stand still", || {
        let metrics = installation.metrics()?;
        let now = format!(
            "{} {}",
            metrics.sum("tributary_records_sent_total"),
            metrics.sum("confidence_resolve_latency_microseconds_count")
        );
        same = if now == last { same + 1 } else { 0 };
        last.clone_from(&now);
        // Longer than a flush, a batch and a publication take together.
        if same > 50 { Ok(()) } else { Err(format!("{now} after {requests} requests")) }
    });
}

fn keep_stdin_open(mut child: std::process::Child) -> std::io::Result<std::process::Output> {
    let stdin = child.stdin.take();
    let output = child.wait_with_output();
    drop(stdin);
    output
}

#[test]
fn the_page_is_closed_to_others_and_its_cookie_opens_reads_alone() {
    let installation = Installation::start(|_| {}).unwrap();
    let send = |method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]| {
        installation.send(method, path, headers, body).unwrap()
    };
    let machine = send("GET", "/status", &[], b"");
    assert_eq!((machine.status, machine.header("Content-Type")), (401, "application/json"));
    let form = send("GET", "/status", &[BROWSER], b"");
    assert_eq!((form.status, form.header("Cache-Control")), (401, "no-store"));
    assert!(form.body.contains("<form method=\"post\" action=\"/status/login\">"));
    assert!(form.header("Content-Security-Policy").starts_with("default-src 'none'; script-src 'self';"));

    let long = format!("token={}", "x".repeat(100_000));
    assert_eq!(send("POST", "/status/login", &[BROWSER, FORM], long.as_bytes()).status, 413);
    assert_eq!(send("POST", "/status/login", &[BROWSER], b"token=x").status, 415);
    assert_eq!(send("POST", "/status/login", &[FORM, ("Sec-Fetch-Site", "cross-site")], b"token=x").status, 403);
    assert_eq!(send("POST", "/status/login", &[BROWSER, FORM], b"").status, 401);
    assert_eq!(send("GET", "/status/login", &[BROWSER], b"").status, 405);

    let body = format!("token={}", installation.running.metrics_token().reveal());
    let login = send("POST", "/status/login", &[BROWSER, FORM], body.as_bytes());
    assert_eq!((login.status, login.header("Location")), (303, "/status"), "{}", login.body);
    let set_cookie = login.header("Set-Cookie").to_owned();
    assert!(set_cookie.contains("; HttpOnly; SameSite=Strict"), "{set_cookie}");
    let cookie = ("Cookie", set_cookie.split(';').next().unwrap());

    let page = send("GET", "/status", &[BROWSER, cookie], b"");
    assert_eq!((page.status, page.header("Content-Type")), (200, "text/html; charset=utf-8"));
    assert_eq!(send("HEAD", "/status", &[BROWSER, cookie], b"").body, "");
    assert_eq!(send("GET", "/metrics", &[cookie], b"").status, 200);
    assert_eq!(
        send("GET", "/status/versions", &[cookie], b"").json()["consumer"]["version"],
        env!("CARGO_PKG_VERSION")
    );
    assert_eq!(send("GET", "/dead-letters", &[cookie], b"").status, 401);
    for change in ["/dead-letters:redrive", "/dead-letters:discard?reason=protobuf"] {
        assert_eq!(send("POST", change, &[cookie], b"").status, 401, "{change}");
    }
    assert_eq!(send("GET", "/metrics", &[cookie, ("Authorization", "Bearer wrong")], b"").status, 401);

    let script = send("GET", "/status/app.js", &[], b"");
    assert_eq!((script.status, script.header("Content-Type")), (200, "text/javascript; charset=utf-8"));
    let tag = script.header("ETag").to_owned();
    assert_eq!(send("GET", "/status/app.js", &[("If-None-Match", &tag)], b"").status, 304);

    let logout = send("POST", "/status/logout", &[BROWSER, cookie], b"");
    assert!(logout.status == 303 && logout.header("Set-Cookie").contains("Max-Age=0"));
}

#[test]
fn without_a_secret_the_page_is_closed_and_says_why() {
    let folder = tempfile::TempDir::new().unwrap();
    let none = [("METRICS_TOKEN", ""), ("CONFIDENCE_CLIENT_SECRET", "")];
    let consumer = tributary_tests::consumer::Consumer::start(folder.path(), &none).unwrap();
    let page = consumer.send("GET", "/status", &[BROWSER], b"").unwrap();
    assert_eq!(page.status, 503);
    assert!(page.body.contains("METRICS_TOKEN") && page.header("Content-Type").starts_with("text/html"));
    assert_eq!(consumer.send("GET", "/status", &[], b"").unwrap().json()["error"]["code"], "NOT_CONFIGURED");
    assert_eq!(consumer.send("GET", "/status/app.css", &[], b"").unwrap().status, 200);
}
