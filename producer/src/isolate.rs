//! Everything that lives longer than a request: configuration, resolver state, flusher. One per isolate, shared by its
//! requests, never truth: it can vanish at any time, and what the queue has is what counts.
//!
//! No I/O object is ever kept here; those belong to the request that made them. No borrow is held across a wait.

use std::cell::{OnceCell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use confidence_resolver::telemetry::build_request_telemetry;
use serde_json::Value;
use tributary_emitter::{outbox::Attempt, queues::Queues, source};
use tributary_proto::envelope::{COLO, ENVIRONMENT, MAX_DIMENSION_BYTES, StreamId};
use tributary_proto::flag_logs::{Sdk, SdkId, sdk};

use crate::config::Config;
use crate::entropy::{self, EntropyError};
use crate::flusher::{Flusher, Identity, LeaseId, Readings, Role};
use crate::fragment::cut;
use crate::host;
use crate::limits::MAX_FRAGMENT_BYTES;
use crate::log::{self, Level};
use crate::materializations::recent::Recent;
use crate::metrics;
use crate::recorder::Observation;
use crate::state::StateCache;

/// The state of one isolate.
#[derive(Debug)]
pub struct Isolate {
    /// What the environment configures.
    pub config: Config,
    /// The resolver state.
    pub state: RefCell<StateCache>,
    /// The deltas on their way.
    pub flusher: RefCell<Flusher>,
    /// Where they go.
    pub queues: RefCell<Queues>,
    /// What was assigned a moment ago; `None` where there is no store for sticky assignments.
    pub assignments: Option<RefCell<Recent>>,
}

thread_local! {
    static ISOLATE: OnceCell<Rc<Isolate>> = const { OnceCell::new() };
}

/// The isolate, made at the first request: there is no randomness, no clock and no environment before. `lookup` reads
/// the environment; `colo` says which data centre this is, where that is known, `has_store` whether sticky assignments can
/// be kept.
///
/// # Errors
/// [`EntropyError`]; the next request tries again.
pub fn get(
    lookup: impl Fn(&str) -> Option<String>,
    colo: impl FnOnce() -> Option<String>,
    has_store: impl FnOnce() -> bool,
) -> Result<Rc<Isolate>, EntropyError> {
    ISOLATE.with(|cell| {
        if let Some(isolate) = cell.get() {
            return Ok(Rc::clone(isolate));
        }
        let mut isolate = Isolate::new(lookup, colo())?;
        isolate.assignments = has_store().then(RefCell::default);
        metrics::declare(&isolate.config.resolver_id, isolate.assignments.is_some());
        let isolate = Rc::new(isolate);
        Ok(Rc::clone(cell.get_or_init(|| isolate)))
    })
}

impl Isolate {
    /// A fresh isolate without a store for sticky assignments: parses the configuration (and logs its problems, once), draws the stream id, and seeds the
    /// resolver crate's generator, which otherwise starts alike in every isolate and would draw the same resolve ids.
    ///
    /// # Errors
    /// [`EntropyError`].
    pub fn new(lookup: impl Fn(&str) -> Option<String>, colo: Option<String>) -> Result<Self, EntropyError> {
        let stream_id = StreamId(entropy::bytes()?);
        confidence_resolver::seed_rng(u64::from_le_bytes(entropy::bytes()?));
        let (config, problems) = Config::parse(lookup);
        for problem in problems {
            log::write(Level::Error, "configuration", &[("message", Value::from(problem.to_string()))]);
        }
        let identity = Identity {
            stream_id,
            ledgers: config.queue_shards,
            resolver_id: config.resolver_id.clone(),
            dimensions: [(COLO, colo), (ENVIRONMENT, config.environment.clone())]
                .into_iter()
                .filter_map(|(name, value)| Some((name.to_owned(), value?)))
                .filter(|(_, value)| !value.is_empty() && value.len() <= MAX_DIMENSION_BYTES)
                .collect::<BTreeMap<_, _>>(),
            sdk: Sdk {
                sdk: Some(sdk::Sdk::Id(i32::from(SdkId::CloudflareResolver))),
                version: env!("CARGO_PKG_VERSION").to_owned(),
            },
            resolver_version: build_request_telemetry(None, &[]).resolver_version,
        };
        let queues = RefCell::new(Queues::new(stream_id, config.queue_shards));
        let flusher = RefCell::new(Flusher::new(identity));
        Ok(Self { config, state: RefCell::default(), flusher, queues, assignments: None })
    }

    /// Takes in what a request left behind and says what its `waitUntil` has to do. `deferred_micros` is the later clock
    /// reading of [`crate::recorder::latency_micros`]; an apply has no observation.
    pub fn record(&self, now_ms: u64, observation: Option<(&Observation, u64)>) -> Role {
        let mut flusher = self.flusher.borrow_mut();
        if let Some((observation, deferred_micros)) = observation {
            flusher.observe(observation.latency_micros(deferred_micros), &observation.reasons);
        }
        flusher.push(now_ms, host::pending_assignments(), self.config.flush_interval_ms)
    }

    /// Seals everything pending and takes what is to be sent: one synchronous step.
    pub fn seal_and_take(&self, now_ms: u64, memory_bytes: Option<u64>, lease: Option<LeaseId>) -> Attempt {
        let drained = host::drain();
        let cut = cut(drained.logs, MAX_FRAGMENT_BYTES);
        let state_changed_ms = self.state.borrow().current().map(|state| state.changed_ms);
        let losses = [
            ("schemas_left_out", drained.schemas_left_out),
            ("oversize_assignments", cut.oversize_assignments),
            ("oversize_records", cut.oversize_records),
        ];
        let wants_points = self.flusher.borrow().wants_points();
        let collected = if wants_points { source::collect() } else { source::Collected::default() };
        let recorded = tributary_emitter::drain();
        let invalid = recorded.invalid.saturating_add(collected.invalid);
        let limited = recorded.limited.saturating_add(collected.limited);
        if invalid > 0 || limited > 0 {
            let fields = [("invalid", invalid), ("limited", limited)];
            log::write(Level::Warn, "recordings_dropped", &fields.map(|(name, n)| (name, Value::from(n))));
        }
        let mut flusher = self.flusher.borrow_mut();
        flusher.add_points(collected);
        flusher.add_metrics(recorded);
        let sealed = flusher.seal(now_ms, cut, Readings { memory_bytes, state_changed_ms }, lease);
        let losses = losses.into_iter().chain([("assignments_given_up", sealed.assignments_given_up)]);
        let fields: Vec<_> = losses.filter(|(_, n)| *n > 0).map(|(name, n)| (name, Value::from(n))).collect();
        if !fields.is_empty() {
            log::write(Level::Warn, "flag_logs_left_out", &fields);
        }
        if sealed.held_back {
            log::write(Level::Warn, "outbox_full", &[]);
        }
        if let Some(error) = sealed.error {
            log::write(Level::Error, "seal_failed", &[("message", Value::from(error.to_string()))]);
        }
        flusher.take(now_ms)
    }
}

#[cfg(test)]
mod tests;
