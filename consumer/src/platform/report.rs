//! This isolate's own report, and its way to the Ledger outside of a batch.

use std::{cell::RefCell, rc::Rc};

use tributary_telemetry::Delta;
use worker::{Context, Env};

use super::{ledger::Ledger, log, runtime};
use crate::{
    pipeline::commit_report,
    self_metrics::{self, NotRecorded},
    self_report::SelfReport,
};

thread_local! {
    /// Plain data: batches and requests that run interleaved may share it.
    static REPORT: RefCell<Option<Rc<RefCell<SelfReport>>>> = const { RefCell::new(None) };
}

/// The isolate's report, made by its first event: randomness is not to be had outside a request.
///
/// # Errors
/// Where the platform gives no randomness.
pub(crate) fn of_isolate() -> Result<Rc<RefCell<SelfReport>>, getrandom::Error> {
    if let Some(report) = REPORT.with_borrow(Clone::clone) {
        return Ok(report);
    }
    let report = Rc::new(RefCell::new(SelfReport::new(runtime::new_stream_id()?)));
    REPORT.set(Some(Rc::clone(&report)));
    Ok(report)
}

/// Counts something that happened in a request, and commits it behind the answer. Where the Ledger does not answer
/// either, it stays in the report and goes with what the isolate commits next.
pub(crate) fn count(env: &Env, context: &Context, add: impl FnOnce(&mut Delta) -> Result<(), NotRecorded>) {
    let Ok(report) = of_isolate() else { return };
    self_metrics::record(&mut report.borrow_mut(), add);
    let env = env.clone();
    context.wait_until(async move {
        if let Err(failure) = commit_report(&Ledger::new(&env), &report, runtime::now_ms()).await {
            log::warn("report_deferred", &serde_json::json!({"why": failure.to_string()}));
        }
    });
}
