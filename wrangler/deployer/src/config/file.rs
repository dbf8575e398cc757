//! `tributary.toml`: known keys, checked, and nothing else.

use std::collections::BTreeMap;
use std::path::Path;

use toml::{Table, Value as Toml};

use super::error::ConfigError;
use super::options::{OPTIONS, Value};
use super::vars::{self, Role};
use super::{secrets, suggest};

/// Its name, where none is given.
pub const FILE: &str = "tributary.toml";

/// What the file says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileConfig {
    /// Options by key.
    pub options: BTreeMap<&'static str, Value>,
    /// `[producer.vars]` and `[consumer.vars]`.
    pub vars: BTreeMap<Role, BTreeMap<String, String>>,
}

/// Reads the file's text. `path` is for messages.
///
/// # Errors
/// [`ConfigError`]; it names the key and holds no value.
pub fn parse(path: &Path, text: &str) -> Result<FileConfig, ConfigError> {
    let table: Table = text.parse().map_err(|error: toml::de::Error| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
        // Not the error's own text, which quotes the line.
        ConfigError::Toml { path: path.to_owned(), line, reason: error.message().to_owned() }
    })?;
    let mut config = FileConfig::default();
    for (key, value) in &table {
        match (key.as_str(), value) {
            ("queue", Toml::Table(queue)) => {
                for (key, value) in queue {
                    option(path, &mut config, &format!("queue.{key}"), value)?;
                }
            }
            ("producer", Toml::Table(worker)) => worker_vars(path, &mut config, Role::Producer, worker)?,
            ("consumer", Toml::Table(worker)) => worker_vars(path, &mut config, Role::Consumer, worker)?,
            ("queue" | "producer" | "consumer", _) => {
                return Err(ConfigError::Value { place: place(path, key), expected: "a table".to_owned() });
            }
            _ => option(path, &mut config, key, value)?,
        }
    }
    Ok(config)
}

fn place(path: &Path, key: &str) -> String {
    format!("{}: {key}", path.display())
}

fn option(path: &Path, config: &mut FileConfig, key: &str, value: &Toml) -> Result<(), ConfigError> {
    let Some(spec) = OPTIONS.iter().find(|option| option.key == key) else {
        return Err(unknown(
            path,
            key,
            OPTIONS.map(|option| option.key).into_iter().chain(["producer.vars", "consumer.vars"]),
        ));
    };
    let refused = || ConfigError::Value { place: place(path, key), expected: spec.expected() };
    let text = text(value).ok_or_else(refused)?;
    if let Some(value) = spec.check(&text).map_err(|_| refused())? {
        config.options.insert(spec.key, value);
    }
    Ok(())
}

fn worker_vars(path: &Path, config: &mut FileConfig, role: Role, worker: &Table) -> Result<(), ConfigError> {
    for (key, value) in worker {
        let whole = format!("{}.{key}", role.as_str());
        if key != "vars" {
            return Err(unknown(path, &whole, ["producer.vars", "consumer.vars"]));
        }
        let Toml::Table(table) = value else {
            return Err(ConfigError::Value { place: place(path, &whole), expected: "a table".to_owned() });
        };
        for (name, value) in table {
            let place = place(path, &format!("{whole}.{name}"));
            vars::check_name(role, name, &path.display().to_string())?;
            let text =
                text(value).ok_or(ConfigError::Value { place, expected: "a text, number or boolean".to_owned() })?;
            config.vars.entry(role).or_default().insert(name.clone(), text);
        }
    }
    Ok(())
}

fn unknown<'a>(path: &Path, key: &str, known: impl IntoIterator<Item = &'a str> + Clone) -> ConfigError {
    let file = path.display().to_string();
    if let Some(name) = secrets::NAMES.iter().find(|name| key.eq_ignore_ascii_case(name)) {
        return ConfigError::SecretPlace { place: file, name: (*name).to_owned() };
    }
    ConfigError::Unknown { place: file, what: format!("key {key}"), suggestion: suggest::sentence(key, known) }
}

/// A scalar as the text that the environment would hold.
fn text(value: &Toml) -> Option<String> {
    match value {
        Toml::String(text) => Some(text.clone()),
        Toml::Integer(number) => Some(number.to_string()),
        Toml::Boolean(switch) => Some(switch.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<FileConfig, String> {
        super::parse(Path::new("tributary.toml"), text).map_err(|error| error.to_string())
    }

    #[test]
    fn a_full_file_is_read() {
        let config = parse(
            "prefix = 'eu'\nmaterializations = true\n[queue]\nmax_batch_size = 50\n\
             [producer.vars]\nFLUSH_INTERVAL_MS = 500\nFORCE_APPLY = true\n[consumer.vars]\nMETRICS_SOURCE = 'ledger'\n",
        )
        .unwrap();
        assert_eq!(config.options["prefix"], Value::Text("eu".to_owned()));
        assert_eq!(config.options["queue.max_batch_size"], Value::Number(50));
        assert_eq!(config.vars[&Role::Producer]["FLUSH_INTERVAL_MS"], "500");
        assert_eq!(config.vars[&Role::Consumer]["METRICS_SOURCE"], "ledger");
        assert_eq!(parse("").unwrap(), FileConfig::default());
    }

    #[test]
    fn what_is_wrong_is_named_and_not_shown() {
        for (text, message) in [
            ("prefx = 'hunter2'", "tributary.toml: there is no key prefx; did you mean prefix?"),
            (
                "[queue]\nbatch_size = 1",
                "tributary.toml: there is no key queue.batch_size; did you mean queue.max_batch_size?",
            ),
            ("[consumer]\nvar = 1", "tributary.toml: there is no key consumer.var; did you mean consumer.vars?"),
            ("queue = 1", "tributary.toml: queue: expected a table"),
            ("prefix = 'HUNTER2'", "tributary.toml: prefix: expected at most 32 of a-z, 0-9 and single hyphens within"),
            (
                "[queue]\nmax_batch_size = 1000",
                "tributary.toml: queue.max_batch_size: expected a whole number from 1 to 100",
            ),
            ("\n\nprefix = hunter2", "tributary.toml, line 3: not TOML: "),
            (
                "[producer.vars]\nFLUSH_INTERVAL_MS = [1]",
                "tributary.toml: producer.vars.FLUSH_INTERVAL_MS: expected a text",
            ),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.starts_with(message), "{error}");
            assert!(!error.to_lowercase().contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn secrets_are_sent_to_the_environment() {
        for text in ["confidence_client_secret = 'hunter2'", "[consumer.vars]\nMETRICS_TOKEN = 'hunter2'"] {
            let error = parse(text).unwrap_err();
            assert!(error.contains("secrets do not belong there") && !error.contains("hunter2"), "{error}");
        }
    }
}
