//! The answers of the status page, with the headers that keep a browser out of trouble.

use sha2::{Digest as _, Sha256};

use super::{
    Route, session,
    versions::{Deploy, versions},
};
use crate::{
    config::Config,
    scrape::{
        access::{Access, access},
        respond::{Answer, refuse_access},
    },
};

/// Nothing but our own files, no inline script or style, no foreign frame around it.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
     img-src 'self' data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

const PAGE: &str = include_str!("../../status_page/page.html");
const LOGIN: &str = include_str!("../../status_page/login.html");
/// Where the login form says what is wrong.
const MESSAGE: &str = "<!-- message -->";

const WRONG_TOKEN: &str =
    "That is not the token. It is the consumer Worker\u{2019}s METRICS_TOKEN, or its CONFIDENCE_CLIENT_SECRET.";
const OLD_SESSION: &str = "The token that this browser kept is no longer right. Please sign in again.";

/// Script and style, as the build made them.
#[derive(Clone, Copy, Debug)]
pub struct Assets {
    /// JavaScript.
    pub script: &'static [u8],
    /// CSS.
    pub style: &'static [u8],
}

/// What of a request matters here.
#[derive(Clone, Copy, Debug, Default)]
pub struct PageRequest<'a> {
    /// True when the browser came by https.
    pub is_https: bool,
    /// The credentials: header, else cookie ([`session::authorization`]).
    pub authorization: Option<&'a str>,
    /// True when the credentials come from a cookie.
    pub has_session: bool,
    /// `Accept`.
    pub accept: Option<&'a str>,
    /// `Content-Type`.
    pub content_type: Option<&'a str>,
    /// `Sec-Fetch-Site`, where a browser says which site asks.
    pub fetch_site: Option<&'a str>,
    /// `If-None-Match`.
    pub if_none_match: Option<&'a str>,
    /// [`super::versions::PRODUCER_HEADER`].
    pub producer: Option<&'a str>,
    /// The body of a login; `None` where it is longer than [`crate::limits::MAX_LOGIN_BYTES`].
    pub body: Option<&'a [u8]>,
}

impl PageRequest<'_> {
    /// Browsers name HTML when they navigate; scripts and scrapers do not.
    fn is_browser(&self) -> bool {
        self.accept.is_some_and(|accept| accept.to_ascii_lowercase().contains("text/html"))
    }

    /// True when a browser says that another site makes this request. Older browsers do not say; `SameSite=Strict`
    /// holds there too.
    fn is_cross_site(&self) -> bool {
        self.fetch_site.is_some_and(|site| !matches!(site, "same-origin" | "none"))
    }
}

/// An HTTP answer with headers that are made for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageAnswer {
    /// Status.
    pub status: u16,
    /// Headers.
    pub headers: Vec<(&'static str, String)>,
    /// Body; not sent for `HEAD`.
    pub body: Vec<u8>,
}

impl From<Answer> for PageAnswer {
    fn from(answer: Answer) -> Self {
        let headers = answer.headers.into_iter().map(|(name, value)| (name, String::from(value))).collect();
        Self { status: answer.status, headers, body: answer.body }
    }
}

impl PageAnswer {
    fn new(status: u16, content_type: &str, cache_control: &str, body: Vec<u8>) -> Self {
        let headers = vec![
            ("Content-Type", content_type.to_owned()),
            ("Cache-Control", cache_control.to_owned()),
            ("Content-Security-Policy", CONTENT_SECURITY_POLICY.to_owned()),
            ("X-Content-Type-Options", "nosniff".to_owned()),
            ("Referrer-Policy", "no-referrer".to_owned()),
            ("Cross-Origin-Opener-Policy", "same-origin".to_owned()),
            ("Cross-Origin-Resource-Policy", "same-origin".to_owned()),
        ];
        Self { status, headers, body }
    }

    fn html(status: u16, html: String) -> Self {
        Self::new(status, "text/html; charset=utf-8", "no-store", html.into_bytes())
    }

    fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Back to the page, by a GET.
    fn see_page(set_cookie: String) -> Self {
        Self::html(303, String::new()).with("Location", super::PAGE_PATH).with("Set-Cookie", set_cookie)
    }

    /// A file that a browser may keep and asks about each time.
    fn asset(content_type: &str, content: &[u8], if_none_match: Option<&str>) -> Self {
        let digest: [u8; 32] = Sha256::digest(content).into();
        let hex: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        let is_known = if_none_match.is_some_and(|tags| tags.contains(&hex));
        let (status, body) = if is_known { (304, Vec::new()) } else { (200, content.to_vec()) };
        // Weak: an edge that compresses makes other bytes of it.
        Self::new(status, content_type, "no-cache", body).with("ETag", format!("W/\"{hex}\""))
    }
}

