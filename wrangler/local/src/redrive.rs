//! `make redrive`: asks an installation to send its dead letters back to the queue, and says what it did.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use crate::secrets::{Secret, Secrets, SecretsError};

const DEFAULT_URL: &str = "http://127.0.0.1:8787";
/// One call works for at most 20 s, and each of its steps may wait 30 s for the Ledger.
const TIMEOUT: Duration = Duration::from_secs(120);
/// More calls than the store has pages: an installation that always says "more" is broken.
const MAX_CALLS: usize = 1_000;

/// What to redrive, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redrive {
    url: String,
    token: Secret,
    reason: Option<String>,
    limit: Option<u64>,
}

/// Why a redrive did not start or end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RedriveError {
    /// Another installation than the local one, without its token.
    #[error("URL is set, TOKEN is not: give the METRICS_TOKEN of {0}")]
    NoToken(String),
    /// No number.
    #[error("LIMIT={0:?} is not a whole number of at least 1")]
    Limit(String),
    /// No word.
    #[error("REASON={0:?} is not a word of a-z, 0-9 and _")]
    Reason(String),
    /// No installation here has run yet.
    #[error("no local installation has run in {0}: start one with `make run`, or give URL= and TOKEN=")]
    NeverRan(PathBuf),
    /// The local token.
    #[error(transparent)]
    Secrets(#[from] SecretsError),
    /// Nobody answered.
    #[error("{url}: {reason}")]
    Connection {
        /// Who was asked.
        url: String,
        /// What went wrong.
        reason: String,
    },
    /// Somebody answered with an error, after this much was done.
    #[error("{url} answers {status}: {body}\nuntil then: {until_then}")]
    Refused {
        /// Who was asked.
        url: String,
        /// The status.
        status: u16,
        /// The answer.
        body: String,
        /// What earlier calls did.
        until_then: String,
    },
}

/// What one call did.
#[derive(Debug, Clone, Default, Deserialize)]
struct Answer {
    by_reason: BTreeMap<String, u64>,
    kept: u64,
    more: bool,
    after: u64,
    up_to: u64,
}

/// What all calls did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Letters that went back, by reason.
    pub sent: BTreeMap<String, u64>,
    /// Letters that cannot go back as they are.
    pub kept: u64,
}

impl Report {
    fn add(&mut self, answer: &Answer) {
        for (reason, letters) in &answer.by_reason {
            let sum = self.sent.entry(reason.clone()).or_default();
            *sum = sum.saturating_add(*letters);
        }
        self.kept = self.kept.saturating_add(answer.kept);
    }

    /// The table that is printed.
    #[must_use]
    pub fn table(&self) -> String {
        let total = self.sent.values().fold(0u64, |sum, letters| sum.saturating_add(*letters));
        let mut table = format!("{:<40} {:>10}\n", "REASON", "REDRIVEN");
        for (reason, letters) in &self.sent {
            table.push_str(&format!("{reason:<40} {letters:>10}\n"));
        }
        table.push_str(&format!("{:<40} {total:>10}\n", "total"));
        if self.kept > 0 {
            table.push_str(&format!("{} kept: without content, or too large to go back with their id\n", self.kept));
        }
        table
    }
}

impl Redrive {
    /// Reads `URL`, `TOKEN`, `REASON` and `LIMIT`; an empty value counts as unset. Without `URL` it is the local
    /// installation on `PORT`, whose token is in `RUN_FOLDER`.
    ///
    /// # Errors
    /// [`RedriveError`].
    pub fn read(environment: &BTreeMap<String, String>) -> Result<Self, RedriveError> {
        let get = |name: &str| environment.get(name).map(|value| value.trim()).filter(|value| !value.is_empty());
        let token = match (get("URL"), get("TOKEN")) {
            (_, Some(token)) => Secret::new(token),
            (Some(url), None) => return Err(RedriveError::NoToken(url.to_owned())),
            (None, None) => {
                let file = PathBuf::from(get("RUN_FOLDER").unwrap_or(".run")).join("secrets");
                if !file.is_file() {
                    return Err(RedriveError::NeverRan(file));
                }
                Secrets::load_or_create(&file)?.metrics_token
            }
        };
        let local = get("PORT").map_or_else(|| DEFAULT_URL.to_owned(), |port| format!("http://127.0.0.1:{port}"));
        let url = get("URL").map_or(local, |url| url.trim_end_matches('/').to_owned());
        let limit = match get("LIMIT") {
            None => None,
            Some(text) => match text.parse() {
                Ok(limit) if limit > 0 => Some(limit),
                _ => return Err(RedriveError::Limit(text.to_owned())),
            },
        };
        let is_word = |text: &str| text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        let reason = match get("REASON") {
            Some(text) if !is_word(text) => return Err(RedriveError::Reason(text.to_owned())),
            reason => reason.map(str::to_owned),
        };
        Ok(Self { url, token, reason, limit })
    }

