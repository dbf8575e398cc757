//! Measures pairs with criterion and prints them as a table.

use std::{
    cell::RefCell,
    hint::black_box,
    time::{Duration, Instant},
};

use criterion::{Criterion, SamplingMode};

/// Samples that criterion takes of each side.
const SAMPLES: usize = 20;

struct Row {
    work: String,
    /// `None` where nothing was measured (criterion's test mode, a filter).
    measured: Option<Pair>,
}

/// Both sides of a row.
struct Pair {
    peer: f64,
    ours: f64,
    ratio: f64,
}

/// One side of a comparison.
pub(crate) struct Side<F> {
    /// Does the work once and says how long it took: what prepares the input is not part of it.
    pub(crate) routine: F,
    /// What one call stands for, for instance how many resolves; the time is divided by it.
    pub(crate) elements: u32,
}

/// The comparisons so far, in the order of the flow.
pub(crate) struct Table {
    caption: String,
    criterion: Criterion,
    rows: Vec<Row>,
}

impl Table {
    pub(crate) fn new(caption: String) -> Self {
        let criterion = Criterion::default()
            .sample_size(SAMPLES)
            .warm_up_time(Duration::from_millis(500))
            .measurement_time(Duration::from_secs(4))
            .nresamples(10_000)
            .without_plots()
            .configure_from_args();
        Self { caption, criterion, rows: Vec::new() }
    }

    /// Measures the same work on both sides, in turns: how fast a shared machine is changes from second to second, and a
    /// ratio of two moments would say more about the machine than about the code.
    pub(crate) fn compare(
        &mut self,
        work: &str,
        mut peer: Side<impl FnMut() -> Duration>,
        mut ours: Side<impl FnMut() -> Duration>,
    ) {
        let samples = RefCell::new(Vec::new());
        let mut group = self.criterion.benchmark_group(work);
        group.sampling_mode(SamplingMode::Flat);
        group.bench_function("peer and ours in turns", |bencher| {
            bencher.iter_custom(|iterations| {
                let mut elapsed = [Duration::ZERO; 2];
                for _ in 0..iterations {
                    elapsed[0] += (peer.routine)() + settle();
                    elapsed[1] += (ours.routine)() + settle();
                }
                let per_element = |elapsed: Duration, elements: u32| {
                    elapsed.as_secs_f64() * 1e9 / f64::from(u32::try_from(iterations).unwrap()) / f64::from(elements)
                };
                samples
                    .borrow_mut()
                    .push([per_element(elapsed[0], peer.elements), per_element(elapsed[1], ours.elements)]);
                elapsed.iter().sum()
            });
        });
        group.finish();
        let measured = median_of_last(&samples.into_inner());
        self.rows.push(Row { work: work.to_owned(), measured });
    }

    /// Prints the table.
    pub(crate) fn print(&self) {
        let mut lines = vec![["work", "peer", "ours", "ratio"].map(str::to_owned)];
        for Row { work, measured } in &self.rows {
            let [peer, ours, ratio] = match measured {
                Some(Pair { peer, ours, ratio }) if *ratio < 1.0 => [time(*peer), time(*ours), format!("{ratio:.2}x")],
                Some(Pair { peer, ours, ratio }) => [time(*peer), time(*ours), format!("{ratio:.1}x")],
                None => ["-"; 3].map(str::to_owned),
            };
            lines.push([work.clone(), peer, ours, ratio]);
        }
        let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
        let widths = [width(0), width(1), width(2), width(3)];
        println!("\n{}\n", self.caption);
        for (index, [work, peer, ours, ratio]) in lines.iter().enumerate() {
            println!("{work:<0$}  {peer:>1$}  {ours:>2$}  {ratio:>3$}", widths[0], widths[1], widths[2], widths[3]);
            if index == 0 {
                println!("{}", "-".repeat(widths.iter().sum::<usize>() + 6));
            }
        }
        println!(
            "\nTimes and ratios (peer / ours) are medians of {SAMPLES} samples, in each of which both sides ran in turns."
        );
    }
}

fn time(nanos: f64) -> String {
    let (value, unit) = match nanos {
        _ if nanos < 1e3 => (nanos, "ns"),
        _ if nanos < 1e6 => (nanos / 1e3, "us"),
        _ => (nanos / 1e6, "ms"),
    };
    let decimals = if value < 10.0 { 2 } else { usize::from(value < 100.0) };
    format!("{value:.decimals$} {unit}")
}

/// Medians of the samples that criterion measured, of either side and of their ratio. The samples before them are the
/// warm-up; a run with fewer measured nothing.
fn median_of_last(samples: &[[f64; 2]]) -> Option<Pair> {
    let measured = samples.get(samples.len().checked_sub(SAMPLES)?..)?;
    let median = |of: fn(&[f64; 2]) -> f64| {
        let mut values: Vec<f64> = measured.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        (values[SAMPLES / 2 - 1] + values[SAMPLES / 2]) / 2.0
    };
    Some(Pair { peer: median(|pair| pair[0]), ours: median(|pair| pair[1]), ratio: median(|pair| pair[0] / pair[1]) })
}

/// Times `work` on a fresh input, with what it costs to free its result.
pub(crate) fn timed<I, O>(input: I, work: impl FnOnce(I) -> O) -> Duration {
    let input = black_box(input);
    let start = Instant::now();
    drop(black_box(work(input)));
    start.elapsed()
}

/// Makes the allocator do now what it put off while a side freed its results: glibc joins small free blocks at the next
/// large allocation, which would be the other side's and cost it milliseconds.
fn settle() -> Duration {
    const LARGE: usize = 64 << 10;
    timed(LARGE, Vec::<u8>::with_capacity)
}
