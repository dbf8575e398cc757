//! KV namespaces and their values.

use serde::Deserialize;
use serde_json::{Value, json};
use tributary_local::random::{self, hex};
use ureq::http::Method;

use super::client::{Call, Client};
use super::error::{ApiError, Permission, codes};
use super::queues::gone;

/// A namespace.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Namespace {
    /// Its id.
    pub id: String,
    /// Its title.
    pub title: String,
}

#[derive(Debug, Deserialize)]
struct Key {
    name: String,
}

fn path(account_id: &str) -> String {
    format!("/accounts/{account_id}/storage/kv/namespaces")
}

/// All namespaces of the account.
///
/// # Errors
/// [`ApiError`].
pub fn list(client: &Client, account_id: &str) -> Result<Vec<Namespace>, ApiError> {
    client.list(&Call::get(Permission::Kv, path(account_id), "list the KV namespaces"), 100)
}

/// Creates a namespace, or finds the one that a lost call created.
///
/// # Errors
/// [`ApiError`].
pub fn create(client: &Client, account_id: &str, title: &str) -> Result<Namespace, ApiError> {
    let call = Call::get(Permission::Kv, path(account_id), format!("create the KV namespace {title}"))
        .with_method(Method::POST)
        .with_json(&json!({"title": title}));
    let find = || Ok(list(client, account_id)?.into_iter().find(|namespace| namespace.title == title));
    client.create(&call, &[codes::NAMESPACE_EXISTS], find)
}

/// Deletes a namespace with all that is in it, if it is still there.
///
/// # Errors
/// [`ApiError`].
pub fn delete(client: &Client, account_id: &str, namespace: &Namespace) -> Result<(), ApiError> {
    let path = format!("{}/{}", path(account_id), namespace.id);
    let call = Call::get(Permission::Kv, path, format!("delete the KV namespace {}", namespace.title));
    gone(client.call(&call.with_method(Method::DELETE)))
}

/// The first keys of a namespace, at most ten.
///
/// # Errors
/// [`ApiError`].
pub fn first_keys(client: &Client, account_id: &str, namespace: &Namespace) -> Result<Vec<String>, ApiError> {
    let path = format!("{}/{}/keys?limit=10", path(account_id), namespace.id);
    let keys: Vec<Key> =
        client.call(&Call::get(Permission::Kv, path, format!("list the keys of {}", namespace.title)))?;
    Ok(keys.into_iter().map(|key| key.name).collect())
}

/// Metadata of a key; `None` where the key or its metadata is not there.
///
/// # Errors
/// [`ApiError`].
pub fn metadata(
    client: &Client,
    account_id: &str,
    namespace: &Namespace,
    key: &str,
) -> Result<Option<Value>, ApiError> {
    let path = format!("{}/{}/metadata/{key}", path(account_id), namespace.id);
    match client.call(&Call::get(Permission::Kv, path, format!("read the metadata of {key} in {}", namespace.title))) {
        Ok(Value::Null) => Ok(None),
        Ok(metadata) => Ok(Some(metadata)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

/// The value of a key; `None` where there is none.
///
/// # Errors
/// [`ApiError`].
pub fn value(client: &Client, account_id: &str, namespace: &Namespace, key: &str) -> Result<Option<Vec<u8>>, ApiError> {
    let path = format!("{}/{}/values/{key}", path(account_id), namespace.id);
    client.bytes(&Call::get(Permission::Kv, path, format!("read {key} in {}", namespace.title)))
}

/// Writes a value with its metadata.
///
/// # Errors
/// [`ApiError`].
pub fn put(
    client: &Client,
    account_id: &str,
    namespace: &Namespace,
    key: &str,
    value: &[u8],
    metadata: &Value,
) -> Result<(), ApiError> {
    let path = format!("{}/{}/values/{key}", path(account_id), namespace.id);
    let boundary = format!("tributary-{}", hex(&random::bytes::<16>().unwrap_or_default()));
    let mut call =
        Call::get(Permission::Kv, path, format!("write {key} into {}", namespace.title)).with_method(Method::PUT);
    call.body = Some((format!("multipart/form-data; boundary={boundary}"), form(&boundary, value, metadata)));
    client.call::<Value>(&call).map(drop)
}

/// The form of RFC 7578 with the two fields that the API takes.
fn form(boundary: &str, value: &[u8], metadata: &Value) -> Vec<u8> {
    let mut form =
        format!("--{boundary}\r\nContent-Disposition: form-data; name=\"metadata\"\r\n\r\n{metadata}\r\n").into_bytes();
    form.extend(format!("--{boundary}\r\nContent-Disposition: form-data; name=\"value\"; filename=\"value\"\r\nContent-Type: application/octet-stream\r\n\r\n").into_bytes());
    form.extend(value);
    form.extend(format!("\r\n--{boundary}--\r\n").into_bytes());
    form
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_holds_both_fields_as_they_are() {
        let form = form("b", b"\x00\xff\r\n--", &json!({"etag": "\"x\""}));
        let text = String::from_utf8_lossy(&form);
        assert!(text.starts_with(
            "--b\r\nContent-Disposition: form-data; name=\"metadata\"\r\n\r\n{\"etag\":\"\\\"x\\\"\"}\r\n--b\r\n"
        ));
        assert!(form.windows(9).any(|window| window == b"\x00\xff\r\n--\r\n-"), "{text}");
        assert!(text.ends_with("\r\n--b--\r\n"));
    }
}
