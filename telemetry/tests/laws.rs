//! The laws of the model: merging commutes and associates, the order of deltas does not matter, an error changes
//! nothing, and what is written reads back.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "helpers of a test")]

use std::collections::BTreeSet;

use proptest::{collection::vec, prelude::*};
use tributary_proto::{Message as _, flag_logs::TelemetryData, v1};
use tributary_telemetry::{
    Applied, ApplyError, Bounds, DecodeError, Delta, DeltaError, ExplicitBounds, ExponentialHistogram,
    FamilyDescriptor, Gauge, Histogram, HistogramError, LabelSet, MergeError, MetricKind, Number, SNAPSHOT_SCHEMA,
    Snapshot, SumError, TextFormat, TextOptions, UpDown, Value, Zero,
    arbitrary::{COUNTER, DECIMAL, GAUGE, UP_DOWN, bounds, delta, gauge, histogram, telemetry_delta},
    confidence::{TelemetryDelta, declare_resolver},
    custom,
    limits::{
        MAX_CUSTOM_BYTES, MAX_CUSTOM_SERIES, MAX_FAMILY_BYTES, MAX_OVERFLOW_BYTES, MAX_SERIES, MAX_SERIES_PER_FAMILY,
        MAX_SNAPSHOT_BYTES, MAX_UNKNOWN_REASONS,
    },
    write_text,
};

fn merged(parts: &[&Delta]) -> Delta {
    let mut all = Delta::new();
    parts.iter().for_each(|part| all.merge(part).unwrap());
    all
}

/// Applies a delta that fits the state.
fn apply(state: &mut Snapshot, delta: &Delta, now_ms: u64) {
    let applied = state.apply(delta, now_ms).unwrap();
    assert_eq!((applied.series_refused, applied.series_conflicting), (0, 0));
}

fn merged_telemetry(parts: &[&TelemetryDelta]) -> TelemetryDelta {
    let mut all = TelemetryDelta::new();
    parts.iter().for_each(|part| all.merge(part).unwrap());
    all
}

fn read_back(reports: &[TelemetryData], time_ms: u64) -> TelemetryDelta {
    let mut all = TelemetryDelta::new();
    for report in reports {
        // Through bytes, so that what does not survive the wire fails here.
        let report = TelemetryData::decode(report.encode_to_vec().as_slice()).unwrap();
        all.merge(&TelemetryDelta::from_wire(&report, time_ms).unwrap().0).unwrap();
    }
    all
}

/// What a delta holds, value by value.
fn values(deltas: &[&Delta]) -> Vec<(String, LabelSet, Value)> {
    let mut values: Vec<_> = deltas
        .iter()
        .flat_map(|delta| delta.families())
        .flat_map(|family| {
            let name = family.descriptor().name().to_owned();
            family.series().map(move |(labels, value)| (name.clone(), labels.clone(), value.clone()))
        })
        .collect();
    values.sort_by(|left, right| (&left.0, &left.1).cmp(&(&right.0, &right.1)));
    values
}

/// The same families, but of another kind, so that everything contradicts.
fn as_gauges(delta: &Delta) -> Delta {
    let mut gauges = Delta::new();
    for family in delta.families() {
        let descriptor =
            FamilyDescriptor::new(family.descriptor().name().to_owned(), "", "", MetricKind::Gauge).unwrap();
        for (labels, _) in family.series() {
            gauges.set_gauge(&descriptor, labels.clone(), Gauge::unsigned(1, 1)).unwrap();
        }
    }
    gauges
}

#[test]
fn a_custom_total_that_overflows_is_left_out_alone_and_never_moves_again() {
    let mut state = Snapshot::new(0);
    let counted = |name: &'static str, count| {
        let mut delta = Delta::new();
        let family = FamilyDescriptor::new(name, "", "", MetricKind::Counter).unwrap();
        delta.add_counter(&family, LabelSet::empty(), count).unwrap();
        delta
    };
    let mut delta = counted("a", u64::MAX);
    delta.merge(&counted("b", 1)).unwrap();
    assert_eq!(state.apply_custom(&delta, 1).series_added, 2);
    let mut more = counted("a", 1);
    more.merge(&counted("b", 1)).unwrap();
    let applied = state.apply_custom(&more, 2);
    assert_eq!((applied.series_overflowing, applied.series_added), (1, 0));
    let total = |name| state.get(name, &LabelSet::empty()).map(|series| series.value().clone());
    assert_eq!((total("a"), total("b")), (Some(Value::Counter(u64::MAX)), Some(Value::Counter(2))));
}

fn counter(family: &str, series: impl IntoIterator<Item = String>, count: u64) -> Delta {
    let descriptor = FamilyDescriptor::new(family.to_owned(), "", "", MetricKind::Counter).unwrap();
    let mut delta = Delta::new();
    for value in series {
        delta.add_counter(&descriptor, LabelSet::from_pairs([("n", value)]).unwrap(), count).unwrap();
    }
    delta
}

