//! Tables and plots of `docs/scale.md`. Sums are worked out here; what was simulated is read from two files that `make
//! scale` writes, so that a test can hold the page to them without running for minutes.

use crate::{
    needs::{Demand, Needs, OUTAGE_SECONDS, messages_of_a_ledger, reach, taking_in},
    outcome::Outcome,
    platform::{COSTS, QUEUES_PER_ACCOUNT},
};
use tributary_proto::envelope::MAX_LEDGERS;
use tributary_tests::plot::{Axis, Line, Plot, short};

/// What came of each run.
pub(crate) const RUNS: &str = "docs/scale/runs.csv";
/// What was looked at during outages.
pub(crate) const LOOKS: &str = "docs/scale/looks.csv";
/// Seconds between two looks in the file.
const LOOK_SECONDS: u64 = 10;

/// The columns of [`RUNS`].
const HEADER: &str = "run,resolves_s,messages_s,batches_s,commits_s,rows_s,ledger_busy,age_p50,age_p99,age_max,state_bytes,\
                      journal_streams,duplicates,retries,crashes,restarts,refused,failovers,overloaded,refused_puts,most_waiting,most_gb,\
                      most_held,catch_up_s,resolves,lost,doubled\n";

/// What came of a run, as a line of [`RUNS`].
pub(crate) fn run_line(outcome: &Outcome) -> String {
    let float = |count: u64| tributary_tests::growth::as_f64(count);
    let per_second = |count: u64| format!("{:.1}", float(count) / float(outcome.plan.seconds));
    let age = |share| outcome.ages.quantile(share).map_or(String::new(), |age| format!("{age:.2}"));
    let catch_up = match (outcome.plan.outage, outcome.catch_up_s) {
        (None, _) => String::new(),
        (Some(_), Some(seconds)) => seconds.to_string(),
        (Some(_), None) => "not".to_owned(),
    };
    let fields = [
        format!("\"{}\"", outcome.plan.name),
        per_second(outcome.resolves),
        per_second(outcome.messages),
        per_second(outcome.batches),
        per_second(outcome.commits),
        per_second(outcome.rows_written),
        format!("{:.4}", outcome.ledger_busy),
        age(0.5),
        age(0.99),
        age(1.0),
        outcome.state_bytes.to_string(),
        outcome.journal_streams.to_string(),
        outcome.duplicates.to_string(),
        outcome.retries.to_string(),
        outcome.crashes.to_string(),
        outcome.restarts.to_string(),
        outcome.refused.to_string(),
        outcome.failovers.to_string(),
        outcome.overloaded.to_string(),
        outcome.refused_puts.to_string(),
        outcome.most_waiting.to_string(),
        format!("{:.2}", outcome.most_bytes / 1e9),
        outcome.most_held.to_string(),
        catch_up,
        outcome.resolves.to_string(),
        outcome.lost.to_string(),
        outcome.doubled.to_string(),
    ];
    format!("{}\n", fields.join(","))
}

/// The file [`RUNS`].
pub(crate) fn runs_csv(outcomes: &[Outcome]) -> String {
    HEADER.to_owned() + &outcomes.iter().map(run_line).collect::<String>()
}

/// The file [`LOOKS`].
pub(crate) fn looks_csv(outcomes: &[Outcome]) -> String {
    let mut csv = "run,second,waiting,running,age\n".to_owned();
    for outcome in outcomes.iter().filter(|outcome| outcome.plan.outage.is_some()) {
        for look in outcome.looks.iter().filter(|look| look.second % LOOK_SECONDS == 0) {
            let name = outcome.plan.name;
            csv.push_str(&format!("\"{name}\",{},{},{},{:.2}\n", look.second, look.waiting, look.running, look.age));
        }
    }
    csv
}

/// A line of a file: its name, and its other fields.
struct Record<'a> {
    name: &'a str,
    fields: Vec<&'a str>,
}

fn records(csv: &str) -> Vec<Record<'_>> {
    csv.lines()
        .skip(1)
        .filter_map(|line| {
            let (name, rest) = line.strip_prefix('"')?.split_once("\",")?;
            Some(Record { name, fields: rest.split(',').collect() })
        })
        .collect()
}

