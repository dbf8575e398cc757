//! Queues and their consumers: what is refused, and what becomes of what is not.

use serde_json::{Value, json};
use tributary_tests::cloudflare::{ConsumerSettings, FakeCloudflare};

use crate::support::{api_only, call, deploy, refusal, result};

const CONSUMER: &str = "export default { queue() {} }";

fn create(cloud: &FakeCloudflare, name: &str) -> String {
    result(cloud, "POST", "/queues", &json!({ "queue_name": name }))["queue_id"].as_str().unwrap().to_owned()
}

fn refused(cloud: &FakeCloudflare, method: &str, path: &str, body: &Value) -> (u16, u64) {
    refusal(&call(cloud, method, path, body))
}

#[test]
fn names_are_those_that_cloudflare_takes() {
    let cloud = api_only();
    for name in ["", "-a", "a-", "A", "a_b", "a.b", &"a".repeat(64)] {
        assert_eq!(refused(&cloud, "POST", "/queues", &json!({ "queue_name": name })), (400, 11_003), "{name:?}");
    }
    assert_eq!(refused(&cloud, "POST", "/queues", &json!({})), (400, 11_003));
    create(&cloud, "a");
    create(&cloud, &"a".repeat(63));
    let taken = call(&cloud, "POST", "/queues", &json!({ "queue_name": "a" }));
    assert_eq!(refusal(&taken), (409, 11_009));
    assert!(taken.body.contains("Queue name 'a' is already taken."), "{}", taken.body);
}

#[test]
fn queues_are_listed_by_name_and_page() {
    let cloud = api_only();
    for number in 0..101 {
        create(&cloud, &format!("q{number}"));
    }
    let list = |query: &str| call(&cloud, "GET", &format!("/queues{query}"), &Value::Null).json();
    let first = list("");
    assert_eq!(first["result"].as_array().unwrap().len(), 100);
    let info = json!({ "page": 1, "per_page": 100, "count": 100, "total_count": 101, "total_pages": 2 });
    assert_eq!(first["result_info"], info);
    assert_eq!(list("?page=2")["result"][0]["queue_name"], "q100");
    assert_eq!(list("?name=q7")["result"].as_array().unwrap().len(), 1);
    assert_eq!(list("?name=q7&name=q8&name=none")["result_info"]["total_count"], 2);
    assert_eq!(refused(&cloud, "GET", "/queues?page=0", &Value::Null).0, 400);
}

#[test]
fn a_queue_is_changed_and_deleted() {
    let cloud = api_only();
    let (id, _) = (create(&cloud, "one"), create(&cloud, "two"));
    let path = format!("/queues/{id}");
    let body = json!({ "queue_name": "uno", "settings": { "delivery_delay": 5, "message_retention_period": 60 } });
    let changed = result(&cloud, "PATCH", &path, &body);
    assert_eq!((&changed["queue_name"], &changed["settings"]["delivery_delay"]), (&json!("uno"), &json!(5)));
    assert_eq!(refused(&cloud, "PATCH", &path, &json!({ "queue_name": "two" })), (409, 11_009));
    for settings in [json!({ "delivery_delay": 86_401 }), json!({ "message_retention_period": 59 })] {
        assert_eq!(refused(&cloud, "PATCH", &path, &json!({ "settings": settings })), (400, 100_128));
    }
    assert_eq!(refused(&cloud, "GET", "/queues/0123456789abcdef0123456789abcdef", &Value::Null), (404, 11_000));
    result(&cloud, "DELETE", &path, &Value::Null);
    assert_eq!(refused(&cloud, "DELETE", &path, &Value::Null), (404, 11_000));
}

#[test]
fn a_queue_that_is_sent_to_stays() {
    let cloud = api_only();
    let path = format!("/queues/{}", create(&cloud, "q"));
    let bindings = json!([{ "name": "Q", "type": "queue", "queue_name": "q" }]);
    deploy(&cloud, "producer", json!({ "bindings": bindings }), "export default { fetch() {} }");
    assert_eq!(cloud.queue("q").unwrap().producers, ["producer"]);
    assert_eq!(refused(&cloud, "DELETE", &path, &Value::Null), (409, 11_005));
    // A version that no longer sends frees it, though the older one is still there.
    deploy(&cloud, "producer", json!({}), "export default { fetch() {} }");
    result(&cloud, "DELETE", &path, &Value::Null);
}

