//! Migrations of Durable Object classes, and that the classes are there.
//!
//! Known: codes and, but for details, texts: the tag that does not fit (10079), a class that is not exported (10070),
//! that exists already (10074), that is bound and not configured or is deleted while it is bound (10061), that objects
//! depend on and the script no longer exports (10064), migrations outside of a whole deployment (10211).

use std::collections::BTreeMap;

use serde_json::Value;

use super::super::super::answer::ApiError;
use super::super::super::ids;
use super::super::super::state::{Account, ObjectNamespace, field};
use super::upload;

/// What becomes of a script's classes.
#[derive(Clone, Debug, Default)]
pub(super) struct Classes {
    pub(super) tag: Option<String>,
    pub(super) classes: BTreeMap<String, ObjectNamespace>,
}

fn error(code: u32, message: String) -> ApiError {
    ApiError::new(400, code, message)
}

/// Applies the migrations of an upload to what is there.
///
/// # Errors
/// 400, 412; nothing is changed then.
pub(super) fn apply(mut now: Classes, migrations: &Value, exports: &[String]) -> Result<Classes, ApiError> {
    if migrations.is_null() {
        return Ok(now);
    }
    let tag = |name: &str| migrations.get(name).and_then(Value::as_str).map(str::to_owned);
    if tag("old_tag") != now.tag {
        let expected = now.tag.as_deref().unwrap_or_default();
        let message = format!(
            "Actor migration tag precondition failed; expected tag {:?} but got tag {expected:?}",
            tag("old_tag").unwrap_or_default()
        );
        return Err(ApiError::new(412, 10_079, message));
    }
    // One step may stand in the object itself.
    let own = vec![migrations.clone()];
    let steps = migrations.get("steps").map_or(Some(&own), Value::as_array);
    for step in steps.ok_or_else(|| error(10_021, "migrations.steps must be a list".into()))? {
        apply_step(&mut now.classes, step, exports)?;
    }
    now.tag = tag("new_tag").or(now.tag);
    Ok(now)
}

fn apply_step(
    classes: &mut BTreeMap<String, ObjectNamespace>,
    step: &Value,
    exports: &[String],
) -> Result<(), ApiError> {
    let must_be_exported = |what: &str, class: &str| {
        let is_exported = exports.iter().any(|export| export == class);
        let message = || format!("Cannot apply {what} migration to class '{class}' that is not exported by script");
        if is_exported { Ok(()) } else { Err(error(10_070, message())) }
    };
    for (list, is_sqlite) in [("new_classes", false), ("new_sqlite_classes", true)] {
        for class in upload::texts(step, list)? {
            if classes.contains_key(&class) {
                let message = format!(
                    "Cannot apply new-class migration to class '{class}' that is already depended on by existing \
                     Durable Objects"
                );
                return Err(error(10_074, message));
            }
            must_be_exported("new-class", &class)?;
            classes.insert(class, ObjectNamespace { id: ids::hex_id(), is_sqlite });
        }
    }
    for rename in step.get("renamed_classes").and_then(Value::as_array).unwrap_or(&Vec::new()) {
        let (from, to) = (field(rename, "from"), field(rename, "to"));
        must_be_exported("renamed-class", to)?;
        let namespace = classes.remove(from).ok_or_else(|| missing("renamed-class", from))?;
        classes.insert(to.to_owned(), namespace);
    }
    for class in upload::texts(step, "deleted_classes")? {
        classes.remove(&class).ok_or_else(|| missing("delete-class", &class))?;
    }
    if step.get("transferred_classes").and_then(Value::as_array).is_some_and(|list| !list.is_empty()) {
        return Err(error(10_021, "this fake transfers no classes between Workers".into()));
    }
    Ok(())
}

fn missing(what: &str, class: &str) -> ApiError {
    error(10_074, format!("Cannot apply {what} migration to class '{class}' that does not exist"))
}

/// Holds exports and bindings of a new version against the classes that it will have.
///
/// # Errors
/// 400.
pub(super) fn check(
    account: &Account,
    script: &str,
    before: &Classes,
    after: &Classes,
    bindings: &[Value],
    exports: &[String],
) -> Result<(), ApiError> {
    if let Some(class) = after.classes.keys().find(|class| !exports.contains(class)) {
        let message = format!(
            "New version of script does not export class '{class}' which is depended on by existing Durable Objects. \
             If you want to delete the object's data, use a delete-class migration."
        );
        return Err(error(10_064, message));
    }
    for binding in bindings.iter().filter(|binding| field(binding, "type") == "durable_object_namespace") {
        let class = field(binding, "class_name");
        let owner = Some(field(binding, "script_name")).filter(|name| !name.is_empty() && *name != script);
        let classes = match owner {
            None => &after.classes,
            Some(owner) => match account.scripts.get(owner) {
                Some(owner) => &owner.classes,
                None => return Err(error(10_061, format!("Worker '{owner}', whose class is bound, was not found"))),
            },
        };
        if classes.contains_key(class) {
            continue;
        }
        return Err(error(
            10_061,
            if owner.is_none() && before.classes.contains_key(class) {
                format!(
                    "Cannot apply --delete-class migration to class '{class}' without also removing the binding that \
                 references it."
                )
            } else if owner.is_none() && !exports.iter().any(|export| export == class) {
                format!("Cannot create binding for class {class} that is not exported by the script")
            } else {
                format!(
                    "Cannot create binding for class '{class}' because it is not currently configured to implement Durable \
                 Objects. Configure a migration in your configuration to add this class."
                )
            },
        ));
    }
    Ok(())
}
