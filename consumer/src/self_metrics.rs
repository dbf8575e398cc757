//! The pipeline watching itself: the `tributary_*` families, and what each event adds to them.

use std::collections::BTreeMap;

use tributary_proto::v1::{self, commit_response::Verdict, dropped};
use tributary_telemetry::{
    Applied, Bounds, Delta, DeltaError, ExplicitBounds, FamilyDescriptor, Gauge, Histogram, LabelSet, MetricKind,
    Number, Snapshot, Zero,
    confidence::{self, TelemetryDelta, catalog},
};

use crate::{
    backend::delivery::{DeliveryOutcome, Destination},
    config::{OPENMETRICS_KEY, SNAPSHOT_KEY},
    dead_letters,
    ledger::{
        account::{self, Entries},
        book::ForgetReason,
        commit::StreamKind,
    },
    message::{Decoded, Telemetry},
    self_report::SelfReport,
};

const fn counter(name: &'static str, help: &'static str) -> FamilyDescriptor {
    FamilyDescriptor::from_static(name, help, "", MetricKind::Counter)
}

/// Messages by what became of them. `applied` is counted with the message itself, hence exactly once.
pub const MESSAGES: FamilyDescriptor =
    counter("tributary_messages", "Queue messages by outcome; every delivery of a duplicate counts.");
/// Messages that say nothing that can be used.
pub const MALFORMED: FamilyDescriptor =
    counter("tributary_malformed_messages", "Queue messages that could not be read, by reason.");
/// Messages whose telemetry contradicts itself.
pub const TELEMETRY_REFUSED: FamilyDescriptor = counter(
    "tributary_refused_telemetry",
    "Messages whose telemetry was refused because it contradicts itself; their flag logs went on.",
);
/// Observations that came in another bucket layout.
pub const REBUCKETED: FamilyDescriptor =
    counter("tributary_rebucketed_observations", "Latency observations that arrived in another bucket layout.");
/// Assignments that producers gave up.
pub const DROPPED: FamilyDescriptor =
    counter("tributary_dropped_assignments", "Assignments that producers dropped before sending, by reason.");
/// Deliveries to the backend.
pub const BACKEND_REQUESTS: FamilyDescriptor =
    counter("tributary_backend_requests", "Deliveries of merged flag logs to the Confidence backend.");
/// How far the streams of a producer came.
pub const RECORDS_SENT: FamilyDescriptor = counter(
    "tributary_records_sent",
    "Records that producers numbered, as far as known: the sum of the highest sequences of their streams.",
);
/// Records that are in the state.
pub const RECORDS_APPLIED: FamilyDescriptor =
    counter("tributary_records_applied", "Records whose metrics were applied; each once.");
/// Records that are awaited.
pub const RECORDS_MISSING: FamilyDescriptor = FamilyDescriptor::from_static(
    "tributary_records_missing",
    "Records that a later one of their stream overtook and that did not come yet: in flight, malformed or lost.",
    "",
    MetricKind::Gauge,
);
/// Records that were never seen.
pub const LOST_RECORDS: FamilyDescriptor = counter(
    "tributary_lost_records",
    "Records that were still missing when their stream was forgotten, or that the bound on gaps gave up.",
);
/// Streams that are no longer remembered.
pub const FORGOTTEN_STREAMS: FamilyDescriptor =
    counter("tributary_forgotten_streams", "Streams that the Ledger no longer remembers, by why.");
/// Series that the bound refused.
pub const SERIES_REFUSED: FamilyDescriptor =
    counter("tributary_refused_series", "New series refused because the bound on series was reached.");
/// Puts of the published copies.
pub const KV_WRITES: FamilyDescriptor =
    counter("tributary_kv_writes", "Writes of the published metrics to Workers KV.");
