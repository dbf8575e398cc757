//! The metric model of Tributary, pure: what is counted, how it merges, how it is written.
//!
//! # Words
//!
//! - A **family** ([`FamilyDescriptor`]) has a name, a help text, a unit and a kind: counter, up-down sum, gauge, histogram
//!   under bounds or exponential histogram.
//! - A **series** is one [`Value`] of a family under one [`LabelSet`].
//! - A [`Delta`] is what was added in a window. Deltas **merge**, in any order and grouping.
//! - A [`Snapshot`] is cumulative. A delta is **applied** to it; the sum of deltas does not depend on their order.
//! - **Bounds** are the upper ends of a histogram's buckets, inclusive; bucket counts are never cumulative here.
//! - A **wire** form is a message of `tributary-proto`; the reader of one trusts nothing. **Text** is what Prometheus
//!   scrapes, and stands in one module; Prometheus' **protobuf**, the one with native histograms, in another.
//! - **OTLP** (feature `otlp`) is what collectors take: the messages of the OpenTelemetry protocol, cumulative or delta.
//! - [`confidence`] (a feature, on by default) maps the reports of Confidence's resolvers into the model; nothing else
//!   here knows them.
//! - [`custom`] metrics are those of any Worker: what of them a message may hold, and which names are not theirs.
//!
//! # Example
//!
//! ```
//! use tributary_telemetry::{Snapshot, TextFormat, TextOptions, confidence, write_text};
//!
//! // A producer records.
//! let mut recorded = confidence::TelemetryDelta::new();
//! recorded.observe_latency(1_000);
//! recorded.add_resolves(1, 2);
//!
//! // It goes out as reports of 32 bits and comes in again.
//! let mut received = confidence::TelemetryDelta::new();
//! for report in recorded.to_wire() {
//!     let (part, _rebucketed) = confidence::TelemetryDelta::from_wire(&report, 1_700_000_001_000)?;
//!     received.merge(&part)?;
//! }
//!
//! // The Ledger adds it to its state and writes text.
//! let mut state = Snapshot::new(1_700_000_000_000);
//! let delta = received.to_delta("cf-resolver", 1_700_000_000_500)?;
//! let applied = state.apply(&delta, 1_700_000_002_000)?;
//! assert_eq!(applied.series_added, 2);
//!
//! let mut text = String::new();
//! write_text(&state, &TextOptions::new(TextFormat::OpenMetrics), &mut text);
//! assert!(text.contains("confidence_resolves_total{reason=\"RESOLVE_REASON_MATCH\",resolver_id=\"cf-resolver\"} 2\n"));
//! // 1,000 is a bound, and bounds are inclusive.
//! assert!(text.contains("le=\"8.799225e2\"} 0\n"));
//! assert!(text.contains("le=\"1.000000e3\"} 1\n"));
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```
//!
//! # What this crate does not do
//!
//! - It has no clock, no randomness, no I/O and no Workers runtime: times are arguments.
//! - It does not know streams and sequences; who applies a delta makes sure that it does so once.
//! - It does not merge flag logs other than telemetry, and it does not deliver anything.
//! - It has no summaries, no exemplars, and no smallest and greatest value of a histogram: those of deltas do not merge into
//!   that of a total which goes on.

#![forbid(unsafe_code)]

#[cfg(feature = "test-util")]
pub mod arbitrary;
#[cfg(feature = "confidence")]
pub mod confidence;
pub mod custom;
mod delta;
mod exponential;
mod family;
mod gauge;
mod histogram;
mod label;
pub mod limits;
#[cfg(feature = "otlp")]
pub mod otlp;
mod protobuf;
mod reserve;
mod snapshot;
mod text;
mod value;
mod wire;

pub use delta::{Delta, DeltaError, DeltaFamily};
pub use exponential::{ExponentialBuckets, ExponentialError, ExponentialHistogram, ExponentialParts};
pub use family::{FamilyDescriptor, FamilyError, MetricKind};
pub use gauge::{Gauge, GaugeError};
pub use histogram::{
    Bounds, BoundsError, DecimalBounds, ExplicitBounds, Histogram, HistogramError, LATENCY_BOUNDS, LATENCY_LN_RATIO,
    LatencyHistogram, Rebucketed, SpansError,
};
pub use label::{LabelError, LabelName, LabelSet};
pub use protobuf::{write_family_protobuf, write_selected_protobuf};
pub use snapshot::{
    Absorbed, Applied, ApplyError, Bound, Capacity, MetricFamily, PartError, Place, Room, Series, Snapshot, Touched,
    Zero,
};
pub use text::{TextFormat, TextOptions, write_family, write_selected_text, write_text};
pub use value::{MergeError, Number, SumError, UpDown, Value};
pub use wire::{DecodeError, Families, SNAPSHOT_SCHEMA};
