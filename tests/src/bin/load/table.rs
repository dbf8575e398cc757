//! Numbers as a table that can be pasted.

/// What rounds said: the middle, and how far the rounds are apart.
#[derive(Clone, Debug)]
pub(crate) struct Spread(Vec<f64>);

impl Spread {
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        Self(values)
    }

    /// The same of each value.
    pub(crate) fn map(&self, change: impl Fn(f64) -> f64) -> Self {
        Self::of(self.0.iter().map(|value| change(*value)))
    }

    /// The median.
    pub(crate) fn middle(&self) -> f64 {
        self.at(0.5)
    }

    /// The value below which this share of them is.
    pub(crate) fn at(&self, share: f64) -> f64 {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place in a list")]
        let place = ((self.0.len() as f64 * share) as usize).min(self.0.len().saturating_sub(1));
        self.0.get(place).copied().unwrap_or(f64::NAN)
    }

    /// `median (least … most)`.
    pub(crate) fn text(&self, digits: usize) -> String {
        let (least, most) = (self.at(0.0), self.at(1.0));
        format!("{:.digits$} ({least:.digits$} … {most:.digits$})", self.middle())
    }
}

/// Prints a row of a markdown table.
pub(crate) fn row<T: AsRef<str>>(cells: impl IntoIterator<Item = T>) {
    let cells: Vec<String> = cells.into_iter().map(|cell| cell.as_ref().to_owned()).collect();
    println!("| {} |", cells.join(" | "));
}

/// Prints the head of one.
pub(crate) fn head(cells: &[&str]) {
    println!();
    row(cells);
    row(cells.iter().map(|_| "---"));
}
