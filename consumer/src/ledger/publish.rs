//! When the state is published, and what.

use std::time::Duration;

use tributary_telemetry::Snapshot;

use crate::{
    limits::MAX_KV_BYTES,
    scrape::{copy::Publication, negotiate::Format, options::View},
    self_metrics::{LedgerStatus, NotRecorded, with_readings},
};

/// What was published, and what is scheduled.
///
/// Kept in memory only: a Ledger that starts anew publishes once more than it had to, which also repairs a copy that a
/// write of its predecessor may have spoiled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Schedule {
    published_version: Option<u64>,
    last_started_ms: Option<u64>,
    alarm_at_ms: Option<u64>,
}

impl Schedule {
    /// True when the state differs from what was published last, as far as this Ledger knows.
    pub fn is_due(&self, version: u64) -> bool {
        self.published_version != Some(version)
    }

    /// The alarm that has to be set after a change, as a time from now; `None` while one is set that comes in time.
    ///
    /// The first change after a pause is published at once, the next not before `interval` has passed since.
    pub fn alarm_after_change(&mut self, version: u64, now_ms: u64, interval: Duration) -> Option<Duration> {
        if !self.is_due(version) {
            return None;
        }
        let interval_ms = millis(interval);
        let earliest = self.last_started_ms.map_or(now_ms, |started| started.saturating_add(interval_ms)).max(now_ms);
        // An alarm whose time has long passed was lost; alarms come at least once but not for ever.
        let is_armed = self.alarm_at_ms.is_some_and(|at| at <= earliest && now_ms <= at.saturating_add(interval_ms));
        if is_armed {
            return None;
        }
        self.alarm_at_ms = Some(earliest);
        Some(Duration::from_millis(earliest.saturating_sub(now_ms)))
    }

    /// The alarm came; `watchdog` is set as the next one before anything else can fail.
    pub fn alarm_came(&mut self, now_ms: u64, watchdog: Duration) {
        self.alarm_at_ms = Some(now_ms.saturating_add(millis(watchdog)));
    }

    /// The alarm is set for something else than a publication; one that is due by then comes with it or sets its own.
    pub fn alarm_wanted(&mut self, now_ms: u64, delay: Duration) {
        self.alarm_at_ms = Some(now_ms.saturating_add(millis(delay)));
    }

    /// True when the last publication began less than `interval` ago, so that another would be too soon.
    pub fn is_early(&self, now_ms: u64, interval: Duration) -> bool {
        self.last_started_ms.is_some_and(|started| now_ms < started.saturating_add(millis(interval)))
    }

    /// The alarm was deleted.
    pub fn disarmed(&mut self) {
        self.alarm_at_ms = None;
    }

    /// Puts begin now.
    pub fn started(&mut self, now_ms: u64) {
        self.last_started_ms = Some(now_ms);
    }

    /// All puts of this version were confirmed.
    pub fn published(&mut self, version: u64) {
        self.published_version = Some(version);
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The two copies of one state, each made when it is its turn: both at once would be 50 MB where there are 100,000 series.
#[derive(Clone, Debug, PartialEq)]
pub struct Copies {
    /// What they are copies of: the metadata of both.
    pub publication: Publication,
    read: Snapshot,
    view: View,
}

impl Copies {
    /// OpenMetrics text, as served.
    pub fn openmetrics(&self) -> Vec<u8> {
        let mut text = Vec::new();
        self.view.write(&self.read, Format::OpenMetrics, &mut text);
        text
    }

    /// The compact state, from which every other format and density is rendered.
    pub fn snapshot(&self) -> Vec<u8> {
        self.read.encode()
    }
}

/// A copy that is no value of the store. The bounds on series leave none: a state that was filled without `_created` samples
/// can be one once they are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a copy of {bytes} bytes is longer than the {MAX_KV_BYTES} of a value in KV: publish fewer names, or no _created"
)]
pub struct TooLong {
    /// How long it is.
    pub bytes: usize,
}

/// Says whether a copy can be stored.
///
/// # Errors
/// [`TooLong`]
pub const fn check(copy: &[u8]) -> Result<(), TooLong> {
    if copy.len() > MAX_KV_BYTES { Err(TooLong { bytes: copy.len() }) } else { Ok(()) }
}

