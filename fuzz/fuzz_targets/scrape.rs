//! libFuzzer's program for the target `scrape`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tributary_fuzz::targets::scrape::run(data));
