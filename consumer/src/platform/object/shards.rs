//! Several ledgers: [`crate::ledger::shards`] wired to SQLite and to calls between the objects.
//!
//! An object learns its number with the first call that names one and keeps it: alarms come without. Ledger 0 is the
//! object that was never told a number, so an installation with one ledger knows nothing of this.

use std::{collections::BTreeMap, time::Duration};

use futures::future::join_all;
use tributary_proto::envelope::MAX_LEDGERS;
use tributary_telemetry::Capacity;
use worker::{Request, SqlStorageValue};

use super::{Failure, Ledger, integer};
use crate::{
    ledger::{
        shards::{self, LedgerCopy, MAIN, Taken, take_in},
        storage::StorageError,
    },
    limits::{MAX_COPY_BYTES, MIN_PUBLISH_INTERVAL, PULL_TIMEOUT},
    platform::{
        ledger::{self as caller, COPY_PATH, LEDGER_PARAMETER, TAKE_IN_PATH},
        log,
        runtime::{now_ms, within},
    },
    target::Target,
};

impl Ledger {
    /// The number of this ledger.
    pub(super) fn number(&self) -> Result<u32, Failure> {
        if let Some(number) = self.number.get() {
            return Ok(number);
        }
        self.create_ledger_tables()?;
        let number = match self.sql().exec(shards::SELECT_NUMBER, None)?.raw().next() {
            None => MAIN,
            Some(row) => match row?.first() {
                Some(SqlStorageValue::Integer(number)) => u32::try_from(*number).unwrap_or(u32::MAX),
                _ => return Err(Failure::Storage(StorageError::Checksum)),
            },
        };
        self.number.set(Some(number));
        Ok(number)
    }

    /// How much its state may hold.
    pub(super) fn capacity(&self) -> Result<Capacity, Failure> {
        Ok(shards::capacity(self.number()?, self.config.created))
    }

    /// True for the ledger that publishes.
    pub(super) fn is_main(&self) -> bool {
        self.number().is_ok_and(|number| number == MAIN)
    }

    /// Takes the number that a call names. One that holds anything already keeps what it is.
    pub(super) fn identify(&self, request: &Request) -> Result<(), Failure> {
        let named = parameter(request, LEDGER_PARAMETER).map_or(Ok(MAIN), |number| number.parse());
        let Some(named) = named.ok().filter(|number| *number < MAX_LEDGERS) else {
            return Err(Failure::Refused("no ledger has this number".to_owned()));
        };
        let number = self.number()?;
        if number == named {
            return Ok(());
        }
        if number != MAIN || self.loaded.borrow().is_some() || self.has_state()? {
            return Err(Failure::Refused(format!("a call for ledger {named} came to ledger {number}")));
        }
        self.sql().exec(shards::INSERT_NUMBER, vec![integer(named.into())?])?;
        self.number.set(Some(named));
        Ok(())
    }

    /// How long this ledger waits between two publications; for the others, between telling ledger 0 of themselves. They do it
    /// twice as often, so that what they count is not two intervals behind.
    pub(super) fn interval(&self) -> Duration {
        let interval = self.config.publish_interval;
        if self.is_main() { interval } else { (interval / 2).max(MIN_PUBLISH_INTERVAL) }
    }

    /// What this ledger tells of itself, and the version of the state in it.
    pub(super) fn copy(&self) -> Result<(Vec<u8>, u64), Failure> {
        self.with_loaded(|loaded| Ok((LedgerCopy::encode(loaded), loaded.state.version())))
    }

    /// Tells ledger 0. Where that fails the alarm comes again with the interval: what was not told is in the next copy.
    pub(super) async fn tell(&self, number: u32, now: u64) -> Result<(), Failure> {
        let (copy, version) = self.copy()?;
        let told = within(PULL_TIMEOUT, caller::tell(&self.env, TAKE_IN_PATH, number, copy)).await;
        let failure = match told {
            Some(Ok(_)) => None,
            Some(Err(error)) => Some(error.to_string()),
            None => Some(format!("no answer within {PULL_TIMEOUT:?}")),
        };
        let mut schedule = self.schedule.get();
        if let Some(failure) = failure {
            let interval = self.interval();
            schedule.alarm_wanted(now, interval);
            self.schedule.set(schedule);
            self.set_alarm(now, interval).await?;
            return Err(Failure::Platform(format!("ledger {number} cannot tell ledger 0 what it counted: {failure}")));
        }
        schedule.published(version);
        self.schedule.set(schedule);
        self.schedule_publication().await
    }

