//! workerd with one Worker and nothing else in its process: no Miniflare, no emulator. What its bindings ask for is answered
//! by this process, and a `fetch` reaches this machine alone.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
};

use tempfile::TempDir;
use tributary_tests::{cloudflare, installation::repository};

/// As in `wrangler/*.toml`.
const COMPATIBILITY_DATE: &str = "2026-10-01";

/// What runs in a workerd.
pub(crate) enum Program {
    /// A build of a Worker of ours, below the repository, with further fields of its configuration.
    Build { folder: &'static str, fields: String },
    /// A script, the same.
    Script { source: String, fields: String },
}

/// A binding to text.
pub(crate) fn text(name: &str, value: &str) -> String {
    format!("(name = \"{name}\", text = \"{value}\")")
}

/// A running workerd. It is killed when dropped.
pub(crate) struct Runtime {
    process: Child,
    /// `127.0.0.1:<port>`.
    pub(crate) address: String,
    _folder: TempDir,
}

impl Runtime {
    /// Starts one. `services` are further services of the configuration, by name and address.
    pub(crate) fn start(program: &Program, services: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("config.capnp");
        fs::create_dir(folder.path().join("objects")).unwrap();
        fs::write(&config, configuration(program, services, folder.path())).unwrap();
        let mut process = Command::new(cloudflare::runtime().unwrap())
            .args(["serve", "--experimental", "--control-fd=1"])
            .arg(&config)
            // Where the folder of objects is looked for.
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("workerd runs: make setup");
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines().map_while(Result::ok);
        // {"event":"listen","socket":"http","port":40001}
        let port = lines.find_map(|line| {
            let event: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
            event.get("port").and_then(serde_json::Value::as_u64)
        });
        let port = port.expect("workerd listens");
        thread::spawn(move || lines.for_each(drop));
        Self { process, address: format!("127.0.0.1:{port}"), _folder: folder }
    }

    /// Its process id.
    pub(crate) fn id(&self) -> i32 {
        self.process.id().try_into().unwrap()
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

fn configuration(program: &Program, services: &[(&str, &str)], folder: &Path) -> String {
    let (modules, fields) = match program {
        Program::Script { source, fields } => {
            fs::write(folder.join("index.js"), source).unwrap();
            ("(name = \"index.js\", esModule = embed \"index.js\")".to_owned(), fields.as_str())
        }
        Program::Build { folder: build, fields } => {
            for file in ["index.js", "index_bg.wasm"] {
                let from = repository().join(build).join(file);
                fs::copy(&from, folder.join(file)).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
            }
            let modules = "(name = \"index.js\", esModule = embed \"index.js\"), \
                           (name = \"index_bg.wasm\", wasm = embed \"index_bg.wasm\")";
            (modules.to_owned(), fields.as_str())
        }
    };
    let services: String = services
        .iter()
        .map(|(name, address)| format!("(name = \"{name}\", external = (address = \"{address}\", http = ())), "))
        .collect();
    format!(
        "using Workerd = import \"/workerd/workerd.capnp\";\n\
         const config :Workerd.Config = (\n  \
           services = [{services}(name = \"internet\", network = (allow = [\"local\"])), \
             (name = \"objects\", disk = (path = \"objects\", writable = true)), \
             (name = \"main\", worker = .worker)],\n  \
           sockets = [(name = \"http\", address = \"127.0.0.1:0\", http = (), service = \"main\")],\n);\n\
         const worker :Workerd.Worker = (modules = [{modules}], \
           compatibilityDate = \"{COMPATIBILITY_DATE}\", {fields});\n"
    )
}
