//! States of many series: what a clone shares, what keeps them within their bounds, and what they come to.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of a test")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    time::Instant,
};

use tributary_proto::Message as _;
use tributary_telemetry::{
    Applied, Capacity, Delta, Families, FamilyDescriptor, LabelSet, MetricFamily, MetricKind, Snapshot, TextFormat,
    TextOptions, Value,
    custom::overflow_labels,
    limits::parts,
    otlp::{Export, OtlpOptions, export::Requests, requests::MAX_REQUEST_BYTES, window::Window},
    write_family, write_selected_text,
};

static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

/// Counts bytes as an allocator hands them out, with eight of its own for each piece.
struct Counting;

fn take(bytes: usize) {
    PEAK.fetch_max(LIVE.fetch_add(bytes + 8, Relaxed) + bytes + 8, Relaxed);
}

// SAFETY: everything is handed to the system's allocator as it came.
#[expect(unsafe_code, reason = "an allocator that counts is an allocator")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        take(layout.size());
        // SAFETY: the caller keeps the contract, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size() + 8, Relaxed);
        // SAFETY: the caller keeps the contract, which is the same.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What `work` made, how many bytes of it are left, how many there were at once, and how long it took in milliseconds.
fn measured<T>(work: impl FnOnce() -> T) -> (T, [usize; 3]) {
    let before = LIVE.load(Relaxed);
    PEAK.store(before, Relaxed);
    let start = Instant::now();
    let made = work();
    let millis = usize::try_from(start.elapsed().as_millis()).unwrap();
    (made, [LIVE.load(Relaxed).saturating_sub(before), PEAK.load(Relaxed).saturating_sub(before), millis])
}

fn family(name: &str) -> FamilyDescriptor {
    FamilyDescriptor::new(name.to_owned(), "Help.", "", MetricKind::Counter).unwrap()
}

/// Counters at 1 with four labels, one of them as `filler` says.
fn wide(name: &str, series: std::ops::Range<usize>, filler: &str) -> Delta {
    let mut delta = Delta::new();
    for index in series {
        let number = format!("{index:06}");
        let pairs = [("country", "SE"), ("method", filler), ("route", "/v1/orders"), ("shop", number.as_str())];
        delta.add_counter(&family(name), LabelSet::from_pairs(pairs).unwrap(), 1).unwrap();
    }
    delta
}

fn counted(name: &str, series: usize) -> Delta {
    wide(name, 0..series, "POST")
}

fn in_parts() -> Snapshot {
    let mut state = Snapshot::new(0);
    state.set_capacity(Capacity::in_parts(false));
    state
}

fn of<'a>(state: &'a Snapshot, name: &str) -> &'a MetricFamily {
    state.families().find(|family| family.descriptor().name() == name).unwrap()
}

fn text(state: &Snapshot) -> Vec<u8> {
    let mut out = Vec::new();
    write_selected_text(state, &TextOptions::new(TextFormat::OpenMetrics), |_| true, &mut out);
    out
}

/// What all counters of a state come to.
fn total(state: &Snapshot) -> u64 {
    let series = state.families().flat_map(MetricFamily::series);
    series.map(|(_, series)| if let Value::Counter(count) = series.value() { *count } else { 0 }).sum()
}

#[test]
fn a_clone_shares_each_family_until_one_of_the_two_changes_it() {
    let mut state = Snapshot::new(0);
    for name in ["a", "b"] {
        let _applied = state.apply(&counted(name, 3), 1).unwrap();
    }
    let before = state.clone();
    let _applied = state.apply_custom(&counted("a", 4), 2);
    assert!(std::ptr::eq(of(&state, "b"), of(&before, "b")), "nothing came to it");
    assert!(!std::ptr::eq(of(&state, "a"), of(&before, "a")));
    assert_eq!((of(&before, "a").series().len(), of(&state, "a").series().len()), (3, 4));
    // What is alone is changed in place.
    let at = std::ptr::from_ref(of(&state, "a"));
    let _applied = state.apply_custom(&counted("a", 4), 3);
    assert!(std::ptr::eq(at, of(&state, "a")));
}

#[test]
fn a_state_in_parts_has_each_of_100_000_series_and_counts_the_rest_in_overflow_series() {
    let mut state = in_parts();
    let mut left = Applied::default();
    for number in 0..10 {
        left = left.and(state.apply_custom(&counted(&format!("shop_orders_{number}"), 10_000), 1));
    }
    assert_eq!((left.series_added, left.series_overflowed, left.series_refused), (100_000, 0, 0));
    assert!(text(&state).len() <= state.room().text && state.room().text < parts::MAX_CUSTOM_TEXT_BYTES);
    for number in 0..10 {
        left = left.and(state.apply_custom(&wide(&format!("shop_orders_{number}"), 10_000..12_000, "POST"), 1));
    }
    let series = u64::try_from(parts::MAX_CUSTOM_SERIES).unwrap();
    assert!((series..=series + 10).contains(&left.series_added), "{left:?}");
    assert_eq!(left.series_refused, 0);
    assert_eq!(left.series_overflowed, 120_000 - series, "each is in the overflow series of its family");
    assert_eq!(total(&state), 120_000);
    // The pipeline's own still have room.
    let ours = state.apply(&counted("confidence_resolves", 5_000), 2).unwrap();
    assert_eq!((ours.series_added, ours.series_refused), (5_000, 0));
    assert!(text(&state).len() <= parts::MAX_TEXT_BYTES);
}

