//! `Retry-After`: seconds or an HTTP date (RFC 9110, sections 5.6.7 and 10.2.3). Pure: the time is an argument.

use std::time::Duration;

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// How long an answer asks to wait, `None` where it says nothing that can be read. A date that has passed asks for no
/// wait at all.
pub fn parse(text: &str, now_ms: u64) -> Option<Duration> {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than fit are a long time, too.
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    let at_ms = date_seconds(text, now_ms)?.checked_mul(1000)?;
    Some(Duration::from_millis(at_ms.saturating_sub(now_ms)))
}

/// An HTTP date in seconds since the epoch: the preferred form, or one of the two old ones that a recipient must take.
fn date_seconds(text: &str, now_ms: u64) -> Option<u64> {
    let words: Vec<&str> = text.split_ascii_whitespace().collect();
    let (year, month, day, time) = match words.as_slice() {
        // Sun, 06 Nov 1994 08:49:37 GMT
        [weekday, day, month, year, time, "GMT"] if weekday.ends_with(',') && year.len() == 4 => {
            (number(year)?, *month, *day, *time)
        }
        // Sunday, 06-Nov-94 08:49:37 GMT
        [weekday, date, time, "GMT"] if weekday.ends_with(',') => {
            let mut parts = date.split('-');
            let (day, month, year) = (parts.next()?, parts.next()?, parts.next()?);
            if parts.next().is_some() || year.len() != 2 {
                return None;
            }
            (century_of(number(year)?, now_ms)?, month, day, *time)
        }
        // Sun Nov  6 08:49:37 1994
        [_, month, day, time, year] if year.len() == 4 => (number(year)?, *month, *day, *time),
        _ => return None,
    };
    let month = u64::try_from(MONTHS.iter().position(|name| *name == month)?).ok()?.checked_add(1)?;
    let day = number(day)?;
    if year < 1970 || !(1..=days_of_month(year, month)).contains(&day) {
        return None;
    }
    let mut parts = time.split(':');
    let (hour, minute, second) = (number(parts.next()?)?, number(parts.next()?)?, number(parts.next()?)?);
    // 60 is a leap second.
    if parts.next().is_some() || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let days = days_before_year(year)?.checked_sub(days_before_year(1970)?)?;
    let days = (1..month).try_fold(days, |days, month| days.checked_add(days_of_month(year, month)))?;
    let days = days.checked_add(day)?.checked_sub(1)?;
    days.checked_mul(86_400)?.checked_add(hour * 3600 + minute * 60 + second)
}

/// At most four digits, without a sign.
fn number(text: &str) -> Option<u64> {
    let is_number = (1..=4).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { text.parse().ok() } else { None }
}

/// A year of two digits is the one that is not more than 50 years ahead.
fn century_of(year: u64, now_ms: u64) -> Option<u64> {
    let this_year = (now_ms / 31_556_952_000).checked_add(1970)?;
    let year = (this_year / 100 * 100).checked_add(year)?;
    Some(if year > this_year.checked_add(50)? { year.saturating_sub(100) } else { year })
}

fn is_leap(year: u64) -> bool {
    (year.is_multiple_of(4) && !year.is_multiple_of(100)) || year.is_multiple_of(400)
}

fn days_of_month(year: u64, month: u64) -> u64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if is_leap(year) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days from the year 1 to the start of `year`, in the Gregorian calendar.
fn days_before_year(year: u64) -> Option<u64> {
    let past = year.checked_sub(1)?;
    Some(past * 365 + past / 4 - past / 100 + past / 400)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// 1994-11-06 08:49:37, the example of the RFC.
    const EXAMPLE_SECONDS: u64 = 784_111_777;

    fn seconds(text: &str, now_seconds: u64) -> Option<u64> {
        parse(text, now_seconds * 1000).map(|wait| wait.as_secs())
    }

    #[test]
    fn seconds_and_every_form_of_a_date_are_read() {
        assert_eq!(seconds(" 120 ", 0), Some(120));
        assert_eq!(seconds("0", 5), Some(0));
        for date in ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"] {
            assert_eq!(seconds(date, EXAMPLE_SECONDS - 90), Some(90), "{date}");
            assert_eq!(seconds(date, EXAMPLE_SECONDS + 90), Some(0), "{date}: passed");
        }
        // Dates that `date -u -d … +%s` gives.
        for (date, at) in [
            ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
            ("Tue, 29 Feb 2000 23:59:59 GMT", 951_868_799),
            ("Sun, 22 Nov 2026 10:00:00 GMT", 1_795_341_600),
            ("Mon, 01 Mar 2100 00:00:00 GMT", 4_107_542_400),
            ("Fri, 31 Dec 9999 23:59:59 GMT", 253_402_300_799),
        ] {
            assert_eq!(seconds(date, 0), Some(at), "{date}");
        }
        assert_eq!(parse(&"9".repeat(40), 0), Some(Duration::from_secs(u64::MAX)));
    }

    #[test]
    fn what_is_neither_is_nothing() {
        for text in [
            "",
            "soon",
            "-1",
            "+1",
            "1.5",
            "Sun, 31 Feb 2027 08:49:37 GMT",
            "Sun, 29 Feb 2027 08:49:37 GMT",
            "Sun, 00 Nov 1994 08:49:37 GMT",
            "Sun, 06 nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1969 08:49:37 GMT",
            "Sun, 06 Nov 1994 24:00:00 GMT",
            "Sun, 06 Nov 1994 08:49:37 CET",
            "Sun, 06 Nov 1994 08:49 GMT",
            "Sun, 06 Nov 1994 08:49:37:00 GMT",
            "Sun, 06 Nov 199 08:49:37 GMT",
        ] {
            assert_eq!(parse(text, 1_000), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_not_without_panic(text in ".{0,60}", now in any::<u64>()) {
            let _unused = parse(&text, now);
        }

        #[test]
        fn any_numbers_in_a_date_are_read_or_not_without_panic(
            day in 0u32..100, month in 0usize..12, year in 0u32..100_000, now in any::<u64>(),
        ) {
            let _unused = parse(&format!("Sun, {day:02} {} {year} 08:49:37 GMT", MONTHS[month]), now);
            let _unused = parse(&format!("Sun, {day:02}-{}-{year} 08:49:37 GMT", MONTHS[month]), now);
        }
    }
}
