//! One batch, from messages to verdicts: decode, Ledger, backend, verdicts. Everything that decides, with the two
//! services behind traits so that a native test can break them at will.
//!
//! The order is the guarantee. Ledger first: the metrics are up to date however the backend fares, and a redelivery
//! cannot count twice. Then the backend: nothing is acked before it took the logs. Then the verdicts. Every step may be
//! repeated: the Ledger knows the records it has, and the backend is delivered to at least once.

use std::{cell::RefCell, time::Duration};

use tributary_proto::{
    flag_logs::WriteFlagLogsRequest,
    v1::{CommitRequest, CommitResponse, commit_response::Verdict},
};

use crate::{
    backend::{
        delivery::{DeliveryOutcome, Destination, Route, retry_delay},
        flag_logs::MergedFlagLogs,
    },
    limits::MAX_COMMIT_TRIES,
    message::{Decoded, MalformedMessage, QueueMessage, Telemetry, decode},
    self_metrics as metrics,
    self_report::SelfReport,
};

/// The Ledger, as the pipeline sees it.
#[expect(async_fn_in_trait, reason = "Workers have one thread: no future needs to be Send")]
pub trait LedgerPort {
    /// Applies a pre-merged delta, or nothing.
    ///
    /// # Errors
    /// Where the Ledger did not answer, or refused the request as such. Whether it was applied is then unknown.
    async fn commit(&self, request: &CommitRequest) -> Result<CommitResponse, LedgerFailure>;
}

/// The backend, as the pipeline sees it.
#[expect(async_fn_in_trait, reason = "Workers have one thread: no future needs to be Send")]
pub trait BackendPort {
    /// Where the resolver state says that flag logs go.
    async fn route(&self) -> Route;
    /// Delivers one request to one destination. A connection that fails or times out is `Unavailable`.
    async fn deliver(&self, route: &Route, destination: Destination, logs: &WriteFlagLogsRequest) -> DeliveryOutcome;
}

/// The Ledger did not commit, or did not say so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the Ledger did not commit: {0}")]
pub struct LedgerFailure(pub String);

/// What becomes of one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageVerdict {
    /// Done with.
    Ack,
    /// To be delivered again, not before this time.
    Retry(Duration),
}

/// Something that a person should see, as a structured log line.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A message says nothing that can be used. It is retried until the queue puts it into its dead-letter queue.
    Malformed {
        /// The queue's id of it.
        message_id: String,
        /// Which delivery this was.
        attempts: u32,
        /// Why.
        error: MalformedMessage,
    },
    /// The metrics of a message were refused; its flag logs went on.
    TelemetryRefused {
        /// The queue's id of it.
        message_id: String,
        /// Why.
        reason: String,
    },
    /// The batch was not committed; all of it is retried.
    LedgerFailed(LedgerFailure),
    /// The backend did not take the batch; all of it is retried.
    BackendFailed {
        /// What the last destination said.
        outcome: DeliveryOutcome,
    },
    /// The consumer's own report was not committed; it goes with the next batch.
    ReportDeferred(LedgerFailure),
}

/// What a batch came to.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchResult {
    /// One for each message, in their order.
    pub verdicts: Vec<MessageVerdict>,
    /// What to log.
    pub events: Vec<Event>,
}

/// What the pipeline is told instead of asking the platform.
#[derive(Clone, Copy, Debug)]
pub struct Surroundings<'a> {
    /// Now, in milliseconds since the epoch.
    pub now_ms: u64,
    /// 32 random bits, for jitter.
    pub random: u32,
    /// The `resolver_id` of messages that name none, and of this consumer's own deliveries.
    pub resolver_id: &'a str,
}

