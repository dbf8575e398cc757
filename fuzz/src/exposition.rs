//! A strict parser of both text formats, by their grammars and not by the encoder's code.
//!
//! It refuses what a reference parser refuses (OpenMetrics 1.0 and the text format 0.0.4 as `prometheus_client` and
//! Prometheus read them), and besides whatever our encoder never writes: time stamps, exemplars, other kinds, blank
//! lines, escapes that are not needed.

use std::collections::BTreeSet;

/// One family as printed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Family {
    /// The name of its comments; in text 0.0.4 a counter's ends in `_total`.
    pub name: String,
    /// `counter`, `gauge` or `histogram`.
    pub kind: String,
    /// Of the `UNIT` line, if there is one.
    pub unit: Option<String>,
    /// Unescaped.
    pub help: String,
    /// In the order of the text.
    pub samples: Vec<Sample>,
}

/// One sample as printed.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// With its suffix.
    pub name: String,
    /// Name and unescaped value, in the order of the text.
    pub labels: Vec<(String, String)>,
    /// The digits.
    pub value: String,
}

/// Reads a whole exposition.
///
/// # Errors
/// The first thing that is wrong, with its line.
pub fn parse(text: &str, open_metrics: bool) -> Result<Vec<Family>, String> {
    let mut body = text;
    if open_metrics {
        body = text.strip_suffix("# EOF\n").ok_or("no # EOF at the end")?;
    }
    if !body.is_empty() && !body.ends_with('\n') {
        return Err("the last line does not end".into());
    }
    let mut families: Vec<Family> = Vec::new();
    for line in body.split_terminator('\n') {
        read_line(line, open_metrics, &mut families).map_err(|why| format!("{why}: {line}"))?;
    }
    let mut claimed = BTreeSet::new();
    for family in &families {
        check_family(family, open_metrics).map_err(|why| format!("family {}: {why}", family.name))?;
        for name in claims(family, open_metrics) {
            if !claimed.insert(name.clone()) {
                return Err(format!("two families have the name {name}"));
            }
        }
    }
    Ok(families)
}

/// The names that a family takes, for comments and samples.
fn claims(family: &Family, open_metrics: bool) -> Vec<String> {
    let suffixes: &[&str] = match (family.kind.as_str(), open_metrics) {
        ("counter", true) => &["", "_total", "_created"],
        ("histogram", true) => &["", "_bucket", "_count", "_sum", "_created"],
        ("histogram", false) => &["", "_bucket", "_count", "_sum"],
        _ => &[""],
    };
    suffixes.iter().map(|suffix| format!("{}{suffix}", family.name)).collect()
}

fn read_line(line: &str, open_metrics: bool, families: &mut Vec<Family>) -> Result<(), String> {
    let Some(comment) = line.strip_prefix('#') else {
        let sample = read_sample(line)?;
        let family = families.last_mut().ok_or("a sample before any family")?;
        if family.kind.is_empty() {
            return Err("a sample before the TYPE".into());
        }
        family.samples.push(sample);
        return Ok(());
    };
    let comment = comment.strip_prefix(' ').ok_or("a comment without a space")?;
    let (keyword, rest) = comment.split_once(' ').ok_or("a comment of one word")?;
    let (name, value) = rest.split_once(' ').ok_or("a comment without a value")?;
    if !is_identifier(name) {
        return Err("not a family name".into());
    }
    let first = if open_metrics { "TYPE" } else { "HELP" };
    if keyword == first {
        if families.iter().any(|family| family.name == name) {
            return Err("a family twice".into());
        }
        families.push(Family { name: name.to_owned(), ..Family::default() });
    }
    let family = families.last_mut().filter(|family| family.name == name).ok_or("a comment of another family")?;
    if !family.samples.is_empty() {
        return Err("a comment after samples".into());
    }
    match keyword {
        "TYPE" if family.kind.is_empty() && ["counter", "gauge", "histogram"].contains(&value) => {
            family.kind = value.to_owned();
        }
        "UNIT" if open_metrics && family.unit.is_none() && is_identifier(value) => family.unit = Some(value.to_owned()),
        "HELP" => {
            let quote = if open_metrics { Quote::Escaped } else { Quote::Plain };
            let (help, rest) = unescape(value, quote)?;
            if !rest.is_empty() {
                return Err("an unescaped quote".into());
            }
            family.help = help;
        }
        _ => return Err("a comment that is not expected".into()),
    }
    Ok(())
}

/// What a quote is.
#[derive(Clone, Copy, PartialEq)]
enum Quote {
    /// A character like others; never escaped.
    Plain,
    /// The end, unless escaped.
    Escaped,
}

/// Reads up to a quote that ends the text, or to the end; gives what was read and the rest, from the quote on.
fn unescape(text: &str, quote: Quote) -> Result<(String, &str), String> {
    let mut read = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' if quote == Quote::Escaped => return Ok((read, &text[at..])),
            '\\' => match characters.next() {
                Some((_, 'n')) => read.push('\n'),
                Some((_, '\\')) => read.push('\\'),
                Some((_, '"')) if quote == Quote::Escaped => read.push('"'),
                _ => return Err("an illegal escape".into()),
            },
            other => read.push(other),
        }
    }
    Ok((read, ""))
}

