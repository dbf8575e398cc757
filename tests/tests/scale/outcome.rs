//! What is looked at during a run and after it, and the oracle: what was sent, summed up by who sent it.

use tributary_consumer::{
    limits::{MAX_JOURNAL_BYTES, MAX_JOURNAL_STREAMS, MAX_RECORDS_PER_COMMIT},
    self_metrics::LedgerStatus,
};
use tributary_telemetry::{Snapshot, Value, limits::MAX_SNAPSHOT_BYTES};

use crate::{plans::Plan, platform::QUEUE_BYTES, producer::Isolate, server::Server, traffic::stream_id};
use tributary_tests::growth::as_f64;

/// Shares of a message's resolves whose age is looked at one by one.
const SAMPLES: u64 = 8;

/// Ages of resolves when they were published, in buckets that are 2 % wide.
#[derive(Clone, Default)]
pub(crate) struct Ages(Vec<f64>);

impl std::fmt::Debug for Ages {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let quantiles = [0.5, 0.99, 1.0].map(|share| self.quantile(share));
        f.debug_tuple("Ages").field(&quantiles).finish()
    }
}

impl Ages {
    fn add(&mut self, micros: u64, weight: f64) {
        let bucket = ((as_f64(micros).max(1_000.0) / 1_000.0).ln() / 1.02f64.ln()).floor();
        let bucket = usize::try_from(crate::chance::whole(bucket)).unwrap();
        if self.0.len() <= bucket {
            self.0.resize(bucket + 1, 0.0);
        }
        self.0[bucket] += weight;
    }

    /// The age in seconds that `share` of the resolves had at most; `None` of none.
    pub(crate) fn quantile(&self, share: f64) -> Option<f64> {
        let total: f64 = self.0.iter().sum();
        let mut passed = 0.0;
        let place = self.0.iter().position(|weight| {
            passed += weight;
            passed > 0.0 && passed >= share * total
        })?;
        Some(1.02f64.powi(i32::try_from(place + 1).ok()?) / 1_000.0)
    }
}

/// One look, once a second.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    /// When.
    pub(crate) second: u64,
    /// Messages that wait, in all queues.
    pub(crate) waiting: u64,
    /// Consumers that run.
    pub(crate) running: u64,
    /// Age in seconds that 99 % of the resolves of the last publication had at most, and have now.
    pub(crate) age: f64,
}

/// What is counted during a run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Watch {
    pub(crate) resolves: u64,
    pub(crate) messages: u64,
    pub(crate) refused: u64,
    pub(crate) failovers: u64,
    pub(crate) duplicates: u64,
    pub(crate) retries: u64,
    pub(crate) crashes: u64,
    pub(crate) lost_answers: u64,
    pub(crate) restarts: u64,
    pub(crate) commits: u64,
    pub(crate) batches: u64,
    /// Copies of which the first Ledger knows nothing, or their sender not that it does.
    pub(crate) untold: u64,
    /// The most messages that an isolate held.
    pub(crate) held: usize,
    pub(crate) settled_us: u64,
    pub(crate) text_bytes: usize,
    pub(crate) most_unfolded: usize,
    pub(crate) most_journal_bytes: usize,
    pub(crate) most_state_bytes: usize,
    most_waiting: usize,
    most_bytes: f64,
    publications: u64,
    refused_puts: u64,
    last_put_us: Option<u64>,
    last: Option<Snapshot>,
    ages: Ages,
    last_age: f64,
    last_published_us: u64,
    looks: Vec<Look>,
}

impl Watch {
    pub(crate) fn look(&mut self, second: u64, waiting: usize, bytes: f64, running: usize) {
        self.most_waiting = self.most_waiting.max(waiting);
        self.most_bytes = self.most_bytes.max(bytes);
        let count = |count: usize| u64::try_from(count).unwrap();
        let age = self.last_age + as_f64(second.saturating_sub(self.last_published_us / 1_000_000));
        self.looks.push(Look { second, waiting: count(waiting), running: count(running), age });
    }

    /// A publication puts its keys, which KV takes once a second; says whether it did. What is published must not go down.
    pub(crate) fn put(&mut self, now: u64, state: &Snapshot) -> bool {
        if self.last_put_us.is_some_and(|last| now < last + 1_000_000) {
            self.refused_puts += 1;
            return false;
        }
        self.last_put_us = Some(now);
        self.publications += 1;
        if let Some(last) = self.last.replace(state.clone()) {
            for family in last.families() {
                for (labels, series) in family.series() {
                    let name = family.descriptor().name();
                    let now = state.get(name, labels).map(|series| total(series.value()));
                    assert!(now >= Some(total(series.value())), "{name}{labels:?} went down");
                }
            }
        }
        true
    }

