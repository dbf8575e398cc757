//! The bounds of the model. Each stands once, here, with the reason for its size.
//!
//! They may be raised. Lowering one can make a stored snapshot undecodable.
//!
//! How many series a state may have depends on where it is kept ([`Capacity`](crate::Capacity)): the bounds from
//! [`MAX_SERIES`] to [`MAX_OVERFLOW_BYTES`] are those of a state in one row, [`parts`] has those of one in many.

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

/// The most series that custom families ([`crate::custom`]) take together, so that whatever Workers send leaves
/// room for the series of resolvers and of the pipeline itself.
///
/// Those come to at most 500 accounts of 4 series, 80 sources of 20 and one family of 1,000.
pub const MAX_CUSTOM_SERIES: usize = 4_000;

/// The most of [`MAX_SNAPSHOT_BYTES`] that custom families take together. It holds [`MAX_CUSTOM_SERIES`] counters with 100
/// bytes of labels each, or 2,000 histograms of 10 bounds; what it leaves holds the accounts and sources of above.
pub const MAX_CUSTOM_BYTES: usize = 600_000;

/// The most series of [`custom families`](crate::custom) past [`MAX_CUSTOM_SERIES`]: the overflow series of those that were
/// there when the bound was reached.
pub const MAX_OVERFLOW_SERIES: usize = 400;

/// The most of [`MAX_SNAPSHOT_BYTES`] that these take past [`MAX_CUSTOM_BYTES`]. It holds 400 counters, or as many histograms
/// of 15 bounds as have room for 250 bytes each.
pub const MAX_OVERFLOW_BYTES: usize = 100_000;

/// The bounds of a state that is stored in many rows, published as one text and kept in memory by one Durable Object.
///
/// The text is what bounds it. It is one value of Workers KV, at most 25 MiB (KV › Platform › Limits), and every byte of a
/// label in memory or in the encoded state is one of the text, too. What state, text and encoded state come to in the 128 MB
/// of an isolate is in docs/scale.md.
pub mod parts {
    /// The most series, over all families.
    pub const MAX_SERIES: usize = 120_000;

    /// The most series of one family: a sixth of all, so that one exploding label leaves room to all others.
    pub const MAX_SERIES_PER_FAMILY: usize = 20_000;

    /// The most bytes of the encoded state, with every number at its widest. It is a value of KV, as the text is; a series takes
    /// fewer bytes of it than of the text, but for exponential histograms of many buckets and few bounds.
    pub const MAX_SNAPSHOT_BYTES: usize = 24_000_000;

    /// The most bytes of the encoded state that one family may take: a quarter.
    pub const MAX_FAMILY_BYTES: usize = 6_000_000;

    /// The most bytes that the text can come to, with every number at its widest: 25 MiB without 2 MB for what is added when it
    /// is published, readings and ages.
    pub const MAX_TEXT_BYTES: usize = 24_000_000;

    /// The most bytes of the text that one family may take. It holds 20,000 counters with lines of 300 bytes, or 3,300
    /// histograms of 10 bounds with names and labels of 100.
    pub const MAX_FAMILY_TEXT_BYTES: usize = 6_000_000;

    /// The most series that custom families take together. What is left holds the 9,000 that those of resolvers and of the
    /// pipeline itself can come to, and the overflow series.
    pub const MAX_CUSTOM_SERIES: usize = 108_000;

    /// The most bytes of the encoded state that custom families take together.
    pub const MAX_CUSTOM_BYTES: usize = 20_000_000;

    /// The most bytes of the text that custom families take together. It holds 100,000 counters with lines of 200 bytes at their
    /// widest or, with names and labels of 100 bytes, 11,000 histograms of 10 bounds or 1,400 exponential ones. What is left holds 80 latency histograms with
    /// dimensions, 20 kB each, 500 accounts and the overflow series.
    pub const MAX_CUSTOM_TEXT_BYTES: usize = 20_000_000;

    /// The most overflow series past the bound on custom series.
    pub const MAX_OVERFLOW_SERIES: usize = 1_000;

    /// The most bytes of the encoded state that these take past that of custom series.
    pub const MAX_OVERFLOW_BYTES: usize = 1_000_000;

    /// The most bytes of the text that these take past that of custom series. It holds 1,000 counters and 60 exponential
    /// histograms.
    pub const MAX_OVERFLOW_TEXT_BYTES: usize = 1_000_000;
}

/// The most series of `target_info`: jobs, and what replaces them within a commit.
pub const MAX_TARGETS: usize = 200;

/// The most series in the metrics of one message ([`crate::custom`]).
///
/// A batch is 100 messages: as many series as these in all of them, each of its own, make a commit of less than 16 MiB
/// and take less than half of the 128 MB of an isolate.
pub const MAX_MESSAGE_SERIES: usize = 500;

/// The most buckets in the metrics of one message ([`crate::custom`]), those up to `+Inf` included: a few bytes name a
/// layout of 361.
pub const MAX_MESSAGE_BUCKETS: usize = 4_096;

/// About what the OpenTelemetry metrics of one message may take where they are written as series.
///
/// The labels that all points of a scope have in common stand once in a message and in each of its series: without a bound
/// a message of 128 kB could come to 16 MB. A batch of 100 is a commit of at most 16 MiB.
pub const MAX_MESSAGE_CUSTOM_BYTES: usize = 160_000;

/// The most bytes of labels that are written to find out to which series the points of one message belong: 5,000 points of
/// 400 bytes. It bounds the time that a message takes, some milliseconds.
pub const MAX_MESSAGE_LABEL_WORK: usize = 2_000_000;

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

/// The most buckets that an exponential histogram keeps of each sign: what OpenTelemetry recommends to SDKs as a default
/// (Metrics SDK › Base2 Exponential Bucket Histogram Aggregation, `MaxSize`). Values that span a factor of 2^20 are then
/// known to 9 %. A series takes 3.0 kB of the bounds on bytes for them, so 170 fit one family and 200 all custom ones.
pub const MAX_EXPONENTIAL_BUCKETS: usize = 160;

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
