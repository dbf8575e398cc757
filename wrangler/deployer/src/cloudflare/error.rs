//! What the API said, and what to do next.

use std::fmt;

/// A permission that an API token needs, as the dashboard calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission {
    /// Workers, their versions, deployments and schedules.
    Scripts,
    /// KV namespaces and their keys.
    Kv,
    /// Queues and their consumers.
    Queues,
    /// The list of accounts.
    Account,
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scripts => "Account › Workers Scripts › Edit",
            Self::Kv => "Account › Workers KV Storage › Edit",
            Self::Queues => "Account › Queues › Edit",
            Self::Account => "Account › Account Settings › Read",
        })
    }
}

/// One error of an answer: Cloudflare's number for it, and its words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// The number.
    pub code: i64,
    /// The words.
    pub message: String,
}

/// Why a call gave nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// No answer, or one that broke off.
    Transport(String),
    /// An answer that is no JSON of the API: a proxy's, or a page about an outage.
    Malformed {
        /// The status.
        status: u16,
    },
    /// An answer that says no.
    Refused {
        /// The status.
        status: u16,
        /// Why.
        said: Vec<Said>,
    },
    /// A list that does not end.
    Endless,
}

/// A failed call: what it was for, why it failed, what to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    /// What it was for: "create the queue tributary-deltas".
    pub doing: String,
    /// Why.
    pub cause: Cause,
    /// What the token needs for it.
    pub permission: Permission,
    /// What a look at the token itself said, where there was one.
    pub token: Option<TokenState>,
}

/// What Cloudflare says of the token itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenState {
    /// It is one, and it is active.
    Active,
    /// It is none, or it has expired.
    Unknown,
}

impl ApiError {
    /// True where the resource is not there.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        let is_404 = matches!(self.cause, Cause::Refused { status: 404, .. });
        (is_404 || self.has_code(&[codes::NO_WORKER])) && !self.has_code(&[codes::NO_ROUTE])
    }

    /// True where the answer names one of these numbers.
    #[must_use]
    pub fn has_code(&self, codes: &[i64]) -> bool {
        matches!(&self.cause, Cause::Refused { said, .. } if said.iter().any(|said| codes.contains(&said.code)))
    }

    /// True where the token is the reason: it is none, or lacks a permission.
    #[must_use]
    pub fn is_auth(&self) -> bool {
        match &self.cause {
            Cause::Refused { status: 401 | 403, .. } => true,
            Cause::Refused { .. } => self.has_code(&codes::AUTH),
            _ => false,
        }
    }

    /// True where the same call may work a little later.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match &self.cause {
            Cause::Transport(_) => true,
            Cause::Malformed { status } | Cause::Refused { status, .. } => is_passing(*status),
            Cause::Endless => false,
        }
    }
}

/// True for a status that says "later": 429, and all 5xx but 501 and 505.
#[must_use]
pub fn is_passing(status: u16) -> bool {
    status == 429 || (500..600).contains(&status) && status != 501 && status != 505
}

