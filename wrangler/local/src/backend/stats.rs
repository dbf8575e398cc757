//! What the stub has taken, summed up.

use std::collections::{BTreeMap, BTreeSet};

use confidence_resolver::proto::confidence::flags::resolver::v1::{
    ResolveReason, Sdk, SdkId, WriteFlagLogsRequest, sdk,
};
use serde::{Serialize, Serializer};

use super::decode::Destination;

/// The answer of `GET /stats`. All counts are totals since the stub started and saturate at `u64::MAX`.
#[derive(Debug, Default, Clone, Serialize)]
pub struct Stats {
    /// Batches taken.
    pub requests: u64,
    /// Requests refused with a 4xx because something was wrong with them.
    pub rejected: u64,
    /// Requests that a fault answered.
    pub faulted: u64,
    /// `FlagAssigned` entries taken, repetitions included.
    pub assignments: u64,
    /// Applied flags in them.
    pub applied_flags: u64,
    /// Distinct resolve ids in them; JSON shows how many.
    #[serde(serialize_with = "size")]
    pub resolve_ids: BTreeSet<String>,
    /// Resolve counts by flag.
    pub flags: BTreeMap<String, FlagStats>,
    /// `resolve_rate`, by name of the reason.
    pub resolves_by_reason: BTreeMap<String, u64>,
    /// Observations in `resolve_latency`.
    pub latency_count: u64,
    /// `requests`, `assignments` and `rejected` by destination (`edge`, `cloudflare`).
    pub by_destination: BTreeMap<&'static str, DestinationStats>,
    /// The reason of the latest refusal, for whoever wonders.
    pub last_rejection: Option<String>,
}

/// Resolves of one flag.
#[derive(Debug, Default, Clone, Serialize)]
pub struct FlagStats {
    /// By variant; the empty name is "no variant".
    pub variants: BTreeMap<String, u64>,
    /// By rule.
    pub rules: BTreeMap<String, RuleStats>,
}

/// Resolves of one rule.
#[derive(Debug, Default, Clone, Serialize)]
pub struct RuleStats {
    /// All of them.
    pub count: u64,
    /// By assignment id; the empty id is "none given".
    pub assignments: BTreeMap<String, u64>,
}

/// What came to one destination.
#[derive(Debug, Default, Clone, Serialize)]
pub struct DestinationStats {
    /// Batches taken.
    pub requests: u64,
    /// `FlagAssigned` entries taken.
    pub assignments: u64,
    /// Requests refused.
    pub rejected: u64,
}

