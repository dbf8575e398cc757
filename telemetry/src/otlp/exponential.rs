//! Exponential histograms, for backends that want them.
//!
//! OTLP's have the bounds 2^(k / 2^scale), ours 10^(k / 18): no scale has our bounds, so counts must move. A count of
//! our bucket `(lower, upper]` goes to the base-2 bucket of `sqrt(lower · upper)`. The value that it stands for was in
//! `(lower, upper]`, so it is off by at most the factor `sqrt(upper / lower)`, which is 1.0661 in the layout of
//! latencies, and the bucket that it is found in is at most a factor [`base`] wide: a quantile read from the base-2
//! buckets is within **1.0661 · base** of the true one. Counts and sums stay exact.
//!
//! What is at most the first bound is the zero bucket, whose threshold is that bound. What is above the last bound goes
//! to the bucket just above it.

use opentelemetry_proto::tonic::metrics::v1::{
    ExponentialHistogramDataPoint, exponential_histogram_data_point::Buckets,
};

use crate::{Histogram, limits::MAX_EXPONENTIAL_BUCKETS};

/// The finest scale that is used: 2^(1/16), 4.4 %. Ours are 13.6 % wide; a finer one would say no more.
pub const MAX_SCALE: i32 = 4;

/// The most buckets of a data point: as many as the model keeps itself.
pub const MAX_BUCKETS: usize = MAX_EXPONENTIAL_BUCKETS;

/// The base of a scale: `2^(2^-scale)`.
pub fn base(scale: i32) -> f64 {
    (-f64::from(scale)).exp2().exp2()
}

/// Index of the bucket `(base^index, base^(index + 1)]` that holds `value`, which must be above 0.
fn index(value: f64, scale: i32) -> i32 {
    // Saturates, and never has to: exponents of an f64 are within ±1075, times 16.
    #[expect(clippy::cast_possible_truncation, reason = "saturates; within ±17,200")]
    let index = (value.log2() * f64::from(scale).exp2()).ceil() as i32;
    index.saturating_sub(1)
}

/// The buckets of a histogram as a data point without attributes and times. The scale is the finest of at most
/// [`MAX_SCALE`] with which the counts span at most [`MAX_BUCKETS`].
pub(super) fn data_point(histogram: &Histogram) -> ExponentialHistogramDataPoint {
    let (zero_count, zero_threshold, counts) = representatives(histogram);
    let mut scale = MAX_SCALE;
    let span = |scale| {
        let indices = counts.iter().map(|(value, _)| index(*value, scale));
        let (low, high) = (indices.clone().min(), indices.max());
        low.zip(high).map(|(low, high)| (low, usize::try_from(high.abs_diff(low)).unwrap_or(usize::MAX)))
    };
    // Each step halves the span; at scale -11 all that an f64 holds is in two buckets.
    while scale > -11 && span(scale).is_some_and(|(_, width)| width >= MAX_BUCKETS) {
        scale -= 1;
    }
    let positive = span(scale).map(|(offset, width)| {
        let mut bucket_counts = vec![0_u64; width.saturating_add(1)];
        for (value, count) in &counts {
            let place = usize::try_from(index(*value, scale).saturating_sub(offset)).unwrap_or(0);
            if let Some(bucket) = bucket_counts.get_mut(place) {
                // All counts together fit 64 bits.
                *bucket = bucket.saturating_add(*count);
            }
        }
        Buckets { offset, bucket_counts }
    });
    ExponentialHistogramDataPoint {
        count: histogram.count(),
        sum: Some(histogram.sum().to_f64()),
        scale,
        zero_count,
        zero_threshold,
        positive,
        ..Default::default()
    }
}

/// What is in the zero bucket, up to which value, and the counts above it, each with the value that stands for it.
fn representatives(histogram: &Histogram) -> (u64, f64, Vec<(f64, u64)>) {
    let bounds: Vec<f64> = histogram.bounds().upper_bounds().collect();
    let mut zero_count = 0_u64;
    let mut zero_threshold = 0.0;
    let mut counts = Vec::new();
    let mut lower = f64::NEG_INFINITY;
    for (place, count) in histogram.bucket_counts().iter().enumerate() {
        let upper = bounds.get(place).copied();
        let value = match upper {
            // Up to the first bound above 0 nothing says how far from 0 a value is.
            Some(upper) if lower <= 0.0 => {
                zero_count = zero_count.saturating_add(*count);
                zero_threshold = f64::max(upper, 0.0);
                None
            }
            Some(upper) => Some(lower.sqrt() * upper.sqrt()),
            None if lower > 0.0 => Some(lower * 1.000_001),
            None => {
                zero_count = zero_count.saturating_add(*count);
                None
            }
        };
        if let Some(value) = value.filter(|_| *count > 0) {
            counts.push((value, *count));
        }
        lower = upper.unwrap_or(lower);
    }
    (zero_count, zero_threshold, counts)
}
