//! A small HTTP client: every status is an answer, only a broken connection is an error.

use std::time::Duration;

use ureq::{Agent, http};

/// An answer.
#[derive(Clone, Debug)]
pub struct Reply {
    /// Status.
    pub status: u16,
    /// Headers.
    pub headers: http::HeaderMap,
    /// Body as text; bytes that are no UTF-8 are replaced.
    pub body: String,
    /// Body as it came, whatever its coding.
    pub bytes: Vec<u8>,
}

impl Reply {
    /// A header's value, empty where there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The body as JSON, null where it is none.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }
}

/// A client with a connection of its own that it keeps.
#[derive(Clone, Debug)]
pub struct Client(Agent);

impl Default for Client {
    fn default() -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(60)))
            // A redirect is an answer, too.
            .max_redirects(0)
            .proxy(None)
            .build();
        Self(config.new_agent())
    }
}

impl Client {
    /// Sends one request.
    ///
    /// # Errors
    /// What went wrong with the connection.
    pub fn send(&self, method: &str, url: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<Reply, String> {
        let mut request = http::Request::builder().method(method).uri(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body.to_vec()).map_err(|error| error.to_string())?;
        let request = self.0.configure_request(request).allow_non_standard_methods(true).build();
        let mut response = self.0.run(request).map_err(|error| error.to_string())?;
        let bytes = response.body_mut().read_to_vec().map_err(|error| error.to_string())?;
        Ok(Reply {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            body: String::from_utf8_lossy(&bytes).into_owned(),
            bytes,
        })
    }
}
