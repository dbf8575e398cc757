//! Families: the name, help, unit and kind that series share.

use std::borrow::Cow;

use crate::{
    label::is_identifier,
    limits::{MAX_FAMILY_NAME_BYTES, MAX_HELP_BYTES},
};

/// What the values of a family are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MetricKind {
    /// A count that only grows.
    Counter,
    /// A reading that replaces the one before.
    Gauge,
    /// Counts of observations under upper bounds, and their sum.
    Histogram,
    /// A sum that may fall. Merges by adding, like a counter; text formats know it as a gauge.
    UpDown,
    /// Counts of observations in buckets at powers of a base, and their sum. Text formats know it as a histogram.
    Exponential,
}

impl MetricKind {
    /// Every kind.
    pub(crate) const ALL: [Self; 5] = [Self::Counter, Self::Gauge, Self::Histogram, Self::UpDown, Self::Exponential];

    /// The word for the kind in text formats and messages. Text formats have fewer of them than there are kinds.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge | Self::UpDown => "gauge",
            Self::Histogram | Self::Exponential => "histogram",
        }
    }

    /// The suffixes that samples of the kind add to the family's name.
    #[must_use]
    pub const fn suffixes(self) -> &'static [&'static str] {
        match self {
            Self::Counter => &["_total", "_created"],
            Self::Gauge | Self::UpDown => &[],
            Self::Histogram | Self::Exponential => &["_bucket", "_count", "_sum", "_created"],
        }
    }
}

impl std::fmt::Display for MetricKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a family is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FamilyError {
    /// The name is empty, too long, not `[a-zA-Z_][a-zA-Z0-9_]*`, or begins with `__`.
    #[error("family name of {bytes} bytes is not [a-zA-Z_][a-zA-Z0-9_]* of at most {MAX_FAMILY_NAME_BYTES} bytes")]
    Name {
        /// Length of the refused name.
        bytes: usize,
    },
    /// A counter's name ends in `_total`; the encoder adds that suffix.
    #[error("counter is named with its _total suffix")]
    TotalSuffix,
    /// The help text is over [`MAX_HELP_BYTES`].
    #[error("help of {bytes} bytes is over {MAX_HELP_BYTES}")]
    Help {
        /// Length of the refused text.
        bytes: usize,
    },
    /// The unit is neither empty nor `[a-zA-Z_][a-zA-Z0-9_]*`.
    #[error("unit is not a word of letters, digits and underscores")]
    Unit,
}

/// Name, help, unit and kind of a family.
///
/// The name has no `_total`, whatever the kind; encoders add it for counters. The unit is written in full (`seconds`),
/// empty for none; encoders print it only where the name ends in it.
///
/// # Examples
/// ```
/// use tributary_telemetry::{FamilyDescriptor, MetricKind};
/// static REQUESTS: FamilyDescriptor =
///     FamilyDescriptor::from_static("requests", "Requests served.", "", MetricKind::Counter);
/// assert_eq!(REQUESTS.name(), "requests");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FamilyDescriptor {
    name: Cow<'static, str>,
    help: Cow<'static, str>,
    unit: Cow<'static, str>,
    kind: MetricKind,
}

const fn check(name: &str, help: &str, unit: &str, kind: MetricKind) -> Result<(), FamilyError> {
    let bytes = name.as_bytes();
    if name.len() > MAX_FAMILY_NAME_BYTES || !is_identifier(name) || matches!(bytes, [b'_', b'_', ..]) {
        return Err(FamilyError::Name { bytes: name.len() });
    }
    if matches!(kind, MetricKind::Counter) && matches!(bytes, [.., b'_', b't', b'o', b't', b'a', b'l']) {
        return Err(FamilyError::TotalSuffix);
    }
    if help.len() > MAX_HELP_BYTES {
        return Err(FamilyError::Help { bytes: help.len() });
    }
    if !unit.is_empty() && (unit.len() > MAX_FAMILY_NAME_BYTES || !is_identifier(unit)) {
        return Err(FamilyError::Unit);
    }
    Ok(())
}

impl FamilyDescriptor {
    /// Describes a family that the program itself defines, for a `const` or `static`.
    ///
    /// # Panics
    /// If [`FamilyDescriptor::new`] would refuse it. In a `const` or `static` that is a compile error; use it nowhere
    /// else.
    #[must_use]
    pub const fn from_static(name: &'static str, help: &'static str, unit: &'static str, kind: MetricKind) -> Self {
        assert!(check(name, help, unit, kind).is_ok(), "invalid family descriptor");
        Self { name: Cow::Borrowed(name), help: Cow::Borrowed(help), unit: Cow::Borrowed(unit), kind }
    }