fn is_identifier(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn read_sample(line: &str) -> Result<Sample, String> {
    let end = line.find(['{', ' ']).ok_or("no sample")?;
    let (name, mut rest) = line.split_at(end);
    if !is_identifier(name) {
        return Err("not a sample name".into());
    }
    let mut labels: Vec<(String, String)> = Vec::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        loop {
            let (label, after) = rest.split_once("=\"").ok_or("no label")?;
            if !is_identifier(label) || label.starts_with("__") {
                return Err("not a label name".into());
            }
            let (value, after) = unescape(after, Quote::Escaped)?;
            let after = after.strip_prefix('"').ok_or("a label value that does not end")?;
            if labels.iter().any(|(other, _)| other == label) {
                return Err("a label twice".into());
            }
            labels.push((label.to_owned(), value));
            match after.strip_prefix(',') {
                Some(next) => rest = next,
                None => {
                    rest = after.strip_prefix('}').ok_or("labels that do not end")?;
                    break;
                }
            }
        }
    }
    let value = rest.strip_prefix(' ').ok_or("no value")?;
    if !is_number(value) {
        return Err("not a number".into());
    }
    Ok(Sample { name: name.to_owned(), labels, value: value.to_owned() })
}

/// `[sign] digits [. digits] [e [sign] digits]`, or an infinity. NaN is legal in the formats and never in our states.
fn is_number(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if unsigned == "Inf" {
        return text != unsigned;
    }
    let (number, exponent) = unsigned.split_once('e').map_or((unsigned, None), |(number, e)| (number, Some(e)));
    let (whole, fraction) = number.split_once('.').map_or((number, None), |(whole, f)| (whole, Some(f)));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits(whole)
        && fraction.is_none_or(digits)
        && exponent.is_none_or(|exponent| digits(exponent.strip_prefix(['-', '+']).unwrap_or(exponent)))
}

fn check_family(family: &Family, open_metrics: bool) -> Result<(), String> {
    if family.samples.is_empty() {
        return Err("no samples".into());
    }
    if let Some(unit) = &family.unit
        && !family.name.strip_suffix(unit.as_str()).is_some_and(|stem| stem.ends_with('_'))
    {
        return Err("the unit is not the end of the name".into());
    }
    let mut seen = BTreeSet::new();
    for sample in &family.samples {
        let mut labels = sample.labels.clone();
        labels.sort();
        if !seen.insert((sample.name.as_str(), labels)) {
            return Err(format!("a sample twice: {sample:?}"));
        }
        let has_bound = sample.labels.iter().any(|(name, _)| name == "le" || name == "quantile");
        if has_bound != (family.kind == "histogram" && sample.name.ends_with("_bucket")) {
            return Err(format!("a bound where none belongs: {sample:?}"));
        }
    }
    let mut samples = family.samples.as_slice();
    while let Some((first, rest)) = samples.split_first() {
        samples = match family.kind.as_str() {
            "histogram" => read_histogram(family, samples, open_metrics)?,
            "counter" => {
                let base = if open_metrics { family.name.as_str() } else { family.name.trim_end_matches("_total") };
                named(first, base, "_total")?;
                count_or_sum(&first.value)?;
                created(base, &first.labels, rest, open_metrics)?
            }
            _ => {
                named(first, &family.name, "")?;
                rest
            }
        };
    }
    Ok(())
}

fn named(sample: &Sample, base: &str, suffix: &str) -> Result<(), String> {
    let is = sample.name.strip_prefix(base) == Some(suffix);
    if is { Ok(()) } else { Err(format!("{} instead of {base}{suffix}", sample.name)) }
}

fn unsigned(text: &str) -> Result<u64, String> {
    text.parse().ok().filter(|number: &u64| number.to_string() == text).ok_or(format!("{text} is no plain count"))
}

/// What a counter counts: whole, or a finite number that is not negative.
fn count_or_sum(text: &str) -> Result<(), String> {
    let is_sum = is_number(text) && text.parse::<f64>().is_ok_and(|sum| sum.is_finite() && sum.is_sign_positive());
    if unsigned(text).is_ok() || is_sum { Ok(()) } else { Err(format!("{text} is no count")) }
}

/// Steps over a `_created` sample of the series before, where there is one.
fn created<'a>(
    base: &str,
    labels: &[(String, String)],
    samples: &'a [Sample],
    open_metrics: bool,
) -> Result<&'a [Sample], String> {
    match samples.split_first() {
        Some((sample, rest)) if sample.name.strip_prefix(base) == Some("_created") && sample.labels == labels => {
            if open_metrics {
                Ok(rest)
            } else {
                Err("_created in text 0.0.4".into())
            }
        }
        _ => Ok(samples),
    }
}

