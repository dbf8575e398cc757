//! The families that the consumer counts itself.

use tributary_telemetry::{FamilyDescriptor, MetricKind};

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
/// Recordings into custom metrics that their senders gave up.
pub const DROPPED_RECORDINGS: FamilyDescriptor = counter(
    "tributary_dropped_recordings",
    "Recordings into custom metrics that their Worker dropped, by reason: a value or label that no series can have, or too many families.",
);
/// Series of custom metrics that were left out.
pub const CUSTOM_REFUSED: FamilyDescriptor = counter(
    "tributary_refused_custom_series",
    "Series of custom metrics that were left out of the state, by reason; the rest of their message was applied.",
);
/// Series of custom metrics that were counted with less detail.
pub const CUSTOM_FOLDED: FamilyDescriptor = counter(
    "tributary_folded_custom_series",
    "Series of custom metrics that were counted with less detail, by reason: in the overflow series of their family, or under coarser bounds.",
);
/// OpenTelemetry's data points that were left out.
pub const POINTS_REFUSED: FamilyDescriptor = counter(
    "tributary_refused_points",
    "Data points of OpenTelemetry metrics that cannot be counted, by reason; the rest of their message was applied.",
);
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
/// Series that the bound on sources put under `other`.
pub const SERIES_FOLDED: FamilyDescriptor = counter(
    "tributary_folded_series",
    "Series of deltas that were counted under \"other\" because there are too many producers or dimensions.",
);
/// Totals of another system that the state went on from.
pub const IMPORTS: FamilyDescriptor =
    counter("tributary_imports", "Imports of totals that another system had counted; each source once.");
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

/// All families of this module; those of dead letters are in
/// [`dead_letters::metrics::ALL`](crate::dead_letters::metrics::ALL), those of the endpoint in
/// [`scrape::metrics::ALL`](crate::scrape::metrics::ALL), those of the state in
/// [`state_refresh::metrics::ALL`](crate::state_refresh::metrics::ALL).
pub static ALL: [&FamilyDescriptor; 24] = [
    &MESSAGES,
    &MALFORMED,
    &TELEMETRY_REFUSED,
    &REBUCKETED,
    &DROPPED,
    &DROPPED_RECORDINGS,
    &CUSTOM_REFUSED,
    &CUSTOM_FOLDED,
    &POINTS_REFUSED,
    &BACKEND_REQUESTS,
    &RECORDS_SENT,
    &RECORDS_APPLIED,
    &RECORDS_MISSING,
    &LOST_RECORDS,
    &FORGOTTEN_STREAMS,
    &SERIES_REFUSED,
    &SERIES_FOLDED,
    &IMPORTS,
    &KV_WRITES,
    &BATCH_MESSAGES,
    &DELTA_AGE,
    &STREAMS,
    &SERIES,
    &LAST_APPLIED,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_all_families_are_distinct_and_counters_come_without_their_suffix() {
        let names: std::collections::BTreeSet<_> = ALL.iter().map(|family| family.name()).collect();
        assert_eq!(names.len(), ALL.len());
        for family in ALL {
            // The constructor for statics does not check; the one for outside names does.
            let (name, help) = (family.name().to_owned(), family.help().to_owned());
            FamilyDescriptor::new(name, help, family.unit().to_owned(), family.kind()).unwrap();
        }
    }
}
