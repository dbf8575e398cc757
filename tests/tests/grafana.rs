//! What `docs/grafana` and the pages beside it say is held against the metrics that there are. Native: needs no Worker.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::{collections::BTreeSet, fs};

use tributary_consumer::{dead_letters, otlp, scrape, self_metrics, state_refresh};
use tributary_producer::metrics as producer;
use tributary_proto::flag_logs::ResolveReason;
use tributary_telemetry::{
    FamilyDescriptor, MetricKind,
    confidence::{KNOWN_REASONS, catalog},
};
use tributary_tests::{
    grafana::{Dashboard, Panel, metric_names, words_like_metrics},
    installation::repository,
};

fn read(path: &str) -> String {
    fs::read_to_string(repository().join(path)).unwrap()
}

fn dashboard() -> Dashboard {
    Dashboard::parse(&read("docs/grafana/tributary.json")).unwrap()
}

fn families() -> Vec<&'static FamilyDescriptor> {
    let endpoints = scrape::metrics::ALL.into_iter().chain(otlp::metrics::ALL).chain(state_refresh::metrics::ALL);
    let own = self_metrics::ALL.into_iter().chain(dead_letters::metrics::ALL).chain(endpoints);
    catalog::ALL.into_iter().chain(own).chain(producer::ALL.iter()).collect()
}

/// The names under which a family's samples are exposed.
fn samples(family: &FamilyDescriptor) -> Vec<String> {
    let suffixes: &[&str] = match family.kind() {
        MetricKind::Counter => &["_total"],
        MetricKind::Gauge | MetricKind::UpDown => &[""],
        MetricKind::Histogram | MetricKind::Exponential => &["_bucket", "_sum", "_count"],
    };
    suffixes.iter().map(|suffix| format!("{}{suffix}", family.name())).collect()
}

fn exposed() -> BTreeSet<String> {
    families().into_iter().flat_map(samples).collect()
}

/// Names of the metrics that a panel asks for.
fn asked(panel: &Panel) -> BTreeSet<String> {
    panel.targets.iter().flat_map(|target| metric_names(&target.expr)).collect()
}

/// The lines of the rules that are no comments.
fn rules() -> String {
    let text = read("docs/grafana/rules.yaml");
    text.lines().filter(|line| !line.trim_start().starts_with('#')).collect::<Vec<_>>().join("\n")
}

/// What follows `key` on the lines of the rules.
fn values<'a>(rules: &'a str, key: &str) -> Vec<&'a str> {
    rules.lines().filter_map(|line| line.trim_start().strip_prefix(key)).map(str::trim).collect()
}

#[test]
fn every_name_on_the_dashboard_is_exported_and_every_family_is_on_it() {
    let (dashboard, exposed) = (dashboard(), exposed());
    let mut shown = BTreeSet::new();
    for (_, panel) in dashboard.in_rows() {
        let asked = asked(panel);
        assert!(!asked.is_empty(), "{}", panel.title);
        for name in asked {
            assert!(exposed.contains(&name), "{} asks for {name}, which nobody exports", panel.title);
            shown.insert(name);
        }
    }
    for family in families() {
        assert!(samples(family).iter().any(|name| shown.contains(name)), "{} is on no panel", family.name());
    }
}

