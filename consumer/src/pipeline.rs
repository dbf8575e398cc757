//! One batch, from messages to verdicts: decode, Ledger (or several, each its part), backend, verdicts. Everything that decides, with the two
//! services behind traits so that a native test can break them at will.
//!
//! The order is the guarantee. Ledger first: the metrics are up to date however the backend fares, and a redelivery
//! cannot count twice. Then the backend: nothing is acked before it took the logs. Then the dead letters of what can
//! never be processed, which are sent before their messages are acked. Then the verdicts. Every step may be repeated:
//! the Ledger knows the records it has, the backend is delivered to at least once, and a dead letter is known by the id
//! of its message.

use std::{borrow::Cow, cell::RefCell, time::Duration};

use tributary_proto::{dead_letter::DeadLetter, v1::CommitResponse};

use self::{
    commit::commit,
    deliver::{Fate, Part},
    parts::{Committed, by_ledger, commit_all},
    repeats::firsts,
};
use crate::{
    backend::delivery::{DeliveryOutcome, Destination, Route, retry_delay},
    dead_letters::{
        self,
        bury::{Burial, DeadLetterFailure, DeadLetterPort, bury},
        letter::{RETRIES_EXHAUSTED, backend_reason, letter_of, redriven},
    },
    dimensions::Dimensions,
    ledger::shards::MAIN,
    limits::{FULL_BATCH_MESSAGES, MAX_RETRIES},
    message::{Decoded, Known, QueueMessage, Telemetry, decode_among, without_content},
    self_metrics as metrics,
    self_report::SelfReport,
};

mod commit;
mod deliver;
mod event;
mod parts;
mod repeats;

pub use self::event::Event;

/// The ledgers, as the pipeline sees them: one, or with several queues as many as these.
#[expect(async_fn_in_trait, reason = "Workers have one thread: no future needs to be Send")]
pub trait LedgerPort {
    /// Applies a pre-merged delta to the ledger with this number, or nothing. `request` is an encoded `CommitRequest`.
    ///
    /// # Errors
    /// Where the Ledger did not answer, or refused the request as such. Whether it was applied is then unknown.
    async fn commit(&self, ledger: u32, request: &[u8]) -> Result<CommitResponse, LedgerFailure>;
}

/// The backend, as the pipeline sees it.
#[expect(async_fn_in_trait, reason = "Workers have one thread: no future needs to be Send")]
pub trait BackendPort {
    /// Where the resolver state says that flag logs go.
    async fn route(&self) -> Route;
    /// Delivers one request, an encoded `WriteFlagLogsRequest`, to one destination. A connection that fails or times out is `Unavailable`.
    async fn deliver(&self, route: &Route, destination: Destination, logs: &[u8]) -> DeliveryOutcome;
    /// Now, in milliseconds since the epoch: what bounds the time that a batch's deliveries take together.
    fn now_ms(&self) -> u64;
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
    /// Done with, too: the dead-letter queue, or the Ledger, has it.
    Dead,
    /// To be delivered again, not before this time.
    Retry(Duration),
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
    /// What labels the series of Confidence's telemetry beside it.
    pub dimensions: Dimensions,
}

/// What is to become of a message.
enum Plan {
    Ack,
    Retry(Option<Duration>),
    Bury(DeadLetter),
}

/// Processes one batch.
///
/// Each message ends in one of three ways: acked, which takes that the backend has its flag logs; dead, which takes that
/// somebody has its letter; retried.
pub async fn process(
    messages: &[QueueMessage],
    ledger: &impl LedgerPort,
    backend: &impl BackendPort,
    dead: &impl DeadLetterPort,
    report: &RefCell<SelfReport>,
    surroundings: Surroundings<'_>,
) -> BatchResult {
    let mut events = Vec::new();
    let mut plans: Vec<Plan> = messages.iter().map(|_| Plan::Retry(None)).collect();
    let batch = decode_all(messages, &mut plans, report, surroundings, &mut events);
    metrics::record(&mut report.borrow_mut(), |delta| metrics::batch(delta, messages.len()));
    let Committed { slots, waiting, failures, answers } =
        commit_all(by_ledger(batch), ledger, report, surroundings).await;
    events.extend(failures.into_iter().map(Event::LedgerFailed));
    deliver_batch(&slots, &mut plans, backend, report, surroundings, &mut events).await;
    give_up_on_last_delivery(slots.iter().chain(&waiting), &mut plans, surroundings);
    let verdicts = settle(messages, plans, dead, report, surroundings, &mut events).await;
    // What became of the batch is known only now. A report that fails is kept, so this failure costs nothing; and a
    // ledger that has just failed is not asked again.
    if let Some(answers) = answers
        && !can_wait(messages.len(), &report.borrow())
        && let Err(failure) = commit(&[], answers, ledger, report, surroundings).await
    {
        events.push(Event::ReportDeferred(failure));
    }
    BatchResult { verdicts, events }
}

