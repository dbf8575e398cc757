//! What an installation costs a month on Cloudflare, as a model: how many operations the pipeline's own rules make of a
//! load, times Cloudflare's prices. The tables of `docs/cost.md` are what it prints; a test compares.
//!
//! Prices and inclusions: Cloudflare's pages on the pricing of Queues, KV and Durable Objects for the paid plan, as of
//! November 2026. Not in it, because with and without us they are the same: the requests and CPU time of the producer.

/// Seconds of a month of 730 hours.
pub const MONTH_SECONDS: f64 = 2_628_000.0;
/// Queue operations are counted by this many bytes of a message.
const OPERATION_BYTES: f64 = 64_000.0;
/// Write, read, delete.
const OPERATIONS_PER_DELIVERY: f64 = 3.0;
/// A message holds at most this (DESIGN section 5).
const MESSAGE_BYTES: f64 = 120_000.0;
/// `max_batch_size` and `max_batch_timeout` of `wrangler/consumer.toml`.
const BATCH_MESSAGES: f64 = 100.0;
const BATCH_SECONDS: f64 = 2.0;
/// Default of `PUBLISH_INTERVAL_MS`; a publication writes two keys.
const PUBLISH_SECONDS: f64 = 10.0;
const KEYS: f64 = 2.0;
/// How often another Ledger tells the first of itself: twice in that time.
const TELL_SECONDS: f64 = PUBLISH_SECONDS / 2.0;
/// Resolves that seal a window before its time: so many assignments do, of which a resolve of the demo has 2.5.
const SEALING_RESOLVES: f64 = 2_000.0 / 2.5;
/// Commits of a batch of so many messages: its records, and then the consumer's own report on it, which goes with the next
/// batch where this one is full. The simulation of scale counts them.
#[must_use]
pub fn commits_per_batch(messages: f64) -> f64 {
    if messages < BATCH_MESSAGES { 2.0 } else { 1.0 }
}

/// Rows that a commit writes: an entry of the journal.
pub const ROWS_PER_COMMIT: f64 = 1.0;
/// Rows of a fold beside those of streams: the mark, the head of the state, and its one part. A state of many custom series has
/// some hundred, of which those are written where anything changed.
pub const ROWS_PER_FOLD: f64 = 3.0;
/// Commits between two folds of the Ledger's journal, and streams that fold it before.
const JOURNAL_COMMITS: f64 = 1_024.0;
const JOURNAL_STREAMS: f64 = 16_384.0;
/// How long an isolate keeps the resolver state before it reads KV again.
const STATE_SECONDS: f64 = 15.0;
/// What a Durable Object of 128 MB uses while it is awake, which with traffic is always.
const LEDGER_GIGABYTES: f64 = 0.128;

/// A load.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Resolves a month.
    pub resolves: f64,
    /// Isolates that are alive at a time, on average.
    pub isolates: f64,
    /// `FLUSH_INTERVAL_MS`, in seconds.
    pub flush_seconds: f64,
    /// Bytes in the queue per resolve, flag logs included.
    pub bytes_per_resolve: f64,
    /// `QUEUE_SHARDS`: queues, and as many Ledgers.
    pub shards: f64,
}

/// What a price is asked for, and how much of it is free.
#[derive(Clone, Copy, Debug)]
pub struct Price {
    dollars_per_million: f64,
    included: f64,
}

const QUEUE_OPERATIONS: Price = Price { dollars_per_million: 0.40, included: 1e6 };
const KV_WRITES: Price = Price { dollars_per_million: 5.0, included: 1e6 };
const KV_READS: Price = Price { dollars_per_million: 0.50, included: 10e6 };
const LEDGER_REQUESTS: Price = Price { dollars_per_million: 0.15, included: 1e6 };
const LEDGER_GIGABYTE_SECONDS: Price = Price { dollars_per_million: 12.50, included: 400e3 };
const LEDGER_ROWS_WRITTEN: Price = Price { dollars_per_million: 1.0, included: 50e6 };

impl Price {
    fn of(self, amount: f64) -> f64 {
        (amount - self.included).max(0.0) * self.dollars_per_million / 1e6
    }
}

