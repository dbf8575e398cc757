//! The Durable Object without a platform: rows that survive, as SQLite would hold them, and a book in memory that does
//! not. Everything that decides is the Ledger's own code. `tributary-tests` runs on it, too: its bench of growth and its
//! simulation of scale.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value as Json;
use tributary_consumer::{
    ledger::{
        book::{Book, ForgetReason},
        commit::{Commit, Decision, Record, decide},
        floor::StreamBounds,
        journal::{Journal, StoredEntry, StoredMark, Write},
        parts::{Parts, StoredBook, StoredPart},
        shards::{self, LedgerCopy, Taken},
        storage::{self, StoredState, StoredStream, StoredTally},
    },
    limits::MAX_PART_BYTES,
};
use tributary_proto::{
    envelope::StreamId,
    v1::{CommitResponse, commit_response::Verdict},
};

/// Rows that the platform bills.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rows {
    /// Read of `streams`, by commits.
    pub(crate) read: u64,
    /// Written, the journal's among them.
    pub(crate) written: u64,
    /// Folds of the journal.
    pub(crate) folds: u64,
    /// Rows of the last fold.
    pub(crate) last_fold: u64,
}

/// Rows, memory, and how often each record was applied.
pub(crate) struct Object {
    resolver_id: &'static str,
    /// What a part of a new state may come to.
    pub(crate) part_bytes: usize,
    streams: HashMap<StreamId, StoredStream>,
    journal: BTreeMap<u64, StoredEntry>,
    mark: Option<StoredMark>,
    parts: BTreeMap<u64, StoredPart>,
    head: Option<StoredState>,
    /// Copies of other ledgers that are in the state.
    others: BTreeMap<u32, Vec<u8>>,
    book: Option<Book>,
    /// How often the delta of each pair was applied.
    pub(crate) applied: HashMap<([u8; 16], u64), u64>,
    pub(crate) rows: Rows,
}

/// What a commit comes to, with nothing stored yet.
pub(crate) enum Prepared {
    Conflict(Vec<Verdict>),
    Apply(Box<Change>),
}

/// What is written in one transaction.
pub(crate) struct Change {
    pub(crate) records: Vec<Record>,
    write: Write,
}

impl Object {
    pub(crate) fn new(resolver_id: &'static str) -> Self {
        Self {
            resolver_id,
            part_bytes: MAX_PART_BYTES,
            streams: HashMap::new(),
            journal: BTreeMap::new(),
            mark: None,
            parts: BTreeMap::new(),
            head: None,
            others: BTreeMap::new(),
            book: None,
            applied: HashMap::new(),
            rows: Rows::default(),
        }
    }

    /// Memory is lost; rows stay.
    pub(crate) fn restart(&mut self) {
        self.book = None;
    }

    pub(crate) fn book(&mut self, now_ms: u64) -> &mut Book {
        let book = match self.book.take() {
            Some(book) => book,
            None => self.load(now_ms),
        };
        self.book.insert(book)
    }

    /// As the object does: the tables, then the journal, which is folded, then the streams.
    fn load(&mut self, now_ms: u64) -> Book {
        let stored = self.stored();
        let mut book = Book::restore(stored.as_ref(), self.resolver_id, now_ms).unwrap();
        if stored.is_none() {
            book.parts = Parts::of_at_most(self.part_bytes);
        }
        book.journal = Journal::at(self.mark);
        let mark = self.mark.map_or(0, |mark| mark.sequence);
        let mut entries: Vec<_> = self.journal.values().filter(|entry| entry.sequence > mark).collect();
        entries.sort_by_key(|entry| entry.sequence);
        entries.into_iter().for_each(|entry| book.replay(entry).unwrap());
        if let Some(fold) = book.fold() {
            self.write(fold);
        }
        let mut tallies: BTreeMap<(i32, &str), StoredTally> = BTreeMap::new();
        for stored in self.streams.values() {
            let (_, row) = storage::decode_row(stored).unwrap();
            let StoredStream { kind, account, .. } = stored;
            let none = || StoredTally { kind: *kind, account: account.clone(), streams: 0, missing: 0 };
            let tally = tallies.entry((*kind, account)).or_insert_with(none);
            tally.streams += 1;
            tally.missing += row.progress.missing();
        }
        book.tally(stored.is_none(), &tallies.into_values().collect::<Vec<_>>()).unwrap();
        let read = |copy: &Vec<u8>| Taken { copy: LedgerCopy::decode(copy).unwrap(), taken_ms: now_ms };
        book.others = self.others.iter().map(|(ledger, copy)| (*ledger, read(copy))).collect();
        book
    }

