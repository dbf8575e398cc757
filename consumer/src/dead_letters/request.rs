//! The HTTP calls that show, redrive and discard dead letters: what is asked, and the answers. Pure.
//!
//! | call | what it does |
//! | --- | --- |
//! | `GET /dead-letters` | shows what there is: counts by reason and the last letters. `limit=`, `reason=`, `body=1` |
//! | `POST /dead-letters:redrive` | sends messages back to the queue, oldest first. `reason=`, `limit=`; a call that says `more` is followed by one with its `after=` and `up_to=` |
//! | `POST /dead-letters:discard` | deletes letters. `reason=` must be given, `limit=` |
//!
//! Only `METRICS_TOKEN` opens them, see [`crate::scrape::access::operator_access`].

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use tributary_proto::{
    dead_letter::DeadLetter,
    v1::{StoredDeadLetter, dead_letter::Body},
};

use super::redrive::{RedriveRequest, Redriven};
use crate::{
    ledger::dead_letters::Inventory,
    limits::MAX_DEAD_LETTERS,
    scrape::{
        access::Access,
        respond::{Answer, refuse_access},
    },
};

/// Path that shows.
pub const LIST_PATH: &str = "/dead-letters";
/// Path that redrives.
pub const REDRIVE_PATH: &str = "/dead-letters:redrive";
/// Path that discards.
pub const DISCARD_PATH: &str = "/dead-letters:discard";

const DEFAULT_LIST: u32 = 20;
const MAX_LIST: u32 = 100;
/// With their content, letters are long.
const MAX_LIST_WITH_BODY: u32 = 10;

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// Show.
    List(ListRequest),
    /// Send back.
    Redrive(RedriveRequest),
    /// Delete letters of this reason, at most so many.
    Discard {
        /// The reason.
        reason: String,
        /// How many.
        limit: u32,
    },
}

/// What to show.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ListRequest {
    /// Only letters of this reason; empty: any.
    pub reason: String,
    /// How many letters, the last first.
    pub limit: u32,
    /// Their content, too.
    pub with_body: bool,
}

/// Reads a call. `None` where the path is none of these.
///
/// # Errors
/// The answer that says what is wrong.
pub fn read<'a>(
    method: &str,
    path: &str,
    access: Access,
    query: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Option<Result<Call, Answer>> {
    // Some clients escape the colon of a custom verb; both spellings name the same resource.
    let path = path.replace("%3A", ":").replace("%3a", ":");
    let methods: &[&str] = match path.as_str() {
        LIST_PATH => &["GET", "HEAD"],
        REDRIVE_PATH | DISCARD_PATH => &["POST"],
        _ => return None,
    };
    if !methods.contains(&method) {
        let allow = if path == LIST_PATH { "GET, HEAD" } else { "POST" };
        return Some(Err(Answer::method_not_allowed(allow)));
    }
    if let Some(refusal) = refuse_access(access) {
        return Some(Err(refusal));
    }
    Some(read_query(&path, query).map_err(|wrong| Answer::error(400, "BAD_OPTION", &wrong)))
}

