//! What the SDK collected, as points of OTLP.
//!
//! `opentelemetry-proto` has a conversion, too. This one differs where a count would be lost or doubled: a sum over 63 bits
//! becomes several points and not 0, totals of observable counters become differences, values that are no numbers are
//! counted as such. Exemplars, minima and maxima are left out, which no sum over isolates keeps.

use std::time::{SystemTime, UNIX_EPOCH};

use opentelemetry::{Key, KeyValue, Value};
use opentelemetry_proto::tonic::{
    common::v1::{AnyValue, InstrumentationScope, KeyValue as Attribute},
    metrics::v1::{
        ExponentialHistogramDataPoint, HistogramDataPoint, Metric as WireMetric, NumberDataPoint, ScopeMetrics,
        Sum as WireSum, exponential_histogram_data_point::Buckets, metric, number_data_point,
    },
    resource::v1::Resource,
};
use opentelemetry_sdk::metrics::{
    Temporality,
    data::{
        AggregatedMetrics, ExponentialBucket, ExponentialHistogram, Gauge, Histogram, Metric, MetricData,
        ResourceMetrics, Sum,
    },
};
use prost::Message as _;
use tributary_emitter::source::Collected;

use crate::{
    baseline::{Baselines, Difference, Reading},
    pack::{Bounds, Head, Kind, Packer, Point},
    resource::{SERVICE_NAME, is_unknown},
};

/// Writes what was collected as messages within `bounds`. `service` is the name of one that the resource does not know.
pub fn convert(
    metrics: &ResourceMetrics,
    service: Option<&Value>,
    baselines: &mut Baselines,
    bounds: Bounds,
) -> Collected {
    let resource = metrics.resource();
    let schema_url = resource.schema_url().unwrap_or_default().to_owned();
    let own = |(key, value): (&Key, &Value)| match service {
        Some(service) if key.as_str() == SERVICE_NAME && is_unknown(&value.as_str()) => {
            attribute(SERVICE_NAME, service.clone())
        }
        _ => attribute(key.as_str(), value.clone()),
    };
    let mut attributes: Vec<_> = resource.iter().map(own).collect();
    attributes.sort_by(|one, other| one.key.cmp(&other.key));
    let mut converter = Converter {
        packer: Packer::new(bounds, Resource { attributes, ..Resource::default() }, schema_url),
        baselines,
        scope: InstrumentationScope::default(),
        invalid: 0,
        limited: 0,
    };
    for scope in metrics.scope_metrics() {
        let own = scope.scope();
        converter.scope = InstrumentationScope {
            name: own.name().to_owned(),
            version: own.version().unwrap_or_default().to_owned(),
            attributes: own.attributes().map(|pair| attribute(pair.key.as_str(), pair.value.clone())).collect(),
            dropped_attributes_count: 0,
        };
        converter.packer.scope(converter.scope.clone(), own.schema_url().unwrap_or_default().to_owned());
        scope.metrics().for_each(|metric| converter.metric(metric));
    }
    let Converter { packer, invalid, limited, .. } = converter;
    let (resource_metrics, too_large) = packer.into_messages();
    Collected { resource_metrics, invalid: invalid.saturating_add(too_large), limited }
}

struct Converter<'a> {
    packer: Packer,
    baselines: &'a mut Baselines,
    scope: InstrumentationScope,
    invalid: u64,
    limited: u64,
}

/// A number of an instrument.
trait Number: Copy {
    fn reading(self) -> Reading;
}

impl Number for u64 {
    fn reading(self) -> Reading {
        Reading::Unsigned(self)
    }
}

impl Number for i64 {
    fn reading(self) -> Reading {
        Reading::Signed(self)
    }
}

impl Number for f64 {
    fn reading(self) -> Reading {
        Reading::Float(self)
    }
}

