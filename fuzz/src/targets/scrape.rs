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
        header::MAX_HEADER_BYTES,
        negotiate::{Format, coding, media_type},
        options::Options,
        respond::{Ask, Wanted, refuse},
        validator::is_not_modified,
    },
};

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
    let format = media_type(Some(accept), None).format;
    assert_eq!(media_type(Some(&accept.to_ascii_uppercase()), None).format, format);
    // A quote that does not end would take what is added into itself; what is too long is not read.
    if !accept.contains('"') && accept.len() < MAX_HEADER_BYTES - 64 {
        assert_eq!(media_type(Some(&format!(" {accept} , application/json ; q=1 ")), None).format, format);
    }
    if format == Format::Protobuf {
        let lower = accept.to_ascii_lowercase();
        assert!(lower.contains("application/vnd.google.protobuf") && lower.contains("delimited"), "{accept}");
    }
    if format == Format::OpenMetrics {
        let lower = accept.to_ascii_lowercase();
        assert!(lower.contains("application/openmetrics-text") || lower.contains("application/*"), "{accept}");
    }
    // Neither of these is an error, whatever it holds.
    coding(Some(accept));
    is_not_modified(Some(accept), Some("W/\"x\""));
    match Options::read(&config, pairs.iter().copied()) {
        Ok(options) => {
            assert!((1..=18).contains(&options.view.buckets_per_decade));
            assert!(options.view.tag().bytes().all(|byte| byte.is_ascii_graphic()));
        }
        Err(bad) => assert!(pairs.iter().any(|(name, _)| *name == bad.option), "{bad}"),
    }
    let owned: Vec<(String, String)> =
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let ask = Ask { accept: Some(accept), query: &owned, query_bytes: query.len(), ..Ask::default() };
    match Wanted::read(ask, &config) {
        Ok(wanted) => {
            wanted.source(&config);
        }
        Err(refusal) => assert!(matches!(refusal.status, 400 | 414)),
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
const PROTOBUF: &str = "application/vnd.google.protobuf";

impl Range {
    fn media_type(self) -> &'static str {
        let types = [OPEN_METRICS, PLAIN, "*/*", "application/*", "text/*", "application/json", PROTOBUF];
        types[usize::from(self.media_type) % types.len()]
    }

    fn version(self) -> Option<&'static str> {
        [None, Some("1.0.0"), Some("0.0.1"), Some("0.0.4"), Some("2.0.0"), Some("")][usize::from(self.version) % 6]
    }

    /// What names the protobuf format, or does not quite.
    fn message(self) -> &'static [&'static str] {
        match self.version / 6 % 4 {
            0 => &[],
            1 => &["proto=io.prometheus.client.MetricFamily", "encoding=\"delimited\""],
            2 => &["proto=x", "encoding=delimited"],
            _ => &["proto=io.prometheus.client.MetricFamily", "encoding=text"],
        }
    }

    fn permille(self) -> u32 {
        self.quality.map_or(1000, |quality| u32::from(quality) % 1001)
    }

    fn write(self) -> String {
        let has = |bit: u8| self.style & (1 << bit) != 0;
        let space = if has(0) { " \t" } else { "" };
        let mut parameters: Vec<String> = self.message().iter().map(|parameter| (*parameter).to_owned()).collect();
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

/// What RFC 9110 and our preference make of ranges: of each format the most exact range counts, of equally exact ones
/// the best; then quality decides, then whether the format is named, then which stands first.
fn expected(ranges: &[Range]) -> Format {
    let best = |named: &str, kind: &str, version: &str| {
        let exactness = |range: &Range| match range.media_type() {
            _ if range.version().is_some_and(|asked| asked != version) => None,
            "*/*" => Some(0),
            other if other == kind => Some(1),
            other if other == named => Some(if range.version().is_some() { 3 } else { 2 }),
            _ => None,
        };
        let places = ranges.iter().zip((0..ranges.len()).rev());
        let ours = places.filter_map(|(range, place)| Some((exactness(range)?, range.permille(), place)));
        ours.max().map(|(exactness, quality, place)| (quality, exactness.min(2), place))
    };
    let open_metrics =
        best(OPEN_METRICS, "application/*", "1.0.0").filter(|(quality, exactness, _)| *quality > 0 && *exactness > 0);
    let text = best(PLAIN, "text/*", "0.0.4");
    // Only a range that names it whole means protobuf, whatever version it says beside.
    let places = ranges.iter().zip((0..ranges.len()).rev());
    let whole = places.filter(|(range, _)| range.media_type() == PROTOBUF && range.version / 6 % 4 == 1);
    let protobuf = whole.map(|(range, place)| (range.permille(), 2, place)).max();
    if protobuf.is_some_and(|(quality, ..)| quality > 0) && protobuf > text && protobuf > open_metrics {
        Format::Protobuf
    } else if open_metrics.is_some() && open_metrics > text {
        Format::OpenMetrics
    } else {
        Format::Prometheus
    }
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
    assert_eq!(media_type(Some(&accept), None).format, expected(&ranges), "{accept}");
}
