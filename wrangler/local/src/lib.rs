//! The local installation: both Workers in workerd, a resolver state, a stub Confidence backend, demo traffic.
//!
//! [`installation`] is the way in: it puts the parts together and takes them apart again, for `make run` and for the
//! end to end tests. The parts: [`demo_state`], [`state_file`] and [`cdn`] give a resolver state; [`backend`] stands
//! for Confidence; [`config`] renders the Workers' configuration and [`workers`] runs them; [`traffic`] plays users.
//! [`redrive`] is `make redrive`, for any installation.
//!
//! Everything listens on 127.0.0.1 and writes below one run folder.

#![forbid(unsafe_code)]

pub mod backend;
pub mod cdn;
pub mod config;
pub mod demo_state;
pub mod installation;
pub mod options;
mod probe;
pub mod process;
pub mod queues;
pub mod random;
pub mod redrive;
pub mod secrets;
pub mod settings;
pub mod state_file;
pub mod traffic;
pub mod workers;
