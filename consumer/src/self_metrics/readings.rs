//! What a new state shows, and the gauges that are read at the time of a publication.

use std::collections::BTreeMap;

use tributary_telemetry::{
    Delta, FamilyDescriptor, Number, Snapshot, Zero,
    confidence::{self, catalog},
    otlp::read::PointRefusal,
};

use super::{
    BACKEND_REQUESTS, CUSTOM_FOLDED, CUSTOM_REFUSED, FORGOTTEN_STREAMS, KV_WRITES, LAST_APPLIED, LEDGER_TAKEN,
    LOST_RECORDS, MESSAGES, NotRecorded, POINTS_REFUSED, RECORDS_MISSING, SERIES, SERIES_FOLDED, SERIES_REFUSED,
    STREAMS, accounts, declare_account, declare_accounts, labels, set,
};
use crate::{
    backend::delivery::Destination,
    config::{OPENMETRICS_KEY, SNAPSHOT_KEY},
    custom::{Folding, Refusal},
    dead_letters,
    ledger::{book::ForgetReason, commit::StreamKind},
    scrape, state_refresh,
};

/// What is known of the Ledger beside its state, at the time of a publication.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LedgerStatus {
    /// Streams remembered, by kind.
    pub streams: BTreeMap<&'static str, u64>,
    /// Dead letters in the store, by reason.
    pub dead_letters: dead_letters::metrics::Counts,
    /// Records missing below the high-water marks of the streams, by account.
    pub missing: BTreeMap<String, u64>,
    /// When what other ledgers counted was last taken in, in milliseconds since the epoch, by number.
    pub ledgers: BTreeMap<u32, u64>,
}

/// The state with the gauges that are read at the time of a publication, and what is true of the copy alone.
///
/// # Errors
/// [`NotRecorded`], never in practice: the readings are no sums.
pub fn with_readings(state: &Snapshot, status: &LedgerStatus, now_ms: u64) -> Result<Snapshot, NotRecorded> {
    let mut read = with_declared_readings(state, status, now_ms)?;
    scrape::metrics::add_build_info(&mut read, now_ms)?;
    Ok(read)
}

fn with_declared_readings(state: &Snapshot, status: &LedgerStatus, now_ms: u64) -> Result<Snapshot, NotRecorded> {
    let mut delta = Delta::new();
    for kind in StreamKind::ALL {
        let streams = status.streams.get(kind.as_str()).copied().unwrap_or_default();
        set(&mut delta, &STREAMS, &[("kind", kind.as_str())], Number::Unsigned(streams), now_ms)?;
    }
    for account in accounts(state) {
        let missing = status.missing.get(account).copied().unwrap_or_default();
        set(&mut delta, &RECORDS_MISSING, &[(catalog::RESOLVER_ID, account)], Number::Unsigned(missing), now_ms)?;
    }
    let series = u64::try_from(state.series_count()).unwrap_or(u64::MAX);
    set(&mut delta, &SERIES, &[], Number::Unsigned(series), now_ms)?;
    for (ledger, taken_ms) in &status.ledgers {
        let seconds = Number::Float(scrape::metrics::seconds(*taken_ms));
        set(&mut delta, &LEDGER_TAKEN, &[("ledger", &ledger.to_string())], seconds, now_ms)?;
    }
    dead_letters::metrics::readings(&mut delta, &status.dead_letters, now_ms)?;
    scrape::metrics::published(&mut delta, now_ms)?;
    let mut read = state.clone();
    // The series of the readings are declared with the state, so the bound on series refuses none of them.
    let _applied = read.apply(&delta, now_ms).map_err(NotRecorded::new)?;
    Ok(read)
}

/// Makes a new state show everything that is known to come, at 0: the series of `resolver_id` and the pipeline's own.
/// A series that begins at 0 shows its first increase; and at the bound on series the pipeline can still speak.
///
/// # Errors
/// [`NotRecorded`] where `resolver_id` is no label value.
pub fn declare(state: &mut Snapshot, resolver_id: &str, now_ms: u64) -> Result<(), NotRecorded> {
    let _declared = confidence::declare_resolver(state, resolver_id).map_err(NotRecorded::new)?;
    dead_letters::metrics::declare(state)?;
    scrape::metrics::declare(state)?;
    state_refresh::metrics::declare(state)?;
    let mut zero = |family: &FamilyDescriptor, pairs: &[(&'static str, &str)]| -> Result<(), NotRecorded> {
        let _declared = state.declare(family, labels(pairs)?, Zero::Counter);
        Ok(())
    };
    for outcome in ["applied", "duplicate", "expired"] {
        zero(&MESSAGES, &[("outcome", outcome), ("resolver_id", resolver_id)])?;
    }
    for outcome in ["malformed", "retried"] {
        zero(&MESSAGES, &[("outcome", outcome)])?;
    }
    for outcome in ["delivered", "unavailable", "refused", "misconfigured"] {
        zero(&BACKEND_REQUESTS, &[("destination", Destination::Edge.as_str()), ("outcome", outcome)])?;
    }
    for key in [OPENMETRICS_KEY, SNAPSHOT_KEY] {
        for outcome in ["written", "failed"] {
            zero(&KV_WRITES, &[("key", key), ("outcome", outcome)])?;
        }
    }
    zero(&LOST_RECORDS, &[])?;
    zero(&SERIES_REFUSED, &[])?;
    zero(&SERIES_FOLDED, &[])?;
    for refusal in Refusal::ALL {
        zero(&CUSTOM_REFUSED, &[("reason", refusal.as_str())])?;
    }
    for folding in Folding::ALL {
        zero(&CUSTOM_FOLDED, &[("reason", folding.as_str())])?;
    }
    for refusal in PointRefusal::ALL {
        zero(&POINTS_REFUSED, &[("reason", refusal.as_str())])?;
    }
    for kind in StreamKind::ALL {
        for reason in ForgetReason::ALL {
            zero(&FORGOTTEN_STREAMS, &[("kind", kind.as_str()), ("reason", reason.as_str())])?;
        }
    }
    declare_accounts(state);
    let _is_declared = declare_account(state, resolver_id);
    let mut never = Delta::new();
    set(&mut never, &LAST_APPLIED, &[], Number::Float(0.0), 0)?;
    let _applied = state.apply(&never, now_ms).map_err(NotRecorded::new)?;
    *state = with_declared_readings(state, &LedgerStatus::default(), now_ms)?;
    Ok(())
}
