//! A scrape request: `Accept`, the query, `Authorization`, and the configuration behind it.
//!
//! Input: lines. The first is `Accept`, the second the query, the third `Authorization`, the rest variables as
//! `NAME=value`. Besides, the bytes as a whole make an `Accept` of which the right answer is known (see `Range`).

use std::collections::BTreeMap;

use arbitrary::{Arbitrary, Unstructured};
use tributary_consumer::{
    config::Config,
    scrape::{
        access::{Access, access},
        negotiate::negotiate,
        respond::{copy_for, refuse},
    },
};
use tributary_telemetry::TextFormat;

/// No header and no variable is an error; an option is either right or named; the answer does not depend on case, on
/// spaces or on what else is listed; nobody reads without the token.
///
/// # Panics
/// Where a property does not hold.
pub fn run(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        check_lines(text);
    }
    check_ranges(data);
}

fn check_lines(text: &str) {
    let mut lines = text.split('\n');
    let mut next = || lines.next().unwrap_or_default();
    let (accept, query, authorization) = (next(), next(), next());
    let variables: BTreeMap<&str, &str> = lines.filter_map(|line| line.split_once('=')).collect();

    let (config, problems) = Config::read(&variables);
    assert!((1..=18).contains(&config.buckets_per_decade));
    for problem in problems {
        assert!(variables.contains_key(problem.name), "a problem with what is not set: {problem}");
    }
    check_access(&config, authorization);

    let pairs: Vec<(&str, &str)> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .collect();
    let negotiated = negotiate(Some(accept), pairs.iter().copied(), config.buckets_per_decade);
    let shouted = accept.to_ascii_uppercase();
    assert_eq!(negotiate(Some(&shouted), pairs.iter().copied(), config.buckets_per_decade), negotiated);
    let spaced = format!(" {accept} , application/json ; q=1 ");
    assert_eq!(negotiate(Some(&spaced), pairs.iter().copied(), config.buckets_per_decade), negotiated);
    match negotiated {
        Ok(wanted) => {
            assert!((1..=18).contains(&wanted.buckets_per_decade));
            let named = pairs.iter().any(|(name, _)| *name == "openmetrics");
            if wanted.format == TextFormat::OpenMetrics && !named {
                assert!(accept.to_ascii_lowercase().contains("application/openmetrics-text"), "{accept}");
            }
            copy_for(&config, wanted);
        }
        Err(bad) => {
            assert!(pairs.iter().any(|(name, _)| *name == bad.option), "{bad}");
            let without = negotiate(Some(accept), [], config.buckets_per_decade);
            assert!(without.is_ok(), "a header is never an error");
        }
    }
}

fn check_access(config: &Config, authorization: &str) {
    let given = access(config, Some(authorization));
    let is_token = |scheme: &str, secret: &Option<tributary_consumer::config::Secret>| {
        let Some((name, credentials)) = authorization.trim().split_once(' ') else { return false };
        secret.as_ref().is_some_and(|secret| name.eq_ignore_ascii_case(scheme) && credentials.trim() == secret.expose())
    };
    let expected = if config.metrics_token.is_none() && config.client_secret.is_none() {
        Access::Unconfigured
    } else if is_token("Bearer", &config.metrics_token) || is_token("ClientSecret", &config.client_secret) {
        Access::Granted
    } else {
        Access::Denied
    };
    assert_eq!(given, expected);
    assert_ne!(access(config, None), Access::Granted);
    assert_eq!(refuse("GET", "/metrics", given).is_none(), given == Access::Granted);
    assert!(refuse("POST", "/metrics", given).is_some() && refuse("GET", authorization, given).is_some());
}

/// One media range whose meaning is known before it is written.
#[derive(Arbitrary, Clone, Copy, Debug)]
struct Range {
    media_type: u8,
    version: u8,
    /// In thousandths, taken modulo 1001; `None`: not written.
    quality: Option<u16>,
    /// How it is written: spaces, case, digits, order, further parameters.
    style: u8,
}

const OPEN_METRICS: &str = "application/openmetrics-text";
const PLAIN: &str = "text/plain";

impl Range {
    fn media_type(self) -> &'static str {
        [OPEN_METRICS, PLAIN, "*/*", "application/json", "text/*"][usize::from(self.media_type) % 5]
    }

    fn version(self) -> Option<&'static str> {
        [None, Some("1.0.0"), Some("0.0.1"), Some("0.0.4"), Some("2.0.0"), Some("")][usize::from(self.version) % 6]
    }

    fn permille(self) -> u32 {
        self.quality.map_or(1000, |quality| u32::from(quality) % 1001)
    }

    fn write(self) -> String {
        let has = |bit: u8| self.style & (1 << bit) != 0;
        let space = if has(0) { " \t" } else { "" };
        let mut parameters = Vec::new();
        if let Some(version) = self.version() {
            let quote = if has(1) { "\"" } else { "" };
            parameters.push(format!("version={quote}{version}{quote}"));
        }
        if self.quality.is_some() {
            let (whole, rest) = (self.permille() / 1000, self.permille() % 1000);
            let digits = format!("{rest:03}");
            let digits = if has(2) { digits.as_str() } else { digits.trim_end_matches('0') };
            parameters.push(if digits.is_empty() { format!("q={whole}") } else { format!("Q={whole}.{digits}") });
        }
        if has(3) {
            parameters.push("escaping=allow-utf-8".to_owned());
        }
        if has(4) {
            parameters.reverse();
        }
        let name = if has(5) { self.media_type().to_ascii_uppercase() } else { self.media_type().to_owned() };
        let mut text = format!("{space}{name}");
        for parameter in parameters {
            text.push_str(&format!("{space};{space}{parameter}{space}"));
        }
        text
    }
}

/// What RFC 9110 and our preference make of ranges: OpenMetrics where its best version that we have is wanted at least
/// as much as text 0.0.4 is.
fn expected(ranges: &[Range]) -> TextFormat {
    let best = |media_type: &str, versions: &[Option<&str>]| {
        let ours =
            ranges.iter().filter(|range| range.media_type() == media_type && versions.contains(&range.version()));
        ours.map(|range| range.permille()).max().unwrap_or(0)
    };
    let open_metrics = best(OPEN_METRICS, &[None, Some("1.0.0"), Some("0.0.1")]);
    let text = best(PLAIN, &[None, Some("0.0.4")]);
    if open_metrics > 0 && open_metrics >= text { TextFormat::OpenMetrics } else { TextFormat::Prometheus }
}

fn check_ranges(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let mut ranges = Vec::new();
    while !input.is_empty() && ranges.len() < 16 {
        let Ok(range) = Range::arbitrary(&mut input) else { break };
        ranges.push(range);
    }
    let written: Vec<String> = ranges.iter().map(|range| range.write()).collect();
    let accept = written.join(",");
    let wanted = negotiate(Some(&accept), [], 18).expect("a header is never an error");
    assert_eq!(wanted.format, expected(&ranges), "{accept}");
}
