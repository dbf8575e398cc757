//! Workers: scripts, their versions and deployments, secrets, settings, triggers.
//!
//! | module | what it answers |
//! | --- | --- |
//! | [`scripts`] | uploads, the list, deletion |
//! | [`upload`], [`bindings`], [`migrations`] | what an upload must be, before it becomes a version |
//! | [`versions`] | versions and deployments, so rollback too |
//! | [`secrets`] | secrets, one or many |
//! | [`settings`] | settings, schedules, the workers.dev subdomain |
//! | [`services`] | the older view of a Worker that wrangler reads, and who refers to it |

mod bindings;
mod migrations;
mod scripts;
mod secrets;
mod services;
mod settings;
mod upload;
mod versions;

use super::super::answer::{Answer, ApiError};
use super::super::call::Call;
use super::super::cloud::Cloud;
use super::super::state::{Account, Script};

/// Known code and text.
const NOT_FOUND: u32 = 10_007;
const INVALID_BODY: u32 = 10_001;

/// Answers below `/accounts/<id>/workers`.
pub(crate) fn answer(cloud: &Cloud, call: &Call, account: &str, rest: &[&str]) -> Option<Answer> {
    let mut state = cloud.change();
    let account = state.account_mut(account)?;
    let answer = match (call.method.as_str(), rest) {
        ("GET", ["scripts"]) => scripts::list(account),
        ("PUT", ["scripts", name]) => scripts::put(cloud, account, call, name),
        ("GET", ["scripts", name]) => scripts::content(cloud, account, name),
        ("DELETE", ["scripts", name]) => scripts::delete(account, call, name, NOT_FOUND),
        (_, ["scripts", name, rest @ ..]) => return of_script(cloud, account, call, name, rest),
        ("GET", ["subdomain"]) => settings::account_subdomain(account),
        ("PUT", ["subdomain"]) => settings::register(account, call),
        ("GET", ["subdomains", name]) => settings::is_available(account, name),
        ("GET", ["services", name]) => services::service(account, name),
        ("DELETE", ["services", name]) => scripts::delete(account, call, name, services::NOT_FOUND),
        ("GET", ["workers"]) => services::workers(account, call),
        ("GET", ["workers", name]) => services::worker(account, name),
        ("GET", ["tails", "by-consumer", _]) => super::super::answer::ok(serde_json::json!([])),
        ("GET", ["durable_objects", "namespaces"]) => services::object_namespaces(account, call),
        _ => return None,
    };
    if call.method != "GET" && answer.is_ok() {
        cloud.changes.note();
    }
    Some(answer)
}

fn of_script(cloud: &Cloud, account: &mut Account, call: &Call, name: &str, rest: &[&str]) -> Option<Answer> {
    let answer = match (call.method.as_str(), rest) {
        ("GET", ["versions"]) => versions::list(account, call, name),
        ("POST", ["versions"]) => versions::upload(cloud, account, call, name),
        ("GET", ["versions", id]) => versions::get(account, name, id),
        ("GET", ["deployments"]) => versions::deployments(account, name),
        ("POST", ["deployments"]) => versions::deploy(account, call, name),
        ("GET", ["deployments", id]) => versions::deployment(account, name, id),
        ("GET", ["secrets"]) => secrets::list(account, name),
        ("PUT", ["secrets"]) => secrets::put(account, call, name),
        ("GET", ["secrets", secret]) => secrets::get(account, name, secret),
        ("DELETE", ["secrets", secret]) => secrets::delete(account, call, name, secret),
        ("PATCH", ["secrets-bulk"]) => secrets::bulk(account, call, name),
        ("GET", ["settings"]) => settings::get(account, name),
        ("GET", ["script-settings"]) => settings::script_settings(account, name),
        ("PATCH", ["script-settings"]) => settings::patch_script_settings(account, call, name),
        ("GET", ["schedules"]) => settings::schedules(account, name),
        ("PUT", ["schedules"]) => settings::put_schedules(account, call, name),
        ("GET", ["subdomain"]) => settings::subdomain(account, name),
        ("POST", ["subdomain"]) => settings::post_subdomain(account, call, name),
        ("DELETE", ["subdomain"]) => settings::delete_subdomain(account, name),
        ("GET", ["references"]) => services::references(account, name),
        _ => return None,
    };
    if call.method != "GET" && answer.is_ok() {
        cloud.changes.note();
    }
    Some(answer)
}

/// # Errors
/// 404, 10007.
fn find<'a>(account: &'a Account, name: &str) -> Result<&'a Script, ApiError> {
    account.scripts.get(name).ok_or_else(not_found)
}

/// # Errors
/// 404, 10007.
fn find_mut<'a>(account: &'a mut Account, name: &str) -> Result<&'a mut Script, ApiError> {
    account.scripts.get_mut(name).ok_or_else(not_found)
}

fn not_found() -> ApiError {
    ApiError::new(404, NOT_FOUND, "This Worker does not exist on your account.")
}

/// Who asks: wrangler says so in its user agent.
fn source(call: &Call) -> &'static str {
    if call.header("user-agent").starts_with("wrangler/") { "wrangler" } else { "api" }
}
