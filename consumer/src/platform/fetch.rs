//! HTTP: the platform's request to the pure functions of [`crate::scrape`], and their answer back.

use worker::{Env, Headers, Request, Response, ResponseBody};

use super::{dead_letters::DeadLetters, ledger::Ledger, log, runtime, status_page};
use crate::{
    config::{Config, METRICS_KV},
    dead_letters::request,
    scrape::{
        access::{access, operator_access},
        negotiate::negotiate,
        respond::{Answer, Copy, answer, copy_for, refuse},
    },
};

/// Serves one request.
///
/// # Errors
/// What the platform throws while it builds the response.
pub(crate) async fn serve(request: &Request, env: &Env) -> worker::Result<Response> {
    let config = runtime::config(env);
    if let Some(response) = status_page::serve(request, env, &config).await? {
        return Ok(response);
    }
    let answer = answer_to(request, env, &config).await?;
    let headers = Headers::new();
    for (name, value) in &answer.headers {
        headers.set(name, value)?;
    }
    let body =
        if request.method() == worker::Method::Head { ResponseBody::Empty } else { ResponseBody::Body(answer.body) };
    Ok(Response::from_body(body)?.with_status(answer.status).with_headers(headers))
}

async fn answer_to(request: &Request, env: &Env, config: &Config) -> worker::Result<Answer> {
    let url = request.url()?;
    let authorization = status_page::authorization(request)?;
    let access = access(config, authorization.as_deref());
    let query: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    let query = || query.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let operator = operator_access(config, authorization.as_deref());
    match request::read(request.method().as_ref(), url.path(), operator, query()) {
        None => {}
        Some(Ok(call)) => return Ok(DeadLetters::new(env).answer(&call).await),
        Some(Err(refusal)) => return Ok(refusal),
    }
    if let Some(refusal) = refuse(request.method().as_ref(), url.path(), access) {
        return Ok(refusal);
    }
    let accept = request.headers().get("Accept")?;
    let wanted = match negotiate(accept.as_deref(), query(), config.buckets_per_decade) {
        Ok(wanted) => wanted,
        Err(bad) => return Ok(Answer::error(400, "BAD_OPTION", &bad.to_string())),
    };
    let copy = copy_for(config, wanted);
    Ok(match read(copy, env).await {
        Ok((copy, bytes)) => answer(copy, bytes, wanted, config.created),
        Err(why) => {
            log::error("scrape", &serde_json::json!({"why": why}));
            Answer::error(503, "STORE_UNAVAILABLE", "the metrics store cannot be read now; the log says why")
        }
    })
}

/// The bytes of a copy. Before the first publication there is none: the Ledger itself answers then.
async fn read(copy: Copy, env: &Env) -> Result<(Copy, Vec<u8>), String> {
    if let Some(key) = copy.key() {
        let store = env.kv(METRICS_KV).map_err(|error| error.to_string())?;
        let value = store.get(key).bytes().await.map_err(|error| error.to_string())?;
        if let Some(bytes) = value {
            return Ok((copy, bytes));
        }
    }
    let bytes = Ledger::new(env).state().await.map_err(|error| error.to_string())?;
    Ok((Copy::Ledger, bytes))
}
