//! The Ledger's database as an older version left it, and as time leaves it, in workerd: both are written into the file
//! of a stopped runtime.

use std::path::Path;

use serde_json::{Value as Json, json};
use tempfile::TempDir;
use tributary_proto::{
    Message as _,
    v1::{LedgerState, MetricSet, StoredLedger},
};
use tributary_tests::{consumer::Consumer, exposition::Exposition, ledger_file::execute, wait::eventually};

use crate::consumer::{LIMIT, acked, backend, delivery, delivery_at, expect_resolves, now_ms, start_with};

const DAY_MS: u64 = 24 * 3_600 * 1_000;

/// Families that schema 1 did not have: its Ledger kept no accounts, and knew of no dead letters.
const SINCE_SCHEMA_1: [&str; 5] = [
    "tributary_records_sent",
    "tributary_records_applied",
    "tributary_records_missing",
    "tributary_forgotten_streams",
    "tributary_dead_letter_changes",
];

/// Turns the database of a stopped runtime, whose journal is folded, into what a Ledger of schema 1 would have left.
fn back_to_schema_1(folder: &Path) {
    let [state, part] = ["SELECT bytes FROM state", "SELECT bytes FROM parts"].map(|select| {
        let rows = execute(folder, &[(select, json!([]))]).unwrap();
        assert_eq!(rows[0].len(), 1, "a state of one resolver is one part");
        serde_json::from_value::<Vec<u8>>(rows[0][0][0]["blob"].clone()).unwrap()
    });
    let state = StoredLedger::decode(state.as_slice()).unwrap().state.unwrap();
    let mut metrics = LedgerState::decode(part.as_slice()).unwrap().metrics.unwrap();
    let families = metrics.families.len();
    metrics.families.retain(|family| !SINCE_SCHEMA_1.contains(&family.name.as_str()));
    assert!(metrics.families.len() < families);
    // Lost records were one number, of nobody.
    let lost = metrics.families.iter_mut().find(|family| family.name == "tributary_lost_records").unwrap();
    lost.series.truncate(1);
    lost.series[0].labels.clear();
    let old = LedgerState { metrics: Some(MetricSet { ..metrics }), ..state }.encode_to_vec();
    let statements: [(&str, Json); 8] = [
        (
            "CREATE TABLE old (stream_id TEXT PRIMARY KEY, kind INTEGER NOT NULL, high_water INTEGER NOT NULL, \
             gaps TEXT NOT NULL, last_seen_ms INTEGER NOT NULL) WITHOUT ROWID",
            json!([]),
        ),
        ("INSERT INTO old SELECT stream_id, kind, high_water, gaps, last_seen_ms FROM streams", json!([])),
        ("DROP TABLE streams", json!([])),
        ("ALTER TABLE old RENAME TO streams", json!([])),
        ("DROP TABLE dead_letters", json!([])),
        ("DROP TABLE changes", json!([])),
        ("DROP TABLE parts", json!([])),
        ("UPDATE state SET schema = 1, checksum = ?, bytes = ?", json!([crc32fast::hash(&old), { "blob": old }])),
    ];
    execute(folder, &statements).unwrap();
}

/// Stops a consumer in whose database every row of a stream is in its table: a Ledger that starts folds the journal.
pub(crate) fn kill_folded(folder: &TempDir, backend_url: &str, consumer: Consumer) {
    consumer.kill();
    let consumer = start(folder, backend_url);
    drop(consumer.metrics().unwrap());
    consumer.kill();
    let beyond =
        "SELECT COUNT(*) FROM changes WHERE slot >= 0 AND sequence > (SELECT sequence FROM changes WHERE slot = -1)";
    assert_eq!(execute(folder.path(), &[(beyond, json!([]))]).unwrap(), [[[json!(0)]]]);
}

/// One whose `/metrics` is the Ledger's own word, and not a copy that is published later.
fn start(folder: &TempDir, backend_url: &str) -> Consumer {
    start_with(folder, backend_url, &[("METRICS_SOURCE", "ledger")])
}

fn of(metrics: &Exposition, name: &str, resolver_id: &str) -> f64 {
    metrics.get(name, &[("resolver_id", resolver_id)])
}