impl Record<'_> {
    fn get(&self, column: &str) -> &str {
        let place = HEADER.trim_end().split(',').skip(1).position(|name| name == column).unwrap();
        self.fields.get(place).copied().unwrap()
    }

    fn number(&self, column: &str) -> f64 {
        self.get(column).parse().unwrap_or(f64::NAN)
    }
}

/// Loads of the page, resolves a second.
const LOADS: [f64; 3] = [1e4, 1e6, 1e8];

/// The tables of `docs/scale.md`, by their names there; `runs` is the content of [`RUNS`].
pub(crate) fn tables(runs: &str) -> Vec<(&'static str, String)> {
    let runs = records(runs);
    vec![
        ("reach", reach_table()),
        ("needs", needs_table()),
        ("dollars", dollars_table()),
        ("ledger", ledger_table()),
        ("copies", copies_table()),
        ("days", days_table(&runs)),
        ("outages", outages_table(&runs)),
    ]
}

fn demands() -> impl Iterator<Item = (Demand, Needs)> {
    LOADS.into_iter().flat_map(|resolves| {
        [(10.0, 1.0), (100.0, 1.0), (100.0, 5.0), (1_000.0, 1.0)].into_iter().map(move |(of_isolate, flush_seconds)| {
            let demand = Demand { resolves, of_isolate, flush_seconds };
            (demand, demand.needs())
        })
    })
}

/// Resolves a second of an isolate, and seconds between its flushes.
const REACHED: [(f64, f64); 8] =
    [(10.0, 1.0), (10.0, 5.0), (10.0, 20.0), (100.0, 0.2), (100.0, 1.0), (100.0, 5.0), (100.0, 20.0), (1_000.0, 1.0)];

fn reach_table() -> String {
    let mut table = "| an isolate, resolves/s | `FLUSH_INTERVAL_MS` | resolves a message | resolves/s | with room for ten minutes | \
                     full without consumers after, s | a Ledger works | dollars a month | installations for 10^8/s | of these with \
                     room |\n| --: | --: | --: | --: | --: | --: | --: | --: | --: | --: |\n"
        .to_owned();
    for (of_isolate, flush_seconds) in REACHED {
        let reach = reach(of_isolate, flush_seconds);
        table.push_str(&format!(
            "| {of_isolate} | {} | {:.0} | {} | {} | {:.0} | {:.0} % | {} | {:.0} | {:.0} |\n",
            flush_seconds * 1e3,
            reach.per_message,
            short(reach.demand.resolves),
            short(reach.with_outage),
            reach.held_seconds,
            reach.ledger_busy * 100.0,
            short(reach.dollars),
            (1e8 / reach.demand.resolves).ceil(),
            (1e8 / reach.with_outage).ceil(),
        ));
    }
    table
}

fn needs_table() -> String {
    let mut table = "| resolves/s | isolates, at a rate each | flush, s | resolves a message | messages/s | queues by messages | queues \
                     by bytes | Ledgers by time | queues | installations | first limit | a Ledger works | rows/s |\n\
                     | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: | --- | --: | --: |\n"
        .to_owned();
    for (demand, needs) in demands() {
        table.push_str(&format!(
            "| {} | {} × {}/s | {} | {:.0} | {} | {} | {} | {} | {} | {} | {} | {:.0} % | {} |\n",
            short(demand.resolves),
            short(needs.isolates),
            demand.of_isolate,
            demand.flush_seconds,
            needs.per_message,
            short(needs.messages),
            needs.by_messages,
            needs.by_bytes,
            needs.by_ledger,
            needs.shards,
            needs.installations,
            needs.first,
            needs.ledger_busy * 100.0,
            short(needs.rows),
        ));
    }
    table
}

