//! Coalesces what the requests of an isolate push into numbered messages: a state machine without I/O and without a
//! clock.
//!
//! - The first push of a window becomes the **flusher**: it takes a lease, waits for the flush interval, then seals and
//!   sends. Others of the window only push. A flusher can be cut off at any wait, so its lease ends at a deadline, and
//!   the first push after that takes over.
//! - **Sealing** is one synchronous step: everything pending becomes envelopes with the next sequences 1, 2, 3 …, the
//!   lease is given up, and only then does anybody wait for the queue. A sequence is used when its bytes exist, so
//!   there are no holes.
//! - Sealed messages wait in the [`Outbox`] until the queue confirmed them. While it is full nothing more is sealed:
//!   metrics go on merging, flag logs go on collecting. Over the bound of bytes the oldest flag logs are given up
//!   and counted; metrics never are. What a [`crate::source`] aggregates is only asked for where it can be sealed
//!   ([`Flusher::wants_points`]): as long as it cannot, it goes on merging there.

use std::collections::{BTreeMap, VecDeque};

use tributary_proto::Message as _;
use tributary_proto::envelope::{Envelope, EnvelopeError, StreamId};
use tributary_proto::v1::{self, dropped::Reason};
use tributary_telemetry::{Delta, custom};

use crate::limits::{
    LEASE_GRACE_MS, MAX_BUFFER_BYTES, MAX_FRAGMENT_BYTES, MAX_OUTBOX_MESSAGES, MAX_PENDING_ASSIGNMENTS,
};
use crate::outbox::{Attempt, AttemptId, Outbox, add_dropped};
use crate::registry::Recorded;
use crate::source::Collected;

/// What the stream says about itself in every envelope.
#[derive(Clone, Debug, PartialEq)]
pub struct Identity {
    /// The stream.
    pub stream_id: StreamId,
    /// How many ledgers there are, 1 to `MAX_LEDGERS`. Never changes while the stream lives, since its records are
    /// remembered where it says.
    pub ledgers: u32,
    /// Who sends: the name under which the records are accounted for. Not empty and at most `MAX_RESOLVER_ID_BYTES`.
    pub name: String,
    /// What else is the same for all of the isolate, by name; values of at most `MAX_DIMENSION_BYTES`.
    pub dimensions: BTreeMap<String, String>,
}

/// An encoded part of a `WriteFlagLogsRequest`, which is given up where there is no room for it. Encoded requests
/// concatenated are one request, so a message is filled by appending fragments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// How many assignments (flags assigned to somebody) they hold.
    pub assignments: u64,
}

/// What a push has to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Wait for the flush interval, then seal under this lease and send.
    Flusher(LeaseId),
    /// Seal and send at once: the interval is 0, or too many assignments wait already.
    SealNow,
    /// Nothing: somebody else will.
    Follower,
}

/// A flusher's claim to a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseId(u64);

/// What sealing did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sealed {
    /// Messages that were added to the outbox.
    pub messages: u64,
    /// Assignments that were given up because the buffer is full; they are counted in an envelope already.
    pub assignments_given_up: u64,
    /// Nothing was sealed although something is pending, because the outbox is full.
    pub held_back: bool,
    /// An envelope that had no bytes. What it would have held is lost; never seen, see [`Identity`].
    pub error: Option<EnvelopeError>,
}

#[derive(Clone, Copy, Debug)]
struct Lease {
    id: LeaseId,
    taken_ms: u64,
    span_ms: u64,
}

impl Lease {
    /// Says whether it is not over. One that was taken after `now_ms` comes from a clock that was set back: it is not to be
    /// waited for.
    #[inline]
    const fn is_held(&self, now_ms: u64) -> bool {
        // A time before it wraps around to beyond any span: `taken_ms + span_ms` is a time, too.
        now_ms.wrapping_sub(self.taken_ms) <= self.span_ms
    }
}

/// The start of a window that is not open: any time is earlier.
const NOT_OPEN: u64 = u64::MAX;

/// What one message holds and never gives up, encoded.
#[derive(Clone, Debug, Default)]
struct Part {
    flag_logs: Vec<u8>,
    metrics: Vec<u8>,
}

