use tributary_telemetry::{Gauge, Histogram, LabelError};

use super::*;
use crate::{ledger::parts::StoredBook, limits::MAX_SOURCES};

const NOW: u64 = 1_800_000_000_000;

fn labels(pairs: &[(&str, &str)]) -> LabelSet {
    LabelSet::from_pairs(pairs.iter().copied()).unwrap()
}

/// Totals of resolver `resolver_id`: 40 matches, and 7 requests of 1.2 ms.
fn totals(resolver_id: &str) -> Delta {
    let mut totals = Delta::new();
    totals.set_start(1_000);
    let of_match = labels(&[("reason", "RESOLVE_REASON_MATCH"), ("resolver_id", resolver_id)]);
    totals.add_counter(&catalog::RESOLVES, of_match, 40).unwrap();
    let mut counts = vec![0; 175];
    counts[55] = 7;
    let latency = Histogram::from_parts(Bounds::latency(), counts, Number::Unsigned(8_400)).unwrap();
    totals.add_histogram(&catalog::RESOLVE_LATENCY, labels(&[("resolver_id", resolver_id)]), &latency).unwrap();
    totals
}

fn request(source: &str, totals: &Delta) -> v1::ImportRequest {
    v1::ImportRequest { source: source.into(), totals: Some(totals.to_wire()), another: false }
}

fn import(source: &str, totals: &Delta) -> Import {
    Import::from_wire(request(source, totals)).unwrap()
}

fn book() -> Book {
    Book::new("eu", NOW).unwrap()
}

fn count(book: &Book, family: &FamilyDescriptor, pairs: &[(&str, &str)]) -> u64 {
    total_of(book.state.get(family.name(), &labels(pairs)).unwrap().value())
}

#[test]
fn the_state_goes_on_from_the_totals_and_a_repeat_at_any_time_changes_nothing() {
    let mut book = book();
    let first = import("kv:abc", &totals("eu"));
    let Decision { outcome, record } = decide(&first, &[], &mut book, NOW).unwrap();
    assert_eq!(outcome, Outcome::Applied);
    assert_eq!((record.source.as_str(), record.resolver_id.as_str(), record.imported_ms), ("kv:abc", "eu", NOW));
    assert_eq!(record.start_time_ms, 1_000);
    let family = |name: &str, total| import_record::Family { name: name.into(), series: 1, total };
    assert_eq!(
        record.families,
        [family("confidence_resolve_latency_microseconds", 7), family("confidence_resolves", 40)]
    );
    let matches = [("reason", "RESOLVE_REASON_MATCH"), ("resolver_id", "eu")];
    assert_eq!(count(&book, &catalog::RESOLVES, &matches), 40);
    assert_eq!(count(&book, &self_metrics::IMPORTS, &[("resolver_id", "eu")]), 1);
    let series = book.state.get(catalog::RESOLVES.name(), &labels(&matches)).unwrap();
    assert_eq!((series.start_time_ms(), book.state.start_time_ms()), (1_000, 1_000));

    // Through what is stored, and years later.
    let stored = decode_rows([record.encode_to_vec().as_slice()]).unwrap();
    assert_eq!(StoredBook::seal(&book).open().unwrap().state, book.state);
    for later_ms in [NOW, NOW + 10 * 365 * 86_400_000] {
        let before = book.clone();
        let mut guessed = totals("eu");
        guessed.set_start(500);
        for (again, outcome) in [
            (first.clone(), Outcome::AlreadyImported),
            (import("kv:abc", &guessed), Outcome::AlreadyImported),
            (Import { another: true, ..first.clone() }, Outcome::AlreadyImported),
            (import("file:copy", &totals("eu")), Outcome::SameTotals),
            (Import { another: true, ..import("file:copy", &totals("eu")) }, Outcome::SameTotals),
        ] {
            let decision = decide(&again, &stored, &mut book, later_ms).unwrap();
            assert_eq!(decision, Decision { outcome, record: record.clone() });
            assert_eq!(book, before);
        }
    }
}

