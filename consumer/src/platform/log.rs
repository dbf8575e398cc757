//! Structured log lines: one JSON object each, never with a secret or a body in it.

use serde_json::{Value, json};
use worker::{console_error, console_warn};

use crate::pipeline::Event;

/// Something that somebody should look at some time.
pub(crate) fn warn(event: &str, detail: &Value) {
    console_warn!("{}", json!({"level": "warn", "event": event, "detail": detail}));
}

/// Something that somebody should look at now.
pub(crate) fn error(event: &str, detail: &Value) {
    console_error!("{}", json!({"level": "error", "event": event, "detail": detail}));
}

/// What a batch has to say.
pub(crate) fn batch_event(event: &Event) {
    match event {
        Event::Malformed { message_id, attempts, error: why } => error(
            "malformed_message",
            &json!({"message_id": message_id, "attempts": attempts, "reason": why.reason(), "why": why.to_string()}),
        ),
        Event::TelemetryRefused { message_id, reason } => {
            warn("refused_telemetry", &json!({"message_id": message_id, "why": reason}));
        }
        Event::LedgerFailed(failure) => error("ledger_failed", &json!({"why": failure.to_string()})),
        Event::BackendFailed { outcome } => error("backend_failed", &json!({"outcome": format!("{outcome:?}")})),
        Event::ReportDeferred(failure) => warn("report_deferred", &json!({"why": failure.to_string()})),
    }
}
