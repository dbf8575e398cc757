//! States of many series: what a clone shares, and what they come to.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of a test")]

use tributary_telemetry::{Delta, FamilyDescriptor, LabelSet, MetricFamily, MetricKind, Snapshot};

fn family(name: &str) -> FamilyDescriptor {
    FamilyDescriptor::new(name.to_owned(), "Help.", "", MetricKind::Counter).unwrap()
}

fn counted(name: &str, series: usize) -> Delta {
    let mut delta = Delta::new();
    for index in 0..series {
        let labels = LabelSet::from_pairs([("n", format!("{index}"))]).unwrap();
        delta.add_counter(&family(name), labels, 1).unwrap();
    }
    delta
}

fn of<'a>(state: &'a Snapshot, name: &str) -> &'a MetricFamily {
    state.families().find(|family| family.descriptor().name() == name).unwrap()
}

#[test]
fn a_clone_shares_each_family_until_one_of_the_two_changes_it() {
    let mut state = Snapshot::new(0);
    for name in ["a", "b"] {
        let _applied = state.apply(&counted(name, 3), 1).unwrap();
    }
    let before = state.clone();
    let _applied = state.apply_custom(&counted("a", 4), 2);
    assert!(std::ptr::eq(of(&state, "b"), of(&before, "b")), "nothing came to it");
    assert!(!std::ptr::eq(of(&state, "a"), of(&before, "a")));
    assert_eq!((of(&before, "a").series().len(), of(&state, "a").series().len()), (3, 4));
    // What is alone is changed in place.
    let at = std::ptr::from_ref(of(&state, "a"));
    let _applied = state.apply_custom(&counted("a", 4), 3);
    assert!(std::ptr::eq(at, of(&state, "a")));
}
