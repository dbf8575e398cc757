//! Values of a KV namespace, over REST.
//!
//! Known: bounds, a key that is not there (10009), a TTL that is too short (10034), a bad body (10012), no keys (10029).
//! Guessed: the codes of the other refusals.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Map, Value, json};

use super::super::answer::{Answer, ApiError, Response, Success, ok};
use super::super::call::Call;
use super::super::kv::{self, Refusal, Write};
use super::super::multipart;
use super::super::state::{KvValue, Namespace};

/// "KV: Write multiple key-value pairs at once", "Read multiple".
const MAX_BULK_WRITE: usize = 10_000;
const MAX_BULK_READ: usize = 100;

const KEY_NOT_FOUND: u32 = 10_009;
const INVALID_BODY: u32 = 10_012;
const NO_KEYS: u32 = 10_029;

/// Answers below `/accounts/<id>/storage/kv/namespaces/<id>/`.
pub(crate) fn answer(namespace: &mut Namespace, call: &Call, rest: &[&str], is_write_limited: bool) -> Option<Answer> {
    let answer = match (call.method.as_str(), rest) {
        ("GET", ["keys"]) => keys(namespace, call),
        ("GET", ["values", key]) => find(namespace, key).map(value),
        ("GET", ["metadata", key]) => find(namespace, key).map(|value| value.metadata.clone().into()).and_then(ok),
        ("PUT", ["values", key]) => put(namespace, call, key, is_write_limited),
        ("DELETE", ["values", key]) => kv::check_key(key).map_err(|refusal| refused(&refusal)).and_then(|()| {
            namespace.values.remove(*key);
            ok(Value::Null)
        }),
        ("PUT", ["bulk"]) => put_bulk(namespace, call, is_write_limited),
        ("DELETE", ["bulk"]) | ("POST", ["bulk", "delete"]) => delete_bulk(namespace, call),
        ("POST", ["bulk", "get"]) => get_bulk(namespace, call),
        _ => return None,
    };
    Some(answer)
}

fn refused(refusal: &Refusal) -> ApiError {
    let code = match refusal {
        Refusal::Expiration(..) => 10_034,
        Refusal::TooManyWrites => 10_048,
        Refusal::KeyName | Refusal::KeyLength(_) => 10_030,
        Refusal::ValueLength(_) => 10_033,
        Refusal::Metadata | Refusal::MetadataLength(_) => 10_043,
    };
    ApiError::new(refusal.status(), code, refusal.to_string())
}

fn find<'a>(namespace: &'a Namespace, key: &str) -> Result<&'a KvValue, ApiError> {
    kv::check_key(key).map_err(|refusal| refused(&refusal))?;
    namespace.get(key).ok_or_else(|| ApiError::new(404, KEY_NOT_FOUND, "get: 'key not found'"))
}

fn value(value: &KvValue) -> Success {
    let response = Response::new(200, "application/octet-stream", value.bytes.clone());
    Success::Raw(match value.expiration {
        Some(expiration) => response.with("expiration", expiration),
        None => response,
    })
}

fn keys(namespace: &Namespace, call: &Call) -> Answer {
    let limit = call.number("limit", kv::MAX_LIST, [10, kv::MAX_LIST])?;
    let prefix = call.param("prefix").unwrap_or_default();
    let listed = kv::list(namespace, &prefix, &call.param("cursor").unwrap_or_default(), limit);
    let keys: Vec<Value> = listed.keys.iter().map(|(name, value)| key_view(name, value)).collect();
    let info = json!({ "count": keys.len(), "cursor": listed.cursor.unwrap_or_default() });
    Ok(Success::Envelope { result: keys.into(), info: Some(info), messages: Vec::new() })
}

fn key_view(name: &str, value: &KvValue) -> Value {
    let mut view = Map::from_iter([("name".to_owned(), name.into())]);
    if let Some(expiration) = value.expiration {
        view.insert("expiration".into(), expiration.into());
    }
    if let Some(metadata) = &value.metadata {
        view.insert("metadata".into(), metadata.clone());
    }
    view.into()
}

