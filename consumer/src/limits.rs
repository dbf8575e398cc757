//! Every bound of the consumer, each once, with where it comes from.

use std::time::Duration;

/// Longest that Queues can keep a message before it delivers it: 14 days (Cloudflare docs, Queues › Platform ›
/// Limits), default 4. The deployer leaves the default.
pub const QUEUE_RETENTION: Duration = Duration::from_secs(4 * 24 * 3600);

/// How long the Ledger remembers a stream that is silent: the queue's retention and a day.
///
/// Forgetting is safe whatever the horizon: it raises a floor, and a record of an unknown stream whose window ended
/// before the floor is refused (`ledger::floor`).
pub const HORIZON: Duration = Duration::from_secs(5 * 24 * 3600);

/// Gaps that are remembered per stream. A stream has a gap where a later record overtook an earlier one; an isolate
/// has a handful of messages under way at a time.
pub const MAX_GAPS_PER_STREAM: usize = 64;

/// The highest sequence that is accepted. A stream that sends a thousand records a second reaches it after 34 years,
/// and an isolate lives for days. Integers travel to SQLite as doubles, which are exact to 2^53; the bound lies lower
/// so that a sum over streams, whose sequences come from outside, needs 16 million of them to pass 64 bits.
pub const MAX_SEQUENCE: u64 = (1 << 40) - 1;

/// Streams of producers that are remembered: isolates that were alive within the horizon. A row is about 120 bytes and
/// an object holds 10 GB, so this is bounded by time: looking for the longest silent reads every row.
pub const MAX_PRODUCER_STREAMS: u64 = 1_000_000;

/// Messages of senders without streams that are remembered. At 50 a second that is 5 hours, more than a message is
/// under way as long as the backend takes it; past the bound one that comes again is refused as expired.
pub const MAX_LEGACY_STREAMS: u64 = 1_000_000;

/// Isolates of the consumer that are remembered: 250 at a time, each for some minutes to hours.
pub const MAX_CONSUMER_STREAMS: u64 = 10_000;

/// How far past the clock of the Ledger a window may end. Clocks on Cloudflare agree to well under a second. A window
/// of the far future would outlive every floor.
pub const MAX_CLOCK_LEAD: Duration = Duration::from_secs(3600);

/// Producers whose records are accounted for by name; the records of others are accounted for together. Each takes four
/// of the 10,000 series that the state of a ledger can hold at least.
pub const MAX_ACCOUNTS: usize = 500;

/// Sources that have series of their own: pairs of a `resolver_id` and dimensions. Each has at most 12 series of
/// `confidence_resolves`, and a family of the state at most 1,000.
pub const MAX_SOURCES: usize = 80;

/// Sources with the same dimensions, where `METRICS_DIMENSIONS_BUDGET` says nothing else. Less than [`MAX_SOURCES`], so
/// that another choice of dimensions still finds room.
pub const DEFAULT_DIMENSIONS_BUDGET: usize = 50;

/// The most records of one commit: a batch holds at most 100 messages (Queues › Platform › Limits), and the consumer
/// adds reports of its own.
pub const MAX_RECORDS_PER_COMMIT: usize = 128;

/// The most bytes of one commit: 100 messages of 128 kB, which is what a batch can hold.
pub const MAX_COMMIT_BYTES: usize = 16 << 20;

/// Messages of a batch behind which there are more: `max_batch_size` of `wrangler/consumer.toml`.
pub const FULL_BATCH_MESSAGES: usize = 100;

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

/// How long one ledger waits for another: a scrape may wait for it.
pub const PULL_TIMEOUT: Duration = Duration::from_secs(5);

/// The most bytes of what a ledger tells of itself: a state, and the missing records of its accounts, each with a name of
/// at most 128 bytes.
pub const MAX_COPY_BYTES: usize = 1_900_000;

/// After this time the Ledger's alarm comes again, whatever became of the last one.
pub const ALARM_WATCHDOG: Duration = Duration::from_secs(60);

