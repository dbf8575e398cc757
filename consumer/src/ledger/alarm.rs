//! The one alarm that an object has, which publications, forgetting and exports share.

use std::time::Duration;

/// The soonest that an alarm is set for. One that is set for the very millisecond of the alarm that is running never comes
/// in workerd (2026-11-17), although `getAlarm` says that it is set; a later one does.
pub const SOONEST: Duration = Duration::from_millis(10);

/// An alarm that is overdue is on its way, or was lost: it is set again, and for no later than this.
const OVERDUE_AGAIN: Duration = Duration::from_secs(1);

/// When the alarm is set to come, as far as this Ledger knows. In memory, so that looking and setting are one step: asking
/// the platform takes an await, in which somebody else may set it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Armed(Option<u64>);

impl Armed {
    /// Set to come after `wait`.
    pub fn after(now_ms: u64, wait: Duration) -> Self {
        Self(Some(now_ms.saturating_add(millis(wait))))
    }

    /// What the alarm has to be set to, from now, so that it comes within `wait`; `None` where the one that is set does.
    pub fn wanted(&self, now_ms: u64, wait: Duration) -> Option<Duration> {
        match self.0 {
            Some(at) if at <= now_ms => Some(wait.min(OVERDUE_AGAIN)),
            Some(at) if at <= now_ms.saturating_add(millis(wait)) => None,
            _ => Some(wait),
        }
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
        assert_eq!((armed.wanted(1_000, minute), armed.wanted(1_500, second)), (None, None));
        let sooner = Duration::from_millis(999);
        assert_eq!(armed.wanted(1_000, sooner), Some(sooner), "sooner is sooner");
        assert_eq!(armed.wanted(2_000, minute), Some(OVERDUE_AGAIN), "one that is lost comes again, and soon");
        assert_eq!(armed.wanted(9_000, sooner), Some(sooner));
        assert_eq!(Armed::default().wanted(0, minute), Some(minute), "none is set");
    }
}
