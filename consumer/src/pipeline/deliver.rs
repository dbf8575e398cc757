//! Delivers the flag logs of a batch, and finds what of it the backend refuses for good.
//!
//! A batch goes out as one request per sender identity. Where that is refused, it is cut in halves, and the halves in
//! halves, until what is refused is a single message; whatever is taken on the way is done with. A single message is
//! cut once more: its logs without its telemetry, and the reverse, so that neither takes the other with it.
//!
//! **What a refusal means.** A status like 401 or 404 ([`is_about_us`]) speaks of our credentials or addresses, and
//! then every message is refused. So such a status condemns a message only where the backend took something else of
//! the same batch. Where it took nothing, the batch is tried again later, and the log and the metrics say loudly that
//! it is the configuration; the search for an exception ends after [`MISCONFIGURATION_PROBES`] messages.
//!
//! **Bounds.** At most [`MAX_DELIVERY_REQUESTS`] sets are sent, none is begun after [`DELIVERY_TIME`], and the first
//! that no destination takes for now ends the delivery. What is not settled then waits with its message; since the
//! search goes deep before it goes wide, each batch settles something.

use std::{cell::RefCell, collections::VecDeque, sync::Arc, time::Duration};

use super::{BackendPort, Event};
use crate::{
    backend::{
        delivery::{DeliveryOutcome, Destination, Route, is_about_us},
        flag_logs::{MergedFlagLogs, SenderIdentity},
    },
    limits::{DELIVERY_TIME, MAX_DELIVERY_REQUESTS, MISCONFIGURATION_PROBES},
    message::{Decoded, Telemetry},
    self_metrics as metrics,
    self_report::SelfReport,
};

/// What became of the flag logs of one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// The backend has them, or there were none.
    Taken,
    /// The backend refuses them, or a part of them, for good.
    Refused {
        /// With this status.
        status: u16,
        /// Only the telemetry, or only the rest, was refused; the other part is taken.
        part: Part,
    },
    /// Not taken yet.
    Waiting {
        /// What the backend asked to wait.
        retry_after: Option<Duration>,
    },
}

/// What of a message is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// All of it.
    Whole,
    /// All but the telemetry.
    Logs,
    /// The telemetry alone.
    Telemetry,
}

/// Delivers the flag logs of `units`, which are distinct records. Returns a fate for each, in their order.
pub(crate) async fn deliver(
    units: &[&Decoded],
    backend: &impl BackendPort,
    report: &RefCell<SelfReport>,
    resolver_id: &str,
    events: &mut Vec<Event>,
) -> Vec<Fate> {
    let mut search = Search {
        units,
        backend,
        report,
        resolver_id,
        route: None,
        states: vec![State { logs: PartState::Open, telemetry: PartState::Open }; units.len()],
        pending: groups(units).into_iter().map(|members| Set { members, part: Part::Whole }).collect(),
        started_ms: backend.now_ms(),
        requests: 0,
        took: Vec::new(),
        suspects: 0,
        about_us: None,
        retry_after: None,
    };
    search.run(events).await;
    search.fates(events)
}

/// Units by the identity of their sender, which must not be mixed in one report; those without telemetry go with the
/// first.
fn groups(units: &[&Decoded]) -> Vec<Vec<usize>> {
    let mut groups: Vec<(Option<&Arc<SenderIdentity>>, Vec<usize>)> = Vec::new();
    let mut anonymous = Vec::new();
    for (index, decoded) in units.iter().enumerate() {
        let Telemetry::Read { identity, .. } = &decoded.telemetry else {
            anonymous.push(index);
            continue;
        };
        match groups.iter_mut().find(|(known, _)| known.is_some_and(|known| is_same(known, identity))) {
            Some((_, members)) => members.push(index),
            None => groups.push((Some(identity), vec![index])),
        }
    }
    match groups.first_mut() {
        Some((_, members)) => members.extend(anonymous),
        None if anonymous.is_empty() => {}
        None => groups.push((None, anonymous)),
    }
    groups.into_iter().map(|(_, members)| members).collect()
}

/// Nearly all of a batch share one.
fn is_same(left: &Arc<SenderIdentity>, right: &Arc<SenderIdentity>) -> bool {
    Arc::ptr_eq(left, right) || left == right
}

