use tributary_telemetry::{Delta, FamilyDescriptor, LabelSet, MetricKind};

use super::*;
use crate::ledger::{
    book::Book,
    commit::StreamKind,
    parts::{Parts, StoredBook, StoredPart},
};

const NOW: u64 = 1_800_000_000_000;

/// The tables, as the statements leave them.
#[derive(Clone, Default)]
pub(crate) struct Tables {
    streams: BTreeMap<StreamId, StreamRow>,
    changes: BTreeMap<u64, StoredEntry>,
    mark: Option<StoredMark>,
    parts: BTreeMap<u64, StoredPart>,
    head: Option<StoredState>,
    rows_written: usize,
    /// Bytes of the last row or rows.
    bytes_written: usize,
}

impl Tables {
    pub(crate) fn apply(&mut self, write: Write) {
        match write {
            Write::Entry { slot, entry } => {
                self.bytes_written = entry.rows.len() + entry.change.len();
                let over = self.changes.insert(slot, entry);
                let is_spent = |entry: StoredEntry| self.mark.is_some_and(|mark| entry.sequence <= mark.sequence);
                assert!(over.is_none_or(is_spent), "an entry that counts was written over");
                self.rows_written += 1;
            }
            Write::Fold { rows, parts, head, mark } => {
                self.bytes_written = parts.iter().map(|part| part.bytes.len()).sum();
                for rows in rows {
                    let rows = storage::decode_rows(&rows).unwrap();
                    self.rows_written += rows.len();
                    self.streams.extend(rows);
                }
                self.rows_written += parts.len() + 2;
                self.parts.extend(parts.into_iter().map(|part| (part.id, part)));
                self.head = Some(head);
                self.mark = Some(StoredMark { sequence: mark });
            }
        }
    }

    fn entries(&self) -> Vec<StoredEntry> {
        let mark = self.mark.map_or(0, |mark| mark.sequence);
        let mut entries: Vec<_> = self.changes.values().filter(|entry| entry.sequence > mark).cloned().collect();
        entries.sort_by_key(|entry| entry.sequence);
        entries
    }

    pub(crate) fn stored(&self) -> StoredBook {
        StoredBook { head: self.head.clone().unwrap(), parts: self.parts.values().cloned().collect() }
    }

    fn restore(&self) -> Book {
        self.try_restore(&self.entries()).unwrap()
    }

    fn try_restore(&self, entries: &[StoredEntry]) -> Result<Book, StorageError> {
        let mut book = Book::restore(Some(&self.stored()), "eu", NOW)?;
        book.journal = Journal::at(self.mark);
        entries.iter().try_for_each(|entry| book.replay(entry))?;
        Ok(book)
    }
}

/// A book that is stored, with parts of so many bytes.
fn begin(part_bytes: usize) -> (Book, Tables) {
    let (mut book, mut tables) = (Book::new("eu", NOW).unwrap(), Tables::default());
    book.parts = Parts::of_at_most(part_bytes);
    tables.apply(book.fold().unwrap());
    assert_eq!(book.fold(), None);
    (book, tables)
}

fn stream(number: u64) -> StreamId {
    StreamId((u128::from(number) << 64 | 7).to_be_bytes())
}

fn row(last_seen_ms: u64, gaps: u64) -> StreamRow {
    let mut row = StreamRow { last_seen_ms, account: "eu".into(), ..StreamRow::default() };
    for sequence in 0..=gaps {
        row.progress.note(sequence * 2 + 1).unwrap();
    }
    row
}

/// The commits of `rounds` batches of streams that come again and again.
fn commits(rounds: u64) -> impl Iterator<Item = BTreeMap<StreamId, StreamRow>> {
    (0..rounds)
        .map(|round| (0..=round % 7).map(|at| (stream(round * (at + 3) % 41), row(round + 1, round % 3))).collect())
}

