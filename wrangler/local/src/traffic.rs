//! Demo users: a steady rate of resolves over a few keep-alive connections. Half of the clients apply with the resolve
//! itself, half resolve first and apply afterwards, so that both paths show.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use confidence_resolver::proto::confidence::flags::resolver::v1::{AppliedFlag, ApplyFlagsRequest};
use confidence_resolver::proto::google::Timestamp;
use serde_json::{Value, json};

use crate::random::DemoRandom;
use crate::secrets::Secret;

const COUNTRIES: [&str; 6] = ["SE", "NO", "US", "DE", "FI", "BR"];
const DEMO_USERS: u64 = 10_000;
/// One connection carries this many resolves per second with ease.
const RESOLVES_PER_CONNECTION: u64 = 50;
const MAX_CONNECTIONS: u64 = 16;
const STATUS_INTERVAL: Duration = Duration::from_secs(15);
const TIMEOUT: Duration = Duration::from_secs(10);
/// Traffic that fell further behind than this forgets the rest instead of catching up in a burst.
const MAX_LAG: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
struct Counts {
    resolves: AtomicU64,
    applies: AtomicU64,
    failures: AtomicU64,
    last_failure: Mutex<String>,
    is_stopped: AtomicBool,
}

/// Running traffic. It stops when dropped.
#[derive(Debug)]
pub struct Traffic {
    counts: Arc<Counts>,
    threads: Vec<JoinHandle<()>>,
}

/// What traffic has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Totals {
    /// Resolves answered with 200.
    pub resolves: u64,
    /// Separate applies answered with 200.
    pub applies: u64,
    /// Requests that failed.
    pub failures: u64,
}

impl Traffic {
    /// Sends `resolves_per_second` (0: none) to `base_url` until stopped; prints a status line now and then.
    ///
    /// # Errors
    /// What the system says where a thread cannot start.
    pub fn start(
        base_url: &str,
        client_secret: &Secret,
        resolves_per_second: u64,
        seed: u64,
        print: impl Fn(&str) + Send + 'static,
    ) -> std::io::Result<Self> {
        let mut traffic = Self { counts: Arc::default(), threads: Vec::new() };
        if resolves_per_second == 0 {
            return Ok(traffic);
        }
        let connections = resolves_per_second.div_ceil(RESOLVES_PER_CONNECTION).min(MAX_CONNECTIONS);
        // Each connection sends every `connections`-th resolve.
        let interval = Duration::from_nanos(1_000_000_000_u64.saturating_mul(connections) / resolves_per_second);
        for connection in 0..connections {
            let mut client = Client {
                agent: agent(),
                base_url: base_url.to_owned(),
                client_secret: client_secret.clone(),
                random: DemoRandom::seeded(seed.wrapping_add(connection)),
                counts: Arc::clone(&traffic.counts),
            };
            let thread = thread::Builder::new().name(format!("traffic-{connection}"));
            traffic.threads.push(thread.spawn(move || client.run(interval))?);
        }
        let counts = Arc::clone(&traffic.counts);
        let status = thread::Builder::new().name("traffic-status".to_owned());
        traffic.threads.push(status.spawn(move || report(&counts, &print))?);
        Ok(traffic)
    }

    /// What it has done until now.
    #[must_use]
    pub fn totals(&self) -> Totals {
        self.counts.totals()
    }

    /// Stops sending and waits for the requests in flight.
    #[must_use = "the totals are final only now"]
    pub fn stop(mut self) -> Totals {
        self.end();
        self.counts.totals()
    }

    fn end(&mut self) {
        self.counts.is_stopped.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                eprintln!("traffic: a connection crashed");
            }
        }
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.end();
    }
}

impl Counts {
    fn totals(&self) -> Totals {
        Totals {
            resolves: self.resolves.load(Ordering::Relaxed),
            applies: self.applies.load(Ordering::Relaxed),
            failures: self.failures.load(Ordering::Relaxed),
        }
    }

