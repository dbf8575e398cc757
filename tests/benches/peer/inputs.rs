//! The resolves that everything is measured on: the demo state's flags, one user each, logged by the crate's own
//! loggers on both sides.

use std::{cell::RefCell, fs, path::Path};

use confidence_resolver::{
    Client, FlagToApply, Host, ResolvedValue,
    assign_logger::build_flag_assigned,
    proto::{
        confidence::flags::resolver::v1::{ResolveReason, Sdk, WriteFlagLogsRequest},
        google::{Struct, Timestamp},
    },
    resolve_logger::build_resolve_log,
    telemetry::build_request_telemetry,
};
use tributary_consumer::message::{MessageBody, QueueMessage};
use tributary_local::demo_state::demo_state;
use tributary_producer::{
    config::ENCRYPTION_KEY,
    host::{self, WorkerHost},
    isolate::Isolate,
    recorder::Observation,
    resolve,
    state::{Fetched, sdk},
};

/// Messages per batch: the most that Queues delivers at once.
pub(crate) const BATCH: usize = 100;
/// Resolves per coalesced message: an isolate that resolves a hundred times per flush interval.
pub(crate) const COALESCED: usize = 100;
/// Isolates whose messages meet in a batch.
const ISOLATES: usize = 20;
/// When everything happens, in milliseconds since the epoch.
pub(crate) const NOW_MS: u64 = 1_790_000_000_000;
/// The `resolver_id` of both sides.
pub(crate) const RESOLVER_ID: &str = "cf-resolver";

const SECRET: &str = "secret-of-the-bench";
/// Resolve ids come from the crate's generator; the same seed gives the same ids in every pass.
const SEED: u64 = 7;

/// The queue messages of both systems.
pub(crate) struct Inputs {
    /// The peer's: one for each resolve, JSON.
    pub(crate) peer: Vec<String>,
    /// Ours with one resolve each: a batch, the first [`BATCH`] resolves of `peer`.
    pub(crate) single: Vec<QueueMessage>,
    /// Ours with [`COALESCED`] resolves each: a batch, all resolves of `peer`.
    pub(crate) coalesced: Vec<QueueMessage>,
    /// The same without flag logs: a batch of each kind.
    pub(crate) telemetry: Telemetry,
    /// Latency and reasons of each resolve.
    pub(crate) observations: Vec<(u32, Vec<i32>)>,
    assignments: usize,
}

/// Messages that hold telemetry alone, of the same resolves as the others.
#[derive(Default)]
pub(crate) struct Telemetry {
    pub(crate) peer: Vec<String>,
    pub(crate) single: Vec<QueueMessage>,
    pub(crate) coalesced: Vec<QueueMessage>,
}

thread_local! {
    static PEER_LOG: RefCell<WriteFlagLogsRequest> = RefCell::default();
}

/// Logs as the peer's Worker does, one request for each resolve.
pub(crate) struct PeerHost;

/// Logs as the peer and as ours.
struct BothHosts;

impl Host for PeerHost {
    fn current_time() -> Timestamp {
        Timestamp { seconds: i64::try_from(NOW_MS / 1_000).unwrap(), nanos: 123_000_000 }
    }

