use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};

use futures::executor::block_on;
use tributary_proto::{Message as _, v1::ClientResolverState};
use tributary_state::native::{NativeCipher, seal};

use super::*;

/// A state with nothing in it but a credential, and `mark`.
fn state(mark: u8) -> Vec<u8> {
    let wrapper = ClientResolverState {
        state: vec![0x0a, 1, mark, 0x3a, 1, 9],
        account_id: "test".to_owned(),
        log_destinations: vec![1],
    };
    wrapper.encode_to_vec()
}

fn source() -> Source {
    let variables = BTreeMap::from([("CONFIDENCE_CLIENT_SECRET", "abc"), ("CONFIDENCE_CDN_URL", "http://cdn")]);
    Source::of(&Config::read(&variables).0).unwrap()
}

/// A CDN that serves what a test puts into it, as a CDN does: with an `ETag`, and 304 to who has it already.
struct FakeCdn {
    answer: RefCell<Result<CdnAnswer, CdnError>>,
    knows_conditions: bool,
    asked: RefCell<Vec<(String, Option<String>)>>,
}

impl FakeCdn {
    fn serving(bytes: Vec<u8>, etag: Option<&str>) -> Self {
        Self::answering(Ok(CdnAnswer { status: 200, etag: etag.map(str::to_owned), body: bytes }))
    }

    fn status(status: u16) -> Self {
        Self::answering(Ok(CdnAnswer { status, etag: None, body: Vec::new() }))
    }

    fn answering(answer: Result<CdnAnswer, CdnError>) -> Self {
        Self { answer: RefCell::new(answer), knows_conditions: true, asked: RefCell::default() }
    }

    fn last_condition(&self) -> Option<String> {
        self.asked.borrow().last().unwrap().1.clone()
    }
}

impl Cdn for FakeCdn {
    async fn get(&self, url: &str, if_none_match: Option<&str>) -> Result<CdnAnswer, CdnError> {
        self.asked.borrow_mut().push((url.to_owned(), if_none_match.map(str::to_owned)));
        let answer = self.answer.borrow().clone()?;
        if self.knows_conditions && if_none_match.is_some() && answer.etag.as_deref() == if_none_match {
            return Ok(CdnAnswer { status: 304, etag: answer.etag, body: Vec::new() });
        }
        Ok(answer)
    }
}

/// KV that may fail, before or after a write took effect.
#[derive(Default)]
struct FakeStore {
    stored: RefCell<Option<Stored>>,
    writes: Cell<u32>,
    read_fails: bool,
    write_fails: Option<bool>,
}

impl FakeStore {
    fn holding(bytes: Vec<u8>, version: Option<&str>) -> Self {
        let stored = Stored { bytes, version: version.map(str::to_owned) };
        Self { stored: RefCell::new(Some(stored)), ..Self::default() }
    }

    fn version(&self) -> Option<String> {
        self.stored.borrow().clone()?.version
    }
}

impl Store for FakeStore {
    async fn read(&self) -> Result<Option<Stored>, String> {
        if self.read_fails { Err("KV GET failed".to_owned()) } else { Ok(self.stored.borrow().clone()) }
    }

    async fn write(&self, bytes: &[u8], version: &str) -> Result<(), String> {
        self.writes.set(self.writes.get() + 1);
        if self.write_fails != Some(false) {
            *self.stored.borrow_mut() = Some(Stored { bytes: bytes.to_vec(), version: Some(version.to_owned()) });
        }
        if self.write_fails.is_some() { Err("KV PUT failed".to_owned()) } else { Ok(()) }
    }
}

fn run(cdn: &FakeCdn, store: &FakeStore) -> Outcome {
    block_on(refresh(&source(), cdn, store, &NativeCipher))
}

#[test]
fn an_empty_store_gets_the_state_and_its_version() {
    let (cdn, store) = (FakeCdn::serving(state(1), Some("\"v1\"")), FakeStore::default());
    assert_eq!(run(&cdn, &store), Outcome::Updated);
    assert_eq!(*store.stored.borrow(), Some(Stored { bytes: state(1), version: Some("\"v1\"".to_owned()) }));
    // SHA-256 of "abc", and no condition: there was nothing.
    let url = "http://cdn/ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(*cdn.asked.borrow(), [(url.to_owned(), None)]);
}

#[test]
fn a_newer_state_replaces_the_old_one_and_the_same_one_is_never_written_again() {
    let (cdn, store) = (FakeCdn::serving(state(1), Some("\"v1\"")), FakeStore::default());
    assert_eq!(run(&cdn, &store), Outcome::Updated);
    for _ in 0..3 {
        assert_eq!(run(&cdn, &store), Outcome::Unchanged);
        assert_eq!(cdn.last_condition().as_deref(), Some("\"v1\""));
    }
    assert_eq!(store.writes.get(), 1);
    *cdn.answer.borrow_mut() = Ok(CdnAnswer { status: 200, etag: Some("W/\"v2\"".to_owned()), body: state(2) });
    assert_eq!(run(&cdn, &store), Outcome::Updated);
    assert_eq!((store.writes.get(), store.version().as_deref()), (2, Some("W/\"v2\"")));
}

