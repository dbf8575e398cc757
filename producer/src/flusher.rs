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
//!   telemetry goes on merging, flag logs go on collecting. Over the bound of bytes the oldest flag logs are given up
//!   and counted; telemetry never is.

use std::collections::{BTreeMap, VecDeque};

use tributary_proto::Message as _;
use tributary_proto::envelope::{Envelope, EnvelopeError, StreamId};
use tributary_proto::flag_logs::{Sdk, TelemetryData, WriteFlagLogsRequest};
use tributary_proto::v1;
use tributary_telemetry::confidence::TelemetryDelta;

use crate::fragment::{Cut, Fragment};
use crate::limits::{
    LEASE_GRACE_MS, MAX_BUFFER_BYTES, MAX_FRAGMENT_BYTES, MAX_OUTBOX_MESSAGES, MAX_PENDING_ASSIGNMENTS,
};
use crate::outbox::{Attempt, AttemptId, Outbox, add_dropped};

/// What the stream says about itself in every envelope.
#[derive(Clone, Debug, PartialEq)]
pub struct Identity {
    /// The stream.
    pub stream_id: StreamId,
    /// The `resolver_id` label; not empty and at most `MAX_RESOLVER_ID_BYTES`, see [`crate::config::Config`].
    pub resolver_id: String,
    /// What else is the same for all of the isolate, by name; values of at most `MAX_DIMENSION_BYTES`.
    pub dimensions: BTreeMap<String, String>,
    /// The SDK of the telemetry.
    pub sdk: Sdk,
    /// Version of the resolver library.
    pub resolver_version: String,
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

/// Gauges, read when a window is sealed. `None` is not reported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Readings {
    /// Linear memory of the Worker, in bytes.
    pub memory_bytes: Option<u64>,
    /// When the resolver state last changed, in milliseconds since the epoch.
    pub state_changed_ms: Option<u64>,
}

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
    deadline_ms: u64,
}

