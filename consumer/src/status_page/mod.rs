//! The status page: `GET /status` and what belongs to it. Pure; `platform::status_page` carries requests and answers.
//!
//! | call | what it does | who may |
//! | --- | --- | --- |
//! | `GET /status` | the page; a browser without a session gets the login form | as `/metrics` |
//! | `GET /status/app.js`, `/status/app.css` | script and style, which hold no data | anybody |
//! | `GET /status/versions` | which deploys answer, as JSON | as `/metrics` |
//! | `POST /status/login` | takes `token=`, sets the cookie | anybody |
//! | `POST /status/logout` | clears the cookie | anybody |
//!
//! The numbers come from `/metrics`, which the script in `consumer/status_page` reads like any client. [`session`] says
//! what the cookie opens: reading, and nothing else.

pub mod answer;
pub mod session;
pub mod versions;

pub use answer::{Assets, PageAnswer, PageRequest, answer};

use crate::scrape::respond::Answer;

/// Path of the page.
pub const PAGE_PATH: &str = "/status";

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// The page.
    Page,
    /// Its script.
    Script,
    /// Its style.
    Style,
    /// The deploys that answer.
    Versions,
    /// A login; the only one with a body that is read.
    Login,
    /// A logout.
    Logout,
}

/// Finds the route of a request. `None` where the path is none of these.
///
/// # Errors
/// The answer to a method that the path does not take.
pub fn route(method: &str, path: &str) -> Option<Result<Route, Answer>> {
    let (route, is_change) = match path {
        PAGE_PATH => (Route::Page, false),
        "/status/app.js" => (Route::Script, false),
        "/status/app.css" => (Route::Style, false),
        "/status/versions" => (Route::Versions, false),
        "/status/login" => (Route::Login, true),
        "/status/logout" => (Route::Logout, true),
        _ => return None,
    };
    Some(match (is_change, method) {
        (false, "GET" | "HEAD") | (true, "POST") => Ok(route),
        (false, _) => Err(Answer::method_not_allowed("GET, HEAD")),
        (true, _) => Err(Answer::method_not_allowed("POST")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_path_takes_its_own_methods_and_no_other() {
        for path in ["/status", "/status/app.js", "/status/app.css", "/status/versions"] {
            assert!(matches!(route("GET", path), Some(Ok(_))) && matches!(route("HEAD", path), Some(Ok(_))), "{path}");
            for method in ["POST", "PUT", "DELETE", "BREW", "get", ""] {
                assert_eq!(route(method, path).unwrap().unwrap_err().status, 405, "{method} {path}");
            }
        }
        for path in ["/status/login", "/status/logout"] {
            assert!(matches!(route("POST", path), Some(Ok(_))), "{path}");
            for method in ["GET", "HEAD", "PUT", "post", ""] {
                assert_eq!(route(method, path).unwrap().unwrap_err().status, 405, "{method} {path}");
            }
        }
        for path in ["/", "", "/metrics", "/status/", "/statuses", "/status/app.js.map", "/dead-letters"] {
            assert_eq!(route("GET", path), None, "{path}");
        }
    }
}
