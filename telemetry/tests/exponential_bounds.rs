//! The bounds of exponential histograms against an oracle in exact integers (`exact`).
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::indexing_slicing,
    reason = "helpers of a test"
)]

mod exact;

use exact::{expected_index, indices};
use proptest::prelude::*;
use tributary_telemetry::{ExponentialHistogram, arbitrary::magnitude};

fn check(value: f64) {
    let fine = indices(value, 21);
    for scale in -11..=20 {
        let expected = match usize::try_from(scale) {
            Ok(scale) => fine[scale],
            Err(_) => fine[0].div_euclid(1 << -scale),
        };
        assert_eq!(ExponentialHistogram::bucket_index(scale, value), Some(expected), "{value:e} at scale {scale}");
    }
}

#[test]
fn powers_of_two_and_their_neighbours_are_in_the_buckets_of_exact_arithmetic() {
    for exponent in -1074_i32..=1023 {
        let power = f64::from(exponent).exp2();
        [power.next_down(), power, power.next_up()].into_iter().filter(|value| *value > 0.0).for_each(check);
    }
    [f64::MAX, f64::MAX.next_down(), f64::MIN_POSITIVE, f64::MIN_POSITIVE.next_down()].into_iter().for_each(check);
    // What the specification says of powers: they end their bucket.
    for (value, index) in [(1.0, -1), (2.0, 0), (4.0, 1), (0.5, -2), (3.0, 1)] {
        assert_eq!(ExponentialHistogram::bucket_index(0, value), Some(index), "{value}");
    }
}

/// The greatest float that is not above the bound, and no other.
fn check_bound(scale: i32, index: i64) {
    let bound = ExponentialHistogram::upper_bound(scale, index);
    assert!(expected_index(bound, scale) <= index, "{bound:e} is above bound {index} of scale {scale}");
    let above = bound.next_up();
    if above.is_finite() {
        assert!(expected_index(above, scale) > index, "{above:e} is not above bound {index} of scale {scale}");
    }
}

#[test]
fn bounds_of_all_scales_are_floats_at_the_end_of_their_bucket() {
    for scale in -10..=6 {
        let first = ExponentialHistogram::bucket_index(scale, 5e-324).unwrap();
        let last = ExponentialHistogram::bucket_index(scale, f64::MAX).unwrap();
        (first..=last).for_each(|index| check_bound(scale, index));
    }
    for scale in 7..=20 {
        // Around 1, around the least normal number, at the ends, and some between.
        let per_power = 1_i64 << scale;
        for power in [-1074, -1073, -1023, -1022, -1021, -1, 0, 1, 9, 1022, 1023] {
            for within in [0, 1, 2, per_power / 3, per_power / 2, per_power - 2, per_power - 1] {
                check_bound(scale, power * per_power + within);
            }
        }
    }
}

/// All bounds of the finest scale between 1 and 2, and with them those of every scale: this is what makes a bound that was
/// multiplied from roots which are rounded down the right float.
#[test]
fn every_bound_of_the_finest_scale_is_exact() {
    // Without optimisation every 211th.
    let step = if cfg!(debug_assertions) { 211 } else { 1 };
    (0..1 << 20).step_by(step).for_each(|index| check_bound(20, index));
}

proptest! {
    #[test]
    fn any_value_is_in_the_bucket_of_exact_arithmetic(value in magnitude()) {
        check(value);
    }

    #[test]
    fn values_at_any_bound_and_beside_it_are_in_the_buckets_of_exact_arithmetic(
        value in magnitude(), scale in -11_i32..=20,
    ) {
        let index = ExponentialHistogram::bucket_index(scale, value).unwrap();
        let bound = ExponentialHistogram::upper_bound(scale, index);
        prop_assert!(value <= bound);
        for value in [bound.next_down(), bound, bound.next_up()] {
            if value > 0.0 && value.is_finite() {
                check(value);
            }
        }
    }
}

#[test]
fn only_positive_finite_values_have_a_bucket() {
    for value in [0.0, -0.0, -1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert_eq!(ExponentialHistogram::bucket_index(3, value), None, "{value}");
    }
    // Out of the range of floats the bounds end.
    assert_eq!(ExponentialHistogram::upper_bound(0, i64::MAX), f64::MAX);
    assert_eq!(ExponentialHistogram::upper_bound(20, i64::MIN), 0.0);
    assert_eq!(ExponentialHistogram::upper_bound(i32::MIN, i64::MAX), f64::MAX);
    assert_eq!(ExponentialHistogram::upper_bound(i32::MAX, i64::MIN), 0.0);
}
