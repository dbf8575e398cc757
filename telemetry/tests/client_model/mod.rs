//! The messages of Prometheus' protobuf format, written down once more for tests: fields, numbers and presence as
//! `io/prometheus/client/metrics.proto` of client_model 0.6.3 has them (proto2: a field that is 0 is not one that is absent).
//!
//! Every field that exists is here, those that we never write too: what is decoded and encoded again is the same bytes only
//! where nothing else is in them, and everything in its order and shortest form.

#![allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    reason = "shared by tests that read different fields; the fields are documented by their schema"
)]

use prost::Message;

#[derive(Clone, PartialEq, Message)]
pub struct LabelPair {
    #[prost(string, optional, tag = "1")]
    pub name: Option<String>,
    #[prost(string, optional, tag = "2")]
    pub value: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub enum MetricType {
    Counter = 0,
    Gauge = 1,
    Summary = 2,
    Untyped = 3,
    Histogram = 4,
    GaugeHistogram = 5,
}

/// `google.protobuf.Timestamp`, in which zeros are as good as absent.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct Timestamp {
    #[prost(int64, optional, tag = "1")]
    pub seconds: Option<i64>,
    #[prost(int32, optional, tag = "2")]
    pub nanos: Option<i32>,
}

impl Timestamp {
    pub fn millis(self) -> i64 {
        self.seconds.unwrap_or(0) * 1_000 + i64::from(self.nanos.unwrap_or(0)) / 1_000_000
    }
}

