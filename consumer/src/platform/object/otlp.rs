//! The push, beside everything else that the Ledger does: [`crate::otlp`] wired to SQLite, alarm and fetch.
//!
//! The alarm only calls the object itself and does not wait for the answer, so that a collector that hangs delays
//! neither the next publication nor a commit.

use std::time::Duration;

use tributary_proto::Message as _;
use tributary_telemetry::{
    Snapshot,
    otlp::{Export, OtlpOptions, export::Requests, requests::MAX_REQUEST_BYTES},
};
use worker::{Method, Request, RequestInit, SqlStorageValue};

use super::{Failure, Ledger, Statement, integer};
use crate::{
    config::{LEDGER, LEDGER_NAME},
    ledger::{book::Book, shards::status_of_all},
    limits::ALARM_WATCHDOG,
    otlp::{
        config::{OtlpConfig, Temporality},
        exporter::{End, MAX_RUN, Outbox, OutboxFailure, Report, send_parts, send_totals},
        metrics,
        queue::{self, Exported, Head, MAX_PIECE_BYTES, Part, Piece, next_window},
    },
    platform::{
        collector::HttpCollector,
        log,
        runtime::{now_ms, random, within},
    },
    self_metrics,
};

/// Path of an export.
pub(crate) const EXPORT_PATH: &str = "/export";

impl Ledger {
    /// How long until an export has to be asked for; `None` without an endpoint, and while one is running.
    pub(super) fn until_export(&self, now: u64) -> Option<Duration> {
        self.pushes().then(|| self.timetable.get().next(now)).flatten()
    }

    /// True where there is an endpoint, and this is the ledger that knows all totals.
    fn pushes(&self) -> bool {
        self.config.otlp.is_some() && self.is_main()
    }

    /// Asks for an export if one is due, and sees to it that another alarm comes.
    pub(super) async fn export_when_due(&self, now: u64) -> Result<(), Failure> {
        if !self.pushes() {
            return Ok(());
        }
        if let Some(wait) = self.until_export(now).filter(|wait| *wait > Duration::ZERO) {
            return self.arm(now, wait).await;
        }
        // The export sets the next alarm when it ends. This one comes where it never does.
        self.arm(now, ALARM_WATCHDOG).await?;
        let mut timetable = self.timetable.get();
        if timetable.next(now).is_none() {
            return Ok(());
        }
        timetable.asked(now, ALARM_WATCHDOG);
        self.timetable.set(timetable);
        let stub = self.env.durable_object(LEDGER)?.get_by_name(LEDGER_NAME)?;
        let mut init = RequestInit::new();
        init.with_method(Method::Post);
        let request = Request::new_with_init(&format!("https://ledger{EXPORT_PATH}"), &init)?;
        self.state.wait_until(async move {
            if let Err(error) = stub.fetch_with_request(request).await {
                log::error("otlp", &serde_json::json!({"why": error.to_string()}));
            }
        });
        Ok(())
    }

    /// Sets the alarm, unless one is set that comes sooner. Nothing happens between the look and the setting: the end of
    /// an export and an alarm come here at the same time.
    async fn arm(&self, now: u64, wait: Duration) -> Result<(), Failure> {
        if let Some(wait) = self.armed.get().wanted(now, wait) {
            self.set_alarm(now, wait).await?;
        }
        Ok(())
    }