/// As OpenTelemetry specifies for SDKs: a thousand series, one of them for what is past them.
#[test]
fn series_past_the_bound_of_a_family_are_in_its_overflow_series_and_the_sum_stays_right() {
    let mut state = Snapshot::new(0);
    let names = |range: std::ops::Range<u64>| range.map(|index| index.to_string());
    let first = state.apply_custom(&counter("a", names(0..990), 1), 1);
    assert_eq!((first.series_added, first.series_overflowed), (990, 0));
    let more = state.apply_custom(&counter("a", names(900..1_100), 2), 2);
    assert_eq!((more.series_added, more.series_overflowed, more.series_refused), (10, 101, 0));
    // What an SDK says of its own overflow is the same series.
    let mut of_sdk = Delta::new();
    let descriptor = FamilyDescriptor::new("a", "", "", MetricKind::Counter).unwrap();
    of_sdk.add_counter(&descriptor, custom::overflow_labels(), 5).unwrap();
    of_sdk.merge(&counter("a", names(5_000..5_001), 7)).unwrap();
    assert_eq!(state.apply_custom(&of_sdk, 3).series_overflowed, 1);
    let overflow = state.get("a", &custom::overflow_labels()).map(|series| series.value().clone());
    assert_eq!(overflow, Some(Value::Counter(2 * 101 + 5 + 7)));
    assert_eq!(state.series_count(), MAX_SERIES_PER_FAMILY);
    let totals = state.families().flat_map(|family| family.series()).map(|(_, series)| series.value().clone());
    let total: u64 = totals.map(|value| if let Value::Counter(count) = value { count } else { 0 }).sum();
    assert_eq!(total, 990 + 400 + 12);
    // Families of the pipeline have no such series.
    let refused = state.apply(&counter("tributary_x", names(0..1_001), 1), 4).unwrap();
    assert_eq!((refused.series_added, refused.series_refused, refused.series_overflowed), (1_000, 1, 0));
}

#[test]
fn custom_histograms_with_finer_bounds_are_counted_under_those_that_are_there() {
    let family = FamilyDescriptor::new("h", "", "", MetricKind::Histogram).unwrap();
    let observed = |bounds: &[f64], counts: &[u64]| {
        let bounds = Bounds::Explicit(ExplicitBounds::new(bounds).unwrap());
        let histogram = Histogram::from_parts(bounds, counts.to_vec(), Number::Float(1.0)).unwrap();
        let mut delta = Delta::new();
        delta.add_histogram(&family, LabelSet::empty(), &histogram).unwrap();
        delta
    };
    let mut state = Snapshot::new(0);
    let _first = state.apply_custom(&observed(&[1.0, 5.0], &[1, 1, 1]), 1);
    let finer = state.apply_custom(&observed(&[0.5, 1.0, 2.0, 5.0, 9.0], &[1, 2, 4, 8, 16, 32]), 2);
    assert_eq!((finer.series_coarsened, finer.series_conflicting), (1, 0));
    for (bounds, counts) in [
        // A bound that is missing, one that lies between, and coarser ones.
        (vec![0.5, 1.0, 2.0], vec![1, 1, 1, 1]),
        (vec![1.0, 4.0, 6.0], vec![1, 1, 1, 1]),
        (vec![1.0], vec![1, 1]),
    ] {
        let other = state.apply_custom(&observed(&bounds, &counts), 3);
        assert_eq!((other.series_coarsened, other.series_conflicting), (0, 1), "{bounds:?}");
    }
    let Some(Value::Histogram(total)) = state.get("h", &LabelSet::empty()).map(|series| series.value().clone()) else {
        panic!("no histogram")
    };
    assert_eq!((total.bucket_counts(), total.sum()), ([4, 13, 49].as_slice(), Number::Float(2.0)));
}

#[test]
fn each_job_has_one_target_whatever_the_order_of_arrival() {
    let target = |job: &str, version: &str, time_ms| {
        let family = FamilyDescriptor::new(custom::TARGET_INFO, "", "", MetricKind::Gauge).unwrap();
        let mut delta = Delta::new();
        let labels = LabelSet::from_pairs([("job", job), ("version", version)]).unwrap();
        delta.set_gauge(&family, labels, Gauge::unsigned(1, time_ms)).unwrap();
        delta
    };
    let said =
        [target("a", "1", 10), target("a", "2", 30), target("a", "3", 20), target("a", "9", 30), target("b", "1", 5)];
    for turn in 0..said.len() {
        let mut state = Snapshot::new(0);
        for delta in said.iter().cycle().skip(turn).take(said.len()) {
            let _applied = state.apply_custom(delta, 40);
        }
        let versions: Vec<_> = state
            .families()
            .flat_map(|family| family.series())
            .map(|(labels, _)| (labels.get("job").unwrap().to_owned(), labels.get("version").unwrap().to_owned()))
            .collect();
        assert_eq!(versions, [("a".to_owned(), "9".to_owned()), ("b".to_owned(), "1".to_owned())]);
        let read = Snapshot::decode(&state.encode()).unwrap();
        assert_eq!(read.reserved_bytes(), state.reserved_bytes(), "what was replaced takes no room");
    }
    let mut state = Snapshot::new(0);
    let refused: u64 =
        (0..300).map(|job| state.apply_custom(&target(&job.to_string(), "1", 1), 1).series_refused).sum();
    assert_eq!((state.series_count(), refused), (200, 100));
}

