//! The Ledger: the one place where the cumulative state lives, and what makes each delta count once.
//!
//! | file | what it holds |
//! | --- | --- |
//! | [`stream`] | what is remembered of one stream |
//! | [`commit`] | the decision: apply a pre-merged delta, or say which records are in the way. Pure |
//! | [`storage`] | the rows: schema, checksum, and what is read and written for one commit |
//! | [`publish`] | when the state is published, and what. Pure |
//!
//! `platform::object` is the Durable Object that wires them to SQLite, alarm and KV.

pub mod commit;
pub mod publish;
pub mod storage;
pub mod stream;
