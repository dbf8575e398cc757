use proptest::prelude::*;

use super::*;
use crate::cloudflare::kv::Namespace;
use crate::cloudflare::queues::{Consumer, ConsumerSettings};
use crate::cloudflare::workers::{Hosts, Version};
use crate::config::read::invocation;
use crate::config::secrets::{CLIENT_SECRET, METRICS_TOKEN, TOKEN_KEY};
use crate::observe::ObservedNamespace;
use crate::template;

const CONSUMER: &str = include_str!("../../consumer.toml");
const PRODUCER: &str = include_str!("../../producer.toml");

fn desired(arguments: &[&str]) -> Desired {
    let arguments: Vec<String> = [&["deploy"], arguments].concat().iter().map(|a| (*a).to_owned()).collect();
    let folder = tempfile::tempdir().unwrap();
    let config = invocation(&arguments, &BTreeMap::new(), folder.path()).unwrap().config;
    let wish = |name, given: Option<&str>| SecretWish { name, given: given.map(str::to_owned), renew: false };
    let secrets = |role| match role {
        Role::Consumer => vec![wish(CLIENT_SECRET, Some("c1")), wish(METRICS_TOKEN, None)],
        Role::Producer => vec![wish(TOKEN_KEY, None)],
    };
    let workers = template::load(CONSUMER, PRODUCER, &config).unwrap().into_iter();
    let workers = workers.map(|template| {
        let role = template.role();
        DesiredWorker { template, modules: format!("modules of {}", role.as_str()), secrets: secrets(role) }
    });
    let state = StateWrite { namespace: "tributary-confidence-state".to_owned(), bytes: 1, etag: None };
    Desired { workers: workers.collect(), state: Some(state), adopt: false }
}

/// Cloudflare, as far as a plan can see it.
#[derive(Debug, Clone, PartialEq)]
struct Model {
    account: Observed,
    has_state: bool,
    ids: u64,
    releases: u64,
}

impl Model {
    fn fresh() -> Self {
        let account = Observed { subdomain: Some("acme".to_owned()), ..Observed::default() };
        Self { account, has_state: false, ids: 0, releases: 0 }
    }

    fn plan(&self, desired: &Desired) -> Result<Plan, Vec<Conflict>> {
        let state = desired.state.clone().filter(|_| !self.has_state);
        plan(&Desired { state, ..desired.clone() }, &self.account)
    }

    fn deploy(&mut self, desired: &Desired) {
        for step in self.plan(desired).unwrap().steps {
            self.apply(desired, &step);
        }
    }

    fn apply(&mut self, desired: &Desired, step: &Step) {
        self.ids += 1;
        let id = format!("id-{}", self.ids);
        match step {
            Step::CreateQueue(name) => {
                let queue = Queue { id, name: name.clone(), consumers: Vec::new(), producers: Vec::new() };
                assert_eq!(self.account.queues.insert(name.clone(), queue), None);
            }
            Step::CreateNamespace(title) => {
                let namespace = Namespace { id, title: title.clone() };
                let there = ObservedNamespace { namespace, foreign_key: None };
                assert_eq!(self.account.namespaces.insert(title.clone(), there), None);
            }
            Step::PutState(write) => {
                assert!(self.account.namespaces.contains_key(&write.namespace));
                self.has_state = true;
            }
            Step::Upload(upload) => self.upload(desired, upload),
            Step::Triggers { role, .. } => self.attach(desired, *role),
        }
    }

