//! libFuzzer's program for the target `snapshot`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tributary_fuzz::targets::snapshot::run(data));
