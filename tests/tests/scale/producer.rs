//! Isolates of a producer: windows of resolves, an outbox, and another queue where one refuses.

use std::{collections::VecDeque, rc::Rc};

use tributary_emitter::limits::{MAX_OUTBOX_MESSAGES, MAX_PENDING_ASSIGNMENTS};
use tributary_local::random::DemoRandom;

use crate::{
    START_MS,
    chance::{exponential, poisson},
    plans::Plan,
    traffic::{Head, RESOLVER_ID, message, stream_id, telemetry},
};
use tributary_tests::{cost::BYTES_PER_RESOLVE, growth::as_f64};

/// Assignments of a resolve in the demo state, in tenths: so many seal a window before its time.
const ASSIGNMENTS_TENTHS: u64 = 25;

/// Bytes of a message beside its resolves.
const HEAD_BYTES: f64 = 200.0;

/// Bytes of a message at most.
const MOST_BYTES: f64 = 120_000.0;

/// Resolves after which a window is sealed before its time.
pub(crate) fn resolves_that_seal() -> u64 {
    MAX_PENDING_ASSIGNMENTS * 10 / ASSIGNMENTS_TENTHS
}

/// Resolves of one message: when the first came, the last, and how many.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    pub(crate) start_us: u64,
    pub(crate) length_us: u32,
    pub(crate) resolves: u32,
}

/// A sealed message that no queue has.
pub(crate) struct Sealed {
    pub(crate) body: Rc<[u8]>,
    pub(crate) bytes: f64,
}

/// One isolate.
#[derive(Default)]
pub(crate) struct Isolate {
    /// Of every message that was sealed, by sequence from 1.
    pub(crate) spans: Vec<Span>,
    pub(crate) outbox: VecDeque<Sealed>,
    window_start_us: u64,
    pub(crate) is_open: bool,
    /// Whether it is about to try its outbox again.
    pub(crate) retries: bool,
    /// What waits because the outbox is full, by reason.
    held: [u64; 2],
    /// Since when.
    held_since_us: Option<u64>,
}

/// How a window ends.
pub(crate) struct Window {
    /// When the next one begins, from the end of this one.
    pub(crate) next_us: u64,
}

impl Isolate {
    /// The first resolve of a window came: when it is to be sealed.
    pub(crate) fn open(&mut self, now: u64, rate: f64, flush_us: u64) -> u64 {
        self.window_start_us = now;
        self.is_open = true;
        let full_us = as_f64(resolves_that_seal()) / rate * 1e6;
        let flush = as_f64(flush_us).min(full_us);
        now + crate::chance::whole(flush)
    }

    /// Seals the window, unless the outbox is full: what is pending then goes with a later one. Returns its resolves.
    pub(crate) fn seal(&mut self, index: usize, now: u64, plan: &Plan, random: &mut DemoRandom) -> (u64, Window) {
        let rate = plan.rate;
        self.is_open = false;
        let passed = as_f64(now - self.window_start_us) / 1e6;
        let resolves = 1 + poisson(rate * passed, random);
        let others = poisson(as_f64(resolves) / 4.0, random).min(resolves);
        let reasons = [resolves - others, others];
        self.held = [self.held[0] + reasons[0], self.held[1] + reasons[1]];
        let start_us = *self.held_since_us.get_or_insert(self.window_start_us);
        if self.outbox.len() < MAX_OUTBOX_MESSAGES {
            self.held_since_us = None;
            let reasons = std::mem::take(&mut self.held);
            let resolves = reasons[0] + reasons[1];
            let length = now - start_us;
            self.spans.push(Span {
                start_us,
                length_us: u32::try_from(length).unwrap_or(u32::MAX),
                resolves: u32::try_from(resolves).unwrap_or(u32::MAX),
            });
            let index = u64::try_from(index).unwrap_or(u64::MAX);
            let head = Head {
                stream_id: stream_id(index),
                sequence: u64::try_from(self.spans.len()).unwrap_or(u64::MAX),
                window_start_ms: START_MS + start_us / 1_000,
                window_end_ms: START_MS + now / 1_000,
                resolver_id: RESOLVER_ID,
                ledgers: u32::try_from(plan.shards).unwrap_or(u32::MAX),
            };
            let body = message(head, &telemetry(reasons, random), Vec::new());
            // What does not fit goes in messages of its own, or is given up past 8 MB: flag logs only, and no metrics.
            let bytes = (HEAD_BYTES + as_f64(resolves) * BYTES_PER_RESOLVE).min(MOST_BYTES);
            self.outbox.push_back(Sealed { body: body.into(), bytes });
        }
        (resolves, Window { next_us: crate::chance::whole(exponential(rate, random) * 1e6) })
    }

    /// Whether something waits that a seal could not take.
    pub(crate) fn holds(&self) -> bool {
        self.held != [0, 0] || !self.outbox.is_empty()
    }
}
