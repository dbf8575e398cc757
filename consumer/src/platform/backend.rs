//! Deliveries to the Confidence backend, and the route that the resolver state gives.

use std::cell::RefCell;

use js_sys::Uint8Array;
use tributary_state::{platform::PlatformCipher, sealed};
use worker::{AbortController, Env, Fetch, Headers, Method, Request, RequestInit};

use super::{
    log,
    runtime::{now_ms, within},
};
use crate::{
    backend::delivery::{DeliveryOutcome, DeliveryRequest, Destination, Route, delivery_request},
    config::{Config, STATE_KEY, STATE_KV},
    limits::{BACKEND_TIMEOUT, DESTINATIONS_MAX_AGE, ROUTE_TIMEOUT},
    pipeline::BackendPort,
};

thread_local! {
    /// The route read last, and when: plain data, so requests may share it.
    static ROUTE: RefCell<Option<(u64, Route)>> = const { RefCell::new(None) };
}

/// The backend as this Worker reaches it.
pub(crate) struct Backend<'a> {
    env: &'a Env,
    config: &'a Config,
}

impl<'a> Backend<'a> {
    /// The backend that `config` names, by the route of the state in `env`.
    pub(crate) fn new(env: &'a Env, config: &'a Config) -> Self {
        Self { env, config }
    }

    async fn read_route(&self) -> worker::Result<Route> {
        let state = self.env.kv(STATE_KV)?.get(STATE_KEY).bytes().await?;
        let Some(bytes) = state else { return Ok(Route::default()) };
        let opened = sealed::open(bytes, self.config.state_key.key(), &PlatformCipher).await;
        let state =
            opened.map_err(|error| worker::Error::RustError(format!("the resolver state cannot be read: {error}")))?;
        Ok(Route::new(&state.log_destinations, state.account_id))
    }

    async fn send(&self, request: DeliveryRequest<'_>) -> worker::Result<DeliveryOutcome> {
        let headers = Headers::new();
        headers.set("Content-Type", request.content_type)?;
        if let Some(secret) = &self.config.client_secret {
            headers.set("Authorization", &format!("ClientSecret {}", secret.expose()))?;
        }
        let mut init = RequestInit::new();
        init.with_method(Method::Post).with_headers(headers).with_body(Some(Uint8Array::from(&*request.body).into()));
        let request = Request::new_with_init(&request.url, &init)?;
        let controller = AbortController::default();
        let signal = controller.signal();
        let answer = within(BACKEND_TIMEOUT, Fetch::Request(request).send_with_signal(&signal)).await;
        let Some(response) = answer else {
            controller.abort();
            return Ok(DeliveryOutcome::Unavailable { retry_after: None });
        };
        let response = response?;
        let retry_after = response.headers().get("Retry-After")?;
        Ok(DeliveryOutcome::of_status(response.status_code(), retry_after.as_deref(), now_ms()))
    }
}

impl BackendPort for Backend<'_> {
    async fn route(&self) -> Route {
        let max_age_ms = u64::try_from(DESTINATIONS_MAX_AGE.as_millis()).unwrap_or(u64::MAX);
        let known = ROUTE.with_borrow(Clone::clone);
        if let Some((read_ms, route)) = &known
            && now_ms().saturating_sub(*read_ms) < max_age_ms
        {
            return route.clone();
        }
        let read = within(ROUTE_TIMEOUT, self.read_route()).await;
        match read.unwrap_or_else(|| Err(worker::Error::RustError("no answer from KV".into()))) {
            Ok(route) => {
                ROUTE.set(Some((now_ms(), route.clone())));
                route
            }
            Err(error) => {
                log::warn("route", &serde_json::json!({"why": error.to_string(), "using": "the one before"}));
                known.map(|(_, route)| route).unwrap_or_default()
            }
        }
    }

    async fn deliver(&self, route: &Route, destination: Destination, logs: &[u8]) -> DeliveryOutcome {
        let request = delivery_request(self.config, route, destination, logs);
        // No connection: the error of the platform names neither a secret nor a body.
        self.send(request).await.unwrap_or(DeliveryOutcome::Unavailable { retry_after: None })
    }

    fn now_ms(&self) -> u64 {
        now_ms()
    }
}
