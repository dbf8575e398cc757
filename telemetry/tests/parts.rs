//! A state that is kept as parts and changes is the state, whatever was counted and wherever it was cut.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of a test")]

use proptest::{collection::vec, prelude::*};
use tributary_telemetry::{
    Delta, FamilyDescriptor, Gauge, LabelSet, MetricKind, PartError, Place, Snapshot, Touched, Zero,
    arbitrary::{COUNTER, GAUGE, delta, label_set},
    custom::TARGET_INFO,
};

const START: u64 = 1_000;

/// What a Ledger stores of a change, and reads back.
fn through_bytes(touched: &Touched) -> Touched {
    Touched { series: Snapshot::decode(&touched.series.encode()).unwrap(), removed: touched.removed.clone() }
}

fn take_in(copy: &mut Snapshot, touched: &Touched) {
    copy.overlay(&touched.series).unwrap();
    touched.removed.iter().for_each(|place| copy.remove(place));
}

/// What a job says of itself, which replaces what it said before.
fn target(job: u8, version: u8, time_ms: u64) -> Delta {
    let family = FamilyDescriptor::new(TARGET_INFO, "", "", MetricKind::Gauge).unwrap();
    let labels = LabelSet::from_pairs([("job", job.to_string()), ("version", version.to_string())]).unwrap();
    let mut delta = Delta::new();
    delta.set_gauge(&family, labels, Gauge::unsigned(1, time_ms)).unwrap();
    delta
}

fn some_delta() -> impl Strategy<Value = Delta> {
    let targets = (0_u8..3, 0_u8..4, 0_u64..20).prop_map(|(job, version, time_ms)| target(job, version, time_ms));
    prop_oneof![3 => delta(), 2 => targets]
}

/// Some states are declared, some seeded: all that moves one.
fn moved(state: &mut Snapshot, round: usize, delta: &Delta) {
    let now_ms = START + u64::try_from(round).unwrap();
    match round % 4 {
        0 => drop(state.seed(delta, now_ms).map(drop)),
        1 => drop(state.apply(delta, now_ms).map(drop)),
        _ => {
            let _applied = state.apply_custom(delta, now_ms);
        }
    }
    if round.is_multiple_of(3) {
        let _declared = state.declare(&COUNTER, LabelSet::empty(), Zero::Counter);
    }
}

