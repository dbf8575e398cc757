//! Whole resolves on a store that fails to order.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, VecDeque};

use confidence_resolver::ResolverState;
use confidence_resolver::proto::confidence::flags::resolver::v1::{MaterializationRecord, ResolveReason};
use futures::executor::block_on;

use super::key::key_of;
use super::read::{ReadError, Records, read};
use super::recent::Recent;
use super::write::{Outcome, Plan, plan, store};
use super::*;
use crate::config::Config;
use crate::host::{self, WorkerHost};
use crate::limits::{
    MAX_BULK_KEYS, MAX_READ_RECORDS, MAX_WRITE_RECORDS, RECENT_MS, WRITE_BACKOFF_MS, WRITE_TIME_MS, WRITE_TIMEOUT_MS,
};
use crate::resolve::{self, Resolved, Step};
use crate::testing::{EXPERIMENT, SECRET, sticky_state};

/// What a call of the store does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Works,
    Fails,
    /// It fails, and what it was to do is done all the same.
    FailsLate,
    /// It never ends.
    Hangs,
}

/// A store in memory. Its clock moves when somebody waits, as that of a Worker does.
#[derive(Default)]
struct Memory {
    values: RefCell<BTreeMap<String, String>>,
    ttl: Cell<Option<u64>>,
    gets: Cell<u32>,
    puts: Cell<u32>,
    now_ms: Cell<u64>,
    get_fates: RefCell<VecDeque<Fate>>,
    put_fates: RefCell<VecDeque<Fate>>,
}

impl Memory {
    fn gets(fates: &[Fate]) -> Self {
        Self { get_fates: RefCell::new(fates.iter().copied().collect()), ..Self::default() }
    }

    fn puts(fates: &[Fate]) -> Self {
        Self { put_fates: RefCell::new(fates.iter().copied().collect()), ..Self::default() }
    }

    fn holds(&self, key: &str) -> Option<String> {
        self.values.borrow().get(key).cloned()
    }
}

fn next(fates: &RefCell<VecDeque<Fate>>) -> Fate {
    fates.borrow_mut().pop_front().unwrap_or(Fate::Works)
}

impl Store for Memory {
    async fn get(&self, keys: &[String]) -> Result<BTreeMap<String, Option<String>>, String> {
        assert!((1..=MAX_BULK_KEYS).contains(&keys.len()), "{} keys", keys.len());
        self.gets.set(self.gets.get() + 1);
        match next(&self.get_fates) {
            Fate::Works => Ok(keys.iter().map(|key| (key.clone(), self.holds(key))).collect()),
            Fate::Fails | Fate::FailsLate => Err("KV GET failed: 500".to_owned()),
            Fate::Hangs => std::future::pending().await,
        }
    }

    async fn put(&self, key: &str, value: &str, ttl_secs: Option<u64>) -> Result<(), String> {
        self.puts.set(self.puts.get() + 1);
        let fate = next(&self.put_fates);
        if fate == Fate::Hangs {
            return std::future::pending().await;
        }
        if fate != Fate::Fails {
            self.values.borrow_mut().insert(key.to_owned(), value.to_owned());
            self.ttl.set(ttl_secs);
        }
        if fate == Fate::Works { Ok(()) } else { Err("KV PUT failed: 429 Too Many Requests".to_owned()) }
    }

    async fn wait(&self, milliseconds: u64) {
        // The others that are ready go first: what works ends before any limit.
        for _ in 0..3 {
            yield_now().await;
        }
        self.now_ms.set(self.now_ms.get() + milliseconds);
    }

    fn now_ms(&self) -> u64 {
        self.now_ms.get()
    }
}

async fn yield_now() {
    let mut is_done = false;
    std::future::poll_fn(|context| {
        if is_done {
            return std::task::Poll::Ready(());
        }
        is_done = true;
        context.waker().wake_by_ref();
        std::task::Poll::Pending
    })
    .await;
}

