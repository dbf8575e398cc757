//! The reader that empties the SDK.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use opentelemetry_sdk::{
    error::OTelSdkResult,
    metrics::{InstrumentKind, ManualReader, Pipeline, Temporality, data::ResourceMetrics, reader::MetricReader},
};

/// A reader that is shared: the SDK owns one handle, whoever collects has the other.
///
/// Everything that a Worker records comes out as what was added since the last time, up-down counters included: a sum over
/// isolates is all that means anything, and a total of one isolate says nothing when the isolate is gone. Observable
/// instruments alone come out as they were observed: the SDK forgets what it reported of a series that one collect does
/// not observe, and would count it once more at the next. [`crate::baseline`] does not.
#[derive(Clone, Debug, Default)]
pub struct Reader(Arc<ManualReader>);

impl MetricReader for Reader {
    fn register_pipeline(&self, pipeline: Weak<Pipeline>) {
        self.0.register_pipeline(pipeline);
    }

    fn collect(&self, metrics: &mut ResourceMetrics) -> OTelSdkResult {
        self.0.collect(metrics)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.0.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.0.shutdown_with_timeout(timeout)
    }

    fn temporality(&self, kind: InstrumentKind) -> Temporality {
        match kind {
            InstrumentKind::ObservableCounter | InstrumentKind::ObservableUpDownCounter => Temporality::Cumulative,
            _ => Temporality::Delta,
        }
    }
}
