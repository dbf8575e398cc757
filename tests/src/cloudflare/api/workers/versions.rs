//! Versions of a Worker and which of them are deployed. A rollback is a deployment of an older version.
//!
//! Known: shapes, as wrangler reads them; a version that is not there (100146); secrets that changed since (10220, passed
//! over with `force=true`). Guessed: what is said of percentages, and that a version from before a migration is refused.

use serde_json::{Value, json};

use super::super::super::answer::{Answer, ApiError, Success, ok};
use super::super::super::call::Call;
use super::super::super::cloud::Cloud;
use super::super::super::ids;
use super::super::super::state::{Account, Deployment, Script, Version, field};
use super::{INVALID_BODY, bindings, find, find_mut, scripts, source};

/// Versions on a page; deployments in the list.
const PER_PAGE: usize = 10;
const MAX_PER_PAGE: usize = 100;

/// Adds a version and deploys it alone.
pub(super) fn add_and_deploy(script: &mut Script, version: Version, trigger: &str) {
    let annotations = [("workers/triggered_by".to_owned(), Value::from(trigger))];
    let message = version.annotations.get("workers/message").cloned();
    let annotations = annotations.into_iter().chain(message.map(|message| ("workers/message".to_owned(), message)));
    let deployment = Deployment {
        id: ids::uuid(),
        created_on: ids::timestamp(),
        source: version.source.clone(),
        annotations: annotations.collect(),
        versions: vec![(version.id.clone(), 100)],
    };
    script.modified_on.clone_from(&version.created_on);
    script.versions.push(version);
    script.deployments.push(deployment);
}

/// A name for exactly these modules.
pub(super) fn etag(version: &Version) -> String {
    version.modules.iter().map(|module| module.blob.get(..16).unwrap_or_default()).collect::<Vec<_>>().join("-")
}

pub(super) fn named_handlers(version: &Version) -> Value {
    version.exports.iter().map(|name| json!({ "name": name, "handlers": ["class"] })).collect()
}

pub(super) fn view(version: &Version) -> Value {
    let mut view = brief(version);
    let resources = json!({
        "bindings": version.bindings.iter().map(bindings::view).collect::<Value>(),
        "script": {
            "etag": etag(version), "handlers": version.handlers, "named_handlers": named_handlers(version),
            "last_deployed_from": version.source, "placement_mode": version.placement.as_ref().map(|p| field(p, "mode")),
        },
        "script_runtime": {
            "compatibility_date": version.compatibility_date, "compatibility_flags": version.compatibility_flags,
            "usage_model": "standard", "limits": version.limits, "migration_tag": version.migration_tag,
        },
    });
    if let Some(object) = view.as_object_mut() {
        object.insert("resources".into(), resources);
        object.insert("startup_time_ms".into(), version.startup_time.into());
    }
    view
}

fn brief(version: &Version) -> Value {
    json!({
        "id": version.id, "number": version.number, "annotations": version.annotations,
        "metadata": {
            "created_on": version.created_on, "modified_on": version.created_on, "source": version.source,
            "author_id": "7c5dae5552338874e5053f2534d2767a", "author_email": "somebody@example.com",
            "has_preview": false,
        },
    })
}

pub(super) fn list(account: &Account, call: &Call, name: &str) -> Answer {
    let script = find(account, name)?;
    let deployable = call.param("deployable").as_deref() == Some("true");
    let per_page = call.number("per_page", PER_PAGE, [1, MAX_PER_PAGE])?;
    let page = call.number("page", 1, [1, usize::MAX])?;
    let newest = script.versions.iter().rev();
    let items: Vec<Value> = if deployable {
        newest.take(MAX_PER_PAGE).map(view).collect()
    } else {
        newest.skip((page - 1).saturating_mul(per_page)).take(per_page).map(brief).collect()
    };
    let info = json!({
        "page": page, "per_page": per_page, "count": items.len(), "total_count": script.versions.len(),
        "total_pages": script.versions.len().div_ceil(per_page),
    });
    Ok(Success::Envelope { result: json!({ "items": items }), info: Some(info), messages: Vec::new() })
}

fn version<'a>(script: &'a Script, id: &str) -> Result<&'a Version, ApiError> {
    script.version(id).ok_or_else(|| ApiError::new(404, 100_146, format!("Version {id} was not found")))
}

pub(super) fn get(account: &Account, name: &str, id: &str) -> Answer {
    version(find(account, name)?, id).map(view).and_then(ok)
}

pub(super) fn upload(cloud: &Cloud, account: &mut Account, call: &Call, name: &str) -> Answer {
    find(account, name)?;
    let (version, _) = scripts::build(cloud, account, call, name, false)?;
    let answer = view(&version);
    find_mut(account, name)?.versions.push(version);
    ok(answer)
}

