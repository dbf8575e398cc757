//! What was asked, for tests to look at.

use std::collections::BTreeMap;

use super::call::Call;

/// One request to the API.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// Its method.
    pub method: String,
    /// Its path below `/client/v4`, as it was sent.
    pub path: String,
    /// Its query, without the question mark.
    pub query: String,
    /// Its headers, names in lower case. Of a token it only says whether it was the right one.
    pub headers: BTreeMap<String, String>,
    /// Its body.
    pub body: Vec<u8>,
    /// What it was answered with; `None` where the answer was lost or is still to come.
    pub status: Option<u16>,
    /// Whether the endpoint is one that this API has.
    pub is_known: bool,
    /// Whether an ordered fault struck it.
    pub is_faulty: bool,
}

impl Recorded {
    pub(crate) fn new(call: &Call, path: &str, token: &str) -> Self {
        let mut headers = call.headers.clone();
        if let Some(value) = headers.get_mut("authorization") {
            let is_right = value.strip_prefix("Bearer ") == Some(token);
            *value = if is_right { "Bearer <the token>" } else { "<not the token>" }.to_owned();
        }
        Self {
            method: call.method.clone(),
            path: path.to_owned(),
            query: call.query.clone(),
            headers,
            body: call.body.clone(),
            status: None,
            is_known: true,
            is_faulty: false,
        }
    }

    /// Method and path, for messages.
    #[must_use]
    pub fn line(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// The body as JSON, null where it is none.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}
