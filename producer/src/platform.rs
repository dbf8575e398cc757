//! The runtime: requests, KV, queue, timers. It carries values between the runtime and the logic and decides nothing.

use std::rc::Rc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::future::{Either, select};
use js_sys::Reflect;
use serde_json::Value;
use tributary_emitter::config::queue_binding;
use tributary_emitter::outbox::Attempt;
use tributary_emitter::platform::{Queue, env_text};
use tributary_emitter::send::{self, Unsent};
use tributary_state::platform::PlatformCipher;
use tributary_state::sealed;
use wasm_bindgen::JsValue;
use worker::{ByteStream, Context, Delay, Env, Headers, Request, Response};

use crate::clock;
use crate::config::{
    MATERIALIZATIONS_KV_BINDING, METRICS_BINDING, PRODUCER_HEADER, QUEUE_BINDING, STATE_KEY, STATE_KV_BINDING,
    VERSION_METADATA,
};
use crate::error::{ApiError, without_quoted};
use crate::flusher::Role;
use crate::host::WorkerHost;
use crate::http::{self, Body, Reply, Route};
use crate::isolate::{self, Isolate};
use crate::limits::{KV_CACHE_TTL_SECS, MAX_BODY_BYTES, MAX_DRAINED_BYTES, RELOAD_TIMEOUT_MS};
use crate::log::{self, Level};
use crate::materializations::Seen;
use crate::metrics::Load;
use crate::recorder::Observation;
use crate::resolve::Step;
use crate::state::{Decision, Fetched, Found, LoadedState, StateError};
use crate::{HAS_PIPELINE, apply, metrics, resolve};

mod materializations;

use materializations::{go_on, keep};

/// Answers one request; CORS headers go on every answer.
///
/// # Errors
/// When the runtime cannot build a response.
pub async fn answer(request: Request, env: Env, context: Context) -> worker::Result<Response> {
    let has_store = || is_bound(&env, MATERIALIZATIONS_KV_BINDING);
    let isolate = match isolate::get(|name| env_text(&env, name), || colo(&request), has_store) {
        Ok(isolate) => isolate,
        Err(_) => return respond(&Reply::from(&ApiError::Internal("no randomness")), "*"),
    };
    let origin = isolate.config.allowed_origin.clone();
    match dispatch(request, env, &context, isolate).await {
        Ok(Answer::Reply(reply)) => respond(&reply, &origin),
        Ok(Answer::Forwarded(response)) => with_cors(response, &origin),
        Err(error) => respond(&Reply::from(&error), &origin),
    }
}

enum Answer {
    Reply(Reply),
    Forwarded(Response),
}

async fn dispatch(mut request: Request, env: Env, context: &Context, isolate: Rc<Isolate>) -> Result<Answer, ApiError> {
    // Not `request.method()`: it takes every unknown method for GET.
    let method = request.inner().method();
    let reply = match http::route(&method, &request.path())? {
        Route::Preflight => Reply::preflight(),
        Route::Metrics => return forward(request, &env).await.map(Answer::Forwarded),
        Route::StateEtag => Reply::state_etag(&resolver_state(&isolate, &env, context).await?.etag),
        Route::Resolve => {
            let call = resolve::parse(&read_body(&mut request).await?, &isolate.config)?;
            let state = resolver_state(&isolate, &env, context).await?;
            if !HAS_PIPELINE {
                let step = resolve::run::<WorkerHost>(call, &state.resolver, &isolate.config, false)?;
                return Ok(Answer::Reply(Reply::json(200, step.without_records()?.to_json()?)));
            }
            // Between these two readings: the resolve, and nothing else.
            let start_micros = clock::monotonic_micros();
            let is_sticky = isolate.assignments.is_some();
            let step = resolve::run::<WorkerHost>(call, &state.resolver, &isolate.config, is_sticky)?;
            let (mut resolved, seen) = match (step, &isolate.assignments) {
                // The one exception: what is sticky has to be read, and that time is a part of this resolve's.
                (Step::Suspended(suspended), Some(recent)) => go_on(suspended, &isolate, recent, &env).await?,
                (step, _) => (step.without_records()?, Seen::new()),
            };
            let after_resolve_micros = clock::monotonic_micros();
            let observation = Observation { start_micros, after_resolve_micros, reasons: resolved.reasons() };
            let assigned = std::mem::take(&mut resolved.assigned);
            if !assigned.is_empty() {
                let (isolate, env, state) = (Rc::clone(&isolate), env.clone(), Rc::clone(&state));
                context.wait_until(async move {
                    keep(assigned, seen, &isolate, state, &env).await;
                    report(isolate, env).await;
                });
            }
            context.wait_until(after_response(isolate, env, Some(observation)));
            Reply::json(200, resolved.to_json()?)
        }
        Route::Apply => {
            let call = apply::parse(&read_body(&mut request).await?)?;
            if !apply::is_no_op(&call) {
                let state = resolver_state(&isolate, &env, context).await?;
                if apply::run::<WorkerHost>(&call, &state.resolver, &isolate.config)? == apply::Applied::Logged {
                    context.wait_until(after_response(isolate, env, None));
                }
            }
            Reply::json(200, apply::response()?)
        }
    };
    Ok(Answer::Reply(reply))
}

