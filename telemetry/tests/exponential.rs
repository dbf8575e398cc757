//! The laws of exponential histograms. The oracle observes everything anew, at the scale that comes out.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "helpers of a test")]

use std::collections::BTreeMap;

use proptest::{collection::vec, prelude::*};
use tributary_proto::{Message as _, v1};
use tributary_telemetry::{
    DecodeError, Delta, ExponentialBuckets, ExponentialError, ExponentialHistogram, ExponentialParts, LabelSet,
    MergeError, Value,
    arbitrary::{EXPONENTIAL, exponential, exponential_parts, magnitude},
    limits::MAX_EXPONENTIAL_BUCKETS,
};

/// What one sender observed.
#[derive(Clone, Debug)]
struct Observed {
    scale: i32,
    zero_count: u64,
    zero_threshold: f64,
    /// Absolute values and how often, positive and negative.
    values: [Vec<(f64, u64)>; 2],
    sum: f64,
}

fn index(scale: i32, value: f64) -> i64 {
    ExponentialHistogram::bucket_index(scale, value).unwrap()
}

impl Observed {
    fn to_histogram(&self) -> ExponentialHistogram {
        let [positive, negative] = self.values.clone().map(|values| buckets(self.scale, &values));
        let Self { scale, zero_count, zero_threshold, sum, .. } = *self;
        let parts = ExponentialParts { scale, zero_threshold, zero_count, positive, negative, sum: Some(sum) };
        ExponentialHistogram::new(parts).unwrap()
    }

    fn count(&self) -> u64 {
        self.zero_count + self.values.iter().flatten().map(|(_, count)| count).sum::<u64>()
    }

    fn threshold(&self) -> Option<f64> {
        Some(self.zero_threshold).filter(|threshold| self.zero_count > 0 && *threshold > 0.0)
    }

    /// What everything that counts as zero is known to be within: of a bucket that is covered only where it ends.
    fn zero_end(&self) -> Option<f64> {
        let threshold = self.threshold()?;
        let covers_some = (0..2).any(|sign| self.uncovered(sign).count() < self.values[sign].len());
        let bucket_end = || ExponentialHistogram::upper_bound(self.scale, index(self.scale, threshold));
        Some(if covers_some { bucket_end() } else { threshold })
    }

    /// The values that the sender's own zero bucket does not cover.
    fn uncovered(&self, sign: usize) -> impl Iterator<Item = f64> {
        let is_uncovered = |value: &f64| {
            self.threshold().is_none_or(|threshold| index(self.scale, *value) > index(self.scale, threshold))
        };
        self.values[sign].iter().map(|(value, _)| *value).filter(is_uncovered)
    }
}

fn buckets(scale: i32, values: &[(f64, u64)]) -> ExponentialBuckets {
    let mut counts: BTreeMap<i64, u64> = BTreeMap::new();
    values.iter().for_each(|(value, count)| *counts.entry(index(scale, *value)).or_default() += count);
    let Some((first, _)) = counts.first_key_value() else { return ExponentialBuckets::default() };
    let (last, _) = counts.last_key_value().unwrap();
    ExponentialBuckets {
        offset: i32::try_from(*first).unwrap(),
        counts: (*first..=*last).map(|index| counts.get(&index).copied().unwrap_or(0)).collect(),
    }
}

fn observed() -> impl Strategy<Value = Observed> {
    let values = || vec((magnitude(), 1_u64..5), 0..6);
    let zero = (0_u64..3, prop_oneof![2 => Just(0.0), 1 => magnitude(), 1 => 0.01_f64..10.0]);
    (-11_i32..=20, zero, values(), prop_oneof![1 => Just(Vec::new()), 1 => values()], 0_i16..1_000).prop_map(
        |(scale, (zero_count, zero_threshold), positive, negative, sum)| {
            let values = [positive, negative];
            // No sender has so many buckets, and the oracle should not either.
            let fits = |scale: &i32| {
                values.iter().all(|values| {
                    let indices = values.iter().map(|(value, _)| index(*scale, *value));
                    let (low, high) = (indices.clone().min().unwrap_or(0), indices.max().unwrap_or(0));
                    high - low < 1_000
                })
            };
            let scale = (-11..=scale).rev().find(fits).unwrap();
            let mut observed = Observed { scale, zero_count, zero_threshold, values, sum: 0.0 };
            observed.sum = if observed.count() > 0 { f64::from(sum) } else { 0.0 };
            observed
        },
    )
}