/// Sent, applied, missing and lost records of an account, of which the first is the sum of the others.
fn account(metrics: &Exposition, resolver_id: &str) -> [f64; 4] {
    let account = [
        "tributary_records_sent_total",
        "tributary_records_applied_total",
        "tributary_records_missing",
        "tributary_lost_records_total",
    ]
    .map(|name| of(metrics, name, resolver_id));
    assert_eq!(account[0], account[1] + account[2] + account[3], "{resolver_id}");
    account
}

fn expect_account(consumer: &Consumer, resolver_id: &str, expected: [f64; 4]) {
    eventually(LIMIT, "the account", || match account(&consumer.metrics()?, resolver_id) {
        account if account == expected => Ok(()),
        account => Err(format!("{account:?} instead of {expected:?}")),
    });
}

#[test]
fn a_database_of_schema_1_goes_on_with_its_totals_and_counts_no_record_twice() {
    let (folder, backend) = (TempDir::new().unwrap(), backend());
    let consumer = start(&folder, &backend.url());
    // The third record of the stream is still under way.
    consumer.deliver(&[delivery(1, 1, 5), delivery(1, 2, 20), delivery(1, 4, 100)]).unwrap();
    expect_resolves(&consumer, 125.0);
    kill_folded(&folder, &backend.url(), consumer);
    back_to_schema_1(folder.path());

    let consumer = start(&folder, &backend.url());
    // What it had seen is still known, and what it awaits is awaited.
    assert_eq!(acked(&consumer.deliver(&[delivery(1, 4, 100), delivery(1, 1, 5)]).unwrap()), ["1-1", "1-4"]);
    expect_account(&consumer, "unknown", [1.0, 0.0, 1.0, 0.0]);
    consumer.deliver(&[delivery(1, 3, 1_000), delivery(1, 5, 10_000), delivery(2, 1, 100_000)]).unwrap();
    expect_resolves(&consumer, 111_125.0);
    expect_account(&consumer, "unknown", [2.0, 2.0, 0.0, 0.0]);
    expect_account(&consumer, "cf-resolver", [1.0, 1.0, 0.0, 0.0]);
    let messages = |outcome| {
        let labels = [("outcome", outcome), ("resolver_id", "cf-resolver")];
        consumer.metrics().unwrap().get("tributary_messages_total", &labels)
    };
    assert_eq!((messages("applied"), messages("duplicate")), (6.0, 2.0));
    consumer.kill();

    let schema = execute(folder.path(), &[("SELECT schema FROM state", json!([]))]).unwrap();
    assert_eq!(schema, [[[json!(4)]]]);
    let consumer = start(&folder, &backend.url());
    consumer.deliver(&[delivery(1, 3, 1_000), delivery(2, 2, 1_000_000)]).unwrap();
    expect_resolves(&consumer, 1_111_125.0);
}

/// Turns the database of a stopped runtime, whose journal is folded, into what a Ledger of schema 3 would have left, with
/// all streams in its journal.
fn back_to_schema_3(folder: &Path) {
    let select = [("SELECT bytes FROM state", json!([])), ("SELECT bytes FROM parts", json!([]))];
    let rows = execute(folder, &select).unwrap();
    let bytes = |row: &Json| serde_json::from_value::<Vec<u8>>(row["blob"].clone()).unwrap();
    let head = StoredLedger::decode(bytes(&rows[0][0][0]).as_slice()).unwrap();
    let part = LedgerState::decode(bytes(&rows[1][0][0]).as_slice()).unwrap();
    let state = head.state.map(|state| LedgerState { metrics: part.metrics, ..state });
    let old = StoredLedger { state, parts: 0, ..head }.encode_to_vec();
    let row = "json_array(stream_id, kind, high_water, json(gaps), last_seen_ms, floor_ms, account, missing)";
    let statements: [(&str, Json); 7] = [
        ("CREATE TABLE journal (slot INTEGER PRIMARY KEY, sequence INTEGER NOT NULL, rows TEXT NOT NULL)", json!([])),
        ("INSERT INTO journal VALUES (-1, 6, '')", json!([])),
        (&format!("INSERT INTO journal SELECT 7, 7, json_group_array(json({row})) FROM streams"), json!([])),
        ("DELETE FROM streams", json!([])),
        ("DROP TABLE changes", json!([])),
        ("DROP TABLE parts", json!([])),
        ("UPDATE state SET schema = 3, checksum = ?, bytes = ?", json!([crc32fast::hash(&old), { "blob": old }])),
    ];
    execute(folder, &statements).unwrap();
}

