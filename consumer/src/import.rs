//! The HTTP calls that seed the Ledger once with what another system counted: what is asked, and the answers. Pure.
//!
//! | call | what it does |
//! | --- | --- |
//! | `GET /ledger:import` | shows what was imported |
//! | `POST /ledger:import` | adds totals to the state: an encoded [`ImportRequest`](tributary_proto::v1::ImportRequest). A repeat changes nothing and says so |
//!
//! Only `METRICS_TOKEN` opens them, see [`crate::scrape::access::operator_access`]. What is taken is decided in
//! [`crate::ledger::import`].

use serde_json::{Value, json};
use tributary_proto::v1::{ImportRecord, ImportResponse, import_response::Outcome};

use crate::{
    limits::MAX_IMPORT_BYTES,
    scrape::{
        access::Access,
        respond::{Answer, refuse_access},
    },
};

/// Path of both calls.
pub const PATH: &str = "/ledger:import";

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// Show.
    List,
    /// Add what the body holds.
    Import,
}

/// Reads a call. `None` where the path is none of these.
///
/// # Errors
/// The answer that says what is wrong.
pub fn read(method: &str, path: &str, access: Access, has_query: bool) -> Option<Result<Call, Answer>> {
    // Some clients escape the colon of a custom verb; both spellings name the same resource.
    if path.replace("%3A", ":").replace("%3a", ":") != PATH {
        return None;
    }
    let call = match method {
        "GET" | "HEAD" => Call::List,
        "POST" => Call::Import,
        _ => return Some(Err(Answer::method_not_allowed("GET, HEAD, POST"))),
    };
    if let Some(refusal) = refuse_access(access) {
        return Some(Err(refusal));
    }
    if has_query {
        return Some(Err(Answer::error(
            400,
            "BAD_OPTION",
            "this call has no options; what is meant stands in its body",
        )));
    }
    Some(Ok(call))
}

/// The answer to a body that is longer than an import can be.
pub fn too_large() -> Answer {
    Answer::error(413, "TOO_LARGE", &format!("an import has at most {MAX_IMPORT_BYTES} bytes"))
}

/// The answer to an import that the Ledger decided.
pub fn decided(response: &ImportResponse) -> Answer {
    if response.outcome() == Outcome::Refused {
        return Answer::error(400, "BAD_IMPORT", &response.why);
    }
    let Some(record) = &response.record else {
        return Answer::error(503, "STORE_UNAVAILABLE", "the Ledger gave no answer that can be read; ask again");
    };
    let (status, code, message) = match response.outcome() {
        Outcome::Applied => (200, "applied", String::new()),
        Outcome::AlreadyImported => {
            (200, "already_imported", "these totals were imported before; nothing changed".to_owned())
        }
        Outcome::OtherTotals => (
            409,
            "OTHER_TOTALS",
            format!(
                "{} was imported before, with other totals; nothing changed: a source is imported once",
                record.source
            ),
        ),
        Outcome::OtherSource => (
            409,
            "OTHER_SOURCE",
            format!(
                "{} was imported for {} before; nothing changed: set `another` where both were counted apart",
                record.source, record.resolver_id
            ),
        ),
        Outcome::SameTotals => (
            409,
            "SAME_TOTALS",
            format!("the very same totals were imported from {} before; nothing changed", record.source),
        ),
        Outcome::Unspecified | Outcome::Refused => {
            return Answer::error(503, "STORE_UNAVAILABLE", "the Ledger gave an answer that is not known; ask again");
        }
    };
    let shown = show(record);
    if status == 200 {
        return Answer::json(200, &json!({"outcome": code, "message": message, "import": shown}));
    }
    Answer::json(status, &json!({"error": {"code": code, "message": message}, "import": shown}))
}

/// The JSON that shows what was imported.
pub fn list(records: &[ImportRecord]) -> Answer {
    Answer::json(200, &json!({"imports": records.iter().map(show).collect::<Vec<_>>()}))
}

fn show(record: &ImportRecord) -> Value {
    let families: Vec<Value> = record
        .families
        .iter()
        .map(|family| json!({"name": family.name, "series": family.series, "total": family.total}))
        .collect();
    json!({
        "source": record.source,
        "resolver_id": record.resolver_id,
        "imported_ms": record.imported_ms,
        "start_ms": (record.start_time_ms > 0).then_some(record.start_time_ms),
        "digest": record.digest,
        "series": record.families.iter().fold(0u64, |sum, family| sum.saturating_add(family.series)),
        "families": families,
    })
}

#[cfg(test)]
mod tests {
    use tributary_proto::v1::import_record::Family;

    use super::*;

    fn call(method: &str, path: &str) -> Option<Result<Call, u16>> {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        read(method, path, Access::Granted, !query.is_empty()).map(|call| call.map_err(|answer| answer.status))
    }

    #[test]
    fn every_call_is_read_as_it_is_meant_and_one_that_is_not_clear_does_nothing() {
        assert_eq!(call("GET", "/ledger:import"), Some(Ok(Call::List)));
        assert_eq!(call("POST", "/ledger%3Aimport"), Some(Ok(Call::Import)));
        assert_eq!(call("PUT", "/ledger:import"), Some(Err(405)));
        assert_eq!(call("POST", "/ledger:import?another=1"), Some(Err(400)));
        for other in ["/ledger", "/ledger:import/", "/ledger:imports", "/metrics"] {
            assert_eq!(call("POST", other), None, "{other}");
        }
    }

    #[test]
    fn no_call_goes_on_without_the_token() {
        for method in ["GET", "POST"] {
            for (access, status) in [(Access::Denied, 401), (Access::Unconfigured, 503)] {
                assert_eq!(read(method, PATH, access, false).unwrap().unwrap_err().status, status);
            }
        }
    }

    #[test]
    fn each_outcome_has_its_answer_and_shows_the_import_that_decided() {
        let record = ImportRecord {
            source: "kv:abc".into(),
            resolver_id: "eu".into(),
            imported_ms: 7,
            start_time_ms: 0,
            digest: "00".into(),
            families: vec![
                Family { name: "confidence_events_published".into(), series: 1, total: 3 },
                Family { name: "confidence_resolves".into(), series: 2, total: 9 },
            ],
        };
        let answer =
            |outcome: Outcome, record| decided(&ImportResponse { outcome: outcome.into(), record, why: "why".into() });
        for (outcome, status) in [
            (Outcome::Applied, 200),
            (Outcome::AlreadyImported, 200),
            (Outcome::OtherTotals, 409),
            (Outcome::OtherSource, 409),
            (Outcome::SameTotals, 409),
            (Outcome::Unspecified, 503),
        ] {
            let answer = answer(outcome, Some(record.clone()));
            assert_eq!(answer.status, status, "{outcome:?}");
            if status != 503 {
                let body: Value = serde_json::from_slice(&answer.body).unwrap();
                assert_eq!(body["import"]["source"], "kv:abc");
                assert_eq!((&body["import"]["series"], &body["import"]["start_ms"]), (&json!(3), &Value::Null));
                assert_eq!(body["error"].is_null(), status == 200, "{body}");
            }
        }
        assert_eq!(answer(Outcome::Applied, None).status, 503);
        assert_eq!(answer(Outcome::Refused, None).status, 400);
        let listed: Value = serde_json::from_slice(&list(&[record]).body).unwrap();
        assert_eq!(
            listed["imports"][0]["families"][1],
            json!({"name": "confidence_resolves", "series": 2, "total": 9})
        );
    }
}
