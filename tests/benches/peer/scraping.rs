//! A scrape: the text of a state where every bucket, reason and counter has something, beside the peer's and beside the
//! two Prometheus clients that Rust programs use, all with the same series.

use confidence_resolver::telemetry::PrometheusConfig;
use prometheus_client::{
    encoding::text::encode,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};
use tributary_telemetry::{
    Histogram as OurHistogram, MetricFamily, MetricKind, Number, Snapshot, TextFormat, TextOptions, Value,
    write_selected_text,
};

use crate::{
    inputs::RESOLVER_ID,
    instructions::{self, Case, region},
    table::{Side, Table, timed},
    totals,
};

pub(crate) fn run(table: &mut Table) {
    let (peer, ours) = totals::full_states();
    let config = PrometheusConfig::default();
    totals::assert_text_says_the_same(
        &peer.to_prometheus(RESOLVER_ID, &config),
        &String::from_utf8(text_of(&ours, TextFormat::Prometheus)).unwrap(),
    );
    let routine = || timed((), |()| peer.to_prometheus(RESOLVER_ID, &config));
    compare(table, "confidence_resolver", &ours, TextFormat::Prometheus, routine);

    let registry = prometheus_client_registry(&ours);
    let text = || {
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        text
    };
    assert_as_many_samples(&text(), &ours);
    compare(table, "prometheus-client", &ours, TextFormat::OpenMetrics, || timed((), |()| text()));

    let registry = prometheus_registry(&ours);
    let text = || prometheus::TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
    assert_as_many_samples(&text(), &ours);
    compare(table, "prometheus", &ours, TextFormat::Prometheus, || timed((), |()| text()));
}

/// The text with everything in it, beside the peer's.
pub(crate) fn cases() -> Vec<Case<'static>> {
    let (peer, ours) = totals::full_states();
    let config = PrometheusConfig::default();
    vec![Case::beside(
        "full text of `/metrics` (not a resolve)",
        instructions::Side::new(1, move || region(|| peer.to_prometheus(RESOLVER_ID, &config))),
        instructions::Side::new(1, move || region(|| text_of(&ours, TextFormat::Prometheus))),
        Some(5.0),
    )]
}

fn text_of(state: &Snapshot, format: TextFormat) -> Vec<u8> {
    let mut out = Vec::new();
    write_selected_text(state, &TextOptions::new(format), |_| true, &mut out);
    out
}

fn compare(
    table: &mut Table,
    other: &str,
    ours: &Snapshot,
    format: TextFormat,
    routine: impl FnMut() -> std::time::Duration,
) {
    table.compare(
        &format!("text of a full state, beside {other}"),
        Side { elements: 1, routine },
        Side { elements: 1, routine: || timed((), |()| text_of(ours, format)) },
    );
}

fn assert_as_many_samples(text: &str, ours: &Snapshot) {
    let samples = |text: &str| text.lines().filter(|line| !line.starts_with('#')).count();
    let ours = String::from_utf8(text_of(ours, TextFormat::Prometheus)).unwrap();
    assert_eq!(samples(text), samples(&ours));
}

/// Calls `observe` so often, and with such values, that every bucket gets the count that it has in `histogram`.
fn observe_all(histogram: &OurHistogram, observe: impl Fn(f64)) {
    let bounds = histogram.bounds().upper_bounds().chain([1e12]);
    for (bound, count) in bounds.zip(histogram.bucket_counts()) {
        (0..*count).for_each(|_| observe(bound));
    }
}

fn bounds_of(family: &MetricFamily) -> Vec<f64> {
    let first = family.series().next().map(|(_, series)| series.value());
    let Some(Value::Histogram(histogram)) = first else { unreachable!("a histogram has series") };
    histogram.bounds().upper_bounds().collect()
}

