//! Workers: what is deployed, with what, and the way back.

use serde::Deserialize;
use serde_json::{Value, json};
use ureq::http::Method;

use super::client::{Call, Client};
use super::error::{ApiError, Permission, codes};
use super::queues::gone;

/// One deployment: the versions that got requests from then on.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Deployment {
    /// When, RFC 3339.
    #[serde(default)]
    pub created_on: String,
    /// Its versions.
    #[serde(default)]
    pub versions: Vec<Share>,
}

/// A version's share of a deployment.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Share {
    /// The version.
    pub version_id: String,
    /// Of a hundred.
    #[serde(default)]
    pub percentage: f64,
}

impl Deployment {
    /// The version that gets all requests; `None` while a gradual deployment is under way.
    #[must_use]
    pub fn whole(&self) -> Option<&str> {
        match self.versions.as_slice() {
            [share] => Some(&share.version_id),
            _ => None,
        }
    }
}

/// What a version is bound to: a var, a namespace, a queue …; secrets have no value here.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Binding {
    /// Its name in the Worker.
    pub name: String,
    /// The API's word for its kind.
    pub kind: String,
    /// What it is bound to, as far as it can be compared.
    pub value: String,
}

impl Binding {
    /// The API's word for a secret.
    pub const SECRET: &str = "secret_text";
    /// The API's word for a var.
    pub const VAR: &str = "plain_text";

    /// Reads a binding of the API.
    #[must_use]
    pub fn from_json(binding: &Value) -> Option<Self> {
        let field = |name: &str| binding.get(name).and_then(Value::as_str);
        let kind = field("type")?;
        let value = match kind {
            Self::VAR => field("text"),
            "json" => {
                return Some(Self {
                    name: field("name")?.to_owned(),
                    kind: kind.to_owned(),
                    value: binding.get("json").map(Value::to_string).unwrap_or_default(),
                });
            }
            "kv_namespace" => field("namespace_id"),
            "queue" => field("queue_name"),
            "service" => field("service"),
            "durable_object_namespace" => field("class_name"),
            _ => None,
        };
        Some(Self {
            name: field("name")?.to_owned(),
            kind: kind.to_owned(),
            value: value.unwrap_or_default().to_owned(),
        })
    }
}

/// One version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// Its id.
    pub id: String,
    /// Its number, from 1.
    pub number: u64,
    /// Its bindings, sorted.
    pub bindings: Vec<Binding>,
    /// The tag of the last migration of Durable Objects.
    pub migration_tag: Option<String>,
}

#[derive(Debug, Deserialize)]
struct VersionAnswer {
    id: String,
    #[serde(default)]
    number: u64,
    #[serde(default)]
    resources: Resources,
}

#[derive(Debug, Default, Deserialize)]
struct Resources {
    #[serde(default)]
    bindings: Vec<Value>,
    #[serde(default)]
    script_runtime: ScriptRuntime,
}

#[derive(Debug, Default, Deserialize)]
struct ScriptRuntime {
    #[serde(default)]
    migration_tag: Option<String>,
}

/// Whether a Worker answers on workers.dev.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub struct Hosts {
    /// On its own host.
    #[serde(default)]
    pub enabled: bool,
    /// On a host for each version.
    #[serde(default)]
    pub previews_enabled: bool,
}

#[derive(Debug, Deserialize)]
struct Deployments {
    #[serde(default)]
    deployments: Vec<Deployment>,
}

#[derive(Debug, Deserialize)]
struct Schedules {
    #[serde(default)]
    schedules: Vec<Schedule>,
}

#[derive(Debug, Deserialize)]
struct Schedule {
    cron: String,
}

#[derive(Debug, Deserialize)]
struct Subdomain {
    #[serde(default)]
    subdomain: String,
}

fn path(account_id: &str, worker: &str) -> String {
    format!("/accounts/{account_id}/workers/scripts/{worker}")
}

fn get(path: String, doing: String) -> Call {
    Call::get(Permission::Scripts, path, doing)
}

/// `None` where it is not there.
fn found<T>(answer: Result<T, ApiError>) -> Result<Option<T>, ApiError> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

/// The account's workers.dev subdomain; `None` where it has none yet.
///
/// # Errors
/// [`ApiError`].
pub fn subdomain(client: &Client, account_id: &str) -> Result<Option<String>, ApiError> {
    let path = format!("/accounts/{account_id}/workers/subdomain");
    let answer: Option<Subdomain> = found(client.call(&get(path, "read the workers.dev subdomain".to_owned())))?;
    Ok(answer.map(|answer| answer.subdomain).filter(|subdomain| !subdomain.is_empty()))
}

/// The latest deployments of a Worker, newest first; `None` where there is no such Worker.
///
/// # Errors
/// [`ApiError`].
pub fn deployments(client: &Client, account_id: &str, worker: &str) -> Result<Option<Vec<Deployment>>, ApiError> {
    let path = format!("{}/deployments", path(account_id, worker));
    let answer: Option<Deployments> = found(client.call(&get(path, format!("read the deployments of {worker}"))))?;
    Ok(answer.map(|answer| {
        let mut deployments = answer.deployments;
        deployments.sort_by(|a, b| b.created_on.cmp(&a.created_on));
        deployments
    }))
}

