use confidence_resolver::{
    proto::confidence::flags::resolver::v1::{TelemetryData, telemetry_data as theirs},
    telemetry::{TelemetrySnapshot, build_request_telemetry},
};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const FIRST: &[u8] = include_bytes!("fixtures/0.17.1-snapshot.json");

/// A snapshot with something in every field, as the crate of this workspace accumulates and writes it.
pub(crate) fn full() -> TelemetrySnapshot {
    use confidence_resolver::proto::confidence::flags::resolver::v1::ResolveReason as Reason;
    let mut snapshot = TelemetrySnapshot::default();
    for (micros, reasons) in [
        (0, &[Reason::Match][..]),
        (1, &[Reason::Match, Reason::NoSegmentMatch]),
        (1_000, &[Reason::Match]),
        (10_000, &[Reason::FlagNotFound]),
        (17_000, &[Reason::Unspecified, Reason::Error]),
        (u32::MAX, &[Reason::TypeMismatch]),
    ] {
        snapshot.accumulate_delta(&build_request_telemetry(Some(micros), reasons));
    }
    let init = |labels: &[(&str, &str)], count| theirs::ProviderInitRate {
        count,
        labels: labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
    };
    snapshot.accumulate_delta(&TelemetryData {
        memory_bytes: 65_536,
        provider_init_rate: vec![init(&[], 2), init(&[("encryption", "true"), ("odd", "\"\\\n")], 3)],
        apply_dedup: Some(theirs::ApplyDedupTelemetry {
            applies_total: 50,
            applies_deduped: 20,
            apply_dedup_overflow: 3,
            sweeps: 8,
            map_size: 27,
            map_capacity: 100_000,
        }),
        flush: Some(theirs::FlushTelemetry { succeeded: 7, failed: 2 }),
        events: Some(theirs::EventsTelemetry {
            published: 11,
            batches_succeeded: 4,
            batches_failed: 1,
            events_rejected: 5,
        }),
        ..TelemetryData::default()
    });
    snapshot
}

fn json_of(snapshot: &TelemetrySnapshot) -> Value {
    serde_json::to_value(snapshot).unwrap()
}

fn read(value: &Value) -> Result<PeerTotals, ReadError> {
    PeerTotals::read(value.to_string().as_bytes())
}

fn spoiled(pointer: &str, value: Value) -> Result<PeerTotals, ReadError> {
    let mut stored = json_of(&full());
    *stored.pointer_mut(pointer).unwrap() = value;
    read(&stored)
}

#[test]
fn what_the_first_release_wrote_is_read() {
    let totals = PeerTotals::read(FIRST).unwrap();
    assert_eq!((totals.latency_count(), totals.latency_sum_micros), (11, 4_295_147_640));
    // 0 and 1 µs share the first bucket; the two of 1000 µs are above their bound.
    assert_eq!([0, 53, 54, 173].map(|bucket| totals.latency_buckets[bucket]), [2, 1, 2, 1]);
    assert_eq!(totals.resolves, BTreeMap::from([(1, 12), (2, 4), (4, 4), (6, 3)]));
    assert_eq!((totals.apply_dedup, totals.flush), (None, (0, 0)));
    assert!(totals.left_out.is_empty() && !totals.is_empty());
}

#[test]
fn what_todays_crate_writes_is_read_in_every_field() {
    let stored = json_of(&full());
    // A field that the crate gains is not to be passed over unseen.
    let known = ["apply_dedup", "events", "flush", "latency", "memory_bytes", "provider_init_rate", "resolve_rates"];
    assert_eq!(stored.as_object().unwrap().keys().collect::<BTreeSet<_>>(), known.map(str::to_owned).iter().collect());
    let totals = read(&stored).unwrap();
    assert_eq!(totals.latency_count(), 6);
    assert_eq!(totals.resolves, BTreeMap::from([(0, 1), (1, 3), (2, 1), (6, 1), (9, 1), (10, 1)]));
    assert_eq!(totals.apply_dedup, Some(ApplyDedup { applies: 50, deduped: 20, overflow: 3, sweeps: 8 }));
    assert_eq!(totals.flush, (7, 2));
    assert_eq!(totals.events, Events { published: 11, batches_succeeded: 4, batches_failed: 1, rejected: 5 });
    assert_eq!(totals.provider_init.values().copied().collect::<Vec<_>>(), [2, 3]);
    let left_out: Vec<_> = totals.left_out.iter().map(String::as_str).collect();
    assert_eq!(left_out, ["apply_dedup.map_size, map_capacity (readings)", "memory_bytes (a reading)"]);
    // Of a resolver that has only just begun: it writes no bucket that is not filled.
    assert!(read(&json_of(&TelemetrySnapshot::default())).unwrap().is_empty());
}

