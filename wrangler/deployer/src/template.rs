//! One Worker's configuration: the checked-in `wrangler/*.toml`, made into that of an installation.
//!
//! Whatever the file holds comes along. What changes: names get the prefix, KV placeholders become ids, vars and batch
//! settings of the installation come over those of the file, hosts are said, and the mark is added.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use toml::{Table, Value};
use tributary_consumer::config::is_dead_letter_queue;
use tributary_local::queues;

use crate::cloudflare::queues::{ConsumerSettings, Queue};
use crate::cloudflare::workers::{Binding, Hosts};
use crate::config::vars::Role;
use crate::config::{Batches, Config};
use crate::mark::{MARK_VAR, Mark};
use crate::names::Names;

/// KV binding of sticky assignments; there only where they are asked for.
pub const MATERIALIZATIONS_KV: &str = "CONFIDENCE_MATERIALIZATIONS_KV";
/// Its placeholder.
pub const MATERIALIZATIONS: &str = "confidence-materializations";
/// KV binding of the resolver state, in both Workers.
pub const STATE_KV: &str = tributary_consumer::config::STATE_KV;

/// Var of the consumer with the address of the CDN, where that is not Confidence's own.
pub const CDN_URL: &str = "CONFIDENCE_CDN_URL";

/// Ids of KV namespaces by placeholder.
pub type Ids = BTreeMap<String, String>;

/// Why a checked-in configuration cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TemplateError {
    /// No TOML.
    #[error("wrangler/{worker}.toml is not TOML: {reason}")]
    Parse {
        /// Which Worker's.
        worker: &'static str,
        /// What the parser said.
        reason: String,
    },
    /// Not what wrangler takes.
    #[error("wrangler/{worker}.toml: {what}")]
    Shape {
        /// Which Worker's.
        worker: &'static str,
        /// What is missing or of another kind.
        what: String,
    },
    /// It cannot be written.
    #[error("the configuration of the {worker} cannot be written: {reason}")]
    Write {
        /// Which Worker's.
        worker: &'static str,
        /// Why.
        reason: String,
    },
}

/// One Worker of an installation, but for ids and mark.
#[derive(Debug, Clone, PartialEq)]
pub struct Template {
    role: Role,
    name: String,
    table: Table,
    /// Titles of the KV namespaces by placeholder.
    namespaces: BTreeMap<String, String>,
}

/// How one queue is consumed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerWish {
    /// The queue.
    pub queue: String,
    /// Where messages go that ran out of tries.
    pub dead_letter_queue: Option<String>,
    /// How. `None` is Cloudflare's default.
    pub settings: ConsumerSettings,
}

/// Makes both Workers of an installation out of the texts of `wrangler/consumer.toml` and `wrangler/producer.toml`.
///
/// # Errors
/// [`TemplateError`].
pub fn load(consumer: &str, producer: &str, config: &Config) -> Result<Vec<Template>, TemplateError> {
    let texts = [(Role::Consumer, consumer), (Role::Producer, producer)];
    let mut tables = Vec::new();
    for (role, text) in texts {
        let worker = role.as_str();
        let table: Table = text
            .parse()
            .map_err(|error: toml::de::Error| TemplateError::Parse { worker, reason: error.message().to_owned() })?;
        let name = table.get("name").and_then(Value::as_str).map(str::to_owned);
        let name = name.ok_or_else(|| TemplateError::Shape { worker, what: "it has no `name`".to_owned() })?;
        tables.push((role, name, table));
    }
    let own: BTreeSet<String> = tables.iter().map(|(_, name, _)| name.clone()).collect();
    tables.into_iter().map(|(role, name, table)| Template::new(role, &name, table, &own, config)).collect()
}

/// True for a queue that is consumed and that none of the Workers sends to.
pub fn is_drained<'a>(templates: impl Iterator<Item = &'a Template>, queue: &str) -> bool {
    let (mut is_sent_to, mut is_consumed) = (false, false);
    for template in templates {
        is_sent_to |= template.rows("queues", "producers").any(|row| text(row, "queue") == Some(queue));
        is_consumed |= template.rows("queues", "consumers").any(|row| text(row, "queue") == Some(queue));
    }
    is_consumed && !is_sent_to
}