/// A delta of counters of one family, and what jobs say of themselves, which replaces what they said before.
fn custom(series: impl IntoIterator<Item = u64>, round: u64) -> Delta {
    let mut delta = Delta::new();
    delta.set_start(NOW);
    for series in series {
        let name = format!("custom_{}", series % 5);
        let family = FamilyDescriptor::new(name, "Help.", "", MetricKind::Counter).unwrap();
        let labels = LabelSet::from_pairs([("series", format!("{:06}", series * 7_919 % 100_003))]).unwrap();
        delta.add_counter(&family, labels, round + 1).unwrap();
    }
    let target = FamilyDescriptor::new("target_info", "", "", MetricKind::Gauge).unwrap();
    let labels = LabelSet::from_pairs([("job", "shop".to_owned()), ("version", (round % 9).to_string())]).unwrap();
    delta.set_gauge(&target, labels, tributary_telemetry::Gauge::unsigned(1, NOW + round)).unwrap();
    delta
}

#[test]
fn what_was_committed_is_found_whenever_memory_is_lost() {
    for part_bytes in [1, 6_000] {
        let (mut book, mut tables) = begin(part_bytes);
        let mut expected = BTreeMap::new();
        for (round, changed) in (0..).zip(commits(MAX_JOURNAL_COMMITS + 300)) {
            if round % 3 == 0 {
                let _applied = book.state.apply_custom(&custom([round, round % 50, round / 2], round), NOW + round);
            }
            if round % 17 == 0 {
                book.floors.forget(StreamKind::Legacy, round);
            }
            tables.apply(book.write(&changed));
            expected.extend(changed);
            if round % 97 == 0 {
                let restored = tables.restore();
                assert_eq!((&restored.state, &restored.floors), (&book.state, &book.floors), "{round}");
                assert_eq!(restored.journal, book.journal, "{round}");
                assert_eq!(restored.state.encode(), book.state.encode(), "to the byte");
                assert_eq!(restored.state.reserved_bytes(), book.state.reserved_bytes());
                let most = std::mem::replace(&mut book, restored).parts;
                book.parts = if round % 2 == 0 { book.parts } else { most };
            }
            if round % 61 == 0 {
                let found = |id| book.journal.row(id).or_else(|| tables.streams.get(id));
                assert!(expected.iter().all(|(id, row)| found(id) == Some(row)), "{round}");
            }
            if round % 1_511 == 100
                && let Some(fold) = book.fold()
            {
                tables.apply(fold);
                assert_eq!(tables.streams, expected);
                assert_eq!(tables.stored().open().unwrap().state, book.state);
            }
        }
        assert!(tables.mark.unwrap().sequence > MAX_JOURNAL_COMMITS, "it was folded by itself");
        if let Some(fold) = book.fold() {
            tables.apply(fold);
        }
        assert_eq!((&tables.streams, book.fold()), (&expected, None));
        let opened = tables.stored().open().unwrap();
        assert_eq!((opened.state, opened.floors), (book.state, book.floors));
    }
}

#[test]
fn an_isolate_that_speaks_every_second_costs_a_row_a_fold_and_not_a_row_a_message() {
    let (mut book, mut tables) = begin(64_000);
    let (streams, commits) = (100, 10 * MAX_JOURNAL_COMMITS);
    for round in 1..=commits {
        let changed = (0..streams).map(|at| (stream(at), row(round, 0))).collect();
        tables.apply(book.write(&changed));
    }
    let messages = usize::try_from(streams * commits).unwrap();
    assert!(tables.rows_written * 50 < messages, "{} rows for {messages} messages", tables.rows_written);
}