/// Checks one series of a histogram and gives what follows it.
fn read_histogram<'a>(family: &Family, samples: &'a [Sample], open_metrics: bool) -> Result<&'a [Sample], String> {
    let mut labels: Option<&[(String, String)]> = None;
    let mut last: Option<(f64, u64)> = None;
    let mut lowest = f64::INFINITY;
    let mut rest = samples;
    loop {
        let Some((sample, after)) = rest.split_first() else { return Err("buckets without +Inf".into()) };
        named(sample, &family.name, "_bucket")?;
        let Some(((bound_name, bound), own)) = sample.labels.split_last() else { return Err("no le".into()) };
        if bound_name != "le" || !is_number(bound) || *labels.get_or_insert(own) != own {
            return Err(format!("not the next bucket: {sample:?}"));
        }
        let upper: f64 = bound.parse().map_err(|_| "le is no number")?;
        let count = unsigned(&sample.value)?;
        if last.is_some_and(|(last, least)| last >= upper || least > count) {
            return Err(format!("buckets that do not increase: {sample:?}"));
        }
        last = Some((upper, count));
        lowest = lowest.min(upper);
        rest = after;
        if upper == f64::INFINITY {
            if bound != "+Inf" {
                return Err("an infinite bound is written +Inf".into());
            }
            break;
        }
    }
    let (labels, count) = (labels.unwrap_or_default(), last.map_or(0, |(_, count)| count));
    match rest {
        [sum, total, after @ ..] if sum.name.strip_prefix(&family.name) == Some("_sum") && sum.labels == labels => {
            named(total, &family.name, "_count")?;
            if total.labels != labels || unsigned(&total.value)? != count {
                return Err("_count is not the +Inf bucket".into());
            }
            let sum: f64 = sum.value.parse().map_err(|_| "the sum is no number")?;
            // OpenMetrics 1.0, "Histogram": a sum that could fall is not exposed, and none is negative.
            if open_metrics && (lowest < 0.0 || sum < 0.0) {
                return Err("a sum that may fall".into());
            }
            rest = after;
        }
        // Of a sum that is not known the older format has the count alone, and OpenMetrics nothing.
        [total, after @ ..] if !open_metrics && total.name.strip_prefix(&family.name) == Some("_count") => {
            if total.labels != labels || unsigned(&total.value)? != count {
                return Err("_count is not the +Inf bucket".into());
            }
            rest = after;
        }
        _ if open_metrics => {}
        _ => return Err("no _sum and _count".into()),
    }
    created(&family.name, labels, rest, open_metrics)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "# TYPE h histogram\n# HELP h \nh_bucket{le=\"1.0\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_sum 3\nh_count 2\n\
                        # TYPE c counter\n# HELP c a\\nb\nc_total{a=\"\\\"\"} 1\n# EOF\n";

    #[test]
    fn what_is_right_is_read() {
        let families = parse(GOOD, true).unwrap();
        assert_eq!(families.len(), 2);
        assert_eq!(families[1].help, "a\nb");
        assert_eq!(families[1].samples[0].labels, [("a".to_owned(), "\"".to_owned())]);
    }

    #[test]
    fn what_is_wrong_is_refused() {
        for (good, bad) in [
            ("# EOF\n", ""),
            ("# EOF\n", "# EOF"),
            ("# TYPE c counter\n", ""),
            ("# TYPE c", "# TYPE h"),
            ("c_total", "c"),
            ("c_total", "h_total"),
            ("c_total{a=\"\\\"\"} 1", "c_total{a=\"\\\"\"} -1"),
            ("c_total{a=\"\\\"\"} 1", "c_total{a=\"\\\"\"} NaN"),
            ("a=\"\\\"\"", "a=\"\"\""),
            ("a=\"\\\"\"", "a=\"\\x\""),
            ("a=\"\\\"\"", "a=\"1\",a=\"2\""),
            ("a=\"\\\"\"", "le=\"1\""),
            ("a=\"\\\"\"", "__a=\"1\""),
            ("le=\"1.0\"} 1", "le=\"1.0\"} 3"),
            ("le=\"+Inf\"} 2", "le=\"+Inf\"} 3"),
            ("le=\"+Inf\"", "le=\"2\""),
            ("le=\"1.0\"", "le=\"-1.0\""),
            ("h_sum 3", "h_sum -3"),
            ("h_sum 3\n", ""),
            ("h_sum 3", "h_sum 3 1700000000"),
            ("h_sum 3", "h_sum NaN"),
            ("# TYPE c counter", "# TYPE h_count counter"),
        ] {
            let text = GOOD.replacen(good, bad, 1);
            assert_ne!(text, GOOD);
            assert!(parse(&text, true).is_err(), "{text}");
        }
        let doubled = GOOD.replacen("c_total{a=\"\\\"\"} 1\n", "c_total 1\nc_total 1\n", 1);
        assert!(parse(&doubled, true).is_err());
    }
}