impl Template {
    fn new(
        role: Role,
        name: &str,
        mut table: Table,
        own: &BTreeSet<String>,
        config: &Config,
    ) -> Result<Self, TemplateError> {
        let names = &config.names;
        table.insert("name".to_owned(), names.of(name).into());
        // One way in: the producer's host, which forwards what is the consumer's. No host for each version.
        table.insert("workers_dev".to_owned(), (role == Role::Producer).into());
        table.insert("preview_urls".to_owned(), false.into());
        for consumer in rows(&mut table, "queues", "consumers") {
            if !text(consumer, "queue").is_some_and(is_dead_letter_queue) {
                set_batches(consumer, config.batches);
            }
            prefix(consumer, "queue", names);
            prefix(consumer, "dead_letter_queue", names);
        }
        for producer in rows(&mut table, "queues", "producers") {
            prefix(producer, "queue", names);
        }
        for (row, key) in services(&mut table) {
            if text(row, key).is_some_and(|service| own.contains(service)) {
                prefix(row, key, names);
            }
        }
        match role {
            Role::Producer => {
                materializations(&mut table, config.materializations);
                queues::add_producers(&mut table, config.queue_shards);
            }
            Role::Consumer => queues::add_consumers(&mut table, config.queue_shards),
        }
        let vars = match role {
            Role::Consumer => &config.consumer_vars,
            Role::Producer => &config.producer_vars,
        };
        let table_of_vars = table.entry("vars").or_insert_with(|| Value::Table(Table::new())).as_table_mut();
        let shape = |what: &str| TemplateError::Shape { worker: role.as_str(), what: what.to_owned() };
        let table_of_vars = table_of_vars.ok_or_else(|| shape("`vars` is no table"))?;
        table_of_vars.extend(vars.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str()))));
        if role == Role::Producer && config.queue_shards > 1 {
            table_of_vars.insert(queues::QUEUE_SHARDS.to_owned(), config.queue_shards.to_string().into());
        }
        if role == Role::Consumer && config.cdn_url != tributary_local::cdn::BASE_URL {
            table_of_vars.insert(CDN_URL.to_owned(), config.cdn_url.as_str().into());
        }
        let mut namespaces = BTreeMap::new();
        for namespace in namespace_rows(&mut table) {
            let id = text(namespace, "id").ok_or_else(|| shape("a KV namespace has no `id`"))?;
            namespaces.insert(id.to_owned(), names.namespace(id));
        }
        Ok(Self { role, name: names.of(name), table, namespaces })
    }

    /// Which Worker it is.
    #[must_use]
    pub fn role(&self) -> Role {
        self.role
    }

    /// Its name in the account.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Titles of its KV namespaces by placeholder.
    #[must_use]
    pub fn namespaces(&self) -> &BTreeMap<String, String> {
        &self.namespaces
    }

    /// Title of the namespace that is bound as `binding`.
    #[must_use]
    pub fn namespace_of(&self, binding: &str) -> Option<&str> {
        let rows = self.table.get("kv_namespaces")?.as_array()?.iter().filter_map(Value::as_table);
        let row = rows.into_iter().find(|row| text(row, "binding") == Some(binding))?;
        self.namespaces.get(text(row, "id")?).map(String::as_str)
    }

    /// The queues that it needs: those that it writes to, reads, and gives up to.
    #[must_use]
    pub fn queues(&self) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        for (kind, keys) in [("producers", &["queue"][..]), ("consumers", &["queue", "dead_letter_queue"])] {
            for row in self.rows("queues", kind) {
                names.extend(keys.iter().filter_map(|key| text(row, key)).map(str::to_owned));
            }
        }
        names
    }

    /// The delta queues that nobody sends to any more, of those that are there: left over where there were more of them. The
    /// consumer of this installation goes on with them, or begins to, so that nothing in them is stranded.
    pub fn drain(&mut self, there: &[Queue], own: &[String]) {
        let first = self.rows("queues", "consumers").filter_map(|row| text(row, "queue"));
        let first = first.filter(|queue| !is_dead_letter_queue(queue)).min().map(str::to_owned);
        let Some(first) = first.filter(|_| self.role == Role::Consumer) else { return };
        let is_own = |script: Option<&str>| script.is_some_and(|script| own.iter().any(|name| name == script));
        let is_ours = |queue: &&Queue| {
            queue.consumers.iter().all(|consumer| is_own(consumer.script.as_deref()))
                && queue.producers.iter().all(|producer| is_own(producer.script.as_deref()))
        };
        for queue in there.iter().filter(is_ours) {
            if let Some(number) = queues::number_of(&queue.name, &first) {
                queues::add_consumer(&mut self.table, number);
            }
        }
    }

    /// How it consumes.
    #[must_use]
    pub fn consumers(&self) -> Vec<ConsumerWish> {
        let number =
            |row: &Table, key: &str| row.get(key).and_then(Value::as_integer).and_then(|n| u64::try_from(n).ok());
        self.rows("queues", "consumers")
            .filter_map(|row| {
                Some(ConsumerWish {
                    queue: text(row, "queue")?.to_owned(),
                    dead_letter_queue: text(row, "dead_letter_queue").map(str::to_owned),
                    settings: ConsumerSettings {
                        batch_size: number(row, "max_batch_size"),
                        max_retries: number(row, "max_retries"),
                        max_wait_time_ms: number(row, "max_batch_timeout").map(|seconds| seconds.saturating_mul(1_000)),
                        retry_delay: number(row, "retry_delay"),
                    },
                })
            })
            .collect()
    }

    /// Its cron expressions, sorted.
    #[must_use]
    pub fn crons(&self) -> Vec<String> {
        let crons = self.table.get("triggers").and_then(|triggers| triggers.get("crons")).and_then(Value::as_array);
        let mut crons: Vec<String> = crons.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
        crons.sort();
        crons
    }

    /// Its hosts.
    #[must_use]
    pub fn hosts(&self) -> Hosts {
        Hosts { enabled: self.role == Role::Producer, previews_enabled: false }
    }

    /// What it is bound to, sorted, without the mark and without secrets; `None` where an id is not known.
    #[must_use]
    pub fn bindings(&self, ids: &Ids) -> Option<Vec<Binding>> {
        let mut bindings = Vec::new();
        let mut add = |name: Option<&str>, kind: &str, value: Option<&str>| {
            bindings.extend(name.zip(value).map(|(name, value)| Binding {
                name: name.to_owned(),
                kind: kind.to_owned(),
                value: value.to_owned(),
            }));
        };
        for (name, value) in self.table.get("vars").and_then(Value::as_table).into_iter().flatten() {
            match value {
                Value::String(value) => add(Some(name), Binding::VAR, Some(value)),
                other => add(Some(name), "json", Some(&serde_json::to_value(other).unwrap_or_default().to_string())),
            }
        }
        for row in self.table.get("kv_namespaces").and_then(Value::as_array).into_iter().flatten() {
            let row = row.as_table()?;
            add(text(row, "binding"), "kv_namespace", Some(ids.get(text(row, "id")?)?));
        }
        for row in self.rows("queues", "producers") {
            add(text(row, "binding"), "queue", text(row, "queue"));
        }
        for row in
            self.table.get("services").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_table)
        {
            add(text(row, "binding"), "service", text(row, "service"));
        }
        for row in self.rows("durable_objects", "bindings") {
            add(text(row, "name"), "durable_object_namespace", text(row, "class_name"));
        }
        bindings.sort();
        Some(bindings)
    }

    /// Everything that is uploaded beside the modules, but for the mark, in one spelling; `None` where an id is not
    /// known.
    #[must_use]
    pub fn configuration(&self, ids: &Ids) -> Option<String> {
        let mut table = self.with_ids(ids)?;
        table.remove("main");
        toml::to_string(&table).ok()
    }

    /// The configuration file for wrangler, with the absolute path of the Worker's first module.
    ///
    /// # Errors
    /// [`TemplateError::Write`]: an id is not known, or the path is not UTF-8.
    pub fn render(&self, ids: &Ids, main: &Path, mark: &Mark) -> Result<String, TemplateError> {
        let failed = |reason: &str| TemplateError::Write { worker: self.role.as_str(), reason: reason.to_owned() };
        let mut table = self.with_ids(ids).ok_or_else(|| failed("a KV namespace has no id"))?;
        let main = main.to_str().ok_or_else(|| failed("the path of the build output is not UTF-8"))?;
        table.insert("main".to_owned(), main.into());
        if let Some(vars) = table.get_mut("vars").and_then(Value::as_table_mut) {
            vars.insert(MARK_VAR.to_owned(), mark.to_text().into());
        }
        toml::to_string(&table).map_err(|error| failed(&error.to_string()))
    }

    fn with_ids(&self, ids: &Ids) -> Option<Table> {
        let mut table = self.table.clone();
        for namespace in namespace_rows(&mut table) {
            let id = ids.get(text(namespace, "id")?)?;
            namespace.insert("id".to_owned(), id.as_str().into());
        }
        Some(table)
    }

    fn rows(&self, table: &str, key: &str) -> impl Iterator<Item = &Table> {
        let rows = self.table.get(table).and_then(|table| table.get(key)).and_then(Value::as_array);
        rows.into_iter().flatten().filter_map(Value::as_table)
    }
}

