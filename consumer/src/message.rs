//! One queue message: from what the platform hands over to a checked record, or the reason why not.

use std::{collections::BTreeMap, sync::Arc};

use opentelemetry_proto::tonic::metrics::v1::ResourceMetrics;
use sha2::{Digest as _, Sha256};
use tributary_proto::{
    Message as _,
    envelope::{Envelope, EnvelopeError, StreamId, decode_legacy},
    flag_log_bytes::{FlagLogs, KnownInfos},
    flag_logs::Sdk,
    v1,
};
use tributary_telemetry::{
    confidence::{ReadReport, ReportedIdentity, TelemetryReport, read_report},
    custom::{self, CustomError, CustomMetrics},
    otlp::read::{self as otlp, OtlpMetrics},
};

use crate::{
    backend::flag_logs::SenderIdentity,
    ledger::{
        commit::{Record, StreamKind},
        shards::MAIN,
    },
    limits::MAX_SEQUENCE,
};

/// A message as the queue delivers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueMessage {
    /// The queue's own id, the same on every delivery of the message.
    pub id: String,
    /// When it was sent, in milliseconds since the epoch.
    pub sent_ms: u64,
    /// How often it was delivered, this time included; from 1.
    pub attempts: u32,
    /// Its content.
    pub body: MessageBody,
}

/// Content of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MessageBody {
    /// `contentType: "bytes"`.
    Bytes(Vec<u8>),
    /// A string.
    Text(String),
    /// Any other JSON value, as its text; no sender of ours or of Confidence sends that.
    Json(String),
    /// Anything else.
    Other,
}

/// What a message says.
#[derive(Clone, Debug)]
pub struct Decoded {
    /// What the Ledger remembers it by.
    pub record: Record,
    /// Number of the ledger that remembers its stream: 0 for senders that know one, and for those without streams.
    pub ledger: u32,
    /// Start of its window, in milliseconds since the epoch.
    pub window_start_ms: u64,
    /// The `resolver_id` label.
    pub resolver_id: String,
    /// What else its producer says of itself, by name: see [`crate::dimensions`]. Nothing here is checked.
    pub dimensions: BTreeMap<String, String>,
    /// Its flag logs, without telemetry.
    pub logs: FlagLogs,
    /// Its telemetry.
    pub telemetry: Telemetry,
    /// Its custom metrics.
    pub metrics: CustomMetrics,
    /// Those that it has in OpenTelemetry's form.
    pub otlp: OtlpMetrics,
    /// What its stream dropped before it.
    pub dropped: Vec<v1::Dropped>,
}

/// The telemetry of a message.
#[derive(Clone, Debug)]
pub enum Telemetry {
    /// Read.
    Read {
        /// Who sent it.
        identity: Arc<SenderIdentity>,
        /// What it says.
        report: TelemetryReport,
        /// Latency observations that came in another bucket layout.
        rebucketed: u64,
    },
    /// It contradicts itself. The flag logs of the message are good and go on; its metrics are refused and counted.
    Refused(String),
    /// None.
    Absent,
}

/// Why a message says nothing that can be used. It never becomes a part of its batch.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum MalformedMessage {
    /// Neither bytes nor text.
    #[error("the body is neither bytes nor text")]
    BodyType,
    /// Not an envelope, or not flag logs.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    /// Custom metrics that break a rule of theirs.
    #[error("metrics: {0}")]
    Metrics(#[from] CustomError),
    /// Metrics of OpenTelemetry that are no `ResourceMetrics`.
    #[error("resource_metrics: {0}")]
    ResourceMetrics(String),
    /// A sequence that cannot be stored exactly.
    #[error("sequence {0} is out of range")]
    Sequence(u64),
}

impl MalformedMessage {
    /// The value of a `reason` label.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::BodyType => "body_type",
            Self::Envelope(error) => error.reason(),
            Self::Metrics(_) => "metrics",
            Self::ResourceMetrics(_) => "resource_metrics",
            Self::Sequence(_) => "invalid",
        }
    }
}

/// Reads a message. `resolver_id` labels messages that do not name their producer, which is what today's Confidence
/// Cloudflare resolver sends.
///
/// # Errors
/// [`MalformedMessage`]
pub fn decode(message: &QueueMessage, resolver_id: &str) -> Result<Decoded, MalformedMessage> {
    decode_among(message, resolver_id, &mut Known::default())
}

/// What the messages of a batch say again and again, each once.
#[derive(Debug, Default)]
pub struct Known {
    infos: KnownInfos,
    senders: Senders,
    /// Of the last producer.
    resolver_id: Option<Arc<str>>,
}

/// The last sender.
#[derive(Debug, Default)]
struct Senders(Option<KnownSender>);

/// A sender as it was encoded, and what that says.
#[derive(Debug)]
struct KnownSender {
    sdk: Option<Vec<u8>>,
    resolver_version: Vec<u8>,
    identity: Arc<SenderIdentity>,
}

impl Senders {
    fn identity(&mut self, said: ReportedIdentity<'_>) -> Result<Arc<SenderIdentity>, MalformedMessage> {
        if let Some(known) = &self.0
            && known.sdk.as_deref() == said.sdk
            && known.resolver_version == said.resolver_version
        {
            return Ok(Arc::clone(&known.identity));
        }
        let ReportedIdentity { sdk, resolver_version } = said;
        let decoded = sdk.map(Sdk::decode).transpose().map_err(|error| EnvelopeError::FlagLogs(error.to_string()))?;
        let identity = Arc::new(SenderIdentity {
            sdk: decoded,
            resolver_version: String::from_utf8_lossy(resolver_version).into_owned(),
        });
        self.0 = Some(KnownSender {
            sdk: sdk.map(<[u8]>::to_vec),
            resolver_version: resolver_version.to_vec(),
            identity: Arc::clone(&identity),
        });
        Ok(identity)
    }
}

