//! What a deploy leaves in each Worker, so that the next one knows what is there: the variable `TRIBUTARY_BUILD`.
//!
//! A variable belongs to a version. So a rollback brings back the mark of the version that it brings back, and a secret
//! that somebody sets by hand, which makes a version of its own, keeps it. Annotations of a version do neither.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::Digest as _;
use tributary_local::random::hex;
use tributary_local::secrets::Secret;

/// Name of the variable.
pub const MARK_VAR: &str = "TRIBUTARY_BUILD";

/// Rounds of [`fingerprint`]: half a second for us, once a secret, and for each guess of somebody who reads the variable.
const ROUNDS: u32 = 1 << 14;
/// 40 bits tell that a secret changed, and leave a billion candidates to whoever guesses.
const FINGERPRINT_BYTES: usize = 5;

/// The content of the variable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Hash of the modules and the configuration; see [`crate::content`].
    pub content: String,
    /// When the deploy that made this version began, in milliseconds since the epoch. Both Workers of one deploy have the
    /// same, and a later deploy has a larger one, whatever its clock says.
    pub release: u64,
    /// Schema of the Ledger's tables that this version writes; the consumer's alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ledger_schema: Option<u32>,
    /// [`fingerprint`] of each secret that a deploy has set.
    #[serde(default)]
    pub secrets: BTreeMap<String, String>,
}

impl Mark {
    /// Reads the variable; `None` where it is none of ours.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// Writes the variable.
    #[must_use]
    pub fn to_text(&self) -> String {
        // Strings and numbers always have a JSON.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// Tells whether a secret changed, without saying what it is: 40 bits of an iterated SHA-256, salted by where it is set.
#[must_use]
pub fn fingerprint(account_id: &str, worker: &str, name: &str, secret: &Secret) -> String {
    let mut hash = sha2::Sha256::new();
    for part in ["tributary", account_id, worker, name, secret.reveal()] {
        hash.update(part.len().to_le_bytes());
        hash.update(part.as_bytes());
    }
    let mut digest = hash.finalize();
    for _ in 1..ROUNDS {
        digest = sha2::Sha256::digest(digest);
    }
    hex(digest.get(..FINGERPRINT_BYTES).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_reads_back_and_grows() {
        let mark = Mark {
            content: "abc".to_owned(),
            release: 1_700_000_000_000,
            ledger_schema: Some(2),
            secrets: [("METRICS_TOKEN".to_owned(), "00ff".to_owned())].into(),
        };
        assert_eq!(Mark::parse(&mark.to_text()), Some(mark));
        assert!(Mark::parse(r#"{"content":"a","release":1,"of_the_future":true}"#).is_some());
        for other in ["", "1.2.3", "{}", r#"{"content":"a"}"#] {
            assert_eq!(Mark::parse(other), None, "{other}");
        }
    }

    #[test]
    fn a_fingerprint_depends_on_value_and_place_and_shows_nothing() {
        let of = |account, worker, name, value: &str| fingerprint(account, worker, name, &Secret::new(value));
        let one = of("a", "w", "n", "hunter2");
        assert_eq!(one, of("a", "w", "n", "hunter2"));
        assert_eq!(one.len(), 10);
        for other in [of("b", "w", "n", "hunter2"), of("a", "v", "n", "hunter2"), of("a", "w", "m", "hunter2")] {
            assert_ne!(one, other);
        }
        assert_ne!(one, of("a", "w", "n", "hunter3"));
        assert_ne!(of("a", "wn", "", "x"), of("a", "w", "n", "x"), "parts do not run into each other");
    }
}
