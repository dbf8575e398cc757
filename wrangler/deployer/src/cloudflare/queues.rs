//! Queues and who consumes them.

use serde::Deserialize;
use serde_json::json;
use ureq::http::Method;

use super::client::{Call, Client};
use super::error::{ApiError, Permission, codes};

/// A queue.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Queue {
    /// Its id.
    #[serde(rename = "queue_id")]
    pub id: String,
    /// Its name.
    #[serde(rename = "queue_name")]
    pub name: String,
    /// Who takes from it.
    #[serde(default)]
    pub consumers: Vec<Consumer>,
    /// Who puts into it.
    #[serde(default)]
    pub producers: Vec<Producer>,
}

/// Who takes from a queue.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Consumer {
    /// Its id.
    #[serde(rename = "consumer_id", default)]
    pub id: String,
    /// `worker` or `http_pull`.
    #[serde(rename = "type", default)]
    pub kind: String,
    /// The Worker, under the names that the API has had for it.
    #[serde(default, alias = "script_name", alias = "service")]
    pub script: Option<String>,
    /// Where messages go that ran out of tries.
    #[serde(default)]
    pub dead_letter_queue: Option<String>,
    /// The rest.
    #[serde(default)]
    pub settings: ConsumerSettings,
}

/// How a consumer takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub struct ConsumerSettings {
    /// Messages of one batch.
    #[serde(default)]
    pub batch_size: Option<u64>,
    /// Redeliveries.
    #[serde(default)]
    pub max_retries: Option<u64>,
    /// Milliseconds that a batch waits.
    #[serde(default)]
    pub max_wait_time_ms: Option<u64>,
    /// Seconds until a redelivery.
    #[serde(default)]
    pub retry_delay: Option<u64>,
}

/// Who puts into a queue.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Producer {
    /// The Worker.
    #[serde(default, alias = "script_name", alias = "service")]
    pub script: Option<String>,
}

/// How full a queue is, about.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
pub struct Backlog {
    /// Messages that nobody has acknowledged.
    #[serde(rename = "backlog_count", default)]
    pub messages: f64,
    /// When the oldest of them was written, in milliseconds since the epoch; 0 where there is none.
    #[serde(rename = "oldest_message_timestamp_ms", default)]
    pub oldest_ms: f64,
}

fn path(account_id: &str) -> String {
    format!("/accounts/{account_id}/queues")
}

/// All queues of the account.
///
/// # Errors
/// [`ApiError`].
pub fn list(client: &Client, account_id: &str) -> Result<Vec<Queue>, ApiError> {
    client.list(&Call::get(Permission::Queues, path(account_id), "list the queues"), 100)
}

/// Creates a queue, or finds the one that a lost call created.
///
/// # Errors
/// [`ApiError`].
pub fn create(client: &Client, account_id: &str, name: &str) -> Result<Queue, ApiError> {
    let call = Call::get(Permission::Queues, path(account_id), format!("create the queue {name}"))
        .with_method(Method::POST)
        .with_json(&json!({"queue_name": name}));
    let find = || Ok(list(client, account_id)?.into_iter().find(|queue| queue.name == name));
    client.create(&call, &[codes::QUEUE_EXISTS], find)
}

/// How full a queue is. `None` where this API does not say.
///
/// # Errors
/// [`ApiError`].
pub fn backlog(client: &Client, account_id: &str, queue: &Queue) -> Result<Option<Backlog>, ApiError> {
    let path = format!("{}/{}/metrics", path(account_id), queue.id);
    match client.call(&Call::get(Permission::Queues, path, format!("read the backlog of {}", queue.name))) {
        Ok(backlog) => Ok(Some(backlog)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Detaches a consumer, if it is still there.
///
/// # Errors
/// [`ApiError`].
pub fn detach(client: &Client, account_id: &str, queue: &Queue, consumer: &Consumer) -> Result<(), ApiError> {
    let path = format!("{}/{}/consumers/{}", path(account_id), queue.id, consumer.id);
    let call = Call::get(Permission::Queues, path, format!("detach the consumer of {}", queue.name));
    gone(client.call::<serde_json::Value>(&call.with_method(Method::DELETE)))
}

/// Deletes a queue with all that is in it, if it is still there.
///
/// # Errors
/// [`ApiError`].
pub fn delete(client: &Client, account_id: &str, queue: &Queue) -> Result<(), ApiError> {
    let path = format!("{}/{}", path(account_id), queue.id);
    let call = Call::get(Permission::Queues, path, format!("delete the queue {}", queue.name));
    gone(client.call::<serde_json::Value>(&call.with_method(Method::DELETE)))
}

/// A deletion of what is not there has done what it should.
pub(super) fn gone(deleted: Result<serde_json::Value, ApiError>) -> Result<(), ApiError> {
    match deleted {
        Ok(_) => Ok(()),
        Err(error) if error.is_not_found() => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_reads_under_all_names_of_its_consumer() {
        for field in ["script", "script_name", "service"] {
            let text = format!(
                r#"{{"queue_id":"1","queue_name":"q","created_on":"x","consumers":[{{"type":"worker","{field}":"w",
                "settings":{{"batch_size":10,"max_wait_time_ms":2000,"unknown":1}}}}]}}"#
            );
            let queue: Queue = serde_json::from_str(&text).unwrap();
            assert_eq!(queue.consumers[0].script.as_deref(), Some("w"));
            assert_eq!(queue.consumers[0].settings.batch_size, Some(10));
        }
    }
}
