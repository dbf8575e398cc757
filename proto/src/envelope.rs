//! The codec of a queue message.
//!
//! A message is one of two things:
//!
//! - **bytes**: a [`v1::Envelope`] in protobuf, at most [`MAX_ENVELOPE_BYTES`];
//! - **text**: a `WriteFlagLogsRequest` in protobuf's JSON mapping, as today's Confidence Cloudflare resolver sends it.
//!   It has no stream and no sequence.
//!
//! Writer and reader hold the same rules: [`Envelope::encode`] refuses what [`Envelope::decode`] would refuse.

use std::collections::BTreeMap;

use prost::Message as _;

#[cfg(feature = "confidence")]
use crate::{
    flag_log_bytes::{FlagLogs, KnownInfos, Packed, pack, unpack_into},
    flag_logs::WriteFlagLogsRequest,
    wire::Malformed,
};
use crate::{
    v1,
    wire::{Cursor, Field},
};

/// The most bytes that an envelope may have.
///
/// Queues takes 128,000 bytes with about 100 bytes of metadata (Cloudflare docs, Queues › Platform › Limits); the rest
/// is room for fields that a newer producer adds.
pub const MAX_ENVELOPE_BYTES: usize = 120_000;

/// The most bytes that a queue message of any kind may have: Queues' own limit.
pub const MAX_MESSAGE_BYTES: usize = 128_000;

/// The format of a message that every reader takes.
pub const FORMAT: u32 = 1;

/// The format of a message with metrics, or with recordings that were dropped: a reader of [`FORMAT`] alone would pass
/// over them in silence.
pub const FORMAT_METRICS: u32 = 2;

/// The format of a message whose assignments are packed.
pub const FORMAT_PACKED: u32 = 3;

/// The format of a message with OpenTelemetry's metrics.
pub const FORMAT_OTLP: u32 = 4;

/// The format of a message whose stream belongs to one of several ledgers. The highest that this crate reads.
pub const FORMAT_LEDGERS: u32 = 5;

/// The most ledgers of an installation, and the most queues that carry its deltas. One queue takes 5,000 messages a second
/// (Cloudflare docs, Queues › Platform › Limits), so these take 80,000.
pub const MAX_LEDGERS: u32 = 16;

/// The most bytes of a `resolver_id`.
pub const MAX_RESOLVER_ID_BYTES: usize = 128;

/// Name of the dimension that says which Cloudflare data centre the isolate runs in.
pub const COLO: &str = "colo";

/// Name of the dimension that says which environment the producer is deployed to.
pub const ENVIRONMENT: &str = "environment";

/// The most bytes of a dimension's value that producers send and consumers take.
pub const MAX_DIMENSION_BYTES: usize = 64;

/// The run of deltas of one isolate: 16 random bytes, drawn once per isolate.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId(pub [u8; 16]);

impl StreamId {
    /// The share of the stream among `count` ledgers, or queues: 0 to `count` - 1, and 0 where there are none. The same
    /// for ever: what is remembered of a stream is in the ledger with this number.
    ///
    /// An id is random bytes, so this is a hash as it stands. The bias of the modulo is below 2^-60.
    #[must_use]
    pub fn share(&self, count: u32) -> u32 {
        let head = u64::from_be_bytes(self.0.first_chunk().copied().unwrap_or_default());
        head.checked_rem(count.into()).and_then(|share| u32::try_from(share).ok()).unwrap_or(0)
    }
}

impl StreamId {
    /// Reads a stream id from bytes that came from outside.
    ///
    /// # Errors
    /// [`EnvelopeError::StreamId`] unless there are exactly 16 bytes.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, EnvelopeError> {
        bytes.try_into().map(Self).map_err(|_| EnvelopeError::StreamId { bytes: bytes.len() })
    }
}

impl std::fmt::Debug for StreamId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

impl std::fmt::Display for StreamId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().unwrap_or_default();
        let mut text = [0; 32];
        for (pair, byte) in text.chunks_exact_mut(2).zip(self.0) {
            pair.copy_from_slice(&[digit(byte >> 4), digit(byte & 0x0f)]);
        }
        f.write_str(std::str::from_utf8(&text).map_err(|_| std::fmt::Error)?)
    }
}

