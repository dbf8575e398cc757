//! The bounds of exponential histograms, in exact integers: an oracle that has no code and no idea in common with the model.
//!
//! The model takes square roots and multiplies; the oracle squares. `value` is above `2^(k / 2^scale)` where
//! `value^(2^scale)` is above `2^k`: squared so many times between an upper and a lower estimate of 127 bits, whose
//! exponents must agree. They do unless a value is nearer than about 2^-100 to a bound that it does not equal, and none is.

/// A number from 1 to 2 in fixed point with 127 bits, times a power of two.
#[derive(Clone, Copy, Debug)]
struct Estimate {
    digits: u128,
    exponent: i64,
}

impl Estimate {
    fn of(value: f64) -> Self {
        let (mut bits, mut exponent) = (value.to_bits() & ((1 << 52) - 1), (value.to_bits() >> 52) as i64 - 1075);
        match value.to_bits() >> 52 {
            0 => exponent += 1,
            _ => bits |= 1 << 52,
        }
        let shift = bits.leading_zeros();
        Self { digits: u128::from(bits << shift) << 64, exponent: exponent + 63 - i64::from(shift) }
    }

    fn squared(self, is_upper: bool) -> Self {
        // Digit by digit in base 2^32, as by hand.
        let digits: Vec<u64> = (0..4).map(|place| (self.digits >> (32 * place) & 0xffff_ffff) as u64).collect();
        let mut product = [0_u64; 9];
        for (place, digit) in digits.iter().enumerate() {
            let mut carry = 0;
            for (other_place, other) in digits.iter().enumerate() {
                let sum = product[place + other_place] + digit * other + carry;
                product[place + other_place] = sum & 0xffff_ffff;
                carry = sum >> 32;
            }
            product[place + 4] += carry;
        }
        let half = |from: usize| (0..4).fold(0, |sum, place| sum | u128::from(product[from + place]) << (32 * place));
        let (high, low) = (half(4), half(0));
        // From 1 to 4: with the first bit of 128 it is at least 2.
        let (digits, rest, exponent) =
            if high >> 127 == 1 { (high, low, 1) } else { (high << 1 | low >> 127, low << 1, 0) };
        let up = u128::from(is_upper && rest != 0);
        Self { digits: digits.checked_add(up).unwrap(), exponent: 2 * self.exponent + exponent }
    }

    /// The index of the bucket `(2^i, 2^(i + 1)]` that holds the number.
    fn bucket(self) -> i64 {
        if self.digits == 1 << 127 { self.exponent - 1 } else { self.exponent }
    }
}

/// The index of the bucket that holds a value, scale by scale from 0 on.
pub(crate) fn indices(value: f64, scales: usize) -> Vec<i64> {
    let (mut lower, mut upper) = (Estimate::of(value), Estimate::of(value));
    let mut indices = vec![lower.bucket()];
    for scale in 1..scales {
        (lower, upper) = (lower.squared(false), upper.squared(true));
        assert_eq!(lower.bucket(), upper.bucket(), "{value:e} at scale {scale} is not told apart from a bound");
        indices.push(lower.bucket());
    }
    indices
}

/// Of a scale from -11 to 20.
pub(crate) fn expected_index(value: f64, scale: i32) -> i64 {
    match usize::try_from(scale) {
        Ok(scale) => indices(value, scale + 1)[scale],
        // Buckets of 2^-scale powers of two each.
        Err(_) => indices(value, 1)[0].div_euclid(1 << -scale),
    }
}
