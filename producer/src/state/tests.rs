use confidence_resolver::proto::confidence::flags::admin::v1::ResolverState as ResolverStatePb;
use confidence_resolver::proto::confidence::flags::admin::v1::resolver_state::{
    BloomFilter, PackedBitset, packed_bitset,
};

use tributary_state::StateKey;

use super::*;
use crate::testing::{SECRET, state, wrapped};

const REFRESH_MS: u64 = 15_000;

fn fetched(bytes: Vec<u8>) -> Result<Found, StateError> {
    Fetched { bytes, metadata: None }.into_plain()
}

fn tagged(bytes: Vec<u8>, etag: &str) -> Fetched {
    Fetched { bytes, metadata: Some(serde_json::json!({ "etag": etag })) }
}

fn parse(bytes: Vec<u8>) -> Result<ResolverState, StateError> {
    super::parse(ServedState::decode(bytes.into())?)
}

fn loaded(now_ms: u64) -> StateCache {
    let mut cache = StateCache::default();
    cache.finish(now_ms, fetched(wrapped(&state()))).unwrap();
    cache
}

#[test]
fn the_bytes_of_the_cdn_parse() {
    let parsed = parse(wrapped(&state())).unwrap();
    assert!(parsed.secrets.contains_key(SECRET));
    assert_eq!(parsed.secrets[SECRET].account.name, "accounts/test");
    let sdk = parsed.sdk.unwrap();
    assert_eq!(sdk.sdk, Some(sdk::Sdk::Id(25)));
    assert_eq!(sdk.version, env!("CARGO_PKG_VERSION"));
}

#[test]
fn what_is_no_state_is_corrupt_and_never_a_panic() {
    use confidence_resolver::proto::Message as _;
    for bytes in [vec![], vec![0xff; 100], b"<html>".to_vec(), vec![0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f]] {
        assert!(matches!(parse(bytes.clone()), Err(StateError::NotServed(_))), "{bytes:?}");
    }
    // The bare state, without the wrapper, is an easy mistake.
    assert!(matches!(parse(state().encode_to_vec()), Err(StateError::NotServed(_))));
    let corrupt = |change: fn(&mut ResolverStatePb)| {
        let mut state = state();
        change(&mut state);
        assert!(matches!(parse(wrapped(&state)), Err(StateError::Corrupt(_))));
    };
    corrupt(|state| state.clients.clear());
    corrupt(|state| {
        let bitset = Some(packed_bitset::Bitset::GzippedBitset(vec![0x1f, 0x8b, 8, 0, 1, 2, 3]));
        state.bitsets.push(PackedBitset { segment: "segments/everybody".to_owned(), bitset });
    });
    for (bit_count, hash_function_count) in [(0, 3), (-1, 3), (8, 0), (8, -1), (8, i32::MAX)] {
        let mut state = state();
        let filter = BloomFilter { bit_count, hash_function_count, strategy: 1, data: vec![255], ..Default::default() };
        state.bloom_filters.push(filter);
        assert!(matches!(parse(wrapped(&state)), Err(StateError::Corrupt(_))), "{bit_count} {hash_function_count}");
    }
}

#[test]
fn a_truncated_state_never_panics() {
    let bytes = wrapped(&state());
    for end in 0..bytes.len() {
        if let Ok(parsed) = parse(bytes[..end].to_vec()) {
            assert!(!parsed.secrets.is_empty());
        }
    }
}

#[test]
fn a_cold_isolate_loads_and_a_warm_one_does_not() {
    let mut cache = StateCache::default();
    assert!(matches!(cache.decide(1_000_000, REFRESH_MS), Decision::Load));
    // Every request of a cold isolate loads on its own: nothing of one request's I/O is shared with another.
    assert!(matches!(cache.decide(1_000_000, REFRESH_MS), Decision::Load));
    cache.finish(1_000_000, fetched(wrapped(&state()))).unwrap();
    assert!(matches!(cache.decide(1_014_999, REFRESH_MS), Decision::Use(_)));
}

#[test]
fn an_old_state_is_used_while_one_request_refreshes_it() {
    let mut cache = loaded(0);
    assert!(matches!(cache.decide(REFRESH_MS, REFRESH_MS), Decision::UseAndRefresh(_)));
    assert!(matches!(cache.decide(REFRESH_MS, REFRESH_MS), Decision::Use(_)));
    assert!(matches!(cache.decide(REFRESH_MS + REFRESH_GRACE_MS - 1, REFRESH_MS), Decision::Use(_)));
}

