//! What KV takes and what it gives back, whoever asks: the REST API or a Worker ("KV: Limits", "Write key-value pairs").

use serde_json::Value;

use super::ids;
use super::state::{KvValue, Namespace};

const MAX_KEY_BYTES: usize = 512;
const MAX_VALUE_BYTES: usize = 25 * 1024 * 1024;
const MAX_METADATA_BYTES: usize = 1_024;
/// Seconds.
const MIN_TTL: u64 = 60;
/// Milliseconds between writes of one key.
const MIN_WRITE_INTERVAL: u64 = 1_000;
/// Keys in a list, at most.
pub(crate) const MAX_LIST: usize = 1_000;

/// Why KV does not do what it was asked to.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("Key names must not be empty, \".\" or \"..\"")]
    KeyName,
    #[error("UTF-8 encoded length of {0} exceeds key length limit of {MAX_KEY_BYTES}.")]
    KeyLength(usize),
    #[error("Value length of {0} exceeds limit of {MAX_VALUE_BYTES}.")]
    ValueLength(usize),
    #[error("Metadata length of {0} exceeds limit of {MAX_METADATA_BYTES}.")]
    MetadataLength(usize),
    #[error("Metadata is not JSON")]
    Metadata,
    #[error("Invalid {0} of {1}. It must be at least {MIN_TTL} seconds ahead.")]
    Expiration(&'static str, String),
    #[error("Too Many Requests")]
    TooManyWrites,
}

impl Refusal {
    /// The HTTP status that KV gives to a Worker.
    pub(crate) fn status(&self) -> u16 {
        match self {
            Self::KeyLength(_) => 414,
            Self::ValueLength(_) | Self::MetadataLength(_) => 413,
            Self::TooManyWrites => 429,
            Self::KeyName | Self::Metadata | Self::Expiration(..) => 400,
        }
    }
}

/// A write. Expiration and TTL are as they were given, in seconds; the TTL wins.
#[derive(Debug, Default)]
pub(crate) struct Write {
    pub(crate) bytes: Vec<u8>,
    pub(crate) metadata: Option<String>,
    pub(crate) expiration: Option<String>,
    pub(crate) expiration_ttl: Option<String>,
}

/// # Errors
/// [`Refusal::KeyName`], [`Refusal::KeyLength`].
pub(crate) fn check_key(key: &str) -> Result<(), Refusal> {
    match key {
        "" | "." | ".." => Err(Refusal::KeyName),
        key if key.len() > MAX_KEY_BYTES => Err(Refusal::KeyLength(key.len())),
        _ => Ok(()),
    }
}

/// Writes a value, or says why not and leaves the old one.
///
/// # Errors
/// [`Refusal`].
pub(crate) fn put(namespace: &mut Namespace, key: &str, write: Write, is_limited: bool) -> Result<(), Refusal> {
    check_key(key)?;
    let Write { bytes, metadata, expiration, expiration_ttl } = write;
    if bytes.len() > MAX_VALUE_BYTES {
        return Err(Refusal::ValueLength(bytes.len()));
    }
    let metadata = metadata.map(|text| parse_metadata(&text)).transpose()?;
    let seconds =
        |name, text: &str| text.parse::<u64>().map_err(|_| Refusal::Expiration(name, text.chars().take(40).collect()));
    let now = ids::now().as_secs();
    let expiration = match (expiration_ttl, expiration) {
        (Some(ttl), _) => {
            let seconds = seconds("expiration_ttl", &ttl)?;
            let is_valid = seconds >= MIN_TTL;
            Some(is_valid.then(|| now.saturating_add(seconds)).ok_or(Refusal::Expiration("expiration_ttl", ttl))?)
        }
        (None, Some(at)) => {
            let seconds = seconds("expiration", &at)?;
            Some((seconds >= now + MIN_TTL).then_some(seconds).ok_or(Refusal::Expiration("expiration", at))?)
        }
        (None, None) => None,
    };
    let written = ids::now_millis();
    let last = namespace.values.get(key).map_or(0, |value| value.written);
    if is_limited && written.saturating_sub(last) < MIN_WRITE_INTERVAL {
        return Err(Refusal::TooManyWrites);
    }
    namespace.values.insert(key.to_owned(), KvValue { bytes, metadata, expiration, written });
    Ok(())
}