    /// Runs an export to its end.
    pub(super) async fn export(&self) -> Result<Vec<u8>, Failure> {
        let Some(config) = &self.config.otlp else { return Ok(Vec::new()) };
        let began = now_ms();
        let mut timetable = self.timetable.get();
        let is_begun = timetable.begin(began);
        self.timetable.set(timetable);
        if !is_begun {
            return Ok(Vec::new());
        }
        let result = within(MAX_RUN, self.run(config, began)).await.unwrap_or_else(|| {
            // What was taken meanwhile is known where it matters: parts that were taken are gone.
            Ok(Report { end: End::Unavailable { after: None }, ..Report::default() })
        });
        let now = now_ms();
        let end = result.as_ref().map_or(End::Unavailable { after: None }, |report| report.end);
        let mut timetable = self.timetable.get();
        timetable.ended(end, began, now, config.interval, random());
        self.timetable.set(timetable);
        let wait = timetable.next(now).unwrap_or(config.interval);
        self.arm(now, wait).await?;
        let took = Duration::from_millis(now.saturating_sub(began));
        let report = match result {
            Ok(report) => report,
            Err(failure) => {
                self.note_export(&Report::not_sent(), took, now)?;
                self.schedule_publication().await?;
                return Err(failure);
            }
        };
        let is_whole = report.end == End::Done && report.rejected == 0 && report.dropped == 0;
        if !is_whole || !report.message.is_empty() {
            log::warn(
                "otlp",
                &serde_json::json!({
                    "end": format!("{:?}", report.end), "status": report.status, "rejected": report.rejected,
                    "dropped": report.dropped, "collector_said": report.message,
                }),
            );
        }
        self.note_export(&report, took, now)?;
        if !is_whole {
            // What went well is published with the next alarm; what did not shows at once.
            self.schedule_publication().await?;
        }
        Ok(Vec::new())
    }

