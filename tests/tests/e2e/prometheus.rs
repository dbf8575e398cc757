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
pub(crate) struct Prometheus {
    process: Child,
    url: String,
    client: Client,
    _folder: TempDir,
}

impl Prometheus {
    /// Starts one that scrapes `target` every second.
    fn start(target: &str, token: &str) -> Self {
        let config = format!(
            "scrape_configs:\n\
             - job_name: tributary\n\
             \x20 authorization: {{ type: Bearer, credentials: {token} }}\n\
             \x20 static_configs: [{{ targets: ['{target}'] }}]\n"
        );
        Self::with_config(&config, &[])
    }

    /// Starts one with this configuration, which has no `global` part, and with these files beside it. It scrapes and
    /// evaluates every second.
    pub(crate) fn with_config(config: &str, files: &[(&str, &str)]) -> Self {
        Self::start_with(config, files, &[])
    }

    /// The same with further arguments.
    pub(crate) fn start_with(config: &str, files: &[(&str, &str)], arguments: &[&str]) -> Self {
        let folder = TempDir::new().unwrap();
        for (name, content) in files {
            fs::write(folder.path().join(name), content).unwrap();
        }
        let path = folder.path().join("prometheus.yml");
        fs::write(&path, format!("global: {{ scrape_interval: 1s, evaluation_interval: 1s }}\n{config}")).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let process = Command::new("prometheus")
            .arg(format!("--config.file={}", path.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .args(arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { process, url: format!("http://127.0.0.1:{port}"), client: Client::default(), _folder: folder }
    }

    /// What the API answers; an error of the API is an error.
    pub(crate) fn api(&self, path: &str, parameters: &[(&str, &str)]) -> Result<serde_json::Value, String> {
        let encode = |text: &str| text.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
        let query: Vec<_> =
            parameters.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
        let reply = self.client.send("GET", &format!("{}/api/v1/{path}?{}", self.url, query.join("&")), &[], b"")?;
        match reply.json() {
            mut answer if answer["status"] == "success" => Ok(answer["data"].take()),
            _ => Err(reply.body),
        }
    }

    /// The values of an instant query, one for each series.
    pub(crate) fn values(&self, query: &str) -> Result<Vec<f64>, String> {
        let data = self.api("query", &[("query", query)])?;
        let series = data["result"].as_array().ok_or_else(|| data.to_string())?;
        let value = |series: &serde_json::Value| series["value"][1].as_str()?.parse().ok();
        series.iter().map(|series| value(series).ok_or_else(|| series.to_string())).collect()
    }

    /// The value of an instant query that gives one number.
    pub(crate) fn query(&self, query: &str) -> Result<f64, String> {
        self.values(query)?.first().copied().ok_or_else(|| format!("nothing for {query}"))
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