#[test]
fn custom_families_leave_room_for_those_of_the_pipeline() {
    let mut state = Snapshot::new(0);
    let (mut refused, mut counted) = (0, 0);
    for family in 0..20 {
        let descriptor =
            FamilyDescriptor::new(format!("hostile_{family}"), "h".repeat(1_000), "", MetricKind::Counter).unwrap();
        let mut delta = Delta::new();
        for series in 0..900 {
            let labels = LabelSet::from_pairs([("label", format!("{series:090}"))]).unwrap();
            delta.add_counter(&descriptor, labels, 1).unwrap();
        }
        let applied = state.apply_custom(&delta, 1);
        refused += applied.series_refused;
        counted += 900 - applied.series_refused;
    }
    assert!(refused > 10_000, "{refused}: nothing here is hostile");
    let totals = state.families().flat_map(|family| family.series()).map(|(_, series)| series.value().clone());
    let total: u64 = totals.map(|value| if let Value::Counter(count) = value { count } else { 0 }).sum();
    assert_eq!(total, counted, "each is in a series or refused");
    assert!(state.series_count() <= MAX_CUSTOM_SERIES + 20);
    let bytes = state.reserved_bytes();
    assert!(bytes <= MAX_CUSTOM_BYTES + MAX_OVERFLOW_BYTES + 200, "{bytes}");
    // Those that exist go on, and ours have their room.
    let mut again = Delta::new();
    let descriptor = FamilyDescriptor::new("hostile_0", "", "", MetricKind::Counter).unwrap();
    again.add_counter(&descriptor, LabelSet::from_pairs([("label", format!("{:090}", 0))]).unwrap(), 1).unwrap();
    assert_eq!(state.apply_custom(&again, 2).series_refused, 0);
    let mut ours = Delta::new();
    let descriptor = FamilyDescriptor::new("tributary_x", "", "", MetricKind::Counter).unwrap();
    for series in 0..1_000 {
        let labels = LabelSet::from_pairs([("label", format!("{series:090}"))]).unwrap();
        ours.add_counter(&descriptor, labels, 1).unwrap();
    }
    assert_eq!(state.apply(&ours, 3).unwrap().series_refused, 0);
}

