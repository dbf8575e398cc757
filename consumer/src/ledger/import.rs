//! Imports: totals that another system counted before, which the state goes on from. Pure but for the statements' text.
//!
//! | table | row | written |
//! | --- | --- | --- |
//! | `imports` | one per source: the encoded [`v1::ImportRecord`] | with the state that the totals were added to, in one transaction; never deleted |
//!
//! An import is no record of a stream. A stream is forgotten when it was silent past the horizon, and what stands in for
//! it then is a floor under the ends of windows ([`super::floor`]); an import has no window, and one that names the
//! present would pass any floor. So a repeat months later would count again. A row that is never forgotten refuses it for
//! good, and the accounts of records ([`super::account`]) are left as they are.

use std::collections::BTreeSet;

use sha2::{Digest as _, Sha256};
use tributary_proto::{
    Message as _,
    v1::{self, ImportRecord, import_record, import_response::Outcome},
};
use tributary_telemetry::{
    ApplyError, Bounds, Delta, FamilyDescriptor, LabelSet, MetricKind, Number, Value,
    confidence::{KNOWN_REASONS, UNKNOWN_REASON, catalog, reason_label},
};

use super::{
    book::Book,
    sources::{self, FoldError},
    storage::StorageError,
};
use crate::{
    limits::{MAX_CLOCK_LEAD, MAX_IMPORT_SOURCE_BYTES, MAX_IMPORT_TOTAL, MAX_IMPORTS},
    self_metrics,
};

/// Makes the table where it is missing.
pub const CREATE: &str =
    "CREATE TABLE IF NOT EXISTS imports (place INTEGER PRIMARY KEY, source TEXT NOT NULL UNIQUE, record BLOB NOT NULL)";

/// All imports, oldest first.
pub const SELECT: &str = "SELECT record FROM imports ORDER BY place";

/// Adds one: source, record. Fails where the source is there.
pub const INSERT: &str = "INSERT INTO imports (source, record) VALUES (?, ?)";

/// An import, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Import {
    source: String,
    resolver_id: String,
    totals: Delta,
    digest: String,
    another: bool,
}

