//! The Ledger: the one place where the cumulative state lives, and what makes each delta count once.
//!
//! | file | what it holds |
//! | --- | --- |
//! | [`stream`] | what is remembered of one stream |
//! | [`commit`] | the decision: apply a pre-merged delta, or say which records are in the way. Pure |
//! | [`floor`] | what makes forgetting a stream safe |
//! | [`account`] | the records of each producer: sent, applied, missing, lost |
//! | [`book`] | what is in memory: state, floors, counts over the rows |
//! | [`forget`] | forgetting streams, in the order that is safe |
//! | [`storage`] | the rows: schema, checksum, and what is read and written for one commit |
//! | [`journal`] | what commits changed, until it is folded into the tables |
//! | [`parts`] | the series of the state in rows of bounded size |
//! | [`migration`] | what becomes of rows of an older schema |
//! | [`dead_letters`] | the table of messages that were given up |
//! | [`shards`] | several ledgers: their names, and how ledger 0 takes in what the others count. Pure |
//! | [`import`] | totals counted elsewhere, each source once: the decision and its table |
//! | [`publish`] | when the state is published, and what. Pure |
//!
//! `platform::object` is the Durable Object that wires them to SQLite, alarm and KV.

pub mod account;
pub mod alarm;
pub mod book;
pub mod commit;
pub mod dead_letters;
pub mod floor;
pub mod forget;
pub mod import;
pub mod journal;
pub mod migration;
pub mod parts;
pub mod publish;
pub mod shards;
pub mod sources;
pub mod storage;
pub mod stream;
