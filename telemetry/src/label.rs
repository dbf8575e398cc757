//! Labels: what tells the series of one family apart.

mod packed;

use std::{borrow::Cow, cmp::Ordering, fmt, sync::Arc};

use crate::limits::{MAX_LABEL_NAME_BYTES, MAX_LABEL_VALUE_BYTES, MAX_LABELS};

/// Why labels are refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LabelError {
    /// The name is empty, too long, or not `[a-zA-Z_][a-zA-Z0-9_]*`.
    #[error("label name of {bytes} bytes is not [a-zA-Z_][a-zA-Z0-9_]* of at most {MAX_LABEL_NAME_BYTES} bytes")]
    Name {
        /// Length of the refused name.
        bytes: usize,
    },
    /// The name begins with `__`, or is `le` or `quantile`: the formats use these themselves.
    #[error("label name {name} is reserved")]
    Reserved {
        /// The refused name.
        name: String,
    },
    /// The value is longer than [`MAX_LABEL_VALUE_BYTES`].
    #[error("value of label {name} has {bytes} bytes, over {MAX_LABEL_VALUE_BYTES}")]
    Value {
        /// Name of the label.
        name: String,
        /// Length of the refused value.
        bytes: usize,
    },
    /// Two labels have the same name.
    #[error("label {name} occurs twice")]
    Duplicate {
        /// The name.
        name: String,
    },
    /// There are more labels than [`MAX_LABELS`].
    #[error("more than {MAX_LABELS} labels")]
    TooMany,
}

/// A valid label name: `[a-zA-Z_][a-zA-Z0-9_]*`, at most [`MAX_LABEL_NAME_BYTES`] bytes.
///
/// Refused besides: names that begin with `__` (Prometheus' own), `le` (a histogram's bound) and `quantile` (a
/// summary's). `job` and `instance` are legal; the scraper renames them.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LabelName(Cow<'static, str>);

/// Says whether `name` is `[a-zA-Z_][a-zA-Z0-9_]*`. Usable in constants.
pub(crate) const fn is_identifier(name: &str) -> bool {
    let mut rest = name.as_bytes();
    let mut first = true;
    if rest.is_empty() {
        return false;
    }
    while let [byte, tail @ ..] = rest {
        let legal = byte.is_ascii_alphabetic() || *byte == b'_' || (!first && byte.is_ascii_digit());
        if !legal {
            return false;
        }
        first = false;
        rest = tail;
    }
    true
}

const fn has_form(name: &str) -> bool {
    name.len() <= MAX_LABEL_NAME_BYTES && is_identifier(name)
}

const fn is_reserved(name: &str) -> bool {
    matches!(name.as_bytes(), [b'_', b'_', ..] | b"le" | b"quantile")
}

impl LabelName {
    /// Checks `name`.
    ///
    /// # Errors
    /// [`LabelError::Name`] and [`LabelError::Reserved`].
    pub fn new(name: impl Into<Cow<'static, str>>) -> Result<Self, LabelError> {
        let name = name.into();
        if !has_form(&name) {
            return Err(LabelError::Name { bytes: name.len() });
        }
        if is_reserved(&name) {
            return Err(LabelError::Reserved { name: name.into_owned() });
        }
        Ok(Self(name))
    }