/// The deltas of one isolate, from the push to the confirmed message.
#[derive(Debug)]
pub struct Flusher {
    identity: Identity,
    last_sequence: u64,
    telemetry: TelemetryDelta,
    fragments: VecDeque<Fragment>,
    fragment_bytes: usize,
    dropped: Vec<v1::Dropped>,
    window_start_ms: Option<u64>,
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
            telemetry: TelemetryDelta::new(),
            fragments: VecDeque::new(),
            fragment_bytes: 0,
            dropped: Vec::new(),
            window_start_ms: None,
            lease: None,
            last_lease: 0,
            outbox: Outbox::default(),
        }
    }

    /// Counts one resolve: one latency, and one for each flag's reason. Call [`Flusher::push`] after it.
    pub fn observe(&mut self, latency_micros: u32, reasons: &[i32]) {
        self.telemetry.observe_latency(latency_micros);
        for reason in reasons {
            self.telemetry.add_resolves(*reason, 1);
        }
    }

    /// Opens the window if it is not open, and says what the caller has to do. `pending_assignments` is how many wait
    /// in the host's logs.
    pub fn push(&mut self, now_ms: u64, pending_assignments: u64, flush_interval_ms: u64) -> Role {
        self.window_start_ms = Some(self.window_start_ms.map_or(now_ms, |start_ms| start_ms.min(now_ms)));
        if flush_interval_ms == 0 || pending_assignments >= MAX_PENDING_ASSIGNMENTS {
            return Role::SealNow;
        }
        let deadline_ms = now_ms.saturating_add(flush_interval_ms).saturating_add(LEASE_GRACE_MS);
        // A deadline beyond what a lease of now would have comes from a clock that was set back: not to be waited for.
        let is_held = self.lease.is_some_and(|lease| (now_ms..=deadline_ms).contains(&lease.deadline_ms));
        if is_held {
            return Role::Follower;
        }
        self.last_lease = self.last_lease.wrapping_add(1);
        let id = LeaseId(self.last_lease);
        self.lease = Some(Lease { id, deadline_ms });
        Role::Flusher(id)
    }

    /// Seals everything pending, and `cut`, into the outbox and gives up `lease` if it is still held. Needs
    /// [`Flusher::take`] after it; both belong to one synchronous step.
    pub fn seal(&mut self, now_ms: u64, cut: Cut, readings: Readings, lease: Option<LeaseId>) -> Sealed {
        if self.lease.map(|held| held.id) == lease {
            self.lease = None;
        }
        self.collect(cut);
        let mut sealed = self.seal_pending(now_ms, readings);
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

    fn collect(&mut self, cut: Cut) {
        add_dropped(&mut self.dropped, v1::dropped::Reason::Oversize, cut.oversize_assignments);
        for fragment in cut.fragments {
            if fragment.bytes.len() > MAX_FRAGMENT_BYTES {
                // Cut with another limit: it would never fit, and must not be tried for ever.
                add_dropped(&mut self.dropped, v1::dropped::Reason::Oversize, fragment.assignments);
                continue;
            }
            self.fragment_bytes = self.fragment_bytes.saturating_add(fragment.bytes.len());
            self.fragments.push_back(fragment);
        }
    }

    fn seal_pending(&mut self, now_ms: u64, readings: Readings) -> Sealed {
        let mut sealed = Sealed::default();
        if self.telemetry.is_empty() && self.fragments.is_empty() && self.dropped.is_empty() {
            self.window_start_ms = None;
            return sealed;
        }
        let parts = self.telemetry_parts(now_ms, readings);
        let room = MAX_OUTBOX_MESSAGES.saturating_sub(self.outbox.len());
        // An empty outbox takes all parts, however many: otherwise a great total could never leave.
        if room == 0 || (parts.len() > room && !self.outbox.is_empty()) {
            sealed.held_back = true;
            return sealed;
        }
        self.telemetry = TelemetryDelta::new();
        let window = (self.window_start_ms.map_or(now_ms, |start_ms| start_ms.min(now_ms)), now_ms);
        let mut parts = parts.into_iter();
        loop {
            let telemetry = parts.next();
            let nothing_left = self.fragments.is_empty() && self.dropped.is_empty();
            if telemetry.is_none() && (nothing_left || self.outbox.len() >= MAX_OUTBOX_MESSAGES) {
                break;
            }
            match self.seal_one(window, telemetry.unwrap_or_default()) {
                Ok(()) => sealed.messages = sealed.messages.saturating_add(1),
                Err(error) => sealed.error = Some(error),
            }
        }
        // What did not fit belongs to the next window, which begins where this one ends.
        self.window_start_ms = (!self.fragments.is_empty()).then_some(now_ms);
        sealed
    }

    /// The pending telemetry with `readings`, encoded: one part, more where a total is over 32 bits.
    fn telemetry_parts(&self, now_ms: u64, readings: Readings) -> Vec<Vec<u8>> {
        let mut telemetry = self.telemetry.clone();
        if let Some(memory_bytes) = readings.memory_bytes {
            telemetry.set_memory_bytes(memory_bytes, now_ms);
        }
        if let Some(changed_ms) = readings.state_changed_ms {
            telemetry.set_state_update(changed_ms, now_ms);
        }
        let encode = |part: TelemetryData| {
            let telemetry_data = TelemetryData {
                sdk: Some(self.identity.sdk.clone()),
                resolver_version: self.identity.resolver_version.clone(),
                ..part
            };
            WriteFlagLogsRequest { telemetry_data: Some(telemetry_data), ..Default::default() }.encode_to_vec()
        };
        telemetry.to_wire().into_iter().map(encode).collect()
    }

    /// Seals one envelope: a part of the telemetry and as many fragments as fit behind it.
    fn seal_one(&mut self, window: (u64, u64), telemetry: Vec<u8>) -> Result<(), EnvelopeError> {
        let mut flag_logs = telemetry.clone();
        let mut assignments = 0_u64;
        let mut fragments = 0_u64;
        while let Some(fragment) = self.fragments.pop_front() {
            if flag_logs.len().saturating_add(fragment.bytes.len()) > MAX_FRAGMENT_BYTES && !flag_logs.is_empty() {
                self.fragments.push_front(fragment);
                break;
            }
            self.fragment_bytes = self.fragment_bytes.saturating_sub(fragment.bytes.len());
            flag_logs.extend_from_slice(&fragment.bytes);
            assignments = assignments.saturating_add(fragment.assignments);
            fragments = fragments.saturating_add(1);
        }
        let (window_start_ms, window_end_ms) = window;
        let sequence = self.last_sequence.saturating_add(1);
        let envelope = Envelope {
            stream_id: self.identity.stream_id,
            sequence,
            window_start_ms,
            window_end_ms,
            resolver_id: self.identity.resolver_id.clone(),
            dimensions: self.identity.dimensions.clone(),
            flag_logs,
            metrics: Vec::new(),
            dropped: std::mem::take(&mut self.dropped),
        };
        let tombstone = (fragments > 0).then(|| Envelope { flag_logs: telemetry, ..envelope.clone() });
        self.outbox.add(&envelope, tombstone, assignments)?;
        self.last_sequence = sequence;
        Ok(())
    }

    /// Gives up flag logs, oldest first, until what waits is within its bound. Returns the assignments lost.
    fn hold_bound(&mut self) -> u64 {
        let mut lost = 0_u64;
        while self.outbox.total_bytes().saturating_add(self.fragment_bytes) > MAX_BUFFER_BYTES {
            if let Some(assignments) = self.outbox.give_up_oldest_logs() {
                lost = lost.saturating_add(assignments);
            } else if let Some(fragment) = self.fragments.pop_front() {
                self.fragment_bytes = self.fragment_bytes.saturating_sub(fragment.bytes.len());
                add_dropped(&mut self.dropped, v1::dropped::Reason::BufferFull, fragment.assignments);
                lost = lost.saturating_add(fragment.assignments);
            } else {
                break;
            }
        }
        lost
    }
}

#[cfg(test)]
mod tests;
