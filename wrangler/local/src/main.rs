//! `make run`: starts the local installation, says where it is, and stops it with Ctrl-C. With the argument `redrive` it
//! is `make redrive`.

#![forbid(unsafe_code)]

use std::io::{self, Write as _};
use std::os::unix::process::parent_id;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tokio::signal::unix::{SignalKind, signal};
use tributary_local::installation::{LocalInstallation, Running};
use tributary_local::options::StateSource;
use tributary_local::random;
use tributary_local::redrive::Redrive;
use tributary_local::settings::Settings;
use tributary_local::traffic::Traffic;

const POLL: Duration = Duration::from_millis(200);
/// `max_batch_timeout` of `wrangler/consumer.toml`.
const QUEUE_BATCH_TIMEOUT: Duration = Duration::from_secs(2);
/// What a batch takes from the queue to the Ledger and the backend.
const SETTLE: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn std::error::Error>> {
    // Values that are not UTF-8 are none that we read.
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    if std::env::args_os().nth(1).is_some_and(|argument| argument == "redrive") {
        print(Redrive::read(&environment)?.run()?.table().trim_end());
        return Ok(());
    }
    let settings = Settings::read(&environment)?;
    let is_stopped = Arc::<AtomicBool>::default();
    let is_hurried = Arc::<AtomicBool>::default();
    stop_on_signal(Arc::clone(&is_stopped), Arc::clone(&is_hurried))?;
    stop_with_parent(Arc::clone(&is_stopped), Arc::clone(&is_hurried));

    let mut options = settings.options(repository()?);
    options.cancelled = Arc::clone(&is_stopped);
    options.print = Arc::new(print);
    print("starting both Workers …");
    let mut running = LocalInstallation::start(options)?;
    announce(&running, &settings.state)?;

    let seed = u64::from_le_bytes(random::bytes()?);
    let traffic =
        Traffic::start(running.base_url(), running.client_secret(), settings.resolves_per_second, seed, print)?;
    let mut outcome = Ok(());
    while !is_stopped.load(Ordering::Relaxed) && outcome.is_ok() {
        thread::sleep(POLL);
        outcome = running.check();
    }
    let totals = traffic.stop();
    print(&format!(
        "stopping; the traffic was {} resolves, {} of them applied later, {} failed",
        totals.resolves, totals.applies, totals.failures
    ));
    if outcome.is_ok() {
        drain(settings.flush_interval(), &is_hurried);
    }
    running.stop()?;
    outcome.map_err(Into::into)
}

/// Waits until what is on its way has arrived: the local queue is in memory only, and what is in it when the Workers
/// stop is lost.
fn drain(flush_interval: Duration, is_hurried: &AtomicBool) {
    print("waiting for what is in the queue (Ctrl-C again stops at once)");
    let deadline = Instant::now() + flush_interval + QUEUE_BATCH_TIMEOUT + SETTLE;
    while Instant::now() < deadline && !is_hurried.load(Ordering::Relaxed) {
        thread::sleep(POLL);
    }
}

/// The checkout: where we are started, else where we were built.
fn repository() -> io::Result<PathBuf> {
    let here = std::env::current_dir()?;
    if here.join("wrangler/producer.toml").is_file() {
        return Ok(here);
    }
    Ok(PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")))
}

/// One line, at once. Output that nobody takes any more is no reason to stop.
fn print(line: &str) {
    let mut stdout = io::stdout().lock();
    if writeln!(stdout, "{line}").and_then(|()| stdout.flush()).is_err() {
        // Whoever read our output has gone; the watch on the parent decides what follows.
    }
}

/// Lines that people and scripts read, each alone on a line, and two commands to try.
fn announce(running: &Running, state: &StateSource) -> io::Result<()> {
    let url = running.base_url();
    // A real secret is not echoed; the shell that set it can expand the name.
    let secret = match state {
        StateSource::Cdn { .. } => "$CONFIDENCE_CLIENT_SECRET",
        _ => running.client_secret().reveal(),
    };
    let token = running.metrics_token().reveal();
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "READY={url}")?;
    writeln!(stdout, "CLIENT_SECRET={secret}")?;
    writeln!(stdout, "METRICS_TOKEN={token}")?;
    writeln!(stdout, "BACKEND={}", running.backend_url())?;
    writeln!(
        stdout,
        "curl -s {url}/v1/flags:resolve -d \"{{\\\"clientSecret\\\":\\\"{secret}\\\",\\\"apply\\\":true,\
         \\\"evaluationContext\\\":{{\\\"targeting_key\\\":\\\"me\\\",\\\"country\\\":\\\"SE\\\"}}}}\""
    )?;
    writeln!(stdout, "curl -s -H 'Authorization: Bearer {token}' {url}/metrics")?;
    writeln!(stdout, "or open {url}/status in a browser and sign in with METRICS_TOKEN")?;
    stdout.flush()
}

/// Ctrl-C, a polite kill, a closed terminal; the second of them is a hurry.
fn stop_on_signal(is_stopped: Arc<AtomicBool>, is_hurried: Arc<AtomicBool>) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut signals = {
        let _context = runtime.enter();
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?, signal(SignalKind::hangup())?)
    };
    thread::spawn(move || {
        for flag in [is_stopped, is_hurried] {
            runtime.block_on(async {
                tokio::select! {
                    _ = signals.0.recv() => {}
                    _ = signals.1.recv() => {}
                    _ = signals.2.recv() => {}
                }
            });
            flag.store(true, Ordering::Relaxed);
        }
    });
    Ok(())
}

/// A `make` that was killed cannot tell us; but then somebody else becomes our parent.
fn stop_with_parent(is_stopped: Arc<AtomicBool>, is_hurried: Arc<AtomicBool>) {
    let parent = parent_id();
    thread::spawn(move || {
        while parent_id() == parent {
            thread::sleep(POLL);
        }
        is_hurried.store(true, Ordering::Relaxed);
        is_stopped.store(true, Ordering::Relaxed);
    });
}
