//! What the headers ask for: the format by `Accept`, the coding by `Accept-Encoding` (RFC 9110 sections 12.5.1, 12.5.3).
//!
//! There is always an answer, whatever a header holds: 406 never happens. Who accepts nothing that we have gets text
//! 0.0.4, which every scraper reads, and who accepts no coding that we have gets none. Protobuf is sent to who names it with
//! its message and encoding, as Prometheus does where it is told to scrape native histograms, and to nobody else: it is not
//! for reading, and its text forms are not on offer.

use std::borrow::Cow;

use tributary_telemetry::TextFormat;

use super::header::{Element, bounded, elements};

/// What a state is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// OpenMetrics text 1.0.0.
    OpenMetrics,
    /// Prometheus text 0.0.4.
    Prometheus,
    /// `io.prometheus.client.MetricFamily` after `MetricFamily`, each behind its length.
    Protobuf,
}

impl Format {
    /// The text format, of those that are text.
    pub const fn text(self) -> Option<TextFormat> {
        match self {
            Self::OpenMetrics => Some(TextFormat::OpenMetrics),
            Self::Prometheus => Some(TextFormat::Prometheus),
            Self::Protobuf => None,
        }
    }

    /// How a whole state ends, after its last family.
    pub const fn end(self) -> &'static str {
        match self.text() {
            Some(text) => text.end(),
            None => "",
        }
    }
}

/// The format that was asked for, and how names are to be escaped in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MediaType {
    /// The format.
    pub format: Format,
    /// The scheme that a request for OpenMetrics or protobuf named; text 0.0.4 has none. All of our names are letters, digits and underscores,
    /// which no scheme changes, so each of them is what we speak.
    pub escaping: Option<Escaping>,
}

/// How names outside letters, digits, underscores and colons are escaped: the values of Prometheus' `escaping`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Escaping {
    /// Not at all.
    AllowUtf8,
    /// Each such character is an underscore.
    Underscores,
    /// Dots are `_dot_`.
    Dots,
    /// Each such character is its code point.
    Values,
}

impl Escaping {
    const ALL: [Self; 4] = [Self::AllowUtf8, Self::Underscores, Self::Dots, Self::Values];

    /// The value of the parameter.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AllowUtf8 => "allow-utf-8",
            Self::Underscores => "underscores",
            Self::Dots => "dots",
            Self::Values => "values",
        }
    }

    /// The scheme that a media range names. `allow-utf8` is an older spelling in Prometheus' own documents.
    fn of(range: &Element<'_>) -> Option<Self> {
        let value = range.parameter("escaping")?;
        let known = Self::ALL.into_iter().find(|scheme| value.is(scheme.as_str()));
        known.or_else(|| value.is("allow-utf8").then_some(Self::AllowUtf8))
    }
}

impl MediaType {
    /// The `Content-Type`, exactly.
    pub fn content_type(self) -> Cow<'static, str> {
        let format = match self.format {
            Format::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Format::Protobuf => {
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
            }
        };
        match self.escaping {
            Some(escaping) => format!("{format}; escaping={}", escaping.as_str()).into(),
            None => format.into(),
        }
    }
}

/// What a format is offered as.
struct Offer {
    kind: &'static str,
    subtype: &'static str,
    /// What a range may say, and what it then must say.
    version: Option<&'static str>,
    /// What a range must say to mean it.
    required: &'static [(&'static str, &'static str)],
}

const OPEN_METRICS: Offer =
    Offer { kind: "application", subtype: "openmetrics-text", version: Some("1.0.0"), required: &[] };
const TEXT: Offer = Offer { kind: "text", subtype: "plain", version: Some("0.0.4"), required: &[] };
const PROTOBUF: Offer = Offer {
    kind: "application",
    subtype: "vnd.google.protobuf",
    version: None,
    required: &[("proto", "io.prometheus.client.MetricFamily"), ("encoding", "delimited")],
};

/// How exactly a media range names an offer; the most exact one decides, whatever its quality.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Exactness {
    Anything,
    Kind,
    Named,
    Version,
}

/// What the header says of an offer.
#[derive(Clone, Copy, Debug)]
struct Preference {
    exactness: Exactness,
    quality: u16,
    /// Which range it was, counted down, so that the first of two is the greater.
    precedence: usize,
    escaping: Option<Escaping>,
}

impl Preference {
    /// What counts between two offers: quality, then whether it is named at all, then who stands first.
    fn rank(self) -> (u16, Exactness, usize) {
        (self.quality, self.exactness.min(Exactness::Named), self.precedence)
    }
}

