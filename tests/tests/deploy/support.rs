//! An account, a checkout, and the deployer between them.

use std::collections::BTreeMap;
use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tributary_deployer::command::{self, Terminal};
use tributary_deployer::error::Error;
use tributary_tests::cloudflare::{FakeCloudflare, Options, Recorded};
use tributary_tests::installation::repository;

/// A Worker with what the consumer exports.
const SMALL_CONSUMER: &str = "import { DurableObject } from 'cloudflare:workers';\n\
    export class Ledger extends DurableObject {}\n\
    export default { fetch() { return new Response('') }, queue() {}, scheduled() {} };\n";
/// And with what the producer exports.
const SMALL_PRODUCER: &str = "export default { fetch() { return new Response('') }, scheduled() {} };\n";

/// What a run of the deployer gave.
pub(crate) struct Run {
    /// The error, if it ended with one.
    pub(crate) error: Option<Error>,
    /// What was printed.
    pub(crate) output: String,
}

impl Run {
    /// What was printed by a run that worked.
    pub(crate) fn ok(self) -> String {
        if let Some(error) = self.error {
            panic!("{error}\n---\n{}", self.output);
        }
        self.output
    }

    /// The error's words of a run that did not.
    pub(crate) fn failed(self) -> String {
        self.error.unwrap_or_else(|| panic!("it worked:\n{}", self.output)).to_string()
    }

    /// The METRICS_TOKEN that it showed.
    pub(crate) fn token(&self) -> Option<String> {
        self.output.lines().find_map(|line| line.strip_prefix("METRICS_TOKEN=")).map(str::to_owned)
    }
}

/// An account with a checkout to deploy from.
pub(crate) struct Site {
    pub(crate) cloud: FakeCloudflare,
    pub(crate) environment: BTreeMap<String, String>,
    checkout: TempDir,
}

impl Site {
    /// An empty account, and a checkout whose Workers are small. They are not run.
    pub(crate) fn small() -> Self {
        Self::with(Options { runs_workers: false, ..Options::default() })
    }

    /// The same in any account.
    pub(crate) fn with(options: Options) -> Self {
        let cloud = FakeCloudflare::start(options).unwrap();
        let checkout = TempDir::new().unwrap();
        let wrangler = checkout.path().join("wrangler");
        fs::create_dir(&wrangler).unwrap();
        for file in ["consumer.toml", "producer.toml"] {
            fs::copy(repository().join("wrangler").join(file), wrangler.join(file)).unwrap();
        }
        let modules = repository().join("wrangler/node_modules").canonicalize().unwrap();
        std::os::unix::fs::symlink(modules, wrangler.join("node_modules")).unwrap();
        let set = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let environment = [
            set("CLOUDFLARE_API_TOKEN", &cloud.token()),
            set("CLOUDFLARE_API_BASE_URL", &cloud.api_url()),
            set("CONFIDENCE_CLIENT_SECRET", cloud.confidence().client_secret()),
            set("CONFIDENCE_CDN_URL", cloud.confidence().cdn_url()),
        ];
        let site = Self { cloud, environment: environment.into(), checkout };
        site.build("consumer", SMALL_CONSUMER);
        site.build("producer", SMALL_PRODUCER);
        site
    }

    /// The checkout.
    pub(crate) fn path(&self) -> &Path {
        self.checkout.path()
    }

    /// The build folder of the installation `name`.
    pub(crate) fn folder(&self, name: &str) -> PathBuf {
        self.path().join(".run/deploy").join(self.cloud.account_id()).join(name)
    }

