//! What `docs/embedding.md` gives to paste is the example that runs in the end to end tests.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of a test")]

use std::{fs, path::Path};

fn file(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name))
        .unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The code blocks of the guide in this language.
fn blocks(language: &str) -> Vec<String> {
    let guide = file("../docs/embedding.md");
    let fence = format!("```{language}\n");
    guide.split(&fence).skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

/// The example without the comment that is about this repository.
fn example() -> String {
    let source = file("example/src/lib.rs");
    source
        .lines()
        .skip_while(|line| line.starts_with("//!") || line.is_empty())
        .fold(String::new(), |all, line| all + line + "\n")
}

#[test]
fn the_code_is_that_of_the_example() {
    let [code] = blocks("rust").try_into().unwrap();
    assert_eq!(code, example());
    assert!(code.lines().count() < 35, "short enough to paste");
}

#[test]
fn the_configuration_is_that_of_the_example() {
    let [cargo, wrangler] = blocks("toml").try_into().unwrap();
    assert_eq!(wrangler, file("example/wrangler.toml"));
    let of_example = file("example/Cargo.toml");
    let of_workspace = file("../Cargo.toml");
    // What is asked for beside the package's own name: all of it the example has, too, but for where the crate lies.
    let asked: Vec<&str> =
        cargo.lines().skip_while(|line| !line.starts_with("[lib]")).filter(|line| !line.is_empty()).collect();
    assert!(asked.len() >= 8, "{asked:?}");
    for line in asked.into_iter().filter(|line| !line.starts_with("tributary-emitter")) {
        assert!(of_example.contains(line) || of_workspace.contains(line), "{line}");
    }
    assert!(of_example.contains("tributary-emitter = {"));
}
