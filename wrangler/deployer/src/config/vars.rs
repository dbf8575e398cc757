//! Vars of the Workers: which there are, and whether a Worker would take a value, asked of its own parser.

use std::collections::BTreeMap;

use tributary_consumer::config::Config as ConsumerConfig;
use tributary_local::secrets::Secret;
use tributary_producer::config::{Config as ProducerConfig, Problem};

use super::error::ConfigError;
use super::suggest;
use crate::limits::MAX_VAR_BYTES;

/// The two Workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Merges and publishes. Deployed first: the producer is bound to it.
    Consumer,
    /// Resolves.
    Producer,
}

impl Role {
    /// Both, in the order of a deploy.
    pub const ALL: [Self; 2] = [Self::Consumer, Self::Producer];

    /// `consumer` or `producer`: the folder of its crate, and its table in `tributary.toml`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Consumer => "consumer",
            Self::Producer => "producer",
        }
    }

    /// The vars that it reads.
    #[must_use]
    pub const fn vars(self) -> &'static [&'static str] {
        match self {
            Self::Consumer => &CONSUMER_VARS,
            Self::Producer => &PRODUCER_VARS,
        }
    }
}

/// Label of both Workers' series; see [`same_resolver_id`].
pub const RESOLVER_ID: &str = "RESOLVER_ID";

const PRODUCER_VARS: [&str; 7] = [
    "ALLOWED_ORIGIN",
    "ENVIRONMENT",
    "FLUSH_INTERVAL_MS",
    "FORCE_APPLY",
    "MATERIALIZATION_TTL_SECONDS",
    RESOLVER_ID,
    "STATE_REFRESH_MS",
];

const CONSUMER_VARS: [&str; 25] = [
    "CONFIDENCE_FLAG_LOGS_URL",
    "CONFIDENCE_INGEST_URL",
    "METRICS_BUCKETS_PER_DECADE",
    "METRICS_CREATED",
    "METRICS_DIMENSIONS",
    "METRICS_DIMENSIONS_BUDGET",
    "METRICS_NAMES",
    "METRICS_OPENMETRICS",
    "METRICS_SOURCE",
    "OTEL_EXPORTER_OTLP_COMPRESSION",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_METRICS_COMPRESSION",
    "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION",
    "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
    "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL",
    "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE",
    "OTEL_EXPORTER_OTLP_METRICS_TIMEOUT",
    "OTEL_EXPORTER_OTLP_PROTOCOL",
    "OTEL_EXPORTER_OTLP_TIMEOUT",
    "OTEL_METRICS_EXPORTER",
    "OTEL_METRIC_EXPORT_INTERVAL",
    "OTEL_RESOURCE_ATTRIBUTES",
    "OTEL_SERVICE_NAME",
    "PUBLISH_INTERVAL_MS",
    RESOLVER_ID,
];

/// Refuses a name that the Worker does not read. `place` says where it stands.
///
/// # Errors
/// [`ConfigError::Unknown`], and [`ConfigError::SecretPlace`] for a secret.
pub fn check_name(role: Role, name: &str, place: &str) -> Result<(), ConfigError> {
    if role.vars().contains(&name) {
        return Ok(());
    }
    if super::secrets::NAMES.contains(&name) {
        return Err(ConfigError::SecretPlace { place: place.to_owned(), name: name.to_owned() });
    }
    let suggestion = suggest::sentence(name, role.vars().iter().copied());
    Err(ConfigError::Unknown {
        place: place.to_owned(),
        what: format!("var {name} of the {}", role.as_str()),
        suggestion,
    })
}

/// Sets a `RESOLVER_ID` that is given for one Worker for the other, too: series of both carry it.
///
/// # Errors
/// [`ConfigError::ResolverIds`].
pub fn same_resolver_id(
    producer: &mut BTreeMap<String, String>,
    consumer: &mut BTreeMap<String, String>,
) -> Result<(), ConfigError> {
    match (producer.get(RESOLVER_ID).cloned(), consumer.get(RESOLVER_ID).cloned()) {
        (Some(one), Some(other)) if one != other => return Err(ConfigError::ResolverIds),
        (Some(id), None) => drop(consumer.insert(RESOLVER_ID.to_owned(), id)),
        (None, Some(id)) => drop(producer.insert(RESOLVER_ID.to_owned(), id)),
        _ => {}
    }
    Ok(())
}