/// Operations a month.
#[derive(Clone, Copy, Debug)]
pub struct Month {
    /// Messages on the queue.
    pub messages: f64,
    /// Queue operations.
    pub queue_operations: f64,
    /// KV writes.
    pub kv_writes: f64,
    /// KV reads, without those of scrapes.
    pub kv_reads: f64,
    /// Requests of the Ledger, alarms included.
    pub ledger_requests: f64,
    /// Those of them that are commits.
    pub commits: f64,
    /// Rows that the Ledger writes.
    pub ledger_rows: f64,
    /// Gigabyte-seconds of the Ledger.
    pub ledger_gigabyte_seconds: f64,
}

impl Load {
    /// What the pipeline makes of it.
    ///
    /// Resolves come to an isolate at random times (Poisson) at rate r. A window begins with the first resolve and stays
    /// open for the flush interval F, so it holds 1 + rF resolves on average.
    #[must_use]
    pub fn month(self) -> Month {
        let per_message = self.resolves_per_message();
        let messages = self.resolves / per_message;
        let units = (per_message * self.bytes_per_resolve / OPERATION_BYTES).ceil();
        // A batch begins with its first message, too.
        let per_shard = messages / MONTH_SECONDS / self.shards;
        let batch = (1.0 + per_shard * BATCH_SECONDS).min(BATCH_MESSAGES);
        let batches = messages / batch;
        let publications = batches.min(MONTH_SECONDS / PUBLISH_SECONDS);
        let commits = batches * commits_per_batch(batch);
        let tells = (self.shards - 1.0) * (batches / self.shards).min(MONTH_SECONDS / TELL_SECONDS);
        Month {
            messages,
            queue_operations: messages * units * OPERATIONS_PER_DELIVERY,
            kv_writes: publications * KEYS,
            kv_reads: self.resolves.min(self.isolates * MONTH_SECONDS / STATE_SECONDS),
            // A publication is an alarm; telling is one, and a request of the first Ledger.
            ledger_requests: commits + publications + tells * 2.0,
            commits,
            // Of a commit: an entry of the journal. Of a publication: another, and the alarm twice. Of telling: the alarm
            // twice, and in the first Ledger an entry and the copy.
            ledger_rows: commits * ROWS_PER_COMMIT
                + self.folded_rows(messages, commits)
                + publications * 3.0
                + tells * 4.0,
            ledger_gigabyte_seconds: MONTH_SECONDS * LEDGER_GIGABYTES * self.shards,
        }
    }

    /// Resolves of a message, on average.
    #[must_use]
    pub fn resolves_per_message(self) -> f64 {
        let rate = self.resolves / MONTH_SECONDS;
        let per_window = (1.0 + rate / self.isolates * self.flush_seconds).min(SEALING_RESOLVES.max(1.0));
        let window_bytes = per_window * self.bytes_per_resolve;
        per_window / (window_bytes / MESSAGE_BYTES).ceil().max(1.0)
    }

    /// Rows that folds write: each stream that has spoken since the one before, and what is one of the state.
    fn folded_rows(self, messages: f64, commits: f64) -> f64 {
        let streams = self.isolates / self.shards;
        let between = messages / commits * JOURNAL_COMMITS;
        // Isolates that are busy speak in turn; those that are seldom asked speak at random.
        let is_busy = self.resolves / MONTH_SECONDS / self.isolates * self.flush_seconds > 1.0;
        let spoken = if is_busy { between.min(streams) } else { streams * (1.0 - (-between / streams).exp()) };
        let (rows, folds) = if spoken <= JOURNAL_STREAMS {
            (spoken, commits / JOURNAL_COMMITS)
        } else {
            let until = if is_busy { JOURNAL_STREAMS } else { -streams * (1.0 - JOURNAL_STREAMS / streams).ln() };
            (JOURNAL_STREAMS, messages / until)
        };
        folds * (rows + ROWS_PER_FOLD)
    }
}

impl Month {
    /// So many installations of which each has this month, in one account.
    #[must_use]
    pub fn times(self, installations: f64) -> Self {
        Self {
            messages: self.messages * installations,
            queue_operations: self.queue_operations * installations,
            kv_writes: self.kv_writes * installations,
            kv_reads: self.kv_reads * installations,
            ledger_requests: self.ledger_requests * installations,
            commits: self.commits * installations,
            ledger_rows: self.ledger_rows * installations,
            ledger_gigabyte_seconds: self.ledger_gigabyte_seconds * installations,
        }
    }

