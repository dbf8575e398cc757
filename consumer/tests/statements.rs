//! The Ledger's statements in a real SQLite (Python's, which is always there): what they write is what is read back, a
//! database of schema 1 becomes one of today's, and what is forgotten.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of a test"
)]

use std::{
    collections::BTreeMap,
    io::Write as _,
    process::{Command, Stdio},
};

use serde_json::{Value as Json, json};
use tributary_consumer::ledger::{
    book::Book,
    commit::{StreamKind, StreamRow},
    forget::{self, Selection, StreamTable},
    import,
    journal::{self, StoredEntry, StoredMark, Write},
    migration::{self, StoredEntry3, StoredMissing},
    parts::{self, StoredBook, StoredPart},
    shards,
    storage::{self, StorageError, StoredState, StoredStream, StoredTally},
    stream::StreamProgress,
};
use tributary_consumer::self_metrics::NotRecorded;
use tributary_proto::envelope::StreamId;
use tributary_telemetry::Snapshot;

/// Runs statements in an empty database, in one transaction, and returns the rows of each as objects.
fn sqlite(statements: &[(&str, Json)]) -> Vec<Vec<Json>> {
    let script = "import json, sqlite3, sys\n\
        db = sqlite3.connect(':memory:', isolation_level=None)\n\
        db.row_factory = sqlite3.Row\n\
        db.execute('BEGIN')\n\
        blob = lambda value: bytes(value['blob']) if isinstance(value, dict) else value\n\
        plain = lambda value: {'blob': list(value)} if isinstance(value, bytes) else value\n\
        for text, values in json.load(sys.stdin):\n\
        \x20   rows = db.execute(text, [blob(value) for value in values]).fetchall()\n\
        \x20   print(json.dumps([{key: plain(row[key]) for key in row.keys()} for row in rows]))\n\
        db.execute('COMMIT')\n";
    let mut python = Command::new("python3")
        .args(["-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 starts");
    python.stdin.take().unwrap().write_all(json!(statements).to_string().as_bytes()).unwrap();
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success(), "a statement failed");
    String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn read<T: serde::de::DeserializeOwned>(rows: &[Json]) -> Vec<T> {
    rows.iter().map(|row| serde_json::from_value(row.clone()).unwrap()).collect()
}

fn row(kind: StreamKind, sequences: &[u64], last_seen_ms: u64, account: &str) -> StreamRow {
    let mut progress = StreamProgress::default();
    for sequence in sequences {
        progress.note(*sequence).unwrap();
    }
    StreamRow { kind, progress, last_seen_ms, floor_ms: 3, account: account.into() }
}

fn rows() -> BTreeMap<StreamId, StreamRow> {
    BTreeMap::from([
        (StreamId([0xab; 16]), row(StreamKind::Producer, &[2, 9, 5], 70, "eu")),
        (StreamId([0x00; 16]), row(StreamKind::Producer, &[1, 2], 60, "\"us\" ' \\ ☃")),
        (StreamId([0x01; 16]), row(StreamKind::Legacy, &[1], 50, "eu")),
        (StreamId([0xff; 16]), row(StreamKind::Consumer, &[1], 40, "")),
    ])
}

fn create() -> Vec<(&'static str, Json)> {
    storage::CREATE.into_iter().map(|text| (text, json!([]))).collect()
}

#[test]
fn rows_are_read_back_as_they_were_written_and_written_over() {
    let rows = rows();
    let first: BTreeMap<_, _> =
        rows.iter().map(|(id, row)| (*id, StreamRow { last_seen_ms: 1, ..row.clone() })).collect();
    let mut statements = create();
    statements.push((storage::UPSERT_STREAMS, json!([storage::encode_rows(&first)])));
    statements.push((storage::UPSERT_STREAMS, json!([storage::encode_rows(&rows)])));
    statements.push((storage::SELECT_STREAMS, json!([storage::encode_ids(rows.keys())])));
    statements.push((storage::SELECT_STREAMS, json!([storage::encode_ids([&StreamId([9; 16])])])));
    statements.push((storage::COUNT_STREAMS, json!([])));
    let results = sqlite(&statements);
    let [.., all, none, tallies] = results.as_slice() else { panic!() };
    let stored: Vec<StoredStream> = read(all);
    let back: BTreeMap<_, _> = stored.iter().map(|row| storage::decode_row(row).unwrap()).collect();
    assert_eq!(back, rows);
    assert!(none.is_empty());
    let mut tallies: Vec<StoredTally> = read(tallies);
    tallies.sort_by_key(|tally| (tally.kind, tally.account.clone()));
    let tally = |kind, account: &str, missing| StoredTally { kind, account: account.into(), streams: 1, missing };
    assert_eq!(tallies, [tally(1, "\"us\" ' \\ ☃", 0), tally(1, "eu", 6), tally(2, "eu", 0), tally(3, "", 0)]);
}

#[test]
fn the_longest_silent_of_one_kind_are_chosen_and_the_silent_of_all() {
    let rows = rows();
    let mut statements = create();
    statements.push((storage::UPSERT_STREAMS, json!([storage::encode_rows(&rows)])));
    statements.push((storage::SELECT_OLDEST_STREAMS, json!([1, 1])));
    statements.push((storage::SELECT_SILENT_STREAMS, json!([60, 10])));
    statements
        .push((storage::DELETE_STREAMS, json!([storage::encode_ids([&StreamId([0; 16]), &StreamId([0xff; 16])])])));
    statements.push((storage::SELECT_SILENT_STREAMS, json!([1_000, 10])));
    let results = sqlite(&statements);
    let [.., oldest, silent, _, left] = results.as_slice() else { panic!() };
    let ids =
        |rows: &[Json]| -> Vec<String> { read::<StoredStream>(rows).into_iter().map(|row| row.stream_id).collect() };
    assert_eq!(ids(oldest), ["00".repeat(16)]);
    assert_eq!(ids(silent), ["01".repeat(16), "ff".repeat(16)]);
    assert_eq!(ids(left), ["01".repeat(16), "ab".repeat(16)]);
}

/// What writes a change.
fn statements(write: Write) -> Vec<(&'static str, Json)> {
    match write {
        Write::Entry { slot, entry: StoredEntry { sequence, rows, checksum, change } } => {
            vec![(journal::UPSERT, json!([slot, sequence, rows, checksum, { "blob": change }]))]
        }
        Write::Fold { rows, parts, head, mark } => {
            let mut statements: Vec<_> =
                rows.into_iter().map(|rows| (storage::UPSERT_STREAMS, json!([rows]))).collect();
            let part = |StoredPart { id, checksum, bytes }| (parts::UPSERT, json!([id, checksum, { "blob": bytes }]));
            statements.extend(parts.into_iter().map(part));
            let StoredState { schema, checksum, bytes } = head;
            statements.push((storage::UPSERT_STATE, json!([schema, checksum, { "blob": bytes }])));
            statements.push((journal::UPSERT_MARK, json!([mark])));
            statements
        }
    }
}

fn blob(row: &Json, column: &str) -> Vec<u8> {
    serde_json::from_value(row[column]["blob"].clone()).unwrap()
}

fn number<T: TryFrom<u64, Error: std::fmt::Debug>>(row: &Json, column: &str) -> T {
    T::try_from(row[column].as_u64().unwrap()).unwrap()
}

fn stored_book(state: &[Json], parts: &[Json]) -> StoredBook {
    let head = StoredState {
        schema: number(&state[0], "schema"),
        checksum: number(&state[0], "checksum"),
        bytes: blob(&state[0], "bytes"),
    };
    let part =
        |row: &Json| StoredPart { id: number(row, "id"), checksum: number(row, "checksum"), bytes: blob(row, "bytes") };
    StoredBook { head, parts: parts.iter().map(part).collect() }
}

fn stored_entries(rows: &[Json]) -> Vec<StoredEntry> {
    let entry = |row: &Json| StoredEntry {
        sequence: number(row, "sequence"),
        rows: row["rows"].as_str().unwrap().to_owned(),
        checksum: number(row, "checksum"),
        change: blob(row, "change"),
    };
    rows.iter().map(entry).collect()
}

/// A database as all that was done to it.
struct Database(Vec<(&'static str, Json)>);

#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error(transparent)]
    NotRecorded(#[from] NotRecorded),
}

impl Database {
    fn write(&mut self, write: Write) {
        self.0.append(&mut statements(write));
    }

    fn read<T: serde::de::DeserializeOwned>(&self, statement: &'static str, parameters: Json) -> Vec<T> {
        let statements = [self.0.as_slice(), &[(statement, parameters)]].concat();
        read(sqlite(&statements).last().unwrap())
    }

    fn rows(&self) -> BTreeMap<StreamId, StreamRow> {
        let stored: Vec<StoredStream> = self.read(storage::SELECT_SILENT_STREAMS, json!([i64::MAX, 100]));
        stored.iter().map(|row| storage::decode_row(row).unwrap()).collect()
    }
}

impl StreamTable for Database {
    type Error = Failed;

    fn fold(&mut self, fold: Write) -> Result<(), Failed> {
        self.write(fold);
        Ok(())
    }

    fn select(&mut self, statement: &'static str, parameters: [u64; 2]) -> Result<Vec<StoredStream>, Failed> {
        Ok(self.read(statement, json!(parameters)))
    }

    fn delete(&mut self, ids: String, write: Write) -> Result<(), Failed> {
        self.0.push((storage::DELETE_STREAMS, json!([ids])));
        self.write(write);
        Ok(())
    }
}

#[test]
fn what_the_journal_alone_knows_counts_before_a_stream_is_forgotten() {
    let (silent, speaking, old) = (StreamId([1; 16]), StreamId([2; 16]), StreamId([3; 16]));
    let row = |sequences: &[u64], last_seen_ms| row(StreamKind::Producer, sequences, last_seen_ms, "eu");
    let begin = || {
        let mut book = Book::new("eu", 1).unwrap();
        let mut database = Database(create());
        let commit = |book: &mut Book, database: &mut Database, changed: BTreeMap<StreamId, StreamRow>| {
            for (id, row) in &changed {
                book.status.row_changed(book.journal.row(id).cloned().as_ref(), Some(row));
            }
            database.write(book.write(&changed));
        };
        let first = [(silent, row(&[1], 10)), (speaking, row(&[1], 20)), (old, row(&[1], 60))];
        commit(&mut book, &mut database, BTreeMap::from(first));
        database.write(book.fold().unwrap());
        // In the journal alone: one has spoken since, the other came late and with a gap.
        commit(&mut book, &mut database, BTreeMap::from([(speaking, row(&[1, 2], 90)), (silent, row(&[1, 4], 30))]));
        (book, database)
    };
    for selection in
        [Selection::Silent { before_ms: 50, most: 9 }, Selection::Oldest { kind: StreamKind::Producer, most: 1 }]
    {
        let (mut book, mut database) = begin();
        assert_eq!(forget::forget(&mut book, &mut database, selection, 100).unwrap(), 1);
        let left = database.rows();
        assert_eq!(left, BTreeMap::from([(speaking, row(&[1, 2], 90)), (old, row(&[1], 60))]), "{selection:?}");
        // What forgetting changed of the state is in the journal, and nothing of a stream.
        let entries = stored_entries(&database.read::<Json>(journal::SELECT, json!([])));
        assert_eq!((book.journal.len(), entries.len()), (0, 1));
        assert_eq!(entries[0].rows, "[]");
        // The floor lies above what the stream said last, and the records that never came of it are lost.
        assert_eq!(book.floors.of(StreamKind::Producer), 31);
        let labels = tributary_telemetry::LabelSet::from_pairs([("resolver_id", "eu")]).unwrap();
        let lost = book.state.get("tributary_lost_records", &labels).map(|series| series.value().clone());
        assert_eq!(lost, Some(tributary_telemetry::Value::Counter(2)));
    }
}

#[test]
fn copies_of_ledgers_are_replaced_by_number_and_a_ledger_is_numbered_once() {
    let mut statements: Vec<(&str, Json)> = shards::CREATE.into_iter().map(|text| (text, json!([]))).collect();
    statements.push((shards::SELECT_NUMBER, json!([])));
    statements.push((shards::INSERT_NUMBER, json!([7])));
    statements.push((shards::SELECT_NUMBER, json!([])));
    for (number, checksum, taken_ms, copy) in [(2, 11, 100, 1), (1, 12, 200, 2), (2, 13, 300, 3)] {
        statements.push((shards::UPSERT, json!([number, checksum, taken_ms, { "blob": [copy] }])));
    }
    statements.push((shards::SELECT, json!([])));
    let results = sqlite(&statements);
    assert!(results[2].is_empty());
    assert_eq!(results[4], [json!({"number": 7})]);
    let row = |number: u32, checksum: u32, taken_ms: u32, copy: u32| json!({"number": number, "checksum": checksum, "taken_ms": taken_ms, "copy": { "blob": [copy] }});
    assert_eq!(results.last().unwrap()[..], [row(1, 12, 200, 2), row(2, 13, 300, 3)]);
}

#[test]
fn the_journal_is_written_over_in_turn_and_read_beyond_its_mark() {
    let mut statements = create();
    statements.push((journal::SELECT_MARK, json!([])));
    let upsert = |slot: i64, sequence: u64, rows: &str| {
        (journal::UPSERT, json!([slot, sequence, rows, sequence + 5, { "blob": [sequence % 256, 0] }]))
    };
    let mark = |sequence: u64| (journal::UPSERT_MARK, json!([sequence]));
    statements.extend([
        upsert(1, 1, "one"),
        upsert(0, 1_024, "three"),
        upsert(2, 2, "two"),
        (journal::SELECT, json!([])),
    ]);
    statements.extend([mark(2), (journal::SELECT, json!([])), (journal::SELECT_MARK, json!([]))]);
    statements.extend([upsert(1, 1_025, "four"), mark(1_024), (journal::SELECT, json!([]))]);
    let results = sqlite(&statements);
    let entries = |at: usize| stored_entries(&results[results.len() - at]);
    let entry = |sequence: u64, rows: &str| StoredEntry {
        sequence,
        rows: rows.to_owned(),
        checksum: u32::try_from(sequence + 5).unwrap(),
        change: vec![u8::try_from(sequence % 256).unwrap(), 0],
    };
    assert!(results[storage::CREATE.len()].is_empty(), "no mark before the first fold");
    assert_eq!(entries(7), [entry(1, "one"), entry(2, "two"), entry(1_024, "three")]);
    assert_eq!(entries(5), [entry(1_024, "three")]);
    assert_eq!(read::<StoredMark>(&results[results.len() - 4]), [StoredMark { sequence: 2 }]);
    assert_eq!(entries(1), [entry(1_025, "four")]);
}

#[test]
fn a_book_is_read_back_from_its_tables_and_its_journal() {
    let mut book = Book::new("eu", 1).unwrap();
    let mut database = Database(create());
    let read = |database: &Database| {
        let all = [(storage::SELECT_STATE, json!([])), (parts::SELECT, json!([])), (journal::SELECT, json!([]))];
        let results = sqlite(&[database.0.as_slice(), all.as_slice()].concat());
        let [.., state, parts, changes] = results.as_slice() else { panic!() };
        let mut book = Book::restore(Some(&stored_book(state, parts)), "eu", 1).unwrap();
        let marks: Vec<StoredMark> = database.read(journal::SELECT_MARK, json!([]));
        book.journal = journal::Journal::at(marks.first().copied());
        stored_entries(changes).iter().for_each(|entry| book.replay(entry).unwrap());
        book
    };
    let filled = |database: &Database| database.read::<storage::Filled>(storage::COUNT_FILLED, json!([]))[0].tables;
    assert_eq!(filled(&database), 0);
    database.write(book.fold().unwrap());
    assert_eq!(filled(&database), 2, "parts, and the mark of the journal");
    assert_eq!(read(&database).state, book.state);
    for round in 0..3 {
        book.floors.forget(StreamKind::Legacy, round);
        book.note(round, |delta| tributary_consumer::self_metrics::series_refused(delta, round + 1)).unwrap();
        database.write(book.write(&rows()));
        let back = read(&database);
        assert_eq!((&back.state, &back.floors, &back.journal), (&book.state, &book.floors, &book.journal));
    }
    database.write(book.fold().unwrap());
    let back = read(&database);
    assert_eq!((back.state, back.journal), (book.state, book.journal));
    assert_eq!(database.rows().len(), rows().len());
}

/// The tables that schema 3 had beside those of schema 1.
const JOURNAL_3: &str =
    "CREATE TABLE journal (slot INTEGER PRIMARY KEY, sequence INTEGER NOT NULL, rows TEXT NOT NULL)";

#[test]
fn a_database_of_schema_3_goes_on_with_its_state_its_streams_and_its_journal() {
    let book = Book::new("eu", 1).unwrap();
    let mut bytes = Vec::new();
    book.state.encode_field(1, &mut bytes);
    let head = StoredState { schema: 3, checksum: crc32fast::hash(&bytes), bytes };
    let mut begin = create();
    begin.push((JOURNAL_3, json!([])));
    let insert = "INSERT INTO journal (slot, sequence, rows) VALUES (?, ?, ?)";
    let old = BTreeMap::from([(StreamId([9; 16]), row(StreamKind::Producer, &[1], 5, "eu"))]);
    begin.push((storage::UPSERT_STREAMS, json!([storage::encode_rows(&old)])));
    begin.push((insert, json!([1, 1, "behind the mark"])));
    begin.push((insert, json!([-1, 1, ""])));
    begin.push((insert, json!([2, 2, storage::encode_rows(&rows())])));
    begin.push((storage::UPSERT_STATE, json!([3, head.checksum, { "blob": head.bytes }])));
    let start = begin.len();
    begin.push((migration::SELECT_MARK_3, json!([])));
    begin.push((migration::SELECT_JOURNAL_3, json!([])));
    let results = sqlite(&begin);
    let marks: Vec<StoredMark> = read(&results[start]);
    let entries: Vec<StoredEntry3> = read(&results[start + 1]);
    assert_eq!((marks[0].sequence, entries.len()), (1, 1));

    let mut goes_on = Book::restore(Some(&StoredBook { head, parts: Vec::new() }), "eu", 9).unwrap();
    goes_on.journal = migration::journal_of_3(marks.first().copied(), &entries).unwrap();
    let mut database = Database(begin);
    database.write(goes_on.fold().unwrap());
    database.0.push((migration::DROP_JOURNAL_3, json!([])));
    let mut expected = rows();
    expected.extend(old);
    assert_eq!(database.rows(), expected);
    let state: Vec<Json> = database.read(storage::SELECT_STATE, json!([]));
    let stored = stored_book(&state, &database.read::<Json>(parts::SELECT, json!([])));
    assert_eq!(stored.open().unwrap().state, book.state);
    assert_eq!(database.read::<StoredMark>(journal::SELECT_MARK, json!([])), [StoredMark { sequence: 2 }]);
    let gone = StoredEntry3 { sequence: 4, rows: "[]".to_owned() };
    assert_eq!(migration::journal_of_3(marks.first().copied(), &[gone]), Err(StorageError::Journal(4)));
}

/// The tables as schema 1 made them.
const SCHEMA_1: [&str; 2] = [
    "CREATE TABLE streams (stream_id TEXT PRIMARY KEY, kind INTEGER NOT NULL, high_water INTEGER NOT NULL, \
     gaps TEXT NOT NULL, last_seen_ms INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE TABLE state (id INTEGER PRIMARY KEY CHECK (id = 0), schema INTEGER NOT NULL, checksum INTEGER NOT NULL, \
     bytes BLOB NOT NULL)",
];

#[test]
fn a_database_of_schema_1_goes_on_as_one_of_today() {
    let now_ms = 1_800_000_000_000u64;
    let bytes = Snapshot::new(1_000).encode();
    let old = StoredState { schema: 1, checksum: crc32fast::hash(&bytes), bytes };
    let id = "ab".repeat(16);
    let mut begin: Vec<(&str, Json)> = SCHEMA_1.into_iter().map(|text| (text, json!([]))).collect();
    let insert = "INSERT INTO streams VALUES (?, ?, ?, ?, ?)";
    begin.push((insert, json!([id, 1, 9, "[[1,2],[4,4],[6,8]]", now_ms - 5])));
    begin.push((insert, json!(["cd".repeat(16), 3, 4, "[]", now_ms - 5])));
    // The tables are looked for first, as on every start.
    begin.extend(create());
    begin.push((migration::MISSING_1, json!([])));
    let missing: Vec<StoredMissing> = read(sqlite(&begin).last().unwrap());
    assert_eq!(missing, [StoredMissing { missing: 6 }]);
    let migrated = migration::from_1(&old, 6, now_ms).unwrap();

    let [tables @ .., last] = migration::TABLES_1;
    begin.extend(tables.into_iter().map(|text| (text, json!([]))));
    begin.push((last, json!([migrated.floor_ms])));
    let mut book = migrated.book;
    begin.append(&mut statements(book.fold().unwrap()));
    begin.push((storage::COUNT_STREAMS, json!([])));
    begin.push((storage::SELECT_STREAMS, json!([storage::encode_ids([&StreamId([0xab; 16])])])));
    begin.push((storage::SELECT_STATE, json!([])));
    begin.push((parts::SELECT, json!([])));
    let written = BTreeMap::from([(StreamId([1; 16]), row(StreamKind::Legacy, &[1], 50, "eu"))]);
    begin.push((storage::UPSERT_STREAMS, json!([storage::encode_rows(&written)])));
    let results = sqlite(&begin);
    let [.., tallies, streams, state, parts, _] = results.as_slice() else { panic!() };

    let stored: Vec<StoredStream> = read(streams);
    let (_, row) = storage::decode_row(&stored[0]).unwrap();
    assert_eq!((row.account.as_str(), row.floor_ms, row.progress.missing()), ("unknown", migrated.floor_ms, 6));
    let book = Book::load(Some(&stored_book(state, parts)), &read::<StoredTally>(tallies), "eu", now_ms).unwrap();
    assert_eq!(book.status.missing, BTreeMap::from([("unknown".to_owned(), 6)]));
    assert_eq!(book.status.streams, BTreeMap::from([("producer", 1), ("consumer", 1)]));
    assert_eq!(book.state.start_time_ms(), 1_000);
}

#[test]
fn imports_read_back_in_their_order_and_a_source_has_one_row() {
    let add = |source: &str, record: &[u8]| (import::INSERT, json!([source, {"blob": record}]));
    let rows = sqlite(&[
        (import::CREATE, json!([])),
        (import::CREATE, json!([])),
        add("kv:z", b"first"),
        add("kv:a", b"second"),
        (import::SELECT, json!([])),
    ]);
    let records: Vec<_> = rows[4].iter().map(|row| row["record"]["blob"].to_string()).collect();
    assert_eq!(records, [json!(b"first").to_string(), json!(b"second").to_string()]);
    let again = [(import::CREATE, json!([])), add("kv:z", b"first"), add("kv:z", b"other")];
    assert!(std::panic::catch_unwind(|| sqlite(&again)).is_err(), "whatever decided it, the second does not get in");
}
