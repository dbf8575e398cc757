//! The Durable Object: wires [`crate::ledger`] to SQLite, alarm and KV.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    time::Duration,
};

use js_sys::{Function, Reflect};
use tributary_proto::{
    Message as _,
    envelope::StreamId,
    v1::{CommitResponse, commit_response::Verdict},
};
use wasm_bindgen::{JsCast as _, JsValue, prelude::Closure};
use worker::{
    DurableObject, Env, Method, Request, Response, ScheduledTime, SqlStorage, SqlStorageValue, State, durable_object,
};

use super::{
    dead_letters, import,
    ledger::{COMMIT_PATH, COPY_PATH, STATE_PATH, TAKE_IN_PATH},
    log,
    runtime::{config, now_ms},
};
use crate::{
    config::{Config, METRICS_KV, OPENMETRICS_KEY, SNAPSHOT_KEY},
    ledger::{
        alarm::{Armed, SOONEST},
        book::Book,
        commit::{Commit, Decision, StreamRow, decide},
        floor::StreamBounds,
        forget::{self, Selection, StreamTable},
        journal::{Journal, Write},
        publish::{self, Schedule, copies},
        shards::{MAIN, status_of_all},
        storage::{self, StorageError, StoredStream},
    },
    limits::{ALARM_WATCHDOG, FORGET_INTERVAL, FORGET_PAUSE, HORIZON, MAX_COMMIT_BYTES, MAX_FORGOTTEN_AT_ONCE},
    otlp::exporter::Timetable,
    scrape::{copy::Publication, options::View},
    self_metrics,
};

mod dead_letters_table;
mod imports_table;
mod otlp;
mod shards;
mod stored;

/// Why the Ledger did not do what it was asked.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{0}")]
    Refused(String),
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error("{0}")]
    Platform(String),
}

impl From<worker::Error> for Failure {
    fn from(error: worker::Error) -> Self {
        Self::Platform(error.to_string())
    }
}

impl From<self_metrics::NotRecorded> for Failure {
    fn from(error: self_metrics::NotRecorded) -> Self {
        Self::Platform(error.to_string())
    }
}

impl From<JsValue> for Failure {
    fn from(error: JsValue) -> Self {
        Self::Platform(format!("{error:?}"))
    }
}

/// The one writer of a cumulative state: that of the installation, or with several queues that of a part of its streams.
#[durable_object(alarm)]
pub struct Ledger {
    state: State,
    env: Env,
    config: Config,
    /// Which ledger this is, once that is known.
    number: Cell<Option<u32>>,
    /// `None` until first used, and after a write that failed: what is in memory is then not what is stored.
    loaded: RefCell<Option<Book>>,
    schedule: Cell<Schedule>,
    timetable: Cell<Timetable>,
    armed: Cell<Armed>,
    /// When streams past the horizon were last looked for and none was left.
    forgot_ms: Cell<u64>,
}

impl DurableObject for Ledger {
    fn new(state: State, env: Env) -> Self {
        let config = config(&env);
        Self {
            state,
            env,
            config,
            number: Cell::new(None),
            loaded: RefCell::new(None),
            schedule: Cell::new(Schedule::default()),
            timetable: Cell::new(Timetable::default()),
            armed: Cell::new(Armed::default()),
            forgot_ms: Cell::new(0),
        }
    }

    async fn fetch(&self, mut request: Request) -> worker::Result<Response> {
        if let Err(failure) = self.identify(&request) {
            log::error("ledger", &serde_json::json!({"why": failure.to_string()}));
            return Response::error(failure.to_string(), 400);
        }
        let answer = match (request.method(), request.path().as_str()) {
            (Method::Post, COMMIT_PATH) => {
                let body = request.bytes().await?;
                self.commit_and_schedule(&body).await
            }
            (Method::Get, STATE_PATH) => match self.take_in_all().await {
                Ok(()) => self.current(),
                Err(failure) => Err(failure),
            },
            (Method::Get, COPY_PATH) => self.copy().map(|(copy, _)| copy),
            (Method::Post, TAKE_IN_PATH) => {
                let body = request.bytes().await?;
                self.take_in_and_schedule(&request, body).await
            }
            (Method::Post, otlp::EXPORT_PATH) => self.export().await,
            (Method::Get, import::PATH) => self.imports(),
            (Method::Post, import::PATH) => {
                let body = request.bytes().await?;
                self.import_and_schedule(&body).await
            }
            (Method::Post, path) if path.starts_with(dead_letters::PREFIX) => {
                let body = request.bytes().await?;
                self.dead_letters(path, &body).await
            }
            _ => Err(Failure::Refused("no such call".into())),
        };
        match answer {
            Ok(bytes) => Response::from_bytes(bytes),
            Err(failure) => {
                log::error("ledger", &serde_json::json!({"why": failure.to_string()}));
                let status = if matches!(failure, Failure::Refused(_)) { 400 } else { 500 };
                Response::error(failure.to_string(), status)
            }
        }
    }

