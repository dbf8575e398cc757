//! Routing and answers as plain values; the entry point turns them into the runtime's.

use crate::error::ApiError;

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// `POST /v1/flags:resolve`
    Resolve,
    /// `POST /v1/flags:apply`
    Apply,
    /// `GET /v1/state:etag`
    StateEtag,
    /// `OPTIONS` of any path: the CORS preflight.
    Preflight,
    /// `GET` or `HEAD` of `/metrics`, `/dead-letters`, `/ledger:import` and the status page, `POST` of their verbs: for
    /// the consumer.
    Metrics,
}

/// Finds the route of a request. `path` is the URL's path, without its query.
///
/// # Errors
/// [`ApiError::NotFound`] and [`ApiError::MethodNotAllowed`].
pub fn route(method: &str, path: &str) -> Result<Route, ApiError> {
    if method == "OPTIONS" {
        return Ok(Route::Preflight);
    }
    // Some clients escape the colon of a custom verb; both spellings name the same resource.
    let path = path.replace("%3A", ":").replace("%3a", ":");
    let (route, methods, allow): (Route, &[&str], &'static str) = match path.as_str() {
        "/v1/flags:resolve" => (Route::Resolve, &["POST"], "POST, OPTIONS"),
        "/v1/flags:apply" => (Route::Apply, &["POST"], "POST, OPTIONS"),
        "/v1/state:etag" => (Route::StateEtag, &["GET"], "GET, OPTIONS"),
        "/metrics" | "/dead-letters" | "/status" | "/status/app.js" | "/status/app.css" | "/status/versions" => {
            (Route::Metrics, &["GET", "HEAD"], "GET, HEAD, OPTIONS")
        }
        "/dead-letters:redrive" | "/dead-letters:discard" | "/status/login" | "/status/logout" => {
            (Route::Metrics, &["POST"], "POST, OPTIONS")
        }
        "/ledger:import" => (Route::Metrics, &["GET", "HEAD", "POST"], "GET, HEAD, POST, OPTIONS"),
        _ => return Err(ApiError::NotFound),
    };
    if methods.contains(&method) { Ok(route) } else { Err(ApiError::MethodNotAllowed { allow }) }
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Headers beside those of [`cors_headers`].
    pub headers: Vec<(&'static str, String)>,
    /// The body; `None` for a preflight.
    pub body: Option<String>,
}

impl Reply {
    /// A JSON answer.
    pub fn json(status: u16, body: String) -> Self {
        Self { status, headers: vec![("content-type", "application/json".to_owned())], body: Some(body) }
    }

    /// The answer to a CORS preflight.
    pub fn preflight() -> Self {
        Self {
            status: 204,
            headers: vec![
                ("access-control-allow-methods", "GET, HEAD, POST, OPTIONS".to_owned()),
                // The wildcard does not cover Authorization (Fetch standard, CORS protocol).
                ("access-control-allow-headers", "*, Authorization, Content-Type".to_owned()),
                ("access-control-max-age", "86400".to_owned()),
            ],
            body: None,
        }
    }

    /// The answer to `GET /v1/state:etag`: the version of the resolver state and of this Worker.
    pub fn state_etag(etag: &str) -> Self {
        let body = serde_json::json!({ "etag": etag, "version": env!("CARGO_PKG_VERSION") });
        Self::json(200, body.to_string())
    }
}

impl From<&ApiError> for Reply {
    fn from(error: &ApiError) -> Self {
        let body = serde_json::json!({ "error": { "code": error.code(), "message": error.to_string() } });
        let mut reply = Self::json(error.status(), body.to_string());
        if let ApiError::MethodNotAllowed { allow } = error {
            reply.headers.push(("allow", (*allow).to_owned()));
        }
        reply
    }
}

/// What this Worker says of itself when it forwards a request: version, id and time of the deploy, separated by spaces,
/// the last two where the platform knows them.
pub fn deploy_header(id: Option<&str>, deployed_at: Option<&str>) -> String {
    let parts = [Some(env!("CARGO_PKG_VERSION")), id, deployed_at];
    parts.into_iter().map_while(|part| part.filter(|part| !part.is_empty())).collect::<Vec<_>>().join(" ")
}

/// The headers of every answer, errors and forwarded ones included.
pub fn cors_headers(allowed_origin: &str) -> Vec<(&'static str, String)> {
    let mut headers = vec![("access-control-allow-origin", allowed_origin.to_owned())];
    if allowed_origin != "*" {
        headers.push(("vary", "Origin".to_owned()));
    }
    headers
}

/// A request body that grows chunk by chunk, within a limit. What the client says about its length plays no role.
#[derive(Debug)]
pub struct Body {
    bytes: Vec<u8>,
    limit: usize,
}

impl Body {
    /// An empty body of at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { bytes: Vec::new(), limit }
    }

    /// Adds a chunk.
    ///
    /// # Errors
    /// [`ApiError::BodyTooLarge`]; the body is unchanged and the rest of the stream should be dropped.
    pub fn push(&mut self, chunk: &[u8]) -> Result<(), ApiError> {
        if chunk.len() > self.limit.saturating_sub(self.bytes.len()) {
            return Err(ApiError::BodyTooLarge);
        }
        self.bytes.extend_from_slice(chunk);
        Ok(())
    }

    /// All bytes.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_has_its_route() {
        assert_eq!(route("POST", "/v1/flags:resolve"), Ok(Route::Resolve));
        assert_eq!(route("POST", "/v1/flags%3Aresolve"), Ok(Route::Resolve));
        assert_eq!(route("POST", "/v1/flags:apply"), Ok(Route::Apply));
        assert_eq!(route("GET", "/v1/state:etag"), Ok(Route::StateEtag));
        assert_eq!(route("POST", "/dead-letters:redrive"), Ok(Route::Metrics));
        assert_eq!(route("POST", "/dead-letters%3Adiscard"), Ok(Route::Metrics));
        assert_eq!(route("POST", "/ledger:import"), Ok(Route::Metrics));
        assert_eq!(route("GET", "/ledger%3Aimport"), Ok(Route::Metrics));
        assert_eq!(route("POST", "/status/login"), Ok(Route::Metrics));
        assert_eq!(route("POST", "/status/logout"), Ok(Route::Metrics));
        for path in ["/metrics", "/dead-letters", "/status", "/status/app.js", "/status/app.css", "/status/versions"] {
            assert_eq!(route("GET", path), Ok(Route::Metrics));
            assert_eq!(route("HEAD", path), Ok(Route::Metrics));
        }
        for path in ["/v1/flags:resolve", "/", "/anything", "*"] {
            assert_eq!(route("OPTIONS", path), Ok(Route::Preflight));
        }
    }

    #[test]
    fn an_unknown_path_is_404_for_every_method() {
        for method in ["GET", "POST", "DELETE", "FOO", ""] {
            for path in ["/", "", "/v1/flags:resolve/", "/V1/flags:resolve", "/metrics/../v1", "/v1/flags"] {
                assert_eq!(route(method, path), Err(ApiError::NotFound), "{method} {path}");
            }
        }
    }

    #[test]
    fn a_wrong_method_is_405_and_says_what_is_allowed() {
        for (method, path, allow) in [
            ("GET", "/v1/flags:resolve", "POST, OPTIONS"),
            ("get", "/v1/flags:apply", "POST, OPTIONS"),
            ("POST", "/v1/state:etag", "GET, OPTIONS"),
            ("POST", "/metrics", "GET, HEAD, OPTIONS"),
            ("BREW", "/status", "GET, HEAD, OPTIONS"),
            ("GET", "/status/login", "POST, OPTIONS"),
            ("GET", "/dead-letters:redrive", "POST, OPTIONS"),
            ("POST", "/dead-letters", "GET, HEAD, OPTIONS"),
        ] {
            let error = route(method, path).unwrap_err();
            let reply = Reply::from(&error);
            assert_eq!(reply.status, 405);
            assert!(reply.headers.contains(&("allow", allow.to_owned())), "{method} {path}");
        }
    }

    #[test]
    fn every_error_is_json_with_a_code_and_a_message() {
        for error in [
            ApiError::NotFound,
            ApiError::MethodNotAllowed { allow: "GET" },
            ApiError::BodyTooLarge,
            ApiError::BadJson("x\"\n".to_owned()),
            ApiError::UnknownClient,
            ApiError::NoEncryptionKey,
            ApiError::State(crate::state::StateError::Missing),
            ApiError::MetricsUnavailable,
        ] {
            let reply = Reply::from(&error);
            assert!(reply.status >= 400);
            let value: serde_json::Value = serde_json::from_str(&reply.body.unwrap()).unwrap();
            assert_eq!(value["error"]["code"], error.code());
            assert!(!value["error"]["message"].as_str().unwrap().is_empty());
            assert_eq!(value["error"]["message"], error.to_string());
        }
    }

    #[test]
    fn a_fixed_origin_varies_and_a_wildcard_does_not() {
        assert_eq!(cors_headers("*"), vec![("access-control-allow-origin", "*".to_owned())]);
        assert!(cors_headers("https://a.example").contains(&("vary", "Origin".to_owned())));
    }

    #[test]
    fn a_deploy_names_its_version_even_where_the_platform_knows_nothing() {
        let version = env!("CARGO_PKG_VERSION");
        assert_eq!(deploy_header(None, None), version);
        assert_eq!(deploy_header(Some(""), Some("")), version);
        assert_eq!(
            deploy_header(Some("id"), Some("2026-11-22T10:00:00Z")),
            format!("{version} id 2026-11-22T10:00:00Z")
        );
    }

    #[test]
    fn a_body_is_counted_and_not_believed() {
        let mut body = Body::new(10);
        body.push(b"12345").unwrap();
        body.push(b"").unwrap();
        body.push(b"67890").unwrap();
        assert_eq!(body.push(b"1"), Err(ApiError::BodyTooLarge));
        assert_eq!(body.into_bytes(), b"1234567890");
    }
}
