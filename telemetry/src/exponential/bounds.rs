//! Where the buckets of an exponential histogram end, exactly.
//!
//! A bound is `2^(k / 2^scale)`, nearly always no float. What counts is which floats are above it, so it stands as the
//! greatest float that is not above it: `value <= bound` then says of every float what it would say of the true bound.
//! A logarithm in floats is off by one bucket near the bounds; here it only guesses, and the bounds decide.

/// The finest scale: that of OpenTelemetry's SDKs, with buckets 7 · 10^-7 wide.
pub(super) const MAX_SCALE: i32 = 20;

/// The coarsest scale: at this one all positive floats are in the two buckets on both sides of 1, and at every coarser
/// one in the same two.
pub(super) const MIN_SCALE: i32 = -11;

/// One, in fixed point with 127 bits behind the point.
const ONE: u128 = 1 << 127;

/// `2^(2^-j)` for j = 1 … 20 in fixed point, rounded down: each is the square root of the one before.
const ROOTS: [u128; 20] = {
    let mut roots = [0; 20];
    let mut rest: &mut [u128] = &mut roots;
    // The radicand, in 2^-254: first 2, of which the high half is 2^127.
    let mut radicand = (ONE, 0);
    while let [root, others @ ..] = rest {
        *root = square_root(radicand);
        radicand = (*root >> 1, *root << 127);
        rest = others;
    }
    roots
};

/// The greatest number whose square is at most that of two halves.
const fn square_root((high, low): (u128, u128)) -> u128 {
    let mut root = 0;
    let mut bit = ONE;
    while bit > 0 {
        let (square_high, square_low) = multiply(root | bit, root | bit);
        if square_high < high || (square_high == high && square_low <= low) {
            root |= bit;
        }
        bit >>= 1;
    }
    root
}

/// The product in 256 bits: the high and the low half.
const fn multiply(left: u128, right: u128) -> (u128, u128) {
    const LOW: u128 = (1 << 64) - 1;
    let (left_high, left_low) = (left >> 64, left & LOW);
    let (right_high, right_low) = (right >> 64, right & LOW);
    let low = left_low * right_low;
    let (one, other) = (left_high * right_low, left_low * right_high);
    let middle = (low >> 64) + (one & LOW) + (other & LOW);
    let high = left_high * right_high + (one >> 64) + (other >> 64) + (middle >> 64);
    (high, middle << 64 | low & LOW)
}

/// The greatest float that is not above `2^(index / 2^scale)`; 0 and [`f64::MAX`] where that is out of the range of floats.
///
/// Twenty factors rounded down are off by less than 2^-120, so the result could be one float too low only where a bound
/// is nearer than that above a float. None is: a test looks at all.
pub(super) fn bound(scale: i32, index: i64) -> f64 {
    let fine = scale.clamp(0, MAX_SCALE);
    let exponent = (index >> fine).saturating_mul(1 << (fine - scale).clamp(0, 32));
    let mut mantissa = ONE;
    for (place, root) in (1..=fine).zip(ROOTS) {
        if index >> (fine - place) & 1 == 1 {
            let (high, low) = multiply(mantissa, root);
            mantissa = high << 1 | low >> 127;
        }
    }
    to_float(mantissa, exponent)
}

/// `mantissa · 2^(exponent - 127)` rounded down, of a mantissa from [`ONE`] to twice that.
fn to_float(mantissa: u128, exponent: i64) -> f64 {
    const FRACTION: u64 = (1 << 52) - 1;
    // The first 53 bits of 128.
    let digits = |shift: u32| u64::try_from(mantissa.checked_shr(shift).unwrap_or(0)).unwrap_or(u64::MAX);
    if exponent > 1023 {
        return f64::MAX;
    }
    match u64::try_from(exponent.saturating_add(1023)) {
        Ok(biased) if biased > 0 => f64::from_bits(biased << 52 | digits(75) & FRACTION),
        // Below 2^-1022 floats have one digit less for each power of two.
        _ => f64::from_bits(digits(75 + u32::try_from((-1022_i64).saturating_sub(exponent)).unwrap_or(128).min(128))),
    }
}

/// The index of the bucket `(base^index, base^(index + 1)]` that holds `value`, which must be finite and above 0.
pub(super) fn index(scale: i32, value: f64) -> i64 {
    let (significand, exponent) = split(value);
    if scale <= 0 {
        let whole_log = exponent + i64::from(significand > 1.0);
        return (whole_log - 1) >> (-scale).min(32);
    }
    let buckets = f64::from(scale.min(MAX_SCALE)).exp2();
    #[expect(clippy::cast_possible_truncation, reason = "a logarithm below 1, times at most 2^20")]
    let within = (significand.log2() * buckets).floor() as i64;
    let mut index = (exponent << scale.min(MAX_SCALE)) + within;
    // One step at most: the logarithm is off by 2^-52, and a bucket is at least 2^-20 of it.
    while value <= bound(scale, index) {
        index -= 1;
    }
    while value > bound(scale, index.saturating_add(1)) {
        index += 1;
    }
    index
}

/// A positive float as a significand in `[1, 2)` and an exponent.
fn split(value: f64) -> (f64, i64) {
    const TWO_POW_64: f64 = 18_446_744_073_709_551_616.0;
    if value < f64::MIN_POSITIVE && value > 0.0 {
        let (significand, exponent) = split(value * TWO_POW_64);
        return (significand, exponent - 64);
    }
    let bits = value.to_bits();
    let exponent = i64::try_from(bits >> 52 & 0x7ff).unwrap_or(0) - 1023;
    (f64::from_bits(bits & ((1 << 52) - 1) | 1023 << 52), exponent)
}

/// The lowest and the highest index of a bucket that holds a float.
pub(crate) fn index_range(scale: i32) -> (i64, i64) {
    let (finer, coarser) = (scale.clamp(0, MAX_SCALE), (-scale).clamp(0, 32));
    // 2^-1074 is the least float; as a bound it is in the bucket below itself.
    ((((-1074_i64) << finer) - 1) >> coarser, ((1024_i64 << finer) - 1) >> coarser)
}
