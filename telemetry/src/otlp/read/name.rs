//! Names of metrics and their units as names of families.
//!
//! As the Collector's Prometheus exporter makes them: a name is words of letters and digits with `_` between them, the
//! words of the unit come last, and a word of the unit that the name has already is not said twice.

use crate::limits::MAX_FAMILY_NAME_BYTES;

/// A UCUM unit and its word.
const UNITS: [(&str, &str); 26] = [
    ("d", "days"),
    ("h", "hours"),
    ("min", "minutes"),
    ("s", "seconds"),
    ("ms", "milliseconds"),
    ("us", "microseconds"),
    ("ns", "nanoseconds"),
    ("By", "bytes"),
    ("KiBy", "kibibytes"),
    ("MiBy", "mebibytes"),
    ("GiBy", "gibibytes"),
    ("TiBy", "tibibytes"),
    ("KBy", "kilobytes"),
    ("MBy", "megabytes"),
    ("GBy", "gigabytes"),
    ("TBy", "terabytes"),
    ("m", "meters"),
    ("V", "volts"),
    ("A", "amperes"),
    ("J", "joules"),
    ("W", "watts"),
    ("g", "grams"),
    ("Cel", "celsius"),
    ("Hz", "hertz"),
    ("1", ""),
    ("%", "percent"),
];

/// A UCUM unit behind a slash and its word.
const PER_UNITS: [(&str, &str); 7] =
    [("s", "second"), ("m", "minute"), ("h", "hour"), ("d", "day"), ("w", "week"), ("mo", "month"), ("y", "year")];

/// What of a metric's type has a part in its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Suffix {
    /// `_total`, which encoders add: the name goes without.
    Total,
    /// `_ratio` for the unit `1`.
    Ratio,
    /// None.
    None,
}

/// Name and unit of the family of a metric; `None` where nothing is left of the name, or it is too long.
pub(super) fn family_name(name: &str, unit: &str, suffix: Suffix) -> Option<(String, String)> {
    // What is longer is so after sanitising too, but for characters of four bytes that become one.
    if name.len() > 4 * MAX_FAMILY_NAME_BYTES || unit.len() > 4 * MAX_FAMILY_NAME_BYTES {
        return None;
    }
    let (mut main, mut per) = unit_words(unit);
    let of_unit: Vec<&str> = [main.as_str(), per.as_str()].into_iter().filter(|word| !word.is_empty()).collect();
    let mut family_unit = of_unit.join("_");
    let mut words: Vec<&str> =
        name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
    if words.contains(&main.as_str()) {
        main.clear();
    }
    if words.contains(&per.as_str()) {
        per.clear();
    }
    words.extend([main.as_str(), per.as_str()].into_iter().filter(|word| !word.is_empty()));
    match suffix {
        Suffix::Total => words.retain(|word| *word != "total"),
        Suffix::Ratio if unit == "1" => {
            words.retain(|word| *word != "ratio");
            words.push("ratio");
            "ratio".clone_into(&mut family_unit);
        }
        Suffix::Ratio | Suffix::None => {}
    }
    let mut family = words.join("_");
    if family.starts_with(|first: char| first.is_ascii_digit()) {
        family.insert(0, '_');
    }
    if family_unit.starts_with(|first: char| first.is_ascii_digit()) {
        family_unit.clear();
    }
    (!family.is_empty() && family.len() <= MAX_FAMILY_NAME_BYTES).then_some((family, family_unit))
}

/// The words of what stands before and behind the first slash: `By/s` is `bytes` and `per_second`. What has braces is an
/// annotation and says nothing.
fn unit_words(unit: &str) -> (String, String) {
    let (main, per) = unit.split_once('/').unwrap_or((unit, ""));
    let word = |unit: &str, words: &[(&'static str, &'static str)]| {
        let unit = unit.trim();
        if unit.contains(['{', '}']) {
            return String::new();
        }
        let known = words.iter().find(|(ucum, _)| *ucum == unit);
        sanitized(known.map_or(unit, |(_, word)| word))
    };
    let per = word(per, &PER_UNITS);
    (word(main, &UNITS), if per.is_empty() { per } else { format!("per_{per}") })
}

/// Words of letters and digits with one `_` between them, and none at the ends.
fn sanitized(text: &str) -> String {
    text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect::<Vec<_>>().join("_")
}

