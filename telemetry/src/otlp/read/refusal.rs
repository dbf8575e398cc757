//! Why points are refused.

/// Why a data point, or all of a metric, is refused. The rest of its message is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PointRefusal {
    /// Nothing of the metric's name can stand in a name of Prometheus, or it is too long.
    Name,
    /// A total since some start. Deltas are what adds up over isolates; the exporter has to be told so.
    Cumulative,
    /// A sum or histogram that does not say whether it is a delta.
    Temporality,
    /// A summary: quantiles do not add up.
    Summary,
    /// A metric without data, or of a type that is not known.
    Type,
    /// No value, or the flag that says so.
    NoValue,
    /// A value or sum that is not a number, or infinite where that cannot be added to.
    NotFinite,
    /// Less than nothing in a monotonic sum, or a sum below zero under bounds that are not.
    Negative,
    /// Buckets and counts that do not add up, or bounds that do not increase.
    Inconsistent,
    /// Labels that no series can have: too many, or too long.
    Labels,
    /// It contradicts what its message says before: another type, other bounds.
    Conflict,
    /// Its series would pass 64 bits.
    Range,
    /// Past the bounds of a message.
    Limit,
}

impl PointRefusal {
    /// Every refusal.
    pub const ALL: [Self; 13] = [
        Self::Name,
        Self::Cumulative,
        Self::Temporality,
        Self::Summary,
        Self::Type,
        Self::NoValue,
        Self::NotFinite,
        Self::Negative,
        Self::Inconsistent,
        Self::Labels,
        Self::Conflict,
        Self::Range,
        Self::Limit,
    ];

    /// The value of a `reason` label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Cumulative => "cumulative",
            Self::Temporality => "temporality",
            Self::Summary => "summary",
            Self::Type => "type",
            Self::NoValue => "no_value",
            Self::NotFinite => "not_finite",
            Self::Negative => "negative",
            Self::Inconsistent => "inconsistent",
            Self::Labels => "labels",
            Self::Conflict => "conflict",
            Self::Range => "range",
            Self::Limit => "limit",
        }
    }
}
