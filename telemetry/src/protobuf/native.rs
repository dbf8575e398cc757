//! Native histograms as the message has them: runs of buckets, and each count as the difference to the one before.

use std::ops::Range;

use super::message::{DOUBLE, LENGTH, VARINT, begin, double, end, key, signed, unsigned};
use crate::{ExponentialBuckets, exponential::NativeHistogram};

const SCHEMA: u8 = key(5, VARINT);
const ZERO_THRESHOLD: u8 = key(6, DOUBLE);
const ZERO_COUNT: u8 = key(7, VARINT);
const NEGATIVE_SPAN: u8 = key(9, LENGTH);
const NEGATIVE_DELTA: u8 = key(10, VARINT);
const POSITIVE_SPAN: u8 = key(12, LENGTH);
const POSITIVE_DELTA: u8 = key(13, VARINT);

const SPAN_OFFSET: u8 = key(1, VARINT);
const SPAN_LENGTH: u8 = key(2, VARINT);

/// So many empty buckets between two others are cheaper written than skipped.
const MAX_GAP: usize = 2;

/// Appends the fields of a native histogram to those of a classic one.
pub(super) fn write(native: &NativeHistogram, out: &mut Vec<u8>) {
    signed(out, SCHEMA, native.schema.into());
    double(out, ZERO_THRESHOLD, native.zero_threshold);
    unsigned(out, ZERO_COUNT, native.zero_count);
    let negative = write_buckets(&native.negative, NEGATIVE_SPAN, NEGATIVE_DELTA, out);
    let positive = write_buckets(&native.positive, POSITIVE_SPAN, POSITIVE_DELTA, out);
    // A histogram that has nothing of this would be taken for a classic one: an empty span says that it is not.
    if !negative && !positive && native.zero_count == 0 {
        write_span(POSITIVE_SPAN, 0, 0, out);
    }
}

/// Writes the buckets of one sign; says whether there were any.
fn write_buckets(buckets: &ExponentialBuckets, span: u8, delta: u8, out: &mut Vec<u8>) -> bool {
    let runs = runs(&buckets.counts);
    // The number of a bucket is one more than its index, see `NativeHistogram`.
    let number = |place: usize| i64::from(buckets.offset).saturating_add(1).saturating_add_unsigned(to_u64(place));
    let mut next = 0;
    for run in &runs {
        write_span(span, number(run.start).saturating_sub(next), to_u64(run.len()), out);
        next = number(run.end);
    }
    let mut last: i64 = 0;
    for count in runs.iter().flat_map(|run| buckets.counts.get(run.clone()).unwrap_or_default()) {
        // All counts together fit 63 bits.
        let count = i64::try_from(*count).unwrap_or(i64::MAX);
        signed(out, delta, count.saturating_sub(last));
        last = count;
    }
    !runs.is_empty()
}

fn write_span(field: u8, offset: i64, length: u64, out: &mut Vec<u8>) {
    let start = begin(out, field);
    signed(out, SPAN_OFFSET, offset);
    unsigned(out, SPAN_LENGTH, length);
    end(out, start);
}

/// Where buckets hold something, small gaps among them.
fn runs(counts: &[u64]) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    for (place, _) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
        match runs.last_mut() {
            Some(run) if place - run.end <= MAX_GAP => run.end = place + 1,
            _ => runs.push(place..place + 1),
        }
    }
    runs
}

fn to_u64(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