#[test]
fn consumers_are_checked() {
    let cloud = api_only();
    let path = format!("/queues/{}/consumers", create(&cloud, "q"));
    let consumer = |settings: Value| json!({ "type": "worker", "script_name": "c", "settings": settings });
    assert_eq!(refused(&cloud, "POST", &path, &consumer(json!({}))), (404, 10_007));
    deploy(&cloud, "c", json!({}), "export default { fetch() {} }");
    assert_eq!(refused(&cloud, "POST", &path, &consumer(json!({}))), (400, 11_001));
    deploy(&cloud, "c", json!({}), CONSUMER);
    for settings in [
        json!({ "batch_size": 0 }),
        json!({ "batch_size": 101 }),
        json!({ "batch_size": 1.5 }),
        json!({ "batch_size": "1" }),
        json!({ "max_retries": 101 }),
        json!({ "max_wait_time_ms": 60_001 }),
        json!({ "max_wait_time_ms": -1 }),
        json!({ "retry_delay": 86_401 }),
        json!({ "max_concurrency": 251 }),
        json!({ "max_concurrency": 0 }),
    ] {
        assert_eq!(refused(&cloud, "POST", &path, &consumer(settings.clone())), (400, 100_127), "{settings}");
    }
    for body in [json!({ "script_name": "c" }), json!({ "type": "http_pull" }), json!({ "type": "worker" })] {
        assert_eq!(refused(&cloud, "POST", &path, &body), (400, 10_026), "{body}");
    }
    let own = json!({ "type": "worker", "script_name": "c", "dead_letter_queue": "q" });
    assert_eq!(refused(&cloud, "POST", &path, &own).0, 400);
    let bad = json!({ "type": "worker", "script_name": "c", "dead_letter_queue": "Dead" });
    assert_eq!(refused(&cloud, "POST", &path, &bad), (400, 11_003));
    assert_eq!(cloud.queue("q").unwrap().consumer, None, "nothing of what was refused has stayed");
}

#[test]
fn a_queue_has_one_worker_for_a_consumer() {
    let cloud = api_only();
    let path = format!("/queues/{}/consumers", create(&cloud, "q"));
    deploy(&cloud, "c", json!({}), CONSUMER);
    deploy(&cloud, "other", json!({}), CONSUMER);
    let body = json!({
        "type": "worker", "script_name": "c", "dead_letter_queue": "dead",
        "settings": { "batch_size": 100, "max_retries": 20, "max_wait_time_ms": 2000, "retry_delay": 2 },
    });
    let id = result(&cloud, "POST", &path, &body)["consumer_id"].as_str().unwrap().to_owned();
    let consumer = || cloud.queue("q").unwrap().consumer.unwrap();
    let settings = |batch_size, max_retries, max_wait_time_ms, retry_delay| ConsumerSettings {
        batch_size,
        max_retries,
        max_wait_time_ms,
        retry_delay,
        max_concurrency: None,
    };
    assert_eq!(consumer().settings, settings(100, 20, 2000, 2));
    assert_eq!(consumer().dead_letter_queue.as_deref(), Some("dead"));
    // The dead-letter queue came into being with it.
    assert!(cloud.queue("dead").is_some());
    for script in ["c", "other"] {
        let again = json!({ "type": "worker", "script_name": script });
        assert_eq!(refused(&cloud, "POST", &path, &again), (409, 11_004));
    }
    // A replacement says everything anew.
    let replaced = json!({ "type": "worker", "script_name": "other", "settings": { "batch_size": 5 } });
    result(&cloud, "PUT", &format!("{path}/{id}"), &replaced);
    assert_eq!(consumer().settings, settings(5, 3, 5000, 0));
    assert_eq!((consumer().id, consumer().script, consumer().dead_letter_queue), (id.clone(), "other".into(), None));
    // Its Worker has to go on handling messages, and to be there.
    let metadata = json!({ "main_module": "index.js" });
    let reply = crate::support::upload(&cloud, "PUT", "/workers/scripts/other", &metadata, "export default {}");
    assert_eq!(refusal(&reply), (400, 11_001));
    assert_eq!(refused(&cloud, "DELETE", "/workers/scripts/other", &Value::Null), (400, 10_064));
    result(&cloud, "DELETE", &format!("{path}/{id}"), &Value::Null);
    assert_eq!(refused(&cloud, "DELETE", &format!("{path}/{id}"), &Value::Null), (404, 11_006));
    result(&cloud, "DELETE", "/workers/scripts/other", &Value::Null);
}