/// One version of a Worker.
///
/// # Errors
/// [`ApiError`].
pub fn version(client: &Client, account_id: &str, worker: &str, id: &str) -> Result<Version, ApiError> {
    let path = format!("{}/versions/{id}", path(account_id, worker));
    let answer: VersionAnswer = client.call(&get(path, format!("read the version {id} of {worker}")))?;
    let mut bindings: Vec<Binding> = answer.resources.bindings.iter().filter_map(Binding::from_json).collect();
    bindings.sort();
    let migration_tag = answer.resources.script_runtime.migration_tag;
    Ok(Version { id: answer.id, number: answer.number, bindings, migration_tag })
}

/// Whether a Worker answers on workers.dev.
///
/// # Errors
/// [`ApiError`].
pub fn hosts(client: &Client, account_id: &str, worker: &str) -> Result<Hosts, ApiError> {
    let path = format!("{}/subdomain", path(account_id, worker));
    Ok(found(client.call(&get(path, format!("read the workers.dev host of {worker}"))))?.unwrap_or_default())
}

/// The cron expressions of a Worker, sorted.
///
/// # Errors
/// [`ApiError`].
pub fn crons(client: &Client, account_id: &str, worker: &str) -> Result<Vec<String>, ApiError> {
    let path = format!("{}/schedules", path(account_id, worker));
    let answer: Option<Schedules> = found(client.call(&get(path, format!("read the schedules of {worker}"))))?;
    let mut crons: Vec<String> =
        answer.into_iter().flat_map(|answer| answer.schedules).map(|schedule| schedule.cron).collect();
    crons.sort();
    Ok(crons)
}

/// Gives a version all requests, even where `force` is needed because secrets have changed since.
///
/// # Errors
/// [`ApiError`]; [`codes::SECRETS_CHANGED`] without `force`.
pub fn deploy_version(
    client: &Client,
    account_id: &str,
    worker: &str,
    version_id: &str,
    message: &str,
    force: bool,
) -> Result<(), ApiError> {
    let query = if force { "?force=true" } else { "" };
    let path = format!("{}/deployments{query}", path(account_id, worker));
    let call =
        get(path, format!("deploy the version {version_id} of {worker}")).with_method(Method::POST).with_json(&json!({
            "strategy": "percentage",
            "versions": [{"version_id": version_id, "percentage": 100}],
            "annotations": {"workers/message": message},
        }));
    let is_live = || {
        let deployments = deployments(client, account_id, worker)?.unwrap_or_default();
        let is_live = deployments.first().and_then(Deployment::whole) == Some(version_id);
        Ok(is_live.then_some(Value::Null))
    };
    client.create(&call, &[], is_live).map(drop)
}

/// Deletes a Worker with its Durable Objects, if it is still there.
///
/// # Errors
/// [`ApiError`].
pub fn delete(client: &Client, account_id: &str, worker: &str) -> Result<(), ApiError> {
    // Without force a Worker that holds Durable Objects stays.
    let path = format!("{}?force=true", path(account_id, worker));
    gone(client.call(&get(path, format!("delete the Worker {worker}")).with_method(Method::DELETE)))
}

/// True where the error says that secrets have changed since the version to which a rollback goes.
#[must_use]
pub fn is_secrets_changed(error: &ApiError) -> bool {
    error.has_code(&[codes::SECRETS_CHANGED])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bindings_are_read_as_far_as_they_can_be_compared() {
        let read =
            |text: &str| Binding::from_json(&serde_json::from_str(text).unwrap()).map(|b| (b.name, b.kind, b.value));
        let of = |name: &str, kind: &str, value: &str| Some((name.to_owned(), kind.to_owned(), value.to_owned()));
        assert_eq!(read(r#"{"name":"A","type":"plain_text","text":"x"}"#), of("A", "plain_text", "x"));
        assert_eq!(read(r#"{"name":"K","type":"kv_namespace","namespace_id":"1"}"#), of("K", "kv_namespace", "1"));
        assert_eq!(read(r#"{"name":"S","type":"secret_text"}"#), of("S", "secret_text", ""));
        assert_eq!(
            read(r#"{"name":"L","type":"durable_object_namespace","class_name":"Ledger","namespace_id":"9"}"#),
            of("L", "durable_object_namespace", "Ledger")
        );
        assert_eq!(read(r#"{"type":"plain_text"}"#), None);
    }

    #[test]
    fn a_gradual_deployment_has_no_whole_version() {
        let deployment: Deployment = serde_json::from_str(
            r#"{"id":"d","created_on":"x","versions":[{"version_id":"a","percentage":90},{"version_id":"b","percentage":10}]}"#,
        )
        .unwrap();
        assert_eq!(deployment.whole(), None);
    }
}
