//! The options of a scrape: in the query, and as defaults in the configuration.

use tributary_telemetry::{
    FamilyDescriptor, MetricFamily, Snapshot, TextFormat, TextOptions, write_family, write_family_protobuf,
    write_selected_protobuf, write_selected_text,
};

use super::negotiate::Format;
use crate::config::Config;

/// The longest query that is read. A hundred long names are a few thousand bytes.
pub const MAX_QUERY_BYTES: usize = 8 * 1024;
/// The most names that one request selects.
pub const MAX_NAMES: usize = 100;
/// The longest name that is looked for: a family has at most 200 bytes, its samples a suffix.
pub const MAX_NAME_BYTES: usize = 256;

/// An option that does not parse: a 400 that names it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{option}: expected {expected}")]
pub struct BadOption {
    /// The option.
    pub option: &'static str,
    /// What it takes.
    pub expected: &'static str,
}

/// Which families a text has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Names of families or of their samples; none: all families.
    names: Vec<String>,
}

impl Selection {
    /// The families that these names are of.
    ///
    /// # Errors
    /// [`BadOption`] where there are too many, or one is too long or empty. A name that nothing has is none of these.
    pub fn new<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Self, BadOption> {
        let bad = BadOption { option: "name[]", expected: "at most 100 names of 1 to 256 bytes" };
        let mut selection = Self::default();
        for name in names {
            if name.is_empty() || name.len() > MAX_NAME_BYTES || selection.names.len() >= MAX_NAMES {
                return Err(bad);
            }
            selection.names.push(name.to_owned());
        }
        selection.names.sort_unstable();
        selection.names.dedup();
        Ok(selection)
    }

    /// Says whether a family is selected.
    pub fn has(&self, family: &FamilyDescriptor) -> bool {
        self.names.is_empty() || self.names.iter().any(|name| family.has_name(name))
    }

    /// A number that tells selections apart well enough for a validator.
    fn checksum(&self) -> u32 {
        let mut hasher = crc32fast::Hasher::new();
        for name in &self.names {
            hasher.update(name.as_bytes());
            hasher.update(b"\n");
        }
        hasher.finalize()
    }
}

/// What is shown of a state, the format aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// Density of the histogram, 1 to 18 bounds a decade.
    pub buckets_per_decade: u8,
    /// Whether OpenMetrics says when each series began. Protobuf always does.
    pub created: bool,
    /// Which families there are.
    pub selection: Selection,
}

impl View {
    /// What is shown to who asks for nothing else, and published.
    pub fn of_config(config: &Config) -> Self {
        Self {
            buckets_per_decade: config.buckets_per_decade,
            created: config.created,
            selection: config.selection.clone(),
        }
    }

    /// A word without spaces that tells views apart.
    pub fn tag(&self) -> String {
        format!("{}-{}-{:x}", self.buckets_per_decade, u8::from(self.created), self.selection.checksum())
    }

    /// Appends a state in a format.
    pub fn write(&self, state: &Snapshot, format: Format, out: &mut Vec<u8>) {
        let select = |family: &FamilyDescriptor| self.selection.has(family);
        match format.text() {
            Some(format) => write_selected_text(state, &self.text(format), select, out),
            None => write_selected_protobuf(state, self.buckets_per_decade, select, out),
        }
    }

    /// Appends one family, if it is shown.
    pub fn write_family(&self, family: &MetricFamily, format: Format, out: &mut Vec<u8>) {
        if self.selection.has(family.descriptor()) {
            match format.text() {
                Some(format) => write_family(family, &self.text(format), out),
                None => write_family_protobuf(family, self.buckets_per_decade, out),
            }
        }
    }

    fn text(&self, format: TextFormat) -> TextOptions {
        TextOptions { format, buckets_per_decade: self.buckets_per_decade, created: self.created }
    }
}

/// What the query of a request says, over the configured defaults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// What is shown.
    pub view: View,
    /// OpenMetrics or text 0.0.4, whatever `Accept` says; `None`: as that says.
    pub openmetrics: Option<bool>,
}

impl Options {
    /// Reads the parameters of a query. `buckets_per_decade=1…18`, `openmetrics=true|false` and `name[]=…`, the last as
    /// often as one likes. Parameters that are not ours are ignored: scrapers and proxies add their own.
    ///
    /// # Errors
    /// [`BadOption`]
    pub fn read<'a>(config: &Config, query: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, BadOption> {
        let mut options = Self { view: View::of_config(config), openmetrics: config.openmetrics };
        let mut names = Vec::new();
        for (name, value) in query {
            match name {
                "buckets_per_decade" => {
                    options.view.buckets_per_decade = buckets_per_decade(value)
                        .ok_or(BadOption { option: "buckets_per_decade", expected: "a number from 1 to 18" })?;
                }
                "openmetrics" => {
                    options.openmetrics = Some(match value {
                        "true" | "1" | "" => true,
                        "false" | "0" => false,
                        _ => return Err(BadOption { option: "openmetrics", expected: "true or false" }),
                    });
                }
                "name[]" => names.push(value),
                _ => {}
            }
        }
        if !names.is_empty() {
            options.view.selection = Selection::new(names)?;
        }
        Ok(options)
    }
}

