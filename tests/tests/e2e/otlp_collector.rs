//! The OpenTelemetry Collector takes what we push and serves it to a scraper with its Prometheus exporter: the same series,
//! names and values as on our own `/metrics`, pushed as totals, and as deltas that it adds up itself. Skipped loudly where
//! `make setup` found no Go to build it with.

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;
use tributary_tests::{collector::Collector, exposition::Exposition, wait::eventually};

use crate::{
    consumer::{LIMIT, backend, delivery},
    otlp::{Samples, difference, exposed, start},
};

fn program() -> Option<PathBuf> {
    let program = std::env::var_os("OTELCOL").map(PathBuf::from).filter(|program| program.is_file());
    if program.is_none() {
        println!("SKIPPED: the OpenTelemetry Collector takes the push; get Go with: sudo apt-get install -y golang");
    }
    program
}

/// A running Collector. Stops when it is dropped.
struct OpenTelemetryCollector {
    process: Child,
    otlp: String,
    scrape: String,
    folder: TempDir,
}

impl Drop for OpenTelemetryCollector {
    fn drop(&mut self) {
        // One that has ended already is no trouble.
        self.process.kill().unwrap_or_default();
        self.process.wait().map(drop).unwrap_or_default();
    }
}

impl OpenTelemetryCollector {
    fn start(program: &Path) -> Self {
        let free = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let (http, prometheus) = (free(), free());
        let folder = TempDir::new().unwrap();
        // Names as OTLP has them, with the suffixes of units and counters: the exporter's default.
        let config = serde_json::json!({
            "receivers": {"otlp": {"protocols": {"http": {"endpoint": format!("127.0.0.1:{http}")}}}},
            "processors": {"deltatocumulative": {}},
            "exporters": {"prometheus": {"endpoint": format!("127.0.0.1:{prometheus}")}},
            "service": {
                "telemetry": {"metrics": {"level": "none"}},
                "pipelines": {"metrics": {
                    "receivers": ["otlp"], "processors": ["deltatocumulative"], "exporters": ["prometheus"],
                }},
            },
        });
        let file = folder.path().join("config.yaml");
        fs::write(&file, config.to_string()).unwrap();
        let log = fs::File::create(folder.path().join("log")).unwrap();
        let process = Command::new(program)
            .arg(format!("--config=file:{}", file.display()))
            .current_dir(folder.path())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let started = Self {
            process,
            otlp: format!("http://127.0.0.1:{http}"),
            scrape: format!("http://127.0.0.1:{prometheus}/metrics"),
            folder,
        };
        eventually(LIMIT, "the Collector's ports", || {
            for port in [http, prometheus] {
                std::net::TcpStream::connect(("127.0.0.1", port))
                    .map_err(|error| format!("{error}: {}", started.log()))?;
            }
            Ok(())
        });
        started
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// What a scraper gets of it, less what the exporter adds to say where each series is from.
    fn samples(&self) -> Result<Samples, String> {
        let mut answer = ureq::get(&self.scrape).call().map_err(|error| error.to_string())?;
        let text = answer.body_mut().read_to_string().map_err(|error| error.to_string())?;
        let own = |label: &str| ["job=", "instance=", "otel_scope_"].iter().any(|own| label.starts_with(own));
        let samples =
            exposed(&Exposition::parse(&text)?).into_iter().filter(|(series, _)| !series.starts_with("target_info"));
        Ok(samples
            .map(|(series, value)| {
                let (name, labels) = series.trim_end_matches('}').split_once('{').unwrap_or((&series, ""));
                // No label value of these tests has a comma.
                let labels: Vec<&str> = labels.split(',').filter(|label| !own(label)).collect();
                (format!("{name}{{{}}}", labels.join(",")), value)
            })
            .collect())
    }
}

fn expect_the_same(temporality: &str) {
    let Some(program) = program() else { return };
    let peer = OpenTelemetryCollector::start(&program);
    let (folder, backend, nobody) = (TempDir::new().unwrap(), backend(), Collector::start().unwrap());
    let vars = [
        ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", temporality),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", peer.otlp.as_str()),
    ];
    let consumer = start(&folder, &backend, &nobody, &vars);
    for (sequence, expected) in [(1, 37.0), (2, 74.0), (3, 111.0)] {
        consumer.deliver(&[delivery(1, sequence, 7), delivery(2, sequence, 30)]).unwrap();
        let found = eventually(LIMIT * 2, "the Collector's numbers on /metrics", || {
            let (theirs, ours) = (peer.samples()?, exposed(&consumer.metrics()?));
            let resolves = |samples: &Samples| -> f64 {
                let resolves = samples.iter().filter(|(series, _)| series.starts_with("confidence_resolves_total{"));
                resolves.map(|(_, value)| value).sum()
            };
            if resolves(&theirs) != expected {
                return Err(format!("{} instead of {expected}: {}", resolves(&theirs), peer.log()));
            }
            // A window says what was added: of what is 0 still a collector of deltas knows nothing.
            let known = |samples: Samples| -> Samples {
                samples.into_iter().filter(|(_, value)| temporality == "cumulative" || *value != 0.0).collect()
            };
            let (theirs, ours) = (known(theirs), known(ours));
            match difference(&theirs, &ours) {
                differing if differing.is_empty() => Ok(theirs),
                differing => Err(format!("{} differ: {differing:#?}", differing.len())),
            }
        });
        assert!(found.len() > if temporality == "delta" { 40 } else { 250 }, "{}", found.len());
    }
}

#[test]
fn the_opentelemetry_collector_serves_our_totals_as_we_do() {
    expect_the_same("cumulative");
}

#[test]
fn the_opentelemetry_collector_adds_our_deltas_up_to_our_totals() {
    expect_the_same("delta");
}
