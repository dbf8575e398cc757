//! libFuzzer's program for the target `otlp`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tributary_fuzz::targets::otlp::run(data));
