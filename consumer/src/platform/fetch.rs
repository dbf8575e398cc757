//! HTTP: the platform's request to the pure functions of [`crate::scrape`], and their answer back.

use std::{cell::RefCell, future::ready, rc::Rc};

use futures::{
    StreamExt as _,
    stream::{self, LocalBoxStream},
};
use js_sys::Reflect;
use worker::{ByteStream, Context, Env, Headers, Request, Response, ResponseBody};

use super::{dead_letters::DeadLetters, import as imports, ledger::Ledger, log, report, runtime, status_page};
use crate::{
    config::{Config, METRICS_KV},
    dead_letters::request,
    import,
    scrape::{
        access::{access, operator_access},
        copy::{Copy, Memory, Newest, Publication, Source},
        metrics::{self, FailureReason},
        options::View,
        pieces::{Held, MAX_WHOLE_BYTES, MAX_WHOLE_STATE_BYTES, Pieces, Tail},
        respond::{Answer, Ask, Wanted, answer, head, refuse, unavailable},
    },
    target::Target,
};

thread_local! {
    static MEMORY: RefCell<Memory> = RefCell::default();
}

/// Serves one request.
///
/// # Errors
/// What the platform throws while it builds the response.
pub(crate) async fn serve(request: &Request, env: &Env, context: &Context) -> worker::Result<Response> {
    let config = runtime::config(env);
    if let Some(response) = status_page::serve(request, env, &config).await? {
        return Ok(response);
    }
    let Reply { answer, pieces } = answer_to(request, env, context, &config).await?;
    let headers = Headers::new();
    for (name, value) in &answer.headers {
        headers.set(name, value)?;
    }
    // Neither has a body. That of a HEAD is left to the platform, which counts it and sends the headers of a GET.
    let response = match pieces {
        _ if matches!(answer.status, 204 | 304) => Response::from_body(ResponseBody::Empty)?,
        Some(pieces) => Response::from_stream(pieces)?,
        None => Response::from_body(ResponseBody::Body(answer.body))?,
    };
    Ok(response.with_status(answer.status).with_headers(headers))
}

/// An answer, and its body where that is made piece by piece.
struct Reply {
    answer: Answer,
    pieces: Option<LocalBoxStream<'static, worker::Result<Vec<u8>>>>,
}

impl From<Answer> for Reply {
    fn from(answer: Answer) -> Self {
        Self { answer, pieces: None }
    }
}

async fn answer_to(request: &Request, env: &Env, context: &Context, config: &Config) -> worker::Result<Reply> {
    let url = request.inner().url();
    let target = Target::read(&url);
    let authorization = status_page::authorization(request, target)?;
    let access = access(config, authorization.as_deref());
    let query: Vec<(String, String)> = target.pairs().collect();
    let operator = operator_access(config, authorization.as_deref());
    let pairs = query.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    match request::read(request.method().as_ref(), target.path, operator, pairs) {
        None => {}
        Some(Ok(call)) => return Ok(DeadLetters::new(env).answer(&call).await.into()),
        Some(Err(refusal)) => return Ok(refusal.into()),
    }
    match import::read(request.method().as_ref(), target.path, operator, target.query.is_some()) {
        None => {}
        Some(Ok(call)) => return Ok(imports::answer(call, request, env).await?.into()),
        Some(Err(refusal)) => return Ok(refusal.into()),
    }
    if let Some(refusal) = refuse(request.method().as_ref(), target.path, access) {
        return Ok(refusal.into());
    }
    let (accept, if_none_match) = (request.headers().get("Accept")?, request.headers().get("If-None-Match")?);
    let accept_encoding = accept_encoding(request)?;
    let ask = Ask {
        accept: accept.as_deref(),
        accept_encoding: accept_encoding.as_deref(),
        if_none_match: if_none_match.as_deref(),
        query_bytes: target.query.map_or(0, str::len),
        query: &query,
    };
    let wanted = match Wanted::read(ask, config) {
        Ok(wanted) => wanted,
        Err(refusal) => return Ok(refusal.into()),
    };
    let answered = match read(wanted.source(config), &wanted.view, env).await {
        Ok((copy, rest)) => {
            let Newest { copy, was_behind } = MEMORY.with_borrow_mut(|memory| memory.newest(copy, &wanted.view));
            if was_behind {
                report::count(env, context, metrics::stale);
            }
            reply(&copy, rest.filter(|_| !was_behind), &wanted, ask)
        }
        Err(failure) => Err(failure),
    };
    Ok(answered.unwrap_or_else(|(reason, why)| {
        log::error("scrape", &serde_json::json!({"reason": reason.as_str(), "why": why}));
        report::count(env, context, |delta| metrics::failed(delta, reason));
        unavailable(reason).into()
    }))
}

