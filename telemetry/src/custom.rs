//! Custom metrics: what any Worker may put into a message, beside flag logs or instead of them.
//!
//! A message holds an encoded `MetricSet`, the form in which a [`Delta`] is written. Writer and reader hold the rules that
//! stand at `Envelope.metrics` in `envelope.proto`; what breaks one is refused as a whole. Names that are not theirs are
//! another matter: a Worker that picks one by mistake loses that family and nothing else.
//!
//! The series have the labels that they come with, and no others: who wants to see which Worker, isolate or data centre
//! counted says so in a label of his own.

use tributary_proto::{
    Message as _,
    v1::{self, histogram::Layout, series},
};

use crate::{
    DecodeError, Delta, LabelName, LabelSet,
    limits::{MAX_MESSAGE_BUCKETS, MAX_MESSAGE_SERIES},
};

/// What all custom families of the producer Worker's own begin with: the one part of `tributary_*` that comes in messages.
pub const PRODUCER_PREFIX: &str = "tributary_producer_";

/// The gauge of 1 whose labels say what OpenTelemetry's resources say of a `job`, beside its series.
pub const TARGET_INFO: &str = "target_info";

/// The label of the series into which a family's points go past the bound on its series, as OpenTelemetry's SDKs name it.
const OVERFLOW: &str = "otel_metric_overflow";

/// The labels of that series. It has no others.
#[must_use]
pub fn overflow_labels() -> LabelSet {
    LabelName::new(OVERFLOW).and_then(|name| LabelSet::new([(name, "true")])).unwrap_or_default()
}

/// Says whether these are the labels of an overflow series.
#[must_use]
pub fn is_overflow(labels: &LabelSet) -> bool {
    labels.len() == 1 && labels.get(OVERFLOW) == Some("true")
}

/// Why the metrics of a message are refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CustomError {
    /// Not a canonical set.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// More series than [`MAX_MESSAGE_SERIES`].
    #[error("more than {MAX_MESSAGE_SERIES} series")]
    Series,
    /// Histograms with more buckets together than [`MAX_MESSAGE_BUCKETS`].
    #[error("more than {MAX_MESSAGE_BUCKETS} buckets")]
    Buckets,
    /// A start of a series that is not that of the window.
    #[error("a series starts at {start_time_ms}, which is not the start of the window")]
    Start {
        /// The start found.
        start_time_ms: u64,
    },
    /// A reading from after the end of the window. It would hide all that are made until then.
    #[error("a reading from {time_ms}, which is after the window")]
    Reading {
        /// Its time.
        time_ms: u64,
    },
}

/// What the metrics of a message come to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CustomMetrics {
    /// The families that may be applied, in the window of the message.
    pub delta: Delta,
    /// Names of the families that were left out because their names are reserved.
    pub reserved: Vec<String>,
    /// How many series those had.
    pub reserved_series: u64,
}

/// Says whether a custom family may not have this name: those of Confidence's metrics (`confidence_*`) and of the pipeline
/// (`tributary_*`, but for [`PRODUCER_PREFIX`]), names whose samples would look like theirs, and names under which
/// Prometheus, or a collector on the way to it, writes samples of its own.
#[must_use]
pub const fn is_reserved(name: &str) -> bool {
    is_ours(name)
        || starts_with(name, "scrape_")
        || is(name, "up")
        || is(name, TARGET_INFO)
        || is(name, "otel_scope_info")
}

/// Says whether a family of the state is the pipeline's or Confidence's, not custom: all whose names are reserved but
/// [`TARGET_INFO`], which is made of what Workers say.
#[must_use]
pub const fn is_of_pipeline(name: &str) -> bool {
    is_reserved(name) && !is(name, TARGET_INFO)
}

const fn is_ours(name: &str) -> bool {
    is(name, "confidence")
        || starts_with(name, "confidence_")
        || is(name, "tributary")
        || (starts_with(name, "tributary_") && !starts_with(name, PRODUCER_PREFIX))
}

const fn is(name: &str, other: &str) -> bool {
    name.len() == other.len() && starts_with(name, other)
}

