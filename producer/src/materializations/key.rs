//! Where a record is in KV, and what its value says.
//!
//! | record | key | value |
//! | --- | --- | --- |
//! | a unit's variant under a rule | `mat:<unit>:<materialization>:<rule>` | the variant's name; empty where the rule assigned none |
//! | a unit is in a materialization | `mat:<unit>:<materialization>:__included__` | `1` |
//!
//! In each part `%` is written `%25` and `:` is written `%3A`, so no two records share a key. This is the layout of
//! Confidence's own Cloudflare resolver (`confidence-cloudflare-resolver`, `materialization.rs`). A key that KV would not
//! take ([`MAX_KEY_BYTES`]), which that one cannot store, becomes `mat#<SHA-256 of the key, in hex>`.

use std::fmt::Write as _;

use confidence_resolver::proto::confidence::flags::resolver::v1::MaterializationRecord;
use sha2::{Digest as _, Sha256};

use crate::limits::MAX_KEY_BYTES;

/// The last part of the key that says that a unit is in a materialization, whatever its rule.
const INCLUDED: &str = "__included__";
/// The value of such a key.
const INCLUDED_VALUE: &str = "1";

/// The key of a record; without a rule it is that of the inclusion.
pub fn key_of(record: &MaterializationRecord) -> String {
    let last = if record.rule.is_empty() { INCLUDED } else { &record.rule };
    let parts = [record.unit.as_str(), &record.materialization];
    let mut key = "mat".to_owned();
    for part in parts.into_iter().chain([last]) {
        key.push(':');
        for character in part.chars() {
            match character {
                '%' => key.push_str("%25"),
                ':' => key.push_str("%3A"),
                other => key.push(other),
            }
        }
    }
    if key.len() <= MAX_KEY_BYTES { key } else { digest(&key) }
}

/// The value that is stored for a record.
pub fn value_of(record: &MaterializationRecord) -> &str {
    if record.rule.is_empty() { INCLUDED_VALUE } else { &record.variant }
}

/// The record that a stored value makes of one that was asked for.
pub fn found(asked: &MaterializationRecord, value: &str) -> MaterializationRecord {
    let variant = if asked.rule.is_empty() { String::new() } else { value.to_owned() };
    MaterializationRecord { variant, ..asked.clone() }
}

/// The record that says that the unit of `record` is in its materialization.
pub fn inclusion(record: &MaterializationRecord) -> MaterializationRecord {
    MaterializationRecord { rule: String::new(), variant: String::new(), ..record.clone() }
}

fn digest(key: &str) -> String {
    Sha256::digest(key.as_bytes()).iter().fold("mat#".to_owned(), |mut text, byte| {
        // Writing into a string cannot fail.
        let _written = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn record(unit: &str, materialization: &str, rule: &str, variant: &str) -> MaterializationRecord {
        let [unit, materialization, rule, variant] = [unit, materialization, rule, variant].map(str::to_owned);
        MaterializationRecord { unit, materialization, rule, variant }
    }

    #[test]
    fn keys_and_values_are_those_of_the_other_resolver() {
        // As its README and the tests of its materialization.rs have them.
        let cases = [
            (record("user_123", "exp_abc", "rule_1", "treatment"), "mat:user_123:exp_abc:rule_1", "treatment"),
            (record("user_123", "exp_abc", "", "x"), "mat:user_123:exp_abc:__included__", "1"),
            (record("user:123", "exp_abc", "rule_1", ""), "mat:user%3A123:exp_abc:rule_1", ""),
            (record("u", "mat:seg/abc", "flags/a/rules/b", "v"), "mat:u:mat%3Aseg/abc:flags/a/rules/b", "v"),
            (record("user%3A", "exp", "rule", "v"), "mat:user%253A:exp:rule", "v"),
        ];
        for (record, key, value) in cases {
            assert_eq!((key_of(&record).as_str(), value_of(&record)), (key, value));
        }
    }

    #[test]
    fn a_value_makes_the_record_that_was_asked_for() {
        let asked = record("u", "m", "r", "");
        assert_eq!(found(&asked, "flags/a/variants/on"), record("u", "m", "r", "flags/a/variants/on"));
        assert_eq!(found(&record("u", "m", "", ""), "1"), record("u", "m", "", ""));
        assert_eq!(inclusion(&record("u", "m", "r", "v")), record("u", "m", "", ""));
    }

    #[test]
    fn a_key_that_kv_would_not_take_is_a_digest() {
        let fits = record(&"u".repeat(MAX_KEY_BYTES - "mat::m:r".len()), "m", "r", "");
        assert_eq!(key_of(&fits).len(), MAX_KEY_BYTES);
        let long = |last: &str| key_of(&record(&"u".repeat(MAX_KEY_BYTES), "m", last, ""));
        assert!(long("r").starts_with("mat#") && long("r").len() == 4 + 64);
        assert_ne!(long("r"), long("s"));
        // 100 bytes of a unit, the most that the resolver takes, may each become three.
        assert!(key_of(&record(&":".repeat(100), "m", "r", "")).len() <= MAX_KEY_BYTES);
    }

    proptest! {
        #[test]
        fn no_two_records_share_a_key(
            one in ("[a:%_]{0,4}", "[a:%_]{0,4}", "[a:%_]{0,4}"),
            other in ("[a:%_]{0,4}", "[a:%_]{0,4}", "[a:%_]{0,4}"),
        ) {
            let key = |parts: &(String, String, String)| key_of(&record(&parts.0, &parts.1, &parts.2, ""));
            prop_assert_eq!(one == other, key(&one) == key(&other));
        }
    }
}
