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
    /// The last sender.
    sender: Option<KnownSender>,
    /// Of the last producer.
    resolver_id: Option<Arc<str>>,
}

/// A sender as it was encoded, and what that says.
#[derive(Debug)]
struct KnownSender {
    sdk: Option<Vec<u8>>,
    resolver_version: Vec<u8>,
    identity: Arc<SenderIdentity>,
}

impl Known {
    fn sender(&mut self, said: ReportedIdentity<'_>) -> Result<Arc<SenderIdentity>, MalformedMessage> {
        if let Some(known) = &self.sender
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
        self.sender = Some(KnownSender {
            sdk: sdk.map(<[u8]>::to_vec),
            resolver_version: resolver_version.to_vec(),
            identity: Arc::clone(&identity),
        });
        Ok(identity)
    }

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
    let (envelope, mut logs) = Envelope::read_among(bytes, &mut known.infos)?;
    if envelope.sequence > MAX_SEQUENCE {
        return Err(MalformedMessage::Sequence(envelope.sequence));
    }
    let metrics = custom::read(envelope.metrics()?, envelope.window_start_ms, envelope.window_end_ms)?;
    let otlp = read_otlp(&envelope)?;
    let telemetry = read_telemetry(&mut logs, envelope.window_end_ms, known)?;
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
    let telemetry = read_telemetry(&mut logs, message.sent_ms, known)?;
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

fn read_telemetry(logs: &mut FlagLogs, read_at_ms: u64, known: &mut Known) -> Result<Telemetry, MalformedMessage> {
    let Some(bytes) = logs.telemetry.take() else {
        return Ok(Telemetry::Absent);
    };
    let malformed = |error: &dyn std::fmt::Display| EnvelopeError::FlagLogs(error.to_string());
    let data = match read_report(&bytes, read_at_ms).map_err(|error| malformed(&error))? {
        ReadReport::Compact(report, identity) => {
            return Ok(Telemetry::Read {
                identity: known.sender(identity)?,
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
mod tests {
    use tributary_proto::flag_logs::{ResolveReason, TelemetryData, WriteFlagLogsRequest, telemetry_data::ResolveRate};

    use super::*;

    fn message(body: MessageBody) -> QueueMessage {
        QueueMessage { id: "0123abcd".into(), sent_ms: 5_000, attempts: 1, body }
    }

    fn envelope() -> Envelope {
        Envelope {
            stream_id: StreamId([7; 16]),
            ledgers: 1,
            sequence: 4,
            window_start_ms: 1_000,
            window_end_ms: 2_000,
            resolver_id: "eu".into(),
            dimensions: Default::default(),
            flag_logs: Vec::new(),
            metrics: Vec::new(),
            resource_metrics: Vec::new(),
            dropped: Vec::new(),
        }
    }

    #[test]
    fn an_envelope_is_known_by_its_stream_and_sequence_and_not_by_its_message_id() {
        let bytes = envelope().encode().unwrap();
        let decoded = decode(&message(MessageBody::Bytes(bytes.clone())), "default").unwrap();
        let resent = QueueMessage { id: "another".into(), ..message(MessageBody::Bytes(bytes)) };
        assert_eq!(decoded.record, decode(&resent, "default").unwrap().record);
        assert_eq!((decoded.record.sequence, decoded.resolver_id.as_str()), (4, "eu"));
    }

    #[test]
    fn a_legacy_message_is_known_by_its_message_id_alone() {
        let text = r#"{"telemetryData":{"resolveRate":[{"count":2,"reason":"RESOLVE_REASON_MATCH"}]}}"#;
        let decoded = decode(&message(MessageBody::Text(text.into())), "cf-resolver").unwrap();
        let redelivered = QueueMessage { attempts: 3, ..message(MessageBody::Text(text.into())) };
        assert_eq!(decoded.record, decode(&redelivered, "cf-resolver").unwrap().record);
        let another = QueueMessage { id: "0123abce".into(), ..message(MessageBody::Text(text.into())) };
        assert_ne!(decoded.record, decode(&another, "cf-resolver").unwrap().record);
        assert_eq!(decoded.record.kind, StreamKind::Legacy);
        assert_eq!(decoded.resolver_id, "cf-resolver");
        assert!(matches!(decoded.telemetry, Telemetry::Read { .. }));
    }

    #[test]
    fn reasons_that_are_not_known_count_the_same_from_json_as_from_bytes() {
        let counted = |body| {
            let Telemetry::Read { report, .. } = decode(&message(body), "eu").unwrap().telemetry else {
                panic!("no telemetry")
            };
            report.to_delta().to_delta("eu", 5_000).unwrap()
        };
        let rates =
            [(2, 77), (3, ResolveReason::Match.into()), (4, -1)].map(|(count, reason)| ResolveRate { count, reason });
        let logs = WriteFlagLogsRequest {
            telemetry_data: Some(TelemetryData { resolve_rate: rates.into(), ..TelemetryData::default() }),
            ..WriteFlagLogsRequest::default()
        };
        let bytes = tributary_proto::Message::encode_to_vec(&logs);
        let from_bytes = counted(MessageBody::Bytes(Envelope { flag_logs: bytes, ..envelope() }.encode().unwrap()));
        let rates = |name| {
            let text = r#"{"telemetryData":{"resolveRate":[{"count":2,"reason":77},{"count":3,"reason":@},{"count":4,"reason":-1}]}}"#;
            counted(MessageBody::Text(text.replace('@', name)))
        };
        let families = |delta: &tributary_telemetry::Delta| delta.families().cloned().collect::<Vec<_>>();
        assert_eq!(families(&rates("1")), families(&from_bytes));
        assert_eq!(families(&rates("\"RESOLVE_REASON_MATCH\"")), families(&from_bytes));
        // A name has no number: its count shows under the reason that says nothing.
        let of_tomorrow = rates("\"RESOLVE_REASON_OF_TOMORROW\"");
        let labels =
            |reason| tributary_telemetry::LabelSet::from_pairs([("reason", reason), ("resolver_id", "eu")]).unwrap();
        let count = |reason| of_tomorrow.get("confidence_resolves", &labels(reason)).cloned();
        assert_eq!(count("RESOLVE_REASON_UNSPECIFIED"), Some(tributary_telemetry::Value::Counter(3)));
        assert_eq!(count("UNKNOWN"), Some(tributary_telemetry::Value::Counter(6)));
    }

    #[test]
    fn what_is_no_message_is_refused_with_its_reason() {
        let reason = |body| decode(&message(body), "r").map(|_| ()).unwrap_err().reason();
        assert_eq!(reason(MessageBody::Other), "body_type");
        assert_eq!(reason(MessageBody::Json("{}".into())), "body_type");
        assert_eq!(reason(MessageBody::Bytes(b"garbage".to_vec())), "protobuf");
        assert_eq!(reason(MessageBody::Text("{".into())), "flag_logs");
        let spoiled = Envelope { flag_logs: vec![0xff; 9], ..envelope() };
        assert_eq!(reason(MessageBody::Bytes(spoiled.encode().unwrap())), "flag_logs");
        let metrics = |metrics: Vec<u8>| MessageBody::Bytes(Envelope { metrics, ..envelope() }.encode().unwrap());
        assert_eq!(reason(metrics(vec![0xff; 9])), "metrics", "no protobuf");
        let empty_family = [0x0a, 0x03, 0x0a, 0x01, b'f'];
        assert_eq!(reason(metrics(empty_family.to_vec())), "metrics", "no canonical set");
        let far = Envelope { sequence: MAX_SEQUENCE + 1, ..envelope() };
        assert_eq!(reason(MessageBody::Bytes(far.encode().unwrap())), "invalid");
    }

    #[test]
    fn what_an_error_quotes_is_left_out() {
        assert_eq!(
            without_content(r#"invalid type: string "s3\"cret", expected `x` at 1"#),
            r#"invalid type: string "…", expected `…` at 1"#
        );
        assert_eq!(without_content(r#"open "s3cret\"#), r#"open "…""#);
        assert_eq!(without_content("nothing"), "nothing");
        let text = MessageBody::Text(r#"{"flagAssigned":"s3cret"}"#.into());
        let error = decode(&message(text), "r").unwrap_err().to_string();
        assert!(!without_content(&error).contains("s3cret"), "{error}");
    }

    #[test]
    fn telemetry_that_contradicts_itself_is_refused_and_the_flag_logs_go_on() {
        use tributary_proto::{events::FlagAssigned, flag_logs::telemetry_data::ResolveLatency};
        let logs = WriteFlagLogsRequest {
            flag_assigned: vec![FlagAssigned::default()],
            telemetry_data: Some(TelemetryData {
                resolve_latency: Some(ResolveLatency { sum: 5, count: 3, buckets: vec![], ln_ratio: 0.1 }),
                resolve_rate: vec![ResolveRate { count: 3, reason: ResolveReason::Match.into() }],
                ..TelemetryData::default()
            }),
            ..WriteFlagLogsRequest::default()
        };
        let bytes = Envelope { flag_logs: logs.encode_to_vec(), ..envelope() }.encode().unwrap();
        let decoded = decode(&message(MessageBody::Bytes(bytes)), "r").unwrap();
        assert!(matches!(decoded.telemetry, Telemetry::Refused(_)));
        assert_eq!(decoded.logs.to_request().unwrap().flag_assigned.len(), 1);
    }
}