impl Known {
    fn resolver_id(&mut self, name: &str) -> Arc<str> {
        match &self.resolver_id {
            Some(known) if **known == *name => Arc::clone(known),
            _ => Arc::clone(self.resolver_id.insert(name.into())),
        }
    }
}

/// As [`decode`], for one of the messages of a batch: what `known` has from those before is not read again.
///
/// # Errors
/// [`MalformedMessage`]
pub fn decode_among(message: &QueueMessage, resolver_id: &str, known: &mut Known) -> Result<Decoded, MalformedMessage> {
    match &message.body {
        MessageBody::Bytes(bytes) => decode_envelope(bytes, known),
        MessageBody::Text(text) => decode_text(message, text, resolver_id, known),
        MessageBody::Json(_) | MessageBody::Other => Err(MalformedMessage::BodyType),
    }
}

/// An error's text without what it quotes: decoders quote the content that they stumble over, and content is no matter
/// for logs and dead letters' reasons.
pub fn without_content(text: &str) -> String {
    let mut cut = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        cut.push(character);
        if !matches!(character, '"' | '`') {
            continue;
        }
        cut.push('…');
        while let Some(inside) = characters.next() {
            if inside == character {
                break;
            }
            if inside == '\\' {
                characters.next();
            }
        }
        cut.push(character);
    }
    cut
}

fn decode_envelope(bytes: &[u8], known: &mut Known) -> Result<Decoded, MalformedMessage> {
    let Known { infos, senders, .. } = known;
    let (envelope, logs, telemetry) = Envelope::read_among(bytes, infos, |envelope, telemetry| {
        read_telemetry(telemetry, envelope.window_end_ms, senders)
    })?;
    if envelope.sequence > MAX_SEQUENCE {
        return Err(MalformedMessage::Sequence(envelope.sequence));
    }
    let metrics = custom::read(envelope.metrics()?, envelope.window_start_ms, envelope.window_end_ms)?;
    let otlp = read_otlp(&envelope)?;
    let telemetry = telemetry.transpose()?.unwrap_or(Telemetry::Absent);
    let record = Record {
        stream_id: envelope.stream_id,
        sequence: envelope.sequence,
        window_end_ms: envelope.window_end_ms,
        kind: StreamKind::Producer,
        resolver_id: known.resolver_id(&envelope.resolver_id),
    };
    Ok(Decoded {
        record,
        ledger: envelope.ledger(),
        window_start_ms: envelope.window_start_ms,
        resolver_id: envelope.resolver_id,
        dimensions: envelope.dimensions,
        logs,
        telemetry,
        metrics,
        otlp,
        dropped: envelope.dropped,
    })
}

fn read_otlp(envelope: &Envelope) -> Result<OtlpMetrics, MalformedMessage> {
    let bytes = envelope.resource_metrics.as_slice();
    if bytes.is_empty() {
        return Ok(OtlpMetrics::default());
    }
    let message =
        ResourceMetrics::decode(bytes).map_err(|error| MalformedMessage::ResourceMetrics(error.to_string()))?;
    Ok(otlp::read(message, bytes.len(), envelope.window_start_ms, envelope.window_end_ms))
}

/// A message without stream and sequence: the queue's id of it stands in. It becomes a stream of one record, so that
/// one mechanism remembers and forgets both.
fn decode_text(
    message: &QueueMessage,
    text: &str,
    resolver_id: &str,
    known: &mut Known,
) -> Result<Decoded, MalformedMessage> {
    let mut logs = FlagLogs::of_request(decode_legacy(text)?);
    let telemetry = match logs.telemetry.take() {
        Some(telemetry) => read_telemetry(&telemetry, message.sent_ms, &mut known.senders)?,
        None => Telemetry::Absent,
    };
    let record = Record {
        stream_id: legacy_stream_id(&message.id),
        sequence: 1,
        window_end_ms: message.sent_ms,
        kind: StreamKind::Legacy,
        resolver_id: known.resolver_id(resolver_id),
    };
    Ok(Decoded {
        record,
        ledger: MAIN,
        window_start_ms: message.sent_ms,
        resolver_id: resolver_id.to_owned(),
        dimensions: BTreeMap::new(),
        logs,
        telemetry,
        metrics: CustomMetrics::default(),
        otlp: OtlpMetrics::default(),
        dropped: Vec::new(),
    })
}

/// 128 bits of a hash of the message id: ids are unique but of no fixed length.
fn legacy_stream_id(message_id: &str) -> StreamId {
    let digest: [u8; 32] = Sha256::digest(message_id.as_bytes()).into();
    let mut id = [0; 16];
    id.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
    StreamId(id)
}

fn read_telemetry(bytes: &[u8], read_at_ms: u64, senders: &mut Senders) -> Result<Telemetry, MalformedMessage> {
    let malformed = |error: &dyn std::fmt::Display| EnvelopeError::FlagLogs(error.to_string());
    let data = match read_report(bytes, read_at_ms).map_err(|error| malformed(&error))? {
        ReadReport::Compact(report, identity) => {
            return Ok(Telemetry::Read {
                identity: senders.identity(identity)?,
                report: TelemetryReport::Compact(report),
                rebucketed: 0,
            });
        }
        ReadReport::Decoded(data) => data,
    };
    Ok(match TelemetryReport::from_wire(&data, read_at_ms) {
        Ok((report, rebucketed)) => Telemetry::Read {
            identity: SenderIdentity { sdk: data.sdk, resolver_version: data.resolver_version }.into(),
            report,
            rebucketed: rebucketed.observations,
        },
        Err(error) => Telemetry::Refused(error.to_string()),
    })
}

#[cfg(test)]
mod tests;