/// Size of batches.
pub const BATCH_MESSAGES: FamilyDescriptor = FamilyDescriptor::from_static(
    "tributary_batch_messages",
    "Messages per batch delivered to the consumer.",
    "",
    MetricKind::Histogram,
);
/// How old a delta is when it is applied.
pub const DELTA_AGE: FamilyDescriptor = FamilyDescriptor::from_static(
    "tributary_delta_age_seconds",
    "Time from the end of a delta's window until it was applied.",
    "seconds",
    MetricKind::Histogram,
);
/// Streams that are remembered.
pub const STREAMS: FamilyDescriptor = FamilyDescriptor::from_static(
    "tributary_ledger_streams",
    "Streams that the Ledger remembers, by where they come from.",
    "",
    MetricKind::Gauge,
);
/// Series in the state.
pub const SERIES: FamilyDescriptor =
    FamilyDescriptor::from_static("tributary_ledger_series", "Series in the cumulative state.", "", MetricKind::Gauge);
/// When a producer's delta was last applied.
pub const LAST_APPLIED: FamilyDescriptor = FamilyDescriptor::from_static(
    "tributary_last_applied_timestamp_seconds",
    "When the last delta was applied; 0 before the first.",
    "seconds",
    MetricKind::Gauge,
);

const BATCH_BOUNDS: &[f64] = &[1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0];
const AGE_BOUNDS: &[f64] = &[0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 21600.0, 86400.0];

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

/// A batch arrived.
///
/// # Errors
/// [`NotRecorded`], as for every function here that adds to a delta.
pub fn batch(delta: &mut Delta, messages: usize) -> Result<(), NotRecorded> {
    let size = u32::try_from(messages).unwrap_or(u32::MAX);
    add_observations(delta, &BATCH_MESSAGES, LabelSet::empty(), BATCH_BOUNDS, [f64::from(size)])
}

/// A message could not be read.
///
/// # Errors
/// [`NotRecorded`]
pub fn malformed(delta: &mut Delta, reason: &'static str) -> Result<(), NotRecorded> {
    add(delta, &MALFORMED, &[("reason", reason)], 1)?;
    add(delta, &MESSAGES, &[("outcome", "malformed")], 1)
}

/// A record was not applied because it is in the state already, or too old.
///
/// # Errors
/// [`NotRecorded`]
pub fn not_applied(delta: &mut Delta, resolver_id: &str, verdict: Verdict) -> Result<(), NotRecorded> {
    let outcome = if verdict == Verdict::Expired { "expired" } else { "duplicate" };
    add(delta, &MESSAGES, &[("outcome", outcome), ("resolver_id", resolver_id)], 1)
}

/// Messages go back to the queue.
///
/// # Errors
/// [`NotRecorded`]
pub fn retried(delta: &mut Delta, messages: usize) -> Result<(), NotRecorded> {
    add(delta, &MESSAGES, &[("outcome", "retried")], u64::try_from(messages).unwrap_or(u64::MAX))
}

/// The backend answered, or did not. Counts as a flush of this consumer too, under the name that the other providers
/// use for their own deliveries.
///
/// # Errors
/// [`NotRecorded`]
pub fn delivery(
    delta: &mut Delta,
    resolver_id: &str,
    destination: Destination,
    outcome: DeliveryOutcome,
) -> Result<(), NotRecorded> {
    let flush = if outcome == DeliveryOutcome::Delivered { &catalog::FLUSH_SUCCEEDED } else { &catalog::FLUSH_FAILED };
    add(delta, flush, &[("resolver_id", resolver_id)], 1)?;
    add(delta, &BACKEND_REQUESTS, &[("destination", destination.as_str()), ("outcome", outcome.as_str())], 1)
}

/// A published copy was written, or not.
///
/// # Errors
/// [`NotRecorded`]
pub fn kv_write(delta: &mut Delta, key: &str, written: bool) -> Result<(), NotRecorded> {
    add(delta, &KV_WRITES, &[("key", key), ("outcome", if written { "written" } else { "failed" })], 1)
}

/// New series were refused.
///
/// # Errors
/// [`NotRecorded`]
pub fn series_refused(delta: &mut Delta, series: u64) -> Result<(), NotRecorded> {
    add(delta, &SERIES_REFUSED, &[], series)
}

/// What happened to the records of each account. What has no account, the reports of consumers, shows only where it is
/// lost.
///
/// # Errors
/// [`NotRecorded`]
pub fn account_entries(delta: &mut Delta, entries: &Entries) -> Result<(), NotRecorded> {
    for (account, entry) in entries {
        let of_account = [(catalog::RESOLVER_ID, account.as_str())];
        let totals = [(&RECORDS_SENT, entry.sent), (&RECORDS_APPLIED, entry.applied), (&LOST_RECORDS, entry.lost)];
        for (family, count) in totals {
            if count > 0 && (!account.is_empty() || family.name() == LOST_RECORDS.name()) {
                add(delta, family, &of_account, count)?;
            }
        }
    }
    Ok(())
}

