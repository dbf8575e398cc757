//! What is missing: what is wanted, compared with what is there. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::cloudflare::queues::Queue;
use crate::cloudflare::workers::Binding;
use crate::config::secrets::STATE_ENCRYPTION_KEY;
use crate::config::vars::Role;
use crate::conflict::{self, Conflict};
use crate::content;
use crate::mark::{MARK_VAR, Mark};
use crate::observe::{Observed, ObservedWorker};
use crate::template::{self, ConsumerWish, Ids, Template};

/// What is wanted.
#[derive(Debug, Clone)]
pub struct Desired {
    /// Both Workers, in the order of a deploy.
    pub workers: Vec<DesiredWorker>,
    /// The resolver state to write, if there is a new one.
    pub state: Option<StateWrite>,
    /// Take over what is there under our names though no deploy of ours made it.
    pub adopt: bool,
}

/// One Worker.
#[derive(Debug, Clone)]
pub struct DesiredWorker {
    /// Its configuration.
    pub template: Template,
    /// Hash of its modules.
    pub modules: String,
    /// Its secrets.
    pub secrets: Vec<SecretWish>,
}

/// A secret that a Worker should have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretWish {
    /// Its name.
    pub name: &'static str,
    /// [`crate::mark::fingerprint`] of the value that was given; `None`: it is made up where the Worker has none.
    pub given: Option<String>,
    /// Make up a new one though there is one.
    pub renew: bool,
}

/// A resolver state that is not the one in KV.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateWrite {
    /// Title of its namespace.
    pub namespace: String,
    /// Its size.
    pub bytes: usize,
    /// Its ETag at the CDN.
    pub etag: Option<String>,
}

/// What there is to do, in this order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// The steps.
    pub steps: Vec<Step>,
    /// What stays as it is, in words.
    pub unchanged: Vec<String>,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A queue that is not there.
    CreateQueue(String),
    /// A KV namespace that is not there, by its title.
    CreateNamespace(String),
    /// A resolver state to write.
    PutState(StateWrite),
    /// A new version of a Worker, with everything that hangs on it.
    Upload(Upload),
    /// The queues, hosts and schedules of a Worker whose version is right.
    Triggers {
        /// Which Worker.
        role: Role,
        /// What of them differs.
        differ: Vec<String>,
    },
}

/// An upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upload {
    /// Which Worker.
    pub role: Role,
    /// Why.
    pub reasons: Vec<Reason>,
    /// Secrets that are set with it.
    pub secrets: Vec<SecretChange>,
}

/// A secret that an upload sets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretChange {
    /// Its name.
    pub name: &'static str,
    /// It is made up.
    pub is_made_up: bool,
    /// The Worker has one of this name.
    pub replaces: bool,
}

/// Why a Worker is uploaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// It is not there.
    New,
    /// It is there, but no deploy of ours made it.
    Adopted,
    /// Code or configuration are not those of the deploy before.
    Content,
    /// A namespace of it is not there.
    Namespace,
    /// Somebody changed these bindings.
    ChangedOutside(Vec<String>),
    /// These secrets are to be set.
    Secrets,
    /// Several versions share the requests.
    Gradual,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::New => f.write_str("new"),
            Self::Adopted => f.write_str("takes over the Worker that is there"),
            Self::Content => f.write_str("code or configuration changed"),
            Self::Namespace => f.write_str("gets a new KV namespace"),
            Self::ChangedOutside(names) => write!(f, "changed outside: {}", names.join(", ")),
            Self::Secrets => f.write_str("secrets changed"),
            Self::Gradual => f.write_str("ends a gradual deployment"),
        }
    }
}

