//! A Worker as a "service", its place on workers.dev, who refers to it, and its Durable Objects.
//!
//! Known: the shapes, as wrangler reads them, and the code of a service that is not there (10090).

use serde_json::{Value, json};

use super::super::super::answer::{Answer, ApiError, ok, page};
use super::super::super::call::Call;
use super::super::super::state::{Account, Script};
use super::{find, scripts};

pub(super) const NOT_FOUND: u32 = 10_090;

pub(super) fn service(account: &Account, name: &str) -> Answer {
    let missing = || ApiError::new(404, NOT_FOUND, "workers.api.error.service_not_found");
    let script = account.scripts.get(name).ok_or_else(missing)?;
    let environment = json!({
        "environment": "production", "created_on": script.created_on, "modified_on": script.modified_on,
        "script": scripts::view(script),
    });
    ok(json!({
        "id": name, "created_on": script.created_on, "modified_on": script.modified_on, "usage_model": "standard",
        "default_environment": environment, "environments": [environment],
    }))
}

fn worker_view(account: &Account, script: &Script) -> Value {
    let host = account.subdomain.as_ref().map(|subdomain| format!("{}.{subdomain}.workers.dev", script.name));
    json!({
        "id": script.tag, "name": script.name, "created_on": script.created_on, "updated_on": script.modified_on,
        "tags": script.settings.get("tags").cloned().unwrap_or_else(|| json!([])),
        "subdomain": {
            "enabled": script.is_on_subdomain, "previews_enabled": script.has_previews,
            "url": host.map(|host| format!("https://{host}")),
        },
    })
}

pub(super) fn worker(account: &Account, name: &str) -> Answer {
    let script = find(account, name)?;
    ok(worker_view(account, script))
}

pub(super) fn workers(account: &Account, call: &Call) -> Answer {
    let items = account.scripts.values().map(|script| worker_view(account, script)).collect();
    page(items, call.number("page", 1, [1, usize::MAX])?, call.number("per_page", 10, [1, 100])?)
}

/// Who would miss this Worker.
pub(super) fn references(account: &Account, name: &str) -> Answer {
    find(account, name)?;
    let of = |kind, key| scripts::referrers(account, name, kind, key);
    let incoming: Vec<Value> = of("service", "service")
        .iter()
        .map(|script| json!({ "name": script.name, "service": script.name, "environment": "production" }))
        .collect();
    let objects: Vec<Value> = of("durable_object_namespace", "script_name")
        .iter()
        .map(|script| json!({ "service": script.name, "environment": "production", "name": script.name }))
        .collect();
    ok(json!({
        "services": { "incoming": incoming, "outgoing": [], "pages_function": false },
        "durable_objects": objects, "dispatch_outbounds": [],
    }))
}

pub(super) fn object_namespaces(account: &Account, call: &Call) -> Answer {
    let items = account.scripts.values().flat_map(|script| {
        script.classes.iter().map(|(class, namespace)| {
            json!({
                "id": namespace.id, "name": format!("{}_{class}", script.name), "script": script.name, "class": class,
                "use_sqlite": namespace.is_sqlite,
            })
        })
    });
    page(items.collect(), call.number("page", 1, [1, usize::MAX])?, call.number("per_page", 20, [1, 1_000])?)
}
