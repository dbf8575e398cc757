//! One recording, many times: a Worker's own clock stands still meanwhile, so whoever asks measures from outside.

use std::hint::black_box;

use tributary_emitter::{Counter as EmitterCounter, Family, Histogram as EmitterHistogram};
use tributary_otel::{
    opentelemetry::{
        KeyValue,
        metrics::{Counter, Histogram, MeterProvider as _},
    },
    opentelemetry_sdk::metrics::SdkMeterProvider,
};

static PLAIN: Family<EmitterCounter, 0> = Family::counter("plain", "Counted.", []);
static PLAIN_LABELLED: Family<EmitterCounter, 1> = Family::counter("plain_labelled", "Counted.", ["country"]);
static PLAIN_HISTOGRAM: Family<EmitterHistogram, 1> =
    Family::histogram("plain_seconds", "Observed.", ["country"], &[0.1, 0.2, 0.5, 1.0, 2.0, 5.0]);

struct Instruments {
    bare: Counter<u64>,
    counter: Counter<u64>,
    histogram: Histogram<f64>,
    /// The last handle of a provider shuts it down.
    _provider: SdkMeterProvider,
}

impl Instruments {
    fn new(provider: &SdkMeterProvider) -> Self {
        let meter = provider.meter(crate::NAME);
        let bounds = vec![0.1, 0.2, 0.5, 1.0, 2.0, 5.0];
        Self {
            bare: meter.u64_counter("bare").build(),
            counter: meter.u64_counter("labelled").build(),
            histogram: meter.f64_histogram("seconds").with_boundaries(bounds).build(),
            _provider: provider.clone(),
        }
    }
}

/// Instruments with our reader, and without any.
pub(crate) struct Records {
    queue: Instruments,
    none: Instruments,
}

impl Records {
    pub(crate) fn new(queue: &SdkMeterProvider, none: &SdkMeterProvider) -> Self {
        Self { queue: Instruments::new(queue), none: Instruments::new(none) }
    }

    /// Records `n` times as `way` says; `false` where it says nothing that is known.
    pub(crate) fn record(&self, way: &str, n: u64) -> bool {
        let country = [KeyValue::new("country", "SE")];
        let (way, what) = way.split_once('/').unwrap_or_default();
        let sdk = match way {
            "queue" => &self.queue,
            _ => &self.none,
        };
        match (way, what) {
            ("nothing", _) => repeat(n, |_| {}),
            ("queue" | "none", "bare") => repeat(n, |one| sdk.bare.add(one, &[])),
            ("queue" | "none", "counter") => repeat(n, |one| sdk.counter.add(one, &country)),
            ("queue" | "none", "histogram") => repeat(n, |_| sdk.histogram.record(black_box(0.3), &country)),
            ("plain", "bare") => repeat(n, |one| PLAIN.with([]).add(one)),
            ("plain", "counter") => repeat(n, |one| PLAIN_LABELLED.with([black_box("SE")]).add(one)),
            ("plain", "histogram") => repeat(n, |_| PLAIN_HISTOGRAM.with([black_box("SE")]).observe(black_box(0.3))),
            _ => return false,
        }
        true
    }
}

/// Nothing of it is known when it is compiled.
#[inline(always)]
fn repeat(n: u64, mut record: impl FnMut(u64)) {
    for _ in 0..n {
        record(black_box(1));
    }
}
