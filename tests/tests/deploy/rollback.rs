//! Back to the deploy before.

use crate::support::Site;

fn active(site: &Site, worker: &str) -> usize {
    let script = site.cloud.script(worker).unwrap();
    1 + script.versions.iter().position(|version| Some(&version.id) == script.active.as_ref()).unwrap()
}

/// Numbers of the versions that are live: consumer, producer.
fn live(site: &Site) -> (usize, usize) {
    (active(site, "tributary-consumer"), active(site, "tributary-producer"))
}

fn deploy(site: &Site, rebuilt: &[&str], version: u32) {
    rebuilt.iter().for_each(|worker| site.rebuild(worker, version));
    site.deploy(&[]).ok();
}

#[test]
fn rollbacks_undo_deploys_one_by_one_and_a_deploy_goes_forward_again() {
    let site = Site::small();
    deploy(&site, &[], 1);
    deploy(&site, &["consumer", "producer"], 2);
    deploy(&site, &["consumer"], 3);
    assert_eq!(live(&site), (3, 2));
    let output = site.run(&["rollback", "--dry-run"]).ok();
    assert!(
        output.contains("back       Worker tributary-consumer")
            && !output.contains("back       Worker tributary-producer"),
        "{output}"
    );
    assert_eq!(live(&site), (3, 2));
    let error = site.run(&["rollback"]).failed();
    assert!(error.contains("--yes"), "{error}");
    let output = site.run(&["rollback", "--yes"]).ok();
    assert!(output.contains("the Ledger, KV and what is in the queues stay as they are"), "{output}");
    assert_eq!(live(&site), (2, 2));
    site.run_with(&["rollback"], Some("yes\n")).ok();
    assert_eq!(live(&site), (1, 1));
    let error = site.run(&["rollback", "--yes"]).failed();
    assert!(error.contains("no older deploy"), "{error}");
    let output = site.deploy(&[]).ok();
    assert!(output.contains("upload     Worker tributary-consumer (code or configuration changed;"), "{output}");
    assert_eq!(live(&site), (4, 3));
}

#[test]
fn a_rollback_that_was_cut_off_goes_on() {
    use tributary_tests::cloudflare::{Effect, Fault};
    let site = Site::small();
    deploy(&site, &[], 1);
    deploy(&site, &["consumer", "producer"], 2);
    site.cloud.fail(Fault::always(
        "POST",
        "*/tributary-consumer/deployments",
        Effect::Status { status: 400, retry_after: None },
    ));
    site.run(&["rollback", "--yes"]).failed();
    assert_eq!(live(&site), (2, 1), "the producer goes first");
    site.cloud.heal();
    site.cloud.fail(Fault::once("POST", "*/tributary-consumer/deployments", Effect::LoseAnswer));
    site.run(&["rollback", "--yes"]).ok();
    assert_eq!(live(&site), (1, 1));
    assert_eq!(site.cloud.script("tributary-consumer").unwrap().deployments, 3, "a lost answer makes no second one");
}

#[test]
fn a_deploy_that_was_finished_later_is_one_deploy() {
    use tributary_tests::cloudflare::{Effect, Fault};
    let site = Site::small();
    deploy(&site, &[], 1);
    let refused = Effect::Status { status: 400, retry_after: None };
    site.cloud.fail(Fault::always("POST", "*/scripts/tributary-producer/versions", refused));
    site.rebuild("consumer", 2);
    site.rebuild("producer", 2);
    site.deploy(&[]).failed();
    assert_eq!(live(&site), (2, 1));
    site.cloud.heal();
    site.deploy(&[]).ok();
    assert_eq!(live(&site), (2, 2));
    site.run(&["rollback", "--yes"]).ok();
    assert_eq!(live(&site), (1, 1));
}

#[test]
fn secrets_that_changed_since_want_force() {
    let mut site = Site::small();
    site.environment.insert("METRICS_TOKEN".to_owned(), "given-token-1".to_owned());
    deploy(&site, &[], 1);
    site.environment.insert("METRICS_TOKEN".to_owned(), "given-token-2".to_owned());
    deploy(&site, &[], 2);
    let error = site.run(&["rollback", "--yes"]).failed();
    assert!(error.contains("METRICS_TOKEN") && error.contains("--force"), "{error}");
    site.run(&["rollback", "--yes", "--force"]).ok();
    assert_eq!(site.cloud.script("tributary-consumer").unwrap().secrets()["METRICS_TOKEN"], "given-token-1");
    site.deploy(&[]).ok();
    assert_eq!(site.cloud.script("tributary-consumer").unwrap().secrets()["METRICS_TOKEN"], "given-token-2");
    // Back again, and now the old one is wanted: not what was uploaded last, from which an upload inherits.
    site.run(&["rollback", "--yes", "--force"]).ok();
    site.environment.insert("METRICS_TOKEN".to_owned(), "given-token-1".to_owned());
    deploy(&site, &["consumer"], 3);
    assert_eq!(site.cloud.script("tributary-consumer").unwrap().secrets()["METRICS_TOKEN"], "given-token-1");
}

#[test]
fn where_nothing_is_installed_it_says_so() {
    let error = Site::small().run(&["rollback", "--yes"]).failed();
    assert!(error.contains("nothing to roll back"), "{error}");
}
