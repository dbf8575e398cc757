//! What is measured: the same work at ever larger numbers of one thing, and the worst that senders can do.

use std::collections::BTreeMap;

use tributary_local::random::DemoRandom;
use tributary_proto::Message as _;
use tributary_telemetry::{Delta, FamilyDescriptor, LabelSet, MetricKind, confidence::TelemetryDelta};
pub(crate) use tributary_tests::growth::Point;

use crate::{
    bed::{BATCH, Bed},
    traffic::{Head, RESOLVER_ID, message, stream_id, telemetry},
};

/// Resolves of a coalesced message: an isolate that resolves a hundred times per flush interval.
const COALESCED: u64 = 100;

/// Batches in which the journal is folded at least once, whatever folds it: a full batch is a commit, and 1,024 commits or
/// 16,384 streams fold.
const WITH_A_FOLD: u64 = 1_040;

/// How far it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// All of it.
    Full,
    /// What callgrind counts in minutes.
    Counted,
    /// Enough to see that the bench works.
    Tried,
}

impl Extent {
    /// Those of `all` that are within it: beyond `counted`, callgrind is too slow.
    fn of(self, all: &[u64], counted: u64) -> Vec<u64> {
        let most = match self {
            Self::Full => u64::MAX,
            Self::Counted => counted,
            Self::Tried => 100,
        };
        all.iter().copied().filter(|x| *x <= most).collect()
    }

    /// How many batches are measured. Under callgrind few, so that none of them folds the journal.
    fn batches(self, batches: u64) -> u64 {
        match self {
            Self::Full => batches,
            Self::Counted => batches.min(60),
            Self::Tried => 2,
        }
    }
}

/// Runs every point and hands it over.
pub(crate) fn run(extent: Extent, emit: &mut dyn FnMut(Point)) {
    isolates(extent, emit);
    resolves(extent, emit);
    own_streams(extent, emit);
    new_labels(extent, emit);
    gaps(extent, emit);
    copies(extent, emit);
}

/// Streams that number their messages.
struct Streams {
    sequences: Vec<u64>,
    random: DemoRandom,
}

impl Streams {
    fn new(streams: u64) -> Self {
        Self { sequences: vec![0; usize::try_from(streams).unwrap()], random: DemoRandom::seeded(7) }
    }

    /// The next message of a stream.
    fn next(&mut self, stream: u64, now_ms: u64, resolves: u64) -> Vec<u8> {
        let sequence = &mut self.sequences[usize::try_from(stream).unwrap()];
        *sequence += 1;
        let head = head(stream, *sequence, now_ms, RESOLVER_ID);
        let matches = resolves - resolves / 4;
        message(head, &telemetry([matches, resolves - matches], &mut self.random), Vec::new())
    }

    /// A batch of whoever speaks.
    fn batch(&mut self, now_ms: u64, messages: u64) -> Vec<Vec<u8>> {
        let streams = u64::try_from(self.sequences.len()).unwrap();
        (0..messages)
            .map(|_| {
                let stream = self.random.below(streams);
                self.next(stream, now_ms, COALESCED)
            })
            .collect()
    }
}

fn head(stream: u64, sequence: u64, now_ms: u64, resolver_id: &str) -> Head<'_> {
    Head {
        stream_id: stream_id(stream),
        sequence,
        window_start_ms: now_ms - 1_000,
        window_end_ms: now_ms,
        resolver_id,
        ledgers: 1,
    }
}

/// A batch costs what it costs, however many isolates there are.
fn isolates(extent: Extent, emit: &mut dyn FnMut(Point)) {
    let counted = |x: &u64| extent != Extent::Counted || [1, 100, 10_000].contains(x);
    for x in extent.of(&[1, 10, 100, 1_000, 10_000, 100_000], 10_000).into_iter().filter(counted) {
        let (mut bed, mut streams) = (Bed::new(), Streams::new(x));
        for first in (0..x).step_by(usize::try_from(BATCH).unwrap()) {
            let batch = (first..x.min(first + BATCH)).map(|stream| streams.next(stream, bed.now_ms(), COALESCED));
            bed.batch(batch.collect(), false);
        }
        bed.begin();
        for _ in 0..extent.batches(WITH_A_FOLD) {
            let batch = streams.batch(bed.now_ms(), BATCH);
            bed.batch(batch, true);
        }
        emit(bed.end("isolates", x, COALESCED));
    }
}

/// A resolve costs what it costs, however many there were. Ten batches after each point; none of them folds.
fn resolves(extent: Extent, emit: &mut dyn FnMut(Point)) {
    for x in extent.of(&[1_000, 10_000, 100_000, 1_000_000, 10_000_000], 100_000) {
        let (mut bed, mut streams) = (Bed::new(), Streams::new(100));
        while bed.messages() < x / COALESCED {
            let messages = BATCH.min(x / COALESCED - bed.messages());
            let batch = streams.batch(bed.now_ms(), messages);
            bed.batch(batch, false);
        }
        bed.begin();
        for _ in 0..10 {
            let batch = streams.batch(bed.now_ms(), BATCH);
            bed.batch(batch, true);
        }
        emit(bed.end("resolves", x, COALESCED));
    }
}

