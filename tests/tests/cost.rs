//! The tables of `docs/cost.md` are what the model prints. After a change of the model: `UPDATE_DOCS=1 cargo test -p
//! tributary-tests --test cost`.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::fs;

use tributary_tests::{cost::tables, installation::repository};

#[test]
fn the_page_on_costs_says_what_the_model_says() {
    let file = repository().join("docs/cost.md");
    let page = fs::read_to_string(&file).unwrap();
    let mut rest = page.as_str();
    let mut renewed = String::new();
    for (name, table) in tables() {
        let (begin, end) = (format!("<!-- table: {name} -->\n"), "<!-- end -->");
        let at = rest.find(&begin).unwrap_or_else(|| panic!("docs/cost.md has no table {name}")) + begin.len();
        renewed.push_str(&rest[..at]);
        renewed.push_str(&table);
        rest = &rest[at..][rest[at..].find(end).unwrap()..];
    }
    renewed.push_str(rest);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&file, &renewed).unwrap();
    }
    assert!(
        fs::read_to_string(&file).unwrap() == renewed,
        "docs/cost.md is not what the model says: see this file's head"
    );
}
