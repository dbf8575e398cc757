//! Several ledgers and one output. Pure but for the statements' text.
//!
//! With several queues (`QUEUE_SHARDS`) each stream belongs to one of as many ledgers, whatever queue carried its records
//! ([`Envelope::ledger`](tributary_proto::envelope::Envelope::ledger)). Each decides about its own streams alone, and tells
//! ledger 0 of itself: its totals, and what it knows of its streams. Ledger 0 publishes and exports, as it does without
//! others. It adds what came to a ledger since the copy that it took in before to its own state, in the transaction that
//! keeps the new copy, so that
//!
//! - a copy that comes twice, late or never changes no sum: the next one has it all;
//! - a ledger that does not answer delays its own numbers, and lowers no total, nor does a restart, nor a ledger that is
//!   no longer used: what was taken in is in the state;
//! - bounds, windows of deltas, imports and copies in KV know nothing of several ledgers.
//!
//! | table | row | written |
//! | --- | --- | --- |
//! | `ledgers` | in ledger 0, one per other ledger that ever told of itself: checksum, when it was taken in, the encoded [`v1::LedgerCopy`] | with the state that it was added to, in one transaction |
//! | `identity` | in the others, one: the ledger's number | before the first commit |

use std::collections::BTreeMap;

use tributary_proto::{Message as _, envelope::MAX_LEDGERS, v1};
use tributary_telemetry::{Capacity, Delta, Snapshot, Value, confidence::catalog};

use super::{
    account::{self, Entries},
    book::Book,
    commit::{self, StreamKind},
    sources::{self, Folded},
    storage::StorageError,
};
use crate::{
    dead_letters, scrape,
    self_metrics::{self, LOST_RECORDS, LedgerStatus, NotRecorded, RECORDS_APPLIED, RECORDS_MISSING, RECORDS_SENT},
};

/// The ledger that publishes, and counts what belongs to no other: messages of producers that know one ledger, and of
/// senders without streams.
pub const MAIN: u32 = 0;

/// Statements that make the tables where they are missing.
pub const CREATE: [&str; 2] = [
    "CREATE TABLE IF NOT EXISTS ledgers (number INTEGER PRIMARY KEY, checksum INTEGER NOT NULL, \
     taken_ms INTEGER NOT NULL, copy BLOB NOT NULL)",
    "CREATE TABLE IF NOT EXISTS identity (id INTEGER PRIMARY KEY CHECK (id = 0), number INTEGER NOT NULL)",
];
/// Reads all copies: number, checksum, `taken_ms`, copy.
pub const SELECT: &str = "SELECT number, checksum, taken_ms, copy FROM ledgers ORDER BY number";
/// Replaces one: number, checksum, `taken_ms`, copy.
pub const UPSERT: &str = "INSERT INTO ledgers (number, checksum, taken_ms, copy) VALUES (?, ?, ?, ?) \
                          ON CONFLICT (number) DO UPDATE SET checksum = excluded.checksum, \
                          taken_ms = excluded.taken_ms, copy = excluded.copy";
/// Reads the number of the ledger itself.
pub const SELECT_NUMBER: &str = "SELECT number FROM identity WHERE id = 0";
/// Writes it, once.
pub const INSERT_NUMBER: &str = "INSERT INTO identity (id, number) VALUES (0, ?)";

/// The Durable Object's name of a ledger. That of ledger 0 is as old as the Ledger, and keeps what it counted.
pub fn object_name(ledger: u32) -> String {
    let main = crate::config::LEDGER_NAME;
    if ledger == MAIN { main.to_owned() } else { format!("{main}-{ledger}") }
}

/// True for a number that a ledger beside the first can have.
pub fn is_other(ledger: u32) -> bool {
    (1..MAX_LEDGERS).contains(&ledger)
}

/// How much the state of a ledger may hold. The first one stores its state in many rows; what another one tells of itself
/// is kept by that in one.
pub const fn capacity(ledger: u32, has_created: bool) -> Capacity {
    if ledger == MAIN { Capacity::in_parts(has_created) } else { Capacity::IN_ONE_ROW }
}

/// What a ledger tells of itself.
#[derive(Clone, Debug, PartialEq)]
pub struct LedgerCopy {
    /// Its state, without readings.
    pub state: Snapshot,
    /// Streams that it remembers, by kind.
    pub streams: BTreeMap<&'static str, u64>,
    /// Records missing below the high-water marks of its streams, by account.
    pub missing: BTreeMap<String, u64>,
}

impl LedgerCopy {
    /// The bytes that tell of a book.
    pub fn encode(book: &Book) -> Vec<u8> {
        let mut bytes = Vec::new();
        book.state.encode_field(1, &mut bytes);
        let LedgerStatus { streams, missing, .. } = &book.status;
        let streams = streams.iter().map(|(kind, streams)| ((*kind).to_owned(), *streams)).collect();
        let missing = missing.iter().filter(|(_, missing)| **missing > 0);
        let missing = missing.map(|(account, missing)| (account.clone(), *missing)).collect();
        bytes.append(&mut v1::LedgerCopy { state: None, streams, missing }.encode_to_vec());
        bytes
    }

