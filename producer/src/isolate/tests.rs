use std::collections::BTreeMap;

use tributary_proto::envelope::Envelope;

use super::*;
use crate::flusher::Role;
use crate::host::WorkerHost;
use crate::resolve;
use crate::testing::{SECRET, state, wrapped};

fn isolate() -> Isolate {
    let isolate = Isolate::new(|_| None, None).unwrap();
    let fetched = crate::state::Fetched { bytes: wrapped(&state()), metadata: None };
    isolate.state.borrow_mut().finish(500, fetched.into_plain()).unwrap();
    isolate
}

fn resolve(isolate: &Isolate, key: &str, flags: &str) -> Observation {
    let body = format!(
        "{{\"clientSecret\":\"{SECRET}\",\"flags\":{flags},\"apply\":true,\
         \"evaluationContext\":{{\"targeting_key\":\"{key}\"}}}}"
    );
    let state = isolate.state.borrow().current().unwrap();
    let call = resolve::parse(body.as_bytes(), &isolate.config).unwrap();
    let resolved =
        resolve::run::<WorkerHost>(call, &state.resolver, &isolate.config, false).unwrap().without_records().unwrap();
    Observation { start_micros: 0, after_resolve_micros: 0, reasons: resolved.reasons() }
}

#[test]
fn two_isolates_have_two_streams() {
    let stream = |isolate: &Isolate| {
        isolate.flusher.borrow_mut().observe(1, &[1]);
        let attempt = isolate.seal_and_take(1_000, None, None);
        Envelope::decode(&attempt.messages[0].1).unwrap().stream_id
    };
    assert_ne!(stream(&isolate()), stream(&isolate()));
}

#[test]
fn every_message_says_where_its_isolate_runs() {
    let environment = |name: &str| (name == "ENVIRONMENT").then(|| "staging".to_owned());
    let dimensions = |colo: Option<&str>| {
        let isolate = Isolate::new(environment, colo.map(str::to_owned)).unwrap();
        isolate.flusher.borrow_mut().observe(1, &[1]);
        let attempt = isolate.seal_and_take(1_000, None, None);
        Envelope::decode(&attempt.messages[0].1).unwrap().dimensions
    };
    let staging = ("environment".to_owned(), "staging".to_owned());
    assert_eq!(dimensions(Some("AMS")), BTreeMap::from([("colo".to_owned(), "AMS".to_owned()), staging.clone()]));
    for unusable in [None, Some(""), Some("x".repeat(65).as_str())] {
        assert_eq!(dimensions(unusable), BTreeMap::from([staging.clone()]));
    }
}

/// Requests of one isolate interleave at every wait: their records share the window, and none holds anything of
/// another.
#[test]
fn interleaved_requests_share_the_window_and_never_mix_content() {
    host::drain();
    let isolate = isolate();
    let keys: Vec<String> = (0..20).map(|index| format!("user-{index}")).collect();
    // All resolve before any of them records.
    let observations: Vec<_> = keys
        .iter()
        .enumerate()
        .map(|(index, key)| resolve(&isolate, key, ["[\"flags/all\"]", "[]"][index % 2]))
        .collect();
    let roles: Vec<_> =
        observations.iter().rev().map(|observation| isolate.record(1_000, Some((observation, 2_000)))).collect();
    assert_eq!(roles.iter().filter(|role| matches!(role, Role::Flusher(_))).count(), 1);
    let attempt = isolate.seal_and_take(2_000, Some(65_536), None);
    assert_eq!(attempt.messages.len(), 1);
    let logs = Envelope::decode(&attempt.messages[0].1).unwrap().flag_logs().unwrap();
    let telemetry = logs.telemetry_data.unwrap();
    let latency = telemetry.resolve_latency.unwrap();
    assert_eq!((latency.count, latency.sum), (20, 40_000));
    assert_eq!(telemetry.resolve_rate.iter().map(|rate| u64::from(rate.count)).sum::<u64>(), 30);
    assert_eq!((telemetry.memory_bytes, telemetry.state_age.unwrap().last_state_update), (65_536, 500));
    assert!(!telemetry.resolver_version.is_empty());
    assert_eq!(logs.flag_assigned.len(), 20);
    let mut by_key = BTreeMap::new();
    for assigned in &logs.flag_assigned {
        let key = &assigned.flags[0].targeting_key;
        assert!(assigned.flags.iter().all(|flag| &flag.targeting_key == key));
        by_key.insert(key.clone(), assigned.flags.len());
    }
    for (index, key) in keys.iter().enumerate() {
        assert_eq!(by_key[key], 1 + index % 2, "{key}");
    }
    let ids: std::collections::BTreeSet<_> = logs.flag_assigned.iter().map(|assigned| &assigned.resolve_id).collect();
    assert_eq!(ids.len(), 20);
}

