//! Cron expressions of triggers: five fields, in UTC ("Workers: Cron Triggers").

/// Least and most of minute, hour, day of month, month, day of week (1 is Sunday).
const RANGES: [(u32, u32); 5] = [(0, 59), (0, 23), (1, 31), (1, 12), (1, 7)];
const MONTHS: [&str; 12] = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const DAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

/// A point in time, as far as a cron expression looks at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    pub(crate) minute: u32,
    pub(crate) hour: u32,
    pub(crate) day: u32,
    pub(crate) month: u32,
    /// 1 is Sunday.
    pub(crate) weekday: u32,
}

/// An expression. The forms with L, W and # are read, and never fire here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cron {
    /// A bit for each value.
    fields: [u64; 5],
    has_any_day: bool,
    has_any_weekday: bool,
}

impl Cron {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let parts: Vec<&str> = text.split_whitespace().collect();
        let [_, _, day, _, weekday] = parts.as_slice() else { return None };
        let (has_any_day, has_any_weekday) = (day.starts_with('*'), weekday.starts_with('*'));
        let mut fields = [0; 5];
        for (index, (field, part)) in fields.iter_mut().zip(&parts).enumerate() {
            for item in part.split(',') {
                *field |= bits(item, index)?;
            }
        }
        Some(Self { fields, has_any_day, has_any_weekday })
    }

    /// Where both days are restricted either will do, as in every cron.
    pub(crate) fn fires_at(&self, at: Moment) -> bool {
        let [minutes, hours, days, months, weekdays] = self.fields;
        let has = |bits: u64, value: u32| bits >> value & 1 == 1;
        let (day, weekday) = (has(days, at.day), has(weekdays, at.weekday));
        let is_day = if self.has_any_day || self.has_any_weekday { day && weekday } else { day || weekday };
        has(minutes, at.minute) && has(hours, at.hour) && has(months, at.month) && is_day
    }
}

/// The values of one item of a field.
fn bits(item: &str, index: usize) -> Option<u64> {
    let (least, most) = *RANGES.get(index)?;
    let names: &[&str] = match index {
        3 => &MONTHS,
        4 => &DAYS,
        _ => &[],
    };
    let value = |text: &str| {
        let named = names.iter().position(|name| name.eq_ignore_ascii_case(text));
        let number = match named {
            Some(place) => u32::try_from(place + 1).ok()?,
            None => text.parse().ok()?,
        };
        (least..=most).contains(&number).then_some(number)
    };
    let is_special = match index {
        2 => matches!(item, "L" | "LW") || item.strip_suffix('W').and_then(value).is_some(),
        4 => {
            let is_week = |week: &str| week.parse().is_ok_and(|week: u32| (1..=5).contains(&week));
            item.strip_suffix('L').is_some_and(|day| day.is_empty() || value(day).is_some())
                || item.split_once('#').is_some_and(|(day, week)| value(day).is_some() && is_week(week))
        }
        _ => false,
    };
    if is_special {
        return Some(0);
    }
    let (range, step) = item.split_once('/').map_or((item, None), |(range, step)| (range, Some(step)));
    let step = step.map_or(Some(1), |step| step.parse::<usize>().ok().filter(|step| *step > 0))?;
    let (from, to) = match range.split_once('-') {
        Some((from, to)) => (value(from)?, value(to)?),
        None if range == "*" => (least, most),
        // From a value with a step it goes on to the end.
        None => (value(range)?, if item.contains('/') { most } else { value(range)? }),
    };
    Some((from..=to).step_by(step).fold(0, |bits, value| bits | 1 << value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: u32, hour: u32, day: u32, month: u32, weekday: u32) -> Moment {
        Moment { minute, hour, day, month, weekday }
    }

    fn fires(cron: &str, moment: Moment) -> bool {
        Cron::parse(cron).unwrap().fires_at(moment)
    }

    #[test]
    fn expressions_have_five_fields_in_their_ranges() {
        for cron in ["* * * * *", "*/5 0-12/2 1,15 JAN-mar MON", "59 23 L 12 7", "0 0 * * 6L", "0 0 15W * 2#3"] {
            assert!(Cron::parse(cron).is_some(), "{cron}");
        }
        for cron in [
            "",
            "* * * *",
            "* * * * * *",
            "60 * * * *",
            "* 24 * * *",
            "* * 0 * *",
            "* * * 13 *",
            "* * * * 0",
            "*/0 * * * *",
            "a * * * *",
            "* * * * 2#6",
        ] {
            assert!(Cron::parse(cron).is_none(), "{cron}");
        }
    }

    #[test]
    fn they_fire_when_they_say() {
        assert!(fires("*/15 * * * *", at(30, 7, 3, 3, 3)) && !fires("*/15 * * * *", at(31, 7, 3, 3, 3)));
        assert!(fires("10/20 * * * *", at(50, 0, 1, 1, 1)) && !fires("10/20 * * * *", at(0, 0, 1, 1, 1)));
        assert!(fires("0 3 * * MON-FRI", at(0, 3, 9, 9, 2)) && !fires("0 3 * * MON-FRI", at(0, 3, 9, 9, 1)));
        // The first of the month or any Sunday.
        assert!(fires("0 0 1 * SUN", at(0, 0, 1, 5, 4)) && fires("0 0 1 * SUN", at(0, 0, 9, 5, 1)));
        assert!(!fires("0 0 1 * SUN", at(0, 0, 9, 5, 4)) && !fires("0 0 L * *", at(0, 0, 31, 5, 4)));
    }
}
