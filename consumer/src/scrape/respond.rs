//! The answer: the headers and body that come out of a copy, or the error.

use std::borrow::Cow;

use tributary_telemetry::Snapshot;

use super::{
    access::Access,
    copy::{Copy, Source},
    metrics::{self, FailureReason},
    negotiate::{Coding, Format, MediaType, coding, media_type},
    options::{BadOption, MAX_QUERY_BYTES, Options, View},
    validator::{etag, is_not_modified},
};
use crate::config::Config;

/// An HTTP answer, before it becomes the platform's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Status.
    pub status: u16,
    /// Headers.
    pub headers: Vec<(&'static str, Cow<'static, str>)>,
    /// Body; not sent for `HEAD`. Where `Content-Encoding` says gzip, the platform compresses it.
    pub body: Vec<u8>,
}

impl Answer {
    /// An error as JSON, in the shape of the producer's: `code` is a word for programs, `message` says what is wrong and
    /// what to do, and never holds a secret.
    pub fn error(status: u16, code: &'static str, message: &str) -> Self {
        let mut answer = Self::json(status, &serde_json::json!({"error": {"code": code, "message": message}}));
        match status {
            401 => answer.headers.push(("WWW-Authenticate", "Bearer, ClientSecret".into())),
            503 => answer.headers.push(("Retry-After", "5".into())),
            _ => {}
        }
        answer
    }

    /// The error of a method that the path does not take.
    pub fn method_not_allowed(allow: &'static str) -> Self {
        let mut answer = Self::error(405, "METHOD_NOT_ALLOWED", &format!("use {allow}"));
        answer.headers.push(("Allow", allow.into()));
        answer
    }

    /// A JSON answer.
    pub fn json(status: u16, body: &serde_json::Value) -> Self {
        let headers = vec![("Content-Type", "application/json".into()), ("Cache-Control", "no-store".into())];
        Self { status, headers, body: body.to_string().into_bytes() }
    }

    /// The value of a header; the first where there are two.
    pub fn header(&self, name: &str) -> Option<&str> {
        let header = self.headers.iter().find(|(candidate, _)| candidate.eq_ignore_ascii_case(name));
        header.map(|(_, value)| value.as_ref())
    }
}

/// The error of a request that goes no further, if it does not.
pub fn refuse(method: &str, path: &str, access: Access) -> Option<Answer> {
    if path != "/metrics" {
        return Some(Answer::error(
            404,
            "NOT_FOUND",
            "not found; this Worker serves GET /metrics, /dead-letters and /ledger:import",
        ));
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

/// The error of a scrape whose metrics could not be read.
pub fn unavailable(reason: FailureReason) -> Answer {
    match reason {
        FailureReason::Kv => {
            Answer::error(503, "STORE_UNAVAILABLE", "the metrics store (KV) cannot be read now; the log says why")
        }
        FailureReason::Ledger => {
            Answer::error(503, "LEDGER_UNAVAILABLE", "the Ledger does not answer now; the log says why")
        }
        FailureReason::Busy => Answer::error(
            503,
            "BUSY",
            "other scrapes of as many series are being answered; scrape the published text, or come again",
        ),
        FailureReason::Corrupt => Answer::error(
            503,
            "CORRUPT_COPY",
            "the stored metrics do not read back; the next publication replaces them",
        ),
    }
}

/// What a request sent, as far as it matters here.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ask<'a> {
    /// `Accept`.
    pub accept: Option<&'a str>,
    /// `Accept-Encoding`, as the client sent it.
    pub accept_encoding: Option<&'a str>,
    /// `If-None-Match`.
    pub if_none_match: Option<&'a str>,
    /// Length of the query as it was sent.
    pub query_bytes: usize,
    /// Parameters of the query.
    pub query: &'a [(String, String)],
}

/// What a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The format.
    pub media_type: MediaType,
    /// How the body is coded.
    pub coding: Coding,
    /// What is shown.
    pub view: View,
}

