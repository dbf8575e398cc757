//! What a batch must hold to be believed: names where names are due, counts that add up.

use confidence_resolver::proto::confidence::flags::admin::v1::{ClientResolveInfo, FlagResolveInfo};
use confidence_resolver::proto::confidence::flags::resolver::v1::events::FlagAssigned;
use confidence_resolver::proto::confidence::flags::resolver::v1::events::flag_assigned::AppliedFlag;
use confidence_resolver::proto::confidence::flags::resolver::v1::events::flag_assigned::applied_flag::Assignment;
use confidence_resolver::proto::confidence::flags::resolver::v1::{TelemetryData, WriteFlagLogsRequest};

/// Checks every part of `logs`.
///
/// # Errors
/// The first thing that is wrong, as a sentence without secrets.
pub fn check(logs: &WriteFlagLogsRequest) -> Result<(), String> {
    logs.flag_assigned.iter().try_for_each(flag_assigned)?;
    logs.client_resolve_info.iter().try_for_each(client_resolve_info)?;
    logs.flag_resolve_info.iter().try_for_each(flag_resolve_info)?;
    logs.telemetry_data.as_ref().map_or(Ok(()), telemetry)
}

/// `flags` may be empty: a resolve with `apply` that matched no rule is still reported.
fn flag_assigned(assigned: &FlagAssigned) -> Result<(), String> {
    let id = &assigned.resolve_id;
    require(!id.is_empty(), || "flag_assigned without resolve_id".to_owned())?;
    let client = assigned.client_info.as_ref().ok_or_else(|| format!("flag_assigned {id:?} without client_info"))?;
    require(is_named("clients/", &client.client), || format!("client {:?} is no client", client.client))?;
    credential(&client.client, &client.client_credential)?;
    assigned.flags.iter().try_for_each(applied_flag)
}

fn applied_flag(applied: &AppliedFlag) -> Result<(), String> {
    let flag = &applied.flag;
    require(is_named("flags/", flag), || format!("applied flag {flag:?} is no flag"))?;
    let time = applied.apply_time.as_ref().ok_or_else(|| format!("{flag} without apply_time"))?;
    require(time.seconds > 0 && (0..1_000_000_000).contains(&time.nanos), || {
        format!("{flag} with an apply_time of {} s {} ns", time.seconds, time.nanos)
    })?;
    match &applied.assignment {
        None => return Err(format!("{flag} with neither assignment_info nor default_assignment")),
        Some(Assignment::DefaultAssignment(_)) => {}
        Some(Assignment::AssignmentInfo(info)) => {
            require(is_named("segments/", &info.segment), || format!("{flag}: {:?} is no segment", info.segment))?;
            require(is_child(flag, "/variants/", &info.variant), || {
                format!("{flag}: {:?} is no variant of it", info.variant)
            })?;
            require(is_child(flag, "/rules/", &applied.rule), || {
                format!("{flag}: {:?} is no rule of it", applied.rule)
            })?;
        }
    }
    applied.fallthrough_assignments.iter().try_for_each(|fallthrough| {
        require(is_child(flag, "/rules/", &fallthrough.rule), || {
            format!("{flag}: fallthrough rule {:?} is no rule of it", fallthrough.rule)
        })
    })
}

fn client_resolve_info(info: &ClientResolveInfo) -> Result<(), String> {
    require(is_named("clients/", &info.client), || format!("client_resolve_info of {:?}", info.client))?;
    credential(&info.client, &info.client_credential)
}

fn credential(client: &str, credential: &str) -> Result<(), String> {
    require(is_child(client, "/", credential), || format!("{credential:?} is no credential of {client}"))
}

/// An empty variant (no match) and an empty assignment id are names that the resolver uses.
fn flag_resolve_info(info: &FlagResolveInfo) -> Result<(), String> {
    let flag = &info.flag;
    require(is_named("flags/", flag), || format!("flag_resolve_info of {flag:?}"))?;
    for variant in &info.variant_resolve_info {
        let name = &variant.variant;
        require(name.is_empty() || is_child(flag, "/variants/", name), || {
            format!("{flag}: {name:?} is no variant of it")
        })?;
        require(variant.count >= 0, || format!("{name}: count {}", variant.count))?;
    }
    for rule in &info.rule_resolve_info {
        let name = &rule.rule;
        require(is_child(flag, "/rules/", name), || format!("{flag}: {name:?} is no rule of it"))?;
        require(rule.count >= 0, || format!("{name}: count {}", rule.count))?;
        let mut assigned = 0_i64;
        for assignment in &rule.assignment_resolve_info {
            require(assignment.count >= 0, || format!("{name}: assignment count {}", assignment.count))?;
            assigned = assigned.saturating_add(assignment.count);
        }
        // The resolver counts each resolve of a rule once with its assignment id.
        require(assigned == rule.count, || {
            format!("{name}: count {}, but its assignments sum to {assigned}", rule.count)
        })?;
    }
    Ok(())
}

fn telemetry(telemetry: &TelemetryData) -> Result<(), String> {
    if let Some(latency) = &telemetry.resolve_latency {
        let mut sum = 0_u64;
        for span in &latency.buckets {
            require(span.offset >= 0, || format!("resolve_latency: a span at {}", span.offset))?;
            sum = span.counts.iter().fold(sum, |sum, count| sum.saturating_add(u64::from(*count)));
        }
        require(sum == u64::from(latency.count), || {
            format!("resolve_latency: count {}, but its buckets sum to {sum}", latency.count)
        })?;
        require(latency.count == 0 || (latency.ln_ratio.is_finite() && latency.ln_ratio > 0.0), || {
            format!("resolve_latency: ln_ratio {}", latency.ln_ratio)
        })?;
    }
    Ok(())
}

/// Whether `name` is `prefix` and one more, non-empty part.
fn is_named(prefix: &str, name: &str) -> bool {
    name.strip_prefix(prefix).is_some_and(|id| !id.is_empty())
}

fn is_child(parent: &str, infix: &str, name: &str) -> bool {
    name.strip_prefix(parent).is_some_and(|rest| is_named(infix, rest))
}

fn require(is_so: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if is_so { Ok(()) } else { Err(otherwise()) }
}

#[cfg(test)]
#[path = "check/tests.rs"]
pub(crate) mod tests;
