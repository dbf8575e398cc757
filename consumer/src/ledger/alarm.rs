//! The one alarm that an object has, which publications, forgetting and exports share.

use std::time::Duration;

/// When the alarm is set to come, as far as this Ledger knows. In memory, so that looking and setting are one step: asking
/// the platform takes an await, in which somebody else may set it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Armed(Option<u64>);

impl Armed {
    /// Set to come after `wait`.
    pub fn after(now_ms: u64, wait: Duration) -> Self {
        Self(Some(now_ms.saturating_add(millis(wait))))
    }

    /// Says whether it comes within `wait` anyway. One that is overdue for longer than `patience` was lost.
    pub fn comes_within(&self, now_ms: u64, wait: Duration, patience: Duration) -> bool {
        self.0.is_some_and(|at| {
            at <= now_ms.saturating_add(millis(wait)) && now_ms <= at.saturating_add(millis(patience))
        })
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_wish_does_not_put_off_what_is_set_and_a_lost_alarm_is_set_again() {
        let (second, minute) = (Duration::from_secs(1), Duration::from_secs(60));
        let armed = Armed::after(1_000, second);
        assert!(armed.comes_within(1_000, minute, minute) && armed.comes_within(1_500, second, minute));
        assert!(!armed.comes_within(1_000, Duration::from_millis(999), minute), "sooner is sooner");
        assert!(armed.comes_within(62_000, Duration::ZERO, minute) && !armed.comes_within(62_001, minute, minute));
        assert!(!Armed::default().comes_within(0, minute, minute), "none is set");
    }
}
