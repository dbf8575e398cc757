//! Generators of values for property tests, here and in the crates that use the model.
//!
//! Families come from a fixed list, so that values meet in the same series; float sums are whole numbers below 2^53, so
//! that their sums are exact and laws can be checked with `==`.

use proptest::{
    collection::{btree_map, vec},
    prelude::*,
};

use crate::{
    Bounds, DecimalBounds, Delta, ExplicitBounds, ExponentialBuckets, ExponentialHistogram, ExponentialParts,
    FamilyDescriptor, Gauge, Histogram, LabelSet, MetricKind, Number, UpDown, Value,
    confidence::{ApplyDedupCounts, EventCounts, TelemetryDelta},
};

/// A counter without labels of its own meaning.
pub static COUNTER: FamilyDescriptor = FamilyDescriptor::from_static("requests", "Requests.", "", MetricKind::Counter);
/// Another counter.
pub static OTHER_COUNTER: FamilyDescriptor =
    FamilyDescriptor::from_static("errors", "Errors \\ \"failures\"\nby kind.", "", MetricKind::Counter);
/// A gauge with a unit.
pub static GAUGE: FamilyDescriptor =
    FamilyDescriptor::from_static("memory_bytes", "Memory in use.", "bytes", MetricKind::Gauge);
/// A histogram of the latency layout, integer sums.
pub static DECIMAL: FamilyDescriptor =
    FamilyDescriptor::from_static("latency_microseconds", "Latency.", "microseconds", MetricKind::Histogram);
/// A histogram of explicit bounds, float sums.
pub static EXPLICIT: FamilyDescriptor =
    FamilyDescriptor::from_static("size_bytes", "Sizes.", "bytes", MetricKind::Histogram);

/// A counter of integers and of floats.
pub static FLOAT_COUNTER: FamilyDescriptor =
    FamilyDescriptor::from_static("busy_seconds", "Time spent.", "seconds", MetricKind::Counter);
/// A sum that falls, of integers and of floats.
pub static UP_DOWN: FamilyDescriptor =
    FamilyDescriptor::from_static("connections", "Open connections.", "", MetricKind::UpDown);
/// An exponential histogram, positive and negative, with whole sums.
pub static EXPONENTIAL: FamilyDescriptor =
    FamilyDescriptor::from_static("drift_seconds", "Drifts.", "seconds", MetricKind::Exponential);

/// A label name.
pub fn label_name() -> impl Strategy<Value = String> {
    prop_oneof!["[a-c]", "[a-zA-Z_][a-zA-Z0-9]{0,8}"].prop_filter("reserved", |name| name != "le" && name != "quantile")
}

/// A label value: any text, often hostile to a text format.
pub fn label_value() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => "[a-c]",
        1 => Just(String::new()),
        1 => "[\\\\\"\n\r}{,= nN]{0,8}",
        1 => any::<String>().prop_map(|text| text.chars().take(100).collect()),
    ]
}

/// A label set of up to three labels.
pub fn label_set() -> impl Strategy<Value = LabelSet> {
    btree_map(label_name(), label_value(), 0..3)
        .prop_filter_map("labels of this generator are legal", |pairs| LabelSet::from_pairs(pairs).ok())
}

/// A reading, at few enough times that two often meet.
pub fn gauge() -> impl Strategy<Value = Gauge> {
    let number = prop_oneof![
        (0_u64..4).prop_map(Number::Unsigned),
        any::<u64>().prop_map(Number::Unsigned),
        (-4_i8..4).prop_map(|value| Number::Float(f64::from(value) / 2.0)),
        any::<f64>().prop_map(Number::Float),
    ];
    (number, 0_u64..4).prop_filter_map("a reading is a number", |(number, time_ms)| Gauge::new(number, time_ms).ok())
}

/// Bounds of any kind.
pub fn bounds() -> impl Strategy<Value = Bounds> {
    let decimal = (prop::sample::select(vec![1_u32, 2, 3, 6, 9, 18]), 1_u32..=20)
        .prop_filter_map("legal", |(per_decade, bounds)| DecimalBounds::new(per_decade, bounds).ok());
    let explicit = vec(any::<i32>(), 0..6).prop_filter_map("legal", |mut bounds| {
        bounds.sort_unstable();
        bounds.dedup();
        ExplicitBounds::new(&bounds.into_iter().map(f64::from).collect::<Vec<_>>()).ok()
    });
    prop_oneof![decimal.prop_map(Bounds::Decimal), explicit.prop_map(Bounds::Explicit), Just(Bounds::latency())]
}