    async fn alarm(&self) -> worker::Result<Response> {
        let now = now_ms();
        let mut schedule = self.schedule.get();
        schedule.alarm_came(now, ALARM_WATCHDOG);
        self.schedule.set(schedule);
        // First of all: an alarm that fails too often is dropped, one that set its successor never is.
        self.set_alarm(now, ALARM_WATCHDOG).await?;
        match self.publish(now).await {
            Ok(()) => self.forget_and_go_on(now).await?,
            Err(failure) => log::error("publish", &serde_json::json!({"why": failure.to_string()})),
        }
        if let Err(failure) = self.export_when_due(now).await {
            log::error("otlp", &serde_json::json!({"why": failure.to_string()}));
        }
        Response::ok("")
    }
}

impl Ledger {
    async fn commit_and_schedule(&self, body: &[u8]) -> Result<Vec<u8>, Failure> {
        let response = self.commit(body)?;
        if response.applied {
            self.schedule_publication().await?;
        }
        Ok(response.encode_to_vec())
    }

    /// Reads, decides and writes without an await: no other request sees a half of it.
    fn commit(&self, body: &[u8]) -> Result<CommitResponse, Failure> {
        if body.len() > MAX_COMMIT_BYTES {
            return Err(Failure::Refused(format!("a commit of {} bytes", body.len())));
        }
        let commit = Commit::decode(body).map_err(|error| Failure::Refused(error.to_string()))?;
        let now = now_ms();
        self.with_loaded(|loaded| {
            let known = self.rows(&commit, &loaded.journal)?;
            let decision = decide(&commit, &known, loaded, now).map_err(|error| Failure::Refused(error.to_string()))?;
            let rows = match decision {
                Decision::Conflict { verdicts } => {
                    return Ok(CommitResponse { applied: false, verdicts: to_wire(&verdicts) });
                }
                Decision::Apply { rows, .. } => rows,
            };
            self.write(&rows, loaded)?;
            let verdicts = vec![Verdict::Fresh; commit.records.len()];
            Ok(CommitResponse { applied: true, verdicts: to_wire(&verdicts) })
        })
    }

    /// The encoded state with its readings, as it is now.
    fn current(&self) -> Result<Vec<u8>, Failure> {
        let now = now_ms();
        self.with_loaded(|loaded| {
            self_metrics::with_readings(&loaded.state, &status_of_all(loaded), now)
                .map(|read| read.encode())
                .map_err(|error| Failure::Platform(error.to_string()))
        })
    }

    /// Sets the alarm, in the place of the one that is set.
    async fn set_alarm(&self, now: u64, wait: Duration) -> worker::Result<()> {
        let wait = wait.max(SOONEST);
        self.armed.set(Armed::after(now, wait));
        self.state.storage().set_alarm(ScheduledTime::from(wait)).await
    }

    async fn schedule_publication(&self) -> Result<(), Failure> {
        let now = now_ms();
        let version = self.version()?;
        let mut schedule = self.schedule.get();
        let alarm = schedule.alarm_after_change(version, now, self.interval());
        self.schedule.set(schedule);
        if let Some(delay) = alarm {
            // One alarm for both: it must not put off an export.
            let delay = self.until_export(now).map_or(delay, |wait| wait.min(delay));
            self.set_alarm(now, delay).await?;
        }
        Ok(())
    }

