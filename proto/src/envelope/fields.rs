//! An encoded envelope, taken apart: as our own writers write it without a copy, and any other decoded.

use prost::Message as _;

use super::{Envelope, EnvelopeError, FORMAT, FORMAT_LEDGERS, MAX_MESSAGE_BYTES, StreamId, within};
use crate::{
    v1,
    wire::{Cursor, Field},
};

/// The fields of an encoded envelope, where they stand.
pub(super) struct Fields<'a> {
    format: u32,
    stream_id: &'a [u8],
    sequence: u64,
    window_start_ms: u64,
    window_end_ms: u64,
    producer: v1::Producer,
    pub(super) flag_logs: &'a [u8],
    dropped: Vec<v1::Dropped>,
    resource_metrics: &'a [u8],
    metrics: &'a [u8],
    pub(super) assignments: &'a [u8],
    ledgers: u32,
}

impl<'a> Fields<'a> {
    /// Finds them; where they do not stand as our own writers write them, in what `kept` keeps decoded.
    pub(super) fn read(bytes: &'a [u8], kept: &'a mut Option<v1::Envelope>) -> Result<Self, EnvelopeError> {
        within(bytes.len(), MAX_MESSAGE_BYTES)?;
        if let Some(fields) = Self::in_place(bytes) {
            return Ok(fields);
        }
        let decoded = v1::Envelope::decode(bytes).map_err(|error| EnvelopeError::Protobuf(error.to_string()))?;
        let message = kept.insert(decoded);
        Ok(Self {
            format: message.format,
            stream_id: &message.stream_id,
            sequence: message.sequence,
            window_start_ms: message.window_start_ms,
            window_end_ms: message.window_end_ms,
            producer: message.producer.take().unwrap_or_default(),
            flag_logs: &message.flag_logs,
            dropped: std::mem::take(&mut message.dropped),
            resource_metrics: &message.resource_metrics,
            metrics: &message.metrics,
            assignments: &message.assignments,
            ledgers: message.ledgers,
        })
    }

    /// Every field at most once, in the order of numbers, and none that is not known; `None` for anything else.
    fn in_place(bytes: &'a [u8]) -> Option<Self> {
        let mut fields = Self {
            format: 0,
            stream_id: &[],
            sequence: 0,
            window_start_ms: 0,
            window_end_ms: 0,
            producer: v1::Producer::default(),
            flag_logs: &[],
            dropped: Vec::new(),
            resource_metrics: &[],
            metrics: &[],
            assignments: &[],
            ledgers: 0,
        };
        let mut cursor = Cursor::new(bytes);
        let mut last = 0;
        while let Some((number, field)) = cursor.field().ok()? {
            if number < last || (number == last && number != 8) {
                return None;
            }
            last = number;
            match (number, field) {
                (1, Field::Varint(format)) => fields.format = u32::try_from(format).ok()?,
                (2, Field::Bytes(stream_id)) => fields.stream_id = stream_id,
                (3, Field::Varint(sequence)) => fields.sequence = sequence,
                (4, Field::Varint(start_ms)) => fields.window_start_ms = start_ms,
                (5, Field::Varint(end_ms)) => fields.window_end_ms = end_ms,
                (6, Field::Bytes(producer)) => fields.producer = read_producer(producer)?,
                (7, Field::Bytes(flag_logs)) => fields.flag_logs = flag_logs,
                (8, Field::Bytes(dropped)) => fields.dropped.push(v1::Dropped::decode(dropped).ok()?),
                (9, Field::Bytes(resource_metrics)) => fields.resource_metrics = resource_metrics,
                (10, Field::Bytes(metrics)) => fields.metrics = metrics,
                (11, Field::Bytes(assignments)) => fields.assignments = assignments,
                (12, Field::Varint(ledgers)) => fields.ledgers = u32::try_from(ledgers).ok()?,
                _ => return None,
            }
        }
        Some(fields)
    }

    /// The envelope without its flag logs. What it owns moves into it.
    pub(super) fn envelope(&mut self) -> Result<Envelope, EnvelopeError> {
        if !(FORMAT..=FORMAT_LEDGERS).contains(&self.format) {
            return Err(EnvelopeError::Format(self.format));
        }
        let envelope = Envelope {
            stream_id: StreamId::from_slice(self.stream_id)?,
            ledgers: self.ledgers.max(1),
            sequence: self.sequence,
            window_start_ms: self.window_start_ms,
            window_end_ms: self.window_end_ms,
            resolver_id: std::mem::take(&mut self.producer.resolver_id),
            dimensions: std::mem::take(&mut self.producer.dimensions),
            flag_logs: Vec::new(),
            metrics: self.metrics.to_vec(),
            resource_metrics: self.resource_metrics.to_vec(),
            dropped: std::mem::take(&mut self.dropped),
        };
        let needed = envelope.format(!self.assignments.is_empty());
        if self.format < needed {
            return Err(EnvelopeError::FormatTooLow { format: self.format, needed });
        }
        envelope.check()?;
        Ok(envelope)
    }
}

/// Most producers have a name and nothing else.
fn read_producer(bytes: &[u8]) -> Option<v1::Producer> {
    let mut cursor = Cursor::new(bytes);
    if let Ok(Some((1, Field::Bytes(name)))) = cursor.field()
        && cursor.is_empty()
    {
        let resolver_id = std::str::from_utf8(name).ok()?.to_owned();
        return Some(v1::Producer { resolver_id, ..v1::Producer::default() });
    }
    v1::Producer::decode(bytes).ok()
}
