//! What one resolve adds to the telemetry, and the question how long it took.

/// One resolve, as the hot path leaves it: two clock readings and what came out. Everything else happens after the
/// response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observation {
    /// Monotonic clock before the resolve, in microseconds.
    pub start_micros: u64,
    /// The same clock right after it.
    pub after_resolve_micros: u64,
    /// The reason of each flag in the response, as the wire's numbers.
    pub reasons: Vec<i32>,
}

impl Observation {
    /// Whether the clock stood still during the resolve, so that the duration needs a later reading.
    pub fn needs_deferred_reading(&self) -> bool {
        self.after_resolve_micros <= self.start_micros
    }

    /// How long the resolve took, in microseconds; `deferred_micros` as in [`latency_micros`].
    pub fn latency_micros(&self, deferred_micros: u64) -> u32 {
        latency_micros(self.start_micros, self.after_resolve_micros, deferred_micros)
    }
}

/// How long a resolve took, in microseconds: never negative, saturated at `u32::MAX` (71 minutes).
///
/// Workers freeze their clocks while they compute, against timing attacks: in production the reading right after a
/// resolve equals the one before. The clock moves when the Worker next waits for something. So there are three
/// readings: `start`, `after_resolve`, and `deferred`, taken in `waitUntil` after the first timer of zero delay.
///
/// - Where the clock moved during the resolve (a local runtime, a test), `after_resolve` is the truth.
/// - Where it did not, `deferred` is the next truth that there is. It includes building the response and whatever else
///   the isolate did until the timer fired: a close upper bound. Timers step in whole milliseconds in production, so a
///   resolve of less than that reads 0 or 1 ms.
pub fn latency_micros(start: u64, after_resolve: u64, deferred: u64) -> u32 {
    let end = if after_resolve > start { after_resolve } else { deferred };
    u32::try_from(end.saturating_sub(start)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_moved_during_the_resolve_is_believed() {
        assert_eq!(latency_micros(1_000, 1_250, 9_000), 250);
    }

    #[test]
    fn a_frozen_clock_falls_back_to_the_deferred_reading() {
        assert_eq!(latency_micros(1_000, 1_000, 3_000), 2_000);
        assert_eq!(latency_micros(1_000, 1_000, 1_000), 0);
    }

    #[test]
    fn latency_is_never_negative_and_never_wraps() {
        assert_eq!(latency_micros(1_000, 900, 800), 0);
        assert_eq!(latency_micros(1_000, 900, 1_800), 800);
        assert_eq!(latency_micros(0, u64::MAX, 0), u32::MAX);
        assert_eq!(latency_micros(0, 0, u64::MAX), u32::MAX);
        assert_eq!(latency_micros(u64::MAX, 0, 0), 0);
    }

    #[test]
    fn only_a_frozen_clock_needs_a_timer() {
        let observation = |after_resolve_micros| Observation { start_micros: 5, after_resolve_micros, reasons: vec![] };
        assert!(observation(5).needs_deferred_reading());
        assert!(!observation(6).needs_deferred_reading());
    }
}
