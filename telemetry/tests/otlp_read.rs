//! OpenTelemetry's points of any shape, read into the model: held to an oracle that walks the message point by point and knows
//! nothing of the code, and printed for a strict parser.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs, reason = "helpers of a test")]

#[allow(dead_code, unreachable_pub, clippy::string_slice, reason = "the fuzz targets look at more of it")]
#[path = "../../fuzz/src/exposition.rs"]
mod exposition;

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::{
    common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value},
    metrics::v1::{
        ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram, HistogramDataPoint, Metric,
        NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, Summary, SummaryDataPoint,
        exponential_histogram_data_point::Buckets, metric::Data, number_data_point::Value as Sent,
    },
    resource::v1::Resource,
};
use proptest::{collection::vec, prelude::*};
use tributary_proto::Message as _;
use tributary_telemetry::{
    Delta, MetricKind, Number, Snapshot, TextFormat, TextOptions, UpDown, Value, arbitrary::label_value,
    otlp::read::read, write_text,
};

const WINDOW: (u64, u64) = (1_000, 2_000);
const DELTA: i32 = 1;

/// Names and units, and the families that counters, gauges and all others of that name are, written down by hand. Empty: none.
/// Some take names that samples of others have.
const NAMES: [(&str, &str, [&str; 3]); 8] = [
    ("jobs", "", ["jobs", "jobs", "jobs"]),
    ("jobs.total", "1", ["jobs", "jobs_total_ratio", "jobs_total"]),
    ("a..b", "s", ["a_b_seconds", "a_b_seconds", "a_b_seconds"]),
    ("jobs.count", "{job}", ["jobs_count", "jobs_count", "jobs_count"]),
    ("2x", "By/s", ["_2x_bytes_per_second", "_2x_bytes_per_second", "_2x_bytes_per_second"]),
    ("é", "", ["", "", ""]),
    ("up", "", ["up", "up", "up"]),
    ("confidence.jobs", "", ["confidence_jobs", "confidence_jobs", "confidence_jobs"]),
];

fn text(value: String) -> AnyValue {
    AnyValue { value: Some(any_value::Value::StringValue(value)) }
}

fn attribute(key: &str, value: String) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(text(value)), ..KeyValue::default() }
}

/// Up to three, in any order, whose labels have different names.
fn attributes() -> impl Strategy<Value = Vec<KeyValue>> {
    let value = || prop_oneof![9 => Just(None), 9 => label_value().prop_map(Some), 1 => Just(Some("v".repeat(1_025)))];
    let keys = Just(["a", "b.c", "le"]).prop_shuffle();
    (keys, [value(), value(), value()]).prop_map(|(keys, values)| {
        let pairs = keys.into_iter().zip(values);
        pairs.filter_map(|(key, value)| Some(attribute(key, value?))).collect()
    })
}

fn number() -> impl Strategy<Value = NumberDataPoint> {
    let value = prop_oneof![
        8 => (-2_i64..6).prop_map(|value| Some(Sent::AsInt(value))),
        1 => Just(Some(Sent::AsInt(i64::MAX))),
        1 => Just(Some(Sent::AsInt(i64::MIN))),
        4 => (-1_i8..9).prop_map(|value| Some(Sent::AsDouble(f64::from(value) / 2.0))),
        1 => prop::sample::select(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0])
            .prop_map(|value| Some(Sent::AsDouble(value))),
        1 => Just(None),
    ];
    let time = prop::sample::select(vec![0, 999_999, 1_500_000_000, 1_700_000_000, u64::MAX]);
    (attributes(), value, time, flags()).prop_map(|(attributes, value, time_unix_nano, flags)| NumberDataPoint {
        attributes,
        value,
        time_unix_nano,
        flags,
        ..NumberDataPoint::default()
    })
}

/// Mostly none; sometimes that there is no value.
fn flags() -> impl Strategy<Value = u32> {
    prop_oneof![15 => Just(0_u32), 1 => Just(1), 1 => Just(2)]
}

fn count() -> impl Strategy<Value = u64> {
    prop_oneof![20 => 0_u64..4, 1 => Just(u64::MAX / 2)]
}

