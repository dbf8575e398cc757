//! The cookie that keeps a browser's token, and what it opens.
//!
//! Its value is the `Authorization` header that the login found to be right, in base64url. No script can read it, no
//! other site can make a browser send it, and it opens reads of `/metrics` and of the status page alone: what changes
//! something wants the header itself, which no browser sends by itself.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};

use super::PAGE_PATH;
use crate::{
    config::Config,
    limits::{MAX_COOKIE_HEADER_BYTES, SESSION_AGE},
    scrape::access::{Access, access},
};

/// The cookie's name. With `__Host-` a browser takes it only by https, without a domain, for the whole host: nobody on
/// a neighbouring host can set it. Over http, as locally, such a cookie would be refused.
fn name(is_https: bool) -> &'static str {
    if is_https { "__Host-tributary" } else { "tributary" }
}

/// The `Set-Cookie` of a session with this `Authorization` header.
pub fn begin(authorization: &str, is_https: bool) -> String {
    set_cookie(&BASE64_URL_SAFE_NO_PAD.encode(authorization), SESSION_AGE.as_secs(), is_https)
}

/// The `Set-Cookie` that ends a session.
pub fn end(is_https: bool) -> String {
    set_cookie("", 0, is_https)
}

fn set_cookie(value: &str, max_age: u64, is_https: bool) -> String {
    let secure = if is_https { "; Secure" } else { "" };
    format!("{}={value}; Path=/; Max-Age={max_age}; HttpOnly; SameSite=Strict{secure}", name(is_https))
}

/// The `Authorization` header that a `Cookie` header stands for. `None` where there is no session, or none of ours.
pub fn credentials(cookie: &str, is_https: bool) -> Option<String> {
    if cookie.len() > MAX_COOKIE_HEADER_BYTES {
        return None;
    }
    let value = cookie.split(';').find_map(|pair| {
        let (cookie_name, value) = pair.trim().split_once('=')?;
        (cookie_name == name(is_https)).then_some(value)
    })?;
    String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(value).ok()?).ok().filter(|text| !text.is_empty())
}

/// The credentials of a request: its own `Authorization` header, else its cookie where that opens anything.
pub fn authorization(
    method: &str,
    path: &str,
    is_https: bool,
    header: Option<String>,
    cookie: Option<&str>,
) -> Option<String> {
    let is_read = matches!(method, "GET" | "HEAD");
    let is_open_to_cookies = path == "/metrics" || path == PAGE_PATH || path.starts_with("/status/");
    match header {
        None if is_read && is_open_to_cookies => credentials(cookie?, is_https),
        header => header,
    }
}