/// What all of it comes to, worked out from the values alone.
fn expected(all: &[Observed]) -> ExponentialHistogram {
    let all: Vec<&Observed> = all.iter().filter(|observed| observed.count() > 0).collect();
    let with_values = all.iter().filter(|observed| (0..2).any(|sign| observed.uncovered(sign).next().is_some()));
    let mut scale = with_values.map(|observed| observed.scale).min().unwrap_or(20);
    let range = |scale: i32, sign: usize| {
        let values = all.iter().flat_map(|observed| observed.uncovered(sign));
        let indices: Vec<i64> = values.map(|value| index(scale, value)).collect();
        indices.iter().copied().min().zip(indices.iter().copied().max())
    };
    let is_too_wide = |scale: i32| {
        (0..2)
            .filter_map(|sign| range(scale, sign))
            .any(|(low, high)| usize::try_from(high - low).unwrap() >= MAX_EXPONENTIAL_BUCKETS)
    };
    while is_too_wide(scale) {
        scale -= 1;
    }
    let zero_end = all.iter().filter_map(|observed| observed.zero_end()).map(|end| index(scale, end)).max();
    let [positive, negative] = [0, 1].map(|sign| {
        let (low, high) = range(scale, sign)?;
        let mut counts = vec![0; usize::try_from(high - low).unwrap() + 1];
        for (value, count) in all.iter().flat_map(|observed| &observed.values[sign]) {
            let index = index(scale, *value);
            if zero_end.is_none_or(|end| index > end) {
                counts[usize::try_from(index - low).unwrap()] += count;
            }
        }
        Some(v1::exponential_histogram::Buckets { offset: i32::try_from(low).unwrap(), counts })
    });
    let counted = [&positive, &negative].into_iter().flatten().flat_map(|buckets| &buckets.counts).sum::<u64>();
    let zero_count = all.iter().map(|observed| observed.count()).sum::<u64>() - counted;
    let message = v1::ExponentialHistogram {
        scale,
        zero_count,
        zero_boundary: zero_end.map(|end| i32::try_from(end + 1).unwrap()),
        positive,
        negative,
        sum: Some(all.iter().map(|observed| observed.sum).sum()),
    };
    read(message).unwrap()
}

/// As a reader takes it: in canonical form alone.
fn read(message: v1::ExponentialHistogram) -> Result<ExponentialHistogram, DecodeError> {
    let mut delta = Delta::new();
    let value = Value::Exponential(ExponentialHistogram::default());
    delta.add(&EXPONENTIAL, LabelSet::empty(), value).unwrap();
    let mut set = delta.to_wire();
    set.families[0].series[0].value = Some(v1::series::Value::Exponential(message));
    let delta = Delta::from_wire(v1::MetricSet::decode(set.encode_to_vec().as_slice()).unwrap())?;
    match delta.get(EXPONENTIAL.name(), &LabelSet::empty()) {
        Some(Value::Exponential(histogram)) => Ok(histogram.clone()),
        other => panic!("{other:?}"),
    }
}

fn write(histogram: &ExponentialHistogram) -> v1::ExponentialHistogram {
    let mut delta = Delta::new();
    delta.add(&EXPONENTIAL, LabelSet::empty(), Value::Exponential(histogram.clone())).unwrap();
    match delta.to_wire().families.remove(0).series.remove(0).value {
        Some(v1::series::Value::Exponential(message)) => message,
        other => panic!("{other:?}"),
    }
}

/// Without what the zero bucket covers.
fn populated(buckets: &ExponentialBuckets) -> Vec<(i64, u64)> {
    let indexed = (i64::from(buckets.offset)..).zip(buckets.counts.iter().copied());
    indexed.filter(|(_, count)| *count > 0).collect()
}