/// Half of a whole number, nothing, or no number.
fn sum() -> impl Strategy<Value = Option<f64>> {
    prop_oneof![
        8 => (0_u8..9).prop_map(|sum| Some(f64::from(sum) / 2.0)), 2 => Just(None), 1 => Just(Some(f64::NAN)),
    ]
}

/// How much more the count is than its buckets.
fn excess() -> impl Strategy<Value = u64> {
    prop_oneof![15 => Just(0_u64), 1 => Just(1)]
}

fn histogram() -> impl Strategy<Value = HistogramDataPoint> {
    let bounds = prop::sample::select(vec![vec![], vec![0.5, 1.0], vec![-1.0, 2.0], vec![2.0, 1.0]]);
    (attributes(), bounds, vec(count(), 0..4), sum(), excess(), flags()).prop_map(
        |(attributes, explicit_bounds, bucket_counts, sum, excess, flags)| {
            let counted = bucket_counts.iter().fold(excess, |sum, count| sum.wrapping_add(*count));
            let sum = sum.map(|sum| if counted == 0 { 0.0 } else { sum });
            HistogramDataPoint {
                attributes,
                count: counted,
                sum,
                bucket_counts,
                explicit_bounds,
                flags,
                ..Default::default()
            }
        },
    )
}

fn exponential() -> impl Strategy<Value = ExponentialHistogramDataPoint> {
    let buckets = || {
        let buckets = (-30_i32..30, vec(count(), 0..5));
        proptest::option::of(buckets.prop_map(|(offset, bucket_counts)| Buckets { offset, bucket_counts }))
    };
    (attributes(), -3_i32..8, 0_u64..3, buckets(), buckets(), sum(), excess(), flags()).prop_map(
        |(attributes, scale, zero_count, positive, negative, sum, excess, flags)| {
            let counts = positive.iter().chain(&negative).flat_map(|buckets| &buckets.bucket_counts);
            let count = counts.fold(zero_count.wrapping_add(excess), |sum, count| sum.wrapping_add(*count));
            let sum = sum.map(|sum| if count == 0 { 0.0 } else { sum });
            ExponentialHistogramDataPoint {
                attributes,
                count,
                sum,
                scale,
                zero_count,
                positive,
                negative,
                flags,
                ..ExponentialHistogramDataPoint::default()
            }
        },
    )
}

fn metric() -> impl Strategy<Value = Metric> {
    let temporality = || prop_oneof![15 => Just(DELTA), 1 => Just(2), 1 => Just(0), 1 => Just(7)];
    let numbers = || vec(number(), 0..5);
    let data = prop_oneof![
        6 => (numbers(), temporality(), any::<bool>()).prop_map(|(data_points, aggregation_temporality, is_monotonic)| {
            Some(Data::Sum(Sum { data_points, aggregation_temporality, is_monotonic }))
        }),
        2 => numbers().prop_map(|data_points| Some(Data::Gauge(Gauge { data_points }))),
        3 => (vec(histogram(), 0..5), temporality()).prop_map(|(data_points, aggregation_temporality)| {
            Some(Data::Histogram(Histogram { data_points, aggregation_temporality }))
        }),
        3 => (vec(exponential(), 0..5), temporality()).prop_map(|(data_points, aggregation_temporality)| {
            Some(Data::ExponentialHistogram(ExponentialHistogram { data_points, aggregation_temporality }))
        }),
        1 => (0_usize..3).prop_map(|points| {
            Some(Data::Summary(Summary { data_points: vec![SummaryDataPoint::default(); points] }))
        }),
        1 => Just(None),
    ];
    // Half of them meet in the first family.
    let name = prop_oneof![Just(0), 0..NAMES.len()];
    let description = prop::sample::select(vec![String::new(), "Help \\ \"me\"\n.".to_owned(), "é".repeat(1_000)]);
    (name, description, data).prop_map(|(name, description, data)| {
        let (name, unit, _) = NAMES[name];
        Metric { name: name.to_owned(), unit: unit.to_owned(), description, data, ..Metric::default() }
    })
}

