//! A deploy that fails at one of its writes.

use tributary_tests::cloudflare::{Effect, Fault};

use crate::support::{Site, pattern};

/// Every write of a fresh deploy fails once, in turn; the next run finishes what that one left.
#[test]
fn a_deploy_that_fails_at_any_write_is_finished_by_the_next() {
    let model = Site::small();
    model.deploy(&[]).ok();
    let (shape, writes) = (model.shape(), model.writes());
    assert!(writes.len() >= 9, "{:?}", writes.iter().map(|write| write.line()).collect::<Vec<_>>());
    let mut earlier: Vec<(String, String)> = Vec::new();
    for write in writes {
        let kind = (write.method.clone(), pattern(&write.path));
        let nth = 1 + u32::try_from(earlier.iter().filter(|other| **other == kind).count()).unwrap();
        earlier.push(kind.clone());
        let what = format!("{} {} ({nth})", kind.0, kind.1);

        let site = Site::small();
        site.cloud.fail(Fault::always(&kind.0, &kind.1, Effect::Status { status: 400, retry_after: None }).nth(nth));
        let first = site.deploy(&[]);
        assert!(first.error.is_some(), "{what}: it failed, and nobody heard of it:\n{}", first.output);
        site.cloud.heal();
        let second = site.deploy(&[]);
        let tokens: Vec<String> = [first.token(), second.token()].into_iter().flatten().collect();
        second.ok();
        assert_eq!(site.shape(), shape, "{what}");
        let secrets = site.cloud.script("tributary-consumer").unwrap().secrets();
        assert_eq!(tokens, [secrets["METRICS_TOKEN"].clone()], "{what}: shown once, and the right one");
        site.cloud.forget_requests();
        site.deploy(&[]).ok();
        assert_eq!(site.writes().len(), 0, "{what}: nothing is left to do");
    }
}