proptest! {
    /// However small the sets, what is read of them together is what was written, and each is one that a reader takes.
    #[test]
    fn a_delta_comes_out_of_messages_as_it_went_in(delta in delta(), most_bytes in 1_usize..400) {
        let mut read = Delta::new();
        for set in custom::write(&delta, 2_000, most_bytes) {
            let is_alone = set.families.iter().map(|family| family.series.len()).sum::<usize>() == 1;
            prop_assert!(is_alone || set.encoded_len() <= most_bytes);
            let part = custom::read(set, 1_000, 2_000).unwrap();
            prop_assert_eq!(part.reserved_series, 0);
            read.merge(&part.delta).unwrap();
        }
        // A window, where the delta said another one or none.
        prop_assert_eq!(values(&[&read]), values(&[&delta]));
        prop_assert!(read.is_empty() || read.start_time_ms() == Some(1_000));
    }

    #[test]
    fn what_fits_is_merged_and_what_does_not_is_given_back_whole(a in delta(), b in delta()) {
        let mut merged = a.clone();
        let rest = merged.merge_fitting(&b);
        if rest.is_empty() {
            let mut expected = a.clone();
            expected.merge(&b).unwrap();
            prop_assert_eq!(&merged, &expected);
        }
        // What contradicts in kind comes back as it was, and leaves the rest alone.
        let contradicting = as_gauges(&a);
        let mut kept = a.clone();
        let back = kept.merge_fitting(&contradicting);
        let model = a.clone();
        let is_counted = |name: &str| model.families().any(|family| {
            family.descriptor().name() == name && family.descriptor().kind() != MetricKind::Gauge
        });
        prop_assert_eq!(values(&[&back]), values(&[&contradicting.partition(is_counted).0]));
        let (counted, _) = kept.partition(is_counted);
        prop_assert_eq!(values(&[&counted]), values(&[&a.partition(is_counted).0]));
    }

    #[test]
    fn merging_deltas_commutes_associates_and_has_an_identity(a in delta(), b in delta(), c in delta()) {
        prop_assert_eq!(merged(&[&a, &b]), merged(&[&b, &a]));
        prop_assert_eq!(merged(&[&merged(&[&a, &b]), &c]), merged(&[&a, &merged(&[&b, &c])]));
        prop_assert_eq!(merged(&[&a]), a.clone());
        let mut with_nothing = a.clone();
        with_nothing.merge(&Delta::new()).unwrap();
        prop_assert_eq!(with_nothing, a);
    }

    #[test]
    fn merging_telemetry_commutes_associates_and_has_an_identity(
        a in telemetry_delta(0_u64..3), b in telemetry_delta(0_u64..3), c in telemetry_delta(0_u64..3),
    ) {
        prop_assert_eq!(merged_telemetry(&[&a, &b]), merged_telemetry(&[&b, &a]));
        let (ab, bc) = (merged_telemetry(&[&a, &b]), merged_telemetry(&[&b, &c]));
        prop_assert_eq!(merged_telemetry(&[&ab, &c]), merged_telemetry(&[&a, &bc]));
        prop_assert_eq!(merged_telemetry(&[&a]), a.clone());
        prop_assert_eq!(merged_telemetry(&[&a, &TelemetryDelta::new()]), a);
    }

    #[test]
    fn readings_commute_and_associate(a in gauge(), b in gauge(), c in gauge()) {
        prop_assert_eq!(a.merged(b), b.merged(a));
        prop_assert_eq!(a.merged(b).merged(c), a.merged(b.merged(c)));
        prop_assert_eq!(a.merged(a), a);
    }

    #[test]
    fn count_is_the_sum_of_the_buckets_after_any_merge(
        (a, b) in bounds().prop_flat_map(|bounds| (histogram(bounds.clone(), false), histogram(bounds, false))),
    ) {
        let both = a.merged(&b).unwrap();
        prop_assert_eq!(both.count(), both.bucket_counts().iter().sum::<u64>());
        prop_assert_eq!(both.count(), a.count() + b.count());
        prop_assert_eq!(both.bucket_counts().len(), both.bounds().len() + 1);
    }

    #[test]
    fn deltas_in_any_order_and_grouping_give_one_state(
        (deltas, order) in vec(delta(), 1..6).prop_flat_map(|deltas| {
            let order = Just((0..deltas.len()).collect::<Vec<_>>()).prop_shuffle();
            (Just(deltas), order)
        }),
    ) {
        // Starts differ by order, legitimately: a series starts with the first delta that brings it.
        let strip = |mut deltas: Vec<Delta>| {
            for delta in &mut deltas { delta.set_start(1); }
            deltas
        };
        let deltas = strip(deltas);
        let mut one_by_one = Snapshot::new(1);
        for delta in &deltas { apply(&mut one_by_one, delta, 9); }
        let mut shuffled = Snapshot::new(1);
        for index in order { apply(&mut shuffled, &deltas[index], 9); }
        prop_assert_eq!(&one_by_one, &shuffled);

        let mut at_once = Snapshot::new(1);
        let applied = at_once.apply(&merged(&deltas.iter().collect::<Vec<_>>()), 9).unwrap();
        prop_assert_eq!(applied.series_added, u64::try_from(at_once.series_count()).unwrap());
        prop_assert!(one_by_one.families().eq(at_once.families()));
        prop_assert_eq!((one_by_one.version(), at_once.version()), (u64::try_from(deltas.len()).unwrap(), 1));
    }

    #[test]
    fn delta_reads_back_as_written(delta in delta()) {
        let bytes = delta.to_wire().encode_to_vec();
        let mut written = Vec::new();
        delta.encode_into(&mut written);
        prop_assert_eq!(&written, &bytes);
        let read = Delta::from_wire(v1::MetricSet::decode(bytes.as_slice()).unwrap()).unwrap();
        prop_assert_eq!(&read, &delta);
        prop_assert_eq!(read.to_wire().encode_to_vec(), bytes);
    }

    #[test]
    fn snapshot_reads_back_as_written(deltas in vec(delta(), 0..4), start_ms in 0_u64..1_000) {
        let mut state = Snapshot::new(start_ms);
        for delta in &deltas { apply(&mut state, delta, 2_000); }
        let bytes = state.encode();
        prop_assert_eq!(&bytes, &state.to_wire().encode_to_vec());
        prop_assert!(bytes.len() <= state.reserved_bytes());
        for format in [TextFormat::OpenMetrics, TextFormat::Prometheus] {
            let mut text = String::new();
            write_text(&state, &TextOptions { created: true, ..TextOptions::new(format) }, &mut text);
            prop_assert!(text.len() <= state.room().text + state.room().created);
        }
        let read = Snapshot::decode(&bytes).unwrap();
        prop_assert_eq!(&read, &state);
        prop_assert_eq!(read.encode(), bytes);
    }

    #[test]
    fn garbage_is_an_error_or_a_snapshot_but_never_a_panic(bytes in vec(any::<u8>(), 0..200)) {
        if let Ok(state) = Snapshot::decode(&bytes) {
            prop_assert_eq!(Snapshot::decode(&state.encode()).unwrap(), state.clone());
            // What is read family by family is what is read as one message.
            let message = v1::LedgerState::decode(bytes.as_slice()).unwrap();
            prop_assert_eq!(Snapshot::from_wire(message).unwrap(), state);
        }
    }

    #[test]
    fn damaged_snapshot_is_an_error_or_a_snapshot_but_never_a_panic(
        delta in delta(), at: prop::sample::Index, to: u8,
    ) {
        let mut state = Snapshot::new(0);
        apply(&mut state, &delta, 2_000);
        let mut bytes = state.encode();
        let at = at.index(bytes.len());
        bytes[at] = to;
        if let Ok(state) = Snapshot::decode(&bytes) {
            prop_assert_eq!(Snapshot::decode(&state.encode()).unwrap(), state);
        }
    }

    #[test]
    fn reports_together_say_what_the_accumulator_says(telemetry in telemetry_delta(Just(7))) {
        let reports = telemetry.to_wire();
        prop_assert_eq!(reports.is_empty(), telemetry.is_empty());
        for report in &reports {
            if let Some(latency) = &report.resolve_latency {
                let buckets: u64 = latency.buckets.iter().flat_map(|span| &span.counts).map(|count| u64::from(*count)).sum();
                prop_assert_eq!(u64::from(latency.count), buckets);
            }
            prop_assert!(report.sdk.is_none() && report.resolver_version.is_empty());
        }
        for report in reports.iter().skip(1) {
            prop_assert_eq!(report.memory_bytes, 0);
            prop_assert!(report.state_age.is_none());
            prop_assert!(report.apply_dedup.is_none_or(|dedup| dedup.map_size == 0 && dedup.map_capacity == 0));
        }
        prop_assert_eq!(read_back(&reports, 7), telemetry);
    }

    #[test]
    fn mapping_is_linear(a in telemetry_delta(0_u64..3), b in telemetry_delta(0_u64..3)) {
        // Beyond the bound on unknown reasons the two differ on purpose: which label a folded count has.
        let unknown = a.resolves().chain(b.resolves()).filter(|(reason, _)| !(0..11).contains(reason));
        prop_assume!(unknown.map(|(reason, _)| reason).collect::<BTreeSet<_>>().len() <= MAX_UNKNOWN_REASONS);
        let both = merged_telemetry(&[&a, &b]).to_delta("r", 5).unwrap();
        let (a, b) = (a.to_delta("r", 5).unwrap(), b.to_delta("r", 5).unwrap());
        prop_assert_eq!(merged(&[&a, &b]), both);
    }
}

fn no_labels() -> LabelSet {
    LabelSet::empty()
}

