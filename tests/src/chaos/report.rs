//! What a run came to: everything compared with what was sent, and the table.

use std::{collections::BTreeSet, fmt, path::Path, sync::atomic::Ordering};

use tributary_local::backend::Backend;

use super::{
    Run,
    faults::{Fate, Place},
    lock,
    oracle::{Oracle, sum_of},
    worker::Resolved,
};
use crate::{consumer::Consumer, ledger_file};

/// What a run came to. Equal counts of two runs of a seed are not promised: what is drawn is the same, when it strikes is
/// up to the machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The seed that replays the choices of the run.
    pub seed: u64,
    /// Records sent, legacy messages included.
    pub sent: u64,
    /// How many of them by a real producer Worker.
    pub sent_by_worker: u64,
    /// Messages that were sent twice, and deliveries that were repeated although they had been acked; letters, too.
    pub duplicated: u64,
    /// Deliveries of messages, each time counted.
    pub deliveries: u64,
    /// Times the runtime was killed.
    pub crashes: u64,
    /// What struck, by name.
    pub struck: Vec<(&'static str, u64)>,
    /// Messages that nobody can read.
    pub poison: u64,
    /// Dead letters.
    pub dead: u64,
    /// Records in the metrics.
    pub applied: u64,
    /// Records that are not, assignments that the backend never saw, and poison that is no dead letter.
    pub lost: u64,
    /// Records that were counted more than once.
    pub doubled: u64,
    /// Every difference to the oracle, and every fault that never struck. Empty: exact.
    pub differences: Vec<String>,
}

impl Report {
    /// Whether everything came out as it was sent, though everything struck that can.
    pub fn is_exact(&self) -> bool {
        self.lost == 0 && self.doubled == 0 && self.differences.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let before = [
            ("seed", self.seed),
            ("sent", self.sent),
            ("by a Worker", self.sent_by_worker),
            ("duplicated", self.duplicated),
            ("deliveries", self.deliveries),
            ("crashes", self.crashes),
        ];
        let after = [
            ("poison", self.poison),
            ("dead letters", self.dead),
            ("applied", self.applied),
            ("lost", self.lost),
            ("doubled", self.doubled),
        ];
        for (name, value) in before.iter().chain(&self.struck).chain(&after) {
            writeln!(f, "{name:>12} {value:>10}")?;
        }
        self.differences.iter().try_for_each(|difference| writeln!(f, "  DIFFERS: {difference}"))
    }
}

/// What struck, as the table shows it; each row has one kind of fault at one place.
const ROWS: [(&str, Place, &[Fate]); 8] = [
    ("refused", Place::Backend, &[Fate::Refused(503), Fate::Refused(429)]),
    ("hung", Place::Backend, &[Fate::Hang]),
    ("reset", Place::Backend, &[Fate::Before, Fate::After]),
    ("thrown", Place::Handler, &[Fate::Before, Fate::After]),
    ("Ledger lost", Place::Ledger, &[Fate::Before, Fate::After]),
    ("KV failed", Place::Kv, &[Fate::Before, Fate::After]),
    ("letter lost", Place::DeadSend, &[Fate::Before, Fate::After]),
    ("send lost", Place::DeltaSend, &[Fate::Before, Fate::After]),
];

/// What the end of a run knows beside what its threads shared.
pub(super) struct Ending<'a> {
    pub(super) seed: u64,
    pub(super) crashes: u64,
    pub(super) oracle: &'a Oracle,
    pub(super) resolved: Resolved,
    pub(super) backend: &'a Backend,
}

