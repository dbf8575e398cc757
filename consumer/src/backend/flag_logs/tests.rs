//! The merge rules, against an oracle that sums in another way: one flat map of everything countable.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use tributary_proto::{
    events::FlagAssigned,
    flag_logs::{ResolveReason, sdk},
    resolve_info::evaluation_context_schema_field::Kind,
};

use super::*;

/// Merges, over the wire as messages come and requests go.
fn merge<'a>(batch: impl IntoIterator<Item = &'a WriteFlagLogsRequest>) -> Vec<WriteFlagLogsRequest> {
    let batch: Vec<_> =
        batch.into_iter().map(|logs| FlagLogs::read(&logs.encode_to_vec()).expect("an encoded request")).collect();
    let mut merged = MergedFlagLogs::default();
    batch.iter().for_each(|logs| merged.add_logs(logs));
    requests(merged)
}

fn requests(merged: MergedFlagLogs<'_>) -> Vec<WriteFlagLogsRequest> {
    let decode = |request: Vec<u8>| WriteFlagLogsRequest::decode(request.as_slice()).unwrap();
    merged.into_requests().into_iter().map(decode).collect()
}

/// Everything countable of a request, by its full path.
fn flatten<'a>(requests: impl IntoIterator<Item = &'a WriteFlagLogsRequest>) -> BTreeMap<String, i64> {
    let mut flat = BTreeMap::new();
    for request in requests {
        for info in &request.flag_resolve_info {
            for v in &info.variant_resolve_info {
                *flat.entry(format!("{}|v|{}", info.flag, v.variant)).or_default() += v.count;
            }
            for r in &info.rule_resolve_info {
                *flat.entry(format!("{}|r|{}", info.flag, r.rule)).or_default() += r.count;
                for a in &r.assignment_resolve_info {
                    *flat.entry(format!("{}|r|{}|{}", info.flag, r.rule, a.assignment_id)).or_default() += a.count;
                }
            }
        }
        for assigned in &request.flag_assigned {
            *flat.entry(format!("assigned|{}", assigned.resolve_id)).or_default() += 1;
        }
    }
    flat
}

fn schemas<'a>(requests: impl IntoIterator<Item = &'a WriteFlagLogsRequest>) -> BTreeSet<(String, Vec<u8>)> {
    requests
        .into_iter()
        .flat_map(|request| &request.client_resolve_info)
        .flat_map(|info| info.schema.iter().map(|s| (info.client_credential.clone(), s.encode_to_vec())))
        .collect()
}

fn name(prefix: &'static str) -> impl Strategy<Value = String> {
    (0..3u8).prop_map(move |n| format!("{prefix}{n}"))
}

prop_compose! {
    fn assignment()(assignment_id in name("a"), count in 0i64..5) -> AssignmentResolveInfo {
        AssignmentResolveInfo { assignment_id, count }
    }
}
prop_compose! {
    fn rule()(
        rule in name("r"), count in 0i64..5, assignment_resolve_info in proptest::collection::vec(assignment(), 0..3),
    ) -> RuleResolveInfo {
        RuleResolveInfo { rule, count, assignment_resolve_info }
    }
}
prop_compose! {
    fn flag()(
        flag in name("f"),
        variants in proptest::collection::vec((name("v"), 0i64..5), 0..3),
        rule_resolve_info in proptest::collection::vec(rule(), 0..3),
    ) -> FlagResolveInfo {
        let variant_resolve_info =
            variants.into_iter().map(|(variant, count)| VariantResolveInfo { variant, count }).collect();
        FlagResolveInfo { flag, variant_resolve_info, rule_resolve_info }
    }
}
prop_compose! {
    fn client()(
        client_credential in name("c"),
        fields in proptest::collection::vec(proptest::collection::btree_map(name("field"), 0..5i32, 0..3), 0..3),
    ) -> ClientResolveInfo {
        let schema = fields
            .into_iter()
            .map(|schema| EvaluationContextSchemaInstance { schema, semantic_types: BTreeMap::new() })
            .collect();
        ClientResolveInfo { client: "clients/c".into(), client_credential, schema }
    }
}
prop_compose! {
    fn logs()(
        flag_resolve_info in proptest::collection::vec(flag(), 0..3),
        client_resolve_info in proptest::collection::vec(client(), 0..3),
        ids in proptest::collection::vec(name("resolve"), 0..3),
    ) -> WriteFlagLogsRequest {
        let flag_assigned =
            ids.into_iter().map(|resolve_id| FlagAssigned { resolve_id, ..FlagAssigned::default() }).collect();
        WriteFlagLogsRequest { flag_assigned, telemetry_data: None, client_resolve_info, flag_resolve_info }
    }
}

