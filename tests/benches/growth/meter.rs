//! What is counted: time, allocations and, under callgrind, instructions of what happens in [`counted`], without what
//! happens [`aside`] in it; and how much is alive.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    hint::black_box,
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    time::Duration,
};

struct Counting;

static COUNTS: AtomicBool = AtomicBool::new(false);
static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
static TAKEN: AtomicU64 = AtomicU64::new(0);
static LIVE: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static TIME: Cell<Duration> = const { Cell::new(Duration::ZERO) };
    static ASIDE: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// Time that this thread had of a processor: what others take of the machine is not in it.
#[cfg(target_os = "linux")]
pub(crate) fn now() -> Duration {
    #[repr(C)]
    #[derive(Default)]
    struct Time {
        seconds: i64,
        nanos: i64,
    }
    #[allow(unsafe_code, reason = "the standard library has no clock of a thread")]
    unsafe extern "C" {
        fn clock_gettime(clock: i32, time: *mut Time) -> i32;
    }
    /// `CLOCK_THREAD_CPUTIME_ID`.
    const THREAD: i32 = 3;
    let mut time = Time::default();
    // SAFETY: it writes the structure that it is given, which is that of 64-bit Linux.
    #[allow(unsafe_code, reason = "see there")]
    let result = unsafe { clock_gettime(THREAD, &raw mut time) };
    assert_eq!(result, 0, "a clock of every Linux");
    Duration::new(time.seconds.try_into().unwrap(), time.nanos.try_into().unwrap())
}

/// The time of the machine, where no other is known.
#[cfg(not(target_os = "linux"))]
pub(crate) fn now() -> Duration {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap()
}

fn bytes(size: usize) -> u64 {
    u64::try_from(size).unwrap_or(u64::MAX)
}

fn allocated(size: usize) {
    LIVE.fetch_add(bytes(size), Relaxed);
    if COUNTS.load(Relaxed) {
        ALLOCATIONS.fetch_add(1, Relaxed);
    }
}

// SAFETY: every call goes to the system's allocator as it came; the counters are beside it.
#[allow(unsafe_code, reason = "a global allocator is unsafe to declare")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        allocated(layout.size());
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        LIVE.fetch_sub(bytes(layout.size()), Relaxed);
        allocated(size);
        // SAFETY: the caller's promise.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(bytes(layout.size()), Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What was counted since the last [`take`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Meter {
    pub(crate) time: Duration,
    pub(crate) allocations: u64,
}

/// Runs what is counted. Must not be nested in itself.
pub(crate) fn counted<T>(work: impl FnOnce() -> T) -> T {
    let (mut work, mut result) = (Some(work), None);
    ASIDE.set(Duration::ZERO);
    COUNTS.store(true, Relaxed);
    let started = now();
    bench_counted_region(&mut || result = work.take().map(|work| work()));
    let time = now().saturating_sub(started).saturating_sub(ASIDE.get());
    COUNTS.store(false, Relaxed);
    TIME.set(TIME.get() + time);
    result.unwrap()
}

/// Runs in [`counted`] what stands for the platform and is not counted.
pub(crate) fn aside<T>(work: impl FnOnce() -> T) -> T {
    let (mut work, mut result) = (Some(work), None);
    let counts = COUNTS.swap(false, Relaxed);
    let started = now();
    if counts {
        bench_uncounted_region(&mut || result = work.take().map(|work| work()));
    } else {
        result = work.take().map(|work| work());
    }
    ASIDE.set(ASIDE.get() + now().saturating_sub(started));
    COUNTS.store(counts, Relaxed);
    result.unwrap()
}

#[inline(never)]
fn bench_counted_region(work: &mut dyn FnMut()) {
    work();
}

#[inline(never)]
fn bench_uncounted_region(work: &mut dyn FnMut()) {
    work();
}

#[inline(never)]
fn bench_end_of_point(allocations: u64) {
    black_box(allocations);
}

/// Ends a point: callgrind writes down what it has, and the rest is returned.
pub(crate) fn take() -> Meter {
    let allocations = ALLOCATIONS.swap(0, Relaxed);
    TAKEN.fetch_add(1, Relaxed);
    bench_end_of_point(allocations);
    Meter { time: TIME.replace(Duration::ZERO), allocations }
}

/// How often [`take`] was called: the number of callgrind's last dump.
pub(crate) fn taken() -> u64 {
    TAKEN.load(Relaxed)
}

/// Bytes on the heap that `make` makes and keeps.
pub(crate) fn heap<T>(make: impl FnOnce() -> T) -> u64 {
    let before = LIVE.load(Relaxed);
    let made = black_box(make());
    let after = LIVE.load(Relaxed);
    drop(made);
    after.saturating_sub(before)
}
