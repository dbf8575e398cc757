//! A reader of the samples of a text.

/// Names and values, as they stand.
pub(crate) type Labels = Vec<(String, String)>;

/// Reads `name{a="…",b="…"} value` back, by the grammar of the formats and not by the encoder's code.
pub(crate) fn parse_sample(line: &str) -> (String, Labels, String) {
    let Some((name, rest)) = line.split_once('{') else {
        let (name, value) = line.split_once(' ').unwrap();
        return (name.to_owned(), Vec::new(), value.to_owned());
    };
    let mut labels = Vec::new();
    let mut chars = rest.chars();
    loop {
        let label: String = chars.by_ref().take_while(|c| *c != '=').collect();
        assert_eq!(chars.next(), Some('"'));
        let mut value = String::new();
        loop {
            match chars.next().expect("a quote ends the value") {
                '"' => break,
                '\\' => value.push(match chars.next() {
                    Some('n') => '\n',
                    Some(other @ ('\\' | '"')) => other,
                    other => panic!("illegal escape {other:?}"),
                }),
                other => value.push(other),
            }
        }
        labels.push((label, value));
        match chars.next() {
            Some(',') => {}
            Some('}') => break,
            other => panic!("{other:?} after a label"),
        }
    }
    assert_eq!(chars.next(), Some(' '));
    (name.to_owned(), labels, chars.collect())
}
