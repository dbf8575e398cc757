//! Versions that meet during a rolling deploy: an old producer or consumer with a new Ledger, and the reverse. The bytes
//! are checked in (`golden/`), so that a change of the wire shows as a failure here before anybody deploys it;
//! `BLESS=1` writes those of today's version, never those of older ones.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of a test"
)]

use std::{collections::BTreeMap, fs, path::Path};

use prost::Message;
use tributary_consumer::{
    ledger::{
        account::UNKNOWN,
        book::Book,
        commit::{Commit, Decision, Record, StreamKind, decide},
        floor::Floors,
        migration,
        parts::StoredBook,
        storage::{SCHEMA, StorageError, StoredState},
    },
    message::{MessageBody, QueueMessage, decode},
    self_metrics,
};
use tributary_proto::{
    envelope::{Envelope, StreamId},
    events::{FlagAssigned, flag_assigned::AppliedFlag},
    flag_logs::WriteFlagLogsRequest,
    v1::{self, CommitRequest, CommitResponse, commit_response::Verdict},
};
use tributary_telemetry::{Delta, FamilyDescriptor, LabelSet, MetricKind, Snapshot, Value};

const NOW: u64 = 1_800_000_000_000;
const FAMILY: FamilyDescriptor = FamilyDescriptor::from_static("deltas", "Deltas.", "", MetricKind::Counter);

fn path(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

/// Bytes of an older version: only ever read.
fn old(name: &str) -> Vec<u8> {
    unhex(&fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("{name}: {error}")))
}

