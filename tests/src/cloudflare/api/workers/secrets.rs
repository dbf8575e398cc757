//! Secrets: each change is a new version that is deployed at once.
//!
//! Known: a secret that is not there (10056), a change while the latest version is not the one that serves (10215), shapes.
//! Guessed: HTTP statuses, the code of a bad body.

use serde_json::{Value, json};

use super::super::super::answer::{Answer, ApiError, ok};
use super::super::super::call::Call;
use super::super::super::ids;
use super::super::super::state::{Account, Script, Version, field};
use super::{INVALID_BODY, bindings, find, find_mut, source, versions};

const SECRET_NOT_FOUND: u32 = 10_056;
const LATEST_NOT_DEPLOYED: u32 = 10_215;
/// Secrets of one call, as wrangler says.
const MAX_BULK: usize = 100;

fn of(version: &Version) -> impl Iterator<Item = &Value> {
    version.bindings.iter().filter(|binding| field(binding, "type") == "secret_text")
}

fn view(name: &str) -> Value {
    json!({ "name": name, "type": "secret_text" })
}

pub(super) fn list(account: &Account, name: &str) -> Answer {
    let active = find(account, name)?.active();
    ok(active.into_iter().flat_map(of).map(|secret| view(field(secret, "name"))).collect())
}

fn must_exist(account: &Account, name: &str, secret: &str) -> Result<(), ApiError> {
    let active = find(account, name)?.active();
    let has = active.into_iter().flat_map(of).any(|binding| field(binding, "name") == secret);
    if has { Ok(()) } else { Err(ApiError::new(404, SECRET_NOT_FOUND, format!("Secret '{secret}' not found"))) }
}

pub(super) fn get(account: &Account, name: &str, secret: &str) -> Answer {
    must_exist(account, name, secret)?;
    ok(view(secret))
}

pub(super) fn put(account: &mut Account, call: &Call, name: &str) -> Answer {
    find(account, name)?;
    let body = call.json(INVALID_BODY)?;
    let secret = super::super::text(&body, "name", INVALID_BODY)?;
    change(account, call, name, &[(secret.to_owned(), Some(value(&body)?))])?;
    ok(view(secret))
}

fn value(body: &Value) -> Result<String, ApiError> {
    let invalid = |message: &str| ApiError::new(400, INVALID_BODY, message);
    if field(body, "type") != "secret_text" {
        return Err(invalid("type must be \"secret_text\""));
    }
    let text = body.get("text").and_then(Value::as_str);
    text.map(str::to_owned).ok_or_else(|| invalid("text is required"))
}

pub(super) fn delete(account: &mut Account, call: &Call, name: &str, secret: &str) -> Answer {
    must_exist(account, name, secret)?;
    change(account, call, name, &[(secret.to_owned(), None)])?;
    ok(Value::Null)
}

/// A merge patch (RFC 7396): null deletes.
pub(super) fn bulk(account: &mut Account, call: &Call, name: &str) -> Answer {
    find(account, name)?;
    let invalid = |message: &str| ApiError::new(400, INVALID_BODY, message);
    if !call.header("content-type").starts_with("application/merge-patch+json") {
        return Err(ApiError::new(415, INVALID_BODY, "the body must be application/merge-patch+json"));
    }
    let body = call.json(INVALID_BODY)?;
    let secrets = body.get("secrets").and_then(Value::as_object).ok_or_else(|| invalid("secrets must be an object"))?;
    if secrets.is_empty() || secrets.len() > MAX_BULK {
        return Err(invalid("1 to 100 secrets"));
    }
    let mut changes = Vec::new();
    for (secret, entry) in secrets {
        if !entry.is_null() && field(entry, "name") != secret {
            return Err(invalid("a secret's name differs from its key"));
        }
        changes.push((secret.clone(), if entry.is_null() { None } else { Some(value(entry)?) }));
    }
    change(account, call, name, &changes)?;
    list(account, name)
}

/// Makes a version that differs from the latest in these secrets, and deploys it.
fn change(
    account: &mut Account,
    call: &Call,
    name: &str,
    changes: &[(String, Option<String>)],
) -> Result<(), ApiError> {
    let script = find_mut(account, name)?;
    let latest = latest_deployed(script)?;
    let mut next = Version {
        id: ids::uuid(),
        number: script.versions.len() + 1,
        created_on: ids::timestamp(),
        source: source(call).to_owned(),
        annotations: [("workers/triggered_by".to_owned(), Value::from("secret"))].into(),
        ..latest.clone()
    };
    for (secret, text) in changes {
        if secret.is_empty() {
            return Err(ApiError::new(400, INVALID_BODY, "name is required"));
        }
        if next.binding(secret).is_some_and(|binding| field(binding, "type") != "secret_text") {
            return Err(bindings::taken(secret));
        }
        next.bindings.retain(|binding| field(binding, "name") != secret);
        if let Some(text) = text {
            next.bindings.push(json!({ "name": secret, "type": "secret_text", "text": text }));
        }
    }
    bindings::check_variables(&next.bindings)?;
    versions::add_and_deploy(script, next, "secret");
    Ok(())
}

fn latest_deployed(script: &Script) -> Result<&Version, ApiError> {
    let latest = script.versions.last().ok_or_else(super::not_found)?;
    if script.deployed().any(|version| version.id == latest.id) {
        return Ok(latest);
    }
    let message = "Secret edit failed. You attempted to modify a secret, but the latest version of your Worker isn't \
        currently deployed. Please ensure that the latest version of your Worker is fully deployed.";
    Err(ApiError::new(400, LATEST_NOT_DEPLOYED, message))
}
