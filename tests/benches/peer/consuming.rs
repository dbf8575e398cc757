//! The consumer's side: decode, merge, commit, the backend's body, the text.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    future::Future,
    pin::pin,
    task::{Context, Poll, Waker},
};

use confidence_resolver::{
    flag_logger::aggregate_batch, proto::confidence::flags::resolver::v1::WriteFlagLogsRequest as PeerLogs,
    telemetry::TelemetrySnapshot,
};
use tributary_consumer::{
    backend::{
        delivery::{DeliveryOutcome, Destination, Route, delivery_request},
        flag_logs::MergedFlagLogs,
    },
    config::Config,
    dead_letters::bury::{DeadLetterFailure, DeadLetterPort},
    dimensions::Dimensions,
    ledger::{
        book::Book,
        commit::{Commit, Decision, StreamRow, decide},
        journal::Write,
    },
    message::{Decoded, QueueMessage, Telemetry, decode},
    pipeline::{BackendPort, LedgerFailure, LedgerPort, MessageVerdict, Surroundings, process},
    self_metrics,
    self_report::SelfReport,
};
use tributary_proto::{
    Message as _,
    envelope::StreamId,
    flag_logs::WriteFlagLogsRequest,
    v1::{CommitResponse, commit_response::Verdict},
};
use tributary_telemetry::Delta;
use tributary_tests::peer::Row;

use crate::{
    inputs::{BATCH, COALESCED, Inputs, NOW_MS, RESOLVER_ID, mean},
    instructions::{self, Case, region},
    table::{Side, Table, timed},
};

/// The Ledger's core behind the pipeline: everything but SQLite and the runtime.
pub(crate) struct CoreLedger {
    pub(crate) book: RefCell<Book>,
    rows: RefCell<BTreeMap<StreamId, StreamRow>>,
}

impl CoreLedger {
    /// A Ledger that remembers no stream.
    pub(crate) fn new(book: Book) -> Self {
        Self { book: RefCell::new(book), rows: RefCell::default() }
    }

    /// Commits, and makes what would be written.
    fn commit_core(&self, commit: &Commit) -> (Decision, Option<Write>) {
        let mut rows = self.rows.borrow_mut();
        let known = commit.streams().into_iter().filter_map(|id| rows.get(&id).map(|row| (id, row.clone())));
        let mut book = self.book.borrow_mut();
        let decision = decide(commit, &known.collect(), &mut book, NOW_MS).unwrap();
        let written = if let Decision::Apply { rows: changed, .. } = &decision {
            let written = book.write(changed);
            rows.extend(changed.iter().map(|(id, row)| (*id, row.clone())));
            Some(written)
        } else {
            None
        };
        (decision, written)
    }
}

impl LedgerPort for CoreLedger {
    async fn commit(&self, _ledger: u32, request: &[u8]) -> Result<CommitResponse, LedgerFailure> {
        // Over the wire and back, as in the Worker.
        let commit = Commit::decode(request).map_err(|error| LedgerFailure(error.to_string()))?;
        let (decision, written) = self.commit_core(&commit);
        std::hint::black_box(written);
        assert!(matches!(decision, Decision::Apply { .. }), "the bench sends each record once");
        let verdicts = vec![i32::from(Verdict::Fresh); commit.records.len()];
        Ok(CommitResponse { applied: true, verdicts })
    }
}

/// A backend that takes everything and keeps the bodies.
pub(crate) struct Bodies {
    config: Config,
    pub(crate) bodies: RefCell<Vec<Vec<u8>>>,
}

impl BackendPort for Bodies {
    async fn route(&self) -> Route {
        Route::default()
    }

    async fn deliver(&self, route: &Route, destination: Destination, logs: &[u8]) -> DeliveryOutcome {
        self.bodies.borrow_mut().push(delivery_request(&self.config, route, destination, logs).body.into_owned());
        DeliveryOutcome::Delivered
    }

    fn now_ms(&self) -> u64 {
        NOW_MS
    }
}

/// A dead-letter queue that must not be needed.
struct NoDead;

impl DeadLetterPort for NoDead {
    async fn send(&self, _letters: &[Vec<u8>]) -> Result<(), DeadLetterFailure> {
        Err(DeadLetterFailure("the bench sends nothing bad".to_owned()))
    }

    async fn store(&self, _letter: Vec<u8>) -> Result<(), DeadLetterFailure> {
        Err(DeadLetterFailure("the bench sends nothing bad".to_owned()))
    }
}

/// Our whole path for one batch.
pub(crate) fn process_batch(messages: &[QueueMessage], ledger: &CoreLedger) -> Vec<Vec<u8>> {
    let (config, _) = Config::read(&BTreeMap::new());
    let backend = Bodies { config, bodies: RefCell::default() };
    let report = RefCell::new(SelfReport::new(StreamId([0xee; 16])));
    let surroundings =
        Surroundings { now_ms: NOW_MS, random: 0, resolver_id: RESOLVER_ID, dimensions: Dimensions::default() };
    let result = finish(process(messages, ledger, &backend, &NoDead, &report, surroundings));
    assert!(result.verdicts.iter().all(|verdict| *verdict == MessageVerdict::Ack), "{:?}", result.events);
    backend.bodies.into_inner()
}

