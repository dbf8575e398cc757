//! Several queues: made, bound, consumed, emptied when there are fewer, and taken out again.

use serde_json::json;
use tributary_tests::{exposition::Exposition, http::Client, wait::eventually};

use crate::{cycle::send, support::Site};

const QUEUES: [&str; 3] = ["tributary-deltas", "tributary-deltas-1", "tributary-deltas-2"];

/// The queue bindings of a Worker, by name.
fn bindings(site: &Site, worker: &str) -> Vec<(String, String)> {
    let script = site.cloud.script(worker).unwrap();
    let version = script.active_version().unwrap();
    let names = ["DEAD", "DELTAS", "DELTAS_1", "DELTAS_2", "DELTAS_3"].map(|name| (name, version.binding(name)));
    let bound = names.into_iter().filter(|(_, binding)| binding["type"] == "queue");
    bound.map(|(name, binding)| (name.to_owned(), binding["queue_name"].as_str().unwrap().to_owned())).collect()
}

fn consumer_of(site: &Site, queue: &str) -> Option<String> {
    let consumer = site.cloud.queue(queue)?.consumer?;
    assert_eq!(consumer.settings.batch_size, 100, "{queue} is consumed as the first");
    assert_eq!(consumer.dead_letter_queue.as_deref(), Some("tributary-deltas-dead"), "{queue}");
    Some(consumer.script)
}

/// As somebody does it by hand.
fn delete_queue(site: &Site, name: &str) {
    let queue = site.cloud.queue(name).unwrap();
    let url = format!("{}/accounts/{}/queues/{}", site.cloud.api_url(), site.cloud.account_id(), queue.id);
    let token = format!("Bearer {}", site.cloud.token());
    let send = |url: &str| Client::default().send("DELETE", url, &[("authorization", token.as_str())], b"").unwrap();
    if let Some(consumer) = queue.consumer {
        assert_eq!(send(&format!("{url}/consumers/{}", consumer.id)).status, 200);
    }
    let reply = send(&url);
    assert_eq!(reply.status, 200, "{}", reply.body);
}

#[test]
fn three_queues_are_made_bound_and_consumed_and_the_same_again_changes_nothing() {
    let site = Site::small();
    site.deploy(&["--queue-shards=3"]).ok();
    for queue in QUEUES {
        assert_eq!(consumer_of(&site, queue).as_deref(), Some("tributary-consumer"), "{queue}");
    }
    let pair = |name: &str, queue: &str| (name.to_owned(), queue.to_owned());
    assert_eq!(
        bindings(&site, "tributary-producer"),
        [pair("DELTAS", QUEUES[0]), pair("DELTAS_1", QUEUES[1]), pair("DELTAS_2", QUEUES[2])]
    );
    assert_eq!(
        bindings(&site, "tributary-consumer"),
        [pair("DEAD", "tributary-deltas-dead"), pair("DELTAS", QUEUES[0])]
    );
    let producer = site.cloud.script("tributary-producer").unwrap();
    assert_eq!(producer.active_version().unwrap().binding("QUEUE_SHARDS")["text"], "3");
    site.cloud.forget_requests();
    let output = site.deploy(&["--queue-shards=3"]).ok();
    assert!(output.contains("Nothing to change."), "{output}");
    assert_eq!(site.writes().len(), 0);
    let status = site.run(&["status", "--queue-shards=3"]).ok();
    assert!(QUEUES.iter().all(|queue| status.contains(&format!("queue       {queue}  about 0 messages"))), "{status}");
}

#[test]
fn fewer_queues_strand_nothing_and_what_is_emptied_can_go() {
    let site = Site::small();
    site.deploy(&[]).ok();
    let small = site.shape();
    site.deploy(&["--queue-shards=3"]).ok();
    let output = site.deploy(&[]).ok();
    for queue in &QUEUES[1..] {
        let words = format!("queue {queue} (nobody sends to it any more: delete it once it is empty)");
        assert!(output.contains(&words), "{output}");
        assert_eq!(consumer_of(&site, queue).as_deref(), Some("tributary-consumer"), "what is in it goes on");
    }
    assert_eq!(bindings(&site, "tributary-producer").len(), 1);
    let producer = site.cloud.script("tributary-producer").unwrap();
    assert_eq!(producer.active_version().unwrap().binding("QUEUE_SHARDS"), json!(null));
    let status = site.run(&["status"]).ok();
    assert!(status.contains("tributary-deltas-2  about 0 messages; nobody sends to it any more"), "{status}");
    // A rollback goes back to three, which are consumed all the time.
    site.run(&["rollback", "--yes"]).ok();
    assert_eq!(bindings(&site, "tributary-producer").len(), 3);
    site.deploy(&[]).ok();
    // Somebody deletes them, and the next deploy knows nothing of them.
    for queue in &QUEUES[1..] {
        delete_queue(&site, queue);
    }
    let output = site.deploy(&[]).ok();
    assert!(!output.contains("tributary-deltas-1"), "{output}");
    assert_eq!(site.shape(), small);
}

#[test]
fn a_queue_of_somebody_else_is_left_alone_and_destroy_takes_ours() {
    let site = Site::small();
    site.deploy(&["--queue-shards=3", "--prefix=eu"]).ok();
    site.deploy(&[]).ok();
    assert!(site.cloud.queue("tributary-deltas-1").is_none(), "the other installation's queues are not ours");
    let shape = site.shape();
    // Without saying how many there are.
    let output = site.run(&["destroy", "--yes", "--prefix=eu"]).ok();
    assert!(output.contains("eu-tributary-deltas-2"), "{output}");
    assert!(
        ["eu-tributary-deltas", "eu-tributary-deltas-1", "eu-tributary-deltas-2", "eu-tributary-deltas-dead"]
            .iter()
            .all(|queue| site.cloud.queue(queue).is_none())
    );
    assert_ne!(site.shape(), shape);
    assert!(site.cloud.queue("tributary-deltas").is_some());
}

/// Both real Workers on the fake Cloudflare's queues: deployed with three, resolved, made one again while messages may still
/// be under way, and every resolve counted once.
#[test]
fn resolves_through_three_queues_are_counted_once_and_stay_when_there_is_one_again() {
    let site = Site::real();
    let run = site.deploy(&["--queue-shards=3"]);
    let token = run.token().unwrap();
    run.ok();
    let secret = site.cloud.confidence().client_secret().to_owned();
    let mut resolves = 0_u32;
    let mut resolve = |times: u32| {
        for _ in 0..times {
            let body = json!({"clientSecret": secret, "evaluationContext": {"targeting_key": "me"}, "apply": true});
            let reply = send(&site, "POST", "/v1/flags:resolve", &[], &body).unwrap();
            assert_eq!(reply.status, 200, "{}", reply.body);
        }
        resolves += times;
        let authorization = format!("Bearer {token}");
        eventually(std::time::Duration::from_secs(30), "the exact count", || {
            let reply = send(&site, "GET", "/metrics", &[("Authorization", &authorization)], &json!(null))?;
            let metrics = Exposition::parse(&reply.body)?;
            let id = [("resolver_id", "cf-resolver")];
            match metrics.get("confidence_resolve_latency_microseconds_count", &id) {
                count if count == f64::from(resolves) => Ok(()),
                count => Err(format!("{count} of {resolves}")),
            }
        });
    };
    resolve(10);
    // New isolates, new streams.
    site.deploy(&["--queue-shards=3", "--producer-var=ENVIRONMENT=two"]).ok();
    resolve(10);
    site.deploy(&[]).ok();
    resolve(10);
}