fn dollars_table() -> String {
    let mut table = "| resolves/s | isolates | flush, s | dollars a month | a million resolves | peer: dollars a month, queue alone | a \
                     million | peer's queues |\n| --: | --: | --: | --: | --: | --: | --: | --: |\n"
        .to_owned();
    for (demand, needs) in demands() {
        let millions = demand.resolves * tributary_tests::cost::MONTH_SECONDS / 1e6;
        let over = if needs.peer_queues > QUEUES_PER_ACCOUNT { ", **an account has 10,000**" } else { "" };
        table.push_str(&format!(
            "| {} | {} | {} | {} | {:.4} | {} | {:.4} | {}{over} |\n",
            short(demand.resolves),
            short(needs.isolates),
            demand.flush_seconds,
            short(needs.dollars),
            needs.dollars / millions,
            short(needs.peer_dollars),
            needs.peer_dollars / millions,
            short(needs.peer_queues),
        ));
    }
    table
}

fn ledger_table() -> String {
    let mut table = "| state | a commit takes, native | messages/s of one Ledger | queues that it can serve |\n| --- | --: | --: | --: |\n".to_owned();
    for (name, commit) in [("usual, 7 kB", COSTS.commit), ("0.5 MB", COSTS.full_commit)] {
        let messages = messages_of_a_ledger(commit);
        table.push_str(&format!(
            "| {name} | {:.2} ms | {} | {:.1} |\n",
            commit / 1e3,
            short(messages),
            messages / 5_000.0
        ));
    }
    table
}

fn copies_table() -> String {
    let mut table = "| `QUEUE_SHARDS` | copies/s | the first Ledger's time, usual states | states of 0.5 MB |\n\
                     | --: | --: | --: | --: |\n"
        .to_owned();
    for shards in [2.0, 4.0, 8.0, f64::from(MAX_LEDGERS)] {
        let (copies, usual) = taking_in(shards, COSTS.take_in);
        let (_, full) = taking_in(shards, COSTS.full_take_in);
        table.push_str(&format!("| {shards} | {copies:.1} | {:.1} % | {:.1} % |\n", usual * 100.0, full * 100.0));
    }
    table
}