/// Asks the Worker's own parser about its vars and secrets, as they would be deployed.
///
/// # Errors
/// [`ConfigError::Value`] with the first that it would not take.
pub fn check_values(
    role: Role,
    vars: &BTreeMap<String, String>,
    secrets: &BTreeMap<String, Secret>,
) -> Result<(), ConfigError> {
    let refused =
        |name: &str, expected: String| ConfigError::Value { place: format!("{} {name}", role.as_str()), expected };
    let texts = vars.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let all: BTreeMap<&str, &str> =
        texts.chain(secrets.iter().map(|(name, secret)| (name.as_str(), secret.reveal()))).collect();
    if let Some((name, _)) = all.iter().find(|(_, value)| value.len() > MAX_VAR_BYTES) {
        return Err(refused(name, format!("at most {MAX_VAR_BYTES} bytes, which is Cloudflare's limit")));
    }
    match role {
        Role::Consumer => match ConsumerConfig::read(&all).1.first() {
            Some(problem) => Err(refused(problem.name, problem.expected.to_owned())),
            None => Ok(()),
        },
        Role::Producer => {
            let (_, problems) = ProducerConfig::parse(|name| all.get(name).map(|value| (*value).to_owned()));
            let problem = problems.iter().find_map(|problem| match problem {
                Problem::Unusable { name, expected, .. } => Some(refused(name, (*expected).to_owned())),
                Problem::Clamped { name, used } => {
                    Some(refused(name, format!("a number within its range; the nearest is {used}")))
                }
                // A deploy sees to that.
                Problem::NoEncryptionKey => None,
            });
            problem.map_or(Ok(()), Err)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vars(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn values_are_what_the_worker_itself_takes() {
        let none = BTreeMap::new();
        check_values(Role::Consumer, &vars(&[("METRICS_SOURCE", "ledger")]), &none).unwrap();
        check_values(Role::Producer, &vars(&[("FLUSH_INTERVAL_MS", "0")]), &none).unwrap();
        for (role, name, bad) in [
            (Role::Consumer, "METRICS_SOURCE", "redis"),
            (Role::Consumer, "OTEL_EXPORTER_OTLP_ENDPOINT", "collector"),
            (Role::Producer, "FLUSH_INTERVAL_MS", "20001"),
            (Role::Producer, "ALLOWED_ORIGIN", "a, b"),
        ] {
            let error = check_values(role, &vars(&[(name, bad)]), &none).unwrap_err().to_string();
            assert!(error.contains(name) && error.contains(role.as_str()) && !error.contains(bad), "{error}");
        }
        let long = check_values(Role::Consumer, &vars(&[("METRICS_NAMES", &"a".repeat(6000))]), &none).unwrap_err();
        assert!(long.to_string().contains("5120 bytes"));
    }

    #[test]
    fn unknown_vars_are_refused_with_a_suggestion_and_secrets_are_sent_elsewhere() {
        check_name(Role::Producer, "FLUSH_INTERVAL_MS", "x").unwrap();
        let error = check_name(Role::Producer, "FLUSH_INTERVAL", "tributary.toml").unwrap_err().to_string();
        assert_eq!(
            error,
            "tributary.toml: there is no var FLUSH_INTERVAL of the producer; did you mean FLUSH_INTERVAL_MS?"
        );
        let error = check_name(Role::Consumer, "METRICS_TOKEN", "tributary.toml").unwrap_err().to_string();
        assert!(error.contains("environment variable METRICS_TOKEN"), "{error}");
    }

    #[test]
    fn both_workers_get_one_resolver_id() {
        let (mut producer, mut consumer) = (vars(&[(RESOLVER_ID, "edge")]), vars(&[]));
        same_resolver_id(&mut producer, &mut consumer).unwrap();
        assert_eq!(producer, consumer);
        let mut other = vars(&[(RESOLVER_ID, "other")]);
        assert!(matches!(same_resolver_id(&mut producer, &mut other), Err(ConfigError::ResolverIds)));
    }

    /// Vars that an option or a secret stands for.
    const MANAGED: [&str; 2] = ["CONFIDENCE_CDN_URL", "CONFIDENCE_RESOLVER_STATE_URL"];

    /// The tables of README.md and docs/otlp.md are what users read: they and these lists are the same.
    #[test]
    fn vars_are_those_that_the_docs_list() {
        let repository = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
        let read = |file: &str| std::fs::read_to_string(format!("{repository}/{file}")).unwrap();
        let mut documented: BTreeMap<Role, Vec<String>> = BTreeMap::new();
        for row in read("README.md").lines().filter(|row| row.starts_with("| `")) {
            let cells: Vec<&str> = row.split('|').map(str::trim).collect();
            let (names, worker) = (cells[1], cells[2]);
            if ["(secret)", "(binding)"].iter().any(|kind| names.contains(kind))
                || !["both", "producer", "consumer"].contains(&worker)
            {
                continue;
            }
            let names = names
                .split('`')
                .filter(|name| name.chars().all(|c| c.is_ascii_uppercase() || c == '_') && name.len() > 1);
            // These follow from options and secrets.
            let is_var = |name: &&str| !name.starts_with("OTEL_") && !MANAGED.contains(name);
            for name in names.filter(is_var) {
                for role in Role::ALL.into_iter().filter(|role| worker == "both" || worker == role.as_str()) {
                    documented.entry(role).or_default().push(name.to_owned());
                }
            }
        }
        for row in read("docs/otlp.md").lines().filter(|row| row.starts_with("| `OTEL_")) {
            let name = row.split('`').nth(1).unwrap();
            if row.contains("(secret)") || !row.split('|').nth(1).unwrap().trim().ends_with('`') {
                continue;
            }
            let both = [name.replace("[_METRICS]", ""), name.replace("[_METRICS]", "_METRICS")];
            documented.entry(Role::Consumer).or_default().extend(both);
        }
        for (role, mut names) in documented {
            names.sort();
            names.dedup();
            assert_eq!(names, role.vars(), "{role:?}");
        }
    }
}
