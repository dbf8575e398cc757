//! The OTLP collector, by the Worker's own fetch.

use std::time::Duration;

use futures::StreamExt as _;
use js_sys::{Promise, Uint8Array};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use wasm_bindgen::{JsValue, prelude::wasm_bindgen};
use wasm_bindgen_futures::JsFuture;
use worker::{AbortController, Fetch, Headers, Method, Request, RequestInit, RequestRedirect, Response};

use super::{
    log,
    runtime::{now_ms, within},
};
use crate::otlp::{
    answer::{MAX_ANSWER_BYTES, Outcome},
    config::OtlpConfig,
    exporter::{Collector, encode},
};

/// The collector that the configuration names.
pub(crate) struct HttpCollector<'a> {
    config: &'a OtlpConfig,
}

impl<'a> HttpCollector<'a> {
    /// The collector at `config.url`.
    pub(crate) fn new(config: &'a OtlpConfig) -> Self {
        Self { config }
    }

    async fn send(&self, body: Vec<u8>) -> worker::Result<Outcome> {
        let headers = Headers::new();
        for (name, value) in &self.config.headers {
            headers.set(name, value.expose())?;
        }
        headers.set("Content-Type", self.config.protocol.content_type())?;
        let body = if self.config.gzip {
            headers.set("Content-Encoding", "gzip")?;
            gzip(&body).await?
        } else {
            body
        };
        let mut init = RequestInit::new();
        // A redirect would turn the POST into a GET, and take the credentials elsewhere.
        init.with_method(Method::Post)
            .with_headers(headers)
            .with_redirect(RequestRedirect::Manual)
            .with_body(Some(Uint8Array::from(body.as_slice()).into()));
        let request = Request::new_with_init(&self.config.url, &init)?;
        let controller = AbortController::default();
        let signal = controller.signal();
        let began = now_ms();
        let Some(answer) = within(self.config.timeout, Fetch::Request(request).send_with_signal(&signal)).await else {
            controller.abort();
            return Ok(Outcome::no_answer());
        };
        let mut response = answer?;
        let rest = self.config.timeout.saturating_sub(Duration::from_millis(now_ms().saturating_sub(began)));
        // The status decides; a body that does not come changes nothing of what the collector has.
        let body = within(rest, beginning(&mut response)).await.and_then(Result::ok);
        if body.as_ref().is_none_or(|body| body.len() >= MAX_ANSWER_BYTES) {
            // What is left of it is of no use, and holds a connection.
            controller.abort();
        }
        let body = body.unwrap_or_default();
        let retry_after = response.headers().get("Retry-After")?;
        let protocol = self.config.protocol;
        Ok(Outcome::of_answer(response.status_code(), retry_after.as_deref(), &body, protocol, now_ms()))
    }
}

impl Collector for HttpCollector<'_> {
    async fn post(&self, request: &ExportMetricsServiceRequest) -> Outcome {
        let body = match encode(request, self.config.protocol) {
            Ok(body) => body,
            Err(error) => {
                log::error("otlp", &serde_json::json!({"why": error.to_string()}));
                return Outcome::Refused { status: 400 };
            }
        };
        // No connection: the error of the platform names neither a header nor a body.
        self.send(body).await.unwrap_or(Outcome::no_answer())
    }
}

/// What an answer begins with; a collector can say more than anybody wants to read.
async fn beginning(response: &mut Response) -> worker::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let Ok(mut stream) = response.stream() else { return Ok(bytes) };
    while let Some(chunk) = stream.next().await {
        let chunk = chunk?;
        let room = MAX_ANSWER_BYTES.saturating_sub(bytes.len());
        bytes.extend(chunk.into_iter().take(room));
        if bytes.len() >= MAX_ANSWER_BYTES {
            break;
        }
    }
    Ok(bytes)
}

/// Compressed by the platform, which is faster than what would be compiled in, and weighs nothing.
async fn gzip(body: &[u8]) -> Result<Vec<u8>, JsValue> {
    let plain = Body::new(&Uint8Array::from(body))?;
    let compressed = plain.stream().pipe_through(&CompressionStream::new("gzip")?)?;
    let buffer = JsFuture::from(Body::new(&compressed)?.array_buffer()?).await?;
    Ok(Uint8Array::new(&buffer).to_vec())
}

// What `worker` does not wrap.
#[wasm_bindgen]
extern "C" {
    type CompressionStream;
    #[wasm_bindgen(constructor, catch)]
    fn new(format: &str) -> Result<CompressionStream, JsValue>;

    type ReadableStream;
    #[wasm_bindgen(method, catch, js_name = pipeThrough)]
    fn pipe_through(this: &ReadableStream, through: &CompressionStream) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(js_name = Response)]
    type Body;
    #[wasm_bindgen(constructor, catch, js_class = "Response")]
    fn new(body: &JsValue) -> Result<Body, JsValue>;
    #[wasm_bindgen(method, getter, js_name = body)]
    fn stream(this: &Body) -> ReadableStream;
    #[wasm_bindgen(method, catch, js_name = arrayBuffer)]
    fn array_buffer(this: &Body) -> Result<Promise, JsValue>;
}