fn read_query<'a>(path: &str, query: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Call, String> {
    let known: &[&str] = match path {
        LIST_PATH => &["reason", "limit", "body"],
        REDRIVE_PATH => &["reason", "limit", "after", "up_to"],
        _ => &["reason", "limit"],
    };
    let (mut reason, mut limit, mut with_body, mut after, mut up_to) = (None, None, false, None, None);
    for (name, value) in query {
        if !known.contains(&name) {
            // An option that is mistyped must not redrive or discard more than was meant.
            return Err(format!("no such option; there are {}", known.join(", ")));
        }
        let number = || value.parse::<u64>().map_err(|_| format!("{name}: a whole number"));
        match name {
            "reason" if is_word(value) => reason = Some(value.to_owned()),
            "reason" => return Err("reason: a word of a-z, 0-9 and _".to_owned()),
            "limit" => limit = Some(number()?),
            "body" => with_body = matches!(value, "1" | "true"),
            "after" => after = Some(number()?),
            _ => up_to = Some(number()?).filter(|place| *place > 0),
        }
    }
    if limit == Some(0) {
        return Err("limit: at least 1".to_owned());
    }
    let at_most = |most: u32| limit.and_then(|limit| u32::try_from(limit).ok()).unwrap_or(u32::MAX).min(most);
    match path {
        LIST_PATH => {
            let most = if with_body { MAX_LIST_WITH_BODY } else { MAX_LIST };
            let limit = if limit.is_none() { DEFAULT_LIST.min(most) } else { at_most(most) };
            Ok(Call::List(ListRequest { reason: reason.unwrap_or_default(), limit, with_body }))
        }
        REDRIVE_PATH => Ok(Call::Redrive(RedriveRequest { reason, limit, up_to, after: after.unwrap_or_default() })),
        _ => {
            let reason = reason.ok_or("reason: must be given, so that nothing is discarded that was not meant")?;
            let limit = at_most(u32::try_from(MAX_DEAD_LETTERS).unwrap_or(u32::MAX));
            Ok(Call::Discard { reason, limit })
        }
    }
}

fn is_word(text: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    !text.is_empty() && text.len() <= tributary_proto::dead_letter::MAX_REASON_BYTES && text.bytes().all(is_part)
}

/// The JSON that shows what there is.
pub fn show(inventory: &Inventory, letters: &[StoredDeadLetter], with_body: bool) -> Value {
    let total = inventory.total();
    let by_reason: serde_json::Map<String, Value> = inventory
        .counts
        .iter()
        .map(|(reason, count)| (reason.clone(), json!({"count": count.letters, "bytes": count.bytes})))
        .collect();
    json!({
        "count": total.letters,
        "bytes": total.bytes,
        "oldest_ms": inventory.oldest_ms,
        "by_reason": by_reason,
        "letters": letters.iter().map(|stored| show_letter(stored, with_body)).collect::<Vec<_>>(),
    })
}

fn show_letter(stored: &StoredDeadLetter, with_body: bool) -> Value {
    let Ok(letter) = DeadLetter::decode(&stored.letter) else {
        return json!({"place": stored.place, "unreadable": true});
    };
    let kind = match &letter.body {
        Some(Body::Bytes(_)) => "bytes",
        Some(Body::Text(_)) => "text",
        Some(Body::Json(_)) => "json",
        None => "none",
    };
    let mut shown = json!({
        "place": stored.place,
        "message_id": letter.message_id,
        "reason": letter.reason,
        "detail": letter.detail,
        "attempts": letter.attempts,
        "sent_ms": letter.sent_ms,
        "dead_ms": letter.dead_ms,
        "body_kind": kind,
        "body_bytes": letter.body_bytes(),
    });
    let body = match letter.body.filter(|_| with_body) {
        Some(Body::Bytes(bytes)) => Some(("body_base64", BASE64_STANDARD.encode(bytes))),
        Some(Body::Text(text) | Body::Json(text)) => Some(("body", text)),
        None => None,
    };
    if let (Some((name, body)), Some(object)) = (body, shown.as_object_mut()) {
        object.insert(name.to_owned(), body.into());
    }
    shown
}

/// The answer to a redrive. A call that a fault ended says what it did before, and the fault.
pub fn redriven(done: &Redriven) -> Answer {
    let body = json!({
        "redriven": done.total(),
        "by_reason": done.sent,
        "kept": done.kept,
        "more": done.more,
        "after": done.after,
        "up_to": done.up_to,
        "failure": done.failure,
    });
    Answer::json(if done.failure.is_some() { 503 } else { 200 }, &body)
}