/// One delta record of one stream, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Envelope {
    /// The stream that the record belongs to.
    pub stream_id: StreamId,
    /// How many ledgers the stream's producer knew when the stream began, 1 to [`MAX_LEDGERS`]: see [`Envelope::ledger`].
    pub ledgers: u32,
    /// Its number in the stream, from 1.
    pub sequence: u64,
    /// Start of the time that the delta covers, in milliseconds since the epoch.
    pub window_start_ms: u64,
    /// End of that time, in milliseconds since the epoch; never before the start.
    pub window_end_ms: u64,
    /// The `resolver_id` label; not empty, at most [`MAX_RESOLVER_ID_BYTES`].
    pub resolver_id: String,
    /// What else is the same for all of the isolate, by name, such as [`COLO`]; nothing here is checked.
    pub dimensions: BTreeMap<String, String>,
    /// An encoded `WriteFlagLogsRequest`; [`Envelope::flag_logs`] decodes it.
    pub flag_logs: Vec<u8>,
    /// An encoded `MetricSet`; [`Envelope::metrics`] decodes it. Its rules are those of the metric model.
    pub metrics: Vec<u8>,
    /// One encoded `opentelemetry.proto.metrics.v1.ResourceMetrics` with delta temporality; empty: none. Nothing here is
    /// checked: its rules are those of the metric model.
    pub resource_metrics: Vec<u8>,
    /// What the stream dropped before this record.
    pub dropped: Vec<v1::Dropped>,
}

/// Why bytes are no envelope, or an envelope has no bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EnvelopeError {
    /// Over the size of a message.
    #[error("{bytes} bytes, the most is {limit}")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// What is allowed.
        limit: usize,
    },
    /// Not protobuf.
    #[error("not an envelope: {0}")]
    Protobuf(String),
    /// From a newer producer, or not an envelope.
    #[error("format {0}, this reader knows {FORMAT} to {FORMAT_LEDGERS}")]
    Format(u32),
    /// It holds what older readers would pass over, and is of their format.
    #[error("a message of format {format} with what takes {needed}")]
    FormatTooLow {
        /// The format that it says.
        format: u32,
        /// The lowest that it takes.
        needed: u32,
    },
    /// A stream id that is not 16 bytes.
    #[error("a stream id of {bytes} bytes instead of 16")]
    StreamId {
        /// Its length.
        bytes: usize,
    },
    /// No installation has so many ledgers.
    #[error("{0} ledgers, 1 to {MAX_LEDGERS} are taken")]
    Ledgers(u32),
    /// Sequences start at 1.
    #[error("sequence 0")]
    Sequence,
    /// A window that ends before it starts.
    #[error("a window from {start_ms} to {end_ms}")]
    Window {
        /// Its start.
        start_ms: u64,
        /// Its end.
        end_ms: u64,
    },
    /// A `resolver_id` that is empty or too long.
    #[error("a resolver_id of {bytes} bytes")]
    ResolverId {
        /// Its length.
        bytes: usize,
    },
    /// The flag logs inside are no `WriteFlagLogsRequest`.
    #[error("flag logs: {0}")]
    FlagLogs(String),
    /// The metrics inside are no `MetricSet`.
    #[error("metrics: {0}")]
    Metrics(String),
}

impl EnvelopeError {
    /// The reason in one word, for a label.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "oversize",
            Self::Protobuf(_) => "protobuf",
            Self::Format(_) | Self::FormatTooLow { .. } => "format",
            Self::StreamId { .. }
            | Self::Ledgers(_)
            | Self::Sequence
            | Self::Window { .. }
            | Self::ResolverId { .. } => "invalid",
            Self::FlagLogs(_) => "flag_logs",
            Self::Metrics(_) => "metrics",
        }
    }
}