const fn starts_with(name: &str, prefix: &str) -> bool {
    let (mut name, mut prefix) = (name.as_bytes(), prefix.as_bytes());
    while let [expected, rest_of_prefix @ ..] = prefix {
        let [byte, rest_of_name @ ..] = name else { return false };
        if *byte != *expected {
            return false;
        }
        (name, prefix) = (rest_of_name, rest_of_prefix);
    }
    true
}

/// Reads the metrics of a message whose window is `(window_start_ms, window_end_ms]`, in milliseconds since the epoch.
///
/// Memory is bounded whatever the set says: what a few bytes would make large is counted before it is made.
///
/// # Errors
/// Every [`CustomError`].
pub fn read(set: v1::MetricSet, window_start_ms: u64, window_end_ms: u64) -> Result<CustomMetrics, CustomError> {
    // Most messages have none.
    if set.families.is_empty() {
        return Ok(CustomMetrics::default());
    }
    let mut series = 0_usize;
    let mut buckets = 0_usize;
    for v1::Series { start_time_ms, value, .. } in set.families.iter().flat_map(|family| &family.series) {
        series = series.saturating_add(1);
        if series > MAX_MESSAGE_SERIES {
            return Err(CustomError::Series);
        }
        if *start_time_ms != 0 && *start_time_ms != window_start_ms {
            return Err(CustomError::Start { start_time_ms: *start_time_ms });
        }
        match value {
            Some(series::Value::Histogram(histogram)) => buckets = buckets.saturating_add(bucket_count(histogram)),
            Some(series::Value::Exponential(histogram)) => {
                buckets = buckets.saturating_add(exponential_bucket_count(histogram));
            }
            Some(series::Value::Gauge(gauge)) if gauge.time_ms > window_end_ms => {
                return Err(CustomError::Reading { time_ms: gauge.time_ms });
            }
            _ => {}
        }
        if buckets > MAX_MESSAGE_BUCKETS {
            return Err(CustomError::Buckets);
        }
    }
    let (reserved, mut delta) = Delta::from_wire(set)?.partition(is_reserved);
    if !delta.is_empty() {
        delta.set_start(window_start_ms);
    }
    let reserved_series = reserved.families().map(|family| family.series().len()).sum::<usize>();
    Ok(CustomMetrics {
        delta,
        reserved: reserved.families().map(|family| family.descriptor().name().to_owned()).collect(),
        reserved_series: u64::try_from(reserved_series).unwrap_or(u64::MAX),
    })
}

/// Writes a delta as the metrics of messages: as few sets as the rules allow, each of at most `most_bytes` when it is
/// encoded, in the order of the delta. A family may go on in the next set.
///
/// The start of the window is not said: the message does. A reading that is later than `window_end_ms`, by a clock that
/// was set back, is moved there. A series that alone is over `most_bytes` stands alone.
#[must_use]
pub fn write(delta: &Delta, window_end_ms: u64, most_bytes: usize) -> Vec<v1::MetricSet> {
    let mut sets: Vec<v1::MetricSet> = Vec::new();
    let mut room = Room::default();
    for family in delta.to_wire().families {
        let v1::MetricFamily { series, .. } = family;
        let head = v1::MetricFamily { series: Vec::new(), ..family };
        let head_bytes = head.encoded_len().saturating_add(FIELD_BYTES);
        let mut is_begun = false;
        for mut series in series {
            series.start_time_ms = 0;
            let mut buckets = 0;
            match &mut series.value {
                Some(series::Value::Histogram(histogram)) => buckets = bucket_count(histogram),
                Some(series::Value::Exponential(histogram)) => buckets = exponential_bucket_count(histogram),
                Some(series::Value::Gauge(gauge)) => gauge.time_ms = gauge.time_ms.min(window_end_ms),
                _ => {}
            }
            let bytes = series.encoded_len().saturating_add(FIELD_BYTES);
            let with_head = if is_begun { bytes } else { bytes.saturating_add(head_bytes) };
            let taken = room.and(with_head, buckets);
            if sets.is_empty() || !taken.is_within(most_bytes) {
                sets.push(v1::MetricSet::default());
                is_begun = false;
                room = Room::default().and(bytes.saturating_add(head_bytes), buckets);
            } else {
                room = taken;
            }
            let Some(set) = sets.last_mut() else { continue };
            if !is_begun {
                set.families.push(head.clone());
                is_begun = true;
            }
            if let Some(family) = set.families.last_mut() {
                family.series.push(series);
            }
        }
    }
    sets
}

