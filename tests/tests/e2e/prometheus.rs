//! A real Prometheus scrapes the running endpoint, and its query API says the same numbers.

use std::{
    fs,
    net::TcpListener,
    process::{Child, Command, Stdio},
    time::Duration,
};

use tempfile::TempDir;
use tributary_tests::{http::Client, installation::Installation, wait::eventually};

/// A running Prometheus. Stops when it is dropped.
struct Prometheus {
    process: Child,
    url: String,
    client: Client,
    _folder: TempDir,
}

impl Prometheus {
    /// Starts one that scrapes `target` every second.
    fn start(target: &str, token: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let config = folder.path().join("prometheus.yml");
        let text = format!(
            "global: {{ scrape_interval: 1s }}\n\
             scrape_configs:\n\
             - job_name: tributary\n\
             \x20 authorization: {{ type: Bearer, credentials: {token} }}\n\
             \x20 static_configs: [{{ targets: ['{target}'] }}]\n"
        );
        fs::write(&config, text).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let process = Command::new("prometheus")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { process, url: format!("http://127.0.0.1:{port}"), client: Client::default(), _folder: folder }
    }

    /// The value of an instant query that gives one number.
    fn query(&self, query: &str) -> Result<f64, String> {
        let encoded: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let reply = self.client.send("GET", &format!("{}/api/v1/query?query={encoded}", self.url), &[], b"")?;
        let answer = reply.json();
        let value = answer["data"]["result"][0]["value"][1].as_str().ok_or_else(|| reply.body.clone())?;
        value.parse().map_err(|error| format!("{error}: {value}"))
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        if self.process.kill().is_ok() {
            self.process.wait().unwrap();
        }
    }
}

#[test]
fn prometheus_scrapes_the_exact_numbers() {
    if Command::new("prometheus").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_err() {
        println!("SKIPPED: prometheus is not installed; get it with: sudo apt-get install -y prometheus");
        return;
    }
    let installation = Installation::start(|_| {}).unwrap();
    let target = installation.running.base_url().strip_prefix("http://").unwrap();
    let prometheus = Prometheus::start(target, installation.running.metrics_token().reveal());
    let mut flags = 0.0;
    for n in 0..30 {
        let body = installation.resolve_body(&format!("user-{n}"), "se", true);
        let reply = installation.send("POST", "/v1/flags:resolve", &[], &body).unwrap();
        assert_eq!(reply.status, 200);
        #[expect(clippy::cast_precision_loss, reason = "a handful of flags")]
        let resolved = reply.json()["resolvedFlags"].as_array().unwrap().len() as f64;
        flags += resolved;
    }
    let expect = |query: &str, expected: f64| {
        eventually(Duration::from_secs(30), query, || match prometheus.query(query)? {
            value if value == expected => Ok(()),
            value => Err(format!("{value} instead of {expected}")),
        });
    };
    expect("sum(confidence_resolves_total)", flags);
    expect("confidence_resolve_latency_microseconds_count", 30.0);
    expect("confidence_resolve_latency_microseconds_bucket{le=\"+Inf\"}", 30.0);
    expect("up{job=\"tributary\"}", 1.0);
    let quantile = "histogram_quantile(0.99, sum by (le) (confidence_resolve_latency_microseconds_bucket))";
    assert!(prometheus.query(quantile).unwrap().is_finite());
    let metrics = installation.metrics().unwrap();
    assert_eq!(metrics.sum("confidence_resolves_total"), flags);
}
