//! Reads what `docs/grafana` ships, for the tests that hold it against the metrics there are.
//!
//! The text of PromQL is only cut into words here; whether it is a query, a real Prometheus says.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::Value;

/// A Grafana dashboard, as far as the tests look at it.
#[derive(Clone, Debug, Deserialize)]
pub struct Dashboard {
    /// Rows and panels, in order.
    pub panels: Vec<Panel>,
    /// Its template variables.
    templating: List,
}

#[derive(Clone, Debug, Deserialize)]
struct List {
    list: Vec<Variable>,
}

/// A template variable.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Variable {
    /// Its name in `$name`.
    pub name: String,
    /// `query` or `datasource`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What it asks; an object for queries.
    pub query: Value,
    /// What it stands for when all are chosen.
    pub all_value: Option<String>,
    /// Whether all can be chosen.
    #[serde(default)]
    pub include_all: bool,
}

/// A row or a panel.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Panel {
    /// Unique in the dashboard.
    pub id: u64,
    /// `row`, or what draws it.
    #[serde(rename = "type")]
    pub kind: String,
    /// What stands above it.
    pub title: String,
    /// What it says to somebody who wonders.
    #[serde(default)]
    pub description: String,
    /// Where it is.
    pub grid_pos: GridPos,
    /// Where its data comes from.
    #[serde(default)]
    pub datasource: Value,
    /// How values are shown.
    #[serde(default)]
    pub field_config: Value,
    /// Its queries; none for a row.
    #[serde(default)]
    pub targets: Vec<Target>,
}

/// A place on the grid, which is 24 wide.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct GridPos {
    /// From the left.
    pub x: u64,
    /// From the top.
    pub y: u64,
    /// Width.
    pub w: u64,
    /// Height.
    pub h: u64,
}

impl GridPos {
    /// True where the two share a field.
    pub fn overlaps(&self, other: &Self) -> bool {
        let share = |a: u64, length: u64, b: u64, other: u64| a < b + other && b < a + length;
        share(self.x, self.w, other.x, other.w) && share(self.y, self.h, other.y, other.h)
    }
}

/// A query of a panel.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    /// Unique in the panel.
    pub ref_id: String,
    /// PromQL, with template variables.
    pub expr: String,
}

impl Dashboard {
    /// Reads the JSON that users import.
    ///
    /// # Errors
    /// What is not as expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    /// Its template variables.
    pub fn variables(&self) -> &[Variable] {
        &self.templating.list
    }

    /// Panels that show something, each with the title of its row.
    pub fn in_rows(&self) -> Vec<(&str, &Panel)> {
        let mut row = "";
        let mut panels = Vec::new();
        for panel in &self.panels {
            if panel.kind == "row" {
                row = &panel.title;
            } else {
                panels.push((row, panel));
            }
        }
        panels
    }
}

/// Puts values in the place of `$name` and `${name}`.
pub fn substitute(text: &str, values: &[(&str, &str)]) -> String {
    let mut values = values.to_vec();
    // The longest first, so that `$a` does not eat the beginning of `$ab`.
    values.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
    values.iter().fold(text.to_owned(), |text, (name, value)| {
        text.replace(&format!("${{{name}}}"), value).replace(&format!("${name}"), value)
    })
}

/// The names of metrics in a query: its words, less strings, labels, durations, functions and keywords.
pub fn metric_names(query: &str) -> BTreeSet<String> {
    const KEYWORDS: [&str; 10] =
        ["and", "or", "unless", "by", "without", "on", "ignoring", "group_left", "group_right", "bool"];
    const OPERATORS: [&str; 4] = ["offset", "inf", "nan", "atan2"];
    const LISTS: [&str; 6] = ["by", "without", "on", "ignoring", "group_left", "group_right"];
    let mut names = BTreeSet::new();
    let mut rest = query;
    let mut last_word = "";
    while let Some(first) = rest.chars().next() {
        let mut skip = |open: &str| {
            // The list of labels that follows a keyword.
            if open == "(" && !LISTS.contains(&last_word) {
                return 1;
            }
            last_word = "";
            closing(rest)
        };
        let length = match first {
            '"' | '\'' | '`' => closing(rest),
            '{' | '[' => skip("{"),
            '(' => skip("("),
            _ if first.is_ascii_alphabetic() || first == '_' || first == ':' => {
                let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'));
                let (word, after) = rest.split_at(end.unwrap_or(rest.len()));
                let after = after.trim_start();
                let is_call = after.starts_with('(');
                let is_word = KEYWORDS.contains(&word) || OPERATORS.contains(&word);
                // `sum by (job) (…)`: an aggregation is no call until after its labels.
                let is_aggregation = ["by", "without"].iter().any(|keyword| {
                    let labels = after.strip_prefix(keyword);
                    labels.is_some_and(|labels| labels.trim_start().starts_with('('))
                });
                if !is_call && !is_word && !is_aggregation {
                    names.insert(word.to_owned());
                }
                last_word = word;
                word.len()
            }
            // A number or a duration, `1w`, with its letters.
            _ if first.is_ascii_digit() => {
                let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '.'));
                end.unwrap_or(rest.len())
            }
            other => other.len_utf8(),
        };
        rest = rest.get(length..).unwrap_or_default();
    }
    names
}