fn message() -> impl Strategy<Value = ResourceMetrics> {
    let scope = (0_usize..3, vec(metric(), 0..6)).prop_map(|(name, metrics)| {
        let scope =
            (name > 0).then(|| InstrumentationScope { name: ["", "x"][name - 1].to_owned(), ..Default::default() });
        ScopeMetrics { scope, metrics, schema_url: String::new() }
    });
    let resource = Resource { attributes: vec![attribute("service.name", "shop".to_owned())], ..Resource::default() };
    (proptest::option::of(Just(resource)), vec(scope, 0..4)).prop_map(|(resource, scope_metrics)| ResourceMetrics {
        resource,
        scope_metrics,
        schema_url: String::new(),
    })
}

/// The sum of numbers: whole ones stay exact until there is one that is not.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Total {
    Whole(i128),
    Float(f64),
}

#[expect(clippy::cast_precision_loss, reason = "compared with what is as rough")]
impl Total {
    fn of(sent: Sent) -> Self {
        match sent {
            Sent::AsInt(value) => Self::Whole(value.into()),
            Sent::AsDouble(value) => Self::Float(value),
        }
    }

    fn float(self) -> f64 {
        match self {
            Self::Whole(value) => value as f64,
            Self::Float(value) => value,
        }
    }

    fn plus(self, other: Self) -> Self {
        match (self, other) {
            (Self::Whole(left), Self::Whole(right)) => Self::Whole(left + right),
            (left, right) => Self::Float(left.float() + right.float()),
        }
    }
}

/// What a series, or all of a family together, comes to.
#[derive(Clone, Debug, Default, PartialEq)]
struct Naive {
    whole: i128,
    float: f64,
    /// Observations: of buckets, or of an exponential histogram at zero, above and below.
    buckets: Vec<u128>,
    sum: f64,
    /// Series of which the sum is not known.
    without_sum: usize,
    series: usize,
}

impl Naive {
    fn add(&mut self, other: &Self) {
        self.whole += other.whole;
        self.float += other.float;
        self.buckets.resize(self.buckets.len().max(other.buckets.len()), 0);
        for (total, count) in self.buckets.iter_mut().zip(&other.buckets) {
            *total += count;
        }
        self.sum += other.sum;
        self.without_sum += other.without_sum;
        self.series += other.series;
    }

    fn observations(&self) -> u128 {
        self.buckets.iter().sum()
    }

    fn is_near(&self, other: &Self) -> bool {
        let near = |left: f64, right: f64| (left - right).abs() <= left.abs().max(right.abs()) * 1e-9;
        near(self.float, other.float)
            && near(self.sum, other.sum)
            && Self { float: 0.0, sum: 0.0, ..self.clone() } == Self { float: 0.0, sum: 0.0, ..other.clone() }
    }
}

#[derive(Clone, Debug)]
enum Series {
    Number(Total),
    /// The latest time, and what was read then.
    Gauge(u64, Vec<f64>),
    Histogram(Vec<f64>, Vec<u128>, f64),
    Exponential([u128; 3], Option<f64>),
}

type Key = (String, String, Vec<(String, String)>);

#[derive(Debug, Default)]
struct Oracle {
    kinds: BTreeMap<String, MetricKind>,
    series: BTreeMap<Key, Series>,
    refused: u64,
    reserved: u64,
}

impl Oracle {
    fn of(message: &ResourceMetrics) -> Self {
        let mut oracle = Self::default();
        for scope in &message.scope_metrics {
            let name = scope.scope.as_ref().map(|scope| scope.name.clone()).unwrap_or_default();
            for metric in &scope.metrics {
                oracle.metric(&name, metric);
            }
        }
        oracle
    }

