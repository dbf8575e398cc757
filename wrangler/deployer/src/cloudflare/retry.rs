//! How long to wait before a call is sent again.

use std::time::Duration;

use crate::limits::{API_FIRST_PAUSE, API_MAX_PAUSE, API_MAX_RETRY_AFTER, API_TRIES};

/// The pause after the failed try number `tries` (from 1), or `None` where it was the last one.
///
/// `retry_after` is what the answer asked for; more than a minute is not waited. `random` spreads the pauses of several
/// programs: the result lies between half of the pause and the whole.
#[must_use]
pub fn pause(tries: u32, retry_after: Option<Duration>, random: u64) -> Option<Duration> {
    if tries >= API_TRIES || retry_after.is_some_and(|asked| asked > API_MAX_RETRY_AFTER) {
        return None;
    }
    let doubled = API_FIRST_PAUSE.saturating_mul(1 << tries.saturating_sub(1).min(16)).min(API_MAX_PAUSE);
    let half = doubled / 2;
    let spread = u64::try_from(half.as_millis()).unwrap_or(u64::MAX).saturating_add(1);
    let own = half + Duration::from_millis(random.checked_rem(spread).unwrap_or(0));
    Some(own.max(retry_after.unwrap_or_default()))
}

/// Reads a `Retry-After` in seconds. Cloudflare sends no dates.
#[must_use]
pub fn retry_after(header: Option<&str>) -> Option<Duration> {
    header?.trim().parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_within_bounds_and_end() {
        for random in [0, 1, 12_345, u64::MAX] {
            let pauses: Vec<_> = (1..API_TRIES).map(|tries| pause(tries, None, random).unwrap()).collect();
            for (index, pause) in pauses.iter().enumerate() {
                let whole = API_FIRST_PAUSE * (1 << index);
                assert!((whole / 2..=whole).contains(pause), "{pause:?}");
            }
            assert_eq!(pause(API_TRIES, None, random), None);
        }
    }

    #[test]
    fn retry_after_is_kept_to() {
        assert_eq!(pause(1, retry_after(Some(" 7 ")), 3), Some(Duration::from_secs(7)));
        assert_eq!(pause(1, retry_after(Some("61")), 3), None);
        assert!(pause(1, retry_after(Some("0")), 3).unwrap() >= API_FIRST_PAUSE / 2);
        for none in [None, Some("Wed, 21 Oct 2026 07:28:00 GMT"), Some("-1"), Some("")] {
            assert_eq!(retry_after(none), None);
        }
    }
}