    /// Dollars a month.
    #[must_use]
    pub fn dollars(&self) -> f64 {
        QUEUE_OPERATIONS.of(self.queue_operations)
            + KV_WRITES.of(self.kv_writes)
            + KV_READS.of(self.kv_reads)
            + LEDGER_REQUESTS.of(self.ledger_requests)
            + LEDGER_ROWS_WRITTEN.of(self.ledger_rows)
            + LEDGER_GIGABYTE_SECONDS.of(self.ledger_gigabyte_seconds)
    }
}

/// What Spotify's resolver pays for its queue alone: one message for each resolve.
#[must_use]
pub fn peer_dollars(resolves: f64) -> f64 {
    QUEUE_OPERATIONS.of(resolves * OPERATIONS_PER_DELIVERY)
}

/// The loads of the table: resolves a month, isolates.
const LOADS: [(f64, f64); 8] = [
    (1e6, 5.0),
    (10e6, 20.0),
    (100e6, 100.0),
    (100e6, 1_000.0),
    (1e9, 500.0),
    (1e9, 5_000.0),
    (10e9, 2_000.0),
    (10e9, 20_000.0),
];

/// Bytes in the queue of a resolve with its flag logs, at 100 resolves a message: what `make bench` measures.
pub const BYTES_PER_RESOLVE: f64 = 86.0;