/// Merges in pairs of neighbours, as the seed says which first.
fn merged_in_groups(mut all: Vec<ExponentialHistogram>, mut seed: u64) -> ExponentialHistogram {
    while all.len() > 1 {
        let at = usize::try_from(seed % u64::try_from(all.len() - 1).unwrap()).unwrap();
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1) >> 3;
        let right = all.remove(at + 1);
        all[at] = all[at].merged(&right).unwrap();
    }
    all.pop().unwrap_or_default()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn however_it_was_merged_it_is_what_was_observed(
        (all, order) in vec(observed(), 1..6).prop_flat_map(|all| {
            let order = Just((0..all.len()).collect::<Vec<_>>()).prop_shuffle();
            (Just(all), order)
        }),
        seed: u64,
    ) {
        let expected = expected(&all);
        let histograms = order.iter().map(|index| all[*index].to_histogram()).collect();
        let merged = merged_in_groups(histograms, seed);
        prop_assert_eq!(&merged, &expected);
        prop_assert_eq!(merged.count(), all.iter().map(Observed::count).sum::<u64>());
    }

    #[test]
    fn merging_commutes_associates_and_has_an_identity(a in exponential(), b in exponential(), c in exponential()) {
        prop_assert_eq!(a.merged(&b), b.merged(&a));
        let (ab, bc) = (a.merged(&b).unwrap(), b.merged(&c).unwrap());
        prop_assert_eq!(ab.merged(&c), a.merged(&bc));
        prop_assert_eq!(a.merged(&ExponentialHistogram::default()), Ok(a.clone()));
        prop_assert_eq!(ab.count(), a.count() + b.count());
        for buckets in [ab.positive(), ab.negative()] {
            prop_assert!(buckets.counts.len() <= MAX_EXPONENTIAL_BUCKETS);
        }
        prop_assert!(ab.scale() <= a.scale().min(b.scale()));
        prop_assert!(ab.zero_threshold() >= a.zero_threshold().max(b.zero_threshold()));
    }

    #[test]
    fn what_is_built_reads_back_and_is_what_its_own_parts_build(parts in exponential_parts()) {
        let count = parts.positive.counts.iter().chain(&parts.negative.counts).sum::<u64>() + parts.zero_count;
        let built = ExponentialHistogram::new(parts).unwrap();
        prop_assert_eq!(built.count(), count);
        prop_assert_eq!(read(write(&built)).unwrap(), built.clone());
        // As OTLP says it: the threshold as a float.
        let parts = ExponentialParts {
            scale: built.scale(),
            zero_threshold: built.zero_threshold(),
            zero_count: built.zero_count(),
            positive: built.positive().clone(),
            negative: built.negative().clone(),
            sum: built.sum(),
        };
        let again = ExponentialHistogram::new(parts).unwrap();
        prop_assert_eq!((again.scale(), again.zero_count()), (built.scale(), built.zero_count()));
        prop_assert_eq!(populated(again.positive()), populated(built.positive()));
        prop_assert_eq!(populated(again.negative()), populated(built.negative()));
        prop_assert_eq!(again.zero_threshold(), built.zero_threshold());
    }

    #[test]
    fn whatever_a_message_says_is_an_error_or_in_canonical_form(
        scale: i32, zero_count: u64, zero_boundary: Option<i32>, offsets: [i32; 2],
        counts in prop::array::uniform2(vec(prop_oneof![Just(0), any::<u64>(), 0_u64..9], 0..200)), sum: Option<f64>,
        damage in 0_u8..8, of in exponential(),
    ) {
        let buckets = |index: usize| Some(v1::exponential_histogram::Buckets { offset: offsets[index], counts: counts[index].clone() });
        let mut message = write(&of);
        // One field that may be anything, or all of them.
        let (all, at) = (damage == 7, damage);
        if all || at == 0 { message.scale = scale; }
        if all || at == 1 { message.zero_count = zero_count; }
        if all || at == 2 { message.zero_boundary = zero_boundary; }
        if all || at == 3 { message.positive = buckets(0); }
        if all || at == 4 { message.negative = buckets(1); }
        if all || at == 5 { message.sum = sum; }
        if let Ok(read_back) = read(message) {
            prop_assert_eq!(read(write(&read_back)), Ok(read_back.clone()));
            let _merged = read_back.merged(&of);
        }
        let [positive, negative] = [0, 1].map(|at| ExponentialBuckets { offset: offsets[at], counts: counts[at].clone() });
        let zero_threshold = of.zero_threshold();
        let _built = ExponentialHistogram::new(ExponentialParts { scale, zero_threshold, zero_count, positive, negative, sum });
    }
}

