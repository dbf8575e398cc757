//! `POST /v1/flags:apply`: the body, and the token inside it.
//!
//! Input, by its first byte: even, the body; odd, what a token says once it is decrypted, which only the holder of the
//! key can choose, but which a stolen key must not turn into a panic.

use confidence_resolver::proto::{
    confidence::flags::resolver::v1::{AppliedFlag, ApplyFlagsRequest, WriteFlagLogsRequest},
    google::Timestamp,
};
use tributary_producer::{
    apply,
    host::{self, WorkerHost},
    token,
};

use crate::fixture;

/// Any body and any token apply or are refused as the client's fault; a token that was not made here is refused.
///
/// # Panics
/// Where a property does not hold.
pub fn run(data: &[u8]) {
    let Some((mode, rest)) = data.split_first() else { return };
    if mode.is_multiple_of(2) {
        assert!(token::decrypt(rest, &fixture::KEY).is_err(), "a forged token");
        if let Ok(request) = apply::parse(rest) {
            check(&request);
        }
    } else {
        let token = token::encrypt(rest, &fixture::KEY, [*mode; 16]).expect("a key of 16 bytes");
        assert_eq!(token::decrypt(&token, &fixture::KEY).as_deref(), Ok(rest));
        let time = Timestamp { seconds: 1_800_000_000, nanos: 0 };
        let applied = AppliedFlag { flag: "flags/all".to_owned(), apply_time: Some(time) };
        check(&ApplyFlagsRequest {
            flags: vec![applied],
            client_secret: fixture::SECRET.to_owned(),
            resolve_token: token,
            send_time: Some(time),
            sdk: None,
        });
    }
}

fn check(request: &ApplyFlagsRequest) {
    let config = fixture::config();
    let result = fixture::with_state(|state| apply::run::<WorkerHost>(request, state, &config));
    let logs = host::drain().logs;
    if let Err(error) = &result {
        assert!((400..500).contains(&error.status()), "{error}");
    }
    if result != Ok(apply::Applied::Logged) {
        assert_eq!(logs, WriteFlagLogsRequest::default(), "logged, but not said so");
    }
}
