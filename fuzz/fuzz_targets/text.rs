//! libFuzzer's program for the target `text`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tributary_fuzz::targets::text::run(data));
