//! The resolver state: what changes at the CDN is resolved without a deployment, and nothing bad ever replaces a good one.

use std::time::Duration;

use confidence_resolver::proto::{Message as _, confidence::flags::admin::v1::ResolverState};
use serde_json::json;
use tempfile::TempDir;
use tributary_local::demo_state::demo_state;
use tributary_proto::v1::ClientResolverState;
use tributary_state::{StateKey, native::seal};
use tributary_tests::{
    both::Both, cdn::Cdn, collector::Answer, consumer::Consumer, exposition::Exposition, wait::eventually,
};

const SECRET: &str = "a-client-of-a-test";
const LIMIT: Duration = Duration::from_secs(20);
const STATE_KV: &str = "CONFIDENCE_STATE_KV";
const STATE_KEY: &str = "resolver_state";
const FLAG: &str = "flags/checkout-button";

/// The demo state with every user of [`FLAG`] in one variant.
fn state(variant: &str) -> Vec<u8> {
    let mut wrapper: ClientResolverState = tributary_proto::Message::decode(demo_state(SECRET).as_slice()).unwrap();
    let mut state = ResolverState::decode(wrapper.state.as_slice()).unwrap();
    let flag = state.flags.iter_mut().find(|flag| flag.name == FLAG).unwrap();
    let spec = flag.rules[0].assignment_spec.as_mut().unwrap();
    spec.assignments.retain(|assignment| assignment.assignment_id == variant);
    spec.assignments[0].bucket_ranges[0].lower = 0;
    spec.assignments[0].bucket_ranges[0].upper = spec.bucket_count;
    wrapper.state = state.encode_to_vec();
    tributary_proto::Message::encode_to_vec(&wrapper)
}

fn refreshes(metrics: &Exposition, outcome: &str) -> f64 {
    metrics.get("tributary_state_refreshes_total", &[("outcome", outcome)])
}

