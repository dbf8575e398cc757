//! The consumer alone, handed batches with ids, attempts and bodies of the test's choice.

use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde_json::json;
use tempfile::TempDir;
use tributary_local::{
    backend::{Backend, Expected},
    secrets::Secret,
};
use tributary_proto::{
    Message as _,
    envelope::{Envelope, StreamId},
    flag_logs::{ResolveReason, TelemetryData, WriteFlagLogsRequest, telemetry_data::ResolveRate},
};
use tributary_tests::{
    consumer::{Body, CLIENT_SECRET, Consumer, Delivery, QueueResult, state_with_route},
    ledger_file,
    wait::eventually,
};

const MATCH: [(&str, &str); 2] = [("reason", "RESOLVE_REASON_MATCH"), ("resolver_id", "cf-resolver")];
pub(crate) const LIMIT: Duration = Duration::from_secs(15);

pub(crate) fn now_ms() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

pub(crate) fn backend() -> Backend {
    let expected = Expected { client_secret: Secret::new(CLIENT_SECRET), account_id: "acc".into() };
    Backend::start(0, expected, Box::new(|_| {})).unwrap()
}

pub(crate) fn start(folder: &TempDir, backend_url: &str) -> Consumer {
    start_with(folder, backend_url, &[])
}

/// One with these vars beside the addresses of its backend.
pub(crate) fn start_with(folder: &TempDir, backend_url: &str, vars: &[(&str, &str)]) -> Consumer {
    let edge = format!("{backend_url}/v1/clientFlagLogs:write");
    let ingest = format!("{backend_url}/v1/flagLogs:ingest");
    let urls = [("CONFIDENCE_FLAG_LOGS_URL", edge.as_str()), ("CONFIDENCE_INGEST_URL", ingest.as_str())];
    Consumer::start(folder.path(), &[&urls, vars].concat()).unwrap()
}

pub(crate) fn logs(resolves: u32) -> WriteFlagLogsRequest {
    WriteFlagLogsRequest {
        telemetry_data: Some(TelemetryData {
            resolve_rate: vec![ResolveRate { count: resolves, reason: ResolveReason::Match.into() }],
            ..TelemetryData::default()
        }),
        ..WriteFlagLogsRequest::default()
    }
}

/// A delivery of record `sequence` of stream `stream`, worth `resolves`.
pub(crate) fn delivery(stream: u8, sequence: u64, resolves: u32) -> Delivery {
    delivery_at(stream, sequence, resolves, now_ms())
}

/// The same of a record whose window ended at `now`.
pub(crate) fn delivery_at(stream: u8, sequence: u64, resolves: u32, now: u64) -> Delivery {
    let envelope = Envelope {
        stream_id: StreamId([stream; 16]),
        ledgers: 1,
        sequence,
        window_start_ms: now - 1_000,
        window_end_ms: now,
        resolver_id: "cf-resolver".into(),
        dimensions: Default::default(),
        flag_logs: logs(resolves).encode_to_vec(),
        metrics: Vec::new(),
        resource_metrics: Vec::new(),
        dropped: vec![],
    };
    Delivery {
        id: format!("{stream}-{sequence}"),
        attempts: 1,
        timestamp_ms: now,
        body: Body::Bytes(envelope.encode().unwrap()),
    }
}

pub(crate) fn expect_resolves(consumer: &Consumer, expected: f64) {
    eventually(LIMIT, "the published count", || match consumer.metrics()?.get("confidence_resolves_total", &MATCH) {
        count if count == expected => Ok(()),
        count => Err(format!("{count} instead of {expected}")),
    });
}

/// Waits until so many dead letters are in the store, and gives the list.
pub(crate) fn expect_dead_letters(consumer: &Consumer, expected: u64) -> serde_json::Value {
    eventually(LIMIT, "the dead letters", || match consumer.dead_letters("")? {
        list if list["count"] == expected => Ok(list),
        list => Err(format!("{list} instead of {expected}")),
    })
}

