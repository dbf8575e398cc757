//! What the real API refuses is refused, with its code.

use serde_json::{Value, json};
use tributary_tests::cloudflare::{FakeCloudflare, Options};
use tributary_tests::http::Client;

use crate::support::{api_only, call, refusal, result};

fn with_token(cloud: &FakeCloudflare, path: &str, authorization: &str) -> (u16, u64) {
    let headers: &[(&str, &str)] = if authorization.is_empty() { &[] } else { &[("authorization", authorization)] };
    refusal(&Client::default().send("GET", &format!("{}{path}", cloud.api_url()), headers, b"").unwrap())
}

#[test]
fn only_the_token_is_let_in() {
    let cloud = api_only();
    let queues = format!("/accounts/{}/queues", cloud.account_id());
    assert_eq!(with_token(&cloud, &queues, ""), (400, 9106));
    assert_eq!(with_token(&cloud, &queues, "Basic eA=="), (400, 6003));
    assert_eq!(with_token(&cloud, &queues, "Bearer wrong"), (401, 10_000));
    assert_eq!(with_token(&cloud, "/user/tokens/verify", "Bearer wrong"), (401, 1000));
    assert_eq!(with_token(&cloud, "/accounts", "Bearer wrong"), (403, 9109));
    let right = format!("Bearer {}", cloud.token());
    assert_eq!(with_token(&cloud, "/accounts/0123456789abcdef0123456789abcdef/queues", &right), (403, 10_000));
    // No token is kept where a test would print it.
    let headers: Vec<String> =
        cloud.requests().iter().filter_map(|r| r.headers.get("authorization").cloned()).collect();
    assert_eq!(headers.last().unwrap(), "Bearer <the token>");
    assert!(headers.iter().all(|header| !header.contains(&cloud.token()) && !header.contains("wrong")), "{headers:?}");
}

#[test]
fn a_token_sees_as_many_accounts_as_it_is_told_to() {
    for accounts in [0, 1, 25] {
        let cloud = FakeCloudflare::start(Options { accounts, runs_workers: false, ..Options::default() }).unwrap();
        let token = format!("Bearer {}", cloud.token());
        let page = |path: &str| {
            let url = format!("{}{path}", cloud.api_url());
            Client::default().send("GET", &url, &[("authorization", &token)], b"").unwrap().json()
        };
        let first = page("/accounts");
        assert_eq!(first["result"].as_array().unwrap().len(), accounts.min(20));
        assert_eq!(first["result_info"]["total_count"], accounts);
        assert_eq!(page("/memberships?page=2")["result"].as_array().unwrap().len(), accounts.saturating_sub(20));
    }
}

#[test]
fn what_is_not_there_is_said_and_remembered() {
    let cloud = api_only();
    assert_eq!(refusal(&call(&cloud, "GET", "/nothing/of/the/kind", &Value::Null)), (404, 7003));
    assert_eq!(refusal(&call(&cloud, "PATCH", "/storage/kv/namespaces", &json!({}))), (404, 7003));
    result(&cloud, "GET", "/queues", &Value::Null);
    let unknown: Vec<String> = cloud.unknown_requests().iter().map(|request| request.line()).collect();
    let account = cloud.account_id();
    let expected = [
        format!("GET /accounts/{account}/nothing/of/the/kind"),
        format!("PATCH /accounts/{account}/storage/kv/namespaces"),
    ];
    assert_eq!(unknown, expected);
}
