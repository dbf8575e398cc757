//! What the end to end tests share: an installation of both Workers in workerd, each of them alone in Miniflare,
//! the Ledger's file, a reader of the exposition that trusts nothing, and a Cloudflare of one's own.

pub mod both;
pub mod cdn;
pub mod chaos;
pub mod cloudflare;
pub mod collector;
pub mod consumer;
pub mod cost;
pub mod docs;
pub mod embedding;
pub mod exposition;
pub mod grafana;
pub mod growth;
pub mod http;
pub mod installation;
pub mod ledger_file;
pub mod miniflare;
pub mod otelcol;
pub mod peer;
pub mod plot;
pub mod points;
pub mod producer;
pub mod shards;
pub mod touched;
pub mod wait;