    /// Takes in what another ledger tells, and publishes it.
    pub(super) async fn take_in_and_schedule(&self, request: &Request, body: Vec<u8>) -> Result<Vec<u8>, Failure> {
        let from = parameter(request, caller::FROM_PARAMETER).and_then(|number| number.parse().ok());
        let from = from.filter(|number| shards::is_other(*number));
        let Some(from) = from else { return Err(Failure::Refused("no ledger has this number".to_owned())) };
        if self.take_in(from, body)? {
            self.schedule_publication().await?;
        }
        Ok(Vec::new())
    }

    /// Reads, decides and writes without an await. Returns whether anything changed.
    fn take_in(&self, from: u32, body: Vec<u8>) -> Result<bool, Failure> {
        if body.len() > MAX_COPY_BYTES {
            return Err(Failure::Refused(format!("a copy of {} bytes", body.len())));
        }
        let copy = LedgerCopy::decode(&body).map_err(|error| Failure::Refused(error.to_string()))?;
        let now = now_ms();
        self.with_loaded(|loaded| {
            let is_new = !loaded.others.contains_key(&from);
            let is_taken = take_in(loaded, from, copy, now)?;
            if is_taken {
                let checksum = integer(crc32fast::hash(&body).into())?;
                let values = vec![integer(from.into())?, checksum, integer(now)?, SqlStorageValue::Blob(body)];
                self.write_book(loaded, vec![(shards::UPSERT, values)])?;
                if is_new {
                    log::warn("ledger_joined", &serde_json::json!({"ledger": from}));
                }
            }
            Ok(is_taken)
        })
    }

    /// Takes in what every known ledger has now. One that does not answer stays as it was.
    pub(super) async fn take_in_all(&self) -> Result<(), Failure> {
        let others: Vec<u32> = self.with_loaded(|loaded| Ok(loaded.others.keys().copied().collect()))?;
        let copies = others.iter().map(|number| async {
            let copy = within(PULL_TIMEOUT, caller::ask(&self.env, COPY_PATH, *number)).await;
            (*number, copy)
        });
        for (number, copy) in join_all(copies).await {
            let why = match copy {
                Some(Ok(copy)) => match self.take_in(number, copy) {
                    Ok(_) => continue,
                    Err(failure) => failure.to_string(),
                },
                Some(Err(error)) => error.to_string(),
                None => format!("no answer within {PULL_TIMEOUT:?}"),
            };
            log::warn("ledger_behind", &serde_json::json!({"ledger": number, "why": why}));
        }
        Ok(())
    }

    /// The copies that are in the state.
    pub(super) fn stored_others(&self) -> Result<BTreeMap<u32, Taken>, Failure> {
        self.create_ledger_tables()?;
        let corrupt = || Failure::Storage(StorageError::Checksum);
        let mut others = BTreeMap::new();
        for row in self.sql().exec(shards::SELECT, None)?.raw() {
            let [
                SqlStorageValue::Integer(number),
                SqlStorageValue::Integer(checksum),
                SqlStorageValue::Integer(taken_ms),
                SqlStorageValue::Blob(copy),
            ] = <[SqlStorageValue; 4]>::try_from(row?).map_err(|_| corrupt())?
            else {
                return Err(corrupt());
            };
            // One that does not read back stops the Ledger: to begin anew would count all of it twice.
            if i64::from(crc32fast::hash(&copy)) != checksum {
                return Err(corrupt());
            }
            let number = u32::try_from(number).map_err(|_| corrupt())?;
            let taken_ms = u64::try_from(taken_ms).map_err(|_| corrupt())?;
            others.insert(number, Taken { copy: LedgerCopy::decode(&copy)?, taken_ms });
        }
        Ok(others)
    }

    fn create_ledger_tables(&self) -> Result<(), Failure> {
        for statement in shards::CREATE {
            self.sql().exec(statement, None)?;
        }
        Ok(())
    }
}

/// A parameter of a call. The URL is read without `worker`'s parser, which is larger than all of this: see [`Target`].
fn parameter(request: &Request, name: &str) -> Option<String> {
    let url = request.inner().url();
    Target::read(&url).pairs().find_map(|(key, value)| (key == name).then_some(value))
}