/// The login form; `message` is a text of ours, never something from the request.
fn login(status: u16, message: &str) -> PageAnswer {
    let paragraph =
        if message.is_empty() { String::new() } else { format!("<p id=\"problem\" role=\"alert\">{message}</p>") };
    PageAnswer::html(status, LOGIN.replace(MESSAGE, &paragraph))
}

/// The answer to who may not: the form for a browser, what `/metrics` says for everybody else.
fn refuse(request: &PageRequest<'_>, denied: Access, message: &str) -> Option<PageAnswer> {
    let refusal = refuse_access(denied)?;
    if !request.is_browser() {
        return Some(refusal.into());
    }
    let mut answer = match denied {
        Access::Unconfigured => login(
            refusal.status,
            "This page is closed: neither METRICS_TOKEN nor CONFIDENCE_CLIENT_SECRET is set on the consumer Worker.",
        ),
        Access::Denied | Access::Granted => login(refusal.status, message),
    };
    let kept = refusal.headers.into_iter().filter(|(name, _)| matches!(*name, "WWW-Authenticate" | "Retry-After"));
    answer.headers.extend(kept.map(|(name, value)| (name, String::from(value))));
    if request.has_session {
        answer = answer.with("Set-Cookie", session::end(request.is_https));
    }
    Some(answer)
}

/// Answers a request of `route`.
pub fn answer(
    route: Route,
    request: &PageRequest<'_>,
    config: &Config,
    assets: Assets,
    consumer: &Deploy,
) -> PageAnswer {
    let granted = access(config, request.authorization);
    let refusal = || refuse(request, granted, if request.has_session { OLD_SESSION } else { "" });
    match route {
        Route::Script => PageAnswer::asset("text/javascript; charset=utf-8", assets.script, request.if_none_match),
        Route::Style => PageAnswer::asset("text/css; charset=utf-8", assets.style, request.if_none_match),
        Route::Page => refusal().unwrap_or_else(|| PageAnswer::html(200, PAGE.to_owned())),
        Route::Versions => refusal().unwrap_or_else(|| {
            Answer::json(200, &versions(consumer, request.producer.and_then(Deploy::parse).as_ref())).into()
        }),
        Route::Login | Route::Logout if request.is_cross_site() => {
            Answer::error(403, "CROSS_SITE", "another site asked for this").into()
        }
        Route::Logout => PageAnswer::see_page(session::end(request.is_https)),
        Route::Login => log_in(request, config),
    }
}

fn log_in(request: &PageRequest<'_>, config: &Config) -> PageAnswer {
    let bad = |status, code, message: &str| {
        if request.is_browser() { login(status, message) } else { Answer::error(status, code, message).into() }
    };
    let is_form = request
        .content_type
        .and_then(|value| value.split(';').next())
        .is_some_and(|value| value.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded"));
    if !is_form {
        return bad(415, "NOT_A_FORM", "Send the token as the field \u{201c}token\u{201d} of a form.");
    }
    let Some(body) = request.body else {
        return bad(413, "BODY_TOO_LARGE", "That is longer than any token.");
    };
    let token = form_value(body, "token").unwrap_or_default();
    match session::log_in(config, token.trim()) {
        Ok(authorization) => PageAnswer::see_page(session::begin(&authorization, request.is_https)),
        Err(denied) => refuse(request, denied, WRONG_TOKEN).unwrap_or_else(|| bad(401, "UNAUTHORIZED", WRONG_TOKEN)),
    }
}

/// The first value of a field of a form (URL standard, application/x-www-form-urlencoded). Bytes that are no UTF-8 are
/// replaced, as the standard has it.
fn form_value(body: &[u8], field: &str) -> Option<String> {
    body.split(|byte| *byte == b'&').find_map(|pair| {
        let mut halves = pair.splitn(2, |byte| *byte == b'=');
        let (name, value) = (halves.next()?, halves.next().unwrap_or_default());
        (decoded(name) == field).then(|| decoded(value))
    })
}

fn decoded(text: &[u8]) -> String {
    let hex =
        |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16)).and_then(|n| u8::try_from(n).ok());
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        bytes.push(match (byte, hex(after.first()), hex(after.get(1))) {
            (b'%', Some(high), Some(low)) => {
                rest = after.get(2..).unwrap_or_default();
                high << 4 | low
            }
            (b'+', ..) => b' ',
            (byte, ..) => *byte,
        });
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
