//! The bound on sources, and the series in which all beyond it are counted.
//!
//! A *source* is what the series of one report have in common: a `resolver_id` and, where `METRICS_DIMENSIONS` says so,
//! dimensions. Each costs a latency histogram and a series for every reason, so their number is bounded. Past the bound
//! a new source is counted under `other`: first its dimensions become `other`, and where there is no room for that
//! either, its `resolver_id` too. So no count is lost, series that exist keep growing, and the series that were folded
//! are counted.
//!
//! Which sources exist is read from the state itself. That takes a look at every series, but only when a commit brings
//! a series that is new.

use std::{borrow::Cow, collections::BTreeSet};

use tributary_telemetry::{
    Delta, DeltaError, LabelError, LabelSet, Snapshot, confidence::catalog, custom::is_of_pipeline,
};

use crate::{
    dimensions::{Dimension, OTHER},
    limits::MAX_SOURCES,
    self_metrics::{LOST_RECORDS, RECORDS_APPLIED, RECORDS_MISSING, RECORDS_SENT},
};

/// Why a delta cannot be folded: a total in `other` would overflow.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum FoldError {
    /// Two series that became one do not add up.
    #[error(transparent)]
    Delta(#[from] DeltaError),
    /// Never: labels that were legal, with a value that is.
    #[error(transparent)]
    Label(#[from] LabelError),
}

/// What [`fold`] made of a delta.
#[derive(Clone, Debug, PartialEq)]
pub struct Folded<'a> {
    /// The delta, with the series of sources beyond the bounds under `other`.
    pub delta: Cow<'a, Delta>,
    /// How many series of the delta that were.
    pub series: u64,
}

/// Holds `delta` to the bounds: at most `budget` sources with the same dimensions, [`MAX_SOURCES`] in all, beside
/// `other`. Sources of the state are never folded.
///
/// # Errors
/// [`FoldError`]
pub fn fold<'a>(delta: &'a Delta, state: &Snapshot, budget: usize) -> Result<Folded<'a>, FoldError> {
    let is_new = |family: &str, labels: &LabelSet| is_bound(family, labels) && state.get(family, labels).is_none();
    let brings_new =
        delta.families().any(|family| family.series().any(|(labels, _)| is_new(family.descriptor().name(), labels)));
    if !brings_new {
        return Ok(Folded { delta: Cow::Borrowed(delta), series: 0 });
    }
    let mut sources = Sources::of(state, budget)?;
    let mut folded = Delta::new();
    if let Some(start_ms) = delta.start_time_ms() {
        folded.set_start(start_ms);
    }
    let mut series = 0u64;
    for family in delta.families() {
        for (labels, value) in family.series() {
            let labels = if is_new(family.descriptor().name(), labels) {
                let admitted = sources.admit(labels)?;
                series = series.saturating_add(u64::from(admitted != *labels));
                admitted
            } else {
                labels.clone()
            };
            folded.add(family.descriptor(), labels, value.clone())?;
        }
    }
    let delta = if series == 0 { Cow::Borrowed(delta) } else { Cow::Owned(folded) };
    Ok(Folded { delta, series })
}

/// Says whether the series counts for the bound on sources.
fn is_bound(family: &str, labels: &LabelSet) -> bool {
    // Accounts have a bound of their own (`ledger::account`), and the labels of provider initialisations are the
    // sender's.
    let exempt = [&catalog::PROVIDER_INIT, &RECORDS_SENT, &RECORDS_APPLIED, &RECORDS_MISSING, &LOST_RECORDS];
    // A custom metric may have a label of this name, and is no source by that.
    let is_ours = is_of_pipeline(family);
    is_ours && labels.get(catalog::RESOLVER_ID).is_some() && exempt.iter().all(|descriptor| descriptor.name() != family)
}

fn is_dimension(name: &str) -> bool {
    Dimension::ALL.into_iter().any(|dimension| dimension.as_str() == name)
}

/// The labels of the source alone.
fn source_of(labels: &LabelSet) -> Result<LabelSet, LabelError> {
    LabelSet::from_pairs(labels.iter().filter(|(name, _)| *name == catalog::RESOLVER_ID || is_dimension(name)))
}

/// Says whether all dimensions are `other`.
fn is_other(source: &LabelSet) -> bool {
    source.iter().all(|(name, value)| !is_dimension(name) || value == OTHER)
}

/// `labels` with `other` for what `replace` names.
fn with_other(labels: &LabelSet, replace: impl Fn(&str) -> bool) -> Result<LabelSet, LabelError> {
    LabelSet::from_pairs(labels.iter().map(|(name, value)| (name, if replace(name) { OTHER } else { value })))
}

/// The sources that there are.
struct Sources {
    known: BTreeSet<LabelSet>,
    budget: usize,
}

impl Sources {
    fn of(state: &Snapshot, budget: usize) -> Result<Self, LabelError> {
        let mut known = BTreeSet::new();
        // Not a look at each custom series, of which there are a hundred times as many.
        for family in state.families().filter(|family| is_of_pipeline(family.descriptor().name())) {
            for (labels, _) in family.series() {
                if is_bound(family.descriptor().name(), labels) {
                    known.insert(source_of(labels)?);
                }
            }
        }
        Ok(Self { known, budget })
    }

