//! OTLP in: the `ResourceMetrics` of a message as a [`Delta`].
//!
//! By OpenTelemetry's rules for Prometheus (Compatibility › Prometheus and OpenMetrics), and where these leave a choice as
//! the Collector's Prometheus exporter does it. What differs on purpose stands in `docs/otel-points.md`.
//!
//! | OTLP | the model |
//! | --- | --- |
//! | monotonic sum | counter |
//! | non-monotonic sum | up-down sum |
//! | gauge | gauge, the latest by time |
//! | histogram | histogram with explicit bounds |
//! | exponential histogram | exponential histogram |
//! | attribute of a point or scope, name and version of the scope | label |
//! | `service.name`, `service.namespace` | label `job` |
//! | other attributes of the resource | labels of [`TARGET_INFO`] |
//!
//! Only deltas are taken, and times of points say nothing but which reading is the latest: that each counts once is for the
//! streams of messages to see to. A point or a metric that cannot be counted is left out alone, with a reason.

mod labels;
mod name;
mod points;
mod refusal;
mod text;

use std::collections::{BTreeMap, BTreeSet};

use opentelemetry_proto::tonic::{
    common::v1::KeyValue,
    metrics::v1::{AggregationTemporality, Metric, ResourceMetrics, metric::Data},
};

pub use self::refusal::PointRefusal;
use self::{
    labels::{Common, Target, attribute_bytes},
    name::{Suffix, family_name},
};
use crate::{
    Delta, DeltaError, FamilyDescriptor, Gauge, LabelSet, MetricKind, Value,
    custom::{TARGET_INFO, is_reserved, overflow_labels},
    limits::{MAX_HELP_BYTES, MAX_MESSAGE_CUSTOM_BYTES, MAX_MESSAGE_LABEL_WORK, MAX_MESSAGE_SERIES},
};

const TARGET: FamilyDescriptor = FamilyDescriptor::from_static(TARGET_INFO, "Target metadata", "", MetricKind::Gauge);

/// What the metrics of a message come to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OtlpMetrics {
    /// What may be applied, in the window of the message.
    pub delta: Delta,
    /// Names of the families that were left out because their names are reserved.
    pub reserved: Vec<String>,
    /// How many points those had.
    pub reserved_points: u64,
    /// How many points were refused, by reason; none is 0.
    pub refused: BTreeMap<PointRefusal, u64>,
    /// How many points went into the overflow series of their family, past the bounds of a message.
    pub overflowed: u64,
}

/// Reads the metrics of a message whose window is `(window_start_ms, window_end_ms]`, in milliseconds since the epoch.
/// `message_bytes` is what they took on the wire.
///
/// Memory and work are bounded by that, whatever they say: past [`MAX_MESSAGE_SERIES`] series, or where the labels that all
/// of a scope have in common would make far more of them, points go into the overflow series of their family.
#[must_use]
pub fn read(message: ResourceMetrics, message_bytes: usize, window_start_ms: u64, window_end_ms: u64) -> OtlpMetrics {
    let ResourceMetrics { resource, scope_metrics, .. } = message;
    let target = Target::of(resource.as_ref());
    let mut reader = Reader { bytes: message_bytes, window_end_ms, ..Reader::default() };
    for scope in scope_metrics {
        let common = target.with(scope.scope.as_ref(), &scope.schema_url);
        for metric in scope.metrics {
            reader.metric(metric, &common);
        }
    }
    reader.finish(target, window_start_ms)
}

#[derive(Default)]
struct Reader {
    read: OtlpMetrics,
    reserved: BTreeSet<String>,
    window_end_ms: u64,
    series: usize,
    /// About what the delta takes where it is written.
    bytes: usize,
    /// Bytes of labels that were written for points, of series that exist too.
    work: usize,
}

