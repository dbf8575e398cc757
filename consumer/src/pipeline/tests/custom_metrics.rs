//! Custom metrics in batches: counted once as everything is, and never at the cost of others.

use tributary_telemetry::{
    Bounds, Delta, ExplicitBounds, FamilyDescriptor, Gauge, Histogram, MetricKind, Number, TextFormat, TextOptions,
    limits::{MAX_CUSTOM_SERIES, MAX_MESSAGE_SERIES},
    write_text,
};

use super::*;

fn family(name: &str, kind: MetricKind) -> FamilyDescriptor {
    FamilyDescriptor::new(name.to_owned(), "Help.", "", kind).unwrap()
}

fn labels(pairs: &[(&str, &str)]) -> LabelSet {
    LabelSet::from_pairs(pairs.iter().copied()).unwrap()
}

fn counter(name: &str, pairs: &[(&str, &str)], count: u64) -> Delta {
    let mut delta = Delta::new();
    delta.add_counter(&family(name, MetricKind::Counter), labels(pairs), count).unwrap();
    delta
}

fn histogram(name: &str, bounds: &[f64], counts: &[u64], sum: f64) -> Delta {
    let bounds = Bounds::Explicit(ExplicitBounds::new(bounds).unwrap());
    let histogram = Histogram::from_parts(bounds, counts.to_vec(), Number::Float(sum)).unwrap();
    let mut delta = Delta::new();
    delta.add_histogram(&family(name, MetricKind::Histogram), LabelSet::empty(), &histogram).unwrap();
    delta
}

fn gauge(name: &str, value: u64, time_ms: u64) -> Delta {
    let mut delta = Delta::new();
    delta.set_gauge(&family(name, MetricKind::Gauge), LabelSet::empty(), Gauge::unsigned(value, time_ms)).unwrap();
    delta
}

/// A message of the Worker `name` with these deltas and nothing else.
fn message_of(name: &str, stream: u8, sequence: u64, deltas: &[Delta]) -> QueueMessage {
    let mut merged = Delta::new();
    deltas.iter().for_each(|delta| merged.merge(delta).unwrap());
    let envelope = Envelope {
        stream_id: StreamId([stream; 16]),
        ledgers: 1,
        sequence,
        window_start_ms: NOW - 2_000,
        window_end_ms: NOW - 1_000,
        resolver_id: name.into(),
        dimensions: Default::default(),
        flag_logs: Vec::new(),
        metrics: merged.to_wire().encode_to_vec(),
        resource_metrics: Vec::new(),
        dropped: vec![],
    };
    QueueMessage {
        id: format!("{name}-{stream}-{sequence}"),
        sent_ms: NOW - 900,
        attempts: 1,
        body: MessageBody::Bytes(envelope.encode().unwrap()),
    }
}

fn refused(ledger: &FakeLedger, reason: &str) -> u64 {
    ledger.counter("tributary_refused_custom_series", &[("reason", reason)])
}

fn value(ledger: &FakeLedger, name: &str, pairs: &[(&str, &str)]) -> Option<Value> {
    ledger.memory.borrow().state.get(name, &labels(pairs)).map(|series| series.value().clone())
}

#[test]
fn the_metrics_of_a_worker_that_resolves_nothing_are_counted_once_with_its_own_labels() {
    let (ledger, backend, report) = (FakeLedger::new(), FakeBackend::new(), report());
    let said = |sequence| {
        let orders = counter("shop_orders", &[("country", "SE")], 3);
        let basket = histogram("shop_basket_items", &[1.0, 5.0], &[1, 2, 3], 40.0);
        message_of("shop", 1, sequence, &[orders, basket, gauge("shop_stock", sequence, NOW - sequence * 1_000)])
    };
    // The answer of the Ledger is lost, the batch comes again, and a message of it twice.
    ledger.faults.borrow_mut().push_back(Some(LedgerFault::After));
    run(&[said(1), message(1), said(2)], &ledger, &backend, &report);
    let result = run(&[said(2), said(1), message(1), said(1)], &ledger, &backend, &report);
    assert_eq!((result.verdicts, result.events), (vec![MessageVerdict::Ack; 4], vec![]));
    assert_eq!(value(&ledger, "shop_orders", &[("country", "SE")]), Some(Value::Counter(6)));
    let Some(Value::Histogram(basket)) = value(&ledger, "shop_basket_items", &[]) else { panic!("no histogram") };
    assert_eq!((basket.bucket_counts(), basket.sum()), ([2, 4, 6].as_slice(), Number::Float(80.0)));
    // The later reading, not the later message.
    assert_eq!(value(&ledger, "shop_stock", &[]), Some(Value::Gauge(Gauge::unsigned(1, NOW - 1_000))));
    // In the account of its sender, which has no series of flags; the flags of the same batch count as ever.
    assert_eq!(ledger.counter("tributary_records_applied", &[("resolver_id", "shop")]), 2);
    assert_eq!(ledger.counter("tributary_records_sent", &[("resolver_id", "shop")]), 2);
    assert_eq!(value(&ledger, "confidence_flush_succeeded", &[("resolver_id", "shop")]), None);
    assert_eq!((ledger.resolves(), backend.assignments()), (1, 1));
    ledger.memory.borrow().check_accounts();
}