fn put(namespace: &mut Namespace, call: &Call, key: &str, is_limited: bool) -> Answer {
    let mut write = Write {
        expiration: call.param("expiration"),
        expiration_ttl: call.param("expiration_ttl"),
        ..Write::default()
    };
    if call.header("content-type").starts_with("multipart/") {
        let invalid = |message: String| ApiError::new(400, INVALID_BODY, message);
        let mut has_value = false;
        for part in multipart::parse(call).map_err(invalid)? {
            match part.name.as_str() {
                "value" => (write.bytes, has_value) = (part.body, true),
                "metadata" => write.metadata = Some(String::from_utf8_lossy(&part.body).into_owned()),
                other => return Err(invalid(format!("unknown part {other:?}"))),
            }
        }
        if !has_value {
            return Err(invalid("the form has no part \"value\"".to_owned()));
        }
    } else {
        write.bytes.clone_from(&call.body);
    }
    kv::put(namespace, key, write, is_limited).map_err(|refusal| refused(&refusal))?;
    ok(Value::Null)
}

fn put_bulk(namespace: &mut Namespace, call: &Call, is_limited: bool) -> Answer {
    let body = call.json(INVALID_BODY)?;
    let entries = list(&body, MAX_BULK_WRITE)?;
    for entry in entries {
        let invalid = |what: &str| ApiError::new(400, INVALID_BODY, what);
        let text = |name: &str| entry.get(name).and_then(Value::as_str);
        let key = text("key").ok_or_else(|| invalid("an entry without a key"))?;
        let value = text("value").ok_or_else(|| invalid("an entry without a value"))?;
        let bytes = if entry.get("base64") == Some(&Value::Bool(true)) {
            BASE64_STANDARD.decode(value).map_err(|_| invalid("a value that is not base64"))?
        } else {
            value.as_bytes().to_vec()
        };
        let printed = |name: &str| entry.get(name).filter(|value| !value.is_null()).map(Value::to_string);
        let write = Write {
            bytes,
            metadata: printed("metadata"),
            expiration: printed("expiration"),
            expiration_ttl: printed("expiration_ttl"),
        };
        kv::put(namespace, key, write, is_limited).map_err(|refusal| refused(&refusal))?;
    }
    ok(json!({ "successful_key_count": entries.len(), "unsuccessful_keys": [] }))
}

fn delete_bulk(namespace: &mut Namespace, call: &Call) -> Answer {
    let body = call.json(INVALID_BODY)?;
    let keys = list(&body, MAX_BULK_WRITE)?;
    for key in keys {
        // Wrangler deletes by objects, too.
        let name = key.as_str().or_else(|| key.get("name").and_then(Value::as_str));
        let name = name.ok_or_else(|| ApiError::new(400, INVALID_BODY, "a key that is no text"))?;
        namespace.values.remove(name);
    }
    ok(json!({ "successful_key_count": keys.len(), "unsuccessful_keys": [] }))
}

fn get_bulk(namespace: &Namespace, call: &Call) -> Answer {
    let body = call.json(INVALID_BODY)?;
    let keys = list(body.get("keys").unwrap_or(&Value::Null), MAX_BULK_READ)?;
    let with_metadata = body.get("withMetadata") == Some(&Value::Bool(true));
    let mut values = Map::new();
    for key in keys.iter().filter_map(Value::as_str) {
        let value = namespace.get(key).map(|value| {
            let text = String::from_utf8_lossy(&value.bytes).into_owned();
            if with_metadata { json!({ "value": text, "metadata": value.metadata }) } else { text.into() }
        });
        values.insert(key.to_owned(), value.into());
    }
    ok(json!({ "values": values }))
}

fn list(body: &Value, most: usize) -> Result<&Vec<Value>, ApiError> {
    let entries = body.as_array().ok_or_else(|| ApiError::new(400, INVALID_BODY, "the body is no array"))?;
    match entries.len() {
        0 => Err(ApiError::new(400, NO_KEYS, "at least one key is needed")),
        count if count > most => Err(ApiError::new(400, INVALID_BODY, format!("more than {most} keys"))),
        _ => Ok(entries),
    }
}