impl Wanted {
    /// Reads a request.
    ///
    /// # Errors
    /// The answer to a query that is too long, or has a bad option. A header is never an error, whatever it holds.
    pub fn read(ask: Ask<'_>, config: &Config) -> Result<Self, Answer> {
        if ask.query_bytes > MAX_QUERY_BYTES {
            return Err(Answer::error(414, "QUERY_TOO_LONG", &format!("a query has at most {MAX_QUERY_BYTES} bytes")));
        }
        let query = ask.query.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let Options { view, openmetrics } = Options::read(config, query)
            .map_err(|bad: BadOption| Answer::error(400, "BAD_OPTION", &bad.to_string()))?;
        let media_type = media_type(ask.accept, openmetrics);
        Ok(Self { media_type, coding: coding(ask.accept_encoding), view })
    }

    /// The source that this request reads.
    pub fn source(&self, config: &Config) -> Source {
        Source::of(config, self.media_type.format, &self.view)
    }
}

/// The answer to a request but for its body, and whether it has one. Where it has, it says a 200.
pub fn head(copy: &Copy, wanted: &Wanted, ask: Ask<'_>, now_ms: u64) -> (Answer, bool) {
    let age_ms = copy.age_ms(now_ms);
    let etag = etag(copy, &wanted.view, wanted.media_type, wanted.coding);
    let is_not_modified = is_not_modified(ask.if_none_match, etag.as_deref());
    // Kept by nobody but the client, and by it only to ask whether it is still the current one.
    let mut headers: Vec<(&'static str, Cow<'static, str>)> =
        vec![("Cache-Control", "private, no-cache".into()), ("Vary", "Accept, Accept-Encoding, Authorization".into())];
    if let Some(age_ms) = age_ms {
        headers.push(("Age", (age_ms / 1_000).to_string().into()));
    }
    if let Some(etag) = etag {
        headers.push(("ETag", etag.into()));
    }
    if is_not_modified {
        return (Answer { status: 304, headers, body: Vec::new() }, false);
    }
    headers.push(("Content-Type", wanted.media_type.content_type()));
    if wanted.coding == Coding::Gzip {
        headers.push(("Content-Encoding", "gzip".into()));
    }
    (Answer { status: 200, headers, body: Vec::new() }, true)
}

/// Turns a copy into the answer at `now_ms`. A text is served as it is, with its age added.
///
/// # Errors
/// [`FailureReason::Corrupt`] where the copy does not read back, never an empty 200: a scraper that sees a failed scrape
/// keeps its series, one that sees an empty page believes that all is well.
pub fn answer(copy: &Copy, wanted: &Wanted, ask: Ask<'_>, now_ms: u64) -> Result<Answer, FailureReason> {
    let (mut answer, has_body) = head(copy, wanted, ask, now_ms);
    if has_body {
        answer.body = body(copy, wanted, copy.age_ms(now_ms)).ok_or(FailureReason::Corrupt)?;
    }
    Ok(answer)
}

fn body(copy: &Copy, wanted: &Wanted, age_ms: Option<u64>) -> Option<Vec<u8>> {
    /// Room for the age.
    const TAIL_BYTES: usize = 320;
    let format = wanted.media_type.format;
    let mut text = Vec::new();
    if copy.source == Source::Text {
        // What is published under this key is OpenMetrics, and nothing else is asked of it.
        if format != Format::OpenMetrics {
            return None;
        }
        text.reserve_exact(copy.bytes.len().saturating_add(TAIL_BYTES));
        text.extend_from_slice(&copy.bytes);
    } else {
        wanted.view.write(&Snapshot::decode(&copy.bytes).ok()?, format, &mut text);
    }
    if !text.ends_with(format.end().as_bytes()) {
        return None;
    }
    if let Some(age_ms) = age_ms.filter(|_| wanted.view.selection.has(&metrics::AGE)) {
        metrics::add_age(&mut text, format, age_ms).then_some(())?;
    }
    Some(text)
}

#[cfg(test)]
#[path = "respond_tests.rs"]
mod tests;
