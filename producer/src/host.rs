//! What the resolver crate asks of its host. Its methods are static, so what they write to is a thread-local: one per
//! isolate, shared by all requests in it. A request adds whole records; nothing of one request is ever written into a
//! record of another.

use std::cell::{Cell, RefCell};

use confidence_resolver::assign_logger::AssignLogger;
use confidence_resolver::proto::confidence::flags::resolver::v1::{Sdk, WriteFlagLogsRequest};
use confidence_resolver::proto::google::{Struct, Timestamp};
use confidence_resolver::{Client, FlagToApply, Host, ResolvedValue};

use crate::HAS_PIPELINE;
use crate::clock;
use crate::entropy;
use crate::limits::MAX_SCHEMA_BYTES;
use crate::resolve_log::ResolveLog;
use crate::schema::schema_bytes;
use crate::token;

/// The host of the Worker.
#[derive(Clone, Copy, Debug)]
pub struct WorkerHost;

/// The logs of one isolate.
struct Logs {
    assign: AssignLogger,
    resolve: RefCell<ResolveLog>,
    /// Assignments in `assign`.
    assignments: Cell<u64>,
    /// Resolves whose context was too large for its schema to be logged, since the last drain.
    schemas_left_out: Cell<u64>,
}

thread_local! {
    static LOGS: Logs = Logs {
        assign: AssignLogger::new(),
        resolve: RefCell::default(),
        assignments: Cell::new(0),
        schemas_left_out: Cell::new(0),
    };
}

/// What was logged since the last drain.
#[derive(Debug, Default)]
pub struct Drained {
    /// Assignments and resolve info; no telemetry.
    pub logs: WriteFlagLogsRequest,
    /// Resolves whose context schema is not in it, see [`MAX_SCHEMA_BYTES`].
    pub schemas_left_out: u64,
}

/// Takes everything that this isolate's resolves and applies have logged.
pub fn drain() -> Drained {
    LOGS.with(|logs| {
        let mut request = logs.resolve.borrow_mut().drain();
        if logs.assignments.replace(0) > 0 {
            request.flag_assigned = logs.assign.checkpoint().flag_assigned;
        }
        Drained { logs: request, schemas_left_out: logs.schemas_left_out.replace(0) }
    })
}

/// Assignments that wait to be drained.
pub fn pending_assignments() -> u64 {
    LOGS.with(|logs| logs.assignments.get())
}

impl Host for WorkerHost {
    /// The crate's own default asks chrono, whose clock panics in a Worker.
    fn current_time() -> Timestamp {
        timestamp(clock::epoch_ms())
    }

    fn log_resolve(_: &str, context: &Struct, values: &[ResolvedValue<'_>], client: &Client) {
        if !HAS_PIPELINE {
            return;
        }
        LOGS.with(|logs| {
            let credential = &client.client_credential_name;
            let mut resolves = logs.resolve.borrow_mut();
            if schema_bytes(context, MAX_SCHEMA_BYTES) <= MAX_SCHEMA_BYTES {
                resolves.add(context, credential, values);
            } else {
                logs.schemas_left_out.set(logs.schemas_left_out.get().saturating_add(1));
                resolves.add(&Struct::default(), credential, values);
            }
        });
    }

    fn log_assign(resolve_id: &str, assigned_flags: &[FlagToApply<'_>], client: &Client, sdk: &Option<Sdk>) {
        if assigned_flags.is_empty() || !HAS_PIPELINE {
            // No event to report: a resolve that matched nothing.
            return;
        }
        LOGS.with(|logs| {
            let added = u64::try_from(assigned_flags.len()).unwrap_or(u64::MAX);
            logs.assignments.set(logs.assignments.get().saturating_add(added));
            logs.assign.log_assigns(resolve_id, assigned_flags, client, sdk);
        });
    }

    fn encrypt_resolve_token(token_data: &[u8], encryption_key: &[u8]) -> Result<Vec<u8>, String> {
        let iv = entropy::bytes::<16>().map_err(|error| error.to_string())?;
        token::encrypt(token_data, encryption_key, iv).map_err(|error| error.to_string())
    }

    fn decrypt_resolve_token(encrypted_data: &[u8], encryption_key: &[u8]) -> Result<Vec<u8>, String> {
        token::decrypt(encrypted_data, encryption_key).map_err(|error| error.to_string())
    }
}

/// Milliseconds since the epoch as a timestamp. `epoch_ms / 1000` of a `u64` fits an `i64`, the nanoseconds an `i32`.
fn timestamp(epoch_ms: u64) -> Timestamp {
    let seconds = i64::try_from(epoch_ms / 1_000).unwrap_or(i64::MAX);
    let nanos = i32::try_from((epoch_ms % 1_000).saturating_mul(1_000_000)).unwrap_or(0);
    Timestamp { seconds, nanos }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_keeps_its_milliseconds() {
        assert_eq!(timestamp(1_700_000_000_123), Timestamp { seconds: 1_700_000_000, nanos: 123_000_000 });
        assert_eq!(timestamp(0), Timestamp { seconds: 0, nanos: 0 });
        assert_eq!(timestamp(u64::MAX).nanos, 615_000_000);
    }

    #[test]
    fn the_host_tells_the_wall_clock() {
        assert!(WorkerHost::current_time().seconds > 1_577_836_800);
    }
}
