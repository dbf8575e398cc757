//! What a script exports: the runtime loads it and looks, as the real API does before it takes an upload.

use std::fs;
use std::io::Read as _;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::super::cloud::Cloud;
use super::super::ids;
use super::super::state::Module;
use super::config;

/// Looks at the module whose name stands for `MAIN`.
const SOURCE: &str = include_str!("../../../cloudflare/probe.js");
const NAME: &str = "fake-cloudflare-probe.js";
const MARK: &str = "PROBED ";
/// The real API allows a second of CPU; a shared machine needs more time for that.
const PATIENCE: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(2);
/// What is shown of an error.
const MAX_ERROR_CHARS: usize = 600;

/// What a script exports.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Probed {
    /// Handlers of the default export.
    pub(crate) handlers: Vec<String>,
    /// Names of the other exports that are classes.
    pub(crate) exports: Vec<String>,
    /// Milliseconds.
    #[serde(default)]
    pub(crate) startup_time: u64,
}

/// Loads a script and looks at it.
///
/// # Errors
/// Why it does not load, as the runtime says it.
pub(crate) fn probe(
    cloud: &Cloud,
    main: &str,
    modules: &[Module],
    date: &str,
    flags: &[String],
) -> Result<Probed, String> {
    let file = cloud.folder.edge().join(format!("probe-{}.capnp", ids::hex_id()));
    let source = SOURCE.replace("MAIN", &format!("./{main}"));
    let own = config::es_module(NAME, &source);
    let modules = std::iter::once(own).chain(config::modules(main, modules));
    let text = format!(
        "using Workerd = import \"/workerd/workerd.capnp\";\n\
         const config :Workerd.Config = (services = [(name = \"probe\", worker = .worker)]);\n\
         const worker :Workerd.Worker = (\n  modules = {},\n  compatibilityDate = {},\n  compatibilityFlags = {},\n);\n",
        config::list(modules),
        config::quote(date),
        config::texts(flags),
    );
    fs::write(&file, text).map_err(|error| error.to_string())?;
    let started = Instant::now();
    let output = run(Command::new(&cloud.runtime).arg("test").arg(&file));
    let startup_time = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    // A file that stays does no harm.
    drop(fs::remove_file(&file));
    let output = output?;
    match output.lines().find_map(|line| line.strip_prefix(MARK)) {
        Some(json) => {
            let probed: Probed = serde_json::from_str(json).map_err(|error| error.to_string())?;
            Ok(Probed { startup_time, ..probed })
        }
        None => Err(reason(&output)),
    }
}

/// Runs a program to its end, and returns all that it printed.
fn run(command: &mut Command) -> Result<String, String> {
    let mut process = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("cannot run workerd: {error}"))?;
    let mut errors = process.stderr.take();
    let mut lines = process.stdout.take();
    // Both are read at once, so that neither pipe fills.
    let reader = thread::spawn(move || {
        let mut text = String::new();
        // What cannot be read is missed below.
        drop(errors.as_mut().map(|errors| errors.read_to_string(&mut text)));
        text
    });
    let other = thread::spawn(move || {
        let mut text = String::new();
        drop(lines.as_mut().map(|lines| lines.read_to_string(&mut text)));
        text
    });
    let deadline = Instant::now() + PATIENCE;
    loop {
        match process.try_wait() {
            Ok(Some(_)) => break,
            Ok(None) if Instant::now() < deadline => thread::sleep(POLL),
            _ => {
                drop(process.kill());
                drop(process.wait());
                return Err("Script startup exceeded CPU time limit.".to_owned());
            }
        }
    }
    let text = other.join().unwrap_or_default();
    Ok(text + &reader.join().unwrap_or_default())
}

/// The error in what the runtime printed.
fn reason(output: &str) -> String {
    let is_said = |line: &&str| !line.trim().is_empty() && !line.contains("stack:");
    let text: Vec<&str> = output.lines().filter(is_said).collect();
    let text = text.join("\n");
    let text = text.split_once("service probe: ").map_or(text.as_str(), |(_, after)| after);
    text.chars().take(MAX_ERROR_CHARS).collect()
}
