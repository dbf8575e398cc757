//! The cron trigger: the CDN by the Worker's own fetch, KV, and the report of how it ended.

use std::cell::Cell;

use futures::StreamExt as _;
use tributary_state::platform::PlatformCipher;
use worker::{AbortController, Env, Fetch, Headers, Method, Request, RequestInit, RequestRedirect, Response};

use super::{
    ledger::Ledger,
    log, report,
    runtime::{self, now_ms, within},
};
use crate::{
    config::{STATE_KEY, STATE_KV},
    limits::{
        CDN_TIMEOUT, MAX_STATE_BYTES, NO_SECRET_LOG_INTERVAL, REFRESH_TIME, STATE_CACHE_TTL, STATE_STORE_TIMEOUT,
    },
    pipeline::commit_report,
    self_metrics,
    state_refresh::{Cdn, CdnAnswer, CdnError, Failure, NoSource, Outcome, Source, Store, Stored, metrics, refresh},
};

thread_local! {
    /// When this isolate last said that there is no client secret.
    static SAID_MS: Cell<Option<u64>> = const { Cell::new(None) };
}

/// Runs one refresh and reports it. Whatever fails is logged and counted.
pub(crate) async fn run(env: &Env) {
    let outcome = match Source::of(&runtime::config(env)) {
        Ok(source) => {
            let (cdn, store) = (HttpCdn { source: &source }, StateKv { env });
            let in_time = within(REFRESH_TIME, refresh(&source, &cdn, &store, &PlatformCipher)).await;
            in_time.unwrap_or_else(|| {
                let late = format!("the refresh took longer than {REFRESH_TIME:?}");
                Outcome::Failed(Failure::Cdn(CdnError::NoAnswer(late)))
            })
        }
        Err(NoSource::UnusableKey) => Outcome::Failed(Failure::UnusableKey),
        Err(NoSource::NoSecret) => return say_no_secret(),
    };
    if let Outcome::Failed(failure) = &outcome {
        // What is from the platform had its address taken out where it came in.
        let (outcome, why) = (outcome.as_str(), failure.to_string());
        log::error(
            "state_refresh",
            &serde_json::json!({"outcome": outcome, "why": why, "using": "the state that was there"}),
        );
    }
    // Without randomness there is no report; the next minute tries again.
    let Ok(report) = report::of_isolate() else { return };
    self_metrics::record(&mut report.borrow_mut(), |delta| metrics::refreshed(delta, &outcome, now_ms()));
    if let Err(failure) = commit_report(&Ledger::new(env), &report, now_ms()).await {
        log::warn("report_deferred", &serde_json::json!({"why": failure.to_string()}));
    }
}

/// Nothing to refresh is no fault, and not worth a line a minute.
fn say_no_secret() {
    let interval_ms = u64::try_from(NO_SECRET_LOG_INTERVAL.as_millis()).unwrap_or(u64::MAX);
    if SAID_MS.get().is_some_and(|said_ms| now_ms().saturating_sub(said_ms) < interval_ms) {
        return;
    }
    SAID_MS.set(Some(now_ms()));
    log::warn(
        "state_not_refreshed",
        &serde_json::json!({"why": "there is no secret CONFIDENCE_CLIENT_SECRET, so the CDN is not asked"}),
    );
}

struct HttpCdn<'a> {
    source: &'a Source,
}

impl HttpCdn<'_> {
    fn no_answer(&self, error: &worker::Error) -> CdnError {
        CdnError::NoAnswer(self.source.redact(&error.to_string()))
    }

    async fn exchange(&self, request: Request, controller: &AbortController) -> Result<CdnAnswer, CdnError> {
        let signal = controller.signal();
        let sent = Fetch::Request(request).send_with_signal(&signal).await;
        let mut response = sent.map_err(|error| self.no_answer(&error))?;
        let status = response.status_code();
        let etag = response.headers().get("ETag").map_err(|error| self.no_answer(&error))?;
        let body = if status == 200 { self.read(&mut response).await? } else { Vec::new() };
        Ok(CdnAnswer { status, etag, body })
    }

    async fn read(&self, response: &mut Response) -> Result<Vec<u8>, CdnError> {
        let mut stream = response.stream().map_err(|error| self.no_answer(&error))?;
        let mut body = Vec::new();
        while let Some(chunk) = stream.next().await {
            let chunk = chunk.map_err(|error| self.no_answer(&error))?;
            if chunk.len() > MAX_STATE_BYTES.saturating_sub(body.len()) {
                return Err(CdnError::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }
}

impl Cdn for HttpCdn<'_> {
    async fn get(&self, url: &str, if_none_match: Option<&str>) -> Result<CdnAnswer, CdnError> {
        let request = request(url, if_none_match).map_err(|error| self.no_answer(&error))?;
        let controller = AbortController::default();
        let answer = within(CDN_TIMEOUT, self.exchange(request, &controller)).await;
        if !matches!(answer, Some(Ok(CdnAnswer { status: 200, .. }))) {
            // What is left of it is of no use, and holds a connection.
            controller.abort();
        }
        answer.unwrap_or_else(|| Err(CdnError::NoAnswer(format!("nothing whole within {CDN_TIMEOUT:?}"))))
    }
}

fn request(url: &str, if_none_match: Option<&str>) -> worker::Result<Request> {
    let headers = Headers::new();
    if let Some(version) = if_none_match {
        headers.set("If-None-Match", version)?;
    }
    let mut init = RequestInit::new();
    // The question is whether there is something newer than what we have, which no cache on the way can answer. A CDN
    // that redirects is none that we know.
    init.with_method(Method::Get)
        .with_headers(headers)
        .with_redirect(RequestRedirect::Manual)
        .with_cache(worker::CacheMode::NoStore);
    Request::new_with_init(url, &init)
}

struct StateKv<'a> {
    env: &'a Env,
}

impl Store for StateKv<'_> {
    async fn read(&self) -> Result<Option<Stored>, String> {
        let read = async {
            let get = self.env.kv(STATE_KV)?.get(STATE_KEY).cache_ttl(STATE_CACHE_TTL.as_secs());
            Ok::<_, worker::Error>(get.bytes_with_metadata::<serde_json::Value>().await?)
        };
        let (bytes, metadata) = match within(STATE_STORE_TIMEOUT, read).await {
            Some(read) => read.map_err(|error| error.to_string())?,
            None => return Err(format!("no answer within {STATE_STORE_TIMEOUT:?}")),
        };
        let etag = metadata.as_ref().and_then(|metadata| metadata.get("etag")).and_then(serde_json::Value::as_str);
        Ok(bytes.map(|bytes| Stored { bytes, version: etag.map(str::to_owned) }))
    }

    async fn write(&self, bytes: &[u8], version: &str) -> Result<(), String> {
        let write = async {
            let put = self.env.kv(STATE_KV)?.put_bytes(STATE_KEY, bytes)?;
            Ok::<_, worker::Error>(put.metadata(serde_json::json!({"etag": version}))?.execute().await?)
        };
        match within(STATE_STORE_TIMEOUT, write).await {
            Some(written) => written.map_err(|error| error.to_string()),
            None => Err(format!("no answer within {STATE_STORE_TIMEOUT:?}")),
        }
    }
}
