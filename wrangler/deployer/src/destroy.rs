//! Everything out again. What goes, and in which order, is pure.

use crate::cloudflare::client::Client;
use crate::cloudflare::error::ApiError;
use crate::cloudflare::kv::{self, Namespace};
use crate::cloudflare::queues::{self, Consumer, Queue};
use crate::cloudflare::workers;
use crate::config::vars::Role;
use crate::observe::Observed;
use crate::template::{MATERIALIZATIONS, Template};

/// One thing that goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Removal {
    /// A Worker, with the Durable Objects in it.
    Worker {
        /// Which.
        role: Role,
        /// Its name.
        name: String,
    },
    /// What ties a Worker to a queue.
    Consumer {
        /// The queue.
        queue: Queue,
        /// The tie.
        consumer: Consumer,
    },
    /// A queue with the messages in it.
    Queue(Queue),
    /// A namespace with the keys in it.
    Namespace(Namespace),
}

impl Removal {
    /// What it is, for the list that is confirmed.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::Worker { role: Role::Consumer, name } => {
                format!("Worker {name}, and with it the Ledger: all counters, histograms and dead letters")
            }
            Self::Worker { name, .. } => format!("Worker {name}"),
            Self::Consumer { queue, .. } => format!("consumer of the queue {}", queue.name),
            Self::Queue(queue) => format!("queue {}, with the messages in it", queue.name),
            Self::Namespace(namespace) => {
                format!("KV namespace {} ({}), with the keys in it", namespace.title, namespace.id)
            }
        }
    }
}

/// What goes, in the order in which it goes, and what of our names stays, with the reason.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Removals {
    /// What goes.
    pub removals: Vec<Removal>,
    /// What stays.
    pub left: Vec<String>,
}

/// Works out what goes: first what makes messages, then what takes them, then where they are, then what was kept.
/// An interrupted run that starts again finds the rest.
#[must_use]
pub fn plan(templates: &[Template], observed: &Observed, keep_data: bool) -> Removals {
    let mut removals = Removals::default();
    let worker = |role: Role, removals: &mut Removals| {
        let Some(template) = templates.iter().find(|template| template.role() == role) else { return };
        let name = template.name().to_owned();
        match observed.workers.get(&role) {
            None => {}
            Some(there) if there.mark.is_some() => removals.removals.push(Removal::Worker { role, name }),
            Some(_) => removals.left.push(format!("Worker {name}: no deploy of Tributary made it")),
        }
    };
    worker(Role::Producer, &mut removals);
    let names: Vec<&str> = templates.iter().map(Template::name).collect();
    let is_ours = |consumer: &&Consumer| consumer.script.as_deref().is_some_and(|script| names.contains(&script));
    for queue in observed.queues.values() {
        for consumer in queue.consumers.iter().filter(is_ours) {
            removals.removals.push(Removal::Consumer { queue: queue.clone(), consumer: consumer.clone() });
        }
    }
    worker(Role::Consumer, &mut removals);
    for queue in observed.queues.values() {
        let others = queue.consumers.iter().filter(|consumer| !is_ours(consumer));
        let others: Vec<&str> = others
            .map(|consumer| consumer.script.as_deref().unwrap_or("HTTP pulls"))
            .chain(
                queue
                    .producers
                    .iter()
                    .filter_map(|producer| producer.script.as_deref())
                    .filter(|name| !names.contains(name)),
            )
            .collect();
        if others.is_empty() {
            removals.removals.push(Removal::Queue(queue.clone()));
        } else {
            removals.left.push(format!("queue {}: used by {}", queue.name, others.join(", ")));
        }
    }
    for there in observed.namespaces.values() {
        let title = &there.namespace.title;
        // What sticky assignments are called is the resolver's business.
        let is_open = title.ends_with(MATERIALIZATIONS);
        match &there.foreign_key {
            _ if keep_data => removals.left.push(format!("KV namespace {title}: kept")),
            Some(_) if !is_open => {
                removals
                    .left
                    .push(format!("KV namespace {title}: holds keys that are not Tributary's; delete it yourself"));
            }
            _ => removals.removals.push(Removal::Namespace(there.namespace.clone())),
        }
    }
    removals
}

