//! Consumers of queues.
//!
//! Known: the bounds ("Queues: Limits", "Queues: Configuration"), one Worker a queue (11004), a Worker without a queue
//! handler (11001) or none at all (10007), wrong settings (100127), a consumer that is not there (11006), and that a
//! dead-letter queue which does not exist is created. Guessed: HTTP statuses and texts.

use serde_json::{Value, json};

use super::super::answer::{Answer, ApiError, ok};
use super::super::call::Call;
use super::super::ids;
use super::super::state::{Account, Consumer, ConsumerSettings, Queue};
use super::{number, queues, text};

const MAX_CONCURRENCY: u64 = 250;

const INVALID_BODY: u32 = 10_026;
const SCRIPT_NOT_FOUND: u32 = 10_007;
const HANDLER_MISSING: u32 = 11_001;
const ALREADY_EXISTS: u32 = 11_004;
const NOT_FOUND: u32 = 11_006;
const INVALID_SETTINGS: u32 = 100_127;

/// Answers below `/accounts/<id>/queues/<id>/consumers`.
pub(crate) fn answer(account: &mut Account, call: &Call, queue: &str, rest: &[&str]) -> Option<Answer> {
    let answer = match (call.method.as_str(), rest) {
        ("GET", []) => queues::find(account, queue)
            .map(|queue| queue.consumer.iter().map(|consumer| view(queue, consumer)).collect())
            .and_then(ok),
        ("POST", []) => put(account, call, queue, None),
        ("GET", [id]) => find(account, queue, id).map(|(queue, consumer)| view(queue, consumer)).and_then(ok),
        ("PUT", [id]) => put(account, call, queue, Some(id)),
        ("DELETE", [id]) => delete(account, queue, id),
        _ => return None,
    };
    Some(answer)
}

fn find<'a>(account: &'a Account, queue: &str, id: &str) -> Result<(&'a Queue, &'a Consumer), ApiError> {
    let queue = queues::find(account, queue)?;
    let consumer = queue.consumer.as_ref().filter(|consumer| consumer.id == id);
    Ok((queue, consumer.ok_or_else(|| ApiError::new(404, NOT_FOUND, "Consumer not found"))?))
}

/// Creates a consumer, or replaces the one of this id with everything that it has.
fn put(account: &mut Account, call: &Call, queue: &str, id: Option<&str>) -> Answer {
    let queue = queues::find(account, queue)?;
    let old = id.map(|id| find(account, &queue.id, id)).transpose()?.map(|(_, consumer)| consumer.clone());
    let body = call.json(INVALID_BODY)?;
    if body.get("type").and_then(Value::as_str) != Some("worker") {
        return Err(ApiError::new(400, INVALID_BODY, "type must be \"worker\": this fake has no other consumers"));
    }
    let script = text(&body, "script_name", INVALID_BODY)?;
    let dead_letter_queue = dead_letter_queue(&body, queue)?;
    let settings = settings(body.get("settings").unwrap_or(&Value::Null))?;
    let Some(version) = account.scripts.get(script).and_then(|script| script.active()) else {
        return Err(ApiError::new(404, SCRIPT_NOT_FOUND, "This Worker does not exist on your account."));
    };
    if !version.handlers.iter().any(|handler| handler == "queue") {
        let message = format!("queue handler is missing: Worker '{script}' exports none");
        return Err(ApiError::new(400, HANDLER_MISSING, message));
    }
    if let (Some(other), None) = (&queue.consumer, &old) {
        let message = format!("Queue '{}' already has a consumer: Worker '{}'", queue.name, other.script);
        return Err(ApiError::new(409, ALREADY_EXISTS, message));
    }
    let consumer = Consumer {
        id: old.as_ref().map_or_else(ids::hex_id, |old| old.id.clone()),
        created_on: old.map_or_else(ids::timestamp, |old| old.created_on),
        script: script.to_owned(),
        dead_letter_queue: dead_letter_queue.clone(),
        settings,
    };
    let (queue_id, answer) = (queue.id.clone(), view(queue, &consumer));
    if let Some(name) = dead_letter_queue.filter(|name| account.queue_named(name).is_none()) {
        account.queues.push(queues::new(&name));
    }
    queues::find_mut(account, &queue_id)?.consumer = Some(consumer);
    ok(answer)
}

fn dead_letter_queue(body: &Value, queue: &Queue) -> Result<Option<String>, ApiError> {
    let Some(name) = body.get("dead_letter_queue").filter(|name| !name.is_null()) else { return Ok(None) };
    let name = name.as_str().unwrap_or_default();
    queues::check_name(name)?;
    if name == queue.name {
        return Err(ApiError::new(400, INVALID_SETTINGS, "a queue cannot be its own dead-letter queue"));
    }
    Ok(Some(name.to_owned()))
}

fn settings(body: &Value) -> Result<ConsumerSettings, ApiError> {
    let of = |name, range| number(body, name, range, INVALID_SETTINGS);
    let default = ConsumerSettings::default();
    Ok(ConsumerSettings {
        batch_size: of("batch_size", [1, 100])?.unwrap_or(default.batch_size),
        max_retries: of("max_retries", [0, 100])?.unwrap_or(default.max_retries),
        max_wait_time_ms: of("max_wait_time_ms", [0, 60_000])?.unwrap_or(default.max_wait_time_ms),
        retry_delay: of("retry_delay", [0, 86_400])?.unwrap_or(default.retry_delay),
        max_concurrency: of("max_concurrency", [1, MAX_CONCURRENCY])?,
    })
}

fn delete(account: &mut Account, queue: &str, id: &str) -> Answer {
    find(account, queue, id)?;
    queues::find_mut(account, queue)?.consumer = None;
    ok(Value::Null)
}

pub(crate) fn view(queue: &Queue, consumer: &Consumer) -> Value {
    json!({
        "consumer_id": consumer.id, "queue_name": queue.name, "created_on": consumer.created_on,
        "type": "worker", "script": consumer.script, "environment": "production",
        "dead_letter_queue": consumer.dead_letter_queue, "settings": consumer.settings,
    })
}