/// Streams were forgotten.
///
/// # Errors
/// [`NotRecorded`]
pub fn forgotten(delta: &mut Delta, kind: StreamKind, reason: &'static str, streams: u64) -> Result<(), NotRecorded> {
    add(delta, &FORGOTTEN_STREAMS, &[("kind", kind.as_str()), ("reason", reason)], streams)
}

/// The names of all accounts in the state.
pub fn accounts(state: &Snapshot) -> impl Iterator<Item = &str> {
    let family = state.families().find(|family| family.descriptor().name() == RECORDS_SENT.name());
    family.into_iter().flat_map(|family| family.series()).filter_map(|(labels, _)| labels.get(catalog::RESOLVER_ID))
}

/// True when the state has the account.
pub fn has_account(state: &Snapshot, account: &str) -> bool {
    labels(&[(catalog::RESOLVER_ID, account)]).is_ok_and(|labels| state.get(RECORDS_SENT.name(), &labels).is_some())
}

/// Makes the series of an account exist, at 0. False where one of them was refused; the account is then not there.
pub fn declare_account(state: &mut Snapshot, account: &str) -> bool {
    let of_account = [(catalog::RESOLVER_ID, account)];
    let mut missing = Delta::new();
    let (Ok(labels), Ok(())) =
        (labels(&of_account), set(&mut missing, &RECORDS_MISSING, &of_account, Number::Unsigned(0), 0))
    else {
        return false;
    };
    // Read at time 0, so that any reading replaces it.
    let now_ms = state.last_applied_ms();
    let Ok(gauge) = state.apply(&missing, now_ms) else { return false };
    // What was sent comes last: it is what says that there is the account.
    let is_taken = |applied: Applied| applied.series_refused == 0 && applied.series_conflicting == 0;
    is_taken(gauge)
        && [&RECORDS_APPLIED, &LOST_RECORDS, &RECORDS_SENT]
            .into_iter()
            .all(|family| is_taken(state.declare(family, labels.clone(), Zero::Counter)))
}

/// Makes the accounts exist that belong to no producer.
pub fn declare_accounts(state: &mut Snapshot) {
    for name in [account::UNKNOWN, account::OTHER] {
        // At the bound on series what is refused is counted by every commit that would add to it.
        let _is_declared = declare_account(state, name);
    }
}

/// Everything that records add to the metrics, merged: per producer its Confidence telemetry, what is known of its
/// messages, and how old they are.
///
/// # Errors
/// [`NotRecorded`] where a 64-bit total would overflow.
pub fn delta_of(records: &[&Decoded], now_ms: u64) -> Result<Delta, NotRecorded> {
    let mut by_producer: BTreeMap<&str, Vec<&Decoded>> = BTreeMap::new();
    for decoded in records {
        by_producer.entry(&decoded.resolver_id).or_default().push(decoded);
    }
    let mut merged = Delta::new();
    for (resolver_id, records) in by_producer {
        merged.merge(&delta_of_producer(resolver_id, &records, now_ms)?).map_err(NotRecorded::new)?;
    }
    if !records.is_empty() {
        set(&mut merged, &LAST_APPLIED, &[], Number::Float(seconds(now_ms)), now_ms)?;
    }
    Ok(merged)
}

