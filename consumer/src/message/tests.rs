use tributary_proto::flag_logs::{ResolveReason, TelemetryData, WriteFlagLogsRequest, telemetry_data::ResolveRate};

use super::*;

fn message(body: MessageBody) -> QueueMessage {
    QueueMessage { id: "0123abcd".into(), sent_ms: 5_000, attempts: 1, body }
}

fn envelope() -> Envelope {
    Envelope {
        stream_id: StreamId([7; 16]),
        ledgers: 1,
        sequence: 4,
        window_start_ms: 1_000,
        window_end_ms: 2_000,
        resolver_id: "eu".into(),
        dimensions: Default::default(),
        flag_logs: Vec::new(),
        metrics: Vec::new(),
        resource_metrics: Vec::new(),
        dropped: Vec::new(),
    }
}

#[test]
fn an_envelope_is_known_by_its_stream_and_sequence_and_not_by_its_message_id() {
    let bytes = envelope().encode().unwrap();
    let decoded = decode(&message(MessageBody::Bytes(bytes.clone())), "default").unwrap();
    let resent = QueueMessage { id: "another".into(), ..message(MessageBody::Bytes(bytes)) };
    assert_eq!(decoded.record, decode(&resent, "default").unwrap().record);
    assert_eq!((decoded.record.sequence, decoded.resolver_id.as_str()), (4, "eu"));
}

#[test]
fn a_legacy_message_is_known_by_its_message_id_alone() {
    let text = r#"{"telemetryData":{"resolveRate":[{"count":2,"reason":"RESOLVE_REASON_MATCH"}]}}"#;
    let decoded = decode(&message(MessageBody::Text(text.into())), "cf-resolver").unwrap();
    let redelivered = QueueMessage { attempts: 3, ..message(MessageBody::Text(text.into())) };
    assert_eq!(decoded.record, decode(&redelivered, "cf-resolver").unwrap().record);
    let another = QueueMessage { id: "0123abce".into(), ..message(MessageBody::Text(text.into())) };
    assert_ne!(decoded.record, decode(&another, "cf-resolver").unwrap().record);
    assert_eq!(decoded.record.kind, StreamKind::Legacy);
    assert_eq!(decoded.resolver_id, "cf-resolver");
    assert!(matches!(decoded.telemetry, Telemetry::Read { .. }));
}

#[test]
fn reasons_that_are_not_known_count_the_same_from_json_as_from_bytes() {
    let counted = |body| {
        let Telemetry::Read { report, .. } = decode(&message(body), "eu").unwrap().telemetry else {
            panic!("no telemetry")
        };
        report.to_delta().to_delta("eu", 5_000).unwrap()
    };
    let rates =
        [(2, 77), (3, ResolveReason::Match.into()), (4, -1)].map(|(count, reason)| ResolveRate { count, reason });
    let logs = WriteFlagLogsRequest {
        telemetry_data: Some(TelemetryData { resolve_rate: rates.into(), ..TelemetryData::default() }),
        ..WriteFlagLogsRequest::default()
    };
    let bytes = tributary_proto::Message::encode_to_vec(&logs);
    let from_bytes = counted(MessageBody::Bytes(Envelope { flag_logs: bytes, ..envelope() }.encode().unwrap()));
    let rates = |name| {
        let text = r#"{"telemetryData":{"resolveRate":[{"count":2,"reason":77},{"count":3,"reason":@},{"count":4,"reason":-1}]}}"#;
        counted(MessageBody::Text(text.replace('@', name)))
    };
    let families = |delta: &tributary_telemetry::Delta| delta.families().cloned().collect::<Vec<_>>();
    assert_eq!(families(&rates("1")), families(&from_bytes));
    assert_eq!(families(&rates("\"RESOLVE_REASON_MATCH\"")), families(&from_bytes));
    // A name has no number: its count shows under the reason that says nothing.
    let of_tomorrow = rates("\"RESOLVE_REASON_OF_TOMORROW\"");
    let labels =
        |reason| tributary_telemetry::LabelSet::from_pairs([("reason", reason), ("resolver_id", "eu")]).unwrap();
    let count = |reason| of_tomorrow.get("confidence_resolves", &labels(reason)).cloned();
    assert_eq!(count("RESOLVE_REASON_UNSPECIFIED"), Some(tributary_telemetry::Value::Counter(3)));
    assert_eq!(count("UNKNOWN"), Some(tributary_telemetry::Value::Counter(6)));
}

#[test]
fn what_is_no_message_is_refused_with_its_reason() {
    let reason = |body| decode(&message(body), "r").map(|_| ()).unwrap_err().reason();
    assert_eq!(reason(MessageBody::Other), "body_type");
    assert_eq!(reason(MessageBody::Json("{}".into())), "body_type");
    assert_eq!(reason(MessageBody::Bytes(b"garbage".to_vec())), "protobuf");
    assert_eq!(reason(MessageBody::Text("{".into())), "flag_logs");
    let spoiled = Envelope { flag_logs: vec![0xff; 9], ..envelope() };
    assert_eq!(reason(MessageBody::Bytes(spoiled.encode().unwrap())), "flag_logs");
    let metrics = |metrics: Vec<u8>| MessageBody::Bytes(Envelope { metrics, ..envelope() }.encode().unwrap());
    assert_eq!(reason(metrics(vec![0xff; 9])), "metrics", "no protobuf");
    let empty_family = [0x0a, 0x03, 0x0a, 0x01, b'f'];
    assert_eq!(reason(metrics(empty_family.to_vec())), "metrics", "no canonical set");
    let far = Envelope { sequence: MAX_SEQUENCE + 1, ..envelope() };
    assert_eq!(reason(MessageBody::Bytes(far.encode().unwrap())), "invalid");
}

#[test]
fn what_an_error_quotes_is_left_out() {
    assert_eq!(
        without_content(r#"invalid type: string "s3\"cret", expected `x` at 1"#),
        r#"invalid type: string "…", expected `…` at 1"#
    );
    assert_eq!(without_content(r#"open "s3cret\"#), r#"open "…""#);
    assert_eq!(without_content("nothing"), "nothing");
    let text = MessageBody::Text(r#"{"flagAssigned":"s3cret"}"#.into());
    let error = decode(&message(text), "r").unwrap_err().to_string();
    assert!(!without_content(&error).contains("s3cret"), "{error}");
}

#[test]
fn telemetry_that_contradicts_itself_is_refused_and_the_flag_logs_go_on() {
    use tributary_proto::{events::FlagAssigned, flag_logs::telemetry_data::ResolveLatency};
    let logs = WriteFlagLogsRequest {
        flag_assigned: vec![FlagAssigned::default()],
        telemetry_data: Some(TelemetryData {
            resolve_latency: Some(ResolveLatency { sum: 5, count: 3, buckets: vec![], ln_ratio: 0.1 }),
            resolve_rate: vec![ResolveRate { count: 3, reason: ResolveReason::Match.into() }],
            ..TelemetryData::default()
        }),
        ..WriteFlagLogsRequest::default()
    };
    let bytes = Envelope { flag_logs: logs.encode_to_vec(), ..envelope() }.encode().unwrap();
    let decoded = decode(&message(MessageBody::Bytes(bytes)), "r").unwrap();
    assert!(matches!(decoded.telemetry, Telemetry::Refused(_)));
    assert_eq!(decoded.logs.to_request().unwrap().flag_assigned.len(), 1);
}