fn text<'a>(row: &'a Table, key: &str) -> Option<&'a str> {
    row.get(key)?.as_str()
}

fn prefix(row: &mut Table, key: &str, names: &Names) {
    if let Some(Value::String(name)) = row.get_mut(key) {
        *name = names.of(name);
    }
}

fn rows<'a>(table: &'a mut Table, outer: &str, key: &str) -> impl Iterator<Item = &'a mut Table> {
    let rows = table.get_mut(outer).and_then(|outer| outer.get_mut(key)).and_then(Value::as_array_mut);
    rows.into_iter().flatten().filter_map(Value::as_table_mut)
}

fn namespace_rows(table: &mut Table) -> impl Iterator<Item = &mut Table> {
    let rows = table.get_mut("kv_namespaces").and_then(Value::as_array_mut);
    rows.into_iter().flatten().filter_map(Value::as_table_mut)
}

/// Everything that names another Worker: service bindings, Durable Objects of another script, tail consumers.
fn services(table: &mut Table) -> Vec<(&mut Table, &'static str)> {
    let mut found = Vec::new();
    for (name, value) in table.iter_mut() {
        let (rows, key) = match name.as_str() {
            "services" | "tail_consumers" => (value.as_array_mut(), "service"),
            "durable_objects" => (value.get_mut("bindings").and_then(Value::as_array_mut), "script_name"),
            _ => continue,
        };
        found.extend(rows.into_iter().flatten().filter_map(Value::as_table_mut).map(|row| (row, key)));
    }
    found
}