fn days_table(runs: &[Record<'_>]) -> String {
    let mut table = "| run | messages/s | batches/s | Ledger requests/s | rows/s | busiest Ledger | state, bytes | age p50, s | p99, s | \
                     most, s | puts refused | twice | cut off | restarts | lost | doubled |\n\
                     | --- | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: |\n"
        .to_owned();
    for run in runs.iter().filter(|run| run.get("catch_up_s").is_empty()) {
        table.push_str(&format!(
            "| {} | {} | {} | {} | {} | {:.1} % | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |\n",
            run.name,
            short(run.number("messages_s")),
            short(run.number("batches_s")),
            short(run.number("commits_s")),
            short(run.number("rows_s")),
            run.number("ledger_busy") * 100.0,
            run.get("state_bytes"),
            run.get("age_p50"),
            run.get("age_p99"),
            run.get("age_max"),
            run.get("refused_puts"),
            run.get("duplicates"),
            run.get("crashes"),
            run.get("restarts"),
            run.get("lost"),
            run.get("doubled"),
        ));
    }
    table
}

fn outages_table(runs: &[Record<'_>]) -> String {
    let mut table = "| for ten minutes | messages/s | most that waits | GB of a queue | most held by an isolate | by another queue | left \
                     for later | caught up after, s | age at most, s | resolves | lost | doubled |\n\
                     | --- | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: |\n"
        .to_owned();
    for run in runs.iter().filter(|run| !run.get("catch_up_s").is_empty()) {
        table.push_str(&format!(
            "| {} | {} | {} | {} | {} | {} | {} | {} | {:.0} | {} | {} | {} |\n",
            run.name,
            short(run.number("messages_s")),
            short(run.number("most_waiting")),
            run.get("most_gb"),
            run.get("most_held"),
            short(run.number("failovers")),
            short(run.number("retries")),
            run.get("catch_up_s"),
            run.number("age_max"),
            short(run.number("resolves")),
            run.get("lost"),
            run.get("doubled"),
        ));
    }
    table
}

/// The plots of `docs/scale.md`: names of files in `docs/scale`, and their content. `looks` is the content of [`LOOKS`].
pub(crate) fn plots(looks: &str) -> Vec<(&'static str, String)> {
    let looks = records(looks);
    let over_time = |column: usize| -> Vec<Line> {
        let mut lines: Vec<Line> = Vec::new();
        for look in &looks {
            let number = |place: usize| look.fields.get(place).and_then(|text| text.parse().ok()).unwrap_or(f64::NAN);
            let point = (number(0) / 60.0, number(column));
            match lines.last_mut() {
                Some(line) if line.name == look.name => line.points.push(point),
                _ => lines.push(Line { name: look.name.to_owned(), points: vec![point] }),
            }
        }
        lines
    };
    let waiting = Plot {
        title: "Messages that wait; ten minutes are out from the first on".to_owned(),
        x: Axis::linear("minutes"),
        y: Axis::linear("messages in all queues"),
        lines: over_time(1),
        limits: vec![],
    };
    let age = Plot {
        title: "Age of 99 % of what is published".to_owned(),
        x: Axis::linear("minutes"),
        y: Axis::log("seconds").from(1.0),
        lines: over_time(3),
        limits: vec![],
    };
    [
        ("queues", queues_plot()),
        ("dollars", dollars_plot()),
        ("reach", reach_plot()),
        ("waiting", waiting),
        ("age", age),
    ]
    .into_iter()
    .map(|(name, plot)| (name, plot.to_svg()))
    .collect()
}

/// Loads from 10^3 to 10^8, three a decade.
fn loads() -> impl Iterator<Item = f64> {
    (9..=24).map(|third| 10f64.powf(f64::from(third) / 3.0))
}

fn over_loads(name: &str, flush_seconds: f64, value: impl Fn(Needs) -> f64) -> Line {
    let needs = |resolves| Demand { resolves, of_isolate: 100.0, flush_seconds }.needs();
    Line { name: name.to_owned(), points: loads().map(|resolves| (resolves, value(needs(resolves)))).collect() }
}

fn queues_plot() -> Plot {
    Plot {
        title: "Queues that a load needs, isolates of 100 resolves/s".to_owned(),
        x: Axis::log("resolves a second"),
        y: Axis::log("queues").from(1.0),
        lines: vec![
            over_loads("peer", 1.0, |needs| needs.peer_queues),
            over_loads("flush every 1 s", 1.0, |needs| needs.shards),
            over_loads("every 5 s", 5.0, |needs| needs.shards),
            over_loads("for bytes alone", 5.0, |needs| needs.by_bytes),
        ],
        limits: vec![
            ("10,000: an account".to_owned(), QUEUES_PER_ACCOUNT),
            (format!("{MAX_LEDGERS}: an installation"), f64::from(MAX_LEDGERS)),
        ],
    }
}

fn dollars_plot() -> Plot {
    Plot {
        title: "Dollars a month, isolates of 100 resolves/s".to_owned(),
        x: Axis::log("resolves a second"),
        y: Axis::log("dollars a month").from(100.0),
        lines: vec![
            over_loads("peer, queue alone", 1.0, |needs| needs.peer_dollars),
            over_loads("flush every 1 s", 1.0, |needs| needs.dollars),
            over_loads("every 5 s", 5.0, |needs| needs.dollars),
        ],
        limits: vec![],
    }
}

fn reach_plot() -> Plot {
    let line = |of_isolate: f64| {
        let flushes = (-3..=6).map(|third| 10f64.powf(f64::from(third) / 3.0));
        Line {
            name: format!("isolates of {of_isolate}/s"),
            points: flushes.map(|flush| (flush * 1e3, reach(of_isolate, flush).demand.resolves)).collect(),
        }
    };
    let held = reach(1_000.0, 10.0).with_outage;
    Plot {
        title: "What an installation with 16 queues takes".to_owned(),
        x: Axis::log("FLUSH_INTERVAL_MS"),
        y: Axis::log("resolves a second"),
        lines: vec![line(10.0), line(100.0), line(1_000.0)],
        limits: vec![(format!("{}: {OUTAGE_SECONDS} s without consumers have room", short(held)), held)],
    }
}