fn positive(scale: i32, offset: i32, counts: &[u64]) -> ExponentialParts {
    let positive = ExponentialBuckets { offset, counts: counts.to_vec() };
    ExponentialParts { scale, positive, sum: Some(1.0), ..ExponentialParts::default() }
}

fn built(parts: ExponentialParts) -> ExponentialHistogram {
    ExponentialHistogram::new(parts).unwrap()
}

#[test]
fn a_scale_comes_down_by_putting_pairs_together() {
    // Bucket -1 is (1/2, 1] at scale 0 and (0.71, 1] at scale 1; below zero the pair of -1 is -2, too.
    let fine = built(positive(1, -4, &[1, 2, 4, 8, 16, 32]));
    let coarse = built(positive(0, 0, &[64]));
    let merged = fine.merged(&coarse).unwrap();
    assert_eq!((merged.scale(), merged.positive().offset), (0, -2));
    assert_eq!(merged.positive().counts, [3, 12, 48 + 64]);
}

#[test]
fn more_buckets_than_are_kept_make_a_coarser_scale() {
    let most = built(positive(3, 0, &[1; MAX_EXPONENTIAL_BUCKETS]));
    assert_eq!((most.scale(), most.positive().counts.len()), (3, MAX_EXPONENTIAL_BUCKETS));
    let more = most.merged(&built(positive(3, 160, &[1]))).unwrap();
    assert_eq!((more.scale(), more.positive().counts.len(), more.count()), (2, 81, 161));
    // One that straddles pairs needs one bucket more.
    let odd = built(positive(3, -1, &[1; 161]));
    assert_eq!((odd.scale(), odd.positive().counts.len(), odd.count()), (2, 81, 161));
    // The least and the greatest float at once.
    let ends = built(positive(20, i32::try_from(index(20, 5e-324)).unwrap(), &[1]));
    let ends = ends.merged(&built(positive(20, i32::try_from(index(20, f64::MAX)).unwrap(), &[1]))).unwrap();
    assert_eq!((ends.scale(), ends.count()), (-4, 2));
    assert!(ends.positive().counts.len() <= MAX_EXPONENTIAL_BUCKETS);
}

#[test]
fn the_wider_zero_bucket_swallows_what_ends_within_it_and_ends_at_a_bound() {
    let zero = |threshold: f64, count| {
        built(ExponentialParts { zero_threshold: threshold, zero_count: count, ..positive(20, 0, &[]) })
    };
    // (1/2, 1], (1, 2], (2, 4], (4, 8].
    let values = built(positive(0, -1, &[1, 2, 4, 8]));
    // 3 is within (2, 4]: the zero bucket takes all of that.
    let merged = values.merged(&zero(3.0, 16)).unwrap();
    assert_eq!((merged.zero_threshold(), merged.zero_count(), merged.count()), (4.0, 1 + 2 + 4 + 16, 31));
    assert_eq!(merged.positive(), &ExponentialBuckets { offset: -1, counts: vec![0, 0, 0, 8] });
    // 4 ends a bucket.
    assert_eq!(values.merged(&zero(4.0, 1)).unwrap().zero_threshold(), 4.0);
    assert_eq!(values.merged(&zero(4.0_f64.next_up(), 1)).unwrap().zero_threshold(), 8.0);
    // A threshold under which nothing was counted says nothing.
    let none = built(ExponentialParts { zero_threshold: 3.0, ..positive(0, -1, &[1]) });
    assert_eq!((none.zero_threshold(), none.zero_count()), (0.0, 0));
    // A narrower one does nothing to a wider one.
    let twice = merged.merged(&zero(0.1, 1)).unwrap();
    assert_eq!((twice.zero_threshold(), twice.zero_count()), (4.0, 24));
    // One that covers all buckets leaves their scale.
    let all = values.merged(&zero(1e9, 1)).unwrap();
    assert_eq!((all.zero_count(), all.scale(), all.positive().counts.iter().sum::<u64>()), (16, 0, 0));
    // Its own, as well.
    let own = ExponentialParts { zero_threshold: 1.5, zero_count: 1, ..positive(0, -1, &[1, 2, 4]) };
    assert_eq!((built(own.clone()).zero_count(), built(own).positive().counts.clone()), (4, vec![4]));
}

