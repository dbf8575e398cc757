//! Queues.
//!
//! Known: names and their error (11003), a name that is taken (11009), a queue that is not there (11000), one that a
//! Worker still sends to (11005), wrong settings (100128). Guessed: the HTTP statuses of these, the text of the last three.

use serde_json::{Value, json};

use super::super::answer::{Answer, ApiError, ok, page};
use super::super::call::Call;
use super::super::ids;
use super::super::state::{Account, Queue};
use super::{consumers, number, text};

/// Queues on a page, and at most.
const PER_PAGE: usize = 100;
/// "Queues: Limits".
const MAX_QUEUES: usize = 10_000;
const MAX_DELAY: u64 = 86_400;
const RETENTION: [u64; 2] = [60, 1_209_600];
const DEFAULT_RETENTION: u64 = 345_600;

const INVALID_BODY: u32 = 10_026;
const NOT_FOUND: u32 = 11_000;
const INVALID_NAME: u32 = 11_003;
const IN_USE: u32 = 11_005;
const NAME_TAKEN: u32 = 11_009;
const INVALID_SETTINGS: u32 = 100_128;

/// Answers below `/accounts/<id>/queues`.
pub(crate) fn answer(account: &mut Account, call: &Call, rest: &[&str]) -> Option<Answer> {
    let answer = match (call.method.as_str(), rest) {
        ("GET", []) => list(account, call),
        ("POST", []) => create(account, call),
        ("GET", [id]) => find(account, id).map(|queue| view(account, queue)).and_then(ok),
        ("PUT" | "PATCH", [id]) => update(account, call, id),
        ("DELETE", [id]) => delete(account, id),
        ("POST", [id, "purge"]) => purge(account, call, id),
        ("GET", [id, "metrics"]) => metrics(account, id),
        (_, [id, "consumers", rest @ ..]) => return consumers::answer(account, call, id, rest),
        _ => return None,
    };
    Some(answer)
}

/// # Errors
/// 404, 11000.
pub(crate) fn find<'a>(account: &'a Account, id: &str) -> Result<&'a Queue, ApiError> {
    account.queues.iter().find(|queue| queue.id == id).ok_or_else(not_found)
}

/// # Errors
/// 404, 11000.
pub(crate) fn find_mut<'a>(account: &'a mut Account, id: &str) -> Result<&'a mut Queue, ApiError> {
    account.queues.iter_mut().find(|queue| queue.id == id).ok_or_else(not_found)
}

fn not_found() -> ApiError {
    ApiError::new(404, NOT_FOUND, "Queue not found")
}

/// # Errors
/// 400, 11003.
pub(crate) fn check_name(name: &str) -> Result<(), ApiError> {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_valid = (1..=63).contains(&name.len())
        && name.bytes().all(|byte| is_plain(byte) || byte == b'-')
        && name.bytes().next().is_some_and(is_plain)
        && name.bytes().last().is_some_and(is_plain);
    if is_valid {
        return Ok(());
    }
    let pattern = "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$";
    let message = format!("Invalid queue name: invalid queue name: {name}. Must match {pattern}");
    Err(ApiError::new(400, INVALID_NAME, message))
}

/// A new queue without a consumer.
pub(crate) fn new(name: &str) -> Queue {
    let now = ids::timestamp();
    Queue {
        id: ids::hex_id(),
        name: name.to_owned(),
        created_on: now.clone(),
        modified_on: now,
        delivery_delay: 0,
        message_retention_period: DEFAULT_RETENTION,
        delivery_paused: false,
        consumer: None,
        messages: std::collections::VecDeque::new(),
    }
}

fn list(account: &Account, call: &Call) -> Answer {
    let names = call.params("name");
    let wanted = account.queues.iter().filter(|queue| names.is_empty() || names.contains(&queue.name));
    let items = wanted.map(|queue| view(account, queue)).collect();
    page(items, call.number("page", 1, [1, usize::MAX])?, call.number("per_page", PER_PAGE, [1, PER_PAGE])?)
}

