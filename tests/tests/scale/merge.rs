//! How snapshots of many Ledgers become one.

use tributary_telemetry::{Delta, Snapshot};

/// Adds the snapshot of another Ledger: what a merge is for series that only grow, whatever the order.
pub(crate) fn add_snapshot(merged: &mut Snapshot, state: &Snapshot, now_ms: u64) {
    let mut delta = Delta::new();
    for family in state.families() {
        for (labels, series) in family.series() {
            delta.add(family.descriptor(), labels.clone(), series.value().clone()).unwrap();
        }
    }
    let _applied = merged.apply(&delta, now_ms).unwrap();
}
