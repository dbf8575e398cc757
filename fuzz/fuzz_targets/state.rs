//! libFuzzer's program for the target `state`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tributary_fuzz::targets::state::run(data));
