//! How much a decoder allocates: the system's allocator with a count, so that "linear in the input" can be checked.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

thread_local! {
    // Constant and without a destructor, so that the allocator may touch them at any time.
    static LIVE: Cell<i64> = const { Cell::new(0) };
    static PEAK: Cell<i64> = const { Cell::new(0) };
}

fn grow(bytes: usize) {
    let live = LIVE.get().saturating_add(i64::try_from(bytes).unwrap_or(i64::MAX));
    LIVE.set(live);
    PEAK.set(PEAK.get().max(live));
}

fn shrink(bytes: usize) {
    LIVE.set(LIVE.get().saturating_sub(i64::try_from(bytes).unwrap_or(i64::MAX)));
}

// SAFETY: every call goes to `System` unchanged; counting allocates nothing. `realloc` is the default, which calls
// `alloc` and `dealloc`: old and new block count together, as they do for real.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        grow(layout.size());
        // SAFETY: the caller keeps `System`'s contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        shrink(layout.size());
        // SAFETY: the caller keeps `System`'s contract.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// Runs `work` and says how many bytes it had allocated at its peak, beyond what was there before.
pub fn peak_bytes<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = LIVE.get();
    PEAK.set(before);
    let result = work();
    (result, usize::try_from(PEAK.get().saturating_sub(before)).unwrap_or(0))
}

/// Runs `work` on an input of `input_bytes` and checks that it allocated at most `factor` times as much, and 64 kB.
#[track_caller]
pub(crate) fn bounded<T>(input_bytes: usize, factor: usize, work: impl FnOnce() -> T) -> T {
    let (result, peak) = peak_bytes(work);
    let most = input_bytes.saturating_mul(factor).saturating_add(65_536);
    assert!(peak <= most, "{input_bytes} bytes of input made {peak} bytes of memory, more than {factor} times as much");
    result
}
