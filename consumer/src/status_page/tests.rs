use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const ASSETS: Assets = Assets { script: b"script", style: b"style" };
const BROWSER: Option<&str> = Some("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8");
const FORM: Option<&str> = Some("application/x-www-form-urlencoded");

fn config(variables: &[(&'static str, &'static str)]) -> Config {
    Config::read(&variables.iter().copied().collect::<BTreeMap<_, _>>()).0
}

fn configured() -> Config {
    config(&[("METRICS_TOKEN", "to&ken+1 %"), ("CONFIDENCE_CLIENT_SECRET", "secret")])
}

fn ask(route: Route, request: PageRequest<'_>) -> PageAnswer {
    let deploy = Deploy { version: "1.2.3".into(), ..Deploy::default() };
    answer(route, &request, &configured(), ASSETS, &deploy)
}

fn header<'a>(answer: &'a PageAnswer, name: &str) -> &'a str {
    answer.headers.iter().find(|(key, _)| *key == name).map_or("", |(_, value)| value)
}

fn text(answer: &PageAnswer) -> &str {
    std::str::from_utf8(&answer.body).unwrap()
}

fn browser() -> PageRequest<'static> {
    PageRequest { accept: BROWSER, ..PageRequest::default() }
}

fn login_with(body: &[u8]) -> PageAnswer {
    ask(
        Route::Login,
        PageRequest { content_type: FORM, body: Some(body), fetch_site: Some("same-origin"), ..browser() },
    )
}

#[test]
fn the_page_wants_the_token_of_metrics() {
    assert_eq!(ask(Route::Page, PageRequest { authorization: Some("ClientSecret secret"), ..browser() }).status, 200);
    let page = ask(Route::Page, PageRequest { authorization: Some("Bearer to&ken+1 %"), ..PageRequest::default() });
    assert_eq!((page.status, header(&page, "Content-Type")), (200, "text/html; charset=utf-8"));
    for authorization in [None, Some("Bearer wrong"), Some("Basic x")] {
        let form = ask(Route::Page, PageRequest { authorization, ..browser() });
        assert_eq!(form.status, 401);
        assert!(header(&form, "WWW-Authenticate").starts_with("Bearer"));
        assert!(text(&form).contains("<form") && !text(&form).contains("role=\"alert\""));
        let machine = PageRequest { authorization, accept: Some("*/*"), ..PageRequest::default() };
        for route in [Route::Page, Route::Versions] {
            let json = ask(route, machine);
            assert_eq!((json.status, header(&json, "Content-Type")), (401, "application/json"));
            assert!(text(&json).contains("UNAUTHORIZED"));
        }
    }
}

#[test]
fn without_a_secret_everything_is_closed_and_says_why() {
    let closed = |route, request: PageRequest<'_>| answer(route, &request, &config(&[]), ASSETS, &Deploy::default());
    let page = closed(Route::Page, PageRequest { authorization: Some("Bearer "), ..browser() });
    assert_eq!(page.status, 503);
    assert!(text(&page).contains("METRICS_TOKEN") && text(&page).contains("closed"));
    let login = closed(Route::Login, PageRequest { content_type: FORM, body: Some(b"token="), ..browser() });
    assert_eq!((login.status, header(&login, "Set-Cookie")), (503, ""));
    assert_eq!(closed(Route::Page, PageRequest::default()).status, 503);
    assert_eq!(closed(Route::Versions, PageRequest::default()).status, 503);
}

#[test]
fn the_right_token_begins_a_session_and_goes_to_the_page() {
    for (body, authorization) in [
        (&b"token=to%26ken%2B1+%25"[..], "Bearer to&ken+1 %"),
        (b"x=y&token=%20secret%0d%0a&token=z", "ClientSecret secret"),
    ] {
        let answer = login_with(body);
        assert_eq!((answer.status, header(&answer, "Location")), (303, "/status"));
        let cookie = header(&answer, "Set-Cookie").split(';').next().unwrap();
        assert_eq!(session::credentials(cookie, false).as_deref(), Some(authorization));
    }
}

#[test]
fn a_wrong_token_gets_the_form_again_and_nothing_of_it_back() {
    for body in [&b"token=<script>alert(1)</script>"[..], b"", b"token", b"=", b"token=%zz%f", b"tok\xff\xfe=%ff&&&"] {
        let answer = login_with(body);
        assert_eq!((answer.status, header(&answer, "Set-Cookie")), (401, ""));
        assert!(text(&answer).contains(WRONG_TOKEN) && text(&answer).contains("<form"));
        assert!(!text(&answer).contains("alert(1)"));
    }
    let machine = PageRequest { content_type: FORM, body: Some(b"token=x"), ..PageRequest::default() };
    assert_eq!(header(&ask(Route::Login, machine), "Content-Type"), "application/json");
}

