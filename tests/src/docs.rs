//! Pages and plots of `docs` that say what code says: held against it by tests, renewed with `UPDATE_DOCS=1`.

use std::{fs, io};

use crate::installation::repository;

/// Why a file is not as it should be.
#[derive(Debug, thiserror::Error)]
pub enum DocsError {
    /// It does not say what the code says.
    #[error("{0} is not what the code says: run this test with UPDATE_DOCS=1")]
    Stale(String),
    /// A page has no place for a table.
    #[error("{page} has no table {table}")]
    NoTable {
        /// The page.
        page: String,
        /// Its name there.
        table: String,
    },
    /// It cannot be read or written.
    #[error("{0}: {1}")]
    Io(String, io::Error),
}

/// Says whether what is held is to be renewed: `UPDATE_DOCS` is set to something.
#[must_use]
pub fn is_update() -> bool {
    std::env::var_os("UPDATE_DOCS").is_some_and(|value| !value.is_empty())
}

/// Writes a file of the repository.
///
/// # Errors
/// [`DocsError::Io`]
pub fn renew_file(path: &str, content: &str) -> Result<(), DocsError> {
    fs::write(repository().join(path), content).map_err(|error| DocsError::Io(path.to_owned(), error))
}

/// Holds a file of the repository to its content.
///
/// # Errors
/// [`DocsError::Stale`], [`DocsError::Io`]
pub fn hold_file(path: &str, content: &str) -> Result<(), DocsError> {
    let file = repository().join(path);
    if is_update() {
        renew_file(path, content)?;
    }
    match fs::read_to_string(&file) {
        Ok(text) if text == content => Ok(()),
        Ok(_) => Err(DocsError::Stale(path.to_owned())),
        Err(error) => Err(DocsError::Io(path.to_owned(), error)),
    }
}

/// Holds the tables of a page to their content. Each stands between `<!-- table: name -->` and `<!-- end -->`.
///
/// # Errors
/// [`DocsError`]
pub fn hold_tables(path: &str, tables: &[(&str, String)]) -> Result<(), DocsError> {
    hold_file(path, &with_tables(path, tables)?)
}

/// Writes the tables of a page.
///
/// # Errors
/// [`DocsError`]
pub fn renew_tables(path: &str, tables: &[(&str, String)]) -> Result<(), DocsError> {
    let renewed = with_tables(path, tables)?;
    renew_file(path, &renewed)
}

/// A page with its tables as they are to be.
fn with_tables(path: &str, tables: &[(&str, String)]) -> Result<String, DocsError> {
    let mut renewed =
        fs::read_to_string(repository().join(path)).map_err(|error| DocsError::Io(path.to_owned(), error))?;
    for (name, table) in tables {
        let missing = || DocsError::NoTable { page: path.to_owned(), table: (*name).to_owned() };
        let begin = format!("<!-- table: {name} -->\n");
        let (before, after) = renewed.split_once(&begin).ok_or_else(missing)?;
        let (_, rest) = after.split_once("<!-- end -->").ok_or_else(missing)?;
        renewed = format!("{before}{begin}{table}<!-- end -->{rest}");
    }
    Ok(renewed)
}