#[test]
fn an_apply_is_sent_without_a_latency() {
    host::drain();
    let isolate = isolate();
    resolve(&isolate, "u", "[\"flags/all\"]");
    assert!(matches!(isolate.record(1_000, None), Role::Flusher(_)));
    let attempt = isolate.seal_and_take(2_000, None, None);
    let logs = Envelope::decode(&attempt.messages[0].1).unwrap().flag_logs().unwrap();
    assert_eq!(logs.flag_assigned.len(), 1);
    assert!(logs.telemetry_data.is_none_or(|telemetry| telemetry.resolve_latency.is_none_or(|l| l.count == 0)));
}

/// Whatever code of the producer records in a family goes out beside its telemetry.
#[test]
fn metrics_of_the_producers_own_are_in_the_message_of_its_resolves() {
    use tributary_emitter::{Counter, Family};
    use tributary_telemetry::{LabelSet, Value, custom};
    static REFRESHES: Family<Counter, 1> =
        Family::counter("tributary_producer_test_refreshes", "Refreshes.", ["outcome"]);
    host::drain();
    let isolate = isolate();
    let long = "x".repeat(2_000);
    REFRESHES.with(["loaded"]).add(2);
    REFRESHES.with([&long]).increment();
    isolate.record(1_000, Some((&resolve(&isolate, "u", "[\"flags/all\"]"), 2_000)));
    let attempt = isolate.seal_and_take(2_000, None, None);
    assert_eq!(attempt.messages.len(), 1);
    let envelope = Envelope::decode(&attempt.messages[0].1).unwrap();
    let logs = envelope.flag_logs().unwrap();
    assert_eq!((logs.telemetry_data.unwrap().resolve_latency.unwrap().count, logs.flag_assigned.len()), (1, 1));
    let metrics = custom::read(envelope.metrics().unwrap(), envelope.window_start_ms, envelope.window_end_ms).unwrap();
    let loaded = LabelSet::from_pairs([("outcome", "loaded")]).unwrap();
    let counted = metrics.delta.get("tributary_producer_test_refreshes", &loaded);
    assert_eq!((counted, metrics.reserved_series), (Some(&Value::Counter(2)), 0));
    assert_eq!(envelope.dropped.iter().map(|entry| entry.recordings).collect::<Vec<_>>(), [1]);
}

/// What another aggregator of the isolate has, such as an OpenTelemetry SDK, travels with the flag logs and the families, and
/// is not asked for while nothing can be sealed.
#[test]
fn what_a_source_aggregates_is_in_the_message_of_the_resolves() {
    #[derive(Debug, Default)]
    struct Counting(std::cell::Cell<u8>);

    impl source::Source for Counting {
        fn collect(&self) -> source::Collected {
            self.0.set(self.0.get() + 1);
            source::Collected { resource_metrics: vec![vec![self.0.get(); 3]], invalid: 0, limited: 2 }
        }
    }

    tributary_emitter::drain();
    let counting = Rc::new(Counting::default());
    source::set_source(Rc::clone(&counting) as Rc<dyn source::Source>);
    let isolate = isolate();
    isolate.flusher.borrow_mut().observe(7, &[1]);
    let attempt = isolate.seal_and_take(2_000, None, None);
    assert_eq!(attempt.messages.len(), 1);
    let envelope = Envelope::decode(&attempt.messages[0].1).unwrap();
    assert_eq!(envelope.resource_metrics, [1, 1, 1]);
    assert!(envelope.flag_logs().unwrap().telemetry_data.is_some());
    assert_eq!(envelope.dropped.iter().map(|dropped| dropped.recordings).sum::<u64>(), 2);
    // The queue takes nothing: the outbox fills, and from then on the source keeps what it has.
    for n in 0..100_u64 {
        isolate.seal_and_take(3_000 + n, None, None);
    }
    assert_eq!(usize::from(counting.0.get()), tributary_emitter::limits::MAX_OUTBOX_MESSAGES);
}