/// Takes one thing out; what is not there any more is out.
///
/// # Errors
/// [`ApiError`].
pub fn remove(client: &Client, account_id: &str, removal: &Removal) -> Result<(), ApiError> {
    match removal {
        Removal::Worker { name, .. } => workers::delete(client, account_id, name),
        Removal::Consumer { queue, consumer } => queues::detach(client, account_id, queue, consumer),
        Removal::Queue(queue) => queues::delete(client, account_id, queue),
        Removal::Namespace(namespace) => kv::delete(client, account_id, namespace),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::cloudflare::queues::{ConsumerSettings, Producer};
    use crate::config::read::invocation;
    use crate::mark::Mark;
    use crate::observe::{ObservedNamespace, ObservedWorker};
    use crate::template;

    fn templates() -> Vec<Template> {
        let folder = tempfile::tempdir().unwrap();
        let arguments = ["destroy", "--materializations"].map(str::to_owned);
        let config = invocation(&arguments, &BTreeMap::new(), folder.path()).unwrap().config;
        template::load(include_str!("../../consumer.toml"), include_str!("../../producer.toml"), &config).unwrap()
    }

    fn installed() -> Observed {
        let mark = Mark { content: String::new(), release: 1, ledger_schema: None, secrets: BTreeMap::new() };
        let worker = ObservedWorker { mark: Some(mark), ..ObservedWorker::default() };
        let mut observed = Observed::default();
        for role in Role::ALL {
            observed.workers.insert(role, worker.clone());
        }
        for name in ["tributary-deltas", "tributary-deltas-dead"] {
            let consumer = Consumer {
                id: format!("consumer of {name}"),
                kind: "worker".to_owned(),
                script: Some("tributary-consumer".to_owned()),
                dead_letter_queue: None,
                settings: ConsumerSettings::default(),
            };
            let producer = Producer { script: Some("tributary-producer".to_owned()) };
            let queue = Queue {
                id: name.to_owned(),
                name: name.to_owned(),
                consumers: vec![consumer],
                producers: vec![producer],
            };
            observed.queues.insert(name.to_owned(), queue);
        }
        for (title, foreign_key) in
            [("confidence-state", None), ("confidence-metrics", None), ("confidence-materializations", Some("user:1"))]
        {
            let namespace = Namespace { id: title.to_owned(), title: format!("tributary-{title}") };
            let there = ObservedNamespace { namespace, foreign_key: foreign_key.map(str::to_owned) };
            observed.namespaces.insert(there.namespace.title.clone(), there);
        }
        observed
    }

    fn order(removals: &Removals) -> Vec<&str> {
        let kind = |removal: &Removal| match removal {
            Removal::Worker { role: Role::Producer, .. } => "producer",
            Removal::Worker { .. } => "consumer",
            Removal::Consumer { .. } => "tie",
            Removal::Queue(_) => "queue",
            Removal::Namespace(_) => "namespace",
        };
        removals.removals.iter().map(kind).collect()
    }

    #[test]
    fn everything_goes_in_an_order_that_loses_nothing_on_its_way() {
        let removals = plan(&templates(), &installed(), false);
        let expected = ["producer", "tie", "tie", "consumer", "queue", "queue", "namespace", "namespace", "namespace"];
        assert_eq!(order(&removals), expected);
        assert_eq!(removals.left, Vec::<String>::new());
        let ledger = removals.removals.iter().filter(|removal| removal.words().contains("all counters")).count();
        assert_eq!(ledger, 1, "it is said what goes with the consumer");
        assert_eq!(plan(&templates(), &Observed::default(), false), Removals::default());
    }

    #[test]
    fn data_can_be_kept() {
        let removals = plan(&templates(), &installed(), true);
        assert!(!order(&removals).contains(&"namespace"));
        assert_eq!(removals.left.len(), 3);
    }

    #[test]
    fn what_is_not_ours_stays_and_is_named() {
        let mut observed = installed();
        observed.workers.get_mut(&Role::Producer).unwrap().mark = None;
        observed.queues.get_mut("tributary-deltas").unwrap().consumers[0].script = Some("shop".to_owned());
        observed.queues.get_mut("tributary-deltas-dead").unwrap().producers[0].script = Some("shop".to_owned());
        observed.namespaces.get_mut("tributary-confidence-state").unwrap().foreign_key = Some("cart".to_owned());
        let removals = plan(&templates(), &observed, false);
        assert_eq!(order(&removals), ["tie", "consumer", "namespace", "namespace"]);
        let left = removals.left.join("\n");
        for named in [
            "tributary-producer: no deploy",
            "tributary-deltas: used by shop",
            "tributary-deltas-dead: used by shop",
            "tributary-confidence-state: holds keys",
        ] {
            assert!(left.contains(named), "{named} in {left}");
        }
    }
}
