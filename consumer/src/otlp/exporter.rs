//! What is sent when.
//!
//! Totals (cumulative temporality) are sent afresh every time: a receiver replaces what it has, so nothing that failed
//! is ever repeated as it was. Deltas are sent part by part from the [`queue`](super::queue).

use std::time::Duration;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use tributary_proto::Message as _;
use tributary_telemetry::otlp::requests::{data_points, halve};

use super::{answer::Outcome, config::Protocol, queue::Part};

/// First wait after a failure that may pass; it doubles with every one that follows.
const FIRST_BACKOFF: Duration = Duration::from_secs(1);
/// Longest wait that is our own choice.
const MAX_BACKOFF: Duration = Duration::from_secs(300);
/// Longest wait that a collector can ask for.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(3600);
/// A part that was refused so often for what it holds is given up, and counted.
pub const MAX_REFUSALS: u32 = 5;
/// The longest that a run may take; what is left then comes with the next.
pub const MAX_RUN: Duration = Duration::from_secs(300);
/// The most requests of one run: what is left comes with the next.
const MAX_REQUESTS: usize = 256;

/// The collector, as a run sees it.
#[expect(async_fn_in_trait, reason = "Workers have one thread: no future needs to be Send")]
pub trait Collector {
    /// Sends one request. A connection that fails or takes too long is [`Outcome::no_answer`].
    async fn post(&self, request: &ExportMetricsServiceRequest) -> Outcome;
}

/// The parts that are waiting. What it is told is durable when it returns.
pub trait Outbox {
    /// The first part behind a place.
    ///
    /// # Errors
    /// [`OutboxFailure`], as for every call.
    fn next(&self, behind: u64) -> Result<Option<Part>, OutboxFailure>;
    /// The collector has the part, or it is given up.
    ///
    /// # Errors
    /// [`OutboxFailure`]
    fn remove(&self, place: u64) -> Result<(), OutboxFailure>;
    /// The collector refused the part.
    ///
    /// # Errors
    /// [`OutboxFailure`]
    fn refused(&self, place: u64) -> Result<(), OutboxFailure>;
    /// Puts smaller parts in the place of one, all or none.
    ///
    /// # Errors
    /// [`OutboxFailure`]
    fn replace(&self, place: u64, bodies: Vec<Vec<u8>>) -> Result<(), OutboxFailure>;
}

/// The parts cannot be read or written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct OutboxFailure(pub String);

/// What a run did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// Requests by [`Outcome::as_str`], or [`NOT_SENT`].
    pub requests: Vec<&'static str>,
    /// Data points that the collector took.
    pub accepted: u64,
    /// Data points that it rejected of requests that it took.
    pub rejected: u64,
    /// Data points that were given up.
    pub dropped: u64,
    /// Bytes of requests, as protobuf and before compression.
    pub bytes: u64,
    /// What the collector said, the last of it.
    pub message: String,
    /// The last status that was no success.
    pub status: Option<u16>,
    /// How the run ended.
    pub end: End,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum End {
    /// Everything was answered for.
    #[default]
    Done,
    /// Something has to be tried again, not before the time that the collector asked for.
    Unavailable {
        /// That time.
        after: Option<Duration>,
    },
    /// The collector refuses us, or what we send; the next try is due with the next interval.
    Refused,
}

/// The outcome of a run that could not read what it had to send.
pub const NOT_SENT: &str = "not_sent";

impl Report {
    /// Of a run that failed before the collector was asked: what is stored for it does not read back, or cannot be
    /// written. It counts as one request, so that whoever watches for failed requests sees it.
    pub fn not_sent() -> Self {
        Self { requests: vec![NOT_SENT], end: End::Unavailable { after: None }, ..Self::default() }
    }

    fn note(&mut self, outcome: &Outcome, request: &ExportMetricsServiceRequest) {
        self.requests.push(outcome.as_str());
        self.bytes = self.bytes.saturating_add(u64::try_from(request.encoded_len()).unwrap_or(u64::MAX));
        let points = data_points(request);
        match outcome {
            Outcome::Accepted { rejected, message } => {
                // A collector that claims to have rejected more than it got has rejected all of it.
                let rejected = points.min(*rejected);
                self.accepted = self.accepted.saturating_add(points.saturating_sub(rejected));
                self.rejected = self.rejected.saturating_add(rejected);
                if !message.is_empty() {
                    self.message.clone_from(message);
                }
            }
            Outcome::Retry { status, .. } => self.status = *status,
            Outcome::TooLarge => self.status = Some(413),
            Outcome::Refused { status } => self.status = Some(*status),
        }
    }

    fn drop_points(&mut self, request: &ExportMetricsServiceRequest) {
        self.dropped = self.dropped.saturating_add(data_points(request));
    }
}

/// Says whether a refusal is about what was sent, and not about who sends it or where.
const fn is_about_content(status: u16) -> bool {
    matches!(status, 400 | 406 | 415 | 422)
}

