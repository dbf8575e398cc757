//! A Ledger as the platform runs it: one thread, one request after the other, and everything that decides is real.

use std::collections::{BTreeMap, VecDeque};

use tributary_consumer::{
    config::Config,
    ledger::{
        publish::{Schedule, copies},
        shards::{LedgerCopy, status_of_all},
    },
    scrape::options::View,
    self_metrics::LedgerStatus,
};
use tributary_proto::v1::CommitResponse;
use tributary_telemetry::Snapshot;

use crate::{
    START_MS,
    chance::whole,
    object::{Object, Prepared},
    platform::{COSTS, FOLDED_ROW, OBJECT_QUEUE, WASM, WRITE_REQUEST},
    traffic::RESOLVER_ID,
};
use tributary_tests::growth::as_f64;

/// What an object is asked.
pub(crate) enum Job {
    /// A commit of a run of the consumer.
    Commit { run: u64, call: u64, request: Vec<u8> },
    /// An alarm of the first: to publish.
    Publish,
    /// An alarm of another: to tell the first of itself.
    Copy,
    /// To take in what another tells.
    TakeIn { from: usize, copy: Vec<u8>, records: Vec<(usize, u64)> },
}

/// What came of a job.
pub(crate) enum Done {
    Commit { run: u64, call: u64, response: CommitResponse },
    Publish(Box<Publication>),
    Copy(Told),
    TakeIn { from: usize },
}

/// What is on its way, from a Ledger to the first or from the first to KV.
pub(crate) struct Told {
    pub(crate) copy: Vec<u8>,
    /// What is new in it: isolate and sequence.
    pub(crate) records: Vec<(usize, u64)>,
    /// Of the state in it.
    pub(crate) version: u64,
}

/// What is to be published.
pub(crate) struct Publication {
    pub(crate) state: Snapshot,
    pub(crate) status: LedgerStatus,
    pub(crate) told: Told,
}

pub(crate) struct Server {
    pub(crate) object: Object,
    pub(crate) waiting: VecDeque<Job>,
    /// What is under way.
    busy: Option<Done>,
    /// Microseconds that its thread worked.
    pub(crate) worked_us: u64,
    pub(crate) requests: u64,
    pub(crate) refused: u64,
    pub(crate) most_waiting: usize,
    /// Isolate and sequence of what is in the state, and neither published nor told yet.
    pub(crate) unpublished: Vec<(usize, u64)>,
    pub(crate) schedule: Schedule,
    /// A publication, or telling the first, is under way.
    pub(crate) is_out: bool,
    /// What of it is on its way.
    pub(crate) told: Option<Told>,
}

impl Server {
    pub(crate) fn new() -> Self {
        Self {
            object: Object::new(RESOLVER_ID),
            waiting: VecDeque::new(),
            busy: None,
            worked_us: 0,
            requests: 0,
            refused: 0,
            most_waiting: 0,
            unpublished: Vec::new(),
            schedule: Schedule::default(),
            is_out: false,
            told: None,
        }
    }

    /// Nothing is to be done, and everything that it has was published or told.
    pub(crate) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.busy.is_none() && !self.is_out && self.unpublished.is_empty()
    }

    /// The version of its state.
    pub(crate) fn version(&mut self, now: u64) -> u64 {
        self.object.book(START_MS + now / 1_000).state.version()
    }

    /// Takes a job; gives it back where too many wait.
    pub(crate) fn take(&mut self, job: Job) -> Result<(), Job> {
        if self.waiting.len() >= OBJECT_QUEUE && matches!(job, Job::Commit { .. }) {
            self.refused += 1;
            return Err(job);
        }
        self.requests += 1;
        self.waiting.push_back(job);
        self.most_waiting = self.most_waiting.max(self.waiting.len());
        Ok(())
    }

    /// Begins the next job, where nothing is under way; returns how many microseconds it takes.
    pub(crate) fn begin(&mut self, now: u64) -> Option<u64> {
        if self.busy.is_some() {
            return None;
        }
        let (done, native, overhead) = match self.waiting.pop_front()? {
            Job::Commit { run, call, request } => self.commit((run, call), &request, now),
            Job::Publish => {
                let (state, status) = self.snapshot(now);
                let told = self.tell(Vec::new(), now);
                (Done::Publish(Box::new(Publication { state, status, told })), COSTS.render, WRITE_REQUEST)
            }
            Job::Copy => {
                let copy = LedgerCopy::encode(self.object.book(START_MS + now / 1_000));
                (Done::Copy(self.tell(copy, now)), COSTS.render, WRITE_REQUEST)
            }
            Job::TakeIn { from, copy, records } => {
                self.object.take_in(from, copy, START_MS + now / 1_000, false);
                self.unpublished.extend(records);
                (Done::TakeIn { from }, COSTS.take_in, WRITE_REQUEST)
            }
        };
        self.busy = Some(done);
        let took = whole(native * WASM + overhead);
        self.worked_us += took;
        Some(took)
    }

    fn tell(&mut self, copy: Vec<u8>, now: u64) -> Told {
        Told { copy, records: std::mem::take(&mut self.unpublished), version: self.version(now) }
    }

    fn commit(&mut self, (run, call): (u64, u64), request: &[u8], now: u64) -> (Done, f64, f64) {
        let (folds, mut native) = (self.object.rows.folds, COSTS.commit);
        let prepared = self.object.prepare(request, START_MS + now / 1_000);
        if let Prepared::Apply(change) = &prepared {
            native += COSTS.record * as_f64(u64::try_from(change.records.len()).unwrap_or(u64::MAX));
            let of_producers = change.records.iter().filter(|record| !record.resolver_id.is_empty());
            let index = |id: [u8; 16]| usize::try_from(u128::from_be_bytes(id) & u128::from(u64::MAX));
            self.unpublished
                .extend(of_producers.map(|record| (index(record.stream_id.0).unwrap_or(usize::MAX), record.sequence)));
        }
        let response = self.object.store(prepared);
        let mut overhead = WRITE_REQUEST;
        if self.object.rows.folds > folds {
            overhead += FOLDED_ROW * as_f64(self.object.rows.last_fold);
        }
        (Done::Commit { run, call, response }, native, overhead)
    }

    /// What is done now.
    pub(crate) fn end(&mut self) -> Option<Done> {
        self.busy.take()
    }

    /// The state as it is, and what is known of all Ledgers that are in it.
    pub(crate) fn snapshot(&mut self, now: u64) -> (Snapshot, LedgerStatus) {
        let book = self.object.book(START_MS + now / 1_000);
        (book.state.clone(), status_of_all(book))
    }
}

/// The bytes of a publication, as the Ledger renders them.
pub(crate) fn publication(state: &Snapshot, status: &LedgerStatus, now: u64) -> usize {
    let (config, _) = Config::read(&BTreeMap::new());
    copies(state, status, View::of_config(&config), START_MS + now / 1_000).unwrap().openmetrics().len()
}
