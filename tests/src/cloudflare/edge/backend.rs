//! What the runtime asks for a Worker's KV and queue bindings (the protocols are workerd's, `kv.c++` and `queue.c++`).

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Map, Value, json};

use super::super::answer::Response;
use super::super::call::{Call, decode};
use super::super::cloud::Cloud;
use super::super::ids;
use super::super::kv::{self, Refusal, Write};
use super::super::state::{KvValue, Message, Namespace, Queue, field};
use super::KEY_HEADER;

const METADATA: &str = "cf-kv-metadata";
/// "Queues: Limits".
const MAX_MESSAGE_BYTES: usize = 128_000;
const MAX_BATCH: usize = 100;
const MAX_BATCH_BYTES: usize = 256_000;
const MAX_DELAY: u64 = 86_400;
/// Keys of a bulk read.
const MAX_BULK: usize = 100;

/// Answers the runtime, and nobody else.
pub(crate) fn handle(cloud: &Cloud, key: &str, call: &Call) -> Response {
    if call.header(KEY_HEADER) != key {
        return Response::text(403, "this is for the edge alone");
    }
    let is_limited = cloud.limits_kv_writes;
    if let Some(id) = call.headers.get("x-fake-kv") {
        let mut state = if call.method == "GET" { cloud.state() } else { cloud.change() };
        return match state.namespace_mut(id) {
            Some(namespace) => kv(namespace, call, is_limited),
            None => Response::text(404, "namespace not found"),
        };
    }
    let Some(id) = call.headers.get("x-fake-queue") else { return Response::text(400, "neither KV nor queue") };
    match cloud.change().queue_mut(id) {
        Some(queue) => queue_call(queue, call),
        None => Response::text(404, "Queue does not exist"),
    }
}

fn refused(refusal: &Refusal) -> Response {
    Response::text(refusal.status(), refusal.to_string())
}

fn kv(namespace: &mut Namespace, call: &Call, is_limited: bool) -> Response {
    if call.method == "POST" && call.path == "/bulk/get" {
        return bulk_get(namespace, call);
    }
    let raw = call.path.strip_prefix('/').unwrap_or_default();
    let key = if call.param("urlencoded").as_deref() == Some("true") { decode(raw) } else { raw.to_owned() };
    match call.method.as_str() {
        "GET" if raw.is_empty() => list(namespace, call),
        "GET" => match kv::check_key(&key) {
            Ok(()) => namespace.get(&key).map_or_else(|| Response::text(404, "Not Found"), get),
            Err(refusal) => refused(&refusal),
        },
        "PUT" => {
            let write = Write {
                bytes: call.body.clone(),
                metadata: call.headers.get(METADATA).cloned(),
                expiration: call.param("expiration"),
                expiration_ttl: call.param("expiration_ttl"),
            };
            match kv::put(namespace, &key, write, is_limited) {
                Ok(()) => Response::text(200, ""),
                Err(refusal) => refused(&refusal),
            }
        }
        "DELETE" => match kv::check_key(&key) {
            Ok(()) => {
                namespace.values.remove(&key);
                Response::text(200, "")
            }
            Err(refusal) => refused(&refusal),
        },
        other => Response::text(405, other),
    }
}

fn get(value: &KvValue) -> Response {
    let mut response = Response::new(200, "application/octet-stream", value.bytes.clone());
    if let Some(metadata) = &value.metadata {
        response = response.with(METADATA, metadata);
    }
    match value.expiration {
        Some(expiration) => response.with("cf-expiration", expiration),
        None => response,
    }
}