pub(crate) fn acked(result: &QueueResult) -> Vec<&str> {
    let mut acked: Vec<_> = result.explicit_acks.iter().map(String::as_str).collect();
    acked.sort_unstable();
    acked
}

#[test]
fn redelivered_reordered_and_restarted_the_counts_stay_exact() {
    let (folder, backend) = (TempDir::new().unwrap(), backend());
    let consumer = start(&folder, &backend.url());
    let batch = [delivery(1, 2, 20), delivery(2, 1, 100), delivery(1, 1, 3)];
    let result = consumer.deliver(&batch).unwrap();
    assert_eq!((result.outcome.as_str(), acked(&result)), ("ok", vec!["1-1", "1-2", "2-1"]));
    expect_resolves(&consumer, 123.0);

    // The same batch again, in part, with something new, under other message ids, as a producer's resend is.
    let mut again = vec![delivery(1, 1, 3), delivery(1, 3, 4000), delivery(2, 1, 100)];
    again[0].id = "resent".into();
    assert_eq!(acked(&consumer.deliver(&again).unwrap()), ["1-3", "2-1", "resent"]);
    expect_resolves(&consumer, 4123.0);

    consumer.kill();
    let consumer = start(&folder, &backend.url());
    consumer.deliver(&batch).unwrap();
    consumer.deliver(&[delivery(2, 2, 50_000)]).unwrap();
    expect_resolves(&consumer, 54_123.0);
    let metrics = consumer.metrics().unwrap();
    let messages =
        |outcome| metrics.get("tributary_messages_total", &[("outcome", outcome), ("resolver_id", "cf-resolver")]);
    assert_eq!((messages("applied"), messages("duplicate")), (5.0, 5.0));
}

#[test]
fn concurrent_batches_with_the_same_records_count_each_once() {
    let (folder, backend) = (TempDir::new().unwrap(), backend());
    let consumer = start(&folder, &backend.url());
    let batch: Vec<_> = (1..=40).map(|sequence| delivery(1, sequence, 1)).collect();
    thread::scope(|scope| {
        for part in 0..8usize {
            let (consumer, batch) = (&consumer, &batch);
            // Overlapping windows of the stream, each record in about four of them.
            scope.spawn(move || consumer.deliver(&batch[part * 4..(part * 4 + 12).min(40)]).unwrap());
        }
    });
    consumer.deliver(&batch).unwrap();
    expect_resolves(&consumer, 40.0);
}

#[test]
fn what_todays_confidence_resolver_sends_is_counted_once_by_its_message_id() {
    let (folder, backend) = (TempDir::new().unwrap(), backend());
    let consumer = start(&folder, &backend.url());
    let text = serde_json::to_string(&logs(7)).unwrap();
    let message = Delivery { id: "m-1".into(), attempts: 1, timestamp_ms: now_ms(), body: Body::Text(text) };
    let redelivered = Delivery { attempts: 2, ..message.clone() };
    let another = Delivery { id: "m-2".into(), ..message.clone() };
    for batch in [vec![message], vec![redelivered, another]] {
        assert_eq!(acked(&consumer.deliver(&batch).unwrap()).len(), batch.len());
    }
    expect_resolves(&consumer, 14.0);
}

