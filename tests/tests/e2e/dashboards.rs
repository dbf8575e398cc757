//! What `docs/grafana` and `docs/scrape.md` ship, in a real Prometheus that scrapes a real run.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::TcpListener,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use tempfile::TempDir;
use tributary_tests::{
    collector::Collector,
    grafana::{Dashboard, fenced, substitute},
    http::Client,
    installation::{Installation, repository},
    wait::eventually,
};

use crate::prometheus::Prometheus;

/// Longest wait for data: the rules and panels need a few scrapes, and dead letters a round through two queues.
const LIMIT: Duration = Duration::from_secs(120);

/// Panels without data in a run of ours in which everything but one delivery goes well: what never happened here, what
/// only other providers report, what only a cron does, which fires nowhere but in production, and what needs a store for
/// sticky assignments.
const EMPTY_HERE: [&str; 8] = [
    "Messages that cannot be read",
    "Deduplication of applies",
    "Fill of the deduplication map",
    "Events",
    "Provider starts",
    "Time since the last refresh",
    "Sticky assignments read",
    "Sticky assignments written",
];

/// What a local Confidence provider says after `n` scrapes: the same families with labels of its own, none of them
/// `resolver_id`.
fn provider_text(n: u32) -> String {
    let count = n * 10;
    format!(
        "# TYPE confidence_resolves_total counter\n\
         confidence_resolves_total{{reason=\"RESOLVE_REASON_MATCH\"}} {count}\n\
         # TYPE confidence_resolve_latency_microseconds histogram\n\
         confidence_resolve_latency_microseconds_bucket{{le=\"1.000000e1\"}} {n}\n\
         confidence_resolve_latency_microseconds_bucket{{le=\"1.000000e2\"}} {count}\n\
         confidence_resolve_latency_microseconds_bucket{{le=\"+Inf\"}} {count}\n\
         confidence_resolve_latency_microseconds_sum {count}\n\
         confidence_resolve_latency_microseconds_count {count}\n\
         confidence_apply_dedup_applies_total {count}\n\
         confidence_apply_dedup_deduped_total {n}\n\
         confidence_apply_dedup_overflow_total 0\n\
         confidence_apply_dedup_sweeps_total {n}\n\
         confidence_apply_dedup_map_size 10\n\
         confidence_apply_dedup_map_capacity 100\n\
         confidence_flush_succeeded_total {n}\n\
         confidence_flush_failed_total 0\n\
         confidence_events_published_total {n}\n\
         confidence_events_rejected_total 0\n\
         confidence_event_batches_succeeded_total {n}\n\
         confidence_event_batches_failed_total 0\n\
         confidence_provider_init_total{{sdk=\"java\"}} 1\n\
         confidence_memory_bytes 1000000\n\
         confidence_state_last_update_timestamp_seconds 1700000000\n"
    )
}

/// Serves [`provider_text`] for the rest of the process, and says where.
fn serve_provider() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for (stream, n) in listener.incoming().zip(1..) {
            let Ok(mut stream) = stream else { continue };
            let Ok(reading) = stream.try_clone() else { continue };
            let _headers =
                BufReader::new(reading).lines().map_while(Result::ok).take_while(|line| !line.is_empty()).count();
            let text = provider_text(n);
            let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nConnection: close\r\n";
            // A scraper that went away scrapes again.
            drop(write!(stream, "{head}Content-Length: {}\r\n\r\n{text}", text.len()));
        }
    });
    address
}

fn is_installed(program: &str) -> bool {
    let found = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    if !found {
        println!("SKIPPED: {program} is not installed; get it with: sudo apt-get install -y prometheus");
    }
    found
}

fn promtool(folder: &Path, arguments: &[&str]) {
    let output = Command::new("promtool").args(arguments).current_dir(folder).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "promtool {arguments:?}: {text}");
}

fn read(path: &str) -> String {
    fs::read_to_string(repository().join(path)).unwrap()
}

/// Prometheus' own configurations of `docs/scrape.md`.
fn examples() -> Vec<String> {
    let examples = fenced(&read("docs/scrape.md"), "# prometheus.yml");
    assert_eq!(examples.len(), 3);
    examples
}

