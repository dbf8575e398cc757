use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use confidence_resolver::ResolverState;
use proptest::prelude::*;

use super::*;
use crate::config::Secret;
use crate::host::{self, WorkerHost};
use crate::testing::{SECRET, state};

fn resolver_state() -> ResolverState {
    crate::testing::resolver(&state()).unwrap()
}

fn with_key() -> Config {
    Config { encryption_key: Some(Secret::new([7; 16])), ..Config::default() }
}

/// The token of a deferred resolve of `flags/all`.
fn token() -> Vec<u8> {
    let body = format!("{{\"clientSecret\":\"{SECRET}\",\"flags\":[\"flags/all\"],\"apply\":false}}");
    let call = crate::resolve::parse(body.as_bytes(), &with_key()).unwrap();
    crate::resolve::run::<WorkerHost>(call, &resolver_state(), &with_key(), false)
        .unwrap()
        .without_records()
        .unwrap()
        .response
        .resolve_token
        .to_vec()
}

fn body(token: &[u8], flag: &str, apply_time: &str, send_time: &str) -> String {
    serde_json::json!({
        "clientSecret": SECRET,
        "resolveToken": STANDARD.encode(token),
        "flags": [{ "flag": flag, "applyTime": apply_time }],
        "sendTime": send_time,
    })
    .to_string()
}

fn apply(body: &str, config: &Config) -> Result<Applied, ApiError> {
    run::<WorkerHost>(&parse(body.as_bytes())?, &resolver_state(), config)
}

const NOW: &str = "2026-11-22T10:00:00Z";

#[test]
fn an_apply_logs_the_assignment_of_its_token() {
    let token = token();
    host::drain();
    let result = apply(&body(&token, "flags/all", "2026-11-22T09:59:58Z", NOW), &with_key());
    assert_eq!(result, Ok(Applied::Logged));
    let logs = host::drain().logs;
    assert_eq!(logs.flag_assigned.len(), 1);
    assert_eq!(logs.flag_assigned[0].flags[0].flag, "flags/all");
    assert_eq!(response().unwrap(), "{}");
}

#[test]
fn an_empty_token_is_a_success_for_everybody() {
    for text in ["{}", "{\"clientSecret\":\"nobody\",\"resolveToken\":\"\",\"flags\":[{\"flag\":\"x\"}]}"] {
        assert_eq!(apply(text, &Config::default()), Ok(Applied::Nothing));
    }
}

#[test]
fn an_apply_without_a_key_says_which_secret_to_set() {
    let error = apply(&body(&[1; 32], "flags/all", NOW, NOW), &Config::default()).unwrap_err();
    assert_eq!((error.status(), &error), (503, &ApiError::NoEncryptionKey));
}

#[test]
fn an_unknown_client_is_401() {
    let text = body(&[1; 32], "flags/all", NOW, NOW).replace(SECRET, "nobody");
    assert_eq!(apply(&text, &with_key()), Err(ApiError::UnknownClient));
}

#[test]
fn a_token_of_another_key_and_a_broken_one_get_the_same_answer() {
    let other = Config { encryption_key: Some(Secret::new([8; 16])), ..Config::default() };
    let token = token();
    let answers = [
        apply(&body(&token, "flags/all", NOW, NOW), &other),
        apply(&body(&token[..token.len() - 1], "flags/all", NOW, NOW), &with_key()),
        apply(&body(&[0; 16], "flags/all", NOW, NOW), &with_key()),
        apply(&body(&[0; 1], "flags/all", NOW, NOW), &with_key()),
    ];
    for answer in answers {
        assert_eq!(answer, Err(ApiError::BadToken));
    }
}

#[test]
fn a_forged_last_block_is_refused_and_never_a_panic() {
    let token = token();
    let before_last = token.len() - 32;
    for mask in 0..=255_u8 {
        let mut forged = token.clone();
        forged[before_last + 15] ^= mask;
        let answer = apply(&body(&forged, "flags/all", NOW, NOW), &with_key());
        assert!(mask == 0 || answer.is_err(), "{mask}: {answer:?}");
    }
    host::drain();
}

#[test]
fn a_flag_that_was_not_resolved_is_refused_and_nothing_is_logged() {
    let token = token();
    host::drain();
    assert_eq!(apply(&body(&token, "flags/half", NOW, NOW), &with_key()), Err(ApiError::FlagNotInToken));
    assert_eq!(host::pending_assignments(), 0);
}

#[test]
fn times_out_of_range_are_400() {
    let token = token();
    for time in ["", "yesterday", "2026-13-01T00:00:00Z", "10000-01-01T00:00:00Z", "2026-11-22", "-1"] {
        let error = apply(&body(&token, "flags/all", time, NOW), &with_key()).unwrap_err();
        assert_eq!(error.status(), 400, "{time}");
        let error = apply(&body(&token, "flags/all", NOW, time), &with_key()).unwrap_err();
        assert_eq!(error.status(), 400, "{time}");
    }
    let timestamp = |seconds, nanos| Some(Timestamp { seconds, nanos });
    for (send, applied) in [
        (timestamp(i64::MAX, 0), timestamp(0, 0)),
        (timestamp(i64::MIN, 0), timestamp(0, 0)),
        (timestamp(0, -1), timestamp(0, 0)),
        (timestamp(0, 0), timestamp(i64::MIN, i32::MIN)),
        (timestamp(0, 0), timestamp(0, i32::MAX)),
        (None, timestamp(0, 0)),
        (timestamp(0, 0), None),
    ] {
        let mut request = parse(body(&token, "flags/all", NOW, NOW).as_bytes()).unwrap();
        request.send_time = send;
        request.flags[0].apply_time = applied;
        let error = run::<WorkerHost>(&request, &resolver_state(), &with_key()).unwrap_err();
        assert!(matches!(error, ApiError::BadField(_)), "{error:?}");
    }
}

#[test]
fn the_widest_skew_does_not_overflow() {
    let token = token();
    for (applied, sent) in
        [("0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"), ("9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z")]
    {
        assert_eq!(apply(&body(&token, "flags/all", applied, sent), &with_key()), Ok(Applied::Logged));
    }
    host::drain();
}

#[test]
fn more_flags_than_a_token_holds_are_refused() {
    let flags = vec!["{}"; MAX_FLAGS_PER_REQUEST + 1].join(",");
    assert_eq!(parse(format!("{{\"flags\":[{flags}]}}").as_bytes()), Err(ApiError::TooManyFlags));
}

proptest! {
    #[test]
    fn no_token_panics(token in proptest::collection::vec(any::<u8>(), 1..200)) {
        prop_assert_eq!(apply(&body(&token, "flags/all", NOW, NOW), &with_key()), Err(ApiError::BadToken));
    }

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(request) = parse(&bytes) {
            let _unimportant = run::<WorkerHost>(&request, &resolver_state(), &with_key());
        }
    }
}