fn list(namespace: &Namespace, call: &Call) -> Response {
    let limit = call.number("key_count_limit", kv::MAX_LIST, [1, kv::MAX_LIST]);
    let Ok(limit) = limit else { return Response::text(400, "Invalid key_count_limit") };
    let prefix = call.param("prefix").unwrap_or_default();
    let listed = kv::list(namespace, &prefix, &call.param("cursor").unwrap_or_default(), limit);
    let keys: Vec<Value> = listed
        .keys
        .iter()
        .map(|(name, value)| {
            let mut key = Map::from_iter([("name".to_owned(), (*name).into())]);
            if let Some(expiration) = value.expiration {
                key.insert("expiration".into(), expiration.into());
            }
            if let Some(metadata) = &value.metadata {
                // As text: the runtime parses it.
                key.insert("metadata".into(), metadata.to_string().into());
            }
            key.into()
        })
        .collect();
    let mut answer = json!({ "keys": keys, "list_complete": listed.cursor.is_none(), "cacheStatus": null });
    if let (Some(answer), Some(cursor)) = (answer.as_object_mut(), listed.cursor) {
        answer.insert("cursor".into(), cursor.into());
    }
    Response::json(200, &answer)
}

fn bulk_get(namespace: &Namespace, call: &Call) -> Response {
    let body: Value = serde_json::from_slice(&call.body).unwrap_or_default();
    let keys: Vec<&str> =
        body.get("keys").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    if keys.is_empty() || keys.len() > MAX_BULK {
        return Response::text(400, format!("1 to {MAX_BULK} keys"));
    }
    let mut values = Map::new();
    for key in keys {
        let Some(value) = namespace.get(key) else {
            values.insert(key.to_owned(), Value::Null);
            continue;
        };
        let content = if field(&body, "type") == "json" {
            match serde_json::from_slice(&value.bytes) {
                Ok(content) => content,
                Err(_) => {
                    return Response::text(400, "At least one of the requested keys corresponds to a non-json value");
                }
            }
        } else {
            Value::from(String::from_utf8_lossy(&value.bytes))
        };
        let with_metadata = body.get("withMetadata") == Some(&Value::Bool(true));
        let entry = if with_metadata { json!({ "value": content, "metadata": value.metadata }) } else { content };
        values.insert(key.to_owned(), entry);
    }
    Response::json(200, &values.into())
}

fn queue_call(queue: &mut Queue, call: &Call) -> Response {
    match (call.method.as_str(), call.path.as_str()) {
        ("POST", "/message") => {
            let delay = call.headers.get("x-msg-delay-secs").map(|text| text.parse::<u64>().ok());
            let kind = call.headers.get("x-msg-fmt").map_or("v8", String::as_str);
            match message(queue, kind, call.body.clone(), delay.map(Option::unwrap_or_default), None) {
                Ok(message) => queue.messages.push_back(message),
                Err(refusal) => return refusal,
            }
        }
        ("POST", "/batch") => match batch(queue, call) {
            Ok(messages) => queue.messages.extend(messages),
            Err(refusal) => return refusal,
        },
        ("GET", "/metrics") => return Response::json(200, &metrics(queue)),
        _ => return Response::text(404, "no such call of a queue"),
    }
    Response::json(200, &json!({ "metadata": { "metrics": metrics(queue) } }))
}

fn metrics(queue: &Queue) -> Value {
    json!({
        "backlogCount": queue.messages.len(),
        "backlogBytes": queue.messages.iter().map(|message| message.body.len()).sum::<usize>(),
        "oldestMessageTimestamp": queue.messages.iter().map(|message| message.timestamp).min().unwrap_or(0),
    })
}

