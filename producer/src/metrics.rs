//! What the producer counts of itself, beside what its resolves report: custom metrics like any Worker's, in the same
//! messages.
//!
//! A series begins at 0 with the isolate, so that its first failure shows as an increase.

use tributary_emitter::{Counter, Family};
use tributary_telemetry::{FamilyDescriptor, MetricKind};

use crate::materializations::write;
use crate::state::StateError;

const LABELS: [&str; 2] = ["outcome", "resolver_id"];

const STATE_LOADS_NAME: &str = "tributary_producer_state_loads";
const STATE_LOADS_HELP: &str = "Reads of the resolver state from KV by an isolate, by outcome.";
const READS_NAME: &str = "tributary_producer_materialization_reads";
const READS_HELP: &str = "Sticky assignments that resolves asked for, by outcome.";
const WRITES_NAME: &str = "tributary_producer_materialization_writes";
const WRITES_HELP: &str = "Sticky assignments that resolves made, by what became of them.";

static STATE_LOADS: Family<Counter, 2> = Family::counter(STATE_LOADS_NAME, STATE_LOADS_HELP, LABELS);
static READS: Family<Counter, 2> = Family::counter(READS_NAME, READS_HELP, LABELS);
static WRITES: Family<Counter, 2> = Family::counter(WRITES_NAME, WRITES_HELP, LABELS);

/// All families of this module, as they come to the consumer.
pub static ALL: [FamilyDescriptor; 3] = [
    FamilyDescriptor::from_static(STATE_LOADS_NAME, STATE_LOADS_HELP, "", MetricKind::Counter),
    FamilyDescriptor::from_static(READS_NAME, READS_HELP, "", MetricKind::Counter),
    FamilyDescriptor::from_static(WRITES_NAME, WRITES_HELP, "", MetricKind::Counter),
];

/// How a read of the resolver state ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Load {
    /// Another state took effect.
    Loaded,
    /// It is the one in effect.
    Unchanged,
    /// There is none.
    Missing,
    /// KV failed.
    Unreadable,
    /// It is none.
    Invalid,
}

impl Load {
    /// Every outcome.
    pub const ALL: [Self; 5] = [Self::Loaded, Self::Unchanged, Self::Missing, Self::Unreadable, Self::Invalid];

    /// The value of an `outcome` label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Loaded => "loaded",
            Self::Unchanged => "unchanged",
            Self::Missing => "missing",
            Self::Unreadable => "unreadable",
            Self::Invalid => "invalid",
        }
    }

    /// The outcome of a read that ended so; `is_same` says whether it found the state in effect.
    pub fn of<T>(is_same: bool, ended: &Result<T, StateError>) -> Self {
        match ended {
            Err(StateError::Missing) => Self::Missing,
            Err(StateError::Unreadable(_)) => Self::Unreadable,
            Err(StateError::Corrupt(_) | StateError::NotServed(_)) => Self::Invalid,
            Ok(_) if is_same => Self::Unchanged,
            Ok(_) => Self::Loaded,
        }
    }
}

/// Outcomes of records that were asked for.
const READ_OUTCOMES: [&str; 3] = ["found", "absent", "failed"];
/// Outcomes of records that were assigned.
const WRITE_OUTCOMES: [&str; 3] = ["written", "unchanged", "failed"];

/// Makes the series exist, at 0; those of sticky assignments where there is a store for them.
pub fn declare(resolver_id: &str, is_sticky: bool) {
    for load in Load::ALL {
        STATE_LOADS.with([load.as_str(), resolver_id]);
    }
    if is_sticky {
        for (family, outcomes) in [(&READS, READ_OUTCOMES), (&WRITES, WRITE_OUTCOMES)] {
            for outcome in outcomes {
                family.with([outcome, resolver_id]);
            }
        }
    }
}

/// The resolver state was read.
pub fn loaded(resolver_id: &str, load: Load) {
    STATE_LOADS.with([load.as_str(), resolver_id]).increment();
}

/// A resolve asked for records: so many are there, so many are not.
pub fn read(resolver_id: &str, found: usize, absent: usize) {
    add(&READS, "found", resolver_id, found);
    add(&READS, "absent", resolver_id, absent);
}

/// A resolve asked for so many records and was given none.
pub fn read_failed(resolver_id: &str, records: usize) {
    add(&READS, "failed", resolver_id, records);
}

/// The records that a resolve assigned were stored, or not.
pub fn wrote(resolver_id: &str, outcome: &write::Outcome) {
    let counts = [("written", outcome.written), ("unchanged", outcome.unchanged), ("failed", outcome.failed)];
    for (outcome, count) in counts {
        WRITES.with([outcome, resolver_id]).add(count);
    }
}

fn add(family: &Family<Counter, 2>, outcome: &str, resolver_id: &str, count: usize) {
    family.with([outcome, resolver_id]).add(u64::try_from(count).unwrap_or(u64::MAX));
}

#[cfg(test)]
mod tests {
    use tributary_telemetry::Value;

    use super::*;

    fn counts(name: &str) -> Vec<(String, u64)> {
        let delta = tributary_emitter::drain().delta;
        let family = delta.families().find(|family| family.descriptor().name() == name);
        let mut counts = Vec::new();
        for (labels, series) in family.into_iter().flat_map(|family| family.series()) {
            assert_eq!(labels.get("resolver_id"), Some("eu"));
            let Value::Counter(count) = series else { panic!("{series:?}") };
            counts.push((labels.get("outcome").unwrap_or_default().to_owned(), *count));
        }
        counts.sort();
        counts
    }

    fn expected(counts: &[(&str, u64)]) -> Vec<(String, u64)> {
        let mut counts: Vec<_> = counts.iter().map(|(outcome, count)| ((*outcome).to_owned(), *count)).collect();
        counts.sort();
        counts
    }

    #[test]
    fn series_begin_at_0_and_those_of_a_store_only_where_there_is_one() {
        declare("eu", false);
        let delta = tributary_emitter::drain().delta;
        let names: Vec<_> = delta.families().map(|family| family.descriptor().name().to_owned()).collect();
        assert_eq!(names, [STATE_LOADS_NAME]);
        declare("eu", true);
        assert_eq!(counts(READS_NAME), expected(&[("found", 0), ("absent", 0), ("failed", 0)]));
    }

    #[test]
    fn every_outcome_is_counted_under_its_name() {
        let cases = [
            (false, Ok(()), Load::Loaded),
            (true, Ok(()), Load::Unchanged),
            (false, Err(StateError::Corrupt("x")), Load::Invalid),
            (false, Err(StateError::Missing), Load::Missing),
            (false, Err(StateError::Unreadable(String::new())), Load::Unreadable),
        ];
        for (is_same, ended, load) in &cases {
            assert_eq!(Load::of(*is_same, ended), *load);
            loaded("eu", *load);
        }
        assert_eq!(counts(STATE_LOADS_NAME), expected(&Load::ALL.map(|load| (load.as_str(), 1))));
        read("eu", 2, 3);
        read_failed("eu", 4);
        assert_eq!(counts(READS_NAME), expected(&[("found", 2), ("absent", 3), ("failed", 4)]));
        wrote("eu", &write::Outcome { written: 5, unchanged: 6, failed: 7, failure: None });
        assert_eq!(counts(WRITES_NAME), expected(&[("written", 5), ("unchanged", 6), ("failed", 7)]));
    }
}
