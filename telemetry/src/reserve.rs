//! How many bytes a state can come to at most when it is written, encoded or as [`text`].
//!
//! Both are single values of a store: a row of SQLite, a key of Workers KV. A series that exists is never refused: so a series takes its room
//! once, when it is new, for the greatest totals that it can ever reach. What is taken depends on labels, kind and
//! bounds alone, which do not change as long as the series lives. A counter can become a float, which is shorter; an
//! exponential histogram takes as many buckets as it can ever have.
//!
//! The terms are those of protobuf: a field costs a byte of tag, a string the bytes of its length beside its own, an
//! integer of 64 bits at most ten. Lengths here take at most four.

mod text;

use crate::{
    Bounds, FamilyDescriptor, Histogram, LabelSet, Room, Value,
    limits::{MAX_EXPONENTIAL_BUCKETS, MAX_FAMILY_NAME_BYTES, MAX_HELP_BYTES},
};

/// What an encoded state without series takes: schema, version, two times, and the set around the families.
pub(crate) const SNAPSHOT_BYTES: usize = 6 + 3 * INTEGER + MESSAGE;

/// What a state without series takes.
pub(crate) const EMPTY: Room = Room { series: 0, bytes: SNAPSHOT_BYTES, text: text::EMPTY, created: 0 };

/// Tag and length of a nested message.
const MESSAGE: usize = 1 + 4;

/// Tag and value of an integer of 64 bits, or of a double.
const INTEGER: usize = 1 + 10;

/// Tag and length of a string of at most 16,383 bytes.
const STRING: usize = 1 + 2;

/// What a family takes beside its series.
pub(crate) fn family_room(descriptor: &FamilyDescriptor) -> Room {
    Room { series: 0, bytes: family_bytes(descriptor), text: text::family(descriptor), created: 0 }
}

/// What a series of the family `name` takes whatever its totals become.
pub(crate) fn series_room(name: &str, labels: &LabelSet, value: &Value) -> Room {
    let (text, created) = text::series(name, labels, value);
    Room { series: 1, bytes: series_bytes(labels, value), text, created }
}

/// What a family takes of that in an encoded state. Help and unit count as the longest there are, since a later declaration can replace them.
pub(crate) fn family_bytes(descriptor: &FamilyDescriptor) -> usize {
    const FIXED: usize = MESSAGE + 3 * STRING + 2 + MAX_HELP_BYTES + MAX_FAMILY_NAME_BYTES;
    descriptor.name().len().saturating_add(FIXED)
}

/// What a series takes of that in an encoded state.
pub(crate) fn series_bytes(labels: &LabelSet, value: &Value) -> usize {
    const LABEL: usize = 3 * STRING;
    let labels = labels.len().saturating_mul(LABEL).saturating_add(labels.text_bytes());
    let value = match value {
        Value::Counter(_) | Value::FloatCounter(_) => INTEGER,
        Value::UpDown(_) => MESSAGE + INTEGER,
        Value::Gauge(_) => MESSAGE + 2 * INTEGER,
        Value::Histogram(histogram) => histogram_bytes(histogram),
        Value::Exponential(_) => EXPONENTIAL_BYTES,
    };
    // The start of the series is an integer.
    labels.saturating_add(value).saturating_add(MESSAGE + INTEGER)
}

/// The counts of a histogram fit 64 bits together, so one of them takes ten bytes at most and every other one nine. A
/// run of buckets takes nine bytes beside its counts, and the empty bucket that ends it takes none: a histogram of n
/// buckets comes to 9n + 10, however they are filled.
fn histogram_bytes(histogram: &Histogram) -> usize {
    const BUCKET: usize = 9;
    const FIXED: usize = MESSAGE + INTEGER + 10;
    let layout = match histogram.bounds() {
        Bounds::Decimal(_) => MESSAGE + 2 * INTEGER,
        Bounds::Explicit(explicit) => explicit.as_slice().len().saturating_mul(8).saturating_add(2 * MESSAGE),
    };
    histogram.bucket_counts().len().saturating_mul(BUCKET).saturating_add(layout).saturating_add(FIXED)
}

