use super::*;

fn read(arguments: &[&str]) -> Result<Options, String> {
    let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
    Options::read(&arguments).map_err(|error| error.to_string())
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
