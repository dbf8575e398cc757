//! Which state it is. A version is stored beside the state in KV as `{"etag": …}`: the CDN's `ETag` as it came, or a digest
//! of the bytes where it sent none.

use sha2::{Digest as _, Sha256};

use crate::address::hex;

/// The most bytes of an `ETag`: it is stored in the metadata of a KV value, which has 1,024 bytes of JSON (Cloudflare
/// docs, KV › Platform › Limits). Longer ones count as none.
pub const MAX_ETAG_BYTES: usize = 256;

/// How versions begin that are digests.
const DIGEST_PREFIX: &str = "sha256-";

/// The version of `bytes`, which came with this `ETag`.
pub fn version(etag: Option<&str>, bytes: &[u8]) -> String {
    match etag.map(str::trim).filter(|etag| opaque(etag).is_some()) {
        Some(etag) => etag.to_owned(),
        None => format!("{DIGEST_PREFIX}{}", hex(&Sha256::digest(bytes))),
    }
}

/// The value of `If-None-Match` that asks whether there is a newer state than this version; `None` where the CDN cannot
/// know it. A tag that was stored without its quotes gets them.
pub fn if_none_match(version: &str) -> Option<String> {
    if version.starts_with(DIGEST_PREFIX) {
        return None;
    }
    let opaque = opaque(version)?;
    Some(if version.ends_with('"') { version.to_owned() } else { format!("\"{opaque}\"") })
}

/// Whether two versions name the same state. Compared weakly (RFC 9110, section 8.8.3.2), and without quotes, which some
/// tools cut off: a CDN that compresses marks its tags as weak, and what was in them stays.
pub fn is_same(one: &str, other: &str) -> bool {
    match (opaque(one), opaque(other)) {
        (Some(one), Some(other)) => one == other,
        _ => false,
    }
}

/// What identifies, of a tag with or without quotes; `None` where it is no tag, or empty.
fn opaque(etag: &str) -> Option<&str> {
    let etag = etag.strip_prefix("W/").unwrap_or(etag);
    let inner = match etag.strip_prefix('"') {
        Some(quoted) => quoted.strip_suffix('"')?,
        None => etag,
    };
    // RFC 9110, section 8.8.3, without what lies outside ASCII: it could not be sent back as it came.
    let is_tag = !inner.is_empty()
        && inner.len() <= MAX_ETAG_BYTES
        && inner.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"');
    is_tag.then_some(inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_etag_is_the_version_and_is_sent_back_as_it_came() {
        for etag in ["\"v1\"", "W/\"v1\"", "\"a-b;gzip\""] {
            assert_eq!(version(Some(etag), b"x"), etag);
            assert_eq!(if_none_match(etag).as_deref(), Some(etag));
        }
        assert_eq!(version(Some(" \"v1\" "), b"x"), "\"v1\"");
    }

    #[test]
    fn a_tag_without_quotes_gets_them() {
        assert_eq!(if_none_match("v1").as_deref(), Some("\"v1\""));
        assert_eq!(if_none_match("W/v1").as_deref(), Some("\"v1\""));
    }

    #[test]
    fn without_a_usable_etag_the_bytes_are_the_version_and_no_condition() {
        let long = format!("\"{}\"", "x".repeat(MAX_ETAG_BYTES + 1));
        let bad = ["", "\"\"", "\"", "\"a", "a\"b", "two words", "\"a\r\nb\"", "\u{e9}", "W/", long.as_str()];
        for etag in bad.into_iter().map(Some).chain([None]) {
            let version = version(etag, b"abc");
            assert_eq!(version, "sha256-ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", "{etag:?}");
            assert_eq!(if_none_match(&version), None);
        }
        for etag in bad {
            assert_eq!(if_none_match(etag), None, "{etag:?}");
        }
        assert_ne!(version(None, b"abc"), version(None, b"abd"));
    }

    #[test]
    fn versions_are_compared_weakly_and_without_quotes() {
        for (one, other) in [("\"a\"", "W/\"a\""), ("a", "\"a\""), ("sha256-1", "sha256-1"), ("W/\"a\"", "W/\"a\"")] {
            assert!(is_same(one, other) && is_same(other, one), "{one} {other}");
        }
        for (one, other) in [("\"a\"", "\"b\""), ("", ""), ("\"\"", ""), ("sha256-1", "sha256-2"), ("a\"", "a\"")] {
            assert!(!is_same(one, other), "{one} {other}");
        }
    }
}
