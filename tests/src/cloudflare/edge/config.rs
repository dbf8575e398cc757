//! The runtime's configuration language (Cap'n Proto text, `workerd.capnp`).

use std::fmt::Write as _;

use super::super::state::Module;

/// A text literal.
pub(super) fn quote(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            // Of the control characters none stands for itself.
            '\0'..='\x1f' | '\x7f' => {
                if write!(quoted, "\\x{:02x}", u32::from(character)).is_err() {
                    // Writing to a String cannot fail.
                }
            }
            _ => quoted.push(character),
        }
    }
    quoted.push('"');
    quoted
}

/// A module whose bytes are in the folder of blobs, which is `../blobs` from the configuration.
pub(super) fn module(module: &Module) -> String {
    let field = match module.kind.as_str() {
        "application/wasm" => "wasm",
        "text/plain" => "text",
        "application/octet-stream" => "data",
        "application/json" => "json",
        _ => "esModule",
    };
    format!("(name = {}, {field} = embed {})", quote(&module.name), quote(&format!("../blobs/{}", module.blob)))
}

/// A module with this text.
pub(super) fn es_module(name: &str, source: &str) -> String {
    format!("(name = {}, esModule = {})", quote(name), quote(source))
}

/// The modules, with the main one first: the runtime begins there.
pub(super) fn modules(main: &str, modules: &[Module]) -> Vec<String> {
    let (first, rest): (Vec<&Module>, Vec<&Module>) = modules.iter().partition(|module| module.name == main);
    first.into_iter().chain(rest).map(module).collect()
}

/// A list literal.
pub(super) fn list<T: AsRef<str>>(items: impl IntoIterator<Item = T>) -> String {
    let items: Vec<String> = items.into_iter().map(|item| item.as_ref().to_owned()).collect();
    format!("[{}]", items.join(", "))
}

/// A list of texts.
pub(super) fn texts(items: &[String]) -> String {
    list(items.iter().map(|item| quote(item)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_quoted() {
        assert_eq!(quote("a\"b\\c\n\u{e5}\x7f"), "\"a\\\"b\\\\c\\x0a\u{e5}\\x7f\"");
    }
}