/// A histogram of the given bounds, with an integer sum or a whole float sum.
pub fn histogram(bounds: Bounds, float_sum: bool) -> impl Strategy<Value = Histogram> {
    let buckets = bounds.len().saturating_add(1);
    let sum = any::<u32>()
        .prop_map(move |sum| if float_sum { Number::Float(f64::from(sum)) } else { Number::Unsigned(u64::from(sum)) });
    (vec(prop_oneof![3 => Just(0), 1 => 0_u64..5, 1 => 0..u64::from(u32::MAX)], buckets), sum).prop_filter_map(
        "no sum without observations",
        move |(bucket_counts, sum)| {
            let sum = if bucket_counts.iter().all(|count| *count == 0) { Number::Unsigned(0) } else { sum };
            Histogram::from_parts(bounds.clone(), bucket_counts, sum).ok()
        },
    )
}

/// An absolute value that is observed: mostly around 1, sometimes any that a float has.
pub fn magnitude() -> impl Strategy<Value = f64> {
    let any_exponent = (any::<u64>(), 0_u64..2047).prop_map(|(bits, exponent)| bits >> 12 | exponent << 52);
    prop_oneof![
        4 => (-4_i8..4, 0_u8..4).prop_map(|(exponent, quarters)| (1.0 + f64::from(quarters) / 4.0) * f64::from(exponent).exp2()),
        2 => 0.001..1000.0,
        1 => any_exponent.prop_map(f64::from_bits).prop_filter("zero has its own bucket", |value| *value > 0.0),
    ]
}

/// What an exponential histogram is made from: sometimes nothing, sometimes more buckets than it keeps, sometimes buckets
/// within its zero bucket. Whole sums, and those of the observations only in sign.
pub fn exponential_parts() -> impl Strategy<Value = ExponentialParts> {
    let count = || prop_oneof![4 => 1_u64..5, 1 => 0..u64::from(u32::MAX)];
    let observed = || vec((magnitude(), count()), 0..6);
    let zero = (prop_oneof![2 => Just(0), 1 => count()], prop_oneof![2 => Just(0.0), 1 => magnitude()]);
    (-12_i32..=22, zero, observed(), prop_oneof![2 => Just(Vec::new()), 1 => observed()], 0_u32..1_000, 0..9_u8)
        .prop_map(|(scale, (zero_count, zero_threshold), positive, negative, sum, without_sum)| {
            let (scale, [positive, negative]) = buckets_of(scale, [positive, negative]);
            let count = positive.counts.iter().chain(&negative.counts).fold(zero_count, |sum, count| sum + count);
            let sum = match (count, negative.counts.is_empty()) {
                (0, _) => 0.0,
                (_, true) => f64::from(sum),
                (_, false) => -f64::from(sum),
            };
            let sum = Some(sum).filter(|_| without_sum > 0);
            ExponentialParts { scale, zero_threshold, zero_count, positive, negative, sum }
        })
}

/// Buckets of these observations at the scale, or at a coarser one where they would be very many.
fn buckets_of(scale: i32, observed: [Vec<(f64, u64)>; 2]) -> (i32, [ExponentialBuckets; 2]) {
    let indices = |scale: i32, observed: &[(f64, u64)]| -> Vec<(i64, u64)> {
        let index = |value| ExponentialHistogram::bucket_index(scale, value).unwrap_or(0);
        observed.iter().map(|(value, count)| (index(*value), *count)).collect()
    };
    let width = |scale| {
        observed.iter().map(move |observed| {
            let indices = indices(scale, observed);
            let ends = indices.iter().map(|(index, _)| *index).min().zip(indices.iter().map(|(index, _)| *index).max());
            ends.map_or(0, |(low, high)| high - low)
        })
    };
    let scale = (-12..=scale).rev().find(|scale| width(*scale).all(|width| width < 400)).unwrap_or(-12);
    let buckets = observed.clone().map(|observed| {
        let indices = indices(scale, &observed);
        let low = indices.iter().map(|(index, _)| *index).min().unwrap_or(0);
        let mut counts = vec![0; 400];
        for (index, count) in indices {
            let place = usize::try_from(index - low).unwrap_or(usize::MAX);
            if let Some(sum) = counts.get_mut(place) {
                *sum += count;
            }
        }
        let last = counts.iter().rposition(|count| *count > 0).map_or(0, |last| last + 1);
        // Empty ones at the ends mean nothing.
        counts.truncate(if last == 0 { 0 } else { last + 3 });
        ExponentialBuckets { offset: i32::try_from(low).unwrap_or(0), counts }
    });
    (scale, buckets)
}

