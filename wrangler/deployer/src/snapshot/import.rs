//! The calls of the import: `GET` and `POST /ledger:import`, and the scrapes before and after.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use tributary_local::secrets::Secret;
use tributary_proto::{Message as _, v1::ImportRequest};
use ureq::{Agent, http};

use crate::smoke::Endpoint;

const TIMEOUT: Duration = Duration::from_secs(60);
/// The most of an answer that is read: a scrape at full density comes to some megabytes.
const MAX_ANSWER_BYTES: u64 = 64 << 20;
/// How much of an answer that was not expected is shown.
const SHOWN_CHARACTERS: usize = 500;

/// Why a call did not do what it was for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// Nobody answered, or the answer broke off. Whether an import was applied is then not known: asking again is safe.
    #[error(
        "{url}: {reason}\nWhether anything was imported is not known. Run the same command again: a source is imported once."
    )]
    Connection {
        /// Who was asked.
        url: String,
        /// What went wrong.
        reason: String,
    },
    /// The token is not that of the installation.
    #[error("{0} does not take the token: give the METRICS_TOKEN of this installation")]
    Token(String),
    /// The Ledger refuses the import. Nothing changed.
    #[error("not imported: {message}\n({code}; nothing changed)")]
    Refused {
        /// In one word.
        code: String,
        /// For a person.
        message: String,
    },
    /// Anything else.
    #[error("{url} answers {status}: {body}\nIs it Tributary, at a version that knows imports?")]
    Unexpected {
        /// Who was asked.
        url: String,
        /// The status.
        status: u16,
        /// The beginning of the answer.
        body: String,
    },
}

/// What the Ledger says of an import.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Imported {
    /// Where it came from.
    pub source: String,
    /// The label of its series.
    pub resolver_id: String,
    /// When it was applied, in milliseconds since the epoch.
    pub imported_ms: u64,
    /// SHA-256 of its totals.
    pub digest: String,
    /// How many series.
    pub series: u64,
    /// Its families.
    pub families: Vec<ImportedFamily>,
}

/// One family of an import.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ImportedFamily {
    /// Without the suffix of its samples.
    pub name: String,
    /// How many series.
    pub series: u64,
    /// Counts, or observations, of all of them.
    pub total: u64,
}

/// What an import came to.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Answer {
    /// `applied`, or `already_imported`.
    pub outcome: String,
    /// The import that is there.
    pub import: Imported,
}

#[derive(Deserialize)]
struct List {
    imports: Vec<Imported>,
}

#[derive(Deserialize)]
struct ErrorAnswer {
    error: ErrorBody,
}

#[derive(Deserialize)]
struct ErrorBody {
    code: String,
    message: String,
}

/// What a scrape shows for one `resolver_id`: by sample name, summed over all other labels.
pub type Scrape = BTreeMap<String, f64>;

/// An installation, by the URL that it is scraped at.
#[derive(Debug)]
pub struct Installation {
    agent: Agent,
    url: String,
    /// Where requests go, where that is not the URL.
    origin: Option<(String, String)>,
    token: Secret,
}

impl Installation {
    /// The one at `url`, with its `METRICS_TOKEN`.
    #[must_use]
    pub fn new(url: &str, token: Secret) -> Self {
        let config = Agent::config_builder()
            .timeout_global(Some(TIMEOUT))
            .http_status_as_error(false)
            // A token must not follow a redirect to another host.
            .max_redirects(0);
        Self { agent: config.build().into(), url: url.trim_end_matches('/').to_owned(), origin: None, token }
    }

