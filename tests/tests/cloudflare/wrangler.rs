//! The real wrangler, from an empty account to an empty account.

use std::time::Duration;

use tributary_tests::cloudflare::{Effect, FakeCloudflare, Fault};
use tributary_tests::http::Client;
use tributary_tests::wait::eventually;

use crate::support::{Project, api_only, running};

const LIMIT: Duration = Duration::from_secs(20);

const SOURCE: &str = r#"import { DurableObject } from "cloudflare:workers";
export class Counter extends DurableObject {
    async next() {
        const count = ((await this.ctx.storage.get("count")) ?? 0) + 1;
        await this.ctx.storage.put("count", count);
        return count;
    }
}
export default {
    async fetch(request, env) {
        await env.QUEUE.send("one more", { contentType: "text" });
        const count = await env.COUNTER.getByName("the").next();
        return Response.json({ greeting: env.GREETING, secret: env.SECRET, version: env.VERSION.id, count });
    },
    async queue(batch, env) {
        for (const message of batch.messages) await env.KV.put(message.id, message.body);
    },
    async scheduled(event, env) { await env.KV.put("cron", event.cron); },
};
"#;

fn config(namespace: &str, greeting: &str) -> String {
    format!(
        r#"name = "tiny"
main = "index.js"
compatibility_date = "2026-10-01"

[[queues.producers]]
binding = "QUEUE"
queue = "tiny-queue"

[[queues.consumers]]
queue = "tiny-queue"
dead_letter_queue = "tiny-dead"
max_batch_size = 10
max_batch_timeout = 0
max_retries = 3
retry_delay = 1

[[kv_namespaces]]
binding = "KV"
id = "{namespace}"

[durable_objects]
bindings = [{{ name = "COUNTER", class_name = "Counter" }}]

[[migrations]]
tag = "v1"
new_sqlite_classes = ["Counter"]

[triggers]
crons = ["*/5 * * * *"]

[version_metadata]
binding = "VERSION"

[vars]
GREETING = "{greeting}"
"#
    )
}

const NO_NAMESPACE: &str = "0123456789abcdef0123456789abcdef";

/// What the Worker says, once it says it of this version.
fn said(cloud: &FakeCloudflare) -> serde_json::Value {
    let host = cloud.worker_host("tiny");
    let reply = Client::default().send("GET", &cloud.workers_origin(), &[("host", &host)], b"").unwrap();
    assert_eq!(reply.status, 200, "{}", reply.body);
    let said = reply.json();
    assert_eq!(said["version"], cloud.script("tiny").unwrap().active.unwrap());
    said
}