fn deployment_view(deployment: &Deployment) -> Value {
    let versions: Vec<Value> = deployment
        .versions
        .iter()
        .map(|(id, percentage)| json!({ "version_id": id, "percentage": percentage }))
        .collect();
    json!({
        "id": deployment.id, "created_on": deployment.created_on, "source": deployment.source,
        "strategy": "percentage", "author_email": "somebody@example.com", "annotations": deployment.annotations,
        "versions": versions,
    })
}

pub(super) fn deployments(account: &Account, name: &str) -> Answer {
    let newest = find(account, name)?.deployments.iter().rev().take(PER_PAGE);
    ok(json!({ "deployments": newest.map(deployment_view).collect::<Vec<_>>() }))
}

pub(super) fn deployment(account: &Account, name: &str, id: &str) -> Answer {
    let found = find(account, name)?.deployments.iter().find(|deployment| deployment.id == id);
    let found = found.ok_or_else(|| ApiError::new(404, 10_336, format!("Deployment {id} was not found")));
    found.map(deployment_view).and_then(ok)
}

/// Deploys versions that are there.
pub(super) fn deploy(account: &mut Account, call: &Call, name: &str) -> Answer {
    let script = find(account, name)?;
    let body = call.json(INVALID_BODY)?;
    let invalid = |message: &str| ApiError::new(400, INVALID_BODY, message);
    if field(&body, "strategy") != "percentage" {
        return Err(invalid("strategy must be \"percentage\""));
    }
    let wanted = body.get("versions").and_then(Value::as_array).ok_or_else(|| invalid("versions must be a list"))?;
    if !(1..=2).contains(&wanted.len()) {
        return Err(invalid("a deployment has one or two versions"));
    }
    let mut versions = Vec::new();
    for entry in wanted {
        let percentage = entry.get("percentage").and_then(Value::as_u64);
        let percentage = percentage.ok_or_else(|| invalid("percentage must be a whole number"))?;
        let version = version(script, field(entry, "version_id"))?;
        if version.migration_tag != script.migration_tag {
            let message = "cannot deploy a version from before a Durable Object migration";
            return Err(ApiError::new(400, 10_212, message));
        }
        scripts::check_consumed(account, name, version)?;
        versions.push((version.id.clone(), percentage));
    }
    if versions.iter().map(|(_, percentage)| percentage).sum::<u64>() != 100 {
        return Err(invalid("the percentages must sum up to 100"));
    }
    if call.param("force").as_deref() != Some("true") {
        check_secrets(script, &versions)?;
    }
    let annotations = body.get("annotations").and_then(Value::as_object).cloned().unwrap_or_default();
    let trigger = ("workers/triggered_by".to_owned(), Value::from("deployment"));
    let deployment = Deployment {
        id: ids::uuid(),
        created_on: ids::timestamp(),
        source: source(call).to_owned(),
        annotations: annotations.into_iter().filter(|(_, value)| !value.is_null()).chain([trigger]).collect(),
        versions,
    };
    let answer = deployment_view(&deployment);
    let script = find_mut(account, name)?;
    script.modified_on.clone_from(&deployment.created_on);
    source(call).clone_into(&mut script.last_deployed_from);
    script.deployments.push(deployment);
    ok(answer)
}

/// An older version comes back with its secrets of then: not without being told to.
fn check_secrets(script: &Script, versions: &[(String, u64)]) -> Result<(), ApiError> {
    let Some(latest) = script.versions.last() else { return Ok(()) };
    let secrets = |version: &Version| -> Vec<Value> {
        version.bindings.iter().filter(|binding| field(binding, "type") == "secret_text").cloned().collect()
    };
    let mut changed: Vec<String> = Vec::new();
    for version in versions.iter().filter_map(|(id, _)| script.version(id)).filter(|version| version.id != latest.id) {
        let (then, now) = (secrets(version), secrets(latest));
        let differs = then.iter().filter(|secret| !now.contains(secret));
        changed.extend(
            differs
                .chain(now.iter().filter(|secret| !then.contains(secret)))
                .map(|secret| field(secret, "name").to_owned()),
        );
    }
    if changed.is_empty() {
        return Ok(());
    }
    changed.sort();
    changed.dedup();
    let message = format!(
        "A secret has changed since this version was active. If you are sure this is ok please do a {{\"force\": true}} \
         to allow this rollback. The following secrets have changed: {}",
        changed.join(", ")
    );
    Err(ApiError::new(400, 10_220, message))
}
