//! What the end to end tests share: an installation of both Workers in workerd, each of them alone in Miniflare,
//! the Ledger's file, and a reader of the exposition that trusts nothing.

pub mod chaos;
pub mod collector;
pub mod consumer;
pub mod embedding;
pub mod exposition;
pub mod grafana;
pub mod http;
pub mod installation;
pub mod ledger_file;
pub mod miniflare;
pub mod producer;
pub mod wait;