#[test]
fn a_commit_writes_what_it_touched_however_large_the_state_is() {
    let mut written = Vec::new();
    for series in [100, 900] {
        let (mut book, mut tables) = begin(64_000);
        let _applied = book.state.apply_custom(&custom(0..series, 0), NOW);
        tables.apply(book.write(&BTreeMap::new()));
        tables.apply(book.fold().unwrap());
        let parts = tables.parts.len();
        let _applied = book.state.apply_custom(&custom([7, 8], 1), NOW);
        tables.apply(book.write(&BTreeMap::new()));
        written.push((tables.bytes_written, parts));
        tables.rows_written = 0;
        tables.apply(book.fold().unwrap());
        assert!(tables.rows_written <= 4 + 2 && (parts < 4 || tables.rows_written < parts + 2), "of {parts} parts");
    }
    let [(small, one), (large, many)] = written[..] else { panic!() };
    assert!(one < many, "{one} and {many} parts");
    assert!(small.abs_diff(large) < 16, "{small} and {large} bytes");
}

#[test]
fn a_part_that_outgrows_its_bound_is_cut_and_no_other_is_written_again() {
    let (mut book, mut tables) = begin(20_000);
    let mut most = 0;
    for round in 0..60 {
        let _applied = book.state.apply_custom(&custom((0..20).map(|at| round * 20 + at), round), NOW);
        tables.apply(book.write(&BTreeMap::new()));
        tables.apply(book.fold().unwrap());
        most = most.max(tables.parts.values().map(|part| part.bytes.len()).max().unwrap());
        assert_eq!(tables.stored().open().unwrap().state, book.state);
        assert_eq!(tables.parts.len(), book.parts.len());
    }
    assert!(tables.parts.len() > 8 && most <= 20_000, "{} parts of up to {most} bytes", tables.parts.len());
}

#[test]
fn a_part_whose_series_are_gone_is_used_again() {
    let (mut book, mut tables) = begin(1);
    let parts = tables.parts.len();
    for round in 0..40 {
        let _applied = book.state.apply_custom(&custom([], round), NOW);
        tables.apply(book.write(&BTreeMap::new()));
        tables.apply(book.fold().unwrap());
        assert_eq!(tables.stored().open().unwrap().state, book.state);
    }
    assert!(tables.parts.len() <= parts + 2, "{} after {parts}", tables.parts.len());
}

#[test]
fn the_journal_is_folded_before_it_outgrows_its_bounds() {
    let (mut book, _) = begin(64_000);
    let (mut folds, mut longest) = (0, 0);
    // Streams with as many gaps as one can have, and each of them new.
    for number in 0..20_000 {
        let changed = BTreeMap::from([(stream(number), row(1, 60))]);
        match book.write(&changed) {
            Write::Fold { rows, .. } => {
                folds += 1;
                longest = longest.max(rows.iter().map(String::len).max().unwrap());
            }
            Write::Entry { slot, .. } => assert!(slot < MAX_JOURNAL_COMMITS),
        }
        assert!(book.journal.bytes <= MAX_JOURNAL_BYTES + 4_096 && book.journal.len() <= MAX_JOURNAL_STREAMS);
    }
    assert!(folds >= 10, "{folds}");
    assert!(longest < 2_000_000, "a parameter of {longest} bytes is more than SQLite takes here");
}

#[test]
fn what_is_too_long_for_a_row_is_folded_at_once() {
    let (mut book, mut tables) = begin(64_000);
    let labels = |number: u64| {
        let pairs = (0..30).map(|at| (format!("l{at}"), format!("{number}{}", "x".repeat(1_000))));
        LabelSet::from_pairs(pairs).unwrap()
    };
    let family = FamilyDescriptor::new("long", "", "", MetricKind::Counter).unwrap();
    let mut delta = Delta::new();
    (0..10).for_each(|number| delta.add_counter(&family, labels(number), 1).unwrap());
    let _applied = book.state.apply_custom(&delta, NOW);
    assert!(matches!(book.write(&BTreeMap::new()), Write::Entry { .. }), "300 kB are an entry");
    let (mut book, mut folds) = (tables.restore(), 0);
    for round in 0..4 {
        let mut delta = Delta::new();
        (0..400).for_each(|at| {
            let family = FamilyDescriptor::new(format!("long_{round}_{}", at / 15), "", "", MetricKind::Counter);
            delta.add_counter(&family.unwrap(), labels(at), 1).unwrap();
        });
        let _applied = book.state.apply(&delta, NOW).unwrap();
        let write = book.write(&BTreeMap::new());
        folds += usize::from(matches!(write, Write::Fold { .. }));
        tables.apply(write);
        assert_eq!(tables.restore().state, book.state);
        assert!(tables.parts.values().all(|part| part.bytes.len() < 300_000));
    }
    assert!(folds >= 1, "nothing was too long: the test proves nothing");
}

