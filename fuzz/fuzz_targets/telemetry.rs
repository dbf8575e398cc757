//! libFuzzer's program for the target `telemetry`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tributary_fuzz::targets::telemetry::run(data));