    /// The labels under which a series is counted: its own where its source is known or there is room for it.
    fn admit(&mut self, labels: &LabelSet) -> Result<LabelSet, LabelError> {
        let without_dimensions = with_other(labels, is_dimension)?;
        // `other` is none of those that the budget counts.
        for (candidate, budget) in [(labels, self.budget), (&without_dimensions, usize::MAX)] {
            let source = source_of(candidate)?;
            if self.known.contains(&source) || self.has_room(&source, budget) {
                self.known.insert(source);
                return Ok(candidate.clone());
            }
        }
        // Always taken: there are as many of these as there are choices of dimensions, and of those no more than 32.
        with_other(labels, |name| name == catalog::RESOLVER_ID || is_dimension(name))
    }

    fn has_room(&self, source: &LabelSet, budget: usize) -> bool {
        let names = |labels: &LabelSet| labels.iter().map(|(name, _)| name.to_owned()).collect::<Vec<_>>();
        let is_like = |known: &&LabelSet| names(known) == names(source) && !is_other(known);
        let has_dimensions = source.len() > 1;
        self.known.len() < MAX_SOURCES && (!has_dimensions || self.known.iter().filter(is_like).count() < budget)
    }
}

#[cfg(test)]
mod tests {
    use tributary_telemetry::{
        Series, Value,
        confidence::{Source, TelemetryDelta},
    };

    use super::*;
    use crate::limits::DEFAULT_DIMENSIONS_BUDGET;

    fn delta_of(resolver_id: &str, dimensions: &[(&'static str, &str)]) -> Delta {
        let mut telemetry = TelemetryDelta::new();
        telemetry.observe_latency(1_000);
        telemetry.add_resolves(1, 1);
        telemetry.to_delta(Source { resolver_id, dimensions }, 1_000).unwrap()
    }

    fn apply(state: &mut Snapshot, delta: &Delta, budget: usize) -> u64 {
        let folded = fold(delta, state, budget).unwrap();
        let applied = state.apply(&folded.delta, 2_000).unwrap();
        assert_eq!((applied.series_refused, applied.series_conflicting), (0, 0));
        folded.series
    }

    fn count_of(series: &Series) -> u64 {
        let Value::Counter(count) = series.value() else { panic!("no counter: {series:?}") };
        *count
    }

    fn total(state: &Snapshot) -> u64 {
        let family = state.families().find(|family| family.descriptor().name() == "confidence_resolves").unwrap();
        family.series().map(|(_, series)| count_of(series)).sum()
    }

    #[test]
    fn sources_within_the_budget_keep_their_labels_and_the_rest_is_other() {
        let mut state = Snapshot::new(1_000);
        for round in 0..3 {
            for colo in 0..20 {
                let colo = format!("C{colo:02}");
                let folded = apply(&mut state, &delta_of("r", &[("colo", &colo)]), 5);
                assert_eq!(folded > 0, colo.as_str() >= "C05", "round {round} {colo}");
            }
        }
        assert_eq!(total(&state), 60);
        let labels = |colo| {
            LabelSet::from_pairs([("resolver_id", "r"), ("reason", "RESOLVE_REASON_MATCH"), ("colo", colo)]).unwrap()
        };
        let count = |colo| state.get("confidence_resolves", &labels(colo)).map(count_of);
        assert_eq!((count("C04"), count("C05"), count(OTHER)), (Some(3), None, Some(45)));
    }

    #[test]
    fn whatever_is_switched_on_or_off_the_sum_loses_and_doubles_nothing() {
        let mut state = Snapshot::new(1_000);
        let choices: [&[&'static str]; 5] = [&[], &["colo"], &["colo", "sdk"], &[], &["environment"]];
        let mut sent = 0;
        for names in choices {
            for value in 0..50 {
                let value = format!("{value}");
                let dimensions: Vec<_> = names.iter().map(|name| (*name, value.as_str())).collect();
                apply(&mut state, &delta_of("r", &dimensions), 30);
                sent += 1;
                assert_eq!(total(&state), sent);
            }
        }
    }

    #[test]
    fn hostile_producers_make_no_more_series_than_the_bound_and_no_count_is_lost() {
        let mut state = Snapshot::new(1_000);
        apply(&mut state, &delta_of("honest", &[]), DEFAULT_DIMENSIONS_BUDGET);
        for producer in 0..2_000 {
            let colo = format!("{producer}");
            apply(&mut state, &delta_of(&format!("hostile-{producer}"), &[("colo", &colo)]), DEFAULT_DIMENSIONS_BUDGET);
        }
        apply(&mut state, &delta_of("honest", &[]), DEFAULT_DIMENSIONS_BUDGET);
        assert_eq!(total(&state), 2_002);
        let family = state.families().find(|family| family.descriptor().name() == "confidence_resolves").unwrap();
        assert!(family.series().len() <= MAX_SOURCES + 2, "{}", family.series().len());
        let honest = LabelSet::from_pairs([("resolver_id", "honest"), ("reason", "RESOLVE_REASON_MATCH")]).unwrap();
        assert_eq!(state.get("confidence_resolves", &honest).map(count_of), Some(2));
    }

    #[test]
    fn the_order_of_series_in_one_delta_does_not_matter_for_its_sum() {
        let mut delta = Delta::new();
        for colo in ["A", "B", "C", "D"] {
            delta.merge(&delta_of("r", &[("colo", colo)])).unwrap();
        }
        let mut state = Snapshot::new(1_000);
        assert!(apply(&mut state, &delta, 2) > 0);
        assert_eq!(total(&state), 4);
    }
}
