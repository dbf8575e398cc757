//! What this isolate of the consumer has to say of itself: a stream of deltas like any producer's.
//!
//! The outcome of a message that was applied is part of that message's own delta, so it is counted exactly when the
//! message is. The rest (duplicates, deliveries to the backend, batch sizes) belongs to no message: it is collected here
//! and committed under a stream and sequence of this isolate, so that a commit whose answer was lost is not counted
//! twice when it is sent again. With several ledgers it goes to whichever the batch goes to, which spares ledger 0 a
//! request for each batch of the others: each ledger sees a stream of its own, with the same id.

use std::collections::BTreeMap;

use tributary_proto::envelope::StreamId;
use tributary_telemetry::{Delta, FamilyDescriptor};

use crate::ledger::commit::{Record, StreamKind};

/// The isolate's own stream.
#[derive(Debug)]
pub struct SelfReport {
    stream_id: StreamId,
    /// By number.
    ledgers: BTreeMap<u32, Sent>,
    /// Not sent yet.
    open: Delta,
}

/// What one ledger was sent.
#[derive(Debug, Default)]
struct Sent {
    last_sequence: u64,
    /// Sent at least once, not known to be applied. Frozen: its record must keep its content.
    in_doubt: Option<(Record, Delta)>,
}

impl SelfReport {
    /// Starts a stream. The id is 16 random bytes, drawn once per isolate.
    pub fn new(stream_id: StreamId) -> Self {
        Self { stream_id, ledgers: BTreeMap::new(), open: Delta::new() }
    }

    /// What was collected and not sent yet.
    pub fn open(&mut self) -> &mut Delta {
        &mut self.open
    }

    /// Says whether nothing is in doubt, and all that is open is in these families.
    pub fn says_only(&self, families: [&FamilyDescriptor; 2]) -> bool {
        let is_named = |name: &str| families.iter().any(|family| family.name() == name);
        self.ledgers.values().all(|sent| sent.in_doubt.is_none())
            && self.open.families().all(|family| is_named(family.descriptor().name()))
    }

    /// The record to commit next to a ledger, if there is any: the one in doubt there, else what is open, which is frozen
    /// by that.
    pub fn next_record(&mut self, ledger: u32, now_ms: u64) -> Option<(Record, Delta)> {
        let sent = self.ledgers.entry(ledger).or_default();
        if sent.in_doubt.is_none() && !self.open.is_empty() {
            sent.last_sequence = sent.last_sequence.saturating_add(1);
            let record = Record {
                stream_id: self.stream_id,
                sequence: sent.last_sequence,
                window_end_ms: now_ms,
                kind: StreamKind::Consumer,
                resolver_id: "".into(),
            };
            sent.in_doubt = Some((record, std::mem::take(&mut self.open)));
        }
        sent.in_doubt.clone()
    }

    /// The ledger has this record.
    pub fn confirm(&mut self, ledger: u32, sequence: u64) {
        let Some(sent) = self.ledgers.get_mut(&ledger) else { return };
        if sent.in_doubt.as_ref().is_some_and(|(record, _)| record.sequence == sequence) {
            sent.in_doubt = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use tributary_telemetry::LabelSet;

    use super::*;
    use crate::self_metrics::{BATCH_MESSAGES, KV_WRITES, MESSAGES};

    #[test]
    fn a_report_that_is_in_doubt_in_any_ledger_says_more_than_what_is_open() {
        let mut report = SelfReport::new(StreamId([1; 16]));
        let families = [&MESSAGES, &BATCH_MESSAGES];
        assert!(report.says_only(families), "nothing at all");
        report.open().add_counter(&MESSAGES, LabelSet::empty(), 1).unwrap();
        assert!(report.says_only(families));
        let (record, _) = report.next_record(2, 1_000).unwrap();
        assert!(!report.says_only(families), "frozen, and sent to ledger 2");
        report.confirm(0, record.sequence);
        assert!(!report.says_only(families), "another ledger's answer");
        report.confirm(2, record.sequence);
        assert!(report.says_only(families));
        report.open().add_counter(&KV_WRITES, LabelSet::empty(), 1).unwrap();
        assert!(!report.says_only(families));
    }
}