#[test]
fn a_flag_that_changes_at_the_cdn_is_resolved_anew_without_a_deployment() {
    let folder = TempDir::new().unwrap();
    let cdn = Cdn::start(SECRET, "").unwrap();
    let vars = [("CONFIDENCE_CLIENT_SECRET", SECRET), ("CONFIDENCE_CDN_URL", cdn.url())];
    let both = Both::start(folder.path(), &[], &vars).unwrap();
    let user = json!({"targeting_key": "user-1"});
    let resolved = |variant: &str| {
        eventually(LIMIT, "the variant of the new state", || match both.variant(SECRET, &user, FLAG)? {
            resolved if resolved == variant => Ok(()),
            other => Err(other),
        });
    };

    // Nothing yet: the error says what is missing, and the cron brings it.
    assert_eq!(both.resolve(SECRET, &user).unwrap().status, 503);
    cdn.serve(&state("control"), "\"v1\"");
    both.scheduled().unwrap();
    resolved("control");
    assert_eq!(both.get_kv(STATE_KV, STATE_KEY).unwrap(), (state("control"), r#"{"etag":"\"v1\""}"#.to_owned()));

    // The same state is asked for with its version, and not written again.
    both.scheduled().unwrap();
    assert_eq!(cdn.received().last().unwrap().header("if-none-match"), "\"v1\"");

    cdn.serve(&state("blue"), "W/\"v2\"");
    both.scheduled().unwrap();
    resolved("blue");

    let metrics = eventually(LIMIT, "three refreshes on /metrics", || {
        let metrics = both.metrics()?;
        let counts = (refreshes(&metrics, "updated"), refreshes(&metrics, "unchanged"));
        if counts == (2.0, 1.0) { Ok(metrics) } else { Err(format!("{counts:?}")) }
    });
    assert!(metrics.get("tributary_state_last_refresh_timestamp_seconds", &[]) > 1.7e9);
    assert_eq!(cdn.received().len(), 3);
    // A resolver that sees a new state says since when.
    assert!(metrics.sum("confidence_state_last_update_timestamp_seconds") > 1.7e9);
}

#[test]
fn whatever_the_cdn_answers_a_good_state_stays_until_there_is_a_better_one() {
    let folder = TempDir::new().unwrap();
    let cdn = Cdn::start(SECRET, "").unwrap();
    let vars = [("CONFIDENCE_CLIENT_SECRET", SECRET), ("CONFIDENCE_CDN_URL", cdn.url())];
    let both = Both::start(folder.path(), &[], &vars).unwrap();
    cdn.serve(&state("control"), "\"v1\"");
    both.scheduled().unwrap();

    let (next, tag) = (state("blue"), vec![("ETag".to_owned(), "\"v2\"".to_owned())]);
    let served = |bytes: &[u8]| Answer::Status(200, tag.clone(), bytes.to_vec());
    let bad = [
        ("refused", Answer::status(404)),
        ("refused", Answer::status(403)),
        ("refused", Answer::status(401)),
        ("unavailable", Answer::status(500)),
        ("unavailable", Answer::retry_after(429, "60")),
        ("unavailable", Answer::status(302)),
        ("unavailable", Answer::Reset),
        // The connection breaks off, or the object itself was cut.
        ("unavailable", Answer::Cut(tag.clone(), next[..next.len() / 2].to_vec())),
        ("invalid", served(&next[..next.len() / 2])),
        ("invalid", served(b"<html>maintenance</html>")),
        ("invalid", served(&[0xff; 10_000])),
        ("invalid", served(b"")),
        ("invalid", Answer::Huge((16 << 20) + 1)),
    ];
    let user = json!({"targeting_key": "user-1"});
    for (_, answer) in &bad {
        cdn.answer(answer.clone());
        both.scheduled().unwrap();
        assert_eq!(both.get_kv(STATE_KV, STATE_KEY).unwrap().0, state("control"), "{answer:?}");
        assert_eq!(both.variant(SECRET, &user, FLAG).unwrap(), "control");
    }
    // Every failure is counted under its name, and the next refresh goes on as if nothing had been.
    cdn.serve(&next, "\"v2\"");
    both.scheduled().unwrap();
    assert_eq!(both.get_kv(STATE_KV, STATE_KEY).unwrap().0, next);
    eventually(LIMIT, "every refresh on /metrics", || {
        let metrics = both.metrics()?;
        for outcome in ["refused", "unavailable", "invalid"] {
            let (count, expected) = (refreshes(&metrics, outcome), bad.iter().filter(|(name, _)| *name == outcome));
            #[expect(clippy::cast_precision_loss, reason = "a handful")]
            let expected = expected.count() as f64;
            if count != expected {
                return Err(format!("{count} of {expected} {outcome}"));
            }
        }
        if refreshes(&metrics, "updated") == 2.0 { Ok(()) } else { Err("updated".to_owned()) }
    });
}

#[test]
fn without_a_client_secret_nobody_is_asked_and_nothing_is_touched() {
    let folder = TempDir::new().unwrap();
    let cdn = Cdn::start(SECRET, "").unwrap();
    cdn.serve(&state("blue"), "\"v2\"");
    let vars = [("CONFIDENCE_CLIENT_SECRET", ""), ("CONFIDENCE_CDN_URL", cdn.url())];
    let consumer = Consumer::start(folder.path(), &vars).unwrap();
    consumer.put_kv(STATE_KV, STATE_KEY, &state("control")).unwrap();
    consumer.scheduled().unwrap();
    assert_eq!(consumer.get_kv(STATE_KV, STATE_KEY).unwrap().0, state("control"));
    assert!(cdn.received().is_empty());
    // And a client that the CDN does not know keeps what was put there by hand.
    let other = TempDir::new().unwrap();
    let consumer = Consumer::start(other.path(), &[("CONFIDENCE_CDN_URL", cdn.url())]).unwrap();
    consumer.put_kv(STATE_KV, STATE_KEY, &state("control")).unwrap();
    consumer.scheduled().unwrap();
    assert_eq!(consumer.get_kv(STATE_KV, STATE_KEY).unwrap().0, state("control"));
    assert_eq!(cdn.received().len(), 1);
}

const KEY: &str = "000102030405060708090A0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

fn sealed(state: &[u8]) -> Vec<u8> {
    seal(state, &StateKey::parse(KEY).unwrap(), *b"not-again-no")
}

#[test]
fn an_encrypted_state_is_refreshed_stored_encrypted_and_resolved() {
    let folder = TempDir::new().unwrap();
    let cdn = Cdn::start(SECRET, ".enc").unwrap();
    let key = ("STATE_ENCRYPTION_KEY", KEY);
    let vars = [("CONFIDENCE_CLIENT_SECRET", SECRET), ("CONFIDENCE_CDN_URL", cdn.url()), key];
    let both = Both::start(folder.path(), &[key], &vars).unwrap();
    let user = json!({"targeting_key": "user-1"});
    let is_resolved = |variant: &str| {
        eventually(LIMIT, "the variant of the new state", || match both.variant(SECRET, &user, FLAG)? {
            resolved if resolved == variant => Ok(()),
            other => Err(other),
        });
    };
    cdn.serve(&sealed(&state("control")), "\"v1\"");
    both.scheduled().unwrap();
    let (stored, _) = both.get_kv(STATE_KV, STATE_KEY).unwrap();
    assert_eq!(stored, sealed(&state("control")));
    assert!(!stored.windows(SECRET.len()).any(|part| part == SECRET.as_bytes()), "nothing of it is readable");
    is_resolved("control");

    // Altered, cut off, under another key, not encrypted at all: the state that was there stays.
    let next = sealed(&state("blue"));
    let mut altered = next.clone();
    altered[1_000] ^= 1;
    let foreign = seal(&state("blue"), &StateKey::parse(&"f0".repeat(32)).unwrap(), *b"not-again-no");
    for body in [&altered[..], &next[..next.len() - 1], &next[..27], &foreign, &state("blue")] {
        cdn.serve(body, "\"v2\"");
        both.scheduled().unwrap();
        assert_eq!(both.get_kv(STATE_KV, STATE_KEY).unwrap().0, stored);
    }
    cdn.serve(&next, "\"v3\"");
    both.scheduled().unwrap();
    is_resolved("blue");

    // The same bytes put there by hand and broken: resolves go on with what the isolate has.
    both.put_kv(STATE_KV, STATE_KEY, &altered).unwrap();
    // Longer than STATE_REFRESH_MS here, so that the isolate reads it.
    std::thread::sleep(Duration::from_millis(1_100));
    for _ in 0..3 {
        assert_eq!(both.variant(SECRET, &user, FLAG).unwrap(), "blue");
    }
    // And the next refresh mends it, though the CDN has nothing new.
    both.scheduled().unwrap();
    assert_eq!(both.get_kv(STATE_KV, STATE_KEY).unwrap().0, next);
}

#[test]
fn a_producer_without_the_key_says_so_and_one_with_it_takes_a_plain_state_too() {
    let user = json!({"targeting_key": "user-1"});
    let other = "f0".repeat(32);
    for keys in [&[][..], &[("STATE_ENCRYPTION_KEY", other.as_str())], &[("STATE_ENCRYPTION_KEY", "no key")]] {
        let folder = TempDir::new().unwrap();
        let both = Both::start(folder.path(), keys, &[]).unwrap();
        both.put_kv(STATE_KV, STATE_KEY, &sealed(&state("control"))).unwrap();
        let reply = both.resolve(SECRET, &user).unwrap();
        assert_eq!(reply.status, 503, "{}", reply.body);
        let error = &reply.json()["error"];
        assert_eq!(error["code"], "NO_RESOLVER_STATE");
        assert!(error["message"].as_str().unwrap().contains("STATE_ENCRYPTION_KEY"), "{error}");
    }
    // A key can be set in one Worker after the other.
    let folder = TempDir::new().unwrap();
    let both = Both::start(folder.path(), &[("STATE_ENCRYPTION_KEY", KEY)], &[]).unwrap();
    both.put_kv(STATE_KV, STATE_KEY, &state("control")).unwrap();
    assert_eq!(both.variant(SECRET, &user, FLAG).unwrap(), "control");
}
