//! Deltas and snapshots as messages, and back.
//!
//! The one gate through which a metric set enters from outside; it trusts nothing. A set must be canonical: families
//! ordered by name, series by label set, labels by name, nothing twice, no empty label value, every value of its
//! family's kind, histogram spans in order and within their bounds. What the reader refuses the writer never writes.
//! Memory is linear in the size of the message, the factor being a histogram's at most 513 buckets.

mod decode;
mod encode;

pub use self::decode::Families;

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use tributary_proto::v1;

use crate::{
    Bounds, BoundsError, DecimalBounds, Delta, ExplicitBounds, ExponentialBuckets, ExponentialError,
    ExponentialHistogram, FamilyDescriptor, FamilyError, Gauge, GaugeError, Histogram, HistogramError, LabelError,
    LabelSet, MetricFamily, MetricKind, Number, Series, Snapshot, SumError, UpDown, Value,
    family::clashes,
    limits::{MAX_BOUNDS, MAX_LABELS},
};

/// The highest schema of stored snapshots that this crate reads. It writes the lowest whose readers pass over nothing: 1
/// where there are counters of integers, gauges and histograms of bounds alone, 2 with float counters, up-down sums and
/// exponential histograms.
pub const SNAPSHOT_SCHEMA: u32 = 2;

/// The schema of a snapshot without what came with 2.
const FIRST_SCHEMA: u32 = 1;

/// The lowest schema that has such a value.
const fn schema_of(value: &Value) -> u32 {
    match value {
        Value::Counter(_) | Value::Gauge(_) | Value::Histogram(_) => FIRST_SCHEMA,
        Value::FloatCounter(_) | Value::UpDown(_) | Value::Exponential(_) => SNAPSHOT_SCHEMA,
    }
}

