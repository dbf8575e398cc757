//! A Ledger as the platform runs it: one thread, one request after the other, and everything that decides is real.

use std::collections::{BTreeMap, VecDeque};

use tributary_consumer::{config::Config, ledger::publish::render, scrape::options::View, self_metrics::LedgerStatus};
use tributary_proto::v1::CommitResponse;
use tributary_telemetry::Snapshot;

use crate::{
    START_MS,
    chance::whole,
    object::{Object, Prepared},
    platform::{COSTS, FOLDED_ROW, OBJECT_QUEUE, READ_REQUEST, WASM, WRITE_REQUEST},
    traffic::RESOLVER_ID,
};
use tributary_tests::growth::as_f64;

/// What an object is asked.
pub(crate) enum Job {
    /// A commit of a run of the consumer.
    Commit { run: u64, request: Vec<u8> },
    /// Its snapshot, for a publication.
    Snapshot,
    /// To merge so many snapshots and to render them.
    Publish { merged: usize },
}

/// What came of a job.
pub(crate) enum Done {
    Commit { run: u64, response: CommitResponse },
    Snapshot,
    Publish,
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
    /// Isolate and sequence of what was applied and is in no publication yet.
    pub(crate) unpublished: Vec<(usize, u64)>,
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
        }
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
            Job::Commit { run, request } => self.commit(run, &request, now),
            Job::Snapshot => (Done::Snapshot, COSTS.render, READ_REQUEST),
            Job::Publish { merged } => {
                let merged = as_f64(u64::try_from(merged).unwrap_or(u64::MAX));
                (Done::Publish, COSTS.merge * merged + COSTS.render, READ_REQUEST)
            }
        };
        self.busy = Some(done);
        let took = whole(native * WASM + overhead);
        self.worked_us += took;
        Some(took)
    }

    fn commit(&mut self, run: u64, request: &[u8], now: u64) -> (Done, f64, f64) {
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
        (Done::Commit { run, response }, native, overhead)
    }

    /// What is done now.
    pub(crate) fn end(&mut self) -> Option<Done> {
        self.busy.take()
    }

    /// The state as it is, and what became of the memory.
    pub(crate) fn snapshot(&mut self, now: u64) -> (Snapshot, LedgerStatus) {
        let book = self.object.book(START_MS + now / 1_000);
        (book.state.clone(), book.status.clone())
    }
}

/// The bytes of a publication, as the Ledger renders them.
pub(crate) fn publication(state: &Snapshot, status: &LedgerStatus, now: u64) -> usize {
    let (config, _) = Config::read(&BTreeMap::new());
    let copies = render(state, status, &View::of_config(&config), START_MS + now / 1_000).unwrap();
    copies.openmetrics.len()
}
