//! libFuzzer's program for the target `resolve`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tributary_fuzz::targets::resolve::run(data));