#[test]
fn what_is_missing_or_does_not_read_is_an_error_and_never_less_than_was_counted() {
    let (mut book, mut tables) = begin(2_000);
    for changed in commits(9) {
        tables.apply(book.write(&changed));
    }
    let entries = tables.entries();
    assert_eq!(entries.len(), 9);
    for missing in 0..8 {
        let mut holed = entries.clone();
        holed.remove(missing);
        assert!(matches!(tables.try_restore(&holed), Err(StorageError::Journal(_))), "{missing}");
    }
    for spoilt in ["", "[[1]]", "{}", r#"[["ab",1,1,[],1,1,"",0]]"#] {
        let mut spoiled = entries.clone();
        spoiled[4].rows = spoilt.to_owned();
        assert_eq!(tables.try_restore(&spoiled), Err(StorageError::Checksum), "{spoilt}");
        spoiled[4] = StoredEntry::new(spoiled[4].sequence, spoilt.to_owned(), spoiled[4].change.clone());
        assert!(tables.try_restore(&spoiled).is_err(), "{spoilt}");
    }
    for at in 0..entries[4].change.len() {
        let mut spoiled = entries.clone();
        spoiled[4].change[at] ^= 1;
        assert_eq!(tables.try_restore(&spoiled), Err(StorageError::Checksum), "{at}");
    }
    let parts = tables.stored().parts.len();
    assert!(parts > 3, "{parts}");
    for missing in 0..parts {
        let mut stored = tables.stored();
        stored.parts.remove(missing);
        assert!(matches!(stored.open(), Err(StorageError::Parts { .. })), "{missing}");
        let mut stored = tables.stored();
        stored.parts[missing].bytes[9] ^= 1;
        assert_eq!(stored.open(), Err(StorageError::Checksum), "{missing}");
        let mut stored = tables.stored();
        stored.parts[missing] =
            StoredPart { id: stored.parts[missing].id, ..stored.parts[(missing + 1) % parts].clone() };
        assert!(matches!(stored.open(), Err(StorageError::State(_))), "{missing}");
    }
    let mut stored = tables.stored();
    for at in 0..stored.head.bytes.len() {
        stored.head.bytes[at] ^= 1;
        assert_eq!(stored.open(), Err(StorageError::Checksum));
        stored.head.bytes[at] ^= 1;
    }
    stored.head.schema = storage::SCHEMA + 1;
    assert_eq!(stored.open(), Err(StorageError::Schema(storage::SCHEMA + 1)));
}

#[test]
fn a_whole_state_of_schema_3_becomes_parts() {
    let (book, tables) = begin(2_000);
    let mut bytes = Vec::new();
    book.state.encode_field(1, &mut bytes);
    let head = StoredState { schema: 3, checksum: crc32fast::hash(&bytes), bytes };
    let mut old = Book::restore(Some(&StoredBook { head, parts: Vec::new() }), "eu", NOW).unwrap();
    assert_eq!(old.state, book.state);
    let Some(Write::Fold { parts, head, mark: 0, .. }) = old.fold() else { panic!("nothing to write") };
    assert_eq!(StoredBook { head, parts }.open().unwrap().state, tables.stored().open().unwrap().state);
}
