//! Every bound of the consumer, each once, with where it comes from.

use std::time::Duration;

/// Longest that Queues can keep a message before it delivers it: 14 days (Cloudflare docs, Queues › Platform ›
/// Limits), default 4. The deployer leaves the default.
pub const QUEUE_RETENTION: Duration = Duration::from_secs(4 * 24 * 3600);

/// How long the Ledger remembers a stream that is silent: the queue's retention and a day.
///
/// Forgetting is safe because a record whose window ended before the horizon is not applied but counted as expired.
pub const HORIZON: Duration = Duration::from_secs(5 * 24 * 3600);

/// Gaps that are remembered per stream. A stream has a gap where a later record overtook an earlier one; an isolate
/// has a handful of messages under way at a time.
pub const MAX_GAPS_PER_STREAM: usize = 64;

/// The highest sequence that is accepted: integers travel to SQLite as doubles, which are exact to 2^53. A stream that
/// sends a thousand records a second reaches it after 285,000 years.
pub const MAX_SEQUENCE: u64 = (1 << 53) - 1;

/// The most records of one commit: a batch holds at most 100 messages (Queues › Platform › Limits), and the consumer
/// adds reports of its own.
pub const MAX_RECORDS_PER_COMMIT: usize = 128;

/// The most bytes of one commit: 100 messages of 128 kB, which is what a batch can hold.
pub const MAX_COMMIT_BYTES: usize = 16 << 20;

/// How often a commit is tried without the records that were in its way. Every try removes at least one record that
/// another consumer committed meanwhile, and redeliveries of one batch to several consumers at a time are rare.
pub const MAX_COMMIT_TRIES: usize = 8;

/// How long a call of the Ledger may take. A panic in a Durable Object leaves its caller without any answer.
pub const LEDGER_TIMEOUT: Duration = Duration::from_secs(30);

/// How long one delivery to the backend may take.
pub const BACKEND_TIMEOUT: Duration = Duration::from_secs(15);

/// How long an isolate believes the destinations that it read from the resolver state.
pub const DESTINATIONS_MAX_AGE: Duration = Duration::from_secs(60);

/// Shortest time between two puts of one KV key: Cloudflare docs, KV › Platform › Limits.
pub const MIN_PUBLISH_INTERVAL: Duration = Duration::from_secs(1);

/// Time between two puts of one KV key where nothing else is configured. One key every ten seconds is 260,000 writes a
/// month, which the paid plan includes.
pub const DEFAULT_PUBLISH_INTERVAL: Duration = Duration::from_secs(10);

/// After this time the Ledger's alarm comes again, whatever became of the last one.
pub const ALARM_WATCHDOG: Duration = Duration::from_secs(60);

/// How often streams that are silent longer than the horizon are looked for.
pub const FORGET_INTERVAL: Duration = Duration::from_secs(3600);

/// Streams that one look forgets at most, so that a look is short.
pub const MAX_FORGOTTEN_AT_ONCE: usize = 10_000;

/// First delay of a message that is tried again; it doubles with every attempt.
pub const RETRY_FIRST_DELAY: Duration = Duration::from_secs(2);

/// Longest delay of a message that is tried again.
pub const RETRY_MAX_DELAY: Duration = Duration::from_secs(15 * 60);
