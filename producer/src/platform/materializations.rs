//! Sticky assignments on KV: wires [`crate::materializations`] to the runtime.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use confidence_resolver::Host;
use confidence_resolver::proto::confidence::flags::resolver::v1::MaterializationRecord;
use serde_json::Value;
use worker::kv::KvStore;
use worker::{Delay, Env};

use crate::clock;
use crate::config::MATERIALIZATIONS_KV_BINDING;
use crate::error::{ApiError, without_quoted};
use crate::isolate::Isolate;
use crate::limits::KV_CACHE_TTL_SECS;
use crate::log::{self, Level};
use crate::materializations::read::{ReadError, Records, read};
use crate::materializations::recent::Recent;
use crate::materializations::write::{Outcome, plan, store};
use crate::materializations::{Seen, Store};
use crate::metrics;
use crate::resolve::{Resolved, Suspended};
use crate::state::LoadedState;

/// The namespace, for the request that it belongs to.
struct Kv(KvStore);

impl Kv {
    fn new(env: &Env) -> Result<Self, String> {
        env.kv(MATERIALIZATIONS_KV_BINDING).map(Self).map_err(|error| error.to_string())
    }
}

impl Store for Kv {
    async fn get(&self, keys: &[String]) -> Result<BTreeMap<String, Option<String>>, String> {
        let values = self.0.get_bulk(keys).cache_ttl(KV_CACHE_TTL_SECS).text().await;
        values.map(|values| values.into_iter().collect()).map_err(|error| error.to_string())
    }

    async fn put(&self, key: &str, value: &str, ttl_secs: Option<u64>) -> Result<(), String> {
        let put = self.0.put(key, value).map_err(|error| error.to_string())?;
        let put = match ttl_secs {
            Some(ttl_secs) => put.expiration_ttl(ttl_secs),
            None => put,
        };
        put.execute().await.map_err(|error| error.to_string())
    }

    async fn wait(&self, milliseconds: u64) {
        Delay::from(Duration::from_millis(milliseconds)).await;
    }

    fn now_ms(&self) -> u64 {
        clock::epoch_ms()
    }
}

/// Reads what a resolve asks for and lets it go on: with it, or without any where it cannot be read.
///
/// # Errors
/// Those of the resolver.
pub(super) async fn go_on<H: Host>(
    suspended: Box<Suspended<'_, H>>,
    isolate: &Isolate,
    recent: &RefCell<Recent>,
    env: &Env,
) -> Result<(Resolved, Seen), ApiError> {
    let resolver_id = &isolate.config.resolver_id;
    let records = match Kv::new(env) {
        Ok(kv) => read(&kv, recent, &suspended.asked).await,
        Err(error) => Err(ReadError::Failed(error)),
    };
    let asked = suspended.asked.len();
    match records {
        Ok(Records { found, seen }) => {
            metrics::read(resolver_id, found.len(), asked.saturating_sub(found.len()));
            Ok((suspended.resume(found)?, seen))
        }
        Err(error) => {
            metrics::read_failed(resolver_id, asked);
            let message = without_quoted(&error.to_string());
            let fields = [("records", Value::from(asked)), ("message", Value::from(message))];
            log::write(Level::Error, "materialization_read", &fields);
            Ok((suspended.give_up()?, Seen::new()))
        }
    }
}

/// Stores what a resolve assigned, and counts what became of it. What is given up is logged by number: the keys hold who was
/// assigned.
pub(super) async fn keep(
    assigned: Vec<MaterializationRecord>,
    seen: Seen,
    isolate: &Isolate,
    state: Rc<LoadedState>,
    env: &Env,
) {
    let Some(recent) = &isolate.assignments else { return };
    let plan = plan(assigned, &seen, &state.included, &mut recent.borrow_mut(), clock::epoch_ms());
    let outcome = match Kv::new(env) {
        Ok(kv) => store(&kv, recent, plan, isolate.config.materialization_ttl_secs).await,
        Err(error) => {
            let failed = u64::try_from(plan.writes.len()).unwrap_or(u64::MAX).saturating_add(plan.too_many);
            Outcome { unchanged: plan.unchanged, failed, failure: Some(error), ..Outcome::default() }
        }
    };
    metrics::wrote(&isolate.config.resolver_id, &outcome);
    if outcome.failed > 0 {
        let message = without_quoted(&outcome.failure.unwrap_or_default());
        let fields = [("records", Value::from(outcome.failed)), ("message", Value::from(message))];
        log::write(Level::Error, "materialization_write", &fields);
    }
}
