//! The text encoder: whatever the state, the text reads back as the state.
//!
//! Input, by its first byte: even, an encoded snapshot; odd, deltas in the sense of `model`, which are applied.

use arbitrary::Unstructured;
use tributary_telemetry::{
    Bounds, Histogram, LabelSet, Number, Snapshot, TextFormat, TextOptions, UpDown, Value, write_selected_protobuf,
    write_text,
};

use super::NOW_MS;
use crate::{
    client_model,
    exposition::{Family, Sample, parse},
    model,
};

/// Bounds per decade that make every stride that any layout can have, and two that are out of range.
const DENSITIES: [u8; 10] = [0, 1, 2, 3, 4, 5, 6, 9, 18, 255];

/// The text of any state is accepted by a strict parser and says what the state says, in both formats, at every
/// density (one for each input, and the finest).
///
/// # Panics
/// Where a property does not hold.
pub fn run(data: &[u8]) {
    match data.split_first() {
        Some((mode, bytes)) if mode.is_multiple_of(2) => {
            if let Ok(state) = Snapshot::decode(bytes) {
                check_text(&state, density(*mode));
            }
        }
        Some((mode, bytes)) => {
            let mut input = Unstructured::new(bytes);
            let mut state = Snapshot::new(NOW_MS);
            while !input.is_empty() && state.series_count() < 24 {
                let Ok(delta) = model::delta(&mut input) else { break };
                // An overflow leaves the state as it was, which is a state to write, too.
                if state.apply(&delta, NOW_MS).is_err() {
                    break;
                }
            }
            check_text(&state, density(*mode));
        }
        None => {}
    }
}

/// The density that the first byte of an input asks for: one for each input, since a text takes milliseconds.
fn density(mode: u8) -> u8 {
    DENSITIES[usize::from(mode / 2) % DENSITIES.len()]
}

/// Writes `state` in both formats at two densities, reads it with the strict parser and compares.
pub(super) fn check_text(state: &Snapshot, density: u8) {
    for format in [TextFormat::OpenMetrics, TextFormat::Prometheus] {
        for (buckets_per_decade, created) in [(density, true), (18, false)] {
            let options = TextOptions { format, buckets_per_decade, created };
            let mut text = String::new();
            write_text(state, &options, &mut text);
            let open_metrics = format == TextFormat::OpenMetrics;
            let families = parse(&text, open_metrics).unwrap_or_else(|why| panic!("{why}\n{text}"));
            compare(state, &options, &families);
            if !open_metrics {
                check_protobuf(state, buckets_per_decade, &families);
            }
        }
    }
}

/// The protobuf of a state reads back as legal messages, and has the samples of its text, in the same order.
fn check_protobuf(state: &Snapshot, buckets_per_decade: u8, families: &[Family]) {
    let mut bytes = Vec::new();
    write_selected_protobuf(state, buckets_per_decade, |_| true, &mut bytes);
    let messages = client_model::read(&bytes).unwrap_or_else(|why| panic!("{why}\n{bytes:?}"));
    assert_eq!(messages.len(), families.len());
    for (message, family) in messages.iter().zip(families) {
        assert_eq!(message.help(), family.help);
        for histogram in message.metric.iter().filter_map(|metric| metric.histogram.as_ref()) {
            if histogram.is_native() {
                histogram.native_buckets().unwrap_or_else(|why| panic!("{why}\n{histogram:?}"));
            }
        }
        let samples = message.samples().unwrap_or_else(|why| panic!("{why}\n{message:?}"));
        // A sum that is not known is not in the text.
        let known = samples.iter().filter(|(_, _, value)| !value.is_nan());
        let float = |text: &str| text.replace("Inf", "inf").parse::<f64>().expect("a number");
        let mut expected = family.samples.iter();
        for (name, labels, value) in known {
            let sample = expected.next().expect("one more sample in the text");
            assert_eq!((name, value.to_bits()), (&sample.name, float(&sample.value).to_bits()));
            assert_eq!(labels.len(), sample.labels.len());
            for ((label, value), (text_label, text_value)) in labels.iter().zip(&sample.labels) {
                assert_eq!(label, text_label);
                let is_same = if label == "le" { float(value) == float(text_value) } else { value == text_value };
                assert!(is_same, "{label}: {value} and {text_value}");
            }
        }
        assert_eq!(expected.len(), 0, "a sample that only the text has");
    }
}

