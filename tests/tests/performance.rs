//! What `docs/performance.md` shows is what was measured. To measure anew and to show it: `make bench UPDATE_DOCS=1`.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::fs;

use tributary_tests::{
    docs::{hold_file, hold_tables},
    growth::{self, Point},
    installation::repository,
    peer::{self, Cost, Row, Unit},
    touched,
};

fn measured() -> Vec<Point> {
    growth::from_csv(&fs::read_to_string(repository().join(growth::CSV)).unwrap()).unwrap()
}

#[test]
fn the_page_and_its_plots_show_what_was_measured() {
    let points = measured();
    assert_eq!(growth::from_csv(&growth::to_csv(&points)).unwrap(), points);
    hold_tables("docs/performance.md", &[("growth", growth::table(&points))]).unwrap();
    for (name, svg) in growth::plots(&points) {
        hold_file(&format!("docs/performance/{name}.svg"), &svg).unwrap();
    }
}

#[test]
fn the_page_shows_what_a_commit_costs_by_what_it_touches_and_it_is_flat_in_what_there_is() {
    let points: Vec<touched::Point> =
        serde_json::from_str(&fs::read_to_string(repository().join(touched::FILE)).unwrap()).unwrap();
    hold_tables("docs/performance.md", &[("touched", touched::table(&points))]).unwrap();
    let of = |touched: u64| points.iter().filter(move |point| point.touched == touched).collect::<Vec<_>>();
    for touched in [1, 10, 100, 1_000] {
        let [small, .., large] = of(touched)[..] else { panic!("two at least of {touched}") };
        assert_eq!((small.held, large.held), (1_000, 100_000));
        // The same row but for digits, and some of the time for deeper trees and colder caches.
        assert!(large.entry_bytes.abs_diff(small.entry_bytes) < 64 + small.entry_bytes / 10, "{small:?} {large:?}");
        assert!(large.nanos < 5 * small.nanos, "{small:?} {large:?}");
    }
}

fn counted() -> Vec<Row> {
    peer::from_tsv(&fs::read_to_string(repository().join(peer::TSV)).unwrap()).unwrap()
}

#[test]
fn the_page_shows_what_was_counted_beside_the_peer() {
    let rows = counted();
    assert_eq!(peer::from_tsv(&peer::to_tsv(&rows)).unwrap(), rows);
    hold_tables("docs/performance.md", &peer::tables(&rows)).unwrap();
}

/// Each target of issue 7 that the bench knows is met, or has its floor beside it.
#[test]
fn what_is_missed_has_its_floor_and_what_was_met_stays_met() {
    let rows = counted();
    let targets: Vec<_> = rows.iter().filter(|row| row.target.is_some()).collect();
    assert!(targets.len() >= 7, "{targets:?}");
    for row in targets {
        let floor = rows.iter().find(|floor| floor.unit == Unit::Floor && floor.work == row.work);
        assert!(row.is_met() == Some(true) || floor.is_some(), "{row:?} has no floor");
    }
    let is_met = |work: &str| rows.iter().find(|row| row.work.starts_with(work)).and_then(Row::is_met);
    for work in ["consumer, 100 ", "consumer, 1 ", "in the queue, per resolve, 100 ", "full text"] {
        assert_eq!(is_met(work), Some(true), "{work}");
    }
    let text = rows.iter().find(|row| row.work.starts_with("full text")).unwrap();
    assert!(text.ours.allocations <= 1.0, "{text:?}");
    let record = rows.iter().find(|row| row.work == "record" && row.unit == Unit::Instructions).unwrap();
    assert!(record.ours.allocations.abs() < f64::EPSILON, "{record:?}");
}

#[test]
fn a_verdict_is_that_of_the_ratio_and_a_line_that_is_no_row_is_said() {
    let cost = |amount| Cost { amount, allocations: 0.0 };
    let row = |ours| Row {
        unit: Unit::Instructions,
        work: "work".into(),
        peer: Some(cost(100.0)),
        ours: cost(ours),
        target: Some(2.0),
    };
    assert_eq!([50.0, 50.1].map(|ours| row(ours).is_met()), [Some(true), Some(false)]);
    let table = |ours| peer::tables(&[row(ours)]).remove(0).1;
    assert!(table(51.0).contains("| 1.96x | 2x, **missed** |") && table(5.0).contains("| 20.0x | 2x, met |"));
    let tsv = peer::to_tsv(&[row(5.0)]);
    for (from, to) in [("instructions", "seconds"), ("\t5.000", "\tfive"), ("\t5.000", ""), ("work\tpeer", "peer")] {
        assert!(peer::from_tsv(&tsv.replacen(from, to, 1)).is_err(), "{to}");
    }
}

/// What must be flat was flat when it was measured. Of isolates only as far as the cost of a stream's own row, which every
/// message pays where there are many.
#[test]
fn what_is_measured_stays_within_its_bounds() {
    let points = measured();
    let of = |scenario: &str| points.iter().filter(|point| point.scenario == scenario).collect::<Vec<_>>();
    for scenario in ["isolates", "resolves"] {
        let points = of(scenario);
        let per = |point: &Point, total: u64| growth::as_f64(total) / growth::as_f64(point.messages);
        let least = points.iter().map(|point| per(point, point.nanos)).fold(f64::INFINITY, f64::min);
        assert!(points.len() >= 5 && points.iter().all(|point| per(point, point.nanos) < 3.0 * least), "{points:?}");
        assert!(points.iter().all(|point| point.state_bytes < 20_000 && point.book_bytes < 12 << 20), "{points:?}");
    }
    assert!(points.iter().all(|point| point.state_bytes <= 1_500_100 && point.book_bytes < 32 << 20), "{points:?}");
    assert!(points.iter().all(|point| point.unfolded_rows <= 16_384 && point.journal_bytes < 17 << 20), "{points:?}");
}
