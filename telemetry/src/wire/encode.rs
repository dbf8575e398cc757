//! Snapshots and deltas as bytes, without the messages between: a Ledger writes its state with every commit, and a
//! message for each of its labels would be most of the work. The bytes are those of the generated code.

use tributary_proto::wire::{put_bytes, put_varint};

use crate::{
    Bounds, Delta, ExponentialBuckets, ExponentialHistogram, FamilyDescriptor, Gauge, Histogram, LabelSet, MetricKind,
    Number, Snapshot, UpDown, Value,
};

/// Wire types.
const VARINT: u8 = 0;
const FIXED64: u8 = 1;
const BYTES: u8 = 2;

impl Snapshot {
    /// Appends what [`Snapshot::encode`] writes as the message in field `field` (1 to 15) of another.
    pub fn encode_field(&self, field: u8, out: &mut Vec<u8>) {
        nested(out, field & 0x0f, |out| self.encode_into(out));
    }

    /// Appends what [`Snapshot::encode`] writes.
    pub fn encode_into(&self, out: &mut Vec<u8>) {
        number(out, 1, u64::from(self.schema()));
        number(out, 2, self.version);
        number(out, 3, self.start_time_ms);
        number(out, 4, self.last_applied_ms);
        nested(out, 5, |out| {
            for family in self.families() {
                nested(out, 1, |out| {
                    descriptor(out, family.descriptor());
                    for (labels, of_labels) in family.series() {
                        nested(out, 5, |out| series(out, labels, of_labels.start_time_ms, &of_labels.value));
                    }
                });
            }
        });
    }
}

impl Delta {
    /// Appends the encoded message of [`Delta::to_wire`].
    pub fn encode_into(&self, out: &mut Vec<u8>) {
        let start_time_ms = self.start_time_ms().unwrap_or(0);
        for family in self.families() {
            nested(out, 1, |out| {
                descriptor(out, family.descriptor());
                for (labels, value) in family.series() {
                    nested(out, 5, |out| series(out, labels, start_time_ms, value));
                }
            });
        }
    }
}

fn descriptor(out: &mut Vec<u8>, descriptor: &FamilyDescriptor) {
    text(out, 1, descriptor.name());
    text(out, 2, descriptor.help());
    text(out, 3, descriptor.unit());
    number(
        out,
        4,
        match descriptor.kind() {
            MetricKind::Counter => 1,
            MetricKind::Gauge => 2,
            MetricKind::Histogram => 3,
            MetricKind::UpDown => 4,
            MetricKind::Exponential => 5,
        },
    );
}

fn series(out: &mut Vec<u8>, labels: &LabelSet, start_time_ms: u64, value: &Value) {
    for (name, value) in labels.iter() {
        nested(out, 1, |out| {
            text(out, 1, name);
            text(out, 2, value);
        });
    }
    number(out, 2, start_time_ms);
    match value {
        Value::Counter(count) => chosen_number(out, 3, *count),
        Value::Gauge(reading) => nested(out, 4, |out| gauge(out, *reading)),
        Value::Histogram(buckets) => nested(out, 5, |out| histogram(out, buckets)),
        Value::FloatCounter(value) => float(out, 6, *value),
        Value::UpDown(UpDown::Integer(sum)) => nested(out, 7, |out| chosen_number(out, 1, zigzag(*sum))),
        Value::UpDown(UpDown::Float(sum)) => nested(out, 7, |out| float(out, 2, *sum)),
        Value::Exponential(buckets) => nested(out, 8, |out| exponential(out, buckets)),
    }
}

fn gauge(out: &mut Vec<u8>, gauge: Gauge) {
    match gauge.value() {
        Number::Unsigned(value) => chosen_number(out, 1, value),
        Number::Float(value) => float(out, 2, value),
    }
    number(out, 3, gauge.time_ms());
}

fn histogram(out: &mut Vec<u8>, histogram: &Histogram) {
    match histogram.bounds() {
        Bounds::Decimal(decimal) => nested(out, 1, |out| {
            number(out, 1, u64::from(decimal.per_decade()));
            number(out, 2, u64::from(decimal.bounds()));
        }),
        Bounds::Explicit(explicit) => nested(out, 2, |out| {
            if !explicit.as_slice().is_empty() {
                nested(out, 1, |out| {
                    explicit.as_slice().iter().for_each(|bound| out.extend_from_slice(&bound.to_le_bytes()));
                });
            }
        }),
    }
    let mut rest = histogram.bucket_counts();
    let mut offset = 0_u64;
    while let Some(empty) = rest.iter().position(|count| *count > 0) {
        let (_, from_run) = rest.split_at_checked(empty).unwrap_or_default();
        let filled = from_run.iter().position(|count| *count == 0).unwrap_or(from_run.len());
        let (run, behind) = from_run.split_at_checked(filled).unwrap_or_default();
        offset = offset.saturating_add(u64::try_from(empty).unwrap_or(u64::MAX));
        nested(out, 3, |out| {
            number(out, 1, offset);
            nested(out, 2, |out| run.iter().for_each(|count| put_varint(out, *count)));
        });
        offset = offset.saturating_add(u64::try_from(filled).unwrap_or(u64::MAX));
        rest = behind;
    }
    match histogram.sum() {
        Number::Unsigned(sum) => chosen_number(out, 4, sum),
        Number::Float(sum) => float(out, 5, sum),
    }
}

