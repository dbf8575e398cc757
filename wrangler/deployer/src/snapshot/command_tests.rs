use std::collections::BTreeMap;

use tempfile::TempDir;

use super::*;

fn read(arguments: &[&str]) -> Result<Options, String> {
    let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
    Options::read(&arguments).map_err(|error| error.to_string())
}

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
fn arguments_are_read_and_what_is_not_clear_is_refused() {
    let options = read(&["resolver-metrics", "--url", "https://x.example", "--since=2026-09-01", "--another"]).unwrap();
    assert_eq!(
        (options.from.as_slice(), options.url.as_deref()),
        (&["resolver-metrics".to_owned()][..], Some("https://x.example"))
    );
    assert_eq!((options.since_ms, options.another), (1_788_220_800_000, true));
    let dry = read(&["a.json", "b.json", "--dry-run", "--source", "mine", "--resolver-id", "eu"]).unwrap();
    assert_eq!(
        (dry.from.len(), dry.url, dry.source.as_deref(), dry.resolver_id.as_str()),
        (2, None, Some("mine"), "eu")
    );
    assert_eq!(dry.since_ms, FIRST_RELEASE_MS);
    for wrong in [
        &[][..],
        &["a.json"],
        &["--url", "https://x.example"],
        &["a.json", "--url"],
        &["a.json", "--url="],
        &["a.json", "--url", "x.example"],
        &["a.json", "--dryrun"],
        &["a.json", "--dry-run", "--since", "2026-05-12"],
        &["a.json", "--dry-run", "--since", "2026-5-13"],
        &["a.json", "--dry-run", "--since", "2026-13-01"],
        &["a.json", "--dry-run", "--since", "yesterday"],
        &["a.json", "--dry-run", "--since", "99999999999999999999-01-01"],
    ] {
        assert!(read(wrong).unwrap_err().contains("FROM is a KV namespace"), "{wrong:?}");
    }
}

#[test]
fn days_are_counted_across_months_and_leap_years() {
    let day = |text: &str| since(text).unwrap() / DAY_MS;
    assert_eq!(since("2026-05-13").unwrap(), FIRST_RELEASE_MS);
    assert_eq!(day("2026-06-01") - day("2026-05-31"), 1);
    assert_eq!(day("2028-03-01") - day("2028-02-28"), 2);
    assert_eq!(day("2100-03-01") - day("2100-02-28"), 1);
    assert_eq!(day("2027-05-13") - day("2026-05-13"), 365);
    for text in ["2026-05-13", "2026-12-31", "2027-01-01", "2028-02-29", "2028-03-01", "2100-02-28", "2400-02-29"] {
        assert_eq!(moment(since(text).unwrap() + 62 * 60_000 + 7), format!("{text} 01:02 UTC"));
    }
    assert_eq!(moment(0), "1970-01-01 00:00 UTC");
    assert!(!moment(u64::MAX).is_empty());
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
    run(&options, None, None, &mut printed).unwrap();
    let printed = String::from_utf8(printed).unwrap();
    let row = |sample: &str| printed.lines().find(|line| line.starts_with(sample)).unwrap().to_owned();
    let words = |row: String| row.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(words(row("confidence_resolves_total"))[1..], ["4", "23"], "{printed}");
    assert_eq!(words(row("confidence_resolve_latency_microseconds_count"))[1..], ["1", "11"]);
    assert!(printed.contains("dry run"));
}