impl Envelope {
    /// Encodes the record as the bytes of a queue message.
    ///
    /// # Errors
    /// Whatever [`Envelope::decode`] would refuse.
    pub fn encode(&self) -> Result<Vec<u8>, EnvelopeError> {
        self.check()?;
        let (flag_logs, assignments) = self.packed();
        let message = v1::Envelope {
            format: self.format(!assignments.is_empty()),
            stream_id: self.stream_id.0.to_vec(),
            sequence: self.sequence,
            window_start_ms: self.window_start_ms,
            window_end_ms: self.window_end_ms,
            producer: Some(v1::Producer { resolver_id: self.resolver_id.clone(), dimensions: self.dimensions.clone() }),
            flag_logs,
            dropped: self.dropped.clone(),
            resource_metrics: self.resource_metrics.clone(),
            metrics: self.metrics.clone(),
            assignments,
            ledgers: if self.ledgers == 1 { 0 } else { self.ledgers },
        };
        within(message.encoded_len(), MAX_ENVELOPE_BYTES)?;
        Ok(message.encode_to_vec())
    }

    /// Decodes the bytes of a queue message.
    ///
    /// # Errors
    /// [`EnvelopeError`], one variant per rule. `Metrics` is not among them, and `FlagLogs` only for assignments that do not
    /// unpack: the bytes inside are decoded by [`Envelope::flag_logs`] and [`Envelope::metrics`].
    pub fn decode(bytes: &[u8]) -> Result<Self, EnvelopeError> {
        let mut kept = None;
        let mut fields = Fields::read(bytes, &mut kept)?;
        Self { flag_logs: fields.flag_logs.to_vec(), ..fields.envelope()? }.unpack(fields.assignments)
    }

    /// Decodes the bytes of a queue message with its flag logs, which are checked and taken apart but not decoded. The
    /// envelope's own are empty then.
    ///
    /// # Errors
    /// [`EnvelopeError`], one variant per rule; `Metrics` is not among them.
    #[cfg(feature = "confidence")]
    pub fn read(bytes: &[u8]) -> Result<(Self, FlagLogs), EnvelopeError> {
        Self::read_among(bytes, &mut KnownInfos::default())
    }

    /// As [`Envelope::read`], for one of many messages that say much the same: their infos are checked once for all.
    ///
    /// # Errors
    /// As for [`Envelope::read`].
    #[cfg(feature = "confidence")]
    pub fn read_among(bytes: &[u8], known: &mut KnownInfos) -> Result<(Self, FlagLogs), EnvelopeError> {
        let mut kept = None;
        let mut fields = Fields::read(bytes, &mut kept)?;
        let envelope = fields.envelope()?;
        let packed = (!fields.assignments.is_empty()).then_some(fields.assignments);
        let logs = FlagLogs::read_parts(fields.flag_logs, packed, known).map_err(flag_logs_error)?;
        Ok((envelope, logs))
    }

    /// Flag logs and assignments as they are written: packed where that saves something.
    #[cfg(feature = "confidence")]
    fn packed(&self) -> (Vec<u8>, Vec<u8>) {
        match pack(&self.flag_logs) {
            Some(Packed { flag_logs, assignments }) => (flag_logs, assignments),
            None => (self.flag_logs.clone(), Vec::new()),
        }
    }

    #[cfg(not(feature = "confidence"))]
    fn packed(&self) -> (Vec<u8>, Vec<u8>) {
        (self.flag_logs.clone(), Vec::new())
    }

    #[cfg(feature = "confidence")]
    fn unpack(mut self, assignments: &[u8]) -> Result<Self, EnvelopeError> {
        if !assignments.is_empty() {
            unpack_into(&mut self.flag_logs, assignments).map_err(flag_logs_error)?;
        }
        Ok(self)
    }

    #[cfg(not(feature = "confidence"))]
    fn unpack(self, assignments: &[u8]) -> Result<Self, EnvelopeError> {
        if assignments.is_empty() { Ok(self) } else { Err(EnvelopeError::Format(FORMAT_PACKED)) }
    }

    /// Number of the ledger that the stream belongs to, from 0.
    #[must_use]
    pub fn ledger(&self) -> u32 {
        self.stream_id.share(self.ledgers)
    }

