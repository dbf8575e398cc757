//! `/metrics` as an HTTP resource, in the real runtime: formats, codings, conditions, options, freshness, refusals.

use std::{
    io::Write as _,
    process::{Command, Stdio},
    time::Duration,
};

use tempfile::TempDir;
use tributary_tests::{
    consumer::{Consumer, METRICS_TOKEN},
    http::Reply,
    installation::Installation,
    wait::eventually,
};

use crate::consumer::{LIMIT, backend, delivery, expect_resolves, start};

const OPENMETRICS: &str =
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";

fn gunzip(bytes: &[u8]) -> Vec<u8> {
    let mut process = Command::new("gzip").arg("-dc").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = process.stdin.take().unwrap();
    let bytes = bytes.to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&bytes));
    let output = process.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success(), "not gzip");
    output.stdout
}

/// The text without the one line that differs from scrape to scrape.
fn without_age(text: &str) -> String {
    text.lines().filter(|line| !line.starts_with("tributary_metrics_age_seconds ")).collect::<Vec<_>>().join("\n")
}

fn header<'a>(reply: &'a Reply, name: &str) -> Option<&'a str> {
    reply.headers.get(name).map(|value| value.to_str().unwrap())
}

#[test]
fn a_scrape_is_negotiated_compressed_validated_and_dated() {
    let installation = Installation::start(|_| {}).unwrap();
    let token = format!("Bearer {}", installation.running.metrics_token().reveal());
    let send = |method: &str, path: &str, headers: &[(&str, &str)]| {
        let headers: Vec<_> = [("Authorization", token.as_str())].into_iter().chain(headers.iter().copied()).collect();
        installation.send(method, path, &headers, b"").unwrap()
    };
    // From the first publication on it is KV that answers.
    let resolve = installation.resolve_body("user-1", "se", true);
    assert_eq!(installation.send("POST", "/v1/flags:resolve", &[], &resolve).unwrap().status, 200);
    let first = eventually(LIMIT, "a published copy without changes to come", || {
        let [one, two] = [0, 1].map(|_| {
            let reply = send("GET", "/metrics", &[("Accept", OPENMETRICS)]);
            std::thread::sleep(Duration::from_millis(1_500));
            reply
        });
        match (header(&one, "ETag"), header(&two, "ETag")) {
            (Some(one), Some(same)) if one == same && two.body.contains("outcome=\"delivered\"} 1") => Ok(two.clone()),
            tags => Err(format!("{tags:?}")),
        }
    });
    assert_eq!(
        header(&first, "Content-Type"),
        Some("application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=allow-utf-8")
    );
    assert_eq!(header(&first, "Content-Encoding"), None);
    assert_eq!(header(&first, "Vary"), Some("Accept, Accept-Encoding, Authorization"));
    assert!(first.body.ends_with("# EOF\n"));

    // The age moves on, the rest stays, byte for byte.
    let age = |reply: &Reply| -> f64 {
        let line = reply.body.lines().find(|line| line.starts_with("tributary_metrics_age_seconds "));
        line.unwrap().rsplit(' ').next().unwrap().parse().unwrap()
    };
    let second = send("GET", "/metrics", &[("Accept", OPENMETRICS)]);
    assert!(age(&second) >= age(&first) && age(&second) > 0.0);
    assert!(header(&second, "Age").unwrap().parse::<f64>().unwrap() <= age(&second));
    assert_eq!(without_age(&second.body), without_age(&first.body));

    // gzip, by those who take it; the runtime compresses, and once.
    let gzip = send("GET", "/metrics", &[("Accept", OPENMETRICS), ("Accept-Encoding", "gzip")]);
    assert_eq!(header(&gzip, "Content-Encoding"), Some("gzip"));
    assert_eq!(without_age(&String::from_utf8(gunzip(&gzip.bytes)).unwrap()), without_age(&first.body));
    assert!(gzip.bytes.len() * 4 < first.bytes.len(), "{} of {}", gzip.bytes.len(), first.bytes.len());
    let protobuf = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited";
    let gzip = send("GET", "/metrics", &[("Accept", protobuf), ("Accept-Encoding", "gzip")]);
    assert_eq!(header(&gzip, "Content-Encoding"), Some("gzip"));
    let plain = send("GET", "/metrics", &[("Accept", protobuf), ("Accept-Encoding", "identity")]);
    // Last is the age, and behind its eight bytes the unit.
    let age = plain.bytes.len() - "\x2a\x07seconds".len() - 8;
    assert_eq!(gunzip(&gzip.bytes)[..age], plain.bytes[..age]);
    for plain in ["identity", "gzip;q=0", "*;q=0"] {
        let reply = send("GET", "/metrics", &[("Accept", OPENMETRICS), ("Accept-Encoding", plain)]);
        assert_eq!(header(&reply, "Content-Encoding"), None, "{plain}");
        assert_eq!(without_age(&reply.body), without_age(&first.body), "{plain}");
    }

    // Who has it gets nothing, whatever the format; another format is another thing.
    let etag = header(&first, "ETag").unwrap();
    for condition in [etag, "*", &format!("\"x\", {}", etag.trim_start_matches("W/"))] {
        let reply = send("GET", "/metrics", &[("Accept", OPENMETRICS), ("If-None-Match", condition)]);
        assert_eq!((reply.status, reply.bytes.len()), (304, 0), "{condition}");
        assert_eq!(header(&reply, "ETag"), Some(etag));
    }
    assert_eq!(send("GET", "/metrics", &[("Accept", "*/*"), ("If-None-Match", etag)]).status, 200);

    // HEAD is GET without its body.
    for headers in [&[("Accept", OPENMETRICS)][..], &[("Accept", OPENMETRICS), ("Accept-Encoding", "gzip")]] {
        let (get, head) = (send("GET", "/metrics", headers), send("HEAD", "/metrics", headers));
        assert_eq!((head.status, head.bytes.len()), (200, 0));
        for name in ["Content-Type", "Content-Encoding", "Vary", "ETag", "Cache-Control"] {
            assert_eq!(header(&head, name), header(&get, name), "{name}");
        }
    }
}

