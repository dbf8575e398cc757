//! What was asked for: format by `Accept`, options by the query.

use tributary_telemetry::TextFormat;

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The text format.
    pub format: TextFormat,
    /// Density of the histogram, 1 to 18 bounds a decade.
    pub buckets_per_decade: u8,
}

/// An option that does not parse: a 400 that names it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{option}: expected {expected}")]
pub struct BadOption {
    /// The option.
    pub option: &'static str,
    /// What it takes.
    pub expected: &'static str,
}

/// Reads `Accept` and the query. `openmetrics=true|false` overrules the header; `buckets_per_decade=1…18` the
/// configured default. Other query parameters are ignored, as scrapers add their own.
///
/// # Errors
/// [`BadOption`]; a header is never an error, whatever it holds.
pub fn negotiate<'a>(
    accept: Option<&str>,
    query: impl IntoIterator<Item = (&'a str, &'a str)>,
    default_buckets_per_decade: u8,
) -> Result<Wanted, BadOption> {
    let mut wanted = Wanted { format: accepted(accept), buckets_per_decade: default_buckets_per_decade };
    for (name, value) in query {
        match name {
            "buckets_per_decade" => {
                wanted.buckets_per_decade = value
                    .parse()
                    .ok()
                    .filter(|n| (1..=18).contains(n))
                    .ok_or(BadOption { option: "buckets_per_decade", expected: "a number from 1 to 18" })?;
            }
            "openmetrics" => {
                wanted.format = match value {
                    "true" | "1" | "" => TextFormat::OpenMetrics,
                    "false" | "0" => TextFormat::Prometheus,
                    _ => return Err(BadOption { option: "openmetrics", expected: "true or false" }),
                };
            }
            _ => {}
        }
    }
    Ok(wanted)
}

/// The format that `Accept` prefers (RFC 9110 section 12.5.1): the one with the higher quality, at equal quality
/// OpenMetrics where it is named, and text 0.0.4 where nothing that we have is named: every scraper reads that.
fn accepted(accept: Option<&str>) -> TextFormat {
    let mut openmetrics = 0;
    let mut text = 0;
    for range in accept.unwrap_or_default().split(',') {
        let mut parts = range.split(';').map(str::trim);
        let media_type = parts.next().unwrap_or_default();
        let mut quality = 1000;
        let mut version = None;
        for part in parts {
            match part.split_once('=') {
                Some((name, value)) if name.trim().eq_ignore_ascii_case("q") => quality = permille(value.trim()),
                Some((name, value)) if name.trim().eq_ignore_ascii_case("version") => {
                    version = Some(value.trim().trim_matches('"'));
                }
                _ => {}
            }
        }
        if media_type.eq_ignore_ascii_case("application/openmetrics-text") {
            if matches!(version, None | Some("1.0.0" | "0.0.1")) {
                openmetrics = openmetrics.max(quality);
            }
        } else if media_type.eq_ignore_ascii_case("text/plain") && matches!(version, None | Some("0.0.4")) {
            text = text.max(quality);
        }
    }
    if openmetrics > 0 && openmetrics >= text { TextFormat::OpenMetrics } else { TextFormat::Prometheus }
}

/// A quality in thousandths; 0, "not acceptable", where it is none.
fn permille(text: &str) -> u32 {
    let Some((whole, fraction)) = text.split_once('.').or(Some((text, ""))) else { return 0 };
    if fraction.len() > 3 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return 0;
    }
    let thousandths = format!("{fraction:0<3}").parse().unwrap_or(0);
    match (whole, thousandths) {
        ("0", thousandths) => thousandths,
        ("1", 0) => 1000,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use TextFormat::{OpenMetrics, Prometheus};

    #[test]
    fn real_headers_of_scrapers_get_what_they_prefer() {
        for (accept, expected) in [
            // Prometheus 2.42 and 3.x with their defaults; a browser; curl; nothing.
            (
                "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                OpenMetrics,
            ),
            (
                "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
                OpenMetrics,
            ),
            ("text/html,application/xhtml+xml,*/*;q=0.8", Prometheus),
            ("*/*", Prometheus),
            ("text/plain;version=0.0.4", Prometheus),
            ("text/plain;q=0.9, application/openmetrics-text;q=0.5", Prometheus),
            ("application/openmetrics-text;q=0", Prometheus),
            ("application/openmetrics-text;version=2.0.0", Prometheus),
        ] {
            assert_eq!(accepted(Some(accept)), expected, "{accept}");
        }
        assert_eq!(accepted(None), Prometheus);
    }

    #[test]
    fn junk_is_never_an_error() {
        for accept in
            ["", ",", ";;;", "application/openmetrics-text;q=NaN", "application/openmetrics-text;q=2", "\u{1}"]
        {
            assert_eq!(accepted(Some(accept)), Prometheus, "{accept:?}");
        }
        assert_eq!(accepted(Some(&"a,".repeat(100_000))), Prometheus);
    }

    #[test]
    fn options_overrule_and_a_bad_one_is_named() {
        let wanted = negotiate(None, [("openmetrics", "true"), ("buckets_per_decade", "3"), ("x", "y")], 18).unwrap();
        assert_eq!(wanted, Wanted { format: OpenMetrics, buckets_per_decade: 3 });
        let wanted = negotiate(Some("application/openmetrics-text"), [("openmetrics", "false")], 6).unwrap();
        assert_eq!(wanted, Wanted { format: Prometheus, buckets_per_decade: 6 });
        for (name, value) in [("buckets_per_decade", "0"), ("buckets_per_decade", "19"), ("openmetrics", "maybe")] {
            assert_eq!(negotiate(None, [(name, value)], 18).unwrap_err().option, name);
        }
    }
}
