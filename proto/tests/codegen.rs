//! The generated code is checked in, so that a change of the wire is a readable diff and a build needs no protoc.
//! This test generates it again and fails on a difference; `BLESS=1 cargo test -p tributary-proto --test codegen`
//! writes it.

#![allow(clippy::expect_used, reason = "helpers of a test fail by panicking")]

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