    /// Writes both copies of the state, and schedules itself again when the state moved on meanwhile. A ledger that is not
    /// the one that publishes tells that one of itself instead.
    ///
    /// The only writer: alarms of one object never overlap, and each put is awaited before the next begins.
    async fn publish(&self, now: u64) -> Result<(), Failure> {
        let mut schedule = self.schedule.get();
        let version = self.version()?;
        if schedule.is_early(now, self.interval()) {
            // The alarm came to forget streams.
            return self.schedule_publication().await;
        }
        if !schedule.is_due(version) {
            schedule.disarmed();
            self.schedule.set(schedule);
            self.armed.set(Armed::default());
            return self.state.storage().delete_alarm().await.map_err(Failure::from);
        }
        schedule.started(now);
        self.schedule.set(schedule);
        let number = self.number()?;
        if number != MAIN {
            return self.tell(number, now).await;
        }
        let copies = self.with_loaded(|loaded| {
            let view = View::of_config(&self.config);
            copies(&loaded.state, &status_of_all(loaded), view, now)
                .map_err(|error| Failure::Platform(error.to_string()))
        })?;
        // One after the other, and each only until the platform has it: together they would be half of what an object has.
        let text = self.put(OPENMETRICS_KEY, copies.openmetrics(), &copies.publication).await;
        let bytes = self.put(SNAPSHOT_KEY, copies.snapshot(), &copies.publication).await;
        drop(copies);
        let written = [(OPENMETRICS_KEY, text.is_ok()), (SNAPSHOT_KEY, bytes.is_ok())];
        let moved_on = self.note_writes(&written, version)?;
        text.and(bytes)?;
        let mut schedule = self.schedule.get();
        schedule.published(if moved_on { version } else { self.version()? });
        self.schedule.set(schedule);
        self.schedule_publication().await
    }

    async fn put(&self, key: &str, copy: Vec<u8>, publication: &Publication) -> Result<(), Failure> {
        publish::check(&copy).map_err(|error| Failure::Platform(format!("{key}: {error}")))?;
        let failed = |error: worker::kv::KvError| Failure::Platform(error.to_string());
        let put = self.env.kv(METRICS_KV)?.put_bytes(key, &copy).map_err(failed)?;
        drop(copy);
        put.metadata(publication.to_string()).map_err(failed)?.execute().await.map_err(failed)
    }

    /// Counts the writes of a publication in the state. That alone is no reason for another publication: it shows in
    /// the next. Returns whether anything else changed since `version`.
    fn note_writes(&self, written: &[(&str, bool)], version: u64) -> Result<bool, Failure> {
        let now = now_ms();
        self.with_loaded(|loaded| {
            let moved_on = loaded.state.version() != version;
            loaded.note(now, |delta| {
                written.iter().try_for_each(|(key, is_written)| self_metrics::kv_write(delta, key, *is_written))
            })?;
            self.write(&BTreeMap::new(), loaded)?;
            Ok(moved_on)
        })
    }

    /// Forgets a slice, and comes back soon where there is more to forget.
    async fn forget_and_go_on(&self, now: u64) -> worker::Result<()> {
        match self.forget(now) {
            Ok(false) => {}
            Ok(true) => {
                let mut schedule = self.schedule.get();
                schedule.alarm_wanted(now, FORGET_PAUSE);
                self.schedule.set(schedule);
                self.set_alarm(now, FORGET_PAUSE).await?;
            }
            Err(failure) => log::error("forget", &serde_json::json!({"why": failure.to_string()})),
        }
        Ok(())
    }

    /// Forgets a slice of the streams that are silent longer than the horizon, or too many. Returns whether there may
    /// be more.
    fn forget(&self, now: u64) -> Result<bool, Failure> {
        let surplus = self.with_loaded(|loaded| Ok(loaded.surplus(&StreamBounds::default())))?;
        if let Some((kind, surplus)) = surplus {
            self.forget_streams(Selection::Oldest { kind, most: surplus.min(MAX_FORGOTTEN_AT_ONCE) }, now)?;
            return Ok(true);
        }
        if now.saturating_sub(self.forgot_ms.get()) < millis(FORGET_INTERVAL) {
            return Ok(false);
        }
        let before_ms = now.saturating_sub(millis(HORIZON));
        let forgotten = self.forget_streams(Selection::Silent { before_ms, most: MAX_FORGOTTEN_AT_ONCE }, now)?;
        let is_more = forgotten >= MAX_FORGOTTEN_AT_ONCE;
        if !is_more {
            self.forgot_ms.set(now);
        }
        Ok(is_more)
    }

