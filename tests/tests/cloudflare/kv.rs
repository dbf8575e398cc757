//! KV over REST.

use serde_json::{Value, json};
use tributary_tests::cloudflare::{FakeCloudflare, Options};

use crate::support::{api_only, call, refusal, result, send};

fn create(cloud: &FakeCloudflare, title: &str) -> String {
    let created = result(cloud, "POST", "/storage/kv/namespaces", &json!({ "title": title }));
    format!("/storage/kv/namespaces/{}", created["id"].as_str().unwrap())
}

#[test]
fn titles_are_unique() {
    let cloud = api_only();
    let one = create(&cloud, "one");
    create(&cloud, "two");
    let title =
        |method: &str, path: &str, title: &str| refusal(&call(&cloud, method, path, &json!({ "title": title })));
    assert_eq!(title("POST", "/storage/kv/namespaces", "one"), (400, 10_014));
    assert_eq!(title("PUT", &one, "two"), (400, 10_014));
    assert_eq!(title("POST", "/storage/kv/namespaces", ""), (400, 10_019));
    assert_eq!(title("PUT", "/storage/kv/namespaces/0123456789abcdef0123456789abcdef", "x"), (404, 10_013));
    result(&cloud, "PUT", &one, &json!({ "title": "uno" }));
    assert!(cloud.namespace("uno").is_some() && cloud.namespace("one").is_none());
    result(&cloud, "DELETE", &one, &Value::Null);
    assert_eq!(refusal(&call(&cloud, "DELETE", &one, &Value::Null)), (404, 10_013));
}

#[test]
fn namespaces_come_in_pages_and_in_order() {
    let cloud = api_only();
    for number in 10..35 {
        create(&cloud, &format!("n{number}"));
    }
    let list = |query: &str| call(&cloud, "GET", &format!("/storage/kv/namespaces?{query}"), &Value::Null).json();
    assert_eq!(list("")["result_info"]["count"], 20);
    assert_eq!(list("page=2")["result_info"]["count"], 5);
    let ordered = list("order=title&direction=desc&per_page=2&page=2");
    assert_eq!(ordered["result"][0]["title"], "n32");
    assert_eq!(ordered["result_info"]["total_count"], 25);
}

#[test]
fn values_come_back_as_they_went() {
    let cloud = api_only();
    let namespace = create(&cloud, "n");
    let value = |key: &str| format!("{namespace}/values/{key}");
    let bytes: Vec<u8> = (0..=255).collect();
    assert_eq!(send(&cloud, "PUT", &value("a%2Fb"), &[], &bytes).unwrap().status, 200);
    assert_eq!(send(&cloud, "GET", &value("a%2Fb"), &[], b"").unwrap().bytes, bytes);
    // With metadata, as a form.
    let form = "--x\r\nContent-Disposition: form-data; name=\"value\"\r\n\r\nv\r\n--x\r\n\
        Content-Disposition: form-data; name=\"metadata\"\r\n\r\n{\"etag\": \"e\"}\r\n--x--\r\n";
    let headers = [("content-type", "multipart/form-data; boundary=x")];
    let path = value("c?expiration_ttl=60");
    assert_eq!(send(&cloud, "PUT", &path, &headers, form.as_bytes()).unwrap().status, 200);
    let stored = cloud.kv_value("n", "c").unwrap();
    assert_eq!((stored.bytes, stored.metadata), (b"v".to_vec(), Some(json!({ "etag": "e" }))));
    assert_eq!(result(&cloud, "GET", &format!("{namespace}/metadata/c"), &Value::Null), json!({ "etag": "e" }));
    let keys = result(&cloud, "GET", &format!("{namespace}/keys"), &Value::Null);
    let expiration = stored.expiration.unwrap();
    let expected = json!([{ "name": "a/b" }, { "name": "c", "expiration": expiration, "metadata": { "etag": "e" } }]);
    assert_eq!(keys, expected);
    let got = result(&cloud, "POST", &format!("{namespace}/bulk/get"), &json!({ "keys": ["c", "none"] }));
    assert_eq!(got["values"], json!({ "c": "v", "none": null }));
    let bulk = json!([{ "key": "k1", "value": "AQI=", "base64": true }, { "key": "k2", "value": "two" }]);
    assert_eq!(result(&cloud, "PUT", &format!("{namespace}/bulk"), &bulk)["successful_key_count"], 2);
    assert_eq!(cloud.kv_value("n", "k1").unwrap().bytes, [1, 2]);
    result(&cloud, "POST", &format!("{namespace}/bulk/delete"), &json!(["k1", "k2"]));
    result(&cloud, "DELETE", &value("c"), &Value::Null);
    assert_eq!(refusal(&send(&cloud, "GET", &value("c"), &[], b"").unwrap()), (404, 10_009));
}

#[test]
fn keys_are_listed_until_the_cursor_is_empty() {
    let cloud = api_only();
    let namespace = create(&cloud, "n");
    let bulk: Vec<Value> = (10..35).map(|number| json!({ "key": format!("p{number}"), "value": "" })).collect();
    result(&cloud, "PUT", &format!("{namespace}/bulk"), &bulk.into());
    let (mut cursor, mut seen) = (String::new(), Vec::new());
    loop {
        let path = format!("{namespace}/keys?limit=10&prefix=p&cursor={cursor}");
        let page = call(&cloud, "GET", &path, &Value::Null).json();
        seen.push(page["result"].as_array().unwrap().len());
        cursor = page["result_info"]["cursor"].as_str().unwrap().to_owned();
        if cursor.is_empty() {
            break;
        }
    }
    assert_eq!(seen, [10, 10, 5]);
    assert_eq!(refusal(&call(&cloud, "GET", &format!("{namespace}/keys?limit=9"), &Value::Null)).0, 400);
}

#[test]
fn what_is_too_much_is_refused() {
    let cloud = api_only();
    let namespace = create(&cloud, "n");
    let put = |key: &str, body: &[u8]| send(&cloud, "PUT", &format!("{namespace}/values/{key}"), &[], body).unwrap();
    assert_eq!(put(&"k".repeat(513), b"").status, 414);
    assert_eq!(put("k", &vec![0; 25 * 1024 * 1024 + 1]).status, 413);
    assert_eq!(put("k", &vec![0; 25 * 1024 * 1024]).status, 200);
    assert_eq!(refusal(&put("k?expiration_ttl=59", b"")), (400, 10_034));
    assert_eq!(refusal(&put("k?expiration=1", b"")), (400, 10_034));
    assert_eq!(refusal(&call(&cloud, "PUT", &format!("{namespace}/bulk"), &json!([]))), (400, 10_029));
    assert_eq!(refusal(&call(&cloud, "PUT", &format!("{namespace}/bulk"), &json!({}))), (400, 10_012));
}

#[test]
fn a_key_is_written_once_a_second_where_that_is_wanted() {
    let options = Options { limits_kv_writes: true, runs_workers: false, ..Options::default() };
    let cloud = FakeCloudflare::start(options).unwrap();
    let namespace = create(&cloud, "n");
    let put = || send(&cloud, "PUT", &format!("{namespace}/values/k"), &[], b"").unwrap().status;
    assert_eq!((put(), put()), (200, 429));
}
