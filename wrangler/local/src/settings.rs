//! What `make run` is told: environment variables, read into options.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use tributary_proto::envelope::MAX_LEDGERS;

use crate::cdn;
use crate::demo_state;
use crate::options::{Options, StateSource};
use crate::queues;
use crate::secrets::Secret;

const DEFAULT_PORT: u16 = 8787;
const DEFAULT_TRAFFIC: u64 = 20;
/// More than a local installation can answer; a typing error, most likely.
const MAX_TRAFFIC: u64 = 10_000;

/// Vars of DESIGN section 3 that are handed on to the producer, if set.
const PRODUCER_VARS: [&str; 6] =
    ["ALLOWED_ORIGIN", "FLUSH_INTERVAL_MS", "FORCE_APPLY", "QUEUE_SHARDS", "RESOLVER_ID", "STATE_REFRESH_MS"];
/// And to the consumer, besides all that begin with `OTEL_`.
const CONSUMER_VARS: [&str; 7] = [
    "CONFIDENCE_FLAG_LOGS_URL",
    "CONFIDENCE_INGEST_URL",
    "METRICS_BUCKETS_PER_DECADE",
    "METRICS_CREATED",
    "METRICS_SOURCE",
    "PUBLISH_INTERVAL_MS",
    "RESOLVER_ID",
];

/// Those of them whose values are secrets: they often hold an API key.
pub(crate) const CONSUMER_SECRETS: [&str; 2] = ["OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_METRICS_HEADERS"];

/// Everything that `make run` can be told.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `PORT`, 8787 by default.
    pub port: u16,
    /// `BACKEND_PORT`, any free one by default.
    pub backend_port: u16,
    /// `TRAFFIC`: resolves per second, 20 by default, 0 for none.
    pub resolves_per_second: u64,
    /// `CONFIDENCE_CLIENT_SECRET`, else `STATE`, else the demo.
    pub state: StateSource,
    /// `RUN_FOLDER`, `.run` by default.
    pub run_folder: PathBuf,
    /// Vars for the producer.
    pub producer_vars: BTreeMap<String, String>,
    /// Vars for the consumer.
    pub consumer_vars: BTreeMap<String, String>,
    /// Secrets for the consumer.
    pub consumer_secrets: BTreeMap<String, Secret>,
}

/// What is wrong with a setting.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// No such number.
    #[error("{name}={value:?} is not a number from {min} to {max}")]
    Number {
        /// The variable.
        name: &'static str,
        /// What it holds.
        value: String,
        /// The least.
        min: u64,
        /// The most.
        max: u64,
    },
    /// Two states.
    #[error("CONFIDENCE_CLIENT_SECRET and STATE are both set: the state comes from the CDN or from a file, not both")]
    TwoStates,
}