    /// Gives a Worker another module.
    pub(crate) fn build(&self, worker: &str, source: &str) {
        let folder = self.path().join(worker).join("build");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("index.js"), source).unwrap();
    }

    /// An empty account that runs its Workers, and a checkout with the real ones. They deliver to the stub backend.
    pub(crate) fn real() -> Self {
        let mut site = Self::with(Options::default());
        for worker in ["consumer", "producer"] {
            let build = site.path().join(worker).join("build");
            fs::remove_dir_all(&build).unwrap();
            let built = repository().join(worker).join("build");
            let built = built.canonicalize().expect("run `make build` first");
            std::os::unix::fs::symlink(built, build).unwrap();
        }
        let backend = site.cloud.confidence().backend();
        let set = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let more = [
            set("WORKERS_ORIGIN", &site.cloud.workers_origin()),
            set("CONFIDENCE_FLAG_LOGS_URL", &backend.flag_logs_url()),
            set("CONFIDENCE_INGEST_URL", &backend.ingest_url()),
            set("TRIBUTARY_CONSUMER_PUBLISH_INTERVAL_MS", "1000"),
            set("TRIBUTARY_PRODUCER_FLUSH_INTERVAL_MS", "200"),
            set("TRIBUTARY_PRODUCER_STATE_REFRESH_MS", "1000"),
        ];
        site.environment.extend(more);
        site
    }

    /// New code of a Worker, which does the same.
    pub(crate) fn rebuild(&self, worker: &str, version: u32) {
        let source = if worker == "consumer" { SMALL_CONSUMER } else { SMALL_PRODUCER };
        self.build(worker, &format!("{source}// {version}\n"));
    }

    /// Runs the deployer where nobody is there to answer.
    pub(crate) fn run(&self, arguments: &[&str]) -> Run {
        self.run_with(arguments, None)
    }

    /// Runs it; `typed` is what somebody types.
    pub(crate) fn run_with(&self, arguments: &[&str], typed: Option<&str>) -> Run {
        let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let mut output = Vec::new();
        let mut input = Cursor::new(typed.unwrap_or_default().to_owned());
        let mut terminal = Terminal { input: &mut input, is_interactive: typed.is_some() };
        let result = command::run(&arguments, &self.environment, self.path(), &mut output, &mut terminal);
        Run { error: result.err(), output: String::from_utf8(output).unwrap() }
    }

    /// Deploys, without asking the Workers, which do not run.
    pub(crate) fn deploy(&self, arguments: &[&str]) -> Run {
        self.run(&[&["deploy", "--skip-check"], arguments].concat())
    }

    /// What was written since the requests were forgotten.
    pub(crate) fn writes(&self) -> Vec<Recorded> {
        self.cloud.requests().into_iter().filter(|request| request.method != "GET").collect()
    }

    /// Everything that matters of the account, without ids and times.
    pub(crate) fn shape(&self) -> String {
        let cloud = &self.cloud;
        let mut titles = BTreeMap::new();
        let mut lines = Vec::new();
        for namespace in cloud.namespaces() {
            lines.push(format!("kv {} {:?}", namespace.title, namespace.values.keys().collect::<Vec<_>>()));
            titles.insert(namespace.id, namespace.title);
        }
        for queue in cloud.queues() {
            let consumer = queue.consumer.map(|c| (c.script, c.dead_letter_queue, c.settings));
            lines.push(format!("queue {} {:?} {consumer:?}", queue.name, queue.producers));
        }
        for script in cloud.scripts() {
            let version = script.active_version().unwrap();
            let mut bindings: Vec<String> = version
                .bindings
                .iter()
                .map(|binding| {
                    let field = |name: &str| binding[name].as_str().unwrap_or_default().to_owned();
                    let value = match field("type").as_str() {
                        "secret_text" => String::new(),
                        "kv_namespace" => titles.get(&field("namespace_id")).cloned().unwrap_or_default(),
                        "plain_text" if ["TRIBUTARY_BUILD", "CONFIDENCE_CDN_URL"].contains(&&*field("name")) => {
                            String::new()
                        }
                        _ => format!(
                            "{}{}{}{}",
                            field("text"),
                            field("queue_name"),
                            field("service"),
                            field("class_name")
                        ),
                    };
                    format!("{} {} {value}", field("type"), field("name"))
                })
                .collect();
            bindings.sort();
            lines.push(format!(
                "worker {} {} {:?} {:?} {bindings:?}",
                script.name, script.is_on_subdomain, script.schedules, script.migration_tag
            ));
        }
        lines.sort();
        lines.join("\n")
    }
}

/// A path of the API whose ids stand for any.
pub(crate) fn pattern(path: &str) -> String {
    let is_id = |segment: &str| segment.len() == 32 && segment.bytes().all(|byte| byte.is_ascii_hexdigit());
    path.split('/').map(|segment| if is_id(segment) { "*" } else { segment }).collect::<Vec<_>>().join("/")
}
