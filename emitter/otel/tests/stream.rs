//! From instruments to messages and through a queue that fails: whatever is recorded arrives once.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    reason = "helpers of a test, with small numbers"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
};

use opentelemetry::{KeyValue, metrics::MeterProvider as _};
use opentelemetry_proto::tonic::{
    common::v1::any_value,
    metrics::v1::{AggregationTemporality, ResourceMetrics, metric::Data, number_data_point},
};
use opentelemetry_sdk::{
    Resource,
    metrics::{Aggregation, Instrument, MeterProviderBuilder, SdkMeterProvider, Stream},
};
use proptest::prelude::*;
use tributary_emitter::{
    Counter, Family,
    config::Config,
    isolate::Isolate,
    limits::{IN_FLIGHT_MS, MAX_FRAGMENT_BYTES, MAX_OUTBOX_MESSAGES},
    set_source,
};
use tributary_otel::{
    opentelemetry, opentelemetry_sdk,
    pack::Bounds,
    reader::Reader,
    source::{BOUNDS, SdkSource, set_up},
};
use tributary_proto::{
    Message as _,
    envelope::{Envelope, FORMAT_OTLP, MAX_ENVELOPE_BYTES, StreamId},
};

static FAMILY: Family<Counter, 0> = Family::counter("beside", "Of a family.", []);

fn exponential(instrument: &Instrument) -> Option<Stream> {
    let aggregation = Aggregation::Base2ExponentialHistogram { max_size: 160, max_scale: 20, record_min_max: true };
    (instrument.name() == "exponential").then(|| Stream::builder().with_aggregation(aggregation).build().unwrap())
}

fn provider(configure: impl FnOnce(MeterProviderBuilder) -> MeterProviderBuilder) -> SdkMeterProvider {
    let resource = Resource::builder_empty().with_attribute(KeyValue::new("service.name", "shop")).build();
    set_up(resource, configure)
}

/// The attributes of the resource that the next message says.
fn sent_resource(provider: &SdkMeterProvider) -> BTreeMap<String, String> {
    provider.meter("shop").u64_counter("count").build().add(1, &[]);
    let (attempt, _) = isolate().seal_and_take(1_000, None);
    let [message] = attempt.messages.as_slice() else { panic!("{} messages", attempt.messages.len()) };
    let envelope = Envelope::decode(&message.1).unwrap();
    let metrics = ResourceMetrics::decode(envelope.resource_metrics.as_slice()).unwrap();
    let text = |value: any_value::Value| match value {
        any_value::Value::StringValue(text) => text,
        value => panic!("{value:?}"),
    };
    let pairs = metrics.resource.unwrap().attributes.into_iter();
    pairs.map(|pair| (pair.key, text(pair.value.unwrap().value.unwrap()))).collect()
}

#[test]
fn attributes_of_a_workers_own_are_added_and_do_not_take_its_name() {
    // As anybody would write it; the SDK's builder names a service that it does not know.
    let own = Resource::builder().with_attribute(KeyValue::new("service.version", "7")).build();
    let resource = sent_resource(&provider(|sdk| sdk.with_resource(own)));
    assert_eq!((resource["service.name"].as_str(), resource["service.version"].as_str()), ("shop", "7"));
    let own = Resource::builder_empty().with_service_name("tills").build();
    assert_eq!(sent_resource(&provider(|sdk| sdk.with_resource(own)))["service.name"], "tills");
}

/// The same with messages of another size.
fn small(bounds: Bounds) -> SdkMeterProvider {
    let reader = Reader::default();
    let provider = SdkMeterProvider::builder().with_reader(reader.clone()).build();
    set_source(Rc::new(SdkSource::new(reader, bounds)));
    provider
}

fn isolate() -> Isolate {
    drop(tributary_emitter::drain());
    Isolate::new(StreamId([3; 16]), "shop", Config { flush_interval_ms: 1_000, ..Config::default() })
}

/// A consumer of its own make: takes messages in any order and any number of times, and adds up the points of each
/// sequence once.
#[derive(Default)]
struct Receiver {
    sequences: BTreeSet<u64>,
    /// By metric and attributes: integers, doubles, the latest reading.
    integers: BTreeMap<(String, String), i128>,
    floats: BTreeMap<(String, String), f64>,
    readings: BTreeMap<(String, String), f64>,
    /// Counts by bucket: the index in explicit ones; of exponential ones, at the scale at which they came.
    buckets: BTreeMap<(String, i32, i64), u64>,
    counts: BTreeMap<(String, String), u64>,
    sums: BTreeMap<(String, String), f64>,
    dropped: u64,
    beside: u64,
    largest_bytes: usize,
    with_both: usize,
}

