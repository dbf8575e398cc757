//! From a request's bytes to a `WriteFlagLogsRequest`, with the types of the `confidence_resolver` crate: an
//! independent reading of what our consumer wrote.

use confidence_resolver::proto::Message as _;
use confidence_resolver::proto::confidence::flags::resolver::v1::WriteFlagLogsRequest;
use serde_json::Value;

/// Where a batch was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Destination {
    /// `clientFlagLogs:write`
    Edge,
    /// `flagLogs:ingest`
    Cloudflare,
}

impl Destination {
    /// Its name in `/stats` and `/faults`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Edge => "edge",
            Self::Cloudflare => "cloudflare",
        }
    }
}

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// 415
    #[error("content-type {0:?} is not accepted here")]
    ContentType(String),
    /// 415
    #[error("content-encoding {0:?} is not accepted here")]
    ContentEncoding(String),
    /// 401
    #[error("Authorization must be `ClientSecret <secret>` with a known secret")]
    Unauthorized,
    /// 400
    #[error("{0}")]
    Malformed(String),
}

impl Refusal {
    /// The HTTP status that says it.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::ContentType(_) | Self::ContentEncoding(_) => 415,
            Self::Unauthorized => 401,
            Self::Malformed(_) => 400,
        }
    }
}

/// A decoded batch.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// The account that the ingest's wrapper names; Edge has none.
    pub account_id: Option<String>,
    /// The flag logs.
    pub logs: WriteFlagLogsRequest,
}

/// Decodes the body of a request to `destination`.
///
/// # Errors
/// [`Refusal::ContentType`], [`Refusal::Malformed`].
pub fn decode(destination: Destination, content_type: &str, body: &[u8]) -> Result<Batch, Refusal> {
    let media_type = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match (destination, media_type.as_str()) {
        (Destination::Edge, "application/x-protobuf") => Ok(Batch { account_id: None, logs: from_bytes(body)? }),
        (Destination::Edge, "application/json") => Ok(Batch { account_id: None, logs: from_json(body)? }),
        (Destination::Cloudflare, "application/protobuf") => {
            let (account_id, batch) = unwrap_ingest(body)?;
            Ok(Batch { account_id: Some(account_id), logs: from_bytes(batch)? })
        }
        _ => Err(Refusal::ContentType(content_type.chars().take(80).collect())),
    }
}

fn malformed(reason: impl Into<String>) -> Refusal {
    Refusal::Malformed(reason.into())
}

/// Decodes protobuf and refuses what the schema does not know: unknown fields, and defaults spelled out, are lost by
/// decoding, so the message would be shorter when encoded again. A second `telemetry_data` is refused for the same
/// reason, since its counters would silently replace those of the first.
fn from_bytes(body: &[u8]) -> Result<WriteFlagLogsRequest, Refusal> {
    let logs = WriteFlagLogsRequest::decode(body)
        .map_err(|error| malformed(format!("not a WriteFlagLogsRequest: {error}")))?;
    let known = logs.encoded_len();
    if known != body.len() {
        return Err(malformed(format!(
            "{} bytes sent, {known} known: unknown or repeated fields in the WriteFlagLogsRequest",
            body.len()
        )));
    }
    Ok(logs)
}

/// Decodes protobuf's JSON mapping. The crate's types skip unknown fields, so they are looked for afterwards.
fn from_json(body: &[u8]) -> Result<WriteFlagLogsRequest, Refusal> {
    let wrong = |error: serde_json::Error| malformed(format!("not a WriteFlagLogsRequest in JSON: {error}"));
    let sent: Value = serde_json::from_slice(body).map_err(wrong)?;
    let logs: WriteFlagLogsRequest = serde_json::from_value(sent.clone()).map_err(wrong)?;
    let known = serde_json::to_value(&logs).map_err(wrong)?;
    match unknown_field(&sent, &known, "") {
        Some(path) => Err(malformed(format!("unknown field {path} in the WriteFlagLogsRequest"))),
        None => Ok(logs),
    }
}

/// The path of the first field of `sent` that says something (is not a default) and that `known` lacks.
fn unknown_field(sent: &Value, known: &Value, path: &str) -> Option<String> {
    match (sent, known) {
        (Value::Object(sent), Value::Object(known)) => sent.iter().find_map(|(name, value)| {
            let path = format!("{path}.{name}");
            match known.get(name).or_else(|| known.get(&camel_case(name))) {
                Some(known) => unknown_field(value, known, &path),
                None => (!is_default(value)).then_some(path),
            }
        }),
        (Value::Array(sent), Value::Array(known)) => {
            sent.iter().zip(known).find_map(|(sent, known)| unknown_field(sent, known, path))
        }
        _ => None,
    }
}

/// Whether proto3 leaves `value` out when it writes.
fn is_default(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty() || text == "0" || text.ends_with("_UNSPECIFIED"),
        Value::Array(items) => items.is_empty(),
        Value::Object(_) => false,
    }
}

/// The JSON mapping also takes the names of the `.proto` file.
fn camel_case(name: &str) -> String {
    let mut is_upper = false;
    name.chars().fold(String::new(), |mut camel, letter| {
        if letter == '_' {
            is_upper = true;
        } else {
            camel.push(if is_upper { letter.to_ascii_uppercase() } else { letter });
            is_upper = false;
        }
        camel
    })
}

