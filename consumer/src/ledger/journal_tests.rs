use super::*;

/// The two tables, as the statements leave them.
#[derive(Clone, Default)]
struct Tables {
    streams: BTreeMap<StreamId, StreamRow>,
    journal: BTreeMap<u64, StoredEntry>,
    mark: Option<StoredMark>,
    rows_written: usize,
}

impl Tables {
    fn apply(&mut self, write: Option<Write>) {
        match write {
            None => {}
            Some(Write::Entry { slot, sequence, rows }) => {
                let over = self.journal.insert(slot, StoredEntry { sequence, rows });
                let is_spent = |entry: StoredEntry| self.mark.is_some_and(|mark| entry.sequence <= mark.sequence);
                assert!(over.is_none_or(is_spent), "an entry that counts was written over");
                self.rows_written += 1;
            }
            Some(Write::Fold { rows, mark }) => {
                for rows in rows {
                    let rows = storage::decode_rows(&rows).unwrap();
                    self.rows_written += rows.len();
                    self.streams.extend(rows);
                }
                self.mark = Some(StoredMark { sequence: mark });
                self.rows_written += 1;
            }
        }
    }

    fn entries(&self) -> Vec<StoredEntry> {
        let mark = self.mark.map_or(0, |mark| mark.sequence);
        let mut entries: Vec<_> = self.journal.values().filter(|entry| entry.sequence > mark).cloned().collect();
        entries.sort_by_key(|entry| entry.sequence);
        entries
    }

    fn restore(&self) -> Journal {
        Journal::restore(self.mark, &self.entries()).unwrap()
    }
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

#[test]
fn every_row_is_found_as_it_was_written_last_whenever_memory_is_lost() {
    let (mut journal, mut tables, mut expected) = (Journal::default(), Tables::default(), BTreeMap::new());
    for (round, changed) in commits(3 * MAX_JOURNAL_COMMITS + 100).enumerate() {
        tables.apply(journal.write(&changed));
        expected.extend(changed);
        if round % 97 == 0 {
            let restored = tables.restore();
            assert_eq!(restored, journal);
            journal = restored;
        }
        if round % 61 == 0 {
            let found = |id| journal.row(id).or_else(|| tables.streams.get(id));
            assert!(expected.iter().all(|(id, row)| found(id) == Some(row)), "{round}");
        }
        if round % 1_511 == 0 {
            tables.apply(journal.fold());
            assert_eq!((tables.streams.len(), journal.is_empty()), (expected.len(), true));
        }
    }
    assert!(tables.mark.unwrap().sequence > 2 * MAX_JOURNAL_COMMITS, "it was folded by itself");
    tables.apply(journal.fold());
    assert_eq!((tables.streams, journal.fold()), (expected, None));
}

#[test]
fn an_isolate_that_speaks_every_second_costs_a_row_a_fold_and_not_a_row_a_message() {
    let (mut journal, mut tables) = (Journal::default(), Tables::default());
    let (streams, commits) = (100, 10 * MAX_JOURNAL_COMMITS);
    for round in 1..=commits {
        let changed = (0..streams).map(|at| (stream(at), row(round, 0))).collect();
        tables.apply(journal.write(&changed));
    }
    let messages = usize::try_from(streams * commits).unwrap();
    assert!(tables.rows_written * 50 < messages, "{} rows for {messages} messages", tables.rows_written);
}

#[test]
fn the_journal_is_folded_before_it_outgrows_its_bounds() {
    let mut journal = Journal::default();
    let (mut folds, mut longest) = (0, 0);
    // Streams with as many gaps as one can have, and each of them new.
    for number in 0..20_000 {
        let changed = BTreeMap::from([(stream(number), row(1, 60))]);
        match journal.write(&changed) {
            Some(Write::Fold { rows, .. }) => {
                folds += 1;
                longest = longest.max(rows.iter().map(String::len).max().unwrap());
            }
            Some(Write::Entry { slot, .. }) => assert!(slot < MAX_JOURNAL_COMMITS),
            None => panic!("nothing to write"),
        }
        assert!(journal.bytes <= MAX_JOURNAL_BYTES + 4_096 && journal.len() <= MAX_JOURNAL_STREAMS);
    }
    assert!(folds >= 10, "{folds}");
    assert!(longest < 2_000_000, "a parameter of {longest} bytes is more than SQLite takes here");
    assert_eq!(journal.write(&BTreeMap::new()), None);
}

#[test]
fn an_entry_that_is_missing_or_does_not_read_is_an_error_and_never_a_stream_that_begins_anew() {
    let (mut journal, mut tables) = (Journal::default(), Tables::default());
    for changed in commits(9) {
        tables.apply(journal.write(&changed));
    }
    let entries = tables.entries();
    assert_eq!(entries.len(), 9);
    for missing in 0..8 {
        let mut holed = entries.clone();
        holed.remove(missing);
        assert!(matches!(Journal::restore(None, &holed), Err(StorageError::Journal(_))), "{missing}");
    }
    for spoilt in ["", "[[1]]", "{}", r#"[["ab",1,1,[],1,1,"",0]]"#] {
        let mut spoiled = entries.clone();
        spoiled[4].rows = spoilt.to_owned();
        assert!(Journal::restore(None, &spoiled).is_err(), "{spoilt}");
    }
}
