//! Families and series as metrics and data points.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram, HistogramDataPoint,
    Metric, NumberDataPoint, Sum, exponential_histogram_data_point::Buckets, metric::Data, number_data_point,
};

use super::{HistogramEncoding, attribute, exponential, ucum};
use crate::{ExponentialBuckets, FamilyDescriptor, LabelSet, MetricKind, Number, Series, UpDown, Value};

/// Which time a data point covers; in milliseconds since the epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stamp {
    /// From the start of its series.
    Cumulative { time_ms: u64 },
    /// One window.
    Delta { start_ms: u64, end_ms: u64 },
}

impl Stamp {
    fn temporality(self) -> i32 {
        match self {
            Self::Cumulative { .. } => AggregationTemporality::Cumulative.into(),
            Self::Delta { .. } => AggregationTemporality::Delta.into(),
        }
    }

    /// Start and end in nanoseconds. A cumulative point never ends before it starts, whatever the clocks say.
    fn nanos(self, series: &Series) -> (u64, u64) {
        let (start_ms, end_ms) = match self {
            Self::Cumulative { time_ms } => (series.start_time_ms(), time_ms.max(series.start_time_ms())),
            Self::Delta { start_ms, end_ms } => (start_ms, end_ms),
        };
        (nanos(start_ms), nanos(end_ms))
    }
}

/// Saturates in the year 2554, where nanoseconds pass 64 bits.
const fn nanos(millis: u64) -> u64 {
    millis.saturating_mul(1_000_000)
}

/// The metrics of one resource, by name.
#[derive(Debug, Default)]
pub(super) struct Metrics(BTreeMap<String, Metric>);

impl Metrics {
    /// Adds one series.
    pub(super) fn add(
        &mut self,
        family: &FamilyDescriptor,
        labels: &LabelSet,
        series: &Series,
        stamp: Stamp,
        encoding: HistogramEncoding,
    ) {
        let metric = self.0.entry(family.name().to_owned()).or_insert_with(|| Metric {
            name: family.name().to_owned(),
            description: family.help().to_owned(),
            unit: ucum(family.name(), family.unit(), family.kind()),
            metadata: Vec::new(),
            data: None,
        });
        let attributes = labels.iter().map(|(name, value)| attribute(name, value)).collect();
        let (start_time_unix_nano, time_unix_nano) = stamp.nanos(series);
        let aggregation_temporality = stamp.temporality();
        let data = &mut metric.data;
        // A family has values of one kind only, so the other arm of each `if` never runs.
        let add_exponential = |point, attributes, data: &mut Option<Data>| {
            let point = ExponentialHistogramDataPoint { attributes, start_time_unix_nano, time_unix_nano, ..point };
            let data = data.get_or_insert_with(|| {
                Data::ExponentialHistogram(ExponentialHistogram { data_points: Vec::new(), aggregation_temporality })
            });
            if let Data::ExponentialHistogram(exponential) = data {
                exponential.data_points.push(point);
            }
        };
        match series.value() {
            Value::Counter(_) | Value::FloatCounter(_) | Value::UpDown(_) => {
                let is_monotonic = family.kind() == MetricKind::Counter;
                let value = Some(sum(series.value()));
                let point =
                    NumberDataPoint { attributes, start_time_unix_nano, time_unix_nano, value, ..Default::default() };
                let data = data.get_or_insert_with(|| {
                    Data::Sum(Sum { data_points: Vec::new(), aggregation_temporality, is_monotonic })
                });
                if let Data::Sum(sum) = data {
                    sum.data_points.push(point);
                }
            }
            Value::Gauge(gauge) => {
                // When it was read; a reading has no start.
                let time_unix_nano = nanos(gauge.time_ms());
                let value = Some(number(gauge.value()));
                let point = NumberDataPoint { attributes, time_unix_nano, value, ..Default::default() };
                if let Data::Gauge(gauge) = data.get_or_insert_with(|| Data::Gauge(Gauge::default())) {
                    gauge.data_points.push(point);
                }
            }
            Value::Histogram(histogram) if encoding == HistogramEncoding::Explicit => {
                let point = HistogramDataPoint {
                    attributes,
                    start_time_unix_nano,
                    time_unix_nano,
                    count: histogram.count(),
                    sum: Some(histogram.sum().to_f64()),
                    bucket_counts: histogram.bucket_counts().to_vec(),
                    explicit_bounds: histogram.bounds().upper_bounds().collect(),
                    ..Default::default()
                };
                let data = data.get_or_insert_with(|| {
                    Data::Histogram(Histogram { data_points: Vec::new(), aggregation_temporality })
                });
                if let Data::Histogram(histogram) = data {
                    histogram.data_points.push(point);
                }
            }
            Value::Histogram(histogram) => add_exponential(exponential::data_point(histogram), attributes, data),
            Value::Exponential(histogram) => add_exponential(exponential_point(histogram), attributes, data),
        }
    }

    pub(super) fn into_messages(self) -> Vec<Metric> {
        self.0.into_values().collect()
    }
}

/// The buckets of an exponential histogram, without attributes and times.
fn exponential_point(histogram: &crate::ExponentialHistogram) -> ExponentialHistogramDataPoint {
    let buckets = |ExponentialBuckets { offset, counts }: &ExponentialBuckets| {
        (!counts.is_empty()).then(|| Buckets { offset: *offset, bucket_counts: counts.clone() })
    };
    ExponentialHistogramDataPoint {
        count: histogram.count(),
        sum: histogram.sum(),
        scale: histogram.scale(),
        zero_count: histogram.zero_count(),
        zero_threshold: histogram.zero_threshold(),
        positive: buckets(histogram.positive()),
        negative: buckets(histogram.negative()),
        ..Default::default()
    }
}

/// The number of a sum. The kinds that have none never get here.
fn sum(value: &Value) -> number_data_point::Value {
    match value {
        Value::Counter(count) => number(Number::Unsigned(*count)),
        Value::FloatCounter(sum) | Value::UpDown(UpDown::Float(sum)) => number_data_point::Value::AsDouble(*sum),
        Value::UpDown(UpDown::Integer(sum)) => number_data_point::Value::AsInt(*sum),
        Value::Gauge(_) | Value::Histogram(_) | Value::Exponential(_) => number_data_point::Value::AsInt(0),
    }
}

/// An integer where it fits OTLP's signed 64 bits, otherwise the nearest float.
fn number(value: Number) -> number_data_point::Value {
    let integer = match value {
        Number::Unsigned(value) => i64::try_from(value).ok(),
        Number::Float(_) => None,
    };
    integer.map_or_else(|| number_data_point::Value::AsDouble(value.to_f64()), number_data_point::Value::AsInt)
}