#[test]
fn one_family_leaves_room_to_the_others() {
    let mut state = in_parts();
    let first = state.apply_custom(&counted("a", parts::MAX_SERIES_PER_FAMILY + 10), 1);
    assert_eq!(first.series_overflowed, 11);
    // By bytes of the text, where its labels are long.
    let long = "x".repeat(1_000);
    let second = state.apply_custom(&wide("b", 0..10_000, &long), 1);
    assert!((5_000..6_000).contains(&second.series_added), "{second:?}");
    assert!(of(&state, "b").series().any(|(labels, _)| *labels == overflow_labels()));
    let others = state.apply_custom(&counted("c", 20_000 - 1), 1);
    assert_eq!((others.series_added, others.series_overflowed), (20_000 - 1, 0));
    assert_eq!(total(&state), 20_010 + 10_000 + 20_000 - 1);
}

#[test]
fn no_labels_make_a_text_that_is_no_value_of_the_store() {
    let long = "\"".repeat(1_000);
    let fill = |state: &mut Snapshot| {
        // A family that comes when there is no room for it has none for its overflow series either.
        for series in [0..1, 1..4_000] {
            for number in 0..8 {
                let _applied = state.apply_custom(&wide(&format!("f{number}"), series.clone(), &long), 1);
            }
        }
        assert_eq!(total(state), 8 * 4_000);
    };
    let mut state = in_parts();
    fill(&mut state);
    let room = state.room();
    let most = parts::MAX_CUSTOM_TEXT_BYTES + parts::MAX_OVERFLOW_TEXT_BYTES;
    assert!((parts::MAX_CUSTOM_TEXT_BYTES - 10_000..=most).contains(&room.text), "{room:?}");
    assert!(text(&state).len() <= room.text);
    // With `_created` there is room for about half as many.
    let mut created = Snapshot::new(0);
    created.set_capacity(Capacity::in_parts(true));
    fill(&mut created);
    assert!(created.room().text + created.room().created <= most);
    assert!(created.series_count() * 2 < state.series_count() + 100, "{}", created.series_count());
}

/// Alone in its process: `cargo test --release -p tributary-telemetry --test large -- --ignored --nocapture`.
#[test]
#[ignore = "prints what 100,000 series come to, in memory and in time; docs/scale.md has the numbers"]
fn what_100_000_series_come_to() {
    let mut state = in_parts();
    let (_, of_state) = measured(|| {
        for number in 0..10 {
            for message in 0..20 {
                let range = message * 500..(message + 1) * 500;
                let _applied = state.apply_custom(&wide(&format!("shop_orders_{number}"), range, "POST"), 1);
            }
        }
    });
    println!("applied      {of_state:?}");
    let (clone, of_clone) = measured(|| state.clone());
    println!("clone        {of_clone:?}");
    let (_, of_commit) = measured(|| state.apply_custom(&counted("shop_orders_3", 1_000), 2));
    println!("first commit {of_commit:?}");
    let (_, of_commit) = measured(|| state.apply_custom(&counted("shop_orders_3", 1_000), 2));
    println!("next commit  {of_commit:?}");
    let (text, of_text) = measured(|| text(&state));
    println!("text         {of_text:?} of {} reserved", state.room().text);
    let (bytes, of_bytes) = measured(|| state.encode());
    println!("encoded      {of_bytes:?} of {} reserved", state.room().bytes);
    let mut families = Families::of(&bytes).unwrap();
    let (_, of_pieces) = measured(|| {
        while let Some(family) = families.next(&bytes).unwrap() {
            let mut piece = Vec::new();
            write_family(&family, &TextOptions::new(TextFormat::Prometheus), &mut piece);
        }
    });
    println!("in pieces    {of_pieces:?}");
    let options =
        OtlpOptions { resource: Default::default(), histograms: Default::default(), scope_version: "1".to_owned() };
    let totals = Export::Cumulative { state: &state, time_ms: 9 };
    let (requests, of_totals) = measured(|| Requests::new(totals, &options, MAX_REQUEST_BYTES).count());
    println!("totals       {of_totals:?} in {requests} requests");
    let (window, of_window) = measured(|| Window::between(&Snapshot::new(0), 1, &state, 9));
    println!("window       {of_window:?}");
    let (_, of_window) = measured(|| Window::between(&clone, 1, &state, 9));
    println!("of a family  {of_window:?}");
    let (requests, of_deltas) = measured(|| {
        let requests = Requests::new(Export::Delta(&window), &options, MAX_REQUEST_BYTES);
        requests.map(|request| request.encode_to_vec().len()).sum::<usize>()
    });
    println!("deltas       {of_deltas:?} of {requests} bytes");
    drop((clone, window));
    let (read, of_read) = measured(|| Snapshot::decode(&bytes).unwrap());
    println!("decoded      {of_read:?}");
    assert!(read == state && !text.is_empty());
}