#[test]
fn a_refresh_that_was_cut_off_is_taken_over() {
    let mut cache = loaded(0);
    // So seldom that nobody waits yet when the lease ends.
    let refresh_ms = 10 * REFRESH_LEASE_MS;
    cache.finish(1, Err(StateError::Unreadable("down".to_owned()))).unwrap_err();
    assert!(matches!(cache.decide(refresh_ms + 1, refresh_ms), Decision::UseAndRefresh(_)));
    assert!(matches!(cache.decide(refresh_ms + REFRESH_LEASE_MS, refresh_ms), Decision::Use(_)));
    assert!(matches!(cache.decide(refresh_ms + 1 + REFRESH_LEASE_MS, refresh_ms), Decision::UseAndRefresh(_)));
}

#[test]
fn a_state_that_nobody_looked_after_is_read_before_it_is_used() {
    let mut cache = loaded(0);
    let late_ms = REFRESH_MS + REFRESH_GRACE_MS;
    assert!(matches!(cache.decide(late_ms, REFRESH_MS), Decision::Reload(_)));
    // Whoever comes meanwhile waits, too: each has an I/O of its own.
    assert!(matches!(cache.decide(late_ms + 1, REFRESH_MS), Decision::Reload(_)));
    cache.finish(late_ms + 2, fetched(wrapped(&state()))).unwrap();
    assert!(matches!(cache.decide(late_ms + 3, REFRESH_MS), Decision::Use(_)));
    // A refresh under way that does not come to its end is not waited out either.
    assert!(matches!(cache.decide(late_ms + 2 + REFRESH_MS, REFRESH_MS), Decision::UseAndRefresh(_)));
    assert!(matches!(cache.decide(2 * late_ms + 2, REFRESH_MS), Decision::Reload(_)));
}

#[test]
fn nobody_waits_for_a_store_that_failed_until_it_works_again() {
    let mut cache = loaded(0);
    let late_ms = REFRESH_MS + REFRESH_GRACE_MS;
    assert!(matches!(cache.decide(late_ms, REFRESH_MS), Decision::Reload(_)));
    assert!(cache.finish(late_ms, Err(StateError::Unreadable("down".to_owned()))).is_err());
    assert!(matches!(cache.decide(3 * late_ms, REFRESH_MS), Decision::UseAndRefresh(_)));
    assert!(matches!(cache.decide(3 * late_ms + 1, REFRESH_MS), Decision::Use(_)));
    cache.finish(3 * late_ms + 2, fetched(wrapped(&state()))).unwrap();
    assert!(matches!(cache.decide(4 * late_ms + 2, REFRESH_MS), Decision::Reload(_)));
}

#[test]
fn a_change_is_seen_within_a_minute_of_its_write() {
    // The oldest state that a resolve uses without a failure: read that long ago, from a copy of KV's that old.
    let refresh_ms = crate::config::Config::default().state_refresh_ms;
    let oldest_ms = refresh_ms + REFRESH_GRACE_MS + crate::limits::KV_CACHE_TTL_SECS * 1_000;
    assert!(oldest_ms + crate::limits::RELOAD_TIMEOUT_MS < 60_000);
    let mut cache = loaded(0);
    for age_ms in 0..3 * refresh_ms {
        let is_waiting = matches!(cache.decide(age_ms, refresh_ms), Decision::Reload(_));
        assert_eq!(is_waiting, age_ms >= refresh_ms + REFRESH_GRACE_MS);
    }
}

#[test]
fn an_unchanged_version_is_not_parsed_again() {
    let mut cache = loaded(0);
    let before = cache.current().unwrap();
    let after = cache.finish(REFRESH_MS, fetched(wrapped(&state()))).unwrap();
    assert!(Rc::ptr_eq(&before, &after));
    assert_eq!(after.changed_ms, 0);
    assert!(matches!(cache.decide(REFRESH_MS + 1, REFRESH_MS), Decision::Use(_)));
}