#[test]
fn one_bad_message_does_not_hurt_its_batch() {
    let (folder, backend) = (TempDir::new().unwrap(), backend());
    let consumer = start(&folder, &backend.url());
    let bad = |id: &str, body| Delivery { id: id.into(), attempts: 1, timestamp_ms: now_ms(), body };
    let mut truncated = delivery(3, 1, 1);
    if let Body::Bytes(bytes) = &mut truncated.body {
        bytes.truncate(bytes.len() / 2);
    }
    let batch = [
        delivery(1, 1, 5),
        bad("text", Body::Text("{\"flagAssigned\":7}".into())),
        bad("object", Body::Object(serde_json::json!({"telemetryData": {}}))),
        bad("bytes", Body::Bytes(vec![0xff; 5_000])),
        bad("empty", Body::Bytes(vec![])),
        truncated,
        delivery(1, 2, 6),
    ];
    let result = consumer.deliver(&batch).unwrap();
    let all = vec!["1-1", "1-2", "3-1", "bytes", "empty", "object", "text"];
    assert_eq!((result.outcome.as_str(), acked(&result)), ("ok", all));
    assert_eq!(result.retry_messages.len(), 0);
    expect_resolves(&consumer, 11.0);
    assert_eq!(consumer.metrics().unwrap().sum("tributary_malformed_messages_total"), 5.0);
    // Acked, because each is a dead letter now, with its content.
    let letters = expect_dead_letters(&consumer, 5);
    let mut ids: Vec<_> =
        letters["letters"].as_array().unwrap().iter().map(|letter| letter["message_id"].as_str().unwrap()).collect();
    ids.sort_unstable();
    assert_eq!(ids, ["3-1", "bytes", "empty", "object", "text"]);
    assert!(!letters.to_string().contains("telemetryData"), "content is shown only where it is asked for");
    let object = consumer.dead_letters("?body=1&reason=body_type").unwrap();
    assert_eq!(object["letters"][0]["body"], r#"{"telemetryData":{}}"#);
}

#[test]
fn a_backend_that_is_down_holds_back_the_acks_and_not_the_metrics() {
    let (folder, backend) = (TempDir::new().unwrap(), backend());
    let consumer = start(&folder, &backend.url());
    let client = tributary_tests::http::Client::default();
    let fault = format!("{}/faults", backend.url());
    client.send("POST", &fault, &[], br#"{"status":503,"times":1}"#).unwrap();
    let batch = [delivery(1, 1, 5)];
    let result = consumer.deliver(&batch).unwrap();
    assert_eq!(acked(&result), [""; 0]);
    assert!(result.retry_messages[0].delay_seconds.unwrap() >= 1);
    expect_resolves(&consumer, 5.0);
    assert_eq!(acked(&consumer.deliver(&batch).unwrap()), ["1-1"]);
    expect_resolves(&consumer, 5.0);
    eventually(LIMIT, "the failed delivery", || match consumer.metrics()?.sum("confidence_flush_failed_total") {
        1.0 => Ok(()),
        count => Err(count.to_string()),
    });
}

#[test]
fn the_route_of_the_state_is_followed_primary_first_then_fallback() {
    let (folder, backend) = (TempDir::new().unwrap(), backend());
    let consumer = start(&folder, &backend.url());
    let state = state_with_route("acc", &[2, 1]).unwrap();
    consumer.put_kv("CONFIDENCE_STATE_KV", "resolver_state", &state).unwrap();
    assert_eq!(acked(&consumer.deliver(&[delivery(1, 1, 1)]).unwrap()), ["1-1"]);
    let client = tributary_tests::http::Client::default();
    let stats = || client.send("GET", &format!("{}/stats", backend.url()), &[], b"").unwrap().json();
    assert_eq!(stats()["by_destination"]["cloudflare"]["requests"], 1, "{}", stats());
    client.send("POST", &format!("{}/faults", backend.url()), &[], br#"{"status":500,"times":1}"#).unwrap();
    assert_eq!(acked(&consumer.deliver(&[delivery(1, 2, 1)]).unwrap()), ["1-2"]);
    assert_eq!(stats()["by_destination"]["edge"]["requests"], 1, "{}", stats());
}

#[test]
fn a_corrupt_ledger_stops_and_shows_instead_of_starting_from_nothing() {
    let (folder, backend) = (TempDir::new().unwrap(), backend());
    let consumer = start(&folder, &backend.url());
    consumer.deliver(&[delivery(1, 1, 5)]).unwrap();
    expect_resolves(&consumer, 5.0);
    consumer.kill();
    for (table, column) in [("state", "bytes"), ("parts", "bytes"), ("changes", "change")] {
        flip_a_byte(folder.path(), table, column);
        let consumer = start(&folder, &backend.url());
        let result = consumer.deliver(&[delivery(1, 2, 1)]).unwrap();
        let retried = result.retry_messages.len();
        assert_eq!((acked(&result).len(), retried), (0, 1), "nothing is acked where {table} is corrupt");
        // The published copy is not touched.
        expect_resolves(&consumer, 5.0);
        consumer.kill();
        flip_a_byte(folder.path(), table, column);
    }
    // Lost altogether, it is no new Ledger, however often it starts.
    let lose = [("CREATE TABLE kept AS SELECT * FROM state", json!([])), ("DELETE FROM state", json!([]))];
    ledger_file::execute(folder.path(), &lose).unwrap();
    for _ in 0..2 {
        let consumer = start(&folder, &backend.url());
        let result = consumer.deliver(&[delivery(1, 2, 1)]).unwrap();
        assert_eq!((acked(&result).len(), result.retry_messages.len()), (0, 1), "nothing is acked without a state");
        consumer.kill();
    }
    let find = [("INSERT INTO state SELECT * FROM kept", json!([])), ("DROP TABLE kept", json!([]))];
    ledger_file::execute(folder.path(), &find).unwrap();
    let consumer = start(&folder, &backend.url());
    assert_eq!(acked(&consumer.deliver(&[delivery(1, 2, 1)]).unwrap()).len(), 1);
    expect_resolves(&consumer, 6.0);
}

/// Flips a byte of the last value of a column, and back: of `changes` that is one that counts.
fn flip_a_byte(folder: &std::path::Path, table: &str, column: &str) {
    let last = format!("SELECT rowid, {column} FROM {table} ORDER BY rowid DESC LIMIT 1");
    let rows = ledger_file::execute(folder, &[(&last, json!([]))]).unwrap();
    let mut bytes: Vec<u8> = serde_json::from_value(rows[0][0][1]["blob"].clone()).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    let update = format!("UPDATE {table} SET {column} = ? WHERE rowid = ?");
    ledger_file::execute(folder, &[(&update, json!([{ "blob": bytes }, rows[0][0][0]]))]).unwrap();
}

#[test]
fn without_any_secret_the_endpoint_refuses_and_says_why() {
    let folder = TempDir::new().unwrap();
    let vars = [("METRICS_TOKEN", ""), ("CONFIDENCE_CLIENT_SECRET", "")];
    let consumer = Consumer::start(folder.path(), &vars).unwrap();
    for authorization in ["", "Bearer ", "ClientSecret "] {
        let reply = consumer.send("GET", "/metrics", &[("Authorization", authorization)], b"").unwrap();
        assert_eq!(reply.status, 503);
        assert!(reply.json()["error"]["message"].as_str().unwrap().contains("METRICS_TOKEN"), "{}", reply.body);
    }
}

#[test]
fn a_backend_that_never_answers_is_given_up_in_time() {
    // Takes connections, reads, and says nothing.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let hung = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&hung);
    thread::spawn(move || {
        let mut open = Vec::new();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            counter.fetch_add(1, Ordering::SeqCst);
            let mut buffer = [0; 1024];
            let read = stream.read(&mut buffer).unwrap();
            stream.flush().unwrap();
            open.push((stream, read));
        }
    });
    let folder = TempDir::new().unwrap();
    let consumer = start(&folder, &url);
    let result = consumer.deliver(&[delivery(1, 1, 5)]).unwrap();
    assert_eq!((result.outcome.as_str(), acked(&result).len(), result.retry_messages.len()), ("ok", 0, 1));
    assert!(hung.load(Ordering::SeqCst) >= 1);
    expect_resolves(&consumer, 5.0);
}
