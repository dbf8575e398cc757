//! What the bench beside the peer counted (`tests/benches/peer.rs`), and what `docs/performance.md` shows of it.

/// Where the counts that the page shows are kept: values between tabs.
pub const TSV: &str = "docs/performance/peer.tsv";

const HEADER: &str = "unit\twork\tpeer\tours\ttarget\tpeer's allocations\tour allocations";

/// What a row counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Instructions and allocations.
    Instructions,
    /// The same, of the least loop that does what is unavoidable of the work with the same name.
    Floor,
    /// Bytes; no allocations.
    Bytes,
}

impl Unit {
    const ALL: [Self; 3] = [Self::Instructions, Self::Floor, Self::Bytes];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Instructions => "instructions",
            Self::Floor => "floor",
            Self::Bytes => "bytes",
        }
    }
}

/// What one side takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cost {
    /// In the row's unit.
    pub amount: f64,
    /// Allocations, where they are counted.
    pub allocations: f64,
}

/// One row.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// What is counted.
    pub unit: Unit,
    /// What is done; per resolve unless it says otherwise.
    pub work: String,
    /// What the peer takes, where it does such work.
    pub peer: Option<Cost>,
    /// What ours takes.
    pub ours: Cost,
    /// Ours is to be at most the peer's divided by this.
    pub target: Option<f64>,
}

/// A file that does not read as rows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {why}")]
pub struct BadTsv {
    /// From 1.
    pub line: usize,
    /// What is wrong with it.
    pub why: String,
}

impl Row {
    /// How many times cheaper ours is.
    #[must_use]
    pub fn ratio(&self) -> Option<f64> {
        self.peer.map(|peer| peer.amount / self.ours.amount)
    }

    /// Whether the target is met; `None` where there is none.
    #[must_use]
    pub fn is_met(&self) -> Option<bool> {
        Some(self.ratio()? >= self.target?)
    }
}

/// Writes rows, a line each.
#[must_use]
pub fn to_tsv(rows: &[Row]) -> String {
    let number = |number: Option<f64>| number.map_or(String::new(), |number| format!("{number:.3}"));
    let mut tsv = format!("{HEADER}\n");
    for Row { unit, work, peer, ours, target } in rows {
        let fields = [
            unit.as_str().to_owned(),
            work.clone(),
            number(peer.map(|peer| peer.amount)),
            number(Some(ours.amount)),
            number(*target),
            number(peer.map(|peer| peer.allocations)),
            number(Some(ours.allocations)),
        ];
        tsv.push_str(&fields.join("\t"));
        tsv.push('\n');
    }
    tsv
}

/// Reads what [`to_tsv`] wrote.
///
/// # Errors
/// [`BadTsv`]
pub fn from_tsv(text: &str) -> Result<Vec<Row>, BadTsv> {
    let bad = |line: usize, why: &str| BadTsv { line, why: why.to_owned() };
    if text.lines().next() != Some(HEADER) {
        return Err(bad(1, "another header"));
    }
    let read = |(index, line): (usize, &str)| {
        let line_number = index + 2;
        let fields: Vec<&str> = line.split('\t').collect();
        let [unit, work, numbers @ ..] = fields.as_slice() else { return Err(bad(line_number, "too few fields")) };
        let number = |text: &&str| {
            let read = |text: &str| text.parse::<f64>().map_err(|error| bad(line_number, &error.to_string()));
            if text.is_empty() { Ok(None) } else { read(text).map(Some) }
        };
        let numbers = numbers.iter().map(number).collect::<Result<Vec<_>, _>>()?;
        let [peer, Some(ours), target, peer_allocations, Some(our_allocations)] = numbers[..] else {
            return Err(bad(line_number, "7 fields were expected"));
        };
        Ok(Row {
            unit: Unit::ALL
                .into_iter()
                .find(|known| known.as_str() == *unit)
                .ok_or_else(|| bad(line_number, "no such unit"))?,
            work: (*work).to_owned(),
            peer: peer.zip(peer_allocations).map(|(amount, allocations)| Cost { amount, allocations }),
            ours: Cost { amount: ours, allocations: our_allocations },
            target,
        })
    };
    text.lines().skip(1).enumerate().map(read).collect()
}

/// The tables of `docs/performance.md`, by name.
#[must_use]
pub fn tables(rows: &[Row]) -> Vec<(&'static str, String)> {
    vec![("instructions", instructions(rows)), ("sizes", sizes(rows)), ("floors", floors(rows))]
}

fn of(rows: &[Row], unit: Unit) -> impl Iterator<Item = &Row> {
    rows.iter().filter(move |row| row.unit == unit)
}

fn instructions(rows: &[Row]) -> String {
    let mut table = "| work, per resolve | peer | ours | ratio | target | allocations: peer | ours |\n\
                     | --- | --: | --: | --: | --- | --: | --: |\n"
        .to_owned();
    for row in of(rows, Unit::Instructions) {
        let of_peer = |value: fn(Cost) -> f64| row.peer.map_or(String::new(), |peer| number(value(peer)));
        table.push_str(&format!(
            "| {} | {} | {} | {} | {} | {} | {} |\n",
            row.work,
            of_peer(|peer| peer.amount),
            number(row.ours.amount),
            ratio(row),
            verdict(row),
            of_peer(|peer| peer.allocations),
            number(row.ours.allocations),
        ));
    }
    table
}

fn sizes(rows: &[Row]) -> String {
    let mut table = "| bytes | peer | ours | ratio | target |\n| --- | --: | --: | --: | --- |\n".to_owned();
    for row in of(rows, Unit::Bytes) {
        table.push_str(&format!(
            "| {} | {} | {} | {} | {} |\n",
            row.work,
            row.peer.map_or(String::new(), |peer| number(peer.amount.round())),
            number(row.ours.amount.round()),
            ratio(row),
            verdict(row),
        ));
    }
    table
}

fn floors(rows: &[Row]) -> String {
    let mut table = "| least loop, per resolve | floor | ours | ours / floor | allocations: floor | ours |\n\
                     | --- | --: | --: | --: | --: | --: |\n"
        .to_owned();
    for floor in of(rows, Unit::Floor) {
        let Some(ours) = of(rows, Unit::Instructions).find(|row| row.work == floor.work) else { continue };
        table.push_str(&format!(
            "| {} | {} | {} | {:.1} | {} | {} |\n",
            floor.work,
            number(floor.ours.amount),
            number(ours.ours.amount),
            ours.ours.amount / floor.ours.amount,
            number(floor.ours.allocations),
            number(ours.ours.allocations),
        ));
    }
    table
}

fn ratio(row: &Row) -> String {
    match row.ratio() {
        None => String::new(),
        Some(ratio) if ratio < 10.0 => format!("{ratio:.2}x"),
        Some(ratio) => format!("{ratio:.1}x"),
    }
}

fn verdict(row: &Row) -> String {
    match (row.target, row.is_met()) {
        (Some(target), Some(is_met)) => format!("{target:.0}x, {}", if is_met { "met" } else { "**missed**" }),
        _ => String::new(),
    }
}

/// A count with its thousands apart; two digits after the point where it is small.
#[must_use]
pub fn number(value: f64) -> String {
    if value < 99.5 && value != value.trunc() {
        return format!("{value:.2}");
    }
    let digits = format!("{value:.0}");
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}
