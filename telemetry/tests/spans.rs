//! Exponential buckets from the wire: our ratio, other ratios, and what contradicts itself.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "helpers of a test")]

use proptest::{collection::vec, prelude::*};
use tributary_telemetry::{Bounds, LATENCY_LN_RATIO, LatencyHistogram, Rebucketed, SpansError};

type Spans = Vec<(i32, Vec<u32>)>;

fn read(ln_ratio: f64, count: u64, sum: u64, spans: &Spans) -> Result<(LatencyHistogram, Rebucketed), SpansError> {
    LatencyHistogram::from_spans(ln_ratio, count, sum, spans.iter().map(|(offset, counts)| (*offset, &counts[..])))
}

fn filled(histogram: &LatencyHistogram) -> Vec<(usize, u64)> {
    histogram.bucket_counts().iter().copied().enumerate().filter(|(_, count)| *count > 0).collect()
}

#[test]
fn own_ratio_keeps_every_bucket() {
    let spans = vec![(0, vec![1, 0, 2]), (53, vec![3]), (173, vec![4])];
    let (histogram, rebucketed) = read(LATENCY_LN_RATIO, 10, 77, &spans).unwrap();
    assert_eq!(filled(&histogram), [(0, 1), (2, 2), (53, 3), (173, 4)]);
    assert_eq!((histogram.count(), histogram.sum_micros()), (10, 77));
    assert_eq!(rebucketed.observations, 0);
}

#[test]
fn exponents_outside_the_layout_fall_into_the_end_buckets() {
    let spans = vec![(-2, vec![1, 1, 1]), (173, vec![1, 1]), (i32::MIN, vec![1, 1]), (i32::MAX, vec![1, 1, 1])];
    let (histogram, _) = read(LATENCY_LN_RATIO, 10, 1, &spans).unwrap();
    assert_eq!(filled(&histogram), [(0, 5), (173, 1), (174, 4)]);
}

#[test]
fn extreme_exponents_and_ratios_cost_nothing_and_lose_nothing() {
    for ln_ratio in [f64::MIN_POSITIVE, 5e-324, 1e-12, 0.1, 1.0, 700.0, 1e300, f64::MAX] {
        let spans = vec![(i32::MIN, vec![1, 2]), (-1, vec![3, 4]), (i32::MAX, vec![5, 6])];
        let (histogram, rebucketed) = read(ln_ratio, 21, 1, &spans).unwrap();
        assert_eq!(histogram.count(), 21, "{ln_ratio}");
        assert_eq!(rebucketed.observations, 21);
    }
}

#[test]
fn ratio_within_a_billionth_is_ours_and_beyond_is_not() {
    let spans = vec![(100, vec![1])];
    assert_eq!(read(LATENCY_LN_RATIO * (1.0 + 9e-10), 1, 1, &spans).unwrap().1.observations, 0);
    assert_eq!(read(LATENCY_LN_RATIO * (1.0 - 9e-10), 1, 1, &spans).unwrap().1.observations, 0);
    assert_eq!(read(LATENCY_LN_RATIO * (1.0 + 2e-9), 1, 1, &spans).unwrap().1.observations, 1);
}

#[test]
fn half_as_many_buckets_per_decade_land_on_every_second_bound() {
    // Bucket k of 9 per decade ends at 10^((k+1)/9), which is our bound 2(k+1), bucket 2k+1.
    for k in 0..87 {
        let (histogram, rebucketed) = read(LATENCY_LN_RATIO * 2.0, 1, 1, &vec![(k, vec![1])]).unwrap();
        assert_eq!(filled(&histogram), [(usize::try_from(2 * k + 1).unwrap(), 1)]);
        assert_eq!(rebucketed.observations, 1);
    }
}

#[test]
fn contradictions_are_refused() {
    let one = vec![(0, vec![1])];
    for ln_ratio in [0.0, -0.0, -0.1, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert!(matches!(read(ln_ratio, 1, 1, &one), Err(SpansError::LnRatio { .. })), "{ln_ratio}");
        // Nothing was observed, so the ratio has nothing to say.
        assert!(read(ln_ratio, 0, 0, &vec![(0, vec![0, 0])]).unwrap().0.is_empty());
        assert!(read(ln_ratio, 0, 0, &vec![(5, vec![])]).unwrap().0.is_empty());
        assert!(read(ln_ratio, 0, 0, &vec![]).unwrap().0.is_empty());
    }
    assert_eq!(read(LATENCY_LN_RATIO, 2, 1, &one), Err(SpansError::Count { count: 2, buckets: 1 }));
    assert_eq!(read(LATENCY_LN_RATIO, 1, 1, &vec![]), Err(SpansError::Count { count: 1, buckets: 0 }));
    assert_eq!(read(LATENCY_LN_RATIO, 0, 0, &one), Err(SpansError::Count { count: 0, buckets: 1 }));
    assert_eq!(read(LATENCY_LN_RATIO, 0, 9, &vec![]), Err(SpansError::SumWithoutCount { sum: 9 }));
}

proptest! {
    #[test]
    fn rebucketing_keeps_the_count_and_makes_nothing_faster(
        ln_ratio in prop_oneof![0.001_f64..5.0, Just(LATENCY_LN_RATIO), 1e-6_f64..0.2],
        spans in vec((-50_i32..400, vec(0_u32..9, 0..6)), 0..6),
    ) {
        let total: u64 = spans.iter().flat_map(|(_, counts)| counts).map(|count| u64::from(*count)).sum();
        let (histogram, _) = read(ln_ratio, total, 0, &spans).unwrap();
        prop_assert_eq!(histogram.count(), total);
        // From above: at or above each of our bounds there are at least as many as before, to seven digits.
        for (index, bound) in Bounds::latency().upper_bounds().enumerate() {
            let above = |limit: f64| -> u64 {
                spans.iter().flat_map(|(offset, counts)| {
                    (*offset..).zip(counts).filter(move |(k, _)| ((f64::from(*k) + 1.0) * ln_ratio).exp() > limit)
                }).map(|(_, count)| u64::from(*count)).sum()
            };
            let ours: u64 = histogram.bucket_counts()[index + 1..].iter().sum();
            prop_assert!(ours >= above(bound * (1.0 + 1e-6)), "bound {bound}");
        }
    }
}