#[test]
fn the_overflow_of_deduplication_is_read_under_each_of_its_names() {
    for name in ["apply_dedup_overflow", "overflow", "unique_applies"] {
        let mut stored = json_of(&full());
        let dedup = stored["apply_dedup"].as_object_mut().unwrap();
        dedup.remove("apply_dedup_overflow");
        dedup.insert(name.into(), 9.into());
        assert_eq!(read(&stored).unwrap().apply_dedup.unwrap().overflow, 9, "{name}");
    }
}

#[test]
fn fields_that_are_not_known_are_named_and_the_rest_is_read() {
    let mut stored = json_of(&full());
    stored["tomorrow"] = json!({"deep": [1, 2]});
    stored["latency"]["p99"] = 3.5.into();
    stored["events"]["paused"] = "x".into();
    let totals = read(&stored).unwrap();
    for name in ["tomorrow", "latency.p99", "events.paused"] {
        assert!(totals.left_out.contains(name), "{:?}", totals.left_out);
    }
    assert_eq!(
        PeerTotals { left_out: read(&json_of(&full())).unwrap().left_out, ..totals },
        read(&json_of(&full())).unwrap()
    );
}

#[test]
fn what_is_no_snapshot_is_refused_with_its_reason() {
    let json = |value: &[u8]| matches!(PeerTotals::read(value), Err(ReadError::Json(_)));
    for value in [
        &b""[..],
        b"{",
        b"[]",
        b"null",
        b"7",
        b"{}",
        b"\xff\xfe",
        b"# HELP confidence_resolves_total",
        br#"{"latency":{"sum":0,"count":0,"buckets":[]}}"#,
        br#"{"latency":{"sum":0,"count":0,"buckets":[]},"resolve_rates":[]}"#,
        br#"{"resolve_rates":[],"memory_bytes":0}"#,
        br#"{"latency":{"sum":NaN,"count":0,"buckets":[]},"resolve_rates":[],"memory_bytes":0}"#,
    ] {
        assert!(json(value), "{}", String::from_utf8_lossy(value));
    }
    let twice = br#"{"latency":{"sum":0,"count":0,"buckets":[]},"resolve_rates":[],"memory_bytes":0,"memory_bytes":1}"#;
    assert!(json(twice), "a field twice");
    for pointer in
        ["/latency/sum", "/resolve_rates/1", "/flush/failed", "/apply_dedup/sweeps", "/provider_init_rate/0/count"]
    {
        for wrong in [json!(-1), json!(1.5), json!("7"), json!(null), json!(1e30), json!([7])] {
            assert!(matches!(spoiled(pointer, wrong.clone()), Err(ReadError::Json(_))), "{pointer}: {wrong}");
        }
    }
    let secret = PeerTotals::read(br#"{"latency":"s3cret"}"#).unwrap_err().to_string();
    assert!(!secret.contains("s3cret"), "{secret}");
    assert_eq!(PeerTotals::read(&vec![b' '; MAX_VALUE_BYTES + 1]), Err(ReadError::TooLong(MAX_VALUE_BYTES + 1)));
}

#[test]
fn numbers_that_contradict_each_other_are_refused() {
    assert_eq!(spoiled("/latency/count", 7.into()), Err(ReadError::Count { count: 7, buckets: 6 }));
    assert_eq!(spoiled("/latency/buckets", json!([])), Err(ReadError::Count { count: 6, buckets: 0 }));
    assert_eq!(spoiled("/latency/buckets", json!(vec![0; 175])), Err(ReadError::Buckets(175)));
    assert_eq!(
        spoiled("/latency/buckets", json!([u64::MAX, 7])),
        Err(ReadError::Count { count: 6, buckets: u64::MAX }),
        "together above 64 bits"
    );
    let most = 6 * u64::from(u32::MAX);
    assert!(spoiled("/latency/sum", most.into()).is_ok());
    assert_eq!(spoiled("/latency/sum", (most + 1).into()), Err(ReadError::Sum { sum: most + 1, count: 6 }));
    let nothing = json!({"latency": {"sum": 1, "count": 0, "buckets": []}, "resolve_rates": [], "memory_bytes": 0});
    assert_eq!(read(&nothing), Err(ReadError::Sum { sum: 1, count: 0 }));
    // A counter that wrapped below 0, and one that nothing can have counted.
    for wrapped in [u64::MAX, MAX_IMPORT_TOTAL + 1] {
        assert_eq!(spoiled("/resolve_rates/1", wrapped.into()), Err(ReadError::Total("resolve_rates")));
        assert_eq!(spoiled("/events/published", wrapped.into()), Err(ReadError::Total("events.published")));
        assert_eq!(spoiled("/provider_init_rate/0/count", wrapped.into()), Err(ReadError::Total("provider_init_rate")));
    }
    assert!(spoiled("/resolve_rates/1", MAX_IMPORT_TOTAL.into()).is_ok());
}

#[test]
fn reasons_and_label_sets_without_end_are_bounded() {
    let mut rates = vec![0u64; 1_000_000];
    rates[999_999] = 4;
    let totals = spoiled("/resolve_rates", json!(rates)).unwrap();
    assert_eq!(totals.resolves, BTreeMap::from([(999_999, 4)]));
    let inits: Vec<_> =
        (0..=MAX_LABEL_SETS).map(|index| json!({"labels": {"n": index.to_string()}, "count": 1})).collect();
    assert_eq!(spoiled("/provider_init_rate", json!(inits)), Err(ReadError::LabelSets(MAX_LABEL_SETS + 1)));
    assert!(spoiled("/provider_init_rate", json!(inits[1..])).is_ok());
}

#[test]
fn keys_add_up_as_the_resolvers_own_metrics_do() {
    let (flag_logs, events) = (read(&json_of(&full())).unwrap(), PeerTotals::read(FIRST).unwrap());
    let together = flag_logs.clone().merge(&events).unwrap();
    assert_eq!(together, events.clone().merge(&flag_logs).unwrap());
    assert_eq!(together.latency_count(), 17);
    assert_eq!(together.resolves[&1], 15);
    assert_eq!((together.apply_dedup, together.flush), (flag_logs.apply_dedup, flag_logs.flush));
    let twice = flag_logs.clone().merge(&flag_logs).unwrap();
    assert_eq!((twice.flush, twice.events.rejected), ((14, 4), 10));
    assert_eq!(twice.apply_dedup.unwrap().overflow, 6);
    assert_eq!(flag_logs.clone().merge(&PeerTotals::default()).unwrap(), flag_logs);
    let full = spoiled("/events/published", MAX_IMPORT_TOTAL.into()).unwrap();
    assert_eq!(full.clone().merge(&full), Err(ReadError::Total("events.published")));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _read = PeerTotals::read(&bytes);
    }

    /// A good value with some bytes overwritten: mostly still JSON.
    #[test]
    fn no_spoiled_value_makes_it_panic_or_lose_the_sum(
        places in proptest::collection::vec((any::<usize>(), prop_oneof![Just(b'0'), Just(b'9'), Just(b'-'), any::<u8>()]), 1..6),
    ) {
        let mut bytes = json_of(&full()).to_string().into_bytes();
        for (place, byte) in places {
            let length = bytes.len();
            bytes[place % length] = byte;
        }
        if let Ok(totals) = PeerTotals::read(&bytes) {
            prop_assert!(totals.latency_count() <= MAX_IMPORT_TOTAL);
        }
    }
}
