//! Which deploys answer: the consumer knows its own, and the producer names itself in a header of what it forwards.

use serde_json::{Value, json};

/// The header in which the producer says what it is when it forwards a request. Shown, and good for nothing else:
/// whoever reaches the consumer directly can send it, and sees what he sent.
pub const PRODUCER_HEADER: &str = "Tributary-Producer";

/// The most bytes of [`PRODUCER_HEADER`] that are shown.
const MAX_HEADER_BYTES: usize = 200;

/// One Worker as it is deployed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deploy {
    /// Version of the code.
    pub version: String,
    /// Cloudflare's id of the deployed version, empty where the platform gives none.
    pub id: String,
    /// When that version was made, RFC 3339; empty where the platform does not say.
    pub deployed_at: String,
}

impl Deploy {
    /// Reads [`PRODUCER_HEADER`]: version, id and time, separated by spaces, the last two perhaps missing. `None` where
    /// it is none of ours.
    pub fn parse(header: &str) -> Option<Self> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:+ ".contains(&byte);
        if header.is_empty() || header.len() > MAX_HEADER_BYTES || !header.bytes().all(is_plain) {
            return None;
        }
        let mut words = header.split_ascii_whitespace().map(str::to_owned);
        let version = words.next()?;
        Some(Self { version, id: words.next().unwrap_or_default(), deployed_at: words.next().unwrap_or_default() })
    }

    fn to_json(&self) -> Value {
        json!({"version": self.version, "id": self.id, "deployedAt": self.deployed_at})
    }
}

/// Both Workers. The producer is null where the request did not come through it.
pub fn versions(consumer: &Deploy, producer: Option<&Deploy>) -> Value {
    json!({"consumer": consumer.to_json(), "producer": producer.map(Deploy::to_json)})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_reads_with_and_without_its_optional_parts() {
        let full = Deploy::parse("0.1.0 3f2a-77 2026-11-22T10:00:00Z").unwrap();
        assert_eq!((full.version.as_str(), full.id.as_str()), ("0.1.0", "3f2a-77"));
        assert_eq!(full.deployed_at, "2026-11-22T10:00:00Z");
        let short = Deploy::parse("0.1.0").unwrap();
        assert_eq!((short.version.as_str(), short.id.as_str(), short.deployed_at.as_str()), ("0.1.0", "", ""));
        assert_eq!(versions(&full, None)["producer"], Value::Null);
        assert_eq!(versions(&full, Some(&short))["producer"]["version"], "0.1.0");
    }

    #[test]
    fn what_is_not_ours_is_not_shown() {
        for header in ["", " ", "<script>", "a\u{1}", "ö", &"1".repeat(201)] {
            assert_eq!(Deploy::parse(header), None, "{header:.20}");
        }
    }
}
