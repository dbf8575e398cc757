//! An empty account.

use crate::support::{Site, pattern};

#[test]
fn an_empty_account_gets_everything_and_a_second_run_writes_nothing() {
    let site = Site::small();
    let first = site.deploy(&[]);
    let token = first.token().expect("METRICS_TOKEN is shown");
    let output = first.ok();
    assert!(output.contains("https://tributary-producer."), "{output}");
    assert_eq!(site.cloud.unknown_requests().iter().map(|r| r.line()).collect::<Vec<_>>(), Vec::<String>::new());

    // In the order in which one needs the other.
    let writes: Vec<String> =
        site.writes().iter().map(|request| format!("{} {}", request.method, pattern(&request.path))).collect();
    let place = |line: &str| {
        writes.iter().position(|write| write.ends_with(line)).unwrap_or_else(|| panic!("{line} in {writes:#?}"))
    };
    assert!(place("/queues") < place("/storage/kv/namespaces"));
    assert!(place("/values/resolver_state") < place("PUT /accounts/*/workers/scripts/tributary-consumer"));
    assert!(place("/scripts/tributary-consumer") < place("PUT /accounts/*/workers/scripts/tributary-producer"));

    let consumer = site.cloud.script("tributary-consumer").unwrap();
    let secrets = consumer.secrets();
    assert_eq!(secrets["METRICS_TOKEN"], token);
    assert_eq!(secrets["CONFIDENCE_CLIENT_SECRET"], site.cloud.confidence().client_secret());
    assert!(!consumer.is_on_subdomain && consumer.classes.contains_key("Ledger"));
    let producer = site.cloud.script("tributary-producer").unwrap();
    assert_eq!(producer.secrets().keys().collect::<Vec<_>>(), ["RESOLVE_TOKEN_ENCRYPTION_KEY"]);
    assert!(producer.is_on_subdomain);
    let queue = site.cloud.queue("tributary-deltas").unwrap();
    assert_eq!(queue.producers, ["tributary-consumer", "tributary-producer"]);
    let consumer = queue.consumer.unwrap();
    assert_eq!(consumer.dead_letter_queue.as_deref(), Some("tributary-deltas-dead"));
    assert_eq!((consumer.settings.batch_size, consumer.settings.max_retries), (100, 20));
    let state = site.cloud.kv_value("tributary-confidence-state", "resolver_state").unwrap();
    assert_eq!(state.bytes, site.cloud.confidence().state());
    assert!(state.metadata.unwrap()["etag"].as_str().unwrap().starts_with('"'));

    let (shape, key) = (site.shape(), producer.secrets());
    site.cloud.forget_requests();
    let second = site.deploy(&[]);
    assert_eq!(second.token(), None, "shown once");
    let output = second.ok();
    assert!(output.contains("Nothing to change."), "{output}");
    assert_eq!(site.writes().iter().map(|r| r.line()).collect::<Vec<_>>(), Vec::<String>::new());
    assert_eq!(site.shape(), shape);
    assert_eq!(site.cloud.script("tributary-producer").unwrap().secrets(), key, "made up once");
}

#[test]
fn a_dry_run_says_what_it_would_do_and_writes_nothing() {
    let site = Site::small();
    let output = site.deploy(&["--dry-run"]).ok();
    for line in [
        "create     queue tributary-deltas-dead",
        "write      resolver state",
        "upload     Worker tributary-consumer (new;",
        "METRICS_TOKEN, made up",
        "--dry-run",
    ] {
        assert!(output.contains(line), "{line} in {output}");
    }
    assert_eq!(site.writes().len(), 0);
    assert!(!site.folder("tributary").join("consumer").exists());
}

#[test]
fn what_is_typed_decides_at_a_terminal() {
    let site = Site::small();
    let refused = site.run_with(&["deploy", "--skip-check"], Some("n\n"));
    assert_eq!(refused.failed(), "nothing was changed");
    assert_eq!(site.writes().len(), 0);
    assert!(site.run_with(&["deploy", "--skip-check"], Some("\n")).ok().contains("Go on? [Y/n]"));
    assert!(site.cloud.script("tributary-producer").is_some());
}

#[test]
fn wrangler_finds_nothing_wrong_with_what_is_rendered() {
    let site = Site::small();
    site.deploy(&["--materializations"]).ok();
    for worker in ["consumer", "producer"] {
        let bin = site.path().join("wrangler/node_modules");
        let output = std::process::Command::new(bin.join(".bin/node"))
            .arg(bin.join("wrangler/bin/wrangler.js"))
            .args(["deploy", "--dry-run", "--outdir", "out"])
            .current_dir(site.folder("tributary").join(worker))
            .envs([
                ("CI", "1"),
                ("NO_COLOR", "1"),
                ("WRANGLER_SEND_METRICS", "false"),
                ("WRANGLER_HIDE_BANNER", "true"),
            ])
            .env("WRANGLER_LOG_PATH", site.path().join("dry-run.log"))
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{text}");
        assert!(!text.contains("WARNING") && !text.contains("ERROR"), "{text}");
        assert!(text.contains("TRIBUTARY_BUILD"), "{text}");
    }
}
