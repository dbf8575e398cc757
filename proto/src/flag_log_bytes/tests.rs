//! Held against the generated code, over messages of every shape and over bytes that are nearly right.

use std::collections::BTreeMap;

use proptest::{collection::vec, option, prelude::*};
use prost::Message as _;

use super::*;
use crate::{
    Timestamp,
    envelope::{Envelope, FORMAT, FORMAT_PACKED, StreamId},
    events::{
        ClientInfo, FallthroughAssignment, FlagAssigned,
        flag_assigned::{AppliedFlag, AssignmentInfo, DefaultAssignment, applied_flag::Assignment},
    },
    flag_logs::{Sdk, sdk},
    resolve_info::{
        ClientResolveInfo, ContextFieldSemanticType, FlagResolveInfo,
        client_resolve_info::EvaluationContextSchemaInstance,
        context_field_semantic_type::{
            CountrySemanticType, DateSemanticType, EntitySemanticType, EnumSemanticType, Type,
            enum_semantic_type::EnumValue,
        },
        flag_resolve_info::{AssignmentResolveInfo, RuleResolveInfo, VariantResolveInfo},
    },
    v1::{self, PackedAssignments},
};

fn word() -> impl Strategy<Value = String> {
    prop_oneof![3 => "[a-c]{0,3}", 1 => "[å-ö]{1,3}", 1 => "x{130}"]
}

fn time() -> impl Strategy<Value = Option<Timestamp>> {
    option::of((0..3_i64, -1..2_i32).prop_map(|(seconds, nanos)| Timestamp { seconds, nanos }))
}

prop_compose! {
    fn fallthrough(key: String)(
        rule in word(), assignment_id in word(), own in any::<bool>(), other in word(), selector in word(),
    ) -> FallthroughAssignment {
        let targeting_key = if own { key.clone() } else { other };
        FallthroughAssignment { rule, assignment_id, targeting_key, targeting_key_selector: selector }
    }
}

fn applied() -> impl Strategy<Value = AppliedFlag> {
    let assignment = prop_oneof![
        Just(None),
        (word(), word())
            .prop_map(|(segment, variant)| { Some(Assignment::AssignmentInfo(AssignmentInfo { segment, variant })) }),
        (-1..4_i32).prop_map(|reason| Some(Assignment::DefaultAssignment(DefaultAssignment { reason }))),
    ];
    (word(), word(), word(), assignment, word(), word(), time()).prop_flat_map(
        |(flag, key, targeting_key_selector, assignment, assignment_id, rule, apply_time)| {
            vec(fallthrough(key.clone()), 0..3).prop_map(move |fallthrough_assignments| AppliedFlag {
                flag: flag.clone(),
                targeting_key: key.clone(),
                targeting_key_selector: targeting_key_selector.clone(),
                assignment: assignment.clone(),
                assignment_id: assignment_id.clone(),
                rule: rule.clone(),
                fallthrough_assignments,
                apply_time,
            })
        },
    )
}

prop_compose! {
    fn assigned()(
        client in option::of((word(), word(), option::of(word()))), resolve_id in word(), flags in vec(applied(), 0..5),
    ) -> FlagAssigned {
        let client_info = client.map(|(client, client_credential, sdk)| ClientInfo {
            client,
            client_credential,
            sdk: sdk.map(|name| Sdk { version: name.clone(), sdk: Some(sdk::Sdk::CustomId(name)) }),
        });
        FlagAssigned { client_info, resolve_id, flags }
    }
}

