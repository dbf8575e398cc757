//! What recording costs beside recording with no exporter, and what a window costs to be sealed.
//!
//! `cargo bench -p tributary-otel`
#![allow(missing_docs, clippy::unwrap_used, reason = "criterion's macros; a bench fails by panicking")]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use tributary_emitter::{Counter, Family, config::Config, isolate::Isolate};
use tributary_otel::{
    opentelemetry::{KeyValue, metrics::MeterProvider as _},
    opentelemetry_sdk::{Resource, metrics::SdkMeterProvider},
    source::set_up,
};
use tributary_proto::envelope::StreamId;

static FAMILY: Family<Counter, 1> = Family::counter("requests", "Requests.", ["country"]);

fn recording(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("recording");
    let ours = set_up(Resource::builder_empty().build(), |sdk| sdk);
    let none = SdkMeterProvider::builder().with_resource(Resource::builder_empty().build()).build();
    for (name, provider) in [("sent", &ours), ("no exporter", &none)] {
        let meter = provider.meter("bench");
        let counter = meter.u64_counter("requests").build();
        let histogram = meter.f64_histogram("seconds").build();
        let attributes = [KeyValue::new("country", "SE")];
        group.bench_function(format!("counter, one attribute, {name}"), |bencher| {
            bencher.iter(|| counter.add(black_box(1), &attributes));
        });
        group.bench_function(format!("counter, none, {name}"), |bencher| {
            bencher.iter(|| counter.add(black_box(1), &[]))
        });
        group.bench_function(format!("histogram, one attribute, {name}"), |bencher| {
            bencher.iter(|| histogram.record(black_box(0.3), &attributes));
        });
    }
    group.bench_function("counter, one label, tributary-emitter", |bencher| {
        bencher.iter(|| FAMILY.with([black_box("SE")]).increment());
    });
    group.finish();
}

fn sealing(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("sealing a window");
    for series in [1_u64, 10, 100] {
        let provider = set_up(Resource::builder_empty().build(), |sdk| sdk);
        let isolate = Isolate::new(StreamId([1; 16]), "bench", Config { flush_interval_ms: 0, ..Config::default() });
        let counter = provider.meter("bench").u64_counter("requests").build();
        let attributes: Vec<_> = (0..series).map(|n| [KeyValue::new("n", n.to_string())]).collect();
        let mut sequence = 0;
        group.bench_function(format!("{series} series"), |bencher| {
            bencher.iter(|| {
                attributes.iter().for_each(|attributes| counter.add(1, attributes));
                let (attempt, _) = isolate.seal_and_take(1, None);
                sequence += 1;
                isolate.flusher.borrow_mut().confirm(&[sequence]);
                attempt.messages.len()
            });
        });
    }
    group.finish();
}

criterion_group!(benches, recording, sealing);
criterion_main!(benches);
