//! What ends a command: each error says what failed, what was said to it, and what to do next.

/// Why a command did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The command line.
    #[error("{0}")]
    Usage(String),
    /// The import of another resolver's totals.
    #[error(transparent)]
    Import(#[from] crate::snapshot::command::ImportError),
}
