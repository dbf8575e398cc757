//! An upper estimate of what an evaluation context costs in the resolve log, before the resolver derives its schema.

use confidence_resolver::proto::google::{Struct, value::Kind};

/// Bytes of a schema entry beside its path: tags, lengths, the kind, the semantic type.
const ENTRY_BYTES: usize = 32;

/// Estimates the encoded bytes of the schema of `context`, from above and saturating: the full dotted path of each
/// leaf twice (its kind and its semantic type), and [`ENTRY_BYTES`].
///
/// It stops as soon as the sum passes `enough`, so that it never costs more than reading the context once. Recursion
/// is bounded by the JSON parser's own bound of 128 levels.
pub fn schema_bytes(context: &Struct, enough: usize) -> usize {
    fn walk(context: &Struct, prefix_bytes: usize, enough: usize, sum: &mut usize) {
        for (name, value) in &context.fields {
            if *sum > enough {
                return;
            }
            let path_bytes = prefix_bytes.saturating_add(name.len());
            if let Some(Kind::StructValue(nested)) = &value.kind {
                walk(nested, path_bytes.saturating_add(1), enough, sum);
            } else {
                *sum = sum.saturating_add(path_bytes.saturating_mul(2)).saturating_add(ENTRY_BYTES);
            }
        }
    }
    let mut sum = 0;
    walk(context, 0, enough, &mut sum);
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context(json: &str) -> Struct {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_long_key_above_many_leaves_counts_once_per_leaf() {
        let leaves: Vec<String> = (0..100).map(|index| format!("\"{index:02}\":1")).collect();
        let json = format!("{{\"{}\":{{{}}}}}", "k".repeat(1_000), leaves.join(","));
        assert_eq!(schema_bytes(&context(&json), usize::MAX), 100 * (2 * 1_003 + ENTRY_BYTES));
        assert!(schema_bytes(&context(&json), 5_000) > 5_000);
    }

    #[test]
    fn an_ordinary_context_is_small() {
        assert_eq!(schema_bytes(&context("{}"), 10), 0);
        assert!(schema_bytes(&context("{\"targeting_key\":\"u1\",\"user\":{\"country\":\"SE\"}}"), usize::MAX) < 200);
    }
}
