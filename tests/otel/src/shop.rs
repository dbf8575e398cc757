//! What an invocation records.

use tributary_otel::{
    opentelemetry::{
        KeyValue,
        metrics::{Counter, Gauge, Histogram, MeterProvider as _, UpDownCounter},
    },
    opentelemetry_sdk::metrics::SdkMeterProvider,
};

/// A count and a level by country, a reading, a distribution.
pub(crate) struct Shop {
    orders: Counter<u64>,
    open: UpDownCounter<i64>,
    latest: Gauge<u64>,
    items: Histogram<u64>,
    /// The last handle of a provider shuts it down.
    _provider: SdkMeterProvider,
}

impl Shop {
    pub(crate) fn new(provider: &SdkMeterProvider) -> Self {
        let meter = provider.meter(crate::NAME);
        Self {
            orders: meter.u64_counter("shop.orders").build(),
            open: meter.i64_up_down_counter("shop.orders.open").build(),
            latest: meter.u64_gauge("shop.order.latest").build(),
            items: meter.u64_histogram("shop.order.items").with_boundaries(vec![1.0, 2.0, 5.0, 10.0]).build(),
            _provider: provider.clone(),
        }
    }

    pub(crate) fn order(&self, n: u64) {
        let country = match n % 3 {
            0 => "DK",
            1 => "NO",
            _ => "SE",
        };
        let country = [KeyValue::new("country", country)];
        self.orders.add(1, &country);
        self.open.add(1, &country);
        self.latest.record(n % 7, &[]);
        self.items.record(n % 7, &[]);
    }
}