/// Tag and length of a nested message of at most 2 MiB.
const FIELD_BYTES: usize = 1 + 3;

/// What a set takes so far.
#[derive(Clone, Copy, Default)]
struct Room {
    bytes: usize,
    series: usize,
    buckets: usize,
}

impl Room {
    const fn and(self, bytes: usize, buckets: usize) -> Self {
        Self {
            bytes: self.bytes.saturating_add(bytes),
            series: self.series.saturating_add(1),
            buckets: self.buckets.saturating_add(buckets),
        }
    }

    const fn is_within(self, most_bytes: usize) -> bool {
        self.bytes <= most_bytes && self.series <= MAX_MESSAGE_SERIES && self.buckets <= MAX_MESSAGE_BUCKETS
    }
}

/// Buckets of a layout, as it names them.
fn bucket_count(histogram: &v1::Histogram) -> usize {
    let bounds = match &histogram.layout {
        Some(Layout::Decimal(decimal)) => usize::try_from(decimal.bounds).unwrap_or(usize::MAX),
        Some(Layout::Explicit(explicit)) => explicit.bounds.len(),
        None => 0,
    };
    bounds.saturating_add(1)
}

/// Buckets of an exponential histogram, with that of zero.
fn exponential_bucket_count(histogram: &v1::ExponentialHistogram) -> usize {
    let buckets = histogram.positive.iter().chain(&histogram.negative);
    buckets.fold(1, |sum, buckets| sum.saturating_add(buckets.counts.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Bounds, ExponentialHistogram, FamilyDescriptor, Gauge, Histogram, LabelSet, MetricKind, Value};

    const WINDOW: (u64, u64) = (1_000, 2_000);

    fn family(name: &'static str, kind: MetricKind) -> FamilyDescriptor {
        FamilyDescriptor::new(name, "Help.", "", kind).unwrap()
    }

    fn counters(name: &'static str, series: usize) -> Delta {
        let mut delta = Delta::new();
        for index in 0..series {
            let labels = LabelSet::from_pairs([("n", format!("{index}"))]).unwrap();
            delta.add_counter(&family(name, MetricKind::Counter), labels, 1).unwrap();
        }
        delta
    }

    fn read_delta(delta: &Delta) -> Result<CustomMetrics, CustomError> {
        read(delta.to_wire(), WINDOW.0, WINDOW.1)
    }

    #[test]
    fn names_of_confidence_of_the_pipeline_and_of_scrapers_are_reserved() {
        for name in [
            "confidence",
            "confidence_resolves",
            "confidence_",
            "tributary",
            "tributary_messages",
            "tributary_producer",
            "up",
            "scrape_duration_seconds",
            "target_info",
            "otel_scope_info",
        ] {
            assert!(is_reserved(name), "{name}");
        }
        for name in ["confidences", "my_confidence_resolves", "tributaries", "tributary_producer_x", "ups", "u", ""] {
            assert!(!is_reserved(name), "{name}");
        }
    }

    #[test]
    fn reserved_families_are_left_out_and_the_rest_is_read_in_the_window() {
        let mut delta = counters("shop_orders", 2);
        delta.merge(&counters("confidence_resolves", 3)).unwrap();
        delta.merge(&counters("tributary_messages", 1)).unwrap();
        let read = read_delta(&delta).unwrap();
        assert_eq!(
            (read.reserved_series, read.reserved.as_slice()),
            (4, ["confidence_resolves".to_owned(), "tributary_messages".to_owned()].as_slice())
        );
        let mut expected = counters("shop_orders", 2);
        expected.set_start(WINDOW.0);
        assert_eq!(read.delta, expected);
    }

    #[test]
    fn series_and_buckets_are_bounded_before_they_are_made() {
        assert!(read_delta(&counters("c", MAX_MESSAGE_SERIES)).is_ok());
        assert_eq!(read_delta(&counters("c", MAX_MESSAGE_SERIES + 1)), Err(CustomError::Series));
        let histograms = |count: usize| {
            let mut delta = Delta::new();
            for index in 0..count {
                let labels = LabelSet::from_pairs([("n", format!("{index}"))]).unwrap();
                let histogram = Histogram::new(Bounds::latency());
                delta.add_histogram(&family("h", MetricKind::Histogram), labels, &histogram).unwrap();
            }
            delta
        };
        // A bucket that is empty takes a byte, too.
        let exponential = |buckets: usize| {
            let mut delta = counters("c", 1);
            let value = Value::Exponential(ExponentialHistogram::default());
            delta.add(&family("e", MetricKind::Exponential), LabelSet::empty(), value).unwrap();
            let mut set = delta.to_wire();
            let counts = vec![0; buckets];
            if let Some(series::Value::Exponential(histogram)) = &mut set.families[1].series[0].value {
                histogram.positive = Some(v1::exponential_histogram::Buckets { offset: 0, counts });
            }
            read(set, WINDOW.0, WINDOW.1).unwrap_err()
        };
        assert_eq!(exponential(MAX_MESSAGE_BUCKETS), CustomError::Buckets);
        assert!(matches!(exponential(MAX_MESSAGE_BUCKETS - 1), CustomError::Decode(_)));
        let most = MAX_MESSAGE_BUCKETS / 175;
        assert!(read_delta(&histograms(most)).is_ok());
        assert_eq!(read_delta(&histograms(most + 1)), Err(CustomError::Buckets));
    }

    #[test]
    fn times_outside_of_the_window_are_refused() {
        let mut delta = counters("c", 1);
        delta.set_start(WINDOW.0);
        assert!(read_delta(&delta).is_ok());
        let mut early = counters("c", 1);
        early.set_start(WINDOW.0 - 1);
        assert_eq!(read_delta(&early), Err(CustomError::Start { start_time_ms: WINDOW.0 - 1 }));
        let gauge = |time_ms| {
            let mut delta = Delta::new();
            let value = Value::Gauge(Gauge::unsigned(7, time_ms));
            delta.add(&family("g", MetricKind::Gauge), LabelSet::empty(), value).unwrap();
            read_delta(&delta)
        };
        assert!(gauge(WINDOW.1).is_ok());
        assert_eq!(gauge(WINDOW.1 + 1), Err(CustomError::Reading { time_ms: WINDOW.1 + 1 }));
    }

    #[test]
    fn nothing_is_read_as_nothing() {
        assert_eq!(read_delta(&Delta::new()), Ok(CustomMetrics::default()));
    }

    #[test]
    fn a_clock_that_was_set_back_moves_no_reading_past_the_window() {
        let mut delta = Delta::new();
        let family = family("g", MetricKind::Gauge);
        delta.set_gauge(&family, LabelSet::empty(), Gauge::unsigned(7, 5_000)).unwrap();
        let [set] = write(&delta, WINDOW.1, 1_000).try_into().unwrap();
        let read = read(set, WINDOW.0, WINDOW.1).unwrap();
        assert_eq!(read.delta.get("g", &LabelSet::empty()), Some(&Value::Gauge(Gauge::unsigned(7, WINDOW.1))));
    }

    #[test]
    fn sets_are_as_few_as_the_bounds_allow() {
        let delta = counters("c", MAX_MESSAGE_SERIES);
        assert_eq!(write(&delta, WINDOW.1, 100_000).len(), 1);
        assert_eq!(write(&counters("c", MAX_MESSAGE_SERIES + 1), WINDOW.1, 100_000).len(), 2);
        assert_eq!(write(&Delta::new(), WINDOW.1, 100_000), []);
    }
}
