//! A deploy onto one that is there.

use serde_json::json;
use sha2::Digest as _;
use tributary_tests::http::Client;

use crate::support::Site;

#[test]
fn new_code_and_new_vars_upload_what_they_concern_and_keep_the_secrets() {
    let site = Site::small();
    site.deploy(&[]).ok();
    let secrets = |name: &str| site.cloud.script(name).unwrap().secrets();
    let before = (secrets("tributary-consumer"), secrets("tributary-producer"));
    site.rebuild("producer", 2);
    let output = site.deploy(&[]).ok();
    assert!(output.contains("upload     Worker tributary-producer (code or configuration changed)"), "{output}");
    assert!(output.contains("unchanged  Worker tributary-consumer"), "{output}");
    let output = site.deploy(&["--consumer-var=METRICS_SOURCE=ledger", "--max-batch-size=50"]).ok();
    assert!(
        output.contains("upload     Worker tributary-consumer")
            && output.contains("unchanged  Worker tributary-producer"),
        "{output}"
    );
    let consumer = site.cloud.script("tributary-consumer").unwrap();
    assert_eq!(consumer.active_version().unwrap().binding("METRICS_SOURCE")["text"], "ledger");
    assert_eq!(site.cloud.queue("tributary-deltas").unwrap().consumer.unwrap().settings.batch_size, 50);
    assert_eq!((secrets("tributary-consumer"), secrets("tributary-producer")), before);
}

#[test]
fn a_file_says_what_flags_say() {
    let site = Site::small();
    std::fs::write(
        site.path().join("tributary.toml"),
        "prefix = 'eu'\nmaterializations = true\n[queue]\nmax_batch_timeout = 5\n[producer.vars]\nENVIRONMENT = 'production'\n",
    )
    .unwrap();
    site.deploy(&[]).ok();
    let producer = site.cloud.script("eu-tributary-producer").unwrap();
    let version = producer.active_version().unwrap();
    assert_eq!(version.binding("ENVIRONMENT")["text"], "production");
    let namespace = site.cloud.namespace("eu-tributary-confidence-materializations").unwrap();
    assert_eq!(version.binding("CONFIDENCE_MATERIALIZATIONS_KV")["namespace_id"], json!(namespace.id));
    assert_eq!(site.cloud.queue("eu-tributary-deltas").unwrap().consumer.unwrap().settings.max_wait_time_ms, 5_000);
}

#[test]
fn a_new_flag_state_is_written_and_the_same_is_not() {
    let site = Site::small();
    site.deploy(&[]).ok();
    site.cloud.confidence().set_flag("new-search", None).unwrap();
    site.cloud.forget_requests();
    let output = site.deploy(&[]).ok();
    assert!(output.contains("write      resolver state"), "{output}");
    let writes: Vec<String> = site.writes().iter().map(|write| write.line()).collect();
    assert!(writes.len() == 1 && writes[0].ends_with("/values/resolver_state"), "{writes:?}");
    let state = site.cloud.kv_value("tributary-confidence-state", "resolver_state").unwrap();
    assert_eq!(state.bytes, site.cloud.confidence().state());
}

#[test]
fn what_was_changed_by_hand_is_named_and_put_right() {
    let site = Site::small();
    site.deploy(&[]).ok();
    let shape = site.shape();
    let queue = site.cloud.queue("tributary-deltas").unwrap();
    let url = format!(
        "{}/accounts/{}/queues/{}/consumers/{}",
        site.cloud.api_url(),
        site.cloud.account_id(),
        queue.id,
        queue.consumer.unwrap().id
    );
    let body = json!({"type": "worker", "script_name": "tributary-consumer", "settings": {"batch_size": 1}});
    let token = format!("Bearer {}", site.cloud.token());
    let headers = [("authorization", token.as_str()), ("content-type", "application/json")];
    assert_eq!(Client::default().send("PUT", &url, &headers, body.to_string().as_bytes()).unwrap().status, 200);
    assert_ne!(site.shape(), shape);
    let versions = site.cloud.script("tributary-consumer").unwrap().versions.len();
    let output = site.deploy(&[]).ok();
    assert!(output.contains("attach     Worker tributary-consumer: consumes tributary-deltas otherwise"), "{output}");
    assert_eq!(site.shape(), shape);
    assert_eq!(site.cloud.script("tributary-consumer").unwrap().versions.len(), versions, "no new version for that");
}

