use std::collections::BTreeMap;

use confidence_resolver::proto::confidence::flags::admin::v1::client_resolve_info::EvaluationContextSchemaInstance;
use confidence_resolver::proto::confidence::flags::admin::v1::flag_resolve_info::{
    AssignmentResolveInfo, VariantResolveInfo,
};
use confidence_resolver::proto::confidence::flags::resolver::v1::events::flag_assigned::AppliedFlag;

use super::*;

fn assigned(id: &str, flags: usize, bytes_each: usize) -> FlagAssigned {
    FlagAssigned {
        resolve_id: id.to_owned(),
        client_info: None,
        flags: (0..flags)
            .map(|index| AppliedFlag { flag: format!("{index}-{}", "f".repeat(bytes_each)), ..Default::default() })
            .collect(),
    }
}

fn joined(cut: &Cut) -> WriteFlagLogsRequest {
    let bytes: Vec<u8> = cut.fragments.iter().flat_map(|fragment| fragment.bytes.clone()).collect();
    WriteFlagLogsRequest::decode(bytes.as_slice()).unwrap()
}

#[test]
fn small_records_pass_through_unchanged() {
    let logs = WriteFlagLogsRequest {
        flag_assigned: vec![assigned("a", 2, 10), assigned("b", 1, 10)],
        flag_resolve_info: vec![FlagResolveInfo { flag: "flags/x".to_owned(), ..Default::default() }],
        client_resolve_info: vec![ClientResolveInfo { client: "clients/y".to_owned(), ..Default::default() }],
        telemetry_data: None,
    };
    let cut = cut(logs.clone(), 1_000);
    assert_eq!(joined(&cut), logs);
    assert_eq!(cut.fragments.iter().map(|fragment| fragment.assignments).sum::<u64>(), 3);
    assert_eq!((cut.oversize_assignments, cut.oversize_records), (0, 0));
}

#[test]
fn a_large_assignment_event_is_cut_by_flag_and_loses_none() {
    let logs = WriteFlagLogsRequest { flag_assigned: vec![assigned("a", 100, 50)], ..Default::default() };
    let cut = cut(logs.clone(), 500);
    assert!(cut.fragments.len() > 10);
    assert!(cut.fragments.iter().all(|fragment| fragment.bytes.len() <= 500));
    assert!(cut.fragments.iter().all(|fragment| fragment.assignments > 0));
    let joined = joined(&cut);
    assert!(joined.flag_assigned.iter().all(|assigned| assigned.resolve_id == "a"));
    let flags: Vec<_> = joined.flag_assigned.into_iter().flat_map(|assigned| assigned.flags).collect();
    assert_eq!(flags, logs.flag_assigned[0].flags);
}

#[test]
fn a_single_assignment_over_the_limit_is_counted_and_the_others_survive() {
    let mut event = assigned("a", 3, 10);
    event.flags[1].flag = "f".repeat(10_000);
    let cut = cut(WriteFlagLogsRequest { flag_assigned: vec![event], ..Default::default() }, 500);
    assert_eq!(cut.oversize_assignments, 1);
    assert_eq!(joined(&cut).flag_assigned.iter().map(|assigned| assigned.flags.len()).sum::<usize>(), 2);
    // A head that alone is over the limit leaves no room for any of its flags.
    let cut = super::cut(
        WriteFlagLogsRequest { flag_assigned: vec![assigned(&"i".repeat(1_000), 3, 1)], ..Default::default() },
        500,
    );
    assert_eq!((cut.oversize_assignments, cut.fragments.len()), (3, 0));
}

#[test]
fn schemas_are_cut_by_schema() {
    let schema: Vec<_> = (0..50)
        .map(|index| EvaluationContextSchemaInstance {
            schema: BTreeMap::from([(format!("{index}-{}", "k".repeat(50)), 1)]),
            semantic_types: BTreeMap::new(),
        })
        .collect();
    let info = ClientResolveInfo {
        client: "clients/c".to_owned(),
        client_credential: "clients/c/clientCredentials/d".to_owned(),
        schema: schema.clone(),
    };
    let cut = cut(WriteFlagLogsRequest { client_resolve_info: vec![info], ..Default::default() }, 400);
    assert!(cut.fragments.iter().all(|fragment| fragment.bytes.len() <= 400));
    let joined = joined(&cut).client_resolve_info;
    assert!(joined.iter().all(|info| info.client_credential == "clients/c/clientCredentials/d"));
    assert_eq!(joined.into_iter().flat_map(|info| info.schema).collect::<Vec<_>>(), schema);
}

#[test]
fn counts_are_cut_without_changing_their_sums() {
    let assignment = |rule: i64, index: i64| AssignmentResolveInfo {
        assignment_id: format!("{rule}-{index}-{}", "a".repeat(40)),
        count: index,
    };
    let info = FlagResolveInfo {
        flag: "flags/f".to_owned(),
        variant_resolve_info: (0..40)
            .map(|index| VariantResolveInfo { variant: format!("{index}-{}", "v".repeat(40)), count: index })
            .collect(),
        rule_resolve_info: (0..3)
            .map(|rule| RuleResolveInfo {
                rule: format!("rules/{rule}"),
                count: 1_000 + rule,
                assignment_resolve_info: (0..if rule == 0 { 1 } else { 60 })
                    .map(|index| assignment(rule, index))
                    .collect(),
            })
            .collect(),
    };
    let cut = cut(WriteFlagLogsRequest { flag_resolve_info: vec![info.clone()], ..Default::default() }, 600);
    assert!(cut.fragments.iter().all(|fragment| fragment.bytes.len() <= 600));
    assert_eq!(cut.oversize_records, 0);
    let joined = joined(&cut).flag_resolve_info;
    assert!(joined.iter().all(|part| part.flag == "flags/f"));
    let variants: Vec<_> = joined.iter().flat_map(|part| part.variant_resolve_info.clone()).collect();
    assert_eq!(variants, info.variant_resolve_info);
    for rule in &info.rule_resolve_info {
        let parts: Vec<_> =
            joined.iter().flat_map(|part| &part.rule_resolve_info).filter(|part| part.rule == rule.rule).collect();
        assert_eq!(parts.iter().map(|part| part.count).sum::<i64>(), rule.count);
        let assignments: Vec<_> = parts.iter().flat_map(|part| part.assignment_resolve_info.clone()).collect();
        assert_eq!(assignments, rule.assignment_resolve_info);
    }
}