#[test]
fn a_cdn_without_conditions_or_without_etags_costs_no_writes() {
    let ignorant = FakeCdn { knows_conditions: false, ..FakeCdn::serving(state(1), Some("\"v1\"")) };
    for cdn in [ignorant, FakeCdn::serving(state(1), None)] {
        let store = FakeStore::default();
        assert_eq!(run(&cdn, &store), Outcome::Updated);
        assert_eq!(run(&cdn, &store), Outcome::Unchanged);
        assert_eq!(store.writes.get(), 1);
    }
}

#[test]
fn a_state_that_was_put_by_hand_is_asked_for_by_its_tag_or_replaced() {
    // A deployer that cuts off the quotes.
    let (cdn, store) = (FakeCdn::serving(state(1), Some("\"v1\"")), FakeStore::holding(state(1), Some("v1")));
    assert_eq!(run(&cdn, &store), Outcome::Unchanged);
    assert_eq!((cdn.last_condition().as_deref(), store.writes.get()), (Some("\"v1\""), 0));
    // `wrangler kv key put`, without metadata.
    let store = FakeStore::holding(state(1), None);
    assert_eq!(run(&cdn, &store), Outcome::Updated);
    assert_eq!((cdn.last_condition(), store.version().as_deref()), (None, Some("\"v1\"")));
}

#[test]
fn a_broken_state_in_the_store_is_replaced_though_its_version_is_the_newest() {
    let mut cut = state(1);
    cut.truncate(5);
    for broken in [cut, Vec::new(), b"<html>".to_vec()] {
        let (cdn, store) = (FakeCdn::serving(state(1), Some("\"v1\"")), FakeStore::holding(broken, Some("\"v1\"")));
        assert_eq!(run(&cdn, &store), Outcome::Updated);
        assert_eq!(store.stored.borrow().as_ref().unwrap().bytes, state(1));
    }
}

#[test]
fn nothing_that_is_no_state_replaces_one() {
    let whole = state(2);
    let mut bodies: Vec<Vec<u8>> = (0..whole.len() - 3).map(|end| whole[..end].to_vec()).collect();
    bodies.push(b"<html>hello</html>".to_vec());
    bodies.push(vec![0xff; 1_000]);
    for body in bodies {
        let store = FakeStore::holding(state(1), Some("\"v1\""));
        let outcome = run(&FakeCdn::serving(body, Some("\"v2\"")), &store);
        assert!(matches!(outcome, Outcome::Failed(Failure::Invalid(_))), "{outcome:?}");
        assert_eq!((store.writes.get(), store.version().as_deref()), (0, Some("\"v1\"")));
    }
}

#[test]
fn a_cdn_that_fails_changes_nothing_and_is_told_apart() {
    let failing = [
        (FakeCdn::status(401), "refused"),
        (FakeCdn::status(403), "refused"),
        (FakeCdn::status(404), "refused"),
        (FakeCdn::status(429), "unavailable"),
        (FakeCdn::status(500), "unavailable"),
        (FakeCdn::status(204), "unavailable"),
        (FakeCdn::status(301), "unavailable"),
        (FakeCdn::answering(Err(CdnError::NoAnswer("timeout".to_owned()))), "unavailable"),
        (FakeCdn::answering(Err(CdnError::TooLarge)), "invalid"),
    ];
    for (cdn, label) in failing {
        let store = FakeStore::holding(state(1), Some("\"v1\""));
        let outcome = run(&cdn, &store);
        assert_eq!(outcome.as_str(), label, "{outcome:?}");
        assert!(matches!(outcome, Outcome::Failed(_)));
        assert_eq!((store.writes.get(), store.version().as_deref()), (0, Some("\"v1\"")));
    }
    // 304 to a question without a condition is no answer.
    let outcome = run(&FakeCdn::status(304), &FakeStore::default());
    assert_eq!(outcome, Outcome::Failed(Failure::Status { status: 304 }));
}

#[test]
fn a_store_that_fails_is_said_and_the_next_refresh_mends_it() {
    let cdn = FakeCdn::serving(state(2), Some("\"v2\""));
    let store = FakeStore { read_fails: true, ..FakeStore::default() };
    assert_eq!(run(&cdn, &store).as_str(), "store_failed");
    assert_eq!((store.writes.get(), cdn.asked.borrow().len()), (0, 0));
    for (takes_effect, then) in [(false, Outcome::Updated), (true, Outcome::Unchanged)] {
        let old = FakeStore::holding(state(1), Some("\"v1\""));
        let mut store = FakeStore { write_fails: Some(takes_effect), ..old };
        assert_eq!(run(&cdn, &store).as_str(), "store_failed");
        store.write_fails = None;
        assert_eq!(run(&cdn, &store), then);
        assert_eq!(store.version().as_deref(), Some("\"v2\""));
    }
}

