//! What a test sees of an account: everything, secrets too.

use std::collections::BTreeMap;

use serde_json::Value;

use super::state::{Account, ConsumerSettings, KvValue, Queue, Script, Version, field};

/// A queue.
#[derive(Clone, Debug, PartialEq)]
pub struct QueueView {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Messages in it, those on their way to the consumer included.
    pub backlog: usize,
    /// Workers that send to it.
    pub producers: Vec<String>,
    /// The Worker that consumes it.
    pub consumer: Option<ConsumerView>,
}

/// A consumer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerView {
    /// Its id.
    pub id: String,
    /// The Worker.
    pub script: String,
    /// Where messages go that were given up.
    pub dead_letter_queue: Option<String>,
    /// How it is served.
    pub settings: ConsumerSettings,
}

/// A KV namespace.
#[derive(Clone, Debug, PartialEq)]
pub struct NamespaceView {
    /// Its id.
    pub id: String,
    /// Its title.
    pub title: String,
    /// What is in it.
    pub values: BTreeMap<String, KvValue>,
}

/// A Worker.
#[derive(Clone, Debug, PartialEq)]
pub struct ScriptView {
    /// Its name.
    pub name: String,
    /// The last migration of its Durable Objects.
    pub migration_tag: Option<String>,
    /// Its Durable Object classes, and the id of each one's namespace.
    pub classes: BTreeMap<String, String>,
    /// All versions, the oldest first.
    pub versions: Vec<VersionView>,
    /// The id of the version that serves.
    pub active: Option<String>,
    /// How many deployments there were.
    pub deployments: usize,
    /// Its cron triggers.
    pub schedules: Vec<String>,
    /// Whether workers.dev serves it.
    pub is_on_subdomain: bool,
    /// Tags, observability and what else is not part of a version.
    pub settings: BTreeMap<String, Value>,
}

/// A version of a Worker.
#[derive(Clone, Debug, PartialEq)]
pub struct VersionView {
    /// Its id.
    pub id: String,
    /// When it was made.
    pub created_on: String,
    /// What was said of it (`workers/message`, `workers/triggered_by` …).
    pub annotations: BTreeMap<String, Value>,
    /// Its bindings as they were uploaded, secrets included.
    pub bindings: Vec<Value>,
    /// Names of its modules.
    pub modules: Vec<String>,
    /// Its compatibility date.
    pub compatibility_date: String,
    /// Handlers of its default export.
    pub handlers: Vec<String>,
}

impl VersionView {
    /// Its binding of this name, null where there is none.
    #[must_use]
    pub fn binding(&self, name: &str) -> Value {
        self.bindings.iter().find(|binding| field(binding, "name") == name).cloned().unwrap_or_default()
    }
}

impl ScriptView {
    /// The version that serves.
    #[must_use]
    pub fn active_version(&self) -> Option<&VersionView> {
        self.versions.iter().find(|version| Some(&version.id) == self.active.as_ref())
    }

    /// Secrets of the version that serves, with their values.
    #[must_use]
    pub fn secrets(&self) -> BTreeMap<String, String> {
        let bindings = self.active_version().map(|version| version.bindings.as_slice()).unwrap_or_default();
        let secrets = bindings.iter().filter(|binding| field(binding, "type") == "secret_text");
        secrets.map(|binding| (field(binding, "name").to_owned(), field(binding, "text").to_owned())).collect()
    }
}

pub(super) fn queue(account: &Account, queue: &Queue) -> QueueView {
    QueueView {
        id: queue.id.clone(),
        name: queue.name.clone(),
        backlog: queue.messages.len(),
        producers: account.producers(&queue.name),
        consumer: queue.consumer.as_ref().map(|consumer| ConsumerView {
            id: consumer.id.clone(),
            script: consumer.script.clone(),
            dead_letter_queue: consumer.dead_letter_queue.clone(),
            settings: consumer.settings.clone(),
        }),
    }
}

pub(super) fn script(script: &Script) -> ScriptView {
    ScriptView {
        name: script.name.clone(),
        migration_tag: script.migration_tag.clone(),
        classes: script.classes.iter().map(|(class, namespace)| (class.clone(), namespace.id.clone())).collect(),
        versions: script.versions.iter().map(version).collect(),
        active: script.active().map(|version| version.id.clone()),
        deployments: script.deployments.len(),
        schedules: script.schedules.iter().map(|schedule| schedule.cron.clone()).collect(),
        is_on_subdomain: script.is_on_subdomain,
        settings: script.settings.clone(),
    }
}

fn version(version: &Version) -> VersionView {
    VersionView {
        id: version.id.clone(),
        created_on: version.created_on.clone(),
        annotations: version.annotations.clone(),
        bindings: version.bindings.clone(),
        modules: version.modules.iter().map(|module| module.name.clone()).collect(),
        compatibility_date: version.compatibility_date.clone(),
        handlers: version.handlers.clone(),
    }
}
