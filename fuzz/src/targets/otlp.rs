//! OpenTelemetry's metrics of a message.
//!
//! Input: an encoded `ResourceMetrics`.

use opentelemetry_proto::tonic::metrics::v1::{ResourceMetrics, metric::Data};
use tributary_proto::Message as _;
use tributary_telemetry::{
    Snapshot, TextFormat, TextOptions, Value,
    custom::{TARGET_INFO, is_reserved},
    limits::MAX_MESSAGE_SERIES,
    otlp::read::read,
    write_text,
};

use super::NOW_MS;
use crate::{exposition::parse, memory::bounded};

/// The most that reading may allocate, in multiples of the message: two bytes make an empty `Metric` of some 200 bytes, in a
/// list that grows by doubling.
const FACTOR: usize = 640;

/// Whatever bytes decode to, each point is counted or refused, in memory linear in the message. What is counted has names
/// that it may have, survives being stored, adds up, and is read by a strict parser of what a scraper gets.
///
/// # Panics
/// Where a property does not hold.
pub fn run(data: &[u8]) {
    let Ok(message) = bounded(data.len(), FACTOR, || ResourceMetrics::decode(data)) else { return };
    let points = points(&message);
    let metrics = bounded(data.len(), FACTOR, || read(message.clone(), data.len(), NOW_MS - 1_000, NOW_MS));
    assert_eq!(metrics, read(message, data.len(), NOW_MS - 1_000, NOW_MS), "it says the same each time");
    let refused: u64 = metrics.refused.values().sum();
    assert!(metrics.refused.values().all(|points| *points > 0));
    // A metric without data has no points and is refused as one; and so is a `target_info`.
    let metrics_and_target = u64::try_from(data.len()).unwrap_or(u64::MAX);
    assert!(refused + metrics.reserved_points <= points + metrics_and_target, "{refused} of {points} refused");
    assert!(metrics.overflowed <= points);
    let mut names = metrics.delta.families().map(|family| family.descriptor().name());
    assert!(names.all(|name| name == TARGET_INFO || !is_reserved(name)), "a name that is not theirs");
    assert!(metrics.reserved.iter().all(|name| is_reserved(name)));
    let series: usize = metrics.delta.families().map(|family| family.series().len()).sum();
    assert!(series <= 2 * MAX_MESSAGE_SERIES + 1, "{series} series");
    if points > refused + metrics.reserved_points {
        assert!(series > 0, "points that are neither counted nor refused");
    }

    let mut state = Snapshot::new(NOW_MS - 2_000);
    let once = state.apply_custom(&metrics.delta, NOW_MS);
    let left_out = once.series_refused + once.series_conflicting + once.series_overflowing;
    assert!(left_out + once.series_added + once.series_overflowed >= u64::try_from(series).unwrap_or(u64::MAX));
    let counts = counts(&state);
    let twice = state.apply_custom(&metrics.delta, NOW_MS);
    if twice.series_overflowing == 0 {
        let expected: Vec<u64> = counts.iter().map(|count| 2 * count).collect();
        assert_eq!(self::counts(&state), expected, "what is there twice counts twice");
    }
    assert_eq!(Snapshot::decode(&state.encode()).as_ref(), Ok(&state), "it is stored as it is");
    for format in [TextFormat::OpenMetrics, TextFormat::Prometheus] {
        let mut text = String::new();
        write_text(&state, &TextOptions::new(format), &mut text);
        let families = parse(&text, format == TextFormat::OpenMetrics).unwrap_or_else(|why| panic!("{why}\n{text}"));
        assert_eq!(families.len(), state.families().len());
    }
}

fn points(message: &ResourceMetrics) -> u64 {
    let data = message.scope_metrics.iter().flat_map(|scope| &scope.metrics).filter_map(|metric| metric.data.as_ref());
    let points = data.map(|data| match data {
        Data::Gauge(gauge) => gauge.data_points.len(),
        Data::Sum(sum) => sum.data_points.len(),
        Data::Histogram(histogram) => histogram.data_points.len(),
        Data::ExponentialHistogram(histogram) => histogram.data_points.len(),
        Data::Summary(summary) => summary.data_points.len(),
    });
    u64::try_from(points.sum::<usize>()).unwrap_or(u64::MAX)
}

/// The observations and integer counts of every series that is such a thing.
fn counts(state: &Snapshot) -> Vec<u64> {
    let series = state.families().flat_map(|family| family.series());
    let counts = series.filter_map(|(_, series)| match series.value() {
        Value::Counter(count) => Some(*count),
        Value::Histogram(histogram) => Some(histogram.count()),
        Value::Exponential(histogram) => Some(histogram.count()),
        _ => None,
    });
    counts.collect()
}