/// Reads a density, which is 1 to 18.
pub fn buckets_per_decade(text: &str) -> Option<u8> {
    text.parse().ok().filter(|density| (1..=18).contains(density))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use tributary_telemetry::MetricKind;

    use super::*;

    fn config(variables: &[(&'static str, &'static str)]) -> Config {
        let (config, problems) = Config::read(&variables.iter().copied().collect::<BTreeMap<_, _>>());
        assert_eq!(problems, []);
        config
    }

    fn read(config: &Config, query: &[(&str, &str)]) -> Result<Options, BadOption> {
        Options::read(config, query.iter().copied())
    }

    fn family(name: &'static str, kind: MetricKind) -> FamilyDescriptor {
        FamilyDescriptor::new(name, "", "", kind).unwrap()
    }

    #[test]
    fn the_query_overrules_the_configured_defaults() {
        let plain = config(&[]);
        let options = read(&plain, &[("x", "y"), ("timeout", "")]).unwrap();
        assert_eq!(options, Options { view: View::of_config(&plain), openmetrics: None });
        assert_eq!(options.view.buckets_per_decade, 18);

        let own = config(&[
            ("METRICS_BUCKETS_PER_DECADE", "6"),
            ("METRICS_OPENMETRICS", "false"),
            ("METRICS_NAMES", "a_total, b"),
        ]);
        let options = read(&own, &[]).unwrap();
        assert_eq!((options.view.buckets_per_decade, options.openmetrics), (6, Some(false)));
        assert!(options.view.selection.has(&family("a", MetricKind::Counter)));
        assert!(!options.view.selection.has(&family("c", MetricKind::Counter)));
        let options = read(&own, &[("buckets_per_decade", "3"), ("openmetrics", ""), ("name[]", "c")]).unwrap();
        assert_eq!((options.view.buckets_per_decade, options.openmetrics), (3, Some(true)));
        assert!(!options.view.selection.has(&family("a", MetricKind::Counter)));
        assert!(options.view.selection.has(&family("c", MetricKind::Counter)));
    }

    #[test]
    fn a_bad_option_is_named() {
        let plain = config(&[]);
        for bad in ["", "0", "19", "-1", "3.5", "x", " 3", "99999999999999999999"] {
            assert_eq!(read(&plain, &[("buckets_per_decade", bad)]).unwrap_err().option, "buckets_per_decade");
        }
        for bad in ["maybe", "TRUE", "2", " "] {
            assert_eq!(read(&plain, &[("openmetrics", bad)]).unwrap_err().option, "openmetrics");
        }
        let long = "x".repeat(257);
        for bad in ["", &long] {
            assert_eq!(read(&plain, &[("name[]", bad)]).unwrap_err().option, "name[]");
        }
        assert!(read(&plain, &[("name[]", "x"); 100]).is_ok());
        assert_eq!(read(&plain, &[("name[]", "x"); 101]).unwrap_err().option, "name[]");
    }

    #[test]
    fn names_are_those_of_families_and_of_their_samples() {
        let selects = |name: &str, kind| Selection::new([name]).unwrap().has(&family("f_x", kind));
        for (kind, suffixes) in [
            (MetricKind::Counter, &["", "_total", "_created"][..]),
            (MetricKind::Gauge, &[""]),
            (MetricKind::Histogram, &["", "_bucket", "_count", "_sum", "_created"]),
            (MetricKind::UpDown, &[""]),
            (MetricKind::Exponential, &["", "_bucket", "_count", "_sum", "_created"]),
        ] {
            for suffix in ["", "_total", "_created", "_bucket", "_count", "_sum", "_other", "x"] {
                assert_eq!(selects(&format!("f_x{suffix}"), kind), suffixes.contains(&suffix), "{kind} {suffix}");
            }
            assert!(!selects("f", kind) && !selects("F_X", kind) && !selects("\n{}", kind));
        }
    }

    #[test]
    fn views_that_show_the_same_have_the_same_tag() {
        let tag = |query: &[(&str, &str)]| read(&config(&[]), query).unwrap().view.tag();
        assert_eq!(tag(&[("name[]", "a"), ("name[]", "b")]), tag(&[("name[]", "b"), ("name[]", "a"), ("name[]", "a")]));
        let different = [
            tag(&[]),
            tag(&[("name[]", "a")]),
            tag(&[("name[]", "ab")]),
            tag(&[("name[]", "a"), ("name[]", "b")]),
            tag(&[("buckets_per_decade", "1")]),
        ];
        assert_eq!(different.iter().collect::<std::collections::BTreeSet<_>>().len(), different.len());
    }
}
