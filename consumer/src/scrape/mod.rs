//! `GET /metrics`: who may read, what they asked for, and the answer. Pure but for the two reads that `lib.rs` wires.

pub mod access;
pub mod negotiate;
pub mod respond;