impl Converter<'_> {
    fn metric(&mut self, metric: &Metric) {
        match metric.data() {
            AggregatedMetrics::U64(data) => self.data(metric, data),
            AggregatedMetrics::I64(data) => self.data(metric, data),
            AggregatedMetrics::F64(data) => self.data(metric, data),
        }
    }

    fn data<T: Number>(&mut self, metric: &Metric, data: &MetricData<T>) {
        let kind = match data {
            MetricData::Gauge(_) => Kind::Gauge,
            MetricData::Sum(sum) => Kind::Sum { is_monotonic: sum.is_monotonic() },
            MetricData::Histogram(_) => Kind::Histogram,
            MetricData::ExponentialHistogram(_) => Kind::Exponential,
        };
        self.packer.metric(Head {
            name: metric.name().to_owned(),
            description: metric.description().to_owned(),
            unit: metric.unit().to_owned(),
            kind,
        });
        match data {
            MetricData::Gauge(gauge) => self.gauge(gauge),
            MetricData::Sum(sum) => self.sum(metric.name(), sum),
            MetricData::Histogram(histogram) => self.histogram(histogram),
            MetricData::ExponentialHistogram(histogram) => self.exponential(histogram),
        }
    }

    fn gauge<T: Number>(&mut self, gauge: &Gauge<T>) {
        for point in gauge.data_points() {
            match reading_value(point.value().reading()) {
                Some(value) => self.packer.point(Point::Number(NumberDataPoint {
                    attributes: attributes(point.attributes()),
                    time_unix_nano: nanos(gauge.time()),
                    value: Some(value),
                    ..NumberDataPoint::default()
                })),
                None => self.lose(),
            }
        }
    }

    fn sum<T: Number>(&mut self, name: &str, sum: &Sum<T>) {
        for point in sum.data_points() {
            let attributes = attributes(point.attributes());
            let added = if sum.temporality() == Temporality::Delta {
                Difference::Added(point.value().reading())
            } else {
                let series = self.series(name, &attributes);
                self.baselines.difference(series, point.value().reading(), sum.is_monotonic())
            };
            let values = match added {
                Difference::Added(added) => sum_values(added, sum.is_monotonic()),
                Difference::Nothing => continue,
                Difference::Limited => {
                    self.limited = self.limited.saturating_add(1);
                    continue;
                }
                Difference::Invalid => None,
            };
            let Some(values) = values else {
                self.lose();
                continue;
            };
            for value in values.into_iter().flatten() {
                self.packer.point(Point::Number(NumberDataPoint {
                    attributes: attributes.clone(),
                    start_time_unix_nano: nanos(sum.start_time()),
                    time_unix_nano: nanos(sum.time()),
                    value: Some(value),
                    ..NumberDataPoint::default()
                }));
            }
        }
    }

    fn histogram<T: Number>(&mut self, histogram: &Histogram<T>) {
        for point in histogram.data_points() {
            let sum = float(point.sum().reading());
            if histogram.temporality() != Temporality::Delta || !sum.is_finite() {
                // A histogram of an observable counter's totals means nothing, and is not counted once more each time.
                self.lose();
                continue;
            }
            self.packer.point(Point::Histogram(HistogramDataPoint {
                attributes: attributes(point.attributes()),
                start_time_unix_nano: nanos(histogram.start_time()),
                time_unix_nano: nanos(histogram.time()),
                count: point.count(),
                sum: Some(sum),
                bucket_counts: point.bucket_counts().collect(),
                explicit_bounds: point.bounds().collect(),
                ..HistogramDataPoint::default()
            }));
        }
    }

    fn exponential<T: Number>(&mut self, histogram: &ExponentialHistogram<T>) {
        for point in histogram.data_points() {
            let sum = float(point.sum().reading());
            let count = u64::try_from(point.count());
            let (Ok(count), true, true) = (count, sum.is_finite(), histogram.temporality() == Temporality::Delta)
            else {
                self.lose();
                continue;
            };
            self.packer.point(Point::Exponential(ExponentialHistogramDataPoint {
                attributes: attributes(point.attributes()),
                start_time_unix_nano: nanos(histogram.start_time()),
                time_unix_nano: nanos(histogram.time()),
                count,
                sum: Some(sum),
                scale: i32::from(point.scale()),
                zero_count: point.zero_count(),
                positive: buckets(point.positive_bucket()),
                negative: buckets(point.negative_bucket()),
                zero_threshold: point.zero_threshold(),
                ..ExponentialHistogramDataPoint::default()
            }));
        }
    }

    fn lose(&mut self) {
        self.invalid = self.invalid.saturating_add(1);
    }

    /// The identity of a series, the same in whatever order its attributes were given.
    fn series(&self, name: &str, attributes: &[Attribute]) -> Vec<u8> {
        let mut attributes = attributes.to_vec();
        attributes.sort_by(|one, other| one.key.cmp(&other.key));
        let point = NumberDataPoint { attributes, ..NumberDataPoint::default() };
        let data = Some(metric::Data::Sum(WireSum { data_points: vec![point], ..WireSum::default() }));
        let metrics = vec![WireMetric { name: name.to_owned(), data, ..WireMetric::default() }];
        ScopeMetrics { scope: Some(self.scope.clone()), metrics, schema_url: String::new() }.encode_to_vec()
    }
}