    fn upload(&mut self, desired: &Desired, upload: &Upload) {
        self.releases += 1;
        let worker = desired.workers.iter().find(|worker| worker.template.role() == upload.role).unwrap();
        let ids = ids(desired, &self.account);
        let there = self.account.workers.get(&upload.role).cloned().unwrap_or_default();
        let prints = upload.secrets.iter().map(|change| {
            let wish = worker.secrets.iter().find(|wish| wish.name == change.name).unwrap();
            (change.name.to_owned(), wish.given.clone().unwrap_or_else(|| format!("made up in {}", self.releases)))
        });
        let content = content(worker, &ids).expect("every namespace is there by now");
        let mark = next_mark(content, self.releases, there.mark.as_ref(), prints.collect(), upload.role);
        let mut secrets: BTreeSet<String> = there.secrets().into_iter().map(str::to_owned).collect();
        secrets.extend(upload.secrets.iter().map(|change| change.name.to_owned()));
        let of =
            |name: &str, kind: &str, value: String| Binding { name: name.to_owned(), kind: kind.to_owned(), value };
        let mut bindings = worker.template.bindings(&ids).unwrap();
        bindings.push(of(MARK_VAR, Binding::VAR, mark.to_text()));
        bindings.push(of("CF_VERSION_METADATA", "version_metadata", String::new()));
        bindings.extend(secrets.iter().map(|name| of(name, Binding::SECRET, String::new())));
        let version =
            Version { id: format!("v{}", self.releases), number: self.releases, bindings, migration_tag: None };
        let there = ObservedWorker {
            version: Some(version),
            mark: Some(mark),
            is_gradual: false,
            is_rolled_back: false,
            ..there
        };
        self.account.workers.insert(upload.role, there);
        self.attach(desired, upload.role);
    }

    fn attach(&mut self, desired: &Desired, role: Role) {
        let template = &desired.workers.iter().find(|worker| worker.template.role() == role).unwrap().template;
        for wish in template.consumers() {
            let queue = self.account.queues.get_mut(&wish.queue).expect("queues come first");
            if let Some(dead) = &wish.dead_letter_queue {
                assert_ne!(dead, &queue.name);
            }
            queue.consumers.retain(|consumer| consumer.script.as_deref() != Some(template.name()));
            queue.consumers.push(Consumer {
                id: "c".to_owned(),
                kind: "worker".to_owned(),
                script: Some(template.name().to_owned()),
                dead_letter_queue: wish.dead_letter_queue,
                settings: wish.settings,
            });
        }
        let there = self.account.workers.get_mut(&role).expect("a Worker without a version has no triggers");
        there.hosts = template.hosts();
        if !template.crons().is_empty() {
            there.crons = template.crons();
        }
    }
}

#[test]
fn a_fresh_account_gets_everything_in_an_order_that_works_and_a_second_run_nothing() {
    let (mut model, desired) = (Model::fresh(), desired(&[]));
    let plan = model.plan(&desired).unwrap();
    let kinds: Vec<String> = plan
        .steps
        .iter()
        .map(|step| match step {
            Step::CreateQueue(name) | Step::CreateNamespace(name) => name.clone(),
            Step::PutState(_) => "state".to_owned(),
            Step::Upload(upload) => format!("{}: {}", upload.role.as_str(), upload.reasons[0]),
            Step::Triggers { .. } => "triggers".to_owned(),
        })
        .collect();
    let expected = [
        "tributary-deltas-dead",
        "tributary-deltas",
        "tributary-confidence-metrics",
        "tributary-confidence-state",
        "state",
        "consumer: new",
        "producer: new",
    ];
    assert_eq!(kinds, expected);
    model.deploy(&desired);
    let again = model.plan(&desired).unwrap();
    assert_eq!(again.steps, []);
    assert_eq!(again.unchanged.len(), 7);
}

#[test]
fn new_code_uploads_that_worker_alone_and_keeps_its_secrets() {
    let (mut model, mut desired) = (Model::fresh(), desired(&[]));
    model.deploy(&desired);
    desired.workers[1].modules = "new".to_owned();
    let steps = model.plan(&desired).unwrap().steps;
    assert_eq!(
        steps,
        [Step::Upload(Upload { role: Role::Producer, reasons: vec![Reason::Content], secrets: Vec::new() })]
    );
    let print = |model: &Model| model.account.workers[&Role::Producer].mark.clone().unwrap().secrets;
    let before = print(&model);
    model.deploy(&desired);
    assert_eq!(print(&model), before);
}

