//! What this isolate of the consumer has to say of itself: a stream of deltas like any producer's.
//!
//! The outcome of a message that was applied is part of that message's own delta, so it is counted exactly when the
//! message is. The rest (duplicates, deliveries to the backend, batch sizes) belongs to no message: it is collected here
//! and committed under a stream and sequence of this isolate, so that a commit whose answer was lost is not counted
//! twice when it is sent again.

use tributary_proto::envelope::StreamId;
use tributary_telemetry::{Delta, FamilyDescriptor};

use crate::ledger::commit::{Record, StreamKind};

/// The isolate's own stream.
#[derive(Debug)]
pub struct SelfReport {
    stream_id: StreamId,
    last_sequence: u64,
    /// Sent at least once, not known to be applied. Frozen: its record must keep its content.
    in_doubt: Option<(Record, Delta)>,
    /// Not sent yet.
    open: Delta,
}

impl SelfReport {
    /// Starts a stream. The id is 16 random bytes, drawn once per isolate.
    pub fn new(stream_id: StreamId) -> Self {
        Self { stream_id, last_sequence: 0, in_doubt: None, open: Delta::new() }
    }

    /// What was collected and not sent yet.
    pub fn open(&mut self) -> &mut Delta {
        &mut self.open
    }

    /// Says whether nothing is in doubt, and all that is open is in these families.
    pub fn says_only(&self, families: [&FamilyDescriptor; 2]) -> bool {
        let is_named = |name: &str| families.iter().any(|family| family.name() == name);
        self.in_doubt.is_none() && self.open.families().all(|family| is_named(family.descriptor().name()))
    }

    /// The record to commit next, if there is any: the one in doubt, else what is open, which is frozen by that.
    pub fn next_record(&mut self, now_ms: u64) -> Option<(Record, Delta)> {
        if self.in_doubt.is_none() && !self.open.is_empty() {
            self.last_sequence = self.last_sequence.saturating_add(1);
            let record = Record {
                stream_id: self.stream_id,
                sequence: self.last_sequence,
                window_end_ms: now_ms,
                kind: StreamKind::Consumer,
                resolver_id: "".into(),
            };
            self.in_doubt = Some((record, std::mem::take(&mut self.open)));
        }
        self.in_doubt.clone()
    }

    /// The Ledger has this record.
    pub fn confirm(&mut self, sequence: u64) {
        if self.in_doubt.as_ref().is_some_and(|(record, _)| record.sequence == sequence) {
            self.in_doubt = None;
        }
    }
}