fn one_counter(count: u64) -> Delta {
    let mut delta = Delta::new();
    delta.add_counter(&COUNTER, no_labels(), count).unwrap();
    delta
}

#[test]
fn apply_that_overflows_leaves_the_state_unchanged() {
    let mut state = Snapshot::new(1);
    let mut full = one_counter(u64::MAX);
    full.set_gauge(&GAUGE, no_labels(), Gauge::unsigned(1, 1)).unwrap();
    assert_eq!(state.apply(&full, 2).unwrap().series_added, 2);
    let before = state.clone();

    // The gauge comes first by name and is fine; nothing of it may stay.
    let mut over = one_counter(1);
    over.set_gauge(&GAUGE, no_labels(), Gauge::unsigned(2, 2)).unwrap();
    let error = state.apply(&over, 3);
    assert_eq!(error, Err(ApplyError::Overflow { family: "requests".into(), source: MergeError::CountOverflow }));
    assert_eq!(state, before);
    assert!(state.apply(&one_counter(0), 3).is_ok(), "u64::MAX itself is a legal total");
}

#[test]
fn merge_that_fails_leaves_the_delta_unchanged() {
    let mut delta = one_counter(u64::MAX);
    let before = delta.clone();
    let mut other = one_counter(1);
    other.set_gauge(&GAUGE, no_labels(), Gauge::unsigned(2, 2)).unwrap();
    other.set_start(5);
    assert!(matches!(delta.merge(&other), Err(DeltaError::Merge { source: MergeError::CountOverflow, .. })));
    assert_eq!(delta, before);

    let gauge_of_that_name = FamilyDescriptor::new("requests", "", "", MetricKind::Gauge).unwrap();
    let refused = delta.set_gauge(&gauge_of_that_name, no_labels(), Gauge::unsigned(1, 1));
    assert_eq!(refused, Err(DeltaError::Kind { family: "requests".into() }));
    assert_eq!(delta.add_counter(&GAUGE, no_labels(), 1), Err(DeltaError::Kind { family: "memory_bytes".into() }));
    assert_eq!(delta, before);
}

#[test]
fn histogram_overflow_leaves_the_destination_unchanged() {
    let of = |count, sum| {
        let mut counts = vec![0; 175];
        counts[174] = count;
        Histogram::from_parts(Bounds::latency(), counts, Number::Unsigned(sum)).unwrap()
    };
    let mut full = of(u64::MAX, u64::MAX);
    let before = full.clone();
    assert_eq!(full.merge(&of(1, 0)), Err(MergeError::CountOverflow));
    assert_eq!(of(1, u64::MAX).merged(&of(1, 1)), Err(MergeError::SumOverflow));
    // Different buckets, each far from its limit; only together do they pass it.
    let mut low = vec![0; 175];
    low[0] = u64::MAX;
    let low = Histogram::from_parts(Bounds::latency(), low, Number::Unsigned(0)).unwrap();
    assert_eq!(full.merge(&low), Err(MergeError::CountOverflow));
    assert_eq!(full.merge(&Histogram::new(Bounds::latency())), Ok(()));
    assert_eq!(full, before);
    assert!(Histogram::from_parts(Bounds::latency(), vec![u64::MAX; 175], Number::Unsigned(0)).is_err());
}

#[test]
fn conflicts_are_refused_and_counted_and_the_rest_is_applied() {
    let mut state = Snapshot::new(1);
    assert_eq!(state.declare(&DECIMAL, no_labels(), Zero::Histogram(Bounds::latency())).series_added, 1);
    assert_eq!(state.apply(&one_counter(5), 2).unwrap().series_conflicting, 0);

    let mut delta = Delta::new();
    let same_name = FamilyDescriptor::new("requests", "", "", MetricKind::Gauge).unwrap();
    let same_sample = FamilyDescriptor::new("latency_microseconds_count", "", "", MetricKind::Gauge).unwrap();
    let other_bounds = Histogram::new(Bounds::Explicit(ExplicitBounds::new(&[1.0]).unwrap()));
    delta.set_gauge(&same_name, no_labels(), Gauge::unsigned(1, 1)).unwrap();
    delta.set_gauge(&same_sample, no_labels(), Gauge::unsigned(1, 1)).unwrap();
    delta.add_histogram(&DECIMAL, no_labels(), &other_bounds).unwrap();
    delta.set_gauge(&GAUGE, no_labels(), Gauge::unsigned(1, 1)).unwrap();
    let applied = state.apply(&delta, 3).unwrap();
    assert_eq!(applied, Applied { series_added: 1, series_conflicting: 3, ..Applied::default() });
    assert_eq!(state.get("requests", &no_labels()).unwrap().value(), &Value::Counter(5));
    assert!(state.get("latency_microseconds_count", &no_labels()).is_none());
    assert!(state.get("memory_bytes", &no_labels()).is_some());
}

