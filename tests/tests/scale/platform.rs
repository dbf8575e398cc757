//! The platform as the simulation has it: Cloudflare's limits, and what is assumed where Cloudflare says nothing.

/// Messages that a queue takes in a second (Queues › Platform › Limits); more are refused.
pub(crate) const QUEUE_MESSAGES_PER_SECOND: u64 = 5_000;
/// Bytes that a queue holds (Queues › Platform › Limits); more are refused.
pub(crate) const QUEUE_BYTES: f64 = 25e9;
/// Queues of an account (Queues › Platform › Limits).
pub(crate) const QUEUES_PER_ACCOUNT: f64 = 10_000.0;
/// Consumers of a queue that run at a time (Queues › Platform › Limits).
pub(crate) const CONSUMERS: usize = 250;
/// `max_batch_size` and `max_batch_timeout` of `wrangler/consumer.toml`.
pub(crate) const BATCH_MESSAGES: usize = 100;
/// Microseconds.
pub(crate) const BATCH_TIMEOUT: u64 = 2_000_000;
/// Assumed: a message of how full a queue is to be planned for, of what it takes.
pub(crate) const HEADROOM: f64 = 0.8;
/// Assumed: wasm of the size that the Workers ship takes so many times what native code for speed takes.
pub(crate) const WASM: f64 = 3.0;
/// Assumed: microseconds of an object's thread for a request that writes, apart from our code. Its sum with our own is
/// what lets an object of trivial requests do 1,000 a second and one that writes 200 to 500 (Durable Objects' rules).
pub(crate) const WRITE_REQUEST: f64 = 2_500.0;
/// Microseconds of SQLite for a row of a fold. Measured: 8, for the statement that writes 16,384 of 200,000 rows (SQLite
/// 3.40, natively, as it is in the runtime too); half more is assumed.
pub(crate) const FOLDED_ROW: f64 = 12.0;
/// Assumed: microseconds until a write is durable, which only its answer waits for.
pub(crate) const DURABLE: u64 = 15_000;
/// Assumed: requests that wait for an object before it refuses more.
pub(crate) const OBJECT_QUEUE: usize = 1_000;
/// Assumed: microseconds from a Worker to an object, one way, least and most.
pub(crate) const NETWORK: (u64, u64) = (2_000, 40_000);
/// Assumed: microseconds of the backend, least and most.
pub(crate) const BACKEND: (u64, u64) = (40_000, 250_000);
/// Assumed: microseconds of a put of KV, least and most.
pub(crate) const KV_PUT: (u64, u64) = (50_000, 400_000);
/// Assumed: microseconds until an invocation of the consumer runs.
pub(crate) const START: u64 = 5_000;
/// Assumed: how often the platform looks how many consumers a queue needs, in microseconds; it adds half of those that run.
pub(crate) const AUTOSCALE: u64 = 10_000_000;

/// What our code costs, in microseconds, native: what `make bench` measures, rounded up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Costs {
    /// Consumer: a message of 100 resolves with their flag logs, read and merged (`docs/performance.md`, 317,000
    /// instructions).
    pub(crate) message: f64,
    /// Ledger: a commit, with the state sealed (`docs/performance/growth.csv`, as the rest of these).
    pub(crate) commit: f64,
    /// Ledger: each record of it, where every one is of another stream.
    pub(crate) record: f64,
    /// Ledger 0: the copy of another, read, added and the state sealed. The first one, of which all is
    /// new, takes more.
    pub(crate) take_in: f64,
    /// A commit, where the state has the half megabyte that the worst senders of the bench bring it to.
    pub(crate) full_commit: f64,
    /// A copy of that size.
    pub(crate) full_take_in: f64,
    /// Ledger: the text of a publication.
    pub(crate) render: f64,
}

/// See [`Costs`].
pub(crate) const COSTS: Costs = Costs {
    message: 100.0,
    commit: 30.0,
    record: 2.5,
    take_in: 190.0,
    full_commit: 1_900.0,
    full_take_in: 13_500.0,
    render: 60.0,
};
