//! `make cloud`: a Cloudflare of one's own on loopback, with stand-ins for Confidence, until Ctrl-C.
//!
//! It prints what to export, one `NAME=value` a line. What it can be told at `CONTROL` is in `cloudflare/control.rs`.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tributary_tests::cloudflare::{FakeCloudflare, Options};

const USAGE: &str =
    "fake-cloudflare [--port <number>] [--workers-port <number>] [--folder <path>] [--accounts <number>]";

/// The producer coalesces for a second behind its answers.
const LINGER: Duration = Duration::from_millis(1_500);

fn main() -> ExitCode {
    match parse(std::env::args().skip(1)).and_then(|options| run(options).map_err(|error| error.to_string())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("fake-cloudflare: {error}");
            ExitCode::FAILURE
        }
    }
}

fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options = Options { linger: LINGER, ..Options::default() };
    while let Some(name) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(|| format!("{name} needs a value; {USAGE}"));
        let invalid = |value: &str| format!("{name} {value:?} is no number; {USAGE}");
        match name.as_str() {
            "--port" => options.port = value().and_then(|text| text.parse().map_err(|_| invalid(&text)))?,
            "--workers-port" => {
                options.workers_port = value().and_then(|text| text.parse().map_err(|_| invalid(&text)))?;
            }
            "--accounts" => options.accounts = value().and_then(|text| text.parse().map_err(|_| invalid(&text)))?,
            "--folder" => options.folder = Some(PathBuf::from(value()?)),
            _ => return Err(format!("unknown option {name}; {USAGE}")),
        }
    }
    Ok(options)
}

fn run(options: Options) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut signals = {
        let _context = runtime.enter();
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?, signal(SignalKind::hangup())?)
    };
    let cloud = FakeCloudflare::start(options)?;
    announce(&cloud)?;
    runtime.block_on(async {
        tokio::select! {
            _ = signals.0.recv() => {}
            _ = signals.1.recv() => {}
            _ = signals.2.recv() => {}
        }
    });
    drop(cloud);
    Ok(())
}

fn announce(cloud: &FakeCloudflare) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    let confidence = cloud.confidence();
    for (name, value) in [
        ("CLOUDFLARE_API_BASE_URL", cloud.api_url()),
        ("CLOUDFLARE_API_TOKEN", cloud.token()),
        ("CLOUDFLARE_ACCOUNT_ID", cloud.account_id()),
        ("WORKERS_ORIGIN", cloud.workers_origin()),
        ("CONTROL", cloud.control_url()),
        ("CONFIDENCE_CDN_URL", confidence.cdn_url().to_owned()),
        ("CONFIDENCE_FLAG_LOGS_URL", confidence.backend().flag_logs_url()),
        ("CONFIDENCE_INGEST_URL", confidence.backend().ingest_url()),
        ("CONFIDENCE_CLIENT_SECRET", confidence.client_secret().to_owned()),
    ] {
        writeln!(stdout, "{name}={value}")?;
    }
    stdout.flush()
}