/// Says whether the report on a batch can go with the next commit of this isolate, which spares the Ledger every second
/// request, and every second write of its state, while there is much to do.
///
/// It can where the batch was full, so that others are waiting, and where it says no more than that deliveries were taken.
/// A timer for the case that no other comes would hold up the acks, for which the queue waits. So what waits is in the
/// Ledger with the next batch, request or cron of this isolate, and an isolate that ends before leaves a delivery of its
/// last batch uncounted. Whatever was dropped, refused, retried or seen before is committed at once.
fn can_wait(messages: usize, report: &SelfReport) -> bool {
    messages >= FULL_BATCH_MESSAGES && report.says_only(metrics::OF_DELIVERIES)
}

/// Commits the consumer's own report, for what was counted outside of a batch.
///
/// # Errors
/// Where the Ledger did not commit; the report is kept.
pub async fn commit_report(
    ledger: &impl LedgerPort,
    report: &RefCell<SelfReport>,
    now_ms: u64,
) -> Result<(), LedgerFailure> {
    let surroundings = Surroundings { now_ms, random: 0, resolver_id: "", dimensions: Dimensions::default() };
    commit(&[], MAIN, ledger, report, surroundings).await
}

/// A message of the batch that can be used, and its place in it.
struct Slot<'a> {
    index: usize,
    /// The message, or what it was before it was redriven.
    original: Cow<'a, QueueMessage>,
    decoded: Decoded,
}

fn decode_all<'a>(
    messages: &'a [QueueMessage],
    plans: &mut [Plan],
    report: &RefCell<SelfReport>,
    surroundings: Surroundings<'_>,
    events: &mut Vec<Event>,
) -> Vec<Slot<'a>> {
    let mut batch = Vec::with_capacity(messages.len());
    let mut known = Known::default();
    for (index, (message, plan)) in messages.iter().zip(plans).enumerate() {
        // An envelope is never a redriven text, so only what is no envelope is looked at twice.
        let (original, decoded) = match decode_among(message, surroundings.resolver_id, &mut known) {
            Ok(decoded) => (Cow::Borrowed(message), Ok(decoded)),
            Err(error) => match redriven(message) {
                Some(original) => {
                    let decoded = decode_among(&original, surroundings.resolver_id, &mut known);
                    (Cow::Owned(original), decoded)
                }
                None => (Cow::Borrowed(message), Err(error)),
            },
        };
        match decoded {
            Ok(decoded) => {
                if let Telemetry::Refused(reason) = &decoded.telemetry {
                    events.push(Event::TelemetryRefused { message_id: message.id.clone(), reason: reason.clone() });
                }
                let reserved = || decoded.metrics.reserved.iter().chain(&decoded.otlp.reserved);
                if let Some(first) = reserved().next() {
                    events.push(Event::NamesReserved {
                        message_id: message.id.clone(),
                        resolver_id: decoded.resolver_id.clone(),
                        families: reserved().count(),
                        first: first.clone(),
                    });
                }
                batch.push(Slot { index, original, decoded });
            }
            Err(error) => {
                // It is delivered again where its letter did not get through; it is one malformed message.
                if message.attempts <= 1 {
                    metrics::record(&mut report.borrow_mut(), |delta| metrics::malformed(delta, error.reason()));
                }
                let detail = without_content(&error.to_string());
                *plan = Plan::Bury(letter_of(&original, error.reason(), detail, surroundings.now_ms));
            }
        }
    }
    batch
}