/// What a resolve came to, with the records that it assigned and what it had read.
struct Done {
    resolved: Resolved,
    seen: Seen,
}

fn first_step<'a>(
    state: &'a ResolverState,
    flag: &str,
    unit: &str,
    country: &str,
    is_sticky: bool,
) -> Step<'a, WorkerHost> {
    let body = serde_json::json!({
        "clientSecret": SECRET, "flags": [flag], "apply": true,
        "evaluationContext": {"targeting_key": unit, "country": country},
    });
    let config = Config::default();
    let call = resolve::parse(body.to_string().as_bytes(), &config).unwrap();
    resolve::run::<WorkerHost>(call, state, &config, is_sticky).unwrap()
}

fn resolve_on(kv: &Memory, recent: &RefCell<Recent>, flag: &str, unit: &str, country: &str) -> Done {
    let state = crate::testing::resolver(&sticky_state()).unwrap();
    match first_step(&state, flag, unit, country, true) {
        Step::Resolved(resolved) => Done { resolved, seen: Seen::new() },
        Step::Suspended(suspended) => match block_on(read(kv, recent, &suspended.asked)) {
            Ok(Records { found, seen }) => Done { resolved: suspended.resume(found).unwrap(), seen },
            Err(_) => Done { resolved: suspended.give_up().unwrap(), seen: Seen::new() },
        },
    }
}

fn keep(kv: &Memory, recent: &RefCell<Recent>, done: Done, included: &BTreeSet<String>) -> Outcome {
    let plan = plan(done.resolved.assigned, &done.seen, included, &mut recent.borrow_mut(), kv.now_ms());
    block_on(store(kv, recent, plan, Some(90)))
}

fn variant(done: &Done) -> (String, i32) {
    let flag = &done.resolved.response.resolved_flags[0];
    (flag.variant.clone(), flag.reason)
}

const MATCH: i32 = ResolveReason::Match as i32;
const NO_MATCH: i32 = ResolveReason::NoSegmentMatch as i32;
const NOT_SUPPORTED: i32 = ResolveReason::MaterializationNotSupported as i32;

fn record(n: usize) -> MaterializationRecord {
    MaterializationRecord {
        unit: format!("u{n}"),
        materialization: "m".to_owned(),
        rule: "r".to_owned(),
        variant: "v".to_owned(),
    }
}

#[test]
fn who_was_assigned_a_variant_keeps_it_whatever_the_context_says_later() {
    let (kv, recent) = (Memory::default(), RefCell::default());
    let first = resolve_on(&kv, &recent, "flags/sticky", "u1", "SE");
    let (assigned, reason) = variant(&first);
    assert_eq!(reason, MATCH);
    let outcome = keep(&kv, &recent, first, &BTreeSet::new());
    assert_eq!(outcome, Outcome { written: 1, ..Outcome::default() });
    let key = format!("mat:u1:{EXPERIMENT}:flags/sticky/rules/one");
    assert_eq!((kv.holds(&key), kv.ttl.get()), (Some(assigned.clone()), Some(90)));

    // Elsewhere, so that nothing but the store can know: the targeting no longer matches, the variant stays.
    let elsewhere = RefCell::default();
    let later = resolve_on(&kv, &elsewhere, "flags/sticky", "u1", "DE");
    assert_eq!(variant(&later), (assigned, MATCH));
    assert!(later.resolved.assigned.is_empty(), "nothing to write again");
    // Somebody else is not in it.
    assert_eq!(variant(&resolve_on(&kv, &elsewhere, "flags/sticky", "u2", "DE")).1, NO_MATCH);
}

