//! Ledgers at work: their alarms, what the others tell ledger 0, and what it publishes.

use std::time::Duration;

use tributary_consumer::{ledger::shards::MAIN, limits::MIN_PUBLISH_INTERVAL, pipeline::LedgerFailure};

use super::{Event, SECOND, Simulation};
use crate::{
    START_MS,
    chance::{between, happens},
    platform::{DURABLE, KV_PUT, NETWORK},
    server::{Done, Job, Told, publication},
};

/// The Ledger that publishes.
const FIRST: usize = 0;

impl Simulation {
    /// Makes a Ledger go on.
    pub(super) fn work(&mut self, ledger: usize) {
        if let Some(took) = self.servers[ledger].begin(self.now) {
            self.at(self.now + took, Event::Done(ledger));
        }
    }

    pub(super) fn done(&mut self, ledger: usize) {
        match self.servers[ledger].end() {
            None => {}
            Some(Done::Commit { run, call, response }) => {
                let is_lost = happens(self.plan.faults.lost_answers, &mut self.random);
                self.watch.lost_answers += u64::from(is_lost);
                let answer = if is_lost { Err(LedgerFailure("no answer".to_owned())) } else { Ok(response) };
                self.answer((run, call), answer, DURABLE);
                self.arm(ledger);
            }
            Some(Done::Copy(told)) => {
                self.servers[ledger].told = Some(told);
                let at = self.now + between(NETWORK, &mut self.random);
                self.at(at, Event::Tell(ledger));
            }
            Some(Done::TakeIn { from }) => {
                self.arm(FIRST);
                let is_answered = !happens(self.plan.faults.lost_answers, &mut self.random);
                let at = self.now + DURABLE + between(NETWORK, &mut self.random);
                self.at(at, Event::Told(from, is_answered));
            }
            Some(Done::Publish(of)) => {
                self.watch.text_bytes = self.watch.text_bytes.max(publication(&of.state, &of.status, self.now));
                if self.watch.put(self.now, &of.state) {
                    self.servers[FIRST].told = Some(of.told);
                    let put = between(KV_PUT, &mut self.random) + between(KV_PUT, &mut self.random);
                    self.at(self.now + put, Event::Published);
                } else {
                    // Too soon after the one before: what was to be published goes with the next.
                    self.servers[FIRST].unpublished.extend(of.told.records);
                    self.servers[FIRST].is_out = false;
                    self.arm(FIRST);
                }
            }
        }
        self.work(ledger);
    }

    fn interval(&self, ledger: usize) -> Duration {
        let interval = Duration::from_millis(self.plan.publish_ms);
        if u32::try_from(ledger) == Ok(MAIN) { interval } else { (interval / 2).max(MIN_PUBLISH_INTERVAL) }
    }

    /// Sets the alarm of a Ledger, where it has to be.
    fn arm(&mut self, ledger: usize) {
        let (now_ms, interval) = (START_MS + self.now / 1_000, self.interval(ledger));
        let server = &mut self.servers[ledger];
        let version = server.version(self.now);
        if let Some(delay) = server.schedule.alarm_after_change(version, now_ms, interval) {
            self.at(self.now + u64::try_from(delay.as_micros()).unwrap(), Event::Alarm(ledger));
        }
    }

    /// As the object does: the first publishes, another tells the first of itself.
    pub(super) fn alarm(&mut self, ledger: usize) {
        let (now_ms, interval) = (START_MS + self.now / 1_000, self.interval(ledger));
        let server = &mut self.servers[ledger];
        server.schedule.alarm_came(now_ms, Duration::from_secs(60));
        if server.is_out {
            // Alarms of one object never overlap.
            server.schedule.alarm_wanted(now_ms, Duration::from_secs(1));
            return self.at(self.now + SECOND, Event::Alarm(ledger));
        }
        if server.schedule.is_early(now_ms, interval) {
            return self.arm(ledger);
        }
        if !server.schedule.is_due(server.object.book(now_ms).state.version()) {
            return server.schedule.disarmed();
        }
        server.schedule.started(now_ms);
        server.is_out = true;
        let _always_taken = server.take(if ledger == FIRST { Job::Publish } else { Job::Copy }).is_ok();
        self.work(ledger);
    }

    /// A copy reaches the first Ledger, or never does.
    pub(super) fn tell(&mut self, ledger: usize) {
        if happens(self.plan.faults.lost_answers, &mut self.random) {
            return self.told(ledger, false);
        }
        let server = &mut self.servers[ledger];
        let Some(told) = &mut server.told else { return };
        let job = Job::TakeIn { from: ledger, copy: told.copy.clone(), records: std::mem::take(&mut told.records) };
        let _always_taken = self.servers[FIRST].take(job).is_ok();
        self.work(FIRST);
    }

    /// A Ledger hears that it was taken in. Where it does not, it tells again with the interval.
    pub(super) fn told(&mut self, ledger: usize, is_answered: bool) {
        let (now_ms, interval) = (START_MS + self.now / 1_000, self.interval(ledger));
        let server = &mut self.servers[ledger];
        server.is_out = false;
        let Some(Told { version, records, .. }) = server.told.take() else { return };
        // Those that never arrived are in the next copy.
        server.unpublished.extend(records);
        if is_answered {
            server.schedule.published(version);
            return self.arm(ledger);
        }
        self.watch.untold += 1;
        server.schedule.alarm_wanted(now_ms, interval);
        self.at(self.now + u64::try_from(interval.as_micros()).unwrap(), Event::Alarm(ledger));
    }

    pub(super) fn published(&mut self) {
        let server = &mut self.servers[FIRST];
        server.is_out = false;
        let Some(Told { version, records, .. }) = server.told.take() else { return };
        server.schedule.published(version);
        self.watch.published(self.now, &records, &self.isolates, self.plan.warm_up_s * SECOND);
        self.arm(FIRST);
    }
}
