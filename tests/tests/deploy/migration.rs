//! docs/migration.md with the commands that it names: the real wrangler, the real Workers, and a queue that changes hands.
//!
//! Spotify's Worker is played by a small one that queues what it is sent and notes in KV what its consumer got; what the
//! resolver would have stored of that is made by its own library.

use std::time::Duration;

use confidence_resolver::{
    proto::confidence::flags::resolver::v1::{ResolveReason, WriteFlagLogsRequest},
    telemetry::{TelemetrySnapshot, build_request_telemetry},
};
use serde_json::json;
use tributary_deployer::cloudflare::{client::Client as Api, kv};
use tributary_local::secrets::Secret;
use tributary_tests::exposition::Exposition;
use tributary_tests::http::{Client, Reply};
use tributary_tests::wait::eventually;

use crate::support::Site;

#[path = "../cloudflare/support.rs"]
#[allow(dead_code, reason = "the tests of the fake use all of it")]
mod project;

const LIMIT: Duration = Duration::from_secs(60);
const PEER: &str = "confidence-cloudflare-resolver";
const QUEUE: &str = "flag-logs-queue";
const TITLE: &str = "resolver-metrics";

const SOURCE: &str = "export default {\n\
    async fetch(request, env) { await env.flag_logs_queue.send(await request.text()); return new Response('queued'); },\n\
    async queue(batch, env) {\n\
        for (const message of batch.messages) await env.CONFIDENCE_METRICS_KV.put(`seen:${message.id}`, message.body);\n\
    },\n\
};\n";

/// Its installation in the account of `site`.
struct Peer<'a> {
    site: &'a Site,
    project: project::Project,
    namespace: kv::Namespace,
    sent: TelemetrySnapshot,
    resolves: u32,
}

impl<'a> Peer<'a> {
    fn install(site: &'a Site) -> Self {
        let api = Api::new(&site.cloud.api_url(), Secret::new(site.cloud.token()));
        let namespace = kv::create(&api, &site.cloud.account_id(), TITLE).unwrap();
        let config = format!(
            "name = \"{PEER}\"\nmain = \"index.js\"\ncompatibility_date = \"2025-01-28\"\nworkers_dev = true\n\
             [[queues.producers]]\nqueue = \"{QUEUE}\"\nbinding = \"flag_logs_queue\"\n\
             [[queues.consumers]]\nqueue = \"{QUEUE}\"\nmax_batch_size = 100\nmax_batch_timeout = 1\n\
             [[kv_namespaces]]\nbinding = \"CONFIDENCE_METRICS_KV\"\nid = \"{}\"\n",
            namespace.id
        );
        let project = project::Project::new(&config, SOURCE);
        let peer = Self { site, project, namespace, sent: TelemetrySnapshot::default(), resolves: 0 };
        peer.wrangler(&["queues", "create", QUEUE]);
        peer.wrangler(&["deploy"]);
        peer
    }

    fn wrangler(&self, arguments: &[&str]) {
        let printed = self.project.wrangler(&self.site.cloud, arguments);
        printed.unwrap_or_else(|printed| panic!("wrangler {arguments:?}:\n{printed}"));
    }

    /// So many resolves, each a message.
    fn resolve(&mut self, count: u32) {
        for _ in 0..count {
            self.resolves += 1;
            let reason =
                if self.resolves.is_multiple_of(3) { ResolveReason::NoSegmentMatch } else { ResolveReason::Match };
            let telemetry = build_request_telemetry(Some(self.resolves % 5 * 1_000), &[reason, reason]);
            self.sent.accumulate_delta(&telemetry);
            let log = WriteFlagLogsRequest { telemetry_data: Some(telemetry), ..WriteFlagLogsRequest::default() };
            let reply = self.request(PEER, "POST", "/", &[], serde_json::to_string(&log).unwrap().as_bytes());
            assert_eq!(reply.body, "queued");
        }
    }

    fn request(&self, worker: &str, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        let host = self.site.cloud.worker_host(worker);
        let headers: Vec<_> = headers.iter().copied().chain([("host", host.as_str())]).collect();
        let url = format!("{}{path}", self.site.cloud.workers_origin());
        Client::default().send(method, &url, &headers, body).unwrap()
    }

    /// What its consumer got.
    fn seen(&self) -> Vec<WriteFlagLogsRequest> {
        let values = self.site.cloud.namespace(TITLE).unwrap().values;
        let seen = values.into_iter().filter(|(key, _)| key.starts_with("seen:"));
        seen.map(|(_, value)| serde_json::from_slice(&value.bytes).unwrap()).collect()
    }

    fn expect_seen(&self, count: usize) {
        eventually(LIMIT, "its consumer", || match self.seen().len() {
            seen if seen == count => Ok(()),
            seen => Err(format!("{seen} of {count}")),
        });
    }

