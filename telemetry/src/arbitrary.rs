//! Generators of values for property tests, here and in the crates that use the model.
//!
//! Families come from a fixed list, so that values meet in the same series; float sums are whole numbers below 2^53, so
//! that their sums are exact and laws can be checked with `==`.

use proptest::{
    collection::{btree_map, vec},
    prelude::*,
};

use crate::{
    Bounds, DecimalBounds, Delta, ExplicitBounds, FamilyDescriptor, Gauge, Histogram, LabelSet, MetricKind, Number,
    Value,
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

/// One value with a family that it belongs to.
pub fn family_value() -> impl Strategy<Value = (&'static FamilyDescriptor, Value)> {
    let explicit = ExplicitBounds::new(&[-1.5, 0.0, 0.25, 1e9]).map_or_else(|_| Bounds::latency(), Bounds::Explicit);
    prop_oneof![
        (0..u64::from(u32::MAX)).prop_map(|count| (&COUNTER, Value::Counter(count))),
        (0_u64..3).prop_map(|count| (&OTHER_COUNTER, Value::Counter(count))),
        gauge().prop_map(|gauge| (&GAUGE, Value::Gauge(gauge))),
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