/// Bytes of today's version, which must not change.
fn today(name: &str, bytes: &[u8]) -> Vec<u8> {
    if std::env::var_os("BLESS").is_some() {
        let lines: Vec<String> =
            bytes.chunks(48).map(|line| line.iter().map(|b| format!("{b:02x}")).collect()).collect();
        fs::write(path(name), lines.join("\n") + "\n").unwrap();
    }
    let golden = old(name);
    assert!(golden == bytes, "{name} is not what today's version writes");
    golden
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

/// What a commit said before records named their producer, written down again on its own.
#[derive(Clone, PartialEq, Message)]
struct OldCommitRequest {
    #[prost(message, repeated, tag = "1")]
    records: Vec<OldRecord>,
    #[prost(message, optional, tag = "2")]
    delta: Option<v1::MetricSet>,
}

#[derive(Clone, PartialEq, Message)]
struct OldRecord {
    #[prost(bytes = "vec", tag = "1")]
    stream_id: Vec<u8>,
    #[prost(uint64, tag = "2")]
    sequence: u64,
    #[prost(uint64, tag = "3")]
    window_end_ms: u64,
    #[prost(int32, tag = "4")]
    kind: i32,
}

#[derive(Clone, PartialEq, Message)]
struct OldCommitResponse {
    #[prost(bool, tag = "1")]
    applied: bool,
    #[prost(int32, repeated, tag = "2")]
    verdicts: Vec<i32>,
}

fn delta() -> Delta {
    let mut delta = Delta::new();
    delta.add_counter(&FAMILY, LabelSet::empty(), 7).unwrap();
    delta
}

fn record(sequence: u64) -> Record {
    Record {
        stream_id: StreamId([0xab; 16]),
        sequence,
        window_end_ms: NOW - 1,
        kind: StreamKind::Producer,
        resolver_id: "eu".into(),
    }
}

fn request() -> CommitRequest {
    let records = vec![record(1).to_wire(), record(3).to_wire()];
    CommitRequest { records, delta: Some(delta().to_wire()), contradicting: Vec::new() }
}

fn counter(state: &Snapshot, family: &str, labels: &[(&str, &str)]) -> u64 {
    let labels = LabelSet::from_pairs(labels.iter().copied()).unwrap();
    match state.get(family, &labels).map(|series| series.value().clone()) {
        Some(Value::Counter(count)) => count,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_commit_of_an_older_consumer_is_applied_and_accounted_for_as_unknown() {
    let bytes = old("commit_request.1.hex");
    let same = OldCommitRequest {
        records: [1, 3]
            .map(|sequence| OldRecord { stream_id: vec![0xab; 16], sequence, window_end_ms: NOW - 1, kind: 1 })
            .into(),
        delta: Some(delta().to_wire()),
    };
    assert_eq!(same.encode_to_vec(), bytes);
    let commit = Commit::decode(&bytes).unwrap();
    let mut book = Book::new("eu", NOW).unwrap();
    let decision = decide(&commit, &BTreeMap::new(), &mut book, NOW).unwrap();
    let Decision::Apply { rows, .. } = decision else { panic!("{decision:?}") };
    assert_eq!(counter(&book.state, "deltas", &[]), 7);
    assert_eq!(counter(&book.state, self_metrics::RECORDS_SENT.name(), &[("resolver_id", UNKNOWN)]), 3);
    assert_eq!(book.status.missing, BTreeMap::from([(UNKNOWN.to_owned(), 1)]));
    // The same stream from a newer consumer stays in the account that it began in: no sum breaks.
    let late = Commit { records: vec![record(2)], delta: delta(), custom: Vec::new() };
    assert!(matches!(decide(&late, &rows, &mut book, NOW).unwrap(), Decision::Apply { .. }));
    assert_eq!(counter(&book.state, self_metrics::RECORDS_APPLIED.name(), &[("resolver_id", UNKNOWN)]), 3);
}

#[test]
fn an_older_ledger_reads_the_commit_of_a_newer_consumer() {
    let bytes = today("commit_request.2.hex", &request().encode_to_vec());
    let read = OldCommitRequest::decode(bytes.as_slice()).unwrap();
    assert_eq!(read.records.iter().map(|record| (record.sequence, record.kind)).collect::<Vec<_>>(), [(1, 1), (3, 1)]);
    assert_eq!(read.delta, Some(delta().to_wire()));
}

#[test]
fn a_commit_of_a_yet_newer_consumer_is_read_without_what_is_not_known() {
    let mut bytes = request().encode_to_vec();
    bytes.extend([0xfa, 0x07, 0x02, 0x68, 0x69]); // field 127, bytes "hi"
    assert_eq!(CommitRequest::decode(bytes.as_slice()).unwrap(), request());
}

#[test]
fn answers_are_understood_both_ways() {
    let verdicts = [Verdict::Fresh, Verdict::Duplicate, Verdict::Expired].map(i32::from).to_vec();
    let response = CommitResponse { applied: false, verdicts };
    let bytes = today("commit_response.hex", &response.encode_to_vec());
    assert_eq!(OldCommitResponse::decode(bytes.as_slice()).unwrap().verdicts, [1, 2, 3]);
    let mut newer = bytes;
    newer.extend([0xfa, 0x07, 0x02, 0x68, 0x69]);
    assert_eq!(CommitResponse::decode(newer.as_slice()).unwrap(), response);
}

fn state() -> Snapshot {
    let mut state = Snapshot::new(NOW - 1_000);
    let _applied = state.apply(&delta(), NOW).unwrap();
    state
}

#[test]
fn a_stored_state_of_schema_1_is_migrated_and_one_of_today_is_refused_by_nobody_but_older_versions() {
    let bytes = old("state.1.hex");
    assert_eq!(bytes, state().encode(), "what schema 1 stored is what is still published");
    let stored = StoredState { schema: 1, checksum: crc32fast::hash(&bytes), bytes };
    let as_today = StoredBook { head: stored.clone(), parts: Vec::new() };
    assert_eq!(as_today.open().map(drop), Err(StorageError::Schema(1)), "never read as if it were today's");
    let migrated = migration::from_1(&stored, 0, NOW).unwrap().book;
    assert_eq!(counter(&StoredBook::seal(&migrated).open().unwrap().state, "deltas", &[]), 7);

    // Schemas 2 and 3 had the state in one row. Their versions compare the number with their own, stop and show.
    let mut floors = Floors::default();
    floors.forget(StreamKind::Legacy, NOW - 500);
    let bytes = old("state.2.hex");
    for schema in [2, 3] {
        let head = StoredState { schema, checksum: crc32fast::hash(&bytes), bytes: bytes.clone() };
        let opened = StoredBook { head, parts: Vec::new() }.open().unwrap();
        assert_eq!((opened.state, &opened.floors), (state(), &floors), "{schema}");
    }
    let sealed = StoredBook::of(&state(), &floors);
    let [part] = &sealed.parts[..] else { panic!("a small state is one part") };
    today("part.4.hex", &part.bytes);
    today("head.4.hex", &sealed.head.bytes);
    assert_eq!(sealed.open().map(|opened| (opened.state, opened.floors)), Ok((state(), floors)));
    assert_eq!((sealed.head.schema, SCHEMA), (4, 4));
}

#[test]
fn a_state_of_a_newer_schema_stops_and_shows() {
    let book = Book::new("eu", NOW).unwrap();
    let sealed = StoredBook::seal(&book);
    let newer = StoredBook { head: StoredState { schema: SCHEMA + 1, ..sealed.head.clone() }, ..sealed };
    assert_eq!(Book::load(Some(&newer), &[], "eu", NOW), Err(StorageError::Schema(SCHEMA + 1)));
    assert_eq!(migration::from_1(&newer.head, 0, NOW).map(drop), Err(StorageError::Schema(SCHEMA + 1)));
}

fn envelope() -> Envelope {
    let logs = br#"{"telemetryData":{"resolveRate":[{"count":5,"reason":"RESOLVE_REASON_MATCH"}]}}"#;
    Envelope {
        stream_id: StreamId([0xab; 16]),
        ledgers: 1,
        sequence: 3,
        window_start_ms: NOW - 2_000,
        window_end_ms: NOW - 1_000,
        resolver_id: "eu".into(),
        dimensions: BTreeMap::new(),
        flag_logs: tributary_proto::envelope::decode_legacy(std::str::from_utf8(logs).unwrap())
            .unwrap()
            .encode_to_vec(),
        metrics: Vec::new(),
        resource_metrics: Vec::new(),
        dropped: vec![v1::Dropped { reason: v1::dropped::Reason::BufferFull.into(), assignments: 4, recordings: 0 }],
    }
}

fn message(bytes: Vec<u8>) -> QueueMessage {
    QueueMessage { id: "id".into(), sent_ms: NOW, attempts: 1, body: MessageBody::Bytes(bytes) }
}

/// The envelope as the first version of its schema has it, written down again on its own.
#[derive(Clone, PartialEq, Message)]
struct OldEnvelope {
    #[prost(uint32, tag = "1")]
    format: u32,
    #[prost(bytes = "vec", tag = "2")]
    stream_id: Vec<u8>,
    #[prost(uint64, tag = "3")]
    sequence: u64,
    #[prost(uint64, tag = "4")]
    window_start_ms: u64,
    #[prost(uint64, tag = "5")]
    window_end_ms: u64,
    #[prost(message, optional, tag = "6")]
    producer: Option<OldProducer>,
    #[prost(bytes = "vec", tag = "7")]
    flag_logs: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct OldProducer {
    #[prost(string, tag = "1")]
    resolver_id: String,
}

#[test]
fn envelopes_of_older_and_newer_producers_are_counted() {
    let bytes = today("envelope.1.hex", &envelope().encode().unwrap());
    let read = |bytes: Vec<u8>| decode(&message(bytes), "default").unwrap();
    let decoded = read(bytes.clone());
    assert_eq!((decoded.record.sequence, &*decoded.record.resolver_id, decoded.dropped.len()), (3, "eu", 1));
    // A newer producer: fields that are not known, in the envelope and in what it holds.
    let mut newer = v1::Envelope::decode(bytes.as_slice()).unwrap();
    newer.flag_logs.extend([0xfa, 0x07, 0x02, 0x68, 0x69]);
    let mut newer = newer.encode_to_vec();
    newer.extend([0xfa, 0x07, 0x02, 0x68, 0x69]);
    assert_eq!(read(newer).record, decoded.record);
    // An older producer, which does not know what came later.
    let older = OldEnvelope::decode(bytes.as_slice()).unwrap();
    assert_eq!(older.producer.as_ref().map(|producer| producer.resolver_id.as_str()), Some("eu"));
    let decoded = read(older.encode_to_vec());
    assert_eq!((decoded.record.sequence, decoded.dropped.len()), (3, 0));
    // A format that must not be read as an older one is refused, and the message is kept as a dead letter.
    let format_99 = OldEnvelope { format: 99, ..older }.encode_to_vec();
    assert_eq!(decode(&message(format_99), "default").map(drop).unwrap_err().reason(), "format");
}

/// What the first version of a consumer did with an envelope: the formats above its own were dead letters, which come
/// back with `make redrive` once it is replaced.
fn is_taken_by_the_first_version(bytes: &[u8]) -> bool {
    OldEnvelope::decode(bytes).unwrap().format == 1
}

#[test]
fn an_older_consumer_passes_over_no_metrics_and_takes_every_message_without_them() {
    assert!(is_taken_by_the_first_version(&envelope().encode().unwrap()));
    let metrics = delta().to_wire().encode_to_vec();
    let bytes = today("envelope.2.hex", &Envelope { metrics, ..envelope() }.encode().unwrap());
    assert!(!is_taken_by_the_first_version(&bytes));
    let recordings = v1::Dropped { reason: v1::dropped::Reason::Limit.into(), assignments: 0, recordings: 9 };
    let dropped = Envelope { dropped: vec![recordings], ..envelope() }.encode().unwrap();
    assert!(!is_taken_by_the_first_version(&dropped));

    // Redriven to the consumer of today it counts, flag logs and metrics.
    let decoded = decode(&message(bytes.clone()), "default").unwrap();
    let counted = decoded.metrics.delta.get("deltas", &LabelSet::empty());
    assert_eq!((counted, decoded.dropped.len()), (Some(&Value::Counter(7)), 1));
    // A newer producer's set with fields that are not known is read without them …
    let mut newer = v1::Envelope::decode(bytes.as_slice()).unwrap();
    newer.metrics.extend([0xfa, 0x07, 0x02, 0x68, 0x69]);
    assert_eq!(decode(&message(newer.encode_to_vec()), "default").unwrap().metrics, decoded.metrics);
    // … and one with a value of a kind that is not known is kept as a dead letter: it would count as nothing.
    let mut set = delta().to_wire();
    set.families[0].series[0].value = None;
    newer.metrics = set.encode_to_vec();
    assert_eq!(decode(&message(newer.encode_to_vec()), "default").map(drop).unwrap_err().reason(), "metrics");
}

#[test]
fn an_older_consumer_passes_over_no_packed_assignments_and_that_of_today_reads_what_was_packed() {
    let assigned = |id: usize| FlagAssigned {
        resolve_id: format!("resolve-{id}"),
        flags: vec![AppliedFlag {
            flag: "flags/checkout".into(),
            targeting_key: format!("user-{id}"),
            rule: "flags/checkout/rules/everybody".into(),
            ..AppliedFlag::default()
        }],
        ..FlagAssigned::default()
    };
    let logs = WriteFlagLogsRequest { flag_assigned: (0..4).map(assigned).collect(), ..Default::default() };
    let bytes = today("envelope.3.hex", &Envelope { flag_logs: logs.encode_to_vec(), ..envelope() }.encode().unwrap());
    assert!(!is_taken_by_the_first_version(&bytes));
    assert!(OldEnvelope::decode(bytes.as_slice()).unwrap().format > 2, "nor by the second");
    assert_eq!(decode(&message(bytes), "default").unwrap().logs.to_request().unwrap(), logs);
}

#[test]
fn an_older_consumer_passes_over_no_metrics_of_opentelemetry() {
    // A scope with one counter `adds`, delta, of 7.
    let point = [0x31, 7, 0, 0, 0, 0, 0, 0, 0];
    let sum = [&[0x0a, 9][..], &point, &[0x10, 1, 0x18, 1]].concat();
    let metric = [&[0x0a, 4][..], b"adds", &[0x3a, 15], &sum].concat();
    let resource_metrics = [&[0x12, 25, 0x12, 23][..], &metric].concat();
    let bytes = today("envelope.4.hex", &Envelope { resource_metrics, ..envelope() }.encode().unwrap());
    assert!(!is_taken_by_the_first_version(&bytes));
    assert!(OldEnvelope::decode(bytes.as_slice()).unwrap().format > 3, "nor by those after it");
    let decoded = decode(&message(bytes), "default").unwrap();
    assert_eq!(decoded.otlp.delta.get("adds", &LabelSet::empty()), Some(&Value::Counter(7)));
    assert_eq!(decoded.dropped.len(), 1);
}

/// One that passed over the number would count the record in ledger 0, and the consumer of today again in another.
#[test]
fn an_older_consumer_passes_over_no_ledgers_and_that_of_today_counts_older_producers_where_they_were_counted() {
    let bytes = today("envelope.5.hex", &Envelope { ledgers: 4, ..envelope() }.encode().unwrap());
    assert!(!is_taken_by_the_first_version(&bytes));
    assert_eq!(OldEnvelope::decode(bytes.as_slice()).unwrap().format, 5, "nor by any that knows 4 at most");
    assert_eq!(decode(&message(bytes), "default").unwrap().ledger, 3, "for ever");
    assert_eq!(decode(&message(envelope().encode().unwrap()), "default").unwrap().ledger, 0);
}

/// An older Ledger applies the merged delta with the custom metrics in it; what contradicts it is left out.
#[test]
fn an_older_ledger_reads_custom_metrics_as_part_of_the_delta() {
    let request = CommitRequest { contradicting: vec![delta().to_wire()], ..request() };
    let bytes = today("commit_request.3.hex", &request.encode_to_vec());
    let read = OldCommitRequest::decode(bytes.as_slice()).unwrap();
    assert_eq!((read.records.len(), read.delta), (2, Some(delta().to_wire())));
    let commit = Commit::decode(&bytes).unwrap();
    assert_eq!((commit.delta, commit.custom), (Delta::new(), vec![delta(), delta()]));
}