/// How often streams that are silent longer than the horizon are looked for.
pub const FORGET_INTERVAL: Duration = Duration::from_secs(3600);

/// Streams that one look forgets at most, so that a look is short. One look a second ([`FORGET_PAUSE`]) forgets more
/// streams than one queue can bring: 5,000 messages a second (Queues › Platform › Limits).
pub const MAX_FORGOTTEN_AT_ONCE: u64 = 10_000;

/// Time between two looks while there is more to forget.
pub const FORGET_PAUSE: Duration = Duration::from_secs(1);

/// First delay of a message that is tried again; it doubles with every attempt.
pub const RETRY_FIRST_DELAY: Duration = Duration::from_secs(2);

/// Longest delay of a message that is tried again.
pub const RETRY_MAX_DELAY: Duration = Duration::from_secs(15 * 60);

/// `max_retries` of the queue in `wrangler/consumer.toml`, which a test compares: the last delivery is one more. What
/// would have to be tried again then goes to the dead-letter queue by our own hand, because its reason and its message
/// id travel with it.
pub const MAX_RETRIES: u32 = 20;

/// The most requests to the backend for one batch. To find one message of 100 takes 2 × log2(100), 14, per
/// destination; what is not settled by then comes back with its message, less what was.
pub const MAX_DELIVERY_REQUESTS: usize = 64;

/// After this time no further request to the backend is begun for a batch: a consumer may run for 15 minutes
/// (Queues › Platform › Limits), and one hanging request ends after [`BACKEND_TIMEOUT`].
pub const DELIVERY_TIME: Duration = Duration::from_secs(60);

/// How many messages the backend refuses alone, with a status that speaks of us and not of them, while it takes
/// nothing else, until we believe that it means us.
pub const MISCONFIGURATION_PROBES: usize = 3;

/// How long it may take to read the resolver state for the backend's addresses.
pub const ROUTE_TIMEOUT: Duration = Duration::from_secs(5);

/// The most bytes of a state that the CDN may serve. KV takes 25 MiB, but the 128 MB of an isolate must hold what is
/// stored and what is new, and both once more on their way to and from JavaScript; and a producer, which inflates them,
/// gives up far earlier.
pub const MAX_STATE_BYTES: usize = 16 << 20;

/// How long the CDN may take until its answer is whole.
pub const CDN_TIMEOUT: Duration = Duration::from_secs(20);

/// How long KV may take to read or to write the resolver state.
pub const STATE_STORE_TIMEOUT: Duration = Duration::from_secs(10);

/// After this time a refresh of the resolver state is given up: before the next one begins, whose newer state it could
/// otherwise replace by its own.
pub const REFRESH_TIME: Duration = Duration::from_secs(45);

/// `cacheTtl` of the refresh's read of KV: the least that KV takes (Cloudflare changelog, 2026-01-30).
pub const STATE_CACHE_TTL: Duration = Duration::from_secs(30);

/// How often an isolate says in its log that there is no client secret to refresh the state with.
pub const NO_SECRET_LOG_INTERVAL: Duration = Duration::from_secs(3600);

/// How long one send to a queue may take.
pub const SEND_TIMEOUT: Duration = Duration::from_secs(10);

/// The most messages of one `sendBatch` (Queues › Platform › Limits).
pub const MAX_SEND_BATCH_MESSAGES: usize = 100;

/// The most bytes of one `sendBatch`: its limit is 256 kB in total, of which 100 bytes a message are metadata.
pub const MAX_SEND_BATCH_BYTES: usize = 240_000;

/// `max_retries` of the dead-letter queue in `wrangler/consumer.toml`: the most there is. With
/// [`DEAD_RETRY_MAX_DELAY`] they last longer than the queue keeps a message, so it is the retention that ends a letter
/// for which the Ledger has no room.
pub const MAX_DEAD_RETRIES: u32 = 100;

/// Longest delay of a dead letter that could not be stored.
pub const DEAD_RETRY_MAX_DELAY: Duration = Duration::from_secs(3 * 3600);

