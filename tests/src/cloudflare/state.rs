//! What a Cloudflare account holds, and what of it outlives a restart.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::ids;

/// Everything.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct State {
    pub(crate) token: String,
    pub(crate) client_secret: String,
    /// Where everything listened last: what was deployed may know it.
    #[serde(default)]
    pub(crate) ports: Ports,
    pub(crate) accounts: Vec<Account>,
}

/// Ports on 127.0.0.1; 0 is any.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Ports {
    pub(crate) api: u16,
    pub(crate) workers: u16,
    pub(crate) cdn: u16,
    pub(crate) backend: u16,
}

impl Ports {
    /// A port that was used before, if it is free.
    pub(crate) fn again(port: u16) -> u16 {
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() { port } else { 0 }
    }
}

/// One account.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Account {
    pub(crate) id: String,
    pub(crate) name: String,
    /// Of `<subdomain>.workers.dev`; an account begins without one.
    pub(crate) subdomain: Option<String>,
    pub(crate) created_on: String,
    pub(crate) queues: Vec<Queue>,
    pub(crate) namespaces: Vec<Namespace>,
    pub(crate) scripts: BTreeMap<String, Script>,
}

/// A queue with what is in it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Queue {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) created_on: String,
    pub(crate) modified_on: String,
    /// Seconds.
    pub(crate) delivery_delay: u64,
    /// Seconds.
    pub(crate) message_retention_period: u64,
    pub(crate) delivery_paused: bool,
    pub(crate) consumer: Option<Consumer>,
    #[serde(default)]
    pub(crate) messages: VecDeque<Message>,
}

/// A Worker that consumes a queue.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Consumer {
    pub(crate) id: String,
    pub(crate) created_on: String,
    pub(crate) script: String,
    pub(crate) dead_letter_queue: Option<String>,
    pub(crate) settings: ConsumerSettings,
}

/// How messages are delivered to a consumer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ConsumerSettings {
    /// Messages in a batch, at most.
    pub batch_size: u64,
    /// Deliveries after the first.
    pub max_retries: u64,
    /// How long a batch waits to be full.
    pub max_wait_time_ms: u64,
    /// Seconds before a message is delivered again.
    pub retry_delay: u64,
    /// Batches at a time.
    pub max_concurrency: Option<u64>,
}

impl Default for ConsumerSettings {
    /// What the documentation says of a consumer that says nothing ("Queues: Configuration").
    fn default() -> Self {
        Self { batch_size: 10, max_retries: 3, max_wait_time_ms: 5_000, retry_delay: 0, max_concurrency: None }
    }
}

/// A message in a queue.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Message {
    pub(crate) id: String,
    /// When it was sent, in milliseconds since the epoch.
    pub(crate) timestamp: u64,
    /// `text`, `bytes`, `json` or `v8`.
    pub(crate) content_type: String,
    #[serde(with = "base64_bytes")]
    pub(crate) body: Vec<u8>,
    /// Deliveries until now.
    pub(crate) attempts: u64,
    /// When it may be delivered, in milliseconds since the epoch.
    pub(crate) due: u64,
}

/// A KV namespace.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Namespace {
    pub(crate) id: String,
    pub(crate) title: String,
    #[serde(default)]
    pub(crate) values: BTreeMap<String, KvValue>,
}

impl Namespace {
    /// The value of a key, unless it has expired.
    pub(crate) fn get(&self, key: &str) -> Option<&KvValue> {
        self.values.get(key).filter(|value| value.is_alive())
    }
}

/// A value in KV.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KvValue {
    /// The value.
    #[serde(with = "base64_bytes")]
    pub bytes: Vec<u8>,
    /// JSON that was stored beside it.
    pub metadata: Option<Value>,
    /// When it goes, in seconds since the epoch.
    pub expiration: Option<u64>,
    /// When it was written, in milliseconds since the epoch.
    #[serde(default)]
    pub written: u64,
}

impl KvValue {
    pub(crate) fn is_alive(&self) -> bool {
        self.expiration.is_none_or(|expiration| ids::now().as_secs() < expiration)
    }
}

/// A Worker.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Script {
    pub(crate) name: String,
    pub(crate) tag: String,
    pub(crate) created_on: String,
    pub(crate) modified_on: String,
    /// `wrangler` or `api`.
    pub(crate) last_deployed_from: String,
    pub(crate) migration_tag: Option<String>,
    /// The Durable Object classes that migrations made, and the namespace of each.
    pub(crate) classes: BTreeMap<String, ObjectNamespace>,
    /// The oldest first.
    pub(crate) versions: Vec<Version>,
    /// The oldest first.
    pub(crate) deployments: Vec<Deployment>,
    pub(crate) schedules: Vec<Schedule>,
    pub(crate) is_on_subdomain: bool,
    pub(crate) has_previews: bool,
    /// What is not part of a version: tags, logpush, tail consumers, observability.
    pub(crate) settings: BTreeMap<String, Value>,
}