impl Receiver {
    fn take(&mut self, bytes: &[u8]) {
        assert!(bytes.len() <= MAX_ENVELOPE_BYTES);
        let envelope = Envelope::decode(bytes).unwrap();
        if !self.sequences.insert(envelope.sequence) {
            return;
        }
        self.largest_bytes = self.largest_bytes.max(envelope.resource_metrics.len());
        self.dropped += envelope.dropped.iter().map(|dropped| dropped.recordings).sum::<u64>();
        let families = envelope.metrics().unwrap().families;
        self.with_both += usize::from(!families.is_empty() && !envelope.resource_metrics.is_empty());
        for series in families.into_iter().flat_map(|family| family.series) {
            let tributary_proto::v1::series::Value::Counter(count) = series.value.unwrap() else { panic!() };
            self.beside += count;
        }
        if envelope.resource_metrics.is_empty() {
            return;
        }
        let metrics = ResourceMetrics::decode(envelope.resource_metrics.as_slice()).unwrap();
        let (mut points, mut buckets) = (0, 0);
        for metric in metrics.scope_metrics.into_iter().flat_map(|scope| scope.metrics) {
            let name = metric.name;
            let of = |attributes: &[opentelemetry_proto::tonic::common::v1::KeyValue]| {
                let mut text: Vec<_> = attributes
                    .iter()
                    .map(|pair| match pair.value.as_ref().unwrap().value.as_ref().unwrap() {
                        any_value::Value::StringValue(value) => format!("{}={value}", pair.key),
                        any_value::Value::BoolValue(value) => format!("{}={value}", pair.key),
                        value => panic!("{value:?}"),
                    })
                    .collect();
                text.sort();
                (name.clone(), text.join(","))
            };
            let delta = i32::from(AggregationTemporality::Delta);
            match metric.data.unwrap() {
                Data::Sum(sum) => {
                    assert_eq!(sum.aggregation_temporality, delta);
                    for point in sum.data_points {
                        points += 1;
                        assert!(point.start_time_unix_nano <= point.time_unix_nano);
                        match point.value.unwrap() {
                            number_data_point::Value::AsInt(value) => {
                                *self.integers.entry(of(&point.attributes)).or_default() += i128::from(value);
                            }
                            number_data_point::Value::AsDouble(value) => {
                                *self.floats.entry(of(&point.attributes)).or_default() += value;
                            }
                        }
                    }
                }
                Data::Gauge(gauge) => {
                    for point in gauge.data_points {
                        points += 1;
                        let number_data_point::Value::AsDouble(value) = point.value.unwrap() else { panic!() };
                        self.readings.insert(of(&point.attributes), value);
                    }
                }
                Data::Histogram(histogram) => {
                    assert_eq!(histogram.aggregation_temporality, delta);
                    for point in histogram.data_points {
                        points += 1;
                        buckets += point.bucket_counts.len();
                        assert_eq!(point.bucket_counts.len(), point.explicit_bounds.len() + 1);
                        for (index, count) in point.bucket_counts.iter().enumerate() {
                            *self.buckets.entry((name.clone(), 0, index as i64)).or_default() += count;
                        }
                        *self.counts.entry(of(&point.attributes)).or_default() += point.count;
                        *self.sums.entry(of(&point.attributes)).or_default() += point.sum.unwrap();
                    }
                }
                Data::ExponentialHistogram(histogram) => {
                    assert_eq!(histogram.aggregation_temporality, delta);
                    for point in histogram.data_points {
                        points += 1;
                        for (index, count) in point.positive.iter().flat_map(|side| {
                            side.bucket_counts.iter().enumerate().map(|(at, n)| (i64::from(side.offset) + at as i64, n))
                        }) {
                            *self.buckets.entry((name.clone(), point.scale, index)).or_default() += count;
                            buckets += 1;
                        }
                        let in_buckets: u64 = point
                            .positive
                            .iter()
                            .chain(&point.negative)
                            .flat_map(|side| &side.bucket_counts)
                            .chain([&point.zero_count])
                            .sum();
                        assert_eq!(in_buckets, point.count);
                        *self.counts.entry(of(&point.attributes)).or_default() += point.count;
                        *self.sums.entry(of(&point.attributes)).or_default() += point.sum.unwrap();
                    }
                }
                Data::Summary(_) => panic!("nobody makes summaries"),
            }
        }
        assert!(points <= BOUNDS.points && buckets <= BOUNDS.buckets, "{points} points, {buckets} buckets");
    }

