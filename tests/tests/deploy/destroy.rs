//! Everything out again.

use tributary_tests::cloudflare::{Effect, Fault};

use crate::support::Site;

fn is_empty(site: &Site) -> bool {
    site.cloud.scripts().is_empty() && site.cloud.queues().is_empty() && site.cloud.namespaces().is_empty()
}

#[test]
fn it_wants_the_name_says_what_goes_and_leaves_nothing() {
    let site = Site::small();
    site.deploy(&["--materializations"]).ok();
    let shape = site.shape();
    let error = site.run(&["destroy"]).failed();
    assert!(error.contains("confirmed by the name"), "{error}");
    site.run_with(&["destroy"], Some("yes\n")).failed();
    let output = site.run(&["destroy", "--dry-run"]).ok();
    assert!(output.contains("the Ledger: all counters, histograms and dead letters"), "{output}");
    assert_eq!(site.shape(), shape);
    site.run_with(&["destroy"], Some("tributary\n")).ok();
    assert!(is_empty(&site), "{}", site.shape());
    let output = site.run(&["destroy", "--yes"]).ok();
    assert!(output.contains("Nothing of tributary is left to delete."), "{output}");
}

#[test]
fn data_can_be_kept_and_taken_over_again() {
    let site = Site::small();
    site.deploy(&[]).ok();
    site.run(&["destroy", "--yes", "--keep-data"]).ok();
    assert!(site.cloud.scripts().is_empty() && site.cloud.queues().is_empty());
    assert_eq!(site.cloud.namespaces().len(), 2);
    let output = site.deploy(&[]).ok();
    assert!(output.contains("unchanged  KV namespace tributary-confidence-state"), "{output}");
    assert!(output.contains("unchanged  resolver state"), "{output}");
}

/// Every run gets one step on and fails at the one after it.
#[test]
fn one_that_fails_anywhere_is_finished_by_the_next() {
    let site = Site::small();
    site.deploy(&[]).ok();
    let mut runs = 1;
    loop {
        site.cloud.fail(Fault::always("DELETE", "*", Effect::Status { status: 400, retry_after: None }).nth(2));
        let run = site.run(&["destroy", "--yes"]);
        site.cloud.heal();
        if run.error.is_none() {
            break;
        }
        assert!(!is_empty(&site), "{}", run.output);
        runs += 1;
    }
    assert!(is_empty(&site), "{}", site.shape());
    // Two Workers, two consumers, two queues, two namespaces.
    assert_eq!(runs, 8);
}

#[test]
fn a_lost_answer_of_a_deletion_is_a_deletion() {
    let site = Site::small();
    site.deploy(&[]).ok();
    for path in ["*/tributary-producer", "*/consumers/*", "*/tributary-consumer", "*/queues/*", "*/namespaces/*"] {
        site.cloud.fail(Fault::once("DELETE", path, Effect::LoseAnswer));
    }
    site.run(&["destroy", "--yes"]).ok();
    assert!(is_empty(&site), "{}", site.shape());
}
