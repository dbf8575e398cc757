//! The JSON schema of `tributary.toml`, for editors. The checked-in file is held to the code by a test.

use serde_json::{Map, Value, json};

use super::options::{Kind, OPTIONS, OptionSpec};
use super::vars::Role;

/// The schema (JSON Schema 2020-12).
#[must_use]
pub fn schema() -> Value {
    let mut top = Map::new();
    let mut queue = Map::new();
    for option in &OPTIONS {
        match option.key.split_once('.') {
            Some((_, key)) => queue.insert(key.to_owned(), property(option)),
            None => top.insert(option.key.to_owned(), property(option)),
        };
    }
    top.insert("queue".to_owned(), object(queue, "How the delta queue is consumed."));
    for role in Role::ALL {
        let vars =
            role.vars().iter().map(|name| ((*name).to_owned(), json!({"type": ["string", "integer", "boolean"]})));
        let help = format!("Vars of the {}; README.md says what each is.", role.as_str());
        let vars = [("vars".to_owned(), object(vars.collect(), &help))];
        top.insert(
            role.as_str().to_owned(),
            object(vars.into_iter().collect(), &format!("The {} Worker.", role.as_str())),
        );
    }
    let mut schema = object(top, "Options of an installation of Tributary; docs/deploy.md explains them.");
    if let Some(schema) = schema.as_object_mut() {
        schema.insert("$schema".to_owned(), "https://json-schema.org/draft/2020-12/schema".into());
        schema.insert("title".to_owned(), "tributary.toml".into());
    }
    schema
}

fn object(properties: Map<String, Value>, description: &str) -> Value {
    json!({"type": "object", "description": description, "additionalProperties": false, "properties": properties})
}

fn property(option: &OptionSpec) -> Value {
    let description = format!("{} (default: {})", option.help, option.default);
    match option.kind {
        Kind::Text { pattern, .. } => json!({"type": "string", "pattern": pattern, "description": description}),
        Kind::Number { min, max } => {
            json!({"type": "integer", "minimum": min, "maximum": max, "description": description})
        }
        Kind::Switch => json!({"type": "boolean", "description": description}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checked_in_schema_is_this_one() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tributary.schema.json");
        let text = format!("{}\n", serde_json::to_string_pretty(&schema()).unwrap());
        if std::env::var_os("UPDATE_SCHEMA").is_some() {
            std::fs::write(file, &text).unwrap();
        }
        let checked_in = std::fs::read_to_string(file).unwrap_or_default();
        assert!(checked_in == text, "run UPDATE_SCHEMA=1 cargo test -p tributary-deployer schema");
    }

    /// Every row of the docs' table, word for word.
    #[test]
    fn the_docs_list_every_option() {
        let docs = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/deploy.md")).unwrap();
        for option in OPTIONS {
            let row = format!("| `{}` | `{}` | `{}` | {} | ", option.key, option.flag, option.variable, option.default);
            assert!(docs.contains(&row), "docs/deploy.md lacks the row {row}");
        }
    }
}