/// Bytes up to the end of what the first character opens; strings inside are skipped.
fn closing(text: &str) -> usize {
    let mut characters = text.char_indices();
    let Some((_, open)) = characters.next() else { return 0 };
    let close = match open {
        '{' => '}',
        '[' => ']',
        '(' => ')',
        quote => quote,
    };
    let mut quote = None;
    while let Some((at, character)) = characters.next() {
        match quote {
            None if character == close => return at + character.len_utf8(),
            None if "\"'`".contains(character) && open != close => quote = Some(character),
            Some(end) if character == end => quote = None,
            _ if character == '\\' => drop(characters.next()),
            _ => {}
        }
    }
    text.len()
}

/// Words of a text that are names of metrics by their look.
pub fn words_like_metrics(text: &str) -> BTreeSet<&str> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':' || c == '*'))
        .filter(|word| ["confidence_", "tributary_"].iter().any(|prefix| word.starts_with(prefix)))
        .filter(|word| !word.contains('*'))
        .collect()
}

/// The fenced blocks of a Markdown text whose first line begins with `first`.
pub fn fenced(markdown: &str, first: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut open: Option<String> = None;
    for line in markdown.lines() {
        match &mut open {
            None if line.starts_with("```") => open = Some(String::new()),
            None => {}
            Some(block) if line.starts_with("```") => {
                if block.starts_with(first) {
                    blocks.push(std::mem::take(block));
                }
                open = None;
            }
            Some(block) => {
                block.push_str(line);
                block.push('\n');
            }
        }
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_metrics_are_found_and_nothing_else() {
        let names = |query| metric_names(query).into_iter().collect::<Vec<_>>();
        assert_eq!(names("a_total"), ["a_total"]);
        assert_eq!(
            names(r#"sum by (job, le) (rate(a{b="c}d",e=~"f\"g"}[5m] offset 1w)) > 0.5 and on (job) h"#),
            ["a", "h"]
        );
        assert_eq!(names("sum(a) by (x) / (max without(y)(b) > bool 1e3)"), ["a", "b"]);
        assert_eq!(names("time() - x:y:z or vector(0) unless on () up"), ["up", "x:y:z"]);
        assert_eq!(names("histogram_quantile(0.99, sum by (le) (rate(a_bucket[$__rate_interval])))"), ["a_bucket"]);
    }

    #[test]
    fn variables_are_substituted_the_longest_name_first() {
        let values = [("job", "x"), ("job_name", "y")];
        assert_eq!(substitute("$job ${job} $job_name $other", &values), "x x y $other");
    }

    #[test]
    fn places_that_touch_do_not_overlap() {
        let at = |x, y| GridPos { x, y, w: 12, h: 8 };
        assert!(!at(0, 0).overlaps(&at(12, 0)) && !at(0, 0).overlaps(&at(0, 8)));
        assert!(at(0, 0).overlaps(&at(11, 7)));
    }

    #[test]
    fn fenced_blocks_are_told_apart_by_their_first_line() {
        let text = "a\n```yaml\n# one\nx: 1\n```\nb\n```\n# two\n```\n";
        assert_eq!(fenced(text, "# one"), ["# one\nx: 1\n"]);
        assert_eq!(fenced(text, "#").len(), 2);
    }
}
