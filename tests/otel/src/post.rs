//! What people do without a queue: each invocation posts what it recorded to a collector.

use std::cell::RefCell;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use prost::Message as _;
use tributary_otel::{
    opentelemetry_sdk::{
        Resource,
        metrics::{SdkMeterProvider, data::ResourceMetrics, reader::MetricReader as _},
    },
    reader::Reader,
};
use worker::{Env, Error, Fetch, Headers, Method, Request, RequestInit, Result, console_error, js_sys::Uint8Array};

use crate::shop::Shop;

/// The SDK of an isolate whose invocations post.
pub(crate) struct Post {
    shop: Shop,
    reader: Reader,
    metrics: RefCell<ResourceMetrics>,
}

impl Post {
    pub(crate) fn new() -> Self {
        let reader = Reader::default();
        let resource = Resource::builder_empty().with_service_name(crate::NAME).build();
        let provider = SdkMeterProvider::builder().with_resource(resource).with_reader(reader.clone()).build();
        Self { shop: Shop::new(&provider), reader, metrics: RefCell::default() }
    }

    /// Records, and takes it out of the SDK as the body of a request.
    pub(crate) fn order(&self, n: u64) -> Result<Vec<u8>> {
        self.shop.order(n);
        let mut metrics = self.metrics.try_borrow_mut().map_err(|error| Error::RustError(error.to_string()))?;
        self.reader.collect(&mut metrics).map_err(|error| Error::RustError(error.to_string()))?;
        Ok(ExportMetricsServiceRequest::from(&*metrics).encode_to_vec())
    }
}

/// Posts it. What goes wrong is said, and shows in what the collector counts.
pub(crate) async fn send(env: Env, body: Vec<u8>) {
    if let Err(error) = post(&env, &body).await {
        console_error!("not posted: {error}");
    }
}

async fn post(env: &Env, body: &[u8]) -> Result<()> {
    let endpoint = env.var("OTEL_EXPORTER_OTLP_ENDPOINT")?.to_string();
    let headers = Headers::new();
    headers.set("content-type", "application/x-protobuf")?;
    let mut init = RequestInit::new();
    init.with_method(Method::Post).with_headers(headers).with_body(Some(Uint8Array::from(body).into()));
    let request = Request::new_with_init(&format!("{endpoint}/v1/metrics"), &init)?;
    let response = Fetch::Request(request).send().await?;
    match response.status_code() {
        200 => Ok(()),
        status => Err(Error::RustError(format!("status {status}"))),
    }
}
