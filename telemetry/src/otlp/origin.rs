//! Where series are from: what OpenTelemetry says of scope and resource, and is in labels of the model, is that again.
//!
//! Receivers make labels of scope and resource themselves. As attributes of the points too they would be there twice, and the
//! Collector's Prometheus exporter leaves out what has a label twice. For the same reason `target_info`, which it makes of the
//! resource, is no metric here but the resource of its job.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::{common::v1::InstrumentationScope, resource::v1::Resource};

use super::{INSTANCE_ID, OtlpOptions, PIPELINE_INSTANCE, SCOPE, attribute};
use crate::{
    LabelSet, Snapshot,
    confidence::catalog,
    custom::{TARGET_INFO, is_of_pipeline},
};

const JOB: &str = "job";
const SCOPE_PREFIX: &str = "otel_scope_";

/// The labels of `target_info` by job.
pub(super) type Targets<'a> = BTreeMap<&'a str, &'a LabelSet>;

/// What is known of the targets of a state.
pub(super) fn targets(state: &Snapshot) -> Targets<'_> {
    let family = state.families().find(|family| family.descriptor().name() == TARGET_INFO);
    let series = family.into_iter().flat_map(|family| family.series());
    series.filter_map(|(labels, _)| Some((labels.get(JOB)?, labels))).collect()
}

/// Where a series is from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Origin<'a> {
    instance: &'a str,
    job: Option<&'a str>,
    /// Labels of the scope, without their prefix.
    scope: Vec<(&'a str, &'a str)>,
}

impl<'a> Origin<'a> {
    /// The origin of a series of this family.
    pub(super) fn of(family: &str, labels: &'a LabelSet) -> Self {
        let instance = labels.get(catalog::RESOLVER_ID).unwrap_or(PIPELINE_INSTANCE);
        if is_of_pipeline(family) {
            return Self { instance, job: None, scope: Vec::new() };
        }
        let scope = labels.iter().filter_map(|(name, value)| Some((name.strip_prefix(SCOPE_PREFIX)?, value)));
        Self { instance, job: labels.get(JOB), scope: scope.collect() }
    }

    /// Says whether a label of the series is a part of its origin.
    pub(super) fn has(&self, label: &str) -> bool {
        (label == JOB && self.job.is_some()) || (label.starts_with(SCOPE_PREFIX) && !self.scope.is_empty())
    }

    /// The resource: that of the export, and of a job its own name and what is known of it.
    pub(super) fn resource(&self, options: &OtlpOptions, targets: &Targets<'_>) -> Resource {
        let mut attributes = options.resource.clone();
        if let Some(job) = self.job {
            attributes.remove("service.namespace");
            let parts = job.split_once('/').filter(|(namespace, name)| !namespace.is_empty() && !name.is_empty());
            let name = parts.map_or(job, |(_, name)| name);
            attributes.insert("service.name".to_owned(), name.to_owned());
            if let Some((namespace, _)) = parts {
                attributes.insert("service.namespace".to_owned(), namespace.to_owned());
            }
            let known = targets.get(job).into_iter().flat_map(|labels| labels.iter());
            attributes.extend(
                known.filter(|(name, _)| *name != JOB).map(|(name, value)| (name.to_owned(), value.to_owned())),
            );
        }
        let instance = match attributes.get(INSTANCE_ID) {
            Some(configured) => format!("{configured}/{}", self.instance),
            None => self.instance.to_owned(),
        };
        attributes.insert(INSTANCE_ID.to_owned(), instance);
        Resource {
            attributes: attributes.iter().map(|(key, value)| attribute(key, value)).collect(),
            ..Resource::default()
        }
    }