#[test]
fn wrangler_deploys_changes_rolls_back_and_deletes() {
    let cloud = running();
    let project = Project::new(&config(NO_NAMESPACE, ""), SOURCE);
    let run = |arguments: &[&str]| project.wrangler(&cloud, arguments).unwrap_or_else(|printed| panic!("{printed}"));
    run(&["queues", "create", "tiny-queue"]);
    run(&["kv", "namespace", "create", "tiny-state"]);
    let namespace = cloud.namespace("tiny-state").unwrap().id;
    run(&["kv", "key", "put", "--remote", "--namespace-id", &namespace, "key", "value", "--metadata", "{\"a\":1}"]);
    assert_eq!(cloud.kv_value("tiny-state", "key").unwrap().metadata, Some(serde_json::json!({ "a": 1 })));

    project.write("wrangler.toml", &config(&namespace, "hello"));
    project.write("secrets.json", "{\"SECRET\": \"one\"}");
    let dry = run(&["deploy", "--dry-run"]);
    assert!(dry.contains("--dry-run: exiting now.") && cloud.script("tiny").is_none(), "{dry}");
    let printed = run(&["deploy", "--secrets-file", "secrets.json"]);
    assert!(printed.contains(&cloud.worker_host("tiny")) && !printed.contains("\"one\""), "{printed}");
    let first = said(&cloud);
    assert_eq!((&first["greeting"], &first["secret"], &first["count"]), (&"hello".into(), &"one".into(), &1.into()));
    let consumer = cloud.queue("tiny-queue").unwrap().consumer.unwrap();
    assert_eq!((consumer.settings.batch_size, consumer.settings.retry_delay), (10, 1));
    cloud.wait_until_idle(LIMIT).unwrap();
    let is_consumed = || cloud.namespace("tiny-state").unwrap().values.values().any(|value| value.bytes == b"one more");
    eventually(LIMIT, "the message in KV", || is_consumed().then_some(()).ok_or_else(String::new));
    cloud.run_cron("tiny", "*/5 * * * *").unwrap();
    assert_eq!(cloud.kv_value("tiny-state", "cron").unwrap().bytes, b"*/5 * * * *");

    // A second deployment takes the way of versions, and the object goes on.
    project.write("wrangler.toml", &config(&namespace, "hello again"));
    run(&["deploy"]);
    let second = said(&cloud);
    assert_eq!(
        (&second["greeting"], &second["secret"], &second["count"]),
        (&"hello again".into(), &"one".into(), &2.into())
    );
    project.wrangler_with(&cloud, &["secret", "put", "SECRET"], &cloud.token(), "two").unwrap();
    assert_eq!(said(&cloud)["secret"], "two");
    project.write("more.json", "{\"SECRET\": \"three\", \"OTHER\": \"x\"}");
    run(&["secret", "bulk", "more.json"]);
    assert_eq!(said(&cloud)["secret"], "three");
    let versions = cloud.script("tiny").unwrap().versions;
    assert_eq!(versions.len(), 4);
    run(&["rollback", &versions[0].id, "--yes", "--message", "back"]);
    let back = said(&cloud);
    assert_eq!((&back["greeting"], &back["secret"], &back["count"]), (&"hello".into(), &"one".into(), &5.into()));
    assert!(run(&["deployments", "list"]).contains(&versions[0].id));

    let refused = project.wrangler(&cloud, &["delete"]).unwrap_err();
    assert!(refused.contains("[code: 10064]"), "{refused}");
    run(&["queues", "consumer", "remove", "tiny-queue", "tiny"]);
    let refused = project.wrangler(&cloud, &["queues", "delete", "tiny-queue"]).unwrap_err();
    assert!(refused.contains("[code: 11005]"), "{refused}");
    run(&["delete"]);
    run(&["queues", "delete", "tiny-queue"]);
    assert!(cloud.scripts().is_empty());
    let unknown: Vec<String> = cloud.unknown_requests().iter().map(|request| request.line()).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

#[test]
fn wrangler_says_what_cloudflare_says() {
    let cloud = api_only();
    let bare = "name = \"tiny\"\nmain = \"index.js\"\ncompatibility_date = \"2026-10-01\"\n";
    let project = Project::new(&format!("{bare}[[queues.consumers]]\nqueue = \"tiny-queue\"\n"), SOURCE);
    let wrong = project.wrangler_with(&cloud, &["queues", "list"], "wrong", "").unwrap_err();
    assert!(wrong.contains("[code: 10000]"), "{wrong}");
    assert!(project.wrangler(&cloud, &["whoami"]).unwrap().contains(&cloud.account_id()));
    let missing = project.wrangler(&cloud, &["deploy"]).unwrap_err();
    assert!(missing.contains("Queue \"tiny-queue\" does not exist"), "{missing}");
    let namespace = format!("{bare}[[kv_namespaces]]\nbinding = \"KV\"\nid = \"{NO_NAMESPACE}\"\n");
    project.write("wrangler.toml", &namespace);
    let missing = project.wrangler(&cloud, &["deploy"]).unwrap_err();
    assert!(missing.contains("[code: 10041]"), "{missing}");
    // It tries an upload again that failed for no fault of its own.
    project.write("wrangler.toml", bare);
    project.write("index.js", "export default { fetch() {} }");
    let limited = Effect::Status { status: 429, retry_after: Some(1) };
    cloud.fail(Fault::once("PUT", "*/workers/scripts/tiny", limited));
    cloud.fail(Fault::once("PUT", "*/workers/scripts/tiny", Effect::Reset).nth(2));
    project.wrangler(&cloud, &["deploy"]).unwrap();
    let uploads: Vec<Option<u16>> =
        cloud.requests().iter().filter(|request| request.method == "PUT").map(|request| request.status).collect();
    assert_eq!(uploads, [Some(400), Some(429), None, Some(200)]);
}