/// Everything that there is, once.
fn full() -> WriteFlagLogsRequest {
    let semantic = |kind| ContextFieldSemanticType { r#type: Some(kind) };
    let schema = EvaluationContextSchemaInstance {
        schema: [("country".to_owned(), 3), ("user".to_owned(), 9)].into(),
        semantic_types: BTreeMap::from([
            ("a".to_owned(), semantic(Type::Country(CountrySemanticType { format: 1 }))),
            (
                "b".to_owned(),
                semantic(Type::EnumType(EnumSemanticType { values: vec![EnumValue { value: "é".into() }] })),
            ),
            ("c".to_owned(), semantic(Type::EntityReference(EntitySemanticType { entity: "e".into() }))),
            ("d".to_owned(), semantic(Type::Date(DateSemanticType {}))),
        ]),
    };
    let flag = |key: &str, variant: &str| AppliedFlag {
        flag: "flags/f".into(),
        targeting_key: key.into(),
        targeting_key_selector: "user".into(),
        assignment: Some(Assignment::AssignmentInfo(AssignmentInfo { segment: "s".into(), variant: variant.into() })),
        assignment_id: "id".into(),
        rule: "flags/f/rules/r".into(),
        fallthrough_assignments: vec![FallthroughAssignment {
            rule: "flags/f/rules/q".into(),
            assignment_id: "x".into(),
            targeting_key: key.into(),
            targeting_key_selector: "user".into(),
        }],
        apply_time: Some(Timestamp { seconds: 1_790_000_000, nanos: 5 }),
    };
    let default = AppliedFlag {
        assignment: Some(Assignment::DefaultAssignment(DefaultAssignment { reason: 1 })),
        ..flag("ü", "")
    };
    let assigned = |id: &str, flags| FlagAssigned {
        client_info: Some(ClientInfo {
            client: "clients/c".into(),
            client_credential: "clients/c/clientCredentials/d".into(),
            sdk: Some(Sdk { sdk: Some(sdk::Sdk::Id(25)), version: "1".into() }),
        }),
        resolve_id: id.into(),
        flags,
    };
    WriteFlagLogsRequest {
        flag_assigned: vec![
            assigned("one", vec![flag("u1", "on"), flag("u1", "off"), default]),
            assigned("two", vec![flag("u2", "on"), flag("u2", "off")]),
            assigned("three", vec![flag("u3", "on"), flag("u3", "on")]),
        ],
        telemetry_data: Some(TelemetryData { memory_bytes: 300, ..TelemetryData::default() }),
        client_resolve_info: vec![ClientResolveInfo {
            client: "clients/c".into(),
            client_credential: "d".into(),
            schema: vec![schema],
        }],
        flag_resolve_info: vec![FlagResolveInfo {
            flag: "flags/f".into(),
            variant_resolve_info: vec![VariantResolveInfo { variant: "on".into(), count: 700 }],
            rule_resolve_info: vec![RuleResolveInfo {
                rule: "r".into(),
                count: -1,
                assignment_resolve_info: vec![AssignmentResolveInfo { assignment_id: "id".into(), count: 2 }],
            }],
        }],
    }
}

fn envelope(flag_logs: Vec<u8>) -> Envelope {
    Envelope {
        stream_id: StreamId([7; 16]),
        ledgers: 1,
        sequence: 1,
        window_start_ms: 1,
        window_end_ms: 2,
        resolver_id: "r".into(),
        dimensions: BTreeMap::new(),
        flag_logs,
        metrics: Vec::new(),
        resource_metrics: Vec::new(),
        dropped: Vec::new(),
    }
}

/// Takes what the generated code takes, and reads the same.
fn check_against_prost(bytes: &[u8]) {
    let request = FlagLogs::read(bytes).map(|logs| logs.to_request());
    match (request, WriteFlagLogsRequest::decode(bytes)) {
        (Ok(Ok(request)), Ok(expected)) => {
            // Compared as bytes: a ratio may be NaN.
            assert_eq!(request.encode_to_vec(), expected.encode_to_vec());
        }
        (Ok(Err(_)), Err(_)) => {}
        (Err(_), Err(_)) => {}
        // The generated code does not look at the wire type of a map's entry.
        (Err(Malformed::Type), Ok(expected)) if has_schemas(&expected) => {}
        (ours, theirs) => panic!("{bytes:?}\n{ours:?}\n{theirs:?}"),
    }
}

fn has_schemas(request: &WriteFlagLogsRequest) -> bool {
    let mut instances = request.client_resolve_info.iter().flat_map(|info| &info.schema);
    instances.any(|instance| !instance.schema.is_empty() || !instance.semantic_types.is_empty())
}

/// Read in place and unpacked are the same.
fn check_message(bytes: &[u8]) {
    let whole = Envelope::decode(bytes).and_then(|envelope| envelope.flag_logs().map(|logs| (envelope, logs)));
    let read = Envelope::read(bytes).map(|(head, logs)| (head, logs.to_request()));
    match (read, whole) {
        (Ok((head, Ok(request))), Ok((envelope, expected))) => {
            assert_eq!(head, Envelope { flag_logs: Vec::new(), ..envelope });
            assert_eq!(request.encode_to_vec(), expected.encode_to_vec());
        }
        (Ok((_, Err(_))), Err(_)) => {}
        (Err(_), Err(_)) => {}
        (Err(_), Ok((_, expected))) if has_schemas(&expected) => {}
        (ours, theirs) => panic!("{bytes:?}\n{ours:?}\n{theirs:?}"),
    }
}

proptest! {
    #[test]
    fn unpacked_is_what_was_packed(
        before in vec(assigned(), 0..2), events in vec(assigned(), 0..6), with_telemetry in any::<bool>(),
    ) {
        let mut bytes = Vec::new();
        for (telemetry, flag_assigned) in [(with_telemetry, before), (true, events)] {
            let telemetry_data =
                telemetry.then(|| TelemetryData { memory_bytes: 1, ..TelemetryData::default() });
            WriteFlagLogsRequest { flag_assigned, telemetry_data, ..full() }.encode(&mut bytes).unwrap();
        }
        check_against_prost(&bytes);
        if let Some(Packed { mut flag_logs, assignments }) = pack(&bytes) {
            PackedAssignments::decode(assignments.as_slice()).unwrap();
            unpack_into(&mut flag_logs, &assignments).unwrap();
            prop_assert_eq!(&flag_logs, &bytes);
        }
        let written = envelope(bytes.clone()).encode().unwrap();
        prop_assert_eq!(Envelope::decode(&written).unwrap().flag_logs, bytes);
        check_message(&written);
    }

    #[test]
    fn any_bytes_are_taken_or_refused_as_the_generated_code_does(bytes in vec(any::<u8>(), 0..64)) {
        check_against_prost(&bytes);
        if let Some(Packed { mut flag_logs, assignments }) = pack(&bytes) {
            unpack_into(&mut flag_logs, &assignments).unwrap();
            prop_assert_eq!(&flag_logs, &bytes);
        }
    }

    #[test]
    fn among_others_a_message_says_what_it_says_alone(
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..9),
    ) {
        // The same infos again and again, some of them spoiled, and some a client's where a flag's was.
        let mut known = KnownInfos::default();
        for (at, to) in changes {
            let mut bytes = full().encode_to_vec();
            let at = at.index(bytes.len());
            for to in [bytes[at], to] {
                bytes[at] = to;
                prop_assert_eq!(FlagLogs::read_parts(&bytes, None, &mut known), FlagLogs::read(&bytes));
            }
        }
    }

    #[test]
    fn two_bytes_changed(at in any::<(prop::sample::Index, prop::sample::Index)>(), to in any::<(u8, u8)>()) {
        let written = envelope(full().encode_to_vec()).encode().unwrap();
        for (whole, check) in
            [(full().encode_to_vec(), check_against_prost as fn(&[u8])), (written, check_message as fn(&[u8]))]
        {
            let mut bytes = whole;
            let at = (at.0.index(bytes.len()), at.1.index(bytes.len()));
            (bytes[at.0], bytes[at.1]) = to;
            check(&bytes);
        }
    }
}

