//! The reference parsers read what a running endpoint serves: `promtool`, and Python's `prometheus_client`, whose
//! OpenMetrics parser is the format's reference. Each is used where it is installed and skipped loudly where not.

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use tributary_tests::installation::{Installation, repository};

/// Runs a program with this as its input; `None` where it is not there.
pub(crate) fn feed(program: &str, arguments: &[&str], input: &[u8]) -> Option<(bool, String)> {
    let mut process = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .ok()?;
    process.stdin.take().unwrap().write_all(input).unwrap();
    let output = process.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    Some((output.status.success(), String::from_utf8_lossy(&said).into_owned()))
}

const PARSE: &str = "\
import sys\n\
if sys.argv[1] == 'openmetrics':\n\
\x20   from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse\n\
else:\n\
\x20   from prometheus_client.parser import text_string_to_metric_families as parse\n\
seen = set()\n\
for family in parse(sys.stdin.read()):\n\
\x20   for sample in family.samples:\n\
\x20       key = (sample.name, tuple(sorted(sample.labels.items())))\n\
\x20       assert key not in seen, key\n\
\x20       seen.add(key)\n\
print(len(seen))\n";

#[test]
fn reference_parsers_accept_what_a_running_endpoint_serves() {
    let installation = Installation::start(|options| {
        options.consumer_vars.insert("METRICS_CREATED".into(), "true".into());
    })
    .unwrap();
    for n in 0..5 {
        let body = installation.resolve_body(&format!("user-{n}"), "se", true);
        assert_eq!(installation.send("POST", "/v1/flags:resolve", &[], &body).unwrap().status, 200);
    }
    tributary_tests::wait::eventually(std::time::Duration::from_secs(10), "five resolves", || {
        match installation.metrics()?.sum("confidence_resolve_latency_microseconds_count") {
            5.0 => Ok(()),
            count => Err(count.to_string()),
        }
    });
    let openmetrics = installation.scrape("/metrics", "application/openmetrics-text;version=1.0.0").unwrap().body;
    let text = installation.scrape("/metrics", "text/plain;version=0.0.4").unwrap().body;

    // Some families, and none: legal expositions, too.
    let some =
        installation.scrape("/metrics?name[]=confidence_resolves_total&name[]=tributary_metrics_age_seconds", "*/*");
    check_text(&some.unwrap().body, 2);
    check_openmetrics(&installation.scrape("/metrics?openmetrics=true&name[]=nothing", "*/*").unwrap().body, 0);
    check_text(&text, 200);
    check_openmetrics(&openmetrics, 200);
}

#[test]
fn reference_parsers_accept_the_golden_files() {
    let folder = repository().join("telemetry/tests/golden");
    for state in ["declared", "one_sample", "full", "hostile", "sums"] {
        let read = |format: &str| std::fs::read_to_string(folder.join(format!("{state}.{format}.txt"))).unwrap();
        check_text(&read("prom"), 10);
        check_openmetrics(&read("om"), 10);
    }
}

/// Reads text 0.0.4 with both parsers; it has at least so many samples.
pub(crate) fn check_text(text: &str, samples: u32) {
    // promtool lints, too, and complains of names that the other Confidence providers fixed; it exits 3 for that, and
    // 1 for text that does not parse.
    match feed("promtool", &["check", "metrics"], text.as_bytes()) {
        Some((_, said)) => assert!(!said.contains("error while linting"), "{said}"),
        None => println!("SKIPPED: promtool is not installed; get it with: sudo apt-get install -y prometheus"),
    }
    check_with_python("text", text, samples);
}

/// Reads OpenMetrics with its reference parser; promtool does not read it.
pub(crate) fn check_openmetrics(text: &str, samples: u32) {
    check_with_python("openmetrics", text, samples);
}

fn check_with_python(format: &str, text: &str, samples: u32) {
    match feed("python3", &["-c", PARSE, format], text.as_bytes()) {
        Some((true, read)) => assert!(read.trim().parse::<u32>().unwrap() >= samples, "{format}: {read}"),
        Some((false, said)) if said.contains("No module named 'prometheus_client'") => {
            println!("SKIPPED: prometheus_client is not installed; get it with: pip install prometheus_client");
        }
        other => panic!("{format}: {other:?}"),
    }
}