#[test]
fn without_a_client_secret_there_is_no_source_and_an_address_wins_over_the_cdn() {
    assert_eq!(Source::of(&Config::read(&BTreeMap::new()).0), Err(NoSource::NoSecret));
    let variables =
        BTreeMap::from([("CONFIDENCE_CLIENT_SECRET", "abc"), ("CONFIDENCE_RESOLVER_STATE_URL", "http://own/state")]);
    let (config, problems) = Config::read(&variables);
    assert_eq!(problems, []);
    assert_eq!(Source::of(&config).unwrap().url, "http://own/state");
    assert!(!format!("{config:?}").contains("own/state"));
}

const KEY: &str = "000102030405060708090A0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

fn sealed_source(key: &str) -> Source {
    let variables = BTreeMap::from([
        ("CONFIDENCE_CLIENT_SECRET", "abc"),
        ("CONFIDENCE_CDN_URL", "http://cdn"),
        ("STATE_ENCRYPTION_KEY", key),
    ]);
    Source::of(&Config::read(&variables).0).unwrap()
}

fn sealed(state: &[u8]) -> Vec<u8> {
    seal(state, &StateKey::parse(KEY).unwrap(), [3; 12])
}

#[test]
fn with_a_key_the_encrypted_state_is_asked_for_verified_and_stored_as_it_is() {
    let run = |cdn: &FakeCdn, store: &FakeStore| block_on(refresh(&sealed_source(KEY), cdn, store, &NativeCipher));
    let (cdn, store) = (FakeCdn::serving(sealed(&state(1)), Some("\"v1\"")), FakeStore::default());
    assert_eq!(run(&cdn, &store), Outcome::Updated);
    assert!(cdn.asked.borrow()[0].0.ends_with("15ad.enc"));
    assert_eq!(store.stored.borrow().as_ref().unwrap().bytes, sealed(&state(1)));
    assert_eq!(run(&cdn, &store), Outcome::Unchanged);
    // What is plain in KV is replaced, though its version is the newest: the key was set after it.
    let store = FakeStore::holding(state(1), Some("\"v1\""));
    assert_eq!(run(&cdn, &store), Outcome::Updated);
    assert_eq!(store.stored.borrow().as_ref().unwrap().bytes, sealed(&state(1)));
}

#[test]
fn what_does_not_decrypt_replaces_nothing() {
    let whole = sealed(&state(2));
    let mut altered = whole.clone();
    altered[20] ^= 1;
    let cut = whole[..whole.len() - 1].to_vec();
    // Plain where it should be encrypted, too.
    for body in [altered, cut, Vec::new(), whole[..27].to_vec(), state(2)] {
        let store = FakeStore::holding(sealed(&state(1)), Some("\"v1\""));
        let outcome =
            block_on(refresh(&sealed_source(KEY), &FakeCdn::serving(body, Some("\"v2\"")), &store, &NativeCipher));
        assert_eq!(outcome, Outcome::Failed(Failure::Invalid(StateError::Sealed)));
        assert_eq!((store.writes.get(), store.version().as_deref()), (0, Some("\"v1\"")));
    }
    let (cdn, store) = (FakeCdn::serving(whole, Some("\"v2\"")), FakeStore::holding(state(1), Some("\"v1\"")));
    let other = sealed_source(&"f0".repeat(32));
    let outcome = block_on(refresh(&other, &cdn, &store, &NativeCipher));
    assert_eq!(outcome, Outcome::Failed(Failure::Invalid(StateError::Sealed)));
    assert_eq!(store.writes.get(), 0);
}

#[test]
fn a_key_that_is_none_is_never_taken_for_no_key() {
    let variables = BTreeMap::from([("CONFIDENCE_CLIENT_SECRET", "abc"), ("STATE_ENCRYPTION_KEY", "hunter2")]);
    let (config, problems) = Config::read(&variables);
    assert_eq!(Source::of(&config), Err(NoSource::UnusableKey));
    assert_eq!(problems.len(), 1);
    assert!(problems[0].to_string().contains("STATE_ENCRYPTION_KEY"));
    assert!(!format!("{} {config:?}", problems[0]).contains("hunter2"));
}

#[test]
fn the_address_shows_in_no_text() {
    let source = source();
    let digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    let said = format!("{source:?} {}", source.redact(&format!("GET http://cdn/{digest} failed, /{digest}")));
    assert!(!said.contains("ba7816bf"), "{said}");
    assert!(said.contains("GET … failed"), "{said}");
}

#[test]
fn every_outcome_has_its_label() {
    let failures = [
        Failure::Refused { status: 404 },
        Failure::Status { status: 500 },
        Failure::Cdn(CdnError::NoAnswer(String::new())),
        Failure::Cdn(CdnError::TooLarge),
        Failure::Invalid(StateError::Empty),
        Failure::UnusableKey,
        Failure::Unreadable(String::new()),
        Failure::Unwritten(String::new()),
    ];
    let outcomes = failures.into_iter().map(Outcome::Failed).chain([Outcome::Updated, Outcome::Unchanged]);
    let labels: BTreeSet<&str> = outcomes.map(|outcome| outcome.as_str()).collect();
    assert_eq!(labels, BTreeSet::from(Outcome::LABELS));
}
