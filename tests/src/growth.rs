//! What the bench of growth measured (`tests/benches/growth.rs`), and what `docs/performance.md` shows of it.

use crate::plot::{Axis, Line, Plot, short};

/// Where the measurements that the page shows are kept.
pub const CSV: &str = "docs/performance/growth.csv";

const HEADER: &str = "scenario,x,resolves_per_message,messages,instructions,nanos,ledger_nanos,allocations,state_bytes,\
                      stream_rows,unfolded_rows,journal_rows,journal_bytes,rows_written,rows_read,book_bytes";

/// One measurement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Point {
    /// What grows.
    pub scenario: String,
    /// How far it has grown.
    pub x: u64,
    /// Resolves in each message.
    pub resolves_per_message: u64,
    /// Messages that were measured.
    pub messages: u64,
    /// Instructions of all of them together; `None` where callgrind is too slow.
    pub instructions: Option<u64>,
    /// Nanoseconds of all of them together.
    pub nanos: u64,
    /// What of them is the Ledger's.
    pub ledger_nanos: u64,
    /// Allocations of all of them together.
    pub allocations: u64,
    /// Bytes of the row of the state, afterwards.
    pub state_bytes: u64,
    /// Streams that are remembered afterwards: rows of their table, once the journal is folded.
    pub stream_rows: u64,
    /// Rows that the journal has for that table.
    pub unfolded_rows: u64,
    /// Rows of the journal that count.
    pub journal_rows: u64,
    /// Their bytes.
    pub journal_bytes: u64,
    /// Rows that were written.
    pub rows_written: u64,
    /// Rows of streams that were read.
    pub rows_read: u64,
    /// Bytes on the heap of what the Ledger holds in memory, afterwards.
    pub book_bytes: u64,
}

/// A file that does not read as measurements.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {why}")]
pub struct BadCsv {
    /// From 1.
    pub line: usize,
    /// What is wrong with it.
    pub why: String,
}

impl Point {
    fn per_resolve(&self, total: u64) -> f64 {
        as_f64(total) / as_f64(self.messages * self.resolves_per_message)
    }

    fn per_message(&self, total: u64) -> f64 {
        as_f64(total) / as_f64(self.messages)
    }

    /// Microseconds of a message.
    #[must_use]
    pub fn micros_per_message(&self) -> f64 {
        self.per_message(self.nanos) / 1_000.0
    }
}

/// A count as a number to plot. Exact to 2^53.
#[must_use]
pub fn as_f64(count: u64) -> f64 {
    let (high, low) = (count >> 32, count & 0xffff_ffff);
    f64::from(u32::try_from(high).unwrap_or(u32::MAX)) * 4_294_967_296.0
        + f64::from(u32::try_from(low).unwrap_or(u32::MAX))
}

/// Writes measurements, a line each.
#[must_use]
pub fn to_csv(points: &[Point]) -> String {
    let mut csv = format!("{HEADER}\n");
    for point in points {
        let instructions = point.instructions.map_or(String::new(), |count| count.to_string());
        csv.push_str(&format!(
            "{},{},{},{},{instructions},{},{},{},{},{},{},{},{},{},{},{}\n",
            point.scenario,
            point.x,
            point.resolves_per_message,
            point.messages,
            point.nanos,
            point.ledger_nanos,
            point.allocations,
            point.state_bytes,
            point.stream_rows,
            point.unfolded_rows,
            point.journal_rows,
            point.journal_bytes,
            point.rows_written,
            point.rows_read,
            point.book_bytes,
        ));
    }
    csv
}

/// Reads what [`to_csv`] wrote.
///
/// # Errors
/// [`BadCsv`]
pub fn from_csv(text: &str) -> Result<Vec<Point>, BadCsv> {
    let bad = |line: usize, why: &str| BadCsv { line, why: why.to_owned() };
    if text.lines().next() != Some(HEADER) {
        return Err(bad(1, "another header"));
    }
    let read = |(index, line): (usize, &str)| {
        let fields: Vec<&str> = line.split(',').collect();
        let [scenario, x, resolves_per_message, messages, instructions, rest @ ..] = fields.as_slice() else {
            return Err(bad(index + 2, "too few fields"));
        };
        let number = |text: &str| text.parse::<u64>().map_err(|error| bad(index + 2, &error.to_string()));
        let rest = rest.iter().map(|text| number(text)).collect::<Result<Vec<_>, _>>()?;
        let [
            nanos,
            ledger_nanos,
            allocations,
            state_bytes,
            stream_rows,
            unfolded_rows,
            journal_rows,
            journal_bytes,
            rows_written,
            rows_read,
            book_bytes,
        ] = <[u64; 11]>::try_from(rest).map_err(|_| bad(index + 2, "16 fields were expected"))?;
        Ok(Point {
            scenario: (*scenario).to_owned(),
            x: number(x)?,
            resolves_per_message: number(resolves_per_message)?,
            messages: number(messages)?,
            instructions: if instructions.is_empty() { None } else { Some(number(instructions)?) },
            nanos,
            ledger_nanos,
            allocations,
            state_bytes,
            stream_rows,
            unfolded_rows,
            journal_rows,
            journal_bytes,
            rows_written,
            rows_read,
            book_bytes,
        })
    };
    text.lines().skip(1).enumerate().map(read).collect()
}