#[test]
fn the_store_decides_and_not_the_bucket() {
    let (kv, recent) = (Memory::default(), RefCell::default());
    let (bucketed, _) = variant(&resolve_on(&kv, &recent, "flags/sticky", "u1", "SE"));
    let other = if bucketed.ends_with("/on") { "flags/sticky/variants/off" } else { "flags/sticky/variants/on" };
    let key = format!("mat:u1:{EXPERIMENT}:flags/sticky/rules/one");
    kv.values.borrow_mut().insert(key.clone(), other.to_owned());
    assert_eq!(variant(&resolve_on(&kv, &recent, "flags/sticky", "u1", "SE")), (other.to_owned(), MATCH));
    // A variant that there is no more: assigned anew, and that replaces it.
    kv.values.borrow_mut().insert(key.clone(), "flags/sticky/variants/gone".to_owned());
    let anew = resolve_on(&kv, &recent, "flags/sticky", "u1", "SE");
    assert_eq!(variant(&anew).0, bucketed);
    assert_eq!(keep(&kv, &recent, anew, &BTreeSet::new()).written, 1);
    assert_eq!(kv.holds(&key), Some(bucketed));
}

#[test]
fn without_a_store_everything_is_as_before() {
    let state = crate::testing::resolver(&sticky_state()).unwrap();
    let reason = |flag: &str, is_sticky| match first_step(&state, flag, "u1", "SE", is_sticky) {
        Step::Resolved(resolved) => {
            assert!(resolved.assigned.is_empty());
            Some(resolved.response.resolved_flags[0].reason)
        }
        Step::Suspended(_) => None,
    };
    assert_eq!(reason("flags/sticky", false), Some(NOT_SUPPORTED));
    assert_eq!(reason("flags/all", false), Some(MATCH));
    // And with one nothing is asked for that is not sticky.
    assert_eq!(reason("flags/all", true), Some(MATCH));
    assert_eq!(reason("flags/sticky", true), None);
}

#[test]
fn a_store_that_cannot_be_read_fails_the_sticky_flags_alone_and_nothing_is_written() {
    host::drain();
    for fates in [&[Fate::Fails, Fate::Fails][..], &[Fate::Hangs]] {
        let (kv, recent) = (Memory::gets(fates), RefCell::default());
        let done = resolve_on(&kv, &recent, "flags/sticky", "u1", "SE");
        assert_eq!(variant(&done), (String::new(), NOT_SUPPORTED));
        assert!(done.resolved.assigned.is_empty(), "a guess must not replace what is stored");
    }
    assert_eq!(host::pending_assignments(), 0, "and is no exposure");
    // All flags of the client at once: those that need no store are answered.
    let state = crate::testing::resolver(&sticky_state()).unwrap();
    let body = serde_json::json!({
        "clientSecret": SECRET, "apply": true, "evaluationContext": {"targeting_key": "u1", "country": "SE"},
    });
    let config = Config::default();
    let call = resolve::parse(body.to_string().as_bytes(), &config).unwrap();
    let Ok(Step::Suspended(suspended)) = resolve::run::<WorkerHost>(call, &state, &config, true) else { panic!() };
    let resolved = suspended.give_up().unwrap();
    let reasons: BTreeMap<_, _> =
        resolved.response.resolved_flags.iter().map(|flag| (flag.flag.as_str(), flag.reason)).collect();
    assert_eq!(reasons["flags/all"], MATCH);
    assert_eq!(reasons["flags/sticky"], NOT_SUPPORTED);
    host::drain();
}

#[test]
fn one_failure_of_a_read_is_tried_again() {
    let (kv, recent) = (Memory::gets(&[Fate::Fails]), RefCell::default());
    assert_eq!(variant(&resolve_on(&kv, &recent, "flags/sticky", "u1", "SE")).1, MATCH);
    assert_eq!(kv.gets.get(), 2);
}

