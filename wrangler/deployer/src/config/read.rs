//! One command line with its environment and file, read into a [`Config`].

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::error::ConfigError;
use super::file::{self, FILE, FileConfig};
use super::options::{OPTIONS, OptionSpec, Value};
use super::secrets::{self, Secrets};
use super::vars::{self, Role};
use super::{Batches, Config, Switches, suggest};
use crate::names::Names;

/// A command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Installs, or brings up to date.
    Deploy,
    /// Says what is there.
    Status,
    /// Goes back to the deploy before.
    Rollback,
    /// Removes everything.
    Destroy,
}

impl Command {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Deploy, Self::Status, Self::Rollback, Self::Destroy];

    /// Its word on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Deploy => "deploy",
            Self::Status => "status",
            Self::Rollback => "rollback",
            Self::Destroy => "destroy",
        }
    }
}

/// What a command line asks for.
#[derive(Debug, Clone)]
pub struct Invocation {
    /// What to do.
    pub command: Command,
    /// How.
    pub switches: Switches,
    /// To which installation.
    pub config: Config,
    /// Files, or the KV namespace, of another resolver's totals to import after a deploy; empty: none.
    pub import_snapshot: Vec<String>,
}

/// A switch, and the commands that have it.
type SwitchSpec = (&'static str, &'static [Command], fn(&mut Switches) -> &mut bool);

const SWITCHES: [SwitchSpec; 7] = [
    ("--dry-run", &[Command::Deploy, Command::Rollback, Command::Destroy], |s| &mut s.dry_run),
    ("--yes", &[Command::Deploy, Command::Rollback, Command::Destroy], |s| &mut s.yes),
    ("--adopt", &[Command::Deploy], |s| &mut s.adopt),
    ("--new-metrics-token", &[Command::Deploy], |s| &mut s.new_metrics_token),
    ("--skip-check", &[Command::Deploy], |s| &mut s.skip_check),
    ("--keep-data", &[Command::Destroy], |s| &mut s.keep_data),
    ("--force", &[Command::Rollback], |s| &mut s.force),
];

/// Flags that take a value and are no option.
const CONFIG_FLAG: &str = "--config";
const IMPORT_FLAG: &str = "--import-snapshot";
const VAR_FLAGS: [(&str, Role); 2] = [("--producer-var", Role::Producer), ("--consumer-var", Role::Consumer)];
/// Vars of the consumer that are also taken by their own names, as `make run` does.
const DESTINATIONS: [&str; 2] = ["CONFIDENCE_FLAG_LOGS_URL", "CONFIDENCE_INGEST_URL"];
/// Variables `TRIBUTARY_PRODUCER_<VAR>` are vars, too.
const VAR_VARIABLES: [(&str, Role); 2] =
    [("TRIBUTARY_PRODUCER_", Role::Producer), ("TRIBUTARY_CONSUMER_", Role::Consumer)];

/// What the flags say.
#[derive(Debug, Default)]
struct Flags {
    switches: Switches,
    options: BTreeMap<&'static str, Value>,
    vars: BTreeMap<Role, BTreeMap<String, String>>,
    file: Option<PathBuf>,
    import_snapshot: Vec<String>,
}

/// Reads a command line without the program's name. A `tributary.toml` in `folder` is read if there is one; a file that
/// `--config` names must be there.
///
/// # Errors
/// [`ConfigError`].
pub fn invocation(
    arguments: &[String],
    environment: &BTreeMap<String, String>,
    folder: &Path,
) -> Result<Invocation, ConfigError> {
    let (word, rest) = arguments.split_first().map_or(("", arguments), |(word, rest)| (word.as_str(), rest));
    let command = Command::ALL.into_iter().find(|command| command.as_str() == word).ok_or_else(|| {
        let suggestion = suggest::sentence(word, Command::ALL.map(Command::as_str));
        ConfigError::Unknown { place: "command line".to_owned(), what: format!("command {word:?}"), suggestion }
    })?;
    let mut flags = flags(command, rest)?;
    let import_snapshot = std::mem::take(&mut flags.import_snapshot);
    let file = match &flags.file {
        Some(path) => read_file(&folder.join(path))?,
        None if folder.join(FILE).is_file() => read_file(&folder.join(FILE))?,
        None => FileConfig::default(),
    };
    Ok(Invocation { command, switches: flags.switches, config: config(flags, environment, file)?, import_snapshot })
}

fn read_file(path: &Path) -> Result<FileConfig, ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
    file::parse(path, &text)
}

