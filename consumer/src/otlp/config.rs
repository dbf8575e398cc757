//! The OpenTelemetry exporter's variables, by their standard names (opentelemetry.io: Specification, OTLP exporter
//! configuration, and Environment variables). What is set for metrics alone wins over what is set for all signals; an
//! empty value is as good as none.

use std::{collections::BTreeMap, time::Duration};

use tributary_telemetry::otlp::HistogramEncoding;

use crate::config::{ConfigProblem, Secret, Variables};

/// Where metrics go when `OTEL_EXPORTER_OTLP_ENDPOINT` names a base.
const METRICS_PATH: &str = "v1/metrics";
/// `service.name` where nothing says another.
pub const DEFAULT_SERVICE_NAME: &str = "tributary";
/// The specification's default of `OTEL_METRIC_EXPORT_INTERVAL`.
const DEFAULT_INTERVAL: Duration = Duration::from_secs(60);
/// A shorter interval than the Ledger's own alarms makes no sense.
const MIN_INTERVAL: Duration = Duration::from_secs(1);
/// Rarer than once a day is as good as never.
const MAX_INTERVAL: Duration = Duration::from_secs(86_400);
/// The specification's default of `OTEL_EXPORTER_OTLP_TIMEOUT`.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);
/// An alarm may run for 15 minutes; nothing waits a minute for a collector.
const MAX_TIMEOUT: Duration = Duration::from_secs(60);
/// The most entries of a list of headers or attributes.
const MAX_ENTRIES: usize = 64;

/// How points are encoded on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// `http/protobuf`.
    Protobuf,
    /// `http/json`.
    Json,
}

impl Protocol {
    /// The value of `Content-Type`.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Protobuf => "application/x-protobuf",
            Self::Json => "application/json",
        }
    }
}

/// What the points of counters and histograms cover.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Temporality {
    /// Everything since the series began.
    Cumulative,
    /// The time since the export before. `lowmemory` is the same here: it asks for delta wherever the instrument is
    /// synchronous, and all of our counters and histograms are.
    Delta,
}

/// Where and how metrics are pushed.
#[derive(Clone, Debug, PartialEq)]
pub struct OtlpConfig {
    /// Full URL.
    pub url: String,
    /// Headers to send; the values are secrets.
    pub headers: Vec<(String, Secret)>,
    /// Encoding.
    pub protocol: Protocol,
    /// Whether bodies are gzipped.
    pub gzip: bool,
    /// How long one request may take.
    pub timeout: Duration,
    /// Time between exports.
    pub interval: Duration,
    /// Temporality of counters and histograms.
    pub temporality: Temporality,
    /// How histograms are written.
    pub histograms: HistogramEncoding,
    /// Attributes of all resources, `service.name` among them.
    pub resource: BTreeMap<String, String>,
}