fn batch(queue: &Queue, call: &Call) -> Result<Vec<Message>, Response> {
    let body: Value = serde_json::from_slice(&call.body).unwrap_or_default();
    let entries = body.get("messages").and_then(Value::as_array).ok_or_else(|| Response::text(400, "no messages"))?;
    if entries.len() > MAX_BATCH {
        let count = entries.len();
        return Err(Response::text(413, format!("batch message count of {count} exceeds limit of {MAX_BATCH}")));
    }
    let delay = call.headers.get("x-msg-delay-secs").map(|text| text.parse::<u64>().unwrap_or(u64::MAX));
    let mut size = 0;
    let mut messages = Vec::new();
    for entry in entries {
        let bytes = BASE64_STANDARD.decode(field(entry, "body"));
        let bytes = bytes.map_err(|_| Response::text(400, "a body that is not base64"))?;
        size += bytes.len();
        let kind = Some(field(entry, "contentType")).filter(|kind| !kind.is_empty()).unwrap_or("v8");
        let own = entry.get("delaySecs").filter(|delay| !delay.is_null());
        let own = own.map(|delay| delay.as_u64().unwrap_or(u64::MAX));
        messages.push(message(queue, kind, bytes, own.or(delay), None)?);
    }
    if size > MAX_BATCH_BYTES {
        return Err(Response::text(413, format!("batch size of {size} bytes exceeds limit of {MAX_BATCH_BYTES}")));
    }
    Ok(messages)
}

/// A message as it comes into a queue. Without a delay of its own it gets the queue's.
fn message(
    queue: &Queue,
    kind: &str,
    body: Vec<u8>,
    delay: Option<u64>,
    id: Option<String>,
) -> Result<Message, Response> {
    if !["text", "bytes", "json", "v8"].contains(&kind) {
        return Err(Response::text(400, format!("message content type {kind} is invalid")));
    }
    if body.len() > MAX_MESSAGE_BYTES {
        let size = body.len();
        return Err(Response::text(
            413,
            format!("message length of {size} bytes exceeds limit of {MAX_MESSAGE_BYTES}"),
        ));
    }
    let delay = delay.unwrap_or(queue.delivery_delay);
    if delay > MAX_DELAY {
        return Err(Response::text(400, format!("message delay {delay} is invalid")));
    }
    let timestamp = ids::now_millis();
    Ok(Message {
        id: id.unwrap_or_else(ids::hex_id),
        timestamp,
        content_type: kind.to_owned(),
        body,
        attempts: 0,
        due: timestamp + delay * 1_000,
    })
}

#[cfg(test)]
mod tests {
    use super::super::super::folder::Folder;
    use super::super::super::state::{Account, State};
    use super::*;

    #[test]
    fn nobody_but_the_runtime_is_answered() {
        let folder = tempfile::tempdir().unwrap();
        let mut account = Account::new(1);
        account.queues.push(super::super::super::api::new_queue("q"));
        let id = account.queues[0].id.clone();
        let state = State { accounts: vec![account], ..State::default() };
        let cloud = Cloud::new(Folder::open(folder.path()).unwrap(), std::path::PathBuf::new(), state, false);
        let call = |key: &str, queue: &str, path: &str, body: &str| {
            let headers = [(KEY_HEADER, key), ("x-fake-queue", queue), ("x-msg-fmt", "text")];
            let call = Call {
                method: "POST".into(),
                path: path.into(),
                query: String::new(),
                headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
                body: body.into(),
            };
            handle(&cloud, "key", &call).status
        };
        assert_eq!(call("another", &id, "/message", "m"), 403);
        assert_eq!(call("key", "none", "/message", "m"), 404);
        assert_eq!(call("key", &id, "/message", "m"), 200);
        assert_eq!(call("key", &id, "/message", &"m".repeat(MAX_MESSAGE_BYTES + 1)), 413);
        let entry = r#"{"body": "bQ==", "contentType": "text"}"#;
        let batch = |count: usize| format!("{{\"messages\": [{}]}}", vec![entry; count].join(","));
        assert_eq!(call("key", &id, "/batch", &batch(101)), 413);
        assert_eq!(call("key", &id, "/batch", &batch(100)), 200);
        let late = r#"{"messages": [{"body": "bQ==", "contentType": "text", "delaySecs": 86401}]}"#;
        assert_eq!(call("key", &id, "/batch", late), 400);
        assert_eq!(cloud.state().accounts[0].queues[0].messages.len(), 101);
    }
}
