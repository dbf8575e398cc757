//! What a command is told: flags, environment, `tributary.toml`, defaults, in this order of precedence.
//!
//! [`options`] lists every option once; the file's keys, the flags, the variables, the JSON schema and the table in the
//! docs are held to that list. Secrets come by the environment alone.

pub mod error;
pub mod file;
pub mod options;
pub mod read;
pub mod schema;
pub mod secrets;
pub mod suggest;
pub mod vars;

use std::collections::BTreeMap;

use crate::names::Names;
use secrets::Secrets;

/// Everything that a command may be told about an installation.
#[derive(Debug, Clone)]
pub struct Config {
    /// Names by the prefix.
    pub names: Names,
    /// The account; `None`: the one that the token sees.
    pub account_id: Option<String>,
    /// Whether sticky assignments are stored.
    pub materializations: bool,
    /// Delta queues, 1 to 16.
    pub queue_shards: u32,
    /// How each delta queue is consumed, over `wrangler/consumer.toml`.
    pub batches: Batches,
    /// Where the resolver state comes from.
    pub cdn_url: String,
    /// Vars of the producer, over `wrangler/producer.toml`.
    pub producer_vars: BTreeMap<String, String>,
    /// Vars of the consumer, over `wrangler/consumer.toml`.
    pub consumer_vars: BTreeMap<String, String>,
    /// The secrets of the environment.
    pub secrets: Secrets,
}

/// Settings of the delta queue's consumer; `None` is what `wrangler/consumer.toml` says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Batches {
    /// Messages of one batch.
    pub size: Option<u64>,
    /// Seconds until a batch that is not full is delivered.
    pub timeout: Option<u64>,
    /// Redeliveries before a message goes to the dead-letter queue.
    pub retries: Option<u64>,
    /// Seconds until a redelivery that names no delay of its own.
    pub retry_delay: Option<u64>,
}

/// What a command is told beside the installation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "switches of a command line")]
pub struct Switches {
    /// Plan only.
    pub dry_run: bool,
    /// Ask nothing.
    pub yes: bool,
    /// Take over what is there under our names though no deploy of ours made it.
    pub adopt: bool,
    /// Replace METRICS_TOKEN.
    pub new_metrics_token: bool,
    /// Leave the KV namespaces.
    pub keep_data: bool,
    /// Roll back although the Ledger or the secrets have changed.
    pub force: bool,
    /// Do not ask the Workers after a deploy.
    pub skip_check: bool,
}