fn delta_of_producer(resolver_id: &str, records: &[&Decoded], now_ms: u64) -> Result<Delta, NotRecorded> {
    let mut telemetry = TelemetryDelta::default();
    let (mut rebucketed, mut refused) = (0u64, 0u64);
    let mut dropped: BTreeMap<&str, u64> = BTreeMap::new();
    for record in records {
        match &record.telemetry {
            Telemetry::Read { delta, rebucketed: observations, .. } => {
                telemetry.merge(delta).map_err(NotRecorded::new)?;
                rebucketed = rebucketed.saturating_add(*observations);
            }
            Telemetry::Refused(_) => refused = refused.saturating_add(1),
            Telemetry::Absent => {}
        }
        for entry in &record.dropped {
            let total = dropped.entry(drop_reason(entry)).or_default();
            *total = total.saturating_add(entry.assignments);
        }
    }
    let window_start_ms = records.iter().map(|record| record.window_start_ms).min().unwrap_or(now_ms);
    let mut delta = telemetry.to_delta(resolver_id, window_start_ms).map_err(NotRecorded::new)?;
    let producer = [("resolver_id", resolver_id)];
    let applied = u64::try_from(records.len()).unwrap_or(u64::MAX);
    add(&mut delta, &MESSAGES, &[("outcome", "applied"), ("resolver_id", resolver_id)], applied)?;
    if rebucketed > 0 {
        add(&mut delta, &REBUCKETED, &producer, rebucketed)?;
    }
    if refused > 0 {
        add(&mut delta, &TELEMETRY_REFUSED, &producer, refused)?;
    }
    for (reason, assignments) in dropped {
        add(&mut delta, &DROPPED, &[("reason", reason), ("resolver_id", resolver_id)], assignments)?;
    }
    let ages = records.iter().map(|record| seconds(now_ms.saturating_sub(record.record.window_end_ms)));
    add_observations(&mut delta, &DELTA_AGE, labels(&producer)?, AGE_BOUNDS, ages)?;
    Ok(delta)
}

fn drop_reason(entry: &v1::Dropped) -> &'static str {
    match entry.reason() {
        dropped::Reason::Unspecified => "unspecified",
        dropped::Reason::BufferFull => "buffer_full",
        dropped::Reason::Oversize => "oversize",
    }
}

/// What is known of the Ledger beside its state, at the time of a publication.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LedgerStatus {
    /// Streams remembered, by kind.
    pub streams: BTreeMap<&'static str, u64>,
    /// Dead letters in the store, by reason.
    pub dead_letters: dead_letters::metrics::Counts,
    /// Records missing below the high-water marks of the streams, by account.
    pub missing: BTreeMap<String, u64>,
}

/// The state with the gauges that are read at the time of a publication.
///
/// # Errors
/// [`NotRecorded`], never in practice: the readings are no sums.
pub fn with_readings(state: &Snapshot, status: &LedgerStatus, now_ms: u64) -> Result<Snapshot, NotRecorded> {
    let mut delta = Delta::new();
    for kind in StreamKind::ALL {
        let streams = status.streams.get(kind.as_str()).copied().unwrap_or_default();
        set(&mut delta, &STREAMS, &[("kind", kind.as_str())], Number::Unsigned(streams), now_ms)?;
    }
    for account in accounts(state) {
        let missing = status.missing.get(account).copied().unwrap_or_default();
        set(&mut delta, &RECORDS_MISSING, &[(catalog::RESOLVER_ID, account)], Number::Unsigned(missing), now_ms)?;
    }
    let series = u64::try_from(state.series_count()).unwrap_or(u64::MAX);
    set(&mut delta, &SERIES, &[], Number::Unsigned(series), now_ms)?;
    dead_letters::metrics::readings(&mut delta, &status.dead_letters, now_ms)?;
    let mut read = state.clone();
    // The series of the readings are declared with the state, so the bound on series refuses none of them.
    let _applied = read.apply(&delta, now_ms).map_err(NotRecorded::new)?;
    Ok(read)
}