#[test]
fn rules_are_valid_and_each_alert_fires_when_it_should_and_only_then() {
    if !is_installed("promtool") {
        return;
    }
    let folder = repository().join("docs/grafana");
    promtool(&folder, &["check", "rules", "rules.yaml"]);
    promtool(&folder, &["test", "rules", "rules_test.yaml", "rules_week_test.yaml"]);
}

#[test]
fn every_scrape_example_is_a_valid_configuration() {
    if !is_installed("promtool") {
        return;
    }
    let page = read("docs/scrape.md");
    let mut configs = examples();
    configs.extend(fenced(&page, "# vmagent.yaml"));
    // Under `config`, four columns deeper, stands what Prometheus has at the top.
    let collector = fenced(&page, "# otel-collector.yaml").concat();
    let inner: Vec<&str> = collector
        .lines()
        .skip_while(|line| line.trim() != "config:")
        .skip(1)
        .map_while(|line| line.strip_prefix("      "))
        .collect();
    assert_eq!(inner.first(), Some(&"scrape_configs:"));
    configs.push(inner.join("\n"));
    assert_eq!(configs.len(), 5);
    for config in configs {
        let folder = TempDir::new().unwrap();
        for secret in ["tributary.token", "client.secret"] {
            fs::write(folder.path().join(secret), "secret").unwrap();
        }
        fs::copy(repository().join("docs/grafana/rules.yaml"), folder.path().join("rules.yaml")).unwrap();
        fs::write(folder.path().join("prometheus.yml"), config).unwrap();
        promtool(folder.path(), &["check", "config", "prometheus.yml"]);
    }
}

/// Resolves a few flags and lets an assignment go to the backend.
fn resolve(installation: &Installation, round: usize) {
    for n in 0..5 {
        let body = installation.resolve_body(&format!("user-{round}-{n}"), "se", true);
        let reply = installation.send("POST", "/v1/flags:resolve", &[], &body).unwrap();
        assert_eq!(reply.status, 200, "{}", reply.body);
    }
}

/// The panels for which no query gives a number, among those that must have one.
fn without_data(
    prometheus: &Prometheus,
    dashboard: &Dashboard,
    job: &str,
    is_wanted: impl Fn(&str, &str) -> bool,
) -> Vec<String> {
    let values = [("__rate_interval", "30s"), ("job", job), ("resolver_id", ".*")];
    let mut without = Vec::new();
    for (row, panel) in dashboard.in_rows() {
        let mut has_data = false;
        for target in &panel.targets {
            let query = substitute(&target.expr, &values);
            assert!(!query.contains('$'), "{query}");
            // Every query must be one, also those that give nothing here.
            let found = prometheus.values(&query).unwrap_or_else(|error| panic!("{}: {query}: {error}", panel.title));
            has_data |= found.iter().any(|value| value.is_finite());
        }
        if !has_data && is_wanted(row, &panel.title) {
            without.push(panel.title.clone());
        }
    }
    without
}

/// Waits for a condition while traffic goes on.
fn under_traffic(installation: &Installation, what: &str, mut condition: impl FnMut() -> Result<(), String>) {
    let mut round = 0;
    eventually(LIMIT, what, || {
        round += 1;
        resolve(installation, round);
        condition()
    });
}

fn none(without: Vec<String>) -> Result<(), String> {
    if without.is_empty() { Ok(()) } else { Err(format!("no data: {}", without.join(", "))) }
}