#[test]
fn two_installations_live_side_by_side() {
    let site = Site::small();
    site.deploy(&[]).ok();
    let shape = site.shape();
    site.deploy(&["--prefix=staging"]).ok();
    let names: Vec<String> = site.cloud.scripts().into_iter().map(|script| script.name).collect();
    assert_eq!(
        names,
        ["staging-tributary-consumer", "staging-tributary-producer", "tributary-consumer", "tributary-producer"]
    );
    let staging = site.cloud.script("staging-tributary-producer").unwrap();
    assert_eq!(staging.active_version().unwrap().binding("METRICS")["service"], "staging-tributary-consumer");
    assert_ne!(
        staging.secrets()["RESOLVE_TOKEN_ENCRYPTION_KEY"],
        site.cloud.script("tributary-producer").unwrap().secrets()["RESOLVE_TOKEN_ENCRYPTION_KEY"]
    );
    site.run(&["destroy", "--yes", "--prefix=staging"]).ok();
    assert_eq!(site.shape(), shape, "the other one is untouched");
}

#[test]
fn a_lost_metrics_token_can_be_replaced() {
    let site = Site::small();
    let first = site.deploy(&[]).token().unwrap();
    let second = site.deploy(&["--new-metrics-token"]).token().unwrap();
    assert_ne!(first, second);
    assert_eq!(site.cloud.script("tributary-consumer").unwrap().secrets()["METRICS_TOKEN"], second);
}

#[test]
fn a_given_secret_is_set_once_and_again_when_it_changes() {
    let mut site = Site::small();
    site.environment.insert("METRICS_TOKEN".to_owned(), "given-token-1".to_owned());
    let run = site.deploy(&[]);
    assert_eq!(run.token(), None, "whoever gave it has it");
    run.ok();
    site.cloud.forget_requests();
    site.deploy(&[]).ok();
    assert_eq!(site.writes().len(), 0);
    site.environment.insert("METRICS_TOKEN".to_owned(), "given-token-2".to_owned());
    let output = site.deploy(&[]).ok();
    assert!(output.contains("secrets changed; replaces METRICS_TOKEN"), "{output}");
    assert_eq!(site.cloud.script("tributary-consumer").unwrap().secrets()["METRICS_TOKEN"], "given-token-2");
    site.environment.remove("METRICS_TOKEN");
    site.cloud.forget_requests();
    site.deploy(&[]).ok();
    assert_eq!(site.writes().len(), 0, "a secret that is not given stays");
}

/// Serves `body` at the address of the encrypted state, and nothing anywhere else.
fn sealed_cdn(client_secret: &str, body: Vec<u8>) -> String {
    use std::io::{Read as _, Write as _};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let digest = tributary_local::random::hex(&sha2::Sha256::digest(client_secret.as_bytes()));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 4096];
            let read = stream.read(&mut request).unwrap();
            let is_it = String::from_utf8_lossy(&request[..read]).starts_with(&format!("GET /{digest}.enc HTTP"));
            let (status, body) =
                if is_it { ("200 OK\r\nETag: \"e\"", body.as_slice()) } else { ("404 Not Found", &b""[..]) };
            let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            stream.write_all(head.as_bytes()).unwrap();
            stream.write_all(body).unwrap();
        }
    });
    url
}

#[test]
fn an_encrypted_state_is_stored_as_it_is_served_and_both_workers_get_its_key() {
    let mut site = Site::small();
    let key = "00112233445566778899aabbccddeeff".repeat(2);
    site.environment.insert("STATE_ENCRYPTION_KEY".to_owned(), key.clone());
    let error = site.deploy(&[]).failed();
    assert!(error.contains("no state for this client secret"), "the plain one is not taken for it: {error}");
    let bytes: Vec<u8> = (0..=255).collect();
    let url = sealed_cdn(site.cloud.confidence().client_secret(), bytes.clone());
    site.environment.insert("CONFIDENCE_CDN_URL".to_owned(), url);
    site.deploy(&[]).ok();
    assert_eq!(site.cloud.kv_value("tributary-confidence-state", "resolver_state").unwrap().bytes, bytes);
    for worker in ["tributary-consumer", "tributary-producer"] {
        assert_eq!(site.cloud.script(worker).unwrap().secrets()["STATE_ENCRYPTION_KEY"], key);
    }
    // Who deploys next need not have the key.
    site.environment.remove("STATE_ENCRYPTION_KEY");
    site.cloud.forget_requests();
    site.deploy(&[]).ok();
    assert_eq!(site.writes().len(), 0);
    site.environment.insert("STATE_ENCRYPTION_KEY".to_owned(), key);
    let url = sealed_cdn(site.cloud.confidence().client_secret(), site.cloud.confidence().state());
    site.environment.insert("CONFIDENCE_CDN_URL".to_owned(), url);
    let error = site.deploy(&["--prefix=other"]).failed();
    assert!(error.contains("serves no encrypted state"), "{error}");
}
