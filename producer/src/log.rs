//! Structured logs: one JSON object per line. What is logged never holds a secret; that is the caller's duty, and
//! [`crate::config::Secret`] makes it hard to fail.

use serde_json::{Map, Value};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Something that an operator should know.
    Warn,
    /// Something that an operator must repair.
    Error,
}

/// Renders one line: `{"level":…,"event":…}` and the fields.
pub fn line(level: Level, event: &str, fields: &[(&str, Value)]) -> String {
    let mut object = Map::new();
    let level = match level {
        Level::Warn => "warn",
        Level::Error => "error",
    };
    object.insert("level".to_owned(), Value::from(level));
    object.insert("event".to_owned(), Value::from(event));
    for (name, value) in fields {
        object.insert((*name).to_owned(), value.clone());
    }
    Value::Object(object).to_string()
}

/// Writes one line to the Worker's log, or to standard error outside a Worker.
pub fn write(level: Level, event: &str, fields: &[(&str, Value)]) {
    let text = line(level, event, fields);
    #[cfg(target_arch = "wasm32")]
    match level {
        Level::Warn => worker::console_warn!("{text}"),
        Level::Error => worker::console_error!("{text}"),
    }
    #[cfg(not(target_arch = "wasm32"))]
    eprintln!("{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_json_object_whatever_the_fields_hold() {
        let text = line(Level::Error, "send_failed", &[("error", Value::from("a \"quote\"\nand a line"))]);
        assert!(!text.contains('\n'));
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["event"], "send_failed");
        assert_eq!(value["level"], "error");
        assert_eq!(value["error"], "a \"quote\"\nand a line");
    }
}
