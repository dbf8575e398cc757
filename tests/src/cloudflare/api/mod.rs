//! The REST API below `/client/v4`: who may ask, and who answers.
//!
//! Error codes and texts are those of the real API where they could be found out; `docs` of each module say which were
//! guessed.

mod accounts;
mod consumers;
mod namespaces;
mod queues;
mod values;
mod workers;

use std::time::Duration;

use serde_json::Value;

pub(crate) use queues::new as new_queue;

use super::answer::{Answer, ApiError, Response};
use super::call::Call;
use super::cloud::Cloud;
use super::faults::Effect;
use super::record::Recorded;
use super::server::Outcome;

/// Where the API is.
pub(crate) const PREFIX: &str = "/client/v4";

/// Answers a request, unless a fault strikes it.
pub(crate) fn handle(cloud: &Cloud, call: &Call, has_waited: bool) -> Outcome {
    let path = call.path.strip_prefix(PREFIX).unwrap_or(&call.path);
    // A request that has waited was struck before.
    let effect = if has_waited { None } else { cloud.faults().strike(&call.method, path) };
    if let Some(Effect::Slow { millis }) = effect {
        return Outcome::Again(Duration::from_millis(millis));
    }
    let mut entry = Recorded::new(call, path, &cloud.state().token);
    entry.is_faulty = has_waited || effect.is_some();
    let index = {
        let mut record = cloud.record();
        record.push(entry);
        record.len().saturating_sub(1)
    };
    let note = |status: Option<u16>, is_known: bool| {
        if let Some(entry) = cloud.record().get_mut(index) {
            (entry.status, entry.is_known) = (status, is_known);
        }
    };
    match effect {
        Some(Effect::Status { status, retry_after }) => {
            note(Some(status), true);
            return Outcome::Answer(faulty(status, retry_after));
        }
        Some(Effect::Reset) => return Outcome::Reset,
        Some(Effect::Hang { millis }) => return Outcome::ResetAfter(Duration::from_millis(millis)),
        Some(Effect::Slow { .. } | Effect::LoseAnswer) | None => {}
    }
    let answer = answer(cloud, call, path);
    let is_known = answer.is_some();
    let response = match answer.unwrap_or_else(|| Err(no_route(call))) {
        Ok(success) => success.response(),
        Err(error) => error.response(),
    };
    if effect == Some(Effect::LoseAnswer) {
        note(None, is_known);
        return Outcome::Reset;
    }
    note(Some(response.status), is_known);
    Outcome::Answer(response.with("cf-ray", "0000000000000000-ARN"))
}

/// The answer of an endpoint, `None` where there is no such endpoint.
fn answer(cloud: &Cloud, call: &Call, path: &str) -> Option<Answer> {
    let segments = call.segments(PREFIX);
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    if let Err(refusal) = authenticate(cloud, call, &segments) {
        return Some(Err(refusal));
    }
    if !call.path.starts_with(PREFIX) || path.is_empty() {
        return None;
    }
    match segments.as_slice() {
        ["accounts", account, "workers", rest @ ..] => workers::answer(cloud, call, account, rest),
        ["accounts", account, "queues", rest @ ..] => {
            let mut state = cloud.change();
            let account = state.account_mut(account)?;
            queues::answer(account, call, rest)
        }
        ["accounts", account, "storage", "kv", "namespaces", rest @ ..] => {
            let is_write_limited = cloud.limits_kv_writes;
            let mut state = cloud.change();
            let account = state.account_mut(account)?;
            let answer = namespaces::answer(account, call, rest, is_write_limited);
            if matches!(rest, [] | [_]) && call.method != "GET" {
                cloud.changes.note();
            }
            answer
        }
        rest => accounts::answer(&cloud.state(), call, rest),
    }
}

/// The token. Codes and texts are the real API's; which of 401 and 403 it says is known of `/user/tokens/verify` only.
fn authenticate(cloud: &Cloud, call: &Call, segments: &[&str]) -> Result<(), ApiError> {
    let state = cloud.state();
    let Some(value) = call.headers.get("authorization") else {
        let missing = "Missing X-Auth-Key, X-Auth-Email or Authorization headers";
        return Err(ApiError::new(400, 9106, missing));
    };
    let Some(token) = value.strip_prefix("Bearer ").filter(|token| !token.is_empty()) else {
        return Err(ApiError::new(400, 6003, "Invalid request headers"));
    };
    if token != state.token {
        return Err(match segments {
            ["user", "tokens", "verify"] => ApiError::new(401, 1000, "Invalid API Token"),
            ["accounts", _, _, ..] => authentication_error(401),
            _ => ApiError::new(403, 9109, "Invalid access token"),
        });
    }
    match segments {
        ["accounts", account, _, ..] if state.account(account).is_none() => Err(authentication_error(403)),
        _ => Ok(()),
    }
}

fn authentication_error(status: u16) -> ApiError {
    ApiError::new(status, 10_000, "Authentication error")
}

/// What the real API says of a path that it does not have.
fn no_route(call: &Call) -> ApiError {
    let what = format!("Could not route to {}, perhaps your object identifier is invalid?", call.path);
    ApiError::new(404, 7003, what)
}

/// What stands before the API answers, where something is wrong: gateways do not speak JSON.
fn faulty(status: u16, retry_after: Option<u64>) -> Response {
    let response = match status {
        401 | 403 => authentication_error(status).response(),
        429 => ApiError::new(429, 971, "Please wait and consider throttling your request speed").response(),
        502..=504 | 520..=530 => {
            let html = format!("<html><head><title>{status}</title></head><body>error code: {status}</body></html>");
            Response::new(status, "text/html; charset=UTF-8", html)
        }
        500.. => ApiError::new(status, 10_013, "An unknown error has occurred.").response(),
        _ => ApiError::new(status, 10_001, "on order").response(),
    };
    match retry_after {
        Some(seconds) => response.with("retry-after", seconds),
        None => response,
    }
}

/// A text that the body must have.
///
/// # Errors
/// 400 with `code`.
fn text<'a>(body: &'a Value, name: &str, code: u32) -> Result<&'a str, ApiError> {
    let value = body.get(name).and_then(Value::as_str).filter(|value| !value.is_empty());
    value.ok_or_else(|| ApiError::new(400, code, format!("{name} is required")))
}

/// A number that the body may have, within bounds.
///
/// # Errors
/// 400 with `code`.
fn number(body: &Value, name: &str, range: [u64; 2], code: u32) -> Result<Option<u64>, ApiError> {
    let [least, most] = range;
    let Some(value) = body.get(name).filter(|value| !value.is_null()) else { return Ok(None) };
    let number = value.as_u64().filter(|number| (least..=most).contains(number));
    match number {
        Some(number) => Ok(Some(number)),
        None => Err(ApiError::new(400, code, format!("{name} must be a number from {least} to {most}, not {value}"))),
    }
}
