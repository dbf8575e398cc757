//! What a load needs, as sums: queues, Ledgers, consumers, dollars, and which limit is the first.

use crate::platform::{
    BATCH_MESSAGES, CONNECTIONS, COSTS, FOLDED_ROW, HEADROOM, NETWORK, QUEUE_BYTES, QUEUE_MESSAGES_PER_SECOND,
    QUEUES_PER_ACCOUNT, READ_REQUEST, WASM, WRITE_REQUEST,
};
use tributary_tests::{
    cost::{BYTES_PER_RESOLVE, Load, MONTH_SECONDS, Month, commits_per_batch, peer_dollars},
    growth::as_f64,
};

/// Seconds for which a queue is to hold what comes while nobody takes it.
pub(crate) const OUTAGE_SECONDS: f64 = 600.0;

/// A load by the second.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Demand {
    /// Resolves a second, of all isolates.
    pub(crate) resolves: f64,
    /// Resolves a second of one isolate.
    pub(crate) of_isolate: f64,
    /// `FLUSH_INTERVAL_MS`, in seconds.
    pub(crate) flush_seconds: f64,
}

/// What it needs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Needs {
    /// Isolates of producers.
    pub(crate) isolates: f64,
    /// Messages a second.
    pub(crate) messages: f64,
    /// Resolves of a message.
    pub(crate) per_message: f64,
    /// Queues for the messages.
    pub(crate) by_messages: f64,
    /// Queues so that ten minutes' bytes have room.
    pub(crate) by_bytes: f64,
    /// Ledgers for the commits.
    pub(crate) by_ledger: f64,
    /// What `QUEUE_SHARDS` has to be: the most of these.
    pub(crate) shards: f64,
    /// Which of them it is.
    pub(crate) first: &'static str,
    /// Rows that all Ledgers write, a second.
    pub(crate) rows: f64,
    /// Share of its time that each Ledger works.
    pub(crate) ledger_busy: f64,
    /// Dollars a month.
    pub(crate) dollars: f64,
    /// The peer's dollars a month, for its queue alone.
    pub(crate) peer_dollars: f64,
    /// Queues of the peer, which sends a message for each resolve.
    pub(crate) peer_queues: f64,
}

impl Demand {
    fn load(self, shards: f64) -> Load {
        Load {
            resolves: self.resolves * MONTH_SECONDS,
            isolates: self.resolves / self.of_isolate,
            flush_seconds: self.flush_seconds,
            bytes_per_resolve: BYTES_PER_RESOLVE,
            shards,
        }
    }

    /// What the load needs.
    pub(crate) fn needs(self) -> Needs {
        let per_queue = as_f64(QUEUE_MESSAGES_PER_SECOND) * HEADROOM;
        let messages = self.load(1.0).month().messages / MONTH_SECONDS;
        let by_messages = (messages / per_queue).ceil();
        let by_bytes = (self.resolves * BYTES_PER_RESOLVE * OUTAGE_SECONDS / QUEUE_BYTES).ceil();
        // Batches are full where it matters; then every queue more takes its share of the work.
        let by_ledger = (self.ledger_busy(by_messages) * by_messages / HEADROOM).ceil();
        let needs =
            [(by_messages, "messages of a queue"), (by_bytes, "bytes of a queue"), (by_ledger, "time of a Ledger")];
        let (shards, first) =
            needs.into_iter().reduce(|most, need| if need.0 > most.0 { need } else { most }).unwrap_or_default();
        let first = if shards <= 1.0 { "none" } else { first };
        let month: Month = self.load(shards).month();
        Needs {
            isolates: self.resolves / self.of_isolate,
            messages,
            per_message: self.load(1.0).resolves_per_message(),
            by_messages,
            by_bytes,
            by_ledger,
            shards,
            first,
            rows: month.ledger_rows / MONTH_SECONDS,
            ledger_busy: self.ledger_busy(shards),
            dollars: month.dollars(),
            peer_dollars: peer_dollars(self.resolves * MONTH_SECONDS),
            peer_queues: (self.resolves / per_queue).ceil(),
        }
    }

    /// Share of its time that the thread of each of so many Ledgers works.
    fn ledger_busy(self, shards: f64) -> f64 {
        let month = self.load(shards).month();
        let (messages, rows) = (month.messages / MONTH_SECONDS / shards, month.ledger_rows / MONTH_SECONDS / shards);
        let commits = month.ledger_requests / MONTH_SECONDS / shards;
        let folded = (rows - 2.0 * commits).max(0.0);
        (commits * (WRITE_REQUEST + COSTS.commit * WASM) + messages * COSTS.record * WASM + folded * FOLDED_ROW) / 1e6
    }
}

impl Needs {
    /// Whether an account has so many queues.
    pub(crate) fn fits_an_account(&self) -> bool {
        self.shards <= QUEUES_PER_ACCOUNT
    }
}

/// Messages a second that one Ledger can commit where a commit takes so many microseconds of native code.
pub(crate) fn messages_of_a_ledger(commit_micros: f64) -> f64 {
    let messages = as_f64(u64::try_from(BATCH_MESSAGES).unwrap_or_default());
    let batch = commits_per_batch(messages) * (WRITE_REQUEST + commit_micros * WASM) + messages * COSTS.record * WASM;
    messages / batch * 1e6
}

/// Seconds that a publication of so many Ledgers takes of the first of them: asking the others, and merging what they
/// say, where a snapshot takes so many microseconds of native code.
pub(crate) fn publication_seconds(ledgers: f64, merge_micros: f64) -> (f64, f64) {
    let (least, most) = NETWORK;
    let connections = as_f64(u64::try_from(CONNECTIONS).unwrap_or_default());
    let turn = as_f64(least + most) + READ_REQUEST + COSTS.render * WASM;
    let others = ledgers - 1.0;
    ((others / connections).ceil() * turn / 1e6, (others * merge_micros * WASM + COSTS.render * WASM) / 1e6)
}
