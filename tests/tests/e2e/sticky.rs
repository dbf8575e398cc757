//! Sticky assignments: who was assigned a variant keeps it, across isolates and whatever the context says later; and a store
//! that fails costs nobody else anything.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use confidence_resolver::proto::{
    Message as _,
    confidence::flags::admin::v1::{
        ResolverState,
        flag::rule::{MaterializationSpec, materialization_spec::MaterializationReadMode},
    },
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tributary_local::demo_state::demo_state;
use tributary_proto::v1::ClientResolverState;
use tributary_tests::{
    both::Both,
    collector::{Answer, Collector},
    wait::eventually,
};

const SECRET: &str = "a-client-of-a-test";
const LIMIT: Duration = Duration::from_secs(20);
const KV: &str = "CONFIDENCE_MATERIALIZATIONS_KV";
/// The flag of the demo state for users in the Nordics alone.
const FLAG: &str = "flags/new-search";
const ID: (&str, &str) = ("resolver_id", "cf-resolver");

/// The demo state, in which [`FLAG`] is sticky.
fn state() -> Vec<u8> {
    let mut wrapper: ClientResolverState = tributary_proto::Message::decode(demo_state(SECRET).as_slice()).unwrap();
    let mut state = ResolverState::decode(wrapper.state.as_slice()).unwrap();
    let flag = state.flags.iter_mut().find(|flag| flag.name == FLAG).unwrap();
    flag.rules[0].materialization_spec = Some(MaterializationSpec {
        read_materialization: "materializedSegments/new-search".to_owned(),
        write_materialization: "materializedSegments/new-search".to_owned(),
        mode: Some(MaterializationReadMode {
            materialization_must_match: false,
            segment_targeting_can_be_ignored: true,
        }),
    });
    wrapper.state = state.encode_to_vec();
    tributary_proto::Message::encode_to_vec(&wrapper)
}

fn start(folder: &Path, vars: &[(&str, &str)]) -> Both {
    let both = Both::start_sticky(folder, vars).unwrap();
    both.put_kv("CONFIDENCE_STATE_KV", "resolver_state", &state()).unwrap();
    both
}

/// Variant and reason of [`FLAG`] for a user in a country; every other flag must resolve as always.
fn resolve(both: &Both, user: &str, country: &str) -> (String, String) {
    let reply = both.resolve(SECRET, &json!({"targeting_key": user, "country": country})).unwrap();
    assert_eq!(reply.status, 200, "{}", reply.body);
    let answer = reply.json();
    let flags = answer["resolvedFlags"].as_array().unwrap();
    let text = |flag: &Value, field: &str| flag[field].as_str().unwrap_or_default().to_owned();
    for flag in flags.iter().filter(|flag| flag["flag"] != FLAG) {
        assert!(["RESOLVE_REASON_MATCH", "RESOLVE_REASON_NO_SEGMENT_MATCH"].contains(&text(flag, "reason").as_str()));
    }
    let flag = flags.iter().find(|flag| flag["flag"] == FLAG).unwrap();
    (text(flag, "variant").rsplit('/').next().unwrap().to_owned(), text(flag, "reason"))
}

fn matched() -> (String, String) {
    ("enabled".to_owned(), "RESOLVE_REASON_MATCH".to_owned())
}

fn with_reason(reason: &str) -> (String, String) {
    (String::new(), format!("RESOLVE_REASON_{reason}"))
}

/// Keys of the store.
fn keys(both: &Both) -> Vec<String> {
    let listed = both.list_kv(KV).unwrap();
    listed.as_array().unwrap().iter().map(|key| key["name"].as_str().unwrap().to_owned()).collect()
}

/// Waits until `/metrics` counts so many records of a kind with this outcome.
fn counted(both: &Both, kind: &str, outcome: &str, expected: f64) {
    eventually(LIMIT, "the count on /metrics", || {
        let metrics = both.metrics()?;
        let name = format!("tributary_producer_materialization_{kind}_total");
        let count = metrics.get(&name, &[("outcome", outcome), ID]);
        if count == expected { Ok(()) } else { Err(format!("{count} {kind} {outcome}")) }
    });
}

