//! The two clocks of a Worker. The logic takes time as an argument; only the entry points read it here.
//!
//! In production both clocks stand still while the Worker computes and move when it waits for I/O.

#[cfg(target_arch = "wasm32")]
mod source {
    use wasm_bindgen::prelude::wasm_bindgen;

    #[wasm_bindgen]
    extern "C" {
        /// Milliseconds since the isolate's time origin, with a fraction.
        #[wasm_bindgen(js_namespace = performance, js_name = now)]
        fn performance_now() -> f64;
    }

    pub(super) fn monotonic_ms() -> f64 {
        performance_now()
    }

    pub(super) fn epoch_ms() -> f64 {
        js_sys::Date::now()
    }
}

#[cfg(not(target_arch = "wasm32"))]
mod source {
    use std::time::{Instant, SystemTime, UNIX_EPOCH};

    thread_local! {
        static ORIGIN: Instant = Instant::now();
    }

    pub(super) fn monotonic_ms() -> f64 {
        ORIGIN.with(|origin| origin.elapsed().as_secs_f64() * 1_000.0)
    }

    pub(super) fn epoch_ms() -> f64 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64() * 1_000.0)
    }
}

/// Microseconds since some moment in the life of the isolate (`performance.now()`). Only differences mean anything.
pub fn monotonic_micros() -> u64 {
    to_u64(source::monotonic_ms() * 1_000.0)
}

/// Milliseconds since the epoch (`Date.now()`).
pub fn epoch_ms() -> u64 {
    to_u64(source::epoch_ms())
}

/// Saturates at both ends, NaN is 0: that is what the cast does, and a clock has no business near the ends.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "float to integer casts saturate")]
fn to_u64(value: f64) -> u64 {
    value as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readings_saturate_instead_of_wrapping() {
        assert_eq!(to_u64(-5.0), 0);
        assert_eq!(to_u64(f64::NAN), 0);
        assert_eq!(to_u64(f64::INFINITY), u64::MAX);
        assert_eq!(to_u64(1.9), 1);
    }

    #[test]
    fn the_wall_clock_is_past_2020() {
        assert!(epoch_ms() > 1_577_836_800_000);
    }
}