#[test]
fn every_panel_and_every_rule_says_something_of_a_real_run() {
    if !is_installed("prometheus") {
        return;
    }
    let collector = Collector::start().unwrap();
    let installation = Installation::start(|options| {
        options.consumer_vars.insert("OTEL_EXPORTER_OTLP_ENDPOINT".into(), collector.url().into());
        options.consumer_vars.insert("OTEL_METRIC_EXPORT_INTERVAL".into(), "1000".into());
    })
    .unwrap();
    let running = &installation.running;
    let target = running.base_url().strip_prefix("http://").unwrap();
    let token = running.metrics_token().reveal();
    let as_shipped = |config: &str| {
        config
            .replace("scheme: https", "scheme: http")
            .replace("your-worker.example.workers.dev", target)
            .replace("<METRICS_TOKEN>", token)
            .replace("<CONFIDENCE_CLIENT_SECRET>", running.client_secret().reveal())
    };
    let examples: Vec<String> = examples().iter().map(|config| as_shipped(config)).collect();
    let rules = read("docs/grafana/rules.yaml");
    let files = [("tributary.token", token), ("rules.yaml", rules.as_str())];
    let provider = format!("  - job_name: provider\n    static_configs: [{{ targets: ['{}'] }}]\n", serve_provider());
    let prometheus = Prometheus::with_config(&(examples[0].clone() + &provider), &files);

    // Dead letters belong to the picture: for a moment the backend refuses everything.
    let faults = format!("{}/faults", running.backend_url());
    let fault = |method: &str, body: &str| {
        assert_eq!(Client::default().send(method, &faults, &[], body.as_bytes()).unwrap().status, 204);
    };
    under_traffic(&installation, "the first scrape", || prometheus.query("tributary_ledger_series > 0").map(drop));
    fault("POST", r#"{"status":400}"#);
    under_traffic(&installation, "a dead letter", || prometheus.query("sum(tributary_dead_letters) > 0").map(drop));
    fault("DELETE", "");

    let dashboard = Dashboard::parse(&read("docs/grafana/tributary.json")).unwrap();
    under_traffic(&installation, "data on every panel", || {
        none(without_data(&prometheus, &dashboard, "tributary", |_, title| !EMPTY_HERE.contains(&title)))
    });
    // The same dashboard serves providers that know nothing of Tributary.
    under_traffic(&installation, "data of another provider", || {
        none(without_data(&prometheus, &dashboard, "provider", |row, title| {
            ["Resolves", "Latency", "Providers"].contains(&row) || title == "Flushes of flag logs"
        }))
    });
    for variable in dashboard.variables().iter().filter(|variable| variable.kind == "query") {
        let query = variable.query["query"].as_str().unwrap();
        let (series, label) =
            query.strip_prefix("label_values(").unwrap().trim_end_matches(')').rsplit_once(", ").unwrap();
        let series = substitute(series, &[("job", ".*")]);
        let found = prometheus.api(&format!("label/{label}/values"), &[("match[]", &series)]).unwrap();
        assert!(!found.as_array().unwrap().is_empty(), "{query}");
    }
    expect_rules(&installation, &prometheus);

    for config in &examples[1..] {
        let prometheus = Prometheus::with_config(config, &files);
        eventually(LIMIT, config, || match prometheus.query("up{job=\"tributary\"}")? {
            1.0 => Ok(()),
            up => Err(format!("up is {up}")),
        });
    }
}

/// Every rule is evaluated without an error, records something, and alerts only of what happened.
fn expect_rules(installation: &Installation, prometheus: &Prometheus) {
    // There is no week ago.
    let without_history = "job:tributary_records_applied:increase30m_offset1w";
    under_traffic(installation, "all rules", || {
        let answer = prometheus.api("rules", &[])?;
        let groups = answer["groups"].as_array().ok_or("no groups")?;
        let rules: Vec<_> = groups.iter().filter_map(|group| group["rules"].as_array()).flatten().collect();
        if rules.len() < 25 {
            return Err(format!("{} rules", rules.len()));
        }
        for rule in rules {
            let name = rule["name"].as_str().unwrap_or_default();
            if rule["health"] != "ok" {
                return Err(rule.to_string());
            }
            let state = rule["state"].as_str().unwrap_or_default();
            let is_as_expected = match name {
                // They wait five minutes before they fire.
                "TributaryDeadLetters" | "TributaryBackendRefusing" => state == "pending",
                "TributaryNoData"
                | "TributaryScrapeDown"
                | "TributaryLostRecords"
                | "TributaryMalformed"
                | "TributaryStalled"
                | "TributarySeriesRefused"
                | "TributaryLedgerNearBounds" => state == "inactive",
                _ if rule["type"] == "recording" && name != without_history => {
                    prometheus.values(name)?.iter().any(|value| value.is_finite())
                }
                // How fast this machine is, is no matter here.
                _ => true,
            };
            if !is_as_expected {
                return Err(format!("{name} {state}"));
            }
        }
        Ok(())
    });
}
