//! The OpenTelemetry Collector takes what we push and serves it to a scraper with its Prometheus exporter: the same series,
//! names and values as on our own `/metrics`, pushed as totals, and as deltas that it adds up itself. Skipped loudly where
//! `make setup` found no Go to build it with.

use tempfile::TempDir;
use tributary_tests::{
    collector::Collector,
    exposition::Exposition,
    otelcol::{OpenTelemetryCollector, program},
    wait::eventually,
};

use crate::{
    consumer::{LIMIT, backend, delivery},
    otlp::{Samples, difference, exposed, start},
};

/// What a scraper gets of it, less what the exporter adds to say where each series is from.
fn samples(peer: &OpenTelemetryCollector) -> Result<Samples, String> {
    let own = |label: &str| ["job=", "instance=", "otel_scope_"].iter().any(|own| label.starts_with(own));
    let samples = exposed(&Exposition::parse(&peer.scrape()?)?);
    let samples = samples.into_iter().filter(|(series, _)| !series.starts_with("target_info"));
    Ok(samples
        .map(|(series, value)| {
            let (name, labels) = series.trim_end_matches('}').split_once('{').unwrap_or((&series, ""));
            // No label value of these tests has a comma.
            let labels: Vec<&str> = labels.split(',').filter(|label| !own(label)).collect();
            (format!("{name}{{{}}}", labels.join(",")), value)
        })
        .collect())
}

fn expect_the_same(temporality: &str) {
    let Some(program) = program() else { return };
    let peer = OpenTelemetryCollector::start(&program).unwrap();
    eventually(LIMIT, "the Collector's ports", || peer.ready());
    let (folder, backend, nobody) = (TempDir::new().unwrap(), backend(), Collector::start().unwrap());
    let otlp = peer.otlp();
    let vars = [
        ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", temporality),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", otlp.as_str()),
    ];
    let consumer = start(&folder, &backend, &nobody, &vars);
    for (sequence, expected) in [(1, 37.0), (2, 74.0), (3, 111.0)] {
        consumer.deliver(&[delivery(1, sequence, 7), delivery(2, sequence, 30)]).unwrap();
        let found = eventually(LIMIT * 2, "the Collector's numbers on /metrics", || {
            let (theirs, ours) = (samples(&peer)?, exposed(&consumer.metrics()?));
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
