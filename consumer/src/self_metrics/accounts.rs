//! The series of the producers' accounts ([`crate::ledger::account`]).

use tributary_telemetry::{Applied, Delta, Number, Snapshot, Zero, confidence::catalog};

use super::{LOST_RECORDS, NotRecorded, RECORDS_APPLIED, RECORDS_MISSING, RECORDS_SENT, add, labels, set};
use crate::ledger::account::{self, Entries};

/// What happened to the records of each account. What has no account, the reports of consumers, shows only where it is
/// lost.
///
/// # Errors
/// [`NotRecorded`]
pub fn account_entries(delta: &mut Delta, entries: &Entries) -> Result<(), NotRecorded> {
    for (account, entry) in entries {
        let of_account = [(catalog::RESOLVER_ID, account.as_str())];
        let totals = [(&RECORDS_SENT, entry.sent), (&RECORDS_APPLIED, entry.applied), (&LOST_RECORDS, entry.lost)];
        for (family, count) in totals {
            if count > 0 && (!account.is_empty() || family.name() == LOST_RECORDS.name()) {
                add(delta, family, &of_account, count)?;
            }
        }
    }
    Ok(())
}

/// The names of all accounts in the state.
pub fn accounts(state: &Snapshot) -> impl Iterator<Item = &str> {
    let family = state.families().find(|family| family.descriptor().name() == RECORDS_SENT.name());
    family.into_iter().flat_map(|family| family.series()).filter_map(|(labels, _)| labels.get(catalog::RESOLVER_ID))
}

/// True when the state has the account.
pub fn has_account(state: &Snapshot, account: &str) -> bool {
    labels(&[(catalog::RESOLVER_ID, account)]).is_ok_and(|labels| state.get(RECORDS_SENT.name(), &labels).is_some())
}

/// Makes the series of an account exist, at 0. False where one of them was refused; the account is then not there.
pub fn declare_account(state: &mut Snapshot, account: &str) -> bool {
    let of_account = [(catalog::RESOLVER_ID, account)];
    let mut missing = Delta::new();
    let (Ok(labels), Ok(())) =
        (labels(&of_account), set(&mut missing, &RECORDS_MISSING, &of_account, Number::Unsigned(0), 0))
    else {
        return false;
    };
    // Read at time 0, so that any reading replaces it.
    let now_ms = state.last_applied_ms();
    let Ok(gauge) = state.apply(&missing, now_ms) else { return false };
    // What was sent comes last: it is what says that there is the account.
    let is_taken = |applied: Applied| applied.series_refused == 0 && applied.series_conflicting == 0;
    is_taken(gauge)
        && [&RECORDS_APPLIED, &LOST_RECORDS, &RECORDS_SENT]
            .into_iter()
            .all(|family| is_taken(state.declare(family, labels.clone(), Zero::Counter)))
}

/// Makes the accounts exist that belong to no producer.
pub fn declare_accounts(state: &mut Snapshot) {
    for name in [account::UNKNOWN, account::OTHER] {
        // At the bound on series what is refused is counted by every commit that would add to it.
        let _is_declared = declare_account(state, name);
    }
}
