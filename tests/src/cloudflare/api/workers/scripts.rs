//! Uploads of whole Workers, the list of them, and their end.
//!
//! Known: names and codes of a refusal to delete: a queue's consumer (10064), a service of another Worker (10142), and
//! that `force=true` deletes all the same. Guessed: the code of a bad name, and that `force` also removes the consumer.

use serde_json::{Value, json};

use super::super::super::answer::{Answer, ApiError, Response, Success, ok};
use super::super::super::call::Call;
use super::super::super::cloud::Cloud;
use super::super::super::edge::probe;
use super::super::super::ids;
use super::super::super::state::{Account, Script, Version, field};
use super::migrations::Classes;
use super::{bindings, find, migrations, source, upload, versions};

const SCRIPT_ERROR: u32 = 10_021;
/// Workers of a paid account ("Workers: Limits").
const MAX_SCRIPTS: usize = 500;

pub(super) fn list(account: &Account) -> Answer {
    ok(account.scripts.values().map(view).collect())
}

/// What is said of a Worker as a whole.
pub(super) fn view(script: &Script) -> Value {
    let version = script.active();
    json!({
        "id": script.name, "tag": script.tag, "created_on": script.created_on, "modified_on": script.modified_on,
        "etag": version.map(versions::etag), "handlers": version.map(|version| &version.handlers),
        "named_handlers": version.map(versions::named_handlers),
        "migration_tag": script.migration_tag, "last_deployed_from": script.last_deployed_from,
        "has_modules": true, "has_assets": false, "usage_model": "standard",
        "compatibility_date": version.map(|version| &version.compatibility_date),
        "compatibility_flags": version.map(|version| &version.compatibility_flags),
        "tags": script.settings.get("tags"), "logpush": script.settings.get("logpush") == Some(&Value::Bool(true)),
        "observability": script.settings.get("observability"),
        "tail_consumers": script.settings.get("tail_consumers"), "deployment_id": version.map(|version| &version.id),
    })
}

fn check_name(name: &str) -> Result<(), ApiError> {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    let is_valid = name.len() <= 63
        && name.bytes().next().is_some_and(is_plain)
        && name.bytes().all(|byte| is_plain(byte) || byte == b'-');
    let message = || format!("Invalid Worker name: {name:?}. It must match ^[a-z0-9_][a-z0-9_-]{{0,62}}$");
    if is_valid { Ok(()) } else { Err(ApiError::new(400, 10_016, message())) }
}

/// A version made of an upload, and what becomes of the classes of its script.
///
/// # Errors
/// 400, 412, 413; nothing is changed then.
pub(super) fn build(
    cloud: &Cloud,
    account: &Account,
    call: &Call,
    name: &str,
    takes_migrations: bool,
) -> Result<(Version, Classes), ApiError> {
    let upload = upload::read(cloud, call)?;
    let script = account.scripts.get(name);
    let latest = script.and_then(|script| script.versions.last());
    let resolved = bindings::resolve(account, &upload.metadata, latest)?;
    let probed = probe::probe(
        cloud,
        &upload.main_module,
        &upload.modules,
        &upload.compatibility_date,
        &upload.compatibility_flags,
    )
    .map_err(|message| ApiError::new(400, SCRIPT_ERROR, message))?;
    let payload = upload.metadata.get("migrations").unwrap_or(&Value::Null);
    if !takes_migrations && !payload.is_null() {
        let message =
            "migrations must be fully applied by running \"wrangler deploy\" or by uploading the whole script";
        return Err(ApiError::new(400, 10_211, message));
    }
    let before = script.map(|script| Classes { tag: script.migration_tag.clone(), classes: script.classes.clone() });
    let before = before.unwrap_or_default();
    let after = migrations::apply(before.clone(), payload, &probed.exports)?;
    migrations::check(account, name, &before, &after, &resolved, &probed.exports)?;
    let annotations = upload.metadata.get("annotations").and_then(Value::as_object);
    let version = Version {
        id: ids::uuid(),
        number: script.map_or(1, |script| script.versions.len() + 1),
        created_on: ids::timestamp(),
        source: source(call).to_owned(),
        annotations: annotations.cloned().unwrap_or_default().into_iter().collect(),
        main_module: upload.main_module,
        modules: upload.modules,
        bindings: resolved,
        compatibility_date: upload.compatibility_date,
        compatibility_flags: upload.compatibility_flags,
        limits: upload.metadata.get("limits").cloned(),
        placement: upload.metadata.get("placement").cloned(),
        handlers: probed.handlers,
        exports: probed.exports,
        startup_time: probed.startup_time,
        migration_tag: after.tag.clone(),
    };
    Ok((version, after))
}

