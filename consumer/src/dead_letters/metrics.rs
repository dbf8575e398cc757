//! What the pipeline says of dead letters: families, and what each event adds to them.

use std::collections::BTreeMap;

use tributary_telemetry::{Delta, FamilyDescriptor, MetricKind, Number, Snapshot, Zero};

use super::{
    bury::Burial,
    letter::{REASONS, label_of},
};
use crate::self_metrics::{MESSAGES, NotRecorded, add, labels, set};

/// What became of letters on their way to the dead-letter queue.
pub const SENDS: FamilyDescriptor = FamilyDescriptor::from_static(
    "tributary_dead_letter_sends",
    "Dead letters sent, by outcome: sent to the queue, stored because no queue takes their size, failed and retried.",
    "",
    MetricKind::Counter,
);
/// What happened to letters in the store.
pub const CHANGES: FamilyDescriptor = FamilyDescriptor::from_static(
    "tributary_dead_letter_changes",
    "Dead letters stored, redriven, discarded, and not stored because the store was full.",
    "",
    MetricKind::Counter,
);
/// Letters in the store.
pub const LETTERS: FamilyDescriptor = FamilyDescriptor::from_static(
    "tributary_dead_letters",
    "Dead letters in the store, by reason.",
    "",
    MetricKind::Gauge,
);
/// Their size.
pub const LETTERS_BYTES: FamilyDescriptor = FamilyDescriptor::from_static(
    "tributary_dead_letters_size_bytes",
    "Size of all dead letters in the store.",
    "bytes",
    MetricKind::Gauge,
);

/// All families of dead letters.
pub static ALL: [&FamilyDescriptor; 4] = [&SENDS, &CHANGES, &LETTERS, &LETTERS_BYTES];

/// A change of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// A letter came.
    Stored,
    /// A letter came for which there is no room; it stays in its queue.
    Full,
    /// A letter went back to the queue.
    Redriven,
    /// Somebody gave a letter up.
    Discarded,
}

impl Change {
    /// Every change.
    pub const ALL: [Self; 4] = [Self::Stored, Self::Full, Self::Redriven, Self::Discarded];

    /// The value of a `change` label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stored => "stored",
            Self::Full => "full",
            Self::Redriven => "redriven",
            Self::Discarded => "discarded",
        }
    }
}

/// Letters and their bytes, by reason.
pub type Counts = BTreeMap<String, Count>;

/// Letters of one reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// How many.
    pub letters: u64,
    /// Their size.
    pub bytes: u64,
}

/// A letter was sent, or not; the message of one that was is dead.
///
/// # Errors
/// [`NotRecorded`], as for every function here that adds to a delta.
pub fn burial(delta: &mut Delta, reason: &str, burial: &Burial) -> Result<(), NotRecorded> {
    add(delta, &SENDS, &[("outcome", burial.as_str()), ("reason", label_of(reason))], 1)?;
    if matches!(burial, Burial::Failed(_)) {
        return Ok(());
    }
    add(delta, &MESSAGES, &[("outcome", "dead")], 1)
}

/// The store changed by so many letters.
///
/// # Errors
/// [`NotRecorded`]
pub fn changed(delta: &mut Delta, change: Change, letters: u64) -> Result<(), NotRecorded> {
    if letters == 0 { Ok(()) } else { add(delta, &CHANGES, &[("change", change.as_str())], letters) }
}

/// Reads what is in the store now.
///
/// # Errors
/// [`NotRecorded`]
pub fn readings(delta: &mut Delta, counts: &Counts, now_ms: u64) -> Result<(), NotRecorded> {
    let mut by_label: BTreeMap<&str, u64> = REASONS.into_iter().map(|reason| (reason, 0)).collect();
    let mut bytes = 0u64;
    for (reason, count) in counts {
        let letters = by_label.entry(label_of(reason)).or_default();
        *letters = letters.saturating_add(count.letters);
        bytes = bytes.saturating_add(count.bytes);
    }
    for (reason, letters) in by_label {
        set(delta, &LETTERS, &[("reason", reason)], Number::Unsigned(letters), now_ms)?;
    }
    set(delta, &LETTERS_BYTES, &[], Number::Unsigned(bytes), now_ms)
}

/// Makes a new state show at 0 what is known to come.
///
/// # Errors
/// [`NotRecorded`], never in practice: all labels are ours.
pub fn declare(state: &mut Snapshot) -> Result<(), NotRecorded> {
    let _declared = state.declare(&MESSAGES, labels(&[("outcome", "dead")])?, Zero::Counter);
    for change in Change::ALL {
        let _declared = state.declare(&CHANGES, labels(&[("change", change.as_str())])?, Zero::Counter);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use tributary_telemetry::Value;

    use super::*;

    #[test]
    fn families_are_distinct_and_well_named() {
        let names: std::collections::BTreeSet<_> = ALL.into_iter().map(FamilyDescriptor::name).collect();
        assert_eq!(names.len(), ALL.len());
        for family in ALL {
            let (name, help) = (family.name().to_owned(), family.help().to_owned());
            FamilyDescriptor::new(name, help, family.unit().to_owned(), family.kind()).unwrap();
        }
    }

    #[test]
    fn every_change_of_the_store_is_counted_and_shown_at_0_before() {
        let mut state = Snapshot::new(0);
        declare(&mut state).unwrap();
        let mut delta = Delta::new();
        for (letters, change) in (0..).zip(Change::ALL) {
            assert!(state.get(CHANGES.name(), &labels(&[("change", change.as_str())]).unwrap()).is_some());
            changed(&mut delta, change, letters).unwrap();
            changed(&mut delta, change, letters).unwrap();
        }
        let count = |change| delta.get(CHANGES.name(), &labels(&[("change", change)]).unwrap()).cloned();
        assert_eq!(count("stored"), None, "nothing happened");
        assert_eq!(count("full"), Some(Value::Counter(2)));
        assert_eq!(count("redriven"), Some(Value::Counter(4)));
        assert_eq!(count("discarded"), Some(Value::Counter(6)));
    }

    #[test]
    fn every_reason_is_read_at_0_and_foreign_ones_are_one_series() {
        let counts: Counts = (0..1_000)
            .map(|n| (format!("mine_{n}"), Count { letters: 2, bytes: 10 }))
            .chain([("backend_400".to_owned(), Count { letters: 7, bytes: 1 })])
            .collect();
        let mut delta = Delta::new();
        readings(&mut delta, &counts, 1_000).unwrap();
        let letters = |reason| match delta.get(LETTERS.name(), &labels(&[("reason", reason)]).unwrap()) {
            Some(Value::Gauge(gauge)) => Some(gauge.value()),
            _ => None,
        };
        assert_eq!(letters("other"), Some(Number::Unsigned(2_000)));
        assert_eq!(letters("backend_400"), Some(Number::Unsigned(7)));
        assert_eq!(letters("retries_exhausted"), Some(Number::Unsigned(0)));
        assert_eq!(letters("mine_1"), None);
    }
}