#[test]
fn a_source_that_counted_on_is_not_imported_again_and_another_source_only_where_that_is_meant() {
    let mut book = book();
    let first = decide(&import("kv:abc", &totals("eu")), &[], &mut book, NOW).unwrap();
    let before = book.clone();
    let mut more = totals("eu");
    more.add_counter(&catalog::FLUSH_FAILED, labels(&[("resolver_id", "eu")]), 1).unwrap();
    let known = [first.record.clone()];
    for (source, outcome) in [("kv:abc", Outcome::OtherTotals), ("kv:def", Outcome::OtherSource)] {
        let decision = decide(&import(source, &more), &known, &mut book, NOW).unwrap();
        assert_eq!(decision, Decision { outcome, record: first.record.clone() });
        assert_eq!(book, before);
    }
    let another = Import { another: true, ..import("kv:def", &more) };
    assert_eq!(decide(&another, &known, &mut book, NOW).unwrap().outcome, Outcome::Applied);
    assert_eq!(count(&book, &catalog::RESOLVES, &[("reason", "RESOLVE_REASON_MATCH"), ("resolver_id", "eu")]), 80);
    // Another resolver's is none of these.
    assert_eq!(decide(&import("kv:us", &totals("us")), &known, &mut book, NOW).unwrap().outcome, Outcome::Applied);
    assert_eq!(count(&book, &self_metrics::IMPORTS, &[("resolver_id", "us")]), 1);

    let many: Vec<_> =
        (0..MAX_IMPORTS).map(|index| ImportRecord { source: index.to_string(), ..ImportRecord::default() }).collect();
    let refused = decide(&import("kv:x", &totals("x")), &many, &mut book, NOW);
    assert_eq!(refused, Err(ImportError::TooMany));
}

#[test]
fn what_confidences_telemetry_does_not_have_is_refused() {
    let why = |request: v1::ImportRequest| Import::from_wire(request).unwrap_err();
    let with = |add: &dyn Fn(&mut Delta)| {
        let mut spoiled = totals("eu");
        add(&mut spoiled);
        why(request("s", &spoiled))
    };
    let own = labels(&[("resolver_id", "eu")]);
    for source in ["", "a b", "ü", "\"", &"x".repeat(MAX_IMPORT_SOURCE_BYTES + 1)] {
        assert_eq!(why(request(source, &totals("eu"))), ImportError::Source);
    }
    assert_eq!(why(request("s", &Delta::new())), ImportError::Empty);
    let mut no_kind = request("s", &totals("eu"));
    no_kind.totals.as_mut().unwrap().families[0].kind = 9;
    assert!(matches!(why(no_kind), ImportError::Totals(_)));
    let family = |name: &str| ImportError::Family(name.to_owned());
    assert_eq!(
        with(&|spoiled| spoiled.add_counter(&self_metrics::RECORDS_SENT, own.clone(), 1).unwrap()),
        family("tributary_records_sent")
    );
    assert_eq!(
        with(&|spoiled| spoiled.set_gauge(&catalog::MEMORY_BYTES, own.clone(), Gauge::unsigned(1, 1)).unwrap()),
        family("confidence_memory_bytes")
    );
    let as_counter = FamilyDescriptor::from_static("confidence_memory_bytes", "", "bytes", MetricKind::Counter);
    assert_eq!(
        with(&|spoiled| spoiled.add_counter(&as_counter, own.clone(), 1).unwrap()),
        family("confidence_memory_bytes")
    );
    let series = |family: &FamilyDescriptor| ImportError::Series(family.name().to_owned());
    for pairs in [
        &[("resolver_id", "eu")][..],
        &[("resolver_id", "eu"), ("reason", "MINE")],
        &[("resolver_id", "eu"), ("reason", "RESOLVE_REASON_ERROR"), ("colo", "AMS")],
    ] {
        let refused = with(&|spoiled| spoiled.add_counter(&catalog::RESOLVES, labels(pairs), 1).unwrap());
        assert_eq!(refused, series(&catalog::RESOLVES), "{pairs:?}");
    }
    let with_colo = labels(&[("resolver_id", "eu"), ("colo", "AMS")]);
    assert_eq!(
        with(&|spoiled| spoiled.add_counter(&catalog::FLUSH_FAILED, with_colo.clone(), 1).unwrap()),
        series(&catalog::FLUSH_FAILED)
    );
    let mut coarse = Delta::new();
    let bounds = Bounds::Decimal(tributary_telemetry::DecimalBounds::new(9, 87).unwrap());
    coarse.add_histogram(&catalog::RESOLVE_LATENCY, own.clone(), &Histogram::new(bounds)).unwrap();
    assert_eq!(why(request("s", &coarse)), series(&catalog::RESOLVE_LATENCY));
    let mut float = Delta::new();
    let mut counts = vec![0; 175];
    counts[0] = 1;
    let histogram = Histogram::from_parts(Bounds::latency(), counts, Number::Float(0.5)).unwrap();
    float.add_histogram(&catalog::RESOLVE_LATENCY, own.clone(), &histogram).unwrap();
    assert_eq!(why(request("s", &float)), series(&catalog::RESOLVE_LATENCY));
    let us = labels(&[("resolver_id", "us")]);
    assert_eq!(
        with(&|spoiled| spoiled.add_counter(&catalog::FLUSH_FAILED, us.clone(), 1).unwrap()),
        ImportError::ResolverId
    );
    let elsewhere = labels(&[("reason", "RESOLVE_REASON_ERROR"), ("colo", "AMS")]);
    assert_eq!(
        with(&|spoiled| spoiled.add_counter(&catalog::RESOLVES, elsewhere.clone(), 1).unwrap()),
        ImportError::ResolverId
    );
    let mut of_nobody = Delta::new();
    of_nobody.add_counter(&catalog::FLUSH_FAILED, LabelSet::empty(), 1).unwrap();
    assert_eq!(why(request("s", &of_nobody)), ImportError::ResolverId);
    assert_eq!(
        with(&|spoiled| spoiled.add_counter(&catalog::FLUSH_FAILED, own.clone(), MAX_IMPORT_TOTAL + 1).unwrap()),
        ImportError::TooLarge("confidence_flush_failed".into())
    );
    let mut slow = Delta::new();
    let mut counts = vec![0; 175];
    counts[174] = 1;
    let histogram = Histogram::from_parts(Bounds::latency(), counts, Number::Unsigned(MAX_IMPORT_TOTAL + 1)).unwrap();
    slow.add_histogram(&catalog::RESOLVE_LATENCY, own, &histogram).unwrap();
    assert_eq!(why(request("s", &slow)), ImportError::TooLarge("confidence_resolve_latency_microseconds".into()));
    // What providers say of themselves is theirs.
    let init = labels(&[("resolver_id", "eu"), ("encryption", "true")]);
    let mut good = totals("eu");
    good.add_counter(&catalog::PROVIDER_INIT, init, 3).unwrap();
    assert!(Import::from_wire(request("s", &good)).is_ok());
}