/// Why an import is refused. Nothing changed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The name of its source cannot be one.
    #[error("source: 1 to {MAX_IMPORT_SOURCE_BYTES} characters of A-Z, a-z, 0-9 and ._:/@-")]
    Source,
    /// The totals do not decode.
    #[error("the totals do not decode: {0}")]
    Totals(String),
    /// There are none.
    #[error("there are no totals")]
    Empty,
    /// A family that no import may add to: none of Confidence's, or a reading.
    #[error("family {0} is not one of Confidence's counters and histograms")]
    Family(String),
    /// A series with labels that the family does not have, or with a histogram of another layout.
    #[error("family {0} has a series that Confidence's telemetry does not have")]
    Series(String),
    /// No resolver, or more than one.
    #[error("every series has the same resolver_id")]
    ResolverId,
    /// A total that nothing can have counted.
    #[error("a total of family {0} is above 2^60, which nothing can have counted")]
    TooLarge(String),
    /// Counting began in the future.
    #[error("counting began after now")]
    Start,
    /// The Ledger has as many imports as it takes.
    #[error("there are {MAX_IMPORTS} imports, which is the most")]
    TooMany,
    /// The state has no room for some of the series, or has them in another shape.
    #[error("the state has no room for {0} of the series")]
    Room(u64),
    /// A total would overflow.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// Labels that were legal do not fold.
    #[error(transparent)]
    Fold(#[from] FoldError),
    /// The import cannot be counted.
    #[error(transparent)]
    Count(#[from] self_metrics::NotRecorded),
}

impl Import {
    /// Reads a request that came from outside.
    ///
    /// # Errors
    /// [`ImportError`], before anything is looked up.
    pub fn from_wire(request: v1::ImportRequest) -> Result<Self, ImportError> {
        let v1::ImportRequest { source, totals, another } = request;
        let is_legal = |byte: u8| byte.is_ascii_alphanumeric() || b"._:/@-".contains(&byte);
        if source.is_empty() || source.len() > MAX_IMPORT_SOURCE_BYTES || !source.bytes().all(is_legal) {
            return Err(ImportError::Source);
        }
        let sent =
            Delta::from_wire(totals.unwrap_or_default()).map_err(|error| ImportError::Totals(error.to_string()))?;
        if sent.is_empty() {
            return Err(ImportError::Empty);
        }
        let mut totals = Delta::new();
        totals.set_start(sent.start_time_ms().unwrap_or_default());
        let mut resolvers = BTreeSet::new();
        for family in sent.families() {
            let name = || family.descriptor().name().to_owned();
            let known = catalogued(family.descriptor()).ok_or_else(|| ImportError::Family(name()))?;
            for (labels, value) in family.series() {
                if !has_labels_of(known, labels) || !has_bounds_of_latencies(value) {
                    return Err(ImportError::Series(name()));
                }
                if total_of(value) > MAX_IMPORT_TOTAL || sum_of(value) > MAX_IMPORT_TOTAL {
                    return Err(ImportError::TooLarge(name()));
                }
                resolvers.insert(labels.get(catalog::RESOLVER_ID).unwrap_or_default());
                // With our descriptor: a help text from outside would be shown.
                totals
                    .add(known, labels.clone(), value.clone())
                    .map_err(|error| ImportError::Totals(error.to_string()))?;
            }
        }
        let resolver_id = match Vec::from_iter(resolvers).as_slice() {
            [one] if !one.is_empty() => (*one).to_owned(),
            _ => return Err(ImportError::ResolverId),
        };
        let digest = digest_of(&totals);
        Ok(Self { source, resolver_id, totals, digest, another })
    }

    /// What was counted.
    pub fn totals(&self) -> &Delta {
        &self.totals
    }

    /// What is kept of it.
    fn record(&self, now_ms: u64) -> ImportRecord {
        let families = self.totals.families().map(|family| import_record::Family {
            name: family.descriptor().name().to_owned(),
            series: u64::try_from(family.series().len()).unwrap_or(u64::MAX),
            total: family.series().fold(0, |sum, (_, value)| sum.saturating_add(total_of(value))),
        });
        ImportRecord {
            source: self.source.clone(),
            resolver_id: self.resolver_id.clone(),
            imported_ms: now_ms,
            start_time_ms: self.totals.start_time_ms().unwrap_or_default(),
            digest: self.digest.clone(),
            families: families.collect(),
        }
    }
}

/// The counter or histogram of the catalog that has this name and kind.
fn catalogued(descriptor: &FamilyDescriptor) -> Option<&'static FamilyDescriptor> {
    let is_meant = |known: &&FamilyDescriptor| known.name() == descriptor.name() && known.kind() == descriptor.kind();
    catalog::ALL.into_iter().find(is_meant).filter(|known| known.kind() != MetricKind::Gauge)
}

fn has_labels_of(family: &FamilyDescriptor, labels: &LabelSet) -> bool {
    if family.name() == catalog::PROVIDER_INIT.name() {
        // The sender's own.
        return true;
    }
    if family.name() != catalog::RESOLVES.name() {
        return labels.iter().all(|(name, _)| name == catalog::RESOLVER_ID);
    }
    let is_known = |reason: &str| {
        reason == UNKNOWN_REASON || (0_i32..).take(KNOWN_REASONS).any(|number| reason_label(number) == reason)
    };
    labels.len() == 2 && labels.get(catalog::REASON).is_some_and(is_known)
}

fn has_bounds_of_latencies(value: &Value) -> bool {
    match value {
        Value::Histogram(histogram) => {
            *histogram.bounds() == Bounds::latency() && matches!(histogram.sum(), Number::Unsigned(_))
        }
        // None of a catalogued family's; their kinds say so.
        Value::FloatCounter(_) | Value::UpDown(_) | Value::Exponential(_) => false,
        Value::Counter(_) | Value::Gauge(_) => true,
    }
}

