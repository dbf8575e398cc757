//! What was deployed runs: bindings, queues, objects, cron triggers; and what changes takes effect.

use std::time::Duration;

use serde_json::{Value, json};
use tributary_tests::cloudflare::{FakeCloudflare, Options};
use tributary_tests::http::{Client, Reply};
use tributary_tests::wait::eventually;

use crate::support::{deploy, result, running};

const LIMIT: Duration = Duration::from_secs(20);

/// Asks a Worker for something.
fn get(cloud: &FakeCloudflare, script: &str, path: &str) -> Reply {
    let host = cloud.worker_host(script);
    let url = format!("{}{path}", cloud.workers_origin());
    Client::default().send("GET", &url, &[("host", &host)], b"").unwrap()
}

fn json_of(cloud: &FakeCloudflare, script: &str, path: &str) -> Value {
    let reply = get(cloud, script, path);
    assert_eq!(reply.status, 200, "{script} {path}: {}", reply.body);
    reply.json()
}

fn namespace(cloud: &FakeCloudflare, title: &str) -> String {
    let created = result(cloud, "POST", "/storage/kv/namespaces", &json!({ "title": title }));
    created["id"].as_str().unwrap().to_owned()
}

const KV: &str = r#"export default { async fetch(request, env) {
    const { pathname, searchParams } = new URL(request.url);
    const key = searchParams.get("key");
    switch (pathname) {
        case "/put": await env.KV.put(key, searchParams.get("value"), { metadata: { by: "worker" } }); return Response.json(null);
        case "/get": return Response.json(await env.KV.getWithMetadata(key));
        case "/list": return Response.json(await env.KV.list({ prefix: "p", limit: 1, cursor: searchParams.get("cursor") }));
        case "/delete": await env.KV.delete(key); return Response.json(null);
        case "/ttl": await env.KV.put(key, "short", { expirationTtl: 60 }); return Response.json(await env.KV.list());
        case "/short": return env.KV.put(key, "", { expirationTtl: 59 }).then(() => Response.json("taken"), (e) => Response.json(String(e)));
        case "/many": return Response.json(Object.fromEntries(await env.KV.get(["p1", "nothing"])));
    }
} }"#;

#[test]
fn kv_is_shared_between_workers_and_the_api() {
    let cloud = running();
    let id = namespace(&cloud, "state");
    let bindings = json!([{ "name": "KV", "type": "kv_namespace", "namespace_id": id }]);
    deploy(&cloud, "kv", json!({ "bindings": bindings }), KV);
    let value = |key: &str| format!("/storage/kv/namespaces/{id}/values/{key}");
    // A key with everything that a path could trip over.
    let key = "p1%2Fa%20b%3F%25";
    crate::support::send(&cloud, "PUT", &value(key), &[], b"from the API").unwrap();
    let got = json_of(&cloud, "kv", &format!("/get?key={key}"));
    assert_eq!(got, json!({ "value": "from the API", "metadata": null, "cacheStatus": null }));
    json_of(&cloud, "kv", "/put?key=p2&value=from%20the%20Worker");
    let stored = cloud.kv_value("state", "p2").unwrap();
    assert_eq!((stored.bytes, stored.metadata), (b"from the Worker".to_vec(), Some(json!({ "by": "worker" }))));
    assert_eq!(crate::support::send(&cloud, "GET", &value("p2"), &[], b"").unwrap().body, "from the Worker");

    assert_eq!(json_of(&cloud, "kv", "/get?key=p2")["metadata"], json!({ "by": "worker" }));

    let first = json_of(&cloud, "kv", "/list");
    assert_eq!((&first["keys"][0]["name"], &first["list_complete"]), (&json!("p1/a b?%"), &json!(false)));
    let second = json_of(&cloud, "kv", &format!("/list?cursor={}", "p1%2Fa%20b%3F%25"));
    assert_eq!(second["keys"], json!([{ "name": "p2", "metadata": { "by": "worker" } }]));
    assert_eq!(second["list_complete"], true);
    json_of(&cloud, "kv", "/delete?key=p2");
    assert_eq!(cloud.kv_value("state", "p2"), None);
    assert_eq!(json_of(&cloud, "kv", "/get?key=p2")["value"], Value::Null);
    crate::support::send(&cloud, "PUT", &value("p1"), &[], b"one").unwrap();
    assert_eq!(json_of(&cloud, "kv", "/many"), json!({ "p1": "one", "nothing": null }));
    assert!(json_of(&cloud, "kv", "/short?key=x").as_str().unwrap().contains("400"), "a TTL that is too short");
    assert!(json_of(&cloud, "kv", "/ttl?key=x")["keys"][2]["expiration"].is_u64());
}