    fn stored(&self) -> Option<StoredBook> {
        Some(StoredBook { head: self.head.clone()?, parts: self.parts.values().cloned().collect() })
    }

    /// What the statements do.
    fn write(&mut self, write: Write) {
        match write {
            Write::Entry { slot, entry } => {
                self.rows.written += 1;
                let over = self.journal.insert(slot, entry);
                let mark = self.mark.map_or(0, |mark| mark.sequence);
                assert!(over.is_none_or(|entry| entry.sequence <= mark), "an entry that counts was written over");
            }
            Write::Fold { rows, parts, head, mark } => {
                self.rows.last_fold = 0;
                rows.iter().for_each(|rows| self.upsert(rows));
                self.rows.last_fold += u64::try_from(parts.len()).unwrap() + 2;
                self.parts.extend(parts.into_iter().map(|part| (part.id, part)));
                self.head = Some(head);
                self.rows.written += self.rows.last_fold;
                self.rows.folds += 1;
                self.mark = Some(StoredMark { sequence: mark });
            }
        }
    }

    /// What a change beside the streams writes.
    fn write_book(&mut self) {
        let write = self.book.as_mut().map(|book| book.write(&BTreeMap::new()));
        write.into_iter().for_each(|write| self.write(write));
    }

    /// What the statement that writes rows does.
    fn upsert(&mut self, parameter: &str) {
        for row in serde_json::from_str::<Vec<[Json; 8]>>(parameter).unwrap() {
            let [stream_id, kind, high_water, gaps, last_seen_ms, floor_ms, account, missing] = row;
            let text = |value: &Json| value.as_str().unwrap().to_owned();
            let stored = StoredStream {
                stream_id: text(&stream_id),
                kind: i32::try_from(kind.as_i64().unwrap()).unwrap(),
                high_water: high_water.as_u64().unwrap(),
                gaps: gaps.to_string(),
                last_seen_ms: last_seen_ms.as_u64().unwrap(),
                floor_ms: floor_ms.as_u64().unwrap(),
                account: text(&account),
            };
            let (stream_id, read) = storage::decode_row(&stored).unwrap();
            assert_eq!(missing.as_u64().unwrap(), read.progress.missing(), "what loading would sum up");
            self.rows.last_fold += 1;
            self.streams.insert(stream_id, stored);
        }
    }

    /// Reads and decides a request. What is in memory has moved on where it is applied, so what is not stored then needs
    /// a [`Self::restart`].
    pub(crate) fn prepare(&mut self, request: &[u8], now_ms: u64) -> Prepared {
        let commit = Commit::decode(request).unwrap();
        self.book(now_ms);
        let (streams, rows) = (&self.streams, &mut self.rows);
        let Some(book) = &mut self.book else { unreachable!("it was just loaded") };
        let known = commit.streams().into_iter().filter_map(|id| {
            let stored = || {
                let row = streams.get(&id)?;
                rows.read += 1;
                Some(storage::decode_row(row).unwrap().1)
            };
            Some((id, book.journal.row(&id).cloned().or_else(stored)?))
        });
        let known = known.collect();
        match decide(&commit, &known, book, now_ms).unwrap() {
            Decision::Conflict { verdicts } => Prepared::Conflict(verdicts),
            Decision::Apply { rows, .. } => {
                let write = book.write(&rows);
                Prepared::Apply(Box::new(Change { records: commit.records, write }))
            }
        }
    }