#[test]
fn extremes_are_errors_or_small() {
    let error = |parts| ExponentialHistogram::new(parts).unwrap_err();
    for (scale, offset) in [(20, i32::MIN), (20, i32::MAX), (0, 1024), (0, -1076), (-11, 1), (-11, -2), (i32::MIN, 1)] {
        assert!(matches!(error(positive(scale, offset, &[1])), ExponentialError::Index { .. }), "{scale} {offset}");
        // An empty bucket is none.
        assert_eq!(built(ExponentialParts { zero_count: 1, ..positive(scale, offset, &[0, 0]) }).count(), 1);
    }
    assert!(matches!(error(positive(20, i32::MAX, &[0, 1])), ExponentialError::Index { .. }));
    for (scale, offset) in [(0, 1023), (0, -1075), (-11, 0), (-11, -1), (i32::MIN, 0), (i32::MIN, -1), (i32::MAX, -1)] {
        assert_eq!(built(positive(scale, offset, &[1])).count(), 1, "{scale} {offset}");
    }
    // Of finer scales than are kept: buckets of the finest hold 1,024 of them.
    let finer = built(positive(30, i32::MAX, &[0, 1]));
    assert_eq!((finer.scale(), finer.positive().offset), (20, 1 << 21));
    let finer = built(positive(30, i32::MIN, &[1; 5_000]));
    assert_eq!((finer.scale(), finer.positive().offset, finer.count()), (20, -(1 << 21), 5_000));
    assert_eq!(finer.positive().counts, [1_024, 1_024, 1_024, 1_024, 904]);
    // A million buckets are 160 at most.
    let wide = built(positive(20, -500_000, &vec![1; 1_000_000]));
    assert!(wide.positive().counts.len() <= MAX_EXPONENTIAL_BUCKETS && wide.count() == 1_000_000);
}

#[test]
fn what_is_no_histogram_is_refused() {
    let with = |change: fn(&mut ExponentialParts)| {
        let mut parts = positive(0, 0, &[1, 2]);
        change(&mut parts);
        ExponentialHistogram::new(parts)
    };
    for threshold in [f64::NAN, f64::INFINITY, -1.0] {
        let parts = ExponentialParts { zero_threshold: threshold, ..positive(0, 0, &[1]) };
        assert_eq!(ExponentialHistogram::new(parts), Err(ExponentialError::ZeroThreshold));
    }
    assert!(with(|parts| parts.zero_threshold = -0.0).is_ok());
    assert_eq!(with(|parts| parts.sum = Some(f64::NAN)), Err(ExponentialError::SumNotANumber));
    assert_eq!(with(|parts| parts.sum = Some(-1.0)), Err(ExponentialError::NegativeSum));
    assert_eq!(with(|parts| parts.zero_count = u64::MAX), Err(ExponentialError::CountOverflow));
    assert_eq!(with(|parts| parts.positive.counts = vec![u64::MAX, 1]), Err(ExponentialError::CountOverflow));
    assert_eq!(with(|parts| parts.positive.counts.clear()), Err(ExponentialError::SumWithoutCount));
    let negative = |parts: &mut ExponentialParts| {
        parts.negative = parts.positive.clone();
        parts.sum = Some(-1.0);
    };
    assert!(with(negative).is_ok_and(|histogram| histogram.takes_negatives() && histogram.count() == 6));
    // What is near zero can be below it.
    let near =
        |parts: &mut ExponentialParts| (parts.zero_threshold, parts.zero_count, parts.sum) = (0.5, 1, Some(-0.1));
    assert!(with(near).is_ok());
    assert_eq!(with(|parts| parts.sum = None).unwrap().sum(), None);
}