/// The most dead letters that the Ledger keeps.
pub const MAX_DEAD_LETTERS: u64 = 10_000;

/// The most bytes of dead letters that the Ledger keeps. A Durable Object holds 10 GB (Durable Objects › Platform ›
/// Limits), and 5 GB in all on the free plan.
pub const MAX_DEAD_LETTERS_BYTES: u64 = 256 << 20;

/// The most bytes of a page of dead letters between the Ledger and its Worker.
pub const MAX_DEAD_PAGE_BYTES: usize = 4 << 20;

/// How long one call of redrive goes on; what is left is said, and the next call takes it up.
pub const REDRIVE_TIME: Duration = Duration::from_secs(20);

/// The most bytes of an import: what one family of the state can hold. What one resolver counts takes some kilobytes, and
/// 450 bytes for each label set of provider initialisations.
pub const MAX_IMPORT_BYTES: usize = 512 << 10;

/// How much is read, and not kept, of an import that is too long.
pub const MAX_DRAINED_IMPORT_BYTES: usize = 4 << 20;

/// The most imports that the Ledger takes: one is usual, and each is remembered for good.
pub const MAX_IMPORTS: usize = 64;

/// The most bytes of the name of an import's source.
pub const MAX_IMPORT_SOURCE_BYTES: usize = 200;

/// The greatest total that an import brings. Ten thousand resolves a second of 10 ms each come to it, as a sum of
/// microseconds, after 365 years; a counter that wrapped below 0 lies above.
pub const MAX_IMPORT_TOTAL: u64 = 1 << 60;

/// A JSON body that is longer cannot have come as JSON, whose limit is that of a message; the structured clone of
/// something else becomes longer text than it was.
pub const MAX_JSON_BODY_BYTES: usize = 1 << 20;

/// The most bytes of a login: a token of a few hundred bytes, each of which a form may escape as three.
pub const MAX_LOGIN_BYTES: usize = 4096;

/// How much is read, and not kept, of a login that is too long: an answer while the client still sends is often lost
/// with the connection.
pub const MAX_DRAINED_LOGIN_BYTES: usize = 1 << 20;

/// The most bytes of a `Cookie` header that is looked at: browsers send up to 4 kB a cookie.
pub const MAX_COOKIE_HEADER_BYTES: usize = 16 << 10;

/// How long a browser keeps the cookie of the status page: a working day.
pub const SESSION_AGE: Duration = Duration::from_secs(12 * 3600);

/// The most commits that the journal holds; then it is folded. At 100 commits a second that is every ten seconds, at one
/// batch every two seconds every half an hour.
pub const MAX_JOURNAL_COMMITS: u64 = 1_024;

/// The most streams whose rows wait in memory to be folded: about 4 MB.
pub const MAX_JOURNAL_STREAMS: usize = 16_384;

/// Size of the journal that folds it: that of [`MAX_JOURNAL_COMMITS`] full batches of resolvers, about 14 kB each. What a
/// Ledger that starts has to read of it is this and one commit, entry by entry.
pub const MAX_JOURNAL_BYTES: usize = 16 << 20;

/// The longest entry of the journal; what is longer folds it. An entry is a row, of which SQLite in a Durable Object takes
/// 2 MB in all.
pub const MAX_ENTRY_BYTES: usize = 1 << 20;

/// What a part of the state may come to. Larger parts are fewer rows, smaller ones are less to write where little changes;
/// one resolver is one part.
pub const MAX_PART_BYTES: usize = 256 << 10;

/// Rows of one statement that folds the journal: with the longest rows (64 gaps and an account of 128 bytes) its one
/// parameter stays below the 2 MB that SQLite takes on the platform.
pub const MAX_ROWS_PER_STATEMENT: usize = 500;

/// The longest value of Workers KV: 25 MiB (KV › Platform › Limits).
pub const MAX_KV_BYTES: usize = 25 << 20;