    /// Decodes the flag logs inside.
    ///
    /// # Errors
    /// [`EnvelopeError::FlagLogs`].
    #[cfg(feature = "confidence")]
    pub fn flag_logs(&self) -> Result<WriteFlagLogsRequest, EnvelopeError> {
        WriteFlagLogsRequest::decode(self.flag_logs.as_slice())
            .map_err(|error| EnvelopeError::FlagLogs(error.to_string()))
    }

    /// Decodes the metrics inside; a set of no families where there are none.
    ///
    /// # Errors
    /// [`EnvelopeError::Metrics`].
    pub fn metrics(&self) -> Result<v1::MetricSet, EnvelopeError> {
        v1::MetricSet::decode(self.metrics.as_slice()).map_err(|error| EnvelopeError::Metrics(error.to_string()))
    }

    /// The lowest format whose readers pass over nothing that is in it.
    fn format(&self, is_packed: bool) -> u32 {
        let has_recordings = self.dropped.iter().any(|dropped| dropped.recordings > 0);
        if self.ledgers != 1 {
            FORMAT_LEDGERS
        } else if !self.resource_metrics.is_empty() {
            FORMAT_OTLP
        } else if is_packed {
            FORMAT_PACKED
        } else if self.metrics.is_empty() && !has_recordings {
            FORMAT
        } else {
            FORMAT_METRICS
        }
    }

    fn check(&self) -> Result<(), EnvelopeError> {
        if !(1..=MAX_LEDGERS).contains(&self.ledgers) {
            return Err(EnvelopeError::Ledgers(self.ledgers));
        }
        if self.sequence == 0 {
            return Err(EnvelopeError::Sequence);
        }
        if self.window_end_ms < self.window_start_ms {
            return Err(EnvelopeError::Window { start_ms: self.window_start_ms, end_ms: self.window_end_ms });
        }
        if self.resolver_id.is_empty() || self.resolver_id.len() > MAX_RESOLVER_ID_BYTES {
            return Err(EnvelopeError::ResolverId { bytes: self.resolver_id.len() });
        }
        Ok(())
    }
}

/// The fields of an encoded envelope, where they stand.
struct Fields<'a> {
    format: u32,
    stream_id: &'a [u8],
    sequence: u64,
    window_start_ms: u64,
    window_end_ms: u64,
    producer: v1::Producer,
    flag_logs: &'a [u8],
    dropped: Vec<v1::Dropped>,
    resource_metrics: &'a [u8],
    metrics: &'a [u8],
    assignments: &'a [u8],
    ledgers: u32,
}

impl<'a> Fields<'a> {
    /// Finds them; where they do not stand as our own writers write them, in what `kept` keeps decoded.
    fn read(bytes: &'a [u8], kept: &'a mut Option<v1::Envelope>) -> Result<Self, EnvelopeError> {
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
    fn envelope(&mut self) -> Result<Envelope, EnvelopeError> {
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

/// Decodes a message of today's Confidence Cloudflare resolver: one `WriteFlagLogsRequest` in protobuf's JSON mapping.
///
/// # Errors
/// [`EnvelopeError::TooLarge`] and [`EnvelopeError::FlagLogs`].
#[cfg(feature = "confidence")]
pub fn decode_legacy(text: &str) -> Result<WriteFlagLogsRequest, EnvelopeError> {
    within(text.len(), MAX_MESSAGE_BYTES)?;
    // Not the parser's own words: they quote what it did not expect, which is a user's data.
    serde_json::from_str(text).map_err(|error| {
        let what = match error.classify() {
            serde_json::error::Category::Syntax => "no JSON",
            serde_json::error::Category::Eof => "cut off",
            _ => "not the JSON of flag logs",
        };
        EnvelopeError::FlagLogs(format!("{what}, at line {} column {}", error.line(), error.column()))
    })
}

#[cfg(feature = "confidence")]
fn flag_logs_error(error: Malformed) -> EnvelopeError {
    EnvelopeError::FlagLogs(error.to_string())
}

fn within(bytes: usize, limit: usize) -> Result<(), EnvelopeError> {
    if bytes > limit { Err(EnvelopeError::TooLarge { bytes, limit }) } else { Ok(()) }
}