/// Delivers the flag logs of the batch and plans accordingly.
async fn deliver_batch(
    batch: &[Slot<'_>],
    plans: &mut [Plan],
    backend: &impl BackendPort,
    report: &RefCell<SelfReport>,
    surroundings: Surroundings<'_>,
    events: &mut Vec<Event>,
) {
    // The same record twice in one batch is delivered once, and what becomes of it becomes of both messages.
    let firsts = firsts(batch.iter().map(|slot| (slot.decoded.record.stream_id, slot.decoded.record.sequence)));
    let mut unit_of: Vec<usize> = Vec::with_capacity(batch.len());
    let mut units: Vec<&Decoded> = Vec::with_capacity(batch.len());
    for (Slot { decoded, .. }, first) in batch.iter().zip(firsts) {
        let unit = unit_of.get(first).copied().unwrap_or_else(|| {
            units.push(decoded);
            units.len().saturating_sub(1)
        });
        unit_of.push(unit);
    }
    let fates = deliver::deliver(&units, backend, report, surroundings.resolver_id, events).await;
    for (Slot { index, original, .. }, unit) in batch.iter().zip(unit_of) {
        let fate = fates.get(unit);
        let plan = match fate {
            Some(Fate::Taken) => Plan::Ack,
            Some(Fate::Refused { status, part }) => {
                let what = match part {
                    Part::Whole => "the backend refuses it",
                    Part::Logs => "the backend refuses its logs and took its telemetry",
                    Part::Telemetry => "the backend refuses its telemetry and took its logs",
                };
                let detail = format!("{what}: status {status}");
                Plan::Bury(letter_of(original, backend_reason(*status), detail, surroundings.now_ms))
            }
            Some(Fate::Waiting { retry_after }) => Plan::Retry(*retry_after),
            None => Plan::Retry(None),
        };
        if let Some(planned) = plans.get_mut(*index) {
            *planned = plan;
        }
    }
}

/// What would be tried again after its last delivery becomes a dead letter by our own hand: the queue would move it
/// there, too, but without a reason, and whether it keeps the message id that text counts once by is not promised.
fn give_up_on_last_delivery<'a>(
    batch: impl Iterator<Item = &'a Slot<'a>>,
    plans: &mut [Plan],
    surroundings: Surroundings<'_>,
) {
    for Slot { index, original, .. } in batch {
        if let Some(plan @ Plan::Retry(_)) = plans.get_mut(*index)
            && original.attempts > MAX_RETRIES
        {
            let detail = format!("not processed in {} deliveries", original.attempts);
            *plan = Plan::Bury(letter_of(original, RETRIES_EXHAUSTED, detail, surroundings.now_ms));
        }
    }
}

/// Sends the letters, and turns plans into verdicts.
async fn settle(
    messages: &[QueueMessage],
    plans: Vec<Plan>,
    dead: &impl DeadLetterPort,
    report: &RefCell<SelfReport>,
    surroundings: Surroundings<'_>,
    events: &mut Vec<Event>,
) -> Vec<MessageVerdict> {
    let letters: Vec<DeadLetter> = plans
        .iter()
        .filter_map(|plan| if let Plan::Bury(letter) = plan { Some(letter.clone()) } else { None })
        .collect();
    let burials = if letters.is_empty() { Vec::new() } else { bury(&letters, dead).await };
    let mut failures: Vec<DeadLetterFailure> = Vec::new();
    let mut burials = burials.into_iter();
    let mut verdicts = Vec::with_capacity(messages.len());
    for (message, plan) in messages.iter().zip(plans) {
        let again =
            |retry_after| MessageVerdict::Retry(retry_delay(message.attempts, retry_after, surroundings.random));
        verdicts.push(match plan {
            Plan::Ack => MessageVerdict::Ack,
            Plan::Retry(retry_after) => again(retry_after),
            Plan::Bury(letter) => {
                let burial = burials
                    .next()
                    .unwrap_or_else(|| Burial::Failed(DeadLetterFailure("nobody said what became of it".into())));
                metrics::record(&mut report.borrow_mut(), |delta| {
                    dead_letters::metrics::burial(delta, &letter.reason, &burial)
                });
                if let Burial::Failed(failure) = burial {
                    failures.push(failure);
                    again(None)
                } else {
                    events.push(Event::Dead {
                        message_id: letter.message_id,
                        attempts: letter.attempts,
                        reason: letter.reason,
                        detail: letter.detail,
                    });
                    MessageVerdict::Dead
                }
            }
        });
    }
    if let Some(failure) = failures.first() {
        events.push(Event::BurialFailed { messages: failures.len(), failure: failure.clone() });
    }
    let retried = verdicts.iter().filter(|verdict| matches!(verdict, MessageVerdict::Retry(_))).count();
    if retried > 0 {
        metrics::record(&mut report.borrow_mut(), |delta| metrics::retried(delta, retried));
    }
    verdicts
}

#[cfg(test)]
mod tests;