    /// The one that a deploy left there.
    #[must_use]
    pub fn of(endpoint: &Endpoint, token: Secret) -> Self {
        let origin = endpoint.origin().map(|origin| (origin.to_owned(), endpoint.host().to_owned()));
        Self { origin, ..Self::new(&endpoint.url(), token) }
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What was imported until now.
    ///
    /// # Errors
    /// [`CallError`]
    pub fn imports(&self) -> Result<Vec<Imported>, CallError> {
        let (status, body) = self.call("/ledger:import", None)?;
        match serde_json::from_str::<List>(&body) {
            Ok(list) if status == 200 => Ok(list.imports),
            _ => Err(self.unexpected("/ledger:import", status, &body)),
        }
    }

    /// Imports.
    ///
    /// # Errors
    /// [`CallError`]; [`CallError::Refused`] where nothing changed and asking again changes nothing.
    pub fn import(&self, request: &ImportRequest) -> Result<Answer, CallError> {
        let (status, body) = self.call("/ledger:import", Some(request.encode_to_vec()))?;
        if let Ok(answer) = serde_json::from_str::<Answer>(&body)
            && status == 200
        {
            return Ok(answer);
        }
        match serde_json::from_str::<ErrorAnswer>(&body) {
            Ok(ErrorAnswer { error }) if matches!(status, 400 | 409 | 413) => {
                Err(CallError::Refused { code: error.code, message: error.message })
            }
            _ => Err(self.unexpected("/ledger:import", status, &body)),
        }
    }

    /// What a scrape shows for `resolver_id` now.
    ///
    /// # Errors
    /// [`CallError`]
    pub fn scrape(&self, resolver_id: &str) -> Result<Scrape, CallError> {
        let (status, body) = self.call("/metrics", None)?;
        if status == 200 { Ok(sums_of(&body, resolver_id)) } else { Err(self.unexpected("/metrics", status, &body)) }
    }

    fn call(&self, path: &str, body: Option<Vec<u8>>) -> Result<(u16, String), CallError> {
        let url = format!("{}{path}", self.url);
        let connection =
            |error: &dyn std::fmt::Display| CallError::Connection { url: url.clone(), reason: error.to_string() };
        let (to, host) = match &self.origin {
            Some((origin, host)) => (format!("{origin}{path}"), Some(host.as_str())),
            None => (url.clone(), None),
        };
        let mut request = http::Request::builder().method(if body.is_some() { "POST" } else { "GET" }).uri(to);
        if let Some(host) = host {
            request = request.header("Host", host);
        }
        let request = request
            .header("Authorization", format!("Bearer {}", self.token.reveal()))
            .header("Content-Type", "application/x-protobuf")
            .header("Accept", "application/json, text/plain;version=0.0.4;q=0.5")
            .body(body.unwrap_or_default())
            .map_err(|error| connection(&error))?;
        let mut response = self.agent.run(request).map_err(|error| connection(&error))?;
        let status = response.status().as_u16();
        let read = response.body_mut().with_config().limit(MAX_ANSWER_BYTES).read_to_string();
        let body = read.map_err(|error| connection(&error))?;
        if status == 401 { Err(CallError::Token(url)) } else { Ok((status, body)) }
    }

    fn unexpected(&self, path: &str, status: u16, body: &str) -> CallError {
        let body = body.chars().take(SHOWN_CHARACTERS).collect();
        CallError::Unexpected { url: format!("{}{path}", self.url), status, body }
    }
}

/// The samples of a text exposition that have this `resolver_id`, summed by name.
fn sums_of(text: &str, resolver_id: &str) -> Scrape {
    // As our own text writes a label: the value escaped, and names in order, so nothing else looks like it.
    let escaped = resolver_id.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    let label = format!("resolver_id=\"{escaped}\"");
    let mut sums = Scrape::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let Some((series, value)) = line.rsplit_once(' ') else { continue };
        let Some((name, labels)) = series.split_once('{') else { continue };
        let is_own = labels.match_indices(&label).any(|(at, _)| {
            let before = labels.get(..at).and_then(|before| before.chars().next_back());
            matches!(before, None | Some(','))
        });
        if let (true, Ok(value)) = (is_own, value.parse::<f64>()) {
            *sums.entry(name.to_owned()).or_default() += value;
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scrape_is_summed_by_name_for_one_resolver() {
        let text = "# HELP a_total A.\n# TYPE a_total counter\n\
                    a_total{reason=\"X\",resolver_id=\"eu\"} 3\n\
                    a_total{reason=\"Y\",resolver_id=\"eu\"} 4\n\
                    a_total{reason=\"X\",resolver_id=\"eu-2\"} 100\n\
                    b{resolver_id=\"eu\"} 1.5\n\
                    c{other_resolver_id=\"eu\"} 9\n\
                    d 7\n";
        let expected = [("a_total".to_owned(), 7.0), ("b".to_owned(), 1.5)];
        assert_eq!(sums_of(text, "eu"), BTreeMap::from(expected));
        let odd = "a{resolver_id=\"q\\\"\\\\\"} 2\n";
        assert_eq!(sums_of(odd, "q\"\\"), BTreeMap::from([("a".to_owned(), 2.0)]));
    }
}
