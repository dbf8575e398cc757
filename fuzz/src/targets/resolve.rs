//! `POST /v1/flags:resolve`: the body, through the resolver, to the logs that it leaves.
//!
//! Input: the body.

use confidence_resolver::proto::{Message as _, confidence::flags::resolver::v1::WriteFlagLogsRequest};
use tributary_producer::{
    config::Config,
    fragment::cut,
    host::{self, WorkerHost},
    limits::MAX_SCHEMA_BYTES,
    resolve,
};
use tributary_proto::Message as _;

use crate::fixture;

/// Any body resolves or is refused as the client's fault; what was logged fits fragments of any limit without a loss
/// that is not counted, and is read by our own types.
///
/// # Panics
/// Where a property does not hold.
pub fn run(data: &[u8]) {
    for (config, is_sticky) in [(fixture::config(), true), (Config::default(), false)] {
        let result = resolve::parse(data, &config).and_then(|call| {
            fixture::with_state(|state| resolve::run::<WorkerHost>(call, state, &config, is_sticky)?.without_records())
        });
        let logs = host::drain().logs;
        match result {
            Ok(resolved) => {
                let json = resolved.to_json().expect("a response has a JSON form");
                assert_eq!(resolved.reasons().len(), resolved.response.resolved_flags.len());
                serde_json::from_str::<serde_json::Value>(&json).expect("the answer is JSON");
                check_logs(&logs, data.len());
            }
            Err(error) => {
                let is_unconfigured = config.encryption_key.is_none() && error.status() == 503;
                assert!((400..500).contains(&error.status()) || is_unconfigured, "{error}");
                let text = error.to_string();
                assert!(text.len() < 1_000, "{text}");
                assert!(!text.contains(fixture::SECRET), "{text}");
                assert_eq!(logs, WriteFlagLogsRequest::default(), "a refused request logs nothing");
            }
        }
    }
}

fn check_logs(logs: &WriteFlagLogsRequest, body_bytes: usize) {
    let bytes = logs.encode_to_vec();
    assert!(bytes.len() <= 2 * MAX_SCHEMA_BYTES + 16 * (body_bytes + 4_096), "logs are linear in the request");
    let read = tributary_proto::flag_logs::WriteFlagLogsRequest::decode(bytes.as_slice()).expect("our types read it");
    assert_eq!(read.flag_assigned.len(), logs.flag_assigned.len());
    for limit in [96, 512, 100_000] {
        let cut = cut(logs.clone(), limit);
        assert!(cut.fragments.iter().all(|fragment| fragment.bytes.len() <= limit));
        let assigned: usize = logs.flag_assigned.iter().map(|event| event.flags.len()).sum();
        let kept: u64 = cut.fragments.iter().map(|fragment| fragment.assignments).sum();
        assert_eq!(u64::try_from(assigned), Ok(kept + cut.oversize_assignments), "an assignment is kept or counted");
        let joined: Vec<u8> = cut.fragments.into_iter().flat_map(|fragment| fragment.bytes).collect();
        let joined = tributary_proto::flag_logs::WriteFlagLogsRequest::decode(joined.as_slice())
            .expect("fragments joined are one request");
        let flags: usize = joined.flag_assigned.iter().map(|event| event.flags.len()).sum();
        assert_eq!(u64::try_from(flags), Ok(kept));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_in_place_of_an_enum_value_is_not_echoed() {
        let body = format!("{{\"sdk\":{{\"id\":\"{}\"}}}}", fixture::SECRET);
        let error = resolve::parse(body.as_bytes(), &Config::default()).unwrap_err().to_string();
        assert!(!error.contains(fixture::SECRET), "{error}");
    }
}
