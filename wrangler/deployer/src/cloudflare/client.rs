//! One call of the API: sent, tried again where that may help, its envelope opened.

use std::thread;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use tributary_local::random;
use tributary_local::secrets::Secret;
use ureq::{Agent, http};

use super::error::{ApiError, Cause, Permission, Said, TokenState};
use super::retry;
use crate::limits::{API_CONNECT_TIMEOUT, API_MAX_ANSWER_BYTES, API_MAX_PAGES, API_TIMEOUT};

/// Where the API is, unless `CLOUDFLARE_API_BASE_URL` says otherwise. wrangler reads the same variable.
pub const BASE_URL: &str = "https://api.cloudflare.com/client/v4";

/// A client for one token.
#[derive(Debug)]
pub struct Client {
    agent: Agent,
    base_url: String,
    token: Secret,
}

/// One call.
#[derive(Debug, Clone)]
pub struct Call {
    /// What it is for, after "cannot": "create the queue tributary-deltas".
    pub doing: String,
    /// What the token needs for it.
    pub permission: Permission,
    /// The method.
    pub method: http::Method,
    /// Below the base URL, with the query.
    pub path: String,
    /// `Content-Type` and body.
    pub body: Option<(String, Vec<u8>)>,
}

impl Call {
    /// A `GET`.
    pub fn get(permission: Permission, path: impl Into<String>, doing: impl Into<String>) -> Self {
        Self { doing: doing.into(), permission, method: http::Method::GET, path: path.into(), body: None }
    }

    /// The same with another method.
    #[must_use]
    pub fn with_method(mut self, method: http::Method) -> Self {
        self.method = method;
        self
    }

    /// The same with a JSON body.
    #[must_use]
    pub fn with_json(mut self, body: &serde_json::Value) -> Self {
        self.body = Some(("application/json".to_owned(), body.to_string().into_bytes()));
        self
    }

    fn failed(&self, cause: Cause) -> ApiError {
        ApiError { doing: self.doing.clone(), cause, permission: self.permission, token: None }
    }
}

/// What every answer of the API is wrapped in.
#[derive(Debug, Deserialize)]
struct Envelope {
    #[serde(default)]
    success: bool,
    #[serde(default)]
    errors: Option<Vec<Error>>,
    #[serde(default)]
    result: serde_json::Value,
    #[serde(default)]
    result_info: Option<ResultInfo>,
}

#[derive(Debug, Deserialize)]
struct Error {
    #[serde(default)]
    code: i64,
    #[serde(default)]
    message: String,
}

/// Where a page stands in its list.
#[derive(Debug, Clone, Default, Deserialize)]
struct ResultInfo {
    #[serde(default)]
    total_pages: Option<u64>,
}

/// An answer, and when to come again if it says so.
struct Failure {
    error: ApiError,
    retry_after: Option<std::time::Duration>,
}

