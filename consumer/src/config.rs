//! The Worker's configuration, read once into typed values.
//!
//! A value that does not parse is a [`ConfigProblem`] for the log, and the documented default is in effect: never a
//! panic, never a failed request.

use std::{collections::BTreeMap, fmt, time::Duration};

use tributary_state::{StateKey, sealed::KEY_VARIABLE};

use crate::{
    dimensions::Dimensions,
    limits::{DEFAULT_DIMENSIONS_BUDGET, DEFAULT_PUBLISH_INTERVAL, MAX_SOURCES, MIN_PUBLISH_INTERVAL},
    otlp::config::OtlpConfig,
    scrape::options::{self, Selection},
};

/// KV namespace of the published metrics.
pub const METRICS_KV: &str = "CONFIDENCE_METRICS_KV";
/// KV namespace of the resolver state.
pub const STATE_KV: &str = "CONFIDENCE_STATE_KV";
/// Key of the resolver state in [`STATE_KV`].
pub const STATE_KEY: &str = "resolver_state";
/// Binding of the Durable Object.
pub const LEDGER: &str = "LEDGER";
/// Name of the one Ledger object of an installation without shards.
pub const LEDGER_NAME: &str = "main";
/// Producer binding of the queue of deltas, to which dead letters go back.
pub const DELTAS_QUEUE: &str = "DELTAS";
/// Binding that says which deploy this is.
pub const VERSION_METADATA: &str = "CF_VERSION_METADATA";
/// Producer binding of the dead-letter queue.
pub const DEAD_QUEUE: &str = "DEAD";
/// How the names of dead-letter queues end.
pub const DEAD_QUEUE_SUFFIX: &str = "-dead";
/// Key of the OpenMetrics text in [`METRICS_KV`], as served.
pub const OPENMETRICS_KEY: &str = "openmetrics";
/// Key of the compact state in [`METRICS_KV`], from which every other format is rendered.
pub const SNAPSHOT_KEY: &str = "snapshot";

/// Where flag logs go unless configured otherwise.
pub const DEFAULT_FLAG_LOGS_URL: &str = "https://resolver.confidence.dev/v1/clientFlagLogs:write";
/// Where flag logs go by way of Cloudflare unless configured otherwise.
pub const DEFAULT_INGEST_URL: &str = "https://epx-flags-logs.experimentation-platform.workers.dev/v1/flagLogs:ingest";
/// The `resolver_id` of an installation that sets none.
pub const DEFAULT_RESOLVER_ID: &str = "cf-resolver";

/// True for the name of a dead-letter queue: this Worker consumes both kinds.
pub fn is_dead_letter_queue(name: &str) -> bool {
    name.ends_with(DEAD_QUEUE_SUFFIX)
}

/// A value that must not be seen: neither `Debug` nor `Display` show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes a value that is not empty; an empty secret counts as none.
    pub fn new(value: String) -> Option<Self> {
        if value.is_empty() { None } else { Some(Self(value)) }
    }

    /// The value itself, for the one place that sends or compares it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Where `/metrics` reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricsSource {
    /// The published copy: cheap, global, behind by up to the publish interval and KV's minute.
    Kv,
    /// The Ledger itself: exact and current, one Durable Object request per scrape.
    Ledger,
}

/// The consumer's configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// `CONFIDENCE_CLIENT_SECRET`: authorises deliveries, and scrapes by `ClientSecret`.
    pub client_secret: Option<Secret>,
    /// `METRICS_TOKEN`: authorises scrapes by `Bearer`.
    pub metrics_token: Option<Secret>,
    /// `RESOLVER_ID`: the series that are there from the first scrape on, and the label of this consumer's deliveries.
    pub resolver_id: String,
    /// `PUBLISH_INTERVAL_MS`: time between KV puts while the state changes, at least a second.
    pub publish_interval: Duration,
    /// `METRICS_BUCKETS_PER_DECADE`: density of the published histogram, 1 to 18.
    pub buckets_per_decade: u8,
    /// `METRICS_CREATED`: whether OpenMetrics text says when each series began.
    pub created: bool,
    /// `METRICS_DIMENSIONS`: the dimensions that become labels; none by default.
    pub dimensions: Dimensions,
    /// `METRICS_DIMENSIONS_BUDGET`: sources with the same dimensions, 1 to [`MAX_SOURCES`]; the rest is `other`.
    pub dimensions_budget: usize,
    /// `METRICS_OPENMETRICS`: whether scrapes get OpenMetrics; `None`: as their `Accept` says.
    pub openmetrics: Option<bool>,
    /// `METRICS_NAMES`: the families that scrapes get unless they name others.
    pub selection: Selection,
    /// `METRICS_SOURCE`: `kv` or `ledger`.
    pub metrics_source: MetricsSource,
    /// The standard exporter variables: where metrics are pushed; `None`: nowhere.
    pub otlp: Option<OtlpConfig>,
    /// `CONFIDENCE_CDN_URL`: base of the address from which the resolver state is refreshed.
    pub cdn_url: String,
    /// `CONFIDENCE_RESOLVER_STATE_URL`: the whole address, instead. Like the secret, it opens the state.
    pub state_url: Option<Secret>,
    /// `STATE_ENCRYPTION_KEY`: the key under which the resolver state is encrypted.
    pub state_key: StateEncryption,
    /// `CONFIDENCE_FLAG_LOGS_URL`.
    pub flag_logs_url: String,
    /// `CONFIDENCE_INGEST_URL`.
    pub ingest_url: String,
}

