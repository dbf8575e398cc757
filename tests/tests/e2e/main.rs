//! End to end in real workerd: queue, KV, Durable Object and runtime are the real ones; the Confidence backend is a stub
//! that checks what it is sent as strictly as the real one would.
//!
//! | file | what it shows |
//! | --- | --- |
//! | `chaos` | under fire: duplicates, reordering, crashes, refusals, and exact at the end |
//! | `pipeline` | N resolves in, exactly N on `/metrics`, every assignment at the backend, also across a restart |
//! | `http` | bad requests get the right answer, count nothing and leave the isolate alive |
//! | `consumer` | the consumer alone, handed batches that a queue would hand it on a bad day |
//! | `dead_letters` | what is given up is kept, shown, and comes back without counting twice |
//! | `embedding` | a Worker that is not ours counts exactly on the same queue, and a hostile one spoils nothing |
//! | `many_series` | tens of thousands of series through the queue: each on `/metrics` and at the collector, also after a restart |
//! | `shards` | several queues and ledgers: one output, exact, through growth, a queue that fails and a power cut |
//! | `otel_workers` | Workers with OpenTelemetry's API in Rust and TypeScript count exactly, also where the queue refuses |
//! | `scrape` | `/metrics` as an HTTP resource: formats, codings, conditions, options, freshness |
//! | `migration` | docs/migration.md, played: counters go on from those of Spotify's resolver |
//! | `native` | Prometheus' protobuf format, and native histograms in a real Prometheus |
//! | `ledger` | its database as an older version left it, and as time leaves it |
//! | `otlp` | a collector is sent what `/metrics` says, with its credentials, across a restart |
//! | `otlp_faults` | the push tries again what may pass and nothing else, and holds up nobody |
//! | `otlp_delta` | deltas reach a collector once, in windows without hole and overlap |
//! | `otlp_in` | OpenTelemetry's metrics on the queue come out on `/metrics` and in the push, each counted once |
//! | `otlp_peers` | the official message types and a real collector read what we push |
//! | `otlp_collector` | the OpenTelemetry Collector serves what it was pushed as what `/metrics` serves |
//! | `prometheus` | a real Prometheus scrapes the running endpoint and says the same numbers |
//! | `dashboards` | the dashboard, the alerts and the scrape examples work on a real run, in a real Prometheus |
//! | `state` | a state that changes at the CDN is resolved without a deployment, and nothing bad ever replaces it |
//! | `sticky` | who was assigned a variant keeps it, across isolates, and a store that fails costs nobody else anything |
//! | `status_page` | a real Chromium logs in and sees what /metrics says |
//! | `parsers` | the reference parsers of both text formats read what we write |
//!
//! Needs both Workers and the examples built and the npm tools installed: `make test` sees to that.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod chaos;
mod consumer;
mod dashboards;
mod dead_letters;
mod embedding;
mod http;
mod ledger;
mod many_series;
mod migration;
mod native;
mod otel_workers;
mod otlp;
mod otlp_collector;
mod otlp_delta;
mod otlp_faults;
mod otlp_in;
mod otlp_peers;
mod parsers;
mod pipeline;
mod prometheus;
mod scrape;
mod shards;
mod state;
mod status_page;
mod sticky;
