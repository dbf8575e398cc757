//! A reader of the text formats for assertions: it refuses what a scraper would refuse, and duplicates.
//!
//! It is no reference; the conformance checks give the same text to parsers that others wrote.

use std::collections::{BTreeMap, BTreeSet};

/// The samples of an exposition by series, written as `name{label="value",…}` with labels in order of their names.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Exposition(BTreeMap<String, f64>);

impl Exposition {
    /// Reads a text.
    ///
    /// # Errors
    /// The first line that is wrong, and why.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut samples = BTreeMap::new();
        let mut typed = BTreeSet::new();
        if !text.ends_with('\n') || text.contains('\r') {
            return Err("lines end with LF".into());
        }
        for line in text.lines() {
            if let Some(comment) = line.strip_prefix("# ") {
                let mut words = comment.split(' ');
                if words.next() == Some("TYPE") && !typed.insert(words.next().unwrap_or_default().to_owned()) {
                    return Err(format!("a second TYPE: {line}"));
                }
                continue;
            }
            let (series, value) = sample(line).ok_or_else(|| format!("no sample: {line}"))?;
            if samples.insert(series, value).is_some() {
                return Err(format!("a second sample: {line}"));
            }
        }
        Ok(Self(samples))
    }

    /// The value of one series, 0 where it is not there.
    pub fn get(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.find(name, labels).unwrap_or_default()
    }

    /// The value of one series.
    pub fn find(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        self.0.get(&key(name, &labels)).copied()
    }

    /// The sum over all series of one name.
    pub fn sum(&self, name: &str) -> f64 {
        self.series(name).map(|(_, value)| value).sum()
    }

    /// All samples, by series.
    pub fn all(&self) -> impl Iterator<Item = (&str, f64)> {
        self.0.iter().map(|(series, value)| (series.as_str(), *value))
    }

    /// All series of one name.
    pub fn series(&self, name: &str) -> impl Iterator<Item = (&str, f64)> {
        self.0
            .iter()
            .filter(move |(series, _)| series.split('{').next() == Some(name))
            .map(|(series, value)| (series.as_str(), *value))
    }
}

fn key(name: &str, labels: &BTreeMap<String, String>) -> String {
    let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
    format!("{name}{{{}}}", labels.join(","))
}

/// `name{labels} value`
fn sample(line: &str) -> Option<(String, f64)> {
    let end_of_name = line.find(['{', ' '])?;
    let (name, mut rest) = line.split_at(end_of_name);
    let mut labels = BTreeMap::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        while !rest.starts_with('}') {
            let (label, after) = rest.split_once("=\"")?;
            let (value, after) = quoted(after)?;
            if labels.insert(label.to_owned(), value).is_some() {
                return None;
            }
            rest = after.strip_prefix(',').unwrap_or(after);
        }
        rest = rest.strip_prefix('}')?;
    }
    let value = rest.strip_prefix(' ')?.parse().ok()?;
    Some((key(name, &labels), value))
}

/// A label value up to its closing quote, unescaped, and what follows the quote.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, text.get(at + 1..)?)),
            '\\' => value.push(match characters.next()?.1 {
                'n' => '\n',
                escaped @ ('"' | '\\') => escaped,
                _ => return None,
            }),
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_read_and_what_is_wrong_is_refused() {
        let text = "# HELP a A.\n# TYPE a counter\na_total{y=\"1\",x=\"q\\\"\\\\\\n\"} 3\nb 1.5e3\n# EOF\n";
        let exposition = Exposition::parse(text).unwrap();
        assert_eq!(exposition.get("a_total", &[("x", "q\"\\\n"), ("y", "1")]), 3.0);
        assert_eq!(exposition.sum("b"), 1500.0);
        for bad in ["a 1", "a 1\na 1\n", "a{x=\"1} 1\n", "a{x=\"1\",x=\"2\"} 1\n", "a one\n", "\n"] {
            assert!(Exposition::parse(bad).is_err(), "{bad:?}");
        }
    }
}