/// Makes a new state show everything that is known to come, at 0: the series of `resolver_id` and the pipeline's own.
/// A series that begins at 0 shows its first increase; and at the bound on series the pipeline can still speak.
///
/// # Errors
/// [`NotRecorded`] where `resolver_id` is no label value.
pub fn declare(state: &mut Snapshot, resolver_id: &str, now_ms: u64) -> Result<(), NotRecorded> {
    let _declared = confidence::declare_resolver(state, resolver_id).map_err(NotRecorded::new)?;
    dead_letters::metrics::declare(state)?;
    let mut zero = |family: &FamilyDescriptor, pairs: &[(&str, &str)]| -> Result<(), NotRecorded> {
        let _declared = state.declare(family, labels(pairs)?, Zero::Counter);
        Ok(())
    };
    for outcome in ["applied", "duplicate", "expired"] {
        zero(&MESSAGES, &[("outcome", outcome), ("resolver_id", resolver_id)])?;
    }
    for outcome in ["malformed", "retried"] {
        zero(&MESSAGES, &[("outcome", outcome)])?;
    }
    for outcome in ["delivered", "unavailable", "refused", "misconfigured"] {
        zero(&BACKEND_REQUESTS, &[("destination", Destination::Edge.as_str()), ("outcome", outcome)])?;
    }
    for key in [OPENMETRICS_KEY, SNAPSHOT_KEY] {
        for outcome in ["written", "failed"] {
            zero(&KV_WRITES, &[("key", key), ("outcome", outcome)])?;
        }
    }
    zero(&LOST_RECORDS, &[])?;
    zero(&SERIES_REFUSED, &[])?;
    for kind in StreamKind::ALL {
        for reason in ForgetReason::ALL {
            zero(&FORGOTTEN_STREAMS, &[("kind", kind.as_str()), ("reason", reason.as_str())])?;
        }
    }
    declare_accounts(state);
    let _is_declared = declare_account(state, resolver_id);
    let mut never = Delta::new();
    set(&mut never, &LAST_APPLIED, &[], Number::Float(0.0), 0)?;
    let _applied = state.apply(&never, now_ms).map_err(NotRecorded::new)?;
    *state = with_readings(state, &LedgerStatus::default(), now_ms)?;
    Ok(())
}

pub(crate) fn labels(pairs: &[(&str, &str)]) -> Result<LabelSet, NotRecorded> {
    LabelSet::from_pairs(pairs.iter().copied()).map_err(NotRecorded::new)
}

pub(crate) fn add(
    delta: &mut Delta,
    family: &FamilyDescriptor,
    pairs: &[(&str, &str)],
    count: u64,
) -> Result<(), NotRecorded> {
    delta.add_counter(family, labels(pairs)?, count).map_err(|error: DeltaError| NotRecorded::new(error))
}

pub(crate) fn set(
    delta: &mut Delta,
    family: &FamilyDescriptor,
    pairs: &[(&str, &str)],
    value: Number,
    now_ms: u64,
) -> Result<(), NotRecorded> {
    let gauge = Gauge::new(value, now_ms).map_err(NotRecorded::new)?;
    delta.set_gauge(family, labels(pairs)?, gauge).map_err(NotRecorded::new)
}

fn add_observations(
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

/// Milliseconds as seconds. Exact to the millisecond for 285,000 years.
fn seconds(ms: u64) -> f64 {
    std::time::Duration::from_millis(ms).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use tributary_proto::envelope::StreamId;

    use super::*;

    #[test]
    fn values_on_a_bound_are_counted_under_it() {
        let mut delta = Delta::new();
        batch(&mut delta, 10).unwrap();
        batch(&mut delta, 11).unwrap();
        let Some(tributary_telemetry::Value::Histogram(histogram)) =
            delta.get(BATCH_MESSAGES.name(), &LabelSet::empty())
        else {
            panic!("no histogram");
        };
        assert_eq!(histogram.bucket_counts(), [0, 0, 0, 1, 1, 0, 0, 0]);
    }

    #[test]
    fn names_of_all_families_are_distinct_and_counters_come_without_their_suffix() {
        let all = [
            &MESSAGES,
            &MALFORMED,
            &TELEMETRY_REFUSED,
            &REBUCKETED,
            &DROPPED,
            &BACKEND_REQUESTS,
            &RECORDS_SENT,
            &RECORDS_APPLIED,
            &RECORDS_MISSING,
            &LOST_RECORDS,
            &FORGOTTEN_STREAMS,
            &SERIES_REFUSED,
            &KV_WRITES,
            &BATCH_MESSAGES,
            &DELTA_AGE,
            &STREAMS,
            &SERIES,
            &LAST_APPLIED,
        ];
        let names: std::collections::BTreeSet<_> = all.iter().map(|family| family.name()).collect();
        assert_eq!(names.len(), all.len());
        for family in all {
            // The constructor for statics does not check; the one for outside names does.
            let (name, help) = (family.name().to_owned(), family.help().to_owned());
            FamilyDescriptor::new(name, help, family.unit().to_owned(), family.kind()).unwrap();
        }
    }

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
