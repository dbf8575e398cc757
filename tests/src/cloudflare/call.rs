//! One request, taken apart.

use std::collections::BTreeMap;

use super::answer::ApiError;

/// A request as it came in, its body whole.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) method: String,
    /// As it was sent, without the query.
    pub(crate) path: String,
    /// As it was sent, without the question mark.
    pub(crate) query: String,
    /// Names in lower case.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Call {
    /// A header's value, empty where there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(String::as_str).unwrap_or_default()
    }

    /// The path's segments below `prefix`, each decoded, so that a slash in a key stays in its segment.
    pub(crate) fn segments(&self, prefix: &str) -> Vec<String> {
        let path = self.path.strip_prefix(prefix).unwrap_or(&self.path);
        path.split('/').filter(|segment| !segment.is_empty()).map(decode).collect()
    }

    /// All values of a parameter of the query.
    pub(crate) fn params(&self, name: &str) -> Vec<String> {
        let pairs = self.query.split('&').filter_map(|pair| pair.split_once('=').or(Some((pair, ""))));
        // In a query a plus is a space.
        let text = |part: &str| decode(&part.replace('+', " "));
        pairs.map(|(key, value)| (text(key), text(value))).filter(|(key, _)| key == name).map(|(_, v)| v).collect()
    }

    /// The first value of a parameter, if it has one that is not empty.
    pub(crate) fn param(&self, name: &str) -> Option<String> {
        self.params(name).into_iter().find(|value| !value.is_empty())
    }

    /// A number from the query, within bounds.
    ///
    /// # Errors
    /// 400 for anything else.
    pub(crate) fn number(&self, name: &str, default: usize, range: [usize; 2]) -> Result<usize, ApiError> {
        let [least, most] = range;
        let Some(text) = self.param(name) else { return Ok(default) };
        let number = text.parse().ok().filter(|number| (least..=most).contains(number));
        number.ok_or_else(|| ApiError::new(400, 10_006, format!("invalid {name} {text:?}: {least} to {most}")))
    }

    /// The body as a JSON object or array. `code` is what this API calls a body that is none.
    ///
    /// # Errors
    /// 400 with `code`.
    pub(crate) fn json(&self, code: u32) -> Result<serde_json::Value, ApiError> {
        serde_json::from_slice(&self.body)
            .map_err(|error| ApiError::new(400, code, format!("could not parse the request body as JSON: {error}")))
    }
}

/// Undoes percent-encoding; what is not encoded properly stays as it is.
pub(crate) fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let encoded = match rest {
            [b'%', high, low, after @ ..] => digit(*high).zip(digit(*low)).map(|(high, low)| (high << 4 | low, after)),
            _ => None,
        };
        let (byte, after) = encoded.unwrap_or((*first, tail));
        bytes.push(byte);
        rest = after;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn digit(character: u8) -> Option<u8> {
    char::from(character).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_and_query_are_decoded() {
        let call = Call {
            method: "GET".into(),
            path: "/client/v4/values/a%2Fb%zz%C3%A9".into(),
            query: "name=a+b&name=%2B&other=1&flag".into(),
            headers: BTreeMap::new(),
            body: Vec::new(),
        };
        assert_eq!(call.segments("/client/v4"), ["values", "a/b%zz\u{e9}"]);
        assert_eq!(call.params("name"), ["a b", "+"]);
        assert_eq!((call.param("flag"), call.number("other", 7, [1, 2]).unwrap()), (None, 1));
        assert!(call.number("other", 7, [2, 3]).is_err());
    }
}