fn create(account: &mut Account, call: &Call) -> Answer {
    let body = call.json(INVALID_BODY)?;
    let name = text(&body, "queue_name", INVALID_NAME)?;
    check_name(name)?;
    if account.queue_named(name).is_some() {
        return Err(taken(name));
    }
    if account.queues.len() >= MAX_QUEUES {
        return Err(ApiError::new(403, 11_011, "the account has as many queues as it can have"));
    }
    let mut queue = new(name);
    set(&mut queue, &body)?;
    let answer = view(account, &queue);
    account.queues.push(queue);
    ok(answer)
}

fn taken(name: &str) -> ApiError {
    let message = format!("Queue name '{name}' is already taken. Please use a different name and try again.");
    ApiError::new(409, NAME_TAKEN, message)
}

fn update(account: &mut Account, call: &Call, id: &str) -> Answer {
    find(account, id)?;
    let body = call.json(INVALID_BODY)?;
    let name = body.get("queue_name").and_then(Value::as_str);
    if let Some(name) = name {
        check_name(name)?;
        if account.queue_named(name).is_some_and(|queue| queue.id != id) {
            return Err(taken(name));
        }
    }
    let queue = find_mut(account, id)?;
    set(queue, &body)?;
    if let Some(name) = name {
        name.clone_into(&mut queue.name);
    }
    queue.modified_on = ids::timestamp();
    find(account, id).map(|queue| view(account, queue)).and_then(ok)
}

fn set(queue: &mut Queue, body: &Value) -> Result<(), ApiError> {
    let Some(settings) = body.get("settings").filter(|settings| !settings.is_null()) else { return Ok(()) };
    let delay = number(settings, "delivery_delay", [0, MAX_DELAY], INVALID_SETTINGS)?;
    let retention = number(settings, "message_retention_period", RETENTION, INVALID_SETTINGS)?;
    queue.delivery_delay = delay.unwrap_or(queue.delivery_delay);
    queue.message_retention_period = retention.unwrap_or(queue.message_retention_period);
    queue.delivery_paused = settings.get("delivery_paused").and_then(Value::as_bool).unwrap_or(queue.delivery_paused);
    Ok(())
}

fn delete(account: &mut Account, id: &str) -> Answer {
    let name = find(account, id)?.name.clone();
    let producers = account.producers(&name);
    if !producers.is_empty() {
        let message = format!("Queue '{name}' is still bound to these Workers: {}", producers.join(", "));
        return Err(ApiError::new(409, IN_USE, message));
    }
    account.queues.retain(|queue| queue.id != id);
    ok(Value::Null)
}

fn purge(account: &mut Account, call: &Call, id: &str) -> Answer {
    let queue = find_mut(account, id)?;
    if call.json(INVALID_BODY)?.get("delete_messages_permanently") != Some(&Value::Bool(true)) {
        return Err(ApiError::new(400, INVALID_BODY, "delete_messages_permanently must be true"));
    }
    queue.messages.clear();
    ok(json!({ "started_at": ids::timestamp(), "complete": true }))
}

fn metrics(account: &Account, id: &str) -> Answer {
    let queue = find(account, id)?;
    ok(json!({
        "backlog_count": queue.messages.len(),
        "backlog_bytes": queue.messages.iter().map(|message| message.body.len()).sum::<usize>(),
        "oldest_message_timestamp_ms": queue.messages.iter().map(|message| message.timestamp).min().unwrap_or(0),
    }))
}

fn view(account: &Account, queue: &Queue) -> Value {
    let producers: Vec<Value> =
        account.producers(&queue.name).iter().map(|script| json!({ "type": "worker", "script": script })).collect();
    let consumers: Vec<Value> = queue.consumer.iter().map(|consumer| consumers::view(queue, consumer)).collect();
    json!({
        "queue_id": queue.id, "queue_name": queue.name,
        "created_on": queue.created_on, "modified_on": queue.modified_on,
        "producers_total_count": producers.len(), "producers": producers,
        "consumers_total_count": consumers.len(), "consumers": consumers,
        "settings": {
            "delivery_delay": queue.delivery_delay, "delivery_paused": queue.delivery_paused,
            "message_retention_period": queue.message_retention_period,
        },
    })
}
