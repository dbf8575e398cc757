//! The status page: a request to [`crate::status_page`], and its answer back.

use js_sys::Reflect;
use wasm_bindgen::JsValue;
use worker::{Env, Headers, Request, Response, ResponseBody};

use super::body;
use crate::{
    config::{Config, VERSION_METADATA},
    limits::{MAX_DRAINED_LOGIN_BYTES, MAX_LOGIN_BYTES},
    status_page::{
        Assets, PageAnswer, PageRequest, Route, answer, route, session,
        versions::{Deploy, PRODUCER_HEADER},
    },
    target::Target,
};

/// What `wrangler/page.sh` makes of `consumer/status_page/src`.
const ASSETS: Assets = Assets {
    script: include_bytes!("../../status_page/dist/app.js"),
    style: include_bytes!("../../status_page/dist/app.css"),
};

/// The credentials of a request: see [`session::authorization`].
///
/// # Errors
/// A header that the platform cannot read.
pub(crate) fn authorization(request: &Request, target: Target<'_>) -> worker::Result<Option<String>> {
    let headers = request.headers();
    let (header, cookie) = (headers.get("Authorization")?, headers.get("Cookie")?);
    let method = request.inner().method();
    Ok(session::authorization(&method, target.path, target.is_https, header, cookie.as_deref()))
}

/// Answers a request of the status page. `None` where it is none.
///
/// # Errors
/// What the platform throws while it reads the request or builds the response.
pub(crate) async fn serve(request: &Request, env: &Env, config: &Config) -> worker::Result<Option<Response>> {
    let url = request.inner().url();
    let target = Target::read(&url);
    let method = request.inner().method();
    let Some(found) = route(&method, target.path) else { return Ok(None) };
    let page_answer = match found {
        Err(refusal) => PageAnswer::from(refusal),
        Ok(route) => {
            let headers = request.headers();
            let authorization = authorization(request, target)?;
            let body = if route == Route::Login {
                body::read(request, MAX_LOGIN_BYTES, MAX_DRAINED_LOGIN_BYTES).await?
            } else {
                None
            };
            let [accept, content_type, fetch_site, if_none_match, producer] =
                ["Accept", "Content-Type", "Sec-Fetch-Site", "If-None-Match", PRODUCER_HEADER]
                    .map(|name| headers.get(name).unwrap_or_default());
            let page_request = PageRequest {
                is_https: target.is_https,
                authorization: authorization.as_deref(),
                has_session: authorization.is_some() && !headers.has("Authorization")?,
                accept: accept.as_deref(),
                content_type: content_type.as_deref(),
                fetch_site: fetch_site.as_deref(),
                if_none_match: if_none_match.as_deref(),
                producer: producer.as_deref(),
                body: body.as_deref(),
            };
            answer(route, &page_request, config, ASSETS, &deploy(env))
        }
    };
    let headers = Headers::new();
    for (name, value) in &page_answer.headers {
        headers.set(name, value)?;
    }
    // A response of status 303 or 304 must not have a body, not even an empty one.
    let is_empty = page_answer.body.is_empty() || method == "HEAD";
    let body = if is_empty { ResponseBody::Empty } else { ResponseBody::Body(page_answer.body) };
    Ok(Some(Response::from_body(body)?.with_status(page_answer.status).with_headers(headers)))
}

/// This Worker. What the platform says of the deploy is an object, not a string, hence by hand.
fn deploy(env: &Env) -> Deploy {
    let metadata = Reflect::get(env, &JsValue::from_str(VERSION_METADATA)).unwrap_or(JsValue::UNDEFINED);
    let text = |name: &str| {
        let value = Reflect::get(&metadata, &JsValue::from_str(name)).ok();
        value.and_then(|value| value.as_string()).unwrap_or_default()
    };
    Deploy { version: env!("CARGO_PKG_VERSION").to_owned(), id: text("id"), deployed_at: text("timestamp") }
}
