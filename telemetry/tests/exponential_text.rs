//! Exponential histograms in text: which bounds there are, what they count, and what never happens to them from one scrape
//! to the next.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "helpers of a test")]

use std::collections::BTreeMap;

use proptest::{collection::vec, prelude::*};
use tributary_telemetry::{
    Delta, ExponentialBuckets, ExponentialHistogram, ExponentialParts, LabelSet, Snapshot, TextFormat, TextOptions,
    Value,
    arbitrary::{EXPONENTIAL, exponential, exponential_parts},
    write_text,
};

/// Of one series, by the text of its bound.
type Buckets = Vec<(String, u64)>;

fn labels(series: &str) -> LabelSet {
    LabelSet::from_pairs([("of", series)]).unwrap()
}

fn apply(state: &mut Snapshot, series: &str, histogram: &ExponentialHistogram) {
    let mut delta = Delta::new();
    delta.add(&EXPONENTIAL, labels(series), Value::Exponential(histogram.clone())).unwrap();
    assert_eq!(state.apply(&delta, 1_000).unwrap().series_conflicting, 0);
}

fn text(state: &Snapshot, buckets_per_decade: u8) -> String {
    let mut text = String::new();
    write_text(state, &TextOptions { buckets_per_decade, ..TextOptions::new(TextFormat::Prometheus) }, &mut text);
    text
}

fn scrape(state: &Snapshot, buckets_per_decade: u8) -> BTreeMap<String, Buckets> {
    let mut all: BTreeMap<String, Buckets> = BTreeMap::new();
    for line in text(state, buckets_per_decade).lines() {
        let Some(rest) = line.strip_prefix("drift_seconds_bucket{of=\"") else { continue };
        let (series, rest) = rest.split_once("\",le=\"").unwrap();
        let (bound, count) = rest.split_once("\"} ").unwrap();
        all.entry(series.to_owned()).or_default().push((bound.to_owned(), count.parse().unwrap()));
    }
    all
}

fn number(bound: &str) -> f64 {
    if bound == "+Inf" { f64::INFINITY } else { bound.parse().unwrap() }
}

/// How many observations are known to be at most a bound, which is one of the scale's: what counts as zero is 0.
fn at_most(histogram: &ExponentialHistogram, bound: f64) -> u64 {
    let indexed = |buckets: &ExponentialBuckets| -> Vec<(i64, u64)> {
        (i64::from(buckets.offset)..).zip(buckets.counts.iter().copied()).collect()
    };
    let scale = histogram.scale();
    let below = indexed(histogram.positive());
    let below = below.iter().filter(|(index, _)| ExponentialHistogram::upper_bound(scale, *index) <= bound);
    let negative = indexed(histogram.negative());
    let negative = negative.iter().filter(|(index, _)| -ExponentialHistogram::upper_bound(scale, *index - 1) <= bound);
    let zero = if bound >= 0.0 { histogram.zero_count() } else { 0 };
    zero + below.chain(negative).map(|(_, count)| count).sum::<u64>()
}