/// Runs a future that never waits.
fn finish<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => unreachable!("nothing here waits"),
    }
}

/// The peer's whole path for one batch, as its Worker goes it: the stored snapshot and the backend's body.
pub(crate) fn process_batch_of_peer(messages: &[String], snapshot: &mut TelemetrySnapshot) -> (String, String) {
    let merged = aggregate_batch(messages.iter().map(|text| decode_peer(text)).collect());
    (store_peer(snapshot, &merged), serde_json::to_string(&merged).unwrap())
}

fn decode_peer(text: &str) -> PeerLogs {
    serde_json::from_str(text).unwrap()
}

fn store_peer(snapshot: &mut TelemetrySnapshot, merged: &PeerLogs) -> String {
    snapshot.accumulate_delta(merged.telemetry_data.as_ref().unwrap());
    serde_json::to_string(snapshot).unwrap()
}

fn decode_ours(message: &QueueMessage) -> Decoded {
    decode(message, RESOLVER_ID).unwrap()
}

/// Both merges of a batch: its flag logs for the backend, its metrics for the Ledger.
fn merge_ours(batch: Vec<Decoded>) -> (Vec<Vec<u8>>, Delta) {
    let delta = self_metrics::delta_of(&batch.iter().collect::<Vec<_>>(), Dimensions::default(), NOW_MS).unwrap();
    let mut merged = MergedFlagLogs::default();
    for Decoded { logs, telemetry, .. } in &batch {
        merged.add_logs(logs);
        if let Telemetry::Read { identity, report, .. } = telemetry {
            merged.add_telemetry(identity, report).unwrap();
        }
    }
    (merged.into_requests(), delta)
}

pub(crate) fn run(table: &mut Table, inputs: &Inputs) {
    decode_rows(table, inputs);
    merge_rows(table, inputs);
    commit_row(table, inputs);
    path_row(table, inputs, &inputs.single, 1);
    path_row(table, inputs, &inputs.coalesced, COALESCED);
}

fn decode_rows(table: &mut Table, inputs: &Inputs) {
    let peer = || Side {
        elements: 100,
        routine: || {
            timed(&inputs.peer[..BATCH], |texts| texts.iter().map(|text| decode_peer(text)).collect::<Vec<_>>())
        },
    };
    for (messages, resolves) in [(&inputs.single, 1), (&inputs.coalesced, COALESCED)] {
        let elements = u32::try_from(BATCH * resolves).unwrap();
        let routine = || timed(messages, |messages| messages.iter().map(decode_ours).collect::<Vec<_>>());
        table.compare(&row("decode", resolves), peer(), Side { elements, routine });
    }
}

fn merge_rows(table: &mut Table, inputs: &Inputs) {
    let logs: Vec<PeerLogs> = inputs.peer[..BATCH].iter().map(|text| decode_peer(text)).collect();
    for (messages, resolves) in [(&inputs.single, 1), (&inputs.coalesced, COALESCED)] {
        let batch: Vec<Decoded> = messages.iter().map(decode_ours).collect();
        table.compare(
            &row("merge 100 messages", resolves),
            Side { elements: 100, routine: || timed(logs.clone(), aggregate_batch) },
            Side { elements: u32::try_from(BATCH * resolves).unwrap(), routine: || timed(batch.clone(), merge_ours) },
        );
    }
}

/// The state that a Ledger, and the peer's KV, have after some time.
pub(crate) fn grown_states(inputs: &Inputs) -> (TelemetrySnapshot, Book) {
    let mut peer = TelemetrySnapshot::default();
    inputs.peer.chunks(BATCH).for_each(|batch| drop(process_batch_of_peer(batch, &mut peer)));
    let ledger = CoreLedger::new(Book::new(RESOLVER_ID, NOW_MS).unwrap());
    process_batch(&inputs.coalesced, &ledger);
    (peer, ledger.book.into_inner())
}

/// The peer adds one report to its snapshot and prints that. Ours decides for each of the 100 records whether it was
/// seen before, and makes the rows of their 20 streams and of the state: the price of counting once, paid per batch.
fn commit_row(table: &mut Table, inputs: &Inputs) {
    let (mut snapshot, state) = grown_states(inputs);
    let merged = aggregate_batch(inputs.peer[..BATCH].iter().map(|text| decode_peer(text)).collect());
    let batch: Vec<Decoded> = inputs.single.iter().map(decode_ours).collect();
    let records = batch.iter().map(|decoded| decoded.record.clone()).collect();
    let (_, delta) = merge_ours(batch);
    let mut commit = Commit { records, delta, custom: Vec::new() };
    let ledger = CoreLedger::new(state);
    table.compare(
        "commit a batch of 100 messages",
        Side { elements: 1, routine: || timed((), |()| store_peer(&mut snapshot, &merged)) },
        Side {
            elements: 1,
            routine: || {
                // The next records of the same streams: five messages of each are in the batch.
                commit.records.iter_mut().for_each(|record| record.sequence += 5);
                timed(&commit, |commit| {
                    let (decision, written) = ledger.commit_core(commit);
                    assert!(matches!(decision, Decision::Apply { .. }), "each record once");
                    written
                })
            },
        },
    );
}

