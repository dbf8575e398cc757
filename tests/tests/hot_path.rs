//! What a resolve costs before its answer: with a store for sticky assignments exactly what it costs without, as long as it
//! needs none. Native: needs no Worker.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

use tributary_local::demo_state::demo_state;
use tributary_producer::{
    config::Config,
    host::{self, WorkerHost},
    resolve::{self, Step},
    state::{Fetched, StateCache},
};

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

/// Counts what a thread allocates, and leaves the rest to the system.
struct Counting;

// SAFETY: everything is handed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // Not there any more while a thread ends; nobody counts then.
        let _counted = ALLOCATIONS.try_with(|allocations| allocations.set(allocations.get() + 1));
        // SAFETY: as the caller's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as the caller's.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const SECRET: &str = "a-client-of-a-test";

#[test]
fn a_store_that_a_resolve_does_not_need_costs_it_nothing() {
    let mut cache = StateCache::default();
    let fetched = Fetched { bytes: demo_state(SECRET), metadata: None };
    let state = cache.finish(0, fetched.into_plain()).unwrap();
    let config = Config::default();
    let allocations = |user: &str, is_sticky| {
        let body = format!(
            r#"{{"clientSecret":"{SECRET}","apply":true,"evaluationContext":{{"targeting_key":"{user}","country":"SE"}}}}"#
        );
        let call = resolve::parse(body.as_bytes(), &config).unwrap();
        let before = ALLOCATIONS.get();
        let Ok(Step::Resolved(resolved)) = resolve::run::<WorkerHost>(call, &state.resolver, &config, is_sticky) else {
            panic!("the demo has nothing sticky")
        };
        let allocated = ALLOCATIONS.get() - before;
        assert!(resolved.assigned.is_empty() && resolved.assigned.capacity() == 0);
        // What is logged grows with what was logged before.
        host::drain();
        allocated
    };
    // What is made once for all is made now.
    allocations("warm", true);
    allocations("warm", false);
    for user in ["a", "b", "c", "d"] {
        let without = allocations(user, false);
        assert!(without > 0);
        assert_eq!(allocations(user, true), without, "{user}");
    }
}