    pub(crate) fn published(&mut self, now: u64, records: &[(usize, u64)], isolates: &[Isolate], from: u64) {
        let mut of_this = Ages::default();
        for (isolate, sequence) in records {
            let span = isolates[*isolate].spans[usize::try_from(*sequence).unwrap() - 1];
            let weight = f64::from(span.resolves) / as_f64(SAMPLES);
            for sample in 0..SAMPLES {
                let at = span.start_us + u64::from(span.length_us) * sample / SAMPLES;
                of_this.add(now.saturating_sub(at), weight);
                if span.start_us >= from {
                    self.ages.add(now.saturating_sub(at), weight);
                }
            }
        }
        self.last_published_us = now;
        self.last_age = of_this.quantile(0.99).unwrap_or(0.0);
    }
}

/// The total of a series; 0 of one that is none.
fn total(value: &Value) -> u64 {
    match value {
        Value::Counter(count) => *count,
        Value::Histogram(histogram) => histogram.count(),
        _ => 0,
    }
}

/// What came of a run.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    /// What was run.
    pub(crate) plan: Plan,
    /// Resolves that were recorded.
    pub(crate) resolves: u64,
    /// Messages that a queue took.
    pub(crate) messages: u64,
    /// Sends that a queue refused.
    pub(crate) refused: u64,
    /// Messages that another queue took than that of their stream.
    pub(crate) failovers: u64,
    /// Messages that were delivered a second time by the queue alone.
    pub(crate) duplicates: u64,
    /// Messages that the consumer left for later.
    pub(crate) retries: u64,
    /// Invocations of the consumer that ended in the middle.
    pub(crate) crashes: u64,
    /// Times that a Ledger lost its memory.
    pub(crate) restarts: u64,
    /// Copies of which the first Ledger knows nothing, or their sender not that it does.
    pub(crate) untold: u64,
    /// Invocations of the consumer.
    pub(crate) batches: u64,
    /// Requests of Ledgers, those for publications not among them.
    pub(crate) commits: u64,
    /// Rows that Ledgers wrote for them.
    pub(crate) rows_written: u64,
    /// Commits that a Ledger refused because too many waited.
    pub(crate) overloaded: u64,
    /// Share of its time that the busiest Ledger's thread worked.
    pub(crate) ledger_busy: f64,
    /// The most requests that waited for a Ledger.
    pub(crate) most_ledger_waiting: usize,
    /// Publications.
    pub(crate) publications: u64,
    /// Publications that KV refused, too soon after another.
    pub(crate) refused_puts: u64,
    /// Ages of resolves when they were published.
    pub(crate) ages: Ages,
    /// The most messages that waited, in all queues.
    pub(crate) most_waiting: u64,
    /// The most bytes that waited, in one queue.
    pub(crate) most_bytes: f64,
    /// The most messages that an isolate held.
    pub(crate) most_held: u64,
    /// Seconds after the end of the outage until no more waits than before it; `None` without one.
    pub(crate) catch_up_s: Option<u64>,
    /// Bytes of the largest state.
    pub(crate) state_bytes: u64,
    /// Streams of the largest journal.
    pub(crate) journal_streams: u64,
    /// Rows of all Ledgers' streams at the end.
    pub(crate) stream_rows: u64,
    /// Once a second.
    pub(crate) looks: Vec<Look>,
    /// Resolves that are in no published total.
    pub(crate) lost: u64,
    /// Records whose delta was applied twice.
    pub(crate) doubled: u64,
}