#[test]
fn secrets_are_made_up_once_and_given_ones_replaced_when_they_change() {
    let (mut model, mut desired) = (Model::fresh(), desired(&[]));
    model.deploy(&desired);
    desired.workers[0].secrets[0].given = Some("c2".to_owned());
    let Step::Upload(upload) = model.plan(&desired).unwrap().steps.remove(0) else { panic!("no upload") };
    let expected = SecretChange { name: CLIENT_SECRET, is_made_up: false, replaces: true };
    assert_eq!((upload.reasons, upload.secrets), (vec![Reason::Secrets], vec![expected]));
    model.deploy(&desired);
    assert_eq!(model.plan(&desired).unwrap().steps, []);
    desired.workers[0].secrets[1].renew = true;
    let Step::Upload(upload) = model.plan(&desired).unwrap().steps.remove(0) else { panic!("no upload") };
    assert_eq!(upload.secrets, [SecretChange { name: METRICS_TOKEN, is_made_up: true, replaces: true }]);
}

#[test]
fn a_producer_learns_to_decrypt_before_anything_encrypted_is_stored() {
    let (mut model, mut desired) = (Model::fresh(), desired(&[]));
    model.deploy(&desired);
    model.has_state = false;
    for worker in &mut desired.workers {
        let wish = SecretWish { name: STATE_ENCRYPTION_KEY, given: Some("k".to_owned()), renew: false };
        worker.secrets.push(wish);
    }
    let steps = model.plan(&desired).unwrap().steps;
    let roles: Vec<Option<Role>> = steps
        .iter()
        .map(|step| match step {
            Step::Upload(upload) => Some(upload.role),
            _ => None,
        })
        .collect();
    assert_eq!(roles, [Some(Role::Producer), Some(Role::Consumer), None]);
    assert!(matches!(steps.last(), Some(Step::PutState(_))));
}

#[test]
fn after_a_rollback_an_upload_sets_what_is_given_and_nothing_is_uploaded_for_that_alone() {
    let (mut model, mut desired) = (Model::fresh(), desired(&[]));
    model.deploy(&desired);
    model.account.workers.get_mut(&Role::Consumer).unwrap().is_rolled_back = true;
    assert_eq!(model.plan(&desired).unwrap().steps, []);
    desired.workers[0].modules = "new".to_owned();
    let Step::Upload(upload) = model.plan(&desired).unwrap().steps.remove(0) else { panic!("no upload") };
    assert_eq!(upload.secrets, [SecretChange { name: CLIENT_SECRET, is_made_up: false, replaces: true }]);
}

#[test]
fn what_somebody_changed_by_hand_is_named_and_put_right() {
    let (mut model, desired) = (Model::fresh(), desired(&[]));
    model.deploy(&desired);
    let version = model.account.workers.get_mut(&Role::Consumer).unwrap().version.as_mut().unwrap();
    version.bindings.iter_mut().find(|binding| binding.name == "METRICS_SOURCE").unwrap().value = "ledger".to_owned();
    let Step::Upload(upload) = model.plan(&desired).unwrap().steps.remove(0) else { panic!("no upload") };
    assert_eq!(upload.reasons, [Reason::ChangedOutside(vec!["METRICS_SOURCE".to_owned()])]);
    model.deploy(&desired);
    model.account.queues.get_mut("tributary-deltas").unwrap().consumers[0].settings.batch_size = Some(1);
    let steps = model.plan(&desired).unwrap().steps;
    let differ = vec!["consumes tributary-deltas otherwise".to_owned()];
    assert_eq!(steps, [Step::Triggers { role: Role::Consumer, differ }]);
}