    /// Sleeps in short steps until `deadline`; false once traffic is stopped.
    fn sleep_until(&self, deadline: Instant) -> bool {
        loop {
            if self.is_stopped.load(Ordering::Relaxed) {
                return false;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            thread::sleep(left.min(Duration::from_millis(100)));
        }
    }
}

fn report(counts: &Counts, print: &impl Fn(&str)) {
    while counts.sleep_until(Instant::now() + STATUS_INTERVAL) {
        let Totals { resolves, applies, failures } = counts.totals();
        let mut line = format!("traffic: {resolves} resolves, {applies} of them applied later, {failures} failed");
        let last_failure = counts.last_failure.lock().unwrap_or_else(PoisonError::into_inner);
        if !last_failure.is_empty() {
            line = format!("{line}; the last failure: {last_failure}");
        }
        drop(last_failure);
        print(&line);
    }
}

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder().timeout_global(Some(TIMEOUT)).build().into()
}

struct Client {
    agent: ureq::Agent,
    base_url: String,
    client_secret: Secret,
    random: DemoRandom,
    counts: Arc<Counts>,
}

impl Client {
    fn run(&mut self, interval: Duration) {
        let mut next = Instant::now();
        while self.counts.sleep_until(next) {
            if let Err(reason) = self.visit() {
                self.counts.failures.fetch_add(1, Ordering::Relaxed);
                *self.counts.last_failure.lock().unwrap_or_else(PoisonError::into_inner) = reason;
            }
            next += interval;
            if next + MAX_LAG < Instant::now() {
                next = Instant::now();
            }
        }
    }

    /// One user: a resolve of all flags, and for half of them an apply afterwards.
    fn visit(&mut self) -> Result<(), String> {
        let applies_later = self.random.below(2) == 0;
        let user = format!("user-{}", self.random.below(DEMO_USERS));
        let country = self.random.choose(&COUNTRIES).copied().unwrap_or_default();
        let request = json!({
            "flags": [],
            "clientSecret": self.client_secret.reveal(),
            "evaluationContext": {"targeting_key": user, "visitor_id": user, "country": country},
            "apply": !applies_later,
        });
        let response = self.post("/v1/flags:resolve", &request)?;
        self.counts.resolves.fetch_add(1, Ordering::Relaxed);
        if applies_later && let Some(apply) = apply_request(&response, &self.client_secret, now()?) {
            let apply = serde_json::to_value(apply).map_err(|error| error.to_string())?;
            self.post("/v1/flags:apply", &apply)?;
            self.counts.applies.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    fn post(&self, path: &str, body: &Value) -> Result<Value, String> {
        // The whole body is read, or the connection could not be used again.
        let response = self.agent.post(format!("{}{path}", self.base_url)).send_json(body);
        let mut response = response.map_err(|error| format!("{path}: {error}"))?;
        let text = response.body_mut().read_to_string().map_err(|error| format!("{path}: {error}"))?;
        if text.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_str(&text).map_err(|error| format!("{path}: {error}"))
    }
}

fn now() -> Result<Timestamp, String> {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_err(|error| error.to_string())?;
    let seconds = i64::try_from(since_epoch.as_secs()).map_err(|error| error.to_string())?;
    let nanos = i32::try_from(since_epoch.subsec_nanos()).map_err(|error| error.to_string())?;
    Ok(Timestamp { seconds, nanos })
}

/// The apply of all flags of a resolve's response that want one, or `None` where none does.
fn apply_request(response: &Value, client_secret: &Secret, now: Timestamp) -> Option<ApplyFlagsRequest> {
    use base64::Engine as _;
    let token = response.get("resolveToken")?.as_str()?;
    let flags: Vec<AppliedFlag> = response
        .get("resolvedFlags")?
        .as_array()?
        .iter()
        .filter(|flag| flag.get("shouldApply").and_then(Value::as_bool) == Some(true))
        .filter_map(|flag| flag.get("flag")?.as_str())
        .map(|flag| AppliedFlag { flag: flag.to_owned(), apply_time: Some(now) })
        .collect();
    let resolve_token = base64::prelude::BASE64_STANDARD.decode(token).ok()?;
    (!flags.is_empty()).then(|| ApplyFlagsRequest {
        flags,
        client_secret: client_secret.reveal().to_owned(),
        resolve_token,
        send_time: Some(now),
        sdk: None,
    })
}

#[cfg(test)]
#[path = "traffic/tests.rs"]
mod tests;
