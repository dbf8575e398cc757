//! Data points as values, or why not.

use opentelemetry_proto::tonic::metrics::v1::{
    ExponentialHistogramDataPoint, HistogramDataPoint, NumberDataPoint, exponential_histogram_data_point::Buckets,
    number_data_point,
};

use super::PointRefusal;
use crate::{
    Bounds, BoundsError, ExplicitBounds, ExponentialBuckets, ExponentialError, ExponentialHistogram, ExponentialParts,
    Gauge, Histogram, HistogramError, Number, SumError, UpDown, Value,
};

/// `FLAG_NO_RECORDED_VALUE` of OTLP: the series has nothing to say.
const NO_RECORDED_VALUE: u32 = 1;

const NANOS_PER_MILLI: u64 = 1_000_000;

/// The value of a point of a monotonic sum.
pub(super) fn counter(point: &NumberDataPoint) -> Result<Value, PointRefusal> {
    match recorded(point)? {
        number_data_point::Value::AsInt(count) => {
            u64::try_from(count).map(Value::Counter).map_err(|_| PointRefusal::Negative)
        }
        number_data_point::Value::AsDouble(sum) => checked(Value::FloatCounter(sum + 0.0)),
    }
}

/// The value of a point of a sum that may fall.
pub(super) fn up_down(point: &NumberDataPoint) -> Result<Value, PointRefusal> {
    match recorded(point)? {
        number_data_point::Value::AsInt(sum) => Ok(Value::UpDown(UpDown::Integer(sum))),
        number_data_point::Value::AsDouble(sum) => checked(Value::UpDown(UpDown::Float(sum + 0.0))),
    }
}

fn checked(value: Value) -> Result<Value, PointRefusal> {
    match value.check() {
        Ok(()) => Ok(value),
        Err(SumError::Negative) => Err(PointRefusal::Negative),
        Err(SumError::NotFinite) => Err(PointRefusal::NotFinite),
    }
}

/// The reading of a point, made at `window_end_ms` at the latest: one from the future would hide all that come until
/// then.
pub(super) fn gauge(point: &NumberDataPoint, window_end_ms: u64) -> Result<Value, PointRefusal> {
    let number = match recorded(point)? {
        #[expect(clippy::cast_precision_loss, reason = "what is below zero is a float, whose nearest is taken")]
        number_data_point::Value::AsInt(value) => {
            u64::try_from(value).map_or(Number::Float(value as f64), Number::Unsigned)
        }
        number_data_point::Value::AsDouble(value) => Number::Float(value),
    };
    let time_ms = match point.time_unix_nano / NANOS_PER_MILLI {
        0 => window_end_ms,
        time_ms => time_ms.min(window_end_ms),
    };
    Gauge::new(number, time_ms).map(Value::Gauge).map_err(|_| PointRefusal::NotFinite)
}

fn recorded(point: &NumberDataPoint) -> Result<number_data_point::Value, PointRefusal> {
    match point.value {
        Some(value) if point.flags & NO_RECORDED_VALUE == 0 => Ok(value),
        _ => Err(PointRefusal::NoValue),
    }
}

/// The value of a point of a histogram with explicit bounds. Where there is no sum, which OTLP allows where observations
/// may be negative, it is 0, as the Collector has it.
pub(super) fn histogram(point: HistogramDataPoint) -> Result<Value, PointRefusal> {
    if point.flags & NO_RECORDED_VALUE != 0 {
        return Err(PointRefusal::NoValue);
    }
    let HistogramDataPoint { count, sum, mut bucket_counts, explicit_bounds, .. } = point;
    if bucket_counts.is_empty() && explicit_bounds.is_empty() {
        // All there is to know is how many.
        bucket_counts.push(count);
    }
    let in_buckets = bucket_counts.iter().try_fold(0_u64, |sum, count| sum.checked_add(*count));
    if in_buckets != Some(count) {
        return Err(PointRefusal::Inconsistent);
    }
    let sum = sum.unwrap_or_default();
    if !sum.is_finite() {
        return Err(PointRefusal::NotFinite);
    }
    let bounds = ExplicitBounds::new(&explicit_bounds).map_err(|error| match error {
        BoundsError::Length { .. } => PointRefusal::Limit,
        _ => PointRefusal::Inconsistent,
    })?;
    let histogram = Histogram::from_parts(Bounds::Explicit(bounds), bucket_counts, Number::Float(sum + 0.0));
    histogram.map(Value::Histogram).map_err(|error| match error {
        HistogramError::NegativeSum => PointRefusal::Negative,
        _ => PointRefusal::Inconsistent,
    })
}

/// The value of a point of an exponential histogram.
pub(super) fn exponential(point: ExponentialHistogramDataPoint) -> Result<Value, PointRefusal> {
    if point.flags & NO_RECORDED_VALUE != 0 {
        return Err(PointRefusal::NoValue);
    }
    let ExponentialHistogramDataPoint { count, sum, scale, zero_count, zero_threshold, positive, negative, .. } = point;
    if sum.is_some_and(|sum| !sum.is_finite()) {
        return Err(PointRefusal::NotFinite);
    }
    let [positive, negative] = [positive, negative].map(|buckets| {
        let Buckets { offset, bucket_counts } = buckets.unwrap_or_default();
        ExponentialBuckets { offset, counts: bucket_counts }
    });
    let parts = ExponentialParts { scale, zero_threshold, zero_count, positive, negative, sum };
    let histogram = ExponentialHistogram::new(parts).map_err(|error| match error {
        ExponentialError::NegativeSum => PointRefusal::Negative,
        ExponentialError::SumNotANumber => PointRefusal::NotFinite,
        _ => PointRefusal::Inconsistent,
    })?;
    if histogram.count() == count { Ok(Value::Exponential(histogram)) } else { Err(PointRefusal::Inconsistent) }
}