/// Both signs full, and counts that fit 64 bits together, as above. Scale and offsets are integers, too.
const EXPONENTIAL_BYTES: usize = MESSAGE + 5 * INTEGER + 2 * (2 * MESSAGE + 9 * MAX_EXPONENTIAL_BUCKETS) + 2 * INTEGER;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Delta, ExplicitBounds, ExponentialBuckets, ExponentialHistogram, ExponentialParts, Gauge, MetricFamily,
        MetricKind, Number, Snapshot, TextFormat, TextOptions, UpDown,
        limits::{MAX_BOUNDS, MAX_LABEL_NAME_BYTES, MAX_LABEL_VALUE_BYTES, MAX_LABELS},
        write_text,
    };

    fn widest_labels(labels: usize) -> LabelSet {
        let pairs =
            (0..labels).map(|index| (format!("{index:x>MAX_LABEL_NAME_BYTES$}"), "v".repeat(MAX_LABEL_VALUE_BYTES)));
        LabelSet::from_pairs(pairs).unwrap()
    }

    /// The widest histogram of these bounds: every bucket as `fill` says, within 64 bits together.
    fn histogram(bounds: Bounds, fill: impl Fn(usize) -> u64) -> Value {
        let counts = (0..=bounds.len()).map(fill).collect();
        Value::Histogram(Histogram::from_parts(bounds, counts, Number::Unsigned(u64::MAX)).unwrap())
    }

    /// The widest exponential histogram: both signs full of these counts, offsets and threshold far from zero.
    fn exponential(fill: impl Fn(usize) -> u64) -> Value {
        let counts: Vec<u64> = (0..MAX_EXPONENTIAL_BUCKETS).map(fill).collect();
        let buckets = ExponentialBuckets { offset: -1_073_741_000, counts };
        let parts = ExponentialParts {
            scale: 20,
            zero_threshold: 5e-324,
            zero_count: 1 << 56,
            positive: buckets.clone(),
            negative: buckets,
            sum: Some(f64::MIN),
        };
        Value::Exponential(ExponentialHistogram::new(parts).unwrap())
    }

    /// No text is longer than what its state takes, and that is not so wide that it would refuse what has room.
    fn check_text(state: &Snapshot) {
        let room = state.room();
        for format in [TextFormat::OpenMetrics, TextFormat::Prometheus] {
            for (created, reserved) in [(false, room.text), (true, room.text + room.created)] {
                let mut text = String::new();
                write_text(state, &TextOptions { created, ..TextOptions::new(format) }, &mut text);
                assert!(text.len() <= reserved, "{} of {reserved}: {text}", text.len());
                // What this has of everything; but for the longest help, and numbers that are not the widest in all lines.
                let spare = 2 * MAX_HELP_BYTES + 64 + 13 * text.lines().count();
                let is_whole = !created && format == TextFormat::Prometheus && !state.families().any(is_exponential);
                assert!(!is_whole || reserved - text.len() < spare, "{} of {reserved}: {text}", text.len());
            }
        }
    }

    /// How many bounds they have is known only when they are written.
    fn is_exponential(family: &MetricFamily) -> bool {
        family.descriptor().kind() == MetricKind::Exponential
    }

    #[test]
    fn text_takes_what_its_labels_take_when_they_are_escaped() {
        let labels = LabelSet::from_pairs([("a", "\\\n\"".repeat(300)), ("b", "é".to_owned())]).unwrap();
        for help in ["\"\n\\".repeat(MAX_HELP_BYTES / 3), String::new()] {
            let family = FamilyDescriptor::new("f_seconds", help, "seconds", MetricKind::Histogram).unwrap();
            for bounds in [&[][..], &[-1.5, 0.0, 1e-300, 1e300], &[f64::MIN, -5e-324, 5e-324, f64::MAX]] {
                let bounds = Bounds::Explicit(ExplicitBounds::new(bounds).unwrap());
                let mut delta = Delta::new();
                let histogram = histogram(bounds, |_| 1 << 60);
                delta.add(&family, labels.clone(), histogram).unwrap();
                let mut state = Snapshot::new(u64::MAX);
                let _applied = state.apply(&delta, u64::MAX).unwrap();
                check_text(&state);
            }
        }
    }

    #[test]
    fn nothing_that_a_series_can_become_is_longer_than_what_it_takes() {
        let explicit: Vec<f64> = (0_u16..u16::try_from(MAX_BOUNDS).unwrap()).map(f64::from).collect();
        let explicit = Bounds::Explicit(ExplicitBounds::new(&explicit).unwrap());
        let mut values = vec![
            Value::Counter(u64::MAX),
            Value::FloatCounter(f64::MAX),
            Value::UpDown(UpDown::Integer(i64::MIN)),
            Value::UpDown(UpDown::Float(f64::MIN)),
            Value::Gauge(Gauge::unsigned(u64::MAX, u64::MAX)),
            exponential(|_| 1 << 55),
            exponential(|index| if index < 100 { 1 << 56 } else { 1 << 53 }),
        ];
        // As wide as so many counts can be without passing 64 bits together.
        for (bounds, count) in [(explicit, 1 << 54), (Bounds::latency(), 1 << 56)] {
            values.push(histogram(bounds.clone(), |_| count));
            values.push(histogram(bounds.clone(), |index| if index == 0 { 1 << 63 } else { 1 << 53 }));
            values.push(histogram(bounds.clone(), |index| if index.is_multiple_of(2) { count } else { 0 }));
            values.push(histogram(bounds, |index| if index % 16 < 15 { count } else { 0 }));
        }
        for value in values {
            for labels in [widest_labels(0), widest_labels(1), widest_labels(MAX_LABELS)] {
                let name = "n".repeat(MAX_FAMILY_NAME_BYTES);
                let (help, unit) = ("h".repeat(MAX_HELP_BYTES), "u".repeat(MAX_FAMILY_NAME_BYTES));
                let family = FamilyDescriptor::new(name, help, unit, value.kind()).unwrap();
                let mut delta = Delta::new();
                delta.set_start(u64::MAX);
                delta.add(&family, labels.clone(), value.clone()).unwrap();
                let mut state = Snapshot::new(u64::MAX);
                let _applied = state.apply(&delta, u64::MAX).unwrap();
                state.version = u64::MAX;
                check_text(&state);
                let (written, reserved) = (state.encode().len(), state.reserved_bytes());
                assert!(written <= reserved, "{written} of {reserved}: {value:?}");
                let of_series = series_bytes(&labels, &value);
                assert_eq!(reserved, EMPTY.bytes + family_bytes(&family) + of_series);
                // Not so wide that the bound would refuse what has room.
                assert!(reserved - written < 64 + of_series / 6, "{written} of {reserved}: {value:?}");
            }
        }
    }
}