impl Reader {
    fn metric(&mut self, metric: Metric, common: &Common) {
        let Metric { name, description, unit, data, .. } = metric;
        let Some(data) = data else { return self.refuse(PointRefusal::Type, 1) };
        let temporality = match &data {
            Data::Gauge(_) | Data::Summary(_) => None,
            Data::Sum(sum) => Some(sum.aggregation_temporality),
            Data::Histogram(histogram) => Some(histogram.aggregation_temporality),
            Data::ExponentialHistogram(histogram) => Some(histogram.aggregation_temporality),
        };
        let points = points_of(&data);
        match temporality.map(AggregationTemporality::try_from) {
            None | Some(Ok(AggregationTemporality::Delta)) => {}
            Some(Ok(AggregationTemporality::Cumulative)) => return self.refuse(PointRefusal::Cumulative, points),
            Some(_) => return self.refuse(PointRefusal::Temporality, points),
        }
        let (kind, suffix) = match &data {
            Data::Gauge(_) => (MetricKind::Gauge, Suffix::Ratio),
            Data::Sum(sum) if sum.is_monotonic => (MetricKind::Counter, Suffix::Total),
            Data::Sum(_) => (MetricKind::UpDown, Suffix::None),
            Data::Histogram(_) => (MetricKind::Histogram, Suffix::None),
            Data::ExponentialHistogram(_) => (MetricKind::Exponential, Suffix::None),
            Data::Summary(_) => return self.refuse(PointRefusal::Summary, points),
        };
        let named = family_name(&name, &unit, suffix);
        let help = prefix(description, MAX_HELP_BYTES);
        let family = named.and_then(|(name, unit)| FamilyDescriptor::new(name, help, unit, kind).ok());
        let Some(family) = family else { return self.refuse(PointRefusal::Name, points) };
        if is_reserved(family.name()) {
            self.read.reserved_points = self.read.reserved_points.saturating_add(points);
            self.reserved.insert(family.name().to_owned());
            return;
        }
        let window_end_ms = self.window_end_ms;
        match data {
            Data::Gauge(gauge) => {
                for point in gauge.data_points {
                    self.point(&family, common, &point.attributes, points::gauge(&point, window_end_ms));
                }
            }
            Data::Sum(sum) => {
                let value = if sum.is_monotonic { points::counter } else { points::up_down };
                for point in sum.data_points {
                    self.point(&family, common, &point.attributes, value(&point));
                }
            }
            Data::Histogram(histogram) => {
                for mut point in histogram.data_points {
                    let attributes = std::mem::take(&mut point.attributes);
                    self.point(&family, common, &attributes, points::histogram(point));
                }
            }
            Data::ExponentialHistogram(histogram) => {
                for mut point in histogram.data_points {
                    let attributes = std::mem::take(&mut point.attributes);
                    self.point(&family, common, &attributes, points::exponential(point));
                }
            }
            Data::Summary(_) => {}
        }
    }

    fn point(
        &mut self,
        family: &FamilyDescriptor,
        common: &Common,
        attributes: &[KeyValue],
        value: Result<Value, PointRefusal>,
    ) {
        if let Err(refusal) = value.and_then(|value| self.add(family, common, attributes, value)) {
            self.refuse(refusal, 1);
        }
    }

    fn add(
        &mut self,
        family: &FamilyDescriptor,
        common: &Common,
        attributes: &[KeyValue],
        value: Value,
    ) -> Result<(), PointRefusal> {
        let name = family.name();
        let work = self.work.saturating_add(common.bytes).saturating_add(attribute_bytes(attributes));
        if work <= MAX_MESSAGE_LABEL_WORK {
            self.work = work;
            let labels = common.with(attributes)?;
            if self.read.delta.get(name, &labels).is_some() {
                return add(&mut self.read.delta, family, labels, value);
            }
            let bytes = self.bytes.saturating_add(common.bytes);
            if self.series < MAX_MESSAGE_SERIES && bytes <= MAX_MESSAGE_CUSTOM_BYTES {
                add(&mut self.read.delta, family, labels, value)?;
                self.series = self.series.saturating_add(1);
                self.bytes = bytes;
                return Ok(());
            }
        }
        let labels = overflow_labels();
        let is_new = self.read.delta.get(name, &labels).is_none();
        if is_new && self.series >= 2 * MAX_MESSAGE_SERIES {
            return Err(PointRefusal::Limit);
        }
        add(&mut self.read.delta, family, labels, value)?;
        self.series = self.series.saturating_add(usize::from(is_new));
        self.read.overflowed = self.read.overflowed.saturating_add(1);
        Ok(())
    }

    fn refuse(&mut self, refusal: PointRefusal, points: u64) {
        if points > 0 {
            let count = self.read.refused.entry(refusal).or_default();
            *count = count.saturating_add(points);
        }
    }

    fn finish(mut self, target: Target, window_start_ms: u64) -> OtlpMetrics {
        if self.series > 0 {
            let reading = Value::Gauge(Gauge::unsigned(1, self.window_end_ms));
            let added = target.info.map(|labels| add(&mut self.read.delta, &TARGET, labels?, reading));
            if let Some(Err(refusal)) = added {
                self.refuse(refusal, 1);
            }
            self.read.delta.set_start(window_start_ms);
        }
        self.read.reserved = self.reserved.into_iter().collect();
        self.read
    }
}

fn add(delta: &mut Delta, family: &FamilyDescriptor, labels: LabelSet, value: Value) -> Result<(), PointRefusal> {
    delta.add(family, labels, value).map_err(|error| match error {
        DeltaError::Merge { source, .. } if !source.is_conflict() => PointRefusal::Range,
        _ => PointRefusal::Conflict,
    })
}

fn points_of(data: &Data) -> u64 {
    let points = match data {
        Data::Gauge(gauge) => gauge.data_points.len(),
        Data::Sum(sum) => sum.data_points.len(),
        Data::Histogram(histogram) => histogram.data_points.len(),
        Data::ExponentialHistogram(histogram) => histogram.data_points.len(),
        Data::Summary(summary) => summary.data_points.len(),
    };
    u64::try_from(points).unwrap_or(u64::MAX)
}

/// At most so many bytes of a text, whole characters.
fn prefix(mut text: String, most: usize) -> String {
    text.truncate(text.floor_char_boundary(most));
    text
}

#[cfg(test)]
mod tests;