/// The answer to a discard.
pub fn discarded(reason: &str, letters: u64) -> Answer {
    Answer::json(200, &json!({"discarded": letters, "reason": reason}))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(method: &str, target: &str) -> Option<Result<Call, u16>> {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let query = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split_once('=').unwrap());
        read(method, path, Access::Granted, query).map(|call| call.map_err(|answer| answer.status))
    }

    #[test]
    fn every_call_is_read_as_it_is_meant() {
        let list = |reason: &str, limit, with_body| {
            Some(Ok(Call::List(ListRequest { reason: reason.into(), limit, with_body })))
        };
        assert_eq!(call("GET", "/dead-letters"), list("", 20, false));
        assert_eq!(call("GET", "/dead-letters?limit=1000&reason=backend_400"), list("backend_400", 100, false));
        assert_eq!(call("GET", "/dead-letters?limit=1000&body=1"), list("", 10, true));
        let redrive = |request| Some(Ok(Call::Redrive(request)));
        assert_eq!(call("POST", "/dead-letters:redrive"), redrive(RedriveRequest::default()));
        assert_eq!(
            call("POST", "/dead-letters%3Aredrive?reason=protobuf&limit=7&after=3&up_to=9"),
            redrive(RedriveRequest { reason: Some("protobuf".into()), limit: Some(7), up_to: Some(9), after: 3 })
        );
        let discard = Call::Discard { reason: "protobuf".into(), limit: 7 };
        assert_eq!(call("POST", "/dead-letters:discard?reason=protobuf&limit=7"), Some(Ok(discard)));
        for other in ["/metrics", "/dead-letters/", "/dead-letters:burn", "/"] {
            assert_eq!(call("GET", other), None);
        }
    }

    #[test]
    fn a_call_that_is_not_clear_does_nothing() {
        for (method, target, status) in [
            ("POST", "/dead-letters", 405),
            ("GET", "/dead-letters:redrive", 405),
            ("GET", "/dead-letters:discard?reason=protobuf", 405),
            ("POST", "/dead-letters:discard", 400),
            ("POST", "/dead-letters:discard?reason=", 400),
            ("POST", "/dead-letters:discard?reson=protobuf", 400),
            ("POST", "/dead-letters:redrive?limt=1", 400),
            ("POST", "/dead-letters:redrive?limit=0", 400),
            ("POST", "/dead-letters:redrive?limit=-1", 400),
            ("POST", "/dead-letters:redrive?limit=", 400),
            ("POST", "/dead-letters:redrive?reason=%27", 400),
            ("GET", "/dead-letters?limit=x", 400),
        ] {
            assert_eq!(call(method, target), Some(Err(status)), "{method} {target}");
        }
    }

    #[test]
    fn no_call_goes_on_without_the_token() {
        for (method, path) in [("GET", LIST_PATH), ("POST", REDRIVE_PATH), ("POST", DISCARD_PATH)] {
            for (access, status) in [(Access::Denied, 401), (Access::Unconfigured, 503)] {
                let answer = read(method, path, access, [("reason", "protobuf")]).unwrap().unwrap_err();
                assert_eq!(answer.status, status, "{path}");
            }
        }
    }

    #[test]
    fn content_is_shown_only_where_it_is_asked_for() {
        let letter = |body| {
            let letter = DeadLetter {
                reason: "protobuf".into(),
                detail: "why".into(),
                message_id: "id".into(),
                attempts: 1,
                sent_ms: 2,
                dead_ms: 3,
                body,
            };
            StoredDeadLetter { place: 7, letter: letter.encode().unwrap() }
        };
        let letters = [
            letter(Some(Body::Text("s3cret".into()))),
            letter(Some(Body::Json("[\"s3cret\"]".into()))),
            letter(Some(Body::Bytes(b"s3cret".to_vec()))),
            letter(None),
            StoredDeadLetter { place: 8, letter: b"garbage".to_vec() },
        ];
        let shown = show(&Inventory::default(), &letters, false);
        assert!(!shown.to_string().contains("s3cret") && !shown.to_string().contains("czNjcmV0"));
        assert_eq!(shown["letters"][0]["body_bytes"], 6);
        let shown = show(&Inventory::default(), &letters, true);
        assert_eq!(shown["letters"][0]["body"], "s3cret");
        assert_eq!(shown["letters"][2]["body_base64"], "czNjcmV0");
        assert_eq!(shown["letters"][4]["unreadable"], true);
    }
}
