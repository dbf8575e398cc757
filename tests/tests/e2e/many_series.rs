//! Tens of thousands of custom series, which no row and no message holds together: through the queue in messages of 500, and
//! every one of them comes out with what was counted.

use std::collections::BTreeMap;

use tempfile::TempDir;
use tributary_proto::{
    Message as _,
    envelope::{Envelope, StreamId},
};
use tributary_telemetry::{
    Delta, FamilyDescriptor, LabelSet, MetricKind,
    limits::{MAX_MESSAGE_SERIES, parts},
};
use tributary_tests::{
    collector::{Collector, Received},
    consumer::{Consumer, METRICS_TOKEN},
    exposition::Exposition,
    http::Reply,
    wait::eventually,
};

use crate::{
    consumer::{LIMIT, backend, now_ms, start_with},
    parsers::{check_openmetrics, check_text},
};

const OPENMETRICS: &str = "application/openmetrics-text;version=1.0.0";
const TEXT: &str = "text/plain;version=0.0.4";

/// What `/metrics` is to say of all that was sent: counts by series.
#[derive(Default)]
struct Sender {
    sequence: u64,
    counted: BTreeMap<String, f64>,
}

impl Sender {
    /// Messages that add to series of a family: `1 + n % 7` to series n, or to the overflow series from `most` on.
    fn messages(&mut self, family: &str, series: std::ops::Range<usize>, most: usize) -> Vec<Vec<u8>> {
        let numbers: Vec<usize> = series.collect();
        let messages = numbers.chunks(MAX_MESSAGE_SERIES).map(|numbers| self.message(family, numbers, most));
        messages.collect()
    }

    fn message(&mut self, family: &str, numbers: &[usize], most: usize) -> Vec<u8> {
        let descriptor = FamilyDescriptor::new(family.to_owned(), "Many.", "", MetricKind::Counter).unwrap();
        let mut delta = Delta::new();
        for n in numbers {
            let (country, shop) = (["DK", "NO", "SE"][n % 3], format!("shop-{n:06}"));
            let pairs = [("country", country), ("method", "POST"), ("route", "/v1/orders"), ("shop", shop.as_str())];
            let count = u64::try_from(1 + n % 7).unwrap();
            delta.add_counter(&descriptor, LabelSet::from_pairs(pairs).unwrap(), count).unwrap();
            let labels = pairs.map(|(name, value)| format!("{name}=\"{value}\"")).join(",");
            let labels = if *n < most { labels } else { "otel_metric_overflow=\"true\"".to_owned() };
            *self.counted.entry(format!("{family}_total{{{labels}}}")).or_default() +=
                f64::from(u32::try_from(count).unwrap());
        }
        self.sequence += 1;
        let now = now_ms();
        let envelope = Envelope {
            stream_id: StreamId([7; 16]),
            ledgers: 1,
            sequence: self.sequence,
            window_start_ms: now - 1_000,
            window_end_ms: now,
            resolver_id: "many".into(),
            dimensions: Default::default(),
            flag_logs: Vec::new(),
            metrics: delta.to_wire().encode_to_vec(),
            resource_metrics: Vec::new(),
            dropped: vec![],
        };
        envelope.encode().unwrap()
    }

    /// The first series that a text does not say as it was sent; and that there are no others.
    fn check(&self, text: &Exposition) -> Result<(), String> {
        let shown: BTreeMap<&str, f64> = text.all().filter(|(series, _)| series.starts_with("many_")).collect();
        let differs = self.counted.iter().find(|(series, count)| shown.get(series.as_str()) != Some(count));
        match differs {
            None if shown.len() == self.counted.len() => Ok(()),
            None => Err(format!("{} series instead of {}", shown.len(), self.counted.len())),
            Some((series, count)) => Err(format!(
                "{series} {:?} instead of {count}, one of {} shown",
                shown.get(series.as_str()),
                shown.len()
            )),
        }
    }
}

fn get(consumer: &Consumer, accept: &str, more: &[(&str, &str)]) -> Reply {
    let token = format!("Bearer {METRICS_TOKEN}");
    let headers: Vec<_> = [("Authorization", token.as_str()), ("Accept", accept)].iter().chain(more).copied().collect();
    consumer.send("GET", "/metrics", &headers, b"").unwrap()
}

fn expect(consumer: &Consumer, sender: &Sender) {
    eventually(LIMIT * 8, "every series", || sender.check(&consumer.metrics()?));
}

#[test]
fn tens_of_thousands_of_series_are_shown_each_with_its_count_also_after_a_power_cut() {
    show_all(&["many_orders", "many_visits"]);
}

#[test]
#[ignore = "minutes; run after a change to what holds a large state"]
fn a_hundred_thousand_series_are_shown_each_with_its_count_also_after_a_power_cut() {
    show_all(&["many_carts", "many_clicks", "many_items", "many_orders", "many_visits"]);
}

