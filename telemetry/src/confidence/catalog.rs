//! The families of Confidence telemetry, with the names that Confidence's other providers use.

use crate::{FamilyDescriptor, MetricKind};

/// The label that says which resolver a series belongs to; on every series here.
pub const RESOLVER_ID: &str = "resolver_id";

/// The label that says how the resolve of a flag ended; on [`RESOLVES`].
pub const REASON: &str = "reason";

const fn counter(name: &'static str, help: &'static str) -> FamilyDescriptor {
    FamilyDescriptor::from_static(name, help, "", MetricKind::Counter)
}

const fn gauge(name: &'static str, help: &'static str, unit: &'static str) -> FamilyDescriptor {
    FamilyDescriptor::from_static(name, help, unit, MetricKind::Gauge)
}

/// Time that resolves took, in microseconds.
pub static RESOLVE_LATENCY: FamilyDescriptor = FamilyDescriptor::from_static(
    "confidence_resolve_latency_microseconds",
    "Time that resolve requests took, in microseconds.",
    "microseconds",
    MetricKind::Histogram,
);

/// Flags resolved, by reason.
pub static RESOLVES: FamilyDescriptor = counter("confidence_resolves", "Flags resolved, by how the resolve ended.");

/// Linear memory in use, in bytes.
pub static MEMORY_BYTES: FamilyDescriptor =
    gauge("confidence_memory_bytes", "Memory in use by the resolver, last reading.", "bytes");

/// Applies that went through deduplication.
pub static APPLY_DEDUP_APPLIES: FamilyDescriptor =
    counter("confidence_apply_dedup_applies", "Flag applies that went through deduplication.");

/// Applies that were dropped as repeats.
pub static APPLY_DEDUP_DEDUPED: FamilyDescriptor =
    counter("confidence_apply_dedup_deduped", "Flag applies dropped as repeats.");

/// Applies that passed without being remembered.
pub static APPLY_DEDUP_OVERFLOW: FamilyDescriptor =
    counter("confidence_apply_dedup_overflow", "Flag applies that a full deduplication map could not remember.");

/// Sweeps of the map.
pub static APPLY_DEDUP_SWEEPS: FamilyDescriptor =
    counter("confidence_apply_dedup_sweeps", "Sweeps of the deduplication map.");

/// Entries in the map.
pub static APPLY_DEDUP_MAP_SIZE: FamilyDescriptor =
    gauge("confidence_apply_dedup_map_size", "Entries in the deduplication map, last reading.", "");

/// The most entries that the map holds.
pub static APPLY_DEDUP_MAP_CAPACITY: FamilyDescriptor =
    gauge("confidence_apply_dedup_map_capacity", "Entries that the deduplication map can hold.", "");

/// Reports that the backend took.
pub static FLUSH_SUCCEEDED: FamilyDescriptor =
    counter("confidence_flush_succeeded", "Flag log reports delivered to the backend.");

/// Reports that the backend did not take.
pub static FLUSH_FAILED: FamilyDescriptor =
    counter("confidence_flush_failed", "Flag log reports that could not be delivered to the backend.");

/// Events published.
pub static EVENTS_PUBLISHED: FamilyDescriptor = counter("confidence_events_published", "Events published.");

/// Event batches delivered.
pub static EVENT_BATCHES_SUCCEEDED: FamilyDescriptor =
    counter("confidence_event_batches_succeeded", "Event batches delivered.");

/// Event batches not delivered.
pub static EVENT_BATCHES_FAILED: FamilyDescriptor =
    counter("confidence_event_batches_failed", "Event batches that could not be delivered.");

/// Events that the events service refused.
pub static EVENTS_REJECTED: FamilyDescriptor =
    counter("confidence_events_rejected", "Events refused by the events service.");

/// Providers initialised, with the labels that they report.
pub static PROVIDER_INIT: FamilyDescriptor = counter("confidence_provider_init", "Providers initialised.");

/// When the resolver state last changed, in seconds since the epoch.
pub static STATE_LAST_UPDATE: FamilyDescriptor = gauge(
    "confidence_state_last_update_timestamp_seconds",
    "When the resolver state in use last changed, in seconds since the epoch.",
    "seconds",
);

/// All of them.
pub static ALL: [&FamilyDescriptor; 17] = [
    &RESOLVE_LATENCY,
    &RESOLVES,
    &MEMORY_BYTES,
    &APPLY_DEDUP_APPLIES,
    &APPLY_DEDUP_DEDUPED,
    &APPLY_DEDUP_OVERFLOW,
    &APPLY_DEDUP_SWEEPS,
    &APPLY_DEDUP_MAP_SIZE,
    &APPLY_DEDUP_MAP_CAPACITY,
    &FLUSH_SUCCEEDED,
    &FLUSH_FAILED,
    &EVENTS_PUBLISHED,
    &EVENT_BATCHES_SUCCEEDED,
    &EVENT_BATCHES_FAILED,
    &EVENTS_REJECTED,
    &PROVIDER_INIT,
    &STATE_LAST_UPDATE,
];
