use std::cell::Cell;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::thread::JoinHandle;

use super::*;
use crate::cloudflare::error::codes;

/// Answers one connection after the other; returns the first line and the token of each request.
fn stub(answers: Vec<String>) -> (Client, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = Client::new(&format!("http://{}/v4/", listener.local_addr().unwrap()), Secret::new("hunter2"));
    let thread = thread::spawn(move || {
        let mut seen = Vec::new();
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            while !request.windows(4).any(|window| window == b"\r\n\r\n") {
                let mut bytes = [0; 1024];
                let read = stream.read(&mut bytes).unwrap();
                request.extend_from_slice(&bytes[..read]);
            }
            let text = String::from_utf8_lossy(&request).into_owned();
            assert!(text.to_lowercase().contains("authorization: bearer hunter2\r\n"), "{text}");
            seen.push(text.lines().next().unwrap_or_default().to_owned());
            stream.write_all(answer.as_bytes()).unwrap();
        }
        seen
    });
    (client, thread)
}

fn answer(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
}

fn ok(result: &str) -> String {
    answer("200 OK", &format!(r#"{{"success":true,"errors":[],"result":{result}}}"#))
}

fn refused(status: &str, code: i64) -> String {
    let body = format!(r#"{{"success":false,"errors":[{{"code":{code},"message":"no"}}],"result":null}}"#);
    answer(status, &body)
}

fn get(path: &str) -> Call {
    Call::get(Permission::Queues, path, "try")
}

#[test]
fn what_may_pass_is_sent_again_and_the_rest_is_not() {
    let (client, seen) =
        stub(vec![answer("502 Bad Gateway", "<html>"), refused("429 Too Many Requests", 971), ok("7")]);
    assert_eq!(client.call::<u32>(&get("/x")), Ok(7));
    assert_eq!(seen.join().unwrap(), ["GET /v4/x HTTP/1.1"; 3]);
    let (client, seen) = stub(vec![refused("400 Bad Request", 5)]);
    let error = client.call::<u32>(&get("/x")).unwrap_err();
    assert!(error.has_code(&[5]) && error.to_string().starts_with("cannot try: Cloudflare answers 400; no [5]."));
    assert_eq!(seen.join().unwrap().len(), 1);
}

/// Somebody else made it between our look and our call.
#[test]
fn what_exists_already_is_found() {
    let (client, seen) = stub(vec![refused("409 Conflict", codes::QUEUE_EXISTS)]);
    let call = get("/x").with_method(http::Method::POST).with_json(&serde_json::json!({}));
    assert_eq!(client.create(&call, &[codes::QUEUE_EXISTS], || Ok(Some(3))), Ok(3));
    seen.join().unwrap();
    let (client, seen) = stub(vec![refused("409 Conflict", codes::QUEUE_EXISTS)]);
    assert!(client.create(&call, &[codes::QUEUE_EXISTS], || Ok(None::<u32>)).is_err());
    seen.join().unwrap();
}

#[test]
fn what_a_lost_call_made_is_found_before_it_is_made_again() {
    let (client, seen) = stub(vec![answer("503 Service Unavailable", "")]);
    let looks = Cell::new(0);
    let call = get("/x").with_method(http::Method::POST);
    let found = client.create(&call, &[], || {
        looks.set(looks.get() + 1);
        Ok(Some(3))
    });
    assert_eq!((found, looks.get()), (Ok(3), 1));
    assert_eq!(seen.join().unwrap().len(), 1);
}

#[test]
fn a_list_is_read_to_its_end() {
    let page = |rows: &str, info: &str| {
        answer("200 OK", &format!(r#"{{"success":true,"result":{rows},"result_info":{info}}}"#))
    };
    let (client, seen) = stub(vec![page("[1,2]", r#"{"total_pages":2}"#), page("[3]", r#"{"total_pages":2}"#)]);
    assert_eq!(client.list::<u32>(&get("/x?a=b"), 2), Ok(vec![1, 2, 3]));
    assert_eq!(seen.join().unwrap()[1], "GET /v4/x?a=b&page=2&per_page=2 HTTP/1.1");
    // Without a count the short page is the last.
    let (client, seen) = stub(vec![page("[1,2]", "null"), page("[3]", "null")]);
    assert_eq!(client.list::<u32>(&get("/x"), 2), Ok(vec![1, 2, 3]));
    assert_eq!(seen.join().unwrap().len(), 2);
}

#[test]
fn a_redirect_is_not_followed_with_the_token() {
    let (client, seen) = stub(vec![answer("302 Found\r\nLocation: http://127.0.0.1:1/", "")]);
    let error = client.call::<u32>(&get("/x")).unwrap_err();
    assert_eq!(error.cause, Cause::Malformed { status: 302 });
    assert_eq!(seen.join().unwrap().len(), 1);
}

#[test]
fn a_token_that_cannot_be_sent_is_not_shown() {
    let client = Client::new("http://127.0.0.1:1", Secret::new("hunter2\n"));
    let error = client.call::<u32>(&get("/x")).unwrap_err().to_string();
    assert!(error.contains("cannot stand in a request") && !error.contains("hunter2"), "{error}");
}