    /// Forgets streams; returns how many.
    fn forget_streams(&self, selection: Selection, now: u64) -> Result<u64, Failure> {
        self.with_loaded(|loaded| forget::forget(loaded, &mut Table(self), selection, now))
    }

    fn version(&self) -> Result<u64, Failure> {
        self.with_loaded(|loaded| Ok(loaded.state.version()))
    }

    /// Runs `work` on what is in memory, loading it first; forgets it where `work` fails, since it may have changed
    /// what could not be written.
    fn with_loaded<T>(&self, work: impl FnOnce(&mut Book) -> Result<T, Failure>) -> Result<T, Failure> {
        let mut loaded = match self.loaded.take() {
            Some(loaded) => loaded,
            None => self.load()?,
        };
        let result = work(&mut loaded);
        if result.is_ok() {
            self.loaded.replace(Some(loaded));
        }
        result
    }

    fn rows(&self, commit: &Commit, journal: &Journal) -> Result<BTreeMap<StreamId, StreamRow>, Failure> {
        let mut known = BTreeMap::new();
        let mut others = Vec::new();
        for stream_id in commit.streams() {
            match journal.row(&stream_id) {
                Some(row) => drop(known.insert(stream_id, row.clone())),
                None => others.push(stream_id),
            }
        }
        if !others.is_empty() {
            let ids = SqlStorageValue::String(storage::encode_ids(&others));
            let stored: Vec<StoredStream> = self.sql().exec(storage::SELECT_STREAMS, vec![ids])?.to_array()?;
            for row in &stored {
                let (stream_id, row) = storage::decode_row(row)?;
                known.insert(stream_id, row);
            }
        }
        Ok(known)
    }

    fn write(&self, rows: &BTreeMap<StreamId, StreamRow>, book: &mut Book) -> Result<(), Failure> {
        self.transaction(stored::statements(book.write(rows))?)
    }

    fn sql(&self) -> SqlStorage {
        self.state.storage().sql()
    }

    /// `transactionSync`, which `worker` does not wrap: all of the statements, or none where one fails. Without it an
    /// error after a write would keep the write.
    fn transaction(&self, statements: impl IntoIterator<Item = Statement> + 'static) -> Result<(), Failure> {
        let storage = self.state.storage();
        let storage: &JsValue = storage.as_raw().as_ref();
        let transaction: Function = Reflect::get(storage, &"transactionSync".into())?.dyn_into()?;
        let sql = self.sql();
        let run = Closure::once_into_js(move || -> Result<(), JsValue> {
            statements
                .into_iter()
                .try_for_each(|(text, values)| sql.exec(text, values).map(drop).map_err(JsValue::from))
        });
        transaction.call1(storage, &run)?;
        Ok(())
    }
}

/// The Ledger's streams in its SQLite.
struct Table<'a>(&'a Ledger);

impl StreamTable for Table<'_> {
    type Error = Failure;

    fn fold(&mut self, fold: Write) -> Result<(), Failure> {
        self.0.transaction(stored::statements(fold)?)
    }

    fn select(&mut self, statement: &'static str, parameters: [u64; 2]) -> Result<Vec<StoredStream>, Failure> {
        let values = parameters.into_iter().map(integer).collect::<Result<Vec<_>, _>>()?;
        Ok(self.0.sql().exec(statement, values)?.to_array()?)
    }

    fn delete(&mut self, ids: String, write: Write) -> Result<(), Failure> {
        let mut statements = vec![(storage::DELETE_STREAMS, vec![SqlStorageValue::String(ids)])];
        statements.append(&mut stored::statements(write)?);
        self.0.transaction(statements)
    }
}

/// A statement and its parameters.
type Statement = (&'static str, Vec<SqlStorageValue>);

fn to_wire(verdicts: &[Verdict]) -> Vec<i32> {
    verdicts.iter().map(|verdict| i32::from(*verdict)).collect()
}

fn integer(value: u64) -> Result<SqlStorageValue, Failure> {
    i64::try_from(value).map(SqlStorageValue::Integer).map_err(|error| Failure::Platform(error.to_string()))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