    fn log_resolve(_: &str, context: &Struct, values: &[ResolvedValue<'_>], client: &Client) {
        PEER_LOG.with_borrow_mut(|log| {
            let (flags, info) = build_resolve_log(context, &client.client_credential_name, values);
            log.flag_resolve_info.extend(flags);
            log.client_resolve_info.push(info);
        });
    }

    /// Without the SDK: the peer's state has none.
    fn log_assign(resolve_id: &str, flags: &[FlagToApply<'_>], client: &Client, _: &Option<Sdk>) {
        PEER_LOG.with_borrow_mut(|log| log.flag_assigned.push(build_flag_assigned(resolve_id, flags, client, &None)));
    }
}

impl Host for BothHosts {
    fn current_time() -> Timestamp {
        PeerHost::current_time()
    }

    fn log_resolve(resolve_id: &str, context: &Struct, values: &[ResolvedValue<'_>], client: &Client) {
        PeerHost::log_resolve(resolve_id, context, values, client);
        WorkerHost::log_resolve(resolve_id, context, values, client);
    }

    fn log_assign(resolve_id: &str, flags: &[FlagToApply<'_>], client: &Client, sdk: &Option<Sdk>) {
        PeerHost::log_assign(resolve_id, flags, client, sdk);
        WorkerHost::log_assign(resolve_id, flags, client, sdk);
    }
}

impl Inputs {
    /// Resolves everything twice, with the same ids: for single and for coalesced messages.
    pub(crate) fn build() -> Self {
        let _left_over = host::drain();
        let isolates: Vec<Isolate> = (0..ISOLATES).map(|_| isolate()).collect();
        confidence_resolver::seed_rng(SEED);
        let mut inputs = Self {
            peer: vec![],
            single: vec![],
            coalesced: vec![],
            telemetry: Telemetry::default(),
            observations: vec![],
            assignments: 0,
        };
        for index in 0..BATCH {
            let isolate = &isolates[index % ISOLATES];
            let reasons = resolve_one::<BothHosts>(isolate, index);
            record(isolate, latency_micros(index), reasons);
            let _same_as_in_the_next_pass = PEER_LOG.take();
            inputs.single.push(queue_message(index, seal(isolate)));
        }
        confidence_resolver::seed_rng(SEED);
        for index in 0..BATCH * COALESCED {
            let isolate = &isolates[(index / COALESCED) % ISOLATES];
            let reasons = resolve_one::<BothHosts>(isolate, index);
            let log = take_peer_log(latency_micros(index), &reasons);
            inputs.assignments += log.flag_assigned.iter().map(|assigned| assigned.flags.len()).sum::<usize>();
            inputs.peer.push(peer_message(&log));
            inputs.observations.push((latency_micros(index), reasons.clone()));
            record(isolate, latency_micros(index), reasons);
            if (index + 1).is_multiple_of(COALESCED) {
                inputs.coalesced.push(queue_message(index, seal(isolate)));
            }
        }
        inputs.build_telemetry();
        inputs
    }

    fn build_telemetry(&mut self) {
        let isolates: Vec<Isolate> = (0..ISOLATES).map(|_| isolate()).collect();
        for (index, text) in self.peer[..BATCH].iter().enumerate() {
            let log: WriteFlagLogsRequest = serde_json::from_str(text).unwrap();
            let log = WriteFlagLogsRequest { telemetry_data: log.telemetry_data, ..Default::default() };
            self.telemetry.peer.push(peer_message(&log));
            let (latency, reasons) = &self.observations[index];
            let isolate = &isolates[index % ISOLATES];
            record(isolate, *latency, reasons.clone());
            self.telemetry.single.push(queue_message(index, seal(isolate)));
        }
        for (index, chunk) in self.observations.chunks(COALESCED).enumerate() {
            let isolate = &isolates[index % ISOLATES];
            chunk.iter().for_each(|(latency, reasons)| record(isolate, *latency, reasons.clone()));
            self.telemetry.coalesced.push(queue_message(index, seal(isolate)));
        }
    }

    /// Writes what the counted process needs: a batch of each kind.
    pub(crate) fn save(&self, path: &Path) {
        let messages = |messages: &[QueueMessage]| -> Vec<Vec<u8>> {
            let bytes = |message: &QueueMessage| match &message.body {
                MessageBody::Bytes(bytes) => bytes.clone(),
                other => unreachable!("{other:?}"),
            };
            messages.iter().map(bytes).collect()
        };
        let saved = (
            (&self.peer[..BATCH], messages(&self.single), messages(&self.coalesced)),
            (&self.telemetry.peer, messages(&self.telemetry.single), messages(&self.telemetry.coalesced)),
            &self.observations[..1_000],
        );
        fs::write(path, serde_json::to_vec(&saved).unwrap()).unwrap();
    }

    /// Reads it.
    pub(crate) fn load(path: &Path) -> Self {
        type Batches = (Vec<String>, Vec<Vec<u8>>, Vec<Vec<u8>>);
        type Saved = (Batches, Batches, Vec<(u32, Vec<i32>)>);
        let saved: Saved = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        let messages = |messages: Vec<Vec<u8>>| {
            messages.into_iter().enumerate().map(|(index, bytes)| queue_message(index, bytes)).collect()
        };
        let ((peer, single, coalesced), telemetry, observations) = saved;
        Self {
            peer,
            single: messages(single),
            coalesced: messages(coalesced),
            telemetry: Telemetry { peer: telemetry.0, single: messages(telemetry.1), coalesced: messages(telemetry.2) },
            observations,
            assignments: 0,
        }
    }

    pub(crate) fn flags_per_resolve(&self) -> f64 {
        mean(self.observations.iter().map(|(_, reasons)| reasons.len()).sum(), self.peer.len())
    }

    pub(crate) fn assignments_per_resolve(&self) -> f64 {
        mean(self.assignments, self.peer.len())
    }
}

/// `total / count`.
pub(crate) fn mean(total: usize, count: usize) -> f64 {
    f64::from(u32::try_from(total).unwrap()) / f64::from(u32::try_from(count).unwrap())
}

/// An isolate of the producer with the demo state.
pub(crate) fn isolate() -> Isolate {
    let isolate =
        Isolate::new(|name| (name == ENCRYPTION_KEY).then(|| "AAAAAAAAAAAAAAAAAAAAAA==".to_owned()), None).unwrap();
    let fetched = Fetched { bytes: demo_state(SECRET), metadata: None };
    isolate.state.borrow_mut().finish(NOW_MS, fetched.into_plain()).unwrap();
    isolate
}

/// Resolves all flags for user `index` and returns the reasons.
pub(crate) fn resolve_one<H: Host>(isolate: &Isolate, index: usize) -> Vec<i32> {
    let state = isolate.state.borrow().current().unwrap();
    let call = resolve::parse(request(index).as_bytes(), &isolate.config).unwrap();
    let step = resolve::run::<H>(call, &state.resolver, &isolate.config, false).unwrap();
    step.without_records().unwrap().reasons()
}

fn request(index: usize) -> String {
    let country = ["SE", "DE", "US", "NO", "BR", "FI", "FR"][index % 7];
    let platform = ["ios", "android", "web"][index % 3];
    serde_json::json!({
        "clientSecret": SECRET,
        "flags": [],
        "apply": true,
        "evaluationContext": {
            "targeting_key": format!("user-{index:08}"),
            "country": country,
            "platform": platform,
            "app_version": format!("8.9.{}", index % 40),
            "is_employee": index.is_multiple_of(50),
            "visits": index % 300,
        },
    })
    .to_string()
}

/// Some hundred microseconds to some milliseconds, skewed as latencies are, and never on a bound: there the peer counts
/// one bucket too high, and the totals could not be compared.
fn latency_micros(index: usize) -> u32 {
    let step = u32::try_from(index).unwrap().wrapping_mul(2_654_435_761);
    let base = [181, 243, 317, 428, 561, 1_021, 1_411, 2_633, 5_227, 14_033][usize::try_from(step >> 16).unwrap() % 10];
    base + (step >> 8) % 97
}

/// Counts a resolve in the isolate, as the Worker does after the response.
pub(crate) fn record(isolate: &Isolate, latency_micros: u32, reasons: Vec<i32>) {
    let observation = Observation { start_micros: 1, after_resolve_micros: 1 + u64::from(latency_micros), reasons };
    let _role = isolate.record(NOW_MS - 1_000, Some((&observation, 0)));
}

/// Seals what is pending: the bytes of one message.
pub(crate) fn seal(isolate: &Isolate) -> Vec<u8> {
    let attempt = isolate.seal_and_take(NOW_MS, Some(8 << 20), None);
    assert_eq!(attempt.messages.len(), 1);
    let (sequence, bytes) = &attempt.messages[0];
    isolate.flusher.borrow_mut().confirm(&[*sequence]);
    bytes.to_vec()
}

fn queue_message(index: usize, bytes: Vec<u8>) -> QueueMessage {
    QueueMessage { id: format!("{index:032x}"), sent_ms: NOW_MS, attempts: 1, body: MessageBody::Bytes(bytes) }
}

/// What the peer's Worker queues after one resolve.
pub(crate) fn take_peer_log(latency_micros: u32, reasons: &[i32]) -> WriteFlagLogsRequest {
    let mut log = PEER_LOG.take();
    let reasons: Vec<ResolveReason> = reasons.iter().map(|reason| ResolveReason::try_from(*reason).unwrap()).collect();
    let mut telemetry = build_request_telemetry(Some(latency_micros), &reasons);
    telemetry.sdk = Some(sdk());
    log.telemetry_data = Some(telemetry);
    log
}

/// As the peer's Worker encodes it.
pub(crate) fn peer_message(log: &WriteFlagLogsRequest) -> String {
    serde_json::to_string(log).unwrap()
}