/// Why bytes or messages are no delta or snapshot.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The bytes are no such message.
    #[error("not a LedgerState: {0}")]
    Protobuf(String),
    /// The snapshot is of a schema that this crate does not know.
    #[error("schema {schema} is 0 or above {SNAPSHOT_SCHEMA}, or has no such value as the snapshot")]
    Schema {
        /// The schema found.
        schema: u32,
    },
    /// A required part is missing.
    #[error("no {part}")]
    Missing {
        /// Name of the message's field.
        part: &'static str,
    },
    /// Families, series, labels or spans are out of order, or one occurs twice.
    #[error("{what} out of order or twice")]
    Order {
        /// What.
        what: &'static str,
    },
    /// Two families of a snapshot print the same name, by themselves or by a suffix of their samples. None comes to be by
    /// applying deltas.
    #[error("family {family} prints a name of another family")]
    NameClash {
        /// Name of the later one.
        family: String,
    },
    /// A family has no series; such a family says nothing and is never written.
    #[error("a family without series")]
    NoSeries,
    /// A family is not legal.
    #[error(transparent)]
    Family(#[from] FamilyError),
    /// A family's kind is not known.
    #[error("metric kind {kind} is not known")]
    Kind {
        /// The number found.
        kind: i32,
    },
    /// A value is not of its family's kind.
    #[error("a value is not of its family's kind")]
    ValueKind,
    /// Labels are not legal.
    #[error(transparent)]
    Label(#[from] LabelError),
    /// A label value is empty, which would be another way to write the same set.
    #[error("a label value is empty")]
    EmptyLabel,
    /// A reading is not legal.
    #[error(transparent)]
    Gauge(#[from] GaugeError),
    /// Bounds are not legal.
    #[error(transparent)]
    Bounds(#[from] BoundsError),
    /// A span of buckets reaches beyond the last bucket.
    #[error("a span of buckets ends after the last bucket")]
    Span,
    /// A histogram is not legal.
    #[error(transparent)]
    Histogram(#[from] HistogramError),
    /// An exponential histogram is not legal.
    #[error(transparent)]
    Exponential(#[from] ExponentialError),
    /// The number of a sum is none.
    #[error(transparent)]
    Sum(#[from] SumError),
    /// Series of one delta have different starts, or a snapshot's series starts before the snapshot.
    #[error("a start time is not possible")]
    StartTime,
}

impl Delta {
    /// Writes the delta as a message. The start of the window stands in every series.
    #[must_use]
    pub fn to_wire(&self) -> v1::MetricSet {
        let start_time_ms = self.start_time_ms().unwrap_or(0);
        let families = self.families().map(|family| {
            let series = family.series().map(|(labels, value)| series_to_wire(labels, start_time_ms, value));
            family_to_wire(family.descriptor(), series.collect())
        });
        v1::MetricSet { families: families.collect() }
    }

    /// Reads a message that came from outside.
    ///
    /// A start without series has no place in the message: a delta of nothing reads back without a start.
    ///
    /// # Errors
    /// Every [`DecodeError`] except those of bytes and schema.
    pub fn from_wire(message: v1::MetricSet) -> Result<Self, DecodeError> {
        let mut delta = Self::new();
        let mut start: Option<u64> = None;
        read_families(message, |descriptor, labels, start_time_ms, value| {
            if *start.get_or_insert(start_time_ms) != start_time_ms {
                return Err(DecodeError::StartTime);
            }
            // Cannot fail: the kind fits and every series is new.
            delta.add(descriptor, labels, value).map_err(|_| DecodeError::ValueKind)
        })?;
        delta.set_start(start.unwrap_or(0));
        Ok(delta)
    }
}

impl Snapshot {
    /// The schema that the state is written with: the lowest that has all of its values.
    fn schema(&self) -> u32 {
        let values = self.families().flat_map(MetricFamily::series).map(|(_, series)| schema_of(series.value()));
        values.max().unwrap_or(FIRST_SCHEMA)
    }

    /// Writes the state as a message.
    #[must_use]
    pub fn to_wire(&self) -> v1::LedgerState {
        let families = self.families().map(|family| {
            let series =
                family.series().map(|(labels, series)| series_to_wire(labels, series.start_time_ms, &series.value));
            family_to_wire(family.descriptor(), series.collect())
        });
        v1::LedgerState {
            schema: self.schema(),
            version: self.version,
            start_time_ms: self.start_time_ms,
            last_applied_ms: self.last_applied_ms,
            metrics: Some(v1::MetricSet { families: families.collect() }),
        }
    }

    /// Reads a message that came from outside.
    ///
    /// # Errors
    /// Every [`DecodeError`] except that of bytes.
    pub fn from_wire(message: v1::LedgerState) -> Result<Self, DecodeError> {
        let v1::LedgerState { schema, version, start_time_ms, last_applied_ms, metrics } = message;
        if schema == 0 || schema > SNAPSHOT_SCHEMA {
            return Err(DecodeError::Schema { schema });
        }
        let metrics = metrics.ok_or(DecodeError::Missing { part: "metrics" })?;
        let mut families: BTreeMap<Cow<'static, str>, Arc<MetricFamily>> = BTreeMap::new();
        read_families(metrics, |descriptor, labels, series_start_ms, value| {
            if series_start_ms < start_time_ms {
                return Err(DecodeError::StartTime);
            }
            if schema_of(&value) > schema {
                return Err(DecodeError::Schema { schema });
            }
            let kind_of = |name: &str| families.get(name).map(|family| family.descriptor().kind());
            if kind_of(descriptor.name()).is_none() && clashes(descriptor, kind_of) {
                return Err(DecodeError::NameClash { family: descriptor.name().to_owned() });
            }
            let family = families.entry(descriptor.key()).or_insert_with(|| MetricFamily::new(descriptor).into());
            Arc::make_mut(family).insert(labels, Series { start_time_ms: series_start_ms, value });
            Ok(())
        })?;
        let mut state = Self::new(start_time_ms);
        (state.version, state.last_applied_ms, state.families) = (version, last_applied_ms, families);
        Ok(state)
    }

    /// Writes the state as bytes: an encoded `tributary.v1.LedgerState`.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.encode_into(&mut bytes);
        bytes
    }
}

fn family_to_wire(descriptor: &FamilyDescriptor, series: Vec<v1::Series>) -> v1::MetricFamily {
    let kind = match descriptor.kind() {
        MetricKind::Counter => v1::MetricKind::Counter,
        MetricKind::Gauge => v1::MetricKind::Gauge,
        MetricKind::Histogram => v1::MetricKind::Histogram,
        MetricKind::UpDown => v1::MetricKind::UpDown,
        MetricKind::Exponential => v1::MetricKind::Exponential,
    };
    v1::MetricFamily {
        name: descriptor.name().to_owned(),
        help: descriptor.help().to_owned(),
        unit: descriptor.unit().to_owned(),
        kind: kind.into(),
        series,
    }
}

fn series_to_wire(labels: &LabelSet, start_time_ms: u64, value: &Value) -> v1::Series {
    let labels = labels.iter().map(|(name, value)| v1::Label { name: name.to_owned(), value: value.to_owned() });
    let value = match value {
        Value::Counter(count) => v1::series::Value::Counter(*count),
        Value::FloatCounter(value) => v1::series::Value::FloatCounter(*value),
        Value::UpDown(sum) => v1::series::Value::UpDown(v1::UpDown {
            value: Some(match sum {
                UpDown::Integer(value) => v1::up_down::Value::Integer(*value),
                UpDown::Float(value) => v1::up_down::Value::Float(*value),
            }),
        }),
        Value::Gauge(gauge) => v1::series::Value::Gauge(v1::Gauge {
            time_ms: gauge.time_ms(),
            value: Some(match gauge.value() {
                Number::Unsigned(value) => v1::gauge::Value::Unsigned(value),
                Number::Float(value) => v1::gauge::Value::Float(value),
            }),
        }),
        Value::Histogram(histogram) => v1::series::Value::Histogram(histogram_to_wire(histogram)),
        Value::Exponential(histogram) => v1::series::Value::Exponential(exponential_to_wire(histogram)),
    };
    v1::Series { labels: labels.collect(), start_time_ms, value: Some(value) }
}

fn histogram_to_wire(histogram: &Histogram) -> v1::Histogram {
    use v1::histogram::{DecimalLayout, ExplicitLayout, Layout, Span, Sum};
    let layout = match histogram.bounds() {
        Bounds::Decimal(decimal) => {
            Layout::Decimal(DecimalLayout { per_decade: decimal.per_decade(), bounds: decimal.bounds() })
        }
        Bounds::Explicit(explicit) => Layout::Explicit(ExplicitLayout { bounds: explicit.as_slice().to_vec() }),
    };
    let mut spans: Vec<Span> = Vec::new();
    let mut run_goes_on = false;
    for (offset, count) in (0_u32..).zip(histogram.bucket_counts()) {
        match spans.last_mut().filter(|_| run_goes_on) {
            _ if *count == 0 => run_goes_on = false,
            Some(span) => span.counts.push(*count),
            None => {
                spans.push(Span { offset, counts: vec![*count] });
                run_goes_on = true;
            }
        }
    }
    let sum = match histogram.sum() {
        Number::Unsigned(sum) => Sum::UnsignedSum(sum),
        Number::Float(sum) => Sum::FloatSum(sum),
    };
    v1::Histogram { spans, layout: Some(layout), sum: Some(sum) }
}

fn exponential_to_wire(histogram: &ExponentialHistogram) -> v1::ExponentialHistogram {
    let buckets = |buckets: &ExponentialBuckets| {
        let ExponentialBuckets { offset, counts } = buckets.clone();
        (!counts.is_empty()).then_some(v1::exponential_histogram::Buckets { offset, counts })
    };
    v1::ExponentialHistogram {
        scale: histogram.scale(),
        zero_count: histogram.zero_count(),
        zero_boundary: histogram.zero_boundary(),
        positive: buckets(histogram.positive()),
        negative: buckets(histogram.negative()),
        sum: histogram.sum(),
    }
}

fn kind_of_wire(kind: i32) -> Result<MetricKind, DecodeError> {
    Ok(match v1::MetricKind::try_from(kind) {
        Ok(v1::MetricKind::Counter) => MetricKind::Counter,
        Ok(v1::MetricKind::Gauge) => MetricKind::Gauge,
        Ok(v1::MetricKind::Histogram) => MetricKind::Histogram,
        Ok(v1::MetricKind::UpDown) => MetricKind::UpDown,
        Ok(v1::MetricKind::Exponential) => MetricKind::Exponential,
        Ok(v1::MetricKind::Unspecified) | Err(_) => return Err(DecodeError::Kind { kind }),
    })
}

/// Checks a metric set and hands each series on, in order.
fn read_families(
    message: v1::MetricSet,
    mut accept: impl FnMut(&FamilyDescriptor, LabelSet, u64, Value) -> Result<(), DecodeError>,
) -> Result<(), DecodeError> {
    let mut last_name: Option<String> = None;
    for v1::MetricFamily { name, help, unit, kind, series } in message.families {
        if last_name.as_ref().is_some_and(|last| *last >= name) {
            return Err(DecodeError::Order { what: "families" });
        }
        last_name = Some(name.clone());
        let kind = kind_of_wire(kind)?;
        let descriptor = FamilyDescriptor::new(name, help, unit, kind)?;
        if series.is_empty() {
            return Err(DecodeError::NoSeries);
        }
        let mut last_labels: Option<LabelSet> = None;
        for v1::Series { labels, start_time_ms, value } in series {
            let labels = read_labels(labels)?;
            if last_labels.as_ref().is_some_and(|last| *last >= labels) {
                return Err(DecodeError::Order { what: "series" });
            }
            last_labels = Some(labels.clone());
            let value = read_value(value.ok_or(DecodeError::Missing { part: "value" })?)?;
            if value.kind() != kind {
                return Err(DecodeError::ValueKind);
            }
            accept(&descriptor, labels, start_time_ms, value)?;
        }
    }
    Ok(())
}

fn read_labels(labels: Vec<v1::Label>) -> Result<LabelSet, DecodeError> {
    if labels.len() > MAX_LABELS {
        return Err(LabelError::TooMany.into());
    }
    if !labels.is_sorted_by(|left, right| left.name < right.name) {
        return Err(DecodeError::Order { what: "labels" });
    }
    if labels.iter().any(|label| label.value.is_empty()) {
        return Err(DecodeError::EmptyLabel);
    }
    Ok(LabelSet::from_pairs(labels.into_iter().map(|label| (label.name, label.value)))?)
}

fn read_value(value: v1::series::Value) -> Result<Value, DecodeError> {
    Ok(match value {
        v1::series::Value::Counter(count) => Value::Counter(count),
        // Zero has one sign here.
        v1::series::Value::FloatCounter(value) => checked(Value::FloatCounter(value + 0.0))?,
        v1::series::Value::UpDown(v1::UpDown { value }) => {
            match value.ok_or(DecodeError::Missing { part: "up-down value" })? {
                v1::up_down::Value::Integer(value) => Value::UpDown(UpDown::Integer(value)),
                v1::up_down::Value::Float(value) => checked(Value::UpDown(UpDown::Float(value + 0.0)))?,
            }
        }
        v1::series::Value::Gauge(v1::Gauge { time_ms, value }) => {
            let number = match value.ok_or(DecodeError::Missing { part: "gauge value" })? {
                v1::gauge::Value::Unsigned(value) => Number::Unsigned(value),
                v1::gauge::Value::Float(value) => Number::Float(value),
            };
            Value::Gauge(Gauge::new(number, time_ms)?)
        }
        v1::series::Value::Histogram(histogram) => Value::Histogram(read_histogram(histogram)?),
        v1::series::Value::Exponential(histogram) => Value::Exponential(read_exponential(histogram)?),
    })
}

fn checked(value: Value) -> Result<Value, SumError> {
    value.check().map(|()| value)
}

fn read_exponential(message: v1::ExponentialHistogram) -> Result<ExponentialHistogram, DecodeError> {
    use v1::exponential_histogram::Buckets;
    let v1::ExponentialHistogram { scale, zero_count, zero_boundary, positive, negative, sum } = message;
    let [positive, negative] = [positive, negative].map(|buckets| {
        let Buckets { offset, counts } = buckets.unwrap_or_default();
        ExponentialBuckets { offset, counts }
    });
    Ok(ExponentialHistogram::from_canonical(scale, (zero_count, zero_boundary), positive, negative, sum)?)
}

fn read_histogram(message: v1::Histogram) -> Result<Histogram, DecodeError> {
    use v1::histogram::{Layout, Span, Sum};
    let v1::Histogram { spans, layout, sum } = message;
    let bounds = match layout.ok_or(DecodeError::Missing { part: "layout" })? {
        Layout::Decimal(decimal) => Bounds::Decimal(DecimalBounds::new(decimal.per_decade, decimal.bounds)?),
        Layout::Explicit(explicit) => Bounds::Explicit(ExplicitBounds::new(&explicit.bounds)?),
    };
    // Checked before the buckets are made: their number comes from the message.
    if bounds.len() > MAX_BOUNDS {
        return Err(BoundsError::Length { bounds: bounds.len() }.into());
    }
    let mut bucket_counts = vec![0; bounds.len().saturating_add(1)];
    let mut free_from = 0;
    for Span { offset, counts } in spans {
        let offset = usize::try_from(offset).map_err(|_| DecodeError::Span)?;
        if offset < free_from {
            return Err(DecodeError::Order { what: "spans" });
        }
        let end = offset.checked_add(counts.len()).ok_or(DecodeError::Span)?;
        bucket_counts.get_mut(offset..end).ok_or(DecodeError::Span)?.copy_from_slice(&counts);
        free_from = end;
    }
    let sum = match sum.ok_or(DecodeError::Missing { part: "sum" })? {
        Sum::UnsignedSum(sum) => Number::Unsigned(sum),
        Sum::FloatSum(sum) => Number::Float(sum),
    };
    Ok(Histogram::from_parts(bounds, bucket_counts, sum)?)
}
