//! The generated code is checked in, so that a change of the wire is a readable diff and a build needs no protoc.
//! This test generates it again and fails on a difference; `BLESS=1 cargo test -p tributary-proto --test codegen`
//! writes it.

#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "helpers of a test fail by panicking")]

use std::{collections::BTreeMap, fs, path::Path};

use prost::Message as _;

const PROTOS: [&str; 8] = [
    "confidence/flags/admin/v1/resolve_info.proto",
    "confidence/flags/resolver/v1/events/events.proto",
    "confidence/flags/resolver/v1/flag_logs.proto",
    "confidence/flags/resolver/v1/types.proto",
    "tributary/v1/confidence.proto",
    "tributary/v1/dead_letter.proto",
    "tributary/v1/envelope.proto",
    "tributary/v1/ledger.proto",
];

/// Packages that are also spoken as JSON: what today's Confidence resolvers send.
const JSON_PACKAGES: [&str; 3] =
    [".confidence.flags.admin.v1", ".confidence.flags.resolver.v1", ".confidence.flags.resolver.v1.events"];

fn generate(into: &Path) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let descriptors = protox::compile(PROTOS, [root]).expect("the protos compile");
    let mut config = prost_build::Config::new();
    config.out_dir(into).btree_map(["."]).compile_well_known_types().extern_path(".google.protobuf", "::pbjson_types");
    config.compile_fds(descriptors.clone()).expect("prost generates");
    pbjson_build::Builder::new()
        .register_descriptors(&descriptors.encode_to_vec())
        .expect("descriptors register")
        .out_dir(into)
        .ignore_unknown_fields()
        .btree_map(["."])
        .build(&JSON_PACKAGES)
        .expect("pbjson generates");
    for (name, text) in sources(into).into_iter().filter(|(name, _)| name.ends_with(".serde.rs")) {
        fs::write(into.join(name), with_open_enums(&text)).expect("writable");
    }
}

/// Opens the enums of what pbjson generated: it refuses a message with a value that is not known, or with
/// `ignore_unknown_enum_variants` forgets which number it was.
fn with_open_enums(text: &str) -> String {
    const OPEN: &str = "crate::open_enum::OpenEnum";
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    for index in 0..lines.len() {
        let next = lines.get(index + 1).cloned().unwrap_or_default();
        let line = &mut lines[index];
        if next.contains("Invalid variant") {
            // Written: `let v = Kind::try_from(…)`, and an error on the next line that now never comes.
            wrap(line, "let v = ", "::try_from(", &format!("{OPEN}::<"), ">");
        } else if line.contains(">()? as i32") {
            wrap(line, "next_value::<", ">()? as i32", &format!("{OPEN}<"), ">");
            *line = line.replace(" as i32", ".number");
        } else if line.contains("(x as i32)") {
            wrap(line, "Option<", ">>()?", &format!("{OPEN}<"), ">");
            *line = line.replace("x as i32", "x.number");
        } else if next.contains("v as i32") {
            wrap(line, "BTreeMap<_, ", ">>()?", &format!("{OPEN}<"), ">");
        } else if line.contains("v as i32") {
            *line = line.replace("v as i32", "v.number");
        }
    }
    let text = lines.join("\n") + "\n";
    assert!(!text.contains(" as i32"), "an enum in a place that is not known here");
    assert_eq!(text.matches("Invalid variant").count(), text.matches(&format!("{OPEN}::<")).count());
    text
}

/// Puts `open` and `close` around what stands between `before` and `after`.
fn wrap(line: &mut String, before: &str, after: &str, open: &str, close: &str) {
    let (head, rest) = line.split_once(before).expect("as pbjson writes it");
    let (name, tail) = rest.split_once(after).expect("as pbjson writes it");
    *line = format!("{head}{before}{open}{name}{close}{after}{tail}");
}

fn sources(folder: &Path) -> BTreeMap<String, String> {
    fs::read_dir(folder)
        .expect("the folder is there")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|e| e == "rs") && path.file_name().is_some_and(|n| n != "mod.rs"))
        .map(|path| {
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            (name, fs::read_to_string(&path).expect("readable"))
        })
        .collect()
}

#[test]
fn generated_code_is_what_the_protos_say() {
    let checked_in = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/generated");
    if std::env::var_os("BLESS").is_some() {
        generate(&checked_in);
        return;
    }
    let fresh = Path::new(env!("CARGO_TARGET_TMPDIR")).join("generated");
    fs::create_dir_all(&fresh).expect("a folder");
    generate(&fresh);
    let (fresh, checked_in) = (sources(&fresh), sources(&checked_in));
    assert_eq!(fresh.keys().collect::<Vec<_>>(), checked_in.keys().collect::<Vec<_>>(), "run with BLESS=1");
    for (name, text) in fresh {
        assert!(Some(&text) == checked_in.get(&name), "{name} differs: run with BLESS=1");
    }
}