    /// Describes a family that came from outside.
    ///
    /// # Errors
    /// Every [`FamilyError`].
    pub fn new(
        name: impl Into<Cow<'static, str>>,
        help: impl Into<Cow<'static, str>>,
        unit: impl Into<Cow<'static, str>>,
        kind: MetricKind,
    ) -> Result<Self, FamilyError> {
        let (name, help, unit) = (name.into(), help.into(), unit.into());
        check(&name, &help, &unit, kind)?;
        Ok(Self { name, help, unit, kind })
    }

    /// The name, without `_total`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name as a key that is cheap to copy for families of the program itself.
    pub(crate) fn key(&self) -> Cow<'static, str> {
        self.name.clone()
    }

    /// Says whether `name` is the family's or that of one of its samples (`…_total`, `…_bucket`).
    #[must_use]
    pub fn has_name(&self, name: &str) -> bool {
        let suffix = name.strip_prefix(self.name());
        suffix.is_some_and(|suffix| suffix.is_empty() || self.kind.suffixes().contains(&suffix))
    }

    /// What the family counts, one sentence. Any UTF-8.
    #[must_use]
    pub fn help(&self) -> &str {
        &self.help
    }

    /// The unit in full (`seconds`), empty for none.
    #[must_use]
    pub fn unit(&self) -> &str {
        &self.unit
    }

    /// Says whether the name ends in the unit. One that does not makes a whole exposition invalid where it is written.
    pub(crate) fn ends_in_unit(&self) -> bool {
        let stem = self.name.strip_suffix(&*self.unit);
        !self.unit.is_empty() && stem.is_some_and(|stem| stem.ends_with('_'))
    }

    /// What the values are.
    #[must_use]
    pub const fn kind(&self) -> MetricKind {
        self.kind
    }

    /// Settles on one help text and unit where two declarations of a family differ: the greater pair, so that the
    /// outcome does not depend on the order of arrival.
    pub(crate) fn unify(&mut self, other: &Self) {
        if (&other.help, &other.unit) > (&self.help, &self.unit) {
            self.help = other.help.clone();
            self.unit = other.unit.clone();
        }
    }
}

/// Says whether a new family would print a name that another family prints.
///
/// `kind_of` answers which kind a known family has. Two families clash where the sets of their own name and their
/// suffixed sample names meet: a histogram `x` and a gauge `x_count`, for instance. Such an exposition is refused as a
/// whole by parsers.
pub(crate) fn clashes(descriptor: &FamilyDescriptor, kind_of: impl Fn(&str) -> Option<MetricKind>) -> bool {
    let taken = |name: &str| {
        kind_of(name).is_some()
            || MetricKind::ALL.iter().any(|kind| {
                kind.suffixes()
                    .iter()
                    .any(|suffix| name.strip_suffix(suffix).is_some_and(|base| kind_of(base) == Some(*kind)))
            })
    };
    let name = descriptor.name();
    // Its own name is not looked up: the caller handles a known family before it asks.
    let own = MetricKind::suffixes(descriptor.kind).iter().any(|suffix| taken(&format!("{name}{suffix}")));
    own || taken(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        let new = |name: &str, kind| FamilyDescriptor::new(name.to_owned(), "", "", kind);
        for bad in ["", "1a", "a:b", "a-b", "__a", "é", "a\nb", &"x".repeat(201)] {
            assert!(matches!(new(bad, MetricKind::Gauge), Err(FamilyError::Name { .. })), "{bad:?}");
        }
        assert_eq!(new("a_total", MetricKind::Counter), Err(FamilyError::TotalSuffix));
        assert!(new("a_total", MetricKind::Gauge).is_ok());
        assert!(new("a", MetricKind::Counter).is_ok());
        assert_eq!(FamilyDescriptor::new("a", "", "by\nte", MetricKind::Gauge), Err(FamilyError::Unit));
        let long = "h".repeat(1_025);
        assert_eq!(FamilyDescriptor::new("a", long, "", MetricKind::Gauge), Err(FamilyError::Help { bytes: 1_025 }));
    }

    #[test]
    fn families_that_print_the_same_sample_name_clash() {
        let known = |name: &str| match name {
            "h" => Some(MetricKind::Histogram),
            "c" => Some(MetricKind::Counter),
            "g_sum" | "g_total" => Some(MetricKind::Gauge),
            _ => None,
        };
        let clash = |name: &'static str, kind| clashes(&FamilyDescriptor::new(name, "", "", kind).unwrap(), known);
        assert!(clash("h_count", MetricKind::Gauge));
        assert!(clash("h_bucket", MetricKind::Counter));
        assert!(clash("c_total", MetricKind::Gauge));
        assert!(clash("g", MetricKind::Histogram));
        assert!(clash("g", MetricKind::Counter));
        assert!(!clash("c_count", MetricKind::Gauge));
        assert!(!clash("c_sum", MetricKind::Counter));
        assert!(!clash("h_total", MetricKind::Gauge));
    }
}