/// Compares what the metrics, the backend and the Ledger's file say with what was sent. Ends the runtime.
///
/// # Errors
/// Where one of them cannot be asked.
pub(super) fn reckon(run: &Run, ending: Ending<'_>, consumer: &Consumer, ledger: &Path) -> Result<Report, String> {
    let Ending { seed, crashes, oracle, resolved, backend } = ending;
    let metrics = consumer.metrics()?;
    let sent_by_worker = size(&lock(&run.sent));
    let mut report = Report {
        seed,
        sent: oracle.records() + sent_by_worker,
        sent_by_worker,
        duplicated: lock(&run.deltas).duplicated + lock(&run.letters).duplicated,
        deliveries: run.deliveries.load(Ordering::Relaxed),
        crashes,
        poison: size(oracle.poison()),
        applied: sum_of(&metrics, "tributary_messages_total", "outcome=\"applied\""),
        differences: oracle.differences(&resolved, &metrics),
        ..Report::default()
    };
    report.lost = report.sent.saturating_sub(report.applied);
    report.doubled = report.applied.saturating_sub(report.sent);
    report.struck(run);

    let stats = backend.stats();
    let missing = oracle.assignments().chain(&resolved.applied).filter(|id| !stats.resolve_ids.contains(*id)).count();
    report.lose(missing, "assignments never reached the backend");
    if stats.rejected > 0 {
        report.differences.push(format!("the backend refused {} requests: {:?}", stats.rejected, stats.last_rejection));
    }
    let list = consumer.dead_letters("?limit=1")?;
    let listed = list.get("count").and_then(serde_json::Value::as_u64).ok_or("a list without its count")?;
    consumer.crash();
    report.bury(oracle.poison(), &letters(ledger)?);
    let counted = sum_of(&metrics, "tributary_dead_letters", "");
    if (listed, counted) != (report.dead, report.dead) {
        let dead = report.dead;
        report.differences.push(format!("{dead} dead letters, but {listed} on the list and {counted} in the metrics"));
    }
    Ok(report)
}

impl Report {
    fn struck(&mut self, run: &Run) {
        let faults = lock(&run.faults);
        for (name, place, fates) in ROWS {
            let struck = |of: &[Fate]| faults.struck(place, |fate| of.contains(&fate));
            self.struck.push((name, struck(fates)));
            for fate in fates.iter().filter(|fate| struck(&[**fate]) == 0) {
                self.differences.push(format!("{fate:?} never struck at {place:?}: too gentle a run"));
            }
        }
        if self.crashes == 0 || self.duplicated == 0 {
            self.differences.push("nothing was killed, or nothing duplicated: too gentle a run".into());
        }
    }

    fn lose(&mut self, lost: usize, what: &str) {
        if lost > 0 {
            self.lost += u64::try_from(lost).unwrap_or(u64::MAX);
            self.differences.push(format!("{lost} {what}"));
        }
    }

    /// Dead letters are the poison, each once, and nothing else.
    fn bury(&mut self, poison: &BTreeSet<String>, letters: &[String]) {
        self.dead = u64::try_from(letters.len()).unwrap_or(u64::MAX);
        let known: BTreeSet<String> = letters.iter().cloned().collect();
        self.lose(poison.difference(&known).count(), "poisonous messages are no dead letters");
        for id in known.difference(poison) {
            self.differences.push(format!("{id} is a dead letter, and was no poison"));
        }
        if known.len() != letters.len() {
            self.differences.push(format!("{} letters of {} messages", letters.len(), known.len()));
        }
    }
}

/// Message ids of the letters in the Ledger's file.
fn letters(ledger: &Path) -> Result<Vec<String>, String> {
    let rows = ledger_file::execute(ledger, &[("SELECT message_id FROM dead_letters", serde_json::json!([]))])?;
    let ids = rows.into_iter().flatten().flatten();
    ids.map(|id| id.as_str().map(str::to_owned).ok_or_else(|| format!("{id} is no message id"))).collect()
}

fn size<T>(set: &BTreeSet<T>) -> u64 {
    u64::try_from(set.len()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dead_letters_must_be_the_poison_and_nothing_else() {
        let poison: BTreeSet<String> = ["a", "b"].map(String::from).into();
        let bury = |letters: &[&str]| {
            let mut report = Report::default();
            report.bury(&poison, &letters.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>());
            (report.lost, report.differences.len(), report.is_exact())
        };
        assert_eq!(bury(&["b", "a"]), (0, 0, true));
        assert_eq!(bury(&["b"]), (1, 1, false));
        assert_eq!(bury(&["a", "b", "c"]), (0, 1, false));
        assert_eq!(bury(&["a", "b", "b"]), (0, 1, false));
    }

    #[test]
    fn a_run_in_which_a_fault_never_struck_has_failed() {
        let mut report = Report { crashes: 1, duplicated: 1, ..Report::default() };
        report.struck(&Run::new(1));
        let fates: usize = ROWS.iter().map(|(_, _, fates)| fates.len()).sum();
        assert_eq!((report.differences.len(), report.is_exact()), (fates, false));
    }
}
