//! The Workers' configuration for one local installation, rendered into its run folder from the checked-in
//! `wrangler/*.toml`, which stay as they are.

use std::collections::BTreeMap;
use std::path::Path;

use toml::{Table, Value};

use crate::queues;
use crate::secrets::Secret;

/// What a rendered configuration changes.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    /// Vars to set, over those of the source.
    pub vars: BTreeMap<String, String>,
    /// Vars of the source to leave out.
    pub without_vars: Vec<String>,
    /// How many delta queues the Worker sends to; 0 and 1 change nothing.
    pub sends_to: u32,
    /// How many delta queues it consumes, likewise.
    pub consumes: u32,
}

/// Why a configuration cannot be rendered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RenderError {
    /// The source is no TOML.
    #[error("not TOML: {0}")]
    Parse(String),
    /// `vars` is no table, or `main` is missing.
    #[error("{0}")]
    Shape(&'static str),
    /// The result cannot be written.
    #[error("cannot be written as TOML: {0}")]
    Write(String),
    /// The build output's path cannot stand in TOML.
    #[error("the path of the build output is not UTF-8")]
    Path,
    /// A secret that the file's format cannot hold.
    #[error("{name} holds a line break or both kinds of quotes, which .dev.vars cannot hold")]
    Secret {
        /// Its name; the value is never shown.
        name: String,
    },
}

/// Renders `source` with an absolute `main` (paths in it are relative to the file) and with `changes`.
///
/// # Errors
/// [`RenderError`].
pub fn render(source: &str, main: &Path, changes: &Changes) -> Result<String, RenderError> {
    let mut config: Table = source.parse().map_err(|error: toml::de::Error| RenderError::Parse(error.to_string()))?;
    if !config.contains_key("main") {
        return Err(RenderError::Shape("it has no `main`"));
    }
    let main = main.to_str().ok_or(RenderError::Path)?;
    config.insert("main".to_owned(), Value::from(main));
    queues::add_producers(&mut config, changes.sends_to);
    queues::add_consumers(&mut config, changes.consumes);
    let vars = config.entry("vars").or_insert_with(|| Value::Table(Table::new()));
    let vars = vars.as_table_mut().ok_or(RenderError::Shape("`vars` is no table"))?;
    for name in &changes.without_vars {
        vars.remove(name);
    }
    for (name, value) in &changes.vars {
        vars.insert(name.clone(), Value::from(value.as_str()));
    }
    toml::to_string(&config).map_err(|error| RenderError::Write(error.to_string()))
}

/// Renders a `.dev.vars` file: one quoted `NAME="value"` a line.
///
/// # Errors
/// [`RenderError::Secret`].
pub fn render_secrets(secrets: &BTreeMap<String, Secret>) -> Result<String, RenderError> {
    secrets
        .iter()
        .map(|(name, secret)| {
            let value = secret.reveal();
            let quote = if value.contains('"') || value.contains('\\') { '\'' } else { '"' };
            if value.contains(['\n', '\r', quote]) {
                return Err(RenderError::Secret { name: name.clone() });
            }
            Ok(format!("{name}={quote}{value}{quote}\n"))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = r#"
name = "tributary-consumer"
main = "../consumer/build/index.js"
compatibility_date = "2026-10-01"

[vars]
CONFIDENCE_FLAG_LOGS_URL = "https://example.com"
PUBLISH_INTERVAL_MS = "10000"

[[queues.consumers]]
queue = "tributary-deltas"
max_batch_timeout = 1

[[durable_objects.bindings]]
name = "LEDGER"
class_name = "Ledger"
"#;

    fn rendered(changes: &Changes) -> Table {
        render(SOURCE, Path::new("/repo/build/index.js"), changes).unwrap().parse().unwrap()
    }

    #[test]
    fn only_main_and_the_named_vars_change() {
        let changes = Changes {
            vars: [("PUBLISH_INTERVAL_MS".to_owned(), "1000".to_owned()), ("NEW".to_owned(), "a \"b\"".to_owned())]
                .into(),
            without_vars: vec!["CONFIDENCE_FLAG_LOGS_URL".to_owned()],
            ..Changes::default()
        };
        let mut expected: Table = SOURCE.parse().unwrap();
        expected.insert("main".to_owned(), "/repo/build/index.js".into());
        let vars: Table = "PUBLISH_INTERVAL_MS = '1000'\nNEW = 'a \"b\"'".parse().unwrap();
        expected.insert("vars".to_owned(), vars.into());
        assert_eq!(rendered(&changes), expected);
    }

    #[test]
    fn source_without_vars_gets_them() {
        let changes = Changes { vars: [("A".to_owned(), "1".to_owned())].into(), ..Default::default() };
        let text = render("main = 'x'", Path::new("/x"), &changes).unwrap();
        assert_eq!(text.parse::<Table>().unwrap()["vars"]["A"].as_str(), Some("1"));
    }

    #[test]
    fn broken_sources_are_refused() {
        let render = |source| render(source, Path::new("/x"), &Changes::default());
        assert!(matches!(render("main ="), Err(RenderError::Parse(_))));
        assert!(matches!(render("name = 'x'"), Err(RenderError::Shape(_))));
        assert!(matches!(render("main = 'x'\nvars = 3"), Err(RenderError::Shape(_))));
    }

    #[test]
    fn secrets_are_quoted_and_impossible_ones_named_but_not_shown() {
        let file = |value: &str| render_secrets(&[("KEY".to_owned(), Secret::new(value))].into());
        assert_eq!(file("a#b=c").unwrap(), "KEY=\"a#b=c\"\n");
        assert_eq!(file("a\"b").unwrap(), "KEY='a\"b'\n");
        let error = file("hunter\n2").unwrap_err().to_string();
        assert!(error.contains("KEY") && !error.contains("hunter"));
        assert!(file("a\"b'c").is_err());
    }
}
