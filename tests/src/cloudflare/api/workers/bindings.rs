//! Bindings of an upload: each must lead somewhere.
//!
//! Known: a binding without a name (10052), a KV id that is none (10042) or leads nowhere (10041), a queue that is not
//! named (10021) or not there (11000), a service (10143) or environment (10144) that is not there, a class without
//! migration (10061), nothing to inherit (10057). Guessed: a name that is used twice (10053), the bounds' code.

use serde_json::Value;

use super::super::super::answer::ApiError;
use super::super::super::state::{Account, Version, field};
use super::upload;

/// "Workers: Limits": variables and secrets of a paid plan, and their size.
const MAX_VARIABLES: usize = 128;
const MAX_VARIABLE_BYTES: usize = 5 * 1024;

const NAME_MISSING: u32 = 10_052;
const NAME_TAKEN: u32 = 10_053;
const INVALID: u32 = 10_021;

/// The bindings of a new version: those of the upload, and what it keeps and inherits of the version before.
///
/// # Errors
/// 400 with the code of what is wrong.
pub(super) fn resolve(account: &Account, metadata: &Value, before: Option<&Version>) -> Result<Vec<Value>, ApiError> {
    let none = Vec::new();
    let uploaded = match metadata.get("bindings") {
        None | Some(Value::Null) => &none,
        Some(bindings) => bindings.as_array().ok_or_else(|| error(INVALID, "bindings must be a list".into()))?,
    };
    let mut bindings: Vec<Value> = Vec::new();
    for (index, binding) in uploaded.iter().enumerate() {
        let name = field(binding, "name");
        if name.is_empty() {
            return Err(error(NAME_MISSING, format!("Binding at index {index} must have a name.")));
        }
        if bindings.iter().any(|other| field(other, "name") == name) {
            return Err(taken(name));
        }
        bindings.push(if field(binding, "type") == "inherit" { inherit(binding, before)? } else { binding.clone() });
    }
    let kept = upload::texts(metadata, "keep_bindings")?;
    for binding in before.map(|version| version.bindings.as_slice()).unwrap_or_default() {
        let is_kept = kept.iter().any(|kind| kind == field(binding, "type"));
        if is_kept && !bindings.iter().any(|other| field(other, "name") == field(binding, "name")) {
            bindings.push(binding.clone());
        }
    }
    for binding in &bindings {
        check(account, binding)?;
    }
    check_variables(&bindings)?;
    Ok(bindings)
}

pub(super) fn taken(name: &str) -> ApiError {
    let message = format!("Binding name '{name}' already in use. Please use a different name and try again.");
    error(NAME_TAKEN, message)
}

fn error(code: u32, message: String) -> ApiError {
    ApiError::new(400, code, message)
}

fn inherit(binding: &Value, before: Option<&Version>) -> Result<Value, ApiError> {
    let name = field(binding, "name");
    let old_name = Some(field(binding, "old_name")).filter(|old| !old.is_empty()).unwrap_or(name);
    let mut inherited = before.and_then(|version| version.binding(old_name)).cloned().ok_or_else(|| {
        error(10_057, format!("Cannot inherit binding '{old_name}': the previous version has no such binding."))
    })?;
    if let Some(object) = inherited.as_object_mut() {
        object.insert("name".into(), name.into());
    }
    Ok(inherited)
}

/// How many variables and secrets there are, and how large.
///
/// # Errors
/// 400.
pub(super) fn check_variables(bindings: &[Value]) -> Result<(), ApiError> {
    let is_variable = |binding: &&Value| matches!(field(binding, "type"), "plain_text" | "secret_text" | "json");
    let variables: Vec<&Value> = bindings.iter().filter(is_variable).collect();
    if variables.len() > MAX_VARIABLES {
        return Err(error(10_054, format!("more than {MAX_VARIABLES} variables and secrets")));
    }
    let is_large = |binding: &&&Value| field(binding, "text").len() > MAX_VARIABLE_BYTES;
    match variables.iter().find(is_large) {
        Some(binding) => Err(error(10_055, format!("'{}' is larger than 5 kB", field(binding, "name")))),
        None => Ok(()),
    }
}

fn check(account: &Account, binding: &Value) -> Result<(), ApiError> {
    let (name, kind) = (field(binding, "name"), field(binding, "type"));
    match kind {
        "plain_text" | "secret_text" if binding.get("text").and_then(Value::as_str).is_none() => {
            Err(error(INVALID, format!("binding {name} of type {kind} must have a text specified")))
        }
        "json" if binding.get("json").is_none() => {
            Err(error(INVALID, format!("binding {name} of type json must have a json specified")))
        }
        "plain_text" | "secret_text" | "json" | "version_metadata" => Ok(()),
        "kv_namespace" => check_namespace(account, field(binding, "namespace_id")),
        "queue" => check_queue(account, name, binding),
        "service" => check_service(account, name, binding),
        // Whether the class is there depends on the migrations of the same upload.
        "durable_object_namespace" if !field(binding, "class_name").is_empty() => Ok(()),
        "" => Err(error(INVALID, format!("binding {name} must have a type specified"))),
        _ => Err(error(INVALID, format!("binding {name} of type {kind} is not valid, or nothing that this fake has"))),
    }
}

fn check_namespace(account: &Account, id: &str) -> Result<(), ApiError> {
    if id.len() != 32 || !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        let what = format!("KV namespace '{id}' is not valid. Please verify the namespace_id in your configuration.");
        return Err(error(10_042, what));
    }
    if account.namespaces.iter().any(|namespace| namespace.id == id) {
        return Ok(());
    }
    Err(error(10_041, format!("KV namespace '{id}' not found. Please verify it exists in your account.")))
}

fn check_queue(account: &Account, name: &str, binding: &Value) -> Result<(), ApiError> {
    let queue = field(binding, "queue_name");
    if queue.is_empty() {
        return Err(error(INVALID, format!("binding {name} of type queue must have a queue specified")));
    }
    if account.queue_named(queue).is_none() {
        return Err(error(11_000, format!("Queue '{queue}' not found. Please verify it exists in your account.")));
    }
    super::super::number(binding, "delivery_delay", [0, 86_400], INVALID).map(drop)
}

fn check_service(account: &Account, name: &str, binding: &Value) -> Result<(), ApiError> {
    let service = field(binding, "service");
    if service.is_empty() {
        return Err(error(INVALID, format!("binding {name} of type service must have a service specified")));
    }
    if !account.scripts.contains_key(service) {
        let message = format!(
            "Service binding '{name}' references Worker '{service}' which was not found. Verify the Worker exists in \
             your account and that the service name in your configuration is correct."
        );
        return Err(error(10_143, message));
    }
    match field(binding, "environment") {
        "" | "production" => Ok(()),
        other => {
            let message = format!(
                "Could not resolve service binding '{name}'. Target environment '{other}' not found for target script \
                 '{service}'. Please verify the target and try again."
            );
            Err(error(10_144, message))
        }
    }
}

/// What is shown of a binding: no secret.
pub(super) fn view(binding: &Value) -> Value {
    let mut binding = binding.clone();
    if field(&binding, "type") == "secret_text"
        && let Some(object) = binding.as_object_mut()
    {
        object.remove("text");
    }
    binding
}