    fn metric(&mut self, scope: &str, metric: &Metric) {
        type Point<'a> = (&'a [KeyValue], Option<Series>);
        let (kind, temporality, points): (_, _, Vec<Point<'_>>) = match &metric.data {
            None => return self.refused += 1,
            Some(Data::Summary(summary)) => return self.refused += summary.data_points.len() as u64,
            Some(Data::Sum(sum)) => {
                let kind = if sum.is_monotonic { MetricKind::Counter } else { MetricKind::UpDown };
                let value = |point: &NumberDataPoint| {
                    let total = Total::of(point.value.filter(|_| point.flags & 1 == 0)?);
                    let is_sum = total.float().is_finite() && !(sum.is_monotonic && total.float() < 0.0);
                    is_sum.then_some(Series::Number(total))
                };
                let points = sum.data_points.iter().map(|point| (point.attributes.as_slice(), value(point)));
                (kind, sum.aggregation_temporality, points.collect())
            }
            Some(Data::Gauge(gauge)) => {
                let value = |point: &NumberDataPoint| {
                    let reading = Total::of(point.value.filter(|_| point.flags & 1 == 0)?).float();
                    let time = match point.time_unix_nano / 1_000_000 {
                        0 => WINDOW.1,
                        time => time.min(WINDOW.1),
                    };
                    (!reading.is_nan()).then(|| Series::Gauge(time, vec![reading]))
                };
                let points = gauge.data_points.iter().map(|point| (point.attributes.as_slice(), value(point)));
                (MetricKind::Gauge, DELTA, points.collect())
            }
            Some(Data::Histogram(histogram)) => {
                let points = histogram.data_points.iter().map(|point| (point.attributes.as_slice(), explicit(point)));
                (MetricKind::Histogram, histogram.aggregation_temporality, points.collect())
            }
            Some(Data::ExponentialHistogram(histogram)) => {
                let points = histogram.data_points.iter().map(|point| (point.attributes.as_slice(), signs(point)));
                (MetricKind::Exponential, histogram.aggregation_temporality, points.collect())
            }
        };
        let (_, _, [counter, gauge, other]) = NAMES.into_iter().find(|(name, ..)| *name == metric.name).unwrap();
        let family = match kind {
            MetricKind::Counter => counter,
            MetricKind::Gauge => gauge,
            _ => other,
        };
        if temporality != DELTA || family.is_empty() {
            return self.refused += points.len() as u64;
        }
        if family == "up" || family.starts_with("confidence_") {
            return self.reserved += points.len() as u64;
        }
        for (attributes, value) in points {
            if self.point(family, kind, scope, attributes, value).is_none() {
                self.refused += 1;
            }
        }
    }

    /// `None` where it cannot be counted.
    fn point(
        &mut self,
        family: &str,
        kind: MetricKind,
        scope: &str,
        attributes: &[KeyValue],
        value: Option<Series>,
    ) -> Option<()> {
        let value = value?;
        let mut labels: Vec<(String, String)> = Vec::new();
        for attribute in attributes {
            let Some(AnyValue { value: Some(any_value::Value::StringValue(text)) }) = &attribute.value else {
                panic!("no text")
            };
            if text.len() > 1_024 {
                return None;
            }
            if !text.is_empty() {
                labels.push((attribute.key.clone(), text.clone()));
            }
        }
        labels.sort();
        if self.kinds.get(family).is_some_and(|known| *known != kind) {
            return None;
        }
        let key = (family.to_owned(), scope.to_owned(), labels);
        let merged = match self.series.get(&key) {
            None => value,
            Some(known) => together(kind, known, value)?,
        };
        self.kinds.insert(family.to_owned(), kind);
        self.series.insert(key, merged);
        Some(())
    }

    fn families(&self) -> BTreeMap<&str, Naive> {
        let mut families: BTreeMap<&str, Naive> = BTreeMap::new();
        for ((family, _, _), series) in &self.series {
            let mut naive = Naive { series: 1, ..Naive::default() };
            match series {
                Series::Number(Total::Whole(value)) => naive.whole = *value,
                Series::Number(Total::Float(value)) => naive.float = *value,
                Series::Gauge(..) => {}
                Series::Histogram(_, buckets, sum) => (naive.buckets, naive.sum) = (buckets.clone(), *sum),
                Series::Exponential(counts, sum) => {
                    naive.buckets = counts.to_vec();
                    naive.sum = sum.unwrap_or_default();
                    naive.without_sum = usize::from(sum.is_none());
                }
            }
            families.entry(family).or_default().add(&naive);
        }
        families
    }

    fn is_read(&self, family: &str, time: u64, reading: f64) -> bool {
        self.series.iter().any(|((known, _, _), series)| {
            matches!(series, Series::Gauge(at, readings) if known == family && *at == time && readings.contains(&reading))
        })
    }
}