#[expect(clippy::cast_possible_wrap, reason = "readings of the bench are small")]
fn prometheus_client_registry(state: &Snapshot) -> Registry {
    type Labels = Vec<(String, String)>;
    let mut registry = Registry::default();
    for family in state.families() {
        let descriptor = family.descriptor();
        let (name, help) = (descriptor.name(), descriptor.help());
        let series = family.series().map(|(labels, series)| {
            let labels: Labels = labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
            (labels, series.value())
        });
        match descriptor.kind() {
            MetricKind::Counter => {
                let counters = Family::<Labels, Counter>::default();
                for (labels, value) in series {
                    let Value::Counter(count) = value else { unreachable!("a counter") };
                    counters.get_or_create(&labels).inc_by(*count);
                }
                registry.register(name, help, counters);
            }
            MetricKind::Gauge => {
                let gauges = Family::<Labels, Gauge>::default();
                let floats = Family::<Labels, Gauge<f64, std::sync::atomic::AtomicU64>>::default();
                let mut is_float = false;
                for (labels, value) in series {
                    let Value::Gauge(gauge) = value else { unreachable!("a gauge") };
                    match gauge.value() {
                        Number::Unsigned(value) => drop(gauges.get_or_create(&labels).set(value as i64)),
                        Number::Float(value) => {
                            is_float = true;
                            floats.get_or_create(&labels).set(value);
                        }
                    }
                }
                if is_float { registry.register(name, help, floats) } else { registry.register(name, help, gauges) }
            }
            MetricKind::Histogram => {
                let bounds = bounds_of(family);
                let make = move || Histogram::new(bounds.clone());
                let histograms = Family::<Labels, Histogram, _>::new_with_constructor(make);
                for (labels, value) in series {
                    let Value::Histogram(histogram) = value else { unreachable!("a histogram") };
                    let own = histograms.get_or_create(&labels);
                    observe_all(histogram, |value| own.observe(value));
                }
                registry.register(name, help, histograms);
            }
            MetricKind::UpDown | MetricKind::Exponential => unreachable!("none in the bench"),
        }
    }
    registry
}

fn prometheus_registry(state: &Snapshot) -> prometheus::Registry {
    use prometheus::{GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, Opts};
    let registry = prometheus::Registry::new();
    for family in state.families() {
        let descriptor = family.descriptor();
        let (labels, _) = family.series().next().expect("no family is without series");
        let names: Vec<&str> = labels.iter().map(|(name, _)| name).collect();
        let opts = |suffix: &str| Opts::new(format!("{}{suffix}", descriptor.name()), descriptor.help().to_owned());
        let series = family
            .series()
            .map(|(labels, series)| (labels.iter().map(|(_, value)| value).collect::<Vec<_>>(), series.value()));
        match descriptor.kind() {
            MetricKind::Counter => {
                let counters = IntCounterVec::new(opts("_total"), &names).unwrap();
                for (labels, value) in series {
                    let Value::Counter(count) = value else { unreachable!("a counter") };
                    counters.with_label_values(&labels).inc_by(*count);
                }
                registry.register(Box::new(counters)).unwrap();
            }
            MetricKind::Gauge => {
                let gauges = GaugeVec::new(opts(""), &names).unwrap();
                for (labels, value) in series {
                    let Value::Gauge(gauge) = value else { unreachable!("a gauge") };
                    gauges.with_label_values(&labels).set(gauge.value().to_f64());
                }
                registry.register(Box::new(gauges)).unwrap();
            }
            MetricKind::Histogram => {
                let opts = HistogramOpts { common_opts: opts(""), buckets: bounds_of(family) };
                let histograms = HistogramVec::new(opts, &names).unwrap();
                for (labels, value) in series {
                    let Value::Histogram(histogram) = value else { unreachable!("a histogram") };
                    let own = histograms.with_label_values(&labels);
                    observe_all(histogram, |value| own.observe(value));
                }
                registry.register(Box::new(histograms)).unwrap();
            }
            MetricKind::UpDown | MetricKind::Exponential => unreachable!("none in the bench"),
        }
    }
    registry
}
