//! Workers: what an upload must be, migrations, versions, secrets, triggers, deletion.

use serde_json::{Value, json};
use tributary_tests::cloudflare::{FakeCloudflare, Options};

use crate::support::{api_only, call, deploy, form, refusal, result, send, upload};

const FETCH: &str = "export default { fetch() {} }";
const OBJECT: &str = "import { DurableObject } from \"cloudflare:workers\";\n\
    export class A extends DurableObject {}\nexport class B extends DurableObject {}\nexport default { fetch() {} }";

fn put(cloud: &FakeCloudflare, metadata: &Value, source: &str) -> (u16, u64) {
    let mut full = json!({ "main_module": "index.js" });
    full.as_object_mut().unwrap().extend(metadata.as_object().unwrap().clone());
    refusal(&upload(cloud, "PUT", "/workers/scripts/w", &full, source))
}

#[test]
fn forms_that_are_no_upload_are_refused() {
    let cloud = api_only();
    let put = |body: &[u8], kind: &str| {
        refusal(&send(&cloud, "PUT", "/workers/scripts/w", &[("content-type", kind)], body).unwrap())
    };
    let kind = "multipart/form-data; boundary=b";
    let module = ("index.js", "application/javascript+module", FETCH);
    let main = json!({ "main_module": "index.js" });
    assert_eq!(put(b"{}", "application/json"), (400, 10_001));
    assert_eq!(put(b"--b--\r\n", kind), (400, 10_001));
    assert_eq!(put(&form(&json!([]), &[module]), kind), (400, 10_001));
    assert_eq!(put(&form(&main, &[]), kind), (400, 10_021));
    assert_eq!(put(&form(&json!({ "main_module": "other.js" }), &[module]), kind), (400, 10_021));
    assert_eq!(put(&form(&json!({}), &[module]), kind), (400, 10_021));
    assert_eq!(put(&form(&main, &[("index.js", "application/wasm", "")]), kind), (400, 10_021));
    assert_eq!(put(&form(&main, &[module, module]), kind), (400, 10_021));
    assert_eq!(put(&form(&main, &[module, ("x", "image/png", "")]), kind), (400, 10_021));
    assert_eq!(put(&form(&json!({ "main_module": "index.js", "assets": {} }), &[module]), kind), (400, 10_001));
    assert!(cloud.scripts().is_empty());
}

#[test]
fn scripts_that_do_not_load_are_refused_with_the_reason() {
    let cloud = api_only();
    let metadata = json!({ "main_module": "index.js" });
    for (source, reason) in [
        ("export default {", "SyntaxError"),
        ("throw new Error(\"boom\"); export default {}", "boom"),
        ("import \"./missing.js\"; export default {}", "missing.js"),
    ] {
        let reply = upload(&cloud, "PUT", "/workers/scripts/w", &metadata, source);
        assert_eq!(refusal(&reply), (400, 10_021));
        assert!(reply.body.contains(reason), "{}", reply.body);
    }
    for (date, flags) in [("2999-01-01", json!([])), ("yesterday", json!([])), ("2026-10-01", json!(["no_such_flag"]))]
    {
        let metadata = json!({ "compatibility_date": date, "compatibility_flags": flags });
        assert_eq!(put(&cloud, &metadata, FETCH), (400, 10_021), "{metadata}");
    }
    let name = |name: &str| refusal(&upload(&cloud, "PUT", &format!("/workers/scripts/{name}"), &metadata, FETCH));
    assert_eq!((name("W"), name("-w"), name(&"w".repeat(64))), ((400, 10_016), (400, 10_016), (400, 10_016)));
}

#[test]
fn bindings_must_lead_somewhere() {
    let cloud = api_only();
    let missing = "0123456789abcdef0123456789abcdef";
    for (binding, code) in [
        (json!({ "type": "plain_text", "text": "x" }), 10_052),
        (json!({ "name": "X" }), 10_021),
        (json!({ "name": "X", "type": "plain_text" }), 10_021),
        (json!({ "name": "X", "type": "no_such_type" }), 10_021),
        (json!({ "name": "X", "type": "kv_namespace", "namespace_id": "state" }), 10_042),
        (json!({ "name": "X", "type": "kv_namespace", "namespace_id": missing }), 10_041),
        (json!({ "name": "X", "type": "queue" }), 10_021),
        (json!({ "name": "X", "type": "queue", "queue_name": "none" }), 11_000),
        (json!({ "name": "X", "type": "service", "service": "none" }), 10_143),
        (json!({ "name": "X", "type": "durable_object_namespace", "class_name": "A" }), 10_061),
        (json!({ "name": "X", "type": "durable_object_namespace", "class_name": "A", "script_name": "none" }), 10_061),
        (json!({ "name": "X", "type": "inherit" }), 10_057),
        (json!({ "name": "X", "type": "secret_text", "text": "x".repeat(5 * 1024 + 1) }), 10_055),
    ] {
        assert_eq!(put(&cloud, &json!({ "bindings": [binding] }), OBJECT), (400, code), "{binding}");
    }
    let twice = json!({ "name": "X", "type": "plain_text", "text": "x" });
    assert_eq!(put(&cloud, &json!({ "bindings": [twice, twice] }), FETCH), (400, 10_053));
    let many: Vec<Value> =
        (0..129).map(|n| json!({ "name": format!("X{n}"), "type": "plain_text", "text": "" })).collect();
    assert_eq!(put(&cloud, &json!({ "bindings": many }), FETCH), (400, 10_054));
    deploy(&cloud, "there", json!({}), FETCH);
    let service = json!({ "name": "X", "type": "service", "service": "there", "environment": "staging" });
    assert_eq!(put(&cloud, &json!({ "bindings": [service] }), FETCH), (400, 10_144));
    assert!(cloud.script("w").is_none());
}

