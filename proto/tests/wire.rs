//! The live reference is the `confidence_resolver` crate: what it encodes must decode with our types and the other way
//! round, as bytes and as JSON, in every field.
//!
//! The fixtures are written with the reference's types and without `..Default::default()`: a field that the reference
//! gains fails the build of this test, so that it cannot be missed here.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of a test fail by panicking")]

use confidence_resolver::proto::{
    Message as _,
    confidence::flags::{
        admin::v1 as their_info,
        resolver::v1::{self as theirs, events as their_events, telemetry_data as their_telemetry},
    },
    google::Timestamp,
};
use prost::Message as _;
use tributary_proto::{events, flag_logs, resolve_info};

fn every_field() -> theirs::WriteFlagLogsRequest {
    theirs::WriteFlagLogsRequest {
        flag_assigned: vec![their_events::FlagAssigned {
            resolve_id: "resolve-1".into(),
            client_info: Some(their_events::ClientInfo {
                client: "clients/c".into(),
                client_credential: "clients/c/clientCredentials/k".into(),
                sdk: Some(theirs::Sdk {
                    sdk: Some(theirs::sdk::Sdk::CustomId("own-sdk".into())),
                    version: "1.2.3".into(),
                }),
            }),
            flags: vec![
                applied(their_events::flag_assigned::applied_flag::Assignment::AssignmentInfo(
                    their_events::flag_assigned::AssignmentInfo {
                        segment: "segments/s".into(),
                        variant: "flags/f/variants/on".into(),
                    },
                )),
                applied(their_events::flag_assigned::applied_flag::Assignment::DefaultAssignment(
                    their_events::flag_assigned::DefaultAssignment { reason: 3 },
                )),
            ],
        }],
        telemetry_data: Some(telemetry()),
        client_resolve_info: vec![their_info::ClientResolveInfo {
            client: "clients/c".into(),
            client_credential: "clients/c/clientCredentials/k".into(),
            schema: vec![their_info::client_resolve_info::EvaluationContextSchemaInstance {
                schema: [("country".to_owned(), 3), ("age".to_owned(), 2), ("vip".to_owned(), 4)].into(),
                semantic_types: semantic_types(),
            }],
        }],
        flag_resolve_info: vec![their_info::FlagResolveInfo {
            flag: "flags/f".into(),
            variant_resolve_info: vec![their_info::flag_resolve_info::VariantResolveInfo {
                variant: "flags/f/variants/on".into(),
                count: i64::MAX,
            }],
            rule_resolve_info: vec![their_info::flag_resolve_info::RuleResolveInfo {
                rule: "flags/f/rules/r".into(),
                count: 7,
                assignment_resolve_info: vec![their_info::flag_resolve_info::AssignmentResolveInfo {
                    assignment_id: "treatment".into(),
                    count: 6,
                }],
            }],
        }],
    }
}

fn applied(
    assignment: their_events::flag_assigned::applied_flag::Assignment,
) -> their_events::flag_assigned::AppliedFlag {
    their_events::flag_assigned::AppliedFlag {
        flag: "flags/f".into(),
        targeting_key: "user-1".into(),
        targeting_key_selector: "user_id".into(),
        assignment: Some(assignment),
        assignment_id: "treatment".into(),
        rule: "flags/f/rules/r".into(),
        fallthrough_assignments: vec![their_events::FallthroughAssignment {
            rule: "flags/f/rules/q".into(),
            assignment_id: "holdback".into(),
            targeting_key: "user-1".into(),
            targeting_key_selector: "user_id".into(),
        }],
        apply_time: Some(Timestamp { seconds: 1_732_270_000, nanos: 120_000_000 }),
    }
}

fn telemetry() -> theirs::TelemetryData {
    theirs::TelemetryData {
        sdk: Some(theirs::Sdk { sdk: Some(theirs::sdk::Sdk::Id(25)), version: "0.1.0".into() }),
        resolve_latency: Some(their_telemetry::ResolveLatency {
            sum: u32::MAX,
            count: 6,
            buckets: vec![
                their_telemetry::BucketSpan { offset: -3, counts: vec![1, 2] },
                their_telemetry::BucketSpan { offset: 173, counts: vec![3] },
            ],
            ln_ratio: std::f64::consts::LN_10 / 18.0,
        }),
        resolve_rate: vec![
            their_telemetry::ResolveRate { count: u32::MAX, reason: 1 },
            // An enum number that neither side knows yet.
            their_telemetry::ResolveRate { count: 2, reason: 4711 },
        ],
        state_age: Some(their_telemetry::StateAge { last_state_update: u64::MAX }),
        memory_bytes: u64::MAX,
        resolver_version: "0.26.1".into(),
        provider_init_rate: vec![their_telemetry::ProviderInitRate {
            count: 9,
            labels: [("encryption".to_owned(), "true".to_owned()), ("odd \"name\"".to_owned(), "\\\n".to_owned())]
                .into(),
        }],
        apply_dedup: Some(their_telemetry::ApplyDedupTelemetry {
            applies_total: 1,
            applies_deduped: 2,
            apply_dedup_overflow: 3,
            sweeps: 4,
            map_size: 5,
            map_capacity: 6,
        }),
        flush: Some(their_telemetry::FlushTelemetry { succeeded: 1, failed: 2 }),
        events: Some(their_telemetry::EventsTelemetry {
            published: 1,
            batches_succeeded: 2,
            batches_failed: 3,
            events_rejected: 4,
        }),
    }
}