impl Settings {
    /// Reads `environment`; an empty value counts as unset.
    ///
    /// # Errors
    /// [`SettingsError`].
    pub fn read(environment: &BTreeMap<String, String>) -> Result<Self, SettingsError> {
        let get = |name: &str| environment.get(name).filter(|value| !value.is_empty());
        let number = |name: &'static str, default: u64, min: u64, max: u64| match get(name) {
            None => Ok(default),
            Some(value) => match value.trim().parse() {
                Ok(number) if (min..=max).contains(&number) => Ok(number),
                _ => Err(SettingsError::Number { name, value: value.clone(), min, max }),
            },
        };
        let port = |name, default: u16, min| {
            // In range, so nothing is lost.
            number(name, default.into(), min, u16::MAX.into()).map(|port| u16::try_from(port).unwrap_or(default))
        };
        let state = match (get("CONFIDENCE_CLIENT_SECRET"), get("STATE")) {
            (Some(_), Some(_)) => return Err(SettingsError::TwoStates),
            (Some(secret), None) => StateSource::Cdn {
                client_secret: Secret::new(secret),
                base_url: get("CONFIDENCE_CDN_URL").cloned().unwrap_or_else(|| cdn::BASE_URL.to_owned()),
            },
            (None, Some(path)) => StateSource::File {
                path: path.into(),
                account_id: get("ACCOUNT_ID").cloned().unwrap_or_else(|| demo_state::ACCOUNT_ID.to_owned()),
            },
            (None, None) => StateSource::Demo,
        };
        let vars = |is_wanted: &dyn Fn(&str) -> bool| {
            let wanted = environment.iter().filter(|(name, value)| is_wanted(name) && !value.is_empty());
            wanted.map(|(name, value)| (name.clone(), value.clone())).collect()
        };
        let consumer_secrets =
            CONSUMER_SECRETS.iter().filter_map(|name| Some(((*name).to_owned(), Secret::new(get(name)?)))).collect();
        let is_consumer_var = |name: &str| {
            CONSUMER_VARS.contains(&name) || (name.starts_with("OTEL_") && !CONSUMER_SECRETS.contains(&name))
        };
        // The number of queues is that of this installation, too, so one that cannot be is refused here.
        number(queues::QUEUE_SHARDS, 1, 1, MAX_LEDGERS.into())?;
        Ok(Self {
            port: port("PORT", DEFAULT_PORT, 1)?,
            backend_port: port("BACKEND_PORT", 0, 0)?,
            resolves_per_second: number("TRAFFIC", DEFAULT_TRAFFIC, 0, MAX_TRAFFIC)?,
            state,
            run_folder: get("RUN_FOLDER").map_or_else(|| PathBuf::from(".run"), PathBuf::from),
            producer_vars: vars(&|name| PRODUCER_VARS.contains(&name)),
            consumer_vars: vars(&is_consumer_var),
            consumer_secrets,
        })
    }

    /// How long the producer holds deltas before it sends them: what is configured, else what `wrangler/producer.toml`
    /// says.
    #[must_use]
    pub fn flush_interval(&self) -> Duration {
        let configured = self.producer_vars.get("FLUSH_INTERVAL_MS").and_then(|millis| millis.parse().ok());
        Duration::from_millis(configured.unwrap_or(1_000)).min(Duration::from_secs(20))
    }

    /// Options for an installation of the checkout `repository`.
    #[must_use]
    pub fn options(&self, repository: PathBuf) -> Options {
        Options {
            port: self.port,
            backend_port: self.backend_port,
            state: self.state.clone(),
            producer_vars: self.producer_vars.clone(),
            consumer_vars: self.consumer_vars.clone(),
            consumer_secrets: self.consumer_secrets.clone(),
            ..Options::new(repository, &self.run_folder)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Settings, SettingsError> {
        Settings::read(&pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn nothing_set_is_the_demo_on_8787_with_traffic() {
        let settings = read(&[("PORT", ""), ("STATE", ""), ("HOME", "/home/x")]).unwrap();
        assert_eq!((settings.port, settings.backend_port, settings.resolves_per_second), (8787, 0, 20));
        assert!(matches!(settings.state, StateSource::Demo));
        assert!(settings.producer_vars.is_empty() && settings.consumer_vars.is_empty());
    }

    #[test]
    fn numbers_out_of_range_are_refused_by_name() {
        for (name, value) in [
            ("PORT", "0"),
            ("PORT", "65536"),
            ("PORT", "abc"),
            ("TRAFFIC", "-1"),
            ("TRAFFIC", "99999999"),
            ("QUEUE_SHARDS", "0"),
            ("QUEUE_SHARDS", "17"),
        ] {
            let error = read(&[(name, value)]).unwrap_err().to_string();
            assert!(error.starts_with(name), "{error}");
        }
        assert_eq!(read(&[("TRAFFIC", "0")]).unwrap().resolves_per_second, 0);
    }

    #[test]
    fn state_comes_from_one_place() {
        assert_eq!(read(&[("CONFIDENCE_CLIENT_SECRET", "s"), ("STATE", "f")]).unwrap_err(), SettingsError::TwoStates);
        let file = read(&[("STATE", "f"), ("ACCOUNT_ID", "acme")]).unwrap().state;
        assert!(matches!(file, StateSource::File { account_id, .. } if account_id == "acme"));
        let cdn = read(&[("CONFIDENCE_CLIENT_SECRET", "s")]).unwrap().state;
        assert!(matches!(&cdn, StateSource::Cdn { base_url, .. } if base_url == cdn::BASE_URL));
        assert!(!format!("{cdn:?}").contains("\"s\""));
    }

    #[test]
    fn vars_reach_the_worker_that_reads_them() {
        let settings = read(&[
            ("FLUSH_INTERVAL_MS", "0"),
            ("RESOLVER_ID", "r"),
            ("QUEUE_SHARDS", "3"),
            ("OTEL_SERVICE_NAME", "n"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=k"),
            ("CONFIDENCE_CLIENT_SECRET", "s"),
        ])
        .unwrap();
        assert_eq!(
            settings.producer_vars.keys().collect::<Vec<_>>(),
            ["FLUSH_INTERVAL_MS", "QUEUE_SHARDS", "RESOLVER_ID"]
        );
        assert_eq!(settings.consumer_vars.keys().collect::<Vec<_>>(), ["OTEL_SERVICE_NAME", "RESOLVER_ID"]);
        assert_eq!(settings.consumer_secrets.keys().collect::<Vec<_>>(), ["OTEL_EXPORTER_OTLP_HEADERS"]);
        assert!(!format!("{settings:?}").contains("api-key"));
    }
}
