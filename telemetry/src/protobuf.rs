//! The protobuf format that Prometheus scrapes: `io.prometheus.client.MetricFamily` after `MetricFamily`, each behind its
//! length (`encoding=delimited`).
//!
//! What it has beyond the text formats are **native histograms**: the buckets of exponential histograms as they are. Facts are
//! from `io/prometheus/client/metrics.proto` of Prometheus' client_model; where that leaves a choice, the answer is that of
//! Prometheus' Go client (client_golang):
//!
//! | | |
//! | --- | --- |
//! | name | as the text 0.0.4 has it in its comments: that of a counter ends in `_total` |
//! | unit | where the name ends in it; Prometheus refuses a whole scrape otherwise |
//! | presence | every field of a kind is written, zeros too: the schema is proto2 |
//! | start | `created_timestamp` of every counter and histogram; it is no sample, so it costs no series |
//! | histogram | the same cumulative counts under the same bounds as in text, and `+Inf` |
//! | exponential histogram | the same, and beside them the native histogram ([`native`](crate::exponential)); a scraper takes what it knows |
//! | a sum that is not known | NaN: what is not there is 0 to every reader |
//! | buckets | repeated fields are not packed |
//!
//! The text formats' rules about sums and counts of observations below zero are not of this one. Families and series come in
//! canonical order; equal states are equal bytes. Messages are written straight into the output, where each gets its length
//! once it is there.

mod message;
mod native;

use self::message::{begin, begin_delimited, double, end, string, unsigned};
use crate::{
    Bounds, ExponentialHistogram, FamilyDescriptor, Histogram, LabelSet, MetricFamily, MetricKind, Series, Snapshot,
    TextFormat, TextOptions, Value, exponential::Grid,
};

/// The fields, each with its wire type: the byte that begins one.
mod key {
    use super::message::{DOUBLE, LENGTH, VARINT, key};

    pub(super) const FAMILY_NAME: u8 = key(1, LENGTH);
    pub(super) const FAMILY_HELP: u8 = key(2, LENGTH);
    pub(super) const FAMILY_TYPE: u8 = key(3, VARINT);
    pub(super) const FAMILY_METRIC: u8 = key(4, LENGTH);
    pub(super) const FAMILY_UNIT: u8 = key(5, LENGTH);

    pub(super) const METRIC_LABEL: u8 = key(1, LENGTH);
    pub(super) const METRIC_GAUGE: u8 = key(2, LENGTH);
    pub(super) const METRIC_COUNTER: u8 = key(3, LENGTH);
    pub(super) const METRIC_HISTOGRAM: u8 = key(7, LENGTH);

    pub(super) const LABEL_NAME: u8 = key(1, LENGTH);
    pub(super) const LABEL_VALUE: u8 = key(2, LENGTH);

    /// Of a gauge and of a counter.
    pub(super) const VALUE: u8 = key(1, DOUBLE);
    pub(super) const COUNTER_CREATED: u8 = key(3, LENGTH);

    pub(super) const SAMPLE_COUNT: u8 = key(1, VARINT);
    pub(super) const SAMPLE_SUM: u8 = key(2, DOUBLE);
    pub(super) const BUCKET: u8 = key(3, LENGTH);
    pub(super) const HISTOGRAM_CREATED: u8 = key(15, LENGTH);

    pub(super) const CUMULATIVE_COUNT: u8 = key(1, VARINT);
    pub(super) const UPPER_BOUND: u8 = key(2, DOUBLE);

    pub(super) const SECONDS: u8 = key(1, VARINT);
    pub(super) const NANOS: u8 = key(2, VARINT);
}

/// Appends the families that `select` says to `out`, with the bounds that a text of so many buckets per decade has
/// ([`TextOptions::buckets_per_decade`]). None at all are no bytes, which is legal, too.
///
/// # Examples
/// ```
/// use tributary_telemetry::{Snapshot, write_selected_protobuf};
/// let mut out = Vec::new();
/// write_selected_protobuf(&Snapshot::new(0), 18, |_| true, &mut out);
/// assert_eq!(out, b"");
/// ```
pub fn write_selected_protobuf(
    snapshot: &Snapshot,
    buckets_per_decade: u8,
    select: impl Fn(&FamilyDescriptor) -> bool,
    out: &mut Vec<u8>,
) {
    let options = TextOptions { buckets_per_decade, ..TextOptions::new(TextFormat::Prometheus) };
    let families = || snapshot.families().filter(|family| select(family.descriptor()));
    let expected: usize = families().map(|family| expected_bytes(family, options)).sum();
    out.reserve(expected);
    for family in families() {
        write_family(family, options, out);
    }
}

/// Appends one family. Whole states have them in canonical order.
pub fn write_family_protobuf(family: &MetricFamily, buckets_per_decade: u8, out: &mut Vec<u8>) {
    write_family(family, TextOptions { buckets_per_decade, ..TextOptions::new(TextFormat::Prometheus) }, out);
}

/// About how many bytes a family takes; what has many large counts or native buckets takes more, and the buffer grows.
fn expected_bytes(family: &MetricFamily, options: TextOptions) -> usize {
    // Keys, lengths and start of a series, and one bucket: key, length, count, bound.
    const SERIES: usize = 64;
    const BUCKET: usize = 16;
    let descriptor = family.descriptor();
    let series = family.series().map(|(labels, series)| {
        let labels = labels.text_bytes() + 8 * labels.len();
        let buckets = match series.value() {
            Value::Counter(_) | Value::FloatCounter(_) | Value::UpDown(_) | Value::Gauge(_) => 0,
            // Most have few of the bounds that a grid can have, and few native ones.
            Value::Exponential(_) => 24,
            Value::Histogram(histogram) => histogram.bounds().len() / stride(histogram.bounds(), options) + 2,
        };
        SERIES + labels + BUCKET * buckets
    });
    descriptor.name().len() + descriptor.help().len() + descriptor.unit().len() + SERIES + series.sum::<usize>()
}