fn total_of(value: &Value) -> u64 {
    match value {
        Value::Counter(count) => *count,
        Value::Histogram(histogram) => histogram.count(),
        Value::Exponential(histogram) => histogram.count(),
        Value::Gauge(_) | Value::FloatCounter(_) | Value::UpDown(_) => 0,
    }
}

fn sum_of(value: &Value) -> u64 {
    match value {
        Value::Histogram(histogram) => match histogram.sum() {
            Number::Unsigned(sum) => sum,
            Number::Float(_) => u64::MAX,
        },
        Value::Counter(_) | Value::Gauge(_) | Value::FloatCounter(_) | Value::UpDown(_) | Value::Exponential(_) => 0,
    }
}

/// Of what was counted alone: when counting began is a guess, and another one does not make other totals.
fn digest_of(totals: &Delta) -> String {
    let mut message = totals.to_wire();
    for series in message.families.iter_mut().flat_map(|family| &mut family.series) {
        series.start_time_ms = 0;
    }
    let digest: [u8; 32] = Sha256::digest(message.encode_to_vec()).into();
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What an import comes to.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// What the answer says.
    pub outcome: Outcome,
    /// The import that decided. Where the outcome is `Applied` it is to be written with the book, in one transaction.
    pub record: ImportRecord,
}

/// Decides an import and, where nothing is in its way, adds it to `book`: all of it, or none.
///
/// `known` holds every import that is stored. Where what is decided cannot be written, the book must be dropped and loaded
/// again.
///
/// # Errors
/// [`ImportError`]; the book may have changed, and must be dropped.
pub fn decide(import: &Import, known: &[ImportRecord], book: &mut Book, now_ms: u64) -> Result<Decision, ImportError> {
    let is_there = |outcome, record: &ImportRecord| Ok(Decision { outcome, record: record.clone() });
    if let Some(record) = known.iter().find(|record| record.source == import.source) {
        let is_same = record.digest == import.digest;
        return is_there(if is_same { Outcome::AlreadyImported } else { Outcome::OtherTotals }, record);
    }
    if let Some(record) = known.iter().find(|record| record.digest == import.digest) {
        return is_there(Outcome::SameTotals, record);
    }
    let for_resolver = known.iter().find(|record| record.resolver_id == import.resolver_id);
    if let Some(record) = for_resolver.filter(|_| !import.another) {
        return is_there(Outcome::OtherSource, record);
    }
    if known.len() >= MAX_IMPORTS {
        return Err(ImportError::TooMany);
    }
    let lead_ms = u64::try_from(MAX_CLOCK_LEAD.as_millis()).unwrap_or(u64::MAX);
    if import.totals.start_time_ms().is_some_and(|start_ms| start_ms > now_ms.saturating_add(lead_ms)) {
        return Err(ImportError::Start);
    }
    // What commits fold or leave out, an import must not: its totals would not be where they are looked for.
    let folded = sources::fold(&import.totals, &book.state, book.dimensions_budget)?;
    if folded.series > 0 {
        return Err(ImportError::Room(folded.series));
    }
    let seeded = book.state.seed(&import.totals, now_ms)?;
    let left_out = seeded.series_refused.saturating_add(seeded.series_conflicting);
    if left_out > 0 {
        return Err(ImportError::Room(left_out));
    }
    book.note(now_ms, |delta| self_metrics::imported(delta, &import.resolver_id))?;
    Ok(Decision { outcome: Outcome::Applied, record: import.record(now_ms) })
}

/// Reads the rows of [`SELECT`].
///
/// # Errors
/// [`StorageError::Import`]
pub fn decode_rows<'a>(rows: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<ImportRecord>, StorageError> {
    let read = |row| ImportRecord::decode(row).map_err(|error| StorageError::Import(error.to_string()));
    rows.into_iter().map(read).collect()
}

#[cfg(test)]
#[path = "import_tests.rs"]
mod tests;
