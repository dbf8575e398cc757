//! What writing a text or a message allocates: the output, once.
#![allow(clippy::unwrap_used, reason = "helpers of a test")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

use tributary_telemetry::{
    Bounds, Delta, ExplicitBounds, FamilyDescriptor, Gauge, Histogram, LabelSet, MetricKind, Number, Snapshot,
    TextFormat, TextOptions,
    confidence::{TelemetryDelta, declare_resolver},
    write_selected_protobuf, write_selected_text,
};

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

/// Counts the calls of the thread that makes them.
struct Counting;

// SAFETY: everything is handed to the system's allocator as it came.
#[expect(unsafe_code, reason = "an allocator that counts is an allocator")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller keeps the contract, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract, which is the same.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller keeps the contract, which is the same.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

fn allocations(work: impl FnOnce()) -> u64 {
    let before = ALLOCATIONS.with(Cell::get);
    work();
    ALLOCATIONS.with(Cell::get) - before
}

/// Many producers, all kinds, great numbers, long labels.
fn full_state() -> Snapshot {
    let mut state = Snapshot::new(1_700_000_000_000);
    for number in 0..40 {
        let producer = format!("producer-{number}-{}", "x".repeat(number));
        assert_eq!(declare_resolver(&mut state, &producer).unwrap().series_refused, 0);
        let mut telemetry = TelemetryDelta::new();
        (0..32).for_each(|shift| telemetry.observe_latency(1 << shift));
        (0..11).for_each(|reason| telemetry.add_resolves(reason, u64::from(u32::MAX)));
        let _applied =
            state.apply(&telemetry.to_delta(producer.as_str(), 1_700_000_000_000).unwrap(), 1_700_000_001_000);
    }
    let mut delta = Delta::new();
    let family = FamilyDescriptor::new("age_seconds", "Ages.", "seconds", MetricKind::Histogram).unwrap();
    let bounds = Bounds::Explicit(ExplicitBounds::new(&[0.005, 0.1, 1.0, 2.5]).unwrap());
    let ages = Histogram::from_parts(bounds, vec![1, 2, 3, 4, 5], Number::Float(12.75)).unwrap();
    delta.add_histogram(&family, LabelSet::empty(), &ages).unwrap();
    let family = FamilyDescriptor::new("ratio", "Ratio.", "", MetricKind::Gauge).unwrap();
    delta.set_gauge(&family, LabelSet::empty(), Gauge::new(Number::Float(0.125), 1).unwrap()).unwrap();
    let _applied = state.apply(&delta, 1_700_000_002_000).unwrap();
    state
}

#[test]
fn text_of_a_state_is_the_only_allocation_and_never_grows() {
    let state = full_state();
    for format in [TextFormat::OpenMetrics, TextFormat::Prometheus] {
        for (buckets_per_decade, created) in [(18, false), (18, true), (3, false), (1, true)] {
            let options = TextOptions { format, buckets_per_decade, created };
            let mut out = Vec::new();
            let made = allocations(|| write_selected_text(&state, &options, |_| true, &mut out));
            assert_eq!(made, 1, "{options:?}: {} bytes", out.len());
            // The estimate is not bought with memory.
            assert!(out.capacity() < out.len() * 3, "{options:?}: {} for {}", out.capacity(), out.len());
        }
    }
}

#[test]
fn messages_of_a_state_are_the_only_allocation_and_never_grow() {
    let state = full_state();
    for buckets_per_decade in [18, 3, 1] {
        let mut out = Vec::new();
        let made = allocations(|| write_selected_protobuf(&state, buckets_per_decade, |_| true, &mut out));
        assert_eq!(made, 1, "{buckets_per_decade}: {} bytes", out.len());
        assert!(out.capacity() < out.len() * 2, "{buckets_per_decade}: {} for {}", out.capacity(), out.len());
    }
}

#[test]
fn escapes_and_long_numbers_grow_the_text_and_nothing_else() {
    let mut state = Snapshot::new(0);
    let mut delta = Delta::new();
    let family = FamilyDescriptor::new("hostile", "\n".repeat(1_000), "", MetricKind::Counter).unwrap();
    for number in 0..100 {
        let labels = LabelSet::from_pairs([("a", "\"\\\n".repeat(300)), ("b", number.to_string())]).unwrap();
        delta.add_counter(&family, labels, u64::MAX).unwrap();
    }
    let _applied = state.apply(&delta, 1).unwrap();
    let options = TextOptions::new(TextFormat::OpenMetrics);
    let mut out = Vec::new();
    // Twice as long as expected at most: one growth by doubling, perhaps two.
    assert!(allocations(|| write_selected_text(&state, &options, |_| true, &mut out)) <= 3);
    assert!(out.ends_with(b"# EOF\n"));
}
