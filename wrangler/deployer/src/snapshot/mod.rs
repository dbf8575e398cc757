//! What Spotify's Cloudflare resolver counted, so that our counters go on from there.
//!
//! That resolver keeps its totals in a KV namespace, as JSON. [`peer`] reads a value, strictly; [`totals`] says them in
//! our families and labels; [`import`] sends them to the Ledger, which takes a source once; [`command`] is what is typed
//! and what is printed. The facts of the formats stand in docs/migration.md.

pub mod command;
pub mod import;
pub mod peer;
pub mod totals;
