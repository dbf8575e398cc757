//! Requests against copies, without a runtime.

#[path = "../../../telemetry/tests/client_model/mod.rs"]
mod client_model;

use std::{collections::BTreeMap, rc::Rc};

use super::*;
use crate::{
    ledger::{book::Book, publish},
    scrape::copy::Copy,
    self_metrics::LedgerStatus,
};

const PUBLISHED_MS: u64 = 1_700_000_000_000;
const NOW_MS: u64 = PUBLISHED_MS + 3_214;
const OPENMETRICS: &str = "application/openmetrics-text;version=1.0.0";
const PROTOBUF: &str = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited";

fn config(variables: &[(&'static str, &'static str)]) -> Config {
    Config::read(&variables.iter().copied().collect::<BTreeMap<_, _>>()).0
}

fn copies(config: &Config) -> [Copy; 3] {
    let state = Book::new("cf-resolver", 1_000).unwrap().state;
    let copies = publish::copies(&state, &LedgerStatus::default(), View::of_config(config), PUBLISHED_MS).unwrap();
    let of = |source, bytes| Copy { source, publication: Some(copies.publication.clone()), bytes: Rc::new(bytes) };
    [
        of(Source::Text, copies.openmetrics()),
        of(Source::Snapshot, copies.snapshot()),
        Copy::of_ledger(copies.snapshot(), NOW_MS),
    ]
}

/// Answers as the platform would, from the copy that the request's source names.
fn get(config: &Config, ask: Ask<'_>) -> Answer {
    let wanted = match Wanted::read(ask, config) {
        Ok(wanted) => wanted,
        Err(answer) => return answer,
    };
    let source = wanted.source(config);
    let copy = copies(config).into_iter().find(|copy| copy.source == source).unwrap();
    answer(&copy, &wanted, ask, NOW_MS).unwrap()
}