fn path_row(table: &mut Table, inputs: &Inputs, messages: &[QueueMessage], resolves: usize) {
    let (mut snapshot, state) = grown_states(inputs);
    table.compare(
        &row("consumer, end to end", resolves),
        Side {
            elements: 100,
            routine: || timed(&inputs.peer[..BATCH], |batch| process_batch_of_peer(batch, &mut snapshot)),
        },
        Side {
            elements: u32::try_from(BATCH * resolves).unwrap(),
            routine: || {
                let ledger = CoreLedger::new(state.clone());
                timed(messages, |messages| process_batch(messages, &ledger))
            },
        },
    );
}

pub(crate) fn cases(inputs: &Inputs) -> Vec<Case<'_>> {
    let (logs, telemetry) = (&inputs.peer[..BATCH], inputs.telemetry.peer.as_slice());
    let path = |work, texts, messages, resolves, target| {
        let (mut snapshot, state) = grown_states(inputs);
        Case::beside(
            work,
            instructions::Side::new(BATCH, move || region(|| process_batch_of_peer(texts, &mut snapshot))),
            instructions::Side::new(BATCH * resolves, move || {
                let ledger = CoreLedger::new(state.clone());
                region(|| process_batch(messages, &ledger));
            }),
            Some(target),
        )
    };
    vec![
        path("consumer, 100 resolves a message", logs, inputs.coalesced.as_slice(), COALESCED, 20.0),
        path("consumer, 1 resolve a message", logs, &inputs.single, 1, 5.0),
        path("telemetry alone, 100 resolves a message", telemetry, &inputs.telemetry.coalesced, COALESCED, 200.0),
        path("telemetry alone, 1 resolve a message", telemetry, &inputs.telemetry.single, 1, 20.0),
        commit_case(inputs),
    ]
}

/// As [`commit_row`].
fn commit_case(inputs: &Inputs) -> Case<'_> {
    let (mut snapshot, state) = grown_states(inputs);
    let merged = aggregate_batch(inputs.peer[..BATCH].iter().map(|text| decode_peer(text)).collect());
    let batch: Vec<Decoded> = inputs.single.iter().map(decode_ours).collect();
    let records = batch.iter().map(|decoded| decoded.record.clone()).collect();
    let (_, delta) = merge_ours(batch);
    let mut commit = Commit { records, delta, custom: Vec::new() };
    let ledger = CoreLedger::new(state);
    Case::beside(
        "commit a batch of 100 messages (not a resolve)",
        instructions::Side::new(1, move || region(|| store_peer(&mut snapshot, &merged))),
        instructions::Side::new(1, move || {
            commit.records.iter_mut().for_each(|record| record.sequence += 5);
            region(|| {
                let (decision, written) = ledger.commit_core(&commit);
                assert!(matches!(decision, Decision::Apply { .. }), "each record once");
                written
            });
        }),
        None,
    )
}

fn row(work: &str, resolves: usize) -> String {
    let plural = if resolves == 1 { "" } else { "s" };
    format!("{work}, {resolves} resolve{plural} a message, per resolve")
}

/// Bytes of the backend's body. Assignments are events, each of which the backend gets; what else is in a body grows with
/// what is distinct.
pub(crate) fn sizes(inputs: &Inputs) -> Vec<Row> {
    let (_, body) = process_batch_of_peer(&inputs.peer[..BATCH], &mut TelemetrySnapshot::default());
    let bodies = |messages| process_batch(messages, &CoreLedger::new(Book::new(RESOLVER_ID, NOW_MS).unwrap()));
    let (one, hundred) = (bodies(&inputs.single), bodies(&inputs.coalesced));
    let bytes = |bodies: &[Vec<u8>]| bodies.iter().map(Vec::len).sum::<usize>();
    let without_assignments = |bodies: &[Vec<u8>]| {
        let request = WriteFlagLogsRequest::decode(bodies.concat().as_slice()).unwrap();
        WriteFlagLogsRequest { flag_assigned: Vec::new(), ..request }.encoded_len()
    };
    let mut peer: PeerLogs = serde_json::from_str(&body).unwrap();
    peer.flag_assigned.clear();
    let peer_alone = serde_json::to_string(&peer).unwrap().len();
    let row = |work, peer: usize, ours, target| crate::bytes_row(work, mean(peer, 1), ours, target);
    vec![
        row(
            "backend's body, per 100 resolves, 100 resolves a message",
            body.len(),
            mean(bytes(&hundred), COALESCED),
            None,
        ),
        row("backend's body, per 100 resolves, 1 resolve a message", body.len(), mean(bytes(&one), 1), None),
        row("a body without assignments: 10,000 resolves", peer_alone, mean(without_assignments(&hundred), 1), None),
        row("a body without assignments: 100 resolves", peer_alone, mean(without_assignments(&one), 1), None),
    ]
}