    /// Stores what was prepared, in one transaction, and answers.
    pub(crate) fn store(&mut self, prepared: Prepared) -> CommitResponse {
        let to_wire = |verdicts: Vec<Verdict>| verdicts.into_iter().map(i32::from).collect();
        match prepared {
            Prepared::Conflict(verdicts) => CommitResponse { applied: false, verdicts: to_wire(verdicts) },
            Prepared::Apply(change) => {
                let Change { records, write } = *change;
                self.write(write);
                for record in &records {
                    *self.applied.entry((record.stream_id.0, record.sequence)).or_default() += 1;
                }
                CommitResponse { applied: true, verdicts: to_wire(vec![Verdict::Fresh; records.len()]) }
            }
        }
    }

    /// In one transaction: the state, and the copy that is in it.
    pub(crate) fn take_in(&mut self, ledger: usize, copy: Vec<u8>, now_ms: u64, fails: bool) {
        let ledger = u32::try_from(ledger).unwrap();
        let read = LedgerCopy::decode(&copy).unwrap();
        let is_taken = shards::take_in(self.book(now_ms), ledger, read, now_ms).unwrap();
        if fails {
            self.restart();
        } else if is_taken {
            self.rows.written += 1;
            self.others.insert(ledger, copy);
            self.write_book();
        }
    }

    /// One alarm's slice of forgetting.
    pub(crate) fn forget(&mut self, bounds: &StreamBounds, slice: usize, now_ms: u64) {
        let Some((kind, surplus)) = self.book(now_ms).surplus(bounds) else { return };
        self.fold(now_ms);
        let kind = i32::from(kind.to_wire());
        let mut oldest: Vec<_> = self.streams.values().filter(|row| row.kind == kind).collect();
        oldest.sort_by(|a, b| (a.last_seen_ms, &a.stream_id).cmp(&(b.last_seen_ms, &b.stream_id)));
        let slice = slice.min(usize::try_from(surplus).unwrap());
        let rows: BTreeMap<_, _> =
            oldest.into_iter().take(slice).map(|row| storage::decode_row(row).unwrap()).collect();
        self.book(now_ms).forget(&rows, ForgetReason::Bound, now_ms).unwrap();
        self.streams.retain(|stream_id, _| !rows.contains_key(stream_id));
        self.write_book();
    }

    /// Makes `streams` whole.
    pub(crate) fn fold(&mut self, now_ms: u64) {
        if let Some(fold) = self.book(now_ms).fold() {
            self.write(fold);
        }
    }

    /// Rows of `streams`, and those that the journal would write to it now.
    pub(crate) fn streams(&self) -> (usize, usize) {
        (self.streams.len(), self.book.as_ref().map_or(0, |book| book.journal.len()))
    }

    /// Streams that are remembered, in `streams` or in what the journal would write to it.
    pub(crate) fn remembered(&self) -> usize {
        let Some(book) = &self.book else { return self.streams.len() };
        let both = self.streams.keys().filter(|id| book.journal.row(id).is_some()).count();
        self.streams.len() + book.journal.len() - both
    }

    /// Rows of `journal` that are beyond its mark, and their bytes.
    pub(crate) fn journal(&self) -> (usize, usize) {
        let mark = self.mark.map_or(0, |mark| mark.sequence);
        let beyond = self.journal.values().filter(|entry| entry.sequence > mark);
        beyond.fold((0, 0), |(rows, bytes), entry| (rows + 1, bytes + entry.rows.len() + entry.change.len()))
    }

    /// Bytes of the state's rows, were the journal folded.
    pub(crate) fn state_bytes(&self) -> usize {
        let stored = self.book.as_ref().map(StoredBook::seal).or_else(|| self.stored());
        stored.map_or(0, |stored| stored.size())
    }
}