    /// Says whether [`LabelName::new`] takes `name`; for names that the program itself defines, in constants.
    #[must_use]
    pub const fn is_valid(name: &str) -> bool {
        has_form(name) && !is_reserved(name)
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for LabelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for LabelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The labels of one series: ordered by name, each name once, no empty value.
///
/// An empty value means that the label is absent, as in Prometheus, so it is dropped on construction and two sets that
/// mean the same are equal. A clone copies a pointer.
///
/// A state has a hundred thousand of these, so all of a set is one piece of memory ([`packed`]).
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct LabelSet(Arc<str>);

impl LabelSet {
    /// Builds a set from pairs in any order.
    ///
    /// # Errors
    /// [`LabelError::Value`], [`LabelError::Duplicate`] (also where one of the two values is empty) and
    /// [`LabelError::TooMany`].
    pub fn new<V: Into<String>>(pairs: impl IntoIterator<Item = (LabelName, V)>) -> Result<Self, LabelError> {
        Self::of(pairs.into_iter().map(Ok))
    }

    fn of<V: Into<String>>(
        pairs: impl Iterator<Item = Result<(LabelName, V), LabelError>>,
    ) -> Result<Self, LabelError> {
        let mut labels = Vec::with_capacity(pairs.size_hint().0.min(MAX_LABELS));
        for pair in pairs {
            let (name, value) = pair?;
            let value = value.into();
            if value.len() > MAX_LABEL_VALUE_BYTES {
                return Err(LabelError::Value { name: name.as_str().to_owned(), bytes: value.len() });
            }
            if labels.len() >= MAX_LABELS {
                return Err(LabelError::TooMany);
            }
            labels.push((name, value));
        }
        labels.sort_unstable();
        for pair in labels.windows(2) {
            if let [(left, _), (right, _)] = pair
                && left == right
            {
                return Err(LabelError::Duplicate { name: left.as_str().to_owned() });
            }
        }
        labels.retain(|(_, value)| !value.is_empty());
        Ok(Self(packed::pack(&labels).into()))
    }

    /// Builds a set from names that the program itself defines; they are checked.
    ///
    /// # Errors
    /// Every [`LabelError`].
    pub fn from_static(pairs: &[(&'static str, &str)]) -> Result<Self, LabelError> {
        if pairs.len() > MAX_LABELS {
            return Err(LabelError::TooMany);
        }
        Self::of(pairs.iter().map(|(name, value)| Ok((LabelName::new(*name)?, *value))))
    }

    /// Builds a set from plain strings; the names are checked.
    ///
    /// # Errors
    /// Every [`LabelError`].
    ///
    /// # Examples
    /// ```
    /// use tributary_telemetry::LabelSet;
    /// let labels = LabelSet::from_pairs([("resolver_id", "cf-resolver"), ("colo", "")])?;
    /// assert_eq!(labels.iter().collect::<Vec<_>>(), [("resolver_id", "cf-resolver")]);
    /// # Ok::<_, tributary_telemetry::LabelError>(())
    /// ```
    pub fn from_pairs<N: AsRef<str>, V: Into<String>>(
        pairs: impl IntoIterator<Item = (N, V)>,
    ) -> Result<Self, LabelError> {
        let mut checked = Vec::new();
        for (name, value) in pairs {
            if checked.len() > MAX_LABELS {
                return Err(LabelError::TooMany);
            }
            checked.push((LabelName::new(name.as_ref().to_owned())?, value));
        }
        Self::new(checked)
    }

    /// The set without labels.
    #[must_use]
    pub fn empty() -> Self {
        Self(Arc::from(""))
    }

    /// Name and value of each label, ordered by name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        packed::Labels::of(&self.0)
    }

    /// The value of the label `name`; `None` where it is absent.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(candidate, _)| *candidate == name).map(|(_, value)| value)
    }

    /// How many bytes all names and values are together.
    pub(crate) fn text_bytes(&self) -> usize {
        packed::text_bytes(&self.0)
    }

    /// How many labels there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.iter().len()
    }

    /// Says whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// By the first label that differs, its name and then its value; a set that goes on comes last.
impl Ord for LabelSet {
    fn cmp(&self, other: &Self) -> Ordering {
        packed::compare(&self.0, &other.0)
    }
}

impl PartialOrd for LabelSet {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Default for LabelSet {
    fn default() -> Self {
        Self::empty()
    }
}

impl fmt::Debug for LabelSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_outside_the_grammar_are_refused() {
        for bad in ["", "0a", "a-b", "a b", "é", "a:b", "a.b", "a\n", &"x".repeat(129)] {
            assert!(matches!(LabelName::new(bad.to_owned()), Err(LabelError::Name { .. })), "{bad:?}");
        }
        for reserved in ["le", "quantile", "__name__", "__"] {
            assert!(matches!(LabelName::new(reserved), Err(LabelError::Reserved { .. })), "{reserved:?}");
        }
        for good in ["a", "_", "_a", "A0", "Le", &"x".repeat(128)] {
            assert!(LabelName::new(good.to_owned()).is_ok(), "{good:?}");
        }
    }

    #[test]
    fn sets_that_mean_the_same_are_equal() {
        let one = LabelSet::from_pairs([("b", "2"), ("a", "1"), ("c", "")]).unwrap();
        let two = LabelSet::from_pairs([("a", "1"), ("b", "2")]).unwrap();
        assert_eq!(one, two);
        assert_eq!(one.get("b"), Some("2"));
        assert_eq!(one.get("c"), None);
    }

    #[test]
    fn sets_of_every_length_read_back_and_compare_as_their_pairs() {
        let lengths = [1, 2, 7, 63, 127, 128];
        let mut sets = vec![Vec::new()];
        for (index, length) in lengths.iter().enumerate() {
            for value in
                ["a", "a\0", "\u{7f}", "\u{80}", "é", "日本", &"v".repeat(127), &"v".repeat(128), &"é".repeat(512)]
            {
                let name = |first: char| format!("{first}{}", "x".repeat(length - 1));
                sets.push(vec![(name('a'), value.to_owned())]);
                sets.push(vec![(name('a'), value.to_owned()), (name('b'), "z".repeat(index + 1))]);
            }
        }
        sets.push((0..MAX_LABELS).map(|index| (format!("n{index:02}"), "v".repeat(MAX_LABEL_VALUE_BYTES))).collect());
        let packed: Vec<LabelSet> = sets.iter().map(|set| LabelSet::from_pairs(set.clone()).unwrap()).collect();
        for (left, of_left) in sets.iter().zip(&packed) {
            let pairs: Vec<_> = of_left.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
            assert_eq!((&pairs, of_left.len(), of_left.is_empty()), (left, left.len(), left.is_empty()));
            for (right, of_right) in sets.iter().zip(&packed) {
                assert_eq!(of_left.cmp(of_right), left.cmp(right), "{left:?} {right:?}");
                assert_eq!(of_left == of_right, left == right);
            }
        }
    }

    #[test]
    fn duplicates_oversize_and_excess_are_refused() {
        assert!(matches!(LabelSet::from_pairs([("a", "1"), ("a", "2")]), Err(LabelError::Duplicate { .. })));
        assert!(matches!(LabelSet::from_pairs([("a", ""), ("a", "2")]), Err(LabelError::Duplicate { .. })));
        assert!(LabelSet::from_pairs([("a", "x".repeat(1_024))]).is_ok());
        assert!(matches!(LabelSet::from_pairs([("a", "x".repeat(1_025))]), Err(LabelError::Value { .. })));
        let many = |n: usize| LabelSet::from_pairs((0..n).map(|i| (format!("l{i}"), "v")));
        assert!(many(32).is_ok());
        assert_eq!(many(33), Err(LabelError::TooMany));
        assert_eq!(many(1_000), Err(LabelError::TooMany));
    }
}
