//! Numbers as the formats write them.

use std::io::Write as _;

use crate::{
    DecimalBounds, Number,
    histogram::{FINEST, MANTISSAS},
};

/// The mantissas of the decimal layout as text: `1.000000`, `1.136464`, …
const MANTISSA_TEXTS: [[u8; 8]; MANTISSAS.len()] = {
    let mut texts = [[0; 8]; MANTISSAS.len()];
    let (mut mantissas, mut rest): (&[u32], &mut [[u8; 8]]) = (&MANTISSAS, &mut texts);
    while let ([mantissa, other_mantissas @ ..], [text, others @ ..]) = (mantissas, rest) {
        *text = mantissa_text(*mantissa);
        (mantissas, rest) = (other_mantissas, others);
    }
    texts
};

const fn mantissa_text(mantissa: u32) -> [u8; 8] {
    const fn digit(mantissa: u32, place: u32) -> u8 {
        // The last byte of a number below 10 is the number.
        let [.., digit] = (mantissa / place % 10).to_be_bytes();
        b'0' + digit
    }
    [
        digit(mantissa, 1_000_000),
        b'.',
        digit(mantissa, 100_000),
        digit(mantissa, 10_000),
        digit(mantissa, 1_000),
        digit(mantissa, 100),
        digit(mantissa, 10),
        digit(mantissa, 1),
    ]
}

/// A bound of the decimal layout: the text of its mantissa, and its exponent.
pub(super) type BoundText = (&'static [u8; 8], u8);

/// The bounds of a decimal layout, increasing.
pub(super) fn decimal_bounds(decimal: DecimalBounds) -> impl Iterator<Item = BoundText> {
    let step = usize::try_from(FINEST / decimal.per_decade().max(1)).unwrap_or(1);
    let bounds = usize::try_from(decimal.bounds()).unwrap_or(usize::MAX);
    let decades = (0..).flat_map(move |exponent| MANTISSA_TEXTS.iter().step_by(step).map(move |text| (text, exponent)));
    // The first power, 10^0, is no bound.
    decades.skip(1).take(bounds)
}

/// Appends a bound of the decimal layout as `{:.6e}` prints it.
pub(super) fn push_decimal_bound(out: &mut Vec<u8>, (mantissa, exponent): BoundText) {
    out.extend_from_slice(mantissa);
    if exponent < 10 {
        out.extend_from_slice(&[b'e', b'0' + exponent]);
    } else {
        // At most 20, see `limits::MAX_DECADES`.
        out.extend_from_slice(&[b'e', b'0' + exponent / 10, b'0' + exponent % 10]);
    }
}

/// How many decimal digits a number has.
pub(super) fn digits(value: u64) -> usize {
    value.checked_ilog10().and_then(|log| usize::try_from(log).ok()).map_or(1, |log| log + 1)
}

/// Appends a number: an integer without a decimal point.
pub(super) fn push_number(out: &mut Vec<u8>, number: Number) {
    match number {
        Number::Unsigned(value) => push_unsigned(out, value),
        Number::Float(value) => push_float(out, value),
    }
}

/// Appends the shortest digits that read back as `value`.
pub(super) fn push_float(out: &mut Vec<u8>, value: f64) {
    if value == f64::INFINITY {
        out.extend_from_slice(b"+Inf");
    } else if value == f64::NEG_INFINITY {
        out.extend_from_slice(b"-Inf");
    } else if write!(out, "{value:?}").is_err() {
        // Writing to memory does not fail.
        debug_assert!(false, "a buffer took no text");
    }
}

/// How long a float is as it is written.
pub(crate) fn float_bytes(value: f64) -> usize {
    let mut text = Vec::new();
    push_float(&mut text, value);
    text.len()
}

/// Appends an integer.
pub(super) fn push_unsigned(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Appends an integer that may be negative.
pub(super) fn push_signed(out: &mut Vec<u8>, value: i64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Appends milliseconds as seconds with three decimals.
pub(super) fn push_millis(out: &mut Vec<u8>, ms: u64) {
    push_unsigned(out, ms / 1_000);
    // The leading one makes room for zeros, and becomes the point.
    let mut buffer = itoa::Buffer::new();
    let rest = buffer.format(1_000 + ms % 1_000).as_bytes();
    out.push(b'.');
    out.extend_from_slice(rest.get(1..).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Bounds;

    #[test]
    fn every_bound_of_every_layout_is_written_as_its_number() {
        for per_decade in [1, 2, 3, 6, 9, 18] {
            let decimal = DecimalBounds::new(per_decade, per_decade * 20).unwrap();
            let mut written = 0;
            for (text, bound) in decimal_bounds(decimal).zip(Bounds::Decimal(decimal).upper_bounds()) {
                let mut out = Vec::new();
                push_decimal_bound(&mut out, text);
                assert_eq!(String::from_utf8(out).unwrap(), format!("{bound:.6e}"));
                written += 1;
            }
            assert_eq!(written, decimal.bounds());
        }
    }

    #[test]
    fn integers_and_milliseconds_have_all_their_digits() {
        for value in [0, 1, 9, 10, 99, 100, u64::from(u32::MAX), u64::MAX] {
            let mut out = Vec::new();
            push_unsigned(&mut out, value);
            assert_eq!(String::from_utf8(out).unwrap(), value.to_string());
            assert_eq!(digits(value), value.to_string().len());
        }
        for (ms, expected) in [(0, "0.000"), (1, "0.001"), (1_010, "1.010"), (1_700_000_000_250, "1700000000.250")] {
            let mut out = Vec::new();
            push_millis(&mut out, ms);
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }
}
