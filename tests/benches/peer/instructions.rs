//! Instructions, counted by valgrind's callgrind, and allocations, counted here: they do not depend on what else the
//! machine does.
//!
//! The bench runs itself again under callgrind, in one process for all cases and both sides. What is counted is what
//! happens in [`region`]; [`end_of_side`] makes callgrind write down what it has. Both are found by their names.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::RefCell,
    fmt::Write as _,
    fs,
    hint::black_box,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
};

use crate::{compression, consuming, inputs::Inputs, producing, scraping};

/// The argument that makes this process the one that is counted; the path of the inputs follows.
pub(crate) const CHILD: &str = "--count-instructions-of";

struct Counting;

static COUNTS: AtomicBool = AtomicBool::new(false);
static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: every call goes to the system's allocator as it came; the counter is beside it.
#[allow(unsafe_code, reason = "a global allocator is unsafe to declare")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count_allocation();
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count_allocation();
        // SAFETY: the caller's promise.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count_allocation();
        // SAFETY: the caller's promise.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[inline]
fn count_allocation() {
    if COUNTS.load(Relaxed) {
        ALLOCATIONS.fetch_add(1, Relaxed);
    }
}

/// Runs what is counted, and drops its result there. Must not be nested.
pub(crate) fn region<T>(work: impl FnOnce() -> T) {
    let mut work = Some(work);
    COUNTS.store(true, Relaxed);
    bench_counted_region(&mut || drop(black_box(work.take().map(|work| work()))));
    COUNTS.store(false, Relaxed);
}

#[inline(never)]
fn bench_counted_region(work: &mut dyn FnMut()) {
    work();
}

#[inline(never)]
fn bench_end_of_side(allocations: u64) {
    black_box(allocations);
}

/// One side of a case.
pub(crate) struct Side<'a> {
    /// Runs once what is counted, in [`region`]s.
    pub(crate) run: Box<dyn FnMut() + 'a>,
    /// What one run stands for.
    pub(crate) elements: u32,
}

impl<'a> Side<'a> {
    pub(crate) fn new(elements: usize, run: impl FnMut() + 'a) -> Self {
        Self { run: Box::new(run), elements: u32::try_from(elements).unwrap() }
    }
}

/// Work of both sides, and what share of the peer's instructions ours is to take at most.
pub(crate) struct Case<'a> {
    pub(crate) work: &'static str,
    pub(crate) peer: Option<Side<'a>>,
    pub(crate) ours: Side<'a>,
    /// At most the peer's instructions divided by this.
    pub(crate) target: Option<f64>,
}

fn cases(inputs: &Inputs) -> Vec<Case<'_>> {
    if std::env::var_os(compression::VARIABLE).is_some() {
        return compression::cases(inputs);
    }
    let mut cases = producing::cases(inputs);
    cases.extend(consuming::cases(inputs));
    cases.extend(scraping::cases());
    cases
}

/// The process under callgrind: runs each side once to warm it up, then counted.
pub(crate) fn count(path: &Path) {
    let inputs = Inputs::load(path);
    for Case { work, peer, ours, target } in cases(&inputs) {
        for side in [peer, Some(ours)] {
            let Some(mut side) = side else {
                println!("side");
                continue;
            };
            (side.run)();
            bench_end_of_side(0);
            ALLOCATIONS.store(0, Relaxed);
            (side.run)();
            let allocations = ALLOCATIONS.load(Relaxed);
            bench_end_of_side(allocations);
            println!("side {} {allocations}", side.elements);
        }
        println!("case {} {work}", target.map_or("-".to_owned(), |target| target.to_string()));
    }
}