    /// The scope and the URL of its schema.
    pub(super) fn scope(&self, options: &OtlpOptions) -> (InstrumentationScope, String) {
        let mut scope = InstrumentationScope::default();
        let mut schema_url = String::new();
        if self.scope.is_empty() {
            SCOPE.clone_into(&mut scope.name);
            scope.version.clone_from(&options.scope_version);
        }
        for (name, value) in &self.scope {
            match *name {
                "name" => (*value).clone_into(&mut scope.name),
                "version" => (*value).clone_into(&mut scope.version),
                "schema_url" => (*value).clone_into(&mut schema_url),
                _ => scope.attributes.push(attribute(name, value)),
            }
        }
        (scope, schema_url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Delta, FamilyDescriptor, MetricKind, Value,
        otlp::{Export, HistogramEncoding, read::read, resource_metrics, window::Window},
    };

    fn counters(series: &[(&str, &[(&str, &str)])]) -> Snapshot {
        let mut delta = Delta::new();
        for (name, labels) in series {
            let family = FamilyDescriptor::new((*name).to_owned(), "Help.", "", MetricKind::Counter).unwrap();
            delta.add(&family, LabelSet::from_pairs(labels.iter().copied()).unwrap(), Value::Counter(3)).unwrap();
        }
        let family = FamilyDescriptor::new(TARGET_INFO, "Target metadata", "", MetricKind::Gauge).unwrap();
        let labels = LabelSet::from_pairs([("job", "eu/shop"), ("service_version", "7")]).unwrap();
        let reading = Value::Gauge(crate::Gauge::unsigned(1, 2_000));
        delta.add(&family, labels, reading).unwrap();
        let mut state = Snapshot::new(1_000);
        let _applied = state.apply_custom(&delta, 2_000);
        state
    }

    fn options() -> OtlpOptions {
        OtlpOptions {
            resource: [("service.name", "flags"), ("service.namespace", "x")].map(|(k, v)| (k.into(), v.into())).into(),
            histograms: HistogramEncoding::Explicit,
            scope_version: "9".into(),
        }
    }

    /// What goes out as deltas comes in as the series that they were.
    #[test]
    fn what_goes_out_reads_back_as_the_same_series() {
        let state = counters(&[
            ("orders", &[("job", "eu/shop"), ("otel_scope_name", "cart"), ("otel_scope_version", "1"), ("a", "b")]),
            ("orders", &[("job", "eu/shop"), ("otel_scope_schema_url", "u"), ("otel_scope_x", "y")]),
            ("orders", &[("job", "plain"), ("otel_scope_name", "cart")]),
            ("orders", &[("job", "/odd"), ("otel_scope_name", "cart")]),
        ]);
        let window = Window::between(&Snapshot::new(1_000), 1_000, &state, 2_000);
        let mut again = Snapshot::new(1_000);
        for message in resource_metrics(Export::Delta(&window), &options()) {
            let read = read(message, 0, 1_000, 2_000);
            assert_eq!((read.refused.len(), read.reserved.len()), (0, 0));
            let _applied = again.apply_custom(&read.delta, 2_000);
        }
        let series = |state: &Snapshot| -> Vec<(String, LabelSet, Value)> {
            let families = state.families().filter(|family| family.descriptor().name() != TARGET_INFO);
            let series = families.flat_map(|family| {
                let name = family.descriptor().name().to_owned();
                family.series().map(move |(labels, series)| (name.clone(), labels.clone(), series.value().clone()))
            });
            series.collect()
        };
        assert_eq!(series(&again), series(&state));
        let target = LabelSet::from_pairs([("job", "eu/shop"), ("service_version", "7")]).unwrap();
        assert!(again.get(TARGET_INFO, &target).is_some());
    }

    #[test]
    fn labels_of_the_pipelines_own_series_stay_what_they_are() {
        let labels = LabelSet::from_pairs([("job", "a"), ("otel_scope_name", "b"), ("resolver_id", "r")]).unwrap();
        let ours = Origin::of("confidence_resolves", &labels);
        assert_eq!((ours.instance, ours.job, ours.has("job"), ours.has("otel_scope_name")), ("r", None, false, false));
        let resource = ours.resource(&options(), &Targets::new());
        assert_eq!(
            resource.attributes,
            [
                attribute("service.instance.id", "r"),
                attribute("service.name", "flags"),
                attribute("service.namespace", "x"),
            ]
        );
        assert_eq!(ours.scope(&options()).0.name, SCOPE);
    }
}