proptest! {
    #[test]
    fn nothing_is_lost_or_added_and_nothing_is_said_twice(batch in proptest::collection::vec(logs(), 0..8)) {
        let requests = merge(&batch);
        // An entry of the batch with count 0 may be said or not; only totals count.
        let nonzero = |flat: BTreeMap<String, i64>| flat.into_iter().filter(|(_, n)| *n != 0).collect::<BTreeMap<_, _>>();
        prop_assert_eq!(nonzero(flatten(&requests)), nonzero(flatten(&batch)));
        prop_assert_eq!(schemas(&requests), schemas(&batch));
        prop_assert!(requests.len() <= 1);
        for request in &requests {
            let flags: Vec<_> = request.flag_resolve_info.iter().map(|info| &info.flag).collect();
            prop_assert!(flags.windows(2).all(|pair| pair[0] < pair[1]), "a flag stands twice");
        }
    }

    #[test]
    fn the_order_of_messages_does_not_matter(batch in proptest::collection::vec(logs(), 0..6)) {
        let merge = |batch: &mut dyn Iterator<Item = &WriteFlagLogsRequest>| {
            let mut requests = merge(batch);
            for request in &mut requests {
                request.flag_assigned.sort_by(|a, b| a.resolve_id.cmp(&b.resolve_id));
            }
            requests
        };
        prop_assert_eq!(merge(&mut batch.iter()), merge(&mut batch.iter().rev()));
    }
}

#[test]
fn an_assignment_id_that_only_an_earlier_message_has_survives() {
    let logs = |assignment_id: &str| WriteFlagLogsRequest {
        flag_resolve_info: vec![FlagResolveInfo {
            flag: "flags/f".into(),
            rule_resolve_info: vec![RuleResolveInfo {
                rule: "r".into(),
                count: 1,
                assignment_resolve_info: vec![AssignmentResolveInfo { assignment_id: assignment_id.into(), count: 1 }],
            }],
            ..FlagResolveInfo::default()
        }],
        ..WriteFlagLogsRequest::default()
    };
    let flat = flatten(&merge(&[logs("control"), logs("treatment")]));
    assert_eq!(flat["flags/f|r|r|control"], 1);
    assert_eq!(flat["flags/f|r|r|treatment"], 1);
    assert_eq!(flat["flags/f|r|r"], 2);
}

fn identity(version: &str) -> SenderIdentity {
    SenderIdentity {
        sdk: Some(Sdk { sdk: Some(sdk::Sdk::Id(25)), version: version.into() }),
        resolver_version: version.into(),
    }
}

fn resolves(n: u64) -> TelemetryReport {
    let mut telemetry = TelemetryDelta::default();
    telemetry.add_resolves(ResolveReason::Match.into(), n);
    telemetry.into()
}

#[test]
fn telemetry_of_two_versions_is_never_attributed_to_one() {
    let mut merged = MergedFlagLogs::default();
    for (version, n) in [("1", 2), ("2", 3), ("1", 4)] {
        merged.add_telemetry(&identity(version), &resolves(n)).unwrap();
    }
    let requests = requests(merged);
    let said: Vec<_> = requests
        .iter()
        .map(|request| {
            let telemetry = request.telemetry_data.as_ref().unwrap();
            (telemetry.resolver_version.as_str(), telemetry.resolve_rate[0].count)
        })
        .collect();
    assert_eq!(said, [("1", 6), ("2", 3)]);
}

#[test]
fn a_total_past_32_bits_goes_out_in_several_requests_that_sum_to_it() {
    let mut merged = MergedFlagLogs::default();
    let total = 3 * u64::from(u32::MAX) + 5;
    merged.add_telemetry(&identity("1"), &resolves(total)).unwrap();
    let logs = FlagLogs::of_request(WriteFlagLogsRequest {
        flag_assigned: vec![FlagAssigned::default()],
        ..WriteFlagLogsRequest::default()
    });
    merged.add_logs(&logs);
    let requests = requests(merged);
    let sum: u64 = requests
        .iter()
        .flat_map(|request| &request.telemetry_data.as_ref().unwrap().resolve_rate)
        .map(|rate| u64::from(rate.count))
        .sum();
    assert_eq!(sum, total);
    assert_eq!(requests.iter().map(|r| r.flag_assigned.len()).sum::<usize>(), 1, "logs go out once");
    assert!(requests.iter().all(|r| r.telemetry_data.as_ref().unwrap().resolver_version == "1"));
}

#[test]
fn nothing_to_say_is_no_request() {
    let mut merged = MergedFlagLogs::default();
    let nothing = FlagLogs::default();
    merged.add_logs(&nothing);
    merged.add_telemetry(&SenderIdentity::default(), &TelemetryDelta::default().into()).unwrap();
    assert!(merged.is_empty());
    assert!(merged.into_requests().is_empty());
}

#[test]
fn hostile_counts_saturate_instead_of_wrapping() {
    let logs = WriteFlagLogsRequest {
        flag_resolve_info: vec![FlagResolveInfo {
            flag: "flags/f".into(),
            variant_resolve_info: vec![VariantResolveInfo { variant: "v".into(), count: i64::MAX }],
            ..FlagResolveInfo::default()
        }],
        ..WriteFlagLogsRequest::default()
    };
    assert_eq!(merge([&logs, &logs])[0].flag_resolve_info[0].variant_resolve_info[0].count, i64::MAX);
}

#[test]
fn a_schema_kind_of_a_newer_sender_is_kept_as_it_is() {
    let logs = WriteFlagLogsRequest {
        client_resolve_info: vec![ClientResolveInfo {
            schema: vec![EvaluationContextSchemaInstance {
                schema: [("x".to_owned(), 99), ("y".to_owned(), Kind::StringKind.into())].into(),
                semantic_types: BTreeMap::new(),
            }],
            ..ClientResolveInfo::default()
        }],
        ..WriteFlagLogsRequest::default()
    };
    assert_eq!(merge([&logs]), [logs]);
}
