//! Traffic against a stub of the producer.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail by panicking")]

use axum::extract::State;
use axum::routing::post;

use super::*;

type Seen = Arc<Mutex<Vec<(&'static str, Value)>>>;

/// A producer that resolves one flag to be applied and one not. It stops with the returned runtime.
fn producer() -> (String, Seen, tokio::runtime::Runtime) {
    async fn resolve(State(seen): State<Seen>, body: String) -> String {
        seen.lock().unwrap().push(("resolve", serde_json::from_str(&body).unwrap()));
        let flags = json!([{"flag": "flags/a", "shouldApply": true}, {"flag": "flags/b", "shouldApply": false}]);
        json!({"resolvedFlags": flags, "resolveToken": "AQID"}).to_string()
    }
    async fn apply(State(seen): State<Seen>, body: String) -> String {
        seen.lock().unwrap().push(("apply", serde_json::from_str(&body).unwrap()));
        "{}".to_owned()
    }
    let seen = Seen::default();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let base_url = format!("http://{}", listener.local_addr().unwrap());
    let router = axum::Router::new()
        .route("/v1/flags:resolve", post(resolve))
        .route("/v1/flags:apply", post(apply))
        .with_state(Arc::clone(&seen));
    runtime.spawn(async move { axum::serve(listener, router).await });
    (base_url, seen, runtime)
}

fn run_until(base_url: &str, rate: u64, is_enough: impl Fn(Totals) -> bool) -> (Totals, Duration) {
    let start = Instant::now();
    let traffic = Traffic::start(base_url, &Secret::new("s3cret"), rate, 1, |_| {}).unwrap();
    while !is_enough(traffic.totals()) {
        assert!(start.elapsed() < Duration::from_secs(20), "{:?}", traffic.totals());
        thread::sleep(Duration::from_millis(10));
    }
    (traffic.stop(), start.elapsed())
}

#[test]
fn half_of_the_clients_apply_afterwards() {
    let (base_url, seen, _runtime) = producer();
    let (totals, _) = run_until(&base_url, 200, |totals| totals.resolves >= 60);
    assert_eq!(totals.failures, 0);
    let seen = seen.lock().unwrap();
    let resolves: Vec<&Value> = seen.iter().filter(|(kind, _)| *kind == "resolve").map(|(_, body)| body).collect();
    let applies: Vec<&Value> = seen.iter().filter(|(kind, _)| *kind == "apply").map(|(_, body)| body).collect();
    assert_eq!(
        (u64::try_from(resolves.len()).unwrap(), u64::try_from(applies.len()).unwrap()),
        (totals.resolves, totals.applies)
    );
    let later = resolves.iter().filter(|body| body["apply"] == false).count();
    assert_eq!(later, applies.len());
    assert!((15..=45).contains(&(later * 60 / resolves.len())), "{later} of {}", resolves.len());
    assert!(resolves.iter().all(|body| body["clientSecret"] == "s3cret"));
    for apply in applies {
        assert_eq!((&apply["resolveToken"], &apply["flags"][0]["flag"]), (&json!("AQID"), &json!("flags/a")));
        assert_eq!(apply["flags"].as_array().unwrap().len(), 1);
        assert!(apply["sendTime"].is_string() && apply["flags"][0]["applyTime"].is_string());
    }
}

#[test]
fn rate_is_kept() {
    let (base_url, _seen, _runtime) = producer();
    let (totals, took) = run_until(&base_url, 100, |totals| totals.resolves >= 100);
    // The first resolve goes at once; a slow machine may take longer, none may be faster.
    assert!(took >= Duration::from_millis(900), "{totals:?} in {took:?}");
}

#[test]
fn no_traffic_is_no_traffic() {
    let traffic = Traffic::start("http://127.0.0.1:1", &Secret::new("s"), 0, 1, |_| {}).unwrap();
    assert_eq!(traffic.stop(), Totals { resolves: 0, applies: 0, failures: 0 });
}

#[test]
fn a_dead_producer_is_counted_not_fatal() {
    let (totals, _) = run_until("http://127.0.0.1:1", 50, |totals| totals.failures >= 3);
    assert_eq!(totals.resolves, 0);
}