#[test]
fn what_is_not_ours_is_a_conflict_unless_it_is_adopted() {
    let mut model = Model::fresh();
    let mut desired = desired(&[]);
    model.account.subdomain = None;
    model.account.workers.insert(Role::Consumer, ObservedWorker::default());
    let consumer = |kind: &str, script: Option<&str>| Consumer {
        id: "c".to_owned(),
        kind: kind.to_owned(),
        script: script.map(str::to_owned),
        dead_letter_queue: None,
        settings: ConsumerSettings::default(),
    };
    for (name, consumer) in
        [("tributary-deltas", consumer("worker", Some("shop"))), ("tributary-deltas-dead", consumer("http_pull", None))]
    {
        let queue =
            Queue { id: "q".to_owned(), name: name.to_owned(), consumers: vec![consumer], producers: Vec::new() };
        model.account.queues.insert(name.to_owned(), queue);
    }
    let title = "tributary-confidence-state".to_owned();
    let namespace = Namespace { id: "n".to_owned(), title: title.clone() };
    model
        .account
        .namespaces
        .insert(title.clone(), ObservedNamespace { namespace, foreign_key: Some("cart:1".to_owned()) });
    let expected = [
        Conflict::NoSubdomain,
        Conflict::Worker("tributary-consumer".to_owned()),
        Conflict::Queue { name: "tributary-deltas".to_owned(), by: Some("shop".to_owned()) },
        Conflict::Queue { name: "tributary-deltas-dead".to_owned(), by: None },
        Conflict::Namespace { title, key: "cart:1".to_owned() },
    ];
    assert_eq!(model.plan(&desired).unwrap_err(), expected);
    for conflict in expected {
        let text = conflict.to_string();
        assert!(text.contains("--prefix") || text.contains("https://"), "what to do: {text}");
    }
    desired.adopt = true;
    let left = model.plan(&desired).unwrap_err();
    assert_eq!(left.len(), 3, "a queue has one consumer, and an account one subdomain: {left:?}");
}

/// What can happen to an installation from outside, or by a deploy that did not end.
#[derive(Debug, Clone)]
enum Damage {
    LoseQueue(usize),
    LoseNamespace(usize),
    LoseWorker(bool),
    LoseSecrets(bool),
    LoseBinding(bool, usize),
    AddVar(bool),
    Gradual(bool),
    OtherContent(bool),
    Detach(usize),
    Resettle(usize, usize, u64),
    Hosts(bool, bool),
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        (0..2usize).prop_map(Damage::LoseQueue),
        (0..3usize).prop_map(Damage::LoseNamespace),
        any::<bool>().prop_map(Damage::LoseWorker),
        any::<bool>().prop_map(Damage::LoseSecrets),
        (any::<bool>(), 0..20usize).prop_map(|(consumer, index)| Damage::LoseBinding(consumer, index)),
        any::<bool>().prop_map(Damage::AddVar),
        any::<bool>().prop_map(Damage::Gradual),
        any::<bool>().prop_map(Damage::OtherContent),
        (0..2usize).prop_map(Damage::Detach),
        (0..2usize, 0..5usize, 0..200u64).prop_map(|(queue, what, number)| Damage::Resettle(queue, what, number)),
        (any::<bool>(), any::<bool>()).prop_map(|(consumer, enabled)| Damage::Hosts(consumer, enabled)),
    ]
}