impl OtlpConfig {
    /// Reads the variables; `None` where no endpoint is set, or `OTEL_METRICS_EXPORTER` is `none`. An endpoint that is
    /// no URL is a problem and means none: metrics must not go where nobody meant them to go.
    pub fn read(variables: &impl Variables, problems: &mut Vec<ConfigProblem>) -> Option<Self> {
        let mut read = Reader { variables, problems };
        let is_on = read.value("OTEL_METRICS_EXPORTER", "otlp or none", "otlp", |text| match text {
            "otlp" => Some(true),
            "none" => Some(false),
            _ => None,
        });
        let url = read.url()?;
        if is_on == Some(false) {
            return None;
        }
        let headers = read.headers();
        let protocol = read
            .either("PROTOCOL", "http/protobuf or http/json", "http/protobuf", |text| match text {
                "http/protobuf" => Some(Protocol::Protobuf),
                "http/json" => Some(Protocol::Json),
                _ => None,
            })
            .unwrap_or(Protocol::Protobuf);
        let gzip = read
            .either("COMPRESSION", "gzip or none", "none", |text| match text {
                "gzip" => Some(true),
                "none" => Some(false),
                _ => None,
            })
            .unwrap_or(false);
        let timeout = read
            .either("TIMEOUT", "milliseconds from 1 to 60000", "10000", |text| {
                millis(text, Duration::from_millis(1), MAX_TIMEOUT)
            })
            .unwrap_or(DEFAULT_TIMEOUT);
        let interval = read
            .value("OTEL_METRIC_EXPORT_INTERVAL", "milliseconds from 1000 to 86400000", "60000", |text| {
                millis(text, MIN_INTERVAL, MAX_INTERVAL)
            })
            .unwrap_or(DEFAULT_INTERVAL);
        let temporality = read
            .value(
                "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE",
                "cumulative, delta or lowmemory",
                "cumulative",
                |text| match text.to_ascii_lowercase().as_str() {
                    "cumulative" => Some(Temporality::Cumulative),
                    "delta" | "lowmemory" => Some(Temporality::Delta),
                    _ => None,
                },
            )
            .unwrap_or(Temporality::Cumulative);
        let histograms = read
            .value(
                "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION",
                "explicit_bucket_histogram or base2_exponential_bucket_histogram",
                "explicit_bucket_histogram",
                |text| match text.to_ascii_lowercase().as_str() {
                    "explicit_bucket_histogram" => Some(HistogramEncoding::Explicit),
                    "base2_exponential_bucket_histogram" => Some(HistogramEncoding::Exponential),
                    _ => None,
                },
            )
            .unwrap_or_default();
        let resource = read.resource();
        Some(Self { url, headers, protocol, gzip, timeout, interval, temporality, histograms, resource })
    }
}

fn millis(text: &str, least: Duration, most: Duration) -> Option<Duration> {
    text.parse().ok().map(Duration::from_millis).filter(|duration| (least..=most).contains(duration))
}

struct Reader<'a, V> {
    variables: &'a V,
    problems: &'a mut Vec<ConfigProblem>,
}

