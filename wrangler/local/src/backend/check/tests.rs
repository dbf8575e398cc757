//! A valid batch passes; each single wrong thing in it is found.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test may fail by panicking")]

use confidence_resolver::proto::confidence::flags::admin::v1::flag_resolve_info::{
    AssignmentResolveInfo, RuleResolveInfo, VariantResolveInfo,
};
use confidence_resolver::proto::confidence::flags::resolver::v1::ResolveReason;
use confidence_resolver::proto::confidence::flags::resolver::v1::events::flag_assigned::AssignmentInfo;
use confidence_resolver::proto::confidence::flags::resolver::v1::events::{ClientInfo, FallthroughAssignment};
use confidence_resolver::proto::confidence::flags::resolver::v1::telemetry_data::{
    BucketSpan, ResolveLatency, ResolveRate,
};
use confidence_resolver::proto::google::Timestamp;

use super::*;

const FLAG: &str = "flags/a";

/// Two resolves of one flag, one of them applied.
pub(crate) fn valid_logs() -> WriteFlagLogsRequest {
    let rule = "flags/a/rules/r".to_owned();
    WriteFlagLogsRequest {
        flag_assigned: vec![FlagAssigned {
            resolve_id: "resolve-1".to_owned(),
            client_info: Some(ClientInfo {
                client: "clients/c".to_owned(),
                client_credential: "clients/c/credentials/k".to_owned(),
                sdk: None,
            }),
            flags: vec![AppliedFlag {
                flag: FLAG.to_owned(),
                targeting_key: "user".to_owned(),
                assignment: Some(Assignment::AssignmentInfo(AssignmentInfo {
                    segment: "segments/s".to_owned(),
                    variant: "flags/a/variants/v".to_owned(),
                })),
                rule: rule.clone(),
                fallthrough_assignments: vec![FallthroughAssignment { rule: rule.clone(), ..Default::default() }],
                apply_time: Some(Timestamp { seconds: 1_790_000_000, nanos: 5 }),
                ..Default::default()
            }],
        }],
        client_resolve_info: vec![ClientResolveInfo {
            client: "clients/c".to_owned(),
            client_credential: "clients/c/credentials/k".to_owned(),
            schema: Vec::new(),
        }],
        flag_resolve_info: vec![FlagResolveInfo {
            flag: FLAG.to_owned(),
            variant_resolve_info: vec![
                VariantResolveInfo { variant: "flags/a/variants/v".to_owned(), count: 1 },
                VariantResolveInfo { variant: String::new(), count: 1 },
            ],
            rule_resolve_info: vec![RuleResolveInfo {
                rule,
                count: 1,
                assignment_resolve_info: vec![AssignmentResolveInfo { assignment_id: String::new(), count: 1 }],
            }],
        }],
        telemetry_data: Some(TelemetryData {
            resolve_latency: Some(ResolveLatency {
                sum: 300,
                count: 2,
                buckets: vec![BucketSpan { offset: 36, counts: vec![1, 0, 1] }],
                ln_ratio: 10_f64.ln() / 18.0,
            }),
            resolve_rate: vec![
                ResolveRate { count: 1, reason: ResolveReason::Match.into() },
                ResolveRate { count: 1, reason: ResolveReason::NoSegmentMatch.into() },
            ],
            ..Default::default()
        }),
    }
}

fn refused(spoil: impl FnOnce(&mut WriteFlagLogsRequest)) -> String {
    let mut logs = valid_logs();
    spoil(&mut logs);
    check(&logs).unwrap_err()
}

fn applied(logs: &mut WriteFlagLogsRequest) -> &mut AppliedFlag {
    &mut logs.flag_assigned[0].flags[0]
}

fn latency(logs: &mut WriteFlagLogsRequest) -> &mut ResolveLatency {
    logs.telemetry_data.as_mut().unwrap().resolve_latency.as_mut().unwrap()
}

#[test]
fn valid_and_empty_batches_pass() {
    check(&valid_logs()).unwrap();
    check(&WriteFlagLogsRequest::default()).unwrap();
    let mut nothing_matched = valid_logs();
    nothing_matched.flag_assigned[0].flags.clear();
    check(&nothing_matched).unwrap();
}

#[test]
fn missing_names_are_refused() {
    assert!(refused(|logs| logs.flag_assigned[0].resolve_id.clear()).contains("resolve_id"));
    assert!(refused(|logs| logs.flag_assigned[0].client_info = None).contains("client_info"));
    assert!(refused(|logs| applied(logs).flag = "flags/".to_owned()).contains("no flag"));
    assert!(refused(|logs| applied(logs).rule.clear()).contains("no rule"));
    assert!(refused(|logs| applied(logs).assignment = None).contains("neither"));
    assert!(refused(|logs| applied(logs).fallthrough_assignments[0].rule.clear()).contains("fallthrough"));
    assert!(refused(|logs| logs.client_resolve_info[0].client.clear()).contains("client_resolve_info"));
    assert!(
        refused(|logs| logs.client_resolve_info[0].client_credential = "clients/d/x".to_owned()).contains("credential")
    );
    assert!(refused(|logs| logs.flag_resolve_info[0].flag.clear()).contains("flag_resolve_info"));
    assert!(refused(|logs| logs.flag_resolve_info[0].rule_resolve_info[0].rule.clear()).contains("no rule"));
}

#[test]
fn variant_of_another_flag_is_refused() {
    let other = "flags/ab/variants/v".to_owned();
    let reason = refused(|logs| {
        applied(logs).assignment = Some(Assignment::AssignmentInfo(AssignmentInfo {
            segment: "segments/s".to_owned(),
            variant: other.clone(),
        }));
    });
    assert!(reason.contains("no variant"));
    assert!(
        refused(|logs| logs.flag_resolve_info[0].variant_resolve_info[0].variant = other.clone())
            .contains("no variant")
    );
}

#[test]
fn apply_time_must_be_there_and_possible() {
    assert!(refused(|logs| applied(logs).apply_time = None).contains("apply_time"));
    assert!(refused(|logs| applied(logs).apply_time = Some(Timestamp { seconds: 0, nanos: 0 })).contains("apply_time"));
    assert!(
        refused(|logs| applied(logs).apply_time = Some(Timestamp { seconds: 1, nanos: -1 })).contains("apply_time")
    );
}

#[test]
fn counts_must_add_up() {
    assert!(refused(|logs| logs.flag_resolve_info[0].variant_resolve_info[0].count = -1).contains("count -1"));
    assert!(refused(|logs| logs.flag_resolve_info[0].rule_resolve_info[0].count = 2).contains("sum to 1"));
    assert!(refused(|logs| latency(logs).count = 3).contains("sum to 2"));
    assert!(refused(|logs| latency(logs).buckets[0].offset = -1).contains("span"));
    assert!(refused(|logs| latency(logs).ln_ratio = f64::NAN).contains("ln_ratio"));
}

#[test]
fn a_reason_of_a_newer_sender_is_taken() {
    let mut logs = valid_logs();
    logs.telemetry_data.as_mut().unwrap().resolve_rate[0].reason = 99;
    assert_eq!(check(&logs), Ok(()));
}
