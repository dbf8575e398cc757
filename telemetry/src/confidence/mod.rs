//! Confidence's telemetry as one mapping into the model.
//!
//! A [`TelemetryDelta`] is what one sender has to report: filled by a recorder or read from a report, merged in 64 bits,
//! written as reports that each fit the 32 bits of the wire, and mapped to a [`Delta`](crate::Delta) of the families in
//! [`catalog`]. The rest of the crate does not know Confidence.

pub mod catalog;
mod decode;
mod encode;
mod mapping;
mod report;
mod telemetry;

pub use decode::WireError;
pub use mapping::{MappingError, Source, UNKNOWN_REASON, declare_resolver, provider_labels, reason_label};
pub use report::{CompactReport, ReadReport, ReportError, ReportedIdentity, TelemetryReport, read_report};
pub use telemetry::{ApplyDedupCounts, EventCounts, KNOWN_REASONS, TelemetryDelta, TelemetryMergeError};