fn strike(account: &mut Observed, damage: &Damage) {
    let role = |is_consumer: &bool| if *is_consumer { Role::Consumer } else { Role::Producer };
    let nth = |names: Vec<String>, index: &usize| names.get(*index).cloned().unwrap_or_default();
    let queue = |account: &Observed, index| nth(account.queues.keys().cloned().collect(), index);
    match damage {
        Damage::LoseQueue(index) => drop(account.queues.remove(&queue(account, index))),
        Damage::LoseNamespace(index) => {
            account.namespaces.remove(&nth(account.namespaces.keys().cloned().collect(), index));
        }
        Damage::LoseWorker(consumer) => drop(account.workers.remove(&role(consumer))),
        Damage::LoseSecrets(consumer) => {
            if let Some(version) = account.workers.get_mut(&role(consumer)).and_then(|worker| worker.version.as_mut()) {
                version.bindings.retain(|binding| binding.kind != Binding::SECRET);
            }
        }
        Damage::LoseBinding(consumer, index) => {
            if let Some(version) = account.workers.get_mut(&role(consumer)).and_then(|worker| worker.version.as_mut()) {
                let index = *index;
                if index < version.bindings.len() && version.bindings[index].name != MARK_VAR {
                    version.bindings.remove(index);
                }
            }
        }
        Damage::AddVar(consumer) => {
            if let Some(version) = account.workers.get_mut(&role(consumer)).and_then(|worker| worker.version.as_mut()) {
                let var = Binding { name: "BY_HAND".to_owned(), kind: Binding::VAR.to_owned(), value: String::new() };
                version.bindings.push(var);
            }
        }
        Damage::Gradual(consumer) => {
            account.workers.get_mut(&role(consumer)).into_iter().for_each(|worker| worker.is_gradual = true);
        }
        Damage::OtherContent(consumer) => {
            if let Some(mark) = account.workers.get_mut(&role(consumer)).and_then(|worker| worker.mark.as_mut()) {
                mark.content = "other".to_owned();
            }
        }
        Damage::Detach(index) => {
            let name = queue(account, index);
            account.queues.get_mut(&name).into_iter().for_each(|queue| queue.consumers.clear());
        }
        Damage::Resettle(index, what, number) => {
            let name = queue(account, index);
            for consumer in account.queues.get_mut(&name).into_iter().flat_map(|queue| &mut queue.consumers) {
                let settings = &mut consumer.settings;
                match what {
                    0 => settings.batch_size = Some(*number),
                    1 => settings.max_retries = Some(*number),
                    2 => settings.max_wait_time_ms = Some(*number),
                    3 => settings.retry_delay = Some(*number),
                    _ => consumer.dead_letter_queue = Some("elsewhere".to_owned()),
                }
            }
        }
        Damage::Hosts(consumer, enabled) => {
            let hosts = Hosts { enabled: *enabled, previews_enabled: true };
            account.workers.get_mut(&role(consumer)).into_iter().for_each(|worker| worker.hosts = hosts);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    /// Whatever happened, a run that is cut off after any step and one that is not leave an account that wants nothing.
    #[test]
    fn plans_lead_to_what_is_desired_from_anywhere_and_wherever_they_are_cut_off(
        begins_deployed in any::<bool>(),
        strikes in prop::collection::vec(damage(), 0..5),
        cuts in prop::collection::vec(0..8usize, 0..4),
        prefix in any::<bool>(),
        materializations in any::<bool>(),
    ) {
        let mut arguments = Vec::new();
        if prefix { arguments.push("--prefix=eu") }
        if materializations { arguments.push("--materializations") }
        let mut desired = desired(&arguments);
        desired.state.as_mut().unwrap().namespace =
            desired.workers[0].template.namespace_of(template::STATE_KV).unwrap().to_owned();
        let mut model = Model::fresh();
        let prints = |model: &Model| -> Vec<BTreeMap<String, String>> {
            model.account.workers.values().filter_map(|worker| Some(worker.mark.clone()?.secrets)).collect()
        };
        let mut before = None;
        if begins_deployed {
            model.deploy(&desired);
            let loses = |damage: &Damage| {
                matches!(damage, Damage::LoseWorker(_) | Damage::LoseSecrets(_) | Damage::LoseBinding(..))
            };
            before = Some(prints(&model)).filter(|_| !strikes.iter().any(loses));
            strikes.iter().for_each(|damage| strike(&mut model.account, damage));
        }
        for cut in cuts {
            for step in model.plan(&desired).unwrap().steps.iter().take(cut) {
                model.apply(&desired, step);
            }
        }
        model.deploy(&desired);
        prop_assert_eq!(model.plan(&desired).unwrap().steps, []);
        if let Some(before) = before {
            prop_assert_eq!(prints(&model), before, "a secret that is there is not made up again");
        }
        for worker in &desired.workers {
            let there = &model.account.workers[&worker.template.role()];
            prop_assert_eq!(there.hosts, worker.template.hosts());
            for wish in worker.template.consumers() {
                let consumers = &model.account.queues[&wish.queue].consumers;
                prop_assert_eq!(consumers.len(), 1);
                prop_assert_eq!(&consumers[0].dead_letter_queue, &wish.dead_letter_queue);
                prop_assert_eq!(consumers[0].settings, wish.settings);
            }
            for wish in &worker.secrets {
                prop_assert!(there.secrets().contains(wish.name));
            }
            let ids = ids(&desired, &model.account);
            prop_assert_eq!(different_bindings(&worker.template.bindings(&ids).unwrap(), &there.version.as_ref().unwrap().bindings), Vec::<String>::new());
        }
    }
}