/// What a request leaves for the time after its response: record, and perhaps flush.
async fn after_response(isolate: Rc<Isolate>, env: Env, observation: Option<Observation>) {
    let role = match &observation {
        None => isolate.record(clock::epoch_ms(), None),
        Some(observation) => {
            let deferred_micros = if observation.needs_deferred_reading() {
                // The clock stands still until the Worker waits for something; see `latency_micros`.
                Delay::from(Duration::ZERO).await;
                clock::monotonic_micros()
            } else {
                observation.after_resolve_micros
            };
            isolate.record(clock::epoch_ms(), Some((observation, deferred_micros)))
        }
    };
    let lease = match role {
        Role::Follower => return,
        Role::SealNow => None,
        Role::Flusher(lease) => {
            Delay::from(Duration::from_millis(isolate.config.flush_interval_ms)).await;
            Some(lease)
        }
    };
    let attempt = isolate.seal_and_take(clock::epoch_ms(), memory_bytes(), lease);
    send(&isolate, &env, attempt).await;
}

/// Sees to it that what was counted outside of a resolve is sent, too: no resolve may come after it.
async fn report(isolate: Rc<Isolate>, env: Env) {
    if HAS_PIPELINE && tributary_emitter::has_recorded() {
        after_response(isolate, env, None).await;
    }
}

/// Sends what a flusher took; what is not sent is left to the next flush.
async fn send(isolate: &Isolate, env: &Env, attempt: Attempt) {
    let port = Queue { env, binding: QUEUE_BINDING };
    let confirm = |sequences: &[u64]| isolate.flusher.borrow_mut().confirm(sequences);
    let avoided = |queue: u32, failure: &str| {
        if isolate.config.queue_shards > 1 {
            let binding = queue_binding(QUEUE_BINDING, queue);
            let fields = [("queue", Value::from(binding)), ("message", Value::from(without_quoted(failure)))];
            log::write(Level::Warn, "queue_avoided", &fields);
        }
    };
    let sent = send::send(&port, &isolate.queues, attempt, confirm, avoided).await;
    if let Err(Unsent { id, sequences, failure }) = sent {
        isolate.flusher.borrow_mut().release(id, &sequences);
        let fields = [("messages", Value::from(sequences.len())), ("message", Value::from(without_quoted(&failure)))];
        log::write(Level::Error, "queue_send_failed", &fields);
    }
}

async fn resolver_state(isolate: &Rc<Isolate>, env: &Env, context: &Context) -> Result<Rc<LoadedState>, ApiError> {
    let decision = isolate.state.borrow_mut().decide(clock::epoch_ms(), isolate.config.state_refresh_ms);
    match decision {
        Decision::Use(state) => Ok(state),
        Decision::UseAndRefresh(state) => {
            let (isolate, env) = (Rc::clone(isolate), env.clone());
            context.wait_until(async move {
                // A failure is logged and counted, and the old state stays.
                drop(load_state(&isolate, &env).await);
                report(isolate, env).await;
            });
            Ok(state)
        }
        Decision::Reload(state) => {
            let loading = std::pin::pin!(load_state(isolate, env));
            match select(loading, Delay::from(Duration::from_millis(RELOAD_TIMEOUT_MS))).await {
                Either::Left((loaded, _)) => Ok(loaded.unwrap_or(state)),
                Either::Right(((), _)) => {
                    let error = StateError::Unreadable(format!("no answer within {RELOAD_TIMEOUT_MS} ms"));
                    // Counts as a look that failed: nobody waits for the next one.
                    Ok(finish_load(isolate, Err(error)).unwrap_or(state))
                }
            }
        }
        Decision::Refuse(error) => Err(error.into()),
        Decision::Load => {
            let loaded = load_state(isolate, env).await;
            if loaded.is_err() {
                // There is no resolve that it could be reported with.
                context.wait_until(report(Rc::clone(isolate), env.clone()));
            }
            Ok(loaded?)
        }
    }
}

async fn load_state(isolate: &Isolate, env: &Env) -> Result<Rc<LoadedState>, StateError> {
    finish_load(isolate, find_state(isolate, env).await)
}

async fn find_state(isolate: &Isolate, env: &Env) -> Result<Found, StateError> {
    let fetched = fetch_state(env).await?.ok_or(StateError::Missing)?;
    let version = fetched.version();
    if isolate.state.borrow().has(&version) {
        return Ok(Found::Same);
    }
    let key = isolate.config.state_key.as_ref();
    Ok(Found::Other { version, served: sealed::open(fetched.bytes, key, &PlatformCipher).await? })
}

fn finish_load(isolate: &Isolate, found: Result<Found, StateError>) -> Result<Rc<LoadedState>, StateError> {
    let is_same = matches!(found, Ok(Found::Same));
    let result = isolate.state.borrow_mut().finish(clock::epoch_ms(), found);
    metrics::loaded(&isolate.config.resolver_id, Load::of(is_same, &result));
    if let Err(error) = &result {
        log::write(Level::Error, "resolver_state", &[("message", Value::from(error.to_string()))]);
    }
    result
}

