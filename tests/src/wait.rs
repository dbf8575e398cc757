//! Waiting for a condition, never for a fixed time.

use std::{
    thread::sleep,
    time::{Duration, Instant},
};

/// Tries `attempt` until it gives a value, and returns it.
///
/// # Panics
/// When `limit` is over, with what the last attempt said: a test that waits in vain has failed.
#[expect(clippy::panic, reason = "the report of a failed test")]
pub fn eventually<T>(limit: Duration, what: &str, mut attempt: impl FnMut() -> Result<T, String>) -> T {
    let deadline = Instant::now() + limit;
    loop {
        match attempt() {
            Ok(value) => return value,
            Err(why) if Instant::now() >= deadline => panic!("not within {limit:?}: {what}; last seen: {why}"),
            Err(_) => sleep(Duration::from_millis(100)),
        }
    }
}