#[test]
fn the_etag_of_the_metadata_is_the_version() {
    let mut cache = StateCache::default();
    let first = cache.finish(0, tagged(wrapped(&state()), "\"v1\"").into_plain()).unwrap();
    assert_eq!(first.etag, "\"v1\"");
    // The same etag: neither decrypted nor parsed, whatever the bytes.
    assert!(cache.has(&tagged(vec![0xff], "\"v1\"").version()));
    assert!(Rc::ptr_eq(&first, &cache.finish(1, Ok(Found::Same)).unwrap()));
    assert!(!cache.has(&tagged(vec![0xff], "\"v2\"").version()));
    let second = cache.finish(2, tagged(wrapped(&state()), "\"v2\"").into_plain()).unwrap();
    assert_eq!((second.etag.as_str(), second.changed_ms), ("\"v2\"", 2));
}

#[test]
fn another_state_takes_effect_and_a_resolve_in_progress_keeps_the_old_one() {
    let mut cache = loaded(0);
    let held = cache.current().unwrap();
    let mut other = state();
    other.flags.pop();
    cache.finish(5, fetched(wrapped(&other))).unwrap();
    assert_eq!(held.resolver.flags.len(), 2);
    assert_eq!(cache.current().unwrap().resolver.flags.len(), 1);
    assert_eq!(cache.current().unwrap().changed_ms, 5);
    assert_ne!(cache.current().unwrap().etag, held.etag);
}

#[test]
fn a_failed_refresh_keeps_the_old_state_and_waits_for_the_next_interval() {
    for failure in [Err(StateError::Unreadable("down".to_owned())), Err(StateError::Missing), fetched(vec![0xff])] {
        let mut cache = loaded(0);
        assert!(matches!(cache.decide(REFRESH_MS, REFRESH_MS), Decision::UseAndRefresh(_)));
        assert!(cache.finish(REFRESH_MS, failure).is_err());
        assert!(cache.current().is_some());
        for now_ms in [REFRESH_MS, REFRESH_MS + 1, 2 * REFRESH_MS - 1] {
            assert!(matches!(cache.decide(now_ms, REFRESH_MS), Decision::Use(_)));
        }
        assert!(matches!(cache.decide(2 * REFRESH_MS, REFRESH_MS), Decision::UseAndRefresh(_)));
    }
}

#[test]
fn a_missing_state_is_refused_for_a_moment_and_then_looked_for_again() {
    let mut cache = StateCache::default();
    assert_eq!(cache.finish(0, Err(StateError::Missing)).unwrap_err(), StateError::Missing);
    assert!(matches!(cache.decide(FAILED_LOAD_HOLD_MS - 1, REFRESH_MS), Decision::Refuse(StateError::Missing)));
    assert!(matches!(cache.decide(FAILED_LOAD_HOLD_MS, REFRESH_MS), Decision::Load));
    cache.finish(FAILED_LOAD_HOLD_MS, fetched(wrapped(&state()))).unwrap();
    assert!(matches!(cache.decide(FAILED_LOAD_HOLD_MS, REFRESH_MS), Decision::Use(_)));
}

#[test]
fn the_error_says_what_to_do() {
    let text = StateError::Missing.to_string();
    assert!(text.contains("CONFIDENCE_STATE_KV") && text.contains("resolver_state") && text.contains("kv key put"));
}

#[test]
fn an_encrypted_state_is_refused_without_its_key_and_the_error_names_the_secret() {
    use tributary_state::native::{NativeCipher, seal};
    let key = StateKey::parse(&"0f".repeat(32)).unwrap();
    let sealed = seal(&wrapped(&state()), &key, [9; 12]);
    let open = |key: Option<&StateKey>| {
        let served = futures::executor::block_on(tributary_state::sealed::open(sealed.clone(), key, &NativeCipher));
        served.map_err(StateError::from).and_then(super::parse)
    };
    assert!(open(Some(&key)).unwrap().secrets.contains_key(SECRET));
    for other in [None, Some(StateKey::parse(&"f0".repeat(32)).unwrap())] {
        let mut cache = loaded(0);
        let error = open(other.as_ref()).unwrap_err();
        assert!(error.to_string().contains("STATE_ENCRYPTION_KEY"), "{error}");
        assert!(cache.finish(1, Err(error)).is_err());
        assert!(cache.current().is_some(), "the state that there was stays");
    }
}