proptest! {
    #[test]
    fn changes_lead_from_any_state_to_the_one_they_were_taken_from(deltas in vec(some_delta(), 1..12), every in 1_usize..4) {
        let mut state = Snapshot::new(START);
        state.track();
        let mut copy = state.clone();
        for (round, delta) in deltas.iter().enumerate() {
            moved(&mut state, round, delta);
            if round % every == 0 {
                let touched = state.take_touched();
                prop_assert_eq!(touched.places().count(), touched.series.series_count() + touched.removed.len());
                take_in(&mut copy, &through_bytes(&touched));
                prop_assert_eq!(&copy, &state);
                prop_assert_eq!(copy.encode(), state.encode());
                prop_assert_eq!(copy.reserved_bytes(), state.reserved_bytes());
                // Taken in again, as a Ledger does that was stopped before it knew, nothing moves.
                take_in(&mut copy, &touched);
                prop_assert_eq!(&copy, &state);
            }
        }
        let _rest = state.take_touched();
        prop_assert_eq!(state.take_touched().places().count(), 0);
    }

    #[test]
    fn a_change_has_what_changed_and_nothing_else(before in delta(), after in delta()) {
        let mut state = Snapshot::new(START);
        let _applied = state.apply(&before, START).unwrap();
        state.track();
        let old = state.clone();
        if state.apply(&after, START + 1).is_ok() {
            let touched = state.take_touched();
            for place in state.places() {
                let is_touched = touched.series.get(&place.family, &place.labels).is_some();
                let of = |state: &Snapshot| state.get(&place.family, &place.labels).cloned();
                prop_assert!(is_touched || of(&old) == of(&state));
                let is_said = after.get(&place.family, &place.labels).is_some();
                prop_assert!(is_said || !is_touched, "{place:?} was not in the delta");
            }
        }
    }

    #[test]
    fn parts_add_up_to_the_state_in_order_and_within_their_bound(deltas in vec(delta(), 1..8), most in 0_usize..40_000) {
        let mut state = Snapshot::new(START);
        deltas.iter().for_each(|delta| drop(state.apply(delta, START).map(drop)));
        let pieces = state.between(None, None, most);
        let mut whole = Snapshot::new(0);
        let mut last: Option<Place> = None;
        for piece in &pieces {
            let piece = Snapshot::decode(&piece.encode()).unwrap();
            prop_assert!(piece.series_count() == 1 || piece.encode().len() <= most);
            for place in piece.places() {
                prop_assert!(last.as_ref().is_none_or(|last| *last < place));
                last = Some(place);
            }
            whole.overlay(&piece).unwrap();
        }
        prop_assert_eq!(&whole.families().cloned().collect::<Vec<_>>(), &state.families().cloned().collect::<Vec<_>>());
        prop_assert_eq!(pieces.is_empty(), state.series_count() == 0);

        // Between any two places is what lies between them.
        let places: Vec<Place> = state.places().collect();
        for (from, before) in [(0, places.len() / 2), (places.len() / 3, places.len() / 2), (places.len() / 2, 0)] {
            let (Some(from), Some(before)) = (places.get(from), places.get(before)) else { continue };
            let expected: Vec<&Place> = places.iter().filter(|place| from <= *place && *place < before).collect();
            let found: Vec<Place> =
                state.between(Some(from), Some(before), most).iter().flat_map(Snapshot::places).collect();
            prop_assert_eq!(found.iter().collect::<Vec<_>>(), expected);
        }
    }

    #[test]
    fn a_place_that_is_not_there_cuts_as_one_that_is(labels in vec(label_set(), 2..12), at in label_set()) {
        let mut delta = Delta::new();
        labels.iter().for_each(|labels| delta.add_counter(&COUNTER, labels.clone(), 1).unwrap());
        let mut state = Snapshot::new(START);
        let _applied = state.apply(&delta, START).unwrap();
        let cut = Place::new(&COUNTER, &at);
        let (low, high) = (state.between(None, Some(&cut), usize::MAX), state.between(Some(&cut), None, usize::MAX));
        let found: Vec<Place> = low.iter().chain(&high).flat_map(Snapshot::places).collect();
        prop_assert_eq!(found, state.places().collect::<Vec<_>>());
        prop_assert!(low.iter().flat_map(Snapshot::places).all(|place| place < cut));
    }
}

#[test]
fn a_part_that_contradicts_the_others_is_refused() {
    let of = |family: &FamilyDescriptor| {
        let mut delta = Delta::new();
        if family.kind() == MetricKind::Gauge {
            delta.set_gauge(family, LabelSet::empty(), Gauge::unsigned(1, 1)).unwrap();
        } else {
            delta.add_counter(family, LabelSet::empty(), 1).unwrap();
        }
        let mut state = Snapshot::new(START);
        let _applied = state.apply(&delta, START).unwrap();
        state
    };
    let other_kind = FamilyDescriptor::new(COUNTER.name(), "", "", MetricKind::Gauge).unwrap();
    let clashing = FamilyDescriptor::new(format!("{}_total", COUNTER.name()), "", "", MetricKind::Gauge).unwrap();
    for family in [other_kind, clashing] {
        let refused = PartError::Family { family: family.name().to_owned() };
        assert_eq!(of(&COUNTER).overlay(&of(&family)), Err(refused));
    }
    assert_eq!(of(&COUNTER).overlay(&of(&GAUGE)), Ok(()));
}

#[test]
fn a_series_that_comes_back_is_there() {
    let mut state = Snapshot::new(START);
    state.track();
    let mut copy = state.clone();
    for (version, time_ms) in [(1, 1), (2, 2), (1, 3), (3, 4), (1, 5)] {
        let _applied = state.apply_custom(&target(7, version, time_ms), START);
    }
    let touched = state.take_touched();
    assert_eq!((touched.series.series_count(), touched.removed.len()), (1, 2));
    take_in(&mut copy, &through_bytes(&touched));
    assert_eq!(copy, state);
}