/// What is missing.
///
/// # Errors
/// All conflicts; nothing may be changed then.
pub fn plan(desired: &Desired, observed: &Observed) -> Result<Plan, Vec<Conflict>> {
    let conflicts = conflict::conflicts(desired, observed);
    if !conflicts.is_empty() {
        return Err(conflicts);
    }
    let mut plan = Plan::default();
    for queue in queue_order(desired) {
        match observed.queues.get(&queue) {
            Some(_) if is_drained(desired, &queue) => plan.unchanged.push(format!("queue {queue} ({DRAINED})")),
            Some(_) => plan.unchanged.push(format!("queue {queue}")),
            None => plan.steps.push(Step::CreateQueue(queue)),
        }
    }
    for title in titles(desired) {
        match observed.namespaces.get(&title) {
            Some(_) => plan.unchanged.push(format!("KV namespace {title}")),
            None => plan.steps.push(Step::CreateNamespace(title)),
        }
    }
    if desired.state.is_none() {
        plan.unchanged.push("resolver state".to_owned());
    }
    let state = desired.state.clone().map(Step::PutState);
    let ids = ids(desired, observed);
    let mut workers = Vec::new();
    for worker in &desired.workers {
        match worker_step(worker, observed.workers.get(&worker.template.role()), &ids, &observed.queues) {
            Some(step) => workers.push(step),
            None => plan.unchanged.push(format!("Worker {}", worker.template.name())),
        }
    }
    // The first producer should find a state. One that is there has one, and may have to learn first how to read the next.
    if observed.workers.contains_key(&Role::Producer) {
        if observed.workers.contains_key(&Role::Consumer) && workers.iter().any(teaches_to_decrypt) {
            workers.reverse();
        }
        plan.steps.extend(workers.into_iter().chain(state));
    } else {
        plan.steps.extend(state.into_iter().chain(workers));
    }
    Ok(plan)
}

/// True for the upload that gives the producer the key of encrypted states. The consumer stores none before that.
fn teaches_to_decrypt(step: &Step) -> bool {
    match step {
        Step::Upload(upload) if upload.role == Role::Producer => {
            upload.secrets.iter().any(|change| change.name == STATE_ENCRYPTION_KEY)
        }
        _ => false,
    }
}

/// Ids of the namespaces that are there, by placeholder.
#[must_use]
pub fn ids(desired: &Desired, observed: &Observed) -> Ids {
    let placeholders = desired.workers.iter().flat_map(|worker| worker.template.namespaces());
    placeholders
        .filter_map(|(placeholder, title)| {
            Some((placeholder.clone(), observed.namespaces.get(title)?.namespace.id.clone()))
        })
        .collect()
}

/// What there is to do with one Worker, if anything.
#[must_use]
pub fn worker_step(
    desired: &DesiredWorker,
    observed: Option<&ObservedWorker>,
    ids: &Ids,
    queues: &BTreeMap<String, Queue>,
) -> Option<Step> {
    let role = desired.template.role();
    let mut reasons = Vec::new();
    let none = ObservedWorker::default();
    let there = observed.unwrap_or(&none);
    let mut secrets = secret_changes(&desired.secrets, there);
    match (observed, &there.mark, &there.version) {
        (None, ..) => reasons.push(Reason::New),
        (Some(_), None, _) => reasons.push(Reason::Adopted),
        (Some(there), Some(_), _) if there.is_gradual => reasons.push(Reason::Gradual),
        (Some(_), Some(_), None) => reasons.push(Reason::Content),
        (Some(_), Some(mark), Some(version)) => {
            match content(desired, ids).zip(desired.template.bindings(ids)) {
                None => reasons.push(Reason::Namespace),
                Some((content, _)) if content != mark.content => reasons.push(Reason::Content),
                Some((_, wanted)) => {
                    let differ = different_bindings(&wanted, &version.bindings);
                    if !differ.is_empty() {
                        reasons.push(Reason::ChangedOutside(differ));
                    }
                }
            }
            if !secrets.is_empty() {
                reasons.push(Reason::Secrets);
            }
        }
    }
    if !reasons.is_empty() {
        if there.is_rolled_back {
            add_given(&mut secrets, &desired.secrets, there);
        }
        return Some(Step::Upload(Upload { role, reasons, secrets }));
    }
    let differ = different_triggers(&desired.template, there, queues);
    (!differ.is_empty()).then_some(Step::Triggers { role, differ })
}

/// Hash of what would be uploaded; `None` where an id is not known.
#[must_use]
pub fn content(desired: &DesiredWorker, ids: &Ids) -> Option<String> {
    desired.template.configuration(ids).map(|configuration| content::of(&desired.modules, &configuration))
}

/// The mark of an upload: what was set before stays known.
#[must_use]
pub fn next_mark(
    content: String,
    release: u64,
    before: Option<&Mark>,
    set: BTreeMap<String, String>,
    role: Role,
) -> Mark {
    let mut secrets = before.map(|mark| mark.secrets.clone()).unwrap_or_default();
    secrets.extend(set);
    let ledger_schema = (role == Role::Consumer).then_some(tributary_consumer::ledger::storage::SCHEMA);
    Mark { content, release, ledger_schema, secrets }
}