/// Both as one series; `None` where they do not add up, or pass 64 bits.
fn together(kind: MetricKind, known: &Series, value: Series) -> Option<Series> {
    Some(match (known, value) {
        (Series::Number(known), Series::Number(value)) => {
            let range =
                if kind == MetricKind::Counter { 0..=u64::MAX.into() } else { i64::MIN.into()..=i64::MAX.into() };
            match known.plus(value) {
                Total::Whole(sum) if !range.contains(&sum) => return None,
                sum => Series::Number(sum),
            }
        }
        (Series::Gauge(known, readings), Series::Gauge(time, reading)) => match known.cmp(&time) {
            std::cmp::Ordering::Less => Series::Gauge(time, reading),
            std::cmp::Ordering::Equal => Series::Gauge(time, [readings.as_slice(), &reading].concat()),
            std::cmp::Ordering::Greater => Series::Gauge(*known, readings.clone()),
        },
        (Series::Histogram(known, counts, sum), Series::Histogram(bounds, more, other)) => {
            if *known != bounds {
                return None;
            }
            let counts: Vec<u128> = counts.iter().zip(more).map(|(left, right)| left + right).collect();
            fits(&counts)?;
            Series::Histogram(bounds, counts, sum + other)
        }
        (Series::Exponential(known, sum), Series::Exponential(more, other)) => {
            let counts = [0, 1, 2].map(|sign| known[sign] + more[sign]);
            fits(&counts)?;
            // Of nothing the sum is known.
            let sum = match (known.iter().sum::<u128>(), more.iter().sum::<u128>()) {
                (0, _) => other,
                (_, 0) => *sum,
                _ => sum.zip(other).map(|(left, right)| left + right),
            };
            Series::Exponential(counts, sum)
        }
        (known, value) => panic!("{known:?} and {value:?} in one family"),
    })
}

fn fits(counts: &[u128]) -> Option<()> {
    (counts.iter().sum::<u128>() <= u64::MAX.into()).then_some(())
}

fn explicit(point: &HistogramDataPoint) -> Option<Series> {
    let bounds = point.explicit_bounds.clone();
    let mut counts: Vec<u128> = point.bucket_counts.iter().map(|count| u128::from(*count)).collect();
    if counts.is_empty() && bounds.is_empty() {
        counts.push(point.count.into());
    }
    let sum = point.sum.unwrap_or_default();
    let adds_up = counts.iter().sum::<u128>() == u128::from(point.count) && counts.len() == bounds.len() + 1;
    let is_right = point.flags & 1 == 0 && adds_up && sum.is_finite() && bounds.is_sorted();
    is_right.then_some(Series::Histogram(bounds, counts, sum))
}

fn signs(point: &ExponentialHistogramDataPoint) -> Option<Series> {
    let total = |buckets: &Option<Buckets>| -> u128 {
        buckets.iter().flat_map(|buckets| &buckets.bucket_counts).map(|count| u128::from(*count)).sum()
    };
    let counts = [point.zero_count.into(), total(&point.positive), total(&point.negative)];
    let count: u128 = counts.iter().sum();
    let is_right = point.flags & 1 == 0 && count == u128::from(point.count) && point.sum.is_none_or(f64::is_finite);
    is_right.then_some(Series::Exponential(counts, if count == 0 { Some(0.0) } else { point.sum }))
}

