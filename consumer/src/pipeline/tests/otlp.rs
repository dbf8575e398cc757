//! OpenTelemetry's metrics in batches: counted once, beside everything else, and never at the cost of others.

use opentelemetry_proto::tonic::{
    common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value},
    metrics::v1::{
        AggregationTemporality, Histogram, HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics,
        Sum, metric::Data, number_data_point,
    },
    resource::v1::Resource,
};
use tributary_telemetry::{Bounds, Delta, ExplicitBounds, FamilyDescriptor, MetricKind};

use super::*;

fn attribute(key: &str, value: &str) -> KeyValue {
    let value = AnyValue { value: Some(any_value::Value::StringValue(value.to_owned())) };
    KeyValue { key: key.to_owned(), value: Some(value), ..KeyValue::default() }
}

fn point(value: i64, pairs: &[(&str, &str)]) -> NumberDataPoint {
    NumberDataPoint {
        attributes: pairs.iter().map(|(key, value)| attribute(key, value)).collect(),
        value: Some(number_data_point::Value::AsInt(value)),
        ..NumberDataPoint::default()
    }
}

fn sum(name: &str, temporality: AggregationTemporality, data_points: Vec<NumberDataPoint>) -> Metric {
    let sum = Sum { data_points, aggregation_temporality: temporality.into(), is_monotonic: true };
    Metric { name: name.to_owned(), data: Some(Data::Sum(sum)), ..Metric::default() }
}

fn counted(name: &str, value: i64) -> Metric {
    sum(name, AggregationTemporality::Delta, vec![point(value, &[])])
}

fn of_shop(metrics: Vec<Metric>) -> Vec<u8> {
    of_version("7", metrics)
}

fn of_version(version: &str, metrics: Vec<Metric>) -> Vec<u8> {
    let resource = Resource {
        attributes: vec![attribute("service.name", "shop"), attribute("service.version", version)],
        ..Resource::default()
    };
    let scope = InstrumentationScope { name: "cart".into(), ..InstrumentationScope::default() };
    let scope_metrics = vec![ScopeMetrics { scope: Some(scope), metrics, schema_url: String::new() }];
    ResourceMetrics { resource: Some(resource), scope_metrics, schema_url: String::new() }.encode_to_vec()
}

/// A message with these metrics of OpenTelemetry, and with flag logs of `resolves` resolves and `metrics` where given.
fn message_of(sequence: u64, resource_metrics: Vec<u8>, metrics: &Delta, resolves: Option<u64>) -> QueueMessage {
    let mut message = message(resolves.unwrap_or(1));
    let MessageBody::Bytes(bytes) = &message.body else { panic!("no bytes") };
    let mut envelope = Envelope::decode(bytes).unwrap();
    if resolves.is_none() {
        envelope.flag_logs.clear();
    }
    envelope.stream_id = StreamId([77; 16]);
    envelope.sequence = sequence;
    envelope.resource_metrics = resource_metrics;
    envelope.metrics = metrics.to_wire().encode_to_vec();
    message.id = format!("otlp-{sequence}");
    message.body = MessageBody::Bytes(envelope.encode().unwrap());
    message
}

fn value(ledger: &FakeLedger, name: &str) -> Option<Value> {
    let labels = LabelSet::from_pairs([("job", "shop"), ("otel_scope_name", "cart")]).unwrap();
    ledger.memory.borrow().state.get(name, &labels).map(|series| series.value().clone())
}

#[test]
fn points_beside_flag_logs_and_metrics_of_a_message_are_counted_once() {
    let (ledger, backend, report) = (FakeLedger::new(), FakeBackend::new(), report());
    let family = FamilyDescriptor::new("shop_orders", "", "", MetricKind::Counter).unwrap();
    let mut orders = Delta::new();
    orders.add_counter(&family, LabelSet::empty(), 2).unwrap();
    let said = |sequence| message_of(sequence, of_shop(vec![counted("cart.adds", 5)]), &orders, Some(1));
    // The answer of the Ledger is lost, the batch comes again, and a message of it twice.
    ledger.faults.borrow_mut().push_back(Some(LedgerFault::After));
    run(&[said(1), said(2)], &ledger, &backend, &report);
    let result = run(&[said(2), said(1), said(1)], &ledger, &backend, &report);
    assert_eq!((result.verdicts, result.events), (vec![MessageVerdict::Ack; 3], vec![]));
    assert_eq!(value(&ledger, "cart_adds"), Some(Value::Counter(10)));
    assert_eq!(ledger.counter("shop_orders", &[]), 4);
    assert_eq!(ledger.resolves(), 2);
    let target = LabelSet::from_pairs([("job", "shop"), ("service_version", "7")]).unwrap();
    assert!(ledger.memory.borrow().state.get("target_info", &target).is_some());
    // A deployment later.
    let next = of_version("8", vec![counted("cart.adds", 5)]);
    run(&[message_of(3, next, &Delta::new(), None)], &ledger, &backend, &report);
    let versions: Vec<_> = {
        let memory = ledger.memory.borrow();
        let targets = memory.state.families().find(|family| family.descriptor().name() == "target_info").unwrap();
        targets.series().map(|(labels, _)| labels.get("service_version").unwrap().to_owned()).collect()
    };
    assert_eq!((versions, value(&ledger, "cart_adds")), (vec!["8".to_owned()], Some(Value::Counter(15))));
    ledger.memory.borrow().check_accounts();
}

