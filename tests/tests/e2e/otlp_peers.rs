//! What others wrote reads what we push: the official message types of OTLP in Python, and a real collector. Each is used
//! where `make setup` could install it and skipped loudly where not.

use std::{
    collections::BTreeMap,
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;
use tributary_tests::{
    collector::{Answer, Collector, Received},
    installation::repository,
    wait::eventually,
};

use crate::{
    consumer::{LIMIT, backend, delivery},
    otlp::{Samples, difference, expect_accepted, exposed, start},
};

/// Gives the bodies that were accepted to the validator; `None` where Python has no message types.
fn validate(temporality: &str, received: &[Received]) -> Option<Result<serde_json::Value, String>> {
    let has = "import opentelemetry.proto.collector.metrics.v1.metrics_service_pb2";
    let check = Command::new("python3").args(["-c", has]).stderr(Stdio::null()).status();
    if !check.is_ok_and(|status| status.success()) {
        println!("SKIPPED: the official OTLP message types; get pip with: sudo apt-get install -y python3-pip");
        return None;
    }
    let folder = TempDir::new().unwrap();
    for (n, received) in received.iter().filter(|received| received.is_accepted).enumerate() {
        let ending = if received.header("content-type") == "application/json" { "json" } else { "pb" };
        fs::write(folder.path().join(format!("{n:04}.{ending}")), received.plain_body().unwrap()).unwrap();
    }
    let output = Command::new("python3")
        .arg(repository().join("tests/otlp/validate.py"))
        .arg(temporality)
        .arg(folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Some(if output.status.success() { Ok(serde_json::from_slice(&output.stdout).unwrap()) } else { Err(said) })
}

#[test]
fn the_official_message_types_find_every_rule_of_the_specification_kept() {
    const DELTA: (&str, &str) = ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "delta");
    const JSON: (&str, &str) = ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json");
    const EXPONENTIAL: (&str, &str) =
        ("OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION", "base2_exponential_bucket_histogram");
    for (temporality, vars) in [
        ("cumulative", &[][..]),
        ("cumulative", &[JSON, EXPONENTIAL]),
        ("delta", &[DELTA, EXPONENTIAL]),
        ("delta", &[DELTA, JSON]),
    ] {
        let (folder, backend, collector) = (TempDir::new().unwrap(), backend(), Collector::start().unwrap());
        collector.answer_in_turn(vec![Answer::status(200), Answer::status(503)]);
        let consumer = start(&folder, &backend, &collector, vars);
        for sequence in 1..=3 {
            consumer.deliver(&[delivery(1, sequence, 10), delivery(2, sequence, 1)]).unwrap();
            expect_accepted(&collector, usize::try_from(sequence).unwrap() * 2);
        }
        // What it says is what has been resolved, once the last window is there.
        let found = eventually(LIMIT, "the sum of the validator", || {
            let Some(found) = validate(temporality, &collector.received()) else { return Ok(None) };
            let found = found.unwrap_or_else(|broken| panic!("{broken}"));
            let is_all = found["sums"]["confidence_resolves"] == 33;
            if is_all { Ok(Some(found)) } else { Err(found.to_string()) }
        });
        let Some(found) = found else { return };
        assert!(found["requests"].as_u64() >= Some(6) && found["points"].as_u64() > Some(100), "{found}");
    }
}

/// A body with a counter and a histogram over the window from `start` to `end`.
fn body(start: u64, end: u64, bounds: &[f64], count: u64) -> serde_json::Value {
    let times = |mut point: serde_json::Value| {
        point["startTimeUnixNano"] = start.to_string().into();
        point["timeUnixNano"] = end.to_string().into();
        point
    };
    let attribute = |key| serde_json::json!({"key": key, "value": {"stringValue": "x"}});
    let counter = times(serde_json::json!({"asInt": "7"}));
    let mut histogram = times(serde_json::json!({"explicitBounds": bounds, "bucketCounts": ["1", "2", "0"]}));
    histogram["count"] = count.to_string().into();
    serde_json::json!({"resourceMetrics": [{
        "resource": {"attributes": [attribute("service.name"), attribute("service.instance.id")]},
        "scopeMetrics": [{"scope": {"name": "s", "version": "1"}, "metrics": [
            {"name": "c", "description": "C.",
             "sum": {"aggregationTemporality": 1, "isMonotonic": true, "dataPoints": [counter]}},
            {"name": "h", "description": "H.", "histogram": {"aggregationTemporality": 1, "dataPoints": [histogram]}},
        ]}],
    }]})
}

#[test]
fn the_validator_refuses_what_breaks_a_rule() {
    let send = |bodies: &[String]| {
        let receive = |body: &String| Received {
            method: "POST".to_owned(),
            at: std::time::SystemTime::now(),
            path: String::new(),
            headers: [("content-type".to_owned(), "application/json".to_owned())].into(),
            body: body.clone().into_bytes(),
            is_accepted: true,
        };
        validate("delta", &bodies.iter().map(receive).collect::<Vec<_>>())
    };
    let good = body(1, 2, &[1.0, 2.0], 3).to_string();
    let next = |start, end| body(start, end, &[1.0, 2.0], 3).to_string();
    let Some(sound) = send(&[good.clone(), next(2, 5)]) else { return };
    assert_eq!(sound.unwrap()["sums"]["c"], 14);
    for (why, bodies) in [
        ("a hole between windows", vec![good.clone(), next(3, 5)]),
        ("windows that overlap", vec![next(1, 4), next(3, 5)]),
        ("the same window twice", vec![good.clone(), next(2, 3), next(2, 3), next(1, 2)]),
        ("bounds that stand still", vec![body(1, 2, &[1.0, 1.0], 3).to_string()]),
        ("a bound too many", vec![body(1, 2, &[1.0, 2.0, 3.0], 3).to_string()]),
        ("a count that is not the sum", vec![body(1, 2, &[1.0, 2.0], 4).to_string()]),
        ("64 bits as a number", vec![good.replace("\"7\"", "7")]),
        ("an enum by name", vec![good.replace("Temporality\":1", "Temporality\":\"AGGREGATION_TEMPORALITY_DELTA\"")]),
        ("totals among deltas", vec![good.replace("Temporality\":1", "Temporality\":2")]),
        ("a sum that may fall", vec![good.replace("\"isMonotonic\":true", "\"isMonotonic\":false")]),
        ("a resource without an instance", vec![good.replace("service.instance.id", "instance")]),
    ] {
        assert!(send(&bodies).unwrap().is_err(), "{why} passes");
    }
}

const MATCHES: &str = r#"confidence_resolves_total{reason="RESOLVE_REASON_MATCH",resolver_id="cf-resolver"}"#;

/// The collector's program. It reads no JSON that has 64-bit integers as text, as the specification wants them: it takes
/// such requests and loses their values. So it is sent protobuf.
fn rotel() -> Option<PathBuf> {
    let program = std::env::var_os("ROTEL_AGENT").map(PathBuf::from).filter(|program| program.is_file());
    if program.is_none() {
        println!("SKIPPED: a real OTLP collector takes the push; get pip with: sudo apt-get install -y python3-pip");
    }
    program
}

/// A running `rotel`. Stops when it is dropped.
struct Rotel {
    process: Child,
    url: String,
    log: PathBuf,
    _folder: TempDir,
}

impl Rotel {
    fn start(program: &Path) -> Self {
        let free = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let folder = TempDir::new().unwrap();
        let log = folder.path().join("log");
        let (http, grpc) = (free(), free());
        let process = Command::new(program)
            .current_dir(folder.path())
            .args(["start", "--exporter", "blackhole", "--debug-log", "metrics", "--debug-log-verbosity", "detailed"])
            .arg(format!("--otlp-http-endpoint=127.0.0.1:{http}"))
            .arg(format!("--otlp-grpc-endpoint=127.0.0.1:{grpc}"))
            .stdout(fs::File::create(&log).unwrap())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let started = Self { process, url: format!("http://127.0.0.1:{http}"), log, _folder: folder };
        eventually(LIMIT, "the collector's port", || {
            std::net::TcpStream::connect(("127.0.0.1", http)).map(drop).map_err(|error| error.to_string())
        });
        started
    }

    /// What it printed of each request.
    fn requests(&self) -> Result<Vec<Printed>, String> {
        let text = fs::read_to_string(&self.log).map_err(|error| error.to_string())?;
        // It prints several requests as one where they come in quick succession; this resource is in each, and first.
        let first = "     -> service.instance.id: Str(cf-resolver)\n";
        let starts: Vec<usize> = text.match_indices(first).map(|(at, _)| at).collect();
        let ends = starts.iter().skip(1).copied().chain([text.len()]);
        Ok(starts.iter().zip(ends).map(|(start, end)| Printed::read(&text[*start..end])).collect())
    }
}

impl Drop for Rotel {
    fn drop(&mut self) {
        if self.process.kill().is_ok() {
            self.process.wait().unwrap();
        }
    }
}

/// The detailed log, as the samples that `/metrics` would have.
#[derive(Debug, Default)]
struct Printed {
    samples: Samples,
    /// Kind and temporality by name.
    kinds: BTreeMap<String, (String, String)>,
    /// Scope and resource lines.
    heads: Vec<String>,
    name: String,
    labels: BTreeMap<String, String>,
    bounds: Vec<f64>,
    below: f64,
}

impl Printed {
    fn read(text: &str) -> Self {
        let mut read = Self::default();
        let mut is_resource = true;
        for line in text.lines() {
            let attribute = line.strip_prefix("     -> ").and_then(|line| line.split_once(": "));
            match (line.split_once(": "), attribute) {
                (_, Some(("Name", name))) => (read.name, is_resource) = (name.to_owned(), false),
                (_, Some(("DataType", kind))) => {
                    read.kinds.insert(read.name.clone(), (kind.to_owned(), String::new()));
                }
                (_, Some(("AggregationTemporality", temporality))) => {
                    read.kinds.get_mut(&read.name).unwrap().1 = temporality.to_owned();
                }
                (_, Some(("Description" | "Unit" | "IsMonotonic", _))) => {}
                (_, Some(head)) if is_resource => read.heads.push(format!("{}={}", head.0, head.1)),
                (_, Some((name, value))) => {
                    let value = value.strip_prefix("Str(").and_then(|value| value.strip_suffix(')')).unwrap();
                    read.labels.insert(name.to_owned(), value.to_owned());
                }
                (Some(("Value", value)), _) => {
                    let suffix = if read.kinds[&read.name].0 == "Sum" { "_total" } else { "" };
                    read.sample(suffix, None, value.parse().unwrap());
                }
                (Some(("Count", value)), _) => read.sample("_count", None, value.parse().unwrap()),
                (Some(("Sum", value)), _) => read.sample("_sum", None, value.parse().unwrap()),
                (Some((bound, value)), _) if bound.starts_with("ExplicitBounds") => {
                    read.bounds.push(value.parse().unwrap());
                }
                (Some((bucket, value)), _) if bucket.starts_with("Buckets #") => {
                    let place: usize = bucket["Buckets #".len()..bucket.find(',').unwrap()].parse().unwrap();
                    read.below += value.parse::<f64>().unwrap();
                    let bound = read.bounds.get(place).copied().unwrap_or(f64::INFINITY);
                    read.sample("_bucket", Some(bound), read.below);
                }
                _ if line.contains("DataPoints #") => {
                    read.labels.clear();
                    read.bounds.clear();
                    read.below = 0.0;
                }
                _ if line.starts_with("Resource attributes") => is_resource = true,
                _ if line.starts_with("InstrumentationScope") => read.heads.push(line.to_owned()),
                _ => {}
            }
        }
        read
    }

    fn sample(&mut self, suffix: &str, le: Option<f64>, value: f64) {
        let mut labels = self.labels.clone();
        if let Some(le) = le {
            labels.insert("le".into(), format!("{le:?}"));
        }
        let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
        self.samples.insert(format!("{}{suffix}{{{}}}", self.name, labels.join(",")), value);
    }
}

#[test]
fn a_real_collector_has_every_family_value_and_bucket_of_metrics() {
    let Some(program) = rotel() else { return };
    let rotel = Rotel::start(&program);
    let (folder, backend, nobody) = (TempDir::new().unwrap(), backend(), Collector::start().unwrap());
    let vars = [("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"), ("OTEL_EXPORTER_OTLP_ENDPOINT", &rotel.url)];
    let consumer = start(&folder, &backend, &nobody, &vars);
    consumer.deliver(&[delivery(1, 1, 7), delivery(2, 1, 30)]).unwrap();
    let printed = eventually(LIMIT * 2, "the collector's numbers on /metrics", || {
        let exposed = exposed(&consumer.metrics()?);
        let printed = rotel.requests()?.pop().ok_or("nothing yet")?;
        match difference(&printed.samples, &exposed) {
            differing if differing.is_empty() && exposed.get(MATCHES) == Some(&37.0) => Ok(printed),
            differing => Err(format!("{differing:#?}")),
        }
    });
    assert!(printed.samples.len() > 250, "{}", printed.samples.len());
    for (name, (kind, found)) in &printed.kinds {
        assert_eq!(found, if kind == "Gauge" { "" } else { "AGGREGATION_TEMPORALITY_CUMULATIVE" }, "{name}");
    }
    for head in ["service.name=Str(tributary)", "service.instance.id=Str(cf-resolver)"] {
        assert!(printed.heads.iter().any(|line| line == head), "{head} in {:?}", printed.heads);
    }
    eventually(LIMIT, "accepted on /metrics", || {
        match consumer.metrics()?.get("tributary_otlp_requests_total", &[("outcome", "accepted")]) {
            count if count >= 1.0 => Ok(()),
            count => Err(count.to_string()),
        }
    });
}

#[test]
fn a_real_collector_is_sent_every_delta_once() {
    let Some(program) = rotel() else { return };
    let rotel = Rotel::start(&program);
    let (folder, backend, nobody) = (TempDir::new().unwrap(), backend(), Collector::start().unwrap());
    let vars = [
        ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "delta"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", rotel.url.as_str()),
    ];
    let consumer = start(&folder, &backend, &nobody, &vars);
    let mut resolved = 0;
    for sequence in 1..=3 {
        consumer.deliver(&[delivery(1, sequence, 7), delivery(2, sequence, 30)]).unwrap();
        resolved += 37;
        eventually(LIMIT * 2, "the sum of the collector's deltas", || {
            let requests = rotel.requests()?;
            let temporality = requests.iter().find_map(|request| request.kinds.get("confidence_resolves"));
            let temporality = temporality.ok_or("nothing yet")?;
            assert_eq!((&*temporality.0, &*temporality.1), ("Sum", "AGGREGATION_TEMPORALITY_DELTA"));
            match requests.iter().filter_map(|request| request.samples.get(MATCHES)).sum::<f64>() {
                sum if sum == f64::from(resolved) => Ok(()),
                sum => Err(format!("{sum} instead of {resolved}")),
            }
        });
    }
    assert_eq!(consumer.metrics().unwrap().sum("confidence_resolves_total"), f64::from(resolved));
}