const QUEUES: &str = r#"
async function note(env, what) { await env.KV.put(`seen-${Date.now()}-${Math.random()}`, JSON.stringify(what)); }
export default {
    async fetch(request, env) {
        await env.Q.send("text", { contentType: "text" });
        await env.Q.send({ a: 1 });
        await env.Q.send(new Uint8Array([1, 255]), { contentType: "bytes" });
        await env.Q.sendBatch([{ body: new Map([["k", 1]]), contentType: "v8" }, { body: "poison", contentType: "text" }]);
        return Response.json((await env.Q.metrics()).backlogCount);
    },
    async queue(batch, env) {
        for (const message of batch.messages) {
            const body = message.body instanceof Uint8Array ? [...message.body] : message.body instanceof Map ? [...message.body] : message.body;
            await note(env, { queue: batch.queue, body, attempts: message.attempts });
            if (body === "poison" && batch.queue === "main") message.retry(); else message.ack();
        }
        if (batch.queue === "main") throw new Error("an ack holds all the same");
    },
}"#;

#[test]
fn queues_deliver_retry_and_bury() {
    let cloud = running();
    let id = namespace(&cloud, "seen");
    let queues = ["main", "dead"].map(|name| {
        result(&cloud, "POST", "/queues", &json!({ "queue_name": name }))["queue_id"].as_str().unwrap().to_owned()
    });
    let bindings = json!([
        { "name": "KV", "type": "kv_namespace", "namespace_id": id },
        { "name": "Q", "type": "queue", "queue_name": "main" },
    ]);
    deploy(&cloud, "queues", json!({ "bindings": bindings }), QUEUES);
    // What is sent before there is a consumer waits for one.
    assert_eq!(json_of(&cloud, "queues", "/"), 5);
    assert_eq!(cloud.queue("main").unwrap().backlog, 5);
    let settings = json!({ "batch_size": 10, "max_retries": 1, "max_wait_time_ms": 50, "retry_delay": 0 });
    let mut consumer = json!({ "type": "worker", "script_name": "queues", "settings": settings });
    result(&cloud, "POST", &format!("/queues/{}/consumers", queues[1]), &consumer);
    consumer["dead_letter_queue"] = "dead".into();
    result(&cloud, "POST", &format!("/queues/{}/consumers", queues[0]), &consumer);
    cloud.wait_until_idle(LIMIT).unwrap();
    let values = cloud.namespace("seen").unwrap().values;
    let mut seen: Vec<String> = values
        .values()
        .map(|value| serde_json::from_slice::<Value>(&value.bytes).unwrap())
        .map(|seen| format!("{} {} {}", seen["queue"].as_str().unwrap(), seen["attempts"], seen["body"]))
        .collect();
    seen.sort();
    let expected = [
        "dead 1 \"poison\"",
        "main 1 \"poison\"",
        "main 1 \"text\"",
        "main 1 [1,255]",
        "main 1 [[\"k\",1]]",
        "main 1 {\"a\":1}",
        "main 2 \"poison\"",
    ];
    assert_eq!(seen, expected);
}

const COUNTER: &str = r#"import { DurableObject } from "cloudflare:workers";
export class Counter extends DurableObject {
    async fetch() {
        const { sql } = this.ctx.storage;
        sql.exec("CREATE TABLE IF NOT EXISTS counts (n INTEGER)");
        sql.exec("INSERT INTO counts VALUES (1)");
        return Response.json(sql.exec("SELECT count(*) AS n FROM counts").one().n);
    }
    async alarm() { await this.env.KV.put("alarm", "rang"); }
    async arm() { await this.ctx.storage.setAlarm(Date.now() + 1500); }
}
export default {
    async fetch(request, env) {
        const stub = env.COUNTER.getByName("one");
        if (new URL(request.url).pathname === "/arm") { await stub.arm(); return Response.json("armed"); }
        return stub.fetch(request);
    },
}"#;

#[test]
fn objects_keep_what_they_have_and_their_alarms() {
    let cloud = running();
    let id = namespace(&cloud, "alarms");
    let bindings = json!([
        { "name": "COUNTER", "type": "durable_object_namespace", "class_name": "Counter" },
        { "name": "KV", "type": "kv_namespace", "namespace_id": id },
    ]);
    let migrations = json!({ "new_tag": "v1", "steps": [{ "new_sqlite_classes": ["Counter"] }] });
    deploy(&cloud, "counter", json!({ "bindings": bindings, "migrations": migrations }), COUNTER);
    assert_eq!((json_of(&cloud, "counter", "/"), json_of(&cloud, "counter", "/")), (json!(1), json!(2)));
    json_of(&cloud, "counter", "/arm");
    deploy(&cloud, "counter", json!({ "bindings": bindings }), &format!("{COUNTER}\n// Another version."));
    assert_eq!(json_of(&cloud, "counter", "/"), 3);
    eventually(LIMIT, "the alarm of before the deployment", || {
        cloud.kv_value("alarms", "alarm").map(|_| ()).ok_or_else(|| "no alarm".to_owned())
    });
    // Another Worker's binding leads to the same object.
    let foreign = json!([
        { "name": "C", "type": "durable_object_namespace", "class_name": "Counter", "script_name": "counter" },
    ]);
    let source = "export default { fetch: (request, env) => env.C.getByName(\"one\").fetch(request) }";
    deploy(&cloud, "other", json!({ "bindings": foreign }), source);
    assert_eq!(json_of(&cloud, "other", "/"), 4);
}

