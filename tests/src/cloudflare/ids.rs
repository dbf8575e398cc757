//! Identifiers and times as the real API prints them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tributary_local::random;

use super::cron::Moment;

/// 32 hexadecimal digits, as accounts, queues, consumers and namespaces have.
pub(crate) fn hex_id() -> String {
    random::hex(&bytes())
}

/// A random UUID (RFC 9562, version 4), as versions and deployments have.
pub(crate) fn uuid() -> String {
    let mut bytes = bytes();
    let [_, _, _, _, _, _, version, _, variant, ..] = &mut bytes;
    *version = (*version & 0x0f) | 0x40;
    *variant = (*variant & 0x3f) | 0x80;
    let hex = random::hex(&bytes);
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
    format!("{}-{}-{}-{}-{}", part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32))
}

fn bytes() -> [u8; 16] {
    // A machine without randomness has no Cloudflare, and the tests that need one fail on equal ids.
    random::bytes().unwrap_or_default()
}

/// Time since the epoch.
pub(crate) fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Milliseconds since the epoch.
pub(crate) fn now_millis() -> u64 {
    u64::try_from(now().as_millis()).unwrap_or(u64::MAX)
}

/// Now as RFC 3339 in UTC, with microseconds.
pub(crate) fn timestamp() -> String {
    rfc3339(now())
}

/// The minute `minutes` after the epoch, as a cron expression sees it.
pub(crate) fn moment(minutes: u64) -> Moment {
    let days = minutes / 1_440;
    let (_, month, day) = civil(days);
    let small = |number: u64| u32::try_from(number).unwrap_or(0);
    // The epoch was a Thursday, the fifth day.
    let weekday = (days + 4) % 7 + 1;
    Moment {
        minute: small(minutes % 60),
        hour: small(minutes / 60 % 24),
        day: small(day),
        month: small(month),
        weekday: small(weekday),
    }
}

/// A time since the epoch as RFC 3339, with microseconds.
fn rfc3339(time: Duration) -> String {
    let seconds = time.as_secs();
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (rest / 3_600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:06}Z", time.subsec_micros())
}

/// Year, month and day of a count of days since the epoch (Hinnant, "chrono-compatible low-level date algorithms").
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_printed_as_rfc_3339() {
        assert_eq!(rfc3339(Duration::ZERO), "1970-01-01T00:00:00.000000Z");
        // The last second of a leap day, from `date -u -d @1709251199`.
        assert_eq!(rfc3339(Duration::from_micros(1_709_251_199_000_123)), "2024-02-29T23:59:59.000123Z");
    }

    #[test]
    fn minutes_have_a_day() {
        // Sunday, from `date -u -d @1795953600`.
        let expected = Moment { minute: 0, hour: 12, day: 29, month: 11, weekday: 1 };
        assert_eq!(moment(1_795_953_600 / 60), expected);
    }

    #[test]
    fn uuids_say_that_they_are_random() {
        let uuid = uuid();
        assert_eq!((uuid.len(), uuid.as_bytes()[14]), (36, b'4'), "{uuid}");
        assert!(b"89ab".contains(&uuid.as_bytes()[19]), "{uuid}");
    }
}
