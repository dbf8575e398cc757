//! What docs/otel.md says, from an empty folder: its files, deployed with the real wrangler beside an installation, and what
//! they count is on `/metrics`. The package is the one that `npm pack` makes.

use std::{fs, os::unix::fs::symlink, path::Path, process::Command, time::Duration};

use serde_json::Value;
use tempfile::TempDir;
use tributary_tests::{exposition::Exposition, http::Client, installation::repository, wait::eventually};

use crate::{cycle::send, support::Site};

const LIMIT: Duration = Duration::from_secs(60);

/// The blocks of code of the page in this language.
fn blocks(language: &str) -> Vec<String> {
    let page = fs::read_to_string(repository().join("docs/otel.md")).unwrap();
    let fence = format!("```{language}\n");
    page.split(&fence).skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

/// Runs a command that must succeed.
fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {text}");
    text
}

/// The tarball that `make npm` makes, in this folder.
fn pack(folder: &Path) -> String {
    assert!(repository().join("emitter/npm/dist/sdk.js").is_file(), "run wrangler/npm.sh first");
    let mut npm = Command::new("npm");
    npm.args(["pack", "--silent", "--ignore-scripts", "--pack-destination"]).arg(folder);
    let name = run(npm.current_dir(repository().join("emitter/npm")));
    folder.join(name.trim()).to_str().unwrap().to_owned()
}

/// `wrangler deploy` in this folder.
fn deploy(site: &Site, folder: &Path) {
    let modules = repository().canonicalize().unwrap().join("wrangler/node_modules");
    let mut wrangler = Command::new(modules.join(".bin/node"));
    wrangler.arg(modules.join("wrangler/bin/wrangler.js")).arg("deploy").current_dir(folder);
    let account = [("CLOUDFLARE_ACCOUNT_ID", site.cloud.account_id())];
    let quiet = [("CI", "1"), ("NO_COLOR", "1"), ("WRANGLER_SEND_METRICS", "false"), ("WRANGLER_HIDE_BANNER", "true")];
    wrangler.envs(&site.environment).envs(account).envs(quiet).env("WRANGLER_LOG_PATH", folder.join("wrangler.log"));
    run(&mut wrangler);
}

/// Calls a Worker, whose answer must be a good one.
fn call(site: &Site, worker: &str, method: &str, path: &str) {
    let url = format!("{}{path}", site.cloud.workers_origin());
    let reply = Client::default().send(method, &url, &[("host", &site.cloud.worker_host(worker))], b"").unwrap();
    assert_eq!(reply.status, 200, "{worker}: {}", reply.body);
}

/// The metrics, once this series has this value.
fn counted(site: &Site, token: &str, name: &str, labels: &[(&str, &str)], value: f64) -> String {
    eventually(LIMIT, &format!("{name} {labels:?}"), || {
        let bearer = format!("Bearer {token}");
        let reply = send(site, "GET", "/metrics", &[("authorization", &bearer)], &Value::Null)?;
        match Exposition::parse(&reply.body)?.find(name, labels) {
            Some(found) if found == value => Ok(reply.body),
            found => Err(format!("{found:?}")),
        }
    })
}

#[test]
fn from_an_empty_folder_to_numbers_on_metrics_as_the_page_says() {
    let site = Site::real();
    let first = site.run(&["deploy"]);
    let token = first.token().expect("METRICS_TOKEN is shown");
    first.ok();
    let (code, configuration) = (blocks("ts"), blocks("toml").remove(0));

    // The fifteen lines, with nothing but the package.
    let hello = TempDir::new().unwrap();
    let write = |folder: &Path, name: &str, text: &str| {
        fs::create_dir_all(folder.join("src")).unwrap();
        fs::write(folder.join(name), text).unwrap();
    };
    write(hello.path(), "package.json", "{}");
    let package = pack(hello.path());
    let mut npm = Command::new("npm");
    let said = run(npm.args(["install", "--offline", "--no-audit", "--no-fund", &package]).current_dir(hello.path()));
    assert!(!said.contains("install-scripts"), "{said}");
    write(hello.path(), "src/index.ts", &code[0]);
    write(hello.path(), "wrangler.toml", &configuration);
    deploy(&site, hello.path());
    for path in ["/", "/?name=Ada", "/?name=Grace"] {
        call(&site, "hello", "GET", path);
    }
    let of_all = [("job", "hello"), ("known", "true"), ("otel_scope_name", "hello")];
    let metrics = counted(&site, &token, "hello_greetings_total", &of_all, 2.0);
    // As it stands there.
    let shown = blocks("");
    let shown = shown.iter().find(|block| block.contains("hello_greetings_total{")).unwrap();
    assert!(shown.lines().count() == 3 && metrics.contains(shown.as_str()), "{shown} in {metrics}");

    // In the folder of a template, whose wrangler.jsonc is read instead.
    let page = fs::read_to_string(repository().join("docs/otel.md")).unwrap();
    let queues = page.split('`').find(|code| code.starts_with("\"queues\": ")).unwrap();
    let template = r#"{ "name": "hello", "main": "src/index.ts", "compatibility_date": "2026-10-01""#;
    write(hello.path(), "wrangler.jsonc", &format!("{template},\n\t{queues}\n}}\n"));
    deploy(&site, hello.path());
    call(&site, "hello", "GET", "/?name=Ada");
    counted(&site, &token, "hello_greetings_total", &of_all, 3.0);

    // With the SDK, which npm would fetch.
    let kiosk = TempDir::new().unwrap();
    let modules = kiosk.path().join("node_modules");
    fs::create_dir(&modules).unwrap();
    fs::rename(hello.path().join("node_modules/tributary-metrics"), modules.join("tributary-metrics")).unwrap();
    symlink(
        repository().canonicalize().unwrap().join("wrangler/node_modules/@opentelemetry"),
        modules.join("@opentelemetry"),
    )
    .unwrap();
    write(kiosk.path(), "src/index.ts", &code[1]);
    write(kiosk.path(), "wrangler.toml", &configuration.replace("\"hello\"", "\"kiosk\""));
    deploy(&site, kiosk.path());
    call(&site, "kiosk", "POST", "/?country=SE&items=3");
    call(&site, "kiosk", "DELETE", "/?country=SE&items=2");
    counted(&site, &token, "kiosk_items_open", &[("job", "kiosk"), ("otel_scope_name", "kiosk")], 1.0);

    // In Rust, whose code is that of the example, which is built.
    let cafe = TempDir::new().unwrap();
    let built = repository().canonicalize().unwrap().join("emitter/otel/example/build");
    assert!(built.join("index.js").is_file(), "run wrangler/build.sh emitter/otel/example first");
    symlink(built, cafe.path().join("build")).unwrap();
    let configuration = configuration.replace("\"hello\"", "\"cafe\"").replace("src/index.ts", "build/index.js");
    write(cafe.path(), "wrangler.toml", &configuration);
    deploy(&site, cafe.path());
    call(&site, "cafe", "POST", "/?country=SE&items=3");
    call(&site, "cafe", "DELETE", "/?country=SE&items=2");
    counted(&site, &token, "cafe_items_open", &[("job", "cafe"), ("otel_scope_name", "cafe")], 1.0);
}
