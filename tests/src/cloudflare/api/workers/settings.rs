//! Settings and triggers: cron schedules, and the workers.dev subdomain of account and Worker.
//!
//! Known: an account without a subdomain (10007 on reading, 10063 where one is needed), one that has one already (10036),
//! a name that is free (10032) or taken (10031). Guessed: the code of a bad cron expression and of too many.

use serde_json::{Map, Value, json};

use super::super::super::answer::{Answer, ApiError, ok};
use super::super::super::call::Call;
use super::super::super::cron::Cron;
use super::super::super::ids;
use super::super::super::state::{Account, Schedule, field};
use super::{INVALID_BODY, NOT_FOUND, bindings, find, find_mut};

/// Cron triggers of a Worker ("Workers: Limits": of an account, 250 on a paid plan).
const MAX_SCHEDULES: usize = 250;
const INVALID_CRON: u32 = 10_100;

/// Bindings and runtime of the version that serves, and the Worker's other settings.
pub(super) fn get(account: &Account, name: &str) -> Answer {
    let script = find(account, name)?;
    let version = script.active();
    let mut settings = Map::from_iter(script.settings.clone());
    settings.insert(
        "bindings".into(),
        version.map_or_else(|| json!([]), |v| v.bindings.iter().map(bindings::view).collect()),
    );
    settings.insert("compatibility_date".into(), version.map(|version| version.compatibility_date.clone()).into());
    settings.insert("compatibility_flags".into(), version.map(|version| version.compatibility_flags.clone()).into());
    settings.insert("usage_model".into(), "standard".into());
    settings.insert("limits".into(), version.and_then(|version| version.limits.clone()).into());
    settings.insert("placement".into(), version.and_then(|v| v.placement.clone()).unwrap_or_else(|| json!({})));
    settings.insert("migration_tag".into(), script.migration_tag.clone().into());
    ok(settings.into())
}

pub(super) fn script_settings(account: &Account, name: &str) -> Answer {
    ok(Value::Object(Map::from_iter(find(account, name)?.settings.clone())))
}

pub(super) fn patch_script_settings(account: &mut Account, call: &Call, name: &str) -> Answer {
    find(account, name)?;
    let body = call.json(INVALID_BODY)?;
    let changes = body.as_object().ok_or_else(|| ApiError::new(400, INVALID_BODY, "the body is no object"))?;
    for key in changes.keys() {
        if !["tags", "logpush", "tail_consumers", "observability", "streaming_tail_consumers"].contains(&key.as_str()) {
            return Err(ApiError::new(400, INVALID_BODY, format!("unknown setting {key:?}")));
        }
    }
    find_mut(account, name)?.settings.extend(changes.clone());
    script_settings(account, name)
}

pub(super) fn schedules(account: &Account, name: &str) -> Answer {
    let schedules = find(account, name)?.schedules.iter().map(|schedule| {
        json!({ "cron": schedule.cron, "created_on": schedule.created_on, "modified_on": schedule.created_on })
    });
    ok(json!({ "schedules": schedules.collect::<Vec<_>>() }))
}

/// Replaces all schedules.
pub(super) fn put_schedules(account: &mut Account, call: &Call, name: &str) -> Answer {
    let script = find_mut(account, name)?;
    let body = call.json(INVALID_BODY)?;
    let wanted = body.as_array().ok_or_else(|| ApiError::new(400, INVALID_BODY, "the body is no array"))?;
    if wanted.len() > MAX_SCHEDULES {
        return Err(ApiError::new(400, INVALID_CRON, format!("more than {MAX_SCHEDULES} cron triggers")));
    }
    let mut schedules: Vec<Schedule> = Vec::new();
    for entry in wanted {
        let cron = field(entry, "cron");
        if Cron::parse(cron).is_none() {
            return Err(ApiError::new(400, INVALID_CRON, format!("invalid cron string: {cron:?}")));
        }
        if !schedules.iter().any(|schedule| schedule.cron == cron) {
            let old = script.schedules.iter().find(|schedule| schedule.cron == cron).cloned();
            schedules.push(old.unwrap_or_else(|| Schedule { cron: cron.to_owned(), created_on: ids::timestamp() }));
        }
    }
    script.schedules = schedules;
    self::schedules(account, name)
}

pub(super) fn account_subdomain(account: &Account) -> Answer {
    let subdomain = account.subdomain.as_ref();
    let missing = || ApiError::new(404, NOT_FOUND, "workers.api.error.subdomain_not_found");
    ok(json!({ "subdomain": subdomain.ok_or_else(missing)? }))
}

pub(super) fn register(account: &mut Account, call: &Call) -> Answer {
    if account.subdomain.is_some() {
        return Err(ApiError::new(409, 10_036, "the account already has a workers.dev subdomain"));
    }
    let body = call.json(INVALID_BODY)?;
    let name = super::super::text(&body, "subdomain", INVALID_BODY)?;
    let is_valid = name.len() <= 63
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && !name.starts_with('-')
        && !name.ends_with('-');
    if !is_valid {
        return Err(ApiError::new(400, INVALID_BODY, format!("invalid subdomain {name:?}")));
    }
    account.subdomain = Some(name.to_owned());
    account_subdomain(account)
}

/// Says in an error that a name is free, as the real API does.
pub(super) fn is_available(account: &Account, name: &str) -> Answer {
    let is_taken = account.subdomain.as_deref() == Some(name);
    Err(if is_taken {
        ApiError::new(409, 10_031, "workers.api.error.subdomain_unavailable")
    } else {
        ApiError::new(404, 10_032, "workers.api.error.subdomain_not_found")
    })
}

pub(super) fn subdomain(account: &Account, name: &str) -> Answer {
    let script = find(account, name)?;
    ok(json!({ "enabled": script.is_on_subdomain, "previews_enabled": script.has_previews }))
}

pub(super) fn post_subdomain(account: &mut Account, call: &Call, name: &str) -> Answer {
    find(account, name)?;
    let body = call.json(INVALID_BODY)?;
    let flag = |key: &str| match body.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => value
            .as_bool()
            .map(Some)
            .ok_or_else(|| ApiError::new(400, INVALID_BODY, format!("{key} must be true or false"))),
    };
    let enabled = flag("enabled")?.ok_or_else(|| ApiError::new(400, INVALID_BODY, "enabled is required"))?;
    let previews = flag("previews_enabled")?.unwrap_or(enabled);
    if (enabled || previews) && account.subdomain.is_none() {
        return Err(ApiError::new(403, 10_063, "You need a workers.dev subdomain in order to proceed."));
    }
    let script = find_mut(account, name)?;
    (script.is_on_subdomain, script.has_previews) = (enabled, previews);
    subdomain(account, name)
}

pub(super) fn delete_subdomain(account: &mut Account, name: &str) -> Answer {
    let script = find_mut(account, name)?;
    (script.is_on_subdomain, script.has_previews) = (false, false);
    subdomain(account, name)
}