#[test]
fn every_byte_of_everything_changed_and_every_end() {
    let written = envelope(full().encode_to_vec()).encode().unwrap();
    for (whole, check) in
        [(full().encode_to_vec(), check_against_prost as fn(&[u8])), (written, check_message as fn(&[u8]))]
    {
        for at in 0..whole.len() {
            check(&whole[..at]);
            // Neighbours, other wire types and fields, other lengths, no text.
            let near = [1, 2, 3, 5, 7, 8, 16, 0x80, 0xc3].map(|other| whole[at] ^ other);
            for value in near.into_iter().chain([0, 1, whole[at].wrapping_add(1), whole[at].wrapping_sub(1), 0xff]) {
                let mut bytes = whole.clone();
                bytes[at] = value;
                check(&bytes);
            }
        }
    }
}

#[test]
fn what_repeats_is_written_once_and_older_readers_are_told() {
    let bytes = full().encode_to_vec();
    let Packed { flag_logs, assignments } = pack(&bytes).unwrap();
    let packed = PackedAssignments::decode(assignments.as_slice()).unwrap();
    assert_eq!((packed.clients.len(), packed.templates.len(), packed.events.len()), (1, 3, 3));
    assert_eq!(packed.events[1].keys, ["u2"]);
    assert_eq!(packed.events[1].times.len(), 1);
    assert_eq!(packed.events[1].templates, [0, 1]);
    assert!(packed.events[1].key_numbers.is_empty() && packed.events[1].time_numbers.is_empty());
    assert_eq!(packed.events[0].key_numbers, [0, 0, 1]);
    assert!(WriteFlagLogsRequest::decode(flag_logs.as_slice()).unwrap().flag_assigned.is_empty());
    let format = |bytes: Vec<u8>| v1::Envelope::decode(envelope(bytes).encode().unwrap().as_slice()).unwrap().format;
    assert_eq!(format(bytes), FORMAT_PACKED);
    let single = WriteFlagLogsRequest { flag_assigned: vec![FlagAssigned::default()], ..full() };
    assert_eq!(format(single.encode_to_vec()), FORMAT, "it would save nothing");
    let mut lowered = v1::Envelope::decode(envelope(full().encode_to_vec()).encode().unwrap().as_slice()).unwrap();
    lowered.format = 2;
    assert!(Envelope::read(&lowered.encode_to_vec()).is_err());
}