/// The answer that a copy gives. `rest` is what is to come of a text that is too long to be kept.
fn reply(copy: &Copy, rest: Option<ByteStream>, wanted: &Wanted, ask: Ask<'_>) -> Result<Reply, Failed> {
    let now_ms = runtime::now_ms();
    let corrupt = || (FailureReason::Corrupt, "what is stored does not read back".to_owned());
    let is_long = copy.source != Source::Text && copy.bytes.len() > MAX_WHOLE_STATE_BYTES;
    if rest.is_none() && !is_long {
        return answer(copy, wanted, ask, now_ms).map(Reply::from).map_err(|_| corrupt());
    }
    let (answer, has_body) = head(copy, wanted, ask, now_ms);
    if !has_body {
        return Ok(answer.into());
    }
    let age_ms = copy.age_ms(now_ms);
    let pieces = match rest {
        Some(rest) => passed_on(copy.bytes.to_vec(), rest, Tail::new(&wanted.view, age_ms)),
        None => {
            let held = Held::take(copy.bytes.len());
            let held = held.ok_or_else(busy)?;
            let pieces = Pieces::new(copy.bytes.clone(), wanted.view.clone(), wanted.media_type.format, age_ms);
            let pieces = pieces.map_err(|_| corrupt())?;
            stream::iter(pieces)
                .map(move |piece| {
                    let _held = &held;
                    piece.map_err(|error| broken_off(&error.to_string()))
                })
                .boxed_local()
        }
    };
    Ok(Reply { answer, pieces: Some(pieces) })
}

/// A text as it comes.
fn passed_on(begun: Vec<u8>, rest: ByteStream, tail: Tail) -> LocalBoxStream<'static, worker::Result<Vec<u8>>> {
    let chunks = stream::once(ready(Ok(begun))).chain(rest);
    stream::try_unfold((Box::pin(chunks), Some(tail)), async |(mut chunks, tail)| {
        let Some(mut tail) = tail else { return Ok(None) };
        match chunks.next().await {
            Some(chunk) => {
                let piece = tail.pass(chunk.map_err(|error| broken_off(&error.to_string()))?);
                Ok(Some((piece, (chunks, Some(tail)))))
            }
            None => {
                let end = tail.finish().ok_or_else(|| broken_off("the text was cut off"))?;
                Ok(Some((end, (chunks, None))))
            }
        }
    })
    .boxed_local()
}

/// An answer cannot go on. Its status is sent, so the client sees that by the missing end.
fn broken_off(why: &str) -> worker::Error {
    log::error("scrape", &serde_json::json!({"reason": FailureReason::Corrupt.as_str(), "why": why}));
    worker::Error::RustError("the answer was broken off".to_owned())
}

/// `Accept-Encoding` as the client sent it: Cloudflare replaces the header by its own and keeps the client's in `cf`.
fn accept_encoding(request: &Request) -> worker::Result<Option<String>> {
    let of_client = Reflect::get(request.inner(), &"cf".into())
        .ok()
        .filter(js_sys::wasm_bindgen::JsValue::is_object)
        .and_then(|cf| Reflect::get(&cf, &"clientAcceptEncoding".into()).ok())
        .and_then(|value| value.as_string());
    match of_client {
        Some(of_client) => Ok(Some(of_client)),
        None => request.headers().get("Accept-Encoding"),
    }
}

/// Why there is no copy.
type Failed = (FailureReason, String);

/// One copy, and what is to come of it where it is a text that is too long to be kept. Before the first publication there is
/// none in KV: the Ledger itself answers then.
async fn read(source: Source, view: &View, env: &Env) -> Result<(Copy, Option<ByteStream>), Failed> {
    if let Some((copy, rest)) = read_published(source, env).await? {
        if copy.shows(view) {
            return Ok((copy, rest));
        }
        // The configuration is newer than the text. The state beside it can be shown in any way.
        if let Some(published) = read_published(Source::Snapshot, env).await? {
            return Ok(published);
        }
    }
    let _held = Held::expect().ok_or_else(busy)?;
    let bytes = Ledger::new(env).state().await.map_err(|error| (FailureReason::Ledger, error.to_string()))?;
    Ok((Copy::of_ledger(bytes, runtime::now_ms()), None))
}

fn busy() -> Failed {
    (FailureReason::Busy, "too many long answers at a time".to_owned())
}

async fn read_published(source: Source, env: &Env) -> Result<Option<(Copy, Option<ByteStream>)>, Failed> {
    let Some(key) = source.key() else { return Ok(None) };
    let failed = |why: String| (FailureReason::Kv, why);
    let _held = if source == Source::Snapshot { Some(Held::expect().ok_or_else(busy)?) } else { None };
    let store = env.kv(METRICS_KV).map_err(|error| failed(error.to_string()))?;
    let read = store.get(key).stream_with_metadata::<serde_json::Value>().await;
    let (stream, metadata) = read.map_err(|error| failed(error.to_string()))?;
    let publication = metadata.as_ref().and_then(serde_json::Value::as_str).and_then(Publication::parse);
    let Some(stream) = stream else { return Ok(None) };
    let mut rest = ByteStream::from(stream);
    let mut bytes = Vec::new();
    while let Some(chunk) = rest.next().await {
        bytes.append(&mut chunk.map_err(|error| failed(error.to_string()))?);
        if source == Source::Text && bytes.len() > MAX_WHOLE_BYTES {
            return Ok(Some((Copy { source, publication, bytes: Rc::new(bytes) }, Some(rest))));
        }
    }
    Ok(Some((Copy { source, publication, bytes: Rc::new(bytes) }, None)))
}