fn semantic_types() -> std::collections::BTreeMap<String, their_info::ContextFieldSemanticType> {
    use their_info::context_field_semantic_type::{
        self as kind, CountrySemanticType, DateSemanticType, EntitySemanticType, EnumSemanticType,
        TimestampSemanticType, Type, VersionSemanticType, enum_semantic_type::EnumValue,
    };
    [
        ("country", Type::Country(CountrySemanticType { format: 1 })),
        ("plan", Type::EnumType(EnumSemanticType { values: vec![EnumValue { value: "pro".into() }] })),
        ("team", Type::EntityReference(EntitySemanticType { entity: "entities/team".into() })),
        ("version", Type::Version(VersionSemanticType {})),
        ("born", Type::Date(DateSemanticType {})),
        ("seen", Type::Timestamp(TimestampSemanticType {})),
    ]
    .map(|(name, meaning): (&str, kind::Type)| {
        (name.to_owned(), their_info::ContextFieldSemanticType { r#type: Some(meaning) })
    })
    .into()
}

/// The same message, but for the JSON mapping: its enum names exist only for known numbers.
fn every_field_with_known_enums() -> theirs::WriteFlagLogsRequest {
    let mut message = every_field();
    if let Some(telemetry) = message.telemetry_data.as_mut() {
        for rate in &mut telemetry.resolve_rate {
            rate.reason = rate.reason.min(10);
        }
    }
    message
}

#[test]
fn what_the_reference_encodes_comes_back_unchanged_as_bytes() {
    let original = every_field();
    let bytes = original.encode_to_vec();
    let ours = flag_logs::WriteFlagLogsRequest::decode(bytes.as_slice()).unwrap();
    assert_eq!(ours.encode_to_vec(), bytes, "a field was lost or renumbered");
    assert_eq!(theirs::WriteFlagLogsRequest::decode(ours.encode_to_vec().as_slice()).unwrap(), original);
}

#[test]
fn what_the_reference_writes_as_json_is_read_the_same_as_its_bytes() {
    let original = every_field_with_known_enums();
    let from_bytes = flag_logs::WriteFlagLogsRequest::decode(original.encode_to_vec().as_slice()).unwrap();
    let text = serde_json::to_string(&original).unwrap();
    let from_json = tributary_proto::envelope::decode_legacy(&text).unwrap();
    assert_eq!(from_json, from_bytes);
    let (ours, theirs): (serde_json::Value, serde_json::Value) =
        (serde_json::to_value(&from_json).unwrap(), serde_json::from_str(&text).unwrap());
    assert_eq!(ours, theirs, "our JSON is not theirs");
}

#[test]
fn what_we_write_as_json_the_reference_reads() {
    let original = every_field_with_known_enums();
    let ours = flag_logs::WriteFlagLogsRequest::decode(original.encode_to_vec().as_slice()).unwrap();
    let back: theirs::WriteFlagLogsRequest = serde_json::from_str(&serde_json::to_string(&ours).unwrap()).unwrap();
    assert_eq!(back, original);
}

#[test]
fn every_field_of_ours_is_set_by_the_fixture() {
    // Destructured without `..`: a field that our schema gains must be added to the fixture above.
    let bytes = every_field().encode_to_vec();
    let flag_logs::WriteFlagLogsRequest { flag_assigned, telemetry_data, client_resolve_info, flag_resolve_info } =
        flag_logs::WriteFlagLogsRequest::decode(bytes.as_slice()).unwrap();
    let flag_logs::TelemetryData {
        sdk,
        resolve_latency,
        resolve_rate,
        state_age,
        memory_bytes,
        resolver_version,
        provider_init_rate,
        apply_dedup,
        flush,
        events,
    } = telemetry_data.unwrap();
    assert!(sdk.is_some() && resolve_latency.is_some() && state_age.is_some() && apply_dedup.is_some());
    assert!(flush.is_some() && events.is_some() && memory_bytes > 0 && !resolver_version.is_empty());
    assert!(!resolve_rate.is_empty() && !provider_init_rate.is_empty());
    let [events::FlagAssigned { client_info, resolve_id, flags }] = flag_assigned.try_into().unwrap();
    assert!(client_info.is_some() && !resolve_id.is_empty() && flags.len() == 2);
    let [resolve_info::ClientResolveInfo { client, client_credential, schema }] =
        client_resolve_info.try_into().unwrap();
    assert!(!client.is_empty() && !client_credential.is_empty() && !schema.is_empty());
    let [resolve_info::FlagResolveInfo { flag, variant_resolve_info, rule_resolve_info }] =
        flag_resolve_info.try_into().unwrap();
    assert!(!flag.is_empty() && !variant_resolve_info.is_empty() && !rule_resolve_info.is_empty());
}

#[test]
fn unknown_json_fields_from_a_newer_sender_are_ignored() {
    let text = r#"{"flagAssigned":[],"telemetryData":{"memoryBytes":"12","newer":{"a":[1]}},"newest":7}"#;
    let request = tributary_proto::envelope::decode_legacy(text).unwrap();
    assert_eq!(request.telemetry_data.unwrap().memory_bytes, 12);
}

/// A message with these values where an enum stands, in every place that has one.
fn with_enums(value: &str) -> String {
    format!(
        r#"{{"telemetryData":{{"sdk":{{"id":{value},"version":"1"}},
            "resolveRate":[{{"count":3,"reason":{value}}},{{"count":4,"reason":"RESOLVE_REASON_MATCH"}}]}},
            "flagAssigned":[{{"resolveId":"r","flags":[{{"defaultAssignment":{{"reason":{value}}}}}]}}],
            "clientResolveInfo":[{{"schema":[{{"schema":{{"a":{value},"b":"STRING_KIND"}},
            "semanticTypes":{{"c":{{"country":{{"format":{value}}}}}}}}}]}}]}}"#
    )
}