#[test]
fn bindings_hold_what_was_uploaded() {
    let cloud = running();
    deploy(&cloud, "callee", json!({}), "export default { fetch: (r) => Response.json(`called ${r.url}`) }");
    let bindings = json!([
        { "name": "TEXT", "type": "plain_text", "text": "with \"quotes\", \\ and\nlines \u{e5}" },
        { "name": "JSON", "type": "json", "json": { "a": [1, "b"] } },
        { "name": "SECRET", "type": "secret_text", "text": "hush" },
        { "name": "VERSION", "type": "version_metadata" },
        { "name": "CALLEE", "type": "service", "service": "callee" },
    ]);
    let source = r#"export default { async fetch(request, env) {
        if (request.url.endsWith("/call")) return env.CALLEE.fetch(request);
        if (request.url.endsWith("/fail")) throw new Error("on purpose");
        const { TEXT, JSON: json, SECRET, VERSION } = env;
        return Response.json({ TEXT, json, SECRET, VERSION, url: request.url, colo: request.cf.colo });
    } }"#;
    let metadata = json!({ "bindings": bindings, "annotations": { "workers/tag": "t1" } });
    deploy(&cloud, "caller", metadata, source);
    let (said, host) = (json_of(&cloud, "caller", "/x?y=1"), cloud.worker_host("caller"));
    let active = cloud.script("caller").unwrap().active_version().unwrap().clone();
    let version = json!({ "id": active.id, "tag": "t1", "timestamp": active.created_on });
    let expected = json!({
        "TEXT": "with \"quotes\", \\ and\nlines \u{e5}", "json": { "a": [1, "b"] }, "SECRET": "hush",
        "VERSION": version, "url": format!("https://{host}/x?y=1"), "colo": "ARN",
    });
    assert_eq!(said, expected);
    assert_eq!(json_of(&cloud, "caller", "/call"), format!("called https://{host}/call"));
    let failed = get(&cloud, "caller", "/fail");
    assert_eq!((failed.status, failed.body.as_str()), (500, "error code: 1101\n"));
}

#[test]
fn what_changes_takes_effect_at_once() {
    let cloud = running();
    let source = |text: &str| format!("export default {{ fetch: (r, env) => Response.json(`{text} ${{env.S}}`) }}");
    deploy(&cloud, "w", json!({}), &source("one"));
    assert_eq!(json_of(&cloud, "w", "/"), "one undefined");
    let secret = |text: &str| json!({ "name": "S", "type": "secret_text", "text": text });
    result(&cloud, "PUT", "/workers/scripts/w/secrets", &secret("first"));
    assert_eq!(json_of(&cloud, "w", "/"), "one first");
    let kept = json!({ "keep_bindings": ["secret_text"] });
    deploy(&cloud, "w", kept, &source("two"));
    assert_eq!(json_of(&cloud, "w", "/"), "two first");
    // Back to the version before, which has the secret.
    let before = cloud.script("w").unwrap().versions[1].id.clone();
    let deployment = json!({ "strategy": "percentage", "versions": [{ "version_id": before, "percentage": 100 }] });
    result(&cloud, "POST", "/workers/scripts/w/deployments", &deployment);
    assert_eq!(json_of(&cloud, "w", "/"), "one first");
    result(&cloud, "POST", "/workers/scripts/w/subdomain", &json!({ "enabled": false }));
    assert_eq!(get(&cloud, "w", "/").status, 404);
    result(&cloud, "POST", "/workers/scripts/w/subdomain", &json!({ "enabled": true }));
    assert_eq!(json_of(&cloud, "w", "/"), "one first");
    result(&cloud, "DELETE", "/workers/scripts/w", &Value::Null);
    assert_eq!(get(&cloud, "w", "/").status, 404);
}