    fn integer(&self, name: &str, attributes: &str) -> Option<i128> {
        self.integers.get(&(name.to_owned(), attributes.to_owned())).copied()
    }
}

/// Seals and takes everything in order, without failures.
fn all(isolate: &Isolate, receiver: &mut Receiver, now_ms: u64) {
    loop {
        let (attempt, _) = isolate.seal_and_take(now_ms, None);
        if attempt.messages.is_empty() {
            return;
        }
        for (sequence, bytes) in &attempt.messages {
            receiver.take(bytes);
            isolate.flusher.borrow_mut().confirm(&[*sequence]);
        }
    }
}

#[test]
fn every_kind_of_instrument_arrives_as_what_was_added() {
    let provider = provider(|sdk| sdk.with_view(exponential));
    let (isolate, mut receiver) = (isolate(), Receiver::default());
    let meter = provider.meter("shop");
    let count = meter.u64_counter("count").build();
    let float = meter.f64_counter("float").build();
    let open = meter.i64_up_down_counter("open").build();
    let latest = meter.f64_gauge("latest").build();
    let explicit = meter.f64_histogram("explicit").with_boundaries(vec![1.0, 2.0]).build();
    let exponential = meter.f64_histogram("exponential").build();
    let (total, level) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicI64::new(0)));
    let (skip, temperature) = (Arc::new(AtomicBool::new(false)), 21.5);
    let observed = (Arc::clone(&total), Arc::clone(&skip));
    let _total = meter
        .u64_observable_counter("total")
        .with_callback(move |observer| {
            if !observed.1.load(Ordering::Relaxed) {
                observer
                    .observe(observed.0.load(Ordering::Relaxed), &[KeyValue::new("b", "2"), KeyValue::new("a", "1")]);
            }
        })
        .build();
    let observed = Arc::clone(&level);
    let _level = meter
        .i64_observable_up_down_counter("level")
        .with_callback(move |observer| observer.observe(observed.load(Ordering::Relaxed), &[]))
        .build();
    let _temperature = meter
        .f64_observable_gauge("temperature")
        .with_callback(move |observer| observer.observe(temperature, &[]))
        .build();

    let se = [KeyValue::new("country", "SE")];
    for round in 0..4_u64 {
        count.add(2, &se);
        float.add(0.5, &[]);
        open.add(if round % 2 == 0 { 3 } else { -2 }, &[]);
        latest.record(round as f64, &[]);
        [0.5, 1.0, 1.5, 9.0].into_iter().for_each(|value| explicit.record(value, &[]));
        [1.0, 2.0, 4.0, 0.0].into_iter().for_each(|value| exponential.record(value, &[]));
        total.store(10 * (round + 1), Ordering::Relaxed);
        level.store(5 - 3 * round as i64, Ordering::Relaxed);
        // Once it is not observed: it does not begin anew after that.
        skip.store(round == 1, Ordering::Relaxed);
        let (attempt, notes) = isolate.seal_and_take(1_000 * (round + 1), None);
        assert_eq!((attempt.messages.len(), notes.dropped), (1, 0), "one message for all of it");
        let envelope = Envelope::decode(&attempt.messages[0].1).unwrap();
        assert_eq!((envelope.sequence, envelope.resolver_id.as_str()), (round + 1, "shop"));
        assert_eq!(attempt.messages[0].1[..2], [8, u8::try_from(FORMAT_OTLP).unwrap()]);
        receiver.take(&attempt.messages[0].1);
        isolate.flusher.borrow_mut().confirm(&[round + 1]);
    }
    assert_eq!(receiver.integer("count", "country=SE"), Some(8));
    assert_eq!(receiver.floats[&("float".to_owned(), String::new())], 2.0);
    assert_eq!(receiver.integer("open", ""), Some(2), "added, not repeated");
    assert_eq!(receiver.integer("total", "a=1,b=2"), Some(40));
    assert_eq!(receiver.integer("level", ""), Some(-4));
    assert_eq!(receiver.readings[&("latest".to_owned(), String::new())], 3.0);
    assert_eq!(receiver.readings[&("temperature".to_owned(), String::new())], 21.5);
    let explicit: Vec<u64> = (0..3).map(|index| receiver.buckets[&("explicit".to_owned(), 0, index)]).collect();
    assert_eq!(explicit, [8, 4, 4], "a value that equals a bound is under it");
    assert_eq!(receiver.counts[&("exponential".to_owned(), String::new())], 16);
    assert_eq!(receiver.sums[&("exponential".to_owned(), String::new())], 28.0);
}

