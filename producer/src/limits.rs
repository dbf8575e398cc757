//! Every bound of the producer, with its derivation. A platform limit stands here once and nowhere else.

use tributary_proto::envelope::MAX_ENVELOPE_BYTES;

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

/// The most bytes of an error message made from somebody else's text.
pub const MAX_MESSAGE_BYTES: usize = 300;

/// Longest wait of a flusher, in milliseconds: `waitUntil` ends 30 s after the response (Cloudflare docs, Workers ›
/// Runtime APIs › Context), and sending needs the rest ([`IN_FLIGHT_MS`]).
pub const MAX_FLUSH_INTERVAL_MS: u64 = 20_000;

/// Time beyond the flush interval after which a flusher's lease may be taken over, in milliseconds. 20 s + 5 s stays
/// under the 30 s of `waitUntil`.
pub const LEASE_GRACE_MS: u64 = 5_000;

/// Time that one attempt to send may take, in milliseconds.
pub const SEND_TIMEOUT_MS: u64 = 2_500;

/// Waits between the attempts of one flush, in milliseconds; one more attempt than waits.
pub const SEND_BACKOFF_MS: [u64; 2] = [100, 400];

/// Time after which messages taken by a flusher count as abandoned and may be sent by another, in milliseconds. Three
/// attempts and their waits are 3 × 2,500 + 500 = 8,000.
pub const IN_FLIGHT_MS: u64 = 9_000;

/// The most messages of one `sendBatch` (Cloudflare docs, Queues › Platform › Limits).
pub const MAX_BATCH_MESSAGES: usize = 100;

/// The most bytes of one `sendBatch`: 256 KB in total, less about 100 bytes of metadata for each of 100 messages.
pub const MAX_BATCH_BYTES: usize = 240_000;

/// The most sealed messages that wait to be confirmed. While there are as many, nothing more is sealed: what is
/// pending coalesces into fewer, fuller messages.
pub const MAX_OUTBOX_MESSAGES: usize = 64;

/// The most bytes of flag logs that wait to be sent, sealed and pending together. An isolate has 128 MB for everything.
pub const MAX_BUFFER_BYTES: usize = 8 * 1024 * 1024;

/// Assignments in the log at which a request seals without waiting for the flusher. At some 500 bytes each this is a
/// megabyte, nine messages.
pub const MAX_PENDING_ASSIGNMENTS: u64 = 2_000;

/// Room that an envelope needs beside its flag logs: format 2 bytes, stream id 18, sequence 11, window 22, resolver id
/// 136, dimensions 110, two drop records 40, the header of the flag logs 4.
pub const ENVELOPE_OVERHEAD_BYTES: usize = 512;

/// The most bytes of one fragment of flag logs: alone, it fits an envelope.
pub const MAX_FRAGMENT_BYTES: usize = MAX_ENVELOPE_BYTES - ENVELOPE_OVERHEAD_BYTES;

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

/// Time that a refresh may take before another may start, in milliseconds: the life of `waitUntil`.
pub const REFRESH_LEASE_MS: u64 = 30_000;

/// Time for which a cold isolate answers from a failed load before it asks KV again, in milliseconds.
pub const FAILED_LOAD_HOLD_MS: u64 = 1_000;

/// `cacheTtl` of the state's KV reads, in seconds: the least that KV takes (Cloudflare changelog, 2026-01-30).
pub const STATE_CACHE_TTL_SECS: u64 = 30;
