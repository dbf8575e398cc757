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

use self::fields::Fields;
use crate::v1;
#[cfg(feature = "confidence")]
use crate::{
    flag_log_bytes::{FlagLogs, KnownInfos, Packed, pack, unpack_into},
    flag_logs::WriteFlagLogsRequest,
    wire::Malformed,
};

mod error;
mod fields;
mod stream_id;

pub use self::{error::EnvelopeError, stream_id::StreamId};

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
        let keep = |_: &Self, telemetry: &[u8]| telemetry.to_vec();
        let (envelope, logs, telemetry) = Self::read_among(bytes, &mut KnownInfos::default(), keep)?;
        Ok((envelope, FlagLogs { telemetry, ..logs }))
    }

    /// As [`Envelope::read`], for one of many messages that say much the same: their infos are checked once for all. Its
    /// telemetry is not copied: where there is any it is given to `read`, and what that makes of it is beside the flag logs.
    ///
    /// # Errors
    /// As for [`Envelope::read`].
    #[cfg(feature = "confidence")]
    pub fn read_among<T>(
        bytes: &[u8],
        known: &mut KnownInfos,
        read: impl FnOnce(&Self, &[u8]) -> T,
    ) -> Result<(Self, FlagLogs, Option<T>), EnvelopeError> {
        let mut kept = None;
        let mut fields = Fields::read(bytes, &mut kept)?;
        let envelope = fields.envelope()?;
        let packed = (!fields.assignments.is_empty()).then_some(fields.assignments);
        let (logs, telemetry) = FlagLogs::read_in_place(fields.flag_logs, packed, known).map_err(flag_logs_error)?;
        let telemetry = telemetry.map(|telemetry| read(&envelope, &telemetry));
        Ok((envelope, logs, telemetry))
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
