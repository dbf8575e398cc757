//! What a load needs, as sums: queues, Ledgers, consumers, dollars, and which limit is the first.

use tributary_consumer::limits::DEFAULT_PUBLISH_INTERVAL;
use tributary_proto::envelope::MAX_LEDGERS;
use tributary_tests::{
    cost::{BYTES_PER_RESOLVE, Load, MONTH_SECONDS, ROWS_PER_COMMIT, commits_per_batch, peer_dollars},
    growth::as_f64,
};

use crate::platform::{
    BATCH_MESSAGES, COSTS, FOLDED_ROW, HEADROOM, QUEUE_BYTES, QUEUE_MESSAGES_PER_SECOND, WASM, WRITE_REQUEST,
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
    /// Queues, and as many Ledgers: the most of these.
    pub(crate) shards: f64,
    /// Installations that have so many, at most `MAX_LEDGERS` each.
    pub(crate) installations: f64,
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
        let installations = (shards / f64::from(MAX_LEDGERS)).ceil();
        let of_each = Self { resolves: self.resolves / installations, ..self };
        let shards_of_each = (shards / installations).ceil();
        let month = of_each.load(shards_of_each).month().times(installations);
        Needs {
            isolates: self.resolves / self.of_isolate,
            messages,
            per_message: self.load(1.0).resolves_per_message(),
            by_messages,
            by_bytes,
            by_ledger,
            shards,
            installations,
            first,
            rows: month.ledger_rows / MONTH_SECONDS,
            ledger_busy: of_each.ledger_busy(shards_of_each),
            dollars: month.dollars(),
            peer_dollars: peer_dollars(self.resolves * MONTH_SECONDS),
            peer_queues: (self.resolves / per_queue).ceil(),
        }
    }

    /// Share of its time that the thread of each of so many Ledgers works.
    fn ledger_busy(self, shards: f64) -> f64 {
        let month = self.load(shards).month();
        let of_a_ledger = |amount: f64| amount / MONTH_SECONDS / shards;
        let (messages, commits) = (of_a_ledger(month.messages), of_a_ledger(month.commits));
        let folded = (of_a_ledger(month.ledger_rows) - ROWS_PER_COMMIT * commits).max(0.0);
        (commits * (WRITE_REQUEST + COSTS.commit * WASM) + messages * COSTS.record * WASM + folded * FOLDED_ROW) / 1e6
    }
}

/// What one installation takes at most, with isolates that are asked so often and so long a flush interval.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reach {
    /// The load: [`HEADROOM`] of the messages that its queues take.
    pub(crate) demand: Demand,
    /// Resolves of a message.
    pub(crate) per_message: f64,
    /// Seconds for which its queues hold what comes while nobody takes it.
    pub(crate) held_seconds: f64,
    /// Resolves a second of which ten minutes' bytes have room.
    pub(crate) with_outage: f64,
    /// Share of its time that each Ledger works, taking in not among it.
    pub(crate) ledger_busy: f64,
    /// Dollars a month.
    pub(crate) dollars: f64,
}

/// See [`Reach`].
pub(crate) fn reach(of_isolate: f64, flush_seconds: f64) -> Reach {
    let queues = f64::from(MAX_LEDGERS);
    let per_message = Demand { resolves: of_isolate * 1e6, of_isolate, flush_seconds }.load(1.0).resolves_per_message();
    let resolves = queues * as_f64(QUEUE_MESSAGES_PER_SECOND) * HEADROOM * per_message;
    let demand = Demand { resolves, of_isolate, flush_seconds };
    let held = queues * QUEUE_BYTES / BYTES_PER_RESOLVE;
    Reach {
        demand,
        per_message,
        held_seconds: held / resolves,
        with_outage: resolves.min(held / OUTAGE_SECONDS),
        ledger_busy: demand.ledger_busy(queues),
        dollars: demand.load(queues).month().dollars(),
    }
}

/// Messages a second that one Ledger can commit where a commit takes so many microseconds of native code.
pub(crate) fn messages_of_a_ledger(commit_micros: f64) -> f64 {
    let messages = as_f64(u64::try_from(BATCH_MESSAGES).unwrap_or_default());
    let batch = commits_per_batch(messages) * (WRITE_REQUEST + commit_micros * WASM) + messages * COSTS.record * WASM;
    messages / batch * 1e6
}

/// What it takes of the first Ledger to hear of so many Ledgers: copies a second, and the share of its time, where one takes
/// so many microseconds of native code.
pub(crate) fn taking_in(ledgers: f64, native_micros: f64) -> (f64, f64) {
    let copies = (ledgers - 1.0) * 2.0 / DEFAULT_PUBLISH_INTERVAL.as_secs_f64();
    (copies, copies * (WRITE_REQUEST + native_micros * WASM) / 1e6)
}