#[test]
fn reserved_names_are_left_out_and_counted_and_their_message_goes_on() {
    let (ledger, backend, report) = (FakeLedger::new(), FakeBackend::new(), report());
    let forged = [("reason", "RESOLVE_REASON_MATCH"), ("resolver_id", "eu")];
    let deltas = [
        counter("confidence_resolves", &forged, 1_000_000),
        counter("tributary_records_sent", &[("resolver_id", "eu")], 1_000_000),
        gauge("up", 0, NOW - 1_000),
        counter("tributary_producer_state_refreshes", &[("outcome", "loaded")], 4),
        counter("shop_orders", &[], 5),
    ];
    let result = run(&[message_of("shop", 1, 1, &deltas), message(1)], &ledger, &backend, &report);
    assert_eq!(result.verdicts, [MessageVerdict::Ack; 2]);
    let names = Event::NamesReserved {
        message_id: "shop-1-1".into(),
        resolver_id: "shop".into(),
        families: 3,
        first: "confidence_resolves".into(),
    };
    assert_eq!(result.events, [names]);
    assert_eq!((ledger.resolves(), refused(&ledger, "reserved_name")), (1, 3));
    assert_eq!(value(&ledger, "up", &[]), None);
    assert_eq!(value(&ledger, "shop_orders", &[]), Some(Value::Counter(5)));
    let of_producer = value(&ledger, "tributary_producer_state_refreshes", &[("outcome", "loaded")]);
    assert_eq!(of_producer, Some(Value::Counter(4)));
    ledger.memory.borrow().check_accounts();
}

/// Whoever comes first in a batch, series that exist go on, and what contradicts them is counted.
#[test]
fn a_worker_that_contradicts_another_displaces_nothing_and_poisons_no_batch() {
    let (ledger, backend, report) = (FakeLedger::new(), FakeBackend::new(), report());
    let honest = |sequence| {
        let deltas = [counter("orders", &[], 1), histogram("basket", &[1.0], &[1, 0], 1.0)];
        message_of("honest", 1, sequence, &deltas)
    };
    run(&[honest(1)], &ledger, &backend, &report);
    let careless = |sequence| {
        let deltas = [
            gauge("orders", 7, NOW - 1_500),
            histogram("basket", &[2.0], &[1, 0], 1.0),
            // Prints `basket_count`, as the histogram does.
            gauge("basket_count", 7, NOW - 1_500),
        ];
        message_of("careless", 2, sequence, &deltas)
    };
    let overflowing = |sequence| message_of("huge", 3, sequence, &[counter("huge", &[], u64::MAX)]);
    for round in 0..3 {
        let batch = [
            overflowing(1 + 2 * round),
            careless(1 + round),
            message(1 + round),
            honest(2 + round),
            overflowing(2 + 2 * round),
        ];
        let result = run(&batch, &ledger, &backend, &report);
        assert_eq!((result.verdicts, result.events), (vec![MessageVerdict::Ack; 5], vec![]));
    }
    assert_eq!(value(&ledger, "orders", &[]), Some(Value::Counter(4)));
    let Some(Value::Histogram(basket)) = value(&ledger, "basket", &[]) else { panic!("no histogram") };
    assert_eq!((basket.count(), basket.bounds().len()), (4, 1));
    assert_eq!(value(&ledger, "huge", &[]), Some(Value::Counter(u64::MAX)));
    assert_eq!((refused(&ledger, "conflict"), refused(&ledger, "overflow"), ledger.resolves()), (9, 5, 6));
    // Every record counts in its account, whatever became of its series.
    for (name, records) in [("honest", 4), ("careless", 3), ("huge", 6)] {
        assert_eq!(ledger.counter("tributary_records_applied", &[("resolver_id", name)]), records);
    }
    ledger.memory.borrow().check_accounts();
}