/// The format that `Accept` prefers, and `openmetrics` where the options overrule it.
pub fn media_type(accept: Option<&str>, openmetrics: Option<bool>) -> MediaType {
    let accept = bounded(accept).unwrap_or_default();
    let [wanted, protobuf, text] = [&OPEN_METRICS, &PROTOBUF, &TEXT].map(|offer| preference(accept, offer));
    let is_preferred = |wanted: Option<Preference>, to: Option<Preference>| {
        wanted.is_some_and(|wanted| wanted.quality > 0 && Some(wanted.rank()) > to.map(Preference::rank))
    };
    let preferred = || {
        if is_preferred(protobuf, text) && is_preferred(protobuf, wanted) {
            Format::Protobuf
        } else if is_preferred(wanted, text) {
            Format::OpenMetrics
        } else {
            Format::Prometheus
        }
    };
    let format = match openmetrics {
        Some(true) => Format::OpenMetrics,
        Some(false) => Format::Prometheus,
        None => preferred(),
    };
    let named = match format {
        Format::OpenMetrics => wanted,
        Format::Protobuf => protobuf,
        Format::Prometheus => None,
    };
    MediaType { format, escaping: named.and_then(|range| range.escaping) }
}

/// What the most exact range says of an offer; of equally exact ones that with the highest quality.
fn preference(accept: &str, offer: &Offer) -> Option<Preference> {
    let ranges = elements(accept).zip((0..=usize::MAX).rev()).filter_map(|(range, precedence)| {
        let exactness = exactness(&range, offer)?;
        Some(Preference { exactness, quality: range.quality, precedence, escaping: Escaping::of(&range) })
    });
    let decisive = ranges.max_by_key(|range| (range.exactness, range.quality, range.precedence))?;
    // Anything is accepted by everybody who sends no better; it asks for nothing in particular.
    let is_asked_for = decisive.exactness > Exactness::Anything || offer.kind == TEXT.kind;
    is_asked_for.then_some(decisive)
}

fn exactness(range: &Element<'_>, offer: &Offer) -> Option<Exactness> {
    let (kind, subtype) = range.name.split_once('/')?;
    let version = range.parameter("version").filter(|_| offer.version.is_some());
    // A range with parameters is of what has these parameters.
    if version.is_some_and(|version| offer.version.is_some_and(|offered| !version.is(offered))) {
        return None;
    }
    let says = |(name, value): &(&str, &str)| range.parameter(name).is_some_and(|parameter| parameter.is(value));
    if !offer.required.iter().all(says) {
        return None;
    }
    if range.parameter("charset").is_some_and(|charset| !charset.is("utf-8") && !charset.is("utf8")) {
        return None;
    }
    match (kind, subtype) {
        _ if kind.eq_ignore_ascii_case(offer.kind) && subtype.eq_ignore_ascii_case(offer.subtype) => {
            Some(if version.is_some() { Exactness::Version } else { Exactness::Named })
        }
        // Who must be named with parameters is meant by nothing less.
        _ if !offer.required.is_empty() => None,
        ("*", "*") => Some(Exactness::Anything),
        (_, "*") if kind.eq_ignore_ascii_case(offer.kind) => Some(Exactness::Kind),
        _ => None,
    }
}

/// How the body is coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// As it is.
    Identity,
    /// Compressed, by the platform. It has gzip and Brotli; every scraper asks for gzip. zstd would be our own code and
    /// CPU time in the Worker.
    Gzip,
}

/// The coding that `Accept-Encoding` prefers. No header asks for none.
pub fn coding(accept_encoding: Option<&str>) -> Coding {
    let (mut gzip, mut identity, mut others) = (None, None, None);
    for element in elements(bounded(accept_encoding).unwrap_or_default()) {
        let place = if element.name.eq_ignore_ascii_case("gzip") || element.name.eq_ignore_ascii_case("x-gzip") {
            &mut gzip
        } else if element.name.eq_ignore_ascii_case("identity") {
            &mut identity
        } else if element.name == "*" {
            &mut others
        } else {
            continue;
        };
        *place = (*place).max(Some(element.quality));
    }
    // Not to be named is not to be wanted for gzip, and to be the last resort for the body as it is.
    match (gzip.or(others), identity.or(others)) {
        (Some(0), _) => Coding::Identity,
        (Some(gzip), identity) if gzip >= identity.unwrap_or(0) => Coding::Gzip,
        // The body as it is was refused, and nothing was said of gzip.
        (None, Some(0)) => Coding::Gzip,
        _ => Coding::Identity,
    }
}

#[cfg(test)]
#[path = "negotiate_tests.rs"]
mod tests;