impl Part {
    fn len(&self) -> usize {
        self.flag_logs.len().saturating_add(self.metrics.len())
    }
}

/// The deltas of one isolate, from the push to the confirmed message.
#[derive(Debug)]
pub struct Flusher {
    identity: Identity,
    last_sequence: u64,
    metrics: Delta,
    /// Encoded `ResourceMetrics`, each for one message.
    points: VecDeque<Vec<u8>>,
    fragments: VecDeque<Fragment>,
    fragment_bytes: usize,
    dropped: Vec<v1::Dropped>,
    /// [`NOT_OPEN`] before the first push.
    window_start_ms: u64,
    lease: Option<Lease>,
    last_lease: u64,
    outbox: Outbox,
}

impl Flusher {
    /// A stream that has sent nothing.
    pub fn new(identity: Identity) -> Self {
        Self {
            identity,
            last_sequence: 0,
            metrics: Delta::new(),
            points: VecDeque::new(),
            fragments: VecDeque::new(),
            fragment_bytes: 0,
            dropped: Vec::new(),
            window_start_ms: NOT_OPEN,
            lease: None,
            last_lease: 0,
            outbox: Outbox::default(),
        }
    }

    /// Takes in what was recorded of custom metrics. It stays until it is sealed, and what comes after it is merged.
    pub fn add_metrics(&mut self, recorded: Recorded) {
        let Recorded { delta, invalid, limited } = recorded;
        // Only a total that passes 64 bits in one window does not fit what one registry recorded before.
        let rest = self.metrics.merge_fitting(&delta);
        let lost: usize = rest.families().map(|family| family.series().len()).sum();
        let invalid = invalid.saturating_add(u64::try_from(lost).unwrap_or(u64::MAX));
        add_dropped(&mut self.dropped, Reason::Invalid, 0, invalid);
        add_dropped(&mut self.dropped, Reason::Limit, 0, limited);
    }

    /// Says whether a source is to be asked: everything that it gave before is sealed, and there is room for a message.
    pub fn wants_points(&self) -> bool {
        self.points.is_empty() && self.outbox.len() < MAX_OUTBOX_MESSAGES
    }

    /// Takes in what a source gave. It stays until it is sealed.
    pub fn add_points(&mut self, collected: Collected) {
        let Collected { resource_metrics, mut invalid, limited } = collected;
        for points in resource_metrics {
            if points.len() > MAX_FRAGMENT_BYTES {
                // Cut with another limit: it would never fit, and must not be tried for ever.
                invalid = invalid.saturating_add(1);
            } else if !points.is_empty() {
                self.points.push_back(points);
            }
        }
        add_dropped(&mut self.dropped, Reason::Invalid, 0, invalid);
        add_dropped(&mut self.dropped, Reason::Limit, 0, limited);
    }

    /// Takes in pieces of flag logs, each of at most [`MAX_FRAGMENT_BYTES`], and how many assignments had no place in any.
    pub fn add_fragments(&mut self, fragments: Vec<Fragment>, oversize_assignments: u64) {
        add_dropped(&mut self.dropped, Reason::Oversize, oversize_assignments, 0);
        for fragment in fragments {
            if fragment.bytes.len() > MAX_FRAGMENT_BYTES {
                // Cut with another limit: it would never fit, and must not be tried for ever.
                add_dropped(&mut self.dropped, Reason::Oversize, fragment.assignments, 0);
                continue;
            }
            self.fragment_bytes = self.fragment_bytes.saturating_add(fragment.bytes.len());
            self.fragments.push_back(fragment);
        }
    }

    /// Opens the window if it is not open, and says what the caller has to do. `pending_assignments` is how many wait
    /// in the caller's logs.
    #[inline]
    pub fn push(&mut self, now_ms: u64, pending_assignments: u64, flush_interval_ms: u64) -> Role {
        self.window_start_ms = self.window_start_ms.min(now_ms);
        if flush_interval_ms == 0 || pending_assignments >= MAX_PENDING_ASSIGNMENTS {
            return Role::SealNow;
        }
        // Nearly every push ends here.
        if self.lease.is_some_and(|lease| lease.is_held(now_ms)) {
            return Role::Follower;
        }
        Role::Flusher(self.take_lease(now_ms, flush_interval_ms))
    }