#[test]
fn options_select_and_what_is_wrong_is_refused() {
    let installation = Installation::start(|_| {}).unwrap();
    let token = format!("Bearer {}", installation.running.metrics_token().reveal());
    let get = |path: &str| installation.scrape(path, "*/*").unwrap();
    let one = get("/metrics?name[]=confidence_resolves_total&name%5B%5D=nothing");
    assert_eq!((one.status, one.body.matches("# TYPE").count()), (200, 1), "{}", one.body);
    let none = get("/metrics?name[]=nothing&openmetrics=true");
    assert_eq!((none.status, none.body.as_str()), (200, "# EOF\n"));
    assert_eq!(get("/metrics?name[]=nothing").body, "");

    let long = format!("/metrics?x={}", "y".repeat(9_000));
    let long_name = format!("/metrics?name[]={}", "y".repeat(300));
    for (path, status, said) in [
        ("/metrics?name[]=", 400, "name[]"),
        (&long_name, 400, "name[]"),
        ("/metrics?buckets_per_decade=19", 400, "buckets_per_decade"),
        (&long, 414, "bytes"),
    ] {
        let reply = get(path);
        assert_eq!(reply.status, status, "{path:.60}: {}", reply.body);
        let message = reply.json()["error"]["message"].as_str().unwrap().to_owned();
        assert!(message.contains(said) && !message.contains("yyy"), "{message}");
    }
    for method in ["POST", "PUT", "DELETE", "PATCH"] {
        let reply = installation.send(method, "/metrics", &[("Authorization", &token)], b"").unwrap();
        assert_eq!(reply.status, 405, "{method}");
        assert!(header(&reply, "Allow").unwrap().contains("GET, HEAD"), "{method}");
    }
    let reply = installation.send("GET", "/metrics", &[("Authorization", "Bearer x")], b"").unwrap();
    assert_eq!(reply.status, 401);
    assert!(header(&reply, "WWW-Authenticate").unwrap().starts_with("Bearer"));
}