/// Units that are sent together.
#[derive(Clone, Debug)]
struct Set {
    members: Vec<usize>,
    part: Part,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PartState {
    Open,
    Taken,
    Refused(Refusal),
}

/// All destinations refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Refusal {
    /// The status to tell: one that speaks of the message, if any does.
    status: u16,
    /// Some destination may have meant us.
    is_about_us: bool,
}

#[derive(Clone, Copy, Debug)]
struct State {
    logs: PartState,
    telemetry: PartState,
}

/// What became of a set.
enum Answer {
    Taken,
    Unavailable(DeliveryOutcome),
    /// `logs_taken`: an earlier request of the set, which held its logs, was taken.
    Refused {
        refusal: Refusal,
        logs_taken: bool,
    },
    /// A bound was reached before it was sent.
    CutShort,
}

struct Search<'a, B> {
    units: &'a [&'a Decoded],
    backend: &'a B,
    report: &'a RefCell<SelfReport>,
    resolver_id: &'a str,
    /// Read with the first request.
    route: Option<Route>,
    states: Vec<State>,
    /// Sets to send, the next one first. The largest are last.
    pending: VecDeque<Set>,
    started_ms: u64,
    requests: usize,
    /// Destinations that took something.
    took: Vec<Destination>,
    /// Messages refused alone with a status that may mean us.
    suspects: usize,
    /// The first such status.
    about_us: Option<(Destination, u16)>,
    retry_after: Option<Duration>,
}

