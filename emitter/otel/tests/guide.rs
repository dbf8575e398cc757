//! What `docs/otel.md` gives to paste is the example that runs in the end to end tests.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of a test")]

use std::{fs, path::Path};

use tributary_emitter::config::{QUEUE_BINDING, QUEUE_SHARDS, queue_binding};
use tributary_otel::{opentelemetry::Key, resource::resource};

fn file(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name))
        .unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The code blocks of the guide in this language.
fn blocks(language: &str) -> Vec<String> {
    let guide = file("../../docs/otel.md");
    let fence = format!("```{language}\n");
    guide.split(&fence).skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

#[test]
fn the_code_is_that_of_the_example() {
    let [code] = blocks("rust").try_into().unwrap();
    let source = file("example/src/lib.rs");
    // Without the comment that is about this repository.
    let example = source
        .lines()
        .skip_while(|line| line.starts_with("//!") || line.is_empty())
        .fold(String::new(), |all, line| all + line + "\n");
    assert_eq!(code, example);
}

#[test]
fn the_dependencies_are_those_of_the_example() {
    let [_, cargo, _, _] = blocks("toml").try_into().unwrap();
    let (of_example, of_workspace) = (file("example/Cargo.toml"), file("../../Cargo.toml"));
    let asked: Vec<&str> = cargo.lines().filter(|line| !line.is_empty()).collect();
    assert!(asked.len() >= 6, "{asked:?}");
    for line in asked.into_iter().filter(|line| !line.starts_with("tributary-otel")) {
        assert!(of_example.contains(line) || of_workspace.contains(line), "{line}");
    }
    assert!(of_example.contains("tributary-otel = {"));
}

#[test]
fn the_tool_is_of_the_version_of_the_library() {
    let workspace = file("../../Cargo.toml");
    let version = workspace.split("\nworker = { version = \"=").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    for page in ["../../docs/otel.md", "../../docs/embedding.md"] {
        assert!(file(page).contains(&format!("`cargo install worker-build@{version}`")), "{page}, {version}");
    }
}

#[test]
fn the_variables_of_the_resource_say_what_the_page_says() {
    let [_, _, variables, _] = blocks("toml").try_into().unwrap();
    let lookup = |name: &str| {
        let line = variables.lines().find_map(|line| line.strip_prefix(&format!("{name} = \"")))?;
        Some(line.trim_end_matches('"').to_owned())
    };
    let (resource, problem) = resource("shop", lookup);
    let says = |key: &'static str| resource.get(&Key::from_static_str(key)).map(|value| value.to_string());
    assert_eq!(problem, None);
    assert_eq!((says("service.namespace"), says("service.name")), (Some("eu".into()), Some("cafe".into())));
    assert_eq!(says("deployment.environment.name"), Some("production".into()));
}

#[test]
fn the_bindings_of_several_queues_are_those_that_the_emitter_asks_for() {
    let [_, _, _, queues] = blocks("toml").try_into().unwrap();
    assert!(queues.contains(&format!("binding = \"{}\"\n", queue_binding(QUEUE_BINDING, 1))), "{queues}");
    assert!(queues.contains(&format!("{QUEUE_SHARDS} = \"2\"\n")), "{queues}");
}
