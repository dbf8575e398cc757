//! The pipeline watching itself: the `tributary_*` families, and what each event adds to them.
//!
//! - `families`: names and help texts, each once.
//! - `events`: what happens to batches, messages, deliveries, streams and copies.
//! - `records`: what the records of a batch add, themselves and by being applied.
//! - `accounts`: the series of each producer's account.
//! - `readings`: what a new state shows, and the gauges that are read when the state is published.

mod accounts;
mod events;
mod families;
mod readings;
mod records;

use tributary_telemetry::{
    Bounds, Delta, DeltaError, ExplicitBounds, FamilyDescriptor, Gauge, Histogram, LabelSet, Number,
};

pub use accounts::{account_entries, accounts, declare_account, declare_accounts, has_account};
pub use events::{
    OF_DELIVERIES, batch, custom_folded, custom_refused, delivery, forgotten, imported, kv_write, malformed,
    not_applied, points_refused, retried, series_folded, series_refused,
};
pub use families::*;
pub use readings::{LedgerStatus, declare, with_readings};
pub use records::delta_of;

use crate::self_report::SelfReport;

/// Why something could not be recorded.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("not recorded: {0}")]
pub struct NotRecorded(String);

impl NotRecorded {
    pub(crate) fn new(error: impl std::fmt::Display) -> Self {
        Self(error.to_string())
    }
}

/// Adds to the isolate's own report.
///
/// What cannot be added is given up: it would take a 64-bit total that overflows within one report, and there is no
/// better place left to count it.
pub fn record(report: &mut SelfReport, add: impl FnOnce(&mut Delta) -> Result<(), NotRecorded>) {
    let mut changed = report.open().clone();
    if add(&mut changed).is_ok() {
        *report.open() = changed;
    }
}

pub(crate) fn labels(pairs: &[(&'static str, &str)]) -> Result<LabelSet, NotRecorded> {
    LabelSet::from_static(pairs).map_err(NotRecorded::new)
}

pub(crate) fn add(
    delta: &mut Delta,
    family: &FamilyDescriptor,
    pairs: &[(&'static str, &str)],
    count: u64,
) -> Result<(), NotRecorded> {
    delta.add_counter(family, labels(pairs)?, count).map_err(|error: DeltaError| NotRecorded::new(error))
}

pub(crate) fn set(
    delta: &mut Delta,
    family: &FamilyDescriptor,
    pairs: &[(&'static str, &str)],
    value: Number,
    now_ms: u64,
) -> Result<(), NotRecorded> {
    let gauge = Gauge::new(value, now_ms).map_err(NotRecorded::new)?;
    delta.set_gauge(family, labels(pairs)?, gauge).map_err(NotRecorded::new)
}

pub(crate) fn add_observations(
    delta: &mut Delta,
    family: &FamilyDescriptor,
    labels: LabelSet,
    bounds: &[f64],
    values: impl IntoIterator<Item = f64>,
) -> Result<(), NotRecorded> {
    let mut counts = vec![0u64; bounds.len().saturating_add(1)];
    let mut sum = 0.0;
    for value in values {
        // The first bound that is not below the value: upper bounds are inclusive.
        let bucket = bounds.partition_point(|bound| *bound < value);
        if let Some(count) = counts.get_mut(bucket) {
            *count = count.saturating_add(1);
        }
        sum += value;
    }
    let bounds = Bounds::Explicit(ExplicitBounds::new(bounds).map_err(NotRecorded::new)?);
    let histogram = Histogram::from_parts(bounds, counts, Number::Float(sum)).map_err(NotRecorded::new)?;
    delta.add_histogram(family, labels, &histogram).map_err(NotRecorded::new)
}

#[cfg(test)]
mod tests {
    use tributary_proto::envelope::StreamId;

    use super::*;

    #[test]
    fn a_record_that_cannot_be_added_leaves_the_report_as_it_was() {
        let mut report = SelfReport::new(StreamId([0; 16]));
        record(&mut report, |delta| retried(delta, 3));
        let before = report.open().clone();
        record(&mut report, |delta| {
            retried(delta, 1)?;
            Err(NotRecorded::new("spoiled"))
        });
        assert_eq!(*report.open(), before);
    }
}
