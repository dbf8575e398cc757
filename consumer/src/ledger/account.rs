//! The account of each producer: how far its streams came, and what became of every one of their records.
//!
//! For each producer, at all times and exactly:
//!
//! ```text
//! tributary_records_sent_total = tributary_records_applied_total + tributary_records_missing
//!                                + tributary_lost_records_total
//! ```
//!
//! *Sent* is the sum of the high-water marks of its streams, as they advance. *Missing* are the gaps that are open: in
//! flight, malformed, or lost and not known to be. *Lost* are the gaps that were closed without a record, when their
//! stream was forgotten or the bound on gaps gave them up. Counters are part of the state and missing records part of
//! the rows of the streams, so restarts change none of it.
//!
//! A row names its account when it is made and keeps it. Streams of consumers have none: they send a record only when
//! the one before is known to be applied or refused.

use std::collections::BTreeMap;

use tributary_proto::envelope::MAX_RESOLVER_ID_BYTES;
use tributary_telemetry::Snapshot;

use super::commit::{StreamKind, StreamRow};
use crate::{
    limits::MAX_ACCOUNTS,
    self_metrics::{self, LedgerStatus},
};

/// The account of records whose producer is not said: from a consumer that is older than the field, or from before the
/// Ledger kept accounts.
pub const UNKNOWN: &str = "unknown";

/// The account that producers share once there are [`MAX_ACCOUNTS`].
pub const OTHER: &str = "other";

/// What a commit, or forgetting, adds to one account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// How far the streams advanced.
    pub sent: u64,
    /// Records applied.
    pub applied: u64,
    /// Missing records given up.
    pub lost: u64,
}

/// Additions by account; the empty name stands for the streams of consumers.
pub type Entries = BTreeMap<String, Entry>;

/// The account of a new stream, opened where it does not exist yet.
///
/// The series of an account are declared before it is used, so that no bound on series can take one of them away later
/// and break the sum.
pub fn open(state: &mut Snapshot, kind: StreamKind, resolver_id: &str) -> String {
    if kind == StreamKind::Consumer {
        return String::new();
    }
    let is_label = !resolver_id.is_empty() && resolver_id.len() <= MAX_RESOLVER_ID_BYTES;
    let name = if is_label { resolver_id } else { UNKNOWN };
    let has_room = || self_metrics::accounts(state).count() < MAX_ACCOUNTS;
    if self_metrics::has_account(state, name) || (has_room() && self_metrics::declare_account(state, name)) {
        name.to_owned()
    } else {
        OTHER.to_owned()
    }
}

impl LedgerStatus {
    /// A row was written: how it was, if it was there, and how it is now, if it still is.
    ///
    /// Sums of sequences, each at most 2^40: saturation is out of reach.
    pub fn row_changed(&mut self, before: Option<&StreamRow>, after: Option<&StreamRow>) {
        if let Some(row) = before {
            let streams = self.streams.entry(row.kind.as_str()).or_default();
            *streams = streams.saturating_sub(1);
            self.set_missing(row, |missing, of_row| missing.saturating_sub(of_row));
        }
        if let Some(row) = after {
            let streams = self.streams.entry(row.kind.as_str()).or_default();
            *streams = streams.saturating_add(1);
            self.set_missing(row, u64::saturating_add);
        }
    }

    fn set_missing(&mut self, row: &StreamRow, change: impl FnOnce(u64, u64) -> u64) {
        let of_row = row.progress.missing();
        // Most rows have no gap: nothing is looked up for them.
        if of_row > 0 && !row.account.is_empty() {
            let missing = self.missing.entry(row.account.clone()).or_default();
            *missing = change(*missing, of_row);
        }
    }
}