impl<B: BackendPort> Search<'_, B> {
    async fn run(&mut self, events: &mut Vec<Event>) {
        while let Some(set) = self.next() {
            match self.send(&set).await {
                Answer::Taken => self.settle(&set, PartState::Taken),
                Answer::Refused { refusal, logs_taken } => self.refused(set, refusal, logs_taken),
                Answer::Unavailable(outcome) => {
                    if let DeliveryOutcome::Unavailable { retry_after } = outcome {
                        self.retry_after = retry_after;
                    }
                    events.push(Event::BackendFailed { outcome });
                    return;
                }
                Answer::CutShort => {
                    events.push(Event::DeliveryCutShort { requests: self.requests });
                    return;
                }
            }
        }
    }

    /// The next set. A suspect makes it the largest: if the backend takes that, the suspect is condemned, and if it
    /// refuses that too, the fault is likely ours.
    fn next(&mut self) -> Option<Set> {
        if self.suspects == 0 || !self.took.is_empty() {
            return self.pending.pop_front();
        }
        if self.suspects >= MISCONFIGURATION_PROBES {
            return None;
        }
        self.pending.pop_back()
    }

    fn settle(&mut self, set: &Set, state: PartState) {
        for member in &set.members {
            if let Some(known) = self.states.get_mut(*member) {
                if set.part != Part::Telemetry {
                    known.logs = state;
                }
                if set.part != Part::Logs {
                    known.telemetry = state;
                }
            }
        }
    }

    fn refused(&mut self, mut set: Set, refusal: Refusal, logs_taken: bool) {
        if logs_taken && set.part == Part::Whole {
            self.settle(&Set { members: set.members.clone(), part: Part::Logs }, PartState::Taken);
            set.part = Part::Telemetry;
        }
        if set.members.len() > 1 {
            let other = set.members.split_off(set.members.len() / 2);
            self.pending.push_front(Set { members: other, part: set.part });
            self.pending.push_front(set);
        } else if set.part == Part::Whole && !refusal.is_about_us && self.has_both_parts(&set) {
            self.pending.push_front(Set { part: Part::Telemetry, ..set.clone() });
            self.pending.push_front(Set { part: Part::Logs, ..set });
        } else {
            self.suspects = self.suspects.saturating_add(usize::from(refusal.is_about_us));
            self.settle(&set, PartState::Refused(refusal));
        }
    }

    fn has_both_parts(&self, set: &Set) -> bool {
        let is_empty = |part| self.merge(&Set { part, ..set.clone() }).is_none_or(|merged| merged.is_empty());
        !is_empty(Part::Logs) && !is_empty(Part::Telemetry)
    }

    /// `None` where the telemetry cannot be summed.
    fn merge(&self, set: &Set) -> Option<MergedFlagLogs<'_>> {
        let mut merged = MergedFlagLogs::default();
        for decoded in set.members.iter().filter_map(|member| self.units.get(*member)) {
            if set.part != Part::Telemetry {
                merged.add_logs(&decoded.logs);
            }
            if let (Telemetry::Read { identity, report, .. }, Part::Whole | Part::Telemetry) =
                (&decoded.telemetry, set.part)
            {
                merged.add_telemetry(identity, report).ok()?;
            }
        }
        Some(merged)
    }

    async fn send(&mut self, set: &Set) -> Answer {
        // Unreachable with a batch of 100: the sums are 64 bits and the wire's are 32.
        let Some(requests) = self.merge(set).map(MergedFlagLogs::into_requests) else {
            return Answer::Unavailable(DeliveryOutcome::Unavailable { retry_after: None });
        };
        for (index, request) in requests.into_iter().enumerate() {
            let elapsed = Duration::from_millis(self.backend.now_ms().saturating_sub(self.started_ms));
            if self.requests >= MAX_DELIVERY_REQUESTS || elapsed >= DELIVERY_TIME {
                return Answer::CutShort;
            }
            self.requests = self.requests.saturating_add(1);
            match self.send_request(&request).await {
                Ok(()) => {}
                Err(answer @ Answer::Refused { .. }) if index == 0 => return answer,
                Err(Answer::Refused { refusal, .. }) => return Answer::Refused { refusal, logs_taken: true },
                // What was delivered of the set is delivered again with the retry: at least once.
                Err(answer) => return answer,
            }
        }
        Answer::Taken
    }

    /// To the primary, and where that does not take it to the fallback. Refused for good is what every destination
    /// refuses: one that is down now may take it later.
    async fn send_request(&mut self, request: &[u8]) -> Result<(), Answer> {
        let route = match &self.route {
            Some(route) => route.clone(),
            None => self.route.insert(self.backend.route().await).clone(),
        };
        let mut unavailable: Option<Option<Duration>> = None;
        let (mut of_us, mut of_it) = (None, None);
        for destination in &route.destinations {
            let outcome = self.backend.deliver(&route, *destination, request).await;
            metrics::record(&mut self.report.borrow_mut(), |delta| {
                metrics::delivery(delta, self.resolver_id, *destination, outcome)
            });
            match outcome {
                DeliveryOutcome::Delivered => {
                    if !self.took.contains(destination) {
                        self.took.push(*destination);
                    }
                    return Ok(());
                }
                DeliveryOutcome::Unavailable { retry_after } => {
                    unavailable = Some(unavailable.flatten().max(retry_after));
                }
                DeliveryOutcome::Refused { status } if is_about_us(status) => {
                    of_us = of_us.or(Some(status));
                    self.about_us = self.about_us.or(Some((*destination, status)));
                }
                DeliveryOutcome::Refused { status } => of_it = of_it.or(Some(status)),
            }
        }
        match (unavailable, of_it.or(of_us)) {
            (None, Some(status)) => {
                Err(Answer::Refused { refusal: Refusal { status, is_about_us: of_us.is_some() }, logs_taken: false })
            }
            (retry_after, _) => {
                let retry_after = retry_after.flatten();
                Err(Answer::Unavailable(DeliveryOutcome::Unavailable { retry_after }))
            }
        }
    }

    fn fates(self, events: &mut Vec<Event>) -> Vec<Fate> {
        if let Some((destination, status)) = self.about_us.filter(|(destination, _)| !self.took.contains(destination)) {
            events.push(Event::BackendMisconfigured { destination, status });
        }
        let waiting = Fate::Waiting { retry_after: self.retry_after };
        let is_for_good = |refusal: &Refusal| !refusal.is_about_us || !self.took.is_empty();
        let fate = |state: &State| match (state.logs, state.telemetry) {
            (PartState::Open, _) | (_, PartState::Open) => waiting,
            (PartState::Taken, PartState::Taken) => Fate::Taken,
            (PartState::Refused(refusal), _) | (_, PartState::Refused(refusal)) if !is_for_good(&refusal) => waiting,
            (PartState::Refused(Refusal { status, .. }), PartState::Taken) => {
                Fate::Refused { status, part: Part::Logs }
            }
            (PartState::Taken, PartState::Refused(Refusal { status, .. })) => {
                Fate::Refused { status, part: Part::Telemetry }
            }
            (PartState::Refused(Refusal { status, .. }), PartState::Refused(_)) => {
                Fate::Refused { status, part: Part::Whole }
            }
        };
        self.states.iter().map(fate).collect()
    }
}

#[cfg(test)]
#[path = "deliver_tests.rs"]
mod tests;