    fn expect_waiting(&self, count: usize) {
        eventually(LIMIT, "the queue", || match self.site.cloud.queue(QUEUE).unwrap().backlog {
            backlog if backlog == count => Ok(()),
            backlog => Err(format!("{backlog} of {count}")),
        });
    }

    /// Stores what its consumer counted, as it would have.
    fn store(&self) {
        let mut counted = TelemetrySnapshot::default();
        self.seen().iter().for_each(|log| counted.accumulate_delta(log.telemetry_data.as_ref().unwrap()));
        let api = Api::new(&self.site.cloud.api_url(), Secret::new(self.site.cloud.token()));
        let value = serde_json::to_vec(&counted).unwrap();
        let account_id = self.site.cloud.account_id();
        kv::put(&api, &account_id, &self.namespace, "snapshot:flaglogs", &value, &json!({})).unwrap();
    }

    fn scrape(&self, token: &str) -> Exposition {
        let bearer = format!("Bearer {token}");
        let reply = self.request("tributary-producer", "GET", "/metrics", &[("authorization", &bearer)], b"");
        Exposition::parse(&reply.body).unwrap()
    }
}

/// Every series that the resolver would print of all that was sent is ours, with its number.
fn expect_all(peer: &Peer<'_>, token: &str) {
    let text = peer.sent.to_prometheus("cf-resolver", &Default::default());
    let theirs = Exposition::parse(&text).unwrap();
    assert!(theirs.all().count() > 20);
    eventually(LIMIT, "all that was sent on our /metrics", || {
        let ours = peer.scrape(token);
        let ours: std::collections::BTreeMap<_, _> = ours.all().collect();
        let differs = theirs.all().find(|(series, value)| ours.get(series) != Some(value));
        differs.map_or(Ok(()), |(series, value)| Err(format!("{series}: {:?} of {value}", ours.get(series))))
    });
}

#[test]
fn the_guide_moves_the_queue_over_without_a_message_lost_or_doubled_and_back() {
    let mut site = Site::real();
    let token = "t0ken-of-the-guide".to_owned();
    site.environment.insert("METRICS_TOKEN".to_owned(), token.clone());
    let mut peer = Peer::install(&site);
    peer.resolve(20);
    peer.expect_seen(20);

    // 1.
    site.run(&["deploy"]).ok();
    // 2. What comes now waits.
    peer.wrangler(&["queues", "pause-delivery", QUEUE]);
    peer.resolve(15);
    peer.expect_waiting(15);
    // 3.
    peer.store();
    let dry = site.run(&["import-snapshot", TITLE, "--dry-run"]).ok();
    assert_eq!(dry, site.run(&["import-snapshot", TITLE, "--dry-run"]).ok());
    let output = site.run(&["deploy", "--import-snapshot", TITLE]).ok();
    assert!(output.contains("imported: ") && output.contains("Nothing to change."), "{output}");
    peer.expect_seen(20);
    // 4.
    peer.wrangler(&["queues", "consumer", "worker", "remove", QUEUE, PEER]);
    let add = ["queues", "consumer", "worker", "add", QUEUE, "tributary-consumer", "--batch-size", "100"];
    let how = ["--batch-timeout", "2", "--message-retries", "20", "--retry-delay-secs", "2"];
    peer.wrangler(&[&add[..], &how, &["--dead-letter-queue", "tributary-deltas-dead"]].concat());
    peer.wrangler(&["queues", "resume-delivery", QUEUE]);
    peer.resolve(5);
    expect_all(&peer, &token);
    peer.expect_seen(20);
    peer.expect_waiting(0);
    // A deploy of ours leaves the queue that we took over as it is.
    assert!(site.run(&["deploy", "--skip-check"]).ok().contains("Nothing to change."));
    assert_eq!(site.cloud.queue(QUEUE).unwrap().consumer.unwrap().script, "tributary-consumer");

    // And back again.
    peer.wrangler(&["queues", "pause-delivery", QUEUE]);
    peer.resolve(3);
    peer.wrangler(&["queues", "consumer", "worker", "remove", QUEUE, "tributary-consumer"]);
    peer.wrangler(&["queues", "consumer", "worker", "add", QUEUE, PEER, "--batch-size", "100", "--batch-timeout", "1"]);
    peer.wrangler(&["queues", "resume-delivery", QUEUE]);
    peer.expect_seen(23);
    peer.expect_waiting(0);
    assert_eq!(peer.scrape(&token).sum("confidence_resolves_total"), 80.0);
    assert!(site.cloud.unknown_requests().is_empty(), "{:?}", site.cloud.unknown_requests());
}
