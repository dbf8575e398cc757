//! Deltas from arbitrary bytes: families whose names come close to each other, labels with hostile values.

use arbitrary::{Result, Unstructured};
use tributary_telemetry::{
    Bounds, DecimalBounds, Delta, ExplicitBounds, ExponentialBuckets, ExponentialHistogram, ExponentialParts,
    FamilyDescriptor, Gauge, Histogram, LabelSet, MetricKind, Number, UpDown, Value,
};

/// Names that differ by the suffixes that samples add.
const NAMES: [&str; 12] = [
    "a",
    "a_total",
    "a_created",
    "a_count",
    "a_sum",
    "a_bucket",
    "a_bucket_total",
    "a_seconds",
    "seconds",
    "_a",
    "A",
    "a_info",
];
const UNITS: [&str; 4] = ["", "seconds", "bytes", "a"];
const LABELS: [&str; 6] = ["a", "b", "_", "Le", "job", "le_"];

/// A delta of a few series.
pub(crate) fn delta(input: &mut Unstructured<'_>) -> Result<Delta> {
    let mut delta = Delta::new();
    delta.set_start(input.int_in_range(0..=2_000_000_000_000)?);
    for _ in 0..input.int_in_range(0..=6)? {
        let value = value(input)?;
        let Some(family) = family(input, value.kind())? else { continue };
        let labels = labels(input)?;
        // What contradicts the values before is not part of the delta: a kind, bounds, an overflow.
        if delta.add(&family, labels, value).is_err() {
            continue;
        }
    }
    Ok(delta)
}

/// `None`: a counter may not be named `_total`.
fn family(input: &mut Unstructured<'_>, kind: MetricKind) -> Result<Option<FamilyDescriptor>> {
    let (name, unit) = (*input.choose(&NAMES)?, *input.choose(&UNITS)?);
    let help: String = if input.ratio(1, 4)? { text(input)? } else { String::new() };
    Ok(FamilyDescriptor::new(name, help, unit, kind).ok())
}

fn labels(input: &mut Unstructured<'_>) -> Result<LabelSet> {
    let mut pairs = Vec::new();
    for name in LABELS {
        if input.ratio(1, 4)? {
            pairs.push((name, text(input)?));
        }
    }
    Ok(LabelSet::from_pairs(pairs).unwrap_or_default())
}

/// At most 64 characters, often those that mean something in the formats.
fn text(input: &mut Unstructured<'_>) -> Result<String> {
    const SPECIAL: [char; 12] = ['"', '\\', '\n', '\r', 'n', '{', '}', ',', '=', ' ', '#', '\u{2028}'];
    let mut text = String::new();
    for _ in 0..input.int_in_range(0..=12)? {
        text.push(if input.ratio(2, 3)? { *input.choose(&SPECIAL)? } else { input.arbitrary()? });
    }
    Ok(text)
}

fn value(input: &mut Unstructured<'_>) -> Result<Value> {
    Ok(match input.int_in_range(0..=7)? {
        0 => Value::Counter(input.arbitrary()?),
        4 => sum(Value::FloatCounter(input.arbitrary()?)),
        5 => Value::UpDown(UpDown::Integer(input.arbitrary()?)),
        6 => sum(Value::UpDown(UpDown::Float(input.arbitrary()?))),
        7 => exponential(input)?.map_or_else(|| Value::Counter(4), Value::Exponential),
        1 => {
            let number = number(input)?;
            let gauge = Gauge::new(number, input.int_in_range(0..=3)?);
            gauge.map_or_else(|_| Value::Counter(1), Value::Gauge)
        }
        _ => histogram(input)?.map_or_else(|| Value::Counter(2), Value::Histogram),
    })
}

/// As it is, where the model has such a number.
fn sum(value: Value) -> Value {
    if value.check().is_ok() { value } else { Value::Counter(3) }
}

fn exponential(input: &mut Unstructured<'_>) -> Result<Option<ExponentialHistogram>> {
    let scale = input.int_in_range(-13..=22)?;
    let mut buckets = || -> Result<ExponentialBuckets> {
        // Around 1, or anywhere.
        let offset = if input.ratio(1, 2)? { input.int_in_range(-200..=200)? } else { input.arbitrary()? };
        let mut counts = Vec::new();
        for _ in 0..input.int_in_range(0..=6)? {
            counts.resize(counts.len() + input.int_in_range(0..=60)?, 0);
            counts.push(u64::from(input.arbitrary::<u32>()?));
        }
        Ok(ExponentialBuckets { offset, counts })
    };
    let (positive, negative) = (buckets()?, buckets()?);
    let (zero_threshold, zero_count) = (input.arbitrary()?, u64::from(input.arbitrary::<u32>()?));
    let parts = ExponentialParts { scale, zero_threshold, zero_count, positive, negative, sum: input.arbitrary()? };
    Ok(ExponentialHistogram::new(parts).ok())
}

fn number(input: &mut Unstructured<'_>) -> Result<Number> {
    Ok(if input.arbitrary()? { Number::Unsigned(input.arbitrary()?) } else { Number::Float(input.arbitrary()?) })
}

fn histogram(input: &mut Unstructured<'_>) -> Result<Option<Histogram>> {
    let bounds = match input.int_in_range(0..=2)? {
        0 => Some(Bounds::latency()),
        1 => {
            let per_decade = *input.choose(&[1_u32, 2, 3, 6, 9, 18])?;
            DecimalBounds::new(per_decade, input.int_in_range(1..=per_decade * 20)?).ok().map(Bounds::Decimal)
        }
        _ => {
            let mut bounds: Vec<f64> = Vec::new();
            for _ in 0..input.int_in_range(0..=4)? {
                bounds.push(input.arbitrary()?);
            }
            bounds.sort_by(f64::total_cmp);
            ExplicitBounds::new(&bounds).ok().map(Bounds::Explicit)
        }
    };
    let Some(bounds) = bounds else { return Ok(None) };
    let mut counts = vec![0_u64; bounds.len() + 1];
    for _ in 0..input.int_in_range(0..=4)? {
        let bucket = input.choose_index(counts.len())?;
        counts[bucket] = u64::from(input.arbitrary::<u32>()?);
    }
    // Refused where it is below zero and the bounds are not.
    let sum = number(input)?;
    Ok(Histogram::from_parts(bounds, counts, sum).ok())
}
