//! The commit of a batch, or of the consumer's own report alone: without what the Ledger has already, until it takes it.

use std::cell::RefCell;

use tributary_proto::v1::{CommitResponse, commit_response::Verdict};

use super::{LedgerFailure, LedgerPort, Slot, Surroundings, repeats::firsts};
use crate::{
    custom, ledger::commit::encode_request, limits::MAX_COMMIT_TRIES, message::Decoded, self_metrics as metrics,
    self_report::SelfReport,
};

/// Commits what of the batch, and of the consumer's own report, the ledger with this number does not have yet.
pub(super) async fn commit(
    batch: &[Slot<'_>],
    number: u32,
    ledger: &impl LedgerPort,
    report: &RefCell<SelfReport>,
    surroundings: Surroundings<'_>,
) -> Result<(), LedgerFailure> {
    let firsts = firsts(batch.iter().map(|slot| (slot.decoded.record.stream_id, slot.decoded.record.sequence)));
    let mut fresh: Vec<&Decoded> = Vec::with_capacity(batch.len());
    for (index, (Slot { decoded, .. }, first)) in batch.iter().zip(firsts).enumerate() {
        if first == index {
            fresh.push(decoded);
        } else {
            metrics::record(&mut report.borrow_mut(), |delta| {
                metrics::not_applied(delta, &decoded.resolver_id, Verdict::Duplicate)
            });
        }
    }
    let mut carries_report = true;
    for _ in 0..MAX_COMMIT_TRIES {
        let own = if carries_report { report.borrow_mut().next_record(number, surroundings.now_ms) } else { None };
        if fresh.is_empty() && own.is_none() {
            return Ok(());
        }
        let mut delta = metrics::delta_of(&fresh, surroundings.dimensions, surroundings.now_ms)
            .map_err(|error| LedgerFailure(error.to_string()))?;
        let mut contradicting = custom::gather(&fresh).into_iter();
        if let Some(custom) = contradicting.next() {
            // Never fails: no custom family has a name of ours.
            delta.merge(&custom).map_err(|error| LedgerFailure(error.to_string()))?;
        }
        let contradicting: Vec<_> = contradicting.collect();
        if let Some((_, own_delta)) = &own {
            delta.merge(own_delta).map_err(|error| LedgerFailure(error.to_string()))?;
        }
        let own_record = own.as_ref().map(|(record, _)| record);
        let records = fresh.iter().map(|decoded| &decoded.record).chain(own_record);
        let response = ledger.commit(number, &encode_request(records, &delta, &contradicting)).await?;
        if response.applied {
            if let Some((record, _)) = own {
                report.borrow_mut().confirm(number, record.sequence);
            }
            return Ok(());
        }
        let own_sequence = own.map(|(record, _)| (number, record.sequence));
        let is_report_known = drop_what_was_in_the_way(&response, &mut fresh, own_sequence, report)?;
        // The batches of an isolate share its report, and may find again and again that another one committed it first.
        // A batch that did goes on without: what is left to report is committed at its end.
        carries_report &= batch.is_empty() || !is_report_known;
    }
    Err(LedgerFailure(format!("still in conflict after {MAX_COMMIT_TRIES} tries")))
}

/// Drops what the Ledger has, or refuses, from what is to be committed. Returns whether the report was among it.
fn drop_what_was_in_the_way(
    response: &CommitResponse,
    fresh: &mut Vec<&Decoded>,
    own_sequence: Option<(u32, u64)>,
    report: &RefCell<SelfReport>,
) -> Result<bool, LedgerFailure> {
    let expected = fresh.len().saturating_add(usize::from(own_sequence.is_some()));
    if response.verdicts.len() != expected {
        return Err(LedgerFailure(format!("{} verdicts for {expected} records", response.verdicts.len())));
    }
    let mut verdicts = response.verdicts().collect::<Vec<_>>().into_iter();
    let mut dropped = false;
    let mut report = report.borrow_mut();
    fresh.retain(|decoded| match verdicts.next() {
        Some(verdict @ (Verdict::Duplicate | Verdict::Expired)) => {
            metrics::record(&mut report, |delta| metrics::not_applied(delta, &decoded.resolver_id, verdict));
            dropped = true;
            false
        }
        _ => true,
    });
    if let (Some((ledger, sequence)), Some(Verdict::Duplicate | Verdict::Expired)) = (own_sequence, verdicts.next()) {
        report.confirm(ledger, sequence);
        return Ok(true);
    }
    if dropped { Ok(false) } else { Err(LedgerFailure("a refusal that names no record".into())) }
}
