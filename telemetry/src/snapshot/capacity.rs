//! How much a state may hold.

use crate::limits::{
    MAX_CUSTOM_BYTES, MAX_CUSTOM_SERIES, MAX_FAMILY_BYTES, MAX_OVERFLOW_BYTES, MAX_OVERFLOW_SERIES, MAX_SERIES,
    MAX_SERIES_PER_FAMILY, MAX_SNAPSHOT_BYTES, parts,
};

/// What series take of the bounds, whatever their totals become.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Room {
    /// How many there are.
    pub series: usize,
    /// Bytes of them in an encoded state.
    pub bytes: usize,
    /// Bytes of them in a text without `_created`.
    pub text: usize,
    /// What their `_created` samples add to that.
    pub created: usize,
}

impl Room {
    /// Both together.
    pub(crate) const fn and(self, other: Self) -> Self {
        Self {
            series: self.series.saturating_add(other.series),
            bytes: self.bytes.saturating_add(other.bytes),
            text: self.text.saturating_add(other.text),
            created: self.created.saturating_add(other.created),
        }
    }

    /// What is left without `other`.
    pub(crate) const fn without(self, other: Self) -> Self {
        Self {
            series: self.series.saturating_sub(other.series),
            bytes: self.bytes.saturating_sub(other.bytes),
            text: self.text.saturating_sub(other.text),
            created: self.created.saturating_sub(other.created),
        }
    }
}

/// The bounds of one kind of series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    /// The most series.
    pub series: usize,
    /// The most bytes in an encoded state.
    pub bytes: usize,
    /// The most bytes in a text.
    pub text: usize,
}

impl Bound {
    const fn and(self, other: Self) -> Self {
        Self {
            series: self.series.saturating_add(other.series),
            bytes: self.bytes.saturating_add(other.bytes),
            text: self.text.saturating_add(other.text),
        }
    }
}

/// How much a [`Snapshot`](crate::Snapshot) may hold; not a part of what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// Of all series.
    pub all: Bound,
    /// Of the series of one family.
    pub family: Bound,
    /// Of the series of all custom families.
    pub custom: Bound,
    /// What the overflow series of these may take past that.
    pub overflow: Bound,
    /// Whether texts have `_created` samples, which then take of the bounds on text.
    pub has_created: bool,
}

impl Capacity {
    /// Of a state that is stored, or told of, as one value of a row. Its text is written by nobody.
    pub const IN_ONE_ROW: Self = Self {
        all: Bound { series: MAX_SERIES, bytes: MAX_SNAPSHOT_BYTES, text: usize::MAX },
        family: Bound { series: MAX_SERIES_PER_FAMILY, bytes: MAX_FAMILY_BYTES, text: usize::MAX },
        custom: Bound { series: MAX_CUSTOM_SERIES, bytes: MAX_CUSTOM_BYTES, text: usize::MAX },
        overflow: Bound { series: MAX_OVERFLOW_SERIES, bytes: MAX_OVERFLOW_BYTES, text: usize::MAX },
        has_created: false,
    };

    /// Of a state that is stored in many rows and published as one text.
    #[must_use]
    pub const fn in_parts(has_created: bool) -> Self {
        Self {
            all: Bound { series: parts::MAX_SERIES, bytes: parts::MAX_SNAPSHOT_BYTES, text: parts::MAX_TEXT_BYTES },
            family: Bound {
                series: parts::MAX_SERIES_PER_FAMILY,
                bytes: parts::MAX_FAMILY_BYTES,
                text: parts::MAX_FAMILY_TEXT_BYTES,
            },
            custom: Bound {
                series: parts::MAX_CUSTOM_SERIES,
                bytes: parts::MAX_CUSTOM_BYTES,
                text: parts::MAX_CUSTOM_TEXT_BYTES,
            },
            overflow: Bound {
                series: parts::MAX_OVERFLOW_SERIES,
                bytes: parts::MAX_OVERFLOW_BYTES,
                text: parts::MAX_OVERFLOW_TEXT_BYTES,
            },
            has_created,
        }
    }

    /// Says whether so much is within a bound of this.
    pub(super) const fn takes(&self, room: Room, bound: Bound) -> bool {
        let created = if self.has_created { room.created } else { 0 };
        room.series <= bound.series && room.bytes <= bound.bytes && room.text.saturating_add(created) <= bound.text
    }

    /// The bound on custom series with their overflow series.
    pub(super) const fn custom_with_overflow(&self) -> Bound {
        self.custom.and(self.overflow)
    }
}

impl Default for Capacity {
    fn default() -> Self {
        Self::IN_ONE_ROW
    }
}