/// The table of `docs/performance.md`.
#[must_use]
pub fn table(points: &[Point]) -> String {
    let mut table = "| what grows | to | instructions a resolve | ns a resolve | allocations a resolve | state, bytes | rows of streams | \
                     rows of the journal | rows written a message | Book in memory, bytes |\n\
                     | --- | --: | --: | --: | --: | --: | --: | --: | --: | --: |\n"
        .to_owned();
    let mut last = "";
    for point in points {
        let name = if point.scenario == last { "" } else { &point.scenario };
        last = &point.scenario;
        table.push_str(&format!(
            "| {name} | {} | {} | {} | {} | {} | {} | {} | {:.3} | {} |\n",
            short(as_f64(point.x)),
            point.instructions.map_or("–".to_owned(), |count| digits(point.per_resolve(count))),
            digits(point.per_resolve(point.nanos)),
            digits(point.per_resolve(point.allocations)),
            short(as_f64(point.state_bytes)),
            short(as_f64(point.stream_rows)),
            point.journal_rows,
            point.per_message(point.rows_written),
            short(as_f64(point.book_bytes)),
        ));
    }
    table
}

/// Three digits, and more before the point where there are.
fn digits(number: f64) -> String {
    match number {
        n if n >= 100.0 => format!("{n:.0}"),
        n if n >= 10.0 => format!("{n:.1}"),
        n => format!("{n:.2}"),
    }
}

/// The plots of `docs/performance.md`: names of files in `docs/performance`, and their content.
#[must_use]
pub fn plots(points: &[Point]) -> Vec<(&'static str, String)> {
    let line = |scenario: &str, name: &str, value: &dyn Fn(&Point) -> f64| {
        let of_scenario = points.iter().filter(|point| point.scenario == scenario);
        Line { name: name.to_owned(), points: of_scenario.map(|point| (as_f64(point.x), value(point))).collect() }
    };
    let nanos = |point: &Point| point.per_resolve(point.nanos);
    let cost = Plot {
        title: "Cost of a resolve, 100 resolves a message".to_owned(),
        x: Axis::log("isolates, or resolves before"),
        y: Axis::log("ns a resolve, native").from(1.0),
        lines: vec![line("isolates", "isolates", &nanos), line("resolves", "resolves", &nanos)],
        limits: vec![],
    };
    let micros = |point: &Point| point.micros_per_message();
    let worst = Plot {
        title: "Cost of a message in the worst cases, one resolve a message".to_owned(),
        x: Axis::log("messages before"),
        y: Axis::log("µs a message, native").from(1.0),
        lines: vec![
            line("own stream each", "a stream each", &micros),
            line("new labels each", "new labels each", &micros),
        ],
        limits: vec![],
    };
    let gaps = Plot {
        title: "Cost of a message with gaps in its stream".to_owned(),
        x: Axis::linear("gaps of the stream"),
        y: Axis::log("µs a message, native").from(1.0),
        lines: vec![
            line("gaps opened", "opening one more", &micros),
            line("gaps filled from the end", "filling the last", &micros),
        ],
        limits: vec![],
    };
    // What grows with what there is, not with what is done.
    let held = |bytes: &dyn Fn(&Point) -> f64| {
        [
            ("isolates", "isolates"),
            ("resolves", "resolves"),
            ("own stream each", "a stream each"),
            ("new labels each", "new labels each"),
        ]
        .map(|(scenario, name)| line(scenario, name, bytes))
        .into()
    };
    let state = |point: &Point| as_f64(point.state_bytes);
    let states = Plot {
        title: "Size of the state's row".to_owned(),
        x: Axis::log("isolates, resolves or messages"),
        y: Axis::log("bytes"),
        lines: held(&state),
        limits: vec![("2 MB: a row of SQLite".to_owned(), 2e6)],
    };
    let book = |point: &Point| as_f64(point.book_bytes);
    let memory = Plot {
        title: "What the Ledger holds in memory".to_owned(),
        x: Axis::log("isolates, resolves or messages"),
        y: Axis::log("bytes"),
        lines: held(&book),
        limits: vec![("128 MB: a Durable Object".to_owned(), 128e6)],
    };
    let rows = |point: &Point| as_f64(point.stream_rows);
    let rows = Plot {
        title: "Rows of the Ledger's streams".to_owned(),
        x: Axis::log("isolates, resolves or messages"),
        y: Axis::log("rows").from(1.0),
        lines: vec![
            line("isolates", "isolates", &rows),
            line("resolves", "resolves", &rows),
            line("own stream each", "a stream each", &rows),
        ],
        limits: vec![("1 M: then the longest silent are forgotten".to_owned(), 1e6)],
    };
    [("cost", cost), ("worst", worst), ("gaps", gaps), ("state", states), ("memory", memory), ("rows", rows)]
        .into_iter()
        .map(|(name, plot)| (name, plot.to_svg()))
        .collect()
}
