//! The stub over real HTTP.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail by panicking")]

use confidence_resolver::proto::Message as _;
use serde_json::{Value, json};

use super::*;
use crate::backend::check::tests::valid_logs;

const PROTOBUF: &str = "application/x-protobuf";

fn start() -> (Backend, Arc<Mutex<Vec<String>>>) {
    let expected = Expected { client_secret: Secret::new("s3cret"), account_id: "demo".to_owned() };
    let lines = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&lines);
    let print = Box::new(move |line: &str| sink.lock().unwrap().push(line.to_owned()));
    (Backend::start(0, expected, print).unwrap(), lines)
}

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(Duration::from_secs(10)))
        .build()
        .into()
}

fn send(url: &str, authorization: &str, content_type: &str, body: &[u8]) -> u16 {
    let request = agent().post(url).header("Authorization", authorization).header("Content-Type", content_type);
    request.send(body).unwrap().status().as_u16()
}

fn stats(backend: &Backend) -> Value {
    let text = agent().get(backend.url() + "/stats").call().unwrap().body_mut().read_to_string().unwrap();
    serde_json::from_str(&text).unwrap()
}

#[test]
fn both_destinations_take_a_valid_batch_and_say_one_line_each() {
    let (backend, lines) = start();
    let logs = valid_logs().encode_to_vec();
    assert_eq!(send(&backend.flag_logs_url(), "ClientSecret s3cret", PROTOBUF, &logs), 200);
    let json = serde_json::to_vec(&valid_logs()).unwrap();
    assert_eq!(send(&backend.flag_logs_url(), "ClientSecret s3cret", "application/json", &json), 200);
    let wrapper = tributary_proto::v1::IngestFlagLogsRequest { account_id: "demo".to_owned(), batch: logs };
    let wrapper = tributary_proto::Message::encode_to_vec(&wrapper);
    assert_eq!(send(&backend.ingest_url(), "ClientSecret s3cret", "application/protobuf", &wrapper), 200);
    let stats = stats(&backend);
    assert_eq!((&stats["requests"], &stats["assignments"], &stats["resolve_ids"]), (&json!(3), &json!(3), &json!(1)));
    assert_eq!(stats["by_destination"]["cloudflare"]["requests"], 1);
    assert_eq!(lines.lock().unwrap().len(), 3);
    backend.stop().unwrap();
}

#[test]
fn whatever_is_wrong_is_refused_with_its_status_and_counts_nothing() {
    let (backend, _) = start();
    let logs = valid_logs().encode_to_vec();
    let url = backend.flag_logs_url();
    assert_eq!(send(&url, "ClientSecret wrong", PROTOBUF, &logs), 401);
    assert_eq!(send(&url, "Bearer s3cret", PROTOBUF, &logs), 401);
    assert_eq!(send(&url, "ClientSecret s3cret", "text/plain", &logs), 415);
    assert_eq!(send(&url, "ClientSecret s3cret", PROTOBUF, b"\xff\xff"), 400);
    let mut nameless = valid_logs();
    nameless.flag_assigned[0].resolve_id.clear();
    assert_eq!(send(&url, "ClientSecret s3cret", PROTOBUF, &nameless.encode_to_vec()), 400);
    assert_eq!(send(&(backend.url() + "/v1/other"), "ClientSecret s3cret", PROTOBUF, &logs), 404);
    assert_eq!(agent().get(&url).call().unwrap().status().as_u16(), 405);
    let other = tributary_proto::v1::IngestFlagLogsRequest { account_id: "other".to_owned(), batch: logs };
    let other = tributary_proto::Message::encode_to_vec(&other);
    assert_eq!(send(&backend.ingest_url(), "ClientSecret s3cret", "application/protobuf", &other), 400);
    let stats = stats(&backend);
    assert_eq!((&stats["requests"], &stats["assignments"], &stats["rejected"]), (&json!(0), &json!(0), &json!(6)));
    assert!(stats["last_rejection"].as_str().unwrap().contains("account_id"));
}

#[test]
fn faults_come_on_order_and_end() {
    let (backend, _) = start();
    let logs = valid_logs().encode_to_vec();
    let send = || send(&backend.flag_logs_url(), "ClientSecret s3cret", PROTOBUF, &logs);
    let order = |body: &str| agent().post(backend.url() + "/faults").send(body).unwrap().status().as_u16();
    assert_eq!(order(r#"{"status":503,"times":2}"#), 204);
    assert_eq!([send(), send(), send()], [503, 503, 200]);
    assert_eq!(order(r#"{"status":429}"#), 204);
    assert_eq!([send(), send()], [429, 429]);
    assert_eq!(agent().delete(backend.url() + "/faults").call().unwrap().status().as_u16(), 204);
    assert_eq!(send(), 200);
    assert_eq!(order("nonsense"), 400);
    assert_eq!(stats(&backend)["faulted"], 4);
}

#[test]
fn a_taken_port_is_said() {
    let (backend, _) = start();
    let port = backend.address.port();
    let expected = backend.shared.expected.clone();
    let error = Backend::start(port, expected, Box::new(|_| {})).err().unwrap();
    assert!(error.to_string().contains("BACKEND_PORT"), "{error}");
}
