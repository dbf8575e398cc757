//! What a collector's answer means (opentelemetry.io: OTLP Specification, OTLP/HTTP).

use std::time::Duration;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceResponse;
use tributary_proto::Message as _;

use super::config::Protocol;
use crate::backend::retry_after;

/// The most bytes of an answer that are read.
pub const MAX_ANSWER_BYTES: usize = 64 << 10;

/// The most bytes of a collector's message that go to the log.
const MAX_MESSAGE_BYTES: usize = 500;

/// What became of one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Taken, all or in part; what was rejected must not be sent again.
    Accepted {
        /// Data points that the collector rejected.
        rejected: u64,
        /// What it said about them, or a warning; shortened, without control characters.
        message: String,
    },
    /// To be tried again with the same content, not before the time that was asked for. Whether the collector has it is
    /// not known where there was no answer.
    Retry {
        /// The answer's `Retry-After`.
        after: Option<Duration>,
        /// Status; `None`: no answer.
        status: Option<u16>,
    },
    /// Too large: to be sent in smaller parts.
    TooLarge,
    /// Not taken, and not to be repeated at once.
    Refused {
        /// Status.
        status: u16,
    },
}

impl Outcome {
    /// The value of an `outcome` label.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Accepted { rejected: 0, .. } => "accepted",
            Self::Accepted { .. } => "partial",
            Self::Retry { .. } => "unavailable",
            Self::TooLarge => "too_large",
            Self::Refused { status: 401 | 403 } => "unauthorized",
            Self::Refused { .. } => "refused",
        }
    }

    /// Reads an answer. 429, 502, 503 and 504 are worth another try and nothing else is: not 500, and no other 4xx.
    pub fn of_answer(status: u16, after: Option<&str>, body: &[u8], protocol: Protocol, now_ms: u64) -> Self {
        match status {
            200..=299 => accepted(body, protocol),
            429 | 502..=504 => {
                Self::Retry { after: after.and_then(|text| retry_after::parse(text, now_ms)), status: Some(status) }
            }
            413 => Self::TooLarge,
            _ => Self::Refused { status },
        }
    }

    /// No connection, or none that lasted.
    pub const fn no_answer() -> Self {
        Self::Retry { after: None, status: None }
    }
}

/// A body that is no answer of the protocol is still success: the status says so.
fn accepted(body: &[u8], protocol: Protocol) -> Outcome {
    let (rejected, message) = match protocol {
        Protocol::Protobuf => ExportMetricsServiceResponse::decode(body)
            .ok()
            .and_then(|response| response.partial_success)
            .map(|partial| (partial.rejected_data_points, partial.error_message)),
        Protocol::Json => serde_json::from_slice::<serde_json::Value>(body).ok().map(|response| {
            let field = |name| response.get("partialSuccess").and_then(|partial| partial.get(name));
            // 64-bit integers are text in OTLP's JSON; a number is what some servers send all the same.
            let rejected = field("rejectedDataPoints").and_then(|rejected| {
                rejected.as_str().and_then(|text| text.parse().ok()).or_else(|| rejected.as_i64())
            });
            let message = field("errorMessage").and_then(|message| message.as_str()).unwrap_or_default();
            (rejected.unwrap_or(0), message.to_owned())
        }),
    }
    .unwrap_or_default();
    // A negative number says nothing.
    Outcome::Accepted { rejected: u64::try_from(rejected).unwrap_or(0), message: shortened(&message) }
}

fn shortened(message: &str) -> String {
    let mut short = String::new();
    for character in message.chars().map(|character| if character.is_control() { ' ' } else { character }) {
        if short.len().saturating_add(character.len_utf8()) > MAX_MESSAGE_BYTES {
            break;
        }
        short.push(character);
    }
    short
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsPartialSuccess;
    use proptest::prelude::*;

    use super::*;

    fn outcome(status: u16, after: Option<&str>) -> Outcome {
        Outcome::of_answer(status, after, b"", Protocol::Protobuf, 0)
    }

    #[test]
    fn four_statuses_and_no_answer_are_worth_another_try_and_nothing_else_is() {
        for status in 100..=599 {
            let is_retry = matches!(outcome(status, None), Outcome::Retry { .. });
            assert_eq!(is_retry, matches!(status, 429 | 502 | 503 | 504), "{status}");
            assert_eq!(matches!(outcome(status, None), Outcome::Accepted { .. }), (200..300).contains(&status));
        }
        assert_eq!(outcome(413, None), Outcome::TooLarge);
        assert_eq!(outcome(401, None).as_str(), "unauthorized");
        assert_eq!(Outcome::no_answer().as_str(), "unavailable");
    }

    #[test]
    fn retry_after_is_read_in_seconds_and_as_a_date_and_junk_is_none() {
        let after = |text| match outcome(503, Some(text)) {
            Outcome::Retry { after, .. } => after,
            other => panic!("{other:?}"),
        };
        assert_eq!(after("7"), Some(Duration::from_secs(7)));
        assert_eq!(after("Thu, 01 Jan 1970 00:00:09 GMT"), Some(Duration::from_secs(9)));
        assert_eq!(after("soon"), None);
    }

    #[test]
    fn a_partial_success_is_success_with_a_count() {
        let response = ExportMetricsServiceResponse {
            partial_success: Some(ExportMetricsPartialSuccess {
                rejected_data_points: 3,
                error_message: format!("no\n{}", "x".repeat(1_000)),
            }),
        };
        let read = Outcome::of_answer(200, None, &response.encode_to_vec(), Protocol::Protobuf, 0);
        let Outcome::Accepted { rejected: 3, message } = read else { panic!("{read:?}") };
        assert!(message.starts_with("no x") && message.len() <= 500);
        let json = br#"{"partialSuccess":{"rejectedDataPoints":"4","errorMessage":"m","new":1}}"#;
        let read = Outcome::of_answer(200, None, json, Protocol::Json, 0);
        assert_eq!(read, Outcome::Accepted { rejected: 4, message: "m".into() });
        let number = br#"{"partialSuccess":{"rejectedDataPoints":5}}"#;
        let read = Outcome::of_answer(200, None, number, Protocol::Json, 0);
        assert_eq!(read, Outcome::Accepted { rejected: 5, message: String::new() });
        for junk in [&b"{"[..], b"\xff\xff", b"{}", b""] {
            for protocol in [Protocol::Protobuf, Protocol::Json] {
                let read = Outcome::of_answer(200, None, junk, protocol, 0);
                assert_eq!(read, Outcome::Accepted { rejected: 0, message: String::new() });
            }
        }
    }

    proptest! {
        #[test]
        fn any_answer_is_read_without_panic(status: u16, after in ".{0,40}", body: Vec<u8>, json: bool, now: u64) {
            let protocol = if json { Protocol::Json } else { Protocol::Protobuf };
            let _unused = Outcome::of_answer(status, Some(&after), &body, protocol, now);
        }
    }
}
