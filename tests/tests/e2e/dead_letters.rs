//! What is given up is kept, shown, and comes back without counting twice.

use std::collections::BTreeMap;

use tempfile::TempDir;
use tributary_local::redrive::Redrive;
use tributary_proto::{
    Message as _,
    envelope::{Envelope, StreamId},
    events::{ClientInfo, FlagAssigned},
    flag_logs::WriteFlagLogsRequest,
};
use tributary_tests::{
    consumer::{Body, Consumer, Delivery},
    http::Client,
    installation::Installation,
    wait::eventually,
};

use crate::consumer::{LIMIT, acked, backend, delivery, expect_dead_letters, expect_resolves, logs, now_ms, start};

/// One resolve, and one assignment that the backend takes.
fn assigned(resolve_id: &str) -> WriteFlagLogsRequest {
    let client_info = ClientInfo {
        client: "clients/a".into(),
        client_credential: "clients/a/clientCredentials/b".into(),
        ..ClientInfo::default()
    };
    WriteFlagLogsRequest {
        flag_assigned: vec![FlagAssigned {
            resolve_id: resolve_id.into(),
            client_info: Some(client_info),
            ..FlagAssigned::default()
        }],
        ..logs(1)
    }
}

fn text(id: &str, logs: &WriteFlagLogsRequest) -> Delivery {
    let body = Body::Text(serde_json::to_string(logs).unwrap());
    Delivery { id: id.into(), attempts: 1, timestamp_ms: now_ms(), body }
}

fn fault(backend_url: &str, fault: Option<&str>) {
    let (method, body) = if fault.is_some() { ("POST", fault.unwrap_or_default()) } else { ("DELETE", "") };
    let reply = Client::default().send(method, &format!("{backend_url}/faults"), &[], body.as_bytes()).unwrap();
    assert_eq!(reply.status, 204, "{}", reply.body);
}

fn assignments(backend_url: &str) -> u64 {
    let reply = Client::default().send("GET", &format!("{backend_url}/stats"), &[], b"").unwrap();
    reply.json()["assignments"].as_u64().unwrap_or_default()
}

fn change(consumer: &Consumer, change: &str, expected: f64) {
    eventually(LIMIT, change, || {
        match consumer.metrics()?.get("tributary_dead_letter_changes_total", &[("change", change)]) {
            count if count == expected => Ok(()),
            count => Err(format!("{count} instead of {expected}")),
        }
    });
}

