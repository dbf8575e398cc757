use std::collections::BTreeMap;

use tempfile::TempDir;

use super::*;
use crate::{
    report::Report,
    snapshot::{command::run, options::Options},
};

const FIRST: &[u8] = include_bytes!("fixtures/0.17.1-snapshot.json");

/// A namespace, as Cloudflare's API shows it.
struct Fake(BTreeMap<&'static str, Vec<u8>>);

impl Namespaces for Fake {
    fn find(&self, id_or_title: &str) -> Result<String, String> {
        if id_or_title == "resolver-metrics" { Ok("0a1b".into()) } else { Err("no such namespace".into()) }
    }

    fn value(&self, namespace_id: &str, key: &str) -> Result<Option<Vec<u8>>, String> {
        assert_eq!(namespace_id, "0a1b");
        Ok(self.0.get(key).cloned())
    }
}

#[test]
fn all_keys_of_a_namespace_are_added_up() {
    let namespaces = Fake(BTreeMap::from([
        ("snapshot", FIRST.to_vec()),
        ("snapshot:events", FIRST.to_vec()),
        ("prometheus", b"# HELP".to_vec()),
    ]));
    let from = ["resolver-metrics".to_owned()];
    let found = find(&from, Some(&namespaces)).unwrap();
    assert_eq!((found.source.as_str(), found.totals.latency_count()), ("kv:0a1b", 22));
    let names: Vec<_> = found.values.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["snapshot:events", "snapshot"]);

    let wrong = |values: &[(&'static str, &[u8])], from: &str| {
        let values = values.iter().map(|(key, value)| (*key, value.to_vec())).collect();
        find(&[from.to_owned()], Some(&Fake(values))).unwrap_err().to_string()
    };
    assert!(wrong(&[], "resolver-metrics").contains("holds none of snapshot:flaglogs"));
    assert!(wrong(&[], "other").contains("no such namespace"));
    let bad = wrong(&[("snapshot", FIRST), ("snapshot:events", b"{}")], "resolver-metrics");
    assert!(bad.contains("kv:0a1b, snapshot:events: no snapshot") && bad.contains("Nothing was imported"), "{bad}");
    let nothing = serde_json::to_vec(&confidence_resolver::telemetry::TelemetrySnapshot::default()).unwrap();
    assert!(wrong(&[("snapshot", &nothing)], "resolver-metrics").contains("nothing was counted"));
    assert!(find(&from, None).unwrap_err().to_string().contains("CLOUDFLARE_API_TOKEN"));
}

#[test]
fn files_are_one_source_by_what_they_hold_and_a_dry_run_shows_it() {
    let folder = TempDir::new().unwrap();
    let file = |name: &str, value: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, value).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (one, copy) = (file("one.json", FIRST), file("copy.json", FIRST));
    let source =
        |from: &[&String]| find(&from.iter().map(|name| (*name).clone()).collect::<Vec<_>>(), None).unwrap().source;
    assert_eq!(source(&[&one]), source(&[&copy]));
    assert_ne!(source(&[&one]), source(&[&one, &copy]));
    let missing = find(&[one.clone(), "gone.json".into()], None).unwrap_err().to_string();
    assert!(missing.contains("gone.json"), "{missing}");
    let long = file("long.json", &vec![b' '; MAX_VALUE_BYTES + 7]);
    assert!(find(&[long], None).unwrap_err().to_string().contains("4194305 bytes"));

    let mut printed = Vec::new();
    let options = Options::read(&[one, "--dry-run".to_owned()]).unwrap();
    run(&options, None, None, &mut Report::new(&mut printed)).unwrap();
    let printed = String::from_utf8(printed).unwrap();
    let row = |sample: &str| printed.lines().find(|line| line.starts_with(sample)).unwrap().to_owned();
    let words = |row: String| row.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(words(row("confidence_resolves_total"))[1..], ["4", "23"], "{printed}");
    assert_eq!(words(row("confidence_resolve_latency_microseconds_count"))[1..], ["1", "11"]);
    assert!(printed.contains("dry run"));
}