/// The tables of `docs/cost.md`, by their names there.
#[must_use]
pub fn tables() -> [(&'static str, String); 3] {
    [("month", month_table()), ("flush", flush_table()), ("shards", shards_table())]
}

fn month_table() -> String {
    let mut table =
        "| resolves a month | isolates | messages | queue operations | KV writes | KV reads | Ledger requests | \
                     Ledger rows | dollars | one message per resolve, queue alone |\n\
                     | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: |\n"
            .to_owned();
    for (resolves, isolates) in LOADS {
        let month =
            Load { resolves, isolates, flush_seconds: 1.0, bytes_per_resolve: BYTES_PER_RESOLVE, shards: 1.0 }.month();
        table.push_str(&format!(
            "| {} | {isolates} | {} | {} | {} | {} | {} | {} | {:.2} | {:.2} |\n",
            short(resolves),
            short(month.messages),
            short(month.queue_operations),
            short(month.kv_writes),
            short(month.kv_reads),
            short(month.ledger_requests),
            short(month.ledger_rows),
            month.dollars(),
            peer_dollars(resolves),
        ));
    }
    table
}

/// What the flush interval does to a billion resolves.
fn flush_table() -> String {
    let mut table = "| `FLUSH_INTERVAL_MS` | messages | dollars |\n| --: | --: | --: |\n".to_owned();
    for flush_seconds in [0.0, 0.2, 1.0, 5.0, 20.0] {
        let load =
            Load { resolves: 1e9, isolates: 500.0, flush_seconds, bytes_per_resolve: BYTES_PER_RESOLVE, shards: 1.0 };
        let month = load.month();
        let millis = flush_seconds * 1_000.0;
        table.push_str(&format!("| {millis} | {} | {:.2} |\n", short(month.messages), month.dollars()));
    }
    table
}

/// What more queues do to the last load of [`LOADS`].
fn shards_table() -> String {
    let mut table =
        "| `QUEUE_SHARDS` | Ledger requests | Ledger rows | dollars |\n| --: | --: | --: | --: |\n".to_owned();
    let [.., (resolves, isolates)] = LOADS;
    for shards in [1.0, 2.0, 4.0, 16.0] {
        let load = Load { resolves, isolates, flush_seconds: 1.0, bytes_per_resolve: BYTES_PER_RESOLVE, shards };
        let month = load.month();
        let (requests, rows) = (short(month.ledger_requests), short(month.ledger_rows));
        table.push_str(&format!("| {shards} | {requests} | {rows} | {:.2} |\n", month.dollars()));
    }
    table
}

/// Two digits and a unit.
fn short(number: f64) -> String {
    match number {
        n if n >= 1e9 => format!("{:.1} G", n / 1e9),
        n if n >= 1e6 => format!("{:.1} M", n / 1e6),
        n if n >= 1e3 => format!("{:.1} k", n / 1e3),
        n => format!("{n:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use tributary_consumer::limits::{
        DEFAULT_PUBLISH_INTERVAL, FULL_BATCH_MESSAGES, MAX_JOURNAL_COMMITS, MAX_JOURNAL_STREAMS,
    };
    use tributary_emitter::limits::MAX_PENDING_ASSIGNMENTS;

    use crate::growth::as_f64;

    use super::*;

    const LOAD: Load =
        Load { resolves: 1e9, isolates: 500.0, flush_seconds: 1.0, bytes_per_resolve: 300.0, shards: 1.0 };

    #[test]
    fn without_coalescing_a_message_is_a_resolve_as_with_the_peer() {
        let month = Load { flush_seconds: 0.0, ..LOAD }.month();
        assert!((month.messages - 1e9).abs() < 1.0 && (month.queue_operations - 3e9).abs() < 1.0);
        assert!((peer_dollars(1e9) - (3e9 - 1e6) * 0.4 / 1e6).abs() < 1e-6);
    }

    #[test]
    fn coalescing_divides_messages_and_never_beyond_a_messages_size() {
        let busy = Load { isolates: 1.0, ..LOAD }.month();
        assert!(busy.messages >= 1e9 * 300.0 / MESSAGE_BYTES, "{busy:?}");
        let busiest = Load { isolates: 0.1, ..LOAD };
        assert!(busiest.month().messages >= 1e9 / SEALING_RESOLVES, "so many assignments seal a window");
        let idle = Load { isolates: 1e7, ..LOAD }.month();
        assert!(idle.messages > 0.99e9, "an isolate that is asked once a minute coalesces nothing: {idle:?}");
    }

    #[test]
    fn the_rules_are_those_of_the_pipeline() {
        assert!((BATCH_MESSAGES - as_f64(u64::try_from(FULL_BATCH_MESSAGES).unwrap_or(0))).abs() < 1e-9);
        assert!((JOURNAL_COMMITS - as_f64(MAX_JOURNAL_COMMITS)).abs() < 1e-9);
        assert!((JOURNAL_STREAMS - as_f64(u64::try_from(MAX_JOURNAL_STREAMS).unwrap_or(0))).abs() < 1e-9);
        assert!((SEALING_RESOLVES * 2.5 - as_f64(MAX_PENDING_ASSIGNMENTS)).abs() < 1e-9);
        assert!((PUBLISH_SECONDS - DEFAULT_PUBLISH_INTERVAL.as_secs_f64()).abs() < 1e-9);
        let load = Load { isolates: 1e5, ..LOAD };
        let (one, two) = (load.month(), Load { shards: 2.0, ..load }.month());
        let tells = MONTH_SECONDS / TELL_SECONDS;
        assert!((two.ledger_requests - two.commits - one.ledger_requests + one.commits - 2.0 * tells).abs() < 1.0);
    }

    #[test]
    fn shards_share_the_messages_and_add_what_each_of_them_costs() {
        let (one, ten) = (Load { isolates: 1e5, ..LOAD }.month(), Load { isolates: 1e5, shards: 10.0, ..LOAD }.month());
        assert!((one.messages - ten.messages).abs() < 1.0 && (one.queue_operations - ten.queue_operations).abs() < 1.0);
        assert!((ten.ledger_gigabyte_seconds - 10.0 * one.ledger_gigabyte_seconds).abs() < 1.0);
        assert!(ten.ledger_requests > one.ledger_requests, "batches are less full");
        assert!(ten.ledger_rows < one.ledger_rows, "ten journals hold the isolates that one cannot");
    }

    #[test]
    fn installations_share_what_is_included() {
        let one = LOAD.month();
        let free = KV_WRITES.included * KV_WRITES.dollars_per_million / 1e6;
        let (two, apart) = (one.times(2.0).dollars(), 2.0 * one.dollars());
        assert!(two > apart && two < apart + 100.0 * free, "{two} {apart}");
    }

    #[test]
    fn what_is_included_is_free_and_nothing_is_paid_back() {
        assert!(KV_WRITES.of(0.0).abs() < 1e-9 && KV_WRITES.of(1e6).abs() < 1e-9);
        assert!((KV_WRITES.of(3e6) - 10.0).abs() < 1e-9);
    }
}