fn compare(state: &Snapshot, options: &TextOptions, families: &[Family]) {
    let open_metrics = options.format == TextFormat::OpenMetrics;
    assert_eq!(families.len(), state.families().len());
    for (read, family) in families.iter().zip(state.families()) {
        let descriptor = family.descriptor();
        assert_eq!(read.help, descriptor.help());
        assert_eq!(read.kind, descriptor.kind().as_str());
        let mut samples = read.samples.iter();
        let name = descriptor.name();
        let mut next = |suffix: &str, labels: &LabelSet, bound: Option<&str>| -> String {
            let Sample { name: read_name, labels: read_labels, value } = samples.next().expect("one more sample");
            assert_eq!(read_name.strip_prefix(name), Some(suffix));
            let mut expected: Vec<(&str, &str)> = labels.iter().collect();
            expected.extend(bound.map(|bound| ("le", bound)));
            assert!(read_labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).eq(expected));
            value.clone()
        };
        for (labels, series) in family.series() {
            match series.value() {
                Value::Counter(count) => assert_eq!(next("_total", labels, None), count.to_string()),
                Value::FloatCounter(sum) => assert_number(&next("_total", labels, None), Number::Float(*sum)),
                Value::UpDown(UpDown::Integer(sum)) => assert_eq!(next("", labels, None), sum.to_string()),
                Value::UpDown(UpDown::Float(sum)) => assert_number(&next("", labels, None), Number::Float(*sum)),
                Value::Gauge(gauge) => assert_number(&next("", labels, None), gauge.value()),
                Value::Exponential(histogram) => {
                    let mut last = 0;
                    let bounds = bounds_of(read);
                    let may_fall = bounds.first().is_some_and(|bound| bound.starts_with('-'));
                    for bound in bounds {
                        let count = next("_bucket", labels, Some(&bound)).parse::<u64>().expect("a count");
                        assert!(last <= count, "le={bound}");
                        last = count;
                    }
                    assert_eq!(last, histogram.count());
                    let is_whole = histogram.sum().is_some_and(|sum| sum >= 0.0) && !may_fall;
                    if let Some(sum) = histogram.sum().filter(|_| is_whole || !open_metrics) {
                        assert_number(&next("_sum", labels, None), Number::Float(sum));
                    }
                    if is_whole || !open_metrics {
                        assert_eq!(next("_count", labels, None), histogram.count().to_string());
                    }
                }
                Value::Histogram(histogram) => {
                    for (bound, count) in expected_buckets(histogram, options) {
                        assert_eq!(next("_bucket", labels, Some(&bound)), count.to_string(), "le={bound}");
                    }
                    let may_fall = histogram.bounds().upper_bound(0).is_some_and(|bound| bound < 0.0);
                    if !(may_fall && open_metrics) {
                        assert_number(&next("_sum", labels, None), histogram.sum());
                        assert_eq!(next("_count", labels, None), histogram.count().to_string());
                    }
                }
            }
            let has_created = open_metrics && options.created && descriptor.kind().suffixes().contains(&"_created");
            if has_created {
                let (seconds, millis) = (series.start_time_ms() / 1_000, series.start_time_ms() % 1_000);
                assert_eq!(next("_created", labels, None), format!("{seconds}.{millis:03}"));
            }
        }
        assert_eq!(samples.len(), 0, "a sample that nothing stands for");
    }
}

/// The bounds of a family are those of its first series; telemetry/tests/exponential_text.rs says what they are.
fn bounds_of(family: &Family) -> Vec<String> {
    let bound = |sample: &Sample| sample.labels.iter().find(|(name, _)| name == "le").map(|(_, bound)| bound.clone());
    let mut bounds: Vec<String> = family.samples.iter().map_while(bound).collect();
    bounds.truncate(bounds.iter().position(|bound| bound == "+Inf").map_or(0, |last| last + 1));
    bounds
}