fn exponential(out: &mut Vec<u8>, histogram: &ExponentialHistogram) {
    number(out, 1, zigzag(histogram.scale().into()));
    number(out, 2, histogram.zero_count());
    if let Some(boundary) = histogram.zero_boundary() {
        chosen_number(out, 3, zigzag(boundary.into()));
    }
    for (field, ExponentialBuckets { offset, counts }) in [(4, histogram.positive()), (5, histogram.negative())] {
        if !counts.is_empty() {
            nested(out, field, |out| {
                number(out, 1, zigzag((*offset).into()));
                nested(out, 2, |out| counts.iter().for_each(|count| put_varint(out, *count)));
            });
        }
    }
    if let Some(sum) = histogram.sum() {
        float(out, 6, sum);
    }
}

/// How protobuf writes a signed number: 0, -1, 1, -2, …
const fn zigzag(value: i64) -> u64 {
    (value << 1 ^ value >> 63).cast_unsigned()
}

/// A number; 0 is not written.
#[inline]
fn number(out: &mut Vec<u8>, field: u8, value: u64) {
    if value > 0 {
        chosen_number(out, field, value);
    }
}

/// A number that is one of a choice, which is written whatever it is.
#[inline]
fn chosen_number(out: &mut Vec<u8>, field: u8, value: u64) {
    out.push(field << 3 | VARINT);
    put_varint(out, value);
}

#[inline]
fn float(out: &mut Vec<u8>, field: u8, value: f64) {
    out.push(field << 3 | FIXED64);
    out.extend_from_slice(&value.to_le_bytes());
}

/// A string; an empty one is not written.
#[inline]
fn text(out: &mut Vec<u8>, field: u8, text: &str) {
    if !text.is_empty() {
        put_bytes(out, field << 3 | BYTES, text.as_bytes());
    }
}

/// A message. Its length is known when it is written: most take one byte of it, which is left free, and the others are
/// moved.
#[inline]
fn nested(out: &mut Vec<u8>, field: u8, write: impl FnOnce(&mut Vec<u8>)) {
    out.push(field << 3 | BYTES);
    let at = out.len();
    out.push(0);
    write(out);
    let len = out.len().saturating_sub(at).saturating_sub(1);
    match (u8::try_from(len), out.get_mut(at)) {
        (Ok(len), Some(place)) if len < 0x80 => *place = len,
        _ => {
            let (mut prefix, mut used, mut rest) = ([0_u8; 10], 0_usize, u64::try_from(len).unwrap_or(u64::MAX));
            for byte in &mut prefix {
                *byte = (rest & 0x7f) as u8 | 0x80;
                used += 1;
                rest >>= 7;
                if rest == 0 {
                    *byte &= 0x7f;
                    break;
                }
            }
            let end = out.len();
            out.resize(end + used - 1, 0);
            out.copy_within(at + 1..end, at + used);
            out.iter_mut().skip(at).zip(prefix).take(used).for_each(|(place, byte)| *place = byte);
        }
    }
}

#[cfg(test)]
mod tests {
    use tributary_proto::Message as _;

    use super::*;
    use crate::ExplicitBounds;

    /// For arbitrary deltas and snapshots: `tests/laws.rs`.
    #[test]
    fn bytes_are_those_of_the_generated_code() {
        let mut delta = Delta::new();
        delta.set_start(5);
        let family = |name: &str, kind| FamilyDescriptor::new(name.to_owned(), "Help.", "", kind).unwrap();
        let labels = |value: &str| LabelSet::from_pairs([("a", value), ("b", "")]).unwrap();
        for count in [0, 1, 127, 128, u64::MAX] {
            let labels = labels(&format!("{count}{}", "x".repeat(300)));
            delta.add_counter(&family("counter", MetricKind::Counter), labels, count).unwrap();
        }
        for value in [Number::Unsigned(0), Number::Unsigned(300), Number::Float(0.0), Number::Float(-1.5)] {
            let gauge = Gauge::new(value, 0).unwrap();
            delta.set_gauge(&family("gauge", MetricKind::Gauge), labels(&format!("{value:?}")), gauge).unwrap();
        }
        let explicit = Bounds::Explicit(ExplicitBounds::new(&[-1.0, 0.5, 2.0]).unwrap());
        for counts in [vec![0, 0, 0, 0], vec![1, 0, 0, u64::MAX - 1], vec![0, 200, 3, 0], vec![5, 6, 7, 8]] {
            let sum = if counts.iter().all(|count| *count == 0) { 0.0 } else { 2.5 };
            let name = format!("{counts:?}");
            let histogram = Histogram::from_parts(explicit.clone(), counts, Number::Float(sum)).unwrap();
            delta.add_histogram(&family("histogram", MetricKind::Histogram), labels(&name), &histogram).unwrap();
        }
        let latency = Histogram::from_parts(Bounds::latency(), (0..175).collect(), Number::Unsigned(9)).unwrap();
        delta.add_histogram(&family("latency", MetricKind::Histogram), LabelSet::empty(), &latency).unwrap();
        let mut bytes = Vec::new();
        delta.encode_into(&mut bytes);
        assert_eq!(bytes, delta.to_wire().encode_to_vec());
        let mut state = Snapshot::new(3);
        assert_eq!(state.encode(), state.to_wire().encode_to_vec());
        let _applied = state.apply(&delta, 1_000).unwrap();
        assert_eq!(state.encode(), state.to_wire().encode_to_vec());
    }
}