/// An exponential histogram.
pub fn exponential() -> impl Strategy<Value = ExponentialHistogram> {
    exponential_parts()
        .prop_filter_map("parts of this generator are legal", |parts| ExponentialHistogram::new(parts).ok())
}

/// One value with a family that it belongs to.
pub fn family_value() -> impl Strategy<Value = (&'static FamilyDescriptor, Value)> {
    let explicit = ExplicitBounds::new(&[-1.5, 0.0, 0.25, 1e9]).map_or_else(|_| Bounds::latency(), Bounds::Explicit);
    prop_oneof![
        (0..u64::from(u32::MAX)).prop_map(|count| (&COUNTER, Value::Counter(count))),
        (0_u64..3).prop_map(|count| (&OTHER_COUNTER, Value::Counter(count))),
        gauge().prop_map(|gauge| (&GAUGE, Value::Gauge(gauge))),
        (0..u32::MAX).prop_map(|count| (&FLOAT_COUNTER, Value::FloatCounter(f64::from(count)))),
        (0..u64::from(u32::MAX)).prop_map(|count| (&FLOAT_COUNTER, Value::Counter(count))),
        any::<i32>().prop_map(|sum| (&UP_DOWN, Value::UpDown(UpDown::Integer(sum.into())))),
        any::<i32>().prop_map(|sum| (&UP_DOWN, Value::UpDown(UpDown::Float(sum.into())))),
        exponential().prop_map(|histogram| (&EXPONENTIAL, Value::Exponential(histogram))),
        histogram(Bounds::latency(), false).prop_map(|histogram| (&DECIMAL, Value::Histogram(histogram))),
        histogram(explicit, true).prop_map(|histogram| (&EXPLICIT, Value::Histogram(histogram))),
    ]
}

/// A delta of up to eight values; with a start where it has any.
pub fn delta() -> impl Strategy<Value = Delta> {
    (vec((family_value(), label_set()), 0..8), 0_u64..2_000).prop_map(|(values, start_ms)| {
        let mut delta = Delta::new();
        for ((family, value), labels) in values {
            // Values of this generator do not overflow; one that would is not part of the delta.
            if delta.add(family, labels, value).is_ok() {
                delta.set_start(start_ms);
            }
        }
        delta
    })
}

/// An accumulator with latencies, known and unknown reasons, readings and label sets. All readings are made at
/// `time_ms`.
pub fn telemetry_delta(time_ms: impl Strategy<Value = u64>) -> impl Strategy<Value = TelemetryDelta> {
    let latencies = vec(prop_oneof![any::<u32>(), 0_u32..3_000, Just(1_000)], 0..12);
    let resolves = vec((prop_oneof![0_i32..12, any::<i32>()], counts()), 0..24);
    let inits = vec((btree_map("[a-c]|resolver_id|b-d|le", "[xy]?", 0..3), counts()), 0..4);
    let scalars = prop::array::uniform10(counts());
    let readings = (0_u64..9, 0_u64..9, 0_u32..9, 0_u32..9);
    (time_ms, latencies, resolves, inits, scalars, readings).prop_map(
        |(time_ms, latencies, resolves, inits, scalars, (memory, state, size, capacity))| {
            let mut delta = TelemetryDelta::new();
            latencies.into_iter().for_each(|micros| delta.observe_latency(micros));
            resolves.into_iter().for_each(|(reason, count)| delta.add_resolves(reason, count));
            inits.into_iter().for_each(|(labels, count)| delta.add_provider_init(labels, count));
            let [applies, deduped, overflow, sweeps, succeeded, failed, published, good, bad, rejected] = scalars;
            delta.add_apply_dedup(ApplyDedupCounts { applies, deduped, overflow, sweeps });
            delta.add_flush(succeeded, failed);
            delta.add_events(EventCounts { published, batches_succeeded: good, batches_failed: bad, rejected });
            delta.set_memory_bytes(memory, time_ms);
            delta.set_state_update(state, time_ms);
            delta.set_apply_dedup_map(size, capacity, time_ms);
            delta
        },
    )
}

/// A count: often 0, sometimes above 32 bits.
fn counts() -> impl Strategy<Value = u64> {
    prop_oneof![3 => Just(0), 3 => 0_u64..5, 1 => Just(u64::from(u32::MAX)), 1 => 0_u64..20_000_000_000]
}
