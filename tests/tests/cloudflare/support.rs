//! What the tests share: a client of the API, a way to run wrangler, a small Worker.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;
use tributary_tests::cloudflare::{FakeCloudflare, Options};
use tributary_tests::http::{Client, Reply};
use tributary_tests::installation::repository;

/// A Cloudflare whose Workers are not run.
pub(crate) fn api_only() -> FakeCloudflare {
    FakeCloudflare::start(Options { runs_workers: false, ..Options::default() }).unwrap()
}

/// One whose Workers run.
pub(crate) fn running() -> FakeCloudflare {
    FakeCloudflare::start(Options::default()).unwrap()
}

/// Sends a request below the first account, with the token.
pub(crate) fn call(cloud: &FakeCloudflare, method: &str, path: &str, body: &Value) -> Reply {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    send(cloud, method, path, &[("content-type", "application/json")], body.as_bytes()).unwrap()
}

/// The same with any headers and bytes; an error is a connection that broke.
pub(crate) fn send(
    cloud: &FakeCloudflare,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Result<Reply, String> {
    let url = format!("{}/accounts/{}{path}", cloud.api_url(), cloud.account_id());
    let token = format!("Bearer {}", cloud.token());
    let headers: Vec<(&str, &str)> = headers.iter().copied().chain([("authorization", token.as_str())]).collect();
    Client::default().send(method, &url, &headers, body)
}

/// The result of a call that must succeed.
pub(crate) fn result(cloud: &FakeCloudflare, method: &str, path: &str, body: &Value) -> Value {
    let reply = call(cloud, method, path, body);
    assert_eq!(reply.status, 200, "{method} {path}: {}", reply.body);
    let envelope = reply.json();
    assert_eq!(envelope["success"], true, "{}", reply.body);
    envelope["result"].clone()
}

/// Status and error code of a call that must fail.
pub(crate) fn refusal(reply: &Reply) -> (u16, u64) {
    let envelope = reply.json();
    assert_eq!((&envelope["success"], &envelope["result"]), (&false.into(), &Value::Null), "{}", reply.body);
    let message = envelope["errors"][0]["message"].as_str().unwrap_or_default();
    assert!(!message.is_empty(), "{}", reply.body);
    (reply.status, envelope["errors"][0]["code"].as_u64().unwrap())
}

/// The body of an upload: metadata, and modules with their content types.
pub(crate) fn form(metadata: &Value, modules: &[(&str, &str, &str)]) -> Vec<u8> {
    let part = |name: &str, file: &str, kind: &str, body: &str| {
        format!(
            "--b\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\nContent-Type: {kind}\r\n\r\n{body}\r\n"
        )
    };
    let mut body = part("metadata", "", "application/json", &metadata.to_string());
    for (name, kind, text) in modules {
        body += &part(name, &format!("; filename=\"{name}\""), kind, text);
    }
    (body + "--b--\r\n").into_bytes()
}

/// Uploads a Worker of one module, `index.js`.
pub(crate) fn upload(cloud: &FakeCloudflare, method: &str, path: &str, metadata: &Value, source: &str) -> Reply {
    let body = form(metadata, &[("index.js", "application/javascript+module", source)]);
    send(cloud, method, path, &[("content-type", "multipart/form-data; boundary=b")], &body).unwrap()
}

/// Uploads a Worker and puts it on workers.dev; both must succeed.
pub(crate) fn deploy(cloud: &FakeCloudflare, script: &str, metadata: Value, source: &str) {
    let mut full = json!({ "main_module": "index.js", "compatibility_date": "2026-10-01" });
    full.as_object_mut().unwrap().extend(metadata.as_object().unwrap().clone());
    let reply = upload(cloud, "PUT", &format!("/workers/scripts/{script}"), &full, source);
    assert_eq!(reply.status, 200, "{}", reply.body);
    result(cloud, "POST", &format!("/workers/scripts/{script}/subdomain"), &json!({ "enabled": true }));
}

/// A folder with the configuration and the source of a Worker, for wrangler.
pub(crate) struct Project(TempDir);

impl Project {
    /// Writes `wrangler.toml` and `index.js`.
    pub(crate) fn new(config: &str, source: &str) -> Self {
        let project = Self(TempDir::new().unwrap());
        project.write("wrangler.toml", config);
        project.write("index.js", source);
        project
    }

    /// Writes a file.
    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.0.path().join(name), text).unwrap();
    }

    /// Runs the real wrangler with what `cloud` is reached by, and returns all that it printed.
    ///
    /// # Errors
    /// The same, where wrangler ends badly.
    pub(crate) fn wrangler(&self, cloud: &FakeCloudflare, arguments: &[&str]) -> Result<String, String> {
        self.wrangler_with(cloud, arguments, &cloud.token(), "")
    }

    /// The same with this token and this input.
    pub(crate) fn wrangler_with(
        &self,
        cloud: &FakeCloudflare,
        arguments: &[&str],
        token: &str,
        input: &str,
    ) -> Result<String, String> {
        let bin = repository().join("wrangler/node_modules/.bin").canonicalize().unwrap();
        let input_file = self.0.path().join("input");
        std::fs::write(&input_file, input).unwrap();
        let output = Command::new(bin.join("node"))
            .arg(wrangler_script(&bin))
            .args(arguments)
            .current_dir(self.0.path())
            .env("CLOUDFLARE_API_BASE_URL", cloud.api_url())
            .env("CLOUDFLARE_API_TOKEN", token)
            .env("CLOUDFLARE_ACCOUNT_ID", cloud.account_id())
            .env("WRANGLER_LOG_PATH", self.0.path().join("log"))
            .envs([("CI", "1"), ("NO_COLOR", "1"), ("WRANGLER_SEND_METRICS", "false")])
            .env_remove("CLOUDFLARE_ENV")
            .stdin(Stdio::from(std::fs::File::open(&input_file).unwrap()))
            .output()
            .unwrap();
        let printed = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        if output.status.success() { Ok(printed) } else { Err(printed) }
    }
}

fn wrangler_script(bin: &Path) -> PathBuf {
    bin.join("../wrangler/bin/wrangler.js")
}
