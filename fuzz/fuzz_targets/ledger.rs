//! libFuzzer's program for the target `ledger`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tributary_fuzz::targets::ledger::run(data));