impl Outcome {
    pub(crate) fn new(
        plan: &Plan,
        watch: &Watch,
        isolates: &[Isolate],
        servers: &[Server],
        state: &Snapshot,
        status: &LedgerStatus,
    ) -> Self {
        let shown = |family: &str| -> u64 {
            let of_name = state.families().filter(|of| of.descriptor().name() == family);
            of_name.flat_map(|family| family.series()).map(|(_, series)| total(series.value())).sum()
        };
        let published: u64 = shown("confidence_resolves");
        assert_eq!(shown("confidence_resolve_latency_microseconds"), published, "a latency for each resolve");
        let last = watch.last.as_ref().map_or(0, |state| {
            let of_name = state.families().filter(|family| family.descriptor().name() == "confidence_resolves");
            of_name.flat_map(|family| family.series()).map(|(_, series)| total(series.value())).sum()
        });
        assert_eq!(last, published, "the last publication has everything");
        let (mut not_applied, mut doubled, mut records) = (0u64, 0, 0);
        for (index, isolate) in isolates.iter().enumerate() {
            let stream = stream_id(u64::try_from(index).unwrap());
            for sequence in 1..=u64::try_from(isolate.spans.len()).unwrap() {
                let times = servers.iter().filter_map(|server| server.object.applied.get(&(stream, sequence)));
                let times: u64 = times.sum();
                records += 1;
                not_applied += u64::from(times == 0);
                doubled += u64::from(times > 1);
            }
        }
        assert_eq!(not_applied, 0, "every record is applied");
        assert_eq!(shown("tributary_records_sent"), records, "the accounts know what was sent");
        assert_eq!(shown("tributary_records_applied"), records, "and what was applied");
        assert!(status.missing.values().all(|missing| *missing == 0), "and miss nothing");
        assert_eq!(status.ledgers.len(), servers.len() - 1, "the first Ledger knows all others");
        assert!(published <= watch.resolves, "more than there were: {published} of {}", watch.resolves);
        assert!(watch.most_state_bytes <= MAX_SNAPSHOT_BYTES + 100, "the state fits its row");
        assert!(watch.most_unfolded <= MAX_JOURNAL_STREAMS + MAX_RECORDS_PER_COMMIT, "memory holds a bounded journal");
        let commit_bytes = 128 * MAX_RECORDS_PER_COMMIT * 16;
        assert!(watch.most_journal_bytes <= MAX_JOURNAL_BYTES + commit_bytes, "and so does the disk");
        assert!(watch.most_bytes <= QUEUE_BYTES * 1.01, "a queue holds what it can");
        let count = |count: usize| u64::try_from(count).unwrap();
        let stream_rows = servers.iter().map(|server| server.object.remembered()).sum();
        let busy = |server: &Server| as_f64(server.worked_us) / as_f64(watch.settled_us);
        Self {
            plan: plan.clone(),
            resolves: watch.resolves,
            messages: watch.messages,
            refused: watch.refused,
            failovers: watch.failovers,
            duplicates: watch.duplicates,
            retries: watch.retries,
            crashes: watch.crashes,
            restarts: watch.restarts,
            untold: watch.untold,
            batches: watch.batches,
            commits: watch.commits,
            rows_written: servers.iter().map(|server| server.object.rows.written).sum(),
            overloaded: servers.iter().map(|server| server.refused).sum(),
            ledger_busy: servers.iter().map(busy).fold(0.0, f64::max),
            most_ledger_waiting: servers.iter().map(|server| server.most_waiting).max().unwrap_or_default(),
            publications: watch.publications,
            refused_puts: watch.refused_puts,
            ages: watch.ages.clone(),
            most_waiting: count(watch.most_waiting),
            most_bytes: watch.most_bytes,
            most_held: count(watch.held),
            catch_up_s: catch_up(plan, watch),
            state_bytes: count(watch.most_state_bytes),
            journal_streams: count(watch.most_unfolded),
            stream_rows: count(stream_rows),
            looks: watch.looks.clone(),
            lost: watch.resolves - published,
            doubled,
        }
    }
}

impl Outcome {
    /// All of it but the looks, in a line.
    pub(crate) fn line(&self) -> String {
        let quantile = |share| self.ages.quantile(share).unwrap_or(0.0);
        format!(
            "{}: {} resolves, {} messages ({} twice, {} retried, {} by another queue, {} refused), {} batches ({} cut off), {} \
             commits ({} refused), {} rows written, busiest Ledger {:.4} (at most {} waiting, {} restarts), {} copies untold, {} publications ({} refused), \
             age p50 {:.3} s p99 {:.3} s, at most {} messages and {:.0} bytes waiting, {} held, catch-up {:?} s, state {} \
             bytes, {} streams in a journal, {} rows of streams, lost {}, doubled {}",
            self.plan.name,
            self.resolves,
            self.messages,
            self.duplicates,
            self.retries,
            self.failovers,
            self.refused,
            self.batches,
            self.crashes,
            self.commits,
            self.overloaded,
            self.rows_written,
            self.ledger_busy,
            self.most_ledger_waiting,
            self.restarts,
            self.untold,
            self.publications,
            self.refused_puts,
            quantile(0.5),
            quantile(0.99),
            self.most_waiting,
            self.most_bytes,
            self.most_held,
            self.catch_up_s,
            self.state_bytes,
            self.journal_streams,
            self.stream_rows,
            self.lost,
            self.doubled,
        )
    }
}

/// How long it took until no more than twice as much waited as before the outage, and what is published is as fresh as
/// twice then.
fn catch_up(plan: &Plan, watch: &Watch) -> Option<u64> {
    let outage = plan.outage?;
    let before: Vec<&Look> = watch.looks.iter().filter(|look| (20..outage.from_s).contains(&look.second)).collect();
    let most = |value: fn(&Look) -> f64| before.iter().map(|look| value(look)).fold(0.0, f64::max);
    let (waiting, age) = (most(|look| as_f64(look.waiting)), most(|look| look.age));
    let is_usual = |look: &&Look| as_f64(look.waiting) <= 2.0 * waiting && look.age <= 1.2 * age + 1.0;
    let after = watch.looks.iter().filter(|look| look.second >= outage.to_s).find(is_usual)?;
    Some(after.second - outage.to_s)
}
