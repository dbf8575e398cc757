//! libFuzzer's program for the target `apply`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tributary_fuzz::targets::apply::run(data));
