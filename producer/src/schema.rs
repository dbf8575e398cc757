//! The schema of an evaluation context: an upper estimate of what it costs in the resolve log, and the way to the resolver
//! crate, which derives it, around what is slow there.

use std::sync::LazyLock;

use confidence_resolver::ResolvedValue;
use confidence_resolver::proto::confidence::flags::admin::v1::context_field_semantic_type::{
    CountrySemanticType, Type, country_semantic_type::CountryFormat,
};
use confidence_resolver::proto::confidence::flags::admin::v1::{
    ClientResolveInfo, ContextFieldSemanticType, FlagResolveInfo, evaluation_context_schema_field,
};
use confidence_resolver::proto::google::{Struct, Value, value::Kind};
use confidence_resolver::resolve_logger::build_resolve_log;
use isocountry::CountryCode;

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

/// What the resolver crate logs of one resolve.
///
/// The crate tells whether text is a country by making a set of all countries, for every field whose path has `country` in
/// it: some 100,000 instructions each, between request and response. Such fields are told here, and do not reach it.
pub fn resolve_log_of(
    context: &Struct,
    credential: &str,
    values: &[ResolvedValue<'_>],
) -> (Vec<FlagResolveInfo>, ClientResolveInfo) {
    if !has_country(context, false) {
        return build_resolve_log(context, credential, values);
    }
    let mut others = context.clone();
    let mut countries = Vec::new();
    take_countries(&mut others, "", false, &mut countries);
    let (flags, mut client) = build_resolve_log(&others, credential, values);
    if let Some(schema) = client.schema.first_mut() {
        for (path, is_country) in countries {
            if is_country {
                let format = CountryFormat::TwoLetterIsoCode.into();
                let country = Some(Type::Country(CountrySemanticType { format }));
                schema.semantic_types.insert(path.clone(), ContextFieldSemanticType { r#type: country });
            }
            schema.schema.insert(path, evaluation_context_schema_field::Kind::StringKind.into());
        }
    }
    (flags, client)
}

/// Says whether a path that ends in this name has `country` in it for its sake. Letters count without their case; no
/// letter but these becomes one of these in lower case, and none of them is the dot between two names.
fn names_country(name: &str) -> bool {
    const COUNTRY: &[u8] = b"country";
    name.as_bytes().windows(COUNTRY.len()).any(|window| window.eq_ignore_ascii_case(COUNTRY))
}

/// Says whether there is text under a path with `country` in it.
fn has_country(context: &Struct, is_country: bool) -> bool {
    context.fields.iter().any(|(name, value)| match &value.kind {
        Some(Kind::StringValue(_)) => is_country || names_country(name),
        Some(Kind::StructValue(nested)) => has_country(nested, is_country || names_country(name)),
        _ => false,
    })
}

/// Takes such text out of a context: its path, and whether it is a country.
fn take_countries(context: &mut Struct, prefix: &str, is_country: bool, taken: &mut Vec<(String, bool)>) {
    context.fields.retain(|name, Value { kind, .. }| {
        let is_country = is_country || names_country(name);
        match kind {
            Some(Kind::StructValue(nested)) => {
                take_countries(nested, &format!("{prefix}{name}."), is_country, taken);
                true
            }
            Some(Kind::StringValue(text)) if is_country => {
                taken.push((format!("{prefix}{name}"), is_country_code(text)));
                false
            }
            _ => true,
        }
    });
}

/// For each first letter of a country's code, the second letters, as bits.
static COUNTRIES: LazyLock<[u32; 26]> = LazyLock::new(|| {
    let mut letters = [0_u32; 26];
    for country in CountryCode::iter() {
        if let Some((first, second)) = letters_of(country.alpha2().as_bytes())
            && let Some(seconds) = letters.get_mut(first)
        {
            *seconds |= 1 << second;
        }
    }
    letters
});

/// Says whether text is an ISO 3166-1 alpha-2 code, once it is in capitals.
fn is_country_code(text: &str) -> bool {
    let code = |text: &[u8]| {
        letters_of(text)
            .is_some_and(|(first, second)| COUNTRIES.get(first).is_some_and(|seconds| seconds >> second & 1 == 1))
    };
    // Capitals of other letters may be two of these: the German sz.
    if text.is_ascii() { code(text.as_bytes()) } else { code(text.to_uppercase().as_bytes()) }
}

/// The places of two letters in the alphabet.
fn letters_of(text: &[u8]) -> Option<(usize, usize)> {
    let place = |letter: u8| letter.is_ascii_alphabetic().then(|| usize::from(letter.to_ascii_uppercase() - b'A'));
    match text {
        [first, second] => Some((place(*first)?, place(*second)?)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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

    /// Names without dots: two fields whose paths are the same have no order in the crate.
    fn names() -> impl Strategy<Value = String> {
        proptest::sample::select(vec![
            "country",
            "Country_of_x",
            "user",
            "xCOUNTRYx",
            "countr",
            "K\u{212a}ountry",
            "age",
            "ß",
        ])
        .prop_map(str::to_owned)
    }

    fn texts() -> impl Strategy<Value = String> {
        prop_oneof![
            "[A-Za-z]{2}",
            proptest::sample::select(vec!["SE", "ss", "ß", "ﬁ", "", "S", "SWE", "2025-04-01", "1.2.3", "Ⅹ", "se "])
                .prop_map(str::to_owned),
        ]
    }

    fn contexts() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            4 => texts().prop_map(serde_json::Value::from),
            1 => Just(serde_json::Value::Null),
            1 => any::<i16>().prop_map(serde_json::Value::from),
            1 => proptest::collection::vec(texts(), 0..3).prop_map(serde_json::Value::from),
        ];
        let object = |inner| proptest::collection::btree_map(names(), inner, 0..5);
        let nested = leaf.prop_recursive(3, 24, 5, move |inner| object(inner).prop_map(serde_json::Value::from_iter));
        proptest::collection::btree_map(names(), nested, 0..5).prop_map(serde_json::Value::from_iter)
    }

    proptest! {
        #[test]
        fn countries_are_told_as_the_crate_tells_them(json in contexts()) {
            let context = context(&json.to_string());
            let credential = "clients/a/clientCredentials/b";
            prop_assert_eq!(resolve_log_of(&context, credential, &[]), build_resolve_log(&context, credential, &[]));
        }
    }

    #[test]
    fn every_code_of_two_letters_is_told_as_the_crate_tells_it() {
        let letters = || (b'a'..=b'z').map(char::from);
        // All in one context: the crate makes its set for each of them.
        let fields = letters().flat_map(|first| letters().map(move |second| format!("{first}{second}")));
        let fields: Vec<_> = fields.map(|code| format!("\"country_{code}\":\"{code}\"")).collect();
        let context = context(&format!("{{{}}}", fields.join(",")));
        let (_, ours) = resolve_log_of(&context, "c", &[]);
        assert_eq!(ours, build_resolve_log(&context, "c", &[]).1);
        assert_eq!(ours.schema[0].semantic_types.len(), CountryCode::iter().count());
    }
}