/// Processes one batch.
pub async fn process(
    messages: &[QueueMessage],
    ledger: &impl LedgerPort,
    backend: &impl BackendPort,
    report: &RefCell<SelfReport>,
    surroundings: Surroundings<'_>,
) -> BatchResult {
    let mut events = Vec::new();
    let batch = decode_all(messages, surroundings.resolver_id, report, &mut events);
    metrics::record(&mut report.borrow_mut(), |delta| metrics::batch(delta, messages.len()));

    let again = |message: &QueueMessage, retry_after| {
        MessageVerdict::Retry(retry_delay(message.attempts, retry_after, surroundings.random))
    };
    let mut verdicts: Vec<MessageVerdict> = messages.iter().map(|message| again(message, None)).collect();

    if let Err(failure) = commit(&batch, ledger, report, surroundings).await {
        events.push(Event::LedgerFailed(failure));
        return BatchResult { verdicts, events };
    }

    let outcome = deliver(&batch, backend, report, surroundings).await;
    for slot in &batch {
        if let Some((message, verdict)) = messages.get(slot.index).zip(verdicts.get_mut(slot.index)) {
            *verdict = match outcome {
                None | Some(DeliveryOutcome::Delivered) => MessageVerdict::Ack,
                Some(DeliveryOutcome::Unavailable { retry_after }) => again(message, retry_after),
                Some(DeliveryOutcome::Refused { .. }) => again(message, None),
            };
        }
    }
    if let Some(outcome) = outcome.filter(|outcome| *outcome != DeliveryOutcome::Delivered) {
        let retried = batch.len();
        metrics::record(&mut report.borrow_mut(), |delta| metrics::retried(delta, retried));
        events.push(Event::BackendFailed { outcome });
    }
    // What the backend said is known only now. A report that fails is kept, so this failure costs nothing.
    if let Err(failure) = commit(&[], ledger, report, surroundings).await {
        events.push(Event::ReportDeferred(failure));
    }
    BatchResult { verdicts, events }
}

/// A message of the batch that can be used, and its place in it.
struct Slot {
    index: usize,
    decoded: Decoded,
}

fn decode_all(
    messages: &[QueueMessage],
    resolver_id: &str,
    report: &RefCell<SelfReport>,
    events: &mut Vec<Event>,
) -> Vec<Slot> {
    let mut batch = Vec::with_capacity(messages.len());
    for (index, message) in messages.iter().enumerate() {
        match decode(message, resolver_id) {
            Ok(decoded) => {
                if let Telemetry::Refused(reason) = &decoded.telemetry {
                    events.push(Event::TelemetryRefused { message_id: message.id.clone(), reason: reason.clone() });
                }
                batch.push(Slot { index, decoded });
            }
            Err(error) => {
                // A malformed message is delivered several times on its way to the dead-letter queue; it is one.
                if message.attempts <= 1 {
                    metrics::record(&mut report.borrow_mut(), |delta| metrics::malformed(delta, error.reason()));
                }
                events.push(Event::Malformed { message_id: message.id.clone(), attempts: message.attempts, error });
            }
        }
    }
    batch
}

/// Commits what of the batch, and of the consumer's own report, the Ledger does not have yet.
async fn commit(
    batch: &[Slot],
    ledger: &impl LedgerPort,
    report: &RefCell<SelfReport>,
    surroundings: Surroundings<'_>,
) -> Result<(), LedgerFailure> {
    // Two deliveries of one record can be in one batch: a producer that resends is answered by two messages.
    let mut known = std::collections::BTreeSet::new();
    let mut fresh: Vec<&Decoded> = Vec::with_capacity(batch.len());
    for Slot { decoded, .. } in batch {
        if known.insert((decoded.record.stream_id, decoded.record.sequence)) {
            fresh.push(decoded);
        } else {
            metrics::record(&mut report.borrow_mut(), |delta| {
                metrics::not_applied(delta, &decoded.resolver_id, Verdict::Duplicate)
            });
        }
    }
    for _ in 0..MAX_COMMIT_TRIES {
        let own = report.borrow_mut().next_record(surroundings.now_ms);
        if fresh.is_empty() && own.is_none() {
            return Ok(());
        }
        let mut delta =
            metrics::delta_of(&fresh, surroundings.now_ms).map_err(|error| LedgerFailure(error.to_string()))?;
        let mut records: Vec<_> = fresh.iter().map(|decoded| decoded.record.to_wire()).collect();
        if let Some((record, own_delta)) = &own {
            delta.merge(own_delta).map_err(|error| LedgerFailure(error.to_string()))?;
            records.push(record.to_wire());
        }
        let response = ledger.commit(&CommitRequest { records, delta: Some(delta.to_wire()) }).await?;
        if response.applied {
            if let Some((record, _)) = own {
                report.borrow_mut().confirm(record.sequence);
            }
            return Ok(());
        }
        drop_what_was_in_the_way(&response, &mut fresh, own.map(|(record, _)| record.sequence), report)?;
    }
    Err(LedgerFailure(format!("still in conflict after {MAX_COMMIT_TRIES} tries")))
}

