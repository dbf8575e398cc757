//! An encoded state, read family by family: of what 100,000 series come to as messages only those of one are in memory at a
//! time, and who only writes them on needs no more than one family either.

use std::{collections::BTreeMap, ops::Range};

use tributary_proto::{
    Message as _, v1,
    wire::{Cursor, Field, Malformed},
};

use super::{DecodeError, FIRST_SCHEMA, SNAPSHOT_SCHEMA, kind_of_wire, read_labels, read_value, schema_of};
use crate::{FamilyDescriptor, LabelSet, MetricFamily, MetricKind, Series, Snapshot, family::clashes};

impl From<Malformed> for DecodeError {
    fn from(error: Malformed) -> Self {
        Self::Protobuf(error.to_string())
    }
}

/// Where the families of an encoded state are. The bytes are handed in with every call, and have to be the same.
#[derive(Clone, Debug)]
pub struct Families {
    schema: u32,
    version: u64,
    start_time_ms: u64,
    last_applied_ms: u64,
    /// What is left, the next one last.
    places: Vec<Range<usize>>,
    kinds: BTreeMap<String, MetricKind>,
    last_name: String,
}

impl Families {
    /// Finds them. What is in them is read by [`Families::next`].
    ///
    /// # Errors
    /// [`DecodeError::Protobuf`], [`DecodeError::Schema`] and [`DecodeError::Missing`].
    pub fn of(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut numbers = [0_u64; 5];
        let mut places = Vec::new();
        let mut has_metrics = false;
        let mut state = Cursor::new(bytes);
        while let Some((number, field)) = state.field()? {
            match (number, field) {
                (1..=4, Field::Varint(value)) => {
                    if let Some(place) = usize::try_from(number).ok().and_then(|number| numbers.get_mut(number)) {
                        *place = value;
                    }
                }
                (5, Field::Bytes(set)) => {
                    has_metrics = true;
                    let begin = bytes.len().saturating_sub(state.len()).saturating_sub(set.len());
                    let mut families = Cursor::new(set);
                    while let Some((number, field)) = families.field()? {
                        match (number, field) {
                            (1, Field::Bytes(family)) => {
                                let end = begin.saturating_add(set.len()).saturating_sub(families.len());
                                places.push(end.saturating_sub(family.len())..end);
                            }
                            (1, _) => return Err(Malformed::Type.into()),
                            _ => {}
                        }
                    }
                }
                (1..=5, _) => return Err(Malformed::Type.into()),
                _ => {}
            }
        }
        let [_, schema, version, start_time_ms, last_applied_ms] = numbers;
        let schema = u32::try_from(schema).map_err(|_| Malformed::Number)?;
        if !(FIRST_SCHEMA..=SNAPSHOT_SCHEMA).contains(&schema) {
            return Err(DecodeError::Schema { schema });
        }
        if !has_metrics {
            return Err(DecodeError::Missing { part: "metrics" });
        }
        places.reverse();
        let (kinds, last_name) = (BTreeMap::new(), String::new());
        Ok(Self { schema, version, start_time_ms, last_applied_ms, places, kinds, last_name })
    }

    /// A state without series, but else as it is encoded.
    fn head(&self) -> Snapshot {
        let mut state = Snapshot::new(self.start_time_ms);
        (state.version, state.last_applied_ms) = (self.version, self.last_applied_ms);
        state
    }

    /// Reads the next family; `None` where that was the last. After an error there is nothing more to be asked.
    ///
    /// # Errors
    /// Every [`DecodeError`].
    pub fn next(&mut self, bytes: &[u8]) -> Result<Option<MetricFamily>, DecodeError> {
        let Some(place) = self.places.pop() else { return Ok(None) };
        let family = bytes.get(place).ok_or(Malformed::CutOff)?;
        let (descriptor, series) = head_of(family)?;
        let name = descriptor.name();
        if !self.kinds.is_empty() && *self.last_name >= *name {
            return Err(DecodeError::Order { what: "families" });
        }
        if clashes(&descriptor, |name: &str| self.kinds.get(name).copied()) {
            return Err(DecodeError::NameClash { family: name.to_owned() });
        }
        if series == 0 {
            return Err(DecodeError::NoSeries);
        }
        name.clone_into(&mut self.last_name);
        self.kinds.insert(name.to_owned(), descriptor.kind());
        // No more than the bytes can hold, whatever they say: a series takes two at least.
        let mut read: Vec<(LabelSet, Series)> = Vec::with_capacity(series);
        let mut fields = Cursor::new(family);
        while let Some((number, field)) = fields.field()? {
            let (5, Field::Bytes(message)) = (number, field) else { continue };
            let (labels, series) = self.read_series(message, descriptor.kind())?;
            if read.last().is_some_and(|(last, _)| *last >= labels) {
                return Err(DecodeError::Order { what: "series" });
            }
            read.push((labels, series));
        }
        Ok(Some(MetricFamily::of_ordered(descriptor, read)))
    }

    fn read_series(&self, message: &[u8], kind: MetricKind) -> Result<(LabelSet, Series), DecodeError> {
        let message = v1::Series::decode(message).map_err(|error| DecodeError::Protobuf(error.to_string()))?;
        let v1::Series { labels, start_time_ms, value } = message;
        let labels = read_labels(labels)?;
        let value = read_value(value.ok_or(DecodeError::Missing { part: "value" })?)?;
        if value.kind() != kind {
            return Err(DecodeError::ValueKind);
        }
        if start_time_ms < self.start_time_ms {
            return Err(DecodeError::StartTime);
        }
        if schema_of(&value) > self.schema {
            return Err(DecodeError::Schema { schema: self.schema });
        }
        Ok((labels, Series { start_time_ms, value }))
    }
}

/// What a family says of itself, and how many series it has.
fn head_of(family: &[u8]) -> Result<(FamilyDescriptor, usize), DecodeError> {
    let (mut texts, mut kind, mut series) = ([""; 4], 0, 0_usize);
    let mut fields = Cursor::new(family);
    while let Some((number, field)) = fields.field()? {
        match (number, field) {
            (1..=3, Field::Bytes(text)) => {
                let text = std::str::from_utf8(text).map_err(|_| Malformed::Utf8)?;
                if let Some(place) = usize::try_from(number).ok().and_then(|number| texts.get_mut(number)) {
                    *place = text;
                }
            }
            // As protobuf reads an enum: the low 32 bits of it.
            (4, Field::Varint(value)) => kind = (value & 0xffff_ffff) as i32,
            (5, Field::Bytes(_)) => series = series.saturating_add(1),
            (1..=5, _) => return Err(Malformed::Type.into()),
            _ => {}
        }
    }
    let [_, name, help, unit] = texts.map(str::to_owned);
    Ok((FamilyDescriptor::new(name, help, unit, kind_of_wire(kind)?)?, series))
}

impl Snapshot {
    /// Reads bytes that came from outside.
    ///
    /// # Errors
    /// Every [`DecodeError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut families = Families::of(bytes)?;
        let mut state = families.head();
        while let Some(family) = families.next(bytes)? {
            state.families.insert(family.descriptor().key(), family.into());
        }
        Ok(state)
    }
}