fn positive() -> impl Strategy<Value = ExponentialHistogram> {
    exponential_parts().prop_filter_map("without negative observations", |parts| {
        let parts = ExponentialParts { negative: ExponentialBuckets::default(), sum: parts.sum.map(f64::abs), ..parts };
        ExponentialHistogram::new(parts).ok()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn every_bound_counts_what_is_known_to_be_at_most_that(
        all in vec(exponential(), 1..4), buckets_per_decade in 0_u8..20,
    ) {
        let mut state = Snapshot::new(1);
        all.iter().enumerate().for_each(|(series, histogram)| apply(&mut state, &series.to_string(), histogram));
        let scraped = scrape(&state, buckets_per_decade);
        let bounds: Vec<&String> = scraped["0"].iter().map(|(bound, _)| bound).collect();
        prop_assert!(bounds.is_sorted_by(|left, right| number(left) < number(right)), "{bounds:?}");
        prop_assert!(bounds.len() <= 82 && bounds.iter().any(|bound| *bound == "0.0"), "{bounds:?}");
        for (series, histogram) in all.iter().enumerate() {
            let buckets = &scraped[&series.to_string()];
            prop_assert!(buckets.iter().map(|(bound, _)| bound).eq(bounds.iter().copied()), "one grid for all");
            for (bound, count) in buckets {
                prop_assert_eq!(*count, at_most(histogram, number(bound)), "{}", bound);
            }
            prop_assert_eq!(buckets.last().unwrap(), &("+Inf".to_owned(), histogram.count()));
            // The ends hold everything: nothing but what is at 0 or above the last power of floats is beyond them.
            prop_assert_eq!(buckets[buckets.len() - 2].1, histogram.count());
        }
    }

    #[test]
    fn a_bound_that_stays_never_counts_down_and_those_that_go_are_every_other_one(
        windows in vec((prop::sample::select(vec!["a", "b"]), positive()), 1..12),
    ) {
        let mut state = Snapshot::new(1);
        let mut before: BTreeMap<String, Buckets> = BTreeMap::new();
        for (series, window) in windows {
            apply(&mut state, series, &window);
            let now = scrape(&state, 18);
            for (series, old) in &before {
                let new: BTreeMap<&str, u64> = now[series].iter().map(|(bound, count)| (bound.as_str(), *count)).collect();
                for (bound, count) in old {
                    if let Some(new) = new.get(bound.as_str()) {
                        prop_assert!(new >= count, "{series} {bound}: {count} became {new}");
                    }
                }
                let finite = |buckets: &Buckets| -> Vec<f64> {
                    let bounds = buckets.iter().map(|(bound, _)| number(bound));
                    bounds.filter(|bound| *bound > 0.0 && bound.is_finite()).collect()
                };
                let (old, new) = (finite(old), finite(&now[series]));
                if let Some(last) = old.last() {
                    prop_assert!(new[new.len() - 1] >= *last, "{old:?} became {new:?}");
                }
                // Either all old ones stay or the grid is coarser, and what it has in the old range was there.
                let kept = old.iter().filter(|bound| new.contains(bound)).count();
                let inside = new.iter().filter(|bound| (old.first().copied()..=old.last().copied()).contains(&Some(**bound)));
                prop_assert!(kept == old.len() || inside.count() == kept, "{old:?} became {new:?}");
            }
            before = now;
        }
    }
}

fn observed(scale: i32, offset: i32, counts: &[u64]) -> ExponentialHistogram {
    let positive = ExponentialBuckets { offset, counts: counts.to_vec() };
    ExponentialHistogram::new(ExponentialParts { scale, positive, sum: Some(1.0), ..ExponentialParts::default() })
        .unwrap()
}

fn bounds(state: &Snapshot, buckets_per_decade: u8) -> Vec<f64> {
    let mut scraped = scrape(state, buckets_per_decade);
    scraped.remove("a").unwrap().iter().map(|(bound, _)| number(bound)).collect()
}

#[test]
fn the_grid_is_four_bounds_a_power_of_two_and_grows_by_powers() {
    let mut state = Snapshot::new(1);
    // Around 1.5, and fine.
    apply(&mut state, "a", &observed(10, 600, &[1, 2, 3]));
    let quarters = [0.0, 0.25, 0.5, 0.75, 1.0].map(f64::exp2);
    let with_ends = |bounds: &[f64]| [&[0.0], bounds, &[f64::INFINITY]].concat();
    assert_eq!(bounds(&state, 18).len(), 7);
    for (bound, expected) in bounds(&state, 18).iter().zip(with_ends(&quarters)) {
        assert!((bound - expected).abs() < 1e-12 || *bound == expected, "{bound} {expected}");
    }
    // A coarser scale does not show, nor does a value in the same power of two.
    apply(&mut state, "a", &observed(5, 3, &[1]));
    assert_eq!(bounds(&state, 18).len(), 7);
    apply(&mut state, "a", &observed(5, 32, &[1]));
    assert_eq!(bounds(&state, 18).len(), 11, "(2, 4] came with it");
    // What asks for fewer gets fewer.
    assert_eq!(bounds(&state, 13), with_ends(&[1.0, 2_f64.sqrt().next_down(), 2.0, 8_f64.sqrt().next_down(), 4.0]));
    for few in [4, 6] {
        assert_eq!(bounds(&state, few), with_ends(&[1.0, 2.0, 4.0]));
    }
    assert_eq!(bounds(&state, 2), with_ends(&[1.0, 4.0]));
    // Nineteen powers of two and a bit are the most for this density.
    apply(&mut state, "a", &observed(2, 75, &[1]));
    assert_eq!(bounds(&state, 18).len(), 77 + 2);
    apply(&mut state, "a", &observed(2, 76, &[1]));
    assert_eq!(bounds(&state, 18).len(), 41 + 2);
}

#[test]
fn a_family_without_observations_has_zero_and_infinity() {
    let mut state = Snapshot::new(1);
    apply(&mut state, "a", &ExponentialHistogram::default());
    assert_eq!(scrape(&state, 18)["a"], [("0.0".to_owned(), 0), ("+Inf".to_owned(), 0)]);
    assert!(text(&state, 18).ends_with("drift_seconds_sum{of=\"a\"} 0.0\ndrift_seconds_count{of=\"a\"} 0\n"));
}
