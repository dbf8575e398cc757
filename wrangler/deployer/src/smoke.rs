//! Questions to the deployed Worker: does it answer, and what do its metrics say.

use std::thread;
use std::time::{Duration, Instant};

use tributary_local::secrets::Secret;
use ureq::Agent;

use crate::limits::{SMOKE_REQUEST_TIMEOUT, SMOKE_TIMEOUT};

const POLL: Duration = Duration::from_millis(500);
/// The most of an answer that is read: a scrape at full density with many labels is some MB.
const MAX_BODY_BYTES: u64 = 64 * 1024 * 1024;
/// What of an answer an error shows.
const SHOWN: usize = 200;

/// A Worker's host, and where its requests go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    host: String,
    origin: Option<String>,
}

/// What opens `/metrics`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    /// METRICS_TOKEN.
    Bearer(Secret),
    /// CONFIDENCE_CLIENT_SECRET.
    ClientSecret(Secret),
}

/// Why the Worker is not known to work.
#[derive(Debug, thiserror::Error)]
#[error(
    "everything is deployed, but {url} did not answer as it should within {seconds} s: {reason}\nA first workers.dev host \
     can take some minutes. Look at {url}, then run the same command again: it only asks once more. The Worker's log: \
     npx wrangler tail {worker}"
)]
pub struct SmokeError {
    /// Where it was asked.
    pub url: String,
    /// How long.
    pub seconds: u64,
    /// What the last try gave.
    pub reason: String,
    /// Whose log to look at.
    pub worker: String,
}

/// What the Worker said.
#[derive(Debug, Clone, PartialEq)]
pub struct Answers {
    /// The ETag of the state that it serves.
    pub state_etag: String,
    /// Age of the metrics in seconds, if it was told.
    pub metrics_age: Option<f64>,
}

impl Endpoint {
    /// The host of `worker` in the account's workers.dev subdomain; its requests go to `origin` if that is given.
    #[must_use]
    pub fn new(worker: &str, subdomain: &str, origin: Option<&str>) -> Self {
        let origin = origin.map(|origin| origin.trim_end_matches('/').to_owned());
        Self { host: format!("{worker}.{subdomain}.workers.dev"), origin }
    }

    /// The address for people.
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://{}", self.host)
    }

    /// The host.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Where requests go instead of the host, if that is given.
    #[must_use]
    pub fn origin(&self) -> Option<&str> {
        self.origin.as_deref()
    }

    /// Status and body of a `GET`.
    ///
    /// # Errors
    /// Why there is no answer.
    pub fn get(&self, path: &str, access: Option<&Access>) -> Result<(u16, String), String> {
        let agent: Agent = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(SMOKE_REQUEST_TIMEOUT))
            .max_redirects(0)
            .build()
            .into();
        let url = format!("{}{path}", self.origin.clone().unwrap_or_else(|| self.url()));
        let mut request = agent.get(&url).header("Host", &self.host);
        if let Some(access) = access {
            let value = match access {
                Access::Bearer(token) => format!("Bearer {}", token.reveal()),
                Access::ClientSecret(secret) => format!("ClientSecret {}", secret.reveal()),
            };
            request = request.header("Authorization", value);
        }
        let mut response = request.call().map_err(|error| error.to_string())?;
        let status = response.status().as_u16();
        let body = response.body_mut().with_config().limit(MAX_BODY_BYTES).read_to_vec();
        Ok((status, String::from_utf8_lossy(&body.map_err(|error| error.to_string())?).into_owned()))
    }

    /// Asks until both answers are right.
    ///
    /// # Errors
    /// [`SmokeError`].
    pub fn check(&self, access: Option<&Access>, worker: &str) -> Result<Answers, SmokeError> {
        let deadline = Instant::now() + SMOKE_TIMEOUT;
        loop {
            let reason = match self.ask(access) {
                Ok(answers) => return Ok(answers),
                Err(reason) => reason,
            };
            if Instant::now() >= deadline {
                let (url, worker) = (self.url(), worker.to_owned());
                return Err(SmokeError { url, seconds: SMOKE_TIMEOUT.as_secs(), reason, worker });
            }
            thread::sleep(POLL);
        }
    }

    fn ask(&self, access: Option<&Access>) -> Result<Answers, String> {
        let state = expect_200("/v1/state:etag", self.get("/v1/state:etag", None)?)?;
        let state: serde_json::Value =
            serde_json::from_str(&state).map_err(|_| "/v1/state:etag answers something that is not ours".to_owned())?;
        let state_etag = state.get("etag").and_then(|etag| etag.as_str()).unwrap_or_default().to_owned();
        let metrics_age = match access {
            None => None,
            Some(_) => age(&expect_200("/metrics", self.get("/metrics", access)?)?),
        };
        Ok(Answers { state_etag, metrics_age })
    }
}

fn expect_200(path: &str, (status, body): (u16, String)) -> Result<String, String> {
    if status == 200 {
        return Ok(body);
    }
    let body: String = body.chars().take(SHOWN).map(|c| if c.is_control() { ' ' } else { c }).collect();
    Err(format!("{path} answers {status}: {body}"))
}

/// The age of the metrics, by themselves.
#[must_use]
pub fn age(exposition: &str) -> Option<f64> {
    sample(exposition, "tributary_metrics_age_seconds")
}

/// When the resolver state that is served was made, in seconds since the epoch.
#[must_use]
pub fn state_time(exposition: &str) -> Option<f64> {
    sample(exposition, "confidence_state_last_update_timestamp_seconds")
}

/// The largest value of a family without buckets.
fn sample(exposition: &str, name: &str) -> Option<f64> {
    let samples = exposition.lines().filter_map(|line| {
        let rest = line.strip_prefix(name)?;
        let value = match rest.strip_prefix('{') {
            Some(labelled) => labelled.rsplit_once('}')?.1,
            None => rest.strip_prefix(' ')?,
        };
        value.split_whitespace().next()?.parse::<f64>().ok()
    });
    samples.reduce(f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_found_by_their_whole_name() {
        let text = "# TYPE tributary_metrics_age_seconds gauge\ntributary_metrics_age_seconds 3.5\n\
                    tributary_metrics_age_seconds_more 9\n\
                    confidence_state_last_update_timestamp_seconds{resolver_id=\"a}b\"} 1.7e9\n\
                    confidence_state_last_update_timestamp_seconds{resolver_id=\"c\"} 1.6e9 123\n";
        assert_eq!(age(text), Some(3.5));
        assert_eq!(state_time(text), Some(1.7e9));
        assert_eq!(age(""), None);
    }

    #[test]
    fn an_error_shows_a_bounded_line() {
        let error = expect_200("/metrics", (503, "x\n".repeat(1_000))).unwrap_err();
        assert!(error.starts_with("/metrics answers 503: x x") && error.len() < 300, "{error}");
    }

    #[test]
    fn requests_go_to_the_host_or_to_the_origin_that_stands_for_it() {
        let endpoint = Endpoint::new("w", "acme", None);
        assert_eq!((endpoint.url().as_str(), endpoint.host()), ("https://w.acme.workers.dev", "w.acme.workers.dev"));
        let closed = Endpoint::new("w", "acme", Some("http://127.0.0.1:1/"));
        assert!(closed.get("/", None).is_err());
        assert_eq!(closed.url(), "https://w.acme.workers.dev");
    }
}
