//! Instructions, counted by valgrind's callgrind, and allocations, counted here: they do not depend on what else the
//! machine does.
//!
//! The bench runs itself again under callgrind, in one process for all cases and both sides. What is counted is what
//! happens in [`region`]; [`end_of_side`] makes callgrind write down what it has. Both are found by their names.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    fs,
    hint::black_box,
    path::Path,
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
};

use tributary_tests::peer::{Cost, Row, Unit};

use crate::{compression, consuming, floor, inputs::Inputs, producing, scraping};

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
    /// [`Unit::Floor`] where ours is the least that could be done for the work with this name.
    pub(crate) unit: Unit,
}

impl<'a> Case<'a> {
    /// Work that the peer does, too.
    pub(crate) fn beside(work: &'static str, peer: Side<'a>, ours: Side<'a>, target: Option<f64>) -> Self {
        Self { work, peer: Some(peer), ours, target, unit: Unit::Instructions }
    }

    /// Work that nobody is compared with.
    pub(crate) fn alone(work: &'static str, unit: Unit, ours: Side<'a>) -> Self {
        Self { work, peer: None, ours, target: None, unit }
    }
}

fn cases(inputs: &Inputs) -> Vec<Case<'_>> {
    if std::env::var_os(compression::VARIABLE).is_some() {
        return compression::cases(inputs);
    }
    let mut cases = producing::cases(inputs);
    cases.extend(consuming::cases(inputs));
    cases.extend(scraping::cases());
    cases.extend(floor::cases(inputs));
    cases
}

/// The process under callgrind: runs each side once to warm it up, then counted.
pub(crate) fn count(path: &Path) {
    let inputs = Inputs::load(path);
    for Case { work, peer, ours, target, unit } in cases(&inputs) {
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
        let target = target.map_or("-".to_owned(), |target| target.to_string());
        println!("case {target} {} {work}", if unit == Unit::Floor { "floor" } else { "-" });
    }
}

/// Counts what this process would with these inputs, under callgrind; `None`, and said, where that cannot be done.
pub(crate) fn counted(inputs: &Inputs, is_compression: bool) -> Option<Vec<Row>> {
    let folder = tempfile::tempdir().unwrap();
    // To look at: two files for each side, the second is the counted one. Names stand in the first that has them.
    let kept = std::env::var_os("KEEP_CALLGRIND").map(std::path::PathBuf::from);
    let folder = kept.as_deref().unwrap_or(folder.path());
    let path = folder.join("inputs");
    inputs.save(&path);
    let out = folder.join(if is_compression { "compression" } else { "counted" });
    let mut child = Command::new("valgrind");
    child
        .args(["--tool=callgrind", "--quiet", "--collect-atstart=no"])
        .args(["--toggle-collect=*bench_counted_region*", "--dump-before=*bench_end_of_side*"])
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(std::env::current_exe().unwrap())
        .arg(CHILD)
        .arg(&path)
        .env_remove(compression::VARIABLE)
        .stdin(Stdio::null());
    if is_compression {
        child.env(compression::VARIABLE, "1");
    }
    match child.output() {
        Ok(child) if child.status.success() => Some(rows(&String::from_utf8(child.stdout).unwrap(), &out)),
        Ok(child) => {
            println!("\nInstructions: valgrind failed ({})\n{}", child.status, String::from_utf8_lossy(&child.stderr));
            None
        }
        Err(error) => {
            println!(
                "\nInstructions were not counted: valgrind does not run ({error}). On Debian: apt-get install valgrind"
            );
            None
        }
    }
}

/// What callgrind counted up to its dump `number`, from the one before.
fn total(out: &Path, number: usize) -> f64 {
    let text = fs::read_to_string(format!("{}.{number}", out.display())).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("totals: ").or_else(|| line.strip_prefix("summary: ")));
    line.expect("callgrind wrote totals").trim().parse().unwrap()
}

/// The rows of what the counted process said.
fn rows(lines: &str, out: &Path) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut dumps = 0;
    let mut sides = Vec::new();
    for line in lines.lines() {
        if let Some(side) = line.strip_prefix("side") {
            sides.push(side.trim().split_once(' ').map(|(elements, allocations)| {
                dumps += 2;
                let elements: f64 = elements.parse().unwrap();
                let allocations: f64 = allocations.parse().unwrap();
                Cost { amount: total(out, dumps) / elements, allocations: allocations / elements }
            }));
        } else if let Some(case) = line.strip_prefix("case ") {
            let mut parts = case.splitn(3, ' ');
            let mut part = || parts.next().unwrap();
            let (target, unit, work) = (part().parse().ok(), part(), part().to_owned());
            let [peer, Some(ours)] = sides[..] else { unreachable!("both sides were said") };
            sides.clear();
            let unit = if unit == "floor" { Unit::Floor } else { Unit::Instructions };
            rows.push(Row { unit, work, peer, ours, target });
        }
    }
    rows
}
