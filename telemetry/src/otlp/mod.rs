//! OTLP: a [`Snapshot`] as the messages of the OpenTelemetry protocol.
//!
//! | the model | OTLP (opentelemetry.io, Metrics Data Model) |
//! | --- | --- |
//! | counter | monotonic sum of integers, or of floats where it is one |
//! | up-down sum | sum that is not monotonic |
//! | gauge | gauge, at the time of its reading |
//! | histogram | histogram with explicit bounds: buckets are `(lower, upper]` in both, so it is exact; or, where asked for, an exponential one ([`exponential`]) |
//! | exponential histogram | the same, at its scale |
//! | label | attribute of the data point |
//! | `resolver_id` | also the resource: one for each, with that `service.instance.id` |
//! | `job`, `otel_scope_…` of custom series, `target_info` | resource and scope, as they came ([`read`]) |
//! | family name | metric name, without `_total`; the unit in UCUM |
//!
//! A series of the model begins once and is never reset, so the start of a cumulative stream never moves. Delta
//! temporality is the difference of two snapshots ([`window`]); the windows follow each other without hole and overlap.
//! [`requests`] cuts it all into requests of bounded size.

pub mod exponential;
pub mod export;
mod origin;
mod points;
pub mod read;
pub mod requests;
pub mod window;

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::{
    common::v1::{AnyValue, KeyValue, any_value},
    metrics::v1::{ResourceMetrics, ScopeMetrics},
};

use self::origin::Origin;
use crate::{FamilyDescriptor, LabelSet, MetricKind, Series, Snapshot, custom::TARGET_INFO};

/// Name of the instrumentation scope of all metrics.
pub const SCOPE: &str = "tributary";

/// `service.instance.id` of what belongs to no resolver: the pipeline's own metrics.
pub const PIPELINE_INSTANCE: &str = "tributary";

/// The attribute that tells the resources apart.
const INSTANCE_ID: &str = "service.instance.id";

/// How histograms are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HistogramEncoding {
    /// With the bounds that they have: exact.
    #[default]
    Explicit,
    /// With base-2 buckets, for backends that want them: see [`exponential`] for the error.
    Exponential,
}

/// What all data points of an export have in common.
#[derive(Clone, Debug, PartialEq)]
pub struct OtlpOptions {
    /// Attributes of every resource. A `service.instance.id` among them is put before the resource's own, with a slash.
    pub resource: BTreeMap<String, String>,
    /// How histograms are written.
    pub histograms: HistogramEncoding,
    /// Version of the instrumentation scope.
    pub scope_version: String,
}

/// What is exported, and which time it covers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Export<'a> {
    /// Totals since each series began, at `time_ms`, in milliseconds since the epoch.
    Cumulative {
        /// The state.
        state: &'a Snapshot,
        /// When it is exported.
        time_ms: u64,
    },
    /// What was added in a window.
    Delta(&'a window::Window),
}

/// Writes an export: one resource for each `resolver_id`, and for each job and scope of custom series, in order, without
/// those that have no points.
///
/// Cumulative exports have every series, also those at 0: a series that a collector knows from 0 on shows its first
/// increase. Delta exports leave out what did not change.
pub fn resource_metrics(export: Export<'_>, options: &OtlpOptions) -> Vec<ResourceMetrics> {
    let (state, stamp) = export.parts();
    let series = state.series_after(None).filter(|(family, ..)| family.name() != TARGET_INFO);
    resources(series, &origin::targets(state), stamp, options)
}

impl<'a> Export<'a> {
    /// What has the series, and the time of their points.
    fn parts(self) -> (&'a Snapshot, points::Stamp) {
        match self {
            Self::Cumulative { state, time_ms } => (state, points::Stamp::Cumulative { time_ms }),
            Self::Delta(window) => {
                (window.added(), points::Stamp::Delta { start_ms: window.start_ms(), end_ms: window.end_ms() })
            }
        }
    }
}

/// Writes these series.
fn resources<'a>(
    series: impl Iterator<Item = (&'a FamilyDescriptor, &'a LabelSet, &'a Series)>,
    targets: &origin::Targets<'_>,
    stamp: points::Stamp,
    options: &OtlpOptions,
) -> Vec<ResourceMetrics> {
    let mut origins: BTreeMap<Origin<'_>, points::Metrics> = BTreeMap::new();
    for (family, labels, series) in series {
        let origin = Origin::of(family.name(), labels);
        let attributes = labels.iter().filter(|(name, _)| !origin.has(name));
        let attributes = attributes.map(|(name, value)| attribute(name, value)).collect();
        origins.entry(origin).or_default().add(family, attributes, series, stamp, options.histograms);
    }
    origins
        .into_iter()
        .filter_map(|(origin, metrics)| {
            let metrics = metrics.into_messages();
            (!metrics.is_empty()).then(|| {
                let (scope, schema_url) = origin.scope(options);
                ResourceMetrics {
                    resource: Some(origin.resource(options, targets)),
                    scope_metrics: vec![ScopeMetrics { scope: Some(scope), metrics, schema_url }],
                    schema_url: String::new(),
                }
            })
        })
        .collect()
}

fn attribute(key: &str, value: &str) -> KeyValue {
    let value = AnyValue { value: Some(any_value::Value::StringValue(value.to_owned())) };
    KeyValue { key: key.to_owned(), value: Some(value), ..KeyValue::default() }
}

/// The unit in UCUM, case sensitive. What is counted is an annotation, the last word of the name in braces; a gauge
/// without a unit has none, not `1`, which exporters to Prometheus turn into a suffix `_ratio`.
fn ucum(name: &str, unit: &str, kind: MetricKind) -> String {
    match unit {
        "seconds" => "s".to_owned(),
        "milliseconds" => "ms".to_owned(),
        "microseconds" => "us".to_owned(),
        "bytes" => "By".to_owned(),
        "" if kind == MetricKind::Gauge => String::new(),
        "" => format!("{{{}}}", name.rsplit('_').next().unwrap_or(name)),
        other => format!("{{{other}}}"),
    }
}

#[cfg(test)]
mod tests;