impl<V: Variables> Reader<'_, V> {
    fn text(&self, name: &str) -> Option<String> {
        self.variables.get(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
    }

    fn problem(&mut self, name: &'static str, expected: &'static str, default: &str) {
        self.problems.push(ConfigProblem { name, expected, default: default.to_owned() });
    }

    fn value<T>(
        &mut self,
        name: &'static str,
        expected: &'static str,
        default: &str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        let value = read(&self.text(name)?);
        if value.is_none() {
            self.problem(name, expected, default);
        }
        value
    }

    /// The variable for metrics, or else the one for all signals.
    fn either<T>(
        &mut self,
        setting: &str,
        expected: &'static str,
        default: &str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        let (own, general) = names(setting);
        let name = if self.text(own).is_some() { own } else { general };
        self.value(name, expected, default, read)
    }

    /// The URL for metrics as it is, or the base for all signals with the path of metrics.
    fn url(&mut self) -> Option<String> {
        let (own, general) = names("ENDPOINT");
        let (name, url) = match self.text(own) {
            Some(url) => (own, url),
            None => (general, format!("{}/{METRICS_PATH}", self.text(general)?.trim_end_matches('/'))),
        };
        let is_url = ["https://", "http://"]
            .iter()
            .any(|scheme| url.strip_prefix(scheme).is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/')))
            && url.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_url {
            self.problem(name, "a URL that starts with http:// or https://", "no push");
            return None;
        }
        Some(url)
    }

    /// The headers for metrics, or else those of all signals; a name that comes again has its last value.
    fn headers(&mut self) -> Vec<(String, Secret)> {
        const EXPECTED: &str = "a list of name=value with commas, names and values as HTTP has them";
        let (own, general) = names("HEADERS");
        let name = if self.text(own).is_some() { own } else { general };
        let mut headers: BTreeMap<String, Secret> = BTreeMap::new();
        for (key, value) in self.pairs(name, EXPECTED) {
            let key = key.to_ascii_lowercase();
            let is_token = key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte));
            let is_value = value.bytes().all(|byte| matches!(byte, b'\t' | b' '..=b'~'));
            match Secret::new(value).filter(|_| is_token && is_value) {
                Some(value) => drop(headers.insert(key, value)),
                None => self.problem(name, EXPECTED, "the rest"),
            }
        }
        headers.into_iter().collect()
    }

    /// `OTEL_RESOURCE_ATTRIBUTES`, over which `OTEL_SERVICE_NAME` wins.
    fn resource(&mut self) -> BTreeMap<String, String> {
        let mut resource: BTreeMap<String, String> =
            self.pairs("OTEL_RESOURCE_ATTRIBUTES", "a list of key=value with commas").into_iter().collect();
        if let Some(name) = self.text("OTEL_SERVICE_NAME") {
            resource.insert("service.name".to_owned(), name);
        }
        resource.entry("service.name".to_owned()).or_insert_with(|| DEFAULT_SERVICE_NAME.to_owned());
        resource.entry("service.version".to_owned()).or_insert_with(|| env!("CARGO_PKG_VERSION").to_owned());
        resource
    }

    /// `key=value,key=value`, values percent-decoded. What is no pair is left out, and a problem.
    fn pairs(&mut self, name: &'static str, expected: &'static str) -> Vec<(String, String)> {
        let Some(text) = self.text(name) else { return Vec::new() };
        let mut pairs = Vec::new();
        let mut is_whole = true;
        for entry in text.split(',').map(str::trim).filter(|entry| !entry.is_empty()).take(MAX_ENTRIES) {
            let pair = entry.split_once('=').and_then(|(key, value)| {
                let key = key.trim();
                Some((key.to_owned(), percent_decoded(value.trim())?)).filter(|_| !key.is_empty())
            });
            match pair {
                Some(pair) => pairs.push(pair),
                None => is_whole = false,
            }
        }
        if !is_whole {
            self.problem(name, expected, "the rest");
        }
        pairs
    }
}

/// Names of the variable for metrics and of the one for all signals.
fn names(setting: &str) -> (&'static str, &'static str) {
    match setting {
        "ENDPOINT" => ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"),
        "HEADERS" => ("OTEL_EXPORTER_OTLP_METRICS_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS"),
        "PROTOCOL" => ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"),
        "COMPRESSION" => ("OTEL_EXPORTER_OTLP_METRICS_COMPRESSION", "OTEL_EXPORTER_OTLP_COMPRESSION"),
        _ => ("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT"),
    }
}