fn flags(command: Command, arguments: &[String]) -> Result<Flags, ConfigError> {
    let mut flags = Flags::default();
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let (name, value) = match argument.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (argument.as_str(), None),
        };
        if let Some((flag, commands, switch)) = SWITCHES.iter().find(|(flag, ..)| *flag == name) {
            if !commands.contains(&command) {
                let words: Vec<&str> = commands.iter().map(|command| command.as_str()).collect();
                return Err(ConfigError::OtherCommand {
                    command: command.as_str(),
                    flag,
                    only: format!("it is for {}", words.join(", ")),
                });
            }
            let value = value
                .as_deref()
                .unwrap_or("true")
                .parse()
                .map_err(|_| ConfigError::Value { place: (*flag).to_owned(), expected: "true or false".to_owned() })?;
            *switch(&mut flags.switches) = value;
            continue;
        }
        let option = OPTIONS.iter().find(|option| option.flag == name);
        if name == IMPORT_FLAG && command != Command::Deploy {
            return Err(ConfigError::OtherCommand {
                command: command.as_str(),
                flag: IMPORT_FLAG,
                only: "it is for deploy; import-snapshot imports into what is deployed".to_owned(),
            });
        }
        let is_known = option.is_some()
            || [CONFIG_FLAG, IMPORT_FLAG].contains(&name)
            || VAR_FLAGS.iter().any(|(flag, _)| *flag == name);
        if !is_known {
            return Err(unknown_flag(argument, name));
        }
        let is_switch = option.is_some_and(|option| option.kind == super::options::Kind::Switch);
        let value = match value {
            Some(value) => value,
            None if is_switch => "true".to_owned(),
            None => arguments.next().cloned().ok_or_else(|| ConfigError::NoValue(name.to_owned()))?,
        };
        if let Some(option) = option {
            take(&mut flags.options, option, &value, name)?;
        } else if let Some((_, role)) = VAR_FLAGS.iter().find(|(flag, _)| *flag == name) {
            let (var, value) = value
                .split_once('=')
                .ok_or_else(|| ConfigError::Value { place: name.to_owned(), expected: "NAME=value".to_owned() })?;
            vars::check_name(*role, var, "command line")?;
            flags.vars.entry(*role).or_default().insert(var.to_owned(), value.to_owned());
        } else if name == IMPORT_FLAG {
            flags.import_snapshot.push(value);
        } else {
            flags.file = Some(value.into());
        }
    }
    Ok(flags)
}

/// Only what looks like a flag is repeated: anything else may be a secret that lost its flag.
fn unknown_flag(argument: &str, name: &str) -> ConfigError {
    let place = "command line".to_owned();
    let is_flag = name.starts_with("--") && name.len() <= 40;
    let normal = name.trim_start_matches('-').replace('-', "_").to_uppercase();
    if let Some(secret) = secrets::NAMES.iter().find(|secret| normal == **secret || argument.starts_with(*secret)) {
        return ConfigError::SecretPlace { place, name: (*secret).to_owned() };
    }
    let known = OPTIONS.map(|option| option.flag).into_iter().chain(SWITCHES.map(|(flag, ..)| flag));
    let known = known.chain(VAR_FLAGS.map(|(flag, _)| flag)).chain([CONFIG_FLAG, IMPORT_FLAG]);
    if is_flag {
        let suggestion = suggest::sentence(name, known.collect::<Vec<_>>());
        return ConfigError::Unknown { place, what: format!("flag {name}"), suggestion };
    }
    let suggestion = "; every argument after the command begins with --".to_owned();
    ConfigError::Unknown { place, what: "place for an argument without a flag".to_owned(), suggestion }
}

fn take(
    options: &mut BTreeMap<&'static str, Value>,
    option: &OptionSpec,
    value: &str,
    place: &str,
) -> Result<(), ConfigError> {
    let value = option.check(value).map_err(|expected| ConfigError::Value { place: place.to_owned(), expected })?;
    options.extend(value.map(|value| (option.key, value)));
    Ok(())
}

/// Puts the three sources together.
fn config(flags: Flags, environment: &BTreeMap<String, String>, file: FileConfig) -> Result<Config, ConfigError> {
    let mut options = file.options;
    for option in &OPTIONS {
        if let Some(value) = environment.get(option.variable) {
            take(&mut options, option, value, option.variable)?;
        }
    }
    options.extend(flags.options);

    let mut all_vars = file.vars;
    for name in DESTINATIONS {
        if let Some(url) = environment.get(name).filter(|url| !url.is_empty()) {
            all_vars.entry(Role::Consumer).or_default().insert(name.to_owned(), url.clone());
        }
    }
    for (variable, value) in environment {
        let Some((name, role)) =
            VAR_VARIABLES.iter().find_map(|(start, role)| Some((variable.strip_prefix(start)?, *role)))
        else {
            continue;
        };
        vars::check_name(role, name, &format!("environment variable {variable}"))?;
        all_vars.entry(role).or_default().insert(name.to_owned(), value.clone());
    }
    for (role, vars) in flags.vars {
        all_vars.entry(role).or_default().extend(vars);
    }
    let mut producer_vars = all_vars.remove(&Role::Producer).unwrap_or_default();
    let mut consumer_vars = all_vars.remove(&Role::Consumer).unwrap_or_default();
    vars::same_resolver_id(&mut producer_vars, &mut consumer_vars)?;

    let text = |key: &str| match options.get(key) {
        Some(Value::Text(text)) => Some(text.clone()),
        _ => None,
    };
    let number = |key: &str| match options.get(key) {
        Some(Value::Number(number)) => Some(*number),
        _ => None,
    };
    let secrets = Secrets::read(environment)?;
    for (role, vars) in [(Role::Producer, &producer_vars), (Role::Consumer, &consumer_vars)] {
        vars::check_values(role, vars, &secrets.given(role, vars))?;
    }
    Ok(Config {
        // The option was checked to be one.
        names: Names::new(&text("prefix").unwrap_or_default()).unwrap_or_default(),
        account_id: text("account_id"),
        materializations: options.get("materializations") == Some(&Value::Switch(true)),
        // The option was checked to be in its range.
        queue_shards: number("queue_shards").and_then(|shards| u32::try_from(shards).ok()).unwrap_or(1),
        batches: Batches {
            size: number("queue.max_batch_size"),
            timeout: number("queue.max_batch_timeout"),
            retries: number("queue.max_retries"),
            retry_delay: number("queue.retry_delay"),
        },
        cdn_url: text("state_cdn_url").unwrap_or_else(|| tributary_local::cdn::BASE_URL.to_owned()),
        producer_vars,
        consumer_vars,
        secrets,
    })
}

#[cfg(test)]
#[path = "read_tests.rs"]
mod tests;