fn query(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn status(method: &str, path: &str, access: Access) -> Option<u16> {
    refuse(method, path, access).map(|answer| answer.status)
}

fn text(answer: &Answer) -> &str {
    std::str::from_utf8(&answer.body).unwrap()
}

#[test]
fn only_a_permitted_read_of_metrics_goes_on() {
    assert_eq!(status("GET", "/metrics", Access::Granted), None);
    assert_eq!(status("HEAD", "/metrics", Access::Granted), None);
    assert_eq!(status("POST", "/metrics", Access::Granted), Some(405));
    assert_eq!(status("GET", "/metrics/", Access::Granted), Some(404));
    assert_eq!(status("GET", "/metrics", Access::Denied), Some(401));
    assert_eq!(status("GET", "/metrics", Access::Unconfigured), Some(503));
    assert_eq!(refuse("PUT", "/metrics", Access::Denied).unwrap().header("Allow"), Some("GET, HEAD"));
    assert!(refuse_access(Access::Denied).unwrap().header("WWW-Authenticate").is_some());
}

#[test]
fn content_types_and_headers_are_exact() {
    let config = config(&[]);
    for (accept, content_type) in [
        (Some(OPENMETRICS), "application/openmetrics-text; version=1.0.0; charset=utf-8"),
        (
            Some(PROTOBUF),
            "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited",
        ),
        (Some("text/plain"), "text/plain; version=0.0.4; charset=utf-8"),
        (None, "text/plain; version=0.0.4; charset=utf-8"),
    ] {
        let answer = get(&config, Ask { accept, ..Ask::default() });
        assert_eq!((answer.status, answer.header("Content-Type")), (200, Some(content_type)));
        assert_eq!(answer.header("Vary"), Some("Accept, Accept-Encoding, Authorization"));
        assert_eq!(answer.header("Age"), Some("3"));
        assert_eq!(answer.header("Content-Encoding"), None);
        assert!(answer.header("ETag").is_some());
    }
    let gzip = get(&config, Ask { accept_encoding: Some("gzip"), ..Ask::default() });
    assert_eq!(gzip.header("Content-Encoding"), Some("gzip"));
    assert_eq!(gzip.body, get(&config, Ask::default()).body, "the platform compresses");
}

#[test]
fn the_stored_text_is_served_as_it_is_with_its_age() {
    let config = config(&[]);
    let answer = get(&config, Ask { accept: Some(OPENMETRICS), ..Ask::default() });
    let [stored, snapshot, _] = copies(&config);
    let families = stored.bytes.strip_suffix(b"# EOF\n").unwrap();
    let tail = answer.body.strip_prefix(families).unwrap();
    assert!(std::str::from_utf8(tail).unwrap().ends_with("\ntributary_metrics_age_seconds 3.214\n# EOF\n"));
    // Rendered from the state it is the same, byte for byte.
    let ask = Ask { accept: Some(OPENMETRICS), ..Ask::default() };
    let wanted = Wanted::read(ask, &config).unwrap();
    assert_eq!(super::answer(&snapshot, &wanted, ask, NOW_MS).unwrap(), answer);
}

/// The families of a protobuf answer, by their names, and the samples of all.
fn messages(answer: &Answer) -> (Vec<String>, Vec<client_model::Sample>) {
    let families = client_model::read(&answer.body).unwrap();
    let samples = families.iter().flat_map(|family| family.samples().unwrap()).collect();
    (families.iter().map(|family| family.name().to_owned()).collect(), samples)
}

#[test]
fn protobuf_says_what_the_text_of_the_same_copy_says_and_ends_with_its_age() {
    for config in [config(&[]), config(&[("METRICS_SOURCE", "ledger")])] {
        let (protobuf, text) =
            [PROTOBUF, "text/plain"].map(|accept| get(&config, Ask { accept: Some(accept), ..Ask::default() })).into();
        let (names, samples) = messages(&protobuf);
        assert_eq!(names.last().map(String::as_str), Some("tributary_metrics_age_seconds"));
        assert!(names.iter().any(|name| name == "confidence_resolves_total"));
        let lines = self::text(&text).lines().filter(|line| !line.starts_with('#'));
        assert_eq!(samples.len(), lines.count());
        let (name, labels, age) = samples.last().unwrap();
        assert_eq!(
            (name.as_str(), labels.len(), text.header("Age")),
            ("tributary_metrics_age_seconds", 0, protobuf.header("Age"))
        );
        assert_eq!(*age, if config.metrics_source == crate::config::MetricsSource::Ledger { 0.0 } else { 3.214 });
    }
}

#[test]
fn options_are_those_of_protobuf_too_but_for_the_one_that_asks_for_text() {
    let config = config(&[]);
    let with =
        |pairs: &[(&str, &str)]| get(&config, Ask { accept: Some(PROTOBUF), query: &query(pairs), ..Ask::default() });
    let buckets = |answer: &Answer| {
        let (_, samples) = messages(answer);
        samples.iter().filter(|(name, ..)| name == "confidence_resolve_latency_microseconds_bucket").count()
    };
    assert_eq!(buckets(&with(&[])), 175);
    assert_eq!(buckets(&with(&[("buckets_per_decade", "3")])), 174 / 6 + 1);
    assert_eq!(
        messages(&with(&[("name[]", "confidence_resolves_total"), ("name[]", "x")])).0,
        ["confidence_resolves_total"]
    );
    assert_eq!(messages(&with(&[("name[]", "tributary_metrics_age_seconds")])).0, ["tributary_metrics_age_seconds"]);
    let none = with(&[("name[]", "nothing")]);
    assert_eq!((none.status, none.body.len()), (200, 0));
    for openmetrics in ["true", "false"] {
        let text = with(&[("openmetrics", openmetrics)]);
        assert!(!text.header("Content-Type").unwrap().contains("protobuf"));
        assert!(self::text(&text).starts_with('#'));
    }
}

#[test]
fn options_choose_density_format_and_families() {
    let config = config(&[]);
    let with = |pairs: &[(&str, &str)]| get(&config, Ask { query: &query(pairs), ..Ask::default() });
    let coarse = with(&[("buckets_per_decade", "3"), ("openmetrics", "true")]);
    assert_eq!(text(&coarse).matches("confidence_resolve_latency_microseconds_bucket").count(), 174 / 6 + 1);
    assert!(coarse.header("Content-Type").unwrap().starts_with("application/openmetrics-text"));
    let one = with(&[("name[]", "confidence_resolves_total"), ("name[]", "nothing")]);
    assert_eq!(text(&one).matches("# TYPE").count(), 1);
    assert!(!text(&one).contains("tributary_metrics_age_seconds"));
    let age = with(&[("name[]", "tributary_metrics_age_seconds"), ("openmetrics", "1")]);
    assert_eq!(text(&age).matches("# TYPE").count(), 1);
    assert_eq!(text(&with(&[("name[]", "nothing")])), "");
    assert_eq!(text(&with(&[("name[]", "nothing"), ("openmetrics", "1")])), "# EOF\n");
    for (name, value) in [("buckets_per_decade", "0"), ("openmetrics", "perhaps"), ("name[]", "")] {
        let answer = with(&[(name, value)]);
        assert_eq!(answer.status, 400);
        assert!(text(&answer).contains(name));
    }
    let long = Ask { query_bytes: MAX_QUERY_BYTES + 1, ..Ask::default() };
    assert_eq!(get(&config, long).status, 414);
}

#[test]
fn configured_defaults_are_what_is_published() {
    let config = config(&[("METRICS_OPENMETRICS", "true"), ("METRICS_NAMES", "confidence_resolves")]);
    let wanted = Wanted::read(Ask::default(), &config).unwrap();
    assert_eq!(wanted.source(&config), Source::Text);
    let answer = get(&config, Ask::default());
    assert_eq!(text(&answer).matches("# TYPE").count(), 1);
    assert!(text(&answer).ends_with("# EOF\n"));
}

#[test]
fn who_has_the_publication_gets_no_body() {
    let config = config(&[]);
    for ask in [
        Ask { accept: Some(OPENMETRICS), accept_encoding: Some("gzip"), ..Ask::default() },
        Ask { accept: Some("text/plain"), ..Ask::default() },
        Ask { accept: Some(PROTOBUF), ..Ask::default() },
    ] {
        let first = get(&config, ask);
        let etag = first.header("ETag").unwrap().to_owned();
        let again = get(&config, Ask { if_none_match: Some(&etag), ..ask });
        assert_eq!((again.status, again.body.len()), (304, 0));
        for name in ["ETag", "Vary", "Cache-Control", "Age"] {
            assert_eq!(again.header(name), first.header(name), "{name}");
        }
        assert_eq!(again.header("Content-Type"), None);
        assert_eq!(again.header("Content-Encoding"), None);
        // Another representation is another answer.
        let plain = get(&config, Ask { if_none_match: Some(&etag), query: &query(&[("name[]", "x")]), ..ask });
        assert_eq!(plain.status, 200);
    }
    // Not modified is said without looking into the copy.
    let ask = Ask { if_none_match: Some("*"), ..Ask::default() };
    let garbage = Copy { bytes: Rc::new(b"garbage".to_vec()), ..copies(&config)[1].clone() };
    assert_eq!(answer(&garbage, &Wanted::read(ask, &config).unwrap(), ask, NOW_MS).unwrap().status, 304);
}

#[test]
fn the_ledger_is_current_and_has_no_validator() {
    let config = config(&[("METRICS_SOURCE", "ledger")]);
    let answer = get(&config, Ask { accept: Some(OPENMETRICS), ..Ask::default() });
    assert_eq!((answer.header("ETag"), answer.header("Age")), (None, Some("0")));
    assert!(text(&answer).contains("\ntributary_metrics_age_seconds 0.0\n"));
}

#[test]
fn a_copy_of_unknown_age_has_neither_age_nor_validator() {
    let config = config(&[]);
    let [text_copy, ..] = copies(&config);
    let ask = Ask { accept: Some(OPENMETRICS), ..Ask::default() };
    let unknown = Copy { publication: None, ..text_copy };
    let answer = answer(&unknown, &Wanted::read(ask, &config).unwrap(), ask, NOW_MS).unwrap();
    assert_eq!(answer.body, *unknown.bytes);
    assert_eq!((answer.header("ETag"), answer.header("Age")), (None, None));
}

#[test]
fn a_corrupt_copy_is_an_error_and_never_an_empty_page() {
    let config = config(&[]);
    let [text_copy, snapshot, _] = copies(&config);
    let half = |copy: &Copy| copy.bytes[..copy.bytes.len() / 2].to_vec();
    for (copy, bytes) in [
        (&snapshot, Vec::new()),
        (&snapshot, b"garbage".to_vec()),
        (&snapshot, vec![0xff; 40]),
        (&snapshot, half(&snapshot)),
        (&text_copy, Vec::new()),
        (&text_copy, half(&text_copy)),
    ] {
        let ask = Ask { accept: Some(OPENMETRICS), ..Ask::default() };
        let corrupt = Copy { bytes: Rc::new(bytes), ..copy.clone() };
        let answered = answer(&corrupt, &Wanted::read(ask, &config).unwrap(), ask, NOW_MS);
        assert_eq!(answered, Err(FailureReason::Corrupt));
        let ask = Ask { accept: Some(PROTOBUF), ..ask };
        let answered = answer(&corrupt, &Wanted::read(ask, &config).unwrap(), ask, NOW_MS);
        assert_eq!(answered, Err(FailureReason::Corrupt));
    }
    for reason in FailureReason::ALL {
        let answer = unavailable(reason);
        assert_eq!((answer.status, answer.header("Retry-After")), (503, Some("5")));
    }
}

#[test]
fn a_clock_that_went_back_gives_age_zero() {
    let config = config(&[]);
    let [text_copy, ..] = copies(&config);
    let ask = Ask { accept: Some(OPENMETRICS), ..Ask::default() };
    let answer = answer(&text_copy, &Wanted::read(ask, &config).unwrap(), ask, PUBLISHED_MS - 5).unwrap();
    assert_eq!(answer.header("Age"), Some("0"));
}