    async fn run(&self, config: &OtlpConfig, now: u64) -> Result<Report, Failure> {
        let collector = HttpCollector::new(config);
        let options = OtlpOptions {
            resource: config.resource.clone(),
            histograms: config.histograms,
            scope_version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        match config.temporality {
            Temporality::Cumulative => {
                let requests = self.with_loaded(|loaded| {
                    let export = Export::Cumulative { state: &read(loaded, now)?, time_ms: now };
                    Ok(Requests::new(export, &options, MAX_REQUEST_BYTES))
                })?;
                Ok(send_totals(requests, &collector).await)
            }
            Temporality::Delta => {
                self.make_window(&options, now)?;
                send_parts(self, &collector).await.map_err(|failure| Failure::Platform(failure.to_string()))
            }
        }
    }

    /// Makes the next window where the one before has reached the collector.
    fn make_window(&self, options: &OtlpOptions, now: u64) -> Result<(), Failure> {
        self.create_tables()?;
        if self.part_behind(0)?.is_some() {
            return Ok(());
        }
        let exported = self.exported()?;
        self.with_loaded(|loaded| {
            let state = read(loaded, now)?;
            let exported = exported.unwrap_or_else(|| Exported::nothing_of(&state));
            let Some((parts, next)) = next_window(&exported, &state, options, MAX_REQUEST_BYTES, now) else {
                return Ok(());
            };
            // Each is made when it is written: all at once would be as long as the state, twice.
            let parts = parts.map(|request| insert(request.encode_to_vec()));
            self.transaction(parts.chain(exported_statements(&next)?))
        })
    }

    fn create_tables(&self) -> Result<(), Failure> {
        for statement in queue::CREATE {
            self.sql().exec(statement, None)?;
        }
        Ok(())
    }

    /// The state that was exported last, also where deltas were never asked for.
    pub(super) fn exported_or_none(&self) -> Result<Option<Exported>, Failure> {
        self.create_tables()?;
        self.exported()
    }

    /// The state that was exported last. One that does not read back stops the push and shows: to begin anew would
    /// count everything twice.
    fn exported(&self) -> Result<Option<Exported>, Failure> {
        let Some(row) = self.sql().exec(queue::SELECT_EXPORTED, None)?.raw().next() else { return Ok(None) };
        let corrupt = || Failure::Platform("the state that was exported last is corrupt".to_owned());
        let [SqlStorageValue::Integer(time_ms), SqlStorageValue::Integer(checksum), SqlStorageValue::Blob(state)] =
            <[SqlStorageValue; 3]>::try_from(row?).map_err(|_| corrupt())?
        else {
            return Err(corrupt());
        };
        let head = Head { time_ms: u64::try_from(time_ms).map_err(|_| corrupt())?, checksum, state };
        let mut is_whole = true;
        // Row by row, so that they are not there twice.
        let pieces = self.sql().exec(queue::SELECT_PIECES, None)?.raw().map_while(|row| {
            let piece = match row.map(<[SqlStorageValue; 2]>::try_from) {
                Ok(Ok([SqlStorageValue::Integer(checksum), SqlStorageValue::Blob(bytes)])) => Piece { checksum, bytes },
                _ => {
                    is_whole = false;
                    return None;
                }
            };
            Some(piece)
        });
        let exported = Exported::of_rows(head, pieces);
        exported.filter(|_| is_whole).map(Some).ok_or_else(corrupt)
    }

    fn part_behind(&self, place: u64) -> Result<Option<Part>, Failure> {
        let Some(row) = self.sql().exec(queue::SELECT_PART, vec![integer(place)?])?.raw().next() else {
            return Ok(None);
        };
        let corrupt = || Failure::Platform("a part of a window is corrupt".to_owned());
        let [SqlStorageValue::Integer(place), SqlStorageValue::Integer(refusals), SqlStorageValue::Blob(body)] =
            <[SqlStorageValue; 3]>::try_from(row?).map_err(|_| corrupt())?
        else {
            return Err(corrupt());
        };
        let place = u64::try_from(place).map_err(|_| corrupt())?;
        Ok(Some(Part { place, refusals: u32::try_from(refusals).unwrap_or(u32::MAX), body }))
    }

    fn note_export(&self, report: &Report, took: Duration, now: u64) -> Result<(), Failure> {
        self.with_loaded(|loaded| {
            loaded.note(now, |delta| metrics::export(delta, report, took, now))?;
            self.write(&Default::default(), loaded)
        })
    }
}

fn read(loaded: &Book, now: u64) -> Result<Snapshot, Failure> {
    self_metrics::with_readings(&loaded.state, &status_of_all(loaded), now).map_err(Failure::from)
}

/// Writes the state that was exported last.
pub(super) fn exported_statements(exported: &Exported) -> Result<impl Iterator<Item = Statement> + use<>, Failure> {
    let (Head { time_ms, checksum, state }, pieces) = exported.rows(MAX_PIECE_BYTES);
    let head = vec![integer(time_ms)?, SqlStorageValue::Integer(checksum), SqlStorageValue::Blob(state)];
    let pieces = (0..).zip(pieces).map(|(id, Piece { checksum, bytes })| {
        let values =
            vec![SqlStorageValue::Integer(id), SqlStorageValue::Integer(checksum), SqlStorageValue::Blob(bytes)];
        (queue::INSERT_PIECE, values)
    });
    Ok([(queue::DELETE_PIECES, Vec::new()), (queue::UPSERT_EXPORTED, head)].into_iter().chain(pieces))
}

fn insert(body: Vec<u8>) -> Statement {
    (queue::INSERT_PART, vec![SqlStorageValue::Blob(body)])
}

impl Outbox for Ledger {
    fn next(&self, behind: u64) -> Result<Option<Part>, OutboxFailure> {
        self.part_behind(behind).map_err(failure)
    }

    fn remove(&self, place: u64) -> Result<(), OutboxFailure> {
        let place = integer(place).map_err(failure)?;
        self.transaction(vec![(queue::DELETE_PART, vec![place])]).map_err(failure)
    }

    fn refused(&self, place: u64) -> Result<(), OutboxFailure> {
        let place = integer(place).map_err(failure)?;
        self.transaction(vec![(queue::REFUSE_PART, vec![place])]).map_err(failure)
    }

    fn replace(&self, place: u64, bodies: Vec<Vec<u8>>) -> Result<(), OutboxFailure> {
        let mut statements = vec![(queue::DELETE_PART, vec![integer(place).map_err(failure)?])];
        statements.extend(bodies.into_iter().map(insert));
        self.transaction(statements).map_err(failure)
    }
}

fn failure(failure: Failure) -> OutboxFailure {
    OutboxFailure(failure.to_string())
}
