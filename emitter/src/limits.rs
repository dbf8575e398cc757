//! Every bound of a producer's stream, with its derivation. A platform limit stands here once and nowhere else.

use tributary_proto::envelope::MAX_ENVELOPE_BYTES;
use tributary_telemetry::limits::{MAX_CUSTOM_SERIES, MAX_SERIES_PER_FAMILY};

/// Time for which deltas coalesce where nothing else is configured, in milliseconds.
pub const DEFAULT_FLUSH_INTERVAL_MS: u64 = 1_000;

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

/// The most queues that a batch is offered to between two waits. With three rounds that is every one of nine queues, or
/// each of three queues three times; an invocation on the free plan may call 50 services.
pub const MAX_QUEUES_A_ROUND: usize = 3;

/// For how long a queue that failed is tried last, in milliseconds. A queue that hangs costs [`SEND_TIMEOUT_MS`] each time
/// that it comes first.
pub const AVOID_MS: u64 = 30_000;

/// Time after which messages taken by a flusher count as abandoned and may be sent by another, in milliseconds. Three
/// attempts and their waits are 3 × 2,500 + 500 = 8,000; on several queues no attempt begins that could end later.
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

/// Room that an envelope needs beside its flag logs and metrics: format 2 bytes, stream id 18, sequence 11, window 22,
/// resolver id 136, dimensions 110, four drop records 104, the headers of flag logs, metrics and resource metrics 4 each,
/// ledgers 2.
pub const ENVELOPE_OVERHEAD_BYTES: usize = 512;

/// The most bytes of flag logs, metrics and resource metrics of one envelope together, and so of one fragment of flag logs.
pub const MAX_FRAGMENT_BYTES: usize = MAX_ENVELOPE_BYTES - ENVELOPE_OVERHEAD_BYTES;

/// The most families that an isolate records. The state has room for some 400 where each has few series.
pub const MAX_FAMILIES: usize = 256;

/// The most series of one family that an isolate records, as many as the state keeps. What has no place is recorded in
/// the family's overflow series.
pub const MAX_FAMILY_SERIES: usize = MAX_SERIES_PER_FAMILY;

/// The most series that an isolate records, as many as the state keeps of all Workers; overflow series are not counted.
pub const MAX_SERIES: usize = MAX_CUSTOM_SERIES;

/// The most bytes of an error message made from somebody else's text.
pub const MAX_MESSAGE_BYTES: usize = 300;