#[test]
fn an_isolate_that_records_nothing_sends_nothing() {
    let provider = provider(|sdk| sdk);
    let isolate = isolate();
    let count = provider.meter("shop").u64_counter("count").build();
    let _level = provider
        .meter("shop")
        .i64_observable_up_down_counter("level")
        .with_callback(|observer| observer.observe(7, &[]))
        .build();
    count.add(1, &[]);
    assert_eq!(isolate.seal_and_take(1_000, None).0.messages.len(), 1);
    isolate.flusher.borrow_mut().confirm(&[1]);
    let (attempt, notes) = isolate.seal_and_take(2_000, None);
    assert_eq!((attempt.messages.len(), notes.sealed.messages), (0, 0), "a level that stays is no news");
    provider.shutdown().unwrap();
    count.add(1, &[]);
    assert_eq!(isolate.seal_and_take(3_000, None).0.messages.len(), 0);
}

#[test]
fn one_stream_carries_families_and_points_in_one_message() {
    let provider = provider(|sdk| sdk);
    let (isolate, mut receiver) = (isolate(), Receiver::default());
    provider.meter("shop").u64_counter("count").build().add(1, &[]);
    // A callback records into a family, too, and what it does goes along.
    let asked = AtomicBool::new(false);
    let _observed = provider
        .meter("shop")
        .f64_observable_gauge("watched")
        .with_callback(move |observer| {
            if !asked.swap(true, Ordering::Relaxed) {
                FAMILY.with([]).add(2);
                observer.observe(1.5, &[]);
            }
        })
        .build();
    FAMILY.with([]).increment();
    all(&isolate, &mut receiver, 1_000);
    assert_eq!((receiver.integer("count", ""), receiver.beside), (Some(1), 3));
    assert_eq!((receiver.sequences.len(), receiver.with_both), (1, 1));
}

#[test]
fn a_collect_larger_than_a_message_is_several_and_loses_no_point() {
    let provider = provider(|sdk| sdk.with_view(exponential));
    let (isolate, mut receiver) = (isolate(), Receiver::default());
    let meter = provider.meter("shop");
    let counters: Vec<_> = (0..3).map(|n| meter.u64_counter(format!("count_{n}")).build()).collect();
    let histogram = meter.f64_histogram("explicit").with_boundaries((0..100).map(f64::from).collect()).build();
    for n in 0..1_500_u64 {
        let attributes = [KeyValue::new("user", format!("{n:0200}"))];
        counters.iter().for_each(|counter| counter.add(n, &attributes));
        if n < 200 {
            histogram.record(n as f64, &attributes);
        }
    }
    all(&isolate, &mut receiver, 1_000);
    assert!(receiver.sequences.len() > 10, "{}", receiver.sequences.len());
    // Full messages: neither point by point nor over the bound.
    assert!((100_000..=MAX_FRAGMENT_BYTES).contains(&receiver.largest_bytes), "{}", receiver.largest_bytes);
    assert_eq!((receiver.integers.len(), receiver.counts.len(), receiver.dropped), (4_500, 200, 0));
    let sum: i128 = receiver.integers.values().sum();
    assert_eq!(sum, 3 * (0..1_500).sum::<i128>());
    assert_eq!(receiver.counts.values().sum::<u64>(), 200);
}

#[test]
fn what_no_message_can_carry_is_counted_and_the_rest_arrives() {
    let provider = provider(|sdk| sdk);
    let (isolate, mut receiver) = (isolate(), Receiver::default());
    let meter = provider.meter("shop");
    let count = meter.u64_counter("count").build();
    count.add(1, &[KeyValue::new("long", "x".repeat(MAX_FRAGMENT_BYTES))]);
    count.add(2, &[]);
    let float = meter.f64_counter("float").build();
    // NaN is passed over by the SDK itself; what becomes infinite is not.
    float.add(f64::NAN, &[KeyValue::new("is", "nan")]);
    (0..2).for_each(|_| float.add(f64::MAX, &[KeyValue::new("is", "infinite")]));
    float.add(-1.0, &[KeyValue::new("is", "negative")]);
    float.add(1.0, &[]);
    // Over 63 bits, which OTLP's integers have.
    let huge = meter.u64_counter("huge").build();
    huge.add(u64::MAX, &[]);
    all(&isolate, &mut receiver, 1_000);
    assert_eq!((receiver.integer("count", ""), receiver.integers.len()), (Some(2), 2));
    assert_eq!(receiver.floats.len(), 1);
    assert_eq!(receiver.integer("huge", ""), Some(i128::from(u64::MAX)));
    assert_eq!(receiver.dropped, 3);
}