    #[cold]
    fn take_lease(&mut self, now_ms: u64, flush_interval_ms: u64) -> LeaseId {
        self.last_lease = self.last_lease.wrapping_add(1);
        let id = LeaseId(self.last_lease);
        let deadline_ms = now_ms.saturating_add(flush_interval_ms).saturating_add(LEASE_GRACE_MS);
        self.lease = Some(Lease { id, taken_ms: now_ms, span_ms: deadline_ms.saturating_sub(now_ms) });
        id
    }

    /// Seals everything pending into the outbox and gives up `lease` if it is still held. Needs [`Flusher::take`] after
    /// it; both belong to one synchronous step.
    ///
    /// `reports` makes the flag logs that are never given up, one for each message that they need; `has_report` says
    /// whether they say anything that is worth a message. They are sealed unless [`Sealed::held_back`].
    pub fn seal(
        &mut self,
        now_ms: u64,
        has_report: bool,
        reports: impl FnOnce() -> Vec<Vec<u8>>,
        lease: Option<LeaseId>,
    ) -> Sealed {
        if self.lease.map(|held| held.id) == lease {
            self.lease = None;
        }
        let mut sealed = self.seal_pending(now_ms, has_report, reports);
        sealed.assignments_given_up = self.hold_bound();
        sealed
    }

    /// Takes every sealed message that nobody is sending.
    pub fn take(&mut self, now_ms: u64) -> Attempt {
        self.outbox.take(now_ms)
    }

    /// Forgets messages that the queue accepted.
    pub fn confirm(&mut self, sequences: &[u64]) {
        self.outbox.confirm(sequences);
    }

    /// Leaves messages that could not be sent to the next flush.
    pub fn release(&mut self, id: AttemptId, sequences: &[u64]) {
        self.outbox.release(id, sequences);
    }

    /// Says whether there is nothing to seal, reports of the caller aside.
    pub fn is_empty(&self) -> bool {
        self.metrics.is_empty() && self.points.is_empty() && self.fragments.is_empty() && self.dropped.is_empty()
    }

    /// The sealed messages.
    pub fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    /// The number of the message that was sealed last; 0 before the first.
    pub fn last_sequence(&self) -> u64 {
        self.last_sequence
    }

    /// Bytes of what is sealed, and of the flag logs that are not.
    pub fn buffered_bytes(&self) -> usize {
        self.outbox.total_bytes().saturating_add(self.fragment_bytes)
    }

    /// Makes the oldest sealed message that has flag logs give them up; see [`Outbox::give_up_oldest_logs`].
    pub fn give_up_oldest_logs(&mut self) -> Option<u64> {
        self.outbox.give_up_oldest_logs()
    }

    fn seal_pending(&mut self, now_ms: u64, has_report: bool, reports: impl FnOnce() -> Vec<Vec<u8>>) -> Sealed {
        let mut sealed = Sealed::default();
        if !has_report && self.is_empty() {
            self.window_start_ms = NOT_OPEN;
            return sealed;
        }
        let metrics = custom::write(&self.metrics, now_ms, MAX_FRAGMENT_BYTES);
        let parts = pair(reports(), metrics.iter().map(v1::MetricSet::encode_to_vec).collect());
        let room = MAX_OUTBOX_MESSAGES.saturating_sub(self.outbox.len());
        // An empty outbox takes all parts, however many: otherwise a great total could never leave.
        if room == 0 || (parts.len() > room && !self.outbox.is_empty()) {
            sealed.held_back = true;
            return sealed;
        }
        self.metrics = Delta::new();
        let window = (self.window_start_ms.min(now_ms), now_ms);
        let mut parts = parts.into_iter();
        loop {
            let part = parts.next();
            let nothing_left = self.points.is_empty() && self.fragments.is_empty() && self.dropped.is_empty();
            if part.is_none() && (nothing_left || self.outbox.len() >= MAX_OUTBOX_MESSAGES) {
                break;
            }
            match self.seal_one(window, part.unwrap_or_default()) {
                Ok(()) => sealed.messages = sealed.messages.saturating_add(1),
                Err(error) => sealed.error = Some(error),
            }
        }
        // What did not fit belongs to the next window, which begins where this one ends, but for points: they say
        // themselves when they began.
        self.window_start_ms = match (self.points.is_empty(), self.fragments.is_empty()) {
            (false, _) => window.0,
            (true, false) => now_ms,
            (true, true) => NOT_OPEN,
        };
        sealed
    }

