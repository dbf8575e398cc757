//! What the refresh says of itself: families, and what a refresh adds to them.

use tributary_telemetry::{Delta, FamilyDescriptor, MetricKind, Number, Snapshot, Zero};

use super::Outcome;
use crate::self_metrics::{NotRecorded, add, labels, set};

/// Refreshes by how they ended.
pub const REFRESHES: FamilyDescriptor = FamilyDescriptor::from_static(
    "tributary_state_refreshes",
    "Looks for a newer resolver state at the CDN, by outcome.",
    "",
    MetricKind::Counter,
);
/// When the state was last known to be the newest.
pub const LAST_REFRESH: FamilyDescriptor = FamilyDescriptor::from_static(
    "tributary_state_last_refresh_timestamp_seconds",
    "When the resolver state in KV was last found, or made, as new as the CDN's.",
    "seconds",
    MetricKind::Gauge,
);

/// All families of this module.
pub static ALL: [&FamilyDescriptor; 2] = [&REFRESHES, &LAST_REFRESH];

/// A refresh ended.
///
/// # Errors
/// [`NotRecorded`]
pub fn refreshed(delta: &mut Delta, outcome: &Outcome, now_ms: u64) -> Result<(), NotRecorded> {
    add(delta, &REFRESHES, &[("outcome", outcome.as_str())], 1)?;
    if matches!(outcome, Outcome::Failed(_)) {
        return Ok(());
    }
    let now_seconds = std::time::Duration::from_millis(now_ms).as_secs_f64();
    set(delta, &LAST_REFRESH, &[], Number::Float(now_seconds), now_ms)
}

/// Makes a new state show at 0 what is known to come. The time of the last refresh is none until there was one.
///
/// # Errors
/// [`NotRecorded`], never in practice: all labels are ours.
pub fn declare(state: &mut Snapshot) -> Result<(), NotRecorded> {
    for outcome in Outcome::LABELS {
        let _declared = state.declare(&REFRESHES, labels(&[("outcome", outcome)])?, Zero::Counter);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use tributary_telemetry::{LabelSet, Value};

    use super::*;
    use crate::state_refresh::Failure;

    #[test]
    fn only_a_success_moves_the_time_and_every_outcome_is_counted() {
        let mut delta = Delta::new();
        let count =
            |delta: &Delta, outcome| delta.get(REFRESHES.name(), &labels(&[("outcome", outcome)]).unwrap()).cloned();
        let time = |delta: &Delta| match delta.get(LAST_REFRESH.name(), &LabelSet::empty()) {
            Some(Value::Gauge(gauge)) => Some(gauge.value()),
            _ => None,
        };
        refreshed(&mut delta, &Outcome::Failed(Failure::Status { status: 500 }), 9_000).unwrap();
        assert_eq!(count(&delta, "unavailable"), Some(Value::Counter(1)));
        assert_eq!(time(&delta), None);
        refreshed(&mut delta, &Outcome::Unchanged, 10_500).unwrap();
        refreshed(&mut delta, &Outcome::Unchanged, 11_500).unwrap();
        refreshed(&mut delta, &Outcome::Updated, 12_500).unwrap();
        refreshed(&mut delta, &Outcome::Failed(Failure::Refused { status: 404 }), 20_000).unwrap();
        assert_eq!(count(&delta, "unchanged"), Some(Value::Counter(2)));
        assert_eq!(count(&delta, "updated"), Some(Value::Counter(1)));
        assert_eq!(count(&delta, "refused"), Some(Value::Counter(1)));
        assert_eq!(time(&delta), Some(Number::Float(12.5)));
    }

    #[test]
    fn families_are_well_named_and_their_series_are_there_from_the_start() {
        for family in ALL {
            let (name, help) = (family.name().to_owned(), family.help().to_owned());
            FamilyDescriptor::new(name, help, family.unit().to_owned(), family.kind()).unwrap();
        }
        let mut state = Snapshot::new(0);
        declare(&mut state).unwrap();
        assert_eq!(state.series_count(), Outcome::LABELS.len());
    }
}