impl Client {
    /// A client of the API at `base_url`.
    #[must_use]
    pub fn new(base_url: &str, token: Secret) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(API_TIMEOUT))
            .timeout_connect(Some(API_CONNECT_TIMEOUT))
            // A token must not follow a redirect to another host.
            .max_redirects(0)
            .build();
        Self { agent: config.new_agent(), base_url: base_url.trim_end_matches('/').to_owned(), token }
    }

    /// Where the API is.
    #[must_use]
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// The token.
    #[must_use]
    pub fn token(&self) -> &Secret {
        &self.token
    }

    /// Sends `call` until it gives an answer that will not change, and returns its `result`. For calls that may be sent
    /// twice: everything but a `POST` that creates.
    ///
    /// # Errors
    /// [`ApiError`].
    pub fn call<T: DeserializeOwned>(&self, call: &Call) -> Result<T, ApiError> {
        let envelope = self.retried(call, || Ok(None), |bytes, status| open(call, bytes, status))?;
        read(call, envelope.result)
    }

    /// Like [`Self::call`], for a call that creates something: before it is sent again, `find` looks whether the lost
    /// one took effect. What Cloudflare says exists already is looked for, too.
    ///
    /// # Errors
    /// [`ApiError`].
    pub fn create<T: DeserializeOwned>(
        &self,
        call: &Call,
        exists: &[i64],
        find: impl Fn() -> Result<Option<T>, ApiError>,
    ) -> Result<T, ApiError> {
        let created = self.retried(
            call,
            || find().map(|found| found.map(Created::Found)),
            |bytes, status| open(call, bytes, status).map(|envelope| Created::New(envelope.result)),
        );
        match created {
            Ok(Created::Found(found)) => Ok(found),
            Ok(Created::New(result)) => read(call, result),
            Err(error) if error.has_code(exists) => find()?.ok_or(error),
            Err(error) => Err(error),
        }
    }

    /// All pages of a list.
    ///
    /// # Errors
    /// [`ApiError`].
    pub fn list<T: DeserializeOwned>(&self, call: &Call, per_page: u64) -> Result<Vec<T>, ApiError> {
        let mut all = Vec::new();
        for page in 1..=API_MAX_PAGES {
            let mark = if call.path.contains('?') { '&' } else { '?' };
            let paged = Call { path: format!("{}{mark}page={page}&per_page={per_page}", call.path), ..call.clone() };
            let envelope = self.retried(&paged, || Ok(None), |bytes, status| open(&paged, bytes, status))?;
            let rows: Vec<T> = read(&paged, envelope.result)?;
            let is_last = match envelope.result_info.and_then(|info| info.total_pages) {
                Some(total) => page >= total,
                None => u64::try_from(rows.len()).is_ok_and(|rows| rows < per_page),
            };
            let is_empty = rows.is_empty();
            all.extend(rows);
            if is_last || is_empty {
                return Ok(all);
            }
        }
        Err(call.failed(Cause::Endless))
    }

    /// The bytes of an answer without an envelope: a value of KV. `None` where there is none.
    ///
    /// # Errors
    /// [`ApiError`].
    pub fn bytes(&self, call: &Call) -> Result<Option<Vec<u8>>, ApiError> {
        let bytes = self.retried(
            call,
            || Ok(None),
            |bytes, status| {
                if status == 200 {
                    return Ok(bytes.to_vec());
                }
                match open(call, bytes, status) {
                    Err(error) => Err(error),
                    Ok(_) => Err(call.failed(Cause::Malformed { status })),
                }
            },
        );
        match bytes {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Sends `call`, and again after a pause where that may help and `took_effect` finds nothing.
    fn retried<T>(
        &self,
        call: &Call,
        took_effect: impl Fn() -> Result<Option<T>, ApiError>,
        open: impl Fn(&[u8], u16) -> Result<T, ApiError>,
    ) -> Result<T, ApiError> {
        let mut tries = 1;
        loop {
            let failure = match self.send(call) {
                Ok((status, bytes, retry_after)) => match open(&bytes, status) {
                    Ok(value) => return Ok(value),
                    Err(error) => Failure { error, retry_after },
                },
                Err(reason) => Failure { error: call.failed(Cause::Transport(reason)), retry_after: None },
            };
            if !failure.error.may_pass() {
                return Err(self.explained(call, failure.error));
            }
            let random = random::bytes().map(u64::from_le_bytes).unwrap_or_default();
            let Some(pause) = retry::pause(tries, failure.retry_after, random) else {
                return Err(failure.error);
            };
            thread::sleep(pause);
            tries += 1;
            if let Some(found) = took_effect()? {
                return Ok(found);
            }
        }
    }

    /// Status, body and `Retry-After` of one answer.
    fn send(&self, call: &Call) -> Result<(u16, Vec<u8>, Option<std::time::Duration>), String> {
        let mut request = http::Request::builder()
            .method(call.method.clone())
            .uri(format!("{}{}", self.base_url, call.path))
            .header("Authorization", format!("Bearer {}", self.token.reveal()))
            .header("User-Agent", concat!("tributary-deployer/", env!("CARGO_PKG_VERSION")));
        if let Some((content_type, _)) = &call.body {
            request = request.header("Content-Type", content_type);
        }
        let body = call.body.as_ref().map(|(_, body)| body.clone()).unwrap_or_default();
        // The library's words for a bad header would hold it.
        let request = request.body(body).map_err(|_| "the token or an id cannot stand in a request".to_owned())?;
        let request = self.agent.configure_request(request).allow_non_standard_methods(true).build();
        let mut response = self.agent.run(request).map_err(|error| error.to_string())?;
        let status = response.status().as_u16();
        let retry_after = response.headers().get("Retry-After").and_then(|value| value.to_str().ok());
        let retry_after = retry::retry_after(retry_after);
        let body = response.body_mut().with_config().limit(API_MAX_ANSWER_BYTES).read_to_vec();
        Ok((status, body.map_err(|error| error.to_string())?, retry_after))
    }

    /// Says of an error that speaks of the token whether the token is one at all.
    fn explained(&self, call: &Call, error: ApiError) -> ApiError {
        if !error.is_auth() {
            return error;
        }
        // A token belongs to a user or to an account, and each has its own place to ask.
        let account = call.path.strip_prefix("/accounts/").and_then(|rest| rest.split(['/', '?']).next());
        let account = account.filter(|id| !id.is_empty()).map(|id| format!("/accounts/{id}/tokens/verify"));
        let paths = ["/user/tokens/verify".to_owned()].into_iter().chain(account);
        let mut token = None;
        for path in paths {
            let call = Call::get(error.permission, path, "verify the token");
            let Ok((status, bytes, _)) = self.send(&call) else { continue };
            token = match open(&call, &bytes, status) {
                Ok(envelope) if envelope.result.get("status").and_then(|status| status.as_str()) == Some("active") => {
                    return ApiError { token: Some(TokenState::Active), ..error };
                }
                Ok(_) => Some(TokenState::Unknown),
                Err(refused) if refused.may_pass() => token,
                Err(_) => Some(TokenState::Unknown),
            };
        }
        ApiError { token, ..error }
    }
}

enum Created<T> {
    New(serde_json::Value),
    Found(T),
}

fn open(call: &Call, bytes: &[u8], status: u16) -> Result<Envelope, ApiError> {
    let Ok(envelope) = serde_json::from_slice::<Envelope>(bytes) else {
        return Err(call.failed(Cause::Malformed { status }));
    };
    if envelope.success && status < 400 {
        return Ok(envelope);
    }
    let said = envelope.errors.unwrap_or_default().into_iter();
    let said = said.map(|error| Said { code: error.code, message: error.message }).collect();
    Err(call.failed(Cause::Refused { status, said }))
}

fn read<T: DeserializeOwned>(call: &Call, result: serde_json::Value) -> Result<T, ApiError> {
    serde_json::from_value(result).map_err(|_| call.failed(Cause::Malformed { status: 200 }))
}
