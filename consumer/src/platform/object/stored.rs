//! What the Ledger keeps of its book: [`crate::ledger::storage`], [`parts`] and [`journal`] wired to SQLite.

use std::collections::BTreeMap;

use worker::SqlStorageValue;

use super::{Failure, Ledger, Statement, integer};
use crate::{
    ledger::{
        book::Book,
        journal::{self, Journal, StoredEntry, StoredMark, Write},
        migration::{self, StoredEntry3, StoredMissing},
        parts::{self, StoredBook, StoredPart},
        storage::{self, Filled, StorageError, StoredState, StoredTally},
    },
    platform::runtime::now_ms,
};

/// Schemas with a table `journal`.
const SCHEMA_OF_OLD_JOURNAL: u32 = 3;

impl Ledger {
    /// Reads what is stored, and brings what is in the journal, or of an older schema, into the tables of today.
    pub(super) fn load(&self) -> Result<Book, Failure> {
        let sql = self.sql();
        for statement in storage::CREATE {
            sql.exec(statement, None)?;
        }
        let now = now_ms();
        let head = self.stored_state()?;
        let is_new = head.is_none();
        let (mut book, mut statements) = match head {
            Some(head) if head.schema == 1 => self.of_schema_1(&head, now)?,
            Some(head) => {
                let schema = head.schema;
                let stored = StoredBook { head, parts: self.stored_parts()? };
                let mut book = Book::restore(Some(&stored), &self.config.resolver_id, now)?;
                let mut statements = Vec::new();
                if schema == SCHEMA_OF_OLD_JOURNAL {
                    book.journal = self.journal_of_schema_3()?;
                    statements.push((migration::DROP_JOURNAL_3, Vec::new()));
                } else {
                    self.replay(&mut book)?;
                }
                (book, statements)
            }
            None => {
                // Before anything is written: the next start would take it for the state.
                let filled: Vec<Filled> = sql.exec(storage::COUNT_FILLED, None)?.to_array()?;
                if filled.iter().any(|filled| filled.tables > 0) {
                    return Err(StorageError::StateMissing.into());
                }
                (Book::restore(None, &self.config.resolver_id, now)?, Vec::new())
            }
        };
        // A new state is stored at once, so that the time it starts at does not move before the first delta comes.
        if let Some(fold) = book.fold() {
            statements.append(&mut self::statements(fold)?);
            self.transaction(statements)?;
        }
        let tallies: Vec<StoredTally> = sql.exec(storage::COUNT_STREAMS, None)?.to_array()?;
        book.tally(is_new, &tallies)?;
        book.others = self.stored_others()?;
        book.status.dead_letters = self.inventory()?.counts;
        book.dimensions_budget = self.config.dimensions_budget;
        book.state.set_capacity(self.capacity()?);
        Ok(book)
    }

    pub(super) fn has_state(&self) -> Result<bool, Failure> {
        for statement in storage::CREATE {
            self.sql().exec(statement, None)?;
        }
        Ok(self.stored_state()?.is_some())
    }

    fn stored_state(&self) -> Result<Option<StoredState>, Failure> {
        let Some(row) = self.sql().exec(storage::SELECT_STATE, None)?.raw().next() else { return Ok(None) };
        let [SqlStorageValue::Integer(schema), SqlStorageValue::Integer(checksum), SqlStorageValue::Blob(bytes)] =
            <[SqlStorageValue; 3]>::try_from(row?).map_err(|_| corrupt())?
        else {
            return Err(corrupt());
        };
        Ok(Some(StoredState { schema: unsigned(schema)?, checksum: unsigned(checksum)?, bytes }))
    }

    fn stored_parts(&self) -> Result<Vec<StoredPart>, Failure> {
        let mut rows = Vec::new();
        for row in self.sql().exec(parts::SELECT, None)?.raw() {
            let [SqlStorageValue::Integer(id), SqlStorageValue::Integer(checksum), SqlStorageValue::Blob(bytes)] =
                <[SqlStorageValue; 3]>::try_from(row?).map_err(|_| corrupt())?
            else {
                return Err(corrupt());
            };
            rows.push(StoredPart { id: unsigned(id)?, checksum: unsigned(checksum)?, bytes });
        }
        Ok(rows)
    }