/// A side of an exponential histogram; `None` where it has nothing.
fn buckets(side: &ExponentialBucket) -> Option<Buckets> {
    let bucket_counts: Vec<u64> = side.counts().collect();
    (!bucket_counts.is_empty()).then(|| Buckets { offset: side.offset(), bucket_counts })
}

/// The values of the points that add up to this; `None` where there is no such sum. OTLP's integers have 63 bits.
fn sum_values(added: Reading, is_monotonic: bool) -> Option<[Option<number_data_point::Value>; 3]> {
    const MOST: u64 = i64::MAX.unsigned_abs();
    let integer = |value: u64| i64::try_from(value).ok().map(number_data_point::Value::AsInt);
    match added {
        Reading::Unsigned(value) => {
            let rest = value.saturating_sub(MOST);
            let more = |value: u64| (value > 0).then(|| integer(value.min(MOST))).flatten();
            Some([integer(value.min(MOST)), more(rest), more(rest.saturating_sub(MOST))])
        }
        Reading::Signed(value) if is_monotonic && value < 0 => None,
        Reading::Signed(value) => Some([Some(number_data_point::Value::AsInt(value)), None, None]),
        Reading::Float(value) if !value.is_finite() || (is_monotonic && value < 0.0) => None,
        Reading::Float(value) => Some([Some(number_data_point::Value::AsDouble(value)), None, None]),
    }
}

/// The value of a reading; `None` where it is none.
fn reading_value(reading: Reading) -> Option<number_data_point::Value> {
    match reading {
        Reading::Unsigned(value) => Some(match i64::try_from(value) {
            Ok(value) => number_data_point::Value::AsInt(value),
            Err(_) => number_data_point::Value::AsDouble(float(reading)),
        }),
        Reading::Signed(value) => Some(number_data_point::Value::AsInt(value)),
        Reading::Float(value) => value.is_finite().then_some(number_data_point::Value::AsDouble(value)),
    }
}

/// The nearest double: sums of histograms are doubles in OTLP.
#[expect(clippy::cast_precision_loss, reason = "the nearest double is meant")]
fn float(reading: Reading) -> f64 {
    match reading {
        Reading::Unsigned(value) => value as f64,
        Reading::Signed(value) => value as f64,
        Reading::Float(value) => value,
    }
}

fn attributes<'a>(pairs: impl Iterator<Item = &'a KeyValue>) -> Vec<Attribute> {
    pairs.map(|pair| attribute(pair.key.as_str(), pair.value.clone())).collect()
}

fn attribute(key: &str, value: Value) -> Attribute {
    Attribute { key: key.to_owned(), value: Some(AnyValue::from(value)), ..Attribute::default() }
}

/// Nanoseconds since the epoch, 0 before it.
fn nanos(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}