/// Counts and prints; says so where it cannot.
pub(crate) fn run(inputs: &Inputs) {
    let folder = tempfile::tempdir().unwrap();
    // To look at with callgrind_annotate: two files for each side, the second is the counted one.
    let kept = std::env::var_os("KEEP_CALLGRIND").map(std::path::PathBuf::from);
    let folder = kept.as_deref().unwrap_or(folder.path());
    let path = folder.join("inputs");
    inputs.save(&path);
    let out = folder.join("counted");
    let child = Command::new("valgrind")
        .args(["--tool=callgrind", "--quiet", "--collect-atstart=no"])
        .args(["--toggle-collect=*bench_counted_region*", "--dump-before=*bench_end_of_side*"])
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(std::env::current_exe().unwrap())
        .arg(CHILD)
        .arg(&path)
        .stdin(Stdio::null())
        .output();
    let child = match child {
        Ok(child) if child.status.success() => child,
        Ok(child) => {
            println!("\nInstructions: valgrind failed ({})\n{}", child.status, String::from_utf8_lossy(&child.stderr));
            return;
        }
        Err(error) => {
            println!(
                "\nInstructions were not counted: valgrind does not run ({error}). On Debian: apt-get install valgrind"
            );
            return;
        }
    };
    if std::env::var_os(compression::VARIABLE).is_some() {
        compression::print_sizes(inputs);
    }
    print(&String::from_utf8(child.stdout).unwrap(), &out);
}

/// What callgrind counted up to its dump `number`, from the one before.
fn total(out: &Path, number: usize) -> f64 {
    let text = fs::read_to_string(format!("{}.{number}", out.display())).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("totals: ").or_else(|| line.strip_prefix("summary: ")));
    line.expect("callgrind wrote totals").trim().parse().unwrap()
}

struct Counted {
    instructions: f64,
    allocations: f64,
}

fn print(lines: &str, out: &Path) {
    let header = ["instructions", "peer", "ours", "ratio", "target", "allocations: peer", "ours"].map(str::to_owned);
    let mut rows = vec![header];
    let mut dumps = 0;
    let sides = RefCell::new(Vec::new());
    for line in lines.lines() {
        if let Some(side) = line.strip_prefix("side") {
            let counted = side.trim().split_once(' ').map(|(elements, allocations)| {
                dumps += 2;
                let elements: f64 = elements.parse().unwrap();
                let allocations: f64 = allocations.parse().unwrap();
                Counted { instructions: total(out, dumps) / elements, allocations: allocations / elements }
            });
            sides.borrow_mut().push(counted);
        } else if let Some(case) = line.strip_prefix("case ") {
            let (target, work) = case.split_once(' ').unwrap();
            let mut sides = sides.take();
            let (ours, peer) = (sides.pop().flatten().unwrap(), sides.pop().flatten());
            let of_peer = |value: fn(&Counted) -> f64| peer.as_ref().map_or("-".to_owned(), |peer| number(value(peer)));
            let ratio = peer.as_ref().map(|peer| peer.instructions / ours.instructions);
            let verdict = match (ratio, target.parse::<f64>().ok()) {
                (Some(ratio), Some(target)) => {
                    format!("{target:.0}x {}", if ratio >= target { "met" } else { "missed" })
                }
                _ => String::new(),
            };
            rows.push([
                work.to_owned(),
                of_peer(|peer| peer.instructions),
                number(ours.instructions),
                ratio.map_or("-".to_owned(), |ratio| format!("{ratio:.1}x")),
                verdict,
                of_peer(|peer| peer.allocations),
                number(ours.allocations),
            ]);
        }
    }
    let mut text = String::from("\nInstructions (callgrind) and allocations of one run\n\n");
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..7).map(width).collect();
    for row in &rows {
        write!(text, "{:<1$}", row[0], widths[0]).unwrap();
        for (cell, width) in row.iter().zip(&widths).skip(1) {
            write!(text, "  {cell:>width$}").unwrap();
        }
        text.push('\n');
    }
    std::io::stdout().write_all(text.as_bytes()).unwrap();
}

fn number(value: f64) -> String {
    if value >= 100.0 || value == value.trunc() {
        let digits = format!("{value:.0}");
        let mut grouped = String::new();
        for (index, digit) in digits.chars().enumerate() {
            if index > 0 && (digits.len() - index).is_multiple_of(3) {
                grouped.push(',');
            }
            grouped.push(digit);
        }
        grouped
    } else {
        format!("{value:.2}")
    }
}