/// Whether the resolver state is encrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StateEncryption {
    /// No key is set: the state is plain.
    Off,
    /// 64 hexadecimal digits.
    Key(StateKey),
    /// Something is set that is no key. Whoever set it wants encryption, so this is not the same as none.
    UnusableKey,
}

impl StateEncryption {
    /// The key, if there is one.
    pub fn key(&self) -> Option<&StateKey> {
        match self {
            Self::Key(key) => Some(key),
            Self::Off | Self::UnusableKey => None,
        }
    }
}

/// A value that did not parse. Holds no value, which might be a secret put under the wrong name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name}: expected {expected}; using {default}")]
pub struct ConfigProblem {
    /// The variable.
    pub name: &'static str,
    /// What it takes.
    pub expected: &'static str,
    /// What is in effect instead.
    pub default: String,
}

/// Variables and secrets by name, as the platform holds them.
pub trait Variables {
    /// The value of one variable or secret, if set.
    fn get(&self, name: &str) -> Option<String>;
}

impl Variables for BTreeMap<&str, &str> {
    fn get(&self, name: &str) -> Option<String> {
        BTreeMap::get(self, name).map(|value| (*value).to_owned())
    }
}

impl Config {
    /// Reads the configuration, and what of it did not parse.
    pub fn read(variables: &impl Variables) -> (Self, Vec<ConfigProblem>) {
        let mut problems = Vec::new();
        let publish_interval = parse(
            variables,
            &mut problems,
            "PUBLISH_INTERVAL_MS",
            "whole milliseconds, at least 1000",
            DEFAULT_PUBLISH_INTERVAL,
            |text| text.parse().ok().map(Duration::from_millis).filter(|interval| *interval >= MIN_PUBLISH_INTERVAL),
        );
        let buckets_per_decade =
            parse(variables, &mut problems, "METRICS_BUCKETS_PER_DECADE", "a number from 1 to 18", 18, |text| {
                options::buckets_per_decade(text)
            });
        let created =
            parse(variables, &mut problems, "METRICS_CREATED", "true or false", false, |text| text.parse().ok());
        let dimensions = parse(
            variables,
            &mut problems,
            "METRICS_DIMENSIONS",
            "a list of colo, sdk, sdk_version, resolver_version, environment",
            Dimensions::default(),
            Dimensions::parse,
        );
        let dimensions_budget = parse(
            variables,
            &mut problems,
            "METRICS_DIMENSIONS_BUDGET",
            "a number from 1 to 80",
            DEFAULT_DIMENSIONS_BUDGET,
            |text| text.parse().ok().filter(|n| (1..=MAX_SOURCES).contains(n)),
        );
        let openmetrics = parse(variables, &mut problems, "METRICS_OPENMETRICS", "true or false", None, |text| {
            text.parse().ok().map(Some)
        });
        let selection = parse(
            variables,
            &mut problems,
            "METRICS_NAMES",
            "at most 100 names of metrics, with commas between them",
            Selection::default(),
            |text| {
                let names = text.split([',', ' ']).map(str::trim).filter(|name| !name.is_empty());
                Selection::new(names).ok()
            },
        );
        let metrics_source =
            parse(variables, &mut problems, "METRICS_SOURCE", "kv or ledger", MetricsSource::Kv, |text| match text {
                "kv" => Some(MetricsSource::Kv),
                "ledger" => Some(MetricsSource::Ledger),
                _ => None,
            });
        let resolver_id =
            parse(variables, &mut problems, "RESOLVER_ID", "1 to 128 bytes", DEFAULT_RESOLVER_ID.to_owned(), |text| {
                (text.len() <= tributary_proto::envelope::MAX_RESOLVER_ID_BYTES).then(|| text.to_owned())
            });
        let otlp = OtlpConfig::read(variables, &mut problems);
        let mut url = |name, default: &str| {
            parse(
                variables,
                &mut problems,
                name,
                "a URL that starts with http:// or https://",
                default.to_owned(),
                |t| (t.starts_with("https://") || t.starts_with("http://")).then(|| t.to_owned()),
            )
        };
        let state_key = match variables.get(KEY_VARIABLE).filter(|text| !text.is_empty()) {
            None => StateEncryption::Off,
            Some(text) => StateKey::parse(text.trim()).map_or(StateEncryption::UnusableKey, StateEncryption::Key),
        };
        let state_url = url("CONFIDENCE_RESOLVER_STATE_URL", "");
        let config = Self {
            cdn_url: url("CONFIDENCE_CDN_URL", tributary_state::address::CDN_URL),
            state_url: Secret::new(state_url),
            state_key,
            flag_logs_url: url("CONFIDENCE_FLAG_LOGS_URL", DEFAULT_FLAG_LOGS_URL),
            ingest_url: url("CONFIDENCE_INGEST_URL", DEFAULT_INGEST_URL),
            client_secret: variables.get("CONFIDENCE_CLIENT_SECRET").and_then(Secret::new),
            metrics_token: variables.get("METRICS_TOKEN").and_then(Secret::new),
            resolver_id,
            publish_interval,
            buckets_per_decade,
            created,
            dimensions,
            dimensions_budget,
            openmetrics,
            selection,
            metrics_source,
            otlp,
        };
        if config.state_key == StateEncryption::UnusableKey {
            let (expected, default) = ("the 64 hexadecimal digits of a key", "the state that is there, unrefreshed");
            problems.push(ConfigProblem { name: KEY_VARIABLE, expected, default: default.to_owned() });
        }
        (config, problems)
    }
}

