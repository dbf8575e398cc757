//! `/__control`: what a person at a shell, or a test in another language, can tell a fake Cloudflare.
//!
//! | request | what it does |
//! | --- | --- |
//! | `POST /__control/faults` | one [`Fault`] as JSON, from now on; `DELETE` ends all |
//! | `GET /__control/requests` | what was asked, as JSON; `DELETE` forgets it |
//! | `POST /__control/cron` | `{"script", "cron"}`: fires a cron trigger, and answers when the handler has |
//! | `GET /__control/idle?millis=` | waits until no queue with a consumer holds a message |
//! | `PUT /__control/state` | another resolver state on the CDN: the bytes |
//! | `PUT /__control/flags/<flag>` | `{"variant"}`: everyone gets it; null archives the flag |

use std::time::Duration;

use serde_json::{Value, json};

use super::Parts;
use super::answer::Response;
use super::call::Call;
use super::faults::Fault;
use super::record::Recorded;
use super::state::field;

pub(super) const PREFIX: &str = "/__control";

/// How long an idle request waits unless it says so.
const IDLE_MILLIS: usize = 30_000;

pub(super) fn handle(parts: &Parts, call: &Call) -> Response {
    match respond(parts, call) {
        Ok(response) => response,
        Err((status, reason)) => Response::text(status, reason + "\n"),
    }
}

fn respond(parts: &Parts, call: &Call) -> Result<Response, (u16, String)> {
    let invalid = |reason: String| (400, reason);
    let segments = call.segments(PREFIX);
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let json = || serde_json::from_slice::<Value>(&call.body).map_err(|error| invalid(error.to_string()));
    let done = || Response { status: 204, headers: Vec::new(), body: Vec::new() };
    match (call.method.as_str(), segments.as_slice()) {
        ("POST", ["faults"]) => {
            let fault: Fault = serde_json::from_slice(&call.body).map_err(|error| invalid(error.to_string()))?;
            parts.cloud.faults().add(fault);
            Ok(done())
        }
        ("DELETE", ["faults"]) => {
            parts.cloud.faults().clear();
            Ok(done())
        }
        ("GET", ["requests"]) => Ok(Response::json(200, &parts.cloud.record().iter().map(view).collect())),
        ("DELETE", ["requests"]) => {
            parts.cloud.record().clear();
            Ok(done())
        }
        ("POST", ["cron"]) => {
            let body = json()?;
            parts.run_cron(field(&body, "script"), field(&body, "cron")).map_err(|reason| (502, reason))?;
            Ok(done())
        }
        ("GET", ["idle"]) => {
            let millis = call.number("millis", IDLE_MILLIS, [0, 600_000]).map_err(|error| invalid(error.message))?;
            let limit = Duration::from_millis(u64::try_from(millis).unwrap_or(0));
            parts.wait_until_idle(limit).map_err(|reason| (504, reason))?;
            Ok(done())
        }
        ("PUT", ["state"]) => {
            parts.confidence.set_state(call.body.clone()).map_err(invalid)?;
            Ok(done())
        }
        ("PUT", ["flags", flag]) => {
            let body = json()?;
            parts.confidence.set_flag(flag, body.get("variant").and_then(Value::as_str)).map_err(invalid)?;
            Ok(done())
        }
        _ => Err((404, format!("no such control: {} {}", call.method, call.path))),
    }
}

fn view(request: &Recorded) -> Value {
    json!({
        "method": request.method, "path": request.path, "query": request.query, "headers": request.headers,
        "body": String::from_utf8_lossy(&request.body), "status": request.status, "known": request.is_known,
        "faulty": request.is_faulty,
    })
}
