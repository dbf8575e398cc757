//! `GET /metrics`: who may read, what they asked for, which copy answers, and the answer. Pure but for the reads that
//! `platform` wires.

pub mod access;
pub mod copy;
pub mod header;
pub mod metrics;
pub mod negotiate;
pub mod options;
pub mod pieces;
pub mod respond;
pub mod validator;
