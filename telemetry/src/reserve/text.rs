//! How many bytes series can come to at most in a text: with every number at its widest, in the wider of both formats, and with
//! every bound.
//!
//! A text is one value of a store, with a bound of its own. Nothing here depends on how a text is written but names, labels,
//! kind and bounds; what depends on an option, `_created`, is counted apart.

use crate::{
    Bounds, FamilyDescriptor, Histogram, LabelSet, Value,
    exponential::MAX_GRID_BOUNDS,
    limits::MAX_HELP_BYTES,
    text::{END_BYTES, float_bytes},
};

/// The digits of 2^64.
const INTEGER: usize = 20;

/// A float in its shortest digits: `-2.2250738585072014e-308`.
const FLOAT: usize = 24;

/// Milliseconds as seconds with three decimals.
const MILLIS: usize = 21;

/// A bound of a decimal layout: `1.136464e12`.
const DECIMAL_BOUND: usize = 11;

/// What a text without families takes.
pub(crate) const EMPTY: usize = END_BYTES;

/// The comments of a family. A later declaration can replace the help, all of which may have to be escaped, and the unit, which
/// is written where the name ends with it.
pub(super) fn family(descriptor: &FamilyDescriptor) -> usize {
    const FIXED: usize = "# TYPE _total histogram\n# UNIT  \n# HELP _total \n".len() + 2 * MAX_HELP_BYTES;
    descriptor.name().len().saturating_mul(4).saturating_add(FIXED)
}

/// The samples of a series but for `_created`, and that.
pub(super) fn series(name: &str, labels: &LabelSet, value: &Value) -> (usize, usize) {
    // `name="value",`; where there is none, what is counted for braces and comma is not written.
    let labels = labels.iter().fold(0_usize, |sum, (name, value)| {
        let escapes = value.bytes().filter(|byte| matches!(byte, b'\\' | b'\n' | b'"')).count();
        sum.saturating_add(name.len()).saturating_add(value.len()).saturating_add(escapes).saturating_add(4)
    });
    let line = |suffix: &str, number: usize| {
        let fixed = "{} \n".len().saturating_add(suffix.len()).saturating_add(number);
        name.len().saturating_add(labels).saturating_add(fixed)
    };
    let created = line("_created", MILLIS);
    // Without the bound.
    let bucket = line("_bucketle=\"\"", INTEGER);
    let ends = line("_sum", FLOAT).saturating_add(line("_count", INTEGER));
    match value {
        // A counter of integers can become one of floats.
        Value::Counter(_) | Value::FloatCounter(_) => (line("_total", FLOAT), created),
        Value::UpDown(_) | Value::Gauge(_) => (line("", FLOAT), 0),
        Value::Histogram(histogram) => {
            let lines = bucket.saturating_mul(histogram.bucket_counts().len());
            (lines.saturating_add(bounds(histogram)).saturating_add(ends), created)
        }
        Value::Exponential(_) => {
            let lines = bucket.saturating_add(FLOAT).saturating_mul(MAX_GRID_BOUNDS + 2);
            (lines.saturating_add(ends), created)
        }
    }
}

fn bounds(histogram: &Histogram) -> usize {
    let finite = match histogram.bounds() {
        Bounds::Decimal(_) => histogram.bounds().len().saturating_mul(DECIMAL_BOUND),
        Bounds::Explicit(explicit) => {
            explicit.as_slice().iter().fold(0, |sum, bound| float_bytes(*bound).saturating_add(sum))
        }
    };
    finite.saturating_add("+Inf".len())
}
