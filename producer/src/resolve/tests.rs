use confidence_resolver::ResolverState;
use proptest::prelude::*;

use super::*;
use crate::config::Secret;
use crate::host::{self, WorkerHost};
use crate::limits::MAX_BODY_BYTES;
use crate::testing::{SECRET, state};

fn resolver_state() -> ResolverState {
    crate::testing::resolver(&state()).unwrap()
}

fn with_key() -> Config {
    Config { encryption_key: Some(Secret::new([7; 16])), ..Config::default() }
}

fn resolve(body: &str, config: &Config) -> Result<Resolved, ApiError> {
    run::<WorkerHost>(parse(body.as_bytes(), config)?, &resolver_state(), config, false)?.without_records()
}

fn body(fields: &str) -> String {
    format!("{{\"clientSecret\":\"{SECRET}\",{fields}}}")
}

#[test]
fn a_resolve_answers_and_logs_its_assignment() {
    host::drain();
    let resolved = resolve(
        &body("\"flags\":[\"flags/all\"],\"evaluationContext\":{\"targeting_key\":\"u1\"},\"apply\":true"),
        &Config::default(),
    )
    .unwrap();
    assert_eq!(resolved.reasons(), vec![1]);
    let json: serde_json::Value = serde_json::from_str(&resolved.to_json().unwrap()).unwrap();
    assert_eq!(json["resolvedFlags"][0]["variant"], "flags/all/variants/on");
    assert_eq!(json["resolvedFlags"][0]["value"]["enabled"], true);
    assert_eq!(json["resolvedFlags"][0]["reason"], "RESOLVE_REASON_MATCH");
    assert_eq!(host::pending_assignments(), 1);
    let logs = host::drain().logs;
    assert_eq!(logs.flag_assigned.len(), 1);
    assert_eq!(logs.flag_assigned[0].resolve_id, json["resolveId"].as_str().unwrap());
    assert_eq!(logs.flag_assigned[0].flags[0].targeting_key, "u1");
    assert_eq!(logs.flag_resolve_info.len(), 1);
    assert_eq!(logs.client_resolve_info.len(), 1);
    assert_eq!(host::pending_assignments(), 0);
    assert_eq!(host::drain().logs, Default::default());
}

#[test]
fn without_named_flags_all_of_the_client_are_resolved() {
    let resolved =
        resolve(&body("\"evaluationContext\":{\"targeting_key\":\"u1\"},\"apply\":true"), &Config::default()).unwrap();
    assert_eq!(resolved.reasons(), vec![1, 1]);
}

#[test]
fn deferred_apply_needs_the_key_and_says_which_secret_to_set() {
    let fields = "\"flags\":[\"flags/all\"],\"apply\":false";
    let error = resolve(&body(fields), &Config::default()).unwrap_err();
    assert_eq!((error.status(), &error), (503, &ApiError::NoEncryptionKey));
    assert!(error.to_string().contains("RESOLVE_TOKEN_ENCRYPTION_KEY"));
    host::drain();
    let resolved = resolve(&body(fields), &with_key()).unwrap();
    assert!(!resolved.response.resolve_token.is_empty());
    assert_eq!(host::pending_assignments(), 0);
}

#[test]
fn force_apply_turns_every_resolve_into_one_that_applies() {
    host::drain();
    let config = Config { force_apply: true, ..Config::default() };
    let resolved = resolve(&body("\"flags\":[\"flags/all\"],\"apply\":false"), &config).unwrap();
    assert!(resolved.response.resolve_token.is_empty());
    assert_eq!(host::pending_assignments(), 1);
}

#[test]
fn an_unknown_client_is_401_and_no_secret_is_shown() {
    for secret in ["", "x", "nobody-knows-this-one", "ééééééé", "👻👻👻", &"s".repeat(100_000)] {
        let body = serde_json::json!({ "clientSecret": secret, "apply": true }).to_string();
        let error = resolve(&body, &Config::default()).unwrap_err();
        assert_eq!((error.status(), &error), (401, &ApiError::UnknownClient));
        let text = format!("{error} {error:?}");
        assert!(!text.contains(&SECRET[..3]) && !text.contains("é") && (secret.len() < 2 || !text.contains(secret)));
    }
}

#[test]
fn a_refused_request_logs_nothing() {
    host::drain();
    resolve("{\"clientSecret\":\"nobody\",\"apply\":true}", &Config::default()).unwrap_err();
    resolve(&body("\"apply\":false"), &Config::default()).unwrap_err();
    resolve("{", &Config::default()).unwrap_err();
    assert_eq!(host::drain().logs, Default::default());
}

#[test]
fn bodies_that_are_no_request_are_400_and_say_where() {
    for (text, hint) in [
        ("", "EOF"),
        ("{", "EOF"),
        ("null", "invalid type"),
        ("[]", "invalid"),
        ("{\"flags\":\"flags/a\"}", "line 1 column"),
        ("{\"apply\":\"yes\"}", "boolean"),
        ("{\"evaluationContext\":[]}", "google.protobuf.Struct"),
        ("{\"clientSecret\":1}", "string"),
        ("{\"apply\":true,\"apply\":true}", "duplicate field"),
        ("\u{feff}{}", "line 1"),
    ] {
        let error = parse(text.as_bytes(), &Config::default()).unwrap_err();
        assert_eq!((error.status(), error.code()), (400, "BAD_JSON"), "{text}");
        assert!(error.to_string().contains(hint), "{text}: {error}");
    }
    assert_eq!(parse(&[0xff, 0xfe, 0x00], &Config::default()).unwrap_err().status(), 400);
}