impl Script {
    /// The version that serves, or the larger part where two do.
    pub(crate) fn active(&self) -> Option<&Version> {
        let deployment = self.deployments.last()?;
        let (id, _) = deployment.versions.iter().max_by_key(|(_, percentage)| *percentage)?;
        self.version(id)
    }

    pub(crate) fn version(&self, id: &str) -> Option<&Version> {
        self.versions.iter().find(|version| version.id == id)
    }

    /// All versions that serve.
    pub(crate) fn deployed(&self) -> impl Iterator<Item = &Version> {
        let ids = self.deployments.last().map(|deployment| deployment.versions.as_slice()).unwrap_or_default();
        ids.iter().filter_map(|(id, _)| self.version(id))
    }
}

/// The objects of one Durable Object class.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ObjectNamespace {
    pub(crate) id: String,
    pub(crate) is_sqlite: bool,
}

/// One upload of a Worker, with its bindings and secrets.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Version {
    pub(crate) id: String,
    pub(crate) number: usize,
    pub(crate) created_on: String,
    /// `wrangler` or `api`.
    pub(crate) source: String,
    pub(crate) annotations: BTreeMap<String, Value>,
    pub(crate) main_module: String,
    pub(crate) modules: Vec<Module>,
    /// As they were uploaded, secrets included.
    pub(crate) bindings: Vec<Value>,
    pub(crate) compatibility_date: String,
    pub(crate) compatibility_flags: Vec<String>,
    pub(crate) limits: Option<Value>,
    pub(crate) placement: Option<Value>,
    /// Handlers of the default export.
    pub(crate) handlers: Vec<String>,
    /// Other classes and objects that are exported.
    pub(crate) exports: Vec<String>,
    /// Milliseconds.
    pub(crate) startup_time: u64,
    pub(crate) migration_tag: Option<String>,
}

impl Version {
    /// Its binding of this name.
    pub(crate) fn binding(&self, name: &str) -> Option<&Value> {
        self.bindings.iter().find(|binding| field(binding, "name") == name)
    }
}

/// One module of a Worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Module {
    pub(crate) name: String,
    /// Its content type.
    pub(crate) kind: String,
    /// The SHA-256 under which its bytes are kept.
    pub(crate) blob: String,
}

/// Which versions serve.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Deployment {
    pub(crate) id: String,
    pub(crate) created_on: String,
    pub(crate) source: String,
    pub(crate) annotations: BTreeMap<String, Value>,
    /// Version and its percentage.
    pub(crate) versions: Vec<(String, u64)>,
}

/// A cron trigger.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Schedule {
    pub(crate) cron: String,
    pub(crate) created_on: String,
}

impl State {
    pub(crate) fn account(&self, id: &str) -> Option<&Account> {
        self.accounts.iter().find(|account| account.id == id)
    }

    pub(crate) fn account_mut(&mut self, id: &str) -> Option<&mut Account> {
        self.accounts.iter_mut().find(|account| account.id == id)
    }

    /// The account and the queue of this id, whichever account has it.
    pub(crate) fn queue_mut(&mut self, id: &str) -> Option<&mut Queue> {
        self.accounts.iter_mut().flat_map(|account| &mut account.queues).find(|queue| queue.id == id)
    }

    /// The namespace of this id, whichever account has it.
    pub(crate) fn namespace_mut(&mut self, id: &str) -> Option<&mut Namespace> {
        self.accounts.iter_mut().flat_map(|account| &mut account.namespaces).find(|namespace| namespace.id == id)
    }
}

impl Account {
    pub(crate) fn new(number: usize) -> Self {
        let id = ids::hex_id();
        Self {
            name: format!("Account {number} of a fake Cloudflare"),
            subdomain: Some(format!("fake-{}", id.get(..6).unwrap_or_default())),
            id,
            created_on: ids::timestamp(),
            queues: Vec::new(),
            namespaces: Vec::new(),
            scripts: BTreeMap::new(),
        }
    }

    pub(crate) fn queue_named(&self, name: &str) -> Option<&Queue> {
        self.queues.iter().find(|queue| queue.name == name)
    }

    pub(crate) fn queue_named_mut(&mut self, name: &str) -> Option<&mut Queue> {
        self.queues.iter_mut().find(|queue| queue.name == name)
    }

    /// Scripts whose serving versions send to the queue of this name.
    pub(crate) fn producers(&self, queue: &str) -> Vec<String> {
        let sends = |binding: &Value| field(binding, "type") == "queue" && field(binding, "queue_name") == queue;
        let scripts = self.scripts.values();
        let senders = scripts.filter(|script| script.deployed().any(|version| version.bindings.iter().any(sends)));
        senders.map(|script| script.name.clone()).collect()
    }
}

/// A text of a JSON object, empty where there is none.
pub(crate) fn field<'a>(object: &'a Value, name: &str) -> &'a str {
    object.get(name).and_then(Value::as_str).unwrap_or_default()
}

mod base64_bytes {
    use base64::{Engine as _, prelude::BASE64_STANDARD};
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64_STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        BASE64_STANDARD.decode(String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}
