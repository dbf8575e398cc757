//! Each fault strikes as it was ordered, and no other request.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tributary_tests::cloudflare::{Effect, FakeCloudflare, Fault};

use crate::support::{api_only, call, refusal, result, send};

fn create(cloud: &FakeCloudflare, name: &str) -> Result<u16, String> {
    let body = json!({ "queue_name": name }).to_string();
    send(cloud, "POST", "/queues", &[("content-type", "application/json")], body.as_bytes()).map(|reply| reply.status)
}

fn status(status: u16) -> Effect {
    Effect::Status { status, retry_after: None }
}

#[test]
fn statuses_look_like_cloudflares() {
    let cloud = api_only();
    let limited = Effect::Status { status: 429, retry_after: Some(7) };
    cloud.fail(Fault::once("GET", "/accounts/*/queues", limited));
    let reply = call(&cloud, "GET", "/queues", &Value::Null);
    assert_eq!((refusal(&reply), reply.header("retry-after")), ((429, 971), "7"));
    for (code, expected) in [(403, 10_000), (500, 10_013)] {
        cloud.fail(Fault::once("GET", "*", status(code)));
        assert_eq!(refusal(&call(&cloud, "GET", "/queues", &Value::Null)), (code, expected));
    }
    // A gateway speaks no JSON.
    for code in [502, 503, 504, 522] {
        cloud.fail(Fault::once("GET", "*", status(code)));
        let reply = call(&cloud, "GET", "/queues", &Value::Null);
        assert_eq!((reply.status, reply.json()), (code, Value::Null));
    }
    result(&cloud, "GET", "/queues", &Value::Null);
}

#[test]
fn a_request_that_fails_has_done_nothing() {
    let cloud = api_only();
    for effect in [status(500), Effect::Reset, Effect::Hang { millis: 50 }] {
        cloud.fail(Fault::once("POST", "*/queues", effect.clone()));
        let began = Instant::now();
        let answer = create(&cloud, "q");
        assert_eq!(answer.is_ok(), effect == status(500), "{answer:?}");
        let hung = began.elapsed() >= Duration::from_millis(50);
        assert!(hung || effect != Effect::Hang { millis: 50 });
        assert!(cloud.queues().is_empty());
    }
    assert_eq!(create(&cloud, "q"), Ok(200));
}

#[test]
fn a_reset_is_one() {
    let cloud = api_only();
    cloud.fail(Fault::once("GET", "/user", Effect::Reset));
    let address = cloud.api_url();
    let address = address.trim_start_matches("http://").trim_end_matches("/client/v4");
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(b"GET /client/v4/user HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let error = stream.read(&mut [0; 64]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[test]
fn an_answer_is_lost_behind_the_work() {
    let cloud = api_only();
    cloud.fail(Fault::once("POST", "*/queues", Effect::LoseAnswer));
    assert!(create(&cloud, "q").is_err());
    assert!(cloud.queue("q").is_some());
    assert_eq!(create(&cloud, "q"), Ok(409));
    let record = cloud.requests();
    assert_eq!((record[0].status, record[0].is_faulty), (None, true));
    assert_eq!(
        (record[1].status, record[1].is_faulty, record[1].json()),
        (Some(409), false, json!({ "queue_name": "q" }))
    );
}

#[test]
fn a_slow_request_is_answered_all_the_same() {
    let cloud = api_only();
    cloud.fail(Fault::once("POST", "*/queues", Effect::Slow { millis: 80 }));
    let began = Instant::now();
    assert_eq!(create(&cloud, "q"), Ok(200));
    assert!(began.elapsed() >= Duration::from_millis(80));
    assert!(cloud.requests()[0].is_faulty);
}

#[test]
fn the_nth_request_fails_so_many_times() {
    let cloud = api_only();
    cloud.fail(Fault::always("POST", "*/queues", status(500)).nth(2).times(2));
    let answers: Vec<u16> = (0..4).map(|number| create(&cloud, &format!("q{number}")).unwrap()).collect();
    assert_eq!(answers, [200, 500, 500, 200]);
    cloud.fail(Fault::always("POST", "*", status(500)));
    assert_eq!((create(&cloud, "x"), create(&cloud, "x")), (Ok(500), Ok(500)));
    cloud.heal();
    assert_eq!(create(&cloud, "x"), Ok(200));
}