/// The `le` values that must be there and their cumulative counts.
fn expected_buckets(histogram: &Histogram, options: &TextOptions) -> Vec<(String, u64)> {
    let stride = match histogram.bounds() {
        Bounds::Decimal(layout) => layout.per_decade().div_ceil(u32::from(options.buckets_per_decade.clamp(1, 18))),
        Bounds::Explicit(_) => 1,
    };
    let mut buckets = Vec::new();
    let mut cumulative = 0;
    for ((index, count), upper) in (1_u32..).zip(histogram.bucket_counts()).zip(histogram.bounds().upper_bounds()) {
        cumulative += count;
        if index.is_multiple_of(stride) {
            let bound = match histogram.bounds() {
                Bounds::Decimal(_) => format!("{upper:.6e}"),
                Bounds::Explicit(_) => format!("{upper:?}"),
            };
            buckets.push((bound, cumulative));
        }
    }
    buckets.push(("+Inf".to_owned(), histogram.count()));
    buckets
}

fn assert_number(text: &str, number: Number) {
    match number {
        Number::Unsigned(value) => assert_eq!(text, value.to_string()),
        Number::Float(value) => assert_eq!(text.parse::<f64>().expect("a number").to_bits(), value.to_bits(), "{text}"),
    }
}

#[cfg(test)]
mod tests {
    use tributary_telemetry::{
        DecodeError, Delta, ExplicitBounds, FamilyDescriptor, Gauge, HistogramError, MetricKind,
    };

    use super::*;

    /// What a state of two series decodes to, once `spoil` has changed the message.
    fn decoded(
        values: [(&'static str, Value); 2],
        spoil: impl FnOnce(&mut tributary_proto::v1::MetricSet),
    ) -> Result<Snapshot, DecodeError> {
        let mut delta = Delta::new();
        for (name, value) in values {
            let family = FamilyDescriptor::new(name, "", "", value.kind()).unwrap();
            delta.add(&family, LabelSet::empty(), value).unwrap();
        }
        let mut metrics = delta.to_wire();
        spoil(&mut metrics);
        let mut wire = Snapshot::new(0).to_wire();
        wire.metrics = Some(metrics);
        Snapshot::from_wire(wire)
    }

    #[test]
    fn a_snapshot_with_clashing_names_does_not_decode() {
        let of = |values| decoded(values, |_| {});
        let histogram = Value::Histogram(Histogram::new(Bounds::latency()));
        let clash = |family: &str| Err(DecodeError::NameClash { family: family.to_owned() });
        assert_eq!(of([("a", histogram), ("a_count", Value::Counter(1))]), clash("a_count"));
        let gauge = Value::Gauge(Gauge::unsigned(1, 1));
        assert_eq!(of([("a", Value::Counter(1)), ("a_total", gauge)]), clash("a_total"));
    }

    #[test]
    fn a_negative_sum_over_bounds_that_are_not_does_not_decode() {
        use tributary_proto::v1::{histogram::Sum, series};
        let bounds = Bounds::Explicit(ExplicitBounds::new(&[0.0]).unwrap());
        let histogram = Histogram::from_parts(bounds, vec![1, 0], Number::Float(4.5)).unwrap();
        let state = decoded([("h", Value::Histogram(histogram)), ("z", Value::Counter(1))], |metrics| {
            if let Some(series::Value::Histogram(histogram)) = &mut metrics.families[0].series[0].value {
                histogram.sum = Some(Sum::FloatSum(-4.5));
            }
        });
        assert_eq!(state, Err(DecodeError::Histogram(HistogramError::NegativeSum)));
    }

    #[test]
    fn every_stride_is_among_the_densities() {
        for per_decade in [1_u32, 2, 3, 6, 9, 18] {
            for wanted in 1..=18 {
                let stride = |wanted: u32| per_decade.div_ceil(wanted);
                assert!(DENSITIES.iter().any(|n| stride(u32::from((*n).clamp(1, 18))) == stride(wanted)));
            }
        }
        assert_eq!(MetricKind::Counter.as_str(), "counter");
    }
}