/// The worst for rows: every message is the first of its stream, with one resolve.
fn own_streams(extent: Extent, emit: &mut dyn FnMut(Point)) {
    // 16,384 streams fold, so these have one fold or two.
    let batches = extent.batches(170);
    for x in extent.of(&[100, 1_000, 10_000, 100_000], 1_000) {
        let mut bed = Bed::new();
        let mut random = DemoRandom::seeded(7);
        let mut batch = |bed: &mut Bed, is_counted| {
            let first = bed.messages();
            let one = |stream| {
                message(head(stream, 1, bed.now_ms(), RESOLVER_ID), &telemetry([1, 0], &mut random), Vec::new())
            };
            let bodies = (first..first + BATCH).map(one).collect();
            bed.batch(bodies, is_counted);
        };
        while bed.messages() < x {
            batch(&mut bed, false);
        }
        bed.begin();
        (0..batches).for_each(|_| batch(&mut bed, true));
        emit(bed.end("own stream each", x, 1));
    }
}

static ORDERS: FamilyDescriptor = FamilyDescriptor::from_static("shop_orders", "Orders.", "", MetricKind::Counter);

/// The worst for the state: every message has a new `resolver_id`, a new label set of initialisations and a new custom
/// series, all of them past every bound at last.
fn new_labels(extent: Extent, emit: &mut dyn FnMut(Point)) {
    for x in extent.of(&[100, 1_000, 10_000, 30_000], 1_000) {
        let mut bed = Bed::new();
        let batch = |bed: &mut Bed, is_counted| {
            let first = bed.messages();
            let bodies = (first..first + BATCH).map(|index| labelled(index, bed.now_ms())).collect();
            bed.batch(bodies, is_counted);
        };
        while bed.messages() < x {
            batch(&mut bed, false);
        }
        bed.begin();
        (0..extent.batches(x.div_ceil(BATCH).min(20))).for_each(|_| batch(&mut bed, true));
        emit(bed.end("new labels each", x, 1));
    }
}

fn labelled(index: u64, now_ms: u64) -> Vec<u8> {
    let resolver_id = format!("source-{index}");
    let mut telemetry = TelemetryDelta::new();
    telemetry.add_resolves(1, 1);
    telemetry.observe_latency(300);
    let label = |name: u64| (format!("label_{name}"), format!("{index:060}"));
    telemetry.add_provider_init((0..4).map(label).collect::<BTreeMap<_, _>>(), 1);
    let labels = LabelSet::from_pairs([("key", format!("{index:060}").as_str())]).unwrap();
    let mut custom = Delta::new();
    custom.add_counter(&ORDERS, labels, 1).unwrap();
    message(head(index, 1, now_ms, &resolver_id), &telemetry, custom.to_wire().encode_to_vec())
}

/// The worst for a row: every second sequence of a hundred streams is missing. Then they come, the last first; or never,
/// and past 64 gaps a stream the oldest are given up.
fn gaps(extent: Extent, emit: &mut dyn FnMut(Point)) {
    const STREAMS: u64 = 100;
    let mut random = DemoRandom::seeded(7);
    let mut batch = |bed: &mut Bed, sequence| {
        let one = |stream| {
            message(head(stream, sequence, bed.now_ms(), RESOLVER_ID), &telemetry([1, 0], &mut random), Vec::new())
        };
        let bodies = (0..STREAMS).map(one).collect();
        bed.batch(bodies, true);
    };
    let mut bed = Bed::new();
    let steps: &[u64] = if extent == Extent::Tried { &[8] } else { &[8, 16, 32, 64] };
    for x in steps {
        for gap in x - 7..=*x {
            if gap == x - 7 {
                bed.begin();
            }
            batch(&mut bed, 2 * gap);
        }
        emit(bed.end("gaps opened", *x, 1));
        // The next step goes on from here.
        ((x + 1)..(2 * x).min(64).saturating_sub(7)).for_each(|gap| batch(&mut bed, 2 * gap));
    }
    let most = steps.iter().copied().max().unwrap_or_default();
    for gap in (1..=most).rev() {
        if gap % 8 == 0 {
            bed.begin();
        }
        batch(&mut bed, 2 * gap - 1);
        if gap % 8 == 1 && [1, 17, 33, 57].contains(&gap) {
            emit(bed.end("gaps filled from the end", gap - 1, 1));
        }
    }
    let mut bed = Bed::new();
    let most = match extent {
        Extent::Full => 1_024,
        Extent::Counted => 128,
        Extent::Tried => 2,
    };
    for sequence in 1..=most {
        if sequence % 8 == 1 {
            bed.begin();
        }
        batch(&mut bed, 2 * sequence);
        if [64, 128, 256, 1_024].contains(&sequence) {
            emit(bed.end("gaps for ever", sequence, 1));
        }
    }
}

/// What ledger 0 does with a copy of another: reads it, adds what came since the copy before, and seals its state. A usual
/// state, and one that is full. The first copy is all new.
fn copies(extent: Extent, emit: &mut dyn FnMut(Point)) {
    let mut streams = Streams::new(100);
    let mut usual = move |bed: &Bed| streams.batch(bed.now_ms(), BATCH);
    let mut full = |bed: &Bed| {
        let first = bed.messages();
        (first..first + BATCH).map(|index| labelled(index, bed.now_ms())).collect()
    };
    type Next<'a> = &'a mut dyn FnMut(&Bed) -> Vec<Vec<u8>>;
    for (scenario, batch) in [("copies taken in", &mut usual as Next<'_>), ("full copies taken in", &mut full)] {
        let (mut main, mut other) = (Bed::new(), Bed::new());
        for _ in 0..extent.batches(100) {
            let bodies = batch(&other);
            other.batch(bodies, false);
        }
        for x in extent.of(&[1, 10, 100], 10) {
            main.begin();
            for _ in 0..x {
                let bodies = batch(&other);
                other.batch(bodies, false);
                main.take_in(other.copy());
            }
            emit(main.end(scenario, x, 1));
        }
    }
}