    /// Takes in the journal, entry by entry: it can be larger than the state.
    fn replay(&self, book: &mut Book) -> Result<(), Failure> {
        let marks: Vec<StoredMark> = self.sql().exec(journal::SELECT_MARK, None)?.to_array()?;
        book.journal = Journal::at(marks.first().copied());
        for row in self.sql().exec(journal::SELECT, None)?.raw() {
            let [
                SqlStorageValue::Integer(sequence),
                SqlStorageValue::String(rows),
                SqlStorageValue::Integer(checksum),
                SqlStorageValue::Blob(change),
            ] = <[SqlStorageValue; 4]>::try_from(row?).map_err(|_| corrupt())?
            else {
                return Err(corrupt());
            };
            book.replay(&StoredEntry { sequence: unsigned(sequence)?, rows, checksum: unsigned(checksum)?, change })?;
        }
        Ok(())
    }

    fn journal_of_schema_3(&self) -> Result<Journal, Failure> {
        let marks: Vec<StoredMark> = self.sql().exec(migration::SELECT_MARK_3, None)?.to_array()?;
        let entries: Vec<StoredEntry3> = self.sql().exec(migration::SELECT_JOURNAL_3, None)?.to_array()?;
        Ok(migration::journal_of_3(marks.first().copied(), &entries)?)
    }

    fn of_schema_1(&self, stored: &StoredState, now: u64) -> Result<(Book, Vec<Statement>), Failure> {
        let missing: Vec<StoredMissing> = self.sql().exec(migration::MISSING_1, None)?.to_array()?;
        let missing = missing.iter().fold(0u64, |sum, row| sum.saturating_add(row.missing));
        let migrated = migration::from_1(stored, missing, now)?;
        let [tables @ .., rows] = migration::TABLES_1;
        let mut statements: Vec<Statement> = tables.into_iter().map(|text| (text, Vec::new())).collect();
        statements.push((rows, vec![integer(migrated.floor_ms)?]));
        Ok((migrated.book, statements))
    }

    /// What changed beside the rows of streams.
    pub(super) fn write_book(&self, book: &mut Book, mut others: Vec<Statement>) -> Result<(), Failure> {
        others.append(&mut statements(book.write(&BTreeMap::new()))?);
        self.transaction(others)
    }
}

/// What writes a change of a book.
pub(super) fn statements(write: Write) -> Result<Vec<Statement>, Failure> {
    let mut statements = Vec::new();
    match write {
        Write::Entry { slot, entry: StoredEntry { sequence, rows, checksum, change } } => {
            let values = vec![
                integer(slot)?,
                integer(sequence)?,
                SqlStorageValue::String(rows),
                integer(checksum.into())?,
                SqlStorageValue::Blob(change),
            ];
            statements.push((journal::UPSERT, values));
        }
        Write::Fold { rows, parts, head, mark } => {
            let streams = |rows| (storage::UPSERT_STREAMS, vec![SqlStorageValue::String(rows)]);
            statements.extend(rows.into_iter().map(streams));
            for StoredPart { id, checksum, bytes } in parts {
                let values = vec![integer(id)?, integer(checksum.into())?, SqlStorageValue::Blob(bytes)];
                statements.push((parts::UPSERT, values));
            }
            let StoredState { schema, checksum, bytes } = head;
            let values = vec![integer(schema.into())?, integer(checksum.into())?, SqlStorageValue::Blob(bytes)];
            statements.push((storage::UPSERT_STATE, values));
            statements.push((journal::UPSERT_MARK, vec![integer(mark)?]));
        }
    }
    Ok(statements)
}

fn corrupt() -> Failure {
    Failure::Storage(StorageError::Checksum)
}

fn unsigned<T: TryFrom<i64>>(value: i64) -> Result<T, Failure> {
    T::try_from(value).map_err(|_| corrupt())
}
