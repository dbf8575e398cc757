//! What was assigned anew, after the response.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use confidence_resolver::proto::confidence::flags::resolver::v1::MaterializationRecord;
use futures::StreamExt as _;
use futures::stream;

use super::key::{inclusion, key_of, value_of};
use super::read::look_up;
use super::recent::Recent;
use super::{Seen, Store, within};
use crate::limits::{
    MAX_WRITE_RECORDS, WRITE_BACKOFF_MS, WRITE_READ_TIMEOUT_MS, WRITE_TIME_MS, WRITE_TIMEOUT_MS, WRITES_SIDE_BY_SIDE,
};

/// One value to store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// Its key.
    pub key: String,
    /// The value.
    pub value: String,
    /// Whether this resolve read the key, so that it is known to have something else or nothing.
    pub was_read: bool,
}

/// What has to be stored of a resolve.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// At most [`MAX_WRITE_RECORDS`], none twice.
    pub writes: Vec<Write>,
    /// Records that are stored already, or about to be.
    pub unchanged: u64,
    /// Records past the bound.
    pub too_many: u64,
}

/// How the records of a resolve ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Stored.
    pub written: u64,
    /// Not written, because they were there.
    pub unchanged: u64,
    /// Given up. The next resolve of the unit assigns it again.
    pub failed: u64,
    /// What the last failure said.
    pub failure: Option<String>,
}

/// Plans the writes of a resolve that assigned `assigned` and had read `seen`, and remembers them as assigned. `included`
/// names the materializations for which some segment asks whether a unit is in them.
pub fn plan(
    assigned: Vec<MaterializationRecord>,
    seen: &Seen,
    included: &BTreeSet<String>,
    recent: &mut Recent,
    now_ms: u64,
) -> Plan {
    let mut values: BTreeMap<String, String> = BTreeMap::new();
    // A rule that reads and does not write has no name to write to, and the resolver reports its assignments all the same.
    for record in assigned.into_iter().filter(|record| !record.materialization.is_empty()) {
        // Who was assigned under a rule is in its materialization: so the resolver takes it, where it has both records.
        if included.contains(&record.materialization) {
            let inclusion = inclusion(&record);
            values.insert(key_of(&inclusion), value_of(&inclusion).to_owned());
        }
        values.insert(key_of(&record), value_of(&record).to_owned());
    }
    let mut plan = Plan::default();
    for (key, value) in values {
        let is_stored = seen.get(&key).is_some_and(|stored| stored.as_deref() == Some(value.as_str()));
        if is_stored || recent.get(&key, now_ms) == Some(value.as_str()) {
            plan.unchanged = plan.unchanged.saturating_add(1);
        } else if plan.writes.len() >= MAX_WRITE_RECORDS {
            plan.too_many = plan.too_many.saturating_add(1);
        } else {
            recent.insert(&key, &value, now_ms);
            plan.writes.push(Write { was_read: seen.contains_key(&key), key, value });
        }
    }
    plan
}

/// Stores what was planned. What this resolve did not read is read first: a rule that only writes reports the same
/// assignment with every resolve.
pub async fn store(store: &impl Store, recent: &RefCell<Recent>, plan: Plan, ttl_secs: Option<u64>) -> Outcome {
    let give_up_ms = store.now_ms().saturating_add(WRITE_TIME_MS);
    let Plan { writes, unchanged, too_many } = plan;
    let mut outcome = Outcome { unchanged, failed: too_many, ..Outcome::default() };
    if too_many > 0 {
        outcome.failure = Some(format!("a resolve assigned more than {MAX_WRITE_RECORDS} records"));
    }
    let unread: Vec<String> = writes.iter().filter(|write| !write.was_read).map(|write| write.key.clone()).collect();
    // Where this read fails, the write does no harm.
    let stored = match within(store, WRITE_READ_TIMEOUT_MS, look_up(store, &unread)).await {
        Some(Ok(stored)) => stored,
        Some(Err(_)) | None => Seen::new(),
    };
    let (there, missing): (Vec<_>, Vec<_>) = writes.into_iter().partition(|write| {
        stored.get(&write.key).is_some_and(|stored| stored.as_deref() == Some(write.value.as_str()))
    });
    outcome.unchanged = outcome.unchanged.saturating_add(u64::try_from(there.len()).unwrap_or(u64::MAX));
    let mut results = stream::iter(missing.into_iter().map(|write| async move {
        let result = put(store, &write, ttl_secs, give_up_ms).await;
        (write, result)
    }))
    .buffer_unordered(WRITES_SIDE_BY_SIDE);
    while let Some((Write { key, value, .. }, result)) = results.next().await {
        match result {
            Ok(()) => outcome.written = outcome.written.saturating_add(1),
            Err(failure) => {
                recent.borrow_mut().forget(&key, &value);
                outcome.failed = outcome.failed.saturating_add(1);
                outcome.failure = Some(failure);
            }
        }
    }
    outcome
}

/// Writes one value: a few tries, none begun that would not end before the runtime ends the Worker.
async fn put(store: &impl Store, write: &Write, ttl_secs: Option<u64>, give_up_ms: u64) -> Result<(), String> {
    let mut waits = WRITE_BACKOFF_MS.iter();
    let mut failure = "out of time".to_owned();
    loop {
        if store.now_ms().saturating_add(WRITE_TIMEOUT_MS) > give_up_ms {
            return Err(failure);
        }
        match within(store, WRITE_TIMEOUT_MS, store.put(&write.key, &write.value, ttl_secs)).await {
            Some(Ok(())) => return Ok(()),
            Some(Err(error)) => failure = error,
            None => failure = format!("no answer within {WRITE_TIMEOUT_MS} ms"),
        }
        match waits.next() {
            Some(wait_ms) => store.wait(*wait_ms).await,
            None => return Err(failure),
        }
    }
}