/// Every how many bounds one is written.
fn stride(bounds: &Bounds, options: TextOptions) -> usize {
    match bounds {
        Bounds::Decimal(decimal) => options.stride_of(decimal.per_decade()),
        Bounds::Explicit(_) => 1,
    }
}

fn write_family(family: &MetricFamily, options: TextOptions, out: &mut Vec<u8>) {
    let descriptor = family.descriptor();
    let kind = descriptor.kind();
    let start = begin_delimited(out);
    let suffix = if kind == MetricKind::Counter { "_total" } else { "" };
    string(out, key::FAMILY_NAME, &[descriptor.name(), suffix]);
    string(out, key::FAMILY_HELP, &[descriptor.help()]);
    let metric_type = match kind {
        MetricKind::Counter => 0,
        MetricKind::Gauge | MetricKind::UpDown => 1,
        MetricKind::Histogram | MetricKind::Exponential => 4,
    };
    unsigned(out, key::FAMILY_TYPE, metric_type);
    let grid = Grid::new(family, options.buckets_per_decade);
    for (labels, series) in family.series() {
        let start = begin(out, key::FAMILY_METRIC);
        write_labels(labels, out);
        write_value(series, &grid, options, out);
        end(out, start);
    }
    if descriptor.ends_in_unit() {
        string(out, key::FAMILY_UNIT, &[descriptor.unit()]);
    }
    end(out, start);
}

fn write_labels(labels: &LabelSet, out: &mut Vec<u8>) {
    for (name, value) in labels.iter() {
        let start = begin(out, key::METRIC_LABEL);
        string(out, key::LABEL_NAME, &[name]);
        string(out, key::LABEL_VALUE, &[value]);
        end(out, start);
    }
}

fn write_value(series: &Series, grid: &Grid, options: TextOptions, out: &mut Vec<u8>) {
    let (field, created) = match series.value() {
        Value::Counter(_) | Value::FloatCounter(_) => (key::METRIC_COUNTER, Some(key::COUNTER_CREATED)),
        Value::UpDown(_) | Value::Gauge(_) => (key::METRIC_GAUGE, None),
        Value::Histogram(_) | Value::Exponential(_) => (key::METRIC_HISTOGRAM, Some(key::HISTOGRAM_CREATED)),
    };
    let start = begin(out, field);
    match series.value() {
        Value::Counter(count) => double(out, key::VALUE, crate::Number::Unsigned(*count).to_f64()),
        Value::FloatCounter(sum) => double(out, key::VALUE, *sum),
        Value::UpDown(sum) => double(out, key::VALUE, sum.to_f64()),
        Value::Gauge(gauge) => double(out, key::VALUE, gauge.value().to_f64()),
        Value::Histogram(histogram) => write_histogram(histogram, options, out),
        Value::Exponential(histogram) => write_exponential(histogram, grid, out),
    }
    if let Some(created) = created {
        write_timestamp(created, series.start_time_ms(), out);
    }
    end(out, start);
}

fn write_timestamp(field: u8, ms: u64, out: &mut Vec<u8>) {
    let start = begin(out, field);
    unsigned(out, key::SECONDS, ms / 1_000);
    unsigned(out, key::NANOS, ms % 1_000 * 1_000_000);
    end(out, start);
}

fn write_totals(count: u64, sum: f64, out: &mut Vec<u8>) {
    unsigned(out, key::SAMPLE_COUNT, count);
    double(out, key::SAMPLE_SUM, sum);
}

fn write_bucket(cumulative: u64, bound: f64, out: &mut Vec<u8>) {
    let start = begin(out, key::BUCKET);
    unsigned(out, key::CUMULATIVE_COUNT, cumulative);
    double(out, key::UPPER_BOUND, bound);
    end(out, start);
}

fn write_histogram(histogram: &Histogram, options: TextOptions, out: &mut Vec<u8>) {
    let count = histogram.count();
    write_totals(count, histogram.sum().to_f64(), out);
    let stride = stride(histogram.bounds(), options);
    let mut cumulative: u64 = 0;
    for ((place, bound), count) in (1_usize..).zip(histogram.bounds().upper_bounds()).zip(histogram.bucket_counts()) {
        // The counts of a histogram fit 64 bits together, so this never saturates.
        cumulative = cumulative.saturating_add(*count);
        if place.is_multiple_of(stride) {
            write_bucket(cumulative, bound, out);
        }
    }
    write_bucket(count, f64::INFINITY, out);
}

fn write_exponential(histogram: &ExponentialHistogram, grid: &Grid, out: &mut Vec<u8>) {
    let count = histogram.count();
    write_totals(count, histogram.sum().unwrap_or(f64::NAN), out);
    for (bound, cumulative) in grid.values().iter().zip(grid.cumulative(histogram)) {
        write_bucket(cumulative, *bound, out);
    }
    write_bucket(count, f64::INFINITY, out);
    if let Some(native) = histogram.native() {
        native::write(&native, out);
    }
}