async fn fetch_state(env: &Env) -> Result<Option<Fetched>, StateError> {
    let unreadable = |error: String| StateError::Unreadable(without_quoted(&error));
    let kv = env.kv(STATE_KV_BINDING).map_err(|error| unreadable(error.to_string()))?;
    let get = kv.get(STATE_KEY).cache_ttl(KV_CACHE_TTL_SECS);
    let (bytes, metadata) = get.bytes_with_metadata::<Value>().await.map_err(|error| unreadable(error.to_string()))?;
    Ok(bytes.map(|bytes| Fetched { bytes, metadata }))
}

async fn forward(request: Request, env: &Env) -> Result<Response, ApiError> {
    let service = env.service(METRICS_BINDING).map_err(|_| ApiError::MetricsUnavailable)?;
    // The status page shows which deploys answer. The body, if any, streams through; the consumer bounds what it reads.
    let mut request = request.clone_mut().map_err(|_| ApiError::MetricsUnavailable)?;
    let headers = request.headers_mut().map_err(|_| ApiError::MetricsUnavailable)?;
    headers.set(PRODUCER_HEADER, &deploy(env)).map_err(|_| ApiError::MetricsUnavailable)?;
    service.fetch_request(request).await.map_err(|_| ApiError::MetricsUnavailable)
}

/// What this Worker is: its version, and what the platform says of the deploy.
fn deploy(env: &Env) -> String {
    let metadata = Reflect::get(env, &JsValue::from_str(VERSION_METADATA)).unwrap_or(JsValue::UNDEFINED);
    let text = |name: &str| Reflect::get(&metadata, &JsValue::from_str(name)).ok().and_then(|value| value.as_string());
    http::deploy_header(text("id").as_deref(), text("timestamp").as_deref())
}

async fn read_body(request: &mut Request) -> Result<Vec<u8>, ApiError> {
    let mut body = Body::new(MAX_BODY_BYTES);
    if request.inner().body().is_some() {
        let mut stream = request.stream().map_err(|_| ApiError::BodyUnreadable)?;
        while let Some(chunk) = stream.next().await {
            if let Err(error) = body.push(&chunk.map_err(|_| ApiError::BodyUnreadable)?) {
                drain(&mut stream).await;
                return Err(error);
            }
        }
    }
    Ok(body.into_bytes())
}

/// Reads on and keeps nothing: an answer while the client still sends is often lost with the connection. What is longer
/// than [`MAX_DRAINED_BYTES`] is cut off.
async fn drain(stream: &mut ByteStream) {
    let mut drained = 0_usize;
    while let Some(Ok(chunk)) = stream.next().await {
        drained = drained.saturating_add(chunk.len());
        if drained > MAX_DRAINED_BYTES {
            break;
        }
    }
}

fn respond(reply: &Reply, origin: &str) -> worker::Result<Response> {
    let headers = Headers::new();
    for (name, value) in http::cors_headers(origin).iter().chain(&reply.headers) {
        headers.set(name, value)?;
    }
    let builder = Response::builder().with_status(reply.status).with_headers(headers);
    Ok(match &reply.body {
        Some(body) => builder.fixed(body.clone().into_bytes()),
        None => builder.empty(),
    })
}

/// The same response with CORS headers. The headers of a fetched response cannot be changed, so they are copied.
fn with_cors(response: Response, origin: &str) -> worker::Result<Response> {
    let headers = Headers::new();
    for (name, value) in response.headers().entries() {
        headers.append(&name, &value)?;
    }
    for (name, value) in http::cors_headers(origin) {
        headers.set(name, &value)?;
    }
    Ok(response.with_headers(headers))
}

/// The data centre, where the runtime says it. By hand: the crate's accessor panics where `cf` is an object without it, as
/// outside of Cloudflare and in a request that another Worker made up.
fn colo(request: &Request) -> Option<String> {
    let cf = Reflect::get(request.inner(), &JsValue::from_str("cf")).ok().filter(JsValue::is_object)?;
    Reflect::get(&cf, &JsValue::from_str("colo")).ok()?.as_string()
}

/// Whether there is such a binding.
fn is_bound(env: &Env, name: &str) -> bool {
    Reflect::get(env, &JsValue::from_str(name)).is_ok_and(|binding| binding.is_object())
}

/// Linear memory of this Worker, in bytes; `None` outside WebAssembly.
fn memory_bytes() -> Option<u64> {
    #[cfg(target_arch = "wasm32")]
    {
        /// Bytes of a page (WebAssembly core specification, memory instances).
        const PAGE_BYTES: u64 = 65_536;
        u64::try_from(core::arch::wasm32::memory_size(0)).ok().map(|pages| pages.saturating_mul(PAGE_BYTES))
    }
    #[cfg(not(target_arch = "wasm32"))]
    None
}