/// What is to be published of a state, the text as `view` says.
///
/// # Errors
/// [`NotRecorded`], see [`with_readings`].
pub fn copies(state: &Snapshot, status: &LedgerStatus, view: View, now_ms: u64) -> Result<Copies, NotRecorded> {
    let read = with_readings(state, status, now_ms)?;
    let publication = Publication {
        published_ms: now_ms,
        start_time_ms: state.start_time_ms(),
        version: state.version(),
        view: view.tag(),
    };
    Ok(Copies { publication, read, view })
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(10);
    const WATCHDOG: Duration = Duration::from_secs(60);

    #[test]
    fn the_first_change_is_published_at_once_and_the_next_after_the_interval() {
        let mut schedule = Schedule::default();
        assert_eq!(schedule.alarm_after_change(1, 1_000, INTERVAL), Some(Duration::ZERO));
        assert_eq!(schedule.alarm_after_change(2, 1_001, INTERVAL), None, "one is set");
        schedule.alarm_came(1_002, WATCHDOG);
        schedule.started(1_002);
        schedule.published(2);
        assert_eq!(schedule.alarm_after_change(2, 1_010, INTERVAL), None, "nothing to publish");
        assert_eq!(schedule.alarm_after_change(3, 4_002, INTERVAL), Some(Duration::from_secs(7)));
        assert_eq!(schedule.alarm_after_change(4, 5_000, INTERVAL), None);
    }

    #[test]
    fn two_puts_of_a_key_are_never_closer_than_the_interval() {
        let mut schedule = Schedule::default();
        let (mut now, mut due, mut last): (u64, Option<u64>, Option<u64>) = (0, None, None);
        for version in 1..2_000 {
            now += 37 * (version % 11);
            if let Some(at) = due.filter(|at| *at <= now) {
                schedule.alarm_came(at, WATCHDOG);
                schedule.started(at);
                schedule.published(version);
                assert!(last.is_none_or(|last| at - last >= 10_000));
                last = Some(at);
                due = None;
            }
            if let Some(delay) = schedule.alarm_after_change(version, now, INTERVAL) {
                due = Some(now + u64::try_from(delay.as_millis()).unwrap());
            }
        }
        assert!(last.is_some());
    }

    #[test]
    fn a_change_after_a_long_pause_is_published_at_once() {
        let mut schedule = Schedule::default();
        schedule.alarm_after_change(1, 0, INTERVAL);
        schedule.alarm_came(0, WATCHDOG);
        schedule.started(0);
        schedule.published(1);
        // The watchdog finds nothing to do and is deleted.
        schedule.alarm_came(60_000, WATCHDOG);
        schedule.disarmed();
        for now in [60_001, 120_000, 125_000] {
            let mut schedule = schedule;
            assert_eq!(schedule.alarm_after_change(2, now, INTERVAL), Some(Duration::ZERO), "{now}");
        }
    }

    #[test]
    fn a_publication_that_failed_stays_due() {
        let mut schedule = Schedule::default();
        schedule.alarm_after_change(1, 0, INTERVAL);
        schedule.alarm_came(0, WATCHDOG);
        schedule.started(0);
        assert!(schedule.is_due(1));
        assert_eq!(schedule.alarm_after_change(1, 5, INTERVAL), Some(Duration::from_millis(9_995)));
    }

    #[test]
    fn an_alarm_for_something_else_publishes_nothing_too_soon() {
        let mut schedule = Schedule::default();
        schedule.alarm_after_change(1, 0, INTERVAL);
        assert!(!schedule.is_early(0, INTERVAL), "the first is never too soon");
        schedule.alarm_came(0, WATCHDOG);
        schedule.started(0);
        schedule.published(1);
        schedule.alarm_wanted(0, Duration::from_secs(1));
        assert_eq!(schedule.alarm_after_change(2, 500, INTERVAL), None, "one is set that comes before");
        schedule.alarm_came(1_000, WATCHDOG);
        assert!(schedule.is_early(1_000, INTERVAL) && !schedule.is_early(10_000, INTERVAL));
        assert_eq!(schedule.alarm_after_change(2, 1_000, INTERVAL), Some(Duration::from_secs(9)));
    }

    #[test]
    fn an_alarm_that_never_came_is_set_again() {
        let mut schedule = Schedule::default();
        schedule.alarm_after_change(1, 0, INTERVAL);
        assert_eq!(schedule.alarm_after_change(2, 9_000, INTERVAL), None);
        assert_eq!(schedule.alarm_after_change(3, 10_001, INTERVAL), Some(Duration::ZERO));
    }

    #[test]
    fn a_copy_that_the_store_would_refuse_is_not_tried() {
        let mut copy = vec![0; MAX_KV_BYTES];
        assert_eq!(check(&copy), Ok(()));
        copy.push(0);
        assert_eq!(check(&copy), Err(TooLong { bytes: 25 * 1_048_576 + 1 }));
    }

    #[test]
    fn equal_states_give_equal_bytes() {
        let state = crate::ledger::book::Book::new("r", 1_000).unwrap().state;
        let (config, _) = crate::config::Config::read(&std::collections::BTreeMap::new());
        let view = View::of_config(&config);
        let render = |state: &Snapshot| copies(state, &LedgerStatus::default(), view.clone(), 2_000).unwrap();
        let (copies, again) = (render(&state), render(&state.clone()));
        assert_eq!((copies.openmetrics(), copies.snapshot()), (again.openmetrics(), again.snapshot()));
        assert_eq!(copies.publication.published_ms, 2_000);
        let text = String::from_utf8(copies.openmetrics()).unwrap();
        assert!(text.contains("\ntributary_published_timestamp_seconds 2.0\n"), "{text}");
        assert!(text.contains("\ntributary_build_info{version="), "{text}");
        assert!(text.contains("\ntributary_last_applied_timestamp_seconds 0.0\n"), "{text}");
    }
}