#[test]
fn too_many_series_are_refused_and_counted_and_leave_room_for_everybody_else() {
    let (ledger, backend, report) = (FakeLedger::new(), FakeBackend::new(), report());
    run(&[message_of("shop", 1, 1, &[counter("orders", &[], 1)])], &ledger, &backend, &report);
    let mut sent = 0;
    for message in 0..40_u8 {
        let mut delta = Delta::new();
        for series in 0..MAX_MESSAGE_SERIES {
            let pairs = [("resolver_id", format!("{message}-{series}"))];
            let name = format!("hostile_{}", message % 8);
            let labels = LabelSet::from_pairs(pairs).unwrap();
            delta.add_counter(&family(&name, MetricKind::Counter), labels, 1).unwrap();
            sent += 1;
        }
        let result = run(&[message_of("hostile", 10 + message, 1, &[delta])], &ledger, &backend, &report);
        assert_eq!(result.verdicts, [MessageVerdict::Ack]);
    }
    let custom = |ledger: &FakeLedger| -> u64 {
        let memory = ledger.memory.borrow();
        let hostile = memory.state.families().filter(|family| family.descriptor().name().starts_with("hostile"));
        u64::try_from(hostile.map(|family| family.series().len()).sum::<usize>()).unwrap()
    };
    // Beside `orders` and the overflow series of eight families.
    assert!(custom(&ledger) < u64::try_from(MAX_CUSTOM_SERIES).unwrap() + 8);
    let folded = ledger.counter("tributary_folded_custom_series", &[("reason", "overflow_series")]);
    let total: u64 = (0..8)
        .map(|family| {
            let memory = ledger.memory.borrow();
            let name = format!("hostile_{family}");
            let family = memory.state.families().find(|family| family.descriptor().name() == name);
            let counts =
                family.into_iter().flat_map(|family| family.series()).map(|(_, series)| match series.value() {
                    Value::Counter(count) => *count,
                    _ => 0,
                });
            counts.sum::<u64>()
        })
        .sum();
    assert!(folded > 1_000, "{folded}");
    assert_eq!(
        total + refused(&ledger, "bound"),
        sent,
        "each is in a series of its own, in that of the rest, or refused"
    );
    // What was there goes on; resolvers that nobody knew get their series, with their names.
    let late = message_of("shop", 1, 2, &[counter("orders", &[], 1)]);
    let mut unknown = message(7);
    let MessageBody::Bytes(bytes) = &unknown.body else { panic!("no bytes") };
    let envelope = Envelope { resolver_id: "us".into(), ..Envelope::decode(bytes).unwrap() };
    unknown.body = MessageBody::Bytes(Envelope { stream_id: StreamId([99; 16]), ..envelope }.encode().unwrap());
    run(&[late, unknown], &ledger, &backend, &report);
    assert_eq!(value(&ledger, "orders", &[]), Some(Value::Counter(2)));
    let of_us = [("reason", "RESOLVE_REASON_MATCH"), ("resolver_id", "us")];
    assert_eq!(ledger.counter("confidence_resolves", &of_us), 7);
    assert_eq!(ledger.counter("tributary_folded_series", &[]), 0, "their labels are no sources");
    let mut text = String::new();
    write_text(&ledger.memory.borrow().state, &TextOptions::new(TextFormat::OpenMetrics), &mut text);
    assert!(text.contains("\norders_total 2\n") && text.ends_with("# EOF\n"));
}

#[test]
fn metrics_that_break_a_rule_are_a_dead_letter_with_its_reason_and_nothing_else_is() {
    let (ledger, backend, dead, report) = (FakeLedger::new(), FakeBackend::new(), FakeDead::default(), report());
    let mut bad = message_of("shop", 1, 1, &[gauge("stock", 1, NOW)]);
    bad.id = "late-reading".into();
    let result = run_with(&[bad, message(1)], &ledger, &backend, &dead, &report);
    assert_eq!(result.verdicts, [MessageVerdict::Dead, MessageVerdict::Ack]);
    assert_eq!(dead.reasons(), [("late-reading".to_owned(), "metrics".to_owned())]);
    assert_eq!(ledger.counter("tributary_malformed_messages", &[("reason", "metrics")]), 1);
    assert_eq!(ledger.resolves(), 1);
}

#[test]
fn recordings_that_a_worker_dropped_are_counted_for_it() {
    use tributary_proto::v1::{Dropped, dropped::Reason};
    let (ledger, backend, report) = (FakeLedger::new(), FakeBackend::new(), report());
    let mut message = message_of("shop", 1, 1, &[counter("orders", &[], 1)]);
    let MessageBody::Bytes(bytes) = &message.body else { panic!("no bytes") };
    let mut envelope = Envelope::decode(bytes).unwrap();
    let entry = |reason: Reason, recordings| Dropped { reason: reason.into(), assignments: 0, recordings };
    envelope.dropped = vec![entry(Reason::Invalid, 4), entry(Reason::Limit, 5), entry(Reason::Invalid, 1)];
    message.body = MessageBody::Bytes(envelope.encode().unwrap());
    run(&[message], &ledger, &backend, &report);
    let dropped =
        |reason| ledger.counter("tributary_dropped_recordings", &[("reason", reason), ("resolver_id", "shop")]);
    assert_eq!((dropped("invalid"), dropped("limit")), (5, 5));
    assert_eq!(
        value(&ledger, "tributary_dropped_assignments", &[("reason", "invalid"), ("resolver_id", "shop")]),
        None
    );
}