fn set_batches(consumer: &mut Table, batches: Batches) {
    let settings = [
        ("max_batch_size", batches.size),
        ("max_batch_timeout", batches.timeout),
        ("max_retries", batches.retries),
        ("retry_delay", batches.retry_delay),
    ];
    for (key, value) in settings {
        if let Some(value) = value.and_then(|value| i64::try_from(value).ok()) {
            consumer.insert(key.to_owned(), value.into());
        }
    }
}

/// Adds the namespace of sticky assignments where it is wanted and missing, and takes it out where it is not wanted.
fn materializations(table: &mut Table, is_wanted: bool) {
    let rows = table.entry("kv_namespaces").or_insert_with(|| Value::Array(Vec::new()));
    let Some(rows) = rows.as_array_mut() else { return };
    let is_binding = |row: &Value| row.get("binding").and_then(Value::as_str) == Some(MATERIALIZATIONS_KV);
    if !is_wanted {
        rows.retain(|row| !is_binding(row));
    } else if !rows.iter().any(is_binding) {
        let row = [("binding", MATERIALIZATIONS_KV), ("id", MATERIALIZATIONS)];
        rows.push(Value::Table(row.into_iter().map(|(key, value)| (key.to_owned(), value.into())).collect()));
    }
}

#[cfg(test)]
#[path = "template_tests.rs"]
mod tests;