    /// Reads them.
    ///
    /// # Errors
    /// [`StorageError::State`]
    pub fn decode(bytes: &[u8]) -> Result<Self, StorageError> {
        let invalid = |why: String| StorageError::State(format!("the copy of a ledger: {why}"));
        let copy = v1::LedgerCopy::decode(bytes).map_err(|error| invalid(error.to_string()))?;
        let state = copy.state.ok_or_else(|| invalid("no state".to_owned()))?;
        let state = Snapshot::from_wire(state).map_err(|error| invalid(error.to_string()))?;
        let streams = StreamKind::ALL.into_iter().filter_map(|kind| {
            let streams = copy.streams.get(kind.as_str())?;
            Some((kind.as_str(), *streams))
        });
        Ok(Self { state, streams: streams.collect(), missing: copy.missing })
    }
}

/// A copy that was taken in, and when, in milliseconds since the epoch.
#[derive(Clone, Debug, PartialEq)]
pub struct Taken {
    /// The copy.
    pub copy: LedgerCopy,
    /// When.
    pub taken_ms: u64,
}

/// Adds what came to a ledger since the copy of it that was taken in before. Returns whether that was anything: a copy that
/// is no newer changes nothing.
///
/// The caller writes the book and the copy in one transaction; where that fails it must drop the book and load it again.
///
/// # Errors
/// [`NotRecorded`]: what was left out cannot be counted.
pub fn take_in(book: &mut Book, ledger: u32, copy: LedgerCopy, now_ms: u64) -> Result<bool, NotRecorded> {
    let nothing = Snapshot::new(0);
    let before = book.others.get(&ledger).map_or(&nothing, |taken| &taken.copy.state);
    let is_known = book.others.contains_key(&ledger);
    if is_known && copy.state.version() <= before.version() {
        return Ok(false);
    }
    let added = copy.state.since(before);
    // Readings are those of one ledger; what they are of all is read from all copies.
    let (_, added) = added.partition(is_reading);
    let (accounts, added) = added.partition(is_account);
    let entries = entries_of(&accounts, &mut book.state);
    let folded = sources::fold(&added, &book.state, book.dimensions_budget);
    // Sums of `other` that would pass their range: the series are held to the bounds one by one instead.
    let Folded { delta, series: series_folded } =
        folded.unwrap_or(Folded { delta: std::borrow::Cow::Borrowed(&added), series: 0 });
    let mut delta = delta.into_owned();
    self_metrics::account_entries(&mut delta, &entries)?;
    let absorbed = book.state.absorb(&delta, &copy.state, now_ms);
    let mut of_pipeline = absorbed.of_pipeline;
    of_pipeline.series_refused = of_pipeline.series_refused.saturating_add(of_pipeline.series_overflowing);
    commit::note_left_out(book, of_pipeline, absorbed.custom, series_folded, now_ms)?;
    book.others.insert(ledger, Taken { copy, taken_ms: now_ms });
    Ok(true)
}

fn is_reading(family: &str) -> bool {
    let of_ledger = [&self_metrics::STREAMS, &RECORDS_MISSING, &self_metrics::SERIES, &self_metrics::LEDGER_TAKEN];
    let others = [&dead_letters::metrics::LETTERS, &dead_letters::metrics::LETTERS_BYTES, &scrape::metrics::PUBLISHED];
    of_ledger.iter().chain(&others).any(|descriptor| descriptor.name() == family)
}

fn is_account(family: &str) -> bool {
    [&RECORDS_SENT, &RECORDS_APPLIED, &LOST_RECORDS].iter().any(|descriptor| descriptor.name() == family)
}

/// What came to each account, under the name that it has here: where there are too many, `other` for all of it.
fn entries_of(accounts: &Delta, state: &mut Snapshot) -> Entries {
    let mut entries = Entries::new();
    for family in accounts.families() {
        for (labels, value) in family.series() {
            let Value::Counter(count) = value else { continue };
            let account = match labels.get(catalog::RESOLVER_ID) {
                // Those of consumers, which have no account.
                None => String::new(),
                Some(name) => account::open(state, StreamKind::Producer, name),
            };
            let entry = entries.entry(account).or_default();
            let total = match family.descriptor().name() {
                name if name == RECORDS_SENT.name() => &mut entry.sent,
                name if name == RECORDS_APPLIED.name() => &mut entry.applied,
                _ => &mut entry.lost,
            };
            *total = total.saturating_add(*count);
        }
    }
    entries
}

/// What is known beside the state of all ledgers together, each as of the copy that is in the state.
pub fn status_of_all(book: &Book) -> LedgerStatus {
    let mut status = book.status.clone();
    for (ledger, Taken { copy, taken_ms }) in &book.others {
        for (kind, streams) in &copy.streams {
            let total = status.streams.entry(kind).or_default();
            *total = total.saturating_add(*streams);
        }
        for (account, missing) in &copy.missing {
            // Where its counts went.
            let is_here = self_metrics::has_account(&book.state, account);
            let account = if is_here { account.clone() } else { account::OTHER.to_owned() };
            let total = status.missing.entry(account).or_default();
            *total = total.saturating_add(*missing);
        }
        status.ledgers.insert(*ledger, *taken_ms);
    }
    status
}

#[cfg(test)]
#[path = "shards_tests.rs"]
mod tests;