#[test]
fn panels_are_distinct_placed_side_by_side_and_explained() {
    let dashboard = dashboard();
    let panels = &dashboard.panels;
    let ids: BTreeSet<u64> = panels.iter().map(|panel| panel.id).collect();
    assert_eq!(ids.len(), panels.len(), "panels share an id");
    let titles: BTreeSet<&str> = panels.iter().map(|panel| panel.title.as_str()).collect();
    assert_eq!(titles.len(), panels.len(), "panels share a title");
    for (n, panel) in panels.iter().enumerate() {
        let grid = panel.grid_pos;
        assert!(grid.w > 0 && grid.h > 0 && grid.x + grid.w <= 24, "{}", panel.title);
        for other in &panels[n + 1..] {
            assert!(!grid.overlaps(&other.grid_pos), "{} lies on {}", panel.title, other.title);
        }
    }
    for (row, panel) in dashboard.in_rows() {
        assert!(!row.is_empty(), "{} stands before the first row", panel.title);
        assert!(panel.description.len() > 40 && panel.description.ends_with('.'), "{}", panel.title);
        assert!(panel.field_config["defaults"]["unit"].is_string(), "{} has no unit", panel.title);
        assert_eq!(panel.datasource["uid"], "${datasource}", "{}", panel.title);
        let refs: BTreeSet<&str> = panel.targets.iter().map(|target| target.ref_id.as_str()).collect();
        assert_eq!(refs.len(), panel.targets.len(), "queries of {} share an id", panel.title);
        for target in &panel.targets {
            // Every selector follows the variable, or the panel shows what was not chosen.
            let selectors = target.expr.matches('{').count();
            assert_eq!(target.expr.matches(r#"{job=~"$job""#).count(), selectors, "{}: {}", panel.title, target.expr);
            assert!(selectors > 0, "{}", panel.title);
        }
    }
}

#[test]
fn all_of_a_variable_takes_in_series_without_the_label() {
    let dashboard = dashboard();
    let names: Vec<&str> = dashboard.variables().iter().map(|variable| variable.name.as_str()).collect();
    assert_eq!(names, ["datasource", "job", "resolver_id"]);
    for variable in dashboard.variables().iter().filter(|variable| variable.kind == "query") {
        assert!(variable.include_all, "{}", variable.name);
        // `.+`, which Grafana's own choice amounts to, leaves out providers that have no such label.
        assert_eq!(variable.all_value.as_deref(), Some(".*"), "{}", variable.name);
    }
}

#[test]
fn every_reason_is_either_an_error_or_not_in_rules_and_dashboard_alike() {
    use ResolveReason::{FlagArchived, Match, NoSegmentMatch, Unspecified};
    #[expect(deprecated, reason = "older resolvers still send it")]
    let fine = [Match, NoSegmentMatch, ResolveReason::NoTreatmentMatch, FlagArchived, Unspecified];
    let errors: BTreeSet<&str> = (0..i32::try_from(KNOWN_REASONS).unwrap())
        .map(|number| ResolveReason::try_from(number).unwrap())
        .filter(|reason| !fine.contains(reason))
        .map(|reason| reason.as_str_name())
        .collect();
    assert_eq!(errors.len() + fine.len(), KNOWN_REASONS);
    for (file, least) in [("docs/grafana/rules.yaml", 1), ("docs/grafana/tributary.json", 2)] {
        let text = read(file);
        let lists: Vec<&str> =
            text.split("RESOLVE_REASON_(").skip(1).map(|after| after.split(')').next().unwrap()).collect();
        assert!(lists.len() >= least, "{file}");
        for list in lists {
            let listed: Vec<String> = list.split('|').map(|name| format!("RESOLVE_REASON_{name}")).collect();
            assert_eq!(listed.iter().map(String::as_str).collect::<BTreeSet<_>>(), errors, "{file}");
        }
    }
}

#[test]
fn every_name_in_rules_and_pages_is_exported_or_recorded() {
    let (rules, exposed) = (rules(), exposed());
    let families: BTreeSet<String> = families().iter().map(|family| family.name().to_owned()).collect();
    let recorded: BTreeSet<&str> = values(&rules, "- record:").into_iter().collect();
    let is_known = |name: &str| exposed.contains(name) || families.contains(name);
    for name in words_like_metrics(&rules) {
        assert!(exposed.contains(name), "a rule asks for {name}, which nobody exports");
    }
    for word in rules.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':')) {
        if word.starts_with("job") && word.matches(':').count() == 2 {
            assert!(recorded.contains(word), "{word} is recorded nowhere");
        }
    }
    for page in ["docs/operations.md", "docs/scrape.md", "docs/otlp.md", "docs/state.md"] {
        let text = read(page);
        for name in words_like_metrics(&text) {
            assert!(is_known(name), "{page} speaks of {name}, which nobody exports");
        }
    }
}

#[test]
fn every_alert_has_a_severity_a_section_and_a_test_in_which_it_fires() {
    let (rules, operations) = (rules(), read("docs/operations.md"));
    let tests = read("docs/grafana/rules_test.yaml") + &read("docs/grafana/rules_week_test.yaml");
    let alerts = values(&rules, "- alert:");
    assert!(alerts.len() > 15);
    for block in rules.split("- alert:").skip(1) {
        let name = block.lines().next().unwrap().trim();
        let block = block.split("- record:").next().unwrap();
        for field in ["for:", "labels: { severity:", "summary:", "description:"] {
            assert_eq!(block.matches(field).count(), 1, "{name} has one {field}");
        }
        let section = format!("runbook_url: docs/operations.md#{}", name.to_lowercase());
        assert!(block.contains(&section), "{name}: {section}");
        assert!(operations.lines().any(|line| line == format!("### {name}")), "{name} has no section");
        let fires = format!(r#"ALERTS{{alertname="{name}", alertstate="firing""#);
        assert!(tests.contains(&fires), "{name} fires in no test");
    }
    for heading in operations.lines().filter_map(|line| line.strip_prefix("### ")) {
        assert!(alerts.contains(&heading), "there is no alert {heading}");
    }
}

#[test]
fn the_page_on_metrics_names_every_family_and_no_other() {
    let page = read("docs/metrics.md");
    let named: BTreeSet<&str> = page
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|code| ["confidence_", "tributary_"].iter().any(|prefix| code.starts_with(prefix)))
        .flat_map(|code| code.split_whitespace())
        .map(|word| word.split('{').next().unwrap())
        .filter(|word| word.contains('_'))
        .collect();
    let printed = |family: &&FamilyDescriptor| match family.kind() {
        MetricKind::Counter => format!("{}_total", family.name()),
        _ => family.name().to_owned(),
    };
    let families: BTreeSet<String> = families().iter().map(printed).collect();
    let named: BTreeSet<String> = named.into_iter().map(str::to_owned).collect();
    assert_eq!(named, families, "docs/metrics.md");
}
