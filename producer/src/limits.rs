//! Every bound of the producer, with its derivation. A platform limit stands here once and nowhere else.

/// Those of the stream onto the queue.
pub use tributary_emitter::limits::*;

/// The most bytes of a request body. A resolve request is a few kilobytes; a resolve token of 5,000 flags some hundred.
pub const MAX_BODY_BYTES: usize = 1024 * 1024;

/// The most of a body over [`MAX_BODY_BYTES`] that is read, and thrown away, before it is refused.
pub const MAX_DRAINED_BYTES: usize = 16 << 20;

/// The most flags that one request may name, for resolve and for apply. The resolver refuses to resolve more than this
/// at once; matching names against flags costs their product.
pub const MAX_FLAGS_PER_REQUEST: usize = 5_000;

/// The most bytes of context schema that one resolve may leave in the resolve log.
///
/// A schema holds the full dotted path of every leaf, so a long key above many leaves multiplies: 1 MiB of JSON could
/// become gigabytes. A context over this bound resolves as usual and is logged without its schema. Estimated by
/// [`crate::schema::schema_bytes`].
pub const MAX_SCHEMA_BYTES: usize = 32 * 1024;

/// Shortest `STATE_REFRESH_MS`, in milliseconds.
pub const MIN_STATE_REFRESH_MS: u64 = 1_000;

/// Longest `STATE_REFRESH_MS`, in milliseconds: a day.
pub const MAX_STATE_REFRESH_MS: u64 = 86_400_000;

/// Time that a refresh may take before another may start, in milliseconds: the life of `waitUntil`.
pub const REFRESH_LEASE_MS: u64 = 30_000;

/// Time for which a cold isolate answers from a failed load before it asks KV again, in milliseconds.
pub const FAILED_LOAD_HOLD_MS: u64 = 1_000;

/// `cacheTtl` of the state's KV reads, in seconds: the least that KV takes (Cloudflare changelog, 2026-01-30).
pub const STATE_CACHE_TTL_SECS: u64 = 30;