fn parse_metadata(text: &str) -> Result<Value, Refusal> {
    if text.len() > MAX_METADATA_BYTES {
        return Err(Refusal::MetadataLength(text.len()));
    }
    serde_json::from_str(text).map_err(|_| Refusal::Metadata)
}

/// Some keys, in order, and the cursor of the next list where there are more.
pub(crate) struct Listed<'a> {
    pub(crate) keys: Vec<(&'a str, &'a KvValue)>,
    pub(crate) cursor: Option<String>,
}

/// Lists at most `limit` keys that begin with `prefix`, behind `cursor`: the last key of the list before.
pub(crate) fn list<'a>(namespace: &'a Namespace, prefix: &str, cursor: &str, limit: usize) -> Listed<'a> {
    let after = |key: &&String| cursor.is_empty() || key.as_str() > cursor;
    let alive = namespace.values.iter().filter(|(key, value)| key.starts_with(prefix) && value.is_alive());
    let mut rest = alive.filter(|(key, _)| after(key)).map(|(key, value)| (key.as_str(), value));
    let keys: Vec<(&str, &KvValue)> = rest.by_ref().take(limit).collect();
    let has_more = rest.next().is_some();
    let cursor = keys.last().filter(|_| has_more).map(|(key, _)| (*key).to_owned());
    Listed { keys, cursor }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn namespace() -> Namespace {
        Namespace { id: String::new(), title: String::new(), values: std::collections::BTreeMap::new() }
    }

    #[test]
    fn values_are_bounded_and_expire() {
        let mut namespace = namespace();
        let ttl = |ttl: &str| Write { expiration_ttl: Some(ttl.into()), ..Write::default() };
        assert_eq!(put(&mut namespace, "k", ttl("59"), false), Err(Refusal::Expiration("expiration_ttl", "59".into())));
        put(&mut namespace, "k", ttl("60"), false).unwrap();
        let expiration = namespace.get("k").unwrap().expiration.unwrap();
        assert!(expiration >= ids::now().as_secs() + 59);
        namespace.values.get_mut("k").unwrap().expiration = Some(ids::now().as_secs());
        assert!(namespace.get("k").is_none());
        let metadata = Write { metadata: Some(format!("\"{}\"", "m".repeat(1_023))), ..Write::default() };
        assert_eq!(put(&mut namespace, "k", metadata, false), Err(Refusal::MetadataLength(1_025)));
        assert_eq!(check_key(&"k".repeat(513)), Err(Refusal::KeyLength(513)));
        let large = Write { bytes: vec![0; MAX_VALUE_BYTES + 1], ..Write::default() };
        assert_eq!(put(&mut namespace, "k", large, false), Err(Refusal::ValueLength(MAX_VALUE_BYTES + 1)));
    }

    #[test]
    fn a_key_is_written_once_a_second_where_that_is_asked_for() {
        let mut namespace = namespace();
        put(&mut namespace, "k", Write::default(), true).unwrap();
        assert_eq!(put(&mut namespace, "k", Write::default(), true), Err(Refusal::TooManyWrites));
        put(&mut namespace, "other", Write::default(), true).unwrap();
        put(&mut namespace, "k", Write::default(), false).unwrap();
    }

    #[test]
    fn lists_go_on_where_they_ended() {
        let mut namespace = namespace();
        for key in ["a", "b1", "b2", "b3", "c"] {
            put(&mut namespace, key, Write::default(), false).unwrap();
        }
        let keys = |listed: &Listed<'_>| listed.keys.iter().map(|(key, _)| (*key).to_owned()).collect::<Vec<_>>();
        let first = list(&namespace, "b", "", 2);
        assert_eq!((keys(&first), first.cursor.as_deref()), (vec!["b1".to_owned(), "b2".to_owned()], Some("b2")));
        let second = list(&namespace, "b", "b2", 2);
        assert_eq!((keys(&second), second.cursor), (vec!["b3".to_owned()], None));
    }
}