#[test]
fn who_was_assigned_a_variant_keeps_it_in_every_isolate_whatever_the_context_says_later() {
    let folder = TempDir::new().unwrap();
    let both = start(folder.path(), &[("MATERIALIZATION_TTL_SECONDS", "3600")]);
    assert_eq!(resolve(&both, "u:1", "DE"), with_reason("NO_SEGMENT_MATCH"));
    assert_eq!(resolve(&both, "u:1", "SE"), matched());
    let key = "mat:u%3A1:materializedSegments/new-search:flags/new-search/rules/nordics";
    eventually(LIMIT, "the record in KV", || {
        if keys(&both) == [key] { Ok(()) } else { Err(format!("{:?}", keys(&both))) }
    });
    let expires = both.list_kv(KV).unwrap()[0]["expiration"].as_u64().unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    assert!((3_400..=3_600).contains(&(expires - now)), "expires in {} s", expires - now);
    let encoded = key.replace('%', "%25");
    let value = both.get_kv(KV, &encoded).unwrap().0;
    assert_eq!(String::from_utf8(value).unwrap(), "flags/new-search/variants/enabled");

    // In this isolate, and in one that knows nothing but what KV has.
    assert_eq!(resolve(&both, "u:1", "DE"), matched());
    counted(&both, "writes", "written", 1.0);
    counted(&both, "reads", "found", 1.0);
    drop(both);
    let both = start(folder.path(), &[]);
    assert_eq!(resolve(&both, "u:1", "DE"), matched());
    assert_eq!(resolve(&both, "u:2", "DE"), with_reason("NO_SEGMENT_MATCH"));
    // Once by the isolate's own memory and once by KV; and three times there was nothing.
    counted(&both, "reads", "found", 2.0);
    counted(&both, "reads", "absent", 3.0);
    counted(&both, "writes", "written", 1.0);
    assert_eq!(keys(&both).len(), 1);
}

#[test]
fn without_the_binding_sticky_flags_say_so_and_all_others_resolve() {
    let folder = TempDir::new().unwrap();
    let both = Both::start(folder.path(), &[], &[]).unwrap();
    both.put_kv("CONFIDENCE_STATE_KV", "resolver_state", &state()).unwrap();
    for country in ["SE", "DE"] {
        assert_eq!(resolve(&both, "u1", country), with_reason("MATERIALIZATION_NOT_SUPPORTED"));
    }
    eventually(LIMIT, "the resolves on /metrics", || {
        let metrics = both.metrics()?;
        let count = metrics.sum("confidence_resolve_latency_microseconds_count");
        if count == 2.0 { Ok(()) } else { Err(format!("{count}")) }
    });
    let metrics = both.metrics().unwrap();
    assert_eq!(metrics.series("tributary_producer_materialization_reads_total").count(), 0);
    assert!(metrics.get("tributary_producer_state_loads_total", &[("outcome", "loaded"), ID]) >= 1.0);
}

/// A test's say over the store: what becomes of gets and puts, and how many there were.
struct Faults {
    server: Collector,
    puts: Arc<AtomicU32>,
}

impl Faults {
    fn start() -> Self {
        let faults = Self { server: Collector::start().unwrap(), puts: Arc::default() };
        faults.say("pass", "pass");
        faults
    }

    fn say(&self, get: &'static str, put: &'static str) {
        let puts = Arc::clone(&self.puts);
        self.server.answer(move |request| {
            let says = match request.path.as_str() {
                "/fault/sticky-get" => get,
                "/fault/sticky-put" => {
                    puts.fetch_add(1, Ordering::Relaxed);
                    put
                }
                other => panic!("{other}"),
            };
            Answer::Status(200, Vec::new(), says.into())
        });
    }

    fn puts(&self) -> u32 {
        self.puts.load(Ordering::Relaxed)
    }
}

#[test]
fn a_store_that_cannot_be_read_fails_the_sticky_flags_alone_and_keeps_what_it_has() {
    let (folder, faults) = (TempDir::new().unwrap(), Faults::start());
    let both = start(folder.path(), &[("FAULT_URL", faults.server.url())]);
    faults.say("fails", "pass");
    assert_eq!(resolve(&both, "u1", "SE"), with_reason("MATERIALIZATION_NOT_SUPPORTED"));
    // Within the second that a resolve waits, and not in the twenty that the store takes.
    faults.say("slow", "pass");
    let began = Instant::now();
    assert_eq!(resolve(&both, "u1", "SE"), with_reason("MATERIALIZATION_NOT_SUPPORTED"));
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    counted(&both, "reads", "failed", 2.0);
    assert_eq!((faults.puts(), keys(&both).len()), (0, 0), "a guess is not stored");
    faults.say("pass", "pass");
    assert_eq!(resolve(&both, "u1", "SE"), matched());
    counted(&both, "writes", "written", 1.0);
}

#[test]
fn a_write_that_fails_delays_nobody_is_counted_and_comes_with_the_next_resolve() {
    let (folder, faults) = (TempDir::new().unwrap(), Faults::start());
    let both = start(folder.path(), &[("FAULT_URL", faults.server.url())]);
    faults.say("pass", "before");
    let began = Instant::now();
    assert_eq!(resolve(&both, "u1", "SE"), matched());
    assert!(began.elapsed() < Duration::from_secs(3), "the answer does not wait for the tries: {:?}", began.elapsed());
    counted(&both, "writes", "failed", 1.0);
    assert_eq!((faults.puts(), keys(&both).len()), (3, 0));

    // A write that took effect though it failed is one, and the next try does no harm.
    faults.say("pass", "after");
    assert_eq!(resolve(&both, "u1", "SE"), matched());
    counted(&both, "writes", "failed", 2.0);
    assert_eq!(keys(&both).len(), 1);
    faults.say("pass", "pass");
    assert_eq!(resolve(&both, "u1", "DE"), matched());
    assert_eq!(faults.puts(), 6, "what is stored is not written again");
}