#[test]
fn a_refused_text_message_survives_a_restart_and_comes_back_counted_once() {
    let (folder, backend) = (TempDir::new().unwrap(), backend());
    let consumer = start(&folder, &backend.url());
    fault(&backend.url(), Some(r#"{"status":400}"#));
    assert_eq!(acked(&consumer.deliver(&[text("legacy", &assigned("r-1"))]).unwrap()), ["legacy"]);
    expect_resolves(&consumer, 1.0);
    let list = expect_dead_letters(&consumer, 1);
    assert_eq!(list["letters"][0]["reason"], "backend_400");
    assert_eq!(list["by_reason"]["backend_400"]["count"], 1);

    consumer.kill();
    let consumer = start(&folder, &backend.url());
    expect_dead_letters(&consumer, 1);
    // Redriven too early it dies again, and is the same letter.
    assert_eq!(consumer.call("POST", "/dead-letters:redrive").unwrap()["redriven"], 1);
    change(&consumer, "stored", 2.0);
    assert_eq!(expect_dead_letters(&consumer, 1)["letters"][0]["message_id"], "legacy");
    assert_eq!(assignments(&backend.url()), 0);

    fault(&backend.url(), None);
    let done = consumer.call("POST", "/dead-letters:redrive?reason=backend_400").unwrap();
    assert_eq!((&done["redriven"], &done["more"]), (&1.into(), &false.into()), "{done}");
    eventually(LIMIT, "the assignment", || match assignments(&backend.url()) {
        1 => Ok(()),
        count => Err(count.to_string()),
    });
    expect_dead_letters(&consumer, 0);
    change(&consumer, "redriven", 2.0);
    expect_resolves(&consumer, 1.0);
}

#[test]
fn one_message_of_many_that_the_backend_refuses_is_the_only_one_that_dies() {
    let (folder, backend) = (TempDir::new().unwrap(), backend());
    let consumer = start(&folder, &backend.url());
    let mut batch: Vec<_> = (1..=50)
        .map(|sequence| {
            let now = now_ms();
            let mut logs = assigned(&format!("r-{sequence}"));
            if sequence == 33 {
                // The stub refuses an assignment of nobody, as the backend would.
                logs.flag_assigned[0].client_info = None;
            }
            let envelope = Envelope {
                stream_id: StreamId([5; 16]),
                ledgers: 1,
                sequence,
                window_start_ms: now - 1_000,
                window_end_ms: now,
                resolver_id: "cf-resolver".into(),
                dimensions: Default::default(),
                flag_logs: logs.encode_to_vec(),
                metrics: Vec::new(),
                resource_metrics: Vec::new(),
                dropped: vec![],
            };
            let body = Body::Bytes(envelope.encode().unwrap());
            Delivery { id: format!("5-{sequence}"), attempts: 1, timestamp_ms: now, body }
        })
        .collect();
    let result = consumer.deliver(&batch).unwrap();
    assert_eq!((acked(&result).len(), result.retry_messages.len()), (50, 0));
    let list = expect_dead_letters(&consumer, 1);
    let letter = &list["letters"][0];
    assert_eq!((&letter["message_id"], &letter["reason"]), (&"5-33".into(), &"backend_400".into()), "{list}");
    assert_eq!(assignments(&backend.url()), 49, "each once");
    expect_resolves(&consumer, 50.0);

    // A status that speaks of our credentials condemns nothing.
    fault(&backend.url(), Some(r#"{"status":401}"#));
    batch = (51..=60).map(|sequence| delivery(5, sequence, 1)).collect();
    let result = consumer.deliver(&batch).unwrap();
    assert_eq!((acked(&result).len(), result.retry_messages.len()), (0, 10));
    fault(&backend.url(), None);
    assert_eq!(acked(&consumer.deliver(&batch).unwrap()).len(), 10);
    expect_dead_letters(&consumer, 1);
    assert_eq!(consumer.call("POST", "/dead-letters:discard?reason=backend_400").unwrap()["discarded"], 1);
    expect_dead_letters(&consumer, 0);
    change(&consumer, "discarded", 1.0);
}

#[test]
fn what_the_queue_itself_gives_up_is_kept_once() {
    let (folder, backend) = (TempDir::new().unwrap(), backend());
    let consumer = start(&folder, &backend.url());
    let message = |id: &str, body| Delivery { id: id.into(), attempts: 1, timestamp_ms: now_ms(), body };
    let batch = [
        delivery(1, 1, 5),
        message("t", Body::Text("hello".into())),
        message("j", Body::Object(serde_json::json!({"a": 1}))),
        message("b", Body::Bytes(vec![0xff; 127_900])),
    ];
    for _ in 0..3 {
        assert_eq!(acked(&consumer.deliver_dead(&batch).unwrap()).len(), 4);
    }
    let list = expect_dead_letters(&consumer, 4);
    assert_eq!(list["by_reason"]["retries_exhausted"]["count"], 4, "{list}");
    let gauge = eventually(LIMIT, "the gauge", || {
        match consumer.metrics()?.find("tributary_dead_letters", &[("reason", "retries_exhausted")]) {
            Some(count) if count > 0.0 => Ok(count),
            other => Err(format!("{other:?}")),
        }
    });
    assert_eq!(gauge, 4.0);
    // Back they go: the record is counted, the rest is nothing that can be read, and dies for that reason.
    assert_eq!(consumer.call("POST", "/dead-letters:redrive").unwrap()["redriven"], 4);
    expect_resolves(&consumer, 5.0);
    let list = eventually(LIMIT, "the three others", || match consumer.dead_letters("?body=1")? {
        list if list["count"] == 3 && list["by_reason"]["retries_exhausted"].is_null() => Ok(list),
        list => Err(list["by_reason"].to_string()),
    });
    let kind = |kind: &str| {
        let letters = list["letters"].as_array().unwrap();
        letters.iter().find(|letter| letter["body_kind"] == kind).unwrap().clone()
    };
    assert_eq!((&kind("text")["message_id"], &kind("text")["body"]), (&"t".into(), &"hello".into()));
    assert_eq!(kind("json")["body"], r#"{"a":1}"#);
    // Too large for a letter in a queue, so it was stored without one.
    assert_eq!(kind("bytes")["body_bytes"], 127_900);
}

#[test]
fn dead_letters_are_closed_without_the_token() {
    let (folder, backend) = (TempDir::new().unwrap(), backend());
    let consumer = start(&folder, &backend.url());
    for (method, path) in
        [("GET", "/dead-letters"), ("POST", "/dead-letters:redrive"), ("POST", "/dead-letters:discard?reason=protobuf")]
    {
        for header in ["", "Bearer wrong"] {
            let reply = consumer.send(method, path, &[("Authorization", header)], b"").unwrap();
            assert_eq!(reply.status, 401, "{method} {path}: {}", reply.body);
        }
    }
    assert!(consumer.call("POST", "/dead-letters:discard").unwrap_err().contains("400"));
    assert!(consumer.call("GET", "/dead-letters:redrive").unwrap_err().contains("405"));
}

/// The whole installation: the producer's own messages die, show on its host, and `make redrive` brings them back.
#[test]
fn what_a_faulty_backend_refused_comes_back_with_make_redrive() {
    let installation = Installation::start(|_| {}).unwrap();
    let backend_url = installation.running.backend_url().to_owned();
    fault(&backend_url, Some(r#"{"status":400}"#));
    for n in 0..5 {
        let body = installation.resolve_body(&format!("user-{n}"), "se", true);
        assert_eq!(installation.send("POST", "/v1/flags:resolve", &[], &body).unwrap().status, 200);
    }
    let counted = |expected: f64| {
        eventually(LIMIT, "the resolves", || {
            match installation.metrics()?.sum("confidence_resolve_latency_microseconds_count") {
                count if count == expected => Ok(()),
                count => Err(count.to_string()),
            }
        });
    };
    counted(5.0);
    let dead = eventually(LIMIT, "dead letters on the producer's host", || {
        let list = installation.scrape("/dead-letters", "*/*")?.json();
        match list["by_reason"]["backend_400"]["count"].as_u64() {
            Some(count) => Ok(count),
            None => Err(list.to_string()),
        }
    });
    assert_eq!(assignments(&backend_url), 0);
    fault(&backend_url, None);
    let environment = BTreeMap::from([
        ("URL".to_owned(), installation.running.base_url().to_owned()),
        ("TOKEN".to_owned(), installation.running.metrics_token().reveal().to_owned()),
    ]);
    // More than one message may have died, and a late one after the first look.
    let mut redriven = 0;
    eventually(LIMIT, "every assignment", || {
        redriven += Redrive::read(&environment).unwrap().run().unwrap().sent.values().sum::<u64>();
        match assignments(&backend_url) {
            5 => Ok(()),
            count => Err(count.to_string()),
        }
    });
    assert!(redriven >= dead, "{redriven} of {dead}");
    counted(5.0);
    assert_eq!(installation.scrape("/dead-letters", "*/*").unwrap().json()["count"], 0);
}