#[test]
fn a_message_that_would_unpack_to_more_than_a_message_is_refused_before_it_is_written() {
    use crate::v1::packed_assignments::{Event, Template};
    let bomb = |templates: usize, events: usize| {
        let template = Template { head: full().flag_assigned[0].flags[0].encode_to_vec(), ..Template::default() };
        let event = Event { templates: vec![0; templates], ..Event::default() };
        let packed = PackedAssignments {
            clients: vec![Vec::new()],
            templates: vec![template],
            events: vec![event; events],
            ..PackedAssignments::default()
        };
        FlagLogs::read_parts(&[], Some(&packed.encode_to_vec()), &mut KnownInfos::default())
    };
    assert!(bomb(10, 10).is_ok());
    assert_eq!(bomb(60_000, 1), Err(Malformed::TooLarge));
    assert_eq!(bomb(100, 500), Err(Malformed::TooLarge));
    assert_eq!(bomb(0, 60_000), Err(Malformed::TooLarge));
}

#[test]
fn groups_are_passed_over_as_deep_as_the_generated_code_goes() {
    for depth in [1, 50, 98, 99, 100, 101, 150] {
        // Field 20 as a group, in the request and in an assignment.
        let group: Vec<u8> = [[0xa3, 0x01].repeat(depth), [0xa4, 0x01].repeat(depth)].concat();
        check_against_prost(&group);
        let mut assigned = vec![0x0a];
        prost::encoding::encode_varint(group.len() as u64, &mut assigned);
        assigned.extend(group);
        check_against_prost(&assigned);
    }
}