fn size<S: Serializer>(ids: &BTreeSet<String>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(count(ids.len()))
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

/// A count that was checked to be ≥ 0.
fn unsigned(count: i64) -> u64 {
    u64::try_from(count).unwrap_or(0)
}

fn add(total: &mut u64, more: u64) {
    *total = total.saturating_add(more);
}

impl Stats {
    /// Adds a batch that passed all checks, and describes it in one line.
    pub fn take(&mut self, destination: Destination, logs: &WriteFlagLogsRequest) -> String {
        let assignments = count(logs.flag_assigned.len());
        let applied = logs.flag_assigned.iter().fold(0, |sum: u64, one| sum.saturating_add(count(one.flags.len())));
        add(&mut self.requests, 1);
        add(&mut self.assignments, assignments);
        add(&mut self.applied_flags, applied);
        let there = self.by_destination.entry(destination.as_str()).or_default();
        add(&mut there.requests, 1);
        add(&mut there.assignments, assignments);
        self.resolve_ids.extend(logs.flag_assigned.iter().map(|assigned| assigned.resolve_id.clone()));
        for info in &logs.flag_resolve_info {
            let flag = self.flags.entry(info.flag.clone()).or_default();
            for variant in &info.variant_resolve_info {
                add(flag.variants.entry(variant.variant.clone()).or_default(), unsigned(variant.count));
            }
            for info in &info.rule_resolve_info {
                let rule = flag.rules.entry(info.rule.clone()).or_default();
                add(&mut rule.count, unsigned(info.count));
                for assignment in &info.assignment_resolve_info {
                    add(
                        rule.assignments.entry(assignment.assignment_id.clone()).or_default(),
                        unsigned(assignment.count),
                    );
                }
            }
        }
        let mut resolves = 0_u64;
        let mut sdk = "none".to_owned();
        if let Some(telemetry) = &logs.telemetry_data {
            for rate in &telemetry.resolve_rate {
                // The enum is open: the number of a newer sender is taken as it is.
                let reason = ResolveReason::try_from(rate.reason)
                    .map_or_else(|_| rate.reason.to_string(), |reason| reason.as_str_name().to_owned());
                add(self.resolves_by_reason.entry(reason).or_default(), rate.count.into());
            }
            resolves = telemetry.resolve_latency.as_ref().map_or(0, |latency| latency.count.into());
            add(&mut self.latency_count, resolves);
            sdk = describe(telemetry.sdk.as_ref());
        }
        format!(
            "backend: {} batch {}: {resolves} resolves of {} flags, {assignments} assignments with {applied} applied flags, sdk {sdk}",
            destination.as_str(),
            self.requests,
            logs.flag_resolve_info.len(),
        )
    }

    /// Counts a refused request, and describes it in one line.
    pub fn reject(&mut self, destination: Destination, reason: &str) -> String {
        add(&mut self.rejected, 1);
        add(&mut self.by_destination.entry(destination.as_str()).or_default().rejected, 1);
        self.last_rejection = Some(reason.to_owned());
        format!("backend: {} REFUSED: {reason}", destination.as_str())
    }

    /// Counts a request that a fault answered, and describes it in one line.
    pub fn fault(&mut self, destination: Destination, status: u16) -> String {
        add(&mut self.faulted, 1);
        format!("backend: {} answered {status} on order", destination.as_str())
    }
}

fn describe(sdk: Option<&Sdk>) -> String {
    let Some(sdk) = sdk else { return "none".to_owned() };
    let name = match &sdk.sdk {
        Some(sdk::Sdk::CustomId(id)) => id.clone(),
        Some(sdk::Sdk::Id(id)) => {
            SdkId::try_from(*id).unwrap_or_default().as_str_name().trim_start_matches("SDK_ID_").to_ascii_lowercase()
        }
        None => "unnamed".to_owned(),
    };
    format!("{name} {}", sdk.version)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::check::tests::valid_logs;

    #[test]
    fn batches_sum_up_and_resolve_ids_stay_distinct() {
        let mut stats = Stats::default();
        stats.take(Destination::Edge, &valid_logs());
        let line = stats.take(Destination::Cloudflare, &valid_logs());
        assert!(line.contains("2 resolves of 1 flags, 1 assignments with 1 applied flags"), "{line}");
        stats.reject(Destination::Edge, "why");
        stats.fault(Destination::Edge, 503);
        let json = serde_json::to_value(&stats).unwrap();
        let expected = serde_json::json!({
            "requests": 2, "rejected": 1, "faulted": 1, "assignments": 2, "applied_flags": 2, "resolve_ids": 1,
            "flags": {"flags/a": {
                "variants": {"": 2, "flags/a/variants/v": 2},
                "rules": {"flags/a/rules/r": {"count": 2, "assignments": {"": 2}}},
            }},
            "resolves_by_reason": {"RESOLVE_REASON_MATCH": 2, "RESOLVE_REASON_NO_SEGMENT_MATCH": 2},
            "latency_count": 4,
            "by_destination": {
                "edge": {"requests": 1, "assignments": 1, "rejected": 1},
                "cloudflare": {"requests": 1, "assignments": 1, "rejected": 0},
            },
            "last_rejection": "why",
        });
        assert_eq!(json, expected);
    }
}