#[test]
fn what_cannot_be_counted_is_counted_as_that_and_the_rest_of_the_message_goes_on() {
    let (ledger, backend, report) = (FakeLedger::new(), FakeBackend::new(), report());
    let careless = sum("requests", AggregationTemporality::Cumulative, vec![point(9, &[]), point(9, &[("a", "b")])]);
    let metrics = vec![careless, counted("tributary.messages", 1), counted("up", 1), counted("cart.adds", 5)];
    let result = run(&[message_of(1, of_shop(metrics), &Delta::new(), None)], &ledger, &backend, &report);
    let reserved = Event::NamesReserved {
        message_id: "otlp-1".into(),
        resolver_id: "eu".into(),
        families: 2,
        first: "tributary_messages".into(),
    };
    assert_eq!((result.verdicts, result.events), (vec![MessageVerdict::Ack], vec![reserved]));
    assert_eq!(value(&ledger, "cart_adds"), Some(Value::Counter(5)));
    assert_eq!(ledger.counter("tributary_refused_points", &[("reason", "cumulative")]), 2);
    assert_eq!(ledger.counter("tributary_refused_custom_series", &[("reason", "reserved_name")]), 2);
}

/// A message may contradict itself in its two forms, and every other message of its batch.
#[test]
fn a_batch_of_messages_that_contradict_themselves_is_applied_and_the_contradictions_counted() {
    let (ledger, backend, report) = (FakeLedger::new(), FakeBackend::new(), report());
    let family = FamilyDescriptor::new("adds", "", "", MetricKind::Histogram).unwrap();
    let messages: Vec<_> = (1_u32..=20)
        .map(|sequence| {
            let bounds = ExplicitBounds::new(&[f64::from(sequence)]).unwrap();
            let mut metrics = Delta::new();
            let histogram = tributary_telemetry::Histogram::new(Bounds::Explicit(bounds));
            metrics.add_histogram(&family, LabelSet::empty(), &histogram).unwrap();
            let point = HistogramDataPoint {
                bucket_counts: vec![0, 0],
                explicit_bounds: vec![f64::from(100 + sequence)],
                ..HistogramDataPoint::default()
            };
            let delta = AggregationTemporality::Delta.into();
            let histogram = Data::Histogram(Histogram { data_points: vec![point], aggregation_temporality: delta });
            let metric = Metric { name: "adds".into(), data: Some(histogram), ..Metric::default() };
            let scope = ScopeMetrics { metrics: vec![metric], ..ScopeMetrics::default() };
            let unnamed = ResourceMetrics { scope_metrics: vec![scope], ..ResourceMetrics::default() };
            message_of(sequence.into(), unnamed.encode_to_vec(), &metrics, None)
        })
        .collect();
    let result = run(&messages, &ledger, &backend, &report);
    assert_eq!(result.verdicts, vec![MessageVerdict::Ack; 20]);
    // Of forty sets of bounds the first is right.
    assert_eq!(ledger.counter("tributary_refused_custom_series", &[("reason", "conflict")]), 39);
    assert_eq!(ledger.counter("tributary_records_applied", &[("resolver_id", "eu")]), 20);
}

#[test]
fn targets_are_bounded_and_are_no_series_of_the_pipeline() {
    let (ledger, backend, report) = (FakeLedger::new(), FakeBackend::new(), report());
    for batch in 0..5_u64 {
        let of_job = |sequence: u64| {
            let mut message = ResourceMetrics::decode(of_shop(vec![counted("adds", 1)]).as_slice()).unwrap();
            message.resource.as_mut().unwrap().attributes[0] = attribute("service.name", &format!("job-{sequence}"));
            message_of(sequence, message.encode_to_vec(), &Delta::new(), None)
        };
        let messages: Vec<_> = (1 + 50 * batch..=50 * (batch + 1)).map(of_job).collect();
        run(&messages, &ledger, &backend, &report);
    }
    let memory = ledger.memory.borrow();
    let series = |name: &str| {
        memory.state.families().find(|family| family.descriptor().name() == name).map(|family| family.series().len())
    };
    assert_eq!((series("target_info"), series("adds")), (Some(200), Some(250)));
    drop(memory);
    assert_eq!(ledger.counter("tributary_refused_custom_series", &[("reason", "bound")]), 50);
    assert_eq!(ledger.counter("tributary_refused_series", &[]), 0);
}

#[test]
fn bytes_that_are_no_metrics_are_a_dead_letter_with_its_reason() {
    let (ledger, backend, dead, report) = (FakeLedger::new(), FakeBackend::new(), FakeDead::default(), report());
    let bad = message_of(1, vec![0xff; 9], &Delta::new(), None);
    let good = message_of(2, of_shop(vec![counted("cart.adds", 5)]), &Delta::new(), None);
    let result = run_with(&[bad, good], &ledger, &backend, &dead, &report);
    assert_eq!(result.verdicts, [MessageVerdict::Dead, MessageVerdict::Ack]);
    assert_eq!(dead.reasons(), [("otlp-1".to_owned(), "resource_metrics".to_owned())]);
    assert_eq!(value(&ledger, "cart_adds"), Some(Value::Counter(5)));
}
