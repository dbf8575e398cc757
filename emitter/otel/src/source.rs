//! The SDK as a source of messages.

use std::{cell::RefCell, rc::Rc};

use opentelemetry::{Key, Value};
use opentelemetry_sdk::{
    Resource,
    metrics::{MeterProviderBuilder, SdkMeterProvider, data::ResourceMetrics, reader::MetricReader as _},
};
use tributary_emitter::{
    limits::MAX_FRAGMENT_BYTES,
    set_source,
    source::{Collected, Source},
};
use tributary_telemetry::limits::{MAX_MESSAGE_BUCKETS, MAX_MESSAGE_CUSTOM_BYTES, MAX_MESSAGE_SERIES};

use crate::{baseline::Baselines, convert::convert, pack::Bounds, reader::Reader, resource::SERVICE_NAME};

/// What one message holds of the SDK's points, those of the consumer.
pub const BOUNDS: Bounds = Bounds {
    bytes: MAX_FRAGMENT_BYTES,
    points: MAX_MESSAGE_SERIES,
    buckets: MAX_MESSAGE_BUCKETS,
    written: MAX_MESSAGE_CUSTOM_BYTES,
};

/// Empties an SDK.
#[derive(Debug)]
pub struct SdkSource {
    reader: Reader,
    bounds: Bounds,
    /// What the service is called where the SDK's resource names none.
    service: Option<Value>,
    /// What was collected last, to be used again, and what observable counters said.
    state: RefCell<(ResourceMetrics, Baselines)>,
}

impl SdkSource {
    /// The source behind this reader.
    pub fn new(reader: Reader, bounds: Bounds) -> Self {
        Self { reader, bounds, service: None, state: RefCell::default() }
    }

    /// The same, where the SDK may not know what the service is called.
    #[must_use]
    pub fn of_service(self, service: Option<Value>) -> Self {
        Self { service, ..self }
    }
}

impl Source for SdkSource {
    fn collect(&self) -> Collected {
        // A callback that comes back here collects nothing, instead of waiting for itself.
        let Ok(mut state) = self.state.try_borrow_mut() else { return Collected::default() };
        let (metrics, baselines) = &mut *state;
        match self.reader.collect(metrics) {
            Ok(()) => convert(metrics, self.service.as_ref(), baselines, self.bounds),
            // Shut down: there is nothing more to come.
            Err(_) => Collected::default(),
        }
    }
}

/// Sets up the SDK of this isolate and makes it the source of its messages. `configure` may add views and attributes of
/// the resource.
pub fn set_up(
    resource: Resource,
    configure: impl FnOnce(MeterProviderBuilder) -> MeterProviderBuilder,
) -> SdkMeterProvider {
    let reader = Reader::default();
    let service = resource.get(&Key::from_static_str(SERVICE_NAME));
    let builder = SdkMeterProvider::builder().with_resource(resource).with_reader(reader.clone());
    let provider = configure(builder).build();
    set_source(Rc::new(SdkSource::new(reader, BOUNDS).of_service(service)));
    provider
}