#[test]
fn a_change_while_the_runtime_starts_is_not_missed() {
    let cloud = running();
    deploy(&cloud, "w", json!({}), "export default { fetch: () => Response.json(1) }");
    // A start begins some time after the last change; this sweeps over that time.
    for millis in (50..70).step_by(2) {
        result(&cloud, "POST", "/workers/scripts/w/subdomain", &json!({ "enabled": false }));
        std::thread::sleep(Duration::from_millis(millis));
        result(&cloud, "POST", "/workers/scripts/w/subdomain", &json!({ "enabled": true }));
        assert_eq!(get(&cloud, "w", "/").status, 200, "after {millis} ms");
    }
}

const LATE: &str = r#"export default { fetch(request, env, context) {
    context.waitUntil(scheduler.wait(700).then(() => env.KV.put("late", "done")));
    return Response.json("early");
} }"#;

#[test]
fn a_change_waits_for_what_is_done_behind_an_answer() {
    let linger = Duration::from_millis(1_200);
    let cloud = FakeCloudflare::start(Options { linger, ..Options::default() }).unwrap();
    let id = namespace(&cloud, "late");
    let bindings = json!([{ "name": "KV", "type": "kv_namespace", "namespace_id": id }]);
    deploy(&cloud, "late", json!({ "bindings": bindings }), LATE);
    assert_eq!(json_of(&cloud, "late", "/"), "early");
    let secret = json!({ "name": "S", "type": "secret_text", "text": "s" });
    result(&cloud, "PUT", "/workers/scripts/late/secrets", &secret);
    assert!(cloud.kv_value("late", "late").is_some());
}

#[test]
fn requests_wait_for_a_new_version_and_none_is_refused() {
    let cloud = running();
    let source = |number: u32| format!("export default {{ fetch: () => Response.json({number}) }}");
    deploy(&cloud, "w", json!({}), &source(0));
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| (0..60).map(|_| json_of(&cloud, "w", "/").as_u64().unwrap()).collect::<Vec<_>>());
        for number in 1..4 {
            deploy(&cloud, "w", json!({}), &source(number));
        }
        let seen = asking.join().unwrap();
        assert!(seen.is_sorted(), "{seen:?}");
    });
    // People reach it by a name that their system knows.
    let url = cloud.workers_origin();
    assert_eq!(Client::default().send("GET", &url, &[("host", "w.localhost:8787")], b"").unwrap().json(), 3);
}

#[test]
fn cron_triggers_fire() {
    let cloud = running();
    let id = namespace(&cloud, "crons");
    let bindings = json!([{ "name": "KV", "type": "kv_namespace", "namespace_id": id }]);
    let source = r#"export default { async scheduled(event, env) {
        if (event.cron === "1 1 1 1 *") throw new Error("on purpose");
        await env.KV.put(event.cron, String(event.scheduledTime));
    } }"#;
    deploy(&cloud, "cron", json!({ "bindings": bindings }), source);
    let schedules = json!([{ "cron": "0 3 * * *" }, { "cron": "1 1 1 1 *" }]);
    result(&cloud, "PUT", "/workers/scripts/cron/schedules", &schedules);
    cloud.run_cron("cron", "0 3 * * *").unwrap();
    assert!(cloud.kv_value("crons", "0 3 * * *").is_some());
    assert!(cloud.run_cron("cron", "1 1 1 1 *").is_err(), "a handler that fails");
    assert!(cloud.run_cron("cron", "* * * * *").is_err(), "a trigger that is not there");
}

#[test]
fn everything_is_there_again_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options { folder: Some(folder.path().into()), ..Default::default() };
    let addresses = |cloud: &FakeCloudflare| {
        let confidence = cloud.confidence();
        [cloud.api_url(), cloud.workers_origin(), confidence.cdn_url().to_owned(), confidence.backend().url()]
    };
    let (token, before) = {
        let cloud = FakeCloudflare::start(options.clone()).unwrap();
        let bindings = json!([{ "name": "COUNTER", "type": "durable_object_namespace", "class_name": "Counter" }]);
        let migrations = json!({ "new_tag": "v1", "new_sqlite_classes": ["Counter"] });
        deploy(&cloud, "counter", json!({ "bindings": bindings, "migrations": migrations }), COUNTER);
        assert_eq!(json_of(&cloud, "counter", "/"), 1);
        (cloud.token(), addresses(&cloud))
    };
    let mut last = before;
    // Also where it was, since what was deployed may know these addresses: unless somebody else took a port meanwhile,
    // another of these tests most likely, so it has some tries.
    let is_where_it_was = (2..7).any(|count| {
        let cloud = FakeCloudflare::start(options.clone()).unwrap();
        assert_eq!((cloud.token(), json_of(&cloud, "counter", "/")), (token.clone(), json!(count)));
        let now = addresses(&cloud);
        std::mem::replace(&mut last, now.clone()) == now
    });
    assert!(is_where_it_was, "{last:?}");
}
