//! What is in the account, as far as it concerns this installation.

use std::collections::{BTreeMap, BTreeSet};

use crate::cloudflare::client::Client;
use crate::cloudflare::error::ApiError;
use crate::cloudflare::kv::{self, Namespace};
use crate::cloudflare::queues::{self, Queue};
use crate::cloudflare::workers::{self, Binding, Hosts, Version};
use crate::config::vars::Role;
use crate::mark::{MARK_VAR, Mark};
use crate::template::Template;

/// The account, seen from this installation.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Observed {
    /// The workers.dev subdomain, if the account has one.
    pub subdomain: Option<String>,
    /// Queues of our names.
    pub queues: BTreeMap<String, Queue>,
    /// KV namespaces of our titles.
    pub namespaces: BTreeMap<String, ObservedNamespace>,
    /// Workers of our names.
    pub workers: BTreeMap<Role, ObservedWorker>,
}

/// A KV namespace of one of our titles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedNamespace {
    /// The namespace.
    pub namespace: Namespace,
    /// A key in it that no Worker of ours wrote; not looked for where one of our Workers is bound to the namespace.
    pub foreign_key: Option<String>,
}

/// A Worker of one of our names.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ObservedWorker {
    /// What is live; of a gradual deployment one of its versions.
    pub version: Option<Version>,
    /// Several versions share the requests.
    pub is_gradual: bool,
    /// What is live was not uploaded last: somebody rolled back. An upload inherits secrets from what was uploaded last.
    pub is_rolled_back: bool,
    /// Its mark, or of a gradual deployment any of them; `None`: no deploy of ours made it.
    pub mark: Option<Mark>,
    /// Its hosts on workers.dev.
    pub hosts: Hosts,
    /// Its cron expressions, sorted.
    pub crons: Vec<String>,
}

impl ObservedWorker {
    /// Names of the secrets that it has.
    #[must_use]
    pub fn secrets(&self) -> BTreeSet<&str> {
        let bindings = self.version.iter().flat_map(|version| &version.bindings);
        bindings.filter(|binding| binding.kind == Binding::SECRET).map(|binding| binding.name.as_str()).collect()
    }
}

/// The mark of a version.
#[must_use]
pub fn mark_of(version: &Version) -> Option<Mark> {
    let var = version.bindings.iter().find(|binding| binding.name == MARK_VAR && binding.kind == Binding::VAR)?;
    Mark::parse(&var.value)
}

/// Looks at the account. Templates learn of delta queues that are left over and have to be emptied ([`Template::drain`]).
///
/// # Errors
/// [`ApiError`].
pub fn observe(client: &Client, account_id: &str, templates: &mut [Template]) -> Result<Observed, ApiError> {
    let mut observed = Observed { subdomain: workers::subdomain(client, account_id)?, ..Observed::default() };
    for template in &*templates {
        observed.workers.extend(worker(client, account_id, template.name())?.map(|worker| (template.role(), worker)));
    }
    let there = queues::list(client, account_id)?;
    let own: Vec<String> = templates.iter().map(|template| template.name().to_owned()).collect();
    templates.iter_mut().for_each(|template| template.drain(&there, &own));
    let names: BTreeSet<String> = templates.iter().flat_map(Template::queues).collect();
    for queue in there {
        if names.contains(&queue.name) {
            observed.queues.insert(queue.name.clone(), queue);
        }
    }
    let titles: BTreeSet<&String> = templates.iter().flat_map(|template| template.namespaces().values()).collect();
    for namespace in kv::list(client, account_id)?.into_iter().filter(|namespace| titles.contains(&namespace.title)) {
        let foreign_key = if is_bound(&observed, &namespace.id) {
            None
        } else {
            kv::first_keys(client, account_id, &namespace)?.into_iter().find(|key| !is_our_key(key))
        };
        observed.namespaces.insert(namespace.title.clone(), ObservedNamespace { namespace, foreign_key });
    }
    Ok(observed)
}

/// Looks at one Worker; `None` where there is none of this name.
///
/// # Errors
/// [`ApiError`].
pub fn worker(client: &Client, account_id: &str, name: &str) -> Result<Option<ObservedWorker>, ApiError> {
    let Some(deployments) = workers::deployments(client, account_id, name)? else { return Ok(None) };
    let mut worker = ObservedWorker {
        hosts: workers::hosts(client, account_id, name)?,
        crons: workers::crons(client, account_id, name)?,
        ..ObservedWorker::default()
    };
    for share in deployments.first().into_iter().flat_map(|deployment| &deployment.versions) {
        let version = workers::version(client, account_id, name, &share.version_id)?;
        let mark = mark_of(&version);
        // A version of ours says more about secrets than one of others.
        if worker.version.is_none() || worker.mark.is_none() && mark.is_some() {
            worker.version = Some(version);
        }
        worker.mark = worker.mark.or(mark);
    }
    let newest = workers::newest_version(client, account_id, name)?;
    worker.is_rolled_back = newest.as_ref() != worker.version.as_ref().map(|version| &version.id);
    worker.is_gradual = deployments.first().is_some_and(|deployment| deployment.whole().is_none());
    Ok(Some(worker))
}

fn is_bound(observed: &Observed, namespace_id: &str) -> bool {
    let ours = observed.workers.values().filter(|worker| worker.mark.is_some());
    ours.filter_map(|worker| worker.version.as_ref()).any(|version| {
        version.bindings.iter().any(|binding| binding.kind == "kv_namespace" && binding.value == namespace_id)
    })
}

/// What the Workers write: the state, the published metrics with whatever follows their names.
fn is_our_key(key: &str) -> bool {
    use tributary_consumer::config::{OPENMETRICS_KEY, SNAPSHOT_KEY, STATE_KEY};
    [OPENMETRICS_KEY, SNAPSHOT_KEY, STATE_KEY].iter().any(|known| key.starts_with(known))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_the_workers_are_known() {
        assert!(["resolver_state", "openmetrics", "snapshot", "snapshot-1"].into_iter().all(is_our_key));
        assert!(!["", "user:1", "state"].into_iter().any(is_our_key));
    }
}