/// Sends totals; a request is asked for when those before it were answered.
pub async fn send_totals(
    requests: impl IntoIterator<Item = ExportMetricsServiceRequest>,
    collector: &impl Collector,
) -> Report {
    let (mut report, mut requests) = (Report::default(), requests.into_iter());
    let mut halves: Vec<ExportMetricsServiceRequest> = Vec::new();
    while let Some(request) = halves.pop().or_else(|| requests.next()) {
        if report.requests.len() >= MAX_REQUESTS {
            report.end = End::Unavailable { after: None };
            break;
        }
        let outcome = collector.post(&request).await;
        report.note(&outcome, &request);
        match outcome {
            Outcome::Accepted { .. } => {}
            Outcome::TooLarge => match halve(request.clone()) {
                Some(parts) => halves.extend(parts.into_iter().rev()),
                None => report.drop_points(&request),
            },
            Outcome::Refused { status } if is_about_content(status) => {
                report.drop_points(&request);
                report.end = End::Refused;
            }
            Outcome::Refused { .. } => {
                report.end = End::Refused;
                break;
            }
            Outcome::Retry { after, .. } => {
                report.end = End::Unavailable { after };
                break;
            }
        }
    }
    report
}

/// Sends the parts that are waiting, in order.
///
/// # Errors
/// [`OutboxFailure`]; what the collector took meanwhile and could not be removed is sent again, with the same bytes.
pub async fn send_parts(outbox: &impl Outbox, collector: &impl Collector) -> Result<Report, OutboxFailure> {
    let mut report = Report::default();
    let mut behind = 0;
    while let Some(Part { place, refusals, body }) = outbox.next(behind)? {
        if report.requests.len() >= MAX_REQUESTS {
            report.end = End::Unavailable { after: None };
            break;
        }
        behind = place;
        let Ok(request) = ExportMetricsServiceRequest::decode(body.as_slice()) else {
            return Err(OutboxFailure(format!("part {place} is no request")));
        };
        let outcome = collector.post(&request).await;
        report.note(&outcome, &request);
        match outcome {
            Outcome::Accepted { .. } => outbox.remove(place)?,
            Outcome::TooLarge => match halve(request.clone()) {
                Some(halves) => outbox.replace(place, halves.iter().map(|half| half.encode_to_vec()).collect())?,
                None => {
                    report.drop_points(&request);
                    outbox.remove(place)?;
                }
            },
            Outcome::Refused { status } if is_about_content(status) => {
                report.end = End::Refused;
                if refusals.saturating_add(1) >= MAX_REFUSALS {
                    report.drop_points(&request);
                    outbox.remove(place)?;
                } else {
                    outbox.refused(place)?;
                }
            }
            // Whoever we are to the collector, the parts are good: they wait until somebody has mended it.
            Outcome::Refused { .. } => {
                report.end = End::Refused;
                break;
            }
            Outcome::Retry { after, .. } => {
                report.end = End::Unavailable { after };
                break;
            }
        }
    }
    Ok(report)
}

/// The body of a request. JSON is OTLP's own: enums as integers, 64-bit integers as strings.
///
/// # Errors
/// Where the request cannot be written as JSON, which an infinite bound or sum would be.
pub fn encode(request: &ExportMetricsServiceRequest, protocol: Protocol) -> Result<Vec<u8>, serde_json::Error> {
    match protocol {
        Protocol::Protobuf => Ok(request.encode_to_vec()),
        Protocol::Json => serde_json::to_vec(request),
    }
}

/// When the next run is due. In memory only: a Ledger that starts anew exports at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timetable {
    due_ms: u64,
    failures: u32,
    /// Until then a run that was asked for may still begin.
    asked_until_ms: u64,
    running_since_ms: Option<u64>,
}

impl Timetable {
    /// How long until the next run is to be asked for; `None` while one is running.
    pub fn next(&self, now_ms: u64) -> Option<Duration> {
        let at_ms = self.due_ms.max(self.asked_until_ms);
        (!self.is_running(now_ms)).then(|| Duration::from_millis(at_ms.saturating_sub(now_ms)))
    }

    /// A run was asked for. If it has not begun within `patience`, it is asked for again.
    pub fn asked(&mut self, now_ms: u64, patience: Duration) {
        self.asked_until_ms = now_ms.saturating_add(millis(patience));
    }

    /// A run begins, if one is due and none is running.
    pub fn begin(&mut self, now_ms: u64) -> bool {
        let begins = !self.is_running(now_ms) && now_ms >= self.due_ms;
        if begins {
            self.running_since_ms = Some(now_ms);
            self.asked_until_ms = 0;
        }
        begins
    }

    /// A run that has not said that it ended long after it must have did not end but vanish.
    fn is_running(&self, now_ms: u64) -> bool {
        let limit_ms = millis(MAX_RUN.saturating_mul(2));
        self.running_since_ms.is_some_and(|since| now_ms < since.saturating_add(limit_ms))
    }

    /// A run that began at `began_ms` ended. `random` is any 32 random bits.
    ///
    /// After success, and after a refusal, the next is due an interval after this one began. After a failure that may
    /// pass it is due sooner: exponential backoff, half of it at random, and not before the time that was asked for.
    pub fn ended(&mut self, end: End, began_ms: u64, now_ms: u64, interval: Duration, random: u32) {
        self.running_since_ms = None;
        let after_interval = began_ms.saturating_add(millis(interval)).max(now_ms);
        self.due_ms = match end {
            End::Done | End::Refused => {
                self.failures = 0;
                after_interval
            }
            End::Unavailable { after } => {
                let backoff = backoff(self.failures, random).max(after.unwrap_or_default().min(MAX_RETRY_AFTER));
                self.failures = self.failures.saturating_add(1);
                now_ms.saturating_add(millis(backoff))
            }
        };
    }
}

fn backoff(failures: u32, random: u32) -> Duration {
    let ceiling = FIRST_BACKOFF.saturating_mul(1 << failures.min(16)).min(MAX_BACKOFF);
    let half = ceiling / 2;
    half.saturating_add(half.mul_f64(f64::from(random) / f64::from(u32::MAX)))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