#[derive(Clone, PartialEq, Message)]
pub struct Exemplar {
    #[prost(message, repeated, tag = "1")]
    pub label: Vec<LabelPair>,
    #[prost(double, optional, tag = "2")]
    pub value: Option<f64>,
    #[prost(message, optional, tag = "3")]
    pub timestamp: Option<Timestamp>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Gauge {
    #[prost(double, optional, tag = "1")]
    pub value: Option<f64>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Counter {
    #[prost(double, optional, tag = "1")]
    pub value: Option<f64>,
    #[prost(message, optional, tag = "2")]
    pub exemplar: Option<Exemplar>,
    #[prost(message, optional, tag = "3")]
    pub created_timestamp: Option<Timestamp>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Quantile {
    #[prost(double, optional, tag = "1")]
    pub quantile: Option<f64>,
    #[prost(double, optional, tag = "2")]
    pub value: Option<f64>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Summary {
    #[prost(uint64, optional, tag = "1")]
    pub sample_count: Option<u64>,
    #[prost(double, optional, tag = "2")]
    pub sample_sum: Option<f64>,
    #[prost(message, repeated, tag = "3")]
    pub quantile: Vec<Quantile>,
    #[prost(message, optional, tag = "4")]
    pub created_timestamp: Option<Timestamp>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Untyped {
    #[prost(double, optional, tag = "1")]
    pub value: Option<f64>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Bucket {
    #[prost(uint64, optional, tag = "1")]
    pub cumulative_count: Option<u64>,
    #[prost(double, optional, tag = "2")]
    pub upper_bound: Option<f64>,
    #[prost(message, optional, tag = "3")]
    pub exemplar: Option<Exemplar>,
    #[prost(double, optional, tag = "4")]
    pub cumulative_count_float: Option<f64>,
}

#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct BucketSpan {
    #[prost(sint32, optional, tag = "1")]
    pub offset: Option<i32>,
    #[prost(uint32, optional, tag = "2")]
    pub length: Option<u32>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Histogram {
    #[prost(uint64, optional, tag = "1")]
    pub sample_count: Option<u64>,
    #[prost(double, optional, tag = "2")]
    pub sample_sum: Option<f64>,
    #[prost(message, repeated, tag = "3")]
    pub bucket: Vec<Bucket>,
    #[prost(double, optional, tag = "4")]
    pub sample_count_float: Option<f64>,
    #[prost(sint32, optional, tag = "5")]
    pub schema: Option<i32>,
    #[prost(double, optional, tag = "6")]
    pub zero_threshold: Option<f64>,
    #[prost(uint64, optional, tag = "7")]
    pub zero_count: Option<u64>,
    #[prost(double, optional, tag = "8")]
    pub zero_count_float: Option<f64>,
    #[prost(message, repeated, tag = "9")]
    pub negative_span: Vec<BucketSpan>,
    #[prost(sint64, repeated, packed = "false", tag = "10")]
    pub negative_delta: Vec<i64>,
    #[prost(double, repeated, packed = "false", tag = "11")]
    pub negative_count: Vec<f64>,
    #[prost(message, repeated, tag = "12")]
    pub positive_span: Vec<BucketSpan>,
    #[prost(sint64, repeated, packed = "false", tag = "13")]
    pub positive_delta: Vec<i64>,
    #[prost(double, repeated, packed = "false", tag = "14")]
    pub positive_count: Vec<f64>,
    #[prost(message, optional, tag = "15")]
    pub created_timestamp: Option<Timestamp>,
    #[prost(message, repeated, tag = "16")]
    pub exemplars: Vec<Exemplar>,
}

impl Histogram {
    /// What makes a scraper take it for a native histogram.
    pub fn is_native(&self) -> bool {
        let spans = self.positive_span.len() + self.negative_span.len();
        spans > 0 || self.zero_threshold.unwrap_or(0.0) > 0.0 || self.zero_count.unwrap_or(0) > 0
    }

    /// The counts of the native buckets that hold something, by their numbers: negative, positive.
    ///
    /// # Errors
    /// Why a scraper would refuse them.
    pub fn native_buckets(&self) -> Result<[Vec<(i64, u64)>; 2], String> {
        let negative = buckets(&self.negative_span, &self.negative_delta)?;
        let positive = buckets(&self.positive_span, &self.positive_delta)?;
        let counted = [&negative, &positive].into_iter().flatten().map(|(_, count)| count).sum::<u64>();
        if counted + self.zero_count.unwrap_or(0) != self.sample_count.unwrap_or(0) {
            return Err(format!("{counted} in buckets, {:?} at zero, {:?} in all", self.zero_count, self.sample_count));
        }
        if !(-4..=8).contains(&self.schema.unwrap_or(0)) {
            return Err(format!("schema {:?}", self.schema));
        }
        Ok([negative, positive])
    }
}

fn buckets(spans: &[BucketSpan], deltas: &[i64]) -> Result<Vec<(i64, u64)>, String> {
    let mut found = Vec::new();
    let mut deltas = deltas.iter();
    let (mut number, mut count) = (0_i64, 0_i64);
    for (place, span) in spans.iter().enumerate() {
        let offset = span.offset.unwrap_or(0);
        if place > 0 && offset < 0 {
            return Err(format!("span {place} goes back by {offset}"));
        }
        number += i64::from(offset);
        for _ in 0..span.length.unwrap_or(0) {
            count += deltas.next().ok_or("more buckets in spans than deltas")?;
            let count = u64::try_from(count).map_err(|_| format!("bucket {number} has {count}"))?;
            if count > 0 {
                found.push((number, count));
            }
            number += 1;
        }
    }
    if deltas.next().is_some() { Err("more deltas than buckets in spans".to_owned()) } else { Ok(found) }
}

#[derive(Clone, PartialEq, Message)]
pub struct Metric {
    #[prost(message, repeated, tag = "1")]
    pub label: Vec<LabelPair>,
    #[prost(message, optional, tag = "2")]
    pub gauge: Option<Gauge>,
    #[prost(message, optional, tag = "3")]
    pub counter: Option<Counter>,
    #[prost(message, optional, tag = "4")]
    pub summary: Option<Summary>,
    #[prost(message, optional, tag = "5")]
    pub untyped: Option<Untyped>,
    #[prost(int64, optional, tag = "6")]
    pub timestamp_ms: Option<i64>,
    #[prost(message, optional, tag = "7")]
    pub histogram: Option<Histogram>,
}

#[derive(Clone, PartialEq, Message)]
pub struct MetricFamily {
    #[prost(string, optional, tag = "1")]
    pub name: Option<String>,
    #[prost(string, optional, tag = "2")]
    pub help: Option<String>,
    #[prost(enumeration = "MetricType", optional, tag = "3")]
    pub r#type: Option<i32>,
    #[prost(message, repeated, tag = "4")]
    pub metric: Vec<Metric>,
    #[prost(string, optional, tag = "5")]
    pub unit: Option<String>,
}

/// Name, labels and value of a sample, as a scraper that knows classic histograms makes them of a message.
pub type Sample = (String, Vec<(String, String)>, f64);

impl MetricFamily {
    /// The samples that the text format 0.0.4 would have. The bound of a bucket is its label `le`, as Rust prints it.
    ///
    /// # Errors
    /// What a scraper would refuse, or what is missing.
    pub fn samples(&self) -> Result<Vec<Sample>, String> {
        let name = self.name.as_deref().filter(|name| !name.is_empty()).ok_or("a family without name")?;
        let missing = |what: &str| format!("{name}: no {what}");
        if let Some(unit) = self.unit.as_deref().filter(|unit| !unit.is_empty()) {
            let base = if self.r#type() == MetricType::Counter { name.trim_end_matches("_total") } else { name };
            if !base.ends_with(&format!("_{unit}")) {
                return Err(format!("unit {unit} is no suffix of {name}"));
            }
        }
        let mut samples = Vec::new();
        for metric in &self.metric {
            let labels: Option<Vec<_>> =
                metric.label.iter().map(|label| Some((label.name.clone()?, label.value.clone()?))).collect();
            let labels = labels.ok_or_else(|| missing("label name or value"))?;
            let mut add = |suffix: &str, le: Option<f64>, value: f64| {
                let bound = le.map(|bound| ("le".to_owned(), format!("{bound:?}")));
                let labels = labels.iter().cloned().chain(bound).collect();
                samples.push((format!("{name}{suffix}"), labels, value));
            };
            let kinds = [metric.counter.is_some(), metric.gauge.is_some(), metric.histogram.is_some()];
            if kinds.iter().filter(|is_set| **is_set).count() != 1 || metric.timestamp_ms.is_some() {
                return Err(missing("single value without timestamp"));
            }
            match self.r#type.and_then(|kind| MetricType::try_from(kind).ok()) {
                Some(MetricType::Counter) => {
                    let value = metric.counter.as_ref().and_then(|counter| counter.value);
                    add("", None, value.ok_or_else(|| missing("counter"))?);
                }
                Some(MetricType::Gauge) => {
                    let value = metric.gauge.as_ref().and_then(|gauge| gauge.value);
                    add("", None, value.ok_or_else(|| missing("gauge"))?);
                }
                Some(MetricType::Histogram) => {
                    let histogram = metric.histogram.as_ref().ok_or_else(|| missing("histogram"))?;
                    let count = histogram.sample_count.ok_or_else(|| missing("count"))?;
                    let mut last = (f64::NEG_INFINITY, 0);
                    for bucket in &histogram.bucket {
                        let bound = bucket.upper_bound.ok_or_else(|| missing("bound"))?;
                        let cumulative = bucket.cumulative_count.ok_or_else(|| missing("bucket's count"))?;
                        if bound <= last.0 || cumulative < last.1 {
                            return Err(format!("{name}: bucket {bound} of {cumulative} after {last:?}"));
                        }
                        last = (bound, cumulative);
                        add("_bucket", Some(bound), to_f64(cumulative));
                    }
                    if last != (f64::INFINITY, count) {
                        return Err(format!("{name}: the last bucket is {last:?}, not all {count}"));
                    }
                    add("_sum", None, histogram.sample_sum.ok_or_else(|| missing("sum"))?);
                    add("_count", None, to_f64(count));
                }
                other => return Err(format!("{name}: type {other:?}")),
            }
        }
        Ok(samples)
    }
}

/// As a scraper makes a sample of a count.
#[expect(clippy::cast_precision_loss, reason = "samples are floats")]
fn to_f64(count: u64) -> f64 {
    count as f64
}

/// Reads a stream of families, each behind its length.
///
/// # Errors
/// Where it is none, or holds what these messages do not, or not in the form in which they are written.
pub fn read(mut bytes: &[u8]) -> Result<Vec<MetricFamily>, String> {
    let (mut families, whole) = (Vec::new(), bytes);
    while !bytes.is_empty() {
        families.push(MetricFamily::decode_length_delimited(&mut bytes).map_err(|error| error.to_string())?);
    }
    let again = families.iter().flat_map(MetricFamily::encode_length_delimited_to_vec).collect::<Vec<_>>();
    if again == whole { Ok(families) } else { Err("more in the bytes than in the messages".to_owned()) }
}