fn drop_what_was_in_the_way(
    response: &CommitResponse,
    fresh: &mut Vec<&Decoded>,
    own_sequence: Option<u64>,
    report: &RefCell<SelfReport>,
) -> Result<(), LedgerFailure> {
    let expected = fresh.len().saturating_add(usize::from(own_sequence.is_some()));
    if response.verdicts.len() != expected {
        return Err(LedgerFailure(format!("{} verdicts for {expected} records", response.verdicts.len())));
    }
    let mut verdicts = response.verdicts().collect::<Vec<_>>().into_iter();
    let mut dropped = false;
    let mut report = report.borrow_mut();
    fresh.retain(|decoded| match verdicts.next() {
        Some(verdict @ (Verdict::Duplicate | Verdict::Expired)) => {
            metrics::record(&mut report, |delta| metrics::not_applied(delta, &decoded.resolver_id, verdict));
            dropped = true;
            false
        }
        _ => true,
    });
    if let (Some(sequence), Some(Verdict::Duplicate | Verdict::Expired)) = (own_sequence, verdicts.next()) {
        report.confirm(sequence);
        dropped = true;
    }
    if dropped { Ok(()) } else { Err(LedgerFailure("a refusal that names no record".into())) }
}

/// Delivers the merged flag logs of the batch; `None` when there is nothing to deliver.
async fn deliver(
    batch: &[Slot],
    backend: &impl BackendPort,
    report: &RefCell<SelfReport>,
    surroundings: Surroundings<'_>,
) -> Option<DeliveryOutcome> {
    let mut merged = MergedFlagLogs::default();
    let mut known = std::collections::BTreeSet::new();
    for Slot { decoded, .. } in batch {
        // The same record twice in one batch is delivered once.
        if !known.insert((decoded.record.stream_id, decoded.record.sequence)) {
            continue;
        }
        merged.add_logs(decoded.logs.clone());
        if let Telemetry::Read { identity, delta, .. } = &decoded.telemetry {
            // Unreachable with a batch of 100: the sums are 64 bits and the wire's are 32.
            if merged.add_telemetry(identity, delta).is_err() {
                return Some(DeliveryOutcome::Unavailable { retry_after: None });
            }
        }
    }
    if merged.is_empty() {
        return None;
    }
    let route = backend.route().await;
    let mut outcome = DeliveryOutcome::Delivered;
    for request in merged.into_requests() {
        for destination in &route.destinations {
            outcome = backend.deliver(&route, *destination, &request).await;
            metrics::record(&mut report.borrow_mut(), |delta| {
                metrics::delivery(delta, surroundings.resolver_id, *destination, outcome)
            });
            if outcome == DeliveryOutcome::Delivered {
                break;
            }
        }
        // What was delivered is delivered again with the retry: at least once.
        if outcome != DeliveryOutcome::Delivered {
            break;
        }
    }
    Some(outcome)
}

#[cfg(test)]
#[path = "pipeline_tests.rs"]
mod tests;