/// The two fields of the ingest's wrapper, each exactly once: 1 `account_id` (string), 2 `batch` (bytes). Read by hand,
/// because no crate publishes this message and our own type would not be an independent reader.
fn unwrap_ingest(mut body: &[u8]) -> Result<(String, &[u8]), Refusal> {
    const ACCOUNT_ID: u8 = (1 << 3) | 2;
    const BATCH: u8 = (2 << 3) | 2;
    let (mut account_id, mut batch) = (None, None);
    while let Some((&tag, rest)) = body.split_first() {
        let (field, rest) = length_delimited(rest).ok_or_else(|| malformed("the ingest wrapper is cut off"))?;
        let previous = match tag {
            ACCOUNT_ID => account_id.replace(field),
            BATCH => batch.replace(field),
            _ => return Err(malformed(format!("unknown field tag {tag} in the ingest wrapper"))),
        };
        if previous.is_some() {
            return Err(malformed("a field stands twice in the ingest wrapper"));
        }
        body = rest;
    }
    let account_id = account_id.ok_or_else(|| malformed("the ingest wrapper has no account_id"))?;
    let account_id = std::str::from_utf8(account_id).map_err(|_| malformed("account_id is not UTF-8"))?;
    let batch = batch.ok_or_else(|| malformed("the ingest wrapper has no batch"))?;
    Ok((account_id.to_owned(), batch))
}

/// Splits a varint length and that many bytes off the front.
fn length_delimited(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut length = 0_u64;
    let mut rest = bytes;
    // Five groups of seven bits are enough for any length that fits a request.
    for shift in [0, 7, 14, 21, 28] {
        let (&byte, after) = rest.split_first()?;
        rest = after;
        length |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return rest.split_at_checked(usize::try_from(length).ok()?);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::check::tests::valid_logs;

    const PROTOBUF: &str = "application/x-protobuf";

    fn reason(result: Result<Batch, Refusal>) -> String {
        result.unwrap_err().to_string()
    }

    #[test]
    fn protobuf_and_json_decode_to_the_same_logs() {
        let logs = valid_logs();
        let bytes = decode(Destination::Edge, PROTOBUF, &logs.encode_to_vec()).unwrap();
        let json = serde_json::to_vec(&logs).unwrap();
        let json = decode(Destination::Edge, "application/json; charset=utf-8", &json).unwrap();
        assert_eq!((&bytes.logs, &json.logs), (&logs, &logs));
    }

    #[test]
    fn ingest_wrapper_of_our_own_type_decodes() {
        let wrapper = tributary_proto::v1::IngestFlagLogsRequest {
            account_id: "demo".to_owned(),
            batch: valid_logs().encode_to_vec(),
        };
        let body = tributary_proto::Message::encode_to_vec(&wrapper);
        let batch = decode(Destination::Cloudflare, "application/protobuf", &body).unwrap();
        assert_eq!(batch, Batch { account_id: Some("demo".to_owned()), logs: valid_logs() });
        for end in 0..body.len() {
            assert!(decode(Destination::Cloudflare, "application/protobuf", &body[..end]).is_err());
        }
        let twice = [body.as_slice(), body.as_slice()].concat();
        assert!(reason(decode(Destination::Cloudflare, "application/protobuf", &twice)).contains("twice"));
    }

    #[test]
    fn unknown_field_is_refused_in_bytes_and_json() {
        let mut bytes = valid_logs().encode_to_vec();
        bytes.extend([(15 << 3) | 2, 1, b'x']);
        assert!(reason(decode(Destination::Edge, PROTOBUF, &bytes)).contains("unknown"));
        let mut json = serde_json::to_value(valid_logs()).unwrap();
        json["flagAssigned"][0]["surprise"] = "x".into();
        let body = serde_json::to_vec(&json).unwrap();
        assert!(reason(decode(Destination::Edge, "application/json", &body)).contains(".flagAssigned.surprise"));
    }

    #[test]
    fn spelled_out_defaults_are_fine_in_json() {
        let mut json = serde_json::to_value(valid_logs()).unwrap();
        json["telemetryData"]["memoryBytes"] = "0".into();
        json["telemetry_data_unknown_but_null"] = Value::Null;
        let body = serde_json::to_vec(&json).unwrap();
        assert_eq!(decode(Destination::Edge, "application/json", &body).unwrap().logs, valid_logs());
    }

    #[test]
    fn wrong_content_type_is_refused_for_its_destination() {
        for (destination, content_type) in [
            (Destination::Edge, "application/protobuf"),
            (Destination::Edge, ""),
            (Destination::Cloudflare, PROTOBUF),
            (Destination::Cloudflare, "application/json"),
        ] {
            let refusal = decode(destination, content_type, &[]).unwrap_err();
            assert_eq!(refusal.status(), 415, "{refusal}");
        }
    }

    #[test]
    fn garbage_is_refused() {
        assert!(decode(Destination::Edge, PROTOBUF, &[0xff; 40]).is_err());
        assert!(decode(Destination::Edge, "application/json", b"[]").is_err());
        assert!(
            decode(Destination::Cloudflare, "application/protobuf", &[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 1]).is_err()
        );
    }
}
