//! Forgetting streams, step by step, with their table behind a trait.
//!
//! The order is the guarantee. What a commit changed of a stream may be in the journal alone, and the table then says that
//! the stream has been silent since before. So the journal is folded first, and only then is looked who is silent: a
//! stream that spoke a moment ago is not forgotten, and a row that is deleted is the last word of its stream. Then the
//! floors are raised, and with them the rows are deleted in one transaction.

use std::collections::BTreeMap;

use super::{
    book::{Book, ForgetReason},
    commit::StreamKind,
    journal::Write,
    storage::{self, StorageError, StoredStream},
};
use crate::self_metrics::NotRecorded;

/// Which streams are to be forgotten, at most `most` of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selection {
    /// Those that were last seen before a time, in milliseconds since the epoch.
    Silent {
        /// The time.
        before_ms: u64,
        /// The most.
        most: u64,
    },
    /// Those of a kind that were silent the longest.
    Oldest {
        /// The kind.
        kind: StreamKind,
        /// The most.
        most: u64,
    },
}

impl Selection {
    /// The statement that selects them, and its parameters.
    pub fn statement(self) -> (&'static str, [u64; 2]) {
        match self {
            Self::Silent { before_ms, most } => (storage::SELECT_SILENT_STREAMS, [before_ms, most]),
            Self::Oldest { kind, most } => {
                let kind = u64::try_from(i32::from(kind.to_wire())).unwrap_or_default();
                (storage::SELECT_OLDEST_STREAMS, [kind, most])
            }
        }
    }

    fn reason(self) -> ForgetReason {
        match self {
            Self::Silent { .. } => ForgetReason::Silent,
            Self::Oldest { .. } => ForgetReason::Bound,
        }
    }
}

/// The table of streams, and what is written with it.
pub trait StreamTable {
    /// Why it cannot be read or written.
    type Error: From<StorageError> + From<NotRecorded>;

    /// Writes a fold of the journal, in one transaction.
    ///
    /// # Errors
    /// Where it is not written.
    fn fold(&mut self, fold: Write) -> Result<(), Self::Error>;

    /// The rows that a statement of [`Selection::statement`] selects.
    ///
    /// # Errors
    /// Where they cannot be read.
    fn select(&mut self, statement: &'static str, parameters: [u64; 2]) -> Result<Vec<StoredStream>, Self::Error>;

    /// Deletes the streams of [`storage::DELETE_STREAMS`]'s parameter and writes what that changed, in one transaction.
    ///
    /// # Errors
    /// Where neither is done.
    fn delete(&mut self, ids: String, write: Write) -> Result<(), Self::Error>;
}

/// Forgets streams; returns how many.
///
/// # Errors
/// Those of the table. The book must be dropped then, and loaded again.
pub fn forget<T: StreamTable>(
    book: &mut Book,
    table: &mut T,
    selection: Selection,
    now_ms: u64,
) -> Result<u64, T::Error> {
    if let Some(fold) = book.fold() {
        table.fold(fold)?;
    }
    let (statement, parameters) = selection.statement();
    let stored = table.select(statement, parameters)?;
    let rows = stored.iter().map(storage::decode_row).collect::<Result<BTreeMap<_, _>, _>>()?;
    if rows.is_empty() {
        return Ok(0);
    }
    book.forget(&rows, selection.reason(), now_ms)?;
    table.delete(storage::encode_ids(rows.keys()), book.write(&BTreeMap::new()))?;
    Ok(u64::try_from(rows.len()).unwrap_or(u64::MAX))
}