#[test]
fn a_login_is_a_small_form_of_this_site() {
    let right: &[u8] = b"token=secret";
    let status = |request| ask(Route::Login, request).status;
    let good = PageRequest { content_type: FORM, body: Some(right), ..browser() };
    assert_eq!(status(good), 303);
    assert_eq!(status(PageRequest { body: None, ..good }), 413);
    for content_type in [None, Some("text/plain"), Some("application/json"), Some("multipart/form-data")] {
        assert_eq!(status(PageRequest { content_type, ..good }), 415);
    }
    for fetch_site in ["cross-site", "same-site", "junk"] {
        assert_eq!(status(PageRequest { fetch_site: Some(fetch_site), ..good }), 403);
        assert_eq!(ask(Route::Logout, PageRequest { fetch_site: Some(fetch_site), ..good }).status, 403);
    }
}

#[test]
fn logging_out_clears_the_cookie() {
    let answer = ask(Route::Logout, PageRequest { is_https: true, ..browser() });
    assert_eq!((answer.status, header(&answer, "Location")), (303, "/status"));
    assert_eq!(header(&answer, "Set-Cookie"), session::end(true));
}

#[test]
fn a_session_with_a_token_of_yesterday_is_ended_and_says_so() {
    let old = PageRequest { authorization: Some("Bearer old"), has_session: true, ..browser() };
    let answer = ask(Route::Page, old);
    assert_eq!((answer.status, header(&answer, "Set-Cookie")), (401, session::end(false).as_str()));
    assert!(text(&answer).contains(OLD_SESSION));
}

#[test]
fn everything_a_browser_shows_has_the_strict_headers() {
    let page = PageRequest { authorization: Some("ClientSecret secret"), ..browser() };
    for answer in [ask(Route::Page, page), ask(Route::Page, browser()), ask(Route::Script, browser()), login_with(b"")]
    {
        let policy = header(&answer, "Content-Security-Policy");
        for directive in ["default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'"] {
            assert!(policy.split("; ").any(|part| part == directive), "{directive}: {policy}");
        }
        assert!(!policy.contains("unsafe"));
        assert_eq!(header(&answer, "X-Content-Type-Options"), "nosniff");
        assert_eq!(header(&answer, "Referrer-Policy"), "no-referrer");
    }
    assert_eq!(header(&ask(Route::Page, page), "Cache-Control"), "no-store");
    assert_eq!(header(&ask(Route::Page, browser()), "Cache-Control"), "no-store");
}

#[test]
fn the_pages_hold_nothing_that_the_policy_forbids() {
    for (name, html) in [("page.html", PAGE), ("login.html", LOGIN)] {
        assert!(!html.contains("style="), "{name}: inline style");
        assert!(!html.contains("<style") && !html.contains("://"), "{name}: inline style or another origin");
        for (at, _) in html.match_indices("<script") {
            assert!(html[at..].starts_with("<script type=\"module\" src=\"/status/app.js\"></script>"), "{name}");
        }
        for attribute in ["onclick", "onload", "onsubmit", "javascript:"] {
            assert!(!html.contains(attribute), "{name}: {attribute}");
        }
    }
    assert_eq!(LOGIN.matches(MESSAGE).count(), 1);
}

#[test]
fn script_and_style_are_asked_about_and_not_sent_twice() {
    let first = ask(Route::Script, browser());
    assert_eq!(
        (first.status, first.body.as_slice(), header(&first, "Cache-Control")),
        (200, &b"script"[..], "no-cache")
    );
    let tag = header(&first, "ETag").to_owned();
    let again = ask(Route::Script, PageRequest { if_none_match: Some(&tag), ..browser() });
    assert_eq!((again.status, again.body.as_slice()), (304, &b""[..]));
    let other = ask(Route::Style, PageRequest { if_none_match: Some(&tag), ..browser() });
    assert_eq!((other.status, header(&other, "Content-Type")), (200, "text/css; charset=utf-8"));
}

#[test]
fn versions_name_both_workers() {
    let request = PageRequest {
        authorization: Some("ClientSecret secret"),
        producer: Some("0.9.0 abc"),
        ..PageRequest::default()
    };
    let shown: serde_json::Value = serde_json::from_slice(&ask(Route::Versions, request).body).unwrap();
    assert_eq!(shown["consumer"]["version"], "1.2.3");
    assert_eq!(shown["producer"]["id"], "abc");
}

proptest! {
    #[test]
    fn whatever_is_sent_is_answered_and_opens_nothing(
        body in proptest::collection::vec(any::<u8>(), 0..300),
        cookie in any::<String>(),
        value in "[A-Za-z0-9_-]{0,200}",
        accept in any::<String>(),
    ) {
        for cookie in [cookie, format!("tributary={value}")] {
            let authorization = session::authorization("GET", "/status", false, None, Some(&cookie));
            let request = PageRequest {
                authorization: authorization.as_deref(), accept: Some(&accept), content_type: FORM, body: Some(&body),
                ..PageRequest::default()
            };
            prop_assert_eq!(ask(Route::Page, request).status, 401);
            let login = ask(Route::Login, request);
            prop_assert_eq!((login.status, header(&login, "Set-Cookie")), (401, ""));
        }
    }
}
