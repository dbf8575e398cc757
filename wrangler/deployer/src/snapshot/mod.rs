//! What Spotify's Cloudflare resolver counted, so that our counters go on from there.
//!
//! That resolver keeps its totals in a KV namespace, as JSON. [`peer`] reads a value, strictly; [`totals`] says them in
//! our families and labels; [`find`] gets it, [`import`] sends the totals to the Ledger, which takes a source once;
//! [`options`] and [`command`] are what is typed and what is done. The facts of the formats stand in docs/migration.md.

pub mod command;
pub mod find;
pub mod import;
pub mod options;
pub mod peer;
pub mod totals;