#[test]
fn a_database_of_schema_3_goes_on_with_its_totals_and_its_journal() {
    let (folder, backend) = (TempDir::new().unwrap(), backend());
    let consumer = start(&folder, &backend.url());
    consumer.deliver(&[delivery(1, 1, 5), delivery(1, 2, 20), delivery(1, 4, 100)]).unwrap();
    expect_resolves(&consumer, 125.0);
    kill_folded(&folder, &backend.url(), consumer);
    back_to_schema_3(folder.path());

    let consumer = start(&folder, &backend.url());
    consumer.deliver(&[delivery(1, 4, 100), delivery(1, 3, 1_000), delivery(2, 1, 10_000)]).unwrap();
    expect_resolves(&consumer, 11_125.0);
    expect_account(&consumer, "cf-resolver", [5.0, 5.0, 0.0, 0.0]);
    consumer.kill();
    // Killed with a journal of today's, which goes on from the old one's mark.
    let consumer = start(&folder, &backend.url());
    consumer.deliver(&[delivery(2, 1, 10_000), delivery(2, 2, 100_000)]).unwrap();
    expect_resolves(&consumer, 111_125.0);
    consumer.kill();
    let tables = "SELECT COUNT(*) FROM sqlite_master WHERE name = 'journal'";
    let left = execute(folder.path(), &[("SELECT schema FROM state", json!([])), (tables, json!([]))]).unwrap();
    assert_eq!(left, [[[json!(4)]], [[json!(0)]]]);
}

#[test]
fn a_stream_that_is_silent_past_the_horizon_is_forgotten_on_the_alarm_and_what_it_missed_is_lost() {
    let (folder, backend, then) = (TempDir::new().unwrap(), backend(), now_ms() - 6 * DAY_MS);
    let consumer = start(&folder, &backend.url());
    consumer.deliver(&[delivery(1, 1, 5), delivery(1, 3, 20), delivery(1, 6, 100), delivery(2, 1, 1_000)]).unwrap();
    expect_resolves(&consumer, 1_125.0);
    expect_account(&consumer, "cf-resolver", [7.0, 4.0, 3.0, 0.0]);
    kill_folded(&folder, &backend.url(), consumer);
    // Six days pass, and the second stream has spoken meanwhile.
    let silent = "UPDATE streams SET last_seen_ms = last_seen_ms - ? WHERE stream_id = ?";
    execute(folder.path(), &[(silent, json!([6 * DAY_MS, "01".repeat(16)]))]).unwrap();

    let consumer = start(&folder, &backend.url());
    consumer.deliver(&[delivery(2, 2, 10_000)]).unwrap();
    expect_resolves(&consumer, 11_125.0);
    let forgotten = [("kind", "producer"), ("reason", "silent")];
    eventually(LIMIT, "the silent stream to be forgotten", || {
        match consumer.metrics()?.get("tributary_forgotten_streams_total", &forgotten) {
            1.0 => Ok(()),
            count => Err(format!("{count} streams")),
        }
    });
    expect_account(&consumer, "cf-resolver", [8.0, 5.0, 0.0, 3.0]);

    // A record of then may have been counted, and is not counted again. One of now is new.
    let result = consumer.deliver(&[delivery_at(1, 1, 5, then), delivery(1, 7, 100_000)]).unwrap();
    assert_eq!(acked(&result), ["1-1", "1-7"]);
    expect_resolves(&consumer, 111_125.0);
    let expired = [("outcome", "expired"), ("resolver_id", "cf-resolver")];
    eventually(LIMIT, "the expired record", || match consumer.metrics()?.get("tributary_messages_total", &expired) {
        1.0 => Ok(()),
        count => Err(count.to_string()),
    });
}
