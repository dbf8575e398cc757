//! Every bound, each once, with where it comes from. Page names are those of Cloudflare's docs.

use std::time::Duration;

/// Messages of one batch: Queues › Configuration › Batching.
pub const MAX_BATCH_SIZE: u64 = 100;
/// Longest wait for a batch, in seconds: likewise.
pub const MAX_BATCH_TIMEOUT: u64 = 60;
/// Longest `retry_delay`, in seconds: Queues › Platform › Limits.
pub const MAX_RETRY_DELAY: u64 = 43_200;

/// A Worker's name is a label of its workers.dev host (63 bytes), and so is a queue's name at most; the longest that is
/// added to a prefix is `-tributary-deltas-dead`.
pub const MAX_PREFIX_BYTES: usize = 32;

/// One var or secret: Workers › Platform › Limits.
pub const MAX_VAR_BYTES: usize = 5 * 1024;

/// An ETag that is kept beside the state. KV takes 1,024 bytes of metadata.
pub const MAX_ETAG_BYTES: usize = 512;

/// One request to the API. A resolver state of 25 MiB takes its time.
pub const API_TIMEOUT: Duration = Duration::from_secs(120);
/// How long the API may take to take a connection.
pub const API_CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// How often a request is sent at most.
pub const API_TRIES: u32 = 5;
/// The pause after the first failure; each further one is twice as long.
pub const API_FIRST_PAUSE: Duration = Duration::from_millis(300);
/// The longest pause of our own.
pub const API_MAX_PAUSE: Duration = Duration::from_secs(8);
/// The longest `Retry-After` that is waited for; wrangler has the same.
pub const API_MAX_RETRY_AFTER: Duration = Duration::from_secs(60);
/// The most bytes of an answer: a list of a thousand namespaces is 200 kB, a stored resolver state at most 25 MiB.
pub const API_MAX_ANSWER_BYTES: u64 = 32 * 1024 * 1024;
/// The most pages of one list. An account has at most 10,000 queues (Queues › Platform › Limits), at 100 a page.
pub const API_MAX_PAGES: u64 = 200;

/// How long one run of wrangler may take.
pub const WRANGLER_TIMEOUT: Duration = Duration::from_secs(300);

/// How long a Worker may take to answer after a deploy. A first workers.dev host needs its DNS record and certificate.
pub const SMOKE_TIMEOUT: Duration = Duration::from_secs(120);
/// How long one of these requests may take.
pub const SMOKE_REQUEST_TIMEOUT: Duration = Duration::from_secs(20);