#[test]
fn a_merge_that_overflows_is_refused_and_an_unknown_sum_stays_unknown() {
    let most = built(positive(0, 5, &[u64::MAX]));
    assert_eq!(most.merged(&built(positive(0, 9, &[1]))), Err(MergeError::CountOverflow));
    assert_eq!(most.merged(&ExponentialHistogram::default()), Ok(most.clone()));
    let without = built(ExponentialParts { sum: None, ..positive(0, 5, &[1]) });
    let with = built(positive(0, 5, &[1]));
    assert_eq!(without.merged(&with).unwrap().sum(), None);
    assert_eq!(with.merged(&with).unwrap().sum(), Some(2.0));
    let infinite =
        |sum| built(ExponentialParts { negative: with.positive().clone(), sum: Some(sum), ..positive(0, 5, &[1]) });
    let merged = infinite(f64::INFINITY).merged(&infinite(f64::NEG_INFINITY));
    assert_eq!(merged, Err(MergeError::SumNotANumber));
}

#[test]
fn a_message_in_another_form_is_refused() {
    let form = |change: fn(&mut v1::ExponentialHistogram)| {
        // (1, 2] and (2, 4] covered, (4, 8] not.
        let mut message = write(&built(positive(0, 0, &[1, 0, 2])));
        message.zero_count = 1;
        change(&mut message);
        read(message).map_err(|error| match error {
            DecodeError::Exponential(ExponentialError::Form { what }) => what,
            other => panic!("{other}"),
        })
    };
    let counts = |message: &mut v1::ExponentialHistogram, counts: &[u64]| {
        message.positive.as_mut().unwrap().counts = counts.to_vec();
    };
    assert!(form(|_| {}).is_ok());
    assert_eq!(form(|message| message.scale = 21), Err("the scale"));
    assert_eq!(form(|message| message.scale = -12), Err("the scale"));
    assert_eq!(form(|message| message.zero_boundary = Some(1)), Err("a count within the zero bucket"));
    assert_eq!(form(|message| message.zero_boundary = Some(1025)), Err("the end of the zero bucket"));
    assert_eq!(form(|message| message.zero_boundary = Some(i32::MIN)), Err("the end of the zero bucket"));
    assert_eq!(
        form(|message| (message.zero_count, message.zero_boundary) = (0, Some(0))),
        Err("the end of the zero bucket")
    );
    let empty_end = "an empty bucket at an end";
    for ends in [&[0, 1][..], &[1, 0], &[0]] {
        let mut message = write(&built(positive(0, 0, &[1, 0, 2])));
        message.zero_count = 1;
        counts(&mut message, ends);
        let form = DecodeError::Exponential(ExponentialError::Form { what: empty_end });
        assert_eq!(read(message.clone()), Err(form));
        // Unless the zero bucket covers them.
        message.zero_boundary = Some(if *ends == [0, 1] { 1 } else { 2 });
        assert_eq!(read(message).is_ok(), *ends != [1, 0], "{ends:?}");
    }
    let many = |message: &mut v1::ExponentialHistogram| message.positive.as_mut().unwrap().counts = vec![1; 161];
    assert_eq!(form(many), Err("too many buckets"));
    assert_eq!(
        form(|message| message.positive.as_mut().unwrap().counts.clear()),
        Err("the offset of no buckets").or(Err("a scale without buckets"))
    );
    assert_eq!(form(|message| message.positive = None), Err("a scale without buckets"));
    let nothing = |message: &mut v1::ExponentialHistogram| (message.positive, message.zero_count) = (None, 0);
    assert_eq!(form(nothing), Err("more than nothing without a count"));
}
