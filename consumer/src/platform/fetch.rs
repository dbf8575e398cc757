//! HTTP: the platform's request to the pure functions of [`crate::scrape`], and their answer back.

use std::{cell::RefCell, rc::Rc};

use js_sys::Reflect;
use worker::{Context, Env, Headers, Request, Response, ResponseBody};

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
        respond::{Answer, Ask, Wanted, answer, refuse, unavailable},
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
    let answer = answer_to(request, env, context, &config).await?;
    let headers = Headers::new();
    for (name, value) in &answer.headers {
        headers.set(name, value)?;
    }
    // Neither has a body. That of a HEAD is left to the platform, which counts it and sends the headers of a GET.
    let body = if matches!(answer.status, 204 | 304) { ResponseBody::Empty } else { ResponseBody::Body(answer.body) };
    Ok(Response::from_body(body)?.with_status(answer.status).with_headers(headers))
}

async fn answer_to(request: &Request, env: &Env, context: &Context, config: &Config) -> worker::Result<Answer> {
    let url = request.inner().url();
    let target = Target::read(&url);
    let authorization = status_page::authorization(request, target)?;
    let access = access(config, authorization.as_deref());
    let query: Vec<(String, String)> = target.pairs().collect();
    let operator = operator_access(config, authorization.as_deref());
    let pairs = query.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    match request::read(request.method().as_ref(), target.path, operator, pairs) {
        None => {}
        Some(Ok(call)) => return Ok(DeadLetters::new(env).answer(&call).await),
        Some(Err(refusal)) => return Ok(refusal),
    }
    match import::read(request.method().as_ref(), target.path, operator, target.query.is_some()) {
        None => {}
        Some(Ok(call)) => return imports::answer(call, request, env).await,
        Some(Err(refusal)) => return Ok(refusal),
    }
    if let Some(refusal) = refuse(request.method().as_ref(), target.path, access) {
        return Ok(refusal);
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
        Err(refusal) => return Ok(refusal),
    };
    let answered = match read(wanted.source(config), &wanted.view, env).await {
        Ok(copy) => {
            let Newest { copy, was_behind } = MEMORY.with_borrow_mut(|memory| memory.newest(copy, &wanted.view));
            if was_behind {
                report::count(env, context, metrics::stale);
            }
            answer(&copy, &wanted, ask, runtime::now_ms())
                .map_err(|reason| (reason, "what is stored does not read back".to_owned()))
        }
        Err(failure) => Err(failure),
    };
    Ok(answered.unwrap_or_else(|(reason, why)| {
        log::error("scrape", &serde_json::json!({"reason": reason.as_str(), "why": why}));
        report::count(env, context, |delta| metrics::failed(delta, reason));
        unavailable(reason)
    }))
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

/// One copy. Before the first publication there is none in KV: the Ledger itself answers then.
async fn read(source: Source, view: &View, env: &Env) -> Result<Copy, (FailureReason, String)> {
    if let Some(copy) = read_published(source, env).await.map_err(|why| (FailureReason::Kv, why))? {
        if copy.shows(view) {
            return Ok(copy);
        }
        // The configuration is newer than the text. The state beside it can be shown in any way.
        if let Some(copy) = read_published(Source::Snapshot, env).await.map_err(|why| (FailureReason::Kv, why))? {
            return Ok(copy);
        }
    }
    let bytes = Ledger::new(env).state().await.map_err(|error| (FailureReason::Ledger, error.to_string()))?;
    Ok(Copy::of_ledger(bytes, runtime::now_ms()))
}

async fn read_published(source: Source, env: &Env) -> Result<Option<Copy>, String> {
    let Some(key) = source.key() else { return Ok(None) };
    let store = env.kv(METRICS_KV).map_err(|error| error.to_string())?;
    let read = store.get(key).bytes_with_metadata::<serde_json::Value>().await;
    let (bytes, metadata) = read.map_err(|error| error.to_string())?;
    let publication = metadata.as_ref().and_then(serde_json::Value::as_str).and_then(Publication::parse);
    Ok(bytes.map(|bytes| Copy { source, publication, bytes: Rc::new(bytes) }))
}