#[test]
fn while_the_outbox_is_full_the_sdk_goes_on_merging_and_nothing_is_lost() {
    let provider = provider(|sdk| sdk);
    let (isolate, mut receiver) = (isolate(), Receiver::default());
    let count = provider.meter("shop").u64_counter("count").build();
    let rounds = u64::try_from(MAX_OUTBOX_MESSAGES).unwrap() * 2;
    for round in 0..rounds {
        count.add(1, &[]);
        let (attempt, _) = isolate.seal_and_take(round * 1_000, None);
        let sequences: Vec<_> = attempt.messages.iter().map(|(sequence, _)| *sequence).collect();
        isolate.flusher.borrow_mut().release(attempt.id, &sequences);
    }
    assert_eq!(isolate.flusher.borrow().outbox().len(), MAX_OUTBOX_MESSAGES);
    assert!(!isolate.flusher.borrow().wants_points());
    all(&isolate, &mut receiver, rounds * 1_000);
    assert_eq!(receiver.integer("count", ""), Some(i128::from(rounds)));
    assert_eq!(receiver.sequences.len(), MAX_OUTBOX_MESSAGES + 1);
}

#[derive(Clone, Debug)]
enum Step {
    Record { series: u8, count: u64, wide: bool },
    Seal { fails: bool, arrives: bool },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..40_u8, 0..1_000_u64, any::<bool>())
            .prop_map(|(series, count, wide)| Step::Record { series, count, wide }),
        1 => (any::<bool>(), any::<bool>()).prop_map(|(fails, arrives)| Step::Seal { fails, arrives }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever sends do, also those that arrive and are believed lost, each recording counts once.
    #[test]
    fn each_recording_counts_once_whatever_the_queue_does(
        steps in prop::collection::vec(step(), 1..80),
        points in 1..20_usize,
        room in 400..3_000_usize,
    ) {
        let provider = small(Bounds { bytes: room, points, buckets: 100, written: 10 * room });
        let (isolate, mut receiver) = (isolate(), Receiver::default());
        let meter = provider.meter("shop");
        let count = meter.u64_counter("count").build();
        let explicit = meter.u64_histogram("explicit").with_boundaries(vec![10.0, 100.0]).build();
        let (mut sum, mut observed, mut now_ms) = (0_i128, 0_u64, 0);
        for step in steps {
            now_ms += 1_000;
            match step {
                Step::Record { series, count: added, wide } => {
                    let value = if wide { format!("{series:050}") } else { series.to_string() };
                    let attributes = [KeyValue::new("series", value)];
                    count.add(added, &attributes);
                    explicit.record(added, &attributes);
                    sum += i128::from(added);
                    observed += 1;
                }
                Step::Seal { fails, arrives } => {
                    let (attempt, _) = isolate.seal_and_take(now_ms, None);
                    let sequences: Vec<_> = attempt.messages.iter().map(|(sequence, _)| *sequence).collect();
                    if arrives || !fails {
                        attempt.messages.iter().for_each(|(_, bytes)| receiver.take(bytes));
                    }
                    if fails {
                        isolate.flusher.borrow_mut().release(attempt.id, &sequences);
                    } else {
                        isolate.flusher.borrow_mut().confirm(&sequences);
                    }
                }
            }
        }
        all(&isolate, &mut receiver, now_ms + IN_FLIGHT_MS);
        prop_assert_eq!(receiver.integers.values().sum::<i128>(), sum);
        prop_assert_eq!(receiver.counts.values().sum::<u64>(), observed);
        prop_assert_eq!(receiver.dropped, 0);
        let last = isolate.flusher.borrow().last_sequence();
        prop_assert!(receiver.sequences.iter().copied().eq(1..=last), "no holes");
        prop_assert!(receiver.largest_bytes <= room);
    }
}