/// `None` where a percent sign is not followed by two hexadecimal digits, or the result is not UTF-8.
fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || char::from(rest.next()?).to_digit(16);
        let value = digit()? * 16 + digit()?;
        bytes.push(u8::try_from(value).ok()?);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&'static str, &'static str)]) -> (Option<OtlpConfig>, Vec<&'static str>) {
        let mut problems = Vec::new();
        let config = OtlpConfig::read(&variables.iter().copied().collect::<BTreeMap<_, _>>(), &mut problems);
        (config, problems.into_iter().map(|problem| problem.name).collect())
    }

    const BASE: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://otel.example/otlp/");

    #[test]
    fn without_an_endpoint_nothing_is_pushed() {
        assert_eq!(read(&[]), (None, vec![]));
        assert_eq!(read(&[("OTEL_EXPORTER_OTLP_ENDPOINT", " ")]), (None, vec![]));
        assert_eq!(read(&[BASE, ("OTEL_METRICS_EXPORTER", "none")]), (None, vec![]));
        for bad in ["localhost:4318", "ftp://x", "https://", "https:///v1", "https://a b", "https://ä"] {
            let (config, problems) = read(&[("OTEL_EXPORTER_OTLP_ENDPOINT", bad)]);
            assert_eq!((config, problems), (None, vec!["OTEL_EXPORTER_OTLP_ENDPOINT"]), "{bad}");
        }
    }

    #[test]
    fn the_defaults_are_those_of_the_specification() {
        let (config, problems) = read(&[BASE]);
        let config = config.unwrap();
        assert_eq!(problems, Vec::<&str>::new());
        assert_eq!(config.url, "https://otel.example/otlp/v1/metrics", "one slash");
        assert_eq!((config.protocol, config.gzip, config.headers), (Protocol::Protobuf, false, vec![]));
        assert_eq!((config.timeout, config.interval), (Duration::from_secs(10), Duration::from_secs(60)));
        assert_eq!((config.temporality, config.histograms), (Temporality::Cumulative, HistogramEncoding::Explicit));
        assert_eq!(config.resource["service.name"], "tributary");
    }

    #[test]
    fn what_is_set_for_metrics_wins() {
        let (config, problems) = read(&[
            BASE,
            ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://127.0.0.1:4318/push"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
            ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "http/json"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "2000"),
            ("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "3000"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "Authorization=Basic%20abc%3D,x-general=1"),
            ("OTEL_EXPORTER_OTLP_METRICS_HEADERS", "authorization=Bearer%20x, X-Scope = a=b ,"),
            ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "LowMemory"),
            ("OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION", "base2_exponential_bucket_histogram"),
            ("OTEL_METRIC_EXPORT_INTERVAL", "1000"),
            ("OTEL_RESOURCE_ATTRIBUTES", "service.name=a,deployment.environment.name=pr%C3%B6d"),
            ("OTEL_SERVICE_NAME", "flags"),
        ]);
        let config = config.unwrap();
        assert_eq!(problems, Vec::<&str>::new());
        assert_eq!(config.url, "http://127.0.0.1:4318/push", "as it is");
        assert_eq!((config.protocol, config.gzip), (Protocol::Json, true));
        assert_eq!((config.timeout, config.interval), (Duration::from_secs(3), Duration::from_secs(1)));
        assert_eq!((config.temporality, config.histograms), (Temporality::Delta, HistogramEncoding::Exponential));
        let headers: Vec<_> = config.headers.iter().map(|(name, value)| (name.as_str(), value.expose())).collect();
        assert_eq!(headers, [("authorization", "Bearer x"), ("x-scope", "a=b")]);
        assert_eq!(
            (&*config.resource["service.name"], &*config.resource["deployment.environment.name"]),
            ("flags", "pröd")
        );
    }

    #[test]
    fn a_value_that_does_not_parse_is_named_and_never_shown() {
        for (name, bad) in [
            ("OTEL_METRICS_EXPORTER", "hunter2"),
            ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "0"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "60001"),
            ("OTEL_EXPORTER_OTLP_METRICS_HEADERS", "hunter2"),
            ("OTEL_EXPORTER_OTLP_METRICS_HEADERS", "a=%zz"),
            ("OTEL_EXPORTER_OTLP_METRICS_HEADERS", "a=%"),
            ("OTEL_EXPORTER_OTLP_METRICS_HEADERS", "a=x%0d%0ab: y"),
            ("OTEL_EXPORTER_OTLP_METRICS_HEADERS", "a b=c"),
            ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "both"),
            ("OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION", "linear"),
            ("OTEL_METRIC_EXPORT_INTERVAL", "999"),
            ("OTEL_RESOURCE_ATTRIBUTES", "=x"),
            ("OTEL_RESOURCE_ATTRIBUTES", "a=%ff"),
        ] {
            let (config, problems) = read(&[BASE, (name, bad)]);
            assert_eq!(problems, [name], "{bad}");
            assert_eq!(config, read(&[BASE]).0, "{name}={bad}");
        }
        let (config, _) = read(&[BASE, ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=hunter2")]);
        assert!(!format!("{config:?}").contains("hunter2"));
    }
}
