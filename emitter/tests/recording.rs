//! Recording into series that exist allocates nothing. Alone in its binary, because it counts allocations.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    unsafe_code,
    reason = "helpers of a test; a global allocator is unsafe to declare"
)]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    hint::black_box,
    time::Instant,
};

use tributary_emitter::{Counter, Family, Gauge, Histogram, drain};

struct Counting;

thread_local! {
    /// Of this thread alone: the test harness has threads of its own.
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call goes to the system's allocator as it came; the counter is beside it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

static REQUESTS: Family<Counter, 2> = Family::counter("requests", "Requests.", ["method", "status"]);
static SECONDS: Family<Histogram, 1> =
    Family::histogram("seconds", "Time.", ["method"], &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0]);
static STOCK: Family<Gauge, 1> = Family::gauge("stock", "Stock.", ["item"]);

const STATUSES: [&str; 4] = ["200", "304", "404", "500"];

fn record(status: &str) {
    REQUESTS.with(["GET", status]).increment();
    SECONDS.with(["GET"]).observe(0.07);
    STOCK.with(["hat"]).set(3.0);
}

#[test]
fn recording_into_series_that_exist_allocates_nothing() {
    let handle = REQUESTS.with(["POST", "200"]);
    STATUSES.into_iter().for_each(record);
    drop(drain());
    // What was drained leaves its place.
    let before = ALLOCATIONS.get();
    let (rounds, started) = (25_000_u32, Instant::now());
    for _ in 0..rounds {
        for status in STATUSES {
            record(black_box(status));
        }
        handle.increment();
    }
    let took = started.elapsed();
    assert_eq!(ALLOCATIONS.get() - before, 0);
    println!("a counter of four, a histogram and a gauge, found by their labels: {:?}", took / (rounds * 4));
    assert_eq!(drain().delta.families().len(), 3);
}
