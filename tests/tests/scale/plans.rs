//! What is simulated.

const SECOND: u64 = 1_000_000;

/// What goes wrong, in a hundred thousand.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Faults {
    /// Messages that are delivered twice.
    pub(crate) duplicates: u64,
    /// Steps of a consumer at which its isolate ends.
    pub(crate) crashes: u64,
    /// Commits whose answer does not arrive.
    pub(crate) lost_answers: u64,
    /// Seconds in which a Ledger loses its memory.
    pub(crate) restarts: u64,
}

/// What the platform does every day.
pub(crate) const EVERY_DAY: Faults = Faults { duplicates: 200, crashes: 20, lost_answers: 100, restarts: 500 };

/// One queue is out for a while.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outage {
    /// It refuses what is sent; else its consumers stop.
    pub(crate) refuses: bool,
    /// All queues, not only the first.
    pub(crate) is_everywhere: bool,
    /// From this second on.
    pub(crate) from_s: u64,
    /// To this one.
    pub(crate) to_s: u64,
}

/// A run of the simulation.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// What the page calls it.
    pub(crate) name: &'static str,
    /// A seed gives one run.
    pub(crate) seed: u64,
    /// Isolates of producers.
    pub(crate) isolates: usize,
    /// Resolves of each, a second.
    pub(crate) rate: f64,
    /// `FLUSH_INTERVAL_MS`.
    pub(crate) flush_ms: u64,
    /// `PUBLISH_INTERVAL_MS`.
    pub(crate) publish_ms: u64,
    /// `QUEUE_SHARDS`: queues, and as many Ledgers.
    pub(crate) shards: usize,
    /// Consumers of each queue at the beginning.
    pub(crate) consumers: usize,
    /// How long resolves come.
    pub(crate) seconds: u64,
    /// From when on the age of what is published is noted.
    pub(crate) warm_up_s: u64,
    /// What goes wrong.
    pub(crate) faults: Faults,
    /// What goes very wrong.
    pub(crate) outage: Option<Outage>,
}

impl Plan {
    fn is_out(&self, queue: usize, now: u64, refuses: bool) -> Option<u64> {
        let outage = self.outage.filter(|outage| outage.refuses == refuses && (queue == 0 || outage.is_everywhere))?;
        (outage.from_s * SECOND..outage.to_s * SECOND).contains(&now).then_some(outage.to_s * SECOND)
    }

    /// Whether a queue refuses all that is sent.
    pub(crate) fn refuses(&self, queue: usize, now: u64) -> bool {
        self.is_out(queue, now, true).is_some()
    }

    /// Whether the consumers of a queue have stopped.
    pub(crate) fn stops(&self, queue: usize, now: u64) -> bool {
        self.stopped_until(queue, now).is_some()
    }

    /// Until when they have, in microseconds.
    pub(crate) fn stopped_until(&self, queue: usize, now: u64) -> Option<u64> {
        self.is_out(queue, now, false)
    }
}

const USUAL: Plan = Plan {
    name: "",
    seed: 1,
    isolates: 100,
    rate: 100.0,
    flush_ms: 1_000,
    publish_ms: 10_000,
    shards: 1,

    consumers: 10,
    seconds: 120,
    warm_up_s: 20,
    faults: EVERY_DAY,
    outage: None,
};

/// The runs of the page on a usual day.
pub(crate) fn days() -> Vec<Plan> {
    vec![
        Plan { name: "10^4/s", ..USUAL },
        Plan { name: "10^4/s, published every second", publish_ms: 1_000, ..USUAL },
        Plan {
            name: "10^4/s, 4,000 seldom asked isolates",
            isolates: 4_000,
            rate: 2.5,
            consumers: 30,
            seconds: 60,
            ..USUAL
        },
        Plan { name: "10^6/s, 3 queues", isolates: 10_000, shards: 3, consumers: 30, seconds: 40, ..USUAL },
        Plan {
            name: "10^6/s, 1 queue, a flush every 5 s",
            isolates: 10_000,
            flush_ms: 5_000,
            consumers: 30,
            seconds: 40,
            ..USUAL
        },
        // 80 % of the messages that 16 queues take.
        Plan {
            name: "7 × 10^5/s, 16 queues, isolates of 10/s",
            isolates: 70_000,
            rate: 10.0,
            shards: 16,
            consumers: 40,
            seconds: 20,
            warm_up_s: 10,
            ..USUAL
        },
    ]
}

/// The runs of the page in which something is out for ten minutes.
pub(crate) fn outages() -> Vec<Plan> {
    let out = |refuses, is_everywhere| Some(Outage { refuses, is_everywhere, from_s: 60, to_s: 660 });
    let minutes = Plan { seconds: 1_020, ..USUAL };
    let three = Plan { isolates: 300, shards: 3, ..minutes.clone() };
    vec![
        Plan { name: "consumers stop, 10^4/s", outage: out(false, false), ..minutes.clone() },
        Plan { name: "the queue refuses, 10^4/s", outage: out(true, false), ..minutes.clone() },
        Plan { name: "one of 3 queues' consumers stop, 3 × 10^4/s", outage: out(false, false), ..three.clone() },
        Plan { name: "one of 3 queues refuses, 3 × 10^4/s", outage: out(true, false), ..three },
        Plan {
            name: "consumers stop, 5 × 10^4/s", isolates: 500, consumers: 10, outage: out(false, false), ..minutes
        },
    ]
}

/// Small runs for the tests.
pub(crate) fn small() -> Vec<Plan> {
    let out = |refuses| Some(Outage { refuses, is_everywhere: true, from_s: 10, to_s: 25 });
    let faults = Faults { duplicates: 5_000, crashes: 4_000, lost_answers: 10_000, restarts: 10_000 };
    let small = Plan { isolates: 40, rate: 20.0, seconds: 40, warm_up_s: 5, publish_ms: 2_000, faults, ..USUAL };
    vec![
        Plan { name: "a day", ..small.clone() },
        Plan { name: "three shards", shards: 3, ..small.clone() },
        Plan { name: "consumers stop", outage: out(false), ..small.clone() },
        Plan { name: "every queue refuses", shards: 2, outage: out(true), ..small.clone() },
        Plan {
            name: "one queue refuses",
            shards: 3,

            outage: Some(Outage { refuses: true, is_everywhere: false, from_s: 10, to_s: 25 }),
            ..small
        },
    ]
}