/// The published text and state, with what they are copies of.
fn copies(consumer: &Consumer) -> [(&'static str, String, Vec<u8>); 2] {
    ["openmetrics", "snapshot"].map(|key| {
        let (bytes, metadata) = consumer.get_kv("CONFIDENCE_METRICS_KV", key).unwrap();
        (key, metadata, bytes)
    })
}

#[test]
fn scrapes_do_not_go_back_when_kv_does_and_that_is_counted() {
    let folder = TempDir::new().unwrap();
    let backend = backend();
    let consumer = start(&folder, &backend.url());
    let published = |resolves: u32| {
        expect_resolves(&consumer, f64::from(resolves));
        eventually(LIMIT, "publication", || {
            let copies = copies(&consumer);
            let line = format!("reason=\"RESOLVE_REASON_MATCH\",resolver_id=\"cf-resolver\"}} {resolves}\n");
            if String::from_utf8_lossy(&copies[0].2).contains(&line) { Ok(copies) } else { Err("older".to_owned()) }
        })
    };
    consumer.deliver(&[delivery(1, 1, 5)]).unwrap();
    let old = published(5);
    consumer.deliver(&[delivery(1, 2, 7)]).unwrap();
    published(12);
    expect_resolves(&consumer, 12.0);

    let scrape = |accept: &str| {
        let token = format!("Bearer {METRICS_TOKEN}");
        let reply = consumer.send("GET", "/metrics", &[("Authorization", &token), ("Accept", accept)], b"").unwrap();
        assert_eq!(reply.status, 200);
        tributary_tests::exposition::Exposition::parse(&reply.body).unwrap()
    };
    let formats = ["text/plain", "application/openmetrics-text"];
    assert_eq!(formats.map(|accept| scrape(accept).sum("confidence_resolves_total")), [12.0, 12.0]);
    eventually(LIMIT, "a stale copy is served as the newer one, and counted", || {
        // KV has the older copies again, as a read of it may, until the next publication.
        let (text, _) = consumer.get_kv("CONFIDENCE_METRICS_KV", "openmetrics")?;
        if text != old[0].2 && String::from_utf8_lossy(&text).contains("\ntributary_stale_copies_total 0\n") {
            for (key, metadata, bytes) in &old {
                consumer.put_kv_with_metadata("CONFIDENCE_METRICS_KV", key, metadata, bytes)?;
            }
        }
        for accept in formats {
            assert_eq!(scrape(accept).sum("confidence_resolves_total"), 12.0, "{accept}");
        }
        let stale = scrape("text/plain").sum("tributary_stale_copies_total");
        if stale >= 1.0 { Ok(()) } else { Err(stale.to_string()) }
    });
}

#[test]
fn a_corrupt_copy_is_a_503_that_is_counted_and_mended() {
    let folder = TempDir::new().unwrap();
    let backend = backend();
    let consumer = start(&folder, &backend.url());
    consumer.deliver(&[delivery(1, 1, 5)]).unwrap();
    expect_resolves(&consumer, 5.0);
    eventually(LIMIT, "publication", || consumer.get_kv("CONFIDENCE_METRICS_KV", "snapshot"));
    consumer.put_kv("CONFIDENCE_METRICS_KV", "snapshot", b"garbage").unwrap();
    let token = format!("Bearer {METRICS_TOKEN}");
    eventually(LIMIT, "the garbage is read", || {
        let reply = consumer.send("GET", "/metrics", &[("Authorization", &token)], b"")?;
        match reply.status {
            503 if reply.json()["error"]["code"] == "CORRUPT_COPY" => Ok(()),
            200 => {
                // A publication came in between.
                consumer.put_kv("CONFIDENCE_METRICS_KV", "snapshot", b"garbage")?;
                Err("mended already".to_owned())
            }
            status => panic!("{status}: {}", reply.body),
        }
    });
    eventually(LIMIT, "the failure is counted and published", || {
        let failed = consumer.metrics()?.get("tributary_scrape_failures_total", &[("reason", "corrupt")]);
        if failed >= 1.0 { Ok(()) } else { Err(failed.to_string()) }
    });
}