/// The numbers that are read in those places.
fn enums_of(request: &flag_logs::WriteFlagLogsRequest) -> [i32; 5] {
    use tributary_proto::{events::flag_assigned::applied_flag::Assignment, resolve_info::context_field_semantic_type};
    let telemetry = request.telemetry_data.as_ref().unwrap();
    let Some(flag_logs::sdk::Sdk::Id(sdk)) = telemetry.sdk.as_ref().unwrap().sdk else { panic!("no sdk") };
    let Some(Assignment::DefaultAssignment(default)) = &request.flag_assigned[0].flags[0].assignment else {
        panic!("no assignment")
    };
    let schema = &request.client_resolve_info[0].schema[0];
    assert_eq!(schema.schema["b"], 3, "what is known beside it is as it was");
    let Some(context_field_semantic_type::Type::Country(country)) = &schema.semantic_types["c"].r#type else {
        panic!("no country")
    };
    [sdk, telemetry.resolve_rate[0].reason, default.reason, schema.schema["a"], country.format]
}

#[test]
fn json_of_a_newer_sender_keeps_unknown_numbers_and_loses_no_count_to_an_unknown_name() {
    for (written, read) in [("77", 77), ("-5", -5), ("2147483647", i32::MAX), ("\"NAME_OF_TOMORROW\"", 0), ("\"\"", 0)]
    {
        let request = tributary_proto::envelope::decode_legacy(&with_enums(written)).unwrap();
        assert_eq!(enums_of(&request), [read; 5], "{written}");
        let rates = &request.telemetry_data.as_ref().unwrap().resolve_rate;
        let counts: Vec<u32> = rates.iter().map(|rate| rate.count).collect();
        assert_eq!((counts, rates[1].reason), (vec![3, 4], 1), "{written}");
        // As through bytes, and as JSON again.
        let bytes = flag_logs::WriteFlagLogsRequest::decode(request.encode_to_vec().as_slice()).unwrap();
        assert_eq!(bytes, request);
        let text = serde_json::to_string(&request).unwrap();
        assert_eq!(tributary_proto::envelope::decode_legacy(&text).unwrap(), request, "{text}");
    }
    for no_enum in ["2147483648", "-2147483649", "1.5", "[]", "true"] {
        let error = tributary_proto::envelope::decode_legacy(&with_enums(no_enum)).unwrap_err();
        assert_eq!(error.reason(), "flag_logs", "{no_enum}");
    }
}

#[test]
fn enum_names_are_those_of_the_reference() {
    for number in -1..=30 {
        let theirs_name = theirs::ResolveReason::try_from(number).ok().map(|r| r.as_str_name());
        let ours = flag_logs::ResolveReason::try_from(number).ok().map(|r| r.as_str_name());
        assert_eq!(ours, theirs_name, "reason {number}");
        let theirs_name = theirs::SdkId::try_from(number).ok().map(|r| r.as_str_name());
        let ours = flag_logs::SdkId::try_from(number).ok().map(|r| r.as_str_name());
        assert_eq!(ours, theirs_name, "sdk {number}");
    }
}

#[test]
fn two_encoded_requests_concatenated_hold_the_assignments_of_both() {
    let mut bytes = every_field().encode_to_vec();
    bytes.extend(every_field().encode_to_vec());
    let both = flag_logs::WriteFlagLogsRequest::decode(bytes.as_slice()).unwrap();
    assert_eq!(both.flag_assigned.len(), 2);
    assert_eq!(both.flag_resolve_info.len(), 2);
}

#[test]
fn json_numbers_are_read_as_the_nearest_double() {
    let text = "0.12792139492139405522476";
    let json = format!(r#"{{"telemetryData":{{"resolveLatency":{{"lnRatio":{text}}}}}}}"#);
    let read = tributary_proto::envelope::decode_legacy(&json).unwrap();
    let ln_ratio = read.telemetry_data.unwrap().resolve_latency.unwrap().ln_ratio;
    assert_eq!(ln_ratio.to_bits(), text.parse::<f64>().unwrap().to_bits());
}
