//! The program: what it prints, what it can be told, and that nothing of it is left.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tributary_local::process::members;
use tributary_local::{cdn, random::hex, secrets::Secret, state_file};
use tributary_tests::http::Client;
use tributary_tests::wait::eventually;

/// A running program, killed if a test fails.
struct Program {
    process: Child,
    printed: BTreeMap<String, String>,
}

impl Program {
    fn start(arguments: &[&str]) -> Self {
        use std::os::unix::process::CommandExt as _;
        let mut command = Command::new(env!("CARGO_BIN_EXE_fake-cloudflare"));
        let mut process = command.args(arguments).stdout(Stdio::piped()).process_group(0).spawn().unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines().map_while(Result::ok);
        let printed =
            lines.take(9).map(|line| line.split_once('=').map(|(n, v)| (n.to_owned(), v.to_owned())).unwrap());
        let printed = printed.collect();
        Self { process, printed }
    }

    fn get(&self, name: &str) -> &str {
        self.printed.get(name).map(String::as_str).unwrap_or_else(|| panic!("{name} is not among {:?}", self.printed))
    }

    fn control(&self, method: &str, path: &str, body: &[u8]) -> (u16, String) {
        let reply = Client::default().send(method, &format!("{}{path}", self.get("CONTROL")), &[], body).unwrap();
        (reply.status, reply.body)
    }

    fn api(&self, path: &str) -> u16 {
        let url =
            format!("{}/accounts/{}{path}", self.get("CLOUDFLARE_API_BASE_URL"), self.get("CLOUDFLARE_ACCOUNT_ID"));
        let token = format!("Bearer {}", self.get("CLOUDFLARE_API_TOKEN"));
        Client::default().send("GET", &url, &[("authorization", &token)], b"").unwrap().status
    }

    /// Its runtime: the only other process group that has it for a parent.
    fn runtime(&self) -> i32 {
        let children = format!("/proc/{0}/task/{0}/children", self.process.id());
        eventually(Duration::from_secs(10), "a child", || {
            let threads = std::fs::read_dir(format!("/proc/{}/task", self.process.id())).map_err(|e| e.to_string())?;
            let of = |thread: std::fs::DirEntry| std::fs::read_to_string(thread.path().join("children")).ok();
            let all: Vec<String> = threads.filter_map(Result::ok).filter_map(of).collect();
            let child = all.iter().find_map(|text| text.split_whitespace().next());
            child.and_then(|child| child.parse().ok()).ok_or_else(|| format!("no child in {children}"))
        })
    }

    fn stop(mut self, signal: &str) {
        let runtime = self.runtime();
        let killed = Command::new("kill").args([signal, &self.process.id().to_string()]).status().unwrap();
        assert!(killed.success());
        let status = self.process.wait().unwrap();
        assert!(signal == "-KILL" || status.success(), "{status}");
        eventually(Duration::from_secs(10), "the end of the runtime", || match members(runtime) {
            Ok(left) if left.is_empty() => Ok(()),
            other => Err(format!("{other:?}")),
        });
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

#[test]
fn it_prints_what_to_export_and_leaves_nothing() {
    let program = Program::start(&["--accounts", "3"]);
    assert_eq!(program.api("/queues"), 200);
    let nothing = Client::default().send("GET", program.get("WORKERS_ORIGIN"), &[], b"").unwrap();
    assert_eq!((nothing.status, nothing.body.contains("1042")), (404, true));
    program.stop("-INT");
    // Not even where it cannot say good-bye.
    Program::start(&[]).stop("-KILL");
}

#[test]
fn it_is_told_by_http() {
    let program = Program::start(&[]);
    let fault = json!({ "method": "GET", "path": "*/queues", "times": 1, "effect": { "status": { "status": 500 } } });
    assert_eq!(program.control("POST", "/faults", fault.to_string().as_bytes()).0, 204);
    assert_eq!((program.api("/queues"), program.api("/queues")), (500, 200));
    assert_eq!(program.control("POST", "/faults", b"{\"oops\": 1}").0, 400);
    let requests: Value = serde_json::from_str(&program.control("GET", "/requests", b"").1).unwrap();
    assert_eq!((&requests[0]["status"], &requests[0]["faulty"]), (&json!(500), &json!(true)));
    assert_eq!(program.control("GET", "/idle?millis=1000", b"").0, 204);
    assert_eq!(program.control("POST", "/cron", b"{\"script\": \"none\", \"cron\": \"* * * * *\"}").0, 502);
    assert_eq!(program.control("GET", "/nothing", b"").0, 404);
}

#[test]
fn it_stands_in_for_confidence() {
    let program = Program::start(&[]);
    let secret = program.get("CONFIDENCE_CLIENT_SECRET");
    let url = program.get("CONFIDENCE_CDN_URL");
    let served = cdn::fetch(url, &Secret::new(secret)).unwrap();
    assert!(served.flags.contains("flags/checkout-button"));
    assert!(matches!(cdn::fetch(url, &Secret::new("another")), Err(cdn::CdnError::UnknownSecret)));
    let object = format!("{url}/{}", hex(&<sha2::Sha256 as sha2::Digest>::digest(secret.as_bytes())));
    let get = |etag: &str| Client::default().send("GET", &object, &[("if-none-match", etag)], b"").unwrap();
    let first = get("");
    let etag = first.header("etag").to_owned();
    assert_eq!((first.status, get(&etag).status, get(&format!("\"x\", W/{etag}")).status), (200, 304, 304));
    // A flag changes, and its state with it.
    assert_eq!(program.control("PUT", "/flags/checkout-button", b"{\"variant\": \"blue\"}").0, 204);
    let changed = get(&etag);
    assert_eq!((changed.status, changed.bytes == first.bytes), (200, false));
    assert_eq!(program.control("PUT", "/flags/checkout-button", b"{\"variant\": \"no-such\"}").0, 400);
    assert_eq!(program.control("PUT", "/flags/no-such", b"{\"variant\": null}").0, 400);
    assert_eq!(program.control("PUT", "/flags/checkout-button", b"{\"variant\": null}").0, 204);
    assert!(state_file::parse(&get("").bytes, "").is_ok());
    assert_eq!(program.control("PUT", "/state", b"no state").0, 400);
    assert_eq!(program.control("PUT", "/state", &first.bytes).0, 204);
    assert_eq!(get(&etag).status, 304);
    // The backend is behind the other two.
    for name in ["CONFIDENCE_FLAG_LOGS_URL", "CONFIDENCE_INGEST_URL"] {
        assert_eq!(Client::default().send("POST", program.get(name), &[], b"").unwrap().status, 401);
    }
}