#[test]
fn secrets_and_variables_are_kept_where_that_is_asked_for() {
    let cloud = api_only();
    let text = |name: &str, kind: &str, text: &str| json!({ "name": name, "type": kind, "text": text });
    let first = json!({ "bindings": [text("S", "secret_text", "s"), text("V", "plain_text", "v")] });
    deploy(&cloud, "w", first, FETCH);
    deploy(&cloud, "w", json!({ "keep_bindings": ["secret_text"] }), FETCH);
    let names = || -> Vec<String> {
        let version = cloud.script("w").unwrap().active_version().unwrap().clone();
        version.bindings.iter().map(|binding| binding["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(), ["S"]);
    // What the upload names wins over what it keeps; what it inherits may get another name.
    let third = json!({
        "bindings": [text("S", "secret_text", "new"), { "name": "OLD", "type": "inherit", "old_name": "S" }],
        "keep_bindings": ["secret_text", "secret_key"],
    });
    deploy(&cloud, "w", third, FETCH);
    let secrets = cloud.script("w").unwrap().secrets();
    assert_eq!((secrets["S"].as_str(), secrets["OLD"].as_str()), ("new", "s"));
    deploy(&cloud, "w", json!({}), FETCH);
    assert!(names().is_empty());
    // No answer shows a secret.
    let id = cloud.script("w").unwrap().versions[2].id.clone();
    let shown = [
        call(&cloud, "GET", &format!("/workers/scripts/w/versions/{id}"), &Value::Null),
        call(&cloud, "GET", "/workers/scripts/w/settings", &Value::Null),
    ];
    assert!(shown[0].body.contains("\"OLD\"") && shown.iter().all(|reply| !reply.body.contains("\"new\"")));
}

#[test]
fn migrations_follow_each_other() {
    let cloud = api_only();
    let binding = json!([{ "name": "A", "type": "durable_object_namespace", "class_name": "A" }]);
    let with = |migrations: Value| json!({ "bindings": binding, "migrations": migrations });
    // The class is exported, but nothing made it an object's.
    assert_eq!(put(&cloud, &json!({ "bindings": binding }), OBJECT), (400, 10_061));
    let new = json!({ "new_tag": "v1", "steps": [{ "new_sqlite_classes": ["A"] }] });
    assert_eq!(put(&cloud, &with(json!({ "new_tag": "v1", "new_sqlite_classes": ["C"] })), OBJECT), (400, 10_070));
    let ahead = json!({ "old_tag": "v0", "new_tag": "v1", "new_sqlite_classes": ["A"] });
    assert_eq!(put(&cloud, &with(ahead), OBJECT), (412, 10_079));
    deploy(&cloud, "w", with(new.clone()), OBJECT);
    let script = cloud.script("w").unwrap();
    assert_eq!((script.migration_tag.as_deref(), script.classes.len()), (Some("v1"), 1));
    // The same once more does not fit any longer, nor does a script without its class.
    assert_eq!(put(&cloud, &with(new), OBJECT), (412, 10_079));
    let again = json!({ "old_tag": "v1", "new_tag": "v2", "new_sqlite_classes": ["A"] });
    assert_eq!(put(&cloud, &with(again), OBJECT), (400, 10_074));
    assert_eq!(put(&cloud, &json!({}), FETCH), (400, 10_064));
    let deleted = json!({ "old_tag": "v1", "new_tag": "v2", "deleted_classes": ["A"] });
    assert_eq!(put(&cloud, &with(deleted.clone()), OBJECT), (400, 10_061));
    assert_eq!(cloud.script("w").unwrap().classes, script.classes, "what was refused has changed nothing");
    let renamed = json!({ "old_tag": "v1", "new_tag": "v2", "renamed_classes": [{ "from": "A", "to": "B" }] });
    deploy(&cloud, "w", json!({ "migrations": renamed }), OBJECT);
    assert_eq!(cloud.script("w").unwrap().classes["B"], script.classes["A"], "the objects stay the same");
    // A version of before the migration does not come back.
    let body = deployment(&[(&script.versions[0].id, 100)]);
    assert_eq!(refusal(&call(&cloud, "POST", "/workers/scripts/w/deployments", &body)).0, 400);
    let reply = upload(
        &cloud,
        "POST",
        "/workers/scripts/w/versions",
        &json!({ "main_module": "index.js", "migrations": deleted }),
        OBJECT,
    );
    assert_eq!(refusal(&reply), (400, 10_211));
}

fn deployment(versions: &[(&str, u64)]) -> Value {
    let versions: Vec<Value> =
        versions.iter().map(|(id, percentage)| json!({ "version_id": id, "percentage": percentage })).collect();
    json!({ "strategy": "percentage", "versions": versions })
}

#[test]
fn versions_are_uploaded_first_and_deployed_then() {
    let cloud = api_only();
    let metadata = json!({ "main_module": "index.js", "annotations": { "workers/message": "hello" } });
    let versions = "/workers/scripts/w/versions";
    assert_eq!(refusal(&upload(&cloud, "POST", versions, &metadata, FETCH)), (404, 10_007));
    deploy(&cloud, "w", json!({}), FETCH);
    let first = cloud.script("w").unwrap().active.unwrap();
    let reply = upload(&cloud, "POST", versions, &metadata, FETCH).json();
    let second = reply["result"]["id"].as_str().unwrap().to_owned();
    assert_eq!(cloud.script("w").unwrap().active.as_ref(), Some(&first));
    let deploy = |body: &Value| call(&cloud, "POST", "/workers/scripts/w/deployments", body);
    for body in [
        json!({}),
        json!({ "strategy": "percentage", "versions": [] }),
        deployment(&[(&first, 99)]),
        deployment(&[(&first, 50), (&second, 49)]),
        deployment(&[(&first, 0), (&second, 50), (&second, 50)]),
    ] {
        assert_eq!(refusal(&deploy(&body)), (400, 10_001), "{body}");
    }
    let unknown = deployment(&[("01234567-89ab-4def-8123-456789abcdef", 100)]);
    assert_eq!(refusal(&deploy(&unknown)), (404, 100_146));
    assert_eq!(deploy(&deployment(&[(&second, 100)])).status, 200);
    assert_eq!(cloud.script("w").unwrap().active, Some(second.clone()));
    let listed = result(&cloud, "GET", "/workers/scripts/w/deployments", &Value::Null);
    assert_eq!(listed["deployments"][0]["versions"], json!([{ "version_id": second, "percentage": 100 }]));
    let listed = result(&cloud, "GET", &format!("{versions}?deployable=true"), &Value::Null);
    assert_eq!((&listed["items"][0]["number"], &listed["items"][1]["number"]), (&json!(2), &json!(1)));
    assert_eq!(listed["items"][0]["annotations"]["workers/message"], "hello");
}

#[test]
fn a_secret_is_a_version_and_guards_the_way_back() {
    let cloud = api_only();
    let secrets = "/workers/scripts/w/secrets";
    let secret = |name: &str, text: &str| json!({ "name": name, "type": "secret_text", "text": text });
    assert_eq!(refusal(&call(&cloud, "PUT", secrets, &secret("S", "one"))), (404, 10_007));
    let bindings = json!([{ "name": "V", "type": "plain_text", "text": "v" }]);
    deploy(&cloud, "w", json!({ "bindings": bindings }), FETCH);
    result(&cloud, "PUT", secrets, &secret("S", "one"));
    let with_one = cloud.script("w").unwrap().active.unwrap();
    for (body, code) in [
        (secret("V", "taken"), 10_053),
        (json!({ "name": "X", "text": "x" }), 10_001),
        (json!({ "type": "secret_text", "text": "x" }), 10_001),
        (json!({ "name": "X", "type": "secret_text" }), 10_001),
    ] {
        assert_eq!(refusal(&call(&cloud, "PUT", secrets, &body)), (400, code), "{body}");
    }
    let patch = |body: &Value| {
        let headers = [("content-type", "application/merge-patch+json")];
        send(&cloud, "PATCH", "/workers/scripts/w/secrets-bulk", &headers, body.to_string().as_bytes()).unwrap()
    };
    assert_eq!(patch(&json!({ "secrets": { "S": secret("S", "two"), "T": secret("T", "t") } })).status, 200);
    let values = cloud.script("w").unwrap().secrets();
    assert_eq!((values["S"].as_str(), values["T"].as_str()), ("two", "t"));
    assert_eq!(patch(&json!({ "secrets": { "T": null } })).status, 200);
    assert_eq!(result(&cloud, "GET", secrets, &Value::Null), json!([{ "name": "S", "type": "secret_text" }]));
    assert_eq!(refusal(&patch(&json!({ "secrets": { "A": secret("B", "") } }))).0, 400);
    assert_eq!(refusal(&call(&cloud, "PATCH", "/workers/scripts/w/secrets-bulk", &json!({}))).0, 415);
    assert_eq!(refusal(&call(&cloud, "DELETE", &format!("{secrets}/T"), &Value::Null)), (404, 10_056));

    let back = deployment(&[(&with_one, 100)]);
    let reply = call(&cloud, "POST", "/workers/scripts/w/deployments", &back);
    assert_eq!(refusal(&reply), (400, 10_220));
    assert!(reply.body.contains("The following secrets have changed: S"), "{}", reply.body);
    result(&cloud, "POST", "/workers/scripts/w/deployments?force=true", &back);
    assert_eq!(cloud.script("w").unwrap().secrets()["S"], "one");
    // Behind an older version no secret is changed.
    assert_eq!(refusal(&call(&cloud, "PUT", secrets, &secret("S", "x"))), (400, 10_215));
}

#[test]
fn triggers_are_checked() {
    let cloud = api_only();
    let subdomain = "/workers/scripts/w/subdomain";
    assert_eq!(refusal(&call(&cloud, "POST", subdomain, &json!({ "enabled": true }))), (404, 10_007));
    deploy(&cloud, "w", json!({}), FETCH);
    assert_eq!(refusal(&call(&cloud, "POST", subdomain, &json!({}))), (400, 10_001));
    cloud.set_subdomain(None);
    assert_eq!(refusal(&call(&cloud, "GET", "/workers/subdomain", &Value::Null)), (404, 10_007));
    assert_eq!(refusal(&call(&cloud, "POST", subdomain, &json!({ "enabled": true }))), (403, 10_063));
    assert_eq!(refusal(&call(&cloud, "GET", "/workers/subdomains/mine", &Value::Null)), (404, 10_032));
    result(&cloud, "PUT", "/workers/subdomain", &json!({ "subdomain": "mine" }));
    assert_eq!(refusal(&call(&cloud, "PUT", "/workers/subdomain", &json!({ "subdomain": "x" }))), (409, 10_036));
    result(&cloud, "POST", subdomain, &json!({ "enabled": true, "previews_enabled": false }));
    assert!(cloud.script("w").unwrap().is_on_subdomain);
    assert_eq!(
        result(&cloud, "GET", "/workers/workers/w", &Value::Null)["subdomain"]["url"],
        "https://w.mine.workers.dev"
    );

    let schedules = "/workers/scripts/w/schedules";
    assert_eq!(refusal(&call(&cloud, "PUT", schedules, &json!([{ "cron": "60 * * * *" }]))).0, 400);
    result(&cloud, "PUT", schedules, &json!([{ "cron": "*/5 * * * *" }, { "cron": "0 3 * * MON" }]));
    assert_eq!(cloud.script("w").unwrap().schedules, ["*/5 * * * *", "0 3 * * MON"]);
    result(&cloud, "PUT", schedules, &json!([]));
    assert!(cloud.script("w").unwrap().schedules.is_empty());
}

#[test]
fn a_worker_that_others_need_is_deleted_by_force_alone() {
    let cloud = api_only();
    deploy(&cloud, "callee", json!({}), FETCH);
    deploy(&cloud, "caller", json!({ "bindings": [{ "name": "C", "type": "service", "service": "callee" }] }), FETCH);
    assert_eq!(refusal(&call(&cloud, "DELETE", "/workers/scripts/callee", &Value::Null)), (400, 10_142));
    let references = result(&cloud, "GET", "/workers/scripts/callee/references", &Value::Null);
    assert_eq!(references["services"]["incoming"][0]["service"], "caller");
    result(&cloud, "DELETE", "/workers/services/callee?force=true", &Value::Null);
    assert!(cloud.script("callee").is_none());
    assert_eq!(refusal(&call(&cloud, "DELETE", "/workers/services/callee", &Value::Null)), (404, 10_090));
    assert_eq!(refusal(&call(&cloud, "DELETE", "/workers/scripts/callee", &Value::Null)), (404, 10_007));
}

#[test]
fn accounts_have_nothing_in_common() {
    let cloud = FakeCloudflare::start(Options { accounts: 2, runs_workers: false, ..Options::default() }).unwrap();
    result(&cloud, "POST", "/queues", &json!({ "queue_name": "q" }));
    let other = format!("{}/accounts/{}/queues", cloud.api_url(), cloud.account_ids()[1]);
    let token = format!("Bearer {}", cloud.token());
    let reply =
        tributary_tests::http::Client::default().send("GET", &other, &[("authorization", &token)], b"").unwrap();
    assert_eq!(reply.json()["result"], json!([]));
}
