//! The answer: which copy is read, and the headers and body that come out.

use tributary_telemetry::{Snapshot, TextFormat, TextOptions, write_text};

use super::{access::Access, negotiate::Wanted};
use crate::config::{Config, MetricsSource, OPENMETRICS_KEY, SNAPSHOT_KEY};

/// An HTTP answer, before it becomes the platform's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Status.
    pub status: u16,
    /// Headers.
    pub headers: Vec<(&'static str, &'static str)>,
    /// Body; not sent for `HEAD`.
    pub body: Vec<u8>,
}

impl Answer {
    /// An error as JSON, in the shape of the producer's: `code` is a word for programs, `message` says what is wrong and what to do, and never holds a secret.
    pub fn error(status: u16, code: &'static str, message: &str) -> Self {
        let body = serde_json::json!({"error": {"code": code, "message": message}}).to_string();
        let mut headers = vec![("Content-Type", "application/json"), ("Cache-Control", "no-store")];
        match status {
            401 => headers.push(("WWW-Authenticate", "Bearer")),
            503 => headers.push(("Retry-After", "5")),
            _ => {}
        }
        Self { status, headers, body: body.into_bytes() }
    }

    /// The error of a method that the path does not take.
    pub fn method_not_allowed(allow: &'static str) -> Self {
        let mut answer = Self::error(405, "METHOD_NOT_ALLOWED", &format!("use {allow}"));
        answer.headers.push(("Allow", allow));
        answer
    }

    /// A JSON answer.
    pub fn json(status: u16, body: &serde_json::Value) -> Self {
        let headers = vec![("Content-Type", "application/json"), ("Cache-Control", "no-store")];
        Self { status, headers, body: body.to_string().into_bytes() }
    }

    fn exposition(format: TextFormat, text: Vec<u8>) -> Self {
        let content_type = match format {
            TextFormat::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            TextFormat::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
        };
        let headers = vec![("Content-Type", content_type), ("Cache-Control", "no-store"), ("Vary", "Accept")];
        Self { status: 200, headers, body: text }
    }
}

/// The error of a request that goes no further, if it does not.
pub fn refuse(method: &str, path: &str, access: Access) -> Option<Answer> {
    if path != "/metrics" {
        return Some(Answer::error(404, "NOT_FOUND", "not found; this Worker serves GET /metrics and /dead-letters"));
    }
    if method != "GET" && method != "HEAD" {
        return Some(Answer::method_not_allowed("GET, HEAD"));
    }
    refuse_access(access)
}

/// The error of a caller who may not, unless he may.
pub fn refuse_access(access: Access) -> Option<Answer> {
    match access {
        Access::Granted => None,
        Access::Denied => Some(Answer::error(
            401,
            "UNAUTHORIZED",
            "send Authorization: Bearer <METRICS_TOKEN>, or ClientSecret <CONFIDENCE_CLIENT_SECRET>",
        )),
        Access::Unconfigured => Some(Answer::error(
            503,
            "NOT_CONFIGURED",
            "closed: neither METRICS_TOKEN nor CONFIDENCE_CLIENT_SECRET is set on the consumer Worker",
        )),
    }
}

/// Where the answer comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Copy {
    /// The published text, served as it is.
    Text,
    /// The published state, to be rendered.
    Snapshot,
    /// The Ledger's state, to be rendered.
    Ledger,
}

impl Copy {
    /// The key of a published copy.
    pub fn key(self) -> Option<&'static str> {
        match self {
            Self::Text => Some(OPENMETRICS_KEY),
            Self::Snapshot => Some(SNAPSHOT_KEY),
            Self::Ledger => None,
        }
    }
}

/// The one copy that a request reads, so that it never mixes two states.
pub fn copy_for(config: &Config, wanted: Wanted) -> Copy {
    match config.metrics_source {
        MetricsSource::Ledger => Copy::Ledger,
        MetricsSource::Kv
            if wanted.format == TextFormat::OpenMetrics && wanted.buckets_per_decade == config.buckets_per_decade =>
        {
            Copy::Text
        }
        MetricsSource::Kv => Copy::Snapshot,
    }
}

