//! What the bench of touched series measured (`tests/benches/touched.rs`), and what `docs/performance.md` shows of it.

use std::fmt::Write as _;

use crate::growth::as_f64;

/// Where the measurements that the page shows are kept.
pub const FILE: &str = "docs/performance/touched.json";

/// One measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
pub struct Point {
    /// Custom series that the state has.
    pub held: u64,
    /// Series of a commit.
    pub touched: u64,
    /// Nanoseconds of a commit in the Ledger: from the bytes of the request to what is written.
    pub nanos: u64,
    /// Its allocations.
    pub allocations: u64,
    /// Bytes of the row that it writes.
    pub entry_bytes: u64,
    /// Nanoseconds of a fold after some commits.
    pub fold_nanos: u64,
    /// Rows that it writes of the state.
    pub fold_rows: u64,
    /// Their bytes.
    pub fold_bytes: u64,
    /// Rows of the state that there are.
    pub parts: u64,
    /// Their bytes.
    pub state_bytes: u64,
    /// Nanoseconds to read all of them.
    pub load_nanos: u64,
}

/// The table of the page.
#[must_use]
pub fn table(points: &[Point]) -> String {
    let mut table = "| series of the state | of a commit | a commit, µs | µs a series | allocations | row, bytes | \
                     a fold, ms | rows | bytes | all rows | their bytes | read all, ms |\n\
                     | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: |\n"
        .to_owned();
    for point in points {
        let micros = as_f64(point.nanos) / 1e3;
        let millis = |nanos: u64| as_f64(nanos) / 1e6;
        // Writing to a string never fails.
        let _is_written = writeln!(
            table,
            "| {} | {} | {micros:.0} | {:.2} | {} | {} | {:.1} | {} | {} | {} | {} | {:.0} |",
            point.held,
            point.touched,
            micros / as_f64(point.touched),
            point.allocations,
            point.entry_bytes,
            millis(point.fold_nanos),
            point.fold_rows,
            point.fold_bytes,
            point.parts,
            point.state_bytes,
            millis(point.load_nanos),
        );
    }
    table
}
