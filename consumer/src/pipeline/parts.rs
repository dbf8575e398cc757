//! A batch taken apart by ledger: each part is committed to its own, beside the others, and what becomes of one part is
//! nothing to the others. A producer's queue is chosen by the same hash as its ledger, so most batches have one part.

use std::{cell::RefCell, collections::BTreeMap};

use futures::future::join_all;

use super::{LedgerFailure, LedgerPort, Slot, Surroundings, commit::commit};
use crate::self_report::SelfReport;

/// The messages of a batch that belong to one ledger.
pub(super) struct LedgerPart<'a> {
    /// Its number.
    pub(super) ledger: u32,
    /// In the order of the batch.
    pub(super) slots: Vec<Slot<'a>>,
}

/// Takes a batch apart; by number.
pub(super) fn by_ledger(batch: Vec<Slot<'_>>) -> Vec<LedgerPart<'_>> {
    // Nearly always: nothing is moved then.
    if let Some(ledger) = batch.first().map(|slot| slot.decoded.ledger)
        && batch.iter().all(|slot| slot.decoded.ledger == ledger)
    {
        return vec![LedgerPart { ledger, slots: batch }];
    }
    let mut parts: BTreeMap<u32, Vec<Slot<'_>>> = BTreeMap::new();
    for slot in batch {
        parts.entry(slot.decoded.ledger).or_default().push(slot);
    }
    parts.into_iter().map(|(ledger, slots)| LedgerPart { ledger, slots }).collect()
}

/// The messages that a ledger has, and those that wait for theirs.
pub(super) struct Committed<'a> {
    /// In the state.
    pub(super) slots: Vec<Slot<'a>>,
    /// Not in it, as far as known.
    pub(super) waiting: Vec<Slot<'a>>,
    /// What the ledgers of these said.
    pub(super) failures: Vec<LedgerFailure>,
    /// A ledger that answers, where the consumer's own report can go; none where no ledger that was asked does.
    pub(super) answers: Option<u32>,
}

/// Commits all parts at the same time.
pub(super) async fn commit_all<'a>(
    parts: Vec<LedgerPart<'a>>,
    ledgers: &impl LedgerPort,
    report: &RefCell<SelfReport>,
    surroundings: Surroundings<'_>,
) -> Committed<'a> {
    let commits = parts.iter().map(|part| commit(&part.slots, part.ledger, ledgers, report, surroundings));
    let results = join_all(commits).await;
    let none = parts.is_empty().then_some(crate::ledger::shards::MAIN);
    let mut committed = Committed { slots: Vec::new(), waiting: Vec::new(), failures: Vec::new(), answers: none };
    for (LedgerPart { ledger, slots }, result) in parts.into_iter().zip(results) {
        match result {
            Ok(()) => {
                committed.answers = committed.answers.or(Some(ledger));
                append(&mut committed.slots, slots);
            }
            Err(failure) => {
                committed.failures.push(failure);
                append(&mut committed.waiting, slots);
            }
        }
    }
    // As they came: the order of deliveries is that of the batch.
    committed.slots.sort_by_key(|slot| slot.index);
    committed
}

/// Puts slots behind others. The first are taken as they are: a slot is large.
fn append<'a>(to: &mut Vec<Slot<'a>>, slots: Vec<Slot<'a>>) {
    if to.is_empty() {
        *to = slots;
    } else {
        to.extend(slots);
    }
}
