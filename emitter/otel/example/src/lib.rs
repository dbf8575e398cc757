//! A café: `POST /orders?country=SE&items=3`, and `DELETE` for one that is taken back. Its whole code is in `docs/otel.md`,
//! which a test compares.

use std::sync::{
    OnceLock,
    atomic::{AtomicI64, AtomicU64, Ordering::Relaxed},
};

use tributary_otel::Metrics;
use tributary_otel::opentelemetry::KeyValue;
use tributary_otel::opentelemetry::metrics::{Counter, Gauge, Histogram, UpDownCounter};
use tributary_otel::opentelemetry_sdk::metrics::{Aggregation, Instrument, Stream};
use worker::{Context, Env, Method, Request, Response, Result, event};

static METRICS: Metrics = Metrics::new("cafe").configure(|sdk| sdk.with_view(exponential));
static CAFE: OnceLock<Cafe> = OnceLock::new();

/// What observable instruments are asked for, of this isolate.
static REQUESTS: AtomicU64 = AtomicU64::new(0);
static OPEN_ITEMS: AtomicI64 = AtomicI64::new(0);
static LARGEST: AtomicU64 = AtomicU64::new(0);

/// Made once in an isolate: an instrument is found by what it is, which takes longer than to record.
struct Cafe {
    orders: Counter<u64>,
    open: UpDownCounter<i64>,
    latest: Gauge<u64>,
    items: Histogram<u64>,
    value: Histogram<f64>,
}

impl Cafe {
    fn new(env: &Env) -> Self {
        let meter = METRICS.meter(env);
        let requests = meter.u64_observable_counter("cafe.requests").with_description("Requests answered.");
        requests.with_callback(|seen| seen.observe(REQUESTS.load(Relaxed), &[])).build();
        let open = meter.i64_observable_up_down_counter("cafe.items.open").with_description("Items not taken back.");
        open.with_callback(|seen| seen.observe(OPEN_ITEMS.load(Relaxed), &[])).build();
        let largest = meter.u64_observable_gauge("cafe.order.largest").with_description("Items of the largest order.");
        largest.with_callback(|seen| seen.observe(LARGEST.load(Relaxed), &[])).build();
        Self {
            orders: meter.u64_counter("cafe.orders").with_description("Orders placed.").build(),
            open: meter.i64_up_down_counter("cafe.orders.open").with_description("Orders not taken back.").build(),
            latest: meter.u64_gauge("cafe.order.latest").with_description("Items of the latest order.").build(),
            items: meter.u64_histogram("cafe.order.items").with_boundaries(vec![1.0, 2.0, 5.0, 10.0]).build(),
            value: meter.f64_histogram("cafe.order.value").build(),
        }
    }
}

/// Buckets that find their size by themselves, for one histogram.
fn exponential(instrument: &Instrument) -> Option<Stream> {
    let aggregation = Aggregation::Base2ExponentialHistogram { max_size: 160, max_scale: 20, record_min_max: false };
    let is_value = instrument.name() == "cafe.order.value";
    is_value.then(|| Stream::builder().with_aggregation(aggregation).build().ok()).flatten()
}

#[event(fetch)]
async fn fetch(request: Request, env: Env, context: Context) -> Result<Response> {
    let url = request.url()?;
    let parameter = |name| url.query_pairs().find_map(|(key, value)| (key == name).then_some(value));
    // An attribute has few values: what a client may choose freely is none.
    let country = match parameter("country").as_deref() {
        Some(country @ ("DK" | "NO" | "SE")) => country.to_owned(),
        _ => "other".to_owned(),
    };
    let country = [KeyValue::new("country", country)];
    let items = parameter("items").and_then(|items| items.parse::<u32>().ok()).unwrap_or(1);

    let cafe = CAFE.get_or_init(|| Cafe::new(&env));
    REQUESTS.fetch_add(1, Relaxed);
    if request.method() == Method::Delete {
        cafe.open.add(-1, &country);
        OPEN_ITEMS.fetch_sub(items.into(), Relaxed);
    } else {
        cafe.orders.add(1, &country);
        cafe.open.add(1, &country);
        cafe.latest.record(items.into(), &[]);
        cafe.items.record(items.into(), &[]);
        cafe.value.record(f64::from(items) * 0.25, &[]);
        OPEN_ITEMS.fetch_add(items.into(), Relaxed);
        LARGEST.fetch_max(items.into(), Relaxed);
    }
    METRICS.flush(&env, &context);
    Response::ok("Thank you for your order.\n")
}
