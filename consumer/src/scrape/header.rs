//! Lists in HTTP headers: `a;x=1;q=0.5, b` (RFC 9110 sections 5.6 and 12.4).
//!
//! Nothing here is an error: an element that does not parse is passed over, as the next one may.

/// The longest header that is looked at. Scrapers send a few hundred bytes; a longer one counts as absent.
pub const MAX_HEADER_BYTES: usize = 8 * 1024;

/// Without a `q` parameter, and the most there is.
pub const FULL_QUALITY: u16 = 1000;

/// The header, unless it is too long to be meant.
pub fn bounded(header: Option<&str>) -> Option<&str> {
    header.filter(|header| header.len() <= MAX_HEADER_BYTES)
}

/// One element of a list: what is named, and its parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Element<'a> {
    /// What is named, a token or a media range. Compared without case.
    pub name: &'a str,
    /// `q` in thousandths; 0: not acceptable.
    pub quality: u16,
    parameters: &'a str,
}

impl<'a> Element<'a> {
    /// The value of a parameter; its first where it stands twice.
    pub fn parameter(&self, name: &str) -> Option<ParameterValue<'a>> {
        parameters(self.parameters)
            .find(|(candidate, _)| candidate.eq_ignore_ascii_case(name))
            .map(|(_, value)| ParameterValue(value))
    }
}

/// The value of a parameter, as it was written: a token, or a string in quotes.
#[derive(Clone, Copy, Debug)]
pub struct ParameterValue<'a>(&'a str);

impl ParameterValue<'_> {
    /// Compares without case, and without the quotes that a sender may put around anything.
    pub fn is(&self, expected: &str) -> bool {
        let inside = self.0.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        let Some(inside) = inside else { return self.0.eq_ignore_ascii_case(expected) };
        let mut characters = inside.chars();
        let unescaped = std::iter::from_fn(|| match characters.next() {
            Some('\\') => characters.next(),
            other => other,
        });
        unescaped.map(|character| character.to_ascii_lowercase()).eq(expected.chars().map(|c| c.to_ascii_lowercase()))
    }
}

/// The elements of a list that parse, in order.
pub fn elements(header: &str) -> impl Iterator<Item = Element<'_>> {
    split_outside_quotes(header, ',').filter_map(|element| {
        let (name, parameters_of) = element.split_once(';').unwrap_or((element, ""));
        let name = name.trim();
        if name.is_empty() || !name.bytes().all(|byte| is_token_byte(byte) || byte == b'/') {
            return None;
        }
        let quality = parameters(parameters_of).find(|(name, _)| name.eq_ignore_ascii_case("q"));
        let quality = quality.map_or(Some(FULL_QUALITY), |(_, value)| permille(value))?;
        Some(Element { name, quality, parameters: parameters_of })
    })
}

/// Splits where a separator stands outside of a string in quotes.
pub fn split_outside_quotes(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    text.split(move |character| {
        let is_literal = std::mem::take(&mut is_escaped);
        match character {
            '\\' if is_quoted && !is_literal => is_escaped = true,
            '"' if !is_literal => is_quoted = !is_quoted,
            _ => return character == separator && !is_quoted,
        }
        false
    })
}

fn parameters(text: &str) -> impl Iterator<Item = (&str, &str)> {
    split_outside_quotes(text, ';').filter_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        Some((name.trim(), value.trim()))
    })
}

fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// A quality in thousandths: 0 to 1 with at most three decimals; `None` where it is none.
fn permille(text: &str) -> Option<u16> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if fraction.len() > 3 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let digits = fraction.bytes().chain(std::iter::repeat(b'0')).take(3);
    let thousandths = digits.fold(0_u16, |sum, digit| sum * 10 + u16::from(digit - b'0'));
    match (whole, thousandths) {
        ("0", thousandths) => Some(thousandths),
        ("1", 0) => Some(FULL_QUALITY),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(header: &str) -> Vec<(&str, u16)> {
        elements(header).map(|element| (element.name, element.quality)).collect()
    }

    #[test]
    fn elements_come_with_their_quality() {
        assert_eq!(read("a, b;q=0.5 ,\tc ; Q=0.125,d;x=1;q=0"), [("a", 1000), ("b", 500), ("c", 125), ("d", 0)]);
        assert_eq!(read("a;q=1.000,b;q=0.,c;q=1."), [("a", 1000), ("b", 0), ("c", 1000)]);
    }

    #[test]
    fn what_does_not_parse_is_passed_over() {
        for quality in ["NaN", "2", "-1", "1.001", "0.1234", "", "1e0", ".5", "0.5.5", "+1", "٠"] {
            let header = format!("a;q={quality}");
            assert!(read(&header).iter().all(|(name, _)| *name != "a"), "{quality}");
        }
        assert_eq!(read(",, ;, a b, (x), \u{e9},ok"), [("ok", 1000)]);
        assert_eq!(read("*; q=.2, */*; q=0.2"), [("*/*", 200)]);
    }

    #[test]
    fn commas_and_semicolons_in_quotes_separate_nothing() {
        let header = r#"a;x="1,2;q=0";q=0.5, b;y="\",\"", c"#;
        assert_eq!(read(header), [("a", 500), ("b", 1000), ("c", 1000)]);
        // A string that does not end takes the rest with it.
        assert_eq!(read(r#"a;x="1, b, c"#), [("a", 1000)]);
    }

    #[test]
    fn values_are_compared_without_case_and_quotes() {
        let value = |header: &'static str| elements(header).next().unwrap().parameter("version").unwrap();
        for header in ["a;version=X.1", "a; VERSION = x.1", r#"a;version="x.1""#, r#"a;version="\x.\1""#] {
            assert!(value(header).is("x.1"), "{header}");
        }
        for header in ["a;version=x", r#"a;version="x.1"#, "a;version=", "a;version=x.1.0"] {
            assert!(!value(header).is("x.1"), "{header}");
        }
        assert!(elements("a;b=c").next().unwrap().parameter("version").is_none());
    }

    #[test]
    fn a_header_that_is_too_long_is_absent() {
        let long = "a".repeat(MAX_HEADER_BYTES);
        assert_eq!(bounded(Some(&long)), Some(long.as_str()));
        assert_eq!(bounded(Some(&format!("{long}a"))), None);
    }
}
