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

/// Schemas of contexts that are logged for each client between two drains, as many as the resolver crate keeps.
pub const MAX_SCHEMAS_PER_CLIENT: usize = 50;

/// Shortest `STATE_REFRESH_MS`, in milliseconds.
pub const MIN_STATE_REFRESH_MS: u64 = 1_000;

/// Longest `STATE_REFRESH_MS`, in milliseconds: a day.
pub const MAX_STATE_REFRESH_MS: u64 = 86_400_000;

/// Time beyond `STATE_REFRESH_MS` after which a resolve waits for the read instead of using what is there, in
/// milliseconds. With the default of 15 s a busy isolate never comes here, and 25 s leave 5 s of the 30 that
/// [`crate::state`] allows for the read itself.
pub const REFRESH_GRACE_MS: u64 = 10_000;

/// The longest that a resolve waits for such a read, in milliseconds; then it uses what is there.
pub const RELOAD_TIMEOUT_MS: u64 = 500;

/// The most bytes of a KV key (Cloudflare docs, KV › Platform › Limits).
pub const MAX_KEY_BYTES: usize = 512;

/// The most keys of one bulk read of KV (Cloudflare changelog, 2025-04-10). It counts as one request of the Worker, and
/// does not wait for one of the six connections that may be open.
pub const MAX_BULK_KEYS: usize = 100;

/// The most records that one resolve may read. Each costs a read of KV: a thousand are $0.0005, for one resolve.
pub const MAX_READ_RECORDS: usize = 1_000;

/// The longest that a resolve waits for its records, in milliseconds. KV answers within some 5 ms what it has in the data
/// centre and within some 100 ms what it has not.
pub const READ_TIMEOUT_MS: u64 = 1_000;

/// The most records that one resolve may write: KV allows a Worker 1,000 operations for each request (KV › Platform ›
/// Limits), and each of these may take three tries.
pub const MAX_WRITE_RECORDS: usize = 300;

/// Writes under way at a time: the connections that a Worker may have open.
pub const WRITES_SIDE_BY_SIDE: usize = 6;

/// Time that one try of a write may take, in milliseconds.
pub const WRITE_TIMEOUT_MS: u64 = 4_000;

/// Waits between the tries of one write, in milliseconds; one more try than waits. KV takes one write of a key a second,
/// so the first is longer than that.
pub const WRITE_BACKOFF_MS: [u64; 2] = [1_200, 3_000];

/// Time for the read before a write, in milliseconds.
pub const WRITE_READ_TIMEOUT_MS: u64 = 2_000;

/// Time for all that a resolve writes, in milliseconds; no try is begun that could end later. `waitUntil` ends 30 s after
/// the response, and the report of what was given up needs a flush after it.
pub const WRITE_TIME_MS: u64 = 20_000;

/// How long KV may go on saying that a key has nothing, or the value before, in milliseconds: what it has read is cached
/// for [`KV_CACHE_TTL_SECS`] at least, and it promises no less than a minute.
pub const RECENT_MS: u64 = 60_000;

/// The most assignments that an isolate remembers for that long; about 300 bytes each.
pub const MAX_RECENT: usize = 8_192;

/// Shortest `MATERIALIZATION_TTL_SECONDS`: the least that KV takes (KV › Write key-value pairs, `expirationTtl`).
pub const MIN_MATERIALIZATION_TTL_SECS: u64 = 60;

/// Longest `MATERIALIZATION_TTL_SECONDS`: ten years.
pub const MAX_MATERIALIZATION_TTL_SECS: u64 = 315_360_000;

/// `MATERIALIZATION_TTL_SECONDS` where nothing is configured: 90 days, as Confidence keeps the assignments that it stores
/// itself.
pub const DEFAULT_MATERIALIZATION_TTL_SECS: u64 = 7_776_000;

/// Time that a refresh may take before another may start, in milliseconds: the life of `waitUntil`.
pub const REFRESH_LEASE_MS: u64 = 30_000;

/// Time for which a cold isolate answers from a failed load before it asks KV again, in milliseconds.
pub const FAILED_LOAD_HOLD_MS: u64 = 1_000;

/// `cacheTtl` of KV reads, in seconds: the least that KV takes (Cloudflare changelog, 2026-01-30).
pub const KV_CACHE_TTL_SECS: u64 = 30;
