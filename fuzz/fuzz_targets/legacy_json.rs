//! libFuzzer's program for the target `legacy_json`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tributary_fuzz::targets::legacy_json::run(data));