#[test]
fn many_records_are_read_in_few_calls_and_too_many_not_at_all() {
    let asked: Vec<_> = (0..250).map(record).collect();
    let kv = Memory::default();
    for asked in asked.iter().take(249) {
        kv.values.borrow_mut().insert(key_of(asked), "v".to_owned());
    }
    let records = block_on(read(&kv, &RefCell::default(), &asked)).unwrap();
    assert_eq!((records.found.len(), records.seen.len(), kv.gets.get()), (249, 250, 3));
    assert_eq!(records.found[7], record(7));
    assert_eq!(records.seen[&key_of(&record(249))], None);

    let many: Vec<_> = (0..=MAX_READ_RECORDS).map(record).collect();
    let error = block_on(read(&kv, &RefCell::default(), &many)).unwrap_err();
    assert_eq!(error, ReadError::TooMany(MAX_READ_RECORDS + 1));
    assert_eq!(kv.gets.get(), 3);
}

#[test]
fn an_isolate_knows_what_it_assigned_before_kv_does() {
    let recent = RefCell::default();
    let (kv, stale) = (Memory::default(), Memory::default());
    let first = resolve_on(&kv, &recent, "flags/sticky", "u1", "SE");
    let (assigned, _) = variant(&first);
    keep(&kv, &recent, first, &BTreeSet::new());
    // A data centre where KV goes on saying that there is nothing.
    let later = resolve_on(&stale, &recent, "flags/sticky", "u1", "DE");
    assert_eq!(variant(&later), (assigned, MATCH));
    assert_eq!(stale.gets.get(), 0, "and is not asked");
    stale.now_ms.set(RECENT_MS);
    assert_eq!(variant(&resolve_on(&stale, &recent, "flags/sticky", "u1", "DE")).1, NO_MATCH);
}

#[test]
fn one_record_is_written_once_however_many_resolves_assign_it() {
    let (kv, recent) = (Memory::default(), RefCell::default());
    // Side by side: all of them have read that there is nothing.
    let done: Vec<_> = (0..3).map(|_| resolve_on(&kv, &recent, "flags/sticky", "u1", "SE")).collect();
    let outcomes: Vec<_> = done.into_iter().map(|done| keep(&kv, &recent, done, &BTreeSet::new())).collect();
    assert_eq!(outcomes.iter().map(|outcome| outcome.written).sum::<u64>(), 1);
    assert_eq!(outcomes.iter().map(|outcome| outcome.unchanged).sum::<u64>(), 2);
    assert_eq!(kv.puts.get(), 1);
}

#[test]
fn a_rule_that_only_writes_costs_a_read_where_it_would_change_nothing() {
    let kv = Memory::default();
    // Of another isolate each time.
    let fresh = || resolve_on(&kv, &RefCell::default(), "flags/write-only", "u1", "SE");
    assert_eq!(keep(&kv, &RefCell::default(), fresh(), &BTreeSet::new()).written, 1);
    for _ in 0..3 {
        let outcome = keep(&kv, &RefCell::default(), fresh(), &BTreeSet::new());
        assert_eq!((outcome.written, outcome.unchanged), (0, 1));
    }
    assert_eq!(kv.puts.get(), 1);
    // Where that read fails the write is made: it does no harm.
    kv.get_fates.borrow_mut().extend([Fate::Fails, Fate::Fails]);
    assert_eq!(keep(&kv, &RefCell::default(), fresh(), &BTreeSet::new()).written, 1);
}

#[test]
fn a_paused_intake_writes_nothing_and_takes_nobody_in() {
    let (kv, recent) = (Memory::default(), RefCell::default());
    let done = resolve_on(&kv, &recent, "flags/paused", "u1", "SE");
    assert_eq!(variant(&done).1, NO_MATCH);
    kv.values.borrow_mut().insert(
        "mat:u1:materializedSegments/paused:flags/paused/rules/one".to_owned(),
        "flags/paused/variants/off".to_owned(),
    );
    let done = resolve_on(&kv, &recent, "flags/paused", "u1", "SE");
    assert_eq!(variant(&done), ("flags/paused/variants/off".to_owned(), MATCH));
    // The variant is gone: the rule assigns anew, and has no name to write that to.
    kv.values
        .borrow_mut()
        .insert("mat:u1:materializedSegments/paused:flags/paused/rules/one".to_owned(), "gone".to_owned());
    let done = resolve_on(&kv, &recent, "flags/paused", "u1", "SE");
    assert_eq!(variant(&done).1, MATCH);
    assert_eq!(keep(&kv, &recent, done, &BTreeSet::new()), Outcome::default());
    assert_eq!(kv.puts.get(), 0);
}