/// Turns the bytes of a copy into the answer; `created` as configured.
///
/// A copy that does not decode is an error that says so, never an empty 200: a scraper that sees a failed scrape keeps
/// its series, one that sees an empty page believes that all is well.
pub fn answer(copy: Copy, bytes: Vec<u8>, wanted: Wanted, created: bool) -> Answer {
    if copy == Copy::Text {
        return Answer::exposition(TextFormat::OpenMetrics, bytes);
    }
    match Snapshot::decode(&bytes) {
        Ok(snapshot) => {
            let mut text = String::new();
            let options = TextOptions { format: wanted.format, buckets_per_decade: wanted.buckets_per_decade, created };
            write_text(&snapshot, &options, &mut text);
            Answer::exposition(wanted.format, text.into_bytes())
        }
        Err(_) => {
            Answer::error(503, "CORRUPT_COPY", "the stored metrics do not decode; the next publication replaces them")
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn config(variables: &[(&'static str, &'static str)]) -> Config {
        Config::read(&variables.iter().copied().collect::<BTreeMap<_, _>>()).0
    }

    fn status(method: &str, path: &str, access: Access) -> Option<u16> {
        refuse(method, path, access).map(|answer| answer.status)
    }

    #[test]
    fn only_a_permitted_read_of_metrics_goes_on() {
        assert_eq!(status("GET", "/metrics", Access::Granted), None);
        assert_eq!(status("HEAD", "/metrics", Access::Granted), None);
        assert_eq!(status("POST", "/metrics", Access::Granted), Some(405));
        assert_eq!(status("GET", "/metrics/", Access::Granted), Some(404));
        assert_eq!(status("GET", "/metrics", Access::Denied), Some(401));
        assert_eq!(status("GET", "/metrics", Access::Unconfigured), Some(503));
    }

    #[test]
    fn a_request_reads_the_stored_text_where_that_is_what_it_wants() {
        let kv = config(&[("METRICS_BUCKETS_PER_DECADE", "6")]);
        let wanted = |format, buckets_per_decade| Wanted { format, buckets_per_decade };
        assert_eq!(copy_for(&kv, wanted(TextFormat::OpenMetrics, 6)), Copy::Text);
        assert_eq!(copy_for(&kv, wanted(TextFormat::OpenMetrics, 18)), Copy::Snapshot);
        assert_eq!(copy_for(&kv, wanted(TextFormat::Prometheus, 6)), Copy::Snapshot);
        let ledger = config(&[("METRICS_SOURCE", "ledger")]);
        assert_eq!(copy_for(&ledger, wanted(TextFormat::OpenMetrics, 18)), Copy::Ledger);
    }

    #[test]
    fn a_corrupt_copy_is_an_error_and_never_an_empty_page() {
        let wanted = Wanted { format: TextFormat::Prometheus, buckets_per_decade: 18 };
        for bytes in [&b""[..], b"garbage", &[0xff; 40]] {
            assert_eq!(answer(Copy::Snapshot, bytes.to_vec(), wanted, false).status, 503);
        }
    }

    #[test]
    fn content_types_are_exact() {
        let snapshot = Snapshot::new(1_000).encode();
        for (format, expected) in [
            (TextFormat::OpenMetrics, "application/openmetrics-text; version=1.0.0; charset=utf-8"),
            (TextFormat::Prometheus, "text/plain; version=0.0.4; charset=utf-8"),
        ] {
            let answer = answer(Copy::Snapshot, snapshot.clone(), Wanted { format, buckets_per_decade: 18 }, false);
            assert_eq!(answer.status, 200);
            assert!(answer.headers.contains(&("Content-Type", expected)));
        }
    }
}
