//! How many bytes a state can come to at most when it is written.
//!
//! A state has to stay within one stored row, and a series that exists is never refused: so a series takes its room
//! once, when it is new, for the greatest totals that it can ever reach. What is taken depends on labels, kind and
//! bounds alone, which do not change as long as the series lives. A counter can become a float, which is shorter; an
//! exponential histogram takes as many buckets as it can ever have.
//!
//! The terms are those of protobuf: a field costs a byte of tag, a string the bytes of its length beside its own, an
//! integer of 64 bits at most ten. Lengths here take at most four.

use crate::{
    Bounds, FamilyDescriptor, Histogram, LabelSet, Value,
    limits::{MAX_EXPONENTIAL_BUCKETS, MAX_FAMILY_NAME_BYTES, MAX_HELP_BYTES},
};

/// What a state without series takes: schema, version, two times, and the set around the families.
pub(crate) const SNAPSHOT_BYTES: usize = 6 + 3 * INTEGER + MESSAGE;

/// Tag and length of a nested message.
const MESSAGE: usize = 1 + 4;

/// Tag and value of an integer of 64 bits, or of a double.
const INTEGER: usize = 1 + 10;

/// Tag and length of a string of at most 16,383 bytes.
const STRING: usize = 1 + 2;

/// What a family takes beside its series. Help and unit count as the longest there are, since a later declaration can
/// replace them.
pub(crate) fn family_bytes(descriptor: &FamilyDescriptor) -> usize {
    const FIXED: usize = MESSAGE + 3 * STRING + 2 + MAX_HELP_BYTES + MAX_FAMILY_NAME_BYTES;
    descriptor.name().len().saturating_add(FIXED)
}

/// What a series takes whatever its totals become.
pub(crate) fn series_bytes(labels: &LabelSet, value: &Value) -> usize {
    const LABEL: usize = 3 * STRING;
    let labels = labels.iter().fold(0_usize, |sum, (name, text)| {
        sum.saturating_add(LABEL).saturating_add(name.len()).saturating_add(text.len())
    });
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
        Delta, ExplicitBounds, Gauge, Number, Snapshot,
        limits::{MAX_BOUNDS, MAX_LABEL_NAME_BYTES, MAX_LABEL_VALUE_BYTES, MAX_LABELS},
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

    #[test]
    fn nothing_that_a_series_can_become_is_longer_than_what_it_takes() {
        let explicit: Vec<f64> = (0_u16..u16::try_from(MAX_BOUNDS).unwrap()).map(f64::from).collect();
        let explicit = Bounds::Explicit(ExplicitBounds::new(&explicit).unwrap());
        let mut values = vec![Value::Counter(u64::MAX), Value::Gauge(Gauge::unsigned(u64::MAX, u64::MAX))];
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
                let (written, reserved) = (state.encode().len(), state.reserved_bytes());
                assert!(written <= reserved, "{written} of {reserved}: {value:?}");
                let of_series = series_bytes(&labels, &value);
                assert_eq!(reserved, SNAPSHOT_BYTES + family_bytes(&family) + of_series);
                // Not so wide that the bound would refuse what has room.
                assert!(reserved - written < 64 + of_series / 6, "{written} of {reserved}: {value:?}");
            }
        }
    }
}
