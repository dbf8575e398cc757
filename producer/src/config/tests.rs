use super::*;

fn parse(pairs: &[(&str, &str)]) -> (Config, Vec<Problem>) {
    Config::parse(|name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
}

const KEY: &str = "AAECAwQFBgcICQoLDA0ODw==";

#[test]
fn an_empty_environment_gives_the_defaults_and_says_what_is_refused() {
    let (config, problems) = parse(&[]);
    assert_eq!(config, Config::default());
    assert_eq!(problems, vec![Problem::NoEncryptionKey]);
    assert!(problems[0].to_string().contains("RESOLVE_TOKEN_ENCRYPTION_KEY"));
}

#[test]
fn a_full_environment_is_read() {
    let (config, problems) = parse(&[
        (ENCRYPTION_KEY, KEY),
        (KEY_VARIABLE, &"0f".repeat(32)),
        (ALLOWED_ORIGIN, "https://example.com"),
        (FORCE_APPLY, "True"),
        (RESOLVER_ID, "edge-1"),
        (ENVIRONMENT, " staging "),
        (FLUSH_INTERVAL_MS, "0"),
        (STATE_REFRESH_MS, "5000"),
    ]);
    assert_eq!(problems, vec![]);
    assert_eq!(*config.encryption_key.unwrap().expose(), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]);
    assert_eq!(config.state_key, StateKey::parse(&"0f".repeat(32)).ok());
    assert_eq!(config.allowed_origin, "https://example.com");
    assert!(config.force_apply);
    assert_eq!(config.resolver_id, "edge-1");
    assert_eq!(config.environment.as_deref(), Some("staging"));
    assert_eq!(config.flush_interval_ms, 0);
    assert_eq!(config.state_refresh_ms, 5_000);
}

#[test]
fn unusable_values_fall_back_to_the_default_and_are_named_without_their_value() {
    let long = "x".repeat(129);
    let bad = [
        (ENCRYPTION_KEY, "hunter2-not-base64!"),
        (KEY_VARIABLE, "hunter2-not-hexadecimal"),
        (ALLOWED_ORIGIN, "https://a\r\nx: y"),
        (FORCE_APPLY, "maybe-hunter2"),
        (RESOLVER_ID, long.as_str()),
        (ENVIRONMENT, long.as_str()),
        (QUEUE_SHARDS, "17"),
        (FLUSH_INTERVAL_MS, "-1"),
        (STATE_REFRESH_MS, "30s-hunter2"),
    ];
    let (config, problems) = parse(&bad);
    assert_eq!(config, Config::default());
    assert_eq!(problems.len(), bad.len());
    for (problem, (name, value)) in problems.iter().zip(bad) {
        let text = problem.to_string();
        assert!(text.contains(name), "{text}");
        assert!(!text.contains(value), "{text}");
        assert!(!text.contains("hunter2"), "{text}");
    }
}

#[test]
fn a_key_of_another_length_is_refused() {
    for key in ["", "AA==", "AAECAwQFBgcICQoLDA0OD w==", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="] {
        assert_eq!(parse(&[(ENCRYPTION_KEY, key)]).0.encryption_key, None, "{key}");
    }
}

#[test]
fn an_interval_past_its_range_is_clamped_and_said() {
    let (config, problems) = parse(&[(ENCRYPTION_KEY, KEY), (FLUSH_INTERVAL_MS, "18446744073709551615")]);
    assert_eq!(config.flush_interval_ms, 20_000);
    assert_eq!(problems, vec![Problem::Clamped { name: FLUSH_INTERVAL_MS, used: 20_000 }]);
}

#[test]
fn the_longest_flush_with_its_sends_fits_into_wait_until() {
    let sends = crate::limits::SEND_TIMEOUT_MS * 3 + crate::limits::SEND_BACKOFF_MS.iter().sum::<u64>();
    assert!(sends < crate::limits::IN_FLIGHT_MS);
    assert!(crate::limits::MAX_FLUSH_INTERVAL_MS + sends < 30_000);
    const { assert!(crate::limits::MAX_FLUSH_INTERVAL_MS + crate::limits::LEASE_GRACE_MS < 30_000) };
}

#[test]
fn a_secret_shows_nothing() {
    let secret = Secret::new("hunter2");
    assert!(!format!("{secret:?} {secret}").contains("hunter2"));
    let (config, _) = parse(&[(ENCRYPTION_KEY, KEY)]);
    let shown = format!("{config:?}");
    assert!(!shown.contains("14, 15") && !shown.contains(KEY), "{shown}");
}

#[test]
fn sticky_assignments_are_kept_for_90_days_for_ever_or_as_long_as_is_said() {
    let ttl = |text: &str| {
        let (config, problems) = parse(&[(ENCRYPTION_KEY, KEY), (MATERIALIZATION_TTL_SECONDS, text)]);
        (config.materialization_ttl_secs, problems.len())
    };
    assert_eq!(ttl(""), (Some(90 * 24 * 3_600), 0));
    assert_eq!(ttl("3600"), (Some(3_600), 0));
    assert_eq!(ttl("0"), (None, 0));
    // KV takes no less, and what is longer than ten years is a mistake.
    assert_eq!(ttl("59"), (Some(60), 1));
    assert_eq!(ttl("99999999999"), (Some(315_360_000), 1));
    assert_eq!(ttl("90d"), (Some(7_776_000), 1));
}