#[test]
fn json_of_any_depth_is_an_error_and_never_a_stack_overflow() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        for depth in [100, 127, 128, 129, 100_000] {
            let nested = format!("{}1{}", open.repeat(depth), close.repeat(depth));
            let body = body(&format!("\"evaluationContext\":{{\"x\":{nested}}},\"apply\":true"));
            match resolve(&body, &Config::default()) {
                Ok(_) => assert!(depth < 128),
                Err(error) => assert_eq!(error.status(), 400),
            }
        }
    }
}

#[test]
fn more_names_than_flags_can_be_are_refused() {
    let names = vec!["\"f\""; MAX_FLAGS_PER_REQUEST + 1].join(",");
    assert_eq!(
        resolve(&body(&format!("\"flags\":[{names}]")), &Config::default()).unwrap_err(),
        ApiError::TooManyFlags
    );
}

#[test]
fn a_context_that_would_blow_up_the_log_resolves_and_is_logged_without_its_schema() {
    host::drain();
    let leaves: Vec<String> = (0..30_000).map(|index| format!("\"{index}\":1")).collect();
    let json = body(&format!(
        "\"flags\":[\"flags/all\"],\"evaluationContext\":{{\"{}\":{{{}}}}},\"apply\":true",
        "k".repeat(500_000),
        leaves.join(",")
    ));
    assert!(json.len() < MAX_BODY_BYTES);
    assert_eq!(resolve(&json, &Config::default()).unwrap().reasons(), vec![1]);
    let drained = host::drain();
    assert_eq!(drained.schemas_left_out, 1);
    assert_eq!(drained.logs.flag_resolve_info.len(), 1);
    assert!(drained.logs.client_resolve_info[0].schema[0].schema.is_empty());
}

#[test]
fn odd_targeting_keys_are_a_reason_and_not_a_failure() {
    for (key, reason) in [
        ("\"u\"", 1),
        ("42", 1),
        ("1e308", 5),
        ("0.5", 5),
        ("[]", 5),
        ("{}", 5),
        ("true", 5),
        ("null", 2),
        (&format!("\"{}\"", "é".repeat(51)), 5),
        ("\"\\u0000\\ud83d\\udc7b\"", 1),
    ] {
        let fields =
            format!("\"flags\":[\"flags/half\"],\"evaluationContext\":{{\"targeting_key\":{key}}},\"apply\":true");
        assert_eq!(resolve(&body(&fields), &Config::default()).unwrap().reasons(), vec![reason], "{key}");
    }
}

fn any_json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(serde_json::Value::from),
        any::<f64>().prop_map(serde_json::Value::from),
        any::<i64>().prop_map(serde_json::Value::from),
        ".{0,30}".prop_map(serde_json::Value::from),
        "[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9:]{5,12}(Z|\\+[0-9:]{2,6})?)?".prop_map(serde_json::Value::from),
        "[0-9]{1,30}\\.[0-9]{1,30}\\.[0-9]{1,30}".prop_map(serde_json::Value::from),
    ];
    let name = prop_oneof![Just("targeting_key".to_owned()), Just("country".to_owned()), ".{0,12}"];
    leaf.prop_recursive(4, 40, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(serde_json::Value::from),
            proptest::collection::btree_map(name.clone(), inner, 0..6).prop_map(serde_json::Value::from_iter),
        ]
    })
}

proptest! {
    #[test]
    fn no_context_panics(context in any_json(), apply in any::<bool>()) {
        let body = serde_json::json!({ "clientSecret": SECRET, "evaluationContext": context, "apply": apply });
        match resolve(&body.to_string(), &with_key()) {
            Ok(resolved) => prop_assert!(resolved.to_json().is_ok()),
            Err(error) => prop_assert_eq!(error.status(), 400),
        }
        host::drain();
    }

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(call) = parse(&bytes, &Config::default()) {
            prop_assert!(run::<WorkerHost>(call, &resolver_state(), &Config::default(), true).is_err());
        }
    }
}

/// A real state of Confidence's public test account, by hand: it is not part of the project.
#[test]
#[ignore = "needs TRIBUTARY_SAMPLE_STATE, the path of a bare ResolverState of that account"]
fn the_sample_state_resolves() {
    let bytes = std::fs::read(std::env::var("TRIBUTARY_SAMPLE_STATE").unwrap()).unwrap();
    let wrapper = tributary_proto::v1::ClientResolverState {
        state: bytes,
        account_id: "confidence-demo-june".to_owned(),
        log_destinations: vec![],
    };
    let state = crate::state::parse(
        tributary_state::ServedState::decode(tributary_proto::Message::encode_to_vec(&wrapper).into()).unwrap(),
    )
    .unwrap();
    let body = "{\"flags\":[\"flags/fallthrough-test-2\"],\"clientSecret\":\"mkjJruAATQWjeY7foFIWfVAcBWnci2YF\",\
                \"evaluationContext\":{\"visitor_id\":\"26\"},\"apply\":true}";
    let config = Config::default();
    let step = run::<WorkerHost>(parse(body.as_bytes(), &config).unwrap(), &state, &config, true);
    let resolved = step.unwrap().without_records().unwrap();
    assert_eq!(resolved.reasons(), vec![1]);
}
