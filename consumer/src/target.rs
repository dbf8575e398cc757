//! What a request asks for, from its URL.
//!
//! The runtime has parsed and written that URL already (WHATWG URL Standard), so its parts only have to be found. A general
//! parser would bring the tables of international host names into the Worker: 70 kB of gzipped wasm.

/// The parts of a request's URL that matter here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target<'a> {
    /// True when the client came by https.
    pub is_https: bool,
    /// The path as it stands in the URL, percent-encoded; begins with a slash.
    pub path: &'a str,
    /// The query as it stands in the URL, without its question mark; `None` where there is no question mark.
    pub query: Option<&'a str>,
}

impl<'a> Target<'a> {
    /// Finds them in an absolute URL as the runtime writes it.
    pub fn read(url: &'a str) -> Self {
        let url = url.split_once('#').map_or(url, |(before, _)| before);
        let (url, query) = url.split_once('?').map_or((url, None), |(before, query)| (before, Some(query)));
        let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
        // No host has a slash, and the runtime writes no empty path.
        let path = rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/");
        Self { is_https: scheme == "https", path, query }
    }

    /// The options of the query in order, decoded (application/x-www-form-urlencoded). What is no UTF-8 is replaced.
    pub fn pairs(self) -> impl Iterator<Item = (String, String)> + 'a {
        let parts = self.query.unwrap_or_default().split('&').filter(|part| !part.is_empty());
        parts.map(|part| {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            (decode(name), decode(value))
        })
    }
}

fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let escaped = match rest {
            [b'%', high, low, after @ ..] => digit(*high).zip(digit(*low)).map(|(high, low)| (high << 4 | low, after)),
            _ => None,
        };
        let plain = if *first == b'+' { b' ' } else { *first };
        let (byte, after) = escaped.unwrap_or((plain, tail));
        bytes.push(byte);
        rest = after;
    }
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use url::Url;

    use super::*;

    fn same_as_the_parser(text: &str) {
        let Ok(parsed) = Url::parse(text) else { return };
        let written = parsed.as_str();
        let target = Target::read(written);
        let query = parsed.query();
        assert_eq!(target, Target { is_https: parsed.scheme() == "https", path: parsed.path(), query }, "{written}");
        let pairs: Vec<(String, String)> = parsed.query_pairs().into_owned().collect();
        assert_eq!(target.pairs().collect::<Vec<_>>(), pairs, "{written}");
    }

    #[test]
    fn a_url_is_taken_apart_as_the_parser_does() {
        for text in [
            "https://a.example/metrics?buckets_per_decade=3&name[]=a&name[]=b%20c",
            "http://127.0.0.1:8787",
            "http://user:pass@[::1]:80/a/b%2Fc?",
            "https://xn--bcher-kva.example/?a=b=c&&=&d&e+f=%zz%4",
            "https://a/?q=%C3%A5%FF+#frag?x/y",
            "https://a/#?a=b",
            "https://a/dead-letters:redrive?x=http://b/c",
        ] {
            assert!(Url::parse(text).is_ok(), "{text}");
            same_as_the_parser(text);
        }
    }

    #[test]
    fn what_is_no_url_has_a_path_all_the_same() {
        for text in ["", "https:", "https://", "https://host", "?", "#"] {
            assert_eq!(Target::read(text).path, "/", "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn any_path_query_and_fragment(rest in "[ -~å\u{1F600}]{0,40}") {
            same_as_the_parser(&format!("https://host.example/{rest}"));
            same_as_the_parser(&format!("http://host.example?{rest}"));
        }
    }
}