/// Uploads a version and deploys it.
pub(super) fn put(cloud: &Cloud, account: &mut Account, call: &Call, name: &str) -> Answer {
    check_name(name)?;
    if account.scripts.len() >= MAX_SCRIPTS && !account.scripts.contains_key(name) {
        return Err(ApiError::new(403, 10_037, "the account has as many Workers as it can have"));
    }
    let (version, classes) = build(cloud, account, call, name, true)?;
    check_consumed(account, name, &version)?;
    let script = account.scripts.entry(name.to_owned()).or_insert_with(|| new(name));
    (script.migration_tag, script.classes) = (classes.tag, classes.classes);
    let deployment_id = version.id.replace('-', "");
    let startup_time = version.startup_time;
    source(call).clone_into(&mut script.last_deployed_from);
    versions::add_and_deploy(script, version, "upload");
    let mut answer = view(script);
    if let Some(object) = answer.as_object_mut() {
        object.insert("startup_time_ms".into(), startup_time.into());
        object.insert("deployment_id".into(), deployment_id.into());
    }
    ok(answer)
}

/// A Worker that consumes a queue must go on to do so.
///
/// # Errors
/// 400, 11001.
pub(super) fn check_consumed(account: &Account, name: &str, version: &Version) -> Result<(), ApiError> {
    let consumes = |script: &str| {
        let consumers = account.queues.iter().filter_map(|queue| queue.consumer.as_ref());
        consumers.clone().any(|consumer| consumer.script == script)
    };
    if consumes(name) && !version.handlers.iter().any(|handler| handler == "queue") {
        return Err(ApiError::new(400, 11_001, "queue handler is missing: the Worker is a consumer of a queue"));
    }
    Ok(())
}

fn new(name: &str) -> Script {
    let now = ids::timestamp();
    Script {
        name: name.to_owned(),
        tag: ids::hex_id(),
        created_on: now.clone(),
        modified_on: now,
        last_deployed_from: String::new(),
        migration_tag: None,
        classes: std::collections::BTreeMap::new(),
        versions: Vec::new(),
        deployments: Vec::new(),
        schedules: Vec::new(),
        is_on_subdomain: false,
        has_previews: false,
        settings: std::collections::BTreeMap::new(),
    }
}

/// The main module, as it was uploaded.
pub(super) fn content(cloud: &Cloud, account: &Account, name: &str) -> Answer {
    let version = find(account, name)?.active().ok_or_else(super::not_found)?;
    let main = version.modules.iter().find(|module| module.name == version.main_module);
    let main = main.ok_or_else(super::not_found)?;
    let bytes = cloud.folder.blob(&main.blob).map_err(|error| ApiError::new(500, 10_013, error.to_string()))?;
    Ok(Success::Raw(Response::new(200, &main.kind, bytes).with("etag", versions::etag(version))))
}

/// Other Workers whose serving versions have a binding of `kind` whose `key` is `name`.
pub(super) fn referrers<'a>(account: &'a Account, name: &'a str, kind: &'a str, key: &'a str) -> Vec<&'a Script> {
    let refers = |binding: &Value| field(binding, "type") == kind && field(binding, key) == name;
    let others = account.scripts.values().filter(|script| script.name != name);
    others.filter(|script| script.deployed().any(|version| version.bindings.iter().any(refers))).collect()
}

/// Deletes a Worker with its versions, secrets and Durable Objects.
pub(super) fn delete(account: &mut Account, call: &Call, name: &str, not_found: u32) -> Answer {
    if find(account, name).is_err() {
        return Err(ApiError::new(404, not_found, "This Worker does not exist on your account."));
    }
    if call.param("force").as_deref() != Some("true") {
        let is_consumer = |queue: &&super::super::super::state::Queue| {
            queue.consumer.as_ref().is_some_and(|consumer| consumer.script == name)
        };
        if account.queues.iter().any(|queue| is_consumer(&queue)) {
            return Err(ApiError::new(400, 10_064, "script still in use as a consumer for a queue"));
        }
        let mut referrers = referrers(account, name, "service", "service");
        referrers.extend(self::referrers(account, name, "durable_object_namespace", "script_name"));
        if let Some(other) = referrers.first() {
            let message = format!("This Worker is still referenced by a binding of Worker '{}'", other.name);
            return Err(ApiError::new(400, 10_142, message));
        }
    }
    account.scripts.remove(name);
    for queue in &mut account.queues {
        queue.consumer.take_if(|consumer| consumer.script == name);
    }
    ok(Value::Null)
}
