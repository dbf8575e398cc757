//! What stands in the way of a deploy: names that are taken by others. Pure.

use std::fmt;

use crate::observe::Observed;
use crate::plan::{Desired, titles};

/// Something of our names that is not ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Conflict {
    /// A Worker.
    Worker(String),
    /// A queue whose messages somebody else takes.
    Queue {
        /// The queue.
        name: String,
        /// The Worker that takes them; `None`: somebody pulls them.
        by: Option<String>,
    },
    /// A KV namespace with a key that we do not write.
    Namespace {
        /// Its title.
        title: String,
        /// The key.
        key: String,
    },
    /// The account has no workers.dev subdomain.
    NoSubdomain,
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Worker(name) => write!(
                f,
                "a Worker named {name} exists, and no deploy of Tributary made it. Choose other names with --prefix, or \
                 replace it with --adopt"
            ),
            Self::Queue { name, by: Some(by) } => write!(
                f,
                "the queue {name} is consumed by the Worker {by}. Choose other names with --prefix, or detach it: \
                 wrangler queues consumer remove {name} {by}"
            ),
            Self::Queue { name, by: None } => write!(
                f,
                "the queue {name} is consumed by HTTP pulls. Choose other names with --prefix, or remove its pull \
                 consumer: wrangler queues consumer http remove {name}"
            ),
            Self::Namespace { title, key } => write!(
                f,
                "a KV namespace titled {title} exists and holds a key that is not Tributary's ({}). Choose other names \
                 with --prefix, or use it with --adopt",
                shown(key)
            ),
            Self::NoSubdomain => f.write_str(
                "the account has no workers.dev subdomain yet. Choose one at \
                 https://dash.cloudflare.com/?to=/:account/workers/subdomain",
            ),
        }
    }
}

/// A foreign key, cut to what fits a line.
fn shown(key: &str) -> String {
    key.chars().take(40).map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// Looks for them.
#[must_use]
pub fn conflicts(desired: &Desired, observed: &Observed) -> Vec<Conflict> {
    let mut conflicts = Vec::new();
    if observed.subdomain.is_none() {
        conflicts.push(Conflict::NoSubdomain);
    }
    for worker in &desired.workers {
        let there = observed.workers.get(&worker.template.role());
        if there.is_some_and(|there| there.mark.is_none()) && !desired.adopt {
            conflicts.push(Conflict::Worker(worker.template.name().to_owned()));
        }
        for wish in worker.template.consumers() {
            let queue = observed.queues.get(&wish.queue);
            for consumer in queue.map(|queue| queue.consumers.as_slice()).unwrap_or_default() {
                let by =
                    if consumer.kind == "http_pull" { None } else { Some(consumer.script.clone().unwrap_or_default()) };
                if by.as_deref() != Some(worker.template.name()) {
                    conflicts.push(Conflict::Queue { name: wish.queue.clone(), by });
                }
            }
        }
    }
    for title in titles(desired) {
        let key = observed.namespaces.get(&title).and_then(|namespace| namespace.foreign_key.clone());
        conflicts.extend(key.filter(|_| !desired.adopt).map(|key| Conflict::Namespace { title, key }));
    }
    conflicts
}