/// Fills these families, and one of them past its bound.
fn show_all(families: &[&str]) {
    let (folder, backend) = (TempDir::new().unwrap(), backend());
    let consumer = start_with(&folder, &backend.url(), &[]);
    let mut sender = Sender::default();
    let most = parts::MAX_SERIES_PER_FAMILY - 1;
    for family in families {
        consumer.send_messages(&sender.messages(family, 0..most, most)).unwrap();
    }
    expect(&consumer, &sender);
    // Past the bound of a family.
    consumer.send_messages(&sender.messages("many_orders", most..most + 501, most)).unwrap();
    expect(&consumer, &sender);
    // Again, so that each is found in its place.
    consumer.send_messages(&sender.messages("many_orders", 9_000..12_000, most)).unwrap();
    expect(&consumer, &sender);

    let samples = u32::try_from(sender.counted.len()).unwrap();
    let check = |consumer: &Consumer| {
        for (accept, check) in [(OPENMETRICS, check_openmetrics as fn(&str, u32)), (TEXT, check_text)] {
            let reply = get(consumer, accept, &[]);
            assert_eq!(reply.status, 200, "{}", reply.body);
            sender.check(&Exposition::parse(&reply.body).unwrap()).unwrap();
            assert!(reply.body.contains("\ntributary_metrics_age_seconds "), "its age is in a long text, too");
            check(&reply.body, samples);
            let again = get(consumer, accept, &[("If-None-Match", reply.header("etag"))]);
            assert!(again.status == 304 || again.header("etag") != reply.header("etag"), "{}", again.status);
        }
    };
    check(&consumer);
    let metrics = consumer.metrics().unwrap();
    let folded = [("reason", "overflow_series")];
    assert_eq!(metrics.get("tributary_folded_custom_series_total", &folded), 501.0);
    assert_eq!(metrics.sum("tributary_refused_custom_series_total"), 0.0);
    consumer.kill();

    let consumer = start_with(&folder, &backend.url(), &[]);
    check(&consumer);
    consumer.send_messages(&sender.messages("many_visits", 19_000..19_500, most)).unwrap();
    expect(&consumer, &sender);
    consumer.kill();
    // The Ledger's own word, of what it has stored.
    let consumer = start_with(&folder, &backend.url(), &[("METRICS_SOURCE", "ledger")]);
    expect(&consumer, &sender);
}

/// The sum of all points of our families in the requests that were taken.
fn sum_of(received: &[Received]) -> (f64, usize) {
    use opentelemetry_proto::tonic::metrics::v1::{metric::Data, number_data_point::Value};
    let (mut sum, mut points) = (0.0, 0);
    for request in received.iter().filter(|received| received.is_accepted).map(|received| received.request().unwrap()) {
        let scopes = request.resource_metrics.iter().flat_map(|resource| &resource.scope_metrics);
        for metric in scopes.flat_map(|scope| &scope.metrics).filter(|metric| metric.name.starts_with("many_")) {
            let Some(Data::Sum(of_metric)) = &metric.data else { panic!("{metric:?}") };
            for point in &of_metric.data_points {
                let Some(Value::AsInt(value)) = point.value else { panic!("{point:?}") };
                sum += f64::from(u32::try_from(value).unwrap());
                points += 1;
            }
        }
    }
    (sum, points)
}

#[test]
fn tens_of_thousands_of_series_reach_a_collector_of_deltas_once_also_across_a_power_cut() {
    let (folder, backend, collector) = (TempDir::new().unwrap(), backend(), Collector::start().unwrap());
    let vars = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url()),
        ("OTEL_METRIC_EXPORT_INTERVAL", "1000"),
        ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "delta"),
    ];
    let consumer = start_with(&folder, &backend.url(), &vars);
    let mut sender = Sender::default();
    let most = 15_000;
    consumer.send_messages(&sender.messages("many_orders", 0..most, most)).unwrap();
    consumer.send_messages(&sender.messages("many_visits", 0..most, most)).unwrap();
    let total = |sender: &Sender| sender.counted.values().sum::<f64>();
    let expect_sum = |sender: &Sender| {
        eventually(LIMIT * 8, "the sum of all windows", || match sum_of(&collector.received()) {
            (sum, points) if sum == total(sender) => Ok(points),
            sum => Err(format!("{sum:?} instead of {}", total(sender))),
        })
    };
    assert!(expect_sum(&sender) >= 2 * most);
    consumer.kill();

    let consumer = start_with(&folder, &backend.url(), &vars);
    consumer.send_messages(&sender.messages("many_orders", 1_000..1_700, most)).unwrap();
    expect_sum(&sender);
    expect(&consumer, &sender);
    // Nothing comes twice: two more windows change nothing.
    consumer.send_messages(&sender.messages("many_visits", 1..2, most)).unwrap();
    expect_sum(&sender);
    consumer.kill();

    // Totals: every series in one run, in requests of bounded size.
    let before = collector.received().len();
    let totals = [("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url()), ("OTEL_METRIC_EXPORT_INTERVAL", "600000")];
    let consumer = start_with(&folder, &backend.url(), &totals);
    consumer.send_messages(&sender.messages("many_visits", 2..3, most)).unwrap();
    eventually(LIMIT * 8, "the totals of every series", || {
        let received = collector.received();
        match sum_of(&received[before..]).1 {
            points if points >= 2 * most => Ok(()),
            points => Err(points.to_string()),
        }
    });
    let received = collector.received();
    assert_eq!(sum_of(&received[before..]).1, 2 * most, "each once");
    let longest = received.iter().map(|received| received.plain_body().unwrap().len()).max().unwrap();
    assert!(longest <= 1 << 20, "{longest}");
}
