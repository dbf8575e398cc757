//! The bounds of the model. Each stands once, here, with the reason for its size.
//!
//! They may be raised. Lowering one can make a stored snapshot undecodable.

/// The most series of a [`Snapshot`](crate::Snapshot), over all families.
///
/// A series of a few labels takes some hundred bytes in memory and as text; what many labels or buckets add to that is
/// bounded by [`MAX_SNAPSHOT_BYTES`].
pub const MAX_SERIES: usize = 10_000;

/// The most series of one family of a [`Snapshot`](crate::Snapshot), so that one exploding label cannot use up
/// [`MAX_SERIES`] for all others.
pub const MAX_SERIES_PER_FAMILY: usize = 1_000;

/// The most bytes that a [`Snapshot`](crate::Snapshot) may come to when it is encoded, whatever its totals become: with
/// every number at its widest.
///
/// A Ledger stores its state as one value of a row, of which SQLite in a Durable Object takes 2 MB (Durable Objects ›
/// Platform › Limits); what stands beside it there is some hundred bytes. A counter with the label of a short
/// `resolver_id` takes 60 bytes, a latency histogram 1.7 kB.
pub const MAX_SNAPSHOT_BYTES: usize = 1_500_000;

/// The most of [`MAX_SNAPSHOT_BYTES`] that one family may take, so that long labels of one (their text comes from SDKs)
/// leave room to all others. It holds 300 latency histograms, or 1,000 counters with 450 bytes of labels.
pub const MAX_FAMILY_BYTES: usize = 512 << 10;

/// The most labels of one series.
pub const MAX_LABELS: usize = 32;

/// The most bytes of a label name.
pub const MAX_LABEL_NAME_BYTES: usize = 128;

/// The most bytes of a label value.
pub const MAX_LABEL_VALUE_BYTES: usize = 1_024;

/// The most bytes of a family name.
pub const MAX_FAMILY_NAME_BYTES: usize = 200;

/// The most bytes of a family's help text.
pub const MAX_HELP_BYTES: usize = 1_024;

/// The most bounds of a histogram. 20 decades at 18 per decade (all of `u64`) are 360.
pub const MAX_BOUNDS: usize = 512;

/// The most decades that a decimal layout spans: 10^20 is above `u64::MAX`.
pub const MAX_DECADES: u32 = 20;

/// The most resolve reasons without a known name that one
/// [`TelemetryDelta`](crate::confidence::TelemetryDelta) keeps apart.
pub const MAX_UNKNOWN_REASONS: usize = 16;

/// The most label sets of provider initialisations that one
/// [`TelemetryDelta`](crate::confidence::TelemetryDelta) keeps apart.
pub const MAX_PROVIDER_INIT_LABEL_SETS: usize = 1_000;

/// The most messages that one [`TelemetryDelta`](crate::confidence::TelemetryDelta) from outside can need on the wire.
///
/// A queue batch has at most 100 messages of one report each, so honest totals need at most 100.
pub const MAX_WIRE_PARTS: u64 = 1_024;

/// The greatest total that a [`TelemetryDelta`](crate::confidence::TelemetryDelta) takes from outside: what fits
/// [`MAX_WIRE_PARTS`] messages with 32 bits each, about 4.4 · 10^12.
pub const MAX_WIRE_TOTAL: u64 = MAX_WIRE_PARTS * 0xFFFF_FFFF;
