//! Structured log lines: one JSON object each, never with a secret or a body in it.

use serde_json::{Value, json};
use worker::{console_error, console_warn};

use crate::{dead_letters::keep::Kept, pipeline::Event};

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
        Event::Dead { message_id, attempts, reason, detail } => error(
            "dead_letter",
            &json!({"message_id": message_id, "attempts": attempts, "reason": reason, "why": detail}),
        ),
        Event::BurialFailed { messages, failure } => {
            error("dead_letters_failed", &json!({"messages": messages, "why": failure.to_string()}));
        }
        Event::TelemetryRefused { message_id, reason } => {
            warn("refused_telemetry", &json!({"message_id": message_id, "why": reason}));
        }
        Event::NamesReserved { message_id, resolver_id, families, first } => warn(
            "reserved_names",
            &json!({
                "message_id": message_id, "producer": resolver_id, "families": families, "first": first,
                "what_to_do": "name these metrics otherwise; they are left out",
            }),
        ),
        Event::LedgerFailed(failure) => error("ledger_failed", &json!({"why": failure.to_string()})),
        Event::BackendFailed { outcome } => error("backend_failed", &json!({"outcome": format!("{outcome:?}")})),
        Event::BackendMisconfigured { destination, status } => error(
            "backend_misconfigured",
            &json!({
                "destination": destination.as_str(), "status": status,
                "what_to_do": "check CONFIDENCE_CLIENT_SECRET and the URL of this destination; nothing is lost meanwhile",
            }),
        ),
        Event::DeliveryCutShort { requests } => warn("delivery_cut_short", &json!({"requests": requests})),
        Event::ReportDeferred(failure) => warn("report_deferred", &json!({"why": failure.to_string()})),
    }
}

/// What a batch of the dead-letter queue has to say.
pub(crate) fn kept(kept: &Kept) {
    if let Some(failure) = &kept.failure {
        error("dead_letters_not_stored", &json!({"messages": kept.verdicts.len(), "why": failure.to_string()}));
    }
    if kept.full > 0 {
        error(
            "dead_letters_full",
            &json!({"messages": kept.full, "what_to_do": "redrive or discard; they wait in the dead-letter queue"}),
        );
    }
}