/// The label that an attribute becomes: other characters than letters and digits are `_`, once in a run, and a digit does
/// not come first. `le` and `quantile` are Prometheus's own; as `key_le` they say the same. Nothing at all is `_`.
pub(super) fn label_name(key: &str) -> String {
    let mut name = String::new();
    for character in key.chars() {
        if character.is_ascii_alphanumeric() {
            name.push(character);
        } else if !name.ends_with('_') {
            name.push('_');
        }
    }
    match name.as_str() {
        "" => "_".to_owned(),
        "le" | "quantile" => format!("key_{name}"),
        _ if name.starts_with(|first: char| first.is_ascii_digit()) => format!("key_{name}"),
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_collector() {
        let name = |name: &str, unit: &str, suffix| {
            family_name(name, unit, suffix).map(|(family, _)| family).unwrap_or_default()
        };
        for (given, unit, suffix, expected) in [
            ("http.server.request.duration", "s", Suffix::None, "http_server_request_duration_seconds"),
            ("http.server.request.duration", "ms", Suffix::None, "http_server_request_duration_milliseconds"),
            ("system.memory.usage", "By", Suffix::Ratio, "system_memory_usage_bytes"),
            ("cpu.utilization", "1", Suffix::Ratio, "cpu_utilization_ratio"),
            ("cpu.ratio.of.user", "1", Suffix::Ratio, "cpu_of_user_ratio"),
            ("requests", "1", Suffix::Total, "requests"),
            ("requests.total", "{request}", Suffix::Total, "requests"),
            ("total.requests", "", Suffix::Total, "requests"),
            ("queue.size", "{item}", Suffix::None, "queue_size"),
            ("network.io", "By/s", Suffix::Ratio, "network_io_bytes_per_second"),
            ("speed", "m/s", Suffix::Ratio, "speed_meters_per_second"),
            ("calls", "{call}/s", Suffix::Ratio, "calls_per_second"),
            ("calls", "1/min", Suffix::Ratio, "calls_per_min"),
            ("disk.bytes.read", "By", Suffix::Total, "disk_bytes_read"),
            ("a..b--c__d", "", Suffix::None, "a_b_c_d"),
            ("_leading.and.trailing_", "", Suffix::None, "leading_and_trailing"),
            ("2xx.responses", "", Suffix::Total, "_2xx_responses"),
            ("größe", "", Suffix::None, "gr_e"),
            ("rule:like", "", Suffix::None, "rule_like"),
            ("fan", "{revolution}/{blade}", Suffix::None, "fan"),
            ("odd", " s ", Suffix::None, "odd_seconds"),
            ("odd", "kg.m/s2", Suffix::None, "odd_kg_m_per_s2"),
            ("hot", "°C", Suffix::None, "hot_C"),
            ("", "s", Suffix::None, "seconds"),
            ("é", "", Suffix::None, ""),
            ("total", "", Suffix::Total, ""),
        ] {
            assert_eq!(name(given, unit, suffix), expected, "{given} {unit}");
        }
        assert_eq!(name(&"x".repeat(200), "", Suffix::None), "x".repeat(200));
        assert_eq!(name(&"x".repeat(201), "", Suffix::None), "");
        assert_eq!(name(&"x".repeat(195), "s", Suffix::None), "", "with its unit");
    }

    #[test]
    fn units_are_words() {
        let unit =
            |name: &str, unit: &str, suffix| family_name(name, unit, suffix).map(|(_, unit)| unit).unwrap_or_default();
        assert_eq!(unit("x", "By/s", Suffix::None), "bytes_per_second");
        assert_eq!(unit("x", "{item}", Suffix::None), "");
        assert_eq!(unit("x", "1", Suffix::None), "");
        assert_eq!(unit("x", "1", Suffix::Ratio), "ratio");
        assert_eq!(unit("x", "10", Suffix::None), "");
        assert_eq!(unit("x", "furlong", Suffix::None), "furlong");
    }

    #[test]
    fn keys_become_labels() {
        for (key, expected) in [
            ("http.request.method", "http_request_method"),
            ("a..b", "a_b"),
            ("a__b", "a_b"),
            ("__name__", "_name_"),
            (".x", "_x"),
            ("0day", "key_0day"),
            ("é", "_"),
            ("", "_"),
            ("le", "key_le"),
            ("quantile", "key_quantile"),
            ("Le", "Le"),
        ] {
            assert_eq!(label_name(key), expected, "{key}");
            assert!(crate::LabelName::is_valid(expected), "{expected}");
        }
    }
}