    /// Calls until nothing is left to redrive.
    ///
    /// # Errors
    /// [`RedriveError::Connection`] and [`RedriveError::Refused`]; nothing is lost then, and a new run goes on.
    pub fn run(&self) -> Result<Report, RedriveError> {
        let agent: ureq::Agent =
            ureq::Agent::config_builder().timeout_global(Some(TIMEOUT)).http_status_as_error(false).build().into();
        let mut report = Report::default();
        let mut left = self.limit;
        let mut place = None;
        for _ in 0..MAX_CALLS {
            let url = self.call_url(left, place);
            let connection =
                |error: ureq::Error| RedriveError::Connection { url: self.url.clone(), reason: error.to_string() };
            let mut response = agent
                .post(&url)
                .header("Authorization", format!("Bearer {}", self.token.reveal()))
                .send_empty()
                .map_err(connection)?;
            let body = response.body_mut().read_to_string().map_err(connection)?;
            let status = response.status().as_u16();
            let answer = serde_json::from_str::<Answer>(&body);
            if let Ok(answer) = &answer {
                report.add(answer);
            }
            let Ok(answer) = answer.map_err(drop).and_then(|answer| if status == 200 { Ok(answer) } else { Err(()) })
            else {
                let until_then = report.table();
                return Err(RedriveError::Refused { url, status, body: body.chars().take(500).collect(), until_then });
            };
            let sent = answer.by_reason.values().fold(0u64, |sum, letters| sum.saturating_add(*letters));
            left = left.map(|left| left.saturating_sub(sent));
            if !answer.more || left == Some(0) {
                break;
            }
            place = Some((answer.after, answer.up_to));
        }
        Ok(report)
    }

    fn call_url(&self, limit: Option<u64>, place: Option<(u64, u64)>) -> String {
        let mut query: Vec<String> = Vec::new();
        query.extend(self.reason.as_ref().map(|reason| format!("reason={reason}")));
        query.extend(limit.map(|limit| format!("limit={limit}")));
        query.extend(place.map(|(after, up_to)| format!("after={after}&up_to={up_to}")));
        let mark = if query.is_empty() { "" } else { "?" };
        format!("{}/dead-letters:redrive{mark}{}", self.url, query.join("&"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Redrive, RedriveError> {
        Redrive::read(&pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn the_local_token_goes_to_the_local_installation_only() {
        assert!(matches!(read(&[("URL", "https://elsewhere.example")]), Err(RedriveError::NoToken(_))));
        let folder = tempfile::tempdir().unwrap();
        let run_folder = folder.path().to_str().unwrap();
        assert!(matches!(read(&[("RUN_FOLDER", run_folder)]), Err(RedriveError::NeverRan(_))));
        let secrets = Secrets::load_or_create(&folder.path().join("secrets")).unwrap();
        let local = read(&[("RUN_FOLDER", run_folder), ("PORT", "9999"), ("URL", "")]).unwrap();
        assert_eq!((local.url.as_str(), &local.token), ("http://127.0.0.1:9999", &secrets.metrics_token));
    }

    #[test]
    fn what_is_asked_is_in_the_call() {
        let redrive =
            read(&[("URL", "https://x.example/"), ("TOKEN", "t"), ("REASON", "backend_400"), ("LIMIT", "7")]).unwrap();
        assert_eq!(
            redrive.call_url(Some(7), None),
            "https://x.example/dead-letters:redrive?reason=backend_400&limit=7"
        );
        assert!(redrive.call_url(None, Some((3, 9))).ends_with("?reason=backend_400&after=3&up_to=9"));
        for bad in [("LIMIT", "0"), ("LIMIT", "x"), ("REASON", "a&b"), ("REASON", "Ü")] {
            assert!(read(&[("TOKEN", "t"), bad]).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_table_sums_what_the_calls_did() {
        let mut report = Report::default();
        for _ in 0..2 {
            report.add(&Answer { by_reason: [("protobuf".to_owned(), 3)].into(), kept: 1, ..Answer::default() });
        }
        let table = report.table();
        assert!(table.contains("protobuf") && table.contains(" 6\n") && table.contains("2 kept"), "{table}");
    }
}