fn secret_changes(wishes: &[SecretWish], there: &ObservedWorker) -> Vec<SecretChange> {
    let have = there.secrets();
    let known = there.mark.as_ref().map(|mark| &mark.secrets);
    wishes
        .iter()
        .filter_map(|wish| {
            let replaces = have.contains(wish.name);
            let is_right = replaces
                && match &wish.given {
                    Some(fingerprint) => known.and_then(|known| known.get(wish.name)) == Some(fingerprint),
                    None => !wish.renew,
                };
            (!is_right).then_some(SecretChange { name: wish.name, is_made_up: wish.given.is_none(), replaces })
        })
        .collect()
}

/// After a rollback an upload would inherit what was uploaded last, so what is given is set whatever is live.
fn add_given(changes: &mut Vec<SecretChange>, wishes: &[SecretWish], there: &ObservedWorker) {
    let have = there.secrets();
    for wish in wishes.iter().filter(|wish| wish.given.is_some()) {
        if !changes.iter().any(|change| change.name == wish.name) {
            changes.push(SecretChange { name: wish.name, is_made_up: false, replaces: have.contains(wish.name) });
        }
    }
}

/// Names of bindings that differ, of the kinds that can be compared. Secrets are another matter, and so is the mark.
fn different_bindings(wanted: &[Binding], have: &[Binding]) -> Vec<String> {
    const KINDS: [&str; 6] = [Binding::VAR, "json", "kv_namespace", "queue", "service", "durable_object_namespace"];
    let have = have.iter().filter(|binding| KINDS.contains(&binding.kind.as_str()) && binding.name != MARK_VAR);
    let (wanted, have): (BTreeSet<&Binding>, BTreeSet<&Binding>) = (wanted.iter().collect(), have.collect());
    let names: BTreeSet<&String> = wanted.symmetric_difference(&have).map(|binding| &binding.name).collect();
    names.into_iter().cloned().collect()
}

fn different_triggers(template: &Template, there: &ObservedWorker, queues: &BTreeMap<String, Queue>) -> Vec<String> {
    let mut differ = Vec::new();
    for wish in template.consumers() {
        let consumers = queues.get(&wish.queue).map(|queue| queue.consumers.as_slice()).unwrap_or_default();
        let ours = consumers.iter().find(|consumer| consumer.script.as_deref() == Some(template.name()));
        match ours {
            None => differ.push(format!("does not consume {} yet", wish.queue)),
            Some(ours) if !is_consumed_as(&wish, ours) => differ.push(format!("consumes {} otherwise", wish.queue)),
            Some(_) => {}
        }
    }
    if there.hosts != template.hosts() {
        differ.push("hosts on workers.dev".to_owned());
    }
    // Without crons of ours wrangler leaves those that are there, and so do we.
    let crons = template.crons();
    if !crons.is_empty() && there.crons != crons {
        differ.push("schedules".to_owned());
    }
    differ
}

fn is_consumed_as(wish: &ConsumerWish, consumer: &crate::cloudflare::queues::Consumer) -> bool {
    let is_same = |wanted: Option<u64>, have: Option<u64>| wanted.is_none() || wanted == have;
    let (wanted, have) = (&wish.settings, &consumer.settings);
    is_same(wanted.batch_size, have.batch_size)
        && is_same(wanted.max_retries, have.max_retries)
        && is_same(wanted.max_wait_time_ms, have.max_wait_time_ms)
        && is_same(wanted.retry_delay, have.retry_delay)
        && wish.dead_letter_queue == consumer.dead_letter_queue.clone().filter(|name| !name.is_empty())
}

/// What is said of a queue that nobody sends to any more.
pub const DRAINED: &str = "nobody sends to it any more: delete it once it is empty";

/// True for a queue that is consumed and that no Worker of the installation sends to.
fn is_drained(desired: &Desired, queue: &str) -> bool {
    template::is_drained(desired.workers.iter().map(|worker| &worker.template), queue)
}

/// Titles of all namespaces.
pub(crate) fn titles(desired: &Desired) -> BTreeSet<String> {
    desired.workers.iter().flat_map(|worker| worker.template.namespaces().values().cloned()).collect()
}

/// All queues, dead-letter queues first: a queue may name only one that exists.
fn queue_order(desired: &Desired) -> Vec<String> {
    let queues: BTreeSet<String> = desired.workers.iter().flat_map(|worker| worker.template.queues()).collect();
    let (dead, live): (Vec<_>, Vec<_>) =
        queues.into_iter().partition(|name| tributary_consumer::config::is_dead_letter_queue(name));
    dead.into_iter().chain(live).collect()
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
