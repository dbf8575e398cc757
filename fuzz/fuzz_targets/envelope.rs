//! libFuzzer's program for the target `envelope`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tributary_fuzz::targets::envelope::run(data));
