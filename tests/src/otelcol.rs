//! The OpenTelemetry Collector, as `make setup` builds it where there is Go (`tests/otelcol`): it takes OTLP over HTTP, adds
//! deltas up and serves a scraper.

use std::{
    fs, io,
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;

/// Where its program is; `None`, said loudly, where `make setup` found no Go to build it with.
pub fn program() -> Option<PathBuf> {
    let program = std::env::var_os("OTELCOL").map(PathBuf::from).filter(|program| program.is_file());
    if program.is_none() {
        println!("SKIPPED: the OpenTelemetry Collector; get Go with: sudo apt-get install -y golang");
    }
    program
}

/// A running Collector. Stops when it is dropped.
pub struct OpenTelemetryCollector {
    process: Child,
    ports: [u16; 2],
    folder: TempDir,
}

impl Drop for OpenTelemetryCollector {
    fn drop(&mut self) {
        // One that has ended already is no trouble.
        self.process.kill().unwrap_or_default();
        self.process.wait().map(drop).unwrap_or_default();
    }
}

impl OpenTelemetryCollector {
    /// Starts the program; [`OpenTelemetryCollector::ready`] says when it listens.
    ///
    /// # Errors
    /// Where it does not start.
    pub fn start(program: &Path) -> io::Result<Self> {
        let free = || TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).map(|at| at.port());
        let ports @ [http, prometheus] = [free()?, free()?];
        let folder = TempDir::new()?;
        // Names as OTLP has them, with the suffixes of units and counters: the exporter's default.
        let config = serde_json::json!({
            "receivers": {"otlp": {"protocols": {"http": {"endpoint": format!("127.0.0.1:{http}")}}}},
            "processors": {"deltatocumulative": {}},
            "exporters": {"prometheus": {"endpoint": format!("127.0.0.1:{prometheus}")}},
            "service": {
                "telemetry": {"metrics": {"level": "none"}},
                "pipelines": {"metrics": {
                    "receivers": ["otlp"], "processors": ["deltatocumulative"], "exporters": ["prometheus"],
                }},
            },
        });
        let file = folder.path().join("config.yaml");
        fs::write(&file, config.to_string())?;
        let log = fs::File::create(folder.path().join("log"))?;
        let process = Command::new(program)
            .arg(format!("--config=file:{}", file.display()))
            .current_dir(folder.path())
            .stdout(log.try_clone()?)
            .stderr(log)
            .stdin(Stdio::null())
            .spawn()?;
        Ok(Self { process, ports, folder })
    }

    /// Says whether it listens on both of its ports.
    ///
    /// # Errors
    /// Not yet, with its log.
    pub fn ready(&self) -> Result<(), String> {
        for port in self.ports {
            TcpStream::connect(("127.0.0.1", port)).map_err(|error| format!("{error}: {}", self.log()))?;
        }
        Ok(())
    }

    /// Where it takes OTLP: the address of all signals.
    #[must_use]
    pub fn otlp(&self) -> String {
        let [http, _] = self.ports;
        format!("http://127.0.0.1:{http}")
    }

    /// What it said so far.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// What a scraper gets of it.
    ///
    /// # Errors
    /// Where it does not answer with a text.
    pub fn scrape(&self) -> Result<String, String> {
        let [_, prometheus] = self.ports;
        let url = format!("http://127.0.0.1:{prometheus}/metrics");
        let mut answer = ureq::get(&url).call().map_err(|error| error.to_string())?;
        answer.body_mut().read_to_string().map_err(|error| error.to_string())
    }
}