#[test]
fn a_help_text_from_outside_does_not_reach_the_state() {
    let mut odd = request("s", &totals("us"));
    odd.totals.as_mut().unwrap().families[1].help = "by somebody else".into();
    let mut book = book();
    decide(&Import::from_wire(odd).unwrap(), &[], &mut book, NOW).unwrap();
    let helps: Vec<_> = book.state.families().map(|family| family.descriptor().help().to_owned()).collect();
    assert!(!helps.iter().any(|help| help.contains("somebody")), "{helps:?}");
}

#[test]
fn all_of_the_totals_are_taken_or_none() -> Result<(), LabelError> {
    // Every place for a source is taken: another would be folded into `other`.
    let mut full = book();
    for index in 0..MAX_SOURCES {
        let mut delta = Delta::new();
        let labels = LabelSet::from_pairs([("resolver_id", format!("r{index}"))])?;
        delta.add_counter(&catalog::EVENTS_PUBLISHED, labels, 1).unwrap();
        let _applied = full.state.apply(&delta, NOW).unwrap();
    }
    assert_eq!(decide(&import("s", &totals("new")), &[], &mut full, NOW), Err(ImportError::Room(2)));
    assert!(decide(&import("s", &totals("r1")), &[], &mut full, NOW).is_ok(), "one that has its place");

    // A family that the state knows as something else.
    let mut odd = Book { state: tributary_telemetry::Snapshot::new(NOW), ..book() };
    let mut gauge = Delta::new();
    let as_gauge = FamilyDescriptor::from_static("confidence_resolves", "", "", MetricKind::Gauge);
    gauge.set_gauge(&as_gauge, LabelSet::empty(), Gauge::unsigned(1, 1)).unwrap();
    let _applied = odd.state.apply(&gauge, NOW).unwrap();
    assert_eq!(decide(&import("s", &totals("eu")), &[], &mut odd, NOW), Err(ImportError::Room(1)));

    // A total that is nearly full.
    let mut near = book();
    let mut delta = Delta::new();
    let of_match = labels(&[("reason", "RESOLVE_REASON_MATCH"), ("resolver_id", "eu")]);
    delta.add_counter(&catalog::RESOLVES, of_match, u64::MAX - 39).unwrap();
    let _applied = near.state.apply(&delta, NOW).unwrap();
    assert!(matches!(decide(&import("s", &totals("eu")), &[], &mut near, NOW), Err(ImportError::Apply(_))));

    let mut tomorrow = Delta::new();
    tomorrow.add_counter(&catalog::FLUSH_FAILED, labels(&[("resolver_id", "eu")]), 1).unwrap();
    tomorrow.set_start(NOW + 2 * 3_600_000);
    assert_eq!(decide(&import("s", &tomorrow), &[], &mut book(), NOW), Err(ImportError::Start));
    Ok(())
}

#[test]
fn the_accounts_of_records_are_left_as_they_are() {
    let mut book = book();
    decide(&import("s", &totals("eu")), &[], &mut book, NOW).unwrap();
    for family in [&self_metrics::RECORDS_SENT, &self_metrics::RECORDS_APPLIED, &self_metrics::LOST_RECORDS] {
        assert_eq!(count(&book, family, &[("resolver_id", "eu")]), 0);
    }
    assert!(book.status.streams.is_empty() && book.status.missing.is_empty());
}

#[test]
fn a_row_that_is_no_record_is_an_error_and_not_an_empty_list() {
    assert!(matches!(decode_rows([b"\xff\xff".as_slice()]), Err(StorageError::Import(_))));
}