/// Every pair of families that would print one name, each in the order in which names sort and the other.
fn clashing() -> Vec<(FamilyDescriptor, FamilyDescriptor)> {
    use MetricKind::{Counter, Exponential, Gauge, Histogram, UpDown};
    let names = [
        ((Counter, "a"), (Gauge, "a_total")),
        ((Counter, "a"), (Histogram, "a_total")),
        ((Counter, "a"), (Gauge, "a_created")),
        ((Counter, "a"), (Counter, "a_created")),
        ((Histogram, "a"), (Counter, "a_count")),
        ((Histogram, "a"), (Gauge, "a_sum")),
        ((Histogram, "a"), (Histogram, "a_bucket")),
        ((Histogram, "a"), (Gauge, "a_created")),
        ((Exponential, "a"), (UpDown, "a_count")),
        ((Exponential, "a"), (Histogram, "a_sum")),
        ((Counter, "a"), (UpDown, "a_total")),
    ];
    let family = |(kind, name): (MetricKind, &'static str)| FamilyDescriptor::new(name, "", "", kind).unwrap();
    names.into_iter().map(|(one, other)| (family(one), family(other))).collect()
}

fn value_of(kind: MetricKind) -> Value {
    match kind {
        MetricKind::Counter => Value::Counter(1),
        MetricKind::Gauge => Value::Gauge(Gauge::unsigned(1, 1)),
        MetricKind::Histogram => Value::Histogram(Histogram::new(Bounds::latency())),
        MetricKind::UpDown => Value::UpDown(UpDown::Integer(1)),
        MetricKind::Exponential => Value::Exponential(ExponentialHistogram::default()),
    }
}

#[test]
fn of_two_families_that_print_one_name_the_later_is_refused_and_counted_and_none_decodes() {
    for (one, other) in clashing() {
        let delta_of = |families: &[&FamilyDescriptor]| {
            let mut delta = Delta::new();
            families.iter().for_each(|family| delta.add(family, no_labels(), value_of(family.kind())).unwrap());
            delta
        };
        for (first, second) in [(&one, &other), (&other, &one)] {
            let mut state = Snapshot::new(1);
            apply(&mut state, &delta_of(&[first]), 2);
            let refused = state.apply(&delta_of(&[second]), 2).unwrap();
            assert_eq!((refused.series_added, refused.series_conflicting), (0, 1), "{second:?} after {first:?}");
            let zero =
                if second.kind() == MetricKind::Histogram { Zero::Histogram(Bounds::latency()) } else { Zero::Counter };
            assert_eq!(state.declare(second, no_labels(), zero).series_conflicting, 1, "{second:?} after {first:?}");
            assert_eq!((state.series_count(), state.get(first.name(), &no_labels()).is_some()), (1, true));
        }
        let both = delta_of(&[&one, &other]);
        let applied = Snapshot::new(1).apply(&both, 2).unwrap();
        assert_eq!((applied.series_added, applied.series_conflicting), (1, 1), "{both:?}");

        let mut stored = Snapshot::new(0).to_wire();
        stored.metrics = Some(both.to_wire());
        stored.schema = SNAPSHOT_SCHEMA;
        let clash = DecodeError::NameClash { family: one.name().max(other.name()).to_owned() };
        assert_eq!(Snapshot::from_wire(stored), Err(clash));
    }
}

#[test]
fn a_state_says_a_higher_schema_only_where_it_has_what_that_brought() {
    let state_of = |value: Value| {
        let family = FamilyDescriptor::new("a", "", "", value.kind()).unwrap();
        let mut delta = Delta::new();
        delta.add(&family, no_labels(), value).unwrap();
        let mut state = Snapshot::new(0);
        apply(&mut state, &delta, 2);
        state
    };
    let first = [MetricKind::Counter, MetricKind::Gauge, MetricKind::Histogram].map(value_of);
    let second = [Value::FloatCounter(0.0), value_of(MetricKind::UpDown), value_of(MetricKind::Exponential)];
    for (schema, value) in first.into_iter().map(|value| (1, value)).chain(second.map(|value| (2, value))) {
        let state = state_of(value);
        let mut wire = state.to_wire();
        assert_eq!(wire.schema, schema, "{state:?}");
        for said in 0..4 {
            wire.schema = said;
            let read = Snapshot::from_wire(wire.clone());
            // An older version stops: what it would not know is in no state of its schema.
            let expected = if (schema..=2).contains(&said) {
                Ok(state.clone())
            } else {
                Err(DecodeError::Schema { schema: said })
            };
            assert_eq!(read, expected);
        }
    }
    assert_eq!(Snapshot::new(0).to_wire().schema, 1);
}

#[test]
fn numbers_that_no_sum_has_are_refused_wherever_they_come_from() {
    let family = FamilyDescriptor::new("a", "", "", MetricKind::Counter).unwrap();
    let mut delta = Delta::new();
    let negative = DeltaError::Sum { family: "a".into(), source: SumError::Negative };
    assert_eq!(delta.add(&family, no_labels(), Value::FloatCounter(-1.0)), Err(negative));
    assert!(delta.is_empty());
    delta.add(&family, no_labels(), Value::FloatCounter(1.0)).unwrap();
    let mut wire = delta.to_wire();
    wire.families[0].series[0].value = Some(v1::series::Value::FloatCounter(f64::NAN));
    assert_eq!(Delta::from_wire(wire.clone()), Err(DecodeError::Sum(SumError::NotFinite)));
    wire.families[0].series[0].value = Some(v1::series::Value::FloatCounter(-0.0));
    let Ok(read) = Delta::from_wire(wire.clone()) else { panic!("zero has one sign") };
    assert_eq!(format!("{:?}", read.get("a", &no_labels())), "Some(FloatCounter(0.0))");
    wire.families[0].kind = v1::MetricKind::UpDown.into();
    assert_eq!(Delta::from_wire(wire.clone()), Err(DecodeError::ValueKind));
    wire.families[0].series[0].value = Some(v1::series::Value::UpDown(v1::UpDown { value: None }));
    assert_eq!(Delta::from_wire(wire), Err(DecodeError::Missing { part: "up-down value" }));
}

#[test]
fn a_sum_that_falls_goes_below_zero_and_its_overflow_changes_nothing() {
    let up_down = |sum| {
        let mut delta = Delta::new();
        delta.add(&UP_DOWN, no_labels(), Value::UpDown(UpDown::Integer(sum))).unwrap();
        delta
    };
    let mut state = Snapshot::new(1);
    apply(&mut state, &up_down(5), 2);
    apply(&mut state, &up_down(-7), 3);
    let total = |state: &Snapshot| state.get(UP_DOWN.name(), &no_labels()).unwrap().value().clone();
    assert_eq!(total(&state), Value::UpDown(UpDown::Integer(-2)));
    let before = state.clone();
    let overflow = ApplyError::Overflow { family: "connections".into(), source: MergeError::SumOverflow };
    assert_eq!(state.apply(&up_down(i64::MIN), 4), Err(overflow));
    assert_eq!(state, before);
    assert_eq!(state.apply_custom(&up_down(i64::MIN), 4).series_overflowing, 1);
    assert_eq!(total(&state), Value::UpDown(UpDown::Integer(-2)));
}

#[test]
fn a_sum_below_zero_takes_a_bound_below_zero() {
    let explicit = |bounds: &[f64]| Bounds::Explicit(ExplicitBounds::new(bounds).unwrap());
    let of = |bounds: Bounds, sum| {
        let mut counts = vec![0; bounds.len() + 1];
        counts[0] = 1;
        Histogram::from_parts(bounds, counts, Number::Float(sum))
    };
    for bounds in [explicit(&[0.0, 1.0]), explicit(&[-0.0]), explicit(&[]), Bounds::latency()] {
        for sum in [-4.5, f64::NEG_INFINITY, -f64::MIN_POSITIVE] {
            assert_eq!(of(bounds.clone(), sum), Err(HistogramError::NegativeSum), "{bounds:?} {sum}");
        }
        assert!(of(bounds.clone(), -0.0).is_ok() && of(bounds, 4.5).is_ok());
    }
    assert!(of(explicit(&[-1.0, 1.0]), -4.5).is_ok());

    // The same from outside.
    let mut delta = Delta::new();
    let family = FamilyDescriptor::new("h", "", "", MetricKind::Histogram).unwrap();
    delta.add_histogram(&family, no_labels(), &of(explicit(&[0.0]), 4.5).unwrap()).unwrap();
    let mut wire = delta.to_wire();
    let Some(v1::series::Value::Histogram(histogram)) = &mut wire.families[0].series[0].value else { panic!() };
    histogram.sum = Some(v1::histogram::Sum::FloatSum(-4.5));
    assert_eq!(Delta::from_wire(wire.clone()), Err(DecodeError::Histogram(HistogramError::NegativeSum)));
    let stored = v1::LedgerState { metrics: Some(wire), ..Snapshot::new(0).to_wire() };
    assert_eq!(Snapshot::from_wire(stored), Err(DecodeError::Histogram(HistogramError::NegativeSum)));
}

fn numbered(family: &str, series: std::ops::Range<usize>) -> Delta {
    let family = FamilyDescriptor::new(family.to_owned(), "", "", MetricKind::Counter).unwrap();
    let mut delta = Delta::new();
    for number in series {
        let labels = LabelSet::from_pairs([("number", number.to_string())]).unwrap();
        delta.add_counter(&family, labels, 1).unwrap();
    }
    delta
}

#[test]
fn series_at_the_bound_keep_growing_and_new_ones_are_refused_and_counted() {
    let mut state = Snapshot::new(1);
    let first = state.apply(&numbered("f0", 0..MAX_SERIES_PER_FAMILY + 3), 2).unwrap();
    assert_eq!((first.series_added, first.series_refused), (1_000, 3));
    for family in 1..MAX_SERIES / MAX_SERIES_PER_FAMILY {
        apply(&mut state, &numbered(&format!("f{family}"), 0..MAX_SERIES_PER_FAMILY), 2);
    }
    assert_eq!(state.series_count(), MAX_SERIES);
    let beyond = state.apply(&numbered("zz", 0..2), 2).unwrap();
    assert_eq!((beyond.series_added, beyond.series_refused), (0, 2));
    let again = state.apply(&numbered("f3", 0..2), 2).unwrap();
    assert_eq!((again.series_added, again.series_refused), (0, 0));
    let grown = state.get("f3", &LabelSet::from_pairs([("number", "1")]).unwrap()).unwrap();
    assert_eq!(grown.value(), &Value::Counter(2));
    assert_eq!(declare_resolver(&mut state, "r").unwrap().series_refused, 14);
    assert_eq!(Snapshot::decode(&state.encode()).unwrap(), state);
}

/// A series of about 2 kB.
fn wide(family: &str, series: std::ops::Range<usize>) -> Delta {
    let family = FamilyDescriptor::new(family.to_owned(), "", "", MetricKind::Counter).unwrap();
    let mut delta = Delta::new();
    for number in series {
        let labels =
            LabelSet::from_pairs([("number", format!("{number:01000}")), ("wide", "x".repeat(1_000))]).unwrap();
        delta.add_counter(&family, labels, 1).unwrap();
    }
    delta
}

#[test]
fn bytes_at_the_bound_refuse_what_is_new_and_keep_what_is_there_whatever_it_becomes() {
    let mut state = Snapshot::new(1);
    let first = state.apply(&wide("f0", 0..400), 2).unwrap();
    assert_eq!(first.series_added + first.series_refused, 400);
    assert!((250..262).contains(&first.series_added), "512 KiB in pieces of 2 kB: {first:?}");
    assert!(state.reserved_bytes() < MAX_FAMILY_BYTES + 100);
    let small = state.apply(&numbered("f1", 0..100), 2).unwrap();
    assert_eq!((small.series_added, small.series_refused), (100, 0), "one family leaves room to the others");
    for family in 2..9 {
        let _applied = state.apply(&wide(&format!("f{family}"), 0..400), 2).unwrap();
    }
    assert!((MAX_SNAPSHOT_BYTES - 4_000..=MAX_SNAPSHOT_BYTES).contains(&state.reserved_bytes()));

    let there: Vec<String> = state.families().map(|family| family.descriptor().name().to_owned()).collect();
    let before = state.series_count();
    for family in &there {
        let known: Vec<_> = state
            .families()
            .find(|known| known.descriptor().name() == family)
            .unwrap()
            .series()
            .map(|(labels, _)| labels.clone())
            .collect();
        let mut grown = Delta::new();
        let family =
            FamilyDescriptor::new(family.clone(), "h".repeat(1_024), "u".repeat(200), MetricKind::Counter).unwrap();
        for labels in known {
            grown.add_counter(&family, labels, u64::MAX - 1).unwrap();
        }
        apply(&mut state, &grown, u64::MAX);
    }
    assert_eq!(state.series_count(), before);
    assert!(
        state.families().all(|family| family.series().all(|(_, series)| series.value() == &Value::Counter(u64::MAX)))
    );
    let bytes = state.encode();
    assert!(bytes.len() <= MAX_SNAPSHOT_BYTES, "{}", bytes.len());
    assert_eq!(Snapshot::decode(&bytes).unwrap(), state, "what is reserved reads back, too");
}

#[test]
fn start_of_a_series_is_clamped_and_never_moves() {
    let start_of = |snapshot_ms, window_ms, now_ms| {
        let mut state = Snapshot::new(snapshot_ms);
        let mut delta = one_counter(1);
        delta.set_start(window_ms);
        apply(&mut state, &delta, now_ms);
        let mut later = one_counter(1);
        later.set_start(window_ms + 50);
        apply(&mut state, &later, now_ms + 60);
        let mut earlier = one_counter(1);
        earlier.set_start(1);
        apply(&mut state, &earlier, now_ms + 70);
        state.get("requests", &no_labels()).unwrap().start_time_ms()
    };
    assert_eq!(start_of(100, 150, 200), 150);
    assert_eq!(start_of(100, 50, 200), 100, "not before the state");
    assert_eq!(start_of(100, 0, 200), 100, "unknown");
    assert_eq!(start_of(100, 900, 200), 200, "a producer's clock that is ahead");
    assert_eq!(start_of(100, 900, 50), 100, "a clock that went back");
}

#[test]
fn a_seed_adds_and_moves_only_its_own_series_back_to_where_it_began() {
    let seeded = |seed_ms, now_ms| {
        let mut state = Snapshot::new(100);
        let mut other = Delta::new();
        other
            .add_counter(&FamilyDescriptor::from_static("other", "", "", MetricKind::Counter), no_labels(), 5)
            .unwrap();
        other.set_start(150);
        apply(&mut state, &other, 200);
        apply(&mut state, &one_counter(1), 200);
        let mut totals = one_counter(41);
        totals.set_start(seed_ms);
        let applied = state.seed(&totals, now_ms).unwrap();
        assert_eq!(applied, Applied::default(), "nothing new, nothing refused");
        let requests = state.get("requests", &no_labels()).unwrap();
        assert_eq!(*requests.value(), Value::Counter(42));
        assert_eq!(state.get("other", &no_labels()).unwrap().start_time_ms(), 150);
        assert_eq!(Snapshot::decode(&state.encode()).unwrap(), state, "an older version reads it, too");
        assert_eq!((state.version(), state.last_applied_ms()), (3, now_ms.max(200)));
        (state.start_time_ms(), requests.start_time_ms())
    };
    assert_eq!(seeded(40, 300), (40, 40), "totals that are older than the state");
    assert_eq!(seeded(120, 300), (100, 100), "younger");
    assert_eq!(seeded(0, 300), (100, 100), "unknown");
    assert_eq!(seeded(u64::MAX, 300), (100, 100), "of the future");
    assert_eq!(seeded(40, 7), (40, 40), "a clock that went back");

    let mut state = Snapshot::new(100);
    let mut totals = one_counter(3);
    totals.set_start(40);
    assert_eq!(state.seed(&totals, 300).unwrap().series_added, 1);
    assert_eq!((state.start_time_ms(), state.get("requests", &no_labels()).unwrap().start_time_ms()), (40, 40));
    let full = one_counter(u64::MAX - 3);
    apply(&mut state, &full, 400);
    let before = state.clone();
    assert!(state.seed(&one_counter(1), 500).is_err());
    assert_eq!(state, before);
}

#[test]
fn last_applied_never_goes_back_and_version_counts_applies() {
    let mut state = Snapshot::new(1);
    assert_eq!((state.version(), state.last_applied_ms()), (0, 0));
    apply(&mut state, &one_counter(1), 10);
    apply(&mut state, &one_counter(1), 5);
    assert_eq!((state.version(), state.last_applied_ms()), (2, 10));
}

#[test]
fn declared_resolver_is_complete_once_and_declaring_again_changes_nothing() {
    let mut state = Snapshot::new(1);
    assert_eq!(declare_resolver(&mut state, "r").unwrap().series_added, 1 + 11 + 2);
    let before = state.clone();
    assert_eq!(declare_resolver(&mut state, "r").unwrap(), Applied::default());
    assert_eq!(state, before);
    assert!(declare_resolver(&mut state, &"x".repeat(1_025)).is_err());
    assert_eq!(state, before);
}