#[test]
fn whoever_was_assigned_is_in_the_materialization_where_a_segment_asks_for_it() {
    let (kv, recent) = (Memory::default(), RefCell::default());
    let mut cache = crate::state::StateCache::default();
    let fetched = crate::state::Fetched { bytes: crate::testing::wrapped(&sticky_state()), metadata: None };
    let included = cache.finish(0, fetched.into_plain()).unwrap().included.clone();
    assert_eq!(included, BTreeSet::from([EXPERIMENT.to_owned()]));
    assert_eq!(variant(&resolve_on(&kv, &recent, "flags/members", "u1", "SE")).1, NO_MATCH);
    let done = resolve_on(&kv, &recent, "flags/sticky", "u1", "SE");
    assert_eq!(keep(&kv, &recent, done, &included).written, 2);
    assert_eq!(kv.holds(&format!("mat:u1:{EXPERIMENT}:__included__")).as_deref(), Some("1"));
    assert_eq!(variant(&resolve_on(&kv, &RefCell::default(), "flags/members", "u1", "SE")).1, MATCH);
    assert_eq!(variant(&resolve_on(&kv, &RefCell::default(), "flags/members", "u2", "SE")).1, NO_MATCH);
}

#[test]
fn a_flag_that_falls_through_before_it_is_suspended_resolves_and_keeps_both_records() {
    use confidence_resolver::ResolveProcessState;
    use confidence_resolver::proto::Message as _;
    use confidence_resolver::proto::confidence::flags::resolver::v1::{ResolveFlagsRequest, ResolveProcessRequest};
    let state = crate::testing::resolver(&sticky_state()).unwrap();
    // What the crate (0.26.1) does with it on its own; to be dropped when this fails.
    let request = ResolveFlagsRequest { flags: vec!["flags/holdout".to_owned()], apply: true, ..Default::default() };
    let context: confidence_resolver::proto::google::Struct =
        serde_json::from_str(r#"{"targeting_key": "u1", "country": "SE"}"#).unwrap();
    let resolver = state.get_resolver::<WorkerHost>(SECRET, context, &bytes::Bytes::new()).unwrap();
    let answer = resolver.resolve_flags(ResolveProcessRequest::deferred_materializations(request)).unwrap();
    let (_, continuation) = answer.into_suspended().unwrap();
    let process = ResolveProcessState::decode(continuation.as_slice()).unwrap();
    assert_eq!(process.materializations_to_write.len(), 1);
    assert!(resolver.resolve_flags(ResolveProcessRequest::resume(Vec::new(), continuation)).is_err());

    let (kv, recent) = (Memory::default(), RefCell::default());
    let done = resolve_on(&kv, &recent, "flags/holdout", "u1", "SE");
    assert_eq!(variant(&done).1, MATCH);
    assert_eq!(keep(&kv, &recent, done, &BTreeSet::new()).written, 2);
    assert_eq!(kv.holds("mat:u1:materializedSegments/holdout:flags/holdout/rules/one").as_deref(), Some(""));
    assert!(kv.holds("mat:u1:materializedSegments/second:flags/holdout/rules/two").is_some());
    // An empty value is a record like any other: that somebody was let through.
    let again = resolve_on(&kv, &RefCell::default(), "flags/holdout", "u1", "SE");
    assert_eq!(keep(&kv, &RefCell::default(), again, &BTreeSet::new()).written, 0);
}

#[test]
fn flags_resolved_in_the_first_step_keep_their_records_too() {
    let state = crate::testing::resolver(&sticky_state()).unwrap();
    let body = serde_json::json!({
        "clientSecret": SECRET, "flags": ["flags/write-only", "flags/sticky"], "apply": true,
        "evaluationContext": {"targeting_key": "u1", "country": "SE"},
    });
    let config = Config::default();
    let call = resolve::parse(body.to_string().as_bytes(), &config).unwrap();
    let Ok(Step::Suspended(suspended)) = resolve::run::<WorkerHost>(call, &state, &config, true) else { panic!() };
    let rules: BTreeSet<_> =
        suspended.resume(Vec::new()).unwrap().assigned.into_iter().map(|record| record.rule).collect();
    assert_eq!(rules, BTreeSet::from(["flags/sticky/rules/one".to_owned(), "flags/write-only/rules/one".to_owned()]));
}

fn plan_of(count: usize, recent: &RefCell<Recent>) -> Plan {
    plan((0..count).map(record).collect(), &Seen::new(), &BTreeSet::new(), &mut recent.borrow_mut(), 0)
}

#[test]
fn what_a_resolve_read_and_assigned_again_is_not_written() {
    // As of somebody whom a sticky rule lets fall through: the record has no variant to answer with, and is made anew.
    let through = MaterializationRecord { variant: String::new(), ..record(0) };
    let stored = |value: Option<&str>| Seen::from([(key_of(&through), value.map(str::to_owned))]);
    let writes = |seen: &Seen| {
        let plan = plan(vec![through.clone()], seen, &BTreeSet::new(), &mut Recent::default(), 0);
        (plan.writes.len(), plan.unchanged)
    };
    assert_eq!(writes(&stored(Some(""))), (0, 1));
    assert_eq!(writes(&stored(Some("v"))), (1, 0));
    assert_eq!(writes(&stored(None)), (1, 0));
}

#[test]
fn a_write_is_tried_three_times_and_then_counted_and_forgotten() {
    for (fates, written, puts) in [
        (&[Fate::Fails][..], 1, 2),
        (&[Fate::FailsLate], 1, 2),
        (&[Fate::Fails, Fate::Fails], 1, 3),
        (&[Fate::Hangs], 1, 2),
        (&[Fate::Fails, Fate::Fails, Fate::Fails], 0, 3),
    ] {
        let (kv, recent) = (Memory::puts(fates), RefCell::default());
        let outcome = block_on(store(&kv, &recent, plan_of(1, &recent), None));
        assert_eq!((outcome.written, outcome.failed, kv.puts.get()), (written, 1 - written, puts), "{fates:?}");
        assert_eq!(outcome.failure.is_some(), written == 0);
        // Who was not stored is tried again by the next resolve; who was is not.
        assert_eq!(recent.borrow().get(&key_of(&record(0)), kv.now_ms()).is_some(), written == 1);
        assert_eq!(kv.ttl.get(), None);
    }
}

#[test]
fn a_store_that_hangs_is_given_up_in_time_and_every_record_is_counted() {
    let (kv, recent) = (Memory::puts(&[Fate::Hangs; 10_000]), RefCell::default());
    let outcome = block_on(store(&kv, &recent, plan_of(50, &recent), None));
    assert_eq!((outcome.written, outcome.failed), (0, 50));
    // The clock of the test counts the waits of all writes side by side one after the other, so it runs ahead.
    assert!(kv.now_ms() >= WRITE_TIME_MS - WRITE_TIMEOUT_MS);
    const { assert!(WRITE_TIME_MS + WRITE_BACKOFF_MS[1] < 30_000) };
    // KV takes a write of a key a second.
    const { assert!(WRITE_BACKOFF_MS[0] > 1_000) };
}

#[test]
fn what_is_past_the_bound_is_counted_and_said() {
    let (kv, recent) = (Memory::default(), RefCell::default());
    let outcome = block_on(store(&kv, &recent, plan_of(MAX_WRITE_RECORDS + 7, &recent), None));
    assert_eq!((outcome.written, outcome.failed), (u64::try_from(MAX_WRITE_RECORDS).unwrap(), 7));
    assert!(outcome.failure.unwrap().contains("more than"));
}
