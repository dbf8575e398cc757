//! What Workers count of their own, in the records of the test: families, and OpenTelemetry's points of each kind; and the
//! samples that all of it must come to.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::{
    common::v1::InstrumentationScope,
    metrics::v1::{
        AggregationTemporality, ExponentialHistogram, ExponentialHistogramDataPoint, Histogram, HistogramDataPoint,
        Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, exponential_histogram_data_point::Buckets,
        metric::Data, number_data_point,
    },
    resource::v1::Resource,
};
use tributary_local::random::DemoRandom;
use tributary_proto::{Message as _, v1};

use crate::{exposition::Exposition, points::texts};

const DELTA: i32 = AggregationTemporality::Delta as i32;
/// Bounds of both explicit histograms, as they are printed.
const BOUNDS: [(f64, &str); 3] = [(0.5, "0.5"), (4.0, "4.0"), (20.0, "20.0")];
/// Exponential observations are above 2^-OCTAVES, up to 2^OCTAVES.
const OCTAVES: u64 = 4;
/// Scales that they come at: the finest that is printed, and finer.
const SCALES: std::ops::Range<u64> = 2..6;

/// Labels of a series, in order of their names.
type Labels = Vec<(&'static str, &'static str)>;

/// What was sent so far.
pub struct Custom {
    random: DemoRandom,
    /// Samples by name and labels; all are whole numbers.
    samples: BTreeMap<(&'static str, Labels), i64>,
    /// Upper bounds of exponential buckets, and how many observations each was sent with.
    waits: BTreeMap<&'static str, Vec<(f64, u64)>>,
}

fn of_points(resolver_id: &'static str) -> Labels {
    vec![("job", "till"), ("otel_scope_name", "chaos"), ("resolver", resolver_id)]
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

#[expect(clippy::cast_precision_loss, reason = "numbers of a test are far below 2^53")]
fn float(value: i64) -> f64 {
    value as f64
}

impl Custom {
    /// Nothing was sent.
    pub fn new(seed: u64) -> Self {
        Self { random: DemoRandom::seeded(seed), samples: BTreeMap::new(), waits: BTreeMap::new() }
    }

    fn note(&mut self, name: &'static str, labels: &[(&'static str, &'static str)], by: i64) {
        *self.samples.entry((name, labels.to_vec())).or_default() += by;
    }

    /// Draws what a histogram with [`BOUNDS`] observed, and notes it down: bucket, count and sum.
    fn observe(&mut self, names: [&'static str; 3], labels: &Labels) -> (usize, u64, i64) {
        let [bucket_name, count_name, sum_name] = names;
        let bucket = usize::try_from(self.random.below(BOUNDS.len() as u64 + 1)).unwrap_or_default();
        let (count, sum) = (1 + self.random.below(5), signed(self.random.below(1_000)));
        let les = BOUNDS.iter().map(|(_, text)| *text).chain(["+Inf"]);
        for (index, le) in les.enumerate() {
            // A bound that was never reached is there all the same.
            let mut labels = [labels.as_slice(), &[("le", le)]].concat();
            labels.sort_unstable();
            self.note(bucket_name, &labels, if index >= bucket { signed(count) } else { 0 });
        }
        self.note(count_name, labels, signed(count));
        self.note(sum_name, labels, sum);
        (bucket, count, sum)
    }

    /// An encoded `MetricSet` of one counter and one histogram; for some records none.
    pub fn metrics(&mut self, resolver_id: &'static str) -> Vec<u8> {
        if self.random.below(3) == 0 {
            return Vec::new();
        }
        let labels = vec![("resolver", resolver_id)];
        let visits = self.random.below(9);
        self.note("stall_visits_total", &labels, signed(visits));
        let (bucket, count, sum) =
            self.observe(["stall_weight_bucket", "stall_weight_count", "stall_weight_sum"], &labels);
        let bounds = BOUNDS.map(|(bound, _)| bound).to_vec();
        let span = v1::histogram::Span { offset: u32::try_from(bucket).unwrap_or_default(), counts: vec![count] };
        let histogram = v1::Histogram {
            layout: Some(v1::histogram::Layout::Explicit(v1::histogram::ExplicitLayout { bounds })),
            spans: vec![span],
            sum: Some(v1::histogram::Sum::FloatSum(float(sum))),
        };
        let family = |name: &str, kind: v1::MetricKind, value| {
            let labels = vec![v1::Label { name: "resolver".to_owned(), value: resolver_id.to_owned() }];
            let series = vec![v1::Series { labels, start_time_ms: 0, value: Some(value) }];
            v1::MetricFamily { name: name.to_owned(), kind: kind.into(), series, ..v1::MetricFamily::default() }
        };
        let families = vec![
            family("stall_visits", v1::MetricKind::Counter, v1::series::Value::Counter(visits)),
            family("stall_weight", v1::MetricKind::Histogram, v1::series::Value::Histogram(histogram)),
        ];
        v1::MetricSet { families }.encode_to_vec()
    }

    /// An encoded `ResourceMetrics` with a point of each kind that adds up; for some records none.
    pub fn points(&mut self, resolver_id: &'static str) -> Vec<u8> {
        if self.random.below(3) == 0 {
            return Vec::new();
        }
        let labels = of_points(resolver_id);
        let (payments, open) = (signed(self.random.below(9)), signed(self.random.below(100)) - 50);
        self.note("till_payments_total", &labels, payments);
        self.note("till_open", &labels, open);
        let attributes = texts(&[("resolver", resolver_id)]);
        let sum = |is_monotonic, value| {
            let value = Some(number_data_point::Value::AsInt(value));
            let point = NumberDataPoint { attributes: attributes.clone(), value, ..NumberDataPoint::default() };
            Data::Sum(Sum { data_points: vec![point], aggregation_temporality: DELTA, is_monotonic })
        };
        let (payments, open) = (sum(true, payments), sum(false, open));
        let (bucket, count, amount) =
            self.observe(["till_amount_bucket", "till_amount_count", "till_amount_sum"], &labels);
        let amounts = HistogramDataPoint {
            attributes: attributes.clone(),
            count,
            sum: Some(float(amount)),
            bucket_counts: (0..=BOUNDS.len()).map(|index| if index == bucket { count } else { 0 }).collect(),
            explicit_bounds: BOUNDS.map(|(bound, _)| bound).to_vec(),
            ..HistogramDataPoint::default()
        };
        let waits = ExponentialHistogramDataPoint { attributes, ..self.waits(resolver_id, &labels) };
        let amounts = Histogram { data_points: vec![amounts], aggregation_temporality: DELTA };
        let waits = ExponentialHistogram { data_points: vec![waits], aggregation_temporality: DELTA };
        let metric = |name: &str, data| Metric { name: name.to_owned(), data: Some(data), ..Metric::default() };
        let metrics = vec![
            metric("till.payments", payments),
            metric("till.open", open),
            metric("till.amount", Data::Histogram(amounts)),
            metric("till.wait", Data::ExponentialHistogram(waits)),
        ];
        let scope = InstrumentationScope { name: "chaos".to_owned(), ..InstrumentationScope::default() };
        ResourceMetrics {
            resource: Some(Resource { attributes: texts(&[("service.name", "till")]), ..Resource::default() }),
            scope_metrics: vec![ScopeMetrics { scope: Some(scope), metrics, ..ScopeMetrics::default() }],
            ..ResourceMetrics::default()
        }
        .encode_to_vec()
    }

    /// Draws an exponential histogram of one bucket and zeros, and notes it down.
    fn waits(&mut self, resolver_id: &'static str, labels: &Labels) -> ExponentialHistogramDataPoint {
        let scale = SCALES.start + self.random.below(SCALES.end - SCALES.start);
        let offset = signed(self.random.below((2 * OCTAVES) << scale)) - signed(OCTAVES << scale);
        let (count, zeros, sum) = (1 + self.random.below(5), self.random.below(3), signed(self.random.below(1_000)));
        self.note("till_wait_count", labels, signed(count + zeros));
        self.note("till_wait_sum", labels, sum);
        let bound = (float(offset + 1) / float(1 << scale)).exp2();
        self.waits.entry(resolver_id).or_default().extend([(bound, count), (0.0, zeros)]);
        let narrow = |value: i64| i32::try_from(value).unwrap_or_default();
        ExponentialHistogramDataPoint {
            count: count + zeros,
            sum: Some(float(sum)),
            scale: narrow(signed(scale)),
            zero_count: zeros,
            positive: Some(Buckets { offset: narrow(offset), bucket_counts: vec![count] }),
            ..ExponentialHistogramDataPoint::default()
        }
    }

    /// Every sample that is not what was sent.
    pub fn differences(&self, metrics: &Exposition) -> Vec<String> {
        let mut differences = Vec::new();
        for ((name, labels), expected) in &self.samples {
            let actual = metrics.find(name, labels);
            if actual != Some(float(*expected)) {
                differences.push(format!("{name} {labels:?}: {actual:?} instead of {expected}"));
            }
        }
        for (resolver_id, waits) in &self.waits {
            differences.extend(self.differences_of_waits(resolver_id, waits, metrics));
        }
        // Whatever cannot be counted would be missing above, or be in a series that nobody sent.
        for name in ["stall_visits_total", "till_payments_total", "till_open", "till_amount_count", "till_wait_count"] {
            let (series, sent) =
                (metrics.series(name).count(), self.samples.keys().filter(|key| key.0 == name).count());
            if series != sent {
                differences.push(format!("{series} series of {name} instead of {sent}"));
            }
        }
        differences
    }

    /// Each bound that is printed is one of the buckets', so all of a bucket is at most that, or nothing.
    fn differences_of_waits(&self, resolver_id: &str, waits: &[(f64, u64)], metrics: &Exposition) -> Vec<String> {
        let mut differences = Vec::new();
        let resolver = format!("resolver={resolver_id:?}");
        let printed: Vec<(&str, f64)> =
            metrics.series("till_wait_bucket").filter(|(series, _)| series.contains(&resolver)).collect();
        // Zero, +Inf, and a bound a power of two at the least.
        let octaves = usize::try_from(2 * OCTAVES).unwrap_or_default();
        if waits.len() > 200 && printed.len() < octaves {
            differences.push(format!("only {} bounds of till_wait of {resolver_id}", printed.len()));
        }
        for (series, actual) in printed {
            let le = series.split_once("le=\"").and_then(|(_, rest)| rest.split_once('"'));
            let Some(le) = le.and_then(|(le, _)| le.parse::<f64>().ok()) else {
                differences.push(format!("{series} has no bound"));
                continue;
            };
            // Bounds are at least 2^(1/64) apart: what this allows is rounding.
            let count: u64 = waits.iter().filter(|(bound, _)| *bound <= le * 1.000_001).map(|(_, count)| count).sum();
            if actual != float(signed(count)) {
                differences.push(format!("{series}: {actual} instead of {count}"));
            }
        }
        differences
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the consumer prints one record, written down by hand.
    #[test]
    fn a_sample_that_is_wrong_missing_or_too_many_is_a_difference() {
        let mut custom = Custom::new(1);
        custom.note("till_open", &of_points("eu"), -3);
        custom.note("till_wait_count", &of_points("eu"), 3);
        custom.waits.insert("eu", vec![(2.0, 2), (0.0, 1)]);
        let labels = "job=\"till\",otel_scope_name=\"chaos\",resolver=\"eu\"";
        let text = format!(
            "till_open{{{labels}}} -3\ntill_wait_bucket{{{labels},le=\"0.0\"}} 1\ntill_wait_bucket{{{labels},le=\"1.0\"}} 1\n\
             till_wait_bucket{{{labels},le=\"2.0\"}} 3\ntill_wait_bucket{{{labels},le=\"+Inf\"}} 3\n\
             till_wait_count{{{labels}}} 3\n"
        );
        let differences = |text: &str| custom.differences(&Exposition::parse(text).unwrap());
        assert_eq!(differences(&text), [""; 0]);
        for (from, to) in [
            ("} -3\n", "} -2\n"),
            ("le=\"1.0\"} 1\n", "le=\"1.0\"} 3\n"),
            ("le=\"2.0\"} 3\n", "le=\"2.0\"} 2\n"),
            ("till_open{", "till_open{otel_metric_overflow=\"true\",job=\"x\"} 1\ntill_open{"),
            ("till_wait_count{", "till_count{"),
        ] {
            let changed = text.replace(from, to);
            assert_ne!(changed, text);
            assert!(!differences(&changed).is_empty(), "{changed}");
        }
    }
}