/// The same of what was read. What a resource says is no point.
fn families(delta: &Delta) -> BTreeMap<&str, Naive> {
    let mut families: BTreeMap<&str, Naive> = BTreeMap::new();
    for family in delta.families().filter(|family| family.descriptor().name() != "target_info") {
        for (_, value) in family.series() {
            let mut naive = Naive { series: 1, ..Naive::default() };
            match value {
                Value::Counter(count) => naive.whole = i128::from(*count),
                Value::UpDown(UpDown::Integer(sum)) => naive.whole = i128::from(*sum),
                Value::FloatCounter(sum) | Value::UpDown(UpDown::Float(sum)) => naive.float = *sum,
                Value::Gauge(_) => {}
                Value::Histogram(histogram) => {
                    naive.buckets = histogram.bucket_counts().iter().map(|count| u128::from(*count)).collect();
                    naive.sum = histogram.sum().to_f64();
                }
                Value::Exponential(histogram) => {
                    let total = |counts: &[u64]| counts.iter().map(|count| u128::from(*count)).sum();
                    let signs = [histogram.positive(), histogram.negative()].map(|buckets| total(&buckets.counts));
                    naive.buckets = vec![histogram.zero_count().into(), signs[0], signs[1]];
                    naive.sum = histogram.sum().unwrap_or_default();
                    naive.without_sum = usize::from(histogram.sum().is_none());
                }
            }
            families.entry(family.descriptor().name()).or_default().add(&naive);
        }
    }
    families
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn points_of_any_shape_add_up_in_their_family_or_are_refused_and_the_text_is_legal(message in message()) {
        let oracle = Oracle::of(&message);
        let bytes = message.encoded_len();
        let read = read(message, bytes, WINDOW.0, WINDOW.1);
        prop_assert_eq!(read.refused.values().sum::<u64>(), oracle.refused, "{:?}", read.refused);
        prop_assert_eq!((read.reserved_points, read.overflowed), (oracle.reserved, 0));
        let (expected, actual) = (oracle.families(), families(&read.delta));
        prop_assert_eq!(actual.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
        for (family, naive) in &expected {
            prop_assert!(naive.is_near(&actual[family]), "{family}: {:?} instead of {naive:?}", actual[family]);
        }
        for family in read.delta.families().filter(|family| family.descriptor().name() != "target_info") {
            for (_, value) in family.series() {
                let Value::Gauge(gauge) = value else { continue };
                let reading = match gauge.value() {
                    Number::Unsigned(value) => Total::Whole(value.into()).float(),
                    Number::Float(value) => value,
                };
                let name = family.descriptor().name();
                prop_assert!(oracle.is_read(name, gauge.time_ms(), reading), "{name}: {gauge:?}");
            }
        }

        let mut state = Snapshot::new(WINDOW.0);
        let applied = state.apply_custom(&read.delta, WINDOW.1);
        let left_out = applied.series_refused + applied.series_conflicting + applied.series_overflowing;
        for format in [TextFormat::OpenMetrics, TextFormat::Prometheus] {
            let mut text = String::new();
            write_text(&state, &TextOptions::new(format), &mut text);
            let printed = exposition::parse(&text, format == TextFormat::OpenMetrics);
            let printed = printed.map_err(|why| TestCaseError::fail(format!("{why}\n{text}")))?;
            prop_assert_eq!(printed.len(), state.families().len());
            let samples: Vec<_> = printed.iter().flat_map(|family| &family.samples).collect();
            // Families of one message may claim each other's names: then the state has only one of them.
            for (family, naive) in expected.iter().filter(|_| left_out == 0) {
                let (suffix, expected) = match oracle.kinds[*family] {
                    MetricKind::Counter => ("_total", Total::Whole(naive.whole).float() + naive.float),
                    MetricKind::Histogram | MetricKind::Exponential if format == TextFormat::Prometheus => {
                        ("_count", Total::Whole(naive.observations().try_into().unwrap()).float())
                    }
                    _ => continue,
                };
                let name = format!("{family}{suffix}");
                let values = samples.iter().filter(|sample| sample.name == name);
                let total: f64 = values.map(|sample| sample.value.parse::<f64>().unwrap()).sum();
                prop_assert!((total - expected).abs() <= expected * 1e-9, "{name} {total} instead of {expected}\n{text}");
            }
        }
    }
}