/// Cloudflare's numbers that mean something here.
pub mod codes {
    /// The script does not exist, or the workers.dev subdomain that is asked for.
    pub const NO_WORKER: i64 = 10_007;
    /// No such path: an id in it is none, the account's for instance.
    pub const NO_ROUTE: i64 = 7_003;
    /// The token: missing permission or none at all (10000), no authentication (10001), invalid (1000, 9109), malformed
    /// header (6003, 6111).
    pub const AUTH: [i64; 6] = [10_000, 10_001, 1_000, 9_109, 6_003, 6_111];
    /// "List accounts" does not take a token that belongs to an account.
    pub const ACCOUNT_OWNED: i64 = 1_001;
    /// A KV namespace of this title exists.
    pub const NAMESPACE_EXISTS: i64 = 10_014;
    /// A queue of this name exists.
    pub const QUEUE_EXISTS: i64 = 11_009;
    /// Secrets have changed since the version to which a rollback goes.
    pub const SECRETS_CHANGED: i64 = 10_220;
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let again = "run the same command again: it goes on where it stopped";
        write!(f, "cannot {}: ", self.doing)?;
        match &self.cause {
            Cause::Transport(reason) => {
                write!(f, "no answer from Cloudflare ({reason}).\nCheck the network, then {again}.")
            }
            Cause::Malformed { status } => {
                write!(f, "status {status}, and not from the API itself.\nSee www.cloudflarestatus.com, then {again}.")
            }
            Cause::Endless => write!(f, "Cloudflare's list does not end.\nThat is not our doing; {again}."),
            Cause::Refused { status, said } => {
                write!(f, "Cloudflare answers {status}")?;
                for said in said {
                    write!(f, "; {} [{}]", said.message, said.code)?;
                }
                f.write_str(".\n")?;
                match (self.is_auth(), self.token) {
                    (true, Some(TokenState::Unknown)) => f.write_str(
                        "CLOUDFLARE_API_TOKEN is no valid token: it is mistyped, was revoked or has expired. Create one \
                         at https://dash.cloudflare.com/profile/api-tokens.",
                    ),
                    (true, Some(TokenState::Active)) => write!(
                        f,
                        "The token is valid but may not do this: give it the permission \"{}\" for this account at \
                         https://dash.cloudflare.com/profile/api-tokens, or check CLOUDFLARE_ACCOUNT_ID.",
                        self.permission
                    ),
                    (true, None) => write!(
                        f,
                        "Check CLOUDFLARE_API_TOKEN, and that it has the permission \"{}\" for this account.",
                        self.permission
                    ),
                    _ if self.has_code(&[codes::NO_ROUTE]) => {
                        f.write_str("Check CLOUDFLARE_ACCOUNT_ID: it is no id of an account.")
                    }
                    _ if *status == 429 => {
                        write!(f, "Cloudflare takes 1,200 calls in five minutes: wait that long, then {again}.")
                    }
                    _ if is_passing(*status) => write!(f, "See www.cloudflarestatus.com, then {again}."),
                    _ => write!(f, "Nothing was changed by this call. When the reason is mended, {again}."),
                }
            }
        }
    }
}

impl std::error::Error for ApiError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(status: u16, code: i64, token: Option<TokenState>) -> ApiError {
        let said = vec![Said { code, message: "Authentication error".to_owned() }];
        let cause = Cause::Refused { status, said };
        ApiError { doing: "create the queue q".to_owned(), cause, permission: Permission::Queues, token }
    }

    #[test]
    fn the_words_say_what_failed_why_and_what_to_do() {
        let text = error(403, 10_000, Some(TokenState::Active)).to_string();
        assert!(text.starts_with("cannot create the queue q: Cloudflare answers 403; Authentication error [10000]."));
        assert!(text.contains("\"Account › Queues › Edit\""), "{text}");
        let text = error(401, 9_109, Some(TokenState::Unknown)).to_string();
        assert!(text.contains("no valid token"), "{text}");
        assert!(error(429, 0, None).to_string().contains("1,200 calls"));
        assert!(error(502, 0, None).to_string().contains("cloudflarestatus.com"));
    }

    #[test]
    fn what_may_pass_is_told_from_what_stays() {
        for (status, passes) in
            [(429, true), (500, true), (503, true), (522, true), (501, false), (400, false), (404, false), (403, false)]
        {
            assert_eq!(error(status, 0, None).may_pass(), passes, "{status}");
        }
        assert!(error(400, 6_003, None).is_auth() && !error(400, 7_003, None).is_auth());
        assert!(!error(404, codes::NO_ROUTE, None).is_not_found(), "a wrong account is no empty account");
        assert!(error(404, 0, None).is_not_found() && error(400, codes::NO_WORKER, None).is_not_found());
    }
}
