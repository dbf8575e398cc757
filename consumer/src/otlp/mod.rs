//! OTLP push: the merged state to a collector, from the Ledger's alarm.
//!
//! [`config`] reads the standard variables, [`answer`] says what a collector's answer means, [`queue`] holds what has to
//! reach it, and [`exporter`] decides what is sent when. Nothing here waits: the platform's part sends one request at a
//! time beside the alarm, so an endpoint that hangs delays neither the backend nor `/metrics`.

pub mod answer;
pub mod config;
pub mod exporter;
pub mod metrics;
pub mod queue;