/// The `Authorization` header that this token makes right: it may be `METRICS_TOKEN` or the client secret.
///
/// # Errors
/// Why there is none: never [`Access::Granted`].
pub fn log_in(config: &Config, token: &str) -> Result<String, Access> {
    // Both are compared, whatever the first gives.
    let tried = ["Bearer", "ClientSecret"].map(|scheme| format!("{scheme} {token}"));
    let [bearer, client_secret] = tried.each_ref().map(|header| access(config, Some(header)));
    let [bearer_header, client_secret_header] = tried;
    match (bearer, client_secret) {
        (Access::Granted, _) => Ok(bearer_header),
        (_, Access::Granted) => Ok(client_secret_header),
        (Access::Unconfigured, _) | (_, Access::Unconfigured) => Err(Access::Unconfigured),
        (Access::Denied, Access::Denied) => Err(Access::Denied),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn config(variables: &[(&'static str, &'static str)]) -> Config {
        Config::read(&variables.iter().copied().collect::<BTreeMap<_, _>>()).0
    }

    fn sent_back(set_cookie: &str) -> &str {
        set_cookie.split(';').next().unwrap()
    }

    #[test]
    fn a_session_reads_back_whatever_the_token_holds() {
        for token in ["0123456789abcdef", "with space; and=signs, \"quotes\"", "öäü", "…"] {
            for is_https in [true, false] {
                let header = format!("Bearer {token}");
                let cookie = begin(&header, is_https);
                let sent = format!("other=1; {}; last=", sent_back(&cookie));
                assert_eq!(credentials(&sent, is_https).as_deref(), Some(header.as_str()));
                assert!(!cookie.contains(token), "not in the clear: {cookie}");
                assert!(cookie.is_ascii() && cookie.split(';').next().unwrap().matches(['"', ',', ' ']).count() == 0);
            }
        }
    }

    #[test]
    fn the_flags_are_those_of_a_session() {
        let secure = begin("Bearer x", true);
        assert!(secure.starts_with("__Host-tributary="));
        for flag in ["Path=/", "Max-Age=43200", "HttpOnly", "SameSite=Strict", "Secure"] {
            assert!(secure.split("; ").any(|part| part == flag), "{flag}: {secure}");
        }
        assert!(!secure.contains("Domain"));
        let local = begin("Bearer x", false);
        assert!(local.starts_with("tributary=") && !local.contains("Secure"));
        assert!(local.contains("HttpOnly") && local.contains("SameSite=Strict"));
        let ended = end(true);
        assert!(ended.starts_with("__Host-tributary=;") && ended.contains("Max-Age=0") && ended.contains("Secure"));
        assert_eq!(credentials(sent_back(&ended), true), None);
    }

    #[test]
    fn a_cookie_of_plain_http_is_no_session_over_https() {
        let planted = begin("Bearer x", false);
        assert_eq!(credentials(sent_back(&planted), true), None);
    }

    #[test]
    fn junk_is_no_session() {
        let long = format!("tributary={}", "QQ".repeat(20_000));
        for cookie in
            ["", ";;;", "=", "tributary", "tributary=", "tributary=*", "tributary=_____w", "tributary=%20", &long]
        {
            assert_eq!(credentials(cookie, false), None, "{cookie:.40}");
        }
    }

    #[test]
    fn a_cookie_opens_reads_of_metrics_and_of_the_page_and_nothing_else() {
        let cookie = begin("Bearer token", false);
        let of = |method, path| authorization(method, path, false, None, Some(sent_back(&cookie)));
        for path in ["/metrics", "/status", "/status/versions"] {
            assert_eq!(of("GET", path).as_deref(), Some("Bearer token"), "{path}");
            assert_eq!(of("HEAD", path).as_deref(), Some("Bearer token"), "{path}");
            assert_eq!(of("POST", path), None, "{path}");
        }
        for path in ["/dead-letters", "/dead-letters:redrive", "/dead-letters:discard", "/metricsx", "/statuses", "/"] {
            assert_eq!((of("GET", path), of("POST", path)), (None, None), "{path}");
        }
    }

    #[test]
    fn a_header_goes_before_the_cookie_even_where_it_is_wrong() {
        let cookie = begin("Bearer token", false);
        let header = authorization("GET", "/metrics", false, Some("Bearer wrong".into()), Some(sent_back(&cookie)));
        assert_eq!(header.as_deref(), Some("Bearer wrong"));
        assert_eq!(authorization("GET", "/metrics", false, None, None), None);
    }

    #[test]
    fn either_secret_logs_in_with_its_own_scheme() {
        let both = config(&[("METRICS_TOKEN", "token"), ("CONFIDENCE_CLIENT_SECRET", "secret")]);
        assert_eq!(log_in(&both, "token").as_deref(), Ok("Bearer token"));
        assert_eq!(log_in(&both, " secret ").map(|header| access(&both, Some(&header))), Ok(Access::Granted));
        for wrong in ["", "tok", "token2", "Bearer token"] {
            assert_eq!(log_in(&both, wrong), Err(Access::Denied), "{wrong}");
        }
        let secret_alone = config(&[("CONFIDENCE_CLIENT_SECRET", "secret")]);
        assert_eq!(log_in(&secret_alone, ""), Err(Access::Denied));
        assert_eq!(log_in(&config(&[]), "token"), Err(Access::Unconfigured));
    }
}
