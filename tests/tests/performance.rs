//! What `docs/performance.md` shows of growth is what was measured. To measure anew and to show it:
//! `UPDATE_DOCS=1 cargo bench -p tributary-tests --bench growth && UPDATE_DOCS=1 cargo test -p tributary-tests --test
//! performance`.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::fs;

use tributary_tests::{
    docs::{hold_file, hold_tables},
    growth::{self, Point},
    installation::repository,
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