/// One variable: absent or empty gives the default, a value that does not parse gives it too and is a problem.
fn parse<T: Clone + fmt::Debug>(
    variables: &impl Variables,
    problems: &mut Vec<ConfigProblem>,
    name: &'static str,
    expected: &'static str,
    default: T,
    read: impl Fn(&str) -> Option<T>,
) -> T {
    let Some(text) = variables.get(name).filter(|text| !text.is_empty()) else {
        return default;
    };
    read(text.trim()).unwrap_or_else(|| {
        problems.push(ConfigProblem { name, expected, default: format!("{default:?}") });
        default
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_environment_gives_the_documented_defaults() {
        let (config, problems) = Config::read(&BTreeMap::new());
        assert_eq!(problems, []);
        assert_eq!(config.resolver_id, "cf-resolver");
        assert_eq!(config.publish_interval, Duration::from_secs(10));
        assert_eq!(config.buckets_per_decade, 18);
        assert_eq!(config.metrics_source, MetricsSource::Kv);
        assert_eq!((config.client_secret, config.metrics_token), (None, None));
    }

    #[test]
    fn a_value_that_does_not_parse_is_named_and_the_default_holds() {
        const LONG: &str = "a_name_of_three_hundred_bytes________________________________________________________________\
                            ____________________________________________________________________________________________\
                            ____________________________________________________________________________________________\
                            ____________________________________________________________________________________________";
        for (name, bad) in [
            ("PUBLISH_INTERVAL_MS", "999"),
            ("PUBLISH_INTERVAL_MS", "-1"),
            ("PUBLISH_INTERVAL_MS", "99999999999999999999999"),
            ("METRICS_BUCKETS_PER_DECADE", "0"),
            ("METRICS_BUCKETS_PER_DECADE", "19"),
            ("METRICS_SOURCE", "redis"),
            ("METRICS_CREATED", "maybe"),
            ("METRICS_DIMENSIONS", "colo,country"),
            ("METRICS_DIMENSIONS_BUDGET", "0"),
            ("METRICS_DIMENSIONS_BUDGET", "81"),
            ("METRICS_OPENMETRICS", "sometimes"),
            ("METRICS_NAMES", LONG),
            ("CONFIDENCE_FLAG_LOGS_URL", "ftp://x"),
        ] {
            let (config, problems) = Config::read(&BTreeMap::from([(name, bad)]));
            assert_eq!(problems.len(), 1, "{name}={bad}");
            assert_eq!(problems[0].name, name);
            assert_eq!(config, Config::read(&BTreeMap::new()).0);
        }
    }

    #[test]
    fn a_secret_shows_nowhere_and_an_empty_one_is_none() {
        let variables = BTreeMap::from([("METRICS_TOKEN", "hunter2"), ("CONFIDENCE_CLIENT_SECRET", "")]);
        let (config, _) = Config::read(&variables);
        assert!(!format!("{config:?}").contains("hunter2"));
        assert_eq!(config.client_secret, None);
    }
}
