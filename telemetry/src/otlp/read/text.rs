//! Attribute values as text, as OpenTelemetry represents them where a protocol knows text alone: what is not a string as in
//! JSON, bytes in base64.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::common::v1::{AnyValue, any_value::Value};

use crate::limits::MAX_LABEL_VALUE_BYTES;

/// The text of a value; empty where there is none. Not written further than to pass [`MAX_LABEL_VALUE_BYTES`].
pub(super) fn text_of(value: Option<&AnyValue>) -> String {
    match value.and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::BytesValue(bytes)) => base64(bytes),
        Some(Value::DoubleValue(number)) => float(*number),
        // An index into a table of profiles, which metrics do not have.
        None | Some(Value::StringValueStrindex(_)) => String::new(),
        Some(other) => {
            let mut out = String::new();
            push_json(&mut out, Some(other));
            out
        }
    }
}

/// Every level and every element adds a byte at least, so the bound on bytes bounds depth and work too.
fn push_json(out: &mut String, value: Option<&Value>) {
    if out.len() > MAX_LABEL_VALUE_BYTES {
        return;
    }
    match value {
        None | Some(Value::StringValueStrindex(_)) => out.push_str("null"),
        Some(Value::BoolValue(value)) => out.push_str(if *value { "true" } else { "false" }),
        Some(Value::IntValue(value)) => out.push_str(&value.to_string()),
        Some(Value::DoubleValue(value)) if value.is_finite() => out.push_str(&float(*value)),
        Some(Value::DoubleValue(value)) => push_string(out, &float(*value)),
        Some(Value::StringValue(value)) => push_string(out, value),
        Some(Value::BytesValue(value)) => push_string(out, &base64(value)),
        Some(Value::ArrayValue(array)) => {
            out.push('[');
            for (index, element) in array.values.iter().enumerate() {
                if out.len() > MAX_LABEL_VALUE_BYTES {
                    return;
                }
                if index > 0 {
                    out.push(',');
                }
                push_json(out, element.value.as_ref());
            }
            out.push(']');
        }
        Some(Value::KvlistValue(list)) => {
            // By key, so that the same map is the same label; of a key that is there twice the last counts.
            let entries: BTreeMap<&str, Option<&AnyValue>> =
                list.values.iter().map(|entry| (entry.key.as_str(), entry.value.as_ref())).collect();
            out.push('{');
            for (index, (key, element)) in entries.into_iter().enumerate() {
                if out.len() > MAX_LABEL_VALUE_BYTES {
                    return;
                }
                if index > 0 {
                    out.push(',');
                }
                push_string(out, key);
                out.push(':');
                push_json(out, element.and_then(|element| element.value.as_ref()));
            }
            out.push('}');
        }
    }
}

fn push_string(out: &mut String, text: &str) {
    out.push('"');
    for character in text.chars() {
        if out.len() > MAX_LABEL_VALUE_BYTES {
            break;
        }
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\0'..='\u{1f}' | '\u{2028}' | '\u{2029}' => out.push_str(&format!("\\u{:04x}", u32::from(character))),
            other => out.push(other),
        }
    }
    out.push('"');
}

/// As ECMAScript prints numbers: the fewest digits that read back, an exponent below 10^-6 and from 10^21 on.
fn float(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    let magnitude = value.abs();
    if magnitude == 0.0 || (1e-6..1e21).contains(&magnitude) {
        return format!("{value}");
    }
    let text = format!("{value:e}");
    match text.split_once('e') {
        Some((digits, exponent)) if !exponent.starts_with('-') => format!("{digits}e+{exponent}"),
        _ => text,
    }
}

/// RFC 4648, with padding.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        if out.len() > MAX_LABEL_VALUE_BYTES {
            break;
        }
        let bits = chunk.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let digit = usize::try_from(bits >> (18 - 6 * place) & 63).ok().and_then(|index| DIGITS.get(index));
            out.push(if place > chunk.len() { '=' } else { digit.map_or('=', |digit| char::from(*digit)) });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::common::v1::{ArrayValue, KeyValue, KeyValueList};

    use super::*;

    fn any(value: Value) -> AnyValue {
        AnyValue { value: Some(value) }
    }

    fn entry(key: &str, value: Option<AnyValue>) -> KeyValue {
        KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
    }

    fn text(value: Value) -> String {
        text_of(Some(&any(value)))
    }

    #[test]
    fn every_type_has_a_text() {
        assert_eq!(text(Value::StringValue("a \"b\"".into())), "a \"b\"");
        assert_eq!(text(Value::BoolValue(true)), "true");
        assert_eq!(text(Value::IntValue(i64::MIN)), "-9223372036854775808");
        assert_eq!(text(Value::BytesValue(vec![0, 255, 16, 1])), "AP8QAQ==");
        assert_eq!(text(Value::BytesValue(b"abc".to_vec())), "YWJj");
        assert_eq!((text_of(None), text_of(Some(&AnyValue { value: None }))), (String::new(), String::new()));
        assert_eq!(text(Value::StringValueStrindex(7)), "");
        let list = Value::ArrayValue(ArrayValue {
            values: vec![
                any(Value::IntValue(1)),
                any(Value::DoubleValue(0.5)),
                any(Value::DoubleValue(f64::NAN)),
                any(Value::StringValue("a\"\\\n\u{1}<é\u{2028}".into())),
                AnyValue { value: None },
                any(Value::BytesValue(vec![1])),
            ],
        });
        assert_eq!(text(list.clone()), r#"[1,0.5,"NaN","a\"\\\n\u0001<é\u2028",null,"AQ=="]"#);
        let map = Value::KvlistValue(KeyValueList {
            values: vec![
                entry("z", Some(any(list))),
                entry("a", Some(any(Value::BoolValue(false)))),
                entry("a", Some(any(Value::IntValue(2)))),
                entry("n", None),
            ],
        });
        assert_eq!(text(map), r#"{"a":2,"n":null,"z":[1,0.5,"NaN","a\"\\\n\u0001<é\u2028",null,"AQ=="]}"#);
        assert_eq!(text(Value::KvlistValue(KeyValueList::default())), "{}");
    }

    #[test]
    fn numbers_are_printed_as_in_json() {
        for (number, expected) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (0.1, "0.1"),
            (1e-6, "0.000001"),
            (1.5e-7, "1.5e-7"),
            (1e20, "100000000000000000000"),
            (1e21, "1e+21"),
            (-1.25e300, "-1.25e+300"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "Infinity"),
            (f64::NEG_INFINITY, "-Infinity"),
        ] {
            assert_eq!(text(Value::DoubleValue(number)), expected);
        }
    }

    #[test]
    fn what_is_huge_or_deep_ends_soon_after_the_bound() {
        let deep = (0..2_000).fold(Value::IntValue(1), |inner, _| {
            Value::ArrayValue(ArrayValue { values: vec![any(inner), any(Value::IntValue(2))] })
        });
        let wide = Value::ArrayValue(ArrayValue { values: vec![AnyValue { value: None }; 100_000] });
        let long = Value::ArrayValue(ArrayValue { values: vec![any(Value::StringValue("x".repeat(100_000)))] });
        let bytes = Value::BytesValue(vec![7; 100_000]);
        for value in [deep, wide, long, bytes] {
            let text = text(value);
            assert!((MAX_LABEL_VALUE_BYTES + 1..MAX_LABEL_VALUE_BYTES + 64).contains(&text.len()), "{}", text.len());
        }
    }
}