    /// Seals one envelope: a part that is never given up, the next points if they fit beside it, and as many fragments as
    /// fit behind them.
    fn seal_one(&mut self, window: (u64, u64), part: Part) -> Result<(), EnvelopeError> {
        let mut bytes = part.len();
        let Part { flag_logs: report, metrics } = part;
        let fits = self.points.front().is_some_and(|points| bytes.saturating_add(points.len()) <= MAX_FRAGMENT_BYTES);
        let resource_metrics = if fits { self.points.pop_front().unwrap_or_default() } else { Vec::new() };
        bytes = bytes.saturating_add(resource_metrics.len());
        let mut logs = Vec::new();
        let mut assignments = 0_u64;
        let mut fragments = 0_u64;
        while let Some(fragment) = self.fragments.pop_front() {
            let with_fragment = bytes.saturating_add(fragment.bytes.len());
            if with_fragment > MAX_FRAGMENT_BYTES && bytes > 0 {
                self.fragments.push_front(fragment);
                break;
            }
            bytes = with_fragment;
            self.fragment_bytes = self.fragment_bytes.saturating_sub(fragment.bytes.len());
            logs.extend_from_slice(&fragment.bytes);
            assignments = assignments.saturating_add(fragment.assignments);
            fragments = fragments.saturating_add(1);
        }
        let (window_start_ms, window_end_ms) = window;
        let sequence = self.last_sequence.saturating_add(1);
        let mut envelope = Envelope {
            stream_id: self.identity.stream_id,
            ledgers: self.identity.ledgers,
            sequence,
            window_start_ms,
            window_end_ms,
            resolver_id: self.identity.name.clone(),
            dimensions: self.identity.dimensions.clone(),
            flag_logs: report,
            metrics,
            resource_metrics,
            dropped: std::mem::take(&mut self.dropped),
        };
        let tombstone = (fragments > 0).then(|| envelope.clone());
        envelope.flag_logs.append(&mut logs);
        self.outbox.add(&envelope, tombstone, assignments)?;
        self.last_sequence = sequence;
        Ok(())
    }

    /// Gives up flag logs, oldest first, until what waits is within its bound. Returns the assignments lost.
    fn hold_bound(&mut self) -> u64 {
        let mut lost = 0_u64;
        while self.buffered_bytes() > MAX_BUFFER_BYTES {
            if let Some(assignments) = self.outbox.give_up_oldest_logs() {
                lost = lost.saturating_add(assignments);
            } else if let Some(fragment) = self.fragments.pop_front() {
                self.fragment_bytes = self.fragment_bytes.saturating_sub(fragment.bytes.len());
                add_dropped(&mut self.dropped, Reason::BufferFull, fragment.assignments, 0);
                lost = lost.saturating_add(fragment.assignments);
            } else {
                break;
            }
        }
        lost
    }
}

/// Puts a report and metrics into one message each, where they fit it together.
fn pair(reports: Vec<Vec<u8>>, metrics: Vec<Vec<u8>>) -> Vec<Part> {
    let mut parts: Vec<Part> = reports.into_iter().map(|flag_logs| Part { flag_logs, ..Part::default() }).collect();
    let mut last = Vec::new();
    let mut places = parts.iter_mut();
    for metrics in metrics {
        match places.next() {
            Some(part) if part.len().saturating_add(metrics.len()) <= MAX_FRAGMENT_BYTES => part.metrics = metrics,
            _ => last.push(Part { metrics, ..Part::default() }),
        }
    }
    parts.append(&mut last);
    parts
}

#[cfg(test)]
mod tests;
