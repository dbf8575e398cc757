//! Fuzz targets: everything of Tributary that reads bytes from outside, each with the properties that must hold
//! whatever the bytes are.
//!
//! A target is a plain function of bytes that panics where a property does not hold. Two programs drive it: libFuzzer
//! (`fuzz_targets/`, built by cargo-fuzz on nightly, guided by coverage, with AddressSanitizer), and `src/bin/replay.rs`
//! (any toolchain: replays the corpus and mutates it blindly from a seed). `run.sh` picks what the machine has.
//!
//! `corpus/` holds small real messages, written by `src/bin/seeds.rs`; [`seeds`] makes them.

#[path = "../../telemetry/tests/client_model/mod.rs"]
mod client_model;
pub mod exposition;
mod fixture;
mod memory;
mod model;
mod otlp_seed;
pub mod seeds;
pub mod targets;

pub use memory::peak_bytes;

/// One fuzz target.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name: of the libFuzzer program, of the corpus folder, of the dictionary if there is one.
    pub name: &'static str,
    /// Checks all properties on one input.
    ///
    /// # Panics
    /// Where a property does not hold: that is the finding.
    pub run: fn(&[u8]),
}

/// Every target.
pub const TARGETS: [Target; 12] = [
    Target { name: "envelope", run: targets::envelope::run },
    Target { name: "legacy_json", run: targets::legacy_json::run },
    Target { name: "telemetry", run: targets::telemetry::run },
    Target { name: "otlp", run: targets::otlp::run },
    Target { name: "ledger", run: targets::ledger::run },
    Target { name: "import", run: targets::import::run },
    Target { name: "snapshot", run: targets::snapshot::run },
    Target { name: "text", run: targets::text::run },
    Target { name: "scrape", run: targets::scrape::run },
    Target { name: "resolve", run: targets::resolve::run },
    Target { name: "apply", run: targets::apply::run },
    Target { name: "state", run: targets::state::run },
];
