//! The tables of `docs/cost.md` are what the model prints. After a change of the model: `UPDATE_DOCS=1 cargo test -p
//! tributary-tests --test cost`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use tributary_tests::{cost::tables, docs::hold_tables};

#[test]
fn the_page_on_costs_says_what_the_model_says() {
    hold_tables("docs/cost.md", &tables()).unwrap();
}
